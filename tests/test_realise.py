"""From roll to score, the plan on the grid, and four parts from notes without voices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from composer.realise import STRENGTHS, realise, score_context, step_context
from composer.roll import LOWEST_PITCH, PITCHES, Roll, roll_of_score, step_div
from music.four_parts import MOST_AT_ONCE, four_parts
from music.plan import Plan
from music.time import DIVS_PER_QUARTER
from tests.contract_composer import chorale_plan, piano_plan, quartet_plan, small_plan


def chord_roll(plan: Plan, pitches: tuple[int, ...], grid: int = 4, extra: int = 0) -> Roll:
    """The same chord on every quarter from the plan's start, going on `extra` steps after its end."""
    steps = plan.end_div // step_div(grid) + extra
    play, articulate = np.zeros((steps, PITCHES), dtype=bool), np.zeros((steps, PITCHES), dtype=bool)
    columns = [p - LOWEST_PITCH for p in pitches]
    play[:, columns] = True
    articulate[::grid, columns] = True
    return Roll(play, articulate, np.ones(steps, dtype=bool), grid)


@pytest.mark.parametrize("grid", [4, 6])
@pytest.mark.parametrize("plan", [piano_plan(), chorale_plan(), quartet_plan()], ids=lambda p: p.ensemble)
def test_the_roll_comes_back_from_the_score(plan: Plan, grid: int) -> None:
    roll = chord_roll(plan, (48, 55, 64, 72), grid)
    again = roll_of_score(realise(plan, roll), grid)
    assert np.array_equal(again.play, roll.play)
    assert np.array_equal(again.articulate, roll.articulate)


def test_notes_beyond_the_end_are_cut() -> None:
    plan = piano_plan()
    longer, exact = (realise(plan, chord_roll(plan, (60, 64), extra=n)) for n in (23, 0))
    assert longer == exact
    assert longer.end_div == plan.end_div == max(n.end_div for n in longer.notes)


def test_ids_count_the_notes_in_order() -> None:
    score = realise(piano_plan(), chord_roll(piano_plan(), (48, 64, 67)))
    assert [n.id for n in score.notes] == [f"n{i}" for i in range(len(score.notes))]


def test_dynamics_keys_and_tempos_stand_where_they_change() -> None:
    plan = piano_plan()
    score = realise(plan, chord_roll(plan, (60,)))
    bar = plan.meter.bar_div
    assert [(d.onset_div, d.kind, d.text) for d in score.directions if d.kind == "dynamic"] == [
        (0, "dynamic", "mf"),
        (8 * bar, "dynamic", "p"),
        (16 * bar, "dynamic", "f"),
    ]
    assert [(k.onset_div, str(k.key)) for k in score.keys] == [(0, "G"), (8 * bar, "D"), (16 * bar, "G")]
    assert [(t.onset_div, t.qpm) for t in score.tempos] == [(0, 120.0), (16 * bar, pytest.approx(114.0))]


def test_an_upbeat_has_its_bar() -> None:
    plan = chorale_plan()
    score = realise(plan, chord_roll(plan, (48, 55, 64, 72)))
    assert (score.bars[0].number, score.bars[0].duration_div) == (0, DIVS_PER_QUARTER)
    assert score.keys[0].onset_div == 0
    assert score.sections[0].onset_div == DIVS_PER_QUARTER
    assert [n.part for n in score.notes[:4]] == [3, 2, 1, 0]


def test_an_empty_roll_is_an_empty_score() -> None:
    plan = small_plan()
    silent = np.zeros((32, PITCHES), dtype=bool)
    roll = Roll(silent, silent, np.ones(32, dtype=bool), 4)
    score = realise(plan, roll)
    assert (score.notes, score.end_div) == ((), plan.end_div)


