"""What a planner is asked and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from music.pitch import Key
from music.plan import Plan, Theme
from music.time import Meter


@dataclass(frozen=True)
class PlanRequest:
    """The user's wishes; None leaves a value to the planner. What is given is kept exactly or refused (`RequestError`).

    Args:
        form: a named form ("rondo"), a letter string ("ABACA", "AA'BA"), or a typed plan ("A8 B8:V/HC A'8").
        key: home key. A typed plan's `key=` must not contradict it; so with meter and tempo.
        meter: of the piece.
        bars: full bars in all.
        tempo_qpm: quarter notes a minute.
        style: style tag.
        ensemble: one of `music.plan.ENSEMBLES`.
        theme: the theme of letter A; gives key, where none is asked for.
        title: for the score; None makes one ("Rondo in G major").
    """

    form: str | None = None
    key: Key | None = None
    meter: Meter | None = None
    bars: int | None = None
    tempo_qpm: float | None = None
    style: str | None = None
    ensemble: str | None = None
    theme: Theme | None = None
    title: str | None = None


@runtime_checkable
class Planner(Protocol):
    """Makes a Plan from a request."""

    def plan(self, request: PlanRequest, *, seed: int) -> Plan:
        """The same request and seed give the same plan.

        Raises:
            RequestError: a wish that is not understood, or two that contradict each other, both named.
        """
        ...
