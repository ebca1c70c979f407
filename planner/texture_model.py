"""What is known of how people's bars follow one another: counts over bins, learned from the plans of real pieces.

A bar has four values: its class of rhythm, its density in relation to its section's, its span, and its register in
relation to its section's. Each is a Markov chain of the first order on its own value in the bar before, told the place
of the bar in its phrase and, one after the other, the values drawn before it. Counts of a style lean on those of its
ensemble, and these on coarser ones, in proportion to how few they are. The model is this project's own.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from music.plan import ENSEMBLES, RHYTHMS, BarTexture, Phrase, Plan, Section
from music.time import DIVS_PER_QUARTER, Meter

TABLES = Path(__file__).with_name("texture_tables.npz")
SOUNDING = RHYTHMS[1:]  # a silent bar is never planned
PLACES = ("first", "inner", "open", "cadence", "close", "end")
METER_CLASSES = ("duple", "triple", "compound")
LEVELS, BINS = 3, 7
START = -1  # the value before a section's first bar; as an index the last row
LEAST_BARS = 1000  # a style with fewer counts for its ensemble only
_TRUST = 20.0  # bars of a context that weigh as much as the coarser context
_MARKS = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles of the values in a bin, that a value is drawn between
_SIZES = {
    "rhythm": (len(PLACES), len(METER_CLASSES), LEVELS, len(SOUNDING) + 1, len(SOUNDING)),
    "density": (len(PLACES), LEVELS, len(SOUNDING), BINS + 1, BINS),
    "span": (len(PLACES), BINS, BINS + 1, BINS),
    "register": (len(PLACES), BINS, BINS + 1, BINS),
}
FEATURES = ("density", "span", "register")


def places(phrases: tuple[Phrase, ...], last: bool) -> list[str]:
    """The place of each bar of a section, one of `PLACES`; `last`: the section is the piece's last."""
    found = []
    for index, phrase in enumerate(phrases):
        final = index == len(phrases) - 1
        if phrase.cadence is None:
            close = "open"
        elif final and phrase.cadence in ("PAC", "IAC"):
            close = "end" if last else "close"
        else:
            close = "cadence"
        found += (["first", *["inner"] * (phrase.bars - 2), close])[-phrase.bars :]
    return found


def meter_class(meter: Meter) -> int:
    """Index in `METER_CLASSES`."""
    return 2 if meter.is_compound else 1 if meter.beats % 3 == 0 else 0


@dataclass(frozen=True)
class Usual:
    """Sections of a style: quantiles (0.2, 0.5, 0.8; by bars) of their density, and the median of their register."""

    densities: tuple[float, float, float]
    register: float


@dataclass(frozen=True)
class Chains:
    """The tables of a style in one ensemble, smoothed. Last axes are distributions.

    Args:
        rhythm: by place, meter class, level, rhythm before.
        density, span, register: by place, then the value told (rhythm; density; span), then the value before; density
            by level after place.
        levels: section densities between the levels.
        marks: by feature, bin: quantiles `_MARKS` of the values; density is log2 of bar over section.
        limits: by meter class and rhythm: least and greatest density, quarters.
        usual: sections of the style.
    """

    rhythm: Float[np.ndarray, "place meter level before now"]
    density: Float[np.ndarray, "place level rhythm before now"]
    span: Float[np.ndarray, "place density before now"]
    register: Float[np.ndarray, "place span before now"]
    levels: tuple[float, ...]
    marks: dict[str, Float[np.ndarray, "bins marks"]]
    limits: Float[np.ndarray, "meter rhythm 2"]
    usual: Usual

    def level(self, density: float) -> int:
        """Which level a section of that density has."""
        return bisect_right(self.levels, density)

    def value(self, feature: str, index: int, draw: float) -> float:
        """A value of a bin: the quantile `draw` (0..1) of its values, the ends drawn in."""
        mark = _MARKS[0] + draw * (_MARKS[-1] - _MARKS[0])
        at = min(max(1, bisect_right(_MARKS, mark)), len(_MARKS) - 1) - 1
        low, high = self.marks[feature][index, at : at + 2].tolist()
        return (high - low) / (_MARKS[at + 1] - _MARKS[at]) * (mark - _MARKS[at]) + low


# ---- counting -------------------------------------------------------------------------------------------------


def _sounding(section: Section) -> bool:
    return bool(section.textures) and bool(section.density) and section.register is not None


