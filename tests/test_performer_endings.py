"""Endings: last bars and phrase ends that differ from sample to sample, and nothing else that moves."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from performer.drawing import Amounts, Draws
from performer.endings import end_weights, phrase_weights, with_endings
from performer.features import ScoreFeatures
from tests.test_performer_network import example

BARS, PHRASE = 12, 16


@cache
def score() -> ScoreFeatures:
    """Twelve bars of four onsets, in phrases of sixteen."""
    features = example(BARS).features
    assert len(features.onset_div) == BARS * 4
    return replace(features, bar=np.repeat(np.arange(BARS), 4), phrase=np.arange(BARS * 4) // PHRASE)


def draws(features: ScoreFeatures) -> Draws:
    rng = np.random.default_rng(0)
    onsets, notes = len(features.onset_div), len(features.place)
    return Draws(rng.standard_normal((1, onsets)), rng.standard_normal((1, notes, 3)), np.zeros((1, onsets), int))


def expected(features: ScoreFeatures) -> np.ndarray:
    return np.where(features.bar >= BARS - 2, 2.0, 0.0)


def test_weights_lie_at_the_ends() -> None:
    features = score()
    end, phrase = end_weights(features.bar), phrase_weights(features.phrase)
    assert (end[features.bar >= BARS - 2] == 1).all()
    assert not end[features.bar < BARS - 4].any()
    assert (phrase.reshape(-1, PHRASE)[:, -2:] == 1).all()
    assert not phrase.reshape(-1, PHRASE)[:, :-4].any()
    assert not end_weights(np.repeat(np.arange(5), 4)).any()
    assert not phrase_weights(np.zeros(7, int)).any()


def test_neutral_amounts_change_nothing() -> None:
    features = score()
    before = draws(features)
    after = with_endings(before, expected(features), features, Amounts(), 3)
    assert np.array_equal(after.tempo, before.tempo)
    assert np.array_equal(after.shapes, before.shapes)


def test_ends_are_brought_down_by_what_was_expected() -> None:
    features = score()
    before = draws(features)
    after = with_endings(before, expected(features), features, Amounts(ends=0.75), 3)
    moved = (after.tempo - before.tempo)[0]
    assert np.allclose(moved[features.bar >= BARS - 2], -0.5)
    assert not moved[features.bar < BARS - 2].any()


def test_pianists_differ_in_their_ends_alone() -> None:
    features = score()
    before, amounts = draws(features), Amounts(ends_apart=0.5, phrases_apart=0.2)
    found = [with_endings(before, expected(features), features, amounts, seed) for seed in range(200)]
    late = np.array([(f.tempo - before.tempo)[0, -1] for f in found])
    soft = np.array([(f.shapes - before.shapes)[0, -1, 0] for f in found])
    assert abs(late.std() / before.tempo.std() - 0.5) < 0.1
    assert abs(late.mean()) < 0.15
    assert abs(soft.std() / before.shapes[0, :, 0].std() - 0.2) < 0.04
    assert abs(np.corrcoef(late, soft)[0, 1]) < 0.2
    inside = phrase_weights(features.phrase)[features.place] == 0
    assert all(np.array_equal(f.shapes[0, inside], before.shapes[0, inside]) for f in found)
    assert all(np.array_equal(f.shapes[..., 1:], before.shapes[..., 1:]) for f in found)
    again = with_endings(before, expected(features), features, amounts, 7)
    assert np.array_equal(again.tempo, found[7].tempo)
    assert np.array_equal(again.shapes, found[7].shapes)


def test_a_departure_scales_what_endings_depart_by() -> None:
    amounts = Amounts(ends=0.8, ends_apart=0.6, phrases_apart=0.2, timing=0.1).departing(0.5)
    assert (amounts.tempo, amounts.velocity, amounts.articulation, amounts.timing) == (0.5,) * 4
    assert (amounts.ends, amounts.ends_apart, amounts.phrases_apart) == (0.8, 0.3, 0.1)
