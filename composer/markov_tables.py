"""The Markov composer's tables: how each pitch goes on, given how it was, where in the bar and which degree it is.

One table for each grid of the roll: log P(state | previous state, metrical class, degree, mode, pitch), states being
silent, held and struck, one added to each count. A pitch class is rare in rare keys, so counts are shared with the
pitches around: music is taken to be as likely a few semitones higher or lower, keys moving along.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from composer.baselines import STATES, log_normalised, previous_states, states_of
from composer.realise import STRENGTHS, StepContext
from composer.roll import GRIDS, LOWEST_PITCH, PITCHES, Roll
from music.cache import write_atomically

# pitch, degree and mode, metrical class, previous state, next state
SHAPE = (PITCHES, 24, len(STRENGTHS), STATES, STATES)
TRANSPOSE = 6  # semitones up and down that counts are shared over; measured on chorales: 0 loses 0.8 nats a frame
VERSION = 1
DEGREES = 12


def _degree(context: StepContext) -> Int[ndarray, "steps 88"]:
    """Chromatic interval 0..11 of each pitch above the tonic, plus 12 in minor."""
    pitch = LOWEST_PITCH + np.arange(PITCHES)
    return (pitch[None, :] - context.tonic[:, None]) % DEGREES + DEGREES * context.minor[:, None]


@dataclass(frozen=True, eq=False)
class MarkovTables:
    """Learned tables.

    Args:
        grids: steps a quarter of each table, those of `composer.roll.GRIDS` that were seen in training.
        table: log-probabilities.
    """

    grids: tuple[int, ...]
    table: Float[ndarray, "grids 88 24 5 3 3"]

    def grid_table(self, steps_per_quarter: int) -> Float[ndarray, "88 24 5 3 3"]:
        """The table of a grid; the first one's where that grid was not seen."""
        index = self.grids.index(steps_per_quarter) if steps_per_quarter in self.grids else 0
        return self.table[index]

    def step_log_probs(self, context: StepContext, step: int, previous: Int[ndarray, " 88"]) -> Float[ndarray, "88 3"]:
        """Log-probability of each state of each pitch at one step, given the states before."""
        degree = (LOWEST_PITCH + np.arange(PITCHES) - context.tonic[step]) % DEGREES + DEGREES * context.minor[step]
        table = self.grid_table(context.steps_per_quarter)
        return table[np.arange(PITCHES), degree, context.metre[step], previous]

    def log_prob(self, roll: Roll, context: StepContext) -> Float[ndarray, " steps"]:
        """Joint log-probability of each frame in nats (0 or less), given the frame before; silence before the first."""
        states = states_of(roll)
        table = self.grid_table(roll.steps_per_quarter)
        pitch = np.arange(PITCHES)[None, :]
        rows = table[pitch, _degree(context), context.metre[:, None], previous_states(states), states]
        return rows.sum(axis=1)

    def save(self, path: Path) -> None:
        """Writes an .npz of arrays with a checksum, whole or not at all.

        Raises:
            CacheError: the folder cannot be written.
        """
        grids = np.array(self.grids, dtype=np.int64)
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, grids=grids, table=self.table, sum=_checksum(grids, self.table))
        write_atomically(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path) -> MarkovTables | None:
        """Reads what `save` wrote; None where there is none, or it is damaged or of another version."""
        try:
            with np.load(path, allow_pickle=False) as file:
                grids, table, checksum = file["grids"], file["table"], file["sum"]
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        fits = table.shape == (len(grids), *SHAPE) and table.dtype == np.float64 and len(grids) > 0
        if not fits or not np.array_equal(checksum, _checksum(grids, table)):
            return None
        return cls(tuple(int(g) for g in grids), table)


def _checksum(grids: ndarray, table: ndarray) -> ndarray:
    digest = hashlib.sha256(f"markov {VERSION}".encode() + grids.tobytes() + np.ascontiguousarray(table).tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def _shared(counts: ndarray, transpose: int) -> ndarray:
    """Counts with those of the pitches up to `transpose` semitones away added, degrees kept."""
    padded = np.concatenate(
        [np.zeros((transpose, *counts.shape[1:])), counts, np.zeros((transpose, *counts.shape[1:]))]
    )
    total = np.zeros_like(counts)
    for shift in range(2 * transpose + 1):
        total += padded[shift : shift + len(counts)]
    return total


def fit_markov(rolls: Sequence[Roll], contexts: Sequence[StepContext], transpose: int = TRANSPOSE) -> MarkovTables:
    """Counts how pitches go on, on the steps that fit the grid.

    Args:
        rolls: of pieces; at least one.
        contexts: of the same pieces on the same grids.
        transpose: how many semitones up and down counts are shared over; 0 for none.

    Raises:
        ValueError: no roll.
    """
    if not rolls:
        raise ValueError("the Markov tables need at least one piece")
    counts = {grid: np.zeros(int(np.prod(SHAPE))) for grid in GRIDS if any(r.steps_per_quarter == grid for r in rolls)}
    for roll, context in zip(rolls, contexts, strict=True):
        states = states_of(roll)
        where = (
            np.broadcast_to(np.arange(PITCHES), states.shape),
            _degree(context),
            np.broadcast_to(context.metre[:, None], states.shape),
            previous_states(states),
            states,
        )
        index = np.ravel_multi_index(where, SHAPE)[roll.fit]
        counts[roll.steps_per_quarter] += np.bincount(index.reshape(-1), minlength=int(np.prod(SHAPE)))
    tables = [log_normalised(_shared(c.reshape(SHAPE), transpose)) for c in counts.values()]
    return MarkovTables(tuple(counts), np.stack(tables))
