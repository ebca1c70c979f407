"""Training the planner: a few steps give weights that plan, a kill changes nothing, nor do two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from music.analysis.marked_plan import PARTS, MarkedPlan, Origin, read_plans
from music.errors import PlanError, RequestError
from music.time import Meter
from planner.corpus import STREAMS, known_styles, load_plans, walks_of
from planner.data import Batches, WalkConfig, concealed, stretch, walk_chances
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from planner.likelihood import token_nats
from planner.sampling import LearnedPlanner
from planner.train import train
from tests.planner_toy import toy_walk
from training.weights import load_weights

ROOT = Path(__file__).parent.parent
QUIET = {"accelerator": "cpu", "enable_progress_bar": False}
FORMS = ("ABA", "AABA", "AB", "rondo")
MISSING = (frozenset(), frozenset({"chords", "themes"}), frozenset({"tempo", "dynamics"}), frozenset({"textures"}))
SMALL = {"embedding": 16, "units": 24, "layers": 1, "dropout": 0.1, "kind": "lstm"}


def corpus(train_plans: int = 9, valid_plans: int = 3) -> list[MarkedPlan]:
    """Plans of the grammar in two styles, some without some of their parts; valid ones are like the others."""
    found = []
    for number in range(train_plans + valid_plans):
        split = "train" if number < train_plans else "valid"
        style = ("mozart_piano", "haydn_piano")[number % 2]
        request = PlanRequest(FORMS[number % 4], meter=Meter(4, 4), style=style, bars=20)
        plan = GrammarPlanner().plan(request, seed=number % 4)
        plan = replace(plan, sections=tuple(replace(s, textures=()) for s in plan.sections))  # none of them is learned
        missing = MISSING[number % 4]
        assert missing <= set(PARTS)
        origin = Origin(id=f"p{number}", work=f"w{number}", split=split, licence="CC0-1.0")
        found.append(MarkedPlan(plan, frozenset({"sections"}), origin, missing))
    return found


def write(path: Path, plans: list[MarkedPlan]) -> Path:
    """A file of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(m.to_json()) + "\n" for m in plans), encoding="utf-8")
    return path


def config(out: Path, plans: Path, *, steps: int = 4, streams: tuple[str, ...] = tuple(STREAMS), **how: Any) -> Any:
    """Of `planner.train.train`."""
    return {
        "data": {"name": "plans", "of": "composer", "file": str(plans), "licence": "CC0-1.0"},
        "cache_dir": str(out / "cache"),
        "out": str(out),
        "seed": 3,
        "trainer": {**QUIET, "devices": 1, **how.get("trainer", {})},
        "task": {
            "resume": how.get("resume", True),
            "run": {"max_steps": steps, "epoch_steps": 4, "gradient_clip": 1.0},
            "network": {**SMALL, **how.get("network", {})},
            "optimiser": {"rate": how.get("rate", 0.01), "weight_decay": 0.01, "warmup": 1, "decay": 0},
            "walks": {"batch": 8, "longest": 64, "hide": 0.05, "balance": 0.5},
            "streams": {name: {} for name in streams},
        },
    }


