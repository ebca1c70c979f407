"""Order-2 models of a stream's tokens: what the planner's network has to beat.

A token is predicted from two things before it: the two tokens just before, or the token just before and the two last
values of its own field (so that a chord may look at chords, not at their durations). Each prediction is interpolated
with those from less, down to all values alike. An estimate from a context that was met n times, with T different
values of which c were this one, is

    P = (1 - w) (max(c - d, 0) + (k + d T) P_less) / (n + k) + w P_less

with a discount d, a strength k and a weight w for each field and context, chosen on validation tokens (the fraction is
Teh's, "A hierarchical Bayesian language model based on Pitman-Yor processes", 2006; the weight is for counts that are
of another source than what is predicted, however many they are; w = 1 leaves the context out). A context may hold the
style too. Which contexts serve a field best is chosen on the validation tokens as well, so the baseline is as good as
two tokens of memory allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from planner.streams import UNKNOWN, Stream, Tokens

Styled = tuple[str, Tokens]

DISCOUNTS = (0.0, 0.25, 0.5, 0.75, 0.9)
STRENGTHS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 60.0, 150.0, 500.0)
ROUNDS = 2  # of choosing discount and strength, then the weight
WEIGHTS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 1.0)
BALANCE = 0.5  # a style's weight when smoothing is chosen: its number of tokens to this power, as in training

# What a context is made of: s style; 1, 2 the last token and the one before; a, b the field's own last values.
CHAINS: dict[str, tuple[str, ...]] = {
    "tokens": ("", "1", "12"),
    "tokens, style": ("", "s", "1", "s1", "12", "s12"),
    "fields": ("", "1", "1a", "1ab"),
    "fields, style": ("", "s", "1", "s1", "1a", "s1a", "1ab", "s1ab"),
    "own fields": ("", "a", "ab", "1ab"),
    "own fields, style": ("", "s", "a", "sa", "ab", "sab", "1ab", "s1ab"),
}


@dataclass(frozen=True)
class _Flat:
    """Tokens of many walks in one row, each with what stands before it in its walk, as codes (0: nothing)."""

    fields: Int[np.ndarray, " tokens"]
    values: Int[np.ndarray, " tokens"]
    parts: Mapping[str, Int[np.ndarray, " tokens"]]
    base: int  # all codes are below

    def contexts(self, letters: str) -> Int[np.ndarray, " tokens"]:
        """A number for each token that stands for its field and its context."""
        found = self.fields.astype(np.int64)
        for letter in letters:
            found = found * self.base + self.parts[letter]
        return found

    def taken(self, where: np.ndarray) -> _Flat:
        """Some of the tokens."""
        parts = {letter: part[where] for letter, part in self.parts.items()}
        return _Flat(self.fields[where], self.values[where], parts, self.base)


def _flatten(walks: Sequence[Styled], stream: Stream, styles: Sequence[str]) -> _Flat:
    """Codes: 0 nothing, then one for each field's unknown value, then all values of all fields."""
    count = len(stream.fields)
    number = {style: index + 1 for index, style in enumerate(styles)}
    lengths = np.array([len(tokens) for _, tokens in walks], dtype=np.int64)
    fields = np.concatenate([t.fields for _, t in walks] or [np.zeros(0)]).astype(np.int64)
    values = np.concatenate([t.values for _, t in walks] or [np.zeros(0)]).astype(np.int64)
    walk = np.repeat(np.arange(len(walks)), lengths)
    starts = np.array(stream.starts[:-1], dtype=np.int64)
    codes = np.where(values == UNKNOWN, 1 + fields, 1 + count + starts[fields] + values)
    everything = np.arange(len(fields))
    parts = {
        "s": np.repeat([number.get(style, 0) for style, _ in walks], lengths).astype(np.int64),
        "1": _before(codes, walk, everything, 1),
        "2": _before(codes, walk, everything, 2),
        "a": np.zeros(len(fields), dtype=np.int64),
        "b": np.zeros(len(fields), dtype=np.int64),
    }
    for own in range(count):
        places = np.flatnonzero(fields == own)
        parts["a"][places] = _before(codes, walk, places, 1)
        parts["b"][places] = _before(codes, walk, places, 2)
    return _Flat(fields, values, parts, 1 + max(count + stream.vocabulary, len(styles)))


def _before(
    codes: Int[np.ndarray, " tokens"], walk: Int[np.ndarray, " tokens"], places: Int[np.ndarray, " some"], back: int
) -> Int[np.ndarray, " some"]:
    """The codes at the places `back` earlier in the list of places, 0 where that is another walk."""
    found = np.zeros(len(places), dtype=np.int64)
    if len(places) > back:
        here, there = places[back:], places[:-back]
        found[back:] = np.where(walk[here] == walk[there], codes[there], 0)
    return found


