"""The features that the learned performer sees: order, names, meaning, and what may not change them."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.errors import ScoreError
from music.pitch import Key
from music.plan import Phrase, Plan, Section
from music.score import Bar, Direction, MeterChange, Score, SectionMark, TempoChange, regular_bars
from music.time import Meter
from performer.codec import decode, encode
from performer.feature_columns import NOTE_TABLE, ONSET_TABLE
from performer.features import (
    GROUPS,
    NOTE_COLUMNS,
    ONSET_COLUMNS,
    ScoreFeatures,
    columns_of,
    concealed,
    score_features,
)
from performer.rules import RulePerformer
from tests.contract_performer import Q, hard_scores, make, plan_for, tune


def played_hands(score: Score) -> Score:
    """Pitches from middle C up on the upper staff, the rest on the lower."""
    return replace(score, notes=tuple(replace(n, staff=1 if n.pitch >= 60 else 2, voice=1) for n in score.notes))


def at_note(features: ScoreFeatures, column: str) -> dict[str, float]:
    """A column in its own unit, by note id."""
    scale = next(c.scale for c in NOTE_TABLE if c.name == column)
    return dict(zip(features.note_ids, (features.note(column) * scale).round(4).tolist(), strict=True))


def at_quarter(features: ScoreFeatures, column: str) -> dict[float, float]:
    """A column in its own unit, by onset in quarters."""
    scale = next(c.scale for c in ONSET_TABLE if c.name == column)
    return dict(zip((features.onset_div / Q).tolist(), (features.onset(column) * scale).round(4).tolist(), strict=True))


def assert_sound(score: Score, features: ScoreFeatures) -> None:
    order = sorted(score.notes, key=lambda n: (n.onset_div, n.pitch, n.id))
    assert features.note_ids == tuple(n.id for n in order)
    assert features.notes.dtype == features.onsets.dtype == np.float32
    assert features.notes.shape == (len(order), len(NOTE_COLUMNS))
    assert features.onsets.shape == (len(features.onset_div), len(ONSET_COLUMNS))
    for values in (features.notes, features.onsets):
        assert np.isfinite(values).all()
        assert np.abs(values).max() <= 4
    assert features.onset_div[features.place].tolist() == [n.onset_div for n in order]
    for index in (features.bar, features.phrase, features.section):
        assert index[0] == 0
        assert set(np.diff(index).tolist()) <= {0, 1}


@pytest.mark.parametrize("name", [n for n, score in hard_scores().items() if score.notes])
def test_any_score_has_features(name: str) -> None:
    score = hard_scores()[name]
    assert_sound(score, score_features(score))
    assert_sound(score, score_features(score, plan=plan_for(len(score.bars) + 2)))


def test_a_score_without_notes_is_refused() -> None:
    with pytest.raises(ScoreError, match="without notes"):
        score_features(hard_scores()["no notes"])


Rows = list[tuple[float, float, int]]
ROWS = st.lists(
    st.tuples(
        st.integers(0, 40).map(lambda x: x / 6), st.sampled_from([0.0, 0.25, 1 / 3, 1.0, 5.0]), st.integers(0, 127)
    ),
    min_size=1,
    max_size=30,
)


@given(
    rows=ROWS,
    parts=st.integers(1, 4),
    meter=st.sampled_from(["4/4", "3/8", "5/4", "12/8", "2/2"]),
    pickup=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_any_notes_have_features(rows: Rows, parts: int, meter: str, pickup: bool) -> None:
    score = make(rows, bars=12, meter=meter, parts=parts, pickup=0.5 if pickup else 0, tempos=())
    features = score_features(score)
    assert_sound(score, features)
    again = score_features(score)
    assert features.notes.tobytes() == again.notes.tobytes()
    assert features.onsets.tobytes() == again.onsets.tobytes()


def test_the_order_is_the_codecs() -> None:
    score = hard_scores()["unisons"]
    performance = RulePerformer().perform(score, seed=0)
    assert score_features(score).note_ids == encode(score, performance).note_ids


def test_names_are_unique_documented_and_grouped() -> None:
    for table, names in ((NOTE_TABLE, NOTE_COLUMNS), (ONSET_TABLE, ONSET_COLUMNS)):
        assert len(set(names)) == len(names) == len(table)
        assert all(c.doc and c.scale > 0 for c in table)
        assert sorted(i for g in GROUPS for i in columns_of(table, g)) == list(range(len(table)))
    assert {"rules", "harmony", "plan", "written"} <= set(GROUPS)
    with pytest.raises(ValueError, match="not one of"):
        columns_of(NOTE_TABLE, "weather")


def test_a_group_is_concealed_as_a_whole_and_nothing_else() -> None:
    features = score_features(make(tune(), bars=8))
    hidden = concealed(features, ("rules", "form"))
    for table, before, after in (
        (NOTE_TABLE, features.notes, hidden.notes),
        (ONSET_TABLE, features.onsets, hidden.onsets),
    ):
        gone = [*columns_of(table, "rules"), *columns_of(table, "form")]
        kept = [i for i in range(len(table)) if i not in gone]
        assert not after[:, gone].any()
        assert before[:, gone].any()
        assert np.array_equal(before[:, kept], after[:, kept])


def test_melody_bass_hands_and_chords() -> None:
    rows: Rows = [(0, 2, 72), (0, 1, 64), (0, 1, 48), (0, 1, 55), (1, 1, 50), (2, 2, 76), (2, 2, 52)]
    features = score_features(played_hands(make(rows, bars=1)))
    assert {k for k, v in at_note(features, "melody").items() if v} == {"n0", "n5"}
    assert {k for k, v in at_note(features, "bass").items() if v} == {"n2", "n4", "n6"}
    assert {k for k, v in at_note(features, "inner").items() if v} == {"n1", "n3"}
    assert at_note(features, "hand")["n1"] == 1
    assert at_note(features, "hand")["n2"] == -1
    assert [at_note(features, "place_in_chord")[n] for n in ("n2", "n3", "n1", "n0")] == pytest.approx(
        [0, 1 / 3, 2 / 3, 1], abs=1e-4
    )
    assert at_note(features, "chord_size")["n0"] == 2
    assert at_note(features, "chord_size_in_hand")["n0"] == 1
    assert at_note(features, "sounding")["n4"] == 1  # the melody's half note sounds on
    assert at_note(features, "interval_after")["n0"] == 4
    assert at_note(features, "under_melody")["n6"] == 24
    assert at_note(features, "under_top")["n3"] == 17
    assert list(at_quarter(features, "hand_span").values()) == [8, 0, 0]
    assert list(at_quarter(features, "notes_struck_next").values()) == [0, 1, 0]


def test_lengths_rests_repetitions_and_bar_lines() -> None:
    rows = [(0, 0.5, 60), (1, 1, 60), (2, 1, 60), (3, 2, 64), (5, 3, 62), (5, 0, 65)]
    features = score_features(make(rows, bars=2))
    assert at_note(features, "log_duration")["n0"] == -1
    assert at_note(features, "sounding_share")["n0"] == 0.5
    assert at_note(features, "rest_after")["n0"] == pytest.approx(np.log2(1.5), abs=1e-3)
    assert at_note(features, "repeats") == {"n0": 0, "n1": 1, "n2": 1, "n3": 0, "n4": 0, "n5": 0}
    assert at_note(features, "repeated_after") == {"n0": 0, "n1": 1, "n2": 0, "n3": 0, "n4": 0, "n5": 0}
    assert {k for k, v in at_note(features, "over_barline").items() if v} == {"n3"}
    assert {k for k, v in at_note(features, "grace").items() if v} == {"n5"}
    assert at_note(features, "log_duration")["n5"] == -3
    assert at_note(features, "melody")["n5"] == 0


def test_metre_of_common_time_of_an_upbeat_and_of_six_eight() -> None:
    eighths = score_features(make([(i / 2, 0.5, 60) for i in range(8)], bars=1))
    assert list(at_quarter(eighths, "strength").values()) == [1, 0.25, 0.5, 0.25, 0.75, 0.25, 0.5, 0.25]
    assert at_quarter(eighths, "beat_cos")[0.5] == -1
    assert at_quarter(eighths, "position_in_bar")[3.0] == 0.75
    upbeat = score_features(make([(0, 1, 60), (1, 1, 60), (3, 1, 60)], bars=1, pickup=1))
    assert list(at_quarter(upbeat, "strength").values()) == [0.5, 1, 0.75]
    assert list(at_quarter(upbeat, "before_downbeat").values()) == [1, 0, 0]
    compound = score_features(make([(i / 2, 0.5, 60) for i in range(6)], bars=1, meter="6/8"))
    assert list(at_quarter(compound, "strength").values()) == [1, 0.25, 0.25, 0.75, 0.25, 0.25]
    assert set(at_quarter(compound, "meter_compound").values()) == {1}


def test_a_change_of_metre_counts_from_its_bar() -> None:
    bars = (Bar(0, 4 * Q, 1), Bar(4 * Q, 3 * Q, 2), Bar(7 * Q, 3 * Q, 3))
    meters = (MeterChange(0, Meter(4, 4)), MeterChange(4 * Q, Meter(3, 4)))
    score = replace(make([(float(i), 1, 60) for i in range(10)]), bars=bars, meters=meters)
    features = score_features(score)
    assert [k for k, v in at_quarter(features, "downbeat").items() if v] == [0, 4, 7]
    assert [k for k, v in at_quarter(features, "before_downbeat").items() if v] == [3, 6]
    assert features.bar.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_rhythm_and_density() -> None:
    rows: Rows = [(0, 1, 60), (1, 1, 62), (2, 0.5, 64), (2.5, 0.5, 65), (3, 0.5, 67), (4, 4, 60)]
    features = score_features(make(rows, bars=2))
    assert list(at_quarter(features, "log_ioi").values()) == [0, 0, -1, -1, 0, 2]
    assert list(at_quarter(features, "ioi_change").values()) == [0, 0, -1, 0, 1, 2]
    assert at_quarter(features, "rest_after")[3.0] == pytest.approx(np.log2(1.5), abs=1e-3)
    assert at_quarter(features, "rest_before")[4.0] == pytest.approx(np.log2(1.5), abs=1e-3)
    density = at_quarter(features, "density_4")
    assert density[2.5] == pytest.approx(np.log2(1 + 5 / 4), abs=1e-3)
    assert density[0.0] == pytest.approx(np.log2(1 + 2 / 2), abs=1e-3)
    assert at_quarter(features, "notes_struck_next")[4.0] == 0
    change = at_quarter(features, "density_change")
    assert change[0.0] == pytest.approx(np.log2(6), abs=1e-3)
    assert change[4.0] == pytest.approx(np.log2(2 / 6), abs=1e-3)


def planned() -> tuple[Score, Plan]:
    """Sixteen bars A B A' B of four, cadences HC, none, PAC, PAC."""
    phrases = (
        (Phrase(2, "a"), Phrase(2, "b", "HC")),
        (Phrase(4, "a"),),
        (Phrase(4, "a", "PAC"),),
        (Phrase(4, "a", "PAC"),),
    )
    rows = zip(("A", "B", "A'", "B"), (None, None, 0, 1), ("C", "C", "C", "G"), phrases, strict=True)
    sections = tuple(
        Section(label, 4, Key(key), parts, source=source, dynamic="p" if label == "A" else "f")
        for label, source, key, parts in rows
    )
    return make(tune(16), bars=16, tempos=()), Plan("", "free", "piano", Key("C"), Meter(4, 4), 0, 90.0, sections)


