"""Tables of form as plans without notes."""

from __future__ import annotations

from pathlib import Path

import pytest

from music.analysis.form_plans import form_plans, plan_of_table
from music.analysis.taking_form import form_work, parse_table, sonata_number
from music.errors import PlanError
from music.splits import piano_work
from tests.test_taking_form import SONATA

PERIODS = """1,1,Minuet,A,Period,Antecedent
5,1,,,,Consequent
Repeat: 1-8,,,,,
9,1,,B,Sentence,Presentation
17,1,,A,Period,Antecedent
21,1,,,,Consequent
24,1,,,,
"""


def test_a_table_alone_tells_parts_and_returns() -> None:
    plan, told = plan_of_table(parse_table(SONATA, "s.csv"))
    assert [(s.label, s.bars, s.source, s.variation) for s in plan.sections] == [
        ("A", 4, None, None),
        ("B", 4, None, None),
        ("A", 4, 0, 0.0),
        ("B", 4, 1, 0.0),
        ("C", 8, None, None),
        ("A", 4, 0, 0.0),
        ("B'", 4, 1, None),
    ]
    assert not told
    assert all(len(s.phrases) == 1 for s in plan.sections)


def test_phrases_are_told_by_periods_and_their_halves() -> None:
    plan, told = plan_of_table(parse_table(PERIODS, "p.csv"))
    assert told
    assert [[p.bars for p in s.phrases] for s in plan.sections] == [[4, 4], [4, 4], [8], [4, 4]]


def test_a_table_that_tells_too_little_is_refused() -> None:
    with pytest.raises(PlanError, match="leaves 300 bars undivided"):
        plan_of_table(parse_table("1,1,Fugue\n300,1,\n", "f.csv"))


def test_works_stand_with_the_scores_of_their_opus() -> None:
    assert form_work("op27no1") == form_work("op27no2") == piano_work("mond_1")[1:]
    assert form_work("op10no3") == piano_work("beethoven_opus10_2")[1:]
    assert form_work("op2no1") is None
    assert sonata_number("sonata14op27no2(Moonlight)movt1") == 14


def test_held_out_and_taken_movements_are_left_out(tmp_path: Path) -> None:
    for name in ("sonata1op2no1movt1", "sonata8op13(Pathetique)movt1", "sonata5op10no1movt2", "sonata6op10no2movt1"):
        (tmp_path / f"{name}.csv").write_text(SONATA, encoding="utf-8")
    (tmp_path / "sonata3op2no3movt1.csv").write_text("no table", encoding="utf-8")
    plans, dropped = form_plans(tmp_path, {("op10no1", 2)})
    assert [m.origin.id for m in plans] == [
        "taking_form/sonata6op10no2movt1.csv:0",
        "taking_form/sonata1op2no1movt1.csv:0",
    ]
    assert dict(dropped).keys() == {
        "taking_form/sonata8op13(Pathetique)movt1.csv",
        "taking_form/sonata3op2no3movt1.csv",
    }
    marked = plans[1]
    assert marked.origin.work == "beethoven_op2"
    assert marked.annotated == {"sections"}
    assert {"home", "meter", "keys", "chords", "phrases"} <= marked.missing
    assert marked.inferred == frozenset()
