"""Links on the grid: the notes that lead into the next section are set, and left out where a return takes its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from composer.conditions import ATTACK, HOLD, OFF
from composer.roll import LOWEST_PITCH, step_div
from music.plan import Plan


class LinkCells(NamedTuple):
    """A note of a link: its first step, the step past its last, its column."""

    first: int
    last: int
    column: int


def link_cells(plan: Plan, section: int, grid: int, pitches: tuple[int, int]) -> list[LinkCells]:
    """The notes of a section's link on the plan's grid; none where one lies outside these MIDI pitches.

    Args:
        plan: whose section it is.
        section: index.
        grid: 4 or 6 steps a quarter.
        pitches: lowest and highest that may sound.
    """
    notes = plan.sections[section].link
    if not all(pitches[0] <= n.pitch <= pitches[1] for n in notes):
        return []
    unit = step_div(grid)
    end = plan.bar_onset_div(plan.first_bars[section] + plan.sections[section].bars) // unit
    cells: list[LinkCells] = []
    for note in notes:
        first = end + round(note.onset_div / unit)
        last = min(max(end + round((note.onset_div + note.duration_div) / unit), first + 1), end)
        if first >= max(0, cells[-1].last if cells else 0) and first < last:
            cells.append(LinkCells(first, last, note.pitch - LOWEST_PITCH))
    return cells


def set_link(fixed: Int[ndarray, "steps pitches"], cells: Sequence[LinkCells]) -> None:
    """Sets a link in place as the highest line: what is set above it is taken away, what lies below stays free."""
    for first, last, column in cells:
        fixed[first:last, column:] = OFF
        fixed[first:last, column] = HOLD
        fixed[first, column] = ATTACK


def without_link(
    play: Bool[ndarray, "steps pitches"],
    struck: Bool[ndarray, "steps pitches"],
    cells: Sequence[LinkCells],
    until: int,
) -> tuple[Bool[ndarray, "steps pitches"], Bool[ndarray, "steps pitches"]]:
    """A passage as it would be without a link: the note before the link is held on.

    Args:
        play, struck: the passage, from step 0 of the cells on.
        cells: the link's notes, on the passage's clock.
        until: step to which the note before it is held: the passage's end, or where another link begins.
    """
    cells = [c for c in cells if c.last <= len(play)]
    if not cells:
        return play, struck
    play, struck = play.copy(), struck.copy()
    for first, last, column in cells:
        play[first:last, column] = False
        struck[first:last, column] = False
    start = cells[0].first
    sounding = np.flatnonzero(play[start - 1]) if start else []
    if len(sounding) and until > start:
        rest = int(sounding[-1])
        again = np.flatnonzero(struck[start:until, rest])
        play[start : start + int(again[0]) if len(again) else until, rest] = True
    return play, struck
