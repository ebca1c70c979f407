"""Parses many files on several cores, each with a time limit; a file that hangs or kills its process is dropped.

Every worker is a process of `music.corpus_worker` with a thread here that feeds it. Results travel through the cache.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from music.cache import CacheEntry, ScoreCache
from music.errors import CacheError

GRACE_SEC = 2.0  # for a process that was told to end
# A file may take so much processor time; and, in case it waits for something, so much time by the clock.
FILE_CPU_SEC = 120.0
FILE_TIMEOUT_SEC = 1200.0
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Task:
    """A file to parse: its place, its content's hash, and the way to read it."""

    path: Path
    sha256: str
    reading: str


class _Worker:
    """One process, started when first needed and again after it died."""

    def __init__(self, cache: ScoreCache, timeout_sec: float) -> None:
        self.cache = cache
        self.timeout_sec = timeout_sec
        self.process: subprocess.Popen[str] | None = None
        self._ended = False

    def _start(self) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.Popen(
            [sys.executable, "-m", "music.corpus_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def parse(self, task: Task) -> CacheEntry:
        """Raises CacheError where the entry cannot be written."""
        if self.process is None:
            self.process = self._start()
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def end_it() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self.timeout_sec, end_it)
        timer.start()
        request = {
            "folder": str(self.cache.folder),
            "version": self.cache.version(task.reading),
            "path": str(task.path),
            "sha256": task.sha256,
            "cpu_sec": FILE_CPU_SEC,
            "reading": task.reading,
        }
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            self._ended = True
            code = self.stop()
            if late.is_set():
                return CacheEntry(reason=f"no answer within {self.timeout_sec:g} s")
            if code == -getattr(signal, "SIGXCPU", 0):
                return CacheEntry(reason=f"not read after {FILE_CPU_SEC:g} s of processor time")
            return CacheEntry(reason="the reader's process died on it")
        found = json.loads(line)
        if "cache_error" in found:
            raise CacheError(*found["cache_error"])
        return CacheEntry.from_json(found)

    def break_off(self) -> None:
        """Tells the process to end, from another thread; the thread that feeds it then stops it."""
        if (process := self.process) is not None:
            process.terminate()

    def stop(self) -> int:
        """Ends the process and gives its exit code; a later `parse` starts another."""
        if self.process is None:
            return 0
        # A process that died by itself is about to report why; one that lives gets no second chance.
        with suppress(subprocess.TimeoutExpired):
            if self._ended:
                self.process.wait(5)
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SEC)
        self.process.kill()
        self.process.communicate()
        code, self.process, self._ended = self.process.returncode, None, False
        return code


def parse_all(
    tasks: list[Task],
    cache: ScoreCache,
    *,
    workers: int,
    timeout_sec: float = FILE_TIMEOUT_SEC,
    on_done: Callable[[], object] = lambda: None,
) -> dict[Task, CacheEntry]:
    """Parses every task into the cache. What comes out does not depend on the number of workers or their order.

    A file that took too long, or whose process died, has a reason but no cache entry, so the next run tries again.

    Args:
        on_done: called once a file, from any thread.

    Raises:
        CacheError: the cache cannot be written; the work stops.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in dict.fromkeys(tasks):
        waiting.put(task)
    found: dict[Task, CacheEntry] = {}
    failures: list[BaseException] = []

    def run(worker: _Worker) -> None:
        try:
            while not failures:
                task = waiting.get_nowait()
                found[task] = worker.parse(task)
                on_done()
        except queue.Empty:
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            worker.stop()

    working = [_Worker(cache, timeout_sec) for _ in range(max(1, min(workers, waiting.qsize())))]
    threads = [threading.Thread(target=run, args=(worker,), daemon=True) for worker in working]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:  # Ctrl-C: let no process live on
        failures.append(KeyboardInterrupt())
        for worker in working:
            worker.break_off()
        for thread in threads:
            thread.join(2 * GRACE_SEC)
        raise
    if failures:
        raise failures[0]
    return found
