"""The plan's picture: that what the plan says stands where it must, that nothing overlaps, and that bytes repeat."""

from __future__ import annotations

import re
import time
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from matplotlib.colors import to_rgb

from music.errors import FileError
from music.harmony import figure, parse_figure
from music.pitch import Key
from music.plan import BarTexture, Chord, Phrase, Plan, PlanNote, Section, Theme
from music.time import DIVS_PER_QUARTER, Meter
from render.figures import DPI, HUES, WIDTH
from render.plan_picture import (
    FUNCTIONS,
    LEFT,
    NUMBERS,
    TOP,
    _function,
    _lanes,
    _row_starts,
    _Rows,
    _sheet_of,
    draw_plan,
)
from render.sheet import Sheet, cut_text, safe_text, text_width
from render.staff import _place
from tests.plan_strategies import plans

Q = DIVS_PER_QUARTER
G = Key("G")
TITLES = (
    "",
    "$\\frac{1}{",
    "a\nb\r\t\x00\x1b[31m",
    "lone \ud800 half",
    "Z" + "\u0301" * 200 + "algo",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "漢字 🎻 \U0010ffff",
    "W" * 5000,
    "one two " * 300,
)


def bare(labels: str = "AB", bars: int = 4) -> Plan:
    """A plan that says no more than it must."""
    sections = tuple(Section(label, bars, G, (Phrase(bars, "a"),)) for label in re.findall(r"[A-Z]'*", labels))
    return Plan("", "free", "piano", G, Meter(4, 4), 0, 100.0, sections)


