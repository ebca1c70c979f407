"""Whether a performance can be played at all: what a listener would call broken, whatever his taste."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from music.performance import Performance
from music.score import Score

FAULTS = ("missing", "foreign", "wrong_pitch", "velocity", "stuck", "overlap", "pedal_down")
STUCK_SEC, STUCK_TIMES = 10.0, 4.0  # a note that is longer than both: seconds, its written length at the mean tempo
ROUNDING_SEC = 1e-6


def performance_faults(score: Score, performance: Performance) -> dict[str, int]:
    """Counts of what must not be, by `FAULTS`; all are 0 in a sound performance.

    Returns:
        `missing`: score notes that are not played or are played twice; `foreign`: played notes that the score lacks;
        `wrong_pitch`; `velocity` outside 1..127; `stuck`: notes that are let go at no time, or are longer than 10 s and
        than four times their written length at the piece's mean tempo; `overlap`: notes that are struck while the same
        key is down; `pedal_down`: 1 where the pedal is left down at the end.
    """
    written = {note.id: note for note in score.notes}
    times = Counter(note.note_id for note in performance.notes)
    sounding = [note for note in performance.notes if note.note_id in written]
    slowest = _seconds_a_div(score, performance) * STUCK_TIMES
    longest = {note.id: max(STUCK_SEC, slowest * note.duration_div) for note in score.notes}
    keys: dict[int, list[tuple[float, float]]] = {}
    for note in performance.notes:
        keys.setdefault(note.pitch, []).append((note.onset_sec, note.onset_sec + note.duration_sec))
    return {
        "missing": sum(times[name] != 1 for name in written),
        "foreign": len(performance.notes) - len(sounding),
        "wrong_pitch": sum(written[note.note_id].pitch != note.pitch for note in sounding),
        "velocity": sum(not 1 <= note.velocity <= 127 for note in performance.notes),
        "stuck": sum(
            not math.isfinite(note.duration_sec) or not 0 < note.duration_sec <= longest[note.note_id]
            for note in sounding
        ),
        "overlap": sum(
            before[1] > after[0] + ROUNDING_SEC for row in keys.values() for before, after in pairwise(sorted(row))
        ),
        "pedal_down": int(bool(performance.pedals) and performance.pedals[-1].value > 0),
    }


def faultless(found: Iterable[dict[str, int]]) -> tuple[int, int]:
    """How many performances have no fault, and how many there are."""
    rows = list(found)
    return sum(not any(row.values()) for row in rows), len(rows)


def _seconds_a_div(score: Score, performance: Performance) -> float:
    """The mean tempo between the first and the last onset; 0 where there is but one."""
    onset = {note.id: note.onset_div for note in score.notes}
    rows = [(onset[n.note_id], n.onset_sec) for n in performance.notes if n.note_id in onset]
    if not rows:
        return 0.0
    first, last = min(rows), max(rows)
    return (last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else 0.0
