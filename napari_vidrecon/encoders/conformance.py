"""Does an encoder keep what the `Encoder` protocol promises? For encoders of one's own, and for the tests."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from napari_vidrecon.encoders.answers import NoActivity, UnusableAnswer, predicted
from napari_vidrecon.encoders.answers import check_finite as find_not_finite
from napari_vidrecon.encoders.chunks import with_state
from napari_vidrecon.encoders.encoder import INPUT_CHANNELS, Encoder, Movable, Traits
from napari_vidrecon.errors import EncoderError, VidreconError, one_line

EXTRA_FRAMES = 3
"""The test clip is a little longer than a window, so that windows overlap."""
RELATIVE_TOLERANCE = 1e-4
DEVICE_TOLERANCE = 1e-3
"""Of the largest activity: another device adds up in another order."""
GRADIENT_TOLERANCE = {torch.float64: 1e-5, torch.float32: 2e-2}
GRADIENT_STEPS = {torch.float64: (1e-3, 1e-5, 1e-6), torch.float32: (0.5,)}
"""Half the distance of a central difference, in grey levels and in units of behaviour.

A shorter one is tried where the first disagrees: over a kink (bilinear sampling, say) a difference is no slope.
"""
GRADIENT_DIRECTIONS = 3
TYPICAL_BEHAVIOR = ((40.0, 10.0), (0.5, 0.5), (150.0, 5.0), (150.0, 5.0))
"""Mean and spread of pupil size, running speed and pupil position in the public sessions."""


@dataclass(frozen=True)
class Finding:
    """A promise that an encoder does not keep.

    Parameters
    ----------
    check
        Which one: a name of `CHECKS`.
    message
        What was expected, and what was found.
    """

    check: str
    message: str


@dataclass(frozen=True)
class Clip:
    """Noise to try an encoder on.

    Parameters
    ----------
    video
        (T, rows, columns) 0..255.
    behavior
        (2, T) >= 0.
    pupil_center
        (2, T) >= 0.
    """

    video: np.ndarray
    behavior: np.ndarray
    pupil_center: np.ndarray

    @classmethod
    def for_encoder(cls, encoder: Encoder, seed: int) -> Clip:
        """A clip of the encoder's screen size, a little longer than one of its windows."""
        generator = np.random.default_rng(seed)
        canvas, frames = encoder.spec.canvas, encoder.spec.windows.span + EXTRA_FRAMES
        video = generator.uniform(0, 255, (frames, canvas.screen_rows, canvas.screen_columns))
        behavior = np.stack([np.abs(generator.normal(mean, sd, frames)) for mean, sd in TYPICAL_BEHAVIOR])
        return cls(*(array.astype(np.float32) for array in (video, behavior[:2], behavior[2:])))

    def windows(self, encoder: Encoder) -> torch.Tensor:
        """Every window of the clip as model input, (B, 5, size, rows, columns)."""
        inputs = encoder.pack(self.video, self.behavior, self.pupil_center)
        indices = encoder.spec.windows.indices(encoder.spec.windows.starts(len(self.video)))
        return inputs[:, torch.as_tensor(indices, device=inputs.device)].transpose(0, 1)


def check_encoder(encoder: Encoder, seed: int = 0) -> list[Finding]:
    """Try an encoder on noise; the encoder itself is not changed.

    Parameters
    ----------
    encoder
        Anything that claims to be an `Encoder`.
    seed
        Of the noise.

    Returns
    -------
    list[Finding]
        What is wrong with it, in the order of `CHECKS`; empty if nothing is. Where answers are no activity, or
        not finite, nothing else can be told from them.
    """
    findings, no_activity = [], False
    for name, check in CHECKS.items():
        settings = torch.is_grad_enabled(), torch.get_default_dtype()
        try:
            clip = Clip.for_encoder(encoder, seed)
            # One by one, so that what was found before an error is kept.
            for message in check(encoder, clip):
                findings.append(Finding(name, message))
        except NoActivity as refused:
            findings.append(Finding("shapes", refused.short))
            no_activity = True
        except UnusableAnswer as refused:
            # The next check says for which movies.
            if name != "shapes":
                findings.append(Finding("finite", refused.short))
        except Exception as error:  # noqa: BLE001 (whatever a stranger's encoder raises is what was found)
            findings.append(Finding(name, f"expected an answer, found {type(error).__name__}: {one_line(error)}"))
        if settings != (torch.is_grad_enabled(), torch.get_default_dtype()):
            torch.set_grad_enabled(settings[0])
            torch.set_default_dtype(settings[1])
            findings.append(
                Finding(name, "expected torch's settings (gradients, default type) left alone, found them changed")
            )
        if no_activity or (name == "finite" and any(finding.check == "finite" for finding in findings)):
            break
    return findings


