"""What is written is read as numbers, and obeyed whatever was drawn."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline
from music.midi import read_midi, read_performance_midi, write_score_midi
from music.musicxml import read_musicxml
from music.performance import Performance
from music.score import Direction, Score, TempoChange
from music.time import Meter
from performer.codec import decode, encode
from performer.marking_obey import obey, obey_articulation, obey_tempo, obey_velocity
from performer.marking_words import dynamic_signs, tempo_bends, tempo_steps, word_tempo
from performer.markings import Markings, weighted_median, written_markings
from performer.rule_dynamics import LEVELS
from performer.rules import RulePerformer
from tests.contract_performer import Q, check, hard_scores, make, plan_for, tune

BARS = 16


def marked(*signs: Direction, tempos: tuple[TempoChange, ...] = (), **more: object) -> Score:
    """Sixteen bars of a tune in quarters over halves, with signs."""
    return make(tune(BARS), bars=BARS, directions=signs, tempos=tempos, **more)  # type: ignore[arg-type]


def drawn(markings: Markings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Velocities and log2 beat periods as no mark would have them: wandering, some notes far off."""
    rng = np.random.default_rng(seed)
    notes, onsets = len(markings.note_ids), len(markings.onset_div)
    drift = np.cumsum(rng.normal(0, 2, onsets))[markings.place]
    velocity = (60 + drift + rng.normal(0, 8, notes)).clip(5, 120)
    return velocity, np.log2(0.55) + np.cumsum(rng.normal(0, 0.03, onsets)) + rng.normal(0, 0.08, onsets)


def between(markings: Markings, first: int, last: int) -> np.ndarray:
    """Notes from quarter `first` up to quarter `last`."""
    at = markings.onset_div[markings.place]
    return (at >= first * Q) & (at < last * Q)


def onsets_between(markings: Markings, first: int, last: int) -> np.ndarray:
    return (markings.onset_div >= first * Q) & (markings.onset_div < last * Q)


@pytest.mark.parametrize("name", hard_scores())
def test_every_score_has_markings_in_the_codecs_order(name: str) -> None:
    score = hard_scores()[name]
    markings = written_markings(score)
    ordered = sorted(score.notes, key=lambda n: (n.onset_div, n.pitch, n.id))
    assert markings.note_ids == tuple(n.id for n in ordered)
    assert markings.onset_div[markings.place].tolist() == [n.onset_div for n in ordered]
    assert len(markings.qpm) == len(markings.onset_div) == len({n.onset_div for n in score.notes})
    velocity, period = drawn(markings, 0)
    for values in (obey_velocity(markings, velocity), obey_tempo(markings, period)):
        assert np.isfinite(values).all()


def test_a_score_without_marks_leaves_the_drawn_as_it_is() -> None:
    markings = written_markings(marked())
    velocity, period = drawn(markings, 1)
    assert not markings.level_known.any()
    assert not markings.tempo_known.any()
    assert not markings.tempo_log2.any()
    assert np.array_equal(obey_velocity(markings, velocity), velocity)
    assert obey_tempo(markings, period) == pytest.approx(period)
    assert np.array_equal(obey_articulation(markings, velocity), velocity)


@pytest.mark.parametrize("seed", range(10))
def test_soft_is_softer_than_loud_and_keeps_its_shape(seed: int) -> None:
    signs = (Direction(0, "dynamic", "p"), Direction(20 * Q, "dynamic", "f"), Direction(50 * Q, "dynamic", "pp"))
    markings = written_markings(marked(*signs))
    velocity, _ = drawn(markings, seed)
    obeyed = obey_velocity(markings, velocity)
    means = []
    for (first, last), mark in zip([(0, 20), (20, 50), (50, 64)], ["p", "f", "pp"], strict=True):
        inside = between(markings, first, last)
        means.append(obeyed[inside].mean())
        assert means[-1] == pytest.approx(LEVELS[mark], abs=2)  # what is clipped at 1 and 127 is missing
        assert np.corrcoef(obeyed[inside], velocity[inside])[0, 1] > 0.99
    assert means[1] - means[0] > 30 > 5 < means[0] - means[2]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("word", [False, True])
