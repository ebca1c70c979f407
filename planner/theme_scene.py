"""What stands above a theme in its plan, and how much of a theme its tokens can say (`planner.theme_stream`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from music.pitch import Key
from music.plan import ENSEMBLES, Plan, PlanNote, Theme
from music.time import DIVS_PER_QUARTER, Meter
from planner.harmony_symbols import symbol_of

UNITS_PER_QUARTER = 24
UNIT_DIV = DIVS_PER_QUARTER // UNITS_PER_QUARTER
MAX_BARS = 4
MAX_BAR = 192  # units: a bar of 4/2, the longest that is written
MAX_UPBEAT = 96  # units
TO_END = 192  # the gap that says: rest until the theme's end
LONGEST = 192  # units, the longest note; its token is its units less one
LOWEST, HIGHEST = 28, 103

METERS = ("2/2", "2/4", "3/4", "4/4", "6/8", "3/8", "9/8", "12/8", "6/4", "4/8", "3/2", "4/2", "2/8")
METER_CLASSES = len(METERS) + 2  # with other simple and other compound ones


@dataclass(frozen=True)
class ThemeScene:
    """What stands above a theme.

    Args:
        label: its letter.
        style: 1 + index of the style, 0 unknown.
        ensemble: 1 + index in `music.plan.ENSEMBLES`.
        meter: of the plan.
        key: of the letter's first section.
        home: whether that is the home key.
        number: of the letter, 0 for the first of the plan.
        tempo_qpm: at that section.
        density, register: of that section, None unknown.
        pickup: the plan's upbeat in units.
        bars: of that section.
        phrases: (bar at which it ends, its cadence) of the section's phrases.
        chords: (onset in units from the section's start, symbol of `planner.harmony_symbols`), none where unknown.
        first: mean note length in units and mean pitch of the plan's first theme, None for the first letter itself.
    """

    label: str
    style: int
    ensemble: int
    meter: Meter
    key: Key
    home: bool
    number: int
    tempo_qpm: float
    density: float | None
    register: float | None
    pickup: int
    bars: int
    phrases: tuple[tuple[int, str | None], ...]
    chords: tuple[tuple[int, int], ...]
    first: tuple[float, float] | None

    @property
    def bar(self) -> int:
        """Units a bar."""
        return self.meter.bar_div // UNIT_DIV

    def closes(self, bars: int) -> str | None:
        """The cadence of the phrase that ends after so many bars, None where none does or it has no cadence."""
        return next((cadence for end, cadence in self.phrases if end == bars), None)


def scene_of(plan: Plan, letter: str, styles: Sequence[str]) -> ThemeScene:
    """What a plan says about the theme of a letter; the theme itself need not be there yet.

    Args:
        styles: the style tags that are known, in the order of their columns.

    Raises:
        ValueError: no section of the plan has that letter or hears its theme.
    """
    section = next((s for s in plan.sections if s.letter == letter), None)
    section = section or next((s for s in plan.sections if s.theme == letter), None)
    if section is None:
        raise ValueError(f"the plan has no section with a theme {letter}")
    letters = list(dict.fromkeys(s.letter for s in plan.sections))
    first = plan.theme_of(letters[0]) if letters[0] != letter else None
    phrases, end = [], 0
    for phrase in section.phrases:
        end += phrase.bars
        phrases.append((end, phrase.cadence))
    return ThemeScene(
        label=letter,
        style=styles.index(plan.style) + 1 if plan.style in styles else 0,
        ensemble=ENSEMBLES.index(plan.ensemble) + 1,
        meter=plan.meter,
        key=section.key,
        home=section.key == plan.key,
        number=letters.index(letter) if letter in letters else len(letters),
        tempo_qpm=plan.tempo_qpm * section.tempo_scale,
        density=section.density,
        register=section.register,
        pickup=units_of(plan.pickup_div),
        bars=section.bars,
        phrases=tuple(phrases),
        chords=tuple(
            (units_of(c.onset_div), symbol_of(c.root, c.quality, c.bass, section.key)) for c in section.chords
        ),
        first=(mean_length(first), mean_pitch(first)) if first else None,
    )


def mean_length(theme: Theme) -> float:
    """Mean length of a theme's notes in units, over their sounding time."""
    return sum(n.duration_div for n in theme.notes) / len(theme.notes) / UNIT_DIV


def mean_pitch(theme: Theme) -> float:
    """Mean MIDI pitch of a theme's notes."""
    return sum(n.pitch for n in theme.notes) / len(theme.notes)


def meter_class(meter: Meter) -> int:
    """1 + index in `METERS`, then other simple and other compound meters."""
    name = str(meter)
    if name in METERS:
        return METERS.index(name) + 1
    return METER_CLASSES - (not meter.is_compound)


def units_of(div: int) -> int:
    """Divisions in units, to the nearest one."""
    return (div + UNIT_DIV // 2) // UNIT_DIV


def canonical(theme: Theme, meter: Meter) -> Theme | None:
    """A theme as its tokens can say it.

    On the grid of units, notes that vanish by this left out; four bars at most and no note beyond them; notes of
    `LONGEST` units at most; upbeats of less than a bar and `MAX_UPBEAT` at most, notes before it left out; pitches
    outside `LOWEST`..`HIGHEST` moved by octaves; nothing after a rest of `TO_END` units or more.

    Returns:
        None where no note is left, or a bar is longer than `MAX_BAR` units.
    """
    bar = meter.bar_div // UNIT_DIV
    if bar > MAX_BAR:
        return None
    bars = min(theme.bars, MAX_BARS)
    end, begin = bars * bar, -min(MAX_UPBEAT, bar - 1)
    notes: list[PlanNote] = []
    before = 0  # where the note before ends
    for note in theme.notes:
        onset, stop = units_of(note.onset_div), min(end, units_of(note.onset_div + note.duration_div))
        if onset < begin or stop <= onset:
            continue
        if (notes or onset > 0) and onset - before >= TO_END:
            break
        duration = min(stop - onset, LONGEST)
        pitch = note.pitch
        while pitch < LOWEST:
            pitch += 12
        while pitch > HIGHEST:
            pitch -= 12
        notes.append(PlanNote(onset * UNIT_DIV, duration * UNIT_DIV, pitch))
        before = onset + duration
    return replace(theme, bars=bars, notes=tuple(notes)) if notes else None
