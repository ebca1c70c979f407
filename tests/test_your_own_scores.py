"""A folder of one's own: what is dropped is told, and layers that can learn from scores do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.folder import BROKEN, make_folder
from music.analysis.marked_plan import MarkedPlan
from music.corpus import prepare
from music.dropped import dropped_lines, kind_of
from music.errors import RequestError, RitornelloError
from music.files import read_score
from music.midi import write_score_midi
from performer.train import train as train_performer
from planner.corpus import hold_out, load_plans
from tests.test_markov import small_piece


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of six pieces and two broken files, and a cache."""
    folder, cache = tmp_path_factory.mktemp("my scores"), tmp_path_factory.mktemp("cache")
    for seed in range(6):
        write_score_midi(small_piece(seed), folder / f"piece {seed}.mid")
    (folder / "empty.mid").touch()
    (folder / "letter.musicxml").write_text("Dear Sir,")
    return folder, cache


def test_every_way_to_break_a_file_is_a_typed_error(tmp_path: Path) -> None:
    whole, broken = make_folder(tmp_path, 20)
    assert (whole, broken) == (18, 2)
    midi = next((tmp_path / "midi").iterdir()).read_bytes()
    for kind, suffix, make in BROKEN:
        path = tmp_path / f"{kind}{suffix}"
        path.write_bytes(make(b'<score-partwise version="4.0"><part-list></part-list></score-partwise>' * 2, midi))
        with pytest.raises(RitornelloError) as caught:
            read_score(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_plans_of_a_folder_are_made_where_they_are_asked_for(
    scores: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, cache = scores
    plans, digest = load_plans({"name": "folder", "path": str(folder)}, cache, 1)
    said = capsys.readouterr().err
    assert len({m.origin.work for m in plans}) == 6
    assert len(digest) == 64
    assert "6 pieces, 2 dropped" in said
    assert "dropped empty.mid" in said
    assert "dropped letter.musicxml" in said
    again, same = load_plans({"name": "folder", "path": str(folder)}, cache, 1)
    assert (again, same) == (plans, digest)


def test_another_folder_does_not_take_its_place(scores: tuple[Path, Path], tmp_path: Path) -> None:
    folder, cache = scores
    write_score_midi(small_piece(7), tmp_path / "other.mid")
    load_plans({"name": "folder", "path": str(tmp_path)}, cache, 1)
    assert len(list((cache / "plans").iterdir())) >= 1
    assert len(load_plans({"name": "folder", "path": str(folder)}, cache, 1)[0]) == 6


def _of_split(plans: list[MarkedPlan], split: str) -> list[MarkedPlan]:
    return [replace(m, origin=replace(m.origin, split=split)) for m in plans]


def test_a_folder_without_a_valid_split_lends_a_tenth_of_its_works(scores: tuple[Path, Path]) -> None:
    plans, _ = load_plans({"name": "folder", "path": str(scores[0])}, scores[1], 1)
    train = _of_split(plans, "train")
    held = hold_out(train)
    assert [m.plan for m in held] == [m.plan for m in train]
    assert sum(m.origin.split == "valid" for m in held) == 1
    assert hold_out(held) == held
    assert hold_out(train[:1]) == train[:1]
    assert hold_out(_of_split(plans, "test")) == _of_split(plans, "test")


def test_a_performer_needs_performances(tmp_path: Path) -> None:
    settings = {"data": {"name": "folder"}, "cache_dir": str(tmp_path), "out": str(tmp_path), "task": {}}
    with pytest.raises(RequestError, match=r"holds no performances; these do: .*performances"):
        train_performer(settings)


def test_reasons_are_told_one_by_one_until_there_are_many(scores: tuple[Path, Path]) -> None:
    few = [("a.mid", "MidiError: no notes"), ("b.mid", "MidiError: bar 3 is odd"), ("c.mid", "MidiError: bar 9 is odd")]
    assert dropped_lines(few) == [f"dropped {name}: {reason}" for name, reason in few]
    assert dropped_lines(few, many=1) == [
        "dropped a.mid: MidiError: no notes",
        "dropped 2, such as b.mid: MidiError: bar 3 is odd",
    ]
    assert kind_of("MusicXmlError: not well-formed XML: line 3") == "not well-formed XML"
    report = prepare("folder", path=scores[0], cache_dir=scores[1], workers=1, progress=False)
    assert sum(report.reasons().values()) == len(report.dropped) == 2
    assert len(report.reasons()) == 2
