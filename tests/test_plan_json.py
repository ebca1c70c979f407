from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.errors import PlanError
from music.plan import BarTexture, Plan
from music.plan_json import plan_from_json, plan_to_json, read_plan, write_plan
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from tests.plan_strategies import plans


@pytest.fixture(scope="module")
def plan() -> Plan:
    plan = GrammarPlanner().plan(PlanRequest(form="ternary"), seed=3)
    textures = tuple(BarTexture(2.5, 61.5 if i else None, 24, "eighth") for i in range(plan.sections[0].bars))
    return replace(plan, sections=(replace(plan.sections[0], textures=textures), *plan.sections[1:]))


def test_a_plan_without_textures_is_read(plan: Plan) -> None:
    data = plan_to_json(plan)
    del data["sections"][0]["textures"]
    assert plan_from_json(data).sections[0] == replace(plan.sections[0], textures=())


@settings(max_examples=15, deadline=None)
@given(plans())
def test_round_trip(plan: Plan) -> None:
    text = json.dumps(plan_to_json(plan))
    assert plan_from_json(json.loads(text)) == plan


def test_file_round_trip_and_same_bytes(plan: Plan, tmp_path: Path) -> None:
    write_plan(plan, tmp_path / "a.json")
    write_plan(plan, tmp_path / "b.json")
    assert read_plan(tmp_path / "a.json") == plan
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text()) == plan_to_json(plan)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json"]


@settings(max_examples=8, deadline=None)
@given(plan=plans())
def test_any_plan_survives_a_file(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    write_plan(plan, path)
    assert read_plan(path) == plan


def test_fields_are_those_of_the_manual(plan: Plan) -> None:
    data = plan_to_json(plan)
    assert data["meter"] == str(plan.meter)
    assert data["sections"][1]["key"] == str(plan.sections[1].key)
    assert {"label", "bars", "key", "cadence", "phrases", "chords", "theme", "source"} <= set(data["sections"][0])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("key",), ..., "no field 'key'"),
        (("sections",), ..., "no field 'sections'"),
        (("sections",), [], "no section"),
        (("sections",), {}, "'sections' is not a list"),
        (("sections", 0, "bars"), ..., "sections[0] has no field 'bars'"),
        (("sections", 0, "bars"), "8", "sections[0] field 'bars' is not a whole number"),
        (("sections", 0, "bars"), True, "whole number"),
        (("sections", 0, "bars"), 7, "phrases have"),
        (("sections", 0, "cadence"), "DC", "last phrase"),
        (("sections", 0, "phrases", 0, "idea"), "A", "phrases[0]"),
        (("sections", 0, "chords", 1, "root"), 12, "chords[1]"),
        (("sections", 0, "chords", 1, "quality"), "major", "chord quality"),
        (("sections", 1, "source"), 1, "returns"),
        (("sections", 0, "density"), 1e400, "'density' is not a number"),
        (("sections", 0, "densty"), 1.0, "did you mean 'density'"),
        (("sections", 0), 5, "is not an object but 5"),
        (("tempo_qpm",), float("nan"), "'tempo_qpm' is not a number"),
        (("tempo_qpm",), 5000, "tempo"),
        (("meter",), "3/5", "meter"),
        (("key",), "H", "key 'H'"),
        (("key",), None, "'key' is not a text"),
        (("title",), "\ud800", "'title'"),
        (("sections", 0, "textures"), {}, "'textures' is not a list"),
        (("sections", 0, "textures", 0, "rhythm"), "fast", "textures[0]"),
        (("sections", 0, "textures", 0, "span"), ..., "textures[0] has no field 'span'"),
        (("sections", 0, "textures", 0, "density"), -1, "textures[0]"),
        (("sections", 0, "textures", 0), ..., "textures for"),
        (("themes", 0, "notes", 0, "pitch"), 200, "notes[0]"),
        (("themes", 0, "notes"), [], "no notes"),
    ],
)
def test_what_is_wrong_is_named(plan: Plan, path: tuple, value: Any, message: str) -> None:
    data: Any = copy.deepcopy(plan_to_json(plan))
    place = data
    for name in path[:-1]:
        place = place[name]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(PlanError) as caught:
        plan_from_json(data, "my.json")
    assert message in str(caught.value)
    assert "my.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe\x00", b"null", b"[" * 100_000, b'{"tempo_qpm": ' + b"9" * 5000 + b"}", b'"plan"'],
)
def test_bad_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(PlanError, match=r"bad\.json"):
        read_plan(path)


def test_missing_file_and_folder(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"none\.json.*[Nn]o such file"):
        read_plan(tmp_path / "none.json")
    with pytest.raises(PlanError, match="directory"):
        read_plan(tmp_path)
    with pytest.raises(PlanError, match="cannot be written"):
        write_plan(plan, tmp_path / "no" / "plan.json")


def test_a_failed_write_leaves_the_old_file(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(PlanError, match="No space left"):
        write_plan(plan, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


@settings(max_examples=15, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x)
            | st.dictionaries(st.sampled_from(["key", "meter", "sections", "themes", "bars", "label", "x"]), x)
        ),
        max_leaves=8,
    )
)
def test_any_json_is_read_or_refused(data: Any) -> None:
    with pytest.raises(PlanError):
        plan_from_json(data)
