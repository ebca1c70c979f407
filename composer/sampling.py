"""The learned composer: writes the notes of a plan step by step, and of every phrase keeps the best of several.

Conditions are the same functions as in training (`composer.conditions`, told phrase by phrase in `composer.telling`);
the network is advanced by `composer.stepper`, all candidates of a phrase in lockstep.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from composer.cadence_notes import Closing, closing_of, fix_closing
from composer.candidates import Passage, costs, flaws
from composer.conditions import ATTACK, FIELD, FREE, HOLD, THEME, Conditions
from composer.given import Given
from composer.grammar_masks import Rules, tendency_tones
from composer.realise import realise
from composer.roll import LOWEST_PITCH, PITCHES, Roll, step_div
from composer.stepper import Stepper, StepperState, one_thread
from composer.telling import RANGES, Drawn, Span, Teller, free_steps, spans_of
from composer.warm_start import load_network
from evaluation.originality import RunIndex, shipped_index
from music.errors import RequestError, WeightsError
from music.harmony import QUALITIES
from music.pitch import Key
from music.plan import Plan
from music.score import Score

KIND = "composer/biaxial"
PUSH_LIMIT = 1.5  # in nats
VOICE_PUSH = 1.0  # in nats on new notes for each voice of a choir that fell silent
FIRST_PUSH = 0.3  # the same at the first step, before which all four are silent
THEME_PUSH = 3.0  # in nats on the notes of a theme that is only suggested
VOICE_TRIES = 3  # draws of a frame in which a choir has fewer voices than it should
TRIES = 8  # draws of a downbeat that comes out silent, or of one that goes on with what has sounded for too long
PHRASE_TRIES = 3  # draws of a phrase whose best candidate has a fault that no listener forgives
FAULT = 100.0  # what such a fault costs: more than all else
CHUNK_BARS = 4  # longest stretch that candidates are compared over
BACK_BARS = 2  # bars before a phrase that its faults are looked for with
STUCK_BARS = 1.5  # after so long on one sonority something must move
RULES = {
    "satb": Rules(most_voices=4, parallels=False),
    "quartet": Rules(most_voices=4),
    "piano": Rules(hand_span=14),
}
SHIPPED = Path(__file__).parent / "weights" / "biaxial.safetensors"
_BEAT = 2  # least class of metrical strength that is a beat


@dataclass(frozen=True)
class SamplingConfig:
    """How notes are drawn.

    Args:
        temperature: divides the logits; below 1 safer, above 1 bolder.
        least: a note with a smaller chance than this does not play: sixty pitches with a chance of a few thousandths
            each would strike a wrong note every few steps.
        density_push: how strongly the density of the plan is sought: nats on a new note for a texture that lacks all of
            its notes; 0 leaves it to the network.
        fix_themes: the theme's notes are set at the first statement of its letter, with nothing above them; otherwise
            they are only told to the net as a reference.
        returns: sections and phrases that return are told their model.
        candidates: ways to go on that are drawn for each phrase, of which the best is kept.
        guidance: w of logits = u + w (c - u), with and without the plan; 1 is the network as it is.
        fix_cadences: the bass of a cadence's chords is set, and the soprano's last steps where it is authentic.
        variation: of everything that returns, 0 exact .. 1 free; None as the plan has it.
        longest_run: most successive sonorities that may be shared with a training piece; None for no limit.
        told: "plan", or "nothing": the bare network, to compare with.

    Raises:
        RequestError: a value that makes no sense.
    """

    temperature: float = 1.0
    least: float = 0.02
    density_push: float = 0.0
    fix_themes: bool = True
    returns: bool = True
    candidates: int = 8
    guidance: float = 1.0
    fix_cadences: bool = True
    variation: float | None = None
    longest_run: int | None = 8
    told: str = "plan"

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise RequestError(f"candidates={self.candidates}: at least one is needed")
        if self.temperature <= 0:
            raise RequestError(f"temperature={self.temperature:g} is not above 0")
        if self.variation is not None and not 0 <= self.variation <= 1:
            raise RequestError(f"variation={self.variation:g} is outside 0..1")
        if self.told not in ("plan", "nothing"):
            raise RequestError(f"told={self.told} is neither plan nor nothing")


def choose_plan_grid(plan: Plan) -> int:
    """Steps a quarter for a plan: 6 where a theme needs triplets, else 4."""
    onsets = [n.onset_div for t in plan.themes for n in t.notes]
    return 6 if any(o % step_div(4) for o in onsets) and not any(o % step_div(6) for o in onsets) else 4


class BiaxialComposer:
    """Composer with learned weights.

    Args:
        weights: a pair of files as `training.weights` writes them; None for those that ship.
        config: how notes are drawn.
        index: the training pieces, for `SamplingConfig.longest_run`; None for the index that ships.

    Raises:
        WeightsError: missing, damaged, or not of this network.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        config: SamplingConfig | None = None,
        index: RunIndex | None = None,
    ) -> None:
        path = SHIPPED if weights is None else Path(weights)
        self.network, self.about = load_network(path)
        if self.about.get("kind", KIND) != KIND:
            raise WeightsError(
                path, f"holds weights of kind {self.about['kind']}, which cannot compose; wanted: {KIND}"
            )
        self.network.eval()
        self.config = config or SamplingConfig()
        self.index = index or shipped_index()
        self._steppers: dict[tuple[tuple[int, int], int], Stepper] = {}

    @property
    def styles(self) -> tuple[str, ...]:
        """Style tags that the weights know."""
        return self.network.config.styles

    def compose(self, plan: Plan, *, seed: int, given: Given | None = None) -> Score:
        """Writes the score of a plan; the same arguments give the same score.

        Args:
            plan: the piece.
            seed: of all chance.
            given: notes that are set in advance, on the plan's clock.

        Raises:
            RequestError: the plan's meter does not fit the grid, or `given` is of another length.
        """
        grid = given.grid if given else choose_plan_grid(plan)
        if plan.meter.bar_div % step_div(grid) or plan.pickup_div % step_div(grid):
            raise RequestError(f"meter {plan.meter} does not fit a grid of {grid} steps a quarter")
        steps = plan.end_div // step_div(grid)
        if given is not None and given.steps != steps:
            raise RequestError(f"the given notes have {given.steps} steps, the plan {steps}")
        return realise(plan, self.sample(plan, grid, seed, given))

    def sample(self, plan: Plan, grid: int, seed: int, given: Given | None = None) -> Roll:
        """The roll of a plan, upbeat included; see `compose`."""
        with one_thread():
            return _Writing(self, plan, grid, seed, given).write()

    def stepper(self, pitches: tuple[int, int], items: int) -> Stepper:
        """A stepper over the network; made once for each size, and to be reset by who takes it."""
        if (pitches, items) not in self._steppers:
            guidance = 1.0 if self.config.told == "nothing" else self.config.guidance
            self._steppers[pitches, items] = Stepper(self.network, pitches, items=items, guidance=guidance)
        return self._steppers[pitches, items]


