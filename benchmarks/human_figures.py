"""The measures of `evaluation/` on people's music: held-out chorales and quartets, written to evaluation/human.json.

    python -m benchmarks.human_figures

Most plans of the sets are inferred (`music.analysis.plans`), so only measures that say something of such a plan are
taken with one: likeness of sections and altered bars. Roots, keys and cadences against an inferred plan would agree by
themselves; how far the analysis agrees with people stands under `extractor`, from `python -m benchmarks.analysis
--data WHEN_IN_ROME`, test half. Whether a form is found blind is asked where the score's repeats say what it is
(`evaluation.known_form`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tqdm import tqdm

from evaluation.known_form import plan_of_repeats
from evaluation.originality import RunIndex, index_pieces
from evaluation.piece import HUMAN, evaluate_piece, structure_figures, summary
from evaluation.structure import blind_form
from music.analysis.plans import plan_of_score
from music.cache import default_cache_dir
from music.corpus import load_pieces
from music.errors import PlanError
from music.score import Score

SETS = ("music21_chorales", "music21_quartets")
OF_AN_INFERRED_PLAN = ("similarity_same", "similarity_different", "altered_bars")
# Precision and recall of cadences in their kind (PAC, IAC, HC, DC apart) at the 1,010 fermatas of the test half.
EXTRACTOR = {
    "roots": 0.94,
    "roots_by_beat": 0.947,
    "section_keys": 0.869,
    "cadences_exact": 0.875,
    "cadence_precision": {"all": 0.907, "PAC": 0.983, "IAC": 0.842, "HC": 0.813, "DC": 1.0},
    "cadence_recall": {"all": 0.889, "PAC": 0.915, "IAC": 0.814, "HC": 0.887, "DC": 0.941},
    "phrase_ends": {"precision": 0.795, "recall": 0.877},
}


def figures_of(score: Score, ensemble: str, index: RunIndex) -> dict[str, float]:
    """The measures that make sense of a human piece; `index` holds the training pieces of its set."""
    figures = evaluate_piece(score, index=index)
    try:
        inferred = structure_figures(score, plan_of_score(score, ensemble=ensemble))
        known = plan_of_repeats(score, ensemble=ensemble)
    except PlanError:
        return figures
    taken = {name: inferred[name] for name in OF_AN_INFERRED_PLAN}
    form = blind_form(score, known) if known else None
    if form:
        taken |= {"form_pairwise_f": form[0], "form_boundary_f": form[1]}
    return {name: value for name, value in taken.items() if value is not None} | figures


def main() -> None:
    """Measures the held-out splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    parser.add_argument("--splits", nargs="+", default=["valid", "test"])
    parser.add_argument("--most", type=int, default=1000, help="pieces of a set at most, evenly spaced over the ids")
    parser.add_argument("--out", type=Path, default=HUMAN)
    options = parser.parse_args()
    sets = {}
    for name in SETS:
        pieces = [p for s in options.splits for p in load_pieces(name, s, cache_dir=options.cache_dir)]
        pieces = pieces[:: -(-len(pieces) // options.most)]
        index = index_pieces(s for _, s in load_pieces(name, "train", cache_dir=options.cache_dir))
        rows = [figures_of(s, e.ensemble, index) for e, s in tqdm(pieces, name, file=sys.stderr)]
        sets[name] = {"pieces": len(rows), "measures": summary(rows)}
    written = {
        "command": f"python -m benchmarks.human_figures --splits {' '.join(options.splits)} --most {options.most}",
        "sets": sets,
        "extractor": EXTRACTOR,
    }
    options.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(options.out)


if __name__ == "__main__":
    main()
