"""Our plans beside people's: is ours against people's more than people's against people's?

Two samples of one source differ by chance alone, the more the smaller they are. So people's held-out plans are split
into random halves, many times: how far the halves lie apart is the human level, and ours is measured against the
same half, with as many plans of the same styles as the other half has, and over as many events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from evaluation.plans import FAMILIES, MEASURES, NEEDS
from music.errors import RequestError
from music.plan import Plan

MIN_PLANS = 10  # held-out plans that a style must have to stand by itself


@dataclass(frozen=True)
class Divergence:
    """One measure of one group of styles.

    Args:
        group: of `groups`: a style, a family ("piano") of those that are too few by themselves, or a whole family.
        measure: a name of `evaluation.plans.MEASURES`.
        plans: in each half.
        events: mean number that was counted in each sample.
        people: mean divergence in bits between two halves of people's plans.
        ours: the same between a half of people's and ours.
        ratio: `ours` to `people`; near 1 if our plans were people's.
        low, high: 2.5th and 97.5th percentiles of the ratio over the draws.
    """

    group: str
    measure: str
    plans: int
    events: float
    people: float
    ours: float
    ratio: float
    low: float
    high: float


def groups(plans: Sequence[Plan], least: int = MIN_PLANS) -> dict[str, list[int]]:
    """Indices of plans by style, where a style has at least `least`; the others' by family, where it has as many.

    What is left after that stands in no group, save that a family of several styles also stands as a whole, as "all
    piano": large enough to show what single styles are too few for.
    """
    styles = Counter(plan.style for plan in plans)
    found: dict[str, list[int]] = {}
    whole: dict[str, list[int]] = {}
    for index, plan in enumerate(plans):
        family = FAMILIES[plan.ensemble]
        found.setdefault(plan.style if styles[plan.style] >= least else family, []).append(index)
        whole.setdefault(family, []).append(index)
    found |= {f"all {family}": members for family, members in whole.items() if members not in found.values()}
    return {name: found[name] for name in sorted(found) if len(found[name]) >= least}


def compare(
    people: Sequence[Plan],
    ours: Sequence[Plan],
    *,
    seed: int,
    draws: int = 200,
    measures: Mapping[str, Callable[[Plan], Counter[Hashable]]] = MEASURES,
    missing: Sequence[frozenset[str]] | None = None,
) -> tuple[Divergence, ...]:
    """Measures ours against people's by group and measure.

    Args:
        people: held-out plans.
        ours: at least as many of each style.
        seed: of the draws.
        draws: splits into halves.
        measures: what is counted.
        missing: parts that each of people's plans does not tell (`MarkedPlan.missing`); it is left out of the measures
            that need them.

    Raises:
        RequestError: too few of ours, with the style and both numbers.
    """
    found = []
    for name, measure in measures.items():
        needs = NEEDS.get(name, frozenset())
        told = [p for i, p in enumerate(people) if missing is None or needs.isdisjoint(missing[i])]
        for group, members in groups(told).items():
            chosen = [told[index] for index in members]
            pool = _pool(chosen, ours)
            rows = _draws(chosen, pool, np.random.default_rng(seed), draws)
            table = _table([*chosen, *pool], measure)
            if table.sum() > 0:
                found.append(_measured(group, name, table, rows, np.random.default_rng(seed)))
    return tuple(sorted(found, key=lambda d: d.group))


def compare_changed(
    people: Sequence[Plan],
    changed: Sequence[Plan],
    *,
    seed: int,
    draws: int = 200,
    measures: Mapping[str, Callable[[Plan], Counter[Hashable]]] = MEASURES,
    missing: Sequence[frozenset[str]] | None = None,
) -> tuple[Divergence, ...]:
    """How far a change to people's own plans leads away from them: the second half stands changed against the first.

    Args:
        people: held-out plans.
        changed: the same ones, changed; in the same order.
        seed, draws, measures, missing: see `compare`.
    """
    found = []
    for name, measure in measures.items():
        needs = NEEDS.get(name, frozenset())
        told = [i for i in range(len(people)) if missing is None or needs.isdisjoint(missing[i])]
        for group, members in groups([people[i] for i in told]).items():
            chosen = [told[index] for index in members]
            table = _table([*(people[i] for i in chosen), *(changed[i] for i in chosen)], measure)
            if table.sum() > 0:
                rng, size, half = np.random.default_rng(seed), len(chosen), len(chosen) // 2
                orders = [rng.permutation(size) for _ in range(draws)]
                rows = [(o[:half], o[half : 2 * half], o[half : 2 * half] + size) for o in orders]
                found.append(_measured(group, name, table, rows, np.random.default_rng(seed)))
    return tuple(sorted(found, key=lambda d: d.group))


def _pool(people: Sequence[Plan], ours: Sequence[Plan]) -> list[Plan]:
    """Ours in people's styles.

    Raises:
        RequestError: fewer than people's in one of them.
    """
    need = Counter(plan.style for plan in people)
    pool = [plan for plan in ours if plan.style in need]
    have = Counter(plan.style for plan in pool)
    for style, count in need.items():
        if have[style] < count:
            raise RequestError(f"{have[style]} plans of style {style} are too few to compare with people's {count}")
    return pool


Rows = tuple[Int[np.ndarray, " half"], Int[np.ndarray, " half"], Int[np.ndarray, " half"]]


def _draws(people: Sequence[Plan], ours: Sequence[Plan], rng: np.random.Generator, draws: int) -> list[Rows]:
    """Rows of people's two halves and of ours, whose styles are the second half's; ours come after all of people's."""
    half = len(people) // 2
    places: dict[str, list[int]] = {}
    for index, plan in enumerate(ours, start=len(people)):
        places.setdefault(plan.style, []).append(index)
    found: list[Rows] = []
    for _ in range(draws):
        order = rng.permutation(len(people))
        one, other = order[:half], order[half : 2 * half]
        need = Counter(people[index].style for index in other)
        taken = [rng.choice(places[style], count, replace=False) for style, count in sorted(need.items())]
        found.append((one, other, np.concatenate(taken)))
    return found


