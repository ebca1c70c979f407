"""Analysis on small scores made by hand: keys, chords, melody, similarity, phrases, cadences, plans."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.analysis.arrays import make_grid, note_arrays, pitch_class_weights
from music.analysis.bar_texture import bar_textures, rhythm_class
from music.analysis.bars import plan_bars, whole_bars
from music.analysis.cadence import find_cadence
from music.analysis.chords import extract_chords
from music.analysis.key import estimate_key, key_segments
from music.analysis.melody import melody_line
from music.analysis.phrases import infer_phrase_ends, phrase_ends
from music.analysis.plans import plan_of_score
from music.analysis.signs import bounds_between_signs, lettered, mark_places, phrase_fermatas, repeat_places, with_signs
from music.analysis.similarity import bar_products, bar_returns, passage_similarity
from music.errors import PlanError
from music.pitch import Key
from music.plan import BarTexture
from music.score import (
    Bar,
    Direction,
    KeyChange,
    MeterChange,
    Note,
    Part,
    Score,
    SectionMark,
    regular_bars,
    sort_notes,
)
from music.time import DIVS_PER_QUARTER, Meter

Q = DIVS_PER_QUARTER
# Soprano, alto, tenor, bass of I IV V7 I in C, a chord each.
CADENCE = ((72, 67, 64, 48), (72, 69, 65, 53), (71, 67, 65, 55), (72, 67, 64, 48))


def satb(chords, meter: str = "4/4", shift: int = 0, quarters: float | None = None) -> Score:
    """A score in four parts: one chord a bar (or each of so many quarters), whole piece moved by `shift`."""
    m = Meter.parse(meter)
    length = m.bar_div if quarters is None else int(quarters * Q)
    notes = [
        Note(f"n{i}_{part}", i * length, length, pitch + shift, part)
        for i, chord in enumerate(chords)
        for part, pitch in enumerate(chord)
    ]
    bars = -(-len(chords) * length // m.bar_div)
    parts = tuple(Part(f"P{i}") for i in range(4))
    return Score(parts, sort_notes(notes), regular_bars(m, bars), (MeterChange(0, m),))


def line(pitches, durations=None, meter: str = "4/4", pickup: int = 0) -> Score:
    """A melody in one part; durations in quarters."""
    m = Meter.parse(meter)
    notes, onset = [], 0
    for i, pitch in enumerate(pitches):
        length = int((durations[i] if durations else 1) * Q)
        if pitch:
            notes.append(Note(f"n{i}", onset, length, pitch))
        onset += length
    return Score(
        (Part("P"),),
        sort_notes(notes),
        regular_bars(m, -(-(onset - pickup) // m.bar_div), pickup),
        (MeterChange(0, m),),
    )


@pytest.mark.parametrize("meter", ["4/4", "3/4", "6/8", "2/2"])
@pytest.mark.parametrize("shift", [0, 2, 5, -3, 6])
def test_cadence_in_keys_and_meters(meter: str, shift: int) -> None:
    score = satb(CADENCE, meter, shift)
    tonic = shift % 12
    assert estimate_key(score, 0, score.end_div).pc == tonic
    chords = extract_chords(score)
    assert [(c.root, c.quality) for c in chords] == [
        (tonic, "maj"),
        ((tonic + 5) % 12, "maj"),
        ((tonic + 7) % 12, "7"),
        (tonic, "maj"),
    ]
    assert [c.figure for c in chords] == ["I", "IV", "V7", "I"]
    assert [c.bass for c in chords] == [c.root for c in chords]
    assert [c.onset_div for c in chords] == [i * Meter.parse(meter).bar_div for i in range(4)]
    key = Key.of_pc(tonic)
    assert find_cadence(score, score.end_div, key) == "PAC"
    assert find_cadence(score, score.bars[3].onset_div, key) == "HC"


def test_first_inversion_has_its_third_in_the_bass() -> None:
    score = satb(((72, 67, 60, 52), (72, 69, 65, 53), (71, 67, 65, 55), (72, 67, 64, 48)))
    first = extract_chords(score)[0]
    assert (first.root, first.bass, first.figure) == (0, 4, "I6")


def test_minor_and_deceptive_cadence() -> None:
    score = satb(((72, 67, 63, 48), (72, 68, 65, 53), (71, 67, 65, 55), (72, 68, 63, 56)))
    assert str(estimate_key(score, 0, score.end_div)) == "c"
    assert find_cadence(score, score.end_div, Key("C", True)) == "DC"


def test_passing_notes_change_no_chord() -> None:
    score = satb(CADENCE)
    notes = [n for n in score.notes if n.id != "n0_0"]
    passing = [Note(f"p{i}", i * Q // 2, Q // 2, p, 0) for i, p in enumerate((72, 74, 76, 74, 72, 74, 76, 74))]
    moved = Score(score.parts, sort_notes(notes + passing), score.bars, score.meters)
    assert [(c.root, c.quality) for c in extract_chords(moved)] == [(0, "maj"), (5, "maj"), (7, "7"), (0, "maj")]


def test_chords_are_gapless_in_silence_and_odd_bars() -> None:
    note = Note("a", 2 * Q, Q, 60)
    bars = (Bar(0, Q, 0), Bar(Q, 3 * Q, 1), Bar(4 * Q, 2 * Q, 2))
    score = Score((Part("P"),), (note,), bars, (MeterChange(0, Meter(3, 4)),))
    chords = extract_chords(score)
    assert chords[0].onset_div == 0
    assert all(a.onset_div + a.duration_div == b.onset_div for a, b in pairwise(chords))
    assert chords[-1].onset_div + chords[-1].duration_div == score.end_div
    empty = Score((Part("P"),), (), regular_bars(Meter(4, 4), 2), (MeterChange(0, Meter(4, 4)),))
    assert sum(c.duration_div for c in extract_chords(empty)) == empty.end_div
    assert key_segments(empty)[0].onset_div == 0
    assert phrase_ends(empty) == (empty.end_div,)
    assert bar_returns(empty) == (None, None)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.lists(st.integers(48, 79), min_size=2, max_size=4), min_size=4, max_size=8), st.integers(1, 11))
def test_analysis_moves_with_transposition(pitches: list[list[int]], shift: int) -> None:
    def make(by: int) -> Score:
        notes = [Note(f"{i}.{k}", i * Q, Q, p + by, k) for i, c in enumerate(pitches) for k, p in enumerate(c)]
        m = Meter(4, 4)
        bars = regular_bars(m, -(-len(pitches) // 4))
        return Score(tuple(Part(f"P{k}") for k in range(4)), sort_notes(notes), bars, (MeterChange(0, m),))

    a, b = make(0), make(shift)
    weights = [pitch_class_weights(note_arrays(s), make_grid(s).edges) for s in (a, b)]
    np.testing.assert_allclose(np.roll(weights[0], shift, axis=1), weights[1], atol=1e-9)
    chords = [
        [(c.onset_div, (c.root - by) % 12, c.quality) for c in extract_chords(s)] for s, by in ((a, 0), (b, shift))
    ]
    assert sum(x == y for x, y in zip(*chords, strict=False)) >= len(chords[0]) - 2  # ties may fall otherwise
    assert passage_similarity(a, 0, 0, a.end_div)[0] == pytest.approx(1.0, abs=1e-5)


def test_similarity_finds_the_transposition() -> None:
    tune = (60, 64, 67, 65, 62, 60, 59, 62)
    score = line(tune + tuple(p + 5 for p in tune))
    similarity, shift = passage_similarity(score, 0, 8 * Q, 8 * Q)
    assert similarity == pytest.approx(1.0, abs=1e-5)
    assert shift == 5
    other = line((*tune, 72, 0, 0, 40, 0, 41, 0, 43))
    assert passage_similarity(other, 0, 8 * Q, 8 * Q)[0] < 0.6


def test_bar_returns_look_back_only() -> None:
    tune = (60, 64, 67, 65, 62, 60, 59, 62)
    other = (72, 48, 71, 49, 50, 70, 51, 69)
    score = line(tune + other + tuple(p + 7 for p in tune))
    returns = bar_returns(score, threshold=0.9)
    assert returns[:4] == (None,) * 4
    for bar in (4, 5):
        found = returns[bar]
        assert found is not None
        assert (found.source, found.transposition) == (bar - 4, 7)
        assert found.similarity == pytest.approx(1.0, abs=1e-5)


def test_returns_never_overlap_their_target() -> None:
    score = line((60, 62, 64, 65) * 12)
    for found in bar_returns(score, window_bars=3):
        assert found is None or found.source < found.bar


def test_melody_is_one_line_of_the_highest_part() -> None:
    score = satb(CADENCE)
    melody = melody_line(score, 0, score.end_div)
    assert [n.pitch for n in melody] == [72, 72, 71, 72]
    assert {n.part for n in melody} == {0}


def test_melody_over_an_accompaniment_in_one_staff() -> None:
    notes = [Note("m", 0, 2 * Q, 72), Note("a", 0, Q, 60), Note("b", Q, Q, 64), Note("c", 2 * Q, Q, 71)]
    score = Score((Part("P"),), sort_notes(notes), regular_bars(Meter(3, 4), 1), (MeterChange(0, Meter(3, 4)),))
    assert [n.id for n in melody_line(score, 0, 3 * Q)] == ["m", "c"]


def test_phrases_end_after_fermatas() -> None:
    score = satb(CADENCE * 2, quarters=1)
    marks = tuple(Direction(i * Q, "fermata", part=0) for i in (3, 7))
    marked = Score(score.parts, score.notes, score.bars, score.meters, directions=marks)
    assert phrase_ends(marked) == (4 * Q, 8 * Q)


def test_phrases_are_inferred_from_long_notes() -> None:
    phrase = (60, 62, 64, 65, 67, 65, 64)
    score = line(phrase * 4, durations=(1, 1, 1, 1, 1, 1, 2) * 4)
    assert infer_phrase_ends(score) == (8 * Q, 16 * Q, 24 * Q, 32 * Q)


def test_imperfect_cadence_and_none() -> None:
    score = satb(((72, 67, 64, 48), (71, 67, 62, 55), (76, 67, 60, 48)))
    assert find_cadence(score, score.end_div, Key("C")) == "IAC"  # the melody ends on the third
    plagal = satb(((72, 67, 64, 48), (72, 69, 65, 53), (72, 67, 64, 48)))
    assert find_cadence(plagal, plagal.end_div, Key("C")) is None


def test_a_modulation_is_found() -> None:
    def move(chords, by: int):
        return tuple(tuple(p + by for p in chord) for chord in chords)

    score = satb(CADENCE * 3 + move(CADENCE, 7) * 4 + CADENCE * 3, quarters=2)
    keys = [(str(k.key), k.onset_div // (8 * Q)) for k in key_segments(score)]
    assert [k for k, _ in keys] == ["C", "G", "C"]
    assert abs(keys[1][1] - 3) <= 1
    assert abs(keys[2][1] - 7) <= 1


def test_silence_has_the_key_of_the_signature() -> None:
    m = Meter(4, 4)
    signed = Score((Part("P"),), (), regular_bars(m, 1), (MeterChange(0, m),), (KeyChange(0, Key("Eb")),))
    assert estimate_key(signed, 0, 4 * Q) == Key("Eb")


def test_enharmonic_keys_follow_the_signature() -> None:
    score = satb(CADENCE, shift=6)
    for name in ("F#", "Gb"):
        signed = Score(score.parts, score.notes, score.bars, score.meters, (KeyChange(0, Key(name)),))
        assert str(estimate_key(signed, 0, signed.end_div)) == name


def test_section_marks_win() -> None:
    score = satb(CADENCE * 4)
    marks = tuple(SectionMark(4 * Q * bar, label) for bar, label in ((0, "A"), (6, "B"), (11, "A'")))
    marked = Score(score.parts, score.notes, score.bars, score.meters, sections=marks)
    plan = plan_of_score(marked)
    assert [(s.label, s.bars, s.source) for s in plan.sections] == [("A", 6, None), ("B", 5, None), ("A'", 5, 0)]


def test_split_bars_are_joined() -> None:
    bars = (Bar(0, Q, 0), Bar(Q, 4 * Q, 1), Bar(5 * Q, 3 * Q, 2), Bar(8 * Q, Q, 2), Bar(9 * Q, 3 * Q, 3))
    score = Score((Part("P"),), (Note("a", 0, Q, 60),), bars, (MeterChange(0, Meter(4, 4)),))
    assert [b.duration_div // Q for b in whole_bars(score)] == [1, 4, 4, 3]
    mapped = plan_bars(score)
    assert (mapped.pickup_div, mapped.bars) == (Q, 3)
    assert [mapped.nearest_bar(x * Q) for x in (0, 1, 4, 5, 12)] == [0, 0, 1, 1, 3]


def test_plan_of_a_returning_tune() -> None:
    a = (60, 64, 67, 72, 71, 69, 67, 65, 64, 67, 65, 62, 60, 59, 60)
    b = (67, 71, 74, 79, 78, 76, 74, 72, 71, 74, 72, 69, 67, 66, 67)
    c = (69, 60, 68, 61, 70, 59, 66, 62, 65, 64, 61, 71, 58, 73, 57)
    rhythm = (1,) * 14 + (2,)
    score = line(a + c + a + b, durations=rhythm * 4)
    plan = plan_of_score(score, style="test", ensemble="piano")
    assert plan.bars == 16
    assert [s.label for s in plan.sections[:3]] == ["A", "B", "A"]
    assert plan.sections[2].source == 0
    assert plan.sections[2].variation == pytest.approx(0, abs=1e-3)
    assert plan.themes[0].label == "A"
    assert [n.pitch for n in plan.themes[0].notes][:4] == list(a[:4])
    assert all(sum(c.duration_div for c in s.chords) == s.bars * plan.meter.bar_div for s in plan.sections)


def test_plan_with_an_upbeat_and_a_short_last_bar() -> None:
    score = satb(CADENCE * 4, quarters=1)
    bars = (Bar(0, Q, 0), *(Bar(Q + i * 4 * Q, 4 * Q, i + 1) for i in range(3)), Bar(13 * Q, 3 * Q, 4))
    plan = plan_of_score(Score(score.parts, score.notes, bars, score.meters))
    assert (plan.pickup_div, plan.bars) == (Q, 4)
    assert plan.end_div == 17 * Q
    assert str(plan.key) == "C"
    assert plan.themes[0].notes[0].onset_div == -Q


def test_plans_refuse_what_they_cannot_hold() -> None:
    score = satb(CADENCE)
    mixed = Score(
        score.parts,
        score.notes,
        score.bars,
        (MeterChange(0, Meter(4, 4)), MeterChange(4 * Q, Meter(2, 2))),
    )
    with pytest.raises(PlanError, match="one meter"):
        plan_of_score(mixed)
    odd = (Bar(0, 4 * Q, 1), Bar(4 * Q, 5 * Q, 2), Bar(9 * Q, 4 * Q, 3), Bar(13 * Q, 3 * Q, 4))
    with pytest.raises(PlanError, match="bar 2"):
        plan_of_score(Score(score.parts, score.notes, odd, score.meters))


@pytest.mark.parametrize(
    ("quarters", "expected"),
    [
        ([], "none"),
        ([0], "long"),
        ([0, 2], "long"),
        ([0, 1, 2, 3], "quarter"),
        ([0, 1.5, 3], "quarter"),
        ([0, 1.5, 2, 3.5], "mixed"),  # dotted quarters and eighths, half and half
        ([i / 2 for i in range(8)], "eighth"),
        ([i / 3 for i in range(12)], "triplet"),
        ([i / 6 for i in range(24)], "triplet"),
        ([0, 0.75, 1, 1.75, 2, 3], "dotted"),
        ([i / 4 for i in range(16)], "sixteenth"),
        ([i / 8 for i in range(32)], "sixteenth"),
        ([0, 0.25, 0.5, 1, 2, 3, 3.25, 3.5], "mixed"),
    ],
)
def test_rhythm_classes(quarters: list[float], expected: str) -> None:
    onsets = np.array([round(q * Q) for q in quarters], dtype=np.int64)
    assert rhythm_class(onsets, 4 * Q) == expected
    assert rhythm_class(np.repeat(onsets, 3)[::-1], 4 * Q) == expected  # chords and order say nothing


def test_bar_textures_count_what_is_struck_and_span_what_sounds() -> None:
    notes = [
        Note("held", 0, 8 * Q, 40),
        *(Note(f"n{i}", i * Q // 2, Q // 2, 60 + 2 * (i % 4)) for i in range(8)),
        Note("top", 8 * Q, 2 * Q, 84),
    ]
    meter = Meter.parse("4/4")
    score = Score((Part("P"),), sort_notes(notes), regular_bars(meter, 4), (MeterChange(0, meter),))
    found = bar_textures(note_arrays(score), [bar.onset_div for bar in score.bars] + [score.end_div])
    assert found == (
        BarTexture(2.25, 60.4, 26, "eighth"),  # (40 + 8 notes of mean 63) / 9
        BarTexture(0.0, None, 0, "none"),  # the held note only
        BarTexture(0.25, 84.0, 0, "long"),
        BarTexture(0.0, None, 0, "none"),
    )


def test_a_plan_has_a_texture_for_each_bar() -> None:
    plan = plan_of_score(line([72, 71, 69, 67] * 8, meter="2/4"))
    assert [len(s.textures) for s in plan.sections] == [s.bars for s in plan.sections]
    assert {t.rhythm for s in plan.sections for t in s.textures} == {"quarter"}


def repeated(bars: Score, numbers: list[int]) -> Score:
    """The score with these printed bar numbers."""
    return replace(bars, bars=tuple(replace(b, number=n) for b, n in zip(bars.bars, numbers, strict=True)), sections=())


def test_repeats_show_in_the_bar_numbers() -> None:
    tune = satb(CADENCE * 5)
    numbers = [*range(1, 7), *range(1, 7), *range(7, 11), *range(7, 11)]
    score = repeated(tune, numbers)
    bar = Meter.parse("4/4").bar_div
    assert repeat_places(score) == (0, 6 * bar, 12 * bar, 16 * bar, 20 * bar)
    assert repeat_places(tune) == ()
    ending = repeated(tune, [1, 2, 3, 4, 1, 2, 3, 5, *range(6, 18)])  # a second ending instead of bar 4
    assert repeat_places(ending) == (0, 4 * bar, 8 * bar)
    assert repeat_places(repeated(tune, [*range(9, 15), *range(1, 15)])) == ()  # goes back to what is not there


def test_sections_begin_at_repeats() -> None:
    pitches = [60, 64, 67, 65, 64, 62, 60, 59]
    score = repeated(line(pitches * 12, meter="4/4"), [*range(1, 11), *range(1, 11), *range(11, 15)])
    plan = plan_of_score(score)
    bounds = [*plan.first_bars, plan.bars]
    assert {0, 10, 20, 24} <= set(bounds)


def test_repeats_push_aside_bounds_that_are_too_near() -> None:
    assert with_signs([0, 8, 16, 24], (10, 20)) == [0, 10, 16, 20, 24]
    assert with_signs([0, 24], (2, 12, 14)) == [0, 12, 24]
    assert with_signs([0, 8, 24], ()) == [0, 8, 24]


def test_rare_fermatas_do_not_stand_for_all_phrases() -> None:
    tune = line([60, 62, 64, 65, 67, 65, 64, 0] * 24, [1, 1, 1, 1, 1, 1, 0.5, 1.5] * 24)
    bar = tune.bars[0].duration_div
    rare, dense = (
        replace(tune, directions=tuple(Direction(b * bar + 2 * Q, "fermata") for b in bars))
        for bars in ((11, 23), range(3, 48, 4))
    )
    assert phrase_fermatas(rare) == phrase_fermatas(tune) == ()
    assert len(phrase_fermatas(dense)) == 12
    lengths = [p.bars for s in plan_of_score(rare).sections for p in s.phrases]
    assert max(lengths) <= 8
    assert {p.bars for s in plan_of_score(dense).sections for p in s.phrases} == {4}


def test_a_repeat_is_divided_as_its_first_time() -> None:
    rng = np.random.default_rng(5)
    part = rng.integers(60, 84, 20 * 4).tolist()
    score = line(part + part + [72, 71, 69, 67] * 10, meter="4/4")
    products = bar_products(score)
    assert bounds_between_signs([0, 9, 27, 34, 50], (20, 40), products) == [0, 9, 20, 29, 40, 50]
    assert bounds_between_signs([0, 9, 27, 50], (), products) == [0, 9, 27, 50]
    assert bounds_between_signs([0, 22, 50], (10, 30), products) == [0, 10, 22, 30, 50]  # twenty bars; alike to none


def test_marks_that_name_no_part_are_no_bounds() -> None:
    score = line([60, 64, 67, 65, 64, 62, 60, 59] * 12, meter="4/4")
    labels = (
        (0, "Allegro"),
        (6, "cantabile"),
        (10, "Trio"),
        (15, "Tempo I"),
        (17, "a tempo"),
        (20, "quasi cadenza"),
        (23, "Fine"),
    )
    marks = tuple(SectionMark(bar * 4 * Q, label) for bar, label in labels)
    marked = replace(score, sections=marks)
    assert mark_places(marked) == (10 * 4 * Q, 15 * 4 * Q)
    assert lettered(marked) == {}
    plan = plan_of_score(marked)
    assert {10, 15} <= set(plan.first_bars)
    assert plan_of_score(replace(score, sections=marks[:1])).sections == plan_of_score(score).sections
