"""One walk through a stream: the network proposes, the wishes dispose."""

from __future__ import annotations

from typing import Any, Protocol, no_type_check, runtime_checkable

import numpy as np
from jaxtyping import Float
from numba import njit

from planner.stepper import Stepper


@runtime_checkable
class Limits(Protocol):
    """What a walk must keep."""

    def weights(self, walker: Any) -> Float[np.ndarray, " size"] | None:
        """Factor on the chance of each value of the field asked for: 0 forbids it; None leaves all as they are.

        A value's factor is above 0 if and only if the walk can still be completed after it.
        """
        ...


@no_type_check  # the run-time type checks of the tests cannot wrap what numba compiles
@njit(cache=True)
def _choose(logits, weights, heat, point):  # pragma: no cover
    """A value by its chance times its weight; -1 where every weight is 0."""
    size = logits.shape[0]
    top = -np.inf
    for v in range(size):
        if weights[v] > 0 and logits[v] > top:
            top = logits[v]
    if top == -np.inf:
        return -1
    total = 0.0
    for v in range(size):
        if weights[v] > 0:
            total += weights[v] * np.exp((logits[v] - top) / heat)
    reach, last = point * total, -1
    for v in range(size):
        if weights[v] > 0:
            reach -= weights[v] * np.exp((logits[v] - top) / heat)
            last = v
            if reach < 0:
                break
    return last


def draw(
    stepper: Stepper, walker: Any, limits: Limits | None, rng: np.random.Generator, temperature: float = 1.0
) -> list[int]:
    """Walks to the end and returns the values.

    Args:
        stepper: the stream's network.
        walker: at its beginning (`planner.streams.Walker`); it is led to its end.
        limits: what must be kept, or None.
        rng: all chance; one number a token, so that a wish that changes nothing here changes nothing later.
        temperature: above 0; less is more usual, more is bolder.

    Raises:
        RuntimeError: no value is left: a fault of the limits, not of the wishes.
    """
    stepper.reset()
    values: list[int] = []
    points = rng.random(256)
    while (field := walker.field) is not None:
        if len(values) and len(values) % len(points) == 0:
            points = rng.random(256)
        logits = stepper.logits(walker.columns(), field)
        weights = limits.weights(walker) if limits is not None else None
        if weights is None:
            weights = _ones(len(logits))
        value = int(_choose(logits, weights, temperature, points[len(values) % len(points)]))
        if value < 0:
            raise RuntimeError(f"{walker.stream.name}: no {walker.stream.fields[field].name} is possible")
        stepper.push(field, value)
        walker.push(value)
        values.append(value)
    return values


_ONES: dict[int, Float[np.ndarray, " size"]] = {}


def _ones(size: int) -> Float[np.ndarray, " size"]:
    return _ONES.setdefault(size, np.ones(size))
