"""Bars as the meter counts them, where the score splits them.

Scores split a bar at a repeat sign in its middle (3 beats, sign, 1 beat) and begin with an upbeat whose rest stands in
the last bar. Analysis needs to know where in its meter each written bar begins, and which written bars make one bar.
"""

from __future__ import annotations

from dataclasses import dataclass

from music.errors import PlanError
from music.score import Score
from music.time import Meter


@dataclass(frozen=True)
class WholeBar:
    """A bar of the meter: one written bar, or several that complete each other.

    Args:
        onset_div, duration_div: extent in the score.
        first, last: indices of the first and last written bar it is made of.
    """

    onset_div: int
    duration_div: int
    first: int
    last: int

    @property
    def end_div(self) -> int:
        """Onset plus duration."""
        return self.onset_div + self.duration_div


def meters_of_bars(score: Score) -> tuple[Meter, ...]:
    """The meter of each written bar."""
    meters, place, changes = [], 0, score.meters
    for bar in score.bars:
        while place + 1 < len(changes) and changes[place + 1].onset_div <= bar.onset_div:
            place += 1
        meters.append(changes[place].meter)
    return tuple(meters)


def metric_shifts(score: Score) -> tuple[int, ...]:
    """Where in its meter each written bar begins, in divisions: 0 save for upbeats and second halves of split bars."""
    shifts: list[int] = []
    bars, meters = score.bars, meters_of_bars(score)
    for index, (bar, meter) in enumerate(zip(bars, meters, strict=True)):
        shift = 0
        if bar.duration_div < meter.bar_div:
            if index == 0:
                shift = meter.bar_div - bar.duration_div if len(bars) > 1 else 0
            else:
                before = shifts[-1] + bars[index - 1].duration_div
                short = bars[index - 1].duration_div < meters[index - 1].bar_div
                completes = before + bar.duration_div <= meter.bar_div
                shift = before if short and completes and meters[index - 1] == meter and before else 0
        shifts.append(shift)
    return tuple(shifts)


def whole_bars(score: Score) -> tuple[WholeBar, ...]:
    """The score's bars with split ones joined. An upbeat stays a bar of its own (shorter than its meter)."""
    result: list[WholeBar] = []
    for index, (bar, shift) in enumerate(zip(score.bars, metric_shifts(score), strict=True)):
        if shift > 0 and index > 0 and result:
            last = result.pop()
            result.append(WholeBar(last.onset_div, last.duration_div + bar.duration_div, last.first, index))
        else:
            result.append(WholeBar(bar.onset_div, bar.duration_div, index, index))
    return tuple(result)


@dataclass(frozen=True)
class PlanBars:
    """How the bars of a plan lie in a score of one meter.

    Bar `i` of the plan begins at `pickup_div + i * meter.bar_div` of the score; the last one may be cut short in the
    score by the upbeat's length (as chorales do), and counts as a full bar.

    Args:
        meter: of the piece.
        pickup_div: length of the upbeat, 0 for none.
        bars: number of full bars.
    """

    meter: Meter
    pickup_div: int
    bars: int

    def onset_div(self, bar: int) -> int:
        """Onset in the score of plan bar `bar` (from 0)."""
        return self.pickup_div + bar * self.meter.bar_div

    def bar_at(self, onset_div: int) -> int:
        """Index of the plan bar that holds an onset; -1 in the upbeat."""
        return (onset_div - self.pickup_div) // self.meter.bar_div

    def nearest_bar(self, onset_div: int) -> int:
        """Index (0..bars) of the bar line nearest to an onset; a tie goes to the later one."""
        half = self.meter.bar_div // 2
        return min(max((onset_div - self.pickup_div + half) // self.meter.bar_div, 0), self.bars)


def plan_bars(score: Score) -> PlanBars:
    """Maps a plan's bars to a score.

    Raises:
        PlanError: more than one meter, no full bar, or a bar that is longer or shorter than the meter and is neither
            the upbeat nor the last.
    """
    meters = {m.meter for m in score.meters}
    if len(meters) > 1:
        names = ", ".join(sorted(str(m) for m in meters))
        raise PlanError(f"a plan has one meter; the score has {names}")
    meter = score.meters[0].meter
    bars = list(whole_bars(score))
    pickup = bars[0].duration_div if metric_shifts(score)[0] > 0 else 0
    full = bars[1:] if pickup else bars
    if not full:
        raise PlanError("the score has no full bar")
    for bar in full[:-1]:
        if bar.duration_div != meter.bar_div:
            number = score.bars[bar.first].number
            raise PlanError(f"bar {number} lasts {bar.duration_div} divisions, not {meter.bar_div} as {meter} asks")
    if full[-1].duration_div > meter.bar_div:
        raise PlanError(f"the last bar lasts {full[-1].duration_div} divisions, more than {meter} holds")
    return PlanBars(meter, pickup, len(full))
