"""Preparing a corpus: what is kept does not depend on workers or luck, bad files cost themselves only."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import tarfile
import time
from pathlib import Path

import mido
import pytest

from music import corpus_pool
from music.cache import ScoreCache
from music.corpus import Manifest, PieceEntry, PrepareReport, load_pieces, prepare
from music.corpus_pool import Task, parse_all
from music.corpus_read import cut_bars, four_singers, movements, read_pieces
from music.errors import CacheError, RequestError
from music.pitch import Key
from music.score import Bar, KeyChange, MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import Meter

GOOD, BAD = 27, 3


def write_midi(path: Path, *, bars: int = 8, first: int = 60, notes: bool = True) -> None:
    """Quarters in 4/4, one pitch a bar, so that every file differs from the others by its first pitch and length."""
    track = mido.MidiTrack([mido.MetaMessage("time_signature", numerator=4, denominator=4)])
    for i in range(4 * bars if notes else 0):
        pitch = first + (i * 7) % 12
        track.append(mido.Message("note_on", note=pitch, velocity=64))
        track.append(mido.Message("note_off", note=pitch, time=480))
    track.append(mido.MetaMessage("end_of_track", time=0 if notes else 480 * 4 * bars))
    path.parent.mkdir(parents=True, exist_ok=True)
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty files in three folders, a tenth of them broken, with extensions of both cases."""
    root = tmp_path_factory.mktemp("data")
    for i in range(GOOD):
        write_midi(root / f"set{i % 3}" / f"piece {i}.{'MID' if i % 2 else 'midi'}", bars=6 + i, first=48 + i % 12)
    (root / "set0" / "broken.mid").write_bytes(b"MThd\x00\x00\x00\x06\x00\x01 and no more")
    (root / "set1" / "empty.mid").write_bytes(b"")
    write_midi(root / "set2" / "silent.mid", notes=False)
    (root / "set2" / "readme.txt").write_text("not music")
    (root / ".hidden.mid").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PrepareReport]:
    cache_dir = tmp_path_factory.mktemp("cache")
    return cache_dir, prepare("folder", path=folder, cache_dir=cache_dir, workers=1, progress=False)


def test_bad_files_are_dropped_with_their_reasons(prepared: tuple[Path, PrepareReport]) -> None:
    report = prepared[1]
    assert (report.files, report.parsed, report.kept) == (GOOD + BAD, GOOD + BAD, GOOD)
    reasons = dict(report.dropped)
    assert set(reasons) == {"set0/broken.mid", "set1/empty.mid", "set2/silent.mid"}
    assert reasons["set0/broken.mid"].startswith("MidiError: ")
    assert reasons["set1/empty.mid"].startswith("MidiError: ")
    assert "no" in reasons["set2/silent.mid"]
    assert "note" in reasons["set2/silent.mid"]
    assert all("\n" not in reason for reason in reasons.values())


def test_report_as_table_and_as_json(prepared: tuple[Path, PrepareReport]) -> None:
    report = prepared[1]
    table, line = report.table(), report.json_line()
    assert "30 files, 27 pieces kept, 3 files dropped" in table
    assert "dropped set0/broken.mid: MidiError" in table
    assert "\n" not in line
    figures = json.loads(line)
    assert figures["kept"] == GOOD
    assert sum(row["pieces"] for row in figures["splits"].values()) == GOOD
    assert sum(row["notes"] for row in figures["splits"].values()) == sum(4 * (6 + i) for i in range(GOOD))
    assert sum(figures["reasons"].values()) == BAD
    stored = Manifest.from_json(json.loads(Path(figures["manifest"]).read_text(encoding="utf-8")))
    assert stored == report.manifest
    assert figures["manifest_sha256"] == stored.sha256


def test_two_workers_keep_the_same_set(folder: Path, prepared: tuple[Path, PrepareReport], tmp_path: Path) -> None:
    report = prepare("folder", path=folder, cache_dir=tmp_path, workers=2, progress=False)
    assert report.manifest == prepared[1].manifest
    assert report.dropped == prepared[1].dropped


