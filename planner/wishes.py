"""What a planner must keep: a request, read and checked, as allowed values for each part of a plan.

None is always "not asked for". A named form's promises (docs/forms.md) are wishes like others: its letters, the keys and
cadences that its sections may have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from music.pitch import Key
from music.plan import Chord, Phrase, Theme
from music.time import Meter


@dataclass(frozen=True)
class SectionWish:
    """What is asked of a section.

    Args:
        label: letter and primes.
        bars: length.
        keys: keys that it may have, absolute.
        cadences: cadences that it may close with; None in it is "no cadence".
        phrases: all of them, with bars, ideas and cadences.
        chords: fixed ones, in order, onsets in divisions from the section's start; gaps between them are open.
        variation, density, register, texture, dynamic, tempo_scale: as in `music.plan.Section`.
        theme: letter of the theme that is heard.
    """

    label: str | None = None
    bars: int | None = None
    keys: frozenset[Key] | None = None
    cadences: frozenset[str | None] | None = None
    phrases: tuple[Phrase, ...] | None = None
    chords: tuple[Chord, ...] = ()
    variation: float | None = None
    density: float | None = None
    register: float | None = None
    texture: str | None = None
    dynamic: str | None = None
    tempo_scale: float | None = None
    theme: str | None = None


@dataclass(frozen=True)
class Wishes:
    """What is asked of a plan.

    Args:
        style, ensemble: always settled.
        key: home.
        meters: meters that it may have.
        tempo: lowest and highest quarters a minute.
        pickup_div: upbeat.
        bars: full bars in all.
        form: name for the title ("Rondo"), None where the letters give none.
        title: for the score.
        sections: home key -> what is asked of each section; None: number and letters are open too.
        themes: given themes, by letter, each in the key that it is to be heard in first or in its own.
    """

    style: str
    ensemble: str
    key: Key | None = None
    meters: frozenset[Meter] | None = None
    tempo: tuple[float, float] | None = None
    pickup_div: int | None = None
    bars: int | None = None
    form: str | None = None
    title: str | None = None
    sections: Callable[[Key], tuple[SectionWish, ...]] | None = None
    themes: tuple[Theme, ...] = ()
