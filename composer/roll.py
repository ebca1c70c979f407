"""The composer's view of a score: a roll of play and articulate bits over a grid of 4 or 6 steps a quarter.

A roll is lossy: it has no voices, and a bar whose onsets fit neither grid is marked unfit and left out of training. The
grid is chosen per piece. Pitches run over the piano, MIDI 21..108.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from music.score import Score
from music.time import DIVS_PER_QUARTER

LOWEST_PITCH = 21
PITCHES = 88
GRIDS = (4, 6)  # steps a quarter: sixteenths, or sixteenth triplets


@dataclass(frozen=True, eq=False)
class Roll:
    """Play and articulate bits of a piece.

    Args:
        play: a note sounds at this step; column p is MIDI pitch 21 + p.
        articulate: a note is struck at this step; only where `play` is set.
        fit: steps that lie in bars which fit the grid.
        steps_per_quarter: 4 or 6.
    """

    play: Bool[ndarray, "steps 88"]
    articulate: Bool[ndarray, "steps 88"]
    fit: Bool[ndarray, " steps"]
    steps_per_quarter: int

    def __post_init__(self) -> None:
        if self.steps_per_quarter not in GRIDS:
            raise ValueError(f"a roll has 4 or 6 steps a quarter, not {self.steps_per_quarter}")
        if bool((self.articulate & ~self.play).any()):
            raise ValueError("a roll articulates where nothing plays")

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.play.shape[0])


def step_div(steps_per_quarter: int) -> int:
    """Divisions a step."""
    return DIVS_PER_QUARTER // steps_per_quarter


def choose_grid(score: Score) -> int:
    """The grid (4 or 6 steps a quarter) that more of the score's onsets fall on; 4 where both hold as many."""
    onsets = np.array([n.onset_div for n in score.notes], dtype=np.int64)
    on_grid = {grid: int((onsets % step_div(grid) == 0).sum()) for grid in GRIDS}
    return 6 if on_grid[6] > on_grid[4] else 4


def _fit_steps(score: Score, steps_per_quarter: int, steps: int) -> Bool[ndarray, " steps"]:
    unit = step_div(steps_per_quarter)
    fit = np.ones(steps, dtype=bool)
    off_grid = {n.onset_div for n in score.notes if n.onset_div % unit and n.duration_div > 0}
    for bar in score.bars:
        unaligned = bar.onset_div % unit or bar.duration_div % unit
        if unaligned or any(bar.onset_div <= onset < bar.end_div for onset in off_grid):
            fit[bar.onset_div // unit : -(-bar.end_div // unit)] = False
    return fit


def roll_of_score(score: Score, steps_per_quarter: int | None = None) -> Roll:
    """A score on the grid: onsets and ends to the nearest step, a note lasts one step at least, grace notes left out.

    Args:
        score: any score; notes outside the piano's range are left out.
        steps_per_quarter: 4, 6 or None to choose.
    """
    grid = steps_per_quarter or choose_grid(score)
    unit = step_div(grid)
    steps = -(-score.end_div // unit)
    play = np.zeros((steps, PITCHES), dtype=bool)
    articulate = np.zeros_like(play)
    for note in score.notes:
        column = note.pitch - LOWEST_PITCH
        if note.duration_div == 0 or not 0 <= column < PITCHES:
            continue
        first = min((note.onset_div + unit // 2) // unit, steps - 1)
        last = max((note.end_div + unit // 2) // unit, first + 1)
        play[first:last, column] = True
        articulate[first, column] = True
    return Roll(play, articulate, _fit_steps(score, grid, steps), grid)


def roll_notes(roll: Roll) -> Int[ndarray, "notes 3"]:
    """Notes of a roll as rows (onset step, duration in steps, MIDI pitch), sorted by onset, then pitch.

    A note starts where it is articulated, or plays after a rest; it ends where it stops or is struck again.
    """
    before = np.vstack([np.zeros((1, PITCHES), dtype=bool), roll.play[:-1]])
    starts = roll.play & (roll.articulate | ~before)
    rows = []
    for column in np.flatnonzero(starts.any(axis=0)):
        onsets = np.flatnonzero(starts[:, column])
        silent = np.append(np.flatnonzero(~roll.play[:, column]), roll.steps)
        stops = silent[np.searchsorted(silent, onsets)]
        ends = np.minimum(stops, np.append(onsets[1:], roll.steps))
        rows += [(int(o), int(e - o), int(column) + LOWEST_PITCH) for o, e in zip(onsets, ends, strict=True)]
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 3)
