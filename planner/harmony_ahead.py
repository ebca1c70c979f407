"""What lies ahead of a section's chords: cadences to reach and chords that are fixed, as weights on what is chosen now.

Inside a phrase the chords are a chain of (symbol, duration). Messages are passed back from the phrase's end, in the
manner of Markov constraints (Pachet and Roy 2011) on a semi-Markov chain: beta(t, s) is the chance, under a small
surrogate of the network (which symbol follows which, how long a chord lasts from a place of the bar), that a phrase
whose last chord is s and ends at unit t closes as it must. A weight is above 0 exactly where the phrase can still be
completed.

A cadence is a goal (`Goal`) that a small automaton watches: beside each symbol that may close the phrase stands a
second state of it, entered where the symbol makes the cadence: after a dominant, on a beat, with a beat to rest on.
Only that state is accepted at the phrase's end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from music.errors import RequestError
from music.plan import Chord
from planner.harmony_goals import Goal, goal_of, openings
from planner.harmony_reach import reach_back
from planner.harmony_stream import (
    DURATION,
    METERS,
    POSITIONS,
    STREAM,
    SYMBOL,
    HarmonyScene,
    HarmonyWalker,
    meter_class,
)
from planner.harmony_symbols import BASSES, MAX_UNITS, SYMBOLS, VALID, Placed, named, symbol_of
from planner.streams import Tokens

_METERS = 2 + len(METERS)
_SHARE = 5.0  # chords' worth of what is common that each row of the surrogate has beside its own counts
_WINDOW = 96  # units before a phrase's end from which on its cadence weighs; more than a token and a close need
_KEPT = 96  # phrases whose messages are kept, each of less than a megabyte
_LEAST = 1e-30


def uniform_tables() -> dict[str, np.ndarray]:
    """Tables of a surrogate that knows nothing: every symbol, every duration alike."""
    return {
        "symbols": np.tile(VALID, (2, 1)).astype(np.float32),
        "pairs": np.zeros(0, dtype=np.float32),
        "pair_counts": np.zeros(0, dtype=np.float32),
        "durations": np.zeros((_METERS, POSITIONS, MAX_UNITS), dtype=np.float32),
    }


def fit_tables(walks: Sequence[Tokens]) -> dict[str, np.ndarray]:
    """Counts of the training sections' tokens.

    Returns:
        symbols: [mode, symbol]; pairs: (mode * 432 + symbol) * 432 + following symbol, of those in one phrase, with
        pair_counts; durations: [meter class, unit of the bar, duration - 1].
    """
    at = STREAM.column
    symbols = np.zeros((2, SYMBOLS), dtype=np.float32)
    durations = np.zeros((_METERS, POSITIONS, MAX_UNITS), dtype=np.float32)
    pairs = np.zeros(2 * SYMBOLS * SYMBOLS, dtype=np.float32)
    for walk in walks:
        minor = walk.columns[:, at["mode"]].astype(np.int64) - 1
        asked = walk.known & (minor >= 0) & (walk.fields == SYMBOL)
        np.add.at(symbols, (minor[asked], walk.values[asked]), 1)
        before = walk.columns[:, at["previous"]].astype(np.int64) - 1
        follows = asked & (before >= 0) & (walk.columns[:, at["chords"]] > 1)
        np.add.at(pairs, (minor[follows] * SYMBOLS + before[follows]) * SYMBOLS + walk.values[follows], 1)
        lasts = walk.known & (walk.fields == DURATION)
        meter = walk.columns[lasts, at["meter"]]
        place = (walk.columns[lasts, at["place"]].astype(np.int64) - 1) % POSITIONS
        np.add.at(durations, (meter, place, walk.values[lasts]), 1)
    found = np.flatnonzero(pairs)
    return {
        "symbols": symbols,
        "pairs": found.astype(np.float32),  # below 2 ** 24: exact
        "pair_counts": pairs[found],
        "durations": durations,
    }


class HarmonyTables:
    """The surrogate, made ready: one for a planner, shared by all its requests.

    Args:
        tables: of `fit_tables` or `uniform_tables`.
    """

    def __init__(self, tables: Mapping[str, np.ndarray]) -> None:
        counts = tables["durations"].astype(np.float64)
        whole = counts.sum((0, 1)) + 0.1
        by_meter = counts.sum(1) + _SHARE * whole / whole.sum()
        by_meter /= by_meter.sum(-1, keepdims=True)
        by_place = counts + _SHARE * by_meter[:, None]
        self.durations: Float[np.ndarray, "meters places units"] = by_place / by_place.sum(-1, keepdims=True)
        dense = np.zeros((2, SYMBOLS, SYMBOLS))
        dense.reshape(-1)[tables["pairs"].astype(np.int64)] = tables["pair_counts"]
        self.seen: list[Bool[np.ndarray, " symbols"]] = []
        self.moves: list[Float[np.ndarray, "symbols symbols"]] = []
        for minor in (False, True):
            shares = tables["symbols"][int(minor)].astype(np.float64)
            goals = [goal_of(cadence, minor) for cadence in ("PAC", "IAC", "HC", "DC")]
            for symbol in {s for goal in goals for s in (*goal.targets, *(goal.givers or ()))}:
                shares[symbol] = max(shares[symbol], 0.1)
            self.seen.append(shares > 0)
            rows = dense[int(minor)] + _SHARE * shares / shares.sum()
            self.moves.append(rows / rows.sum(-1, keepdims=True))
        self._kept: dict[tuple[object, ...], PhraseAhead] = {}

    def ahead(
        self,
        scene: HarmonyScene,
        index: int,
        fixed: tuple[Placed, ...],
        lenient: bool = False,
        on_bar: bool = False,
    ) -> PhraseAhead:
        """The messages of a scene's phrase. Without fixed chords, phrases of all lengths share those of their end.

        Args:
            scene, index: the phrase.
            fixed: chords inside it, onsets from its start.
            lenient: see `goal_of`.
            on_bar: the closing chord begins a bar.
        """
        length = scene.ends[index] - (scene.ends[index - 1] if index else 0)
        cadence = scene.cadences[index]
        goal = goal_of(cadence, scene.key.minor, lenient) if cadence else None
        last = not fixed and scene.number == scene.count - 1 and index == len(scene.ends) - 1
        if goal is not None and last and cadence in ("IAC", "DC"):  # no piece ends on an inverted chord
            goal = replace(goal, targets=tuple(t for t in goal.targets if t % BASSES == 0))
        if not fixed and (goal is None or length >= _room(scene)):
            length = -(-_WINDOW // scene.bar_units) * scene.bar_units
        name = (scene.key.minor, scene.meter, goal, on_bar, length, fixed)
        found = self._kept.pop(name, None)
        if found is None:
            found = PhraseAhead(self, scene, length, goal, fixed, on_bar)
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
        self._kept[name] = found  # the last one again: those not asked for lately go first
        return found


def _room(scene: HarmonyScene) -> int:
    """Units of the shortest phrase whose closing chord can begin on a beat, after another, and rest."""
    beat = scene.meter.beat_div // scene.unit
    return beat + max(beat, 2)


class PhraseAhead:
    """Messages of one phrase, or of the last bars of phrases that are longer; units count from where they begin.

    Args:
        tables: the surrogate.
        scene: for mode and meter only.
        length: units, whole bars.
        goal: how it must end, or None.
        fixed: chords that must sound, onsets from the phrase's start.
        on_bar: the closing chord begins a bar.
    """

    def __init__(
        self,
        tables: HarmonyTables,
        scene: HarmonyScene,
        length: int,
        goal: Goal | None,
        fixed: tuple[Placed, ...],
        on_bar: bool = False,
    ) -> None:
        self.length = length
        self.goal = goal
        beat = scene.meter.beat_div // scene.unit
        self.rest = max(beat, 2)
        self.beat = scene.bar_units if on_bar else beat
        self.anywhere = (goal is not None and goal.anywhere) or length < _room(scene)
        self.limits = _limits(length, fixed)
        self.forced: list[int] = [-1] * length
        for onset, duration, symbol in fixed:
            self.forced[onset : onset + duration] = [symbol] * duration
        minor = int(scene.key.minor)
        self.seen = tables.seen[minor]
        symbols = sorted({*np.flatnonzero(self.seen).tolist(), *(f[2] for f in fixed), *(goal.targets if goal else ())})
        self.symbols = np.array(symbols)
        self.index = {symbol: i for i, symbol in enumerate(symbols)}
        self.bound = bool(fixed)
        self.stars = {s: len(symbols) + k for k, s in enumerate(goal.targets)} if goal else {}
        self._rows: dict[tuple[int, int], Float[np.ndarray, " size"]] = {}
        self._free = goal is None and not fixed
        if not self._free:
            targets = np.array([self.index[s] for s in self.stars], dtype=np.int64)
            givers = self._giver_rows(targets)
            if goal is not None and not fixed and self.seen[self.symbols].all():
                leads = np.isin(np.arange(len(symbols)), givers)
                half = goal.givers is None
                self.beta, self.gamma, self.kinds = reach_back(length, leads, targets, half, self.may_enter)
                return
            moves = np.maximum(tables.moves[minor][np.ix_(self.symbols, self.symbols)], 1e-9)
            self._pass_back(tables, meter_class(scene.meter), scene.bar_units, moves, targets, givers)
            self.beta, self.gamma = _kept_above_zero(self.beta), _kept_above_zero(self.gamma)
            self.kinds = np.arange(len(self.beta))

    @property
    def feasible(self) -> bool:
        """Whether any walk keeps all of it."""
        return self._free or bool(self.symbol_weights(0, 1 if self.goal and self.goal.givers is None else 0).any())

    def may_enter(self, unit: int) -> bool:
        """Whether the closing chord may begin at this unit."""
        return self.anywhere or (unit % self.beat == 0 and self.length - unit >= self.rest)

    def _pass_back(
        self,
        tables: HarmonyTables,
        meter: int,
        bar_units: int,
        moves: Float[np.ndarray, "symbols symbols"],
        targets: Int[np.ndarray, " targets"],
        givers: Int[np.ndarray, " givers"],
    ) -> None:
        size = len(self.symbols)
        from_givers = moves[givers]
        states = size + len(targets)
        # beta[state, unit]; zeros beyond the end, so that a slice of it is the durations that fit.
        self.beta = np.zeros((states, self.length + 1 + MAX_UNITS))
        self.beta[size:, self.length] = 1.0
        if self.goal is None:
            self.beta[:, self.length] = 1.0
        self.gamma = np.zeros((self.length, states))
        self.scale = np.zeros(self.length + 1 + MAX_UNITS)  # logarithm of what each unit's beta was divided by
        to_targets = moves[targets]
        alone = to_targets[np.arange(len(targets)), targets]
        others = to_targets.copy()
        others[np.arange(len(targets)), targets] = 0.0
        for unit in range(self.length - 1, -1, -1):
            place = min(unit % bar_units, POSITIONS - 1)
            gamma = self._gamma(unit, tables.durations[meter, place])
            self.gamma[unit] = gamma
            if unit == 0:
                return
            plain, stars = gamma[:size], gamma[size:]
            closing = plain.copy()
            closing[targets] = stars
            entered = closing if self.may_enter(unit) else plain
            half = self.goal is not None and self.goal.givers is None
            beta = self.beta[:, unit]
            beta[:size] = moves @ (entered if half else plain)
            beta[givers] = from_givers @ (plain if half else entered)
            beta[size:] = to_targets @ closing if half else others @ plain + alone * stars
            if self.bound:
                top = beta.max()
                if top <= 0:
                    return  # nothing gets through: the phrase is not feasible
                beta /= top
                np.maximum(beta, _LEAST, out=beta, where=beta > 0)
                self.scale[unit] = np.log(top) + self.scale_of_gamma

    def _giver_rows(self, targets: np.ndarray) -> np.ndarray:
        """Rows that move otherwise than most: the givers, or of a half cadence the targets themselves."""
        if self.goal is None or self.goal.givers is None:
            return targets
        return np.array(sorted(self.index[s] for s in self.goal.givers if s in self.index), dtype=np.int64)

    def _gamma(self, unit: int, durations: Float[np.ndarray, " units"]) -> Float[np.ndarray, " states"]:
        """Chance of each symbol that begins here, all durations that fit together."""
        most = min(self.limits[unit] - unit, MAX_UNITS)
        shares = durations[:most] / durations[:most].sum()
        self.scale_of_gamma = 0.0
        if self.bound:
            scale = self.scale[unit + 1 : unit + 1 + most]
            self.scale_of_gamma = float(scale.max())
            shares = shares * np.maximum(np.exp(scale - self.scale_of_gamma), _LEAST)
        gamma = self.beta[:, unit + 1 : unit + 1 + most] @ shares
        forced = self.forced[unit]
        if forced >= 0:
            kept = [self.index[forced], *([self.stars[forced]] if forced in self.stars else [])]
            only = np.zeros_like(gamma)
            only[kept] = gamma[kept]
            return only
        if len(unseen := np.flatnonzero(~self.seen[self.symbols])):
            gamma[unseen] = 0.0
            for symbol, state in self.stars.items():
                if not self.seen[symbol]:
                    gamma[state] = 0.0
        return gamma

    def symbol_weights(self, unit: int, variant: int) -> Float[np.ndarray, " size"]:
        """Weight of each symbol at a unit.

        Args:
            unit: where it would begin.
            variant: 0 no symbol closes; 1 the targets do, where they may begin; 2 they do, lasting on (half cadence);
                3 + k: the k-th target does, lasting on.
        """
        found = self._rows.get((unit, variant))
        if found is None:
            found = np.zeros(SYMBOLS, dtype=np.float32 if self.bound else np.float64)
            if self._free or unit < 0:
                found[self.symbols] = 1.0
            else:
                gamma, size = self.gamma[unit, self.kinds], len(self.symbols)
                found[self.symbols] = gamma[:size]
                targets = list(self.stars)
                closing = targets if variant == 2 or (variant == 1 and self.may_enter(unit)) else []
                for symbol in [targets[variant - 3]] if variant > 2 else closing:
                    found[symbol] = gamma[self.stars[symbol]]
            self._rows[unit, variant] = found
        return found

    def duration_weights(self, unit: int, state: int) -> Float[np.ndarray, " size"]:
        """Weight of each duration of a chord that begins at a unit, by the state that it puts the phrase in."""
        if self._free or unit < 0:
            return _FITTING[min(self.length - unit, MAX_UNITS)]
        row = self.beta[self.kinds[state], unit + 1 : unit + 1 + MAX_UNITS]
        if self.bound:
            most = self.limits[unit] - unit
            scale = self.scale[unit + 1 : unit + 1 + MAX_UNITS]
            factor = np.maximum(np.exp(scale - scale[:most].max()), _LEAST)
            row = np.where(row > 0, np.maximum(row * factor, _LEAST), 0.0)
            row[most:] = 0.0
        return row

    def closes(self, tokens: Sequence[Placed], first: int, start: int, onset: int, symbol: int) -> bool:
        """Whether `symbol` at `onset` (units of the section) is the closing chord or its continuation.

        Args:
            tokens: the section's tokens before it, of which the phrase's begin at index `first`.
            start: unit of the section at which these messages begin.
        """
        goal = self.goal
        if goal is None or symbol not in self.stars:
            return False
        index = len(tokens) - 1
        while index >= first and (
            tokens[index][2] == symbol or (goal.givers is None and tokens[index][2] in self.stars)
        ):
            onset = tokens[index][0]
            index -= 1
        if goal.givers is not None and (index < first or tokens[index][2] not in goal.givers):
            return False
        return self.may_enter(onset - start)

    def weights(self, walker: HarmonyWalker) -> Float[np.ndarray, " size"]:
        """Weights of what the walker asks for, which stands in this phrase."""
        start, tokens, first = walker.phrase_end_unit - self.length, walker.tokens, walker.first_token
        unit = walker.onset_unit - start
        goal, symbol = self.goal, walker.symbol
        if symbol is not None:
            if self.closes(tokens, first, start, walker.onset_unit, symbol):
                return self.duration_weights(unit, self.stars[symbol])
            state = self.index.get(symbol)
            return _FITTING[0] if state is None else self.duration_weights(unit, state)
        if goal is None:
            return self.symbol_weights(unit if self.bound else -1, 0)
        previous = walker.previous
        half = goal.givers is None
        variant = 1 if half else 0
        if previous is not None:
            if previous in self.stars:
                last_on = self.closes(tokens[:-1], first, start, tokens[-1][0], previous)
                variant = (2 if half else 3 + self.stars[previous] - len(self.symbols)) if last_on else 0
            elif goal.givers is not None:
                variant = int(previous in goal.givers)
        return self.symbol_weights(max(unit, -1), variant if unit >= 0 else 0)


def _kept_above_zero(chances: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """In single precision, where what is possible stays possible."""
    return np.where(chances > 0, np.maximum(chances, _LEAST), 0.0).astype(np.float32)


def _prefixes() -> Float[np.ndarray, "lengths units"]:
    rows = np.tril(np.ones((MAX_UNITS + 1, MAX_UNITS)), -1)
    rows.flags.writeable = False
    return rows


_FITTING = _prefixes()  # row n: durations of up to n units


def _limits(length: int, fixed: tuple[Placed, ...]) -> list[int]:
    """For each unit, where a token that begins there must have ended: the next border of a fixed chord, or the end."""
    borders = sorted({length, *(f[0] for f in fixed), *(f[0] + f[1] for f in fixed)})
    limits: list[int] = []
    for border in borders:
        limits += [border] * (border - len(limits))
    return limits


class HarmonyLimits:
    """Keeps the phrases' lengths and cadences and the chords that are fixed.

    A chord that is fixed sounds over all of its place; where a neighbour that was drawn is the same chord, the two are
    one when the walk is decoded. Fixed chords off the grid are rounded to it, which
    `planner.harmony_symbols.with_fixed` mends.

    Args:
        scene: the section.
        fixed: chords that must sound, in order; there may be gaps between them.
        tables: the surrogate.
        on_bar: phrases whose closing chord begins a bar, where that is possible.

    Raises:
        RequestError: fixed chords that overlap, leave the section, or cannot make the cadence that is asked for.
    """

    def __init__(
        self,
        scene: HarmonyScene,
        fixed: tuple[Chord, ...],
        tables: HarmonyTables,
        on_bar: frozenset[int] = frozenset(),
    ) -> None:
        self.scene = scene
        placed = _placed_wishes(scene, fixed)
        self._phrases: list[PhraseAhead] = []
        self._has_fixed: list[bool] = []
        start = 0
        for index, end in enumerate(scene.ends):
            inside = tuple(
                (max(onset, start) - start, min(onset + length, end) - max(onset, start), symbol)
                for onset, length, symbol in placed
                if onset < end and onset + length > start
            )
            holds = not inside and end - start >= 2 * scene.bar_units  # what leads to it needs a bar of its own
            ahead = tables.ahead(scene, index, inside, on_bar=holds and index in on_bar)
            if not ahead.feasible:
                ahead = tables.ahead(scene, index, inside)
            if not ahead.feasible:
                ahead = tables.ahead(scene, index, inside, lenient=True)
            if not ahead.feasible:
                raise RequestError(_contradiction(scene, index, start, inside))
            self._phrases.append(ahead)
            self._has_fixed.append(bool(inside))
            start = end

    def weights(self, walker: HarmonyWalker) -> Float[np.ndarray, " size"]:
        """Weight of each value that the walker asks for: 0 exactly where the section cannot be completed any more.

        The network is told the cadence and how far it is, so to weigh these once more would count them twice (it made
        a fifth fewer chords than people's); it is not told of fixed chords, which the surrogate's chances speak for.
        """
        found = self._phrases[walker.phrase].weights(walker)
        if self._has_fixed[walker.phrase]:
            return found
        if found.dtype != np.float64:
            found = (found > 0).astype(np.float64)
        if self.scene.number == walker.onset_unit == 0 and walker.field == SYMBOL:
            return found * openings(self.scene.key.minor)
        return found


def _placed_wishes(scene: HarmonyScene, fixed: tuple[Chord, ...]) -> list[Placed]:
    unit, name = scene.unit, f"section {scene.label}"
    placed: list[Placed] = []
    reached = 0
    for chord in fixed:
        figure = named(symbol_of(chord.root, chord.quality, chord.bass, scene.key), scene.key)[3]
        if chord.onset_div < reached:
            raise RequestError(f"{name}: chord {figure} at {chord.onset_div} overlaps the fixed chord before it")
        reached = chord.onset_div + chord.duration_div
        if reached > scene.ends[-1] * unit:
            raise RequestError(f"{name}: chord {figure} at {chord.onset_div} lasts beyond the section's end")
        start, end = (chord.onset_div + unit // 2) // unit, (reached + unit // 2) // unit
        if end > start:
            placed.append((start, end - start, symbol_of(chord.root, chord.quality, chord.bass, scene.key)))
    return placed


def _contradiction(scene: HarmonyScene, index: int, start: int, fixed: tuple[Placed, ...]) -> str:
    onset, _, symbol = fixed[-1]
    figure = named(symbol, scene.key)[3]
    bar = (start + onset) // scene.bar_units + 1
    return (
        f"section {scene.label}: phrase {index + 1} cannot close with cadence {scene.cadences[index]} "
        f"where chord {figure} is fixed in bar {bar}"
    )
