"""Lays a plan's form over the steps of a roll: what is new, what comes back from where, where themes and cadences lie.

Sections and phrases are taken to begin with their upbeat: all begin `pickup_div` before their first downbeat, and the
last one reaches to the end of the piece.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from composer.realise import StepContext
from composer.roll import GRIDS, step_div
from music.pitch import Key
from music.plan import Plan, Section, Theme

FREE_VARIATION = 0.7  # from here on the melody of an altered bar is new too


@dataclass(eq=False)
class Layout:
    """The form on the grid.

    Args:
        source: step that each step repeats, -1 where it is new.
        move: index into `moves` of each repeated step.
        moves: for each pair of keys, the pitch 0..127 that each pitch becomes.
        top_only: of a repeated step only the melody returns.
        melody: MIDI pitch of the theme, -1 for none; only where the step is new.
        struck: the theme's note is struck here.
        close: the chord of a cadence begins.
        rest: the chord of a cadence is held.
    """

    source: Int[ndarray, " steps"]
    move: Int[ndarray, " steps"]
    top_only: Bool[ndarray, " steps"]
    melody: Int[ndarray, " steps"]
    struck: Bool[ndarray, " steps"]
    close: Bool[ndarray, " steps"]
    rest: Bool[ndarray, " steps"]
    moves: list[Int[ndarray, " 128"]] = field(default_factory=list)


def plan_grid(plan: Plan) -> int:
    """The grid (4 or 6 steps a quarter) that more notes of the plan's themes begin on; 4 where both hold as many."""
    onsets = np.array([n.onset_div + plan.pickup_div for t in plan.themes for n in t.notes], dtype=np.int64)
    on_grid = {grid: int((onsets % step_div(grid) == 0).sum()) for grid in GRIDS}
    return 6 if on_grid[6] > on_grid[4] else 4


def key_move(old: Key, new: Key) -> Int[ndarray, " 128"]:
    """The pitch that each pitch becomes when music goes from one key to another, by the nearer way.

    Between the modes the third and sixth change; minor's natural seventh becomes major's leading tone.
    """
    pitch = np.arange(128)
    degree = (pitch - old.pc) % 12
    bend = np.zeros(128, dtype=np.int64)
    if new.minor and not old.minor:
        bend[np.isin(degree, (4, 9))] = -1
    elif old.minor and not new.minor:
        bend[np.isin(degree, (3, 8, 10))] = 1
    return pitch + (new.pc - old.pc + 6) % 12 - 6 + bend


def fold(pitch: int, low: int, high: int) -> int:
    """A pitch moved by octaves into a range of an octave at least."""
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return pitch


