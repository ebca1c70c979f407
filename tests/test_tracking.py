"""The record of a training: samples on the way, run.json, Weights & Biases beside CSV, sweeps."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import mido
import pytest
import soundfile
import torch

from composer.corpus import Examples
from composer.sampling import BiaxialComposer
from composer.train import train
from music.errors import RequestError, WeightsError
from music.plan import Plan
from performer.rules import RulePerformer
from planner import theme_ahead
from planner.corpus import STREAMS
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from planner.network import StreamNetwork
from planner.network_config import StreamConfig
from planner.sampling import SHIPPED, LearnedPlanner
from planner.shelf import Shelf
from render.sample import write_sample
from tests import wandb_file
from tests.composer_cases import STYLES, made_example
from training import tracking
from training.samples import Rooms, make_sampler
from training.tracking import SweepRun, monitored, track
from training.weight_files import load_about

ROOT = Path(__file__).resolve().parent.parent
TASK = {
    "name": "train_composer",
    "run": {"max_steps": 4, "epoch_steps": 2},
    "network": {"projection": 8, "time_units": [8, 8], "note_units": [8, 8], "dropout": 0.2},
    "optimiser": {"rate": 0.003, "warmup": 1, "decay": 0},
    "windows": {"steps": 8, "batch": 2, "transpose": 1},
}
FIGURES = ("train/nats_per_frame", "train/nats_play", "train/nats_articulate", "train/gradient_norm", "train/skipped")
FIGURES += ("train/rate", "train/frames_per_second", "valid/nats_per_frame")
MEASURES = ("sample/scale_consistency", "sample/parallel_fifths", "sample/form_pairwise_f", "sample/density")


def build(settings: dict[str, Any], layer: str) -> Any:
    """Layers as the pipeline would make them, the others than the composer without weights."""
    if layer == "composer":
        return BiaxialComposer(settings["composer"]["weights"])
    return {"planner": GrammarPlanner, "performer": RulePerformer}[layer]()


def short_plan(planner: Any, settings: dict[str, Any], *, seed: int) -> Plan:
    """A plan of four bars."""
    return planner.plan(PlanRequest("A4", style="bach_chorale", ensemble="satb"), seed=seed)


ROOMS = Rooms(build, short_plan, write_sample, lambda figures: None)


def settings_of(out: Path, **logger: Any) -> dict[str, Any]:
    """The config of a training of four steps in two epochs."""
    return {
        "task": TASK,
        "data": {"name": "made", "licence": "CC0-1.0"},
        "composer": {"_target_": "composer.sampling.BiaxialComposer", "weights": None},
        "cache_dir": str(out),
        "out": str(out),
        "seed": 3,
        "trainer": {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False},
        "logger": {"kind": "csv", "project": "ritornello", "samples_every": 0, **logger},
    }


def made(*_: Any, styles: Any, **__: Any) -> tuple[Examples, tuple[str, ...]]:
    """In place of a corpus."""
    return Examples((made_example(0), made_example(1)), (), 0, "abc123"), STYLES


def go(out: Path, **logger: Any) -> float | None:
    """A training with its record."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("composer.train.load_examples", made)
        return track(train, settings_of(out, **logger), ROOMS)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float | None]:
    """A run with a sample after its second epoch, and the figure that it gave back."""
    out = tmp_path_factory.mktemp("sampled")
    return out, go(out, samples_every=2)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_sample_is_written_measured_and_changes_nothing(sampled: tuple[Path, float | None], tmp_path: Path) -> None:
    out, value = sampled
    (folder,) = (out / "samples").iterdir()
    assert folder.name == "step-000004"
    names = {"plan.json", "score.musicxml", "performance.mid", "roll.png", "piece.ogg"}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / "roll.png").read_bytes().startswith(b"\x89PNG")
    assert soundfile.info(folder / "piece.ogg").duration > 4
    assert any(m.type == "note_on" for track in mido.MidiFile(folder / "performance.mid").tracks for m in track)
    rows = rows_of(out / "metrics.csv")
    for name in (*FIGURES, *MEASURES):
        assert any(row[name] for row in rows), name
    (row,) = [row for row in rows if row["sample/density"]]
    assert row["step"] == "3"
    assert go(tmp_path) == value  # the same run without samples
    ours, other = (torch.load(p / "last.ckpt", weights_only=True)["state_dict"] for p in (out, tmp_path))
    assert all(torch.equal(tensor, other[name]) for name, tensor in ours.items())
    assert not (tmp_path / "samples").exists()


