"""Training the performer: a few steps give weights that play, a kill changes nothing, nor do two processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from music.errors import RitornelloError
from music.performance_corpus import prepare_performances, read_performance_manifest
from performer.corpus import load_examples
from performer.data import Batches, CropConfig, chances_of, sheets_of
from performer.sampling import LearnedPerformer
from performer.train import constant_columns, train
from tests.contract_performer import check, make, tune
from tests.performance_files import write_match
from training.weights import load_weights

ROOT = Path(__file__).parent.parent
QUIET = {"accelerator": "cpu", "enable_progress_bar": False}
SMALL = {"kind": "lstm", "note_units": 8, "units": 12, "layers": 1, "bar_units": 6, "noise_units": 8, "dropout": 0.1}


def config(out: Path, cache: Path, *, steps: int = 4, **how: Any) -> Any:
    """Of `performer.train.train`."""
    return {
        "data": {"name": "performances", "licence": "CC0-1.0"},
        "cache_dir": str(cache),
        "out": str(out),
        "seed": 3,
        "trainer": {**QUIET, "devices": 1, **how.get("trainer", {})},
        "task": {
            "name": "train_performer",
            "resume": True,
            "run": {"max_steps": steps, "epoch_steps": 4, "gradient_clip": 1.0},
            "network": {**SMALL, **how.get("network", {})},
            "optimiser": {"rate": 0.01, "weight_decay": 0.01, "warmup": 1, "decay": 0},
            "members": how.get("members", [{}]),
            "crops": {"batch": 4, "onsets": 16, "hide_groups": {"rules": 0.2, "written": 0.2}},
        },
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of small performances, some in each split."""
    folder = tmp_path_factory.mktemp("performances")
    for number in range(14):
        write_match(folder / f"piece{number}.match", 30 + 3 * (number % 4), pause=0.3 * (number % 3))
    cache = folder / "cache"
    prepare_performances("performances", path=folder, cache_dir=cache, workers=1, progress=False)
    entries = read_performance_manifest("performances", cache_dir=cache).entries
    assert {e.split for e in entries} >= {"train", "valid"}
    return cache


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, dict[str, Any]]:
    """Weights after four steps, and the figures."""
    found = train(config(tmp_path_factory.mktemp("trained"), cache))
    return Path(found["weights"]), found


def test_weights_say_what_they_are(trained: tuple[Path, dict[str, Any]]) -> None:
    tensors, about = load_weights(trained[0])
    assert (about["licence"], about["seed"]) == ("CC0-1.0", 3)
    assert about["trained_on"]["data"] == "performances"
    assert about["trained_on"]["performances"] == trained[1]["train_performances"]
    own = [v for name, v in tensors.items() if not name.startswith("levels.")]
    assert sum(v.numel() for v in own) == trained[1]["parameters"]
    assert {v.dtype for v in own} == {torch.float16}
    assert len(tensors["levels.weight"]) == len(tensors["levels.mean"])
    assert "onsets.tempo_known" in about["constant"]
    assert "onsets.position_in_bar" not in about["constant"]
    assert not any(name.endswith(".velocity") for name in about["constant"])


def test_what_was_trained_plays(trained: tuple[Path, dict[str, Any]]) -> None:
    performer, score = LearnedPerformer(trained[0]), make(tune(16), bars=16)
    played = performer.perform(score, seed=1)
    check(score, played)
    assert played == LearnedPerformer(trained[0]).perform(score, seed=1)
    assert played != performer.perform(score, seed=2)


def test_examples_come_from_the_cache_as_they_went_in(cache: Path) -> None:
    first, _ = load_examples("performances", "train", cache_dir=cache, progress=False)
    again, dropped = load_examples("performances", "train", cache_dir=cache, progress=False)
    assert not dropped
    assert [e.id for e in first] == [e.id for e in again]
    for one, other in zip(first, again, strict=True):
        assert one.features.note_ids == other.features.note_ids
        assert np.array_equal(one.features.notes, other.features.notes)
        assert np.array_equal(one.targets.velocity, other.targets.velocity)
        assert np.array_equal(one.targets.levels, other.targets.levels, equal_nan=True)


def test_a_damaged_cache_is_made_anew(cache: Path) -> None:
    first, _ = load_examples("performances", "valid", cache_dir=cache, progress=False)
    for path in (cache / "examples").rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:200])
    again, dropped = load_examples("performances", "valid", cache_dir=cache, progress=False)
    assert not dropped
    assert np.array_equal(first[0].targets.tempo, again[0].targets.tempo)


