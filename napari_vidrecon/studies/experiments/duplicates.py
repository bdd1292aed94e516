"""Held-out clips that encoders have seen in training after all (Bauer et al. 2026, last supplementary figure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon.analysis.duplicates import (
    CLIP_CORRELATION,
    FIRST_FRAME_CORRELATION,
    TRAINING_TIER,
    NearestClip,
    find_duplicates,
    split_by_fold,
)
from napari_vidrecon.figures.picture_grids import ClipPair, clip_pairs_figure
from napari_vidrecon.sessions.sample import SAMPLE_TEST_TIER
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.trial_files import open_array
from napari_vidrecon.studies.mice import HELD_OUT_FOLD, PUBLISHED_CLIPS, Mouse
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Drawing, Finding, Outcome, Plan, Study

if TYPE_CHECKING:
    import pandas as pd


RULE_NOTE = (
    f"A clip is excluded where its first frame correlates with that of a training clip by {FIRST_FRAME_CORRELATION} or "
    f"more, and the whole clips by {CLIP_CORRELATION} or more; the published rule is not known. Training clips are "
    "those of all mice given here, as mice share an encoder's core."
)


@dataclass(frozen=True)
class Candidate:
    """A held-out clip and the clip most like it.

    Parameters
    ----------
    mouse, session
        Whose clip it is.
    nearest
        What was found.
    elsewhere
        Whether it was held against training clips, or only against the other held-out clips.
    """

    mouse: Mouse
    session: Session
    nearest: NearestClip
    elsewhere: bool

    @property
    def excluded(self) -> bool:
        """Whether encoders have seen it in training."""
        return self.elsewhere and self.nearest.duplicate


def runs(plan: Plan) -> Sequence[RunSpec]:
    """None: only the movies that were shown are compared."""
    return ()


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Every held-out clip against every training clip, by first frames, then whole clips and hashes.

    The table `duplicates` has a row a held-out clip: mouse, the fields of `NearestClip`, compared_with, excluded,
    considered. The table `clean_clips` has a row a clip that is no duplicate: mouse, trial.

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Not used: nothing is reconstructed.

    Returns
    -------
    Outcome
        Tables, finding and figures.
    """
    import pandas as pd

    splits = {mouse: _split(mouse) for mouse in plan.mice}
    sessions = {mouse: mouse.open_session() for mouse in plan.mice}
    training = {sessions[mouse]: trials for mouse, (_, trials) in splits.items() if trials}
    candidates = [
        candidate
        for mouse, (held_out, _) in splits.items()
        for candidate in _compared(mouse, sessions[mouse], held_out, training)
    ]
    considered = _considered(plan, candidates)
    outcome = Outcome(
        tables={
            "duplicates": pd.DataFrame([_row(candidate, candidate in considered) for candidate in candidates]),
            "clean_clips": _clean(plan, considered),
        }
    )
    outcome.findings = [_finding(candidates)]
    by_name = {session.name: session for session in sessions.values()}
    against = "training clip" if training else "other held-out clip"
    outcome.drawings = [
        Drawing(
            "example",
            f"First frame of a held-out clip and the most correlated first frame of any {against}.",
            "last supplementary figure, a",
            lambda: _figure(plan, [_most_alike(considered)], by_name, "Most similar pair"),
        ),
        Drawing(
            "pairs",
            f"First frame of every candidate clip (above) and the most correlated first frame of any {against} "
            "(below), with their correlation and that of the whole clips. Red boxes: excluded as duplicates. "
            f"Candidates are taken in order until a mouse has {plan.scale.many_clips} clean ones.",
            "last supplementary figure, b",
            lambda: _figure(plan, considered, by_name, f"Held-out clips and the {against}s most like them"),
        ),
    ]
    outcome.notes = [RULE_NOTE]
    if not training:
        outcome.notes.append(
            "These sessions hold no clips that encoders were trained on, so nothing can be said about duplicates: "
            "the held-out clips are compared with one another, to show how the search works. Whoever has the training "
            "clips finds them compared here."
        )
    return outcome


