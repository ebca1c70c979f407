"""A theme from a file: the melody line of a MIDI or MusicXML file, on the clock of plans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from music.errors import MidiError, MusicXmlError
from music.pitch import Key
from music.plan import PlanNote, Theme
from music.score import Note, Score
from music.time import DIVS_PER_QUARTER, Meter

MIDI_SUFFIXES = (".mid", ".midi")
MUSICXML_SUFFIXES = (".xml", ".musicxml", ".mxl")
MAX_THEME_BARS = 4
# Played files do not lie on the clock: onsets go to the nearest 24th of a quarter, which holds 32nds and triplets.
_SNAP_DIV = DIVS_PER_QUARTER // 24
# How much of a note may still sound when the next one starts, as legato playing leaves it.
_LEGATO_SHARE, _LEGATO_DIV = 0.34, DIVS_PER_QUARTER // 8


def read_theme(
    path: str | Path, label: str = "A", *, max_bars: int = MAX_THEME_BARS, meter: Meter | None = None
) -> tuple[Theme, Meter | None]:
    """Reads the first bars of a file's melody.

    The melody is the top line, one note at a time. Its upbeat, if it has one, gets negative onsets: a short first bar,
    or a first bar that is empty up to its middle. The key is one of the file's signature, else the estimated one.

    Args:
        path: a MIDI or MusicXML file.
        label: the letter that the theme gets.
        max_bars: at most so many bars are taken.
        meter: what bars are counted in where a MIDI file names no meter.

    Returns:
        The theme, and the meter that the file names, None where it names none.

    Raises:
        MidiError, MusicXmlError: a file that cannot be read or that has no notes.
    """
    path = Path(path)
    score, named = _read(path)
    found = score.meters[0].meter if named or meter is None else meter
    line = melody_of(score.notes)
    if not line:
        raise _error(path, "has no notes to take a theme from")
    origin = _downbeat(score, line[0], found)
    bars, notes = _cut(line, origin, found, max_bars)
    if not notes:
        raise _error(path, f"has no notes in its first {max_bars} bars to take a theme from")
    return Theme(label, bars, _key(score, line[0], origin + bars * found.bar_div), notes), found if named else None


def _error(path: Path, reason: str) -> MidiError | MusicXmlError:
    return (MidiError if path.suffix.lower() in MIDI_SUFFIXES else MusicXmlError)(path, reason)


def _read(path: Path) -> tuple[Score, bool]:
    """The score of a file, and whether the file names its meter."""
    suffix = path.suffix.lower()
    if suffix in MIDI_SUFFIXES:
        from music.midi import read_midi

        # A Score always has a meter; whether a MIDI file names one shows only in its bytes (meta event 0x58, length 4).
        return read_midi(path), b"\xff\x58\x04" in path.read_bytes()
    if suffix in MUSICXML_SUFFIXES:
        from music.musicxml import read_musicxml  # imported late: it brings music21

        return read_musicxml(path), True
    known = ", ".join((*MIDI_SUFFIXES, *MUSICXML_SUFFIXES))
    raise _error(path, f"is no theme file: its name does not end in one of {known}")


def melody_of(notes: tuple[Note, ...]) -> list[Note]:
    """The top line of notes: what starts under a sounding higher note is left out, and no two notes overlap."""
    line: list[Note] = []
    for note in sorted(notes, key=lambda n: (n.onset_div, -n.pitch)):
        if note.duration_div == 0 or (line and line[-1].onset_div == note.onset_div):
            continue
        if line and note.pitch < line[-1].pitch:
            left = line[-1].end_div - note.onset_div
            if left > min(_LEGATO_SHARE * line[-1].duration_div, _LEGATO_DIV):
                continue
        line.append(note)
    return line


def _downbeat(score: Score, first: Note, meter: Meter) -> int:
    """Onset of the theme's first full bar."""
    bar = score.bars[0]
    if bar.duration_div < meter.bar_div and len(score.bars) > 1 and first.onset_div < bar.end_div:
        return bar.end_div
    start = bar.end_div if bar.duration_div < meter.bar_div else 0
    whole, offset = divmod(first.onset_div - start, meter.bar_div)
    return start + (whole + (2 * offset >= meter.bar_div)) * meter.bar_div


def _snapped(div: int) -> int:
    return round(div / _SNAP_DIV) * _SNAP_DIV


def _cut(line: list[Note], origin: int, meter: Meter, max_bars: int) -> tuple[int, tuple[PlanNote, ...]]:
    """The bars and notes of the line from its upbeat to `max_bars` bars, on the snapped clock, one at a time."""
    limit = max_bars * meter.bar_div
    found: list[PlanNote] = []
    for note in line:
        onset = _snapped(note.onset_div - origin)
        end = min(max(_snapped(note.end_div - origin), onset + _SNAP_DIV), limit)
        if onset >= limit:
            break
        if found and onset <= found[-1].onset_div:
            continue
        if found and onset < found[-1].onset_div + found[-1].duration_div:
            found[-1] = replace(found[-1], duration_div=onset - found[-1].onset_div)
        found.append(PlanNote(onset, end - onset, note.pitch))
    # A theme that is all upbeat has its one bar after it.
    last = max((n.onset_div + n.duration_div for n in found), default=0)
    return max(1, -(-last // meter.bar_div)), tuple(found)


def _key(score: Score, first: Note, end_div: int) -> Key:
    """The signature's key; the notes choose between it and its relative: many programs write every key as major."""
    from music.analysis.key import estimate_key  # imported late: analysis is a room of its own

    heard = estimate_key(score, first.onset_div, min(max(end_div, first.end_div), score.end_div))
    signature = score.key_at(first.onset_div)
    return heard if signature is None or heard.fifths == signature.fifths else signature
