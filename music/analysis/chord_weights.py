"""Weights of the chord finder (`music.analysis.chords`).

Learned by `benchmarks/tune_analysis.py`, a structured perceptron with margin, from the tuning half of those Bach
chorales of music21 that people have analysed in Roman numerals (When in Rome, analyses by D. Tymoczko and others, CC
BY-SA 4.0), as they stand and as slowed and broken-chord versions of themselves. The test half and the chorales that are
held out for testing composers took no part. `benchmarks/analysis.py` measures the result.
"""

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


WEIGHTS = ChordWeights(
    sound=np.array(
        (
            (6.10, 4.85, 6.23, 4.13),
            (1.32, 4.35, 0.92, 0.98),
            (3.31, 4.00, 4.83, 0.03),
            (0.86, 1.97, 1.93, 4.62),
            (4.55, 0.80, 4.16, 1.91),
            (5.47, 4.43, 4.49, 3.79),
        ),
        dtype=np.float64,
    ),
    bass=np.array((0.77, 0.66, -1.38, -0.52), dtype=np.float64),
    first_bass=np.array((0.79, 0.71, 0.19, 0.84), dtype=np.float64),
    missing=np.array((-3.04, -1.90, -1.88, -2.34), dtype=np.float64),
    quality_time=np.array((1.04, 0.51, -0.28, -1.13, -0.09, -0.88, -0.61, -0.94, -0.49), dtype=np.float64),
    level=np.array((-0.25, -1.16, -2.35), dtype=np.float64),
    length=np.array((0.29, -0.31, -0.42, -0.01, -1.05, -0.43, -0.31, 0.57), dtype=np.float64),
    degree=np.array(
        (
            (
                (0.53, -0.97, -0.11, 0.00, 0.82, -0.67, 0.00, 0.00, -0.11),
                (0.00, 0.00, 0.13, 0.00, 0.00, 0.00, 0.00, -0.70, 1.15),
                (0.35, 0.21, -0.36, 0.00, 0.60, 0.00, 0.96, -0.19, -1.04),
                (-0.60, -0.18, 0.25, 0.00, 0.00, 0.00, 0.00, 0.00, -0.25),
                (0.14, -1.15, -1.31, -0.56, 0.70, 0.00, -1.22, -0.53, -1.21),
                (-0.52, -1.29, -1.10, -0.13, -0.56, -0.46, 0.00, 0.00, -1.52),
                (-0.61, -0.75, 0.32, 0.00, 0.00, 0.00, -0.18, 0.14, 0.74),
                (0.57, -0.72, -0.30, 0.00, 0.88, -0.34, 0.14, -0.64, -0.52),
                (-0.19, -0.45, -0.54, -0.45, 0.00, 0.00, 0.00, 0.00, 1.01),
                (-0.27, 0.01, 0.42, -0.64, 0.73, 0.00, -0.10, -0.21, -0.69),
                (-1.23, -0.64, -0.62, 0.00, 0.00, -0.53, 0.00, 0.00, -1.00),
                (-0.12, -1.36, 0.32, -0.66, -0.50, 0.00, -0.91, 0.39, -1.13),
            ),
            (
                (-0.14, 0.60, -0.55, -0.38, 0.63, 0.00, -0.46, -0.22, -0.68),
                (-1.41, 0.00, -0.36, 0.00, -0.49, -0.22, 0.00, 0.00, -1.09),
                (0.02, -1.10, 0.60, -0.23, 0.31, 0.00, -0.27, 0.87, -1.89),
                (-0.38, -0.86, -0.67, 0.18, -0.72, -0.13, 0.00, 0.00, -1.31),
                (0.00, -1.61, 0.44, -0.42, 0.00, 0.00, -0.67, 0.30, 1.09),
                (-0.14, -0.16, -1.46, 0.00, 0.24, 0.00, 0.08, -0.73, -2.15),
                (0.00, 0.00, 0.10, 0.00, 0.00, 0.00, 0.00, -0.11, 0.93),
                (0.47, -0.27, -0.44, -1.14, 0.87, -0.11, -0.26, 0.28, -0.96),
                (-1.37, -1.33, -1.47, 0.30, 0.07, -0.01, 0.00, -0.42, -1.72),
                (0.00, -2.10, -0.35, -0.19, 0.00, 0.00, -0.38, 0.06, -0.42),
                (0.43, 0.46, 0.00, 0.00, 0.88, -0.17, -0.11, 0.00, -0.28),
                (-0.43, -1.38, 0.36, -0.72, 0.00, 0.00, 0.00, -0.02, 1.30),
            ),
        ),
        dtype=np.float64,
    ),
    step=np.array(
        (
            (0.91, -0.78, -0.90, -0.91, -0.59, 0.18, 0.56, -0.40, -0.70, -0.31, -0.61, -1.31),
            (0.30, 0.01, -0.39, -0.62, -0.17, 0.27, -0.11, 0.06, 0.32, 0.45, -1.29, -0.11),
            (0.47, 0.84, -0.56, -0.79, -0.22, 0.59, 0.05, -0.95, -0.65, -1.15, -0.92, -0.75),
            (-0.34, -0.74, -0.16, 0.82, -0.36, 0.11, -0.55, -0.94, -0.84, 0.01, -0.86, -0.81),
            (-0.90, 0.37, 0.22, -0.55, -0.49, 1.57, 1.46, -0.81, -0.65, -0.08, -0.63, -0.54),
            (-0.56, -0.11, -0.66, -0.04, 0.47, 0.61, 0.56, -0.50, 0.00, 0.04, -0.76, -1.26),
            (-0.50, 0.56, 0.01, -0.68, -0.01, 0.83, -0.53, -1.06, -0.30, 0.23, -1.04, -0.90),
            (-0.47, 0.71, 0.31, -0.75, -0.47, 1.08, -0.92, -0.59, -0.69, -0.46, -0.66, -0.52),
            (-0.50, 1.60, -0.93, -1.07, -1.40, -0.54, 0.07, -0.73, 0.24, -0.73, -1.74, -1.04),
        ),
        dtype=np.float64,
    ),
    same=-0.32,
)
