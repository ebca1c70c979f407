"""The learned composer: samples the notes of a plan step by step.

The time axis runs in torch, one step for all pitches at once; the note axis, which is a loop over pitches by nature, is
compiled (`composer.note_axis`). Conditions are the same functions as in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray

from composer.conditions import (
    ATTACK,
    FIELD,
    FREE,
    HOLD,
    LOOK_AHEAD,
    OFF,
    STATEMENT,
    THEME,
    Conditions,
    empty_conditions,
    plan_context,
    shift_pitches,
)
from composer.features import Frames
from composer.network import BiaxialNetwork, NetworkConfig, State
from composer.note_axis import NoteAxis
from composer.realise import realise
from composer.roll import LOWEST_PITCH, PITCHES, Roll, step_div
from music.errors import RequestError, WeightsError
from music.plan import Plan, Section
from music.score import Score
from training.weights import fit_weights, load_weights

# Sounding range by ensemble, MIDI; the net is not asked about pitches outside it.
RANGES = {"piano": (33, 93), "satb": (40, 81), "quartet": (36, 93)}
KIND = "composer/biaxial"
PUSH_LIMIT = 1.5  # in nats
TRIES = 8  # draws of a downbeat that comes out silent
SHIPPED = Path(__file__).parent / "weights" / "biaxial.safetensors"


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
        returns: sections that return are told the first statement as a reference.
    """

    temperature: float = 1.0
    least: float = 0.02
    density_push: float = 1.0
    fix_themes: bool = True
    returns: bool = True


def choose_plan_grid(plan: Plan) -> int:
    """Steps a quarter for a plan: 6 where a theme needs triplets, else 4."""
    onsets = [n.onset_div for t in plan.themes for n in t.notes]
    return 6 if any(o % step_div(4) for o in onsets) and not any(o % step_div(6) for o in onsets) else 4


class BiaxialComposer:
    """Composer with learned weights.

    Args:
        weights: a pair of files as `training.weights` writes them; None for those that ship.
        config: how notes are drawn.

    Raises:
        WeightsError: missing, damaged, or not of this network.
    """

    def __init__(self, weights: str | Path | None = None, *, config: SamplingConfig | None = None) -> None:
        path = SHIPPED if weights is None else Path(weights)
        tensors, about = load_weights(path)
        if about.get("kind", KIND) != KIND:
            raise WeightsError(path, f"holds weights of kind {about['kind']}, which cannot compose; wanted: {KIND}")
        self.about = about
        self.network = BiaxialNetwork(NetworkConfig.from_dict(about["network"]))
        fit_weights(path, self.network, tensors)
        self.network.eval()
        self.config = config or SamplingConfig()

    @property
    def styles(self) -> tuple[str, ...]:
        """Style tags that the weights know."""
        return self.network.config.styles

    def compose(self, plan: Plan, *, seed: int) -> Score:
        """Writes the score of a plan; the same plan and seed give the same score.

        Raises:
            RequestError: the plan's meter does not fit the grid.
        """
        grid = choose_plan_grid(plan)
        if plan.meter.bar_div % step_div(grid) or plan.pickup_div % step_div(grid):
            raise RequestError(f"meter {plan.meter} does not fit a grid of {grid} steps a quarter")
        return realise(plan, self.sample(plan, grid, np.random.default_rng(seed)))

    def sample(self, plan: Plan, grid: int, rng: np.random.Generator) -> Roll:
        """The roll of a plan, upbeat included."""
        steps = plan.end_div // step_div(grid)
        told = empty_conditions(plan_context(plan, grid, steps + LOOK_AHEAD, self.styles))
        drawn = _Drawn(np.zeros((steps + 1, PITCHES), dtype=bool), np.zeros((steps + 1, PITCHES), dtype=bool))
        axis = NoteAxis(self.network, RANGES[plan.ensemble])
        state: State | None = None
        # One thread: the matrices are small, and two threads are slower than one.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for index, section in enumerate(plan.sections):
                first, last = _section_steps(plan, index, grid)
                _tell_section(told, drawn, plan, index, grid, self.config)
                for step in range(first if index else 0, last):
                    _tell_phrase(told, drawn, plan, section, index, step, grid)
                    state = self._step(told, drawn, step, steps, axis, state, rng)
        finally:
            torch.set_num_threads(threads)
        return Roll(drawn.play[1:], drawn.articulate[1:], np.ones(steps, dtype=bool), grid)

    @torch.no_grad()
    def _step(
        self,
        told: Conditions,
        drawn: _Drawn,
        step: int,
        steps: int,
        axis: NoteAxis,
        state: State | None,
        rng: np.random.Generator,
    ) -> State:
        low, high = axis.columns
        frames = _frames_of_step(told, drawn, step, low, high)
        hidden, state = self.network.along_time(self.network.project(frames), state)
        before = drawn.play[step, low:high]
        fixed = told.fixed[step, low:high]
        place = _place(told, step, steps)
        push = _push(told, drawn, step, self.config.density_push)

        def draw() -> tuple[ndarray, ndarray, ndarray]:
            draws = rng.random((2, high - low))
            config = self.config
            return axis.draw(hidden[0, 0].numpy(), fixed, draws, config.temperature, config.least, push, before)

        play, articulate, logits = draw()
        for _ in range(TRIES if place.starts_bar else 0):
            if play.any():
                break
            play, articulate, logits = draw()
        if not play.any():
            play, articulate = _not_silent(play, articulate, logits, fixed, before, place)
        # A note cannot be held that did not sound before.
        articulate |= play & ~before
        drawn.play[step + 1, low:high] = play
        drawn.articulate[step + 1, low:high] = articulate
        return state


