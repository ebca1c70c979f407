"""How phrases close and how pieces begin, as sets of chord symbols."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

from music.analysis.cadence import is_dominant, is_tonic
from music.harmony import chord_pcs
from music.pitch import Key
from music.plan import Chord
from planner.harmony_symbols import BASSES, SYMBOLS, VALID, chord_of


@dataclass(frozen=True)
class Goal:
    """How a phrase must end.

    Args:
        targets: symbols of the closing chord.
        givers: symbols that must stand just before it; None: it may follow any other chord, or stand alone, and the
            targets may follow one another (a half cadence's V and V7).
        anywhere: it may begin off the beat and be short.
    """

    targets: tuple[int, ...]
    givers: frozenset[int] | None
    anywhere: bool = False


@cache
def goal_of(cadence: str, minor: bool, lenient: bool = False) -> Goal:
    """The end that a cadence asks for.

    PAC: V or V7, then the tonic triad, both in root position. IAC: any dominant, then the tonic in root position or
    first inversion. HC: V or V7 in root position. DC: any dominant, then the submediant triad in root position. In
    minor the tonic's third may be raised.

    Args:
        cadence: one of `music.plan.CADENCES`.
        minor: the section's mode.
        lenient: for chords that the user fixes: all that `music.analysis.cadence.classify_cadence` calls by that name
            (closing chords in any inversion, save for a PAC, and at any place).
    """
    key = Key("C", minor)
    chords = [(symbol, Chord(0, 1, *chord_of(symbol, key))) for symbol in np.flatnonzero(VALID).tolist()]
    dominants = frozenset(symbol for symbol, chord in chords if is_dominant(chord, key))
    rooted = frozenset(s for s, chord in chords if s in dominants and chord.root == 7 and s % BASSES == 0)
    if cadence == "HC":
        return Goal(tuple(sorted(rooted)), None, lenient)
    deepest = 0 if cadence == "PAC" else 3 if lenient else 1 if cadence == "IAC" else 0
    submediant = (8, "maj") if minor else (9, "min")
    targets = tuple(
        symbol
        for symbol, chord in chords
        if symbol % BASSES <= deepest
        and ((chord.root, chord.quality) == submediant if cadence == "DC" else is_tonic(chord, key))
    )
    return Goal(targets, rooted if cadence == "PAC" else dominants, lenient)


@cache
def openings(minor: bool) -> Float[np.ndarray, " symbols"]:
    """Factors on the chord that a piece begins with: what analysis hears there is often a wrong guess."""
    key = Key("C", minor)
    inside = {*key.scale, key.leading_tone}
    factors = np.full(SYMBOLS, 0.001)
    for symbol in np.flatnonzero(VALID).tolist():
        root, quality, _ = chord_of(symbol, key)
        if set(chord_pcs(root, quality)) <= inside:
            factors[symbol] = 1.5 if root == 0 and symbol % BASSES == 0 else 1.0
    return factors
