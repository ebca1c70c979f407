"""What is written in a score, as numbers for every note and onset, for any performer to obey.

The rule performer reads the same functions (`rule_dynamics`, `rule_tempo`, `rule_timing`), so a mark means the same to
all. Levels are those of `rule_dynamics.LEVELS`, from 34 for pp and 45 for p to 79 for f and 93 for ff: a step of a mark
is about 12 MIDI velocities, our choice. In recordings a mark has no fixed loudness; what counts is how neighbouring
marks lie to each other (Kosta, "Computational Modelling and Quantitative Analysis of Dynamics in Performed Music", PhD
thesis, 2017).
`performer.marking_obey` lays the markings over a performance that knows nothing of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from music.plan import Plan
from music.score import Score, TempoChange
from music.time import DIVS_PER_QUARTER
from performer.marking_words import dynamic_signs, plain_level, tempo_bends, tempo_resets, tempo_steps
from performer.rule_dynamics import LEVELS, accents_of, level_curve
from performer.rule_score import NoteArrays, note_arrays
from performer.rule_tempo import base_tempo, fermata_factors, map_places, word_slowness
from performer.rule_timing import sign_ratios, slurs

# A file with more tempo changes than this a bar has been played: they are its rubato, not marks.
PLAYED_CHANGES = 1.0
PLAYED_WINDOW_BARS = 9
PLAYED_STEP = 0.2  # log2 of the tempo: what differs by less is one passage


@dataclass(frozen=True)
class Passage:
    """Notes between two marks: `constant` at one level, else a hairpin's. `heard` are all that sound in that time."""

    start_div: int
    end_div: int
    constant: bool
    notes: Int[np.ndarray, " notes"]
    heard: Int[np.ndarray, " heard"]


@dataclass(frozen=True, eq=False)
class Markings:
    """What a score asks for. Notes are in order of (onset, pitch, id), onsets are the unique ones of the notes.

    Args:
        note_ids: ids of the notes.
        place: index of each note's onset.
        onset_div: the onsets in divisions.
        level: velocity that dynamics and hairpins ask for; `DEFAULT_LEVEL` where `level_known` is false.
        level_known: whether a mark (or the plan's) is in force at the note: not before the first one.
        level_offset: level over the mean of the known ones, 0 where it is not known.
        accent: velocity that accents and sforzati add to the note.
        length_ratio: sounding part of the written length that a sign asks for (staccato 0.5), 1 without one.
        length_known: whether the note has such a sign.
        slurred: under a slur and not its last note.
        qpm: tempo in force at each onset, in quarters a minute, without what rit. and accel. do.
        tempo_known: whether that tempo is written (a number, a word, or the plan's) and not reckoned from the default.
        tempo_log2: log2 of the written tempo from each onset to the next over the piece's prevailing one, with rit.
            and accel. but without fermatas: 0 where nothing is written, above 0 faster.
        bend_log2: the share of rit. and accel. in it: below 0 slower.
        fermata: factor on the time from each onset to the next, 1 without a fermata.
        span_div: divisions from each onset to the next, the last to the score's end.
        passages: levels and hairpins in order; notes before the first mark are in none.
        tempo_starts: indices of the onsets at which a tempo is set, "a tempo" included.
        bends: (first, last) onsets of each rit. or accel., the last not included.
    """

    note_ids: tuple[str, ...]
    place: Int[np.ndarray, " notes"]
    onset_div: Int[np.ndarray, " onsets"]
    level: Float[np.ndarray, " notes"]
    level_known: Bool[np.ndarray, " notes"]
    level_offset: Float[np.ndarray, " notes"]
    accent: Float[np.ndarray, " notes"]
    length_ratio: Float[np.ndarray, " notes"]
    length_known: Bool[np.ndarray, " notes"]
    slurred: Bool[np.ndarray, " notes"]
    qpm: Float[np.ndarray, " onsets"]
    tempo_known: Bool[np.ndarray, " onsets"]
    tempo_log2: Float[np.ndarray, " onsets"]
    bend_log2: Float[np.ndarray, " onsets"]
    fermata: Float[np.ndarray, " onsets"]
    span_div: Float[np.ndarray, " onsets"]
    passages: tuple[Passage, ...]
    tempo_starts: tuple[int, ...]
    bends: tuple[tuple[int, int], ...]


