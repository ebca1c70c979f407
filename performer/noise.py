"""How one pianist of many departs from what a score leads one to expect: drawn bar by bar, then onset by onset.

What is left of tempo, loudness and articulation after the expected shape is cut in levels: each bar's mean, what each
onset adds to its bar, what each note adds to its onset. Bars and onsets are drawn one after another, each from a joint
Gaussian of the three that depends on the score and on what was drawn before; so rubato and swells are slow, and the
beat's jitter has a pianist's correlation in time. The pedal is drawn with the onsets. Timing within a chord and what
sets single notes apart is independent from note to note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from performer.batch import Batch
from performer.examples import PEDAL_PATTERNS
from performer.network import Reading, mean_of
from performer.network_config import PerformerConfig

PARTS = ("tempo", "velocity", "articulation")  # what bars and onsets depart in
_SIZE = len(PARTS)
_PAIRS = tuple((i, j) for i in range(_SIZE) for j in range(i))
_LOG_TAU = 1.8378770664093453


def gaussian_nats(
    value: Float[Tensor, "*b 3"], mean: Float[Tensor, "*b 3"], scale: Float[Tensor, "*b 6"]
) -> Float[Tensor, "*b"]:
    """Negative log density of a joint Gaussian whose precision's Cholesky factor `scale` tells.

    Args:
        value, mean: of the three parts.
        scale: log of the factor's diagonal, then its three lower entries.
    """
    left = value - mean
    white = whiten(left, scale)
    return 0.5 * (white**2).sum(-1) - scale[..., :_SIZE].sum(-1) + 0.5 * _SIZE * _LOG_TAU


def whiten(left: Float[Tensor, "*b 3"], scale: Float[Tensor, "*b 6"]) -> Float[Tensor, "*b 3"]:
    """L^T times a departure, L the factor of the precision."""
    rows = []
    for j in range(_SIZE):
        row = scale[..., j].exp() * left[..., j]
        for k, (i, column) in enumerate(_PAIRS):
            if column == j:
                row = row + scale[..., _SIZE + k] * left[..., i]
        rows.append(row)
    return torch.stack(rows, -1)


def colour(white: Float[Tensor, "*b 3"], scale: Float[Tensor, "*b 6"]) -> Float[Tensor, "*b 3"]:
    """The inverse of `whiten`: turns independent standard normals into a departure."""
    found: list[Tensor] = [white[..., 0]] * _SIZE
    for j in reversed(range(_SIZE)):
        value = white[..., j]
        for k, (i, column) in enumerate(_PAIRS):
            if column == j:
                value = value - scale[..., _SIZE + k] * found[i]
        found[j] = value * torch.exp(-scale[..., j])
    return torch.stack(found, -1)


@dataclass(frozen=True, eq=False)
class Departures:
    """What is left after the expected shape, by level.

    Args:
        bars: [sheets, bars, 3] means.
        bars_known: [sheets, bars] where anything was played.
        onsets: [sheets, onsets, 3] what onsets add to them.
        onsets_known: [sheets, onsets].
        notes: [notes, 3] what notes add: velocity, articulation, timing.
    """

    bars: Tensor
    bars_known: Tensor
    onsets: Tensor
    onsets_known: Tensor
    notes: Tensor


def departures(batch: Batch, reading: Reading) -> Departures:
    """What pianists did, less what was expected (no gradient goes back to the reader)."""
    score, played = batch.score, batch.targets
    count, longest = score.onsets.shape[:2]
    most = int(score.bars.max())
    known = played.known
    left = torch.stack([played.velocity, played.articulation], -1) - reading.shapes.detach()[:, :2]
    size = count * longest
    struck = mean_of(left[known], score.place[known], size)
    heard = torch.zeros(size, dtype=torch.bool, device=known.device)
    heard[score.place[known]] = True
    tempo = torch.where(played.tempo_known, played.tempo - reading.tempo.detach(), 0.0).reshape(-1, 1)
    onset = torch.cat([tempo, struck], -1)
    whole = heard & played.tempo_known.reshape(-1)
    flat = score.bar.reshape(-1)
    bars = mean_of(onset[whole], flat[whole], count * most + 1)
    bars_known = torch.zeros(count * most + 1, dtype=torch.bool, device=known.device)
    bars_known[flat[whole]] = True
    added = torch.where(whole[:, None], onset - bars[flat], 0.0)
    timing = played.timing - reading.shapes.detach()[:, 2]
    notes = torch.cat([left - struck[score.place], timing[:, None]], -1)
    return Departures(
        bars[:-1].view(count, most, _SIZE),
        bars_known[:-1].view(count, most),
        added.view(count, longest, _SIZE),
        whole.view(count, longest),
        notes,
    )


class Drawer(nn.Module):
    """One level's network: given the state of the score and what was drawn before, what comes next.

    Args:
        context: width of the score's state.
        given: width of what else is known at each step.
        out: numbers that it tells.
        units: width of the LSTM.
        dropout: of the score's state.
    """

    def __init__(self, context: int, given: int, out: int, units: int, dropout: float) -> None:
        super().__init__()
        self.context = nn.Sequential(nn.Dropout(dropout), nn.Linear(context, units // 2), nn.GELU())
        self.lstm = nn.LSTM(units // 2 + given, units, batch_first=True)
        self.out = nn.Linear(units + units // 2, out)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, read: Float[Tensor, "b t c"], given: Float[Tensor, "b t g"], state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Float[Tensor, "b t o"], tuple[Tensor, Tensor]]:
        """Takes `read`, the output of `context`, so that this is computed once for all steps."""
        found, after = self.lstm(torch.cat([read, given], -1), state)
        return self.out(torch.cat([found, read], -1)).float(), after


def _as_it_is(count: Tensor) -> Tensor:
    return count


def known_mean(values: Tensor, known: Tensor, counted: Callable[[Tensor], Tensor] = _as_it_is) -> Tensor:
    """Sum of the known values over `counted` of how many they are."""
    return torch.where(known, values, 0.0).sum() / counted(known.sum()).clamp(min=1)


class NoiseNetwork(nn.Module):
    """Departures from the expected shape."""

    def __init__(self, config: PerformerConfig) -> None:
        super().__init__()
        bar = 2 * config.bar_units
        onset = 2 * config.units + bar
        self.bars = Drawer(bar, _SIZE, _SIZE + _SIZE + len(_PAIRS), config.noise_units, config.dropout)
        given = 3 * _SIZE + PEDAL_PATTERNS
        self.onsets = Drawer(onset, given, 2 * _SIZE + len(_PAIRS) + PEDAL_PATTERNS, config.noise_units, config.dropout)

    def nats(
        self, batch: Batch, reading: Reading, counted: Callable[[Tensor], Tensor] = _as_it_is
    ) -> dict[str, Tensor]:
        """Mean nats of bars, onsets, pedal and notes.

        Args:
            batch: what was played.
            reading: of its scores.
            counted: what a sum over so many known values is divided by; several processes agree on it.
        """
        left, played = departures(batch, reading), batch.targets
        bars, _ = self.bars(self.bars.context(reading.bar.detach()), _shifted(left.bars))
        told = gaussian_nats(left.bars, bars[..., :_SIZE], bars[..., _SIZE:])
        onsets, _ = self.onsets(self.onsets.context(reading.onset.detach()), self._given(batch, left))
        told_onsets = gaussian_nats(left.onsets, onsets[..., :_SIZE], onsets[..., _SIZE : 2 * _SIZE + len(_PAIRS)])
        pedal = nn.functional.cross_entropy(
            onsets[..., 2 * _SIZE + len(_PAIRS) :].flatten(0, 1), played.pedal.flatten(), reduction="none"
        )
        inside = torch.arange(played.pedal.shape[1], device=pedal.device) < batch.score.lengths[:, None]
        spread = reading.note_noise
        notes = 0.5 * (left.notes / spread.exp()) ** 2 + spread + 0.5 * _LOG_TAU
        return {
            "bars": known_mean(told, left.bars_known, counted),
            "onsets": known_mean(told_onsets, left.onsets_known, counted),
            "pedal": known_mean(pedal, inside.flatten(), counted),
            "notes": known_mean(notes.sum(-1), played.known, counted),
        }

    def _given(self, batch: Batch, left: Departures) -> Tensor:
        """What is known at each onset: what the last one added, its bar's and the next bar's means, the last pedal."""
        flat = batch.score.bar
        count, most = left.bars.shape[:2]
        rows = torch.cat([left.bars.reshape(count * most, _SIZE), left.bars.new_zeros(1, _SIZE)])
        later = torch.cat([left.bars[:, 1:], left.bars[:, -1:]], 1).reshape(count * most, _SIZE)
        later = torch.cat([later, later.new_zeros(1, _SIZE)])
        pedal = nn.functional.one_hot(batch.targets.pedal, PEDAL_PATTERNS).to(rows.dtype)
        return torch.cat([_shifted(left.onsets), rows[flat], later[flat], _shifted(pedal)], -1)


def _shifted(values: Tensor) -> Tensor:
    """Each step's values at the next step, 0 at the first."""
    return torch.cat([torch.zeros_like(values[:, :1]), values[:, :-1]], 1)
