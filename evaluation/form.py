"""The form of a piece found blind: where sections begin and which return, from how alike its bars are.

The finder sees the notes only: how alike any two stretches of bars are (`music.analysis.similarity`), and, as a hint
where sections begin, the phrases that analysis hears. Its likenesses were chosen on people's pieces whose repeats say
what their form is (`evaluation.known_form`), as they are and with bars of the repeats shaken at random
(`evaluation.perturb`). That sixteen bars without a return are two sections is a convention, which costs nothing there.
The plans of corpus pieces come from another finder (`music.analysis.sections`), made to cut at phrases and to see
literal returns; on returns that vary it loses the bounds: F of bounds 0.29 where the likeness is 0.60, this one 0.91.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from string import ascii_uppercase

import numpy as np
from jaxtyping import Float, Int

from music.analysis.bars import plan_bars
from music.analysis.cadence import find_cadence
from music.analysis.chords import analyse_harmony
from music.analysis.phrases import infer_phrase_ends
from music.analysis.similarity import TRANSPOSITIONS, BarProducts, bar_products
from music.score import Score

LEAST = 4  # bars of a section
LONGEST = 32  # bars of a stretch that returns at once
DIVIDED = 16  # bars from which on a section in which nothing returns is divided
UNRELATED = 0.45  # likeness from which a stretch speaks for a return; unrelated human passages: 90th percentile 0.29
SAME = 0.4  # least likeness of two sections of one letter
HINT = 0.35  # what an end of a stretch gains where a phrase begins, and where a bound is known, in bars of likeness 1


def form_of_products(
    products: BarProducts, phrases: Sequence[int], cadences: Sequence[int] = ()
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Sections of a piece: bars where they begin (with 0 and the end), and their letters.

    The stretch of bars that is most like an earlier one of its length, beyond what unrelated music is, makes section
    bounds at the ends of both; then the next such, until none is left. What is still long is divided at the cadence or
    phrase nearest to its middle. Sections get letters in order; one that is like an earlier one gets its letter.

    Args:
        products: of the piece's bars.
        phrases: bars where phrases begin.
        cadences: those of them before which a cadence is heard.
    """
    bars = len(products.power)
    bounds = _returning_bounds(products, set(phrases) | {0, bars})
    for start, end in pairwise(sorted(bounds)):
        bounds |= _divided(start, end, set(phrases), set(cadences))
    places = tuple(sorted(bounds))
    return places, _letters(products, places)


@dataclass(frozen=True)
class _Stretches:
    """Pairs of stretches of bars that are alike and do not overlap: where both begin, their length, their likeness."""

    first: Int[np.ndarray, " pairs"]
    later: Int[np.ndarray, " pairs"]
    length: Int[np.ndarray, " pairs"]
    likeness: Float[np.ndarray, " pairs"]


def _sums(values: np.ndarray, length: int) -> np.ndarray:
    """Sums of `length` neighbours along the last axis."""
    total = np.cumsum(values.astype(np.float64), axis=-1)
    return np.concatenate([total[..., length - 1 : length], total[..., length:] - total[..., :-length]], axis=-1)


def _stretches(products: BarProducts) -> _Stretches:
    bars = len(products.power)
    rows: list[tuple[np.ndarray, ...]] = [(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))]
    for lag in range(LEAST, bars):
        place = np.arange(bars - lag)
        dots = products.dots[:, place + lag, place]
        for length in range(LEAST, min(LONGEST, lag, bars - lag) + 1):
            norm = np.sqrt(_sums(products.power[place], length) * _sums(products.power[place + lag], length))
            best = (_sums(dots, length) - 1e-4 * np.abs(TRANSPOSITIONS)[:, None]).max(axis=0)
            likeness = np.divide(best, norm, out=np.zeros_like(best), where=norm > 0)
            first = np.flatnonzero(likeness > UNRELATED)
            rows.append((first, first + lag, np.full(len(first), length), likeness[first]))
    first, later, lengths, likeness = (np.concatenate(column) for column in zip(*rows, strict=True))
    return _Stretches(first.astype(np.int64), later.astype(np.int64), lengths.astype(np.int64), likeness)


