"""The optimiser of all three trainings: AdamW on a schedule of warm-up, stable and decay."""

from __future__ import annotations

from typing import Any

import torch

from training.schedule import warmup_stable_decay


def adamw(
    network: torch.nn.Module, *, rate: float, weight_decay: float, warmup: int, total: int, decay: int
) -> dict[str, Any]:
    """What a LightningModule's `configure_optimizers` gives; biases are not decayed.

    Args:
        network: whose weights are trained.
        rate: of learning, at its highest.
        weight_decay: of matrices.
        warmup, total, decay: in steps, see `training.schedule`.
    """
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, warmup_stable_decay(warmup, total, decay))
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