def test_a_crescendo_rises_and_a_diminuendo_falls(seed: int, word: bool) -> None:
    up = Direction(16 * Q, "text", "cresc.") if word else Direction(16 * Q, "crescendo", duration_div=12 * Q)
    down = Direction(40 * Q, "text", "dim.") if word else Direction(40 * Q, "diminuendo", duration_div=12 * Q)
    marks = (
        Direction(0, "dynamic", "p"),
        up,
        Direction(28 * Q, "dynamic", "f"),
        down,
        Direction(52 * Q, "dynamic", "pp"),
    )
    markings = written_markings(marked(*marks))
    obeyed = obey_velocity(markings, drawn(markings, seed)[0])
    thirds = [obeyed[between(markings, a, a + 4)].mean() for a in (16, 20, 24)]
    assert (
        np.polyfit(markings.onset_div[markings.place][between(markings, 16, 28)], obeyed[between(markings, 16, 28)], 1)[
            0
        ]
        > 0
    )
    assert thirds[2] > thirds[0] + 10
    falling = [obeyed[between(markings, a, a + 4)].mean() for a in (40, 44, 48)]
    assert falling[2] < falling[0] - 10


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("tempos", [(), (TempoChange(0, 96.0),)])
def test_a_ritardando_slows_and_a_tempo_returns(seed: int, tempos: tuple[TempoChange, ...]) -> None:
    score = marked(Direction(32 * Q, "tempo", "rit."), Direction(40 * Q, "tempo", "a tempo"), tempos=tempos)
    markings = written_markings(score)
    _, period = drawn(markings, seed)
    obeyed = obey_tempo(markings, period)
    before = obeyed[onsets_between(markings, 24, 32)].mean()
    inside = obeyed[onsets_between(markings, 32, 40)]
    first, after = (
        weighted_median(obeyed[i], markings.span_div[i])
        for i in (onsets_between(markings, 0, 32), onsets_between(markings, 40, 64))
    )
    assert inside[4:].mean() > inside[:4].mean()
    assert inside[4:].mean() > before + 0.1
    assert after == pytest.approx(first, abs=1e-9)
    if tempos:
        assert first == pytest.approx(np.log2(60 / 96))
    assert markings.bend_log2[onsets_between(markings, 39, 40)] < -0.3
    assert not markings.bend_log2[~onsets_between(markings, 32, 40)].any()


def test_a_drawn_ritardando_is_not_doubled() -> None:
    markings = written_markings(marked(Direction(32 * Q, "tempo", "rit."), Direction(40 * Q, "tempo", "a tempo")))
    period = np.zeros(len(markings.onset_div))
    bend = onsets_between(markings, 32, 40)
    period[bend] = np.linspace(0, 0.8, int(bend.sum()))
    assert obey_tempo(markings, period) == pytest.approx(period, abs=1e-9)
    assert obey_tempo(markings, -period)[bend] == pytest.approx(-markings.bend_log2[bend], abs=1e-9)


def test_tempo_marks_set_the_tempo_of_their_passages() -> None:
    signs = (
        Direction(0, "tempo", "Adagio"),
        Direction(32 * Q, "tempo", "Allegro"),
        Direction(48 * Q, "tempo", "più mosso"),
    )
    markings = written_markings(marked(*signs, tempos=(TempoChange(0, 50.0),)))
    assert markings.qpm[[0, 31, 32, 47, 48]] == pytest.approx([50, 50, 132, 132, 132 * 1.15])
    assert markings.tempo_log2[0] == pytest.approx(0)
    assert markings.tempo_log2[32] == pytest.approx(np.log2(132 / 50))
    obeyed = obey_tempo(markings, drawn(markings, 3)[1])
    for first, last, qpm in ((0, 32, 50), (32, 48, 132), (48, 64, 151.8)):
        inside = onsets_between(markings, first, last)
        assert weighted_median(obeyed[inside], markings.span_div[inside]) == pytest.approx(np.log2(60 / qpm))


def test_a_word_that_only_compares_moves_the_drawn_tempo() -> None:
    signs = (Direction(16 * Q, "tempo", "meno mosso"), Direction(32 * Q, "tempo", "a tempo"))
    markings = written_markings(marked(*signs))
    assert not markings.tempo_known.any()
    obeyed = obey_tempo(markings, np.full(64, -0.5))
    assert obeyed[~onsets_between(markings, 16, 32)] == pytest.approx(-0.5)
    assert obeyed[onsets_between(markings, 16, 32)] == pytest.approx(-0.5 + np.log2(1.15))


