"""The report page in headless Chromium without a network: it asks for nothing, complains of nothing, and plays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from render.report import write_report
from render.report_sound import sound_url
from tests.browser import Browser, chromium
from tests.report_cases import HOSTILE, ROWS, plan_of, score_of, sound_file, steady

SECONDS = 12.0  # of the performance: 6 bars of 4/4 at 120
HEAD = "new DOMMatrix(getComputedStyle(document.getElementById('head')).transform).m41"
FORM_HEAD = "parseFloat(document.getElementById('form-head').getAttribute('x1'))"
NOW = "document.getElementById('sound').currentTime"
READY = "document.getElementById('sound').readyState >= 2"
SETTLED = "!document.getElementById('sound').seeking"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(chromium()) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything in it and a title that would do harm if it ran."""
    folder = tmp_path_factory.mktemp("report")
    score = replace(score_of(), title=HOSTILE)
    path = folder / "report.html"
    sound = sound_url(sound_file(folder / "piece.ogg", SECONDS + 1), SECONDS)
    origin = {"seed": 1, "request": {"title": HOSTILE, "theme": HOSTILE}, "file": HOSTILE}
    write_report(
        path, score, steady(score), plan=plan_of(title=HOSTILE), origin=origin, measures=(HOSTILE, ROWS), sound=sound
    )
    return path


def test_no_request_no_complaint_and_a_hostile_title_does_not_run(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.wait(READY)
    assert browser.requests() == []
    assert browser.complaints() == []
    assert browser.run("window.hacked === undefined")
    assert browser.run("document.querySelector('h1').textContent").startswith("</title></script><img")
    assert browser.run("document.querySelectorAll('img, iframe').length") == 0


def test_what_the_policy_forbids_is_stopped(browser: Browser, page: Path) -> None:
    """Were a word ever to become an element, it could neither run nor call home."""
    browser.open(page)
    browser.run(
        "(() => { const i = document.createElement('img'); i.src = 'http://localhost:9/x'; document.body.append(i);"
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s);"
        "const b = document.createElement('b'); b.setAttribute('onclick', 'window.hacked = 1');"
        "document.body.append(b); b.click(); })()"
    )
    assert browser.run("fetch('http://localhost:9/y').then(() => 'sent', () => 'stopped')") == "stopped"
    assert browser.run("window.hacked === undefined")
    assert len(browser.complaints()) >= 4


