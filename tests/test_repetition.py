"""Hammering, on bars made up to be counted by hand."""

from __future__ import annotations

from math import log2

import pytest

from evaluation.repetition import (
    LONGEST_RUN,
    BusyBar,
    busy_bars,
    entropy,
    hammered_bars,
    longest_hammering,
    restrike_hazards,
    restrikes,
)
from evaluation.sonorities import Sonority, sonorities
from evaluation.texture import longest_sonority, stutter
from music.score import MeterChange, Note, Part, Score, regular_bars
from music.time import DIVS_PER_QUARTER, Meter

SIXTEENTH = DIVS_PER_QUARTER // 4
TREMOLO = ((73, 81), (69,)) * 8  # a dyad and a note by turns, a bar of sixteenths
ALBERTI = ((60, 76), (67,), (64,), (67,), (60, 77), (67,), (64,), (67,)) * 2
SCALE = tuple((60 + i,) for i in range(16))


def bars_of(*bars: tuple[tuple[int, ...], ...]) -> tuple[Score, tuple[Sonority, ...]]:
    """A score in 4/4 of bars of sixteenths, each given by the pitches that it strikes."""
    notes = [
        Note(f"n{bar}-{place}-{pitch}", (16 * bar + place) * SIXTEENTH, SIXTEENTH, pitch)
        for bar, sets in enumerate(bars)
        for place, pitches in enumerate(sets)
        for pitch in pitches
    ]
    score = Score((Part("P"),), tuple(notes), regular_bars(Meter(4, 4), len(bars)), (MeterChange(0, Meter(4, 4)),))
    return score, sonorities(score)


def test_a_tremolo_hammers_though_nothing_sticks() -> None:
    score, row = bars_of(TREMOLO, TREMOLO)
    assert longest_sonority(score, row) == 0.25
    assert stutter(row) == 0
    found = busy_bars(score, row)
    assert [(b.index, b.entropy) for b in found] == [(0, 1.0), (1, 1.0)]
    assert [b.restruck for b in found] == pytest.approx([21 / 24, 1.0])  # the first two strikes are new
    assert hammered_bars(found) == 1
    assert longest_hammering(found) == 2


def test_an_alberti_bass_and_a_scale_do_not() -> None:
    score, row = bars_of(ALBERTI, SCALE)
    alberti, scale = busy_bars(score, row)
    assert alberti.restruck == pytest.approx(8 / 20, abs=0.06)
    assert (scale.restruck, scale.entropy) == (0, 4)
    assert hammered_bars([alberti, scale]) == 0
    assert restrikes(bars_of(SCALE)[1]) == 0


def test_a_held_bass_lets_nothing_else_pass() -> None:
    """A note that goes on sounding is no strike and hides none."""
    score, _ = bars_of(TREMOLO)
    held = Score((Part("P"),), (Note("bass", 0, 16 * SIXTEENTH, 45), *score.notes), score.bars, score.meters)
    (bar,) = busy_bars(held, sonorities(held))
    assert bar.hammered


def test_quiet_bars_are_not_looked_at() -> None:
    few = tuple(pitches if i % 4 == 0 else () for i, pitches in enumerate(TREMOLO))
    score, row = bars_of(few)
    assert busy_bars(score, row) == []
    assert hammered_bars([]) is None
    assert restrikes(row) == pytest.approx(6 / 8)
    assert restrikes(()) == 0


def test_runs_of_hammered_bars() -> None:
    bars = [
        BusyBar(i, share, 1.0) for i, share in ((0, 0.9), (1, 0.7), (2, 0.69), (4, 0.9), (6, 0.9), (7, 1.0), (8, 1.0))
    ]
    assert longest_hammering(bars) == 3
    assert longest_hammering(bars[:5]) == 2
    assert hammered_bars(bars) == pytest.approx(6 / 7)


def test_entropy_of_what_is_struck() -> None:
    a, b, c = (frozenset({p}) for p in (60, 64, 67))
    assert entropy([a, a]) == 0
    assert entropy([a, b, a, b]) == 1
    assert entropy([a, a, b, c]) == pytest.approx(0.5 + 0.5 * log2(4))


def test_hazards_tell_how_runs_of_a_pitch_go_on() -> None:
    _, row = bars_of(((60,), (62,), (60,), (64,), (60,), (65,), (67,), (69,)))
    found = restrike_hazards([row])
    # 60 is struck three times and given up; 62, 64, 65 once each and given up; 67 and 69 are not known to the end.
    assert found[0] == (4, 1)
    assert found[1] == (1, 1)
    assert found[2] == (1, 0)
    assert len(found) == LONGEST_RUN
    assert all(pair == (0, 0) for pair in found[3:])
