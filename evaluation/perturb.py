"""A baseline for returns: copies the first statement and perturbs it at random.

A composer that varies its returns has to beat whoever would just shake a copy: the varied bars must still be in tune
with themselves and with the planned chords. The baseline is given every advantage: the composer's own first statements,
the same altered bars, and about as much change to a bar as the composer made: it
is shaken until it is no liker its model than the composer's bar is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.random import Generator

from evaluation.sonorities import sonorities
from evaluation.structure import section_pairs, section_start
from music.analysis.arrays import NoteArrays
from music.analysis.chords import Harmony, analyse_harmony
from music.analysis.similarity import STEP_DIV, onset_roll
from music.pitch import MAJOR_SCALE, Key
from music.plan import Chord, Plan
from music.score import Note, Score, sort_notes

DISSONANT = (1, 2, 6, 10, 11)  # semitones modulo the octave
MOVES = (*range(-5, 0), *range(1, 6))
MOST_CHANGES = 200  # a bar: then it is as unlike its model as it will get
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 11)


@dataclass(frozen=True)
class ReturnedBar:
    """A bar of a return that has a bar of its model beside it.

    Args:
        section: index in the plan.
        onset_div, model_div: where the bar and its model begin.
        transposition: semitones from the model's section up to this one.
        similarity: cosine of the two bars' onset rolls in that transposition, 0..1.
        altered: whether what is struck differs at all.
    """

    section: int
    onset_div: int
    model_div: int
    transposition: int
    similarity: float
    altered: bool


Struck = tuple[int, int]


def _struck(notes: Iterable[Note], start: int, shift: int = 0) -> set[Struck]:
    return {(n.onset_div - start, n.pitch + shift) for n in notes if n.duration_div > 0}


def _inside(notes: Iterable[Note], start: int, length: int) -> list[Note]:
    return [n for n in notes if start <= n.onset_div < start + length]


def returned_bars(score: Score, plan: Plan) -> tuple[ReturnedBar, ...]:
    """Every bar of a return that has a bar of its model beside it."""
    found: list[ReturnedBar] = []
    shifts = {(p.first, p.second): p.transposition for p in section_pairs(score, plan)}
    length = plan.meter.bar_div
    for index, section in enumerate(plan.sections):
        if section.source is None:
            continue
        shift = shifts[section.source, index]
        for bar in range(min(section.bars, plan.sections[section.source].bars)):
            here = section_start(plan, index) + bar * length
            there = section_start(plan, section.source) + bar * length
            model = _struck(_inside(score.notes, there, length), there, shift)
            heard = _struck(_inside(score.notes, here, length), here)
            same = likeness({m for m in model if 0 <= m[1] <= 127}, heard, length)
            found.append(ReturnedBar(index, here, there, shift, same, model != heard))
    return tuple(found)


def copy_and_perturb(score: Score, plan: Plan, *, seed: int, in_scale: bool = False) -> Score:
    """The score with its returns replaced by shaken copies of their models.

    Each return is its model's notes, transposed as the composer's return is. In the bars that the composer altered,
    notes are changed one after another until the bar is as unlike its model as the composer's was: half the time a
    note's pitch moves by one to five semitones, else its onset by one or two sixteenths within the bar.

    Args:
        score: a composer's piece.
        plan: what it was made from.
        seed: of the changes.
        in_scale: pitches move to notes of the section's scale only (harmonic minor in minor): a harder rival.
    """
    rng = np.random.default_rng(seed)
    length = plan.meter.bar_div
    notes = list(score.notes)
    for bar in returned_bars(score, plan):
        # Read from what was written so far, since a return may be the model of another.
        model = _inside(notes, bar.model_div, length)
        place = bar.onset_div - bar.model_div
        copied = [
            replace(n, onset_div=n.onset_div + place, pitch=min(127, max(0, n.pitch + bar.transposition)), step="")
            for n in model
        ]
        if bar.altered:
            copied = _shake(copied, bar, plan.sections[bar.section].key, length, rng, in_scale)
        inside = range(bar.onset_div, bar.onset_div + length)
        notes = [n for n in notes if n.onset_div not in inside] + copied
    return _with_notes(score, notes)


def shake_returns(score: Score, plan: Plan, *, share: float, similarity: float, seed: int) -> Score:
    """The score with bars of its returns changed at random, within the scale: a test of what looks for returns.

    Args:
        score: a piece.
        plan: its form.
        share: of the returns' bars that are changed, 0..1.
        similarity: with the bar as it was, at which changing one ends.
        seed: of the changes.
    """
    rng = np.random.default_rng(seed)
    length = plan.meter.bar_div
    notes = list(score.notes)
    for bar in returned_bars(score, plan):
        if rng.random() < share:
            here = _inside(notes, bar.onset_div, length)
            asked = replace(bar, similarity=similarity, altered=True)
            shaken = _shake(here, asked, plan.sections[bar.section].key, length, rng, in_scale=True)
            gone = {n.id for n in here}
            notes = [n for n in notes if n.id not in gone] + shaken
    return _with_notes(score, notes)


def _with_notes(score: Score, notes: Iterable[Note]) -> Score:
    """The score with other notes, cut at its end and named anew."""
    kept = [replace(n, duration_div=min(n.duration_div, score.end_div - n.onset_div)) for n in notes]
    return replace(score, notes=tuple(replace(n, id=f"n{i}") for i, n in enumerate(sort_notes(kept))))


def _shake(copied: list[Note], bar: ReturnedBar, key: Key, length: int, rng: Generator, in_scale: bool) -> list[Note]:
    """Changes notes of a bar until it is no liker its model than the composer's bar was."""
    model = _struck(copied, bar.onset_div)
    shaken = list(copied)
    allowed = _scale(key) if in_scale else range(12)
    for _ in range(MOST_CHANGES if copied else 0):
        place = int(rng.integers(len(shaken)))
        note = shaken[place]
        if rng.random() < 0.5:
            moves = [m for m in MOVES if (note.pitch + m) % 12 in allowed and 0 <= note.pitch + m <= 127]
            shaken[place] = replace(note, pitch=note.pitch + int(rng.choice(moves)))
        else:
            onset = note.onset_div + int(rng.choice((-2, -1, 1, 2))) * STEP_DIV
            if bar.onset_div <= onset < bar.onset_div + length:
                shaken[place] = replace(note, onset_div=onset)
        now = _struck(shaken, bar.onset_div)
        if now != model and likeness(model, now, length) <= bar.similarity:
            break
    return shaken


