"""Chords under a melody: the best row of chords of the syntax for the notes that sound, each phrase with its close.

One exact search a section (Viterbi): a chord for each slot (half a bar, or a beat in chorales), weighed by how it
carries the melody, by the syntax's moves, and where a phrase closes by the cadence that chord and melody make there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from music.harmony import chord_pcs
from music.plan import CADENCES, Phrase, Plan, PlanNote, Section, Theme
from music.time import Meter
from planner.harmony import Slot, Step, bar_parts, chords_of, merged
from planner.harmony_tables import Syntax, syntax
from planner.styles import STYLES

THEME_BARS = 4
# Logarithmic worth of a beat of melody on a strong place: in the chord, or foreign to it.
_INSIDE, _FOREIGN = np.log(1.6), np.log(0.12)
_LEAST = 1e-5  # weight of a move that the syntax does not know: a last resort
_NEVER = -1e6
# Worth of a chord that lasts on, by chords a bar: within a bar, over a bar line.
_STAY = {1: (np.log(0.5), np.log(0.1)), 2: (np.log(0.3), np.log(0.08)), 4: (np.log(0.12), np.log(0.05))}
# Worth of each cadence at the end of the piece, of a section, of a phrase.
_LAST = {"PAC": 0.0, "IAC": -4.0, "HC": -9.0, "DC": -12.0}
_SECTION = {"PAC": 0.0, "IAC": -1.5, "HC": -1.0, "DC": -4.0}
_INNER = {"HC": 0.0, "IAC": -0.3, "PAC": -0.5, "DC": -3.0}
_OFF_TONIC = -4.0  # a perfect cadence without the tonic above it, where one is asked for


@dataclass(frozen=True)
class _Close:
    """Where a phrase closes: slot of its last chord, melody's pitch class above the tonic there, worth by cadence."""

    slot: int
    pc: int | None
    worth: dict[str, float]
    asked: bool


@dataclass(frozen=True, eq=False)
class _States:
    """The chords of a mode, the cadential 64 among them, with logarithmic weights of opening, moving and lasting."""

    names: tuple[str, ...]
    pcs: Float[np.ndarray, "figures 12"]
    opening: Float[np.ndarray, " figures"]
    moves: Float[np.ndarray, "figures figures"]
    strong: Float[np.ndarray, " figures"]
    weak: Float[np.ndarray, " figures"]

    def places(self, text: str) -> list[int]:
        """Indices of the chords named that this mode has."""
        return [self.names.index(n) for n in text.split() if n in self.names]


@cache
def _states(minor: bool) -> _States:
    table: Syntax = syntax(minor)
    six_four = "i64" if minor else "I64"
    names = (*table.figures, six_four)
    size = len(names)
    moves = np.zeros((size, size))
    moves[:-1, :-1] = table.moves
    moves[:-1, -1] = table.into(six_four)
    for name in ("V", "V7"):
        moves[-1, names.index(name)] = 2.0
    # Where the dominant may come its seventh may too: under a melody the seventh is often what is sung.
    seventh, dominant = names.index("V7"), names.index("V")
    moves[:, seventh] = np.maximum(moves[:, seventh], 0.7 * moves[:, dominant])
    moves[dominant, seventh] = 1.0
    moves /= np.maximum(moves.sum(axis=1, keepdims=True), 1e-9)
    pcs = np.zeros((size, 12))
    for row, name in enumerate(names):
        root, quality, _ = table.chords[name]
        pcs[row, list(chord_pcs(root, quality))] = 1.0
    opening = np.append(table.openings["home"], 0.0)

    # The 64 stands on a strong place, before its dominant on a weaker one.
    strong, weak = np.append(table.strong, 0.5), np.append(table.weak, 0.05)
    logs = [np.log(np.maximum(weights, _LEAST)) for weights in (opening, moves, strong, weak)]
    return _States(names, pcs, *logs)


