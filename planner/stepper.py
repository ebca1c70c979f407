"""Sampling from a stream's network without torch: one token at a time, on one core.

The input of the LSTM is a sum of rows of a table, so the table's share of the gates is made in advance and looked up.
What is left of a step is one small matrix for the state and the outputs of the one field that is asked for, of which
only values that are possible are computed (`planner.stepper_kernels`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from struct import Struct
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from planner.network_config import StreamConfig
from planner.stepper_kernels import token


class Network(NamedTuple):
    """A stepper's arrays as `planner.stepper_kernels.token` takes them, for other compiled functions that call it."""

    narrow: np.ndarray
    wide: np.ndarray
    layout: np.ndarray
    state: np.ndarray
    columns: np.ndarray
    logits: np.ndarray


class Stepper:
    """A stream's network at work; `reset` begins a walk.

    Args:
        config: sizes; one LSTM layer.
        tensors: of `planner.network.StreamNetwork`, by their names there.

    Public besides: `network`, its arrays.
    """

    def __init__(self, config: StreamConfig, tensors: Mapping[str, np.ndarray]) -> None:
        if config.kind != "lstm" or config.layers != 1:
            raise ValueError(f"only an LSTM of one layer is sampled from, not {config.kind} of {config.layers}")
        self.config = config
        table = _wide(tensors["table.weight"])
        gates = table.astype(np.float64) @ tensors["body.weight_ih_l0"].astype(np.float64).T
        # The row of the field is looked up exactly once a step, so it carries the biases.
        gates[config.rows[-2] : config.rows[-1]] += _wide(tensors["body.bias_ih_l0"]) + _wide(
            tensors["body.bias_hh_l0"]
        )
        self._wide = _flat(gates, table, _wide(tensors["out.bias"]), _wide(tensors["gates.bias"]))
        self._narrow = _narrowed(
            _flat(_wide(tensors["body.weight_hh_l0"]).T, _wide(tensors["out.weight"]), _wide(tensors["gates.weight"]))
        )
        self._layout = _layout(config, len(tensors["gates.bias"]))
        self._starts = config.starts
        self._sizes = [size for _, size, _ in config.fields]
        self._no_token = config.rows[-1]
        # A state without a step: what outputs see, memory, gates.
        self._state = np.zeros(6 * config.units + config.embedding, np.float32)
        self._raw = bytearray(8 * (len(config.columns) + 1))
        self._columns = np.frombuffer(self._raw, np.int64)
        self._pack = Struct(f"{len(config.columns)}q").pack_into
        self._logits = np.zeros(max(self._sizes), np.float32)
        self.network = Network(self._narrow, self._wide, self._layout, self._state, self._columns, self._logits)
        self.reset()

    def reset(self) -> None:
        """Begins a walk."""
        self._state[:] = 0
        self._columns[-1] = self._no_token

    def draw(
        self, columns: list[int], field: int, weights: Float[np.ndarray, " size"] | None, heat: float, point: float
    ) -> int:
        """The next token's value, drawn by its chance times its weight, and taken.

        Args:
            columns: what is known there.
            field: whose value it is.
            weights: of the field's values; None: all alike.
            heat: temperature.
            point: of 0..1, where among the values' chances the one drawn lies.

        Returns:
            the value; -1 where every weight is 0.
        """
        self._pack(self._raw, 0, *columns)
        if weights is None:
            weights = _ones(self._sizes[field])
        elif weights.dtype != np.float64 or not weights.flags.carray:
            weights = weights.astype(np.float64)
        return token(
            self._narrow,
            self._wide,
            self._layout,
            self._state,
            self._columns,
            field,
            weights,
            heat,
            point,
            self._logits,
        )

    def logits(self, columns: list[int], field: int) -> Float[np.ndarray, " size"]:
        """Logits of a field's values at the next token, whose value is then to be pushed."""
        self.draw(columns, field, None, 0.0, 0.0)
        return self._logits[: self._sizes[field]].copy()

    def push(self, field: int, value: int) -> None:
        """Takes the value of the token that `logits` was asked for; below 0: unknown."""
        self._columns[-1] = self._no_token + (0 if value < 0 else 1 + self._starts[field] + value)


def _layout(config: StreamConfig, gates: int) -> np.ndarray:
    """Sizes and places as `planner.stepper_kernels` wants them."""
    owners = np.array([owner for owner, _ in config.copies], dtype=np.int64)
    firsts = np.searchsorted(owners, np.arange(len(config.fields) + 1))
    sizes = (config.units, config.embedding, len(config.columns), config.starts[-1], gates, config.table)
    places = (len(config.fields), *config.rows, *config.starts, *firsts, *(column for _, column in config.copies))
    return np.array((*sizes, *places), dtype=np.int64)


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32)


def _flat(*arrays: np.ndarray) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays]).astype(np.float32)


def _narrowed(array: np.ndarray) -> np.ndarray:
    """The bits of 16-bit floats where they are the same numbers, else the array as it is."""
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half.view(np.int16) if (half == array).all() else array


@cache
def _ones(size: int) -> Float[np.ndarray, " size"]:
    return np.ones(size)
