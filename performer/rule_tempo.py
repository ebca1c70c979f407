"""Time: from divisions to seconds by tempo marks, phrase arches, ritardandi, fermatas and breaths.

Sources: the phrase arch after N. Todd, "A model of expressive timing in tonal music" (1985), and the KTH rule of that
name (Friberg, Bresin & Sundberg, "Overview of the KTH rule system for musical performance", 2006); the final ritard
after Friberg & Sundberg, "Does music performance allude to locomotion?" (1999), tempo(x) = (1 + (w^q - 1) x)^(1/q).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from music.plan import Plan
from music.score import Score
from music.time import DIVS_PER_QUARTER
from performer.marking_words import tempo_bends, tempo_steps
from performer.rule_form import Span
from performer.rule_score import NoteArrays

RITARD_Q = 3.0  # curvature that listeners preferred
RITARD_W = 0.5  # tempo at the last note, of the piece's tempo
PHRASE_ARCH = (0.04, 0.11)  # how much slower a phrase starts and ends than its middle
SECTION_ARCH = (0.02, 0.07)
ARCH_TURN = 0.45  # where between start and end the arch is fastest
FERMATA = 0.65  # of the written length is added
FERMATA_MOST_SEC = 2.5
PHRASE_BREATH = (0.08, 0.06)  # of a beat, and the most in seconds
SECTION_BREATH = (0.4, 0.35)


@dataclass(frozen=True)
class TimeMap:
    """Seconds at every place of the score where something starts or ends.

    Args:
        places: sorted divisions.
        ends: seconds at which what ends at a place ends.
        starts: seconds at which what starts there starts: later than `ends` where the music breathes.
    """

    places: Int[np.ndarray, " places"]
    ends: Float[np.ndarray, " places"]
    starts: Float[np.ndarray, " places"]

    def start(self, div: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Seconds of onsets, which must be among the places."""
        return self.starts[np.searchsorted(self.places, div)]

    def end(self, div: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Seconds of ends, which must be among the places."""
        return self.ends[np.searchsorted(self.places, div)]

    def at(self, div: int) -> float:
        """Seconds at any place."""
        return float(np.interp(div, self.places, self.starts))


def time_map(
    score: Score,
    notes: NoteArrays,
    plan: Plan | None,
    *,
    phrases: tuple[Span, ...],
    sections: tuple[Span, ...],
    expression: float,
) -> TimeMap:
    """The map for a score: tempo marks always hold, everything else scales with `expression`."""
    places = map_places(score, notes)
    middle = (places[1:] + places[:-1]) / 2
    base = 60.0 / (base_tempo(score, plan, middle) * DIVS_PER_QUARTER)
    arch = np.zeros(len(middle))
    for spans, amounts in ((phrases, PHRASE_ARCH), (sections, SECTION_ARCH)):
        _add_arches(arch, middle, base, spans, amounts)
    # The arches shape the tempo but must not change it on the whole.
    lengths = np.diff(places) * base
    arch -= float(np.average(arch, weights=lengths))
    slowness = np.exp(expression * arch)
    slowness *= word_slowness(score, middle) ** expression
    slowness *= _final_ritard(score, notes, middle, expression)
    seconds = lengths * slowness * fermata_factors(score, notes, places, lengths, expression)
    breaths = _breaths(score, places, base, phrases, sections) * expression
    ends = np.concatenate([[0.0], np.cumsum(seconds)]) + np.concatenate([[0.0], np.cumsum(breaths)[:-1]])
    return TimeMap(places, ends, ends + breaths)


def map_places(score: Score, notes: NoteArrays) -> Int[np.ndarray, " places"]:
    """Divisions at which anything starts, ends or changes, and eighths of each bar."""
    bars = np.array([(b.onset_div, b.duration_div) for b in score.bars], dtype=np.int64)
    grid = (bars[:, :1] + bars[:, 1:] * np.arange(8) // 8).ravel()
    signs = [d.onset_div for d in score.directions] + [d.onset_div + d.duration_div for d in score.directions]
    changes = [t.onset_div for t in score.tempos]
    end = score.end_div
    extra = np.array([*signs, *changes, end], dtype=np.int64).clip(0, end)
    return np.unique(np.concatenate([grid, notes.onset, notes.end, extra]))


def base_tempo(score: Score, plan: Plan | None, at: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Quarters a minute that are written at each place: the score's marks, else the plan's, else its word's.

    Without any of them it is 100. The plan's tempo scales count unless the score itself changes tempo.
    """
    steps, _ = tempo_steps(score, plan)
    onsets = np.array([onset for onset, _ in steps])
    qpm = np.array([qpm for _, qpm in steps])
    tempo = qpm[np.searchsorted(onsets, at, side="right").clip(1) - 1].astype(float)
    if plan is not None and len(score.tempos) <= 1:
        starts = np.array([plan.bar_onset_div(bar) for bar in plan.first_bars])
        scales = np.array([s.tempo_scale for s in plan.sections])
        tempo = tempo * scales[np.searchsorted(starts, at, side="right").clip(1) - 1]
    return tempo


def arch_position(x: Float[np.ndarray, " n"], turn: float) -> Float[np.ndarray, " n"]:
    """Distance from an arch's turning point: -1 at the start, 0 at `turn`, 1 at the end."""
    return np.where(x < turn, (x - turn) / turn, (x - turn) / (1 - turn))


def _add_arches(
    arch: Float[np.ndarray, " n"],
    middle: Float[np.ndarray, " n"],
    base: Float[np.ndarray, " n"],
    spans: tuple[Span, ...],
    amounts: tuple[float, float],
) -> None:
    """Adds a parabola to the log-slowness for each span; spans under 4 s bend less."""
    for span in spans:
        low, high = np.searchsorted(middle, [span.start, span.end])
        if high <= low:
            continue
        position = arch_position((middle[low:high] - span.start) / (span.end - span.start), ARCH_TURN)
        amount = np.where(position < 0, amounts[0], amounts[1] * span.weight)
        seconds = (span.end - span.start) * float(base[low:high].mean())
        arch[low:high] += amount * position**2 * min(1.0, seconds / 4)


def word_slowness(score: Score, middle: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Slowness that written rit. and accel. ask for at each place: 1 where nothing does."""
    slowness = np.ones(len(middle))
    for bend in tempo_bends(score):
        low, high = np.searchsorted(middle, [bend.start, bend.end])
        slowness[low:high] *= 1 + bend.change * (middle[low:high] - bend.start) / max(bend.end - bend.start, 1)
    return slowness


def _final_ritard(
    score: Score, notes: NoteArrays, middle: Float[np.ndarray, " n"], expression: float
) -> Float[np.ndarray, " n"]:
    """Slowness of the last bars: the ritard runs up to the last onset, the last chord is held a little."""
    slowness = np.ones(len(middle))
    if not len(notes.onset):
        return slowness
    last = int(notes.onset[-1])
    length = min(2 * score.meter_at(last).bar_div, last // 5)
    if length <= 0:
        return slowness
    w = RITARD_W**expression
    x = ((middle - (last - length)) / length).clip(0, 1)
    slowness = (1 + (w**RITARD_Q - 1) * x) ** (-1 / RITARD_Q)
    slowness[middle > last] = min(1 / w, 1 + 0.4 * expression)
    return slowness


def fermata_factors(
    score: Score,
    notes: NoteArrays,
    places: Int[np.ndarray, " places"],
    lengths: Float[np.ndarray, " intervals"],
    expression: float,
) -> Float[np.ndarray, " intervals"]:
    """Factor on each interval under a fermata, which reaches to the end of the shortest note that it stands on."""
    factor = np.ones(len(lengths))
    for sign in score.directions:
        if sign.kind != "fermata":
            continue
        under = notes.end[notes.at(sign)]
        under = under[under > sign.onset_div]
        # A fermata over a rest holds for a beat.
        beat = sign.onset_div + score.meter_at(sign.onset_div).beat_div
        end = int(under.min()) if len(under) else min(beat, score.end_div)
        low, high = np.searchsorted(places, [sign.onset_div, end])
        written = float(lengths[low:high].sum())
        if written > 0:
            more = min(FERMATA, FERMATA_MOST_SEC / written) * expression
            factor[low:high] = np.maximum(factor[low:high], 1 + more)
    return factor


def _breaths(
    score: Score,
    places: Int[np.ndarray, " places"],
    base: Float[np.ndarray, " intervals"],
    phrases: tuple[Span, ...],
    sections: tuple[Span, ...],
) -> Float[np.ndarray, " places"]:
    """Seconds of silence put in at each place where a phrase or a section starts."""
    breaths = np.zeros(len(places))
    for spans, (part, most) in ((phrases, PHRASE_BREATH), (sections, SECTION_BREATH)):
        for before, span in pairwise(spans):
            # A phrase that analysis begins after the last place has no time of its own to breathe before.
            place = min(int(np.searchsorted(places, span.start)), len(base) - 1)
            beat = score.meter_at(span.start).beat_div * float(base[place])
            breaths[place] = max(breaths[place], min(part * beat, most) * before.weight)
    return breaths
