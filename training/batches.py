"""Batches that are the same each time, and where in a run a process stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import pytorch_lightning as pl

T = TypeVar("T")


class FixedBatches(Generic[T]):
    """The same batches each time. (Lightning takes a plain list for several loaders.)"""

    def __init__(self, batches: Sequence[T]) -> None:
        self.batches = tuple(batches)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[T]:
        return iter(self.batches)


class PlacedData(pl.LightningDataModule):
    """A DataModule that deals fresh batches by epoch and process."""

    def place(self) -> tuple[int, int, int]:
        """Epoch, rank and number of processes; (0, 0, 1) outside a run."""
        trainer = self.trainer
        return (0, 0, 1) if trainer is None else (trainer.current_epoch, trainer.global_rank, trainer.world_size)
