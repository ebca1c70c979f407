"""Originality: the longest passage that a piece shares with the pieces a composer learned from.

A passage is a row of successive sonorities, whatever their key and durations: each is known by its intervals above the
bass and by how the bass came to it. The index keeps a 24-bit hash of each such step in the order of the pieces, 3 bytes
a sonority before compression: the training pieces need not be at hand, and the length of a shared passage is exact but
for steps that hash alike (`RunIndex.longest_run`). The file that ships is made by `python -m evaluation.build_index`.

Held-out pieces against the 672 training pieces (`python -m benchmarks.originality composer=DIR`), longest shared run in
sonorities, median / 90th percentile / maximum: 222 Bach chorales 5 / 7 / 24, 17 quartet movements by Haydn 8 / 11 / 13,
10 by Beethoven 9.5 / 12 / 18, 47 piano pieces from 6 / 8 / 9 (Schubert) to 22 / 23 / 23 (Chopin, whose scales in one
voice are shared by everyone), all 302 pieces together 6 / 9 / 24. On 50 of them the hashed index gives the same length
as one that compares the sonorities themselves; of single steps that no training piece has it takes 1.3 % for known
ones. A file of n-grams without their order would be no smaller (one hash a sonority as well) and gives an upper bound
only, since n-grams that match one after another may stand in different pieces: 3.3 sonorities too long on average for n
= 4, 0.9 for 6, 0.6 for 8.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Bool, Int, UInt32
from numba import njit

from evaluation.sonorities import changes, sonorities
from music.cache import write_atomically
from music.errors import FileError
from music.score import Score

SHIPPED = Path(__file__).with_name("index") / "originality.npz"
HASH_BITS = 24
_END = 0  # stands between two pieces and equals no step's hash
_MASK = (1 << HASH_BITS) - 1


def step_shape(before: Sequence[int], after: Sequence[int]) -> bytes:
    """The step from one sonority to the next (pitches from the lowest up) as it is in every key."""
    low = before[0]
    return bytes([len(before), *(p - low for p in before), *((p - low) % 256 for p in after)])


def step_hash(before: Sequence[int], after: Sequence[int]) -> int:
    """Hash of a step's shape; never 0."""
    value = zlib.crc32(step_shape(before, after))
    return (value ^ value >> HASH_BITS) & _MASK or 1


def _hash_row(row: Sequence[Sequence[int]]) -> UInt32[np.ndarray, " steps"]:
    return np.array([step_hash(before, after) for before, after in pairwise(row)], dtype=np.uint32)


def step_hashes(score: Score) -> UInt32[np.ndarray, " steps"]:
    """A hash of each pair of successive different sonorities, the same in every key and octave, one fewer than these.

    A pair is hashed by its two chords' intervals above their basses and the bass' move in semitones.
    """
    return _hash_row(changes(sonorities(score)))


def roll_sonorities(play: Bool[np.ndarray, "steps pitches"]) -> tuple[list[tuple[int, ...]], Int[np.ndarray, " n"]]:
    """Successive different sonorities of a piano roll, silence skipped, and the step that each begins in.

    A restruck sonority is no new one, so the bits of articulation do not matter.
    """
    changed = np.ones(len(play), dtype=bool)
    changed[1:] = (play[1:] != play[:-1]).any(axis=1)
    row: list[tuple[int, ...]] = []
    begins: list[int] = []
    for step in np.flatnonzero(changed & play.any(axis=1)):
        pitches = tuple(np.flatnonzero(play[step]).tolist())
        if not row or row[-1] != pitches:
            row.append(pitches)
            begins.append(int(step))
    return row, np.array(begins, dtype=np.int64)


@no_type_check  # the run-time type checks of the tests cannot wrap what numba compiles
@njit(cache=True)
def _run_lengths(values, places, hashes, lengths):  # pragma: no cover
    """For `RunIndex.run_lengths`: sorted hashes, where each stands, those of a piece, and room for the answer."""
    before, runs = places[:0], places[:0]
    for index in range(len(hashes)):
        here = places[np.searchsorted(values, hashes[index]) : np.searchsorted(values, hashes[index], "right")]
        grown = np.ones(len(here), dtype=np.int64)
        longest, at = 0, 0
        for i in range(len(here)):
            while at < len(before) and before[at] < here[i] - 1:
                at += 1
            if at < len(before) and before[at] == here[i] - 1:
                grown[i] += runs[at]  # a run that ended at the place before goes on here
            longest = max(longest, grown[i])
        before, runs = here, grown
        lengths[index] = longest


@no_type_check
@njit(cache=True)
def _has_run(begins, ends, places, steps, hashes, length):  # pragma: no cover
    """For `RunIndex.has_run`: every run of so many hashes holds its rarest one, so places of that are looked round."""
    size = len(hashes)
    looked = -1
    for first in range(size - length + 1):
        rarest = first
        for index in range(first + 1, first + length):
            if ends[index] - begins[index] < ends[rarest] - begins[rarest]:
                rarest = index
        if rarest == looked:
            continue
        looked = rarest
        for entry in range(begins[rarest], ends[rarest]):
            place = places[entry]
            low, high = 1, 1  # how far what is the same reaches down and up
            while low <= min(rarest, place) and steps[place - low] == hashes[rarest - low]:
                low += 1
            while rarest + high < size and place + high < len(steps) and steps[place + high] == hashes[rarest + high]:
                high += 1
            if low + high - 1 >= length:
                return True
    return False