def _closing_moves(
    states: _States, close: _Close
) -> tuple[Float[np.ndarray, "figures figures"], Int[np.ndarray, "figures figures"]]:
    """Weights of the last move of a phrase, and which cadence (index in `CADENCES`) each is; -1 none."""
    size = len(states.names)
    best, kind = np.full((size, size), _NEVER), np.full((size, size), -1)
    tonic, dominants = states.places("I i"), states.places("V V7")
    on_tonic = close.pc in (0, None)
    options = [
        ("PAC", dominants, tonic, 0.0 if on_tonic else _OFF_TONIC),
        ("IAC", dominants, tonic, -0.5 if on_tonic else 0.0),
        ("IAC", states.places("V65 V43 viio6 V6 viio7"), tonic, -0.5),
        ("IAC", states.places("V42 V43 viio6"), states.places("I6 i6"), -0.5),
        ("HC", [i for i in range(size) if i not in dominants], states.places("V"), 0.0),
        ("DC", dominants, states.places("vi VI"), 0.0),
    ]
    for name, before, after, worth in options:
        if name not in close.worth or (name == "PAC" and not on_tonic and not close.asked):
            continue
        for i in before:
            for j in after:
                value = worth + close.worth[name] + max(float(states.moves[i, j]), -4.0)
                if value > best[i, j]:
                    best[i, j], kind[i, j] = value, CADENCES.index(name)
    return best, kind


def _slots(meter: Meter, bars: int, chords_per_bar: int) -> list[Slot]:
    parts = min(meter.beats, 4 if chords_per_bar >= 4 else 2)
    slots: list[Slot] = []
    for bar in range(bars):
        onset = bar * meter.bar_div
        for index, length in enumerate(bar_parts(meter, parts)):
            slots.append(Slot(onset, length, index == 0))
            onset += length
    return slots


def _evidence(
    slots: Sequence[Slot], notes: Sequence[PlanNote], tonic: int, meter: Meter
) -> Float[np.ndarray, "slots 12"]:
    """Beats of melody in each slot by pitch class above the tonic, strong places counting more."""
    found = np.zeros((len(slots), 12))
    starts = [s.onset_div for s in slots]
    for note in notes:
        end = note.onset_div + note.duration_div
        first = max(int(np.searchsorted(starts, note.onset_div, side="right")) - 1, 0)
        for index in range(first, len(slots)):
            slot = slots[index]
            if slot.onset_div >= end:
                break
            shared = min(end, slot.onset_div + slot.duration_div) - max(note.onset_div, slot.onset_div)
            if shared > 0:
                weight = shared / meter.beat_div * (0.5 + meter.strength(max(note.onset_div, slot.onset_div)))
                found[index, (note.pitch - tonic) % 12] += weight
    return found


def _close_of(
    phrase: Phrase, start: int, slots: Sequence[Slot], notes: Sequence[PlanNote], tonic: int, meter: Meter
) -> tuple[int, int | None]:
    """The slot of a phrase's last chord and the melody's pitch class there: its longest note in the last bar."""
    end = start + phrase.bars * meter.bar_div
    late = [n for n in notes if end - meter.bar_div <= n.onset_div < end]
    if not late:
        held = [n for n in notes if n.onset_div < end - meter.bar_div < n.onset_div + n.duration_div]
        onset, pc = end - meter.bar_div, (held[-1].pitch - tonic) % 12 if held else None
    else:
        note = max(late, key=lambda n: (n.duration_div, meter.strength(n.onset_div), -n.onset_div))
        onset, pc = note.onset_div, (note.pitch - tonic) % 12
    return int(np.searchsorted([s.onset_div for s in slots], onset, side="right")) - 1, pc


def _search(
    states: _States,
    slots: Sequence[Slot],
    heard: Float[np.ndarray, "slots 12"],
    closes: Sequence[_Close],
    chords_per_bar: int,
) -> tuple[list[int], dict[int, str]]:
    """The best row of chords, and the cadence at each closing slot."""
    local = heard @ (_INSIDE * states.pcs.T + _FOREIGN * (1 - states.pcs.T))
    local = local + np.array([states.strong if s.strong else states.weak for s in slots])
    stay = np.eye(len(states.names), dtype=bool)
    closing = {c.slot: _closing_moves(states, c) for c in closes if c.slot > 0}
    # After the last close nothing moves unless the melody does.
    end = closes[-1].slot if closes else len(slots)
    score = states.opening + local[0]
    back = np.zeros((len(slots), len(states.names)), dtype=np.int64)
    for index in range(1, len(slots)):
        if index in closing:
            moves = closing[index][0]
        else:
            lasting = _STAY[chords_per_bar][slots[index].strong] if index <= end else 0.0
            moves = np.where(stay, lasting, states.moves - (3.0 if index > end else 0.0))
        options = score[:, None] + moves
        back[index] = options.argmax(axis=0)
        score = options.max(axis=0) + local[index]
    path = [int(score.argmax())]
    for index in range(len(slots) - 1, 0, -1):
        path.append(int(back[index, path[-1]]))
    path.reverse()
    kinds = {i: int(kind[path[i - 1], path[i]]) for i, (_, kind) in closing.items()}
    return path, {i: CADENCES[kind] for i, kind in kinds.items() if kind >= 0}


