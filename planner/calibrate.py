"""Factors for `planner.form_factors` and `planner.chord_factors`: free plans are drawn and compared with people's.

Iterative proportional fitting (Deming and Stephan, "On a least squares adjustment of a sampled frequency table", 1940)
on samples: each round every choice is weighed by how far its drawn share lies from the wanted one. Wanted is the share
in training plans, helped out where there are few of them by the share that the network alone draws, which counts as so
many choices of people's. So a style of four plans stays with the network, one of a hundred is led to its own people.
Only the split `train` is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from music.analysis.marked_plan import MarkedPlan
from music.plan import Plan
from planner import form_columns as fc
from planner.chord_factors import KINDS, ChordFactors, Pairs, chord_pairs
from planner.form_factors import SIZES, SLOTS, FormFactors, count, no_factors
from planner.form_stream import FormDraw
from planner.interface import PlanRequest
from planner.sampling import LearnedPlanner
from planner.styles import STYLES

Table = Float[np.ndarray, "places choices"]
Counts = dict[int, Float[np.ndarray, "slots classes"]]
Drawn = TypeVar("Drawn")
_MOST = 3.0  # of a factor's logarithm
_NEEDS: Mapping[int, frozenset[str]] = {
    fc.LABEL: frozenset({"sections"}),
    fc.KEY: frozenset({"sections", "keys", "home"}),
    fc.CADENCE: frozenset({"sections", "phrases", "cadences"}),
}
_CHORDED = frozenset({"sections", "chords", "keys"})


@dataclass(frozen=True)
class CalibrationConfig:
    """How factors are fitted.

    Args:
        rounds: of drawing and weighing; 0: no factors.
        sections: drawn of each style in a round.
        pairs: of chords drawn of each style in a round, about.
        form_trust, cadence_trust, chord_trust: people's choices at a place, of a cadence anywhere, or after a chord,
            that the network's own share counts as.
        least: training plans that a style must have.
        least_chorded: training plans with chords that it must have for factors on chords. Of most styles only a few
            dozen are known, their chords heard by analysis alone; led to those, pieces left their keys.
    """

    rounds: int = 5
    sections: int = 1200
    pairs: int = 12000
    form_trust: float = 5.0
    cadence_trust: float = 500.0
    chord_trust: float = 5.0
    least: int = 20
    least_chorded: int = 200


def calibrate(
    planner: LearnedPlanner,
    plans: Sequence[MarkedPlan],
    config: CalibrationConfig,
    *,
    seed: int,
    progress: bool = False,
) -> dict[str, np.ndarray]:
    """Fits the factors of a planner and leaves it with them.

    Args:
        planner: with trained networks.
        plans: those of the split `train` are compared with.
        config: how.
        seed: of the draws.
        progress: whether a bar is shown.

    Returns:
        Tables for the weights file.
    """
    forms, chords = no_factors(1 + len(planner.styles)), {}
    for style, ensemble, learned in tqdm(list(_styles(planner, plans, config)), "calibrating", disable=not progress):
        number, request = 1 + planner.styles.index(style), PlanRequest(style=style, ensemble=ensemble)
        planner.chord_factors = None
        _fit_forms(forms, number, counts_of_plans(learned), planner, request, config, seed)
        told = [m.plan for m in learned if _CHORDED.isdisjoint(m.missing)]
        if len(told) >= config.least_chorded:
            chords[number] = _fit_chords(number, pairs_of(told), planner, request, config, seed)
    planner.form_factors, planner.chord_factors = FormFactors(forms), ChordFactors(chords)
    return {
        f"factors.{name}": v for name, v in (planner.form_factors.tables() | planner.chord_factors.tables()).items()
    }


def _styles(
    planner: LearnedPlanner, plans: Sequence[MarkedPlan], config: CalibrationConfig
) -> Iterator[tuple[str, str, list[MarkedPlan]]]:
    """Styles that can be asked for and have plans enough, each with its commonest ensemble and these plans."""
    if config.rounds == 0:
        return
    for style in planner.styles:
        told = [m for m in plans if m.plan.style == style and m.origin.split == "train" and "sections" not in m.missing]
        if style in STYLES and len(told) >= config.least:
            yield style, Counter(m.plan.ensemble for m in told).most_common(1)[0][0], told


def _many(
    draw: Callable[[PlanRequest, int], Drawn], request: PlanRequest, first: int, size: Callable[[Drawn], int], most: int
) -> list[Drawn]:
    """As many draws as have about `most` parts together."""
    found: list[Drawn] = []
    parts = 0
    while parts < most:
        found.append(draw(request, first + len(found)))
        parts += max(1, size(found[-1]))
    return found


def _fit_forms(
    logs: dict[int, Float[np.ndarray, "styles slots classes"]],
    style: int,
    people: Counts,
    planner: LearnedPlanner,
    request: PlanRequest,
    config: CalibrationConfig,
    seed: int,
) -> None:
    """Fits a style's row of the factors on forms."""
    wanted: Counts = {}
    trust = dict.fromkeys(SIZES, config.form_trust) | {fc.CADENCE: config.cadence_trust}
    for number in range(config.rounds):
        planner.form_factors = FormFactors(logs)
        first = seed + number * config.sections
        forms = _many(lambda r, s: planner.form(r, seed=s), request, first, lambda f: len(f.sections), config.sections)
        ours = counts_of_forms(forms)
        wanted = wanted or {f: wanted_shares(people[f], ours[f], trust[f]) for f in SIZES}
        for field in SIZES:
            logs[field][style] = stepped(logs[field][style], wanted[field], ours[field], number)
    planner.form_factors = FormFactors(logs)


