"""task=train_performer: trains the performer's network on one set of performances and writes its weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from performer.corpus import digest_of, load_examples, require
from performer.data import CropConfig, PerformanceData, chances_of, sheets_of
from performer.examples import Example
from performer.feature_columns import NOTE_TABLE, ONSET_TABLE
from performer.features import GROUPS, NOTE_COLUMNS, ONSET_COLUMNS, columns_of
from performer.module import PerformerModule
from performer.network_config import PerformerConfig
from performer.piece_levels import fit_levels
from performer.sampling import KIND
from training.loggers import named
from training.run import RunConfig, fit
from training.samples import Sampler, Samples
from training.tracking import note
from training.weights import save_weights

MONITOR = "valid/unlike"


def train(cfg: dict[str, Any], *, logger: Logger | bool = False, sampler: Sampler | None = None) -> dict[str, Any]:
    """Trains, resuming where a checkpoint stands, and writes `out`/performer.safetensors.

    Args:
        cfg: plain values: `data` (`name` of a prepared set of performances, its `licence`), `cache_dir`, `out`, `seed`,
            `trainer` (Lightning's arguments) and `task`: `run` (`RunConfig`), `network` (sizes of `PerformerConfig`),
            `optimiser`, `crops` (`CropConfig`), `resume`, and `members`: what each network has of its own; what
            they expect is averaged, the first one's departures are drawn.
        logger: Lightning's; False for none. Of several members each one's figures have its number before them.
        sampler: makes pieces on the way; None for none.

    Returns:
        Figures: of each member, parameters, performances, where the weights are.

    Raises:
        RequestError: the set is not prepared, or has nothing to train or to validate with.
    """
    out, task, data = Path(cfg["out"]), cfg["task"], cfg["data"]
    started = time.perf_counter()
    train_set, dropped = load_examples(data["name"], "train", cache_dir=Path(cfg["cache_dir"]))
    valid_set, also = load_examples(data["name"], "valid", cache_dir=Path(cfg["cache_dir"]))
    require(train_set, data["name"], "train")
    require(valid_set, data["name"], "valid")
    about = {
        "kind": KIND,
        "amounts": dict(task.get("amounts") or {}),
        "chord_spread": _has_chord_spread(train_set),
        "constant": constant_columns(train_set),
        "trained_on": {"data": data["name"], "performances": len(train_set), "digest": digest_of(train_set)},
        "licence": data.get("licence") or "",
        "seed": int(cfg["seed"]),
    }
    note(out, logger, corpus={**about["trained_on"], "valid_digest": digest_of(valid_set)})
    levels = {f"levels.{key}": torch.from_numpy(value) for key, value in fit_levels(train_set).items()}
    modules: list[PerformerModule] = []
    figures: list[dict[str, Any]] = []
    for number, own in enumerate(task["members"]):
        name = f"{number}" if len(task["members"]) > 1 else ""
        snapshot = partial(_snapshot, tuple(modules), about, levels)
        samples = Samples(sampler, snapshot, out, name and f"member-{name}") if sampler else None
        where = named(logger, name) if name else logger
        module, found = _fit(train_set, valid_set, _member(cfg, number, own or {}), where, samples)
        modules.append(module)
        figures.append(found)
    weights = out / "performer.safetensors"
    if modules[0].global_rank == 0:  # every process of a ddp run comes here
        _save(weights, modules, {**about, "figures": figures}, levels)
    return {
        "members": figures,
        "parameters": sum(found["parameters"] for found in figures),
        "train_performances": len(train_set),
        "valid_performances": len(valid_set),
        "dropped": [f"{name}: {reason}" for name, reason in (*dropped, *also)],
        "seconds": round(time.perf_counter() - started, 1),
        "weights": str(weights),
    }


def _save(
    path: Path, modules: Sequence[PerformerModule], about: dict[str, Any], levels: dict[str, torch.Tensor]
) -> None:
    """Networks whose expectations are averaged, in half precision, and the regression of `performer.piece_levels`."""
    states = [module.network.state_dict() for module in modules]
    tensors = {f"{i}.{key}": value.half() for i, state in enumerate(states) for key, value in state.items()}
    save_weights(path, tensors | levels, {**about, "networks": [module.network.config.to_dict() for module in modules]})


def _snapshot(
    trained: tuple[PerformerModule, ...],
    about: dict[str, Any],
    levels: dict[str, torch.Tensor],
    present: pl.LightningModule,
    path: Path,
) -> None:
    """A performer of the networks that are trained and the one that is being trained."""
    assert isinstance(present, PerformerModule)
    _save(path, (*trained, present), about, levels)


def _member(cfg: dict[str, Any], number: int, own: dict[str, Any]) -> dict[str, Any]:
    """The settings of one network: a seed and a folder of its own, and what it has of its own."""
    task = cfg["task"]
    parts = {part: {**task[part], **own.get(part, {})} for part in ("run", "network", "optimiser", "crops")}
    where = {"seed": int(cfg["seed"]) + number, "out": str(Path(cfg["out"]) / str(number))}
    return {**cfg, **where, "task": {**task, **parts}}


def constant_columns(examples: tuple[Example, ...]) -> list[str]:
    """Names of the columns that are the same in all examples: weights know nothing of them, so they are concealed."""
    found: list[str] = []
    for names, part in ((NOTE_COLUMNS, "notes"), (ONSET_COLUMNS, "onsets")):
        tables = [getattr(e.features, part) for e in examples]
        low, high = np.min([t.min(0) for t in tables], 0), np.max([t.max(0) for t in tables], 0)
        found += [f"{part}.{name}" for name, least, most in zip(names, low, high, strict=True) if least == most]
    return found


def _has_chord_spread(examples: tuple[Example, ...]) -> bool:
    """Whether notes of a chord are ever apart in a set."""
    return any(bool((e.targets.levels[6] == e.targets.levels[6]).item()) for e in examples)


def _fit(
    train_set: tuple[Example, ...],
    valid_set: tuple[Example, ...],
    cfg: dict[str, Any],
    logger: Logger | bool,
    samples: Samples | None = None,
) -> tuple[PerformerModule, dict[str, Any]]:
    """The best module, and its figures."""
    task, seed = cfg["task"], int(cfg["seed"])
    run, crops = _run_config(task["run"], cfg["trainer"]), CropConfig(**task["crops"])
    styles = tuple(sorted({e.style for e in train_set}))
    torch.manual_seed(seed)
    network = PerformerConfig.of(NOTE_COLUMNS, ONSET_COLUMNS, styles, **task["network"]).to_dict()
    module = PerformerModule(network, {**task["optimiser"], "total": run.max_steps})
    data = PerformanceData(
        sheets_of(train_set, styles),
        sheets_of(valid_set, styles),
        chances_of(train_set, crops.balance),
        crops,
        groups={name: (columns_of(NOTE_TABLE, name), columns_of(ONSET_TABLE, name)) for name in GROUPS},
        seed=seed,
        epoch_steps=run.epoch_steps,
    )
    best, figures = fit(
        module,
        data,
        out=Path(cfg["out"]),
        config=run,
        frames_per_batch=crops.batch * crops.onsets,
        logger=logger,
        resume=bool(task.get("resume", True)),
        monitor=MONITOR,
        samples=samples,
    )
    checkpoint = torch.load(best, map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    scores = [
        float(state["best_model_score"])
        for state in checkpoint.get("callbacks", {}).values()
        if isinstance(state, dict) and state.get("best_model_score") is not None
    ]
    return module, {
        "parameters": sum(p.numel() for p in module.parameters()),
        "steps": int(checkpoint["global_step"]),
        "valid_unlike": round(min(scores), 4) if scores else None,
        "last": {k: round(v, 4) for k, v in figures.items() if k.startswith("valid/")},
    }


def _run_config(values: dict[str, Any], trainer: dict[str, Any]) -> RunConfig:
    """The run with the trainer's arguments; a trainer may shorten it (the smoke test does)."""
    trainer = dict(trainer)
    steps = int(trainer.pop("max_steps", values["max_steps"]))
    epoch = min(int(values["epoch_steps"]), steps)
    return RunConfig(**{**values, "max_steps": steps, "epoch_steps": epoch}, trainer=trainer)
