"""Scores through MIDI files and back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import mido
import pytest
import symusic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from music.errors import MidiError
from music.midi import GRACE_DIV, parse_midi, read_midi, read_performance_midi, write_score_midi
from music.pitch import ALL_KEYS, Key
from music.score import (
    Bar,
    KeyChange,
    MeterChange,
    Note,
    Part,
    Score,
    SectionMark,
    TempoChange,
    regular_bars,
    sort_notes,
)
from music.time import DIVS_PER_QUARTER, Meter
from tests.midi_files import END, NOTE, SCALE, format0_file, meta, midi, rich_file

Q = DIVS_PER_QUARTER
METERS = [Meter.parse(m) for m in ("4/4", "3/4", "2/4", "6/8", "9/8", "2/2", "5/8", "7/16", "3/2", "12/8", "1/4")]


def _facts(score: Score) -> list[tuple[int, int, int, int]]:
    return sorted((n.onset_div, n.duration_div, n.pitch, n.part) for n in score.notes if n.duration_div)


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Scores of one to seventeen parts, some silent, over meter changes, with grace notes and an upbeat."""
    parts = draw(st.sampled_from([1, 2, 4, 17]))
    spans = draw(st.lists(st.tuples(st.sampled_from(METERS), st.integers(2, 4)), min_size=1, max_size=3))
    pickup = draw(st.sampled_from([0, Q // 4, Q // 2, Q // 7]))
    bars = list(regular_bars(spans[0][0], 0, pickup))
    meters = []
    at = pickup
    for meter, count in spans:
        if not meters or meters[-1].meter != meter:
            meters.append(MeterChange(at if meters else 0, meter))
        for _ in range(count):
            bars.append(Bar(at, meter.bar_div, len(bars) + (not pickup)))
            at += meter.bar_div
    free = dict.fromkeys(((part, pitch) for part in range(parts) for pitch in (0, 60, 61, 67, 127)), 0)
    notes = []
    for _ in range(draw(st.integers(1, 30))):
        key = draw(st.sampled_from(sorted(free)))
        gap = draw(st.sampled_from([0, 1, Q // 3, Q // 2, Q, 3 * Q]))
        length = draw(st.sampled_from([0, 1, Q // 5, Q // 4, Q, 2 * Q + 7]))
        onset = free[key] + gap
        if onset + length <= at and (length or gap):
            notes.append(Note(f"x{len(notes)}", onset, length, key[1], key[0], staff=1, voice=1))
            free[key] = onset + length
    notes.append(Note("last", at - 1, 1, 72, draw(st.integers(0, parts - 1))))
    return Score(
        parts=tuple(Part(f"p{i}", draw(st.sampled_from(["", "Cello", "Flöte"])), i) for i in range(parts)),
        notes=sort_notes(notes),
        bars=tuple(bars),
        meters=tuple(meters),
        keys=(KeyChange(0, draw(st.sampled_from(ALL_KEYS))),),
        tempos=(TempoChange(0, 96.0), TempoChange(bars[-1].onset_div, draw(st.sampled_from([4.0, 60.0, 1999.0])))),
        sections=(SectionMark(0, "A"), SectionMark(bars[-1].onset_div, "B'")),
        title=draw(st.sampled_from(["", "Rondo in G", "Stück № 1"])),
    )


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(score=scores())
def test_scores_survive(score: Score, tmp_path: Path) -> None:
    path = tmp_path / "score.mid"
    write_score_midi(score, path)
    data = path.read_bytes()
    back = read_midi(path)
    graces = [n for n in score.notes if not n.duration_div]
    if not graces:
        assert _facts(back) == _facts(score)
    # A grace note, where it is written, is a note more; no other note is touched.
    more = set(_facts(back)) - set(_facts(score))
    assert set(_facts(score)) <= set(_facts(back))
    assert len(more) <= len(graces)
    assert {(d <= GRACE_DIV, p in {g.pitch for g in graces}) for _, d, p, _ in more} <= {(True, True)}
    assert [(b.onset_div, b.duration_div, b.number) for b in back.bars] == [
        (b.onset_div, b.duration_div, b.number) for b in score.bars
    ]
    assert back.meters == score.meters
    assert back.keys == score.keys
    assert [t.onset_div for t in back.tempos] == [t.onset_div for t in score.tempos]
    assert [t.qpm for t in back.tempos] == pytest.approx([t.qpm for t in score.tempos], rel=2e-5)
    assert back.sections == score.sections
    assert back.title == score.title
    assert [p.name for p in back.parts] == [p.name or p.id for p in score.parts]
    assert [p.program for p in back.parts] == [p.program for p in score.parts]
    write_score_midi(score, path)
    assert path.read_bytes() == data


def _score(*notes: Note, meter: Meter = METERS[0], bars: int = 2, pickup: int = 0, parts: int = 1) -> Score:
    return Score(
        tuple(Part(f"P{i + 1}") for i in range(parts)),
        sort_notes(list(notes)),
        regular_bars(meter, bars, pickup),
        (MeterChange(0, meter),),
    )


def _round_trip(score: Score, path: Path) -> Score:
    write_score_midi(score, path)
    return read_midi(path)


def test_overlapping_notes_of_a_pitch_end_at_the_next_onset(tmp_path: Path) -> None:
    score = _score(Note("a", 0, 4 * Q, 60), Note("b", Q, Q, 60), Note("c", Q, 2 * Q, 60), Note("d", Q, Q, 64))
    assert _facts(_round_trip(score, tmp_path / "x.mid")) == [(0, Q, 60, 0), (Q, Q, 64, 0), (Q, 2 * Q, 60, 0)]


def test_parts_may_strike_the_same_pitch_at_once(tmp_path: Path) -> None:
    score = _score(*(Note(f"n{i}", 0, (i + 1) * Q // 4, 60, i) for i in range(17)), parts=17, bars=3)
    assert _facts(_round_trip(score, tmp_path / "x.mid")) == _facts(score)


def test_grace_notes_sound_before_their_onset_and_cut_nothing(tmp_path: Path) -> None:
    score = _score(
        Note("a", 0, Q, 60),
        Note("g1", Q, 0, 62),
        Note("g2", Q, 0, 64),
        Note("g3", Q, 0, 60),  # would strike the key that is still down
        Note("b", Q, Q, 65),
        Note("g4", 0, 0, 67),  # no room before the first onset
    )
    found = {(n.onset_div, n.pitch): n.duration_div for n in _round_trip(score, tmp_path / "x.mid").notes}
    assert found == {
        (0, 60): Q,
        (0, 67): GRACE_DIV,
        (Q - 2 * GRACE_DIV, 62): GRACE_DIV,
        (Q - GRACE_DIV, 64): GRACE_DIV,
        (Q, 65): Q,
    }


def test_an_upbeat_is_written_as_a_short_meter(tmp_path: Path) -> None:
    score = _score(Note("a", 0, Q, 60), Note("b", Q, 3 * Q, 60), meter=Meter(3, 4), bars=1, pickup=Q)
    back = _round_trip(score, tmp_path / "x.mid")
    assert back.bars == (Bar(0, Q, 0), Bar(Q, 3 * Q, 1))
    assert back.meters == (MeterChange(0, Meter(3, 4)),)
    signatures = [m for m in mido.MidiFile(tmp_path / "x.mid").tracks[0] if m.type == "time_signature"]
    assert [(m.numerator, m.denominator, m.time) for m in signatures] == [(1, 4, 0), (3, 4, Q)]


def test_a_long_rest_is_written_in_pieces(tmp_path: Path) -> None:
    late = 300_000_000 // (4 * Q) * 4 * Q  # more ticks than one delta holds
    score = _score(Note("a", 0, Q, 60), Note("b", late, Q, 60), bars=late // (4 * Q) + 1)
    assert _facts(_round_trip(score, tmp_path / "x.mid")) == _facts(score)


def test_meters_of_a_file() -> None:
    def bars(*signs: bytes, notes: bytes = SCALE * 2) -> list[tuple[Fraction, int]]:
        score = parse_midi(midi(b"".join(signs) + END, notes + END), "x.mid")
        return [(Fraction(b.duration_div, Q), b.number) for b in score.bars]

    def sign(numerator: int, exponent: int, delta: int = 0) -> bytes:
        return meta(0x58, bytes([numerator, exponent, 24, 8]), delta)

    assert bars() == [(4, 1), (4, 2), (4, 3), (4, 4)]
    assert bars(sign(3, 2)) == [(3, i) for i in range(1, 7)]  # the last one is filled up
    assert bars(sign(3, 2, 96 * 6)) == [(4, 1), (2, 2), (3, 3), (3, 4), (3, 5), (3, 6)]
    assert bars(sign(1, 2), sign(5, 2, 96)) == [(1, 0), (5, 1), (5, 2), (5, 3)]
    assert bars(sign(4, 2), sign(4, 2, 96)) == [(1, 0), (4, 1), (4, 2), (4, 3), (4, 4)]
    assert bars(sign(4, 2), sign(2, 2, 96 * 4)) == [(4, 1), *((2, i) for i in range(2, 8))]
    assert bars(sign(64, 6)) == [(4, 1), (4, 2), (4, 3), (4, 4)]
    assert bars(sign(40, 5)) == [(5, i) for i in range(1, 5)]
    assert bars(sign(37, 5))[0] == (Fraction(37, 8), 1)


def test_everything_in_a_rich_file_is_read() -> None:
    score = parse_midi(rich_file(), "x.mid")
    assert score.title == "A title"
    assert [(p.name, p.program) for p in score.parts] == [("Flöte", 73), ("Cello", 42)]
    assert score.keys == (KeyChange(Q, Key.parse("c")),)
    assert [(t.onset_div, t.qpm) for t in score.tempos] == [(Q, 120.0), ((96 + 300) * Q // 96, 100.0)]
    assert score.sections == (SectionMark(Q, "A"),)
    assert score.bars[:2] == (Bar(0, Q, 0), Bar(Q, 3 * Q, 1))
    assert score.meters == (MeterChange(0, Meter(3, 4)),)
    flute = [n for n in score.notes if n.part == 0]
    assert [(n.onset_div, n.duration_div, n.pitch) for n in flute] == [(i * Q // 2, Q // 2, 60 + i) for i in range(10)]


@pytest.mark.parametrize("data", [rich_file(), format0_file(), midi(SCALE * 20 + END, NOTE * 7, division=480)])
def test_another_reader_agrees(data: bytes) -> None:
    """symusic, an independent reader, finds the same notes in sound files."""
    other: Any = symusic.Score.from_midi(data)
    theirs = sorted(
        (Fraction(n.time * Q, other.tpq), Fraction(n.duration * Q, other.tpq), n.pitch)
        for track in other.tracks
        for n in track.notes
        if not track.is_drum
    )
    ours = [(n.onset_div, n.duration_div, n.pitch) for n in parse_midi(data, "x.mid").notes]
    assert sorted(ours) == theirs


def test_hanging_notes_do_not_swallow_later_ones() -> None:
    body = b"\x00\x90\x3c\x40\x60\x90\x3c\x40\x60\x80\x3c\x00" + b"\x60\x90\x3e\x40" + b"\x60\xff\x2f\x00"
    found = [(n.onset_div, n.duration_div, n.pitch) for n in parse_midi(midi(body), "x.mid").notes]
    assert found == [(0, Q, 60), (Q, Q, 60), (3 * Q, Q, 62)]


def test_ids_are_shared_by_score_and_performance(tmp_path: Path) -> None:
    path = tmp_path / "x.mid"
    path.write_bytes(format0_file())
    score, performance = read_midi(path), read_performance_midi(path)
    pitch = {n.id: n.pitch for n in score.notes}
    assert {n.note_id: n.pitch for n in performance.notes} == pitch
    onset = {n.id: n.onset_div for n in score.notes}
    for note in performance.notes:
        assert note.onset_sec == pytest.approx(onset[note.note_id] / Q * 0.5)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match=r"none/x\.mid: cannot be written: No such file"):
        write_score_midi(_score(Note("a", 0, Q, 60)), tmp_path / "none" / "x.mid")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MidiError, match="cannot be written"):
        write_score_midi(_score(Note("a", 0, Q, 60)), tmp_path / "folder")
    with pytest.raises(MidiError, match="no file name"):
        write_score_midi(_score(Note("a", 0, Q, 60)), "")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
