"""What is told of each phrase: themes, copies and variations of what was written, notes of cadences, given notes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from composer.cadence_notes import closing_of, fix_closing
from composer.conditions import ATTACK, FIELD, FREE, HOLD, NO_REFERENCE, OFF, STATEMENT, THEME
from composer.given import Given
from composer.roll import LOWEST_PITCH, PITCHES
from composer.telling import Drawn, Teller, bars_to_vary, similarity_bin, spans_of
from composer.transfer import best_shift, moved_class, same_harmony, take
from music.harmony import chord_pcs, parse_figure
from music.pitch import Key
from music.plan import Phrase, Plan
from tests.composer_cases import made_roll
from tests.contract_composer import chorale_plan, piano_plan

BAR = 12  # steps of a bar of the piano plan, 3/4 in sixteenths
C_MAJOR, C_MINOR, G_MAJOR = Key.parse("C"), Key.parse("c"), Key.parse("G")


def _drawn(plan: Plan, seed: int = 0) -> Drawn:
    """Made-up notes for the whole of a plan."""
    roll = made_roll(seed, plan.end_div // 2520)
    drawn = Drawn.silent(roll.steps)
    drawn.play[1:], drawn.articulate[1:] = roll.play, roll.articulate
    return drawn


def _teller(plan: Plan, **options: object) -> Teller:
    return Teller(plan, 4, ("classical",), np.random.default_rng(0), **options)  # type: ignore[arg-type]


def _tell_all(teller: Teller, drawn: Drawn) -> None:
    for span in spans_of(teller.plan, 4):
        teller.tell(span, drawn)


def _chord(text: str, key: Key) -> ndarray:
    root, quality, _ = parse_figure(text, key)
    return np.isin(np.arange(12), chord_pcs(root, quality))


def test_phrases_cover_the_piece() -> None:
    spans = spans_of(chorale_plan(), 4)
    assert [(s.section, s.phrase) for s in spans] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert spans[0].first == 0
    assert [s.last for s in spans][:-1] == [s.first for s in spans][1:]
    assert spans[-1].last == chorale_plan().end_div // 2520


def test_a_theme_is_set_with_nothing_above_it() -> None:
    plan = piano_plan()
    teller = _teller(plan)
    teller.tell(spans_of(plan, 4)[0], _drawn(plan))
    fixed = teller.told.fixed
    column = 67 - LOWEST_PITCH
    assert fixed[0, column] == ATTACK
    assert (fixed[1:4, column] == HOLD).all()
    assert (fixed[:4, column + 1 :] == OFF).all()
    assert (fixed[:4, :column] == FREE).all()
    assert (teller.told.reference_kind[: 4 * BAR] == THEME).all()


def test_a_theme_can_be_only_suggested() -> None:
    plan = piano_plan()
    teller = _teller(plan, fix_themes=False)
    teller.tell(spans_of(plan, 4)[0], _drawn(plan))
    assert (teller.told.fixed == FREE).all()
    assert teller.told.reference_play[0, 67 - LOWEST_PITCH]


@pytest.mark.parametrize("seed", range(3))
def test_an_exact_return_is_a_copy(seed: int) -> None:
    plan = piano_plan()
    drawn = _drawn(plan, seed)
    teller = _teller(plan, variation=0.0)
    teller.tell(next(s for s in spans_of(plan, 4) if s.section == 2), drawn)
    first = 16 * BAR
    rows = slice(first, first + 8 * BAR)
    play, struck = drawn.passage(0, 8 * BAR)
    assert np.array_equal(teller.told.fixed[rows] == ATTACK, struck)
    assert np.array_equal(teller.told.fixed[rows] >= HOLD, play)
    assert (teller.told.fixed[rows] != FREE).all()
    assert (teller.told.context[rows, FIELD["similarity"]] == 4).all()


def test_a_return_closes_as_its_own_plan_says() -> None:
    """The last phrase of A' gets a half cadence on V in place of the PAC: its last bar is free, the rest copied."""
    plan = piano_plan()
    *before, last = plan.sections
    phrases = (last.phrases[0], Phrase(4, "a'", "HC"))
    chords = (*last.chords[:-1], replace(last.chords[3], onset_div=last.chords[-1].onset_div))
    other = replace(plan, sections=(*before, replace(last, phrases=phrases, chords=chords)))
    teller = _teller(other, variation=0.0)
    teller.tell(next(s for s in spans_of(other, 4) if s.section == 2), _drawn(plan))
    free = (teller.told.fixed[16 * BAR : 24 * BAR] == FREE).all(axis=1).reshape(8, BAR).all(axis=1)
    assert free.tolist() == [False] * 7 + [True]
    assert teller.told.reference_kind[23 * BAR] == NO_REFERENCE