def _table(plans: Sequence[Plan], measure: Callable[[Plan], Counter[Hashable]]) -> Int[np.ndarray, "plans kinds"]:
    """Counts of each kind of event in each plan."""
    counts = [measure(plan) for plan in plans]
    kinds = {kind: index for index, kind in enumerate(sorted({k for c in counts for k in c}, key=repr))}
    table = np.zeros((len(plans), len(kinds)), dtype=np.int64)
    for row, count in enumerate(counts):
        for kind, number in count.items():
            table[row, kinds[kind]] = number
    return table


def _measured(
    group: str,
    name: str,
    table: Int[np.ndarray, "plans kinds"],
    rows: Sequence[Rows],
    rng: np.random.Generator,
) -> Divergence:
    pairs, events = [], []
    for draw in rows:
        sums = [table[index].sum(axis=0) for index in draw]
        number = min(int(s.sum()) for s in sums)
        if number == 0:
            continue
        one, other, own = (_sampled(s, number, rng) for s in sums)
        pairs.append((bits(one, other), bits(one, own)))
        events.append(number)
    people, ours = np.array(pairs or [(0.0, 0.0)]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(people == ours, 1.0, ours / people)
        ratio = 1.0 if people.mean() == ours.mean() else float(ours.mean() / people.mean())
    # Where people's halves are the same in a draw its ratio is without bound: percentiles must not interpolate.
    low, high = np.quantile(ratios, (0.025, 0.975), method="nearest")
    return Divergence(
        group=group,
        measure=name,
        plans=len(rows[0][0]) if rows else 0,
        events=float(np.mean(events)) if events else 0.0,
        people=float(people.mean()),
        ours=float(ours.mean()),
        ratio=ratio,
        low=float(low),
        high=float(high),
    )


def _sampled(counts: Int[np.ndarray, " kinds"], number: int, rng: np.random.Generator) -> Int[np.ndarray, " kinds"]:
    """That many of the events, drawn without replacement."""
    if int(counts.sum()) == number:
        return counts
    return rng.multivariate_hypergeometric(counts, number, method="marginals")


def bits(a: Int[np.ndarray, " kinds"], b: Int[np.ndarray, " kinds"]) -> float:
    """`evaluation.plans.divergence` of counts that stand in the same order; it is run many thousand times."""
    p, q = a / a.sum(), b / b.sum()
    mean = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / mean), 0.0) + np.where(q > 0, q * np.log2(q / mean), 0.0)
    return max(0.0, float(terms.sum()) / 2)
