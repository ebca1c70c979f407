"""Seeded chance, one stream for each question, so that fixing one answer leaves the others as they were."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from music.errors import RequestError

T = TypeVar("T")


class Dice:
    """The random choices of one plan.

    Args:
        seed: 0 or more.

    Raises:
        RequestError: a negative seed.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise RequestError(f"seed {seed} is negative; seeds count from 0")
        self._seed = seed

    def stream(self, question: str) -> np.random.Generator:
        """The generator for one question, such as "harmony B": always the same for a seed."""
        words = (self._seed, zlib.crc32(question.encode()))
        # The generator of `default_rng(words)`, made in half the time where both are words of 32 bits.
        return np.random.Generator(np.random.PCG64(np.array(words, np.uint32) if self._seed < 2**32 else words))

    def pick(self, question: str, choices: Sequence[T], weights: Sequence[float | int] | None = None) -> T:
        """One of `choices`, drawn for `question`."""
        return pick(self.stream(question), choices, weights)


def pick(rng: np.random.Generator, choices: Sequence[T], weights: Sequence[float | int] | None = None) -> T:
    """One of `choices` with probability proportional to `weights` (equal where None)."""
    if weights is None:
        return choices[int(rng.integers(len(choices)))]
    point, total = rng.random() * sum(weights), 0.0
    for choice, weight in zip(choices, weights, strict=True):
        total += weight
        if point < total:
            return choice
    return choices[-1]


def pick_from(rng: np.random.Generator, weights: Mapping[T, float | int]) -> T:
    """One key of `weights`."""
    return pick(rng, tuple(weights), tuple(weights.values()))
