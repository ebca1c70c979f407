"""A score as the feature columns need it: notes in the codec's order, unique onsets, lines, bars and windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from music.analysis.bars import meters_of_bars, metric_shifts, whole_bars
from music.analysis.melody import melody_line
from music.errors import ScoreError
from music.score import Note, Score
from music.time import DIVS_PER_QUARTER, Meter

QUARTER = DIVS_PER_QUARTER
GRACE_DIV = QUARTER // 8


@dataclass(frozen=True, eq=False)
class Frame:
    """Columns of a score in order of (onset, pitch, id), and where each of its unique onsets stands.

    Args:
        notes: in the codec's order.
        onset, end, pitch, part, staff, voice: of the notes; divisions, MIDI pitch, as in `music.score.Note`.
        grace: notes of no length.
        length: written length in divisions, `GRACE_DIV` for grace notes.
        melody: notes of the melody (`music.analysis.melody`).
        at: unique onsets in divisions.
        place: index of each note's onset.
        first: index of each onset's first note.
        count: notes of each onset.
        bar: index of each onset's whole bar.
        bar_start, bar_end: of that bar.
        offset: divisions from the start of the meter's bar, the upbeat's rest counted.
        meter: of each onset.
        last: end of the last note.
    """

    notes: tuple[Note, ...]
    onset: Int[np.ndarray, " notes"]
    end: Int[np.ndarray, " notes"]
    pitch: Int[np.ndarray, " notes"]
    part: Int[np.ndarray, " notes"]
    staff: Int[np.ndarray, " notes"]
    voice: Int[np.ndarray, " notes"]
    grace: Bool[np.ndarray, " notes"]
    length: Int[np.ndarray, " notes"]
    melody: Bool[np.ndarray, " notes"]
    at: Int[np.ndarray, " onsets"]
    place: Int[np.ndarray, " notes"]
    first: Int[np.ndarray, " onsets"]
    count: Int[np.ndarray, " onsets"]
    bar: Int[np.ndarray, " onsets"]
    bar_start: Int[np.ndarray, " onsets"]
    bar_end: Int[np.ndarray, " onsets"]
    offset: Int[np.ndarray, " onsets"]
    meter: tuple[Meter, ...]
    end_div: int

    def mean(self, values: np.ndarray) -> Float[np.ndarray, " onsets"]:
        """Mean over each onset's notes."""
        return np.add.reduceat(values.astype(float), self.first) / self.count

    def highest(self, values: np.ndarray) -> np.ndarray:
        """Highest value of each onset's notes."""
        return np.maximum.reduceat(values, self.first)

    def lowest(self, values: np.ndarray) -> np.ndarray:
        """Lowest value of each onset's notes."""
        return np.minimum.reduceat(values, self.first)

    def sounding(self) -> Int[np.ndarray, " onsets"]:
        """Notes that sound at each onset, those struck there among them."""
        held = np.searchsorted(np.sort(self.onset[~self.grace]), self.at, side="right")
        gone = np.searchsorted(np.sort(self.end[~self.grace]), self.at, side="right")
        return np.maximum(held - gone + np.bincount(self.place, self.grace, len(self.at)).astype(np.int64), 1)


def make_frame(score: Score) -> Frame:
    """The frame of a score.

    Raises:
        ScoreError: a score without notes.
    """
    if not score.notes:
        raise ScoreError("a score without notes has no features")
    notes = tuple(sorted(score.notes, key=lambda n: (n.onset_div, n.pitch, n.id)))
    rows = [(n.onset_div, n.end_div, n.pitch, n.part, n.staff, n.voice) for n in notes]
    onset, end, pitch, part, staff, voice = np.array(rows, dtype=np.int64).T.copy()
    at, first, place, count = np.unique(onset, return_index=True, return_inverse=True, return_counts=True)
    grace = end == onset
    lead = {n.id for n in melody_line(score, 0, score.end_div)}
    melody = np.array([n.id in lead for n in notes])
    if not lead:  # nothing but grace notes
        melody = pitch == np.maximum.reduceat(pitch, first)[place]
    bars, shifts, meters = whole_bars(score), metric_shifts(score), meters_of_bars(score)
    starts = np.array([b.onset_div for b in bars], dtype=np.int64)
    bar = np.searchsorted(starts, at, side="right") - 1
    shift = np.array([shifts[b.first] for b in bars], dtype=np.int64)
    ends = np.array([b.end_div for b in bars], dtype=np.int64)
    return Frame(
        notes, onset, end, pitch, part, staff, voice, grace, np.where(grace, GRACE_DIV, end - onset), melody,
        at, place, first, count, bar, starts[bar], ends[bar], at - starts[bar] + shift[bar],
        tuple(meters[bars[i].first] for i in bar.tolist()), score.end_div,
    )  # fmt: skip


def window_mean(
    at: Int[np.ndarray, " points"],
    values: Float[np.ndarray, " points"],
    low: Int[np.ndarray, " n"],
    high: Int[np.ndarray, " n"],
    empty: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Mean of the values at points in [low, high), `empty` where there are none; points are in order."""
    first, last = np.searchsorted(at, low), np.searchsorted(at, high)
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.where(last > first, (total[last] - total[first]) / np.maximum(last - first, 1), empty)


def window_count(
    at: Int[np.ndarray, " points"], low: Int[np.ndarray, " n"], high: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """Points in [low, high); points are in order."""
    return np.searchsorted(at, high) - np.searchsorted(at, low)


def log_quarters(div: np.ndarray) -> Float[np.ndarray, " n"]:
    """log2(1 + quarters) of a stretch in divisions; 0 for a negative one."""
    return np.log2(1.0 + np.maximum(div, 0) / QUARTER)
