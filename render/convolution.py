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
    out: Float32[np.ndarray, "2 count"],
    dry: Float32[np.ndarray, "2 count"],
    response: Complex64[np.ndarray, "2 2 bins"],
    size: int,
    length: int,
) -> None:
    """Adds to `out` what two ears hear of two sources, in place; what would ring past the end is lost.

    Args:
        out: left and right.
        dry: the sources; another array than `out`.
        response: spectrum at each ear (first axis) of each source (second axis), of `size` samples.
        size: of a transform.
        length: of the responses in samples, below `size`.
    """
    step = size - length + 1
    for start in range(0, dry.shape[1], step):
        bins = spectra(dry[:, start : start + step], size)
        heard = samples_of(response[:, 0] * bins[0] + response[:, 1] * bins[1], size)
        stop = min(start + size, out.shape[1])
        out[:, start:stop] += heard[:, : stop - start]
