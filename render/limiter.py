"""A gentle limiter: what is too loud is turned down around it, slowly enough that nobody hears it work."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import minimum_filter1d

WINDOW_SEC = 0.08  # over which the gain falls and rises
BLOCK = 32
PART = 1 << 20  # samples at a time, which saves memory


def limit(sound: Float32[np.ndarray, "2 count"], ceiling: float, sample_rate: int) -> None:
    """Keeps samples within `ceiling` in place; sound that is within it already is left as it is, to the bit.

    The gain each moment needs is spread to its surroundings by a running minimum, then smoothed over the same width: so
    it's never above what is needed.
    """
    if float(np.abs(sound).max(initial=0.0)) <= ceiling:
        return
    count = sound.shape[1]
    blocks = -(-count // BLOCK)
    peaks = np.zeros(blocks * BLOCK, dtype=np.float32)
    peaks[:count] = np.abs(sound).max(axis=0)
    needed = np.minimum(ceiling / np.maximum(peaks.reshape(blocks, BLOCK).max(axis=1), 1e-9), 1.0)
    width = 2 * max(round(WINDOW_SEC * sample_rate / BLOCK / 2), 1) + 1
    window = np.hanning(width + 2)[1:-1]
    held = minimum_filter1d(needed, width + 2, mode="nearest")  # two more: gains are joined by straight lines below
    padded = np.pad(held, width // 2, mode="edge")
    gain = np.convolve(padded, window / window.sum(), mode="valid")
    middles = np.arange(blocks) * BLOCK + (BLOCK - 1) / 2
    for start in range(0, count, PART):
        part = sound[:, start : start + PART]
        part *= np.interp(np.arange(start, start + part.shape[1]), middles, gain).astype(np.float32)
        np.clip(part, -ceiling, ceiling, out=part)  # rounding
