"""Where a score's own repeats lie: repeats are written out, and the printed bar numbers go back where one begins."""

from __future__ import annotations

from itertools import pairwise

from music.analysis.sections import MIN_BARS
from music.score import Score


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


def with_repeats(bounds: list[int], repeats: tuple[int, ...], least: int = MIN_BARS) -> list[int]:
    """Section bounds with the bars of repeats among them, and without those that this brings too near to each other.

    Args:
        bounds: bar numbers where sections begin, with 0 and the piece's end.
        repeats: bars where repeats begin and end.
        least: length of the shortest section that may arise, in bars.
    """
    kept = [bounds[0], bounds[-1]]
    for bar in (*sorted(repeats), *bounds):
        if min(abs(bar - other) for other in kept) >= least:
            kept.append(bar)
    return sorted(kept)
