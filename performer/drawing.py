"""Draws from a trained performer, without gradients: what one pianist of many does with a score.

Steps of the small networks run in numpy, all samples at once: for matrices of this size torch takes ten times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from performer.batch import ScoreBatch
from performer.examples import PEDAL_PATTERNS
from performer.network import Reading
from performer.noise import PARTS, Drawer, NoiseNetwork
from performer.piece_levels import of_bars

_SIZE = len(PARTS)
_SCALES = _SIZE + _SIZE * (_SIZE - 1) // 2
MOST_WHITE = 2.5  # standard deviations of what sets single notes apart
# What pianists depart by, divided by what the network says of its spread, has a kurtosis of 4 to 7 on the valid split:
# mostly less than a Gaussian's, now and then much more. Student's t with 6 degrees has 6.
TAIL_DEGREES, MOST_TAILED = 6, 4.0


@dataclass(frozen=True)
class Amounts:
    """How much of what the score does not tell is played; 0 is none, 1 as pianists are apart.

    Samples are brought to a pianist's spread afterwards, so less here makes the predictable part larger, not the whole
    smaller.

    Args:
        tempo, velocity, articulation: of the departures of bars, onsets and notes.
        timing: of notes within a chord.
        levels: of what the whole performance is like.
        pedal: exponent on the odds of the pedal's patterns; more is more usual.
        asynchrony: factor on the learned spread of chords. A pianist's holds rolled chords and slips, which make most
            of its standard deviation; spread over all chords alike it is more than one hears.
        rolls: standard deviation of the natural log of each chord's own spread, beside what the score tells of it.
        bars: factor on what is expected of whole bars' tempo, in which compositions that were never heard are told
            worse than within bars.
        ends: factor on how far the last bars' expected tempo lies from the middle bar's (`performer.endings`).
        ends_apart, phrases_apart: how pianists differ in the tempo of last bars and the loudness of phrase ends, in
            standard units.
    """

    tempo: float = 1.0
    velocity: float = 1.0
    articulation: float = 1.0
    timing: float = 1.0
    levels: float = 0.5
    pedal: float = 1.5
    asynchrony: float = 1.0
    rolls: float = 0.0
    bars: float = 1.0
    ends: float = 1.0
    ends_apart: float = 0.0
    phrases_apart: float = 0.0

    def departing(self, departure: float) -> Amounts:
        """The same with all departures of this amount, those of endings in proportion."""
        parts = dict.fromkeys(("tempo", "velocity", "articulation", "timing"), departure)
        apart = {name: departure * getattr(self, name) for name in ("ends_apart", "phrases_apart")}
        return replace(self, **parts, **apart)

    @property
    def parts(self) -> Float32[np.ndarray, " parts"]:
        """Of bars and onsets, in the order of `performer.noise.PARTS`."""
        return np.array([self.tempo, self.velocity, self.articulation], dtype=np.float32)

    @property
    def notes(self) -> Float32[np.ndarray, " shapes"]:
        """Of notes, in the order of `performer.network.NOTE_SHAPES`."""
        return np.array([self.velocity, self.articulation, self.timing], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Draws:
    """Samples in standard units (`performer.examples`).

    Args:
        tempo: of each onset.
        shapes: of each note: velocity, articulation, timing.
        pedal: pattern of each onset.
    """

    tempo: Float[np.ndarray, "samples onsets"]
    shapes: Float[np.ndarray, "samples notes 3"]
    pedal: Int[np.ndarray, "samples onsets"]


class _Steps:
    """A `Drawer` step by step for several samples."""

    def __init__(self, drawer: Drawer, read: Float32[np.ndarray, "steps context"], samples: int) -> None:
        tensors = {k: v.detach().cpu().numpy() for k, v in drawer.state_dict().items()}
        context = read.shape[1]
        entry = tensors["lstm.weight_ih_l0"]
        self.read = read @ entry[:, :context].T + tensors["lstm.bias_ih_l0"] + tensors["lstm.bias_hh_l0"]
        self.units = drawer.lstm.hidden_size
        self.told = read @ tensors["out.weight"][:, self.units :].T + tensors["out.bias"]
        self.of_given = np.ascontiguousarray(entry[:, context:].T)
        self.of_state = np.ascontiguousarray(tensors["lstm.weight_hh_l0"].T)
        self.out = np.ascontiguousarray(tensors["out.weight"][:, : self.units].T)
        self.state = np.zeros((samples, self.units), np.float32)
        self.cell = np.zeros((samples, self.units), np.float32)

    def __call__(self, step: int, given: Float32[np.ndarray, "samples given"]) -> Float32[np.ndarray, "samples out"]:
        """What the network tells at a step."""
        gates = self.read[step] + given @ self.of_given + self.state @ self.of_state
        u = self.units
        gates[:, : 2 * u] = _sigmoid(gates[:, : 2 * u])  # in and forget
        self.cell = gates[:, u : 2 * u] * self.cell + gates[:, :u] * np.tanh(gates[:, 2 * u : 3 * u])
        self.state = _sigmoid(gates[:, 3 * u :]) * np.tanh(self.cell)
        return self.told[step] + self.state @ self.out


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * values))


def _coloured(white: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """As `performer.noise.colour`, for rows."""
    found = np.empty_like(white)
    pairs = [(i, j) for i in range(_SIZE) for j in range(i)]
    for j in reversed(range(_SIZE)):
        value = white[:, j].copy()
        for k, (i, column) in enumerate(pairs):
            if column == j:
                value -= scale[:, _SIZE + k] * found[:, i]
        found[:, j] = value * np.exp(-scale[:, j])
    return found


def draw(noise: NoiseNetwork, reading: Reading, score: ScoreBatch, seeds: Sequence[int], amounts: Amounts) -> Draws:
    """Samples of one piece, one a seed; a sample is the same whichever others are drawn with it, but for rounding.

    Args:
        noise: the network that departs.
        reading: of the piece, by the reader.
        score: the piece, alone in its batch.
        seeds: of the samples.
        amounts: how far samples depart.
    """
    rngs = [np.random.default_rng((seed, 0x9E37)) for seed in seeds]
    with torch.inference_mode():
        bar_read = noise.bars.context(reading.bar)[0].numpy()
        onset_read = noise.onsets.context(reading.onset)[0].numpy()
    bars = _bars(noise, bar_read, rngs, amounts)
    onsets, pedal = _onsets(noise, onset_read, bars, score.bar[0].numpy(), rngs, amounts)
    whole = onsets + bars[:, score.bar[0].numpy()]
    place = score.place.numpy()
    apart = np.exp(reading.note_noise.detach().numpy())
    alone = np.stack([_white(r, apart.size).reshape(apart.shape) for r in rngs]) * apart * amounts.notes
    shapes = reading.shapes.detach().numpy()[None] + alone
    shapes[..., :2] += whole[:, place, 1:]
    tempo = expected_tempo(reading, score, amounts) + whole[..., 0]
    return Draws(tempo.astype(float), shapes.astype(float), pedal)


def expected_tempo(reading: Reading, score: ScoreBatch, amounts: Amounts) -> Float[np.ndarray, " onsets"]:
    """What is expected of the tempo of a piece, alone in its batch, with as much of whole bars as is believed."""
    told = reading.tempo.detach().numpy()[0].astype(float)
    slow = of_bars(told, score.bar[0].numpy())
    return told + (amounts.bars - 1) * (slow - slow.mean())


def _white(rng: np.random.Generator, count: int) -> Float32[np.ndarray, " count"]:
    return rng.standard_normal(count).clip(-MOST_WHITE, MOST_WHITE).astype(np.float32)


def _tailed(rng: np.random.Generator, steps: int) -> Float32[np.ndarray, "steps 3"]:
    """Departures of bars and onsets in standard units: Student's t of variance 1, held to four deviations."""
    drawn = rng.standard_t(TAIL_DEGREES, (steps, _SIZE)) * np.sqrt((TAIL_DEGREES - 2) / TAIL_DEGREES)
    return drawn.clip(-MOST_TAILED, MOST_TAILED).astype(np.float32)


