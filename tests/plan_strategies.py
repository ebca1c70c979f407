"""Random plans for property tests: any that the types allow, sensible or not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import strategies as st

from music.harmony import QUALITIES
from music.pitch import Key
from music.plan import (
    CADENCES,
    DYNAMICS,
    ENSEMBLES,
    RHYTHMS,
    TEXTURES,
    BarTexture,
    Chord,
    Phrase,
    Plan,
    PlanNote,
    Section,
    Theme,
)
from music.time import Meter

KEYS = [Key.of_fifths(fifths, minor) for fifths in range(-7, 8) for minor in (False, True)]
METERS = [Meter.parse(text) for text in ("2/4", "3/4", "4/4", "6/8", "2/2", "9/8", "5/4", "7/16")]
TITLES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    """The strategy, or None."""
    return st.none() | strategy


@st.composite
def chords(draw: st.DrawFn, length: int) -> tuple[Chord, ...]:
    """Chords that fill `length`, or none."""
    count = draw(st.integers(0, 4))
    if count == 0:
        return ()
    cuts = sorted(draw(st.sets(st.integers(1, length - 1), max_size=count - 1)))
    pitch = st.integers(0, 11)
    return tuple(
        Chord(
            a, b - a, draw(pitch), draw(st.sampled_from(QUALITIES)), draw(pitch), draw(st.sampled_from(["", "V65/V"]))
        )
        for a, b in pairwise([0, *cuts, length])
    )


@st.composite
def themes(draw: st.DrawFn, label: str) -> Theme:
    """A theme with notes one at a time, perhaps from an upbeat on."""
    onset = draw(st.integers(-20_000, 0))
    notes = []
    for _ in range(draw(st.integers(1, 5))):
        length = draw(st.integers(1, 20_000))
        notes.append(PlanNote(onset, length, draw(st.integers(0, 127))))
        onset += length + draw(st.integers(0, 5_000))
    return Theme(label, draw(st.integers(1, 8)), draw(st.sampled_from(KEYS)), tuple(notes))


@st.composite
def links(draw: st.DrawFn) -> tuple[PlanNote, ...]:
    """Up to four notes before the next downbeat, within half a bar of any meter of `METERS`, or none."""
    ends = sorted(draw(st.sets(st.integers(-5_000, 0), max_size=4)))
    starts = [-6_000, *ends]
    return tuple(PlanNote(a, b - a, draw(st.integers(0, 127))) for a, b in zip(starts, ends, strict=False))


BAR_TEXTURES = st.builds(
    BarTexture, st.floats(0, 60), maybe(st.floats(0, 127)), st.integers(0, 127), st.sampled_from(RHYTHMS)
)


@st.composite
def sections(draw: st.DrawFn, labels: list[str], meter: Meter, letters: list[str]) -> Section:
    """The section after those of `labels[:-1]`."""
    label = labels[-1]
    phrase = st.builds(
        Phrase, st.integers(1, 9), st.from_regex(r"[a-z]'{0,2}", fullmatch=True), maybe(st.sampled_from(CADENCES))
    )
    phrases = tuple(draw(st.lists(phrase, min_size=1, max_size=3)))
    bars = sum(p.bars for p in phrases)
    sources = [i for i, other in enumerate(labels[:-1]) if other[0] == label[0]]
    return Section(
        label=label,
        bars=bars,
        key=draw(st.sampled_from(KEYS)),
        phrases=phrases,
        chords=draw(chords(bars * meter.bar_div)),
        theme=draw(maybe(st.sampled_from(letters))) if letters else None,
        source=draw(maybe(st.sampled_from(sources))) if sources else None,
        variation=draw(maybe(st.floats(0, 1))),
        density=draw(maybe(st.floats(0.01, 50))),
        register=draw(maybe(st.floats(0, 127))),
        texture=draw(maybe(st.sampled_from(TEXTURES))),
        dynamic=draw(maybe(st.sampled_from(DYNAMICS))),
        tempo_scale=draw(st.floats(0.25, 4)),
        textures=draw(st.just(()) | st.tuples(*[BAR_TEXTURES] * bars)),
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A plan of one to five sections."""
    meter = draw(st.sampled_from(METERS))
    labels = draw(st.lists(st.from_regex(r"[A-D]'{0,2}", fullmatch=True), min_size=1, max_size=5))
    letters = draw(st.lists(st.sampled_from("ABCD"), unique=True, max_size=2))
    made = [draw(sections(labels[: i + 1], meter, letters)) for i in range(len(labels))]
    for index, following in enumerate(made[1:]):
        if following.theme is None:  # a theme's upbeat would have the place
            made[index] = replace(made[index], link=draw(links()))
    return Plan(
        title=draw(TITLES),
        style=draw(WORDS),
        ensemble=draw(st.sampled_from(ENSEMBLES)),
        key=draw(st.sampled_from(KEYS)),
        meter=meter,
        pickup_div=draw(st.integers(0, meter.bar_div - 1)),
        tempo_qpm=draw(st.floats(20, 400)),
        sections=tuple(made),
        themes=tuple(draw(themes(letter)) for letter in letters),
    )
