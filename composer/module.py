"""The composer's LightningModule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from composer.features import Frames
from composer.network import BiaxialNetwork, NetworkConfig, frame_parts
from training.optimiser import adamw


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with warm-up, stable, decay.

    Args:
        rate: peak learning rate.
        weight_decay: on matrices only.
        warmup, decay, total: steps, see `training.schedule`.
    """

    rate: float = 5e-3
    weight_decay: float = 0.01
    warmup: int = 50
    decay: int = 0
    total: int = 1000


class ComposerModule(pl.LightningModule):
    """Trains a `BiaxialNetwork` on joint nats a frame.

    Args:
        network, optimiser: builtins of `NetworkConfig` and `OptimiserConfig` (a dataclass in a checkpoint makes it
            unreadable without this code).
    """

    def __init__(self, network: dict[str, Any], optimiser: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = BiaxialNetwork(NetworkConfig.from_dict(network))
        self.optimiser = OptimiserConfig(**optimiser)

    def parts(self, frames: Frames) -> dict[str, torch.Tensor]:
        """Nats of each frame by what is told: which pitches play, and which of these are struck; [items, steps]."""
        logits, _ = self.network(frames)
        play, struck = frame_parts(logits.float(), frames)  # in full precision where the network is not
        return {"play": play * frames.fit, "articulate": struck * frames.fit}

    def _nats(self, frames: Frames) -> torch.Tensor:
        return torch.stack(list(self.parts(frames).values())).sum(0)

    def training_step(self, batch: Frames, batch_idx: int) -> torch.Tensor:
        """Mean over all steps of the batch, unfit ones counted as 0: so shares of several processes add up exactly."""
        means = {name: nats.mean() for name, nats in self.parts(batch).items()}
        loss = torch.stack(list(means.values())).sum()
        self.log("train/nats_per_frame", loss, prog_bar=True)
        self.log_dict({f"train/nats_{name}": value.detach() for name, value in means.items()})
        return loss

    def validation_step(self, batch: Frames, batch_idx: int) -> None:
        """Nats a frame over the steps that count."""
        nats = self._nats(batch).sum()
        count = int(batch.fit.sum())
        self.log("valid/nats_per_frame", nats / max(count, 1), batch_size=count, prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW; biases are not decayed."""
        config = self.optimiser
        return adamw(
            self.network,
            rate=config.rate,
            weight_decay=config.weight_decay,
            warmup=config.warmup,
            total=config.total,
            decay=config.decay,
        )
