"""The piano that is sounded: what each key's strings do when they are struck, as numbers.

A key is a set of *modes*, decaying sines: each partial has a prompt sound that dies fast and an aftersound of strings
tuned a hair apart, which beats and lasts (Weinreich, "Coupled piano strings", 1977). Inharmonicity follows Rigaud,
David & Daudet, "A parametric model and estimation techniques for the inharmonicity and tuning of the piano" (2013).
Levels and decays by frequency are rounded from measurements of a concert grand's single tones; `docs/sound.md` has both
beside each other. `render.piano_strings` turns modes into samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float

FIRST_KEY, LAST_KEY = 21, 108
HIGHEST_DAMPED = 89  # the top keys of a piano have no dampers
MOST_PARTIALS = 64
HIGHEST_PARTIAL_HZ = 12_000.0
DULL_DB_PER_KHZ, DULL_VELOCITY = 10.5, 80  # how the spectrum falls at a velocity
DULL_HALVED = 52.0  # steps of velocity that halve the fall
UNISON_CENTS = 0.35  # spread of a key's strings
LEAST_LEVEL = 10 ** (-84 / 20)  # a partial that starts below this is not sounded (a loudest note is 1)
# T60 in seconds, by frequency: of the prompt sound and of the aftersound.
DECAY_HZ = (27.5, 65.0, 131.0, 262.0, 523.0, 1047.0, 2093.0, 4186.0, 8372.0, 12_000.0)
PROMPT_SEC = (15.0, 9.5, 5.5, 3.2, 2.4, 1.9, 1.6, 1.3, 0.7, 0.4)
AFTER_SEC = (28.0, 24.0, 18.0, 12.5, 9.5, 8.5, 7.0, 5.0, 2.2, 1.1)
LN_60_DB = float(np.log(1000.0))


@dataclass(frozen=True, eq=False)
class Modes:
    """What a key's strings can do, whatever strikes them. Sorted by how long they are heard, longest first.

    Attributes:
        partial: number of each mode's partial, counted from 0.
        poles: of a free string, per second: minus the decay plus i times the angular frequency.
        damping: further decay under the damper in 1/s; 0 where there is none.
        shares: part of the partial's level and phase that is the mode's, left and right.
    """

    partial: np.ndarray
    poles: Complex[np.ndarray, " modes"]
    damping: Float[np.ndarray, " modes"]
    shares: Complex[np.ndarray, "2 modes"]


def frequency(pitch: int) -> float:
    """Hertz of a MIDI pitch in equal temperament; 69 is A4 = 440 Hz."""
    return 440.0 * 2.0 ** ((pitch - 69) / 12)


def stretch_cents(pitch: int) -> float:
    """How much sharper than equal temperament a key is tuned: 0 at A4, -12 at A0, 22 at C8 (Railsback's curve)."""
    if pitch >= 69:
        away = (pitch - 69) / 39
        return 3.0 * away + 19.0 * away**3
    away = (69 - pitch) / 48
    return -2.0 * away - 10.0 * away**3


def inharmonicity(pitch: int) -> float:
    """Inharmonicity coefficient B of a key: least in the tenor, more in the bass, much in the treble."""
    return float(np.exp(9.26e-2 * pitch - 13.64) + np.exp(-8.47e-2 * pitch - 5.82))


def partial_frequencies(pitch: int, sample_rate: int) -> Float[np.ndarray, " partials"]:
    """Frequencies of a key's partials in Hz; the first one is the key's own, stretched."""
    f0, b = frequency(pitch) * 2.0 ** (stretch_cents(pitch) / 1200), inharmonicity(pitch)
    n = np.arange(1, MOST_PARTIALS + 1)
    f = n * f0 * np.sqrt((1 + b * n**2) / (1 + b))
    kept = f < min(HIGHEST_PARTIAL_HZ, 0.45 * sample_rate)
    kept[0] = True
    return f[kept]


def loudness(velocity: int) -> float:
    """Amplitude of a MIDI velocity, 1 at 127: about 36 dB from 10 up to 127."""
    return (velocity / 127) ** 1.65


def decay_seconds(
    pitch: int, f: Float[np.ndarray, " partials"]
) -> tuple[Float[np.ndarray, " partials"], Float[np.ndarray, " partials"]]:
    """T60 of the prompt sound and of the aftersound of a key's partials: longer in the bass, shorter on the top."""
    weight = max(1 + 0.4 * max(60 - pitch, 0) / 39 - 0.64 * max(pitch - 84, 0) / 24, 0.25)
    at = np.log(f)
    known = np.log(DECAY_HZ)
    return np.interp(at, known, PROMPT_SEC) * weight, np.interp(at, known, AFTER_SEC) * weight


def damper_rates(pitch: int, f: Float[np.ndarray, " any"]) -> Float[np.ndarray, " any"]:
    """Decay in 1/s under the damper: 60 dB within 0.7 s for the lowest tones, 0.15 s in the treble, none on the top."""
    if pitch > HIGHEST_DAMPED:
        return np.zeros_like(f)
    place = min(max((pitch - FIRST_KEY) / (HIGHEST_DAMPED - FIRST_KEY), 0.0), 1.0)
    seconds = (0.75 - 0.45 * place) / (1 + f / 1800.0)
    return LN_60_DB / np.maximum(seconds, 0.09)


def soundboard(f: Float[np.ndarray, " any"], side: int) -> Float[np.ndarray, " any"]:
    """Gain of what carries a string's frequency to a side's ear: little below 60 Hz, uneven by a few dB above."""
    log = np.log(np.maximum(f, 1.0))
    uneven = np.sin(9.1 * log + 1.0) + np.sin(15.7 * log + 2.6) + np.sin(23.3 * log + 4.4 + 1.9 * side)
    low = (f**3 / (f**3 + 58.0**3)) + 0.01
    return low * 10 ** (1.0 * uneven / 20)


@lru_cache(maxsize=128)
def key_modes(pitch: int, sample_rate: int) -> Modes:
    """The modes of a key's strings (MIDI pitch 0..127; keys that no piano has sound as one would expect)."""
    f = partial_frequencies(pitch, sample_rate)
    n = len(f)
    rng = np.random.default_rng(7000 + pitch)
    prompt, after = decay_seconds(pitch, f)
    uneven = rng.uniform(0.75, 1.3, n)
    uneven[0] = 1.0  # of the fundamental, or some keys would be weaker than their neighbours
    prompt = prompt * uneven
    # Unisons: what is left when the strings have fallen out of step, somewhat higher and somewhat lower.
    cents = UNISON_CENTS * rng.uniform(0.5, 1.5, (3, n)) * np.array([[0.0], [1.0], [-0.8]])
    cents[1:, 0] *= 0.4  # the fundamental says how high the tone is
    seconds = np.stack([prompt, after * rng.uniform(0.8, 1.2, n), after * rng.uniform(0.55, 0.9, n)])
    remains = 0.15 * rng.uniform(0.7, 1.3, n) * min(max(1 - (pitch - 84) / 32, 0.2), 1.0)
    level = np.stack([1 - remains, remains * 0.6, remains * 0.6])
    frequencies = (f * 2 ** (cents / 1200)).ravel()
    poles = -LN_60_DB / seconds.ravel() + 2j * np.pi * frequencies
    shares = level.ravel() * _places(pitch, np.tile(f, 3), rng)
    partial = np.tile(np.arange(n), 3)
    order = np.argsort(-_lasting(pitch, f, partial, poles, np.abs(shares).max(axis=0)), kind="stable")
    damping = damper_rates(pitch, frequencies)
    return Modes(partial[order], poles[order], damping[order], shares[:, order])


def _places(pitch: int, f: Float[np.ndarray, " modes"], rng: np.random.Generator) -> Complex[np.ndarray, "2 modes"]:
    """Gain and phase of each mode, left and right: the key's place, and for each partial another one around it."""
    wide = np.minimum(f / 400.0, 1.0)  # long waves reach both ears alike
    angle = pan_angle(pitch) + rng.uniform(-0.3, 0.3, len(f)) * wide
    # A partial's modes begin within a third of a turn of each other: none is struck out by its aftersound.
    phase = np.tile(rng.uniform(0, 2 * np.pi, len(f) // 3), 3) + rng.uniform(-1.0, 1.0, len(f))
    apart = rng.uniform(-0.65, 0.65, len(f)) * wide  # more would cancel on one loudspeaker
    gains = np.stack([np.cos(angle) * soundboard(f, 0), np.sin(angle) * soundboard(f, 1)])
    return gains * np.exp(1j * np.stack([phase + apart, phase - apart]))


def _lasting(
    pitch: int, f: np.ndarray, partial: np.ndarray, poles: np.ndarray, share: np.ndarray
) -> Float[np.ndarray, " modes"]:
    """Seconds until each mode of the loudest blow is no longer heard."""
    level = spectrum(pitch, 127, f)[partial] * share
    return np.log(np.maximum(level / LEAST_LEVEL, 1e-9)) / -np.real(poles)


def pan_angle(pitch: int) -> float:
    """Where a key is heard: 0 left, pi/4 in the middle, pi/2 right. Bass a little left, treble a little right."""
    return float(np.pi / 4 * (1 + 0.42 * np.clip((pitch - 64) / 44, -1, 1)))


def spectrum(pitch: int, velocity: int, f: Float[np.ndarray, " partials"]) -> Float[np.ndarray, " partials"]:
    """Levels of a key's partials after a blow, of energy `loudness(velocity)` squared.

    Where the hammer strikes, partials with a node are weak. A harder hammer is in touch with the string for a shorter
    time and excites higher partials: the spectrum's fall in dB per kHz halves every 52 steps of velocity.
    """
    n = np.arange(1, len(f) + 1)
    place = 0.122 - 0.05 * min(max((pitch - 60) / 48, 0.0), 1.0)
    comb = np.hypot(np.sin(np.pi * n * place), 0.07)
    fall = DULL_DB_PER_KHZ * 2.0 ** (-(velocity - DULL_VELOCITY) / DULL_HALVED)
    thin = 0.4 + 0.2 * min(max((pitch - 36) / 24, 0.0), 1.0)
    above = (f - f[0]) / 1000
    above = above / (1 + above / 60)  # the fall grows less steep
    level = comb / n**thin * 10 ** (-fall * above / 20)
    top = 1.0 if pitch < 76 else 10 ** (-0.22 * (pitch - 76) / 20)
    heard = level * np.hypot(soundboard(f, 0), soundboard(f, 1)) / np.sqrt(2)
    return level * (loudness(velocity) * top / np.sqrt(np.sum(heard**2)))


@lru_cache(maxsize=4096)
def blow(pitch: int, velocity: int, sample_rate: int) -> Complex[np.ndarray, "2 modes"]:
    """Amplitude and phase of every mode at the moment of a blow, left and right."""
    modes = key_modes(pitch, sample_rate)
    return modes.shares * spectrum(pitch, velocity, partial_frequencies(pitch, sample_rate))[modes.partial]


def rise_seconds(pitch: int, velocity: int) -> float:
    """How long a tone takes to begin: heavy hammers on low strings, and soft blows, take longer."""
    return 0.002 + 0.003 * (1 - velocity / 127) + 0.003 * max(60 - pitch, 0) / 39
