"""Batches of performances for training, and the DataModule that deals them out.

A batch is a pure function of (seed, epoch, index): so a run that was broken off goes on with the very batches that it
would have seen, and several processes can each take their share of the same batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from performer.batch import Batch, Sheet, collate_played, crop, sheet_of
from performer.examples import Example
from training.batches import FixedBatches, PlacedData


@dataclass(frozen=True)
class CropConfig:
    """How stretches are drawn.

    Args:
        batch: stretches a batch.
        onsets: of each stretch.
        hide: chance that a column of a stretch is concealed (0 all along), so that none is leant on alone.
        hide_style: chance that the style is.
        hide_groups: chances that whole groups of columns are concealed (`performer.features.GROUPS`).
        balance: a composition is drawn in proportion to its onsets in all performances to this power.
    """

    batch: int = 16
    onsets: int = 256
    hide: float = 0.03
    hide_style: float = 0.2
    hide_groups: Mapping[str, float] | None = None
    balance: float = 0.6


def sheets_of(examples: Sequence[Example], styles: Sequence[str]) -> list[Sheet]:
    """Whole pieces with their targets; a tag that is not in `styles` is told as unknown."""
    index = {style: i + 1 for i, style in enumerate(styles)}
    return [sheet_of(e.features, index.get(e.style, 0), e.targets) for e in examples]


def chances_of(examples: Sequence[Example], balance: float) -> Float[np.ndarray, " examples"]:
    """How often each performance is drawn: many pianists of one composition do not drown the others."""
    lengths = np.array([len(e.features.onset_div) for e in examples], dtype=np.float64)
    names = np.array([e.composition for e in examples])
    chances = lengths.copy()
    for name in np.unique(names):
        chances[names == name] *= lengths[names == name].sum() ** (balance - 1)
    return chances / chances.sum()


class Batches:
    """The batches of one epoch for one process: batch i of epoch e is the same in every run.

    Args:
        sheets: whole pieces.
        chances: of each.
        config: how stretches are drawn.
        groups: pairs of the columns of notes and of onsets that `hide_groups` may conceal together, by name.
        seed, epoch: which batches.
        count: batches in the epoch.
        rank, world: this process takes stretches rank, rank + world, … of each batch.
    """

    def __init__(
        self,
        sheets: Sequence[Sheet],
        chances: Float[np.ndarray, " sheets"],
        config: CropConfig,
        *,
        groups: Mapping[str, tuple[Sequence[int], Sequence[int]]],
        seed: int,
        epoch: int,
        count: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if config.batch % world:
            raise ValueError(f"a batch of {config.batch} cannot be dealt to {world} processes")
        self.sheets, self.chances, self.config, self.groups = sheets, chances, config, groups
        self.seed, self.epoch, self.count = seed, epoch, count
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return self.count

    def batch(self, index: int) -> Batch:
        """Batch `index` of the epoch, this process' share."""
        rng = np.random.default_rng((self.seed, self.epoch, index))
        picks = rng.choice(len(self.sheets), size=self.config.batch, p=self.chances)
        drawn = [self._stretch(self.sheets[i], rng) for i in picks]
        return collate_played(drawn[self.rank :: self.world])

    def _stretch(self, sheet: Sheet, rng: np.random.Generator) -> Sheet:
        """Any stretch of a piece; one in eight is its end, where tempo does most."""
        spare = max(0, len(sheet) - self.config.onsets)
        start = spare if rng.random() < 1 / 8 else int(rng.integers(spare + 1))
        part = crop(sheet, start, self.config.onsets)
        notes = (rng.random(part.notes.shape[1]) >= self.config.hide).astype(np.float32)
        onsets = (rng.random(part.onsets.shape[1]) >= self.config.hide).astype(np.float32)
        for name, chance in sorted((self.config.hide_groups or {}).items()):
            if rng.random() < chance:
                of_notes, of_onsets = self.groups[name]
                notes[list(of_notes)], onsets[list(of_onsets)] = 0, 0
        style = 0 if rng.random() < self.config.hide_style else part.style
        return replace(part, notes=part.notes * notes, onsets=part.onsets * onsets, style=style)

    def __iter__(self) -> Iterator[Batch]:
        for index in range(self.count):
            yield self.batch(index)


class PerformanceData(PlacedData):
    """Stretches to train on, whole pieces to validate with.

    Args:
        train, valid: sheets.
        chances: of each training sheet.
        config: how stretches are drawn.
        groups: see `Batches`.
        seed: of all draws.
        epoch_steps: batches an epoch.
    """

    def __init__(
        self,
        train: Sequence[Sheet],
        valid: Sequence[Sheet],
        chances: Float[np.ndarray, " sheets"],
        config: CropConfig,
        *,
        groups: Mapping[str, tuple[Sequence[int], Sequence[int]]],
        seed: int,
        epoch_steps: int,
    ) -> None:
        super().__init__()
        self.train, self.valid, self.chances, self.config = train, valid, chances, config
        self.groups, self.seed, self.epoch_steps = groups, seed, epoch_steps

    def train_dataloader(self) -> Batches:
        """The present epoch's batches."""
        epoch, rank, world = self.place()
        return Batches(
            self.train,
            self.chances,
            self.config,
            groups=self.groups,
            seed=self.seed,
            epoch=epoch,
            count=self.epoch_steps,
            rank=rank,
            world=world,
        )

    def val_dataloader(self) -> FixedBatches[Batch]:
        """All valid pieces, each whole and by itself; every process takes its share."""
        _, rank, world = self.place()
        return FixedBatches([collate_played([sheet]) for sheet in self.valid[rank::world]])
