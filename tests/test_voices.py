"""Hands, voices and spelling."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music21 import corpus

from music.musicxml import score_from_music21
from music.pitch import Key
from music.score import KeyChange, MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import Meter
from music.voices import HAND_SPAN, assign_voices, hands, signature_key, spell

Q = 10080


def _score(rows: list[tuple[int, int, int]], keys: tuple[KeyChange, ...] = ()) -> Score:
    """A piano score of 4/4 bars from (onset, duration, pitch) in eighths."""
    notes = [Note(f"n{i}", o * Q // 2, d * Q // 2, p) for i, (o, d, p) in enumerate(rows)]
    bars = max((n.end_div for n in notes), default=0) // (4 * Q) + 1
    meter = Meter(4, 4)
    return Score((Part("P1"),), sort_notes(notes), regular_bars(meter, bars), (MeterChange(0, meter),), keys)


def _overlaps(score: Score) -> bool:
    """True where a voice has notes that overlap without being one chord."""
    streams = defaultdict(list)
    for note in score.notes:
        if note.duration_div:
            streams[note.part, note.staff, note.voice].append((note.onset_div, note.end_div))
    for spans in streams.values():
        spans = sorted(set(spans))
        if any(a[1] > b[0] for a, b in pairwise(spans)):
            return True
    return False


def test_melody_right_accompaniment_left() -> None:
    rows = [(0, 8, 76)] + [(i, 1, 48 + (0, 7, 4, 7)[i % 4]) for i in range(8)]
    score = assign_voices(_score(rows), "piano")
    assert {n.pitch: n.staff for n in score.notes} == {76: 1, 48: 2, 55: 2, 52: 2}
    assert {n.voice for n in score.notes if n.staff == 1} == {1}
    assert {n.voice for n in score.notes if n.staff == 2} == {5}


def test_wide_chord_is_shared_by_the_hands() -> None:
    staves = hands(np.zeros(6, int), np.full(6, Q), np.array([36, 43, 52, 60, 64, 72]))
    assert staves.tolist() == [2, 2, 1, 1, 1, 1] or staves.tolist() == [2, 2, 2, 1, 1, 1]


def test_held_note_under_a_moving_one_takes_a_lower_voice() -> None:
    rows = [(0, 4, 62), (1, 1, 72), (2, 1, 74), (3, 1, 76), (0, 8, 36)]
    score = assign_voices(_score(rows), "piano")
    voice = {n.pitch: n.voice for n in score.notes}
    assert voice[62] > voice[72] == voice[74] == voice[76] == 1
    assert not _overlaps(score)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 24), st.integers(0, 9), st.integers(30, 96)), min_size=1, max_size=40, unique=True
    )
)
def test_no_voice_overlaps_itself(rows: list[tuple[int, int, int]]) -> None:
    score = _score(rows)
    filled = assign_voices(score, "piano")
    assert [(n.id, n.onset_div, n.duration_div, n.pitch) for n in filled.notes if n] == [
        (n.id, n.onset_div, n.duration_div, n.pitch)
        for n in sorted(score.notes, key=lambda n: [m.id for m in filled.notes].index(n.id))
    ]
    assert all(n.staff in (1, 2) and n.voice >= 1 and n.step for n in filled.notes)
    assert not _overlaps(filled)
    assert assign_voices(score, "piano") == filled


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, HAND_SPAN), min_size=1, max_size=3), min_size=1, max_size=12))
def test_two_hands_that_can_reach_do_reach(chords: list[list[int]]) -> None:
    """Chords of a left hand from C2 and a right hand from C5: no hand spans more than it can."""
    onset, pitch = [], []
    for index, chord in enumerate(chords):
        for interval in sorted(set(chord)):
            onset += [index * Q, index * Q]
            pitch += [36 + interval, 72 + interval]
    staves = hands(np.array(onset), np.full(len(onset), Q), np.array(pitch))
    for index in range(len(chords)):
        for staff in (1, 2):
            own = [p for p, o, s in zip(pitch, onset, staves, strict=True) if o == index * Q and s == staff]
            assert not own or max(own) - min(own) <= HAND_SPAN


def test_spelling_follows_the_key() -> None:
    scale = np.array([1, 3, 5, 6, 8, 10, 0]) + 60
    assert "".join(spell(scale, [Key("Db")] * 7)) == "DEFGABC"
    assert "".join(spell(scale, [Key("C#")] * 7)) == "CDEFGAB"
    minor = np.array([69, 71, 72, 74, 76, 77, 80, 81])
    assert "".join(spell(minor, [Key("A", True)] * 8)) == "ABCDEFGA"
    assert signature_key(minor).fifths == 0


def test_spelling_of_chorales() -> None:
    right = total = 0
    for name in ("bach/bwv66.6", "bach/bwv269", "bach/bwv40.8", "bach/bwv144.6"):
        score = score_from_music21(corpus.parse(name))
        keys = [score.key_at(n.onset_div) or Key("C") for n in score.notes]
        found = spell(np.array([n.pitch for n in score.notes]), keys)
        right += sum(a == n.step for a, n in zip(found, score.notes, strict=True))
        total += len(score.notes)
    assert right / total > 0.99


def test_four_parts_stay() -> None:
    score = score_from_music21(corpus.parse("bach/bwv66.6"))
    filled = assign_voices(score, "satb")
    assert filled.parts == score.parts
    assert [n.part for n in filled.notes] == [n.part for n in score.notes]
    assert {(n.staff, n.voice) for n in filled.notes} == {(1, 1)}
    joined = assign_voices(score, "piano")
    assert len(joined.parts) == 1
    assert sorted(n.pitch for n in joined.notes) == sorted(n.pitch for n in score.notes)
    assert not _overlaps(joined)


def test_unknown_ensemble() -> None:
    with pytest.raises(ValueError, match="ensemble 'organ'"):
        assign_voices(_score([(0, 1, 60)]), "organ")