def _split(mouse: Mouse) -> tuple[list[int], list[int]]:
    """Held-out trials in order, and trials that encoders learn from."""
    session = mouse.open_session()
    published = session.name.partition("-Video")[0] in PUBLISHED_CLIPS
    tested = set(session.trials_in_tier(SAMPLE_TEST_TIER)) & set(session.labelled)
    if tested and not published:
        held_out, training = sorted(tested), session.trials_in_tier(TRAINING_TIER)
    else:
        held_out, training = split_by_fold(session, HELD_OUT_FOLD)
    held_out = list(mouse.trials) or held_out
    return held_out, [trial for trial in training if trial not in set(held_out)]


def _compared(
    mouse: Mouse, session: Session, held_out: Sequence[int], training: Mapping[Session, Sequence[int]]
) -> list[Candidate]:
    if training:
        found = {each.trial: each for each in find_duplicates(session, held_out, training).nearest}
        return [Candidate(mouse, session, found[trial], True) for trial in held_out]
    return [
        Candidate(mouse, session, find_duplicates(session, [trial], {session: others}).nearest[0], False)
        for trial in held_out
        if (others := [other for other in held_out if other != trial])
    ]


def _considered(plan: Plan, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of each mouse, in order, until enough are clean."""
    chosen = []
    for mouse in plan.mice:
        clean = 0
        for candidate in candidates:
            if candidate.mouse != mouse or clean == plan.scale.many_clips:
                continue
            chosen.append(candidate)
            clean += not candidate.excluded
    return chosen


def _row(candidate: Candidate, considered: bool) -> dict[str, object]:
    values = asdict(candidate.nearest)
    named = {name: f"{its[0]}, trial {its[1]}" if isinstance(its, tuple) else its for name, its in values.items()}
    against = "training clips" if candidate.elsewhere else "other held-out clips"
    return {
        "mouse": candidate.mouse.name,
        **named,
        "compared_with": against,
        "excluded": candidate.excluded,
        "considered": considered,
    }


def _clean(plan: Plan, considered: Sequence[Candidate]) -> pd.DataFrame:
    import pandas as pd

    rows = [{"mouse": each.mouse.name, "trial": each.nearest.trial} for each in considered if not each.excluded]
    return pd.DataFrame(rows, columns=["mouse", "trial"])


def _finding(candidates: Sequence[Candidate]) -> Finding:
    statement = "some held-out clips are near-duplicates of training clips and must be left out"
    known = [each for each in candidates if each.elsewhere]
    if not known:
        return Finding(statement, None, "there are no training clips to compare with")
    found = sum(each.excluded for each in known)
    top = max(each.nearest.first_frame_correlation for each in known)
    return Finding(statement, found > 0, f"{found} of {len(known)} held-out clips; largest r of first frames {top:.3f}")


def _most_alike(candidates: Sequence[Candidate]) -> Candidate:
    """The duplicate, or else the clip, whose first frame is most like another's."""
    return max(candidates, key=lambda each: (each.excluded, each.nearest.first_frame_correlation))


def _figure(plan: Plan, candidates: Sequence[Candidate], sessions: Mapping[str, Session], title: str) -> Figure:
    pairs = [_pair(plan, candidate, sessions) for candidate in candidates]
    return clip_pairs_figure(pairs, title=title, simulated=plan.simulated)


def _pair(plan: Plan, candidate: Candidate, sessions: Mapping[str, Session]) -> ClipPair:
    nearest = candidate.nearest
    name, trial = nearest.match
    several = len(plan.mice) > 1
    mine = f"{candidate.mouse.name}, " if several else ""
    its = f"{name}, " if several and name != candidate.session.name else ""
    kind = "training trial" if candidate.elsewhere else "trial"
    correlations = (_signed(each) for each in (nearest.first_frame_correlation, nearest.clip_correlation))
    return ClipPair(
        _first_frame(candidate.session, nearest.trial),
        _first_frame(sessions[name], trial),
        f"{mine}held-out trial {nearest.trial}",
        f"{its}{kind} {trial}\nr = {', clips '.join(correlations)}",
        framed=candidate.excluded,
    )


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _first_frame(session: Session, trial: int) -> np.ndarray:
    return np.array(open_array(session.file("videos", trial))[..., 0], dtype=float)


DUPLICATES = Study(
    name="duplicates",
    title="Held-out clips with duplicates in training",
    panels="last supplementary figure",
    runs=runs,
    evaluate=evaluate,
    clips=attrgetter("many_clips"),
)
