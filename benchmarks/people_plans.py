"""The judge on pieces composed over people's own plans: what a composer is worth where no planner stands in its way.

    python -m benchmarks.people_plans --data composer --data-path DIR

Held-out pieces (their first regular stretch, 24 bars at most) are read as plans by analysis, composed anew in the
same ensemble, style and meter, and put before the judge beside all held-out pieces, as in `benchmarks.pieces`. The
plans hold the pieces' keys, chords, cadences, textures and themes; a theme's notes are the piece's own where they are
fixed, so a column without fixing stands beside. Some of the pieces before the judge are those whose plans these are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.pieces import COLUMNS, make_composer
from benchmarks.pieces_people import COMPOSERS
from evaluation.judge import JudgedPiece, Verdict, judge, judged_piece
from music.analysis.plans import plan_of_score
from music.analysis.spans import cut_span, join_split_bars, regular_spans
from music.cache import default_cache_dir
from music.corpus import PieceEntry, load_pieces
from music.errors import RitornelloError
from music.plan import Plan
from music.score import Score

MOST_BARS = 24


def plan_of_piece(entry: PieceEntry, score: Score) -> Plan | None:
    """The plan of a piece's first bars; None where they make none."""
    score = join_split_bars(score)
    spans = regular_spans(score)
    if not spans:
        return None
    first, last = spans[0]
    part = cut_span(score, first, min(last, first + MOST_BARS))
    try:
        return plan_of_score(part, style=entry.style, ensemble=entry.ensemble)
    except RitornelloError:
        return None


def compose(composer: Any, plans: Sequence[Plan], name: str) -> list[JudgedPiece]:
    """The pieces before the judge; a plan that the composer refuses (a meter off its grid) is left out."""
    made = []
    for seed, plan in enumerate(tqdm(plans, name, file=sys.stderr)):
        try:
            made.append(judged_piece(composer.compose(plan, seed=seed), plan.ensemble, ours=True))
        except RitornelloError:
            continue
    return made


def shown(name: str, found: Verdict) -> str:
    """A line of the table."""
    tells = ", ".join(f"{feature} {value:.2f}" for feature, value in found.tells[:5])
    return f"{name:<16} {found.auc:.3f} ({found.low:.2f}–{found.high:.2f}), {found.pieces[0]} pieces: {tells}"


def main() -> None:
    """Prints the judge's AUC for each column, by ensemble too, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", nargs="+", default=["biaxial", "free_themes", "plain", "markov"])
    parser.add_argument("--count", type=int, default=14, help="plans of each ensemble")
    parser.add_argument("--data", default="composer")
    parser.add_argument("--data-path", type=Path)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    options = parser.parse_args()
    places = {"path": options.data_path, "cache_dir": options.cache_dir}
    pieces = [p for split in ("valid", "test") for p in load_pieces(options.data, split, **places)]
    chosen = [(entry, score) for entry, score in pieces if entry.style.startswith(COMPOSERS)]
    people = [judged_piece(score, entry.ensemble, ours=False) for entry, score in chosen]
    plans: list[Plan] = []
    for ensemble in sorted({entry.ensemble for entry, _ in chosen}):
        members = [piece for piece in chosen if piece[0].ensemble == ensemble]
        members = members[:: max(1, len(members) // options.count)][: options.count]
        plans += [plan for entry, score in members if (plan := plan_of_piece(entry, score)) is not None]
    report: dict[str, Any] = {}
    for column in options.columns:
        kind = "markov" if column == "markov" else "biaxial"
        composer = make_composer(kind, COLUMNS[column], None, options.cache_dir)
        made = compose(composer, plans, column)
        for group in ("", *sorted({plan.ensemble for plan in plans})):
            sides = [piece for piece in (*made, *people) if piece.kind.startswith(group)]
            found = judge(sides)
            name = f"{column} {group}".strip()
            report[name] = {"auc": round(found.auc, 3), "interval": [round(found.low, 3), round(found.high, 3)]}
            print(shown(name, found), flush=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
