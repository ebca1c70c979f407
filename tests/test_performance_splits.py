"""The performer's splits: by work, over editions and over both sets, and fixed before any training."""

from __future__ import annotations

import pytest

from music.performance_splits import (
    HELD_OUT,
    SHARED_WORKS,
    committed_performance_splits,
    composition,
    draw,
    performance_split,
    performed_work,
    pianist,
    piano_midi_performance_split,
    shared_work,
)


@pytest.mark.parametrize(
    ("path", "piece", "work", "player"),
    [
        ("Beethoven/Piano_Sonatas/17-1_no_repeat/Ko05M.match", "Beethoven/Piano_Sonatas/17-1", "17", "ko"),
        ("Beethoven/Piano_Sonatas/24-1_no_2_repeat/LeeS01.match", "Beethoven/Piano_Sonatas/24-1", "24", "lees"),
        ("Beethoven/Piano_Sonatas/9-2_no_trio/A_B02.match", "Beethoven/Piano_Sonatas/9-2", "9", "a_b"),
        ("Schumann/Kreisleriana/1_no_first_repeat/X1.match", "Schumann/Kreisleriana/1", "Kreisleriana", "x"),
        ("Schumann/Toccata_repeat/X1.match", "Schumann/Toccata", "Toccata", "x"),
        ("Chopin/Sonata_2/1st_no_repeat/X1.match", "Chopin/Sonata_2/1st", "Sonata_2", "x"),
        ("Bach/Fugue/bwv_860/X1.match", "Bach/Fugue/bwv_860", "bwv_860", "x"),
        ("Chopin/Etudes_op_10/1/X1.match", "Chopin/Etudes_op_10/1", "1", "x"),
    ],
)
def test_names_tell_piece_work_and_pianist(path: str, piece: str, work: str, player: str) -> None:
    assert composition(path) == piece
    assert performed_work(piece).split("/")[-1] == work
    assert pianist(path) == player


def test_no_work_stands_on_two_sides() -> None:
    works = committed_performance_splits()["works"]
    listed = [work for members in works.values() for work in members]
    assert len(listed) == len(set(listed))
    assert not set(works["test"] + works["valid"]) & set(works["train"])
    for prefix, work in SHARED_WORKS.items():
        stem = f"{prefix}1" if prefix.endswith("_") else prefix
        assert shared_work(stem) == work
        assert piano_midi_performance_split(stem) == performance_split(f"{work}/x01.match"), prefix


def test_test_compositions_are_spread_and_of_test_works() -> None:
    splits = committed_performance_splits()
    tests = splits["test_compositions"]
    assert len(tests) >= 20
    assert len({piece.split("/")[0] for piece in tests}) >= 8
    assert all(performed_work(piece) in splits["works"]["test"] for piece in tests)
    assert all(performance_split(f"{piece}/x01.match") == "test" for piece in tests)


@pytest.mark.parametrize(
    "path",
    [
        "Haydn/Keyboard_Sonatas/31-1/X1.match",
        "Mozart/Piano_Sonatas/8-1/X1.match",
        "Mozart/Fantasie_475/X1.match",
        "Chopin/Etudes_op_10/3/X1.match",
        "Chopin/Ballades/2/X1.match",
        "Nobody/Nothing/X1.match",
    ],
)
def test_what_is_kept_for_other_tests_or_unknown_is_held_out(path: str) -> None:
    assert performance_split(path) == HELD_OUT


def test_file_names_that_only_begin_alike_are_not_the_same_work() -> None:
    assert shared_work("chpn_op10_e12") == "Chopin/Etudes_op_10/12"
    assert shared_work("chpn_op25_e1") == "Chopin/Etudes_op_25/1"
    assert shared_work("chpn_op25_e3") is None
    assert shared_work("waldstein_1_format0") == "Beethoven/Piano_Sonatas/21"
    assert shared_work("scn15_1") is None


def test_what_the_composer_is_tested_on_no_performer_learns() -> None:
    assert {"mz_331_1", "pathetique_2", "chp_op31", "mz_330_1"} == {
        stem
        for stem in ("mz_331_1", "pathetique_2", "chp_op31", "mz_330_1")
        if piano_midi_performance_split(stem) == "test"
    }


def test_the_draw_does_not_hang_on_order_or_on_how_many_play() -> None:
    paths = [f"Bach/Prelude/bwv_{n}/P{p}1.match" for n in range(850, 870) for p in "ab"]
    drawn = draw(paths)
    assert draw(reversed(paths)) == drawn
    assert draw([*paths, *(p.replace("P", "Q") for p in paths if "Prelude" not in p)]) == drawn
    assert len(drawn["works"]["test"]) == 4
    assert len(drawn["works"]["valid"]) == 2
    assert len(drawn["works"]["train"]) == 14
    alone = draw([path for path in paths if path.endswith("Pa1.match")])
    assert alone["works"]["test"] == []
    assert len(alone["works"]["train"]) == 20
