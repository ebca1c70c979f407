"""Cadences: what the last chords before a phrase end say.

PAC: dominant to tonic, both in root position, the melody on the tonic. IAC: dominant (or leading-tone chord) to tonic
otherwise. HC: the phrase stops on the dominant. DC: dominant to the submediant. Definitions after Caplin, "Classical
Form" (1998), save that any dominant-tonic close that is not perfect counts as imperfect.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from music.analysis.chords import extract_chords
from music.analysis.melody import melody_line
from music.pitch import Key
from music.plan import Chord
from music.score import Score
from music.time import DIVS_PER_QUARTER

_MAJOR = ("maj", "7")


def is_dominant(chord: Chord, key: Key) -> bool:
    """True for V and V7 and for the leading-tone chords."""
    interval = (chord.root - key.pc) % 12
    return (interval == 7 and chord.quality in _MAJOR) or (interval == 11 and chord.quality in ("dim", "dim7", "hdim7"))


def is_tonic(chord: Chord, key: Key) -> bool:
    """True for the tonic triad; in minor also with a raised third."""
    return chord.root == key.pc and (chord.quality == "maj" or (chord.quality == "min" and key.minor))


def classify_cadence(chords: Sequence[Chord], key: Key, melody_pc: int | None) -> str | None:
    """The cadence that the last chords of a phrase make.

    Args:
        chords: of the phrase in order; the last one is where it rests. Only root, quality and bass are read.
        key: the local key.
        melody_pc: pitch class on which the melody rests, None unknown (taken as not the tonic).
    """
    runs: list[Chord] = []
    for chord in chords:
        if runs and (runs[-1].root, runs[-1].quality) == (chord.root, chord.quality):
            continue
        runs.append(chord)
    if not runs:
        return None
    last_at_rest = chords[-1]
    last = runs[-1]
    before = runs[-2] if len(runs) > 1 else None
    if is_tonic(last, key):
        if before is None or not is_dominant(before, key):
            return None
        bass_of_dominant = next(c.bass for c in reversed(chords) if c.root == before.root)
        rooted = before.root == (key.pc + 7) % 12 and bass_of_dominant == before.root and last.bass == last.root
        return "PAC" if rooted and melody_pc == key.pc else "IAC"
    submediant = (key.pc + (8 if key.minor else 9)) % 12
    if last.root == submediant and last.quality == ("maj" if key.minor else "min"):
        return "DC" if before is not None and is_dominant(before, key) else None
    if last.root == (key.pc + 7) % 12 and last.quality in _MAJOR and last_at_rest.bass == last.root:
        return "HC"
    return None


def find_cadence(score: Score, end_div: int, key: Key, *, chords: Sequence[Chord] | None = None) -> str | None:
    """The cadence at a phrase end, or None.

    Args:
        score: the piece.
        end_div: where the phrase ends (the next one's onset).
        key: the local key.
        chords: of the whole score, in absolute onsets; None: extracted here.
    """
    chords = extract_chords(score) if chords is None else chords
    reach = 2 * score.meter_at(max(0, end_div - 1)).bar_div + DIVS_PER_QUARTER
    first = bisect_right(chords, end_div - reach, key=lambda c: c.onset_div + c.duration_div)
    near = chords[first : bisect_left(chords, end_div, key=lambda c: c.onset_div)]
    line = melody_line(score, max(0, end_div - reach), end_div)
    return classify_cadence(near, key, line[-1].pitch % 12 if line else None)
