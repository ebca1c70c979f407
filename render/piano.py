"""A small piano: sums of decaying partials, all of a note's in one matrix product.

A partial is a complex exponential exp((-d + iw) t). Splitting t into blocks, exp(z (kB + m)) = exp(z kB) exp(z m), so
the real part of a whole note is one product of a (blocks x 2 modes) by a (2 modes x B) matrix: the fastest way to a
bank of resonators in numpy. Inharmonicity follows Rigaud, David & Daudet, "A parametric model and estimation
techniques for the inharmonicity and tuning of the piano" (2013); double decay follows Weinreich, "Coupled piano
strings" (1977). Levels and decay times were set by ear and eye to lie within what is published for pianos.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float, Float32

BLOCK = 512
FIRST_KEY, LAST_KEY = 21, 108
HIGHEST_DAMPED = 89  # the top keys of a piano have no dampers
MOST_PARTIALS = 36
HIGHEST_PARTIAL_HZ = 11_000.0
STRIKE_PLACE = 0.12  # of the string, from its end: partials with a node there are weak
DETUNE = 0.00012  # of the frequency, between the strings of one key (0.2 cents)
AFTERSOUND_LEVEL, AFTERSOUND_DECAY = 0.22, 0.28
INAUDIBLE = 10 ** (-72 / 20)
THUD_HZ = (92.0, 171.0, 263.0, 418.0, 655.0, 1020.0, 1590.0)  # the case and the key bed, heard with each blow
THUD_DECAY = (38.0, 45.0, 52.0, 60.0, 75.0, 95.0, 120.0)


def frequency(pitch: int) -> float:
    """Hertz of a MIDI pitch in equal temperament; 69 is A4 = 440 Hz."""
    return 440.0 * 2.0 ** ((pitch - 69) / 12)


def inharmonicity(pitch: int) -> float:
    """Inharmonicity coefficient B of a key: least in the tenor, more in the bass, much in the treble."""
    return float(np.exp(9.26e-2 * pitch - 13.64) + np.exp(-8.47e-2 * pitch - 5.82))


def partial_frequencies(pitch: int, sample_rate: int) -> Float[np.ndarray, " partials"]:
    """Frequencies of a key's partials; the first one is exactly the key's pitch."""
    f0, b = frequency(pitch), inharmonicity(pitch)
    n = np.arange(1, MOST_PARTIALS + 1)
    f = n * f0 * np.sqrt((1 + b * n**2) / (1 + b))
    kept = f < min(HIGHEST_PARTIAL_HZ, 0.45 * sample_rate)
    kept[0] = True
    return f[kept]


def loudness(velocity: int) -> float:
    """Amplitude of a MIDI velocity, 1 at 127: about 36 dB from 10 up to 127."""
    return (velocity / 127) ** 1.65


def decay_rate(pitch: int) -> float:
    """First decay of the fundamental in 1/s, of amplitude: 60 dB within 14 s at A0, 2 s at A4, 0.4 s at C8."""
    return 6.9 / (14.0 * 2.0 ** (-(pitch - FIRST_KEY) / 17))


def damper_rate(pitch: int) -> float:
    """Decay in 1/s, of amplitude, under the damper: 60 dB within 0.45 s in the bass, 0.15 s in the treble."""
    place = min(max((pitch - FIRST_KEY) / (HIGHEST_DAMPED - FIRST_KEY), 0.0), 1.0)
    return 6.9 / (0.45 - 0.3 * place)


@lru_cache(maxsize=128)
def _resonators(
    pitch: int, sample_rate: int
) -> tuple[Float[np.ndarray, " partials"], Complex[np.ndarray, " modes"], Float32[np.ndarray, "twice block"]]:
    """Partial frequencies, the poles of all modes (per sample), and the right-hand matrix of a block."""
    f = partial_frequencies(pitch, sample_rate)
    n = np.arange(1, len(f) + 1)
    decay = decay_rate(pitch) * (1 + 0.12 * (n - 1)) + 5.0 * (f / 4000.0) ** 2
    after = f * (1 + DETUNE * (1 + 0.5 * np.sin(7.0 * n + pitch)))
    thud = np.array(THUD_HZ) * (1 + 0.004 * (pitch - 60))
    frequencies = np.concatenate([f, after, thud])
    decays = np.concatenate([decay, decay * AFTERSOUND_DECAY, THUD_DECAY])
    poles = (2j * np.pi * frequencies - decays) / sample_rate
    fine = np.exp(np.outer(poles, np.arange(BLOCK)))
    return f, poles, np.concatenate([np.real(fine), np.imag(fine)], axis=0).astype(np.float32)


@lru_cache(maxsize=4096)
def _amplitudes(pitch: int, velocity: int, sample_rate: int) -> Float[np.ndarray, " modes"]:
    """How strongly a blow excites each mode of a key."""
    f = _resonators(pitch, sample_rate)[0]
    n = np.arange(1, len(f) + 1)
    # A harder blow is shorter and excites higher partials: the hammer's spectrum rolls off from `bright` on.
    hard = velocity / 127
    bright = (350.0 + 2600.0 * hard**1.5) * (1 + frequency(pitch) / 500.0) ** 0.75
    level = np.abs(np.sin(np.pi * n * STRIKE_PLACE)) / n**0.55 * np.exp(-((f / bright) ** 0.9)) + 1e-5
    # The sounding board hardly radiates below 80 Hz: the deepest tones live by their upper partials.
    level *= f**2 / (f**2 + 75.0**2)
    level *= loudness(velocity) / np.sqrt(np.sum(level**2))
    thud = 0.05 * loudness(velocity) * hard**0.5 / np.sqrt(len(THUD_HZ))
    return np.concatenate([level * (1 - AFTERSOUND_LEVEL), level * AFTERSOUND_LEVEL, np.full(len(THUD_HZ), thud)])


def string_samples(pitch: int, velocity: int, count: int, sample_rate: int) -> Float32[np.ndarray, " count"]:
    """The free sound of a struck key, `count` samples from the blow on; it never jumps.

    Args:
        pitch: MIDI pitch 0..127 (keys that no piano has sound as one would expect).
        velocity: 1..127; sets loudness and brightness.
        count: samples wanted.
        sample_rate: in Hz.
    """
    _, poles, fine = _resonators(pitch, sample_rate)
    amplitudes = _amplitudes(pitch, velocity, sample_rate)
    starts = np.arange(-(-count // BLOCK)) * BLOCK
    coarse = np.exp(np.outer(starts, poles)) * (-1j * amplitudes)  # sines: a struck string starts from rest
    left = np.concatenate([np.real(coarse), -np.imag(coarse)], axis=1).astype(np.float32)
    samples = (left @ fine).ravel()[:count]
    rise = min(int(sample_rate * (0.0012 + 0.0035 * (1 - velocity / 127))), count)
    samples[:rise] *= (0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / max(rise, 1))).astype(np.float32)
    return samples


def ringing_seconds(pitch: int, velocity: int) -> float:
    """How long a key that nobody damps is heard: until its aftersound has fallen by 72 dB."""
    level = loudness(velocity) * AFTERSOUND_LEVEL
    return float(max(np.log(level / INAUDIBLE), 1.0) / (decay_rate(pitch) * AFTERSOUND_DECAY)) + 0.05


def sounding_seconds(pitch: int, velocity: int, held_sec: float, rate: float | None) -> float:
    """How long a key is heard that is held for `held_sec` and then damped at `rate` (see `note_samples`)."""
    ringing = ringing_seconds(pitch, velocity)
    if rate is None and pitch > HIGHEST_DAMPED:
        return ringing
    return min(held_sec - float(np.log(INAUDIBLE)) / (rate or damper_rate(pitch)), ringing)


def note_samples(
    pitch: int, velocity: int, held_sec: float, sample_rate: int, *, rate: float | None = None
) -> Float32[np.ndarray, " count"]:
    """A key held for so long and then damped, until nothing is heard; the last sample is 0.

    Args:
        pitch: MIDI pitch.
        velocity: 1..127.
        held_sec: seconds until the damper falls.
        sample_rate: in Hz.
        rate: decay under the damper in 1/s; None for the key's own, which for the highest keys is none.
    """
    count = max(int(sounding_seconds(pitch, velocity, held_sec, rate) * sample_rate), 64)
    samples = string_samples(pitch, velocity, count, sample_rate)
    release = int(held_sec * sample_rate)
    if release < count and (rate is not None or pitch <= HIGHEST_DAMPED):
        after = np.arange(count - release, dtype=np.float32) / np.float32(sample_rate)
        samples[release:] *= np.exp(-np.float32(rate or damper_rate(pitch)) * after)
    fade = min(int(0.02 * sample_rate), count)
    samples[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return samples


def stereo_gains(pitch: int) -> tuple[np.float32, np.float32]:
    """Left and right gain of a key: bass a little left, treble a little right, of equal power."""
    angle = np.pi / 4 * (1 + 0.45 * np.clip((pitch - 64) / 44, -1, 1))
    return np.float32(np.cos(angle)), np.float32(np.sin(angle))
