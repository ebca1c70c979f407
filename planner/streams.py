"""Plans as streams of tokens: what a planner's network reads and predicts.

A plan is written level by level, each from what stands above it: its form (`planner.form_stream`), the chords of a
section (`planner.harmony_stream`), the notes of a theme (`planner.theme_stream`). Each level is a stream of tokens; a
token has a field (what is asked: "bars", "cadence", "pitch") and a value. Beside it stand columns: what the walker
that leads through the stream knows at that place, as small whole numbers (bars left in the phrase, the chord sounding
at the same place of the passage that returns). One walker leads through training and through sampling, so the two
cannot drift apart; only the sampling of themes has a compiled twin (`planner.theme_kernels`), which a test holds to the
walker to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int16

UNKNOWN = -1  # a value that no one annotated: it is not learned from, and columns that tell of it are 0


@dataclass(frozen=True)
class Field:
    """A kind of token.

    Args:
        name: such as "bars".
        size: values are 0 .. size - 1.
        copies: columns that hold a value of this field plus one (0: none), which may well be the value asked for.
    """

    name: str
    size: int
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """Something known beside a token: values are 0 .. size - 1, and 0 is always "unknown" or "none"."""

    name: str
    size: int


@dataclass(frozen=True)
class Stream:
    """The fields and columns of a level."""

    name: str
    columns: tuple[Column, ...]
    fields: tuple[Field, ...]

    @cached_property
    def column(self) -> dict[str, int]:
        """Index of a column by its name."""
        return {column.name: index for index, column in enumerate(self.columns)}

    @cached_property
    def field(self) -> dict[str, int]:
        """Index of a field by its name."""
        return {field.name: index for index, field in enumerate(self.fields)}

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each field's values begin among all values of the stream, one after another."""
        ends = np.cumsum([0, *(field.size for field in self.fields)])
        return tuple(ends.tolist())

    @property
    def vocabulary(self) -> int:
        """Values of all fields together."""
        return self.starts[-1]


@runtime_checkable
class Walker(Protocol):
    """Leads through a stream, from token to token.

    A walker asks for one value after another and knows, from what it was told, which field comes next and what the
    columns say there. It does not choose.
    """

    stream: Stream

    @property
    def field(self) -> int | None:
        """Index of the field that is asked for, or None at the end."""
        ...

    def columns(self) -> list[int]:
        """What is known here, one value for each of the stream's columns, each within its size."""
        ...

    def push(self, value: int) -> None:
        """Takes the value asked for (`UNKNOWN` where a plan does not say) and goes on to the next place."""
        ...


@dataclass(frozen=True)
class Tokens:
    """A stream's tokens of one plan, section or theme.

    Args:
        columns: [tokens, columns], what was known at each.
        fields: [tokens], index of each one's field.
        values: [tokens], each one's value, `UNKNOWN` where the plan does not say.
    """

    columns: Int16[np.ndarray, "tokens columns"]
    fields: Int16[np.ndarray, " tokens"]
    values: Int16[np.ndarray, " tokens"]

    @property
    def known(self) -> Bool[np.ndarray, " tokens"]:
        """Which values the plan says."""
        return self.values != UNKNOWN

    def __len__(self) -> int:
        return len(self.values)


def written(walker: Walker, values: Iterable[int]) -> Tokens:
    """The tokens of a walk with these values.

    Raises:
        ValueError: too few or too many values for the walk, or one outside its field.
    """
    columns: list[Sequence[int]] = []
    fields: list[int] = []
    taken: list[int] = []
    for value in values:
        field = walker.field
        if field is None:
            raise ValueError(f"stream {walker.stream.name} ends before its values do")
        if not UNKNOWN <= value < walker.stream.fields[field].size:
            raise ValueError(f"{walker.stream.name} has no {walker.stream.fields[field].name} {value}")
        columns.append(walker.columns())
        fields.append(field)
        taken.append(value)
        walker.push(value)
    if walker.field is not None:
        raise ValueError(f"stream {walker.stream.name} still asks for {walker.stream.fields[walker.field].name}")
    width = len(walker.stream.columns)
    return Tokens(
        np.array(columns, dtype=np.int16).reshape(len(taken), width),
        np.array(fields, dtype=np.int16),
        np.array(taken, dtype=np.int16),
    )


def bucket(value: int, bounds: Sequence[int]) -> int:
    """Column value of a count: 1 + how many of the sorted `bounds` it reaches or passes."""
    return 1 + int(np.searchsorted(bounds, value, side="right"))
