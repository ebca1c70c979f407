"""Corpus pieces as the composer sees them: roll, the plan's columns, the melody alone, and which bars return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int8, UInt8
from numpy import ndarray

from composer.conditions import NO_REFERENCE, STATEMENT, plan_context, shift_pitches
from composer.roll import LOWEST_PITCH, PITCHES, Roll, roll_of_score, step_div
from music.analysis.melody import melody_line
from music.analysis.plans import plan_of_score
from music.analysis.signs import phrase_fermatas
from music.analysis.similarity import TRANSPOSITIONS, BarProducts, bar_products, bar_returns
from music.analysis.spans import cut_span, join_split_bars, regular_spans
from music.errors import PlanError
from music.score import Score


@dataclass(frozen=True, eq=False)
class Example:
    """A piece ready for training.

    Args:
        name: for messages.
        roll: the notes.
        context: the plan's columns, as long as the roll.
        melody: the top line alone, as (play, articulate) rolls.
        returns: per step, the earlier step that it is modelled on (-1 none) and the semitones from there to here.
        bars: first step of each written bar, and the end.
        likeness: of all pairs of bars at their best transposition, in 255ths; 0 where their lengths differ.
        shifts: that transposition, semitones from the column's bar up to the row's.
        annotated: the bounds of phrases are the score's own marks, not inferred.
    """

    name: str
    roll: Roll
    context: ndarray
    melody: tuple[Bool[ndarray, "steps 88"], Bool[ndarray, "steps 88"]]
    returns: ndarray
    bars: Int[ndarray, " bars_and_end"]
    likeness: UInt8[ndarray, "bars bars"]
    shifts: Int8[ndarray, "bars bars"]
    annotated: bool


def _melody_rolls(score: Score, roll: Roll) -> tuple[Bool[ndarray, "steps 88"], Bool[ndarray, "steps 88"]]:
    unit = step_div(roll.steps_per_quarter)
    play, articulate = np.zeros_like(roll.play), np.zeros_like(roll.play)
    for note in melody_line(score, 0, score.end_div):
        column, first = note.pitch - LOWEST_PITCH, (note.onset_div + unit // 2) // unit
        if 0 <= column < PITCHES and first < roll.steps:
            play[first : max((note.end_div + unit // 2) // unit, first + 1), column] = True
            articulate[first, column] = True
    return play & roll.play, articulate & roll.articulate


def _bar_pairs(products: BarProducts, score: Score) -> tuple[UInt8[ndarray, "bars bars"], Int8[ndarray, "bars bars"]]:
    """Likeness in 255ths and transposition of all pairs of bars."""
    cosines = products.windows(1)
    best = (cosines - 1e-4 * np.abs(TRANSPOSITIONS)[:, None, None]).argmax(axis=0)
    likeness = np.take_along_axis(cosines, best[None], axis=0)[0].clip(0, 1)
    lengths = np.array([b.duration_div for b in score.bars])
    likeness[lengths[:, None] != lengths[None]] = 0
    return np.rint(255 * likeness).astype(np.uint8), TRANSPOSITIONS[best].astype(np.int8)


def _return_steps(score: Score, roll: Roll, products: BarProducts) -> ndarray:
    """[steps, 2]: source step or -1, transposition. Bars of unlike length give no reference."""
    unit = step_div(roll.steps_per_quarter)
    rows = np.full((roll.steps, 2), -1, dtype=np.int32)
    rows[:, 1] = 0
    for found in bar_returns(score, products=products):
        if found is None:
            continue
        here, there = score.bars[found.bar], score.bars[found.source]
        first, source = here.onset_div // unit, there.onset_div // unit
        length = min(here.duration_div, there.duration_div) // unit
        steps = min(length, roll.steps - first)
        rows[first : first + steps, 0] = source + np.arange(steps)
        rows[first : first + steps, 1] = found.transposition
    return rows


def make_example(name: str, score: Score, *, style: str, ensemble: str, styles: Sequence[str]) -> Example:
    """A corpus piece with the conditions that a planner would give it.

    Raises:
        PlanError: the piece does not fit a plan (several meters, say).
    """
    plan = plan_of_score(score, style=style, ensemble=ensemble)
    roll = roll_of_score(score)
    context = plan_context(plan, roll.steps_per_quarter, roll.steps, styles)
    products = bar_products(score)
    unit = step_div(roll.steps_per_quarter)
    bars = np.array([*(min(b.onset_div // unit, roll.steps) for b in score.bars), roll.steps])
    likeness, shifts = _bar_pairs(products, score)
    returns = _return_steps(score, roll, products)
    melody, annotated = _melody_rolls(score, roll), bool(phrase_fermatas(score))
    return Example(name, roll, context, melody, returns, bars, likeness, shifts, annotated)


def make_examples(
    name: str, score: Score, *, style: str, ensemble: str, styles: Sequence[str]
) -> tuple[list[Example], int]:
    """The examples of a piece, one for each regular span, and how many of its bars they leave out."""
    made, kept = [], 0
    score = join_split_bars(score)
    for first, last in regular_spans(score):
        part = cut_span(score, first, last)
        if not part.notes:
            continue
        try:
            made.append(make_example(f"{name}:{first}", part, style=style, ensemble=ensemble, styles=styles))
        except PlanError:
            continue
        kept += last - first
    return made, len(score.bars) - kept


def references(example: Example, first: int, count: int) -> tuple[ndarray, ndarray, ndarray]:
    """Reference (play, articulate, kind) of steps first .. first + count, taken from earlier bars only."""
    play = np.zeros((count, PITCHES), dtype=bool)
    articulate = np.zeros_like(play)
    kind = np.full(count, NO_REFERENCE, dtype=np.int8)
    end = min(first + count, example.roll.steps)
    spans = example.returns[first:end]
    for semitones in np.unique(spans[spans[:, 0] >= 0, 1]):
        here = np.flatnonzero((spans[:, 0] >= 0) & (spans[:, 1] == semitones))
        source = spans[here, 0]
        play[here] = shift_pitches(example.roll.play[source], int(semitones))
        articulate[here] = shift_pitches(example.roll.articulate[source], int(semitones))
        kind[here] = STATEMENT
    return play, articulate, kind
