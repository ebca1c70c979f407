"""From a user's files to notes told in advance: a melody, an opening, a score with bars to fill or sections to redo.

All four become one `Given`. What it fixes stands in the composed score note for note (`impose`): same onset, length and
pitch. A roll has no parts, so two parts in unison are one note, the longer one, and which part or hand plays a note is
dealt anew, save in kept bars of a score with as many parts (`with_parts`); grace notes are left out.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from composer.conditions import ATTACK, FREE, HOLD, OFF
from composer.given import Given
from composer.realise import realise
from composer.roll import GRIDS, LOWEST_PITCH, PITCHES, Roll, roll_of_score, step_div
from music.analysis.bars import plan_bars
from music.errors import FileError, PlanError, RequestError
from music.files import read_score
from music.passage import Passage, read_passage
from music.plan import Plan, PlanNote
from music.score import Note, Score, sort_notes

KEYS = ("melody", "opening", "bars_to_fill", "redo")


def compose_given(composer: Any, plan: Plan, *, seed: int, settings: Mapping[str, Any]) -> Score:
    """Composes a plan around what the settings give in advance; without any of `KEYS` just composes it.

    Args:
        composer: a `composer.interface.Composer`; one that takes `given` where there is something given.
        plan: made for these settings (`planner.plan_file.make_plan`).
        seed: of all chance.
        settings: the values of `KEYS` and `score_file`.

    Raises:
        RequestError: a composer that cannot be told notes, bars or labels that the plan does not have.
        FileError: a file that does not fit the plan or the grid; the bar is named.
    """
    asked = next((key for key in KEYS if settings.get(key) is not None), None)
    if asked is None:
        return composer.compose(plan, seed=seed)
    if "given" not in inspect.signature(composer.compose).parameters:
        name = type(composer).__name__
        raise RequestError(f"{asked}={settings[asked]} needs a composer that takes notes in advance; {name} does not")
    given = read_given(plan, settings)
    assert given is not None
    score = impose(composer.compose(plan, seed=seed, given=given), plan, given)
    if asked not in ("bars_to_fill", "redo"):
        return score
    return with_parts(score, read_score(Path(settings["score_file"])), plan, _free_bars(plan, settings))


def read_given(plan: Plan, settings: Mapping[str, Any]) -> Given | None:
    """What the settings give in advance, on the plan's clock; None for nothing. Errors as in `compose_given`."""
    if settings.get("melody") is not None:
        passage = read_passage(settings["melody"], meter=plan.meter)
        _check_plan_file(passage, plan, settings, "melody")
        return melody_given(passage.line.notes, plan, settings["melody"])
    if settings.get("opening") is not None:
        passage = read_passage(settings["opening"], meter=plan.meter)
        _check_plan_file(passage, plan, settings, "opening")
        return opening_given(passage.notes, plan, settings["opening"])
    if settings.get("bars_to_fill") is None and settings.get("redo") is None:
        return None
    source, free = settings.get("score_file"), _free_bars(plan, settings)
    if source is None:
        raise RequestError("bars_to_fill= and redo= need score_file=FILE.musicxml or FILE.mid")
    return filled_given(read_score(Path(source)), plan, free, source)


def _check_plan_file(passage: Passage, plan: Plan, settings: Mapping[str, Any], key: str) -> None:
    """A plan from a file must fit the notes that are given with it; a plan that was made for them does."""
    file = settings.get("plan_file")
    if file is None:
        return
    here, there = f"{key}={settings[key]}", f"plan_file={file}"
    if passage.named and passage.meter != plan.meter:
        raise RequestError(f"{here} is in {passage.meter}, {there} in {plan.meter}")
    if passage.signature is not None and passage.signature.fifths != plan.key.fifths:
        raise RequestError(f"{here} has the signature of {passage.signature}, {there} is in {plan.key}")
    if passage.bars > plan.bars or (key == "melody" and passage.bars != plan.bars):
        raise RequestError(f"{here} has {passage.bars} bars, {there} {plan.bars}")


def _free_bars(plan: Plan, settings: Mapping[str, Any]) -> frozenset[int]:
    if settings.get("bars_to_fill") is not None:
        return parse_bars(settings["bars_to_fill"], plan.bars)
    return bars_of_label(plan, settings["redo"])


def parse_bars(text: str, bars: int) -> frozenset[int]:
    """Bars from words such as "9-16" or "3-4,9", counted from 1 without the upbeat; indices from 0 come back.

    Raises:
        RequestError: not such words, or bars that the piece does not have.
    """
    found: set[int] = set()
    for word in str(text).split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:[-–]\s*(\d+)\s*)?", word)
        if match is None:
            raise RequestError(f"bars_to_fill={text} is not of the form 9-16 or 3-4,9-16")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last:
            raise RequestError(f"bars_to_fill={text}: {word.strip()} is no range of bars; they count from 1")
        if last > bars:
            raise RequestError(f"bars_to_fill={text} goes beyond the piece, which has {bars} bars")
        found.update(range(first - 1, last))
    return frozenset(found)