def test_more_bars_are_altered_the_greater_the_variation() -> None:
    plan = piano_plan()
    shares = []
    for variation in (0.0, 0.3, 0.6, 1.0):
        copied = []
        for seed in range(20):
            teller = Teller(plan, 4, (), np.random.default_rng(seed), variation=variation)
            teller.tell(next(s for s in spans_of(plan, 4) if s.section == 2), _drawn(plan))
            bars = (teller.told.fixed[16 * BAR : 24 * BAR] != FREE).all(axis=1).reshape(8, BAR).all(axis=1)
            copied.append(1 - bars.mean())
        shares.append(float(np.mean(copied)))
    assert shares[0] == 0
    assert 0.3 < shares[1] < 0.5
    assert 0.7 < shares[2] < 0.9
    assert shares[3] == 1


def test_the_first_bar_is_altered_last() -> None:
    none = np.zeros(8, dtype=bool)
    counts = np.stack([bars_to_vary(np.random.default_rng(s), none, 0.3) for s in range(200)]).sum(axis=0)
    assert counts[0] < counts[1:].min() / 3
    free = np.array([False] * 6 + [True] * 2)
    varied = bars_to_vary(np.random.default_rng(0), free, 1.0)
    assert not varied[free].any()
    assert varied[~free].all()


def test_bins_fall_with_variation() -> None:
    rng = np.random.default_rng(0)
    bins = {v: {similarity_bin(rng, v) for _ in range(50)} for v in (0.3, 0.6, 1.0)}
    assert bins == {0.3: {2, 3}, 0.6: {2}, 1.0: {0, 1}}


def test_an_altered_bar_keeps_one_outer_voice_or_none() -> None:
    plan = piano_plan()
    drawn = _drawn(plan)
    seen = set()
    for seed in range(12):
        teller = Teller(plan, 4, (), np.random.default_rng(seed), variation=0.5)
        teller.tell(next(s for s in spans_of(plan, 4) if s.section == 2), drawn)
        for bar in range(8):
            rows = slice((16 + bar) * BAR, (17 + bar) * BAR)
            fixed, play = teller.told.fixed[rows], drawn.play[bar * BAR + 1 :][:BAR]
            assert (teller.told.reference_kind[rows] == STATEMENT).all()
            if (fixed == FREE).all():
                seen.add("neither")
                continue
            if (fixed != FREE).all():
                continue
            step = int(np.flatnonzero(play.any(axis=1))[0])
            sounding = np.flatnonzero(play[step])
            high = fixed[step, sounding[-1]] >= HOLD
            seen.add("melody" if high else "bass")
            beyond = fixed[step, sounding[-1] + 1 :] if high else fixed[step, : sounding[0]]
            assert (beyond == OFF).all()
    assert seen == {"melody", "bass", "neither"}


def test_the_second_half_of_a_period_follows_the_first_up_to_its_cadence() -> None:
    """A is a a' over I IV ii6 V | I IV V7 I: bars 5 and 6 have their model's chords, 7 and 8 others."""
    plan = piano_plan()
    bare = replace(plan, sections=tuple(replace(s, theme=None) for s in plan.sections))
    teller = _teller(bare)
    drawn = _drawn(plan)
    for span in spans_of(bare, 4)[:2]:
        teller.tell(span, drawn)
    kinds = teller.told.reference_kind[4 * BAR : 8 * BAR].reshape(4, BAR)
    assert (kinds[:2] == STATEMENT).all()
    assert (kinds[2:] == NO_REFERENCE).all()
    # Under a theme the theme itself is the model.
    themed = _teller(plan)
    for span in spans_of(plan, 4)[:2]:
        themed.tell(span, drawn)
    assert (themed.told.reference_kind[: 4 * BAR] == THEME).all()


