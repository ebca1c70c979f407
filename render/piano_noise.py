"""What is heard of a blow besides the strings: the knock of key, action and soundboard, and the felt on the strings.

Both are short, the same for a key each time, and kept as templates: a blow only sets how loud each is. Without them
the treble is a bell and fast passages have no edge.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32

from render.piano import LN_60_DB, frequency, loudness, pan_angle

KNOCK_SEC, FELT_SEC = 0.3, 0.05
KNOCK_MODES = 48
KNOCK_LEVEL, SOFT_FELT_LEVEL, HARD_FELT_LEVEL = 0.10, 0.035, 0.05  # root mean square of a blow of velocity 127


@lru_cache(maxsize=128)
def _templates(
    pitch: int, sample_rate: int
) -> tuple[Float32[np.ndarray, "2 knock"], Float32[np.ndarray, "2 felt"], Float32[np.ndarray, "2 felt"]]:
    """The knock, and the felt's noise of a soft and of a hard blow, each of peak energy 1 around its begin."""
    rng = np.random.default_rng(9000 + pitch)
    felt = rng.standard_normal((2, round(FELT_SEC * sample_rate)))
    centre = 500.0 + 0.5 * frequency(min(pitch, 96))
    return (
        _panned(_knock(rng, _height(pitch), sample_rate), pitch),
        _panned(_felt(felt, centre, 0.006, sample_rate), pitch),
        _panned(_felt(felt, 2.2 * centre + 400, 0.004, sample_rate), pitch),
    )


def _height(pitch: int) -> float:
    """0 up to the middle of the keyboard, 1 for the highest key: light hammers knock brighter."""
    return min(max((pitch - 64) / 44, 0.0), 1.0)


def _knock(rng: np.random.Generator, height: float, sample_rate: int) -> Float[np.ndarray, "2 knock"]:
    """Some modes of the soundboard, heard at other phases left and right."""
    low, high = np.log(65.0), np.log(800.0 + 2200.0 * height)
    hertz = np.exp(rng.uniform(low, high, KNOCK_MODES))
    seconds = 0.5 * (hertz / 100.0) ** -0.45
    t = np.arange(round(KNOCK_SEC * sample_rate)) / sample_rate
    wave = np.exp(np.outer(-LN_60_DB / seconds + 2j * np.pi * hertz, t))
    phases = np.exp(2j * np.pi * rng.uniform(0, 1, (2, KNOCK_MODES))) * (hertz / 100.0) ** (-0.4 + 0.4 * height)
    out = np.real(np.sum(phases[:, :, None] * wave, axis=1))
    return _shaped(out, 0.004, sample_rate)


def _felt(noise: np.ndarray, centre: float, decay_sec: float, sample_rate: int) -> Float[np.ndarray, "2 felt"]:
    """Noise around a frequency, by a filter in the spectrum, that dies within some milliseconds."""
    size = noise.shape[1]
    hertz = np.fft.rfftfreq(size, 1 / sample_rate)
    shape = (hertz / centre) ** 2 / (1 + (hertz / centre) ** 4) * np.exp(-((hertz / (3 * centre + 1500)) ** 2))
    band = np.fft.irfft(np.fft.rfft(noise, axis=1) * shape, size, axis=1)
    t = np.arange(size) / sample_rate
    return _shaped(band / band.std() * np.exp(-t / decay_sec), 0.0015, sample_rate)


def _shaped(wave: np.ndarray, rise_sec: float, sample_rate: int) -> np.ndarray:
    """Starts and ends at 0, with a root mean square of 1 over its loudest 5 ms."""
    rise = max(round(rise_sec * sample_rate), 1)
    wave[:, :rise] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise)
    fade = wave.shape[1] // 4
    wave[:, -fade:] *= np.linspace(1, 0, fade)
    window = max(round(0.005 * sample_rate), 1)
    power = np.convolve(np.mean(wave**2, axis=0), np.full(window, 1 / window), mode="valid")
    return wave / np.sqrt(power.max())


def _panned(wave: np.ndarray, pitch: int) -> Float32[np.ndarray, "2 count"]:
    angle = pan_angle(pitch)
    return (wave * np.array([[np.cos(angle)], [np.sin(angle)]])).astype(np.float32)


def hammer_noise(pitch: int, velocity: int, sample_rate: int) -> Float32[np.ndarray, "2 count"]:
    """The noise of a blow, left and right. Felt grows faster than the knock, and its bright part fastest."""
    knock, soft, hard = _templates(pitch, sample_rate)
    level, force = loudness(velocity), velocity / 127
    out = knock * np.float32(KNOCK_LEVEL * (1 + 0.8 * _height(pitch)) * level * force**-0.3)
    out[:, : soft.shape[1]] += soft * np.float32(SOFT_FELT_LEVEL * level)
    out[:, : hard.shape[1]] += hard * np.float32(HARD_FELT_LEVEL * level * force**1.2)
    return out
