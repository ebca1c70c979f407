"""Harmonic analyses in RomanText: chords, keys, meters, phrase ends, repeats and the names of parts.

Reads the part of the format that analyses of When in Rome and of music21's corpus use, without music21 (whose parser
takes a second a piece). Variants ("m8var1"), pedals and notes are left out.

Source of the format: D. Tymoczko, M. Gotham, M. S. Cuthbert, C. Ariza, The RomanText format, ISMIR 2019.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

from music.errors import PlanError
from music.harmony import chord_pcs
from music.pitch import MAJOR_SCALE, MINOR_SCALE, NUMERALS, Key
from music.time import Meter

_FIGURE = re.compile(
    r"([b#-]*)([IV]+|[iv]+)(/o|o|ø|°|\+)?(maj|M|d)?((?:[b#]?\d)?(?:/?[b#]?\d+)*)(?:\[[^\]]*\])*((?:/[b#]?[IViv]+[o+]?)*)"
)
_SPECIAL = re.compile(r"(Cad|Ger|It|Fr|N)(6/4|64|\d*(?:/\d)*)(?:\[[^\]]*\])*((?:/[b#]?[IViv]+)*)")
_INVERSION = {"6": 1, "63": 1, "64": 2, "65": 1, "653": 1, "43": 2, "643": 2, "42": 3, "2": 3, "642": 3}
MAX_MEASURE = 5000


@dataclass(frozen=True)
class RomanChord:
    """A chord: `place` in quarters from its measure's first beat; root and bass are pitch classes."""

    place: Fraction
    root: int
    quality: str
    bass: int
    key: Key


@dataclass
class RomanMeasure:
    """A measure.

    Args:
        meter: in force.
        chords: that begin in it, in order.
        ends: places (in quarters) where a phrase ends, the measure's length for its end.
        form: name of the part of the form that begins with it, or "".
        marks: how many of these are phrase marks; the others are repeat signs.
        repeat_starts, repeat_ends: a repeated stretch begins with it or ends in it.
    """

    meter: Meter
    chords: list[RomanChord] = field(default_factory=list)
    ends: list[Fraction] = field(default_factory=list)
    form: str = ""
    marks: int = 0
    repeat_starts: bool = False
    repeat_ends: bool = False


@dataclass(frozen=True)
class RomanAnalysis:
    """An analysis: what its header says, and its measures by number (0 is an upbeat)."""

    head: dict[str, str]
    measures: dict[int, RomanMeasure]
    skipped: int  # figures that cannot be read


def _tonicised(path: str, key: Key) -> Key:
    """The key that "/V/ii" stands in: the last degree is of the key itself."""
    for target in reversed([t for t in path.split("/") if t]):
        key = key.relative(target.rstrip("o+"))
    return key


def read_figure(text: str, key: Key) -> tuple[int, str, int]:
    """(root, quality, bass) of a RomanText figure in a key.

    Sevenths are those of the key's scale where the figure does not say; vi and vii are raised in minor, VI and VII are
    not. Augmented sixths are given as the seventh chord on the lowered sixth degree that they sound like, ninths as
    sevenths.

    Raises:
        ValueError: not a figure that is known here.
    """
    special = _SPECIAL.fullmatch(text)
    if special:
        local = _tonicised(special[3], key)
        if special[1] == "Cad":
            return local.pc, "min" if local.minor else "maj", (local.pc + 7) % 12
        if special[1] == "N":
            root = (local.pc + 1) % 12
            return root, "maj", (root + (4 if special[2] == "6" else 0)) % 12
        return (local.pc + 8) % 12, "7", (local.pc + 8) % 12
    found = _FIGURE.fullmatch(text)
    if found is None or found[2].upper() not in NUMERALS:
        raise ValueError(f"figure {text!r} is not known")
    local = _tonicised(found[6], key)
    root = _root(found[1], found[2], local)
    digits = re.sub(r"[b#]\d|/", "", found[5])
    digits = digits or ("7" if "9" in found[5] else "")
    quality = _quality(found[2], found[3] or "", found[4] or "", digits, (root - local.pc) % 12, local)
    tones = chord_pcs(root, quality)
    return root, quality, tones[min(_INVERSION.get(digits, 0), len(tones) - 1)]


