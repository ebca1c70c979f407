"""The one integer clock of scores and plans, and meters.

10080 divisions a quarter hold every tuplet of common notation exactly (10080 = 2^5 * 3^2 * 5 * 7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DIVS_PER_QUARTER = 10080
MAX_NUMERATOR = 32
DENOMINATORS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, order=True)
class Meter:
    """A time signature, such as 3/4.

    Raises:
        ValueError: numerator outside 1..32 or denominator not a power of two up to 32.
    """

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if not 1 <= self.numerator <= MAX_NUMERATOR or self.denominator not in DENOMINATORS:
            raise ValueError(f"meter {self.numerator}/{self.denominator} is not one that scores use")

    @classmethod
    def parse(cls, text: str) -> Meter:
        """Reads "3/4" (also "C" for 4/4 and "C|" for 2/2). Raises ValueError for anything else."""
        text = {"C": "4/4", "C|": "2/2"}.get(text.strip(), text.strip())
        match = re.fullmatch(r"(\d{1,2})/(\d{1,2})", text)
        if match is None:
            raise ValueError(f"meter {text!r} is not of the form 3/4")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"

    @property
    def bar_div(self) -> int:
        """Length of a bar in divisions."""
        return DIVS_PER_QUARTER * 4 * self.numerator // self.denominator

    @property
    def is_compound(self) -> bool:
        """True where the beat is dotted: 6/8, 9/8, 12/8, 6/4 …"""
        return self.numerator > 3 and self.numerator % 3 == 0 and self.denominator >= 4

    @property
    def beat_div(self) -> int:
        """Length of a beat in divisions: dotted in compound meters, else the denominator's note."""
        unit = DIVS_PER_QUARTER * 4 // self.denominator
        return 3 * unit if self.is_compound else unit

    @property
    def beats(self) -> int:
        """Beats a bar."""
        return self.bar_div // self.beat_div

    def strength(self, offset_div: int) -> float:
        """Metrical strength of a place in the bar: 1 downbeat, 0.75 middle of an even bar, 0.5 beat, then 0.25, 0.125.

        Args:
            offset_div: divisions from the bar's start; taken modulo the bar.
        """
        offset = offset_div % self.bar_div
        if offset == 0:
            return 1.0
        if self.beats % 2 == 0 and offset * 2 == self.bar_div:
            return 0.75
        if offset % self.beat_div == 0:
            return 0.5
        part = self.beat_div // (3 if self.is_compound else 2)
        return 0.25 if offset % part == 0 else 0.125
