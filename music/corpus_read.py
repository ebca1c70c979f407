"""From one source file to the pieces it holds: read it, take the voices that count, cut it into movements, sift.

Each data set is read in one way (`READINGS`). A file that is not wanted gives a reason instead of pieces; nothing here
raises for bad input, so one file never ends a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from music.errors import RitornelloError
from music.score import KeyChange, MeterChange, Note, Score, TempoChange, sort_notes

MIDI_SUFFIXES = (".mid", ".midi", ".kar")
XML_SUFFIXES = (".musicxml", ".xml", ".mxl")
MIN_BARS = 4
MAX_PIECE_NOTES = 20_000
# Between the lines of some chorales the instruments play alone: with more silent bars the singers are no piece.
MAX_SILENT_BARS = 0.1
SINGERS = ("soprano", "alto", "tenor", "bass")

Change = TypeVar("Change", MeterChange, KeyChange, TempoChange)
Reading = Callable[[Path], tuple[Score, ...]]


class _Dropped(RitornelloError):
    """Why a file is not wanted; never leaves this module."""


def read_file(path: Path) -> Score:
    """A score from a MIDI or MusicXML file, by its extension in any case.

    Raises:
        MidiError, MusicXmlError: as the readers do.
    """
    if path.suffix.lower() in MIDI_SUFFIXES:
        from music.midi import read_midi

        return read_midi(path)
    from music.musicxml import read_musicxml  # late: it brings music21, which takes a second to import

    return read_musicxml(path)


def keep_parts(score: Score, wanted: Iterable[int]) -> Score:
    """The score with only these parts, in this order; signs for all parts stay."""
    places = {old: new for new, old in enumerate(wanted)}
    notes = [replace(n, part=places[n.part]) for n in score.notes if n.part in places]
    signs = [replace(d, part=places.get(d.part, -1)) for d in score.directions if d.part < 0 or d.part in places]
    parts = tuple(score.parts[i] for i in places)
    return replace(score, parts=parts, notes=sort_notes(notes), directions=tuple(signs))


def four_singers(score: Score) -> Score:
    """Soprano, alto, tenor and bass of a chorale, without the instruments that may stand beside them.

    Raises:
        RitornelloError: not these four exactly once, or the singers wait for instrumental interludes.
    """
    filled = {n.part for n in score.notes}
    if len(score.parts) == 4 and len(filled) == 4:
        return score
    words = [(part.name or part.id).lower().split() for part in score.parts]
    places = [[i for i, name in enumerate(words) if i in filled and name[:1] == [singer]] for singer in SINGERS]
    if any(len(found) != 1 for found in places):
        raise _Dropped(f"{len(filled)} parts, not four singers")
    choir = keep_parts(score, [found[0] for found in places])
    silent = sum(not _notes_in(choir, bar.onset_div, bar.end_div) for bar in choir.bars)
    if silent > MAX_SILENT_BARS * len(choir.bars):
        raise _Dropped(f"the singers are silent in {silent} of {len(choir.bars)} bars")
    return choir


def _notes_in(score: Score, start_div: int, end_div: int) -> list[Note]:
    return [n for n in score.notes if n.onset_div < end_div and n.end_div > start_div]


def _changes(changes: tuple[Change, ...], start_div: int, end_div: int) -> tuple[Change, ...]:
    before = [c for c in changes if c.onset_div <= start_div][-1:]
    inside = [c for c in changes if start_div < c.onset_div < end_div]
    return tuple(replace(c, onset_div=max(0, c.onset_div - start_div)) for c in before + inside)


def cut_bars(score: Score, first: int, last: int) -> Score:
    """The bars `first` up to, not including, `last` as a score of their own that starts at 0.

    Notes that sound on over either end are cut there; what began before the first bar is left out.
    """
    start, end = score.bars[first].onset_div, score.bars[last - 1].end_div
    notes = [
        replace(n, onset_div=n.onset_div - start, duration_div=min(n.end_div, end) - n.onset_div)
        for n in score.notes
        if start <= n.onset_div < end
    ]
    directions = [
        replace(d, onset_div=d.onset_div - start, duration_div=min(d.duration_div, end - d.onset_div))
        for d in score.directions
        if start <= d.onset_div < end
    ]
    return replace(
        score,
        notes=sort_notes(notes),
        bars=tuple(replace(b, onset_div=b.onset_div - start) for b in score.bars[first:last]),
        meters=_changes(score.meters, start, end),
        keys=_changes(score.keys, start, end),
        tempos=_changes(score.tempos, start, end),
        directions=tuple(directions),
        sections=tuple(replace(m, onset_div=m.onset_div - start) for m in score.sections if start <= m.onset_div < end),
    )


def _opening(score: Score, bar: int, bars: int = 2) -> list[tuple[int, int, int]]:
    """What sounds in a few bars from `bar`, to tell a repeat from a new movement."""
    start = score.bars[bar].onset_div
    end = score.bars[min(bar + bars, len(score.bars)) - 1].end_div
    return [(n.onset_div - start, n.pitch, n.part) for n in score.notes if start <= n.onset_div < end]


def movements(score: Score) -> tuple[Score, ...]:
    """The movements of a file that holds a whole work: bar numbers that start anew, save where the opening returns.

    Repeats are written out, so the numbers start anew at a repeat too; there the same notes come back.
    """
    starts = [0]
    for i, (before, bar) in enumerate(pairwise(score.bars), start=1):
        restarts = bar.number in (0, 1) and before.number > bar.number + 1
        same = restarts and _opening(score, starts[-1] + _shift(score, starts[-1], i)) == _opening(score, i)
        if restarts and not same:
            starts.append(i)
    return tuple(cut_bars(score, a, b) for a, b in pairwise([*starts, len(score.bars)]))


def _shift(score: Score, start: int, bar: int) -> int:
    """1 where a movement opens with an upbeat bar 0 and the bar that starts anew is bar 1."""
    return int(score.bars[start].number == 0 and score.bars[bar].number == 1)


def sift(score: Score) -> None:
    """Lets a piece pass or not.

    Raises:
        RitornelloError: no notes, no complete bar, too few bars, too many notes.
    """
    if not score.notes:
        raise _Dropped("no notes")
    if not any(bar.duration_div == score.meter_at(bar.onset_div).bar_div for bar in score.bars):
        raise _Dropped("no complete bar")
    if len(score.bars) < MIN_BARS:
        raise _Dropped(f"fewer than {MIN_BARS} bars")
    if len(score.notes) > MAX_PIECE_NOTES:
        raise _Dropped(f"more than {MAX_PIECE_NOTES} notes")


def _chorale(path: Path) -> tuple[Score, ...]:
    return (four_singers(read_file(path)),)


def _quartet(path: Path) -> tuple[Score, ...]:
    score = read_file(path)
    filled = sorted({n.part for n in score.notes})
    if len(filled) != 4:
        raise _Dropped(f"{len(filled)} parts, not four")
    return movements(keep_parts(score, filled))


def _whole(path: Path) -> tuple[Score, ...]:
    return (read_file(path),)


READINGS: dict[str, Reading] = {"chorale": _chorale, "quartet": _quartet, "musicxml": _whole, "midi": _whole}


def read_pieces(path: Path, reading: str) -> tuple[tuple[Score, ...], str]:
    """The pieces of a file, or () and the reason why there is none.

    Movements that do not pass `sift` are left out; the file is dropped, with the first reason, when none passes.

    Raises:
        KeyError: unknown reading.
    """
    read = READINGS[reading]
    try:
        kept, reasons = [], []
        for piece in read(path):
            try:
                sift(piece)
                kept.append(piece)
            except _Dropped as error:
                reasons.append(str(error))
        return tuple(kept), "" if kept else reasons[0]
    except _Dropped as error:
        return (), str(error)
    except RitornelloError as error:
        return (), f"{type(error).__name__}: {getattr(error, 'reason', error)}"
    except MemoryError:
        return (), "out of memory"
    except Exception as error:  # a reader's fault must not end a run over hundreds of files: it is reported instead
        return (), f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:200]}"
