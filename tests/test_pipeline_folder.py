"""A piece's folder: complete or not there, and never at the cost of somebody else's file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music.errors import FileError, MidiError, RequestError
from render.console import flatten, show_figures, stage
from render.folder import beside_others, check_folder, check_piece, new_folder, provenance, slug


def fill(folder: Path, **files: str) -> None:
    with new_folder(folder) as place:
        for name, text in files.items():
            (place / name.replace("_", ".")).write_text(text)


def half_fill(folder: Path) -> None:
    with new_folder(folder) as place:
        (place / "plan.json").write_text("half")
        raise ZeroDivisionError


def test_files_appear_when_the_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "a" / "b"
    with new_folder(final) as place:
        (place / "plan.json").write_text("{}")
        assert not final.exists()
        assert place.parent == final.parent, "the same disk, so that moving is renaming"
    assert [p.name for p in final.iterdir()] == ["plan.json"]
    assert [p.name for p in final.parent.iterdir()] == ["b"]


def test_a_new_piece_replaces_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    final = tmp_path / "piece"
    fill(final, plan_json="old", piece_flac="old sound", roll_png="old")
    (final / "notes.txt").write_text("mine")
    (final / "takes").mkdir()
    fill(final, plan_json="new", piece_ogg="new sound")
    found = {p.name: p.read_text() for p in final.iterdir() if p.is_file()}
    assert found == {"plan.json": "new", "piece.ogg": "new sound", "notes.txt": "mine"}
    assert (final / "takes").is_dir()


def test_an_error_leaves_everything_as_it_was(tmp_path: Path) -> None:
    final = tmp_path / "piece"
    fill(final, plan_json="old")
    for folder in (final, tmp_path / "deep" / "er" / "piece"):
        with pytest.raises(ZeroDivisionError):
            half_fill(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["piece"]
    assert (final / "plan.json").read_text() == "old"


def test_errors_name_the_final_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        with new_folder(folder) as place:
            raise MidiError(place / "score.mid", "cannot be written")

    with pytest.raises(MidiError) as caught:
        refuse(tmp_path / "piece")
    assert str(caught.value) == f"{tmp_path}/piece/score.mid: cannot be written"
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(FileError, match=r"piece/score\.mid: no space left on the disk"):
        refuse(tmp_path / "piece")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "piece"):
        with pytest.raises(FileError, match="is not a folder"):
            check_folder(folder)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileError, match="is not a folder"):
        check_folder(tmp_path / "link")
    check_folder(tmp_path / "new" / "piece")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(FileError, match="cannot be written"):
        check_folder(locked / "piece")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Rondo in G major", "rondo-in-g-major"),
        ("Menuett: f♯ & Trio!", "menuett-f-sharp-trio"),
        ("Zwei Stücke", "zwei-stucke"),
        ("../../etc/passwd", "etc-passwd"),
        ("春の海", "piece"),
        ("", "piece"),
    ],
)
def test_titles_become_file_names(title: str, name: str) -> None:
    assert slug(title) == name


@given(st.text())
def test_any_title_is_a_safe_name(title: str) -> None:
    name = slug(title)
    assert name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(name) <= 60


def test_provenance_keeps_wishes_and_weights_but_no_places() -> None:
    class Learned:
        """A layer with weights."""

        about = {"sha256": "ab12", "licence": "CC0-1.0", "network": {"units": 3}}  # noqa: RUF012

    settings = {
        "form": "ABA",
        "key": None,
        "out": "/home/x",
        "cache_dir": "/home/y",
        "workers": 2,
        "data": {"name": "z"},
    }
    known = provenance(settings, 7, {"composer": Learned(), "performer": object()})
    assert known["seed"] == 7
    assert known["request"] == {"form": "ABA"}
    assert known["layers"]["composer"]["weights"] == {"sha256": "ab12", "licence": "CC0-1.0"}
    assert known["layers"]["performer"] == {"class": "builtins.object"}
    assert known["versions"]["numpy"]


def test_figures_are_a_table_and_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"nats_per_frame": 3.14159265, "models": {"markov": {"all": 5.0}}, "pieces": 12}
    assert list(flatten(figures)) == ["nats_per_frame", "models.markov.all", "pieces"]
    show_figures(figures)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "nats_per_frame     3.1416"
    assert lines[2] == "pieces             12"
    assert json.loads(lines[-1]) == figures


def test_a_stage_says_its_name_its_time_and_its_remarks(capsys: pytest.CaptureFixture[str]) -> None:
    with stage("compose") as remarks:
        remarks.append("12 notes")
    line = capsys.readouterr().out
    assert line.startswith("compose")
    assert line.endswith("s  12 notes\n")
    with pytest.raises(ZeroDivisionError), stage("render"):
        raise ZeroDivisionError
    assert capsys.readouterr().out == "render   \n", "an error stands on a line of its own"


def test_a_piece_takes_the_place_of_a_piece_only(tmp_path: Path) -> None:
    (tmp_path / "score.mid").write_text("mine")
    with pytest.raises(FileError, match=r"score\.mid: is not of a piece"):
        check_folder(tmp_path)
    with pytest.raises(FileError, match=r"score\.mid: is not of a piece"):
        fill(tmp_path, score_mid="new", provenance_json="{}")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"score.mid": "mine"}
    (tmp_path / "score.mid").rename(tmp_path / "my_score.mid")
    for text in ("one", "two"):
        check_folder(tmp_path)
        fill(tmp_path, score_mid=text, provenance_json="{}")
    assert (tmp_path / "score.mid").read_text() == "two"
    assert (tmp_path / "my_score.mid").read_text() == "mine"


def test_what_a_piece_needs_is_asked_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = {"audio": "ogg", "synth": "piano", "soundfont": None, "score_file": None}
    piece = tmp_path / "piece"
    assert check_piece(piece, plain) == piece
    monkeypatch.setattr("shutil.which", lambda _: None)
    (tmp_path / "a.sf2").write_bytes(b"RIFF")
    asked = plain | {"synth": "fluidsynth", "soundfont": str(tmp_path / "a.sf2")}
    with pytest.raises(RequestError, match="the program fluidsynth is not installed"):
        check_piece(piece, asked)
    with pytest.raises(RequestError, match="there is no such file"):
        check_piece(piece, asked | {"soundfont": "nowhere.sf2"})
    assert check_piece(piece, asked | {"audio": "none"}) == piece
    fill(piece, plan_json="{}", score_musicxml="<x/>", provenance_json="{}")
    own = plain | {"score_file": str(piece / "score.musicxml")}
    with pytest.raises(FileError, match=r"plan\.json: would be lost; perform with plan_file="):
        check_piece(piece, own, planned=False)
    assert check_piece(piece, own) == piece
    assert check_piece(tmp_path / "other", own, planned=False) == tmp_path / "other"


def test_pieces_of_one_title_and_other_wishes_lie_side_by_side(tmp_path: Path) -> None:
    def written(performer: object = None, **wishes: object) -> Path:
        origin = provenance({"seed": 0, "count": 1, **wishes}, 0, {"performer": performer})
        folder = beside_others(tmp_path / "rondo-0", origin)
        fill(folder, provenance_json=json.dumps(origin))
        return folder

    assert written(form="rondo", audio="ogg").name == "rondo-0"
    assert written(form="rondo", style="mozart_piano").name == "rondo-0-2"
    assert written(form="rondo", performer=Path()).name == "rondo-0-3", "another performer is another piece"
    assert written(form="rondo", audio="none", count=3).name == "rondo-0", "the same piece again"
    assert written(form="rondo", style="mozart_piano").name == "rondo-0-2"
    (tmp_path / "rondo-0" / "provenance.json").write_text("[]")
    assert written(form="ABACA").name == "rondo-0-4"


def test_a_folder_where_a_file_is_to_go_is_refused_before_anything_moves(tmp_path: Path) -> None:
    (tmp_path / "piece" / "plan.json").mkdir(parents=True)

    def write() -> None:
        with new_folder(tmp_path / "piece") as place:
            (place / "performance.mid").write_bytes(b"x")
            (place / "plan.json").write_bytes(b"x")

    with pytest.raises(FileError, match=r"piece/plan\.json: is a folder"):
        write()
    assert [p.name for p in (tmp_path / "piece").iterdir()] == ["plan.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["piece"]