def likeness(a: Iterable[Struck], b: Iterable[Struck], length_div: int) -> float:
    """Cosine 0..1 of the onset rolls of two bars of (onset from the bar's start, pitch), as they stand."""
    rolls = []
    for struck in (a, b):
        rows = np.array(sorted(struck), dtype=np.int64).reshape(-1, 2)
        onset, pitch, none = rows[:, 0], rows[:, 1], np.zeros(len(rows), dtype=np.int64)
        rolls.append(onset_roll(NoteArrays(none, onset, onset + 1, pitch, none, none, none), 0, length_div))
    norm = float(np.linalg.norm(rolls[0]) * np.linalg.norm(rolls[1]))
    return float((rolls[0] * rolls[1]).sum()) / norm if norm else 0.0


def _scale(key: Key) -> set[int]:
    return {(key.pc + i) % 12 for i in (MINOR_SCALE if key.minor else MAJOR_SCALE)}


@dataclass(frozen=True)
class AlteredFigures:
    """How the altered bars of returns sound.

    Args:
        bars: altered bars.
        dissonance: share of the sounding pairs of notes that are a second, seventh or tritone (or such and octaves),
            weighed by time; an own definition, with the tritone among them as in Hindemith's and all older tables.
        off_chord: share of the sounding notes that the planned chord does not hold, weighed by time; None without
            planned chords.
        chords: share of beats whose heard root is the planned one; None without planned chords.
    """

    bars: int
    dissonance: float
    off_chord: float | None
    chords: float | None


def altered_figures(
    score: Score, plan: Plan, *, bars: Iterable[ReturnedBar] | None = None, harmony: Harmony | None = None
) -> AlteredFigures | None:
    """Figures over the altered bars of a piece's returns; None where there are none.

    Args:
        score: the piece.
        plan: its plan.
        bars: those to look at (the altered among them); None: the piece's own. A rival is judged on the bars of the
            piece that it was made from.
        harmony: heard chords where they are at hand.
    """
    chosen = [b for b in (returned_bars(score, plan) if bars is None else bars) if b.altered]
    if not chosen:
        return None
    harmony = harmony or analyse_harmony(score)
    row, length = sonorities(score), plan.meter.bar_div
    pairs = rough = sounding = off = beats = agreed = 0
    for bar in chosen:
        planned = [(section_start(plan, bar.section) + c.onset_div, c) for c in plan.sections[bar.section].chords]
        end = bar.onset_div + length
        for sonority in (s for s in row if s.onset_div < end and s.end_div > bar.onset_div):
            begin, stop = max(sonority.onset_div, bar.onset_div), min(sonority.end_div, end)
            for low, high in combinations(sonority.pitches, 2):
                pairs += stop - begin
                rough += (stop - begin) * ((high - low) % 12 in DISSONANT)
            for onset, chord in planned:
                shared = min(stop, onset + chord.duration_div) - max(begin, onset)
                if shared > 0:
                    sounding += shared * len(sonority.pitches)
                    off += shared * sum(p % 12 not in chord.pcs for p in sonority.pitches)
        for beat in range(bar.onset_div, end, plan.meter.beat_div):
            wanted = _root_at(((o, c) for o, c in planned), beat)
            heard = _root_at(((c.onset_div, c) for c in harmony.chords), beat)
            beats += wanted is not None and heard is not None
            agreed += wanted is not None and wanted == heard
    return AlteredFigures(
        len(chosen),
        rough / pairs if pairs else 0.0,
        off / sounding if sounding else None,
        agreed / beats if beats else None,
    )


def _root_at(chords: Iterable[tuple[int, Chord]], place: int) -> int | None:
    return next((c.root for onset, c in chords if onset <= place < onset + c.duration_div), None)
