"""Weights of the chord finder (`music.analysis.chords`).

Learned by a structured perceptron with margin (averaged, AdaGrad steps) from the training half of the Bach chorales of
music21 that people have analysed in Roman numerals (When in Rome, analyses by D. Tymoczko and others, CC BY-SA 4.0), as
they stand and as slowed and broken-chord versions of themselves; the test half and the held-out chorales took no part.
`benchmarks/analysis.py` measures the result.
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
            (7.66, 6.36, 7.53, 5.35),
            (0.56, 3.74, -0.23, 0.62),
            (3.94, 4.51, 5.37, -0.59),
            (1.37, 2, 1.51, 4.5),
            (4.87, -0.09, 2.69, 1.16),
            (4.76, 3.73, 4.24, 3.83),
        ),
        dtype=np.float64,
    ),
    bass=np.array((0.86, 0.84, -1.35, -0.52), dtype=np.float64),
    first_bass=np.array((0.72, 0.59, 0.11, 0.78), dtype=np.float64),
    missing=np.array((-2.93, -1.81, -1.78, -2.49), dtype=np.float64),
    quality_time=np.array((0.89, 0.36, -0.41, -0.93, -0.36, -1.17, -0.93, -1.27, -0.75), dtype=np.float64),
    level=np.array((-0.08, -0.96, -2.17), dtype=np.float64),
    length=np.array((0.65, -0.11, -0.27, 0.06, -1.04, -0.47, -0.45, 0.47), dtype=np.float64),
    degree=np.array(
        (
            (
                (-0.1, -2.16, -2, -2, -0.13, -2.08, -2, -2, -2.16),
                (-2, -2, -1.39, -2, -2, -2, -2, -2.13, -0.49),
                (-0.37, -0.38, -1.71, -2, -0.46, -2, 0.01, -2, -2.74),
                (-2.19, -2, -1.68, -2, -2, -2, -2, -2, -1.81),
                (-0.72, -1.64, -2.21, -2.37, -0.8, -2, -2.24, -1.4, -2.57),
                (-1.15, -2.32, -2.53, -2, -1.67, -1.76, -2, -2, -3.39),
                (-2, -2, -0.67, -2, -2, -2, -2, -0.79, -0.88),
                (-0.07, -1.56, -2.13, -2, -0.1, -2, -1.43, -2.32, -2.66),
                (-2, -2, -2.18, -2.08, -2, -2, -2, -2, -0.22),
                (-1.01, -0.45, -1.68, -2.29, -0.76, -2, -1, -1.74, -2.33),
                (-1.93, -2.28, -2, -2, -2, -2.5, -2, -2, -2.87),
                (-2, -2.25, -0.5, -2.11, -2.32, -2, -2.26, -0.37, -2.36),
            ),
            (
                (-0.7, 0, -2, -2.26, -0.56, -2, -1.51, -2, -2.41),
                (-2.35, -2, -2.09, -2, -2.04, -2.18, -2, -2, -2.97),
                (-0.89, -1.72, -0.24, -2, -1.17, -2, -1.43, -0.01, -3.31),
                (-0.88, -2.1, -2.19, -1.45, -2.26, -1.49, -2, -2, -3.15),
                (-2, -2.71, -0.7, -2.22, -2, -2, -2.21, -1.08, -0.49),
                (-0.78, -0.82, -2.68, -2, -0.89, -2, -0.98, -2.33, -3.67),
                (-2, -2, -1.56, -2.18, -2, -2, -2, -2, -0.29),
                (-0.12, -0.78, -1.69, -3.01, -0.07, -2, -1.35, -1.17, -2.8),
                (-1.82, -2.39, -2.6, -1.29, -1.46, -1.35, -2, -2.29, -3.16),
                (-2, -2.85, -1.35, -2, -2, -2, -2.11, -0.8, -2.06),
                (-0.1, -1.07, -2, -2, -0.11, -2, -2, -2, -2.24),
                (-2, -2.38, -0.42, -2.51, -2, -2, -2, -1.66, 0.43),
            ),
        ),
        dtype=np.float64,
    ),
    step=np.array(
        (
            (0.96, -0.96, -1.05, -1.08, -0.68, 0.06, 0.61, -0.52, -0.64, -0.36, -0.77, -1.43),
            (0.24, -0.21, -0.5, -0.76, -0.08, 0.08, -0.15, -0.12, 0.19, 0.45, -1.53, -0.23),
            (0.65, 0.97, -0.28, -0.69, -0.19, 0.6, 0.08, -0.51, -0.56, -1.15, -0.88, -0.48),
            (-0.13, -0.63, 0.12, 1.16, 0.03, 0.35, -0.22, -0.57, -0.17, 0.09, -0.75, -0.35),
            (-0.49, 0.72, 0.6, -0.52, -0.13, 1.97, 1.97, -0.74, -0.33, 0.28, -0.56, -0.1),
            (-0.24, 0, -0.13, 0.53, 1.08, 0.76, 1.21, -0.2, -0.15, 0.58, -0.19, -0.89),
            (-0.25, 0.81, 0.42, -0.22, 0.34, 1.16, -0.1, -0.74, -0.08, 0.54, -0.67, -0.54),
            (-0.03, 0.92, 0.57, -0.79, -0.47, 1.28, -0.7, -0.22, -0.56, -0.33, -0.59, -0.48),
            (-0.34, 1.99, -0.6, -0.6, -1.5, -0.37, 0.12, -0.41, 0.42, -0.55, -1.49, -0.79),
        ),
        dtype=np.float64,
    ),
    same=-0.20,
)
