"""The record of a training: what was asked, of which code and corpus, where its figures went, and what came out.

OUT/run.json holds it beside the figures, with or without Weights & Biases. Runs of a sweep share a table, sweep.csv,
and give back the figure that they are steered by, of which less is better, so that a sweeper can look for the least.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import Logger

from music.cache import write_atomically
from music.errors import RequestError
from training.loggers import make_logger, wandb_run
from training.run import check_hardware
from training.samples import Rooms, make_sampler

ROOT = Path(__file__).resolve().parent.parent
RUN_FILE, SWEEP_FILE = "run.json", "sweep.csv"
PACKAGES = ("torch", "pytorch-lightning", "numpy", "music21")
GIT_SECONDS = 5.0
# Where each training keeps the figure that it is steered by.
MONITORED = {
    "train_composer": "valid_nats_per_frame",
    "train_performer": "valid_unlike",
    "train_planner": "valid_nats_per_token",
    "train_benchmark": "nats_per_frame",
}
SAMPLED = ("train_planner", "train_composer", "train_performer")


@dataclass(frozen=True)
class SweepRun:
    """A run's place in a sweep.

    Args:
        group: of the sweep; the same for all of its runs.
        number: of the run, from 0.
        asked: what differs, as typed.
    """

    group: str
    number: int
    asked: str

    @classmethod
    def of(cls, folder: str, job: Any) -> SweepRun:
        """From what Hydra knows: the sweep's folder, which is its own, and `hydra.job`."""
        return cls(f"sweep-{Path(folder).name.removeprefix('tmp')}", int(job.num), str(job.override_dirname))