def test_phrases_cadences_and_statements_are_the_plans() -> None:
    score, plan = planned()
    features = score_features(score, plan=plan)
    in_bars = features.onset_div // (4 * Q)
    assert [features.phrase[in_bars == b][0] for b in range(16)] == [0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]
    assert [features.section[in_bars == b][0] for b in (0, 3, 4, 8, 15)] == [0, 0, 1, 2, 3]
    left = at_quarter(features, "to_phrase_end")
    assert left[0.0] == pytest.approx(np.log2(9), abs=1e-3)
    assert left[31.0] == 1
    assert at_quarter(features, "in_phrase")[24.0] == 0.5
    assert {k for k, v in at_quarter(features, "phrase_last").items() if v} == {7, 15, 31, 47, 63}
    assert at_quarter(features, "cadence_half")[8.0] == 1
    assert at_quarter(features, "cadence_half")[0.0] == 0
    assert at_quarter(features, "cadence_weight")[40.0] == 1
    assert at_quarter(features, "to_cadence")[16.0] == pytest.approx(np.log2(1 + 32), abs=1e-3)
    later = at_quarter(features, "later_statement")
    assert [later[q] for q in (0.0, 16.0, 32.0, 48.0)] == [0, 0, 1, 1]
    varied = at_quarter(features, "varied")
    assert [varied[q] for q in (0.0, 16.0, 32.0, 48.0)] == [0, 0, 1, 1]  # a prime, then another key
    level = at_quarter(features, "level")
    assert level[0.0] < 0 < level[20.0]
    assert set(at_quarter(features, "tempo_known").values()) == {1}


