"""A small room: early reflections and a short diffuse tail, the same for every piece."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Complex64, Float32

from render.convolution import add_convolved, spectra

REVERB_SEC = 1.6  # until the tail's middle has fallen by 60 dB
BANDS = ((0.0, 250.0, 1.5), (250.0, 2000.0, 1.6), (2000.0, 5000.0, 1.0), (5000.0, 14_000.0, 0.5))  # Hz, Hz, T60 in s
PREDELAY_SEC = 0.012
GROW_SEC = 0.03  # in which the tail becomes dense
WET = 0.22  # root of the tail's energy, that of the direct sound being 1
CROSS = 0.6  # of the tail, what each source gives to the other ear
# Seconds, at the left and right ear from the left source; from the right one the other way round.
REFLECTIONS = ((0.0073, 0.10, 0.03), (0.0113, 0.05, 0.09), (0.0171, 0.07, 0.05), (0.0237, 0.04, 0.06),
               (0.0319, 0.05, 0.03))  # fmt: skip
SIZE = 1 << 17


def _tail(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Noise of which high tones die first, as four bands with their own decay; energy 1."""
    count = int(REVERB_SEC * sample_rate)
    t = np.arange(count) / sample_rate
    bins = np.fft.rfft(rng.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / sample_rate)
    tail = np.zeros(count)
    for low, high, seconds in BANDS:
        # Edges of a third of an octave; equal power each, so that the tail is warm.
        edge = 1 / (1 + (hertz / high) ** 12) * (1 - 1 / (1 + (hertz / low) ** 12) if low else 1)
        band = np.fft.irfft(bins * edge * (1 + hertz / 900.0) ** -0.6, count)
        tail += band * 10 ** (-3 * t / seconds)
    tail *= np.clip((t - PREDELAY_SEC) / GROW_SEC, 0, 1)
    fade = int(0.15 * sample_rate)
    tail[-fade:] *= np.linspace(1, 0, fade)
    return tail / np.sqrt(np.sum(tail**2))


@lru_cache(maxsize=2)
def impulse_responses(sample_rate: int) -> Float32[np.ndarray, "2 2 count"]:
    """What each ear (first axis) gets of a click from each side (second axis), without the direct sound."""
    rng = np.random.default_rng(20)
    across = CROSS / np.hypot(1, CROSS)
    straight = 1 / np.hypot(1, CROSS)
    out = np.stack(
        [
            np.stack([_tail(rng, sample_rate) * (straight if ear == source else across) * WET for source in (0, 1)])
            for ear in (0, 1)
        ]
    )
    for seconds, near, far in REFLECTIONS:
        at = int(seconds * sample_rate)
        # Walls are duller than the instrument: a reflection is spread over a few samples.
        spread = np.hanning(max(sample_rate // 7000, 1) + 2)[1:-1]
        spread /= spread.sum()
        for source in (0, 1):
            out[source, source, at : at + len(spread)] += near * spread
            out[1 - source, source, at : at + len(spread)] += far * spread
    return out.astype(np.float32)


@lru_cache(maxsize=2)
def _spectra(sample_rate: int) -> tuple[Complex64[np.ndarray, "2 2 bins"], int, int]:
    responses = impulse_responses(sample_rate)
    size = SIZE
    while size < 2 * responses.shape[2]:
        size *= 2
    return spectra(responses, size), size, responses.shape[2]


def add_room(sound: Float32[np.ndarray, "2 count"], sample_rate: int) -> None:
    """Adds the room's answer to left and right in place; what would ring past their end is lost."""
    response, size, length = _spectra(sample_rate)
    add_convolved(sound, response, size, length)
