"""Harmony: chords, keys and cadences against the plan, and faults that ears trained on this music notice.

Chords and keys that are heard come from `music.analysis.chords.analyse_harmony`, the one extractor of the project,
told nothing of the plan. It errs itself: beside people's analyses of chorales it finds 94 % of roots, 87 % of keys
and 88 % of the cadences at fermatas (docs/log.md), so a perfect composer would not reach 1 either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from evaluation.sonorities import Sonority, changes
from music.analysis.cadence import find_cadence
from music.analysis.chords import Harmony
from music.harmony import CHORD_INTERVALS, TRIADS
from music.pitch import MAJOR_SCALE
from music.plan import Chord, Plan
from music.score import Score

AUTHENTIC = ("PAC", "IAC")


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


@dataclass(frozen=True)
class Parallels:
    """Parallels among the moves of all pairs of voices.

    Args:
        moves: pairs of voices, at every change from a sonority to one of as many pitches.
        fifths, octaves: of them, those that move the same way from a perfect fifth to one, from an octave to one.
    """

    moves: int
    fifths: int
    octaves: int


def parallels(row: tuple[Sonority, ...]) -> Parallels:
    """Parallel fifths and octaves, voices being the sorted pitches of a sonority.

    Every change from a sonority to a different one of as many pitches counts each pair of voices once, whether both
    move or not; compound intervals count as simple ones. Source: the rule of every treatise since Fux. The
    differences: voices that cross are not followed (a score without voices can be judged too), unisons are no
    interval here, and successive fifths of unequal size are allowed.
    """
    moves = fifths = octaves = 0
    for before, after in pairwise(changes(row)):
        if len(before) != len(after):
            continue
        for low, high in combinations(range(len(before)), 2):
            moves += 1
            if (after[low] - before[low]) * (after[high] - before[high]) <= 0:
                continue
            intervals = (before[high] - before[low]) % 12, (after[high] - after[low]) % 12
            fifths += intervals == (7, 7)
            octaves += intervals == (0, 0)
    return Parallels(moves, fifths, octaves)


def unresolved_sevenths(row: tuple[Sonority, ...], harmony: Harmony) -> float | None:
    """Share of heard sevenths that do not resolve; None where no seventh is heard.

    A seventh is the seventh of a heard seventh chord, in each octave where it sounds when the chord is left. It
    resolves when, anywhere in the next chord, that pitch goes on sounding (the resolution is put off) or the note a
    semitone or a whole tone below it sounds. Source: common practice. The difference: the voice is not known, so that
    another voice may take the resolution over.
    """
    open_ones = total = 0
    for chord, following in pairwise(harmony.chords):
        if chord.quality in TRIADS:
            continue
        seventh = (chord.root + CHORD_INTERVALS[chord.quality][3]) % 12
        end = chord.onset_div + chord.duration_div
        last = next((s for s in row if s.onset_div < end <= s.end_div), None)
        stop = following.onset_div + following.duration_div
        heard = {p for s in row if s.end_div > end and s.onset_div < stop for p in s.pitches}
        for pitch in last.pitches if last else ():
            if pitch % 12 == seventh:
                total += 1
                open_ones += not heard & {pitch, pitch - 1, pitch - 2}
    return open_ones / total if total else None


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
