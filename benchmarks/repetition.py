"""How much is struck again and again: people's pieces beside composed ones, by `evaluation.repetition`.

    python -m benchmarks.repetition --data composer --data-path SETS --count 40

Composes over plans of the learned planner in eight piano styles and five forms. Training, validation and test pieces
of people stand in a row each: the first of them is what limits may be taken from.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.pieces import make_composer, parse_settings, planner_of
from evaluation.repetition import busy_bars, hammered_bars, longest_hammering, restrike_hazards, restrikes
from evaluation.sonorities import sonorities
from music.cache import default_cache_dir
from music.corpus import load_pieces
from music.score import Score
from planner.request import parse_request

FORMS = (("ternary", 24), ("rondo", 40), ("binary", 16), ("rounded_binary", 24), ("AABA", 32))
COMPOSERS = ("beethoven", "mozart", "chopin", "haydn", "schubert", "clementi", "schumann", "brahms")
HEAD = (
    "| | restruck notes | in busy bars | bars that hammer | most in a row | entropy, bits | hazard of the 1st to 6th |"
)


def line(name: str, scores: Sequence[Score]) -> str:
    """A line of the table."""
    rows = [sonorities(score) for score in scores]
    bars = [busy_bars(score, row) for score, row in zip(scores, rows, strict=True)]
    busy = [bar for found in bars for bar in found]
    hammered = hammered_bars(busy)
    if hammered is None:
        return f"| {name} | no bar is busy |"
    hazards = ", ".join(f"{on / max(of, 1):.2f}" for of, on in restrike_hazards(rows)[:6])
    cells = (
        f"{np.mean([restrikes(row) for row in rows]):.3f}",
        f"{np.mean([bar.restruck for bar in busy]):.3f}",
        f"{100 * hammered:.1f} % of {len(busy)}",
        str(max(longest_hammering(found) for found in bars)),
        f"{np.mean([bar.entropy for bar in busy]):.2f}",
        hazards,
    )
    return f"| {name} | {' | '.join(cells)} |"


def composed(kind: str, settings: Iterable[str], count: int, cache_dir: Path) -> list[Score]:
    """Pieces over plans of all styles and forms."""
    composer = make_composer(kind, parse_settings(settings), None, cache_dir)
    scores = []
    for seed in tqdm(range(count), kind, file=sys.stderr):
        form, bars = FORMS[seed % len(FORMS)]
        request = parse_request(
            form=form, style=f"{COMPOSERS[seed % len(COMPOSERS)]}_piano", ensemble="piano", bars=bars
        )
        scores.append(composer.compose(planner_of("learned").plan(request, seed=seed), seed=seed))
    return scores


def main() -> None:
    """Composes, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", nargs="*", choices=("biaxial", "markov"), default=["biaxial"])
    parser.add_argument("--set", nargs="*", default=[], dest="settings", help="settings of sampling, as least=0.01")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--data", default="composer")
    parser.add_argument("--data-path", type=Path)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    options = parser.parse_args()
    print(f"{HEAD}\n|{'---|' * 7}", flush=True)
    for split in ("train", "valid", "test"):
        pieces = load_pieces(options.data, split, path=options.data_path, cache_dir=options.cache_dir)
        scores = [score for entry, score in pieces if entry.ensemble == "piano"]
        print(line(f"people, {split}, {len(scores)} pieces", scores), flush=True)
    for kind in options.columns:
        scores = composed(kind, () if kind == "markov" else options.settings, options.count, options.cache_dir)
        print(line(f"{kind}, {len(scores)} pieces", scores), flush=True)


if __name__ == "__main__":
    main()
