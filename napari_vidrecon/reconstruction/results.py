"""A finished or partial reconstruction, and its directory on disk."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon.errors import RunError, one_line, optional_module
from napari_vidrecon.reconstruction.composition import StopAtPlateau, StopByHeldOut, told_by_pupil
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.history import SCORES, UNCHECKED, Evaluation, History, measured_frames, scored_page
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, AlphaMask
from napari_vidrecon.reconstruction.run_folder import (
    FORMAT,
    by_number,
    check_can_be_opened,
    check_replaceable,
    checked_config,
    checked_history,
    dimensions,
    flattened_state,
    nested_state,
    not_of_the_run,
    plain,
    plain_texts,
    read_run,
)
from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.storage import reading, replacing_folder, user_path

if TYPE_CHECKING:
    import xarray


SUFFIX = ".zarr"
UNITS = {
    **dict.fromkeys(("video", "stimulus"), "grey levels, 0..255"),
    **dict.fromkeys(("target", "predicted_activity"), "activity as recorded"),
    **dict.fromkeys(("keep", "alpha", "gain"), "1"),
    "gaze_px": "px",
}
"""Of the arrays of a run."""
OPTIONAL = ("predicted_activity", "gaze_px", "gain")
"""Arrays that not every run has."""
ALONE = "one presentation hardly tells it from a moving scene; `vidrecon gaze` finds what the pupil tells of it"


@dataclass(eq=False, repr=False)
class Reconstruction:
    """What a run made.

    Parameters
    ----------
    video
        (T, 36, 64) float32, 0..255, unmasked, unsmoothed; the mean over encoders.
    history
        What happened step by step.
    config
        Every setting.
    provenance
        Plain values: what went in (hashes, seeds, thresholds), versions, device, times.
    videos
        One movie an encoder, where movies were averaged.
    stimulus
        (T, 36, 64) the true movie.
    target
        (N, T) the activity matched.
    predicted_activity
        (N, T) predicted at the end from the movie that `config.predicted_from` names, or None.
    keep
        (N,) bool, neurons that took part.
    alpha
        The mask's alpha values; of several mice the largest at each pixel.
    levels
        What the true movie reaches (response_loss, response_correlation).
    state
        What is needed to go on; None once finished.
    mice
        Alpha values of each mouse's own mask on the common screen, the first mouse's first; empty for one mouse.
    gaze_px
        (presentations, 2, T) columns and rows, pixels, that the receptive fields moved by, the trial's own presentation
        first; None unless it was inferred.
    gain
        (presentations, T) factor of all neurons; None unless it was inferred.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> clip = vr.open_session(sample.session).trial(0).part(0, 40)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> config = vr.ReconstructionConfig.preset("fast", steps=1)
    >>> result = vr.reconstruct(clip, [encoder], vr.AlphaMask.load(sample.mask), config)
    >>> result.finished, result.measured_frames
    (True, slice(30, None, None))
    """

    video: np.ndarray
    history: History
    config: ReconstructionConfig
    provenance: dict[str, Any]
    stimulus: np.ndarray
    target: np.ndarray
    keep: np.ndarray
    alpha: np.ndarray
    videos: list[np.ndarray] = field(default_factory=list)
    predicted_activity: np.ndarray | None = None
    levels: dict[str, float] = field(default_factory=dict)
    state: dict[str, Any] | None = None
    mice: list[np.ndarray] = field(default_factory=list)
    gaze_px: np.ndarray | None = None
    gain: np.ndarray | None = None

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or the run ended early by its own rule: then nothing is left to go on from."""
        steps = self.history["step"]
        ended = self.state is None and isinstance(self.config.stopping, (StopByHeldOut, StopAtPlateau))
        return len(steps) > 0 and (ended or int(steps[-1]) >= self.config.steps)

    @property
    def name(self) -> str:
        """What was reconstructed: the session and the trial or stimulus, as a person may read it."""
        session, trial = one_line(self.provenance.get("session") or " "), self.provenance.get("trial", "?")
        told = trial == STIMULUS_TRIAL or f"trial {trial}" in session
        return session if told else f"{session} trial {trial}".strip()

    @property
    def label(self) -> str:
        """One line for people: what it is of, how long, how far, and how good."""
        steps, correlation = self.history["step"], self.history.last("video_correlation")
        parts = [
            "simulated mouse" if self.simulated else "",
            self.name,
            f"{len(self.video)} frames",
            f"{int(max(steps, default=0))} of {self.config.steps} steps",
            "" if math.isnan(correlation) else f"video correlation {correlation:.3f}",
            "" if self.has_movie else UNCHECKED,
        ]
        return ", ".join(part for part in parts if part)

    def __repr__(self) -> str:
        return f"<Reconstruction: {self.label}>"

    def _repr_html_(self) -> str:
        part = self.measured_frames
        by_mouse = self.scores_by_mouse().items()
        inside = {f"video_correlation of {name}": told["video_correlation"] for name, told in by_mouse}
        by_colour = self.scores_by_colour().items()
        inside |= {f"video_correlation in {name}": told["video_correlation"] for name, told in by_colour}
        return scored_page(self.label, self.stimulus[part], self.video[part], {**self.scores(), **inside})

    @property
    def simulated(self) -> bool:
        """Whether the mouse is a simulation."""
        return bool(self.provenance.get("simulated"))

    @property
    def colours(self) -> tuple[str, ...]:
        """Names of the colours, whose movies stand one below the other; empty for grey levels."""
        told = self.provenance.get("colours") or []
        named = tuple(str(each) for each in told) if isinstance(told, list) else ()
        return named if len(named) > 1 and self.video.shape[1] % len(named) == 0 else ()

    @property
    def planes(self) -> int:
        """Colours, or 1 for movies of grey levels."""
        return max(1, len(self.colours))

    @property
    def has_movie(self) -> bool:
        """Whether anything tells what was shown; if not, `stimulus` is grey and no score is defined."""
        return self.provenance.get("movie", True) is not False

    @property
    def frame_rate_hz(self) -> float:
        """Frames a second."""
        return float(self.provenance.get("frame_rate_hz", FRAME_RATE_HZ))

    @property
    def start_s(self) -> float:
        """Time of the first frame in its trial, seconds."""
        clip = (self.provenance.get("inputs") or {}).get("frames") or [0, None]
        return float(clip[0]) / self.frame_rate_hz

    @property
    def measured_frames(self) -> slice:
        """The frames that are measured: all but the first ones, where the clip is long enough."""
        return measured_frames(len(self.video), self.config.track_skip_frames)

    @property
    def evaluation_mask(self) -> np.ndarray:
        """(36, 64) bool, the pixels that are measured."""
        return self._pixels("evaluation_threshold", EVALUATION_THRESHOLD)

    @property
    def training_mask(self) -> np.ndarray:
        """(36, 64) bool, the pixels that the run was allowed to change."""
        return self._pixels("mask_threshold", TRAINING_THRESHOLD)

    def _pixels(self, name: str, usual: float) -> np.ndarray:
        return AlphaMask(self.alpha).for_screen(*self.video.shape[1:]).binary(float(self.provenance.get(name, usual)))

    @property
    def own_alpha(self) -> np.ndarray:
        """Alpha values of the first mouse's own mask; `alpha` is the union over all."""
        return self.mice[0] if self.mice else self.alpha

    @property
    def mouse_names(self) -> list[str]:
        """What to call each of several mice, in the order of `mice`; empty for one mouse."""
        if not self.mice:
            return []
        others = [each.get("name", "") for each in (self.provenance.get("inputs") or {}).get("mice") or []]
        names = [one_line(name) for name in (self.provenance.get("session", ""), *others)]
        names += [""] * (len(self.mice) - len(names))
        return [name or f"mouse {place}" for place, name in enumerate(names[: len(self.mice)], start=1)]

    def masks_of_mice(self, threshold: float | None = None) -> list[np.ndarray]:
        """(36, 64) bool, where each of several mice is measured, in the order of `mice`.

        Parameters
        ----------
        threshold
            Least alpha; None: that of the evaluation mask.

        Returns
        -------
        list[np.ndarray]
            Empty for one mouse.
        """
        usual = float(self.provenance.get("evaluation_threshold", EVALUATION_THRESHOLD))
        least = usual if threshold is None else threshold
        return [AlphaMask(alpha).for_screen(*self.video.shape[1:]).binary(least) for alpha in self.mice]

    def scores_by_mouse(self) -> dict[str, dict[str, float]]:
        """Likeness of reconstruction and stimulus inside each mouse's own mask, and how well its activity is explained.

        Returns
        -------
        dict[str, dict[str, float]]
            By name, as `scores`, and `pixels`; empty for one mouse. Without a pixel or a movie the scores are NaN.
        """
        explained = self.provenance.get("response_correlations") or []
        found: dict[str, dict[str, float]] = {}
        for place, (name, mask) in enumerate(zip(self.mouse_names, self.masks_of_mice(), strict=True)):
            measured = self.has_movie and bool(mask.any())
            own = self._measured_in(mask).scores(self.video) if measured else {}
            told = explained[place] if place < len(explained) else None
            # Two presentations of one mouse may have one name.
            key = name if name not in found else f"{name} ({place + 1})"
            found[key] = {
                "pixels": float(mask.sum()),
                **(own or dict.fromkeys(SCORES, math.nan)),
                "response_correlation": math.nan if told is None else float(told),
            }
        return found

    def scores_by_colour(self) -> dict[str, dict[str, float]]:
        """Likeness of reconstruction and stimulus in each colour, inside its part of the mask.

        Returns
        -------
        dict[str, dict[str, float]]
            By name, as `scores`, and `pixels`; empty for grey levels. Without a pixel or a movie the scores are NaN.
        """
        found: dict[str, dict[str, float]] = {}
        for name, (own, mask, video) in self._in_colours().items():
            scores = dict.fromkeys(SCORES, math.nan) if own is None else own.scores(video)
            found[name] = {"pixels": float(mask.sum()), **scores}
        return found

    def correlation_by_colour(self) -> dict[str, float]:
        """Video correlation of each colour inside its part of the mask, without the other scores; NaN as there."""
        told = self._in_colours().items()
        return {name: math.nan if own is None else own.video_correlation(video) for name, (own, _, video) in told}

    def _in_colours(self) -> dict[str, tuple[Evaluation | None, np.ndarray, np.ndarray]]:
        """Of each colour how it is measured, where that can be, its part of the mask and of the movie."""
        parts = (np.split(each, self.planes, axis=-2) for each in (self.stimulus, self.evaluation_mask, self.video))
        return {
            name: (
                Evaluation(stimulus, mask, self.config.track_skip_frames) if self.has_movie and mask.any() else None,
                mask,
                video,
            )
            for name, stimulus, mask, video in zip(self.colours, *parts, strict=False)
        }

    def inferred(self) -> dict[str, str]:
        """What was inferred besides the movie, in words, of the trial's own presentation; empty if nothing was."""
        told = {}
        if self.gaze_px is not None:
            away = np.hypot(*self.gaze_px[0])
            told["gaze"] = f"inferred: up to {away.max():.1f} px from rest, {away.mean():.1f} px on average"
            if len(self.gaze_px) == 1 and not told_by_pupil(self.config.gaze):
                found = told["gaze"] if away.any() else "not inferred"
                told["gaze"] = f"{found}: {ALONE}"
        if self.gain is not None:
            told["gain"] = f"inferred: {self.gain[0].min():.2f} to {self.gain[0].max():.2f}"
        return told

    def inferred_columns(self) -> dict[str, np.ndarray]:
        """The same frame by frame, (T,) each, for tables."""
        gaze, gain = self.gaze_px, self.gain
        columns = {} if gaze is None else {"gaze_columns_px": gaze[0, 0], "gaze_rows_px": gaze[0, 1]}
        return columns if gain is None else {**columns, "gain": gain[0]}

    def evaluation(self) -> Evaluation:
        """What measures movies against the stimulus as this run is measured."""
        return self._measured_in(self.evaluation_mask)

    def _measured_in(self, mask: np.ndarray) -> Evaluation:
        return Evaluation(self.stimulus, mask, self.config.track_skip_frames, self.planes)

    def scores(self) -> dict[str, float]:
        """Likeness of reconstruction and stimulus inside the evaluation mask, over the measured frames.

        Returns
        -------
        dict[str, float]
            video_correlation, mean_frame_correlation, rmse (grey levels), ssim, and response_correlation at the end.
        """
        return {
            **(self.evaluation().scores(self.video) if self.has_movie else dict.fromkeys(SCORES, math.nan)),
            "response_correlation": self.history.last("response_correlation"),
        }

    def agreement(self) -> float:
        """Mean correlation between the movies of its encoders inside the evaluation mask; NaN with a single movie.

        Returns
        -------
        float
            -1..1. Where no movie says what was shown, it tells how much depends on the encoder; that all have the same
            fault it does not tell.
        """
        movies = [movie[self.measured_frames][:, self.evaluation_mask].ravel() for movie in self.videos]
        if len(movies) < 2:
            return math.nan
        return float(np.corrcoef(movies)[np.triu_indices(len(movies), 1)].mean())

    def to_xarray(self) -> xarray.Dataset:
        """Movies (time, row, column) and activity (neuron, time) with their coordinates: seconds, pixels, numbers.

        Returns
        -------
        xarray.Dataset
            video, stimulus, target, keep, alpha and, where there is one, predicted_activity, each with its `units`;
            settings and provenance are attributes, as JSON text that a netCDF file takes too.

        Raises
        ------
        ConfigError
            xarray is not installed.
        """
        xarray = optional_module("xarray", "xarray", "a reconstruction as a dataset")
        arrays = {name: array for name, array in self._arrays().items() if "/" not in name}
        data = {
            name: (dimensions(name, array, self.video, self.target), array, {"units": UNITS[name]})
            for name, array in arrays.items()
        }
        times_s = self.start_s + np.arange(len(self.video)) / self.frame_rate_hz
        rows, columns = map(np.arange, self.video.shape[1:])
        return xarray.Dataset(
            data,
            coords={
                "time": ("time", times_s, {"units": "s", "long_name": "time in the trial"}),
                "row": ("row", rows, {"units": "px", "long_name": "from the top of the screen"}),
                "column": ("column", columns, {"units": "px", "long_name": "from the left of the screen"}),
            },
            attrs={
                "title": self.name,
                "config": json.dumps(plain(self.config.model_dump())),
                "provenance": json.dumps(plain(self.provenance)),
            },
        )

    def save(self, path: Path | str) -> None:
        """Write to a zarr directory: under a temporary name, then moved into place.

        A run that stands there is replaced; what else somebody put into its folder stays.

        Parameters
        ----------
        path
            The run folder.

        Raises
        ------
        RunError
            Its arrays or its provenance were changed so that it could not be opened again.
        StorageError
            Something else than a run is there, the disk is full, read-only, or writing is not permitted.
        """
        import zarr
        from zarr.storage import LocalStore

        path = user_path(path)
        check_replaceable(path)
        try:
            provenance = plain_texts(self.provenance)
        except (TypeError, ValueError) as error:
            raise RunError(f"{path}: expected plain values in provenance, found others ({one_line(error)})") from None
        check_can_be_opened(path, provenance, self._arrays())
        with replacing_folder(path, theirs=not_of_the_run) as temporary:
            root = zarr.open_group(LocalStore(temporary), mode="w", zarr_format=3)
            root.attrs.update(
                {
                    "format": FORMAT,
                    "finished": self.finished,
                    "config": self.config.model_dump(),
                    "provenance": provenance,
                    "levels": plain(self.levels),
                    "history": {name: plain(values) for name, values in self.history.as_dict().items()},
                }
            )
            for name, array in self._arrays().items():
                named = dimensions(name, array, self.video, self.target)
                root.create_array(name, data=np.ascontiguousarray(array), dimension_names=named)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {
            "video": self.video,
            "stimulus": self.stimulus,
            "target": self.target,
            "keep": self.keep,
            "alpha": self.alpha,
        }
        arrays |= {f"videos/{index}": video for index, video in enumerate(self.videos)}
        arrays |= {f"mice/{index}": alpha for index, alpha in enumerate(self.mice)}
        for name in OPTIONAL:
            if (array := getattr(self, name)) is not None:
                arrays[name] = array
        if self.state is not None:
            arrays |= flattened_state(self.state, "state")
        return arrays

    @classmethod
    def load(cls, path: Path | str) -> Reconstruction:
        """Read a run's directory.

        Parameters
        ----------
        path
            The run folder.

        Returns
        -------
        Reconstruction
            Finished, or as far as the run came.

        Raises
        ------
        RunError
            Missing, not a run, or damaged.
        """
        path = user_path(path)
        with reading(path, RunError, "a complete run"):
            if not path.is_dir():
                found = "a file" if os.path.lexists(path) else "nothing there"
                raise RunError(f"{one_line(path)}: expected a run folder, found {found}")
            attributes, told, arrays = read_run(path)
            return cls(
                video=arrays["video"],
                history=checked_history(attributes),
                config=checked_config(attributes.config),
                provenance=told.get("provenance", {}),
                stimulus=arrays["stimulus"],
                target=arrays["target"],
                keep=arrays["keep"],
                alpha=arrays["alpha"],
                videos=[arrays[name] for name in sorted(arrays, key=by_number) if name.startswith("videos/")],
                mice=[arrays[name] for name in sorted(arrays, key=by_number) if name.startswith("mice/")],
                **{name: arrays.get(name) for name in OPTIONAL},
                levels={name: math.nan if value is None else value for name, value in attributes.levels.items()},
                state=nested_state(arrays, "state"),
            )
