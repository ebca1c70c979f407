"""One training run: the Lightning trainer that all three layers use."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.accelerators import CUDAAccelerator, MPSAccelerator
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger

from music.errors import RequestError
from training.callbacks import (
    AtomicCheckpoints,
    Beginning,
    FiniteLoss,
    RandomStates,
    Throughput,
    detached,
    last_checkpoint,
)
from training.samples import Samples

MONITOR = "valid/nats_per_frame"


@dataclass(frozen=True)
class RunConfig:
    """How long and on what a run trains.

    Args:
        max_steps: optimiser steps in all; a resumed run goes on up to this number.
        epoch_steps: steps between validations and checkpoints.
        gradient_clip: largest norm of a gradient.
        trainer: further arguments of Lightning's Trainer (accelerator, devices, strategy, precision, max_time …).
    """

    max_steps: int
    epoch_steps: int = 100
    gradient_clip: float = 1.0
    trainer: dict[str, Any] = field(default_factory=dict)


def fit(
    module: pl.LightningModule,
    data: pl.LightningDataModule,
    *,
    out: Path,
    config: RunConfig,
    frames_per_batch: int,
    logger: Logger | bool = False,
    resume: bool = True,
    monitor: str = MONITOR,
    samples: Samples | None = None,
) -> tuple[Path, dict[str, float]]:
    """Trains, going on from `out`/last.ckpt where there is one.

    Args:
        module: has optimisers and logs `monitor`.
        data: gives fresh batches for each epoch.
        out: folder of the checkpoints.
        config: length and hardware.
        frames_per_batch: for the throughput.
        logger: Lightning's; False for none.
        resume: False starts anew.
        monitor: the logged figure by which the best checkpoint is kept; the least is the best.
        samples: draws a piece every so often; None for never.

    Returns:
        The checkpoint with the best figure on the valid split, and the last logged figures.

    Raises:
        RequestError: Lightning cannot train as `config.trainer` asks, on a GPU that is not there for instance.
        TrainingError: loss or gradient stay beyond all numbers.
        KeyboardInterrupt: Ctrl-C; the last checkpoint is kept.
    """
    best = ModelCheckpoint(dirpath=out, filename="best", monitor=monitor, mode="min", enable_version_counter=False)
    # One of its own: ModelCheckpoint's save_last follows the best one, and a run that gets no better for an hour would
    # be resumed an hour back.
    last = ModelCheckpoint(dirpath=out, filename="last", monitor=None, save_top_k=1, enable_version_counter=False)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_no_advertisement)
    quiet = config.trainer.get("enable_progress_bar", True) is False
    trainer = _trainer(
        max_steps=config.max_steps,
        max_epochs=-1,
        gradient_clip_val=config.gradient_clip,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        log_every_n_steps=min(20, config.epoch_steps),
        logger=logger,
        callbacks=[
            *(RandomStates(), Beginning(), FiniteLoss(out=out), Throughput(frames_per_batch)),
            *([samples] if samples else []),
            *(best, last),
        ],
        plugins=[AtomicCheckpoints()],
        enable_model_summary=not quiet,
        **config.trainer,
    )
    checkpoint = last_checkpoint(out) if resume else None
    heard = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    except SystemExit as end:
        if trainer.interrupted and end.code == 1:  # what Lightning makes of Ctrl-C; the command has its own word for it
            _hear_again(heard)
            raise KeyboardInterrupt(_how_to_go_on(out)) from None
        raise
    found = Path(best.best_model_path or last.best_model_path)
    return found, detached(dict(trainer.callback_metrics))


def check_hardware(asked: Mapping[str, Any]) -> None:
    """Sees whether there is a GPU where one is asked for, before a corpus is read.

    Args:
        asked: the group `trainer` of the config.

    Raises:
        RequestError: there is none.
    """
    wanted = asked.get("accelerator")
    if wanted in ("gpu", "cuda", "mps") and not (CUDAAccelerator.is_available() or MPSAccelerator.is_available()):
        raise RequestError(f"trainer.accelerator={wanted}: torch finds no GPU here; use trainer=cpu")


def _trainer(**arguments: Any) -> pl.Trainer:
    try:
        return pl.Trainer(**arguments)
    except (MisconfigurationException, ValueError, TypeError) as error:  # Lightning has no one kind for it
        raise RequestError("trainer: " + " ".join(str(error).split())) from error


def _hear_again(handler: Any) -> None:
    """Undoes that Lightning, once interrupted, ignores Ctrl-C for good: the caller's process may live on."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler if handler is None else handler)


def _how_to_go_on(out: Path) -> str:
    """What a stopped run leaves, for whoever stopped it."""
    if last_checkpoint(out) is None:
        return f"{out} has no checkpoint yet, so the run begins anew"
    return f"the same command goes on from the last checkpoint in {out}"


def _no_advertisement(record: logging.LogRecord) -> bool:
    """Lightning recommends a service of its own each time, and announces Ctrl-C, of which a line of ours speaks."""
    return not any(word in record.getMessage() for word in ("litlogger", "Detected KeyboardInterrupt"))
