"""Tunes in ABC notation: the part of it that collections of fiddle tunes use.

A tune is read as written measures with the signs at their ends; `music.analysis.tunes` plays repeats out. Of several
voices the first is read, of a chord the highest note; grace notes, ornaments, fingerings and words are left out.

Source of the format: C. Walshaw, The ABC music standard 2.1 (2011), abcnotation.com.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from music.errors import PlanError
from music.pitch import LINE_OF_FIFTHS, STEP_PC, Key
from music.time import DIVS_PER_QUARTER, Meter

WHOLE = 4 * DIVS_PER_QUARTER
# Fifths from the major key of the same tonic, and whether a plan calls the mode minor.
_MODES = {
    "": (0, False),
    "maj": (0, False),
    "ion": (0, False),
    "m": (-3, True),
    "min": (-3, True),
    "aeo": (-3, True),
    "mix": (-1, False),
    "dor": (-2, True),
    "phr": (-4, True),
    "lyd": (1, False),
    "loc": (-5, True),
}
_BAR = r":*\|+\]?[|:\]]*|:+\|*\]?|\[\|+\]?:*"
_TOKENS = re.compile(
    r"(?P<text>\"[^\"]*\"|![^!\s]*!|\{[^}]*\})"
    r"|(?P<field>\[[A-Za-z]:[^\]]*\])"
    rf"|(?P<bar>(?:{_BAR})(?:\s*\[?(?P<ending>[1-9])(?![:/0-9]))?|\[(?P<alone>[1-9]))"
    r"|(?P<tuplet>\((?P<p>[2-9])(?::(?P<q>[0-9]?)(?::(?P<r>[0-9]?))?)?)"
    r"|(?P<note>(?P<accidental>\^\^|__|\^|_|=)?(?P<step>[A-Ga-gzxZX])(?P<octave>[,']*)(?P<length>[0-9]*/*[0-9]*))"
    r"|(?P<chord>\[[^\]:|]*\](?P<chordlength>[0-9]*/*[0-9]*))"
    r"|(?P<broken><+|>+)"
    r"|(?P<tie>-)"
    r"|(?P<skip>[\s`\\~.()*yuvH-WhijklmnopqrstwY$&?!@#%;+])"
)
_NOTE = re.compile(r"(\^\^|__|\^|_|=)?([A-Ga-g])([,']*)([0-9]*/*[0-9]*)")
_TUPLET_TIME = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}


@dataclass(frozen=True)
class AbcNote:
    """A note of a measure; `tied` to the note before it, in which case it is not struck."""

    onset_div: int
    duration_div: int
    pitch: int
    tied: bool = False


@dataclass
class Measure:
    """A written measure.

    Args:
        notes: in order.
        length_div: what notes and rests last together.
        sign: the bar line that closes it, such as "|", ":|", "||"; "" at the end of the tune.
        opens: a repeat begins with it ("|:").
        ending: number of the ending that begins with it, or None.
        key: the key in force where it begins.
        part: letter of a part that begins with it ("P:A"), or "".
    """

    notes: list[AbcNote] = field(default_factory=list)
    length_div: int = 0
    sign: str = ""
    opens: bool = False
    ending: int | None = None
    key: Key | None = None
    part: str = ""


@dataclass(frozen=True)
class AbcTune:
    """A tune as written.

    Args:
        number: of its header.
        titles: the first is the tune's, others are names that it has as well.
        meter, key: at the beginning.
        qpm: quarter notes a minute, None where the tune does not say.
        order: letters of the parts in the order in which they are played, or "".
        measures: with notes or rests, in order.
    """

    number: str
    titles: tuple[str, ...]
    meter: Meter
    key: Key
    qpm: float | None
    order: str
    measures: tuple[Measure, ...]


def parse_key(text: str) -> tuple[Key, int]:
    """The key of a K: field, its mode as major or minor, and the sharps of its signature.

    Raises:
        PlanError: not a key.
    """
    text = text.split("%")[0].strip()
    if text in ("HP", "Hp"):
        return Key("A"), 2
    found = re.fullmatch(r"([A-G])([#b]?)\s*([A-Za-z]*)(?:\s+.*)?", text)
    word = found[3] if found else ""
    mode = _MODES.get("m" if word == "m" else word.lower()[:3]) if word != "M" else _MODES["maj"]
    if found is None or mode is None:
        raise PlanError(f"K:{text} is not a key")
    fifths, minor = mode
    fifths += LINE_OF_FIFTHS.index(found[1]) - 1 + 7 * {"": 0, "#": 1, "b": -1}[found[2]]
    try:
        return Key(found[1] + found[2], minor), fifths
    except ValueError as error:
        raise PlanError(str(error)) from None


def _fraction(text: str, unit: int) -> int:
    """A length as ABC writes it ("3/2", "/", "2") in divisions."""
    number, slash, below = text.partition("/")
    lower = 2 ** len(re.findall("/", text)) if slash and not below.strip("/") else int(below.strip("/") or 1)
    if lower == 0:
        raise PlanError(f"length {text!r} is no length")
    return unit * int(number or 1) // lower


def _meter(text: str) -> Meter:
    try:
        return Meter.parse(text.split("%")[0].replace(" ", ""))
    except ValueError as error:
        raise PlanError(str(error)) from None


def _unit(text: str) -> int:
    found = re.match(r"\s*(\d+)\s*/\s*(\d+)", text)
    if found is None or int(found[2]) == 0:
        raise PlanError(f"L:{text} is not a length")
    return WHOLE * int(found[1]) // int(found[2])


def _tempo(text: str, unit: int) -> float | None:
    found = re.search(r"(?:(\d+)/(\d+)\s*=\s*)?(\d+)\s*$", text.split("%")[0].strip())
    if found is None:
        return None
    beat = WHOLE * int(found[1]) / int(found[2]) if found[1] else unit
    qpm = int(found[3]) * beat / DIVS_PER_QUARTER
    return qpm if 20 <= qpm <= 400 else None


class _Reader:
    """Reads a tune's body, note by note."""

    def __init__(self, key: tuple[Key, int], unit: int) -> None:
        self.key, self.fifths = key
        self.unit = unit
        self.done: list[Measure] = []
        self.now = Measure(key=self.key)
        self.altered: dict[tuple[str, int], int] = {}
        self.tuplet = (1, 1, 0)  # notes sound for `1st` of `2nd` their length, for so many notes still
        self.broken = (1, 1)  # on the next note
        self.tied = False

    def _set_key(self, text: str) -> None:
        self.key, self.fifths = parse_key(text)
        if not self.now.notes:
            self.now.key = self.key

    def field(self, name: str, text: str) -> None:
        """A field between the notes."""
        if name == "K":
            self._set_key(text)
        elif name == "L":
            self.unit = _unit(text)
        elif name == "M":
            raise PlanError("changes its meter")
        elif name == "P" and re.match(r"[A-Z]\b", text.strip()):
            self.now.part = text.strip()[0]

    def _pitch(self, sign: str | None, step: str, marks: str) -> int:
        octave = 4 + step.islower() + marks.count("'") - marks.count(",")
        name = step.upper()
        if sign is not None:
            alter = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}[sign]
            self.altered[name, octave] = alter
        elif (name, octave) in self.altered:
            alter = self.altered[name, octave]
        else:
            place = LINE_OF_FIFTHS.index(name)
            alter = int(place < self.fifths) - int(6 - place < -self.fifths)
        return 12 * (octave + 1) + STEP_PC[name] + alter

    def add(self, pitch: int | None, length: int) -> None:
        """A note, or a rest for None."""
        over, under, left = self.tuplet
        length = length * self.broken[0] * over // (self.broken[1] * under)
        self.broken, self.tuplet = (1, 1), (over, under, left - 1) if left > 1 else (1, 1, 0)
        if length <= 0:
            return
        if pitch is not None:
            self.now.notes.append(AbcNote(self.now.length_div, length, pitch, self.tied))
        self.now.length_div += length
        self.tied = False

    def stretch(self, marks: str) -> None:
        """A broken rhythm: the last note takes from the next one, or gives to it."""
        power = 2 ** len(marks)
        long, short = (2 * power - 1, power), (1, power)
        mine, self.broken = (long, short) if marks[0] == ">" else (short, long)
        if self.now.notes and self.now.notes[-1].onset_div + self.now.notes[-1].duration_div == self.now.length_div:
            last = self.now.notes[-1]
            length = last.duration_div * mine[0] // mine[1]
            self.now.notes[-1] = replace(last, duration_div=length)
            self.now.length_div += length - last.duration_div

    def close(self, sign: str, ending: int | None) -> None:
        """A bar line."""
        if self.now.length_div:
            self.now.sign = sign
            self.done.append(self.now)
            self.now = Measure(key=self.key)
        elif self.done and sign:  # a second sign at the same place
            self.done[-1].sign += sign
        self.altered = {}
        self.now.opens |= sign.endswith(":")
        self.now.ending = ending or self.now.ending

    def line(self, text: str) -> None:
        """A line of music."""
        place = 0
        while place < len(text):
            found = _TOKENS.match(text, place)
            if found is None:
                raise PlanError(f"{text[place : place + 8]!r} cannot be read")
            place = found.end()
            kind = found.lastgroup
            if found["bar"]:
                number = found["ending"] or found["alone"]
                sign = re.sub(r"[\s\[1-9]", "", found["bar"]) if not found["alone"] else ""
                self.close(sign, int(number) if number else None)
            elif found["field"]:
                self.field(found["field"][1], found["field"][3:-1])
            elif found["tuplet"]:
                p = int(found["p"])
                q = int(found["q"] or _TUPLET_TIME.get(p, 2))
                self.tuplet = (q, p, int(found["r"] or p))
            elif found["chord"]:
                self._chord(found["chord"], found["chordlength"])
            elif found["note"]:
                rest = found["step"] in "zxZX"
                pitch = None if rest else self._pitch(found["accidental"], found["step"], found["octave"])
                self.add(pitch, _fraction(found["length"], self.unit))
            elif found["broken"]:
                self.stretch(found["broken"])
            elif kind == "tie":
                self.tied = bool(self.now.notes)

    def _chord(self, text: str, length: str) -> None:
        notes = [(self._pitch(n[1], n[2], n[3]), _fraction(n[4], self.unit)) for n in _NOTE.finditer(text)]
        if notes:
            pitch, inner = max(notes)
            self.add(pitch, _fraction(length, inner))


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """(field's letter or "", rest) of each line, without remarks."""
    for raw in text.splitlines():
        line = raw.rstrip()
        if line.startswith("%") or not line:
            continue
        found = re.match(r"\s*([A-Za-z]):(?![|:])(.*)", line)
        if found:
            yield found[1], found[2].strip()
        else:
            yield "", re.sub(r"(?<!\\)%.*", "", line)