def _bars(
    noise: NoiseNetwork, read: np.ndarray, rngs: Sequence[np.random.Generator], amounts: Amounts
) -> Float32[np.ndarray, "samples bars 3"]:
    steps = _Steps(noise.bars, read, len(rngs))
    white = np.stack([_tailed(r, len(read)) for r in rngs])
    found = np.zeros_like(white)
    before = np.zeros((len(rngs), _SIZE), np.float32)
    for step in range(len(read)):
        told = steps(step, before)
        before = told[:, :_SIZE] + amounts.parts * _coloured(white[:, step], told[:, _SIZE : _SIZE + _SCALES])
        before = found[:, step] = before.clip(-4, 4)
    return found


def _onsets(
    noise: NoiseNetwork,
    read: np.ndarray,
    bars: np.ndarray,
    bar: np.ndarray,
    rngs: Sequence[np.random.Generator],
    amounts: Amounts,
) -> tuple[Float32[np.ndarray, "samples onsets 3"], Int[np.ndarray, "samples onsets"]]:
    samples, steps = len(rngs), _Steps(noise.onsets, read, len(rngs))
    white = np.stack([_tailed(r, len(read)) for r in rngs])
    chance = np.stack([r.random(len(read)) for r in rngs])
    found = np.zeros_like(white)
    pedal = np.zeros((samples, len(read)), np.int64)
    later = np.concatenate([bars[:, 1:], bars[:, -1:]], 1)
    given = np.zeros((samples, 3 * _SIZE + PEDAL_PATTERNS), np.float32)
    last = 3 * _SIZE
    everyone = np.arange(samples)
    for step in range(len(read)):
        given[:, _SIZE : 2 * _SIZE], given[:, 2 * _SIZE : last] = bars[:, bar[step]], later[:, bar[step]]
        told = steps(step, given)
        departure = told[:, :_SIZE] + amounts.parts * _coloured(white[:, step], told[:, _SIZE : _SIZE + _SCALES])
        found[:, step] = given[:, :_SIZE] = departure.clip(-4, 4)
        odds = told[:, _SIZE + _SCALES :].astype(np.float64) * amounts.pedal
        odds = np.exp(odds - odds.max(1, keepdims=True)).cumsum(1)
        pattern = (odds < (chance[:, step] * odds[:, -1])[:, None]).sum(1)
        pedal[:, step] = pattern
        given[:, last:] = 0
        given[everyone, last + pattern] = 1
    return found, pedal
