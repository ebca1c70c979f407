"""What speaks against a drawn phrase, on made-up rolls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from composer.candidates import (
    WEIGHTS,
    Passage,
    beyond_hands,
    costs,
    density_gap,
    doubled_leading_tone,
    flaws,
    hammering,
    leaps,
    off_chord,
    open_sevenths,
    parallels,
    penalties,
    restrikes,
    silence,
    spacing,
    stuck,
    stutter,
    theme_lost,
    unlike_plan,
    unplayable,
    voice_count,
)
from composer.conditions import FIELD, OFF, STATEMENT, THEME, Conditions, empty_conditions
from composer.roll import LOWEST_PITCH, PITCHES
from music.harmony import QUALITIES, chord_pcs

STEPS, BAR = 32, 16


def _told(chord: tuple[int, str] = (0, "maj")) -> Conditions:
    """Two bars of 4/4 in C over one chord, eight onsets planned."""
    context = np.full((STEPS, len(FIELD)), -1, dtype=np.int16)
    columns = {"bar_steps": BAR, "grid": 4, "key_pc": 0, "key_minor": 0, "density": 100, "chord_root": chord[0],
               "chord_bass": chord[0], "chord_quality": QUALITIES.index(chord[1])}  # fmt: skip
    for name, value in columns.items():
        context[:, FIELD[name]] = value
    context[:, FIELD["bar_step"]] = np.arange(STEPS) % BAR
    return empty_conditions(context)


def _passage(*notes: tuple[int, int, int], ensemble: str = "satb", chord: tuple[int, str] = (0, "maj")) -> Passage:
    """A passage of (first step, length, MIDI pitch)."""
    play, struck = np.zeros((STEPS, PITCHES), dtype=bool), np.zeros((STEPS, PITCHES), dtype=bool)
    for first, length, pitch in notes:
        play[first : first + length, pitch - LOWEST_PITCH] = True
        struck[first, pitch - LOWEST_PITCH] = True
    chords = np.tile(np.isin(np.arange(12), chord_pcs(*chord)), (STEPS, 1))
    return Passage(play, struck, 0, _told(chord), chords, np.ones(STEPS), ensemble)


def _chords(*rows: tuple[int, ...], length: int = 8) -> list[tuple[int, int, int]]:
    return [(i * length, length, pitch) for i, row in enumerate(rows) for pitch in row]


GOOD = _chords((48, 64, 67, 72), (48, 64, 67, 76), (52, 60, 67, 76), (48, 64, 67, 76))


def test_a_good_phrase_has_little_against_it() -> None:
    found = penalties(_passage(*GOOD))
    assert set(found) == {f.__name__ for f in WEIGHTS}
    assert all(value <= 0.1 for name, value in found.items() if name not in ("density_gap", "leaps", "restrikes"))
    assert flaws(_passage(*GOOD)) == 0


def test_foreign_notes_and_missing_thirds() -> None:
    assert off_chord(_passage(*GOOD)) == 0
    assert off_chord(_passage(*_chords(*[(48, 55, 60)] * 4))) == pytest.approx(0.35)
    assert off_chord(_passage(*_chords(*[(49, 61, 66)] * 4))) == 1.5
    assert off_chord(_passage()) == 1.0
    assert off_chord(_passage(*GOOD, chord=(7, "maj"))) > 0.5


def test_parallel_fifths_are_counted() -> None:
    fifths = _chords((48, 55), (50, 57), (48, 55), (50, 57))
    assert parallels(_passage(*fifths)) == pytest.approx(1.5)
    octaves = _chords((48, 60), (50, 62))
    assert parallels(_passage(*octaves)) > 0
    assert parallels(_passage(*octaves, ensemble="quartet")) == 0
    assert parallels(_passage(*GOOD)) == 0


def test_density() -> None:
    assert density_gap(_passage(*[(4 * i, 4, 60) for i in range(8)])) == 0
    assert density_gap(_passage((0, 32, 60))) > 1
    told = _told()
    told.context[:, FIELD["density"]] = -1
    assert density_gap(replace(_passage((0, 32, 60)), told=told)) == 0
    told.context[:, FIELD["bar_density"]] = 25  # a note a bar
    assert density_gap(replace(_passage((0, 16, 60), (16, 16, 62)), told=told)) == 0


def test_silence_and_standstill() -> None:
    assert silence(_passage((0, 8, 60), (28, 4, 60))) == 1.0
    assert flaws(_passage((0, 8, 60), (28, 4, 60))) == 1
    assert stuck(_passage((0, 32, 60))) == 1.0
    assert stuck(_passage((0, 16, 60), (16, 16, 62))) == 0
    assert flaws(_passage((0, 32, 60))) == 1


def test_restruck_ties() -> None:
    held = ((0, 32, 48), (0, 32, 55))
    assert stutter(_passage(*held, *[(4 * i, 4, 64) for i in range(8)])) == pytest.approx(0.7)
    assert stutter(_passage(*_chords((48, 64), (48, 64)))) == 0  # a repeated chord
    assert stutter(_passage(*held, (0, 8, 64), (8, 8, 65))) == 0


def test_hands() -> None:
    assert unplayable(_passage((0, 4, 40), (0, 4, 60), (0, 4, 80), ensemble="piano")) >= 1
    assert unplayable(_passage((0, 4, 40), (0, 4, 52), (0, 4, 67), (0, 4, 80), ensemble="piano")) == 0
    assert unplayable(_passage((0, 4, 40), (0, 4, 60), (0, 4, 80))) == 0
    assert beyond_hands(_passage((0, 4, 40), (0, 4, 60), (0, 4, 80), ensemble="piano")) == 1
    assert beyond_hands(_passage((0, 4, 40), (0, 4, 52), (0, 4, 67), (0, 4, 80), ensemble="piano")) == 0


def test_sevenths_fall() -> None:
    passage = _passage(*_chords((43, 59, 62, 65), (48, 60, 64, 64), length=16), chord=(7, "7"))
    passage.told.context[16:, FIELD["chord_root"]] = 0
    passage.told.context[16:, FIELD["chord_quality"]] = QUALITIES.index("maj")
    passage.chords[16:] = np.isin(np.arange(12), (0, 4, 7))
    assert open_sevenths(passage) == 0
    other = _passage(*_chords((43, 59, 62, 65), (48, 60, 67, 72), length=16))
    assert open_sevenths(replace(passage, play=other.play, articulate=other.articulate)) == 1


def test_voices_of_a_choir() -> None:
    assert voice_count(_passage(*_chords(*[(48, 64, 67)] * 4))) == 1
    assert voice_count(_passage(*_chords(*[(48, 64, 67)] * 4), ensemble="quartet")) == 0
    assert spacing(_passage(*_chords((48, 55, 60, 74)))) == 1
    assert spacing(_passage(*GOOD)) == 0
    assert doubled_leading_tone(_passage(*_chords(*[(43, 59, 67, 71)] * 4), chord=(7, "maj"))) == 1
    assert leaps(_passage((0, 8, 60), (8, 8, 74), (16, 8, 73))) == 0.5


def test_pitches_that_have_just_been_struck() -> None:
    tremolo = [(i, 1, p) for i in range(16) for p in ((73, 81) if i % 2 == 0 else (69,))]
    assert restrikes(_passage(*tremolo, ensemble="piano")) == pytest.approx(21 / 24 - 0.28)
    scale = [(i, 1, 60 + i) for i in range(16)]
    assert restrikes(_passage(*scale, ensemble="piano")) == 0
    assert restrikes(_passage((0, 32, 60), ensemble="piano")) == 0
    assert restrikes(_passage(ensemble="piano")) == 0


def test_what_was_struck_before_the_phrase_counts() -> None:
    whole = _passage(*[(i, 1, p) for i in range(0, 8, 2) for p in (60, 64)], ensemble="piano")
    later = replace(whole, back=4)  # the last two of four equal strikes
    assert restrikes(whole) == pytest.approx(6 / 8 - 0.28)
    assert restrikes(later) == pytest.approx(1 - 0.28)


def _tremolo(first: int, steps: int, *upper: int) -> list[tuple[int, int, int]]:
    """Upper notes and one below them by turns, in sixteenths."""
    return [(i, 1, p) for i in range(first, first + steps) for p in (upper if i % 2 == 0 else (69,))]


def test_two_bars_that_hammer_are_a_fault() -> None:
    """Each of their strikes brings what has only just been struck, though no sonority lasts."""
    both = _passage(*_tremolo(0, 32, 73, 81), ensemble="piano")
    assert hammering(both) == 2
    assert stuck(both) == stutter(both) == 0
    assert flaws(both) == 1
    one = _passage(*_tremolo(0, 16, 73, 81), *[(16 + i, 1, 60 + i) for i in range(16)], ensemble="piano")
    assert hammering(one) == 1
    assert flaws(one) == 0
    slow = _passage(*[(i, 4, p) for i in range(0, 32, 4) for p in (60, 64, 67)], ensemble="piano")
    assert hammering(slow) == 0  # repeated chords, but four a bar


def test_hammering_goes_on_from_the_bars_before() -> None:
    both = _passage(*_tremolo(0, 32, 73, 81), ensemble="piano")
    assert hammering(replace(both, back=BAR)) == 2
    past = _passage(*_tremolo(0, 16, 73, 81), *[(16 + i, 1, 60 + i) for i in range(16)], ensemble="piano")
    assert hammering(replace(past, back=BAR)) == 0  # what is over is not the phrase's


def _like(reference: ndarray, wanted: int, passage: Passage) -> float:
    told = passage.told
    told.reference_articulate[:] = reference
    told.reference_kind[:] = STATEMENT
    told.context[:, FIELD["similarity"]] = wanted
    return unlike_plan(passage)


def test_likeness_to_the_model() -> None:
    passage = _passage(*GOOD)
    same = passage.articulate
    assert _like(same, 4, passage) == 1.0  # a literal copy is set, not drawn: drawn, it is a failure to vary
    assert _like(same, 1, passage) > 2
    other = np.roll(same, 1, axis=1)
    assert _like(other, 0, passage) == 0
    assert _like(other, 3, passage) > 1
    passage.told.fixed[:] = OFF  # nothing was drawn
    assert _like(other, 3, passage) == 0


def test_a_suggested_theme_is_missed() -> None:
    passage = _passage(*GOOD)
    passage.told.reference_kind[:] = THEME
    passage.told.reference_articulate[:] = passage.articulate
    assert theme_lost(passage) == 0
    passage.told.reference_articulate[:] = np.roll(passage.articulate, 1, axis=1)
    assert theme_lost(passage) == 1


def test_the_best_is_the_one_with_least_against_it() -> None:
    bad = _passage(*_chords((49, 56, 61), (51, 58, 63), (49, 56, 61), (51, 58, 63)))
    assert int(costs([bad, _passage(*GOOD), bad]).argmin()) == 1
    wild = replace(_passage(*GOOD), nats=np.full(STEPS, 9.0))
    dull = replace(_passage(*GOOD), nats=np.full(STEPS, 0.1))
    assert int(costs([wild, _passage(*GOOD), dull]).argmin()) == 1