@pytest.fixture(scope="module", autouse=True)
def read_once() -> Iterator[None]:
    """Every file is read once: under the run-time type checks that takes longer than to train on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.corpus.read_plans", cache(read_plans))
        yield


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("plans") / "plans.jsonl", corpus())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, plans: Path) -> tuple[Path, dict[str, Any]]:
    """All streams after four steps, the harmony with a wider network: its weights and its figures."""
    out = tmp_path_factory.mktemp("trained")
    asked = config(out, plans)
    asked["task"]["streams"]["harmony"] = {"network": {"units": 32}}
    asked["task"]["calibration"] = {"rounds": 1, "sections": 10, "pairs": 30, "least": 3, "least_chorded": 3}
    found = train(asked)
    return Path(found["weights"]), found


def test_all_streams_are_trained_and_described(trained: tuple[Path, dict[str, Any]], plans: Path) -> None:
    path, figures = trained
    marked, digest = load_plans({"file": str(plans)}, Path())
    tensors, about = load_weights(path)
    assert (about["kind"], about["licence"], about["seed"]) == ("planner/streams", "CC0-1.0", 3)
    assert about["trained_on"] == {"plans": 9, "digest": digest}
    assert about["styles"] == ["haydn_piano", "mozart_piano"] == list(known_styles(marked))
    assert about["figures"] == {name: figures[name] for name in STREAMS}
    assert {name: net["units"] for name, net in about["streams"].items()} == {"form": 24, "harmony": 32, "theme": 24}
    for name in STREAMS:
        own = {key: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        assert sum(value.numel() for value in own.values()) == figures[name]["parameters"]
        assert {value.dtype for value in own.values()} == {torch.float16}
        assert any(key.startswith(f"tables.{name}.") for key in tensors)
        walks = walks_of(name, marked, about["styles"], every=True)
        learned = [walk.tokens for walk in walks if walk.split == "train"]
        assert figures[name]["train_walks"] == len(learned)
        assert figures[name]["train_tokens"] == sum(len(tokens) for tokens in learned)
        assert figures[name]["steps"] == 4
    assert figures["form"]["train_walks"] == 36  # each told its length in four ways
    assert figures["form"]["valid_walks"] == 3
    assert figures["theme"]["train_walks"] == sum(
        len(m.plan.themes) for m in marked if m.origin.split == "train" and "themes" not in m.missing
    )


def test_it_ends_with_factors(trained: tuple[Path, dict[str, Any]]) -> None:
    tensors, about = load_weights(trained[0])
    assert about["calibration"]["sections"] == 10
    assert any(tensors[f"tables.factors.{name}"].any() for name in ("label", "prime", "bars", "key", "cadence"))
    assert len(tensors["tables.factors.pairs"]) == 3 * len(tensors["tables.factors.pair_logs"]) > 0
    planner = LearnedPlanner(trained[0])
    assert planner.form_factors is not None
    assert planner.chord_factors is not None


def test_the_figures_are_those_of_the_weights(trained: tuple[Path, dict[str, Any]], plans: Path) -> None:
    path, figures = trained
    marked, _ = load_plans({"file": str(plans)}, Path())
    for name in STREAMS:
        walks = [w.tokens for w in walks_of(name, marked, known_styles(marked)) if w.split == "valid"]
        nats = sum(n.sum() for n in token_nats(path, name, walks)) / sum(w.known.sum() for w in walks)
        assert nats == pytest.approx(figures[name]["valid_nats_per_token"], abs=3e-3)  # stored in half precision


def test_what_was_trained_plans(trained: tuple[Path, dict[str, Any]]) -> None:
    planner = LearnedPlanner(trained[0])
    request = PlanRequest("ABA", bars=24, meter=Meter(3, 4), style="mozart_piano")
    plan = planner.plan(request, seed=1)
    assert (plan.letters, plan.bars, plan.meter, plan.style) == ("ABA", 24, Meter(3, 4), "mozart_piano")
    assert all(section.chords for section in plan.sections)
    assert [theme.label for theme in plan.themes] == ["A", "B"]
    assert planner.plan(request, seed=1) == LearnedPlanner(trained[0]).plan(request, seed=1)


def test_it_learns(tmp_path: Path, plans: Path, trained: tuple[Path, dict[str, Any]]) -> None:
    """Valid plans are like the training ones: what is left to tell of a token falls to less than half."""
    late = train(config(tmp_path, plans, steps=120, streams=("harmony",)))["harmony"]
    assert late["valid_nats_per_token"] < 0.5 * trained[1]["harmony"]["valid_nats_per_token"]


def test_one_stream_alone(tmp_path: Path, plans: Path) -> None:
    found = train(config(tmp_path, plans, streams=("theme",)))
    assert set(found) == {"theme", "seconds", "weights"}
    tensors, about = load_weights(tmp_path / "planner.safetensors")
    assert list(about["streams"]) == ["theme"]
    assert {name.split(".")[0] for name in tensors} == {"theme", "tables"}
    assert not (tmp_path / "form").exists()


def test_a_transformer_is_trained_too(tmp_path: Path, plans: Path) -> None:
    asked = config(tmp_path, plans, streams=("theme",), network={"kind": "transformer", "embedding": 24})
    assert np.isfinite(train(asked)["theme"]["valid_nats_per_token"])


def states(out: Path, stream: str = "theme") -> dict[str, torch.Tensor]:
    """Weights of the last checkpoint."""
    return torch.load(out / stream / "last.ckpt", weights_only=True, map_location="cpu")["state_dict"]


def worker(code: str, *arguments: object, **how: Any) -> subprocess.Popen[str]:
    """A process of its own; a script, since ddp starts it again by its name."""
    script = Path(str(arguments[0])).with_suffix(".py")
    head = "import sys; from pathlib import Path; import torch; torch.set_num_threads(1)\n"
    head += "from planner.train import train\nfrom tests.test_planner_training import config\n"
    script.write_text(f"{head}out, plans = map(Path, sys.argv[1:3])\n{code}\n", encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        **how,
    )


@pytest.mark.timeout(240)
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path, plans: Path) -> None:
    """Killed in the second stream: the first is not trained again, the second ends as if nothing had happened."""
    steps, streams = 24, ("form", "theme")
    train(config(tmp_path / "unbroken", plans, steps=steps, streams=streams))
    broken = tmp_path / "broken"
    code = (
        "whole = config(out, plans, steps=100_000, streams=('form', 'theme'))\n"
        "whole['task']['streams']['form'] = {'run': {'max_steps': 24}}\n"
        "train(whole)"
    )
    process = worker(code, broken, plans)
    while not (broken / "theme" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    seen = torch.load(broken / "theme" / "last.ckpt", weights_only=True)["global_step"]
    if seen >= steps:
        pytest.skip(f"the machine was too fast: {seen} steps were done before the kill")
    form = (broken / "form" / "last.ckpt").stat().st_mtime_ns
    found = train(config(broken, plans, steps=steps, streams=streams))
    assert (broken / "form" / "last.ckpt").stat().st_mtime_ns == form
    for stream in streams:
        wanted = states(tmp_path / "unbroken", stream)
        assert all(torch.equal(value, wanted[name]) for name, value in states(broken, stream).items())
    unbroken = load_weights(tmp_path / "unbroken" / "planner.safetensors")
    resumed = load_weights(Path(found["weights"]))
    assert resumed[1] == unbroken[1]
    assert all(torch.equal(value, unbroken[0][name]) for name, value in resumed[0].items())


@pytest.mark.timeout(240)
def test_two_processes_reach_the_weights_of_one(tmp_path: Path, plans: Path) -> None:
    one = train(config(tmp_path / "one", plans, steps=8, streams=("theme",), network={"dropout": 0.0}))
    code = "train(config(out, plans, steps=8, streams=('theme',), network={'dropout': 0.0},\n"
    code += "             trainer={'devices': 2, 'strategy': 'ddp'}))"
    process = worker(code, tmp_path / "two", plans)
    _, error = process.communicate(timeout=200)
    assert process.returncode == 0, error[-2000:]
    wanted, found = states(tmp_path / "one"), states(tmp_path / "two")
    assert max(float((found[name] - value).abs().max()) for name, value in wanted.items()) < 1e-4
    about = json.loads((tmp_path / "two" / "planner.json").read_text(encoding="utf-8"))
    assert abs(about["figures"]["theme"]["valid_nats_per_token"] - one["theme"]["valid_nats_per_token"]) < 1e-4


class TestErrors:
    def test_no_plans(self, tmp_path: Path) -> None:
        with pytest.raises(RequestError, match=r"nowhere\.jsonl is missing: .*task=prepare"):
            train(config(tmp_path, tmp_path / "nowhere.jsonl"))
        asked = config(tmp_path, tmp_path)
        asked["data"]["file"] = None
        with pytest.raises(RequestError, match=r"cache/plans/composer/plans\.jsonl is missing: .*task=prepare"):
            train(asked)

    def test_an_unreadable_line(self, tmp_path: Path, plans: Path) -> None:
        broken = tmp_path / "broken.jsonl"
        broken.write_text(plans.read_text(encoding="utf-8")[:-100], encoding="utf-8")
        with pytest.raises(PlanError, match=r"broken\.jsonl: line 12"):
            train(config(tmp_path, broken))

    @pytest.mark.parametrize(("counts", "words"), [((1, 0), "and 0 to validate"), ((0, 2), "has 0 walks to train on")])
    def test_nothing_to_train_on_or_to_validate_with(self, tmp_path: Path, counts: tuple[int, int], words: str) -> None:
        with pytest.raises(RequestError, match=words):
            train(config(tmp_path, write(tmp_path / "few.jsonl", corpus(*counts))))

    def test_plans_without_themes(self, tmp_path: Path) -> None:
        bare = [replace(m, missing=frozenset({"themes"}), plan=_without_themes(m)) for m in corpus(4, 2)]
        with pytest.raises(RequestError, match="stream theme has 0 walks"):
            train(config(tmp_path, write(tmp_path / "bare.jsonl", bare), streams=("theme",)))

    def test_an_unknown_stream(self, tmp_path: Path, plans: Path) -> None:
        with pytest.raises(RequestError, match="'rhythm' is not one of form, harmony, theme"):
            train(config(tmp_path, plans, streams=("rhythm",)))


def _without_themes(marked: MarkedPlan) -> Any:
    sections = tuple(replace(section, theme=None) for section in marked.plan.sections)
    return replace(marked.plan, themes=(), sections=sections)


@pytest.mark.timeout(240)
def test_the_command_line_trains_and_plans(tmp_path: Path, plans: Path) -> None:
    """A smoke run, then a plan from what it wrote."""

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "pipeline.py", *words], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    out = tmp_path / "run"
    said = run("task=train_planner", "data=plans", f"data.file={plans}", "trainer=smoke", "logger=none", f"out={out}")
    assert "valid_nats_per_token" in said
    weights = out / "planner.safetensors"
    run(
        "task=plan", "planner=learned", f"planner_weights={weights}", "form=ABA", "bars=16", f"out={tmp_path / 'plans'}"
    )
    lines = (tmp_path / "plans" / "plans.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1


class TestBatches:
    walks = tuple(toy_walk(seed, length) for seed, length in enumerate((13, 7, 30, 13, 50)))

    def batches(self, **place: int) -> Batches:
        chances = walk_chances(["a", "a", "b", "b", "b"], self.walks, 0.5)
        config = WalkConfig(batch=6, longest=20, hide=0.2)
        return Batches(self.walks, chances, config, seed=1, epoch=place.pop("epoch", 0), count=5, **place)

    def test_a_batch_is_a_function_of_its_number(self) -> None:
        first, again = self.batches().batch(3), list(self.batches())[3]
        for name in ("columns", "fields", "values", "known"):
            assert torch.equal(getattr(first, name), getattr(again, name))
        other = self.batches(epoch=1).batch(3)
        assert first.values.shape != other.values.shape or not torch.equal(first.values, other.values)

    def test_processes_share_a_batch(self) -> None:
        whole = self.batches().batch(2)
        for rank in range(2):
            share = self.batches(rank=rank, world=2).batch(2)
            length = share.values.shape[1]
            assert torch.equal(share.values, whole.values[rank::2, :length])
            assert not whole.known[rank::2, length:].any()
        with pytest.raises(ValueError, match="cannot be dealt"):
            self.batches(world=4)

    def test_styles_are_balanced(self) -> None:
        styles = ["a", "a", "b", "b", "b"]
        lengths = np.array([len(w) for w in self.walks])
        plain, even = (walk_chances(styles, self.walks, balance) for balance in (1.0, 0.0))
        assert plain == pytest.approx(lengths / lengths.sum())
        assert even[:2].sum() == pytest.approx(0.5)
        assert even[0] / even[1] == pytest.approx(lengths[0] / lengths[1])

    def test_stretches_and_concealed_columns(self) -> None:
        walk, rng = self.walks[4], np.random.default_rng(0)
        firsts = set()
        for _ in range(40):
            part = stretch(walk, 20, rng)
            place = next(i for i in range(len(walk)) if np.array_equal(walk.columns[i : i + 20], part.columns)
                         and np.array_equal(walk.values[i : i + 20], part.values))  # fmt: skip
            firsts.add(place)
        assert 0 in firsts
        assert len(firsts) > 5
        assert stretch(self.walks[1], 20, rng) is self.walks[1]
        hidden = concealed(walk, 0.5, np.random.default_rng(2))
        columns = range(walk.columns.shape[1])
        gone = [not hidden.columns[:, c].any() for c in columns]
        assert 0 < sum(gone) < len(gone)
        assert all(np.array_equal(hidden.columns[:, c], walk.columns[:, c]) for c in columns if not gone[c])
        assert np.array_equal(hidden.values, walk.values)
