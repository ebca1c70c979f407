"""The index of training pieces: exact against a plain search, small, whole, and at hand where a piece is measured."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import build_index as builder
from evaluation.build_index import build_index, corpus_digest, main
from evaluation.originality import SHIPPED, RunIndex, index_pieces, roll_sonorities, shipped_index, step_hash
from evaluation.sonorities import changes, sonorities
from music.corpus import PieceEntry
from music.score import MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import DIVS_PER_QUARTER, Meter

COMMON = Meter(4, 4)
Row = list[tuple[int, ...]]
# Few enough sonorities that pieces share some.
CHORD = st.sampled_from([(60,), (62,), (60, 64), (59, 62), (60, 64, 67), (55, 62, 65)])
PIECE = st.lists(CHORD, min_size=2, max_size=14)


def score_of(row: Row, shift: int = 0, length: int = DIVS_PER_QUARTER) -> Score:
    """A score of these sonorities, one a beat."""
    notes = [Note(f"n{i}.{p}", i * length, length, p + shift) for i, chord in enumerate(row) for p in chord]
    bars = -(-len(row) * length // COMMON.bar_div)
    return Score((Part("P1"),), sort_notes(notes), regular_bars(COMMON, bars), (MeterChange(0, COMMON),))


def roll_of(row: Row, steps: int = 2) -> np.ndarray:
    play = np.zeros((len(row) * steps, 88), dtype=bool)
    for i, chord in enumerate(row):
        play[i * steps : (i + 1) * steps, [p - 21 for p in chord]] = True
    return play


def plain_runs(piece: Score, others: list[Score]) -> int:
    """The longest common run by comparing chords themselves."""

    def steps(score: Score) -> list[tuple]:
        rows = changes(sonorities(score))
        return [(tuple(p - a[0] for p in a), tuple(p - a[0] for p in b)) for a, b in pairwise(rows)]

    ours, best = steps(piece), 0
    for other in map(steps, others):
        for i in range(len(ours)):
            for j in range(len(other)):
                k = 0
                while i + k < len(ours) and j + k < len(other) and ours[i + k] == other[j + k]:
                    k += 1
                best = max(best, k)
    return best + 1 if best else 0


@given(PIECE, st.lists(PIECE, min_size=1, max_size=4), st.integers(-5, 5))
def test_runs_are_those_of_a_plain_search(piece: Row, others: list[Row], shift: int) -> None:
    pieces = [score_of(row, shift) for row in others]
    assert index_pieces(pieces).longest_run(score_of(piece)) == plain_runs(score_of(piece), pieces)


@given(PIECE, st.lists(PIECE, min_size=1, max_size=3))
def test_a_roll_is_measured_as_its_score(piece: Row, others: list[Row]) -> None:
    index = index_pieces([score_of(row) for row in others])
    assert index.run_at_end(roll_of(piece)) == index.longest_run(score_of(piece))
    play = roll_of(piece)[:, 20:70]  # a composer's narrower range
    assert index.longest_run_of_roll(play, play) == index.longest_run(score_of(piece))


def test_only_runs_that_end_in_the_last_phrase_count() -> None:
    tune = [(60,), (64,), (59,), (65,), (62,), (57,)]
    index = index_pieces([score_of(tune)])
    fresh = [(50,), (49,), (70,), (41,)]
    assert index.run_at_end(roll_of([*tune, *fresh])) == len(tune)
    assert index.run_at_end(roll_of([*tune, *fresh]), since=2 * len(tune)) < 3
    late = roll_of([*fresh, *tune])
    assert index.run_at_end(late, since=2 * len(fresh) + 8) == len(tune), "a run counts whole that began before"
    assert index.run_at_end(np.zeros((8, 88), dtype=bool)) == 0


def test_silence_and_restruck_sonorities_are_no_steps() -> None:
    play = roll_of([(60, 64), (60, 64), (62,)])
    play[3] = False
    row, begins = roll_sonorities(play)
    assert [len(chord) for chord in row] == [2, 1]
    assert begins.tolist() == [0, 4]


def test_runs_do_not_cross_from_piece_to_piece() -> None:
    left, right = [(60,), (64,), (59,)], [(59,), (65,), (62,)]
    index = index_pieces([score_of(left), score_of(right)])
    assert index.longest_run(score_of([*left, *right[1:]])) == 3


def test_hashes_hold_24_bits_and_know_no_key() -> None:
    values = {step_hash((60, 64, 67), (62 + i, 70 + i)) for i in range(-20, 20)}
    assert len(values) == 40
    assert all(0 < v < 1 << 24 for v in values)
    assert step_hash((60, 64), (62, 67)) == step_hash((70, 74), (72, 77))


def test_the_file_keeps_all_and_is_the_same_again(tmp_path: Path) -> None:
    index = index_pieces([score_of([(60,), (64, 67), (59,), (65,)])], {"sets": ["x"], "pieces": 1})
    index.write(tmp_path / "a.npz")
    RunIndex.read(tmp_path / "a.npz").write(tmp_path / "b.npz")
    again = RunIndex.read(tmp_path / "b.npz")
    assert np.array_equal(again.steps, index.steps)
    assert again.about == {"sets": ["x"], "pieces": 1}
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def entry(name: str, sha: str) -> PieceEntry:
    return PieceEntry(name, name, sha, "PD", "train", name, "", "satb", "chorale")


def test_the_builder_takes_train_splits_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (entry("a", "1"), score_of([(60,), (64,), (59,)])), (entry("b", "2"), score_of([(60,), (61,)]))
    seen = []

    def pieces(name: str, split: str, *, cache_dir: Path, path: Path | None) -> list:
        seen.append((name, split, path))
        return {"left": [one, two], "right": [(entry("c", "1"), one[1])], "none": []}[name]

    monkeypatch.setattr(builder, "load_pieces", pieces)
    index = build_index([("left", None), ("right", Path("x"))], tmp_path)
    assert seen == [("left", "train", None), ("right", "train", Path("x"))]
    assert index.pieces == index.about["pieces"] == 2
    assert index.about["corpus_sha256"] == corpus_digest([two[0], one[0]])
    out = tmp_path / "deep" / "index.npz"
    assert main(["left", "right=x", "--cache-dir", str(tmp_path), "--out", str(out)]) == 0
    assert "2 pieces, 3 steps" in capsys.readouterr().out
    assert np.array_equal(RunIndex.read(out).steps, index.steps)
    assert main(["none", "--cache-dir", str(tmp_path), "--out", str(out)]) == 2
    assert "no piece to train on" in capsys.readouterr().err


@pytest.mark.skipif(not SHIPPED.is_file(), reason="this copy has no index of training pieces")
def test_what_ships_is_whole_and_small() -> None:
    index = shipped_index()
    assert index is not None
    assert SHIPPED.stat().st_size < 4_000_000
    assert index.pieces == index.about["pieces"] > 400
    assert len(index.about["corpus_sha256"]) == 64
    json.dumps(dict(index.about))
    # The commonest cadence of all stands in it, a row of random clusters does not.
    cadence = [(48, 60, 64, 67), (43, 59, 62, 67), (48, 60, 64, 67)]
    assert index.longest_run(score_of(cadence)) == 3
    rng = np.random.default_rng(0)
    noise = [tuple(sorted(set(rng.integers(40, 90, 7).tolist()))) for _ in range(12)]
    assert index.longest_run(score_of(noise)) <= 2
