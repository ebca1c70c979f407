"""The requests of task=evaluate: what they cover, and that a wish that is not kept is seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.system_requests import Request, read_requests, wishes
from music.errors import FileError
from music.pitch import ALL_KEYS, Key
from music.plan import ENSEMBLES, Plan
from planner.forms import FORMS
from planner.grammar import GrammarPlanner
from planner.plan_file import make_plan
from planner.request import parse_request
from planner.styles import STYLES


def test_forty_requests_cover_what_may_be_asked() -> None:
    asked = read_requests()
    words = [request.words for request in asked]
    assert len(asked) == 40
    assert len({request.seed for request in asked}) == 40
    assert set(FORMS) <= {w.get("form") for w in words}
    assert set(STYLES) == {w["style"] for w in words if "style" in w}
    played = {STYLES[w["style"]].ensemble for w in words if "style" in w}
    assert played == set(ENSEMBLES)
    homes = {Key.parse(w["key"]) for w in words if "key" in w}
    typed = {text.split("key=")[1].split()[0] for w in words if "key=" in (text := str(w.get("form")))}
    assert {(k.pc, k.minor) for k in homes | {Key.parse(k) for k in typed}} == {(k.pc, k.minor) for k in ALL_KEYS}
    assert len({w["meter"] for w in words if "meter" in w}) >= 10
    for name in ("section_bars", "keys", "cadences", "dynamics", "chords", "variation", "tempo"):
        assert any(name in w for w in words), name
    for request in asked:
        parse_request(**{name: value for name, value in request.words.items() if name != "variation"})


def _plan(**words: object) -> tuple[Request, Plan]:
    request = Request("r", 3, words, ("A", "B", "A"))
    return request, make_plan(GrammarPlanner(), words, seed=3)


def test_a_plan_that_keeps_its_wishes_keeps_all_of_them() -> None:
    request, plan = _plan(form="A8 B8:V/HC A8 | tempo=84", key="Bb", meter="3/4", style="haydn_quartet", variation=0.5)
    found = list(wishes(request, plan))
    assert all(kept for _, kept in found)
    kinds = [kind for kind, _ in found]
    assert kinds.count("section bars") == 3
    assert kinds.count("section key") == kinds.count("section cadence") == 1
    assert {"form", "key", "meter", "tempo", "style", "variation"} <= set(kinds)


def test_each_wish_that_is_not_kept_is_seen() -> None:
    request, plan = _plan(form="A8 B8:V/HC A8", key="Bb", meter="3/4", bars=24, style="haydn_quartet", tempo=84)
    key = Key.parse("D")
    broken = {
        "key": replace(plan, key=Key.parse("C")),
        "style": replace(plan, style="mozart_quartet"),
        "tempo": replace(plan, tempo_qpm=90.0),
        "form": replace(plan, sections=(*plan.sections[:2], replace(plan.sections[2], label="A'"))),
        "section key": replace(plan, sections=(plan.sections[0], replace(plan.sections[1], key=key), plan.sections[2])),
    }
    for kind, other in broken.items():
        assert kind in {name for name, kept in wishes(request, other) if not kept}, kind


def test_wishes_for_single_sections_are_looked_up() -> None:
    _, plan = _plan(form="A8 B8:V/HC A8", key="C", meter="4/4")
    good = {"section_bars": "A:8 B:8", "keys": "B:V", "cadences": "B:HC A:PAC"}
    bad = {"section_bars": "A:8 B:9", "keys": "B:vi", "cadences": "B:PAC A:-"}
    assert all(kept for _, kept in wishes(Request("r", 0, good), plan))
    found = list(wishes(Request("r", 0, bad), plan))
    assert [kind for kind, kept in found if kept] == ["section_bars", "section_bars"]  # both A
    assert len(found) == 7
    first = plan.sections[0].chords[0]
    name = first.figure
    whole = all(c.onset_div >= plan.meter.bar_div for c in plan.sections[0].chords[1:])
    assert ("chords", whole) in set(wishes(Request("r", 0, {"chords": f"B: . | A: {name}"}), plan))
    assert ("chords", False) in set(wishes(Request("r", 0, {"chords": "A: bII6"}), plan))


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"name": "a"}]', '[{"name":"a","seed":1,"words":3}]'])
def test_a_file_that_is_no_list_of_requests_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "asked.json"
    path.write_text(text)
    with pytest.raises(FileError, match=r"asked\.json"):
        read_requests(path)


def test_two_requests_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "asked.json"
    path.write_text(json.dumps([{"name": "a", "seed": 1, "words": {}}] * 2))
    with pytest.raises(FileError, match="one name"):
        read_requests(path)
