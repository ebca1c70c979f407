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

from performer.examples import Example
from performer.features import ScoreFeatures

RIDGE = 1000.0
SHARE_BOUNDS = (0.15, 0.95)
MOST = 3.0  # standard deviations that a column counts for at most
LEAST_SPREAD = 1e-3  # of a column over pieces, below which it tells nothing


def share_of(
    tempo: Float[np.ndarray, " onsets"], known: Bool[np.ndarray, " onsets"], bar: Int[np.ndarray, " onsets"]
) -> float:
    """Standard deviation of bars' means over that of all onsets; 1 where nothing varies."""
    whole = float(tempo[known].std())
    return float(_of_bars(tempo[known], bar[known]).std()) / whole if whole > 0 else 1.0


def _of_bars(tempo: Float[np.ndarray, " n"], bar: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Each onset's bar's mean."""
    place = np.unique(bar, return_inverse=True)[1]
    return (np.bincount(place, tempo) / np.bincount(place))[place]


def _seen(features: ScoreFeatures) -> Float[np.ndarray, " columns"]:
    """What the regression sees of a piece: mean and spread of each column of its onsets."""
    return np.concatenate([features.onsets.mean(0), features.onsets.std(0)]).astype(np.float64)


def fit_levels(examples: Sequence[Example]) -> dict[str, Float32[np.ndarray, ...]]:
    """The regression of `TOLD` by ridge; compositions count by the root of their performances.

    Returns:
        `weight` [columns, told], `mean` and `scale` of each column, `bias` and `spread` (standard deviation of what is
        left) of each that is told.
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
    beta = np.linalg.solve(left @ columns + RIDGE * np.eye(len(mean)), left @ (wanted - bias))
    rest = (wanted - bias - columns @ beta).std(0)
    found = {"weight": beta, "mean": mean, "scale": scale, "bias": bias, "spread": rest}
    return {name: value.astype(np.float32) for name, value in found.items()}


def _share(example: Example) -> float:
    return share_of(example.targets.tempo, example.targets.tempo_known, example.features.bar)


def expected_levels(
    features: ScoreFeatures, fitted: Mapping[str, Float[np.ndarray, ...]]
) -> tuple[Float[np.ndarray, " levels"], float]:
    """Expected `performer.examples.LEVELS` of a piece, and the share of bars in its tempo."""
    columns = ((_seen(features) - fitted["mean"]) * fitted["scale"]).clip(-MOST, MOST)
    told = columns @ fitted["weight"] + fitted["bias"]
    return told[:-1].astype(np.float64), float(np.clip(told[-1], *SHARE_BOUNDS))


def with_share(
    tempo: Float[np.ndarray, " onsets"], bar: Int[np.ndarray, " onsets"], share: float
) -> Float[np.ndarray, " onsets"]:
    """The curve with no more than `share` of its spread in bars' means; what is within bars grows to make up for it."""
    known = np.ones(len(tempo), dtype=bool)
    ours = share_of(tempo, known, bar)
    slow = _of_bars(tempo, bar)
    within = tempo - slow
    if ours <= share or within.std() < 1e-6:
        return tempo
    centre, whole = float(slow.mean()), float(tempo.std())
    faster = whole * np.sqrt(1 - share**2) / within.std()
    return centre + (slow - centre) * (share * whole / slow.std()) + within * faster
