"""Themes: a singable line over the first chords of a letter's section.

The pitches are a chain drawn exactly (forward filter, backward sampling), two bars at a time: chord tones where the
bar is strong, other notes by step only, a planned contour, sevenths that fall, and, where the motive's rhythm comes
back, its steps too. Of several lines the most song-like one is kept. The rules are those of any counterpoint primer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from music.pitch import Key
from music.plan import Chord, PlanNote, Theme
from music.time import DIVS_PER_QUARTER, Meter
from planner.dice import pick
from planner.rhythm import Bar, closing_bar, draw_rhythm

# Lowest and highest pitch of a theme and the pitch about which it moves.
RANGES = {"piano": (60, 84, 72), "satb": (60, 79, 69), "quartet": (62, 86, 73)}
# Weight of a melodic interval by its size in semitones.
_INTERVALS = np.array([0.3, 1.2, 1.3, 0.6, 0.5, 0.35, 0.0, 0.16, 0.05, 0.06, 0.0, 0.0, 0.05])
_ENDINGS = {
    "PAC": {0: 1.0},
    "IAC": {4: 1.0, 3: 1.0, 7: 0.5},
    "HC": {2: 1.0, 11: 0.7, 7: 0.4},
    "DC": {0: 1.0, 3: 0.3, 4: 0.3},
}
_CONTOURS = {
    "arch": (-3.0, 2.0, 5.0, 1.0, -2.0),
    "fall": (4.0, 5.0, 2.0, 0.0, -3.0),
    "rise": (-4.0, -2.0, 0.0, 4.0, 2.0),
    "wave": (0.0, 4.0, 0.0, 5.0, 0.0),
    "cup": (3.0, -1.0, -2.0, 2.0, 4.0),
}
_CONTOUR_SPREAD = 3.5
_TRIES = 6
_MOTIVE = 8.0  # how much more likely a step of the motive is where its rhythm returns


@dataclass(frozen=True)
class ThemeWish:
    """What a theme must suit.

    Args:
        label: letter.
        key: of its section.
        meter, tempo_qpm: of the plan, the tempo at that section.
        bars: its length.
        chords: of its section.
        cadence: with which it closes, None if it does not.
        ensemble: one of `music.plan.ENSEMBLES`; gives the range.
        density: notes a beat.
        shift: semitones above (or below) the ensemble's usual height.
        contour: one of the named contours.
        upbeat: whether it starts before the bar.
    """

    label: str
    key: Key
    meter: Meter
    tempo_qpm: float
    bars: int
    chords: tuple[Chord, ...]
    cadence: str | None
    ensemble: str
    density: float
    shift: float = 0.0
    contour: str = "arch"
    upbeat: bool = False


CONTOURS = tuple(_CONTOURS)


@dataclass(frozen=True)
class _Place:
    """A note before its pitch: clock, the pitch classes of the chord that it starts under and of that it ends under."""

    onset: int
    duration: int
    strong: bool
    pcs: tuple[int, ...]
    last_pcs: tuple[int, ...]
    motive: int | None


def make_theme(wish: ThemeWish, rng: np.random.Generator, avoid: Sequence[Bar] = ()) -> tuple[Theme, Bar]:
    """A theme, and its motive's rhythm (for the other themes to avoid)."""
    beat = wish.meter.beat_div
    shortest = _shortest_div(wish)
    rest = beat if wish.upbeat else 0
    closing = closing_bar(wish.meter, rest) if wish.cadence is not None or wish.upbeat else None
    rhythm = draw_rhythm(rng, wish.meter, wish.bars, wish.density, shortest, closing, avoid)
    places = _places(wish, rhythm)
    best = max(_Space(wish, places).lines(_TRIES, rng), key=lambda line: _song(line, places))
    notes = [PlanNote(p.onset, p.duration, pitch) for p, pitch in zip(places, best, strict=True)]
    if wish.upbeat:
        notes.insert(0, PlanNote(-beat, beat, _upbeat_pitch(best[0], wish.key, rng)))
    return Theme(wish.label, wish.bars, wish.key, tuple(notes)), rhythm[0]


