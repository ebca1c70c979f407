from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from music.errors import PlanError, RequestError
from music.pitch import Key
from music.plan import MAX_BARS, BarTexture, Chord, Phrase, PlanNote, Theme
from music.plan_json import plan_to_json
from music.plan_text import NO_CADENCE
from music.time import DIVS_PER_QUARTER, Meter
from planner import form_columns as fc
from planner.form_ahead import FormLimits, uniform_tables
from planner.form_walker import FormWalker
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from planner.read_wishes import read
from planner.request import parse_request
from planner.wishes_file import FIELDS, SECTION_FIELDS, parse_figures, read_wishes_file, wishes_from_json

Q = DIVS_PER_QUARTER


def saved(folder: Path, data: Any) -> Path:
    path = folder / "wishes.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_what_stands_in_a_file_is_asked_for(tmp_path: Path) -> None:
    section = {
        "label": "A",
        "key": "V",
        "cadence": "-",
        "dynamic": "mf",
        "density": 2,
        "register": 61.5,
        "texture": "free",
        "theme": "B",
        "variation": 0,
        "tempo_scale": 0.9,
        "chords": "I . (ii6 V7)",
    }
    note = {"onset_div": 0, "duration_div": Q, "pitch": 60}
    found = read_wishes_file(
        saved(
            tmp_path,
            {
                "key": "g",
                "meter": "6/8",
                "tempo_qpm": 90,
                "pickup_div": Q // 2,
                "sections": [section, None, {"bars": 6}],
                "themes": [{"label": "B", "bars": 1, "key": "G", "notes": [note]}],
            },
        )
    )
    assert (found.key, found.meter, found.tempo_qpm, found.pickup_div) == (Key("G", True), Meter(6, 8), 90.0, Q // 2)
    assert found.count == 3
    assert found.themes == (Theme("B", 1, Key("G"), (PlanNote(0, Q, 60),)),)
    values = {(part.where, part.name): part.value for part in found.parts}
    assert values == {(0, name): value for name, value in section.items() if name not in ("chords", "cadence")} | {
        (0, "cadence"): NO_CADENCE,
        (0, "figures"): (("I",), (), ("ii6", "V7")),
        (2, "bars"): 6,
    }


def test_nulls_and_absent_fields_ask_for_nothing() -> None:
    data: dict[str, Any] = dict.fromkeys(FIELDS) | {"sections": [dict.fromkeys(SECTION_FIELDS)]}
    found = wishes_from_json(data)
    assert found.count == 1
    assert found.parts == ()
    assert wishes_from_json({}) == wishes_from_json(dict.fromkeys(FIELDS))


def test_lists_stand_whole() -> None:
    section = {
        "phrases": [{"bars": 2, "idea": "a", "cadence": None}, {"bars": 2, "idea": "a'", "cadence": "IAC"}],
        "chords": [{"onset_div": 4 * Q, "duration_div": 4 * Q, "root": 7, "quality": "7", "bass": 11}],
        "textures": [{"density": 1, "register": None, "span": 12, "rhythm": "long"}] * 4,
    }
    values = {part.name: part.value for part in wishes_from_json({"sections": [section]}).parts}
    assert values == {
        "phrases": (Phrase(2, "a"), Phrase(2, "a'", "IAC")),
        "chords": (Chord(4 * Q, 4 * Q, 7, "7", 11),),
        "textures": (BarTexture(1.0, None, 12, "long"),) * 4,
    }


def test_a_whole_plan_is_a_file_of_wishes(tmp_path: Path) -> None:
    """What a planner wrote can be asked for again: every field of it is one that may be wished."""
    plan = GrammarPlanner().plan(PlanRequest("rondo", Key("D"), Meter(3, 4), 44), seed=3)
    path = saved(tmp_path, plan_to_json(plan))
    wishes = read(parse_request(wishes=path))
    assert (wishes.key, wishes.meters, wishes.title) == (Key("D"), frozenset((Meter(3, 4),)), plan.title)
    assert {theme.label for theme in wishes.themes} == {"A", "B", "C"}
    assert wishes.sections is not None
    for wish, section in zip(wishes.sections(plan.key), plan.sections, strict=True):
        assert (wish.label, wish.bars, wish.keys) == (section.label, section.bars, frozenset((section.key,)))
        assert (wish.phrases, wish.chords, wish.textures) == (section.phrases, section.chords, section.textures)
        assert (wish.density, wish.dynamic, wish.texture) == (section.density, section.dynamic, section.texture)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{", ("not a JSON file",)),
        ("[" * 100_000, ("nested too deeply",)),
        ("[]", ("not an object",)),
        ('"x"', ("not an object",)),
        ({"kei": "G"}, ("'kei'", "did you mean 'key'?")),
        ({"key": 3}, ("'key'", "a text")),
        ({"key": "H"}, ("'key'", "'H'")),
        ({"meter": "3"}, ("'meter'", "3/4")),
        ({"tempo_qpm": 4000}, ("'tempo_qpm'", "4000", "400")),
        ({"tempo_qpm": "fast"}, ("'tempo_qpm'", "a number")),
        ({"tempo_qpm": True}, ("'tempo_qpm'", "a number")),
        ({"pickup_div": -1}, ("'pickup_div'", "-1")),
        ({"ensemble": "band"}, ("'ensemble'", "quartet")),
        ({"sections": {}}, ("'sections'",)),
        ({"sections": []}, ("'sections'",)),
        ({"sections": [3]}, ("sections[0]", "not an object")),
        ({"sections": [{}, {"bars": 1.5}]}, ("sections[1]", "'bars'", "whole number")),
        ({"sections": [{"bars": 0}]}, ("sections[0]", "'bars'", "0")),
        ({"sections": [{"label": "a"}]}, ("sections[0]", "'label'", "'a'")),
        ({"sections": [{"key": "X"}]}, ("sections[0]", "'key'", "'X'")),
        ({"sections": [{"cadence": "PAQ"}]}, ("sections[0]", "PAQ", "IAC")),
        ({"sections": [{"dynamic": "loud"}]}, ("'dynamic'", "mf")),
        ({"sections": [{"texture": "thick"}]}, ("'texture'", "alberti")),
        ({"sections": [{"density": 0}]}, ("'density'", "0")),
        ({"sections": [{"density": 999}]}, ("sections[0]", "'density'", "999", "64")),
        (
            {"sections": [{"textures": [{"density": 999, "register": None, "span": 3, "rhythm": "long"}] * 4}]},
            ("sections[0]", "'textures'", "999"),
        ),
        ({"sections": [{"chords": "I Q"}]}, ("'chords'", "'Q'")),
        ({"sections": [{"chords": [{"onset_div": 0}]}]}, ("chords[0]", "'duration_div'")),
        ({"sections": [{"phrases": [{"bars": 4}]}]}, ("phrases[0]", "'idea'")),
        ({"themes": [{"label": "A"}]}, ("themes[0]", "'bars'")),
    ],
)
def test_what_is_no_wish_is_one_line_that_names_the_file(tmp_path: Path, data: Any, words: tuple[str, ...]) -> None:
    path = saved(tmp_path, data)
    with pytest.raises(PlanError) as caught:
        parse_request(wishes=str(path))
    message = str(caught.value)
    assert "\n" not in message
    for word in ("wishes.json", *words):
        assert word in message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"none\.json: No such file"):
        parse_request(wishes=tmp_path / "none.json")
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(PlanError, match=r"bad\.json: not a JSON file"):
        read_wishes_file(tmp_path / "bad.json")


