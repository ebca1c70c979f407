"""What pianists do in most pieces: the last bars slow down, phrase ends soften, the melody stands out.

Definitions are this project's own; a performance has a habit where the figure is above `MARGINS`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from evaluation.performances import Layout, Played

HABITS = ("end_slows", "phrases_soften", "melody_leads")
MARGINS = {"end_slows": 0.03, "phrases_soften": 0.5, "melody_leads": 0.5}  # 2 % slower; half a step of velocity
LAST_BARS = 2
LEAST_BARS = 6  # with a tempo, that a piece must have for its end to tell
PHRASE_ONSETS = 8  # that a phrase must have
END_ONSETS = 2  # its end
MIDDLE = (0.25, 0.75)  # of its onsets: the middle


def habits(score: Layout, performance: Played) -> dict[str, float]:
    """How far a performance has each habit; nan where the score does not let it tell.

    Returns:
        `end_slows`: log2 of the beat period in the last two bars over the median bar's; bars in which two successive
            onsets or more begin count.
        `phrases_soften`: velocity by which the middle half of a phrase is louder than its last two onsets, the mean
            over phrases of eight onsets or more.
        `melody_leads`: velocity by which melody notes are louder than the mean of what is struck with them.
    """
    return {
        "end_slows": _end_slows(score, performance),
        "phrases_soften": _phrases_soften(score, performance),
        "melody_leads": _melody_leads(score, performance),
    }


def bar_periods(score: Layout, performance: Played) -> Float[np.ndarray, " bars"]:
    """Log2 of seconds a quarter in each bar that has an onset which is followed by another, in order."""
    known = np.isfinite(performance.ioi)
    size = int(score.bar[-1]) + 1
    seconds = np.bincount(score.bar[known], performance.ioi[known], size)
    quarters = np.bincount(score.bar[known], np.append(score.quarters, 0.0)[known], size)
    return np.log2(seconds[quarters > 0] / quarters[quarters > 0])


def _end_slows(score: Layout, performance: Played) -> float:
    periods = bar_periods(score, performance)
    if len(periods) < LEAST_BARS:
        return float("nan")
    return float(periods[-LAST_BARS:].mean() - np.median(periods))


def _phrases_soften(score: Layout, performance: Played) -> float:
    known = np.isfinite(performance.velocity)
    size = len(score.onset_div)
    count = np.bincount(score.place[known], minlength=size)
    level = np.bincount(score.place[known], performance.velocity[known], size) / np.maximum(count, 1)
    found = []
    for start, end in score.phrases:
        row = level[start:end][count[start:end] > 0]
        if len(row) >= PHRASE_ONSETS:
            middle = row[int(len(row) * MIDDLE[0]) : int(np.ceil(len(row) * MIDDLE[1]))]
            found.append(float(middle.mean() - row[-END_ONSETS:].mean()))
    return float(np.mean(found)) if found else float("nan")


def _melody_leads(score: Layout, performance: Played) -> float:
    known = np.isfinite(performance.velocity) & ~score.grace
    size = len(score.onset_div)
    sides = []
    for side in (score.melody & known, ~score.melody & known):
        count = np.bincount(score.place[side], minlength=size)
        total = np.bincount(score.place[side], performance.velocity[side], size)
        sides.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    ahead = sides[0] - sides[1]
    ahead = ahead[np.isfinite(ahead)]
    return float(ahead.mean()) if len(ahead) else float("nan")
