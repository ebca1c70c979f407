"""Tunes in ABC: read, played out, made into plans; tunes that are one work stand on one side."""

from __future__ import annotations

from pathlib import Path

import pytest

from music.analysis.abc import AbcTune, parse_key, parse_tune, split_tunes
from music.analysis.tunes import (
    PlayedTune,
    incipit,
    marked_tune,
    plain_title,
    play,
    read_tunes,
    tune_plans,
    tune_works,
)
from music.corpus_sources import music21_corpus_dir
from music.errors import PlanError
from music.time import DIVS_PER_QUARTER

Q = DIVS_PER_QUARTER
HEAD = "X:1\nT:The Test -- Reel\nM:2/4\nL:1/8\nQ:1/4=100\n"
FIRST, SECOND = "G2Bd|g2dB|c2ec|A2F{}", "d2gf|e2cA|F2Ad|G2G{}"
# Two strains of four bars with upbeats, the first one played twice with two endings, the second with two bars unlike.
TUNE = (
    f"{HEAD}K:G\nD|{FIRST.format('A')}|G2Bd|g2dB|c2AF|1 G2GD:|2 G2G:|\n|:d|{SECOND.format('d')}|d2gf|e2cA|F2AF|G4:|\n"
)


def read(body: str, head: str = HEAD, key: str = "G") -> AbcTune:
    return parse_tune(f"{head}K:{key}\n{body}\n")


def pitches(tune: AbcTune) -> list[int]:
    return [n.pitch for m in tune.measures for n in m.notes]


def lengths(tune: AbcTune) -> list[float]:
    return [n.duration_div / Q for m in tune.measures for n in m.notes]


@pytest.mark.parametrize(
    ("text", "key", "sharps"),
    [("G", "G", 1), ("Ador", "a", 1), ("D Mixolydian", "D", 1), ("EMin", "e", 1), ("Bb", "Bb", -2), ("F#m", "f#", 3)],
)
def test_keys_have_a_mode_and_a_signature(text: str, key: str, sharps: int) -> None:
    found, fifths = parse_key(text)
    assert (str(found), fifths) == (key, sharps)


def test_pitches_follow_signature_accidentals_and_octaves() -> None:
    assert pitches(read("F f f' F,|^F =F F|F4|")) == [66, 78, 90, 54, 66, 65, 65, 66]
    assert pitches(read("[K:Bb]Bb _A|[GBd]4|", key="C")) == [70, 82, 68, 74]