@dataclass(frozen=True, eq=False)
class RunIndex:
    """Hashed steps of many pieces, one piece after another with a 0 behind each.

    Args:
        steps: the hashes.
        about: what was indexed: names of the sets, number of pieces, sha256 of the corpus.
    """

    steps: UInt32[np.ndarray, " steps"]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return int((self.steps == _END).sum())

    @cached_property
    def _order(self) -> tuple[UInt32[np.ndarray, " steps"], Int[np.ndarray, " steps"]]:
        """The hashes sorted, and where each stands; places of one hash in their order."""
        order = np.argsort(self.steps, kind="stable")
        return self.steps[order], order

    def run_lengths(self, hashes: UInt32[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """For each step of a piece, the longest run of steps that ends with it and stands in one indexed piece."""
        lengths = np.zeros(len(hashes), dtype=np.int64)
        _run_lengths(*self._order, hashes, lengths)
        return lengths

    def has_run(self, hashes: UInt32[np.ndarray, " n"], length: int) -> bool:
        """Whether `length` (1 or more) of a piece's steps in a row stand in one indexed piece.

        As `run_lengths(hashes).max() >= length`, but quicker.
        """
        values, places = self._order
        begins, ends = values.searchsorted(hashes), values.searchsorted(hashes, "right")
        return bool(_has_run(begins, ends, places, self.steps, hashes, length))

    def longest_run(self, score: Score) -> int:
        """Longest run of successive sonorities of the score that stands in one indexed piece; 0: not even two.

        Transposed runs count, and so do runs in other durations; a note more or less in a chord ends a run. Definition:
        this project's own, a longest common substring. The difference from an exact one: two steps with the same hash
        (one pair in 16.8 million) are taken as equal.
        """
        return self._sonorities(self.run_lengths(step_hashes(score)))

    def run_at_end(
        self,
        play: Bool[np.ndarray, "steps pitches"],
        articulate: Bool[np.ndarray, "steps pitches"] | None = None,
        *,
        since: int = 0,
    ) -> int:
        """Longest shared run, in sonorities, of those that end at step `since` of a roll or later.

        Cheap enough to be asked of every candidate for a phrase: give the roll from some bars before the phrase, so
        that a run which begins before it counts whole, and the phrase's first step as `since`.

        Args:
            play: the roll so far; any range of pitches.
            articulate: accepted beside `play` as composers hold them; a restruck sonority is no new one, so it does
                not matter.
            since: runs that end before this step are left out.
        """
        row, begins = roll_sonorities(play)
        return self._sonorities(self.run_lengths(_hash_row(row))[begins[1:] >= since])

    def longest_run_of_roll(
        self, play: Bool[np.ndarray, "steps pitches"], articulate: Bool[np.ndarray, "steps pitches"] | None = None
    ) -> int:
        """`longest_run` of a roll of any range of pitches; `articulate` as in `run_at_end`."""
        return self.run_at_end(play, articulate)

    @staticmethod
    def _sonorities(lengths: Int[np.ndarray, " n"]) -> int:
        longest = int(lengths.max(initial=0))
        return longest + 1 if longest else 0

    def write(self, path: Path) -> None:
        """Writes the index as a compressed .npz, less than 3 bytes a sonority; the same index gives the same bytes."""
        planes = np.stack([(self.steps >> shift & 0xFF).astype(np.uint8) for shift in (0, 8, 16)])
        text = json.dumps(dict(self.about), sort_keys=True).encode()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, planes=planes, about=np.frombuffer(text, dtype=np.uint8))
        write_atomically(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> RunIndex:
        """Reads what `write` wrote.

        Raises:
            FileError: no such file, or not such an index.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                planes, about = file["planes"], json.loads(file["about"].tobytes())
        except (OSError, ValueError, KeyError, EOFError, zlib.error) as error:
            raise FileError(path, f"is no index of sonorities ({error})") from None
        if planes.dtype != np.uint8 or planes.ndim != 2 or len(planes) != 3 or not isinstance(about, dict):
            raise FileError(path, "is no index of sonorities")
        low, middle, high = planes.astype(np.uint32)
        return cls(low | middle << 8 | high << 16, about)


def index_pieces(scores: Iterable[Score], about: Mapping[str, Any] | None = None) -> RunIndex:
    """Index of pieces."""
    parts = [np.append(step_hashes(score), np.uint32(_END)) for score in scores]
    return RunIndex(np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint32), about or {})


@cache
def shipped_index() -> RunIndex | None:
    """The index of the training pieces that ships, read once; None where this copy has none.

    Raises:
        FileError: it is damaged.
    """
    return RunIndex.read(SHIPPED) if SHIPPED.is_file() else None
