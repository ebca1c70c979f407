"""The report page without a browser: its clock and curves, what is outlined, what is escaped, what it weighs."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import soundfile

from evaluation.beside_people import beside_people
from music.errors import FileError
from music.musicxml import write_musicxml
from render.ogg import without_serial
from render.report import json_in_script, plain, report_html, write_report
from render.report_engrave import engraved
from render.report_measures import measures_html, number
from render.report_sound import MOST_BYTES_A_SEC, sound_url
from render.report_svg import Lanes, figure_shown
from render.report_themes import link_notes, theme_notes
from render.report_timeline import beat_divs, make_clock, tempo_curve, velocity_curve
from tests.contract_performer import hard_scores, plan_for
from tests.report_cases import BAR, HOSTILE, ROWS, Q, plan_of, score_of, sound_file, steady

MB = 1_000_000


def page_of(score: Any = None, plan: Any = None, **how: Any) -> str:
    score = score or score_of()
    how = {"origin": {}, "measures": None, "sound": None, "engraving": ([], "")} | how
    return report_html(score, steady(score), plan=plan, **how)


class Page(HTMLParser):
    """Tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.bodies: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.lasttag in ("script", "style", "title") and data.strip():
            self.bodies.append((*self.tags[-1], data))


def test_clock_is_where_the_notes_are() -> None:
    score = score_of()
    clock = make_clock(score, steady(score, qpm=90))
    for div in (0, Q // 2, 5 * Q, BAR * 3):
        assert clock.sec_at(div) == pytest.approx(div / Q * 60 / 90)
    tempi = [qpm for _, qpm in tempo_curve(clock, beat_divs(score))]
    assert len(tempi) >= 20
    assert tempi == pytest.approx([90.0] * len(tempi))


def test_clock_takes_the_middle_of_a_spread_chord_and_never_goes_back() -> None:
    score = score_of()
    notes = list(steady(score).notes)
    late = replace(notes[4], onset_sec=notes[6].onset_sec)  # as if a hand had slipped
    clock = make_clock(
        score, replace(steady(score), notes=tuple(sorted([*notes[:4], late, *notes[5:]], key=lambda n: n.onset_sec)))
    )
    assert all(a < b for a, b in zip(clock.divs, clock.divs[1:], strict=False))
    assert all(a < b for a, b in zip(clock.secs, clock.secs[1:], strict=False))
    assert (clock.divs[0], clock.divs[-1]) == (0, score.end_div)


def test_a_slower_bar_shows_in_the_tempo_and_a_louder_one_in_the_touch() -> None:
    score = score_of()
    played = steady(score, qpm=120)

    def stretched(seconds: float) -> float:  # the third bar at half the tempo
        return seconds + min(max(seconds - 4.0, 0.0), 2.0)

    notes = tuple(
        replace(n, onset_sec=stretched(n.onset_sec), velocity=100 if 4 <= n.onset_sec < 6 else 50) for n in played.notes
    )
    played = replace(played, notes=notes)
    bars = [b.onset_div for b in score.bars] + [score.end_div]
    tempi = dict(tempo_curve(make_clock(score, played), bars))
    assert tempi[2.5 * BAR] == pytest.approx(60, rel=0.01)
    assert tempi[1.5 * BAR] == pytest.approx(120, rel=0.01)
    touch = dict(velocity_curve(score, played, bars))
    assert (touch[2.5 * BAR], touch[1.5 * BAR]) == (100, 50)


def test_themes_are_found_moved_by_a_third_and_links_where_they_stand() -> None:
    plan, score = plan_of(), score_of()
    first = list({n.onset_div: n for n in score.notes if n.onset_div < BAR and n.onset_div % Q == 0}.values())
    wanted = tuple(replace(n, pitch=n.pitch - 4) for n in first)
    theme = replace(
        plan.themes[0],
        notes=tuple(replace(plan.themes[0].notes[0], onset_div=n.onset_div, pitch=n.pitch) for n in wanted),
    )
    told = replace(plan, themes=(theme,))
    found = theme_notes(score, told)
    assert {n.id for n in found if n.onset_div < BAR} == {n.id for n in first}
    assert not [n for n in found if 2 * BAR <= n.onset_div < 4 * BAR]  # B has no theme
    there = next(n for n in score.notes if n.onset_div == 4 * BAR - Q)
    link = replace(plan.sections[1].link[0], pitch=there.pitch)
    linked = replace(plan, sections=(plan.sections[0], replace(plan.sections[1], link=(link,)), plan.sections[2]))
    assert [n.id for n in link_notes(score, linked)] == [there.id]
    assert 'class="theme"' in Lanes(score, steady(score), make_clock(score, steady(score)), told).svg()


def test_everything_that_was_decided_is_on_the_page() -> None:
    origin = {
        "seed": 7,
        "request": {"form": "ABA", "candidates": 4, "theme": "/home/secret/a'b.mid"},
        "layers": {"planner": {"class": "x.Y"}},
    }
    page = page_of(plan=plan_of(), origin=origin, measures=("8 quartets", ROWS))
    for words in (
        "C major",
        "B♭ major",
        "V⁶₅",
        ">PAC<",
        ">HC<",
        ">IAC<",
        "form=ABA",
        "seed 7",
        "8 quartets",
        "layers planner class",
    ):
        assert words in page, words
    assert "candidates=4" not in page.partition("</header>")[0]
    assert page.count('class="block"') == 3
    assert "theme=a&#x27;b.mid" in page
    assert "secret" not in page
    assert page.count('class="arc') == 1
    assert 'aria-label="section A′, C major"' in page


def test_user_words_stay_words() -> None:
    score = replace(score_of(), title=HOSTILE)
    origin = {"request": {"title": HOSTILE, "theme": "<svg onload=alert(1)>.mid"}, HOSTILE: HOSTILE}
    text = page_of(score, plan_of(title=HOSTILE), origin=origin, measures=(HOSTILE[:-1], ROWS))
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "embed", "base")]
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"]
    assert "\u202e" not in text
    assert next(body for tag, _, body in page.bodies if tag == "title").startswith("</title></script><img")


