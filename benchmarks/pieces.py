"""Composed pieces by every measure of `evaluation/`, people's beside: means over forms, styles and seeds.

    python -m benchmarks.pieces --composer biaxial --count 10
    python -m benchmarks.pieces --composer markov --count 10

The same seeds give the same plans to both composers.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluation.originality import RunIndex, index_pieces
from evaluation.piece import evaluate_piece, summary, table
from music.cache import default_cache_dir
from music.corpus import load_pieces
from planner.grammar import GrammarPlanner
from planner.request import parse_request

# Forms and ways of writing in turn; five and three have no common divisor, so that fifteen pieces meet every pair.
FORMS = ("ternary", "rondo", "binary", "rounded_binary", "AABA")
STYLES = (("bach_chorale", "satb"), ("mozart_quartet", "quartet"), ("mozart_quartet", "piano"))


def make_composer(name: str, weights: str | None, cache_dir: Path) -> Any:
    """The composer of that name: "biaxial" or "markov"."""
    if name == "markov":
        from composer.markov import MarkovComposer

        return MarkovComposer(cache_dir=cache_dir)
    from composer.sampling import BiaxialComposer

    return BiaxialComposer(weights)


def measure(composer: Any, seed: int, bars: int, index: RunIndex) -> dict[str, float]:
    """Plans, composes and measures one piece; `index` holds the training pieces."""
    style, ensemble = STYLES[seed % len(STYLES)]
    request = parse_request(form=FORMS[seed % len(FORMS)], style=style, ensemble=ensemble, bars=bars)
    plan = GrammarPlanner().plan(request, seed=seed)
    return evaluate_piece(composer.compose(plan, seed=seed), plan, index)


def main() -> None:
    """Prints the table of means beside people's figures, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--composer", choices=("biaxial", "markov"), default="biaxial")
    parser.add_argument("--weights", help="a .safetensors file; the one that ships where not given")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--bars", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    options = parser.parse_args()
    composer = make_composer(options.composer, options.weights, options.cache_dir)
    seeds = range(options.seed, options.seed + options.count)
    index = index_pieces(s for _, s in load_pieces("music21", "train", cache_dir=options.cache_dir))
    found = summary([measure(composer, s, options.bars, index) for s in tqdm(seeds, options.composer, file=sys.stderr)])
    print(table({name: figure["mean"] for name, figure in found.items()}))
    print(json.dumps({"composer": options.composer, "pieces": options.count, "bars": options.bars, "measures": found}))


if __name__ == "__main__":
    main()
