"""Weights of the chord finder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class ChordWeights:
    """Weights of `music.analysis.chords`: see its functions for what each one multiplies.

    Args:
        sound: by layer of sound (kinds of note, then what sounds on beats) and role (root, third, fifth, seventh).
        bass, first_bass, missing: by role.
        quality_time: by quality, times the length in quarters.
        level: by metrical class of the segment's start.
        length: by number of slots.
        degree: by mode (major, minor), interval of the root over the tonic, quality.
        step: by quality of the chord before, interval between the roots.
        same: for the same chord again.
    """

    sound: Float[np.ndarray, "6 4"]
    bass: Float[np.ndarray, " 4"]
    first_bass: Float[np.ndarray, " 4"]
    missing: Float[np.ndarray, " 4"]
    quality_time: Float[np.ndarray, " 9"]
    level: Float[np.ndarray, " 3"]
    length: Float[np.ndarray, " 8"]
    degree: Float[np.ndarray, "2 12 9"]
    step: Float[np.ndarray, "9 12"]
    same: float


def _start() -> ChordWeights:
    degree = np.full((2, 12, 9), -2.0)
    for mode, rows in enumerate(
        (
            ((0, 0), (2, 1), (4, 1), (5, 0), (7, 0), (9, 1), (7, 4), (11, 2), (2, 6), (11, 7)),
            ((0, 1), (3, 0), (5, 1), (7, 0), (8, 0), (10, 0), (7, 4), (11, 2), (11, 8), (2, 7), (2, 2)),
        )
    ):
        for d, q in rows:
            degree[mode, d, q] = 0.0
    return ChordWeights(
        np.array([[4, 4, 3.5, 3.0], [1, 1, 1, 0.5], [2, 2, 2, 1], [2, 2, 2, 1], [1, 1, 1, 1], [1, 1, 1, 1.0]]),
        np.array([1.0, 0.7, 0.3, 0.3]),
        np.array([1.0, 0.7, 0.3, 0.3]),
        np.array([-2.0, -2.0, -0.5, -2.0]),
        np.array([0, 0, -0.3, -0.5, -0.2, -0.5, -0.5, -0.3, -0.3]),
        np.array([-1.0, -1.2, -2.2]),
        np.zeros(8),
        degree,
        np.zeros((9, 12)),
        -1.0,
    )


WEIGHTS = _start()