def test_without_a_plan_what_is_unknown_is_flagged() -> None:
    score, _ = planned()
    features = score_features(score)
    for name in ("statement_known", "later_statement", "level_known", "level", "tempo_known", "log_tempo", "varied"):
        assert not features.onset(name).any(), name
    assert not features.note("signs_known").any()
    marked = score_features(replace(score, sections=(SectionMark(0, "A"), SectionMark(32 * Q, "A'"))))
    assert at_quarter(marked, "statement_known")[0.0] == 1
    assert at_quarter(marked, "later_statement")[40.0] == 1


def test_the_end_is_seen_from_afar() -> None:
    features = score_features(make(tune(), bars=8))
    to_end = features.onset("to_end")
    assert (np.diff(to_end) < 0).all()
    assert features.onset("last_onset").nonzero()[0].tolist() == [len(features.onset_div) - 1]
    assert features.onset("last_bar").sum() == 4
    assert features.onset("last_two_bars").sum() == 8
    # The tune repeats every two bars.
    heard = at_quarter(features, "bar_heard")
    assert (heard[0.0], heard[4.0], heard[8.0], heard[31.0]) == (0, 0, 1, 1)


def test_written_dynamics_words_and_signs() -> None:
    signs = (
        Direction(0, "dynamic", "p"),
        Direction(4 * Q, "crescendo", duration_div=4 * Q),
        Direction(8 * Q, "dynamic", "f"),
        Direction(9 * Q, "articulation", "staccato"),
        Direction(10 * Q, "articulation", "accent"),
        Direction(12 * Q, "slur", duration_div=4 * Q),
        Direction(20 * Q, "tempo", "rit."),
        Direction(31 * Q, "fermata"),
    )
    features = score_features(make(tune(), bars=8, directions=signs, tempos=(TempoChange(0, 50.0),)))
    level = at_quarter(features, "level")
    assert level[0.0] < level[6.0] < level[8.0] == level[31.0]
    assert at_quarter(features, "level_change")[5.0] > 5
    assert at_quarter(features, "level_change")[0.0] == 0
    assert set(at_quarter(features, "log_tempo").values()) == {-1}
    assert {k for k, v in at_note(features, "staccato").items() if v} == {"n9"}
    assert {k for k, v in at_note(features, "accent").items() if v} == {"n10", "n37"}
    assert {k for k, v in at_note(features, "slurred").items() if v} == {"n12", "n13", "n14", "n15", "n38", "n39"}
    assert {k for k, v in at_note(features, "slur_end").items() if v} == {"n15", "n39"}
    assert [k for k, v in at_quarter(features, "fermata").items() if v] == [31]
    slower = at_quarter(features, "slower")
    assert slower[19.0] == 0 < slower[22.0] < slower[26.0]
    assert slower[30.0] == 0


