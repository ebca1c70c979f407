"""The judge: can a small classifier tell composed windows of two bars from people's?

It is trained afresh at each evaluation, on pieces that it is not asked about, and its AUC on the others is the figure:
0.5 where it cannot tell, 1 where it always can. Source of the idea: the classifier two-sample test of Lopez-Paz &
Oquab (ICLR 2017). The differences: windows of one piece are never split between training and testing, and people and
composer are compared within one ensemble and meter only, with as many windows of each.

The classifier is a perceptron with one hidden layer (L-BFGS, weight decay) over the features of `evaluation.windows`;
it is given nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.stats import rankdata

from evaluation.windows import feature_names, piece_windows
from music.errors import RequestError
from music.score import Score

HIDDEN = 12
DECAY = 0.02
STEPS = 120
FOLDS = 4
MOST_WINDOWS = 32  # of one piece, so that long ones do not outweigh the rest
RESAMPLES = 400


@dataclass(frozen=True)
class JudgedPiece:
    """A piece before the judge.

    Args:
        windows: its features, `evaluation.windows.piece_windows`.
        kind: pieces of one kind (ensemble and meter) are compared with each other only.
        ours: False for people's.
    """

    windows: Float[np.ndarray, "windows features"]
    kind: str
    ours: bool


def judged_piece(score: Score, ensemble: str, *, ours: bool) -> JudgedPiece:
    """A score before the judge; its kind is its ensemble and its first bar's meter."""
    return JudgedPiece(piece_windows(score, most=3 * MOST_WINDOWS), f"{ensemble} {score.meters[0].meter}", ours)


@dataclass(frozen=True)
class Verdict:
    """What the judge could tell.

    Args:
        auc: chance that it ranks a composed window above one of people's, pieces not seen in training.
        low, high: 2.5th and 97.5th percentile of the same over resampled pieces.
        pieces: composed and people's.
        windows: of each.
        tells: features that alone tell most: (name, AUC of that feature alone; below 0.5: less of it in ours).
    """

    auc: float
    low: float
    high: float
    pieces: tuple[int, int]
    windows: int
    tells: tuple[tuple[str, float], ...]


def auc(scores: Float[np.ndarray, " n"], ours: np.ndarray) -> float:
    """Area under the ROC curve: the chance that one of ours has the higher score, ties half."""
    count = int(ours.sum())
    if count in (0, len(ours)):
        return 0.5
    ranks = rankdata(scores)
    return float((ranks[ours].sum() - count * (count + 1) / 2) / (count * (len(ours) - count)))