def test_a_fermata_holds_and_accents_and_signs_reach_their_notes() -> None:
    signs = (
        Direction(5 * Q, "fermata"),
        Direction(7 * Q, "articulation", "accent"),
        Direction(9 * Q, "dynamic", "sf"),
        Direction(10 * Q, "articulation", "staccato"),
        Direction(11 * Q, "articulation", "tenuto"),
        Direction(12 * Q, "slur", duration_div=4 * Q),
    )
    markings = written_markings(marked(*signs))
    assert markings.fermata[5] == pytest.approx(1.65)
    assert np.delete(markings.fermata, 5) == pytest.approx(1.0)
    obeyed = obey_tempo(markings, np.full(64, -1.0))
    assert obeyed[5] - obeyed[4] == pytest.approx(np.log2(1.65))
    assert not markings.level_known.any()  # "sf" is no level
    velocity = obey_velocity(markings, np.full(len(markings.note_ids), 60.0))
    quarter = markings.onset_div[markings.place] // Q
    assert set(velocity[quarter == 7]) == {71.0}
    assert set(velocity[quarter == 9]) == {76.0}
    lengths = obey_articulation(markings, np.full(len(markings.note_ids), -0.3))
    assert set(lengths[quarter == 10]) == {-1.0}
    assert set(lengths[(quarter >= 11) & (quarter < 14)]) == {0.0}
    assert set(lengths[quarter == 15]) == {-0.3}  # the slur's last


def test_parts_have_marks_of_their_own() -> None:
    signs = (Direction(0, "dynamic", "f", part=0), Direction(0, "dynamic", "p", part=1))
    markings = written_markings(marked(*signs, parts=2))
    score = {n.id: n.part for n in marked(parts=2).notes}
    part = np.array([score[i] for i in markings.note_ids])
    assert set(markings.level[part == 0]) == {LEVELS["f"]}
    assert set(markings.level[part == 1]) == {LEVELS["p"]}
    obeyed = obey_velocity(markings, np.where(part == 0, 70.0, 50.0))
    assert obeyed[part == 0].mean() - obeyed[part == 1].mean() == pytest.approx(20 + LEVELS["f"] - LEVELS["p"])


def test_before_the_first_mark_nothing_is_known() -> None:
    markings = written_markings(marked(Direction(16 * Q, "dynamic", "ff")))
    assert markings.level_known.tolist() == (~between(markings, 0, 16)).tolist()
    velocity, _ = drawn(markings, 2)
    before = between(markings, 0, 16)
    assert np.array_equal(obey_velocity(markings, velocity)[before], velocity[before])


def test_the_plans_dynamics_and_tempo_hold_where_the_score_has_none() -> None:
    markings = written_markings(make(tune(), bars=8, tempos=()), plan_for(8))
    assert markings.level_known.all()
    assert markings.tempo_known.all()
    assert markings.level[0] == LEVELS["p"]
    assert markings.level[-1] == LEVELS["f"]
    assert markings.qpm[[0, -1]] == pytest.approx([90, 108])
    assert markings.level_offset[0] < 0 < markings.level_offset[-1]


@pytest.mark.parametrize(
    ("word", "meter", "qpm"),
    [
        ("Adagio", "4/4", 62),
        ("Allegro con brio", "4/4", 132),
        ("Allegro ma non troppo", "4/4", 120),
        ("Andante con moto quasi allegretto", "2/4", 83.6),
        ("Adagio molto", "3/4", 56.4),
        ("Allegro", "2/2", 171.6),
        ("Allegro", "6/8", 148.5),
        ("Allegro", "3/8", 105.6),
        ("Langsam", "4/4", 56),
        ("dolce", "4/4", None),
    ],
)
def test_tempo_words(word: str, meter: str, qpm: float | None) -> None:
    found = word_tempo(word, Meter.parse(meter))
    assert found == (None if qpm is None else pytest.approx(qpm, abs=0.1))


