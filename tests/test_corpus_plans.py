"""The composer's corpus, made of several sets, and corpus pieces as plans."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music import corpus_sources
from music.analysis import corpus_plans
from music.analysis.corpus_plans import plans_of_piece, prepare_plans
from music.analysis.marked_plan import FIELDS, MarkedPlan, Origin, read_plans
from music.analysis.plans import plan_of_score
from music.corpus import PieceEntry, load_pieces, prepare
from music.corpus_sources import EARLY_QUARTETS, corpus_roots, form_root, music21_corpus_dir, source_files
from music.errors import PlanError, RequestError
from music.plan import Plan
from music.score import Bar, Direction, MeterChange, Note, Part, Score, SectionMark, regular_bars
from music.time import Meter
from tests.plan_strategies import plans
from tests.test_corpus import write_midi

CHORALES = ("bwv253", "bwv254", "bwv269")


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with piano-midi.de and StringQuartets as a user would have them, beside a small music21."""
    music21 = tmp_path / "music21"
    (music21 / "bach").mkdir(parents=True)
    for name in CHORALES:
        shutil.copy(music21_corpus_dir() / "bach" / f"{name}.mxl", music21 / "bach")
    (music21 / "haydn" / "opus74no1").mkdir(parents=True)
    (music21 / "beethoven").mkdir()
    for name in ("haydn/opus74no1/movement1.mxl", "haydn/opus74no1/movement2.mxl", "beethoven/opus18no3.mxl"):
        (music21 / name).write_bytes(b"not a score " + name.encode())
    folder = tmp_path / "sets"
    for i, name in enumerate(("Beethoven/mond_1", "Beethoven/pathetique_1", "Chopin/chpn_op53")):
        write_midi(folder / "piano-midi.de" / "midis" / f"{name}.mid", first=50 + i)
    for name in (
        "Haydn,_Joseph/String_Quartet_in_C_major,_Hob.III72,_Op.74_No.1",
        "Haydn,_Joseph/String_Quartet_in_F_major,_Hob.III73,_Op.74_No.2",
        "Beethoven,_Ludwig_van/String_Quartet_No.3,_Op.18_No.3",
        "Ravel,_Maurice/String_Quartet",
    ):
        place = folder / "StringQuartets" / "scores" / name
        place.mkdir(parents=True)
        (place / "sq1.mxl").write_bytes(b"not a score " + name.encode())
    monkeypatch.setattr(corpus_sources, "music21_corpus_dir", lambda: music21)
    return folder


def test_a_work_is_counted_once_and_late_quartets_are_left_out(sets: Path, tmp_path: Path) -> None:
    roots, remarks = corpus_roots("composer", sets, tmp_path)
    assert list(roots) == ["music21", "piano_midi_de", "openscore_quartets"]
    assert remarks == ()
    files = source_files("composer", roots)
    skipped = {s.name: s.skip for s in files if s.skip}
    assert {s.work for s in files if s.reading == "quartet"} - {s.work for s in files if not s.skip} == {
        "ravel_string_quartet"
    }
    assert sorted(skipped.values()) == [
        "OpenScore has this work with its movements apart",
        "music21 has this work as well",
        "written after about 1850",
    ]
    assert skipped["beethoven/opus18no3.mxl"].startswith("OpenScore")
    kept = [(s.data, s.work) for s in files if not s.skip]
    assert kept.count(("music21", "haydn_op74no1")) == 2
    assert ("openscore_quartets", "beethoven_op18no3") in kept
    assert ("openscore_quartets", "haydn_op74no2") in kept
    assert {s.data for s in files} == set(roots)


def test_missing_sets_are_remarked_upon(sets: Path, tmp_path: Path) -> None:
    roots, remarks = corpus_roots("composer", None, tmp_path)
    assert list(roots) == ["music21"]
    assert [r.split()[1] for r in remarks] == ["piano_midi_de", "openscore_quartets"]
    alone, remarks = corpus_roots("composer", sets / "piano-midi.de", tmp_path)  # a set itself instead of its folder
    assert alone["piano_midi_de"] == sets / "piano-midi.de"
    assert [r.split()[1] for r in remarks] == ["openscore_quartets"]
    assert all(not s.skip for s in source_files("composer", alone))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"empty holds none of the sets piano-midi\.de"):
        corpus_roots("composer", tmp_path / "empty", tmp_path)
    with pytest.raises(RequestError, match="does not exist"):
        corpus_roots("composer", tmp_path / "nowhere", tmp_path)


