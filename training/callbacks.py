"""What every training needs around Lightning: exact resumption, safe checkpoints, a guard against NaN, throughput."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from music.errors import RitornelloError
from training.loggers import begin_at


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
    """Leaves out steps whose loss or gradient is not finite, counts them, and ends a run in which they persist.

    A step is left out whole: neither weights nor the optimiser's memory see it. They persist where `patience` of them
    come in a row, or more than half of the last `WINDOW` steps are such.

    Args:
        patience: such steps in a row that end the run.
        out: the folder of the checkpoints, for the message.
    """

    WINDOW = 100

    def __init__(self, patience: int = 10, out: Path | None = None) -> None:
        self.patience, self.out = patience, out
        self.skipped = 0
        self._in_a_row = 0
        self._lately: deque[bool] = deque(maxlen=self.WINDOW)
        self._loss = torch.zeros(())

    def state_dict(self) -> dict[str, Any]:
        """How many were left out so far."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting."""
        self.skipped = int(state_dict.get("skipped", 0))

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Keeps the loss."""
        self._loss = loss.detach()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Takes the gradients away where they are not finite: an optimiser passes over weights without one."""
        parameters = [p for p in pl_module.parameters() if p.grad is not None]
        norms = [p.grad.detach().norm() for p in parameters if p.grad is not None]
        total = torch.stack(norms).norm() if norms else self._loss.new_zeros(())
        good = _everywhere(torch.isfinite(total) & torch.isfinite(self._loss).all())
        self.skipped += not good
        self._in_a_row = 0 if good else self._in_a_row + 1
        self._lately.append(not good)
        pl_module.log("train/gradient_norm", total)
        pl_module.log("train/skipped", float(self.skipped))
        pl_module.log("train/rate", float(optimizer.param_groups[0]["lr"]))
        if good:
            return
        for parameter in parameters:
            parameter.grad = None
        if self._in_a_row >= self.patience or 2 * sum(self._lately) > self.WINDOW:
            raise TrainingError(self._message(trainer))

    def _message(self, trainer: pl.Trainer) -> str:
        often = f"{self._in_a_row} steps in a row"
        if self._in_a_row < self.patience:
            often = f"{sum(self._lately)} of the last {self.WINDOW} steps"
        kept = last_checkpoint(self.out) if self.out is not None else None
        place = f"the last good checkpoint is kept: {kept}" if kept else "there is no checkpoint of it yet"
        advice = "try a smaller learning rate (task.optimiser.rate)"
        where = f"the loss or its gradient was not finite in {often}, up to step {trainer.global_step}"
        return f"{where}; {place}; {advice}"


def _everywhere(good: Tensor) -> bool:
    """Whether something holds in all processes of a run."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return bool(good)
    count = good.float()
    torch.distributed.all_reduce(count, op=torch.distributed.ReduceOp.MIN)
    return bool(count)


class Beginning(pl.Callback):
    """Sees that the curves of a resumed run go on where they were: no row twice, none a step aside."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Once, after a checkpoint was read."""
        for logger in trainer.loggers:
            begin_at(logger, trainer.global_step)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Mends the count that figures are logged by: Lightning 2.6 adds one to it each time a run is resumed."""
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step


class Throughput(pl.Callback):
    """Logs frames a second over each epoch, validation left out.

    Args:
        frames_per_batch: frames that all processes together see in a batch.
    """

    def __init__(self, frames_per_batch: int) -> None:
        self.frames = frames_per_batch
        self._start = self._stopped = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._start = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops the clock."""
        self._stopped = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lets it go on."""
        self._start += time.perf_counter() - self._stopped if self._start else 0.0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the epoch's rate; a resumed run ends, without a start, the epoch after which it was broken off."""
        if not self._start:
            return
        seconds, self._start = time.perf_counter() - self._start, 0.0
        pl_module.log("train/frames_per_second", trainer.num_training_batches * self.frames / seconds)


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to go on from, or None."""
    path = folder / "last.ckpt"
    return path if path.exists() else None


def detached(values: dict[str, Tensor]) -> dict[str, float]:
    """Logged tensors as floats."""
    return {name: float(value) for name, value in values.items()}
