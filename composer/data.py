"""Training windows of the composer: pieces with their conditions, cropped, transposed and in part concealed.

A batch is a pure function of (seed, epoch, index): so a run that was broken off goes on with the very batches that it
would have seen, and several processes can each take their share of the same batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from numpy import ndarray

from composer.conditions import (
    ATTACK,
    GROUPS,
    HOLD,
    LOOK_AHEAD,
    NO_REFERENCE,
    OFF,
    STATEMENT,
    THEME,
    drop_groups,
    plan_context,
    shift_pitches,
    transpose_context,
)
from composer.features import Frames
from composer.roll import LOWEST_PITCH, PITCHES, Roll, roll_of_score, step_div
from music.analysis.melody import melody_line
from music.analysis.plans import plan_of_score
from music.analysis.similarity import bar_returns
from music.score import Score

MARGIN = 2  # silent pitches kept at either edge of a window


@dataclass(frozen=True, eq=False)
class Example:
    """A piece ready for training.

    Args:
        name: for messages.
        roll: the notes.
        context: the plan's columns, as long as the roll.
        melody: the top line alone, as (play, articulate) rolls.
        returns: per step, the earlier step that it is modelled on (-1 none) and the semitones from there to here.
    """

    name: str
    roll: Roll
    context: ndarray
    melody: tuple[Bool[ndarray, "steps 88"], Bool[ndarray, "steps 88"]]
    returns: ndarray


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


def _melody_rolls(score: Score, roll: Roll) -> tuple[Bool[ndarray, "steps 88"], Bool[ndarray, "steps 88"]]:
    unit = step_div(roll.steps_per_quarter)
    play, articulate = np.zeros_like(roll.play), np.zeros_like(roll.play)
    for note in melody_line(score, 0, score.end_div):
        column, first = note.pitch - LOWEST_PITCH, (note.onset_div + unit // 2) // unit
        if 0 <= column < PITCHES and first < roll.steps:
            play[first : max((note.end_div + unit // 2) // unit, first + 1), column] = True
            articulate[first, column] = True
    return play & roll.play, articulate & roll.articulate


def _return_steps(score: Score, roll: Roll) -> ndarray:
    """[steps, 2]: source step or -1, transposition. Bars of unlike length give no reference."""
    unit = step_div(roll.steps_per_quarter)
    rows = np.full((roll.steps, 2), -1, dtype=np.int32)
    rows[:, 1] = 0
    for found in bar_returns(score):
        if found is None:
            continue
        here, there = score.bars[found.bar], score.bars[found.source]
        first, source = here.onset_div // unit, there.onset_div // unit
        length = min(here.duration_div, there.duration_div) // unit
        steps = min(length, roll.steps - first)
        rows[first : first + steps, 0] = source + np.arange(steps)
        rows[first : first + steps, 1] = found.transposition
    return rows


def make_example(name: str, score: Score, *, style: str, ensemble: str, styles: Sequence[str]) -> Example:
    """A corpus piece with the conditions that a planner would give it.

    Raises:
        PlanError: the piece does not fit a plan (several meters, say).
    """
    plan = plan_of_score(score, style=style, ensemble=ensemble)
    roll = roll_of_score(score)
    context = plan_context(plan, roll.steps_per_quarter, roll.steps, styles)
    return Example(name, roll, context, _melody_rolls(score, roll), _return_steps(score, roll))


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


def references(example: Example, first: int, count: int) -> tuple[ndarray, ndarray, ndarray]:
    """Reference (play, articulate, kind) of steps first .. first + count, taken from earlier bars only."""
    play = np.zeros((count, PITCHES), dtype=bool)
    articulate = np.zeros_like(play)
    kind = np.full(count, NO_REFERENCE, dtype=np.int8)
    end = min(first + count, example.roll.steps)
    spans = example.returns[first:end]
    for semitones in np.unique(spans[spans[:, 0] >= 0, 1]):
        here = np.flatnonzero((spans[:, 0] >= 0) & (spans[:, 1] == semitones))
        source = spans[here, 0]
        play[here] = shift_pitches(example.roll.play[source], int(semitones))
        articulate[here] = shift_pitches(example.roll.articulate[source], int(semitones))
        kind[here] = STATEMENT
    return play, articulate, kind


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


class Batches:
    """The batches of one epoch for one process: batch i of epoch e is the same in every run.

    Args:
        examples: the pieces; drawn in proportion to their length.
        config: how windows are drawn.
        seed, epoch: which batches.
        count: batches in the epoch.
        rank, world: this process takes items rank, rank + world, … of each batch.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        config: WindowConfig,
        *,
        seed: int,
        epoch: int,
        count: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if config.batch % world:
            raise ValueError(f"a batch of {config.batch} cannot be dealt to {world} processes")
        self.examples, self.config = examples, config
        self.seed, self.epoch, self.count = seed, epoch, count
        self.rank, self.world = rank, world
        lengths = np.array([e.roll.steps for e in examples], dtype=np.float64)
        self._chances = lengths / lengths.sum()

    def __len__(self) -> int:
        return self.count

    def batch(self, index: int) -> Frames:
        """Batch `index` of the epoch, this process' share; all shares are cropped to the same width."""
        rng = np.random.default_rng((self.seed, self.epoch, index))
        picks = rng.choice(len(self.examples), size=self.config.batch, p=self._chances)
        windows = [draw_window(rng, self.examples[i], self.config) for i in picks]
        lowest, width = crop_windows(rng, windows)
        return collate(windows[self.rank :: self.world], lowest[self.rank :: self.world], width)

    def __iter__(self) -> Iterator[Frames]:
        for index in range(self.count):
            yield self.batch(index)
