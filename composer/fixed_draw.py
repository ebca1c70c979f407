"""Notes told in advance, for training: lines, single voices, whole bars, for a while or for long.

At a cadence two or three outer notes are fixed, at a theme the top line, where a melody is harmonised all of it, where
bars are filled all around them: the masks are drawn so that the net has met each of these.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from composer.conditions import ATTACK, HOLD, OFF
from composer.roll import PITCHES

MASKS = ("top", "bottom", "outer", "voice", "bars")
CHANCES = (0.3, 0.15, 0.2, 0.1, 0.25)
SHORT = 0.5  # chance that lines are fixed for a few steps only


def draw_fixed(
    rng: np.random.Generator,
    play: Bool[ndarray, "steps 88"],
    articulate: Bool[ndarray, "steps 88"],
    melody: Bool[ndarray, "steps 88"],
) -> Int[ndarray, "steps 88"]:
    """States of the cells (`composer.conditions`: FREE, OFF, HOLD, ATTACK) of a window.

    Args:
        play, articulate: the window's notes.
        melody: its theme line.
    """
    states = np.where(articulate, ATTACK, np.where(play, HOLD, OFF)).astype(np.int8)
    mask = str(rng.choice(MASKS, p=CHANCES))
    cells = _cells(rng, mask, play, melody) & _steps(rng, mask, len(play))[:, None]
    return np.where(cells, states, 0).astype(np.int8)


def _cells(
    rng: np.random.Generator, mask: str, play: Bool[ndarray, "steps 88"], melody: Bool[ndarray, "steps 88"]
) -> Bool[ndarray, "steps 88"]:
    pitches = np.arange(PITCHES)[None, :]
    # Themes have nothing above them; so has the top line, and the bass nothing below.
    line = melody if mask == "top" else play
    top = np.where(line.any(1), PITCHES - 1 - line[:, ::-1].argmax(1), PITCHES)
    bottom = np.where(play.any(1), play.argmax(1), -1)
    if mask == "top":
        return pitches >= top[:, None]
    if mask == "bottom":
        return pitches <= bottom[:, None]
    if mask == "outer":
        return (pitches >= top[:, None]) | (pitches <= bottom[:, None])
    if mask == "voice":
        rank = play.cumsum(axis=1)
        return play & (rank == int(rng.integers(1, 5)))
    return np.ones_like(play)


def _steps(rng: np.random.Generator, mask: str, steps: int) -> Bool[ndarray, " steps"]:
    chosen = np.ones(steps, dtype=bool)
    if mask == "bars":
        start = int(rng.integers(0, steps))
        chosen[:] = False
        chosen[start : start + int(rng.integers(4, steps))] = True
    elif rng.random() < SHORT:
        start = int(rng.integers(0, steps))
        chosen[:] = False
        chosen[start : start + int(rng.integers(1, 17))] = True
    return chosen