def code_version() -> dict[str, str]:
    """The package's version, versions of what it stands on, and what git says of the checkout, where it can say it."""
    found: dict[str, str] = {}
    for package in ("ritornello", *PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    git = shutil.which("git") if (ROOT / ".git").exists() else None  # an installed package may lie in another's tree
    if git:
        command = [git, "-C", str(ROOT), "describe", "--always", "--dirty", "--tags"]
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
        except (OSError, subprocess.SubprocessError):
            return found
        if said.returncode == 0 and said.stdout.strip():
            found["git"] = said.stdout.strip()
    return found


def monitored(task: str, figures: Mapping[str, Any]) -> float | None:
    """The figure that a training is steered by; the mean of its networks' where it trains several."""
    name = MONITORED.get(task, "")
    values: list[Any] = [figures[name]] if name in figures else []
    parts = [p for value in figures.values() for p in (value if isinstance(value, list) else (value,))]
    values += [part[name] for part in parts if isinstance(part, Mapping) and name in part]
    flat = [v for value in values for v in (value.values() if isinstance(value, Mapping) else (value,))]
    numbers = [float(v) for v in flat if isinstance(v, (int, float))]
    return float(np.mean(numbers)) if numbers else None


def note(out: Path, logger: Logger | bool, **facts: Any) -> None:
    """Adds facts, such as the corpus and its hash, to OUT/run.json and to the config of Weights & Biases.

    Args:
        out: the run's folder.
        logger: of the run.
        facts: builtins.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return
    path = out / RUN_FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    text = json.dumps({**known, **facts}, indent=1, ensure_ascii=False, default=str)
    write_atomically(path, (text + "\n").encode())
    run = wandb_run(logger)
    if run is not None:
        run.config.update(facts, allow_val_change=True)


def track(
    train: Callable[..., dict[str, Any]],
    settings: dict[str, Any],
    rooms: Rooms | None = None,
    sweep: SweepRun | None = None,
) -> float | None:
    """Runs a training with its record, and shows its figures.

    Args:
        train: of a layer.
        settings: the whole config, with `logger`: `kind`, `project`, `artifact`, `group`, `samples_every`.
        rooms: lent by the pipeline; None for no samples and nothing shown.
        sweep: the run's place in one.

    Returns:
        The figure that the training is steered by.

    Raises:
        RequestError: a sweep over trainings in several processes each, or a GPU that is not there.
    """
    asked, out, task = settings["logger"], Path(settings["out"]), settings["task"]["name"]
    devices = settings["trainer"].get("devices", 1)
    if sweep and isinstance(devices, int) and devices > 1:
        raise RequestError(f"trainer.devices={devices}: a sweep trains in one process; use trainer=cpu or trainer=gpu")
    check_hardware(settings["trainer"])
    sampler = make_sampler(settings, task.removeprefix("train_"), rooms) if rooms and task in SAMPLED else None
    group = asked.get("group") or (sweep.group if sweep else None)
    facts = {"config": settings, "code": code_version(), **({"group": group} if group else {})}
    logger = make_logger(asked["kind"], out, asked["project"], {}, group=group, name=out.name if sweep else None)
    ended = 1
    try:
        note(out, logger, **facts)
        figures = train(settings, logger=logger, **({"sampler": sampler} if sampler else {}))
        value = monitored(task, figures)
        note(out, logger, figures=figures, monitored=value)
        _conclude(logger, figures, value, bool(asked.get("artifact")), task)
        ended = 0
    finally:
        run = wandb_run(logger)
        if run is not None:
            run.finish(exit_code=ended)  # or the next run of a sweep would be logged as part of it
    if rooms:
        rooms.show(figures)
    if sweep:
        _tell_sweep(out.parent / SWEEP_FILE, sweep, out, value)
    return value


def _conclude(
    logger: Logger | bool, figures: Mapping[str, Any], value: float | None, artifact: bool, task: str
) -> None:
    """The outcome in the summary of Weights & Biases, and the weights as an artifact where they are asked for."""
    run = wandb_run(logger)
    if run is None:
        return
    import wandb

    if value is not None:
        run.summary["monitored"] = value
    weights = Path(str(figures.get("weights") or ""))
    if not artifact or not weights.is_file():
        return
    name = task.removeprefix("train_")
    holder = wandb.Artifact(f"{name}-{run.id or 'run'}", type="weights", metadata={"monitored": value})
    holder.add_file(str(weights))
    about = weights.with_suffix(".json")
    if about.is_file():
        holder.add_file(str(about))
    run.log_artifact(holder)


def _tell_sweep(path: Path, sweep: SweepRun, out: Path, value: float | None) -> None:
    """Adds a run to its sweep's table and prints the table so far, the best run first."""
    rows = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("folder") != out.name]
    asked = "" if value is None else repr(value)
    row = {"folder": out.name, "run": str(sweep.number), "monitored": asked, "asked": sweep.asked, "group": sweep.group}
    rows = sorted([*rows, row], key=lambda r: (r["group"], int(r["run"])))
    page = io.StringIO(newline="")
    writer = csv.DictWriter(page, list(row))
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, page.getvalue().encode())
    print(sweep_table([r for r in rows if r["group"] == sweep.group]), flush=True)


def sweep_table(rows: list[dict[str, str]]) -> str:
    """Runs of a sweep as text: number, monitored figure, what was asked of some only; the least figure is the best."""
    best = sorted(rows, key=lambda r: (not r["monitored"], float(r["monitored"] or "inf")))
    lines = [
        f"sweep {rows[0]['group']}: {len(rows)} runs so far, the best first",
        f"{'run':>4}  {'monitored':>10}  asked",
    ]
    same = set.intersection(*(set(r["asked"].split(",")) for r in rows)) if len(rows) > 1 else set()
    own = [",".join(word for word in r["asked"].split(",") if word not in same) for r in best]
    lines += [f"{r['run']:>4}  {_short(r['monitored']):>10}  {asked}" for r, asked in zip(best, own, strict=True)]
    return "\n".join(lines)


def _short(text: str) -> str:
    return f"{float(text):.4f}" if text else "none"
