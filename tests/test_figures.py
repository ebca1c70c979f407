"""The piano roll's picture: its size, its determinism, and that sections show in it."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from music.errors import FileError
from music.pitch import Key
from music.plan import Phrase, Plan, Section
from music.score import SectionMark
from music.time import Meter
from render.figures import HEIGHT, HUES, WIDTH, draw_roll
from tests.contract_performer import Q, hard_scores, make, tune


def rondo(bars: int = 2) -> Plan:
    """A plan A B A' of `bars` bars each."""
    rows = (("A", None), ("B", None), ("A'", 0))
    sections = tuple(
        Section(label, bars, Key("G"), (Phrase(bars, "a", "PAC"),), source=source) for label, source in rows
    )
    return Plan("", "free", "piano", Key("G"), Meter(4, 4), 0, 100.0, sections)


def share_of(picture: np.ndarray, hue: str, columns: slice) -> float:
    """Share of the pixels of some columns that have a hue."""
    near = np.abs(picture[:, columns, :3] - np.array(to_rgb(hue))).max(axis=2) < 0.1
    return float(near.mean())


def test_sections_are_seen_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "roll.png"
    draw_roll(make(tune(6), bars=6), path, plan=rondo())
    picture = matplotlib.image.imread(path)
    assert picture.shape[:2] == (HEIGHT, WIDTH)
    first, middle, last = slice(100, 500), slice(620, 1000), slice(1150, 1550)
    for hue, here, there in ((HUES[0], first, middle), (HUES[0], last, middle), (HUES[1], middle, first)):
        assert share_of(picture, hue, here) > 0.04
        assert share_of(picture, hue, there) < 0.01


def test_same_score_same_bytes_and_no_date(tmp_path: Path) -> None:
    score = make(tune(6), bars=6)
    for name in ("a.png", "b.png"):
        draw_roll(score, tmp_path / name, plan=rondo())
    data = (tmp_path / "a.png").read_bytes()
    assert data == (tmp_path / "b.png").read_bytes()
    assert b"Software" not in data
    assert b"tIME" not in data
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("name", ["no notes", "one note", "cluster", "four parts", "upbeat in 6/8", "graces only"])
def test_odd_scores_are_drawn(tmp_path: Path, name: str) -> None:
    draw_roll(hard_scores()[name], tmp_path / "roll.png")
    assert matplotlib.image.imread(tmp_path / "roll.png").shape[:2] == (HEIGHT, WIDTH)


def test_section_marks_count_where_there_is_no_plan(tmp_path: Path) -> None:
    marks = (SectionMark(0, "A"), SectionMark(12 * Q, "B"))
    draw_roll(make(tune(6), bars=6, sections=marks), tmp_path / "roll.png")
    picture = matplotlib.image.imread(tmp_path / "roll.png")
    assert share_of(picture, HUES[0], slice(100, 700)) > 0.04
    assert share_of(picture, HUES[1], slice(900, 1500)) > 0.04


def test_many_sections_and_letters(tmp_path: Path) -> None:
    bars = 60
    labels = [chr(65 + i % 26) + "'" * (i // 26) for i in range(bars)]
    sections = tuple(
        Section(label, 1, Key("C"), (Phrase(1, "a"),), source=i - 26 if i >= 26 else None)
        for i, label in enumerate(labels)
    )
    plan = Plan("", "free", "piano", Key("C"), Meter(4, 4), 0, 100.0, sections)
    draw_roll(make(tune(bars), bars=bars), tmp_path / "roll.png", plan=plan)
    assert (tmp_path / "roll.png").stat().st_size > 5000


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere"):
        draw_roll(make(tune(2), bars=2), tmp_path / "nowhere" / "roll.png")
