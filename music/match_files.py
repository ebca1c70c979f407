"""Reads .match files: a score and a human performance of it, aligned note by note (as (n)ASAP has them).

Format: F. Foscarin, E. Karystinaios, S. D. Peter, C. Cancino-Chacón, M. Grachten, G. Widmer, "The match file format:
Encoding alignments between scores and performances" (MEC 2022). The lines are parsed by partitura.
"""

from __future__ import annotations

import warnings
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

from music.errors import FileError, RitornelloError
from music.paired import PairedPerformance
from music.performance import Pedal, Performance, PerformedNote
from music.pitch import MAX_ACCIDENTALS, Key
from music.score import Bar, KeyChange, MeterChange, Note, Part, Score, sort_notes
from music.time import DIVS_PER_QUARTER, Meter

MAX_BYTES = 50_000_000  # a long sonata movement has 0.5 MB
NEAR_DIV = DIVS_PER_QUARTER // 16  # two onsets of one bar by rounded fractions lie no farther apart
SUSTAIN = 64  # MIDI controller
SHORTEST_SEC = 0.001  # a key that is let go in the tick in which it was struck


def _parsed(path: Path) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
    """partitura's match file, its score part, its performed part and its alignment."""
    from partitura.io import importmatch  # imported late: it takes seconds

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines = importmatch.load_matchfile(str(path))
        part = importmatch.part_from_matchfile(lines)
        performed = importmatch.performed_part_from_match(lines)
        return lines, part, performed, importmatch.note_alignment_from_matchfile(lines)


def _bar_starts(lines: Any, notes: list[Note], meters: tuple[MeterChange, ...]) -> dict[int, int]:
    """Printed numbers of the bars by their onset, in order: where each note's bar and beat say that its bar began.

    partitura's own bars are not used: it knows a bar by its number, and in a repeat the numbers come again.
    """
    onsets = {note.id: note.onset_div for note in notes}
    votes: Counter[tuple[int, int]] = Counter()
    for row in lines.snotes:
        onset = onsets.get(row.Anchor)
        if onset is not None:
            beat = Fraction(4 * (int(row.Beat) - 1), _meter_at(meters, onset).denominator)
            within = Fraction(
                4 * int(row.Offset.numerator), int(row.Offset.denominator) * int(row.Offset.tuple_div or 1)
            )
            votes[max(0, onset - round((beat + within) * DIVS_PER_QUARTER)), int(row.Measure)] += 1
    starts: dict[int, int] = {}
    kept: tuple[int, int] | None = None
    for place in sorted(votes):
        if kept is not None:
            close = place[0] - kept[0] < NEAR_DIV
            same = place[1] == kept[1] and place[0] - kept[0] < _meter_at(meters, kept[0]).bar_div
            if close and votes[place] > votes[kept]:
                del starts[kept[0]]
            elif close or same:
                continue
        starts[place[0]], kept = place[1], place
    return starts


def _bars(starts: dict[int, int], meters: tuple[MeterChange, ...], end_div: int) -> tuple[Bar, ...]:
    """Bars without a gap; those in which nothing is struck are put in by the meter where numbers are missing."""
    first = min(starts, default=0)
    starts = {0: starts.get(first, 1) if first < NEAR_DIV else 0, **{k: v for k, v in starts.items() if k >= NEAR_DIV}}
    places = sorted(starts)
    bars: list[Bar] = []
    for i, place in enumerate(places):
        length, number = _meter_at(meters, place).bar_div, starts[place]
        stop = places[i + 1] if i + 1 < len(places) else max(end_div, place + length)
        silent = (stop - place) // length - 1
        if i + 1 < len(places) and starts[stop] > number:
            silent = min(silent, starts[stop] - number - 1)
        for _ in range(max(0, silent)):
            bars.append(Bar(place, length, number))
            place, number = place + length, number + 1
        bars.append(Bar(place, stop - place, number))
    return tuple(bars)


def _meter_at(meters: tuple[MeterChange, ...], onset_div: int) -> Meter:
    return next((m.meter for m in reversed(meters) if m.onset_div <= onset_div), meters[0].meter)


def _meters(part: Any, per_div: Fraction) -> tuple[MeterChange, ...]:
    found = {round(int(t.start.t) * per_div): Meter(int(t.beats), int(t.beat_type)) for t in part.time_sigs}
    meters: list[MeterChange] = []
    for onset in sorted(found):
        if not meters or found[onset] != meters[-1].meter:
            meters.append(MeterChange(onset if meters else 0, found[onset]))
    return tuple(meters)


