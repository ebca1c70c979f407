"""From modes to samples: all of a tone's decaying sines in a few matrix products.

Splitting time into blocks, exp(z (kB + m)) = exp(z kB) exp(z m): the real part of a sum of modes, left and right, is a
(2 blocks x 2 modes) by (2 modes x B) product, the fastest bank of resonators there is. What has died away is left out
as the tone goes on, and where a damper moves the same amplitudes go on with other poles, so nothing ever jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float32

from render.mixing import mixed
from render.piano import HIGHEST_DAMPED, LEAST_LEVEL, blow, key_modes, rise_seconds
from render.piano_noise import hammer_noise

BLOCK = 256
CHUNKS = (4, 8, 16, 32, 64)  # blocks after which it is looked which modes are still heard; the last one for good
FREE, RESTRUCK = 0.0, 2.0  # dampings besides parts of the damper: none, and what a new blow does to the old sound
RESTRIKE_RATE = 45.0  # 1/s
FADE_SEC = 0.01
MOST_SEC = 90.0  # of one tone; the lowest key that nobody damps is heard for less

Steps = Sequence[tuple[float, float]]


@lru_cache(maxsize=160)
def _tables(
    pitch: int, sample_rate: int, damping: float
) -> tuple[Complex[np.ndarray, " modes"], Complex[np.ndarray, "starts modes"], Float32[np.ndarray, "twice block"]]:
    """Poles per sample; their powers at the starts of blocks; real and imaginary parts within a block, by turns."""
    modes = key_modes(pitch, sample_rate)
    rate = modes.damping + RESTRIKE_RATE if damping == RESTRUCK else modes.damping * damping
    poles = (modes.poles - rate) / sample_rate
    fine = np.ones((BLOCK, len(poles)), dtype=np.complex128)
    size = 1
    while size < BLOCK:  # powers by doubling: a tenth of the time of as many exponentials
        fine[size : 2 * size] = fine[:size] * np.exp(poles * size)
        size *= 2
    starts = np.exp(np.outer(np.arange(CHUNKS[-1] + 1) * BLOCK, poles))
    both = np.stack([fine.real.T, fine.imag.T], axis=1).astype(np.float32, order="C")
    return poles, starts, both.reshape(-1, BLOCK)


def string_tone(
    pitch: int, velocity: int, steps: Steps, sample_rate: int, *, most_sec: float = MOST_SEC
) -> Float32[np.ndarray, "2 count"]:
    """A struck key, left and right, until nothing is heard; it starts from 0 and ends at 0.

    Args:
        pitch: MIDI pitch 0..127.
        velocity: 1..127.
        steps: seconds after the blow and how much of the damper lies on the strings from then on (0..1, or `RESTRUCK`).
        sample_rate: in Hz.
        most_sec: where the tone is cut off if it is still heard.
    """
    amplitude = blow(pitch, velocity, sample_rate)
    borders = [(0, FREE), *((max(round(sec * sample_rate), 0), level) for sec, level in steps)]
    ends = [start for start, _ in borders[1:]] + [round(most_sec * sample_rate)]
    parts: list[np.ndarray] = []
    for (start, level), end in zip(borders, ends, strict=True):
        if end > start:
            made, amplitude = _stretch(pitch, sample_rate, level, amplitude, end - start)
            parts += made
            if not amplitude.size:
                break
    tone = np.concatenate(parts, axis=1) if parts else np.zeros((2, 1), dtype=np.float32)
    rise = min(round(rise_seconds(pitch, velocity) * sample_rate), tone.shape[1])
    tone[:, :rise] *= (0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / max(rise, 1))).astype(np.float32)
    fade = min(round(FADE_SEC * sample_rate), tone.shape[1])
    tone[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return tone


def _stretch(
    pitch: int, sample_rate: int, damping: float, amplitude: np.ndarray, count: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """`count` samples of constant damping, or fewer if the sound dies, and the amplitudes after them (none: dead)."""
    poles, starts, fine = _tables(pitch, sample_rate, damping)
    made: list[np.ndarray] = []
    done = turn = 0
    while done < count:
        heard = np.flatnonzero(np.abs(amplitude).max(axis=0) > LEAST_LEVEL)
        if not len(heard):
            return made, amplitude[:, :0]
        live = int(heard[-1]) + 1
        amplitude = amplitude[:, :live]
        size = min(CHUNKS[min(turn, len(CHUNKS) - 1)], -(-(count - done) // BLOCK))
        rows = (amplitude[:, None, :] * starts[None, :size, :live]).conj().astype(np.complex64, order="C")
        samples = mixed(rows.view(np.float32).reshape(2 * size, 2 * live), fine[: 2 * live])
        step = min(size * BLOCK, count - done)
        made.append(samples.reshape(2, size * BLOCK)[:, :step])
        amplitude = amplitude * (starts[size, :live] if step == size * BLOCK else np.exp(poles[:live] * step))
        done, turn = done + step, turn + 1
    return made, amplitude


def note_tone(pitch: int, velocity: int, steps: Steps, sample_rate: int) -> Float32[np.ndarray, "2 count"]:
    """`string_tone` and the noise of the hammer."""
    tone = string_tone(pitch, velocity, steps, sample_rate)
    noise = hammer_noise(pitch, velocity, sample_rate)
    if noise.shape[1] > tone.shape[1]:
        tone, noise = noise.copy(), tone
    tone[:, : noise.shape[1]] += noise
    return tone


def note_samples(pitch: int, velocity: int, held_sec: float, sample_rate: int) -> Float32[np.ndarray, "2 count"]:
    """A key that is held for so many seconds and then let go, without pedal."""
    steps = [(held_sec, 1.0)] if pitch <= HIGHEST_DAMPED else []
    return note_tone(pitch, velocity, steps, sample_rate)


def string_samples(pitch: int, velocity: int, count: int, sample_rate: int) -> Float32[np.ndarray, " count"]:
    """The free strings of a struck key in one channel, `count` samples from the blow on, without the hammer's noise."""
    tone = string_tone(pitch, velocity, (), sample_rate, most_sec=count / sample_rate)
    out = np.zeros(count, dtype=np.float32)
    out[: tone.shape[1]] = tone.mean(axis=0)[:count]
    return out
