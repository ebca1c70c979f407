"""The learned composer with the weights that ship: the contract, themes, returns, fixed notes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from composer.conditions import ATTACK
from composer.given import Given
from composer.roll import LOWEST_PITCH, PITCHES, step_div
from composer.sampling import RANGES, SHIPPED, BiaxialComposer, SamplingConfig, _range, _Writing
from music.analysis.similarity import passage_similarity
from music.errors import RequestError, WeightsError
from music.time import Meter
from tests.contract_composer import ComposerContract, chorale_plan, piano_plan
from training.weights import load_about


@cache
def shipped() -> BiaxialComposer:
    return BiaxialComposer()


class TestBiaxialComposer(ComposerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def composer(cls) -> BiaxialComposer:
        return shipped()


def test_the_theme_is_heard_at_its_first_statement() -> None:
    plan = piano_plan()
    theme = plan.theme_of("A")
    assert theme is not None
    score = shipped().compose(plan, seed=3)
    heard = {(n.onset_div, n.pitch) for n in score.notes}
    assert {(n.onset_div + plan.pickup_div, n.pitch) for n in theme.notes} <= heard


def test_without_fixing_the_theme_is_a_suggestion() -> None:
    free = BiaxialComposer(config=SamplingConfig(fix_themes=False))
    plan = piano_plan()
    assert free.compose(plan, seed=3) != shipped().compose(plan, seed=3)


def test_a_return_is_nearer_to_its_model_than_another_section() -> None:
    """Over three seeds: one draw may stray."""
    plan = piano_plan()
    length = plan.sections[0].bars * plan.meter.bar_div
    starts = [plan.bar_onset_div(b) for b in plan.first_bars]
    returned, other = [], []
    for seed in range(3):
        score = shipped().compose(plan, seed=seed)
        returned.append(passage_similarity(score, starts[0], starts[2], length)[0])
        other.append(passage_similarity(score, starts[1], starts[2], length)[0])
    assert np.mean(returned) > np.mean(other) + 0.2


def test_without_references_a_return_is_new() -> None:
    plan = piano_plan()
    length = plan.sections[0].bars * plan.meter.bar_div
    starts = [plan.bar_onset_div(b) for b in plan.first_bars]
    plain = BiaxialComposer(config=SamplingConfig(returns=False))
    told, untold = (
        np.mean([passage_similarity(c.compose(plan, seed=s), starts[0], starts[2], length)[0] for s in range(2)])
        for c in (shipped(), plain)
    )
    assert told > untold


def test_a_choir_gives_a_leading_tone_to_one_voice() -> None:
    """G sharp and D over the dominant seventh of a minor; a piano may double what it likes."""
    plan = chorale_plan()
    writing = _Writing(shipped(), plan, 4, 0, None)
    start, bar = plan.pickup_div // step_div(4), plan.meter.bar_div // step_div(4)
    assert [writing._rules(start + k * bar).lone for k in range(3)] == [(8,), (8,), (2, 8)]
    assert _Writing(shipped(), piano_plan(), 4, 0, None)._rules(0).lone == ()
    play = shipped().sample(plan, 4, 0).play[start + 2 * bar : start + 3 * bar]
    assert (play[:, (8 - LOWEST_PITCH) % 12 :: 12].sum(axis=1) < 2).all()


def test_a_meter_off_the_grid_is_refused() -> None:
    plan = piano_plan()
    odd = replace(plan, meter=Meter(7, 32), sections=tuple(replace(s, chords=()) for s in plan.sections))
    with pytest.raises(RequestError, match="7/32"):
        shipped().compose(odd, seed=0)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is missing"):
        BiaxialComposer(tmp_path / "none.safetensors")


def test_weights_of_another_kind_are_refused() -> None:
    with pytest.raises(WeightsError, match="cannot compose"):
        BiaxialComposer(SHIPPED.with_name("jsb.safetensors"))


def test_the_card_says_what_a_user_must_know() -> None:
    about = load_about(SHIPPED)
    assert about["licence"]
    assert about["trained_on"]["spans"] > 100
    assert len(about["trained_on"]["digest"]) == 64
    assert about["figures"]["valid_windows_nats_per_frame"] > 0
    assert about["features"]["local"]["previous_play"] == 25
    size = SHIPPED.stat().st_size
    assert size < 40_000_000


def test_given_notes_beyond_the_range_reach_the_network() -> None:
    fixed = np.zeros((8, PITCHES), dtype=np.int8)
    assert _range("satb", None) == _range("satb", Given(fixed, 4)) == RANGES["satb"]
    fixed[3, 88 - 1] = ATTACK
    assert _range("satb", Given(fixed, 4)) == (RANGES["satb"][0], 108)
