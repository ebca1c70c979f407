"""Which chords still lead to a phrase's cadence where none is fixed: what `planner.harmony_ahead` finds above 0 there.

Any chord may follow any other and last as long as fits, so a phrase's states are of three kinds only: givers (which
the closing chord follows), all others, and closing chords. One flag of each for each unit says all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from planner.harmony_symbols import MAX_UNITS


def reach_back(
    length: int,
    givers: Bool[np.ndarray, " symbols"],
    targets: Int[np.ndarray, " targets"],
    half: bool,
    may_enter: Callable[[int], bool],
) -> tuple[Float[np.ndarray, "3 ends"], Float[np.ndarray, "units 3"], Int[np.ndarray, " states"]]:
    """Flags, 0 or 1, by kind: symbols that are no givers, givers, closing chords.

    Args:
        length: units of the phrase.
        givers: which symbols the closing chord follows; of a half cadence, which it is: these it does not follow, but
            they may follow one another when it has begun.
        targets: indices of the symbols that close.
        half: whether it is a half cadence.
        may_enter: whether the closing chord may begin at a unit.

    Returns:
        beta: whether the phrase can be completed after a chord that ends at a unit; [kinds, 0 .. length + `MAX_UNITS`].
        gamma: whether a chord may begin at a unit.
        the kind of each symbol, then of each target as a closing chord.
    """
    others = np.ones(len(givers), dtype=bool)
    others[targets] = False
    plain_other, giver_other = bool((others & ~givers).any()), bool((others & givers).any())
    beta = np.zeros((3, length + 1 + MAX_UNITS), dtype=bool)
    gamma = np.zeros((3, length), dtype=bool)
    beta[2, length] = True
    last = [-1, -1, length]  # the first unit from here on at which each kind may end
    for unit in range(length - 1, -1, -1):
        plain, giver, star = (0 <= at <= unit + MAX_UNITS for at in last)
        gamma[:, unit] = plain, giver, star
        if unit == 0:
            break
        closing = star or (plain and plain_other) or (giver and giver_other)
        entered = closing if may_enter(unit) else plain or giver
        any_chord = plain or giver
        ends = (entered, any_chord, closing) if half else (any_chord, entered, any_chord or star)
        beta[:, unit] = ends
        last = [unit if end else at for end, at in zip(ends, last, strict=True)]
    kinds = np.concatenate((givers.astype(np.int64), np.full(len(targets), 2)))
    return beta.astype(np.float64), gamma.T.astype(np.float64), kinds