def test_playhead_moves_over_notes_and_form_while_it_plays(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.wait(READY)
    before = browser.run(HEAD), browser.run(FORM_HEAD)
    assert before == (0, 0)
    box = browser.box("#play")
    browser.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    browser.wait(f"{HEAD} > 20 && {FORM_HEAD} > 2")
    assert browser.run("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    browser.key(" ")  # the button has the focus: the key is the button's own
    browser.wait("document.getElementById('sound').paused")
    # The head stands where the sound is: the piece lasts 12 seconds in one tempo.
    share = browser.run(f"{HEAD} / document.getElementById('wide').clientWidth")
    assert share == pytest.approx(browser.run(NOW) / SECONDS, abs=0.005)
    assert browser.complaints() == []


def test_keyboard_plays_pauses_and_moves(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.wait(READY)
    browser.key("ArrowRight")
    browser.wait(f"{SETTLED} && Math.abs({NOW} - 5) < 0.01")
    browser.key("ArrowRight", shift=True)  # from bar 3, in section B, to A′
    browser.wait(f"{SETTLED} && Math.abs({NOW} - 8) < 0.02")
    assert browser.run("document.getElementById('where').textContent") == "bar 5, section A′, C major"
    assert (
        browser.run("document.querySelector('.block[aria-current]').getAttribute('aria-label')")
        == "section A′, C major"
    )
    browser.key("ArrowLeft")
    browser.wait(f"{SETTLED} && Math.abs({NOW} - 3) < 0.02")
    browser.key("Home")
    browser.wait(f"{SETTLED} && {NOW} === 0")
    browser.key(" ")
    browser.wait(f"!document.getElementById('sound').paused && {NOW} > 0.1")
    browser.key(" ")
    browser.wait("document.getElementById('sound').paused")
    assert browser.complaints() == []


def test_everything_is_reached_by_tab_and_says_what_it_is(browser: Browser, page: Path) -> None:
    browser.open(page)
    names = []
    for _ in range(9):
        browser.key("Tab")
        names.append(
            browser.run(
                "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent.slice(0, 30)"
            )
        )
        outline = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
        stroke = "getComputedStyle(document.activeElement.querySelector('rect') || document.body).strokeWidth === '3px'"
        assert browser.run(f"{outline} || {stroke}"), names[-1]
    sections = ["section A, C major", "section B, B♭ major", "section A′, C major"]
    assert names[:7] == [*sections, "Play", "Previous section", "Next section", "Position in the piece"]
    assert names[7].startswith("Piano roll")
    browser.run("document.querySelectorAll('.block')[1].focus()")
    browser.key("Enter")
    browser.wait(f"{SETTLED} && Math.abs({NOW} - 4) < 0.02")
    assert (
        browser.run("document.getElementById('seek').getAttribute('aria-valuetext')")
        == "0:04, bar 3, section B, B♭ major"
    )


def test_clicks_on_notes_and_form_move_there(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.wait(READY)
    roll = browser.box("#lanes")
    browser.click(roll["x"] + roll["width"] * 0.75, roll["y"] + 60)
    browser.wait(f"{SETTLED} && Math.abs({NOW} - 9) < 0.05")
    block = browser.box(".block:nth-of-type(2) rect")
    browser.click(block["x"] + block["width"] - 5, block["y"] + 10)
    browser.wait(f"{SETTLED} && Math.abs({NOW} - 4) < 0.05")


def test_a_long_roll_turns_its_pages_but_leaves_who_scrolled_away(browser: Browser, tmp_path: Path) -> None:
    score, scrolled = score_of(40), "document.getElementById('scroll').scrollLeft"
    sound = sound_url(sound_file(tmp_path / "piece.ogg", 81.0), 81.0)
    write_report(tmp_path / "report.html", score, steady(score), plan=plan_of(), sound=sound)
    browser.open(tmp_path / "report.html", width=360, height=740, phone=True)
    browser.wait(READY)
    visible = f"{HEAD} >= {scrolled} && {HEAD} <= {scrolled} + document.getElementById('scroll').clientWidth"
    for _ in range(6):
        browser.key("ArrowRight")
    browser.wait(f"{SETTLED} && {scrolled} > 100 && {visible}")
    browser.run("document.getElementById('scroll').scrollLeft = 0")
    before = browser.run(NOW)
    browser.key(" ")
    browser.wait(f"{NOW} > {before} + 0.3")
    assert browser.run(scrolled) == 0
    browser.key("ArrowRight")
    browser.wait(visible)
    # Close before the page's edge the roll is turned while it plays.
    browser.run(
        f"document.getElementById('scroll').scrollLeft = {HEAD} - document.getElementById('scroll').clientWidth * 0.88"
    )
    here = browser.run(scrolled)
    browser.wait(f"{scrolled} > {here} + 100 && {visible}")
    browser.key(" ")


@pytest.mark.parametrize("dark", [False, True])
def test_phone_and_desk_in_light_and_dark(browser: Browser, page: Path, dark: bool) -> None:
    for width in (320, 360, 1280):
        browser.open(page, width=width, height=740, dark=dark, phone=width < 500)
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("getComputedStyle(document.body).backgroundColor") == (
            "rgb(23, 22, 20)" if dark else "rgb(251, 250, 247)"
        )
        small = browser.run(
            "Math.min(...[...document.querySelectorAll('button')].map(b => b.getBoundingClientRect().height))"
        )
        assert small >= 44  # a thumb's width
        assert browser.complaints() == []


def test_page_without_sound_plan_or_measures(browser: Browser, tmp_path: Path) -> None:
    score = score_of()
    write_report(tmp_path / "report.html", score, steady(score))
    browser.open(tmp_path / "report.html")
    assert browser.run("document.getElementById('play').hidden")
    browser.key("ArrowRight")
    assert browser.run(f"{HEAD} / document.getElementById('wide').clientWidth") == pytest.approx(5 / 12, abs=0.01)
    assert browser.requests() == []
    assert browser.complaints() == []