def _returning_bounds(products: BarProducts, phrases: set[int]) -> set[int]:
    """Ends of stretches that return: the weightiest pair first, then the next whose later stretch is still free."""
    bars = len(products.power)
    pairs = _stretches(products)
    weight = (pairs.likeness - UNRELATED) / (1 - UNRELATED) * pairs.length
    ends = np.stack([pairs.first, pairs.first + pairs.length, pairs.later, pairs.later + pairs.length])
    begins = np.isin(np.arange(bars + 1), sorted(phrases))
    bounds, used = {0, bars}, np.zeros(bars, dtype=np.int64)
    while len(weight):
        known = np.isin(np.arange(bars + 1), sorted(bounds))
        near = np.array([min(abs(place - b) for b in bounds) for place in range(bars + 1)])
        taken = np.concatenate([[0], np.cumsum(used)])
        free = (taken[ends[3]] == taken[ends[2]]) & ((near[ends] == 0) | (near[ends] >= LEAST)).all(axis=0)
        if not free.any():
            break
        hints = HINT * (begins[ends].sum(axis=0) + known[ends].sum(axis=0))
        best = int(np.where(free, weight + hints, -np.inf).argmax())
        used[ends[2, best] : ends[3, best]] = 1
        bounds |= {int(e) for e in ends[:, best]}
    return bounds


def _divided(start: int, end: int, phrases: set[int], cadences: set[int]) -> set[int]:
    if end - start < DIVIDED:
        return set()
    inside = range(start + LEAST, end - LEAST + 1)
    chosen = [p for p in inside if p in cadences] or [p for p in inside if p in phrases] or list(inside)
    # Sections of eight bars are the rule, so eight bars from either end are worth a little.
    middle = (start + end) / 2
    cut = min(chosen, key=lambda p: abs(p - middle) - 2 * ((p - start) % 8 == 0 or (end - p) % 8 == 0))
    return {cut} | _divided(start, cut, phrases, cadences) | _divided(cut, end, phrases, cadences)


def _letters(products: BarProducts, places: Sequence[int]) -> tuple[str, ...]:
    letters: list[str] = []
    spans = list(pairwise(places))
    names = iter(ascii_uppercase + "Z" * len(spans))
    for index, (start, end) in enumerate(spans):
        found: list[tuple[float, str]] = []
        for (other, stop), letter in zip(spans[:index], letters, strict=True):
            short, long = sorted((end - start, stop - other))
            likeness = products.block(other, start, short)[0] * (short / long) ** 0.5
            if likeness >= SAME:
                found.append((likeness, letter))
        letters.append(max(found)[1] if found else next(names))
    return tuple(letters)


def find_form(score: Score) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The form of a score by its notes: section bounds in full bars, and letters.

    Raises:
        PlanError: the score's bars do not make a plan.
    """
    blind = replace(
        score,
        sections=(),
        directions=(),
        bars=tuple(replace(bar, number=number) for number, bar in enumerate(score.bars, start=1)),
    )
    bars, harmony = plan_bars(blind), analyse_harmony(blind)
    ends = {bars.nearest_bar(end): end for end in infer_phrase_ends(blind, harmony=harmony)}
    cadences: list[int] = []
    for bar, end in ends.items():
        key = next((k.key for k in reversed(harmony.keys) if k.onset_div < end), harmony.keys[0].key)
        if find_cadence(blind, end, key, chords=harmony.chords) is not None:
            cadences.append(bar)
    spans = tuple((bars.onset_div(i), min(bars.onset_div(i + 1), blind.end_div)) for i in range(bars.bars))
    return form_of_products(bar_products(blind, spans), sorted(ends), cadences)


def bars_of(places: Sequence[int], letters: Sequence[str]) -> list[str]:
    """The letter of each bar."""
    return [letter for (start, end), letter in zip(pairwise(places), letters, strict=True) for _ in range(end - start)]
