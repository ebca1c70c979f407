"""The best of several ways to go on: what speaks against a drawn phrase, as small functions on its roll.

Each function returns a penalty, 0 for nothing to blame and about 1 for a plain fault; `WEIGHTS` says what it is worth.
The same faults are measured on whole pieces in `evaluation/`; here they are read from the roll, at a cost of a few
milliseconds a phrase.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from composer.conditions import FIELD, FREE, NO_REFERENCE, SIMILARITY_BOUNDS, STATEMENT, THEME, Conditions
from composer.likeness import bar_likeness
from composer.roll import LOWEST_PITCH, Roll, roll_notes, step_div
from evaluation.repetition import BUSY, HAMMERED
from music.harmony import CHORD_INTERVALS, QUALITIES
from music.voices import hands

HAND_SPAN, FINGERS = 14, 5  # as in evaluation.texture
VOICES = {"satb": 4, "quartet": 4}
# Median over people's training pieces of `evaluation.repetition.restrikes`.
USUAL_RESTRIKES = {"piano": 0.28, "quartet": 0.33, "satb": 0.26}
SPACING = 12  # semitones between neighbouring upper voices of a choir


@dataclass(frozen=True, eq=False)
class Passage:
    """A phrase as one candidate wrote it.

    Args:
        play, articulate: its notes, after `back` steps of what came before.
        back: steps before the phrase.
        told: what the network was told, rows from the phrase's first step on.
        chords: pitch classes of the planned chord per step, none set where unknown.
        nats: of each step of the phrase, as drawn.
        ensemble: of the plan.
    """

    play: Bool[ndarray, "rows 88"]
    articulate: Bool[ndarray, "rows 88"]
    back: int
    told: Conditions
    chords: Bool[ndarray, "steps 12"]
    nats: Float[ndarray, " steps"]
    ensemble: str

    @property
    def steps(self) -> int:
        """Length of the phrase."""
        return len(self.play) - self.back

    @property
    def new_play(self) -> Bool[ndarray, "steps 88"]:
        """The phrase without what came before."""
        return self.play[self.back :]

    @property
    def new_articulate(self) -> Bool[ndarray, "steps 88"]:
        """Its onsets."""
        return self.articulate[self.back :]

    def field(self, name: str) -> Int[ndarray, " steps"]:
        """A column of what was told."""
        return self.told.context[: self.steps, FIELD[name]]

    @property
    def bar_steps(self) -> int:
        """Steps in a bar."""
        return int(self.told.context[0, FIELD["bar_steps"]])

    @property
    def free(self) -> Bool[ndarray, " steps"]:
        """Steps in which something was drawn."""
        return (self.told.fixed[: self.steps] == FREE).any(axis=1)


def mean_nats(passage: Passage) -> float:
    """Nats a step over the steps that were drawn."""
    return float(passage.nats[passage.free].mean()) if passage.free.any() else 0.0


def _class_counts(bits: Bool[ndarray, "steps 88"]) -> Int[ndarray, "steps 12"]:
    counts = np.zeros((len(bits), 12), dtype=np.int64)
    for pc in range(12):
        counts[:, (pc + LOWEST_PITCH) % 12] = bits[:, pc::12].sum(axis=1)
    return counts


def _chord_spans(passage: Passage) -> list[tuple[int, int]]:
    """Stretches with one planned chord."""
    names = passage.field("chord_root") * 16 + passage.field("chord_quality")
    edges = [0, *(np.flatnonzero(np.diff(names)) + 1).tolist(), passage.steps]
    return [(a, b) for a, b in pairwise(edges) if b > a and passage.chords[a].any()]


def _chord_faults(passage: Passage) -> Float[ndarray, " chords"]:
    """For each planned chord, how far it is from being heard, 0..1.5."""
    counts = _class_counts(passage.new_play)
    faults = []
    for first, last in _chord_spans(passage):
        heard = counts[first:last].sum(axis=0)
        total = int(heard.sum())
        if total == 0:
            faults.append(1.0)
            continue
        chord = passage.chords[first]
        root = int(passage.field("chord_root")[first])
        foreign = 1 - float(heard[chord].sum()) / total
        third = heard[(root + 3) % 12] + heard[(root + 4) % 12] == 0
        sounding = np.flatnonzero(passage.new_play[first])
        bass = int(passage.field("chord_bass")[first])
        other_bass = len(sounding) > 0 and (int(sounding[0]) + LOWEST_PITCH) % 12 != bass
        faults.append(min(1.5 * foreign + 0.5 * (heard[root] == 0) + 0.35 * third + 0.35 * other_bass, 1.5))
    return np.array(faults)


def off_chord(passage: Passage) -> float:
    """How far from the planned chords: foreign notes by time, a root or third that is not heard, another bass.

    Each planned chord counts alike, whatever its length.
    """
    faults = _chord_faults(passage)
    return float(faults.mean()) if len(faults) else 0.0


def blurred_close(passage: Passage) -> float:
    """The same of the last two chords of a phrase that has a cadence."""
    faults = _chord_faults(passage)
    ends = passage.field("phrase_left")[-1] == 1 and passage.field("cadence")[-1] > 0
    return float(faults[-2:].mean()) if ends and len(faults) else 0.0


def _sonorities(play: Bool[ndarray, "steps 88"]) -> list[tuple[int, ...]]:
    """Successive different sonorities, silence skipped."""
    rows: list[tuple[int, ...]] = []
    changed = np.flatnonzero(np.append(True, (play[1:] != play[:-1]).any(axis=1))) if len(play) else []
    for step in changed:
        pitches = tuple(np.flatnonzero(play[step]).tolist())
        if pitches and (not rows or rows[-1] != pitches):
            rows.append(pitches)
    return rows


def parallels(passage: Passage) -> float:
    """Parallel fifths and octaves a bar, voices being the sorted pitches (`evaluation.harmony.parallels`).

    Octaves are left out where instruments double each other as a matter of course.
    """
    forbidden = (0, 7) if passage.ensemble == "satb" else (7,)
    found = 0
    rows = _sonorities(passage.play[max(passage.back - 4, 0) :])
    for before, after in pairwise(rows):
        if len(before) != len(after):
            continue
        for low, high in combinations(range(len(before)), 2):
            interval = (before[high] - before[low]) % 12
            same = interval == (after[high] - after[low]) % 12
            moves = (after[low] - before[low]) * (after[high] - before[high]) > 0
            found += same and moves and interval in forbidden
    return found * passage.bar_steps / passage.steps


def density_gap(passage: Passage) -> float:
    """How far the onsets are from the planned number: |log| of their ratio; by bars where the plan names them."""
    wanted = passage.field("bar_density")
    if (wanted < 0).all():
        wanted = passage.field("density")
    known = wanted >= 0
    if not known.any():
        return 0.0
    planned = float(wanted[known].sum()) / 100 / int(passage.field("grid")[0])
    heard = float(passage.new_articulate[known].sum())
    return abs(float(np.log((heard + 1) / (planned + 1))))


def _longest(flags: Bool[ndarray, " steps"]) -> int:
    """Longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def silence(passage: Passage) -> float:
    """The longest silence in bars, beyond a quarter of one."""
    return max(0.0, _longest(np.asarray(~passage.play.any(axis=1))) / passage.bar_steps - 0.25)


