"""Onsets and ends of notes: melody lead, drift, chord spread, rolls, grace notes, articulation, and one key a pitch."""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Float, Int

from music.score import Score
from performer.rule_form import Span
from performer.rule_noise import pink
from performer.rule_score import NoteArrays
from performer.rule_tempo import TimeMap

LEAD_SEC = 0.018  # the melody before its chord (Goebl 2001: about 20 to 30 ms)
DRIFT_SEC, SPREAD_SEC = 0.007, 0.003
ROLL_STEP_SEC, ROLL_MOST_SEC = 0.055, 0.4
GRACE_SEC = 0.085
STRIKE_SEC = 0.012  # two strikes of one key are at least this far apart
GAP_SEC = 0.002  # a key is up for at least this long before it is struck again
SHORTEST_SEC = 0.008
# Sounding part of the written length. KTH: staccato about half, non-legato a little detached.
SIGNS = (("staccatissimo", 0.3), ("detached", 0.75), ("portato", 0.75), ("staccato", 0.5), ("spiccato", 0.5))
DETACHED = 0.03
ACCOMPANIMENT = 0.15  # more detached than the melody; not where three or more equal parts sing
REPEATED = 0.16  # of a repeated note's length is silence (KTH repetition articulation)
SLUR_OVERLAP_SEC = 0.02
PHRASE_END = 0.12
SHORT_CONTRAST = 0.06  # short notes are played shorter still (KTH duration contrast)


def onsets(
    score: Score, notes: NoteArrays, times: TimeMap, *, expression: float, rng: np.random.Generator
) -> Float[np.ndarray, " notes"]:
    """Seconds of each onset; rolls and grace notes are played at any `expression`, the rest scales with it.

    What leads the first onset may lie before 0.
    """
    nominal = times.start(notes.onset)
    if not len(nominal):
        return nominal
    places, group = np.unique(notes.onset, return_inverse=True)
    seconds = times.start(places)
    gaps = np.diff(seconds, prepend=seconds[0] - 1.0, append=seconds[-1] + 1.0)
    room = np.minimum(gaps[:-1], gaps[1:])[group]
    # The hands drift apart a little, each on its own slow way.
    shift = np.zeros(len(nominal))
    for hand in (0, 1):
        mine = (notes.staff == 2) == bool(hand)
        shift[mine] = (DRIFT_SEC * pink(len(places), rng))[group[mine]]
    shift += SPREAD_SEC * rng.standard_normal(len(nominal)).clip(-2.5, 2.5)
    sizes = np.bincount(group)[group]
    shift -= np.where(notes.melody & (sizes > 1), LEAD_SEC, 0.0)
    shifted = nominal + expression * shift.clip(-0.2 * room, 0.2 * room)
    _roll(score, notes, times, shifted)
    _graces(score, notes, times, shifted)
    return shifted


def _roll(score: Score, notes: NoteArrays, times: TimeMap, shifted: Float[np.ndarray, " notes"]) -> None:
    """Arpeggio signs: the chord is rolled upwards and reaches its top within 0.4 s or half its length."""
    for sign in score.directions:
        if sign.kind == "arpeggio":
            chord = notes.at(sign)
            chord = chord[~notes.grace[chord]]
            if len(chord) > 1:
                length = float((times.end(notes.end[chord]) - times.start(notes.onset[chord])).min())
                step = min(ROLL_STEP_SEC, min(ROLL_MOST_SEC, length / 2) / (len(chord) - 1))
                order = np.argsort(notes.pitch[chord], kind="stable")
                rolled = chord[order[::-1]] if "down" in sign.text.lower() else chord[order]
                shifted[rolled] = float(shifted[chord].min()) + step * np.arange(len(chord))


def _graces(score: Score, notes: NoteArrays, times: TimeMap, shifted: Float[np.ndarray, " notes"]) -> None:
    """Grace notes come one after another before the beat, in the order of their ids, in the time of what is before."""
    graces = np.flatnonzero(notes.grace)
    runs: dict[tuple[int, int, int], list[int]] = {}
    for i in graces.tolist():
        runs.setdefault((int(notes.onset[i]), int(notes.part[i]), int(notes.staff[i])), []).append(i)
    for (onset, part, staff), run in runs.items():
        run.sort(key=lambda i: _natural(score.notes[i].id))
        low, high = np.searchsorted(notes.onset, [onset, onset + 1])
        struck = np.arange(low, high)
        struck = struck[~notes.grace[struck] & (notes.part[struck] == part) & (notes.staff[struck] == staff)]
        beat = float(shifted[struck].min()) if len(struck) else float(shifted[run].min())
        # Before the first onset there is all the time in the world: the piece starts that much later.
        room = (beat - float(times.start(notes.onset[low - 1 : low])[0])) * 0.5 if low else float("inf")
        step = min(GRACE_SEC, max(room, 0.0) / len(run))
        for place, i in enumerate(run):
            shifted[i] = beat - step * (len(run) - place)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts n2 before n10."""
    return [(0, int(t), "") if t.isdigit() else (1, 0, t) for t in re.split(r"([0-9]+)", name) if t]


def ends(
    score: Score,
    notes: NoteArrays,
    times: TimeMap,
    onset: Float[np.ndarray, " notes"],
    *,
    phrases: tuple[Span, ...],
    expression: float,
) -> Float[np.ndarray, " notes"]:
    """Seconds at which each key is let go: by its signs, slurs, repetition and the phrase's end."""
    nominal = times.end(notes.end)
    length = nominal - times.start(notes.onset)
    under = ACCOMPANIMENT * ~notes.melody if len(np.unique(notes.part)) < 3 else 0.0
    ratio = 1 - expression * (DETACHED + under + SHORT_CONTRAST * (1 - length / 0.4).clip(0, 1))
    slurred, closing = slurs(score, notes)
    ratio[slurred] = 1.0
    for span in phrases:
        inside = notes.within(span.start, span.end)
        last = notes.end[inside] == span.end
        ratio[inside] -= np.where(last, PHRASE_END * expression * span.weight, 0.0)
    ratio[_repeated(notes)] -= REPEATED * expression
    ratio[closing] -= 0.1 * expression
    ratio = ratio.clip(0.4, 1.0)
    asked = sign_ratios(score, notes)
    ratio = np.where(np.isnan(asked), ratio, asked)
    end = nominal - length * (1 - ratio) + np.where(slurred & ~closing, SLUR_OVERLAP_SEC * expression, 0.0)
    end[notes.grace] = onset[notes.grace] + GRACE_SEC
    _yield_to_graces(notes, onset, end)
    # What drift or a roll moved late keeps at least a third of its length.
    return np.maximum(end, onset + np.maximum(length / 3, SHORTEST_SEC))