def chords(bars: int, text: str, key: Key, each: int = Q) -> tuple[Chord, ...]:
    """Chords of equal length whose figures come round and round."""
    figures = text.split()
    rows = []
    for i in range(bars * 4 * Q // each):
        root, quality, bass = parse_figure(figures[i % len(figures)], key)
        rows.append(Chord(i * each, each, root, quality, bass, figures[i % len(figures)]))
    return tuple(rows)


def full(bars: int, *, section_bars: int = 10, phrase_bars: int = 5) -> Plan:
    """A plan that says all that it can, of sections of random sizes around the ones given."""
    chance = np.random.default_rng(bars)
    sections: list[Section] = []
    left = bars
    while left:
        count = min(left, int(chance.integers(1, 2 * section_bars)))
        left -= count
        sizes, rest = [], count
        while rest:
            sizes.append(min(rest, int(chance.integers(1, 2 * phrase_bars))))
            rest -= sizes[-1]
        cadences = ("PAC", "IAC", "HC", "DC", None)
        phrases = tuple(Phrase(n, "aba"[i % 3] + "'" * (i // 3), cadences[i % 5]) for i, n in enumerate(sizes))
        label = chr(65 + len(sections) % 26) + "'" * (len(sections) // 26)
        key = G.relative(("I", "V", "vi", "bIII")[len(sections) % 4])
        textures = tuple(BarTexture(float(i % 7), 50.0 + i % 20, i % 40, "eighth") for i in range(count))
        source = len(sections) - 26 if len(sections) >= 26 else None
        about = {"density": 2.0, "register": 60.0, "texture": "melody_accompaniment", "dynamic": "mf"}
        written = chords(count, "I V65/V viio7/ii ii65 I64 V7", key)
        section = Section(label, count, key, phrases, written, source=source, textures=textures, **about)
        sections.append(replace(section, tempo_scale=0.9, variation=0.2 if source else None))
    notes = tuple(PlanNote(i * Q // 2, Q // 2, 55 + (i * 5) % 30) for i in range(16))
    themes = tuple(Theme(letter, 2, G, notes) for letter in "ABCDE")
    return Plan("A piece", "free", "piano", G, Meter(4, 4), Q, 96.0, tuple(sections), themes)


def row_of(plan: Plan, lane: str, row: int = 0) -> int:
    """A pixel row in a lane, near its upper edge, where no words stand."""
    return round(_Rows.of(plan, _lanes(plan)).y(row, lane)) + 3


def hues_along(picture: np.ndarray, y: int, hues: tuple[str, ...], off: float = 0.1) -> list[str]:
    """Which of the colours one meets from left to right, each as often as it begins anew."""
    found: list[str] = []
    for pixel in picture[y, int(LEFT) :, :3]:
        near = [hue for hue in hues if np.abs(pixel - to_rgb(hue)).max() < off]
        if near and found[-1:] != near[:1]:
            found += near[:1]
    return found


def texts(sheet: Sheet) -> list[str]:
    return [word[2] for word in sheet.words]


def boxes(sheet: Sheet) -> list[tuple[float, float, float, float, str]]:
    """Left, right, top and bottom of each word (of its low letters' height), and the word."""
    found = []
    for x, y, text, look in sheet.words:
        size = look["fontsize"]
        wide, high = text_width(text, size, look.get("weight") == "bold"), 0.55 * size * DPI / 72
        left = x - wide * {"left": 0.0, "center": 0.5, "right": 1.0}[look.get("ha", "left")]
        found.append((left, left + wide, y - high / 2, y + high / 2, text))
    return found


def assert_apart(sheet: Sheet) -> None:
    """No two words overlap, and none leaves the sheet."""
    found = boxes(sheet)
    lefts, rights, tops, ends = (np.array([box[i] for box in found]) for i in range(4))
    assert lefts.min() >= 0
    assert rights.max() <= WIDTH
    assert ends.max() <= sheet.height
    across = (lefts[:, None] + 0.5 < rights[None]) & (lefts[None] + 0.5 < rights[:, None])
    down = (tops[:, None] < ends[None]) & (tops[None] < ends[:, None])
    clashes = np.argwhere(np.triu(across & down, 1))
    assert not len(clashes), [(found[a], found[b]) for a, b in clashes[:3]]


def test_letters_have_their_colours_in_order(tmp_path: Path) -> None:
    plan = bare("ABA'CA")
    draw_plan(plan, tmp_path / "plan.png")
    picture = matplotlib.image.imread(tmp_path / "plan.png")
    assert picture.shape[1] == WIDTH
    assert row_of(plan, "form") == TOP + NUMBERS + 3
    # Five sections of four bars: three in the first row, two below.
    assert hues_along(picture, row_of(plan, "form"), HUES[:3]) == [HUES[0], HUES[1], HUES[0]]
    assert hues_along(picture, row_of(plan, "form", 1), HUES[:3]) == [HUES[2], HUES[0]]


def test_chords_have_the_colours_of_their_functions(tmp_path: Path) -> None:
    plan = bare("A", 2)
    plan = replace(plan, sections=(replace(plan.sections[0], chords=chords(2, "I ii6 V7 I V7/vi vi I64 V", G)),))
    draw_plan(plan, tmp_path / "plan.png")
    picture = matplotlib.image.imread(tmp_path / "plan.png")
    met = [
        next(name for name, hue in FUNCTIONS.items() if hue == h)
        for h in hues_along(picture, row_of(plan, "harmony"), tuple(FUNCTIONS.values()), 0.02)
    ]
    assert met == ["tonic", "predominant", "dominant", "tonic", "other", "tonic", "dominant"]


@pytest.mark.parametrize(
    ("text", "following", "name"),
    [
        ("V65", "I", "dominant"),
        ("I64", "V7", "dominant"),
        ("I64", "IV", "tonic"),
        ("i64", "VI", "tonic"),
        ("ii65", "V", "predominant"),
        ("bII6", "V", "predominant"),
        ("V7/V", "V", "predominant"),
        ("viio7/V", "V", "predominant"),
        ("V7/IV", "IV", "other"),
        ("viio7", "i", "dominant"),
        ("viiø65", "I", "dominant"),
        ("VII", "III", "other"),
        ("vi", "ii", "tonic"),
        ("iii", "vi", "other"),
        ("Ger", "V", "other"),
    ],
)
def test_functions(text: str, following: str, name: str) -> None:
    assert _function(text, following) == name


def test_words_of_the_form(tmp_path: Path) -> None:
    first = Section("A", 8, G, (Phrase(4, "a", "HC"), Phrase(4, "a'", "PAC")))
    middle = Section("B", 8, Key("D"), (Phrase(8, "b", "IAC"),), dynamic="pp", texture="alberti", tempo_scale=0.5)
    last = replace(first, source=0, variation=0.0)
    plan = Plan("Rondo", "free", "piano", G, Meter(3, 4), Q, 100.0, (first, middle, last))
    words = texts(_sheet_of(plan))
    assert [w for w in words if w in ("a", "a'", "b")] == ["a", "a'", "b", "a", "a'"]
    assert [w for w in words if w in ("PAC", "IAC", "HC", "DC")][3:] == ["HC", "PAC", "IAC", "HC", "PAC"]
    assert "DC" not in words[:9]
    assert {"Rondo", "V  D major", "I  G major", "= 1", "♩ = 50", "pp", "alberti"} <= set(words)
    assert any("form ABA" in w and "3/4" in w and "24 bars" in w and "upbeat of 1 quarter " in w for w in words)
    assert "≈ 1" in texts(_sheet_of(replace(plan, sections=(first, middle, replace(last, variation=0.3)))))


def test_the_same_plan_gives_the_same_bytes_without_dates(tmp_path: Path) -> None:
    plan = full(30)
    for kind in ("png", "svg"):
        draw_plan(plan, tmp_path / f"a.{kind}")
        with matplotlib.rc_context({"font.size": 30, "savefig.bbox": "tight", "font.family": "serif"}):
            draw_plan(plan, tmp_path / f"b.{kind}")
        data = (tmp_path / f"a.{kind}").read_bytes()
        assert data == (tmp_path / f"b.{kind}").read_bytes()
        assert not re.search(rb"tIME|Software|dc:date|matplotlib", data, re.IGNORECASE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.svg", "b.png", "b.svg"]
    assert (tmp_path / "a.svg").read_bytes().rstrip().endswith(b"</svg>")


def test_what_a_plan_does_not_say_has_no_lane(tmp_path: Path) -> None:
    assert [name for name, _ in _lanes(bare())] == ["form", "phrases"]
    assert [name for name, _ in _lanes(full(8))] == ["form", "phrases", "harmony", "density", "register", "dynamics"]
    assert not {"harmony", "density", "themes", "tonic", "PAC"} & set(texts(_sheet_of(bare())))
    draw_plan(bare("A", 1), tmp_path / "plan.png")
    assert matplotlib.image.imread(tmp_path / "plan.png").shape[0] < 250


@pytest.mark.parametrize("bars", [1, 8, 60, 143, 400, 1024])
def test_no_words_overlap(bars: int) -> None:
    small, large = {"section_bars": 2, "phrase_bars": 1}, {"section_bars": 60, "phrase_bars": 30}
    for sizes in ({}, small, large) if bars < 400 else (small,):
        assert_apart(_sheet_of(full(bars, **sizes)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(plans())
def test_no_words_overlap_in_any_plan(plan: Plan) -> None:
    assert_apart(_sheet_of(plan))


def test_a_long_plan_is_drawn_soon(tmp_path: Path) -> None:
    plan = full(400)
    start = time.process_time()
    draw_plan(plan, tmp_path / "plan.png")
    assert time.process_time() - start < 5
    assert matplotlib.image.imread(tmp_path / "plan.png").shape[0] < 5000


@pytest.mark.parametrize("title", TITLES, ids=range(len(TITLES)))
def test_any_title_is_drawn_inside_the_picture(tmp_path: Path, title: str) -> None:
    plan = replace(bare(), title=title, style=title)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_plan(plan, tmp_path / "plan.png")
    picture = matplotlib.image.imread(tmp_path / "plan.png")
    ink = picture[..., :3].min(axis=2) < 0.6
    assert ink[20:40, 28:].any()
    assert not ink[: int(TOP) - 5, WIDTH - 24 :].any()
    assert not ink[:14].any()  # nothing piles up
    assert_apart(_sheet_of(plan))


def test_words_are_made_safe_and_cut() -> None:
    assert safe_text("Für\nElise \x00 漢") == "Für Elise □"
    assert safe_text("Dvořák $x$") == "Dvořák $x$"
    assert cut_text("short", 500, 10) == "short"
    cut = cut_text("W" * 400, 300, 10)
    assert cut.endswith("…")
    assert 280 < text_width(cut, 10) <= 300


def test_rows_are_whole_and_break_at_sections() -> None:
    assert _row_starts(bare("ABACA", 12), 24) == [0, 24, 48]
    assert _row_starts(bare("A", 9), 18) == [0]
    for bars in (1, 17, 100, 400):
        plan = full(bars)
        starts = _row_starts(plan, 24)
        assert starts[0] == 0
        assert all(0 < b - a <= 24 for a, b in pairwise([*starts, bars]))
        within = {
            first + sum(p.bars for p in s.phrases[:i])
            for s, first in zip(plan.sections, plan.first_bars, strict=True)
            for i in range(len(s.phrases))
        }
        assert set(starts) <= within


def test_notes_of_a_theme_stand_where_a_musician_reads_them() -> None:
    middle_c = 7 * 4
    assert _place(60, Key("C")) == (middle_c, "")
    assert _place(66, Key("C")) == (middle_c + 3, "♯")
    assert _place(66, G) == (middle_c + 3, "")
    assert _place(65, G) == (middle_c + 3, "♮")
    assert _place(70, Key("F")) == (middle_c + 6, "")
    assert _place(59, Key("Db")) == (middle_c, "♭")
    assert _place(68, Key("A", True)) == (middle_c + 4, "♯")


def test_a_chord_without_a_figure_gets_one() -> None:
    root, quality, bass = parse_figure("V65", G)
    assert figure(root, quality, bass, G) == "V65"
    plan = bare("A", 1)
    plan = replace(plan, sections=(replace(plan.sections[0], chords=(Chord(0, 4 * Q, root, quality, bass),)),))
    words = texts(_sheet_of(plan))
    at = words.index("V")
    assert words[at : at + 3] == ["V", "6", "5"]


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"plan\.pdf.*\.png or \.svg"):
        draw_plan(bare(), tmp_path / "plan.pdf")
    with pytest.raises(FileError, match="nowhere"):
        draw_plan(bare(), tmp_path / "nowhere" / "plan.png")
    assert not list(tmp_path.iterdir())
