"""What every training needs around Lightning: exact resumption, safe checkpoints, a guard against NaN, throughput."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from music.errors import RitornelloError


class TrainingError(RitornelloError):
    """A training that cannot go on."""


class RandomStates(pl.Callback):
    """Saves torch's random states with a checkpoint and restores them, so that dropout goes on where it was.

    Lightning restores weights, optimiser and counters alone; with this, and batches that are a function of the epoch, a
    run that was killed and resumed ends in the same weights as an unbroken one (on a CPU, to the bit).
    """

    def __init__(self) -> None:
        self._pending: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """States of the CPU's generator and of each GPU's, as tensors."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps the states until training starts: Lightning draws random numbers of its own before that."""
        self._pending = state_dict

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restores what a checkpoint held, once."""
        if self._pending is None:
            return
        torch.set_rng_state(self._pending["cpu"].cpu())
        if torch.cuda.is_available() and len(self._pending["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(self._pending["cuda"])
        self._pending = None


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it: a kill in mid-write leaves the one before intact."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """As Lightning's, in two steps."""
        part = f"{path}.part"
        super().save_checkpoint(checkpoint, part, storage_options)
        os.replace(part, path)


class FiniteLoss(pl.Callback):
    """Skips steps whose loss or gradient is not finite, counts them, and ends a run in which they persist.

    Args:
        patience: such steps in a row that end the run.
    """

    def __init__(self, patience: int = 10) -> None:
        self.patience = patience
        self.skipped = 0
        self._in_a_row = 0

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Clears gradients that are not finite, so that the step changes nothing but momentum's memory."""
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        total = torch.stack([g.detach().norm() for g in gradients]).norm()
        pl_module.log("train/gradient_norm", total)
        if bool(torch.isfinite(total)):
            self._in_a_row = 0
            return
        for gradient in gradients:
            gradient.zero_()
        self.skipped += 1
        self._in_a_row += 1
        pl_module.log("train/skipped", float(self.skipped))
        if self._in_a_row >= self.patience:
            raise TrainingError(
                f"the loss or its gradient was not finite in {self.patience} steps in a row; "
                "the last good checkpoint is kept, try a smaller learning rate"
            )


class Throughput(pl.Callback):
    """Logs frames a second over each epoch.

    Args:
        frames_per_batch: frames that all processes together see in a batch.
    """

    def __init__(self, frames_per_batch: int) -> None:
        self.frames = frames_per_batch
        self._start = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the epoch's rate."""
        seconds = time.perf_counter() - self._start
        pl_module.log("train/frames_per_second", trainer.num_training_batches * self.frames / seconds)


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to go on from, or None."""
    path = folder / "last.ckpt"
    return path if path.exists() else None


def detached(values: dict[str, Tensor]) -> dict[str, float]:
    """Logged tensors as floats."""
    return {name: float(value) for name, value in values.items()}
