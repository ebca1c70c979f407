"""Links: whether a voice leads from the rest at a section's close into the next section's first note.

A lead-in (Eingang) is told from the notes alone: the line comes to rest, then takes up shorter notes that run without a
break into the downbeat on which the next section begins. An upbeat that belongs to the next theme is none. The
definition is this project's own; the thing is described in Türk, "Klavierschule" (1789), chapter 5, under Übergang.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from music.analysis.melody import melody_line
from music.plan import Plan
from music.score import Note, Score
from music.time import Meter

LEAST_NOTES = 2  # one note alone is an upbeat
MOST_BARS = 2  # before the downbeat within which the line comes to rest
REST_BEATS = 1.0  # the note of rest lasts so long at least until the next one,
REST_FACTOR = 2.0  # and so many times as long as the notes of the link do on average


@dataclass(frozen=True)
class LeadIn:
    """Notes that lead into a downbeat.

    Args:
        onsets: in divisions from the downbeat, all negative, rising.
        pitches: MIDI, one for each onset.
        target: MIDI pitch that the line strikes on the downbeat.
        rest_div: from the onset of the note of rest to the first onset.
    """

    onsets: tuple[int, ...]
    pitches: tuple[int, ...]
    target: int
    rest_div: int

    @property
    def direction(self) -> str:
        """ "up" or "down" where three in four of its intervals, the one into the downbeat too, go so; else "mixed"."""
        moves = [b - a for a, b in pairwise((*self.pitches, self.target))]
        ups, downs = sum(m > 0 for m in moves), sum(m < 0 for m in moves)
        return "up" if 4 * ups >= 3 * len(moves) else "down" if 4 * downs >= 3 * len(moves) else "mixed"

    @property
    def by_step(self) -> bool:
        """Whether it moves into the downbeat by a step (a second)."""
        return 1 <= abs(self.target - self.pitches[-1]) <= 2

    @property
    def steps_share(self) -> float:
        """Share of seconds among its intervals, the one into the downbeat too."""
        moves = [abs(b - a) for a, b in pairwise((*self.pitches, self.target))]
        return sum(1 <= m <= 2 for m in moves) / len(moves)


@dataclass(frozen=True)
class Boundary:
    """Where one section ends and another begins.

    Args:
        section: index of the one that ends.
        cadence: with which it closes.
        upbeat: whether the next section begins with an upbeat: a place that is taken.
        melody, bass: what leads across in the highest and in the lowest line, or None.
    """

    section: int
    cadence: str | None
    upbeat: bool
    melody: LeadIn | None
    bass: LeadIn | None


def lead_in(line: Sequence[Note], end_div: int, meter: Meter) -> LeadIn | None:
    """What leads into a downbeat in one line, or None.

    Args:
        line: notes one at a time, by onset.
        end_div: the downbeat.
        meter: in force before it.
    """
    at = bisect_left(line, end_div, key=lambda n: n.onset_div)
    if at == len(line) or line[at].onset_div != end_div:
        return None
    first = bisect_left(line, end_div - MOST_BARS * meter.bar_div, key=lambda n: n.onset_div)
    near = line[first : at + 1]
    beat = meter.beat_div
    for rest in range(len(near) - 2, -1, -1):
        run = near[rest + 1 : -1]
        gap = near[rest + 1].onset_div - near[rest].onset_div
        if len(run) < LEAST_NOTES:
            if gap > beat:
                return None
            continue
        if gap > beat or gap >= max(REST_BEATS * beat, REST_FACTOR * (end_div - run[0].onset_div) / len(run)):
            on_beat = near[rest].onset_div % beat == end_div % beat
            mean = (end_div - run[0].onset_div) / len(run)
            holes = any(b.onset_div - a.end_div >= beat / 2 for a, b in pairwise((*run, near[-1])))
            if holes or not on_beat or gap < REST_FACTOR * mean:
                return None
            onsets = tuple(n.onset_div - end_div for n in run)
            return LeadIn(onsets, tuple(n.pitch for n in run), near[-1].pitch, gap)
    return None


def bass_line(score: Score, start_div: int, end_div: int) -> tuple[Note, ...]:
    """The lowest note that is struck at each onset in the lowest part or the left hand."""
    first = bisect_left(score.notes, start_div, key=lambda n: n.onset_div)
    last = bisect_left(score.notes, end_div, lo=first, key=lambda n: n.onset_div)
    notes = [n for n in score.notes[first:last] if n.duration_div > 0]
    low = len(score.parts) - 1
    if low:
        notes = [n for n in notes if n.part == low]
    elif any(n.staff == 2 for n in notes):
        notes = [n for n in notes if n.staff == 2]
    return tuple(min(group, key=lambda n: n.pitch) for _, group in groupby(notes, key=lambda n: n.onset_div))


def leads_at(score: Score, end_div: int, meter: Meter) -> tuple[LeadIn | None, LeadIn | None]:
    """What leads into a downbeat in the melody, and in the bass, where a run counts only if it moves by steps."""
    span = max(0, end_div - MOST_BARS * meter.bar_div), min(score.end_div, end_div + meter.beat_div)
    melody = lead_in(melody_line(score, *span), end_div, meter)
    bass = lead_in(bass_line(score, *span), end_div, meter)
    return melody, bass if bass and bass.steps_share > 0.6 else None


def boundaries(score: Score, plan: Plan) -> list[Boundary]:
    """The inner boundaries of a piece, from the second section's first downbeat on.

    Args:
        score: the piece, on the plan's clock.
        plan: of it.
    """
    found = []
    for index, section in enumerate(plan.sections[:-1]):
        following = plan.sections[index + 1]
        theme = plan.theme_of(following.theme or "")
        upbeat = plan.pickup_div > 0 or (theme is not None and theme.notes[0].onset_div < 0)
        end = plan.bar_onset_div(plan.first_bars[index + 1])
        found.append(Boundary(index, section.cadence, upbeat, *leads_at(score, end, plan.meter)))
    return found
