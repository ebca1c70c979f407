"""From a plan and a roll to a score: parts, voices, keys, tempos, dynamics and section marks; and the plan on the grid.

The roll's clock is the score's: it starts with the upbeat, so full bar b begins at `plan.bar_onset_div(b)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from composer.roll import Roll, roll_notes, step_div
from music.four_parts import four_parts
from music.pitch import Key
from music.plan import Plan
from music.score import (
    Direction,
    KeyChange,
    MeterChange,
    Note,
    Part,
    Score,
    SectionMark,
    TempoChange,
    regular_bars,
    sort_notes,
)
from music.time import Meter
from music.voices import assign_voices

# Parts with their General MIDI programs (0 grand piano, 52 choir, 40 violin, 41 viola, 42 cello).
ENSEMBLE_PARTS = {
    "piano": (Part("P1", "Piano", 0),),
    "satb": (
        Part("P1", "Soprano", 52),
        Part("P2", "Alto", 52),
        Part("P3", "Tenor", 52),
        Part("P4", "Bass", 52),
    ),
    "quartet": (
        Part("P1", "Violin I", 40),
        Part("P2", "Violin II", 40),
        Part("P3", "Viola", 41),
        Part("P4", "Violoncello", 42),
    ),
}
# Metrical strengths (`Meter.strength`) as classes: downbeat, strong beat, beat, half beat, other.
STRENGTHS = (1.0, 0.75, 0.5, 0.25, 0.125)


OCTAVE = 12


@dataclass(frozen=True, eq=False)
class StepContext:
    """What a plan (or a score) says of each step.

    Args:
        steps_per_quarter: of the grid.
        tonic: pitch class of the key.
        minor: mode of the key.
        position: whole steps since the bar's start; an upbeat counts from where a full bar would have begun.
        metre: class of the place in the bar, index into `STRENGTHS`.
        bar: full bar from 0; -1 in an upbeat.
        section: index of the section, an upbeat belongs to the first.
        chord: pitch classes of the planned chord, none set where unknown.
        bass: pitch class of its bass, -1 where unknown.
    """

    steps_per_quarter: int
    tonic: Int[ndarray, " steps"]
    minor: Bool[ndarray, " steps"]
    position: Int[ndarray, " steps"]
    metre: Int[ndarray, " steps"]
    bar: Int[ndarray, " steps"]
    section: Int[ndarray, " steps"]
    chord: Bool[ndarray, "steps 12"]
    bass: Int[ndarray, " steps"]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.tonic)


def _metre_class(meter: Meter, offset_div: int) -> int:
    return STRENGTHS.index(meter.strength(offset_div))


def _step_onsets(end_div: int, steps_per_quarter: int) -> Int[ndarray, " steps"]:
    unit = step_div(steps_per_quarter)
    return np.arange(-(-end_div // unit), dtype=np.int64) * unit


def step_context(plan: Plan, steps_per_quarter: int) -> StepContext:
    """The plan on the grid, from its upbeat to its end."""
    onsets = _step_onsets(plan.end_div, steps_per_quarter)
    unit, bar_div = step_div(steps_per_quarter), plan.meter.bar_div
    since = onsets - plan.pickup_div
    offset = since % bar_div
    bar = since // bar_div
    firsts = np.array(plan.first_bars)
    section = np.maximum(np.searchsorted(firsts, bar, side="right") - 1, 0)
    keys = [s.key for s in plan.sections]
    chord = np.zeros((len(onsets), 12), dtype=bool)
    bass = np.full(len(onsets), -1, dtype=np.int64)
    for index, part in enumerate(plan.sections):
        start = plan.bar_onset_div(plan.first_bars[index])
        for planned in part.chords:
            first = start + planned.onset_div
            inside = (onsets >= first) & (onsets < first + planned.duration_div)
            chord[inside] = np.isin(np.arange(12), planned.pcs)
            bass[inside] = planned.bass
    return StepContext(
        steps_per_quarter,
        np.array([k.pc for k in keys])[section],
        np.array([k.minor for k in keys])[section],
        offset // unit,
        np.array([_metre_class(plan.meter, int(o)) for o in offset], dtype=np.int64),
        np.maximum(bar, -1),
        section,
        chord,
        bass,
    )


def score_context(score: Score, steps_per_quarter: int, keys: tuple[KeyChange, ...] = ()) -> StepContext:
    """The same of a score without a plan: no chords, one section, keys as given or else the score's own."""
    onsets = _step_onsets(score.end_div, steps_per_quarter)
    unit = step_div(steps_per_quarter)
    changes = keys or score.keys or (KeyChange(0, Key("C")),)
    which = np.searchsorted(np.array([k.onset_div for k in changes]), onsets, side="right") - 1
    which = np.maximum(which, 0)
    bar = np.searchsorted(np.array([b.onset_div for b in score.bars]), onsets, side="right") - 1
    offset, metre = np.zeros(len(onsets), dtype=np.int64), np.zeros(len(onsets), dtype=np.int64)
    for index, piece in enumerate(score.bars):
        meter = score.meter_at(piece.onset_div)
        # An upbeat bar is the end of a full one.
        missing = max(meter.bar_div - piece.duration_div, 0) if index == 0 else 0
        for step in np.flatnonzero(bar == index):
            offset[step] = int(onsets[step]) - piece.onset_div + missing
            metre[step] = _metre_class(meter, int(offset[step]))
    upbeat = int(score.bars[0].number == 0)
    return StepContext(
        steps_per_quarter,
        np.array([c.key.pc for c in changes])[which],
        np.array([c.key.minor for c in changes])[which],
        offset // unit,
        metre,
        bar - upbeat,
        np.zeros(len(onsets), dtype=np.int64),
        np.zeros((len(onsets), 12), dtype=bool),
        np.full(len(onsets), -1, dtype=np.int64),
    )


