"""The evaluation of performers, by performers of which the figures are known; and the linear baseline."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from music.errors import RequestError, ScoreError
from music.paired import PairedPerformance
from music.performance import Performance
from music.plan import Plan
from music.score import Score
from performer.evaluate import Told, evaluate, make_performers, rounded, table
from performer.evaluate_figures import measure, play
from performer.evaluate_pieces import Piece, chosen, pieces_of
from performer.interface import Performer
from performer.linear import LINEAR_COLUMNS, LinearPerformer, fit_linear, linear_columns, shipped_linear
from tests.contract_performer import PerformerContract, make, tune
from tests.performed import WAVES, Waves, line, perform


@dataclass(frozen=True)
class Entry:
    composition: str
    composer: str
    pianist: str
    style: str = "piano"


def renamed(pair: PairedPerformance) -> PairedPerformance:
    """The same with other ids, as another edition has them."""
    score = replace(pair.score, notes=tuple(replace(n, id=f"x{n.id}") for n in pair.score.notes))
    played = Performance(tuple(replace(n, note_id=f"x{n.note_id}") for n in pair.performance.notes))
    return PairedPerformance(score, played)


def pairs(pianists: int = 2) -> list[tuple[Entry, PairedPerformance]]:
    """Three compositions by two composers; pianists play A, or 0.6 A + 0.8 B, so their r is 0.6 or 1."""
    score, found = line(), []
    for composition, composer in (("Bach/1", "bach"), ("Bach/2", "bach"), ("Mozart/1", "mozart")):
        for i in range(pianists):
            waves = Waves((10.0, 0.0), (0.1, 0.0)) if i % 2 == 0 else Waves((6.0, 8.0), (0.06, 0.08))
            pair = PairedPerformance(score, waves.perform(score, seed=0))
            found.append((Entry(composition, composer, f"p{i}"), renamed(pair) if i else pair))
    return found


def performers() -> dict[str, Performer]:
    """The baselines go with A by 0.8 and with 0.6 A + 0.8 B by 0; `good` is A with noise that its mean loses."""
    flat, poor = Waves(), Waves((8.0, -6.0), (0.08, -0.06))
    return {"flat": flat, "rules": poor, "linear": poor, "good": Waves((10.0, 0.0), (0.1, 0.0), noise=10.0)}


def test_scores_with_the_same_notes_are_one_piece() -> None:
    rows = pairs()
    shorter = line(4)
    rows.append((Entry("Bach/1", "bach", "p9"), PairedPerformance(shorter, perform(shorter))))
    found = pieces_of(rows)
    assert [(p.composition, p.edition, len(p.played)) for p in found] == [
        ("Bach/1", 0, 2),
        ("Bach/1", 1, 1),
        ("Bach/2", 0, 2),
        ("Mozart/1", 0, 2),
    ]
    assert found[0].pianists == ("p0", "p1")
    assert found[0].played[1].velocity[:2].tolist() == [78, 66]
    assert {e.composition for e, _ in chosen(rows, 2)} == {"Bach/1", "Bach/2"}
    assert [e.composition for e, _ in chosen(iter(rows), ["Mozart/1"])] == ["Mozart/1"] * 2
    assert list(chosen(rows, None)) == rows
    assert len(list(chosen(rows, 99))) == 7


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return measure(pieces_of(pairs()), performers(), samples=4, draws=50, progress=False)


def test_pianists_among_themselves(figures: dict[str, Any]) -> None:
    human = figures["human"]
    assert (human["compositions"], human["groups"], human["pairs"], human["performances"]) == (3, 3, 3, 6)
    assert human["r"]["velocity"] == pytest.approx(0.6, abs=1e-6)
    assert human["mean_of_many"] == {}
    assert 0.0 <= human["all_within"] <= 1.0


def test_r_and_skill_of_known_performers(figures: dict[str, Any]) -> None:
    rows = figures["performers"]
    assert rows["flat"]["one"]["velocity"] == rows["flat"]["mean"]["log_beat_period"] == 0.0
    assert rows["linear"]["mean"]["velocity"] == pytest.approx(0.4, abs=1e-6)
    good = rows["good"]
    assert good["one"]["velocity"] == pytest.approx((1 + 0.6) / 2 / 2**0.5, abs=1e-6)
    assert good["mean"]["velocity"] == pytest.approx((1 + 0.6) / 2, abs=1e-6)
    assert good["skill"]["velocity"]["skill"] == pytest.approx((0.8 - 0.4) / (0.6 - 0.4), abs=1e-5)
    a, b, c = WAVES[0], 0.6 * WAVES[0] + 0.8 * WAVES[1], 0.8 * WAVES[0] - 0.6 * WAVES[1]
    human, ours, floor = (sum(_r(x, y) for y in (a, b)) / 2 for x in (b, a, c))
    human = 2 * human - 1.0  # not with oneself
    assert good["skill"]["log_beat_period"]["skill"] == pytest.approx((ours - floor) / (human - floor), abs=1e-4)
    assert good["skill"]["log_beat_period"]["floor"] == "rules"


def _r(a: np.ndarray, b: np.ndarray) -> float:
    """Of what has a successor: 31 values of the 32."""
    return float(np.corrcoef(a[:31], b[:31])[0, 1])


def test_samples_and_faults_are_counted(figures: dict[str, Any]) -> None:
    rows = figures["performers"]
    assert rows["flat"]["faultless"] == "3 of 3"  # it plays the same each time
    assert rows["good"]["faultless"] == "12 of 12"
    assert rows["flat"]["two_samples"] == {}
    assert rows["good"]["two_samples"]["velocity"] > 0
    assert rows["good"]["speed"]["seconds"] > 0
    assert rows["good"]["spread"]["share_within"]["velocity"] in (0.0, 1.0)
    assert set(rows["good"]["habit_points"]) == {"end_slows", "phrases_soften", "melody_leads"}


def test_the_mean_of_many_pianists_is_a_target() -> None:
    found = measure(pieces_of(pairs(6)), performers(), samples=2, draws=20, progress=False)
    many = found["human"]["mean_of_many"]
    assert set(many) == {"Mozart/1"}  # Bach is neither classical nor romantic
    # The mean of A and 0.6 A + 0.8 B goes with each of them by the root of 0.8.
    target = found["performers"]["good"]["mean_of_many"]["Mozart/1"]["mean"]
    assert target["velocity"] == pytest.approx(0.8**0.5, abs=1e-6)
    lines = list(table(found))
    assert any("with the mean of many pianists: velocity" in line for line in lines)


def test_a_second_take_is_no_second_pianist() -> None:
    rows = pairs()
    rows.append((replace(rows[0][0]), rows[0][1]))  # p0 once more
    piece = pieces_of(rows)[0]
    assert piece.pianists == ("p0", "p1", "p0")
    assert len(piece.pairs) == 2
    assert [len(piece.others(i)) for i in range(3)] == [1, 2, 1]
    alone = [(Entry("Bach/1", "bach", "p0"), rows[0][1])] * 2
    with pytest.raises(ValueError, match="two pianists"):
        measure(pieces_of(alone), performers(), progress=False)


def test_one_pianist_is_not_enough() -> None:
    with pytest.raises(ValueError, match="two pianists"):
        measure(pieces_of(pairs(1)), performers(), progress=False)


def test_the_task_prints_tables_and_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def load(name: str, split: str, *, cache_dir: Path) -> Iterator[tuple[Entry, PairedPerformance]]:
        assert (name, split) == ("nasap", "valid")
        return iter(pairs())

    monkeypatch.setitem(sys.modules, "music.performance_corpus", SimpleNamespace(load_performances=load))
    task = {"split": "valid", "performers": ["rules"], "compositions": 2, "samples": 2, "draws": 20, "progress": False}
    cfg = {
        "data": {"name": "nasap"},
        "cache_dir": str(tmp_path),
        "seed": 0,
        "out": str(tmp_path / "f.json"),
        "task": task,
    }
    text = evaluate(cfg)
    last = json.loads(text.splitlines()[-1])
    assert set(last["performers"]) == {"flat", "rules", "linear"}
    assert last["human"]["compositions"] == 2
    assert json.loads((tmp_path / "f.json").read_text()) == last
    with pytest.raises(RequestError, match="'organist' is none of"):
        evaluate(cfg | {"task": task | {"performers": ["organist"]}})
    with pytest.raises(RequestError, match="two pianists"):
        evaluate(cfg | {"task": task | {"compositions": ["Bach/9"]}})


def test_figures_are_plain_json() -> None:
    assert rounded({"a": (1.23456, float("nan")), "b": "x"}) == {"a": [1.2346, None], "b": "x"}
    assert list(make_performers([], weights=None)) == ["flat", "rules", "linear"]


class Learned:
    """As a learned performer: with styles that it knows, and several samples at once."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(styles=("piano",))
        self.style: str | None = None

    def perform(self, score: Score, *, seed: int, plan: Plan | None = None) -> Performance:
        return self.performances(score, seeds=[seed])[0]

    def performances(self, score: Score, *, seeds: Sequence[int], plan: Plan | None = None) -> list[Performance]:
        loud = 10.0 if self.style == "piano" else 0.0
        return [Waves((loud, 0.0)).perform(score, seed=seed) for seed in seeds]


