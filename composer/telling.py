"""What the network is told of each phrase when it begins: references, fixed notes, how like its model a bar is to be.

A plan's columns are known from the start (`composer.conditions`). What a section returns to is known only when that has
been written, so references and copies are told phrase by phrase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from composer.conditions import (
    ATTACK,
    FIELD,
    FREE,
    GROUPS,
    HOLD,
    LOOK_AHEAD,
    NO_REFERENCE,
    OFF,
    STATEMENT,
    THEME,
    Conditions,
    drop_groups,
    empty_conditions,
    plan_context,
)
from composer.given import Given
from composer.links import LinkCells, link_cells, set_link, without_link
from composer.roll import LOWEST_PITCH, PITCHES, step_div
from composer.transfer import chord_classes, moved_class, nearest, same_harmony, take
from composer.upbeat import with_upbeat_chord
from music.pitch import Key
from music.plan import Phrase, Plan, Theme

# Sounding range by ensemble, MIDI; the net is not asked about pitches outside it.
RANGES = {"piano": (33, 93), "satb": (40, 81), "quartet": (36, 93)}
USUAL_VARIATION = 0.15  # of a return whose plan asks for none
PHRASE_VARIATION = 0.25  # of a phrase whose idea has a prime more than its model's
ALTERED_SHARE = 4 / 3  # bars that a variation alters, as a share, for each 1 of it
_BINS = ((0.0, 0.3, 0.6, 1.0), (3.0, 2.5, 2.0, 0.5))  # variation, mean bin of likeness of an altered bar
CLOSE_DENSITY = 0.6
_LITERAL = 4  # the bin of a copy
_THEME_FITS = 0.6  # least share of a theme's time on tones of the planned chords for it to be set once more
COPY, MELODY, BASS, LOOSE, NEW = range(5)  # what becomes of a bar of the model


@dataclass(frozen=True)
class Span:
    """A phrase on the grid: its section and its own place in it, first step and the step past its last."""

    section: int
    phrase: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Drawn:
    """Notes so far; row 0 is the silence before the piece, row t + 1 is step t."""

    play: Bool[ndarray, "rows 88"]
    articulate: Bool[ndarray, "rows 88"]

    @classmethod
    def silent(cls, steps: int) -> Drawn:
        """Nothing yet, of a piece of so many steps."""
        return cls(np.zeros((steps + 1, PITCHES), dtype=bool), np.zeros((steps + 1, PITCHES), dtype=bool))

    def passage(self, first: int, last: int) -> tuple[Bool[ndarray, "steps 88"], Bool[ndarray, "steps 88"]]:
        """Play and articulate of steps first .. last."""
        return self.play[first + 1 : last + 1], self.articulate[first + 1 : last + 1]


def spans_of(plan: Plan, grid: int) -> list[Span]:
    """The phrases of a plan in order; the upbeat belongs to the first."""
    unit = step_div(grid)
    bar, found = 0, []
    for index, section in enumerate(plan.sections):
        for number, phrase in enumerate(section.phrases):
            first = plan.bar_onset_div(bar) // unit if bar else 0
            bar += phrase.bars
            found.append(Span(index, number, first, plan.bar_onset_div(bar) // unit))
    return found


def bars_to_vary(
    rng: np.random.Generator, free: Bool[ndarray, " bars"], variation: float, *, firm: int = 1
) -> Bool[ndarray, " bars"]:
    """Which bars of a return are altered.

    Args:
        rng: chance.
        free: bars that differ anyhow, since the plan has other chords there; they count as altered.
        variation: 0 none .. 1 all.
        firm: bars at the start that are altered last: a theme is known by its beginning.
    """
    bars = len(free)
    share = min(1.0, ALTERED_SHARE * variation)
    count = int(share * bars + rng.random()) - int(free.sum())
    weights = np.where(free, 0.0, np.where(np.arange(bars) < firm, 0.05, 1.0))
    # Bars in the order of a weighted draw without replacement.
    order = np.argsort(-(rng.random(bars) ** (1 / np.maximum(weights, 1e-9))), kind="stable")
    varied = np.zeros(bars, dtype=bool)
    varied[[b for b in order.tolist() if not free[b]][: max(count, 0)]] = True
    return varied


def similarity_bin(rng: np.random.Generator, variation: float) -> int:
    """The bin of likeness that an altered bar is to have: 3 or 2 at variation 0.3, 2 at 0.6, 1 or 0 at 1."""
    return int(np.clip(np.interp(variation, *_BINS) + rng.random(), 0, _LITERAL - 1))


def spread_density(context: Int[ndarray, "steps fields"]) -> None:
    """Gives each bar of a section that has a density but no bars of its own a share of it, in place.

    A bar in which a cadence comes to rest has `CLOSE_DENSITY` of what the others have; the mean is the section's.
    """
    wanted, bars = context[:, FIELD["density"]], context[:, FIELD["bar_density"]]
    closing = (context[:, FIELD["cadence"]] > 0) & (context[:, FIELD["phrase_left"]] <= context[:, FIELD["bar_steps"]])
    for density in np.unique(wanted[(wanted >= 0) & (bars < 0)]):
        rows = (wanted == density) & (bars < 0)
        rest = float(closing[rows].mean())
        usual = density / (1 - rest * (1 - CLOSE_DENSITY))
        bars[rows] = np.round(np.where(closing[rows], CLOSE_DENSITY * usual, usual))


def _other_closes(phrases: Sequence[Phrase], models: Sequence[Phrase]) -> Bool[ndarray, " bars"]:
    """Bars of the phrases in which a cadence comes that their models, phrase by phrase, have not: the last of each."""
    bars: list[bool] = []
    for index, phrase in enumerate(phrases):
        model = models[index] if index < len(models) else None
        other = phrase.cadence is not None and (
            model is None or (model.bars, model.cadence) != (phrase.bars, phrase.cadence)
        )
        bars += [False] * (phrase.bars - 1) + [other]
    return np.array(bars, dtype=bool)


class Teller:
    """Tells a network the plan of one piece.

    Args:
        plan: the piece.
        grid: steps a quarter.
        styles: tags that the network knows.
        rng: chance of which bars are altered.
        fix_themes: a theme's notes are set at its first statement; else they are only a reference.
        returns: what returns is told its model.
        variation: of every return, in place of the plan's.
        given: notes set in advance; they win over all others.
        nothing: only meter and place in the bar are told.
    """

    def __init__(
        self,
        plan: Plan,
        grid: int,
        styles: Sequence[str],
        rng: np.random.Generator,
        *,
        fix_themes: bool = True,
        returns: bool = True,
        variation: float | None = None,
        given: Given | None = None,
        nothing: bool = False,
    ) -> None:
        self.plan, self.grid, self.rng = plan, grid, rng
        self.steps = plan.end_div // step_div(grid)
        self.bar_steps = plan.meter.bar_div // step_div(grid)
        self.range = RANGES[plan.ensemble]
        context = with_upbeat_chord(plan_context(plan, grid, self.steps + LOOK_AHEAD, styles), plan, grid)
        self.chords = chord_classes(context)
        spread_density(context)
        self.told: Conditions = empty_conditions(drop_groups(context, tuple(GROUPS)) if nothing else context)
        self.fix_themes, self.returns, self.variation, self.nothing = fix_themes, returns, variation, nothing
        self._given = np.zeros_like(self.told.fixed)
        if given is not None:
            self._given[: self.steps] = given.fixed[: self.steps]
        self._theme_steps = np.zeros(self.steps, dtype=bool)
        self._themes_told: set[int] = set()
        self._keep_given()

    def tell(self, span: Span, drawn: Drawn) -> None:
        """Tells what is known when a phrase begins: all before it has been written."""
        if self.nothing:
            return
        plan, section = self.plan, self.plan.sections[span.section]
        returning = section.source is not None and self.returns
        if span.phrase == 0 and returning:
            self._tell_return(span, drawn)
        elif span.phrase == 0:
            self._tell_theme(span.section)
        elif not returning:
            self._tell_idea(span, drawn)
        if span.phrase == len(section.phrases) - 1 and span.section + 1 < len(plan.sections):
            self._announce(span.section + 1, drawn)
            self._tell_link(span.section)
        self._keep_given()

    def _keep_given(self) -> None:
        self.told.fixed[self._given != FREE] = self._given[self._given != FREE]

    def _start(self, section: int) -> int:
        return self.plan.bar_onset_div(self.plan.first_bars[section]) // step_div(self.grid)

    def _announce(self, index: int, drawn: Drawn) -> None:
        """The upbeat to the next section, which is heard in this one's last bar."""
        following = self.plan.sections[index]
        if following.source is None or not self.returns:
            self._tell_theme(index)
            return
        length = self.plan.pickup_div // step_div(self.grid)
        here, there = self._start(index), self._start(following.source)
        if not length:
            return
        chords = self.chords[here - length : here]
        keys = (self.plan.sections[following.source].key, following.key)
        play, struck = take(*drawn.passage(there - length, there), keys, chords, self.range)
        self._fix_line(here - length, play, struck, top=True)

    def _tell_link(self, index: int) -> None:
        """The link to the next section is set as the highest line, unless something is given there."""
        notes = self._link(index)
        if notes and not (self._given[notes[0].first : notes[-1].last] != FREE).any():
            set_link(self.told.fixed, notes)

    def _link(self, index: int) -> list[LinkCells]:
        return link_cells(self.plan, index, self.grid, self.range)

    def _model(self, drawn: Drawn, index: int, source: int) -> Drawn:
        """What was written, save the link of the section that another returns to: from there it led elsewhere."""
        cells, own = self._link(source), self._link(index)
        if not cells:
            return drawn
        until = own[0].first - self._start(index) + self._start(source) if own else self._start(source + 1)
        play, struck = without_link(drawn.play[1:], drawn.articulate[1:], cells, until)
        return Drawn(np.vstack([drawn.play[:1], play]), np.vstack([drawn.articulate[:1], struck]))

    def _tell_return(self, span: Span, drawn: Drawn) -> None:
        section = self.plan.sections[span.section]
        assert section.source is not None
        origin = self.plan.sections[section.source]
        variation = self.variation
        if variation is None:
            variation = USUAL_VARIATION if section.variation is None else section.variation
        theme = self.plan.theme_of(section.theme) if section.theme else None
        bars = min(section.bars, origin.bars)
        keys = (origin.key, section.key)
        closing = _other_closes(section.phrases, origin.phrases)[:bars]
        drawn = self._model(drawn, span.section, section.source)
        self._follow(
            drawn, self._start(span.section), self._start(section.source), keys, variation, closing,
            themed=theme.bars if theme and self.fix_themes else 0,
        )  # fmt: skip

    def _tell_idea(self, span: Span, drawn: Drawn) -> None:
        """A phrase whose idea was heard in this section before: a literal repeat, or with a prime a varied one."""
        section = self.plan.sections[span.section]
        start = self._start(span.section)
        places = start + self.bar_steps * np.cumsum([0, *(p.bars for p in section.phrases)])
        this = section.phrases[span.phrase]
        for number, phrase in enumerate(section.phrases[: span.phrase]):
            if phrase.idea[0] == this.idea[0]:
                variation = 0.0 if phrase.idea == this.idea else PHRASE_VARIATION
                closing = _other_closes((this,), (phrase,))[: phrase.bars]
                keys = (section.key, section.key)
                self._follow(drawn, span.first, int(places[number]), keys, variation, closing)
                return

    def _follow(
        self,
        drawn: Drawn,
        first: int,
        source: int,
        keys: tuple[Key, Key],
        variation: float,
        closing: Bool[ndarray, " bars"],
        themed: int = 0,
    ) -> None:
        """Bars that are modelled on earlier ones.

        Args:
            drawn: what was written.
            first, source: steps at which they and their model begin.
            keys: the model's and theirs.
            variation: 0 exact .. 1 free.
            closing: bars that close in another way than their model.
            themed: bars at the start whose melody is a theme.
        """
        bars = len(closing)
        length = bars * self.bar_steps
        here, there = slice(first, first + length), slice(source, source + length)
        play, struck = take(*drawn.passage(source, source + length), keys, self.chords[here], self.range)
        free = closing | ~same_harmony(self.chords[there], self.chords[here], keys, self.bar_steps)
        varied = bars_to_vary(self.rng, free, variation)
        for bar in range(bars):
            rows = slice(bar * self.bar_steps, (bar + 1) * self.bar_steps)
            start = first + rows.start
            kind = NEW if free[bar] else self._manner(variation, themed=bar < themed) if varied[bar] else COPY
            self._tell_bar(start, play[rows], struck[rows], kind, variation)

    def _manner(self, variation: float, *, themed: bool) -> int:
        """How a bar is altered: under the theme's melody, over the old bass, or throughout.

        The first two are the oldest ways to vary; the farther from the model, the more often neither is kept.
        """
        kept = float(np.interp(variation, (0.0, 0.5, 1.0), (0.9, 0.6, 0.0)))
        if self.rng.random() >= kept:
            return LOOSE
        return MELODY if themed or self.rng.random() < 0.5 else BASS

    def _tell_bar(
        self,
        start: int,
        play: Bool[ndarray, "steps 88"],
        struck: Bool[ndarray, "steps 88"],
        kind: int,
        variation: float,
    ) -> None:
        rows = slice(start, start + len(play))
        busy = (self._given[rows] != FREE).any() or self._theme_steps[rows].any()
        if kind == NEW or self._theme_steps[rows].any():
            return
        told = self.told
        told.reference_play[rows], told.reference_articulate[rows] = play, struck
        told.reference_kind[rows] = STATEMENT
        literal = kind == COPY
        bin_ = _LITERAL if literal else similarity_bin(self.rng, variation)
        told.context[rows, FIELD["similarity"]] = bin_
        if busy:
            return
        if literal:
            told.fixed[rows] = np.where(struck, ATTACK, np.where(play, HOLD, OFF))
        elif kind in (MELODY, BASS):
            self._fix_line(start, play, struck, top=kind == MELODY)

    def _fix_line(
        self, start: int, play: Bool[ndarray, "steps 88"], struck: Bool[ndarray, "steps 88"], *, top: bool
    ) -> None:
        """Sets the highest or lowest notes of a passage, and nothing beyond them."""
        columns = np.arange(PITCHES)
        for step in np.flatnonzero(play.any(axis=1)):
            sounding = np.flatnonzero(play[step])
            edge = int(sounding[-1] if top else sounding[0])
            row = self.told.fixed[start + step]
            row[columns > edge if top else columns < edge] = OFF
            row[edge] = ATTACK if struck[step, edge] else HOLD

    def _tell_theme(self, index: int) -> None:
        section = self.plan.sections[index]
        theme = self.plan.theme_of(section.theme) if section.theme else None
        if theme is None or index in self._themes_told:
            return
        self._themes_told.add(index)
        again = any(s.theme == section.theme for s in self.plan.sections[:index])
        start = self._start(index)
        end = start + min(theme.bars, section.bars) * self.bar_steps
        play, struck, fits = self._theme_rolls(theme, section.key, start, end)
        sounding = np.flatnonzero(play.any(axis=1))
        if len(sounding) == 0:
            return
        first = min(start, int(sounding[0]))
        told = self.told
        told.reference_play[first:end], told.reference_articulate[first:end] = play[first:end], struck[first:end]
        told.reference_kind[first:end] = THEME
        told.context[first:end, FIELD["similarity"]] = -1
        # A theme that comes again over other chords than its own is only suggested where they do not carry it.
        if not self.fix_themes or (again and fits < _THEME_FITS):
            return
        bounds = sorted({first, *range(start, end, self.bar_steps), end})
        for low, high in pairwise(bounds):
            if not (self._given[low:high] != FREE).any():
                self._fix_line(low, play[low:high], struck[low:high], top=True)
                self._theme_steps[low:high] = True

    def _theme_rolls(
        self, theme: Theme, key: Key, start: int, end: int
    ) -> tuple[Bool[ndarray, "steps 88"], Bool[ndarray, "steps 88"], float]:
        """The theme at its place in the piece, and the share of its time on tones of the planned chords."""
        unit = step_div(self.grid)
        shift = nearest(theme.key.pc, key.pc)
        high = max(n.pitch for n in theme.notes) + shift
        low = min(n.pitch for n in theme.notes) + shift
        if high > self.range[1] and low - 12 >= self.range[0]:
            shift -= 12
        play = np.zeros((self.steps, PITCHES), dtype=bool)
        struck = np.zeros_like(play)
        inside = total = 0
        for note in theme.notes:
            first = start + round(note.onset_div / unit)
            last = min(max(start + round((note.onset_div + note.duration_div) / unit), first + 1), end)
            if first < 0 or first >= last:
                continue
            chord = self.chords[first]
            pitch = note.pitch + shift
            pitch += nearest(pitch % 12, moved_class(note.pitch % 12, theme.key, key, chord))
            column = pitch - LOWEST_PITCH
            if not 0 <= column < PITCHES:
                continue
            play[first:last, column] = True
            struck[first, column] = True
            known = self.chords[first:last].any(axis=1)
            inside += int((self.chords[first:last, pitch % 12] | ~known).sum())
            total += last - first
        return play, struck, inside / total if total else 0.0


def has_reference(told: Conditions) -> Bool[ndarray, " steps"]:
    """Steps that have a model."""
    return told.reference_kind != NO_REFERENCE


def free_steps(fixed: Int[ndarray, "steps 88"]) -> Bool[ndarray, " steps"]:
    """Steps in which something is left to draw."""
    return (fixed == FREE).any(axis=1)
