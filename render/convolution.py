"""Convolution of long sound with responses of seconds, in single precision and blocks."""

from __future__ import annotations

import numpy as np
import scipy.fft
from jaxtyping import Complex64, Float32


def spectra(response: Float32[np.ndarray, "*ears count"], size: int) -> Complex64[np.ndarray, "*ears bins"]:
    """Spectra of responses or of sound, padded to `size`."""
    return np.asarray(scipy.fft.rfft(response, size, axis=-1))


def samples_of(bins: Complex64[np.ndarray, "*ears bins"], size: int) -> Float32[np.ndarray, "*ears count"]:
    """The other way round."""
    return np.asarray(scipy.fft.irfft(bins, size, axis=-1))


def add_convolved(
    sound: Float32[np.ndarray, "2 count"], response: Complex64[np.ndarray, "2 2 bins"], size: int, length: int
) -> None:
    """Adds to left and right, in place, what two ears hear of them; what would ring past the end is lost.

    Args:
        sound: left and right.
        response: spectrum at each ear (first axis) of each source (second axis), of `size` samples.
        size: of a transform.
        length: of the responses in samples, below `size`.
    """
    step = size - length + 1
    # From the end, so that no answer falls onto what has yet to be read, and no copy is needed.
    for start in reversed(range(0, sound.shape[1], step)):
        bins = spectra(sound[:, start : start + step], size)
        heard = samples_of(response[:, 0] * bins[0] + response[:, 1] * bins[1], size)
        stop = min(start + size, sound.shape[1])
        sound[:, start:stop] += heard[:, : stop - start]
