"""The chords of a section as a stream of tokens: symbol and duration, chord by chord.

Beside each token stands what a musician looks at when he harmonises: where in the form, the phrase and the bar it is,
the cadence that the phrase must reach and how far it is, what sounded last, and the chord at the same place of the
passage that returns (the section that this one returns to, or a phrase of the section with the same idea).

Chords lie on the grid of `planner.harmony_symbols`. No token crosses a phrase's border; equal neighbours are joined
when tokens become chords.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

from music.analysis.cadence import classify_cadence
from music.pitch import Key
from music.plan import CADENCES, ENSEMBLES, Chord, Phrase, Plan, Section
from music.time import Meter
from planner.harmony_symbols import (
    MAX_UNITS,
    SYMBOLS,
    Placed,
    chords_of,
    in_mode,
    merged,
    placed_chords,
    symbol_of,
    unit_of,
)
from planner.streams import Column, Field, Stream, Tokens, bucket, written

MAX_STYLES = 96
METERS = (
    "4/4", "3/4", "2/4", "6/8", "3/8", "2/2", "6/4", "9/8", "12/8", "4/8", "3/2", "2/8", "8/4", "5/4", "5/8", "4/2",
)  # fmt: skip
POSITIONS = 32  # units of a bar that are told apart
_BARS_LEFT = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
_DENSITIES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
_VARIATIONS = (1e-9, 0.15, 0.3, 0.5)
_IDEAS = 5
_TOLD_LATE = ("satb",)  # see `HarmonyScene.told_late`; chords of quartets and piano pieces are as near either way

STREAM = Stream(
    name="harmony",
    columns=(
        Column("style", 1 + MAX_STYLES),
        Column("ensemble", 1 + len(ENSEMBLES)),
        Column("meter", 2 + len(METERS)),
        Column("mode", 3),
        Column("relation", 1 + 12 * 4),  # key above the home key, the modes of both
        Column("section", 5),  # the only, first, a middle, the last one
        Column("return", 2 + 2 * 6),  # new; or back, literal or with primes, and how much is varied
        Column("density", 2 + len(_DENSITIES)),
        Column("idea", 1 + 3 * _IDEAS),  # letter of the phrase, and whether it is new, back, or back with primes
        Column("phrase", 5),  # the only, first, a middle, the last one
        Column("cadence", 2 + len(CADENCES)),
        Column("left", 2 + MAX_UNITS),  # units left of the phrase
        Column("bar_left", 1 + POSITIONS),  # units left of the bar
        Column("bars_left", 2 + len(_BARS_LEFT)),  # of the section
        Column("bar", 10),  # of the phrase
        Column("place", 1 + (1 + len(METERS)) * POSITIONS),  # meter and unit of the bar
        Column("chords", 9),  # so far in the phrase
        Column("previous", 1 + SYMBOLS),
        Column("before", 1 + SYMBOLS),
        Column("previous_duration", 1 + MAX_UNITS),
        Column("before_duration", 1 + MAX_UNITS),
        Column("model_kind", 5),  # a section or a phrase that returns; at the beginning or amid a chord of it
        Column("model", 1 + SYMBOLS),
        Column("model_next", 1 + SYMBOLS),
        Column("model_left", 1 + MAX_UNITS),  # units left of the model's chord
        Column("chosen", 1 + SYMBOLS),  # the symbol whose duration is asked for
    ),
    fields=(
        Field("symbol", SYMBOLS, ("model", "model_next", "before", "previous")),
        Field("duration", MAX_UNITS, ("model_left", "previous_duration", "before_duration", "left", "bar_left")),
    ),
)
SYMBOL, DURATION = 0, 1


@dataclass(frozen=True)
class HarmonyScene:
    """What is known of a section before its chords.

    Args:
        style: 1 + index of the style tag, 0 unknown.
        ensemble: 1 + index in `music.plan.ENSEMBLES`, 0 unknown.
        meter: of the plan.
        key: of the section.
        home: of the plan.
        phrases: of the section.
        label: letter and primes.
        number, count: index of the section, and how many the plan has.
        returns: whether it returns to an earlier one.
        variation: how much a return is varied, or None.
        density: onsets a quarter note, or None.
        model: chords of what it returns to, in this section's mode, or none.
        previous: 1 + symbol in this section's key of what sounds just before it, 0 for none.
        known_phrases, known_cadences: False where nobody wrote them down: columns that tell of them are 0.
        unmade: phrases whose chords do not make their cadence (training only): their column is 0 too.
        told_late: that column is 0 but in a phrase's last bar (sampling): only half of people's phrases make their
            cadence in the section's key at the bar line, and the others, of which the network was told none, are those
            that pass through other keys. What is told from the start never leaves the key.
    """

    style: int
    ensemble: int
    meter: Meter
    key: Key
    home: Key
    phrases: tuple[Phrase, ...]
    label: str = "A"
    number: int = 0
    count: int = 1
    returns: bool = False
    variation: float | None = None
    density: float | None = None
    model: tuple[Placed, ...] = ()
    previous: int = 0
    known_phrases: bool = True
    known_cadences: bool = True
    unmade: frozenset[int] = frozenset()
    told_late: bool = False

    @cached_property
    def unit(self) -> int:
        """Divisions of a unit."""
        return unit_of(self.meter)

    @cached_property
    def bar_units(self) -> int:
        """Units of a bar."""
        return self.meter.bar_div // self.unit

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Unit at which each phrase ends; the last one is the section's end."""
        if not self.known_phrases:
            return (sum(phrase.bars for phrase in self.phrases) * self.bar_units,)
        return tuple(accumulate(phrase.bars * self.bar_units for phrase in self.phrases))

    @cached_property
    def cadences(self) -> tuple[str | None, ...]:
        """Cadence that each of these phrases must close with; None where it need not, or nobody knows."""
        if not (self.known_phrases and self.known_cadences):
            return (None,) * len(self.ends)
        return tuple(phrase.cadence for phrase in self.phrases)