def _shortest_div(wish: ThemeWish) -> int:
    """The shortest note that a theme may have at its tempo: a ninth of a second, a sixteenth at the least."""
    sixteenth = DIVS_PER_QUARTER // 4
    seconds = 60 / wish.tempo_qpm / 4
    shortest = sixteenth if seconds >= 0.11 else 2 * sixteenth
    return min(shortest, wish.meter.beat_div)


def _places(wish: ThemeWish, rhythm: Sequence[Bar]) -> list[_Place]:
    places = []
    for number, bar in enumerate(rhythm):
        known = number >= 2 and bar == rhythm[0]
        for index, beat in enumerate(bar):
            onset = number * wish.meter.bar_div + beat.offset_div
            strong = wish.meter.strength(beat.offset_div) >= 0.5 or beat.duration_div >= wish.meter.beat_div
            end = onset + beat.duration_div - 1
            pcs, last_pcs = _chord_at(wish.chords, onset).pcs, _chord_at(wish.chords, end).pcs
            strong = strong or (number == len(rhythm) - 1 and index == len(bar) - 1)  # it ends on a note of its chord
            places.append(_Place(onset, beat.duration_div, strong, pcs, last_pcs, index if known else None))
    return places


def _chord_at(chords: Sequence[Chord], onset: int) -> Chord:
    return next(c for c in reversed(chords) if c.onset_div <= onset)


@cache
def scale_under(key: Key, pcs: tuple[int, ...]) -> frozenset[int]:
    """Pitch classes to sing over a chord: the key's scale, the chord's altered notes in place of plain ones."""
    plain = {key.step_of(pc): pc for pc in key.scale}
    if key.minor and key.leading_tone in pcs:
        plain[key.step_of(key.leading_tone)] = key.leading_tone
    altered = {key.step_of(pc): pc for pc in pcs if pc not in key.scale}
    return frozenset((plain | altered).values()) | frozenset(pcs)


@cache
def _mask(pcs: frozenset[int] | tuple[int, ...], low: int, high: int) -> Bool[np.ndarray, " pitches"]:
    """Which pitches from `low` to `high` belong to these pitch classes."""
    table = np.zeros(12, dtype=bool)
    table[list(pcs)] = True
    return table[np.arange(low, high + 1) % 12]