def check_shapes(encoder: Encoder, clip: Clip) -> Iterator[str]:
    """Model input, activity of windows and of a clip have the promised sizes and types."""
    spec, frames = encoder.spec, len(clip.video)
    inputs = encoder.pack(clip.video, clip.behavior, clip.pupil_center)
    expected: tuple[int, ...] = (INPUT_CHANNELS, frames, spec.canvas.rows, spec.canvas.columns)
    if tuple(inputs.shape) != expected:
        yield f"expected pack to give {expected}, found {tuple(inputs.shape)}"
    windows = clip.windows(encoder)
    with torch.no_grad():
        activity = encoder.responses(windows)
    expected = (len(windows), spec.neurons, spec.windows.size)
    if tuple(activity.shape) != expected:
        yield f"expected responses to give {expected}, found {tuple(activity.shape)}"
    predicted = encoder.predict(clip.video, clip.behavior, clip.pupil_center)
    if predicted.shape != (spec.neurons, frames) or predicted.dtype != np.float32:
        yield (
            f"expected predict to give float32 of {(spec.neurons, frames)}, "
            f"found {predicted.dtype} of {predicted.shape}"
        )
    short = encoder.predict(clip.video[: spec.windows.span - 1])
    if np.any(short != 0):
        yield "expected zeros for a clip shorter than a window, found others"


def check_finite(encoder: Encoder, clip: Clip) -> Iterator[str]:
    """Activity is finite and not negative, for noise and for black and white movies."""
    for name, video in (("noise", clip.video), ("black", clip.video * 0), ("white", clip.video * 0 + 255)):
        try:
            activity = predicted(encoder, video, clip.behavior, clip.pupil_center, clip=f"a movie of {name}")
        except UnusableAnswer as refused:
            yield refused.short
            continue
        if activity.min() < 0:
            yield f"expected activity >= 0 for a movie of {name}, found {activity.min():.3g}"
    windows = clip.windows(encoder)[:1].detach().requires_grad_()
    answer = encoder.responses(windows)
    find_not_finite(encoder, answer.detach(), "windows of noise")
    if answer.requires_grad:
        (gradient,) = torch.autograd.grad(answer.sum(), windows)
        if not bool(gradient.isfinite().all()):
            yield "expected a finite gradient for windows of noise, found NaN or infinity"


def check_gradient(encoder: Encoder, clip: Clip) -> Iterator[str]:
    """The gradient of the activity with respect to the model input is that of finite differences."""
    exact = _most_exact(encoder, clip)
    windows = clip.windows(exact)[:1].detach().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    shape = (1, exact.spec.neurons, exact.spec.windows.size)
    weights = torch.rand(shape, generator=generator, dtype=torch.float64).to(windows)

    def value(inputs: torch.Tensor) -> torch.Tensor:
        return (exact.responses(inputs) * weights).sum()

    total = value(windows)
    if not total.requires_grad:
        yield "expected responses to be differentiable, found no gradient: the graph is cut"
        return
    (gradient,) = torch.autograd.grad(total, windows)
    if not gradient[:, 0].any():
        yield "expected activity to depend on the movie, found a gradient of zeros"
    tolerance = GRADIENT_TOLERANCE[exact.dtype]
    for channels, name in ((slice(0, 1), "movie"), (slice(1, None), "behaviour")):
        for _ in range(GRADIENT_DIRECTIONS):
            direction = torch.zeros_like(windows)
            part = direction[:, channels]
            part.copy_(torch.randn(part.shape, generator=generator, dtype=torch.float64))
            found = float((gradient * direction).sum())
            for step in GRADIENT_STEPS[exact.dtype]:
                with torch.no_grad():
                    ahead, behind = value(windows + step * direction), value(windows - step * direction)
                expected = float(ahead - behind) / (2 * step)
                scale = float(gradient[:, channels].norm()) + abs(expected)
                if abs(found - expected) <= tolerance * scale:
                    break
            else:
                yield f"expected a slope of {expected:.6g} along the {name}, found a gradient of {found:.6g}"
                break


