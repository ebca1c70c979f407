"""A piece from the present weights, every so often while a layer trains: to hear and to see what the figures hide.

The layers and the writing of pictures and sound are given by the pipeline, since this room knows none of them.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from evaluation.performance_faults import performance_faults
from evaluation.piece import evaluate_piece
from evaluation.plans import at_home, cadences_kept
from music.errors import RequestError, RitornelloError
from music.performance import Performance
from music.plan import Plan
from music.score import Score
from training.loggers import wandb_run

# The learned implementation of each layer, as its YAML names it.
LEARNED = {
    "planner": "planner.sampling.LearnedPlanner",
    "composer": "composer.sampling.BiaxialComposer",
    "performer": "performer.sampling.LearnedPerformer",
}
SAMPLE_BARS = 24  # where nothing is asked for that settles the length
PLANS = 8  # that a planner's figures are the mean of
SAMPLES_FOLDER = "samples"
# Writes the weights of a module in training to a file, as the layer that it belongs to reads them.
Snapshot = Callable[[pl.LightningModule, Path], None]


@dataclass(frozen=True)
class Sample:
    """A piece, and what can be measured of the layer in training.

    Args:
        folder: its files.
        figures: by name.
    """

    folder: Path
    figures: Mapping[str, float]


class Sampler:
    """Makes pieces with one layer's present weights and the other layers as they are.

    Args:
        layer: the one in training.
        make: a layer by its name, with weights, or None for those that are set.
        plan: a plan of a planner, for a seed.
        write: writes the files of a piece into a folder.
        seed: of all samples: so they differ by the weights alone.
        every: epochs from one sample to the next.
    """

    def __init__(
        self,
        layer: str,
        make: Callable[[str, Path | None], Any],
        plan: Callable[[Any, int], Plan],
        write: Callable[[Path, Plan, Score, Performance], None],
        *,
        seed: int = 0,
        every: int = 1,
    ) -> None:
        self.layer, self.seed, self.every = layer, seed, every
        self._make, self._plan, self._write = make, plan, write
        self._known: dict[str, Any] = {}

    def _layer(self, name: str, weights: Path) -> Any:
        """The layer in training anew each time, the others once."""
        if name == self.layer:
            return self._make(name, weights)
        if name not in self._known:
            self._known[name] = self._make(name, None)
        return self._known[name]

    def __call__(self, weights: Path, folder: Path) -> Sample:
        """Plans, composes and performs a piece and writes it.

        Args:
            weights: of the layer in training.
            folder: where the files go.
        """
        planner, composer, performer = (self._layer(name, weights) for name in LEARNED)
        plan = self._plan(planner, self.seed)
        score = composer.compose(plan, seed=self.seed)
        performance = performer.perform(score, seed=self.seed, plan=plan)
        self._write(folder, plan, score, performance)
        if self.layer == "planner":
            plans = [plan, *(self._plan(planner, self.seed + i) for i in range(1, PLANS))]
            return Sample(folder, plan_figures(plans))
        if self.layer == "composer":
            return Sample(folder, evaluate_piece(score, plan))
        return Sample(folder, performance_figures(score, performance))


def plan_figures(plans: list[Plan]) -> dict[str, float]:
    """Shares of cadences that the chords make and of plans that begin and end at home; mean sizes."""
    kept, planned = cadences_kept(plans)
    chords = [len(s.chords) / s.bars for p in plans for s in p.sections]
    return {
        **({"cadences_kept": kept / planned} if planned else {}),
        "at_home": float(np.mean([at_home(p) for p in plans])),
        "sections": float(np.mean([len(p.sections) for p in plans])),
        "bars": float(np.mean([p.bars for p in plans])),
        "letters": float(np.mean([len({s.letter for s in p.sections}) for p in plans])),
        "chords_a_bar": float(np.mean(chords)),
    }


def performance_figures(score: Score, performance: Performance) -> dict[str, float]:
    """How much velocity and length vary, how long it lasts against the score's tempo, and faults in all."""
    velocity = np.array([n.velocity for n in performance.notes], dtype=np.float64)
    written = {n.id: n.duration_div for n in score.notes}
    longer = [n.duration_sec / written[n.note_id] for n in performance.notes if written.get(n.note_id)]
    return {
        "velocity": float(velocity.mean()),
        "velocity_spread": float(velocity.std()),
        "length_spread": float(np.log2(longer).std()) if longer else 0.0,
        "pedals": float(len(performance.pedals)),
        "seconds": float(performance.end_sec),
        "faults": float(sum(performance_faults(score, performance).values())),
    }


