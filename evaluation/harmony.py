"""Harmony: chords and keys against the plan, scales, 6/4 chords.

Chords and keys that are heard come from `music.analysis.chords.analyse_harmony`, the one extractor of the project,
told nothing of the plan. It errs itself: beside people's analyses of chorales it finds 94 % of roots, 87 % of keys
and 88 % of the cadences at fermatas (docs/log.md), so a perfect composer would not reach 1 either.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from music.analysis.chords import Harmony
from music.harmony import TRIADS
from music.pitch import MAJOR_SCALE
from music.plan import Chord, Plan


def _chord_at(chords: Sequence[Chord], onset_div: int) -> Chord | None:
    return next((c for c in chords if c.onset_div <= onset_div < c.onset_div + c.duration_div), None)


def roots_by_beat(plan: Plan, harmony: Harmony) -> float | None:
    """Share of beats whose heard chord has the planned root; None where the plan has no chords.

    A beat is that of the meter (dotted in compound meters); what sounds is the heard chord at the beat's onset.
    Source: the usual frame-wise chord agreement (mir_eval.chord's "root"), with beats as frames in place of time
    intervals and all beats weighed alike.
    """
    agree = total = 0
    beat = plan.meter.beat_div
    for section, first in zip(plan.sections, plan.first_bars, strict=True):
        start = plan.bar_onset_div(first)
        for offset in range(0, section.bars * plan.meter.bar_div, beat):
            planned, heard = _chord_at(section.chords, offset), _chord_at(harmony.chords, start + offset)
            if planned is not None and heard is not None:
                total += 1
                agree += planned.root == heard.root
    return agree / total if total else None


def section_keys(plan: Plan, harmony: Harmony, end_div: int) -> float:
    """Share of sections in which the planned key holds for longer than any other heard key.

    Keys are compared by tonic and mode, whatever their spelling. Definition: this project's own.
    """
    right = 0
    spans = [*(k.onset_div for k in harmony.keys), end_div]
    for section, first in zip(plan.sections, plan.first_bars, strict=True):
        start, end = plan.bar_onset_div(first), plan.bar_onset_div(first + section.bars)
        held: dict[tuple[int, bool], int] = {}
        for change, (begin, stop) in zip(harmony.keys, pairwise(spans), strict=True):
            name = (change.key.pc, change.key.minor)
            held[name] = held.get(name, 0) + max(0, min(stop, end) - max(begin, start))
        right += max(held, key=lambda k: held[k]) == (section.key.pc, section.key.minor)
    return right / len(plan.sections)


def scale_consistency(pitches: Sequence[int]) -> float:
    """Largest share of notes that lie in one major scale; 0 without notes.

    Source: Mogren, "C-RNN-GAN" (2016), as `muspy.scale_consistency` has it. The difference: muspy tries natural minor
    scales too, which hold the same notes as their relative majors, so the figures are equal.
    """
    if not pitches:
        return 0.0
    counts = np.bincount(np.array(pitches) % 12, minlength=12)
    return max(float(counts[[(tonic + i) % 12 for i in MAJOR_SCALE]].sum()) for tonic in range(12)) / len(pitches)


def pitch_class_entropy(pitches: Sequence[int]) -> float:
    """Shannon entropy in bits of the notes' pitch classes, 0 for one … 3.58 for all twelve alike.

    Source: Wu & Yang, "The Jazz Transformer on the Front Line" (ISMIR 2020), H1. The difference: over the whole
    piece, not bar by bar, as `muspy.pitch_class_entropy` has it.
    """
    if not pitches:
        return 0.0
    share = np.bincount(np.array(pitches) % 12, minlength=12) / len(pitches)
    share = share[share > 0]
    return abs(float(-(share * np.log2(share)).sum()))


def six_fours_by_chance(harmony: Harmony) -> tuple[float, float]:
    """Shares of heard chords that are 6/4 chords, and that are such without one of their three usual reasons.

    The reasons: cadential (the dominant follows on the same bass), passing (the bass comes and goes by step) and
    pedal (the same bass before or after). Source: common practice, e.g. Aldwell & Schachter, "Harmony and Voice
    Leading". The difference: the arpeggiated 6/4 (the same chord before or after) counts as a pedal.
    """
    chords = harmony.chords
    all_of_them = by_chance = 0
    for index, chord in enumerate(chords):
        if chord.quality not in TRIADS or (chord.bass - chord.root) % 12 not in (6, 7, 8):
            continue
        all_of_them += 1
        before = chords[index - 1] if index else None
        after = chords[index + 1] if index + 1 < len(chords) else None
        by_chance += not _has_reason(before, chord, after)
    return all_of_them / len(chords), by_chance / len(chords)


def _has_reason(before: Chord | None, chord: Chord, after: Chord | None) -> bool:
    for other in (before, after):
        if other is not None and (
            other.bass == chord.bass or (other.root, other.quality) == (chord.root, chord.quality)
        ):
            return True
    if before is None or after is None:
        return False
    return all((a.bass - b.bass) % 12 in (1, 2, 10, 11) for a, b in ((before, chord), (chord, after)))
