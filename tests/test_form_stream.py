"""The stream of heads and forms: round trips, columns within their sizes, what is unknown stays unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.analysis.marked_plan import MarkedPlan
from music.pitch import ALL_KEYS, Key
from music.plan import Phrase, Plan, Section
from music.time import DIVS_PER_QUARTER, Meter
from planner import form_columns as fc
from planner.form_stream import FormWalker, canonical, decode, encode, outside
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from planner.request import METERS
from planner.streams import UNKNOWN, Tokens, bucket
from planner.styles import STYLES
from tests.plan_strategies import plans

TAGS = tuple(STYLES)
_C = fc.STREAM.column


def marked(plan: Plan, *, dynamics: bool = True) -> MarkedPlan:
    return MarkedPlan(plan, frozenset({"textures", "dynamics"} if dynamics else {"textures"}))


def told(plan: MarkedPlan, *, tell: bool = True) -> Tokens:
    tokens = encode(plan, TAGS, tell_bars=tell, tell_sections=tell)
    assert tokens is not None
    return tokens


def check(plan: MarkedPlan) -> Tokens:
    tokens = told(plan)
    assert decode(tokens.values.tolist(), plan.plan.style, plan.plan.ensemble) == canonical(plan)
    sizes = np.array([column.size for column in fc.COLUMNS])
    assert (tokens.columns >= 0).all()
    assert (tokens.columns < sizes).all()
    hidden = told(plan, tell=False)
    assert (hidden.values == tokens.values).all()
    assert not hidden.columns[:, [_C["bars_left"], _C["sections_left"]]].any()
    return tokens


@given(plans())
@settings(max_examples=120)
def test_round_trip_of_any_plan(plan: Plan) -> None:
    check(marked(plan))


@given(
    st.sampled_from(TAGS), st.sampled_from(["rondo7", "variations", "sonata", "through_composed", "AA'BA''"]), st.data()
)
@settings(max_examples=25)
def test_round_trip_of_grammar_plans(style: str, form: str, data: st.DataObject) -> None:
    meter, key = data.draw(st.sampled_from(METERS)), data.draw(st.sampled_from(ALL_KEYS))
    plan = GrammarPlanner().plan(PlanRequest(form, key, meter, style=style), seed=data.draw(st.integers(0, 99)))
    tokens = check(marked(plan))
    draw = canonical(marked(plan))
    assert [s.label for s in draw.sections] == [s.label for s in plan.sections]
    assert [s.bars for s in draw.sections] == [s.bars for s in plan.sections]
    assert [s.key for s in draw.sections] == [s.key for s in plan.sections]
    assert tokens.columns[-1, _C["bars_left"]] == tokens.columns[-1, _C["sections_left"]] == 1  # none left


def test_stream_is_sound() -> None:
    assert len(fc.COLUMNS) <= 26
    for field in fc.FIELDS:
        for name in field.copies:
            assert fc.COLUMNS[_C[name]].size == field.size + 1, name


def make(*sections: Section, key: str = "C") -> Plan:
    return Plan("", TAGS[0], "piano", Key.parse(key), Meter(3, 4), DIVS_PER_QUARTER, 100.0, sections)


def section(label: str, phrases: str, **more: object) -> Section:
    """Phrases such as "4a/HC 4a'/PAC"."""
    read = [(int(p[0]), *p[1:].partition("/")) for p in phrases.split()]
    parts = tuple(Phrase(bars, idea, cadence or None) for bars, idea, _, cadence in read)
    made = Section(label, sum(p.bars for p in parts), Key("C"), parts)
    return replace(made, **more)  # type: ignore[arg-type]


def column(tokens: Tokens, field: int, name: str) -> list[int]:
    """What a column says wherever a field is asked for."""
    return tokens.columns[tokens.fields == field, _C[name]].tolist()


def test_a_return_sees_its_model() -> None:
    first = section("A", "4a/HC 4a'/PAC", density=4.0, register=60.0, dynamic="p")
    plan = make(
        first,
        section("B", "4a/HC 2b/IAC", key=Key("G"), density=8.0, register=70.0, dynamic="f"),
        replace(first, source=0, variation=0.3),
        section("C", "6a/HC"),
        replace(first, label="A'", source=0),
        section("B'", "4a/HC 3b/PAC", source=1),
    )
    tokens = told(marked(plan))
    assert column(tokens, fc.BARS, "model_bars") == [0, 0, 8, 0, 8, 6]
    assert column(tokens, fc.BARS, "last_bars") == [0, 8, 6, 8, 6, 8]
    assert column(tokens, fc.KEY, "model_key") == [0, 0, 1, 0, 1, 8]
    assert column(tokens, fc.PHRASE, "model_phrase") == [0, 0, 0, 0, 4, 4, 0, 4, 4, 4, 2]
    assert column(tokens, fc.IDEA, "model_idea") == [0, 0, 0, 0, 1, 2, 0, 1, 2, 1, 5]
    # The last phrase looks at the model's last cadence, wherever it begins.
    assert column(tokens, fc.CADENCE, "model_cadence") == [0, 0, 0, 0, 4, 2, 0, 4, 2, 4, 3]
    assert column(tokens, fc.PHRASE, "room")[:4] == [8, 4, 6, 2]
    density = [1 + fc.density_bin(value) for value in (4.0, 8.0)]
    assert column(tokens, fc.DENSITY, "near_density")[:3] == [0, density[0], density[0]]
    # After A came B; after C nothing is known; after A' what came after A; after B' what came after B.
    assert column(tokens, fc.LABEL, "followed") == [0, 0, 0, 4, 0, 4, 3]
    assert column(tokens, fc.PRIME, "letter_prime") == [0, 0, 1, 0, 1, 1]
    assert column(tokens, fc.PRIME, "heard") == [1, 1, 2, 1, 3, 2]
    assert tokens.values[tokens.fields == fc.VARIATION].tolist() == [3, UNKNOWN, UNKNOWN]


def test_order_of_sections_is_followed() -> None:
    """A repeated exposition: after each of its sections comes the one that came before."""
    plan = make(*(section(label, "4a/PAC 4a/PAC") for label in ("A", "B", "C", "A'", "B'", "C'")))
    assert column(told(marked(plan)), fc.LABEL, "followed") == [0, 0, 0, 0, 4, 5, 3]


def test_long_sections_and_phrases() -> None:
    phrases = (Phrase(200, "a", "HC"), Phrase(64, "b"), Phrase(65, "b'", "PAC"))
    plan = make(Section("A", 329, Key("C"), phrases), Section("A", 128, Key("C"), (Phrase(128, "a"),)))
    tokens = check(marked(plan))
    assert tokens.values[tokens.fields == fc.BARS].tolist() == [128, 128, 72, 127]
    assert tokens.values[tokens.fields == fc.PHRASE].tolist() == [64, 64, 64, 7, 63, 64, 0, 64, 63]
    assert column(tokens, fc.PHRASE, "model_phrase")[-2:] == [65, 65]


@pytest.mark.parametrize(
    "part", ["sections", "phrases", "cadences", "keys", "home", "meter", "tempo", "dynamics", "textures"]
)
def test_what_is_missing_is_unknown(part: str) -> None:
    plan = make(section("A", "4a/HC 4a'/PAC", density=2.0, register=50.0, dynamic="f"), section("B", "8a/PAC"))
    tokens = check(MarkedPlan(plan, frozenset({"dynamics"} - {part}), missing=frozenset({part})))
    fields = {
        "sections": [fc.LABEL],
        "phrases": [fc.PHRASE],
        "cadences": [fc.CADENCE],
        "keys": [fc.KEY],
        "home": [fc.MINOR, fc.TONIC, fc.KEY],
        "meter": [fc.METER, fc.PICKUP],
        "tempo": [fc.TEMPO],
        "dynamics": [fc.DYNAMIC],
        "textures": [fc.DENSITY, fc.REGISTER],
    }[part]
    unknown = np.isin(tokens.fields, fields)
    open_in_any = np.isin(tokens.fields, [fc.DENSITY, fc.REGISTER])  # the second section does not say them
    assert not tokens.known[unknown].any()
    assert tokens.known[~unknown & ~open_in_any].all()


def test_dynamics_that_no_one_wrote_are_unknown() -> None:
    plan = make(section("A", "8a/PAC"))
    for dynamics in (True, False):
        tokens = told(marked(plan, dynamics=dynamics))
        assert tokens.known[tokens.fields == fc.DYNAMIC].tolist() == [dynamics]


def test_outside() -> None:
    plan = make(section("A" + "'" * fc.PRIMES, "8a/PAC"))
    assert "primes" in (outside(plan) or "")
    assert encode(marked(plan), TAGS, tell_bars=True, tell_sections=True) is None


def test_bad_values_are_refused() -> None:
    head = [0, 0, 0, 0, 0]
    for values in ([*head, 2], [*head, 1, 0, 7, 0, 8], [*head, 0, 0], head):
        with pytest.raises(ValueError):
            decode(values, TAGS[0], "piano")


def test_bins_hold_their_centres() -> None:
    assert all(fc.tempo_bin(fc.tempo_of(i)) == i for i in range(fc.TEMPO_BINS))
    assert all(fc.tempo_edges(i)[0] <= fc.tempo_of(i) < fc.tempo_edges(i)[1] for i in range(fc.TEMPO_BINS))
    assert all(fc.density_bin(fc.density_of(i)) == i for i in range(fc.DENSITY_BINS))
    assert all(fc.register_bin(fc.register_of(i)) == i for i in range(fc.REGISTER_BINS))
    assert all(fc.idea_value(fc.idea_of(i)) == i for i in range(fc.FIELDS[fc.IDEA].size))
    for home in ALL_KEYS:
        assert [fc.key_value(fc.key_of(i, home), home) for i in range(24)] == list(range(24))


def test_walker_reads_totals() -> None:
    walker = FormWalker(1, 1, bars_total=20, sections_total=2)
    assert walker.columns()[_C["bars_left"]] == bucket(20, fc.BARS_LEFT_BOUNDS)
    assert walker.columns()[_C["sections_left"]] == 3