def parse_tune(text: str) -> AbcTune:
    """Reads a tune.

    Raises:
        PlanError: what stands there is no tune, or more than is read here (a change of meter).
    """
    head: dict[str, str] = {}
    titles: list[str] = []
    reader: _Reader | None = None
    opening = Key("C")
    first = True
    for name, rest in _lines(text):
        if name == "T":
            titles.append(rest)
        elif reader is None and name == "K":
            unit = _unit(head["L"]) if "L" in head else WHOLE // 8
            reader = _Reader(parse_key(rest), unit)
            opening = reader.key
        elif reader is None:
            head.setdefault(name, rest)
        elif name == "V":
            first = rest.strip().startswith("1")
        elif name == "" and (mark := re.match(r"\s*\[V:\s*(\w+)", rest)):
            if mark[1] == "1":
                reader.line(rest)
        elif name == "M":
            if _meter(rest) != _meter(head.get("M", "C")):
                raise PlanError("changes its meter")
        elif name in "KLP" and name:
            reader.field(name, rest)
        elif name == "" and first:
            reader.line(rest)
    if reader is None:
        raise PlanError("has no K: field")
    reader.close("", None)
    order = head.get("P", "").split("%")[0].strip()
    tempo = _tempo(head["Q"], reader.unit) if "Q" in head else None
    order = order if re.fullmatch(r"[A-Z]+", order) else ""
    number = head.get("X", "").strip()
    return AbcTune(number, tuple(titles), _meter(head.get("M", "C")), opening, tempo, order, tuple(reader.done))


def split_tunes(text: str) -> list[str]:
    """The tunes of a file, each from its X: field on."""
    found = re.split(r"(?m)^(?=X:)", text)
    return [part for part in found if part.startswith("X:")]
