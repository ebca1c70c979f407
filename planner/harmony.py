"""The chords of a section: drawn phrase by phrase from the syntax, so that each phrase ends in its cadence's chords.

A phrase has slots (one or more a bar, after the harmonic rhythm), of which the last ones are a closing formula; the
slots before it are a Markov chain from the opening to the formula, drawn exactly: filter forward, sample backward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from music.harmony import chord_pcs, parse_figure
from music.harmony import figure as canonical
from music.pitch import Key
from music.plan import Chord, Phrase
from music.time import Meter
from planner.dice import pick
from planner.harmony_tables import Syntax, in_mode, syntax


@dataclass(frozen=True)
class Step:
    """A chord before its key is known: onset and duration in divisions from the section's start, and its figure."""

    onset_div: int
    duration_div: int
    figure: str


_TRIES = 4  # progressions drawn for a phrase, of which the most varied is kept

# How well a chord (pitch classes above the tonic) fits what sounds from an onset for a duration; 1 is indifferent.
Evidence = Callable[[int, int, frozenset[int]], float]


@dataclass(frozen=True)
class Slot:
    """A place for one chord; `strong` where it starts a bar."""

    onset_div: int
    duration_div: int
    strong: bool


def bar_parts(meter: Meter, parts: int) -> list[int]:
    """Lengths in divisions of a bar cut into so many parts (as many as it has beats, at most): longer parts first."""
    beats = meter.beats
    if parts >= beats:
        return [meter.beat_div] * beats
    if parts == 3:
        return [(beats - 2) * meter.beat_div, meter.beat_div, meter.beat_div]
    if parts == 2:
        return [(beats - beats // 2) * meter.beat_div, beats // 2 * meter.beat_div]
    return [meter.bar_div]


class SectionHarmony:
    """Draws the chords of one section.

    Args:
        meter: the plan's.
        minor: mode of the section.
        chords_per_bar: 1 one or two chords a bar, 2 mostly two, 4 a chord on every beat.
        rng: the section's chance.
        evidence: fit of chords to a melody that is given, or None.
    """

    def __init__(
        self,
        meter: Meter,
        minor: bool,
        chords_per_bar: int,
        rng: np.random.Generator,
        evidence: Evidence | None = None,
    ) -> None:
        self.meter = meter
        self.syntax: Syntax = syntax(minor)
        self.rate = chords_per_bar
        self.rng = rng
        self.evidence = evidence
        self._heads: dict[str, list[Step]] = {}

    def draw(self, phrases: Sequence[Phrase], free_start: bool = False) -> list[Step]:
        """The section's steps, without gaps. An idea that returns (a, a') begins with the same chords.

        Args:
            phrases: of the section, in order.
            free_start: the section may begin away from its tonic (a development).
        """
        steps: list[Step] = []
        start = 0
        for index, phrase in enumerate(phrases):
            home = (index == 0 and not free_start) or phrase.idea[0] == phrases[0].idea[0]
            steps += self._phrase(phrase, start, "home" if home else "free")
            start += phrase.bars * self.meter.bar_div
        return merged(steps, [0, *np.cumsum([p.bars * self.meter.bar_div for p in phrases]).tolist()])

    def _phrase(self, phrase: Phrase, start: int, opening: str) -> list[Step]:
        model = self._heads.get(phrase.idea[0])
        slots = self._head_slots(phrase, start, model)
        formula = self._formula(phrase, start, slots)
        if phrase.cadence is not None and phrase.bars == 2:
            slots = slots[:1]
        pinned = self._pinned(model, slots, start)
        follower = formula[0].figure if formula else None
        head = self._chain(slots, opening, pinned, follower)
        self._heads.setdefault(phrase.idea[0], [Step(s.onset_div - start, s.duration_div, s.figure) for s in head])
        return head + formula

    def _head_slots(self, phrase: Phrase, start: int, model: list[Step] | None) -> list[Slot]:
        """Places of the chords before the closing formula; of a known idea, its own rhythm."""
        bars = phrase.bars - 2 if phrase.cadence is not None else phrase.bars
        if bars == 0:  # a phrase of two bars: one chord, then the formula, in its first bar
            parts = bar_parts(self.meter, 3 if self.meter.beats >= 3 else 2)
            return [Slot(start, parts[0], True)]
        slots: list[Slot] = []
        rhythm = [self._parts_of_bar(i, bars) for i in range(min(2, bars))]
        for bar in range(bars):
            onset = start + bar * self.meter.bar_div
            known = [s for s in model or () if start + s.onset_div < onset + self.meter.bar_div]
            known = [s for s in known if start + s.onset_div >= onset]
            whole = sum(s.duration_div for s in known) == self.meter.bar_div
            lengths = [s.duration_div for s in known] if whole else bar_parts(self.meter, rhythm[bar % len(rhythm)])
            for i, length in enumerate(lengths):
                slots.append(Slot(onset, length, i == 0))
                onset += length
        return slots

    def _parts_of_bar(self, bar: int, bars: int) -> int:
        if self.rate >= 4:
            return pick(self.rng, (4, 2), (3, 1))
        if self.rate == 2:
            return pick(self.rng, (2, 1, 3), (4, 1, 0.7))
        quick = 1.2 if bar == bars - 1 and bars > 1 else 0.5  # the rhythm of the chords quickens towards the close
        return pick(self.rng, (1, 2), (1, quick))

    def _formula(self, phrase: Phrase, start: int, slots: list[Slot]) -> list[Step]:
        """The closing formula of a phrase: chords of the last bar but one, then the last chord for a whole bar."""
        if phrase.cadence is None:
            return []
        short = phrase.bars == 2
        room = max(2, min(3, self.meter.beats)) if self.meter.beats > 1 else 1
        room -= 1 if short else 0
        bar = start + (phrase.bars - 2) * self.meter.bar_div
        options: list[list[Step]] = []
        weights: list[float] = []
        for weight, before, last in self.syntax.closes[phrase.cadence]:
            names = before.split()
            if len(names) > max(1, room):
                continue
            lengths = bar_parts(self.meter, len(names) + short)[short:]
            if len(lengths) < len(names):
                continue
            onset = bar + self.meter.bar_div - sum(lengths)
            steps = []
            for name, length in zip(names, lengths, strict=True):
                steps.append(Step(onset, length, name))
                onset += length
            steps.append(Step(onset, self.meter.bar_div, last))
            fit = float(np.prod([self._fit(s.onset_div, s.duration_div, s.figure) for s in steps]))
            options.append(steps)
            weights.append(weight * fit + 1e-12)
        chosen = pick(self.rng, options, weights)
        if short:  # the one chord before the formula fills what it leaves of the bar
            slots[0] = Slot(start, chosen[0].onset_div - start, True)
        return chosen

    def _fit(self, onset: int, duration: int, name: str) -> float:
        if self.evidence is None:
            return 1.0
        root, quality, _ = self.syntax.chords[name]
        return self.evidence(onset, duration, frozenset(chord_pcs(root, quality)))

    def _pinned(self, model: list[Step] | None, slots: list[Slot], start: int) -> list[int | None]:
        """Figures that an idea keeps when it returns: all of its head but the last chord, which leads to the close."""
        places = {(start + s.onset_div, s.duration_div): s.figure for s in model or ()}
        fixed = [places.get((slot.onset_div, slot.duration_div)) for slot in slots]
        return [None if f is None or i == len(slots) - 1 else self.syntax.index[f] for i, f in enumerate(fixed)]

    def _chain(self, slots: list[Slot], opening: str, pinned: list[int | None], follower: str | None) -> list[Step]:
        """Draws a figure for each slot: forward filter, backward sample."""
        syntax_ = self.syntax
        local = [self._local(slot) for slot in slots]
        allowed = [self._allowed(pinned, i) for i in range(len(slots))]
        target = np.ones(len(syntax_.figures)) if follower is None else syntax_.into(follower)
        forward = [syntax_.openings[opening] * local[0] * allowed[0]]
        if forward[0].sum() <= 0:  # a pinned chord that is no opening: it opens here all the same
            forward[0] = local[0] * allowed[0]
        moves = [self._moves(slot, local[i] * allowed[i]) for i, slot in enumerate(slots)]
        for move in moves[1:]:
            reached = forward[-1] @ move
            forward.append(reached / max(reached.sum(), 1e-300))
        weights = forward[-1] * target
        if weights.sum() <= 0:
            if any(p is not None for p in pinned):
                return self._chain(slots, opening, [None] * len(slots), follower)
            weights = forward[-1] if len(slots) > 1 else target * allowed[0]
        drawn = [self._backward(forward, moves, weights) for _ in range(_TRIES)]
        best = max(drawn, key=lambda line: _variety(line, slots))
        return [Step(s.onset_div, s.duration_div, syntax_.figures[i]) for s, i in zip(slots, best, strict=True)]

    def _backward(
        self,
        forward: list[Float[np.ndarray, " figures"]],
        moves: list[Float[np.ndarray, "figures figures"]],
        last: Float[np.ndarray, " figures"],
    ) -> list[int]:
        chosen = [self._draw(last)]
        for i in range(len(forward) - 1, 0, -1):
            chosen.append(self._draw(forward[i - 1] * moves[i][:, chosen[-1]]))
        return chosen[::-1]

    def _local(self, slot: Slot) -> Float[np.ndarray, " figures"]:
        weights = self.syntax.strong if slot.strong else self.syntax.weak
        if self.evidence is None:
            return weights
        return weights * np.array([self._fit(slot.onset_div, slot.duration_div, f) for f in self.syntax.figures])

    def _allowed(self, pinned: list[int | None], index: int) -> Float[np.ndarray, " figures"]:
        size = len(self.syntax.figures)
        value = pinned[index]
        return np.ones(size) if value is None else np.eye(size)[value]

    def _moves(self, slot: Slot, local: Float[np.ndarray, " figures"]) -> Float[np.ndarray, "figures figures"]:
        # A chord may last on from a strong place to a weak one, not over the bar line.
        moves = self.syntax.moves if slot.strong else self.syntax.moves + np.eye(len(local)) * 0.5
        return moves * local[None, :]

    def _draw(self, weights: Float[np.ndarray, " figures"]) -> int:
        total = np.cumsum(weights)
        return int(min(np.searchsorted(total, self.rng.random() * total[-1], side="right"), len(weights) - 1))


def _variety(line: Sequence[int], slots: Sequence[Slot]) -> float:
    """How little a progression circles: figures that differ, no chord pair twice, no chord on three downbeats."""
    pairs = list(pairwise(line))
    downbeats = [figure for figure, slot in zip(line, slots, strict=True) if slot.strong]
    score = 0.5 * len(set(line)) - 1.0 * (len(pairs) - len(set(pairs)))
    return score - 0.7 * sum(a == b for a, b in pairwise(downbeats))


def merged(steps: Sequence[Step], borders: Sequence[int]) -> list[Step]:
    """Joins equal neighbours, save over phrase borders."""
    found: list[Step] = []
    for step in steps:
        if found and found[-1].figure == step.figure and step.onset_div not in borders:
            found[-1] = Step(found[-1].onset_div, found[-1].duration_div + step.duration_div, step.figure)
        else:
            found.append(step)
    return found


def moved(steps: Sequence[Step], was_minor: bool, minor: bool) -> list[Step]:
    """The steps in another key's mode."""
    if was_minor == minor:
        return list(steps)
    return [Step(s.onset_div, s.duration_div, in_mode(s.figure, minor)) for s in steps]


@cache
def _chord(name: str, key: Key) -> tuple[int, str, int, str]:
    """Root, quality, bass and canonical figure of a figure in a key."""
    root, quality, bass = parse_figure(name, key)
    return root, quality, bass, canonical(root, quality, bass, key)


def chords_of(steps: Sequence[Step], key: Key) -> tuple[Chord, ...]:
    """The steps as chords of a key."""
    return tuple(Chord(s.onset_div, s.duration_div, *_chord(s.figure, key)) for s in steps)
