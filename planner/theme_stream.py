"""Themes as streams of tokens: how long, how high, how early, and then note by note rest, duration and pitch.

The clock counts 24 units a quarter, which hold thirty-seconds and triplets. Pitches are semitones from the tonic that
lies nearest to the middle of the theme's range, so that a tune is the same tune in any key and octave. Beside each
token stands what a singer would look at: place in the bar, chord now and next, the notes before, and the notes one and
two bars ago at the same place (as they were, and moved along with the line), which is where motives come from.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, cached_property, lru_cache

import numpy as np
from jaxtyping import Int64

from music.harmony import chord_pcs
from music.pitch import Key
from music.plan import CADENCES, ENSEMBLES, Plan, PlanNote, Theme
from music.time import Meter
from planner.harmony_symbols import SYMBOLS, VALID, chord_of
from planner.streams import Column, Field, Stream, Tokens, written
from planner.theme_scene import (
    LONGEST,
    MAX_BAR,
    MAX_BARS,
    MAX_UPBEAT,
    METER_CLASSES,
    TO_END,
    UNIT_DIV,
    ThemeScene,
    canonical,
    meter_class,
    scene_of,
)

MIDDLE = 44  # value of the pitch token of the tonic of reference
PITCHES = 2 * MIDDLE + 1
STYLES = 96  # that there is a column for

_TEMPOS = (50, 66, 80, 96, 112, 132, 160, 200)
_DENSITIES = (0.75, 1.25, 1.75, 2.5, 3.5, 5, 7, 10)
_REGISTERS = (50, 54, 57, 60, 62, 64, 66, 68, 70, 74)
_FIRST_LENGTHS = (5, 7, 10, 14, 20, 28)
_FIRST_PITCHES = (66, 71, 75, 80)
_REACHES = (1, 3, 5, 8, 13)
_LETTERS, _UPBEATS = 8, 4

FIELDS = (
    Field("bars", MAX_BARS),
    Field("octave", 7),
    Field("upbeat", MAX_UPBEAT + 1),
    Field("gap", TO_END + 1, ("gap_bar_ago",)),
    Field("duration", LONGEST, ("duration_bar_ago", "duration_two_bars_ago", "last_duration")),
    Field("pitch", PITCHES, ("last_pitch", "pitch_bar_ago", "sequence_bar_ago", "pitch_two_bars_ago")),
)
BARS, OCTAVE, UPBEAT, GAP, DURATION, PITCH = range(len(FIELDS))
COLUMNS = (
    Column("style", STYLES + 1),
    Column("ensemble", len(ENSEMBLES) + 1),
    Column("meter", METER_CLASSES + 1),
    Column("mode", 5),
    Column("letter", 1 + _LETTERS * _UPBEATS),
    Column("tempo", len(_TEMPOS) + 2),
    Column("density", len(_DENSITIES) + 2),
    Column("register", len(_REGISTERS) + 2),
    Column("first", 1 + (len(_FIRST_LENGTHS) + 1) * (len(_FIRST_PITCHES) + 1)),
    Column("bar", 26),
    Column("position", 90),
    Column("cadence", len(CADENCES) + 2),
    Column("chord", SYMBOLS + 1),
    Column("next_chord", SYMBOLS + 1),
    Column("last_pitch", PITCHES + 1),
    Column("pitch_before", PITCHES + 1),
    Column("last_duration", LONGEST + 1),
    Column("duration_before", LONGEST + 1),
    Column("tone", 16),
    Column("reach", 1 + (len(_REACHES) + 1) ** 2),
    Column("gap_bar_ago", TO_END + 2),
    Column("duration_bar_ago", LONGEST + 1),
    Column("pitch_bar_ago", PITCHES + 1),
    Column("sequence_bar_ago", PITCHES + 1),
    Column("duration_two_bars_ago", LONGEST + 1),
    Column("pitch_two_bars_ago", PITCHES + 1),
)
STREAM = Stream("theme", COLUMNS, FIELDS)
REACH = tuple(bisect_right(_REACHES, size) for size in range(PITCHES))
_NO_NOTES = [0] * (len(COLUMNS) - STREAM.column["last_pitch"])


@cache
def symbol_tones() -> tuple[int, ...]:
    """For each chord symbol its pitch classes above the key's tonic, as bits; 0 for what is no symbol."""
    home = Key.parse("C")
    chords = [chord_of(symbol, home) if VALID[symbol] else None for symbol in range(SYMBOLS)]
    return tuple(sum(1 << pc for pc in chord_pcs(*chord[:2])) if chord else 0 for chord in chords)


