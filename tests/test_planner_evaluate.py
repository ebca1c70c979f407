"""task=evaluate_planner: nats are shared out to what they belong to, and both sides are measured alike."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import planner.evaluate
from benchmarks.plans import markdown
from music.analysis.marked_plan import MarkedPlan, Origin
from music.errors import RequestError
from music.plan import Plan
from planner import form_columns
from planner.corpus import STREAMS, known_styles, walks_of
from planner.evaluate import (
    LEARNED_PROMISED,
    PEOPLE_PROMISED,
    UNITS,
    compare_plans,
    evaluate,
    free_plans,
    grammar_plans,
    held_out_styles,
    new_sections,
    per_unit,
    stream_nats,
    training_plans_compared,
)
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from planner.streams import Tokens

KINDS = {("bach_chorale", "satb"): 24, ("mozart_quartet", "quartet"): 22}


@pytest.fixture(scope="module")
def plans() -> list[MarkedPlan]:
    """A corpus that the grammar wrote: of each style half to train on, the rest held out."""
    return [
        MarkedPlan(plan, frozenset({"dynamics"}), Origin(id=str(i), split=("train", "test", "train", "valid")[i % 4]))
        for i, plan in enumerate(grammar_plans(KINDS, seed=100))
    ]


def test_nats_are_counted_by_the_unit_that_they_belong_to(plans: list[MarkedPlan]) -> None:
    styles = known_styles(plans)
    for unit in UNITS:
        walks = walks_of(unit.stream, plans, styles)
        ones = [np.ones(len(walk.tokens)) for walk in walks]
        found = per_unit(unit, walks, ones)
        for style, value in found.items():
            chosen = [m.plan for m in plans if m.plan.style == style]
            assert value == pytest.approx(_tokens_a_unit(unit.name, chosen, walks, style))


def _tokens_a_unit(name: str, plans: list[Plan], walks: list[Any], style: str) -> float:
    """How many tokens belong to a unit, counted from the plans."""
    sections = [section for plan in plans for section in plan.sections]
    if name == "section":  # a label, a prime, bars and a key; for each phrase three; an end for each plan
        return (4 * len(sections) + 3 * sum(len(s.phrases) for s in sections) + len(plans)) / len(sections)
    if name == "chord":
        return 2.0
    notes = sum(len(theme.notes) for plan in plans for theme in plan.themes)
    return sum(len(walk.tokens) for walk in walks if walk.style == style) / notes


def test_first_statements_leave_returns_out(plans: list[MarkedPlan]) -> None:
    form = UNITS[0]
    for walk, marked in zip(walks_of("form", plans, known_styles(plans)), plans, strict=True):
        taken = new_sections(walk.tokens)
        letters = {section.letter for section in marked.plan.sections}
        assert int((taken & (walk.tokens.fields == form_columns.PRIME)).sum()) == len(letters)
        row = np.where(taken, 1.0, 1000.0)
        assert per_unit(form, [walk], [row], first=True)[walk.style] < 100
    harmony = walks_of("harmony", plans, known_styles(plans))
    rows = [np.full(len(walk.tokens), 1.0 if walk.first else 7.0) for walk in harmony]
    assert set(per_unit(UNITS[1], harmony, rows, first=True).values()) == {2.0}
    assert max(per_unit(UNITS[1], harmony, rows).values()) > 2.0


def test_plans_that_do_not_tell_all_of_a_section_are_left_out(plans: list[MarkedPlan]) -> None:
    silent = replace(plans[0], annotated=frozenset(), missing=frozenset({"phrases"}))
    quiet = replace(plans[0], annotated=frozenset(), missing=frozenset({"tempo", "dynamics"}))
    for marked, count in ((silent, 0), (quiet, 1)):
        walks = walks_of("form", [marked], known_styles(plans))
        assert len(per_unit(UNITS[0], walks, [np.ones(len(walks[0].tokens))])) == count


def test_styles_with_few_held_out_plans_do_not_count(plans: list[MarkedPlan]) -> None:
    assert held_out_styles(plans, "test") == ("bach_chorale", "mozart_quartet")
    rare = [*plans, *(replace(m, plan=replace(m.plan, style="rare")) for m in plans[1:6:4])]
    assert held_out_styles(rare, "test") == ("bach_chorale", "mozart_quartet")


def test_a_network_stands_beside_both_baselines(plans: list[MarkedPlan]) -> None:
    drawn = [replace(m, origin=Origin(split="train")) for m in plans]

    def network(stream: str, walks: list[Tokens]) -> list[np.ndarray]:
        return [np.full(len(walk), 0.5) for walk in walks]

    for unit in UNITS:
        found = stream_nats(unit, plans, drawn, known_styles(plans), "test", network)
        assert set(found["styles"]) == {"bach_chorale", "mozart_quartet"}
        for model in ("network", "markov", "grammar"):
            assert found[model] == pytest.approx(np.mean([row[model] for row in found["styles"].values()]))
        assert found["below"] == pytest.approx(1 - found["network"] / min(found["markov"], found["grammar"]))
        walks = [w for w in walks_of(unit.stream, plans, known_styles(plans)) if w.split == "test"]
        uniform = [np.log([STREAMS[unit.stream].fields[f].size for f in w.tokens.fields]) for w in walks]
        assert found["markov"] < np.mean(list(per_unit(unit, walks, uniform).values()))
    assert ("first" in stream_nats(UNITS[2], plans, drawn, known_styles(plans), "test", None)) is False
    with pytest.raises(RequestError, match="no plans with a chord"):
        stream_nats(UNITS[1], plans, drawn, known_styles(plans), "none", None)


def test_plans_are_drawn_by_style_and_ensemble() -> None:
    found = grammar_plans({("bach_chorale", "satb"): 2, ("albeniz_piano", "piano"): 1}, seed=3)
    assert [(p.style, p.ensemble) for p in found] == [("albeniz_piano", "piano")] + [("bach_chorale", "satb")] * 2
    assert found == grammar_plans({("bach_chorale", "satb"): 2, ("albeniz_piano", "piano"): 1}, seed=3)
    assert found[1] != found[2]


def test_people_are_compared_with_each_planner(plans: list[MarkedPlan]) -> None:
    more = [m for m in plans if m.plan.style == "bach_chorale"]
    ours = free_plans(GrammarPlanner(), {("bach_chorale", "satb"): 30}, seed=0)
    found = compare_plans(more, {"grammar": ours}, seed=0, draws=20)
    row = found["grammar"]["bach_chorale"]["key relations"]
    assert row["low"] <= row["ratio"] <= row["high"]
    assert row["ratio"] < 2


def test_training_plans_are_no_further_than_people_are(plans: list[MarkedPlan]) -> None:
    held_out, training = plans[1::2], plans[::2]
    found = training_plans_compared(held_out, training[:-8], seed=0, draws=20)
    assert found["bach_chorale"]["chord bigrams"]["ratio"] < 1.4
    assert found["bach_chorale"]["section bars"]["plans"] == 6
    assert "mozart_quartet" not in found  # three training plans are left


class Ready:
    """Stands in for planners, whose weights a test does not have and whose drawing takes time: plans that are ready."""

    styles = tuple(style for style, _ in KINDS)
    plans: tuple[Plan, ...] = ()

    def __init__(self, weights: Path | None = None) -> None:
        pass

    def plan(self, request: PlanRequest, *, seed: int) -> Plan:
        own = [plan for plan in self.plans if plan.style == request.style]
        return own[seed % len(own)]


def test_the_task_and_its_tables(plans: list[MarkedPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ready, "plans", tuple(m.plan for m in plans))
    monkeypatch.setattr(planner.evaluate, "GrammarPlanner", Ready)
    twice = [replace(m, missing=frozenset({"themes"})) for m in plans]  # a second reading of each piece
    untimed = [replace(m, missing=frozenset({"tempo"})) for m in plans]
    monkeypatch.setattr(planner.evaluate, "load_plans", lambda data, cache_dir: ([*untimed, *twice], ""))
    monkeypatch.setitem(sys.modules, "planner.sampling", SimpleNamespace(LearnedPlanner=Ready, SHIPPED=Path()))
    known = {"token_nats": lambda path, stream, walks: [np.ones(len(walk)) for walk in walks]}
    monkeypatch.setitem(sys.modules, "planner.likelihood", SimpleNamespace(**known))
    task = {
        "split": "test",
        "people": ["train", "test"],
        "plans": 5,
        "grammar_plans": 20,
        "draws": 5,
        "progress": False,
    }
    figures = evaluate({"data": {}, "task": task, "seed": 0, "cache_dir": str(tmp_path), "weights": None})
    assert figures["nats"]["chord"]["network"] == pytest.approx(2.0)
    assert set(figures["divergence"]) == {
        "learned",
        "grammar",
        "people's training",
        PEOPLE_PROMISED,
        LEARNED_PROMISED,
    }
    assert figures["divergence"]["learned"] == figures["divergence"]["grammar"]
    assert set(figures["plans"]) == {"learned", "grammar", "people"}
    assert figures["plans"]["people"]["at_home"] == 1.0
    assert figures["plans"]["people"]["plans"] == sum(m.origin.split in ("train", "test") for m in plans)
    text = markdown(json.loads(json.dumps(figures)))
    assert "| chord, first statements | 2.00 |" in text
    assert "| bach_chorale | 9 |" in text
    assert "Learned plans: Jensen-Shannon divergence from half of people's held-out plans made to keep both" in text
    assert "People's own (made to keep both promises) plans: " in text
