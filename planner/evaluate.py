"""task=evaluate_planner: the planner's networks on held-out plans beside two baselines, and its plans beside people's.

Nats are those of the same tokens for all models: a section costs what its letter, prime, bars, key and phrases (bars,
idea, cadence) cost, a chord its symbol and duration, a theme's note all that the theme costs shared among its notes.
Each style's mean weighs alike. The baselines are an order-2 Markov model of the training plans and one of plans that
the grammar draws, smoothed on real ones (`planner.baselines`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from tqdm import tqdm

from evaluation.plan_divergence import Divergence, compare, compare_changed, groups
from evaluation.plan_promises import with_promises
from evaluation.plans import at_home, cadences_kept, lengths, theme_figures
from music.analysis.marked_plan import MarkedPlan, Origin
from music.errors import RequestError
from music.plan import Plan
from planner import form_columns
from planner.baselines import MarkovTokens, fit
from planner.corpus import STREAMS, Walk, known_styles, load_plans, training_themes, walks_of
from planner.grammar import GrammarPlanner
from planner.interface import Planner, PlanRequest
from planner.streams import Tokens
from planner.styles import STYLE_OF_ENSEMBLE, STYLES

LEAST_PLANS = 3  # held-out plans that a style must have for its mean to count
# What a real plan must tell to stand beside ours: so each piece stands there once, read from its score. An analysis by
# people beside it (which has no themes) would put the same piece into both halves.
COMPARED = frozenset({"sections", "phrases", "cadences", "keys", "home", "chords", "themes"})
PEOPLE_PROMISED = "people's own (made to keep both promises)"
LEARNED_PROMISED = "learned beside people's held-out plans made to keep both promises"
Nats = Sequence[Float[np.ndarray, " _"]]  # a row for each walk


@dataclass(frozen=True)
class Unit:
    """What nats are counted by.

    Args:
        name: such as "chord".
        stream: in which it is told.
        fields: whose nats are its; () for all.
        counted: the field of which each has one.
    """

    name: str
    stream: str
    fields: tuple[str, ...]
    counted: str


UNITS = (
    Unit("section", "form", ("label", "prime", "bars", "key", "phrase_bars", "idea", "cadence"), "prime"),
    Unit("chord", "harmony", (), "symbol"),
    Unit("note", "theme", (), "pitch"),
)


def new_sections(tokens: Tokens) -> Bool[np.ndarray, " tokens"]:
    """Which tokens of a form belong to sections with a letter that was not heard before."""
    labels = tokens.fields == form_columns.LABEL
    is_new = np.concatenate([[False], tokens.values[labels] == form_columns.NEW])
    return is_new[np.cumsum(labels)]


def per_unit(unit: Unit, walks: Sequence[Walk], nats: Nats, *, first: bool = False) -> dict[str, float]:
    """Nats a unit, by style; walks that do not tell all of its fields are left out, since theirs would seem cheap.

    Args:
        unit: what is counted.
        walks: of one stream.
        nats: of their tokens.
        first: returns are left out.
    """
    stream = STREAMS[unit.stream]
    owned = np.array([not unit.fields or field.name in unit.fields for field in stream.fields])
    total: dict[str, float] = {}
    count: Counter[str] = Counter()
    for walk, row in zip(walks, nats, strict=True):
        tokens = walk.tokens
        taken = owned[tokens.fields]
        if not tokens.known[taken].all():
            continue
        if first:
            taken &= new_sections(tokens) if unit.stream == "form" else walk.first
        total[walk.style] = total.get(walk.style, 0.0) + float(row[taken].sum())
        count[walk.style] += int((taken & (tokens.fields == stream.field[unit.counted])).sum())
    return {style: total[style] / count[style] for style in sorted(total) if count[style]}


def held_out_styles(plans: Sequence[MarkedPlan], split: str) -> tuple[str, ...]:
    """Styles with `LEAST_PLANS` plans or more in the split, sorted."""
    count = Counter(m.plan.style for m in plans if m.origin.split == split)
    return tuple(sorted(style for style, number in count.items() if number >= LEAST_PLANS))


def grammar_plans(counts: Mapping[tuple[str, str], int], *, seed: int = 0) -> list[Plan]:
    """Plans of the grammar, so many for each style and ensemble; a style that it does not know is its ensemble's."""
    return free_plans(GrammarPlanner(), counts, seed=seed, known=STYLES)


