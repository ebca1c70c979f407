"""The performer's networks: what the score tells of its performance, and what it does not.

`ScoreReader` reads notes, then onsets, then bars, in both directions, and gives the expected shape of the performance:
tempo at each onset, velocity, articulation and timing at each note (`performer.examples` has the units). It is trained
on squared error, so it is what many pianists have in common. `noise.py` draws how one pianist of many departs from it.

The way of a hierarchy over notes, beats and bars is that of Jeong et al., "VirtuosoNet" (ISMIR 2019); that of expected
shape and correlated departures is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from performer.batch import ScoreBatch
from performer.network_config import PerformerConfig

STYLE_UNITS = 8
CONV_WIDTH = 5
DILATIONS = (1, 2, 4, 8, 16, 1, 4, 16)
NOTE_SHAPES = ("velocity", "articulation", "timing")


@dataclass(frozen=True, eq=False)
class Reading:
    """What a score is read as.

    Args:
        tempo: [sheets, onsets] expected.
        shapes: [notes, 3] expected, see `NOTE_SHAPES`.
        note_noise: [notes, 3] log of the standard deviation of what is left to each note alone.
        onset: [sheets, onsets, 2 * units + 2 * bar_units] state of each onset.
        bar: [sheets, bars, 2 * bar_units] state of each bar.
    """

    tempo: Tensor
    shapes: Tensor
    note_noise: Tensor
    onset: Tensor
    bar: Tensor


def backwards(values: Float[Tensor, "b t d"], lengths: Int[Tensor, " b"]) -> Float[Tensor, "b t d"]:
    """Each sequence in reverse, its padding still at the end."""
    steps = torch.arange(values.shape[1], device=values.device)
    index = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return values.gather(1, index[..., None].expand_as(values))


class BothWays(nn.Module):
    """LSTM layers in both directions; padding comes after either direction's end and so never reaches a state."""

    def __init__(self, size: int, units: int, layers: int, dropout: float) -> None:
        super().__init__()
        widths = [size] + [2 * units] * (layers - 1)
        self.ahead = nn.ModuleList(nn.LSTM(w, units, batch_first=True) for w in widths)
        self.back = nn.ModuleList(nn.LSTM(w, units, batch_first=True) for w in widths)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Float[Tensor, "b t d"], lengths: Int[Tensor, " b"]) -> Float[Tensor, "b t e"]:
        """States of both directions side by side."""
        for ahead, back in zip(self.ahead, self.back, strict=True):
            values = self.dropout(values)
            forth, _ = ahead(values)
            turned, _ = back(backwards(values, lengths))
            values = torch.cat([forth, backwards(turned, lengths)], dim=-1)
        return values


class Convolutions(nn.Module):
    """Dilated convolutions with residual sums over `1 + 2 * (CONV_WIDTH - 1) / 2 * sum(DILATIONS)` onsets."""

    def __init__(self, size: int, units: int, dropout: float) -> None:
        super().__init__()
        width = 2 * units
        self.entry = nn.Linear(size, width)
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, CONV_WIDTH, padding=d * (CONV_WIDTH // 2), dilation=d) for d in DILATIONS
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in DILATIONS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Float[Tensor, "b t d"], lengths: Int[Tensor, " b"]) -> Float[Tensor, "b t e"]:
        """As many states, of width 2 * units."""
        inside = (torch.arange(values.shape[1], device=values.device) < lengths[:, None])[..., None]
        values = self.entry(values)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            read = layer((norm(values) * inside).transpose(1, 2)).transpose(1, 2)
            values = values + self.dropout(nn.functional.gelu(read))
        return values * inside


def mean_of(values: Float[Tensor, "n d"], place: Int[Tensor, " n"], size: int) -> Float[Tensor, "s d"]:
    """Mean of the rows that belong to each place, 0 where none does; in single precision, whatever the rows have."""
    values = values.float()
    total = values.new_zeros(size, values.shape[1]).index_add_(0, place, values)
    count = values.new_zeros(size).index_add_(0, place, values.new_ones(len(place)))
    return total / count.clamp(min=1)[:, None]


class ScoreReader(nn.Module):
    """Expected shape of a performance."""

    def __init__(self, config: PerformerConfig) -> None:
        super().__init__()
        self.config = config
        note, units, bar, drop = config.note_units, config.units, config.bar_units, config.dropout
        width = 2 * units
        self.style = nn.Embedding(len(config.styles) + 1, STYLE_UNITS)
        self.note_in = nn.Sequential(
            nn.Linear(len(config.note_columns), note), nn.GELU(), nn.Dropout(drop / 2), nn.Linear(note, note), nn.GELU()
        )
        self.onset_in = nn.Sequential(
            nn.Linear(3 * note + len(config.onset_columns) + STYLE_UNITS, width // 2), nn.GELU()
        )
        self.trunk = (
            BothWays(width // 2, units, config.layers, drop)
            if config.kind == "lstm"
            else Convolutions(width // 2, units, drop)
        )
        self.bars = BothWays(width, bar, 1, drop)
        state = width + 2 * bar
        self.tempo_out = nn.Sequential(
            nn.Dropout(drop), nn.Linear(state + len(config.onset_columns), units), nn.GELU(), nn.Linear(units, 1)
        )
        self.to_note = nn.Linear(state, units)
        self.note_out = nn.Sequential(
            nn.Dropout(drop), nn.Linear(units + note + len(config.note_columns), units), nn.GELU()
        )
        self.shapes = nn.Linear(units, len(NOTE_SHAPES))
        self.spread = nn.Linear(units, len(NOTE_SHAPES))
        nn.init.zeros_(self.shapes.weight)
        nn.init.zeros_(self.spread.weight)

    def forward(self, batch: ScoreBatch) -> Reading:
        """Reads scores."""
        count, longest = batch.onsets.shape[:2]
        most = int(batch.bars.max())
        note = self.note_in(batch.notes)
        together = mean_of(note, batch.place, count * longest)
        style = self.style(batch.style)[:, None].expand(-1, longest, -1)
        parts = [together, note[batch.first], note[batch.last]]
        joined = torch.cat([p.view(count, longest, -1) for p in parts] + [batch.onsets, style], dim=-1)
        onset = self.trunk(self.onset_in(joined), batch.lengths)
        flat_bar = batch.bar.reshape(-1)
        bar = mean_of(onset.reshape(count * longest, -1), flat_bar, count * most + 1)
        bar = self.bars(bar[:-1].view(count, most, -1), batch.bars)
        of_bar = torch.cat([bar.reshape(count * most, -1), bar.new_zeros(1, bar.shape[-1])])[flat_bar]
        state = torch.cat([onset, of_bar.view(count, longest, -1)], dim=-1)
        tempo = self.tempo_out(torch.cat([state, batch.onsets], dim=-1))[..., 0].float()
        at_note = self.to_note(state).view(count * longest, -1)[batch.place]
        found = self.note_out(torch.cat([at_note, note, batch.notes], dim=-1))
        spread = self.spread(found.detach()).float().clamp(-4, 2)
        return Reading(tempo, self.shapes(found).float(), spread, state, bar)