def harmonise_section(
    section: Section,
    notes: Sequence[PlanNote],
    meter: Meter,
    chords_per_bar: int,
    *,
    asked: str | None = None,
    is_last: bool = False,
) -> Section:
    """A section with chords that carry a melody, and with the cadences that they make at its phrases' ends.

    Args:
        section: gives bars, key and phrases.
        notes: the melody, onsets from the section's first downbeat.
        meter: of the plan.
        chords_per_bar: as of `planner.styles.Style`.
        asked: the section's own cadence where it is a wish; phrases inside it close as suits the melody.
        is_last: the piece ends with it.
    """
    states, slots = _states(section.key.minor), _slots(meter, section.bars, chords_per_bar)
    tonic, start = section.key.pc, 0
    closes: list[_Close] = []
    borders = [0]
    for index, phrase in enumerate(section.phrases):
        final = index == len(section.phrases) - 1
        slot, pc = _close_of(phrase, start, slots, notes, tonic, meter)
        worth = _INNER if not final else _LAST if is_last else _SECTION
        forced = asked if final else None
        closes.append(_Close(slot, pc, {forced: 0.0} if forced else worth, forced is not None))
        start += phrase.bars * meter.bar_div
        borders.append(start)
    path, found = _search(states, slots, _evidence(slots, notes, tonic, meter), closes, chords_per_bar)
    steps = [Step(s.onset_div, s.duration_div, states.names[i]) for s, i in zip(slots, path, strict=True)]
    phrases = tuple(
        replace(phrase, cadence=found.get(close.slot)) for phrase, close in zip(section.phrases, closes, strict=True)
    )
    return replace(section, phrases=phrases, chords=chords_of(merged(steps, borders), section.key))


def phrases_between(bars: int, bounds: Sequence[int]) -> tuple[Phrase, ...]:
    """Phrases of a section of `bars` bars, cut at those bounds (bars from its start) that leave two bars or more."""
    kept = [0]
    for bound in sorted(set(bounds)):
        if bound - kept[-1] >= 2 and bars - bound >= 2:
            kept.append(bound)
    spans = list(pairwise([*kept, bars]))
    return tuple(Phrase(end - start, chr(ord("a") + i % 26)) for i, (start, end) in enumerate(spans))


def notes_of_bars(
    line: Sequence[PlanNote], first: int, bars: int, meter: Meter, *, upbeat: bool = False
) -> tuple[PlanNote, ...]:
    """Notes that begin in these bars, on their own clock, cut at their end; with `upbeat` those before bar 0 too."""
    start, length = first * meter.bar_div, bars * meter.bar_div
    found = []
    for note in line:
        onset = note.onset_div - start
        if (onset >= 0 or (upbeat and first == 0)) and onset < length:
            found.append(PlanNote(onset, min(note.duration_div, length - onset), note.pitch))
    return tuple(found)


def harmonise(
    plan: Plan, line: Sequence[PlanNote], bounds: Sequence[int], asked: Sequence[str | None] | None = None
) -> Plan:
    """A plan whose sections carry a melody: its phrases, chords, cadences and themes are taken from it.

    Args:
        plan: gives sections, bars, keys and style.
        line: one note at a time, onsets from the first downbeat, an upbeat negative.
        bounds: bars (from 0) at which the melody's phrases begin.
        asked: cadence of each section where it is a wish, else None; it is kept whatever the melody does.
    """
    meter, rate = plan.meter, STYLES[plan.style].chords_per_bar if plan.style in STYLES else 2
    sections: list[Section] = []
    themes: list[Theme] = []
    for index, (section, first) in enumerate(zip(plan.sections, plan.first_bars, strict=True)):
        section = replace(section, phrases=phrases_between(section.bars, [b - first for b in bounds]), theme=None)
        last = index == len(plan.sections) - 1
        wish = asked[index] if asked else None
        notes = notes_of_bars(line, first, section.bars, meter)
        section = harmonise_section(section, notes, meter, rate, asked=wish, is_last=last)
        opening = notes_of_bars(line, first, min(THEME_BARS, section.bars), meter, upbeat=True)
        if opening and all(t.label != section.letter for t in themes):
            themes.append(Theme(section.letter, min(THEME_BARS, section.bars), section.key, opening))
        if any(t.label == section.letter for t in themes):
            section = replace(section, theme=section.letter)
        sections.append(section)
    return replace(plan, sections=tuple(sections), themes=tuple(themes))
