"""Windows of pieces: cropped, transposed and in part concealed for training, or just as a planner would give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray

from composer.conditions import (
    ATTACK,
    GROUPS,
    HOLD,
    LOOK_AHEAD,
    NO_REFERENCE,
    OFF,
    THEME,
    drop_groups,
    shift_pitches,
    transpose_context,
)
from composer.examples import Example, references
from composer.features import Frames
from composer.roll import LOWEST_PITCH, PITCHES

MARGIN = 2  # silent pitches kept at either edge of a window


@dataclass(frozen=True)
class WindowConfig:
    """How windows are drawn.

    Args:
        steps: length of a window.
        batch: windows a batch, over all processes.
        transpose: the farthest random transposition in semitones, either way.
        drop: chance that a group of conditions is concealed.
        drop_all: chance that all are.
        fix: chance that part of the notes is told in advance.
    """

    steps: int = 64
    batch: int = 16
    transpose: int = 5
    drop: float = 0.15
    drop_all: float = 0.1
    fix: float = 0.2


@dataclass(frozen=True, eq=False)
class Window:
    """One item of a batch before it is cropped: arrays over all 88 pitches, see `Frames` for the rows."""

    play: ndarray
    articulate: ndarray
    context: ndarray
    reference_play: ndarray
    reference_articulate: ndarray
    reference_kind: ndarray
    fixed: ndarray
    fit: ndarray


def _rows(array: ndarray, first: int, count: int) -> ndarray:
    """Rows first .. first + count, zeros where they lie outside the array."""
    out = np.zeros((count, *array.shape[1:]), dtype=array.dtype)
    low, high = max(first, 0), min(first + count, len(array))
    if low < high:
        out[low - first : high - first] = array[low:high]
    return out


def _context_rows(context: ndarray, first: int, count: int) -> ndarray:
    # Beyond the end the last row is repeated: those steps are not scored, but the columns must stay valid.
    return context[np.minimum(np.arange(first, first + count), len(context) - 1)]


def _theme_reference(example: Example, first: int, count: int) -> tuple[ndarray, ndarray, ndarray]:
    play, articulate = (_rows(part, first, count) for part in example.melody)
    return play, articulate, np.full(count, THEME, dtype=np.int8)


def _corrupt(rng: np.random.Generator, play: ndarray, articulate: ndarray) -> tuple[ndarray, ndarray]:
    """A reference with some of its notes missing, so that the net learns to use it without trusting it blindly."""
    rate = rng.choice([0.0, 0.0, 0.1, 0.3])
    kept = rng.random(play.shape[1]) >= rate
    return play & kept, articulate & kept


def _draw_reference(
    rng: np.random.Generator, example: Example, first: int, steps: int
) -> tuple[ndarray, ndarray, ndarray]:
    count = steps + LOOK_AHEAD
    choice = rng.random()
    if choice < 0.25:
        silent = np.zeros((count, PITCHES), dtype=bool)
        return silent, silent.copy(), np.full(count, NO_REFERENCE, dtype=np.int8)
    if choice < 0.5:
        return _theme_reference(example, first, count)
    play, articulate, kind = references(example, first, count)
    return *_corrupt(rng, play, articulate), kind


def _draw_fixed(rng: np.random.Generator, example: Example, first: int, steps: int) -> ndarray:
    """Notes told in advance: the melody with nothing above it, the lowest line, or whole bars."""
    count = steps + LOOK_AHEAD
    play, articulate = _rows(example.roll.play, first, count), _rows(example.roll.articulate, first, count)
    states = np.where(articulate, ATTACK, np.where(play, HOLD, OFF)).astype(np.int8)
    fixed = np.zeros((count, PITCHES), dtype=np.int8)
    kind = rng.integers(3)
    if kind == 0:
        melody = _rows(example.melody[0], first, count)
        top = np.where(melody.any(1), melody.argmax(1), PITCHES)
        cells = np.arange(PITCHES)[None, :] >= top[:, None]
    elif kind == 1:
        bottom = np.where(play.any(1), play.argmax(1), -1)
        cells = np.arange(PITCHES)[None, :] <= bottom[:, None]
    else:
        start = int(rng.integers(0, steps))
        cells = np.zeros_like(play)
        cells[start : start + int(rng.integers(4, steps))] = True
    fixed[cells] = states[cells]
    return fixed


def draw_window(rng: np.random.Generator, example: Example, config: WindowConfig) -> Window:
    """A random window of a piece: its place, its key, and what the net is told of it."""
    steps = config.steps
    first = int(rng.integers(0, max(example.roll.steps - steps // 2, 1)))
    semitones = int(rng.integers(-config.transpose, config.transpose + 1))
    context = transpose_context(_context_rows(example.context, first, steps), semitones)
    play_ref, struck_ref, kind = _draw_reference(rng, example, first, steps)
    fixed = np.zeros((steps + LOOK_AHEAD, PITCHES), dtype=np.int8)
    if rng.random() < config.fix:
        fixed = _draw_fixed(rng, example, first, steps)
    if rng.random() < config.drop_all:
        context = drop_groups(context, tuple(GROUPS))
        play_ref, struck_ref, kind = play_ref & False, struck_ref & False, kind * 0
    else:
        context = drop_groups(context, [name for name in GROUPS if rng.random() < config.drop])
    moved = [
        shift_pitches(part, semitones)
        for part in (
            _rows(example.roll.play, first - 1, steps + 1),
            _rows(example.roll.articulate, first - 1, steps + 1),
            play_ref,
            struck_ref,
            fixed,
        )
    ]
    fit = _rows(example.roll.fit, first, steps)
    return Window(moved[0], moved[1], context, moved[2], moved[3], kind[:steps], moved[4], fit)


def planned_window(example: Example, first: int, steps: int) -> Window:
    """A window with every condition as a planner gives it: no transposition, references from earlier bars only."""
    play_ref, struck_ref, kind = references(example, first, steps + LOOK_AHEAD)
    return Window(
        _rows(example.roll.play, first - 1, steps + 1),
        _rows(example.roll.articulate, first - 1, steps + 1),
        _context_rows(example.context, first, steps),
        play_ref,
        struck_ref,
        kind[:steps],
        np.zeros((steps + LOOK_AHEAD, PITCHES), dtype=np.int8),
        _rows(example.roll.fit, first, steps),
    )


def collate(windows: Sequence[Window], lowest: Sequence[int], width: int) -> Frames:
    """Windows as one batch, each cropped to `width` pitches from its own lowest MIDI pitch."""

    def crop(name: str) -> torch.Tensor:
        parts = [getattr(w, name)[:, low - LOWEST_PITCH :][:, :width] for w, low in zip(windows, lowest, strict=True)]
        return torch.from_numpy(np.ascontiguousarray(np.stack(parts)))

    def stack(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([getattr(w, name) for w in windows]))

    return Frames(
        play=crop("play"),
        articulate=crop("articulate"),
        context=stack("context"),
        reference_play=crop("reference_play"),
        reference_articulate=crop("reference_articulate"),
        reference_kind=stack("reference_kind"),
        fixed=crop("fixed"),
        lowest=torch.tensor(list(lowest)),
        fit=stack("fit"),
    )


def _range(window: Window) -> tuple[int, int]:
    used = window.play.any(0) | window.reference_play.any(0) | (window.fixed >= HOLD).any(0)
    columns = np.flatnonzero(used)
    return (int(columns[0]), int(columns[-1])) if len(columns) else (PITCHES // 2, PITCHES // 2)


def crop_windows(rng: np.random.Generator, windows: Sequence[Window]) -> tuple[list[int], int]:
    """Lowest MIDI pitch of each window and their common width: no note is lost, and edges vary at random."""
    ranges = [_range(w) for w in windows]
    width = min(max(high - low for low, high in ranges) + 1 + 2 * MARGIN, PITCHES)
    lowest = []
    for low, high in ranges:
        first, last = max(high + 1 - width, 0), min(low, PITCHES - width)
        lowest.append(LOWEST_PITCH + int(rng.integers(first, last + 1)))
    return lowest, width
