"""The gallery's commands mean what they say, and its README is renewed without losing the rest."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from benchmarks.gallery import EXAMPLES, HEADING, MELODY, PIECES, ROOT, Piece, section, with_section
from music.passage import read_passage
from planner.grammar import GrammarPlanner
from planner.plan_file import WISHES, make_plan


@pytest.mark.parametrize("piece", PIECES, ids=lambda p: p.name)
def test_every_piece_can_be_planned_and_typed(piece: Piece, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert tuple(shlex.split(piece.command)[2:]) == piece.words, "a shell gives the words back"
    settings = {key: value for key, _, value in (word.partition("=") for word in piece.words)}
    assert set(settings) <= {*WISHES, "melody", "variation", "seed"}
    plan = make_plan(GrammarPlanner(), settings, seed=int(settings["seed"]))
    assert 8 <= plan.bars <= 100


def test_the_tune_has_twelve_bars_in_c() -> None:
    passage = read_passage(ROOT / MELODY)
    assert (passage.bars, str(passage.meter), str(passage.line.key), passage.pickup_div) == (12, "4/4", "C", 0)


def test_the_readme_keeps_what_stands_above_the_gallery() -> None:
    text = section({PIECES[0].name: "A8 | key=C"})
    once = with_section("# Examples\n\nCommands.\n", text)
    assert once.startswith("# Examples\n\nCommands.\n\n## Gallery\n")
    assert with_section(once, text) == once
    assert all(piece.command in once for piece in PIECES)


def test_what_the_readme_shows_is_there() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    if HEADING not in readme:
        pytest.skip("the gallery has not been written yet")
    for piece in PIECES:
        assert piece.command in readme
        for suffix in (".musicxml", ".mid"):
            path: Path = EXAMPLES / "gallery" / f"{piece.name}{suffix}"
            assert 0 < path.stat().st_size < 400_000, path
