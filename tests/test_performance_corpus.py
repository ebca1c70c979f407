"""Corpora of performances: what is kept, what is dropped and why, and that what is loaded is what was read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from music import performance_cache
from music.cache import PARSERS
from music.errors import CacheError, RequestError
from music.match_files import read_match
from music.paired import PairedPerformance
from music.performance_cache import PerformanceCache, pair_from_arrays, pair_to_arrays
from music.performance_corpus import (
    PerformanceManifest,
    PerformanceReport,
    load_performances,
    prepare_all,
    prepare_performances,
    read_performance_manifest,
)
from music.performance_read import usable_pair
from music.performance_report import why_dropped
from music.voices import assign_voices
from tests.performance_files import write_aligned, write_match
from tests.test_cache import reached_modules

TRAIN, TEST, HELD = "Chopin/Sonata_2/1st/Ko05M.match", "Chopin/Ballades/1/Ko05.match", "Chopin/Ballades/2/Ko05.match"
JUMPY, DAMAGED, COPY = "Chopin/Ballades/3/Li01.match", "Liszt/Ballade_2/Li01.match", "Schumann/Toccata/Li01.match"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PerformanceReport]:
    """A small (n)ASAP: three good files in three splits, one that jumps, one damaged, one a copy of the first."""
    folder = tmp_path_factory.mktemp("nasap")
    for i, name in enumerate((TRAIN, TEST, HELD)):
        write_match(folder / "set" / name, 24 + i)
    write_match(folder / "set" / JUMPY, pause=8.0)
    write_match(folder / "set" / DAMAGED).write_text("no match file\n")
    write_match(folder / "set" / COPY, 24)
    cache = folder / "cache"
    return cache, prepare_performances("nasap", path=folder / "set", cache_dir=cache, workers=1, progress=False)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> PairedPerformance:
    return usable_pair(read_match(write_match(tmp_path_factory.mktemp("one") / "a.match", 25)))


def test_good_files_are_kept_with_their_tags(prepared: tuple[Path, PerformanceReport]) -> None:
    _, report = prepared
    assert (report.files, report.kept, report.parsed) == (6, 3, 5)
    found = {e.path: e for e in report.manifest.entries}
    assert [(e.path, e.split) for e in report.manifest.entries] == [
        (TEST, "test"),
        (HELD, "held_out"),
        (TRAIN, "train"),
    ]
    entry = found[TRAIN]
    assert entry.id == f"nasap/{TRAIN}"
    assert (entry.composer, entry.style, entry.pianist) == ("chopin", "chopin_piano", "ko")
    assert (entry.composition, entry.work) == ("Chopin/Sonata_2/1st", "Chopin/Sonata_2")
    assert "CC BY-NC-SA" in entry.licence
    assert (entry.bars, entry.notes, entry.played, entry.deletions) == (8, 24, 24, 0)
    assert entry.seconds == pytest.approx(23 * 0.5 + 400 / 960, abs=0.001)


def test_bad_files_are_dropped_with_reasons(prepared: tuple[Path, PerformanceReport]) -> None:
    _, report = prepared
    reasons = dict(report.dropped)
    assert sorted(reasons) == sorted((JUMPY, DAMAGED, COPY))
    assert "beat periods jump" in reasons[JUMPY]
    assert "does not begin with the version" in reasons[DAMAGED]
    assert reasons[COPY] == f"the same file as {TRAIN}"
    for line in (TRAIN.split("/")[0].lower(), "held_out", reasons[JUMPY], "6 performances, 3 kept, 3 dropped"):
        assert line in report.table()
    figures = json.loads(report.json_line())
    assert figures["splits"]["train"]["played"] == 24
    assert sum(figures["reasons"].values()) == 3


def test_reasons_are_counted_by_kind() -> None:
    rows = [("a", "3.1% of the beat periods jump; more"), ("b", "12.0% of the beat periods jump"), ("c", "no: x")]
    assert why_dropped(rows) == {"N of the beat periods jump": 2, "no": 1}


def test_loading_gives_what_was_read_with_voices(prepared: tuple[Path, PerformanceReport]) -> None:
    cache, report = prepared
    root = Path(report.manifest.root)
    [(entry, loaded)] = load_performances("nasap", "train", cache_dir=cache)
    read = read_match(root / entry.path)
    assert loaded == replace(read, score=assign_voices(read.score, "piano"))
    assert all(note.staff and note.voice and note.step for note in loaded.score.notes)
    assert [e.path for e, _ in load_performances("nasap", "all", cache_dir=cache)] == [TEST, TRAIN]
    assert [e.path for e, _ in load_performances("nasap", "held_out", cache_dir=cache)] == [HELD]
    assert list(load_performances("nasap", "valid", cache_dir=cache)) == []


def test_a_second_run_reads_nothing_and_says_the_same(prepared: tuple[Path, PerformanceReport]) -> None:
    cache, report = prepared
    again = prepare_performances("nasap", path=Path(report.manifest.root), cache_dir=cache, workers=2, progress=False)
    assert again.parsed == 0
    assert again.manifest == report.manifest
    assert again.dropped == report.dropped
    assert again.table() == report.table()


def test_what_is_not_prepared_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"not prepared; run `python pipeline.py task=prepare data=nasap"):
        load_performances("nasap", "train", cache_dir=tmp_path)
    with pytest.raises(RequestError, match="split=most"):
        load_performances("nasap", "most", cache_dir=tmp_path)
    with pytest.raises(RequestError, match="data=folder holds no performances"):
        load_performances("folder", "train", cache_dir=tmp_path)


def test_a_changed_manifest_is_refused(tmp_path: Path, prepared: tuple[Path, PerformanceReport]) -> None:
    _, report = prepared
    data = json.loads(report.manifest_path.read_text())
    assert PerformanceManifest.from_json(data) == report.manifest
    data["entries"][0]["split"] = "train"
    path = tmp_path / "manifests" / "performances-nasap.json"
    path.parent.mkdir()
    path.write_text(json.dumps(data))
    with pytest.raises(CacheError, match="damaged or of other splits"):
        read_performance_manifest("nasap", cache_dir=tmp_path)
    path.write_text("{")
    with pytest.raises(CacheError, match="damaged"):
        read_performance_manifest("nasap", cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ("nasap", None, "data.path=DIR"),
        ("nasap", "nowhere", "does not exist"),
        ("nasap", "", "no performance of this set"),
        ("mozart", "", "not known"),
    ],
)
def test_a_wrong_request_is_one_typed_error(tmp_path: Path, data: str, path: str | None, words: str) -> None:
    place = None if path is None else tmp_path / path
    with pytest.raises(RequestError, match=words):
        list(prepare_all(data, path=place, cache_dir=tmp_path / "cache", workers=1, progress=False))


def test_pairs_survive_arrays_and_disk(tmp_path: Path, pair: PairedPerformance) -> None:
    counted = replace(pair, deletions=2, insertions=3, ornaments=4)
    assert pair_from_arrays(pair_to_arrays(counted)) == counted
    cache = PerformanceCache(tmp_path)
    cache.put_pair("ab" * 32, "match", counted)
    assert cache.load_pair("ab" * 32, "match") == counted
    figures = cache.figures("ab" * 32, "match")
    assert (figures.notes, figures.played, figures.insertions, figures.ornaments) == (25, 25, 3, 4)


def test_entries_of_other_code_or_damaged_are_refused(
    tmp_path: Path, pair: PairedPerformance, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PerformanceCache(tmp_path)
    cache.put_pair("ab" * 32, "match", pair)
    with monkeypatch.context() as patch:
        patch.setattr(performance_cache, "FORMAT", 0)
        with pytest.raises(CacheError, match="task=prepare"):
            cache.load_pair("ab" * 32, "match")
    path = cache.path("ab" * 32, "match")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CacheError, match="missing, damaged"):
        cache.load_pair("ab" * 32, "match")
    cache.put_pair("cd" * 32, "match", None, "too short")
    entry = cache.peek("cd" * 32, "match")
    assert entry is not None
    assert entry.reason == "too short"
    with pytest.raises(CacheError):
        cache.load_pair("cd" * 32, "match")


@pytest.mark.parametrize(
    ("kind", "module"),
    [("match", "match_files"), ("piano_performance", "piano_midi_de"), ("aligned_performance", "aligned_files")],
)
def test_version_covers_every_module_that_reads(kind: str, module: str) -> None:
    # Errors shape no pair, of plans only the ensembles' names are used, and lists of files stand in the manifest.
    idle = {"errors", "plan", "plan_text", "harmony", "cache", "splits", "performance_splits"}
    idle |= {"corpus_sources", "performance_sources"}
    reached = reached_modules(module, set()) | reached_modules("voices", set()) | {"performance_read"}
    assert reached - idle <= set(PARSERS[kind][1])


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    write_aligned(folder, "good")
    write_aligned(folder / "deep", "bad", rows="0\t0\n1\t999\n")
    write_match(folder / "one.match", 25)
    (folder / "lone.performance.mid").write_bytes(b"")
    (folder / "scoreless.alignment.tsv").write_text("0\t0\n")
    report = prepare_performances("performances", path=folder, cache_dir=tmp_path / "cache", workers=1, progress=False)
    assert [e.path for e in report.manifest.entries] == ["good.alignment.tsv", "one.match"]
    assert {e.style for e in report.manifest.entries} == {"folder"}
    assert dict(report.dropped) == {
        "deep/bad.alignment.tsv": "FileError: played note 999 is beyond the 24 of bad.performance.mid",
        "lone.performance.mid": "no .alignment.tsv stands beside it",
        "scoreless.alignment.tsv": "no score stands beside it",
    }
    loaded = list(load_performances("performances", "all", cache_dir=tmp_path / "cache"))
    assert [pair.deletions for _, pair in loaded] == [1, 0]
