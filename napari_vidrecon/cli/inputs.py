"""Opening what a command names, and refusing what does not belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vidrecon.cli.options import read_movie
from napari_vidrecon.cli.report import tell
from napari_vidrecon.errors import (
    ConfigError,
    EncoderError,
    SessionError,
    StorageError,
    VidreconError,
    number_of,
    one_line,
)

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.encoders.window_encoder import WindowEncoder
    from napari_vidrecon.reconstruction.decoder import Decoder
    from napari_vidrecon.reconstruction.masks import AlphaMask
    from napari_vidrecon.reconstruction.several_mice import AnotherMouse
    from napari_vidrecon.sessions.session import Session, Trial

LONGEST_WORD = 60
"""Letters of a name that go into the name of a file."""
NO_MASK = "none"
MOST_DIGITS = 18
"""Of a number that counts something; Python reads no whole number of thousands."""


def parse_frames(text: str | None) -> tuple[int, int | None]:
    """First frame and end of "A:B"; either may be left out.

    Returns
    -------
    tuple[int, int | None]
        0 and None where nothing is said.

    Raises
    ------
    ConfigError
        Not of that form.
    """
    start, separator, stop = (text if text is not None else ":").partition(":")
    try:
        if not separator:
            raise ValueError
        return int(start or 0), int(stop) if stop else None
    except ValueError:
        told = one_line(text, LONGEST_WORD)
        raise ConfigError(f"--frames {told}: expected A:B, two frame numbers, e.g. 0:64") from None


def open_trial(session: Session, trial_id: int, frames: str | None = None) -> Trial:
    """One trial, or a part of it that is long enough to reconstruct.

    Parameters
    ----------
    session
        The mouse.
    trial_id
        One of its trials.
    frames
        "START:STOP", or None for the whole trial.

    Returns
    -------
    Trial
        With at least as many frames as a window needs.

    Raises
    ------
    SessionError
        The trial cannot be read, or has no such frames, or too few of them.
    """
    from napari_vidrecon.sessions.trial_files import MINIMUM_FRAMES

    start, stop = parse_frames(frames)
    trial = session.trial(trial_id)
    if frames is None:
        return trial
    part = trial.part(start, trial.frames if stop is None else stop)
    if part.frames < MINIMUM_FRAMES:
        raise SessionError(
            f"{trial.name}: expected at least {MINIMUM_FRAMES} frames, found {part.frames}; choose more with --frames"
        )
    return part


def open_stimulus(session: Session, file: Path, name: str | None = None) -> Trial:
    """A movie in a file, shown to the session's mouse at its average behaviour.

    Parameters
    ----------
    session
        Whose behaviour goes with it.
    file
        `.npy`, as `read_movie` takes it.
    name
        What to call it; default: the name of the file.

    Returns
    -------
    Trial
        Its responses are withheld.

    Raises
    ------
    StorageError
        It cannot be read, or is no movie of the screen.
    """
    from napari_vidrecon.sessions.stimuli.stimulus import GivenMovie, stimulus_trial

    return stimulus_trial(GivenMovie(name or file.stem, read_movie(file, session.screen)), session)


def file_word(name: str) -> str:
    """A name for people as a part of a file's name."""
    word = "".join(each if each.isalnum() or each in "-_." else "_" for each in name)[:LONGEST_WORD]
    return word.strip("._") or "stimulus"