def test_words_change_the_tempo_and_bring_it_back() -> None:
    words = [(0, "Allegro"), (8, "meno mosso"), (16, "a tempo"), (24, "Adagio"), (32, "Tempo I"), (40, "Presto D.C."),
             (44, "Adagio"), (48, "Allegro")]  # fmt: skip
    signs = tuple(Direction(at * Q, "tempo", word) for at, word in words)
    steps, known = tempo_steps(marked(*signs, tempos=(TempoChange(0, 144.0),)), None)
    assert known == 0
    assert [(at // Q, round(qpm)) for at, qpm in steps] == [
        (0, 144), (8, 125), (16, 144), (24, 62), (32, 144), (44, 62), (48, 144)
    ]  # fmt: skip


def test_a_word_in_every_part_counts_once() -> None:
    one = marked(Direction(8 * Q, "tempo", "rit."), Direction(16 * Q, "tempo", "a tempo"))
    signs = [Direction(8 * Q + (p == 3) * Q, "tempo", "rit.", part=p) for p in range(4)]
    signs += [Direction(16 * Q, "tempo", "a tempo", part=p) for p in range(4)]
    assert tempo_bends(marked(*signs, parts=4)) == tempo_bends(one)
    assert [tempo_bends(marked(Direction(0, "tempo", w)))[0].change for w in ("poco rit.", "rit.", "molto rit.")] == (
        pytest.approx([0.15, 0.3, 0.42])
    )
    assert tempo_bends(marked(Direction(0, "text", "String Quartet"))) == ()


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("p", [("dynamic", "p", 0)]),
        ("sempre pp", [("dynamic", "pp", 0)]),
        ("sempre dolce e p", [("dynamic", "p", 0)]),
        ("subito piano", [("dynamic", "p", 0)]),
        ("sotto voce.", [("dynamic", "p", 0)]),
        ("Piano", []),
        ("pizz.", []),
        ("cresc.", [("crescendo", "", 12)]),
        ("p cresc.", [("crescendo", "", 12), ("dynamic", "p", 0)]),
        ("sempre più crescendo", [("crescendo", "", 12)]),
        ("decresc.", [("diminuendo", "", 12)]),
        ("espressivo morendo", [("diminuendo", "", 12)]),
        ("più f", [("crescendo", "", 1 / Q)]),
        ("e " * 49, []),
    ],
)
def test_words_for_loudness(text: str, signs: list[tuple[str, str, float]]) -> None:
    score = marked(Direction(8 * Q, "text", text, part=0), Direction(20 * Q, "dynamic", "f", part=0))
    found = [(d.kind, d.text, d.duration_div / Q) for d in dynamic_signs(score) if d.onset_div == 8 * Q]
    assert found == signs


def test_a_cresc_without_a_goal_ends_and_one_under_a_hairpin_adds_nothing() -> None:
    alone = dynamic_signs(marked(Direction(8 * Q, "text", "cresc. poco a poco")))
    assert [d.duration_div for d in alone] == [16 * Q]
    both = (Direction(8 * Q, "crescendo", duration_div=2 * Q), Direction(8 * Q, "text", "cresc."))
    assert [d.duration_div for d in dynamic_signs(marked(*both))] == [2 * Q]


def test_the_rubato_of_a_played_file_is_no_mark() -> None:
    rng = np.random.default_rng(0)
    slow, fast = 60 * 2 ** rng.normal(0, 0.15, 32), 130 * 2 ** rng.normal(0, 0.15, 32)
    tempos = tuple(TempoChange(i * Q, float(qpm)) for i, qpm in enumerate([*slow, *fast]))
    markings = written_markings(marked(tempos=tempos))
    assert 2 <= len(set(markings.qpm)) <= 4  # the passage between may be one of its own
    assert markings.qpm[0] == pytest.approx(60, rel=0.08)
    assert markings.qpm[-1] == pytest.approx(130, rel=0.08)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    marks=st.lists(
        st.tuples(st.integers(0, 63), st.sampled_from(["pp", "p", "mf", "f", "ff"])), min_size=1, max_size=8
    ),
    seed=st.integers(0, 99),
)
def test_louder_marks_are_louder_wherever_they_stand(marks: list[tuple[int, str]], seed: int) -> None:
    places = dict(marks)
    signs = tuple(Direction(at * Q, "dynamic", mark) for at, mark in sorted(places.items()))
    markings = written_markings(marked(*signs))
    obeyed = obey_velocity(markings, drawn(markings, seed)[0])
    starts = sorted(places)
    for first, last in zip(starts, [*starts[1:], 64], strict=True):
        assert obeyed[between(markings, first, last)].mean() == pytest.approx(LEVELS[places[first]], abs=3)


def test_the_codec_plays_what_is_obeyed() -> None:
    signs = (
        Direction(0, "dynamic", "p"),
        Direction(32 * Q, "dynamic", "ff"),
        Direction(56 * Q, "tempo", "rit."),
        Direction(8 * Q, "articulation", "staccato"),
    )
    score = marked(*signs, tempos=(TempoChange(0, 120.0),))
    plain = RulePerformer().perform(replace(score, directions=()), seed=1)
    performance = decode(score, obey(written_markings(score), encode(score, plain)))
    check(score, performance)
    by_id = {n.note_id: n for n in performance.notes}
    loud = [by_id[f"n{i}"].velocity for i in range(64)]
    assert np.mean(loud[32:]) - np.mean(loud[:32]) > 40
    assert by_id["n8"].duration_sec < 0.6 * by_id["n9"].duration_sec
    assert by_id["n32"].onset_sec == pytest.approx(16, abs=0.8)