def test_second_run_parses_nothing_and_is_quick(
    folder: Path, prepared: tuple[Path, PrepareReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(corpus_pool.subprocess, "Popen", refuse)
    start = time.perf_counter()
    report = prepare("folder", path=folder, cache_dir=prepared[0], progress=False)
    assert time.perf_counter() - start < 5
    assert report.parsed == 0
    assert report.manifest == prepared[1].manifest
    assert report.dropped == prepared[1].dropped


def test_loaded_pieces_are_those_of_the_split(folder: Path, prepared: tuple[Path, PrepareReport]) -> None:
    everything = load_pieces("folder", "all", path=folder, cache_dir=prepared[0], progress=False)
    train = load_pieces("folder", "train", path=folder, cache_dir=prepared[0], progress=False)
    assert len(everything) == GOOD
    assert {e.split for e, _ in train} == {"train"}
    assert [p for p in everything if p[0].split == "train"] == train
    for entry, score in everything:
        assert (len(score.bars), len(score.notes)) == (entry.bars, entry.notes)
        assert (entry.style, entry.ensemble) == ("folder", "piano")
    with pytest.raises(RequestError, match="split=practice"):
        load_pieces("folder", "practice", path=folder, cache_dir=prepared[0])


def _one_piece(tmp_path: Path) -> tuple[Path, Path, PieceEntry]:
    write_midi(tmp_path / "data" / "a.mid")
    report = prepare("folder", path=tmp_path / "data", cache_dir=tmp_path / "cache", workers=1)
    return tmp_path / "data", tmp_path / "cache", report.manifest.entries[0]


def test_damaged_and_outdated_entries_are_rebuilt(tmp_path: Path) -> None:
    data, cache_dir, entry = _one_piece(tmp_path)
    cache = ScoreCache(cache_dir / "scores")
    path = cache.path(entry.sha256, entry.reading)
    good, score = path.read_bytes(), cache.load(entry.sha256, entry.reading)
    path.write_bytes(good[: len(good) // 2])
    assert prepare("folder", path=data, cache_dir=cache_dir, workers=1).parsed == 1
    assert path.read_bytes() == good
    ScoreCache(cache_dir / "scores", "an older version").put(entry.sha256, entry.reading, score)
    assert path.read_bytes() != good
    assert prepare("folder", path=data, cache_dir=cache_dir, workers=1).parsed == 1
    assert path.read_bytes() == good


def test_a_full_disk_ends_the_run_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, cache_dir, _ = _one_piece(tmp_path)
    before = {p: p.read_bytes() for p in cache_dir.rglob("*") if p.is_file()}

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CacheError, match="disk is full"):
        prepare("folder", path=data, cache_dir=cache_dir)
    assert {p: p.read_bytes() for p in cache_dir.rglob("*") if p.is_file()} == before


def test_a_cache_that_cannot_be_written_is_told_by_the_worker(tmp_path: Path) -> None:
    write_midi(tmp_path / "a.mid")
    (tmp_path / "scores").write_text("a file in the way")
    with pytest.raises(CacheError, match="cache_dir=DIR"):
        parse_all([Task(tmp_path / "a.mid", "0" * 64, "midi")], ScoreCache(tmp_path / "scores"), workers=1)
    with pytest.raises(CacheError, match="cache_dir=DIR"):
        prepare("folder", path=tmp_path, cache_dir=tmp_path)


def test_files_that_hang_or_kill_the_reader_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the worker: it sleeps on one file, dies on another and answers for the third."""
    stand_in = tmp_path / "worker.py"
    stand_in.write_text(
        "import sys, time, json\n"
        "for line in sys.stdin:\n"
        "    if 'hangs' in line: time.sleep(60)\n"
        "    if 'kills' in line: sys.exit(1)\n"
        "    print(json.dumps({'bars': [4], 'notes': [9], 'ensembles': ['piano'], 'reason': ''}), flush=True)\n"
    )
    real = corpus_pool.subprocess.Popen

    def popen(command: list[str], **options: object) -> object:
        return real([sys.executable, str(stand_in)], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(corpus_pool.subprocess, "Popen", popen)
    tasks = [Task(Path(name), name, "midi") for name in ("hangs", "kills", "fine", "also fine")]
    found = parse_all(tasks, ScoreCache(tmp_path), workers=1, timeout_sec=1.5)
    assert [found[task].reason for task in tasks] == [
        "no answer within 1.5 s",
        "the reader's process died on it",
        "",
        "",
    ]
    assert found[tasks[2]].notes == (9,)


def test_a_file_that_computes_for_ever_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "worker.py"
    stand_in.write_text(
        "import json, sys\n"
        "from music.corpus_worker import limit_processor_time\n"
        "limit_processor_time(json.loads(sys.stdin.readline())['cpu_sec'])\n"
        "while True: pass\n"
    )
    real = corpus_pool.subprocess.Popen

    def popen(command: list[str], **options: object) -> object:
        return real([sys.executable, str(stand_in)], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(corpus_pool.subprocess, "Popen", popen)
    monkeypatch.setattr(corpus_pool, "FILE_CPU_SEC", 0.1)
    task = Task(tmp_path / "a.mid", "0" * 64, "midi")
    assert parse_all([task], ScoreCache(tmp_path), workers=1)[task].reason == "not read after 0.1 s of processor time"


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ("mozart", None, "music21_chorales"),
        ("folder", None, "data.path=DIR"),
        ("piano_midi_de", None, "www.piano-midi.de"),
        ("openscore_quartets", "missing", "does not exist"),
        ("folder", "", "no MIDI or MusicXML"),
    ],
)
def test_wishes_that_cannot_be_met(tmp_path: Path, data: str, path: str | None, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        prepare(data, path=None if path is None else tmp_path / path, cache_dir=tmp_path / "cache")


def test_archives_are_unpacked_once_and_safely(tmp_path: Path) -> None:
    write_midi(tmp_path / "data" / "a.mid")
    archive = tmp_path / "set.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(tmp_path / "data", "set")
    first = prepare("folder", path=archive, cache_dir=tmp_path / "cache", workers=1)
    assert [e.path for e in first.manifest.entries] == ["set/a.mid"]
    assert prepare("folder", path=archive, cache_dir=tmp_path / "cache").parsed == 0

    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as tar:
        member = tarfile.TarInfo("../outside.mid")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"MThd"))
    with pytest.raises(RequestError, match=r"evil\.tar"):
        prepare("folder", path=evil, cache_dir=tmp_path / "cache2")
    assert not list(tmp_path.rglob("outside.mid"))
    assert not [p for p in (tmp_path / "cache2").rglob("*") if p.is_file()]
    archive.write_bytes(archive.read_bytes()[:50])
    with pytest.raises(RequestError, match="unpack it yourself"):
        prepare("folder", path=archive, cache_dir=tmp_path / "cache3")


def test_copies_and_second_formats_count_once(tmp_path: Path) -> None:
    write_midi(tmp_path / "a.mid")
    write_midi(tmp_path / "z.mid")
    (tmp_path / "a.musicxml").write_text("<score-partwise/>")
    report = prepare("folder", path=tmp_path, cache_dir=tmp_path / "cache", workers=1)
    reasons = dict(report.dropped)
    assert reasons["a.musicxml"].startswith("MusicXmlError")
    assert reasons["a.mid"] == "the same file as z.mid", "it is read, since the score beside it cannot be"
    assert [e.path for e in report.manifest.entries] == ["z.mid"]
    assert (report.files, report.parsed) == (3, 2)


def test_of_one_piece_in_several_formats_the_first_that_can_be_read_counts(tmp_path: Path) -> None:
    (tmp_path / "a.musicxml").write_text("<score-partwise/>")
    (tmp_path / "a.xml").write_text("nothing")
    write_midi(tmp_path / "a.mid")
    (tmp_path / "a.midi").write_bytes(b"never read")
    report = prepare("folder", path=tmp_path, cache_dir=tmp_path / "cache", workers=1)
    assert [e.path for e in report.manifest.entries] == ["a.mid"]
    reasons = dict(report.dropped)
    assert set(reasons) == {"a.midi", "a.musicxml", "a.xml"}
    assert reasons["a.midi"] == "the same piece stands beside it in another format"
    assert prepare("folder", path=tmp_path, cache_dir=tmp_path / "cache", workers=1).parsed == 0


def test_a_file_that_is_no_archive_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("hello")
    with pytest.raises(RequestError, match=r"readme\.md is neither a folder nor a tar archive"):
        prepare("folder", path=tmp_path / "readme.md", cache_dir=tmp_path / "cache")


def _score(bars: tuple[Bar, ...], pitches: list[int], names: tuple[str, ...] = ("Soprano",)) -> Score:
    notes = [
        Note(f"p{part}n{i}", bar.onset_div, bar.duration_div, pitch - 5 * part, part)
        for part in range(len(names))
        for i, (bar, pitch) in enumerate(zip(bars, pitches, strict=True))
    ]
    meters = (MeterChange(0, Meter(4, 4)), MeterChange(bars[-1].onset_div, Meter(2, 4)))
    parts = tuple(Part(f"P{i}", name) for i, name in enumerate(names))
    return Score(parts, sort_notes(notes), bars, meters, (KeyChange(0, Key("G")),))


def test_movements_are_told_from_repeats() -> None:
    numbers = [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]
    bars = tuple(Bar(i * 40320, 40320, n) for i, n in enumerate(numbers))
    pitches = [60, 62, 64, 65] * 2 + [70, 71, 72, 73]
    first, second = movements(_score(bars, pitches))
    assert [b.number for b in first.bars] == numbers[:8]
    assert [n.pitch for n in second.notes] == [70, 71, 72, 73]
    assert second.bars[0].onset_div == second.notes[0].onset_div == 0
    assert second.key_at(0) == Key("G")
    assert [(m.onset_div, str(m.meter)) for m in second.meters] == [(0, "4/4"), (3 * 40320, "2/4")]


def test_notes_that_sound_over_the_cut_are_shortened() -> None:
    bars = regular_bars(Meter(4, 4), 4)
    note = Note("long", 40320, 3 * 40320, 60)
    score = Score((Part("P1"),), (note,), bars, (MeterChange(0, Meter(4, 4)),))
    assert cut_bars(score, 1, 3).notes == (Note("long", 0, 2 * 40320, 60),)
    assert cut_bars(score, 2, 4).notes == ()


def test_singers_are_found_among_instruments() -> None:
    bars = regular_bars(Meter(4, 4), 5)
    names = ("Horn 1", "Soprano", "Alto", "Tenor Viola", "Bass", "Continuo")
    choir = four_singers(_score(bars, [60, 62, 64, 65, 67], names))
    assert [p.name for p in choir.parts] == ["Soprano", "Alto", "Tenor Viola", "Bass"]
    assert [n.pitch for n in choir.notes if n.part == 0] == [55, 57, 59, 60, 62]
    assert len(choir.notes) == 20


def test_what_no_reader_foresaw_is_a_reason_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> tuple[Score, ...]:
        raise ZeroDivisionError("a fault\nof the reader")

    monkeypatch.setitem(corpus_read_readings(), "midi", broken)
    assert read_pieces(tmp_path / "a.mid", "midi") == ((), "unexpected ZeroDivisionError: a fault of the reader")


def corpus_read_readings() -> dict[str, object]:
    from music import corpus_read

    return corpus_read.READINGS  # type: ignore[return-value]