def stuck(passage: Passage) -> float:
    """Bars beyond one in which one and the same sonority sounds."""
    play = passage.play
    same = np.append(False, (play[1:] == play[:-1]).all(axis=1) & play[1:].any(axis=1))
    return max(0.0, (_longest(np.asarray(same)) + 1) / passage.bar_steps - 1.0)


def restruck_ties(play: Bool[ndarray, "steps 88"], articulate: Bool[ndarray, "steps 88"]) -> Bool[ndarray, " steps"]:
    """Steps at which part of an unchanged sonority is struck again (`evaluation.texture.stutter`)."""
    if len(play) == 0:
        return np.zeros(0, dtype=bool)
    unchanged = np.append(False, (play[1:] == play[:-1]).all(axis=1))
    count = articulate.sum(axis=1)
    return unchanged & (count > 0) & (count < play.sum(axis=1))


def stutter(passage: Passage) -> float:
    """Share of the struck notes that are restruck ties."""
    again = restruck_ties(passage.play, passage.articulate)[passage.back :]
    struck = passage.new_articulate
    return float(struck[again].sum()) / max(int(struck.sum()), 1)


def _struck_again(
    passage: Passage,
) -> tuple[Int[ndarray, " strikes"], Int[ndarray, " strikes"], Int[ndarray, " strikes"]]:
    """Of each strike its row, its notes, and those whose pitch one of the two strikes before struck too."""
    rows = np.flatnonzero(passage.articulate.any(axis=1))
    strikes = np.pad(passage.articulate[rows], ((2, 0), (0, 0)))
    again = strikes[2:] & (strikes[1:-1] | strikes[:-2])
    return rows, strikes[2:].sum(axis=1), again.sum(axis=1)


