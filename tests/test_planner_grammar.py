from __future__ import annotations

import time

import pytest

from music.pitch import ALL_KEYS, Key
from music.plan import ENSEMBLES
from music.time import Meter
from planner.bars import deal_bars, phrase_lengths
from planner.dice import Dice
from planner.forms import FORMS, letter_slots, weighted
from planner.grammar import GrammarPlanner
from planner.harmony import bar_parts
from planner.harmony_tables import in_mode, syntax
from planner.interface import PlanRequest
from planner.request import METERS
from planner.styles import STYLE_OF_ENSEMBLE, STYLES
from tests.contract_planner import PlannerContract, check_theme, closes_plainly, requests


class TestGrammarPlanner(PlannerContract):
    @pytest.fixture
    def planner(self) -> GrammarPlanner:
        return GrammarPlanner()

    def test_plainer_than_it_must(self, planner: GrammarPlanner) -> None:
        """Phrases end in the textbook's chords, and every section closes; varied returns have their model's harmony."""
        for seed, request in enumerate(requests()[:100]):
            plan = planner.plan(request, seed=seed)
            for theme in plan.themes:
                check_theme(theme, plan)
            for section in plan.sections:
                assert section.cadence is not None
                end = 0
                for phrase in section.phrases:
                    end += phrase.bars * plan.meter.bar_div
                    assert closes_plainly(section.chords, end, phrase.cadence, section.key), f"{plan}: {phrase}"
                model = plan.sections[section.source] if section.source is not None else section
                if (section.bars, section.key.minor, section.cadence) == (model.bars, model.key.minor, model.cadence):
                    shift = section.key.pc - model.key.pc
                    moved = [(c.onset_div, c.duration_div, (c.root + shift) % 12, c.quality) for c in model.chords]
                    assert [(c.onset_div, c.duration_div, c.root, c.quality) for c in section.chords] == moved

    def test_three_letters_three_moods(self, planner: GrammarPlanner) -> None:
        for seed in range(10):
            sections = planner.plan(PlanRequest("ABACA"), seed=seed).sections
            assert len({(s.density, s.register, s.texture, s.dynamic) for s in sections}) == 3


@pytest.mark.parametrize("meter", METERS, ids=str)
def test_every_meter(meter: Meter) -> None:
    for seed in range(3):
        plan = GrammarPlanner().plan(PlanRequest("ABA", meter=meter), seed=seed)
        assert plan.meter == meter
        for theme in plan.themes:
            check_theme(theme, plan)


@pytest.mark.parametrize("key", [Key.of_fifths(f, minor) for f in range(-7, 8) for minor in (False, True)], ids=str)
def test_every_signature(key: Key) -> None:
    assert GrammarPlanner().plan(PlanRequest("rondo", key), seed=0).sections[2].key == key


def test_same_piece_in_another_key() -> None:
    """Each question has its own chance: another key moves the piece, and changes nothing else."""
    low, high = (GrammarPlanner().plan(PlanRequest("ABA", Key.parse(k), Meter(3, 4)), seed=4) for k in ("C", "D"))
    for left, right in zip(low.sections, high.sections, strict=True):
        assert [c.figure for c in left.chords] == [c.figure for c in right.chords]
        assert (left.phrases, left.density, left.texture) == (right.phrases, right.density, right.texture)


def test_styles_and_ensembles() -> None:
    for style, preferences in STYLES.items():
        plan = GrammarPlanner().plan(PlanRequest(style=style), seed=1)
        assert (plan.style, plan.ensemble) == (style, preferences.ensemble)
    for ensemble in ENSEMBLES:
        plan = GrammarPlanner().plan(PlanRequest(ensemble=ensemble), seed=1)
        assert (plan.style, plan.ensemble) == (STYLE_OF_ENSEMBLE[ensemble], ensemble)
    assert GrammarPlanner().plan(PlanRequest(), seed=1).ensemble == "piano"


def test_forms_that_grow_follow_the_bars() -> None:
    counts = [len(GrammarPlanner().plan(PlanRequest("variations", bars=b), seed=0).sections) for b in (8, 32, 64)]
    assert counts == [2, 4, 8]
    assert GrammarPlanner().plan(PlanRequest("strophic", bars=128), seed=0).letters == "A" * 12
    assert GrammarPlanner().plan(PlanRequest("through_composed", bars=40), seed=0).letters == "ABCDE"


