"""Seeded irregularity with memory: players drift, they do not roll dice (KTH noise rule; Gilden et al. 1995)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def pink(count: int, rng: np.random.Generator) -> Float[np.ndarray, " count"]:
    """Noise whose power falls as 1/f, of mean 0 and standard deviation 1, clipped at 3."""
    if count < 1:
        return np.zeros(0)
    # A longer stretch is made and cut, so that the ends do not meet as those of a periodic signal do.
    spectrum = np.fft.rfft(rng.standard_normal(2 * count + 16))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum)
    return (noise / noise.std())[:count].clip(-3, 3)
