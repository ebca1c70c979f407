"""Batches of windows for training, and the DataModule that deals them out.

A batch is a pure function of (seed, epoch, index): so a run that was broken off goes on with the very batches that it
would have seen, and several processes can each take their share of the same batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from composer.conditions import FIELD
from composer.examples import Example
from composer.features import Frames
from composer.windows import Window, WindowConfig, collate, crop_windows, draw_window, planned_window
from training.batches import FixedBatches, PlacedData


def piece_chances(
    examples: Sequence[Example],
    balance: float = 1.0,
    favour: Mapping[str, float] | None = None,
    styles: Sequence[str] = (),
) -> Float[np.ndarray, " pieces"]:
    """How often each piece is drawn: within a style in proportion to its length.

    Args:
        examples: the pieces.
        balance: a style is drawn in proportion to its length to this power: 1 as often as there is of it, 0 all alike.
        favour: factors on single styles, by tag.
        styles: known style tags, in the order of the context's numbers.
    """
    lengths = np.array([e.roll.steps for e in examples], dtype=np.float64)
    style = np.array([int(e.context[0, FIELD["style"]]) for e in examples])
    chances = lengths.copy()
    for index in np.unique(style):
        here = style == index
        name = str(styles[int(index)]) if 0 <= index < len(styles) else ""
        chances[here] *= lengths[here].sum() ** (balance - 1) * (favour or {}).get(name, 1.0)
    return chances / chances.sum()


class Batches:
    """The batches of one epoch for one process: batch i of epoch e is the same in every run.

    Args:
        examples: the pieces.
        config: how windows are drawn.
        seed, epoch: which batches.
        count: batches in the epoch.
        rank, world: this process takes items rank, rank + world, … of each batch.
        chances: of each piece; None for in proportion to their length.
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
        chances: Float[np.ndarray, " pieces"] | None = None,
    ) -> None:
        if config.batch % world:
            raise ValueError(f"a batch of {config.batch} cannot be dealt to {world} processes")
        self.examples, self.config = examples, config
        self.seed, self.epoch, self.count = seed, epoch, count
        self.rank, self.world = rank, world
        self._chances = piece_chances(examples) if chances is None else chances

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


class ComposerData(PlacedData):
    """Batches of windows; a fresh, reproducible set for each epoch and process.

    Args:
        train, valid: pieces.
        config: how windows are drawn.
        seed: of all draws.
        epoch_steps: batches an epoch.
        valid_steps: length of each valid window; one window a piece, from its start.
        chances: of each training piece, see `piece_chances`.
    """

    def __init__(
        self,
        train: Sequence[Example],
        valid: Sequence[Example],
        config: WindowConfig,
        *,
        seed: int,
        epoch_steps: int,
        valid_steps: int = 128,
        chances: Float[np.ndarray, " pieces"] | None = None,
    ) -> None:
        super().__init__()
        self.train, self.valid, self.config = train, valid, config
        self.seed, self.epoch_steps, self.valid_steps = seed, epoch_steps, valid_steps
        self.chances = chances

    def train_dataloader(self) -> Batches:
        """The present epoch's batches."""
        epoch, rank, world = self.place()
        return Batches(
            self.train,
            self.config,
            seed=self.seed,
            epoch=epoch,
            count=self.epoch_steps,
            rank=rank,
            world=world,
            chances=self.chances,
        )

    def val_dataloader(self) -> FixedBatches[Frames]:
        """Fixed windows: the first steps of every valid piece with all conditions."""
        _, rank, world = self.place()
        windows: list[Window] = [planned_window(e, 0, self.valid_steps) for e in self.valid]
        size = self.config.batch
        batches = [windows[i : i + size] for i in range(0, len(windows), size)]
        shares = []
        for batch in batches:
            # The same generator each time, and all processes crop alike: the crop must not move the figure.
            lowest, width = crop_windows(np.random.default_rng(0), batch)
            if batch[rank::world]:
                shares.append(collate(batch[rank::world], lowest[rank::world], width))
        return FixedBatches(shares)
