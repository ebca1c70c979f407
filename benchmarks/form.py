"""How well the form of people's pieces is found blind where their repeats say what it is: as they are, and shaken.

    python -m benchmarks.form

Held-out chorales with repeats of 30 bars at most. "Shaken": bars of the repeats are changed at random within the scale
until they are only so like what they were, so that a finder that sees literal returns only is found out. Beside
`evaluation.form` stands `music.analysis.plans`, which makes the plans of corpus pieces; bar numbers, fermatas and marks
are hidden from both. Last, what chance gives: random notes on the plans of composed pieces.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.pieces import FORMS, Request
from evaluation.form import bars_of, find_form
from evaluation.known_form import plan_of_repeats
from evaluation.perturb import shake_returns
from evaluation.structure import bar_letters, boundary_f, mean_similarity, pairwise_f, section_pairs
from music.analysis.plans import plan_of_score
from music.cache import default_cache_dir
from music.corpus import load_pieces
from music.errors import PlanError
from music.plan import Plan
from music.score import KeyChange, MeterChange, Note, Part, Score, regular_bars
from music.time import DIVS_PER_QUARTER

MOST_BARS = 30
SHAKEN = ((0.0, 1.0), (0.4, 0.6), (0.7, 0.5))  # share of the bars, likeness with what they were
Form = tuple[Sequence[int], Sequence[str]]


def form_of_plan(score: Score) -> Form:
    """Bounds and letters of bars as the finder of corpus plans hears them."""
    bars = tuple(replace(bar, number=number) for number, bar in enumerate(score.bars, start=1))
    plan = plan_of_score(replace(score, sections=(), directions=(), bars=bars))
    return plan.first_bars[1:], bar_letters(plan)


def form_blind(score: Score) -> Form:
    """Bounds and letters of bars as `evaluation.form` finds them."""
    places, letters = find_form(score)
    return places[1:-1], bars_of(places, letters)


FINDERS: dict[str, Callable[[Score], Form]] = {"evaluation.form": form_blind, "music.analysis.plans": form_of_plan}


def known_pieces(cache_dir: Path, count: int) -> list[tuple[Plan, Score]]:
    """Held-out chorales whose repeats say their form."""
    found: list[tuple[Plan, Score]] = []
    for split in ("valid", "test"):
        for _, score in load_pieces("music21_chorales", split, cache_dir=cache_dir):
            try:
                plan = plan_of_repeats(score, ensemble="satb")
            except PlanError:
                continue
            if plan is not None and plan.bars <= MOST_BARS and len(found) < count:
                found.append((plan, score))
    return found


def noise(plan: Plan, seed: int) -> Score:
    """Notes drawn at random over a plan's bars: what a finder hears where there is nothing to find."""
    rng, step = np.random.default_rng(seed), DIVS_PER_QUARTER // 2
    struck = {
        (onset, int(rng.integers(45 + 10 * voice, 57 + 10 * voice)))
        for onset in range(0, plan.end_div, step)
        for voice in range(3)
        if rng.random() < 0.6
    }
    return Score(
        (Part("P1"),),
        tuple(Note(f"n{i}", onset, step, pitch) for i, (onset, pitch) in enumerate(sorted(struck))),
        regular_bars(plan.meter, plan.bars, plan.pickup_div),
        (MeterChange(0, plan.meter),),
        (KeyChange(0, plan.key),),
    )


def noise_figures(count: int) -> dict[str, list[float]]:
    """Pairwise F and F of bounds of noise on the plans of `benchmarks.pieces`, by form: what chance gives."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for seed in range(count):
        plan = Request(seed, 0.3).plan()
        bounds, letters = form_blind(noise(plan, seed))
        f = pairwise_f(bar_letters(plan), letters[: plan.bars]), boundary_f(plan.first_bars[1:], list(bounds))
        for name in (FORMS[seed % len(FORMS)][0], "all"):
            rows.setdefault(name, []).append(f)
    return {name: [round(float(v), 3) for v in np.mean(found, axis=0)] for name, found in rows.items()}


def main() -> None:
    """Prints pairwise F and F of bounds of both finders, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    parser.add_argument("--count", type=int, default=24)
    options = parser.parse_args()
    pieces = known_pieces(options.cache_dir, options.count)
    report = []
    for share, likeness in SHAKEN:
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in FINDERS}
        similar: list[float] = []
        for seed, (plan, score) in enumerate(tqdm(pieces, f"{share:.0%} of bars", file=sys.stderr)):
            shaken = shake_returns(score, plan, share=share, similarity=likeness, seed=seed)
            similar.append(mean_similarity(section_pairs(shaken, plan), same=True) or 0.0)
            for name, finder in FINDERS.items():
                bounds, letters = finder(shaken)
                count = min(len(letters), plan.bars)
                pairs = pairwise_f(bar_letters(plan)[:count], letters[:count])
                figures[name].append((pairs, boundary_f(plan.first_bars[1:], list(bounds))))
        means = {name: [round(float(v), 3) for v in np.mean(rows, axis=0)] for name, rows in figures.items()}
        report.append({"share": share, "likeness": round(float(np.mean(similar)), 3), **means})
        cells = "  ".join(f"{name}: {pairs:.3f} {bounds:.3f}" for name, (pairs, bounds) in means.items())
        print(f"{share:4.0%} of bars changed, likeness of returns {np.mean(similar):.2f}:  {cells}")
    by_chance = noise_figures(40)
    for name, (pairs, bounds) in by_chance.items():
        print(f"random notes on plans of {name}: {pairs:.3f} {bounds:.3f}")
    print(json.dumps({"pieces": len(pieces), "figures": report, "random_notes": by_chance}))


if __name__ == "__main__":
    main()