def test_archives_in_the_folder_are_unpacked(sets: Path, tmp_path: Path) -> None:
    place = tmp_path / "archives"
    place.mkdir()
    with tarfile.open(place / "piano-midi.de.tar.xz", "w:xz") as tar:
        tar.add(sets / "piano-midi.de", "piano-midi.de")
    roots, _ = corpus_roots("composer", place, tmp_path / "cache")
    files = [s for s in source_files("composer", roots) if s.data == "piano_midi_de"]
    assert {s.path.name for s in files} == {"mond_1.mid", "pathetique_1.mid", "chpn_op53.mid"}


def test_splits_styles_and_licences_are_those_of_the_sets(sets: Path, tmp_path: Path) -> None:
    report = prepare("composer", path=sets, cache_dir=tmp_path / "cache", workers=1, progress=False)
    entries = {e.id: e for e in report.manifest.entries}
    assert set(entries) == {
        *(f"music21/bach/{name}.mxl" for name in CHORALES),
        *(f"piano/midis/{name}.mid" for name in ("Beethoven/mond_1", "Beethoven/pathetique_1", "Chopin/chpn_op53")),
    }
    assert entries["piano/midis/Beethoven/pathetique_1.mid"].split == "test"
    assert entries["piano/midis/Chopin/chpn_op53.mid"].split == "valid"
    assert entries["piano/midis/Beethoven/mond_1.mid"].style == "beethoven_piano"
    assert entries["piano/midis/Beethoven/mond_1.mid"].licence.startswith("CC BY-SA 3.0 DE")
    assert entries["music21/bach/bwv253.mxl"].style == "bach_chorale"
    assert len(report.dropped) == 3 + 4  # skipped, and files that are no scores
    without = prepare("composer", cache_dir=tmp_path / "cache", workers=1, progress=False)
    assert without.parsed == 1  # music21's op. 18 no. 3, which OpenScore's edition stood for
    assert "without piano_midi_de" in without.table()
    assert without.manifest.sha256 != report.manifest.sha256
    assert prepare("composer", path=sets, cache_dir=tmp_path / "cache", workers=1, progress=False) == (
        prepare("composer", path=sets, cache_dir=tmp_path / "cache", workers=2, progress=False)
    )


