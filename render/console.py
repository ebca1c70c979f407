"""What the user reads while a task runs: one line a stage with its time, figures as a table and as one JSON line."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STAGE_WIDTH = 9


@contextmanager
def stage(name: str) -> Iterator[list[str]]:
    """Prints the stage's name when it begins; when it ends, its time in seconds and the remarks in the yielded list.

    On a terminal the seconds count up meanwhile.
    """
    print(f"{name:<{STAGE_WIDTH}}", end="", flush=True)
    remarks: list[str] = []
    started = time.perf_counter()
    try:
        with _counting(name, started):
            yield remarks
    except BaseException:
        print(flush=True)
        raise
    print(f"{time.perf_counter() - started:6.1f} s  {'  '.join(remarks)}".rstrip(), flush=True)


@contextmanager
def _counting(name: str, started: float) -> Iterator[None]:
    """Writes the seconds that a stage has taken so far behind its name, once a second, where someone is watching."""
    out = sys.stdout
    if not out.isatty():
        yield
        return
    ended = threading.Event()

    def count() -> None:
        while not ended.wait(1.0):
            out.write(f"\r{name:<{STAGE_WIDTH}}{time.perf_counter() - started:6.0f} s")
            out.flush()

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        out.write(f"\r{name:<{STAGE_WIDTH}}")


def flatten(figures: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested figures as one level with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in figures.items():
        key = f"{prefix}{name}"
        flat |= flatten(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return flat


def show_figures(figures: Mapping[str, Any]) -> None:
    """Prints figures as a table, then as one JSON line; of the processes of a distributed run the first one alone."""
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return
    flat = flatten(figures)
    width = max((len(name) for name in flat), default=0)
    for name, value in flat.items():
        print(f"{name:<{width}}  {value:.4f}" if isinstance(value, float) else f"{name:<{width}}  {value}")
    print(json.dumps(dict(figures), default=str, ensure_ascii=False))


def how_to_open(folder: Path) -> str:
    """How to open a piece's page, where it has one, then its folder: what a command that writes a piece ends with."""
    page = folder / "report.html"
    does = "plays" if any(folder.glob("piece.*")) else "shows"  # with audio=none there is nothing to play
    return f"open {page} in a browser: it {does} the piece\n{folder}" if page.is_file() else str(folder)