@pytest.mark.parametrize("value", ["</script>", "<!--", "]]>", "&lt;", "\u2028", "'\""])
def test_json_cannot_leave_its_element(value: str) -> None:
    text = json_in_script({"a": value})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": value}


def test_plain_cuts_and_drops_what_is_not_seen() -> None:
    assert plain("a\x00b\nc\u202ed\ud800", 99) == "a b cd"
    assert plain("x" * 50, 10) == "x" * 9 + "…"


def test_policy_names_the_script_and_the_style_and_nothing_else(tmp_path: Path) -> None:
    page = Page(page_of(plan=plan_of(), sound=sound_url(sound_file(tmp_path / "a.ogg", 1.0), 1.0)))
    policy = next(str(a["content"]) for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    for tag, attrs, body in page.bodies:
        if tag in ("script", "style") and attrs.get("type") != "application/json":
            digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe" not in policy
    addresses = [
        str(v) for _, attrs in page.tags for k, v in attrs.items() if k in ("src", "href", "xlink:href", "data")
    ]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)


def test_same_piece_same_bytes_and_nothing_half_written(tmp_path: Path) -> None:
    score = score_of()
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, score, steady(score), plan=plan_of(), measures=("x", ROWS))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    with pytest.raises(FileError, match=r"no\.html"):
        write_report(tmp_path / "missing" / "no.html", score, steady(score))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


@pytest.mark.parametrize("name", sorted(hard_scores()))
def test_odd_scores_give_drawings_that_parse(name: str) -> None:
    score = hard_scores()[name]
    for plan in (None, plan_for(len(score.bars)) if len(score.bars) > 1 and name != "upbeat in 6/8" else None):
        lanes = Lanes(score, steady(score), make_clock(score, steady(score)), plan)
        for drawing in (lanes.svg(), lanes.form(), lanes.gutter()):
            root = ElementTree.fromstring(drawing)
            assert not re.search(r"nan|inf", drawing)
            assert root.get("height")
        assert "NaN" not in page_of(score, plan)


