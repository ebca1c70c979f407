"""Structureness: how strongly the most repetitive passage of a given length stands for the whole piece.

Source: Wu & Yang, "The Jazz Transformer on the Front Line" (ISMIR 2020), whose indicators SI are maxima of the fitness
scape plot of Müller, Jiang & Grosche, "A Robust Fitness Measure for Capturing Repetitions in Music Recordings"
(IEEE TASLP 2013), over passages of 3–8, 8–15 and over 15 seconds. A passage's fitness is the harmonic mean of how well
the best family of paths through the self-similarity matrix fits it and of how much of the piece that family covers;
that a passage resembles itself does not count.

The differences: the matrix is of chroma computed from the notes, not from their sound; a frame is a second at the
score's tempo; and a piece's first two minutes are measured, since the effort grows with the fourth power of the length.
Only figures of this module compare with each other.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit

from music.score import Score
from music.time import DIVS_PER_QUARTER

FRAME_SEC = 1.0
MAX_FRAMES = 120
SMOOTH = 2  # frames along the diagonal over which likeness is averaged, forward
KEPT = 0.15  # share of the matrix that counts as alike
PENALTY = -2.0
DEFAULT_QPM = 90.0
SPANS_SEC = {"short": (3.0, 8.0), "middle": (8.0, 15.0), "long": (15.0, float("inf"))}


def seconds_of(score: Score, onsets: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """When each place (in divisions) comes, in seconds, by the score's tempo marks; 90 quarters a minute without."""
    marks = {0: DEFAULT_QPM}
    if score.tempos:
        marks = {0: score.tempos[0].qpm} | {t.onset_div: t.qpm for t in score.tempos}
    starts = np.array(sorted(marks), dtype=np.float64)
    rate = np.array([60.0 / marks[int(s)] / DIVS_PER_QUARTER for s in starts])
    begun = np.concatenate([[0.0], np.cumsum(np.diff(starts) * rate[:-1])])
    place = np.maximum(np.searchsorted(starts, onsets, side="right") - 1, 0)
    return begun[place] + (onsets - starts[place]) * rate[place]


def chroma_frames(score: Score) -> Float[np.ndarray, "frames 12"]:
    """How long each pitch class sounds in each frame, each frame scaled to length 1 (silent ones are 0)."""
    notes = [n for n in score.notes if n.duration_div > 0]
    start = seconds_of(score, np.array([n.onset_div for n in notes], dtype=np.float64))
    end = seconds_of(score, np.array([n.end_div for n in notes], dtype=np.float64))
    length = float(seconds_of(score, np.array([float(score.end_div)]))[0])
    frames = int(min(MAX_FRAMES, max(1, np.ceil(length / FRAME_SEC))))
    chroma = np.zeros((frames, 12))
    for note, begin, stop in zip(notes, start / FRAME_SEC, end / FRAME_SEC, strict=True):
        for frame in range(int(begin), min(frames, int(np.ceil(stop)))):
            chroma[frame, note.pitch % 12] += min(stop, frame + 1) - max(begin, frame)
    norm = np.linalg.norm(chroma, axis=1, keepdims=True)
    return np.divide(chroma, norm, out=np.zeros_like(chroma), where=norm > 0)


def similarity_matrix(chroma: Float[np.ndarray, "frames 12"]) -> Float[np.ndarray, "frames frames"]:
    """Cosines averaged along the diagonal; the `KEPT` likest are scaled to 0..1, the rest is `PENALTY`."""
    plain = chroma @ chroma.T
    count = len(plain)
    padded = np.zeros((count + SMOOTH, count + SMOOTH))
    padded[:count, :count] = plain
    smooth = sum(padded[k : k + count, k : k + count] for k in range(SMOOTH)) / SMOOTH
    smooth = np.asarray(smooth)
    least = float(np.quantile(smooth, 1 - KEPT))
    high = float(smooth.max())
    scaled = (smooth - least) / (high - least) if high > least else np.ones_like(smooth)
    matrix = np.where(smooth >= least, scaled, PENALTY)
    np.fill_diagonal(matrix, 1.0)
    return matrix