def test_lengths_follow_unit_broken_rhythm_and_tuplets() -> None:
    assert lengths(read("A B2 c/ d3/2|A>B c<d|(3ABc d2|{e}A2- A2|")) == pytest.approx(
        [0.5, 1, 0.25, 0.75, 0.75, 0.25, 0.25, 0.75, 1 / 3, 1 / 3, 1 / 3, 1, 1, 1]
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [("A2\nM:3/4\nB3|", "changes its meter"), ("A2 = B2|", "cannot be read"), ("A2|", "fewer than four bars")],
)
def test_what_is_no_tune_is_refused(body: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        play(read(body), "x")
    with pytest.raises(PlanError, match="no K: field"):
        parse_tune(HEAD)


def test_a_tune_is_played_with_repeats_and_endings() -> None:
    played = play(parse_tune(TUNE), "x")
    assert (played.bars, played.strains, played.pickup_div) == (32, (0, 8, 16, 24), Q // 2)
    assert played.leads == (Q // 2,) * 4
    ends = [n for n in played.notes if n.onset_div >= Q // 2 + 7 * 2 * Q and n.onset_div < Q // 2 + 8 * 2 * Q]
    assert [(n.pitch, n.duration_div / Q) for n in ends] == [(67, 1), (67, 0.5), (62, 0.5)]
    last = played.notes[-1]
    assert last.onset_div + last.duration_div <= Q // 2 + 32 * 2 * Q


def test_a_tunes_plan_has_its_strains_for_sections() -> None:
    marked = marked_tune(play(parse_tune(TUNE), "x"), "tune_test")
    plan = marked.plan
    assert [(s.label[0], s.bars, s.source) for s in plan.sections] == [
        ("A", 8, None),
        ("A", 8, 0),
        ("B", 8, None),
        ("B", 8, 2),
    ]
    assert plan.sections[3].variation == 0.0
    assert (plan.title, str(plan.key), str(plan.meter), plan.tempo_qpm) == ("The Test", "G", "2/4", 100)
    assert [p.bars for p in plan.sections[0].phrases] == [4, 4]
    theme = plan.themes[0]
    assert [(n.onset_div / Q, n.pitch) for n in theme.notes[:3]] == [(-0.5, 62), (0, 67), (1, 71)]
    assert (theme.bars, len(plan.themes)) == (4, 2)
    assert marked.annotated == {"sections", "keys", "themes"}
    assert {"chords", "cadences", "textures", "dynamics"} <= marked.missing
    assert "tempo" not in marked.missing


def test_parts_are_played_in_the_order_that_is_named() -> None:
    head = HEAD + "P:ABA\n"
    body = "P:A\nG2Bd|g2dB|c2ec|G4||\nP:B\ndddd|e2c2|ffff|d4||"
    played = play(read(body, head), "x")
    assert played.strains == (0, 4, 8)
    assert marked_tune(played, "w").plan.letters == "ABA"


def test_bars_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PlanError, match="do not fit the meter"):
        play(read("G2Bd|g2d|c2ec|A2FA|G4|"), "x")


def test_titles_are_told_apart_without_articles_and_kinds() -> None:
    assert plain_title("The Maid's Delight -- Jig") == plain_title("Maids Delight, The (second)") == "maids_delight"


def other(title: str, key: str, notes: str) -> PlayedTune:
    return play(parse_tune(f"X:1\nT:{title}\nM:2/4\nL:1/4\nK:{key}\n{notes}\n"), title)


def test_tunes_with_a_title_or_a_beginning_in_common_are_one_work() -> None:
    scale = "GA|Bc|de|fg|gf|ed|cB|AG|"
    moved = "AB|^cd|ef|ga|ag|fe|dc|BA|"
    tunes = [
        other("One", "G", scale),
        other("Another", "A", moved),
        other("The One", "G", "gg|bb|dd|gg|gg|bb|dd|gg|"),
        other("Fourth", "G", "dB|dB|GD|GD|ee|cc|AA|FF|"),
    ]
    assert incipit(tunes[0]) == incipit(tunes[1])
    works = tune_works(tunes)
    assert works[0] == works[1] == works[2] != works[3]


def test_books_are_read_and_copies_left_out(tmp_path: Path) -> None:
    for book, text in (("airdsAirs", TUNE), ("ryansMammoth", TUNE + "\n" + HEAD + "K:Q\nABcd|\n")):
        (tmp_path / book).mkdir()
        (tmp_path / book / "a.abc").write_text(text, encoding="utf-8")
    assert [name for name, _ in read_tunes(tmp_path)] == [
        "music21/airdsAirs/a.abc#1",
        "music21/ryansMammoth/a.abc#1",
        "music21/ryansMammoth/a.abc#2",
    ]
    plans, dropped = tune_plans(tmp_path)
    assert [m.origin.id for m in plans] == ["music21/airdsAirs/a.abc#1:0"]
    assert [reason for _, reason in dropped] == ["is note for note another one", "K:Q is not a key"]


def test_a_book_of_music21_makes_plans() -> None:
    text = (music21_corpus_dir() / "airdsAirs" / "book1.abc").read_text(encoding="utf-8")
    tunes = [play(parse_tune(t), "x") for t in split_tunes(text)[:12]]
    plans = [marked_tune(t, "w").plan for t in tunes]
    assert all(p.bars % 4 == 0 for p in plans)
    assert sum(p.letters.startswith("AA") for p in plans) >= 8