def _values(section: Section, bar: BarTexture) -> tuple[float, float, float]:
    assert section.density is not None
    assert section.register is not None
    assert bar.register is not None
    return (float(np.log2(bar.density / section.density)), float(bar.span), bar.register - section.register)


def _weighted_quantiles(rows: list[tuple[float, int]], at: tuple[float, ...]) -> list[float]:
    """Quantiles of values with weights."""
    values, weights = (np.array(column, dtype=float) for column in zip(*sorted(rows), strict=True))
    total = np.cumsum(weights) / weights.sum()
    return [float(values[min(int(np.searchsorted(total, q)), len(values) - 1)]) for q in at]


def build_tables(plans: Iterable[Plan]) -> dict[str, np.ndarray]:
    """Counts, bins and usual values of real pieces' plans, as arrays by name, for `pack_tables`.

    Args:
        plans: with textures; their order does not matter for more than the order of equal values.
    """
    by_ensemble: dict[str, list[Plan]] = {}
    for plan in plans:
        by_ensemble.setdefault(plan.ensemble, []).append(plan)
    tables: dict[str, np.ndarray] = {}
    for ensemble in (e for e in ENSEMBLES if e in by_ensemble):
        tables |= _ensemble_tables(ensemble, by_ensemble[ensemble])
    return tables


def _ensemble_tables(ensemble: str, plans: list[Plan]) -> dict[str, np.ndarray]:
    sections = [(plan, s) for plan in plans for s in plan.sections if _sounding(s)]
    values = np.array([_values(s, t) for _, s in sections for t in s.textures if t.density > 0 and t.register])
    tables: dict[str, np.ndarray] = {}
    edges: list[np.ndarray] = []
    for column, feature in enumerate(FEATURES):
        inner = np.quantile(values[:, column], np.arange(1, BINS) / BINS)
        edges.append(inner)
        bins = np.searchsorted(inner, values[:, column], side="right")
        whole = np.quantile(values[:, column], _MARKS)
        marks = [np.quantile(v, _MARKS) if len(v := values[bins == b, column]) else whole for b in range(BINS)]
        tables[f"{ensemble} marks {feature}"] = np.array(marks, dtype=np.float32).round(3)
    levels = _weighted_quantiles([(s.density or 0, s.bars) for _, s in sections], (1 / 3, 2 / 3))
    tables[f"{ensemble} levels"] = np.array(levels, dtype=np.float32).round(3)
    tables[f"{ensemble} limits"] = _limits(sections)
    bars: dict[str, int] = {}
    for plan, section in sections:
        bars[plan.style] = bars.get(plan.style, 0) + section.bars
    for style in ("", *sorted(s for s, count in bars.items() if count >= LEAST_BARS)):
        chosen = [(p, s) for p, s in sections if style in ("", p.style)]
        name = f"{ensemble} {style}".strip()
        densities = _weighted_quantiles([(s.density or 0, s.bars) for _, s in chosen], (0.2, 0.5, 0.8))
        register = _weighted_quantiles([(s.register or 0, s.bars) for _, s in chosen], (0.5,))
        tables[f"{name} usual"] = np.array([*densities, *register], dtype=np.float32).round(2)
        for chain, counts in _counts(chosen, edges, levels).items():
            tables[f"{name} {chain}"] = counts
    return tables


def _limits(sections: list[tuple[Plan, Section]]) -> Float[np.ndarray, "meter rhythm 2"]:
    """Between which densities most bars (96 of 100) of a rhythm lie; of all meters where there are under 50 bars."""
    found: dict[tuple[int, str], list[float]] = {}
    for plan, section in sections:
        for bar in section.textures:
            for kind in (meter_class(plan.meter), -1):
                found.setdefault((kind, bar.rhythm), []).append(bar.density)
    limits = np.tile(np.array([0.0, 99.0], dtype=np.float32), (len(METER_CLASSES), len(SOUNDING), 1))
    for kind in range(len(METER_CLASSES)):
        for index, rhythm in enumerate(SOUNDING):
            own = found.get((kind, rhythm), [])
            rows = own if len(own) >= 50 else found.get((-1, rhythm), [])
            if rows:
                limits[kind, index] = np.quantile(rows, (0.02, 0.98))
    return limits.round(2)


