"""Score to MusicXML 4.0: a piano grand staff or one staff a part, complete bars, the plan's labels, tempo and dynamics.

The same score gives the same bytes: no dates, no sizes, nothing that depends on the machine.
"""

from __future__ import annotations

import io
import math
import os
import re
import tempfile
import zipfile
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from music.errors import MusicXmlError
from music.musicxml_events import BarVoices, Written, add_accidentals, complete, wide_hands, write_bars
from music.pitch import alter_of, octave_of
from music.plan import Plan
from music.score import Direction, KeyChange, Score, SectionMark, TempoChange
from music.time import DIVS_PER_QUARTER, Meter

_HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    b'"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
_CONTAINER = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<container><rootfiles>'
    b'<rootfile full-path="score.musicxml" media-type="application/vnd.recordare.musicxml+xml"/>'
    b"</rootfiles></container>\n"
)
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DYNAMICS = (
    "ppp",
    "pp",
    "p",
    "mp",
    "mf",
    "f",
    "ff",
    "fff",
    "fp",
    "sf",
    "sfz",
    "fz",
    "rf",
    "rfz",
    "sfp",
    "pppp",
    "ffff",
)
_ARTICULATIONS = ("staccato", "staccatissimo", "tenuto", "accent", "strong-accent")
_SLUR_NUMBERS = 6


def write_musicxml(score: Score, path: str | Path, *, plan: Plan | None = None) -> None:
    """Writes a score as .mxl (by its name) or as plain MusicXML, whole or not at all.

    Args:
        score: staff, voice and spelling are filled in where they are missing.
        path: of the file.
        plan: its title, key, section labels, tempo and dynamics are written where the score states none.

    Raises:
        MusicXmlError: the file cannot be written.
    """
    data = musicxml_bytes(score, plan=plan)
    if str(path).lower().endswith(".mxl"):
        data = _zipped(data)
    path = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise MusicXmlError(path, f"cannot be written ({error.strerror or error})") from error


def musicxml_bytes(score: Score, *, plan: Plan | None = None) -> bytes:
    """The MusicXML text of a score; see `write_musicxml`."""
    score = complete(_with_plan(score, plan) if plan is not None else score)
    root = Element("score-partwise", {"version": "4.0"})
    if score.title:
        _add(_add(root, "work"), "work-title", score.title)
    _add(_add(_add(root, "identification"), "encoding"), "software", "Ritornello")
    part_list = _add(root, "part-list")
    for index, part in enumerate(score.parts):
        _add_score_part(part_list, index, part.name, part.program)
    for index in range(len(score.parts)):
        _PartWriter(score, index, root).write()
    indent(root, space=" ")
    return _HEAD + tostring(root, encoding="unicode").encode() + b"\n"


def _zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("META-INF/container.xml", _CONTAINER), ("score.musicxml", data)):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def _with_plan(score: Score, plan: Plan) -> Score:
    """The score with what the plan says wherever the score itself says nothing."""
    starts = [0 if i == 0 else plan.bar_onset_div(b) for i, b in enumerate(plan.first_bars)]
    inside = [(o, s) for o, s in zip(starts, plan.sections, strict=True) if o < score.end_div]
    sections = score.sections or tuple(SectionMark(o, s.label) for o, s in inside)
    keys = score.keys or (KeyChange(0, plan.key),)
    tempos = score.tempos
    if not tempos:
        stated = [TempoChange(o, plan.tempo_qpm * s.tempo_scale) for o, s in inside]
        tempos = tuple(t for i, t in enumerate(stated) if i == 0 or t.qpm != stated[i - 1].qpm)
    directions = score.directions
    if not any(d.kind == "dynamic" for d in directions):
        parts = range(len(score.parts))
        directions += tuple(Direction(o, "dynamic", s.dynamic, 0, p) for o, s in inside if s.dynamic for p in parts)
    title = score.title or plan.title
    return replace(score, sections=sections, keys=keys, tempos=tempos, directions=directions, title=title)


def _add(parent: Element, tag: str, text: str | int | None = None, attributes: dict[str, str] | None = None) -> Element:
    element = SubElement(parent, tag, attributes or {})
    if text is not None:
        element.text = _FORBIDDEN.sub("", str(text))
    return element


