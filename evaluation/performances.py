"""How a performance goes with a pianist's: columns of one performance, Pearson's r, and how figures are averaged.

Terms are those of Cancino-Chacón, "Computational modeling of expressive music performance" (2018), ch. 3, for the
columns; Pearson's r within a piece is what Peter et al. and others report. Where it differs: a series that does not
vary has no r, and counts as 0 here; grace notes count for velocity alone, since their place is no deviation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from music.analysis.melody import melody_line
from music.analysis.phrases import phrase_spans
from music.errors import ScoreError
from music.score import Score
from music.time import DIVS_PER_QUARTER

COLUMNS = ("velocity", "log_beat_period", "timing", "articulation", "ioi")
# What varies less than this does not vary: rounding to microseconds alone moves a metronome's log beat period so far.
CONSTANT = {"velocity": 1e-6, "log_beat_period": 1e-3, "timing": 1e-5, "articulation": 1e-3, "ioi": 1e-6}
LEAST = 3  # values that r needs


@dataclass(frozen=True, eq=False)
class Layout:
    """What the measures ask of a score. Notes are in order of (onset, pitch, id), onsets are the different ones.

    Args:
        note_ids: ids.
        pitch: MIDI pitch of each note.
        grace: notes of no length.
        place: each note's index into the onsets.
        onset_div: the onsets in divisions.
        bar: index of the bar in which each onset lies.
        melody: notes of the melody, one at a time (`music.analysis.melody`).
        phrases: first and last-but-one index into the onsets of each phrase, as half-open spans.
    """

    note_ids: tuple[str, ...]
    pitch: Int[np.ndarray, " notes"]
    grace: Bool[np.ndarray, " notes"]
    place: Int[np.ndarray, " notes"]
    onset_div: Int[np.ndarray, " onsets"]
    bar: Int[np.ndarray, " onsets"]
    melody: Bool[np.ndarray, " notes"]
    phrases: tuple[tuple[int, int], ...]

    @property
    def quarters(self) -> Float[np.ndarray, " steps"]:
        """Quarters from each onset to the next; one fewer than there are onsets."""
        return np.diff(self.onset_div) / DIVS_PER_QUARTER


@dataclass(frozen=True, eq=False)
class Played:
    """A performance, or the mean of several, on its score's notes and onsets; nan is what was not played.

    Args:
        velocity: 1..127 by note.
        timing: seconds before (+) or after (-) the tempo curve, by note; nan for grace notes.
        articulation: log2 of played over written length, by note; nan for grace notes.
        log_beat_period: log2 of seconds a quarter from each onset to the next, both of them played; the last is nan.
        ioi: seconds from each onset to the next.
    """

    velocity: Float[np.ndarray, " notes"]
    timing: Float[np.ndarray, " notes"]
    articulation: Float[np.ndarray, " notes"]
    log_beat_period: Float[np.ndarray, " onsets"]
    ioi: Float[np.ndarray, " onsets"]


def layout(score: Score) -> Layout:
    """The layout of a score; its phrases are those of its plain analysis, the same for whoever plays it.

    Raises:
        ScoreError: a score without notes.
    """
    if not score.notes:
        raise ScoreError("a score without notes is not performed")
    notes = sorted(score.notes, key=lambda n: (n.onset_div, n.pitch, n.id))
    onset_div, place = np.unique(np.array([n.onset_div for n in notes], dtype=np.int64), return_inverse=True)
    bars = np.array([b.onset_div for b in score.bars])
    melody = {n.id for n in melody_line(score, 0, score.end_div)}
    bounds = [np.searchsorted(onset_div, span).tolist() for span in phrase_spans(score)]
    return Layout(
        note_ids=tuple(n.id for n in notes),
        pitch=np.array([n.pitch for n in notes], dtype=np.int64),
        grace=np.array([n.duration_div == 0 for n in notes], dtype=bool),
        place=place,
        onset_div=onset_div,
        bar=np.searchsorted(bars, onset_div, side="right") - 1,
        melody=np.array([n.id in melody for n in notes], dtype=bool),
        phrases=tuple((int(a), int(b)) for a, b in bounds if b > a),
    )


def played(
    score: Layout,
    known: Bool[np.ndarray, " notes"],
    beat_period: Float[np.ndarray, " notes"],
    timing: Float[np.ndarray, " notes"],
    articulation: Float[np.ndarray, " notes"],
    velocity: Float[np.ndarray, " notes"],
) -> Played:
    """Columns as the performer's codec has them, with nan where the performance says nothing.

    Args:
        score: the layout of the score, whose order of notes the columns have.
        known: which notes were played.
        beat_period: seconds a quarter from each note's onset to the next.
        timing, articulation, velocity: see `Played`.
    """
    struck, told = known, known & ~score.grace
    size = len(score.onset_div)
    met = np.bincount(score.place, struck, size) > 0
    first = np.searchsorted(score.place, np.arange(size))
    log_period = np.log2(beat_period[first])
    log_period[~(met & np.append(met[1:], False))] = np.nan
    return Played(
        velocity=np.where(struck, velocity, np.nan),
        timing=np.where(told, timing, np.nan),
        articulation=np.where(told, articulation, np.nan),
        log_beat_period=log_period,
        ioi=2.0**log_period * np.append(score.quarters, 1.0),
    )


def mean_played(performances: Sequence[Played]) -> Played:
    """The mean of performances of one score, column by column; what one leaves out the others' mean stands for.

    Each column counts as how it goes about its own mean, so that a note that a loud pianist leaves out does not become
    soft; the mean of the means is added again. Inter-onset times are averaged as logarithms.
    """
    columns = {}
    for name in COLUMNS:
        rows = np.array([getattr(p, name) for p in performances], dtype=float)
        rows = np.log2(rows) if name == "ioi" else rows
        count = np.isfinite(rows).sum(axis=1, keepdims=True)
        level = np.where(count > 0, np.nansum(rows, axis=1, keepdims=True) / np.maximum(count, 1), np.nan)
        mean = _nanmean(rows - level) + (np.nanmean(level) if count.any() else 0.0)
        columns[name] = 2.0**mean if name == "ioi" else mean
    return Played(**columns)


def correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"], constant: float = 1e-9) -> float:
    """Pearson's r where both are known; 0 where either varies by `constant` or less, or fewer than three are known."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < LEAST:
        return 0.0
    a, b = a[both], b[both]
    if a.std() <= constant or b.std() <= constant:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def correlations(a: Played, b: Played) -> dict[str, float]:
    """Pearson's r of each of `COLUMNS` between two performances of one score."""
    return {name: correlation(getattr(a, name), getattr(b, name), CONSTANT[name]) for name in COLUMNS}


