"""Notes that a user gives in advance for a whole piece: a melody to harmonise, an opening, all bars but a few."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int
from numpy import ndarray

from composer.conditions import ATTACK, FREE
from composer.roll import GRIDS, PITCHES


@dataclass(frozen=True, eq=False)
class Given:
    """Cells that are set before anything is drawn; one mechanism for every kind of wish.

    Args:
        fixed: `FREE`, `OFF`, `HOLD` or `ATTACK` (`composer.conditions`) per step and pitch, on the plan's clock: row 0
            is the plan's start, its upbeat included.
        grid: steps a quarter.

    Raises:
        ValueError: another shape, or values that are no such states.
    """

    fixed: Int[ndarray, "steps 88"]
    grid: int

    def __post_init__(self) -> None:
        if self.grid not in GRIDS:
            raise ValueError(f"a grid of {self.grid} steps a quarter is not one of {GRIDS}")
        if self.fixed.ndim != 2 or self.fixed.shape[1] != PITCHES:
            raise ValueError(f"given notes have shape {self.fixed.shape}, not (steps, {PITCHES})")
        if self.fixed.size and not FREE <= int(self.fixed.min()) <= int(self.fixed.max()) <= ATTACK:
            raise ValueError(f"given cells are states {FREE}..{ATTACK}")

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.fixed)