class _Builder:
    def __init__(self, plan: Plan, context: StepContext, low: int, high: int, rng: np.random.Generator) -> None:
        self.plan, self.context, self.low, self.high, self.rng = plan, context, low, high, rng
        self.unit = step_div(context.steps_per_quarter)
        steps = context.steps
        self.layout = Layout(
            np.full(steps, -1, dtype=np.int64),
            np.zeros(steps, dtype=np.int64),
            np.zeros(steps, dtype=bool),
            np.full(steps, -1, dtype=np.int64),
            np.zeros(steps, dtype=bool),
            np.zeros(steps, dtype=bool),
            np.zeros(steps, dtype=bool),
        )

    def step(self, bar: int) -> int:
        """Where the upbeat to full bar `bar` begins; the end of the piece for the bar after the last."""
        if bar >= self.plan.bars:
            return self.context.steps
        return round(bar * self.plan.meter.bar_div / self.unit)

    def repeat(self, bar: int, origin: int, bars: int, old: Key, new: Key, variation: float) -> None:
        """Bars `bar …` repeat bars `origin …`; some, by `variation`, only in part; bars with other chords not below."""
        layout = self.layout
        layout.moves.append(key_move(old, new))
        altered = set()
        if variation > 0 and bars > 1:
            count = min(max(round(variation * bars), 1), bars - 1)
            altered = {int(b) for b in self.rng.choice(np.arange(1, bars), size=count, replace=False)}
        for index in range(bars):
            start, origin_start = self.step(bar + index), self.step(origin + index)
            length = min(self.step(bar + index + 1) - start, self.context.steps - start)
            inside = self.step(origin + index + 1) - origin_start
            here = np.arange(start, start + min(length, inside))
            there = here - start + origin_start
            other = self._other_chords(here, there, (new.pc - old.pc) % 12, old.minor == new.minor)
            # A melody that closed over other chords would close wrongly here: the last bar is made anew.
            if (index in altered and variation >= FREE_VARIATION) or (other and index == bars - 1):
                continue
            layout.source[here] = there
            layout.move[here] = len(layout.moves) - 1
            layout.top_only[here] = index in altered or other

    def _other_chords(self, here: ndarray, there: ndarray, shift: int, same_mode: bool) -> bool:
        new, old = self.context.chord[here], np.roll(self.context.chord[there], shift, axis=1)
        known = new.any(axis=1) & old.any(axis=1)
        return same_mode and bool(known.any()) and bool((new != old).any(axis=1)[known].mean() > 0.4)

    def theme(self, theme: Theme, bar: int, bars: int, key: Key) -> None:
        """The theme as melody from bar `bar` on, for `bars` bars at most, in a key."""
        layout, pitches = self.layout, key_move(theme.key, key)
        first, last = self.step(bar), min(self.step(bar + bars), self.context.steps)
        start = self.plan.bar_onset_div(bar)
        moved = [int(pitches[n.pitch]) for n in theme.notes]
        mean = sum(moved) / len(moved)
        octave = fold(round(mean), 62, 79) - round(mean)
        for note, pitch in zip(theme.notes, moved, strict=True):
            onset = round((start + note.onset_div) / self.unit)
            end = max(round((start + note.onset_div + note.duration_div) / self.unit), onset + 1)
            if not first <= onset < last:
                continue
            layout.melody[onset : min(end, last)] = fold(pitch + octave, self.low, self.high)
            layout.struck[onset] = True

    def cadence(self, bar: int, section_end: bool) -> None:
        """The last chord of the phrase before `bar` is struck and held: to its end where a section ends."""
        last, end = max(self.step(bar - 1), round(self.plan.bar_onset_div(bar - 1) / self.unit)), self.step(bar)
        chord = self.context.chord
        start = end - 1
        while start > last and np.array_equal(chord[start - 1], chord[end - 1]):
            start -= 1
        start = min(start, end - 1)
        if not section_end:
            half = self.plan.meter.bar_div // (2 * self.unit)
            end = min(end, start + max(half, 1))
        self.layout.close[start] = True
        self.layout.rest[start + 1 : end] = True

    def section(self, index: int, section: Section) -> None:
        """One section: a return, or new with its theme and its ideas that come back."""
        bar = self.plan.first_bars[index]
        if section.source is not None:
            origin = self.plan.sections[section.source]
            primes = section.label.count("'")
            variation = section.variation if section.variation is not None else min(0.25 * primes, 0.6)
            bars = min(section.bars, origin.bars)
            self.repeat(bar, self.plan.first_bars[section.source], bars, origin.key, section.key, variation)
        else:
            self._ideas(bar, section)
        for phrase in section.phrases:
            bar += phrase.bars
            final = bar == self.plan.bars
            if phrase.cadence or final:
                self.cadence(bar, final or phrase is section.phrases[-1])

    def _ideas(self, bar: int, section: Section) -> None:
        theme = self.plan.theme_of(section.theme) if section.theme else None
        if theme is not None:
            self.theme(theme, bar, section.bars, section.key)
        first = bar
        stated: dict[str, tuple[int, int]] = {}
        for phrase in section.phrases:
            letter = phrase.idea[0]
            earlier = stated.get(letter)
            under_theme = theme is not None and bar < first + theme.bars
            if earlier and not under_theme:
                origin, bars = earlier
                variation = 0.2 * phrase.idea.count("'")
                self.repeat(bar, origin, min(bars, phrase.bars), section.key, section.key, min(variation, 0.6))
            stated.setdefault(letter, (bar, phrase.bars))
            bar += phrase.bars


def lay_out(plan: Plan, context: StepContext, low: int, high: int, rng: np.random.Generator) -> Layout:
    """The form of a plan on its grid.

    Args:
        plan: any plan.
        context: `step_context` of it.
        low, high: range that themes are moved into by octaves.
        rng: picks the bars of a varied return that change.
    """
    builder = _Builder(plan, context, low, high, rng)
    for index, section in enumerate(plan.sections):
        builder.section(index, section)
    return builder.layout
