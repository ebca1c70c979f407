"""Where phrases end: at fermatas where the score has them, else inferred from melody, texture and regularity."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from music.analysis.arrays import note_arrays
from music.analysis.bars import metric_shifts, whole_bars
from music.analysis.cadence import classify_cadence
from music.analysis.chords import Harmony, analyse_harmony
from music.analysis.melody import melody_line
from music.score import Note, Score
from music.time import DIVS_PER_QUARTER

MIN_FERMATAS = 2
# Weights of the blind finder, tuned on the training half of the chorales (`benchmarks/analysis.py`).
LONG_NOTE = 1.2
REST = 1.6
TOGETHER = 2.4
STRONG = 0.4
SAME_PHASE = 1.5
FIRST_PHASE = 0.5
CADENCE = {"PAC": 1.5, "IAC": 0.8, "HC": 0.6, "DC": 0.4}
BOUNDARY_COST = 3.2
LENGTH_BONUS = {1: -3.5, 2: 1.5, 3: 0.1, 4: 1.6, 8: 0.5}
MAX_PHRASE_BARS = 10


def phrase_ends(score: Score, *, harmony: Harmony | None = None) -> tuple[int, ...]:
    """Ends of the phrases in divisions (each the onset of the next phrase; the last is the score's end).

    Args:
        score: the piece.
        harmony: its keys and chords where they are at hand; used where there are no fermatas.
    """
    return fermata_ends(score) or infer_phrase_ends(score, harmony=harmony)


def fermata_ends(score: Score) -> tuple[int, ...]:
    """Phrase ends by fermatas, or () where the score has fewer than `MIN_FERMATAS` places with one."""
    marks = [d for d in score.directions if d.kind == "fermata"]
    line = melody_line(score, 0, score.end_div)
    if not line or not marks:
        return ()
    lead = [d for d in marks if d.part == line[0].part]
    onsets = sorted({d.onset_div for d in (lead or marks)})
    starts = [n.onset_div for n in line]
    ends: set[int] = set()
    for onset in onsets:
        after = next((s for s in starts if s > onset), None)
        ends.add(score.end_div if after is None else after)
    if len(ends) < MIN_FERMATAS:
        return ()
    return tuple(sorted(ends | {score.end_div}))


def _bar_position(score: Score, onsets: Int[np.ndarray, " n"]) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Place of each onset counted in bars (real number), and its offset within its bar in divisions."""
    bars = whole_bars(score)
    shifts = metric_shifts(score)
    starts = np.array([b.onset_div for b in bars])
    index = np.maximum(np.searchsorted(starts, onsets, side="right") - 1, 0)
    shift = np.array([shifts[b.first] for b in bars])[index]
    length = np.array([score.meter_at(b.onset_div).bar_div for b in bars])[index]
    offset = onsets - starts[index] + shift
    return index + offset / length, offset


def boundary_strength(score: Score, line: tuple[Note, ...]) -> Float[np.ndarray, " notes"]:
    """How strongly each melody note seems to end a phrase: long for its surroundings, then rest or general pause."""
    onset = np.array([n.onset_div for n in line])
    following = np.append(onset[1:], score.end_div)
    ioi = (following - onset) / DIVS_PER_QUARTER
    rest = (following - np.array([n.end_div for n in line])) / DIVS_PER_QUARTER
    count = len(line)
    around = np.array([np.median(ioi[max(0, i - 6) : i + 7]) for i in range(count)])
    long = np.clip(np.log2(np.maximum(ioi, 1e-3) / np.maximum(around, 1e-3)), -1.0, 2.0)
    notes = note_arrays(score)
    # Voices that move between the note's onset and the next one's; none: all rest together.
    first = np.searchsorted(notes.onset, onset, side="right")
    last = np.searchsorted(notes.onset, following, side="left")
    moving = (last - first) / np.maximum(ioi, 0.25)
    together = 1.0 - np.minimum(moving / 2.0, 1.0)
    place, _ = _bar_position(score, onset)
    strong = np.abs(2 * place - np.round(2 * place)) < 1e-6  # a downbeat or the middle of a bar
    return LONG_NOTE * long + REST * np.clip(rest, 0, 1) + TOGETHER * together * (long > 0) + STRONG * strong


def cadence_strength(score: Score, line: tuple[Note, ...], harmony: Harmony) -> Float[np.ndarray, " notes"]:
    """How strongly the chords under each melody note close a phrase on it: by the cadence that it would make."""
    onsets = [c.onset_div for c in harmony.chords]
    changes = [k.onset_div for k in harmony.keys]
    following = [*(n.onset_div for n in line[1:]), score.end_div]
    result = np.zeros(len(line))
    for index, (note, end) in enumerate(zip(line, following, strict=True)):
        place = bisect_left(onsets, end)
        key = harmony.keys[max(0, bisect_left(changes, end) - 1)].key
        cadence = classify_cadence(harmony.chords[max(0, place - 6) : place], key, note.pitch % 12)
        result[index] = CADENCE[cadence] if cadence else 0.0
    return result


def infer_phrase_ends(score: Score, *, harmony: Harmony | None = None) -> tuple[int, ...]:
    """Phrase ends without fermatas: the best division by boundary strength, cadences, usual lengths, equal upbeats.

    Args:
        score: the piece.
        harmony: its keys and chords; None: found here.
    """
    line = melody_line(score, 0, score.end_div)
    if len(line) < 2:
        return (score.end_div,)
    strength = boundary_strength(score, line) + cadence_strength(score, line, harmony or analyse_harmony(score))
    starts = np.append([n.onset_div for n in line], score.end_div)
    place, phase = _bar_position(score, starts)
    count = len(line)
    best = np.full(count + 1, -np.inf)
    best[0] = 0.0
    back = np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):
        # A rest of many bars leaves no onset near enough: then the last one before it.
        first = min(int(np.searchsorted(place, place[end] - MAX_PHRASE_BARS - 1)), end - 1)
        bars = place[end] - place[first:end]
        gain = np.full(end - first, -BOUNDARY_COST)
        whole = np.round(bars)
        exact = np.abs(bars - whole) < 1e-6
        for length, bonus in LENGTH_BONUS.items():
            gain += np.where(exact & (whole == length), bonus, 0.0)
        if end < count:
            gain += strength[end - 1] + SAME_PHASE * (phase[first:end] == phase[end])
            gain += FIRST_PHASE * (phase[0] == phase[end])
        gain = np.where(bars < 0.75, -np.inf, gain)
        options = best[first:end] + gain
        back[end] = first + int(options.argmax())
        best[end] = options.max()
    if not np.isfinite(best[count]):
        return (score.end_div,)
    ends = [count]
    while back[ends[-1]] > 0:
        ends.append(int(back[ends[-1]]))
    return tuple(int(starts[e]) for e in reversed(ends))


def phrase_spans(score: Score, ends: tuple[int, ...] | None = None) -> tuple[tuple[int, int], ...]:
    """(start, end) of each phrase."""
    return tuple(pairwise((0, *(ends or phrase_ends(score)))))
