"""Tables of form: played out, fitted to scores bar by bar, and what does not fit refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music.analysis.plans import plan_of_score
from music.analysis.similarity import bar_products
from music.analysis.taking_form import (
    annotate_form,
    find_tables,
    fit_table,
    materials,
    movement_key,
    parse_table,
    read_table,
)
from music.errors import PlanError
from music.score import MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import DIVS_PER_QUARTER, Meter

Q = DIVS_PER_QUARTER
METER = Meter.parse("4/4")
# A movement of 24 printed bars: 1-8 twice, then a development, then a return with its second part in another key.
SONATA = """Measure,Beat,Form
1,-1,Exposition,First Subject Group,Theme a
5,1,,Second Subject Group,X
Repeat: 1-8,,,,
9,1,Development,,
13,3,,Re-transition,
17-20=1-4,,Recapitulation,,
21,1,,Second subject,
24,1,,,
"""


def piece(kinds: str, upbeat: bool = False) -> Score:
    """Bars of random notes, the same for the same letter; capitals are a fourth higher."""
    notes = []
    for bar, kind in enumerate("-" * upbeat + kinds):
        rng = np.random.default_rng(ord(kind.lower()))
        pitches = rng.integers(55, 80, 8) + 5 * kind.isupper()
        struck = [(7, 60)] if kind == "-" else list(enumerate(pitches.tolist()))
        notes += [Note(f"{bar}_{i}", bar * METER.bar_div + i * Q // 2, Q // 2, pitch) for i, pitch in struck]
    bars = regular_bars(METER, len(kinds) + upbeat)
    return Score((Part("P"),), sort_notes(notes), bars, (MeterChange(0, METER),))


PLAYED = "abcdefgh" + "abcdefgh" + "ijklmnop" + "abcd" + "EFGH"


def test_a_table_is_played_with_its_repeats() -> None:
    table = parse_table(SONATA, "s.csv")
    assert [bar.number for bar in table.bars] == [str(n) for n in [*range(1, 9), *range(1, 25)]]
    assert table.repeats == ((0, 8, 8),)
    assert table.claims == ((0, 8, 8), (0, 24, 4))
    assert materials(table) == [
        (0, "sonata first", True),
        (4, "sonata second", False),
        (8, "sonata first", True),
        (12, "sonata second", False),
        (16, "development", True),
        (24, "sonata first", True),
        (28, "sonata second", False),
    ]


@pytest.mark.parametrize("upbeat", [False, True])
def test_sections_of_a_plan_are_the_tables(upbeat: bool) -> None:
    score = annotate_form(piece(PLAYED, upbeat), parse_table(SONATA, "s.csv"))
    bars = [m.onset_div // METER.bar_div for m in score.sections]
    assert bars == [0, *(b + upbeat for b in (4, 8, 12, 16, 24, 28))]
    # The repeat is literal (behind an upbeat bar the first section is longer), the return of B is in another key.
    labels = ["A", "B", "A'" if upbeat else "A", "B", "C", "A'" if upbeat else "A", "B'"]
    assert [m.label for m in score.sections] == labels
    plan = plan_of_score(score)
    assert plan.first_bars == tuple(bars)
    assert [s.label for s in plan.sections] == labels
    assert plan.sections[6].source in (1, 3)


def test_repeats_that_are_not_played_are_left_out() -> None:
    score = piece(PLAYED[8:])
    played, offset = fit_table(parse_table(SONATA, "s.csv"), score, bar_products(score))
    assert (len(played.bars), offset) == (24, 0)
    assert played.repeats == ()
    assert played.claims == ((0, 16, 4),)


def test_what_does_not_fit_is_refused() -> None:
    table = parse_table(SONATA, "s.csv")
    with pytest.raises(PlanError, match=r"s\.csv: the table has 24 to 32 bars, the score 30"):
        annotate_form(piece(PLAYED[:30]), table)
    with pytest.raises(PlanError, match="a likeness of 0"):
        annotate_form(piece("qrstuvwxyzabcdef" + PLAYED[16:]), table)
    with pytest.raises(PlanError, match="names no part"):
        annotate_form(piece("abcdefgh"), parse_table("1,1,,\n8,1,,\n", "empty.csv"))


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        ("3,1,A\n6,1,B\n", "3 4 5 6"),
        ("1,1,A\n4,1,\n5-6=1-2,,B\n8,1,\n", "1 2 3 4 5 6 7 8"),
        ("1,1,A\n2,1,\nRepeat: 1-2,\n3a,1,B\n3,1,\n", "1 2 1 2 3a 3"),
        ("1,1,A\n4,1,\n5-9=1-4,,\n7,1,B\n", "1 2 3 4 5 6 7 8 9"),  # one bar more than is copied, and an exception
        ("1,1,A\nRepeat: 1-3,\n", "1 2 3 1 2 3"),
    ],
)
def test_rows_of_tables(rows: str, numbers: str) -> None:
    table = parse_table(rows, "t.csv")
    assert " ".join(bar.number for bar in table.bars) == numbers
    assert sum("B" in bar.labels for bar in table.bars) == (0 if "B" not in rows else 1)


@pytest.mark.parametrize("rows", ["", "Measure,Beat\n", "1,1,A\nfoo,1,B\n", "1,1,A\n2=7,,\n", "1,1,A\nRepeat: 4-2,\n"])
def test_bad_tables(rows: str) -> None:
    with pytest.raises(PlanError, match=r"bad\.csv"):
        parse_table(rows, "bad.csv")


def test_files_of_tables(tmp_path: Path) -> None:
    for name in ("sonata14op27no2(Moonlight)movt3", "sonata26op81a(LESADIEUX)movt1", "sonata11op22movt4", "other"):
        (tmp_path / f"{name}.csv").write_text(SONATA, encoding="utf-8")
    assert sorted(find_tables(tmp_path)) == [("op22", 4), ("op27no2", 3), ("op81a", 1)]
    assert movement_key("mond_3") == ("op27no2", 3)
    assert movement_key("beethoven_les_adieux_1") == ("op81a", 1)
    assert movement_key("beethoven_opus10_2") == ("op10no1", 2)
    assert movement_key("elise") is None
    assert movement_key("chpn_op53") is None
    table = read_table(tmp_path / "other.csv")
    assert replace(table, name="") == replace(parse_table("\ufeff" + SONATA, ""), name="")
    with pytest.raises(PlanError, match=r"none\.csv: No such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b"1,1,\xff\xfe")
    with pytest.raises(PlanError, match=r"bad\.csv: not a table"):
        read_table(tmp_path / "bad.csv")
