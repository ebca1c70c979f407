"""Plan: what the planner decides and the composer is told.

Clock: everything counts in divisions (`music.time`). Bars are counted, not timed: a plan has one meter. Onsets of a
section's chords count from the downbeat of the section's first bar, those of a theme from the downbeat of the theme's
first bar; an upbeat is negative, and so are all onsets of a link, which count from the next section's first downbeat.
All types are frozen and check themselves when made (`PlanError`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from music.errors import PlanError
from music.harmony import QUALITIES, chord_pcs
from music.pitch import Key
from music.time import Meter

CADENCES = ("PAC", "IAC", "HC", "DC")
TEXTURES = ("chorale", "melody_accompaniment", "alberti", "imitation", "free")
RHYTHMS = ("none", "long", "quarter", "dotted", "eighth", "triplet", "sixteenth", "mixed")
DYNAMICS = ("ppp", "pp", "p", "mp", "mf", "f", "ff", "fff")
ENSEMBLES = ("piano", "satb", "quartet")
MAX_BARS = 1024
TEMPO_RANGE = (20.0, 400.0)  # quarters a minute; outside it no notation program or player agrees on what is meant


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise PlanError(message)


@dataclass(frozen=True)
class PlanNote:
    """A note of a theme or link: onset and duration in divisions from the theme's (a link: the next section's) first
    downbeat, MIDI pitch."""

    onset_div: int
    duration_div: int
    pitch: int

    def __post_init__(self) -> None:
        _require(self.duration_div > 0, f"a theme note at {self.onset_div} has no duration")
        _require(0 <= self.pitch <= 127, f"a theme note has pitch {self.pitch}, outside 0..127")


@dataclass(frozen=True)
class Theme:
    """The melody that a letter is known by: `bars` bars in `key`, notes sorted by onset, one at a time."""

    label: str
    bars: int
    key: Key
    notes: tuple[PlanNote, ...]

    def __post_init__(self) -> None:
        _require(bool(re.fullmatch(r"[A-Z]", self.label)), f"theme label {self.label!r} is not a letter A..Z")
        _require(1 <= self.bars <= MAX_BARS, f"theme {self.label} has {self.bars} bars")
        _require(len(self.notes) > 0, f"theme {self.label} has no notes")
        _check_line(self.notes, f"theme {self.label}")


def _check_line(notes: tuple[PlanNote, ...], name: str) -> None:
    for left, right in pairwise(notes):
        _require(
            left.onset_div + left.duration_div <= right.onset_div,
            f"{name} has notes that overlap at {right.onset_div}",
        )


@dataclass(frozen=True)
class Chord:
    """A chord of the plan: root and bass are pitch classes, figure its Roman numeral in the section's key."""

    onset_div: int
    duration_div: int
    root: int
    quality: str
    bass: int
    figure: str = ""

    def __post_init__(self) -> None:
        # Here and below where very many are made: no message is written before it is needed.
        if self.duration_div <= 0:
            raise PlanError(f"a chord at {self.onset_div} has no duration")
        if self.quality not in QUALITIES:
            raise PlanError(f"chord quality {self.quality!r} is not one of {', '.join(QUALITIES)}")
        _require(0 <= self.root < 12 and 0 <= self.bass < 12, "a chord's root and bass are pitch classes 0..11")

    @property
    def pcs(self) -> tuple[int, ...]:
        """Pitch classes from the root up."""
        return chord_pcs(self.root, self.quality)


@dataclass(frozen=True)
class BarTexture:
    """How one bar is written.

    Args:
        density: notes struck a quarter note, all parts together.
        register: mean MIDI pitch of what is struck, None where nothing is.
        span: semitones from the lowest to the highest note that sounds.
        rhythm: one of `RHYTHMS`, see `music.analysis.bar_texture.rhythm_class`.
    """

    density: float
    register: float | None
    span: int
    rhythm: str

    def __post_init__(self) -> None:
        if not self.density >= 0:
            raise PlanError(f"a bar has density {self.density}")
        if not (self.register is None or 0 <= self.register <= 127):
            raise PlanError(f"a bar has register {self.register}")
        if not 0 <= self.span <= 127:
            raise PlanError(f"a bar has a span of {self.span} semitones")
        if self.rhythm not in RHYTHMS:
            raise PlanError(f"a bar's rhythm {self.rhythm!r} is not one of {', '.join(RHYTHMS)}")


