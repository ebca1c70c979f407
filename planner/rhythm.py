"""Rhythms of themes: bars made of small cells, with a motive that comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from music.time import DIVS_PER_QUARTER, Meter
from planner.dice import pick

# Cells in twelfths of a beat, by the beats that they fill. All land on sixteenths for beats of a quarter or longer.
_SIMPLE = {
    1: ((12,), (6, 6), (9, 3), (6, 3, 3), (3, 3, 6), (3, 3, 3, 3)),
    2: ((24,), (18, 6), (18, 3, 3), (12, 6, 6), (6, 6, 12), (6, 12, 6)),
    3: ((36,), (24, 12), (24, 6, 6), (18, 6, 12), (12, 24)),
}
_COMPOUND = {
    1: ((12,), (8, 4), (4, 4, 4), (6, 2, 4), (8, 2, 2), (4, 8)),
    2: ((24,), (20, 4), (12, 8, 4), (8, 4, 12)),
    3: ((24, 12), (36,)),
}
_SPREAD = 0.4  # how far, in notes a beat, a cell may be from the wanted density
_RARE = {(6, 12, 6): 0.2, (12, 24): 0.15, (3, 3, 6): 0.4, (4, 8): 0.1, (18, 3, 3): 0.4, (6, 2, 4): 0.6, (36,): 0.3}


@dataclass(frozen=True)
class Beat:
    """A note of a rhythm: offset in its bar and duration, in divisions."""

    offset_div: int
    duration_div: int


Bar = tuple[Beat, ...]


@cache
def _cells(meter: Meter, shortest_div: int) -> tuple[tuple[int, tuple[int, ...], float], ...]:
    """(beats, durations in divisions, weight) of the cells that are not too quick and lie on the grid of sixteenths."""
    found = []
    for beats, cells in (_COMPOUND if meter.is_compound else _SIMPLE).items():
        for cell in cells:
            lengths = tuple(part * meter.beat_div // 12 for part in cell)
            if min(lengths) >= shortest_div and all(length % (DIVS_PER_QUARTER // 4) == 0 for length in lengths):
                found.append((beats, lengths, _RARE.get(cell, 1.0)))
    return tuple(found)


def draw_bar(rng: np.random.Generator, meter: Meter, density: float, shortest_div: int) -> Bar:
    """A bar of about `density` notes a beat, no note shorter than `shortest_div`."""
    cells = _cells(meter, shortest_div)
    found: list[Beat] = []
    beat = 0
    while beat < meter.beats:
        left = meter.beats - beat
        # Long cells start on strong beats: on an even beat of an even bar, on the downbeat of an odd one.
        fits = [
            c for c in cells if c[0] <= left and (c[0] == 1 or (beat % 2 == 0 if meter.beats % 2 == 0 else beat == 0))
        ]
        fits = [c for c in fits if not (c[0] == 3 and meter.beats % 3)] or fits
        weights = [w * np.exp(-(((len(d) / n - density) / _SPREAD) ** 2) / 2) + 1e-9 for n, d, w in fits]
        count, lengths, _ = pick(rng, fits, weights)
        offset = beat * meter.beat_div
        for length in lengths:
            found.append(Beat(offset, length))
            offset += length
        beat += count
    return tuple(found)


def closing_bar(meter: Meter, rest_div: int) -> Bar:
    """One long note on the downbeat; it leaves `rest_div` of the bar for an upbeat to what follows."""
    return (Beat(0, max(meter.beat_div, meter.bar_div - rest_div)),)


def draw_rhythm(
    rng: np.random.Generator,
    meter: Meter,
    bars: int,
    density: float,
    shortest_div: int,
    closing: Bar | None,
    avoid: Sequence[Bar] = (),
) -> tuple[Bar, ...]:
    """The rhythm of a theme: its first bar is a motive that the third (of two bars: none) repeats.

    Args:
        density: notes a beat of the first bar; the others are a little calmer or livelier.
        closing: the last bar, None for one that flows on.
        avoid: first bars of other themes, to differ from.
    """
    motive = draw_bar(rng, meter, density, shortest_div)
    for _ in range(6):  # a motive has two notes at least, and is not another theme's
        if len(motive) >= 2 and motive not in avoid:
            break
        motive = draw_bar(rng, meter, density + 0.1, shortest_div)
    second = draw_bar(rng, meter, density * rng.uniform(0.75, 1.15), shortest_div)
    if rng.random() < 0.3:
        second = motive
    third = motive if rng.random() < 0.8 else second
    plain = (motive, second, third, draw_bar(rng, meter, density * 0.8, shortest_div))[:bars]
    return (*plain[:-1], closing) if closing is not None else plain