def choose_trials(session: Session, trial_ids: Sequence[int], which: str | None) -> list[int]:
    """Trials by number, and all trials of a tier.

    Parameters
    ----------
    session
        The mouse.
    trial_ids
        Given one by one.
    which
        A tier, "all-test" for all tiers with test in their name, or "fold:K" for a fold of the labelled trials (Bauer
        et al. 2026 hold out fold 0).

    Returns
    -------
    list[int]
        Each once, in the order given.

    Raises
    ------
    SessionError
        Nothing was chosen, or no such trial, tier or fold.
    """
    chosen = list(trial_ids)
    for trial_id in chosen:
        if trial_id not in session.tiers:
            raise SessionError(
                f"{session.path}: expected a trial from {session.trial_ids[0]} to {session.trial_ids[-1]}, "
                f"found --trial {trial_id}"
            )
    if which is not None and not which.strip():
        raise ConfigError('--trials: expected a tier, "all-test" or fold:K, found nothing; leave it out, or say which')
    if which is not None:
        found = _trials_of(session, which)
        if not found:
            tiers = one_line(", ".join(dict.fromkeys(session.tiers.values())))
            raise SessionError(
                f"{session.path}: expected trials for --trials {one_line(which, LONGEST_WORD)}, found none; "
                f"its tiers are {tiers}"
            )
        chosen += found
    if not chosen:
        raise SessionError(f"{session.path}: expected a trial to work on, found none; give --trial or --trials")
    return list(dict.fromkeys(chosen))


def _trials_of(session: Session, which: str) -> list[int]:
    kind, separator, number = which.partition(":")
    if kind == "fold" and separator:
        if not number.isdecimal() or len(number) > MOST_DIGITS:
            raise ConfigError(f"--trials {one_line(which, LONGEST_WORD)}: expected fold:K with a number K, e.g. fold:0")
        return session.trials_in_fold(int(number))
    if which == "all-test":
        return [trial_id for trial_id, tier in session.tiers.items() if "test" in tier]
    return session.trials_in_tier(which)


def choose_repeats(session: Session, chosen: Sequence[int], which: str) -> dict[int, list[int]]:
    """The further presentations of every clip that --repeats names.

    Parameters
    ----------
    session
        The mouse.
    chosen
        The trials to reconstruct.
    which
        "all", or numbers of trials divided by commas.

    Returns
    -------
    dict[int, list[int]]
        {trial: further presentations}, each clip once; a clip that is shown once has none, and a line says so.

    Raises
    ------
    SessionError
        One of the numbers is no trial, or shows another clip.
    ConfigError
        Neither "all" nor numbers; or numbers beside several trials.
    """
    from napari_vidrecon.sessions.repeats import trials_showing

    if which != "all":
        numbers = [each.strip() for each in which.split(",")]
        if not all(each.isdecimal() and len(each) <= MOST_DIGITS for each in numbers):
            raise ConfigError(
                f'--repeats {one_line(which, LONGEST_WORD)}: expected "all" or trial numbers such as 3,7,9'
            )
        if len(chosen) > 1:
            raise ConfigError(
                f"--repeats {one_line(which, LONGEST_WORD)}: expected one trial that these are repeats of, "
                f"found {len(chosen)}; give one --trial, or --repeats all"
            )
        wanted = list(dict.fromkeys(map(int, numbers)))
        known = trials_showing(session, chosen[0])
        for each in wanted:
            if each not in known:
                others = ", ".join(str(other) for other in known if other != chosen[0]) or "none"
                raise SessionError(
                    f"{session.path}: expected recorded trials that show the clip of trial {chosen[0]}, found "
                    f"--repeats {each}; those are: {others}"
                )
        return {chosen[0]: [each for each in wanted if each != chosen[0]]}
    found: dict[int, list[int]] = {}
    seen: set[int] = set()
    for trial_id in chosen:
        if trial_id in seen:
            continue
        known = trials_showing(session, trial_id)
        seen.update(known)
        found[trial_id] = [each for each in known if each != trial_id]
        if not found[trial_id]:
            tell(f"--repeats: the clip of trial {trial_id} was shown once; it is reconstructed alone")
    return found