def _root(sign: str, numeral: str, key: Key) -> int:
    degree = NUMERALS.index(numeral.upper())
    interval = (MINOR_SCALE if key.minor else MAJOR_SCALE)[degree]
    alter = sign.count("#") - sign.count("b") - sign.count("-")
    if key.minor and degree in (5, 6):
        # A sign on a degree that has two forms in minor names the form.
        raised = numeral.islower() and alter >= 0
        alter = 1 if raised or alter > 0 else min(0, alter + 1)
    return (key.pc + interval + alter) % 12


def _quality(numeral: str, sign: str, word: str, digits: str, interval: int, key: Key) -> str:
    seventh = bool(re.search(r"7|9|65|43|42", digits)) or digits == "2"
    upper = numeral.isupper()
    if sign in ("/o", "ø"):
        return "hdim7"
    if sign in ("o", "°"):
        return "dim7" if seventh else "dim"
    if sign == "+":
        return "aug"
    if not seventh:
        return "maj" if upper else "min"
    if word in ("maj", "M"):
        return "maj7" if upper else "min"
    if not upper:
        return "min7"
    if word == "d":
        return "7"
    scale = MINOR_SCALE if key.minor else MAJOR_SCALE
    return "maj7" if (interval + 11) % 12 in scale and (interval + 10) % 12 not in scale else "7"


def _key(name: str) -> Key:
    """A key; one of more than seven sharps or flats by its other name."""
    try:
        return Key.parse(name)
    except ValueError:
        pc = Key.parse(name[0].upper()).pc + name.count("#") - name[1:].count("b")
        return Key.of_pc(pc, name[0].islower())


def _meter(text: str) -> Meter:
    word = text.split()[-1].strip("?") if text.split() else ""
    word = {"Cut": "C|", "cut": "C|"}.get(word, word)
    try:
        return Meter.parse(word)
    except ValueError as error:
        raise PlanError(str(error)) from None


class _Reader:
    def __init__(self) -> None:
        self.head: dict[str, str] = {}
        self.measures: dict[int, RomanMeasure] = {}
        self.meter: Meter | None = None
        self.key: Key | None = None
        self.form = ""
        self.skipped = 0
        self.beats: list[tuple[RomanMeasure, float]] = []

    def head_line(self, name: str, text: str) -> None:
        name = name.strip().lower()
        if name == "time signature":
            self.meter = _meter(text)
        elif name == "form":
            self.form = text.strip()
        elif not self.measures:
            self.head.setdefault(name, text.strip())

    def new(self, number: int) -> RomanMeasure:
        if self.meter is None:
            raise PlanError("has no time signature")
        if number > MAX_MEASURE:
            raise PlanError(f"has a measure {number}")
        measure = self.measures.setdefault(number, RomanMeasure(self.meter))
        measure.form, self.form = self.form or measure.form, ""
        return measure

    def copy(self, first: int, last: int, source: int) -> None:
        for shift in range(last - first + 1):
            origin = self.measures.get(source + shift)
            measure = self.new(first + shift)
            if origin is not None:
                measure.chords, measure.ends = list(origin.chords), list(origin.ends)
                measure.marks = origin.marks
                self.key = origin.chords[-1].key if origin.chords else self.key

    def measure_line(self, number: int, text: str, unit: Fraction) -> None:
        measure = self.new(number)
        place, heard = Fraction(0), False
        waiting: str | None = None
        for word in text.split():
            beat = re.fullmatch(r"b(\d+(?:\.\d+)?)", word)
            key = re.fullmatch(r"([A-Ga-g](?:b{0,2}|#{0,2})):", word)
            if beat:
                place = (Fraction(beat[1]).limit_denominator(8) - 1) * unit
                if waiting is not None:
                    measure.ends.append(place)
                waiting = None
            elif key:
                self.key = _key(key[1])
            elif "|" in word:
                if heard or ":||" not in word:
                    measure.repeat_ends |= word.startswith(":||")
                elif number - 1 in self.measures:
                    self.measures[number - 1].repeat_ends = True
                measure.repeat_starts |= word.endswith("||:") and not heard
                if word.endswith("||:") and heard:
                    self.measures.setdefault(number + 1, RomanMeasure(measure.meter)).repeat_starts = True
                waiting = word
                measure.marks += word == "||"
            elif re.fullmatch(r"=|[()?]+.*|\?\).*", word):  # an analyst's other reading
                continue
            else:
                heard = True
                self.chord(measure, place, word)
        if waiting is not None:
            measure.ends.append(Fraction(4 * measure.meter.numerator, measure.meter.denominator))

    def chord(self, measure: RomanMeasure, place: Fraction, word: str) -> None:
        if self.key is None:
            raise PlanError("has a chord before any key")
        try:
            root, quality, bass = read_figure(word, self.key)
        except (ValueError, KeyError):
            self.skipped += 1
            return
        measure.chords.append(RomanChord(place, root, quality, bass, self.key))


