"""Hammering: the same few notes struck again and again while the harmony stands still as planned.

Measures of sticking (`evaluation.texture`) see a sonority that lasts, those of stutter ties struck anew. Two hands that
strike one or two dyads by turns pass both: the sonority changes with every strike. What gives them away is that each
strike brings pitches that have only just been struck.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluation.sonorities import Sonority
from music.analysis.bars import whole_bars
from music.score import Score

LOOK_BACK = 2  # strikes: a repeated note is one strike old, an alternating one two
BUSY = 8  # strikes in a bar, from which on it can hammer: sixteenths for half a 4/4 bar, eighths for a whole one
HAMMERED = 0.7  # share of a bar's notes; an Alberti bass under a melody that moves has about 0.4
LONGEST_RUN = 12  # times in a row that hazards are told apart for


@dataclass(frozen=True)
class BusyBar:
    """A bar with `BUSY` strikes or more.

    Args:
        index: of the bar.
        restruck: share of its notes whose pitch one of the two strikes before struck too.
        entropy: of the sets of pitches that are struck together, bits.
    """

    index: int
    restruck: float
    entropy: float

    @property
    def hammered(self) -> bool:
        """Whether it hammers."""
        return self.restruck >= HAMMERED


def strikes(row: Iterable[Sonority]) -> list[tuple[int, frozenset[int]]]:
    """Onset and pitches of all that is struck together, in order."""
    return [(s.onset_div, frozenset(s.struck)) for s in row if s.struck]


def restruck(struck: Sequence[frozenset[int]]) -> list[int]:
    """How many notes of each strike have a pitch of one of the `LOOK_BACK` strikes before it."""
    return [len(now & frozenset().union(*struck[max(0, i - LOOK_BACK) : i])) for i, now in enumerate(struck)]


def restrikes(row: Sequence[Sonority]) -> float:
    """Share of the struck notes whose pitch was struck at one of the two strikes before (own definition)."""
    struck = [pitches for _, pitches in strikes(row)]
    notes = sum(map(len, struck))
    return sum(restruck(struck)) / notes if notes else 0.0


def busy_bars(score: Score, row: Sequence[Sonority]) -> list[BusyBar]:
    """The bars in which so much is struck that they can hammer; see `BusyBar`."""
    found = strikes(row)
    again = restruck([pitches for _, pitches in found])
    bars: list[BusyBar] = []
    place = 0
    for index, bar in enumerate(whole_bars(score)):
        while place < len(found) and found[place][0] < bar.onset_div:
            place += 1
        first = place
        while place < len(found) and found[place][0] < bar.end_div:
            place += 1
        if place - first >= BUSY:
            sets = [pitches for _, pitches in found[first:place]]
            share = sum(again[first:place]) / sum(map(len, sets))
            bars.append(BusyBar(index, share, entropy(sets)))
    return bars


def entropy(sets: Sequence[frozenset[int]]) -> float:
    """Shannon entropy in bits of how often each set occurs: 1 for two that alternate, 3 for eight different ones."""
    counts = Counter(sets)
    return -sum(n / len(sets) * math.log2(n / len(sets)) for n in counts.values()) if len(counts) > 1 else 0.0


def hammered_bars(bars: Sequence[BusyBar]) -> float | None:
    """Share of the busy bars that hammer: `HAMMERED` of their notes or more have just been struck; None without any.

    Definition: this project's own. Tremolos and drum basses of people count too, so that a few in a hundred are theirs.
    """
    return sum(bar.hammered for bar in bars) / len(bars) if bars else None


def longest_hammering(bars: Sequence[BusyBar]) -> int:
    """Most bars in a row that hammer."""
    longest = run = 0
    last = -1
    for bar in bars:
        run = (run + 1 if bar.index == last + 1 else 1) if bar.hammered else 0
        last = bar.index
        longest = max(longest, run)
    return longest


def restrike_hazards(rows: Iterable[Sequence[Sonority]]) -> tuple[tuple[int, int], ...]:
    """How often a pitch that has been struck n times, each within two strikes of the last, is struck once more so.

    Returns:
        For n = 1 .. `LONGEST_RUN` (the last: or more), of how many runs and how many of them went on: the second over
        the first is the hazard of Kaplan and Meier.
    """
    reached, went_on = [0] * (LONGEST_RUN + 1), [0] * (LONGEST_RUN + 1)
    for row in rows:
        runs: dict[int, tuple[int, int]] = {}  # pitch: its last strike, how many so far
        for index, (_, pitches) in enumerate(strikes(row)):
            for pitch in sorted(runs):
                last, count = runs[pitch]
                if pitch in pitches or index - last >= LOOK_BACK:
                    reached[min(count, LONGEST_RUN)] += 1
                    went_on[min(count, LONGEST_RUN)] += pitch in pitches
                    if pitch not in pitches:
                        del runs[pitch]
            for pitch in pitches:
                runs[pitch] = (index, runs[pitch][1] + 1 if pitch in runs else 1)
    return tuple(zip(reached[1:], went_on[1:], strict=True))
