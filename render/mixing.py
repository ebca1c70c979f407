"""A matrix product whose bits do not depend on how many threads a library takes, nor on its version."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit


@no_type_check  # the run-time type checks of the tests cannot wrap what numba compiles
@njit(cache=True)
def mixed(rows, waves):  # pragma: no cover
    """Weighted sums of waves: float32 [rows, waves] times float32 [waves, samples] = float32 [rows, samples].

    Four waves are added at once, always in the same order, so the compiler makes vector instructions of the innermost
    loop and a sample's sum is the same on every machine.
    """
    count, size = rows.shape[1], waves.shape[1]
    out = np.zeros((rows.shape[0], size), dtype=np.float32)
    whole = count - count % 4
    for r in range(rows.shape[0]):
        for k in range(0, whole, 4):
            a, b, c, d = rows[r, k], rows[r, k + 1], rows[r, k + 2], rows[r, k + 3]
            for m in range(size):
                out[r, m] += (a * waves[k, m] + b * waves[k + 1, m]) + (c * waves[k + 2, m] + d * waves[k + 3, m])
        for k in range(whole, count):
            a = rows[r, k]
            for m in range(size):
                out[r, m] += a * waves[k, m]
    return out