def restrikes(passage: Passage) -> float:
    """Share of the struck notes whose pitch has just been struck, beyond what is usual (`evaluation.repetition`)."""
    rows, notes, again = _struck_again(passage)
    new = rows >= passage.back
    count = int(notes[new].sum())
    return max(0.0, int(again[new].sum()) / count - USUAL_RESTRIKES[passage.ensemble]) if count else 0.0


def hammering(passage: Passage) -> int:
    """Most bars in a row that hammer, the last of them in the phrase (`evaluation.repetition`)."""
    rows, notes, again = _struck_again(passage)
    longest = run = 0
    for first in range(len(passage.play) % passage.bar_steps, len(passage.play), passage.bar_steps):
        here = (rows >= first) & (rows < first + passage.bar_steps)
        busy = int(here.sum()) >= BUSY
        run = run + 1 if busy and int(again[here].sum()) >= HAMMERED * int(notes[here].sum()) else 0
        if first + passage.bar_steps > passage.back:
            longest = max(longest, run)
    return longest


def _playable(pitches: Sequence[int]) -> bool:
    """Whether two hands can strike these columns at once."""

    def one(part: Sequence[int]) -> bool:
        return len(part) <= FINGERS and (len(part) == 0 or part[-1] - part[0] <= HAND_SPAN)

    return any(one(pitches[:cut]) and one(pitches[cut:]) for cut in range(len(pitches) + 1))


def unplayable(passage: Passage) -> float:
    """Strikes, and sonorities, that two hands of a ninth cannot take; piano only."""
    if passage.ensemble != "piano":
        return 0.0
    bad = 0.0
    for step in np.flatnonzero(passage.new_articulate.any(axis=1)):
        bad += not _playable(np.flatnonzero(passage.new_articulate[step]).tolist())
        bad += 0.2 * (not _playable(np.flatnonzero(passage.new_play[step]).tolist()))
    return bad


def voice_count(passage: Passage) -> float:
    """Share of time in which more or fewer voices sound than there are: four in a choir, at most four in a quartet."""
    if passage.ensemble not in VOICES:
        return 0.0
    count, most = passage.new_play.sum(axis=1), VOICES[passage.ensemble]
    wrong = count != most if passage.ensemble == "satb" else count > most
    return float(wrong[passage.free].mean()) if passage.free.any() else 0.0


def spacing(passage: Passage) -> float:
    """Share of a choir's sonorities with more than an octave between two upper voices."""
    if passage.ensemble != "satb":
        return 0.0
    rows = [r for r in _sonorities(passage.new_play) if len(r) >= 3]
    wide = sum(any(b - a > SPACING for a, b in pairwise(row[1:])) for row in rows)
    return wide / len(rows) if rows else 0.0


def leaps(passage: Passage) -> float:
    """Leaps of more than an octave, or of a seventh or tritone, in the highest line, a bar."""
    struck = passage.articulate.any(axis=1)
    tops = [int(np.flatnonzero(row)[-1]) for row in passage.play[struck] if row.any()]
    sizes = np.abs(np.diff(tops)) if len(tops) > 1 else np.zeros(0)
    return float((sizes > 12).sum() + 0.5 * np.isin(sizes, (6, 10, 11)).sum()) * passage.bar_steps / passage.steps


def doubled_leading_tone(passage: Passage) -> float:
    """Share of the steps over a dominant in which two or more voices hold the leading tone; four parts only."""
    if passage.ensemble not in VOICES:
        return 0.0
    tonic = passage.field("key_pc")
    leading = (tonic + 11) % 12
    dominant = passage.chords[np.arange(passage.steps), leading] & (tonic >= 0)
    count = _class_counts(passage.new_play)[np.arange(passage.steps), leading]
    return float((count[dominant] > 1).mean()) if dominant.any() else 0.0


def open_sevenths(passage: Passage) -> float:
    """Share of sevenths of the planned chords that the next chord neither holds nor takes down by step."""
    spans = _chord_spans(passage)
    left = total = 0
    for (first, last), (start, end) in pairwise(spans):
        tones = CHORD_INTERVALS[QUALITIES[int(passage.field("chord_quality")[first])]]
        if len(tones) < 4 or start != last:
            continue
        seventh = (int(passage.field("chord_root")[first]) + tones[3] - LOWEST_PITCH) % 12
        following = np.any(passage.new_play[start:end], axis=0)
        for column in np.flatnonzero(passage.new_play[last - 1]):
            if column % 12 == seventh:
                total += 1
                left += not bool(np.any(following[max(int(column) - 2, 0) : int(column) + 1]))
    return left / total if total else 0.0


