"""How each bar of a plan is written: density, register, span and class of rhythm, drawn as people's bars follow.

The section's density and register stay the means of its bars. Phrases of one idea share their bars, save the last,
which closes as its own cadence does; returns take the bars of the section that they return to. Where a theme sounds,
no rhythm slower than its own is drawn.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

import numpy as np

from music.analysis.bar_texture import rhythm_class
from music.plan import BarTexture, Plan, PlanNote, Section
from planner.dice import Dice
from planner.texture_model import PLACES, SOUNDING, START, Chains, bar_quarters, chains, meter_class, places

LIVELIER = 1.2  # a varied return that differs from its model by this factor of density is written anew
_LEAST_SHARE = 0.85  # of a section's notes, that the notes of its theme may claim at most
_SLIGHT, _ALLOWED = 0.02, 0.08  # shares of a section's notes by which its bars may miss them: sought, endured
_HEIGHTS = {"satb": (48.0, 74.0), "quartet": (45.0, 84.0), "piano": (36.0, 90.0)}
# Rhythms of all parts together that a melody of a rhythm fits into; others are as good as any.
_HOLDS = {
    "quarter": ("quarter", "dotted", "eighth", "triplet", "sixteenth", "mixed"),
    "dotted": ("dotted", "sixteenth", "mixed"),
    "eighth": ("eighth", "sixteenth", "mixed"),
    "triplet": ("triplet", "mixed"),
    "sixteenth": ("sixteenth",),
    "mixed": ("mixed", "dotted", "eighth", "sixteenth"),
}
Melody = Sequence[PlanNote]
_Bins = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Bar:
    """A bar as drawn: bins of rhythm, density, span and register, and their values in relation to the section's."""

    bins: _Bins
    log_density: float
    span: int
    offset: float


_BEFORE = (START, START, START, START)


def with_textures(plan: Plan, dice: Dice, *, line: Melody = (), style: str | None = None) -> Plan:
    """The plan with a texture for every bar of each section that has a density and a register.

    Args:
        plan: what it says of textures is replaced.
        dice: the plan's chance.
        line: a melody for the whole piece that sounds beside the themes, onsets from the first downbeat.
        style: whose bars to take; None: the plan's.
    """
    writer = _Writer(plan, chains(plan.ensemble, plan.style if style is None else style), dice, line)
    return replace(plan, sections=tuple(writer.write(index) for index in range(len(plan.sections))))


