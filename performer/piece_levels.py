"""What a performance is like as a whole, told by a regression on the score's features: how fast, how loud, how much of
each, and how much of its tempo changes from bar to bar.

128 compositions are few for a network to learn this from: what it made of scores unlike them lay at the bounds of what
pianists do. Ridge regression goes back to the mean. The share of bars matters since expected tempo is slow: a sample
brought to a pianist's spread can put too much of it into whole bars, and rubato becomes seasick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from performer.examples import LEVELS, Example
from performer.features import ScoreFeatures
from performer.lifetimes import born

RIDGE = 1000.0
SHARE_BOUNDS = (0.15, 0.95)
MOST = 3.0  # standard deviations that a column counts for at most
LEAST_SPREAD = 1e-3  # of a column over pieces, below which it tells nothing
# What the composer's time tells of a composer whom no performance was heard of; the other levels it does not help.
TIMED = ("log2_period_sd", "velocity_sd", "articulation", "articulation_sd", "timing_sd", "pedal_share")
MOST_YEARS = 100.0  # that a composer counts as earlier or later than the score sounds
YEAR_RIDGE = 1.0  # in centuries squared


def share_of(
    tempo: Float[np.ndarray, " onsets"], known: Bool[np.ndarray, " onsets"], bar: Int[np.ndarray, " onsets"]
) -> float:
    """Standard deviation of bars' means over that of all onsets; 1 where nothing varies."""
    whole = float(tempo[known].std())
    return float(of_bars(tempo[known], bar[known]).std()) / whole if whole > 0 else 1.0


def of_bars(tempo: Float[np.ndarray, " n"], bar: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Each onset's bar's mean."""
    place = np.unique(bar, return_inverse=True)[1]
    return (np.bincount(place, tempo) / np.bincount(place))[place]


def _seen(features: ScoreFeatures) -> Float[np.ndarray, " columns"]:
    """What the regression sees of a piece: mean and spread of each column of its onsets."""
    return np.concatenate([features.onsets.mean(0), features.onsets.std(0)]).astype(np.float64)


def fit_levels(examples: Sequence[Example]) -> dict[str, Float32[np.ndarray, ...]]:
    """The regression of `LEVELS` and the share of bars by ridge; compositions count by the root of their performances.

    The year in which the composer was born is told from the score as well; by how much he is in truth earlier or later
    moves the levels in `TIMED`.

    Returns:
        `weight` [columns, told], `mean` and `scale` of each column, `bias` and `spread` (standard deviation of what is
        left) of each that is told; `year_weight` [columns], `year_bias` and `by_year` [told].
    """
    names = np.array([e.composition for e in examples])
    weights = np.array([np.sum(names == name) ** -0.5 for name in names])
    seen = np.stack([_seen(e.features) for e in examples])
    wanted = np.array([[*e.targets.levels, _share(e)] for e in examples], dtype=np.float64)
    known = np.isfinite(wanted)
    bias = np.array(
        [np.average(c[k], weights=weights[k]) if k.any() else 0.0 for c, k in zip(wanted.T, known.T, strict=True)]
    )
    wanted = np.where(known, wanted, bias)
    mean, spread = seen.mean(0), seen.std(0)
    scale = np.where(spread > LEAST_SPREAD, 1 / np.maximum(spread, LEAST_SPREAD), 0.0)
    columns = (seen - mean) * scale
    left = (columns * weights[:, None]).T
    years = np.array([float(born(e.style) or np.nan) for e in examples])
    dated = np.isfinite(years)
    year = float(np.average(years[dated], weights=weights[dated])) if dated.any() else 0.0
    both = np.column_stack([wanted - bias, np.where(dated, years - year, 0.0)])
    beta = np.linalg.solve(left @ columns + RIDGE * np.eye(len(mean)), left @ both)
    rest = both - columns @ beta
    later = np.where(dated, rest[:, -1], 0.0) / 100
    by_year = (weights * later) @ rest[:, :-1] / ((weights * later**2).sum() + YEAR_RIDGE) / 100
    by_year *= np.array([name in TIMED for name in (*LEVELS, "share")])
    found = {"weight": beta[:, :-1], "mean": mean, "scale": scale, "bias": bias, "spread": rest[:, :-1].std(0)}
    found |= {"year_weight": beta[:, -1], "year_bias": np.array([year]), "by_year": by_year}
    return {name: value.astype(np.float32) for name, value in found.items()}


def _share(example: Example) -> float:
    return share_of(example.targets.tempo, example.targets.tempo_known, example.features.bar)


def expected_levels(
    features: ScoreFeatures, fitted: Mapping[str, Float[np.ndarray, ...]], year: int | None = None
) -> tuple[Float[np.ndarray, " levels"], float]:
    """Expected `performer.examples.LEVELS` of a piece, and the share of bars in its tempo.

    Args:
        features: of the score.
        fitted: by `fit_levels`.
        year: in which the composer was born; None where he is not known.
    """
    columns = ((_seen(features) - fitted["mean"]) * fitted["scale"]).clip(-MOST, MOST)
    told = columns @ fitted["weight"] + fitted["bias"]
    if year is not None:
        later = year - float(columns @ fitted["year_weight"]) - float(fitted["year_bias"][0])
        told = told + np.clip(later, -MOST_YEARS, MOST_YEARS) * fitted["by_year"]
    return told[:-1].astype(np.float64), float(np.clip(told[-1], *SHARE_BOUNDS))


def with_share(
    tempo: Float[np.ndarray, " onsets"], bar: Int[np.ndarray, " onsets"], share: float
) -> Float[np.ndarray, " onsets"]:
    """The curve with no more than `share` of its spread in bars' means; what is within bars grows to make up for it."""
    known = np.ones(len(tempo), dtype=bool)
    ours = share_of(tempo, known, bar)
    slow = of_bars(tempo, bar)
    within = tempo - slow
    if ours <= share or within.std() < 1e-6:
        return tempo
    centre, whole = float(slow.mean()), float(tempo.std())
    faster = whole * np.sqrt(1 - share**2) / within.std()
    return centre + (slow - centre) * (share * whole / slow.std()) + within * faster