def free_plans(
    planner: Planner, counts: Mapping[tuple[str, str], int], *, seed: int, known: Any = None, name: str | None = None
) -> list[Plan]:
    """Plans of which nothing is asked but style and ensemble.

    Args:
        planner: that draws them.
        counts: how many, by style and ensemble.
        seed: of the first plan of each style; the others count on.
        known: styles that the planner knows, where it does not know all: others are asked for by their ensemble.
        name: of the progress bar; None for none.
    """
    wanted = [(*kind, seed + i) for kind, count in sorted(counts.items()) for i in range(count)]
    found = []
    for style, ensemble, number in tqdm(wanted, name, disable=name is None):
        asked = style if known is None or style in known else STYLE_OF_ENSEMBLE[ensemble]
        plan = planner.plan(PlanRequest(style=asked, ensemble=ensemble), seed=number)
        found.append(plan if plan.style == style else replace(plan, style=style))
    return found


def kinds(plans: Sequence[MarkedPlan]) -> Counter[tuple[str, str]]:
    """How many plans there are of each style and ensemble."""
    return Counter((m.plan.style, m.plan.ensemble) for m in plans)


def grammar_walks(plans: Sequence[MarkedPlan], styles: Sequence[str], count: int, *, seed: int) -> list[MarkedPlan]:
    """About `count` plans of the grammar with the styles of the training plans, as training plans."""
    learned = kinds([m for m in plans if m.origin.split == "train"])
    total = sum(learned.values())
    counts = {kind: max(1, round(count * number / total)) for kind, number in learned.items()}
    drawn = grammar_plans(counts, seed=seed)
    return [MarkedPlan(plan, frozenset({"dynamics", "textures"}), Origin(split="train")) for plan in drawn]


def stream_nats(
    unit: Unit,
    plans: Sequence[MarkedPlan],
    drawn: Sequence[MarkedPlan],
    styles: Sequence[str],
    split: str,
    network: Callable[[str, list[Tokens]], Nats] | None,
) -> dict[str, Any]:
    """Nats a unit of the network (where there is one) and the baselines.

    Args:
        unit: what is counted, which names the stream.
        plans: all real ones.
        drawn: of the grammar.
        styles: that the network knows.
        split: held-out plans that are measured.
        network: nats of walks of a stream.

    Returns:
        By model the mean over styles, and `styles`; the same over `first` statements alone; `below` is the share by
        which the network's nats are fewer than the better baseline's.
    """
    walks = walks_of(unit.stream, plans, styles)
    by_split = {name: [w for w in walks if w.split == name] for name in ("train", "valid", split)}
    chosen = [w for w in by_split[split] if w.style in held_out_styles(plans, split)]
    if not chosen or not by_split["train"]:
        raise RequestError(f"there are no plans with a {unit.name} in the {split} or train split")
    valid = _styled(by_split["valid"])
    markov = fit(_styled(by_split["train"]), valid, STREAMS[unit.stream])
    grammar = fit(_styled(walks_of(unit.stream, drawn, styles)), valid, STREAMS[unit.stream])
    rows: dict[str, Nats] = {} if network is None else {"network": network(unit.stream, [w.tokens for w in chosen])}
    rows |= baseline_nats(markov, grammar, _styled(chosen))
    found = _table(unit, chosen, rows, first=False)
    if any(unit.stream == "form" or not walk.first for walk in chosen):
        found["first"] = _table(unit, chosen, rows, first=True)
    return found


