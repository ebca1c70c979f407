"""The score as arrays, with what the performance rules ask of each note: metrical strength, melody, bass, signs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from music.score import Direction, Score

MELODY_REACH = 16  # semitones under the melody's last note beyond which a lone note counts as accompaniment


@dataclass(frozen=True)
class NoteArrays:
    """A score's notes as columns, in the score's order (onset, pitch, part).

    Args:
        onset, end: divisions.
        pitch: MIDI pitch.
        part: index of the part.
        staff: 1 upper, 2 lower, 0 unknown.
        strength: metrical strength of the onset, 0.125 … 1 (`Meter.strength`).
        grace: notes of no duration.
        melody, bass: highest line; lowest note of each onset.
    """

    onset: Int[np.ndarray, " notes"]
    end: Int[np.ndarray, " notes"]
    pitch: Int[np.ndarray, " notes"]
    part: Int[np.ndarray, " notes"]
    staff: Int[np.ndarray, " notes"]
    strength: Float[np.ndarray, " notes"]
    grace: Bool[np.ndarray, " notes"]
    melody: Bool[np.ndarray, " notes"]
    bass: Bool[np.ndarray, " notes"]

    def at(self, direction: Direction) -> Int[np.ndarray, " found"]:
        """Indices of the notes that a sign stands on: those of its part that start with it."""
        low, high = np.searchsorted(self.onset, [direction.onset_div, direction.onset_div + 1])
        found = np.arange(low, high)
        return found if direction.part < 0 else found[self.part[low:high] == direction.part]

    def within(self, start: int, end: int) -> slice:
        """The notes that start in [start, end)."""
        low, high = np.searchsorted(self.onset, [start, end])
        return slice(int(low), int(high))


def note_arrays(score: Score) -> NoteArrays:
    """Columns of a score's notes; a score may have none."""
    rows = [(n.onset_div, n.end_div, n.pitch, n.part, n.staff) for n in score.notes]
    onset, end, pitch, part, staff = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    grace = onset == end
    melody = _melody(onset, end, pitch, staff, grace)
    return NoteArrays(
        onset, end, pitch, part, staff, metrical_strength(score, onset), grace, melody, _bass(onset, grace)
    )


def metrical_strength(score: Score, onset: Int[np.ndarray, " notes"]) -> Float[np.ndarray, " notes"]:
    """Strength of each onset in its bar; an upbeat bar counts as the end of a full one."""
    bar_onsets = np.array([b.onset_div for b in score.bars])
    meter_onsets = np.array([m.onset_div for m in score.meters])
    bars = np.searchsorted(bar_onsets, onset, side="right") - 1
    meters = np.searchsorted(meter_onsets, bar_onsets, side="right") - 1
    known: dict[tuple[int, int], float] = {}
    strengths = np.empty(len(onset))
    for i, (bar, at) in enumerate(zip(bars.tolist(), onset.tolist(), strict=True)):
        meter_index = int(meters[bar])
        offset = at - score.bars[bar].onset_div
        if bar == 0:
            offset += max(score.meters[meter_index].meter.bar_div - score.bars[0].duration_div, 0)
        place = (meter_index, offset)
        if place not in known:
            known[place] = score.meters[meter_index].meter.strength(offset)
        strengths[i] = known[place]
    return strengths


def _melody(
    onset: Int[np.ndarray, " notes"],
    end: Int[np.ndarray, " notes"],
    pitch: Int[np.ndarray, " notes"],
    staff: Int[np.ndarray, " notes"],
    grace: Bool[np.ndarray, " notes"],
) -> Bool[np.ndarray, " notes"]:
    """The skyline: each onset's highest note, unless a higher melody note still sounds or it lies far below the line.

    Where both staves are known only the upper one is asked.
    """
    melody = np.zeros(len(onset), dtype=bool)
    asked = ~grace & (staff != 2 if (staff == 1).any() else np.ones(len(onset), dtype=bool))
    top_end, top_pitch = -1, -1
    candidates = np.flatnonzero(asked)
    # Notes of one onset are sorted by pitch, so the last of each run is the highest.
    last = np.append(onset[candidates][1:] != onset[candidates][:-1], True) if len(candidates) else candidates
    for i in candidates[last.astype(bool)].tolist():
        over = onset[i] >= top_end and (top_pitch < 0 or pitch[i] > top_pitch - MELODY_REACH)
        silent_bar = top_end >= 0 and onset[i] - top_end >= 4 * 10080
        if over or pitch[i] > top_pitch or silent_bar:
            melody[i] = True
            top_end, top_pitch = int(end[i]), int(pitch[i])
    return melody


def _bass(onset: Int[np.ndarray, " notes"], grace: Bool[np.ndarray, " notes"]) -> Bool[np.ndarray, " notes"]:
    bass = np.zeros(len(onset), dtype=bool)
    real = np.flatnonzero(~grace)
    if len(real):
        bass[real[np.append(True, onset[real][1:] != onset[real][:-1])]] = True
    return bass
