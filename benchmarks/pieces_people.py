"""People's pieces beside the composed ones: held-out works of the same ensembles, measured once and kept."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.pieces_table import Column, Row, measure
from evaluation.judge import JudgedPiece, judged_piece
from evaluation.known_form import plan_of_repeats
from evaluation.originality import RunIndex, index_pieces
from evaluation.perturb import altered_figures
from evaluation.piece import structure_figures
from music.analysis.plans import plan_of_score
from music.corpus import load_pieces
from music.errors import PlanError
from music.score import Score

ROOT = Path(__file__).parent.parent
MEASURES = ("evaluation", "music/analysis", "benchmarks/pieces_*")
MOST = 60  # pieces of an ensemble that are measured, evenly spaced over the ids; all stand before the judge
COMPOSERS = ("bach_chorale", "haydn", "mozart", "beethoven", "clementi")  # of whom the plans' styles are


@dataclass(frozen=True)
class People:
    """Held-out pieces.

    Args:
        scores: (ensemble, score) of each.
        index: of the pieces that were trained on.
        column: the measured ones.
    """

    scores: tuple[tuple[str, Score], ...]
    index: RunIndex
    column: Column

    def judged(self) -> list[JudgedPiece]:
        """All of them before the judge."""
        return [judged_piece(score, ensemble, ours=False) for ensemble, score in self.scores]


def human_row(score: Score, ensemble: str, index: RunIndex) -> Row:
    """Measures of a person's piece; those of structure only where its repeats say its form."""
    row = measure(score, None, index, ensemble=ensemble)
    try:
        known = plan_of_repeats(score, ensemble=ensemble)
        inferred = plan_of_score(score, ensemble=ensemble)
    except PlanError:
        return row
    figures = dict(row.figures)
    if known is not None:
        figures |= {name: value for name, value in structure_figures(score, known).items() if value is not None}
    # Chords of an inferred plan agree by themselves, so only dissonance is taken.
    found = altered_figures(score, inferred)
    altered = None if found is None else type(found)(found.bars, found.dissonance, None, None)
    return Row(**{**vars(row), "figures": figures, "altered": altered})


def load_people(data: str, path: Path | None, cache_dir: Path, kept: Path) -> People:
    """The held-out pieces of a data set; measured now unless `kept`.json holds them, measured by the same code."""
    pieces = [p for split in ("valid", "test") for p in load_pieces(data, split, path=path, cache_dir=cache_dir)]
    chosen = [(e, s) for e, s in pieces if e.style.startswith(COMPOSERS)]
    index = index_pieces(s for _, s in load_pieces(data, "train", path=path, cache_dir=cache_dir))
    sources = sorted(f for m in MEASURES for f in ROOT.glob(m if m.endswith("*") else f"{m}/*") if f.suffix == ".py")
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in sources))
    digest.update("\n".join(e.sha256 for e, _ in chosen).encode())
    file = kept.with_suffix(".json")
    held = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if held.get("of") == digest.hexdigest():
        column = Column.from_json(held)
    else:
        rows = []
        for ensemble in sorted({e.ensemble for e, _ in chosen}):
            members = [(e, s) for e, s in chosen if e.ensemble == ensemble]
            members = members[:: -(-len(members) // MOST)]
            shown = tqdm(members, f"people, {ensemble}", file=sys.stderr)
            rows += [human_row(s, e.ensemble, index) for e, s in shown]
        column = Column(tuple(rows))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"of": digest.hexdigest(), **column.to_json()}) + "\n", encoding="utf-8")
    return People(tuple((e.ensemble, s) for e, s in chosen), index, column)
