"""How long sections and phrases are: a small surrogate of the network, to weigh what lies ahead in a form.

Whether so many bars can still be filled is exact arithmetic; how well they can is asked of these tables: lengths of
sections and phrases by style, counted from training tokens, each drawn for itself. They are the backward messages of
a Markov chain under constraints (Pachet and Roy, "Markov constraints: steerable generation of Markov sequences", 2011).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float

from music.plan import MAX_BARS
from planner import form_columns as fc
from planner.forms import MIN_SECTION_BARS
from planner.streams import UNKNOWN, Tokens

SECTION_SIZE, PHRASE_SIZE = 257, 129  # lengths told apart in the tables; index 0 is never used
MOST_SECTIONS = 40  # of a form that is quite open
_STYLE = fc.STREAM.column["style"]
_TOLD = [fc.STREAM.column["bars_left"], fc.STREAM.column["sections_left"]]
_PRIOR = 30.0  # so many lengths of all styles are added to a style's own
_PRIORS = (1.0, 2.0, 4.0, 7.5)  # the same of numbers of sections: what tells a style's own plans best is taken
_ENOUGH = 20  # plans
_FLOOR = 1e-7  # share of a length that no table knows
_TIED = (
    0.98  # how often a return is as long as its model: oftener than in real pieces, since who asks for A B A means it
)
_LONG, _DECAY = 24, 16.0  # bars beyond which a section grows unlikely, and how fast
_SPECTRUM = 4096  # more than the bars that any sum of sections may have beyond MAX_BARS


def fit_tables(tokens: Sequence[Tokens]) -> dict[str, np.ndarray]:
    """Shares of the lengths of sections and phrases in training tokens, and of the numbers of sections.

    Returns:
        "section_bars" [styles + 1, 257], "phrase_bars" [styles + 1, 129] and "sections" [styles + 1, 41], float32: row
        0 for all styles together, then one for each style's column value; column b is the share of b bars or
        sections.
    """
    return {
        "sections": _counts(tokens),
        "section_bars": _shares(tokens, fc.BARS, fc.MAX_SECTION_STEP, SECTION_SIZE),
        "phrase_bars": _shares(tokens, fc.PHRASE, fc.MAX_PHRASE_STEP, PHRASE_SIZE),
    }


def uniform_tables() -> dict[str, np.ndarray]:
    """Tables in which sections of 4 to 32 bars and phrases of 1 to 8 are as likely as each other."""
    sections, phrases = np.zeros((1, SECTION_SIZE), np.float32), np.zeros((1, PHRASE_SIZE), np.float32)
    sections[0, MIN_SECTION_BARS:33], phrases[0, 1:9] = 1 / (33 - MIN_SECTION_BARS), 1 / 8
    counts = np.zeros((1, MOST_SECTIONS + 1), np.float32)
    counts[0, 1:9] = 1 / 8
    return {"section_bars": sections, "phrase_bars": phrases, "sections": counts}


def _counts(tokens: Sequence[Tokens]) -> Float[np.ndarray, "styles counts"]:
    found: Counter[tuple[int, int]] = Counter()
    for walk in tokens:
        told = walk.columns[0, _TOLD].any()  # of what is to come: the same plan stands there once more, told nothing
        if walk.values[-1] == fc.END and walk.fields[-1] == fc.LABEL and not told:
            sections = int((walk.fields == fc.LABEL).sum()) - 1
            if 1 <= sections <= MOST_SECTIONS:
                found[int(walk.columns[0, _STYLE]), sections] += 1
    table = _table(found, MOST_SECTIONS + 1, fitted=True)
    table[:, 0] = 0.0
    return (table / table.sum(axis=1, keepdims=True)).astype(np.float32)


def _shares(tokens: Sequence[Tokens], field: int, step: int, size: int) -> Float[np.ndarray, "styles lengths"]:
    counts: Counter[tuple[int, int]] = Counter()
    for walk in tokens:
        style, part = int(walk.columns[0, _STYLE]), 0
        for value in walk.values[walk.fields == field].tolist():
            part = 0 if value == UNKNOWN else part + value + (value < step)
            if value not in (UNKNOWN, step):
                counts[style, min(part, size - 1)] += 1
                part = 0
    return _table(counts, size).astype(np.float32)


def best_prior(own: Float[np.ndarray, " size"], everywhere: Float[np.ndarray, " size"]) -> float:
    """Which of `_PRIORS` makes a style's plans likeliest, each told by the others (the one left out).

    A style of fewer than `_ENOUGH` plans keeps the greatest. Chorales have one to five sections, sonatas one to forty:
    under a prior that suits sonatas every seventh section of chorales stood in one of six sections or more.

    Args:
        own: a style's counts.
        everywhere: shares of all styles, each above 0.
    """
    if own.sum() < _ENOUGH:
        return max(_PRIORS)
    met = own > 0

    def nats(prior: float) -> float:
        left = (own[met] - 1 + prior * everywhere[met]) / (own.sum() - 1 + prior)
        return float(-(own[met] * np.log(left)).sum())

    return min(reversed(_PRIORS), key=nats)


def _table(counts: Counter[tuple[int, int]], size: int, *, fitted: bool = False) -> Float[np.ndarray, "styles size"]:
    """Shares by style of what was counted by (style, value); few counts are helped out by those of all styles.

    Args:
        counts: how often each was met.
        size: values told apart.
        fitted: whether each style's prior is its best one.
    """
    table = np.zeros((1 + max((style for style, _ in counts), default=0), size))
    for (style, length), count in counts.items():
        table[style, length] += count
    # Styles count alike in what is said of all: four thousand tunes would speak for forty sonatas.
    own = table.sum(axis=1)
    table[0] = (table[own > 0] / own[own > 0, None]).sum(axis=0)
    everywhere = (table[0] + 1 / size) / (table[0].sum() + 1)
    priors = np.full((len(table), 1), _PRIORS[-1] if fitted else _PRIOR)
    if fitted:
        priors[1:, 0] = [best_prior(row, everywhere) for row in table[1:]]
    return (table + priors * everywhere) / (table.sum(axis=1, keepdims=True) + priors)


class Lengths:
    """The tables at work, one `StyleLengths` for each style; make it once and share it.

    Args:
        tables: of `fit_tables` or `uniform_tables`.
    """

    def __init__(self, tables: Mapping[str, np.ndarray]) -> None:
        self._tables = tables
        self._made: dict[int, StyleLengths] = {}

    def of(self, style: int) -> StyleLengths:
        """Those of a style's column value; those of all styles where the tables have no row for it."""
        row = style if style < len(self._tables["section_bars"]) else 0
        if row not in self._made:
            self._made[row] = StyleLengths(self._tables["section_bars"][row], self._tables["phrase_bars"][row])
        return self._made[row]

    def section_counts(self, style: int) -> Float[np.ndarray, " counts"]:
        """How likely each number of sections is in a style; index 0 is 0, the sum 1."""
        counts = self._tables["sections"]
        row = counts[style if style < len(counts) else 0].astype(float)
        return row / row.sum()


