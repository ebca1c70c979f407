"""Reads a score, a MIDI performance of it and an alignment that names which played note is which score note.

Three files of one name lie in a folder: the score NAME.musicxml (.xml, .mxl, .mid …), the performance
NAME.performance.mid and NAME.alignment.tsv. The alignment is text, two columns parted by a tab or comma: the number of
a score note, the number of a played note; `-` in either column where a note has no partner. Lines that begin with `#`
and a first line of words count for nothing. Notes are numbered from 0 by onset, then pitch, repeats written out:

    python -m music.aligned_files FILE          lists the notes of a score or a performance with their numbers
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from music.corpus_read import MIDI_SUFFIXES, read_file
from music.errors import FileError
from music.midi import read_performance_midi
from music.paired import PairedPerformance
from music.performance import Performance, PerformedNote
from music.performance_sources import PERFORMANCE_MARK, performance_beside, score_beside
from music.score import Note, Score
from music.time import DIVS_PER_QUARTER

MAX_BYTES = 20_000_000
NO_PARTNER = "-"


def numbered_notes(score: Score) -> tuple[Note, ...]:
    """A score's notes in the order of their numbers: onset, pitch, then part and length."""
    return tuple(sorted(score.notes, key=lambda n: (n.onset_div, n.pitch, n.part, n.duration_div, n.id)))


def numbered_strikes(performance: Performance) -> tuple[PerformedNote, ...]:
    """Played notes in the order of their numbers: onset, then pitch."""
    return tuple(sorted(performance.notes, key=lambda n: (n.onset_sec, n.pitch, n.duration_sec, n.note_id)))


def read_alignment(path: Path) -> tuple[tuple[int | None, int | None], ...]:
    """The pairs of numbers in an alignment file, None for a note without a partner.

    Raises:
        FileError: not there, not text, too large, a line that is no pair of numbers, a number that comes twice.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileError(path, f"is larger than {MAX_BYTES // 1_000_000} MB")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(path, "is not text") from None
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from None
    rows = tuple(_rows(path, text.splitlines()))
    for column, kind in enumerate(("score", "played")):
        seen: set[int] = set()
        for row in rows:
            number = row[column]
            if number is not None and number in seen:
                raise FileError(path, f"{kind} note {number} comes twice")
            seen |= {number} if number is not None else set()
    return rows


def _rows(path: Path, lines: Sequence[str]) -> Iterator[tuple[int | None, int | None]]:
    first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in re.split(r"[\t,]", line)]
        fits = len(cells) >= 2 and all(c == NO_PARTNER or re.fullmatch(r"[0-9]{1,7}", c) for c in cells[:2])
        if fits:
            score, played = (None if c == NO_PARTNER else int(c) for c in cells[:2])
            yield score, played
        elif not first:
            raise FileError(path, f"line {number} is no pair of numbers: {line[:60]!r}")
        first = False


def read_aligned(path: Path) -> PairedPerformance:
    """The pair of an alignment file and the score and performance beside it.

    Score notes that the alignment leaves out count as not played, played notes that it leaves out as insertions.

    Args:
        path: NAME.alignment.tsv.

    Raises:
        FileError: score or performance missing, a bad alignment, a number beyond the notes, no note aligned.
        MidiError, MusicXmlError: as the readers do.
    """
    score_path, performance_path = score_beside(path), performance_beside(path)
    if score_path is None or performance_path is None:
        raise FileError(path, f"no {'score' if score_path is None else 'performance'} stands beside it")
    rows = read_alignment(path)
    score, performance = read_file(score_path), read_performance_midi(performance_path)
    notes, strikes = numbered_notes(score), numbered_strikes(performance)
    played = []
    for number, strike in rows:
        if number is not None and number >= len(notes):
            raise FileError(path, f"score note {number} is beyond the {len(notes)} notes of {score_path.name}")
        if strike is not None and strike >= len(strikes):
            raise FileError(path, f"played note {strike} is beyond the {len(strikes)} of {performance_path.name}")
        if number is not None and strike is not None:
            found = strikes[strike]
            sound = (found.onset_sec, found.duration_sec, found.pitch, found.velocity)
            played.append(PerformedNote(notes[number].id, *sound))
    if not played:
        raise FileError(path, "aligns no note")
    played.sort(key=lambda n: (n.onset_sec, n.pitch, n.note_id))
    return PairedPerformance(
        score,
        Performance(tuple(played), performance.pedals),
        deletions=len(notes) - len(played),
        insertions=len(strikes) - len(played),
    )


def numbered_list(path: Path) -> str:
    """The notes of a score, or of a performance (NAME.performance.mid), one a line: number, onset, pitch.

    Raises:
        MidiError, MusicXmlError: as the readers do.
    """
    if Path(path.stem).suffix == PERFORMANCE_MARK and path.suffix.lower() in MIDI_SUFFIXES:
        rows = [
            f"{i}\t{n.onset_sec:.3f}\t{n.pitch}" for i, n in enumerate(numbered_strikes(read_performance_midi(path)))
        ]
        return "\n".join(["number\tseconds\tpitch", *rows])
    notes = numbered_notes(read_file(path))
    rows = [f"{i}\t{n.onset_div / DIVS_PER_QUARTER:.4f}\t{n.pitch}" for i, n in enumerate(notes)]
    return "\n".join(["number\tquarters\tpitch", *rows])


if __name__ == "__main__":
    sys.stdout.write(numbered_list(Path(sys.argv[1])) + "\n")
