"""How one pianist of many ends a piece and its phrases: drawn once for each performance.

On pieces that a network was not trained on, pianists' last bars slow down less than it expects once its curve is
brought to their spread, and they differ in it: some hardly slow down, some do twice as much, and so with the softening
of phrase ends (docs/decisions/learned-performer.md has the figures). Departures that are drawn bar by bar do not hold
such a habit over a whole piece; this does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from performer.drawing import MOST_WHITE, Amounts, Draws
from performer.features import ScoreFeatures
from performer.piece_levels import of_bars

LAST_BARS = (1 / 3, 2 / 3, 1.0, 1.0)  # weights of the last bars: how much each belongs to the end
LAST_ONSETS = (1 / 3, 2 / 3, 1.0, 1.0)  # and of the last onsets of a phrase
LEAST_BARS, LEAST_ONSETS = 6, 8  # of a piece and of a phrase that are long enough to have an end


def end_weights(bar: Int[np.ndarray, " onsets"]) -> Float[np.ndarray, " onsets"]:
    """How much each onset belongs to the end of the piece; 0 all along where the piece has few bars."""
    place = np.unique(bar, return_inverse=True)[1]
    found = np.zeros(int(place[-1]) + 1)
    if len(found) >= LEAST_BARS:
        found[-len(LAST_BARS) :] = LAST_BARS
    return found[place]


def phrase_weights(phrase: Int[np.ndarray, " onsets"]) -> Float[np.ndarray, " onsets"]:
    """How much each onset belongs to the end of its phrase."""
    found = np.zeros(len(phrase))
    for name in np.unique(phrase):
        where = np.flatnonzero(phrase == name)
        if len(where) >= LEAST_ONSETS:
            found[where[-len(LAST_ONSETS) :]] = LAST_ONSETS
    return found


def with_endings(
    drawn: Draws, expected: Float[np.ndarray, " onsets"], features: ScoreFeatures, amounts: Amounts, seed: int
) -> Draws:
    """The first sample with the endings of one pianist.

    Args:
        drawn: samples.
        expected: tempo that the score leads one to expect, in the same units.
        features: of the score.
        amounts: `ends`, `ends_apart` and `phrases_apart` count.
        seed: of the sample.
    """
    rng = np.random.default_rng((seed, 0xE2D5))
    late, soft = rng.standard_normal(2).clip(-MOST_WHITE, MOST_WHITE)
    tempo, shapes = drawn.tempo[0], drawn.shapes[0].copy()
    middle = float(np.median(of_bars(expected, features.bar)))
    less = (amounts.ends - 1) * (expected - middle) + amounts.ends_apart * late * tempo.std()
    softer = amounts.phrases_apart * soft * shapes[:, 0].std()
    shapes[:, 0] -= softer * phrase_weights(features.phrase)[features.place]
    return replace(drawn, tempo=(tempo + end_weights(features.bar) * less)[None], shapes=shapes[None])
