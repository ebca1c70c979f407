"""Notes that a user brings along, on the clock of plans: a melody to be harmonised, bars to be continued."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from music.cache import file_sha256
from music.errors import FileError
from music.files import read_score
from music.pitch import Key
from music.plan import MAX_BARS, PlanNote, Theme
from music.score import Direction, Score
from music.theme import read_theme
from music.time import Meter

# Settings that name a file of the user's.
FILE_KEYS = ("theme", "melody", "opening", "plan_file", "score_file", "wishes")


@dataclass(frozen=True)
class Passage:
    """A file's notes and what it says of bars and key.

    Args:
        score: the file as read.
        line: its melody as a theme, as long as the file; onsets from the first downbeat, an upbeat negative.
        notes: all its notes on that clock, none of them a grace note; notes may overlap.
        meter: what bars are counted in, `named` where the file itself says so.
        signature: the key signature, None where the file has none.
        shift_div: from the score's clock to a plan's, which starts with the upbeat.
    """

    score: Score
    line: Theme
    notes: tuple[PlanNote, ...]
    meter: Meter
    named: bool
    signature: Key | None
    shift_div: int

    @property
    def pickup_div(self) -> int:
        """Length of the upbeat, 0 for none."""
        return max(0, -self.line.notes[0].onset_div)

    @property
    def bars(self) -> int:
        """Bars from the first downbeat to the end of the last note."""
        end = max(n.onset_div + n.duration_div for n in self.notes)
        return max(1, -(-end // self.meter.bar_div))

    def fermatas(self) -> tuple[Direction, ...]:
        """The score's fermatas, on its own clock."""
        return tuple(d for d in self.score.directions if d.kind == "fermata")


def read_passage(path: str | Path, *, meter: Meter | None = None) -> Passage:
    """Reads the notes of a MIDI or MusicXML file.

    The first downbeat and the key are found as for a theme (`music.theme.read_theme`).

    Args:
        path: the file.
        meter: what bars are counted in where a MIDI file names no meter.

    Raises:
        FileError: no such file, another kind of file, or more bars than a plan holds.
        MidiError, MusicXmlError: a file that cannot be read or that has no notes.
    """
    path = Path(path)
    score = read_score(path)
    line, named = read_theme(path, max_bars=MAX_BARS, meter=meter)
    sounding = [n for n in score.notes if n.duration_div > 0]
    # The melody's first note is the first of all; the theme's clock counts from the downbeat after or at it.
    origin = sounding[0].onset_div - line.notes[0].onset_div
    notes = tuple(PlanNote(n.onset_div - origin, n.duration_div, n.pitch) for n in sounding)
    found = named or meter or score.meters[0].meter
    passage = Passage(
        score,
        line,
        notes,
        found,
        named is not None,
        score.key_at(sounding[0].onset_div),
        max(0, -line.notes[0].onset_div) - origin,
    )
    if passage.bars > MAX_BARS:
        raise FileError(path, f"has {passage.bars} bars; {MAX_BARS} is the most")
    return passage


def file_hashes(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What a piece's provenance tells of the user's files: `{"files": {key: sha256}}`, nothing where there are none."""
    files = {key: file_sha256(Path(settings[key])) for key in FILE_KEYS if settings.get(key) is not None}
    return {"files": files} if files else {}