def test_batches_are_a_function_of_their_place(cache: Path) -> None:
    examples, _ = load_examples("performances", "train", cache_dir=cache, progress=False)
    sheets, chances = sheets_of(examples, ()), chances_of(examples, 0.5)
    assert chances.sum() == pytest.approx(1)
    how: dict[str, Any] = {"groups": {}, "seed": 1, "count": 3}
    drawn = Batches(sheets, chances, CropConfig(batch=4, onsets=16), epoch=2, **how)
    same = Batches(sheets, chances, CropConfig(batch=4, onsets=16), epoch=2, **how)
    assert torch.equal(drawn.batch(1).score.notes, same.batch(1).score.notes)
    other = drawn.batch(2).score.notes
    assert other.shape != drawn.batch(1).score.notes.shape or not torch.equal(other, drawn.batch(1).score.notes)
    halves = [Batches(sheets, chances, CropConfig(batch=4, onsets=16), epoch=2, rank=r, world=2, **how) for r in (0, 1)]
    whole = drawn.batch(0)
    for rank, half in enumerate(halves):
        own = half.batch(0)
        longest = own.targets.tempo.shape[1]
        assert torch.equal(own.score.lengths, whole.score.lengths[rank::2])
        assert torch.equal(own.targets.tempo, whole.targets.tempo[rank::2, :longest])


def test_constant_columns_are_found(cache: Path) -> None:
    examples, _ = load_examples("performances", "train", cache_dir=cache, progress=False)
    names = constant_columns(examples)
    assert "notes.pitch" not in names
    assert "onsets.level_known" in names


def states(out: Path) -> dict[str, torch.Tensor]:
    """Weights of the last checkpoint."""
    return torch.load(out / "0" / "last.ckpt", weights_only=True, map_location="cpu")["state_dict"]


def worker(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of its own; a script, since ddp starts it again by its name."""
    script = Path(str(arguments[0])).with_suffix(".py")
    head = "import sys; from pathlib import Path; import torch; torch.set_num_threads(1)\n"
    head += "from performer.train import train\nfrom tests.test_performer_training import config\n"
    script.write_text(f"{head}out, cache = map(Path, sys.argv[1:3])\n{code}\n", encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.timeout(240)
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path, cache: Path) -> None:
    steps, broken = 24, tmp_path / "broken"
    train(config(tmp_path / "unbroken", cache, steps=steps))
    process = worker("train(config(out, cache, steps=100_000))", broken, cache)
    while not (broken / "0" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    seen = torch.load(broken / "0" / "last.ckpt", weights_only=True)["global_step"]
    if seen >= steps:
        pytest.skip(f"the machine was too fast: {seen} steps were done before the kill")
    train(config(broken, cache, steps=steps))
    wanted = states(tmp_path / "unbroken")
    assert all(torch.equal(value, wanted[name]) for name, value in states(broken).items())


@pytest.mark.timeout(240)
def test_two_processes_reach_the_weights_of_one(tmp_path: Path, cache: Path) -> None:
    plain = {"dropout": 0.0}
    train(config(tmp_path / "one", cache, steps=8, network=plain))
    code = "train(config(out, cache, steps=8, network={'dropout': 0.0}, trainer={'devices': 2, 'strategy': 'ddp'}))"
    process = worker(code, tmp_path / "two", cache)
    _, error = process.communicate(timeout=200)
    assert process.returncode == 0, error[-2000:]
    assert torch.load(tmp_path / "two" / "0" / "last.ckpt", weights_only=True)["global_step"] == 8
    wanted, found = states(tmp_path / "one"), states(tmp_path / "two")
    assert max(float((found[name] - value).abs().max()) for name, value in wanted.items()) < 1e-3


def test_several_networks_in_one_file(tmp_path: Path, cache: Path) -> None:
    members = [{}, {"network": {"kind": "conv", "units": 8}}]
    found = train(config(tmp_path, cache, members=members))
    performer = LearnedPerformer(Path(found["weights"]))
    assert [n.config.kind for n in performer.networks] == ["lstm", "conv"]
    score = make(tune(8), bars=8)
    prepared = performer.prepare(score)
    assert len(prepared.readings) == 2
    check(score, performer.perform(score, seed=0))


def test_a_set_that_is_not_prepared(tmp_path: Path) -> None:
    with pytest.raises(RitornelloError, match="task=prepare"):
        train(config(tmp_path / "out", tmp_path / "nowhere"))
