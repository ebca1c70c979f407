"""The learned performer: plays a score as one pianist of many would, each seed a little differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from music.errors import RequestError, ScoreError, WeightsError
from music.performance import Performance
from music.plan import Plan
from music.score import Score
from performer.assemble import Settings, assemble
from performer.batch import ScoreBatch, Sheet, collate, sheet_of
from performer.codec import NoteParameters, decode
from performer.drawing import MOST_WHITE, Amounts, Draws, draw, expected_tempo
from performer.endings import with_endings
from performer.features import NOTE_COLUMNS, ONSET_COLUMNS, ScoreFeatures, score_features
from performer.keyboard import playable
from performer.lifetimes import born
from performer.markings import Markings, written_markings
from performer.network import Reading
from performer.network_config import PerformerConfig
from performer.performer_network import PerformerNetwork
from performer.piece_levels import expected_levels, with_share
from training.weights import fit_weights, load_weights

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT_WEIGHTS = WEIGHTS / "nasap.safetensors"
KIND = "performer/reader-and-noise"
MOST_EXPRESSION = 1.5


@dataclass(frozen=True, eq=False)
class Prepared:
    """A score read by the networks, ready to be drawn from; its expected levels and the share of bars in its tempo."""

    score: Score
    plan: Plan | None
    features: ScoreFeatures
    markings: Markings
    readings: tuple[Reading, ...]
    sheet: ScoreBatch
    levels: Float[np.ndarray, " levels"]
    share: float


class LearnedPerformer:
    """Plays scores with trained weights.

    Args:
        weights: a .safetensors file with its JSON; None takes those that ship.
        expression: 0 plays what is printed and no more, 1 as pianists do, 1.5 exaggerates.
        departure: how far one performance departs from what pianists have in common; None as the weights were tuned.
        style: a tag that the weights know, or of a composer whose time is known; None takes the plan's.

    Raises:
        WeightsError: the file is missing, damaged, or of other features than this version's.
        RequestError: an expression outside 0..1.5, or a tag of which nothing is known.
    """

    def __init__(
        self,
        weights: Path | None = None,
        expression: float = 1.0,
        departure: float | None = None,
        style: str | None = None,
    ) -> None:
        if not 0 <= expression <= MOST_EXPRESSION:
            raise RequestError(f"expression={expression} is outside 0..{MOST_EXPRESSION:g}")
        if departure is not None and not 0 <= departure <= 2:
            raise RequestError(f"departure={departure} is outside 0..2")
        self.path = weights if weights is not None else DEFAULT_WEIGHTS
        tensors, self.about = load_weights(self.path, "performer_weights")
        if self.about.get("kind") != KIND:
            raise WeightsError(self.path, f"is not of a performer ({self.about.get('kind')})")
        self.networks = _networks(self.path, tensors, self.about)
        self.levels = {k.removeprefix("levels."): v.numpy() for k, v in tensors.items() if k.startswith("levels.")}
        if not self.levels:
            raise WeightsError(self.path, "has no regression of levels; train it anew")
        self.config = self.networks[0].config
        if style is not None and style not in self.config.styles and born(style) is None:
            raise RequestError(f"style={style} is not one that the performer knows: {', '.join(self.config.styles)}")
        self.style, self.expression = style, expression
        amounts = Amounts(**self.about.get("amounts", {}))
        if departure is not None:
            amounts = amounts.departing(departure)
        self.amounts = amounts

    def perform(self, score: Score, *, seed: int, plan: Plan | None = None) -> Performance:
        """Every score note once, no pitch over itself, the pedal up at the end; the same seed gives the same notes."""
        if not score.notes:
            return Performance(())
        return self.performances(score, seeds=[seed], plan=plan)[0]

    def performances(self, score: Score, *, seeds: Sequence[int], plan: Plan | None = None) -> list[Performance]:
        """A performance for each seed; the score is read once.

        Raises:
            ScoreError: a score without notes.
        """
        prepared = self.prepare(score, plan)
        return [playable(decode(score, parameters)) for parameters in self.parameters(prepared, seeds)]

    def prepare(self, score: Score, plan: Plan | None = None) -> Prepared:
        """Reads a score.

        Raises:
            ScoreError: a score without notes.
        """
        if not score.notes:
            raise ScoreError("a score without notes cannot be performed")
        features = score_features(score, plan=plan)
        tag = self.style or (plan.style if plan is not None else "")
        index = self.config.styles.index(tag) + 1 if tag in self.config.styles else 0
        sheet = collate([self._seen(sheet_of(features, index))])
        with torch.inference_mode():
            readings = tuple(network.reader(sheet) for network in self.networks)
        expected = expected_levels(self._heard(features), self.levels, born(tag))
        return Prepared(score, plan, features, written_markings(score, plan), readings, sheet, *expected)

    def _shaped(self, drawn: Draws, prepared: Prepared, seed: int) -> Draws:
        """The sample with endings, and a share of bars in its tempo, that fit the score."""
        expected = expected_tempo(_mean_reading(prepared.readings), prepared.sheet, self.amounts)
        drawn = with_endings(drawn, expected, prepared.features, self.amounts, seed)
        return replace(drawn, tempo=with_share(drawn.tempo[0], prepared.features.bar, prepared.share)[None])

    def _levels(self, prepared: Prepared, seed: int) -> Float[np.ndarray, " levels"]:
        """What the sample is like as a whole."""
        rng = np.random.default_rng((seed, 0x1E7E1))
        apart = rng.standard_normal(len(prepared.levels)).clip(-MOST_WHITE, MOST_WHITE) * self.levels["spread"][:-1]
        return prepared.levels + self.amounts.levels * apart

    def _heard(self, features: ScoreFeatures) -> ScoreFeatures:
        """The features without the onsets' columns that were constant in training."""
        unknown = set(self.about.get("constant", ()))
        known = np.array([f"onsets.{name}" not in unknown for name in ONSET_COLUMNS])
        return replace(features, onsets=(features.onsets * known).astype(features.onsets.dtype))

    def _seen(self, sheet: Sheet) -> Sheet:
        """The sheet without the columns that were constant in training, of which the weights know nothing."""
        unknown = set(self.about.get("constant", ()))
        notes = np.array([f"notes.{name}" not in unknown for name in NOTE_COLUMNS])
        onsets = np.array([f"onsets.{name}" not in unknown for name in ONSET_COLUMNS])
        return replace(sheet, notes=sheet.notes * notes, onsets=sheet.onsets * onsets)

    def draws(self, prepared: Prepared, seeds: Sequence[int]) -> Draws:
        """Samples in standard units: what all networks expect on the mean, and the first one's departures."""
        expected = _mean_reading(prepared.readings)
        return draw(self.networks[0].noise, expected, prepared.sheet, seeds, self.amounts)

    def parameters(self, prepared: Prepared, seeds: Sequence[int]) -> list[NoteParameters]:
        """What each seed does with every note."""
        settings = Settings(
            expression=self.expression,
            chord_spread=bool(self.about.get("chord_spread", True)),
            asynchrony=self.amounts.asynchrony,
            rolls=self.amounts.rolls,
        )
        found = []
        for seed in seeds:  # one by one: together they would differ in their last bits
            one = self._shaped(self.draws(prepared, [seed]), prepared, seed)
            what = (prepared.score, prepared.features, prepared.markings)
            found.append(assemble(*what, one, self._levels(prepared, seed), settings, seed))
        return found


def _networks(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> tuple[PerformerNetwork, ...]:
    """The networks of a file: their number and sizes stand in the JSON."""
    configs = about.get("networks")
    if not isinstance(configs, list) or not configs:
        raise WeightsError(path, "names no networks")
    found = []
    for i, values in enumerate(configs):
        config = PerformerConfig.from_dict(values)
        if (config.note_columns, config.onset_columns) != (tuple(NOTE_COLUMNS), tuple(ONSET_COLUMNS)):
            raise WeightsError(path, "was trained on other features than this version has; train it anew")
        network = PerformerNetwork(config)
        own = {k.removeprefix(f"{i}."): v.float() for k, v in tensors.items() if k.startswith(f"{i}.")}
        fit_weights(path, network, own)
        found.append(network.eval())
    return tuple(found)


def _mean_reading(readings: Sequence[Reading]) -> Reading:
    """What networks expect on the mean; the states are the first one's, which its departures need."""
    first = readings[0]
    if len(readings) == 1:
        return first
    return Reading(
        tempo=torch.stack([r.tempo for r in readings]).mean(0),
        shapes=torch.stack([r.shapes for r in readings]).mean(0),
        note_noise=first.note_noise,
        onset=first.onset,
        bar=first.bar,
    )
