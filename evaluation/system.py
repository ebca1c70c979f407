"""The whole chain on one request: a plan, a score and performances by every measure of this room, baselines beside.

The layers are known by what they do alone: a planner plans, a composer composes, a performer performs. The learned
chain's plan goes to all composers and its score to all performers, so each link's baseline has the same to work on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from evaluation.cadences import cadence_formulas, planned_cadences
from evaluation.faults import faults
from evaluation.judge import JudgedPiece, judged_piece
from evaluation.originality import RunIndex
from evaluation.performance_faults import performance_faults
from evaluation.performance_habits import habits
from evaluation.performance_spread import differences, lag_one, spreads
from evaluation.performances import Layout, Played, layout
from evaluation.piece import evaluate_piece
from evaluation.plans import at_home, cadences_kept
from evaluation.reference import as_kept
from evaluation.sonorities import sonorities
from evaluation.system_requests import Request, wishes
from evaluation.voice_leading import parallels
from music.analysis.chords import analyse_harmony
from music.errors import RitornelloError
from music.performance import Performance
from music.plan import Plan, Theme
from music.score import Score
from music.time import Meter

OURS = "ours"
Figures = dict[str, Any]  # plain builtins


@dataclass(frozen=True)
class Chain:
    """What is measured, and what is lent by the layers' rooms.

    Args:
        planners, composers, performers: by name; `OURS` is the chain itself, the others are baselines. None of the
            baselines is given where the chain uses it itself.
        make_plan: (planner, words, seed=…) -> plan.
        theme_similarity: how alike two themes of one meter are.
        columns: a performance on its score's layout.
        index: of the training pieces.
    """

    planners: Mapping[str, Any]
    composers: Mapping[str, Any]
    performers: Mapping[str, Any]
    make_plan: Callable[..., Plan]
    theme_similarity: Callable[[Theme, Theme, Meter], float]
    columns: Callable[[Score, Performance, Layout], Played]
    index: RunIndex | None = None


@dataclass(frozen=True)
class Row:
    """What was measured of one request.

    Args:
        name: of the request.
        ensemble: of the chain's plan; "" where there is none.
        plans, pieces, performances: figures by planner, composer, performer. One that failed has only `refused`, the
            reason in one line.
        judged: pieces before the judge, by composer.
        seconds: of processor time by stage: "plan ours", "compose markov", "measure" and so on.
    """

    name: str
    ensemble: str = ""
    plans: dict[str, Figures] = field(default_factory=dict)
    pieces: dict[str, Figures] = field(default_factory=dict)
    performances: dict[str, Figures] = field(default_factory=dict)
    judged: dict[str, JudgedPiece] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> Figures:
        """What a file of results keeps: no times and no windows."""
        kept = ("name", "ensemble", "plans", "pieces", "performances")
        return {name: getattr(self, name) for name in kept}


def measure_request(request: Request, chain: Chain) -> Row:
    """Plans, composes and performs a request, and measures everything.

    A layer that refuses the request, or fails with a typed error, is noted; what comes after the chain's own is then
    left out.
    """
    row = Row(request.name)
    plan = _plans(row, request, chain)
    if plan is None:
        return row
    row = Row(request.name, plan.ensemble, row.plans, seconds=row.seconds)
    score = _pieces(row, request, plan, chain)
    if score is not None:
        _performances(row, request, score, plan, chain)
    return row


def _plans(row: Row, request: Request, chain: Chain) -> Plan | None:
    ours = None
    for name, planner in chain.planners.items():
        try:
            with _timed(row, f"plan {name}"):
                plan = chain.make_plan(planner, request.words, seed=request.seed)
        except RitornelloError as error:
            row.plans[name] = {"refused": str(error)}
            continue
        with _timed(row, "measure"):
            row.plans[name] = plan_figures(request, plan, chain.theme_similarity)
        ours = plan if name == OURS else ours
    return ours


def _pieces(row: Row, request: Request, plan: Plan, chain: Chain) -> Score | None:
    ours = None
    for name, composer in chain.composers.items():
        try:
            with _timed(row, f"compose {name}"):
                score = composer.compose(plan, seed=request.seed)
            with _timed(row, "measure"):
                row.pieces[name] = piece_figures(score, plan, chain.index)
                row.judged[name] = as_kept(judged_piece(score, plan.ensemble, ours=True))
        except RitornelloError as error:
            row.pieces[name] = {"refused": str(error)}
            continue
        ours = score if name == OURS else ours
    return ours


def _performances(row: Row, request: Request, score: Score, plan: Plan, chain: Chain) -> None:
    where = layout(score)
    for name, performer in chain.performers.items():
        try:
            with _timed(row, f"perform {name}"):
                one = performer.perform(score, seed=request.seed, plan=plan)
            other = performer.perform(score, seed=request.seed + 1, plan=plan)
            with _timed(row, "measure"):
                played = [chain.columns(score, performance, where) for performance in (one, other)]
                row.performances[name] = performance_figures(score, one, where, played)
        except RitornelloError as error:
            row.performances[name] = {"refused": str(error)}


@contextmanager
def _timed(row: Row, stage: str) -> Iterator[None]:
    began = time.process_time()
    try:
        yield
    finally:
        row.seconds[stage] = row.seconds.get(stage, 0.0) + time.process_time() - began


def plan_figures(request: Request, plan: Plan, similarity: Callable[[Theme, Theme, Meter], float]) -> Figures:
    """A plan beside what was asked, and what plans promise (`evaluation.plans`).

    Returns:
        `wishes`: by kind how many are kept and how many there are; `cadences`: phrases whose last chords make the
        planned cadence, and all; `home`: whether both ends are; `themes`: likeness of each two themes; `text`.
    """
    asked: dict[str, list[int]] = {}
    for kind, kept in wishes(request, plan):
        count = asked.setdefault(kind, [0, 0])
        count[0], count[1] = count[0] + kept, count[1] + 1
    return {
        "text": str(plan),
        "wishes": asked,
        "cadences": list(cadences_kept([plan])),
        "home": at_home(plan),
        "themes": [similarity(a, b, plan.meter) for a, b in combinations(plan.themes, 2)],
        "bars": plan.bars,
        "returns": sum(section.source is not None for section in plan.sections),
        "sections": len(plan.sections),
    }


def piece_figures(score: Score, plan: Plan, index: RunIndex | None) -> Figures:
    """A score by `evaluation.piece`, its faults, and counts of what is rare, to be pooled over pieces."""
    row, harmony = sonorities(score), analyse_harmony(score)
    figures = evaluate_piece(score, plan, index)
    cadences = planned_cadences(score, plan, harmony)
    moves = parallels(row)
    return {
        "bars": plan.bars,
        "notes": len(score.notes),
        "measures": figures,
        "faults": {name: bool(found) for name, found in faults(figures, score, row, plan).items()},
        "parallels": [moves.moves, moves.fifths, moves.octaves],
        "cadences": [cadences.planned, cadences.exact, cadences.found],
        "formulas": [list(formula) for formula in cadence_formulas(score, row, harmony)],
    }


def performance_figures(score: Score, performance: Performance, where: Layout, played: list[Played]) -> Figures:
    """A performance by the measures that need no pianist of the same piece; `played` is it and one of another seed."""
    one, other = played
    return {
        "seconds": performance.end_sec,
        "faults": performance_faults(score, performance),
        "level": float(np.nanmean(one.velocity)),
        "spread": spreads(where, one),
        "habits": habits(where, one),
        "lag_one": lag_one(where, one),
        "differences": differences(one, other),
    }