@dataclass(frozen=True)
class OpenedMouse:
    """What --with-mouse and the options of the same place name.

    Parameters
    ----------
    session
        Of the mouse.
    encoders
        Bound to it.
    mask
        Its mask.
    trial_id
        Its presentation of the clip; None: found by content.
    """

    session: Session
    encoders: list[WindowEncoder]
    mask: AlphaMask
    trial_id: int | None = None

    def that_saw(self, clip: Trial, of: Session) -> AnotherMouse:
        """With its presentation of a clip that the mouse of session `of` saw."""
        from napari_vidrecon.reconstruction.several_mice import mouse_that_saw

        if self.session.path.resolve() == of.path.resolve():
            raise ConfigError(
                f"--with-mouse {self.session.path}: expected another mouse, found the session itself; "
                "--repeats fits several presentations of one mouse"
            )
        given = self.session, self.encoders, self.mask
        return mouse_that_saw(clip, *given, screen=of.screen, trial_id=self.trial_id)


def open_mice(
    sessions: Sequence[Path],
    encoders: Sequence[Path],
    masks: Sequence[str],
    trial_ids: Sequence[int],
    device: str,
    force_mouse: bool,
    **loading: Any,
) -> list[OpenedMouse]:
    """Further mice, each with what was given for it.

    Parameters
    ----------
    sessions
        Folders.
    encoders
        Files, in the order of the sessions; as many for each.
    masks
        Files or "none", one for each.
    trial_ids
        One for each, or none at all.
    device
        "auto", "cpu", "cuda", ...
    force_mouse
        Also take encoders of a mouse with another name.
    loading
        `precision` and `memory_gib` of `load_encoder`.

    Returns
    -------
    list[OpenedMouse]
        In the order of `sessions`.

    Raises
    ------
    ConfigError
        Too many or too few of one kind.
    """
    from napari_vidrecon.sessions.session import open_session

    count = len(sessions)
    each = "one" if count < 2 else f"{count}, in the order of --with-mouse"
    for name, given, fits in (
        ("--with-encoder", encoders, len(encoders) % count == 0 and len(encoders) > 0 if count else not encoders),
        ("--with-mask", masks, len(masks) == count),
        ("--with-trial", trial_ids, len(trial_ids) in (0, count)),
    ):
        if not fits:
            expected = (each if name != "--with-encoder" else "as many for each --with-mouse") if count else "none"
            raise ConfigError(f"{name}: expected {expected}, found {len(given)} beside {count} --with-mouse")
    found = []
    known: dict[tuple[Path, ...], tuple[Session, list[WindowEncoder]]] = {}
    for place, (folder, mask) in enumerate(zip(sessions, masks, strict=True)):
        share = len(encoders) // count
        files = encoders[place * share : (place + 1) * share]
        # Two presentations of one mouse count as such only with the very same encoders.
        if (folder, *files) not in known:
            opening = open_session(folder)
            theirs = open_encoders(files, opening, None, device, force_mouse, **loading)
            known[(folder, *files)] = opening, theirs
        session, opened = known[(folder, *files)]
        trial_id = trial_ids[place] if trial_ids else None
        found.append(OpenedMouse(session, opened, open_mask(mask, session), trial_id))
    return found


def readout_of(mouse: str | None) -> int | str | None:
    """The readout that --mouse names: an index, or a mouse.

    Returns
    -------
    int | str | None
        None where nothing was given.

    Raises
    ------
    EncoderError
        A number that cannot be an index.
    """
    if mouse is None or not mouse.isdecimal():
        return mouse
    if len(mouse) > MOST_DIGITS:
        raise EncoderError(f"--mouse {one_line(mouse, LONGEST_WORD)}: expected the index or name of a readout")
    return int(mouse)


