"""From standard units to a performance's parameters: levels, expression, and what is written in the score.

A pianist's tempo curve, loudness and articulation have mean 0 and standard deviation 1 in standard units. Samples are
brought to the same, and then to the levels that were drawn: so they spread as pianists do, whatever was left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from music.score import Note, Score
from music.time import DIVS_PER_QUARTER
from performer.codec import GRACE_DIV, NoteParameters
from performer.drawing import Draws
from performer.examples import GRACE_TIMING_SEC, LEVELS, PEDAL_PHASES
from performer.features import ScoreFeatures
from performer.marking_obey import obey
from performer.markings import Markings

PEDAL_VALUE = 100
LONGEST_SEC, LONGEST_TIMES = 6.0, 2.0  # a note lasts no longer than both: seconds, its written length at the mean tempo
SHORTEST_SEC = 0.03  # a key takes that long to come up again
LOUD_KNEE, SOFT_KNEE = 104.0, 28.0  # velocities beyond which pianists seldom go
FEWEST = 24  # of fewer onsets the spread is left as drawn: it would be chance's
LEVEL_BOUNDS = {  # what pianists do; nothing that is drawn may lie beyond
    "log2_period": (-3.0, 2.5),
    "log2_period_sd": (-4.5, -0.5),
    "velocity": (0.3, 0.75),
    "velocity_sd": (-4.6, -2.4),
    "articulation": (-1.2, 1.0),
    "articulation_sd": (-2.0, 1.0),
    "timing_sd": (-8.0, -5.0),
    "pedal_share": (0.0, 1.0),
}
# Where weights know of no spread of chords: seconds by which the melody leads (Goebl 2001 reports about 30 ms) and by
# which notes of a chord lie apart besides (standard deviation), both our choice: together they give 0.88 of the spread
# that pianists have on the test list (`task=evaluate_performer`).
UNLEARNED_SPREAD_SEC, UNLEARNED_LEAD_SEC = 0.010, 0.020


@dataclass(frozen=True)
class Settings:
    """How a sample becomes a performance.

    Args:
        expression: factor on all that is not written.
        chord_spread: whether the weights know of the spread of chords; else fixed ones stand in.
        asynchrony, rolls: what is made of what they know, see `performer.drawing.Amounts`.
    """

    expression: float = 1.0
    chord_spread: bool = True
    asynchrony: float = 1.0
    rolls: float = 0.0


def assemble(
    score: Score,
    features: ScoreFeatures,
    markings: Markings,
    draws: Draws,
    levels: Float[np.ndarray, " levels"],
    settings: Settings,
    seed: int,
) -> NoteParameters:
    """Parameters of the first of the samples, for `performer.codec.decode`.

    Args:
        score: what is played.
        features: its features.
        markings: what is written in it.
        draws: samples in standard units.
        levels: what it is like as a whole, see `performer.examples.LEVELS`.
        settings: see there.
        seed: of what is not drawn yet (how wide each chord is spread).
    """
    level = _levels(levels)
    amount = settings.expression
    notes = sorted(score.notes, key=lambda n: (n.onset_div, n.pitch, n.id))
    grace = np.array([n.duration_div == 0 for n in notes])
    period_sd, velocity_sd = 2.0 ** level["log2_period_sd"], 127 * 2.0 ** level["velocity_sd"]
    tempo = amount * period_sd * _standard(draws.tempo[0], np.ones(len(draws.tempo[0]), dtype=bool))
    velocity = amount * velocity_sd * _standard(draws.shapes[0, :, 0], ~grace)
    ratio = level["articulation"] + 2.0 ** level["articulation_sd"] * _standard(draws.shapes[0, :, 1], ~grace)
    timing = _timing(features, draws.shapes[0, :, 2], grace, level, settings, seed)
    places, values = _pedals(features, draws.pedal[0]) if amount > 0 else (np.zeros(0), np.zeros(0, np.int64))
    drawn = NoteParameters(
        note_ids=features.note_ids,
        known=np.ones(len(notes), dtype=bool),
        beat_period=(2.0 ** (level["log2_period"] + tempo))[features.place],
        timing=np.where(grace, timing, amount * timing),
        articulation_log=min(amount, 1.0) * ratio.clip(-4, 3),
        velocity=(127 * level["velocity"] + velocity).clip(1, 127),
        pedal_div=places,
        pedal_value=values,
    )
    return _bounded(_softened(obey(markings, drawn)), notes)


def _softened(played: NoteParameters) -> NoteParameters:
    """The same with extreme velocities drawn in: past a knee what is left of the range is reached ever more slowly."""
    velocity = played.velocity
    loud, soft = velocity - LOUD_KNEE, SOFT_KNEE - velocity
    velocity = np.where(loud > 0, LOUD_KNEE + (127 - LOUD_KNEE) * np.tanh(loud / (127 - LOUD_KNEE)), velocity)
    velocity = np.where(soft > 0, SOFT_KNEE - (SOFT_KNEE - 1) * np.tanh(soft / (SOFT_KNEE - 1)), velocity)
    return replace(played, velocity=velocity)


def _bounded(played: NoteParameters, notes: list[Note]) -> NoteParameters:
    """The same with lengths that a pianist's finger has."""
    quarters = (
        np.array([max(n.duration_div, GRACE_DIV if n.duration_div == 0 else 1) for n in notes]) / DIVS_PER_QUARTER
    )
    written = quarters * played.beat_period
    longest = np.maximum(LONGEST_SEC, LONGEST_TIMES * quarters * 2.0 ** np.log2(played.beat_period).mean())
    seconds = (2.0**played.articulation_log * written).clip(SHORTEST_SEC, np.maximum(longest, SHORTEST_SEC))
    return replace(played, articulation_log=np.log2(seconds / written))