def baseline_nats(markov: MarkovTokens, grammar: MarkovTokens, walks: Sequence[tuple[str, Tokens]]) -> dict[str, Nats]:
    """Of both baselines, and of the Markov model that sees two tokens and no style."""
    return {
        "markov": markov.nats_of(walks),
        "grammar": grammar.nats_of(walks),
        "markov_two_tokens": markov.nats_of(walks, "tokens"),
    }


def _styled(walks: Sequence[Walk]) -> list[tuple[str, Tokens]]:
    return [(walk.style, walk.tokens) for walk in walks]


def _table(unit: Unit, walks: Sequence[Walk], rows: Mapping[str, Nats], *, first: bool) -> dict[str, Any]:
    by_model = {model: per_unit(unit, walks, nats, first=first) for model, nats in rows.items()}
    found: dict[str, Any] = {model: float(np.mean(list(values.values()))) for model, values in by_model.items()}
    if "network" in found:
        found["below"] = 1.0 - found["network"] / min(found["markov"], found["grammar"])
    by_style = {
        style: {model: values[style] for model, values in by_model.items()} for style in next(iter(by_model.values()))
    }
    return found | {"styles": by_style}


def divergence_table(found: Sequence[Divergence]) -> dict[str, Any]:
    """By group and measure: the ratio with its interval, and both levels in bits."""
    table: dict[str, Any] = {}
    for d in found:
        row = {"ratio": d.ratio, "low": d.low, "high": d.high, "people": d.people, "ours": d.ours, "plans": d.plans}
        table.setdefault(d.group, {})[d.measure] = row
    return table


def plan_figures(
    plans: Sequence[Plan],
    themes: Callable[[Sequence[Plan]], dict[str, float]],
    missing: Sequence[frozenset[str]] | None = None,
) -> dict[str, Any]:
    """What a set of plans keeps, its lengths and its themes; a plan is left out where it misses what is measured."""

    def told(*parts: str) -> list[Plan]:
        return [p for i, p in enumerate(plans) if missing is None or missing[i].isdisjoint(parts)]

    kept, planned = cadences_kept(told("phrases", "cadences", "chords", "keys"))
    home = [at_home(plan) for plan in told("sections", "keys", "home")]
    return {
        "plans": len(plans),
        "cadences_kept": kept / planned if planned else 1.0,
        "cadences": planned,
        "at_home": float(np.mean(home)) if home else 1.0,
        "bars": lengths(plans),
        "themes": themes(told("themes")),
    }


def theme_measure(plans: Sequence[MarkedPlan]) -> Callable[[Sequence[Plan]], dict[str, float]]:
    """Measures themes as they are drawn: likeness within a plan, runs of notes shared with training themes."""
    from planner.theme_draw import shared_run, theme_index
    from planner.theme_likeness import theme_similarity

    index = theme_index(training_themes(plans))
    return lambda chosen: theme_figures(chosen, theme_similarity, lambda theme: shared_run(theme, index))


def compare_plans(
    people: Sequence[MarkedPlan], planners: Mapping[str, Sequence[Plan]], *, seed: int, draws: int
) -> dict[str, Any]:
    """Divergences of each planner's plans from people's."""
    real, missing = [m.plan for m in people], [m.missing for m in people]
    return {
        name: divergence_table(compare(real, drawn, seed=seed, draws=draws, missing=missing))
        for name, drawn in planners.items()
    }


def promises_compared(
    people: Sequence[MarkedPlan], ours: Sequence[Plan], *, seed: int, draws: int
) -> dict[str, dict[str, Any]]:
    """What the planner's two promises cost: home at both ends, and cadences in the phrases' last chords.

    Returns:
        `PEOPLE_PROMISED`: people's own plans made to keep them, against people's as they are; `LEARNED_PROMISED`: ours
        against people's made to keep them.
    """
    real, missing = [m.plan for m in people], [m.missing for m in people]
    kept = [with_promises(plan) for plan in real]
    changed = compare_changed(real, kept, seed=seed, draws=draws, missing=missing)
    beside = compare(kept, ours, seed=seed, draws=draws, missing=missing)
    return {PEOPLE_PROMISED: divergence_table(changed), LEARNED_PROMISED: divergence_table(beside)}


