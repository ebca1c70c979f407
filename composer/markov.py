"""The Markov composer, the rule baseline of this layer: learned tables drive the notes, the plan's form steers them.

It learns from music21's chorales when first used and keeps its tables in the cache.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from composer.baselines import HELD, SILENT, STRUCK
from composer.markov_frames import SETTINGS, FrameSampler, Wish
from composer.markov_layout import Layout, fold, lay_out, plan_grid
from composer.markov_tables import VERSION, MarkovTables, fit_markov
from composer.realise import StepContext, realise, score_context, step_context
from composer.roll import LOWEST_PITCH, PITCHES, Roll, roll_of_score
from music.analysis.key import key_segments
from music.cache import default_cache_dir
from music.corpus import load_pieces
from music.errors import CacheError
from music.plan import Plan
from music.score import Score
from music.splits import splits_sha256

__all__ = ["MarkovComposer", "MarkovTables", "fit_markov", "heard_context", "learn_from_scores", "sample"]

# Notes a quarter that chorales have on average: a plan's density is taken in relation to it.
CHORALE_DENSITY = 5.0


def learn_from_scores(scores: list[Score]) -> MarkovTables:
    """Tables of pieces, each on its own grid, in the keys it goes through."""
    rolls = [roll_of_score(score) for score in scores]
    contexts = [heard_context(score, roll.steps_per_quarter) for score, roll in zip(scores, rolls, strict=True)]
    return fit_markov(rolls, contexts)


def heard_context(score: Score, steps_per_quarter: int) -> StepContext:
    """`score_context` in the keys that analysis hears, which change within the piece, not those of its signatures.

    On held-out chorales the tables gain 0.27 nats a frame by it.
    """
    return score_context(score, steps_per_quarter, key_segments(score))


def _with_upbeat(context: StepContext) -> StepContext:
    """The plan's first chord holds for the upbeat too, of which plans say nothing."""
    upbeat = int((context.bar < 0).sum())
    if not 0 < upbeat < context.steps:
        return context
    chord, bass = context.chord.copy(), context.bass.copy()
    chord[:upbeat], bass[:upbeat] = chord[upbeat], bass[upbeat]
    return replace(context, chord=chord, bass=bass)


def _returned(states: Int[ndarray, "steps 88"], layout: Layout, step: int, low: int, high: int) -> Int[ndarray, " 88"]:
    """The frame that a step repeats, in its new key and within range; a note that sounds on from nowhere is struck."""
    old = states[layout.source[step]]
    moved = layout.moves[layout.move[step]]
    frame = np.zeros(PITCHES, dtype=np.int64)
    for column in np.flatnonzero(old):
        target = fold(int(moved[column + LOWEST_PITCH]), low, high) - LOWEST_PITCH
        frame[target] = max(int(old[column]), int(frame[target]))
    before = states[step - 1] if step else np.zeros(PITCHES, dtype=np.int64)
    return np.where((frame == HELD) & (before == SILENT), STRUCK, frame)


def _wish(plan: Plan, layout: Layout, section: int, step: int, melody: int, struck: bool) -> Wish:
    asked = plan.sections[section]
    final = step == int(np.flatnonzero(layout.close)[-1])
    return Wish(
        melody=-1 if final else melody,
        struck=struck,
        close=bool(layout.close[step]),
        rest=bool(layout.rest[step]),
        density=float(np.clip(asked.density / CHORALE_DENSITY, 0.25, 2)) if asked.density else 1.0,
        register=asked.register,
    )


def sample(tables: MarkovTables, plan: Plan, *, seed: int, temperature: float = 1.0) -> Roll:
    """The roll of a plan, from its upbeat to its end.

    Args:
        tables: learned.
        plan: any plan.
        seed: the same one gives the same roll.
        temperature: above 0; less is more regular.

    Raises:
        ValueError: temperature not above 0.
    """
    if temperature <= 0:
        raise ValueError(f"temperature {temperature} is not above 0")
    rng = np.random.default_rng(seed)
    setting = SETTINGS[plan.ensemble]
    context = _with_upbeat(step_context(plan, plan_grid(plan)))
    layout = lay_out(plan, context, setting.low, setting.high, rng)
    sampler = FrameSampler(tables, context, plan.ensemble, temperature)
    states = np.zeros((context.steps, PITCHES), dtype=np.int64)
    silence = np.zeros(PITCHES, dtype=np.int64)
    ending = int(np.flatnonzero(layout.close)[-1])
    melody = -1
    for step in range(context.steps):
        previous = states[step - 1] if step else silence
        before, melody, struck = melody, int(layout.melody[step]), bool(layout.struck[step])
        if layout.source[step] >= 0:
            frame = _returned(states, layout, step, setting.low, setting.high)
            if not layout.top_only[step] and step < ending and frame.any():
                states[step], melody = frame, -1
                continue
            if frame.any():
                top = int(np.flatnonzero(frame)[-1])
                melody, struck = top + LOWEST_PITCH, bool(frame[top] == STRUCK)
            closing = layout.close[step] or layout.rest[step]
            if melody >= 0 and closing and context.chord[step].any() and not context.chord[step, melody % 12]:
                melody = -1  # what returns over another chord must not spoil the cadence
        if layout.rest[step] and (melody < 0 or step > ending):
            states[step] = np.where(previous != SILENT, HELD, SILENT)
            continue
        wish = _wish(plan, layout, int(context.section[step]), step, melody, struck)
        states[step] = sampler.draw(step, previous, before, wish, rng)
    return Roll(states != SILENT, states == STRUCK, np.ones(context.steps, dtype=bool), context.steps_per_quarter)


class MarkovComposer:
    """A `Composer` without a network.

    Args:
        cache_dir: where its tables are kept; None for the default cache.
        temperature: above 0; less is more regular.
        tables: learned elsewhere; None to load them, or learn them at first use.
    """

    def __init__(
        self, cache_dir: str | Path | None = None, temperature: float = 0.9, tables: MarkovTables | None = None
    ) -> None:
        self.cache_dir = cache_dir
        self.temperature = temperature
        self._tables = tables

    @property
    def tables(self) -> MarkovTables:
        """The tables, learned from music21's chorales (training split) where the cache has none.

        Raises:
            CacheError: the cache cannot be written, or no chorale could be parsed.
        """
        if self._tables is None:
            self._tables = self._load_or_learn()
        return self._tables

    def _load_or_learn(self) -> MarkovTables:
        folder = Path(self.cache_dir).expanduser() if self.cache_dir is not None else default_cache_dir()
        # Another version or other splits are another file: an old table is never taken for a new one.
        path = folder / f"markov-chorales-{VERSION}-{splits_sha256()[:12]}.npz"
        tables = MarkovTables.load(path)
        if tables is None:
            scores = [score for _, score in load_pieces("music21_chorales", "train", cache_dir=folder)]
            if not scores:
                raise CacheError(folder, "no chorale could be parsed into the cache; see task=prepare data=music21")
            tables = learn_from_scores(scores)
            tables.save(path)
        return tables

    def compose(self, plan: Plan, *, seed: int) -> Score:
        """Writes the score of a plan; see `composer.interface.Composer`."""
        return realise(plan, sample(self.tables, plan, seed=seed, temperature=self.temperature))
