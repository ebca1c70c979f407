"""Batches of walks for training, and the DataModule that deals them out.

A batch is a pure function of (seed, epoch, index): so a run that was broken off goes on with the very batches that it
would have seen, and several processes can each take their share of the same batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from planner.network import Batch
from planner.streams import UNKNOWN, Tokens
from training.batches import FixedBatches, PlacedData

_POOL = 4  # batches drawn at once and dealt out by length, so that little is padding


@dataclass(frozen=True)
class WalkConfig:
    """How walks are drawn.

    Args:
        batch: walks a batch.
        longest: tokens; of longer walks the first so many, or any stretch of so many, are taken.
        hide: chance that a column of a walk is concealed (0 all along), so that none is leant on alone.
        balance: a style is drawn in proportion to its tokens to this power: 1 as often as there is of it, 0 all alike.
    """

    batch: int = 32
    longest: int = 384
    hide: float = 0.05
    balance: float = 0.5


def walk_chances(styles: Sequence[str], walks: Sequence[Tokens], balance: float) -> Float[np.ndarray, " walks"]:
    """How often each walk is drawn: within a style in proportion to its length.

    Args:
        styles: of each walk.
        walks: the walks.
        balance: see `WalkConfig`.
    """
    lengths = np.array([len(w) for w in walks], dtype=np.float64)
    names = np.array(styles)
    chances = lengths.copy()
    for name in np.unique(names):
        here = names == name
        chances[here] *= lengths[here].sum() ** (balance - 1)
    return chances / chances.sum()


def collate(walks: Sequence[Tokens]) -> Batch:
    """Walks padded to the longest."""
    longest, width = max(len(w) for w in walks), walks[0].columns.shape[1]
    columns = np.zeros((len(walks), longest, width), dtype=np.int64)
    fields = np.zeros((len(walks), longest), dtype=np.int64)
    values = np.full((len(walks), longest), UNKNOWN, dtype=np.int64)
    for i, walk in enumerate(walks):
        columns[i, : len(walk)], fields[i, : len(walk)], values[i, : len(walk)] = walk.columns, walk.fields, walk.values
    known = values != UNKNOWN
    arrays = (columns, fields, np.where(known, values, 0), known)
    return Batch(*(torch.from_numpy(a) for a in arrays))


def stretch(walk: Tokens, longest: int, rng: np.random.Generator) -> Tokens:
    """The walk, or a stretch of it where it is longer; half of these begin at its beginning."""
    if len(walk) <= longest:
        return walk
    first = 0 if rng.random() < 0.5 else int(rng.integers(len(walk) - longest + 1))
    part = slice(first, first + longest)
    return Tokens(walk.columns[part], walk.fields[part], walk.values[part])


def concealed(walk: Tokens, chance: float, rng: np.random.Generator) -> Tokens:
    """The walk with some columns 0 all along."""
    seen = rng.random(walk.columns.shape[1]) >= chance
    return Tokens(walk.columns * seen.astype(walk.columns.dtype), walk.fields, walk.values)


class Batches:
    """The batches of one epoch for one process: batch i of epoch e is the same in every run.

    Args:
        walks: all of them.
        chances: of each.
        config: how they are drawn.
        seed, epoch: which batches.
        count: batches in the epoch.
        rank, world: this process takes walks rank, rank + world, … of each batch.
    """

    def __init__(
        self,
        walks: Sequence[Tokens],
        chances: Float[np.ndarray, " walks"],
        config: WalkConfig,
        *,
        seed: int,
        epoch: int,
        count: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if config.batch % world:
            raise ValueError(f"a batch of {config.batch} cannot be dealt to {world} processes")
        self.walks, self.chances, self.config = walks, chances, config
        self.seed, self.epoch, self.count = seed, epoch, count
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return self.count

    def batch(self, index: int) -> Batch:
        """Batch `index` of the epoch, this process' share."""
        config = self.config
        pool = np.random.default_rng((self.seed, self.epoch, index // _POOL))
        picks = pool.choice(len(self.walks), size=_POOL * config.batch, p=self.chances)
        picks = picks[np.argsort([len(self.walks[i]) for i in picks], kind="stable")]
        place = int(pool.permutation(_POOL)[index % _POOL]) * config.batch
        rng = np.random.default_rng((self.seed, self.epoch, index, 1))
        drawn = [stretch(self.walks[i], config.longest, rng) for i in picks[place : place + config.batch]]
        drawn = [concealed(walk, config.hide, rng) for walk in drawn]
        return collate(drawn[self.rank :: self.world])

    def __iter__(self) -> Iterator[Batch]:
        for index in range(self.count):
            yield self.batch(index)


def all_batches(walks: Sequence[Tokens], size: int) -> list[Batch]:
    """Every walk whole, in batches of like length."""
    ordered = sorted(walks, key=len)
    return [collate(ordered[i : i + size]) for i in range(0, len(ordered), size)]


class WalkData(PlacedData):
    """Batches of one stream's walks; a fresh, reproducible set for each epoch and process.

    Args:
        train, valid: walks.
        chances: of each training walk, see `walk_chances`.
        config: how walks are drawn.
        seed: of all draws.
        epoch_steps: batches an epoch.
    """

    def __init__(
        self,
        train: Sequence[Tokens],
        valid: Sequence[Tokens],
        chances: Float[np.ndarray, " walks"],
        config: WalkConfig,
        *,
        seed: int,
        epoch_steps: int,
    ) -> None:
        super().__init__()
        self.train, self.valid, self.chances, self.config = train, valid, chances, config
        self.seed, self.epoch_steps = seed, epoch_steps

    def train_dataloader(self) -> Batches:
        """The present epoch's batches."""
        epoch, rank, world = self.place()
        return Batches(
            self.train,
            self.chances,
            self.config,
            seed=self.seed,
            epoch=epoch,
            count=self.epoch_steps,
            rank=rank,
            world=world,
        )

    def val_dataloader(self) -> FixedBatches[Batch]:
        """All valid walks; every process takes its share of each batch."""
        _, rank, world = self.place()
        size = self.config.batch
        return FixedBatches(all_batches(self.valid[rank::world], size))