def test_a_missing_set_is_said_while_loading(sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sets / "piano-midi.de"
    for name in CHORALES:
        (corpus_sources.music21_corpus_dir() / "bach" / f"{name}.mxl").write_bytes(name.encode())  # quickly dropped
    train = load_pieces("composer", "train", path=path, cache_dir=tmp_path / "cache", workers=1)
    assert "piano/midis/Beethoven/mond_1.mid" in {e.id for e, _ in train}
    assert "without openscore_quartets" in capsys.readouterr().err


def test_the_tables_of_form_are_found_beside_the_sets(sets: Path, tmp_path: Path) -> None:
    assert form_root(None, sets, tmp_path) is None
    assert form_root(None, None, tmp_path) is None
    (sets / "Taking-Form").mkdir()
    assert form_root(None, sets, tmp_path) == sets / "Taking-Form"
    assert form_root(tmp_path, sets, tmp_path) == tmp_path
    with pytest.raises(RequestError, match="nowhere does not exist"):
        form_root(tmp_path / "nowhere", sets, tmp_path)


def test_early_composers_are_families_that_splits_know() -> None:
    assert len(set(EARLY_QUARTETS)) == len(EARLY_QUARTETS)
    assert not {"arriaga", "boccherini", "hensel"} & set(EARLY_QUARTETS)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of five pieces, one of them no MIDI file and one too short for a plan, and a cache."""
    root = tmp_path_factory.mktemp("own")
    for i in range(4):
        write_midi(root / f"piece {i}.mid", bars=9 + i, first=50 + i)
    write_midi(root / "short.mid", bars=5, first=70)
    (root / "broken.mid").write_bytes(b"MThd")
    return root, tmp_path_factory.mktemp("cache")


def test_plans_of_a_folder(own: tuple[Path, Path]) -> None:
    report = prepare_plans("folder", path=own[0], cache_dir=own[1], workers=1, progress=False)
    assert (report.kept, report.pieces, report.bars_left_out) == (4, 4, 5)
    assert [name for name, _ in report.dropped] == ["broken.mid", "folder/short.mid"]
    assert report.dropped[0][1].startswith("MidiError: ")
    assert report.dropped[1][1] == "has no eight regular bars"
    assert report.annotated() == dict.fromkeys(FIELDS, 0) | {"textures": 4}
    assert report.sources() == {"inferred": 4}
    assert report.styles() == {
        "folder": {"plans": 4, "bars": 9 + 10 + 11 + 12, "sections": 0, "phrases": 0, "dynamics": 0}
    }
    assert "dropped folder/short.mid: has no eight" in report.table()
    assert json.loads(report.json_line())["plans"] == 4
    plans = read_plans(report.path)
    assert [m.origin.id for m in plans] == [f"folder/piece {i}.mid:0" for i in range(4)]
    assert plans[0].plan == plan_of_score(
        load_pieces("folder", "all", path=own[0], cache_dir=own[1], progress=False)[0][1],
        style="folder",
        ensemble="piano",
    )
    assert plans[0].inferred == set(FIELDS) - {"textures", "dynamics"}
    assert plans[0].missing == {"dynamics", "tempo"}
    chosen = read_plans(report.path, keep=lambda origin: origin.id.endswith("2.mid:0"))
    assert [m.plan.bars for m in chosen] == [11]


def test_the_same_bytes_with_two_workers(own: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = (
        prepare_plans("folder", path=own[0], cache_dir=own[1], out=tmp_path / str(n), workers=n, progress=False)
        for n in (1, 2)
    )
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.rows == two.rows


def test_the_composers_corpus_has_plans_without_scores_beside_it(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    music21 = corpus_sources.music21_corpus_dir()
    monkeypatch.setattr(corpus_plans, "music21_corpus_dir", lambda: music21)
    (music21 / "airdsAirs").mkdir()
    tune = "X:1\nT:One\nM:2/4\nL:1/8\nK:G\n|:G2Bd|g2dB|c2ec|G4:|\n"
    (music21 / "airdsAirs" / "a.abc").write_text(tune + tune.replace("K:G", "K:?"), encoding="utf-8")
    (sets / "Taking-Form").mkdir()
    for name in ("sonata14op27no2(Moonlight)movt1", "sonata1op2no1movt1"):
        (sets / "Taking-Form" / f"{name}.csv").write_text("1,1,A\n5,1,B\n12,1,\n", encoding="utf-8")
    song = sets / "When-in-Rome" / "Corpus" / "OpenScore-LiederCorpus" / "Wolf,_Hugo" / "Lieder" / "1"
    song.mkdir(parents=True)
    chords = "\n".join(f"m{n} C: I b2 V" for n in range(1, 10))
    (song / "analysis.txt").write_text(f"Time Signature: 4/4\n{chords}\n", encoding="utf-8")
    shutil.rmtree(sets / "StringQuartets")
    reports = [
        prepare_plans(
            "composer", path=sets, cache_dir=tmp_path / "cache", out=tmp_path / str(n), workers=n, progress=False
        )
        for n in (1, 2)
    ]
    assert reports[0].path.read_bytes() == reports[1].path.read_bytes()
    found = [m.origin.id for m in read_plans(reports[0].path)]
    scores = [name for name in found if name.startswith(("music21/bach", "piano/"))]
    assert scores == found[: len(scores)]
    assert found[len(scores) :] == [
        "music21/airdsAirs/a.abc#1:0",
        "when_in_rome/OpenScore-LiederCorpus/Wolf,_Hugo/Lieder/1:0",
        "taking_form/sonata14op27no2(Moonlight)movt1.csv:0",
        "taking_form/sonata1op2no1movt1.csv:0",
    ]
    assert reports[0].dropped[-1] == ("music21/airdsAirs/a.abc#2", "K:? is not a key")
    assert {"fiddle_tune", "lied", "beethoven_piano"} <= reports[0].styles().keys()


def test_a_fault_in_one_piece_ends_nothing(own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    real = corpus_plans.plan_of_score

    def moody(score: Score, *, style: str = "", ensemble: str = "satb") -> Plan:
        if len(score.bars) == 10:
            raise PlanError("no plan today")
        if len(score.bars) == 11:
            raise ZeroDivisionError("a fault")
        return real(score, style=style, ensemble=ensemble)

    monkeypatch.setattr(corpus_plans, "plan_of_score", moody)
    report = prepare_plans("folder", path=own[0], cache_dir=own[1], workers=1, progress=False)
    assert report.kept == 2
    assert dict(report.dropped[1:]) == {
        "folder/piece 1.mid bars 1-10": "no plan today",
        "folder/piece 2.mid": "ZeroDivisionError: a fault",
        "folder/short.mid": "has no eight regular bars",
    }

    def refuse(score: Score, *, style: str = "", ensemble: str = "satb") -> Plan:
        raise PlanError("no plan today")

    monkeypatch.setattr(corpus_plans, "plan_of_score", refuse)
    with pytest.raises(RequestError, match="no piece of it makes a plan"):
        prepare_plans("folder", path=own[0], cache_dir=own[1], workers=1, progress=False)


def entry_of(score: Score) -> PieceEntry:
    return PieceEntry("x/p", "p.mid", "0", "licence", "train", "work", "style", "piano", "midi", bars=len(score.bars))


def tune(bars: int, meter: str = "4/4") -> Score:
    m = Meter.parse(meter)
    notes = [Note(f"n{i}", i * m.bar_div, m.bar_div, 60 + i * 5 % 12) for i in range(bars)]
    return Score((Part("P"),), tuple(notes), regular_bars(m, bars), (MeterChange(0, m),))


def test_what_stands_in_the_score_is_annotated() -> None:
    plain = tune(16)
    marked = plans_of_piece(entry_of(plain), plain).plans[0]
    assert marked.annotated == {"textures"}
    assert marked.origin == Origin("x/p:0", "work", "train", "licence", "inferred")
    bar = plain.bars[0].duration_div
    signs = replace(
        plain,
        directions=(
            Direction(0, "dynamic", "p"),
            *(Direction(b * bar, "fermata") for b in (3, 7, 11, 15)),
        ),
        sections=(SectionMark(0, "Thema"), SectionMark(8 * bar, "Coda")),
    )
    found = plans_of_piece(entry_of(signs), signs).plans[0]
    assert found.annotated == {"textures", "dynamics", "phrases", "sections"}
    assert found.origin.source == "marks"
    numbers = [*range(1, 9), *range(1, 9)]
    again = replace(plain, bars=tuple(replace(b, number=n) for b, n in zip(plain.bars, numbers, strict=True)))
    assert plans_of_piece(entry_of(again), again).plans[0].origin.source == "repeats"
    assert "sections" in plans_of_piece(entry_of(again), again).plans[0].annotated


def test_stretches_of_one_meter_are_plans_each() -> None:
    first, second = Meter.parse("4/4"), Meter.parse("3/4")
    change = 9 * first.bar_div
    bars = [Bar(i * first.bar_div, first.bar_div, i + 1) for i in range(9)]
    bars += [Bar(change + i * second.bar_div, second.bar_div, i + 10) for i in range(12)]
    notes = tuple(Note(f"n{b.number}", b.onset_div, b.duration_div, 60 + b.number % 7) for b in bars)
    meters = (MeterChange(0, first), MeterChange(change, second))
    marks = (SectionMark(0, "A"), SectionMark(4 * first.bar_div, "B"), SectionMark(bars[13].onset_div, "A'"))
    score = Score((Part("P"),), notes, tuple(bars), meters, sections=marks)
    found = plans_of_piece(entry_of(score), score)
    assert [m.origin.id for m in found.plans] == ["x/p:0", "x/p:9"]
    assert [(s.label, s.bars) for s in found.plans[0].plan.sections] == [("A", 4), ("B", 5)]
    assert [(s.label, s.bars) for s in found.plans[1].plan.sections] == [("B", 4), ("A'", 8)]
    assert found.left_out == 0


def test_labels_of_form_go_before_the_scores_marks(tmp_path: Path) -> None:
    score = replace(tune(16), sections=(SectionMark(8 * 40320, "Teil 2"),))
    table = tmp_path / "sonata1op2no1movt1.csv"
    table.write_text("1,1,A\n5,1,B\n9,1,A\n16,1,\n", encoding="utf-8")
    found = plans_of_piece(entry_of(score), score, table)
    assert found.form == ""
    assert found.plans[0].origin.source == "labels"
    assert [s.label[0] for s in found.plans[0].plan.sections] == ["A", "B", "A"]
    table.write_text("1,1,A\n5,1,B\n19,1,\n", encoding="utf-8")
    refused = plans_of_piece(entry_of(score), score, table)
    assert "the table has 19 bars, the score 16" in refused.form
    assert refused.plans[0].origin.source == "marks"


@settings(max_examples=8, deadline=None)
@given(plans(), st.sets(st.sampled_from(FIELDS)), st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
def test_marked_plans_round_trip(plan: Plan, annotated: set[str], name: str) -> None:
    marked = MarkedPlan(plan, frozenset(annotated), Origin(id=name))
    assert MarkedPlan.from_json(json.loads(json.dumps(marked.to_json()))) == marked


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotated": ["form"]}, "no part 'form' to annotate"),
        ({"annotated": "sections"}, "annotated is not a list"),
        ({"annotated": [1]}, "annotated is not a list"),
        ({"split": None}, "is not a text"),
        ({"colour": "red"}, "is not an object with"),
        ({"plan": {}}, "plan has no field"),
        (None, "not JSON"),
    ],
)
def test_bad_lines_are_named(change: dict | None, message: str, tmp_path: Path) -> None:
    score = tune(8)
    lines = [json.dumps(plans_of_piece(entry_of(score), score).plans[0].to_json())] * 2
    lines[1] = "{" if change is None else json.dumps(json.loads(lines[1]) | change)
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(PlanError, match=r"bad\.jsonl: line 2:.*" + message):
        read_plans(bad)
    with pytest.raises(PlanError, match=r"none\.jsonl: No such file"):
        read_plans(tmp_path / "none.jsonl")
