"""The figures of a run as a CSV file that a resumed run goes on with.

Lightning's own CSV logger deletes the file that it finds, so a training that was broken off would lose its curve.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from music.cache import write_atomically

METRICS_FILE = "metrics.csv"


class CsvRecord(Logger):
    """Writes FOLDER/metrics.csv: one row a logged step, one column a figure, empty where it was not logged.

    Args:
        folder: made when the first figure is written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / METRICS_FILE
        self._rows = _read(self.path)
        self._names = sorted({name for row in self._rows for name in row} - {"step"})
        self._written = len(self._rows)
        self._stale = False  # whether the whole file must be written anew

    @property
    def name(self) -> str:
        """Lightning's name for the kind of record; checkpoints do not lie under it."""
        return ""

    @property
    def version(self) -> str:
        """As `name`."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: they stand in run.json (`training.tracking`)."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float | int], step: int | None = None) -> None:
        """Adds a row."""
        names = set(metrics) - set(self._names)
        if names:
            self._names = sorted({*self._names, *names})
            self._stale = True
        self._rows.append({"step": str(step or 0), **{name: repr(float(value)) for name, value in metrics.items()}})

    def begin(self, step: int, prefix: str) -> None:
        """Forgets the rows from `step` on of the figures that begin with `prefix`: a resumed run writes them again."""
        kept = [row for row in self._rows if int(row["step"]) < step or not _has(row, prefix)]
        self._stale |= len(kept) < len(self._rows)
        self._rows = kept

    @rank_zero_only
    def save(self) -> None:
        """Brings the file up to date: new rows are added to it, new columns have it written anew."""
        if self._stale or not self._written:
            if self._rows:
                write_atomically(self.path, _text(self._rows, ["step", *self._names], head=True).encode())
        elif self._written < len(self._rows):
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(_text(self._rows[self._written :], ["step", *self._names], head=False))
        self._written, self._stale = len(self._rows), False

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Writes what is left."""
        self.save()


def _has(row: Mapping[str, str], prefix: str) -> bool:
    return any(value and name.startswith(prefix) for name, value in row.items() if name not in ("step", "epoch"))


def _text(rows: list[dict[str, str]], names: list[str], *, head: bool) -> str:
    page = io.StringIO(newline="")
    writer = csv.DictWriter(page, names, restval="")
    if head:
        writer.writeheader()
    writer.writerows(rows)
    return page.getvalue()


def _read(path: Path) -> list[dict[str, str]]:
    """The rows of an earlier part of the run; one that was broken off in the middle is left out."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = [dict(row) for row in csv.DictReader(file) if None not in row and None not in row.values()]
    return [{k: v for k, v in row.items() if v} for row in rows if str(row.get("step", "")).isdigit()]
