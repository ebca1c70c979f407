"""Pieces with a fault: what no listener or player would forgive, as yes or no for a piece.

The limits are such that people's pieces seldom cross them; how many do stands beside in `benchmarks/pieces.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from evaluation.sonorities import Sonority
from music.plan import Plan
from music.score import Score

SILENT_BARS = 1.0
STUCK_BARS = 2.0
STUTTER = 0.12  # share of notes; the 90th percentile of quartet movements, whose inner voices repeat notes, is 0.10
STALE_BARS = 4

# What stands in a table for each fault.
FAULTS = {
    "silent": "silence over a bar",
    "stuck": "one sonority over 2 bars, not planned",
    "stutter": "notes restruck one after another (stutter)",
    "hands": "a strike beyond a hand (piano)",
    "stale": f"{STALE_BARS} bars or more with nothing new",
}


def stuck(score: Score, row: tuple[Sonority, ...], plan: Plan | None = None) -> bool:
    """Whether one and the same sonority lasts for more than `STUCK_BARS` bars where the plan asks for more than one
    chord.

    A stretch over which the plan has a single chord is taken as planned. Definition: this project's own.
    """
    start = 0
    for index, sonority in enumerate(row):
        if sonority.pitches != row[start].pitches:
            start = index
        onset, end = row[start].onset_div, sonority.end_div
        long = end - onset > STUCK_BARS * score.meter_at(onset).bar_div
        if sonority.pitches and long and not (plan and _one_chord(plan, onset, end)):
            return True
    return False


def _one_chord(plan: Plan, onset: int, end: int) -> bool:
    heard = set()
    for section, first in zip(plan.sections, plan.first_bars, strict=True):
        start = plan.bar_onset_div(first)
        for chord in section.chords:
            begin = start + chord.onset_div
            if begin < end and begin + chord.duration_div > onset:
                heard.add((chord.root, chord.quality))
    return len(heard) == 1


def faults(
    figures: Mapping[str, float], score: Score, row: tuple[Sonority, ...], plan: Plan | None = None
) -> dict[str, bool]:
    """Each fault of `FAULTS` that can be judged, and whether the piece has it.

    Args:
        figures: of `evaluation.piece.evaluate_piece`.
        score, row: the piece and its sonorities.
        plan: what it was to be.
    """
    found = {
        "silent": figures["longest_silence_bars"] > SILENT_BARS,
        "stuck": stuck(score, row, plan),
        "stutter": figures["stutter"] > STUTTER,
        "stale": figures["nothing_new_bars"] >= STALE_BARS,
    }
    if "unplayable_hands" in figures:
        found["hands"] = figures["unplayable_hands"] > 0
    return found
