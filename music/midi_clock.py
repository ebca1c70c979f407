"""Tempo maps: ticks to seconds and back, and the map that lets written bars follow a performance."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from music.performance import Performance
from music.score import Score
from music.time import DIVS_PER_QUARTER

DEFAULT_TEMPO = 500_000  # microseconds a quarter where a file says nothing, by the standard
# A quarter of 30 ms is the fastest that Score allows (2000 a minute); the slowest is what three bytes hold (3.6).
FASTEST_TEMPO, SLOWEST_TEMPO = 30_000, 0xFFFFFF
# A performance that starts later than this gets an empty beat before the first bar; less is a spread first chord.
LEAD_IN_SEC = 0.03


class TempoClock:
    """Seconds of ticks, and ticks of seconds, under a tempo map. Exact: time is kept in integers until it is asked for.

    Args:
        division: ticks a quarter.
        tempos: (tick, microseconds a quarter) in any order; of several at one tick the last counts.
    """

    def __init__(self, division: int, tempos: Sequence[tuple[int, int]]) -> None:
        latest = {0: DEFAULT_TEMPO} | dict(sorted(tempos, key=lambda t: t[0]))
        self._unit = division * 1_000_000
        self._ticks = sorted(latest)
        self._tempos = [latest[tick] for tick in self._ticks]
        self._starts = [0]  # in microseconds times division
        for index in range(1, len(self._ticks)):
            length = self._ticks[index] - self._ticks[index - 1]
            self._starts.append(self._starts[-1] + length * self._tempos[index - 1])

    def seconds(self, tick: int) -> float:
        """The time of a tick."""
        index = bisect_right(self._ticks, tick) - 1
        return (self._starts[index] + (tick - self._ticks[index]) * self._tempos[index]) / self._unit

    def tick(self, seconds: float) -> int:
        """The tick nearest to a time, which must not be negative."""
        time = round(seconds * self._unit)
        index = bisect_right(self._starts, time) - 1
        tempo = self._tempos[index]
        return self._ticks[index] + (2 * (time - self._starts[index]) + tempo) // (2 * tempo)


@dataclass(frozen=True)
class FollowedTempo:
    """A tempo map that keeps a performance's beats where the score has them.

    Args:
        lead_div: length of an empty bar before the score's first, 0 for none; the map counts from that bar.
        tempos: (division, microseconds a quarter), at most one a beat.
    """

    lead_div: int
    tempos: tuple[tuple[int, int], ...]


def follow_performance(score: Score, performance: Performance) -> FollowedTempo:
    """One tempo a beat, such that each beat falls when the performance reaches it.

    The time of an onset is the mean over its notes; times between onsets are interpolated, those outside extrapolated
    at the nearest pace. A beat whose tempo would leave the limits takes the nearest tempo, and the next beats make up.
    """
    anchors = _anchors(score, performance)
    beats = _beats(score)
    times = _interpolate(anchors, beats)
    lead_div = 0
    if times[0] > LEAD_IN_SEC:
        lead_div = score.meters[0].meter.beat_div
        beats, times = [0, *(beat + lead_div for beat in beats)], [0.0, *times]
    tempos: list[tuple[int, int]] = []
    now = 0  # microseconds times divisions a quarter, exact: errors of rounding are made up by the next beat
    for index in range(len(beats) - 1):
        length = beats[index + 1] - beats[index]
        wanted = round((times[index + 1] * 1e6 * DIVS_PER_QUARTER - now) / length)
        tempo = min(max(wanted, FASTEST_TEMPO), SLOWEST_TEMPO)
        now += tempo * length
        if not tempos or tempos[-1][1] != tempo:
            tempos.append((beats[index], tempo))
    return FollowedTempo(lead_div, tuple(tempos))


def _beats(score: Score) -> list[int]:
    """All beats of a score, and its end."""
    beats: list[int] = []
    changes = iter([*score.meters[1:], None])
    step, following = score.meters[0].meter.beat_div, next(changes)
    for bar in score.bars:
        while following is not None and following.onset_div <= bar.onset_div:
            step, following = following.meter.beat_div, next(changes)
        beats += range(bar.onset_div, bar.end_div, step)
    return [*beats, score.end_div]


def _anchors(score: Score, performance: Performance) -> list[tuple[int, float]]:
    """(onset, seconds) of the score's onsets as played, in order, the first at 0 and the last at the score's end."""
    # Grace notes stand at an onset but are played before it.
    onsets = {note.id: note.onset_div for note in score.notes if note.duration_div > 0}
    lengths = {note.id: note.duration_div for note in score.notes}
    played: dict[int, list[float]] = defaultdict(list)
    for note in performance.notes:
        if note.note_id in onsets:
            played[onsets[note.note_id]].append(note.onset_sec)
    found: list[tuple[int, float]] = []
    for onset in sorted(played):
        time = fmean(played[onset])
        if not found or time >= found[-1][1] + (onset - found[-1][0]) * FASTEST_TEMPO / 1e6 / DIVS_PER_QUARTER:
            found.append((onset, time))
    if not found:
        found = [(0, 0.0)]
    first, last = found[0], found[-1]
    pace_in = _pace(first, next((a for a in found if a[0] >= first[0] + DIVS_PER_QUARTER), last), score)
    pace_out = _pace(next((a for a in reversed(found) if a[0] <= last[0] - DIVS_PER_QUARTER), first), last, score)
    if first[0] > 0:
        found.insert(0, (0, max(first[1] - first[0] * pace_in, 0.0)))
    # The last notes may be held: then the beats under them are as long as they are.
    end = max((onsets[n.note_id] + lengths[n.note_id] for n in performance.notes if n.note_id in onsets), default=0)
    if end > last[0]:
        found.append((end, max(last[1] + (end - last[0]) * pace_out, performance.end_sec)))
    if score.end_div > found[-1][0]:
        found.append((score.end_div, found[-1][1] + (score.end_div - found[-1][0]) * pace_out))
    return found


def _pace(a: tuple[int, float], b: tuple[int, float], score: Score) -> float:
    """Seconds a division between two anchors; the score's own tempo where they are one."""
    if a[0] < b[0]:
        return (b[1] - a[1]) / (b[0] - a[0])
    qpm = score.tempos[0].qpm if score.tempos else 60e6 / DEFAULT_TEMPO
    return 60 / qpm / DIVS_PER_QUARTER


def _interpolate(anchors: list[tuple[int, float]], beats: list[int]) -> list[float]:
    """Times of beats (in order) on the broken line through the anchors."""
    times: list[float] = []
    index = 0
    for beat in beats:
        while index + 2 < len(anchors) and anchors[index + 1][0] <= beat:
            index += 1
        (a, start), (b, stop) = anchors[index], anchors[index + 1]
        times.append(start + (stop - start) * (beat - a) / (b - a))
    return times
