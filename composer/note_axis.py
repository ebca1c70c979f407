"""The step function's compiled loops: features, LSTM cells, and the note axis with its draws from the lowest pitch up.

The note axis is what `BiaxialNetwork.along_notes` computes, with each choice drawn before the next pitch is looked at,
for several items in lockstep. Rows of all arrays are pitch first, then stream (told all, told nothing), then item.
Products with few rows are sums of scaled weight rows, eight at a time, which reads each weight once for all items.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import no_type_check
from zlib import crc32

import numpy as np
from numba import njit

from composer.conditions import ATTACK, FREE, OFF
from composer.grammar_masks import forbidden

_SOURCES = ("grammar_masks.py", "conditions.py")  # what is compiled into `draw_frame` from other files
FLAGS = {"contract", "reassoc", "nsz"}
# e^r for r within half of log 2, a polynomial of the Cephes library (expf), good to a unit in the last place; log 2 is
# split in two for the reduction of the argument.
E0, E1, E2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
E3, E4, E5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
LOG2_E, LOG2_HIGH, LOG2_LOW = np.float32(1.44269504088896341), np.float32(0.693359375), np.float32(-2.12194440e-4)
LARGEST = np.float32(87.0)  # e^87 is still a number in single precision
HALF, ONE, TWO = np.float32(0.5), np.float32(1.0), np.float32(2.0)


@no_type_check  # the run-time type checks of the tests cannot wrap what numba compiles
@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _exp(x):
    """np.exp would be called number by number; this becomes vector instructions."""
    x = LARGEST if x > LARGEST else x
    x = -LARGEST if x < -LARGEST else x
    n = np.floor(x * LOG2_E + HALF)
    r = (x - n * LOG2_HIGH) - n * LOG2_LOW
    power = ((((E0 * r + E1) * r + E2) * r + E3) * r + E4) * r + E5
    bits = np.int32((np.int32(n) + np.int32(127)) << np.int32(23))  # of the number 2^n
    return (power * (r * r) + r + ONE) * bits.view(np.float32)


@no_type_check
@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _sigmoid(x):
    return ONE / (ONE + _exp(-x))


@no_type_check
@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _tanh(x):
    power = _exp(-TWO * (x if x > 0 else -x))
    size = (ONE - power) / (ONE + power)
    return size if x > 0 else -size


@no_type_check
@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def cells(gates, c, h, at, out, place, residual, source):
    """LSTM cells of many rows.

    Args:
        gates: [rows, 4 units], W x + R h + b in torch's order: input, forget, cell, output.
        c: [rows, units], changed in place.
        h: [rows, ...], the new state goes to columns at, at + 1, …
        out: [rows, ...], the output goes to columns place, place + 1, …: the state, with the input added if `residual`.
        source: [rows, ...], its first columns are the input.
    """
    rows, units = c.shape
    # Slices with a fixed length: with offsets inside the loops the compiler finds no vector instructions.
    for r in range(rows):
        cell, gate = c[r], gates[r]
        enter, keep, new, leave = gate[:units], gate[units : 2 * units], gate[2 * units : 3 * units], gate[3 * units :]
        for j in range(units):
            cell[j] = _sigmoid(keep[j]) * cell[j] + _sigmoid(enter[j]) * _tanh(new[j])
        for j in range(units):
            leave[j] = _sigmoid(leave[j]) * _tanh(cell[j])
        state, y = h[r, at : at + units], out[r, place : place + units]
        for j in range(units):
            state[j] = leave[j]
        if residual:
            x = source[r, :units]
            for j in range(units):
                y[j] = leave[j] + x[j]
        else:
            for j in range(units):
                y[j] = leave[j]


@no_type_check
@njit(cache=True)
def _copy(values, into):
    # An assignment to a slice would do, but takes numba seconds to compile.
    for j in range(len(values)):
        into[j] = values[j]


@no_type_check
@njit(cache=True, fastmath=FLAGS)
def _add_product(gates, x, weight):
    """gates += x @ weight."""
    rows, wide = gates.shape
    width = weight.shape[0]
    for i in range(0, width - 7, 8):
        w = weight[i : i + 8]
        w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
        for r in range(rows):
            v, row = x[r, i : i + 8], gates[r]
            x0, x1, x2, x3, x4, x5, x6, x7 = v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
            for j in range(wide):
                row[j] += ((x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j])) + (
                    (x4 * w4[j] + x5 * w5[j]) + (x6 * w6[j] + x7 * w7[j])
                )
    for i in range(width - width % 8, width):
        last = weight[i]
        for r in range(rows):
            value, row = x[r, i], gates[r]
            for j in range(wide):
                row[j] += value * last[j]


@no_type_check
@njit(cache=True)
def _sorted_notes(bits):
    """Columns of the bits that are set, row by row, and their numbers."""
    rows, columns = bits.shape
    notes, count = np.zeros((rows, columns), np.int64), np.zeros(rows, np.int64)
    for r in range(rows):
        for k in range(columns):
            if bits[r, k]:
                notes[r, count[r]] = k
                count[r] += 1
    return notes, count


@no_type_check
@njit(cache=True, fastmath=FLAGS)
def project_step(conditions, slots, play, articulate, play_table, articulate_table, buffer, hidden, at):
    """The projected features of a step: conditions, the notes of the frame before, and the rectifier.

    Args:
        conditions: [streams, slots, pitches, width].
        slots: [items], which of them belong to each item.
        play, articulate: [items, pitches] bits of the frame before.
        play_table, articulate_table: row P - 1 + p - q is what a note at q adds to pitch p, P being their pitches.
        buffer: result, [pitches * streams * items, ...], in its first columns.
        hidden: the same in its columns at, at + 1, …
    """
    items, pitches = play.shape
    streams, width = conditions.shape[0], conditions.shape[3]
    notes, count = _sorted_notes(play)
    for p in range(pitches):
        for n in range(items):
            first = buffer[(p * streams) * items + n, :width]
            first[:] = 0.0
            for k in range(count[n]):
                q = notes[n, k]
                played = play_table[pitches - 1 + p - q]
                if articulate[n, q]:
                    struck = articulate_table[pitches - 1 + p - q]
                    for j in range(width):
                        first[j] += played[j] + struck[j]
                else:
                    for j in range(width):
                        first[j] += played[j]
            for s in range(streams - 1, -1, -1):
                r = (p * streams + s) * items + n
                told, x, copy = conditions[s, slots[n], p], buffer[r, :width], hidden[r, at : at + width]
                for j in range(width):
                    total = told[j] + first[j]
                    x[j] = total if total > 0 else np.float32(0.0)
                for j in range(width):
                    copy[j] = x[j]


@no_type_check
@njit(cache=True)
def _log_sigmoid(x):
    return -np.log1p(np.exp(-x)) if x > 0 else x - np.log1p(np.exp(x))


@no_type_check
@njit(cache=True)
def _chance(x):
    return 1.0 / (1.0 + np.exp(-x))


@no_type_check
@njit(cache=True, fastmath=FLAGS)
def _add_choices(gates, p, chosen, count, articulate, choice, struck_choice):
    """Adds what the notes chosen below pitch p contribute to the first layer's gates, [streams * items, 4 units]."""
    rows, wide = gates.shape
    items = len(count)
    for r in range(rows):
        n, row = r % items, gates[r]
        for k in range(count[n]):
            d = p - chosen[n, k]
            added = choice[d]
            for j in range(wide):
                row[j] += added[j]
            if d < struck_choice.shape[0] and articulate[n, chosen[n, k]]:
                added = struck_choice[d]
                for j in range(wide):
                    row[j] += added[j]


