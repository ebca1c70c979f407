"""Chords as symbols and as a stream: round trips, and what the columns tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.harmony import QUALITIES, figure, parse_figure
from music.pitch import Key
from music.plan import Chord, Phrase, Plan, Section
from music.time import DIVS_PER_QUARTER, Meter
from planner.grammar import GrammarPlanner
from planner.harmony_stream import STREAM, HarmonyWalker, decode, encode, scene_of
from planner.harmony_symbols import (
    SYMBOLS,
    UNIT_DIV,
    VALID,
    canonical_section_chords,
    chord_of,
    in_mode,
    symbol_of,
    unit_of,
    with_fixed,
)
from planner.interface import PlanRequest
from tests.plan_strategies import KEYS, plans

STYLES = ("bach_chorale", "haydn_quartet")
C, A_MINOR = Key.parse("C"), Key.parse("a")


def chord(name: str, onset: int, length: int, key: Key = C) -> Chord:
    """A chord by its figure, in eighths."""
    root, quality, bass = parse_figure(name, key)
    return Chord(onset * UNIT_DIV, length * UNIT_DIV, root, quality, bass, name)


def symbol(name: str, key: Key = C) -> int:
    """Symbol of a figure."""
    return symbol_of(*parse_figure(name, key), key)


def section(*phrases: Phrase, names: str, label: str = "A", key: Key = C, source: int | None = None) -> Section:
    """A section in 4/4 of figures with their eighths: "I:8 V7:8"."""
    chords, onset = [], 0
    for text in names.split():
        name, length = text.rsplit(":", 1)
        chords.append(chord(name, onset, int(length), key))
        onset += int(length)
    return Section(label, sum(p.bars for p in phrases), key, phrases, tuple(chords), source=source)


def plan_of(*sections: Section) -> Plan:
    """A plan in C and 4/4."""
    return Plan("t", "haydn_quartet", "quartet", C, Meter(4, 4), 0, 90.0, sections)


def column(walker: HarmonyWalker, name: str) -> int:
    """A column's value where the walker stands."""
    return walker.columns()[STREAM.column[name]]


@pytest.mark.parametrize("key", KEYS[::5], ids=str)
def test_symbols_are_the_chords(key: Key) -> None:
    seen = set()
    for value in np.flatnonzero(VALID).tolist():
        root, quality, bass = chord_of(value, key)
        assert symbol_of(root, quality, bass, key) == value
        seen.add((root, quality, bass))
    assert len(seen) == VALID.sum() == 12 * (4 * 3 + 5 * 4)
    assert symbol_of(key.pc, "maj", (key.pc + 1) % 12, key) == symbol_of(key.pc, "maj", key.pc, key)
    with pytest.raises(ValueError, match="no chord symbol"):
        chord_of(int(np.flatnonzero(~VALID)[0]), key)


@pytest.mark.parametrize(
    ("major", "minor"),
    [("I", "i"), ("ii6", "iio6"), ("ii65", "iiø65"), ("IV64", "iv64"), ("vi", "VI"), ("iii", "III"), ("V43", "V43")],
)
def test_modes_change_what_the_scale_changes(major: str, minor: str) -> None:
    assert in_mode(symbol(major), False, True) == symbol(minor, A_MINOR)
    assert in_mode(symbol(minor, A_MINOR), True, False) == symbol(major)
    assert in_mode(symbol(major), False, False) == symbol(major)


def test_modes_map_chords_to_chords() -> None:
    for minor in (False, True):
        assert VALID[[in_mode(value, not minor, minor) for value in np.flatnonzero(VALID).tolist()]].all()


@pytest.mark.parametrize("text", ["4/4", "3/4", "6/8", "3/8", "7/16", "6/16", "3/16", "1/8", "1/32", "6/32", "32/1"])
def test_unit_fits_beat_and_bar(text: str) -> None:
    meter = Meter.parse(text)
    unit = unit_of(meter)
    assert meter.beat_div % unit == meter.bar_div % unit == 0
    assert meter.bar_div >= 2 * unit
    assert unit == UNIT_DIV or text not in ("4/4", "3/4", "6/8", "3/8", "32/1")


def check_round_trip(plan: Plan) -> None:
    """What is encoded comes back as the canonical chords, which are their own canonical form."""
    for index, part in enumerate(plan.sections):
        tokens = encode(plan, index, STYLES)
        if not part.chords:
            assert tokens is None
            continue
        assert tokens is not None
        sizes = [c.size for c in STREAM.columns]
        assert (tokens.columns >= 0).all()
        assert (tokens.columns < np.array(sizes)).all()
        wished = canonical_section_chords(part, plan.meter)
        scene = scene_of(plan, index, STYLES)
        assert decode(tokens.values.tolist(), scene) == wished
        again = Section(part.label, part.bars, part.key, part.phrases, wished)
        assert canonical_section_chords(again, plan.meter) == wished
        open_scene = scene_of(plan, index, STYLES, known_phrases=False, known_cadences=False)
        unknown = encode(plan, index, STYLES, known_phrases=False, known_cadences=False)
        assert unknown is not None
        assert decode(unknown.values.tolist(), open_scene) == wished


