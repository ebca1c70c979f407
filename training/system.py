"""task=evaluate: the whole chain over a fixed set of requests, in processes of their own, and the table that results.

The figures hang on the requests, the seeds and the weights alone: each request is measured by itself, on one thread,
and the rows are put in order before anything is counted. Files are written when all is done, each at once, so a run
that is broken off leaves none.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluation.originality import shipped_index
from evaluation.reference import people, people_judged, pianists
from evaluation.system import OURS, Chain, Row, measure_request
from evaluation.system_figures import all_figures
from evaluation.system_requests import REQUESTS, Request, read_requests
from evaluation.system_table import flat, markdown, timings
from music.cache import write_atomically
from music.errors import RequestError
from music.processes import processes

MOST_WORKERS = 8
LAYERS = ("planner", "composer", "performer")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PLACES = 6
NO_MATTER = ("out", "cache_dir", "workers", "logger", "task.progress")  # keys that change no figure
Settings = dict[str, Any]
Build = Callable[[Settings, str], Any]  # (settings, layer) -> the layer
_CHAIN: list[Chain] = []  # of a worker process


def chain_of(settings: Settings, build: Build, lent: Sequence[str]) -> Chain:
    """Builds the chain of the settings, and its baselines.

    Args:
        settings: with `task.baselines`: a layer's configuration by layer and name. One that is what the chain itself
            uses is left out.
        build: makes a layer from its configuration.
        lent: dotted names of other rooms' functions that measuring needs, each called as a field of `Chain`.
    """
    sides: dict[str, dict[str, Any]] = {}
    for layer in LAYERS:
        sides[layer] = {OURS: build(settings, layer)}
        for name, about in (settings["task"]["baselines"].get(layer) or {}).items():
            if about["_target_"] != settings[layer]["_target_"]:
                sides[layer][name] = build(settings | {layer: about}, layer)
    parts = (path.rpartition(".") for path in lent)
    fields: dict[str, Any] = {name: getattr(import_module(module), name) for module, _, name in parts}
    fields |= {f"{layer}s": sides[layer] for layer in LAYERS}
    return Chain(**fields, index=shipped_index())


def _begin(settings: Settings, build: Build, lent: Sequence[str]) -> None:
    _CHAIN[:] = [chain_of(settings, build, lent)]


def _measure(request: Request) -> Row:
    return measure_request(request, _CHAIN[0])


def _count(rows: list[Row]) -> dict[str, Any]:
    return rounded(all_figures(rows, people(), people_judged(), pianists()))


def measure_all(
    requests: Sequence[Request],
    settings: Settings,
    build: Build,
    lent: Sequence[str],
    *,
    workers: int,
    progress: bool = True,
) -> tuple[list[Row], dict[str, Any]]:
    """Measures requests in so many processes, each with one thread, and counts the figures in one of them.

    The first request goes by itself: what a layer learns at its first use is then in the cache for all.

    Args:
        requests: one or more.
        settings, build, lent: see `chain_of`; all of them travel to the processes.
        workers: processes.
        progress: whether a bar is shown.

    Returns:
        The rows in order of the requests' names, and `evaluation.system_figures.all_figures` of them.

    Raises:
        RitornelloError: a layer cannot be built.
        RequestError: a process was ended from outside, by a lack of memory say.
    """
    for name in THREADS:
        os.environ[name] = "1"  # sums over several threads differ in their last bits
    chain_of(settings, build, lent)  # what cannot be built is told here, in one line
    rows: list[Row] = []
    with (
        tqdm(total=len(requests), desc="requests", file=sys.stderr, disable=not progress) as bar,
        _told(),
        processes(workers, _begin, (settings, build, lent)) as pool,
    ):
        for part in (requests[:1], requests[1:]):
            waiting: list[Future[Row]] = [pool.submit(_measure, request) for request in part]
            for done in as_completed(waiting):
                rows.append(done.result())
                bar.update()
        rows = sorted(rows, key=lambda row: row.name)
        return rows, pool.submit(_count, rows).result()  # the judge's sums, too, are of one thread


@contextmanager
def _told() -> Iterator[None]:
    """One line for a process that was ended from outside."""
    try:
        yield
    except BrokenProcessPool:
        raise RequestError("a process that measures ended by itself; try workers=1, or free some memory") from None


def evaluate(settings: Settings, build: Build, lent: Sequence[str]) -> str:
    """Runs the task; writes results.json, results.md and timings.json to `out`.

    Args:
        settings: plain values: the layers, `out` (None: runs/evaluate), `workers`, `logger`, and `task` with
            `requests` (a file, None for the one that ships), `count` (the first so many of it; None for all),
            `page` (a file that gets results.md as well), `baselines`, `progress`.
        build, lent: see `chain_of`.

    Returns:
        The page.

    Raises:
        RitornelloError: a layer cannot be built, a file cannot be read.
    """
    task, began = settings["task"], time.perf_counter()
    requests = read_requests(Path(task["requests"] or REQUESTS))[: task["count"]]
    if not requests:
        raise RequestError("task=evaluate has no requests to measure")
    for read in (people, people_judged, pianists):  # a damaged file is told before the work
        read()
    workers = min(settings["workers"] or os.cpu_count() or 1, MOST_WORKERS, len(requests))
    shown = bool(task["progress"])
    rows, figures = measure_all(requests, settings, build, lent, workers=workers, progress=shown)
    spent = timings(rows, time.perf_counter() - began, workers)
    out = Path(settings["out"] or "runs/evaluate")
    page = markdown(figures, command=_command(settings), versions=versions(settings, build), timings=spent)
    results = {"figures": figures, "requests": rounded([row.to_json() for row in rows])}
    write_atomically(out / "results.json", _json(results))
    write_atomically(out / "timings.json", _json(rounded(spent)))
    for path in (out / "results.md", *([Path(task["page"])] if task["page"] else [])):
        write_atomically(path, page.encode())
    record(settings, out, figures)
    return f"{page}\n{json.dumps(figures, ensure_ascii=False)}"


def rounded(value: Any) -> Any:
    """Plain builtins with few places; what is not a number is null."""
    if isinstance(value, Mapping):
        return {str(key): rounded(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    if isinstance(value, float):
        return round(value, PLACES) if abs(value) < float("inf") else None
    return value


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _command(settings: Settings) -> str:
    """What a user typed, without what the figures do not hang on; in words of the settings where nobody typed it."""
    task = settings["task"]
    words = [word for word in sys.argv[1:] if word.partition("=")[0] not in NO_MATTER]
    if "task=evaluate" not in words:
        named = (f"task.{name}={task[name]}" for name in ("requests", "count", "page") if task[name])
        words = ["task=evaluate", *named]
    return " ".join(["python pipeline.py", *words])


def versions(settings: Settings, build: Build) -> dict[str, str]:
    """The code's version, and each layer's class and weights, by the beginning of their hash."""
    from training.tracking import code_version

    code = code_version()
    found = {name: code[name] for name in ("ritornello", "git", "numpy", "torch") if name in code}
    for layer in LAYERS:
        made = build(settings, layer)
        sha = str(getattr(made, "about", {}).get("sha256", ""))[:12]
        found[layer] = type(made).__name__ + (f" ({sha})" if sha else "")
    return found


def record(settings: Settings, out: Path, figures: Mapping[str, Any]) -> None:
    """The figures in Weights & Biases or metrics.csv, as `logger` has it."""
    from training.loggers import begin_at, make_logger, wandb_run

    asked = settings["logger"]
    logger = make_logger(asked["kind"], out, asked["project"], settings, group=asked.get("group"))
    if isinstance(logger, bool):
        return
    begin_at(logger, 0)
    logger.log_metrics(dict(flat(figures)), 0)
    logger.save()
    run = wandb_run(logger)
    if run is None:
        return
    import wandb

    rows = [[*name.split("/"), value] for name, value in flat(figures)]
    run.log({"results": wandb.Table(columns=["stage", "column", "measure", "value"], data=rows)})
    run.summary.update(dict(flat(figures)))
    run.finish(exit_code=0)