def _add_score_part(part_list: Element, index: int, name: str, program: int) -> None:
    identity = f"P{index + 1}"
    score_part = _add(part_list, "score-part", None, {"id": identity})
    _add(score_part, "part-name", name or ("Piano" if program < 8 else f"Part {index + 1}"))
    instrument = _add(score_part, "score-instrument", None, {"id": f"{identity}-I1"})
    _add(instrument, "instrument-name", name or "Piano")
    midi = _add(score_part, "midi-instrument", None, {"id": f"{identity}-I1"})
    _add(midi, "midi-channel", index % 16 + 1 if index % 16 < 9 else (index % 16 + 1) % 16 + 1)
    _add(midi, "midi-program", program + 1)


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _clef(score: Score, part: int, staff: int, staves: int) -> tuple[str, int, int]:
    """(sign, line, octave change) of a staff."""
    if staves == 2:
        return ("G", 2, 0) if staff == 1 else ("F", 4, 0)
    name = score.parts[part].name.lower()
    if "viola" in name or score.parts[part].program == 41:
        return "C", 3, 0
    if "tenor" in name:
        return "G", 2, -1
    pitches = [n.pitch for n in score.notes if n.part == part]
    return ("F", 4, 0) if pitches and sum(pitches) / len(pitches) < 57 else ("G", 2, 0)