def scene_of(
    plan: Plan,
    index: int,
    styles: Sequence[str],
    *,
    known_phrases: bool = True,
    known_cadences: bool = True,
    given: bool = False,
    sections: Sequence[Section] | None = None,
) -> HarmonyScene:
    """The scene of a plan's section, for chords that are to be drawn.

    Args:
        plan: of which the sections before `index` have their chords where they are known.
        index: of the section.
        styles: all tags that the network knows.
        known_phrases, known_cadences: whether the plan's were written by someone who knew.
        given: its chords are there, to be learned from. sections: in the place of the plan's.
    """
    sections = sections or plan.sections
    section = sections[index]
    source = sections[section.source] if section.source is not None else None
    earlier = sections[index - 1].chords if index else ()
    last = earlier[-1] if earlier else None
    previous = 1 + symbol_of(last.root, last.quality, last.bass, section.key) if last else 0
    tags = list(styles)
    return HarmonyScene(
        style=1 + tags.index(plan.style) if plan.style in tags else 0,
        ensemble=1 + ENSEMBLES.index(plan.ensemble),
        meter=plan.meter,
        key=section.key,
        home=plan.key,
        phrases=section.phrases,
        label=section.label,
        number=index,
        count=len(plan.sections),
        returns=source is not None,
        variation=section.variation,
        density=section.density,
        model=_model(source, section.key.minor, unit_of(plan.meter)) if source else (),
        previous=previous,
        known_phrases=known_phrases,
        known_cadences=known_cadences,
        told_late=not given and plan.ensemble in _TOLD_LATE,
    )


def _model(source: Section, minor: bool, unit: int) -> tuple[Placed, ...]:
    placed = placed_chords(source.chords, source.key, unit)
    moved = ((onset, length, in_mode(symbol, source.key.minor, minor)) for onset, length, symbol in placed)
    return tuple(merged(moved))


