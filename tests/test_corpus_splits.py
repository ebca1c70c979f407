"""The committed splits: by work, disjoint, with all that is held out on the test side."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from music.corpus_sources import music21_corpus_dir, source_files
from music.score import MeterChange, Note, Part, Score, regular_bars
from music.split_draw import alignment, draw, groups, same_music
from music.splits import (
    SPLITS_FILE,
    catalogue_number,
    chorale_work,
    committed_splits,
    folder_work,
    piano_work,
    quartet_work,
    same_encoding,
    split_by_hash,
)
from music.time import Meter

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def test_no_chorale_stands_in_two_works() -> None:
    members = [m for entry in committed_splits()["chorales"]["works"] for m in entry["members"].split()]
    assert max(Counter(members).values()) == 1
    assert len(members) > 390


def test_every_listed_chorale_and_its_versions_are_test() -> None:
    listed = committed_splits()["chorales"]["test_listed"]
    assert len(listed) > 70
    for name in listed:
        work, split = chorale_work(name)
        assert split == "test"
        same = next(e for e in committed_splits()["chorales"]["works"] if e["work"] == work)
        assert {chorale_work(member) for member in same["members"].split()} == {(work, "test")}


def test_known_versions_of_one_melody_share_a_work() -> None:
    passion = {chorale_work(name)[0] for name in ("bwv244.54", "bwv244.62", "bwv161.6", "bwv135.6", "bwv270")}
    assert len(passion) == 1
    assert chorale_work("bwv227.1") == chorale_work("bwv358")
    assert chorale_work("bwv244.54")[0] != chorale_work("bwv227.1")[0]


def test_an_unknown_chorale_is_not_trained_on() -> None:
    assert chorale_work("bwv9999") == ("bwv9999", "test")


def test_second_encodings_point_to_a_kept_chorale_of_the_same_work() -> None:
    for name, first in committed_splits()["chorales"]["same_encoding"].items():
        assert same_encoding(first) is None
        assert chorale_work(name) == chorale_work(first)


def test_works_of_music21_are_disjoint_between_splits() -> None:
    splits: dict[str, set[str]] = {}
    for source in source_files("music21", music21_corpus_dir()):
        splits.setdefault(source.work, set()).add(source.split)
    assert all(len(found) == 1 for found in splits.values())
    pieces = Counter(source.style for source in source_files("music21", music21_corpus_dir()))
    assert pieces["bach_chorale"] == 409
    assert sum(pieces.values()) - pieces["bach_chorale"] == 51


def test_shares_of_music21() -> None:
    chorales = Counter(s.split for s in source_files("music21_chorales", music21_corpus_dir()) if not s.skip)
    assert 30 <= chorales["valid"] <= 40
    quartets = Counter(s.split for s in source_files("music21_quartets", music21_corpus_dir()))
    assert quartets["valid"] in (3, 4, 5)
    assert quartets["train"] > 40


@pytest.mark.parametrize(
    ("composer", "title", "work"),
    [
        ("Mozart", "String_Quartet_No.2_in_D_major,_K.155134a", "mozart_k155"),
        ("Mozart", "String_Quartet_No.1_in_G_major,_K.8073f", "mozart_k80"),
        ("Mozart", "String_Quartet_No.14_in_G_major,_K.387_(Op._10,_No._1)", "mozart_k387"),
        ("Mozart", "String_Quartet_No.15_in_D_minor,_K.421417b_(Op._10,_No._2)", "mozart_k421"),
        ("mozart", "k155", "mozart_k155"),
        ("beethoven", "opus18no1", "beethoven_op18no1"),
        ("Beethoven", "String_Quartet_No.1,_Op.18_No.1", "beethoven_op18no1"),
        ("Beethoven", "Grosse_Fuge_in_B-flat_major,_Op.133", "beethoven_op133"),
        ("Haydn", "String_Quartet_in_G_major,_Hob.III66,_Op.64,_No.4", "haydn_op64no4"),
        ("Haydn", "String_Quartet_in_B-flat_major_(“La_Chasse”),_Hob._III1,_Op.1_No.1", "haydn_op1no1"),
        ("Schubert", "String_Quartet_in_D_minor,_D.810,_Op.14_(“Death_and_the_Maiden”)", "schubert_d810"),
        ("Dvořák", "String_Quartet_No.12,_Op.96_(“American”)", "dvorak_op96"),
        ("Andrée", "String_Quartet_in_A_major", "andree_string_quartet_in_a_major"),
    ],
)
def test_a_quartet_has_one_name_in_all_sets(composer: str, title: str, work: str) -> None:
    assert quartet_work(composer, title)[0] == work


@pytest.mark.parametrize("composer", ["Hensel", "Smyth", "Arriaga", "Boccherini", "Grieg", "Saint-Georges"])
def test_quartets_of_the_held_out_composers_are_test(composer: str) -> None:
    assert quartet_work(composer, "String_Quartet,_Op.1")[1] == "test"


def test_piano_pieces_by_work() -> None:
    for name in ("mz_330_1", "mz_331_3", "mz_332_2_format0", "MZ_333_1", "pathetique_2"):
        assert piano_work(name)[2] == "test"
    assert piano_work("beethoven_opus22_1")[:2] == piano_work("beethoven_opus22_4")[:2]
    assert piano_work("chpn-p3")[1] == piano_work("chpn-p24")[1]
    assert piano_work("ty_mai")[:2] == ("tchaikovsky", "tchaikovsky_ty")
    assert piano_work("schu_143_2")[0] == "schubert"
    assert piano_work("schum_abegg")[0] == "schumann"
    assert piano_work("schumm-1")[0] == "schubert"
    assert piano_work("something")[0] == "unknown"


def test_catalogue_numbers_need_a_sign() -> None:
    assert catalogue_number("String Quartet No. 3 in A minor") == ""
    assert catalogue_number("Opus 18 No. 4") == "op18no4"


@pytest.mark.parametrize(
    ("path", "work"),
    [
        ("a/Sonata 1 - movement 2.mid", "sonata_1"),
        ("a/Sonata 1 - Mvt. 3.MXL", "sonata_1"),
        ("K155/movement1.mxl", "k155"),
        ("bach_017.mid", "bach_017"),
        ("Song (1).mid", "song"),
        ("Song copy.mid", "song"),
        ("Étude.mid", "etude"),
    ],
)
def test_works_of_a_folder(path: str, work: str) -> None:
    assert folder_work(path) == work


def test_hash_split_has_its_shares_and_never_changes() -> None:
    counts = Counter(split_by_hash(f"work {i}") for i in range(4000))
    assert abs(counts["valid"] / 4000 - 0.08) < 0.02
    assert abs(counts["test"] / 4000 - 0.08) < 0.02
    assert [split_by_hash(w) for w in ("a", "b", "c", "d", "e", "f")] == [split_by_hash(w) for w in "abcdef"]


def test_alignment_does_not_mind_transposition_or_ornaments() -> None:
    rng = np.random.default_rng(1)
    melody = rng.integers(60, 73, 30)
    assert alignment(melody, melody + 5) == 30
    assert alignment(melody, np.insert(melody, 10, 80)) == 29
    assert alignment(melody, rng.integers(60, 73, 30)) < 16


def test_groups_and_same_music() -> None:
    def chorale(pitches: np.ndarray) -> Score:
        notes = tuple(Note(f"n{i}", i * 10080, 10080, int(p)) for i, p in enumerate(pitches))
        return Score((Part("S"),), notes, regular_bars(Meter(4, 4), 10), (MeterChange(0, Meter(4, 4)),))

    steps = np.array([2, 2, 1, 2, -3, -2, 5, -1, -2, -2] * 4)[:39]
    a = 60 + np.cumsum(np.insert(steps, 0, 0)) % 14
    b = 60 + np.cumsum(np.insert(steps[::-1] * 3 % 11 - 5, 0, 0)) % 12
    scores = [chorale(a), chorale(b), chorale(a + 3)]
    assert groups(["x", "y", "z"], scores) == [["x", "z"], ["y"]]
    assert same_music(scores[0], scores[2])
    assert not same_music(scores[0], scores[1])


def test_draw_is_seeded_and_reaches_its_share() -> None:
    sizes = {f"w{i}": 1 + i % 3 for i in range(50)}
    first = draw(sizes, 0.1, np.random.default_rng(4))
    assert first == draw(sizes, 0.1, np.random.default_rng(4)) != draw(sizes, 0.1, np.random.default_rng(5))
    assert 0.1 <= sum(sizes[w] for w in first) / sum(sizes.values()) < 0.14


def test_file_is_plain_json() -> None:
    assert json.loads(SPLITS_FILE.read_text(encoding="utf-8"))["seed"] == 1685


@pytest.mark.shared
def test_list_of_test_chorales_is_complete() -> None:
    path = SHARED / "jsb_test_bwv.txt"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    assert set(path.read_text().split()) == set(committed_splits()["chorales"]["test_listed"])


def test_a_single_piece_of_an_opus_can_be_held_out() -> None:
    assert piano_work("chpn_op10_e03") == ("chopin", "chopin_chpn_op10_e03", "test")
    assert piano_work("chpn_op10_e03_format0")[2] == "test"
    assert piano_work("chpn_op10_e01")[2] == "train"
