"""Reads a file of www.piano-midi.de as a score and a performance of it: both are in one MIDI file.

Onsets lie on an exact metrical grid and the tempo map carries the rubato, so the score has the file's ticks and the
performance its seconds. Chords are struck together: there is no timing of single notes to learn here. Lengths are as
played, mostly a little shorter or longer than written; `written_lengths` undoes that. Tracks are named after the hands.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from music.midi import read_midi, read_performance_midi
from music.paired import PairedPerformance
from music.performance import Performance, PerformedNote
from music.score import Note, Part, Score, sort_notes
from music.time import DIVS_PER_QUARTER
from music.voices import LOWER, UPPER, hands

STRAIGHT_DIV = DIVS_PER_QUARTER // 8  # thirty-seconds
TRIPLET_DIV = DIVS_PER_QUARTER // 6  # twenty-fourths
# A length off the grid means the time to the next onset of its track where it is so much of it: detached to legato.
LEAST_OF_GAP, MOST_OF_GAP = 0.7, 1.3
LATER_ONSETS = 8  # how many of the onsets that follow may end a note
SHORTEST_SEC = 0.001


def read_piano_midi(path: Path) -> PairedPerformance:
    """Score and performance of a file of www.piano-midi.de; about 0.2 s.

    The score has one part; staves where the tracks' names tell the hand, else by `music.voices.hands`. It has no
    tempos: those of the file are the player's. A key that both hands strike at once is one note. In the performance
    a key that is struck again while it sounds is let go first. Pedal as in the file, all channels as one.

    Raises:
        MidiError: as `read_midi`.
    """
    score, performance = read_midi(path), read_performance_midi(path)
    played = {note.note_id: note for note in performance.notes}
    notes, strong = _without_unisons(written_lengths(score), played)
    notes = [replace(note, part=0, staff=staff) for note, staff in zip(notes, _staves(score, notes), strict=True)]
    written = replace(score, parts=(Part("P1", "Piano"),), notes=sort_notes(notes), tempos=())
    kept = [replace(played[note.id], velocity=strong[note.id]) for note in notes]
    return PairedPerformance(written, Performance(_released(kept), performance.pedals))


def hand_of_track(name: str) -> int:
    """The staff that a track's name tells: "Piano right" 1, "Piano left 2" 2; 0 where it names no hand."""
    words = name.lower()
    return UPPER if "right" in words else LOWER if "left" in words else 0


def written_lengths(score: Score) -> list[Note]:
    """The notes with lengths as a score would have them, in the same order.

    A length on the grid stays: thirty-seconds, or twenty-fourths in a beat that the note's track divides in three.
    One off the grid becomes the time to the nearest of the next onsets in its track of which it is 0.7 to 1.3; else
    it is rounded up to the grid.
    """
    onsets = [sorted({n.onset_div for n in score.notes if n.part == part}) for part in range(len(score.parts))]
    triplets = [
        {at // DIVS_PER_QUARTER for at in found if at % STRAIGHT_DIV and not at % TRIPLET_DIV} for found in onsets
    ]
    last = score.end_div
    result = []
    for note in score.notes:
        unit = TRIPLET_DIV if note.onset_div // DIVS_PER_QUARTER in triplets[note.part] else STRAIGHT_DIV
        length = note.duration_div
        if length % unit:
            length = min(_length(note, onsets[note.part], unit), last - note.onset_div)
        result.append(replace(note, duration_div=length))
    return result


def _length(note: Note, onsets: Sequence[int], unit: int) -> int:
    place = bisect_right(onsets, note.onset_div)
    gaps = [at - note.onset_div for at in onsets[place : place + LATER_ONSETS]]
    near = [gap for gap in gaps if LEAST_OF_GAP <= note.duration_div / gap <= MOST_OF_GAP]
    if near:
        return min(near, key=lambda gap: abs(np.log(note.duration_div / gap)))
    return -(-note.duration_div // unit) * unit


def _without_unisons(notes: list[Note], played: dict[str, PerformedNote]) -> tuple[list[Note], dict[str, int]]:
    """Of notes with one pitch and onset the longest, and the velocity of each kept note: that of the loudest."""
    first: dict[tuple[int, int], Note] = {}
    strong: dict[tuple[int, int], int] = {}
    for note in notes:
        key = (note.onset_div, note.pitch)
        if key not in first or played[note.id].duration_sec > played[first[key].id].duration_sec:
            first[key] = note
        strong[key] = max(strong.get(key, 0), played[note.id].velocity)
    kept = [note for note in notes if first[note.onset_div, note.pitch] is note]
    return kept, {note.id: strong[note.onset_div, note.pitch] for note in kept}


def _staves(score: Score, notes: list[Note]) -> list[int]:
    named = [hand_of_track(score.parts[note.part].name) for note in notes]
    if all(named):
        return named
    columns = (np.array([getattr(n, name) for n in notes], np.int64) for name in ("onset_div", "duration_div", "pitch"))
    return [staff or int(guess) for staff, guess in zip(named, hands(*columns), strict=True)]


def _released(notes: list[PerformedNote]) -> tuple[PerformedNote, ...]:
    """Notes by onset, each ended where its key is struck again."""
    result: list[PerformedNote] = []
    before: dict[int, int] = {}
    for note in sorted(notes, key=lambda n: (n.onset_sec, n.pitch, n.note_id)):
        index = before.get(note.pitch)
        if index is not None:
            earlier = result[index]
            room = max(note.onset_sec - earlier.onset_sec, SHORTEST_SEC)
            result[index] = replace(earlier, duration_sec=min(earlier.duration_sec, room))
        before[note.pitch] = len(result)
        result.append(note)
    return tuple(result)
