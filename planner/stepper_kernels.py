"""The compiled part of `planner.stepper`: one token of a stream's network in one call.

Everything that does not change lies in two flat arrays, so that a call has few arguments: `narrow` (recurrent weights,
outputs, gates: 16-bit floats as they are stored, or 32-bit ones where that would lose something) and `wide` (the
table's share of the gates, the table, both biases). 16 bits halve what each token reads from memory, which is what a
token costs. They are widened by hand, as not every processor and compiler knows them.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# Places in `layout`: units, width of the summed input, number of columns, of values of all fields, of gates, of rows of
# the table; then rows' offsets of the columns, the first values of the fields, the first gates of the fields, and the
# gates' columns.
UNITS, WIDTH, COLUMNS, VALUES, GATES, ROWS, FIELDS, HEAD = range(8)
_ONE, _TWO, _HALF = np.float32(1), np.float32(2), np.float32(0.5)
_LEAST, _MOST = np.float32(-87), np.float32(87)
# exp(x) = 2^n exp(r) with r within half of ln 2, a polynomial: to 2 in the last of 24 bits (constants of Cephes' expf).
_LOG2E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_P0, _P1, _P2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_P3, _P4, _P5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


@no_type_check
@intrinsic
def _bits_as_float(typing_context, bits):  # pragma: no cover
    """A 32-bit number whose bits are these."""

    @no_type_check
    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), build


@no_type_check
@intrinsic
def _widened(typing_context, value):  # pragma: no cover
    """A 32-bit float from one, or from the bits of a 16-bit float (a whole number of 16 bits), to the bit."""

    @no_type_check
    def same(context, builder, signature, arguments):
        return arguments[0]

    @no_type_check
    def build(context, builder, signature, arguments):
        whole, single = ir.IntType(32), ir.FloatType()
        bits = builder.shl(builder.sext(arguments[0], whole), ir.Constant(whole, 13))
        bits = builder.and_(bits, ir.Constant(whole, 0x8FFFFFFF))  # the sign was spread over the exponent's upper bits
        # The exponents are counted from 15 and from 127.
        return builder.fmul(builder.bitcast(bits, single), ir.Constant(single, 2.0**112))

    if value == types.float32:
        return types.float32(types.float32), same
    return types.float32(types.int16), build


@no_type_check
@njit(fastmath=True, error_model="numpy", inline="always")
def _exp(x):  # pragma: no cover
    """e^x, written out so that many are computed at a time."""
    x = min(max(x, _LEAST), _MOST)
    n = np.floor(x * _LOG2E + _HALF)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    y = (((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5) * r * r + r + _ONE
    return y * _bits_as_float((np.int32(n) + np.int32(127)) << np.int32(23))


@no_type_check
@njit(fastmath=True, error_model="numpy")
def _step(narrow, wide, layout, state, columns, field):  # pragma: no cover
    """One step of the LSTM. `state`: what outputs see (state, then summed input), memory, and room for the gates."""
    units, width = layout[UNITS], layout[WIDTH]
    size = 4 * units
    gates_table = wide[: layout[ROWS] * size].reshape(layout[ROWS], size)
    table = wide[layout[ROWS] * size : layout[ROWS] * (size + width)].reshape(layout[ROWS], width)
    recurrent = narrow[: units * size].reshape(units, size)
    seen, memory, gates = state[: units + width], state[units + width : 2 * units + width], state[2 * units + width :]
    count = layout[COLUMNS]
    first, second = gates_table[layout[HEAD + count] + field], gates_table[columns[count]]
    for k in range(size):
        gates[k] = first[k] + second[k]
    first, second = table[layout[HEAD + count] + field], table[columns[count]]
    summed = seen[units:]
    for k in range(width):
        summed[k] = first[k] + second[k]
    for i in range(count):
        row = gates_table[layout[HEAD + i] + columns[i]]
        for k in range(size):
            gates[k] += row[k]
        row = table[layout[HEAD + i] + columns[i]]
        for k in range(width):
            summed[k] += row[k]
    even = units - units % 4
    for j in range(0, even, 4):  # four at a time, so that the gates are read and written less often
        a, b, c, d = seen[j], seen[j + 1], seen[j + 2], seen[j + 3]
        of_a, of_b, of_c, of_d = recurrent[j], recurrent[j + 1], recurrent[j + 2], recurrent[j + 3]
        for k in range(size):
            gates[k] += (a * _widened(of_a[k]) + b * _widened(of_b[k])) + (
                c * _widened(of_c[k]) + d * _widened(of_d[k])
            )
    for j in range(even, units):
        for k in range(size):
            gates[k] += seen[j] * _widened(recurrent[j, k])
    enter, forget, entering, leave = (
        gates[:units],
        gates[units : 2 * units],
        gates[2 * units : 3 * units],
        gates[3 * units :],
    )
    for k in range(units):
        new = _TWO / (_ONE + _exp(-_TWO * entering[k])) - _ONE  # tanh
        memory[k] = memory[k] / (_ONE + _exp(-forget[k])) + new / (_ONE + _exp(-enter[k]))
        seen[k] = (_TWO / (_ONE + _exp(-_TWO * memory[k])) - _ONE) / (_ONE + _exp(-leave[k]))


@no_type_check
@njit(fastmath=True, error_model="numpy")
def _dot(weights, seen):  # pragma: no cover
    total = np.float32(0)
    for k in range(seen.shape[0]):
        total += _widened(weights[k]) * seen[k]
    return total


@no_type_check
@njit(cache=True, fastmath=True, error_model="numpy")
def token(narrow, wide, layout, state, columns, field, weights, heat, point, logits):  # pragma: no cover
    """One step and a value drawn by its chance times its weight.

    Args:
        narrow, wide, layout: the network; see the module.
        state: changed in place; see `_step`.
        columns: what is known at the token, then the table's row of the value before, which is set to the one drawn.
        field: whose value is asked for.
        weights: of each value, 64 bits.
        heat: temperature; 0: nothing is drawn.
        point: of 0..1, where in the sum of chances the value lies.
        logits: of each value, set where its weight is above 0 and more than one is.

    Returns:
        the value; -1 where every weight is 0 or nothing is drawn.
    """
    _step(narrow, wide, layout, state, columns, field)
    units, width, values = layout[UNITS], layout[WIDTH], layout[VALUES]
    count, across = layout[COLUMNS], units + width
    starts = layout[HEAD + count + 2 : HEAD + count + 3 + layout[FIELDS]]
    owned = layout[HEAD + count + 3 + layout[FIELDS] : HEAD + count + 4 + 2 * layout[FIELDS]]
    held = layout[HEAD + count + 4 + 2 * layout[FIELDS] :]
    first, size = starts[field], starts[field + 1] - starts[field]
    possible, last = 0, -1
    for v in range(size):
        if weights[v] > 0:
            possible, last = possible + 1, v
    if possible > 1 or heat == 0:
        seen = state[:across]
        begin = 4 * units * units
        out = narrow[begin : begin + values * across].reshape(values, across)
        gate = narrow[begin + values * across :].reshape(layout[GATES], across)
        biases = wide[layout[ROWS] * (4 * units + width) :]
        for v in range(size):
            if weights[v] > 0:
                logits[v] = biases[first + v] + _dot(out[first + v], seen)
        for number in range(owned[field], owned[field + 1]):
            value = columns[held[number]] - 1
            if 0 <= value < size and weights[value] > 0:
                logits[value] += biases[values + number] + _dot(gate[number], seen)
    if heat == 0:
        return -1
    if possible > 1:
        last = _chosen(logits, weights, size, heat, point)
    if last >= 0:
        columns[count] = layout[HEAD + count + 1] + 1 + first + last
    return last


@no_type_check
@njit(fastmath=False, error_model="numpy")
def _chosen(logits, weights, size, heat, point):  # pragma: no cover
    """A value by its chance times its weight; there is one. `logits` become chances."""
    top = np.float32(-np.inf)
    for v in range(size):
        if weights[v] > 0:
            top = max(top, logits[v])
    slope = np.float32(1.0 / heat)
    total = 0.0
    for v in range(size):
        if weights[v] > 0:
            logits[v] = _exp((logits[v] - top) * slope)
            total += weights[v] * logits[v]
    reach, last = point * total, -1
    for v in range(size):
        if weights[v] > 0:
            reach -= weights[v] * logits[v]
            last = v
            if reach < 0:
                break
    return last
