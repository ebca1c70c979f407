"""The notes of a score as a page of music needs them: voices, bars and tied pieces, before any XML is written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

from music.note_values import Piece, bar_pieces
from music.pitch import STEPS, alter_of, fifths_of_name, octave_of
from music.score import Bar, Note, Score
from music.time import Meter
from music.voices import assign_voices, with_steps, with_voices

TENTH = 16  # semitones, a major tenth: wider chords are broken
SHORT_TYPES = ("eighth", "16th", "32nd", "64th", "128th")
ACCIDENTALS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}


@dataclass(slots=True)
class Written:
    """A chord, rest or grace note as it stands in one bar of one voice, one note value.

    `signs` are (element, attributes) pairs for its notations; `accidentals` holds those shown, by note id.
    """

    start: int
    end: int
    piece: Piece | None  # None: a rest of the whole bar
    notes: tuple[Note, ...] = ()
    tie_in: bool = False
    tie_out: bool = False
    grace: bool = False
    beams: list[str] = field(default_factory=list)
    signs: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    accidentals: dict[str, str] = field(default_factory=dict)


# One bar of one part: (staff, voice) -> its values in order.
BarVoices = dict[tuple[int, int], list[Written]]


def complete(score: Score) -> Score:
    """The score with staff, voice and step of every note, no voice overlapping itself, no step far from its pitch.

    What a file gave is kept where it can be written; a lone keyboard part without staves is dealt to two hands.
    """
    if len(score.parts) == 1 and score.parts[0].program < 24 and any(n.staff == 0 for n in score.notes):
        score = assign_voices(replace(score, notes=tuple(replace(n, staff=0) for n in score.notes)), "piano")
    notes = [replace(n, staff=max(1, n.staff), step=_near(n)) for n in score.notes]
    notes = with_steps(score, notes)
    notes = [n if abs(alter_of(n.pitch, n.step)) <= 2 else replace(n, step=_plain_step(n.pitch)) for n in notes]
    if any(n.voice < 1 for n in notes) or _overlapping(notes):
        notes = with_voices(notes)
    return replace(score, notes=tuple(sorted(notes, key=_order)))


def _order(note: Note) -> tuple[int, int, int, int, int, str]:
    return note.onset_div, note.pitch, note.part, note.voice, note.duration_div, note.id


def _near(note: Note) -> str:
    return note.step if note.step and abs(alter_of(note.pitch, note.step)) <= 2 else ""


def _plain_step(pitch: int) -> str:
    return min(STEPS, key=lambda s: abs(alter_of(pitch, s)))


def _overlapping(notes: list[Note]) -> bool:
    """True where a voice overlaps itself, or one voice number stands on two staves of a part."""
    busy: dict[tuple[int, int], tuple[int, int, int]] = {}
    staves: dict[tuple[int, int], int] = {}
    for note in notes:
        if staves.setdefault((note.part, note.voice), note.staff) != note.staff:
            return True
        if note.duration_div == 0:
            continue
        until, onset, end = busy.get((note.part, note.voice), (0, -1, -1))
        if note.onset_div < until and (note.onset_div, note.end_div) != (onset, end):
            return True
        busy[note.part, note.voice] = (max(until, note.end_div), note.onset_div, note.end_div)
    return False


def phase_of(bar: Bar, index: int, meter: Meter) -> int:
    """Where in the meter's bar a bar begins: an upbeat ends with the bar's end, others begin at 0."""
    short = meter.bar_div - bar.duration_div
    return short if short > 0 and (index == 0 or bar.number == 0) else 0


def write_bars(score: Score, part: int) -> list[BarVoices]:
    """All bars of one part: voices that add up to the bar exactly, rests filled in.

    The first voice of each staff stands in every bar, others only where they have notes.

    Args:
        score: as `complete` gives it.
        part: index of the part.
    """
    staves = [1, 2] if _is_grand(score, part) else [1]
    first = {s: min([n.voice for n in score.notes if n.part == part and n.staff == s] or [4 * s - 3]) for s in staves}
    chords = _chords(score, part)
    bars: list[BarVoices] = []
    pending: dict[tuple[int, int], list[tuple[int, int, tuple[Note, ...]]]] = {k: v[::-1] for k, v in chords.items()}
    for index, bar in enumerate(score.bars):
        last = index == len(score.bars) - 1
        meter = score.meter_at(bar.onset_div)
        found: BarVoices = {}
        for staff in staves:
            voices = sorted({v for s, v in pending if s == staff} | {first[staff]})
            for voice in voices:
                events = _take(pending.get((staff, voice), []), bar, last)
                if events or voice == first[staff]:
                    found[staff, voice] = _write_voice(events, bar, meter, phase_of(bar, index, meter))
        bars.append(found)
    return bars


def _is_grand(score: Score, part: int) -> bool:
    keyboard = len(score.parts) == 1 and score.parts[part].program < 8
    return keyboard or any(n.staff == 2 for n in score.notes if n.part == part)


def _chords(score: Score, part: int) -> dict[tuple[int, int], list[tuple[int, int, tuple[Note, ...]]]]:
    """(staff, voice) -> (onset, end, notes) in order; each grace note by itself, before what begins with it."""
    grouped: dict[tuple[int, int, int, int, int], list[Note]] = defaultdict(list)
    for order, note in enumerate(score.notes):
        if note.part == part:
            grace = order if note.duration_div == 0 else -1
            grouped[note.staff, note.voice, note.onset_div, note.end_div, grace].append(note)
    result: dict[tuple[int, int], list[tuple[int, int, tuple[Note, ...]]]] = defaultdict(list)
    for (staff, voice, onset, end, _), notes in sorted(grouped.items()):
        result[staff, voice].append((onset, end, tuple(notes)))
    return dict(result)


def _take(
    events: list[tuple[int, int, tuple[Note, ...]]], bar: Bar, last: bool
) -> list[tuple[int, int, tuple[Note, ...]]]:
    """Events that sound in a bar, taken from the end of the reversed list; what rings on is put back."""
    taken = []
    while events and (events[-1][0] < bar.end_div or last):
        taken.append(events.pop())
    if taken and taken[-1][1] > bar.end_div:
        events.append(taken[-1])
    return taken


def _write_voice(events: list[tuple[int, int, tuple[Note, ...]]], bar: Bar, meter: Meter, phase: int) -> list[Written]:
    graces = [e for e in events if e[0] == e[1]]
    spans: list[tuple[int, int, tuple[Note, ...]]] = []
    place = bar.onset_div
    for onset, end, notes in events:
        if onset == end:
            continue
        begin, stop = max(onset, bar.onset_div), min(end, bar.end_div)
        if begin > place:
            spans.append((place, begin, ()))
        spans.append((begin, stop, notes))
        place = stop
    if not spans and not graces and bar.duration_div == meter.bar_div:
        return [Written(0, bar.duration_div, None)]
    if place < bar.end_div:
        spans.append((place, bar.end_div, ()))
    marks = tuple(sorted({e[0] - bar.onset_div for e in graces}))
    shape = [(a - bar.onset_div, b - bar.onset_div, not notes) for a, b, notes in spans]
    written = []
    pieces_of = bar_pieces(shape, bar.duration_div, meter, phase, marks)
    for (_, _, notes), pieces in zip(spans, pieces_of, strict=True):
        for piece in pieces:
            if not notes:
                written.append(Written(piece.start, piece.end, piece))
                continue
            tie_in = piece.start + bar.onset_div > notes[0].onset_div
            tie_out = piece.end + bar.onset_div < notes[0].end_div
            written.append(Written(piece.start, piece.end, piece, notes, tie_in, tie_out))
    for onset, _, notes in reversed(graces):
        start = onset - bar.onset_div
        place = next((i for i, w in enumerate(written) if w.start >= start), len(written))
        written.insert(place, Written(start, start, None, notes, grace=True))
    _add_beams(written, meter, phase)
    return written


def _add_beams(written: list[Written], meter: Meter, phase: int) -> None:
    """Beams over the short notes of each beat."""
    groups: dict[int, list[Written]] = defaultdict(list)
    runs, beat_before = 0, -1
    for item in written:
        if item.grace:
            continue
        beat = (item.start + phase) // meter.beat_div
        short = item.notes and item.piece is not None and item.piece.type in SHORT_TYPES
        if not short or beat != beat_before:
            runs += 1
        beat_before = beat if short else -1
        if short:
            groups[runs].append(item)
    for group in groups.values():
        depths = [SHORT_TYPES.index(w.piece.type) + 1 if w.piece else 0 for w in group]
        if len(group) > 1:
            for index, item in enumerate(group):
                item.beams = [_beam(depths, index, level) for level in range(1, depths[index] + 1)]


def _beam(depths: list[int], index: int, level: int) -> str:
    before = index > 0 and depths[index - 1] >= level
    after = index + 1 < len(depths) and depths[index + 1] >= level
    if before and after:
        return "continue"
    if before or after:
        return "end" if before else "begin"
    return "backward hook" if index > 0 else "forward hook"


def add_accidentals(bar: BarVoices, fifths: int) -> None:
    """Puts an accidental before each note that differs from the signature or from what stood before it in the bar."""
    standing: dict[tuple[int, str, int], int] = {}
    signature = {s: _signature_alter(s, fifths) for s in STEPS}
    items = [(w.start, not w.grace, staff, voice, w) for (staff, voice), ws in bar.items() for w in ws]
    for _, _, staff, _, item in sorted(items, key=lambda i: i[:4]):
        for note in item.notes:
            octave, alter = octave_of(note.pitch, note.step), alter_of(note.pitch, note.step)
            place = (staff, note.step, octave)
            # A note tied over the barline needs no sign, nor does it count for the notes after it.
            if standing.get(place, signature[note.step]) != alter and not item.tie_in:
                item.accidentals[note.id] = ACCIDENTALS[alter]
                standing[place] = alter


def _signature_alter(step: str, fifths: int) -> int:
    """Accidental that a signature gives a letter."""
    place = fifths_of_name(step, 0)  # F -1 … B 5
    return (fifths + 5 - place) // 7 if fifths > 0 else -((-fifths + place + 1) // 7)


def wide_hands(score: Score, part: int) -> tuple[set[tuple[int, int]], list[tuple[int, int]]]:
    """What one hand cannot span: places of chords to be broken, and stretches to be held by the pedal.

    A chord struck at once over more than a tenth is broken (`arpeggiate`); where a hand strikes notes more than a tenth
    from one that it holds, the pedal holds that one.

    Returns:
        ({(onset, staff)} of chords, [(start, end)] of pedals, merged, in divisions).
    """
    broken: set[tuple[int, int]] = set()
    pedals: list[tuple[int, int]] = []
    for staff in (1, 2):
        held: list[Note] = []
        by_onset: dict[int, list[Note]] = defaultdict(list)
        for note in score.notes:
            if note.part == part and note.staff == staff and note.duration_div > 0:
                by_onset[note.onset_div].append(note)
        for onset, struck in sorted(by_onset.items()):
            low, high = min(n.pitch for n in struck), max(n.pitch for n in struck)
            if high - low > TENTH:
                broken.add((onset, staff))
            held = [h for h in held if h.end_div > onset]
            far = [h for h in held if max(high, h.pitch) - min(low, h.pitch) > TENTH]
            pedals.extend((h.onset_div, h.end_div) for h in far)
            held += struck
    return broken, _merged(pedals)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result
