"""Phrases and sections of the score that is played: the arches of the performance stand on them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from music.analysis.phrases import phrase_ends
from music.plan import Plan
from music.score import Score

PHRASE_BARS = 4
# How much a phrase's end broadens, by its cadence.
CADENCE_WEIGHT = {"PAC": 1.0, "IAC": 0.8, "DC": 0.8, "HC": 0.7, None: 0.5}


@dataclass(frozen=True)
class Span:
    """A stretch of the score in divisions; `weight` 0..1 says how strongly it closes."""

    start: int
    end: int
    weight: float = 0.7


def section_spans(score: Score, plan: Plan | None) -> tuple[Span, ...]:
    """Sections of the plan, else of the score's section marks, else the whole piece as one."""
    if plan is not None:
        starts = [plan.bar_onset_div(bar) for bar in plan.first_bars]
    else:
        starts = [m.onset_div for m in score.sections]
    return _spans(starts, score.end_div, [1.0] * len(starts))


def phrase_spans(score: Score, plan: Plan | None) -> tuple[Span, ...]:
    """Phrases of the plan; else those that analysis finds, by fermatas or by the melody; else four bars each."""
    if plan is not None:
        starts, weights, bar = [], [], 0
        for section in plan.sections:
            for phrase in section.phrases:
                starts.append(plan.bar_onset_div(bar))
                weights.append(CADENCE_WEIGHT[phrase.cadence])
                bar += phrase.bars
        return _spans(starts, score.end_div, weights)
    starts = _found_phrases(score) or _every_four_bars(score)
    return _spans(starts, score.end_div, [0.7] * len(starts))


def _found_phrases(score: Score) -> list[int]:
    """Phrase starts by analysis and by section marks; none where a score is too short to tell."""
    if len(score.bars) < 2 * PHRASE_BARS or len(score.notes) < 2 * len(score.bars):
        return []
    ends = phrase_ends(score)[:-1]
    marks = [m.onset_div for m in score.sections]
    near = score.meters[0].meter.bar_div
    # A section starts a phrase; what analysis finds within a bar of it is the same boundary.
    return sorted({0, *marks, *(e for e in ends if all(abs(e - m) > near for m in marks))})


def _every_four_bars(score: Score) -> list[int]:
    meter = score.meters[0].meter
    upbeat = len(score.bars) > 1 and score.bars[0].duration_div < meter.bar_div
    marks = {m.onset_div for m in score.sections}
    starts, count = [], -1 if upbeat else 0
    for bar in score.bars:
        if bar.onset_div in marks:
            count = 0
        if count >= 0 and count % PHRASE_BARS == 0:
            starts.append(bar.onset_div)
        count += 1
    return starts


def _spans(starts: list[int], end: int, weights: list[float]) -> tuple[Span, ...]:
    """Spans from each start to the next; what stands before the first start (an upbeat) belongs to it."""
    kept = [(s, w) for s, w in zip(starts, weights, strict=True) if s < end]
    if not kept:
        return (Span(0, end),)
    kept[0] = (0, kept[0][1])
    bounds = [s for s, _ in kept] + [end]
    return tuple(Span(a, b, w) for (a, b), (_, w) in zip(pairwise(bounds), kept, strict=True) if b > a)