def open_encoders(
    files: Sequence[Path],
    session: Session,
    mouse: str | None,
    device: str,
    force_mouse: bool,
    **loading: Any,
) -> list[WindowEncoder]:
    """Encoders bound to the session's mouse.

    Parameters
    ----------
    files
        Encoder files.
    session
        The mouse.
    mouse
        Index or name of the readout, or None to choose by the number of neurons.
    device
        "auto", "cpu", "cuda", ...
    force_mouse
        Also take encoders of a mouse with another name.
    loading
        `precision` and `memory_gib` of `load_encoder`.

    Returns
    -------
    list[WindowEncoder]
        In the order of `files`.

    Raises
    ------
    EncoderError
        A file cannot be read, or does not fit the session.
    """
    from napari_vidrecon.encoders.answers import check_session_fits
    from napari_vidrecon.encoders.checkpoints import load_encoder

    readout = readout_of(mouse)
    encoders = []
    for file in files:
        encoder = load_encoder(file, readout, device, neurons=session.n_neurons, **loading)
        encoder.require_neurons(session.n_neurons, session.name)
        require_mouse(encoder, session, force=force_mouse)
        check_session_fits(encoder, session)
        encoders.append(encoder)
    return encoders


def require_mouse(encoder: Encoder, session: Session, *, force: bool = False) -> None:
    """Refuse an encoder that says it was made for another mouse; reference checkpoints say nothing.

    Parameters
    ----------
    encoder
        Bound to a readout.
    session
        The mouse.
    force
        Take it whatever it says.

    Raises
    ------
    EncoderError
        Its mouse has another name than the session, or other neurons, and `force` is not set.
    """
    from napari_vidrecon.encoders.answers import of_other_neurons

    if force:
        return
    _require_same_mouse(f"{encoder.spec.name}: expected an encoder", encoder.spec.mouse, session, EncoderError)
    if of_other_neurons(encoder, session):
        raise EncoderError(
            f"{encoder.spec.name}: expected an encoder of the neurons of {session.name} in their order, found one of "
            "others, or of another order; train one on this session, or give --force-mouse if they are the same row "
            "by row"
        )


def _require_same_mouse(expected: str, mouse: str, session: Session, error: type[VidreconError]) -> None:
    if mouse and mouse != session.name:
        raise error(
            f"{expected} of {session.name}, found one of {mouse}; choose the one of this mouse, "
            "or give --force-mouse if only the folder's name differs"
        )


def open_decoder(file: Path, session: Session, *, force_mouse: bool = False) -> Decoder:
    """A decoder that was fitted for the session's mouse.

    Parameters
    ----------
    file
        As `vidrecon decoder` writes it.
    session
        The mouse.
    force_mouse
        Also take the decoder of a mouse with another name.

    Returns
    -------
    Decoder
        For as many neurons as the session has.

    Raises
    ------
    StorageError
        It cannot be read, or is no decoder.
    ConfigError
        It does not fit the session.
    """
    from napari_vidrecon.reconstruction.decoder import Decoder

    decoder = Decoder.load(file)
    decoder.require_neurons(session.n_neurons, session.name, str(file))
    screen, rate_hz = session.screen, session.frame_rate_hz
    decoder.require_screen(screen.size_px, screen.colours, session.name, str(file), frame_rate_hz=rate_hz)
    if not force_mouse:
        _require_same_mouse(f"{file}: expected a decoder", decoder.mouse, session, ConfigError)
    return decoder


def open_mask(text: str, session: Session) -> AlphaMask:
    """The mask in a file, or the whole screen for "none".

    Parameters
    ----------
    text
        The file, or "none".
    session
        On whose screen it lies.

    Returns
    -------
    AlphaMask
        Of the size of the screen or of the published canvas.

    Raises
    ------
    MaskError
        The file cannot be read or is no mask.
    """
    from napari_vidrecon.encoders.encoder import Canvas
    from napari_vidrecon.reconstruction.masks import AlphaMask

    rows, columns = session.screen.size_px
    if text == NO_MASK:
        return AlphaMask.full(Canvas.of_screen(rows, columns))
    return AlphaMask.load(Path(text)).for_screen(rows, columns)


