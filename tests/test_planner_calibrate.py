"""Factors beside the planner's networks: fitted to training plans, kept in the file, and never against a wish."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from music.analysis.marked_plan import MarkedPlan, Origin
from music.plan import Plan
from planner import form_columns as fc
from planner.calibrate import (
    CalibrationConfig,
    calibrate,
    counts_of_forms,
    counts_of_plans,
    pairs_of,
    stepped,
    wanted_shares,
)
from planner.chord_factors import KINDS, ChordFactors, WithChordFactors, chord_pairs
from planner.form_factors import LENGTHS, SIZES, SLOTS, FormFactors, WithFactors, length_class, no_factors, place_of
from planner.form_lengths import best_prior
from planner.form_walker import FormWalker
from planner.grammar import GrammarPlanner
from planner.harmony_stream import HarmonyScene, HarmonyWalker, scene_of
from planner.harmony_symbols import BASSES, SYMBOLS
from planner.interface import PlanRequest
from planner.sampling import LearnedPlanner

STYLE = "bach_chorale"
REQUEST = PlanRequest(style=STYLE, ensemble="satb")


@pytest.fixture(scope="module")
def planner() -> LearnedPlanner:
    found = LearnedPlanner()
    found.form_factors = found.chord_factors = None
    return found


def people(count: int = 8) -> list[MarkedPlan]:
    """Plans that are unlike any the network draws: two sections of 6 and 12 bars."""
    found = []
    for seed in range(count):
        plan = GrammarPlanner().plan(PlanRequest("A6 B12", style=STYLE), seed=seed)
        split = "train" if seed < count - 2 else "test"
        found.append(MarkedPlan(plan, frozenset(), Origin(id=f"p{seed}", work=f"w{seed}", split=split)))
    return found


class TestPlaces:
    def test_every_section_of_short_forms_has_its_own(self) -> None:
        short = [place_of(index, count) for count in (1, 2, 3) for index in range(count)]
        assert short == list(range(6))
        assert [place_of(index, 6) for index in range(6)] == [6, 7, 7, 7, 7, 8]
        assert 2 * max(place_of(3, 4), 8) + 1 < SLOTS

    def test_lengths(self) -> None:
        assert [length_class(bars) for bars in LENGTHS] == list(range(len(LENGTHS)))
        assert length_class(4) == length_class(1) == 0
        assert length_class(400) == len(LENGTHS) - 1

    def test_choices_of_a_plan_are_counted_once(self) -> None:
        plans = people(3)
        counts = counts_of_plans(plans)
        assert counts[fc.BARS].sum() == 6
        assert counts[fc.BARS][2 * place_of(0, 2), length_class(6)] == 3
        assert counts[fc.BARS][2 * place_of(1, 2), length_class(12)] == 3
        assert counts[fc.LABEL].sum() == counts[fc.LABEL][2 * place_of(1, 2), 0] == 3
        assert counts[fc.CADENCE].sum() == sum(len(s.phrases) for m in plans for s in m.plan.sections)
        untold = [replace(m, missing=frozenset({"cadences", "home"})) for m in plans]
        bare = counts_of_plans(untold)
        assert bare[fc.CADENCE].sum() == bare[fc.KEY].sum() == 0
        assert bare[fc.BARS].sum() == 6


class TestSteps:
    def test_few_plans_leave_the_networks_share_and_many_lead_it(self) -> None:
        ours = np.array([[90.0, 10.0, 0.0]])
        few, many = (wanted_shares(np.array([[0.0, n, n]]), ours, 10.0)[0] for n in (1.0, 1000.0))
        assert few[0] > 0.7
        assert many[1] > 0.98
        assert few[2] == many[2] == 0.0  # what is never drawn is not asked for
        assert not wanted_shares(np.zeros((1, 3)), ours, 10.0).any()

    def test_shares_are_reached(self) -> None:
        """Against a network whose choices are known: the drawn shares become the wanted ones."""
        rng, chances = np.random.default_rng(0), np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
        wanted, logs = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]), np.zeros((2, 3))
        for number in range(6):
            weighed = chances * np.exp(logs)
            ours = np.stack([rng.multinomial(4000, row / row.sum()) for row in weighed]).astype(float)
            logs = stepped(logs, wanted, ours, number)
        weighed = chances * np.exp(logs)
        assert weighed / weighed.sum(axis=1, keepdims=True) == pytest.approx(wanted, abs=0.03)


class TestFactors:
    def test_they_come_back_from_their_tables(self) -> None:
        logs = no_factors(3)
        logs[fc.BARS][2, 4, 3] = 0.5
        again = FormFactors.of_tables(FormFactors(logs).tables())
        assert again is not None
        walker = FormWalker(2, 1, sections_total=3)
        for value in (0, 0, 0, 0, 0, fc.NEW, 0):
            walker.push(value)
        assert again.at(walker, 2) is None  # another place
        logs[fc.BARS][2, 2 * place_of(0, 3), 1] = -0.5
        factors = FormFactors.of_tables(FormFactors(logs).tables())
        assert factors is not None
        row = factors.at(walker, 3)
        assert row is not None
        assert row[4] == pytest.approx(np.exp(-0.5), rel=1e-3)  # five bars
        assert row[3] == row[7] == 1.0
        pairs = np.zeros((KINDS, KINDS))
        pairs[63, 0], pairs[0, 63] = 1.0, -2.0
        chords = ChordFactors.of_tables(ChordFactors({4: pairs}).tables())
        assert chords is not None
        after = chords.at(4, 63 * BASSES + 1)
        assert after is not None
        assert after[:BASSES] == pytest.approx(np.e, rel=1e-3)
        assert (after[BASSES:] == 1.0).all()
        assert chords.at(3, 0) is chords.at(4, 5 * BASSES) is None
        assert FormFactors.of_tables({}) is ChordFactors.of_tables({}) is None

    def test_what_is_forbidden_stays_forbidden(self) -> None:
        class Two:
            def weights(self, walker: object) -> np.ndarray:
                return np.array([0.0, *[1.0] * fc.MAX_SECTION_STEP])

        logs = no_factors(1)
        logs[fc.BARS][0] = 3.0
        walker = FormWalker(0, 1)
        for value in (0, 0, 0, 0, 0, fc.NEW, 0):
            walker.push(value)
        found = WithFactors(Two(), FormFactors(logs), 1).weights(walker)
        assert found is not None
        assert found[0] == 0.0
        assert (found[1:] > 1.0).all()

    def test_the_first_chord_of_a_section_has_none(self) -> None:
        plan = people(1)[0].plan
        scene: HarmonyScene = scene_of(plan, 0, (STYLE,))
        pairs = np.full((KINDS, KINDS), 0.5)

        class Free:
            def weights(self, walker: HarmonyWalker) -> None:
                return None

        limits, walker = WithChordFactors(Free(), ChordFactors({1: pairs}), scene.style), HarmonyWalker(scene)
        assert limits.weights(walker) is None
        walker.push(0)
        assert limits.weights(walker) is None  # a duration
        walker.push(1)
        assert limits.weights(walker) == pytest.approx(np.full(SYMBOLS, np.exp(0.5)))


CONFIG = CalibrationConfig(
    rounds=3, sections=160, pairs=500, form_trust=0.5, cadence_trust=0.5, least=3, least_chorded=3
)


@pytest.fixture(scope="module")
def calibrated() -> tuple[LearnedPlanner, dict[str, np.ndarray]]:
    found = LearnedPlanner()
    return found, calibrate(found, people(), CONFIG, seed=0)


class TestCalibration:
    def test_plans_come_nearer_to_the_training_plans(
        self, planner: LearnedPlanner, calibrated: tuple[LearnedPlanner, dict[str, np.ndarray]]
    ) -> None:
        def far(of: LearnedPlanner) -> tuple[float, float]:
            counts = counts_of_forms([of.form(REQUEST, seed=s) for s in range(300)])
            first = counts[fc.BARS][2 * place_of(0, 2)]
            plans = [of.harmonised(REQUEST, seed=s) for s in range(12)]
            return first[length_class(6)] / first.sum(), distance(plans)

        theirs = pairs_of([m.plan for m in people()])

        def distance(plans: list[Plan]) -> float:
            ours = pairs_of(plans)
            return float(np.abs(ours / ours.sum() - theirs / theirs.sum()).sum())

        (before, away), (after, nearer) = far(planner), far(calibrated[0])
        assert before < 0.3 < 0.6 < after
        assert nearer < away

    def test_the_tables_are_those_that_are_at_work(
        self, calibrated: tuple[LearnedPlanner, dict[str, np.ndarray]]
    ) -> None:
        found, tables = calibrated
        assert all(name.startswith("factors.") for name in tables)
        bare = {name.removeprefix("factors."): value for name, value in tables.items()}
        again = LearnedPlanner()
        again.form_factors, again.chord_factors = FormFactors.of_tables(bare), ChordFactors.of_tables(bare)
        assert {again.form(REQUEST, seed=s) == found.form(REQUEST, seed=s) for s in range(5)} == {True}

    def test_wishes_are_kept(self, calibrated: tuple[LearnedPlanner, dict[str, np.ndarray]]) -> None:
        plan = calibrated[0].plan(PlanRequest("A8 B4:V/HC A8", style=STYLE), seed=3)
        assert [s.bars for s in plan.sections] == [8, 4, 8]
        assert plan.sections[1].cadence == "HC"

    def test_held_out_plans_and_few_plans_change_nothing(self) -> None:
        found = LearnedPlanner()
        held_out = [replace(m, origin=replace(m.origin, split="test")) for m in people()]
        tables = calibrate(found, held_out, CONFIG, seed=0)
        assert not any(tables[f"factors.{fc.FIELDS[field].name}"].any() for field in SIZES)
        assert len(tables["factors.pairs"]) == 0
        none = calibrate(found, people(), replace(CONFIG, rounds=0), seed=0)
        assert {name: value.any() for name, value in none.items()} == dict.fromkeys(none, False)


def test_how_much_other_styles_say_of_a_styles_number_of_sections() -> None:
    """Nothing to a style that keeps to one or two, something to one that is spread as all are, and to one of few."""
    everywhere = np.full(41, 1 / 41)
    narrow, spread = np.zeros(41), np.zeros(41)
    narrow[1:3] = 80
    spread[1:41] = 1
    assert best_prior(narrow, everywhere) == 1.0
    assert best_prior(spread, everywhere) == best_prior(narrow / 20, everywhere) == 7.5


def test_the_form_is_that_of_the_plan() -> None:
    found = LearnedPlanner()
    request = partial(PlanRequest, style="mozart_piano")
    form, plan = found.form(request(), seed=4), found.plan(request(), seed=4)
    assert [(s.label, s.bars, s.key) for s in form.sections] == [(s.label, s.bars, s.key) for s in plan.sections]
    chords = found.harmonised(request(), seed=4)
    assert [s.chords for s in chords.sections] == [s.chords for s in plan.sections]
    assert sum(chord_pairs(chords.sections[0]).values()) > 0
