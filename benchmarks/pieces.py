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

# Forms with bars that give a return its model's length, and ways of writing, in turn: five and three have no common
# divisor, so that fifteen pieces meet every pair.
FORMS = (("ternary", 24), ("rondo", 20), ("binary", 16), ("rounded_binary", 24), ("AABA", 16))
STYLES = (("bach_chorale", "satb"), ("mozart_quartet", "quartet"), ("mozart_quartet", "piano"))


def make_composer(name: str, weights: str | None, cache_dir: Path) -> Any:
    """The composer of that name: "biaxial" or "markov"."""
    if name == "markov":
        from composer.markov import MarkovComposer

        return MarkovComposer(cache_dir=cache_dir)
    from composer.sampling import BiaxialComposer

    return BiaxialComposer(weights)


def measure(composer: Any, seed: int, index: RunIndex, only: str | None = None) -> dict[str, float]:
    """Plans, composes and measures one piece; `index` holds the training pieces, `only` is the one style wanted."""
    styles = [s for s in STYLES if only in (None, s[0])]
    style, ensemble = styles[seed % len(styles)]
    form, bars = FORMS[seed % len(FORMS)]
    request = parse_request(form=form, style=style, ensemble=ensemble, bars=bars)
    plan = GrammarPlanner().plan(request, seed=seed)
    return evaluate_piece(composer.compose(plan, seed=seed), plan, index)


def main() -> None:
    """Prints the table of means beside people's figures, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--composer", choices=("biaxial", "markov"), default="biaxial")
    parser.add_argument("--weights", help="a .safetensors file; the one that ships where not given")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--style", choices=sorted({style for style, _ in STYLES}), help="only this style")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    options = parser.parse_args()
    composer = make_composer(options.composer, options.weights, options.cache_dir)
    seeds = range(options.seed, options.seed + options.count)
    index = index_pieces(s for _, s in load_pieces("music21", "train", cache_dir=options.cache_dir))
    found = summary(
        [measure(composer, s, index, options.style) for s in tqdm(seeds, options.composer, file=sys.stderr)]
    )
    print(table({name: figure["mean"] for name, figure in found.items()}))
    print(
        json.dumps({"composer": options.composer, "style": options.style, "pieces": options.count, "measures": found})
    )


if __name__ == "__main__":
    main()
