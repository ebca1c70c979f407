"""The performance codec: what was encoded comes back, its terms mean what they say, and what it plays can be played."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.errors import ScoreError
from music.performance import Pedal, Performance, PerformedNote
from music.score import Score, TempoChange
from performer.codec import GAP_SEC, NoteParameters, decode, encode, tempo_map, without_overlaps
from performer.rules import RulePerformer
from tests.contract_performer import Q, hard_scores, make, tune


def by_id(performance: Performance) -> dict[str, PerformedNote]:
    return {n.note_id: n for n in performance.notes}


def again(score: Score, performance: Performance) -> Performance:
    return decode(score, encode(score, performance), start_sec=performance.notes[0].onset_sec)


def check_same(performance: Performance, other: Performance) -> None:
    first, second = by_id(performance), by_id(other)
    assert first.keys() == second.keys()
    for name, note in first.items():
        assert second[name].pitch == note.pitch
        assert second[name].velocity == note.velocity
        assert abs(second[name].onset_sec - note.onset_sec) < 1e-3, name
        assert abs(second[name].duration_sec - note.duration_sec) < 1e-3, name


def check_playable(performance: Performance) -> None:
    keys: dict[int, list[PerformedNote]] = {}
    for note in performance.notes:
        keys.setdefault(note.pitch, []).append(note)
    for notes in keys.values():
        for a, b in pairwise(notes):
            assert a.onset_sec + a.duration_sec <= b.onset_sec - GAP_SEC + 2e-5
    assert not performance.pedals or performance.pedals[-1].value == 0


def perform(score: Score, rows: dict[str, tuple[float, float, int]]) -> Performance:
    """A performance from (onset, duration, velocity) by id."""
    pitch = {n.id: n.pitch for n in score.notes}
    notes = [PerformedNote(name, on, length, pitch[name], loud) for name, (on, length, loud) in rows.items()]
    return Performance(tuple(sorted(notes, key=lambda n: n.onset_sec)))


# Strategies draw plain values and the tests build from them: the type checks draw from `random`, which hypothesis
# does not want inside a strategy.
ROWS = st.lists(
    st.tuples(
        st.integers(0, 23).map(lambda i: i / 3),
        st.sampled_from([0.0, 0.25, 1 / 3, 1.0, 2.5]),
        st.integers(58, 64),
    ),
    min_size=1,
    max_size=24,
)
PICKUPS = st.sampled_from([0.0, 0.5, 1.0])
PARTS = st.integers(1, 2)
JITTERS = st.sampled_from([0.0, 0.01, 0.05, 0.5, 3.0])
SEEDS = st.integers(0, 2**32 - 1)
Rows = list[tuple[float, float, int]]


def played_anyhow(score: Score, jitter: float, seed: int) -> Performance:
    """Any performance of a score that a keyboard allows, however far from it, with a pedal."""
    rng = np.random.default_rng(seed)
    start = float(rng.uniform(0, 2)) + jitter
    notes = [
        PerformedNote(
            n.id,
            start + n.onset_div / Q * 0.6 + float(rng.uniform(-jitter, jitter)),
            float(rng.uniform(0.002, 1.5)),
            n.pitch,
            int(rng.integers(1, 128)),
        )
        for n in score.notes
    ]
    times = np.sort(rng.uniform(0, 8, size=int(rng.integers(0, 6)))).tolist()
    pedals = [Pedal(t, int(rng.integers(0, 128))) for t in times] + [Pedal(20.0, 0)]
    return Performance(without_overlaps(notes), tuple(pedals))


@settings(max_examples=150, deadline=None)
@given(ROWS, PICKUPS, PARTS, JITTERS, SEEDS)
def test_what_was_encoded_comes_back(rows: Rows, pickup: float, parts: int, jitter: float, seed: int) -> None:
    score = make(rows, bars=3, pickup=pickup, parts=parts)
    performance = played_anyhow(score, jitter, seed)
    other = again(score, performance)
    check_same(performance, other)
    check_playable(other)
    assert [p.value for p in other.pedals] == [p.value for p in performance.pedals]
    assert [p.onset_sec for p in other.pedals] == pytest.approx([p.onset_sec for p in performance.pedals], abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(ROWS, JITTERS, SEEDS)
def test_notes_that_are_not_played_are_masked(rows: Rows, jitter: float, seed: int) -> None:
    score = make(rows, bars=3)
    performance = played_anyhow(score, jitter, seed)
    kept = (np.random.default_rng(seed).random(len(rows)) < 0.6).tolist()
    notes = tuple(n for n, keep in zip(performance.notes, kept, strict=True) if keep)
    if not notes:
        with pytest.raises(ScoreError, match="plays no note"):
            encode(score, Performance(()))
        return
    part = Performance(notes)
    parameters = encode(score, part)
    assert {i for i, known in zip(parameters.note_ids, parameters.known, strict=True) if known} == by_id(part).keys()
    assert not parameters.timing[~parameters.known].any()
    assert not parameters.velocity[~parameters.known].any()
    check_same(part, again(score, part))


@settings(max_examples=60, deadline=None)
@given(ROWS, PARTS, SEEDS)
def test_any_parameters_can_be_played(rows: Rows, parts: int, seed: int) -> None:
    score = make(rows, bars=3, parts=parts)
    rng = np.random.default_rng(seed)
    size = len(score.notes)
    template = encode(score, RulePerformer().perform(score, seed=0))
    drawn = replace(
        template,
        beat_period=rng.uniform(0.2, 2.0, size),
        timing=rng.normal(0, 0.2, size),
        articulation_log=rng.normal(0, 2, size),
        velocity=rng.normal(64, 80, size),
        pedal_div=np.sort(rng.uniform(-Q, 12 * Q, 4)),
        pedal_value=rng.integers(-50, 200, 4),
    )
    performance = decode(score, drawn)
    assert by_id(performance).keys() == {n.id for n in score.notes}
    assert performance.notes[0].onset_sec == 0
    check_playable(performance)


@pytest.mark.parametrize("name", [n for n, score in hard_scores().items() if score.notes])
def test_rule_performances_come_back(name: str) -> None:
    score = hard_scores()[name]
    performance = RulePerformer().perform(score, seed=2)
    other = again(score, performance)
    check_same(performance, other)
    check_playable(other)


def test_chord_spread_melody_lead_and_pedal_of_a_rule_performance_survive() -> None:
    score = make(tune(), bars=8)
    performance = RulePerformer().perform(score, seed=5)
    other, notes = again(score, performance), by_id(performance)
    back = by_id(other)
    leads = [(f"n{2 * i}", f"n{32 + i}") for i in range(16)]
    lead = np.array([notes[low].onset_sec - notes[top].onset_sec for top, low in leads])
    assert np.abs(lead).max() > 0.01
    assert np.array([back[low].onset_sec - back[top].onset_sec for top, low in leads]) == pytest.approx(lead, abs=1e-5)
    assert len(performance.pedals) > 4
    assert [(p.onset_sec, p.value) for p in other.pedals] == [
        (pytest.approx(p.onset_sec, abs=1e-5), p.value) for p in performance.pedals
    ]


def test_the_terms_mean_what_they_say() -> None:
    # Two quarters and a chord of halves; the chord's lower note comes 20 ms late and its upper 20 ms early.
    score = make([(0, 1, 60), (1, 1, 62), (2, 2, 64), (2, 2, 67)], bars=1)
    rows = {"n0": (1.0, 0.25, 40), "n1": (1.5, 1.0, 50), "n2": (2.27, 1.0, 60), "n3": (2.23, 1.52, 127)}
    found = encode(score, perform(score, rows))
    assert found.note_ids == ("n0", "n1", "n2", "n3")
    assert found.beat_period == pytest.approx([0.5, 0.75, 0.75, 0.75])
    assert found.timing == pytest.approx([0, 0, -0.02, 0.02], abs=1e-12)
    assert found.articulation_log == pytest.approx([-1, np.log2(1 / 0.75), np.log2(1 / 1.5), np.log2(1.52 / 1.5)])
    assert found.velocity.tolist() == [40, 50, 60, 127]


def test_rows_stand_in_order_of_onset_pitch_and_id() -> None:
    score = make([(1, 1, 60), (0, 1, 70), (0, 1, 50), (1, 1, 60)], bars=1, parts=2)
    rows = {"n0": (1.0, 0.4, 9), "n1": (0.0, 0.4, 9), "n2": (0.0, 0.4, 9), "n3": (1.1, 0.4, 9)}
    assert encode(score, perform(score, rows)).note_ids == ("n2", "n1", "n0", "n3")


def test_grace_notes_keep_time_and_length_and_leave_the_curve_alone() -> None:
    score = make([(0, 1, 60), (1, 0, 65), (1, 1, 64), (2, 2, 62)], bars=1)
    rows = {"n0": (0.0, 0.4, 50), "n1": (0.4, 0.07, 45), "n2": (0.5, 0.5, 60), "n3": (1.0, 1.0, 50)}
    found = encode(score, perform(score, rows))
    grace = found.note_ids.index("n1")
    assert found.beat_period == pytest.approx([0.5] * 4)
    assert found.timing[grace] == pytest.approx(0.1)
    assert found.articulation_log[grace] == pytest.approx(np.log2(0.07 / (0.5 / 8)))
    check_same(perform(score, rows), again(score, perform(score, rows)))


def test_a_curve_never_runs_backwards() -> None:
    # One note is half a minute late: the curve goes past it.
    score = make([(i, 1, 60 + i) for i in range(8)], bars=2)
    rows = {f"n{i}": (0.5 * i if i != 3 else 30.0, 0.4, 64) for i in range(8)}
    found = encode(score, perform(score, rows))
    assert found.beat_period[:7] == pytest.approx([0.5] * 7)
    assert found.timing[3] == pytest.approx(1.5 - 30.0)
    check_same(perform(score, rows), again(score, perform(score, rows)))


def test_a_missing_onset_is_bridged() -> None:
    score = make([(i, 1, 60) for i in range(4)], bars=1)
    found = encode(score, perform(score, {"n0": (0.0, 0.2, 9), "n1": (0.5, 0.2, 9), "n3": (2.1, 0.5, 9)}))
    assert found.known.tolist() == [True, True, False, True]
    assert found.beat_period == pytest.approx([0.5, 0.8, 0.8, 0.5])


def test_what_does_not_belong_is_refused() -> None:
    score, other = make(tune(), bars=8), make(tune(4), bars=8)
    performance = RulePerformer().perform(score, seed=0)
    with pytest.raises(ScoreError, match="not in the score"):
        encode(other, performance)
    with pytest.raises(ScoreError, match="without notes"):
        encode(make([]), Performance(()))
    parameters = encode(score, performance)
    with pytest.raises(ScoreError, match="another score"):
        decode(other, parameters)
    with pytest.raises(ScoreError, match="starts"):
        decode(score, parameters, start_sec=-1.0)
    with pytest.raises(ScoreError, match="nothing"):
        decode(score, replace(parameters, known=np.zeros(len(score.notes), dtype=bool)))
    for wrong in (0.0, float("nan"), -1.0):
        with pytest.raises(ScoreError, match="beat period"):
            replace(parameters, beat_period=np.full(len(score.notes), wrong))
    with pytest.raises(ScoreError, match="pedal"):
        replace(parameters, pedal_div=np.array([1.0, 0.0]), pedal_value=np.array([1, 0]))


def test_a_wrong_key_counts_as_the_note_that_is_written() -> None:
    score = make([(0, 2, 60), (2, 2, 64)], bars=1)
    right = perform(score, {"n0": (0.0, 0.9, 50), "n1": (1.0, 0.9, 60)})
    wrong = Performance((right.notes[0], replace(right.notes[1], pitch=65)))
    assert again(score, wrong) == again(score, right) == right


def test_a_pedal_left_down_comes_up_with_the_last_note() -> None:
    score = make([(0, 4, 60)], bars=1)
    performance = Performance((PerformedNote("n0", 0.5, 2.0, 60, 64),), (Pedal(0.6, 90),))
    assert again(score, performance).pedals == (Pedal(0.6, 90), Pedal(2.5, 0))


def test_the_pedal_as_a_curve() -> None:
    score = make([(0, 2, 60), (2, 2, 62)], bars=1)
    notes = (PerformedNote("n0", 0.0, 1.0, 60, 64), PerformedNote("n1", 1.0, 1.0, 62, 64))
    found = encode(score, Performance(notes, (Pedal(0.5, 80), Pedal(1.5, 0))))
    assert found.pedal_div == pytest.approx([1 * Q, 3 * Q])
    assert found.pedal_at(np.array([0.0, 1.5 * Q, 2.9 * Q, 3.5 * Q])).tolist() == [0, 80, 80, 0]


def test_overlaps_of_a_key_are_undone_and_nothing_else_moves() -> None:
    held = PerformedNote("a", 0.0, 1.0, 60, 64)
    struck = PerformedNote("b", 0.5, 1.0, 60, 64)
    other = PerformedNote("c", 0.25, 2.0, 61, 64)
    kept = without_overlaps([other, struck, held])
    assert kept == (replace(held, duration_sec=0.5 - GAP_SEC), other, struck)
    unison = without_overlaps([held, replace(held, note_id="d", duration_sec=0.3)])
    assert [n.note_id for n in unison] == ["d", "a"]
    check_playable(Performance(unison))
    assert without_overlaps(kept) == kept
    assert without_overlaps(unison) == unison


def seconds_by_map(changes: tuple[TempoChange, ...], div: int) -> float:
    ends = [c.onset_div for c in changes[1:]] + [10**12]
    spans = [max(0, min(end, div) - c.onset_div) for c, end in zip(changes, ends, strict=True)]
    return sum(span / Q * 60 / c.qpm for c, span in zip(changes, spans, strict=True))


@pytest.mark.parametrize("pickup", [0.0, 1.0])
def test_the_tempo_map_follows_the_performance(pickup: float) -> None:
    rows = [(on + 1, length, pitch) for on, length, pitch in tune()]  # a rest first
    score = make(rows, bars=9, pickup=pickup)
    performance = RulePerformer().perform(score, seed=1)
    changes = tempo_map(score, encode(score, performance))
    assert changes[0].onset_div == 0
    replace(score, tempos=changes)  # a score takes it
    notes = by_id(performance)
    top = [f"n{i}" for i in range(1, 32, 2)]  # alone at their onsets, so they lie on the curve
    onset = {n.id: n.onset_div for n in score.notes}
    by_map = np.array([seconds_by_map(changes, onset[i]) for i in top])
    played = np.array([notes[i].onset_sec for i in top])
    assert by_map - by_map[0] == pytest.approx(played - played[0], abs=1e-6)


def test_the_tempo_map_makes_up_for_what_files_cannot_hold() -> None:
    # The third note comes 2 ms after the second, which is 30,000 quarters a minute.
    score = make([(i, 1, 60 + i) for i in range(6)], bars=2)
    onset = [0.0, 0.5, 0.502, 1.5, 2.0, 2.5]
    rows = {f"n{i}": (on, 0.5, 64) for i, on in enumerate(onset)}
    changes = tempo_map(score, encode(score, perform(score, rows)))
    assert all(4 <= c.qpm <= 2000 for c in changes)
    by_map = [seconds_by_map(changes, i * Q) for i in range(6)]
    assert by_map[:2] + by_map[3:] == pytest.approx(onset[:2] + onset[3:])
    assert by_map[2] == pytest.approx(1.0)


def test_the_terms_are_partituras() -> None:
    from partitura.musicanalysis.performance_codec import decode_time, encode_tempo

    score = make([*tune(), (0, 2, 55), (6, 1.5, 52)], bars=8)
    performance = RulePerformer().perform(score, seed=4)
    mine: NoteParameters = encode(score, performance)
    notes = {n.id: n for n in score.notes}
    played = by_id(performance)
    onset = np.array([notes[i].onset_div / Q for i in mine.note_ids])
    length = np.array([notes[i].duration_div / Q for i in mine.note_ids])
    sec = np.array([played[i].onset_sec for i in mine.note_ids])
    sounding = np.array([played[i].duration_sec for i in mine.note_ids])
    theirs = np.asarray(encode_tempo(onset, sec, length.copy(), sounding.copy()))
    assert mine.beat_period == pytest.approx(theirs["beat_period"], rel=1e-5)
    assert mine.timing == pytest.approx(theirs["timing"], abs=1e-5)
    assert mine.articulation_log == pytest.approx(theirs["articulation_log"], abs=1e-4)
    decoded = decode_time(onset, length, theirs)
    ours = by_id(decode(score, mine))
    assert [ours[i].onset_sec for i in mine.note_ids] == pytest.approx(decoded[:, 0], abs=1e-4)
    assert [ours[i].duration_sec for i in mine.note_ids] == pytest.approx(decoded[:, 1], abs=1e-4)
