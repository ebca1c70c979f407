"""A process that parses files for `music.corpus_pool`: one JSON task a line on stdin, one JSON answer a line on stdout.

Run as `python -m music.corpus_worker`. A process of its own, rather than a fork or a spawn of the caller, so that it
neither inherits threads nor imports the caller's main module (and torch with it), and can be killed when it hangs.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from music.cache import CacheEntry, ScoreCache
from music.corpus_read import read_pieces
from music.errors import CacheError
from music.performance_cache import PerformanceCache
from music.performance_read import PAIR_READINGS, read_pair


def parse_into_cache(cache: ScoreCache, path: Path, sha256: str, reading: str) -> CacheEntry:
    """Reads one source file and writes its cache entry, kept or dropped. Raises CacheError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the readers' libraries warn on many real files; the reports say what counts
        scores, reason = read_pieces(path, reading)
    return cache.put(sha256, reading, scores, reason)


def pair_into_cache(cache: PerformanceCache, path: Path, sha256: str, reading: str) -> CacheEntry:
    """Reads one score with its performance and writes its cache entry, kept or dropped. Raises CacheError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair, reason = read_pair(path, reading)
    return cache.put_pair(sha256, reading, pair, reason)


def limit_processor_time(seconds: float) -> None:
    """Has the system end this process once it has computed for so long from now; nothing where it cannot.

    Processor time, and not the clock's: on a busy machine the same files must be kept as on an idle one.
    """
    with suppress(ImportError, ValueError, OSError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime + seconds), hard))


def answer(line: str) -> dict[str, object]:
    """The answer to one task: the entry as JSON, or `cache_error` with path and reason."""
    task = json.loads(line)
    folder, path, sha256, reading = Path(task["folder"]), Path(task["path"]), task["sha256"], task["reading"]
    limit_processor_time(task["cpu_sec"])
    try:
        if reading in PAIR_READINGS:
            entry = pair_into_cache(PerformanceCache(folder, task["version"]), path, sha256, reading)
        else:
            entry = parse_into_cache(ScoreCache(folder, task["version"]), path, sha256, reading)
    except CacheError as error:
        return {"cache_error": [error.path, error.reason]}
    return entry.as_json()


def main() -> None:
    """Answers tasks until stdin ends."""
    # Answers have stdout for themselves: whatever a library prints goes nowhere.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to answer: he ends this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a file begun is taken away
    for line in sys.stdin:
        print(json.dumps(answer(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
