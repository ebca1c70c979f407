"""Examples from a corpus: every piece analysed as a plan, on all cores."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from composer.examples import Example, make_examples
from music.corpus import PieceEntry, load_pieces
from music.dropped import say
from music.errors import RitornelloError
from music.processes import processes
from music.score import Score


@dataclass(frozen=True, eq=False)
class Examples:
    """Pieces of one split, and why others were left out.

    Args:
        pieces: ready for training, in the manifest's order.
        dropped: (piece, reason).
        bars_left_out: bars of kept pieces that stand outside their regular spans.
        digest: sha256 over the ids and contents of the pieces that were kept.
    """

    pieces: tuple[Example, ...]
    dropped: tuple[tuple[str, str], ...]
    bars_left_out: int
    digest: str


def _one(job: tuple[PieceEntry, Score, tuple[str, ...]]) -> tuple[list[Example], int] | str:
    entry, score, styles = job
    try:
        return make_examples(entry.id, score, style=entry.style, ensemble=entry.ensemble, styles=styles)
    except RitornelloError as error:
        return str(error)


def _digest(entries: Sequence[PieceEntry]) -> str:
    text = "\n".join(sorted(f"{e.id} {e.sha256}" for e in entries))
    return hashlib.sha256(text.encode()).hexdigest()


def hold_out(examples: Examples) -> tuple[Examples, Examples]:
    """A tenth of the pieces, one at least, taken out to validate with: for a folder too small to have a valid split.

    Which ones depends on their names alone. A single piece is not divided.
    """
    works = sorted({_work(e) for e in examples.pieces}, key=lambda w: hashlib.sha256(w.encode()).hexdigest())
    chosen = set(works[: max(1, len(works) // 10)]) if len(works) > 1 else set()
    kept = tuple(e for e in examples.pieces if _work(e) not in chosen)
    taken = tuple(e for e in examples.pieces if _work(e) in chosen)
    return replace(examples, pieces=kept), replace(examples, pieces=taken, dropped=(), bars_left_out=0)


def _work(example: Example) -> str:
    """The piece that an example is a span of."""
    return example.name.rpartition(":")[0]


def load_examples(
    data: str,
    split: str,
    *,
    styles: Sequence[str] | None,
    cache_dir: Path,
    path: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> tuple[Examples, tuple[str, ...]]:
    """The examples of a corpus' split, and the styles that they are numbered by.

    Args:
        data: name of the corpus, see `music.corpus`.
        split: train, valid or test.
        styles: known style tags; None takes those of this split.
        cache_dir, path: as for `music.corpus.prepare`.
        workers: processes; None takes one a core.
        progress: show a bar.
    """
    pieces = load_pieces(data, split, cache_dir=cache_dir, path=path, workers=workers)
    known = tuple(styles) if styles is not None else tuple(sorted({entry.style for entry, _ in pieces}))
    jobs = [(entry, score, known) for entry, score in pieces]
    kept: list[Example] = []
    entries: list[PieceEntry] = []
    left_out = 0
    dropped: list[tuple[str, str]] = []
    with processes(workers) as pool:
        results = pool.map(_one, jobs, chunksize=4)
        for job, result in zip(jobs, tqdm(results, f"analyse {split}", len(jobs), disable=not progress), strict=True):
            if isinstance(result, str) or not result[0]:
                dropped.append((job[0].id, result if isinstance(result, str) else "has no eight regular bars"))
                continue
            kept += result[0]
            left_out += result[1]
            entries.append(job[0])
    if progress and dropped:
        say(f"{split}: {len(entries)} of {len(jobs)} pieces kept, {len(dropped)} dropped", dropped)
    return Examples(tuple(kept), tuple(dropped), left_out, _digest(entries)), known