class _Space:
    """The pitches that a theme may take, with the weights of taking them and of moving between them."""

    def __init__(self, wish: ThemeWish, places: list[_Place]) -> None:
        self.low, self.high, middle = RANGES[wish.ensemble]
        self.wish = wish
        self.places = places
        self.lead = wish.key.leading_tone
        self.pitches = np.arange(self.low, self.high + 1)
        self.middle = middle + wish.shift
        self.rise = self.pitches[None, :] - self.pitches[:, None]
        self.size = np.abs(self.rise)
        self.step = (self.size >= 1) & (self.size <= 2)
        known = self.size < len(_INTERVALS)
        self.intervals = np.where(known, _INTERVALS[np.minimum(self.size, len(_INTERVALS) - 1)], 0.0)
        self.steps = _steps(wish.key, self.low, self.high)
        self.weights = [self._weights(i) for i in range(len(places))]
        # No augmented second between the lowered sixth and the leading tone in minor.
        pair = (
            self.mask((self.lead, (self.lead + 9) % 12)) if wish.key.minor else np.zeros(len(self.pitches), dtype=bool)
        )
        self.augmented = pair[:, None] & pair[None, :] & (self.size == 3)
        self.moves = [self._moves(i) if i else self.intervals for i in range(len(places))]

    def mask(self, pcs: frozenset[int] | tuple[int, ...]) -> Bool[np.ndarray, " pitches"]:
        """Which of the pitches belong to these pitch classes."""
        return _mask(pcs, self.low, self.high)

    def lines(self, count: int, rng: np.random.Generator) -> list[list[int]]:
        """So many lines, the second half of each after its first, whose motive it then knows."""
        end = len(self.places)
        half = next((i for i, p in enumerate(self.places) if p.onset >= 2 * self.wish.meter.bar_div), end)
        filtered, moves = self._filter(0, half, None, ())
        found = []
        for _ in range(count):
            line = self._sample(filtered, moves, rng)
            if half < end:
                motive = tuple(int(self.steps[a, b]) for a, b in pairwise(line))
                line = line + self._sample(*self._filter(half, end, line[-1], motive), rng)
            found.append([int(self.pitches[i]) for i in line])
        return found

    def _filter(
        self, start: int, end: int, previous: int | None, motive: tuple[int, ...]
    ) -> tuple[list[Float[np.ndarray, " pitches"]], list[Float[np.ndarray, "pitches pitches"]]]:
        """Forward weights of the places from `start` to `end`, and the moves between them."""
        forward = self.weights[start]
        if previous is not None:
            forward = forward * (self.moves[start][previous] + 1e-9)
        filtered, moves = [forward], []
        for i in range(start + 1, end):
            move = self.moves[i]
            place = self.places[i]
            if place.motive and place.motive - 1 < len(motive):
                move = np.where(self.steps == motive[place.motive - 1], move * _MOTIVE, move)
            reached = (filtered[-1] @ move) * self.weights[i]
            if reached.sum() <= 0:  # no line keeps every rule here: keep the chord tones, give up the steps
                move = self.intervals + 1e-6
                reached = (filtered[-1] @ move) * self.weights[i]
            filtered.append(reached / reached.sum())
            moves.append(move)
        return filtered, moves

    def _sample(
        self,
        filtered: list[Float[np.ndarray, " pitches"]],
        moves: list[Float[np.ndarray, "pitches pitches"]],
        rng: np.random.Generator,
    ) -> list[int]:
        chosen = [_draw(filtered[-1], rng)]
        for i in range(len(moves) - 1, -1, -1):
            chosen.append(_draw(filtered[i] * moves[i][:, chosen[-1]], rng))
        return chosen[::-1]

    def _weights(self, index: int) -> Float[np.ndarray, " pitches"]:
        """How well each pitch suits a place: chord, scale, contour, and the close at the end."""
        place = self.places[index]
        key, pcs = self.wish.key, place.pcs
        weights = np.where(self.mask(scale_under(key, pcs)), 0.004 if place.strong else 0.7, 0.0)
        weights = np.where(self.mask(pcs), 1.0, weights)
        if len(pcs) == 4:
            weights = np.where(self.mask(pcs[3:]), 0.35, weights)
        if place.last_pcs != pcs:
            weights = weights * np.where(self.mask(place.last_pcs), 1.0, 0.15)
        if index == 0:  # a theme shows its key at once
            weights = weights * np.where(self.mask((key.pc,)), 1.5, np.where(self.mask(((key.pc + 7) % 12,)), 1.2, 0.7))
        if index == len(self.places) - 1 and self.wish.cadence is not None:
            wanted = _ENDINGS[self.wish.cadence]
            weights = weights * (np.array([wanted.get((p - key.pc) % 12, 0.0) for p in self.pitches.tolist()]) + 1e-6)
        points = _CONTOURS[self.wish.contour]
        at = place.onset / (self.wish.bars * self.wish.meter.bar_div) * (len(points) - 1)
        left = min(int(at), len(points) - 2)
        target = self.middle + points[left] + (at - left) * (points[left + 1] - points[left])
        return weights * np.exp(-(((self.pitches - target) / _CONTOUR_SPREAD) ** 2) / 2)

    def _moves(self, index: int) -> Float[np.ndarray, "pitches pitches"]:
        """Weights of the moves into the place `index` from the one before."""
        before, place = self.places[index - 1], self.places[index]
        foreign = ~self.mask(before.pcs)[:, None] | ~self.mask(place.pcs)[None, :]
        weights = np.where(foreign & ~self.step, 0.0, self.intervals)
        if min(before.duration, place.duration) < self.wish.meter.beat_div // 2:
            weights = np.where(self.size > 4, weights * 0.15, weights)
        if len(before.pcs) == 4:  # sevenths fall
            falls = (self.rise <= 0) & (self.size <= 2)
            weights = np.where(self.mask(before.pcs[3:])[:, None] & ~falls, 0.0, weights)
        if self.lead in before.pcs and before.pcs != place.pcs:  # the leading tone rises when its chord moves on
            weights = np.where(self.mask((self.lead,))[:, None] & (self.rise != 1), weights * 0.1, weights)
        altered = tuple(pc for pc in before.pcs if pc not in self.wish.key.scale and pc != self.lead)
        if altered and before.pcs != place.pcs:  # an altered note goes on by step when its chord resolves
            weights = np.where(self.mask(altered)[:, None] & ~self.step, weights * 0.03, weights)
        return np.where(self.augmented, 0.0, weights)