def _keys(lines: Any, bars: tuple[Bar, ...]) -> tuple[KeyChange, ...]:
    """Key signatures at their bars; partitura's score part has them at places that are no times."""
    starts: dict[int, int] = {}
    for bar in bars:
        starts.setdefault(bar.number, bar.onset_div)
    found: dict[int, Key] = {}
    for i, (_, bar, signature) in enumerate(lines.key_signatures):
        onset = 0 if i == 0 else starts.get(int(bar))
        if onset is not None and abs(int(signature.fifths)) <= MAX_ACCIDENTALS:
            found[onset] = Key.of_fifths(int(signature.fifths), str(signature.mode) == "minor")
    changes: list[KeyChange] = []
    for onset in sorted(found):
        if not changes or found[onset] != changes[-1].key:
            changes.append(KeyChange(onset, found[onset]))
    return tuple(changes)


def _score(lines: Any, part: Any) -> Score:
    # partitura's quarter lasts one number of divisions throughout a match file.
    per_div = Fraction(DIVS_PER_QUARTER, int(part.quarter_durations()[0][1]))
    notes = []
    for note in part.notes_tied:
        onset = round(int(note.start.t) * per_div)
        end = round(int(note.start.t + note.duration_tied) * per_div)
        notes.append(Note(note.id, onset, end - onset, int(note.midi_pitch), step=str(note.step)))
    meters = _meters(part, per_div)
    bars = _bars(_bar_starts(lines, notes, meters), meters, max((note.end_div for note in notes), default=0))
    # Version 5.0 tells of no hands, so none are taken from the other: whoever needs them infers them for all alike.
    return Score((Part("P1", "Piano"),), sort_notes(notes), bars, meters, _keys(lines, bars))


def _performance(performed: Any, partners: dict[str, str]) -> Performance:
    """The notes of `partners` (score id by performed id) and the sustain pedal."""
    notes = []
    for note in performed.notes:
        if note["id"] in partners:
            onset = float(note["note_on"])
            duration = max(float(note["note_off"]) - onset, SHORTEST_SEC)
            pitch, velocity = int(note["midi_pitch"]), int(note["velocity"])
            notes.append(PerformedNote(partners[note["id"]], onset, duration, pitch, velocity))
    notes.sort(key=lambda n: (n.onset_sec, n.pitch, n.note_id))
    pedals = [Pedal(float(c["time"]), int(c["value"])) for c in performed.controls if c["number"] == SUSTAIN]
    return Performance(tuple(notes), tuple(sorted(pedals, key=lambda p: p.onset_sec)))


def _paired(path: Path) -> PairedPerformance:
    lines, part, performed, alignment = _parsed(path)
    score = _score(lines, part)
    rows = {label: [row for row in alignment if row["label"] == label] for label in ("match", "insertion", "ornament")}
    known = {note.id for note in score.notes}
    partners = {row["performance_id"]: row["score_id"] for row in rows["match"] if row["score_id"] in known}
    performance = _performance(performed, partners)
    return PairedPerformance(
        score,
        performance,
        deletions=len(score.notes) - len(performance.notes),
        insertions=len(rows["insertion"]),
        ornaments=len(rows["ornament"]),
    )


def read_match(path: Path) -> PairedPerformance:
    """Reads a .match file of version 1.0 or 5.0: about 0.5 s for a piece of a thousand notes.

    The score has ids, bars, meters, key signatures and spelling, but neither hands nor voices (see `music.voices`).

    Raises:
        FileError: no such file, not a match file, or one that makes no valid score and performance.
    """
    if not path.is_file():
        raise FileError(path, "there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise FileError(path, f"is larger than {MAX_BYTES // 1_000_000} MB")
    try:
        with path.open(encoding="utf-8") as lines:
            first = lines.readline(200)
    except UnicodeDecodeError:
        raise FileError(path, "is not text") from None
    if not first.startswith("info(matchFileVersion,"):
        raise FileError(path, "does not begin with the version of a match file")
    try:
        pair = _paired(path)
    except RitornelloError as error:
        raise FileError(path, str(error)) from error
    except Exception as error:  # whatever partitura's parser and its assertions raise on a damaged file
        detail = " ".join(str(error).split())[:160]
        raise FileError(path, f"cannot be read as a match file ({type(error).__name__}: {detail})") from error
    if not pair.performance.notes:
        raise FileError(path, "has no aligned note")
    return pair