class _PartWriter:
    """Writes one part, bar by bar."""

    def __init__(self, score: Score, part: int, root: Element) -> None:
        self.score, self.part = score, part
        self.bars = write_bars(score, part)
        self.staves = len({staff for staff, _ in self.bars[0]})
        self.element = _add(root, "part", None, {"id": f"P{part + 1}"})
        self.signs = self._bar_directions()
        self.divisions = _divisions(self.bars, (place for signs in self.signs.values() for place, _ in signs))
        self._place_signs()
        self._notes = 0

    def write(self) -> None:
        """Writes all bars under the part's element."""
        keys = {self._bar_start(k.onset_div): k.key for k in self.score.keys}
        meters = {self._bar_start(m.onset_div): m.meter for m in self.score.meters}
        fifths = 0
        for index, (bar, voices) in enumerate(zip(self.score.bars, self.bars, strict=True)):
            attributes = {"number": str(bar.number)}
            if index == 0 and bar.number == 0:
                attributes["implicit"] = "yes"
            measure = _add(self.element, "measure", None, attributes)
            key, meter = keys.get(bar.onset_div), meters.get(bar.onset_div)
            fifths = key.fifths if key is not None else fifths
            if index == 0 or key is not None or meter is not None:
                self._write_attributes(measure, index, (key.fifths, key.minor) if key is not None else None, meter)
            add_accidentals(voices, fifths)
            self._write_voices(measure, voices, bar.duration_div, self.signs.get(index, []))
            if index == len(self.score.bars) - 1:
                line = _add(measure, "barline", None, {"location": "right"})
                _add(line, "bar-style", "light-heavy")

    def _bar_start(self, onset: int) -> int:
        """Onset of the first bar that begins at or after an onset: where a change of key or meter can stand."""
        return next((b.onset_div for b in self.score.bars if b.onset_div >= onset), -1)

    def _write_attributes(
        self, measure: Element, index: int, key: tuple[int, bool] | None, meter: Meter | None
    ) -> None:
        attributes = _add(measure, "attributes")
        if index == 0:
            _add(attributes, "divisions", DIVS_PER_QUARTER // self.divisions)
        if key is not None:
            element = _add(attributes, "key")
            _add(element, "fifths", key[0])
            _add(element, "mode", "minor" if key[1] else "major")
        if meter is not None:
            element = _add(attributes, "time")
            _add(element, "beats", meter.numerator)
            _add(element, "beat-type", meter.denominator)
        if index == 0:
            if self.staves == 2:
                _add(attributes, "staves", 2)
            for staff in range(1, self.staves + 1):
                sign, line, octaves = _clef(self.score, self.part, staff, self.staves)
                clef = _add(attributes, "clef", None, {"number": str(staff)} if self.staves == 2 else None)
                _add(clef, "sign", sign)
                _add(clef, "line", line)
                if octaves:
                    _add(clef, "clef-octave-change", octaves)

    def _write_voices(self, measure: Element, voices: BarVoices, length: int, signs: list[tuple[int, Element]]) -> None:
        waiting = sorted(signs, key=lambda s: s[0])
        for order, ((staff, voice), items) in enumerate(voices.items()):
            if order:
                _add(_add(measure, "backup"), "duration", length // self.divisions)
            shared = sum(1 for s, _ in voices if s == staff) > 1
            first = min(v for s, v in voices if s == staff)
            stem = ("up" if voice == first else "down") if shared else ""
            for item in items:
                if order == 0:
                    while waiting and (waiting[0][0] < item.end or waiting[0][0] == item.start):
                        self._write_sign(measure, waiting.pop(0), item.start)
                self._write_item(measure, item, staff, voice, stem)
            if order == 0:
                for sign in waiting:
                    self._write_sign(measure, sign, length)
                waiting = []

    def _write_sign(self, measure: Element, sign: tuple[int, Element], place: int) -> None:
        offset, element = sign
        position = 1 + max(i for i, child in enumerate(element) if child.tag == "direction-type")
        if self.staves == 2:
            child = Element("staff")
            child.text = "2" if element.find("direction-type/pedal") is not None else "1"
            element.insert(position, child)
        if offset != place:
            child = Element("offset")
            child.text = str((offset - place) // self.divisions)
            element.insert(position, child)
        measure.append(element)

    def _write_item(self, measure: Element, item: Written, staff: int, voice: int, stem: str) -> None:
        for order, one in enumerate(item.notes or (None,)):
            note = _add(measure, "note", None, {"id": f"P{self.part + 1}-{self._notes}"})
            self._notes += 1
            if item.grace:
                _add(note, "grace", None, {"slash": "yes"})
            if order:
                _add(note, "chord")
            if one is None:
                _add(note, "rest", None, {"measure": "yes"} if item.piece is None else None)
            else:
                pitch = _add(note, "pitch")
                _add(pitch, "step", one.step)
                if alter_of(one.pitch, one.step):
                    _add(pitch, "alter", alter_of(one.pitch, one.step))
                _add(pitch, "octave", octave_of(one.pitch, one.step))
            if not item.grace:
                _add(note, "duration", (item.end - item.start) // self.divisions)
            for present, kind in ((item.tie_in, "stop"), (item.tie_out, "start")):
                if present and one is not None:
                    _add(note, "tie", None, {"type": kind})
            _add(note, "voice", voice)
            self._write_value(note, item, item.accidentals.get(one.id, "") if one is not None else "")
            if stem and one is not None:
                _add(note, "stem", stem)
            if self.staves == 2:
                _add(note, "staff", staff)
            for level, beam in enumerate(item.beams if order == 0 else [], start=1):
                _add(note, "beam", beam, {"number": str(level)})
            self._write_notations(note, item, order == 0)

    def _write_value(self, note: Element, item: Written, accidental: str) -> None:
        if item.grace:
            _add(note, "type", "eighth")
        elif item.piece is not None and item.piece.type:
            _add(note, "type", item.piece.type)
            for _ in range(item.piece.dots):
                _add(note, "dot")
        if accidental:
            _add(note, "accidental", accidental)
        if item.piece is not None and item.piece.tuplet is not None:
            ratio = _add(note, "time-modification")
            _add(ratio, "actual-notes", item.piece.tuplet[0])
            _add(ratio, "normal-notes", item.piece.tuplet[1])

    def _write_notations(self, note: Element, item: Written, first: bool) -> None:
        wanted: list[tuple[str, dict[str, str]]] = []
        if item.notes:
            wanted += [("tied", {"type": "stop"})] * item.tie_in + [("tied", {"type": "start"})] * item.tie_out
        signs = item.signs if first else [s for s in item.signs if s[0] == "arpeggiate"]
        wanted += [s for s in signs if s[0] == "slur"]
        if first and item.piece is not None and item.piece.tuplet is not None:
            wanted += [("tuplet", {"type": "start"})] * item.piece.opens
            wanted += [("tuplet", {"type": "stop"})] * item.piece.closes
        articulations = [s for s in signs if s[0] in _ARTICULATIONS]
        others = [s for s in signs if s[0] in ("fermata", "arpeggiate")]
        if not wanted and not articulations and not others:
            return
        notations = _add(note, "notations")
        for tag, attributes in wanted:
            _add(notations, tag, None, attributes)
        if articulations:
            parent = _add(notations, "articulations")
            for tag, attributes in articulations:
                _add(parent, tag, None, attributes)
        for tag, attributes in others:
            _add(notations, tag, None, attributes)

    # Signs on notes: fermatas, articulations, broken chords, slurs.

    def _place_signs(self) -> None:
        struck: dict[int, list[tuple[int, Written]]] = defaultdict(list)  # onset -> [(staff, item)]
        for bar, voices in zip(self.score.bars, self.bars, strict=True):
            for (staff, _), items in voices.items():
                for item in items:
                    if item.notes and not item.tie_in and not item.grace:
                        struck[bar.onset_div + item.start].append((staff, item))
        broken, self.pedals = wide_hands(self.score, self.part) if self.staves == 2 else (set(), [])
        for direction in self.score.directions:
            if direction.part not in (self.part, -1):
                continue
            here = struck.get(direction.onset_div, [])
            if direction.kind == "arpeggio":
                broken |= {(direction.onset_div, staff) for staff, item in here if len(item.notes) > 1}
            elif direction.kind == "fermata":
                for _, item in here:
                    item.signs.append(("fermata", {"type": "upright"}))
            elif direction.kind == "articulation" and direction.text in _ARTICULATIONS and here:
                signs = here[0][1].signs
                signs += [(direction.text, {})] * ((direction.text, {}) not in signs)
        for onset, staff in sorted(broken):
            for place, item in struck[onset]:
                if place == staff:
                    item.signs.append(("arpeggiate", {}))
        self._place_slurs(struck)

    def _place_slurs(self, struck: dict[int, list[tuple[int, Written]]]) -> None:
        open_until = [0] * _SLUR_NUMBERS
        onsets = sorted(struck)
        for direction in self.score.directions:
            start = direction.onset_div
            if direction.kind != "slur" or direction.part not in (self.part, -1) or start not in struck:
                continue
            number = next((i for i, until in enumerate(open_until) if until <= start), None)
            end = onsets[bisect_left(onsets, start + direction.duration_div) - 1]  # the last that begins under the slur
            if number is None or end <= start:
                continue
            staff, first = struck[start][0]
            last = next((item for s, item in struck[end] if s == staff), struck[end][0][1])
            first.signs.append(("slur", {"type": "start", "number": str(number + 1)}))
            last.signs.append(("slur", {"type": "stop", "number": str(number + 1)}))
            open_until[number] = start + direction.duration_div

    # Signs between notes: (offset in the bar, element) by bar.

    def _bar_directions(self) -> dict[int, list[tuple[int, Element]]]:
        found: list[tuple[int, Element]] = []
        if self.part == 0:
            found += [(s.onset_div, _words("rehearsal", s.label)) for s in self.score.sections]
            found += [(t.onset_div, _tempo(t.qpm, self.score.meter_at(t.onset_div))) for t in self.score.tempos]
        wedges = 0
        for direction in self.score.directions:
            if direction.part != self.part and not (direction.part == -1 and self.part == 0):
                continue
            if direction.kind == "dynamic":
                found.append((direction.onset_div, _dynamic(direction.text)))
            elif direction.kind in ("tempo", "text"):
                found.append((direction.onset_div, _words("words", direction.text)))
            elif direction.kind in ("crescendo", "diminuendo"):
                number = str(wedges % 6 + 1)
                wedges += 1
                found.append((direction.onset_div, _line("wedge", direction.kind, number)))
                found.append((direction.onset_div + direction.duration_div, _line("wedge", "stop", number)))
        if self.staves == 2:
            for start, end in wide_hands(self.score, self.part)[1]:
                found += [(start, _line("pedal", "start", "1")), (end, _line("pedal", "stop", "1"))]
        by_bar: dict[int, list[tuple[int, Element]]] = defaultdict(list)
        onsets = [b.onset_div for b in self.score.bars]
        for onset, element in found:
            index = max(0, bisect_right(onsets, onset) - 1)
            by_bar[index].append((min(onset - onsets[index], self.score.bars[index].duration_div), element))
        return by_bar


def _divisions(bars: Iterable[BarVoices], places: Iterable[int]) -> int:
    """Greatest common measure of durations, places of signs and a quarter: what one division of the file is worth."""
    found = math.gcd(DIVS_PER_QUARTER, *places)
    for voices in bars:
        for items in voices.values():
            for item in items:
                found = math.gcd(found, item.end - item.start)
    return found


def _direction(placement: str) -> tuple[Element, Element]:
    direction = Element("direction", {"placement": placement})
    return direction, SubElement(direction, "direction-type")


def _words(tag: str, text: str) -> Element:
    direction, kind = _direction("above")
    _add(kind, tag, text)
    return direction


def _dynamic(text: str) -> Element:
    direction, kind = _direction("below")
    dynamics = _add(kind, "dynamics")
    if text in _DYNAMICS:
        _add(dynamics, text)
    else:
        _add(dynamics, "other-dynamics", text)
    return direction


def _line(tag: str, kind: str, number: str) -> Element:
    direction, parent = _direction("below")
    attributes = {"type": kind, "number": number} if tag == "wedge" else {"type": kind, "line": "yes"}
    _add(parent, tag, None, attributes)
    return direction


def _tempo(qpm: float, meter: Meter) -> Element:
    direction, kind = _direction("above")
    metronome = _add(kind, "metronome")
    unit, dotted, quarters = "quarter", False, 1.0
    if meter.is_compound and meter.denominator == 8:
        dotted, quarters = True, 1.5
    elif meter.denominator == 2:
        unit, quarters = "half", 2.0
    _add(metronome, "beat-unit", unit)
    if dotted:
        _add(metronome, "beat-unit-dot")
    _add(metronome, "per-minute", _number(qpm / quarters))
    _add(direction, "sound", None, {"tempo": _number(qpm)})
    return direction
