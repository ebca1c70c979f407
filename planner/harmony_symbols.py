"""Chords as symbols of a section's key, on a grid of eighths: the alphabet of the planner's harmony.

A symbol is a root above the section's tonic, a quality and which chord tone lies in the bass: 12 x 9 x 4 = 432, of
which triads use three basses. Chords lie on a grid of eighths (`UNIT_DIV`); where a meter's beat is no whole number of
eighths, or its bar a single one, on a finer one (`unit_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from jaxtyping import Bool

from music.harmony import QUALITIES, TRIADS, chord_pcs, figure
from music.pitch import Key
from music.plan import Chord, Section
from music.time import Meter

UNIT_DIV = 5040  # an eighth
BASSES = 4
SYMBOLS = 12 * len(QUALITIES) * BASSES
MAX_UNITS = 64  # of one token; longer chords are written as several tokens of one symbol
_QUALITY = {name: index for index, name in enumerate(QUALITIES)}

# A chord of the grid: onset and duration in units, and symbol.
Placed = tuple[int, int, int]

# (root above the tonic, quality) in major, and what does the same in minor. Dominants are the same in both.
_MODES = (
    ((0, "maj"), (0, "min")),
    ((0, "maj7"), (0, "min7")),
    ((2, "min"), (2, "dim")),
    ((2, "min7"), (2, "hdim7")),
    ((4, "min"), (3, "maj")),
    ((4, "min7"), (3, "maj7")),
    ((5, "maj"), (5, "min")),
    ((5, "maj7"), (5, "min7")),
    ((9, "min"), (8, "maj")),
    ((9, "min7"), (8, "maj7")),
    ((11, "hdim7"), (11, "dim7")),
    ((4, "maj"), (10, "maj")),
    ((4, "7"), (10, "7")),
)


def _build_valid() -> Bool[np.ndarray, " symbols"]:
    mask = np.ones((12, len(QUALITIES), BASSES), dtype=bool)
    mask[:, [_QUALITY[name] for name in TRIADS], 3] = False
    mask.flags.writeable = False
    return mask.reshape(SYMBOLS)


VALID = _build_valid()  # a triad has no fourth tone


@cache
def symbol_of(root: int, quality: str, bass: int, key: Key) -> int:
    """Symbol of a chord in a key; a bass that is no chord tone counts as root position.

    Raises:
        KeyError: unknown quality.
    """
    pcs = chord_pcs(root, quality)
    tone = pcs.index(bass) if bass in pcs else 0
    return ((root - key.pc) % 12 * len(QUALITIES) + _QUALITY[quality]) * BASSES + tone


@cache
def chord_of(symbol: int, key: Key) -> tuple[int, str, int]:
    """(root, quality, bass) of a symbol in a key; inverse of `symbol_of`.

    Raises:
        ValueError: no symbol, or the fourth tone of a triad.
    """
    if not 0 <= symbol < SYMBOLS or not VALID[symbol]:
        raise ValueError(f"there is no chord symbol {symbol}")
    rest, tone = divmod(symbol, BASSES)
    interval, quality = divmod(rest, len(QUALITIES))
    root = (key.pc + interval) % 12
    return root, QUALITIES[quality], chord_pcs(root, QUALITIES[quality])[tone]


@cache
def named(symbol: int, key: Key) -> tuple[int, str, int, str]:
    """Root, quality, bass and figure of a symbol in a key."""
    root, quality, bass = chord_of(symbol, key)
    return root, quality, bass, figure(root, quality, bass, key)


def _pair(interval: int, quality: str) -> int:
    return interval * len(QUALITIES) + _QUALITY[quality]


_TO_MINOR = {_pair(*major): _pair(*minor) for major, minor in _MODES}
_TO_MAJOR = {minor: major for major, minor in _TO_MINOR.items()}


def in_mode(symbol: int, was_minor: bool, minor: bool) -> int:
    """The symbol that does in the other mode what `symbol` did in its own, with the same tone in the bass."""
    if was_minor == minor:
        return symbol
    pair, tone = divmod(symbol, BASSES)
    return (_TO_MINOR if minor else _TO_MAJOR).get(pair, pair) * BASSES + tone


@cache
def unit_of(meter: Meter) -> int:
    """Divisions of a unit: an eighth, or the longest half, quarter … of it that fits the beat, two a bar at least."""
    unit = UNIT_DIV
    while meter.beat_div % unit or meter.bar_div < 2 * unit:
        unit //= 2
    return unit


def placed_chords(chords: Sequence[Chord], key: Key, unit: int) -> list[Placed]:
    """Chords on the grid, equal neighbours joined: onsets go to the nearest unit (a half up), what vanishes is dropped.

    Args:
        chords: without gaps, the first one at 0 and the last one ending on a whole unit.
        key: of the section.
        unit: divisions of a unit.
    """
    starts = [(chord.onset_div + unit // 2) // unit for chord in chords]
    ends = [*starts[1:], (chords[-1].onset_div + chords[-1].duration_div) // unit] if chords else []
    pieces = [
        (start, end - start, symbol_of(chord.root, chord.quality, chord.bass, key))
        for chord, start, end in zip(chords, starts, ends, strict=True)
        if end > start
    ]
    return merged(pieces)


def merged(pieces: Iterable[Placed], borders: frozenset[int] = frozenset()) -> list[Placed]:
    """Joins neighbours of the same symbol, save where the later one begins at one of `borders`."""
    found: list[Placed] = []
    for onset, duration, symbol in pieces:
        if found and found[-1][2] == symbol and onset not in borders:
            start, length, _ = found[-1]
            found[-1] = (start, length + duration, symbol)
        else:
            found.append((onset, duration, symbol))
    return found


def chords_of(pieces: Iterable[Placed], key: Key, unit: int) -> tuple[Chord, ...]:
    """Chords of the grid in divisions, with figures."""
    return tuple(Chord(onset * unit, duration * unit, *named(symbol, key)) for onset, duration, symbol in pieces)


def canonical_section_chords(section: Section, meter: Meter) -> tuple[Chord, ...]:
    """A section's chords as the stream can write them: on the grid, basses chord tones, equal neighbours joined."""
    unit = unit_of(meter)
    return chords_of(placed_chords(section.chords, section.key, unit), section.key, unit)


def with_fixed(chords: tuple[Chord, ...], fixed: tuple[Chord, ...], key: Key) -> tuple[Chord, ...]:
    """The chords with those that are fixed laid over them just as they were asked for, off the grid too.

    Args:
        chords: of a section, gapless.
        fixed: in order, without overlaps.
        key: of the section.
    """
    pieces: list[tuple[int, int, int, str, int]] = [
        (c.onset_div, c.onset_div + c.duration_div, c.root, c.quality, c.bass) for c in fixed
    ]
    gaps = zip([0, *(p[1] for p in pieces)], [*(p[0] for p in pieces), 2**62], strict=True)
    for start, end in list(gaps):
        for chord in chords:
            left, right = max(start, chord.onset_div), min(end, chord.onset_div + chord.duration_div)
            if right > left:
                pieces.append((left, right, chord.root, chord.quality, chord.bass))
    found: list[Chord] = []
    for start, end, root, quality, bass in sorted(pieces):
        last = found[-1] if found else None
        if last is not None and (last.root, last.quality, last.bass) == (root, quality, bass):
            start = last.onset_div
            found.pop()
        found.append(Chord(start, end - start, root, quality, bass, figure(root, quality, bass, key)))
    return tuple(found)
