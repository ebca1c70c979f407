"""The benchmarks of requests and of readers in small, and that they notice what is wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from benchmarks.readers import bar_faults, by_music21, check_piece, compose, hand_faults, rows_of
from benchmarks.requests import (
    CONTRADICTIONS,
    GROWING,
    LETTERS,
    NAMED,
    labels_of,
    longest_silence,
    performance_faults,
    plan_faults,
    refuse_all,
    run_requests,
    score_faults,
    wishes,
)
from composer.markov import MarkovComposer
from music.musicxml import read_musicxml, write_musicxml
from music.pitch import Key
from music.plan import ENSEMBLES, Plan
from music.score import MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import DIVS_PER_QUARTER, Meter
from performer.rules import RulePerformer
from planner.forms import FORMS
from planner.grammar import GrammarPlanner
from planner.request import parse_request
from planner.styles import STYLES
from tests.test_markov import tables

Q = DIVS_PER_QUARTER


@cache
def composer() -> MarkovComposer:
    """Tables of made pieces serve: what is checked holds for any notes."""
    return MarkovComposer(tables=tables())


@cache
def small_piece() -> tuple[Plan, Score]:
    """A plan of twelve bars and its score."""
    plan = GrammarPlanner().plan(parse_request(form="ABA", key="G", meter="3/4", bars=12), seed=0)
    return plan, composer().compose(plan, seed=0)


def test_requests_are_kept_through_all_layers() -> None:
    asked = wishes(6, seed=2, most_bars=24)
    tallies, failures = run_requests(asked, composer())
    assert failures == []
    assert sum(t.performed for t in tallies.values()) == 6


def test_two_hundred_requests_cover_all() -> None:
    asked = wishes(200)
    assert {*NAMED, *GROWING} == set(FORMS)
    assert {w.kind for w in asked} == {*FORMS, "letters", "typed"}
    assert {w.words["form"] for w in asked if w.kind == "letters"} == set(LETTERS)
    assert len({w.key for w in asked}) == 24
    assert {str(w.meter) for w in asked} == {"2/4", "3/4", "4/4", "6/8"}
    assert {w.ensemble for w in asked} == set(ENSEMBLES)
    assert {w.words.get("style", "") for w in asked} == {*STYLES, ""}
    bars = [w.bars for w in asked]
    assert (min(bars), max(bars)) == (8, 128)
    assert wishes(200) == asked


def test_labels_as_documented() -> None:
    assert labels_of("AA'BA", 40) == ("A", "A'", "B", "A")
    assert labels_of("variations", 30) == ("A", "A'", "A''")
    assert labels_of("through_composed", 500) == tuple("ABCDEFGHIJKL")


def test_what_cannot_be_is_refused() -> None:
    assert len(CONTRADICTIONS) >= 20
    assert refuse_all() == (len(CONTRADICTIONS), [])


def test_faults_are_noticed() -> None:
    plan, score = small_piece()
    asked = next(w for w in wishes(60) if w.kind == "ternary")
    found = plan_faults(replace(asked, key=Key("A"), bars=13), plan)
    assert any(fault.startswith("key: asked A, planned G") for fault in found)
    assert any(fault.startswith("bars: asked 13, planned 12") for fault in found)
    assert score_faults(plan, score) == []
    moved = tuple(replace(mark, onset_div=mark.onset_div + Q) for mark in score.sections)
    assert [f.partition(":")[0] for f in score_faults(plan, replace(score, sections=moved))] == ["section marks"]
    assert [f.partition(":")[0] for f in score_faults(replace(plan, title="x"), score)] == ["title"]
    performance = RulePerformer().perform(score, seed=0, plan=plan)
    assert performance_faults(score, performance) == []
    assert performance_faults(score, replace(performance, notes=performance.notes[1:])) != []


def test_silence_is_measured_in_bars() -> None:
    meter = Meter(3, 4)

    def silence(*spans: tuple[int, int]) -> int:
        notes = sort_notes([Note(f"n{i}", a * Q, b * Q, 60) for i, (a, b) in enumerate(spans)])
        return longest_silence(Score((Part("P1"),), notes, regular_bars(meter, 6), (MeterChange(0, meter),)))

    assert silence((0, 18)) == 0
    assert silence((0, 3), (6, 3), (15, 1)) == 2
    assert silence((0, 3), (3, 4)) == 3
    assert silence() == 6


@pytest.mark.parametrize("ensemble", ["piano", "quartet"])
def test_pieces_are_read_by_three_readers(ensemble: str, tmp_path: Path) -> None:
    asked = next(w for w in wishes(200, most_bars=24) if w.ensemble == ensemble and w.kind != "typed")
    faults, _ = check_piece(compose(asked, composer(), 3), tmp_path)
    assert faults == {name: [] for name in ("ours", "music21", "partitura", "midi", "bars", "hands")}


def test_faults_of_files_are_noticed(tmp_path: Path) -> None:
    _, score = small_piece()
    path = tmp_path / "score.musicxml"
    wide = Note("wide", 0, Q, score.notes[0].pitch - 17, 0, score.notes[0].staff, 7, "C")
    wide = replace(wide, step="CCDDEFFGGAAB"[wide.pitch % 12])
    write_musicxml(replace(score, notes=sort_notes([wide, *score.notes])), path)
    data = path.read_bytes()
    assert hand_faults(data)[0] == []
    assert hand_faults(data)[1] >= 1
    bare = data.replace(b"<arpeggiate", b"<tenuto")
    assert hand_faults(bare)[0] != []
    write_musicxml(score, path)
    data = path.read_bytes()
    assert bar_faults(data, score) == []
    assert bar_faults(data.replace(b"<type>quarter</type>", b"<type>half</type>", 1), score) != []
    assert bar_faults(data.replace(b"</measure>", b"</measure><measure/>", 1), score) != []
    path.write_bytes(data.replace(b"<step>G</step>", b"<step>A</step>", 1))
    assert by_music21(path) != rows_of(score)
    assert rows_of(read_musicxml(path)) != rows_of(score)
