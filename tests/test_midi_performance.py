"""Performances as MIDI files: times exact, bars in place, keys and pedal released."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from music.errors import MidiError, ScoreError
from music.midi import read_midi, read_performance_midi, write_performance_midi
from music.performance import Pedal, Performance, PerformedNote
from music.pitch import Key
from music.score import KeyChange, MeterChange, Note, Part, Score, TempoChange, regular_bars, sort_notes
from music.time import DIVS_PER_QUARTER, Meter

Q = DIVS_PER_QUARTER
MS = 0.001


def _score(bars: int = 8, pickup: int = Q, parts: int = 2) -> Score:
    """A waltz in quarters in each part, no key struck by two parts at once, from the upbeat on."""
    meter = Meter(3, 4)
    length = pickup + bars * meter.bar_div
    notes = [Note(f"n{p}_{i}", i * Q, Q, 24 + 6 * p + i % 6, p) for p in range(parts) for i in range(length // Q)]
    return Score(
        tuple(Part(f"P{p + 1}", program=p) for p in range(parts)),
        sort_notes(notes),
        regular_bars(meter, bars, pickup),
        (MeterChange(0, meter),),
        tempos=(TempoChange(0, 90.0),),
    )


def _perform(score: Score, seconds: np.ndarray, jitter: float = 0.0, seed: int = 0) -> Performance:
    """Plays quarter i at `seconds[i]`, each note off by up to `jitter` seconds."""
    rng = np.random.default_rng(seed)
    notes = []
    for note in score.notes:
        index = note.onset_div // Q
        onset = max(0.0, float(seconds[index]) + float(rng.uniform(-jitter, jitter)))
        length = 0.9 * float(seconds[index + 1] - seconds[index])
        notes.append(PerformedNote(note.id, onset, length, note.pitch, int(rng.integers(1, 128))))
    return Performance(tuple(sorted(notes, key=lambda n: n.onset_sec)))


def _facts(performance: Performance) -> list[tuple[int, float, int, float]]:
    return sorted((n.pitch, n.onset_sec, n.velocity, n.duration_sec) for n in performance.notes)


@st.composite
def performances(draw: st.DrawFn) -> Performance:
    score = _score()
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    start = draw(st.sampled_from([0.0, 0.02, 0.5, 10.0]))
    pace = draw(st.sampled_from([0.05, 0.5, 3.0]))
    steps = pace * rng.uniform(0.5, 2.0, score.end_div // Q + 1)
    steps[int(rng.integers(len(steps)))] *= draw(st.sampled_from([0.01, 1.0, 30.0]))
    return _perform(score, start + np.cumsum(steps) - steps[0], jitter=draw(st.sampled_from([0.0, 0.02])) * pace)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(performance=performances())
def test_times_are_exact_to_a_millisecond(performance: Performance, tmp_path: Path) -> None:
    path = tmp_path / "performance.mid"
    write_performance_midi(_score(), performance, path)
    data = path.read_bytes()
    back = read_performance_midi(path)
    assert len(back.notes) == len(performance.notes)
    for ours, theirs in zip(_facts(performance), _facts(back), strict=True):
        assert ours[0] == theirs[0]
        assert theirs[1] == pytest.approx(ours[1], abs=MS)
        assert ours[2] == theirs[2]
    ends = {(n.pitch, round(n.onset_sec, 1)): n.onset_sec + n.duration_sec for n in performance.notes}
    assert back.end_sec == pytest.approx(max(ends.values()), abs=MS)
    write_performance_midi(_score(), performance, path)
    assert path.read_bytes() == data


def test_another_reader_finds_the_same_times(tmp_path: Path) -> None:
    score = _score(parts=1)
    steps = np.random.default_rng(3).uniform(0.3, 1.2, score.end_div // Q + 1)
    performance = _perform(score, np.cumsum(steps) - steps[0])
    write_performance_midi(score, performance, tmp_path / "x.mid")
    now, onsets = 0.0, []
    for message in mido.MidiFile(tmp_path / "x.mid"):
        now += message.time
        if message.type == "note_on" and message.velocity:
            onsets.append(now)
    assert onsets == pytest.approx([n.onset_sec for n in performance.notes], abs=MS)


@pytest.mark.parametrize("start", [0.0, 0.4])
def test_bars_stand_where_the_score_has_them(start: float, tmp_path: Path) -> None:
    """A waltz with rubato between 60 and 180 quarters a minute: every chord stands on its own beat."""
    score = _score()
    steps = 60 / np.random.default_rng(1).uniform(60, 180, score.end_div // Q + 1)
    performance = _perform(score, start + np.cumsum(steps) - steps[0])
    write_performance_midi(score, performance, tmp_path / "x.mid", title="Waltz")
    back = read_midi(tmp_path / "x.mid")
    lead = Q if start else 0
    assert back.title == "Waltz"
    assert [b.duration_div for b in back.bars] == ([lead] if lead else []) + [b.duration_div for b in score.bars]
    for note, read in zip(score.notes, back.notes, strict=True):
        assert abs(read.onset_div - note.onset_div - lead) <= 2, note
        assert (read.pitch, read.part) == (note.pitch, note.part)
    assert all(t.qpm < 200 for t in back.tempos[1:])


def test_jittered_chords_stay_near_their_beat(tmp_path: Path) -> None:
    score = _score(parts=4)
    performance = _perform(score, np.arange(score.end_div // Q + 1) * 0.5, jitter=0.015)
    write_performance_midi(score, performance, tmp_path / "x.mid")
    back = read_midi(tmp_path / "x.mid")
    beats = sorted(n.onset_div for n in back.notes)
    expected = sorted(n.onset_div for n in score.notes)
    # 15 ms of 500 are 300 of 10080 divisions; the mean of a chord moves its beat by less.
    assert max(abs(a - b) for a, b in zip(beats, expected, strict=True)) < 600


def _sounding(path: Path) -> None:
    """No key of a channel is struck while it is down, none is left down, the pedal ends up."""
    down: dict[tuple[int, int], int] = defaultdict(int)
    pedal: dict[int, int] = {}
    for message in mido.merge_tracks(mido.MidiFile(path).tracks):
        if message.type == "note_on":
            assert down[message.channel, message.note] == 0
            down[message.channel, message.note] = 1
        elif message.type == "note_off":
            assert down[message.channel, message.note] == 1
            down[message.channel, message.note] = 0
        elif message.type == "control_change":
            pedal[message.channel] = message.value
    assert not any(down.values())
    assert not any(pedal.values())


def test_keys_and_pedal_are_released(tmp_path: Path) -> None:
    score = _score(parts=17)
    performance = _perform(score, np.arange(score.end_div // Q + 1) * 0.5, jitter=0.01)
    long = tuple(dataclasses.replace(n, duration_sec=6.0, pitch=60 + n.pitch % 2) for n in performance.notes)
    performance = Performance(long, (Pedal(0.0, 0), Pedal(0.1, 127), Pedal(2.0, 0), Pedal(2.1, 90)))
    write_performance_midi(score, performance, tmp_path / "x.mid")
    _sounding(tmp_path / "x.mid")
    back = read_performance_midi(tmp_path / "x.mid")
    assert [p.value for p in back.pedals] == [0, 127, 0, 90, 0]
    assert [p.onset_sec for p in back.pedals[:4]] == pytest.approx([0.0, 0.1, 2.0, 2.1], abs=MS)
    assert back.pedals[4].onset_sec == pytest.approx(performance.end_sec, abs=MS)


def test_a_rest_before_the_first_note(tmp_path: Path) -> None:
    meter = Meter(4, 4)
    notes = tuple(Note(f"n{i}", (2 + i) * Q, Q, 60 + i) for i in range(6))
    score = Score((Part("P1"),), notes, regular_bars(meter, 2), (MeterChange(0, meter),))
    played = Performance(tuple(PerformedNote(n.id, 0.5 * i, 0.4, n.pitch, 64) for i, n in enumerate(notes)))
    write_performance_midi(score, played, tmp_path / "at_once.mid")
    back = read_performance_midi(tmp_path / "at_once.mid")
    assert [n.onset_sec for n in back.notes] == pytest.approx([0.5 * i for i in range(6)], abs=MS)
    found = read_midi(tmp_path / "at_once.mid")
    assert [n.onset_div for n in found.notes][1:] == pytest.approx([n.onset_div for n in notes][1:], abs=2)
    waited = Performance(tuple(dataclasses.replace(n, onset_sec=n.onset_sec + 1.0) for n in played.notes))
    write_performance_midi(score, waited, tmp_path / "waited.mid")
    found = read_midi(tmp_path / "waited.mid")
    assert [n.onset_div for n in found.notes] == pytest.approx([n.onset_div for n in notes], abs=2)


def test_grace_notes_and_missing_notes(tmp_path: Path) -> None:
    meter = Meter(2, 4)
    notes = (Note("a", 0, Q, 60), Note("g", Q, 0, 64), Note("b", Q, Q, 62), Note("c", 2 * Q, 2 * Q, 60))
    score = Score((Part("P1"),), sort_notes(list(notes)), regular_bars(meter, 2), (MeterChange(0, meter),))
    times = {"a": 0.0, "g": 0.42, "b": 0.5}
    pitch = {n.id: n.pitch for n in notes}
    played = Performance(tuple(PerformedNote(i, t, 0.05, pitch[i], 64) for i, t in times.items()))
    write_performance_midi(score, played, tmp_path / "x.mid")
    found = read_midi(tmp_path / "x.mid")
    assert [n.onset_div for n in found.notes] == pytest.approx([0, round(0.84 * Q), Q], abs=2)


def test_an_empty_performance_has_no_notes(tmp_path: Path) -> None:
    write_performance_midi(_score(), Performance(()), tmp_path / "x.mid")
    assert mido.MidiFile(tmp_path / "x.mid").length > 0
    with pytest.raises(MidiError, match="no pitched note"):
        read_midi(tmp_path / "x.mid")


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    score, path = _score(), tmp_path / "x.mid"
    with pytest.raises(ScoreError, match="stranger is not in the score"):
        write_performance_midi(score, Performance((PerformedNote("stranger", 0.0, 1.0, 60, 64),)), path)
    name = score.notes[0].id
    with pytest.raises(MidiError, match=r"x\.mid: the performance lasts 100000 s"):
        write_performance_midi(score, Performance((PerformedNote(name, 1e5 - 1, 1.0, 60, 64),)), path)
    note = PerformedNote(name, 0.0, 1.0, 60, 64)
    with pytest.raises(ScoreError, match="no finite time"):
        write_performance_midi(score, Performance((note,), (Pedal(float("nan"), 0),)), path)
    assert not path.exists()


def _pianist(score: Score, seed: int) -> Performance:
    """Rubato, chords spread by some 10 ms, a melody that leads, grace notes before their beat, the first of all too."""
    rng = np.random.default_rng(seed)
    beats = np.concatenate([[0.3], 0.3 + np.cumsum(0.5 * 2 ** rng.normal(0, 0.2, score.end_div // Q + 1))])
    notes = []
    for note in score.notes:
        at = float(np.interp(note.onset_div / Q, np.arange(len(beats)), beats))
        at -= 0.12 if note.duration_div == 0 else 0.02 * (note.pitch > 70) + float(rng.normal(0, 0.008))
        length = 0.08 if note.duration_div == 0 else 0.4 * note.duration_div / Q
        notes.append(PerformedNote(note.id, round(at, 6), length, note.pitch, int(rng.integers(30, 100))))
    moves = [Pedal(float(t), v) for beat in beats[:-2] for t, v in ((beat - 0.1, 0), (beat + 0.1, 90))]
    return Performance(tuple(sorted(notes, key=lambda n: n.onset_sec)), tuple(moves))


@pytest.mark.parametrize("seed", range(4))
def test_bar_lines_stand_under_their_chords(seed: int, tmp_path: Path) -> None:
    """An upbeat, grace notes on it and later, chords of four: 95 of 100 downbeat notes within a thirty-second."""
    meter, pickup, bars = Meter(3, 4), Q, 12
    length = pickup + bars * meter.bar_div
    notes = [
        Note(f"n{i}_{v}", i * Q, Q, 48 + 8 * v + i % 7) for i in range(length // Q) for v in range(4) if i or v == 3
    ]
    notes += [Note("g0", 0, 0, 79), Note("g1", 4 * Q, 0, 90), Note("g2", 7 * Q, 0, 91)]
    marks = (MeterChange(0, meter),)
    score = Score((Part("P1"),), sort_notes(notes), regular_bars(meter, bars, pickup), marks, (KeyChange(0, Key("D")),))
    played = _pianist(score, seed)
    write_performance_midi(score, played, tmp_path / "x.mid")
    back, found = read_performance_midi(tmp_path / "x.mid"), read_midi(tmp_path / "x.mid")
    assert len(back.notes) == len(played.notes)
    for ours, theirs in zip(_facts(played), _facts(back), strict=True):
        assert theirs[:3] == (ours[0], pytest.approx(ours[1], abs=MS), ours[2])
        assert theirs[3] == pytest.approx(ours[3], abs=2 * MS)
    assert [p.onset_sec for p in back.pedals] == pytest.approx(
        [p.onset_sec for p in played.pedals] + [played.end_sec], abs=MS
    )
    assert [b.onset_div for b in found.bars[1:]] == [b.onset_div + Q for b in score.bars]  # a beat before the first
    assert found.keys[0] == KeyChange(Q, Key("D"))
    written = {n.id: n for n in score.notes}
    downbeats = {b.onset_div for b in score.bars}
    ticks = {(n.pitch, round(p.onset_sec, 2)): n.onset_div - Q for n, p in zip(found.notes, back.notes, strict=True)}
    off = [
        abs(ticks[n.pitch, round(t.onset_sec, 2)] - written[n.note_id].onset_div) / Q
        for n, t in zip(sorted(played.notes, key=lambda n: (n.onset_sec, n.pitch)), back.notes, strict=True)
        if written[n.note_id].duration_div and written[n.note_id].onset_div in downbeats
    ]
    assert len(off) >= 4 * bars - 4
    assert np.mean(np.array(off) <= 1 / 8) >= 0.95