def lead_on(
    onset: Int[ndarray, " notes"],
    duration: Int[ndarray, " notes"],
    pitch: Int[ndarray, " notes"],
    part: Int[ndarray, " notes"],
) -> Int[ndarray, " notes"]:
    """Parts, with the highest line kept in the first part where that part would fall silent.

    A note goes to the first part if it is the highest of all that sounds with it, begins where a note of the first part
    ends, lies within an octave of that one, and the first part has nothing else to play while it lasts. Without this a
    chord of three notes at a close leaves the soprano's last note to the second part.

    Args:
        onset, duration, pitch: of each note, in one unit of time.
        part: as `music.four_parts.four_parts` gives it.
    """
    part, end = part.copy(), onset + duration
    for note in np.lexsort((-pitch, onset)):
        if part[note] == 0:
            continue
        together = (onset < end[note]) & (end > onset[note])
        together[note] = False
        if (part[together] == 0).any() or (pitch[together] >= pitch[note]).any():
            continue
        before = (part == 0) & (end == onset[note])
        if before.any() and np.abs(pitch[before] - pitch[note]).min() <= OCTAVE:
            part[note] = 0
    return part


def _notes(plan: Plan, roll: Roll) -> tuple[Note, ...]:
    unit, end = step_div(roll.steps_per_quarter), plan.end_div
    rows = roll_notes(roll)
    rows = rows[rows[:, 0] * unit < end]
    onset = rows[:, 0] * unit
    duration = np.minimum((rows[:, 0] + rows[:, 1]) * unit, end) - onset
    pitch = rows[:, 2]
    parts = np.zeros(len(rows), dtype=np.int64)
    if plan.ensemble != "piano":
        parts = lead_on(onset, duration, pitch, four_parts(onset, duration, pitch, plan.ensemble))
    order = np.lexsort((parts, pitch, onset))
    notes = [Note(f"n{i}", int(onset[r]), int(duration[r]), int(pitch[r]), int(parts[r])) for i, r in enumerate(order)]
    return sort_notes(notes)


def _marks(
    plan: Plan,
) -> tuple[tuple[KeyChange, ...], tuple[TempoChange, ...], tuple[Direction, ...], tuple[SectionMark, ...]]:
    """Keys, tempos and dynamics where they change, and each section's label at its first downbeat."""
    keys: list[KeyChange] = []
    tempos: list[TempoChange] = []
    dynamics: list[Direction] = []
    marks: list[SectionMark] = []
    for section, first in zip(plan.sections, plan.first_bars, strict=True):
        downbeat = plan.bar_onset_div(first)
        onset = downbeat if first else 0  # what holds from the start holds for the upbeat too
        qpm = plan.tempo_qpm * section.tempo_scale
        if not keys or keys[-1].key != section.key:
            keys.append(KeyChange(onset, section.key))
        if not tempos or tempos[-1].qpm != qpm:
            tempos.append(TempoChange(onset, qpm))
        if section.dynamic and (not dynamics or dynamics[-1].text != section.dynamic):
            dynamics.append(Direction(onset, "dynamic", section.dynamic))
        marks.append(SectionMark(downbeat, section.label))
    return tuple(keys), tuple(tempos), tuple(dynamics), tuple(marks)


def realise(plan: Plan, roll: Roll) -> Score:
    """The score of a plan whose notes stand in a roll: it spans exactly the plan's bars; notes beyond them are cut.

    Args:
        plan: gives bars, meter, keys, tempo, dynamics, section labels, title and the ensemble's parts.
        roll: its first step is the plan's start, upbeat included.
    """
    keys, tempos, dynamics, marks = _marks(plan)
    score = Score(
        ENSEMBLE_PARTS[plan.ensemble],
        _notes(plan, roll),
        regular_bars(plan.meter, plan.bars, plan.pickup_div),
        (MeterChange(0, plan.meter),),
        keys,
        tempos,
        dynamics,
        marks,
        plan.title,
    )
    return assign_voices(score, plan.ensemble)
