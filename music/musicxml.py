"""MusicXML to Score and back. music21 reads, behind checks of our own; the writer is ours (`music.musicxml_write`).

`score_from_music21` serves every stream that music21 parsed, its own corpus too.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from music21 import (
    articulations,
    bar,
    chord,
    dynamics,
    expressions,
    harmony,
    instrument,
    interval,
    key,
    meter,
    note,
    repeat,
    spanner,
    stream,
    tempo,
)
from music21.base import Music21Object
from music21.musicxml.xmlToM21 import MusicXMLImporter

from music.errors import MusicXmlError, ScoreError
from music.musicxml_check import check_numbers, partwise
from music.musicxml_read import Jumps, RawBar, RawNote, score_of_bars
from music.musicxml_write import write_musicxml
from music.pitch import MAX_ACCIDENTALS, Key
from music.safe_xml import parse_xml, read_bytes
from music.score import Direction, Part, Score
from music.time import DIVS_PER_QUARTER, Meter

__all__ = ["read_musicxml", "score_from_music21", "write_musicxml"]

TEMPO_WORDS = re.compile(
    r"(?i)\b(rit|rall|accel|string|tempo|adagi|allegr|andant|largh?|lent|presto|prestiss|vivac|moderat|grave|mosso|calando|"
    r"smorz|morendo|menuett?o|langsam|schnell|lebhaft|mässig|vite|animato|stretto|allarg)"
)
_ARTICULATIONS = {
    "staccato": articulations.Staccato,
    "staccatissimo": articulations.Staccatissimo,
    "tenuto": articulations.Tenuto,
    "accent": articulations.Accent,
    "strong-accent": articulations.StrongAccent,
}
_ARTICULATION_NAMES = {kind: name for name, kind in _ARTICULATIONS.items()}
_FILE_NAME = re.compile(r"\.(mxl|xml|musicxml|krn|abc|mid)$")
Offset = int | float | Fraction  # in quarters, as music21 counts
_LOWER_STAFF_VOICES = 4  # voices of a lower staff count from 5, as notation programs do


def read_musicxml(path: str | Path) -> Score:
    """Reads a .xml, .musicxml or .mxl file.

    Raises:
        MusicXmlError: missing, unsafe (entities, external references, oversized archives), malformed, or not music.
    """
    root = partwise(parse_xml(read_bytes(path), path), path)
    check_numbers(root, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importer = MusicXMLImporter()
            importer.xmlRootToScore(root, importer.stream)
            return score_from_music21(importer.stream)
    except ScoreError as error:
        raise MusicXmlError(path, str(error)) from error
    except Exception as error:  # music21 raises whatever its parsers meet: KeyError, IndexError, AttributeError …
        reason = (str(error).splitlines() or [""])[0][:160]
        raise MusicXmlError(path, f"cannot be read as music ({type(error).__name__}: {reason})") from error


def score_from_music21(parsed: stream.Stream) -> Score:
    """The Score of a stream that music21 parsed: repeats written out, ties merged, sounding pitch.

    Args:
        parsed: a Score; an Opus gives its first score, a Part or Measure is taken as a score of one part.

    Raises:
        ScoreError: no parts or bars, or values that a Score cannot hold.
    """
    if isinstance(parsed, stream.Opus):
        parsed = next(iter(parsed.scores), parsed)
    streams = list(parsed.getElementsByClass(stream.Part)) or [parsed]
    walk = _Walk(spans=_spans([parsed, *streams]))
    for part, staff, owner in _staves(streams):
        if part == len(walk.parts):
            walk.parts.append(_part(owner, part))
        walk.add_staff(owner, part, staff)
    walk.add_endings([parsed, *streams])
    walk.add_spans()
    title = (parsed.metadata.bestTitle or "") if parsed.metadata is not None else ""
    if _FILE_NAME.search(title):  # what music21 gives to a file without a title
        title = ""
    return score_of_bars(walk.parts, walk.bars, " ".join(title.split())[:200])


def _div(quarters: Offset) -> int:
    return round(quarters * DIVS_PER_QUARTER)


def _staves(streams: list[stream.Stream]) -> Iterable[tuple[int, int, stream.Stream]]:
    """(part, staff, stream): the staves of one instrument, whose ids music21 forms as P1-Staff1, are one part."""
    part, previous, staff = -1, None, 1
    for owner in streams:
        name, found, number = str(owner.id).rpartition("-Staff")
        joined = isinstance(owner, stream.PartStaff) and found and number.isdigit()
        if joined and name == previous:
            staff = min(int(number), 2)
        else:
            part, staff = part + 1, 1
        previous = name if joined else None
        yield part, staff if joined else 0, owner


def _part(owner: stream.Stream, index: int) -> Part:
    found = next(iter(owner.getElementsByClass(instrument.Instrument)), None)
    names = (getattr(owner, "partName", None), getattr(found, "partName", None), getattr(found, "instrumentName", None))
    name = next((str(n) for n in names if n), "")
    program = getattr(found, "midiProgram", None)
    program = program if isinstance(program, int) and 0 <= program <= 127 else 0
    return Part(f"P{index + 1}", " ".join(name.split())[:80], program)


@dataclass
class _Span:
    """A hairpin or slur: ids of its first and last element, filled with places as the walk meets them."""

    kind: str
    first: int
    last: int
    places: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)  # id -> bar, onset, end, part


def _spans(owners: list[stream.Stream]) -> list[_Span]:
    kinds = {dynamics.Crescendo: "crescendo", dynamics.Diminuendo: "diminuendo", spanner.Slur: "slur"}
    found = []
    for owner in owners:
        for item in owner.getElementsByClass(spanner.Spanner):
            kind = next((k for c, k in kinds.items() if isinstance(item, c)), None)
            elements = item.getSpannedElements() if kind else []
            if kind and elements:
                found.append(_Span(kind, id(elements[0]), id(elements[-1])))
    return found


class _Walk:
    """One pass over all bars of all staves; every element is looked at once."""

    def __init__(self, spans: list[_Span]) -> None:
        self.parts: list[Part] = []
        self.bars: list[RawBar] = []
        self.spans = spans
        self._wanted: dict[int, list[_Span]] = {}
        for span in spans:
            for element in {span.first, span.last}:
                self._wanted.setdefault(element, []).append(span)
        self._bar_of: dict[int, int] = {}  # id of a measure -> its index

    def add_staff(self, owner: stream.Stream, part: int, staff: int) -> None:
        """Adds the bars of one staff; `staff` is 0 where the part has only one."""
        measures = list(owner.getElementsByClass(stream.Measure))
        if not measures:
            owner = owner.makeMeasures() or owner
            measures = list(owner.getElementsByClass(stream.Measure))
        moves = _transpositions(owner)
        for index, measure in enumerate(measures):
            if index == len(self.bars):
                self.bars.append(RawBar(measure.number))
            self._bar_of[id(measure)] = index
            start = owner.elementOffset(measure)
            shift = next((m for o, m in reversed(moves) if o <= start), None) if moves else None
            self._add_measure(measure, index, part, staff, shift)

    def _add_measure(
        self, measure: stream.Measure, index: int, part: int, staff: int, shift: interval.Interval | None
    ) -> None:
        self._add_jumps(measure, self.bars[index].jumps)
        voices = list(measure.voices)
        for element in measure.elements:
            if not isinstance(element, stream.Voice):
                self._add(element, measure.elementOffset(element), index, part, staff, 1, shift)
        for order, voice in enumerate(voices, start=1):
            base = measure.elementOffset(voice)
            for element in voice.elements:
                self._add(element, base + voice.elementOffset(element), index, part, staff, order, shift)

    def _add(
        self,
        element: Music21Object,
        offset: Offset,
        index: int,
        part: int,
        staff: int,
        voice: int,
        shift: interval.Interval | None,
    ) -> None:
        raw, onset = self.bars[index], _div(offset)
        if isinstance(element, note.GeneralNote):
            end = _div(offset + element.duration.quarterLength)
            self._mark(element, index, onset, end, part)
            if not isinstance(element, harmony.Harmony):
                raw.length = max(raw.length, end)
                voice += _LOWER_STAFF_VOICES if staff == 2 else 0
                raw.notes.extend(_notes(element, onset, end, part, staff, voice, shift))
                raw.directions.extend(_signs(element, onset, part))
        elif isinstance(element, dynamics.Dynamic):
            raw.directions.append(Direction(onset, "dynamic", str(element.value), 0, part))
        elif isinstance(element, meter.TimeSignature):
            if not any(o == onset for o, _ in raw.meters):
                raw.meters.extend((onset, m) for m in _meter(element))
        elif isinstance(element, key.KeySignature):
            if part == 0 and staff <= 1:
                raw.keys.extend((onset, k) for k in _key(element, shift))
        elif isinstance(element, tempo.MetronomeMark):
            self._add_tempo(element, onset, raw)
        elif isinstance(element, (tempo.TempoText, expressions.TextExpression)):
            text = " ".join(str(getattr(element, "content", "") or getattr(element, "text", "")).split())[:100]
            kind = "tempo" if isinstance(element, tempo.TempoText) or TEMPO_WORDS.search(text) else "text"
            if text:
                raw.directions.append(Direction(onset, kind, text, 0, part))
        elif isinstance(element, expressions.RehearsalMark):
            if not any(o == onset for o, _ in raw.sections):
                raw.sections.append((onset, str(element.content)[:20]))
        elif id(element) in self._wanted:
            self._mark(element, index, onset, onset, part)

    def _mark(self, element: Music21Object, index: int, onset: int, end: int, part: int) -> None:
        for span in self._wanted.get(id(element), ()):
            span.places[id(element)] = (index, onset, end, part)

    def _add_tempo(self, element: tempo.MetronomeMark, onset: int, raw: RawBar) -> None:
        stated = (element.number is not None and not element.numberImplicit) or element.numberSounding is not None
        qpm = element.getQuarterBPM() if stated else None
        if qpm is not None and 1 <= qpm <= 2000 and not any(o == onset for o, _ in raw.tempos):
            raw.tempos.append((onset, round(float(qpm), 6)))
        if element.text and not element.textImplicit:
            raw.directions.append(Direction(onset, "tempo", " ".join(str(element.text).split())[:100]))

    def _add_jumps(self, measure: stream.Measure, jumps: Jumps) -> None:
        left, right = measure.leftBarline, measure.rightBarline
        for line in (left, right):
            if isinstance(line, bar.Repeat):
                jumps.forward |= line.direction == "start"
                jumps.backward |= line.direction == "end"
                if line.direction == "end" and isinstance(line.times, int):
                    jumps.times = max(2, min(line.times, 16))
        for sign in measure.getElementsByClass(repeat.RepeatExpression):
            jumps.segno |= isinstance(sign, repeat.Segno)
            jumps.fine |= isinstance(sign, repeat.Fine)
            if isinstance(sign, repeat.Coda):
                # The sign stands twice: where the coda is left for (at a bar's end) and where it begins.
                at_end = measure.elementOffset(sign) > 0
                jumps.to_coda |= at_end
                jumps.coda |= not at_end
            if isinstance(sign, (repeat.DaCapo, repeat.DaCapoAlFine, repeat.DaCapoAlCoda)):
                jumps.jump = "capo"
            elif isinstance(sign, (repeat.DalSegno, repeat.DalSegnoAlFine, repeat.DalSegnoAlCoda)):
                jumps.jump = "segno"

    def add_endings(self, owners: list[stream.Stream]) -> None:
        """Marks the bars under first and second endings."""
        brackets: dict[tuple[int, int], tuple[int, ...]] = {}
        for owner in owners:
            for item in owner.getElementsByClass(spanner.RepeatBracket):
                inside = [self._bar_of[id(m)] for m in item.getSpannedElements() if id(m) in self._bar_of]
                numbers = tuple(n for n in item.numberRange if isinstance(n, int) and 1 <= n <= 99)
                if inside and numbers:
                    brackets.setdefault((min(inside), max(inside)), numbers)
        spans = sorted(brackets)
        for place, (first, last) in enumerate(spans):
            followed = place + 1 < len(spans) and spans[place + 1][0] == last + 1
            for index in range(first, last + 1):
                self.bars[index].jumps.ending = brackets[first, last]
                self.bars[index].jumps.last_ending = not followed

    def add_spans(self) -> None:
        """Turns the hairpins and slurs that were met into directions."""
        starts, total = [], 0
        for raw in self.bars:
            starts.append(total)
            total += max([raw.length, *(n.end for n in raw.notes)])
        for span in self.spans:
            if span.first in span.places and span.last in span.places:
                index, onset, _, part = span.places[span.first]
                other, _, end, _ = span.places[span.last]
                length = starts[other] + end - starts[index] - onset
                if length > 0:
                    self.bars[index].directions.append(Direction(onset, span.kind, "", length, part))


def _transpositions(owner: stream.Stream) -> list[tuple[Offset, interval.Interval | None]]:
    """(offset, interval to the sounding pitch) of a part at written pitch; empty where nothing transposes."""
    if owner.atSoundingPitch is True:
        return []
    found: list[tuple[Offset, interval.Interval | None]] = [
        (owner.elementOffset(i), i.transposition) for i in owner.getElementsByClass(instrument.Instrument)
    ]
    found.sort(key=lambda pair: pair[0])
    return found if any(move is not None and move.semitones for _, move in found) else []


def _notes(
    element: note.GeneralNote, onset: int, end: int, part: int, staff: int, voice: int, shift: interval.Interval | None
) -> list[RawNote]:
    if isinstance(element, note.Note):
        struck: Iterable[note.Note] = (element,)
    elif isinstance(element, chord.Chord):
        struck = element.notes
    else:
        return []
    grace = bool(element.duration.isGrace) or end <= onset
    result = []
    for one in struck:
        pitch = one.pitch if shift is None else one.pitch.transpose(shift)
        tie = one.tie.type if one.tie is not None else ""
        tie_in, tie_out = tie in ("stop", "continue"), tie in ("start", "continue")
        result.append(RawNote(onset, end, int(pitch.midi), part, staff, voice, str(pitch.step), tie_in, tie_out, grace))
    return result


def _signs(element: note.GeneralNote, onset: int, part: int) -> list[Direction]:
    found = []
    for sign in element.expressions:
        if isinstance(sign, expressions.Fermata):
            found.append(Direction(onset, "fermata", "", 0, part))
        elif isinstance(sign, expressions.ArpeggioMark):
            found.append(Direction(onset, "arpeggio", "", 0, part))
    for sign in element.articulations:
        name = _ARTICULATION_NAMES.get(type(sign))
        if name is not None:
            found.append(Direction(onset, "articulation", name, 0, part))
    return found


def _meter(sign: meter.TimeSignature) -> list[Meter]:
    """The meter of a time signature, or none where it is one that scores here do not use."""
    try:
        return [Meter(int(sign.numerator), int(sign.denominator))]
    except (ValueError, TypeError):
        return []


def _key(sign: key.KeySignature, shift: interval.Interval | None) -> list[Key]:
    moved = sign if shift is None else sign.transpose(shift)
    if moved is None or moved.sharps is None or abs(moved.sharps) > MAX_ACCIDENTALS:
        return []
    minor = isinstance(moved, key.Key) and moved.mode == "minor"
    try:
        return [Key.of_fifths(int(moved.sharps), minor)]
    except ValueError:
        return []
