"""What the composer is told at each step: key, chords and form of the plan, a reference and fixed notes.

One function turns a Plan into these columns, for a plan that a planner made and for a plan read from a real piece
alike, so that training and generation cannot drift apart. Every value may be unknown (-1), and training drops groups
of them at random, so that the net works with any part of a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from composer.roll import PITCHES, step_div
from music.harmony import QUALITIES
from music.plan import CADENCES, RHYTHMS, Plan, Section

UNKNOWN = -1
# Columns of the context, one integer a step.
CONTEXT_FIELDS = (
    "bar_step",  # steps since the barline
    "bar_steps",  # steps in a bar
    "beat_steps",  # steps in a beat
    "grid",  # steps a quarter
    "strength",  # metrical strength, class 0 (off the beat's parts) .. 4 (downbeat)
    "key_pc",
    "key_minor",
    "chord_root",
    "chord_quality",
    "chord_bass",
    "next_root",  # the chord after this one
    "next_quality",
    "next_bass",
    "chord_left",  # steps until it comes
    "phrase_left",  # steps to the phrase's end, 1 in its last step
    "section_left",
    "cadence",  # how this phrase closes: 0 none, else 1 + index in CADENCES
    "style",
    "density",  # of the section, hundredths of onsets a quarter
    "register",  # of the section, mean pitch
    "bar_density",  # the same of the bar
    "bar_register",
    "bar_span",  # semitones from its lowest to its highest note
    "bar_rhythm",  # index in RHYTHMS
    "similarity",  # how like its reference the bar is to be: bin of SIMILARITY_BOUNDS
)
FIELD = {name: index for index, name in enumerate(CONTEXT_FIELDS)}
# What can be absent together; "reference" and "fixed" are no columns, but are dropped alike.
GROUPS: dict[str, tuple[str, ...]] = {
    "key": ("key_pc", "key_minor"),
    "chord": ("chord_root", "chord_quality", "chord_bass", "next_root", "next_quality", "next_bass", "chord_left"),
    "form": ("phrase_left", "section_left", "cadence"),
    "style": ("style",),
    "texture": ("density", "register"),
    "bar": ("bar_density", "bar_register", "bar_span", "bar_rhythm"),
    "similarity": ("similarity",),
}
# Cosines (`composer.likeness`) that divide the bins: 0 unrelated … 4 literal or nearly so.
SIMILARITY_BOUNDS = (0.25, 0.5, 0.75, 0.95)
PITCH_CLASS_FIELDS = ("key_pc", "chord_root", "chord_bass", "next_root", "next_bass")
PITCH_FIELDS = ("register", "bar_register")
STRENGTHS = (0.125, 0.25, 0.5, 0.75, 1.0)
FREE, OFF, HOLD, ATTACK = 0, 1, 2, 3  # states of a fixed-notes cell
NO_REFERENCE, THEME, STATEMENT = 0, 1, 2  # kinds of reference
LOOK_AHEAD = 8  # steps of reference and fixed notes that the net sees beyond the present one


@dataclass(frozen=True, eq=False)
class Conditions:
    """All that the composer is told about a piece, on the roll's grid.

    Args:
        context: columns of `CONTEXT_FIELDS`.
        reference_play, reference_articulate: the passage this one is modelled on, already moved to its key.
        reference_kind: `NO_REFERENCE`, `THEME` (a melody) or `STATEMENT` (full texture) per step.
        fixed: `FREE`, `OFF`, `HOLD` or `ATTACK` per step and pitch.
    """

    context: Int[ndarray, "steps fields"]
    reference_play: Bool[ndarray, "steps 88"]
    reference_articulate: Bool[ndarray, "steps 88"]
    reference_kind: Int[ndarray, " steps"]
    fixed: Int[ndarray, "steps 88"]


def _column(context: Int[ndarray, "steps fields"], name: str) -> Int[ndarray, " steps"]:
    return context[:, FIELD[name]]


def _meter_columns(context: Int[ndarray, "steps fields"], plan: Plan, grid: int) -> None:
    unit = step_div(grid)
    onsets = np.arange(len(context)) * unit - plan.pickup_div
    bar = plan.meter.bar_div
    _column(context, "bar_step")[:] = (onsets % bar) // unit
    _column(context, "bar_steps")[:] = bar // unit
    _column(context, "beat_steps")[:] = max(plan.meter.beat_div // unit, 1)
    _column(context, "grid")[:] = grid
    by_step = [STRENGTHS.index(plan.meter.strength(i * unit)) for i in range(-(-bar // unit))]
    _column(context, "strength")[:] = np.array(by_step)[(onsets % bar) // unit]


def _chord_columns(context: Int[ndarray, "steps fields"], section: Section, start: int, unit: int) -> None:
    for index, chord in enumerate(section.chords):
        first = start + chord.onset_div // unit
        end = min(start + (chord.onset_div + chord.duration_div) // unit, len(context))
        if first >= end:
            continue
        rows = context[first:end]
        rows[:, FIELD["chord_root"]] = chord.root
        rows[:, FIELD["chord_quality"]] = QUALITIES.index(chord.quality)
        rows[:, FIELD["chord_bass"]] = chord.bass
        rows[:, FIELD["chord_left"]] = np.arange(end - first, 0, -1)
        if index + 1 < len(section.chords):
            following = section.chords[index + 1]
            rows[:, FIELD["next_root"]] = following.root
            rows[:, FIELD["next_quality"]] = QUALITIES.index(following.quality)
            rows[:, FIELD["next_bass"]] = following.bass


def _form_columns(context: Int[ndarray, "steps fields"], section: Section, start: int, bar_steps: int) -> None:
    end = min(start + section.bars * bar_steps, len(context))
    context[start:end, FIELD["section_left"]] = np.arange(end - start, 0, -1)
    for phrase in section.phrases:
        stop = min(start + phrase.bars * bar_steps, len(context))
        context[start:stop, FIELD["phrase_left"]] = np.arange(stop - start, 0, -1)
        context[start:stop, FIELD["cadence"]] = 0 if phrase.cadence is None else 1 + CADENCES.index(phrase.cadence)
        start = stop


def _bar_columns(context: Int[ndarray, "steps fields"], section: Section, start: int, bar_steps: int) -> None:
    for index, bar in enumerate(section.textures):
        rows = context[start + index * bar_steps :][:bar_steps]
        rows[:, FIELD["bar_density"]] = round(100 * bar.density)
        rows[:, FIELD["bar_register"]] = UNKNOWN if bar.register is None else round(bar.register)
        rows[:, FIELD["bar_span"]] = bar.span
        rows[:, FIELD["bar_rhythm"]] = RHYTHMS.index(bar.rhythm)


def plan_context(plan: Plan, grid: int, steps: int, styles: Sequence[str]) -> Int[ndarray, "steps fields"]:
    """The plan as columns.

    Args:
        plan: any plan; its clock starts with the upbeat, as a score's does.
        grid: 4 or 6 steps a quarter.
        steps: rows wanted.
        styles: known style tags; a plan's style outside them is unknown.
    """
    context = np.full((steps, len(CONTEXT_FIELDS)), UNKNOWN, dtype=np.int16)
    unit = step_div(grid)
    _meter_columns(context, plan, grid)
    bar_steps = plan.meter.bar_div // unit
    style = styles.index(plan.style) if plan.style in styles else UNKNOWN
    for section, first_bar in zip(plan.sections, plan.first_bars, strict=True):
        start = plan.bar_onset_div(first_bar) // unit
        # The upbeat belongs to the first section.
        rows = context[0 if first_bar == 0 else start : start + section.bars * bar_steps]
        rows[:, FIELD["key_pc"]] = section.key.pc
        rows[:, FIELD["key_minor"]] = int(section.key.minor)
        rows[:, FIELD["style"]] = style
        rows[:, FIELD["density"]] = UNKNOWN if section.density is None else round(100 * section.density)
        rows[:, FIELD["register"]] = UNKNOWN if section.register is None else round(section.register)
        _chord_columns(context, section, start, unit)
        _form_columns(context, section, start, bar_steps)
        _bar_columns(context, section, start, bar_steps)
    return context


def empty_conditions(context: Int[ndarray, "steps fields"]) -> Conditions:
    """Conditions with that context, no reference and nothing fixed."""
    steps = len(context)
    silent = np.zeros((steps, PITCHES), dtype=bool)
    kinds, fixed = np.zeros(steps, dtype=np.int8), np.zeros((steps, PITCHES), dtype=np.int8)
    return Conditions(context, silent, silent.copy(), kinds, fixed)


def drop_groups(context: Int[ndarray, "steps fields"], groups: Sequence[str]) -> Int[ndarray, "steps fields"]:
    """A copy with the columns of these groups unknown."""
    context = context.copy()
    for group in groups:
        context[:, [FIELD[name] for name in GROUPS[group]]] = UNKNOWN
    return context


def transpose_context(context: Int[ndarray, "steps fields"], semitones: int) -> Int[ndarray, "steps fields"]:
    """A copy moved by semitones: key, chords and register."""
    context = context.copy()
    for name in PITCH_CLASS_FIELDS:
        column = _column(context, name)
        column[:] = np.where(column == UNKNOWN, UNKNOWN, (column + semitones) % 12)
    for name in PITCH_FIELDS:
        column = _column(context, name)
        column[:] = np.where(column == UNKNOWN, UNKNOWN, column + semitones)
    return context


def shift_pitches(roll: ndarray, semitones: int) -> ndarray:
    """Rows of a [steps, 88] array moved by semitones; what leaves the piano is lost."""
    moved = np.zeros_like(roll)
    if semitones >= 0:
        moved[:, semitones:] = roll[:, : roll.shape[1] - semitones]
    else:
        moved[:, :semitones] = roll[:, -semitones:]
    return moved
