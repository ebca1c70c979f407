"""Learning-rate schedule: warm-up, stable, decay.

The stable part can go on for as long as there is time; the decay is run once at the end. (Hu et al. 2024, "MiniCPM",
section 4.)
"""

from __future__ import annotations

from collections.abc import Callable


def warmup_stable_decay(warmup: int, total: int, decay: int, floor: float = 0.02) -> Callable[[int], float]:
    """Factor on the learning rate at a step.

    Args:
        warmup: steps of linear rise.
        total: steps of the run.
        decay: of these, the last ones, in which the rate falls linearly to `floor`; 0 for none.
        floor: factor at the end.
    """

    def factor(step: int) -> float:
        rise = min(1.0, (step + 1) / max(warmup, 1))
        if decay <= 0 or step < total - decay:
            return rise
        left = max(total - step, 0) / decay
        return rise * (floor + (1 - floor) * left)

    return factor
