"""Time of a report: how seconds of a performance and places in its score belong together, and the curves over them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from music.performance import Performance
from music.score import Score
from music.time import DIVS_PER_QUARTER

LEAST_STEP_SEC = 0.005  # onsets closer than this are one moment
PLAIN_QPM = 90.0  # of a performance that has one onset only


@dataclass(frozen=True)
class Clock:
    """Places in the score and the seconds at which they are played, both strictly rising; straight lines between.

    Args:
        divs: divisions from the score's start, the first 0, the last its end.
        secs: seconds of the performance; the first may be negative where the score begins with a rest.
        heard: the first and the last onset that was played, in divisions; outside of them tempo is a guess.
    """

    divs: tuple[int, ...]
    secs: tuple[float, ...]
    heard: tuple[int, int]

    def sec_at(self, div: int | float) -> float:
        """Seconds of a place in the score."""
        i = min(max(bisect_right(self.divs, div) - 1, 0), len(self.divs) - 2)
        share = (div - self.divs[i]) / (self.divs[i + 1] - self.divs[i])
        return self.secs[i] + share * (self.secs[i + 1] - self.secs[i])


def make_clock(score: Score, performance: Performance) -> Clock:
    """The clock of a performance: each onset of the score at the median time of the notes that begin there.

    Grace notes are left out. Before the first onset and after the last one the tempo beside them goes on.
    """
    played = {n.note_id: n.onset_sec for n in performance.notes}
    times: dict[int, list[float]] = {}
    for note in score.notes:
        if note.duration_div > 0 and note.id in played:
            times.setdefault(note.onset_div, []).append(played[note.id])
    points: list[tuple[int, float]] = []
    for div in sorted(times):
        sec = float(median(times[div]))
        if not points or sec >= points[-1][1] + LEAST_STEP_SEC:
            points.append((div, sec))
    if not points:
        points = [(0, 0.0)]
    heard = (points[0][0], points[-1][0])
    first, last = _pace(points[:8]), _pace(points[-8:])
    if points[0][0] > 0:
        points.insert(0, (0, points[0][1] - points[0][0] * first))
    if points[-1][0] < score.end_div:
        points.append((score.end_div, points[-1][1] + (score.end_div - points[-1][0]) * last))
    divs, secs = zip(*points, strict=True)
    return Clock(divs, secs, heard)


def _pace(points: list[tuple[int, float]]) -> float:
    """Seconds a division over a few onsets."""
    (a, start), (b, end) = points[0], points[-1]
    return (end - start) / (b - a) if b > a else 60 / (PLAIN_QPM * DIVS_PER_QUARTER)


def beat_divs(score: Score) -> list[int]:
    """Onsets of all beats, and the score's end; an upbeat's beats are counted from its end."""
    beats: list[int] = []
    for bar in score.bars:
        beat = score.meter_at(bar.onset_div).beat_div
        upbeat = bar.duration_div % beat if bar is score.bars[0] else 0
        beats += sorted({bar.onset_div, *range(bar.onset_div + upbeat, bar.end_div, beat)})
    return [*beats, score.end_div]


def tempo_curve(clock: Clock, places: list[int]) -> list[tuple[float, float]]:
    """Tempo between each two places in turn, as (middle of the two in divisions, quarter notes a minute).

    Spans before the first or after the last onset are left out.
    """
    first, last = clock.heard
    curve = []
    for a, b in pairwise(places):
        seconds = clock.sec_at(b) - clock.sec_at(a)
        if first <= a and b <= last and seconds > 0:
            curve.append(((a + b) / 2, 60 * (b - a) / DIVS_PER_QUARTER / seconds))
    return curve


def velocity_curve(score: Score, performance: Performance, places: list[int]) -> list[tuple[float, float]]:
    """Mean MIDI velocity of the notes struck between each two places, as (middle of the two, velocity)."""
    velocity = {n.note_id: n.velocity for n in performance.notes}
    sums = [[0, 0] for _ in places]
    for note in score.notes:
        if note.id in velocity:
            cell = sums[bisect_right(places, note.onset_div) - 1]
            cell[0] += velocity[note.id]
            cell[1] += 1
    return [
        ((a + b) / 2, total / count) for (a, b), (total, count) in zip(pairwise(places), sums, strict=False) if count
    ]
