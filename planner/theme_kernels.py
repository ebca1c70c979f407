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


class Rules(NamedTuple):
    """What stays the same while a theme is drawn; whole numbers of 64 bits but where said.

    Args:
        fixed: [columns that never change].
        scene: units a bar, pitch of the lowest octave's tonic, lowest and highest pitch of the voice, the column that
            tells the first phrase's length.
        cadences: [bars] column of the cadence that closes a theme of so many bars.
        places, strengths, chords, following, tones: [units from the longest upbeat on].
        notes, rests: [places, values] bool.
        closed, open, starts: [bars, units] bool, see `planner.theme_ahead`.
        bars, octaves: [values] 64-bit floats.
        upbeats: [bars, values] 64-bit floats.
        closing: [bars] bool, whether the last note is told.
        right: [bars, pitches] 64-bit floats, 1 for the last notes that are.
        chances: [bars, notes ahead, pitches] 64-bit floats.
    """

    fixed: np.ndarray
    scene: np.ndarray
    cadences: np.ndarray
    places: np.ndarray
    strengths: np.ndarray
    chords: np.ndarray
    following: np.ndarray
    tones: np.ndarray
    notes: np.ndarray
    rests: np.ndarray
    closed: np.ndarray
    open: np.ndarray
    starts: np.ndarray
    bars: np.ndarray
    octaves: np.ndarray
    upbeats: np.ndarray
    closing: np.ndarray
    right: np.ndarray
    chances: np.ndarray


@no_type_check
@njit(error_model="numpy")
def _ahead(left, pace):  # pragma: no cover
    return max(1, min(STEPS, int(np.rint(left / pace))))


@no_type_check
@njit(error_model="numpy")
def _weigh_gaps(rules, weights, bars, end, position, last, pace):  # pragma: no cover
    """Weights of rests; `last`: the pitch before, -1 for none."""
    place = _CLASS[position % EIGHTH]
    weights[: TO_END + 1] = 0.0
    if place < 0:
        return
    at = position + MAX_UPBEAT
    factor = 1.0
    if last >= 0:
        weights[TO_END] = 1.0 if position > end - rules.scene[0] else 0.0
        if rules.closing[bars]:
            weights[TO_END] *= rules.right[bars, last]
            factor = rules.chances[bars, _ahead(end - position, pace), last]
    for v in range(TO_END):
        if rules.rests[place, v] and rules.starts[bars, at + v]:
            weights[v] = factor


@no_type_check
@njit(error_model="numpy")
def _weigh_durations(rules, weights, bars, end, position, last, pace):  # pragma: no cover
    """Weights of durations."""
    place = _CLASS[position % EIGHTH]
    weights[:LONGEST] = 0.0
    if place < 0:
        return
    after = position + MAX_UPBEAT + 1
    left = end - position
    told = rules.closing[bars] and last >= 0 and left <= LONGEST
    for v in range(LONGEST):
        if rules.notes[place, v] and rules.closed[bars, after + v]:
            weights[v] = 1.0
            if told and v < left:
                # A note that ends the theme is the next pitch; after others there are some more.
                ahead = min(_ahead(left - 1 - v, pace), STEPS - 1) + 1 if v < left - 1 else 1
                weights[v] = rules.chances[bars, ahead, last]


@no_type_check
@njit(error_model="numpy")
def _weigh_pitches(
    rules, weights, bars, end, tonic, position, duration, last, lowest, highest, pace
):  # pragma: no cover
    """Weights of pitches."""
    base = MIDDLE - tonic
    low, high = rules.scene[2] + base, rules.scene[3] + base
    if last >= 0:
        low = max(low, max(highest - MAX_RANGE, last - MAX_LEAP))
        high = min(high, min(lowest + MAX_RANGE, last + MAX_LEAP))
    low, high = max(0, low), min(PITCHES - 1, high)
    at, after = position + MAX_UPBEAT, position + duration
    bits = rules.tones[at] if rules.strengths[at] >= STRONG else 0
    row = rules.right[bars]
    if rules.open[bars, after + MAX_UPBEAT]:  # else no note can come after this one
        row = rules.chances[bars, _ahead(end - after, pace) if after != end else 0]
    weights[:PITCHES] = 0.0
    for p in range(low, high + 1):
        weights[p] = row[p] if rules.closing[bars] else 1.0
        if bits and not bits >> (p - MIDDLE) % 12 & 1:
            weights[p] *= FIT