def test_run_json_says_what_was_asked_of_which_code_and_corpus(sampled: tuple[Path, float | None]) -> None:
    out, value = sampled
    about = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert about["config"]["task"] == TASK
    assert about["code"]["ritornello"]
    assert about["code"]["torch"] == torch.__version__
    assert about["corpus"]["digest"] == "abc123"
    assert about["monitored"] == value == about["figures"]["valid_nats_per_frame"]
    if (ROOT / ".git").exists():
        assert re.search(r"[0-9a-f]{7}", about["code"]["git"])


def test_without_git_there_is_the_package_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tracking.shutil, "which", lambda name: None)
    assert "git" not in tracking.code_version()
    monkeypatch.undo()
    monkeypatch.setattr(tracking, "ROOT", tmp_path)  # an installed package, perhaps inside another's checkout
    assert "git" not in tracking.code_version()
    monkeypatch.undo()
    monkeypatch.setattr(tracking.shutil, "which", lambda name: str(tmp_path / "gone"))
    assert set(tracking.code_version()) >= {"ritornello", "numpy"}


def test_a_sample_that_fails_is_told_of_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(folder: Path, *_: Any) -> None:
        raise RuntimeError("no\nroom")

    settings = settings_of(tmp_path, samples_every=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("composer.train.load_examples", made)
        value = track(train, settings, Rooms(build, short_plan, broken, lambda figures: None))
    assert value is not None
    assert capsys.readouterr().out.count("no sample at step 2: RuntimeError: no room\n") == 1


@pytest.mark.parametrize("every", [-1, 0.5, True, "often"])
def test_how_often_must_be_a_whole_number(tmp_path: Path, every: Any) -> None:
    with pytest.raises(RequestError, match=rf"samples_every={every} is not a whole number"):
        make_sampler(settings_of(tmp_path, samples_every=every), "composer", ROOMS)


def test_never_and_not_for_what_writes_no_pieces(tmp_path: Path) -> None:
    assert make_sampler(settings_of(tmp_path), "composer", ROOMS) is None
    assert make_sampler(settings_of(tmp_path, samples_every=1), "benchmark", ROOMS) is None


def test_the_monitored_figure() -> None:
    streams = {"form": {"valid_nats_per_token": 2.0}, "theme": {"valid_nats_per_token": 1.0}, "seconds": 3.0}
    assert monitored("train_planner", streams) == 1.5
    members = {"members": [{"valid_unlike": 0.5}, {"valid_unlike": 0.7}], "dropped": ["a piece: why"]}
    assert monitored("train_performer", members) == pytest.approx(0.6)
    assert monitored("train_benchmark", {"nats_per_frame": {"valid_transpose_0": 6.0}}) == 6.0
    assert monitored("train_composer", {"seconds": 3.0}) is None


def test_a_sweep_over_several_processes_is_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings["trainer"]["devices"] = 2
    with pytest.raises(RequestError, match=r"trainer\.devices=2: a sweep trains in one process"):
        track(train, settings, ROOMS, SweepRun("sweep-x", 0, "seed=1"))


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_before_a_corpus_is_read(tmp_path: Path) -> None:
    def never(*_: Any, **__: Any) -> dict[str, Any]:
        raise AssertionError("the training has begun")

    settings = settings_of(tmp_path)
    settings["trainer"] = {"accelerator": "gpu", "devices": 1, "precision": "bf16-mixed"}
    with pytest.raises(RequestError, match=r"trainer\.accelerator=gpu: torch finds no GPU here; use trainer=cpu"):
        track(never, settings, ROOMS)
    assert not list(tmp_path.iterdir())


WANDB_SCRIPT = """
import os, sys
from pathlib import Path
import torch; torch.set_num_threads(1)
from tests.test_tracking import go
for mode in sys.argv[2:]:
    os.environ.pop("WANDB_MODE", None)
    if mode != "unset":
        os.environ["WANDB_MODE"] = mode
    go(Path(sys.argv[1]) / mode, kind="wandb", samples_every=2, artifact=True, group="trial")
    print("ended", mode, flush=True)
"""


def on_a_terminal(command: list[str], **how: Any) -> tuple[int, str]:
    """Exit code and output of a command that believes it is typed at a terminal."""
    ours, theirs = pty.openpty()
    said: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # the other end is closed
                return
            said.append(data)

    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, **how)
    os.close(theirs)
    listener = threading.Thread(target=listen)
    listener.start()
    try:
        code = process.wait(timeout=240)
    finally:
        process.kill()
        listener.join(timeout=10)
        os.close(ours)
    return code, b"".join(said).decode(errors="replace").replace("\r\n", "\n")


