"""Originality: the longest passage that a piece shares with the pieces a composer learned from.

A passage is a row of successive sonorities, whatever their key and durations: each is known by its intervals above the
bass and by how the bass came to it. The index keeps a 32-bit hash of each such step, 4 bytes a sonority, so that the
training pieces themselves need not be at hand.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import UInt32

from evaluation.sonorities import changes, sonorities
from music.cache import write_atomically
from music.errors import FileError
from music.score import Score

_END = 0  # stands between two pieces and equals no step's hash


def step_hashes(score: Score) -> UInt32[np.ndarray, " steps"]:
    """A hash of each pair of successive different sonorities, the same in every key and octave, one fewer than these.

    A pair is hashed by its two chords' intervals above their basses and the bass' move in semitones.
    """
    rows = changes(sonorities(score))
    hashes: list[int] = []
    for before, after in pairwise(rows):
        low = before[0]
        shape = bytes([len(before), *(p - low for p in before), *((p - low) % 256 for p in after)])
        hashes.append(zlib.crc32(shape) or 1)
    return np.array(hashes, dtype=np.uint32)


@dataclass(frozen=True)
class RunIndex:
    """Hashed steps of many pieces, one piece after another with a 0 behind each."""

    steps: UInt32[np.ndarray, " steps"]

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return int((self.steps == _END).sum())

    def longest_run(self, score: Score) -> int:
        """Longest run of successive sonorities of the score that stands in one indexed piece; 0: not even two.

        Transposed runs count, and so do runs in other durations; a note more or less in a chord ends a run. Definition:
        this project's own, a longest common substring. The difference from an exact one: two steps with the same hash
        (one pair in four thousand million) are taken as equal.
        """
        runs = np.zeros(len(self.steps) + 1, dtype=np.int32)
        longest = 0
        for step in step_hashes(score):
            # The run that ends at each place is one longer than the one that ended before it at the step before.
            runs[1:] = np.where(self.steps == step, runs[:-1] + 1, 0)
            longest = max(longest, int(runs.max(initial=0)))
        return longest + 1 if longest else 0

    def write(self, path: Path) -> None:
        """Writes the index as a compressed .npz, about 4 bytes a sonority."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, steps=self.steps)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> RunIndex:
        """Reads what `write` wrote.

        Raises:
            FileError: no such file, or not such an index.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                steps = file["steps"]
        except (OSError, ValueError, KeyError, EOFError, zlib.error) as error:
            raise FileError(path, f"is no index of sonorities ({error})") from None
        if steps.dtype != np.uint32 or steps.ndim != 1:
            raise FileError(path, "is no index of sonorities")
        return cls(steps)


def index_pieces(scores: Iterable[Score]) -> RunIndex:
    """Index of pieces."""
    parts = [np.append(step_hashes(score), np.uint32(_END)) for score in scores]
    return RunIndex(np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint32))
