"""task=train_planner: trains the network of each stream on plans of real pieces and writes their weights.

At the end free plans of what was trained are compared with the training plans, style by style, and the factors by which
they differ go into the file too (`planner.calibrate`).
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from music.analysis.marked_plan import MarkedPlan
from music.errors import RequestError
from planner.calibrate import CalibrationConfig, calibrate
from planner.corpus import STREAMS, Walk, hold_out, known_styles, load_plans, training_themes, walks_of
from planner.data import WalkConfig, WalkData, walk_chances
from planner.module import StreamModule
from planner.network_config import StreamConfig
from planner.sampling import LearnedPlanner
from planner.shelf import Shelf
from planner.tables import fit_all_tables
from training.loggers import named
from training.run import RunConfig, fit
from training.samples import Sampler, Samples
from training.tracking import note

MONITOR = "valid/nats_per_token"


def train(cfg: dict[str, Any], *, logger: Logger | bool = False, sampler: Sampler | None = None) -> dict[str, Any]:
    """Trains stream after stream, each resuming where a checkpoint stands, and writes `out`/planner.safetensors.

    Args:
        cfg: plain values: `data` (see `planner.corpus.load_plans`), `cache_dir`, `out`, `seed`, `trainer` (Lightning's
            arguments) and `task`: `streams` (name -> `run`, `network`, `walks` that differ from the general ones),
            `run` (`RunConfig`), `network` (sizes of `StreamConfig`), `optimiser`, `walks` (`WalkConfig`), `resume`;
            `calibration` (`CalibrationConfig`), without which nothing is calibrated.
        logger: Lightning's; False for none. A stream's figures have its name before them.
        sampler: makes pieces on the way; None for none.

    Returns:
        Figures: parameters, walks and best nats a token of each stream, where the weights are.

    Raises:
        RequestError: no plans, none to train on or to validate with, or an unknown stream.
    """
    out, task = Path(cfg["out"]), cfg["task"]
    plans, digest = load_plans(cfg["data"], Path(cfg["cache_dir"]), cfg.get("workers"))
    plans = hold_out(plans)
    styles = known_styles(plans)
    started = time.perf_counter()
    walks: dict[str, list[Walk]] = {}
    for name in task["streams"]:
        if name not in STREAMS:
            raise RequestError(f"planner stream {name!r} is not one of {', '.join(STREAMS)}")
        walks[name] = [w for w in walks_of(name, plans, styles, every=True) if w.split == "train"]
        walks[name] += [w for w in walks_of(name, plans, styles) if w.split == "valid"]
    learned = {name: [w.tokens for w in row if w.split == "train"] for name, row in walks.items()}
    tables = fit_all_tables(learned, training_themes(plans))
    trained_on = {"plans": sum(m.origin.split == "train" for m in plans), "digest": digest}
    note(out, logger, corpus=trained_on)
    shelf = Shelf(styles, tables, {"trained_on": trained_on, "licence": cfg["data"].get("licence") or ""})
    figures: dict[str, Any] = {}
    rank = 0
    for name, own in task["streams"].items():
        samples = Samples(sampler, partial(_snapshot, shelf, name), out, name) if sampler else None
        module, figures[name] = _train_stream(name, walks[name], _merged(task, own), cfg, out / name, logger, samples)
        shelf = shelf.holding(name, module.network)
        rank = module.global_rank
    weights = out / "planner.safetensors"
    if rank == 0:  # every process of a ddp run comes here
        shelf.save(weights, seed=int(cfg["seed"]), figures=figures)
        _calibrate(shelf, weights, plans, cfg, figures)
    return {**figures, "seconds": round(time.perf_counter() - started, 1), "weights": str(weights)}


def _calibrate(
    shelf: Shelf, weights: Path, plans: list[MarkedPlan], cfg: dict[str, Any], figures: dict[str, Any]
) -> None:
    """Writes the weights once more with factors, where all streams were trained and it is asked for."""
    settings = cfg["task"].get("calibration")
    if not settings or set(shelf.networks) != set(STREAMS):
        return
    seed, shown = int(cfg["seed"]), bool(cfg["trainer"].get("enable_progress_bar", True))
    config = CalibrationConfig(**settings)
    tables = calibrate(LearnedPlanner(weights), plans, config, seed=seed, progress=shown)
    shelf = replace(shelf, tables={**shelf.tables, **tables})
    shelf.save(weights, seed=seed, figures=figures, calibration=asdict(config))


def _snapshot(shelf: Shelf, stream: str, module: pl.LightningModule, path: Path) -> None:
    """A planner of the present weights of one stream, with those of the other streams that there are."""
    assert isinstance(module, StreamModule)
    shelf.holding(stream, module.network).completed().save(path)


def _merged(task: dict[str, Any], own: dict[str, Any] | None) -> dict[str, Any]:
    """The general settings with a stream's own."""
    own = own or {}
    return {part: {**task[part], **own.get(part, {})} for part in ("run", "network", "optimiser", "walks")} | {
        "resume": task.get("resume", True)
    }


def _train_stream(
    name: str,
    walks: list[Walk],
    task: dict[str, Any],
    cfg: dict[str, Any],
    out: Path,
    logger: Logger | bool,
    samples: Samples | None,
) -> tuple[StreamModule, dict[str, Any]]:
    """The best module of a stream, and its figures."""
    train_set = [walk for walk in walks if walk.split == "train"]
    valid_set = [walk for walk in walks if walk.split == "valid"]
    if not train_set or not valid_set:
        raise RequestError(
            f"stream {name} has {len(train_set)} walks to train on and {len(valid_set)} to validate with; "
            "both are needed"
        )
    run = _run_config(task["run"], cfg["trainer"])
    config, seed = WalkConfig(**task["walks"]), int(cfg["seed"])
    torch.manual_seed(seed)
    network = StreamConfig.of(STREAMS[name], **task["network"]).to_dict()
    module = StreamModule(network, {**task["optimiser"], "total": run.max_steps})
    tokens = [walk.tokens for walk in train_set]
    chances = walk_chances([walk.style for walk in train_set], tokens, config.balance)
    data = WalkData(
        tokens, [walk.tokens for walk in valid_set], chances, config, seed=seed, epoch_steps=run.epoch_steps
    )
    best, _ = fit(
        module,
        data,
        out=out,
        config=run,
        frames_per_batch=config.batch,
        logger=named(logger, name),
        resume=bool(task["resume"]),
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
    found = {
        "parameters": sum(p.numel() for p in module.parameters()),
        "train_walks": len(train_set),
        "valid_walks": len(valid_set),
        "train_tokens": sum(len(t) for t in tokens),
        "steps": int(checkpoint["global_step"]),
        "valid_nats_per_token": round(min(scores), 4) if scores else None,
    }
    return module, found


def _run_config(values: dict[str, Any], trainer: dict[str, Any]) -> RunConfig:
    """The run with the trainer's arguments; a trainer may shorten it (the smoke test does)."""
    trainer = dict(trainer)
    steps = int(trainer.pop("max_steps", values["max_steps"]))
    epoch = min(int(values["epoch_steps"]), steps)
    return RunConfig(**{**values, "max_steps": steps, "epoch_steps": epoch}, trainer=trainer)
