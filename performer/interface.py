"""What a performer is given and what it plays."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from music.performance import Performance
from music.plan import Plan
from music.score import Score


@runtime_checkable
class Performer(Protocol):
    """Plays a score."""

    def perform(self, score: Score, *, seed: int, plan: Plan | None = None) -> Performance:
        """The same score, plan and seed give the same performance, in which every score note sounds once."""
        ...
