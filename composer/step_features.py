"""The projected features of one step in two parts: conditions, computed for many steps ahead in one call, and notes.

Both come from the functions that training calls (`composer.features`). They are linear in the bits of the frame before
and of the frame's own lower notes, and in those they depend on intervals alone; so what one note contributes is
measured once, at every interval, and a step only adds up rows of a table for the few notes that sound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from composer.conditions import CONTEXT_FIELDS, GROUPS, LOOK_AHEAD, NO_REFERENCE, UNKNOWN, Conditions, drop_groups
from composer.features import Frames, choice_features, global_features, local_features
from composer.network import BiaxialNetwork
from composer.roll import LOWEST_PITCH, PITCHES

BLOCK = 32  # steps projected in one call


def _rows(array: ndarray, first: int, count: int) -> ndarray:
    out = np.zeros((count, *array.shape[1:]), dtype=array.dtype)
    part = array[first : first + count]
    out[: len(part)] = part
    return out


@dataclass(frozen=True, eq=False)
class _Part:
    """The rows of `Conditions` that some steps depend on: reference and fixed notes have `LOOK_AHEAD` more."""

    context: ndarray
    reference_play: ndarray
    reference_articulate: ndarray
    reference_kind: ndarray
    fixed: ndarray


AnyConditions = TypeVar("AnyConditions", Conditions, _Part)


def _part(told: Conditions, first: int, steps: int) -> _Part:
    """A copy of the rows that steps first .. first + steps depend on."""
    last = len(told.context) - 1
    return _Part(
        told.context[np.minimum(np.arange(first, first + steps), last)],
        _rows(told.reference_play, first, steps + LOOK_AHEAD),
        _rows(told.reference_articulate, first, steps + LOOK_AHEAD),
        _rows(told.reference_kind, first, steps),
        _rows(told.fixed, first, steps + LOOK_AHEAD),
    )


def _same_step(told: Conditions, step: int, block: _Part, row: int) -> bool:
    """Whether a block holds, at `row`, the rows that a step depends on; beyond the end of `told` all is 0."""
    if not np.array_equal(told.context[min(step, len(told.context) - 1)], block.context[row]):
        return False
    for name in ("reference_play", "reference_articulate", "fixed"):
        here, there = (
            getattr(told, name)[step : step + 1 + LOOK_AHEAD],
            getattr(block, name)[row : row + 1 + LOOK_AHEAD],
        )
        if not np.array_equal(here, there[: len(here)]) or there[len(here) :].any():
            return False
    kind = told.reference_kind[step] if step < len(told.reference_kind) else 0
    return bool(kind == block.reference_kind[row])


def conceal(told: AnyConditions) -> AnyConditions:
    """The same with nothing told but the meter and the notes set in advance."""
    silent = np.zeros_like(told.reference_play)
    return replace(
        told,
        context=drop_groups(told.context, tuple(GROUPS)),
        reference_play=silent,
        reference_articulate=silent,
        reference_kind=np.full_like(told.reference_kind, NO_REFERENCE),
    )


@torch.no_grad()
def _project(network: BiaxialNetwork, frames: Frames) -> Float[Tensor, "B T P width"]:
    """What the rectifier of `BiaxialNetwork.project` is applied to."""
    per_step = network.context(global_features(frames, len(network.config.styles)))
    return network.local(local_features(frames)) + per_step.unsqueeze(2)


def _frames(
    told: _Part, columns: tuple[int, int], play: Bool[ndarray, "T_and_one P"], struck: Bool[ndarray, "T_and_one P"]
) -> Frames:
    low, high = columns

    def batch(array: ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).unsqueeze(0)

    steps = len(told.context)
    return Frames(
        play=batch(play),
        articulate=batch(struck),
        context=batch(told.context),
        reference_play=batch(told.reference_play[:, low:high]),
        reference_articulate=batch(told.reference_articulate[:, low:high]),
        reference_kind=batch(told.reference_kind.astype(np.int64)),
        fixed=batch(told.fixed[:, low:high]),
        lowest=torch.tensor([LOWEST_PITCH + low]),
        fit=torch.ones(1, steps, dtype=torch.bool),
    )


@dataclass
class _Block:
    first: int
    told: _Part
    projected: Float[ndarray, "steps P width"]


class ConditionsAhead:
    """Projected conditions, a block of steps at a time.

    A block is used as long as the rows that a step depends on are those that it was computed from, so conditions may be
    changed in place between steps.

    Args:
        network: in evaluation mode.
        columns: first column of the 88 pitches, and the one after the last.
        concealed: whether the conditions are concealed first.
    """

    def __init__(self, network: BiaxialNetwork, columns: tuple[int, int], concealed: bool) -> None:
        self._network, self._columns, self._concealed = network, columns, concealed
        self._blocks: dict[int, _Block] = {}

    def at(self, told: Conditions, step: int, slot: int) -> Float[ndarray, "P width"]:
        """The projected conditions of a step.

        Args:
            told: of a whole piece.
            step: row of it.
            slot: items that may be told different things have different slots.
        """
        block = self._blocks.get(slot)
        if block is not None and 0 <= step - block.first < len(block.projected):
            row = step - block.first
            if _same_step(told, step, block.told, row):
                return block.projected[row]
        steps = max(min(BLOCK, len(told.context) - step), 1)
        part = _part(told, step, steps)
        low, high = self._columns
        silent = np.zeros((steps + 1, high - low), dtype=bool)
        seen = conceal(part) if self._concealed else part
        projected = _project(self._network, _frames(seen, self._columns, silent, silent))[0].numpy()
        self._blocks[slot] = _Block(step, part, projected)
        return projected[0]


def previous_tables(network: BiaxialNetwork) -> tuple[Float[ndarray, "rows width"], Float[ndarray, "rows width"]]:
    """What a note of the frame before adds to the projected features, for its play and its articulate bit.

    Row PITCHES - 1 + p - q is what a note at pitch q adds at pitch p.
    """
    wide = 2 * PITCHES - 1
    context = np.full((1, len(CONTEXT_FIELDS)), UNKNOWN, dtype=np.int16)
    rows = 1 + LOOK_AHEAD
    silent = np.zeros((rows, wide), dtype=bool)
    told = _Part(context, silent, silent, np.zeros(1, np.int64), np.zeros((rows, wide), dtype=np.int8))
    none, note = np.zeros((2, wide), dtype=bool), np.zeros((2, wide), dtype=bool)
    note[0, PITCHES - 1] = True
    without, played, struck = (
        _project(network, _frames(told, (0, wide), play, articulate))[0, 0].numpy()
        for play, articulate in ((none, none), (note, none), (none, note))
    )
    return played - without, struck - without


def choice_tables() -> tuple[Float[ndarray, "88 choice"], Float[ndarray, "reach choice"]]:
    """Choice features that a lower note adds at each distance in semitones, for its play and its articulate bit.

    The second table ends with the last distance at which the bit is seen.
    """
    note, none = torch.zeros(1, 1, PITCHES), torch.zeros(1, 1, PITCHES)
    note[0, 0, 0] = 1.0
    lowest = torch.tensor([LOWEST_PITCH])
    played = choice_features(note, none, lowest)[0, 0].numpy()
    struck = choice_features(none, note, lowest)[0, 0].numpy()
    reach = int(np.flatnonzero(struck.any(axis=1)).max(initial=0)) + 1
    return played, struck[:reach]
