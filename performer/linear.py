"""A linear regression of velocity on nine plain columns of the score: the floor that a learned performer must beat.

Fitted by least squares within performances, so that how loud a pianist plays on the whole counts for nothing; each
composition weighs the same. Timing is the metronome's. The coefficients stand in `linear.json`, made by

    python -m performer.linear CACHE_DIR

from the training pieces of (n)ASAP as task=prepare has put them into the cache.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from music.errors import ScoreError
from music.performance import Performance
from music.plan import Plan
from music.score import Score
from music.time import DIVS_PER_QUARTER
from performer.rule_score import note_arrays
from performer.rules import RulePerformer

LINEAR_FILE = Path(__file__).with_name("linear.json")
LINEAR_COLUMNS = (
    "pitch",  # semitones
    "length",  # log2 of quarters; a grace note is a thirty-second
    "until_next",  # log2 of quarters until the next onset
    "chord",  # log2 of how many notes are struck together
    "density",  # log2 of how many are struck within a quarter before and after
    "strength",  # metrical, 0.125 … 1
    "melody",  # flags
    "bass",
    "right_hand",
)
LEVEL, SPREAD = 64.0, 16.0  # mean and standard deviation of the velocities that it plays
SHORTEST = 0.125  # quarters


def linear_columns(score: Score) -> Float[np.ndarray, "notes columns"]:
    """`LINEAR_COLUMNS` of a score's notes, in the score's own order.

    Raises:
        ScoreError: a score without notes.
    """
    if not score.notes:
        raise ScoreError("a score without notes cannot be performed")
    notes = note_arrays(score)
    at, place, count = np.unique(notes.onset, return_inverse=True, return_counts=True)
    gap = np.append(np.diff(at), notes.end.max() - at[-1]) / DIVS_PER_QUARTER
    near = np.searchsorted(notes.onset, [notes.onset - DIVS_PER_QUARTER, notes.onset + DIVS_PER_QUARTER + 1])
    return np.column_stack(
        [
            notes.pitch.astype(float),
            np.log2(np.maximum((notes.end - notes.onset) / DIVS_PER_QUARTER, SHORTEST)),
            np.log2(np.maximum(gap, SHORTEST))[place],
            np.log2(count)[place],
            np.log2(near[1] - near[0]),
            notes.strength,
            notes.melody.astype(float),
            notes.bass.astype(float),
            (notes.staff != 2).astype(float),
        ]
    )


def fit_linear(pairs: Iterable[tuple[str, Score, Performance]]) -> dict[str, float]:
    """Coefficients by column, in standard deviations of a performance's velocity a unit.

    Args:
        pairs: name of the composition, score and performance, as many as there are; a performance may lack notes.

    Raises:
        ScoreError: no performance whose velocity varies.
    """
    size = len(LINEAR_COLUMNS)
    sums: dict[str, tuple[int, np.ndarray, np.ndarray]] = {}
    for piece, score, performance in pairs:
        velocity = {n.note_id: float(n.velocity) for n in performance.notes}
        known = np.array([n.id in velocity for n in score.notes])
        columns = linear_columns(score)[known]
        target = np.array([velocity[n.id] for n in score.notes if n.id in velocity])
        if len(target) <= size or target.std() == 0:
            continue
        columns = columns - columns.mean(axis=0)
        target = (target - target.mean()) / target.std()
        count, square, cross = sums.get(piece, (0, np.zeros((size, size)), np.zeros(size)))
        many = len(target)
        sums[piece] = count + 1, square + columns.T @ columns / many, cross + columns.T @ target / many
    if not sums:
        raise ScoreError("no performance varies its velocity")
    square = sum((s / count for count, s, _ in sums.values()), np.zeros((size, size)))
    cross = sum((c / count for count, _, c in sums.values()), np.zeros(size))
    found = np.linalg.lstsq(square, cross, rcond=1e-9)[0]
    return dict(zip(LINEAR_COLUMNS, found.round(6).tolist(), strict=True))


@cache
def shipped_linear() -> dict[str, float]:
    """The coefficients of `linear.json`."""
    return json.loads(LINEAR_FILE.read_text(encoding="utf-8"))["coefficients"]


@dataclass(frozen=True)
class LinearPerformer:
    """Plays in the score's tempo, with velocities by linear regression.

    Args:
        coefficients: by column; None for those that ship.
    """

    coefficients: tuple[float, ...] | None = None

    def perform(self, score: Score, *, seed: int, plan: Plan | None = None) -> Performance:
        """What is printed, as `RulePerformer(expression=0)` has it, but for the velocities; no seed changes it."""
        plain = RulePerformer(expression=0.0).perform(score, seed=seed, plan=plan)
        if not score.notes:
            return plain
        weights = self.coefficients or tuple(shipped_linear()[name] for name in LINEAR_COLUMNS)
        loud = linear_columns(score) @ np.array(weights)
        spread = loud.std()
        loud = LEVEL + SPREAD * (loud - loud.mean()) / (spread if spread > 0 else 1.0)
        velocity = dict(zip([n.id for n in score.notes], loud.round().clip(1, 127).astype(int).tolist(), strict=True))
        return replace(plain, notes=tuple(replace(n, velocity=velocity[n.note_id]) for n in plain.notes))


def main(arguments: list[str]) -> None:
    """Fits anew on the training pieces in a cache and rewrites the file."""
    from music.cache import write_atomically
    from music.performance_corpus import load_performances

    count, pieces = 0, set[str]()

    def rows() -> Iterable[tuple[str, Score, Performance]]:
        nonlocal count
        for entry, pair in load_performances("nasap", "train", cache_dir=Path(arguments[0])):
            count += 1
            pieces.add(entry.composition)
            yield entry.composition, pair.score, pair.performance

    coefficients = fit_linear(rows())
    about: dict[str, Any] = {
        "about": "Velocity by linear regression; made by python -m performer.linear CACHE_DIR.",
        "licence": "CC BY-NC-SA 4.0 ((n)ASAP)",
        "compositions": len(pieces),
        "performances": count,
        "coefficients": coefficients,
    }
    write_atomically(LINEAR_FILE, (json.dumps(about, indent=1) + "\n").encode())
    sys.stdout.write(f"{LINEAR_FILE}: {count} performances of {len(pieces)} compositions\n")


if __name__ == "__main__":
    main(sys.argv[1:])
