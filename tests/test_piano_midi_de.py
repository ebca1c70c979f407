"""Scores and performances from files such as those of www.piano-midi.de, and from alignments of a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from music.aligned_files import numbered_list, read_aligned, read_alignment
from music.errors import FileError, MidiError
from music.midi import read_midi
from music.musicxml import write_musicxml
from music.performance_corpus import PerformanceReport, prepare_all
from music.piano_midi_de import hand_of_track, read_piano_midi
from music.time import DIVS_PER_QUARTER
from music.voices import LOWER, UPPER
from tests.midi_files import midi
from tests.performance_files import conductor, track, write_aligned

Q = DIVS_PER_QUARTER
PEDAL = b"\x00\xb0\x40\x7f\x83\x60\xb0\x40\x00"  # down at 0, up 480 ticks later


def _file(
    path: Path,
    right: list[tuple[int, int, int, int]],
    left: list[tuple[int, int, int, int]],
    names: tuple[str, str] = ("Piano right", "Piano left"),
) -> Path:
    tracks = (
        track(names[0], right),
        track(names[1], left),
        track("Pedal", [], head=PEDAL),
    )
    tempos = [(0, 500_000), (480, 600_000), (960, 1_000_000)]
    path.write_bytes(midi(conductor(tempos), *tracks, division=480))
    return path


def test_one_file_is_score_and_performance(tmp_path: Path) -> None:
    right = [(0, 456, 72, 80), (480, 930, 74, 70), (960, 1440, 76, 60)]
    left = [(0, 1900, 48, 50), (960, 1000, 52, 40)]
    pair = read_piano_midi(_file(tmp_path / "a.mid", right, left))
    notes = {note.pitch: note for note in pair.score.notes}
    assert {p: n.staff for p, n in notes.items()} == {72: UPPER, 74: UPPER, 76: UPPER, 48: LOWER, 52: LOWER}
    assert {p: n.onset_div / Q for p, n in notes.items()} == {72: 0, 48: 0, 74: 1, 76: 2, 52: 2}
    assert (notes[72].duration_div, notes[74].duration_div, notes[76].duration_div) == (Q, Q, Q)
    assert (len(pair.score.parts), pair.score.tempos) == (1, ())
    played = {note.pitch: note for note in pair.performance.notes}
    assert {p: n.velocity for p, n in played.items()} == {72: 80, 48: 50, 74: 70, 76: 60, 52: 40}
    assert [played[p].onset_sec for p in (72, 48, 74, 76)] == pytest.approx([0, 0, 0.5, 1.1])
    assert played[72].duration_sec == pytest.approx(0.5 * 456 / 480)
    assert [(p.onset_sec, p.value) for p in pair.performance.pedals] == [(0.0, 127), (0.5, 0)]
    assert {n.note_id for n in pair.performance.notes} == {n.id for n in pair.score.notes}
    assert (pair.deletions, pair.insertions, pair.ornaments) == (0, 0, 0)


@pytest.mark.parametrize(
    ("length", "gap", "quarters"),
    [
        (240, 240, 1 / 2),  # as written
        (228, 240, 1 / 2),  # a little early
        (280, 240, 1 / 2),  # legato beyond the next onset
        (120, 240, 1 / 4),  # on the grid: a rest may follow
        (180, 240, 3 / 8),
        (90, 240, 1 / 4),  # short of everything: up to the grid
        (48, 60, 1 / 8),
        (60, 480, 1 / 8),
        (58, 480, 1 / 8),
        (930, 480, 2),  # to the onset after the next
        (150, 160, 1 / 3),
        (120, 160, 1 / 3),  # a thirty-second has no place in a triplet
        (80, 160, 1 / 6),
        (50, 160, 1 / 6),
    ],
)
def test_lengths_are_those_that_a_score_would_have(tmp_path: Path, length: int, gap: int, quarters: float) -> None:
    right = [(i * gap, i * gap + length, 60 + i % 12, 64) for i in range(12)]
    pair = read_piano_midi(_file(tmp_path / "a.mid", right, [(0, 9600, 40, 64)]))
    first = next(n for n in pair.score.notes if n.pitch == 60 and n.onset_div == 0)
    assert first.duration_div == pytest.approx(quarters * Q)


def test_a_key_has_one_note_at_a_time(tmp_path: Path) -> None:
    right = [(0, 240, 60, 80), (480, 960, 62, 70)]
    left = [(0, 960, 60, 90), (240, 720, 62, 60)]
    pair = read_piano_midi(_file(tmp_path / "a.mid", right, left))
    assert [(n.pitch, n.onset_div / Q, n.staff) for n in pair.score.notes] == [(60, 0, 2), (62, 0.5, 2), (62, 1, 1)]
    played = pair.performance.notes
    assert [(n.pitch, n.velocity) for n in played] == [(60, 90), (62, 60), (62, 70)]
    assert played[1].onset_sec + played[1].duration_sec == pytest.approx(played[2].onset_sec)


def test_hands_are_guessed_where_no_track_names_them(tmp_path: Path) -> None:
    assert [hand_of_track(name) for name in ("PIano right second", "Piano left2", "Left", "Fuga 1")] == [1, 2, 2, 0]
    right = [(i * 480, i * 480 + 480, 76 + i, 64) for i in range(8)]
    left = [(i * 480, i * 480 + 480, 40 + i, 64) for i in range(8)]
    pair = read_piano_midi(_file(tmp_path / "a.mid", right, left, ("Fuga 1", "Fuga 2")))
    assert {n.staff for n in pair.score.notes if n.pitch > 60} == {UPPER}
    assert {n.staff for n in pair.score.notes if n.pitch < 60} == {LOWER}


def test_a_broken_file_is_one_typed_error(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(b"MThd")
    with pytest.raises(MidiError, match="truncated"):
        read_piano_midi(tmp_path / "a.mid")


def test_the_set_is_prepared_for_composer_and_performer(tmp_path: Path) -> None:
    right = [(i * 240, i * 240 + 228, 60 + i % 12, 64) for i in range(64)]
    left = [(i * 480, i * 480 + 480, 40 + i % 7, 64) for i in range(32)]
    folder = tmp_path / "set" / "Mozart"
    folder.mkdir(parents=True)
    for name in ("chpn_op25_e3", "mz_331_1"):
        _file(folder / f"{name}.mid", [*right, (15360, 15840, 60 + len(name), 64)], left)
    place = {"path": tmp_path / "set", "cache_dir": tmp_path / "cache", "workers": 1, "progress": False}
    scores, performances = prepare_all("piano_midi_de", **place)  # type: ignore[arg-type]
    assert (scores.kept, performances.kept) == (2, 2)
    assert isinstance(performances, PerformanceReport)
    found = {e.composition: e for e in performances.manifest.entries}
    assert {name: e.split for name, e in found.items()} == {"chpn_op25_e3": "train", "mz_331_1": "test"}
    assert (found["mz_331_1"].work, found["mz_331_1"].style) == ("Mozart/Piano_Sonatas/11", "mozart_piano")
    assert found["mz_331_1"].pianist == "krueger"


def test_an_alignment_joins_score_and_performance(tmp_path: Path) -> None:
    pair = read_aligned(write_aligned(tmp_path))
    assert (len(pair.score.notes), len(pair.performance.notes)) == (24, 23)
    assert (pair.deletions, pair.insertions) == (1, 1)
    pitches = {note.id: note.pitch for note in pair.score.notes}
    assert all(pitches[n.note_id] == n.pitch for n in pair.performance.notes)
    onsets = {note.id: note.onset_div // Q for note in pair.score.notes}
    assert [n.velocity - 40 for n in pair.performance.notes] == [onsets[n.note_id] for n in pair.performance.notes]
    assert numbered_list(tmp_path / "piece.performance.mid").splitlines()[:3] == [
        "number\tseconds\tpitch",
        "0\t0.000\t60",
        "1\t0.521\t61",
    ]
    assert numbered_list(tmp_path / "piece.mid").splitlines()[4] == "3\t3.0000\t63"


def test_a_musicxml_score_goes_before_a_midi_one(tmp_path: Path) -> None:
    path = write_aligned(tmp_path)
    plain = read_aligned(path)
    write_musicxml(read_midi(tmp_path / "piece.mid"), tmp_path / "piece.musicxml")
    (tmp_path / "piece.mid").write_bytes(b"not read")
    pair = read_aligned(path)
    assert [(n.onset_div, n.pitch) for n in pair.score.notes] == [(n.onset_div, n.pitch) for n in plain.score.notes]
    assert [(n.onset_sec, n.pitch) for n in pair.performance.notes] == [
        (n.onset_sec, n.pitch) for n in plain.performance.notes
    ]
    assert {n.pitch for n in pair.score.notes if n.id not in pair.aligned} == {63}


def test_alignments_are_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "a.alignment.tsv"
    path.write_text("\ufeffscore,played,who\n# a remark\n\n0,1,x\n1 , -\n-\t0\n")
    assert read_alignment(path) == ((0, 1), (1, None), (None, 0))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("0\t0\n0\t1\n", "score note 0 comes twice"),
        ("0\t0\n1\t0\n", "played note 0 comes twice"),
        ("0\t0\n1\n", "line 2 is no pair"),
        ("0\t0\n1\t-1\n", "line 2 is no pair"),
        ("24\t0\n", "score note 24 is beyond the 24"),
        ("0\t24\n", "played note 24 is beyond the 24"),
        ("0\t-\n", "aligns no note"),
        ("", "aligns no note"),
    ],
)
def test_a_bad_alignment_is_one_typed_error(tmp_path: Path, rows: str, words: str) -> None:
    path = write_aligned(tmp_path, rows=rows)
    with pytest.raises(FileError, match=words):
        read_aligned(path)


def test_what_does_not_stand_beside_it_is_named(tmp_path: Path) -> None:
    path = write_aligned(tmp_path)
    (tmp_path / "piece.performance.mid").unlink()
    with pytest.raises(FileError, match="no performance stands beside it"):
        read_aligned(path)
    (tmp_path / "piece.mid").unlink()
    with pytest.raises(FileError, match="no score stands beside it"):
        read_aligned(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="is not text"):
        read_alignment(path)
