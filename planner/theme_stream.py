"""Themes as streams of tokens: how long, how high, how early, and then note by note rest, duration and pitch.

The clock counts 24 units a quarter, which hold thirty-seconds and triplets. Pitches are semitones from the tonic that
lies nearest to the middle of the theme's range, so that a tune is the same tune in any key and octave. Beside each
token stands what a singer would look at: place in the bar, chord now and next, the notes before, and the notes one and
two bars ago at the same place (as they were, and moved along with the line), which is where motives come from.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache

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
_REACH = tuple(bisect_right(_REACHES, size) for size in range(PITCHES))
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
def _places(meter: Meter) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """For each unit of a bar the column of its place, and its strength 1..5."""
    columns, strengths = [], []
    for unit in range(meter.bar_div // UNIT_DIV):
        if unit % 6 == 0:
            columns.append(1 + unit // 6)
        elif unit % 4 == 0:
            columns.append(33 + unit // 4)
        else:
            columns.append(81 + unit // 3 % 8 if unit % 3 == 0 else 89)
        strengths.append({1.0: 5, 0.75: 4, 0.5: 3, 0.25: 2}.get(meter.strength(unit * UNIT_DIV), 1))
    return tuple(columns), tuple(strengths)


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
        units = MAX_UPBEAT + MAX_BARS * self._bar + 1
        places, strengths = _places(scene.meter)
        turn = MAX_UPBEAT % self._bar
        shift, copies = (self._bar - turn) % self._bar, units // self._bar + 2
        self._places = (places * copies)[shift : shift + units]
        self.strengths = (strengths * copies)[shift : shift + units]
        self._chords, self._next, self.tones = _chord_columns(scene.chords, scene.bars * scene.bar, units)
        self._note_at = [-1] * units
        self._gap_at = [0] * units
        self._fixed = _fixed(scene)
        self._bar_columns = [0] * units
        self._cadence = 0
        self._close = units

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
                1 + _REACH[self._highest - last] * 6 + _REACH[last - self._lowest],
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
            closing = self.scene.closes(self.bars)
            self._cadence = 1 if closing is None else 2 + CADENCES.index(closing)
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
        return 20 + min(5, self.scene.phrases[0][0]) if self.scene.phrases else 0

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


def _fixed(scene: ThemeScene) -> tuple[int, ...]:
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


@lru_cache(maxsize=64)
def _chord_columns(
    chords: tuple[tuple[int, int], ...], end: int, units: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """By unit from the longest upbeat on: chord and next chord as columns, the chord's pitch classes as bits.

    Args:
        chords: as in `ThemeScene`.
        end: of the last one, in units.
        units: how many are told.
    """
    if not chords:
        return (0,) * units, (0,) * units, (0,) * units
    now, following, bits = [0] * MAX_UPBEAT, [chords[0][1] + 1] * MAX_UPBEAT, [0] * MAX_UPBEAT
    tones = symbol_tones()
    for index, (onset, symbol) in enumerate(chords):
        stop, after = (chords[index + 1][0], chords[index + 1][1] + 1) if index + 1 < len(chords) else (end, 0)
        length = min(stop, units) - onset
        if length <= 0:
            continue
        now += [symbol + 1] * length
        following += [after] * length
        bits += [tones[symbol]] * length
    missing = [0] * max(0, units - len(now))
    return tuple((now + missing)[:units]), tuple((following + missing)[:units]), tuple((bits + missing)[:units])
