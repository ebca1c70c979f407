"""Texture and life: whether a piece falls silent, sticks, stutters, goes in circles or asks for too large hands."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby, pairwise

from evaluation.sonorities import Sonority
from music.analysis.bars import whole_bars
from music.analysis.melody import melody_line
from music.plan import Plan
from music.score import Score
from music.time import DIVS_PER_QUARTER

HAND_SPAN = 14  # semitones between the outer notes that one hand strikes at once: a ninth
FINGERS = 5
PIANO_PARTS = 2
STEP_DIV = DIVS_PER_QUARTER // 4
LOOK_BACK = 2  # bars: a loop of one or two bars is nothing new


def longest_silence(score: Score, row: tuple[Sonority, ...]) -> float:
    """Longest time in which nothing sounds, in bars of the meter where it begins (own definition)."""
    return _longest([(s.onset_div, s.end_div, not s.pitches) for s in row], score, beats=False)


def longest_sonority(score: Score, row: tuple[Sonority, ...]) -> float:
    """Longest time in which the same pitches sound, in beats of the meter where it begins; striking them anew is no
    change.

    Definition: this project's own. A broken chord changes with each note and never counts; a repeated one does.
    """
    runs: list[tuple[int, int, bool]] = []
    for pitches, group in groupby(row, key=lambda s: s.pitches):
        members = list(group)
        runs.append((members[0].onset_div, members[-1].end_div, bool(pitches)))
    return _longest(runs, score, beats=True)


def _longest(spans: list[tuple[int, int, bool]], score: Score, *, beats: bool) -> float:
    lengths = [0.0]
    for onset, end, counts in spans:
        if counts:
            meter = score.meter_at(onset)
            lengths.append((end - onset) / (meter.beat_div if beats else meter.bar_div))
    return max(lengths)


def stutter(row: tuple[Sonority, ...]) -> float:
    """Share of struck notes that are restruck ties.

    Such a note is struck where it has just sounded, while nothing else moves: the sonority stays as it was, and some
    of its notes are held over, so that it is no repeated chord. Definition: this project's own.
    """
    struck = sum(len(s.struck) for s in row)
    restruck = 0
    for before, after in pairwise(row):
        if after.struck and before.pitches == after.pitches and len(after.struck) < len(after.pitches):
            restruck += len(after.struck)
    return restruck / struck if struck else 0.0


def unplayable_hands(score: Score) -> float | None:
    """Share of a piano piece's strikes that no hand can play; None for music in more than two parts.

    A strike is what begins at once on one staff: it is beyond a hand when it spans more than `HAND_SPAN` semitones or
    has more than `FINGERS` notes. Notes without a staff are dealt as well as can be: the strike is at fault where no
    division into a lower and an upper hand is playable. Definition: this project's own; notes held over from before
    are not looked at.
    """
    if len(score.parts) > PIANO_PARTS:
        return None
    strikes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for note in score.notes:
        if note.duration_div > 0:
            strikes[note.onset_div, note.staff].append(note.pitch)
    bad = sum(not _playable(sorted(set(p)), hands=2 if staff == 0 else 1) for (_, staff), p in strikes.items())
    return bad / len(strikes) if strikes else 0.0


def _playable(pitches: list[int], hands: int) -> bool:
    if hands == 2:
        return any(_playable(pitches[:cut], 1) and _playable(pitches[cut:], 1) for cut in range(len(pitches) + 1))
    return len(pitches) <= FINGERS and (not pitches or pitches[-1] - pitches[0] <= HAND_SPAN)


Pattern = frozenset[tuple[int, int]]


def accompaniment_pattern(score: Score, start_div: int, end_div: int) -> Pattern:
    """Rhythm and contour of what accompanies the melody in a bar: (step, direction) of each onset below it.

    Steps are sixteenths from the bar's start; the direction is where the lowest note that is struck goes from the last
    such one (-1 down, 0 same, 1 up; 0 for the first).
    """
    melody = {n.id for n in melody_line(score, start_div, end_div)}
    lowest: dict[int, int] = {}
    for note in score.notes:
        if start_div <= note.onset_div < end_div and note.duration_div > 0 and note.id not in melody:
            step = (note.onset_div - start_div + STEP_DIV // 2) // STEP_DIV
            lowest[step] = min(note.pitch, lowest.get(step, note.pitch))
    steps = sorted(lowest)
    before = [lowest[step] for step in (*steps[:1], *steps)]
    return frozenset((s, (lowest[s] > b) - (lowest[s] < b)) for s, b in zip(steps, before, strict=False))


def accompaniment_persistence(score: Score) -> float | None:
    """How much of a bar's accompaniment pattern stays in the next bar, 0..1; None without two bars that have one.

    For neighbouring bars, the share that both have of the onsets (with their directions) that either has, by
    `accompaniment_pattern`; the mean over pairs of bars. Definition: this project's own.
    """
    patterns = [accompaniment_pattern(score, b.onset_div, b.end_div) for b in whole_bars(score)]
    shares = [len(a & b) / len(a | b) for a, b in pairwise(patterns) if a and b]
    return sum(shares) / len(shares) if shares else None


def nothing_new(score: Score) -> int:
    """Longest run of bars that bring nothing new: each strikes what was struck, at its places, one or two bars ago.

    A silent bar is nothing new. Returns of longer passages are not counted, since they are what a form is made of.
    Definition: this project's own.
    """
    struck: dict[int, set[tuple[int, int]]] = defaultdict(set)
    bars = whole_bars(score)
    place = 0
    for note in score.notes:
        while place + 1 < len(bars) and bars[place + 1].onset_div <= note.onset_div:
            place += 1
        if note.duration_div > 0:
            struck[place].add((note.onset_div - bars[place].onset_div, note.pitch))
    longest = run = 0
    for bar in range(len(bars)):
        earlier = [struck[b] for b in range(max(0, bar - LOOK_BACK), bar)]
        run = run + 1 if not struck[bar] or struck[bar] in earlier else 0
        longest = max(longest, run)
    return longest


def density(score: Score) -> float:
    """Notes that begin, a quarter note of the piece; grace notes left out."""
    return sum(n.duration_div > 0 for n in score.notes) * DIVS_PER_QUARTER / score.end_div


def pitch_range(score: Score) -> int:
    """Semitones from the lowest to the highest note."""
    pitches = [n.pitch for n in score.notes]
    return max(pitches) - min(pitches) if pitches else 0


def polyphony(row: tuple[Sonority, ...]) -> float:
    """Mean number of pitches that sound, weighed by time, where any sounds.

    Source: `muspy.polyphony`, which counts pitches at each step; here time is not quantised.
    """
    time = sum(s.duration_div for s in row if s.pitches)
    return sum(len(s.pitches) * s.duration_div for s in row) / time if time else 0.0


def density_of_plan(score: Score, plan: Plan) -> float | None:
    """Mean over sections of their density as a share of the planned one; None where the plan names none."""
    shares: list[float] = []
    for section, first in zip(plan.sections, plan.first_bars, strict=True):
        start, end = plan.bar_onset_div(first), plan.bar_onset_div(first + section.bars)
        struck = sum(start <= n.onset_div < end and n.duration_div > 0 for n in score.notes)
        if section.density:
            shares.append(struck * DIVS_PER_QUARTER / (end - start) / section.density)
    return sum(shares) / len(shares) if shares else None