@dataclass(frozen=True)
class Rooms:
    """What the pipeline lends to a training from other rooms.

    Args:
        build: a layer from the settings, by its name.
        plan: a planner's plan under the settings' wishes, for a seed.
        write: writes the files of a piece into a folder.
        show: prints a training's figures.
    """

    build: Callable[[dict[str, Any], str], Any]
    plan: Callable[..., Plan]
    write: Callable[[Path, Plan, Score, Performance], None]
    show: Callable[[Mapping[str, Any]], None]


def make_sampler(settings: dict[str, Any], layer: str, rooms: Rooms) -> Sampler | None:
    """The sampler that the settings ask for; None for never.

    Args:
        settings: the whole config. What it asks of a piece (form, style, bars …) is asked of the samples.
        layer: the one in training.
        rooms: see `Rooms`.

    Raises:
        RequestError: `logger.samples_every` is not a whole number from 0.
    """
    every = settings["logger"].get("samples_every", 0)
    if not isinstance(every, int) or isinstance(every, bool) or every < 0:
        raise RequestError(f"logger.samples_every={every} is not a whole number from 0")
    if not every or layer not in LEARNED:
        return None
    wishes = dict(settings)
    if not any(wishes.get(key) is not None for key in ("form", "bars", "section_bars", "wishes", "plan_file")):
        wishes["bars"] = SAMPLE_BARS

    def make(name: str, weights: Path | None) -> Any:
        if weights is None:
            return rooms.build(settings, name)
        own = settings[name] if settings[name].get("_target_") == LEARNED[name] else {"_target_": LEARNED[name]}
        return rooms.build(settings | {name: {**own, "_convert_": "all", "weights": str(weights)}}, name)

    def plan(planner: Any, seed: int) -> Plan:
        return rooms.plan(planner, wishes, seed=seed)

    return Sampler(layer, make, plan, rooms.write, seed=int(settings["seed"]), every=every)


class Samples(pl.Callback):
    """Draws a sample at the end of every so many epochs; a sample that fails is told of and harms nothing.

    Its chance is its own: a run with samples ends in the same weights as one without.

    Args:
        sampler: makes the piece.
        snapshot: writes the weights in training.
        out: the run's folder; a sample goes to OUT/samples/step-000400.
        name: of the part that is trained, where a layer has several: OUT/samples/theme-step-000400.
    """

    def __init__(self, sampler: Sampler, snapshot: Snapshot, out: Path, name: str = "") -> None:
        self.sampler, self.snapshot, self.out, self.name = sampler, snapshot, out, name
        self._said, self._begun = "", False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """An epoch that was over before the run was resumed has no start."""
        self._begun = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws one where it is time, in the first process of a run."""
        if self._begun and trainer.is_global_zero and (trainer.current_epoch + 1) % self.sampler.every == 0:
            self.draw(trainer, pl_module)

    def draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One sample of the present weights."""
        step = trainer.global_step
        folder = self.out / SAMPLES_FOLDER / f"{self.name}{'-' if self.name else ''}step-{step:06d}"
        try:
            with untouched_chance(), tempfile.TemporaryDirectory() as place:
                weights = Path(place) / "present.safetensors"
                self.snapshot(pl_module, weights)
                sample = self.sampler(weights, folder)
            for logger in trainer.loggers:
                log_sample(logger, sample, step - 1)
        except Exception as error:  # hours of training are worth more than a sample
            kind = "" if isinstance(error, RitornelloError) else f"{type(error).__name__}: "
            reason = f"{kind}{' '.join(str(error).split())[:300]}"
            if reason != self._said:
                print(f"no sample at step {step}: {reason}", flush=True)
            self._said = reason


@contextmanager
def untouched_chance() -> Iterator[None]:
    """Puts torch's random state (of the CPU) back to where it was: to make a network draws from it."""
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


def log_sample(logger: Logger, sample: Sample, step: int) -> None:
    """Figures under sample/ to any logger; picture, sound and MIDI to Weights & Biases."""
    figures = {f"sample/{name}": value for name, value in sample.figures.items() if math.isfinite(value)}
    logger.log_metrics(figures, step)
    logger.save()
    run = wandb_run(logger)
    if run is None:
        return
    import wandb

    prefix = getattr(logger, "prefix", "")
    prefix = f"{prefix}/sample" if prefix else "sample"
    shown: dict[str, Any] = {}
    for path in sorted(sample.folder.iterdir()):
        if path.suffix == ".png":
            shown[f"{prefix}/{path.stem}"] = wandb.Image(str(path))
        elif path.suffix in (".ogg", ".wav", ".flac", ".mp3"):
            shown[f"{prefix}/audio"] = wandb.Audio(str(path))
    run.log({**shown, "trainer/global_step": step})
    artifact = wandb.Artifact(f"sample-{run.id or 'run'}", type="sample", metadata={"step": step + 1})
    for path in sorted(sample.folder.iterdir()):
        artifact.add_file(str(path), name=f"{sample.folder.name}/{path.name}")
    run.log_artifact(artifact)
