"""Ctrl-C: exit code 130 and one line soon after, no half-written file, no process that lives on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from music.midi import write_score_midi
from music.splits import folder_work, split_by_hash
from tests.test_markov import small_piece

ROOT = Path(__file__).resolve().parent.parent
LATEST = 60.0  # seconds until a task must be under way, on a busy machine
SOON = 15.0  # and until it must have ended; on an idle one it is one or two
SMALL = ("task.network.projection=8", "task.network.time_units=[8,8]", "task.network.note_units=[8,8]", "logger=none")


def named(split: str, count: int) -> list[str]:
    """File names that a folder's splits put on this side."""
    names = (f"piece {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(676))
    return [name for name in names if split_by_hash(folder_work(f"{name}.mid")) == split][:count]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pieces, with enough of each split."""
    folder = tmp_path_factory.mktemp("scores")
    names = [name for split, count in (("train", 24), ("valid", 2), ("test", 8)) for name in named(split, count)]
    for seed, name in enumerate(names):
        write_score_midi(small_piece(seed), folder / f"{name}.mid")
    return folder


def interrupt(folder: Path, ready: Callable[[str], bool], *arguments: str) -> tuple[int, str, float]:
    """Starts the command line, presses Ctrl-C when `ready` (told what was printed): exit code, stderr, seconds."""
    said = folder / "said.txt"
    command = [sys.executable, str(ROOT / "pipeline.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with said.open("w") as out, (folder / "errors.txt").open("w") as err:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, env=environment, start_new_session=True)
        try:
            started = time.monotonic()
            while not ready(said.read_text() + (folder / "errors.txt").read_text()):
                assert process.poll() is None, f"ended by itself: {(folder / 'errors.txt').read_text()}"
                assert time.monotonic() - started < LATEST, said.read_text()
                time.sleep(0.02)
            pressed = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all processes of the command
            code = process.wait(SOON)
        finally:
            if process.poll() is None:
                process.kill()
    seconds = time.monotonic() - pressed
    while living(process.pid):
        assert time.monotonic() - pressed < SOON, "a process of the command lives on"
        time.sleep(0.05)
    print(f"{arguments[0]}: ended after {seconds:.1f} s")
    return code, (folder / "errors.txt").read_text(), seconds


def living(group: int) -> list[int]:
    """Processes of a group that are not merely waiting to be buried, where the system tells them (/proc)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended meanwhile
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def last_line(text: str) -> str:
    """What stands last; a progress bar is drawn with carriage returns."""
    return text.replace("\r", "\n").strip().splitlines()[-1]


def leftovers(folder: Path) -> list[str]:
    """Files that writers give other names until they are whole."""
    marks = (".part", ".tmp", "tmp")
    return [str(p) for p in folder.rglob("*") if p.suffix in (".part", ".tmp") or p.name.startswith(marks)]


def test_a_piece_is_not_written_by_halves(tmp_path: Path) -> None:
    code, err, _ = interrupt(tmp_path, lambda said: "compose" in said, "form=rondo", "bars=200", "out=pieces/piece")
    assert code == 130
    assert err == "ritornello: interrupted; nothing was left half-written\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["errors.txt", "said.txt"]


def test_a_corpus_is_left_with_whole_files_only(tmp_path: Path, scores: Path) -> None:
    cache = tmp_path / "cache"
    places = ("task=prepare", "data=folder", f"data.path={scores}", f"cache_dir={cache}", "workers=2")
    code, err, _ = interrupt(tmp_path, lambda _: any(cache.glob("scores/*/*")), *places)
    assert code == 130
    assert last_line(err) == "ritornello: interrupted; nothing was left half-written"
    assert not list(cache.glob("manifests/*"))
    assert not leftovers(cache)
    again = subprocess.run(
        [sys.executable, str(ROOT / "pipeline.py"), *places], capture_output=True, text=True, check=True, timeout=120
    )
    assert "34 pieces kept, 0 files dropped" in again.stdout


def test_a_training_keeps_its_last_checkpoint_and_says_so(tmp_path: Path, scores: Path) -> None:
    places = ("data=folder", f"data.path={scores}", f"cache_dir={tmp_path / 'cache'}", "workers=1", "out=run")
    run = tmp_path / "run"
    code, err, _ = interrupt(
        tmp_path, lambda _: (run / "last.ckpt").exists(), "task=train_composer", *places, *SMALL,
        "task.run.epoch_steps=1", "task.windows.batch=2",
    )  # fmt: skip
    assert code == 130
    assert last_line(err) == "ritornello: interrupted; the same command goes on from the last checkpoint in run"
    assert "Traceback" not in err
    assert not (run / "biaxial.safetensors").exists()
    assert not leftovers(run)
    assert torch.load(run / "last.ckpt", map_location="cpu", weights_only=True)["global_step"] >= 1


def test_measuring_ends_with_one_line(tmp_path: Path, scores: Path) -> None:
    places = ("data=folder", f"data.path={scores}", f"cache_dir={tmp_path / 'cache'}", "workers=1")
    code, err, _ = interrupt(tmp_path, lambda said: "analyse test" in said, "task=evaluate_composer", *places)
    assert code == 130
    assert last_line(err) == "ritornello: interrupted; nothing was left half-written"
    assert "Traceback" not in err