@no_type_check  # the run-time type checks of the tests cannot wrap what numba compiles
@njit(cache=True)
def _fitness(segment: np.ndarray, frames: int) -> float:
    """Fitness of the passage whose columns of the matrix are given: [frames, length]."""
    rows, length = segment.shape
    width = length + 1
    worst = -1e18
    # Score, cells and covered rows of the best path family up to each place; column 0: between two paths.
    score = np.full((rows, width), worst)
    cells = np.zeros((rows, width))
    cover = np.zeros((rows, width))
    for n in range(rows):
        if n == 0:
            score[0, 0] = 0.0
        elif score[n - 1, width - 1] > score[n - 1, 0]:
            score[n, 0], cells[n, 0], cover[n, 0] = (
                score[n - 1, width - 1],
                cells[n - 1, width - 1],
                cover[n - 1, width - 1],
            )
        else:
            score[n, 0], cells[n, 0], cover[n, 0] = score[n - 1, 0], cells[n - 1, 0], cover[n - 1, 0]
        score[n, 1] = score[n, 0] + segment[n, 0]
        cells[n, 1] = cells[n, 0] + 1
        cover[n, 1] = cover[n, 0] + 1
        for m in range(2, width):
            best, from_n, from_m, rise = worst, 0, 0, 0
            if n >= 1 and score[n - 1, m - 1] > best:
                best, from_n, from_m, rise = score[n - 1, m - 1], n - 1, m - 1, 1
            if n >= 1 and m >= 3 and score[n - 1, m - 2] > best:
                best, from_n, from_m, rise = score[n - 1, m - 2], n - 1, m - 2, 1
            if n >= 2 and score[n - 2, m - 1] > best:
                best, from_n, from_m, rise = score[n - 2, m - 1], n - 2, m - 1, 2
            if best > worst:
                score[n, m] = best + segment[n, m - 1]
                cells[n, m] = cells[from_n, from_m] + 1
                cover[n, m] = cover[from_n, from_m] + rise
    last = width - 1 if score[rows - 1, width - 1] > score[rows - 1, 0] else 0
    total = cells[rows - 1, last]
    if total == 0:
        return 0.0
    fit = max(0.0, (score[rows - 1, last] - length) / total)
    covered = max(0.0, (cover[rows - 1, last] - length) / frames)
    return 2 * fit * covered / (fit + covered) if fit + covered > 0 else 0.0


@no_type_check
@njit(cache=True)
def _best_fitness(matrix: np.ndarray, shortest: int, longest: int) -> float:
    frames = len(matrix)
    best = 0.0
    for length in range(shortest, min(longest, frames) + 1):
        for start in range(frames - length + 1):
            value = _fitness(matrix[:, start : start + length], frames)
            if value > best:
                best = value
    return best


def passage_fitness(matrix: Float[np.ndarray, "frames frames"], start: int, length: int) -> float:
    """Fitness of one passage of a self-similarity matrix, 0..1."""
    return float(_fitness(np.ascontiguousarray(matrix[:, start : start + length]), len(matrix)))


def structureness(score: Score) -> dict[str, float]:
    """The three indicators, 0..1, by the names of `SPANS_SEC`; one that the piece is too short for is left out."""
    matrix = similarity_matrix(chroma_frames(score))
    found: dict[str, float] = {}
    for name, (least, most) in SPANS_SEC.items():
        shortest = int(np.ceil(least / FRAME_SEC))
        longest = len(matrix) // 2 if most == float("inf") else int(most / FRAME_SEC)
        if shortest <= len(matrix) // 2:
            found[name] = float(_best_fitness(matrix, shortest, min(longest, len(matrix))))
    return found
