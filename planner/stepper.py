"""Sampling from a stream's network without torch: one token at a time, on one core.

The input of the LSTM is a sum of rows of a table, so the table's share of the gates is made in advance and looked up.
What is left of a step is one small matrix for the state and the outputs of the one field that is asked for, in a loop
that numba compiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit

from planner.network_config import StreamConfig


@no_type_check  # the run-time type checks of the tests cannot wrap what numba compiles
@njit(cache=True, fastmath=True)
def _step(gates_table, table, rows, recurrent, state, memory, seen, gates):  # pragma: no cover
    """One step of the LSTM: state, memory and `seen` (state, then summed input) are changed in place."""
    units = state.shape[0]
    width = table.shape[1]
    for k in range(4 * units):
        gates[k] = 0.0
    for k in range(width):
        seen[units + k] = 0.0
    for row in rows:
        for k in range(4 * units):
            gates[k] += gates_table[row, k]
        for k in range(width):
            seen[units + k] += table[row, k]
    for j in range(units):
        value = state[j]
        for k in range(4 * units):
            gates[k] += value * recurrent[j, k]
    for k in range(units):
        forget = 1.0 / (1.0 + np.exp(-gates[units + k]))
        enter = 1.0 / (1.0 + np.exp(-gates[k]))
        leave = 1.0 / (1.0 + np.exp(-gates[3 * units + k]))
        memory[k] = forget * memory[k] + enter * np.tanh(gates[2 * units + k])
        seen[k] = leave * np.tanh(memory[k])
    for k in range(units):
        state[k] = seen[k]


@no_type_check  # the run-time type checks of the tests cannot wrap what numba compiles
@njit(cache=True, fastmath=True)
def _logits(out, bias, first, last, gate, gate_bias, numbers, places, seen, logits):  # pragma: no cover
    """Logits of values first .. last - 1, with the gates of what may be copied added at their places."""
    width = seen.shape[0]
    for v in range(first, last):
        total = bias[v]
        for k in range(width):
            total += out[v, k] * seen[k]
        logits[v - first] = total
    for i in range(numbers.shape[0]):
        total = gate_bias[numbers[i]]
        for k in range(width):
            total += gate[numbers[i], k] * seen[k]
        logits[places[i]] += total
    return logits


class Stepper:
    """A stream's network at work; `reset` begins a walk.

    Args:
        config: sizes; one LSTM layer.
        tensors: of `planner.network.StreamNetwork`, by their names there.
    """

    def __init__(self, config: StreamConfig, tensors: Mapping[str, np.ndarray]) -> None:
        if config.kind != "lstm" or config.layers != 1:
            raise ValueError(f"only an LSTM of one layer is sampled from, not {config.kind} of {config.layers}")
        self.config = config
        self._table = _plain(tensors["table.weight"])
        entering = tensors["body.weight_ih_l0"].astype(np.float64).T
        biases = (tensors["body.bias_ih_l0"] + tensors["body.bias_hh_l0"]).astype(np.float64)
        gates = self._table.astype(np.float64) @ entering
        # The row of the field is looked up exactly once a step, so it carries the biases.
        fields = slice(config.rows[-2], config.rows[-1])
        gates[fields] += biases
        self._gates_table = _plain(gates)
        self._recurrent = _plain(tensors["body.weight_hh_l0"].T)
        self._out, self._bias = _plain(tensors["out.weight"]), _plain(tensors["out.bias"])
        self._gate, self._gate_bias = _plain(tensors["gates.weight"]), _plain(tensors["gates.bias"])
        self._rows = np.zeros(len(config.columns) + 2, dtype=np.int64)
        self._offsets = np.array(config.rows[:-2], dtype=np.int64)
        self._starts, self._sizes = config.starts, [size for _, size, _ in config.fields]
        self._first_field, self._no_token = config.rows[-2], config.rows[-1]
        self._copies = [
            [(number, column) for number, (owner, column) in enumerate(config.copies) if owner == field]
            for field in range(len(config.fields))
        ]
        units, width = config.units, config.embedding
        self._state, self._memory = np.zeros(units, np.float32), np.zeros(units, np.float32)
        self._seen, self._gates = np.zeros(units + width, np.float32), np.zeros(4 * units, np.float32)
        self._before = self._no_token

    def reset(self) -> None:
        """Begins a walk."""
        self._state[:] = 0
        self._memory[:] = 0
        self._before = self._no_token

    def logits(self, columns: list[int], field: int) -> Float[np.ndarray, " size"]:
        """Logits of a field's values at the next token."""
        rows = self._rows
        rows[:-2] = columns
        rows[:-2] += self._offsets
        rows[-2] = self._first_field + field
        rows[-1] = self._before
        _step(self._gates_table, self._table, rows, self._recurrent, self._state, self._memory, self._seen, self._gates)
        size = self._sizes[field]
        held = [(number, columns[column] - 1) for number, column in self._copies[field] if 0 < columns[column] <= size]
        numbers = np.array([number for number, _ in held], dtype=np.int64)
        places = np.array([place for _, place in held], dtype=np.int64)
        first, last = self._starts[field], self._starts[field + 1]
        logits = np.empty(size, np.float32)
        return _logits(
            self._out, self._bias, first, last, self._gate, self._gate_bias, numbers, places, self._seen, logits
        )

    def push(self, field: int, value: int) -> None:
        """Takes the value of the token that `logits` was asked for; below 0: unknown."""
        self._before = self._no_token + (0 if value < 0 else 1 + self._starts[field] + value)


def _plain(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=np.float32)