@settings(max_examples=60, deadline=None)
@given(plans())
def test_round_trip_of_any_plan(plan: Plan) -> None:
    check_round_trip(plan)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_round_trip_off_the_grid(data: st.DataObject) -> None:
    """Many short chords, of which some vanish."""
    meter = data.draw(st.sampled_from([Meter(4, 4), Meter(6, 8), Meter(7, 16)]))
    bars = data.draw(st.lists(st.integers(1, 2), min_size=1, max_size=3))
    length = sum(bars) * meter.bar_div
    cuts = sorted(data.draw(st.sets(st.integers(1, length - 1), max_size=40)))
    key = data.draw(st.sampled_from(KEYS))
    pitch, quality = st.integers(0, 2), st.sampled_from(QUALITIES[:2])
    chords = tuple(
        Chord(a, b - a, data.draw(pitch), data.draw(quality), data.draw(pitch))
        for a, b in zip([0, *cuts], [*cuts, length], strict=True)
    )
    part = Section("A", sum(bars), key, tuple(Phrase(n, "a") for n in bars), chords)
    check_round_trip(Plan("", "", "satb", C, meter, 0, 90.0, (part,)))


@pytest.mark.parametrize("form", ["sonata", "rondo", "ABA'C"])
@pytest.mark.parametrize("text", ["3/4", "6/8"])
def test_round_trip_of_the_grammar(form: str, text: str) -> None:
    plan = GrammarPlanner().plan(PlanRequest(form, meter=Meter.parse(text), bars=48), seed=3)
    check_round_trip(plan)
    for index, part in enumerate(plan.sections):  # it splits chords at phrases' borders, as one may ask for
        tokens = encode(plan, index, STYLES)
        assert tokens is not None
        back = decode(tokens.values.tolist(), scene_of(plan, index, STYLES), split_phrases=True)
        assert [(c.onset_div, c.duration_div, c.figure) for c in back] == [
            (c.onset_div, c.duration_div, figure(c.root, c.quality, c.bass, part.key)) for c in part.chords
        ]


def test_long_chords_are_several_tokens() -> None:
    plan = plan_of(section(Phrase(20, "a"), names="I:160"))
    tokens = encode(plan, 0, STYLES)
    assert tokens is not None
    assert tokens.values.tolist() == [symbol("I"), 63, symbol("I"), 63, symbol("I"), 31]


def test_chords_are_split_at_phrases() -> None:
    plan = plan_of(section(Phrase(1, "a"), Phrase(1, "b"), names="I:6 V:4 I:6"))
    tokens = encode(plan, 0, STYLES)
    assert tokens is not None
    assert tokens.values.tolist() == [symbol("I"), 5, symbol("V"), 1, symbol("V"), 1, symbol("I"), 5]
    assert len(decode(tokens.values.tolist(), scene_of(plan, 0, STYLES))) == 3
    assert len(decode(tokens.values.tolist(), scene_of(plan, 0, STYLES), split_phrases=True)) == 4


def test_columns_of_a_phrase() -> None:
    part = section(Phrase(2, "a", "HC"), Phrase(2, "a'", "PAC"), names="I:4 V:12 I:4 V7:4 I:8")
    walker = HarmonyWalker(scene_of(plan_of(part), 0, STYLES))
    assert (column(walker, "style"), column(walker, "ensemble"), column(walker, "mode")) == (2, 3, 1)
    assert (column(walker, "left"), column(walker, "bar_left"), column(walker, "cadence")) == (16, 8, 4)
    assert (column(walker, "phrase"), column(walker, "previous"), column(walker, "chords")) == (2, 0, 1)
    assert column(walker, "model_kind") == 0
    walker.push(symbol("I"))
    assert (column(walker, "chosen"), walker.symbol) == (symbol("I") + 1, symbol("I"))
    walker.push(3)
    assert (column(walker, "left"), column(walker, "bar_left"), column(walker, "previous")) == (12, 4, symbol("I") + 1)
    assert (column(walker, "previous_duration"), column(walker, "chosen"), walker.onset_unit) == (4, 0, 4)
    walker.push(symbol("V"))
    walker.push(11)
    assert (walker.phrase, walker.phrase_start_unit, walker.phrase_end_unit, walker.previous) == (1, 16, 32, None)
    assert (column(walker, "cadence"), column(walker, "phrase"), column(walker, "bar")) == (2, 4, 1)
    # The idea returns: its chords stand in the columns.
    assert (column(walker, "model_kind"), column(walker, "model"), column(walker, "model_next")) == (
        3,
        symbol("I") + 1,
        symbol("V") + 1,
    )
    assert column(walker, "model_left") == 4
    walker.push(symbol("I"))
    walker.push(7)
    assert (column(walker, "model_kind"), column(walker, "model"), column(walker, "model_left")) == (
        4,
        symbol("V") + 1,
        8,
    )
    walker.push(symbol("I"))
    walker.push(7)
    assert walker.field is None


