"""The walker of the stream "form": leads through the head and the sections of a plan, in training and in sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from music.plan import MAX_BARS
from planner import form_columns as fc
from planner.streams import UNKNOWN, Stream, bucket


@dataclass(slots=True)
class Drawn:
    """A section as the walker knows it: letter by number, all else as values of its fields.

    `phrases` holds [first bar, bars, idea, cadence] each, `source` the index of the section that it returns to, or -1.
    """

    letter: int
    prime: int = 0
    bars: int = 0
    key: int = UNKNOWN
    phrases: list[list[int]] = field(default_factory=list)
    density: int = UNKNOWN
    register: int = UNKNOWN
    dynamic: int = UNKNOWN
    variation: int = UNKNOWN
    source: int = -1

    @property
    def cadence(self) -> int:
        """Value of the cadence that it closes with."""
        return self.phrases[-1][3] if self.phrases else UNKNOWN


def _table(bounds: Sequence[int]) -> list[int]:
    return [bucket(value, bounds) for value in range(MAX_BARS + 1)]


_SECTIONS, _BARS = _table(fc.SECTION_BOUNDS), _table(fc.BAR_BOUNDS)
_BARS_LEFT, _SECTIONS_LEFT = _table(fc.BARS_LEFT_BOUNDS), _table(fc.SECTIONS_LEFT_BOUNDS)
_C = fc.STREAM.column
_LETTER, _LETTER_PRIME, _HEARD, _FOLLOWED = (_C[n] for n in ("letter", "letter_prime", "heard", "followed"))
_N_SECTIONS, _N_BARS, _LEFT, _SECTIONS_TO_GO = (_C[n] for n in ("sections", "bars", "bars_left", "sections_left"))
_MODEL_BARS, _LAST_BARS, _MODEL_KEY, _LAST_KEY = (_C[n] for n in ("model_bars", "last_bars", "model_key", "last_key"))
_MODEL_PHRASE, _LAST_PHRASE, _MODEL_IDEA, _LAST_IDEA = (
    _C[n] for n in ("model_phrase", "last_phrase", "model_idea", "last_idea")
)
_MODEL_CADENCE, _LAST_CADENCE, _ROOM = (_C[n] for n in ("model_cadence", "last_cadence", "room"))
_DENSITY, _REGISTER, _DYNAMIC = (_C[n] for n in ("near_density", "near_register", "near_dynamic"))
_NO_PHRASE = [0, 0, UNKNOWN, UNKNOWN]


class FormWalker:
    """Leads through the head and the sections of a plan.

    Args:
        style: column value, 1 + its index; 0 for an unknown one.
        ensemble: column value, 1 + its index; 0 for an unknown one.
        bars_total, sections_total: what the plan will have, where that is told; the columns count down from them.

    Attributes:
        field: index of the field that is asked for, None at the end.
        head: values of meter, minor, tonic, tempo and pickup, as far as they are known.
        sections: those begun.
        bars: of all sections begun.
        part: bars of the section or phrase in progress that earlier tokens of it told.
        room: bars of the latest section that no phrase fills as yet.
        letters: how many letters were heard.
    """

    stream: Stream = fc.STREAM

    def __init__(
        self, style: int, ensemble: int, *, bars_total: int | None = None, sections_total: int | None = None
    ) -> None:
        self.style, self.ensemble = style, ensemble
        self.bars_total, self.sections_total = bars_total, sections_total
        self.field: int | None = fc.METER
        self.head = [UNKNOWN] * 5
        self.sections: list[Drawn] = []
        self.bars = self.part = self.room = self.letters = 0
        self._pointer = -1  # the earlier section that the latest one stands for, to guess what comes next
        self._model: Drawn | None = None
        self._at: dict[int, int] = {}  # first bar -> number, of the model's phrases
        self._twin = _NO_PHRASE  # the model's phrase at this bar
        self._row = [0] * len(fc.COLUMNS)
        self._row[_C["style"]], self._row[_C["ensemble"]] = style, ensemble
        self._row[_N_SECTIONS] = self._row[_N_BARS] = 1
        self._totals()

    def columns(self) -> list[int]:
        """What is known here, one value for each column."""
        return self._row.copy()

    def push(self, value: int) -> None:
        """Takes the value asked for and goes on to the next place.

        Raises:
            ValueError: at the end, or a value that cannot stand here: a return to a letter that was not heard, a
                27th letter, a phrase longer than its section.
        """
        if self.field is None:
            raise ValueError("the form is at its end")
        _PUSH[self.field](self, value)

    # The head.

    def _push_head(self, value: int) -> None:
        place = self.field or 0
        self.head[place] = value
        if place in (fc.METER, fc.MINOR):
            kind = fc.METER_KINDS[self.head[fc.METER]] if self.head[fc.METER] >= 0 else -1
            self._row[_C["meter_mode"]] = 1 + 3 * kind + 1 + self.head[fc.MINOR] if kind >= 0 else 0
        elif place == fc.TEMPO and value >= 0:
            self._row[_C["tempo"]] = 1 + value // fc.TEMPO_GROUP
        self.field = place + 1

    # A section.

    def _totals(self) -> None:
        if self.bars_total is not None:
            self._row[_LEFT] = _BARS_LEFT[max(0, self.bars_total - self.bars)]
        if self.sections_total is not None:
            self._row[_SECTIONS_TO_GO] = _SECTIONS_LEFT[max(0, self.sections_total - len(self.sections))]

    def _push_label(self, value: int) -> None:
        if value in (fc.END, UNKNOWN):
            self.field = None
            return
        letter = self.letters if value == fc.NEW else value - fc.FIRST_RETURN
        if letter >= fc.LETTERS or (value != fc.NEW and letter >= self.letters):
            raise ValueError(f"no section can have label {value} here")
        row, sections = self._row, self.sections
        earlier = [index for index, section in enumerate(sections) if section.letter == letter]
        self.letters = max(self.letters, letter + 1)
        section = Drawn(letter)
        sections.append(section)
        row[_N_SECTIONS] = _SECTIONS[len(sections)]
        row[_LETTER], row[_HEARD] = 1 + letter, min(fc.MOST_HEARD, 1 + len(earlier))
        row[_LETTER_PRIME] = 1 + sections[earlier[-1]].prime if earlier else 0
        section.source = earlier[0] if earlier else -1
        self._totals()
        self.field = fc.PRIME

    def _push_prime(self, value: int) -> None:
        section, row = self.sections[-1], self._row
        section.prime = max(0, value)
        row[_LETTER_PRIME] = 1 + section.prime
        if section.source >= 0:
            same = (
                index
                for index, other in enumerate(self.sections[:-1])
                if other.letter == section.letter and other.prime == section.prime
            )
            section.source = next(same, section.source)
            model = self._model = self.sections[section.source]
            self._at = {phrase[0]: number for number, phrase in enumerate(model.phrases)}
            row[_MODEL_KEY] = 1 + model.key
        else:
            model = self._model = None
            row[_MODEL_KEY] = 0
        self._follow(section)
        self._look_at_bars()
        self.field = fc.BARS

    def _follow(self, section: Drawn) -> None:
        """Which earlier section this one stands for: the one after the last one's, else the one it returns to."""
        after = self._pointer + 1
        fits = 0 < after < len(self.sections) - 1 and self.sections[after].letter == section.letter
        self._pointer = after if fits else section.source

    def _look_at_bars(self) -> None:
        self._row[_MODEL_BARS] = _rest(self._model.bars - self.part, fc.MAX_SECTION_STEP) if self._model else 0
        if len(self.sections) > 1:
            self._row[_LAST_BARS] = _rest(self.sections[-2].bars - self.part, fc.MAX_SECTION_STEP)

    def _push_bars(self, value: int) -> None:
        section, row = self.sections[-1], self._row
        if value == fc.MAX_SECTION_STEP:
            self.part += value
            self._look_at_bars()
            return
        section.bars = 0 if value == UNKNOWN else self.part + value + 1
        self.part = 0
        self.bars += section.bars
        row[_MODEL_BARS] = 0 if self._model is None else _rest(self._model.bars, fc.MAX_SECTION_STEP)
        row[_LAST_BARS] = _rest(section.bars, fc.MAX_SECTION_STEP)
        row[_N_BARS] = _BARS[min(MAX_BARS, self.bars)]
        self._totals()
        self.field = fc.KEY

    def _push_key(self, value: int) -> None:
        self.sections[-1].key = value
        self._row[_LAST_KEY] = 1 + value
        self.room = self.sections[-1].bars
        self._row[_LAST_IDEA] = 0
        self._next_phrase()

    # Its phrases.

    def _next_phrase(self) -> None:
        section, row = self.sections[-1], self._row
        row[_ROOM] = _rest(self.room, fc.MAX_PHRASE_STEP)
        if not self.room:
            self._after_phrases()
            return
        model, twin = self._model, _NO_PHRASE
        if model is not None:
            number = self._at.get(section.bars - self.room, len(section.phrases))
            twin = model.phrases[number] if number < len(model.phrases) else _NO_PHRASE
        self._twin = twin
        row[_MODEL_IDEA], row[_MODEL_CADENCE] = 1 + twin[2], 1 + twin[3]
        self._look_at_phrases()
        self.field = fc.PHRASE

    def _look_at_phrases(self) -> None:
        phrases = self.sections[-1].phrases
        self._row[_MODEL_PHRASE] = _rest(self._twin[1] - self.part, fc.MAX_PHRASE_STEP)
        self._row[_LAST_PHRASE] = _rest(phrases[-1][1] - self.part, fc.MAX_PHRASE_STEP) if phrases else 0

    def _push_phrase(self, value: int) -> None:
        section = self.sections[-1]
        if value == UNKNOWN:
            self.room = self.part = 0
            self._row[_LAST_CADENCE] = 0
            self._next_phrase()
            return
        more = value == fc.MAX_PHRASE_STEP
        bars = self.part + value + (not more)
        if bars + more > self.room:
            raise ValueError(f"a phrase of {bars} bars or more in a rest of {self.room}")
        if more:
            self.part = bars
            self._look_at_phrases()
            return
        section.phrases.append([section.bars - self.room, bars, UNKNOWN, UNKNOWN])
        self.part = 0
        self.room -= bars
        row = self._row
        row[_LAST_PHRASE] = _rest(bars, fc.MAX_PHRASE_STEP)
        row[_ROOM] = _rest(self.room, fc.MAX_PHRASE_STEP)
        if not self.room and self._model is not None:
            row[_MODEL_CADENCE] = 1 + self._model.cadence  # however its phrases fall: the end answers to the end
        self.field = fc.IDEA

    def _push_idea(self, value: int) -> None:
        self.sections[-1].phrases[-1][2] = value
        self._row[_LAST_IDEA] = 1 + value
        self.field = fc.CADENCE

    def _push_cadence(self, value: int) -> None:
        self.sections[-1].phrases[-1][3] = value
        self._row[_LAST_CADENCE] = 1 + value
        self._next_phrase()

    # Its character.

    def _after_phrases(self) -> None:
        row = self._row
        row[_MODEL_PHRASE] = row[_MODEL_IDEA] = row[_MODEL_CADENCE] = 0
        near = self._model or (self.sections[-2] if len(self.sections) > 1 else None)
        if near is not None:
            row[_DENSITY], row[_REGISTER], row[_DYNAMIC] = 1 + near.density, 1 + near.register, 1 + near.dynamic
        self.field = fc.DENSITY

    def _push_density(self, value: int) -> None:
        self.sections[-1].density = value
        self.field = fc.REGISTER

    def _push_register(self, value: int) -> None:
        self.sections[-1].register = value
        self.field = fc.DYNAMIC

    def _push_dynamic(self, value: int) -> None:
        section = self.sections[-1]
        section.dynamic = value
        if section.source >= 0:
            self.field = fc.VARIATION
        else:
            self._end_section()

    def _push_variation(self, value: int) -> None:
        self.sections[-1].variation = value
        self._end_section()

    def _end_section(self) -> None:
        row = self._row
        row[_MODEL_BARS] = row[_MODEL_KEY] = row[_DENSITY] = row[_REGISTER] = row[_DYNAMIC] = 0
        row[_LAST_IDEA] = row[_LAST_PHRASE] = 0
        after = self._pointer + 1
        known = 0 < after < len(self.sections)
        row[_FOLLOWED] = 1 + fc.FIRST_RETURN + self.sections[after].letter if known else 0
        self.field = fc.LABEL


def _rest(bars: int, step: int) -> int:
    """Column of a number of bars that a field may copy: 1 + its value there, 0 where there are none."""
    return min(max(bars, 0), step + 1)


_PUSH: tuple[Callable[[FormWalker, int], None], ...] = (
    *[FormWalker._push_head] * 5,
    FormWalker._push_label,
    FormWalker._push_prime,
    FormWalker._push_bars,
    FormWalker._push_key,
    FormWalker._push_phrase,
    FormWalker._push_idea,
    FormWalker._push_cadence,
    FormWalker._push_density,
    FormWalker._push_register,
    FormWalker._push_dynamic,
    FormWalker._push_variation,
)