def training_plans_compared(
    people: Sequence[MarkedPlan], training: Sequence[MarkedPlan], *, seed: int, draws: int
) -> dict[str, Any]:
    """The same of people's own training plans: what the measures give for plans that are real, but of other works.

    Of styles with fewer training plans than held-out ones, only as many of these are taken, drawn at random.
    """
    have, taken = kinds(training), Counter[tuple[str, str]]()
    chosen = []
    for index in np.random.default_rng(seed).permutation(len(people)):
        kind = (people[index].plan.style, people[index].plan.ensemble)
        if taken[kind] < have[kind]:
            taken[kind] += 1
            chosen.append(people[index])
    return compare_plans(chosen, {"training": [m.plan for m in training]}, seed=seed, draws=draws)["training"]


def evaluate(cfg: dict[str, Any]) -> dict[str, Any]:
    """Runs the task.

    Args:
        cfg: plain values: `data` (see `planner.corpus.load_plans`), `cache_dir`, `planner_weights` (None: those that
            ship), `seed`, and `task` with `split` (held-out plans that nats are of), `people` (splits whose plans ours
            are compared with), `grammar_plans` (that its model is estimated from), `plans` (of each style at least),
            `draws`, `progress`.

    Returns:
        Figures: `nats` by unit, `divergence` of the learned planner's and the grammar's plans (and what the promises
        cost, see `promises_compared`), `plans` with what each
        side keeps, and how long it took.

    Raises:
        RequestError: no plans, or none held out.
        WeightsError: the weights cannot be used.
    """
    from planner.likelihood import token_nats
    from planner.sampling import SHIPPED, LearnedPlanner

    task, seed, started = cfg["task"], int(cfg["seed"]), time.perf_counter()
    named = cfg.get("planner_weights") or cfg.get("weights")
    weights = Path(named) if named else SHIPPED
    planner = LearnedPlanner(weights)
    plans, _ = load_plans(cfg["data"], Path(cfg["cache_dir"]))
    styles = known_styles(plans)
    drawn = grammar_walks(plans, styles, int(task["grammar_plans"]), seed=seed)

    def network(stream: str, walks: list[Tokens]) -> Nats:
        return token_nats(weights, stream, walks)

    found: dict[str, Any] = {
        "nats": {unit.name: stream_nats(unit, plans, drawn, styles, task["split"], network) for unit in UNITS}
    }
    whole = [m for m in plans if COMPARED.isdisjoint(m.missing)]
    held_out = [m for m in whole if m.origin.split in task["people"]]
    people = [m for m in held_out if m.plan.style in planner.styles and m.plan.style in STYLES]
    counts = {kind: max(count, int(task["plans"])) for kind, count in kinds(people).items()}
    began = time.perf_counter()
    ours = free_plans(planner, counts, seed=seed, name="plans" if task.get("progress", True) else None)
    speed = len(ours) / (time.perf_counter() - began)
    sides = {"learned": ours, "grammar": grammar_plans(counts, seed=seed)}
    found["divergence"] = compare_plans(people, sides, seed=seed, draws=int(task["draws"]))
    training = [m for m in whole if m.origin.split == "train"]
    found["divergence"]["people's training"] = training_plans_compared(
        people, training, seed=seed, draws=int(task["draws"])
    )
    found["divergence"] |= promises_compared(people, ours, seed=seed, draws=int(task["draws"]))
    real = [m.plan for m in people]
    compared = {people[i].plan.style for members in groups(real).values() for i in members}
    themes = theme_measure(plans)
    found["plans"] = {name: plan_figures(side, themes) for name, side in sides.items()}
    found["plans"]["people"] = plan_figures(real, themes, [m.missing for m in people])
    return found | {
        "styles_left_out": sorted({m.plan.style for m in held_out} - compared),
        "plans_per_second": round(speed, 1),
        "split": task["split"],
        "seconds": round(time.perf_counter() - started, 1),
    }
