from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.errors import PlanError
from music.pitch import Key
from music.plan import Phrase, Plan, Section
from music.plan_text import NO_CADENCE, PlanText, SectionText, parse_plan_text, plan_text
from music.time import DIVS_PER_QUARTER, Meter
from tests.plan_strategies import plans


def test_the_text_of_the_manual() -> None:
    text = parse_plan_text("A8 B8:V/HC A'8 C12:vi A8 | key=G meter=3/4 tempo=96")
    assert text.sections == (
        SectionText("A", 8),
        SectionText("B", 8, "V", "HC"),
        SectionText("A'", 8),
        SectionText("C", 12, "vi"),
        SectionText("A", 8),
    )
    assert (text.key, text.meter, text.tempo_qpm) == (Key.parse("G"), Meter(3, 4), 96.0)
    assert text.sections[1].key_in(Key.parse("G")) == Key.parse("D")
    assert text.sections[3].key_in(Key.parse("G")) == Key.parse("e")
    assert text.sections[0].key_in(Key.parse("G")) is None


def test_all_options_and_typographic_primes() -> None:
    text = parse_plan_text('A’4 B4:f#/- |key=eb bars=8 pickup=1/2 title="A \\"great\\" | one" style=x ensemble=satb')
    assert text.sections == (SectionText("A'", 4), SectionText("B", 4, "f#", NO_CADENCE))
    assert text.title == 'A "great" | one'
    assert (text.key, text.bars, text.pickup_div) == (Key.parse("eb"), 8, DIVS_PER_QUARTER // 2)
    assert (text.style, text.ensemble) == ("x", "satb")
    assert text.sections[1].key_in(Key.parse("C")) == Key.parse("f#")


def test_labels_alone_leave_all_open() -> None:
    assert parse_plan_text("A B' A") == PlanText((SectionText("A"), SectionText("B'"), SectionText("A")))


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("", "no section"),
        ("| key=G", "no section"),
        ("A8 b8 A8", "b8"),
        ("A8 B8:H A8", "B8:H"),
        ("A8 B8:iX", "B8:iX"),
        ("A8/PC", "A8/PC"),
        ("A0 B8", "A0"),
        ("A99999", "A99999"),
        ("A8 B8:V/HC/PAC", "B8:V/HC/PAC"),
        ("A8 | key=H", "key=H"),
        ("A8 | meter=3/5", "meter=3/5"),
        ("A8 | meter=34", "meter=34"),
        ("A8 | tempo=fast", "tempo=fast"),
        ("A8 | tempo=nan", "tempo=nan"),
        ("A8 | pickup=1/0", "pickup=1/0"),
        ("A8 | pickup=1/11", "pickup=1/11"),
        ("A8 | bars=-8", "bars=-8"),
        ("A8 | mood=glad", "'mood'"),
        ("A8 | key=G key=G", "'key'"),
        ("A8 | key", "'key'"),
        ('A8 | title="open', 'title="open'),
        ("A" * 30_000, "30000"),
    ],
)
def test_errors_name_the_token(text: str, token: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan_text(text)
    assert token in str(caught.value)
    assert "\n" not in str(caught.value)


def test_str_of_a_plan() -> None:
    home, away = Key.parse("G"), Key.parse("D")
    close, half, quiet = (Phrase(8, "a", "PAC"),), (Phrase(4, "a"), Phrase(4, "b", "HC")), (Phrase(4, "a"),)
    sections = (
        Section("A", 8, home, close),
        Section("B", 8, away, half),
        Section("C", 4, home, quiet),
        Section("A'", 8, home, close, source=0),
    )
    plan = Plan("", "free", "piano", home, Meter(3, 4), DIVS_PER_QUARTER, 96.5, sections)
    assert str(plan) == ("A8 B8:V/HC C4:I/- A'8 | key=G meter=3/4 tempo=96.5 style=free ensemble=piano pickup=1")


def test_a_spelling_that_no_numeral_gives_is_written_out() -> None:
    sections = (
        Section("A", 8, Key("C"), (Phrase(8, "a", "PAC"),)),
        Section("B", 8, Key("D#", True), (Phrase(8, "a", "PAC"),)),
    )
    plan = Plan("", "free", "piano", Key("C"), Meter(4, 4), 0, 100.0, sections)
    assert parse_plan_text(str(plan)).sections[1].key_in(plan.key) == Key("D#", True)


@settings(max_examples=25, deadline=None)
@given(plans())
def test_round_trip(plan: Plan) -> None:
    text = parse_plan_text(plan_text(plan))
    assert (text.key, text.meter, text.tempo_qpm) == (plan.key, plan.meter, plan.tempo_qpm)
    assert (text.style, text.ensemble) == (plan.style, plan.ensemble)
    assert (text.title or "") == plan.title
    assert (text.pickup_div or 0) == plan.pickup_div
    assert len(text.sections) == len(plan.sections)
    first = plan.sections[0].letter
    for typed, section in zip(text.sections, plan.sections, strict=True):
        assert (typed.label, typed.bars) == (section.label, section.bars)
        assert {None: "PAC", NO_CADENCE: None}.get(typed.cadence, typed.cadence) == section.cadence
        assert (typed.key_in(plan.key) or plan.key) == section.key
        assert typed.key is not None or section.letter == first


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"[A-C]'?[0-9]{0,3}(:[a-zIVX#]{0,3})?(/[A-Z]{0,3})?( \| \w+=\S*)?"))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(PlanError):
        assert parse_plan_text(text).sections