def test_melody_shape() -> None:
    rows = [(float(i), 1.0, p) for i, p in enumerate((60, 62, 64, 72, 64, 62, 60, 59))]
    features = score_features(make(rows, bars=2))
    assert [k for k, v in at_quarter(features, "melody_peak").items() if v] == [3]
    assert at_quarter(features, "melody_before")[3.0] == 8
    assert at_quarter(features, "melody_after")[3.0] == -8
    assert at_quarter(features, "melody_slope")[0.0] > 0 > at_quarter(features, "melody_slope")[6.0]
    assert at_note(features, "peak")["n3"] == 1


def test_harmony_of_a_cadence() -> None:
    chords = ((60, 64, 67), (65, 69, 72), (67, 71, 74, 77), (60, 64, 67, 72)) * 2
    rows = [(4.0 * i, 4.0, p) for i, chord in enumerate(chords) for p in chord]
    features = score_features(make(rows, bars=8))
    assert [at_quarter(features, "tonic")[q] for q in (0.0, 4.0, 8.0, 12.0)] == [1, 0, 0, 1]
    assert [at_quarter(features, "predominant")[q] for q in (0.0, 4.0, 8.0)] == [0, 1, 0]
    assert [at_quarter(features, "dominant")[q] for q in (4.0, 8.0, 12.0)] == [0, 1, 0]
    assert at_quarter(features, "root_motion")[4.0] == -1
    assert at_quarter(features, "dissonance")[0.0] == 0
    assert at_quarter(features, "dissonance")[4.0] == 0
    assert at_quarter(features, "diameter")[8.0] > at_quarter(features, "diameter")[0.0]
    strange = score_features(make([*rows, (8.0, 4, 73)], bars=8))
    assert at_note(strange, "chromatic")[f"n{len(rows)}"] == 1
    assert at_note(strange, "dissonant")[f"n{len(rows)}"] == 1
    assert strange.onset("strain")[2] > features.onset("strain")[2]


