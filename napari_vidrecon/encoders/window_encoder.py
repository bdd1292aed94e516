"""An encoder made of a torch module that maps windows of model input to activity."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_vidrecon.encoders.answers import (
    check_finite,
    check_windows,
    keeps_direction,
    sums_to_a_number,
    why_another_gradient,
)
from napari_vidrecon.encoders.architecture import Architecture
from napari_vidrecon.encoders.chunks import (
    State,
    activity_through,
    check_chunk,
    chunk_by_chunk,
    chunk_that_fits,
    with_state,
)
from napari_vidrecon.encoders.encoder import BEHAVIOR_CHANNELS, INPUT_CHANNELS, Encoder, EncoderSpec
from napari_vidrecon.encoders.frozen import FrozenForm, form_of
from napari_vidrecon.encoders.frozen.fused_block import FusedPasses, Tiling, kernels_at_hand
from napari_vidrecon.errors import EncoderError, VidreconError, one_line
from napari_vidrecon.sessions.session_statistics import MovieStatistics
from napari_vidrecon.settings import finite_number

CHECKED_WINDOWS = 2
LARGEST_GREY_LEVEL = 255.0
OWN_PACKAGE = __name__.partition(".")[0]
LONGEST_REASON = 300
logger = logging.getLogger(__name__)


class WindowEncoder:
    """Binds a frozen module to its specification; implements the `Encoder` protocol.

    Where the module has a faster form for frozen weights (`frozen/__init__.py`), that one answers; the module stays the
    truth it is built from, and built from again when its weights have changed.

    Parameters
    ----------
    module
        Maps (B, 5, size, rows, columns) to (B, N, size).
    spec
        What the module is.
    device
        Where it runs.
    neutral_behavior
        (4,) pupil size, running, pupil x, pupil y used where a clip has no behaviour.
    """

    def __init__(
        self,
        module: nn.Module,
        spec: EncoderSpec,
        device: torch.device | str = "cpu",
        neutral_behavior: np.ndarray | None = None,
    ) -> None:
        self.spec = spec
        self.device = torch.device(device)
        self.module = module.eval().requires_grad_(False).to(self.device)
        self.neutral_behavior = np.zeros(BEHAVIOR_CHANNELS) if neutral_behavior is None else neutral_behavior
        self.movies: MovieStatistics | None = None
        """What the movies it was trained on are like."""
        self._tensors = _tensors_of(self.module)
        self._form = form_of(module)
        self._frozen: tuple[tuple, FrozenForm] | None = None
        self._precision: torch.dtype | None = None
        self._kernels: FusedPasses | None = None
        self.memory_limit: int | None = None
        """Bytes that windows at once may take; None for a part of what is free."""

    def __repr__(self) -> str:
        return f"WindowEncoder({self.spec.name!r}, {self.spec.architecture}, {self.spec.neurons} neurons)"

    @property
    def floats_per_pixel(self) -> int:
        """Floats alive per input pixel of a window in a forward pass; for choosing a chunk."""
        return int(getattr(self.module, "floats_per_pixel", Architecture.floats_per_pixel))

    @property
    def preferred_cpu_chunk(self) -> int:
        """Windows at once that run fastest on a CPU."""
        return int(getattr(self.module, "preferred_cpu_chunk", Architecture.preferred_cpu_chunk))

    @property
    def answers_in_threads(self) -> bool:
        """Whether several threads may ask for responses at once."""
        return self._form is not None

    @property
    def warm_up(self) -> int | None:
        """Frames for which a clip's first frame is held; None for a module without a state."""
        return getattr(self.module, "warm_up", None)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights."""
        return next((each.dtype for each in self._tensors if each.is_floating_point()), torch.float32)

    @property
    def precision(self) -> str:
        """What it computes in: "float32", "tf32", "bfloat16", ..."""
        return "tf32" if self._kernels is not None else str(self._precision or self.dtype).removeprefix("torch.")

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> WindowEncoder:
        """Move to another device or floating-point type, in place; `use_bfloat16` or `use_tf32` to be called again."""
        self.module.to(device=device, dtype=dtype)
        self._tensors, self._frozen = _tensors_of(self.module), None
        self._precision, self._kernels = None, None
        self.device = torch.device(device) if device is not None else self.device
        return self

    def pack(
        self,
        video: np.ndarray | torch.Tensor,
        behavior: np.ndarray | None = None,
        pupil_center: np.ndarray | None = None,
        *,
        padding: float = 0.0,
    ) -> torch.Tensor:
        """Model input of a clip (Baikulov 2023, StackInputsProcessor).

        Parameters
        ----------
        video
            (T, 36, 64), or (T, rows, columns) of the encoder's canvas; grey levels 0..255.
        behavior
            (2, T) pupil size and running speed; None takes the encoder's neutral values.
        pupil_center
            (2, T) eye position, camera pixels; None likewise.
        padding
            Grey level of the canvas around the screen.

        Returns
        -------
        torch.Tensor
            (5, T, rows, columns) tensor on the encoder's device.

        Raises
        ------
        EncoderError
            An array is of another size, holds no numbers, or some that are not finite.
        """
        canvas = self.spec.canvas
        padding = finite_number(padding, "padding")
        video = self._numbers(video, "video")
        if video.ndim != 3:
            raise EncoderError(
                f"{self.spec.name}: expected a video (frames, rows, columns), found shape {tuple(video.shape)}"
            )
        frames = video.shape[0]
        inputs = torch.full(
            (INPUT_CHANNELS, frames, canvas.rows, canvas.columns), padding, dtype=self.dtype, device=self.device
        )
        if video.shape[1:] == (canvas.rows, canvas.columns):
            inputs[0] = video
        elif video.shape[1:] == (canvas.screen_rows, canvas.screen_columns):
            inputs[(0, slice(None), *canvas.screen)] = video
        else:
            raise EncoderError(
                f"{self.spec.name}: expected a movie of {canvas.screen_rows}x{canvas.screen_columns} pixels, "
                f"found {video.shape[1]}x{video.shape[2]}"
            )
        neutral = np.repeat(self.neutral_behavior[:, None], frames, axis=1)
        first = 1
        for name, given, usual in (
            ("behavior", behavior, neutral[:2]),
            ("pupil_center", pupil_center, neutral[2:]),
        ):
            planes = self._numbers(usual if given is None else given, name)
            if planes.shape != usual.shape:
                raise EncoderError(
                    f"{self.spec.name}: expected {name} of {frames} frames in {len(usual)} rows, "
                    f"found shape {tuple(planes.shape)}"
                )
            inputs[first : first + len(usual)] = planes[:, :, None, None]
            first += len(usual)
        return inputs

    def _numbers(self, values: np.ndarray | torch.Tensor, name: str) -> torch.Tensor:
        """One of the arrays of an input, on the device; refused if an encoder could not answer for it."""
        try:
            found = torch.as_tensor(values)
        except (TypeError, ValueError, RuntimeError):
            raise EncoderError(f"{self.spec.name}: expected {name} as an array of numbers, found others") from None
        if found.is_complex():
            raise EncoderError(f"{self.spec.name}: expected {name} as an array of numbers, found complex ones")
        moved = found.to(self.device, self.dtype)
        if not sums_to_a_number(moved) and not bool(moved.isfinite().all()):
            bad = (~moved.isfinite()).nonzero()
            frame = int(bad[0, 0 if name == "video" else -1]) if found.ndim else 0
            raise EncoderError(
                f"{self.spec.name}: expected finite numbers in {name}, found {len(bad)} of {found.numel()} that are "
                f"NaN, infinite or too large, the first in frame {frame}; interpolate them, or leave the clip out"
            )
        return moved

    def responses(self, windows: torch.Tensor, neurons: torch.Tensor | None = None) -> torch.Tensor:
        """Activity for windows of model input, differentiable once.

        Parameters
        ----------
        windows
            (B, 5, size, rows, columns).
        neurons
            Indices of the neurons wanted, in their order; None for all.

        Returns
        -------
        torch.Tensor
            (B, N, size) >= 0, of the neurons asked for, in that order.
        """
        if self._form is not None:
            return self.frozen(self._form)(windows, neurons)
        if type(self.module).__module__.partition(".")[0] == OWN_PACKAGE:
            activity = self.module(windows)
        else:
            with _of_somebody_else(self.spec.name):
                # A copy: who changes it in place changes nothing of the caller's.
                activity = self.module(windows.clone())
            check_windows(self, activity, len(windows), self.spec.neurons)
        return activity if neurons is None else activity[:, neurons]

    def continued(
        self, inputs: torch.Tensor, state: State | None = None, neurons: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, State]:
        """Activity of the frames that follow, and the state after them; of a module with a state only.

        Parameters
        ----------
        inputs
            (B, 5, F, rows, columns).
        state
            After the frames before; None: a clip begins.
        neurons
            Indices of those wanted; None for all.

        Returns
        -------
        tuple[torch.Tensor, State]
            (B, N, F) >= 0, and the state.
        """
        if type(self.module).__module__.partition(".")[0] == OWN_PACKAGE:
            activity, after = self.module.continued(inputs, state)  # type: ignore[operator]
        else:
            with _of_somebody_else(self.spec.name):
                activity, after = self.module.continued(inputs.clone(), state)  # type: ignore[operator]
        return activity if neurons is None else activity[:, neurons], after

    def use_bfloat16(self) -> bool:
        """Compute in bfloat16 where the module can and its gradient keeps its direction; whether it does now.

        Worth it on a graphics card. Noise is the movie of the check.

        Returns
        -------
        bool
            False where it stays in its own precision.
        """
        form = self._form
        if form is not None and form.takes_precision:
            forms = form.of(self.module, precision=torch.bfloat16), form.of(self.module)
            kept = keeps_direction(*forms, self._noise_windows(), self.spec.name)
            self._precision, self._kernels, self._frozen = torch.bfloat16 if kept else None, None, None
        return self._precision is not None

    def use_tf32(self, tiling: Tiling | None = None) -> bool:
        """Compute by fused kernels, matrix products in TF32, where the device can and the gradient stays what it is.

        Numbers that are stored, and sums, stay in float32.

        Parameters
        ----------
        tiling
            How the kernels cut their work; None for the usual way.

        Returns
        -------
        bool
            False where it stays as it was; a line of the log says why.
        """
        why = self._why_no_kernels()
        passes = FusedPasses(tiling)
        if why is None:
            assert self._form is not None
            fused, plain = self._form.of(self.module), self._form.of(self.module)
            if passes.take_over(fused.blocks) < len(fused.blocks):
                why = "its blocks have other sizes than the kernels"
            else:
                why = why_another_gradient(fused, plain, self._noise_windows())
        if why is not None:
            logger.warning("%s: %s; it stays in %s", self.spec.name, why, self.precision)
            return False
        self._precision, self._kernels, self._frozen = None, passes, None
        return True

    def _why_no_kernels(self) -> str | None:
        if self._form is None:
            return f"there are no fused kernels for the architecture {self.spec.architecture}"
        if not kernels_at_hand():
            return "the kernels need Triton, which comes with torch for CUDA and is not installed here"
        if self.device.type != "cuda":
            return f"the kernels need a CUDA device, and this is {self.device.type}"
        return None

    def _noise_windows(self) -> torch.Tensor:
        """Windows to compare two ways of computing on."""
        canvas, size = self.spec.canvas, self.spec.windows.size
        noise = torch.rand(
            CHECKED_WINDOWS * size, canvas.rows, canvas.columns, generator=torch.Generator().manual_seed(0)
        )
        return self.pack(LARGEST_GREY_LEVEL * noise).unflatten(1, (CHECKED_WINDOWS, size)).transpose(0, 1)

    def frozen(self, form: type[FrozenForm]) -> FrozenForm:
        """The module's form for frozen weights, of the weights as they are now."""
        weights = tuple((id(tensor), tensor._version) for tensor in self._tensors)
        frozen = self._frozen
        if frozen is None or frozen[0] != weights:
            # Two threads that come here at once build it twice; that harms nothing.
            made = form.of(self.module, precision=self._precision)
            if self._kernels is not None:
                self._kernels.take_over(made.blocks)
            frozen = self._frozen = (weights, made)
        return frozen[1]

    def predict(
        self,
        video: np.ndarray | torch.Tensor,
        behavior: np.ndarray | None = None,
        pupil_center: np.ndarray | None = None,
        *,
        chunk: int | None = None,
    ) -> np.ndarray:
        """Activity of a whole clip: the mean over all sliding windows (Baikulov 2023, `predict_trial`).

        Parameters
        ----------
        video, behavior, pupil_center
            As for `pack`; the canvas around the screen is 0.
        chunk
            Windows at once; None chooses by device and free memory.

        Returns
        -------
        np.ndarray
            (N, T) float32, >= 0, finite; all zeros for a clip shorter than one window (31 frames).

        Raises
        ------
        EncoderError
            An array that does not fit, or an answer that is not finite.
        """
        inputs = self.pack(video, behavior, pupil_center)
        return predict_clip(self, inputs, chunk).cpu().numpy()

    def require_neurons(self, neurons: int, of: str) -> None:
        """Raise unless the readout has the neurons of a recording.

        Raises
        ------
        EncoderError
            Naming both counts.
        """
        if neurons != self.spec.neurons:
            raise EncoderError(
                f"{self.spec.name}: predicts {self.spec.neurons} neurons"
                + (f" of {self.spec.mouse}" if self.spec.mouse else "")
                + f", but {of} has {neurons}; choose the encoder, or the mouse index, of this mouse"
            )