class HarmonyWalker:
    """Leads through a section's chords; see `planner.streams.Walker`.

    Args:
        scene: the section.

    Attributes:
        onset_unit: where the next token begins, in units from the section's start.
        phrase: index of the phrase that it lies in.
        phrase_start_unit, phrase_end_unit: of that phrase.
        symbol: what was chosen where a duration is asked for, else None.
        tokens: (onset, duration, symbol) of what is complete.
        first_token: index in `tokens` of the phrase's first one.
    """

    __slots__ = (
        "_fixed", "_here", "_idea", "_model_at", "_own_at", "_phrase_row",
        "first_token", "onset_unit", "phrase", "phrase_end_unit", "phrase_start_unit",
        "scene", "stream", "symbol", "tokens",
    )  # fmt: skip

    def __init__(self, scene: HarmonyScene) -> None:
        self.stream = STREAM
        self.scene = scene
        self.onset_unit = 0
        self.symbol: int | None = None
        self.tokens: list[Placed] = []
        self._fixed = _section_row(scene)
        self._model_at = _at_units(scene.model)
        self._own_at: list[int] = []
        self._here: list[int] | None = None
        self._begin_phrase(0)

    @property
    def field(self) -> int | None:
        """Index of the field that is asked for, or None at the end."""
        if self.onset_unit >= self.scene.ends[-1]:
            return None
        return SYMBOL if self.symbol is None else DURATION

    @property
    def previous(self) -> int | None:
        """Symbol of the last complete token of this phrase, None at its beginning."""
        return self.tokens[-1][2] if len(self.tokens) > self.first_token else None

    def _begin_phrase(self, index: int) -> None:
        scene = self.scene
        self.phrase = index
        self.phrase_start_unit = scene.ends[index - 1] if index else 0
        self.phrase_end_unit = scene.ends[index]
        self.first_token = len(self.tokens)
        self._idea = (0, 0)
        self._phrase_row = [0, 0, 0]
        if scene.known_phrases:
            self._phrase_row = [
                _idea_column(scene, index),
                _place(index, len(scene.ends)),
                _cadence_column(scene, index),
            ]
            self._idea = self._earlier(index)

    def _earlier(self, index: int) -> tuple[int, int]:
        """How far back the last phrase of the same idea lies, and the unit of this one where it would end."""
        scene = self.scene
        letter = scene.phrases[index].idea[0]
        for other in range(index - 1, -1, -1):
            if scene.phrases[other].idea[0] == letter:
                start = scene.ends[other - 1] if other else 0
                return self.phrase_start_unit - start, self.phrase_start_unit + scene.ends[other] - start
        return 0, 0

    def _model_row(self) -> list[int]:
        """Kind of model, its symbol here, its next one, and how long it lasts on: columns."""
        onset = self.onset_unit
        delta, end = self._idea
        if onset < len(self._model_at):
            pieces, index, place, kind = self.scene.model, self._model_at[onset], onset, 1
        elif onset < end:
            pieces, index, place, kind = self.tokens, self._own_at[onset - delta], onset - delta, 3
        else:
            return [0, 0, 0, 0]
        start, length, symbol = pieces[index]
        following = pieces[index + 1][2] + 1 if index + 1 < len(pieces) else 0
        left = min(start + length - place, self.phrase_end_unit - onset, MAX_UNITS)
        return [kind + (start != place), symbol + 1, following, left]

    def _place_row(self) -> list[int]:
        """All columns of this place but the symbol that was chosen."""
        scene, onset, tokens = self.scene, self.onset_unit, self.tokens
        bar_units = scene.bar_units
        bar, unit = divmod(onset, bar_units)
        left = self.phrase_end_unit - onset
        known = scene.known_phrases
        phrase_row = self._phrase_row
        if scene.told_late and left > bar_units:
            phrase_row = [*phrase_row[:2], 0]
        place = unit if unit < POSITIONS else POSITIONS - 1
        to_bar = bar_units - unit
        count = len(tokens)
        bars = _BARS_COLUMN[min(scene.ends[-1] // bar_units - bar, _BARS_LEFT[-1])]
        if count > 1:
            last, before = tokens[-1], tokens[-2]
            past = [last[2] + 1, before[2] + 1, last[1], before[1]]
        elif count:
            past = [tokens[0][2] + 1, scene.previous, tokens[0][1], 0]
        else:
            past = [scene.previous, 0, 0, 0]
        return [
            *self._fixed,
            *phrase_row,
            (left if left <= MAX_UNITS else MAX_UNITS + 1) if known else 0,
            to_bar if to_bar <= POSITIONS else POSITIONS,
            bars,
            min(bar - self.phrase_start_unit // bar_units, 8) + 1 if known else 0,
            1 + (self._fixed[2] - 1) * POSITIONS + place,
            min(count - self.first_token, 7) + 1,
            *past,
            *self._model_row(),
            0,
        ]

    def columns(self) -> list[int]:
        """What is known here, one value for each of the stream's columns."""
        if self._here is None:
            self._here = self._place_row()
        if self.symbol is None:
            return self._here
        row = self._here.copy()
        row[-1] = self.symbol + 1
        return row

    def push(self, value: int) -> None:
        """Takes the value asked for.

        Raises:
            ValueError: an unknown symbol or duration, or a duration that leaves the phrase.
        """
        if value < 0:
            raise ValueError("a section's chords are all known or none is")
        if self.symbol is None:
            self.columns()
            self.symbol = value
            return
        end = self.onset_unit + value + 1
        if end > self.phrase_end_unit:
            raise ValueError(f"a chord of {value + 1} units leaves its phrase")
        self._own_at += [len(self.tokens)] * (value + 1)
        self.tokens.append((self.onset_unit, value + 1, self.symbol))
        self.onset_unit = end
        self.symbol = None
        self._here = None
        if end == self.phrase_end_unit and end < self.scene.ends[-1]:
            self._begin_phrase(self.phrase + 1)


_BARS_COLUMN = [bucket(count, _BARS_LEFT) for count in range(_BARS_LEFT[-1] + 1)]


def _at_units(pieces: Sequence[Placed]) -> list[int]:
    """Index of the piece that sounds at each unit."""
    found: list[int] = []
    for index, (_, length, _) in enumerate(pieces):
        found += [index] * length
    return found


def meter_class(meter: Meter) -> int:
    """Column value of a meter: one for each of `METERS`, one for all others."""
    name = str(meter)
    return 1 + METERS.index(name) if name in METERS else 1 + len(METERS)


def _place(index: int, count: int) -> int:
    """Column value of a place in a row: 1 the only, 2 first, 3 middle, 4 last."""
    return 1 if count == 1 else 2 if index == 0 else 4 if index == count - 1 else 3


def _section_row(scene: HarmonyScene) -> list[int]:
    distance = (scene.key.pc - scene.home.pc) % 12
    return [
        scene.style,
        scene.ensemble,
        meter_class(scene.meter),
        2 if scene.key.minor else 1,
        1 + distance * 4 + 2 * scene.key.minor + scene.home.minor,
        _place(scene.number, scene.count),
        _return_column(scene),
        0 if scene.density is None else 1 + sum(scene.density >= bound for bound in _DENSITIES),
    ]


def _return_column(scene: HarmonyScene) -> int:
    if not scene.returns:
        return 1
    varied = 0 if scene.variation is None else 1 + sum(scene.variation >= bound for bound in _VARIATIONS)
    return 2 + 6 * ("'" in scene.label) + varied


def _idea_column(scene: HarmonyScene, index: int) -> int:
    idea = scene.phrases[index].idea
    letter = min(ord(idea[0]) - ord("a"), _IDEAS - 1)
    heard = any(phrase.idea[0] == idea[0] for phrase in scene.phrases[:index])
    return 1 + letter * 3 + (0 if not heard else 2 if "'" in idea else 1)


def _cadence_column(scene: HarmonyScene, index: int) -> int:
    if not scene.known_cadences or index in scene.unmade:
        return 0
    cadence = scene.phrases[index].cadence
    return 1 if cadence is None else 2 + CADENCES.index(cadence)


def values_of(pieces: Sequence[Placed], ends: Sequence[int]) -> list[int]:
    """Values of the stream for chords of a section: cut at phrase borders, and where longer than `MAX_UNITS`.

    Args:
        pieces: gapless from 0 to the last of `ends`.
        ends: unit at which each phrase ends.
    """
    values: list[int] = []
    phrase = 0
    for onset, duration, symbol in pieces:
        start, end = onset, onset + duration
        while start < end:
            while ends[phrase] <= start:
                phrase += 1
            length = min(end - start, ends[phrase] - start, MAX_UNITS)
            values += [symbol, length - 1]
            start += length
    return values


def encode(
    plan: Plan,
    index: int,
    styles: Sequence[str],
    *,
    known_phrases: bool = True,
    known_cadences: bool = True,
    only_made: bool = True,
) -> Tokens | None:
    """The tokens of a section's chords, or None where it has no chords.

    Args:
        plan, index: the section.
        styles: all tags that the network knows.
        known_phrases, known_cadences: see `scene_of`.
        only_made: take a cadence for unknown where the chords up to the phrase's bar line do not make it in the
            section's key. In real plans half of them do not: the phrase closes in a key that it passes through, or
            ends before an upbeat; a planner's phrases shall close as they say.
    """
    section = plan.sections[index]
    if not section.chords:
        return None
    scene = scene_of(plan, index, styles, known_phrases=known_phrases, known_cadences=known_cadences, given=True)
    pieces = placed_chords(section.chords, section.key, scene.unit)
    if only_made:
        scene = replace(scene, unmade=_unmade(scene, pieces))
    return written(HarmonyWalker(scene), values_of(pieces, scene.ends))


def _unmade(scene: HarmonyScene, pieces: Sequence[Placed]) -> frozenset[int]:
    """Phrases whose chords do not make their cadence, whatever the melody."""
    chords = chords_of(pieces, scene.key, 1)
    found: set[int] = set()
    start = 0
    for index, (end, cadence) in enumerate(zip(scene.ends, scene.cadences, strict=True)):
        inside = [c for c in chords if c.onset_div < end and c.onset_div + c.duration_div > start]
        if cadence is not None:
            made = {classify_cadence(inside, scene.key, melody) for melody in (scene.key.pc, None)}
            if cadence not in made:
                found.add(index)
        start = end
    return frozenset(found)


def decode(values: Sequence[int], scene: HarmonyScene, *, split_phrases: bool = False) -> tuple[Chord, ...]:
    """The chords of a walk's values, with figures; equal neighbours are joined.

    Args:
        values: symbol and duration in turn, the whole section.
        scene: of the section.
        split_phrases: keep a chord that lasts on over a phrase's border as two.

    Raises:
        ValueError: values that do not fill the section.
    """
    pieces: list[Placed] = []
    onset = 0
    for symbol, duration in zip(values[::2], values[1::2], strict=True):
        pieces.append((onset, int(duration) + 1, int(symbol)))
        onset += int(duration) + 1
    if onset != scene.ends[-1]:
        raise ValueError(f"chords of {onset} units do not fill the section's {scene.ends[-1]}")
    return chords_of(merged(pieces, frozenset(scene.ends) if split_phrases else frozenset()), scene.key, scene.unit)
