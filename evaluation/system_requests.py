"""The requests of `task=evaluate`, and whether a plan keeps what was asked.

Forty requests with their seeds stand in requests.json: every named form, letter strings, typed plans, wishes for single
sections and requests that leave nearly everything open; all styles, ensembles and keys with up to seven accidentals of
both kinds, eleven meters. What a plan must have is looked up in the words themselves, without any planner.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from music.errors import FileError, PlanError
from music.harmony import parse_figure
from music.plan import Plan, Section
from music.plan_text import NO_CADENCE, parse_plan_text, read_key

REQUESTS = Path(__file__).with_name("requests.json")
PLAIN = ("key", "meter", "bars", "tempo", "style", "ensemble")
BY_SECTION = {"section_bars": "bars", "keys": "key", "cadences": "cadence", "dynamics": "dynamic"}
Wish = tuple[str, bool]  # its kind, and whether it is kept


@dataclass(frozen=True)
class Request:
    """What is asked for, and the seed of everything that is drawn.

    Args:
        name: in tables.
        seed: of plan, score and performance.
        words: by the names of the command line.
        labels: the sections that the form promises; () where none is asked for.
    """

    name: str
    seed: int
    words: Mapping[str, Any]
    labels: tuple[str, ...] = ()


def read_requests(path: Path = REQUESTS) -> tuple[Request, ...]:
    """Reads a list of `{"name", "seed", "words", "labels"}`.

    Raises:
        FileError: the file is missing or is no such list.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        found = [
            Request(str(row["name"]), int(row["seed"]), dict(row["words"]), tuple(str(row.get("labels") or "").split()))
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(path, f"is no list of requests ({error})") from None
    if len({request.name for request in found}) < len(found):
        raise FileError(path, "has two requests of one name")
    return tuple(found)


def wishes(request: Request, plan: Plan) -> Iterator[Wish]:
    """Each wish of a request, and whether the plan keeps it.

    Labels count as one wish; a typed plan's sections count for each of their bars, keys and cadences, a wish for single
    sections for each section that it is for.
    """
    if request.labels:
        yield "form", tuple(section.label for section in plan.sections) == request.labels
    yield from _plain(request.words, plan)
    yield from _typed(str(request.words.get("form") or ""), plan)
    for name, field in BY_SECTION.items():
        for where, value in _entries(request.words.get(name)):
            for section in _of(plan, where):
                yield name, _has(plan, section, field, value)
    yield from _chords(request.words.get("chords"), plan)
    if request.words.get("variation") is not None:
        returns = [section for section in plan.sections if section.source is not None]
        yield "variation", all(section.variation == request.words["variation"] for section in returns)


def _plain(words: Mapping[str, Any], plan: Plan) -> Iterator[Wish]:
    for name in PLAIN:
        if words.get(name) is not None:
            yield name, _same(plan, name, words[name])


def _same(plan: Plan, name: str, asked: Any) -> bool:
    if name == "tempo":
        return plan.tempo_qpm == float(asked)
    return str(getattr(plan, name)) == str(asked)


def _typed(form: str, plan: Plan) -> Iterator[Wish]:
    """The wishes of a typed plan; none for a name or letters alone."""
    try:
        text = parse_plan_text(form)
    except PlanError:
        return
    if all(s.bars is None and s.key is None and s.cadence is None for s in text.sections):
        return
    for name in PLAIN:
        value = getattr(text, "tempo_qpm" if name == "tempo" else name)
        if value is not None:
            yield name, _same(plan, name, value)
    for asked, section in zip(text.sections, plan.sections, strict=False):
        for field in ("bars", "key", "cadence"):
            value = getattr(asked, field)
            if value is not None:
                yield f"section {field}", _has(plan, section, field, str(value))


def _entries(text: Any) -> Iterator[tuple[str, str]]:
    """`"A:8 B:12"` as pairs."""
    for entry in str(text or "").split():
        where, _, value = entry.partition(":")
        yield where, value


def _of(plan: Plan, where: str) -> list[Section]:
    """The sections of just that label, or else of that letter."""
    return [s for s in plan.sections if s.label == where] or [s for s in plan.sections if s.letter == where]


def _has(plan: Plan, section: Section, field: str, value: str) -> bool:
    if field == "key":
        key = read_key(value, plan.key)
        return (section.key.pc, section.key.minor) == (key.pc, key.minor)
    if field == "cadence" and value in ("-", NO_CADENCE):
        return section.cadence is None
    return str(getattr(section, field)) == value


def _chords(text: Any, plan: Plan) -> Iterator[Wish]:
    """Chords of single bars: one that is asked for a bar must be all that is planned in it; a dot leaves a bar open."""
    for entry in str(text or "").split("|"):
        where, sign, figures = entry.strip().partition(":")
        for section in _of(plan, where) if sign else ():
            for bar, figure in enumerate(figures.split()):
                if figure != ".":
                    start, end = bar * plan.meter.bar_div, (bar + 1) * plan.meter.bar_div
                    heard = {(c.root, c.quality, c.bass) for c in section.chords if _sounds(c, start, end)}
                    yield "chords", heard == {parse_figure(figure, section.key)}


def _sounds(chord: Any, start: int, end: int) -> bool:
    return chord.onset_div < end and chord.onset_div + chord.duration_div > start
