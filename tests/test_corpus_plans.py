"""The composer's corpus, made of several sets, and corpus pieces as plans."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from music import corpus_sources
from music.corpus import load_pieces, prepare
from music.corpus_sources import EARLY_QUARTETS, corpus_roots, music21_corpus_dir, source_files
from music.errors import RequestError
from tests.test_corpus import write_midi

CHORALES = ("bwv253", "bwv254", "bwv269")


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with piano-midi.de and StringQuartets as a user would have them, beside a small music21."""
    music21 = tmp_path / "music21"
    (music21 / "bach").mkdir(parents=True)
    for name in CHORALES:
        shutil.copy(music21_corpus_dir() / "bach" / f"{name}.mxl", music21 / "bach")
    (music21 / "haydn" / "opus74no1").mkdir(parents=True)
    (music21 / "beethoven").mkdir()
    for name in ("haydn/opus74no1/movement1.mxl", "haydn/opus74no1/movement2.mxl", "beethoven/opus18no3.mxl"):
        (music21 / name).write_bytes(b"not a score " + name.encode())
    folder = tmp_path / "sets"
    for i, name in enumerate(("Beethoven/mond_1", "Beethoven/pathetique_1", "Chopin/chpn_op53")):
        write_midi(folder / "piano-midi.de" / "midis" / f"{name}.mid", first=50 + i)
    for name in (
        "Haydn,_Joseph/String_Quartet_in_C_major,_Hob.III72,_Op.74_No.1",
        "Haydn,_Joseph/String_Quartet_in_F_major,_Hob.III73,_Op.74_No.2",
        "Beethoven,_Ludwig_van/String_Quartet_No.3,_Op.18_No.3",
        "Ravel,_Maurice/String_Quartet",
    ):
        place = folder / "StringQuartets" / "scores" / name
        place.mkdir(parents=True)
        (place / "sq1.mxl").write_bytes(b"not a score " + name.encode())
    monkeypatch.setattr(corpus_sources, "music21_corpus_dir", lambda: music21)
    return folder


def test_a_work_is_counted_once_and_late_quartets_are_left_out(sets: Path, tmp_path: Path) -> None:
    roots, remarks = corpus_roots("composer", sets, tmp_path)
    assert list(roots) == ["music21", "piano_midi_de", "openscore_quartets"]
    assert remarks == ()
    files = source_files("composer", roots)
    skipped = {s.name: s.skip for s in files if s.skip}
    assert {s.work for s in files if s.reading == "quartet"} - {s.work for s in files if not s.skip} == {
        "ravel_string_quartet"
    }
    assert sorted(skipped.values()) == [
        "OpenScore has this work with its movements apart",
        "music21 has this work as well",
        "written after about 1850",
    ]
    assert skipped["beethoven/opus18no3.mxl"].startswith("OpenScore")
    kept = [(s.data, s.work) for s in files if not s.skip]
    assert kept.count(("music21", "haydn_op74no1")) == 2
    assert ("openscore_quartets", "beethoven_op18no3") in kept
    assert ("openscore_quartets", "haydn_op74no2") in kept
    assert {s.data for s in files} == set(roots)


def test_missing_sets_are_remarked_upon(sets: Path, tmp_path: Path) -> None:
    roots, remarks = corpus_roots("composer", None, tmp_path)
    assert list(roots) == ["music21"]
    assert [r.split()[1] for r in remarks] == ["piano_midi_de", "openscore_quartets"]
    alone, remarks = corpus_roots("composer", sets / "piano-midi.de", tmp_path)  # a set itself instead of its folder
    assert alone["piano_midi_de"] == sets / "piano-midi.de"
    assert [r.split()[1] for r in remarks] == ["openscore_quartets"]
    assert all(not s.skip for s in source_files("composer", alone))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"empty holds none of the sets piano-midi\.de"):
        corpus_roots("composer", tmp_path / "empty", tmp_path)
    with pytest.raises(RequestError, match="does not exist"):
        corpus_roots("composer", tmp_path / "nowhere", tmp_path)


def test_archives_in_the_folder_are_unpacked(sets: Path, tmp_path: Path) -> None:
    place = tmp_path / "archives"
    place.mkdir()
    with tarfile.open(place / "piano-midi.de.tar.xz", "w:xz") as tar:
        tar.add(sets / "piano-midi.de", "piano-midi.de")
    roots, _ = corpus_roots("composer", place, tmp_path / "cache")
    files = [s for s in source_files("composer", roots) if s.data == "piano_midi_de"]
    assert {s.path.name for s in files} == {"mond_1.mid", "pathetique_1.mid", "chpn_op53.mid"}


def test_splits_styles_and_licences_are_those_of_the_sets(sets: Path, tmp_path: Path) -> None:
    report = prepare("composer", path=sets, cache_dir=tmp_path / "cache", workers=1, progress=False)
    entries = {e.id: e for e in report.manifest.entries}
    assert set(entries) == {
        *(f"music21/bach/{name}.mxl" for name in CHORALES),
        *(f"piano/midis/{name}.mid" for name in ("Beethoven/mond_1", "Beethoven/pathetique_1", "Chopin/chpn_op53")),
    }
    assert entries["piano/midis/Beethoven/pathetique_1.mid"].split == "test"
    assert entries["piano/midis/Chopin/chpn_op53.mid"].split == "valid"
    assert entries["piano/midis/Beethoven/mond_1.mid"].style == "beethoven_piano"
    assert entries["piano/midis/Beethoven/mond_1.mid"].licence.startswith("CC BY-SA 3.0 DE")
    assert entries["music21/bach/bwv253.mxl"].style == "bach_chorale"
    assert len(report.dropped) == 3 + 4  # skipped, and files that are no scores
    without = prepare("composer", cache_dir=tmp_path / "cache", workers=1, progress=False)
    assert without.parsed == 1  # music21's op. 18 no. 3, which OpenScore's edition stood for
    assert "without piano_midi_de" in without.table()
    assert without.manifest.sha256 != report.manifest.sha256
    assert prepare("composer", path=sets, cache_dir=tmp_path / "cache", workers=1, progress=False) == (
        prepare("composer", path=sets, cache_dir=tmp_path / "cache", workers=2, progress=False)
    )


def test_a_missing_set_is_said_while_loading(sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sets / "piano-midi.de"
    train = load_pieces("composer", "train", path=path, cache_dir=tmp_path / "cache", workers=1)
    assert "piano/midis/Beethoven/mond_1.mid" in {e.id for e, _ in train}
    assert "without openscore_quartets" in capsys.readouterr().err


def test_early_composers_are_families_that_splits_know() -> None:
    assert len(set(EARLY_QUARTETS)) == len(EARLY_QUARTETS)
    assert not {"arriaga", "boccherini", "hensel"} & set(EARLY_QUARTETS)
