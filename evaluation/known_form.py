"""People's pieces whose form is known without an analyst: the repeats that stand in their scores.

Repeats are written out in a `Score`, but its bars keep their printed numbers: where these go back, a strain is played
again.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from string import ascii_uppercase

from music.analysis.plans import plan_of_score
from music.plan import Plan
from music.score import Score, SectionMark

LEAST_BARS = 3  # a shorter strain is a first ending or an echo


def repeated_strains(score: Score) -> tuple[SectionMark, ...]:
    """The strains of a score with repeats, each with its letter; () where nothing of `LEAST_BARS` bars is repeated.

    A stretch that is played again and its repeat have one letter, what lies between repeats has one of its own.
    """
    numbers = [b.number for b in score.bars]
    marks: dict[int, str] = {}
    letters = iter(ascii_uppercase)
    done = 0
    for index, (here, following) in enumerate(pairwise(numbers)):
        if following >= here:
            continue
        end = index + 1  # the repeat begins here, and what it repeats with the last bar of that number
        start = max((i for i in range(done, end) if numbers[i] == following), default=None)
        if start is None or end - start < LEAST_BARS:
            continue
        if start > done:
            marks[done] = next(letters)
        marks[start] = marks[end] = next(letters)
        done = end + _same_run(numbers, start, end)
    if not marks:
        return ()
    if len(numbers) - done >= 2:
        marks[done] = next(letters)
    return tuple(SectionMark(score.bars[bar].onset_div, label) for bar, label in sorted(marks.items()))


def _same_run(numbers: list[int], start: int, end: int) -> int:
    """Bars from `end` on that repeat those from `start` on, an ending of another number taken as the first one."""
    length = end - start
    for offset in range(length):
        if end + offset >= len(numbers):
            return offset
        if numbers[end + offset] != numbers[start + offset]:
            return offset + 1 if length - offset <= 2 else offset
    return length


def plan_of_repeats(score: Score, *, ensemble: str) -> Plan | None:
    """The plan of a piece whose sections are its repeated strains; None without repeats.

    A strain of more than 32 bars is divided as `music.analysis.sections` does.

    Raises:
        PlanError: the score's bars do not make a plan.
    """
    marks = repeated_strains(score)
    return plan_of_score(replace(score, sections=marks), ensemble=ensemble) if marks else None
