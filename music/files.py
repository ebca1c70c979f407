"""A score from whatever file a user has: the reader by the file's name, hands and voices where the file has none."""

from __future__ import annotations

from pathlib import Path

from music.errors import FileError
from music.score import Score

MIDI_SUFFIXES = (".mid", ".midi", ".kar")
MUSICXML_SUFFIXES = (".musicxml", ".xml", ".mxl")
# A MIDI file of up to so many tracks is read as two hands at a piano; of more, as an ensemble.
PIANO_PARTS = 2


def read_score(path: Path) -> Score:
    """Reads a MIDI or MusicXML file for playing.

    Raises:
        FileError: no such file, a name that tells of neither format, or a score without notes.
        MidiError, MusicXmlError: as the readers do.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise FileError(path, "is a folder, not a file" if path.is_dir() else "there is no such file")
    if suffix in MIDI_SUFFIXES:
        from music.midi import read_midi

        score = read_midi(path)
    elif suffix in MUSICXML_SUFFIXES:
        from music.musicxml import read_musicxml  # imported late: it brings music21

        score = read_musicxml(path)
    else:
        known = ", ".join((*MUSICXML_SUFFIXES, *MIDI_SUFFIXES))
        raise FileError(path, f"its name does not end in one of {known}")
    if not score.notes:
        raise FileError(path, "has no notes")
    if all(note.staff and note.voice and note.step for note in score.notes):
        return score
    from music.voices import assign_voices

    return assign_voices(score, "piano" if len(score.parts) <= PIANO_PARTS else "quartet")
