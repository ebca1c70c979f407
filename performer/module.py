"""The performer's LightningModule."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from performer.batch import Batch
from performer.network import NOTE_SHAPES
from performer.network_config import PerformerConfig
from performer.noise import known_mean
from performer.performer_network import PerformerNetwork
from training.optimiser import adamw

PARTS = ("tempo", *NOTE_SHAPES)
# Timing within a chord is mostly the aligner's and the hammers' chance; it should not steer what is read of a score.
WEIGHTS = {"tempo": 1.0, "velocity": 1.0, "articulation": 0.5, "timing": 0.5}
NOISE_WEIGHT = 0.1


def mean_count(count: Tensor) -> Tensor:
    """The mean of a count over processes: divided by it, their gradients' mean is that of the whole batch."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return count
    total = count.float().clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def _weight(part: str) -> float:
    return NOISE_WEIGHT if part.startswith("noise_") else WEIGHTS[part]


def correlation(ours: Tensor, theirs: Tensor) -> Tensor:
    """Pearson's r of two rows; 0 where either stands still."""
    ours, theirs = ours.double() - ours.double().mean(), theirs.double() - theirs.double().mean()
    scale = ours.norm() * theirs.norm()
    return torch.where(scale > 0, (ours * theirs).sum() / scale.clamp(min=1e-12), torch.zeros_like(scale))


class PerformerModule(pl.LightningModule):
    """Trains a `PerformerNetwork`: expected shapes on squared error, departures on likelihood.

    It is steered by `valid/unlike`: one minus the mean correlation of expected tempo and velocity with each pianist's.
    Likelihood is reported and steers nothing: it is known to prefer a deadpan performance.

    Args:
        network: builtins of `PerformerConfig`.
        optimiser: `rate`, `weight_decay`, and `warmup`, `decay`, `total` in steps, see `training.schedule`.
    """

    def __init__(self, network: dict[str, Any], optimiser: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = PerformerNetwork(PerformerConfig.from_dict(network))
        self.optimiser = optimiser
        self._valid = torch.zeros(0)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of each part, and nats of the departures."""
        reading, played = self.network.reader(batch.score), batch.targets
        found = {"tempo": known_mean((reading.tempo - played.tempo) ** 2, played.tempo_known, mean_count)}
        wanted = (played.velocity, played.articulation, played.timing)
        for i, (name, column) in enumerate(zip(NOTE_SHAPES, wanted, strict=True)):
            found[name] = known_mean((reading.shapes[:, i] - column) ** 2, played.known, mean_count)
        nats = self.network.noise.nats(batch, reading, mean_count)
        return found | {f"noise_{k}": v for k, v in nats.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum."""
        parts = self.losses(batch)
        loss = torch.stack([_weight(name) * value for name, value in parts.items()]).sum()
        self.log_dict({f"train/{name}": value.detach() for name, value in parts.items()})
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Begins to count."""
        self._valid = torch.zeros(len(PARTS) + 2, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds up correlations within each performance, its nats, and one for itself."""
        reading, played = self.network.reader(batch.score), batch.targets
        told, known = played.tempo_known, played.known
        found = [correlation(reading.tempo[told], played.tempo[told])]
        wanted = (played.velocity, played.articulation, played.timing)
        found += [correlation(reading.shapes[known, i], column[known]) for i, column in enumerate(wanted)]
        nats = self.network.noise.nats(batch, reading)
        found += [sum(nats.values(), torch.zeros(())).double(), torch.ones(())]
        self._valid += torch.stack([f.to(self._valid) for f in found])

    def on_validation_epoch_end(self) -> None:
        """Means over all performances of all processes."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self._valid)
        means = (self._valid / self._valid[-1].clamp(min=1)).float()
        for name, value in zip((*PARTS, "nats"), means, strict=False):
            self.log(f"valid/{name}" if name == "nats" else f"valid/r_{name}", value)
        self.log("valid/unlike", 1 - (means[0] + means[1]) / 2, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW; biases are not decayed."""
        return adamw(self.network, **self.optimiser)