def bars_of_label(plan: Plan, label: str) -> frozenset[int]:
    """Bars of the sections with this label; a bare letter means its varied returns (A') too.

    Raises:
        RequestError: no such section; the labels there are stand in the message.
    """
    label = str(label).strip().replace("’", "'")
    found: set[int] = set()
    for section, first in zip(plan.sections, plan.first_bars, strict=True):
        if label in (section.label, section.letter):
            found.update(range(first, first + section.bars))
    if not found:
        labels = " ".join(dict.fromkeys(s.label for s in plan.sections))
        raise RequestError(f"redo={label}: the plan has no such section (it has {labels})")
    return frozenset(found)


def _shifted(notes: Iterable[PlanNote], shift_div: int) -> list[tuple[int, int, int]]:
    """(onset, end, pitch) moved on; per pitch one note at a time: of two that begin together the longer."""
    rows: dict[tuple[int, int], int] = {}
    for note in notes:
        key = (note.pitch, note.onset_div + shift_div)
        rows[key] = max(rows.get(key, 0), key[1] + note.duration_div)
    ordered = sorted(rows.items())
    kept = []
    for ((pitch, onset), end), following in zip(ordered, [*ordered[1:], None][: len(ordered)], strict=True):
        if following is not None and following[0][0] == pitch:
            end = min(end, following[0][1])
        kept.append((onset, end, pitch))
    return sorted(kept)


def _choose_grid(edges: Sequence[int], plan: Plan, source: object) -> int:
    """The grid that all edges of notes lie on.

    Raises:
        FileError: neither holds them all; the first bar that fits the better one badly is named.
    """
    wrong = {grid: [e for e in edges if e % step_div(grid)] for grid in GRIDS}
    fitting = [g for g in GRIDS if plan.meter.bar_div % step_div(g) == 0 and plan.pickup_div % step_div(g) == 0]
    grid = min(fitting or GRIDS, key=lambda g: len(wrong[g]))
    if not fitting:
        raise FileError(str(source), f"meter {plan.meter} fits no grid of sixteenths or sixteenth triplets")
    if wrong[grid]:
        bar = (min(wrong[grid]) - plan.pickup_div) // plan.meter.bar_div + 1
        name = "the upbeat" if bar < 1 else f"bar {bar}"
        kind = "sixteenths" if grid == 4 else "sixteenth triplets"
        raise FileError(str(source), f"{name} has a note that begins or ends between {kind}, where none can be kept")
    return grid