def written_markings(score: Score, plan: Plan | None = None) -> Markings:
    """The markings of a score; where it has no dynamics or no tempo, those of its plan.

    MIDI scores have tempos but no dynamics. Tempos that change more than once a bar are someone's rubato: of these the
    prevailing ones are taken, a new one where the middle of nine bars has moved by 15 per cent.

    Args:
        score: may have no notes.
        plan: the plan that the score was written from.
    """
    notes = note_arrays(score)
    order = np.array(sorted(range(len(score.notes)), key=lambda i: _rank(score, i)), dtype=np.int64)
    onset_div, place = np.unique(notes.onset[order], return_inverse=True)
    level, known, passages = _levels(score, notes, plan, order)
    ratio = sign_ratios(score, notes)[order]
    under, last = slurs(score, notes)
    return Markings(
        note_ids=tuple(score.notes[i].id for i in order.tolist()),
        place=place.astype(np.int64),
        onset_div=onset_div,
        level=level,
        level_known=known,
        level_offset=np.where(known, level - (level[known].mean() if known.any() else 0.0), 0.0),
        accent=accents_of(score, notes)[order],
        length_ratio=np.where(np.isnan(ratio), 1.0, ratio),
        length_known=~np.isnan(ratio),
        slurred=(under & ~last)[order],
        passages=passages,
        **_tempo(score, notes, plan, onset_div),
    )


def _rank(score: Score, index: int) -> tuple[int, int, str]:
    note = score.notes[index]
    return note.onset_div, note.pitch, note.id


def _levels(
    score: Score, notes: NoteArrays, plan: Plan | None, order: Int[np.ndarray, " notes"]
) -> tuple[Float[np.ndarray, " notes"], Bool[np.ndarray, " notes"], tuple[Passage, ...]]:
    """Level, whether it is known, and passages, of the notes in `order`."""
    signs = dynamic_signs(score)
    onset, part = notes.onset[order], notes.part[order]
    level, known, passages = np.zeros(len(onset)), np.zeros(len(onset), dtype=bool), []
    with_own = {d.part for d in signs}
    for index in np.unique(part).tolist():
        # As in `rule_dynamics.written_levels`: a part without signs takes those of all.
        own = [d for d in signs if d.part in (index, -1)] if index in with_own else list(signs)
        curve = level_curve(own, plan)
        mine = part == index
        level[mine] = np.interp(onset[mine], curve[:, 0], curve[:, 1])
        marks = [d.onset_div for d in own if d.kind != "dynamic" or plain_level(d.text) in LEVELS]
        sections = plan.sections if plan is not None and not any(d.kind == "dynamic" for d in own) else ()
        if any(s.dynamic is not None for s in sections):
            marks.append(0)
        if marks:
            known |= mine & (onset >= min(marks))
            again = [float(d.onset_div) for d in own if d.kind == "dynamic" and plain_level(d.text) in LEVELS]
            passages += _passages(curve, again, onset, np.flatnonzero(mine), (min(marks), score.end_div))
    return level, known, tuple(sorted(passages, key=lambda p: (p.start_div, p.end_div)))


def _passages(
    curve: Float[np.ndarray, "points 2"],
    again: list[float],
    onset: Int[np.ndarray, " notes"],
    mine: Int[np.ndarray, " mine"],
    extent: tuple[int, int],
) -> list[Passage]:
    """Stretches of one part's curve that stay at one level or rise or fall in one go, and hold its notes.

    A mark that says `again` what is in force begins a passage too.
    """
    first, end = extent
    bounds: list[tuple[float, bool]] = [(float(first), True), *((at, True) for at in again)]
    for (a, low), (b, high) in pairwise(curve.tolist()):
        if b - a >= 1 and high != low and b > first:  # a step takes less than a division
            bounds += [(max(a, first), False), (b, True)]
        elif high != low and b > first:
            bounds.append((b, True))
    bounds.sort(key=lambda bound: (bound[0], not bound[1]))  # a hairpin may begin at a mark
    found = []
    for (start, constant), (stop, _) in pairwise([*bounds, (float(end), True)]):
        notes = mine[(onset[mine] >= start) & (onset[mine] < stop)]
        if len(notes):
            heard = np.flatnonzero((onset >= start) & (onset < stop))
            found.append(Passage(int(start), int(stop), constant, notes, heard))
    return found


