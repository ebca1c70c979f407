"""A piece's measures in groups, each beside the range that people's pieces have: what the report shows."""

from __future__ import annotations

from evaluation.originality import shipped_index
from evaluation.piece import WORDS, evaluate_piece
from evaluation.reference import people
from music.cache import ensemble_of
from music.errors import RequestError
from music.plan import Plan
from music.score import Score

# A group, what is measured, the piece's value, and people's 10th percentile, mean and 90th percentile where known.
Row = tuple[str, str, float, tuple[float, float, float] | None]
# Groups by the first measure of each, in the order of `evaluation.piece.WORDS`.
GROUPS = {
    "similarity_same": "Form",
    "roots": "The plan, heard",
    "scale_consistency": "Harmony and voices",
    "longest_silence_bars": "Texture and motion",
    "structureness_short": "Repetition in time",
    "longest_shared_run": "Originality",
}
PEOPLE = {
    "satb": "{} chorales by Bach",
    "quartet": "{} movements of string quartets",
    "piano": "{} piano pieces of the classical era",
}


def beside_people(score: Score, plan: Plan | None = None) -> tuple[str, list[Row]] | None:
    """Who is compared with, and the measures that the score has, in the order of `WORDS`.

    Pieces are compared with people's for the same ensemble, chorales with chorales whatever plays them. Of people's
    piano pieces no form is known, so measures of form stand alone there. A plan that does not fit the score is left
    aside; a score that cannot be measured gives None.
    """
    figures = _figures(score, plan)
    if figures is None:
        return None
    ensemble = plan.ensemble if plan is not None else ensemble_of(score)
    if plan is not None and plan.style == "bach_chorale":
        ensemble = "satb"
    known = people()["pieces"]["sets"][ensemble]
    rows: list[Row] = []
    group = ""
    for name, words in WORDS.items():
        group = GROUPS.get(name, group)
        if name in figures:
            span = known["measures"].get(name)
            rows.append((group, words, figures[name], (span["p10"], span["mean"], span["p90"]) if span else None))
    return PEOPLE[ensemble].format(known["pieces"]), rows


def _figures(score: Score, plan: Plan | None) -> dict[str, float] | None:
    for candidate in (plan, None) if plan is not None else (None,):
        try:
            return evaluate_piece(score, candidate, shipped_index())
        except RequestError:
            continue
    return None
