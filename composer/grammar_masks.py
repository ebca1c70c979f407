"""Notes that a style forbids, as small compiled functions asked while a frame is drawn from the lowest pitch up.

Each answers for one pitch, from what was chosen below it, from the notes above it that are told in advance, and from
the frame before. Notes told in advance are never asked about: what is told always wins.

Numba keeps what it compiled by the date of the caller's file: after a change here, touch `composer/note_axis.py` too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Int
from numba import njit
from numpy import ndarray

from music.harmony import CHORD_INTERVALS
from music.pitch import Key

HAND_NOTES = 5  # notes that one hand strikes


@dataclass(frozen=True)
class Rules:
    """What a frame may not hold.

    Args:
        most_voices: notes that may sound at once; 0 for any number.
        parallels: False forbids parallel fifths and octaves between voices, which are ranks in the sorted frame.
        hand_span: semitones from the lowest to the highest of the at most five notes that each of two hands holds; 0
            for no such limit.
        lone: pitch classes that one voice alone may have (`tendency_tones`).
    """

    most_voices: int = 0
    parallels: bool = True
    hand_span: int = 0
    lone: tuple[int, ...] = ()

    def to_array(self, lowest: int = 0) -> Int[ndarray, 4]:
        """For the compiled loop, whose pitch 0 is the MIDI pitch `lowest`; `lone` becomes a bit for each class."""
        lone = sum(1 << ((pc - lowest) % 12) for pc in set(self.lone))
        return np.array([self.most_voices, int(not self.parallels), self.hand_span, lone], dtype=np.int64)


def tendency_tones(key: Key, root: int, quality: str) -> tuple[int, ...]:
    """Pitch classes that must go on by step, so that two voices that have one would go in octaves.

    They are the key's leading tone, the third of a dominant seventh or of a major triad where it is foreign to the key
    (the leading tone of what is tonicised), and the seventh of a seventh chord. Source: common practice, e.g. Aldwell &
    Schachter, "Harmony and Voice Leading".

    Args:
        key: that holds.
        root, quality: of the chord.
    """
    tones = CHORD_INTERVALS[quality]
    found = {(key.pc + 11) % 12, *((root + i) % 12 for i in tones[3:])}
    if quality == "7":
        found.add((root + tones[1]) % 12)
    if quality == "maj" and (root + 4) % 12 not in key.scale:
        found.add((root + 4) % 12)
    return tuple(sorted(found))


@no_type_check  # the run-time type checks of the tests cannot wrap what numba compiles
@njit(cache=True)
def _makes_parallel(low, high, before_low, before_high):
    """Both voices move the same way, from a fifth to a fifth or from an octave to an octave."""
    if (low - before_low) * (high - before_high) <= 0:
        return False
    interval = (high - low) % 12
    return interval == (before_high - before_low) % 12 and (interval == 0 or interval == 7)


@no_type_check
@njit(cache=True)
def _covers(notes, span):
    """Whether two hands of `span` semitones and five notes hold sorted notes: the lower takes all that it can."""
    count = len(notes)
    taken = 0
    while taken < min(count, HAND_NOTES) and notes[taken] - notes[0] <= span:
        taken += 1
    return count - taken <= HAND_NOTES and (taken == count or notes[count - 1] - notes[taken] <= span)


@no_type_check
@njit(cache=True)
def _forbidden_by_voices(p, chosen, above, before, rules):
    """Too many voices, or a parallel with a voice below or with one told in advance above.

    Args:
        p: the pitch asked about.
        chosen: what sounds below it, sorted.
        above: what is told to sound above it, sorted; these are taken for the highest voices of the frame before.
        before: what sounded in the frame before, sorted.
        rules: `Rules.to_array`.
    """
    rank = len(chosen)
    if rules[0] > 0 and rank + len(above) >= rules[0]:
        return True
    if rules[1] == 0 or rank >= len(before):
        return False
    for voice in range(rank):
        if _makes_parallel(chosen[voice], p, before[voice], before[rank]):
            return True
    for k in range(len(above)):
        voice = len(before) - len(above) + k
        if voice > rank and _makes_parallel(p, above[k], before[rank], before[voice]):
            return True
    return False


@no_type_check
@njit(cache=True)
def _forbidden_by_hands(p, chosen, above, rules):
    """A note that two hands cannot hold with the others; all may where what is told alone is beyond two hands."""
    if rules[2] <= 0:
        return False
    below, count = len(chosen), len(chosen) + len(above)
    notes = np.full(count + 1, p, np.int64)
    for k in range(below):
        notes[k] = chosen[k]
    for k in range(below, count):
        notes[k + 1] = above[k - below]
    if _covers(notes, rules[2]):
        return False
    for k in range(below, count):
        notes[k] = notes[k + 1]
    return _covers(notes[:count], rules[2])


@no_type_check
@njit(cache=True)
def _forbidden_by_doubling(p, chosen, above, rules):
    """A tone that one voice alone may have and another has already, in any octave."""
    if rules[3] >> (p % 12) & 1 == 0:
        return False
    others = len(chosen) + len(above)
    doubled = False
    for k in range(others):
        other = chosen[k] if k < len(chosen) else above[k - len(chosen)]
        doubled = doubled or (p - other) % 12 == 0
    return doubled


@no_type_check
@njit(cache=True)
def forbidden(p, chosen, above, before, rules):
    """Whether any rule forbids pitch p; the arguments are those of `_forbidden_by_voices`."""
    return (
        _forbidden_by_voices(p, chosen, above, before, rules)
        or _forbidden_by_hands(p, chosen, above, rules)
        or _forbidden_by_doubling(p, chosen, above, rules)
    )
