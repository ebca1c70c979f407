"""Cadences: planned ones at their place, and how various the formulas are that close phrases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.sonorities import Sonority
from music.analysis.cadence import find_cadence
from music.analysis.chords import Harmony
from music.analysis.melody import melody_line
from music.analysis.phrases import infer_phrase_ends
from music.pitch import Key
from music.plan import Plan
from music.score import Score

AUTHENTIC = ("PAC", "IAC")
DRAWS = 50  # samples of formulas that a mean entropy is taken over


@dataclass(frozen=True)
class Cadences:
    """Planned cadences that were looked for.

    Args:
        planned: how many.
        exact: found in the planned kind.
        found: found in the planned kind, perfect and imperfect authentic ones taken as one.
    """

    planned: int
    exact: int
    found: int


def planned_cadences(score: Score, plan: Plan, harmony: Harmony) -> Cadences:
    """Looks for every planned cadence at the end of its phrase, in the key of its section.

    The detector is `music.analysis.cadence.find_cadence`. A phrase ends at a bar line, or, in a piece with an upbeat,
    where the next phrase's upbeat begins: both places are tried. Definition: this project's own.
    """
    planned = exact = found = 0
    for section, first in zip(plan.sections, plan.first_bars, strict=True):
        bar = first
        for phrase in section.phrases:
            bar += phrase.bars
            if phrase.cadence is None:
                continue
            line = min(plan.bar_onset_div(bar), score.end_div)
            ends = {line, line - plan.pickup_div}
            heard = {find_cadence(score, end, section.key, chords=harmony.chords) for end in ends}
            alike = AUTHENTIC if phrase.cadence in AUTHENTIC else (phrase.cadence,)
            planned += 1
            exact += phrase.cadence in heard
            found += any(kind in heard for kind in alike)
    return Cadences(planned, exact, found)


Formula = tuple[int, int, int, int]


def cadence_formulas(score: Score, row: Sequence[Sonority], harmony: Harmony) -> tuple[Formula, ...]:
    """The formula of each cadence that is heard: the last two notes of soprano and bass in semitones above the tonic.

    Cadences are looked for where phrases seem to end (`music.analysis.phrases`, told neither of a plan nor of fermatas,
    so that people's pieces and ours are treated alike). The bass is the lowest pitch of the last sonorities,
    repeated ones counted once. Source: the galant clausulae, e.g. Gjerdingen, "Music in the Galant Style" (2007),
    cut to two notes a voice. Definition: this project's own.
    """
    found: list[Formula] = []
    for end in infer_phrase_ends(score, harmony=harmony):
        key = next((k.key for k in reversed(harmony.keys) if k.onset_div < end), harmony.keys[0].key)
        if find_cadence(score, end, key, chords=harmony.chords) is None:
            continue
        formula = _formula(score, row, end, key)
        if formula is not None:
            found.append(formula)
    return tuple(found)


def _formula(score: Score, row: Sequence[Sonority], end: int, key: Key) -> Formula | None:
    start = max(0, end - 2 * score.meter_at(max(0, end - 1)).bar_div)
    soprano = [n.pitch for n in melody_line(score, start, end)][-2:]
    bass: list[int] = []
    for sonority in row:
        if start <= sonority.onset_div < end and sonority.pitches and bass[-1:] != [sonority.pitches[0]]:
            bass.append(sonority.pitches[0])
    if len(soprano) < 2 or len(bass) < 2:
        return None
    first, second, third, fourth = ((p - key.pc) % 12 for p in (*soprano, *bass[-2:]))
    return first, second, third, fourth


def formula_variety(formulas: Sequence[Formula]) -> float | None:
    """Distinct formulas as a share of a piece's cadences; None with fewer than two."""
    return len(set(formulas)) / len(formulas) if len(formulas) > 1 else None


def formula_entropy(formulas: Sequence[Formula], *, count: int = 60, seed: int = 0) -> float | None:
    """Shannon entropy in bits of the formulas of many pieces, as the mean over samples of `count` of them.

    Entropy grows with the number of cadences that it is taken over, so sets of unequal size are compared by samples of
    one size, drawn without replacement. None where there are fewer than `count`.
    """
    if len(formulas) < count:
        return None
    rng = np.random.default_rng(seed)
    places = {formula: i for i, formula in enumerate(sorted(Counter(formulas)))}
    numbers = np.array([places[f] for f in formulas])
    values = []
    for _ in range(DRAWS):
        share = np.unique(rng.choice(numbers, count, replace=False), return_counts=True)[1] / count
        values.append(-(share * np.log2(share)).sum())
    return abs(float(np.mean(values)))
