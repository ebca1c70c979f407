"""Figures on real plans by style: what is missing is not counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from music.analysis.marked_plan import MarkedPlan, Origin
from music.analysis.plan_statistics import OTHERS, main, markdown_tables, plan_statistics
from music.pitch import Key
from music.plan import Chord, Phrase, Plan, Section
from music.time import Meter

METER = Meter.parse("4/4")
HOME, FIFTH = Key("G"), Key("D")


def section(label: str, key: Key, source: int | None = None) -> Section:
    half = 2 * METER.bar_div
    chords = (Chord(0, half, 7, "maj", 7, "I"), Chord(half, half, 2, "maj", 2, "V"))
    phrases = (Phrase(2, "a", "HC"), Phrase(2, "b"))
    return Section(label, 4, key, phrases, chords, source=source)


def marked(style: str, missing: set[str] | None = None, split: str = "train") -> MarkedPlan:
    sections = (section("A", HOME), section("A", HOME, 0), section("B", FIFTH), section("A'", HOME, 0))
    plan = Plan("", style, "piano", HOME, METER, 0, 90.0, sections)
    return MarkedPlan(plan, frozenset(), Origin("x:0", "w", split), frozenset(missing or ()))


def test_what_is_known_is_counted() -> None:
    found = plan_statistics([marked("waltz"), marked("waltz")], least=2)["waltz"]
    assert found.forms == {"AABA": 2}
    assert found.returns == {"new": 4, "literal": 2, "varied": 2}
    assert found.keys == {"I": 6, "V": 2}
    assert found.cadences == {"HC": 8, "none": 8}
    assert found.chords == {"I V": 8}
    assert (found.changes, found.phrases) == ([0.5, 0.5], {2: 16})


def test_what_is_missing_is_not() -> None:
    found = plan_statistics([marked("x", {"sections", "keys", "chords", "phrases", "meter"})], least=1)["x"]
    assert (found.plans, found.bars) == (1, [16])
    assert not any((found.forms, found.keys, found.chords, found.changes, found.phrases, found.cadences, found.meters))


def test_rare_styles_stand_together() -> None:
    found = plan_statistics([marked("b"), marked("a"), marked("a")], least=2)
    assert {name: s.plans for name, s in found.items()} == {"a": 2, OTHERS: 1}
    table = markdown_tables(found)
    assert "| a | 2 | 16 (16–16) | AABA 100 | 4 100 | 2 100 | 50, 25, 25 |" in table
    assert "| others | I 75, V 25 | HC 50, none 50 | 0.5 | I V 100 | 4/4 100 |" in table


def test_the_command_prints_a_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plans.jsonl"
    lines = [json.dumps(marked("a", split=split).to_json()) for split in ("train", "train", "test")]
    path.write_text("\n".join(lines), encoding="utf-8")
    main([str(path), "train"])
    assert "| others | 2 |" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="usage"):
        main([str(path), "all"])
    with pytest.raises(SystemExit, match="No such file"):
        main([str(tmp_path / "none.jsonl")])
