"""Hands, voices and spelling: what a score on paper has and a roll has not.

Hands: a beam search over onsets. At each onset the new notes are split into the lower ones for the left hand and the
upper ones for the right; a cost holds each hand to what it can reach and to where it was. Voices: as few streams as
the notes allow, none overlapping itself, the highest first. Spelling: see `spell`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from music.pitch import STEPS, Key, fifths_of_name, name_of_fifths
from music.plan import ENSEMBLES
from music.score import Note, Part, Score

HAND_SPAN = 14  # semitones that a hand reaches without effort: a ninth
UPPER, LOWER = 1, 2
VOICES_PER_STAFF = 4  # voices 1..4 are written on the upper staff, 5..8 on the lower
_BEAM = 10
_MIDDLE = 60.0  # both hands meet at middle C where nothing else decides
_HANDS_AT_REST = (48.0, 72.0)  # left, right, before the first note
# Costs, chosen by hand and checked against printed staves (docs/decisions/voices.md).
_OVER_SPAN = 40.0
_OVER_SPAN_STEP = 6.0
_SPAN = 0.12
_MOVE = 0.10
_REGISTER = 0.09
_CROSSING = 3.0
_TOO_MANY = 15.0
_FORGET_DIV = 40320.0  # after so much rest a hand may be anywhere
# Window of the spelling vote in notes: as in ps13 (Meredith, "The ps13 pitch spelling algorithm", JNMR 35, 2006).
_BEFORE, _AFTER = 10, 42

# A hand: notes it holds as (end, pitch), middle of the last struck notes, end of the last struck note.
_Hand = tuple[tuple[tuple[int, int], ...], float, int]


def _hand_cost(hand: _Hand, pitches: list[int], end: int, onset: int, side: int) -> tuple[float, _Hand]:
    """Cost of striking `pitches` (not empty) with a hand that still holds what it holds, and the hand after it."""
    held, position, last = hand
    low, high, count = pitches[0], pitches[-1], len(pitches)
    middle = (low + high) / 2
    for _, pitch in held:
        low, high = min(low, pitch), max(high, pitch)
        count += 1
    span = high - low
    cost = _SPAN * span
    if span > HAND_SPAN:
        cost += _OVER_SPAN + _OVER_SPAN_STEP * (span - HAND_SPAN)
    if count > 5:
        cost += _TOO_MANY * (count - 5)
    rest = max(0, onset - last)
    cost += _MOVE * abs(middle - position) * max(0.2, 1 - rest / _FORGET_DIV)
    beyond = (_MIDDLE - middle) if side == UPPER else (middle - _MIDDLE)
    cost += _REGISTER * max(0.0, beyond)
    return cost, (held, middle, end)


def _crossing(left: _Hand, right: _Hand, lower: list[int], upper: list[int]) -> float:
    """Cost of striking above what the right hand holds with the left, or below the left's with the right."""
    cost = 0.0
    if lower and right[0]:
        cost += _CROSSING * (lower[-1] > min(p for _, p in right[0]))
    if upper and left[0]:
        cost += _CROSSING * (upper[0] < max(p for _, p in left[0]))
    return cost + _CROSSING * 0.5 * (left[1] > right[1])


def _release(hand: _Hand, onset: int) -> _Hand:
    return tuple(h for h in hand[0] if h[0] > onset), hand[1], hand[2]


def _hold(hand: _Hand, notes: list[tuple[int, int]]) -> _Hand:
    return hand[0] + tuple(notes), hand[1], hand[2]


def hands(
    onset_div: Int[np.ndarray, " notes"], duration_div: Int[np.ndarray, " notes"], pitch: Int[np.ndarray, " notes"]
) -> Int[np.ndarray, " notes"]:
    """The hand of every note: 1 upper (right), 2 lower (left).

    What a hand sounds at once spans at most `HAND_SPAN` semitones wherever two hands can manage that.

    Args:
        onset_div, duration_div, pitch: one value a note, in any order.
    """
    result = np.full(len(onset_div), UPPER, dtype=np.int64)
    order = np.lexsort((pitch, onset_div))
    groups = np.split(order, np.flatnonzero(np.diff(onset_div[order])) + 1) if len(order) else []
    start: _Hand = ((), _HANDS_AT_REST[0], 0)
    beam: list[tuple[float, _Hand, _Hand, int, int]] = [(0.0, start, ((), _HANDS_AT_REST[1], 0), -1, 0)]
    trace: list[list[tuple[int, int]]] = []  # per group: (index of the state before, notes of the left hand)
    for group in groups:
        onset = int(onset_div[group[0]])
        sounding = [(onset + int(duration_div[i]), int(pitch[i])) for i in group]
        beam = _step(beam, onset, sounding)
        trace.append([(state[3], state[4]) for state in beam])
    best = 0  # states are sorted by cost
    for group, states in zip(reversed(groups), reversed(trace), strict=True):
        best, split = states[best]
        result[group[:split]] = LOWER
    return result