def balanced(values: Mapping[str, float], composer: Mapping[str, str]) -> float:
    """The mean over composers of the mean over their compositions; nan of nothing.

    Args:
        values: by composition.
        composer: of each composition.
    """
    by_composer: dict[str, list[float]] = {}
    for piece, value in values.items():
        by_composer.setdefault(composer[piece], []).append(value)
    return float(np.mean([np.mean(v) for v in by_composer.values()])) if by_composer else float("nan")


def skill(model: float, baseline: float, human: float) -> float:
    """How far from the baseline (0) to another pianist (1) a model's r reaches; nan where pianists are no better."""
    return (model - baseline) / (human - baseline) if human > baseline else float("nan")


def skill_interval(
    model: Mapping[str, float],
    baselines: Sequence[Mapping[str, float]],
    human: Mapping[str, float],
    composer: Mapping[str, str],
    *,
    seed: int = 0,
    draws: int = 1000,
) -> tuple[float, float]:
    """95 % interval of `skill` by the bootstrap over compositions (Efron): they are drawn anew with replacement.

    Args:
        model, human: r by composition.
        baselines: r by composition of each; in each draw the better of them counts.
        composer: of each composition; a composer of whom none is drawn does not count.
        seed: of the draws.
        draws: how many.
    """
    pieces = sorted(model.keys() & human.keys())
    if len(pieces) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    found = []
    composers = {name: i for i, name in enumerate(sorted({composer[p] for p in pieces}))}
    owner = np.array([composers[composer[p]] for p in pieces])
    rows = np.array([[side[p] for p in pieces] for side in (model, human, *baselines)])
    for _ in range(draws):
        taken = rng.integers(len(pieces), size=len(pieces))
        count = np.bincount(owner[taken], minlength=len(composers))
        sums = np.array([np.bincount(owner[taken], row[taken], len(composers)) for row in rows])
        ours, theirs, *floor = (sums[:, count > 0] / count[count > 0]).mean(axis=1).tolist()
        found.append(skill(ours, max(floor), theirs))
    finite = np.array(found)[np.isfinite(found)]
    if len(finite) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def mean_of(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over rows that have the same keys; nan counts for nothing."""
    rows = list(rows)
    if not rows:
        return {}
    return {name: float(_nanmean(np.array([[row[name]] for row in rows], dtype=float))[0]) for name in rows[0]}


def _nanmean(rows: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, " n"]:
    """The mean over the first axis without nan; nan where all are."""
    known = np.isfinite(rows)
    count = known.sum(axis=0)
    total = np.where(known, rows, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