def tonic_pitch(key: Key, octave: int) -> int:
    """The pitch of the tonic that value `octave` of that field stands for."""
    return key.pc + 24 + 12 * octave


def values_of(theme: Theme, scene: ThemeScene) -> list[int] | None:
    """The values of a theme's walk, None where it has none (see `canonical`)."""
    found = canonical(theme, scene.meter)
    if found is None:
        return None
    pitches = [n.pitch for n in found.notes]
    middle = min(pitches) + max(pitches)
    octave = min(range(FIELDS[OCTAVE].size), key=lambda k: abs(2 * tonic_pitch(scene.key, k) - middle))
    tonic = tonic_pitch(scene.key, octave)
    upbeat = max(0, -found.notes[0].onset_div // UNIT_DIV)
    values, position = [found.bars - 1, octave, upbeat], -upbeat
    for index, note in enumerate(found.notes):
        onset, duration = note.onset_div // UNIT_DIV, note.duration_div // UNIT_DIV
        if index or not upbeat:
            values.append(onset - position)
        values += [duration - 1, note.pitch - tonic + MIDDLE]
        position = onset + duration
    return values if position == found.bars * scene.bar else [*values, TO_END]


def encode(plan: Plan, letter: str, styles: Sequence[str]) -> Tokens | None:
    """The tokens of a letter's theme, None where the plan has none that tokens can say.

    Raises:
        ValueError: no section has that letter.
    """
    theme = plan.theme_of(letter)
    if theme is None:
        return None
    scene = scene_of(plan, letter, styles)
    values = values_of(theme, scene)
    return None if values is None else written(ThemeWalker(scene), values)


def decode(values: Sequence[int], scene: ThemeScene) -> Theme:
    """The theme of a walk; inverse of `values_of` up to `canonical`.

    Raises:
        ValueError: too few or too many values, or no note among them.
    """
    walker = ThemeWalker(scene)
    for value in values:
        walker.push(value)
    if walker.field is not None:
        raise ValueError(f"a theme's values end before its {FIELDS[walker.field].name}")
    return walker.theme()


@cache
def place_columns(meter: Meter) -> Int64[np.ndarray, "2 units"]:
    """By unit from the longest upbeat on (`units_of_walk`) the column of its place, and its strength 1..5."""
    columns, strengths = [], []
    bar = meter.bar_div // UNIT_DIV
    for unit in range(bar):
        if unit % 6 == 0:
            columns.append(1 + unit // 6)
        elif unit % 4 == 0:
            columns.append(33 + unit // 4)
        else:
            columns.append(81 + unit // 3 % 8 if unit % 3 == 0 else 89)
        strengths.append({1.0: 5, 0.75: 4, 0.5: 3, 0.25: 2}.get(meter.strength(unit * UNIT_DIV), 1))
    return np.array([columns, strengths])[:, np.arange(-MAX_UPBEAT, MAX_BARS * bar + 1) % bar]


def units_of_walk(scene: ThemeScene) -> int:
    """Units from the longest upbeat to the end of the longest theme, that included."""
    return MAX_UPBEAT + MAX_BARS * scene.bar + 1


class ThemeWalker:
    """Leads through a theme; see `planner.streams.Walker`.

    Public besides: `bars`, `tonic` (pitch of reference), `position` (units from the first downbeat: where the next
    rest or note begins), `duration` of the note whose pitch is asked for, `onsets`, `durations`, `pitches` (values) of
    the notes so far, `end`, and by unit from `-MAX_UPBEAT` on `tones` (bits of the chord, 0 unknown) and `strengths`.
    """

    stream = STREAM

    def __init__(self, scene: ThemeScene) -> None:
        if scene.bar > MAX_BAR:
            raise ValueError(f"themes have no meter {scene.meter}")
        self.scene = scene
        self.field: int | None = BARS
        self.bars = self.end = self.tonic = self.position = self.duration = self.upbeat = 0
        self.onsets: list[int] = []
        self.durations: list[int] = []
        self.pitches: list[int] = []
        self._lowest, self._highest = PITCHES, 0
        self._bar = scene.bar
        units = units_of_walk(scene)
        self._note_at = [-1] * units
        self._gap_at = [0] * units
        self._bar_columns = [0] * units
        self._cadence = 0
        self._close = units

    @cached_property
    def strengths(self) -> tuple[int, ...]:
        """Strength of each unit from the longest upbeat on, 1..5."""
        return tuple(place_columns(self.scene.meter)[1].tolist())

    @cached_property
    def tones(self) -> tuple[int, ...]:
        """Bits of the chord at each unit from the longest upbeat on, 0 unknown."""
        return self._chord_columns[2]

    @cached_property
    def _places(self) -> tuple[int, ...]:
        return tuple(place_columns(self.scene.meter)[0].tolist())

    @cached_property
    def _chord_columns(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(row) for row in chord_columns(self.scene).tolist())

    @cached_property
    def _chords(self) -> tuple[int, ...]:
        return self._chord_columns[0]

    @cached_property
    def _next(self) -> tuple[int, ...]:
        return self._chord_columns[1]

    @cached_property
    def _fixed(self) -> tuple[int, ...]:
        return fixed_columns(self.scene)

    def columns(self) -> list[int]:
        """What is known here; see `COLUMNS`."""
        field = self.field
        if field is None or field <= UPBEAT:
            return [*self._fixed, self._head_bar(), 0, 0, self._chords[MAX_UPBEAT], self._next[MAX_UPBEAT], *_NO_NOTES]
        at = self.position + MAX_UPBEAT
        found = [
            *self._fixed,
            self._bar_columns[at],
            self._places[at],
            self._cadence if at >= self._close else 0,
            self._chords[at],
            self._next[at],
        ]
        pitches, durations = self.pitches, self.durations
        tone = 3 * self.strengths[at] - 2
        if pitches:
            last = pitches[-1]
            tones = self.tones[at]
            if tones:
                tone += 1 + (tones >> (last - MIDDLE) % 12 & 1)
            found += (
                last + 1,
                pitches[-2] + 1 if len(pitches) > 1 else 0,
                durations[-1],
                durations[-2] if len(durations) > 1 else 0,
                tone,
                1 + REACH[self._highest - last] * 6 + REACH[last - self._lowest],
            )
        else:
            last = -1
            found += (0, 0, 0, 0, tone, 0)
        bar = self._bar
        back = at - bar
        if back < 0:
            found += (0, 0, 0, 0, 0, 0)
            return found
        note = self._note_at[back]
        gap = self._gap_at[back] if field == GAP else 0
        if note >= 0:
            pitch = pitches[note]
            moved = last + pitch - pitches[note - 1] if note and last >= 0 else -1
            found += (gap, durations[note], pitch + 1, moved + 1 if 0 <= moved < PITCHES else 0)
        else:
            found += (gap, 0, 0, 0)
        note = self._note_at[back - bar] if back >= bar else -1
        found += (durations[note], pitches[note] + 1) if note >= 0 else (0, 0)
        return found

    def push(self, value: int) -> None:
        """Takes the value asked for.

        What runs over the theme's end is cut there.

        Raises:
            ValueError: no value is asked for, or it is not one of the field's.
        """
        field = self.field
        if field is None:
            raise ValueError("the theme has ended")
        if not 0 <= value < FIELDS[field].size:
            raise ValueError(f"a theme has no {FIELDS[field].name} {value}")
        if field == PITCH:
            self._push_pitch(value)
        elif field == DURATION:
            self.duration = min(value + 1, self.end - self.position)
            self.field = PITCH
        elif field == GAP:
            self._gap_at[self.position + MAX_UPBEAT] = value + 1
            if value == TO_END or self.position + value >= self.end:
                self.field = None
            else:
                self.position += value
                self.field = DURATION
        else:
            self._push_head(field, value)

    def _push_pitch(self, value: int) -> None:
        self._note_at[self.position + MAX_UPBEAT] = len(self.pitches)
        self.onsets.append(self.position)
        self.durations.append(self.duration)
        self.pitches.append(value)
        self._lowest, self._highest = min(self._lowest, value), max(self._highest, value)
        self.position += self.duration
        self.field = GAP if self.position < self.end else None

    def _push_head(self, field: int, value: int) -> None:
        if field == BARS:
            self.bars, self.end = value + 1, (value + 1) * self._bar
            base = 1 + 5 * value
            self._bar_columns = [base] * MAX_UPBEAT
            for bar in range(1, self.bars + 1):
                self._bar_columns += [base + bar] * self._bar
            self._cadence = cadence_column(self.scene, self.bars)
            self._close = MAX_UPBEAT + self.end - 2 * self._bar
            self.field = OCTAVE
        elif field == OCTAVE:
            self.tonic = tonic_pitch(self.scene.key, value)
            self.field = UPBEAT
        else:
            self.upbeat = value
            self.position = -value
            self.field = DURATION if value else GAP

    def _head_bar(self) -> int:
        """At the head the bar column tells the first phrase's length, then the theme's."""
        if self.field != BARS:
            return 1 + 5 * (self.bars - 1)
        return first_phrase_column(self.scene)

    def lead_to_end(self, values: Sequence[int], notes: Sequence[Sequence[int]]) -> None:
        """As if these values had been pushed, all that a theme has.

        Args:
            values: of the head at least.
            notes: onsets, durations and pitches (values) that the values say.
        """
        for value in values[: UPBEAT + 1]:
            self.push(value)
        self.onsets, self.durations, self.pitches = (list(row) for row in notes)
        self.position = self.onsets[-1] + self.durations[-1] if self.onsets else self.position
        self.field = None

    def theme(self) -> Theme:
        """The theme so far.

        Raises:
            ValueError: it has no note.
        """
        if not self.pitches:
            raise ValueError(f"theme {self.scene.label} has no note")
        notes = tuple(
            PlanNote(onset * UNIT_DIV, duration * UNIT_DIV, self.pitch_of(value))
            for onset, duration, value in zip(self.onsets, self.durations, self.pitches, strict=True)
        )
        return Theme(self.scene.label, self.bars, self.scene.key, notes)

    def pitch_of(self, value: int) -> int:
        """The MIDI pitch of a value of the pitch field, moved by octaves into MIDI's range where it is outside."""
        pitch = self.tonic + value - MIDDLE
        return pitch + 12 if pitch < 0 else pitch - 12 * max(0, (pitch - 116) // 12)


def fixed_columns(scene: ThemeScene) -> tuple[int, ...]:
    """The columns that stay the same all along."""
    upbeat = 0 if not scene.pickup else 1 + (scene.pickup > 12) + (scene.pickup > 24)
    first = 0
    if scene.first is not None:
        length, pitch = scene.first
        first = 1 + bisect_right(_FIRST_LENGTHS, length) * 5 + bisect_right(_FIRST_PITCHES, pitch)
    return (
        scene.style if scene.style <= STYLES else 0,
        scene.ensemble,
        meter_class(scene.meter),
        1 + scene.key.minor + 2 * (not scene.home),
        1 + min(scene.number, _LETTERS - 1) * _UPBEATS + upbeat,
        1 + bisect_right(_TEMPOS, scene.tempo_qpm),
        0 if scene.density is None else 1 + bisect_right(_DENSITIES, scene.density),
        0 if scene.register is None else 1 + bisect_right(_REGISTERS, scene.register),
        first,
    )


def cadence_column(scene: ThemeScene, bars: int) -> int:
    """The column of the cadence that closes a theme of so many bars."""
    closing = scene.closes(bars)
    return 1 if closing is None else 2 + CADENCES.index(closing)


def first_phrase_column(scene: ThemeScene) -> int:
    """The column of the first phrase's length, before the theme's is known."""
    return 20 + min(5, scene.phrases[0][0]) if scene.phrases else 0


@lru_cache(maxsize=64)
def chord_columns(scene: ThemeScene) -> Int64[np.ndarray, "3 units"]:
    """By unit from the longest upbeat on: chord and next chord as columns, the chord's pitch classes as bits."""
    units = units_of_walk(scene)
    found = np.zeros((3, units), dtype=np.int64)
    chords, tones = scene.chords, symbol_tones()
    if chords:
        found[1, :MAX_UPBEAT] = chords[0][1] + 1
    at = MAX_UPBEAT
    for index, (onset, symbol) in enumerate(chords):
        last = index + 1 == len(chords)
        stop = scene.bars * scene.bar if last else chords[index + 1][0]
        length = min(stop, units) - onset
        if length > 0:
            after = 0 if last else chords[index + 1][1] + 1
            found[:, at : at + length] = [[symbol + 1], [after], [tones[symbol]]]
            at += length
    return found
