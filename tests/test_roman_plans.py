"""Analyses in RomanText: figures, measures, repeats, and plans made of them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from music.analysis.roman_plans import roman_plans
from music.analysis.roman_text import parse_roman_text, read_figure
from music.errors import PlanError
from music.harmony import parse_figure
from music.pitch import Key
from music.splits import committed_splits

HEAD = "Composer: J. S. Bach\nTitle: Test\nTime Signature: 4/4\n"
CHORALE = (
    HEAD
    + """Form: chorale
m0 b4 G: I
m1 I b2 V b3 I
m1var1 I b2 vi
m2 IV b3 V || b4 I
m3 I b3 ii6
m4 V b3 I :|| b4 V
m5 D: I b3 V7
m6 I b3 V || b4 I
m7 V6 b3 I
m8 V7 b3 I ||
"""
)


@pytest.mark.parametrize(
    ("figure", "key", "root", "quality", "bass"),
    [
        ("V6/5", "C", 7, "7", 11),
        ("IV7", "C", 5, "maj7", 5),
        ("V7", "a", 4, "7", 4),
        ("viio7", "a", 8, "dim7", 8),
        ("vii/o7", "C", 11, "hdim7", 11),
        ("ii/o6/5", "a", 11, "hdim7", 2),
        ("V43/ii", "C", 9, "7", 4),
        ("viio7/V/V", "C", 1, "dim7", 1),
        ("Cad64", "C", 0, "maj", 7),
        ("Ger65", "c", 8, "7", 8),
        ("bII6", "c", 1, "maj", 5),
        ("VI", "a", 5, "maj", 5),
        ("bVI", "a", 5, "maj", 5),
        ("VII", "a", 7, "maj", 7),
        ("vi", "a", 6, "min", 6),
        ("V9", "C", 7, "7", 7),
        ("III+6", "a", 0, "aug", 4),
        ("V[no3]", "C", 7, "maj", 7),
        ("I64", "F", 5, "maj", 0),
        ("IV2", "C", 5, "maj7", 4),
    ],
)
def test_figures(figure: str, key: str, root: int, quality: str, bass: int) -> None:
    assert read_figure(figure, Key.parse(key)) == (root, quality, bass)


@pytest.mark.parametrize("figure", ["I", "ii6", "V65/V", "V7/vi", "viio43/ii", "vi7", "iii64", "V42"])
def test_figures_of_both_grammars_are_read_alike(figure: str) -> None:
    for name in ("C", "Eb", "B"):
        assert read_figure(figure, Key.parse(name)) == parse_figure(figure, Key.parse(name))


def test_unknown_figures_are_counted_not_guessed() -> None:
    with pytest.raises(ValueError, match="not known"):
        read_figure("VIII", Key("C"))
    assert parse_roman_text(HEAD + "m1 C: I b2 XX b3 V\n").skipped == 1


def test_beats_are_the_meters_or_its_units() -> None:
    def places(meter: str, line: str) -> list[Fraction]:
        found = parse_roman_text(f"Time Signature: {meter}\nm1 C: {line}\n")
        return [c.place for c in found.measures[1].chords]

    assert places("6/8", "I b2 V b2.33 I") == [0, Fraction(3, 2), Fraction(2)]
    assert places("slow 6/8", "I b4 V b6 I") == [0, Fraction(3, 2), Fraction(5, 2)]
    assert places("2/2", "I b2.5 V") == [0, 3]
    assert places("3/4", "I b2.5 V") == [0, Fraction(3, 2)]


def test_measures_copy_others_and_variants_are_left_out() -> None:
    found = parse_roman_text(CHORALE + "m9-10 = m7-8\n")
    assert [c.root for c in found.measures[1].chords] == [7, 2, 7]
    assert found.measures[9].chords == found.measures[7].chords
    assert found.measures[4].repeat_ends
    assert found.measures[8].ends == [4]
    for text, message in (("m1 C: I\n", "no time signature"), (HEAD, "no chords"), (HEAD + "m1 I\n", "before any key")):
        with pytest.raises(PlanError, match=message):
            parse_roman_text(text)


def put(root: Path, place: str, text: str, **remote: object) -> None:
    folder = root / "Corpus" / place
    folder.mkdir(parents=True)
    (folder / "analysis.txt").write_text(text, encoding="utf-8")
    if remote:
        (folder / "remote.json").write_text(json.dumps(remote), encoding="utf-8")


def test_a_chorale_is_played_out_with_its_phrases(tmp_path: Path) -> None:
    put(tmp_path, "Early_Choral/Bach,_Johann_Sebastian/Chorales/001", CHORALE, music21=["bwv269.mxl"])
    (marked,), dropped = roman_plans(tmp_path, tmp_path)
    plan = marked.plan
    assert not dropped
    assert [(s.label, s.bars, s.source, str(s.key)) for s in plan.sections] == [
        ("A", 4, None, "G"),
        ("A", 4, 0, "G"),
        ("B", 4, None, "D"),
    ]
    assert [(p.bars, p.cadence) for p in plan.sections[0].phrases] == [(2, "HC"), (2, "PAC")]
    assert " ".join(c.figure for c in plan.sections[2].chords) == "I V7 I V I V6 I V7 I"
    assert plan.pickup_div == 10080
    assert (plan.style, plan.ensemble, str(plan.key)) == ("bach_chorale", "satb", "G")
    assert marked.annotated == {"sections", "phrases", "keys", "chords"}
    assert marked.missing == {"themes", "textures", "dynamics", "tempo"}
    assert marked.origin.source == "repeats"


def test_chorales_keep_the_split_of_their_melody(tmp_path: Path) -> None:
    listed = committed_splits()["chorales"]["test_listed"][0]
    put(tmp_path, "Early_Choral/Bach,_Johann_Sebastian/Chorales/002", CHORALE, music21=[f"{listed}.mxl"])
    put(tmp_path, "Early_Choral/Bach,_Johann_Sebastian/Chorales/003", CHORALE)
    (marked,), dropped = roman_plans(tmp_path, tmp_path)
    assert marked.origin.split == "test"
    assert [reason for _, reason in dropped] == ["is a chorale that no one names"]


SONG = (
    HEAD
    + "Form: Verse 1\n"
    + "\n".join(
        f"m{i} {'C: ' if i == 1 else ''}{figure}" for i, figure in enumerate(["I", "IV", "V7", "I"] * 2, start=1)
    )
    + "\nForm: Verse 2\nm9-16 = m1-8\nForm: Coda\n"
    + "\n".join(f"m{i} bVI b3 Ger65" for i in range(17, 22))
    + "\n"
)


def test_named_parts_of_a_song_are_its_sections(tmp_path: Path) -> None:
    put(tmp_path, "OpenScore-LiederCorpus/Schubert,_Franz/Lieder/1_Test", SONG)
    (marked,), _ = roman_plans(tmp_path, tmp_path)
    assert marked.plan.letters == "AAB"
    assert [s.bars for s in marked.plan.sections] == [8, 8, 5]
    assert marked.origin.source == "labels"
    assert (marked.plan.style, marked.plan.ensemble) == ("lied", "piano")
    assert {"phrases", "cadences", "themes"} <= marked.missing
    assert "sections" in marked.annotated


def test_stretches_in_one_key_are_no_annotated_form(tmp_path: Path) -> None:
    lines = [f"m{i} I b3 V7" for i in range(2, 9)] + ["m9 G: I"] + [f"m{i} V7 b3 I" for i in range(10, 17)]
    put(tmp_path, "Early_Choral/Goudimel,_Claude/Psalmes/001", HEAD + "m1 C: I\n" + "\n".join(lines))
    (marked,), _ = roman_plans(tmp_path, tmp_path)
    assert [(s.bars, str(s.key)) for s in marked.plan.sections] == [(8, "C"), (8, "G")]
    assert "sections" in marked.missing
    assert marked.plan.style == "goudimel_psalm"
