"""Factors on what a style's free forms are made of, learned by comparing drawn forms with people's.

The form's network knows each style, and how many sections are to come, from a column each; what holds for both together
(a chorale of two sections is A B, never A A; one of a single section never ends after four bars) it holds too loosely
where a style has few plans. So after training forms are drawn, and each choice at each place of a form gets the factor
that brings its share to what training plans have (`planner.calibrate`). The factors multiply what the look-ahead allows
(`planner.form_ahead`): what is forbidden stays forbidden, what is possible stays possible. They are used where neither
form nor length is asked for, which is what they were fitted on.

A choice is a field's value or a class of values; a place is told by how many sections the form has, which one it is,
and whether it is a return. Cadences have one factor a kind at all places: by place the network knows them better than
so few plans do, but what our promises shift (a piece closes at home, where people's may not) is made up for elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from music.pitch import Key
from music.plan import CADENCES, Section
from planner import form_columns as fc
from planner.drawing import Limits
from planner.form_stream import SectionDraw
from planner.form_walker import FormWalker

MANY = 4  # sections from which on forms are taken together: the first section, the last one, those between
PLACES = 9
SLOTS = 2 * PLACES
LENGTHS = (1, 5, 6, 8, 9, 10, 12, 14, 17, 21, 25, 33)  # first ones of the classes of bars, which share a factor
SIZES = {fc.LABEL: 2, fc.PRIME: 2, fc.BARS: len(LENGTHS), fc.KEY: 24, fc.CADENCE: len(CADENCES) + 1}
TABLES = {field: fc.FIELDS[field].name for field in SIZES}
Weights = Float[np.ndarray, " size"]


def place_of(index: int, sections: int) -> int:
    """Number of a section's place in a form: 0..5 in one of 1, 2 or 3 sections, 6..8 in a longer one."""
    if sections < MANY:
        return sections * (sections - 1) // 2 + index
    return 6 if index == 0 else 8 if index == sections - 1 else 7


def _classes(field: int) -> Int[np.ndarray, " size"]:
    values = np.arange(fc.FIELDS[field].size)
    if field == fc.LABEL:
        return np.minimum(np.maximum(values - fc.NEW, 0), 1)  # new, or a return; the end is asked for nowhere
    if field == fc.BARS:
        return np.array([length_class(int(value) + 1) for value in values])
    return np.minimum(values, SIZES[field] - 1)


def length_class(bars: int) -> int:
    """Class of a section's length."""
    return bisect_right(LENGTHS, bars) - 1


_CLASSES = {field: _classes(field) for field in SIZES}


def no_factors(styles: int) -> dict[int, Float[np.ndarray, "styles slots classes"]]:
    """Logarithms of factors that change nothing, by field, for so many values of the column `style`."""
    return {field: np.zeros((styles, SLOTS, size)) for field, size in SIZES.items()}


class FormFactors:
    """Factors at work.

    Args:
        logs: logarithm of each factor, by field: [styles + 1, slots, classes].
    """

    def __init__(self, logs: Mapping[int, Float[np.ndarray, "styles slots classes"]]) -> None:
        self._logs = logs
        self._made: dict[tuple[int, int, int], Weights | None] = {}

    @classmethod
    def of_tables(cls, tables: Mapping[str, np.ndarray]) -> FormFactors | None:
        """Those of a weights file; None where it has none."""
        if not all(name in tables for name in TABLES.values()):
            return None
        return cls({field: tables[name].astype(np.float64) for field, name in TABLES.items()})

    def tables(self) -> dict[str, np.ndarray]:
        """As they are stored."""
        return {name: self._logs[field].astype(np.float16) for field, name in TABLES.items()}

    def at(self, walker: FormWalker, sections: int) -> Weights | None:
        """Factor on each value of the field that is asked for; None where all are 1.

        Args:
            walker: at its place.
            sections: that the form will have.
        """
        field = walker.field
        if field not in SIZES or walker.part:
            return None
        slot = _slot(walker, sections)
        key = (walker.style, field, slot)
        if key not in self._made:
            self._made[key] = self._factors(*key)
        return self._made[key]

    def _factors(self, style: int, field: int, slot: int) -> Weights | None:
        logs = self._logs[field]
        if style >= len(logs) or not logs[style, slot].any():
            return None
        return np.exp(logs[style, slot])[_CLASSES[field]]


def _slot(walker: FormWalker, sections: int) -> int:
    """Where the walker is, as a number below `SLOTS`."""
    if walker.field == fc.LABEL:
        return 2 * place_of(min(len(walker.sections), sections - 1), sections)
    if walker.field == fc.CADENCE:
        return 0
    return 2 * place_of(len(walker.sections) - 1, sections) + (walker.sections[-1].source >= 0)


class WithFactors:
    """A form's limits with factors on what they allow.

    Args:
        limits: what must be kept.
        factors: of each style.
        sections: that the form will have.
    """

    def __init__(self, limits: Limits, factors: FormFactors, sections: int) -> None:
        self.limits, self.factors, self.sections = limits, factors, sections

    def weights(self, walker: FormWalker) -> Weights | None:
        """See `planner.drawing.Limits`."""
        found, own = self.limits.weights(walker), self.factors.at(walker, self.sections)
        if own is None or found is None:
            return found if own is None else own
        return found * own


def count(
    counts: Mapping[int, Float[np.ndarray, "slots classes"]],
    sections: Sequence[Section | SectionDraw],
    home: Key | None,
    known: frozenset[int] = frozenset(SIZES),
) -> None:
    """Adds what is chosen at each place of a form.

    Args:
        counts: by field, changed in place.
        sections: of the form.
        home: its key.
        known: fields that are told.
    """
    heard: set[str] = set()
    for index, section in enumerate(sections):
        place, is_return = place_of(index, len(sections)), section.label[0] in heard
        slot = 2 * place + is_return
        if fc.LABEL in known:
            counts[fc.LABEL][2 * place, int(is_return)] += index > 0
            counts[fc.PRIME][slot, int(len(section.label) > 1)] += is_return
            counts[fc.BARS][slot, length_class(section.bars)] += not is_return
        if fc.KEY in known and section.key is not None and home is not None:
            counts[fc.KEY][slot, fc.key_value(section.key, home)] += 1
        for phrase in section.phrases if fc.CADENCE in known else ():
            counts[fc.CADENCE][0, fc.cadence_value(phrase.cadence)] += 1
        heard.add(section.label[0])
