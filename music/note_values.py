"""Durations as note values: where a note is cut into tied pieces, and which pieces stand in a tuplet.

A bar of one voice is divided into cells: whole beats at first, halved wherever a note begins in the middle, until a
cell holds no odd boundary or is one tuplet (3, 5, 7 … in the time of 2, 4, 4 …). Within a tuplet a note is cut at the
tuplet's own grid, outside at the strongest metrical place that a reader must see.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from music.time import DIVS_PER_QUARTER, Meter

TYPES = ("breve", "whole", "half", "quarter", "eighth", "16th", "32nd", "64th", "128th")
_FINEST = DIVS_PER_QUARTER // 32  # a 128th, the last power of two that divides a quarter
_LENGTHS = {name: 8 * DIVS_PER_QUARTER >> index for index, name in enumerate(TYPES)}
# Duration -> (type, dots).
VALUES: dict[int, tuple[str, int]] = {}
for _dots in (2, 1, 0):
    for _name, _length in _LENGTHS.items():
        if _length * (2 ** (_dots + 1) - 1) % 2**_dots == 0:
            VALUES[_length * (2 ** (_dots + 1) - 1) // 2**_dots] = (_name, _dots)
# Notes of a tuplet and how many of its type would fill the time.
TUPLETS = ((3, 2), (5, 4), (7, 4), (9, 8))
_SMALLEST_CELL = DIVS_PER_QUARTER // 8


@dataclass(frozen=True, slots=True)
class Piece:
    """A note value: start and end in divisions from the bar, type ("" where no value fits), dots, tuplet.

    `tuplet` is (actual, normal) or None; `opens` and `closes` mark the first and last piece of the tuplet's cell.
    """

    start: int
    end: int
    type: str
    dots: int = 0
    tuplet: tuple[int, int] | None = None
    opens: bool = False
    closes: bool = False


@dataclass(frozen=True, slots=True)
class _Cell:
    start: int
    end: int
    tuplet: tuple[int, int] | None  # None: binary
    typed: bool = True


def place_level(offset: int, meter: Meter) -> int:
    """Metrical weight of a place of the bar: 4 downbeat, 3 half bar, 2 beat, 1 half or third of a beat, then 0, -1 …"""
    strength = meter.strength(offset)
    if strength >= 0.25:
        return {1.0: 4, 0.75: 3, 0.5: 2, 0.25: 1}[strength]
    level, grid = 0, DIVS_PER_QUARTER // 4
    while offset % grid and level > -5:
        level, grid = level - 1, grid // 2
    return level


def _may_stand(start: int, end: int, meter: Meter, rest: bool) -> bool:
    """True where one value from start to end is legible: it hides no place much stronger than its ends."""
    if end - start not in VALUES or (VALUES[end - start][1] == 2 and rest):
        return False
    inside = [place_level(p, meter) for p in range(start // _FINEST * _FINEST + _FINEST, end, _FINEST)]
    strongest = max(inside, default=-9)
    first, last = place_level(start, meter), place_level(end, meter)
    if meter.is_compound and strongest >= 2:
        return first >= 2 and last >= 2 and (first > strongest or first == last == 4 or last > strongest)
    if rest:
        return strongest < first or (strongest <= first and first <= 1)
    if strongest <= max(first, last):
        return True
    return strongest == min(first, last) + 1 and strongest < 3 and VALUES[end - start][1] == 0


@lru_cache(maxsize=20_000)
def _binary(start: int, end: int, meter: Meter, rest: bool) -> tuple[tuple[int, int], ...]:
    if end - start <= _FINEST or _may_stand(start, end, meter, rest):
        return ((start, end),)
    places = range(start // _FINEST * _FINEST + _FINEST, end, _FINEST)
    if not places:
        return ((start, end),)
    cut = max(places, key=lambda p: (place_level(p, meter), -abs(2 * p - start - end), p))
    return _binary(start, cut, meter, rest) + _binary(cut, end, meter, rest)


def _cells(start: int, end: int, bounds: frozenset[int]) -> list[_Cell]:
    inside = [b - start for b in bounds if start < b < end]
    length = end - start
    if all((start + b) % _FINEST == 0 for b in inside):
        return [_Cell(start, end, None)]
    if length > DIVS_PER_QUARTER:
        if length == 2 * DIVS_PER_QUARTER and all(b * 3 % length == 0 for b in inside):
            return [_Cell(start, end, (3, 2))]
        middle = start + DIVS_PER_QUARTER * max(1, length // DIVS_PER_QUARTER // 2)
        return _cells(start, middle, bounds) + _cells(middle, end, bounds)
    middle = start + length // 2
    if middle in bounds and length > _SMALLEST_CELL:
        return _cells(start, middle, bounds) + _cells(middle, end, bounds)
    for actual, normal in TUPLETS:
        if length % actual or length // normal not in VALUES or VALUES[length // normal][1]:
            continue
        unit = length // actual
        while unit % 2 == 0 and unit * 16 > length:
            unit //= 2
        if all(b % unit == 0 for b in inside):
            return [_Cell(start, end, (actual, normal))]
    if length > _SMALLEST_CELL and length % 2 == 0 and middle % _FINEST == 0:
        return _cells(start, middle, bounds) + _cells(middle, end, bounds)
    return [_Cell(start, end, None, typed=False)]


def _units(length: int, meter: Meter, phase: int) -> list[tuple[int, int]]:
    """Top cells of a bar, in the meter's own clock (from `phase`): half bars, beats, or eighths of compound beats."""
    quarter = DIVS_PER_QUARTER
    unit = meter.beat_div // 3 if meter.is_compound else quarter
    units, place, end = [], phase, phase + length
    while place < end:
        step = unit - place % unit
        if not meter.is_compound and place % (2 * quarter) == 0 and meter.bar_div % (2 * quarter) == 0:
            step = 2 * quarter
        units.append((place, min(place + step, end)))
        place += step
    return units


