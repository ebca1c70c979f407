"""task=train_benchmark: trains the biaxial network on the train split of a file of piano rolls, and on nothing else.

These sets are small (JSB Chorales: 229 pieces, under 14,000 frames), so what counts is how the network is kept from
learning them by heart: every window in another key, much dropout, decayed weights, and the mean of the weights over the
last steps (Polyak averaging) in place of the last ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import nn

from composer.benchmark import KIND, Piece, network_nats, play_nats, read_set, roll_window
from composer.data import FixedBatches
from composer.features import Frames, feature_names
from composer.module import ComposerModule
from composer.network import BiaxialNetwork, NetworkConfig
from composer.roll import LOWEST_PITCH, PITCHES
from composer.windows import collate, crop_windows
from music.errors import RequestError
from training.run import RunConfig, fit
from training.weights import save_weights

LICENCE = "MIT for these weights; the set that they saw is for private evaluation and is not redistributed"
VALID_STEPS = 256  # of a piece while training; the final figure is over whole pieces


@dataclass(frozen=True)
class RollWindows:
    """How windows are drawn.

    Args:
        steps: length of a window.
        batch: windows a batch, over all processes.
        transpose: the farthest random transposition in semitones, either way.
        opening: chance that a window begins with its piece.
        wide: chance that a batch has all 88 pitches, not just those that sound, so that the edges of the keyboard are
            known to be silent.
        period: steps of a bar, told as the place in it counted from the first frame; 0 tells nothing.
    """

    steps: int = 48
    batch: int = 16
    transpose: int = 6
    opening: float = 0.4
    wide: float = 0.1
    period: int = 0


class RollBatches:
    """The batches of one epoch for one process: batch i of epoch e is the same in every run.

    Args:
        pieces: drawn in proportion to their length.
        config: how windows are drawn.
        seed, epoch: which batches.
        count: batches in the epoch.
        rank, world: this process takes items rank, rank + world, … of each batch.
    """

    def __init__(
        self, pieces: Sequence[Piece], config: RollWindows, *, seed: int, epoch: int, count: int, rank: int, world: int
    ) -> None:
        if config.batch % world:
            raise ValueError(f"a batch of {config.batch} cannot be dealt to {world} processes")
        self.pieces, self.config = pieces, config
        self.seed, self.epoch, self.count = seed, epoch, count
        self.rank, self.world = rank, world
        lengths = np.array([piece.steps for piece in pieces], dtype=np.float64)
        self._chances = lengths / lengths.sum()

    def __len__(self) -> int:
        return self.count

    def batch(self, index: int) -> Frames:
        """Batch `index` of the epoch, this process' share."""
        config, rng = self.config, np.random.default_rng((self.seed, self.epoch, index))
        windows = []
        for pick in rng.choice(len(self.pieces), size=config.batch, p=self._chances):
            piece = self.pieces[pick]
            latest = max(piece.steps - config.steps // 2, 0)
            first = 0 if rng.random() < config.opening else int(rng.integers(0, latest + 1))
            windows.append(roll_window(piece, first, config.steps, config.period))
        lowest, width = crop_windows(rng, windows)
        if rng.random() < config.wide:
            lowest, width = [LOWEST_PITCH] * config.batch, PITCHES
        moves = rng.integers(-config.transpose, config.transpose + 1, size=config.batch)
        mine = slice(self.rank, None, self.world)
        frames = collate(windows[mine], lowest[mine], width)
        # The keyboard's names move, not its keys: so no note is lost at its edges.
        return replace(frames, lowest=frames.lowest + torch.from_numpy(moves[mine]))

    def __iter__(self) -> Iterator[Frames]:
        for index in range(self.count):
            yield self.batch(index)


class RollData(pl.LightningDataModule):
    """Batches of windows to train on, and the valid pieces from their first frame over all pitches.

    Args:
        train, valid: pieces.
        config: how windows are drawn.
        seed: of all draws.
        epoch_steps: batches an epoch.
    """

    def __init__(
        self, train: Sequence[Piece], valid: Sequence[Piece], config: RollWindows, *, seed: int, epoch_steps: int
    ) -> None:
        super().__init__()
        self.train, self.valid, self.config = train, valid, config
        self.seed, self.epoch_steps = seed, epoch_steps

    def _place(self) -> tuple[int, int, int]:
        trainer = self.trainer
        return (0, 0, 1) if trainer is None else (trainer.current_epoch, trainer.global_rank, trainer.world_size)

    def train_dataloader(self) -> RollBatches:
        """The present epoch's batches."""
        epoch, rank, world = self._place()
        return RollBatches(
            self.train, self.config, seed=self.seed, epoch=epoch, count=self.epoch_steps, rank=rank, world=world
        )

    def val_dataloader(self) -> FixedBatches:
        """The valid pieces, those of like length together."""
        _, rank, world = self._place()
        pieces = sorted(self.valid, key=lambda piece: piece.steps)
        batches = []
        for start in range(0, len(pieces), self.config.batch):
            share = pieces[start : start + self.config.batch][rank::world]
            if share:
                steps = min(max(piece.steps for piece in share), VALID_STEPS)
                windows = [roll_window(piece, 0, steps, self.config.period) for piece in share]
                batches.append(collate(windows, [LOWEST_PITCH] * len(share), PITCHES))
        return FixedBatches(batches)


class BenchmarkModule(ComposerModule):
    """Trains on the play bits alone, and keeps the mean of the weights of the last steps, which is what is measured.

    Args:
        network, optimiser: as for `ComposerModule`.
        averaging: share of the mean that a step keeps; 0 takes the weights as they are.
    """

    def __init__(self, network: dict[str, Any], optimiser: dict[str, Any], averaging: float) -> None:
        super().__init__(network, optimiser)
        self.averaging = averaging
        self.mean = BiaxialNetwork(NetworkConfig.from_dict(network)).eval()
        self.mean.load_state_dict(self.network.state_dict())
        self.mean.requires_grad_(False)

    def parts(self, frames: Frames) -> dict[str, torch.Tensor]:
        """Nats of each frame: of play alone."""
        return {"play": self._nats(frames)}

    def _nats(self, frames: Frames, network: nn.Module | None = None) -> torch.Tensor:
        logits, _ = (network or self.network)(frames)
        return play_nats(logits[..., 0], frames) * frames.fit

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Frames, batch_idx: int) -> None:
        """Moves the mean towards the present weights, faster in the first steps."""
        step = self.global_step
        keep = min(self.averaging, (1 + step) / (10 + step))
        for mean, present in zip(self.mean.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(present, 1 - keep)

    def validation_step(self, batch: Frames, batch_idx: int) -> None:
        """Nats a frame of the mean weights; the mean over all frames, whatever the batches."""
        self.mean.eval()
        nats, count = self._nats(batch, self.mean).sum(), int(batch.fit.sum())
        self.log("valid/nats_per_frame", nats / max(count, 1), batch_size=count, prog_bar=True, sync_dist=True)


def _run(values: dict[str, Any], trainer: dict[str, Any]) -> RunConfig:
    """The run with the trainer's arguments, which may shorten it; an epoch is no longer than the run."""
    trainer = dict(trainer)
    steps = int(trainer.pop("max_steps", values["max_steps"]))
    epoch = min(int(values["epoch_steps"]), steps)
    return RunConfig(**{**values, "max_steps": steps, "epoch_steps": epoch}, trainer=trainer)


def train(cfg: dict[str, Any], *, logger: Logger | bool = False) -> dict[str, Any]:
    """Trains, resuming where a checkpoint stands in `out`, and writes `out`/benchmark.safetensors with its JSON.

    Args:
        cfg: plain values: `benchmark` (file), `out`, `seed`, `trainer` and `task`: `run`, `network`, `optimiser`,
            `windows` (`RollWindows`), `averaging`, `resume`.
        logger: Lightning's; False for none.

    Returns:
        Figures: parameters, steps, nats a frame on the valid split (with and without the mean over transpositions),
        where the weights are.

    Raises:
        RequestError: no file is named.
        BenchmarkError: the file cannot be used, or lacks its train or valid split.
    """
    started = time.perf_counter()
    if not cfg["benchmark"]["file"]:
        raise RequestError("task=train_benchmark needs benchmark.file=FILE.npz")
    rolls = read_set(Path(cfg["benchmark"]["file"]))
    train_pieces, valid_pieces = rolls.split("train"), rolls.split("valid")
    task, out = cfg["task"], Path(cfg["out"])
    run, windows = _run(task["run"], cfg["trainer"]), RollWindows(**task["windows"])
    network = NetworkConfig.from_dict(task["network"])
    torch.manual_seed(int(cfg["seed"]))
    optimiser = {**task["optimiser"], "total": run.max_steps}
    module = BenchmarkModule(network.to_dict(), optimiser, float(task["averaging"]))
    data = RollData(train_pieces, valid_pieces, windows, seed=int(cfg["seed"]), epoch_steps=run.epoch_steps)
    best, figures = fit(
        module,
        data,
        out=out,
        config=run,
        frames_per_batch=windows.batch * windows.steps,
        logger=logger,
        resume=bool(task.get("resume", True)),
    )
    checkpoint = torch.load(best, map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    found = module.mean.eval()
    nats = {
        f"valid_transpose_{reach}": round(network_nats(found, valid_pieces, period=windows.period, transpose=reach), 4)
        for reach in sorted({0, int(task["transpose"])})
    }
    about = {
        "kind": KIND,
        "network": network.to_dict(),
        "features": feature_names(len(network.styles)),
        "parameters": sum(p.numel() for p in found.parameters()),
        "trained_on": {"file": rolls.path.name, "split": "train", "sha256": rolls.sha256, "pieces": len(train_pieces)},
        "licence": LICENCE,
        "period": windows.period,
        "transpose": int(task["transpose"]),
        "steps": int(checkpoint["global_step"]),
        "seed": int(cfg["seed"]),
        "figures": nats,
    }
    save_weights(out / "benchmark.safetensors", found.state_dict(), about)
    return {
        "parameters": about["parameters"],
        "steps": about["steps"],
        "nats_per_frame": nats,
        "last": figures,
        "seconds": round(time.perf_counter() - started, 1),
        "weights": str(out / "benchmark.safetensors"),
    }