def theme_lost(passage: Passage) -> float:
    """Share of the notes of a theme, where it is only suggested, that are not struck at their place."""
    told = passage.told
    rows = (told.reference_kind[: passage.steps] == THEME) & passage.free
    notes = told.reference_articulate[: passage.steps] & rows[:, None]
    return 1.0 - float(passage.new_articulate[notes].mean()) if notes.any() else 0.0


def unlike_plan(passage: Passage) -> float:
    """Bars whose likeness to their model lies outside the band that was told, by how far; mean over such bars."""
    bins, kinds = passage.field("similarity"), passage.told.reference_kind[: passage.steps]
    bounds = (0.0, *SIMILARITY_BOUNDS, 1.0)
    gaps = []
    for first in range(0, passage.steps, passage.bar_steps):
        rows = slice(first, first + passage.bar_steps)
        wanted = int(bins[first])
        if wanted < 0 or kinds[first] in (NO_REFERENCE,) or not passage.free[rows].any():
            continue
        heard = bar_likeness(passage.new_articulate[rows], passage.told.reference_articulate[: passage.steps][rows])
        low, high = bounds[wanted], bounds[wanted + 1]
        gaps.append(3 * max(low - heard, heard - high, 0.0) + (kinds[first] == STATEMENT and heard > 0.999))
    return float(np.mean(gaps)) if gaps else 0.0


Penalty = Callable[[Passage], float]
# What a penalty of 1 costs.
WEIGHTS: dict[Penalty, float] = {
    off_chord: 3.0,
    blurred_close: 2.0,
    parallels: 1.0,
    density_gap: 2.5,
    silence: 4.0,
    stuck: 3.0,
    stutter: 4.0,
    restrikes: 3.0,
    unplayable: 3.0,
    voice_count: 1.0,
    spacing: 0.5,
    leaps: 0.5,
    doubled_leading_tone: 1.0,
    open_sevenths: 3.0,
    theme_lost: 4.0,
    unlike_plan: 1.0,
}
_SURPRISE = 0.6  # a nat a step above the candidates' median
_DULL = 0.5  # share of that median below which a phrase is suspected of going in circles
# Limits of `flaws`: bars of silence beyond a quarter of one, bars on one sonority beyond the first, share of notes,
# bars that hammer.
SILENT, STUCK, STUTTER, HAMMERING = 0.6, 0.9, 0.2, 1


def penalties(passage: Passage) -> dict[str, float]:
    """Each penalty by name, unweighted."""
    return {function.__name__: function(passage) for function in WEIGHTS}


def costs(passages: Sequence[Passage]) -> Float[ndarray, " passages"]:
    """The cost of each candidate for one phrase; the least is the best.

    The chance of a phrase counts too, against the candidates' median: much less likely is wild, much more likely is a
    phrase that goes in circles.
    """
    nats = np.array([mean_nats(p) for p in passages])
    middle = float(np.median(nats))
    odd = _SURPRISE * np.maximum(nats - middle, 0) + 2 * np.maximum(_DULL * middle - nats, 0)
    blame = [sum(weight * function(p) for function, weight in WEIGHTS.items()) for p in passages]
    return odd + np.array(blame)


def beyond_hands(passage: Passage) -> int:
    """Strikes that a hand cannot take as `music.voices` deals the notes to two staves; piano only."""
    if passage.ensemble != "piano":
        return 0
    unit = step_div(int(passage.field("grid")[0]))
    fit = np.ones(len(passage.play), dtype=bool)
    notes = roll_notes(Roll(passage.play, passage.articulate, fit, int(passage.field("grid")[0])))
    staves = hands(notes[:, 0] * unit, notes[:, 1] * unit, notes[:, 2])
    strikes: dict[tuple[int, int], list[int]] = {}
    for (onset, _, pitch), staff in zip(notes.tolist(), staves.tolist(), strict=True):
        if onset >= passage.back:
            strikes.setdefault((onset, staff), []).append(pitch)
    return sum(len(s) > FINGERS or max(s) - min(s) > HAND_SPAN for s in strikes.values())


def flaws(passage: Passage) -> float:
    """Faults that no listener or player forgives, counted: a drawn phrase that has one is drawn anew."""
    faults = (
        silence(passage) > SILENT,
        stuck(passage) > STUCK,
        stutter(passage) > STUTTER,
        hammering(passage) > HAMMERING,
    )
    return float(sum(faults) + beyond_hands(passage))
