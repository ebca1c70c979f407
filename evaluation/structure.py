"""Structure: whether what the plan calls the same sounds the same, and what it calls different does not.

Likeness of passages is that of `music.analysis.similarity`: the cosine of onset rolls (sixteenths, blurred by one step)
at the best transposition. Unrelated passages of human music have a median of 0.18.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.form import bars_of, find_form
from music.analysis.similarity import MAX_TRANSPOSITION, STEP_DIV, passage_similarity
from music.errors import PlanError
from music.plan import Plan, Theme
from music.score import Score

THEME_FOUND = 0.7  # share of a theme's notes that must be struck for a statement of it to count


@dataclass(frozen=True, slots=True)
class SectionPair:
    """Two sections beside each other.

    Args:
        first, second: their indices in the plan, first < second.
        same: whether they have one letter.
        similarity: cosine over the length of the shorter one, 0..1.
        transposition: semitones from the first up to the second at which it is best.
    """

    first: int
    second: int
    same: bool
    similarity: float
    transposition: int


def section_start(plan: Plan, index: int) -> int:
    """Onset of a section's first downbeat in the score, in divisions."""
    return plan.bar_onset_div(plan.first_bars[index])


def section_pairs(score: Score, plan: Plan) -> tuple[SectionPair, ...]:
    """All pairs of sections with their likeness, downbeat on downbeat; of unequal ones the first bars of the longer."""
    pairs: list[SectionPair] = []
    for second in range(len(plan.sections)):
        for first in range(second):
            one, two = plan.sections[first], plan.sections[second]
            length = min(one.bars, two.bars) * plan.meter.bar_div
            similarity, shift = passage_similarity(
                score, section_start(plan, first), section_start(plan, second), length
            )
            pairs.append(SectionPair(first, second, one.letter == two.letter, similarity, shift))
    return tuple(pairs)


def mean_similarity(pairs: Sequence[SectionPair], *, same: bool) -> float | None:
    """Mean likeness of the pairs of one letter, or of two letters; None where there is none (own definition)."""
    chosen = [p.similarity for p in pairs if p.same == same]
    return float(np.mean(chosen)) if chosen else None


def altered_bars(score: Score, plan: Plan, pairs: Sequence[SectionPair]) -> float | None:
    """Share of the bars of returning sections that differ from their model; None where nothing returns.

    A bar is altered when its onsets and pitches, moved by the transposition at which the sections are most alike, are
    not exactly the model's bar's. Definition: this project's own.
    """
    altered = total = 0
    found = {(p.first, p.second): p.transposition for p in pairs}
    bar_div = plan.meter.bar_div
    for index, section in enumerate(plan.sections):
        if section.source is None:
            continue
        shift = found[section.source, index]
        for bar in range(min(section.bars, plan.sections[section.source].bars)):
            model = _struck(score, section_start(plan, section.source) + bar * bar_div, bar_div, shift)
            total += 1
            altered += model != _struck(score, section_start(plan, index) + bar * bar_div, bar_div, 0)
    return altered / total if total else None


def _struck(score: Score, start: int, length: int, shift: int) -> set[tuple[int, int]]:
    inside = (n for n in score.notes if start <= n.onset_div < start + length and n.duration_div > 0)
    return {(n.onset_div - start, n.pitch + shift) for n in inside}


def theme_share(score: Score, theme: Theme, start_div: int) -> float:
    """Share of a theme's notes that are struck after `start_div`, at the best transposition by up to an octave.

    A note is found when its pitch begins within half a sixteenth of its place. Definition: this project's own.
    """
    struck = {((n.onset_div + STEP_DIV // 2) // STEP_DIV, n.pitch) for n in score.notes if n.duration_div > 0}
    places = [((start_div + n.onset_div + STEP_DIV // 2) // STEP_DIV, n.pitch) for n in theme.notes]
    shifts = range(-MAX_TRANSPOSITION, MAX_TRANSPOSITION + 1)
    return max(sum((step, pitch + s) in struck for step, pitch in places) for s in shifts) / len(places)


def themes_found(score: Score, plan: Plan) -> tuple[float, float] | None:
    """Statements of themes: share found (`THEME_FOUND` of its notes), mean share of notes; None without themes.

    Every section with a theme states it from its first downbeat.
    """
    shares = []
    for index, section in enumerate(plan.sections):
        theme = plan.theme_of(section.theme) if section.theme else None
        if theme is not None:
            shares.append(theme_share(score, theme, section_start(plan, index)))
    if not shares:
        return None
    return float(np.mean([s >= THEME_FOUND for s in shares])), float(np.mean(shares))


def bar_letters(plan: Plan) -> list[str]:
    """The letter of each full bar of a plan."""
    return [s.letter for s in plan.sections for _ in range(s.bars)]


def pairwise_f(reference: Sequence[str], estimated: Sequence[str]) -> float:
    """F-measure of pairs of frames that have one label.

    Source: Levy & Sandler (2008), as `mir_eval.segment.pairwise` has it. The difference: frames are bars, not tenths
    of a second.
    """
    a, b = np.array(list(reference)), np.array(list(estimated))
    upper = np.triu_indices(len(a), 1)
    same_a, same_b = (a[:, None] == a)[upper], (b[:, None] == b)[upper]
    both = float((same_a & same_b).sum())
    if both == 0:
        return float(not same_a.any() and not same_b.any())
    precision, recall = both / same_b.sum(), both / same_a.sum()
    return float(2 * precision * recall / (precision + recall))


def boundary_f(reference: Sequence[int], estimated: Sequence[int], *, window: int = 1) -> float:
    """F-measure of section bounds in bars, the piece's two ends not counted; 1 where neither has any.

    Source: `mir_eval.segment.detection` with `trim=True`. The differences: the window is in bars, and hits are
    matched from the left to the nearest free one, which for bounds farther apart than twice the window is the same as
    its maximum matching.
    """
    free, hits = list(estimated), 0
    for bound in reference:
        near = [e for e in free if abs(e - bound) <= window]
        if near:
            free.remove(min(near, key=lambda e: abs(e - bound)))
            hits += 1
    if not reference and not estimated:
        return 1.0
    return 2 * hits / (len(reference) + len(estimated))


def blind_form(score: Score, plan: Plan) -> tuple[float, float] | None:
    """The form found from the notes alone against the plan's: (pairwise F over bars, F of bounds within a bar).

    The finder is `evaluation.form.find_form`; None where it gives up.
    """
    try:
        places, letters = find_form(score)
    except PlanError:
        return None
    heard, planned = bars_of(places, letters), bar_letters(plan)
    count = min(len(heard), len(planned))
    return pairwise_f(planned[:count], heard[:count]), boundary_f(plan.first_bars[1:], places[1:-1])
