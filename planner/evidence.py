"""Chords that must carry a melody that is given: how well each symbol and duration fits what sounds above it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from music.harmony import QUALITIES
from music.pitch import Key
from music.plan import Theme
from music.time import Meter
from planner.drawing import Limits
from planner.harmony_stream import SYMBOL, HarmonyWalker
from planner.harmony_symbols import BASSES, SYMBOLS, VALID, chord_of, unit_of

_INSIDE, _OUTSIDE = np.log(1.6), np.log(0.12)  # of a beat on a strong place; weak ones count less


def _tones() -> Float[np.ndarray, "symbols pcs"]:
    """Logarithm of the fit of a pitch class above the tonic to each symbol."""
    from music.harmony import chord_pcs

    found = np.full((SYMBOLS, 12), _OUTSIDE)
    for symbol in np.flatnonzero(VALID):
        root, quality, _ = chord_of(int(symbol), Key("C"))
        found[symbol, list(chord_pcs(root, quality))] = _INSIDE
    assert len(found) == 12 * len(QUALITIES) * BASSES
    return found


_FITS = _tones()


class WithMelody:
    """Limits of a section's chords, weighed by how well they carry the theme that is heard from its beginning.

    Args:
        limits: what must be kept.
        theme: given, in any key; it is heard in the section's.
        key, meter: of the section.
    """

    def __init__(self, limits: Limits, theme: Theme, key: Key, meter: Meter) -> None:
        self.limits = limits
        self.unit = unit_of(meter)
        self.ahead = max(1, meter.beat_div // self.unit)
        units = max(1, -(-(theme.notes[-1].onset_div + theme.notes[-1].duration_div) // self.unit))
        weights = np.zeros((units, 12))
        change = {} if theme.key.minor == key.minor else {3: 4, 8: 9} if theme.key.minor else {4: 3, 9: 8}
        for note in theme.notes:
            pc = (note.pitch - theme.key.pc) % 12
            pc = change.get(pc, pc)
            strength = 0.5 + meter.strength(note.onset_div)
            for unit in range(max(0, note.onset_div // self.unit), units):
                start, end = unit * self.unit, (unit + 1) * self.unit
                shared = min(end, note.onset_div + note.duration_div) - max(start, note.onset_div)
                if shared > 0:
                    weights[unit, pc] += shared / meter.beat_div * strength
        self.fits = weights @ _FITS.T  # [units, symbols]

    def weights(self, walker: HarmonyWalker) -> Float[np.ndarray, " size"] | None:
        """See `planner.drawing.Limits`."""
        found = self.limits.weights(walker)
        onset = walker.onset_unit
        if onset >= len(self.fits) or found is None:
            return found
        if walker.field == SYMBOL:
            return found * np.exp(self.fits[onset : onset + self.ahead].sum(axis=0))
        assert walker.symbol is not None
        # What a chord costs that sounds on: each of its units counts, those before the shortest one alike for all.
        spent = np.cumsum(self.fits[onset : onset + len(found), walker.symbol])
        steps = np.concatenate([spent, np.full(max(0, len(found) - len(spent)), spent[-1])])
        return found * np.exp(steps - steps[: self.ahead].max())
