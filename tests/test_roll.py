"""Rolls: round trips on the grid, grids chosen, bars that do not fit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from composer.roll import LOWEST_PITCH, PITCHES, Roll, choose_grid, roll_notes, roll_of_score, step_div
from music.score import MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import DIVS_PER_QUARTER, Meter

Row = tuple[int, int, int]


def score_of(rows: list[Row], bars: int = 2, unit: int = 1, meter: str = "4/4") -> Score:
    """A score of (onset, duration, pitch) rows in units of divisions."""
    notes = [Note(f"n{i}", o * unit, d * unit, p) for i, (o, d, p) in enumerate(rows)]
    time = Meter.parse(meter)
    return Score((Part("P1"),), sort_notes(notes), regular_bars(time, bars), (MeterChange(0, time),))


@st.composite
def grid_rows(draw: st.DrawFn, steps: int) -> list[Row]:
    """Notes on the grid; those of one pitch do not overlap."""
    rows: list[Row] = []
    for pitch in draw(st.lists(st.integers(21, 108), unique=True, max_size=5)):
        cuts = sorted(draw(st.sets(st.integers(0, steps), max_size=8)))
        pairs = pairwise(cuts)
        rows += [(a, b - a, pitch) for a, b in pairs if draw(st.booleans())]
    return sorted(rows)


@pytest.mark.parametrize("grid", [4, 6])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_notes_on_the_grid_come_back(grid: int, data: st.DataObject) -> None:
    rows = data.draw(grid_rows(2 * 4 * grid))
    roll = roll_of_score(score_of(rows, unit=step_div(grid)), grid)
    assert [tuple(r) for r in roll_notes(roll).tolist()] == sorted(rows)
    assert roll.fit.all()
    assert roll.steps == 2 * 4 * grid


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), filled=st.floats(0, 1))
def test_rolls_come_back_from_their_notes(seed: int, filled: float) -> None:
    rng = np.random.default_rng(seed)
    play = rng.random((16, PITCHES)) < filled
    before = np.vstack([np.zeros((1, PITCHES), dtype=bool), play[:-1]])
    articulate = play & (~before | (rng.random(play.shape) < 0.3))
    roll = Roll(play, articulate, np.ones(16, dtype=bool), 4)
    rows = [tuple(r) for r in roll_notes(roll).tolist()]
    again = roll_of_score(score_of(rows, 1, step_div(4)), 4)
    assert np.array_equal(again.play, play)
    assert np.array_equal(again.articulate, articulate)


def test_a_note_that_sounds_from_nowhere_starts() -> None:
    play = np.zeros((4, PITCHES), dtype=bool)
    play[1:3, 39] = True
    roll = Roll(play, np.zeros_like(play), np.ones(4, dtype=bool), 4)
    assert roll_notes(roll).tolist() == [[1, 2, 60]]


def test_repeated_and_held_notes_differ() -> None:
    held = roll_of_score(score_of([(0, 2, 60)], unit=step_div(4)), 4)
    repeated = roll_of_score(score_of([(0, 1, 60), (1, 1, 60)], unit=step_div(4)), 4)
    assert np.array_equal(held.play, repeated.play)
    assert repeated.articulate.sum() == 2 > held.articulate.sum()


def test_only_the_bars_that_do_not_fit_are_unfit() -> None:
    odd = DIVS_PER_QUARTER // 5
    rows = [
        (0, DIVS_PER_QUARTER, 60),
        (4 * DIVS_PER_QUARTER + odd, DIVS_PER_QUARTER, 62),
        (8 * DIVS_PER_QUARTER, 99, 64),
    ]
    roll = roll_of_score(score_of(rows, bars=3), 4)
    assert roll.fit.reshape(3, 16).all(axis=1).tolist() == [True, False, True]
    assert not roll.fit[16:32].any()


def test_bars_off_the_grid_are_unfit() -> None:
    roll = roll_of_score(score_of([(0, 1000, 60)], bars=2, meter="3/32"), 4)
    assert not roll.fit.any()


@pytest.mark.parametrize(("onsets", "grid"), [([0, 1, 2, 3], 4), ([0, 4 / 3, 8 / 3, 4], 6), ([], 4), ([0, 2, 4], 4)])
def test_the_grid_that_holds_more_is_chosen(onsets: list[float], grid: int) -> None:
    rows = [(round(o * DIVS_PER_QUARTER / 4), 100, 60) for o in onsets]
    score = score_of(rows)
    assert choose_grid(score) == grid
    assert roll_of_score(score).steps_per_quarter == grid


def test_grace_notes_and_notes_off_the_piano_are_left_out() -> None:
    roll = roll_of_score(score_of([(0, 0, 60), (0, 4, 20), (0, 4, 109), (0, 4, 108)], unit=step_div(4)), 4)
    assert np.flatnonzero(roll.play.any(axis=0)).tolist() == [108 - LOWEST_PITCH]


def test_short_notes_last_a_step() -> None:
    roll = roll_of_score(score_of([(0, 1, 60), (8 * DIVS_PER_QUARTER - 1, 1, 62)]), 4)
    assert roll_notes(roll).tolist() == [[0, 1, 60], [31, 1, 62]]


def test_rolls_check_themselves() -> None:
    play, articulate = np.zeros((2, PITCHES), dtype=bool), np.zeros((2, PITCHES), dtype=bool)
    articulate[0, 0] = True
    with pytest.raises(ValueError, match="articulates where nothing plays"):
        Roll(play, articulate, np.ones(2, dtype=bool), 4)
    with pytest.raises(ValueError, match="4 or 6"):
        Roll(play, play, np.ones(2, dtype=bool), 5)