@dataclass
class _Level:
    """Counts of one kind of context, and how much each field trusts them.

    Args:
        letters: the context.
        contexts: sorted numbers of those met, `totals` how often, `kinds` with how many different values.
        pairs: sorted numbers of context and value, `counts` how often.
        discount, strength, weight: by field.
    """

    letters: str
    contexts: Int[np.ndarray, " contexts"]
    totals: Float[np.ndarray, " contexts"]
    kinds: Float[np.ndarray, " contexts"]
    pairs: Int[np.ndarray, " pairs"]
    counts: Float[np.ndarray, " pairs"]
    discount: Float[np.ndarray, " fields"]
    strength: Float[np.ndarray, " fields"]
    weight: Float[np.ndarray, " fields"]
    width: int  # above every value

    @classmethod
    def count(cls, flat: _Flat, letters: str, stream: Stream) -> _Level:
        """Counts the tokens."""
        width = max(f.size for f in stream.fields)
        names = flat.contexts(letters)
        contexts, totals = np.unique(names, return_counts=True)
        pairs, counts = np.unique(names * width + flat.values, return_counts=True)
        kinds = np.bincount(np.searchsorted(contexts, pairs // width), minlength=len(contexts))
        as_floats = [a.astype(np.float64) for a in (totals, kinds, counts)]
        smoothing = (np.zeros(len(stream.fields)), np.ones(len(stream.fields)), np.ones(len(stream.fields)))
        return cls(letters, contexts, as_floats[0], as_floats[1], pairs, as_floats[2], *smoothing, width)

    def met(self, flat: _Flat) -> tuple[Float[np.ndarray, " tokens"], ...]:
        """For each token: how often its value was met in its context, how often the context, with how many values."""
        names = flat.contexts(self.letters)
        place = _found(self.contexts, names)
        pair = _found(self.pairs, names * self.width + flat.values)
        known = place >= 0
        totals = np.where(known, self.totals[place], 0.0) if len(self.totals) else np.zeros(len(names))
        kinds = np.where(known, self.kinds[place], 0.0) if len(self.kinds) else np.zeros(len(names))
        counts = np.where(pair >= 0, self.counts[pair], 0.0) if len(self.counts) else np.zeros(len(names))
        return counts, totals, kinds


def _found(ordered: Int[np.ndarray, " known"], wanted: Int[np.ndarray, " tokens"]) -> Int[np.ndarray, " tokens"]:
    """Index of each number among the ordered ones, -1 where it is not."""
    if len(ordered) == 0:
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return np.where(ordered[place] == wanted, place, -1)


def _refined(
    met: tuple[Float[np.ndarray, " tokens"], ...],
    less: Float[np.ndarray, " tokens"],
    discount: float | Float[np.ndarray, " tokens"],
    strength: float | Float[np.ndarray, " tokens"],
    weight: float | Float[np.ndarray, " tokens"],
) -> Float[np.ndarray, " tokens"]:
    """The formula at the head of this file; `less` where the context was never met."""
    counts, totals, kinds = met
    own = (np.maximum(counts - discount, 0.0) + (strength + discount * kinds) * less) / (totals + strength)
    return np.where(totals > 0, (1.0 - weight) * own + weight * less, less)


@dataclass(frozen=True)
class MarkovTokens:
    """An order-2 model of a stream's tokens.

    Args:
        stream: the stream.
        styles: that it was fitted on.
        chains: of `CHAINS`, the contexts from less to more.
        chosen: each field's chain.
        valid: nats a token on the validation tokens, styles weighed as in the fit, for each chain by itself.
    """

    stream: Stream
    styles: tuple[str, ...]
    chains: Mapping[str, Sequence[_Level]] = field(repr=False)
    chosen: tuple[str, ...]
    valid: Mapping[str, float]

    def nats(self, tokens: Tokens, style: str = "") -> Float[np.ndarray, " tokens"]:
        """Negative log-likelihood of each token; 0 where its value is unknown."""
        return self.nats_of([(style, tokens)])[0]

    def nats_of(self, walks: Sequence[Styled], chain: str | None = None) -> list[Float[np.ndarray, " _"]]:
        """The same for many walks at once; with `chain` all fields are predicted by that one."""
        flat = _flatten(walks, self.stream, self.styles)
        known = flat.taken(flat.values != UNKNOWN)
        nats = np.zeros(len(flat.values))
        found = np.zeros(len(known.values))
        names = np.array([chain or name for name in self.chosen])[known.fields]
        for name in set(names.tolist()):
            here = names == name
            found[here] = -np.log(_predicted(self.chains[name], known.taken(here), self.stream))
        nats[flat.values != UNKNOWN] = found
        ends = np.cumsum([len(tokens) for _, tokens in walks])
        return np.split(nats, ends[:-1])


def _uniform(flat: _Flat, stream: Stream) -> Float[np.ndarray, " tokens"]:
    return 1.0 / np.array([f.size for f in stream.fields], dtype=np.float64)[flat.fields]


def _predicted(levels: Sequence[_Level], flat: _Flat, stream: Stream) -> Float[np.ndarray, " tokens"]:
    found = _uniform(flat, stream)
    for level in levels:
        smoothing = (row[flat.fields] for row in (level.discount, level.strength, level.weight))
        found = _refined(level.met(flat), found, *smoothing)
    return found


def fit(train: Sequence[Styled], valid: Sequence[Styled], stream: Stream) -> MarkovTokens:
    """Counts the training tokens and chooses all smoothing on the validation tokens.

    Args:
        train: walks with their styles; for the smoothed grammar, of plans drawn from it.
        valid: walks of held-out real plans.
        stream: of all of them.

    Raises:
        ValueError: no validation token has a known value.
    """
    styles = tuple(sorted({style for style, _ in train}))
    counted = _flatten(train, stream, styles)
    counted = counted.taken(counted.values != UNKNOWN)
    heard = _flatten(valid, stream, styles)
    weights = _weights(valid)[heard.values != UNKNOWN]
    heard = heard.taken(heard.values != UNKNOWN)
    if not len(weights):
        raise ValueError(f"stream {stream.name}: no validation token to choose the smoothing on")
    chains: dict[str, list[_Level]] = {}
    nats: dict[str, Float[np.ndarray, " tokens"]] = {}
    for name, contexts in CHAINS.items():
        chains[name], nats[name] = _chain(contexts, counted, heard, weights, stream)
    by_field = {
        name: np.bincount(heard.fields, weights * row, minlength=len(stream.fields)) for name, row in nats.items()
    }
    chosen = tuple(min(CHAINS, key=lambda name: float(by_field[name][own])) for own in range(len(stream.fields)))
    mean = {name: float(np.average(row, weights=weights)) for name, row in nats.items()}
    return MarkovTokens(stream, styles, chains, chosen, mean)


def _weights(walks: Sequence[Styled]) -> Float[np.ndarray, " tokens"]:
    """Each token's weight, see `BALANCE`."""
    sizes: dict[str, int] = {}
    for style, tokens in walks:
        sizes[style] = sizes.get(style, 0) + len(tokens)
    rows = [np.full(len(tokens), sizes[style] ** (BALANCE - 1.0)) for style, tokens in walks if len(tokens)]
    return np.concatenate(rows) if rows else np.zeros(0)


def _chain(
    contexts: Sequence[str],
    counted: _Flat,
    heard: _Flat,
    weights: Float[np.ndarray, " tokens"],
    stream: Stream,
) -> tuple[list[_Level], Float[np.ndarray, " tokens"]]:
    """The levels of a chain with their smoothing, and the nats of the validation tokens."""
    levels: list[_Level] = []
    found = _uniform(heard, stream)
    for letters in contexts:
        level = _Level.count(counted, letters, stream)
        met = level.met(heard)
        better = found.copy()
        for own in range(len(stream.fields)):
            here = heard.fields == own
            part = (met[0][here], met[1][here], met[2][here])
            smoothing = _smoothing(part, found[here], weights[here])
            level.discount[own], level.strength[own], level.weight[own] = smoothing
            better[here] = _refined(part, found[here], *smoothing)
        levels.append(level)
        found = better
    return levels, -np.log(found)


def _smoothing(
    met: tuple[Float[np.ndarray, " tokens"], ...],
    less: Float[np.ndarray, " tokens"],
    weights: Float[np.ndarray, " tokens"],
) -> tuple[float, float, float]:
    """The discount, strength and weight under which the tokens are likeliest, found by turns."""
    place = np.flatnonzero(met[1] > 0)  # elsewhere nothing changes
    if not len(place):
        return 0.0, 1.0, 1.0
    counts, totals, kinds = (row[place] for row in met)
    less, weights = less[place], weights[place]
    d, k = (np.array(grid)[:, None] for grid in zip(*((d, k) for k in STRENGTHS for d in DISCOUNTS), strict=True))
    own = (np.maximum(counts - d, 0.0) + (k + d * kinds) * less) / (totals + k)
    best, share = 0, 0.0
    for _ in range(ROUNDS):
        if share < 1.0:  # with a weight of 1 all discounts and strengths are the same
            best = int(np.argmax(np.log((1.0 - share) * own + share * less) @ weights))
        w = np.array(WEIGHTS)[:, None]
        share = WEIGHTS[int(np.argmax(np.log((1.0 - w) * own[best] + w * less) @ weights))]
    return float(d[best, 0]), float(k[best, 0]), share