@dataclass(frozen=True)
class Phrase:
    """A phrase: its bars, its idea (a, a', b … within the section) and the cadence it closes with, if any."""

    bars: int
    idea: str
    cadence: str | None = None

    def __post_init__(self) -> None:
        _require(1 <= self.bars <= MAX_BARS, f"a phrase has {self.bars} bars")
        _require(bool(re.fullmatch(r"[a-z]'*", self.idea)), f"phrase idea {self.idea!r} is not such as a or a'")
        _require(
            self.cadence is None or self.cadence in CADENCES,
            f"cadence {self.cadence!r} is not one of {', '.join(CADENCES)}",
        )


@dataclass(frozen=True)
class Section:
    """A section of the form.

    Args:
        label: letter and primes ("A", "B", "A'"): the letter is the material, a prime a varied return.
        bars: length in bars; equals the sum of its phrases.
        key: absolute key.
        phrases: in order; the section's cadence is the last one's.
        chords: without gaps or overlaps over the whole section, or empty where unknown.
        theme: letter of the theme that is heard, or None.
        source: index of the earlier section that this one returns to, or None.
        variation: 0 an exact return … 1 free; None: not asked for.
        density: onsets a quarter note, None: not asked for.
        register: mean MIDI pitch, None: not asked for.
        texture: one of `TEXTURES` or None.
        dynamic: one of `DYNAMICS` or None.
        tempo_scale: factor on the plan's tempo.
        textures: how each bar is written, or empty: not asked for.
        link: notes of the melody that lead from the rest after the section's close into the next section's first
            downbeat, from which their onsets count (all negative); one at a time, or empty: none.
    """

    label: str
    bars: int
    key: Key
    phrases: tuple[Phrase, ...]
    chords: tuple[Chord, ...] = ()
    theme: str | None = None
    source: int | None = None
    variation: float | None = None
    density: float | None = None
    register: float | None = None
    texture: str | None = None
    dynamic: str | None = None
    tempo_scale: float = 1.0
    textures: tuple[BarTexture, ...] = ()
    link: tuple[PlanNote, ...] = ()

    def __post_init__(self) -> None:
        name = f"section {self.label}"
        _require(bool(re.fullmatch(r"[A-Z]'*", self.label)), f"section label {self.label!r} is not such as A or A'")
        _require(len(self.phrases) > 0, f"{name} has no phrase")
        total = sum(p.bars for p in self.phrases)
        _require(total == self.bars, f"{name} has {self.bars} bars but its phrases have {total}")
        _require(self.variation is None or 0 <= self.variation <= 1, f"{name} has variation {self.variation}, not 0..1")
        _require(self.density is None or self.density > 0, f"{name} has density {self.density}")
        _require(self.register is None or 0 <= self.register <= 127, f"{name} has register {self.register}")
        _require(self.texture is None or self.texture in TEXTURES, f"{name} has unknown texture {self.texture!r}")
        _require(self.dynamic is None or self.dynamic in DYNAMICS, f"{name} has unknown dynamic {self.dynamic!r}")
        count = len(self.textures)
        _require(count in (0, self.bars), f"{name} has {self.bars} bars but textures for {count}")
        _require(0.25 <= self.tempo_scale <= 4, f"{name} has tempo scale {self.tempo_scale}, not 0.25..4")
        _check_line(self.link, f"the link of {name}")
        for note in self.link[-1:]:
            _require(note.onset_div + note.duration_div <= 0, f"{name} has a link that lasts into the next section")
        onset = 0
        for chord in self.chords:
            if chord.onset_div != onset:
                raise PlanError(f"{name}: chords leave a gap or overlap at {chord.onset_div}")
            onset += chord.duration_div

    @property
    def letter(self) -> str:
        """The material: the label without primes."""
        return self.label[0]

    @property
    def cadence(self) -> str | None:
        """The section's cadence: its last phrase's."""
        return self.phrases[-1].cadence