class Classifier:
    """A perceptron with one hidden layer for two classes; inputs are standardised by what it was fitted on.

    Args:
        hidden: units.
        decay: weight of the squared weights beside the mean cross-entropy.
        seed: of the first weights.
    """

    def __init__(self, hidden: int = HIDDEN, decay: float = DECAY, seed: int = 0) -> None:
        self.hidden, self.decay, self.seed = hidden, decay, seed

    def fit(self, inputs: Float[np.ndarray, "n features"], target: Float[np.ndarray, " n"]) -> Classifier:
        """Learns from rows with target 0 or 1."""
        self.mean, self.scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
        x = self._standard(inputs)
        rng = np.random.default_rng(self.seed)
        shape = (x.shape[1], self.hidden)
        start = np.concatenate([rng.normal(0, 0.5 / np.sqrt(shape[0]), shape).ravel(), np.zeros(self.hidden),
                                rng.normal(0, 0.5, self.hidden), np.zeros(shape[0] + 1)])  # fmt: skip
        found = minimize(self._loss, start, args=(x, target), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
        self.weights = found.x
        return self

    def logits(self, inputs: Float[np.ndarray, "n features"]) -> Float[np.ndarray, " n"]:
        """Log-odds of class 1."""
        return self._forward(self.weights, self._standard(inputs))[0]

    def _standard(self, inputs: np.ndarray) -> np.ndarray:
        # Rare features far from the mean are held in, so that one odd window does not rule.
        return np.clip((inputs - self.mean) / self.scale, -4, 4)

    def _parts(self, weights: np.ndarray, width: int) -> tuple[np.ndarray, ...]:
        """First layer and its bias, second layer, a direct path past the hidden layer, bias."""
        cuts = np.cumsum([width * self.hidden, self.hidden, self.hidden, width])
        first, bias, second, direct, last = np.split(weights, cuts)
        return first.reshape(width, self.hidden), bias, second, direct, last

    def _forward(self, weights: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, bias, second, direct, last = self._parts(weights, x.shape[1])
        hidden = np.tanh(x @ first + bias)
        return hidden @ second + x @ direct + last[0], hidden

    def _loss(self, weights: np.ndarray, x: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        second = self._parts(weights, x.shape[1])[2]
        logits, hidden = self._forward(weights, x)
        error = (1 / (1 + np.exp(-logits)) - target) / len(x)
        back = error[:, None] * second * (1 - hidden**2)
        slope = np.concatenate([(x.T @ back).ravel(), back.sum(axis=0), error @ hidden, error @ x, [error.sum()]])
        loss = float(np.logaddexp(0, logits).mean() - (target * logits).mean())
        return loss + self.decay * float(weights @ weights) / 2, slope + self.decay * weights


def judge(pieces: Sequence[JudgedPiece], *, seed: int = 0) -> Verdict:
    """Trains the judge on part of the pieces and asks it about the rest, in `FOLDS` turns, until all were asked about.

    Args:
        pieces: ours and people's; kinds that only one side has are left out.
        seed: of the choice of windows and folds.

    Raises:
        RequestError: no kind of which both sides have two pieces.
    """
    rng = np.random.default_rng(seed)
    chosen = _balanced(pieces, rng)
    if not chosen:
        raise RequestError("the judge needs two pieces of people's and two composed ones in one ensemble and meter")
    kinds = sorted({p.kind for p in chosen})
    inputs = np.concatenate([np.column_stack([p.windows, _one_hot(p, kinds)]) for p in chosen])
    owner = np.repeat(np.arange(len(chosen)), [len(p.windows) for p in chosen])
    ours = np.array([p.ours for p in chosen])[owner]
    group = np.array([kinds.index(p.kind) for p in chosen])[owner]
    fold = _folds(chosen, rng)[owner]
    scores = np.zeros(len(inputs))
    for number in np.unique(fold):
        asked = fold == number
        learner = Classifier(seed=seed).fit(inputs[~asked], ours[~asked].astype(np.float64))
        scores[asked] = learner.logits(inputs[asked])
    low, high = _interval(scores, ours, group, owner, rng)
    alone = [grouped_auc(inputs[:, i], ours, group) for i in range(len(feature_names()))]
    order = np.argsort(-np.abs(np.array(alone) - 0.5))
    tells = tuple((feature_names()[i], alone[i]) for i in order[:8])
    counts = sum(p.ours for p in chosen), sum(not p.ours for p in chosen)
    return Verdict(grouped_auc(scores, ours, group), low, high, counts, int(ours.sum()), tells)


def grouped_auc(scores: Float[np.ndarray, " n"], ours: np.ndarray, group: Int[np.ndarray, " n"]) -> float:
    """Mean over kinds of pieces of the AUC within each, weighed by their windows."""
    numbers, counts = np.unique(group, return_counts=True)
    return float(np.average([auc(scores[group == k], ours[group == k]) for k in numbers], weights=counts))


def _one_hot(piece: JudgedPiece, kinds: Sequence[str]) -> np.ndarray:
    return np.tile([float(piece.kind == e) for e in kinds], (len(piece.windows), 1))


def _balanced(pieces: Sequence[JudgedPiece], rng: np.random.Generator) -> list[JudgedPiece]:
    """As many windows of people's as of ours in each kind, spread over the pieces of each."""
    chosen: list[JudgedPiece] = []
    for kind in sorted({p.kind for p in pieces}):
        sides = [[p for p in pieces if p.kind == kind and p.ours == side] for side in (True, False)]
        sides = [[p for p in side if len(p.windows)] for side in sides]
        if min(len(side) for side in sides) < 2:
            continue
        total = min(sum(min(len(p.windows), _cap(side)) for p in side) for side in sides)
        for side in sides:
            for piece, count in zip(side, _shared_out([len(p.windows) for p in side], total), strict=True):
                kept = np.sort(rng.choice(len(piece.windows), count, replace=False))
                if count:
                    chosen.append(JudgedPiece(piece.windows[kept], kind, piece.ours))
    return chosen


def _cap(side: Sequence[JudgedPiece]) -> int:
    """Windows of one piece at most; where there are few pieces, more of each."""
    return MOST_WINDOWS if len(side) >= 3 * FOLDS else 3 * MOST_WINDOWS


def _shared_out(sizes: Sequence[int], total: int) -> list[int]:
    """`total` dealt one by one to places of these sizes, in turn."""
    counts = [0] * len(sizes)
    while sum(counts) < total:
        for place, size in enumerate(sizes):
            if counts[place] < size and sum(counts) < total:
                counts[place] += 1
    return counts


def _folds(pieces: Sequence[JudgedPiece], rng: np.random.Generator) -> Int[np.ndarray, " pieces"]:
    """The fold of each piece; each side of each kind is dealt over all folds."""
    fold = np.zeros(len(pieces), dtype=np.int64)
    for side in sorted({(p.kind, p.ours) for p in pieces}):
        members = [i for i, p in enumerate(pieces) if (p.kind, p.ours) == side]
        fold[rng.permutation(members)] = (np.arange(len(members)) + rng.integers(FOLDS)) % FOLDS
    return fold


def _interval(
    scores: np.ndarray, ours: np.ndarray, group: np.ndarray, owner: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Percentiles of the AUC over pieces drawn with replacement, each side of each kind by itself."""
    rows = {piece: np.flatnonzero(owner == piece) for piece in np.unique(owner).tolist()}
    strata: dict[tuple[int, bool], list[int]] = {}
    for piece, members in rows.items():
        strata.setdefault((int(group[members[0]]), bool(ours[members[0]])), []).append(piece)
    found = []
    for _ in range(RESAMPLES):
        drawn = [p for s in strata.values() for p in rng.choice(s, len(s)).tolist()]
        kept = np.concatenate([rows[p] for p in drawn])
        found.append(grouped_auc(scores[kept], ours[kept], group[kept]))
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)
