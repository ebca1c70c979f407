"""Draws one frame at a time from the Markov tables, on the condition that it can be played.

The tables give each pitch its own chance. Drawn apart, 88 pitches make clusters and holes; so a frame is drawn
from their product given that the number of notes, their spacing and their range are those of the ensemble. The draw is
exact: a forward pass over pitches adds up the weight of all frames with n notes whose highest is p, a backward pass
draws one. The planned chord, the line of the outer voices and a given melody reweight single pitches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from composer.baselines import HELD, SILENT, STRUCK
from composer.markov_tables import MarkovTables
from composer.realise import StepContext
from composer.roll import LOWEST_PITCH, PITCHES

PITCH = LOWEST_PITCH + np.arange(PITCHES)
CLASS = PITCH % 12
DRAWS = 4  # frames drawn a step; the one that says the chord best is kept


@dataclass(frozen=True)
class Setting:
    """What an ensemble can play.

    Args:
        low, high: range in MIDI pitch.
        top_mean, bass_high: about where the melody lies, the highest usual bass.
        counts: weight of 1, 2, … notes at once.
    """

    low: int
    high: int
    top_mean: int
    bass_high: int
    counts: tuple[float, ...]


SETTINGS = {
    "piano": Setting(36, 84, 72, 53, (0.02, 0.3, 1.0, 0.9, 0.1)),
    "satb": Setting(43, 79, 69, 55, (1e-4, 0.01, 0.2, 1.0)),
    "quartet": Setting(36, 88, 73, 56, (0.01, 0.1, 0.5, 1.0)),
}


@cache
def _spacing() -> Float[ndarray, "88 88"]:
    """Weight of two notes next to each other in a chord, [lower, upper]: thirds to octaves, wide ones low down."""
    lower, gap = PITCH[:, None], PITCH[None, :] - PITCH[:, None]
    weight = np.select(
        [gap <= 0, gap == 1, gap == 2, gap <= 9, gap <= 12, gap <= 19], [0.0, 1e-6, 0.01, 1.0, 0.6, 0.15], 0.01
    )
    muddy = (lower < 48) & (gap < 7) | (lower < 55) & (gap < 4)
    return np.where(muddy & (gap > 0), weight * 0.03, weight)


@dataclass(frozen=True)
class Wish:
    """What is wished of one frame.

    Args:
        melody: MIDI pitch that must be the highest, or -1.
        struck: the melody's note is struck here.
        close: the chord of a cadence begins: chord notes only, all struck.
        rest: the lower voices stay on what they have.
        density: factor on the chance of a strike off the beat.
        register: pitch that notes should lie around, or None.
    """

    melody: int = -1
    struck: bool = False
    close: bool = False
    rest: bool = False
    density: float = 1.0
    register: float | None = None


class FrameSampler:
    """Draws frames of a piece.

    Args:
        tables: learned.
        context: of the plan.
        ensemble: key of `SETTINGS`.
        temperature: above 0; 1 is as learned, less is more regular.
    """

    def __init__(self, tables: MarkovTables, context: StepContext, ensemble: str, temperature: float = 1.0) -> None:
        self.tables = tables
        self.context = context
        self.setting = SETTINGS[ensemble]
        self.temperature = temperature

    def _odds(
        self, step: int, previous: Int[ndarray, " 88"], before: int, wish: Wish
    ) -> tuple[Float[ndarray, " 88"], Float[ndarray, " 88"]]:
        """Odds of each pitch to be held and to be struck, against silence."""
        logs = self.tables.step_log_probs(self.context, step, previous)
        ratio = np.exp(np.clip((logs[:, 1:] - logs[:, :1]) / self.temperature, -14, 14))
        sounding = previous != SILENT
        held, struck = ratio[:, 0] * sounding, ratio[:, 1]
        chord = self.context.chord[step]
        strong = self.context.metre[step] <= 2
        if chord.any():
            inside = chord[CLASS]
            outside = 0.0 if wish.close else (0.03 if strong else 0.2)
            struck = np.where(inside, np.maximum(struck, 1e-3 if wish.close else 0.0), struck * outside)
            held = np.where(inside, held, held * (0.0 if wish.close else (0.1 if strong else 0.5)))
            if step and not np.array_equal(chord, self.context.chord[step - 1]):
                held = held * 0.25  # a new chord is struck, more often than not
        if sounding.any():
            near = np.abs(PITCH[:, None] - PITCH[None, sounding]).min(axis=1)
            struck = struck * np.exp(-near / 3.0)
        if not strong:
            struck = struck * wish.density
        if wish.rest:
            held, struck = held * 100, struck * 0.01
        if wish.register is not None:
            tilt = np.exp(-(((PITCH - wish.register) / 14) ** 2) / 2)
            held, struck = held * tilt, struck * tilt
        if before >= 0 and before != wish.melody >= 0:
            held[before - LOWEST_PITCH] *= 0.01  # the melody moves on and leaves no note behind
        inside_range = (self.setting.low <= PITCH) & (self.setting.high >= PITCH)
        return held * inside_range, struck * inside_range

    def _outer(
        self, step: int, previous: Int[ndarray, " 88"], wish: Wish
    ) -> tuple[Float[ndarray, " 88"], Float[ndarray, " 88"]]:
        """Weight of each pitch as the bass and as the top note."""
        setting, sounding = self.setting, PITCH[previous != SILENT]
        bass = np.where(setting.bass_high >= PITCH, 1.0, 0.02 ** ((PITCH - setting.bass_high) / 6))
        top = np.exp(-(((PITCH - setting.top_mean) / 5) ** 2) / 2)
        wanted = int(self.context.bass[step])
        if wanted >= 0:
            strong = self.context.metre[step] <= 2
            bass = np.where(wanted == CLASS, bass, bass * (1e-9 if wish.close else (0.03 if strong else 0.3)))
        if len(sounding):
            bass = bass * np.exp(-np.abs(PITCH - sounding.min()) / 8)
            leap = np.abs(PITCH - sounding.max())
            stay = 0.2 if self.context.metre[step] <= 2 else 1.0  # a melody that repeats itself beat by beat is none
            top = top * np.where(leap == 0, stay, np.exp(-np.maximum(leap - 2, 0) / 2.5))
        if wish.melody >= 0:
            top = np.where(wish.melody == PITCH, 1.0, 0.0)
        elif wish.close:
            tonic = int(self.context.tonic[step])
            third = (tonic + (3 if self.context.minor[step] else 4)) % 12
            home = np.where(tonic == CLASS, 1.0, np.where(third == CLASS, 0.1, 0.03))
            top = top * home
        return bass, top

    def draw(
        self, step: int, previous: Int[ndarray, " 88"], before: int, wish: Wish, rng: np.random.Generator
    ) -> Int[ndarray, " 88"]:
        """States of a frame.

        Args:
            step: of the piece.
            previous: states one step before.
            before: the given melody's pitch one step before, or -1.
            wish: see `Wish`.
            rng: source of chance.
        """
        held, struck = self._odds(step, previous, before, wish)
        bass, top = self._outer(step, previous, wish)
        odds = np.maximum(held + struck, 1e-12)
        if wish.melody >= 0:
            odds[wish.melody - LOWEST_PITCH] = max(1.0, odds[wish.melody - LOWEST_PITCH])
        chosen = self._choose(odds, bass, top, self.context.chord[step], rng)
        states = np.zeros(PITCHES, dtype=np.int64)
        strike = rng.random(PITCHES) * (held + struck) >= held
        for index in chosen:
            fresh = previous[index] == SILENT or wish.close or bool(strike[index])
            states[index] = STRUCK if fresh else HELD
        if wish.melody >= 0:
            index = wish.melody - LOWEST_PITCH
            states[index] = STRUCK if wish.struck or previous[index] == SILENT else HELD
        return states

    def _choose(
        self,
        odds: Float[ndarray, " 88"],
        bass: Float[ndarray, " 88"],
        top: Float[ndarray, " 88"],
        chord: Bool[ndarray, " 12"],
        rng: np.random.Generator,
    ) -> list[int]:
        """Columns of the notes that sound."""
        spacing, counts = _spacing(), self.setting.counts
        forward = [odds * bass]
        for _ in counts[1:]:
            forward.append(odds * (forward[-1] @ spacing))
        ends = np.array([weight * row * top for weight, row in zip(counts, forward, strict=True)])
        best: list[int] = []
        best_said = -1
        for _ in range(DRAWS if chord.any() else 1):
            number, index = divmod(_pick(ends.reshape(-1), rng), PITCHES)
            columns = [index]
            while number:
                number -= 1
                index = _pick(forward[number] * spacing[:, index], rng)
                columns.append(index)
            said = len({int(PITCH[c]) % 12 for c in columns if chord[PITCH[c] % 12]})
            if said > best_said:
                best, best_said = columns, said
        return best


def _pick(weights: Float[ndarray, " items"], rng: np.random.Generator) -> int:
    total = np.cumsum(weights)
    return int(min(np.searchsorted(total, rng.random() * total[-1], side="right"), len(weights) - 1))
