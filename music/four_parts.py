"""Splits notes without voices into four parts: soprano, alto, tenor, bass, or the four of a string quartet.

A beam search runs over the onsets. At each one the new notes, from high to low, are dealt to the parts without
crossing; a dealing costs what strays from the part's range, leaps, overlaps a note that still sounds, crosses a
neighbour that still sounds, or heaps two notes on one part. So each part comes out as one line wherever four lines
can hold the notes, and where they cannot, the spare notes become chords of the nearest part: none is lost. The terms
are those of Temperley, "The Cognition of Basic Musical Structures" (2001), chapter 4, with ranges added.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

PARTS = 4
BEAM = 24
MOST_AT_ONCE = 12  # above this the dealings are too many to try: notes go by range alone
# Mean and spread of each part's pitches: the usual vocal ranges, and the strings' in quartets of the classics.
RANGES = {
    "satb": ((70.0, 4.0), (64.0, 4.0), (58.0, 4.5), (50.0, 5.0)),
    "quartet": ((74.0, 7.0), (67.0, 6.0), (60.0, 6.0), (50.0, 7.0)),
}
_RANGE, _MOTION, _LEAP_CAP = 0.35, 0.25, 14
_OVERLAP, _CHORD, _CROSSING, _REENTRY = 9.0, 9.0, 4.0, 1.0


@cache
def _dealings(notes: int) -> Int[ndarray, "dealings notes"]:
    """All ways to deal that many notes, from high to low, to parts 0..3 without crossing."""
    return np.array(list(combinations_with_replacement(range(PARTS), notes)), dtype=np.int64)


def _range_cost(ensemble: str) -> Float[ndarray, "4 128"]:
    pitch = np.arange(128)
    rows = [_RANGE * ((pitch - mean) / spread) ** 2 for mean, spread in RANGES[ensemble]]
    return np.array(rows, dtype=np.float64)


class _Beam:
    """The best dealings so far: each part's last pitch (-1 none) and end, the cost, and the way back."""

    def __init__(self, ranges: Float[ndarray, "4 128"]) -> None:
        self.ranges = ranges
        self.last = np.full((1, PARTS), -1, dtype=np.int64)
        self.end = np.full((1, PARTS), -1, dtype=np.int64)
        self.cost = np.zeros(1)
        self.steps: list[tuple[Int[ndarray, " beam"], Int[ndarray, "beam notes"]]] = []

    def _costs(self, onset: int, pitch: Int[ndarray, " notes"], deal: Int[ndarray, "deals notes"]) -> ndarray:
        last = self.last[:, deal]  # [beam, dealings, notes]
        leap = np.minimum(np.abs(last - pitch), _LEAP_CAP)
        cost = _MOTION * np.where(last >= 0, leap, 3).astype(np.float64)
        cost += _OVERLAP * (self.end[:, deal] > onset) + _REENTRY * (self.end[:, deal] < onset)
        cost += self.ranges[deal, pitch]
        total = cost.sum(axis=2) + _CHORD * (deal[:, 1:] == deal[:, :-1]).sum(axis=1)
        sounds = self.end > onset
        for part in range(PARTS):
            above = (deal > part) & (pitch > self.last[:, part, None, None])
            below = (deal < part) & (pitch < self.last[:, part, None, None])
            total += _CROSSING * sounds[:, part, None] * (above | below).sum(axis=2)
        return total

    def _deals(self, pitch: Int[ndarray, " notes"]) -> Int[ndarray, "deals notes"]:
        if len(pitch) <= MOST_AT_ONCE:
            return _dealings(len(pitch))
        nearest = self.ranges[:, pitch].argmin(axis=0)
        return np.maximum.accumulate(nearest)[None]

    def push(self, onset: int, pitch: Int[ndarray, " notes"], end: Int[ndarray, " notes"]) -> None:
        """Deals the notes struck at an onset, sorted from high to low."""
        deals = self._deals(pitch)
        cost = (self.cost[:, None] + self._costs(onset, pitch, deals)).reshape(-1)
        order = np.argsort(cost, kind="stable")[: 3 * BEAM]
        back, which = np.divmod(order, len(deals))
        last, ends = self.last[back], self.end[back]
        for index in range(len(pitch)):
            part = deals[which, index]
            rows = np.arange(len(order))
            # The outer note of a chord leads its part: the lowest in the lower two, the highest in the upper two.
            leads = (part >= 2) | (index == 0) | (deals[which, index - 1] != part)
            last[rows, part] = np.where(leads, pitch[index], last[rows, part])
            ends[rows, part] = np.maximum(np.where(ends[rows, part] > onset, ends[rows, part], 0), end[index])
        seen, keep = set(), []
        for row, state in enumerate(np.hstack([last, ends]).tolist()):
            key = tuple(state)
            if key not in seen:
                seen.add(key)
                keep.append(row)
        keep = keep[:BEAM]
        self.last, self.end = last[keep], ends[keep]
        self.cost = cost[order[keep]]
        self.steps.append((back[keep], deals[which[keep]]))

    def best(self) -> list[Int[ndarray, " notes"]]:
        """The cheapest dealing, one array of parts an onset."""
        row, found = int(self.cost.argmin()), []
        for back, deal in reversed(self.steps):
            found.append(deal[row])
            row = int(back[row])
        return found[::-1]


def four_parts(
    onset_div: Int[ndarray, " notes"],
    duration_div: Int[ndarray, " notes"],
    pitch: Int[ndarray, " notes"],
    ensemble: str = "satb",
) -> Int[ndarray, " notes"]:
    """Part of each note: 0 soprano, 1 alto, 2 tenor, 3 bass.

    Args:
        onset_div, duration_div: in any one unit of time, in any order; a duration of 0 (grace note) is allowed.
        pitch: MIDI pitch.
        ensemble: "satb" or "quartet": whose ranges to expect.

    Raises:
        KeyError: an ensemble without four parts.
    """
    beam = _Beam(_range_cost(ensemble))
    order = np.lexsort((-pitch, onset_div))
    groups = np.split(order, np.flatnonzero(np.diff(onset_div[order])) + 1) if len(order) else []
    for group in groups:
        beam.push(int(onset_div[group[0]]), pitch[group], onset_div[group] + duration_div[group])
    parts = np.zeros(len(pitch), dtype=np.int64)
    for group, deal in zip(groups, beam.best(), strict=True):
        parts[group] = deal
    return parts
