"""A pool of processes: none hears Ctrl-C, none outlives an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from music.processes import processes

ROOT = Path(__file__).resolve().parent.parent


def heard(_: int) -> tuple[bool, bool]:
    """Whether this process blocks Ctrl-C, and whether it ignores it."""
    return (
        signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    )


def sleep(seconds: float) -> int:
    """Takes its time; gives the process' number."""
    time.sleep(seconds)
    return os.getpid()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal masks on this system")
def test_processes_never_hear_an_interruption() -> None:
    with processes(2) as pool:
        assert list(pool.map(heard, range(4))) == [(True, True)] * 4
    assert heard(0) == (False, False), "this process hears it still"


def test_work_is_done_and_the_processes_go() -> None:
    with processes(2, os.putenv, ("RITORNELLO_TEST", "1")) as pool:
        assert len(set(pool.map(sleep, (0.2, 0.2)))) >= 1
    assert not active_children()


def busy_and_broken() -> None:
    with processes(2) as pool:
        for _ in range(8):
            pool.submit(sleep, 60)
        raise KeyError


def test_an_error_ends_them_at_once() -> None:
    begun = time.monotonic()
    with pytest.raises(KeyError):
        busy_and_broken()
    while active_children():
        assert time.monotonic() - begun < 20
        time.sleep(0.02)


SCRIPT = """
import sys, time
sys.path.insert(0, {root!r})
from music.processes import processes
from tests.test_processes import sleep
if __name__ == "__main__":
    try:
        with processes(2) as pool:
            jobs = [pool.submit(sleep, 60) for _ in range(2)]
            print("begun", flush=True)
            jobs[0].result()
    except KeyboardInterrupt:
        print("one answer")
"""


@pytest.mark.parametrize("wait", [0.0, 0.1, 0.3, 0.6])
def test_an_interruption_while_they_begin_is_answered_once(tmp_path: Path, wait: float) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT)), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("one answer\n", "", 0)
