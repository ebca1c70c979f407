"""A score as numpy arrays: notes, the grid of slots, weights per pitch class and the bass of each slot.

Every analysis of this package starts here. A slot is an eighth note (a sixteenth in meters over 16 and 32), counted
within each bar as the meter has it (`music.analysis.bars`), so that slots never cross a bar line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from music.analysis.bars import meters_of_bars, metric_shifts
from music.score import Score
from music.time import DIVS_PER_QUARTER, Meter

SLOT_DIV = DIVS_PER_QUARTER // 2
NO_BASS = 128


@dataclass(frozen=True)
class NoteArrays:
    """Notes of a score, grace notes left out, in its order.

    Args:
        index: place of each note in `score.notes`.
        onset, end: divisions.
        pitch, part, staff, voice: as in `music.score.Note`.
    """

    index: Int[np.ndarray, " notes"]
    onset: Int[np.ndarray, " notes"]
    end: Int[np.ndarray, " notes"]
    pitch: Int[np.ndarray, " notes"]
    part: Int[np.ndarray, " notes"]
    staff: Int[np.ndarray, " notes"]
    voice: Int[np.ndarray, " notes"]

    @property
    def duration(self) -> Int[np.ndarray, " notes"]:
        """End less onset."""
        return self.end - self.onset


@dataclass(frozen=True)
class Grid:
    """Slots of a score: `edges[i]..edges[i + 1]` in divisions, gapless from 0 to the score's end.

    Args:
        edges: divisions.
        bar: index of each slot's bar.
        strength: metrical strength at each slot's start (`Meter.strength`).
        on_beat: whether each slot starts on a beat.
    """

    edges: Int[np.ndarray, " edges"]
    bar: Int[np.ndarray, " slots"]
    strength: Float[np.ndarray, " slots"]
    on_beat: Bool[np.ndarray, " slots"]

    @property
    def quarters(self) -> Float[np.ndarray, " slots"]:
        """Length of each slot in quarter notes."""
        return np.diff(self.edges) / DIVS_PER_QUARTER


def note_arrays(score: Score) -> NoteArrays:
    """The score's notes as arrays, without grace notes."""
    rows = np.array(
        [
            (i, n.onset_div, n.onset_div + n.duration_div, n.pitch, n.part, n.staff, n.voice)
            for i, n in enumerate(score.notes)
            if n.duration_div > 0
        ],
        dtype=np.int64,
    ).reshape(-1, 7)
    return NoteArrays(*(np.ascontiguousarray(column) for column in rows.T))


def make_grid(score: Score, slot_div: int | None = None) -> Grid:
    """The score's slots.

    Args:
        slot_div: length of a slot; None: an eighth note, or the meter's own unit where that is shorter.
    """
    edges: list[int] = []
    bars: list[int] = []
    strength: list[float] = []
    on_beat: list[bool] = []
    patterns: dict[tuple[Meter, int, int], list[tuple[int, float, bool]]] = {}
    rows = zip(score.bars, meters_of_bars(score), metric_shifts(score), strict=True)
    for index, (bar, meter, shift) in enumerate(rows):
        pattern = patterns.get((meter, bar.duration_div, shift))
        if pattern is None:
            unit = slot_div or min(SLOT_DIV, DIVS_PER_QUARTER * 4 // meter.denominator)
            starts = sorted({shift, *range(-(-shift // unit) * unit, shift + bar.duration_div, unit)})
            pattern = [(s - shift, meter.strength(s), s % meter.beat_div == 0) for s in starts]
            patterns[meter, bar.duration_div, shift] = pattern
        for offset, level, beat in pattern:
            edges.append(bar.onset_div + offset)
            bars.append(index)
            strength.append(level)
            on_beat.append(beat)
    return Grid(
        np.array([*edges, score.end_div], dtype=np.int64),
        np.array(bars, dtype=np.int64),
        np.array(strength),
        np.array(on_beat),
    )


def pitch_class_weights(
    notes: NoteArrays, edges: Int[np.ndarray, " edges"], weight: Float[np.ndarray, " notes"] | None = None
) -> Float[np.ndarray, " edges-1 12"]:
    """Sounding time of each pitch class between neighbouring edges, in quarters, each note times its `weight`."""
    result = np.zeros((len(edges) - 1, 12))
    scale = np.ones(len(notes.pitch)) if weight is None else weight
    pcs = notes.pitch % 12
    for pc in range(12):
        chosen = pcs == pc
        if chosen.any():
            w = scale[chosen]
            # Sounding time up to x is a sum of ramps: what has begun less what has ended.
            total = _ramps(notes.onset[chosen], w, edges) - _ramps(notes.end[chosen], w, edges)
            result[:, pc] = np.diff(total) / DIVS_PER_QUARTER
    return result


def _ramps(
    starts: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"], at: Int[np.ndarray, " m"]
) -> Float[np.ndarray, " m"]:
    order = np.argsort(starts, kind="stable")
    s, w = starts[order], weight[order]
    place = np.searchsorted(s, at)
    mass = np.concatenate([[0.0], np.cumsum(w)])[place]
    moment = np.concatenate([[0.0], np.cumsum(w * s)])[place]
    return mass * at - moment


def note_slots(
    notes: NoteArrays, edges: Int[np.ndarray, " edges"]
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """All pairs (note, slot) where the note sounds in the slot."""
    first = np.searchsorted(edges, notes.onset, side="right") - 1
    last = np.searchsorted(edges, notes.end, side="left") - 1
    counts = np.maximum(last - first + 1, 1)
    note = np.repeat(np.arange(len(first)), counts)
    start = np.cumsum(counts) - counts
    return note, first[note] + np.arange(len(note)) - start[note]


def bass_of_slots(notes: NoteArrays, edges: Int[np.ndarray, " edges"]) -> Int[np.ndarray, " edges-1"]:
    """Lowest pitch that sounds in each slot; `NO_BASS` in a silent one."""
    bass = np.full(len(edges) - 1, NO_BASS, dtype=np.int64)
    note, slot = note_slots(notes, edges)
    np.minimum.at(bass, slot, notes.pitch[note])
    return bass
