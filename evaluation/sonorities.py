"""A score as the row of its sonorities: what sounds together, from each change to the next.

The measures of harmony, texture and originality read this row, so that a piece is taken apart once and alike.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

from music.score import Score


@dataclass(frozen=True, slots=True)
class Sonority:
    """What sounds between two neighbouring onsets or ends of notes.

    Args:
        onset_div, end_div: extent in divisions.
        pitches: sounding MIDI pitches from the lowest up, each once; empty in silence.
        struck: those of them that begin here.
    """

    onset_div: int
    end_div: int
    pitches: tuple[int, ...]
    struck: tuple[int, ...]

    @property
    def duration_div(self) -> int:
        """End less onset."""
        return self.end_div - self.onset_div


def sonorities(score: Score) -> tuple[Sonority, ...]:
    """The sonorities of a score, gapless from 0 to its end, silence included; grace notes are left out."""
    begins: dict[int, list[int]] = defaultdict(list)
    ends: dict[int, list[int]] = defaultdict(list)
    for note in score.notes:
        if note.duration_div > 0:
            begins[note.onset_div].append(note.pitch)
            ends[note.end_div].append(note.pitch)
    edges = sorted({0, score.end_div, *begins, *ends})
    sounding: dict[int, int] = defaultdict(int)
    row: list[Sonority] = []
    for onset, end in pairwise(edges):
        for pitch in ends[onset]:
            sounding[pitch] -= 1
        for pitch in begins[onset]:
            sounding[pitch] += 1
        pitches = tuple(sorted(p for p, count in sounding.items() if count > 0))
        row.append(Sonority(onset, end, pitches, tuple(sorted(set(begins[onset])))))
    return tuple(row)


def changes(row: tuple[Sonority, ...]) -> tuple[tuple[int, ...], ...]:
    """The pitches of successive different sonorities: silence skipped, restruck ones joined."""
    kept: list[tuple[int, ...]] = []
    for sonority in row:
        if sonority.pitches and (not kept or kept[-1] != sonority.pitches):
            kept.append(sonority.pitches)
    return tuple(kept)