def _range(ensemble: str, given: Given | None) -> tuple[int, int]:
    """The ensemble's range, wide enough for all notes that are given."""
    low, high = RANGES[ensemble]
    if given is None or not (given.fixed >= HOLD).any():
        return low, high
    columns = np.flatnonzero((given.fixed >= HOLD).any(axis=0))
    return min(low, LOWEST_PITCH + int(columns[0])), max(high, LOWEST_PITCH + int(columns[-1]))


@dataclass(eq=False)
class _Draft:
    """What the candidates wrote of a stretch, each after the same past."""

    drawn: list[Drawn]
    told: list[Conditions]
    nats: Float[ndarray, "steps items"]
    state: StepperState


class _Writing:
    """One piece in the making."""

    def __init__(self, composer: BiaxialComposer, plan: Plan, grid: int, seed: int, given: Given | None) -> None:
        self.composer, self.plan, self.grid = composer, plan, grid
        self.config = composer.config
        self.rng = np.random.default_rng(seed)
        self.teller = Teller(
            plan,
            grid,
            composer.styles,
            np.random.default_rng([seed, 1]),
            fix_themes=self.config.fix_themes,
            returns=self.config.returns,
            variation=self.config.variation,
            given=given,
            nothing=self.config.told == "nothing",
        )
        self.told = self.teller.told
        self.drawn = Drawn.silent(self.teller.steps)
        self.range = _range(plan.ensemble, given)
        plain = self.config.told == "nothing"
        self.rules = Rules() if plain else RULES[plan.ensemble]
        self.choir = plan.ensemble == "satb" and not plain
        self.items = 1 if plain else self.config.candidates
        self.starts = {s.first for s in spans_of(plan, grid) if s.phrase == 0}

    def write(self) -> Roll:
        """All phrases in order."""
        single = self.composer.stepper(self.range, 1)
        single.reset()
        state = single.state()
        for span in spans_of(self.plan, self.grid):
            self.teller.tell(span, self.drawn)
            closing = None
            if self.config.fix_cadences and self.config.told != "nothing":
                closing = closing_of(self.plan, span.section, span.phrase, self.grid)
            for first, last in self._stretches(span):
                if free_steps(self.told.fixed[first:last]).any():
                    state = self._best(first, last, closing, state)
                else:
                    state = self._adopt(self._draft(first, last, closing, state, 1), 0, first, last)
        drawn = self.drawn
        steps = self.teller.steps
        return Roll(drawn.play[1:], drawn.articulate[1:], np.ones(steps, dtype=bool), self.grid)

    def _stretches(self, span: Span) -> list[tuple[int, int]]:
        """A phrase in parts of `CHUNK_BARS` at most, cut where what is set in advance ends: a copy needs one draw."""
        bar = self.teller.bar_steps
        start = span.last - (span.last - span.first) // bar * bar  # the first downbeat; before it an upbeat
        cuts = {span.first, span.last, *range(start + CHUNK_BARS * bar, span.last, CHUNK_BARS * bar)}
        free = free_steps(self.told.fixed[span.first : span.last])
        if free.any():
            cuts.add(span.first + int(free.argmax()))
        ordered = sorted(cuts)
        return [(a, b) for a, b in pairwise(ordered)]

    def _best(self, first: int, last: int, closing: Closing | None, state: StepperState) -> StepperState:
        """Draws the candidates of a stretch and keeps the best; draws anew where even that one has a plain fault."""
        kept: tuple[float, _Draft, int] | None = None
        for _ in range(PHRASE_TRIES):
            draft = self._draft(first, last, closing, state, self.items)
            passages = [self._passage(draft, item, first, last) for item in range(self.items)]
            cost = costs(passages) if self.items > 1 else np.zeros(1)
            for item in np.argsort(cost, kind="stable").tolist():
                faults = flaws(passages[item]) + self._copied(draft.drawn[item], first, last)
                total = float(cost[item]) + FAULT * faults
                if kept is None or total < kept[0]:
                    kept = (total, draft, item)
                if not faults or self.config.told == "nothing":
                    return self._adopt(draft, item, first, last)
        assert kept is not None
        return self._adopt(kept[1], kept[2], first, last)

    def _copied(self, drawn: Drawn, first: int, last: int) -> int:
        """By how much the longest run shared with a training piece goes beyond what is allowed."""
        limit, index = self.config.longest_run, self.composer.index
        if limit is None or index is None:
            return 0
        back = max(0, first - 4 * BACK_BARS * self.teller.bar_steps)
        return max(0, index.run_at_end(*drawn.passage(back, last), since=first - back) - limit)

    def _passage(self, draft: _Draft, item: int, first: int, last: int) -> Passage:
        back = max(0, first - BACK_BARS * self.teller.bar_steps)
        play, articulate = draft.drawn[item].passage(back, last)
        told = draft.told[item]
        rows = Conditions(
            told.context[first:last],
            told.reference_play[first:last],
            told.reference_articulate[first:last],
            told.reference_kind[first:last],
            told.fixed[first:last],
        )
        chords = self.teller.chords[first:last]
        return Passage(play, articulate, first - back, rows, chords, draft.nats[:, item], self.plan.ensemble)

    def _adopt(self, draft: _Draft, item: int, first: int, last: int) -> StepperState:
        """Writes a candidate's notes, and the cells that were set for it, into the piece."""
        rows = slice(first + 1, last + 1)
        self.drawn.play[rows] = draft.drawn[item].play[rows]
        self.drawn.articulate[rows] = draft.drawn[item].articulate[rows]
        self.told.fixed[:] = draft.told[item].fixed
        return _items_of(draft.state, [item])

    def _draft(self, first: int, last: int, closing: Closing | None, state: StepperState, items: int) -> _Draft:
        """The candidates of a stretch."""
        stepper = self.composer.stepper(self.range, items)
        stepper.restore(_items_of(state, [0] * items))
        drawn = [Drawn(self.drawn.play.copy(), self.drawn.articulate.copy()) for _ in range(items)]
        told = [self.told] * items
        chance = self.rng.integers(2**32, size=items)
        nats = np.zeros((last - first, items))
        for step in range(first, last):
            if closing is not None and step == closing.prepare:
                told = [replace(t, fixed=t.fixed.copy()) for t in told]
                for item in range(items):
                    play = drawn[item].play[max(step - 2 * closing.beat, 0) : step + 1]
                    rng = np.random.default_rng(int(chance[item]))
                    fix_closing(closing, told[item].fixed, play, self.plan.ensemble, rng)
            nats[step - first] = self._step(stepper, told, drawn, step, self._foreign(closing, step))
        return _Draft(drawn, told, nats, stepper.state())

    def _foreign(self, closing: Closing | None, step: int) -> Bool[ndarray, " 88"]:
        """Pitches that may not sound: while a cadence rests, an accompaniment that goes on keeps to its chord."""
        nothing = np.zeros(PITCHES, dtype=bool)
        chord = self.teller.chords[step]
        if closing is None or self.choir or not closing.arrive + closing.beat <= step < closing.end or not chord.any():
            return nothing
        return ~chord[(np.arange(PITCHES) + LOWEST_PITCH) % 12]

    def _step(
        self,
        stepper: Stepper,
        told: list[Conditions],
        drawn: list[Drawn],
        step: int,
        foreign: Bool[ndarray, " 88"],
    ) -> Float[ndarray, " items"]:
        low, high = stepper.columns
        before = np.stack([d.play[step] for d in drawn])
        stepper.advance(told, step, before, np.stack([d.articulate[step] for d in drawn]))
        context = self.told.context[step]
        # A cadence that nothing holds to its notes is easily lost to a push.
        left = "section_left" if self.config.fix_cadences else "phrase_left"
        pushes = [_push(told[i], drawn[i], step, self.config.density_push, left) for i in range(len(drawn))]
        if self.choir:
            # A choir's voice that fell silent is asked back.
            push = VOICE_PUSH if step else FIRST_PUSH
            pushes = [p + push * max(0, 4 - int(b.sum())) for p, b in zip(pushes, before, strict=True)]
        bias = np.repeat(np.array(pushes, dtype=np.float32)[:, None], high - low, axis=1)
        if self.told.reference_kind[step] == THEME:
            # Where a theme is set, this changes nothing.
            bias[:, self.told.reference_articulate[step, low:high]] += THEME_PUSH
        forbidden = np.repeat(foreign[None, low:high], len(drawn), axis=0)
        starts_bar = bool(context[FIELD["bar_step"]] == 0)
        stale = [self._stale(d, step) for d in drawn] if starts_bar else [False] * len(drawn)

        rules = self._rules(step)

        def draw(rules: Rules) -> tuple[ndarray, ndarray, ndarray]:
            draws = self.rng.random((len(drawn), 2, high - low))
            config = self.config
            found = stepper.draw(
                draws,
                bias=bias,
                forbidden=forbidden,
                rules=rules,
                temperature=config.temperature,
                least=config.least,
            )
            return found.play, found.articulate, found.log_prob

        play, articulate, log_prob = draw(rules)
        for again in range(TRIES if starts_bar else VOICE_TRIES if self.choir else 0):
            wrong = np.zeros(len(drawn), dtype=bool)
            if starts_bar:
                wrong = ~play.any(axis=1) | (np.array(stale) & (play == before[:, low:high]).all(axis=1))
            if self.choir and again < VOICE_TRIES:
                wrong |= play.sum(axis=1) < 4
            if not wrong.any():
                break
            # Rather a doubled leading tone than a voice that falls silent.
            other = draw(self.rules if again == VOICE_TRIES - 1 else rules)
            for old, new in zip((play, articulate, log_prob), other, strict=True):
                old[wrong] = new[wrong]
        for item, one in enumerate(drawn):
            fixed = told[item].fixed[step, low:high]
            row = _Row(play[item], articulate[item], before[item, low:high], fixed, stepper.logits[item])
            if step >= self.teller.steps - self.teller.bar_steps:
                row.last()
            if starts_bar:
                row.sound(stale=bool(stale[item]))
            if step in self.starts:
                row.articulate |= row.play
            else:
                row.join_ties(on_beat=bool(context[FIELD["strength"]] >= _BEAT))
            row.articulate |= row.play & ~row.before
            one.play[step + 1, low:high] = row.play
            one.articulate[step + 1, low:high] = row.articulate
        return -log_prob

    def _rules(self, step: int) -> Rules:
        """What a frame may not hold: a choir gives leading tones and sevenths to one voice."""
        if not self.choir:
            return self.rules
        row = self.told.context[step]
        pc, quality = int(row[FIELD["key_pc"]]), int(row[FIELD["chord_quality"]])
        if pc < 0 or quality < 0:
            return self.rules
        key = Key.of_pc(pc, minor=bool(row[FIELD["key_minor"]]))
        tones = tendency_tones(key, int(row[FIELD["chord_root"]]), QUALITIES[quality])
        return replace(self.rules, lone=tones)

    def _stale(self, drawn: Drawn, step: int) -> bool:
        """Whether one and the same sonority has sounded for `STUCK_BARS`."""
        count = int(STUCK_BARS * self.teller.bar_steps)
        past = drawn.play[max(step + 1 - count, 1) : step + 1]
        return len(past) == count and bool((past == past[-1]).all()) and bool(past[-1].any())