def test_step_context_says_what_the_plan_says() -> None:
    plan = chorale_plan()
    context = step_context(plan, 4)
    assert context.steps == 4 + 12 * 16
    assert context.bar[:4].tolist() == [-1] * 4
    assert context.position[:5].tolist() == [12, 13, 14, 15, 0]
    assert [STRENGTHS[i] for i in context.metre[4:20:2]] == [1.0, 0.25, 0.5, 0.25, 0.75, 0.25, 0.5, 0.25]
    assert context.section[4 + 8 * 16 - 1] == 1
    assert context.section[4 + 8 * 16] == 2
    assert (context.tonic[0], context.minor[0]) == (9, True)
    assert (context.tonic[-1], context.minor[-1]) == (0, False)
    assert np.flatnonzero(context.chord[4]).tolist() == [0, 4, 9]
    assert context.bass[4] == 9
    assert not context.chord[:4].any()
    assert context.bass[0] == -1


def test_score_context_agrees_with_the_plans() -> None:
    plan = chorale_plan()
    score = realise(plan, chord_roll(plan, (48, 55, 64, 72)))
    mine, planned = score_context(score, 4), step_context(plan, 4)
    for name in ("tonic", "minor", "position", "metre", "bar"):
        assert np.array_equal(getattr(mine, name), getattr(planned, name)), name


def test_a_tempo_scale_reaches_the_first_bar() -> None:
    plan = small_plan()
    slow = replace(plan, sections=(replace(plan.sections[0], tempo_scale=0.5),))
    assert realise(slow, chord_roll(slow, (60,))).tempos[0].qpm == 50


# Four parts


def test_four_lines_stay_apart() -> None:
    lines = np.array([[72, 74, 76, 77], [67, 67, 67, 69], [60, 59, 60, 60], [48, 55, 48, 53]])
    onset = np.tile(np.arange(4), 4)
    order = np.random.default_rng(0).permutation(16)
    found = four_parts(onset[order], np.ones(16, dtype=np.int64), lines.reshape(-1)[order])
    assert np.array_equal(found, np.repeat(np.arange(4), 4)[order])


def test_a_held_note_keeps_its_part() -> None:
    # The alto holds while the others move; the soprano dips under nothing.
    onset = np.array([0, 0, 0, 0, 1, 1, 1])
    duration = np.array([1, 2, 1, 1, 1, 1, 1])
    pitch = np.array([71, 67, 62, 43, 72, 64, 48])
    assert four_parts(onset, duration, pitch).tolist() == [0, 1, 2, 3, 0, 2, 3]


def test_a_unison_is_two_parts() -> None:
    found = four_parts(np.zeros(4, dtype=np.int64), np.ones(4, dtype=np.int64), np.array([72, 64, 55, 55]))
    assert sorted(found.tolist()) == [0, 1, 2, 3]


def test_missing_voices_leave_the_others_in_place() -> None:
    onset = np.array([0, 0, 0, 0, 1, 1])
    pitch = np.array([72, 65, 57, 50, 74, 48])
    assert four_parts(onset, np.ones(6, dtype=np.int64), pitch)[4:].tolist() == [0, 3]


@pytest.mark.parametrize("ensemble", ["satb", "quartet"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(0, 40))
def test_no_note_is_lost_and_none_crosses(ensemble: str, seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    onset, pitch = rng.integers(0, 8, size), rng.integers(21, 109, size)
    part = four_parts(onset, rng.integers(0, 4, size), pitch, ensemble)
    assert part.shape == (size,)
    assert set(part.tolist()) <= {0, 1, 2, 3}
    for at in range(8):
        struck = sorted(zip((-pitch[onset == at]).tolist(), part[onset == at].tolist(), strict=True))
        assert [p for _, p in struck] == sorted(p for _, p in struck) or len({n for n, _ in struck}) < len(struck)


def test_huge_clusters_are_dealt_too() -> None:
    size = MOST_AT_ONCE + 60
    part = four_parts(np.zeros(size, dtype=np.int64), np.ones(size, dtype=np.int64), 100 - np.arange(size))
    assert np.array_equal(part, np.sort(part))
    assert set(part.tolist()) == {0, 1, 2, 3}