def test_sonata_is_a_sonata() -> None:
    for key in ALL_KEYS:
        plan = GrammarPlanner().plan(PlanRequest("sonata", key), seed=3)
        first, second, development, again, resolved = plan.sections
        assert plan.letters == "ABCAB"
        assert (first.key, again.key, resolved.key) == (key, key, key)
        assert second.key != key
        assert (development.theme, development.cadence) == ("A", "HC")
        assert (again.source, resolved.source) == (0, 1)


def test_a_plain_period_of_four_bars_in_two() -> None:
    """Shortest sections and shortest phrases work in a meter of two beats and in one of many."""
    for meter in ("2/4", "12/8", "7/8"):
        for seed in range(10):
            plan = GrammarPlanner().plan(PlanRequest("ABACABA", meter=Meter.parse(meter), bars=28), seed=seed)
            assert all(section.bars == 4 for section in plan.sections)


@pytest.mark.parametrize(
    ("total", "letters", "expected"),
    [
        (40, "ABACA", [8, 8, 8, 8, 8]),
        (44, "ABACA", [8, 8, 8, 12, 8]),
        (42, "ABACA", [8, 8, 8, 10, 8]),
        (43, "ABACA", [8, 8, 8, 10, 9]),
        (30, "ABA", [10, 10, 10]),
        (20, "ABACA", [4, 4, 4, 4, 4]),
        (9, "AB", [4, 5]),
    ],
)
def test_bars_are_dealt(total: int, letters: str, expected: list[int]) -> None:
    assert deal_bars(total, letters) == expected


def test_bars_add_up_and_too_few_are_refused() -> None:
    for letters in ("A", "AB", "ABA", "ABACABA", "AABBCCDD"):
        for total in range(4 * len(letters), 200):
            bars = deal_bars(total, letters)
            assert sum(bars) == total
            assert min(bars) >= 4
        with pytest.raises(ValueError):
            deal_bars(4 * len(letters) - 1, letters)


def test_phrases_fill_sections() -> None:
    rng = Dice(0).stream("test")
    for bars in (*range(4, 70), 400, 1024):
        lengths = phrase_lengths(bars, rng)
        assert sum(lengths) == bars
        assert set(lengths[:-1]) <= {2, 4, 8}
        assert lengths[-1] in (2, 3, 4, 5, 8, 9)


def test_tables_hold_together() -> None:
    for minor in (False, True):
        table = syntax(minor)
        assert (table.moves.sum(1) > 0).all()
        assert (table.moves.sum(0) > 0).all()
        for cadence, options in table.closes.items():
            assert all(name in table.chords for _, before, last in options for name in (*before.split(), last)), cadence
        other = syntax(not minor)
        for figure in table.figures:
            assert in_mode(figure, not minor) in {*other.figures, "IV64", "iv64", "V7/V"}


def test_bar_parts() -> None:
    for meter in METERS:
        for parts in (1, 2, 3, 4):
            lengths = bar_parts(meter, parts)
            assert sum(lengths) == meter.bar_div
            assert len(lengths) <= parts or parts >= meter.beats


def test_form_tables() -> None:
    for form in FORMS.values():
        assert form.slots[0].letter == "A"
        for slot in form.sized(None):
            for key in ALL_KEYS:
                names, weights = weighted((slot.minor if key.minor else slot.major) or "I")
                assert sum(weights) == pytest.approx(1)
                assert all(key.relative(name) for name in names)
    assert [slot.role for slot in letter_slots(("A", "B", "A'"))] == ["stable", "contrast", "variation"]


def test_fifty_plans_a_second() -> None:
    """Processor time without the run-time type checks' share is far less; with them a plan stays under a fifth."""
    planner = GrammarPlanner()
    planner.plan(PlanRequest("ABACA"), seed=0)
    start = time.process_time()
    for seed in range(10):
        planner.plan(PlanRequest("ABACA"), seed=seed)
    assert time.process_time() - start < 2.0
