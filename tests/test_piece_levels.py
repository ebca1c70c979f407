"""What a performance is like as a whole: told by features; how much of its tempo lies in whole bars."""

from __future__ import annotations

import numpy as np
import pytest

from performer.examples import LEVELS
from performer.piece_levels import expected_levels, fit_levels, share_of, with_share
from tests.test_performer_network import example

BAR = np.repeat(np.arange(10), 4)
ALL = np.ones(40, dtype=bool)


def test_share_of_curves_that_are_known() -> None:
    slow = np.repeat(np.sin(np.arange(10.0)), 4)
    within = np.tile([1.0, -1.0, 1.0, -1.0], 10)
    assert share_of(slow, ALL, BAR) == pytest.approx(1)
    assert share_of(within, ALL, BAR) == pytest.approx(0, abs=1e-9)
    assert share_of(slow / slow.std() + within, ALL, BAR) == pytest.approx(np.sqrt(0.5), rel=1e-6)
    assert share_of(np.zeros(40), ALL, BAR) == 1


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_too_much_is_brought_down_and_the_spread_kept(share: float) -> None:
    rng = np.random.default_rng(0)
    curve = np.repeat(3 * rng.standard_normal(10), 4) + rng.standard_normal(40)
    found = with_share(curve, BAR, share)
    assert share_of(found, ALL, BAR) == pytest.approx(share, rel=0.02)
    assert found.std() == pytest.approx(curve.std(), rel=0.02)
    assert found.mean() == pytest.approx(curve.mean(), abs=1e-6)


def test_less_than_expected_stays_as_drawn() -> None:
    curve = np.random.default_rng(0).standard_normal(40)
    assert np.array_equal(with_share(curve, BAR, 0.9), curve)


def test_the_regression_goes_back_to_the_mean_of_what_it_saw() -> None:
    examples = [example(8, seed=s, name=str(s)) for s in range(3)]
    fitted = fit_levels(examples)
    levels, share = expected_levels(examples[0].features, fitted)
    wanted = np.mean([share_of(e.targets.tempo, e.targets.tempo_known, e.features.bar) for e in examples])
    assert share == pytest.approx(np.clip(wanted, 0.15, 0.95), abs=0.1)
    mean = np.mean([e.targets.levels for e in examples], 0)
    assert len(levels) == len(LEVELS) == len(fitted["spread"]) - 1
    assert np.allclose(levels, mean, atol=0.3)


def test_levels_that_no_one_knows_are_no_obstacle() -> None:
    one = example(8)
    one.targets.levels[LEVELS.index("timing_sd")] = np.nan
    levels, _ = expected_levels(one.features, fit_levels([one]))
    assert np.isfinite(levels).all()