def _items_of(state: StepperState, items: list[int]) -> StepperState:
    """A state whose item k is item `items[k]` of another."""
    return StepperState(
        tuple(np.ascontiguousarray(value[:, :, items]) for value in state.hidden),
        tuple(np.ascontiguousarray(value[:, :, items]) for value in state.cell),
    )


@dataclass(eq=False)
class _Row:
    """One frame of one candidate, mended in place before it counts; cells that were set in advance stay as they are."""

    play: Bool[ndarray, " P"]
    articulate: Bool[ndarray, " P"]
    before: Bool[ndarray, " P"]
    fixed: ndarray
    logits: Float[ndarray, "P 2"]

    def last(self) -> None:
        """The last bar sounds to its end: where nothing was drawn, what sounded goes on."""
        if not self.play.any():
            self.play[self.before & (self.fixed == FREE)] = True

    def sound(self, *, stale: bool) -> None:
        """A downbeat is never silent and never goes on with what has sounded for too long."""
        free = self.fixed == FREE
        stuck = stale and bool((self.play == self.before).all())
        options = free & ~self.play
        if (not self.play.any() or stuck) and options.any():
            likeliest = int(np.where(options, self.logits[:, 0], -np.inf).argmax())
            self.play[likeliest] = self.articulate[likeliest] = True

    def join_ties(self, *, on_beat: bool) -> None:
        """Ties a note that is struck again where nothing else moves: a stutter. On a beat outer voices may repeat."""
        if (self.play != self.before).any() or not self.articulate.any() or self.articulate[self.play].all():
            return
        if (self.articulate & (self.fixed == ATTACK)).any():
            return
        sounding = np.flatnonzero(self.play)
        if on_beat and (self.articulate[sounding[-1]] or self.articulate[sounding[0]]):
            return
        self.articulate[self.fixed == FREE] = False


def _push(told: Conditions, drawn: Drawn, step: int, gain: float, left: str = "section_left") -> float:
    """What the onsets of the last two bars lack of the planned density, as a push on the logits of new notes.

    None in the last bar of a section (`left`: or phrase) that has a cadence: there it comes to rest, however dense the
    section is.
    """
    row = told.context[step]
    bar_steps = int(row[FIELD["bar_steps"]])
    if gain == 0 or (row[FIELD["cadence"]] > 0 and row[FIELD[left]] <= bar_steps):
        return 0.0
    window = min(2 * bar_steps, step)
    rows = told.context[step - window : step]
    by_bar, by_section = rows[:, FIELD["bar_density"]], rows[:, FIELD["density"]]
    wanted_rows = np.where(by_bar >= 0, by_bar, by_section)
    if window == 0 or (wanted_rows < 0).all():
        return 0.0
    wanted = float(np.maximum(wanted_rows, 0).sum()) / 100 / int(row[FIELD["grid"]])
    heard = int(drawn.articulate[step + 1 - window : step + 1].sum())
    return float(np.clip(gain * (wanted - heard) / max(wanted, 1.0), -PUSH_LIMIT, PUSH_LIMIT))
