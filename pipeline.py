"""The only entry: reads the configuration, picks the task, wires the layers.

A verb is a function here, and nothing else is: what a layer does stands in the layer. Layers are imported when a task
needs them, so that a plan does not wait for torch.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from conf.words import TARGET_ROOTS, check_settings, check_targets, hydra_arguments, is_sweep, one_line_errors
from music.cache import default_cache_dir
from music.errors import RequestError
from render.console import how_to_open, show_figures, stage
from render.folder import beside_others, check_piece, provenance, slug

Settings = dict[str, Any]
TRAININGS = {f"train_{layer}": f"{layer}.train" for layer in ("planner", "composer", "performer")}
TRAININGS |= {"train_benchmark": "composer.benchmark_train"}
MEASURES = {f"evaluate_{layer}": f"{layer}.evaluate" for layer in ("planner", "composer", "performer")}
MEASURES |= {"evaluate_piece": "evaluation.piece", "benchmark": "composer.benchmark"}
LENT = ("planner.plan_file.make_plan", "planner.theme_likeness.theme_similarity", "performer.evaluate_pieces.columns")


def build(settings: Settings, layer: str) -> Any:
    """Makes a layer from its YAML; only classes of the packages in `TARGET_ROOTS` are ever called."""
    target = settings[layer]["_target_"]
    try:
        kind = hydra.utils.get_class(target)
    except (ImportError, ValueError) as error:
        raise RequestError(f"{layer}: {error}") from None
    if kind.__module__.partition(".")[0] not in TARGET_ROOTS:
        raise RequestError(f"{layer}: {target} is a class of {kind.__module__}, which a config may not name")
    weights = settings[layer].get("weights")
    if not isinstance(weights, (str, type(None))):
        raise RequestError(f"{layer}.weights={weights} is not text")
    try:
        return hydra.utils.instantiate(settings[layer], **({"weights": Path(weights)} if weights else {}))
    except InstantiationException as error:
        raise error.__cause__ or error from None


def folder_of(settings: Settings, name: str, origin: Settings | None = None) -> Path:
    """Where a piece goes: `out`, or out/NAME; pieces of a sweep, a count or other wishes lie side by side."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        job = HydraConfig.get().job
        return Path(settings["out"] or "out") / f"{job.num:03d}-{slug(job.override_dirname)}"
    folder = Path(settings["out"] or "out") / ("" if settings["out"] and settings["count"] == 1 else name)
    return folder if settings["out"] or origin is None else beside_others(folder, origin)


def finish(settings: Settings, performer: Any, score: Any, plan: Any, folder: Path, origin: Settings) -> None:
    """Performs a score and writes the piece's folder."""
    from evaluation.beside_people import beside_people
    from render.piece import write_piece

    with stage("perform"):
        performance = performer.perform(score, seed=origin["seed"], plan=plan)
    how: Settings = {key: settings[key] for key in ("audio", "synth", "soundfont")} | {"measure": beside_people}
    print(how_to_open(write_piece(folder, score, performance, plan, origin, **how)))


def generate(settings: Settings) -> None:
    """Plans, composes, performs and renders `count` pieces."""
    from composer.given_files import compose_given
    from planner.plan_file import make_plan

    layers = {layer: build(settings, layer) for layer in ("planner", "composer", "performer")}
    for seed in range(settings["seed"], settings["seed"] + settings["count"]):
        with stage("plan") as remarks:
            plan = make_plan(layers["planner"], settings, seed=seed)
            remarks.append(f"{plan.title}: {plan}")
        origin = provenance(settings, seed, layers)
        folder = check_piece(folder_of(settings, f"{slug(plan.title)}-{seed}", origin), settings)
        with stage("compose") as remarks:
            score = compose_given(layers["composer"], plan, seed=seed, settings=settings)
            remarks.append(f"{len(score.notes)} notes, {plan.bars} bars")
        finish(settings, layers["performer"], score, plan, folder, origin)


def plan(settings: Settings) -> None:
    """Writes `count` plans, one a line, into plans.jsonl, and draws them where they are few."""
    from planner.plan_file import make_plan
    from render.plans import write_plans

    folder, planner = folder_of(settings | {"count": 1}, "plans"), build(settings, "planner")
    seeds = range(settings["seed"], settings["seed"] + settings["count"])
    print(write_plans(folder, (make_plan(planner, settings, seed=seed) for seed in seeds), len(seeds)))


