"""The piano's tones, dampers, pedal, ring, room and limiter, measured on their signals."""

from __future__ import annotations

import time

import numpy as np
import pytest

from music.performance import Pedal, Performance, PerformedNote
from render.audio import synthesise
from render.limiter import limit
from render.mixing import mixed
from render.piano import HIGHEST_DAMPED, frequency, key_modes, partial_frequencies
from render.piano_noise import hammer_noise
from render.piano_pedal import damper_part, damper_steps, open_spans
from render.piano_ring import ring_response
from render.piano_strings import RESTRUCK, note_samples, string_samples, string_tone
from render.room import impulse_responses

RATE = 44_100


def played(*rows: tuple[float, float, int, int], pedals: tuple[Pedal, ...] = ()) -> Performance:
    return Performance(tuple(PerformedNote(f"n{i}", *row) for i, row in enumerate(rows)), pedals)


def level(samples: np.ndarray, start: float, end: float) -> float:
    """Decibels of a part of a sound, seconds from its start; the channels' axis may be either."""
    one = samples.mean(axis=int(np.argmin(samples.shape))) if samples.ndim == 2 else samples
    part = one[int(start * RATE) : int(end * RATE)].astype(float)
    return 10 * float(np.log10(np.mean(part**2) + 1e-20))


def band(samples: np.ndarray, low: float, high: float) -> float:
    """Energy between two frequencies, in dB."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return 10 * float(np.log10(np.sum(power[(hertz >= low) & (hertz < high)]) + 1e-20))


def fallen(samples: np.ndarray, decibels: float) -> float:
    """Seconds after which a tone stays below its loudest 50 ms by so much."""
    window = int(0.05 * RATE)
    power = np.add.reduceat((samples.astype(float) ** 2).sum(axis=0), np.arange(0, samples.shape[1], window))
    return (int(np.flatnonzero(power > power.max() * 10 ** (-decibels / 10))[-1]) + 1) * window / RATE


def test_decay_by_register_is_that_of_pianos() -> None:
    """60 dB: well over ten seconds in the bass, some seconds in the middle, a second on top."""
    seconds = {pitch: fallen(string_tone(pitch, 100, (), RATE), 60) for pitch in (21, 45, 69, 93, 108)}
    assert 15 < seconds[21] < 26
    assert 5 < seconds[69] < 10
    assert 0.4 < seconds[108] < 1.1
    ordered = [seconds[p] for p in sorted(seconds)]
    assert ordered == sorted(ordered, reverse=True)


@pytest.mark.parametrize("pitch", [45, 57, 69, 81])
def test_a_tone_dies_in_two_stages(pitch: int) -> None:
    tone = string_samples(pitch, 90, 4 * RATE, RATE)
    first = (level(tone, 0.05, 0.15) - level(tone, 0.55, 0.65)) / 0.5
    second = (level(tone, 1.8, 2.2) - level(tone, 3.5, 3.9)) / 1.7
    assert first > 1.7 * second > 1


@pytest.mark.parametrize("pitch", [33, 57, 81])
def test_high_partials_die_first(pitch: int) -> None:
    tone = string_samples(pitch, 110, 2 * RATE, RATE)
    f0 = frequency(pitch)
    early, late = tone[2000 : 2000 + RATE // 4], tone[-RATE // 4 :]
    fall_low = band(early, 0.5 * f0, 3.5 * f0) - band(late, 0.5 * f0, 3.5 * f0)
    fall_high = band(early, 4 * f0, 12_000) - band(late, 4 * f0, 12_000)
    assert fall_high > fall_low + 2


def test_the_strings_of_a_key_are_a_hair_apart() -> None:
    modes = key_modes(69, RATE)
    partials = partial_frequencies(69, RATE)
    cents = 1200 * np.log2(np.imag(modes.poles) / (2 * np.pi) / partials[modes.partial])
    assert np.abs(cents).max() < 1.5
    assert len(np.unique(np.round(cents, 6))) > 2 * len(partials)
    assert (np.real(modes.poles) < 0).all()


def test_hammers_knock() -> None:
    """Below the fundamental of a high key there is nothing but the knock: short, and louder with the blow."""
    levels = []
    for velocity in (30, 70, 120):
        tone = note_samples(96, velocity, 1.0, RATE).mean(axis=0)
        begin, later = tone[: int(0.06 * RATE)], tone[int(0.5 * RATE) : int(0.56 * RATE)]
        levels.append(band(begin, 80, 1200))
        assert band(begin, 80, 1200) > band(later, 80, 1200) + 25
        assert -35 < band(begin, 80, 1200) - band(begin, 1200, 10_000) < 0
    assert levels[0] + 6 < levels[1] < levels[2] - 4
    soft, hard = (hammer_noise(60, v, RATE).mean(axis=0) for v in (30, 120))
    assert band(hard, 1500, 6000) - band(soft, 1500, 6000) > band(hard, 60, 500) - band(soft, 60, 500) + 2


@pytest.mark.parametrize("pitch", [28, 60, 84])
def test_dampers_fall_softly_but_soon(pitch: int) -> None:
    short, held = note_samples(pitch, 90, 0.5, RATE), note_samples(pitch, 90, 3.0, RATE)
    assert level(short, 0.52, 0.53) > level(held, 0.52, 0.53) - 12
    assert level(short, 0.7, 0.75) < level(held, 0.7, 0.75) - 15
    assert short.shape[1] < 1.6 * RATE


def test_the_highest_keys_have_no_dampers() -> None:
    assert HIGHEST_DAMPED == 89
    for pitch, damped in ((88, True), (92, False)):
        short, long = synthesise(played((0.0, 0.1, pitch, 90))), synthesise(played((0.0, 1.2, pitch, 90)))
        lost = level(long, 0.6, 0.8) - level(short, 0.6, 0.8)
        assert lost > 6 if damped else lost < 0.5


def test_half_pedal_lies_between() -> None:
    def late(value: int) -> float:
        return level(synthesise(played((0.0, 0.3, 48, 90), pedals=(Pedal(0.1, value), Pedal(2.0, 0)))), 0.5, 0.6)

    levels = [late(value) for value in (0, 20, 40, 50, 64, 127)]
    assert levels[0] == levels[1]
    assert levels[4] == levels[5]
    assert levels[1] + 1.5 < levels[2] < levels[3] < levels[4] - 1
    assert [damper_part(v) for v in (0, 26, 64, 127)] == [1, 1, 0, 0]
    parts = [damper_part(v) for v in range(128)]
    assert parts == sorted(parts, reverse=True)


def test_a_late_pedal_catches_what_is_left() -> None:
    caught = synthesise(played((0.0, 0.3, 40, 90), pedals=(Pedal(0.4, 127), Pedal(2.0, 0))))
    plain = synthesise(played((0.0, 0.3, 40, 90)))
    held = synthesise(played((0.0, 1.5, 40, 90)))
    assert level(plain, 1.0, 1.2) + 15 < level(caught, 1.0, 1.2) < level(held, 1.0, 1.2) - 1


def test_damper_steps() -> None:
    pedals = (Pedal(1.0, 100), Pedal(2.0, 127), Pedal(3.0, 0))
    performance = played((0.0, 0.5, 60, 80), (0.5, 1.0, 62, 80), (1.5, 9.0, 62, 80), (4.0, 1.0, 100, 80), pedals=pedals)
    first, second, third, top = damper_steps(performance)
    # Down again before all has faded: the pedal's moves count until the damper has lain for good.
    assert first == [(0.5, 1.0), (1.0, 0.0), (3.0, 1.0)]
    assert second == [(1.0, RESTRUCK)]
    assert third == [(9.0, 1.0)]
    assert top == []
    assert open_spans(pedals, 10.0) == [(1.0, 3.0)]
    assert open_spans(pedals[:1], 10.0) == [(1.0, 10.0)]
    assert open_spans((), 10.0) == []


def test_free_strings_ring_under_the_pedal() -> None:
    """The same tone, held by its key or by the pedal: the difference is what the other strings do."""
    rows = (0.0, 3.0, 48, 100), (0.0, 3.0, 52, 100)
    dry = synthesise(played(*rows))
    wet = synthesise(played(*rows, pedals=(Pedal(0.0, 127), Pedal(3.0, 0))))
    ring = wet[: len(dry)] - dry[: len(wet)]
    assert -30 < level(ring, 1.0, 1.5) - level(dry, 1.0, 1.5) < -8
    assert level(ring, 2.5, 2.9) - level(dry, 2.5, 2.9) > level(ring, 0.3, 0.6) - level(dry, 0.3, 0.6) + 3
    assert level(ring, 4.2, 4.4) < level(ring, 2.5, 2.9) - 25
    # Strings that were not struck sound at their own pitch: E3's second partial wakes E4, and the knock wakes even D4.
    assert np.isfinite(ring_response(RATE)).all()
    tail = ring[int(1.2 * RATE) : int(2.9 * RATE)].mean(axis=1)
    d4 = partial_frequencies(62, RATE)[0]
    assert band(tail, d4 - 3, d4 + 3) > band(tail, d4 + 6, d4 + 12) + 6


def test_a_long_pedal_rings_without_seams() -> None:
    """Spans of over six seconds are made in pieces; what is heard at their borders must not show it."""
    rows = tuple((0.25 * i, 0.2, 50 + i * 5 % 24, 80) for i in range(56))
    whole = synthesise(played(*rows, pedals=(Pedal(0.0, 127), Pedal(14.0, 0))))
    jumps = np.abs(np.diff(whole[:, 0]))
    for border in (14.0 / 3, 28.0 / 3):
        at = int(border * RATE)
        assert jumps[at - 400 : at + 400].max() <= jumps[at - 30_000 : at + 30_000].max()
        around = whole[at - 1024 : at + 1024].mean(axis=1)
        assert band(around, 10_000, 20_000) < band(around, 50, 5000) - 55


def test_stereo_is_wide_but_survives_one_loudspeaker() -> None:
    sound = synthesise(played(*((0.3 * i, 0.5, 40 + 3 * i, 90) for i in range(16)))).astype(float)
    left, right = sound[:, 0], sound[:, 1]
    assert 0.1 < np.corrcoef(left, right)[0, 1] < 0.9
    both = np.mean((0.5 * (left + right)) ** 2)
    assert both > 0.5 * 0.5 * (np.mean(left**2) + np.mean(right**2))
    assert abs(10 * np.log10(np.mean(left**2) / np.mean(right**2))) < 3


def test_the_room_is_small_and_warm() -> None:
    responses = impulse_responses(RATE)
    assert not responses[:, :, : int(0.006 * RATE)].any()
    energy = np.sum(responses.astype(float) ** 2, axis=2)
    assert 0.01 < energy[0, 0] < 0.1
    assert energy[0, 1] < energy[0, 0]
    assert energy[0, 0] == pytest.approx(energy[1, 1], rel=0.3)
    early, late = responses[0, 0, : RATE // 4], responses[0, 0, RATE // 2 : 3 * RATE // 4]
    fall_high = band(early, 5000, 12_000) - band(late, 5000, 12_000)
    assert fall_high > band(early, 100, 1000) - band(late, 100, 1000) + 10


def test_the_limiter_is_gentle() -> None:
    t = np.arange(2 * RATE) / RATE
    wave = np.stack([np.sin(2 * np.pi * 220 * t), np.cos(2 * np.pi * 220 * t)]).astype(np.float32)
    wave *= np.where((t > 0.9) & (t < 1.1), 3.0, 0.5).astype(np.float32)
    sound = wave.copy()
    limit(sound, 0.9, RATE)
    assert np.abs(sound).max() <= np.float32(0.9)
    assert np.abs(sound[:, int(0.98 * RATE) : int(1.02 * RATE)]).max() > 0.85
    gain = np.sum(sound * wave, axis=0) / np.sum(wave * wave, axis=0)
    assert np.abs(np.diff(gain)).max() < 0.001
    assert np.array_equal(sound[:, : int(0.7 * RATE)], wave[:, : int(0.7 * RATE)])
    assert np.array_equal(sound[:, int(1.3 * RATE) :], wave[:, int(1.3 * RATE) :])
    quiet = wave * np.float32(0.2)
    limit(quiet, 0.9, RATE)
    assert np.array_equal(quiet, wave * np.float32(0.2))


def test_sums_of_waves_do_not_depend_on_how_they_are_asked_for() -> None:
    rng = np.random.default_rng(0)
    rows, waves = rng.standard_normal((9, 31)).astype(np.float32), rng.standard_normal((31, 64)).astype(np.float32)
    whole = mixed(rows, waves)
    assert np.allclose(whole, rows.astype(float) @ waves.astype(float), atol=1e-4)
    assert np.array_equal(mixed(rows[3:5].copy(), waves), whole[3:5])


def test_speed() -> None:
    """Sixteenths over eighths with pedal, as in `benchmarks/audio.py`; at rest it is over 50 times real time."""
    rows = sorted(
        [(i * 0.125, 0.12, 60 + i * 7 % 24, 60 + i % 40) for i in range(160)]
        + [(i * 0.25, 0.24, 36 + i * 5 % 20, 50 + i % 30) for i in range(80)]
    )
    moves = tuple(Pedal(0.5 * i + (0.1 if i % 4 else 0.0), 0 if i % 4 == 0 else 100) for i in range(41))
    performance = played(*rows, pedals=moves)
    synthesise(performance)
    start = time.process_time()
    samples = synthesise(performance)
    assert len(samples) / RATE / (time.process_time() - start) > 8


def test_keys_are_even() -> None:
    """Struck alike, no key is much louder than the next one; what the ear makes of a frequency is left out."""
    levels = np.array([level(string_samples(p, 80, RATE // 2, RATE), 0.0, 0.4) for p in range(33, 97)])
    assert np.abs(np.diff(levels)).max() < 3
    assert np.abs(levels - np.convolve(np.pad(levels, 6, mode="edge"), np.ones(13) / 13, mode="valid")).max() < 2
