"""Textures of planned bars: means kept, ideas and returns alike, closes calm, themes held; and their tables."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.texture_tables import divergence, histograms
from benchmarks.texture_tables import main as make_tables
from music.analysis.marked_plan import MarkedPlan, Origin
from music.plan import ENSEMBLES, RHYTHMS, BarTexture, Phrase, Plan, PlanNote
from music.plan_json import plan_from_json, plan_to_json
from music.time import DIVS_PER_QUARTER, Meter
from planner.dice import Dice
from planner.forms import FORMS
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from planner.texture_model import (
    PLACES,
    SOUNDING,
    TABLES,
    build_tables,
    chains,
    meter_class,
    pack_tables,
    places,
    read_tables,
    usual,
)
from planner.textures import fit_counts, with_textures

Q = DIVS_PER_QUARTER


@cache
def plans() -> tuple[Plan, ...]:
    """Plans of all forms, ensembles and kinds of meter."""
    meters = [Meter.parse(m) for m in ("4/4", "3/4", "6/8", "2/4")]
    requests = [PlanRequest(form, meter=meters[i % 4], ensemble=ENSEMBLES[i % 3]) for i, form in enumerate(FORMS)]
    return tuple(GrammarPlanner().plan(request, seed=seed) for seed, request in enumerate(requests))


def test_every_bar_has_a_texture_and_sections_keep_their_means() -> None:
    for plan in plans():
        for section in plan.sections:
            assert len(section.textures) == section.bars
            assert section.density is not None
            assert section.register is not None
            densities = np.array([t.density for t in section.textures])
            assert densities.min() > 0
            assert densities.mean() == pytest.approx(section.density, rel=0.1)
            heights = np.array([t.register for t in section.textures], dtype=float)
            assert np.average(heights, weights=densities) == pytest.approx(section.register, abs=1)
            assert {t.rhythm for t in section.textures} <= set(SOUNDING)


def test_bars_hold_whole_notes() -> None:
    quarters = [(p.meter.bar_div / Q, t.density) for p in plans() for s in p.sections for t in s.textures]
    whole = [abs(q * d - round(q * d)) < 0.05 for q, d in quarters]
    assert np.mean(whole) > 0.98


def test_bars_of_a_plan_differ() -> None:
    bars = [len({(t.density, t.span) for s in p.sections for t in s.textures}) for p in plans() if p.bars >= 24]
    assert min(bars) >= 5
    assert np.median(bars) >= 12


def test_exact_returns_repeat_their_bars_and_varied_ones_differ() -> None:
    varied = []
    for plan in plans():
        for section in plan.sections:
            if section.source is None:
                continue
            model = plan.sections[section.source]
            alike = section.textures == model.textures
            if section.variation == 0 and (section.bars, section.cadence) == (model.bars, model.cadence):
                assert alike
            elif section.variation:
                varied.append(alike)
    assert np.mean(varied) < 0.3


def test_a_longer_return_repeats_its_model() -> None:
    plan = GrammarPlanner().plan(PlanRequest("A8 B8 A12"), seed=3)
    first, _, again = plan.sections
    for number in range(8, 11):
        assert again.textures[number].rhythm == again.textures[number - 8].rhythm
        assert again.textures[number].span == first.textures[number - 8].span


def test_phrases_of_one_idea_share_their_bars() -> None:
    checked = 0
    for plan in plans():
        for section in (s for s in plan.sections if s.source is None and s.bars >= 12):
            at = 0
            seen: dict[str, tuple[int, int]] = {}
            for phrase in section.phrases:
                start, length = seen.setdefault(phrase.idea[0], (at, phrase.bars))
                theme = plan.theme_of(section.theme) if section.theme else None
                for number in range(min(phrase.bars, length) - 1):
                    if at > start and at + number >= (theme.bars if theme else 0):
                        left, right = section.textures[start + number], section.textures[at + number]
                        assert (left.density, left.span, left.rhythm) == (right.density, right.span, right.rhythm)
                        checked += 1
                at += phrase.bars
    assert checked > 8


def test_a_piece_ends_calmly() -> None:
    """The last bar of a piece mostly has fewer notes than the others of its section."""
    shares = []
    for seed in range(40):
        section = GrammarPlanner().plan(PlanRequest("A12", ensemble=ENSEMBLES[seed % 3]), seed=seed).sections[0]
        shares.append(section.textures[-1].density / np.mean([t.density for t in section.textures]))
    assert np.median(shares) < 0.9
    assert np.mean(np.array(shares) < 1) > 0.6


def test_chorales_are_written_as_chorales() -> None:
    bars = [
        t
        for seed in range(20)
        for s in GrammarPlanner().plan(PlanRequest(style="bach_chorale"), seed=seed).sections
        for t in s.textures
    ]
    assert 22 <= np.median([t.span for t in bars]) <= 30
    assert np.mean([t.rhythm in ("quarter", "eighth") for t in bars]) > 0.7
    assert np.mean([t.rhythm in ("sixteenth", "triplet") for t in bars]) < 0.1


def test_no_rhythm_slower_than_the_theme() -> None:
    plan = GrammarPlanner().plan(PlanRequest("ABA", meter=Meter(4, 4), ensemble="quartet"), seed=2)
    theme = plan.themes[0]
    fast = replace(theme, notes=tuple(PlanNote(i * Q // 4, Q // 4, 72) for i in range(16 * theme.bars)))
    told = with_textures(replace(plan, themes=(fast, *plan.themes[1:])), Dice(2))
    bars = told.sections[0].textures[: theme.bars]
    assert {t.rhythm for t in bars} == {"sixteenth"}
    # The melody of a whole piece counts alike.
    line = [PlanNote(i * Q // 2, Q // 2, 72) for i in range(plan.bars * 8)]
    told = with_textures(plan, Dice(2), line=line)
    assert {t.rhythm for s in told.sections for t in s.textures} <= {"eighth", "sixteenth", "mixed"}


def test_textures_change_no_other_draw_and_come_back_from_their_seed() -> None:
    for seed, plan in enumerate(plans()[:6]):
        bare = replace(plan, sections=tuple(replace(s, textures=()) for s in plan.sections))
        assert with_textures(bare, Dice(5)) == with_textures(plan, Dice(5))
        other = with_textures(bare, Dice(seed + 1000))
        assert [s.textures for s in other.sections] != [s.textures for s in plan.sections]
        assert replace(other, sections=bare.sections) == bare


def test_a_section_without_density_is_left_open() -> None:
    plan = plans()[0]
    plan = replace(plan, sections=(replace(plan.sections[0], density=None), *plan.sections[1:]))
    told = with_textures(plan, Dice(0))
    assert told.sections[0].textures == ()
    assert all(len(s.textures) == s.bars for s in told.sections[1:])


def test_places() -> None:
    phrases = (Phrase(2, "a"), Phrase(3, "a'", "HC"), Phrase(1, "b", "PAC"))
    assert places(phrases, False) == ["first", "open", "first", "inner", "cadence", "close"]
    assert places(phrases, True)[-1] == "end"
    assert set(places(phrases, True)) < set(PLACES)
    assert [meter_class(Meter.parse(m)) for m in ("4/4", "2/2", "3/4", "3/8", "6/8")][:3] == [0, 0, 1]


def test_counts_fit() -> None:
    rng = np.random.default_rng(0)
    for bars in (4, 5, 8, 16, 33):
        for _ in range(40):
            wanted = rng.uniform(0.5, 40, bars)
            twins = np.minimum(np.arange(bars), rng.integers(0, bars, bars))
            twins = np.array([twins[t] if twins[twins[t]] == twins[t] else i for i, t in enumerate(twins)])
            wanted = wanted[twins]
            total = float(wanted.sum() * rng.uniform(0.7, 1.4))
            counts = fit_counts(wanted, total, np.ones(bars), twins)
            assert counts.sum() == pytest.approx(total, rel=0.09)
            assert (counts == counts[twins]).all()
            assert counts.min() > 0


def test_tables_are_distributions_for_every_style() -> None:
    assert TABLES.stat().st_size < 200_000
    names = [name.removesuffix(" usual").split() for name in read_tables() if name.endswith(" usual")]
    assert {name[0] for name in names} == set(ENSEMBLES)
    assert {"bach_chorale", "haydn_quartet", "mozart_quartet", "chopin_piano"} <= {name[-1] for name in names}
    for ensemble, *style in names:
        tables = chains(ensemble, "".join(style))
        for table in (tables.rhythm, tables.density, tables.span, tables.register):
            assert table.min() > 0
            assert table.sum(axis=-1) == pytest.approx(1)
        low, middle, high = tables.usual.densities
        assert 1 < low < middle < high < 15
    # A style that is not played by an ensemble takes the ensemble's.
    assert usual("piano", "haydn_quartet") == usual("piano", "") != usual("quartet", "haydn_quartet")


def _own_plan(rhythms: str, style: str = "x") -> Plan:
    """A plan whose only section goes through these rhythms, density and span by rhythm."""
    names = {"q": "quarter", "e": "eighth", "s": "sixteenth", "-": "none"}
    speed = {"q": 4.0, "e": 6.0, "s": 9.0, "-": 0.0}
    base = GrammarPlanner().plan(PlanRequest(f"A{len(rhythms)}", ensemble="quartet"), seed=0)
    bars = tuple(BarTexture(speed[r], 60.0 if r != "-" else None, 20, names[r]) for r in rhythms)
    section = replace(base.sections[0], textures=bars, density=6.0, register=60.0)
    return replace(base, style=style, sections=(section,))


def test_tables_count_what_follows_what(tmp_path: Path) -> None:
    tables = build_tables([_own_plan("qeqeqeq-eqe") for _ in range(3)])
    counts = tables["quartet rhythm"].sum(axis=(0, 1, 2))
    quarter, eighth = SOUNDING.index("quarter"), SOUNDING.index("eighth")
    # A silent bar is passed over; the last row is what sections begin with.
    assert counts[-1, quarter] == 3
    assert (counts[quarter, eighth], counts[eighth, quarter], counts[quarter, quarter]) == (15, 12, 0)
    assert counts.sum() == 30
    assert "quartet x rhythm" not in tables  # too few bars for a style
    assert pack_tables(tables) == pack_tables(build_tables([_own_plan("qeqeqeq-eqe") for _ in range(3)]))


def test_the_command_takes_training_pieces_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marked = [
        MarkedPlan(_own_plan("qeqsqeqe"), frozenset({"textures"}), Origin("a:0", "a", "train")),
        MarkedPlan(_own_plan("ssssssss"), frozenset({"textures"}), Origin("b:0", "b", "test")),
    ]
    path = tmp_path / "plans.jsonl"
    path.write_text("".join(json.dumps(m.to_json()) + "\n" for m in marked), encoding="utf-8")
    make_tables([str(path), "--out", str(tmp_path / "t.npz")])
    assert "from 1 plans" in capsys.readouterr().out
    assert read_tables(tmp_path / "t.npz")["quartet rhythm"].sum() == 8


def test_planned_bars_are_nearer_to_people_than_even_ones() -> None:
    """Quartets: spread of density and rhythm as the tables' own counts have them."""
    bars = [
        t
        for seed in range(25)
        for s in GrammarPlanner().plan(PlanRequest(style="haydn_quartet"), seed=seed).sections
        for t in s.textures
    ]
    ours = histograms(bars)["rhythm"][1:]
    theirs = read_tables()["quartet haydn_quartet rhythm"].astype(float).sum(axis=(0, 1, 2, 3))
    assert len(theirs) == len(RHYTHMS) - 1
    assert divergence(ours, theirs) < 0.1
    assert divergence(np.array([1.0, 0]), np.array([0, 1.0])) == 1
    spread = np.std(np.log2([t.density for t in bars]))
    assert 0.3 < spread < 0.9
    assert not math.isnan(spread)


def test_textures_survive_json() -> None:
    plan = plans()[1]
    assert plan_from_json(plan_to_json(plan)) == plan