def _step(
    beam: list[tuple[float, _Hand, _Hand, int, int]], onset: int, sounding: list[tuple[int, int]]
) -> list[tuple[float, _Hand, _Hand, int, int]]:
    """All splits of one onset after all states of the beam; the best of those that differ."""
    pitches = [p for _, p in sounding]
    found: dict[tuple[_Hand, _Hand], tuple[float, _Hand, _Hand, int, int]] = {}
    for index, (total, left, right, _, _) in enumerate(beam):
        left, right = _release(left, onset), _release(right, onset)
        for split in range(len(sounding) + 1):
            lower, upper = pitches[:split], pitches[split:]
            cost, new_left, new_right = total + _crossing(left, right, lower, upper), left, right
            if lower:
                extra, new_left = _hand_cost(left, lower, max(e for e, _ in sounding[:split]), onset, LOWER)
                cost, new_left = cost + extra, _hold(new_left, sounding[:split])
            if upper:
                extra, new_right = _hand_cost(right, upper, max(e for e, _ in sounding[split:]), onset, UPPER)
                cost, new_right = cost + extra, _hold(new_right, sounding[split:])
            key = (new_left, new_right)
            if key not in found or cost < found[key][0]:
                found[key] = (cost, new_left, new_right, index, split)
    return sorted(found.values(), key=lambda s: (s[0], s[3], s[4]))[:_BEAM]


def spell(pitch: Int[np.ndarray, " notes"], keys: list[Key]) -> list[str]:
    """The letter of every note: a vote of the notes around it, each as the tonic of a chromatic scale.

    Each pitch class within 10 notes before and 42 after votes, as often as it sounds, for the letter that a pitch has
    in the chromatic scale on it (minor second to raised fourth); the idea is Meredith's ps13 (2006). Unlike there the
    tonics themselves are spelled by the key in force, so that a piece in Db is not written in C#.

    Args:
        pitch: MIDI pitches in order of onset, then pitch.
        keys: the key in force at each note.
    """
    if len(pitch) == 0:
        return []
    table = {key: _letters(key) for key in set(keys)}
    sounded = np.zeros((len(pitch) + 1, 12), dtype=np.int64)
    sounded[1:] = np.cumsum(np.eye(12, dtype=np.int64)[pitch % 12], axis=0)
    index = np.arange(len(pitch))
    votes = sounded[np.minimum(index + _AFTER, len(pitch))] - sounded[np.maximum(index - _BEFORE, 0)]
    letters = []
    for i, key in enumerate(keys):
        ballots = np.bincount(table[key][:, pitch[i] % 12], weights=votes[i], minlength=7)
        letters.append(STEPS[int(np.argmax(ballots))])
    return letters


def _letters(key: Key) -> Int[np.ndarray, "12 12"]:
    """Index into `STEPS` of pitch class j in the chromatic scale on pitch class i, as `key` spells i."""
    result = np.zeros((12, 12), dtype=np.int64)
    tonic = fifths_of_name(key.tonic[0], key.alter)
    low = tonic - (4 if key.minor else 3)
    for fifths in range(low, low + 12):
        for degree in range(fifths - 5, fifths + 7):
            step, _ = name_of_fifths(degree)
            result[fifths * 7 % 12, degree * 7 % 12] = STEPS.index(step)
    return result


def signature_key(pitch: Int[np.ndarray, " notes"]) -> Key:
    """The major key whose scale holds the most of these notes: for spelling where no key is stated."""
    counts = np.bincount(pitch % 12, minlength=12)
    order = sorted(range(-5, 7), key=abs)
    return Key.of_fifths(max(order, key=lambda f: int(counts[list(Key.of_fifths(f).scale)].sum())))