def test_the_rules_advise_without_noise() -> None:
    score = make(tune(16), bars=16)
    features = score_features(score)
    period = at_quarter(features, "rules_beat_period")
    assert period[63.0] > 0.3  # the final ritard
    velocity = at_note(features, "rules_velocity")
    assert np.mean([velocity[f"n{i}"] for i in range(64)]) > 0.3 > np.mean([velocity[f"n{i}"] for i in range(64, 96)])
    assert abs(np.mean(list(velocity.values()))) < 1e-3
    # Many noisy performances by the rules agree with the advice on the whole.
    played = [encode(score, RulePerformer().perform(score, seed=seed)) for seed in range(24)]
    mean = np.mean([p.velocity for p in played], axis=0)
    assert np.corrcoef(mean, features.note("rules_velocity"))[0, 1] > 0.97
    curve = np.mean([np.log2(p.beat_period) for p in played], axis=0)
    assert np.corrcoef(curve, features.onset("rules_beat_period")[features.place])[0, 1] > 0.97
    lead = np.mean([p.timing for p in played], axis=0)
    assert np.corrcoef(lead, features.note("rules_timing"))[0, 1] > 0.6


def test_the_advice_is_in_the_codecs_terms() -> None:
    score = make(tune(16), bars=16)
    features = score_features(score)
    plain = encode(score, RulePerformer(expression=0.0).perform(score, seed=0))
    advised = replace(
        plain,
        beat_period=0.6 * 2.0 ** (0.5 * features.onset("rules_beat_period")[features.place]).astype(float),
        timing=features.note("rules_timing").astype(float) * 0.05,
        articulation_log=features.note("rules_articulation").astype(float),
    )
    played = decode(score, advised)
    last = max(n.onset_sec for n in played.notes)
    assert 63 * 0.5 < last < 63 * 0.8


