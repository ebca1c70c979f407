"""The learned performer: the performers' contract, expression, what is written, weights that fit."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch

from music.errors import RequestError, WeightsError
from music.score import Direction, Score, TempoChange
from performer.batch import collate, sheet_of
from performer.codec import encode
from performer.examples import LEVELS
from performer.features import NOTE_COLUMNS, ONSET_COLUMNS, score_features
from performer.network_config import PerformerConfig
from performer.performer_network import PerformerNetwork
from performer.sampling import DEFAULT_WEIGHTS, KIND, LearnedPerformer
from tests.contract_performer import PerformerContract, check, make, plan_for, tune
from training.weights import load_weights, save_weights

Q = 10080
SMALL = {"note_units": 8, "units": 8, "layers": 1, "bar_units": 4, "noise_units": 8}
# What a pianist's levels are about, for networks that have learned nothing.
USUAL = {"log2_period": -0.7, "log2_period_sd": -1.5, "velocity": 0.5, "velocity_sd": -3.2, "articulation": -0.5}
USUAL |= {"articulation_sd": 0.0, "timing_sd": -6.2, "pedal_share": 0.5}


def write_weights(path: Path, **about: Any) -> Path:
    """Weights of two small networks with random numbers."""
    torch.manual_seed(1)
    networks, tensors = [], {}
    for number in range(2):
        network = PerformerNetwork(PerformerConfig.of(NOTE_COLUMNS, ONSET_COLUMNS, ("chopin_piano",), **SMALL))
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        networks.append(network.config.to_dict())
        tensors |= {f"{number}.{k}": v.half() for k, v in network.state_dict().items()}
    save_weights(path, tensors | levels_alike(), {"kind": KIND, "networks": networks, **about})
    return path


def levels_alike() -> dict[str, torch.Tensor]:
    """A regression that tells the same levels of every score."""
    told, columns = len(LEVELS) + 1, 2 * len(ONSET_COLUMNS)
    bias = torch.tensor([USUAL[name] for name in LEVELS] + [0.9])
    found = {"weight": torch.zeros(columns, told), "mean": torch.zeros(columns), "scale": torch.zeros(columns)}
    found |= {"bias": bias, "spread": torch.full((told,), 0.1), "year_weight": torch.zeros(columns)}
    found |= {"year_bias": torch.tensor([1800.0]), "by_year": torch.full((told,), 0.001)}
    return {f"levels.{name}": value for name, value in found.items()}


@cache
def performer(expression: float = 1.0) -> LearnedPerformer:
    """One with random weights."""
    return LearnedPerformer(write_weights(Path(mkdtemp()) / "random.safetensors"), expression=expression)


class TestContract(PerformerContract):
    def performer(self) -> LearnedPerformer:
        return performer()


@pytest.mark.skipif(not DEFAULT_WEIGHTS.exists(), reason=f"{DEFAULT_WEIGHTS.name} is missing: task=train_performer")
class TestShippedContract(PerformerContract):
    def performer(self) -> LearnedPerformer:
        return shipped()


@cache
def shipped() -> LearnedPerformer:
    """The weights that ship."""
    return LearnedPerformer()


def columns(score: Score, played: Any) -> tuple[np.ndarray, np.ndarray]:
    """log2 beat period by onset and velocity by note."""
    parameters = encode(score, played)
    place = np.unique([n.onset_div for n in score.notes], return_inverse=True)[1]
    order = sorted(range(len(score.notes)), key=lambda i: (score.notes[i].onset_div, score.notes[i].pitch))
    first = np.unique(place[order], return_index=True)[1]
    return np.log2(parameters.beat_period[first]), parameters.velocity


def test_no_expression_is_flat() -> None:
    score = make(tune(16), bars=16)
    period, velocity = columns(score, performer(0.0).perform(score, seed=1))
    assert period[:-1].std() < 1e-3
    assert velocity.std() == 0
    assert not performer(0.0).perform(score, seed=1).pedals
    assert 2 ** period[0] == pytest.approx(0.6, rel=1e-3)


def test_more_expression_spreads_more() -> None:
    score = make(tune(16), bars=16)
    spreads = [[c.std() for c in columns(score, performer(e).perform(score, seed=1))] for e in (0.5, 1.0, 1.5)]
    assert spreads[0][0] < spreads[1][0] < spreads[2][0]
    assert spreads[0][1] < spreads[1][1] < spreads[2][1]


def test_a_written_tempo_is_kept() -> None:
    for qpm in (50.0, 140.0):
        score = make(tune(16), bars=16, tempos=(TempoChange(0, qpm),))
        period, _ = columns(score, performer().perform(score, seed=1))
        assert 60 / 2 ** np.median(period) == pytest.approx(qpm, rel=0.1)


def test_written_dynamics_are_heard() -> None:
    signs = (Direction(0, "dynamic", "p"), Direction(32 * Q, "dynamic", "f"))
    score = make(tune(16), bars=16, directions=signs)
    for seed in range(4):
        loud = {n.note_id: n.velocity for n in performer().perform(score, seed=seed).notes}
        where = {n.id: n.onset_div for n in score.notes}
        soft = np.mean([v for k, v in loud.items() if where[k] < 32 * Q])
        strong = np.mean([v for k, v in loud.items() if where[k] >= 32 * Q])
        assert strong > soft + 15


def test_samples_are_those_of_their_seeds() -> None:
    score = make(tune(8), bars=8)
    both = performer().performances(score, seeds=[3, 4])
    assert both[1] == performer().perform(score, seed=4)
    assert both[0] != both[1]


def test_the_spread_is_a_pianists() -> None:
    score = make(tune(24), bars=24)
    period, velocity = columns(score, performer().perform(score, seed=0))
    assert 0.1 < period.std() < 1.0
    assert 5 < velocity.std() < 25


def test_a_plan_is_told() -> None:
    score = make(tune(16), bars=16)
    assert performer().perform(score, seed=0, plan=plan_for(16)) != performer().perform(score, seed=0)


def test_columns_without_meaning_are_concealed(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "deaf.safetensors", constant=["notes.pitch", "onsets.level"])
    score = make(tune(8), bars=8)
    sheet = LearnedPerformer(path)._seen(sheet_of(score_features(score), 0))
    assert not sheet.notes[:, NOTE_COLUMNS.index("pitch")].any()
    assert not sheet.onsets[:, ONSET_COLUMNS.index("level")].any()
    assert sheet.notes[:, NOTE_COLUMNS.index("melody")].any()
    assert collate([sheet]).notes.shape[1] == len(NOTE_COLUMNS)


def test_chords_without_a_learned_spread_have_a_fixed_one(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "plain.safetensors", chord_spread=False)
    rows = [(float(i), 1.0, p) for i in range(60) for p in (48, 55, 64, 72)]
    score = make(rows, bars=15)
    played = LearnedPerformer(path).perform(score, seed=0)
    check(score, played)
    times = {n.note_id: n.onset_sec for n in played.notes}
    apart = [np.std([times[f"n{4 * i + k}"] for k in range(4)]) for i in range(60)]
    lead = np.mean([np.mean([times[f"n{4 * i + k}"] for k in range(3)]) - times[f"n{4 * i + 3}"] for i in range(60)])
    assert 0.006 < np.mean(apart) < 0.02
    assert 0.01 < lead < 0.03


def test_a_composer_who_was_never_heard_has_his_time(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "timed.safetensors")
    score = make(tune(8), bars=8)
    early, late = (LearnedPerformer(path, style=s).prepare(score) for s in ("mozart_piano", "scriabin_piano"))
    assert late.levels - early.levels == pytest.approx(np.full(len(LEVELS), 0.001 * (1872 - 1756)), abs=1e-5)
    assert LearnedPerformer(path, style="chopin_piano").prepare(score).sheet.style.item() == 1
    assert early.sheet.style.item() == late.sheet.style.item() == 0


def test_weights_without_levels_are_refused(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "x.safetensors")
    tensors, about = load_weights(path)
    kept = {name: value for name, value in tensors.items() if not name.startswith("levels.")}
    save_weights(path, kept, {k: v for k, v in about.items() if k not in ("format", "sha256")})
    with pytest.raises(WeightsError, match="no regression of levels"):
        LearnedPerformer(path)


class TestErrors:
    def test_missing_weights_name_their_key(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="performer_weights=FILE"):
            LearnedPerformer(tmp_path / "nowhere.safetensors")

    def test_another_layers_weights(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="is not of a performer"):
            LearnedPerformer(write_weights(tmp_path / "x.safetensors", kind="planner/streams"))

    def test_weights_of_other_features(self, tmp_path: Path) -> None:
        path = write_weights(tmp_path / "x.safetensors")
        about = json.loads(path.with_suffix(".json").read_text())
        about["networks"][0]["note_columns"][0] = "colour"
        path.with_suffix(".json").write_text(json.dumps(about))
        with pytest.raises(WeightsError, match="other features"):
            LearnedPerformer(path)

    @pytest.mark.parametrize("how", [{"expression": 2.0}, {"expression": -0.1}, {"departure": 3.0}, {"style": "jazz"}])
    def test_what_cannot_be(self, tmp_path: Path, how: dict[str, Any]) -> None:
        with pytest.raises(RequestError):
            LearnedPerformer(write_weights(tmp_path / "x.safetensors"), **how)
