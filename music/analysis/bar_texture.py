"""How each bar of a piece is written: density, register, span and class of rhythm."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from music.analysis.arrays import NoteArrays
from music.plan import BarTexture
from music.time import DIVS_PER_QUARTER

_THIRD = DIVS_PER_QUARTER // 3
_SIXTEENTH = DIVS_PER_QUARTER // 4
CLEAR = 0.6  # share of the steps from onset to onset that names a rhythm after them


def rhythm_class(onsets: Int[np.ndarray, " onsets"], length_div: int) -> str:
    """The class (`music.plan.RHYTHMS`) of a bar's rhythm, all parts together.

    "none" without an onset; "long" where the onsets are two quarters or more apart on the mean; "triplet" where a third
    or more of the steps from onset to onset are thirds or sixths of a quarter; "dotted" where a step of three
    sixteenths is followed by one of one; else the value (quarter, eighth, sixteenth) that `CLEAR` of the steps have;
    else "mixed". Definition: this project's own.

    Args:
        onsets: divisions from the bar's start, sorted or not, several at once counted once.
        length_div: of the bar.
    """
    places = np.unique(onsets)
    if len(places) == 0:
        return "none"
    steps = np.diff(np.append(places, max(length_div, int(places[-1]) + 1)))
    if len(steps) * 2 * DIVS_PER_QUARTER <= length_div:
        return "long"
    if np.isin(steps, (_THIRD, 2 * _THIRD, _THIRD // 2)).mean() >= 1 / 3:
        return "triplet"
    if bool(((steps[:-1] == 3 * _SIXTEENTH) & (steps[1:] == _SIXTEENTH)).any()):
        return "dotted"
    for name, longest in (("sixteenth", _SIXTEENTH), ("eighth", 2 * _SIXTEENTH), ("quarter", 6 * _SIXTEENTH)):
        shortest = 0 if name == "sixteenth" else longest // 2
        if ((steps > shortest) & (steps <= longest)).mean() >= CLEAR:
            return name
    return "mixed"


def bar_textures(notes: NoteArrays, bounds_div: Sequence[int]) -> tuple[BarTexture, ...]:
    """The texture of each bar.

    Args:
        notes: of the piece.
        bounds_div: onsets of the bars, and the end of the last one.
    """
    found = []
    for start, end in pairwise(bounds_div):
        struck = (notes.onset >= start) & (notes.onset < end)
        sounding = notes.pitch[(notes.onset < end) & (notes.end > start)]
        pitches = notes.pitch[struck]
        found.append(
            BarTexture(
                density=round(float(struck.sum()) * DIVS_PER_QUARTER / (end - start), 2),
                register=round(float(pitches.mean()), 1) if len(pitches) else None,
                span=int(sounding.max() - sounding.min()) if len(sounding) else 0,
                rhythm=rhythm_class(notes.onset[struck] - start, end - start),
            )
        )
    return tuple(found)
