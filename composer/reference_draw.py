"""References for training: passages of every degree of likeness, also spoilt ones, so that none is followed blindly.

In real music most references that can be found are near-copies, and a net fed those learns to copy. So the degree of
likeness is drawn first, evenly over its bins, then a passage of that degree; the likeness that is told to the net is
measured afterwards, on what it is really given (`composer.likeness`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from composer.conditions import NO_REFERENCE, SIMILARITY_BOUNDS, STATEMENT, THEME, shift_pitches
from composer.examples import Example, references
from composer.roll import PITCHES

Reference = tuple[Bool[ndarray, "steps 88"], Bool[ndarray, "steps 88"], Int[ndarray, " steps"]]

NONE, MELODY, EARLIER = 0.2, 0.2, 0.15  # chances: no reference, the theme, the likest earlier bars; else by degree
LOSE_BAR = 0.08  # chance of each bar of a reference to be lacking
SPOILINGS = ("keep", "thin", "melody", "bass", "move_pitch", "move_time")
SPOILING_CHANCES = (0.5, 0.16, 0.1, 0.06, 0.1, 0.08)


def no_reference(steps: int) -> Reference:
    """Nothing."""
    silent = np.zeros((steps, PITCHES), dtype=bool)
    return silent, silent.copy(), np.full(steps, NO_REFERENCE, dtype=np.int8)


def draw_reference(rng: np.random.Generator, example: Example, first: int, last: int) -> Reference:
    """A reference for the steps first .. last, which are whole bars."""
    choice = rng.random()
    if choice < NONE:
        return no_reference(last - first)
    if choice < NONE + MELODY:
        return _theme(rng, example, first, last)
    if choice < NONE + MELODY + EARLIER:
        found = references(example, first, last - first)
    else:
        found = _of_degree(rng, example, first, last)
    return _lose_bars(rng, example, first, _spoil(rng, found))


def _theme(rng: np.random.Generator, example: Example, first: int, last: int) -> Reference:
    """The melody of the passage itself, or of its first or last part."""
    play, articulate = example.melody[0][first:last].copy(), example.melody[1][first:last].copy()
    kind = np.full(last - first, THEME, dtype=np.int8)
    if rng.random() < 0.5 and last - first > 1:
        cut = int(rng.integers(1, last - first))
        gone = slice(cut, None) if rng.random() < 0.7 else slice(0, cut)
        play[gone], articulate[gone], kind[gone] = False, False, NO_REFERENCE
    return play, articulate, kind


def _of_degree(rng: np.random.Generator, example: Example, first: int, last: int) -> Reference:
    """Other bars of the piece, earlier or later: first their degree of likeness is drawn, then the place."""
    bars = example.bars
    low = int(np.searchsorted(bars, first, side="right")) - 1
    high = int(np.searchsorted(bars, last - 1, side="right")) - 1
    here = np.arange(low, high + 1)
    offsets = np.array([d for d in range(-low, len(bars) - 1 - high) if d], dtype=np.int64)
    if len(offsets) == 0:
        return no_reference(last - first)
    likeness = example.likeness[here[:, None], here[:, None] + offsets[None]]
    degrees = np.searchsorted(SIMILARITY_BOUNDS, likeness.mean(axis=0) / 255, side="right")
    offset = int(rng.choice(offsets[degrees == rng.choice(np.unique(degrees))]))
    model = here[int(example.likeness[here, here + offset].argmax())]
    return _bars_moved(example, here, offset, int(example.shifts[model, model + offset]), last - first)


def _bars_moved(example: Example, here: ndarray, offset: int, semitones: int, steps: int) -> Reference:
    play, articulate, kind = no_reference(steps)
    first = int(example.bars[here[0]])
    for bar in here:
        start, length = int(example.bars[bar]), int(example.bars[bar + 1] - example.bars[bar])
        source = int(example.bars[bar + offset])
        if int(example.bars[bar + offset + 1]) - source != length:
            continue
        rows = slice(start - first, min(start - first + length, steps))
        count = rows.stop - rows.start
        play[rows] = shift_pitches(example.roll.play[source : source + count], semitones)
        articulate[rows] = shift_pitches(example.roll.articulate[source : source + count], semitones)
        kind[rows] = STATEMENT
    return play, articulate, kind


def _spoil(rng: np.random.Generator, reference: Reference) -> Reference:
    """The reference with notes missing, one line of it alone, or out of place."""
    play, articulate, kind = reference
    how = rng.choice(SPOILINGS, p=SPOILING_CHANCES)
    if how == "thin":
        kept = rng.random(play.shape[1]) >= rng.choice([0.1, 0.3])
        return play & kept, articulate & kept, kind
    if how in ("melody", "bass"):
        line = _outer_line(play, top=how == "melody")
        alone = np.where(kind == STATEMENT, THEME, kind).astype(kind.dtype) if how == "melody" else kind
        return play & line, articulate & line, alone
    if how == "move_pitch":
        by = int(rng.choice([-2, -1, 1, 2]))
        return shift_pitches(play, by), shift_pitches(articulate, by), kind
    if how == "move_time":
        by = int(rng.choice([-4, -2, -1, 1, 2, 4]))
        return np.roll(play, by, axis=0), np.roll(articulate, by, axis=0), kind
    return reference


def _outer_line(play: Bool[ndarray, "steps 88"], *, top: bool) -> Bool[ndarray, "steps 88"]:
    """The highest or lowest sounding pitch of each step."""
    place = PITCHES - 1 - play[:, ::-1].argmax(axis=1) if top else play.argmax(axis=1)
    line = np.zeros_like(play)
    line[np.arange(len(play)), place] = True
    return line & play


def _lose_bars(rng: np.random.Generator, example: Example, first: int, reference: Reference) -> Reference:
    play, articulate, kind = reference
    steps = np.arange(first, first + len(kind))
    bar = np.searchsorted(example.bars, steps, side="right") - 1
    gone = (rng.random(int(bar.max()) - int(bar.min()) + 1) < LOSE_BAR)[bar - bar.min()]
    return play & ~gone[:, None], articulate & ~gone[:, None], np.where(gone, NO_REFERENCE, kind).astype(kind.dtype)
