"""A score and one pianist's performance of it, joined note by note, and what is wrong with such a pair.

A pair that `alignment_faults` objects to must not be learned from: its tempo would be that of the aligner's errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from music.errors import ScoreError
from music.performance import Performance
from music.score import Score
from music.time import DIVS_PER_QUARTER

MIN_ALIGNED = 0.8  # share of score notes with a played note
MIN_NOTES = 16  # fewer tell nothing of a tempo curve
MAX_BACKWARDS = 0.05  # share of successive score onsets played in the wrong order; trills written out make up to 0.03
BACKWARDS_SEC = 0.05  # what fingers do in runs of fast notes is no error of alignment
MAX_JUMPS = 0.03  # share of beat periods that are far from their neighbours'
JUMP_FACTOR, JUMP_WINDOW = 4.0, 9  # fermatas and written-out pauses go beyond the factor too, but seldom
MAX_WRONG_PITCH = 0.01
TEMPO_QPM = (8.0, 480.0)  # of the median beat period, in quarters a minute


@dataclass(frozen=True)
class PairedPerformance:
    """A score, the performance of those of its notes that were played, and the count of all that has no partner.

    Args:
        score: every note of the score.
        performance: the aligned notes, by the score's ids; pedals as played.
        deletions: score notes that were not played.
        insertions: played notes that the score does not have.
        ornaments: played notes that belong to a trill or turn of a score note; these are not in `performance`.

    Raises:
        ScoreError: a performed note that the score does not have.
    """

    score: Score
    performance: Performance
    deletions: int = 0
    insertions: int = 0
    ornaments: int = 0

    def __post_init__(self) -> None:
        unknown = self.aligned - {note.id for note in self.score.notes}
        if unknown:
            raise ScoreError(f"performed note {min(unknown)} is not in the score")

    @property
    def aligned(self) -> frozenset[str]:
        """Ids of the score notes that were played."""
        return frozenset(note.note_id for note in self.performance.notes)


def onset_times(pair: PairedPerformance) -> tuple[Float[ndarray, " onsets"], Float[ndarray, " onsets"]]:
    """Score onsets in quarters, increasing, and when each was played: the mean over its notes, in seconds.

    Grace notes are left out: they are played before the onset at which they are written.
    """
    placed = {n.id: n.onset_div for n in pair.score.notes if n.duration_div > 0}
    played: dict[int, list[float]] = {}
    for note in pair.performance.notes:
        if note.note_id in placed:
            played.setdefault(placed[note.note_id], []).append(note.onset_sec)
    onsets = sorted(played)
    times = [float(np.mean(played[onset])) for onset in onsets]
    return np.array(onsets, dtype=np.float64) / DIVS_PER_QUARTER, np.array(times, dtype=np.float64)


def beat_periods(pair: PairedPerformance) -> Float[ndarray, " stretches"]:
    """Seconds a quarter over successive stretches of a quarter or more (shorter ones measure fingers, not tempo)."""
    quarters, seconds = onset_times(pair)
    chosen: list[int] = []
    for i, place in enumerate(quarters):
        if not chosen or place - quarters[chosen[-1]] >= 1:
            chosen.append(i)
    return np.array([(seconds[b] - seconds[a]) / (quarters[b] - quarters[a]) for a, b in pairwise(chosen)], np.float64)


def backwards_share(pair: PairedPerformance) -> float:
    """Share of successive score onsets of which the later is played clearly before the earlier."""
    _, seconds = onset_times(pair)
    return float(np.mean(np.diff(seconds) < -BACKWARDS_SEC)) if len(seconds) > 1 else 0.0


def jump_share(periods: Float[ndarray, " stretches"]) -> float:
    """Share of beat periods that are `JUMP_FACTOR` times longer or shorter than the median of those around them."""
    if len(periods) == 0:
        return 0.0
    half = JUMP_WINDOW // 2
    medians = np.array([np.median(periods[max(0, i - half) : i + half + 1]) for i in range(len(periods))])
    # A median of 0 or less is an alignment that stands still or runs back: every period there counts.
    far = (medians <= 0) | (periods * JUMP_FACTOR < medians) | (periods > JUMP_FACTOR * medians)
    return float(np.mean(far))


def alignment_faults(pair: PairedPerformance) -> tuple[str, ...]:
    """What makes a pair unfit to learn from, each fault one clause with its figure; empty for a good pair."""
    faults: list[str] = []
    count, aligned = len(pair.score.notes), len(pair.performance.notes)
    if aligned < max(MIN_NOTES, MIN_ALIGNED * count):
        faults.append(f"only {aligned} of {count} score notes are aligned")
    pitches = {note.id: note.pitch for note in pair.score.notes}
    wrong = sum(pitches[note.note_id] != note.pitch for note in pair.performance.notes)
    if wrong > MAX_WRONG_PITCH * aligned:
        faults.append(f"{wrong} of {aligned} aligned notes differ in pitch")
    if (share := backwards_share(pair)) > MAX_BACKWARDS:
        faults.append(f"{share:.1%} of the onsets run against the score")
    periods = beat_periods(pair)
    if (share := jump_share(periods)) > MAX_JUMPS:
        faults.append(f"{share:.1%} of the beat periods jump")
    if len(periods):
        median = float(np.median(periods))
        tempo = 60 / median if median > 0 else 0.0
        if not TEMPO_QPM[0] <= tempo <= TEMPO_QPM[1]:
            faults.append(f"a tempo of {tempo:.1f} quarters a minute is impossible")
    return tuple(faults)
