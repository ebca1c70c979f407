"""A whole theme drawn in one compiled call: what may come next, what is known there, the network's step, again.

The same as `planner.theme_stream.ThemeWalker` under `planner.theme_ahead.ThemeLimits` token by token, which stay the
readable account, lead through training, and must say the same to the bit (`tests/test_theme_kernels.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, no_type_check
from zlib import crc32

import numpy as np
from numba import njit

from planner.stepper_kernels import token
from planner.theme_scene import LONGEST, MAX_UPBEAT, TO_END
from planner.theme_stream import BARS, DURATION, GAP, MIDDLE, OCTAVE, PITCH, PITCHES, REACH, STREAM, UPBEAT

# Numba makes a cached function anew when its own file changes; that it does so when these change is our care.
_SOURCES = ("stepper_kernels.py", "theme_kernels.py", "theme_scene.py", "theme_stream.py")
OUT_OF_POINTS, IMPOSSIBLE = -1, -2  # what a walk returns instead of a count; impossible fields count down from there

EIGHTH = 12
# Places in half a beat on which notes may begin; thirty-seconds and triplets are not mixed between eighths.
PLACES = (0, 3, 4, 6, 8, 9)
CLASS = tuple(PLACES.index(p) if p in PLACES else -1 for p in range(EIGHTH))
STRONG = 3  # of a walker's strengths: a beat
STEPS = 5  # notes that the walk of pitch classes looks ahead
MAX_RANGE = 19  # semitones from a theme's lowest to its highest note
MAX_LEAP = 12
FIT = 0.25  # weight of a foreign note on a beat beside a chord tone's: what is foreign there should be meant
_CLASS, _REACH = np.array(CLASS), np.array(REACH)
_BAR, _POSITION, _CADENCE, _CHORD, _NEXT, _SUNG = (
    STREAM.column[name] for name in ("bar", "position", "cadence", "chord", "next_chord", "last_pitch")
)
_COLUMNS = len(STREAM.columns)
_WHOLE = np.int64


PLACE, STRENGTH, CHORD, FOLLOWING, TONES = range(5)  # rows of `Rules.units`
CLOSED, OPEN, STARTS = range(3)  # of `Rules.ends`, see `planner.theme_ahead`
BAR_UNITS, TONIC, LOWEST, HIGHEST, FIRST_PHRASE, CADENCES = range(6)  # of `Rules.scene`
RIGHT = STEPS + 1  # of `Rules.closes`: the last notes that are


class Rules(NamedTuple):
    """What stays the same while a theme is drawn; few arrays, as each costs time in every call and compilation.

    Args:
        fixed: [columns that never change] whole numbers of 64 bits, as those of `scene` and `units`.
        scene: units a bar, pitch of the lowest octave's tonic, lowest and highest pitch of the voice, the column that
            tells the first phrase's length, then for each number of bars the column of the cadence that closes a theme.
        units: [place's column, strength, chord, next chord, the chord's tones as bits; units from the longest upbeat].
        notes, rests: [places, values] bool.
        ends: [closed, open, starts; bars, units] bool.
        heads: [numbers of bars, octaves, then the upbeats of a theme of so many bars; values] 64-bit floats.
        closes: [bars, notes ahead, then the right last notes; pitches] 64-bit floats, 1 where none is told.
    """

    fixed: np.ndarray
    scene: np.ndarray
    units: np.ndarray
    notes: np.ndarray
    rests: np.ndarray
    ends: np.ndarray
    heads: np.ndarray
    closes: np.ndarray


@no_type_check
@njit(error_model="numpy")
def _ahead(left, pace):  # pragma: no cover
    return max(1, min(STEPS, int(np.rint(left / pace))))


@no_type_check
@njit(error_model="numpy")
def _weigh_gaps(rules, weights, bars, end, position, last, pace):  # pragma: no cover
    """Weights of rests; `last`: the pitch before, -1 for none."""
    place = _CLASS[position % EIGHTH]
    for v in range(TO_END + 1):
        weights[v] = 0.0
    if place < 0:
        return
    at = position + MAX_UPBEAT
    factor = 1.0
    if last >= 0:
        weights[TO_END] = rules.closes[bars, RIGHT, last] if position > end - rules.scene[BAR_UNITS] else 0.0
        factor = rules.closes[bars, _ahead(end - position, pace), last]
    for v in range(TO_END):
        if rules.rests[place, v] and rules.ends[STARTS, bars, at + v]:
            weights[v] = factor


@no_type_check
@njit(error_model="numpy")
def _weigh_durations(rules, weights, bars, end, position, last, pace):  # pragma: no cover
    """Weights of durations."""
    place = _CLASS[position % EIGHTH]
    for v in range(LONGEST):
        weights[v] = 0.0
    if place < 0:
        return
    after = position + MAX_UPBEAT + 1
    left = end - position
    told = last >= 0 and left <= LONGEST
    for v in range(LONGEST):
        if rules.notes[place, v] and rules.ends[CLOSED, bars, after + v]:
            weights[v] = 1.0
            if told and v < left:
                # A note that ends the theme is the next pitch; after others there are some more.
                ahead = min(_ahead(left - 1 - v, pace), STEPS - 1) + 1 if v < left - 1 else 1
                weights[v] = rules.closes[bars, ahead, last]


@no_type_check
@njit(error_model="numpy")
def _weigh_pitches(
    rules, weights, bars, end, tonic, position, duration, last, lowest, highest, pace
):  # pragma: no cover
    """Weights of pitches."""
    base = MIDDLE - tonic
    low, high = rules.scene[LOWEST] + base, rules.scene[HIGHEST] + base
    if last >= 0:
        low = max(low, max(highest - MAX_RANGE, last - MAX_LEAP))
        high = min(high, min(lowest + MAX_RANGE, last + MAX_LEAP))
    low, high = max(0, low), min(PITCHES - 1, high)
    at, after = position + MAX_UPBEAT, position + duration
    bits = rules.units[TONES, at] if rules.units[STRENGTH, at] >= STRONG else 0
    row = RIGHT
    if rules.ends[OPEN, bars, after + MAX_UPBEAT]:  # else no note can come after this one
        row = _ahead(end - after, pace) if after != end else 0
    for p in range(PITCHES):
        weights[p] = 0.0
    for p in range(low, high + 1):
        weights[p] = rules.closes[bars, row, p]
        if bits and not bits >> (p - MIDDLE) % 12 & 1:
            weights[p] *= FIT


@no_type_check
@njit(error_model="numpy")
def _tell(rules, columns, field, bars, end, position, sung, count, lowest, highest, heard):  # pragma: no cover
    """Sets the columns of a place in the theme, those that never change excepted."""
    bar, at, units = rules.scene[BAR_UNITS], position + MAX_UPBEAT, rules.units
    columns[_BAR] = 5 * bars - 4 + ((at - MAX_UPBEAT) // bar + 1 if at >= MAX_UPBEAT else 0)
    columns[_POSITION] = units[PLACE, at]
    columns[_CADENCE] = rules.scene[CADENCES + bars] if at >= MAX_UPBEAT + end - 2 * bar else 0
    columns[_CHORD] = units[CHORD, at]
    columns[_NEXT] = units[FOLLOWING, at]
    for i in range(_SUNG, _COLUMNS):
        columns[i] = 0
    tone = 3 * units[STRENGTH, at] - 2
    last = -1
    if count:
        last = sung[2, count - 1]
        if units[TONES, at]:
            tone += 1 + (units[TONES, at] >> (last - MIDDLE) % 12 & 1)
        columns[_SUNG] = last + 1
        columns[_SUNG + 2] = sung[1, count - 1]
        columns[_SUNG + 5] = 1 + _REACH[highest - last] * 6 + _REACH[last - lowest]
        if count > 1:
            columns[_SUNG + 1] = sung[2, count - 2] + 1
            columns[_SUNG + 3] = sung[1, count - 2]
    columns[_SUNG + 4] = tone
    back = at - bar
    if back < 0:
        return
    if field == GAP:
        columns[_SUNG + 6] = heard[1, back]
    note = heard[0, back]
    if note >= 0:
        columns[_SUNG + 7] = sung[1, note]
        columns[_SUNG + 8] = sung[2, note] + 1
        if note and last >= 0:
            moved = last + sung[2, note] - sung[2, note - 1]
            columns[_SUNG + 9] = moved + 1 if 0 <= moved < PITCHES else 0
    note = heard[0, back - bar] if back >= bar else -1
    if note >= 0:
        columns[_SUNG + 10] = sung[1, note]
        columns[_SUNG + 11] = sung[2, note] + 1


def _entered(version: int) -> Callable[..., Any]:
    """The way in. `version` tells numba's cache, which counts what a function encloses, when to make it anew."""

    @no_type_check
    @njit(cache=True, error_model="numpy")
    def walk_theme(network, rules, points, heat, weights, heard, values, sung):  # pragma: no cover
        """Draws a theme from its first value to its last.

        Args:
            network: of `planner.stepper.Stepper.network`, at the beginning of a walk.
            rules: of the theme.
            points: of 0..1, a number of chance for each token.
            heat: temperature.
            weights: [values], room for weights.
            heard: [2, units], by unit from the longest upbeat on the note that begins there, -1 for none, and the rest
                plus 1, 0 for none; -1 and 0 at first.
            values: [points], set to what is drawn.
            sung: [3, points], set to onsets, durations and pitches of the notes.

        Returns:
            how many values were drawn (or `OUT_OF_POINTS`, or `IMPOSSIBLE` less the field of which no value is
            possible), and how many notes.
        """
        if version < 0:
            return IMPOSSIBLE, 0
        narrow, wide, layout, state, columns, logits = network
        for i in range(_BAR):
            columns[i] = rules.fixed[i]
        # Of one type from the first: for a literal number each function would be compiled once more.
        field, count = _WHOLE(BARS), _WHOLE(0)
        bars = end = tonic = position = duration = upbeat = _WHOLE(0)
        lowest, highest, last = _WHOLE(PITCHES), _WHOLE(0), _WHOLE(-1)
        for index in range(len(points)):
            pace = max(3, (position + upbeat) // count) if count else 12
            if field == GAP:
                _weigh_gaps(rules, weights, bars, end, position, last, pace)
            elif field == DURATION:
                _weigh_durations(rules, weights, bars, end, position, last, pace)
            elif field == PITCH:
                _weigh_pitches(rules, weights, bars, end, tonic, position, duration, last, lowest, highest, pace)
            else:
                head = rules.heads[UPBEAT + bars if field == UPBEAT else field]
                for v in range(len(head)):
                    weights[v] = head[v]
            if field > UPBEAT:
                _tell(rules, columns, field, bars, end, position, sung, count, lowest, highest, heard)
            else:
                for i in range(_BAR, _COLUMNS):
                    columns[i] = 0
                columns[_BAR] = rules.scene[FIRST_PHRASE] if field == BARS else 5 * bars - 4
                columns[_CHORD] = rules.units[CHORD, MAX_UPBEAT]
                columns[_NEXT] = rules.units[FOLLOWING, MAX_UPBEAT]
            value = token(narrow, wide, layout, state, columns, field, weights, heat, points[index], logits)
            if value < 0:
                return IMPOSSIBLE - field, count
            values[index] = value
            if field == PITCH:
                heard[0, position + MAX_UPBEAT] = count
                sung[0, count], sung[1, count], sung[2, count] = position, duration, value
                count, last = count + 1, value
                lowest, highest = min(lowest, value), max(highest, value)
                position += duration
                if position >= end:
                    return index + 1, count
                field = GAP
            elif field == DURATION:
                duration = min(value + 1, end - position)
                field = PITCH
            elif field == GAP:
                heard[1, position + MAX_UPBEAT] = value + 1
                if value == TO_END or position + value >= end:
                    return index + 1, count
                position += value
                field = DURATION
            elif field == BARS:
                bars = value + 1
                end = bars * rules.scene[BAR_UNITS]
                field = OCTAVE
            elif field == OCTAVE:
                tonic = rules.scene[TONIC] + 12 * value
                field = UPBEAT
            else:
                upbeat, position = value, -value
                field = DURATION if value else GAP
        return OUT_OF_POINTS, count

    return walk_theme


walk_theme = _entered(crc32(b"".join((Path(__file__).parent / name).read_bytes() for name in _SOURCES)))
