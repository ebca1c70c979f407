"""Factors on which chord follows which, learned by comparing drawn chords of a style with people's.

As `planner.form_factors`, for the chords: a planner that keeps every cadence draws more dominants before tonics than
people do, and dominants with a seventh too seldom; what a style does otherwise than we is a factor on each pair of
chords (`planner.calibrate`). A chord is a root above the section's tonic and a quality; its bass is the network's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from music.harmony import QUALITIES
from music.plan import Section
from planner.drawing import Limits
from planner.harmony_stream import SYMBOL, HarmonyWalker
from planner.harmony_symbols import BASSES

KINDS = 12 * len(QUALITIES)  # chords told apart
AT, LOG = "pairs", "pair_logs"
_LEAST_LOG = 0.02  # what is nearer to 1 is not kept
_QUALITY = {name: index for index, name in enumerate(QUALITIES)}
Pairs = Float[np.ndarray, "kinds kinds"]


class ChordFactors:
    """Factors at work.

    Args:
        logs: logarithm of the factor on each following chord, by the style's column value.
    """

    def __init__(self, logs: Mapping[int, Pairs]) -> None:
        self._logs = logs
        self._rows = {
            style: [np.repeat(np.exp(row), BASSES) if row.any() else None for row in table]
            for style, table in logs.items()
        }

    @classmethod
    def of_tables(cls, tables: Mapping[str, np.ndarray]) -> ChordFactors | None:
        """Those of a weights file; None where it has none."""
        if AT not in tables or LOG not in tables:
            return None
        at = tables[AT].reshape(-1, 3)
        logs = {int(style): np.zeros((KINDS, KINDS)) for style in np.unique(at[:, 0])}
        for (style, first, second), value in zip(at.tolist(), tables[LOG].tolist(), strict=True):
            logs[style][first, second] = value
        return cls(logs)

    def tables(self) -> dict[str, np.ndarray]:
        """As they are stored: (style, chord, following chord) of each factor that is not 1, and its logarithm."""
        at, values = [], []
        for style, table in sorted(self._logs.items()):
            first, second = np.nonzero(np.abs(table) >= _LEAST_LOG)
            at.append(np.stack([np.full(len(first), style), first, second], axis=1))
            values.append(table[first, second])
        rows = np.concatenate(at) if at else np.zeros((0, 3))
        return {AT: rows.astype(np.int16).ravel(), LOG: np.concatenate([*values, np.zeros(0)]).astype(np.float16)}

    def at(self, style: int, previous: int) -> Float[np.ndarray, " symbols"] | None:
        """Factor on each symbol after one; None where all are 1."""
        rows = self._rows.get(style)
        return None if rows is None else rows[previous // BASSES]


class WithChordFactors:
    """A section's limits with factors on what they allow.

    Args:
        limits: what must be kept.
        factors: of each style.
        style: column value.
    """

    def __init__(self, limits: Limits, factors: ChordFactors, style: int) -> None:
        self.limits, self.factors, self.style = limits, factors, style

    def weights(self, walker: HarmonyWalker) -> Float[np.ndarray, " size"] | None:
        """See `planner.drawing.Limits`."""
        found = self.limits.weights(walker)
        if walker.field != SYMBOL or not walker.tokens:
            return found
        own = self.factors.at(self.style, walker.tokens[-1][2])
        if own is None or found is None:
            return found if own is None else own
        return found * own


def chord_pairs(section: Section) -> Counter[tuple[int, int]]:
    """Pairs of chords that follow each other in a section; a change of bass alone is no new chord."""
    found: Counter[tuple[int, int]] = Counter()
    before = -1
    for chord in section.chords:
        kind = (chord.root - section.key.pc) % 12 * len(QUALITIES) + _QUALITY[chord.quality]
        if before >= 0 and kind != before:
            found[before, kind] += 1
        before = kind
    return found
