"""Columns of form: where an onset stands in phrase, section and piece, cadences, and what was heard before."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from music.analysis.cadence import find_cadence
from music.analysis.chords import Harmony
from music.plan import Plan
from music.score import Score
from performer.feature_frame import QUARTER, Frame, log_quarters
from performer.rule_form import CADENCE_WEIGHT, Span


def without_gaps(index: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Indices that never go back, counted anew from 0 without gaps."""
    return np.append(0, np.cumsum(np.diff(index) > 0)).astype(np.int64)


def span_of(frame: Frame, spans: tuple[Span, ...]) -> Int[np.ndarray, " onsets"]:
    """Index of the span that holds each onset."""
    starts = np.array([s.start for s in spans], dtype=np.int64)
    return np.maximum(np.searchsorted(starts, frame.at, side="right") - 1, 0)


def form_columns(frame: Frame, phrases: tuple[Span, ...], sections: tuple[Span, ...]) -> dict[str, np.ndarray]:
    """Columns of the group form."""
    phrase = span_of(frame, phrases)
    start, end = _bounds(phrases, phrase)
    from_section, to_section = _bounds(sections, span_of(frame, sections))
    last = int(np.maximum(frame.highest(frame.end), frame.at).max())
    bar = without_gaps(frame.bar)
    new = np.append(True, phrase[1:] != phrase[:-1])
    whole = max(last, 1)
    return {
        "in_phrase": (frame.at - start) / (end - start),
        "from_phrase_start": log_quarters(frame.at - start),
        "to_phrase_end": log_quarters(end - frame.at),
        "phrase_length": log_quarters(end - start),
        "phrase_first": new,
        "phrase_last": np.append(new[1:], True),
        "phrase_last_bar": end - frame.at <= np.array([m.bar_div for m in frame.meter]),
        "in_section": (frame.at - from_section) / (to_section - from_section),
        "from_section_start": log_quarters(frame.at - from_section),
        "to_section_end": log_quarters(to_section - frame.at),
        "in_piece": frame.at / whole,
        "from_start": log_quarters(frame.at),
        "to_end": log_quarters(last - frame.at),
        "near_end": 2.0 ** (-(last - frame.at) / (4 * QUARTER)),
        "last_onset": np.arange(len(frame.at)) == len(frame.at) - 1,
        "last_bar": bar == bar[-1],
        "last_two_bars": bar >= bar[-1] - 1,
        "bar_heard": _heard(frame),
    }


def _bounds(
    spans: tuple[Span, ...], index: Int[np.ndarray, " onsets"]
) -> tuple[Int[np.ndarray, " onsets"], Int[np.ndarray, " onsets"]]:
    return np.array([s.start for s in spans])[index], np.array([s.end for s in spans])[index]


def _heard(frame: Frame) -> np.ndarray:
    """Onsets in bars whose notes stood in an earlier bar just so."""
    bar = frame.bar[frame.place]
    bounds = np.append(np.flatnonzero(np.append(True, bar[1:] != bar[:-1])), len(bar)).tolist()
    offset = frame.onset - frame.bar_start[frame.place]
    content = np.stack([offset, frame.end - frame.onset, frame.pitch], axis=1).astype(np.int64)
    seen: set[bytes] = set()
    repeated = np.zeros(len(bar), dtype=bool)
    for low, high in pairwise(bounds):
        data = content[low:high].tobytes()
        repeated[low:high] = data in seen
        seen.add(data)
    return repeated[frame.first]


def cadence_columns(
    frame: Frame, score: Score, plan: Plan | None, phrases: tuple[Span, ...], harmony: Harmony
) -> dict[str, np.ndarray]:
    """Columns of the group cadence: the plan's cadences, else those that analysis hears at the phrases' ends."""
    kinds = _planned(plan, len(phrases)) if plan is not None else [_heard_cadence(score, s, harmony) for s in phrases]
    phrase = span_of(frame, phrases)
    closed = [span.end for span, kind in zip(phrases, kinds, strict=True) if kind is not None]
    ends = np.array([*closed, frame.end_div], dtype=np.int64)
    following = ends[np.minimum(np.searchsorted(ends, frame.at, side="right"), len(ends) - 1)]
    weight = np.array([CADENCE_WEIGHT[k] if k else 0.0 for k in kinds])
    return {
        "to_cadence": log_quarters(following - frame.at),
        "cadence_known": np.array([k is not None for k in kinds])[phrase],
        "cadence_weight": weight[phrase],
        "cadence_half": np.array([k == "HC" for k in kinds])[phrase],
        "cadence_deceptive": np.array([k == "DC" for k in kinds])[phrase],
    }


def _planned(plan: Plan, count: int) -> list[str | None]:
    """A score that is shorter than its plan lacks the last phrases."""
    kinds = [phrase.cadence for section in plan.sections for phrase in section.phrases]
    return [*kinds, *[None] * count][:count]


def _heard_cadence(score: Score, span: Span, harmony: Harmony) -> str | None:
    key = next((k.key for k in reversed(harmony.keys) if k.onset_div < span.end), harmony.keys[0].key)
    return find_cadence(score, span.end, key, chords=harmony.chords)


def plan_columns(frame: Frame, score: Score, plan: Plan | None) -> dict[str, np.ndarray]:
    """Columns of the group plan: statements of letters, by the plan or by the score's section marks."""
    zero = np.zeros(len(frame.at))
    names = _names(score, plan)
    if not names:
        return {"statement_known": zero, "later_statement": zero, "statements": zero, "varied": zero}
    starts = np.array([at for at, _, _ in names], dtype=np.int64)
    index = np.maximum(np.searchsorted(starts, frame.at, side="right") - 1, 0)
    heard: Counter[str] = Counter()
    rows = []
    for _, label, moved in names:
        letter = label[:1]
        rows.append((1.0, float(heard[letter] > 0), float(heard[letter]), float("'" in label or moved)))
        heard[letter] += 1
    known, later, count, varied = np.array(rows)[index].T
    return {"statement_known": known, "later_statement": later, "statements": count, "varied": varied}


def _names(score: Score, plan: Plan | None) -> list[tuple[int, str, bool]]:
    """Onset and label of each section, and whether it returns in another key."""
    if plan is None:
        return [(m.onset_div, m.label, False) for m in score.sections if m.label]
    rows = []
    for section, bar in zip(plan.sections, plan.first_bars, strict=True):
        moved = section.source is not None and plan.sections[section.source].key != section.key
        rows.append((plan.bar_onset_div(bar), section.label, moved))
    return rows