def test_the_advice_is_the_same_whatever_is_written() -> None:
    score = make(tune(16), bars=16)
    signs = (
        Direction(0, "dynamic", "pp"),
        Direction(32 * Q, "dynamic", "ff"),
        Direction(9 * Q, "articulation", "staccato"),
    )
    marked = replace(score, directions=signs, tempos=(TempoChange(0, 60.0), TempoChange(32 * Q, 120.0)))
    plain, signed = score_features(score), score_features(marked)
    for table, one, other in ((NOTE_TABLE, plain.notes, signed.notes), (ONSET_TABLE, plain.onsets, signed.onsets)):
        rules = list(columns_of(table, "rules"))
        assert np.array_equal(one[:, rules], other[:, rules])


def columns_but(table: tuple, groups: tuple[str, ...], names: tuple[str, ...] = ()) -> list[int]:
    return [i for i, c in enumerate(table) if c.group not in groups and c.name not in names]


def test_an_octave_lower_only_absolute_pitch_moves() -> None:
    score = played_hands(make(tune(16), bars=16))
    lower = replace(score, notes=tuple(replace(n, pitch=n.pitch - 12) for n in score.notes))
    high, low = score_features(score), score_features(lower)
    notes = columns_but(NOTE_TABLE, ("rules",), ("pitch",))
    onsets = columns_but(ONSET_TABLE, ("rules",), ("register_mean", "register_top", "register_bottom"))
    assert np.allclose(low.notes[:, notes], high.notes[:, notes], atol=1e-5)
    assert np.allclose(low.onsets[:, onsets], high.onsets[:, onsets], atol=1e-5)
    assert np.allclose(high.note("pitch") - low.note("pitch"), 0.5)
    # The rules play low notes softer, by the same amount for each.
    assert np.allclose(low.note("rules_velocity"), high.note("rules_velocity"), atol=0.1)


def test_four_empty_bars_before_it_move_only_its_place_in_the_piece() -> None:
    score = make(tune(16), bars=16)
    later = replace(
        score,
        notes=tuple(replace(n, onset_div=n.onset_div + 16 * Q) for n in score.notes),
        bars=regular_bars(Meter(4, 4), 20),
    )
    here, there = score_features(score), score_features(later)
    notes = columns_but(NOTE_TABLE, ("rules", "harmony"))
    groups = ("rules", "harmony", "form", "cadence", "melody", "density")  # near the start windows differ
    onsets = columns_but(ONSET_TABLE, groups)
    assert np.array_equal(here.notes[:, notes], there.notes[:, notes])
    assert np.array_equal(here.onsets[:, onsets], there.onsets[:, onsets])
    assert np.array_equal(here.onset_div + 16 * Q, there.onset_div)
    assert here.bar.tolist() == there.bar.tolist()


def test_a_piece_of_three_minutes_is_quick() -> None:
    rng = np.random.default_rng(0)
    rows = [(i / 4, 0.25, int(p)) for i, p in enumerate(rng.integers(60, 84, 1600))]
    rows += [(i / 2, 0.5, int(p)) for i, p in enumerate(rng.integers(36, 60, 900))]
    score = played_hands(make(rows, bars=120))
    score_features(make(tune(), bars=8))
    start = time.process_time()
    features = score_features(score)
    # Run-time type checks and a busy machine cost more than the work itself, which is 0.2 s.
    assert time.process_time() - start < 2.0
    assert len(features.note_ids) == 2500