def bare_environment() -> dict[str, str]:
    """No home and no key."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "XDG"))}
    return {**kept, "HOME": "", "NETRC": "/nowhere/netrc", "PYTHONPATH": str(ROOT)}


@pytest.mark.timeout(300)
def test_wandb_has_what_csv_has_and_the_samples(sampled: tuple[Path, float | None], tmp_path: Path) -> None:
    """On a terminal, without a key, then disabled: nothing is asked, and all of it is in the offline file."""
    out, value = sampled
    command = [sys.executable, "-c", WANDB_SCRIPT, str(tmp_path), "unset", "disabled"]
    code, text = on_a_terminal(command, cwd=tmp_path, env=bare_environment())
    assert code == 0, text
    assert "ended unset" in text
    assert "ended disabled" in text
    assert not re.search(r"(?i)enter your choice|paste an api key|no sample", text), text
    (place,) = re.findall(r"wandb sync (\S+)", text)
    records = wandb_file.messages(next(Path(place).glob("run-*.wandb")))
    rows = wandb_file.history(records)
    speed = "train/frames_per_second"
    for row in rows_of(out / "metrics.csv"):
        wanted = {k: float(v) for k, v in row.items() if v and k not in ("step", speed)}
        same = [r for r in rows if r.get("trainer/global_step") == int(row["step"]) and wanted.items() <= r.items()]
        assert same, row
    (shown,) = [r for r in rows if "sample/roll/path" in r]
    assert (shown["sample/roll/_type"], shown["sample/audio/_type"]) == ("image-file", "audio-file")
    for part in ("roll", "audio"):
        assert (Path(place) / "files" / shown[f"sample/{part}/path"]).stat().st_size > 1000
    config = wandb_file.config(records)
    assert config["corpus"]["digest"] == "abc123"
    assert config["config"]["task"] == TASK
    assert config["code"]["ritornello"]
    assert config["monitored"] == value
    (run,) = {r.run.run_group for r in records if r.HasField("run")}
    assert run == "trial"
    kinds = dict(wandb_file.artifacts(records))
    assert kinds["weights"] == ["biaxial.json", "biaxial.safetensors"]
    assert "step-000004/performance.mid" in kinds["sample"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["disabled", "unset"]


SWEEP_SCRIPT = """
import json
from hydra._internal.hydra import Hydra
plain = Hydra.multirun
def multirun(self, *arguments, **named):
    found = plain(self, *arguments, **named)
    print("returned", json.dumps([job.return_value for batch in found for job in batch]))
    return found