def _counts(
    sections: list[tuple[Plan, Section]], edges: list[np.ndarray], levels: list[float]
) -> dict[str, Int[np.ndarray, ...]]:
    counts = {chain: np.zeros(size, dtype=np.int32) for chain, size in _SIZES.items()}
    for plan, section in sections:
        kind, level = meter_class(plan.meter), int(np.searchsorted(levels, section.density or 0, side="right"))
        before = [START] * 4
        for place, bar in zip(places(section.phrases, section is plan.sections[-1]), section.textures, strict=True):
            if bar.density <= 0 or bar.register is None or bar.rhythm not in SOUNDING:
                continue  # the chain goes on behind a silent bar
            at, rhythm = PLACES.index(place), SOUNDING.index(bar.rhythm)
            bins = [int(np.searchsorted(e, v, side="right")) for e, v in zip(edges, _values(section, bar), strict=True)]
            density, span, register = bins
            counts["rhythm"][at, kind, level, before[0], rhythm] += 1
            counts["density"][at, level, rhythm, before[1], density] += 1
            counts["span"][at, density, before[2], span] += 1
            counts["register"][at, span, before[3], register] += 1
            before = [rhythm, density, span, register]
    return counts


# ---- files ----------------------------------------------------------------------------------------------------


def pack_tables(tables: dict[str, np.ndarray]) -> bytes:
    """Bytes of a file for `read_tables`: numpy's, compressed; the same tables give the same bytes."""
    stream = io.BytesIO()
    small = {
        k: v.astype(np.uint16) if v.dtype == np.int32 and v.max(initial=0) < 2**16 else v for k, v in tables.items()
    }
    np.savez_compressed(stream, allow_pickle=False, **small)
    return stream.getvalue()


@cache
def read_tables(path: Path = TABLES) -> dict[str, np.ndarray]:
    """The arrays of a file by name."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


# ---- smoothing ------------------------------------------------------------------------------------------------


def _lean(counts: np.ndarray, coarse: np.ndarray, trust: float = _TRUST) -> np.ndarray:
    """Counts as distributions over the last axis that lean on a coarser one where they are few."""
    return (counts + trust * coarse) / (counts.sum(axis=-1, keepdims=True) + trust)


def _smooth(counts: np.ndarray, own: np.ndarray | None, coarser: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Smoothed distributions.

    Args:
        counts: of the ensemble.
        own: of the style, or None.
        coarser: axes summed over, the coarsest context first.
    """
    even = np.full(counts.shape[-1], 1 / counts.shape[-1])
    found = _lean(counts.sum(axis=tuple(range(counts.ndim - 1)), keepdims=True), even, 1.0)
    for axes in (*coarser, ()):
        found = _lean(counts.sum(axis=axes, keepdims=True), found)
    if own is not None:
        for axes in (*coarser, ()):
            found = _lean(own.sum(axis=axes, keepdims=True), found)
    return np.broadcast_to(found, counts.shape)


@cache
def chains(ensemble: str, style: str) -> Chains:
    """The tables of a style where there are enough pieces of it in that ensemble, else the ensemble's."""
    tables = read_tables()
    name = f"{ensemble} {style}" if f"{ensemble} {style} usual" in tables else ensemble

    def table(chain: str, *coarser: tuple[int, ...]) -> np.ndarray:
        counts = tables[f"{ensemble} {chain}"].astype(float)
        own = tables[f"{name} {chain}"].astype(float) if name != ensemble else None
        return _smooth(counts, own, coarser)

    usual = [round(float(v), 2) for v in tables[f"{name} usual"]]
    return Chains(
        # A rare place, such as the end, counts for more than the bar before it.
        rhythm=table("rhythm", (0, 1, 2), (0, 1), (0,), (3,)),
        density=table("density", (0, 1, 3), (0, 1), (1, 3), (1,)),
        span=table("span", (0, 1), (0,), (2,)),
        register=table("register", (0, 1), (0,), (2,)),
        levels=tuple(float(v) for v in tables[f"{ensemble} levels"]),
        marks={feature: tables[f"{ensemble} marks {feature}"].astype(float) for feature in FEATURES},
        limits=tables[f"{ensemble} limits"].astype(float),
        usual=Usual((usual[0], usual[1], usual[2]), usual[3]),
    )


def usual(ensemble: str, style: str) -> Usual:
    """How dense and how high sections of a style are in an ensemble."""
    return chains(ensemble, style).usual


def bar_quarters(meter: Meter) -> float:
    """Quarters in a bar."""
    return meter.bar_div / DIVS_PER_QUARTER
