"""Tables of form alone as plans: what a movement's parts are, how long and what returns, where no score is at hand.

The tables are those of Taking Form (`music.analysis.taking_form`), played out with all repeats. They tell nothing of
meter, keys or chords, so these are said to be missing; phrases are told where a table goes down to periods, sentences,
antecedents and consequents.
"""

from __future__ import annotations

import re
from collections.abc import Container
from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase

from music.analysis.marked_plan import MarkedPlan, Origin
from music.analysis.plans import DEFAULT_TEMPO
from music.analysis.signs import with_signs
from music.analysis.taking_form import (
    FormTable,
    find_tables,
    form_work,
    materials,
    read_table,
    sonata_number,
)
from music.errors import PlanError, RitornelloError
from music.pitch import Key
from music.plan import Phrase, Plan, Section
from music.splits import split_by_hash
from music.time import Meter

STYLE = "beethoven_piano"
LICENCE = "MIT, github.com/MarkGotham/Taking-Form"
HELD_OUT_EVERY = 4  # sonatas no. 4, 8, 12 … 32 are kept for testing
LONGEST_PHRASE = 16  # bars; where a longer one results, the table does not tell phrases
MEAN_PHRASE = 8
LONGEST_SECTION = 200  # bars; a table that has a longer one tells too little
MISSING = frozenset({"cadences", "keys", "chords", "themes", "textures", "dynamics", "meter", "tempo", "home"})
_UNIT = re.compile(r"(compound )?(period|sentence|hybrid)", re.IGNORECASE)
_HALF = re.compile(r"ant[ec]+dent|consequent", re.IGNORECASE)


def _twin(table: FormTable, first: int, start: int, length: int) -> bool:
    """Whether a table says that bars from `start` on are those from `first` on, note for note or nearly so."""
    return any(b <= start and start + length <= b + n and start - b == first - a for a, b, n in table.claims)


def _sections(table: FormTable) -> list[tuple[int, int, str, int | None, float | None]]:
    """(first bar, end, label, source, variation) of each section."""
    parts = materials(table)
    if not parts:
        raise PlanError(f"{table.name}: it names no part")
    count = len(table.bars)
    named = {(bar if i else 0): material for i, (bar, material, _) in enumerate(parts)}
    large = tuple(bar for bar, _, top in parts[1:] if top)
    bounds = with_signs([0, *(b for b in sorted(named) if b), count], large)
    letters: dict[str, str] = {}
    found: list[tuple[int, int, str, int | None, float | None]] = []
    for start, end in pairwise(bounds):
        letter = letters.setdefault(named[start], ascii_uppercase[min(len(letters), 25)])
        same = [(i, row) for i, row in enumerate(found) if row[2][0] == letter]
        twin = next(
            ((i, r) for i, r in same if r[1] - r[0] == end - start and _twin(table, r[0], start, end - start)), None
        )
        if twin is not None:
            found.append((start, end, twin[1][2], twin[0], 0.0))
        elif same:
            primes = max(len(row[2]) for _, row in same)
            found.append((start, end, letter + "'" * primes, same[0][0], None))
        else:
            found.append((start, end, letter, None, None))
    return found


def phrase_starts(table: FormTable) -> list[int]:
    """Bars where a unit of phrase structure begins, or a larger part; [] where a table does not go down so far."""
    levels = [i for bar in table.bars for i, name in enumerate(bar.labels) if _UNIT.match(name)]
    if not levels:
        return []
    deepest = max(levels)
    starts = set()
    for index, bar in enumerate(table.bars):
        if any(bar.labels[: deepest + 1]) or any(_HALF.match(name) for name in bar.labels):
            starts.add(index + (1 if bar.late and index else 0))
    return sorted(s for s in starts if s < len(table.bars))


def plan_of_table(table: FormTable) -> tuple[Plan, bool]:
    """The form of a table as a plan, and whether its phrases are told.

    Raises:
        PlanError: no plan can be made of it.
    """
    rows = _sections(table)
    if (longest := max(end - start for start, end, *_ in rows)) > LONGEST_SECTION:
        raise PlanError(f"{table.name}: it leaves {longest} bars undivided")
    starts = phrase_starts(table)
    bounds = [[a, *(s for s in starts if a < s < b), b] for a, b, *_ in rows]
    lengths = [b - a for inner in bounds for a, b in pairwise(inner)]
    told = bool(starts) and max(lengths) <= LONGEST_PHRASE and sum(lengths) <= MEAN_PHRASE * len(lengths)
    key = Key("C")
    sections = []
    for (start, end, label, source, variation), inner in zip(rows, bounds, strict=True):
        phrases = tuple(
            Phrase(b - a, chr(ord("a") + min(i, 25)))
            for i, (a, b) in enumerate(pairwise(inner if told else [start, end]))
        )
        sections.append(Section(label, end - start, key, phrases, source=source, variation=variation))
    return Plan("", STYLE, "piano", key, Meter.parse("4/4"), 0, DEFAULT_TEMPO, tuple(sections)), told


def form_plans(folder: Path, taken: Container[tuple[str, int]]) -> tuple[list[MarkedPlan], list[tuple[str, str]]]:
    """Plans of the tables below a folder, and (id, reason) of what is left out.

    Args:
        folder: of Taking Form.
        taken: (opus, movement) of tables that a score's plan has taken its sections from.
    """
    plans: list[MarkedPlan] = []
    dropped: list[tuple[str, str]] = []
    for (opus, movement), path in sorted(find_tables(folder).items()):
        name = f"taking_form/{path.name}"
        number = sonata_number(path.stem)
        if number is not None and number % HELD_OUT_EVERY == 0:
            dropped.append((name, "is kept for testing"))
            continue
        if (opus, movement) in taken:
            continue
        try:
            plan, told = plan_of_table(read_table(path))
        except RitornelloError as error:
            dropped.append((name, str(error)))
            continue
        work, split = form_work(opus) or (f"beethoven_{re.sub(r'no.*', '', opus)}", None)
        annotated = frozenset({"sections"}) | ({"phrases"} if told else set())
        missing = MISSING | (set() if told else {"phrases"})
        origin = Origin(f"{name}:0", work, split or split_by_hash(work), LICENCE, "labels")
        plans.append(MarkedPlan(plan, annotated, origin, missing))
    return plans, dropped
