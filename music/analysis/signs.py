"""Where a score itself says that a part of it begins or ends: section marks, repeats, fermatas.

Repeats are written out in a score; where one begins, the printed bar numbers go back.
"""

from __future__ import annotations

import re
from itertools import pairwise

from music.analysis.phrases import fermata_ends
from music.analysis.sections import EXACT, MAX_BARS, MIN_BARS
from music.analysis.similarity import BarProducts
from music.score import Score

LONGEST_PHRASE = 8  # bars
# Marks that name no part: ends, changes of tempo within a part, jumps.
_NO_PART = re.compile(
    r"(al )?fine|ende\b.*|change to .*|(quasi )?cadenza.*|(a|in) tempo|con espressione|cantabile|dolce|espressivo"
    r"|(poco |molto |un poco )?(rit|rall|accel|string|calando)\b.*|(poco a poco|sempre)\b.*",
    re.IGNORECASE,
)


def lettered(score: Score) -> dict[int, str]:
    """Onsets and labels of the section marks that are letters with or without primes: a form that someone has named."""
    return {m.onset_div: m.label for m in score.sections if re.fullmatch(r"[A-Z]'*", m.label)}


def phrase_fermatas(score: Score) -> tuple[int, ...]:
    """Phrase ends by fermatas where these tell all of them, as in chorales; () where they are rare, as in quartets.

    Told by the mean: `LONGEST_PHRASE` bars a fermata at most.
    """
    ends = fermata_ends(score)
    return ends if len(score.bars) <= LONGEST_PHRASE * len(ends) else ()


def mark_places(score: Score) -> tuple[int, ...]:
    """Onsets of the marks that a part of the piece begins with, the piece's own beginning left out."""
    inside = (m for m in score.sections if 0 < m.onset_div < score.end_div)
    return tuple(m.onset_div for m in inside if not _NO_PART.fullmatch(m.label.strip()))


def repeat_places(score: Score) -> tuple[int, ...]:
    """Onsets where a repeated stretch begins, begins again, and ends, in order.

    A stretch begins with the bar whose number comes back. A second ending that is as long as the first is part of the
    stretch. A score with numbers that never go back (MIDI, say) has none.
    """
    numbers = [bar.number for bar in score.bars]
    places: set[int] = set()
    for again, (before, number) in enumerate(pairwise(numbers), start=1):
        if number >= before:
            continue
        first = next((i for i in range(again - 1, -1, -1) if numbers[i] == number), None)
        if first is None:
            continue
        # Halves of a bar that the sign cuts share a number; the stretch begins with the half that it goes back to.
        start, middle = score.bars[first].onset_div, score.bars[again].onset_div
        places |= {start, middle, min(2 * middle - start, score.end_div)}
    return tuple(sorted(places))


def signed_places(score: Score) -> tuple[int, ...]:
    """Onsets of marks and repeats; none where letters name the form, which go before both."""
    return () if lettered(score) else tuple(sorted({*mark_places(score), *repeat_places(score)}))


def with_signs(bounds: list[int], signs: tuple[int, ...], least: int = MIN_BARS) -> list[int]:
    """Section bounds with the bars of signs among them, and without those that this brings too near to each other.

    Args:
        bounds: bar numbers where sections begin, with 0 and the piece's end.
        signs: bars where the score itself has a new part.
        least: length of the shortest section that may arise, in bars.
    """
    kept = [bounds[0], bounds[-1]]
    for bar in (*sorted(signs), *bounds):
        if min(abs(bar - other) for other in kept) >= least:
            kept.append(bar)
    return sorted(kept)


def bounds_between_signs(bounds: list[int], signs: tuple[int, ...], products: BarProducts) -> list[int]:
    """Section bounds where the score has signs: a part up to `MAX_BARS` is one section, a repeat is divided as before.

    Args:
        bounds: bar numbers where sections would begin without signs, with 0 and the piece's end.
        signs: bars where the score itself has a new part.
        products: of the plan's bars.
    """
    if not signs:
        return bounds
    parts = list(pairwise(with_signs([bounds[0], bounds[-1]], signs)))
    result = {bounds[0], bounds[-1]}
    inner: dict[tuple[int, int], list[int]] = {}
    for start, end in parts:
        twin = next((p for p in inner if p[1] - p[0] == end - start and _literal(products, p[0], start, end)), None)
        if twin is not None:
            inner[start, end] = [b - twin[0] + start for b in inner[twin]]
        elif end - start <= MAX_BARS:
            inner[start, end] = []
        else:
            inner[start, end] = [b for b in bounds if start + MIN_BARS <= b <= end - MIN_BARS]
        result |= {start, *inner[start, end]}
    return sorted(result)


def _literal(products: BarProducts, first: int, start: int, end: int) -> bool:
    likeness, shift = products.block(first, start, end - start)
    return likeness >= EXACT and shift == 0