def test_many_notes_weigh_little(tmp_path: Path) -> None:
    """120 bars with 3,600 notes: with three minutes of sound at the most that is taken the page is under 4 MB."""
    bars = 120
    score = make_dense(bars)
    page = page_of(score, plan_of(bars // 3), measures=("x", ROWS * 12))
    sound = 180 * MOST_BYTES_A_SEC * 4 / 3
    assert len(score.notes) >= 3600
    assert len(page.encode()) < 0.3 * MB
    assert len(page.encode()) + sound < 3.3 * MB


def make_dense(bars: int) -> Any:
    from tests.contract_performer import make

    return make(
        [(i / 4 + b * 4, 0.25, 40 + (7 * i + b + 24 * k) % 50) for b in range(bars) for i in range(16) for k in (0, 1)],
        bars=bars,
    )


def test_sound_is_taken_as_it_is_or_made_smaller(tmp_path: Path) -> None:
    small = sound_file(tmp_path / "small.ogg", 6.0)
    data = base64.b64decode(sound_url(small, 6.0).partition(",")[2])
    assert len(data) == small.stat().st_size
    assert soundfile.read(io.BytesIO(data))[0].tobytes() == soundfile.read(small)[0].tobytes()
    assert data == without_serial(data) == without_serial(sound_file(tmp_path / "again.ogg", 6.0).read_bytes())
    assert without_serial(b"RIFF....") == b"RIFF...."
    mp3 = sound_file(tmp_path / "small.mp3", 6.0)
    assert sound_url(mp3, 6.0).startswith("data:audio/mpeg;base64,")
    for name, noise in (("plain.wav", False), ("noise.ogg", True), ("noise.mp3", True)):
        url = sound_url(sound_file(tmp_path / name, 6.0, noise=noise, level=0.3), 6.0)
        data = base64.b64decode(url.partition(",")[2])
        assert url.startswith("data:audio/mpeg;" if name.endswith("mp3") else "data:audio/ogg;base64,")
        assert len(data) <= 6 * MOST_BYTES_A_SEC
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            assert file.frames == pytest.approx(6 * 44_100, rel=0.01)
    with pytest.raises(FileError, match="gone"):
        sound_url(tmp_path / "gone.ogg", 1.0)


def test_measures_say_where_the_piece_stands() -> None:
    table = measures_html("8 quartets", ROWS)
    assert table.count("<tr>") == 1 + 2 + 3
    assert table.count("above") == 2  # in the column and in the drawing's words
    assert "likeness &lt;b&gt;" in table
    assert measures_html("x", []) == ""
    assert "below" not in measures_html("x", [("a", "b", 0.0999, (0.1, 0.3, 0.6))])  # on the bound as far as is shown
    assert [number(v) for v in (0.0, 1.0, 0.123, 12.34, 1234.5, float("nan"))] == [
        "0",
        "1",
        "0.12",
        "12.3",
        "1234",
        "–",
    ]


def test_measures_are_those_of_evaluate_piece_beside_people() -> None:
    people, rows = beside_people(score_of(), plan_of()) or ("", [])
    assert "piano" in people
    words = {row[1]: row for row in rows}
    assert words["likeness of sections of one letter"][0] == "Form"
    assert words["notes a quarter"][3] is not None
    assert [row[0] for row in rows] == sorted(
        (row[0] for row in rows), key=[r[0] for r in rows].index
    )  # groups hold together
    choral = replace(plan_of(), ensemble="satb")
    assert "chorales" in (beside_people(score_of(), choral) or ("",))[0]
    bowed = replace(plan_of(), ensemble="quartet")
    assert "quartets" in (beside_people(score_of(), bowed) or ("",))[0]
    assert "piano" in (beside_people(score_of()) or ("",))[0]
    assert beside_people(hard_scores()["no notes"]) is None
    without = beside_people(score_of(), plan_of(40))  # a plan of another piece
    assert without is not None
    assert "The plan, heard" not in {row[0] for row in without[1]}


def test_figures_are_raised_and_lowered() -> None:
    assert [figure_shown(f) for f in ("V65", "viio7", "I64", "bVI", "V7/V", "#iv42")] == [
        "V⁶₅",
        "viio⁷",
        "I⁶₄",
        "♭VI",
        "V⁷/V",
        "♯iv⁴₂",
    ]


ENGRAVERS = {
    "sleeps": "import time; time.sleep(60)",
    "dies": "import os; os._exit(11)",
    "raises": "raise RuntimeError('no')",
    "prints": "print('<svg>'); enableLog = print; LOG_OFF = 0",
}


@pytest.mark.parametrize("name", sorted(ENGRAVERS))
def test_a_broken_engraver_costs_only_the_notation(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verovio.py").write_text(ENGRAVERS[name])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delitem(sys.modules, "verovio", raising=False)
    pages, remark = engraved(tmp_path / "score.musicxml", timeout_sec=1.0 if name == "sleeps" else 20.0)
    assert pages == []
    assert ("longer than 1 second" if name == "sleeps" else "failed") in remark


def test_engraved_where_verovio_is_installed(tmp_path: Path) -> None:
    if find_spec("verovio") is None:
        assert engraved(tmp_path / "score.musicxml") == ([], "")
        pytest.skip("verovio is not installed: pip install ritornello[engraving]")
    score = replace(score_of(), title=HOSTILE)
    write_musicxml(score, tmp_path / "score.musicxml", plan=plan_of())
    pages, remark = engraved(tmp_path / "score.musicxml")
    assert remark == ""
    assert len(pages) == 1
    assert pages[0].startswith("data:image/svg+xml,<svg")
    assert not set('"#&') & set(pages[0].replace("data:image/svg+xml", ""))
    assert pages == engraved(tmp_path / "score.musicxml")[0]
    assert page_of(score, engraving=(pages, "")).count("<img ") == 1
