"""Scores and performances of which every measure is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluation.performances import Played, layout
from music.performance import Pedal, Performance, PerformedNote
from music.plan import Plan
from music.score import Score
from performer.evaluate_pieces import columns
from tests.contract_performer import make

# Three series of ±1 that have mean 0 and do not go with one another: sums of them have r that can be told beforehand.
WAVES = np.array([[1, -1] * 16, [1, 1, -1, -1] * 8, [1, 1, 1, 1, -1, -1, -1, -1] * 4], dtype=float)


def line(bars: int = 8) -> Score:
    """Quarters in one voice."""
    return make([(float(i), 1.0, 60 + (i * 5) % 12) for i in range(bars * 4)], bars=bars)


def chords(count: int = 32) -> Score:
    """Chords of a fifth in quarters."""
    return make([(float(i), 1.0, 60 + (i * 5) % 12 + 7 * k) for i in range(count) for k in (0, 1)], bars=count // 4)


def perform(
    score: Score,
    velocity: Sequence[float] | np.ndarray | None = None,
    log_period: Sequence[float] | np.ndarray | None = None,
    *,
    early: float = 0.0,
    without: frozenset[str] = frozenset(),
    pedals: tuple[Pedal, ...] = (),
) -> Performance:
    """A performance with the velocity of each note and the log2 of seconds a quarter of each onset, in order.

    Notes sound for half of what is written; the highest of each onset comes early by so many seconds.
    """
    at = sorted({n.onset_div for n in score.notes})
    period = np.full(len(at), 0.5) if log_period is None else 2.0 ** np.asarray(log_period, dtype=float)
    seconds = 1.0 + np.append(0.0, np.cumsum(period[:-1] * np.diff(at) / 10080))
    top = {n.onset_div: n.id for n in score.notes}
    loud = np.full(len(score.notes), 64.0) if velocity is None else np.asarray(velocity)
    notes = []
    for note, level in zip(score.notes, loud.tolist(), strict=True):
        place = at.index(note.onset_div)
        onset = float(seconds[place]) - (early if top[note.onset_div] == note.id else 0.0)
        length = float(period[place]) * max(note.duration_div, 1260) / 20160
        if note.id not in without:
            notes.append(PerformedNote(note.id, onset, length, note.pitch, round(level)))
    return Performance(tuple(sorted(notes, key=lambda n: (n.onset_sec, n.pitch))), pedals)


def told(score: Score, performance: Performance) -> Played:
    """Its columns."""
    return columns(score, performance, layout(score))


@dataclass(frozen=True)
class Waves:
    """Plays `line()` with so much of each of `WAVES`, and with a share of the third one that the seed draws."""

    velocity: tuple[float, float] = (0.0, 0.0)
    tempo: tuple[float, float] = (0.0, 0.0)
    noise: float = 0.0
    pedals: tuple[Pedal, ...] = field(default=())

    def perform(self, score: Score, *, seed: int, plan: Plan | None = None) -> Performance:
        """Velocities about 64, tempo about 120; even seeds add the noise, odd ones take it away."""
        size = len(score.notes)
        noise = self.noise * WAVES[2][:size] * (1 if seed % 2 == 0 else -1)
        velocity = 64 + np.array(self.velocity) @ WAVES[:2, :size] + noise
        tempo = -1.0 + np.array(self.tempo) @ WAVES[:2, :size] + noise / 100
        return perform(score, velocity, tempo, pedals=self.pedals)