def _tensors_of(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


@contextlib.contextmanager
def _of_somebody_else(name: str) -> Iterator[None]:
    """While a module of another package answers: what it sets of torch ends with it, and its faults are its own.

    Raises
    ------
    EncoderError
        It failed; the message says where.
    """
    gradients, usual = torch.is_grad_enabled(), torch.get_default_dtype()
    try:
        yield
    except (VidreconError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "out of memory" in str(error) or "can't allocate memory" in str(error):
            # Who asked takes fewer windows at once, or says so.
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise EncoderError(
            f"{one_line(name)}: its module failed in {Path(last.filename).name}, line {last.lineno} "
            f"({type(error).__name__}: {one_line(error, LONGEST_REASON)}); that is for whoever wrote it to mend"
        ) from error
    finally:
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(usual)


@torch.no_grad()
def predict_clip(encoder: Encoder, inputs: torch.Tensor, chunk: int | None = None) -> torch.Tensor:
    """Mean over all sliding windows of a clip; an encoder with a state runs through it once.

    Parameters
    ----------
    encoder
        Whose windows slide.
    inputs
        (5, T, rows, columns) model input.
    chunk
        Windows at once; None chooses.

    Returns
    -------
    torch.Tensor
        (N, T) tensor; zeros where no window fits (T < 31).

    Raises
    ------
    EncoderError
        It answers NaN or infinity; or no number of windows that can be.
    """
    check_chunk(chunk)
    windows = encoder.spec.windows
    frames = inputs.shape[1]
    # Windows of half precision add up in single.
    exact = torch.promote_types(inputs.dtype, torch.float32)
    total = torch.zeros(frames, encoder.spec.neurons, dtype=exact, device=inputs.device)
    starts = windows.starts(frames)
    if len(starts) == 0:
        return total.T.contiguous()
    stateful = with_state(encoder)
    if stateful is not None:
        activity = activity_through(stateful, inputs)
        check_finite(encoder, activity)
        return activity
    chunk = chunk or chunk_that_fits(encoder, gradient=False)
    indices = torch.as_tensor(windows.indices(starts), device=inputs.device)
    first = 0
    for part, answer in chunk_by_chunk(
        encoder, indices, chunk, lambda part: encoder.responses(inputs[:, part].transpose(0, 1))
    ):
        # Windows start one frame apart, so their k-th frames are a slice: sums in a fixed order on every device.
        for k, frame in enumerate(answer.permute(2, 0, 1)):
            begin = first + k * windows.step
            total[begin : begin + len(part)] += frame
        first += len(part)
    coverage = torch.as_tensor(windows.coverage(frames), device=inputs.device).clamp(min=1)
    activity = (total / coverage[:, None]).T.contiguous()
    check_finite(encoder, activity)
    return activity
