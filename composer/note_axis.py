"""The note axis of the network for sampling, compiled: one frame's notes from the lowest pitch up.

Torch would need some hundred small calls a frame; the loop compiled by numba needs none. It computes just what
`BiaxialNetwork.along_notes` does for one frame, with each choice drawn before the next pitch is looked at.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit
from numpy import ndarray
from torch import nn

from composer.conditions import ATTACK, FREE, OFF
from composer.features import BELOW, CHOICE_WIDTH
from composer.network import BiaxialNetwork
from composer.roll import LOWEST_PITCH


@no_type_check  # the run-time type checks of the tests cannot wrap what numba compiles
@njit(cache=True, fastmath=False)
def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + np.exp(-x))


@no_type_check
@njit(cache=True, fastmath=False)
def _cell(gates, recurrent, h, c, out):
    """One LSTM step in place; `gates` holds W x + b, `recurrent` is W_hh transposed, [units, 4 units]."""
    units = h.shape[0]
    for i in range(units):
        value = h[i]
        if value != 0.0:
            for j in range(4 * units):
                gates[j] += recurrent[i, j] * value
    for i in range(units):
        forget = _sigmoid(gates[units + i])
        c[i] = forget * c[i] + _sigmoid(gates[i]) * np.tanh(gates[2 * units + i])
        h[i] = _sigmoid(gates[3 * units + i]) * np.tanh(c[i])
        out[i] = h[i]


@no_type_check
@njit(cache=True, fastmath=False)
def _choices(play, articulate, lowest, p, row):
    """Features of the notes chosen below pitch p, as `composer.features.choice_features` orders them."""
    row[:] = 0.0
    for k in range(BELOW):
        q = p - BELOW + k
        if q >= 0 and play[q]:
            row[k] = 1.0
    if p > 0 and articulate[p - 1]:
        row[BELOW] = 1.0
    for q in range(p):
        if play[q]:
            row[BELOW + 1 + (p - q) % 12] += 0.25
            row[BELOW + 13] += 0.25


@no_type_check
@njit(cache=True, fastmath=False)
def _draw_frame(
    first,
    choice,
    recurrent_1,
    second,
    bias_2,
    recurrent_2,
    output,
    bias_out,
    residual,
    lowest,
    fixed,
    draws,
    temperature,
    least,
    push,
    before,
    play,
    articulate,
    logits,
):
    pitches, wide_1 = first.shape
    units_1, units_2 = recurrent_1.shape[0], recurrent_2.shape[0]
    h1, c1 = np.zeros(units_1, np.float32), np.zeros(units_1, np.float32)
    h2, c2 = np.zeros(units_2, np.float32), np.zeros(units_2, np.float32)
    out1, out2 = np.zeros(units_1, np.float32), np.zeros(units_2, np.float32)
    gates_1, gates_2 = np.zeros(wide_1, np.float32), np.zeros(4 * units_2, np.float32)
    row = np.zeros(choice.shape[0], np.float32)
    for p in range(pitches):
        _choices(play, articulate, lowest, p, row)
        gates_1[:] = first[p]
        for k in range(row.shape[0]):
            if row[k] != 0.0:
                for j in range(wide_1):
                    gates_1[j] += choice[k, j] * row[k]
        _cell(gates_1, recurrent_1, h1, c1, out1)
        gates_2[:] = bias_2
        for i in range(units_1):
            for j in range(4 * units_2):
                gates_2[j] += second[i, j] * out1[i]
        _cell(gates_2, recurrent_2, h2, c2, out2)
        for side in range(2):
            total = bias_out[side]
            for i in range(units_2):
                total += output[side, i] * (out2[i] + (out1[i] if residual else 0.0))
            logits[p, side] = total
        if fixed[p] == FREE:
            # A push towards more onsets: new notes, and striking anew what sounds.
            begin = 0.0 if before[p] else push
            chance = _sigmoid((logits[p, 0] + begin) / temperature)
            play[p] = chance >= least and draws[0, p] < chance
            articulate[p] = play[p] and draws[1, p] < _sigmoid((logits[p, 1] + push - begin) / temperature)
        else:
            play[p] = fixed[p] != OFF
            articulate[p] = fixed[p] == ATTACK


def _numpy(value: object) -> ndarray:
    return np.ascontiguousarray(value.detach().numpy())  # type: ignore[attr-defined]


class NoteAxis:
    """Draws the notes of one frame.

    Args:
        network: its note axis has two LSTMs.
        pitches: lowest and highest MIDI pitch that may sound.

    Raises:
        ValueError: the network's note axis has not two layers.
    """

    def __init__(self, network: BiaxialNetwork, pitches: tuple[int, int]) -> None:
        layers = [layer for layer in network.note.layers if isinstance(layer, nn.LSTM)]
        if len(layers) != 2:
            raise ValueError(f"the compiled note axis has two layers, the network {len(layers)}")
        first, second = layers
        self.columns = (pitches[0] - LOWEST_PITCH, pitches[1] + 1 - LOWEST_PITCH)
        self._lowest = pitches[0]
        wide = first.input_size - CHOICE_WIDTH
        inputs = _numpy(first.weight_ih_l0)
        self._hidden = np.ascontiguousarray(inputs[:, :wide].T)
        self._bias = _numpy(first.bias_ih_l0) + _numpy(first.bias_hh_l0)
        self._weights = (
            np.ascontiguousarray(inputs[:, wide:].T),
            np.ascontiguousarray(_numpy(first.weight_hh_l0).T),
            np.ascontiguousarray(_numpy(second.weight_ih_l0).T),
            _numpy(second.bias_ih_l0) + _numpy(second.bias_hh_l0),
            np.ascontiguousarray(_numpy(second.weight_hh_l0).T),
            _numpy(network.output.weight),
            _numpy(network.output.bias),
            first.hidden_size == second.hidden_size,
        )

    def draw(
        self,
        hidden: Float[ndarray, "pitches inputs"],
        fixed: Int[ndarray, " pitches"],
        draws: Float[ndarray, "2 pitches"],
        temperature: float,
        least: float = 0.0,
        push: float = 0.0,
        before: Bool[ndarray, " pitches"] | None = None,
    ) -> tuple[Bool[ndarray, " pitches"], Bool[ndarray, " pitches"], Float[ndarray, "pitches 2"]]:
        """Play and articulate bits of a frame, and the logits that they were drawn from.

        Args:
            hidden: the time axis' output, as `BiaxialNetwork.along_time` gives it.
            fixed: cells that are not free are set, not drawn.
            draws: uniform numbers, one row for play and one for articulate.
            temperature: divides the logits.
            least: a note with a smaller chance than this does not play.
            push: added to the logits of notes that begin; below 0 for fewer onsets.
            before: what played in the frame before; None for nothing.
        """
        pitches = len(hidden)
        play, articulate = np.zeros(pitches, dtype=bool), np.zeros(pitches, dtype=bool)
        logits = np.zeros((pitches, 2), dtype=np.float32)
        first = hidden @ self._hidden + self._bias
        _draw_frame(
            first,
            *self._weights,
            self._lowest,
            np.ascontiguousarray(fixed),
            draws,
            temperature,
            least,
            push,
            np.zeros(pitches, dtype=bool) if before is None else before,
            play,
            articulate,
            logits,
        )
        return play, articulate, logits
