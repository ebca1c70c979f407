"""How much a performance varies, how two of one score differ, how its deviations hang together in time.

All definitions are this project's own. Values that were not played are nan in `Played` and count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from evaluation.performances import CONSTANT, Layout, Played

SPREADS = ("velocity", "log_beat_period", "chord_asynchrony", "articulation")
BAND = (10.0, 90.0)  # percentiles between which the middle 80 % of pianists lie
LEAST = 8  # values that a spread or a lag-1 correlation needs


def spreads(score: Layout, performance: Played) -> dict[str, float]:
    """Standard deviations within a performance: velocity, log2 beat period, articulation (log2).

    `chord_asynchrony` is the mean over chords of the standard deviation of their notes' onsets, in milliseconds; chords
    have two played notes or more that are no grace notes.
    """
    return {
        "velocity": _deviation(performance.velocity),
        "log_beat_period": _deviation(performance.log_beat_period),
        "chord_asynchrony": _asynchrony(score, performance),
        "articulation": _deviation(performance.articulation),
    }


def lag_one(score: Layout, performance: Played) -> dict[str, float]:
    """Correlation of a series with itself one step on: log beat period over onsets, timing over chords.

    The timing is that of a chord's highest note, which leads the others as the melody does.
    """
    count, _ = _chords(score, performance)
    told = np.flatnonzero(np.isfinite(performance.timing))
    top: dict[int, int] = {int(score.place[i]): int(i) for i in told}  # notes rise within an onset: the last stays
    chosen = [top[p] for p in sorted(top) if count[p] >= 2]
    return {
        "timing": _lagged(performance.timing[chosen], CONSTANT["timing"]),
        "log_beat_period": _lagged(performance.log_beat_period, CONSTANT["log_beat_period"]),
    }


def differences(a: Played, b: Played) -> dict[str, float]:
    """How far two performances of one score lie apart: the standard deviation of the difference of each column.

    Levels (one pianist plays louder, or faster, throughout) do not count.
    """
    return {
        name: _deviation(getattr(a, name) - getattr(b, name))
        for name in ("velocity", "log_beat_period", "timing", "articulation")
    }


def band(values: Sequence[float]) -> tuple[float, float]:
    """Between which values the middle 80 % of pianists' performances lie."""
    known = [v for v in values if np.isfinite(v)]
    if not known:
        return float("nan"), float("nan")
    low, high = np.percentile(known, BAND)
    return float(low), float(high)


def share_within(values: Sequence[float], limits: tuple[float, float]) -> float:
    """Share of values that lie in a band; values that are not known are left out."""
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean([limits[0] <= v <= limits[1] for v in known])) if known else float("nan")


def _deviation(values: Float[np.ndarray, " n"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) >= LEAST else float("nan")


def _chords(score: Layout, performance: Played) -> tuple[Float[np.ndarray, " onsets"], Float[np.ndarray, " onsets"]]:
    """How many notes of each onset are told, and the standard deviation of their timing in seconds."""
    told = np.isfinite(performance.timing)
    place, timing, size = score.place[told], performance.timing[told], len(score.onset_div)
    count = np.bincount(place, minlength=size).astype(float)
    most = np.maximum(count, 1.0)
    mean = np.bincount(place, timing, size) / most
    return count, np.sqrt(np.bincount(place, (timing - mean[place]) ** 2, size) / most)


def _asynchrony(score: Layout, performance: Played) -> float:
    count, deviation = _chords(score, performance)
    chords = count >= 2
    return 1000.0 * float(deviation[chords].mean()) if chords.sum() >= LEAST else float("nan")


def _lagged(values: Float[np.ndarray, " n"], constant: float) -> float:
    a, b = values[:-1], values[1:]
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < LEAST or a[both].std() <= constant or b[both].std() <= constant:
        return float("nan")
    return float(np.corrcoef(a[both], b[both])[0, 1])
