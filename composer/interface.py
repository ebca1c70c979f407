"""What a composer is given and what it writes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from music.plan import Plan
from music.score import Score


@runtime_checkable
class Composer(Protocol):
    """Writes the notes of a plan."""

    def compose(self, plan: Plan, *, seed: int) -> Score:
        """Writes the score of a plan: it spans exactly the plan's bars and carries its section marks.

        The same plan and seed give the same score.
        """
        ...