@dataclass(frozen=True)
class _Place:
    """Where in the piece a step lies: at a barline, in the last bar."""

    starts_bar: bool
    in_last_bar: bool


def _place(told: Conditions, step: int, steps: int) -> _Place:
    bar_steps = int(told.context[step, FIELD["bar_steps"]])
    return _Place(int(told.context[step, FIELD["bar_step"]]) == 0, step >= steps - bar_steps)


def _push(told: Conditions, drawn: _Drawn, step: int, gain: float) -> float:
    """What the onsets of the last two bars lack of the planned density, as a push on the logits of new notes.

    None in a phrase's last bar: there a cadence comes to rest, however dense the section is.
    """
    density = int(told.context[step, FIELD["density"]])
    bar_steps = int(told.context[step, FIELD["bar_steps"]])
    if density < 0 or gain == 0 or told.context[step, FIELD["phrase_left"]] <= bar_steps:
        return 0.0
    window = min(2 * bar_steps, step)
    if window == 0:
        return 0.0
    wanted = density / 100 * window / int(told.context[step, FIELD["grid"]])
    heard = int(drawn.articulate[step + 1 - window : step + 1].sum())
    return float(np.clip(gain * (wanted - heard) / max(wanted, 1.0), -PUSH_LIMIT, PUSH_LIMIT))


