"""The performer's networks together."""

from __future__ import annotations

from torch import nn

from performer.network import ScoreReader
from performer.network_config import PerformerConfig
from performer.noise import NoiseNetwork


class PerformerNetwork(nn.Module):
    """What the score tells, and what it does not."""

    def __init__(self, config: PerformerConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = ScoreReader(config)
        self.noise = NoiseNetwork(config)
