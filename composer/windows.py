"""Windows of pieces: cropped, transposed and in part concealed for training, or just as a planner would give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from composer.conditions import (
    FIELD,
    GROUPS,
    HOLD,
    LOOK_AHEAD,
    NO_REFERENCE,
    UNKNOWN,
    drop_groups,
    shift_pitches,
    transpose_context,
)
from composer.examples import Example, references
from composer.features import Frames
from composer.fixed_draw import draw_fixed
from composer.likeness import similarity_column
from composer.reference_draw import Reference, draw_reference
from composer.roll import LOWEST_PITCH, PITCHES

FORM_JITTER = 0.2  # chance that inferred bounds are told a bar too early or too late
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
        drop_bars: the same of what is told of single bars, which a plan may well lack.
        fix: chance that part of the notes is told in advance.
    """

    steps: int = 64
    batch: int = 16
    transpose: int = 5
    drop: float = 0.15
    drop_all: float = 0.1
    drop_bars: float = 0.3
    fix: float = 0.3


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
    # Beyond either end the last row is repeated: those steps are not scored, but the columns must stay valid.
    return context[np.clip(np.arange(first, first + count), 0, len(context) - 1)]


def _bar_span(example: Example, first: int, last: int) -> tuple[int, int]:
    """The whole bars that hold steps first .. last of a piece."""
    bars = example.bars
    low = int(np.searchsorted(bars, first, side="right")) - 1
    high = int(np.searchsorted(bars, min(last, int(bars[-1])) - 1, side="right"))
    return int(bars[low]), int(bars[high])


def _with_similarity(example: Example, first: int, reference: Reference) -> Int[ndarray, " steps"]:
    """How like the reference, which begins at step `first`, the piece is: the column of the net's context."""
    play, articulate, kind = reference
    steps = slice(first, first + len(play))
    return similarity_column(example.context[steps], example.roll.articulate[steps], articulate, kind)


def _jitter_form(rng: np.random.Generator, example: Example, first: int, steps: int, context: ndarray) -> None:
    """Moves inferred bounds of phrases by a bar now and then: they are no surer than that."""
    if example.annotated or rng.random() >= FORM_JITTER:
        return
    bar = int(context[0, FIELD["bar_steps"]])
    rows = _context_rows(example.context, first + int(rng.choice([-bar, bar])), steps)
    for name in GROUPS["form"]:
        context[:, FIELD[name]] = rows[:, FIELD[name]]


def _blur_bars(rng: np.random.Generator, context: ndarray) -> None:
    """What is told of each bar is off by as much as a planner may be."""
    bars = np.cumsum(context[:, FIELD["bar_step"]] == 0)
    noise = rng.standard_normal((3, int(bars[-1]) + 1))[:, bars]
    for name, change in (
        ("bar_density", lambda v: v * np.exp(0.1 * noise[0])),
        ("bar_register", lambda v: v + noise[1]),
        ("bar_span", lambda v: np.maximum(v + 1.5 * noise[2], 0)),
    ):
        column = context[:, FIELD[name]]
        column[:] = np.where(column == UNKNOWN, UNKNOWN, np.rint(change(column)))


def draw_window(rng: np.random.Generator, example: Example, config: WindowConfig) -> Window:
    """A random window of a piece: its place, its key, and what the net is told of it."""
    steps, count = config.steps, config.steps + LOOK_AHEAD
    first = int(rng.integers(0, max(example.roll.steps - steps // 2, 1)))
    semitones = int(rng.integers(-config.transpose, config.transpose + 1))
    context = _context_rows(example.context, first, steps).copy()
    _jitter_form(rng, example, first, steps, context)
    _blur_bars(rng, context)
    low, high = _bar_span(example, first, first + count)
    reference = draw_reference(rng, example, low, high)
    column = _with_similarity(example, low, reference)
    play_ref, struck_ref, kind = (_rows(part, first - low, count) for part in reference)
    context[:, FIELD["similarity"]] = np.where(kind[:steps] == NO_REFERENCE, UNKNOWN, _rows(column, first - low, steps))
    fixed = np.zeros((count, PITCHES), dtype=np.int8)
    if rng.random() < config.fix:
        parts = (example.roll.play, example.roll.articulate, example.melody[0])
        fixed = draw_fixed(rng, *(_rows(part, first, count) for part in parts))
    if rng.random() < config.drop_all:
        context = drop_groups(context, tuple(GROUPS))
        play_ref, struck_ref, kind = play_ref & False, struck_ref & False, kind * 0
    else:
        chances = {name: config.drop_bars if name == "bar" else config.drop for name in GROUPS}
        context = drop_groups(context, [name for name, chance in chances.items() if rng.random() < chance])
    context = transpose_context(context, semitones)
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
    count = steps + LOOK_AHEAD
    low, high = _bar_span(example, first, first + count)
    reference = references(example, low, high - low)
    column = _with_similarity(example, low, reference)
    play_ref, struck_ref, kind = (_rows(part, first - low, count) for part in reference)
    context = _context_rows(example.context, first, steps).copy()
    context[:, FIELD["similarity"]] = np.where(kind[:steps] == NO_REFERENCE, UNKNOWN, _rows(column, first - low, steps))
    return Window(
        _rows(example.roll.play, first - 1, steps + 1),
        _rows(example.roll.articulate, first - 1, steps + 1),
        context,
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
