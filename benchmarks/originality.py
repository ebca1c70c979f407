"""How much held-out pieces share with training pieces, and how exact the index is that ships.

    python -m benchmarks.originality composer=DIR

For each style: median, 90th percentile and maximum of the longest run of sonorities that a held-out piece shares with
a training piece. Then, on some of these pieces, the hashed index beside one that compares the sonorities themselves,
and beside what an index of n-grams without their order would give: n-grams that match one after another, in whatever
pieces they stand.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from evaluation.originality import RunIndex, step_hash, step_shape
from evaluation.sonorities import changes, sonorities
from music.cache import default_cache_dir
from music.corpus import PieceEntry, load_pieces
from music.score import Score

NGRAMS = (4, 5, 6, 8)  # sonorities


class Exact:
    """Steps numbered by their shape instead of hashed: no two of them are taken for one."""

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}

    def steps(self, score: Score) -> np.ndarray:
        """The numbers of a piece's steps, from 1."""
        rows = changes(sonorities(score))
        shapes = (step_shape(a, b) for a, b in pairwise(rows))
        return np.array([self.numbers.setdefault(s, len(self.numbers) + 1) for s in shapes], dtype=np.uint32)


def hashed(score: Score) -> np.ndarray:
    """The hashes of a piece's steps."""
    rows = changes(sonorities(score))
    return np.array([step_hash(a, b) for a, b in pairwise(rows)], dtype=np.uint32)


def joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Pieces one after another with a 0 behind each."""
    return np.concatenate([np.append(part, np.uint32(0)) for part in parts])


def chained(piece: np.ndarray, grams: set[bytes], size: int) -> int:
    """The longest row of sonorities whose every n-gram of `size` sonorities stands in `grams`; 0 for none."""
    width, run, longest = size - 1, 0, 0
    for i in range(len(piece) - width + 1):
        run = run + 1 if piece[i : i + width].tobytes() in grams else 0
        longest = max(longest, run)
    return longest + size - 1 if longest else 0


def grams_of(pieces: Sequence[np.ndarray], size: int) -> set[bytes]:
    """All n-grams of pieces, as the bytes of their steps."""
    width = size - 1
    return {piece[i : i + width].tobytes() for piece in pieces for i in range(len(piece) - width + 1)}


def shared(entries: Sequence[PieceEntry], runs: Sequence[int]) -> dict[str, dict[str, float]]:
    """Median, 90th percentile and maximum by style, and over all."""
    by_style: dict[str, list[int]] = defaultdict(list)
    for entry, run in zip(entries, runs, strict=True):
        by_style[entry.style].append(run)
        by_style["all"].append(run)
    return {
        style: {
            "pieces": len(found),
            "median": float(np.median(found)),
            "p90": float(np.percentile(found, 90)),
            "max": max(found),
        }
        for style, found in sorted(by_style.items())
    }


def main() -> None:
    """Prints a table by style, then how exact the index is, then all as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", metavar="SET[=DIR]")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    parser.add_argument("--splits", nargs="+", default=["valid", "test"])
    parser.add_argument("--exact", type=int, default=50, help="pieces on which the index is held against the truth")
    options = parser.parse_args()
    name, _, folder = options.set.partition("=")
    places = {"cache_dir": options.cache_dir, "path": Path(folder) if folder else None}
    train = [score for _, score in load_pieces(name, "train", **places)]
    held_out = [piece for split in options.splits for piece in load_pieces(name, split, **places)]
    numbered = Exact()
    learned = [(hashed(s), numbered.steps(s)) for s in tqdm(train, "train", file=sys.stderr)]
    index, exact = RunIndex(joined(h for h, _ in learned)), RunIndex(joined(e for _, e in learned))
    runs = [index.longest_run(s) for _, s in tqdm(held_out, "held out", file=sys.stderr)]
    figures = shared([entry for entry, _ in held_out], runs)
    for style, row in figures.items():
        print(f"{style:<28}{row['pieces']:>5}  median {row['median']:>4g}  p90 {row['p90']:>5.4g}  max {row['max']:>3}")
    chosen = np.linspace(0, len(held_out) - 1, min(options.exact, len(held_out))).astype(int)
    known = len(numbered.numbers)
    values = len(set(np.concatenate([h for h, _ in learned]).tolist()))
    truth = [int(exact.run_lengths(numbered.steps(held_out[i][1])).max(initial=-1)) + 1 for i in chosen]
    found = [runs[i] for i in chosen]
    quality = {
        "steps": int(len(index.steps) - len(train)),
        "distinct_steps": known,
        "steps_that_share_a_hash": known - values,
        "pieces": len(chosen),
        "pieces_measured_too_long": sum(f > t for f, t in zip(found, truth, strict=True)),
        "pieces_measured_too_short": sum(f < t for f, t in zip(found, truth, strict=True)),
        "false_steps": _false_steps(index, exact, numbered, [held_out[i][1] for i in chosen]),
    }
    for size in NGRAMS:
        grams = grams_of([e for _, e in learned], size)
        over = [chained(numbered.steps(held_out[i][1]), grams, size) - t for i, t in zip(chosen, truth, strict=True)]
        quality[f"chained_{size}_grams_too_long_by"] = round(float(np.mean([max(o, 0) for o in over])), 3)
    print("\n".join(f"{key:<36}{value}" for key, value in quality.items()))
    print(json.dumps({"set": name, "splits": options.splits, "shared": figures, "index": quality}))


def _false_steps(index: RunIndex, exact: RunIndex, numbered: Exact, scores: Sequence[Score]) -> float:
    """Of the steps that no training piece has, the share that the hashed index takes for one of theirs."""
    ours, theirs = set(index.steps.tolist()), set(exact.steps.tolist())
    new = wrong = 0
    for score in scores:
        for code, number in zip(hashed(score).tolist(), numbered.steps(score).tolist(), strict=True):
            if number not in theirs:
                new += 1
                wrong += code in ours
    return round(wrong / max(new, 1), 6)


if __name__ == "__main__":
    main()
