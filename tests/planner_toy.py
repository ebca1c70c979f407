"""A small stream for tests: numbers that repeat with a period that the walker knows."""

from __future__ import annotations

import numpy as np

from planner.streams import Column, Field, Stream, Tokens, written

TOY = Stream(
    "toy",
    (Column("place", 5), Column("model", 8), Column("last", 3)),
    (Field("number", 7, ("model",)), Field("turn", 2)),
)


class ToyWalker:
    """Asks for `length` numbers, a turn after each third; the number four numbers back stands in "model"."""

    stream = TOY

    def __init__(self, length: int) -> None:
        self.length, self.numbers, self.turns = length, [], []
        self._turn = False

    @property
    def field(self) -> int | None:
        """See `planner.streams.Walker`."""
        if self._turn:
            return 1
        return 0 if len(self.numbers) < self.length else None

    def columns(self) -> list[int]:
        """See `planner.streams.Walker`."""
        count = len(self.numbers)
        model = self.numbers[count - 4] + 1 if count >= 4 else 0
        return [1 + count % 4, model, self.turns[-1] + 1 if self.turns else 0]

    def push(self, value: int) -> None:
        """See `planner.streams.Walker`."""
        if self._turn:
            self.turns.append(value)
            self._turn = False
            return
        self.numbers.append(value)
        self._turn = len(self.numbers) % 3 == 0


def toy_walk(seed: int, length: int = 13) -> Tokens:
    """Four numbers drawn, then the same again and again; turns drawn."""
    rng = np.random.default_rng(seed)
    motive = rng.integers(7, size=4).tolist()
    values: list[int] = []
    for i in range(length):
        values.append(motive[i % 4])
        if i % 3 == 2:
            values.append(int(rng.integers(2)))
    return written(ToyWalker(length), values)
