"""Performers on pieces that we wrote: what is broken, what varies, which habits they have, and how long they take.

    OMP_NUM_THREADS=1 python -m benchmarks.performances --performer rules [--count 200] [--cache DIR]
    OMP_NUM_THREADS=1 python -m benchmarks.performances --performer learned [--weights FILE] [--expression 1.0]

Each piece is planned by the grammar, composed by the Markov chain and performed with its plan; styles of the planner
take turns. Its first five places go to scores on which performers trip: a unison, grace notes alone, and the like.
Prints faults by kind with the first few pieces that have one, spreads and habits, and one line of JSON; exits with 1
where any piece has a fault. Two samples of a piece must differ, and the same seed must give the same notes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from composer.markov import MarkovComposer
from evaluation.performance_faults import performance_faults
from evaluation.performance_habits import HABITS, MARGINS, habits
from evaluation.performance_spread import SPREADS, spreads
from evaluation.performances import layout
from music.plan import Plan
from music.score import Bar, MeterChange, Note, Part, Score, sort_notes
from music.time import DIVS_PER_QUARTER, Meter
from performer.evaluate import make_performers
from performer.evaluate_pieces import columns
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from planner.styles import STYLES

Q = DIVS_PER_QUARTER
# (onset, length, pitch) in quarters.
HARD: tuple[list[tuple[float, float, int]], ...] = (
    [(0, 4, 60)],
    [(0, 0, 74), (0, 0, 76), (0, 1, 72), (1, 1, 71)],
    [(2, 0, 60), (2, 0, 62)],
    [(i / 2, length, 60) for i in range(8) for length in (0.5, 1, 2)],
    [(i / 8, 1 / 8, 60) for i in range(64)],
)
NAMED = 5  # faulty pieces that are told


def hard(rows: list[tuple[float, float, int]]) -> Score:
    """A score of few notes in 4/4."""
    notes = [Note(f"n{i}", round(on * Q), round(length * Q), pitch) for i, (on, length, pitch) in enumerate(rows)]
    bars = tuple(Bar(i * 4 * Q, 4 * Q, i + 1) for i in range(4))
    return Score((Part("P1"),), sort_notes(notes), bars, (MeterChange(0, Meter(4, 4)),))


def pieces(count: int, cache: Path | None) -> Iterator[tuple[str, Score, Plan | None]]:
    """So many pieces with their names; the first ones have no plan."""
    for i, rows in enumerate(HARD[:count]):
        yield f"hard score {i}", hard(rows), None
    planner, composer, styles = GrammarPlanner(), MarkovComposer(cache), sorted(STYLES)
    for seed in range(count - len(HARD)):
        style = styles[seed % len(styles)]
        plan = planner.plan(PlanRequest(style=style, ensemble=STYLES[style].ensemble), seed=seed)
        yield f"{style}, seed {seed}: {plan}", composer.compose(plan, seed=seed), plan


def run(arguments: argparse.Namespace) -> int:
    """Plays all pieces and prints what came of it; 1 where something is broken."""
    made = make_performers([arguments.performer], weights=arguments.weights, expression=arguments.expression)
    performer = made[arguments.performer if arguments.performer in made else Path(arguments.performer).stem]
    broken: Counter[str] = Counter()
    named: list[str] = []
    varied: list[dict[str, float]] = []
    seen: list[dict[str, float]] = []
    spent, sounding, alike, changing, count = 0.0, 0.0, 0, 0, 0
    for seed, (name, score, plan) in enumerate(pieces(arguments.count, arguments.cache)):
        began = time.process_time()
        performance = performer.perform(score, seed=seed, plan=plan)
        spent += time.process_time() - began
        count, sounding = count + 1, sounding + performance.end_sec
        faults = {k: n for k, n in performance_faults(score, performance).items() if n}
        broken.update(faults.keys())
        if faults:
            named.append(f"{faults}: {name}")
        if seed % 10 == 0:
            changing += performer.perform(score, seed=seed, plan=plan) != performance
            alike += performer.perform(score, seed=seed + 1, plan=plan) == performance
        if plan is not None:
            where = layout(score)
            played = columns(score, performance, where)
            varied.append(spreads(where, played))
            seen.append(habits(where, played))
    figures = {
        "performer": arguments.performer,
        "pieces": count,
        "faultless": count - len(named),
        "faults": dict(broken),
        "same_seed_other_notes": changing,
        "other_seed_same_notes": alike,
        "cpu_seconds": round(spent, 2),
        "cpu_seconds_a_three_minute_piece": round(180 * spent / sounding, 3),
        "spread": {n: round(float(np.nanmean([row[n] for row in varied])), 3) for n in SPREADS} if varied else {},
        "habits": {n: _share([row[n] for row in seen], MARGINS[n]) for n in HABITS},
    }
    print(f"{figures['faultless']} of {count} pieces without fault")
    for line in named[:NAMED]:
        print(f"  {line}")
    for name in ("faults", "spread", "habits"):
        if figures[name]:
            print(f"{name:<8}" + "  ".join(f"{k} {v}" for k, v in figures[name].items()))
    print(f"{spent:.1f} s of processor time for {sounding / 60:.0f} min of music")
    print(json.dumps(figures))
    return int(bool(named) or bool(changing))


def _share(values: list[float], margin: float) -> float | None:
    known = [v for v in values if np.isfinite(v)]
    return round(float(np.mean([v > margin for v in known])), 3) if known else None


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--performer", default="rules", help="flat, rules, linear, learned or a .safetensors file")
    parser.add_argument("--weights", type=Path, help="of the learned performer; those that ship where left out")
    parser.add_argument("--expression", type=float, default=1.0, help="of the learned performer")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--cache", type=Path, help="where the Markov chain's tables are")
    sys.exit(run(parser.parse_args()))


if __name__ == "__main__":
    main()
