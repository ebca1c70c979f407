"""The planner's tables of how bars are written, made from the plans of real pieces.

    python pipeline.py task=prepare data=plans data.path=DIR                    makes plans.jsonl
    python -m benchmarks.texture_tables PLANS.jsonl [--out FILE.npz]            writes the tables
    python -m benchmarks.texture_tables PLANS.jsonl --compare [--pieces 100]    planned bars beside people's

Only plans of the split "train" count. The comparison gives, by style, the Jensen-Shannon divergence (bits) between the
bars of planned pieces and of these real ones, in density (notes a quarter), span and rhythm, and the same with one
texture for a whole section (its own density, the style's middle span, its most frequent rhythm), as if bars were not
planned. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from music.analysis.marked_plan import read_plans
from music.cache import write_atomically
from music.plan import RHYTHMS, BarTexture, Plan
from planner.dice import Dice
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from planner.styles import STYLES
from planner.texture_model import LEAST_BARS, TABLES, build_tables, pack_tables
from planner.textures import with_textures

DENSITY_EDGES = np.array([1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 10, 12])
SPAN_EDGES = np.arange(4, 64, 4)


def divergence(left: np.ndarray, right: np.ndarray) -> float:
    """Jensen-Shannon divergence of two histograms in bits."""
    p, q = left / left.sum(), right / right.sum()
    middle = (p + q) / 2
    terms = [np.sum(x[x > 0] * np.log2(x[x > 0] / middle[x > 0])) for x in (p, q)]
    return float(sum(terms) / 2)


def histograms(bars: Sequence[BarTexture]) -> dict[str, np.ndarray]:
    """Counts of density, span and rhythm over sounding bars."""
    bars = [b for b in bars if b.density > 0]
    density = np.searchsorted(DENSITY_EDGES, [b.density for b in bars], side="right")
    span = np.searchsorted(SPAN_EDGES, [b.span for b in bars], side="right")
    rhythm = [RHYTHMS.index(b.rhythm) for b in bars]
    sizes = (len(DENSITY_EDGES) + 1, len(SPAN_EDGES) + 1, len(RHYTHMS))
    found = zip(("density", "span", "rhythm"), (density, span, rhythm), sizes, strict=True)
    return {name: np.bincount(values, minlength=size).astype(float) for name, values, size in found}


def bars_of(plans: Sequence[Plan]) -> list[BarTexture]:
    """All bars of plans."""
    return [bar for plan in plans for section in plan.sections for bar in section.textures]


def planned(ensemble: str, style: str, count: int) -> list[Plan]:
    """Pieces planned in a style; styles that the planner has no word for get its bars all the same."""
    planner = GrammarPlanner()
    known = style in STYLES
    found = []
    for seed in range(count):
        request = PlanRequest(style=style if known else None, ensemble=ensemble, bars=48)
        found.append(planner.plan(request, seed=seed))
        if not known:
            found[-1] = with_textures(found[-1], Dice(seed), style=style)
    return found


def flat(plans: Sequence[Plan], real: Sequence[BarTexture]) -> list[BarTexture]:
    """The bars as they were before they were planned: one density a section."""
    span = int(np.median([b.span for b in real if b.density > 0]))
    rhythm = Counter(b.rhythm for b in real).most_common(1)[0][0]
    return [
        BarTexture(s.density or 0, s.register, span, rhythm) for p in plans for s in p.sections for _ in range(s.bars)
    ]


def compare(real: Sequence[Plan], count: int) -> dict[str, dict[str, float]]:
    """The divergences of each style with enough bars."""
    rows = {}
    for ensemble, style in sorted({(p.ensemble, p.style) for p in real}):
        people = bars_of([p for p in real if (p.ensemble, p.style) == (ensemble, style)])
        if len(people) < LEAST_BARS:
            continue
        ours = planned(ensemble, style, count)
        theirs = histograms(people)
        after, before = histograms(bars_of(ours)), histograms(flat(ours, people))
        rows[style] = {"bars": len(people)}
        for name in theirs:
            rows[style][f"{name} flat"] = round(divergence(before[name], theirs[name]), 4)
            rows[style][name] = round(divergence(after[name], theirs[name]), 4)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("plans", type=Path)
    parser.add_argument("--out", type=Path, default=TABLES)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--pieces", type=int, default=100)
    options = parser.parse_args(arguments)
    plans = [marked.plan for marked in read_plans(options.plans, lambda origin: origin.split == "train")]
    if not options.compare:
        data = pack_tables(build_tables(plans))
        write_atomically(options.out, data)
        print(f"{options.out}: {len(data)} bytes from {len(plans)} plans")
        return
    rows = compare(plans, options.pieces)
    for style, row in rows.items():
        print(f"{style:<22}" + "".join(f"{name} {value:<9}" for name, value in row.items()))
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