def _cells(rows: Sequence[tuple[int, int, int]], plan: Plan, grid: int, source: object) -> Int[ndarray, "steps 88"]:
    """Cells of notes: `ATTACK` and `HOLD`, all others `FREE`."""
    unit = step_div(grid)
    fixed = np.full((plan.end_div // unit, PITCHES), FREE, dtype=np.int8)
    for onset, end, pitch in rows:
        column = pitch - LOWEST_PITCH
        if not 0 <= column < PITCHES:
            raise FileError(str(source), f"has a note of MIDI pitch {pitch}; a piano has 21..108")
        fixed[onset // unit : end // unit, column] = HOLD
        fixed[onset // unit, column] = ATTACK
    return fixed


def melody_given(line: Sequence[PlanNote], plan: Plan, source: object) -> Given:
    """A top line with nothing above it; while it rests, nothing as high as the lower of its neighbours.

    Args:
        line: one note at a time, on the clock of a theme. Ends are drawn to the nearest step.
        plan: what is to be composed; it must hold the line.
        source: the file, for messages.

    Raises:
        FileError: an onset off the grid (the bar is named), or notes outside the plan.
    """
    _check_inside(line, plan, source)
    grid = _choose_grid([n.onset_div + plan.pickup_div for n in line], plan, source)
    unit = step_div(grid)
    rows = []
    for note, following in zip(line, [*line[1:], None], strict=True):
        onset = note.onset_div + plan.pickup_div
        end = max(round((onset + note.duration_div) / unit), onset // unit + 1) * unit
        limit = plan.end_div if following is None else following.onset_div + plan.pickup_div
        rows.append((onset, min(end, limit), note.pitch))
    fixed = _cells(rows, plan, grid, source)
    for onset, end, pitch in rows:
        fixed[onset // unit : end // unit, pitch - LOWEST_PITCH + 1 :] = OFF
    for (_, end, low), (onset, _, high) in pairwise(rows):
        fixed[end // unit : onset // unit, min(low, high) - LOWEST_PITCH :] = OFF
    fixed[: rows[0][0] // unit, rows[0][2] - LOWEST_PITCH :] = OFF
    fixed[rows[-1][1] // unit :, rows[-1][2] - LOWEST_PITCH :] = OFF
    return Given(fixed, grid)


def _check_inside(notes: Sequence[PlanNote], plan: Plan, source: object) -> None:
    first = min(n.onset_div for n in notes) + plan.pickup_div
    last = max(n.onset_div + n.duration_div for n in notes) + plan.pickup_div
    if first < 0:
        raise FileError(str(source), "has an upbeat that is longer than the plan's")
    if last > plan.end_div:
        bars = -(-(last - plan.pickup_div) // plan.meter.bar_div)
        raise FileError(str(source), f"has {bars} bars, the plan {plan.bars}; ask for more bars, or leave some out")


def opening_given(notes: Sequence[PlanNote], plan: Plan, source: object) -> Given:
    """The first bars, all cells of them: as many as the notes fill, upbeat included.

    Raises:
        FileError: notes off the grid (the bar is named), or more bars than the plan has.
    """
    _check_inside(notes, plan, source)
    rows = _shifted(notes, plan.pickup_div)
    grid = _choose_grid([edge for row in rows for edge in row[:2]], plan, source)
    fixed = _cells(rows, plan, grid, source)
    last = max(end for _, end, _ in rows) - plan.pickup_div
    bars = -(-last // plan.meter.bar_div)
    _close(fixed[: plan.bar_onset_div(bars) // step_div(grid)])
    return Given(fixed, grid)


def _close(rows: Int[ndarray, "steps 88"]) -> None:
    """Nothing but the given notes may sound here."""
    rows[rows == FREE] = OFF


def filled_given(score: Score, plan: Plan, free: Collection[int], source: object) -> Given:
    """A whole score but some bars. A note belongs to the bar in which it begins, and a kept one lasts as it did.

    Args:
        score: of the plan's length.
        plan: its plan.
        free: indices of the plan's bars that are written anew.
        source: the score's file, for messages.

    Raises:
        FileError: a score of other bars than the plan's, or kept notes off the grid (the bar is named).
    """
    try:
        bars = plan_bars(score)
    except PlanError as error:
        raise FileError(str(source), str(error)) from None
    if (bars.bars, bars.meter, bars.pickup_div) != (plan.bars, plan.meter, plan.pickup_div):
        here = f"{bars.bars} bars of {bars.meter}" + (" and an upbeat" if bars.pickup_div else "")
        there = f"{plan.bars} bars of {plan.meter}" + (" and an upbeat" if plan.pickup_div else "")
        raise FileError(str(source), f"has {here}, its plan {there}")
    kept = [n for n in score.notes if n.duration_div > 0 and bars.bar_at(n.onset_div) not in free]
    rows = _shifted([PlanNote(n.onset_div, n.duration_div, n.pitch) for n in kept], 0)
    grid = _choose_grid([edge for row in rows for edge in row[:2]], plan, source)
    fixed, unit = _cells(rows, plan, grid, source), step_div(grid)
    edges = [0, *(plan.bar_onset_div(b) // unit for b in range(plan.bars)), len(fixed)]
    for index, (first, last) in enumerate(pairwise(edges)):
        if index - 1 not in free:  # the first stretch is the upbeat
            _close(fixed[first:last])
    return Given(fixed, grid)


def impose(score: Score, plan: Plan, given: Given) -> Score:
    """The composed score with what was given in it, note for note, whatever the composer made of it.

    What a composer lets sound on from a given note beyond its end is struck again there.
    """
    roll = roll_of_score(score, given.grid)
    play, articulate = roll.play[: given.steps].copy(), roll.articulate[: given.steps].copy()
    fixed = given.fixed
    play[fixed == OFF] = False
    play[fixed >= HOLD] = True
    articulate[fixed == HOLD] = False
    articulate[fixed == ATTACK] = True
    ended = np.zeros_like(play)
    ended[1:] = (fixed[:-1] >= HOLD) & (fixed[1:] == FREE)
    articulate |= play & ended
    articulate &= play
    if np.array_equal(play, roll.play[: given.steps]) and np.array_equal(articulate, roll.articulate[: given.steps]):
        return score
    return realise(plan, Roll(play, articulate, np.ones(given.steps, dtype=bool), given.grid))


def with_parts(score: Score, original: Score, plan: Plan, free: Collection[int]) -> Score:
    """The score with parts, staves, voices and spelling of kept notes as they were in the original.

    That is done in the bars that are kept and that no note ties to others: elsewhere a kept note in its old part could
    overlap a new one there. A score of other parts than the original's comes back as it is.
    """
    if len(score.parts) != len(original.parts):
        return score
    bar_div, pickup = plan.meter.bar_div, plan.pickup_div

    def bars_of(note: Note) -> range:
        return range(
            (note.onset_div - pickup) // bar_div, (max(note.end_div - 1, note.onset_div) - pickup) // bar_div + 1
        )

    kept = set(range(-1, plan.bars)) - set(free)
    spans = [bars for bars in map(bars_of, score.notes) if len(bars) > 1]
    before = -1
    while before != len(kept):
        before = len(kept)
        for bars in spans:
            if not kept.issuperset(bars):
                kept.difference_update(bars)
    known = {(n.onset_div, n.duration_div, n.pitch): n for n in original.notes if n.duration_div > 0}
    notes = []
    for note in score.notes:
        old = known.get((note.onset_div, note.duration_div, note.pitch))
        if old is not None and kept.issuperset(bars_of(note)):
            note = replace(note, part=old.part, staff=old.staff, voice=old.voice, step=old.step)
        notes.append(note)
    return replace(score, notes=sort_notes(notes))