def test_a_learned_performer_is_told_the_style() -> None:
    learned = Learned()
    piece = pieces_of(pairs())[0]
    assert len(play(Told(learned), piece, samples=3, seed=0).played) == 3
    assert play(Told(learned), piece, samples=1, seed=0).played[0].velocity.std() == pytest.approx(10.0)
    assert play(learned, piece, samples=2, seed=0).played[0].velocity.std() == 0.0  # not told
    assert (
        play(Told(learned).in_style("jazz"), replace(piece, style="jazz"), samples=1, seed=0).faults[0]["missing"] == 0
    )
    assert learned.style is None


class TestLinearPerformer(PerformerContract):
    def performer(self) -> Performer:
        return LinearPerformer()

    def test_same_seed_same_performance(self) -> None:
        score = make(tune(), bars=8)
        assert self.performer().perform(score, seed=3) == self.performer().perform(score, seed=4)


def test_linear_columns_say_what_they_mean() -> None:
    score = make([(0, 2, 48), (0, 1, 72), (1, 0.5, 74), (1.5, 0.5, 76)], bars=1)
    rows = dict(zip(LINEAR_COLUMNS, linear_columns(score).T.tolist(), strict=True))
    assert rows["pitch"] == [48, 72, 74, 76]
    assert rows["length"] == [1, 0, -1, -1]
    assert rows["until_next"] == [0, 0, -1, -1]
    assert rows["chord"] == [1, 1, 0, 0]
    assert rows["bass"] == [1, 0, 1, 1]
    assert rows["melody"] == [0, 1, 1, 1]
    assert rows["strength"][0] == 1.0
    assert rows["density"][0] == pytest.approx(np.log2(3))
    with pytest.raises(ScoreError):
        linear_columns(make([], bars=1))