def bar_pieces(
    spans: list[tuple[int, int, bool]], length: int, meter: Meter, phase: int = 0, marks: tuple[int, ...] = ()
) -> list[list[Piece]]:
    """Note values of the notes and rests of one voice in one bar.

    Args:
        spans: (start, end, is rest) in divisions from the bar's start, in order, without gaps or overlaps.
        length: of the bar.
        meter: in force.
        phase: where in the meter's bar this bar begins (an upbeat begins late).
        marks: further places where a value must be cut.

    Returns:
        For each span its pieces; together they fill the span exactly.
    """
    bounds = frozenset(phase + b for start, end, _ in spans for b in (start, end)) | {phase + m for m in marks}
    cells: list[_Cell] = []
    for start, end in _units(length, meter, phase):
        for cell in _cells(start, end, bounds):
            plain = cell.tuplet is None and cell.typed
            if plain and cells and cells[-1].tuplet is None and cells[-1].typed:
                cells[-1] = _Cell(cells[-1].start, cell.end, None)
            else:
                cells.append(cell)
    result = []
    for start, end, rest in spans:
        pieces: list[Piece] = []
        cuts = sorted({phase + start, phase + end, *(phase + m for m in marks if start < m < end)})
        for left, right in pairwise(cuts):
            for cell in cells:
                low, high = max(left, cell.start), min(right, cell.end)
                if low < high:
                    pieces.extend(_in_cell(low, high, cell, meter, rest))
        result.append([_shift(p, -phase) for p in pieces])
    return result


def _shift(piece: Piece, by: int) -> Piece:
    return Piece(piece.start + by, piece.end + by, piece.type, piece.dots, piece.tuplet, piece.opens, piece.closes)


def _in_cell(start: int, end: int, cell: _Cell, meter: Meter, rest: bool) -> list[Piece]:
    if cell.tuplet is not None:
        return _in_tuplet(start, end, cell, cell.tuplet)
    if not cell.typed:
        return [Piece(start, end, "")]
    return [Piece(a, b, *VALUES.get(b - a, ("", 0))) for a, b in _binary(start, end, meter, rest)]


def _in_tuplet(start: int, end: int, cell: _Cell, tuplet: tuple[int, int]) -> list[Piece]:
    """Pieces of a span within one tuplet: single values where they fit, else cut at the tuplet's grid."""
    actual, normal = tuplet
    unit = (cell.end - cell.start) // actual
    pieces = []
    for a, b in _tuplet_cuts(start - cell.start, end - cell.start, unit, actual, normal):
        name, dots = VALUES.get((b - a) * actual // normal, ("", 0))
        low, high = a + cell.start, b + cell.start
        pieces.append(Piece(low, high, name, dots, tuplet, low == cell.start, high == cell.end))
    return pieces


def _tuplet_cuts(start: int, end: int, unit: int, actual: int, normal: int) -> list[tuple[int, int]]:
    value = (end - start) * actual
    if value % normal == 0 and VALUES.get(value // normal, ("", 9))[1] <= 1:
        return [(start, end)]
    grid = unit
    while grid > 1:
        cut = start // grid * grid + grid
        if cut < end:
            last = (end - 1) // grid * grid  # from the far side where the span ends between two places of the grid
            cut = cut if start % grid else (last if end % grid else start + grid * _power_below((end - start) // grid))
            left = _tuplet_cuts(start, cut, unit, actual, normal)
            return left + _tuplet_cuts(cut, end, unit, actual, normal)
        if grid % 2:
            break
        grid //= 2
    return [(start, end)]


def _power_below(count: int) -> int:
    """The largest power of two below `count`, at least 1."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power