def warn_of_known_clips(encoders: Sequence[Encoder], session: Session, trial_ids: Sequence[int], remedy: str) -> None:
    """Say on stderr that an encoder learned from clips that it should be new to, where its file tells.

    Parameters
    ----------
    encoders
        Bound to the session's mouse.
    session
        The mouse.
    trial_ids
        Of the clips.
    remedy
        What is wrong then, and what to do.
    """
    for encoder in encoders:
        told = encoder.spec.provenance
        if encoder.spec.mouse != session.name or "held_out_fold" not in told:
            continue
        fold = told["held_out_fold"]
        if fold is None:
            both = [each for each in trial_ids if session.tiers[each] == "train"]
        else:
            both = [each for each in trial_ids if session.fold_of_trial(each) not in (None, fold)]
        if both:
            clips = "trial" if len(both) == 1 else f"{len(both)} of these clips, first from trial"
            tell(f"take care: {encoder.spec.name} learned from {clips} {both[0]}; {remedy}")


LEAST_SCORE = 0.05
"""Single-trial correlation; of the public mice encoders reach 0.2 to 0.3, of the semi-real one 0.12."""


def warn_of_blind_encoders(encoders: Sequence[Encoder]) -> None:
    """Say on stderr which encoders predict next to nothing of held-out trials: what they see may be anything."""
    for encoder in encoders:
        score = encoder.spec.provenance.get("validation_correlation")
        if isinstance(score, float) and score < LEAST_SCORE:
            tell(
                f"take care: {encoder.spec.name} predicts next to nothing of held-out trials (r = {score:.3f}), and "
                "what it seems to see may be anything; train it on more trials, and look at the clocks of the recording"
            )


def warn_of_clips_in_both(session: Session, learned: Sequence[int], held_out: Sequence[int], score: str) -> None:
    """Say on stderr that held-out clips show what is learned from, so that a score on them is none of new movies.

    Parameters
    ----------
    session
        The mouse.
    learned, held_out
        Ids of its trials.
    score
        What is told of the latter.
    """
    from napari_vidrecon.sessions.repeats import shown_in_both

    both = shown_in_both(session, learned, held_out)
    if both:
        tell(
            f"take care: {len(both)} of {number_of(len(held_out), 'held-out clip')} of {session.name} show a movie "
            f"that is learned from as well, first trial {both[0]}; {score} says little of new movies then: keep all "
            "presentations of a movie in one tier (vidrecon info --duplicates tiers lists them)"
        )


def warn_of_mask(mask: AlphaMask, evaluation_threshold: float) -> None:
    """Say on stderr where a mask has so few pixels to measure in that no number can be believed."""
    from napari_vidrecon.reconstruction.masks import FEWEST_PIXELS

    measured = int(mask.binary(evaluation_threshold).sum())
    if 0 < measured < FEWEST_PIXELS:
        tell(
            f"take care: only {number_of(measured, 'pixel')} reach alpha {evaluation_threshold:g}, and "
            "correlations over so few say little; give --evaluation-threshold a lower value, or fit another mask"
        )


def require_free(path: Path, overwrite: bool, what: str, ending: str = "") -> None:
    """Refuse to replace a file that is already there, and clear up beside it after processes that were killed.

    Parameters
    ----------
    path
        Of what will be written.
    overwrite
        Replace a file that is there.
    what
        For the message, e.g. "the mask".
    ending
        That its name has to have; empty: any.

    Raises
    ------
    StorageError
        It is, and `overwrite` is not set; or a folder is in the way, or the name has another ending.
    """
    from napari_vidrecon.storage import recover_folder

    if ending and path.suffix != ending:
        raise StorageError(f"{path}: expected a name ending in {ending} for {what}, found '{path.suffix}'")
    recover_folder(path)
    if path.is_dir():
        raise StorageError(f"{path}: expected the name of {what} to write, found a folder; choose another name")
    if path.exists() and not overwrite:
        raise StorageError(
            f"{path}: expected a free name for {what}, found a file; give --overwrite to replace it, or another name"
        )