def _units(lines: list[tuple[str, str]]) -> list[Fraction]:
    """Quarters a beat for each line: the meter's beat, or its written unit where beats are counted beyond it."""
    stretches: list[list[int]] = [[]]
    meters: list[Meter | None] = [None]
    for index, (name, text) in enumerate(lines):
        if name.strip().lower() == "time signature":
            stretches.append([])
            meters.append(_meter(text))
        stretches[-1].append(index)
    units = [Fraction(1)] * len(lines)
    for meter, rows in zip(meters, stretches, strict=True):
        if meter is None:
            continue
        beats = [
            float(b)
            for i in rows
            if lines[i][0].startswith("m")
            for b in re.findall(r"\bb(\d+(?:\.\d+)?)", lines[i][1])
        ]
        unit = Fraction(meter.beat_div, 10080)
        whole = Fraction(4 * meter.numerator, meter.denominator)
        if meter.numerator == 3 and meter.denominator == 8 and max(beats, default=1.0) < 2:
            unit = whole
        while beats and (int(max(beats)) - 1) * unit >= whole:
            unit = Fraction(4, meter.denominator) if unit > Fraction(4, meter.denominator) else unit / 2
        for i in rows:
            units[i] = unit
    return units


def parse_roman_text(text: str) -> RomanAnalysis:
    """Reads an analysis.

    Raises:
        PlanError: no chords, or a key, meter or measure that cannot be read.
    """
    lines: list[tuple[str, str]] = []
    for raw in text.lstrip("\ufeff").splitlines():
        line = raw.strip()
        found = re.match(r"(m\d+(?:-\d+)?\w*)\s*(.*)", line)
        if found:
            lines.append((found[1], found[2].lstrip(": ")))
        elif ":" in line:
            lines.append(tuple(line.split(":", 1)))  # type: ignore[arg-type]
    reader = _Reader()
    for (name, rest), unit in zip(lines, _units(lines), strict=True):
        number = re.fullmatch(r"m(\d+)(?:-(\d+))?([ab]?)", name)
        if not re.match(r"m\d", name):
            reader.head_line(name, rest)
        elif number is None:
            continue  # a variant
        elif same := re.fullmatch(r"=\s*m(\d+)(?:-(\d+))?.*", rest):
            reader.copy(int(number[1]), int(number[2] or number[1]), int(same[1]))
        elif number[3] != "b":
            try:
                reader.measure_line(int(number[1]), rest, unit)
            except ValueError as error:
                raise PlanError(str(error)) from None
    if not any(m.chords for m in reader.measures.values()):
        raise PlanError("has no chords")
    return RomanAnalysis(reader.head, reader.measures, reader.skipped)
