"""task=train_composer: trains the biaxial network on a corpus and writes its weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import Logger

from composer.corpus import hold_out, load_examples
from composer.data import ComposerData, piece_chances
from composer.features import feature_names
from composer.module import ComposerModule
from composer.network import BiaxialNetwork, NetworkConfig
from composer.warm_start import load_network
from composer.widen import can_widen, widened
from composer.windows import WindowConfig
from music.errors import RequestError, WeightsError
from training.run import RunConfig, fit
from training.samples import Sampler, Samples
from training.tracking import note
from training.weights import save_weights


def train(cfg: dict[str, Any], *, logger: Logger | bool = False, sampler: Sampler | None = None) -> dict[str, Any]:
    """Trains, resuming where a checkpoint stands in `out`, and writes `out`/biaxial.safetensors with its JSON.

    Args:
        cfg: plain values: `data` (name, path, licence), `cache_dir`, `workers`, `out`, `seed`, `trainer` (Lightning's
            arguments) and `task`: `run` (`RunConfig`), `network` (`NetworkConfig` without styles), `optimiser`
            (`OptimiserConfig`), `windows` (`WindowConfig`), `pieces` (`piece_chances`), `resume`,
            `start` (weights to go on from, or None).
        logger: Lightning's; False for none.
        sampler: makes pieces on the way; None for none.

    Returns:
        Figures: parameters, pieces, best nats a frame on the valid windows, where the weights are.

    Raises:
        RequestError: the corpus has no piece to train on, or none to validate with.
    """
    out = Path(cfg["out"])
    task, corpus = cfg["task"], cfg["data"]["name"]
    places: dict[str, Any] = {
        "cache_dir": Path(cfg["cache_dir"]),
        "path": Path(cfg["data"]["path"]) if cfg["data"].get("path") else None,
        "workers": cfg.get("workers"),
    }
    train_set, styles = load_examples(corpus, "train", styles=None, **places)
    valid_set, _ = load_examples(corpus, "valid", styles=styles, **places)
    if not valid_set.pieces:
        train_set, valid_set = hold_out(train_set)
    if not train_set.pieces or not valid_set.pieces:
        raise RequestError(f"corpus {corpus} has {len(train_set.pieces)} pieces to train on and "
                           f"{len(valid_set.pieces)} to validate with; both are needed")  # fmt: skip
    run = _run_config(task["run"], cfg["trainer"])
    windows = WindowConfig(**task["windows"])
    network = NetworkConfig.from_dict({**task["network"], "styles": list(styles)})
    torch.manual_seed(int(cfg["seed"]))
    module = ComposerModule(network.to_dict(), {**task["optimiser"], "total": run.max_steps})
    if task.get("start"):
        module.network.load_state_dict(_beginning(Path(task["start"]), network).state_dict())
    chances = piece_chances(train_set.pieces, styles=styles, **task.get("pieces", {}))
    data = ComposerData(
        train_set.pieces,
        valid_set.pieces,
        windows,
        seed=int(cfg["seed"]),
        epoch_steps=run.epoch_steps,
        chances=chances,
    )
    started = time.perf_counter()
    about = {
        "kind": "composer/biaxial",
        "network": network.to_dict(),
        "features": feature_names(len(styles)),
        "parameters": sum(p.numel() for p in module.parameters()),
        "trained_on": {
            "corpus": corpus,
            "spans": len(train_set.pieces),
            "dropped": len(train_set.dropped),
            "digest": train_set.digest,
        },
        "licence": cfg["data"].get("licence", ""),
    }
    note(out, logger, corpus=about["trained_on"] | {"valid_digest": valid_set.digest})

    def snapshot(present: Any, path: Path) -> None:
        save_weights(path, present.network.state_dict(), about)

    best, figures = fit(
        module,
        data,
        out=out,
        config=run,
        frames_per_batch=windows.batch * windows.steps,
        logger=logger,
        resume=bool(task.get("resume", True)),
        samples=Samples(sampler, snapshot, out) if sampler else None,
    )
    checkpoint = torch.load(best, map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    score = float(min(v for k, v in _monitored(checkpoint).items())) if _monitored(checkpoint) else float("nan")
    about |= {
        "steps": int(checkpoint["global_step"]),
        "seed": int(cfg["seed"]),
        "figures": {"valid_windows_nats_per_frame": round(score, 4)},
    }
    weights = out / "biaxial.safetensors"
    if module.global_rank == 0:  # every process of a ddp run comes here
        save_weights(weights, module.network.state_dict(), about)
    return {
        "parameters": about["parameters"],
        "train_pieces": len(train_set.pieces),
        "valid_pieces": len(valid_set.pieces),
        "steps": int(checkpoint["global_step"]),
        "valid_nats_per_frame": score,
        "last": figures,
        "seconds": round(time.perf_counter() - started, 1),
        "weights": str(weights),
    }


def _beginning(path: Path, config: NetworkConfig) -> BiaxialNetwork:
    """The network of a file, made wider where `config` is."""
    found, _ = load_network(path, config.styles)
    if not can_widen(found.config, config):
        raise WeightsError(path, f"is of a network of {found.config.to_dict()}, which cannot be widened to this one")
    return widened(found, config)


def _run_config(values: dict[str, Any], trainer: dict[str, Any]) -> RunConfig:
    """The run with the trainer's arguments; a trainer may shorten it (the smoke test does)."""
    trainer = dict(trainer)
    steps = int(trainer.pop("max_steps", values["max_steps"]))
    epoch = min(int(values["epoch_steps"]), steps)
    return RunConfig(**{**values, "max_steps": steps, "epoch_steps": epoch}, trainer=trainer)


def _monitored(checkpoint: dict[str, Any]) -> dict[str, float]:
    """Best figure of each ModelCheckpoint that the file remembers."""
    found = {}
    for name, state in checkpoint.get("callbacks", {}).items():
        value = state.get("best_model_score") if isinstance(state, dict) else None
        if value is not None:
            found[name] = float(value)
    return found