def test_a_file_against_the_command_line(tmp_path: Path) -> None:
    path = saved(tmp_path, {"key": "G", "meter": "3/4", "style": "haydn_quartet"})
    request = parse_request(wishes=path, key="G", tempo=90)
    assert (request.key, request.meter, request.tempo_qpm, request.style) == (
        Key("G"),
        Meter(3, 4),
        90.0,
        "haydn_quartet",
    )
    with pytest.raises(RequestError, match=r"key=D contradicts wishes=.*wishes\.json, which says G"):
        parse_request(wishes=path, key="D")
    with pytest.raises(RequestError, match=r"wishes\.json: style 'bebop'.*bach_chorale"):
        parse_request(wishes=saved(tmp_path, {"style": "bebop"}))
    with pytest.raises(RequestError, match=r"wishes\.json: meter 7/16"):
        parse_request(wishes=saved(tmp_path, {"meter": "7/16"}))


@pytest.mark.parametrize(
    ("sections", "themes", "words"),
    [
        ([{"label": "A", "theme": "Z"}, {"label": "B"}], "", ("sections[0] theme=Z", "A B")),
        ([{"label": "A"}, {"label": "A", "theme": "B"}], "", ("sections[1] theme=B",)),
        ([{"label": "A"}, {"theme": "B"}], "", ("sections[1] theme=B",)),
        ([{"label": "A"}], "B", ("letter B", "form A ")),
        ([None, None], "ABC", ("letter C", "form AB ")),
        ([{"label": "A", "variation": 0.5}], "", ("sections[0] variation=0.5", "section A")),
        ([{"label": "A"}, {"variation": 0.5}], "", ("sections[1] variation=0.5", "label")),
        ([{"variation": 0.5}], "", ("sections[0] variation=0.5", "section 1")),
        (
            [{"label": "A", "chords": "V I V IV", "bars": 4, "cadence": "PAC"}],
            "",
            ("sections[0] chords contradicts", "PAC"),
        ),
        ([{"label": "A", "bars": 8}] * 130, "", ("sections[0] bars=8", "1040 bars", "1024")),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, sections: Any, themes: str, words: tuple[str, ...]) -> None:
    note = {"onset_div": 0, "duration_div": Q, "pitch": 60}
    tunes = [{"label": label, "bars": 1, "key": "G", "notes": [note]} for label in themes]
    with pytest.raises(RequestError) as caught:
        read(parse_request(wishes=saved(tmp_path, {"sections": sections, "themes": tunes, "meter": "4/4"})))
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "themes", "expected"),
    [
        ("?", "B", "B"),
        ("?", "A", "A"),
        ("???", "B", "?B?"),
        ("??", "BA", "AB"),
        ("A??", "C", "AC?"),
        ("A?B", "A", "A?B"),
    ],
)
def test_given_themes_take_open_sections(tmp_path: Path, labels: str, themes: str, expected: str) -> None:
    note = {"onset_div": 0, "duration_div": Q, "pitch": 60}
    sections = [None if label == "?" else {"label": label} for label in labels]
    tunes = [{"label": label, "bars": 1, "key": "G", "notes": [note]} for label in themes]
    data = {"sections": sections, "themes": tunes, "meter": "4/4"}
    wishes = read(parse_request(wishes=saved(tmp_path, data)))
    assert wishes.sections is not None
    found = wishes.sections(Key("G"))
    assert "".join(wish.label or "?" for wish in found) == expected
    assert {wish.theme for wish in found} >= set(themes)


