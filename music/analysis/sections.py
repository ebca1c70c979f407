"""Sections of a piece from its phrases: where blocks of phrases return, which letters they get, what they return to.

A block of phrases that comes again (in any key) makes section bounds at its ends; what is then still long is divided
at the phrase nearest to its middle. Sections have at least `MIN_BARS` bars where the piece allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from music.analysis.similarity import BarProducts

MIN_BARS = 4
MAX_BARS = 16
SAME = 0.55  # least likeness of a returning section
BLOCK = 0.7  # least likeness of a returning block of phrases
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


def section_bounds(products: BarProducts, phrase_bounds: tuple[int, ...], marks: tuple[int, ...] = ()) -> list[int]:
    """Bar numbers where sections begin, with 0 and the piece's end.

    Args:
        products: of the plan's bars.
        phrase_bounds: bars where phrases begin, with 0 and the end.
        marks: bars of known section marks; where there are any, they are the bounds.
    """
    bars = phrase_bounds[-1]
    if marks:
        return sorted({0, bars, *(m for m in marks if 0 < m < bars)})
    bounds = {0, bars} | _return_bounds(products, phrase_bounds)
    bounds = set(_without_short(sorted(bounds)))
    for start, end in pairwise(sorted(bounds)):
        bounds |= set(_divide(start, end, phrase_bounds))
    return _without_short(sorted(bounds))


def _return_bounds(products: BarProducts, phrase_bounds: tuple[int, ...]) -> set[int]:
    """Ends of blocks of phrases that come again: the longest likeness first, overlapping claims left out."""
    found: list[tuple[float, int, int, int]] = []
    starts = phrase_bounds[:-1]
    for i, a in enumerate(starts):
        for b in starts[i + 1 :]:
            for end in phrase_bounds[i + 1 :]:
                length = end - a
                if length < MIN_BARS or end > b or b + length > phrase_bounds[-1]:
                    continue
                if b + length not in phrase_bounds:
                    continue
                similarity, _ = products.block(a, b, length)
                if similarity >= BLOCK:
                    found.append((similarity * length, a, b, length))
    bounds: set[int] = set()
    used = np.zeros(phrase_bounds[-1], dtype=bool)
    for _, a, b, length in sorted(found, reverse=True):
        if used[b : b + length].any():
            continue
        used[b : b + length] = True
        bounds |= {a, a + length, b, b + length}
    return bounds


def _divide(start: int, end: int, phrase_bounds: tuple[int, ...]) -> list[int]:
    """Bounds inside a stretch that is too long for one section."""
    if end - start <= MAX_BARS:
        return []
    inside = [p for p in phrase_bounds if start + MIN_BARS <= p <= end - MIN_BARS]
    if not inside:
        return []
    middle = (start + end) / 2
    # Sections of eight bars and multiples are the rule, so a bound eight bars in is worth a little.
    best = min(inside, key=lambda p: abs(p - middle) - 2 * ((p - start) % 8 == 0))
    return [*_divide(start, best, phrase_bounds), best, *_divide(best, end, phrase_bounds)]


def _without_short(bounds: list[int]) -> list[int]:
    """Removes bounds until no section is shorter than `MIN_BARS` (one section is left in a short piece)."""
    bounds = list(bounds)
    while len(bounds) > 2:
        lengths = np.diff(bounds)
        shortest = int(lengths.argmin())
        if lengths[shortest] >= MIN_BARS:
            break
        # Join with the shorter neighbour.
        left = lengths[shortest - 1] if shortest > 0 else np.inf
        right = lengths[shortest + 1] if shortest + 1 < len(lengths) else np.inf
        del bounds[shortest if left <= right else shortest + 1]
    return bounds


def label_sections(products: BarProducts, bounds: list[int]) -> list[SectionSpan]:
    """Letters by likeness: a section like an earlier one takes its letter, with primes unless the return is literal."""
    spans: list[SectionSpan] = []
    letters = 0
    for start, end in pairwise(bounds):
        best: tuple[float, int, int] | None = None
        for index, other in enumerate(spans):
            length = min(end - start, other.bars)
            if length < 0.5 * max(end - start, other.bars):
                continue
            similarity, shift = products.block(other.start, start, length)
            similarity *= np.sqrt(length / max(end - start, other.bars))
            if similarity >= SAME and (best is None or similarity > best[0] + 1e-6):
                best = float(similarity), index, shift
        if best is None:
            letter = chr(ord("A") + min(letters, 25))
            letters += 1
            spans.append(SectionSpan(start, end, letter, None, 0.0, 0))
            continue
        similarity, index, shift = best
        source = spans[index]
        literal = similarity >= EXACT and shift == 0 and source.bars == end - start
        label = source.label if literal else _next_prime(source.label[0], spans)
        spans.append(SectionSpan(start, end, label, index, similarity, shift))
    return spans


def _next_prime(letter: str, spans: list[SectionSpan]) -> str:
    most = max(len(s.label) - 1 for s in spans if s.label[0] == letter)
    return letter + "'" * (most + 1)