def _most_exact(encoder: Encoder, clip: Clip) -> Encoder:
    """A copy in double precision, or in single where its code asks for that."""
    try:
        copied = [copy.deepcopy(encoder) for _ in GRADIENT_TOLERANCE]
    except RuntimeError:
        # Torch copies no tensor that a gradient leads to.
        raise EncoderError(
            "one that can be copied, and not one that keeps its last answer; keep answers outside, or detached"
        ) from None
    for exact, dtype in zip(copied, GRADIENT_TOLERANCE, strict=True):
        if not isinstance(exact, Movable):
            break
        if torch.device(exact.device).type == "mps":
            # Apple's GPUs have no double precision.
            exact.to(device="cpu")
        exact.to(dtype=dtype)
        with contextlib.suppress(VidreconError, RuntimeError), torch.no_grad():
            exact.responses(clip.windows(exact)[:1])
            break
    return exact


def check_determinism(encoder: Encoder, clip: Clip) -> Iterator[str]:
    """The same input gives the same bits, and stays as it was."""
    windows = clip.windows(encoder)
    given = windows.clone()
    with torch.no_grad():
        if not torch.equal(encoder.responses(windows), encoder.responses(given.clone())):
            yield "expected the same activity twice, found different bits; is dropout still on?"
    if not torch.equal(windows, given):
        yield "expected the windows left as they were given, found that it changes them; work on a copy"


def check_windows(encoder: Encoder, clip: Clip) -> Iterator[str]:
    """A clip's activity is the mean over its windows, however many are computed at once."""
    spec = encoder.spec
    windows = clip.windows(encoder)
    with torch.no_grad():
        together = encoder.responses(windows)
        alone = torch.cat([encoder.responses(window[None]) for window in windows])
    if _differ(_numbers(together), _numbers(alone)):
        yield "expected a window to answer the same alone and among others, found different activity"
    if with_state(encoder) is not None:
        return
    total = np.zeros((spec.neurons, len(clip.video)))
    for frames, activity in zip(spec.windows.indices(spec.windows.starts(len(clip.video))), alone, strict=True):
        total[:, frames] += activity.cpu().double().numpy()
    expected = total / np.maximum(spec.windows.coverage(len(clip.video)), 1)
    for chunk in (None, 1, 3):
        predicted = encoder.predict(clip.video, clip.behavior, clip.pupil_center, chunk=chunk)
        if _differ(predicted, expected):
            yield f"expected predict to be the mean over all windows, found other activity (chunk {chunk})"


