"""Loggers: CSV, nothing, and Weights & Biases that never asks and never fails.

On a terminal: `tests.test_tracking`.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from music.errors import RequestError
from training.csv_record import CsvRecord
from training.loggers import make_logger

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
import os, sys
from training.loggers import make_logger
for case in sys.argv[1:]:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        os.environ.pop(name, None)
    if "=" in case:
        name, value = case.split("=")
        os.environ[name] = value
    logger = make_logger("wandb", "run", "ritornello", {"task": {"steps": 3}})
    logger.log_metrics({"loss": 1.5}, step=0)
    logger.finalize("success")
    logger.experiment.finish()
    print("ended", case, flush=True)
"""


def environment() -> dict[str, str]:
    """No home and no key, so that a key of whoever runs the tests is neither found nor used."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "XDG"))}
    return {**kept, "HOME": "", "NETRC": "/nowhere/netrc", "PYTHONPATH": str(ROOT)}


def synced(text: str, folder: Path) -> list[str]:
    """The runs that the printed lines say how to upload; each must be there."""
    runs = re.findall(r"wandb sync (\S+)", text)
    for run in runs:
        assert list((folder / run).glob("run-*.wandb")), run
    return runs


def test_wandb_without_a_terminal_goes_on(tmp_path: Path) -> None:
    cases = ["no-key", "WANDB_API_KEY=bad", "WANDB_MODE=offline", "WANDB_MODE=disabled"]
    command = [sys.executable, "-c", SCRIPT, *cases]
    found = subprocess.run(
        command, cwd=tmp_path, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240
    )
    assert found.returncode == 0, found.stderr
    assert [line for line in found.stdout.splitlines() if line.startswith("ended")] == [f"ended {c}" for c in cases]
    assert len(synced(found.stdout, tmp_path)) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["run"], "nothing is left outside the run's folder"


def test_csv_writes_a_file_in_the_runs_folder(tmp_path: Path) -> None:
    logger = make_logger("csv", tmp_path / "run", "ritornello", {})
    assert isinstance(logger, CsvRecord)
    logger.log_metrics({"loss": 1.5}, step=3)
    logger.save()
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["loss"], row["step"]) for row in rows] == [("1.5", "3")]


def test_none_is_lightnings_word_for_none(tmp_path: Path) -> None:
    assert make_logger("none", tmp_path, "ritornello", {}) is False
    assert list(tmp_path.iterdir()) == []


def test_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="unknown logger 'mlflow'"):
        make_logger("mlflow", tmp_path, "ritornello", {})