def _fit_chords(
    style: int, people: Pairs, planner: LearnedPlanner, request: PlanRequest, config: CalibrationConfig, seed: int
) -> Pairs:
    """Fits a style's factors on pairs of chords; the forms have their factors already."""
    logs, wanted = np.zeros((KINDS, KINDS)), np.zeros((KINDS, KINDS))
    for number in range(config.rounds):
        planner.chord_factors = ChordFactors({style: logs})
        first = seed + number * config.pairs
        plans = _many(
            lambda r, s: planner.harmonised(r, seed=s), request, first, lambda p: int(pairs_of([p]).sum()), config.pairs
        )
        ours = pairs_of(plans)
        wanted = wanted if number else wanted_shares(people, ours, config.chord_trust)
        logs = stepped(logs, wanted, ours, number)
    return logs


def wanted_shares(people: Table, ours: Table, trust: float) -> Table:
    """Shares of the choices at each place that are to be drawn; a row of zeros where people or we have none there.

    Choices that the network alone never drew (forbidden ones among them) are left out.

    Args:
        people, ours: counts; ours are of the network alone.
        trust: what its share counts as.
    """
    own = ours / np.maximum(ours.sum(axis=1, keepdims=True), 1)
    found = np.where(ours > 0, people + trust * own, 0.0) * (people.sum(axis=1, keepdims=True) > 0)
    return found / np.maximum(found.sum(axis=1, keepdims=True), 1e-12)


def stepped(logs: Table, wanted: Table, ours: Table, number: int) -> Table:
    """The logarithms of factors after another round.

    A choice is added on both sides, so that rare ones are not led by chance; later rounds count less for the same end.

    Args:
        logs: before it.
        wanted: shares.
        ours: counts under `logs`.
        number: of the round, from 0.
    """
    total = ours.sum(axis=1, keepdims=True)
    step = np.where((wanted > 0) & (total > 0), np.log((wanted * total + 1) / (ours + 1)), 0.0)
    return np.clip(logs + step / np.sqrt(1 + number), -_MOST, _MOST)


def _empty() -> Counts:
    return {field: np.zeros((SLOTS, size)) for field, size in SIZES.items()}


def counts_of_forms(forms: Sequence[FormDraw]) -> Counts:
    """Choices of drawn forms."""
    found = _empty()
    for form in forms:
        count(found, form.sections, form.key)
    return found


def counts_of_plans(plans: Sequence[MarkedPlan]) -> Counts:
    """Choices of plans, as far as they tell them."""
    found = _empty()
    for marked in plans:
        known = frozenset(field for field, needs in _NEEDS.items() if needs.isdisjoint(marked.missing))
        count(found, marked.plan.sections, marked.plan.key, known)
    return found


def pairs_of(plans: Sequence[Plan]) -> Pairs:
    """How often each chord follows each other one."""
    found = np.zeros((KINDS, KINDS))
    for plan in plans:
        for section in plan.sections:
            for (before, after), number in chord_pairs(section).items():
                found[before, after] += number
    return found
