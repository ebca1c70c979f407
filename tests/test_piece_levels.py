"""What a performance is like as a whole: told by features; how much of its tempo lies in whole bars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from performer.examples import LEVELS
from performer.lifetimes import BORN, born
from performer.piece_levels import TIMED, expected_levels, fit_levels, share_of, with_share
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


def test_a_composers_time_moves_what_it_is_asked_of() -> None:
    """Two composers of scores alike, the later one more of everything: his year tells his spreads alone."""
    one = example(8)
    examples = [
        replace(one, composition=f"{style}{s}", style=style, targets=replace(one.targets, levels=levels))
        for style, more in (("bach_piano", 0.0), ("chopin_piano", 1.0))
        for s in range(6)
        for levels in [one.targets.levels + more]
    ]
    fitted = fit_levels(examples)
    early, _ = expected_levels(examples[0].features, fitted, 1685)
    late, _ = expected_levels(examples[0].features, fitted, 1810)
    timed = np.array([name in TIMED for name in LEVELS])
    assert (late - early)[timed] == pytest.approx(1, abs=0.3)
    assert np.array_equal(late[~timed], early[~timed])
    unknown, _ = expected_levels(examples[0].features, fitted)
    assert (early[timed] < unknown[timed]).all()
    assert (unknown[timed] < late[timed]).all()


def test_years_of_tags() -> None:
    assert born("mozart_piano") == born("mozart") == 1756
    assert born("schumann_clara_song") == 1819
    assert born("schumann_piano") == BORN["schumann"]
    assert born("bach_chorale_analysed") == 1685
    assert born("fiddle_tune") is None
    assert born("") is None
    assert born("langsam_piano") is None