def _tempo(score: Score, notes: NoteArrays, plan: Plan | None, onset_div: Int[np.ndarray, " onsets"]) -> dict[str, Any]:
    """The fields of `Markings` that go by onset."""
    if not len(onset_div):
        none = np.zeros(0)
        names = ("qpm", "tempo_log2", "bend_log2", "fermata", "span_div")
        return dict.fromkeys(names, none) | {"tempo_known": none.astype(bool), "tempo_starts": (), "bends": ()}
    marked = _without_rubato(score)
    steps, known_from = tempo_steps(marked, plan)
    places = map_places(marked, notes)
    middle = (places[1:] + places[:-1]) / 2
    qpm = base_tempo(marked, plan, onset_div.astype(float))
    seconds = np.diff(places) * 60.0 / (base_tempo(marked, plan, middle) * DIVS_PER_QUARTER)
    slowness = word_slowness(marked, middle)
    fermata = fermata_factors(marked, notes, places, seconds, 1.0)
    # Places between two onsets belong to the first; what is before the first onset is left out.
    groups = np.searchsorted(onset_div, middle, side="right") - 1
    inside = groups >= 0

    def over_onsets(values: np.ndarray) -> Float[np.ndarray, " onsets"]:
        return np.bincount(groups[inside], values[inside], len(onset_div))

    # What stands at the score's very end, a grace note say, has no time after it.
    written, bent, held = (
        np.where(total > 0, total, 1.0)
        for total in (over_onsets(seconds), over_onsets(seconds * slowness), over_onsets(seconds * slowness * fermata))
    )
    span = np.diff(np.append(onset_div, max(score.end_div, int(onset_div[-1]) + 1))).astype(float)
    own = np.log2(qpm)
    bend_log2 = -np.log2(bent / written)
    bends = [np.searchsorted(onset_div, (b.start, b.end)) for b in tempo_bends(marked)]
    starts = [0, *(onset for onset, _ in steps), *tempo_resets(marked), *(b.end for b in tempo_bends(marked))]
    starts += [plan.bar_onset_div(bar) for bar in plan.first_bars] if plan is not None else []
    found = {int(i) for i in np.searchsorted(onset_div, starts)}
    return {
        "qpm": qpm,
        "tempo_known": onset_div >= (score.end_div + 1 if known_from is None else known_from),
        "tempo_log2": own - weighted_median(own, span) + bend_log2,
        "bend_log2": bend_log2,
        "fermata": held / bent,
        "span_div": span,
        "tempo_starts": tuple(sorted(i for i in found if i < len(onset_div))),
        "bends": tuple((int(a), int(b)) for a, b in bends if b > a),
    }


def weighted_median(values: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]) -> float:
    """The value below which half of the weight lies; of no values 0."""
    if not len(values):
        return 0.0
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][min(int(np.searchsorted(total, total[-1] / 2)), len(values) - 1)])


def _without_rubato(score: Score) -> Score:
    """The score with its prevailing tempos, where a performance's tempo curve stands in the place of marks."""
    if len(score.tempos) <= max(PLAYED_CHANGES * len(score.bars), 4):
        return score
    onsets = np.array([t.onset_div for t in score.tempos])
    tempos = np.log2([t.qpm for t in score.tempos])
    bars = np.array([(b.onset_div, b.end_div) for b in score.bars])
    # Eighths of bars, so that the middle of several bars goes by their length in the score and not by the changes.
    eighths = bars[:, :1] + (bars[:, 1:] - bars[:, :1]) * np.arange(8) // 8
    played = tempos[np.searchsorted(onsets, eighths, side="right").clip(1) - 1]
    half = PLAYED_WINDOW_BARS // 2
    middles = [float(np.median(played[max(i - half, 0) : i + half + 1])) for i in range(len(bars))]
    first = [0]
    for i, middle in enumerate(middles):
        if abs(middle - middles[first[-1]]) > PLAYED_STEP:
            first.append(i)
    found = [float(np.median(played[a:b])) for a, b in pairwise([*first, len(bars)])]
    changes = [TempoChange(int(bars[i, 0]), round(float(2.0**v), 3)) for i, v in zip(first, found, strict=True)]
    return replace(score, tempos=tuple(changes))
