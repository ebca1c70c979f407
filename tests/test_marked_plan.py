"""Plans with word of what is annotated, inferred or missing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.analysis.marked_plan import FIELDS, PARTS, MarkedPlan
from music.errors import PlanError
from music.pitch import Key
from music.plan import Phrase, Plan, Section
from music.time import Meter
from tests.plan_strategies import plans

KEY = Key.parse("G")
PLAN = Plan("", "tune", "piano", KEY, Meter.parse("4/4"), 0, 90.0, (Section("A", 8, KEY, (Phrase(8, "a"),)),))


@settings(max_examples=8, deadline=None)
@given(plans(), st.sets(st.sampled_from(FIELDS)), st.sets(st.sampled_from(PARTS)))
def test_what_is_missing_round_trips(plan: Plan, annotated: set[str], missing: set[str]) -> None:
    marked = MarkedPlan(plan, frozenset(annotated), missing=frozenset(missing - annotated))
    assert MarkedPlan.from_json(json.loads(json.dumps(marked.to_json()))) == marked


def test_a_part_is_annotated_inferred_or_missing() -> None:
    marked = MarkedPlan(PLAN, frozenset({"sections"}), missing=frozenset({"chords", "tempo"}))
    assert marked.inferred == set(FIELDS) - {"sections", "chords"}
    assert marked.to_json()["missing"] == ["chords", "tempo"]


def test_older_lines_have_nothing_missing() -> None:
    line = MarkedPlan(PLAN, frozenset({"sections"})).to_json()
    assert line.pop("missing") == []
    assert MarkedPlan.from_json(line).missing == frozenset()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (["form"], "no part 'form' to be missing"),
        (["sections"], "sections are said to be annotated and missing"),
        ("chords", "missing is not a list of texts"),
        ([1], "missing is not a list of texts"),
    ],
)
def test_what_cannot_be_missing_is_refused(missing: object, message: str) -> None:
    line = MarkedPlan(PLAN, frozenset({"sections"})).to_json() | {"missing": missing}
    with pytest.raises(PlanError, match=message):
        MarkedPlan.from_json(line)