def test_a_form_may_have_as_many_sections_as_their_least_bars_allow(tmp_path: Path) -> None:
    wishes = read(parse_request(wishes=saved(tmp_path, {"sections": [{"label": "A"}] * 130})))
    limits = FormLimits(wishes, uniform_tables())
    walker = FormWalker(0, 1, sections_total=limits.sections_total)
    rng = np.random.default_rng(0)
    while walker.field is not None:
        weights = limits.weights(walker)
        shares = np.ones(fc.FIELDS[walker.field].size) if weights is None else weights
        walker.push(int(rng.choice(len(shares), p=shares / shares.sum())))
    assert len(walker.sections) == 130
    assert walker.bars <= MAX_BARS


def test_chords_as_text() -> None:
    assert parse_figures(" I  IV (ii65 V7/V V) . i ") == (("I",), ("IV",), ("ii65", "V7/V", "V"), (), ("i",))
    for text in ("", ".", "(I", "I)", "()", "(I (V) I)", "H", "I|V", "(. I)"):
        with pytest.raises(ValueError, match=r"\S"):
            parse_figures(text)


@given(st.text(alphabet="IViv76542./()# bo", max_size=20))
def test_any_text_is_chords_or_a_value_error(text: str) -> None:
    try:
        bars = parse_figures(text)
    except ValueError:
        return
    assert any(bars)
    again = " ".join("." if not names else f"({' '.join(names)})" for names in bars)
    assert parse_figures(again) == bars
