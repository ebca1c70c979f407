"""Functional harmony as tables: which chord follows which, and how phrases close.

The weights are set by hand after textbook syntax: tonic, predominant, dominant, tonic; inverted dominants inside a
phrase so that the root-position one keeps its closing force; secondary dominants now and then; 42 falls to 6, 64 is
cadential.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float

from music.harmony import parse_figure
from music.pitch import Key

# From a figure to what may follow: "x:weight".
_MAJOR = {
    "I": "I6:2 IV:3 ii6:2 ii:1 vi:2.5 V6:1.5 V43:1.5 V65:1.2 V42:0.8 viio6:1.5 V:1.5 ii65:1 ii42:0.5 V65/IV:0.4 "
    "V65/V:0.4 V7/vi:0.3 V65/ii:0.4 iii:0.3 IV64:0.4",
    "I6": "IV:3 ii6:3 V43:1 viio6:1 I:1.5 ii65:1.5 V:1.2 ii:1 V42:0.5 vi:0.4 V65/V:0.5 V65/IV:0.5",
    "IV64": "I:1",
    "ii": "V:2 V7:1 V43:1.5 V65:1 V6:0.8 ii6:0.6 viio6:0.7 V42:0.7 V65/V:0.5 vi:0.2",
    "ii6": "V:3 V7:1 V65:0.7 V42:0.8 viio6:0.4 V7/V:0.5 V65/V:0.3",
    "ii65": "V:3 V7:1 V42:0.7",
    "ii42": "V65:3 V6:0.6",
    "IV": "V:2 I6:1.5 ii6:1.5 ii:1 V65:1 V42:1 viio6:1.2 I:1 V43:0.6 V6:0.6 V65/V:0.6 ii65:1 V7:0.5",
    "IV6": "V:2 V65:1.5 ii6:0.5 I6:0.5 V43:0.5 V6:0.6",
    "V": "I:1.6 vi:1.6 V42:1 I6:1 V65:0.7 IV6:0.7 V6:0.5 V7/vi:0.2",
    "V6": "I:3 V65:0.6 vi:0.8 V7/IV:0.2",
    "V7": "I:1 vi:1.2 I6:0.3",
    "V65": "I:1",
    "V43": "I:1 I6:1",
    "V42": "I6:1",
    "vi": "IV:2 ii6:2.5 ii:1.5 V43:0.7 V:1 V6:0.8 I6:0.7 V65/V:0.6 ii65:1 iii:0.3 V65/ii:0.3 V42:0.4",
    "viio6": "I:1.5 I6:1.2 V65:0.3",
    "iii": "IV:1.5 vi:2 ii6:0.7",
    "V7/V": "V:2 V7:0.6 V42:0.4",
    "V65/V": "V:2 V7:0.6 V42:0.4",
    "V65/IV": "IV:1",
    "V7/IV": "IV:1 IV6:0.3",
    "V7/vi": "vi:1 IV:0.2",
    "V65/ii": "ii:1 ii6:0.2",
}
_MINOR = {
    "i": "i6:2 iv:3 iio6:2 VI:2 V6:1.5 V43:1.5 V65:1.5 V42:0.7 viio6:1.5 V:1.5 viio7:0.6 iiø65:1 iv6:0.6 III:0.5 "
    "V65/iv:0.4 iiø42:0.4 VII:0.3",
    "i6": "iv:3 iio6:3 V43:1 viio6:1 i:1.5 iiø65:1.5 V:1.2 V42:0.5 VI:0.4 bII6:0.2",
    "iio6": "V:3 V7:1 V65:0.7 V42:0.8 viio7:0.5",
    "iiø65": "V:3 V7:1 V42:0.7",
    "iiø42": "V65:3 V6:0.6",
    "bII6": "V:2 V7:1 V42:0.5",
    "iv": "V:2 i6:1.5 iio6:1.5 V65:1 V42:1 viio6:1 i:1 V43:0.6 V6:0.6 iiø65:1 VII:0.3 viio7:0.6",
    "iv6": "V:3 V65:0.4",
    "V": "i:1.6 VI:1.6 V42:1 i6:1 V65:0.7 V6:0.5 iv6:0.3",
    "V6": "i:3 V65:0.6",
    "V7": "i:1 VI:1.2",
    "V65": "i:1",
    "V43": "i:1 i6:1",
    "V42": "i6:1",
    "VI": "iv:2 iio6:3 iv6:0.6 V43:0.4 V:0.8 iiø65:1 III:0.5 V6:0.4 bII6:0.2",
    "viio6": "i:1.5 i6:1.2",
    "viio7": "i:1 V65:0.3",
    "III": "VI:2 iv:2 iio6:1",
    "VII": "III:1",
    "V65/iv": "iv:1",
}
# Closing formulas before the last bar's chord: (weight, chords before, chord of the last bar).
_CLOSES_MAJOR = {
    "PAC": (
        (3, "ii6 V7", "I"),
        (2, "IV V7", "I"),
        (2, "ii65 V7", "I"),
        (2, "ii6 I64 V7", "I"),
        (1.5, "IV I64 V7", "I"),
        (2, "I64 V7", "I"),
        (0.7, "V65/V I64 V7", "I"),
        (1, "I64 V", "I"),
        (0.7, "V7", "I"),
        (0.2, "V", "I"),
    ),
    "IAC": (
        (2, "ii6 V42", "I6"),
        (1.5, "IV V65", "I"),
        (1, "ii V43", "I6"),
        (1, "IV viio6", "I6"),
        (1, "V65", "I"),
        (1, "V42", "I6"),
        (0.7, "V43", "I"),
    ),
    "HC": (
        (3, "ii6", "V"),
        (2.5, "IV", "V"),
        (2, "I ii6", "V"),
        (1.5, "vi IV", "V"),
        (1.5, "I6 IV", "V"),
        (1.2, "ii6 V65/V", "V"),
        (1, "vi V65/V", "V"),
        (1, "V7/V", "V"),
        (1, "I", "V"),
        (1, "IV I64", "V"),
    ),
    "DC": ((3, "ii6 V7", "vi"), (2, "I64 V7", "vi"), (2, "IV V7", "vi"), (1, "V7", "vi"), (1, "ii6 I64 V7", "vi")),
}
_CLOSES_MINOR = {
    "PAC": (
        (3, "iio6 V7", "i"),
        (3, "iv V7", "i"),
        (2, "iiø65 V7", "i"),
        (2, "iio6 i64 V7", "i"),
        (2, "iv i64 V7", "i"),
        (2, "i64 V7", "i"),
        (0.7, "bII6 i64 V7", "i"),
        (1, "i64 V", "i"),
        (0.7, "V7", "i"),
        (0.2, "V", "i"),
    ),
    "IAC": (
        (2, "iio6 V42", "i6"),
        (1.5, "iv V65", "i"),
        (1, "iv viio6", "i6"),
        (1, "V65", "i"),
        (1, "V42", "i6"),
        (0.7, "V43", "i"),
    ),
    "HC": (
        (3, "iv6", "V"),
        (2.5, "iio6", "V"),
        (2, "i iv", "V"),
        (2, "i iv6", "V"),
        (1.5, "VI iio6", "V"),
        (1.5, "iv", "V"),
        (1, "i", "V"),
        (1, "iv i64", "V"),
    ),
    "DC": ((3, "iio6 V7", "VI"), (2, "i64 V7", "VI"), (2, "iv V7", "VI"), (1, "V7", "VI")),
}
# First chords of a phrase, by role of the idea.
_OPENINGS_MAJOR = {"home": "I:12 I6:1", "free": "I:4 vi:1.5 IV:1 V6:0.8 I6:1.5 ii:0.7 V:1 V65/V:0.3 V42:0.4"}
_OPENINGS_MINOR = {"home": "i:12 i6:1", "free": "i:4 VI:1.5 iv:1 V6:0.7 i6:1.5 V:1 III:1 VII:0.5 V42:0.4"}
# Chords that pass on a weak beat better than they stand on a strong one.
_WEAK = {"V43", "V42", "viio6", "V65", "V6", "I6", "i6", "ii42", "iiø42", "V65/IV", "V65/iv", "V65/ii", "VII", "IV6"}
_STRONG_ONLY = {"IV64": 0.15, "vi": 0.9, "VI": 0.9, "iii": 0.5}
# How a bass moves: by interval class, its weight.
_BASS = (0.45, 1.5, 1.5, 1.0, 0.9, 1.1, 0.35)
_MODES = {"V7/V": "V7/V", "I": "i", "I6": "i6", "ii": "iio6", "ii6": "iio6", "ii65": "iiø65", "ii42": "iiø42"}
_MODES |= {"IV": "iv", "IV6": "iv6", "IV64": "iv64", "vi": "VI", "iii": "III", "V65/V": "iiø65", "I64": "i64"}
_MODES |= {"V65/IV": "V65/iv", "V7/IV": "V65/iv", "V7/vi": "VII", "V65/ii": "iio6"}
_TO_MAJOR = {"i": "I", "i6": "I6", "iio6": "ii6", "iiø65": "ii65", "iiø42": "ii42", "iv": "IV", "iv6": "IV6"}
_TO_MAJOR |= {"iv64": "IV64", "VI": "vi", "III": "iii", "VII": "V7/vi", "i64": "I64", "V65/iv": "V65/IV", "bII6": "ii6"}
_TO_MAJOR |= {"viio7": "V65"}


class Syntax:
    """Harmony of one mode.

    Args:
        minor: the mode.

    Attributes:
        figures: the vocabulary of phrases, as Roman numerals.
        bass: pitch class of each figure's bass above the tonic.
        moves: weight of the move from one figure to the next, functional weight times bass motion; 0 forbidden.
        weak, strong: weight of a figure on a weak or strong place.
    """

    def __init__(self, minor: bool) -> None:
        table = _MINOR if minor else _MAJOR
        home = Key("C", minor)
        self.minor = minor
        self.figures = tuple(table)
        self.index = {name: i for i, name in enumerate(self.figures)}
        self.chords = {name: parse_figure(name, home) for name in (*table, "i64" if minor else "I64")}
        self.bass = {name: bass for name, (_, _, bass) in self.chords.items()}
        self.moves: Float[np.ndarray, "figures figures"] = np.zeros((len(table), len(table)))
        for name, spec in table.items():
            for follower, weight in _weights(spec).items():
                self.moves[self.index[name], self.index[follower]] = weight * self._motion(name, follower)
        self.weak = np.array([1.5 if name in _WEAK else 1.0 for name in self.figures])
        self.strong = np.array([0.6 if name in _WEAK else _STRONG_ONLY.get(name, 1.0) for name in self.figures])
        self.closes = _CLOSES_MINOR if minor else _CLOSES_MAJOR
        openings = _OPENINGS_MINOR if minor else _OPENINGS_MAJOR
        self.openings = {role: self._vector(spec) for role, spec in openings.items()}

    def _motion(self, left: str, right: str) -> float:
        distance = (self.bass[left] - self.bass[right]) % 12
        return _BASS[min(distance, 12 - distance)]

    def _vector(self, spec: str) -> Float[np.ndarray, " figures"]:
        weights = _weights(spec)
        return np.array([weights.get(name, 0.0) for name in self.figures])

    def into(self, figure: str) -> Float[np.ndarray, " figures"]:
        """Weight of each figure as the one before `figure`; the cadential 64 is approached like a dominant."""
        if figure in self.index:
            # A closing dominant may follow any predominant, whatever the table says inside a phrase.
            column = self.moves[:, self.index[figure]].copy()
            return column if figure != "V7" else np.maximum(column, self.moves[:, self.index["V"]])
        weights = _weights("i:0.3 i6:1 iio6:2 iv:2 iiø65:1 VI:0.7 iv6:1" if self.minor else _BEFORE_64)
        return np.array([weights.get(name, 0.0) for name in self.figures])


_BEFORE_64 = "I:0.3 I6:1 ii:1.5 ii6:2 ii65:1 IV:2 vi:0.7 IV6:0.7 V65/V:0.5 V7/V:0.4"


def _weights(spec: str) -> dict[str, float]:
    return {name: float(weight) for name, _, weight in (token.partition(":") for token in spec.split())}


@cache
def syntax(minor: bool) -> Syntax:
    """The tables of a mode, made once."""
    return Syntax(minor)


def in_mode(figure: str, minor: bool) -> str:
    """The figure that does in the other mode what `figure` did in its own: `ii6` becomes `iio6` in minor."""
    return (_MODES if minor else _TO_MAJOR).get(figure, figure)