def perform(settings: Settings) -> None:
    """Performs and renders any MusicXML or MIDI file, with its plan where plan_file gives one."""
    from music.files import read_score
    from music.plan_json import read_plan

    if settings["score_file"] is None:
        raise RequestError("task=perform needs score_file=FILE.musicxml or FILE.mid")
    source, plan_file, seed = Path(settings["score_file"]), settings["plan_file"], settings["seed"]
    performer = build(settings, "performer")
    with stage("read") as remarks:
        score = read_score(source)
        score = replace(score, title=settings["title"] or score.title)
        remarks.append(f"{len(score.notes)} notes, {len(score.bars)} bars")
    origin = provenance(settings, seed, {"performer": performer})
    plan = read_plan(Path(plan_file)) if plan_file else None
    folder = check_piece(folder_of(settings, f"{slug(source.stem)}-{seed}", origin), settings, planned=plan is not None)
    if plan is not None and abs(plan.bars - len(score.bars)) > 1:  # an upbeat is a bar of a score only
        bars = f"plan_file={plan_file} has {plan.bars} bars"
        raise RequestError(f"{bars}, but score_file={source} has {len(score.bars)}; leave plan_file out")
    finish(settings, performer, score, plan, folder, origin)


def prepare(settings: Settings) -> None:
    """Parses a corpus into the cache, or makes plans of its pieces; says what it kept, what not, and why."""
    data, places = settings["data"], {"cache_dir": Path(settings["cache_dir"]), "workers": settings["workers"]}
    path = Path(data["path"]) if data["path"] else None
    if data["name"] == "plans":
        from music.analysis.corpus_plans import prepare_plans

        out = Path(settings["out"]) if settings["out"] else None
        reports = iter((prepare_plans(data["of"], path=path, out=out, **places),))
    else:
        from music.performance_corpus import prepare_all

        reports = prepare_all(data["name"], path=path, **places)
    for report in reports:
        print(report.table(), report.json_line(), sep="\n")


def train(settings: Settings) -> float | None:
    """Trains a network; returns the figure that it is steered by, of which a sweep may look for the least."""
    from training.memory import keep_freed_memory

    keep_freed_memory()  # starts the command anew, so before all else
    from planner.plan_file import make_plan
    from render.sample import write_sample
    from training.tracking import Rooms, SweepRun, track

    name, job = settings["task"]["name"], HydraConfig.get()
    settings["out"] = settings["out"] or f"runs/{name.removeprefix('train_')}"
    settings["out"] = str(folder_of(settings | {"count": 1}, ""))
    sweep = SweepRun.of(job.sweep.dir, job.job) if job.mode == RunMode.MULTIRUN else None
    rooms = Rooms(build, make_plan, write_sample, show_figures)
    return track(import_module(TRAININGS[name]).train, settings, rooms, sweep)


def measure(settings: Settings) -> None:
    """Measures a network beside its baselines, or a piece beside people's."""
    found = import_module(MEASURES[settings["task"]["name"]]).evaluate(settings)
    print(found) if isinstance(found, str) else show_figures(found)


TASKS: dict[str, Callable[[Settings], Any]] = {task.__name__: task for task in (generate, plan, perform, prepare)}
TASKS |= dict.fromkeys(TRAININGS, train) | dict.fromkeys(MEASURES, measure)
TASKS["evaluate"] = lambda settings: print(import_module("training.system").evaluate(settings, build, LENT))


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def run(config: DictConfig) -> Any:
    """Runs the task of a composed configuration; what a training returns goes to the sweeper."""
    with one_line_errors():
        settings: Settings = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # pyright: ignore
        check_targets(settings)
        check_settings(settings)
        settings["cache_dir"] = str(settings["cache_dir"] or default_cache_dir())
        return TASKS[settings["task"]["name"]](settings)


def main() -> None:
    """The command line."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints its errors itself and exits with 1
    warnings.filterwarnings("ignore")
    logging.getLogger("hydra").setLevel(logging.CRITICAL)  # what it logs it also raises
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that half-written folders are cleared away
    with tempfile.TemporaryDirectory() as lists, one_line_errors():  # Hydra must write a sweep's list somewhere
        sweep = [f"hydra.sweep.dir={lists}"] if is_sweep(sys.argv) else []
        sys.argv[1:] = hydra_arguments(sys.argv[1:]) + sweep
        run()  # pyright: ignore[reportCallIssue]  # hydra.main supplies the config


if __name__ == "__main__":
    main()