@no_type_check
@njit(error_model="numpy")
def _tell(
    rules, columns, field, bars, end, position, sung, count, lowest, highest, note_at, gap_at
):  # pragma: no cover
    """Sets the columns of a place in the theme, those that never change excepted."""
    bar, at = rules.scene[0], position + MAX_UPBEAT
    pitches, durations = sung[2], sung[1]
    columns[_BAR] = 5 * bars - 4 + ((at - MAX_UPBEAT) // bar + 1 if at >= MAX_UPBEAT else 0)
    columns[_POSITION] = rules.places[at]
    columns[_CADENCE] = rules.cadences[bars] if at >= MAX_UPBEAT + end - 2 * bar else 0
    columns[_CHORD] = rules.chords[at]
    columns[_NEXT] = rules.following[at]
    columns[_SUNG:_COLUMNS] = 0
    tone = 3 * rules.strengths[at] - 2
    last = -1
    if count:
        last = pitches[count - 1]
        if rules.tones[at]:
            tone += 1 + (rules.tones[at] >> (last - MIDDLE) % 12 & 1)
        columns[_SUNG] = last + 1
        columns[_SUNG + 2] = durations[count - 1]
        columns[_SUNG + 5] = 1 + _REACH[highest - last] * 6 + _REACH[last - lowest]
        if count > 1:
            columns[_SUNG + 1] = pitches[count - 2] + 1
            columns[_SUNG + 3] = durations[count - 2]
    columns[_SUNG + 4] = tone
    back = at - bar
    if back < 0:
        return
    if field == GAP:
        columns[_SUNG + 6] = gap_at[back]
    note = note_at[back]
    if note >= 0:
        columns[_SUNG + 7] = durations[note]
        columns[_SUNG + 8] = pitches[note] + 1
        if note and last >= 0:
            moved = last + pitches[note] - pitches[note - 1]
            columns[_SUNG + 9] = moved + 1 if 0 <= moved < PITCHES else 0
    note = note_at[back - bar] if back >= bar else -1
    if note >= 0:
        columns[_SUNG + 10] = durations[note]
        columns[_SUNG + 11] = pitches[note] + 1


@no_type_check
@njit(error_model="numpy")
def _walk(network, rules, points, heat, values, sung):  # pragma: no cover
    """See `walk_theme`."""
    narrow, wide, layout, state, columns, logits = network
    units = len(rules.places)
    weights = np.zeros(max(PITCHES, TO_END + 1))
    note_at, gap_at = np.full(units, -1), np.zeros(units, np.int64)
    columns[:_BAR] = rules.fixed
    field, count = BARS, 0
    bars = end = tonic = position = duration = upbeat = 0
    lowest, highest, last = PITCHES, 0, -1
    for index in range(len(points)):
        pace = max(3, (position + upbeat) // count) if count else 12
        if field == GAP:
            _weigh_gaps(rules, weights, bars, end, position, last, pace)
        elif field == DURATION:
            _weigh_durations(rules, weights, bars, end, position, last, pace)
        elif field == PITCH:
            _weigh_pitches(rules, weights, bars, end, tonic, position, duration, last, lowest, highest, pace)
        else:
            head = rules.upbeats[bars] if field == UPBEAT else rules.octaves if field == OCTAVE else rules.bars
            weights[: len(head)] = head
        if field > UPBEAT:
            _tell(rules, columns, field, bars, end, position, sung, count, lowest, highest, note_at, gap_at)
        else:
            columns[_BAR:_COLUMNS] = 0
            columns[_BAR] = rules.scene[4] if field == BARS else 5 * bars - 4
            columns[_CHORD] = rules.chords[MAX_UPBEAT]
            columns[_NEXT] = rules.following[MAX_UPBEAT]
        value = token(narrow, wide, layout, state, columns, field, weights, heat, points[index], logits)
        if value < 0:
            return IMPOSSIBLE - field, count
        values[index] = value
        if field == PITCH:
            note_at[position + MAX_UPBEAT] = count
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
            gap_at[position + MAX_UPBEAT] = value + 1
            if value == TO_END or position + value >= end:
                return index + 1, count
            position += value
            field = DURATION
        elif field == BARS:
            bars = value + 1
            end = bars * rules.scene[0]
            field = OCTAVE
        elif field == OCTAVE:
            tonic = rules.scene[1] + 12 * value
            field = UPBEAT
        else:
            upbeat, position = value, -value
            field = DURATION if value else GAP
    return OUT_OF_POINTS, count


def _entered(version: int) -> Callable[..., Any]:
    """The way in. `version` tells numba's cache, which counts what a function encloses, when to make it anew."""

    @no_type_check
    @njit(cache=True, error_model="numpy")
    def walk_theme(network, rules, points, heat, values, sung):  # pragma: no cover
        """Draws a theme from its first value to its last.

        Args:
            network: of `planner.stepper.Stepper.network`, at the beginning of a walk.
            rules: of the theme.
            points: of 0..1, a number of chance for each token.
            heat: temperature.
            values: [points], set to what is drawn.
            sung: [3, points], set to onsets, durations and pitches of the notes.

        Returns:
            how many values were drawn (or `OUT_OF_POINTS`, or `IMPOSSIBLE` less the field of which no value is
            possible), and how many notes.
        """
        if version < 0:
            return IMPOSSIBLE, 0
        return _walk(network, rules, points, heat, values, sung)

    return walk_theme


walk_theme = _entered(crc32(b"".join((Path(__file__).parent / name).read_bytes() for name in _SOURCES)))
