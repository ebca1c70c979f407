"""What `task=evaluate` shows people's figures from: measured once, since corpora are not part of the project.

    python -m benchmarks.reference pieces --data composer --data-path SETS    evaluation/people.json, people_windows.npz
    python -m benchmarks.reference plans                                      the same file, the part on plans
    python -m benchmarks.reference pianists                                   evaluation/pianists.json

`pieces` measures held-out works of three ensembles, evenly spaced over the ids, and keeps what the judge counts in some
of their windows: numbers, no notes. `plans` needs what `task=prepare data=plans` puts into the cache, `pianists` what
`task=prepare data=nasap` puts there.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.pieces_people import load_people
from evaluation.cadences import formula_entropy
from evaluation.faults import FAULTS
from evaluation.judge import JudgedPiece
from evaluation.performance_spread import differences
from evaluation.performances import mean_of
from evaluation.piece import summary
from evaluation.reference import PEOPLE, PIANISTS, WINDOWS
from evaluation.voice_leading import pooled_parallels
from evaluation.windows import feature_names
from music.cache import default_cache_dir, write_atomically
from performer.evaluate_figures import by_composition, human_figures
from performer.evaluate_pieces import Piece, pieces_of

MOST_WINDOWS = 16  # of one piece
PLACES = 4


def rounded(value: Any) -> Any:
    """Figures with few places; what is not known is null."""
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    if isinstance(value, float):
        return round(value, PLACES) if np.isfinite(value) else None
    return value


def put(path: Path, part: str, figures: dict[str, Any]) -> None:
    """Puts a part into a JSON file and leaves the others as they are."""
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    held[part] = rounded(figures)
    write_atomically(path, (json.dumps(dict(sorted(held.items())), indent=1) + "\n").encode())


def pieces(options: argparse.Namespace) -> None:
    """Measures pieces, and keeps windows of them for the judge."""
    with tempfile.TemporaryDirectory() as folder:
        kept = options.kept or Path(folder) / "people"
        people = load_people(options.data, options.data_path, options.cache_dir, kept)
    sets: dict[str, Any] = {}
    for ensemble in sorted({row.ensemble for row in people.column.rows}):
        rows = [row for row in people.column.rows if row.ensemble == ensemble]
        moves = pooled_parallels(row.parallels for row in rows)
        faulty = {name: [row.faults[name] for row in rows if name in row.faults] for name in FAULTS}
        sets[ensemble] = {
            "pieces": len(rows),
            "measures": summary([row.figures for row in rows]),
            "faults": {name: [sum(found), len(found)] for name, found in faulty.items() if found},
            "faultless": [sum(not any(row.faults.values()) for row in rows), len(rows)],
            "parallels": {"moves": moves.moves, "fifths": moves.fifths, "octaves": moves.octaves},
            "formula_entropy": formula_entropy([f for row in rows for f in row.formulas]),
        }
    command = f"python -m benchmarks.reference pieces --data {options.data} --data-path SETS"
    put(PEOPLE, "pieces", {"command": command, "sets": sets})
    shown = tqdm(people.judged(), "windows", file=sys.stderr)
    write_windows(WINDOWS, list(shown))


def write_windows(path: Path, judged: Sequence[JudgedPiece], *, seed: int = 0) -> None:
    """At most `MOST_WINDOWS` of each piece, drawn at random, as half-precision numbers; read by `people_judged`."""
    rng = np.random.default_rng(seed)
    held: list[np.ndarray] = []
    kinds: list[str] = []
    for piece in judged:
        count = min(MOST_WINDOWS, len(piece.windows))
        if count:
            held.append(piece.windows[np.sort(rng.choice(len(piece.windows), count, replace=False))])
            kinds.append(piece.kind)
    sizes = np.array([len(w) for w in held], dtype=np.int32)
    names = np.frombuffer(json.dumps({"kinds": kinds, "features": feature_names()}).encode(), dtype=np.uint8)
    page = io.BytesIO()
    np.savez_compressed(page, windows=np.concatenate(held).astype(np.float16), sizes=sizes, names=names)
    write_atomically(path, page.getvalue())


def plans(options: argparse.Namespace) -> None:
    """Measures people's held-out plans."""
    from planner.corpus import load_plans
    from planner.evaluate import COMPARED, plan_figures, theme_measure
    from planner.styles import STYLES

    known, _ = load_plans({"name": "plans", "of": "composer", "file": options.file}, options.cache_dir)
    held_out = [m for m in known if m.origin.split in ("valid", "test") and m.plan.style in STYLES]
    held_out = [m for m in held_out if COMPARED.isdisjoint(m.missing)]
    themes = theme_measure(known)
    sets = {"all": held_out} | {e: [m for m in held_out if m.plan.ensemble == e] for e in ("piano", "quartet", "satb")}
    figures = {n: plan_figures([m.plan for m in c], themes, [m.missing for m in c]) for n, c in sets.items() if c}
    put(PEOPLE, "plans", {"command": "python -m benchmarks.reference plans", "sets": figures})


def pianists(options: argparse.Namespace) -> None:
    """Measures pianists on held-out compositions."""
    from music.performance_corpus import load_performances

    loaded = pieces_of(load_performances("nasap", options.split, cache_dir=options.cache_dir))
    figures = human_figures(loaded)
    kept = ("r", "pairs", "compositions", "performances", "band", "all_within", "spread", "lag_one", "habits")
    found = {name: figures[name] for name in kept} | {"differences": mean_of(_differences(loaded))}
    levels = by_composition(loaded, lambda _, p: [{"level": float(np.nanmean(one.velocity))} for one in p.played])
    found |= mean_of(levels.values())
    command = f"python -m benchmarks.reference pianists --split {options.split}"
    put(PIANISTS, "nasap", {"command": command, **found})


def _differences(loaded: Sequence[Piece]) -> list[dict[str, float]]:
    return list(by_composition(loaded, lambda _, p: [differences(a, b) for a, b in p.pairs]).values())


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pieces", "plans", "pianists"))
    parser.add_argument("--data", default="composer")
    parser.add_argument("--data-path", type=Path)
    parser.add_argument("--kept", type=Path, help="a file, without its ending, that keeps what was measured of pieces")
    parser.add_argument("--file", help="a plans.jsonl in place of the cache's")
    parser.add_argument("--split", default="test")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    options = parser.parse_args()
    {"pieces": pieces, "plans": plans, "pianists": pianists}[options.what](options)


if __name__ == "__main__":
    main()
