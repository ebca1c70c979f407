"""The performer's training is followed as the others' are: each network by its number, with samples."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from music.performance_corpus import prepare_performances
from music.plan import Plan
from performer.sampling import LearnedPerformer
from performer.train import train
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from render.sample import write_sample
from tests.contract_performer import make, tune
from tests.performance_files import write_match
from tests.test_performer_training import config
from training.samples import Rooms
from training.tracking import track

FIGURES = ("train/loss", "train/tempo", "train/velocity", "train/gradient_norm", "train/skipped", "valid/unlike")


class Fixed:
    """A composer who always writes the same."""

    def compose(self, plan: Plan, *, seed: int) -> Any:
        """Eight bars of a tune."""
        return make(tune(8), bars=8)


def build(settings: dict[str, Any], layer: str) -> Any:
    """The learned performer, and others that cost nothing."""
    if layer == "performer":
        return LearnedPerformer(Path(settings["performer"]["weights"]))
    return {"planner": GrammarPlanner, "composer": Fixed}[layer]()


def short_plan(planner: Any, settings: dict[str, Any], *, seed: int) -> Plan:
    """Eight bars."""
    return planner.plan(PlanRequest("A8"), seed=seed)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of small performances."""
    folder = tmp_path_factory.mktemp("played")
    for number in range(14):
        write_match(folder / f"piece{number}.match", 30 + 3 * (number % 4), pause=0.3 * (number % 3))
    prepare_performances("performances", path=folder, cache_dir=folder / "cache", workers=1, progress=False)
    return folder / "cache"


def test_two_networks_and_their_samples(tmp_path: Path, prepared: Path) -> None:
    settings = config(tmp_path, prepared, members=[{}, {}])
    settings["logger"] = {"kind": "csv", "project": "ritornello", "samples_every": 1}
    settings["performer"] = {"_target_": "performer.rules.RulePerformer"}
    value = track(train, settings, Rooms(build, short_plan, write_sample, lambda figures: None))
    with (tmp_path / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number in (0, 1):
        folder = tmp_path / "samples" / f"member-{number}-step-000004"
        assert {"piece.ogg", "performance.mid", "roll.png"} <= {path.name for path in folder.iterdir()}
        for name in (*FIGURES, "sample/velocity_spread", "sample/faults"):
            assert any(row[f"{number}/{name}"] for row in rows), name
        assert {row[f"{number}/sample/faults"] for row in rows} == {"", "0.0"}
    about = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert about["corpus"]["data"] == "performances"
    assert len(about["corpus"]["digest"]) == 64
    members = [member["valid_unlike"] for member in about["figures"]["members"]]
    assert value == pytest.approx(sum(members) / 2)
    plain = tmp_path / "plain"
    train(config(plain, prepared, members=[{}, {}]))
    for number in (0, 1):
        ours, other = (torch.load(p / str(number) / "last.ckpt", weights_only=True) for p in (tmp_path, plain))
        assert all(torch.equal(tensor, other["state_dict"][name]) for name, tensor in ours["state_dict"].items())
