"""A wider network that begins by doing just what a narrower one does, so that its training is not lost.

After Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer" (2016); here units are added,
not doubled: the new ones start at random, and nothing that was there listens to them at first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from composer.features import CHOICE_WIDTH
from composer.network import BiaxialNetwork, NetworkConfig

Segments = Sequence[tuple[int, int]]  # (width before, width now) of the parts that make up a dimension


def can_widen(old: NetworkConfig, new: NetworkConfig) -> bool:
    """Whether every part of `new` is at least as wide, and residual sums stand in the same places."""
    if len(old.time_units) != len(new.time_units) or len(old.note_units) != len(new.note_units):
        return False
    widths = zip(_widths(old), _widths(new), strict=True)
    return all(a <= b for a, b in widths) and _residuals(old) == _residuals(new)


def _widths(config: NetworkConfig) -> tuple[int, ...]:
    return (config.projection, *config.time_units, *config.note_units)


def _residuals(config: NetworkConfig) -> tuple[bool, ...]:
    time = pairwise((config.projection, *config.time_units))
    return tuple(a == b for a, b in (*time, *pairwise(config.note_units)))


def widened(network: BiaxialNetwork, config: NetworkConfig) -> BiaxialNetwork:
    """A network of `config` whose outputs are those of `network` (dropout apart).

    Raises:
        ValueError: `can_widen` says no, or the styles differ.
    """
    old = network.config
    if not can_widen(old, config) or old.styles != config.styles:
        raise ValueError("a network can be widened part by part only, with the same layers and styles")
    made = BiaxialNetwork(config)
    state, tensors = network.state_dict(), made.state_dict()
    projection = [(old.projection, config.projection)]
    for name in ("local.weight", "context.weight", "local.bias"):
        _embed(state[name], tensors[name], projection, _same(state[name]))
    inputs: Segments = projection
    for index, pair in enumerate(zip(old.time_units, config.time_units, strict=True)):
        inputs = _embed_lstm(state, tensors, f"time.layers.{index}", inputs, pair)
    inputs = [*inputs, *projection, (CHOICE_WIDTH, CHOICE_WIDTH)]
    for index, pair in enumerate(zip(old.note_units, config.note_units, strict=True)):
        inputs = _embed_lstm(state, tensors, f"note.layers.{index}", inputs, pair)
    _embed(state["output.weight"], tensors["output.weight"], [(2, 2)], inputs)
    tensors["output.bias"].copy_(state["output.bias"])
    made.load_state_dict(tensors)
    return made


def _same(value: Tensor) -> Segments:
    return [(value.shape[1], value.shape[1])] if value.ndim > 1 else []


def _embed_lstm(
    state: dict[str, Tensor], tensors: dict[str, Tensor], layer: str, inputs: Segments, units: tuple[int, int]
) -> Segments:
    """Places the weights of one LSTM in those of a wider one; returns its outputs as segments."""
    gates = [units] * 4
    for suffix, columns in (
        ("weight_ih_l0", inputs),
        ("weight_hh_l0", [units]),
        ("bias_ih_l0", []),
        ("bias_hh_l0", []),
    ):
        name = f"{layer}.{suffix}"
        _embed(state[name], tensors[name], gates, columns)
    return [units]


def _places(segments: Segments) -> Tensor:
    """Where the old indices of a dimension lie in the new one."""
    parts, start = [], 0
    for before, now in segments:
        parts.append(torch.arange(start, start + before))
        start += now
    return torch.cat(parts)


def _embed(old: Tensor, new: Tensor, rows: Segments, columns: Segments) -> None:
    """Copies `old` into `new`; what was there hears nothing of what is new."""
    here = _places(rows)
    if new.ndim == 1:
        new[here] = old
        return
    new[here] = 0.0
    new[here[:, None], _places(columns)[None]] = old