def _streams(notes: list[Note]) -> list[int]:
    """Voice of each note of one staff, from 0, the upper ones first; no voice overlaps itself.

    Notes that begin and end together are one chord, in one voice. A note that lasts while others move above it takes
    a lower voice than they will.

    Args:
        notes: sorted by onset; grace notes (duration 0) go with voice 0.
    """
    chords: dict[tuple[int, int], list[int]] = {}
    for index, note in enumerate(notes):
        if note.duration_div > 0:
            chords.setdefault((note.onset_div, note.end_div), []).append(index)
    events = sorted(chords, key=lambda e: (e[0], -max(notes[i].pitch for i in chords[e]), e[1]))
    height = [sum(notes[i].pitch for i in chords[e]) / len(chords[e]) for e in events]
    voices = [0] * len(notes)
    busy: list[int] = []  # end of the last event of each voice
    for place, (onset, end) in enumerate(events):
        free = [v for v, until in enumerate(busy) if until <= onset] + [len(busy)]
        choice = free[0]
        together = [p for p in range(place + 1, len(events)) if events[p][0] == onset]
        if choice == 0 and not together and _moves_above(events, height, place):
            choice = free[1] if len(free) > 1 else 1
        while len(busy) <= choice:
            busy.append(0)
        busy[choice] = end
        for index in chords[onset, end]:
            voices[index] = choice
    return voices


def _moves_above(events: list[tuple[int, int]], height: list[float], place: int) -> bool:
    """True where what begins while this event sounds lies above it."""
    above = total = 0
    for other in range(place + 1, len(events)):
        if events[other][0] >= events[place][1]:
            break
        total += 1
        above += height[other] > height[place]
    return above * 2 > total


def assign_voices(score: Score, ensemble: str) -> Score:
    """The score with staff, voice and step of every note filled in.

    Args:
        score: any score. Steps that a file gave are kept.
        ensemble: "piano" joins all parts into one with two staves; "satb" and "quartet" keep the parts, one staff each.

    Raises:
        ValueError: another ensemble.
    """
    if ensemble not in ENSEMBLES:
        raise ValueError(f"ensemble {ensemble!r} is not one of {', '.join(ENSEMBLES)}")
    notes = list(score.notes)
    pitch = np.array([n.pitch for n in notes], dtype=np.int64)
    if ensemble == "piano":
        parts = (Part("P1", "Piano", 0),)
        staves = _piano_staves(notes, pitch)
        notes = [replace(n, part=0, staff=s) for n, s in zip(notes, staves, strict=True)]
        directions = tuple(replace(d, part=min(d.part, 0)) for d in score.directions)
    else:
        parts, directions = score.parts, score.directions
        notes = [replace(n, staff=1) for n in notes]
    notes = with_voices(with_steps(score, notes))
    return replace(
        score,
        parts=parts,
        notes=tuple(sorted(notes, key=lambda n: (n.onset_div, n.pitch, n.part, n.voice, n.duration_div, n.id))),
        directions=directions,
    )


def _piano_staves(notes: list[Note], pitch: np.ndarray) -> list[int]:
    if notes and all(n.staff in (UPPER, LOWER) and n.part == 0 for n in notes):
        return [n.staff for n in notes]  # the file knows its hands
    onset = np.array([n.onset_div for n in notes], dtype=np.int64)
    duration = np.array([n.duration_div for n in notes], dtype=np.int64)
    return [int(s) for s in hands(onset, duration, pitch)]


def with_steps(score: Score, notes: list[Note]) -> list[Note]:
    """The notes with every unknown letter filled in by `spell` from the score's keys.

    Args:
        score: gives the keys; without any, the signature that fits the notes best serves.
        notes: in order of onset.
    """
    if all(n.step for n in notes):
        return notes
    pitch = np.array([n.pitch for n in notes], dtype=np.int64)
    changes, index = score.keys, 0
    current = changes[0].key if changes else signature_key(pitch)
    keys = []
    for note in notes:
        while index < len(changes) and changes[index].onset_div <= note.onset_div:
            current, index = changes[index].key, index + 1
        keys.append(current)
    return [n if n.step else replace(n, step=s) for n, s in zip(notes, spell(pitch, keys), strict=True)]


def with_voices(notes: list[Note]) -> list[Note]:
    """The notes, in their order, with voices dealt anew within each staff of each part."""
    by_staff: dict[tuple[int, int], list[int]] = {}
    for index, note in enumerate(notes):
        by_staff.setdefault((note.part, note.staff), []).append(index)
    result = list(notes)
    for (_, staff), indices in by_staff.items():
        for index, stream in zip(indices, _streams([notes[i] for i in indices]), strict=True):
            result[index] = replace(notes[index], voice=_voice_number(stream, staff))
    return result


def _voice_number(stream: int, staff: int) -> int:
    """1..4 on the upper staff, 5..8 on the lower; rarer ones follow in turn, so that no number is used twice."""
    if stream < VOICES_PER_STAFF:
        return stream + 1 + (VOICES_PER_STAFF if staff == LOWER else 0)
    return 2 * VOICES_PER_STAFF + 2 * (stream - VOICES_PER_STAFF) + staff
