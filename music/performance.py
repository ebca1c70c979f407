"""Performance: a score as it is played, in seconds. Joined to its score by note id, each score note once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from music.errors import ScoreError


@dataclass(frozen=True, slots=True)
class PerformedNote:
    """A played note: onset and duration in seconds, MIDI pitch, velocity 1..127."""

    note_id: str
    onset_sec: float
    duration_sec: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Pedal:
    """A position of the sustain pedal (0 up … 127 down) from a time on."""

    onset_sec: float
    value: int


@dataclass(frozen=True)
class Performance:
    """Notes sorted by onset, pedals by time.

    Raises:
        ScoreError: a note of no or infinite length, a velocity outside 1..127, a doubled id, unsorted events.
    """

    notes: tuple[PerformedNote, ...]
    pedals: tuple[Pedal, ...] = ()

    def __post_init__(self) -> None:
        previous = 0.0
        for note in self.notes:
            fits = math.isfinite(note.onset_sec) and math.isfinite(note.duration_sec) and note.duration_sec > 0
            if not fits or note.onset_sec < previous or not 1 <= note.velocity <= 127 or not 0 <= note.pitch <= 127:
                raise ScoreError(f"performed note {note.note_id} is out of order or out of range: {note}")
            previous = note.onset_sec
        if len({n.note_id for n in self.notes}) != len(self.notes):
            raise ScoreError("a score note is performed twice")
        times = [p.onset_sec for p in self.pedals]
        if times != sorted(times) or any(not 0 <= p.value <= 127 for p in self.pedals):
            raise ScoreError("pedal positions are out of order or out of range")

    @property
    def end_sec(self) -> float:
        """When the last note ends, in seconds."""
        return max((n.onset_sec + n.duration_sec for n in self.notes), default=0.0)
