"""task=evaluate_composer: joint nats a frame on held-out works, beside the three baselines.

The baselines are a Markov chain, persistence and the per-pitch marginal, fitted on the same training pieces.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from tqdm import tqdm

from composer.baselines import fit_marginal, fit_persistence
from composer.conditions import FIELD
from composer.corpus import load_examples
from composer.examples import Example
from composer.likelihood import piece_nats
from composer.markov_tables import fit_markov
from composer.realise import STRENGTHS, StepContext
from composer.sampling import BiaxialComposer
from music.errors import RequestError

Scorer = Callable[[Example], Float[ndarray, " steps"]]


def example_context(example: Example) -> StepContext:
    """What the Markov chain is told of a piece: the same keys and places in the bar as the network."""
    context = example.context.astype(np.int64)
    steps = len(context)
    return StepContext(
        example.roll.steps_per_quarter,
        context[:, FIELD["key_pc"]],
        context[:, FIELD["key_minor"]] == 1,
        context[:, FIELD["bar_step"]],
        len(STRENGTHS) - 1 - context[:, FIELD["strength"]],
        np.zeros(steps, dtype=np.int64),
        np.zeros(steps, dtype=np.int64),
        np.zeros((steps, 12), dtype=bool),
        np.full(steps, -1, dtype=np.int64),
    )


def pooled(nats: Sequence[Float[ndarray, " _"]], examples: Sequence[Example]) -> float:
    """Mean over all frames, of all pieces together, that fit the grid."""
    kept = [n[e.roll.fit] for n, e in zip(nats, examples, strict=True)]
    return float(np.concatenate(kept).mean())


def _style_of(example: Example, styles: Sequence[str]) -> str:
    index = int(example.context[0, FIELD["style"]])
    return styles[index] if index >= 0 else "other"


def compare(
    scorers: dict[str, Scorer], examples: Sequence[Example], styles: Sequence[str], *, progress: bool = True
) -> dict[str, dict[str, float]]:
    """Nats a frame of each model over all pieces ("all") and by style."""
    table: dict[str, dict[str, float]] = {}
    for name, scorer in scorers.items():
        nats = [scorer(e) for e in tqdm(examples, name, disable=not progress)]
        groups: dict[str, list[int]] = defaultdict(list)
        for index, example in enumerate(examples):
            groups[_style_of(example, styles)].append(index)
        table[name] = {"all": pooled(nats, examples)}
        for style, members in sorted(groups.items()):
            table[name][style] = pooled([nats[i] for i in members], [examples[i] for i in members])
    return table


def evaluate(cfg: dict[str, Any]) -> dict[str, Any]:
    """Figures of the weights on held-out works of a corpus.

    Args:
        cfg: plain values: `data` (name, path), `cache_dir`, `workers`, `weights` (None for those that ship) and `task`:
            `split` (valid or test), `progress`.

    Returns:
        `nats_per_frame` (with the plan's conditions, all pieces), the table by model and style, counts.

    Raises:
        RequestError: the corpus has no held-out piece.
        WeightsError: the weights cannot be used.
    """
    started = time.perf_counter()
    composer = BiaxialComposer(Path(cfg["weights"]) if cfg.get("weights") else None)
    task, corpus = cfg["task"], cfg["data"]["name"]
    places: dict[str, Any] = {
        "cache_dir": Path(cfg["cache_dir"]),
        "path": Path(cfg["data"]["path"]) if cfg["data"].get("path") else None,
        "workers": cfg.get("workers"),
    }
    held_out, _ = load_examples(corpus, task["split"], styles=composer.styles, **places)
    train_set, _ = load_examples(corpus, "train", styles=composer.styles, **places)
    if not held_out.pieces or not train_set.pieces:
        raise RequestError(f"corpus {corpus} has no pieces in its {task['split']} or train split")
    scorers = make_scorers(composer, train_set.pieces)
    table = compare(scorers, held_out.pieces, composer.styles, progress=bool(task.get("progress", True)))
    learned, markov = table["biaxial"]["all"], table["markov"]["all"]
    return {
        "nats_per_frame": learned,
        "below_markov": 1 - learned / markov,
        "models": table,
        "split": task["split"],
        "pieces": len(held_out.pieces),
        "frames": int(sum(e.roll.fit.sum() for e in held_out.pieces)),
        "seconds": round(time.perf_counter() - started, 1),
    }


def make_scorers(composer: BiaxialComposer, train: Sequence[Example]) -> dict[str, Scorer]:
    """The network with and without its conditions, and the baselines fitted on the same training pieces."""
    rolls = [e.roll for e in train]
    markov = fit_markov(rolls, [example_context(e) for e in train])
    persistence, marginal = fit_persistence(rolls), fit_marginal(rolls)
    network = composer.network
    return {
        "biaxial": lambda e: piece_nats(network, e),
        "biaxial_told_sections": lambda e: piece_nats(network, e, told="sections"),
        "biaxial_without_reference": lambda e: piece_nats(network, e, told="plan_without_reference"),
        "biaxial_told_nothing": lambda e: piece_nats(network, e, told="nothing"),
        "markov": lambda e: -markov.log_prob(e.roll, example_context(e)),
        "persistence": lambda e: -persistence.log_prob(e.roll),
        "marginal": lambda e: -marginal.log_prob(e.roll),
    }
