"""How like its reference a bar is: what the net is told in training, and what a variation asks for.

The measure is that of `music.analysis.similarity` on the roll's own grid: the cosine of the onset rolls of one bar,
blurred by one step. The reference stands in the target's key already, so no transposition is searched.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from composer.conditions import FIELD, NO_REFERENCE, SIMILARITY_BOUNDS, UNKNOWN

BLUR = 0.5  # weight of the steps beside an onset


def blurred(articulate: Bool[ndarray, "steps pitches"]) -> Float[ndarray, "steps pitches"]:
    """Onsets, and at `BLUR` the steps before and after them."""
    rows = articulate.astype(np.float32)
    out = rows.copy()
    out[1:] = np.maximum(out[1:], BLUR * rows[:-1])
    out[:-1] = np.maximum(out[:-1], BLUR * rows[1:])
    return out


def bar_likeness(target: Bool[ndarray, "steps pitches"], reference: Bool[ndarray, "steps pitches"]) -> float:
    """Cosine 0..1 of the onsets of two passages of one length; 0 where either is silent."""
    a, b = blurred(target), blurred(reference)
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return min(1.0, float((a * b).sum()) / norm) if norm else 0.0


def likeness_bin(likeness: float) -> int:
    """The bin of a cosine, 0 unrelated .. 4 literal."""
    return int(np.searchsorted(SIMILARITY_BOUNDS, likeness, side="right"))


def similarity_column(
    context: Int[ndarray, "steps fields"],
    target: Bool[ndarray, "steps pitches"],
    reference: Bool[ndarray, "steps pitches"],
    kind: Int[ndarray, " steps"],
) -> Int[ndarray, " steps"]:
    """The bin of each step's bar, `UNKNOWN` where a bar has no reference in its greater part.

    Args:
        context: columns of the steps; whole bars are expected, a bar that is cut is measured by what there is of it.
        target, reference: onsets of the piece and of its reference.
        kind: of the reference.
    """
    column = np.full(len(context), UNKNOWN, dtype=context.dtype)
    starts = np.flatnonzero(context[:, FIELD["bar_step"]] == 0)
    bounds = sorted({0, len(context), *starts.tolist()})
    for start, end in pairwise(bounds):
        told = kind[start:end] != NO_REFERENCE
        if 2 * told.sum() > end - start:
            column[start:end] = likeness_bin(bar_likeness(target[start:end] & told[:, None], reference[start:end]))
    return column
