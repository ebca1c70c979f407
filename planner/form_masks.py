"""Weights that leave only some values of a field."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from planner import form_columns as fc

Weights = Float[np.ndarray, " size"]


@lru_cache(maxsize=4096)
def only(field: int, values: frozenset[int]) -> Weights:
    """Weight 1 for some values of a field."""
    weights = np.zeros(fc.FIELDS[field].size)
    weights[sorted(values)] = 1.0
    weights.flags.writeable = False
    return weights


def one(field: int, value: int) -> Weights:
    """Weight 1 for one value of a field."""
    return only(field, frozenset((value,)))


def step_weights(field: int, bars: int, part: int, step: int) -> Weights:
    """The token that goes on telling a fixed number of bars."""
    return one(field, min(step, bars - part - 1))


def tempo_bins(low: float, high: float) -> tuple[int, int]:
    """First bin that meets a range of tempos, and the one after the last."""
    return fc.tempo_bin(low), fc.tempo_bin(high) + 1


def cadence_values(cadences: Collection[str | None]) -> frozenset[int]:
    """Values of cadences, None among them for none."""
    return frozenset(fc.cadence_value(cadence) for cadence in cadences)
