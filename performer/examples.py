"""What the performer learns from: a score's features beside what one pianist did with it, each measured by his own.

A pianist's tempo, touch and loudness are taken apart in two: the levels of the whole performance (how fast, how loud,
how much of each; `LEVELS`) and the shape within it, which is standardised: mean 0, standard deviation 1. So the shape
of a quiet recording counts as much as that of a loud one, and a sample has a pianist's spread by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int8

from music.paired import PairedPerformance
from music.time import DIVS_PER_QUARTER
from performer.codec import NoteParameters, encode
from performer.features import ScoreFeatures, score_features

LEVELS = (
    "log2_period",  # mean log2 of the beat period over onsets, seconds a quarter
    "log2_period_sd",  # log2 of its standard deviation
    "velocity",  # mean velocity over notes / 127
    "velocity_sd",  # log2 of its standard deviation / 127
    "articulation",  # mean log2 ratio of articulation
    "articulation_sd",  # log2 of its standard deviation
    "timing_sd",  # log2 of the standard deviation of timing within chords, seconds; NaN where chords are struck at once
    "pedal_share",  # share of the time that the pedal is down
)
PEDAL_PHASES = 4  # an onset's time to the next is cut in so many; the pedal is up or down in the middle of each
PEDAL_PATTERNS = 2**PEDAL_PHASES
PEDAL_DOWN = 64
GRACE_TIMING_SEC = 0.08  # what a grace note's distance from the curve is measured by
MOST_PERIOD = 2.0  # log2 by which an onset's period may differ from the median: beyond it are pauses and slips
MOST_ARTICULATION = (-4.0, 3.0)
MOST_DEVIATION = 4.0  # standard deviations; what lies beyond tells of accidents
LEAST_SPREAD = {"tempo": 0.02, "velocity": 1.0 / 127, "articulation": 0.1, "timing": 0.001}


@dataclass(frozen=True, eq=False)
class Targets:
    """A performance in standard units, in the order of the score's features.

    Args:
        tempo: of each onset, log2 beat period to the next.
        tempo_known: onsets that were played, and the next one too.
        velocity, articulation, timing: of each note.
        known: notes that were played.
        pedal: pattern of each onset, bit k for phase k.
        levels: see `LEVELS`; NaN where unknown.
    """

    tempo: Float32[np.ndarray, " onsets"]
    tempo_known: Bool[np.ndarray, " onsets"]
    velocity: Float32[np.ndarray, " notes"]
    articulation: Float32[np.ndarray, " notes"]
    timing: Float32[np.ndarray, " notes"]
    known: Bool[np.ndarray, " notes"]
    pedal: Int8[np.ndarray, " onsets"]
    levels: Float32[np.ndarray, " levels"]


@dataclass(frozen=True, eq=False)
class Example:
    """One performance, ready to be learned from: its name, composition, style tag, the score and the targets."""

    id: str
    composition: str
    style: str
    features: ScoreFeatures
    targets: Targets


def make_example(
    name: str, composition: str, style: str, pair: PairedPerformance, features: ScoreFeatures | None = None
) -> Example:
    """A pair as an example; `features` where they are known already (of the same score).

    Raises:
        ScoreError: a pair without notes.
    """
    features = features if features is not None else score_features(pair.score)
    grace = np.array(
        [n.duration_div == 0 for n in sorted(pair.score.notes, key=lambda n: (n.onset_div, n.pitch, n.id))]
    )
    return Example(
        name, composition, style, features, targets_of(features, encode(pair.score, pair.performance), grace)
    )


def targets_of(features: ScoreFeatures, played: NoteParameters, grace: Bool[np.ndarray, " notes"]) -> Targets:
    """What is to be learned from a performance's parameters."""
    place, known = features.place, played.known
    size = len(features.onset_div)
    log_period = np.zeros(size)
    log_period[place] = np.log2(played.beat_period)
    struck = np.bincount(place, known, size) > 0
    tempo_known = struck & np.append(struck[1:], False)
    if not tempo_known.any():
        tempo_known = struck
    centre = float(np.median(log_period[tempo_known]))
    log_period = log_period.clip(centre - MOST_PERIOD, centre + MOST_PERIOD)
    tempo, period_mean, period_sd = _standard(log_period, tempo_known, LEAST_SPREAD["tempo"])
    velocity, velocity_mean, velocity_sd = _standard(played.velocity / 127, known, LEAST_SPREAD["velocity"])
    ratio = played.articulation_log.clip(*MOST_ARTICULATION)
    articulation, ratio_mean, ratio_sd = _standard(ratio, known, LEAST_SPREAD["articulation"])
    timing, timing_sd = _timing(played.timing, place, known, grace, size)
    pedal = pedal_patterns(played, features.onset_div)
    gaps = np.diff(np.append(features.onset_div, features.onset_div[-1] + DIVS_PER_QUARTER)) * 2**log_period
    bits = (pedal[:, None] >> np.arange(PEDAL_PHASES)) & 1
    levels = (
        period_mean,
        np.log2(period_sd),
        velocity_mean,
        np.log2(velocity_sd),
        ratio_mean,
        np.log2(ratio_sd),
        timing_sd,
        float(np.average(bits.mean(1), weights=gaps)),
    )
    single = np.float32
    return Targets(
        tempo=np.where(tempo_known, tempo, 0).astype(single),
        tempo_known=tempo_known,
        velocity=np.where(known, velocity, 0).astype(single),
        articulation=np.where(known, articulation, 0).astype(single),
        timing=timing.astype(single),
        known=known,
        pedal=pedal.astype(np.int8),
        levels=np.array(levels, dtype=single),
    )


def _standard(
    values: Float[np.ndarray, " n"], known: Bool[np.ndarray, " n"], least: float
) -> tuple[Float[np.ndarray, " n"], float, float]:
    """Values in standard units of the known ones, their mean and their standard deviation."""
    mean = float(values[known].mean())
    spread = max(float(values[known].std()), least)
    return ((values - mean) / spread).clip(-MOST_DEVIATION, MOST_DEVIATION), mean, spread


def _timing(
    timing: Float[np.ndarray, " notes"],
    place: Int[np.ndarray, " notes"],
    known: Bool[np.ndarray, " notes"],
    grace: Bool[np.ndarray, " notes"],
    size: int,
) -> tuple[Float[np.ndarray, " notes"], float]:
    """Timing over its spread within chords, grace notes' over one of their own, and log2 of that spread."""
    told = known & ~grace
    chord = told & (np.bincount(place, told, size) > 1)[place]
    spread = float(timing[chord].std()) if chord.sum() > 1 else 0.0
    unit = np.where(grace, GRACE_TIMING_SEC, max(spread, LEAST_SPREAD["timing"]))
    found = np.where(known, (timing / unit).clip(-MOST_DEVIATION, MOST_DEVIATION), 0.0)
    return found, float(np.log2(spread)) if spread > LEAST_SPREAD["timing"] else float("nan")


def pedal_patterns(played: NoteParameters, onset_div: Int[np.ndarray, " onsets"]) -> Int[np.ndarray, " onsets"]:
    """Bit k is set where the pedal is down in the middle of the k-th part of the time to the next onset."""
    gaps = np.diff(np.append(onset_div, onset_div[-1] + DIVS_PER_QUARTER))
    phases = (np.arange(PEDAL_PHASES) + 0.5) / PEDAL_PHASES
    places = onset_div[:, None] + gaps[:, None] * phases
    down = played.pedal_at(places.ravel()).reshape(places.shape) >= PEDAL_DOWN
    return (down << np.arange(PEDAL_PHASES)).sum(1)
