"""Sections of a piece from its phrases: where blocks of phrases return, which letters they get, what they return to.

A block of phrases that comes again (in any key) makes section bounds at its ends; what is then still long is divided
at the phrase nearest to its middle. Sections have at least `MIN_BARS` bars where the piece allows, `LONG_MIN_BARS` in
long pieces, which keeps a sonata movement within the letters of the alphabet.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from string import ascii_uppercase

import numpy as np

from music.analysis.similarity import BarProducts

SHORT_PIECE = 64  # bars; a longer piece has sections of LONG_MIN_BARS at least
MIN_BARS = 4
LONG_MIN_BARS = 8
MAX_BARS = 16
MAX_MARKED_BARS = 32
MOST_SECTIONS = 20
SAME = 0.55  # least likeness of a returning section
BLOCK = 0.7  # least likeness of a returning block of phrases
SLACK = 0.15  # a block goes on growing while its likeness is no more than this below BLOCK
EXACT = 0.97  # from here on a return counts as literal


@dataclass(frozen=True)
class SectionSpan:
    """A section before it is filled.

    Args:
        start, end: plan bars.
        label: letter and primes.
        source: index of the earlier section it returns to, or None.
        similarity, transposition: likeness with the source, 0 and 0 without one.
    """

    start: int
    end: int
    label: str
    source: int | None
    similarity: float
    transposition: int

    @property
    def bars(self) -> int:
        """Length in bars."""
        return self.end - self.start


def _least_bars(bars: int) -> int:
    return MIN_BARS if bars <= SHORT_PIECE else LONG_MIN_BARS


def section_bounds(
    products: BarProducts,
    phrase_bounds: tuple[int, ...],
    marks: tuple[int, ...] = (),
    strong: tuple[int, ...] = (),
) -> list[int]:
    """Bar numbers where sections begin, with 0 and the piece's end.

    Args:
        products: of the plan's bars.
        phrase_bounds: bars where phrases begin, with 0 and the end.
        marks: bars of known section marks; where there are any, they are the bounds, and only what is longer than
            `MAX_MARKED_BARS` between them is divided.
        strong: those phrase bounds that a cadence closes; a long stretch is divided there, if it can be.
    """
    bars = phrase_bounds[-1]
    least = _least_bars(bars)
    if marks:
        bounds = sorted({0, bars, *(m for m in marks if 0 < m < bars)})
        cuts = [
            c
            for start, end in pairwise(bounds)
            for c in _divide(start, end, phrase_bounds, strong, least, MAX_MARKED_BARS)
        ]
        return sorted({*bounds, *cuts})
    bounds = _without_short(sorted({0, bars} | _return_bounds(products, phrase_bounds, least)), least)
    most = max(MAX_BARS, -(-bars // MOST_SECTIONS))
    divided = [
        cut for start, end in pairwise(bounds) for cut in _divide(start, end, phrase_bounds, strong, least, most)
    ]
    return _without_short(sorted({*bounds, *divided}), least)


def _return_bounds(products: BarProducts, phrase_bounds: tuple[int, ...], least: int) -> set[int]:
    """Ends of blocks of phrases that come again: the longest likeness first, overlapping claims left out."""
    bars = phrase_bounds[-1]
    if bars < 2 * least:
        return set()
    start_alike = products.windows(least).max(axis=0) >= BLOCK - SLACK
    starts = [b for b in phrase_bounds[:-1] if b + least <= bars]
    blocks = [
        block
        for i, a in enumerate(starts)
        for b in starts[i + 1 :]
        if b - a >= least and start_alike[b, a]
        for block in _grow(products, phrase_bounds, a, b, least)
    ]
    bounds: set[int] = set()
    used = np.zeros(bars, dtype=bool)
    for _, a, b, length in sorted(blocks, reverse=True):
        if used[b : b + length].any():
            continue
        used[b : b + length] = True
        bounds |= {a, a + length, b, b + length}
    return bounds


def _grow(
    products: BarProducts, phrase_bounds: tuple[int, ...], a: int, b: int, least: int
) -> list[tuple[float, int, int, int]]:
    """Blocks of whole phrases from bars `a` and `b` on that are alike: (weight, a, b, length)."""
    found = []
    for end in phrase_bounds:
        length = end - a
        if length < least:
            continue
        if end > b or b + length > phrase_bounds[-1]:
            break
        similarity, _ = products.block(a, b, length)
        if similarity < BLOCK - SLACK:
            break
        if similarity >= BLOCK and b + length in phrase_bounds:
            found.append((similarity * length, a, b, length))
    return found


def _divide(
    start: int, end: int, phrase_bounds: tuple[int, ...], strong: tuple[int, ...], least: int, most: int
) -> list[int]:
    """Bounds inside a stretch that is too long for one section, at strong places where there are any."""
    if end - start <= most:
        return []
    inside = [p for p in phrase_bounds if start + least <= p <= end - least]
    inside = [p for p in inside if p in strong] or inside
    if not inside:
        return []
    middle = (start + end) / 2
    # Sections of eight bars and multiples are the rule, so a bound eight bars in is worth a little.
    best = min(inside, key=lambda p: abs(p - middle) - 2 * ((p - start) % 8 == 0))
    left = _divide(start, best, phrase_bounds, strong, least, most)
    return [*left, best, *_divide(best, end, phrase_bounds, strong, least, most)]


def _without_short(bounds: list[int], least: int) -> list[int]:
    """Removes bounds until no section is shorter than `least` (one section is left in a short piece)."""
    bounds = list(bounds)
    while len(bounds) > 2:
        lengths = np.diff(bounds)
        shortest = int(lengths.argmin())
        if lengths[shortest] >= least:
            break
        # Join with the shorter neighbour.
        left = lengths[shortest - 1] if shortest > 0 else np.inf
        right = lengths[shortest + 1] if shortest + 1 < len(lengths) else np.inf
        del bounds[shortest if left <= right else shortest + 1]
    return bounds


def label_sections(products: BarProducts, bounds: list[int], names: dict[int, str] | None = None) -> list[SectionSpan]:
    """Letters by likeness: a section like an earlier one takes its letter, with primes unless the return is literal.

    Args:
        products: of the plan's bars.
        bounds: bars where sections begin, with 0 and the end.
        names: labels that are known, by first bar; such a section returns to the likest earlier one of its letter.
    """
    spans: list[SectionSpan] = []
    for start, end in pairwise(bounds):
        known = (names or {}).get(start)
        best = _likest(products, spans, start, end, known[0] if known else None)
        if known is not None:
            similarity, index, shift = best or (0.0, None, 0)
            spans.append(SectionSpan(start, end, known, index, similarity, shift))
        elif best is None:
            taken = {s.label[0] for s in spans} | {name[0] for name in (names or {}).values()}
            letter = next((c for c in ascii_uppercase if c not in taken), "Z")
            spans.append(SectionSpan(start, end, letter, None, 0.0, 0))
        else:
            similarity, index, shift = best
            source = spans[index]
            literal = similarity >= EXACT and shift == 0 and source.bars == end - start
            label = source.label if literal else _next_prime(source.label[0], spans)
            spans.append(SectionSpan(start, end, label, index, similarity, shift))
    return spans


def _likest(
    products: BarProducts, spans: list[SectionSpan], start: int, end: int, letter: str | None
) -> tuple[float, int, int] | None:
    """(similarity, index, transposition) of the earlier section that bars `start..end` are like, or None.

    With a letter only its sections are looked at, and the likest counts however unlike it is.
    """
    best: tuple[float, int, int] | None = None
    for index, other in enumerate(spans):
        short, long = sorted((end - start, other.bars))
        if (letter is None and 2 * short < long) or letter not in (None, other.label[0]):
            continue
        similarity, shift = products.block(other.start, start, short)
        similarity *= (short / long) ** 0.5
        if (letter or similarity >= SAME) and (best is None or similarity > best[0] + 1e-6):
            best = similarity, index, shift
    return best


def _next_prime(letter: str, spans: list[SectionSpan]) -> str:
    most = max(len(s.label) - 1 for s in spans if s.label[0] == letter)
    return letter + "'" * (most + 1)