def _entered(version: int) -> Callable[..., None]:
    """The way in. `version` tells numba's cache, which counts what a function encloses, when to make it anew: of itself
    it looks at this file alone, and would go on with the rules of before."""

    @no_type_check
    @njit(cache=True, fastmath=FLAGS, error_model="numpy")
    def draw_frame(
        first,
        weights,
        biases,
        residuals,
        output,
        choices,
        room,
        fixed,
        draws,
        bias,
        mask,
        before,
        rules,
        temperature,
        least,
        guidance,
        play,
        articulate,
        logits,
        log_prob,
    ):
        """Draws a frame of every item.

        Args:
            first: [pitches, streams * items, 4 units] of the first layer, all but choices and state; changed.
            weights: per layer [inputs and units, 4 units], of the first layer the units' rows alone.
            biases: of all layers but the first.
            residuals: whether a layer's input is added to its output.
            output: weight [2, units] and bias [2].
            choices: two tables, whose row d is what a note chosen, a note struck d semitones below adds to `first`.
            room: for each layer's [input, state] rows and, after those, the last layer's output; cells; gates.
            fixed, draws, bias, mask, before: [items, pitches], [items, 2, pitches], and [items, pitches] thrice.
            rules: `composer.grammar_masks.Rules.to_array`.
            temperature, least: see `composer.stepper.Stepper.draw`.
            guidance: with two streams, logits are those of the second and so many times the first's difference from it.
            play, articulate, logits, log_prob: results, [items, pitches] twice, [items, pitches, 2], [items].
        """
        if version < 0:
            return
        pitches, rows, _ = first.shape
        items, layers = play.shape[0], len(weights)
        weight_out, bias_out = output
        choice, struck_choice = choices
        xs, cs, gates = room
        for x in xs:
            x[:] = 0.0
        for c in cs:
            c[:] = 0.0
        chosen = np.zeros((items, pitches), np.int64)
        count = np.zeros(items, np.int64)
        told, told_count = _sorted_notes(fixed > OFF)
        passed = np.zeros(items, np.int64)  # of those told, the ones at or below the pitch
        old, old_count = _sorted_notes(before)
        log_prob[:] = 0.0
        both = np.zeros((rows, 2), np.float32)
        for p in range(pitches):
            _add_choices(first[p], p, chosen, count, articulate, choice, struck_choice)
            for layer in range(layers):
                inputs = xs[layer].shape[1] - cs[layer].shape[1]
                gate = gates[layer]
                if layer > 0:
                    for r in range(rows):
                        _copy(biases[layer - 1], gate[r])
                else:
                    for r in range(rows):
                        _copy(first[p, r], gate[r])
                _add_product(gate, xs[layer], weights[layer])
                cells(gate, cs[layer], xs[layer], inputs, xs[layer + 1], 0, residuals[layer], xs[layer])
            for r in range(rows):
                for side in range(2):
                    total = bias_out[side]
                    for j in range(weight_out.shape[1]):
                        total += weight_out[side, j] * xs[layers][r, j]
                    both[r, side] = total
            for n in range(items):
                if rows > items:
                    for side in range(2):
                        free = both[items + n, side]
                        logits[n, p, side] = free + guidance * (both[n, side] - free)
                else:
                    logits[n, p, 0], logits[n, p, 1] = both[n, 0], both[n, 1]
                if fixed[n, p] == FREE:
                    # What begins: a new note, or one struck anew.
                    begin = 0.0 if before[n, p] else bias[n, p]
                    chance = _chance((logits[n, p, 0] + begin) / temperature)
                    sounds = chance >= least and draws[n, 0, p] < chance and not mask[n, p]
                    above = told[n, passed[n] : told_count[n]]
                    if sounds and forbidden(p, chosen[n, : count[n]], above, old[n, : old_count[n]], rules):
                        sounds = False
                    play[n, p] = sounds
                    anew = _chance((logits[n, p, 1] + bias[n, p] - begin) / temperature)
                    articulate[n, p] = sounds and (not before[n, p] or draws[n, 1, p] < anew)
                else:
                    play[n, p] = fixed[n, p] != OFF
                    passed[n] += play[n, p]
                    articulate[n, p] = play[n, p] and (fixed[n, p] == ATTACK or not before[n, p])
                if play[n, p]:
                    chosen[n, count[n]] = p
                    count[n] += 1
                    sign = 1.0 if articulate[n, p] else -1.0
                    log_prob[n] += _log_sigmoid(logits[n, p, 0]) + _log_sigmoid(sign * logits[n, p, 1])
                else:
                    log_prob[n] += _log_sigmoid(-logits[n, p, 0])

    return draw_frame


draw_frame = _entered(crc32(b"".join((Path(__file__).parent / name).read_bytes() for name in _SOURCES)))