def test_the_regression_finds_what_was_played() -> None:
    score = make(tune(16), bars=16)
    rows = linear_columns(score)
    weights = dict.fromkeys(LINEAR_COLUMNS, 0.0) | {"pitch": 0.5, "strength": 8.0}
    level = rows @ np.array(list(weights.values()))
    velocity = 64 + (level - level.mean())

    def played(score: Score) -> Iterator[tuple[str, Score, Performance]]:
        yield "a", score, perform(score, velocity)
        yield "a", score, perform(score)  # does not vary, so tells nothing

    found = tuple(fit_linear(played(score)).values())
    again = LinearPerformer(found).perform(score, seed=0)
    loud = {n.note_id: n.velocity for n in again.notes}
    assert np.corrcoef([loud[n.id] for n in score.notes], velocity)[0, 1] > 0.995
    with pytest.raises(ScoreError, match="varies"):
        fit_linear([])


def test_what_ships_is_fitted_on_training_pieces() -> None:
    assert tuple(shipped_linear()) == LINEAR_COLUMNS
    assert shipped_linear()["melody"] > 0.1


def test_waves_do_not_go_with_one_another() -> None:
    assert np.allclose(WAVES @ WAVES.T, 32 * np.eye(3))
    assert isinstance(pieces_of(pairs())[0], Piece)