@dataclass(frozen=True)
class Plan:
    """A whole piece before its notes.

    Args:
        title: shown on the score.
        style: a style tag such as "bach_chorale".
        ensemble: one of `ENSEMBLES`.
        key: home key.
        meter: of the whole piece.
        pickup_div: length of the upbeat before the first full bar, 0 for none.
        tempo_qpm: quarter notes a minute.
        sections: in order.
        themes: one for each letter that has one.
    """

    title: str
    style: str
    ensemble: str
    key: Key
    meter: Meter
    pickup_div: int
    tempo_qpm: float
    sections: tuple[Section, ...]
    themes: tuple[Theme, ...] = field(default=())

    def __post_init__(self) -> None:
        _require(len(self.sections) > 0, "a plan has no section")
        _require(self.ensemble in ENSEMBLES, f"ensemble {self.ensemble!r} is not one of {', '.join(ENSEMBLES)}")
        _require(0 <= self.pickup_div < self.meter.bar_div, f"an upbeat of {self.pickup_div} does not fit {self.meter}")
        low, high = TEMPO_RANGE
        _require(
            low <= self.tempo_qpm <= high, f"tempo {self.tempo_qpm} is outside {low:g}..{high:g} quarters a minute"
        )
        _require(self.bars <= MAX_BARS, f"a plan has {self.bars} bars; {MAX_BARS} is the most")
        letters = [t.label for t in self.themes]
        _require(len(letters) == len(set(letters)), "two themes have the same letter")
        for index, section in enumerate(self.sections):
            self._check_section(index, section, letters)

    def _check_section(self, index: int, section: Section, letters: list[str]) -> None:
        name = f"section {section.label} (number {index + 1})"
        if section.source is not None:
            _require(0 <= section.source < index, f"{name} returns to section {section.source}, which is not before it")
            origin = self.sections[section.source]
            _require(origin.letter == section.letter, f"{name} returns to {origin.label}, another letter")
        _require(section.theme is None or section.theme in letters, f"{name} has no theme {section.theme} in the plan")
        if section.chords:
            length = section.bars * self.meter.bar_div
            end = section.chords[-1].onset_div + section.chords[-1].duration_div
            _require(end == length, f"{name} has chords of {end} divisions for {length}")
        if section.link:
            self._check_link(index, section, name)

    def _check_link(self, index: int, section: Section, name: str) -> None:
        _require(index + 1 < len(self.sections), f"{name} is the last and has a link to a next one")
        first = -section.link[0].onset_div
        _require(first <= section.bars * self.meter.bar_div, f"{name} has a link that begins before the section")
        following = self.theme_of(self.sections[index + 1].theme or "")
        upbeat = following.notes[0].onset_div if following else 0
        _require(
            section.link[-1].onset_div + section.link[-1].duration_div <= min(upbeat, 0),
            f"{name} has a link that runs into the upbeat of theme {self.sections[index + 1].theme}",
        )

    @cached_property
    def bars(self) -> int:
        """Full bars of the piece (an upbeat not counted)."""
        return sum(s.bars for s in self.sections)

    @cached_property
    def first_bars(self) -> tuple[int, ...]:
        """Index of each section's first bar, from 0."""
        starts, total = [], 0
        for section in self.sections:
            starts.append(total)
            total += section.bars
        return tuple(starts)

    def bar_onset_div(self, bar: int) -> int:
        """Onset of full bar `bar` (from 0) in the score, whose clock starts at the upbeat."""
        return self.pickup_div + bar * self.meter.bar_div

    @property
    def end_div(self) -> int:
        """Length of the piece in divisions, upbeat included."""
        return self.bar_onset_div(self.bars)

    @property
    def letters(self) -> str:
        """The form as labels joined: "ABA'CA"."""
        return "".join(s.label for s in self.sections)

    def theme_of(self, letter: str) -> Theme | None:
        """The theme with that letter, or None."""
        return next((t for t in self.themes if t.label == letter), None)

    def __str__(self) -> str:
        from music.plan_text import plan_text  # imported here: plan_text needs the types of this module

        return plan_text(self)
