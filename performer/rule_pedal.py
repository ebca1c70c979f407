"""The sustain pedal: syncopated pedalling, down just after each harmony and up when the next one is struck."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from music.performance import Pedal
from music.plan import Plan
from music.score import Score
from performer.rule_score import NoteArrays
from performer.rule_tempo import TimeMap

DOWN = 100
AFTER_SEC = 0.09  # the foot goes down this long after the harmony is struck, when the dampers have stopped the old one
RELEASE_SEC = 0.02
SHORTEST_SEC = 0.25  # a shorter harmony is not worth a pedal


def pedals(
    score: Score, notes: NoteArrays, times: TimeMap, plan: Plan | None, expression: float, late: float
) -> tuple[Pedal, ...]:
    """Pedal positions, `late` seconds after the map's.

    Three or more equal parts get the pedal only where nothing moves, so that lines stay clear.
    """
    if expression <= 0 or not len(notes.onset):
        return ()
    found: list[Pedal] = []
    changes = _changes(score, notes, plan)
    dry = _dry(score)
    still = len(np.unique(notes.part)) >= 3
    for start, end in pairwise(changes):
        inside = notes.within(start, end)
        onsets = notes.onset[inside]
        if not len(onsets) or (still and (onsets != onsets[0]).any()) or dry & set(onsets.tolist()):
            continue
        down = times.at(int(onsets[0])) + AFTER_SEC
        # The foot comes up when the next harmony sounds, or sooner where the music rests before it.
        last = int(notes.end[inside].max())
        up = times.at(min(end, last)) + (RELEASE_SEC if last >= end else 0.0)
        if up - down >= SHORTEST_SEC:
            if found and found[-1].onset_sec > down + late - 0.03:
                found[-1] = Pedal(round(down + late - 0.03, 6), 0)
            found += [Pedal(round(down + late, 6), DOWN), Pedal(round(up + late, 6), 0)]
    return tuple(found)


def _changes(score: Score, notes: NoteArrays, plan: Plan | None) -> list[int]:
    """Where the harmony changes: the plan's chords, else bars and new bass notes of a beat or more; sections always."""
    changes = {b.onset_div for b in score.bars} | {m.onset_div for m in score.sections} | {score.end_div}
    if len(np.unique(notes.part)) >= 3:
        return sorted(changes | set(notes.onset.tolist()))
    planned = _plan_changes(plan) if plan is not None else set()
    if planned:
        # A bar in the middle of a chord needs no new pedal, but the end of a section does.
        kept = {c for c in planned if c < score.end_div} | {0, score.end_div}
        return sorted(kept)
    beat = score.meters[0].meter.beat_div
    long_bass = notes.bass & (notes.pitch < 60) & (notes.end - notes.onset >= beat) & (notes.strength >= 0.5)
    return sorted(changes | set(notes.onset[long_bass].tolist()))


def _plan_changes(plan: Plan) -> set[int]:
    found: set[int] = set()
    for section, bar in zip(plan.sections, plan.first_bars, strict=True):
        start = plan.bar_onset_div(bar)
        previous = None
        for chord in section.chords:
            if (chord.root, chord.quality) != previous:
                found.add(start + chord.onset_div)
            previous = (chord.root, chord.quality)
    return found


def _dry(score: Score) -> set[int]:
    """Onsets of staccato notes, which a pedal would make long."""
    return {d.onset_div for d in score.directions if d.kind == "articulation" and "stacc" in d.text.lower()}
