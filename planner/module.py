"""The planner's LightningModule: one stream's network."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from planner.network import Batch, StreamNetwork
from planner.network_config import StreamConfig
from training.optimiser import adamw


class StreamModule(pl.LightningModule):
    """Trains a `StreamNetwork` on nats a token.

    Args:
        network: builtins of `StreamConfig` (a dataclass in a checkpoint makes it unreadable without this code).
        optimiser: `rate`, `weight_decay`, and `warmup`, `decay`, `total` in steps, see `training.schedule`.
    """

    def __init__(self, network: dict[str, Any], optimiser: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = StreamNetwork(StreamConfig.from_dict(network))
        self.optimiser = optimiser
        self._valid = torch.zeros(2, dtype=torch.float64)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Mean nats of the tokens that are known; `walks` in the batch are the process' share."""
        each = self.network.nats(batch)
        nats, known = each.sum(), batch.known.sum()
        # Every process divides by the mean number of tokens, so that the gradients' mean is that of the whole batch.
        loss = nats / self._mean_count(known).clamp(min=1)
        self.log("train/nats_per_token", nats / known.clamp(min=1), prog_bar=True)
        self.log_dict(self._by_field(each.detach(), batch))
        return loss

    def _by_field(self, nats: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """Mean nats of the tokens of each field; 0 where the batch has none of it."""
        fields, number = batch.fields[batch.known], len(self.network.config.fields)
        total = torch.zeros(number, device=nats.device).index_add_(0, fields, nats[batch.known].float())
        count = torch.bincount(fields, minlength=number).clamp(min=1)
        names = (f"train/nats_{name}" for name, _, _ in self.network.config.fields)
        return dict(zip(names, total / count, strict=True))

    def _mean_count(self, known: torch.Tensor) -> torch.Tensor:
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return known.float()
        total = known.float().clone()
        torch.distributed.all_reduce(total)
        return total / torch.distributed.get_world_size()

    def on_validation_epoch_start(self) -> None:
        """Begins to count."""
        self._valid = torch.zeros(2, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds up nats and tokens that are known."""
        self._valid += torch.stack([self.network.nats(batch).sum().double(), batch.known.sum().double()])

    def on_validation_epoch_end(self) -> None:
        """Nats a token over all walks of all processes: means of shares would depend on how these are dealt out."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self._valid)
        self.log("valid/nats_per_token", (self._valid[0] / self._valid[1].clamp(min=1)).float(), prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW; biases are not decayed."""
        return adamw(self.network, **self.optimiser)
