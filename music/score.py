"""Score: notes on paper. The composer writes it, the performer plays it, files hold it.

The clock starts at 0 with the first bar (an upbeat bar included). Repeats are written out, a chain of ties is one
Note, a grace note has duration 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from music.errors import ScoreError
from music.pitch import STEPS, Key
from music.time import Meter

DIRECTION_KINDS = ("dynamic", "crescendo", "diminuendo", "slur", "tempo", "fermata", "articulation", "arpeggio", "text")
MAX_NOTES = 200_000
MAX_DIV = 10080 * 4 * 20_000  # 20,000 bars of 4/4


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ScoreError(message)


@dataclass(frozen=True)
class Part:
    """An instrument or voice: `id` unique in the score, `program` the General MIDI program 0..127."""

    id: str
    name: str = ""
    program: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """A struck note.

    Args:
        id: unique in its score.
        onset_div, duration_div: divisions; a grace note lasts 0.
        pitch: MIDI 0..127.
        part: index into the score's parts.
        staff: 1 upper, 2 lower, 0 unknown.
        voice: from 1, 0 unknown.
        step: letter that spells it, "" unknown; accidental and octave follow from pitch (`music.pitch`).
    """

    id: str
    onset_div: int
    duration_div: int
    pitch: int
    part: int = 0
    staff: int = 0
    voice: int = 0
    step: str = ""

    @property
    def end_div(self) -> int:
        """Onset plus duration."""
        return self.onset_div + self.duration_div


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar as it stands in the score; `number` is the printed one (an upbeat is 0)."""

    onset_div: int
    duration_div: int
    number: int

    @property
    def end_div(self) -> int:
        """Onset plus duration."""
        return self.onset_div + self.duration_div


@dataclass(frozen=True, slots=True)
class MeterChange:
    """A meter from an onset on."""

    onset_div: int
    meter: Meter


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key signature (or the key of a section) from an onset on."""

    onset_div: int
    key: Key


@dataclass(frozen=True, slots=True)
class TempoChange:
    """A tempo in quarter notes a minute from an onset on."""

    onset_div: int
    qpm: float


@dataclass(frozen=True, slots=True)
class Direction:
    """A sign: `kind` of `DIRECTION_KINDS`, `text` ("p", "rit.", "staccato"), its extent, its part or -1 for all."""

    onset_div: int
    kind: str
    text: str = ""
    duration_div: int = 0
    part: int = -1


@dataclass(frozen=True, slots=True)
class SectionMark:
    """A section's label at its onset."""

    onset_div: int
    label: str


@dataclass(frozen=True)
class Score:
    """A score whose invariants hold: see `__post_init__`. Build one with `make_score`, which sorts.

    Raises:
        ScoreError: bars with gaps, notes outside the bars, unsorted notes, doubled ids, values out of range.
    """

    parts: tuple[Part, ...]
    notes: tuple[Note, ...]
    bars: tuple[Bar, ...]
    meters: tuple[MeterChange, ...]
    keys: tuple[KeyChange, ...] = ()
    tempos: tuple[TempoChange, ...] = ()
    directions: tuple[Direction, ...] = ()
    sections: tuple[SectionMark, ...] = ()
    title: str = field(default="")

    def __post_init__(self) -> None:
        _require(len(self.parts) > 0, "a score has no part")
        _require(len({p.id for p in self.parts}) == len(self.parts), "two parts have the same id")
        _require(len(self.notes) <= MAX_NOTES, f"a score has {len(self.notes)} notes; {MAX_NOTES} is the most")
        self._check_bars()
        self._check_notes()
        for name, changes in (("meter", self.meters), ("key", self.keys), ("tempo", self.tempos)):
            _require(all(a.onset_div < b.onset_div for a, b in pairwise(changes)), f"{name} changes are not in order")
        _require(len(self.meters) > 0 and self.meters[0].onset_div == 0, "a score has no meter at its start")
        _require(all(1 <= t.qpm <= 2000 for t in self.tempos), "a tempo is outside 1..2000 quarters a minute")
        _require(all(d.kind in DIRECTION_KINDS for d in self.directions), "a direction has an unknown kind")

    def _check_bars(self) -> None:
        _require(len(self.bars) > 0 and self.bars[0].onset_div == 0, "a score has no bar at its start")
        _require(all(b.duration_div > 0 for b in self.bars), "a bar has no duration")
        _require(all(a.end_div == b.onset_div for a, b in pairwise(self.bars)), "bars leave a gap or overlap")
        _require(self.end_div <= MAX_DIV, "a score is longer than 20,000 bars")  # pyright: ignore[reportGeneralTypeIssues]

    def _check_notes(self) -> None:
        end, parts, previous = self.end_div, len(self.parts), (-1, -1, -1)
        seen: set[str] = set()
        for note in self.notes:
            order = (note.onset_div, note.pitch, note.part)
            _require(order >= previous, f"note {note.id} is out of order")
            previous = order
            inside = note.onset_div >= 0 and note.duration_div >= 0 and note.end_div <= end
            _require(inside, f"note {note.id} lies outside the bars")
            _require(0 <= note.pitch <= 127, f"note {note.id} has pitch {note.pitch}")
            _require(0 <= note.part < parts, f"note {note.id} has part {note.part}")
            _require(note.step == "" or note.step in STEPS, f"note {note.id} is spelled {note.step!r}")
            seen.add(note.id)
        _require(len(seen) == len(self.notes), "two notes have the same id")

    @property
    def end_div(self) -> int:
        """Length in divisions."""
        return self.bars[-1].end_div

    def meter_at(self, onset_div: int) -> Meter:
        """The meter in force at an onset."""
        return next(m.meter for m in reversed(self.meters) if m.onset_div <= onset_div)

    def key_at(self, onset_div: int) -> Key | None:
        """The key signature in force at an onset, or None."""
        before = [k.key for k in self.keys if k.onset_div <= onset_div]
        return before[-1] if before else None


def sort_notes(notes: list[Note]) -> tuple[Note, ...]:
    """Notes in a score's order: onset, pitch, part, then voice and length."""
    return tuple(sorted(notes, key=lambda n: (n.onset_div, n.pitch, n.part, n.voice, n.duration_div, n.id)))


def regular_bars(meter: Meter, bars: int, pickup_div: int = 0) -> tuple[Bar, ...]:
    """Bars of one meter, after an upbeat bar numbered 0 where `pickup_div` is not 0."""
    first = (Bar(0, pickup_div, 0),) if pickup_div else ()
    return first + tuple(Bar(pickup_div + i * meter.bar_div, meter.bar_div, i + 1) for i in range(bars))
