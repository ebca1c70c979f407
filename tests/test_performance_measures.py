"""Measures of performances: each on performances of which it is known what must come out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.performance_faults import FAULTS, faultless, performance_faults
from evaluation.performance_habits import habits
from evaluation.performance_spread import band, differences, lag_one, share_within, spreads
from evaluation.performances import (
    balanced,
    correlation,
    correlations,
    layout,
    mean_of,
    mean_played,
    skill,
    skill_interval,
)
from music.errors import ScoreError
from music.performance import Pedal, Performance
from performer.rules import RulePerformer
from tests.contract_performer import make, tune
from tests.performed import WAVES, chords, line, perform, told

A, B, C = WAVES


def test_r_of_known_series() -> None:
    score = line()
    one = told(score, perform(score, 64 + 10 * A, -1 + 0.1 * A))
    other = told(score, perform(score, 60 + 6 * A + 8 * B, -1 + 0.06 * A + 0.08 * B))
    found = correlations(one, other)
    assert found["velocity"] == pytest.approx(0.6, abs=1e-9)
    # The last onset has no successor, so r is that of 31 values of the 32.
    expected = np.corrcoef(A[:31], (0.6 * A + 0.8 * B)[:31])[0, 1]
    assert found["log_beat_period"] == pytest.approx(expected, abs=1e-6)
    assert np.isnan(one.log_beat_period[-1])
    assert np.isfinite(one.log_beat_period[:-1]).all()
    assert correlations(one, one)["ioi"] == pytest.approx(1.0)
    assert correlations(one, told(score, perform(score, 64 - 10 * A, -1 - 0.1 * A)))["velocity"] == pytest.approx(-1)


def test_articulation_is_of_the_sounding_length() -> None:
    score = line()
    plain = told(score, perform(score))
    # The curve ends where the last note does, so that alone is as long as written.
    assert plain.articulation[:-1] == pytest.approx(np.full(31, -1.0))
    assert plain.articulation[-1] == pytest.approx(0.0)


def test_what_does_not_vary_has_r_0() -> None:
    score = line()
    metronome = told(score, RulePerformer(expression=0.0).perform(score, seed=0))
    found = correlations(metronome, told(score, perform(score, 64 + 10 * A, -1 + 0.1 * A)))
    assert found["velocity"] == found["log_beat_period"] == found["timing"] == 0.0
    assert correlation(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.0
    assert correlation(np.array([1.0, 2.0, np.nan, 4.0]), np.array([2.0, 4.0, 0.0, 8.0])) == pytest.approx(1.0)


def test_only_what_both_play_counts() -> None:
    score = line()
    gone = frozenset({"n3", "n17"})
    one = told(score, perform(score, 64 + 10 * A, -1 + 0.1 * A))
    other = told(score, perform(score, 64 + 10 * A, -1 + 0.1 * A, without=gone))
    assert np.flatnonzero(np.isnan(other.velocity)).tolist() == [3, 17]
    # Neither the interval before a note that is left out nor the one after it has been played.
    assert np.flatnonzero(np.isnan(other.log_beat_period)).tolist() == [2, 3, 16, 17, 31]
    assert correlations(one, other)["velocity"] == pytest.approx(1.0)
    assert correlations(one, other)["log_beat_period"] == pytest.approx(1.0, abs=1e-6)


def test_grace_notes_have_a_velocity_alone() -> None:
    score = make([(0, 0, 74), (0, 1, 72), (1, 1, 71), (2, 1, 70), (3, 1, 69)], bars=1)
    found = told(score, perform(score, [40, 50, 60, 70, 80]))
    assert np.isfinite(found.velocity).all()
    assert np.isnan(found.timing).tolist() == layout(score).grace.tolist()
    assert sum(np.isnan(found.articulation)) == 1


def test_the_mean_of_samples_loses_their_noise() -> None:
    score = line()
    target = told(score, perform(score, 64 + 10 * A, -1 + 0.1 * A))
    samples = [
        told(score, perform(score, 64 + 6 * A + sign * 8 * C, -1 + 0.1 * A + sign * 0.1 * C)) for sign in (1, -1)
    ]
    for one in samples:
        assert correlations(one, target)["velocity"] == pytest.approx(0.6, abs=1e-9)
    found = correlations(mean_played(samples), target)
    assert found["velocity"] == pytest.approx(1.0)
    assert found["log_beat_period"] == pytest.approx(1.0, abs=1e-6)


def test_the_mean_holds_where_a_loud_pianist_leaves_a_note_out() -> None:
    score = line()
    soft = told(score, perform(score, 44 + 10 * A))
    loud = told(score, perform(score, 84 + 10 * A, without=frozenset({"n0", "n1"})))
    mean = mean_played([soft, loud])
    assert mean.velocity[0] - mean.velocity[2] == pytest.approx(0.0, abs=1e-9)
    assert mean.velocity.mean() == pytest.approx(64.0)


def test_averages_are_over_composers() -> None:
    found = balanced({"a": 0.0, "b": 1.0, "c": 1.0}, {"a": "bach", "b": "bach", "c": "liszt"})
    assert found == pytest.approx(0.75)
    assert np.isnan(balanced({}, {}))
    assert mean_of([{"r": 1.0, "s": float("nan")}, {"r": 3.0, "s": 5.0}]) == {"r": 2.0, "s": 5.0}


def test_skill_is_0_at_the_baseline_and_1_at_a_pianist() -> None:
    human = {f"p{i}": 0.6 + 0.01 * i for i in range(6)}
    floor = {f"p{i}": 0.2 + 0.02 * i for i in range(6)}
    composer = {p: "bach" if p < "p3" else "liszt" for p in human}
    assert skill(0.4, 0.2, 0.6) == pytest.approx(0.5)
    assert np.isnan(skill(0.4, 0.6, 0.6))
    assert skill_interval(human, [floor], human, composer) == pytest.approx((1.0, 1.0))
    assert skill_interval(floor, [floor], human, composer) == pytest.approx((0.0, 0.0))
    assert skill_interval(floor, [floor, human], human, composer)[0] != skill_interval(floor, [floor], human, composer)
    half = {p: (human[p] + floor[p]) / 2 + (0.05 if p == "p0" else 0.0) for p in human}
    low, high = skill_interval(half, [floor], human, composer)
    assert 0.49 < low < high < 0.7
    assert (low, high) == skill_interval(half, [floor], human, composer)


def test_spreads() -> None:
    score = chords()
    found = spreads(layout(score), told(score, perform(score, np.repeat(64 + 5 * A, 2), -1 + 0.2 * B, early=0.02)))
    assert found["velocity"] == pytest.approx(5.0)
    assert found["chord_asynchrony"] == pytest.approx(10.0, abs=1e-6)
    assert found["log_beat_period"] == pytest.approx(0.2, rel=0.01)
    plain = spreads(layout(score), told(score, perform(score)))
    assert plain.pop("articulation") < 0.2  # of the last chord alone
    assert plain == pytest.approx(dict.fromkeys(plain, 0.0), abs=1e-9)
    assert np.isnan(spreads(layout(line()), told(line(), perform(line())))["chord_asynchrony"])


def test_differences_leave_out_the_level() -> None:
    score = line()
    soft, loud = told(score, perform(score, 40 + A, -1 + 0.1 * A)), told(score, perform(score, 90 + A, 0.1 * A))
    assert differences(soft, loud) == pytest.approx(dict.fromkeys(differences(soft, loud), 0.0), abs=1e-6)
    other = told(score, perform(score, 64 + A + 3 * B))
    assert differences(soft, other)["velocity"] == pytest.approx(3.0)


def test_lag_one() -> None:
    score = chords()
    rng = np.random.default_rng(0)
    zigzag = lag_one(layout(score), told(score, perform(score, log_period=-1 + 0.1 * A)))
    assert zigzag["log_beat_period"] == pytest.approx(-1.0, abs=1e-6)
    walk = lag_one(layout(score), told(score, perform(score, log_period=-1 + 0.05 * np.cumsum(rng.normal(size=32)))))
    assert walk["log_beat_period"] > 0.6
    assert np.isnan(lag_one(layout(score), told(score, perform(score)))["timing"])


def test_band() -> None:
    limits = band([float(i) for i in range(101)])
    assert limits == (10.0, 90.0)
    assert share_within([5.0, 50.0, float("nan"), 90.0], limits) == pytest.approx(2 / 3)


def test_habits_are_seen_and_their_opposites_too() -> None:
    score = make(tune(), bars=8)
    where = layout(score)
    at = {n.id: n for n in score.notes}
    onsets = len(where.onset_div)
    slow = np.where(np.arange(onsets) >= onsets - 8, -0.7, -1.0)
    loud = [80 if at[i].pitch > 60 else 50 for i in (n.id for n in score.notes)]
    place = dict(zip(where.note_ids, where.place.tolist(), strict=True))
    ends = {end - k for _, end in where.phrases for k in (1, 2)}
    soft = [level - (20 if place[n.id] in ends else 0) for level, n in zip(loud, score.notes, strict=True)]
    found = habits(where, told(score, perform(score, soft, slow)))
    assert found["end_slows"] == pytest.approx(0.3, abs=1e-6)
    assert found["melody_leads"] == pytest.approx(30.0)
    assert found["phrases_soften"] > 10
    upside = habits(where, told(score, perform(score, [130 - v for v in soft], -2 - slow)))
    assert upside["end_slows"] == pytest.approx(-0.3, abs=1e-6)
    assert upside["melody_leads"] == pytest.approx(-30.0)
    assert upside["phrases_soften"] < -10
    short = make([(0.0, 1.0, 60), (1.0, 1.0, 62)], bars=1)
    assert all(np.isnan(v) for v in habits(layout(short), told(short, perform(short))).values())


def test_a_sound_performance_has_no_fault() -> None:
    score = make(tune(), bars=8)
    found = performance_faults(score, RulePerformer().perform(score, seed=0))
    assert found == dict.fromkeys(FAULTS, 0)
    assert faultless([found, found | {"stuck": 1}]) == (1, 2)


def test_every_fault_is_found() -> None:
    score = line()
    good = perform(score)
    first, *rest = good.notes

    def faults(performance: Performance) -> dict[str, int]:
        return {name: count for name, count in performance_faults(score, performance).items() if count}

    assert faults(Performance(tuple(rest))) == {"missing": 1}
    assert faults(Performance((replace(first, note_id="x"), *rest))) == {"missing": 1, "foreign": 1}
    assert faults(Performance((replace(first, pitch=1), *rest))) == {"wrong_pitch": 1}
    stuck = faults(Performance((replace(first, duration_sec=60.0), *rest)))
    assert stuck["stuck"] == 1
    assert stuck["overlap"] >= 1  # its key is struck again meanwhile
    assert faults(replace(good, pedals=(Pedal(1.0, 127),))) == {"pedal_down": 1}
    assert not faults(replace(good, pedals=(Pedal(1.0, 127), Pedal(2.0, 0))))
    held = make([(0.0, 128.0, 40), *[(float(i), 1.0, 60) for i in range(128)]], bars=32)
    assert not any(performance_faults(held, RulePerformer().perform(held, seed=0)).values())  # a long note is no fault


def test_a_score_without_notes_has_no_layout() -> None:
    with pytest.raises(ScoreError, match="without notes"):
        layout(make([], bars=2))
