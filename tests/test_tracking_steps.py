"""What a training does with steps that are not finite, and a CSV record that survives being broken off."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from training.batches import FixedBatches
from training.callbacks import FiniteLoss, TrainingError
from training.csv_record import CsvRecord
from training.loggers import Named, begin_at
from training.run import RunConfig, fit

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "devices": 1}
NAN, INF = float("nan"), float("inf")


class Line(pl.LightningModule):
    """y = w x + b, by AdamW with all that could be poisoned: momentum, decay of weights, a second moment."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.line = torch.nn.Linear(3, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Squared error; a first number of -1 spoils the gradient alone, one of -2 the loss alone."""
        loss = (self.line(batch) - 1).square().mean()
        if float(batch[0, 0]) == -1:
            loss = loss + (self.line.weight * 0).abs().sqrt().sum()
        return loss + INF if float(batch[0, 0]) == -2 else loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Logs what the best checkpoint is chosen by."""
        self.log("valid/loss", (self.line(batch) - 1).square().mean())

    def configure_optimizers(self) -> Any:
        """A constant rate, so that a step that is left out moves nothing that comes later."""
        return torch.optim.AdamW(self.parameters(), lr=0.05, weight_decay=0.1)


class Given(pl.LightningDataModule):
    """The same batches in every epoch."""

    def __init__(self, batches: Sequence[Tensor]) -> None:
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> FixedBatches[Tensor]:
        """All of them."""
        return FixedBatches(self.batches)

    def val_dataloader(self) -> FixedBatches[Tensor]:
        """One that is sound."""
        return FixedBatches([batch_of(99)])


def batch_of(seed: int, first: float | None = None) -> Tensor:
    """Four items; `first` in place of the first number."""
    batch = torch.rand(4, 3, generator=torch.Generator().manual_seed(seed))
    if first is not None:
        batch[0, 0] = first
    return batch


def run(out: Path, batches: Sequence[Tensor], epochs: int = 1, logger: Any = False) -> Line:
    """Trains on the batches."""
    module, count = Line(), len(batches)
    config = RunConfig(epochs * count, epoch_steps=count, trainer=QUIET)
    fit(module, Given(batches), out=out, config=config, frames_per_batch=4, monitor="valid/loss", logger=logger)
    return module


@pytest.mark.parametrize("poison", [NAN, INF, -1.0, -2.0], ids=["nan", "inf", "gradient alone", "loss alone"])
def test_a_poisoned_batch_is_as_if_it_had_not_been(tmp_path: Path, poison: float) -> None:
    """To the bit: neither the weights nor the optimiser's memory nor its count of steps see it."""
    sound = [batch_of(i) for i in range(6)]
    clean = run(tmp_path / "clean", sound)
    poisoned = run(tmp_path / "poisoned", [*sound[:3], batch_of(9, poison), *sound[3:]])
    for name, value in clean.state_dict().items():
        assert torch.equal(value, poisoned.state_dict()[name]), name
    states = [torch.load(tmp_path / n / "last.ckpt", weights_only=True) for n in ("clean", "poisoned")]
    memories = [state["optimizer_states"][0]["state"] for state in states]
    for key, value in memories[0][0].items():
        assert torch.equal(value, memories[1][0][key]), key
    assert states[1]["callbacks"]["FiniteLoss"] == {"skipped": 1}


def test_what_persists_ends_the_run_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    sound = [batch_of(i) for i in range(4)]
    good = run(tmp_path, sound)
    said = r"not finite in 10 steps in a row, up to step 13; the last good checkpoint is kept: .*last\.ckpt; try"
    with pytest.raises(TrainingError, match=said) as error:
        run(tmp_path, [batch_of(i, NAN) for i in range(4)], epochs=6)
    assert "\n" not in str(error.value)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 12  # saved at the end of an epoch in which nothing was learned
    assert all(torch.equal(value, good.state_dict()[name]) for name, value in kept["state_dict"].items())
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"]
    assert all(bool(torch.isfinite(value).all()) for value in best.values())
    run(tmp_path, sound, epochs=5)  # goes on from it
    later = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert later["global_step"] == 20
    assert not torch.equal(later["state_dict"]["line.weight"], kept["state_dict"]["line.weight"])


def test_half_of_all_steps_are_too_many(tmp_path: Path) -> None:
    """Never ten in a row, yet more often bad than good."""
    batches = [batch_of(i, None if i % 3 == 0 else NAN) for i in range(100)]
    with pytest.raises(TrainingError, match=r"51 of the last 100 steps, .*there is no checkpoint of it yet"):
        run(tmp_path, batches)


def test_now_and_then_is_counted_and_goes_on(tmp_path: Path) -> None:
    batches = [batch_of(i, NAN if i % 4 == 0 else None) for i in range(20)]
    logger = CsvRecord(tmp_path)
    run(tmp_path, batches, logger=logger)
    run(tmp_path, batches, epochs=2, logger=CsvRecord(tmp_path))
    rows = figures(tmp_path)
    assert [row["train/skipped"] for row in rows if row["train/skipped"]] == ["5.0", "10.0"]
    assert [row["train/rate"] for row in rows if row["train/rate"]] == ["0.05000000074505806"] * 2
    assert FiniteLoss().patience == 10


def figures(out: Path) -> list[dict[str, str]]:
    """Rows of metrics.csv."""
    with (out / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_resumed_run_goes_on_with_its_curve(tmp_path: Path) -> None:
    batches = [batch_of(i) for i in range(4)]
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    run(unbroken, batches, epochs=4, logger=CsvRecord(unbroken))
    run(broken, batches, epochs=2, logger=CsvRecord(broken))
    late = CsvRecord(broken)  # what a run that was killed had logged since its last checkpoint
    late.log_metrics({"train/gradient_norm": 1.0}, 9)
    late.save()
    with (broken / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write("11,0.")  # in the middle of a line
    run(broken, batches, epochs=4, logger=CsvRecord(broken))

    def curve(out: Path) -> list[tuple[str, ...]]:
        names = ("step", "epoch", "train/gradient_norm", "train/rate", "valid/loss")
        return [tuple(row[name] for name in names) for row in figures(out)]

    assert curve(broken) == curve(unbroken)
    assert [row["step"] for row in figures(broken) if row["valid/loss"]] == ["3", "7", "11", "15"]
    run(broken, batches, epochs=4, logger=CsvRecord(broken))  # nothing is left to do, nothing is lost
    assert curve(broken) == curve(unbroken)


def test_streams_share_a_file_and_keep_apart(tmp_path: Path) -> None:
    record = CsvRecord(tmp_path)
    for stream in ("form", "theme"):
        logger = Named(record, stream)
        begin_at(logger, 0)
        for step in range(3):
            logger.log_metrics({"loss": step + (0.5 if stream == "theme" else 0), "bad": math.nan}, step)
        logger.save()
    again = Named(CsvRecord(tmp_path), "theme")
    begin_at(again, 1)
    again.log_metrics({"loss": 7.0}, 1)
    again.finalize("success")
    rows = figures(tmp_path)
    assert [(r["step"], r["form/loss"], r["theme/loss"]) for r in rows] == [
        *(("0", "0.0", ""), ("1", "1.0", ""), ("2", "2.0", "")),
        *(("0", "", "0.5"), ("1", "", "7.0")),
    ]
    assert rows[0]["form/bad"] == "nan"
