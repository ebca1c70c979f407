"""The strings that nobody struck: while the pedal is down, all of them answer what is played.

The bank of all keys' free strings is one response of four seconds, with each key's first partials at their own
frequencies and decays. What is played while the pedal is down is convolved with it, span by span; where the pedal comes
up the dampers end the ring. So a tone wakes the strings that share its partials, which then outlast it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Complex64, Float32

from render.convolution import samples_of, spectra
from render.mixing import mixed
from render.piano import FIRST_KEY, LAST_KEY, LN_60_DB, decay_seconds, partial_frequencies, soundboard

RING_SEC = 4.0
RING_LEVEL = 0.08  # of a partial's amplitude a second, what a string in tune with it takes up
PARTIALS = 10
HIGHEST_HZ = 5000.0
LONGEST_SPAN_SEC = 6.0  # longer ones are cut, their rings overlap
DAMPED_SEC = 0.35  # T60 of the ring where the pedal comes up
RAMP_SEC = 0.015
BLOCK = 1024


@lru_cache(maxsize=2)
def ring_response(sample_rate: int) -> Float32[np.ndarray, "2 count"]:
    """What all free strings answer to a click, left and right."""
    rng = np.random.default_rng(88)
    poles, levels = [], []
    for pitch in range(FIRST_KEY, LAST_KEY + 1):
        f = partial_frequencies(pitch, sample_rate)[:PARTIALS]
        f = f[f < HIGHEST_HZ]
        seconds = 0.7 * decay_seconds(pitch, f)[1]
        poles.append(-LN_60_DB / seconds + 2j * np.pi * f)
        levels.append(np.minimum(soundboard(f, 0), 1.0) / np.arange(1, len(f) + 1) ** 0.7)
    pole, level = np.concatenate(poles) / sample_rate, np.concatenate(levels)
    sides = level * np.exp(2j * np.pi * rng.uniform(0, 1, (2, len(level))))
    blocks = -(-int(RING_SEC * sample_rate) // BLOCK)
    starts = np.exp(np.outer(np.arange(blocks) * BLOCK, pole))
    fine = np.exp(np.outer(pole, np.arange(BLOCK)))
    # The real part of starts @ fine, as one product of real matrices.
    right = np.concatenate([np.real(fine), -np.imag(fine)]).astype(np.float32)
    rows = (sides[:, None, :] * starts).reshape(2 * blocks, -1)
    out = mixed(np.concatenate([np.real(rows), np.imag(rows)], axis=1).astype(np.float32), right).reshape(2, -1)
    rise, fade = int(0.01 * sample_rate), int(2.0 * sample_rate)
    out[:, :rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    out[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32) ** 2
    return out * np.float32(2 * RING_LEVEL / sample_rate)


@lru_cache(maxsize=8)
def _spectra(sample_rate: int, size: int) -> Complex64[np.ndarray, "2 bins"]:
    return spectra(ring_response(sample_rate)[:, : size // 2], size)


def _size(count: int) -> int:
    """A length for transforms, a power of two or one and a half of it, of at least `count`."""
    power = 1 << max(count - 1, 1).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= count else power


def add_ring(sound: Float32[np.ndarray, "2 count"], spans: list[tuple[float, float]], sample_rate: int) -> None:
    """Adds the ring of the free strings in place.

    Args:
        sound: left and right, without the room.
        spans: seconds in which the pedal is down, in order.
        sample_rate: in Hz.
    """
    dry = sound.mean(axis=0)
    for start, end in spans:
        pieces = max(int(np.ceil((end - start) / LONGEST_SPAN_SEC)), 1)
        for piece in range(pieces):
            first = start + (end - start) * piece / pieces
            last = start + (end - start) * (piece + 1) / pieces
            _add_span(sound, dry, [round(sec * sample_rate) for sec in (first, last, end)], sample_rate)


def _add_span(sound: np.ndarray, dry: np.ndarray, at: list[int], sample_rate: int) -> None:
    """What is played between the first two samples of `at` rings until the third, where the dampers fall."""
    first, last, end = at
    ramp, tail = int(RAMP_SEC * sample_rate), int(1.5 * DAMPED_SEC * sample_rate)
    heard = min(end + tail - first, last - first + int(RING_SEC * sample_rate), sound.shape[1] - first)
    played = dry[first:last].copy()
    edge = min(ramp, len(played))
    # Borders of neighbours add up to one.
    played[:edge] *= np.linspace(0, 1, edge, dtype=np.float32)
    if last < end:
        after = dry[last : last + ramp]
        played = np.concatenate([played, after * np.linspace(1, 0, ramp, dtype=np.float32)[: len(after)]])
    if not len(played) or heard <= 0 or not np.abs(played).max() > 0:
        return
    size = _size(2 * max(heard, len(played)))
    ring = samples_of(_spectra(sample_rate, size) * spectra(played, size), size)[:, :heard]
    closed = max(heard - (end - first), 0)
    if closed:
        t = np.arange(closed, dtype=np.float32) / np.float32(sample_rate)
        ring[:, -closed:] *= np.exp(np.float32(-LN_60_DB / DAMPED_SEC) * t) * np.linspace(
            1, 0, closed, dtype=np.float32
        )
    sound[:, first : first + heard] += ring