def slurs(score: Score, notes: NoteArrays) -> tuple[np.ndarray, np.ndarray]:
    """Which notes lie under a slur, and which of them are its last."""
    under, last = np.zeros(len(notes.onset), dtype=bool), np.zeros(len(notes.onset), dtype=bool)
    for sign in score.directions:
        if sign.kind == "slur" and sign.duration_div > 0:
            stop = sign.onset_div + sign.duration_div
            inside = notes.within(sign.onset_div, stop)
            mine = np.arange(inside.start, inside.stop)
            mine = mine[(notes.part[mine] == sign.part) | (sign.part < 0)]
            under[mine] = True
            last[mine[notes.end[mine] >= stop]] = True
    return under, last & under


def _repeated(notes: NoteArrays) -> Int[np.ndarray, " found"]:
    """Notes whose key is struck again just when they end."""
    starts = set(zip(notes.onset[~notes.grace].tolist(), notes.pitch[~notes.grace].tolist(), strict=True))
    pairs = zip(notes.end.tolist(), notes.pitch.tolist(), strict=True)
    return np.array([i for i, pair in enumerate(pairs) if pair in starts], dtype=np.int64)


def sign_ratios(score: Score, notes: NoteArrays) -> Float[np.ndarray, " notes"]:
    """Sounding part of the written length that staccato, tenuto and their like ask for; NaN where none stands."""
    ratio = np.full(len(notes.onset), np.nan)
    for sign in score.directions:
        if sign.kind == "articulation":
            text = sign.text.lower()
            if "tenuto" in text:
                ratio[notes.at(sign)] = 1.0
            else:
                for word, part in SIGNS:
                    if word in text:
                        ratio[notes.at(sign)] = part
                        break
    return ratio


def _yield_to_graces(notes: NoteArrays, onset: Float[np.ndarray, " notes"], end: Float[np.ndarray, " notes"]) -> None:
    """Ends what leads up to a grace note in the same hand when the grace note starts."""
    first: dict[tuple[int, int, int], float] = {}
    for i in np.flatnonzero(notes.grace).tolist():
        place = (int(notes.onset[i]), int(notes.part[i]), int(notes.staff[i]))
        first[place] = min(first.get(place, float("inf")), float(onset[i]))
    if first:
        for i, place in enumerate(zip(notes.end.tolist(), notes.part.tolist(), notes.staff.tolist(), strict=True)):
            if place in first and not notes.grace[i]:
                end[i] = min(end[i], first[place])


def one_key_a_pitch(
    notes: NoteArrays, onset: Float[np.ndarray, " notes"], end: Float[np.ndarray, " notes"]
) -> tuple[Float[np.ndarray, " notes"], Float[np.ndarray, " notes"], list[int]]:
    """Onsets and ends such that no pitch overlaps itself, as on a keyboard.

    A key that is struck while it is down is let go just before, and the new note lasts as long as either. Of a unison
    of two voices the shorter note is struck 12 ms before the longer one and let go at once.

    Returns:
        onset, end: in seconds, rounded to microseconds.
        touched: indices of unison notes that only touch the key; they are to be played softly.
    """
    onset, end = onset.round(6), end.round(6)
    order = np.lexsort((notes.end, notes.onset, notes.pitch))
    touched = []
    for i, j in zip(order[:-1].tolist(), order[1:].tolist(), strict=True):
        if notes.pitch[i] != notes.pitch[j]:
            continue
        if onset[j] < onset[i] + STRIKE_SEC:
            if notes.onset[j] == notes.onset[i] and not notes.grace[i]:
                touched.append(i)
            onset[j] = onset[i] + STRIKE_SEC
        if end[i] > onset[j] - GAP_SEC:
            end[j] = max(end[j], end[i]) if end[i] > onset[j] + STRIKE_SEC else end[j]
            end[i] = onset[j] - GAP_SEC
        end[j] = max(end[j], onset[j] + SHORTEST_SEC)
    return onset.round(6), np.maximum(end, onset + SHORTEST_SEC).round(6), touched