class StyleLengths:
    """Lengths of one style.

    Args:
        sections, phrases: shares by length, index 0 unused.
    """

    def __init__(self, sections: Float[np.ndarray, " lengths"], phrases: Float[np.ndarray, " phrase_lengths"]) -> None:
        self.sections, self._phrases = _damped(_whole(sections, MIN_SECTION_BARS)), _whole(phrases, 1)
        self._spectra: dict[tuple[int, int], np.ndarray] = {}
        self._phrase_weights: dict[tuple[int, int], np.ndarray] = {}

    def phrase_weights(self, room: int, part: int) -> Float[np.ndarray, " size"]:
        """Weights of the field `phrase_bars` where so many bars are to be filled, `part` of them by earlier tokens."""
        if (room, part) not in self._phrase_weights:
            rest = room - np.arange(MAX_BARS + 1)
            good = np.where(rest >= 0, self._phrase_renewal[np.maximum(rest, 0)], 0.0)
            good = floored(good, (rest >= 0) & (rest < room))
            self._phrase_weights[room, part] = stepped(good, self._phrases, part, fc.MAX_PHRASE_STEP)
        return self._phrase_weights[room, part]

    @cached_property
    def _phrase_renewal(self) -> Float[np.ndarray, " bars"]:
        return _renewal(self._phrases)

    @cached_property
    def renewal(self) -> Float[np.ndarray, " bars"]:
        """Chance that sections, one after another, end at just so many bars."""
        return _renewal(self.sections)

    def return_weight(self, left: int, bars: int) -> float:
        """Chance that just `left` bars are filled, begun with a return to a section of `bars` bars."""
        tied = self.renewal[left - bars] if bars <= left else 0.0
        return float(_TIED * tied + (1 - _TIED) * self.renewal[left])

    def rest(
        self, free: Sequence[int], heard: Sequence[tuple[int, int]], coming: Sequence[tuple[int, int]]
    ) -> Float[np.ndarray, " bars"]:
        """Chances of the number of bars that sections to come have together.

        Args:
            free: the least bars of each section that is bound to no other.
            heard: of each return to a section that is known: its least bars, the other one's bars.
            coming: of each letter to come: the least bars of its sections, how many they are.
        """
        spectrum = np.ones(_SPECTRUM // 2 + 1, complex)
        for least in free:
            spectrum = spectrum * self._spectrum(least, 1)
        for least, bars in heard:
            tied = _TIED if bars >= least else 0.0
            spectrum = spectrum * (tied * _shift(bars) + (1 - tied) * self._spectrum(least, 1))
        for least, count in coming:
            loose = self._spectrum(least, 1) ** count
            spectrum = spectrum * (_TIED * self._spectrum(least, count) + (1 - _TIED) * loose)
        return np.maximum(np.fft.irfft(spectrum, _SPECTRUM)[: MAX_BARS + 1], 0.0)

    def current(
        self, rest: Float[np.ndarray, " bars"], left: int, least: int, returns: int
    ) -> Float[np.ndarray, " bars"]:
        """Chance of just `left` bars for each length of a section that is drawn now.

        Args:
            rest: of the other sections to come, from `rest`.
            left: bars to be filled, this section's among them.
            least: the least bars of its returns.
            returns: how many of those there are.
        """
        bars = np.arange(MAX_BARS + 1)
        if not returns:
            return _at(rest, left - bars)
        spectrum = np.fft.rfft(rest, _SPECTRUM) * self._spectrum(least, 1) ** returns
        loose = np.maximum(np.fft.irfft(spectrum, _SPECTRUM)[: MAX_BARS + 1], 0.0)
        return _TIED * _at(rest, left - (1 + returns) * bars) + (1 - _TIED) * _at(loose, left - bars)

    def _spectrum(self, least: int, count: int) -> np.ndarray:
        """Spectrum of `count` times the length of one section of `least` bars or more."""
        if (least, count) not in self._spectra:
            shares = np.zeros(_SPECTRUM)
            lengths = np.arange(least, MAX_BARS // count + 1)
            shares[lengths * count] = self.sections[lengths]
            self._spectra[least, count] = np.fft.rfft(shares / max(shares.sum(), 1e-300))
        return self._spectra[least, count]


def _whole(shares: Float[np.ndarray, " lengths"], least: int) -> Float[np.ndarray, " bars"]:
    """The shares for every length up to the most bars of a plan, none below `least`, each above 0, sum 1."""
    whole = np.full(MAX_BARS + 1, _FLOOR)
    whole[: len(shares)] += shares
    whole[:least] = 0.0
    return whole / whole.sum()


def evenness(left: int, later: int) -> Float[np.ndarray, " bars"]:
    """Factors on a section's length that keep it near those to come: 1 where it is up to 1.5 times their mean or the
    other way round, less the more they differ.

    Args:
        left: bars for it and them together.
        later: how many they are, at least 1.
    """
    bars = np.arange(MAX_BARS + 1)
    mean = np.maximum(left - bars, 1) / max(later, 1)
    return np.exp(-4.0 * np.maximum(np.abs(np.log2(np.maximum(bars, 1) / mean)) - 0.6, 0))


def _damped(shares: Float[np.ndarray, " bars"]) -> Float[np.ndarray, " bars"]:
    """Shares without their long tail: smoothed, one giant section would be likelier than several long ones."""
    over = np.maximum(np.arange(len(shares)) - _LONG, 0) / _DECAY
    damped = shares * np.exp(-np.minimum(over * over, 600.0))  # the square: two long ones rather than one of both
    damped = np.where(shares > 0, np.maximum(damped, 1e-300), 0.0)
    return damped / damped.sum()


def _renewal(shares: Float[np.ndarray, " bars"]) -> Float[np.ndarray, " bars"]:
    found = np.zeros(len(shares))
    found[0] = 1.0
    for bars in range(1, len(shares)):
        found[bars] = shares[1 : bars + 1] @ found[bars - 1 :: -1][:bars] if bars > 1 else shares[1]
    return found


def _shift(bars: int) -> np.ndarray:
    return np.exp(-2j * np.pi * np.arange(_SPECTRUM // 2 + 1) * bars / _SPECTRUM)


def _at(chances: Float[np.ndarray, " bars"], places: np.ndarray) -> Float[np.ndarray, " bars"]:
    return np.where(places >= 0, chances[np.maximum(places, 0)], 0.0)


def floored(chances: Float[np.ndarray, " bars"], possible: np.ndarray) -> Float[np.ndarray, " bars"]:
    """The chances, none of what is possible at 0 and all that is not possible at 0; the greatest is about 1."""
    most = float(np.max(chances, where=possible, initial=0.0))
    scaled = chances / most if most > 0 else np.zeros(len(chances))
    return np.where(possible, scaled + 1e-6, 0.0)


def stepped(
    weights: Float[np.ndarray, " bars"], shares: Float[np.ndarray, " bars"], part: int, step: int
) -> Float[np.ndarray, " size"]:
    """Weights of a field that tells bars, where earlier tokens told `part` of them.

    Args:
        weights: of each number of bars.
        shares: how often each is met, to weigh what "so many and more" leads to.
        part: bars told so far.
        step: the field's greatest step.
    """
    field = np.zeros(step + 1)
    here = weights[part + 1 : part + step + 1]
    field[: len(here)] = here
    beyond = slice(part + step + 1, None)
    total = shares[beyond].sum()
    field[step] = weights[beyond] @ shares[beyond] / total if total > 0 else 0.0
    return field
