"""The two plainest models of a roll, which every composer has to beat: persistence and the marginal.

A frame is seen as one state for each of the 88 pitches: silent, held (plays on) or struck. Models give the joint
log-probability of a frame in nats: the sum over pitches of the state's, which is play's plus, where it plays,
articulate's. Before the first frame all is silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from composer.roll import PITCHES, Roll

STATES = 3
SILENT, HELD, STRUCK = range(STATES)


def states_of(roll: Roll) -> Int[ndarray, "steps 88"]:
    """State of each pitch at each step: 0 silent, 1 held, 2 struck."""
    return roll.play.astype(np.int64) + roll.articulate


def previous_states(states: Int[ndarray, "steps 88"]) -> Int[ndarray, "steps 88"]:
    """The states one step before; silence before the first."""
    return np.vstack([np.zeros((1, PITCHES), dtype=np.int64), states[:-1]])


@dataclass(frozen=True, eq=False)
class PersistenceModel:
    """Each pitch goes on as it was, with learned chances of change.

    Args:
        table: log-probability of a state after a state, the same for all pitches.
    """

    table: Float[ndarray, "3 3"]

    def log_prob(self, roll: Roll, context: object = None) -> Float[ndarray, " steps"]:
        """Joint log-probability of each frame in nats (0 or less); `context` is not used."""
        states = states_of(roll)
        return self.table[previous_states(states), states].sum(axis=1)


@dataclass(frozen=True, eq=False)
class MarginalModel:
    """Each pitch is silent, held or struck as often as it is in all, whatever came before.

    Args:
        table: log-probability of each state of each pitch.
    """

    table: Float[ndarray, "88 3"]

    def log_prob(self, roll: Roll, context: object = None) -> Float[ndarray, " steps"]:
        """Joint log-probability of each frame in nats (0 or less); `context` is not used."""
        return self.table[np.arange(PITCHES), states_of(roll)].sum(axis=1)


def log_normalised(counts: ndarray) -> ndarray:
    """Counts to log-probabilities over the last axis, one added to each (Laplace)."""
    smoothed = counts + 1.0
    return np.log(smoothed / smoothed.sum(axis=-1, keepdims=True))


def fit_persistence(rolls: Sequence[Roll]) -> PersistenceModel:
    """Counts the changes of state of all pitches, on the steps that fit the grid."""
    counts = np.zeros(STATES * STATES)
    for roll in rolls:
        states = states_of(roll)
        index = previous_states(states) * STATES + states
        counts += np.bincount(index[roll.fit].reshape(-1), minlength=STATES * STATES)
    return PersistenceModel(log_normalised(counts.reshape(STATES, STATES)))


def fit_marginal(rolls: Sequence[Roll]) -> MarginalModel:
    """Counts the states of each pitch, on the steps that fit the grid."""
    counts = np.zeros(PITCHES * STATES)
    for roll in rolls:
        index = np.arange(PITCHES) * STATES + states_of(roll)
        counts += np.bincount(index[roll.fit].reshape(-1), minlength=PITCHES * STATES)
    return MarginalModel(log_normalised(counts.reshape(PITCHES, STATES)))