def test_a_return_sees_what_it_returns_to_in_its_own_mode() -> None:
    first = section(Phrase(2, "a", "PAC"), names="ii6:8 V7:4 I:4")
    back = section(Phrase(2, "a", "PAC"), names="iio6:8 V7:4 i:4", label="A'", key=A_MINOR, source=0)
    walker = HarmonyWalker(scene_of(plan_of(first, back), 1, STYLES))
    assert column(walker, "return") == 2 + 6
    assert column(walker, "model") == symbol("iio6", A_MINOR) + 1
    assert (column(walker, "model_next"), column(walker, "model_left")) == (symbol("V7", A_MINOR) + 1, 8)
    assert column(walker, "previous") == symbol("III", A_MINOR) + 1
    assert column(walker, "relation") == 1 + 9 * 4 + 2
    tokens = encode(plan_of(first, back), 1, STYLES)
    assert tokens is not None
    copied = tokens.columns[:, [STREAM.column["model"], STREAM.column["model_left"]]].reshape(-1, 2, 2)
    assert (copied[:, 0, 0] - 1).tolist() == tokens.values[::2].tolist()
    assert (copied[:, 1, 1] - 1).tolist() == tokens.values[1::2].tolist()


def test_what_nobody_knows_is_zero() -> None:
    part = section(Phrase(2, "a", "HC"), Phrase(2, "a", "PAC"), names="I:4 V:12 I:4 V7:4 I:8")
    hidden = encode(plan_of(part), 0, (), known_phrases=False, known_cadences=False)
    assert hidden is not None
    for name in ("style", "idea", "phrase", "cadence", "left", "bar", "model_kind", "model"):
        assert not hidden.columns[:, STREAM.column[name]].any(), name
    half = encode(plan_of(part), 0, STYLES, known_cadences=False)
    assert half is not None
    assert not half.columns[:, STREAM.column["cadence"]].any()
    assert half.columns[:, STREAM.column["left"]].all()


def test_a_cadence_that_is_not_made_is_hidden() -> None:
    """The first phrase closes on V of V: no half cadence of this key; the second makes a perfect one."""
    part = section(Phrase(2, "a", "HC"), Phrase(2, "b", "PAC"), names="I:8 V/V:8 ii6:8 V7:4 I:4")
    for only_made, wished in ((True, {0: 0, 1: 2}), (False, {0: 4, 1: 2})):
        tokens = encode(plan_of(part), 0, STYLES, only_made=only_made)
        assert tokens is not None
        cadences = tokens.columns[:, STREAM.column["cadence"]].tolist()
        assert cadences == [wished[0]] * 4 + [wished[1]] * 6


def test_walker_refuses_what_does_not_fit() -> None:
    walker = HarmonyWalker(scene_of(plan_of(section(Phrase(1, "a"), Phrase(1, "b"), names="I:16")), 0, STYLES))
    with pytest.raises(ValueError, match="known"):
        walker.push(-1)
    walker.push(0)
    with pytest.raises(ValueError, match="leaves its phrase"):
        walker.push(8)
    with pytest.raises(ValueError, match="do not fill"):
        decode([0, 7], walker.scene)


def test_fixed_chords_are_laid_over_exactly() -> None:
    drawn = section(Phrase(2, "a"), names="I:8 V:8").chords
    short = Chord(DIVS_PER_QUARTER // 4, DIVS_PER_QUARTER // 4, 2, "min", 4)
    found = with_fixed(drawn, (short, chord("V", 7, 2)), C)
    assert [(c.onset_div, c.duration_div, c.figure) for c in found] == [
        (0, 2520, "I"),
        (2520, 2520, "ii"),
        (5040, 6 * 5040, "I"),
        (7 * 5040, 9 * 5040, "V"),
    ]
    assert found[1].bass == 4
    assert with_fixed(drawn, (), C) == drawn
    assert SYMBOLS == 432


def test_a_choir_is_told_a_phrases_cadence_in_its_last_bar() -> None:
    part = section(Phrase(2, "a", "PAC"), names="I:4 IV:4 V7:4 I:4")
    columns = {}
    for ensemble, style in (("satb", "bach_chorale"), ("quartet", "haydn_quartet")):
        plan = Plan("t", style, ensemble, C, Meter(4, 4), 0, 90.0, (part,))
        walker, told = HarmonyWalker(scene_of(plan, 0, STYLES)), []
        while walker.field is not None:
            told.append(column(walker, "cadence"))
            walker.push((symbol("I"), 3)[walker.symbol is not None])
        columns[ensemble] = told
        tokens = encode(plan, 0, STYLES)
        assert tokens is not None
        assert (tokens.columns[:, STREAM.column["cadence"]] > 0).all()  # what is learned from is told all along
    heard = columns["quartet"][0]
    assert columns == {"satb": [0, 0, 0, 0, heard, heard, heard, heard], "quartet": [heard] * 8}