def _draw(weights: Float[np.ndarray, " n"], rng: np.random.Generator) -> int:
    total = np.cumsum(weights)
    if total[-1] <= 0:
        return int(rng.integers(len(weights)))
    return int(min(np.searchsorted(total, rng.random() * total[-1], side="right"), len(weights) - 1))


def _degree(pitch: int, key: Key) -> int:
    """Steps of the scale from the tonic below middle C up, altered notes with their letter."""
    letters = "CDEFGAB"
    step = letters.index(key.step_of(pitch)) - letters.index(key.tonic[0])
    return round((pitch - key.pc - (step % 7) * 12 / 7) / 12) * 7 + step % 7


@cache
def _steps(key: Key, low: int, high: int) -> Int[np.ndarray, "pitches pitches"]:
    """Steps of the scale from each pitch between `low` and `high` to each other."""
    degrees = np.array([_degree(pitch, key) for pitch in range(low, high + 1)])
    return degrees[None, :] - degrees[:, None]


def _song(line: Sequence[int], places: Sequence[_Place]) -> float:
    """How song-like a line is: leaps that turn back, one summit, a fair range, more steps than leaps."""
    moves = [b - a for a, b in pairwise(line)]
    score = 0.0
    for left, right in pairwise(moves):
        if abs(left) >= 5:
            score += 0.7 if left * right < 0 and abs(right) <= 4 else -0.7
        if left == right == 0:
            score -= 0.5
        if abs(left) >= 3 and abs(right) >= 3 and left * right > 0 and abs(left + right) not in (7, 12, 8, 9):
            score -= 0.8
    top = max(line)
    score -= 0.5 * (line.count(top) - 1)
    span = top - min(line)
    score -= 0.25 * max(0, 7 - span) + 0.25 * max(0, span - 14)
    # A line that comes home by a leap, or ends on its summit, sounds unfinished.
    score -= 0.8 * max(0, abs(moves[-1]) - 4) / 3 + (0.8 if line[-1] == top else 0.0) if moves else 0.0
    score += min(4, len(set(line))) * 0.4
    wide = sum(abs(move) > 4 for move in moves)
    score -= 1.5 * max(0.0, wide / max(1, len(moves)) - 0.25) * 4
    turns = sum(1 for a, b in pairwise(moves) if a * b < 0)
    score -= 1.5 * max(0.0, turns / max(1, len(moves)) - 0.5)
    foreign = sum(p % 12 not in place.pcs and place.strong for p, place in zip(line, places, strict=True))
    return score - 1.5 * foreign


def _upbeat_pitch(first: int, key: Key, rng: np.random.Generator) -> int:
    """The note before the first: the dominant below it, another note of the tonic chord, or the step below."""
    third = (key.pc + (3 if key.minor else 4)) % 12
    weights = {(key.pc + 7) % 12: 4.0, key.pc: 1.5, third: 1.0}
    below = [p for p in range(first - 1, first - 10, -1) if p % 12 in weights and first - p != 6]
    step = next(p for p in range(first - 1, first - 4, -1) if p % 12 in key.scale or p % 12 == key.leading_tone)
    return pick(rng, (*below, step), (*(weights[p % 12] for p in below), 1.0))
