"""Advances several pieces one step in lockstep on one core: the network of `composer.network`, made for sampling.

The conditions are projected for many steps at once, the frame before adds rows of a table (`composer.step_features`),
each LSTM along time is one product with prepared weights for all pitches of all items, and the note axis with its draws
is one compiled loop (`composer.note_axis`). Log-probabilities are those of teacher forcing to 1e-4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor, nn

from composer.conditions import Conditions
from composer.grammar_masks import Rules
from composer.network import BiaxialNetwork
from composer.note_axis import cells, draw_frame, project_step
from composer.roll import LOWEST_PITCH, PITCHES
from composer.step_features import ConditionsAhead, choice_tables, previous_tables
from music.errors import WeightsError

NO_RULES = Rules()


class Drawn(NamedTuple):
    """One frame of every item.

    Args:
        play, articulate: bits.
        log_prob: joint log-probability of the frame in nats under the network itself: neither temperature nor bias,
            masks or rules count.
    """

    play: Bool[ndarray, "items P"]
    articulate: Bool[ndarray, "items P"]
    log_prob: Float[ndarray, " items"]


@dataclass(frozen=True, eq=False)
class StepperState:
    """The time axis between two steps: each layer's h and c, [P, streams, items, units]."""

    hidden: tuple[Float[ndarray, "P streams items units"], ...]
    cell: tuple[Float[ndarray, "P streams items units"], ...]


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch use one thread: the products of a step are so small that two are slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Product:
    """x W + b with prepared W, by oneDNN where torch has it (twice as fast as its BLAS for few rows)."""

    def __init__(self, weight: Float[Tensor, "outputs inputs"], bias: Float[Tensor, " outputs"], rows: int) -> None:
        self._bias = bias.contiguous()
        self._weight = weight.t().contiguous()
        self._packed: Tensor | None = None
        if torch.backends.mkldnn.is_available():
            try:
                self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
            except (AttributeError, RuntimeError):
                self._packed = None

    def __call__(self, x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
        if self._packed is None:
            return torch.addmm(self._bias, x, self._weight)
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")


def _lstms(layers: nn.ModuleList) -> list[nn.LSTM]:
    return [layer for layer in layers if isinstance(layer, nn.LSTM)]


def _tensors(layer: nn.LSTM) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of input and of state, and the sum of both biases."""
    inputs, state, *biases = (value.detach() for value in layer.parameters())
    return inputs, state, biases[0] + biases[1]


class _TimeLayer:
    """One LSTM along time: a buffer of [input, state] rows, the cells, and the joined weights."""

    def __init__(self, layer: nn.LSTM, rows: int) -> None:
        self.inputs, self.units = layer.input_size, layer.hidden_size
        self.residual = self.inputs == self.units
        self.buffer = np.zeros((rows, self.inputs + self.units), np.float32)
        self.cell = np.zeros((rows, self.units), np.float32)
        inputs, state, bias = _tensors(layer)
        self.product = _Product(torch.cat([inputs, state], dim=1), bias, rows)
        self.tensor = torch.from_numpy(self.buffer)


class Stepper:
    """The network as a step function.

    Args:
        network: its weights are copied.
        pitches: lowest and highest MIDI pitch that may sound.
        items: pieces that are advanced together.
        guidance: w of logits = u + w (c - u), c those of the network with its conditions, u with none (notes set in
            advance are told to both); any other value than 1 doubles the work.

    Raises:
        WeightsError: the first LSTM of the note axis is as wide as its input, which this class does not know.
    """

    @torch.no_grad()
    def __init__(
        self, network: BiaxialNetwork, pitches: tuple[int, int], *, items: int = 1, guidance: float = 1.0
    ) -> None:
        self.columns = (pitches[0] - LOWEST_PITCH, pitches[1] + 1 - LOWEST_PITCH)
        self.items, self.guidance = items, guidance
        self.streams = 1 if guidance == 1 else 2
        self._pitches = P = self.columns[1] - self.columns[0]
        self._rows = rows = P * self.streams * items
        self._width = network.config.projection
        self._ahead = [ConditionsAhead(network, self.columns, concealed) for concealed in (False, True)[: self.streams]]
        middle = PITCHES - 1
        self._previous = tuple(
            np.ascontiguousarray(table[middle - P + 1 : middle + P]) for table in previous_tables(network)
        )
        self._time = [_TimeLayer(layer, rows) for layer in _lstms(network.time.layers)]
        # The note axis' input: the last output of the time axis beside the projected features.
        self._hidden = np.zeros((rows, network.config.time_units[-1] + self._width), np.float32)
        self._set_note_axis(network)
        self.logits = np.zeros((items, P, 2), np.float32)
        self._before = np.zeros((items, P), dtype=bool)
        self._fixed = np.zeros((items, P), np.int8)

    def _set_note_axis(self, network: BiaxialNetwork) -> None:
        layers = _lstms(network.note.layers)
        if layers[0].input_size == layers[0].hidden_size:
            raise WeightsError("network", f"the note axis' first LSTM is as wide as its input ({layers[0].input_size})")
        wide, rows = self._hidden.shape[1], self.streams * self.items
        inputs, state, bias = _tensors(layers[0])
        self._first = _Product(inputs[:, :wide], bias, self._rows)
        choice = inputs[:, wide:].t().numpy()
        self._choices = tuple(np.ascontiguousarray(table @ choice) for table in choice_tables())
        above = [_tensors(layer) for layer in layers[1:]]
        joined = [state, *(torch.cat(weights[:2], dim=1) for weights in above)]
        self._note_weights = tuple(np.ascontiguousarray(weight.t().numpy()) for weight in joined)
        self._note_biases = tuple(weights[2].numpy() for weights in above) or (np.zeros(1, np.float32),)
        self._note_residuals = np.array([False] + [layer.input_size == layer.hidden_size for layer in layers[1:]])
        self._output = (network.output.weight.numpy().copy(), network.output.bias.numpy().copy())
        sizes = [weight.shape[0] for weight in self._note_weights] + [layers[-1].hidden_size]
        self._note_room = (
            tuple(np.zeros((rows, size), np.float32) for size in sizes),
            tuple(np.zeros((rows, layer.hidden_size), np.float32) for layer in layers),
            tuple(np.zeros((rows, 4 * layer.hidden_size), np.float32) for layer in layers),
        )

    def advance(
        self,
        told: Sequence[Conditions],
        step: int,
        before_play: Bool[ndarray, "items 88"],
        before_articulate: Bool[ndarray, "items 88"],
    ) -> None:
        """The time axis of a step; `draw` then draws its notes, as often as wanted.

        Args:
            told: conditions of each item; items may share one object. They may be changed in place between steps.
            step: row of the conditions.
            before_play, before_articulate: the frame before, of each item.
        """
        low, high = self.columns
        self._before = np.ascontiguousarray(before_play[:, low:high])
        struck = np.ascontiguousarray(before_articulate[:, low:high])
        numbers = {key: slot for slot, key in enumerate(dict.fromkeys(map(id, told)))}
        slots = np.array([numbers[id(conditions)] for conditions in told])
        distinct = [told[int(np.argmax(slots == slot))] for slot in range(len(numbers))]
        for item, conditions in enumerate(told):
            self._fixed[item] = conditions.fixed[step, low:high]
        projected = np.stack([[ahead.at(part, step, k) for k, part in enumerate(distinct)] for ahead in self._ahead])
        project_step(
            projected,
            slots,
            self._before,
            struck,
            self._previous[0],
            self._previous[1],
            self._time[0].buffer,
            self._hidden,
            self._time[-1].units,
        )
        self._along_time()

    def _along_time(self) -> None:
        for layer, following in zip(self._time, [*self._time[1:], None], strict=True):
            gates = layer.product(layer.tensor).numpy()
            out = self._hidden if following is None else following.buffer
            cells(gates, layer.cell, layer.buffer, layer.inputs, out, 0, layer.residual, layer.buffer)
        self._gates = self._first(torch.from_numpy(self._hidden)).numpy()

    def draw(
        self,
        draws: Float[ndarray, "items 2 P"],
        *,
        bias: Float[ndarray, "items P"] | None = None,
        forbidden: Bool[ndarray, "items P"] | None = None,
        rules: Rules = NO_RULES,
        temperature: float = 1.0,
        least: float = 0.0,
    ) -> Drawn:
        """The notes of the step that the time axis was advanced to; `logits` are those that they were drawn from.

        Notes set in advance are set whatever the rest says, and a note that did not sound before is always struck.

        Args:
            draws: uniform numbers, for play and for articulate.
            bias: added to the logits of notes that begin: of play where a pitch did not sound before, of articulate
                where it did.
            forbidden: pitches that may not sound.
            rules: see `composer.grammar_masks`.
            temperature: divides the logits.
            least: a note with a smaller chance than this does not play.
        """
        shape = (self.items, self._pitches)
        play, articulate = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        log_prob = np.zeros(self.items)
        draw_frame(
            self._gates.reshape(self._pitches, self.streams * self.items, -1).copy(),
            self._note_weights,
            self._note_biases,
            self._note_residuals,
            self._output,
            self._choices,
            self._note_room,
            self._fixed,
            np.ascontiguousarray(draws, dtype=np.float64),
            np.zeros(shape, np.float32) if bias is None else np.ascontiguousarray(bias, dtype=np.float32),
            np.zeros(shape, dtype=bool) if forbidden is None else np.ascontiguousarray(forbidden),
            self._before,
            rules.to_array(LOWEST_PITCH + self.columns[0]),
            temperature,
            least,
            self.guidance,
            play,
            articulate,
            self.logits,
            log_prob,
        )
        return Drawn(play, articulate, log_prob)

    def step(
        self,
        told: Sequence[Conditions],
        step: int,
        before_play: Bool[ndarray, "items 88"],
        before_articulate: Bool[ndarray, "items 88"],
        draws: Float[ndarray, "items 2 P"],
        *,
        bias: Float[ndarray, "items P"] | None = None,
        forbidden: Bool[ndarray, "items P"] | None = None,
        rules: Rules = NO_RULES,
        temperature: float = 1.0,
        least: float = 0.0,
    ) -> Drawn:
        """`advance`, then `draw`."""
        self.advance(told, step, before_play, before_articulate)
        return self.draw(draws, bias=bias, forbidden=forbidden, rules=rules, temperature=temperature, least=least)

    def state(self) -> StepperState:
        """A copy of the time axis' state, to go back to."""
        shape = (self._pitches, self.streams, self.items, -1)
        return StepperState(
            tuple(layer.buffer[:, layer.inputs :].reshape(shape).copy() for layer in self._time),
            tuple(layer.cell.reshape(shape).copy() for layer in self._time),
        )

    def restore(self, state: StepperState) -> None:
        """Goes back to a state of a stepper of the same sizes."""
        for layer, hidden, cell in zip(self._time, state.hidden, state.cell, strict=True):
            layer.buffer[:, layer.inputs :] = hidden.reshape(self._rows, -1)
            layer.cell[:] = cell.reshape(self._rows, -1)

    def pick(self, indices: Sequence[int]) -> None:
        """Item k goes on as item `indices[k]` stood: all from the best one, say."""
        state = self.state()
        chosen = list(indices)
        self.restore(
            StepperState(
                tuple(value[:, :, chosen] for value in state.hidden), tuple(value[:, :, chosen] for value in state.cell)
            )
        )

    def reset(self) -> None:
        """The state before a piece's first step."""
        for layer in self._time:
            layer.buffer[:], layer.cell[:] = 0.0, 0.0