class _Writer:
    def __init__(self, plan: Plan, tables: Chains, dice: Dice, line: Melody) -> None:
        self.plan, self.tables, self.dice, self.line = plan, tables, dice, line
        self.kind, self.quarters = meter_class(plan.meter), bar_quarters(plan.meter)
        self.drawn: dict[int, list[_Bar]] = {}
        self.done: list[Section] = []

    def write(self, index: int) -> Section:
        """The section with textures; sections are written in order."""
        section = self.plan.sections[index]
        if section.density is None or section.register is None:
            self.done.append(replace(section, textures=()))
            return self.done[-1]
        struck = self._struck(index)
        if section.source in self.drawn:
            bars = self._return(index, struck)
        else:
            bars = self._new(index, struck, self.dice.stream(f"textures {section.letter}"))
        self.drawn[index] = bars
        model = None if section.source is None else self.done[section.source]
        same = model is not None and bars == self.drawn.get(section.source or 0)
        if same and model and (model.density, model.register) == (section.density, section.register):
            textures = model.textures
        else:
            textures = self._textures(section, bars, struck)
        self.done.append(replace(section, textures=textures))
        return self.done[-1]

    def _struck(self, index: int) -> Mapping[int, list[int]]:
        """Onsets of the theme and the line in each bar of a section, from the bar's start."""
        section, bar_div = self.plan.sections[index], self.plan.meter.bar_div
        theme = self.plan.theme_of(section.theme) if section.theme else None
        first = self.plan.first_bars[index] * bar_div
        onsets = [n.onset_div for n in theme.notes] if theme else []
        onsets += [n.onset_div - first for n in self.line]
        struck: dict[int, list[int]] = {}
        for onset in sorted(set(onsets)):
            if 0 <= onset < section.bars * bar_div:
                struck.setdefault(onset // bar_div, []).append(onset % bar_div)
        return struck

    def _places(self, index: int) -> list[str]:
        return places(self.plan.sections[index].phrases, index == len(self.plan.sections) - 1)

    def _allowed(self, onsets: Sequence[int]) -> frozenset[int]:
        return _rhythms_that_hold(tuple(onsets), self.plan.meter.bar_div)

    def _bar(
        self,
        place: str,
        level: int,
        before: tuple[int, int, int, int],
        allowed: frozenset[int],
        rng: np.random.Generator,
    ) -> _Bar:
        tables, at, draws = self.tables, PLACES.index(place), rng.random(7).tolist()
        rhythms = tables.rhythm[at, self.kind, level, before[0]]
        if len(allowed) < len(SOUNDING):
            rhythms = np.where([i in allowed for i in range(len(SOUNDING))], rhythms, 0.0)
        rhythm = _pick(rhythms, draws[0])
        density = _pick(tables.density[at, level, rhythm, before[1]], draws[1])
        span = _pick(tables.span[at, density, before[2]], draws[2])
        register = _pick(tables.register[at, span, before[3]], draws[3])
        return _Bar(
            (rhythm, density, span, register),
            tables.value("density", density, draws[4]),
            round(tables.value("span", span, draws[5])),
            tables.value("register", register, draws[6]),
        )

    def _new(self, index: int, struck: Mapping[int, list[int]], rng: np.random.Generator) -> list[_Bar]:
        """Bars of a section, those of one idea alike."""
        section, names = self.plan.sections[index], self._places(index)
        level = self.tables.level(section.density or 0.0)
        ideas: dict[str, tuple[int, int]] = {}
        bars: list[_Bar] = []
        for phrase in section.phrases:
            start = len(bars)
            model, length = ideas.setdefault(phrase.idea[0], (start, phrase.bars))
            for number in range(phrase.bars):
                here, there = start + number, model + number
                allowed = self._allowed(struck.get(here, ()))
                inside = number < min(phrase.bars, length) - 1
                closes_alike = phrase.bars == length and there < start and names[here] == names[there]
                shared = there < start and (inside or closes_alike) and bars[there].bins[0] in allowed
                before = bars[-1].bins if bars else _BEFORE
                bars.append(bars[there] if shared else self._bar(names[here], level, before, allowed, rng))
        return bars

    def _return(self, index: int, struck: Mapping[int, list[int]]) -> list[_Bar]:
        """Bars of a returning section: its model's, cut or repeated to its length, some drawn anew if varied."""
        section, names = self.plan.sections[index], self._places(index)
        source = section.source or 0
        origin, model = self.plan.sections[source], self.drawn[source]
        rng = self.dice.stream(f"textures {section.label} {index}")
        assert section.density
        assert origin.density
        ratio = section.density / origin.density
        if section.variation and max(ratio, 1 / ratio) > LIVELIER:
            return self._new(index, struck, rng)
        bars = [model[i % len(model)] for i in range(section.bars)]
        bars[-1] = model[-1]
        level = self.tables.level(section.density)
        chance = (section.variation or 0.0) / 2
        anew = [bool(rng.random() < chance) for _ in bars]
        if section.cadence != origin.cadence or (chance and names[-1] != self._places(source)[-1]):
            anew[-1] = True
        for number, again in enumerate(anew):
            allowed = self._allowed(struck.get(number, ()))
            if again or bars[number].bins[0] not in allowed:
                before = bars[number - 1].bins if number else _BEFORE
                bars[number] = self._bar(names[number], level, before, allowed, rng)
        return bars

    def _textures(
        self, section: Section, bars: Sequence[_Bar], struck: Mapping[int, list[int]]
    ) -> tuple[BarTexture, ...]:
        """Bars as textures whose means are the section's density and register."""
        assert section.density
        assert section.register is not None
        wanted = np.array([section.density * 2**bar.log_density for bar in bars])
        limits = self.tables.limits[self.kind][[bar.bins[0] for bar in bars]]
        total = section.density * self.quarters * len(bars)
        least = np.array([len(struck.get(i, ())) for i in range(len(bars))], dtype=float)
        least = np.maximum(1, np.floor(least * min(1.0, _LEAST_SHARE * total / max(least.sum(), 1))))
        first: dict[_Bar, int] = {}
        twins = np.array([first.setdefault(bar, number) for number, bar in enumerate(bars)])
        np.maximum.at(least, twins, least)
        least = least[twins]
        counts = fit_counts(np.clip(wanted, limits[:, 0], limits[:, 1]) * self.quarters, total, least, twins)
        offsets = np.array([bar.offset for bar in bars])
        offsets -= (offsets * counts).sum() / counts.sum()
        heights = np.clip(section.register + offsets, *_HEIGHTS[self.plan.ensemble])
        return tuple(
            BarTexture(round(float(n) / self.quarters, 2), round(float(height), 1), bar.span, SOUNDING[bar.bins[0]])
            for n, height, bar in zip(counts, heights, bars, strict=True)
        )


def _pick(weights: np.ndarray, draw: float) -> int:
    heap = list(accumulate(weights.tolist()))  # quicker than an array of so few
    return min(bisect_right(heap, draw * heap[-1]), len(heap) - 1)


@lru_cache(maxsize=4096)
def _rhythms_that_hold(onsets: tuple[int, ...], bar_div: int) -> frozenset[int]:
    """Indices of the rhythms of all parts that hold these onsets of a melody."""
    own = rhythm_class(np.array(onsets, dtype=np.int64), bar_div) if onsets else ""
    return frozenset(SOUNDING.index(name) for name in _HOLDS.get(own, SOUNDING))


def fit_counts(wanted: np.ndarray, total: float, least: np.ndarray, twins: np.ndarray) -> np.ndarray:
    """Whole notes a bar in about these proportions, whose sum is about `total`.

    Args:
        wanted: notes of each bar, more than 0.
        total: notes of all.
        least: of each bar.
        twins: bars with the same number get the same count.

    Returns:
        counts whose sum is at most `_ALLOWED` off; whole numbers wherever that can be.
    """
    share = total / wanted.sum()
    counts = np.maximum(least, np.round(wanted * share))
    for _ in range(8):
        if abs(counts.sum() - total) <= _SLIGHT * total:
            return counts
        share *= total / counts.sum()
        counts = np.maximum(least, np.round(wanted * share))
    for _ in range(len(counts)):  # a note more or less where it is felt least
        gap = total - counts.sum()
        sign = 1.0 if gap > 0 else -1.0
        options = [t for t in set(twins.tolist()) if abs(gap - sign * (twins == t).sum()) < abs(gap)]
        options = [t for t in options if sign > 0 or counts[t] > least[t]]
        if abs(gap) <= _SLIGHT * total or not options:
            break
        best = min(options, key=lambda t: (abs(np.log((counts[t] + sign) / (wanted[t] * share))), t))
        counts[twins == best] += sign
    return counts if abs(counts.sum() - total) <= _ALLOWED * total else counts * total / counts.sum()
