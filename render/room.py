"""A small room: early reflections and a short diffuse tail, the same for every piece."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float32

REVERB_SEC = 1.1  # until the tail has fallen by 60 dB
PREDELAY_SEC = 0.014
WET = 0.16  # root of the tail's energy, that of the direct sound being 1
REFLECTIONS = ((0.0113, 0.11, 0.07), (0.0171, 0.06, 0.1), (0.0237, 0.08, 0.05), (0.0319, 0.04, 0.06))
BLOCK = 1 << 16


@lru_cache(maxsize=2)
def impulse_response(sample_rate: int) -> Float32[np.ndarray, "count 2"]:
    """What the room answers to a click on the left and on the right; the direct sound is not in it."""
    rng = np.random.default_rng(20)
    count = int(REVERB_SEC * sample_rate)
    t = np.arange(count) / sample_rate
    noise = rng.standard_normal((count, 2))
    # High tones die first: a mixture of a bright short tail and a dark long one.
    dark = np.empty_like(noise)
    width = max(sample_rate // 4000, 1)
    for side in (0, 1):
        dark[:, side] = np.convolve(noise[:, side], np.hanning(width + 2)[1:-1], mode="same")
    dark /= dark.std()
    tail = 0.35 * noise * np.exp(-16 * t)[:, None] + dark * np.exp(-6.9 / REVERB_SEC * t)[:, None]
    tail[: int(PREDELAY_SEC * sample_rate)] = 0
    tail *= WET / np.sqrt(np.mean(np.sum(tail**2, axis=0)))
    for seconds, left, right in REFLECTIONS:
        tail[int(seconds * sample_rate)] += (left, right)
    fade = int(0.1 * sample_rate)
    tail[-fade:] *= np.linspace(1, 0, fade)[:, None]
    return tail.astype(np.float32)


def add_room(samples: Float32[np.ndarray, "count 2"], sample_rate: int) -> None:
    """Adds the room's answer to the samples in place; what would ring past their end is lost."""
    response = impulse_response(sample_rate)
    size = BLOCK + len(response) - 1
    size = 1 << (size - 1).bit_length()
    step = size - len(response) + 1
    for side in (0, 1):
        spectrum = np.fft.rfft(response[:, side], size).astype(np.complex64)
        dry = samples[:, side].copy()
        for start in range(0, len(dry), step):
            wet = np.fft.irfft(np.fft.rfft(dry[start : start + step], size) * spectrum, size)
            stop = min(start + size, len(dry))
            samples[start:stop, side] += wet[: stop - start].astype(np.float32)
