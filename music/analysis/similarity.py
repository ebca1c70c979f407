"""Likeness of passages, whatever their key: cosine of onset rolls at the best transposition.

A roll has one row a sixteenth and one column a MIDI pitch; onsets are blurred by one step so that small shifts of
rhythm count for something. Windows of several bars are compared through sums of products of single bars, which makes
all pairs of bars of a long piece affordable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from music.analysis.arrays import NoteArrays, note_arrays
from music.score import Score
from music.time import DIVS_PER_QUARTER

STEPS_PER_QUARTER = 4
STEP_DIV = DIVS_PER_QUARTER // STEPS_PER_QUARTER
MAX_TRANSPOSITION = 12
TRANSPOSITIONS = np.arange(-MAX_TRANSPOSITION, MAX_TRANSPOSITION + 1)
_BLUR = 0.5  # weight of the steps beside an onset
_BONUS = 0.03  # for going on from the source of the bar before, at the same transposition


@dataclass(frozen=True, slots=True)
class Return:
    """A bar that is like an earlier one.

    Args:
        bar: the later bar's index in `score.bars`.
        source: the earlier bar's.
        transposition: semitones from the source up to this bar.
        similarity: cosine 0..1 of the windows that hold them.
    """

    bar: int
    source: int
    transposition: int
    similarity: float


def onset_roll(notes: NoteArrays, start_div: int, end_div: int) -> Float[np.ndarray, "steps 128"]:
    """Onsets of a passage on a grid of sixteenths, blurred by one step; steps are rounded up to cover the passage."""
    steps = -(-(end_div - start_div) // STEP_DIV)
    roll = np.zeros((steps, 128), dtype=np.float32)
    inside = (notes.onset >= start_div) & (notes.onset < end_div)
    step = np.minimum((notes.onset[inside] - start_div + STEP_DIV // 2) // STEP_DIV, steps - 1)
    roll[step, notes.pitch[inside]] = 1.0
    blurred = roll.copy()
    blurred[1:] = np.maximum(blurred[1:], _BLUR * roll[:-1])
    blurred[:-1] = np.maximum(blurred[:-1], _BLUR * roll[1:])
    return blurred


def _products(
    left: Float[np.ndarray, "rows steps pitches"],
    right: Float[np.ndarray, "columns steps pitches"],
    shifts: Int[np.ndarray, " transpositions"] = TRANSPOSITIONS,
) -> Float[np.ndarray, "transpositions rows columns"]:
    """Inner products of every left roll with every right roll moved by each of `shifts`."""
    steps, pitches = left.shape[1:]
    pad = MAX_TRANSPOSITION
    wide = np.zeros((len(right), steps, pitches + 2 * pad), dtype=np.float32)
    wide[:, :, pad : pad + pitches] = right
    flat = left.reshape(len(left), -1)
    out = np.empty((len(shifts), len(left), len(right)), dtype=np.float32)
    for row, shift in enumerate(shifts.tolist()):
        moved = wide[:, :, pad - shift : pad - shift + pitches]
        out[row] = flat @ moved.reshape(len(right), -1).T
    return out


def passage_similarity(score: Score, a_div: int, b_div: int, length_div: int) -> tuple[float, int]:
    """Likeness of two passages of one length.

    Args:
        score: the piece.
        a_div, b_div: where the passages begin.
        length_div: length of both.

    Returns:
        Cosine 0..1 at the best transposition, and that transposition: semitones from passage a up to passage b (the
        smallest where several are equally good). Two silent passages have likeness 0.
    """
    notes = note_arrays(score)
    a = onset_roll(notes, a_div, a_div + length_div)
    b = onset_roll(notes, b_div, b_div + length_div)
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if norm == 0:
        return 0.0, 0
    cosines = _products(b[None], a[None])[:, 0, 0] / norm
    best = max(range(len(cosines)), key=lambda i: (round(float(cosines[i]), 6), -abs(int(TRANSPOSITIONS[i]))))
    return min(1.0, float(cosines[best])), int(TRANSPOSITIONS[best])


@dataclass(frozen=True)
class BarProducts:
    """Inner products of the rolls of all pairs of bars.

    Args:
        dots: by transposition (`TRANSPOSITIONS`), later bar, earlier bar.
        power: squared norm of each bar's roll.
    """

    dots: Float[np.ndarray, "transpositions bars bars"]
    power: Float[np.ndarray, " bars"]

    def windows(self, length: int) -> Float[np.ndarray, "transpositions windows windows"]:
        """Cosines of all windows of `length` bars with each other; silent ones have 0."""
        count = len(self.power) - length + 1
        dots = np.zeros((len(TRANSPOSITIONS), count, count), dtype=np.float32)
        power = np.zeros(count, dtype=np.float32)
        for k in range(length):
            dots += self.dots[:, k : k + count, k : k + count]
            power += self.power[k : k + count]
        norm = np.sqrt(power[:, None] * power[None, :])
        return np.divide(dots, norm[None], out=np.zeros_like(dots), where=norm[None] > 0)

    def block(self, source: int, target: int, length: int) -> tuple[float, int]:
        """(similarity, transposition) of `length` bars from bar `target` with those from bar `source`."""
        k = np.arange(length)
        dots = self.dots[:, target + k, source + k].sum(axis=1)
        norm = float(np.sqrt(self.power[target + k].sum() * self.power[source + k].sum()))
        if norm == 0:
            return 0.0, 0
        best = int(np.argmax(dots - 1e-4 * np.abs(TRANSPOSITIONS)))
        return min(1.0, float(dots[best]) / norm), int(TRANSPOSITIONS[best])


def bar_products(score: Score, spans: tuple[tuple[int, int], ...] | None = None) -> BarProducts:
    """Products of all pairs of bars.

    Args:
        score: the piece.
        spans: (onset, end) of each bar in divisions; None: the score's written bars.
    """
    notes = note_arrays(score)
    spans = spans or tuple((b.onset_div, b.end_div) for b in score.bars)
    low, high = (int(notes.pitch.min()), int(notes.pitch.max()) + 1) if len(notes.pitch) else (60, 61)
    steps = max(-(-(end - start) // STEP_DIV) for start, end in spans)
    rolls = np.zeros((len(spans), steps, high - low), dtype=np.float32)
    first = np.searchsorted(notes.onset, [start for start, _ in spans])
    last = np.searchsorted(notes.onset, [end for _, end in spans])
    for bar, (start, end) in enumerate(spans):
        size = -(-(end - start) // STEP_DIV)
        onset, pitch = notes.onset[first[bar] : last[bar]], notes.pitch[first[bar] : last[bar]]
        step = np.minimum((onset - start + STEP_DIV // 2) // STEP_DIV, size - 1)
        rolls[bar, step, pitch - low] = 1.0
    blurred = rolls.copy()
    blurred[:, 1:] = np.maximum(blurred[:, 1:], _BLUR * rolls[:, :-1])
    blurred[:, :-1] = np.maximum(blurred[:, :-1], _BLUR * rolls[:, 1:])
    # a with b moved up is b with a moved down: half of the products are the other half, transposed.
    down = _products(blurred, blurred, TRANSPOSITIONS[TRANSPOSITIONS <= 0])
    up = down[:-1][::-1].transpose(0, 2, 1)
    return BarProducts(np.concatenate([down, up]), np.square(blurred).sum(axis=(1, 2)))


def bar_returns(
    score: Score, *, window_bars: int = 2, threshold: float = 0.5, products: BarProducts | None = None
) -> tuple[Return | None, ...]:
    """For each written bar the best earlier bar that it is like, or None.

    A bar is judged by the windows of `window_bars` bars that hold it; the source window ends before the target window
    begins, so nothing a bar refers to is still to come. Going on from the last bar's source is preferred when
    nearly as good.

    Args:
        score: the piece.
        window_bars: bars in a window; 1 in a piece that is shorter.
        threshold: least similarity.
        products: of the score's written bars, where they are at hand.
    """
    bars = len(score.bars)
    size = min(window_bars, max(1, bars // 2))
    cosines = (products or bar_products(score)).windows(size)
    # Written bars of unequal length are not alike, whatever their onsets.
    lengths = np.array([b.duration_div for b in score.bars])
    count = cosines.shape[1]
    for k in range(size):
        unequal = lengths[k : k + count, None] != lengths[None, k : k + count]
        cosines[:, unequal] = 0.0
    target, source = np.indices((count, count))
    cosines[:, source + size > target] = 0.0
    penalised = cosines - 1e-4 * np.abs(TRANSPOSITIONS)[:, None, None]
    best_shift = penalised.argmax(axis=0)
    best = np.take_along_axis(cosines, best_shift[None], axis=0)[0]
    found: list[Return | None] = []
    for bar in range(bars):
        before = found[-1] if found else None
        found.append(_best_return(bar, size, best, best_shift, threshold, before))
    return tuple(found)


def _best_return(
    bar: int,
    size: int,
    best: Float[np.ndarray, "windows windows"],
    shifts: np.ndarray,
    threshold: float,
    before: Return | None,
) -> Return | None:
    choice: tuple[float, Return] | None = None
    for offset in range(size):
        window = bar - offset
        if not 0 <= window < len(best):
            continue
        scores = best[window].copy()
        if before is not None and 0 <= before.source + 1 - offset < len(scores):
            place = before.source + 1 - offset
            if scores[place] > 0 and TRANSPOSITIONS[shifts[window, place]] == before.transposition:
                scores[place] += _BONUS
        source = int(scores.argmax())
        similarity = float(best[window, source])
        if similarity < threshold or (choice is not None and scores[source] <= choice[0]):
            continue
        shift = int(TRANSPOSITIONS[shifts[window, source]])
        choice = float(scores[source]), Return(bar, source + offset, shift, min(1.0, similarity))
    return choice[1] if choice else None