def test_the_upbeat_of_a_return_comes_back() -> None:
    plan = chorale_plan()
    drawn = _drawn(plan)
    teller = _teller(plan)
    for span in spans_of(plan, 4)[:2]:
        teller.tell(span, drawn)
    start = plan.bar_onset_div(plan.first_bars[1]) // 2520
    tops = [int(np.flatnonzero(drawn.play[step + 1])[-1]) for step in range(4)]
    for step, top in enumerate(tops):
        assert teller.told.fixed[start - 4 + step, top] in (ATTACK, HOLD)
        assert (teller.told.fixed[start - 4 + step, top + 1 :] == OFF).all()


def test_given_notes_win() -> None:
    plan = piano_plan()
    cells = np.zeros((plan.end_div // 2520, PITCHES), dtype=np.int8)
    cells[: 2 * BAR, 80 - LOWEST_PITCH] = OFF
    cells[16 * BAR, 60 - LOWEST_PITCH] = ATTACK
    teller = _teller(plan, given=Given(cells, 4), variation=0.0)
    _tell_all(teller, _drawn(plan))
    fixed = teller.told.fixed
    assert np.array_equal(fixed[: len(cells)][cells != FREE], cells[cells != FREE])
    # A bar in which something is given is neither the theme's nor a copy.
    assert (fixed[: 2 * BAR][cells[: 2 * BAR] == FREE] == FREE).all()
    assert (fixed[16 * BAR : 17 * BAR] != FREE).sum() == 1
    assert (fixed[2 * BAR : 4 * BAR] == ATTACK).any()
    assert (fixed[17 * BAR : 18 * BAR] != FREE).all()


def test_nothing_is_nothing_but_the_meter() -> None:
    plan = piano_plan()
    teller = _teller(plan, nothing=True)
    _tell_all(teller, _drawn(plan))
    assert (teller.told.fixed == FREE).all()
    assert (teller.told.reference_kind == NO_REFERENCE).all()
    meter = ("bar_step", "bar_steps", "beat_steps", "grid", "strength")
    others = [index for name, index in FIELD.items() if name not in meter]
    assert (teller.told.context[:, others] == -1).all()
    assert (teller.told.context[:, FIELD["bar_steps"]] == BAR).all()


def test_degrees_change_with_the_mode_but_for_the_leading_tone() -> None:
    moved = [moved_class(pc, C_MAJOR, C_MINOR, _chord("i", C_MINOR)) for pc in (0, 4, 7, 9, 11)]
    assert moved == [0, 3, 7, 8, 10]
    assert moved_class(11, C_MAJOR, C_MINOR, _chord("V", C_MINOR)) == 11
    assert moved_class(10, C_MINOR, C_MAJOR, _chord("I", C_MAJOR)) == 11
    assert moved_class(4, C_MAJOR, G_MAJOR, _chord("I", G_MAJOR)) == 11


def test_harmony_is_compared_by_degree() -> None:
    major = np.stack([_chord(f, C_MAJOR) for f in ("I", "ii", "V7", "IV")])
    minor = np.stack([_chord(f, C_MINOR) for f in ("i", "iio", "V7", "VI")])
    assert same_harmony(major, minor, (C_MAJOR, C_MINOR), 1).tolist() == [True, True, True, False]
    assert not same_harmony(major, minor, (C_MAJOR, C_MAJOR), 1)[0]
    unknown = np.zeros_like(major)
    assert same_harmony(major, unknown, (C_MAJOR, C_MINOR), 1).all()


def test_a_passage_moves_to_minor_note_by_note() -> None:
    play, struck = np.zeros((4, PITCHES), dtype=bool), np.zeros((4, PITCHES), dtype=bool)
    play[:, 64 - LOWEST_PITCH] = play[:2, 71 - LOWEST_PITCH] = True
    struck[0, [64 - LOWEST_PITCH, 71 - LOWEST_PITCH]] = True
    chords = np.stack([_chord("V", C_MINOR)] * 2 + [_chord("i", C_MINOR)] * 2)
    taken, onsets = take(play, struck, (C_MAJOR, C_MINOR), chords, (21, 108))
    assert np.flatnonzero(taken[0]).tolist() == [63 - LOWEST_PITCH, 71 - LOWEST_PITCH]
    assert np.flatnonzero(taken[3]).tolist() == [63 - LOWEST_PITCH]
    assert onsets.sum() == 2


def test_a_passage_out_of_range_moves_by_an_octave() -> None:
    play = np.zeros((2, PITCHES), dtype=bool)
    play[:, 78 - LOWEST_PITCH] = play[:, 55 - LOWEST_PITCH] = True
    assert best_shift(play, 5, (40, 81)) == -7
    assert best_shift(play, 2, (40, 81)) == 2


def test_a_perfect_cadence_is_set_in_bass_and_soprano() -> None:
    """The last bars of A: V7, then I."""
    plan = piano_plan()
    closing = closing_of(plan, 0, 1, 4)
    assert closing is not None
    assert (closing.kind, closing.arrive, closing.end) == ("PAC", 7 * BAR, 8 * BAR)
    assert closing.basses == (2, 7)
    fixed = np.zeros((plan.end_div // 2520, PITCHES), dtype=np.int8)
    play = np.zeros((4, PITCHES), dtype=bool)
    play[:, [50 - LOWEST_PITCH, 72 - LOWEST_PITCH]] = True
    fix_closing(closing, fixed, play, "piano", np.random.default_rng(0))
    before, at = (np.flatnonzero(fixed[step] >= HOLD) + LOWEST_PITCH for step in (7 * BAR - 1, 7 * BAR))
    assert before[0] == 50
    assert before[-1] in (66, 69, 78, 81)
    assert 66 % 12 in before % 12  # the leading tone
    assert at[0] % 12 == at[-1] % 12 == 7
    assert (fixed[7 * BAR, : at[0] - LOWEST_PITCH] == OFF).all()
    assert (fixed[7 * BAR : 8 * BAR, at[-1] + 1 - LOWEST_PITCH :] == OFF).all()
    assert fixed[7 * BAR, at[-1] - LOWEST_PITCH] == ATTACK


def test_the_theme_wins_over_the_cadence() -> None:
    plan = piano_plan()
    closing = closing_of(plan, 0, 1, 4)
    assert closing is not None
    fixed = np.zeros((plan.end_div // 2520, PITCHES), dtype=np.int8)
    fixed[7 * BAR, 74 - LOWEST_PITCH] = ATTACK
    fixed[7 * BAR + 1 : 8 * BAR, 74 - LOWEST_PITCH] = HOLD
    fix_closing(closing, fixed, np.zeros((4, PITCHES), dtype=bool), "piano", np.random.default_rng(0))
    sounding = np.flatnonzero((fixed[7 * BAR : 8 * BAR] >= HOLD).any(axis=0)) + LOWEST_PITCH
    assert len(sounding) == 2
    assert sounding[-1] == 74
    assert sounding[0] % 12 == 7


def test_a_half_cadence_sets_the_bass_alone() -> None:
    plan = piano_plan()
    closing = closing_of(plan, 0, 0, 4)
    assert closing is not None
    assert closing.kind == "HC"
    fixed = np.zeros((plan.end_div // 2520, PITCHES), dtype=np.int8)
    fix_closing(closing, fixed, np.zeros((4, PITCHES), dtype=bool), "piano", np.random.default_rng(0))
    rows, columns = np.nonzero(fixed >= HOLD)
    assert rows.min() == 3 * BAR
    assert {(int(c) + LOWEST_PITCH) % 12 for c in columns} == {2}


def test_a_plan_whose_chords_are_no_cadence_sets_nothing() -> None:
    plan = piano_plan()
    first = plan.sections[0]
    chords = (*first.chords[:-2], replace(first.chords[1], onset_div=first.chords[-2].onset_div), first.chords[-1])
    plagal = replace(plan, sections=(replace(first, chords=chords), *plan.sections[1:]))
    assert closing_of(plagal, 0, 1, 4) is None
    assert closing_of(piano_plan(), 1, 0, 4) is None  # no cadence is asked for


def test_wrong_given_notes_are_refused() -> None:
    with pytest.raises(ValueError, match="grid"):
        Given(np.zeros((4, PITCHES), dtype=np.int8), 5)
    with pytest.raises(ValueError, match="states"):
        Given(np.full((4, PITCHES), 7, dtype=np.int8), 4)
