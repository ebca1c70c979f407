"""The network of one stream: an LSTM over its tokens, small enough to be asked a thousand times a second.

What is known at a token (columns, the field that is asked for, the token before) is looked up in one table and summed,
so that sampling can look up the sum's share of the LSTM's gates as well. Outputs see the sum directly beside the LSTM's
state. Each column that a field may copy adds a learned gate to the logit of the value that it holds: a return that is
literal costs one gate, not a rule for each of hundreds of chords (after pointer networks, Vinyals et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from planner.network_config import KINDS, StreamConfig

_MOST_TOKENS = 4096  # of the transformer's positions


@dataclass(frozen=True)
class Batch:
    """Padded walks.

    Args:
        columns: [walks, tokens, columns].
        fields: [walks, tokens].
        values: [walks, tokens], 0 where unknown or padding.
        known: [walks, tokens], False there.
    """

    columns: Int64[Tensor, "walks tokens columns"]
    fields: Int64[Tensor, "walks tokens"]
    values: Int64[Tensor, "walks tokens"]
    known: Bool[Tensor, "walks tokens"]

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return Batch(*(t.to(device) for t in (self.columns, self.fields, self.values, self.known)))


class StreamNetwork(nn.Module):
    """Logits of every token of a walk from what stands before it; see the module."""

    def __init__(self, config: StreamConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.EmbeddingBag(config.table, config.embedding, mode="sum")
        nn.init.normal_(self.table.weight, std=0.1)
        self.body: nn.Module
        if config.kind == "lstm":
            self.body = nn.LSTM(config.embedding, config.units, config.layers, batch_first=True)
        elif config.kind == "transformer":
            self.body = _Transformer(config)
        else:
            raise ValueError(f"network kind {config.kind!r} is not one of {', '.join(KINDS)}")
        self.drop = nn.Dropout(config.dropout)
        width = config.units + config.embedding
        self.out = nn.Linear(width, config.starts[-1])
        self.gates = nn.Linear(width, max(len(config.copies), 1))
        starts = torch.tensor(config.starts)
        owner = torch.repeat_interleave(torch.arange(len(config.fields)), starts.diff())
        self.register_buffer("owner", owner, persistent=False)
        self.register_buffer("offsets", torch.tensor(config.rows[:-2]), persistent=False)
        self.owner: Tensor
        self.offsets: Tensor

    def rows_of(self, batch: Batch) -> Int64[Tensor, "walks tokens rows"]:
        """Rows of the table that are summed at each token."""
        config = self.config
        starts = torch.tensor(config.starts, device=batch.fields.device)
        columns = batch.columns + self.offsets
        fields = (batch.fields + config.rows[-2])[..., None]
        token = config.rows[-1] + 1 + starts[batch.fields] + batch.values
        token = torch.where(batch.known, token, config.rows[-1])
        before = torch.full_like(token, config.rows[-1])
        before[:, 1:] = token[:, :-1]
        return torch.cat([columns, fields, before[..., None]], dim=-1)

    def forward(self, batch: Batch) -> Float[Tensor, "walks tokens values"]:
        """Log-probabilities over all values of the stream; those of other fields than the one asked for are -inf."""
        rows = self.rows_of(batch)
        walks, tokens, width = rows.shape
        summed = self.table(rows.reshape(walks * tokens, width)).reshape(walks, tokens, -1)
        x = self.drop(summed)
        state = self.body(x)[0] if self.config.kind == "lstm" else self.body(x)
        seen = torch.cat([self.drop(state), x], dim=-1)
        logits = self._with_copies(self.out(seen), seen, batch)
        inside = self.owner == batch.fields[..., None]
        return logits.masked_fill(~inside, float("-inf")).log_softmax(-1)

    def _with_copies(self, logits: Tensor, seen: Tensor, batch: Batch) -> Tensor:
        gates = self.gates(seen)
        for number, (field, column) in enumerate(self.config.copies):
            held = batch.columns[..., column]
            here = (batch.fields == field) & (held > 0) & (held <= self.config.fields[field][1])
            place = (self.config.starts[field] + held - 1).clamp(0, logits.shape[-1] - 1)
            added = torch.where(here, gates[..., number], torch.zeros_like(gates[..., number]))
            logits = logits.scatter_add(-1, place[..., None], added[..., None].to(logits.dtype))
        return logits

    def nats(self, batch: Batch) -> Float[Tensor, "walks tokens"]:
        """Negative log-likelihood of each token; 0 where it is not known."""
        start = torch.tensor(self.config.starts, device=batch.fields.device)[batch.fields]
        chosen = self(batch).gather(-1, (start + batch.values)[..., None])[..., 0]
        return torch.where(batch.known, -chosen, torch.zeros_like(chosen))


class _Transformer(nn.Module):
    """A causal transformer of the same interface, to compare the LSTM with."""

    def __init__(self, config: StreamConfig) -> None:
        super().__init__()
        self.lift = nn.Linear(config.embedding, config.units)
        self.places = nn.Embedding(_MOST_TOKENS, config.units)
        layer = nn.TransformerEncoderLayer(
            config.units, 4, 2 * config.units, config.dropout, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.shape[1]
        places = self.places(torch.arange(tokens, device=x.device).clamp(max=_MOST_TOKENS - 1))
        mask = nn.Transformer.generate_square_subsequent_mask(tokens, device=x.device)
        return self.layers(self.lift(x) + places, mask=mask, is_causal=True)
