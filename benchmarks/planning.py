"""Speed of planning on one core: the learned planner and the grammar, in one run.

    python -m benchmarks.planning
    python -m benchmarks.planning --count 500 --weights runs/planner/planner.safetensors

Loading is timed in a fresh process, from the import of the planner's module to a planner that is ready, and so is the
first plan; the better of three. Plans a second are over requests for every style by turns, with and without a form, and
a second is one of a core's work (the processor's time, not the clock's): what else the machine does hardly counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
LOADS = 3
FORMS = (None, None, "rondo", "ternary", "AABB")
_LOAD = """
import sys, time
started = time.perf_counter()
from pathlib import Path
from benchmarks.planning import make_planner
from planner.interface import PlanRequest
planner = make_planner(sys.argv[1], Path(sys.argv[2]) if sys.argv[2] else None)
loaded = time.perf_counter()
planner.plan(PlanRequest(), seed=0)
print(loaded - started, time.perf_counter() - loaded)
"""


def make_planner(kind: str, weights: Path | None) -> Any:
    """A planner: "learned" or "grammar"."""
    if kind == "learned":
        from planner.sampling import LearnedPlanner

        return LearnedPlanner(weights)
    from planner.grammar import GrammarPlanner

    return GrammarPlanner()


def load_seconds(kind: str, weights: Path | None) -> tuple[float, float]:
    """Seconds until a planner is ready, and until its first plan after that."""
    tries = []
    for _ in range(LOADS):
        command = [sys.executable, "-c", _LOAD, kind, str(weights or "")]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        loaded, first = (float(word) for word in text.split())
        tries.append((loaded, first))
    return min(tries)


def plans_a_second(planner: Any, styles: Sequence[str], count: int) -> tuple[float, float]:
    """Plans and bars a second, over requests for all styles and `FORMS` by turns."""
    from planner.interface import PlanRequest

    for seed, style in enumerate(styles):  # whatever is made when first used
        planner.plan(PlanRequest(style=style), seed=seed)
    bars, started = 0, time.process_time()
    for seed in range(count):
        request = PlanRequest(style=styles[seed % len(styles)], form=FORMS[seed % len(FORMS)])
        bars += planner.plan(request, seed=seed).bars
    seconds = time.process_time() - started
    return count / seconds, bars / seconds


def main() -> None:
    """Prints a table and one JSON line."""
    os.environ |= dict.fromkeys(THREADS, "1")  # before numpy is imported
    from planner.styles import STYLES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--planners", nargs="+", default=["learned", "grammar"])
    options = parser.parse_args()
    figures = {}
    print(f"{'planner':<10} {'load s':>8} {'first s':>8} {'plans/s':>8} {'bars/s':>8}")
    for kind in options.planners:
        loaded, first = load_seconds(kind, options.weights)
        plans, bars = plans_a_second(make_planner(kind, options.weights), tuple(STYLES), options.count)
        print(f"{kind:<10} {loaded:8.2f} {first:8.2f} {plans:8.1f} {bars:8.0f}", flush=True)
        figures[kind] = {"load_seconds": loaded, "first_seconds": first, "plans_per_second": plans, "bars": bars}
    print(json.dumps({kind: {k: round(v, 3) for k, v in row.items()} for kind, row in figures.items()}))


if __name__ == "__main__":
    main()