def _levels(drawn: Float[np.ndarray, " levels"]) -> dict[str, float]:
    named = zip(LEVELS, drawn.tolist(), strict=True)
    return {name: float(np.clip(value, *LEVEL_BOUNDS[name])) for name, value in named}


def _standard(values: Float[np.ndarray, " n"], counted: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Mean 0 and standard deviation 1 over those that count, where these are enough to tell."""
    if not counted.any():
        return values
    left = values - values[counted].mean()
    spread = float(left[counted].std())
    return left / spread if counted.sum() >= FEWEST and spread > 1e-3 else left


def _timing(
    features: ScoreFeatures,
    drawn: Float[np.ndarray, " notes"],
    grace: Bool[np.ndarray, " notes"],
    level: dict[str, float],
    settings: Settings,
    seed: int,
) -> Float[np.ndarray, " notes"]:
    """Seconds before the curve: 0 on the mean of each chord, save of grace notes."""
    unit = settings.asynchrony * 2.0 ** level["timing_sd"]
    place, size = features.place, len(features.onset_div)
    told = ~grace
    count = np.bincount(place, told, size)
    chord = told & (count > 1)[place]
    rng = np.random.default_rng((seed, 0xC0DE))
    if not settings.chord_spread:
        melody = features.note("melody") > 0
        drawn = rng.standard_normal(len(drawn)).clip(-2.5, 2.5) * UNLEARNED_SPREAD_SEC + UNLEARNED_LEAD_SEC * melody
        unit = 1.0
    drawn = drawn - np.where(told, (np.bincount(place, drawn * told, size) / np.maximum(count, 1))[place], 0.0)
    if settings.chord_spread:
        drawn = drawn * np.where(grace, 1.0, np.exp(settings.rolls * rng.standard_normal(size))[place])
    spread = float(drawn[chord].std()) if chord.sum() >= FEWEST else 0.0
    scaled = drawn / spread if settings.chord_spread and spread > 1e-3 else drawn
    before = np.where(drawn > 0, drawn, 0.5) * GRACE_TIMING_SEC  # a grace note comes before what it adorns
    return np.where(grace, before, np.where(chord, unit * scaled, 0.0))


def _pedals(
    features: ScoreFeatures, pattern: Int[np.ndarray, " onsets"]
) -> tuple[Float[np.ndarray, " moves"], Int[np.ndarray, " moves"]]:
    """Places and positions of the pedal, where it moves."""
    onset = features.onset_div.astype(float)
    gaps = np.diff(np.append(onset, onset[-1] + DIVS_PER_QUARTER))
    places = (onset[:, None] + gaps[:, None] * np.arange(PEDAL_PHASES) / PEDAL_PHASES).ravel()
    down = ((pattern[:, None] >> np.arange(PEDAL_PHASES)) & 1).ravel()
    moved = np.flatnonzero(np.diff(down, prepend=0))
    return places[moved], (down[moved] * PEDAL_VALUE).astype(np.int64)