XML = """<?xml version="1.0" encoding="UTF-8"?>
<score-partwise version="3.1"><part-list><score-part id="P1"><part-name>Piano</part-name></score-part></part-list>
<part id="P1">{bars}</part></score-partwise>"""
ATTRIBUTES = """<attributes><divisions>1</divisions><key><fifths>0</fifths></key>
<time><beats>4</beats><beat-type>4</beat-type></time></attributes>"""
NOTE = (
    "<note><pitch><step>{step}</step><octave>5</octave></pitch><duration>1</duration><type>quarter</type>{more}</note>"
)
WORDS = '<direction placement="above"><direction-type>{}</direction-type></direction>'


def xml_bar(number: int, *before: str, more: str = "") -> str:
    signs = "".join(WORDS.format(sign) for sign in before)
    notes = "".join(NOTE.format(step=step, more=more) for step in "CDEF")
    return f'<measure number="{number}">{ATTRIBUTES if number == 1 else ""}{signs}{notes}</measure>'


def marked_file(folder: Path) -> Path:
    """Eight bars of quarters from p over a crescendo to ff, with staccato, rit. and a tempo."""
    bars = [
        xml_bar(1, "<words>Andante</words>", "<dynamics><p/></dynamics>"),
        xml_bar(2),
        xml_bar(3, "<words>cresc.</words>"),
        xml_bar(4),
        xml_bar(5, "<dynamics><ff/></dynamics>"),
        xml_bar(6, more="<notations><articulations><staccato/></articulations></notations>"),
        xml_bar(7, "<words>rit.</words>"),
        xml_bar(8, "<words>a tempo</words>"),
    ]
    path = folder / "marks.musicxml"
    path.write_text(XML.format(bars="".join(bars)), encoding="utf-8")
    return path


def obeys(performance: Performance) -> None:
    """Asserts that the notes of `marked_file` are played as they are marked."""
    notes = sorted(performance.notes, key=lambda n: n.onset_sec)
    loud = np.array([n.velocity for n in notes], dtype=float).reshape(8, 4).mean(axis=1)
    assert loud[0] < 60  # 45, and what a melody in a high register gets
    assert loud[1] < loud[2] < loud[3] < loud[4]
    assert loud[4] > 85
    iois = np.diff([n.onset_sec for n in notes])
    assert iois[:8].mean() == pytest.approx(60 / 76, rel=0.12)
    assert iois[26] > 1.08 * iois[20:23].mean()
    assert notes[20].duration_sec < 0.6 * notes[16].duration_sec


def test_marks_of_a_musicxml_file_are_read_and_played(tmp_path: Path) -> None:
    score = read_musicxml(marked_file(tmp_path))
    performance = RulePerformer(expression=0.5).perform(score, seed=0)
    check(score, performance)
    obeys(performance)
    assert written_markings(score).bends == ((24, 28),)


def test_the_command_plays_a_marked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = marked_file(tmp_path)
    out = tmp_path / "played"
    words = ["task=perform", "performer=rules", f"score_file={source}", f"out={out}", "audio=none"]
    monkeypatch.setattr(sys, "argv", ["ritornello", *words, f"cache_dir={tmp_path}"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    before = signal.getsignal(signal.SIGTERM)
    try:
        pipeline.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    obeys(read_performance_midi(out / "performance.mid"))
    bars = [b.onset_div for b in read_midi(out / "performance.mid").bars]
    onsets = sorted(n.onset_div for n in read_midi(out / "performance.mid").notes)
    assert max(abs(onset - bar) for onset, bar in zip(onsets[::4], bars, strict=True)) < Q // 8
    again = read_musicxml(out / "score.musicxml")
    assert {d.text for d in again.directions} >= {"p", "ff", "cresc.", "rit.", "a tempo", "staccato"}


def test_a_midi_score_has_tempos_and_no_dynamics(tmp_path: Path) -> None:
    score = marked(Direction(0, "dynamic", "ff"), tempos=(TempoChange(0, 80.0), TempoChange(32 * Q, 120.0)))
    write_score_midi(score, tmp_path / "x.mid")
    back = read_midi(tmp_path / "x.mid")
    markings = written_markings(back)
    assert not markings.level_known.any()
    assert markings.tempo_known.all()
    assert sorted({round(q) for q in markings.qpm}) == [80, 120]
    check(back, RulePerformer().perform(back, seed=0))