def _not_silent(
    play: ndarray, articulate: ndarray, logits: ndarray, fixed: ndarray, before: ndarray, place: _Place
) -> tuple[ndarray, ndarray]:
    """What sounds where nothing was drawn: the last bar holds what it has, a downbeat takes the likeliest free note."""
    held = before & (fixed == FREE)
    if place.in_last_bar and held.any():
        return held, np.zeros_like(held)
    if place.starts_bar and (fixed == FREE).any():
        likeliest = int(np.where(fixed == FREE, logits[:, 0], -np.inf).argmax())
        play[likeliest] = articulate[likeliest] = True
    return play, articulate


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Notes so far; row 0 is the silence before the piece, row t + 1 is step t."""

    play: ndarray
    articulate: ndarray


def _section_steps(plan: Plan, index: int, grid: int) -> tuple[int, int]:
    """First downbeat and end of a section; the piece's upbeat stands before the first section's downbeat."""
    unit = step_div(grid)
    start = plan.bar_onset_div(plan.first_bars[index]) // unit
    return start, start + plan.sections[index].bars * plan.meter.bar_div // unit


def _frames_of_step(told: Conditions, drawn: _Drawn, step: int, low: int, high: int) -> Frames:
    def ahead(array: ndarray) -> torch.Tensor:
        rows = np.zeros((1 + LOOK_AHEAD, high - low), dtype=array.dtype)
        part = array[step : step + 1 + LOOK_AHEAD, low:high]
        rows[: len(part)] = part
        return torch.from_numpy(rows).unsqueeze(0)

    def before(array: ndarray) -> torch.Tensor:
        # Row 1, the target, is not known yet; features never read it.
        rows = np.zeros((2, high - low), dtype=bool)
        rows[0] = array[step, low:high]
        return torch.from_numpy(rows).unsqueeze(0)

    return Frames(
        play=before(drawn.play),
        articulate=before(drawn.articulate),
        context=torch.from_numpy(told.context[step : step + 1].copy()).unsqueeze(0),
        reference_play=ahead(told.reference_play),
        reference_articulate=ahead(told.reference_articulate),
        reference_kind=torch.from_numpy(told.reference_kind[step : step + 1].astype(np.int64)).unsqueeze(0),
        fixed=ahead(told.fixed),
        lowest=torch.tensor([LOWEST_PITCH + low]),
        fit=torch.ones(1, 1, dtype=torch.bool),
    )


def _tell_section(told: Conditions, drawn: _Drawn, plan: Plan, index: int, grid: int, config: SamplingConfig) -> None:
    """Reference and fixed notes of a section, when it begins: all that it refers to has been written by then."""
    section = plan.sections[index]
    first, last = _section_steps(plan, index, grid)
    source = section.source
    if source is not None and config.returns:
        origin = plan.sections[source]
        start, end = _section_steps(plan, source, grid)
        length = min(last - first, end - start)
        _refer(told, drawn, first, start, length, _nearest(origin.key.pc, section.key.pc), STATEMENT)
    elif section.theme is not None and all(s.theme != section.theme for s in plan.sections[:index]):
        _tell_theme(told, plan, section, first, grid, config)


def _tell_theme(told: Conditions, plan: Plan, section: Section, start: int, grid: int, config: SamplingConfig) -> None:
    theme = plan.theme_of(section.theme or "")
    if theme is None:
        return
    unit, semitones = step_div(grid), _nearest(theme.key.pc, section.key.pc)
    end = start + theme.bars * plan.meter.bar_div // unit
    top = np.full(len(told.context), -1)
    for note in theme.notes:
        column = note.pitch + semitones - LOWEST_PITCH
        first = start + round(note.onset_div / unit)
        last = min(max(start + round((note.onset_div + note.duration_div) / unit), first + 1), end)
        if first < 0 or not 0 <= column < PITCHES or first >= last:
            continue
        told.reference_play[first:last, column] = True
        told.reference_articulate[first, column] = True
        top[first:last] = column
    begin = min([start, *np.flatnonzero(top >= 0)])
    told.reference_kind[begin:end] = THEME
    if config.fix_themes:
        for step in np.flatnonzero(top >= 0):
            column = int(top[step])
            told.fixed[step, column:] = OFF
            struck = bool(told.reference_articulate[step, column])
            told.fixed[step, column] = ATTACK if struck else HOLD


def _tell_phrase(
    told: Conditions, drawn: _Drawn, plan: Plan, section: Section, index: int, step: int, grid: int
) -> None:
    """At a phrase's start: a phrase whose idea was heard in this section before is told that phrase as a reference."""
    if section.source is not None:
        return
    bar_steps = plan.meter.bar_div // step_div(grid)
    start, _ = _section_steps(plan, index, grid)
    earlier: dict[str, tuple[int, int]] = {}
    for phrase in section.phrases:
        idea, length = phrase.idea[0], phrase.bars * bar_steps
        if step == start and idea in earlier:
            source, steps = earlier[idea]
            _refer(told, drawn, start, source, min(steps, length), 0, STATEMENT)
        earlier.setdefault(idea, (start, length))
        start += length


def _refer(told: Conditions, drawn: _Drawn, first: int, source: int, length: int, semitones: int, kind: int) -> None:
    length = min(length, len(told.reference_kind) - first)
    kept = np.flatnonzero(_same_harmony(told, first, source, length, semitones))
    here, there = first + kept, source + 1 + kept
    told.reference_play[here] = shift_pitches(drawn.play[there], semitones)
    told.reference_articulate[here] = shift_pitches(drawn.articulate[there], semitones)
    told.reference_kind[here] = kind


def _same_harmony(told: Conditions, first: int, source: int, length: int, semitones: int) -> ndarray:
    """[length] whether the plan asks for the source's chords, bar by bar.

    A bar whose harmony is another one for half of its length or more gets no reference: there the model's notes would
    win over the plan's chords, and the second half of a period would close as the first did, on the dominant.
    """
    here, there = told.context[first : first + length], told.context[source : source + length]
    root, quality = FIELD["chord_root"], FIELD["chord_quality"]
    known = (here[:, root] >= 0) & (there[:, root] >= 0)
    same = ((there[:, root] + semitones - here[:, root]) % 12 == 0) & (there[:, quality] == here[:, quality])
    same |= ~known
    bar_steps = int(here[0, FIELD["bar_steps"]]) if length else 1
    bars = [same[i : i + bar_steps].mean() > 0.5 for i in range(0, length, bar_steps)]
    return np.repeat(np.array(bars, dtype=bool), bar_steps)[:length]


def _nearest(from_pc: int, to_pc: int) -> int:
    """Semitones from one tonic to the other the shorter way, -5..6."""
    return (to_pc - from_pc + 5) % 12 - 5