def check_state(encoder: Encoder, clip: Clip) -> Iterator[str]:
    """An encoder with a state goes on where it stopped, predicts so, and begins windows as clips."""
    stateful = with_state(encoder)
    if stateful is None:
        return
    inputs, step, size = encoder.pack(clip.video, clip.behavior, clip.pupil_center), *_pace(encoder)
    paced = inputs[None, :, ::step]
    with torch.no_grad():
        whole, _ = stateful.continued(paced)
        first, state = stateful.continued(paced[:, :, : size // 2])
        rest, _ = stateful.continued(paced[:, :, size // 2 :], state)
        window = encoder.responses(paced[:, :, :size])
    found = torch.cat([first, rest], dim=2)
    if _differ(_numbers(found), _numbers(whole)):
        yield "expected the same activity in two parts as in one, found another: is all of its state given on?"
    if _differ(_numbers(window), _numbers(whole[:, :, :size])):
        yield "expected a window to begin as a clip does, found different activity"
    predicted = encoder.predict(clip.video, clip.behavior, clip.pupil_center)[:, ::step]
    if _differ(predicted, _numbers(whole[0])):
        yield "expected predict to run through the whole clip, found other activity"


def _pace(encoder: Encoder) -> tuple[int, int]:
    return encoder.spec.windows.step, encoder.spec.windows.size


def check_causality(encoder: Encoder, clip: Clip) -> Iterator[str]:
    """Where it is promised, later frames of a window do not change the activity of earlier ones."""
    if not encoder.spec.causal:
        return
    windows = clip.windows(encoder)[:1]
    changed, later = windows.clone(), encoder.spec.windows.size // 2
    changed[:, 0, later:] = 255.0 - changed[:, 0, later:]
    with torch.no_grad():
        before, after = (_numbers(encoder.responses(each)[..., :later]) for each in (windows, changed))
    if _differ(after, before):
        yield "expected activity that does not depend on later frames, as the encoder is causal, found that it does"


def check_devices(encoder: Encoder, clip: Clip) -> Iterator[str]:
    """An accelerator gives the same activity as the CPU, where there is one and the encoder can be moved."""
    for device in accelerators():
        activity = []
        for place in ("cpu", device):
            moved = copy.deepcopy(encoder)
            if not isinstance(moved, Movable):
                return
            moved.to(device=place)
            activity.append(moved.predict(clip.video, clip.behavior, clip.pupil_center))
        if _differ(activity[1], activity[0], DEVICE_TOLERANCE):
            yield f"expected the same activity on {device} as on the CPU, found another"


def accelerators() -> tuple[str, ...]:
    """Devices other than the CPU that this machine has."""
    return ("cuda",) if torch.cuda.is_available() else ()


def check_neurons(encoder: Encoder, clip: Clip) -> Iterator[str]:
    """Some neurons answer the same as among all, in the order asked for; a wrong number of them is refused."""
    windows = clip.windows(encoder)[:1]
    some = torch.arange(encoder.spec.neurons - 1, -1, -2, device=windows.device)
    with torch.no_grad():
        expected, found = encoder.responses(windows)[:, some], encoder.responses(windows, some)
    if found.shape != expected.shape or _differ(_numbers(found), _numbers(expected)):
        yield "expected a subset of neurons to answer as among all, found other activity"
    try:
        encoder.require_neurons(encoder.spec.neurons + 1, "a recording")
    except VidreconError:
        return
    yield f"expected a recording of {encoder.spec.neurons + 1} neurons to be refused, found that it is taken"


def check_behavior(encoder: Encoder, clip: Clip) -> Iterator[str]:
    """A clip without behaviour is predicted with the mean the encoder keeps; behaviour that is too short is refused."""
    predicted, frames = encoder.predict(clip.video), len(clip.video)
    if predicted.shape != (encoder.spec.neurons, frames) or not np.isfinite(predicted).all():
        yield "expected finite activity for a clip without behaviour, found another size, NaN or infinity"
    neutral = Traits.of(encoder).neutral_behavior
    if neutral is not None:
        mean = np.repeat(np.asarray(neutral, dtype=np.float32)[:, None], frames, axis=1)
        if _differ(predicted, encoder.predict(clip.video, mean[:2], mean[2:])):
            yield "expected a clip without behaviour to be predicted with the encoder's neutral one, found another"
    try:
        encoder.pack(clip.video, clip.behavior[:, 1:], clip.pupil_center[:, 1:])
    except VidreconError:
        return
    yield "expected behaviour that is a frame too short to be refused, found that it is taken"


CHECKS: dict[str, Callable[[Encoder, Clip], Iterator[str]]] = {
    "shapes": check_shapes,
    "finite": check_finite,
    "gradient": check_gradient,
    "determinism": check_determinism,
    "windows": check_windows,
    "state": check_state,
    "causality": check_causality,
    "devices": check_devices,
    "neurons": check_neurons,
    "behavior": check_behavior,
}
"""All checks by name, in the order they are made."""


def _numbers(activity: torch.Tensor) -> np.ndarray:
    # Numpy knows no bfloat16.
    return activity.detach().to("cpu", torch.promote_types(activity.dtype, torch.float32)).numpy()


def _differ(found: np.ndarray, expected: np.ndarray, tolerance: float = RELATIVE_TOLERANCE) -> bool:
    scale = max(float(np.abs(expected).max()), 1e-12)
    return not bool(np.abs(found - expected).max() <= tolerance * scale)
