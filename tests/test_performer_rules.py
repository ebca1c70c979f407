"""The rule performer: the contract, and each rule shown on music where it can be measured."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from music.errors import RequestError
from music.harmony import chord_pcs
from music.performance import Performance, PerformedNote
from music.pitch import Key
from music.plan import Phrase, Section
from music.score import Direction, SectionMark, TempoChange
from performer.interface import Performer
from performer.rule_dynamics import LEVELS, harmonic_charge, level_curve
from performer.rule_noise import pink
from performer.rules import RulePerformer
from tests.contract_performer import PerformerContract, Q, check, make, plan_for, tune


class TestRulePerformer(PerformerContract):
    def performer(self) -> Performer:
        return RulePerformer()


class TestDeadpan(PerformerContract):
    def performer(self) -> Performer:
        return RulePerformer(expression=0.0)

    def test_same_seed_same_performance(self) -> None:
        score = make(tune(), bars=8)
        assert self.performer().perform(score, seed=3) == self.performer().perform(score, seed=4)


class TestExaggerated(PerformerContract):
    def performer(self) -> Performer:
        return RulePerformer(expression=3.0)


def by_id(performance: Performance) -> dict[str, PerformedNote]:
    return {n.note_id: n for n in performance.notes}


def play(rows: list, *, expression: float = 1.0, seed: int = 0, **score: object) -> dict[str, PerformedNote]:
    return by_id(RulePerformer(expression=expression).perform(make(rows, **score), seed=seed))  # type: ignore[arg-type]


def mean_velocity(notes: dict[str, PerformedNote], ids: list[int]) -> float:
    return float(np.mean([notes[f"n{i}"].velocity for i in ids]))


def test_deadpan_is_what_is_printed() -> None:
    notes = play(tune(), bars=8, expression=0.0, tempos=(TempoChange(0, 120.0),))
    assert [notes[f"n{i}"].onset_sec for i in range(32)] == pytest.approx([i / 2 for i in range(32)])
    assert {n.velocity for n in notes.values()} == {65}
    assert notes["n0"].duration_sec == pytest.approx(0.5)


def test_expression_is_bounded() -> None:
    for wrong in (-0.1, 3.1, float("nan")):
        with pytest.raises(RequestError, match="expression"):
            RulePerformer(expression=wrong)


def test_tempo_falls_at_the_end_and_the_whole_keeps_its_tempo() -> None:
    notes = play(tune(16), bars=16, tempos=(TempoChange(0, 120.0),))
    iois = np.diff([notes[f"n{i}"].onset_sec for i in range(64)])
    assert 0.5 * 0.95 < iois[:48].mean() < 0.5 * 1.08
    assert iois[-1] > 1.4 * iois[24:40].mean()
    assert iois[-1] > iois[-4] > iois[-8]
    # The Friberg-Sundberg curve ends at half tempo; an exaggerated one ends slower.
    exaggerated = play(tune(16), bars=16, expression=1.5, tempos=(TempoChange(0, 120.0),))
    assert exaggerated["n63"].onset_sec - exaggerated["n62"].onset_sec > iois[-1]


def test_phrases_slow_down_and_soften_at_their_ends() -> None:
    section = Section("A", 16, Key("C"), tuple(Phrase(4, idea, "PAC") for idea in "abab"))
    plan = replace(plan_for(16), sections=(section,))
    score = make(tune(16), bars=16, tempos=(TempoChange(0, 80.0),))
    runs = [by_id(RulePerformer().perform(score, seed=seed, plan=plan)) for seed in range(8)]
    iois = np.mean([np.diff([r[f"n{i}"].onset_sec for i in range(64)]) for r in runs], axis=0)
    loud = np.mean([[r[f"n{i}"].velocity for i in range(64)] for r in runs], axis=0)
    for phrase in (0, 16, 32):
        assert iois[phrase + 14 : phrase + 16].mean() > iois[phrase + 6 : phrase + 8].mean() * 1.03
        assert loud[phrase + 8 : phrase + 10].mean() > loud[phrase + 14 : phrase + 16].mean() + 2


def test_a_section_breathes_and_the_plan_says_where() -> None:
    score = make(tune(), bars=8)
    plan = plan_for(8)
    with_plan = by_id(RulePerformer().perform(score, seed=0, plan=plan))
    assert with_plan["n16"].onset_sec - with_plan["n15"].onset_sec > 1.15 * (
        with_plan["n14"].onset_sec - with_plan["n13"].onset_sec
    )
    # p then f
    assert mean_velocity(with_plan, list(range(16, 28))) > mean_velocity(with_plan, list(range(16))) + 20
    marked = play(tune(), bars=8, sections=(SectionMark(0, "A"), SectionMark(20 * Q, "B")))
    assert marked["n20"].onset_sec - marked["n19"].onset_sec > 1.1 * (marked["n10"].onset_sec - marked["n9"].onset_sec)


def test_the_plan_gives_tempo_where_the_score_has_none() -> None:
    score = make(tune(), bars=8, tempos=())
    deadpan = by_id(RulePerformer(expression=0.0).perform(score, seed=0, plan=plan_for(8)))
    assert deadpan["n1"].onset_sec == pytest.approx(60 / 90, abs=1e-5)
    assert deadpan["n17"].onset_sec - deadpan["n16"].onset_sec == pytest.approx(60 / (90 * 1.2), abs=1e-5)


@pytest.mark.parametrize(("word", "seconds"), [("Adagio", 60 / 62), ("Allegro con brio", 60 / 132), ("", 60 / 100)])
def test_tempo_words_count_where_no_number_stands(word: str, seconds: float) -> None:
    notes = play(tune(), bars=8, expression=0.0, tempos=(), directions=(Direction(0, "tempo", word),))
    assert notes["n1"].onset_sec == pytest.approx(seconds, abs=1e-5)


def test_melody_is_louder_and_leads() -> None:
    runs = [play(tune(16), bars=16, seed=seed) for seed in range(6)]
    lead = [r[f"n{64 + i}"].onset_sec - r[f"n{2 * i}"].onset_sec for r in runs for i in range(1, 28)]
    assert 0.010 < np.mean(lead) < 0.030
    assert all(mean_velocity(r, list(range(64))) > mean_velocity(r, list(range(64, 96))) + 5 for r in runs)


def test_downbeats_are_accented() -> None:
    rows = [(i * 1.0, 1.0, 72) for i in range(64)]
    runs = [play(rows, bars=16, seed=seed) for seed in range(6)]
    loud = np.mean([[r[f"n{i}"].velocity for i in range(64)] for r in runs], axis=0).reshape(16, 4).mean(axis=0)
    assert loud[0] > loud[2] > loud[1] - 1
    assert loud[0] > loud[3] + 1


def test_written_dynamics_and_hairpins_are_obeyed() -> None:
    signs = (
        Direction(0, "dynamic", "pp"),
        Direction(8 * Q, "crescendo", duration_div=8 * Q),
        Direction(16 * Q, "dynamic", "ff"),
        Direction(24 * Q, "dynamic", "p"),
    )
    loud = [play(tune(), bars=8, expression=0.0, directions=signs)[f"n{i}"].velocity for i in range(32)]
    assert loud[:8] == [round(LEVELS["pp"])] * 8
    assert loud[8:17] == sorted(loud[8:17])
    assert loud[12] == pytest.approx((LEVELS["pp"] + LEVELS["ff"]) / 2, abs=2)
    assert loud[16:24] == [round(LEVELS["ff"])] * 8
    assert loud[24:] == [round(LEVELS["p"])] * 8


def test_a_hairpin_without_a_goal_moves_and_stays() -> None:
    curve = level_curve([Direction(4 * Q, "diminuendo", duration_div=4 * Q)], None)
    levels = np.interp([0, 4 * Q, 8 * Q, 20 * Q], curve[:, 0], curve[:, 1])
    assert levels[0] == levels[1] == LEVELS["mf"]
    assert levels[2] == levels[3] == LEVELS["mf"] - 14


def test_dynamics_of_one_part_hold_for_a_part_without_any() -> None:
    signs = (Direction(0, "dynamic", "ff", part=0),)
    notes = play([(0, 1, 60), (0, 1, 64)], parts=2, expression=0.0, directions=signs)
    assert notes["n0"].velocity == notes["n1"].velocity == round(LEVELS["ff"])


def test_signs_on_notes() -> None:
    signs = (
        Direction(1 * Q, "articulation", "staccato"),
        Direction(2 * Q, "articulation", "accent"),
        Direction(5 * Q, "fermata"),
    )
    rows = [(i * 1.0, 1.0, 60 + i) for i in range(16)]
    plain, signed = play(rows, expression=0.0), play(rows, expression=0.0, directions=signs)
    assert signed["n1"].duration_sec == pytest.approx(plain["n1"].duration_sec / 2)
    assert signed["n2"].velocity == plain["n2"].velocity + 11
    plain, signed = play(rows), play(rows, directions=signs)
    assert signed["n6"].onset_sec - signed["n5"].onset_sec > 1.5 * (plain["n6"].onset_sec - plain["n5"].onset_sec)


@pytest.mark.parametrize(("word", "slower"), [("rit.", True), ("rallentando", True), ("accelerando", False)])
def test_tempo_words_bend_the_tempo(word: str, slower: bool) -> None:
    signs = (Direction(8 * Q, "tempo", word), Direction(16 * Q, "tempo", "a tempo"))
    plain, bent = play(tune(), bars=8), play(tune(), bars=8, directions=signs)
    ratio = (bent["n15"].onset_sec - bent["n14"].onset_sec) / (plain["n15"].onset_sec - plain["n14"].onset_sec)
    assert (ratio > 1.15) if slower else (ratio < 0.9)
    after = (bent["n20"].onset_sec - bent["n19"].onset_sec) / (plain["n20"].onset_sec - plain["n19"].onset_sec)
    assert after == pytest.approx(1, abs=0.02)


def test_arpeggio_rolls_upwards() -> None:
    rows = [(0.0, 2.0, pitch) for pitch in (48, 55, 64, 72)]
    notes = play(rows, expression=0.0, directions=(Direction(0, "arpeggio"),))
    steps = np.diff([notes[f"n{i}"].onset_sec for i in range(4)])
    assert np.all(steps > 0.03)
    assert notes["n3"].onset_sec < 0.4


def test_grace_notes_come_before_the_beat_in_their_order() -> None:
    rows = [(0.0, 2.0, 60), (2.0, 0.0, 67), (2.0, 0.0, 65), (2.0, 2.0, 64)]
    notes = play(rows, expression=0.0)
    onsets = [notes[f"n{i}"].onset_sec for i in range(4)]
    assert onsets == sorted(onsets)
    assert onsets[3] == pytest.approx(1.2)
    assert 0.1 < onsets[3] - onsets[1] < 0.2
    assert notes["n0"].onset_sec + notes["n0"].duration_sec <= onsets[1] + 1e-6


def test_grace_before_the_first_beat_delays_everything_alike() -> None:
    notes = play([(0.0, 0.0, 67), (0.0, 4.0, 64), (4.0, 4.0, 62)], expression=0.0)
    assert notes["n0"].onset_sec == 0
    assert notes["n2"].onset_sec - notes["n1"].onset_sec == pytest.approx(2.4)


def test_repeated_notes_are_detached_and_slurred_ones_joined() -> None:
    rows = [(0.0, 1.0, 60), (1.0, 1.0, 60), (2.0, 1.0, 62), (3.0, 1.0, 64), (4.0, 4.0, 65)]
    notes = play(rows, directions=(Direction(2 * Q, "slur", duration_div=2 * Q + 4 * Q),))
    gap = [notes[f"n{i + 1}"].onset_sec - notes[f"n{i}"].onset_sec - notes[f"n{i}"].duration_sec for i in range(4)]
    assert gap[0] > 0.06
    assert gap[0] > gap[1] > 0
    assert gap[2] < 0.01


def test_unison_keeps_one_loud_strike() -> None:
    notes = play([(0.0, 1.0, 60), (0.0, 4.0, 60)], parts=2, expression=0.0)
    assert notes["n1"].onset_sec - notes["n0"].onset_sec == pytest.approx(0.012)
    assert notes["n0"].velocity < notes["n1"].velocity / 2
    assert notes["n1"].duration_sec > 2


def test_pedal_changes_with_the_bar_and_spares_staccato() -> None:
    performance = RulePerformer().perform(make(tune(), bars=8), seed=0)
    downs = [p for p in performance.pedals if p.value >= 64]
    assert len(downs) == 16  # the bass changes twice a bar
    signs = tuple(Direction(i * Q, "articulation", "staccato") for i in range(32))
    assert RulePerformer().perform(make(tune(), bars=8, directions=signs), seed=0).pedals == ()
    assert RulePerformer(expression=0.0).perform(make(tune(), bars=8), seed=0).pedals == ()


def test_no_moving_line_is_pedalled_in_four_parts() -> None:
    rows = [(i * 1.0, 1.0, 60 + 4 * part) for i in range(16) for part in range(4)]
    score = make(rows, parts=4)
    assert len([p for p in RulePerformer().perform(score, seed=0).pedals if p.value]) >= 12


def test_harmonic_charge_is_least_for_the_tonic() -> None:
    key = Key("G")
    tonic, dominant, remote = (harmonic_charge(chord_pcs(pc, "maj"), key) for pc in (7, 2, 8))
    assert tonic == 0
    assert tonic < dominant < remote


def test_pink_noise_remembers() -> None:
    rng = np.random.default_rng(0)
    lag = np.mean([np.corrcoef(n[:-1], n[1:])[0, 1] for n in (pink(400, rng) for _ in range(20))])
    assert lag > 0.4
    assert len(pink(0, rng)) == 0
    assert np.isfinite(pink(1, rng)).all()


def test_three_minutes_are_played_in_no_time() -> None:
    rows = [(i / 4, 0.25, 60 + i % 24) for i in range(1440)] + [(i / 2, 0.5, 40 + i % 12) for i in range(720)]
    score = make(rows, bars=90, tempos=(TempoChange(0, 120.0),))
    start = time.perf_counter()
    performance = RulePerformer().perform(score, seed=0)
    assert time.perf_counter() - start < 5  # 0.1 s on an idle core; run-time type checks and other work cost some
    check(score, performance)
