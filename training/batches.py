"""Batches that are the same each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class FixedBatches(Generic[T]):
    """The same batches each time. (Lightning takes a plain list for several loaders.)"""

    def __init__(self, batches: Sequence[T]) -> None:
        self.batches = tuple(batches)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[T]:
        return iter(self.batches)
