"""The biaxial network: LSTMs along time shared by all pitches, then LSTMs along pitch that see the notes chosen below.

After Johnson, "Generating Polyphonic Music Using Tied Parallel Networks" (2017). Differences: residual sums between the
LSTMs of an axis, the projected features fed straight to the note axis too, a projection of features before the first
LSTM (so that the wide, sparse features cost one small product), and an output bias at the log-odds of a note, without
which a net spends its first thousand steps learning that most keys are silent.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from composer.features import CHOICE_WIDTH, LOCAL_WIDTH, Frames, choice_features, global_blocks, global_features
from composer.features import local_features as local_features_of

PLAY_ODDS = 4.0 / 60  # notes that sound in a frame, over the pitches of a window
ARTICULATE_ODDS = 0.4 / 0.6  # of the notes that sound, those that are struck

State = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; plain builtins, saved with the weights.

    Args:
        projection: width of the projected features.
        time_units, note_units: LSTM widths along each axis.
        dropout: after every LSTM and the projection.
        styles: known style tags, in the order of their columns.
    """

    projection: int = 64
    time_units: tuple[int, ...] = (128, 128)
    note_units: tuple[int, ...] = (64, 32)
    dropout: float = 0.3
    styles: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Builtins for JSON and checkpoints."""
        plain = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> NetworkConfig:
        """Inverse of `to_dict`. Raises TypeError for unknown names."""
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})  # type: ignore[arg-type]


class _Axis(nn.Module):
    """A stack of LSTMs along the first dimension, each but the first with its input added where the widths agree."""

    def __init__(self, inputs: int, units: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        widths = (inputs, *units)
        self.layers = nn.ModuleList(nn.LSTM(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        for layer in self.layers:
            assert isinstance(layer, nn.LSTM)
            # A forget gate that starts open keeps gradients alive over a bar.
            for name, value in layer.named_parameters():
                if name == "bias_ih_l0":
                    nn.init.zeros_(value)
                    nn.init.ones_(value.data[layer.hidden_size : 2 * layer.hidden_size])

    def forward(
        self, x: Float[Tensor, "L N inputs"], state: State | None = None
    ) -> tuple[Float[Tensor, "L N units"], State]:
        """Output of the last layer, and each layer's (h, c)."""
        states: State = []
        for index, layer in enumerate(self.layers):
            y, last = layer(x, None if state is None else state[index])
            states.append(last)
            y = y + x if y.shape[-1] == x.shape[-1] else y
            x = self.dropout(y)
        return x, states


class BiaxialNetwork(nn.Module):
    """Logits of play and articulate for every step and pitch.

    Args:
        config: sizes.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.projection
        self.local = nn.Linear(LOCAL_WIDTH, width)
        self.context = nn.Linear(sum(global_blocks(len(config.styles)).values()), width, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.time = _Axis(width, config.time_units, config.dropout)
        self.note = _Axis(config.time_units[-1] + width + CHOICE_WIDTH, config.note_units, config.dropout)
        self.output = nn.Linear(config.note_units[-1], 2)
        with torch.no_grad():
            self.output.bias.copy_(torch.tensor([math.log(PLAY_ODDS), math.log(ARTICULATE_ODDS)]))

    def project(self, frames: Frames) -> Float[Tensor, "B T P width"]:
        """Features of every step and pitch, projected."""
        per_step = self.context(global_features(frames, len(self.config.styles)))
        return self.dropout(torch.relu(self.local(local_features_of(frames)) + per_step.unsqueeze(2)))

    def along_time(
        self, x: Float[Tensor, "B T P width"], state: State | None = None
    ) -> tuple[Float[Tensor, "B T P inputs"], State]:
        """Time axis; returns its output joined with the projected features, and the state to go on from."""
        B, T, P, width = x.shape
        flat = x.permute(1, 0, 2, 3).reshape(T, B * P, width)
        hidden, last = self.time(flat, state)
        hidden = hidden.view(T, B, P, -1).permute(1, 0, 2, 3)
        return torch.cat([hidden, x], dim=-1), last

    def along_notes(self, hidden: Float[Tensor, "B T P inputs"], frames: Frames) -> Float[Tensor, "B T P 2"]:
        """Note axis, teacher-forced: the notes chosen below are the target's."""
        B, T, P, _ = hidden.shape
        chosen = choice_features(frames.play[:, 1:].float(), frames.articulate[:, 1:].float(), frames.lowest)
        x = torch.cat([hidden, chosen], dim=-1)
        flat = x.permute(2, 0, 1, 3).reshape(P, B * T, -1)
        out, _ = self.note(flat)
        return self.output(out).view(P, B, T, 2).permute(1, 2, 0, 3)

    def forward(self, frames: Frames, state: State | None = None) -> tuple[Float[Tensor, "B T P 2"], State]:
        """Logits under teacher forcing, and the time axis' state after the last step."""
        hidden, last = self.along_time(self.project(frames), state)
        return self.along_notes(hidden, frames), last


def frame_nats(logits: Float[Tensor, "B T P 2"], frames: Frames) -> Float[Tensor, "B T"]:
    """Joint negative log-likelihood of each frame in nats: play of every pitch, articulate where it plays."""
    play, struck = frame_parts(logits, frames)
    return play + struck


def frame_parts(logits: Float[Tensor, "B T P 2"], frames: Frames) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"]]:
    """The two parts of `frame_nats`: play, articulate."""
    play, articulate = frames.play[:, 1:].float(), frames.articulate[:, 1:].float()
    play_nats = F.binary_cross_entropy_with_logits(logits[..., 0], play, reduction="none")
    struck_nats = F.binary_cross_entropy_with_logits(logits[..., 1], articulate, reduction="none")
    return play_nats.sum(-1), (play * struck_nats).sum(-1)
