"""What a planner is asked and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from music.pitch import Key
from music.plan import Plan, Theme
from music.time import Meter


@dataclass(frozen=True)
class PartWish:
    """One thing that is asked of some sections.

    Args:
        where: a label or letter as in "A" or "A'", or the index of a section.
        name: the field of `planner.wishes.SectionWish`, with "key" and "cadence" for one value of `keys`, `cadences`.
        value: a key as text (a Roman numeral relative to home, or a name), a cadence or
            `music.plan_text.NO_CADENCE`, else as in `SectionWish`.
        said: the wish in the user's words, for errors: "cadences=A:HC".
    """

    where: str | int
    name: str
    value: Any
    said: str


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
        pickup_div: upbeat in divisions.
        parts: what is asked of single sections or letters.
        themes: of letters, beside `theme`.
        count: number of sections.
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
    pickup_div: int | None = None
    parts: tuple[PartWish, ...] = ()
    themes: tuple[Theme, ...] = ()
    count: int | None = None


@runtime_checkable
class Planner(Protocol):
    """Makes a Plan from a request."""

    def plan(self, request: PlanRequest, *, seed: int) -> Plan:
        """The same request and seed give the same plan.

        Raises:
            RequestError: a wish that is not understood, or two that contradict each other, both named.
        """
        ...
