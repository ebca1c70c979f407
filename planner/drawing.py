"""One walk through a stream: the network proposes, the wishes dispose."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from planner.stepper import Stepper

_POINTS = 256  # numbers of chance at a time


@runtime_checkable
class Limits(Protocol):
    """What a walk must keep."""

    def weights(self, walker: Any) -> Float[np.ndarray, " size"] | None:
        """Factor on the chance of each value of the field asked for: 0 forbids it; None leaves all as they are.

        A value's factor is above 0 if and only if the walk can still be completed after it.
        """
        ...


@runtime_checkable
class WholeLimits(Protocol):
    """Limits that know how to walk to the end by themselves, in one compiled call."""

    def walk(
        self, stepper: Stepper, walker: Any, points: Float[np.ndarray, " tokens"], temperature: float
    ) -> list[int] | None:
        """As `draw`, with these numbers of chance; None where they are too few, and nothing is done.

        Raises:
            RuntimeError: as `draw`.
        """
        ...


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
    chance = rng.random(_POINTS)
    walk = getattr(limits, "walk", None)  # of `WholeLimits`; isinstance() of a protocol takes as long as three tokens
    if walk is not None:
        while (whole := walk(stepper, walker, chance, temperature)) is None:
            chance = np.append(chance, rng.random(_POINTS))
        return whole
    stepper.reset()
    values: list[int] = []
    points = chance.tolist()
    while (field := walker.field) is not None:
        if values and len(values) % _POINTS == 0:
            points = rng.random(_POINTS).tolist()
        weights = limits.weights(walker) if limits is not None else None
        value = stepper.draw(walker.columns(), field, weights, temperature, points[len(values) % _POINTS])
        if value < 0:
            raise RuntimeError(f"{walker.stream.name}: no {walker.stream.fields[field].name} is possible")
        walker.push(value)
        values.append(value)
    return values
