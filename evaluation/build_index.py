"""Makes the index of training pieces that ships with the project.

    python -m evaluation.build_index composer=DIR
    python -m evaluation.build_index music21 piano_midi_de=DIR openscore_quartets=DIR

A set is named as in `task=prepare`, with the folder that it lies in where it needs one. Only its train split is taken.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from evaluation.originality import SHIPPED, RunIndex, index_pieces
from music.cache import default_cache_dir, file_sha256
from music.corpus import PieceEntry, load_pieces
from music.errors import RequestError, RitornelloError

MAX_BYTES = 4_000_000


def corpus_digest(entries: Sequence[PieceEntry]) -> str:
    """sha256 over the ids and contents of pieces, in any order."""
    text = "\n".join(sorted(f"{e.id} {e.sha256}" for e in entries))
    return hashlib.sha256(text.encode()).hexdigest()


def build_index(sets: Sequence[tuple[str, Path | None]], cache_dir: Path) -> RunIndex:
    """Index of the train split of these sets, a piece that stands in two of them once.

    Args:
        sets: (name, folder or None).
        cache_dir: where parsed pieces lie.

    Raises:
        RequestError, CacheError: as `music.corpus.load_pieces` does; RequestError where no piece is left.
    """
    found = {}
    for name, path in sets:
        for entry, score in load_pieces(name, "train", cache_dir=cache_dir, path=path):
            found.setdefault((entry.sha256, entry.movement), (entry, score))
    if not found:
        raise RequestError(f"{' '.join(name for name, _ in sets)}: no piece to train on")
    entries = [entry for entry, _ in found.values()]
    about = {"sets": [name for name, _ in sets], "pieces": len(entries), "corpus_sha256": corpus_digest(entries)}
    scores = tqdm([score for _, score in found.values()], "index", file=sys.stderr)
    return index_pieces(scores, about)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="SET[=DIR]")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    parser.add_argument("--out", type=Path, default=SHIPPED)
    options = parser.parse_args(arguments)
    sets = [(name, Path(folder).expanduser() if folder else None) for name, _, folder in
            (word.partition("=") for word in options.sets)]  # fmt: skip
    try:
        index = build_index(sets, options.cache_dir)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        index.write(options.out)
    except RitornelloError as error:
        print(f"build_index: {error}", file=sys.stderr)
        return 2
    size = options.out.stat().st_size
    print(f"{options.out}: {index.pieces} pieces, {len(index.steps) - index.pieces} steps, {size} bytes")
    print(f"corpus {index.about['corpus_sha256']}\nfile   {file_sha256(options.out)}")
    if size >= MAX_BYTES:
        print(f"build_index: larger than {MAX_BYTES} bytes", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