Hydra.multirun = multirun
import pipeline
pipeline.main()
"""


@pytest.mark.timeout(300)
def test_a_sweep_returns_its_figures_and_prints_a_table(tmp_path: Path) -> None:
    from tests.test_planner_training import corpus, write

    script = tmp_path / "sweep.py"
    script.write_text(SWEEP_SCRIPT, encoding="utf-8")
    words = ["-m", "task=train_planner", "data=plans", f"data.file={write(tmp_path / 'plans.jsonl', corpus())}"]
    words += ["trainer=smoke", "+trainer.enable_progress_bar=false", f"out={tmp_path / 'out'}", "logger=csv"]
    words += ["~task.streams.form", "~task.streams.harmony", "task.network.embedding=8"]
    words += ["task.optimiser.rate=0.0,0.02"]
    done = subprocess.run(
        [sys.executable, str(script), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    folders = sorted(p for p in (tmp_path / "out").iterdir() if p.is_dir())
    assert [f.name[:3] for f in folders] == ["000", "001"]
    abouts = [json.loads((f / "run.json").read_text(encoding="utf-8")) for f in folders]
    figures = [about["monitored"] for about in abouts]
    assert figures[1] < figures[0], "a network that learns is better than one that does not"
    returned = json.loads(re.findall(r"(?m)^returned (.*)$", done.stdout)[0])
    assert returned == figures
    (group,) = {about["group"] for about in abouts}
    table = done.stdout[done.stdout.rindex(f"sweep {group}: 2 runs so far") :].splitlines()
    assert [line.split()[:2] for line in table[2:4]] == [["1", f"{figures[1]:.4f}"], ["0", f"{figures[0]:.4f}"]]
    assert [line.split()[2:] for line in table[2:4]] == [["task.optimiser.rate=0.02"], ["task.optimiser.rate=0.0"]]
    rows = rows_of(tmp_path / "out" / "sweep.csv")
    assert [(r["run"], float(r["monitored"]), r["group"]) for r in rows] == [
        ("0", figures[0], group),
        ("1", figures[1], group),
    ]


@pytest.mark.timeout(240)
def test_ctrl_c_ends_a_training_with_one_line_and_a_whole_record(tmp_path: Path) -> None:
    from tests.test_planner_training import corpus, write

    words = ["task=train_planner", "data=plans", f"data.file={write(tmp_path / 'plans.jsonl', corpus())}"]
    words += ["~task.streams.form", "~task.streams.harmony", "task.network.embedding=8", "task.run.epoch_steps=2"]
    words += ["trainer=cpu", "+trainer.enable_progress_bar=false", f"out={tmp_path / 'out'}", "logger=csv"]
    process = subprocess.Popen(
        [sys.executable, "pipeline.py", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    last = tmp_path / "out" / "theme" / "last.ckpt"
    while not last.exists():
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error[-2000:]
    assert error.strip().splitlines()[-1].startswith("ritornello: interrupted")
    assert "Traceback" not in error
    files = [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert sorted(files) == ["best.ckpt", "last.ckpt", "metrics.csv", "run.json"]
    assert torch.load(last, weights_only=True)["global_step"] >= 2
    assert rows_of(tmp_path / "out" / "metrics.csv")[0]["theme/train/nats_per_token"]


class TestShelf:
    """A planner to draw from while its streams are trained one after another."""

    def shelf(self, styles: tuple[str, ...]) -> Shelf:
        """The theme's network alone, untrained."""
        config = StreamConfig.of(STREAMS["theme"], embedding=8, units=8)
        tables = {f"theme.{name}": value for name, value in theme_ahead.uniform_tables().items()}
        return Shelf(styles, tables, {"licence": "CC0-1.0"}).holding("theme", StreamNetwork(config))

    def test_what_is_missing_is_lent_by_the_weights_that_ship(self, tmp_path: Path) -> None:
        shelf = self.shelf(tuple(load_about(SHIPPED, "planner_weights")["styles"])).completed()
        shelf.save(tmp_path / "planner.safetensors")
        planner = LearnedPlanner(tmp_path / "planner.safetensors")
        assert planner.about["streams"]["theme"]["units"] == 8
        assert planner.plan(PlanRequest("A4"), seed=1) == LearnedPlanner(tmp_path / "planner.safetensors").plan(
            PlanRequest("A4"), seed=1
        )

    def test_of_other_styles_nothing_is_lent(self) -> None:
        with pytest.raises(WeightsError, match=r"knows other styles; .*before form, harmony is trained"):
            self.shelf(("lute_song",)).completed()
