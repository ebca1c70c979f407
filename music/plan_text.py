"""A plan as one line of text that a person can type, and back.

    A8 B8:V/HC A'8 C12:vi A8 | key=G meter=3/4 tempo=96

A section is LABEL[bars][:key][/cadence]. The key is a Roman numeral relative to home, its case the mode; the name of
a key (`D`, `f#`) is read too, and written where a numeral could not tell the spelling. A section without a cadence
closes with a PAC; `/-` says that it does not close. Behind the bar stand options: key meter tempo (quarters a minute)
style ensemble title pickup (length of the upbeat in quarters, `1/2` an eighth) bars (of the whole piece). Values
with blanks are quoted as in JSON.

The text leaves out what it has no sign for: phrases inside a section, chords, themes, character.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from music.errors import PlanError
from music.pitch import Key
from music.plan import CADENCES, MAX_BARS, Plan, Section
from music.time import DIVS_PER_QUARTER, Meter

NO_CADENCE = "none"
OPTIONS = ("key", "meter", "tempo", "style", "ensemble", "title", "pickup", "bars")
MAX_TEXT = 20_000
_SECTION = re.compile(r"([A-Z]'*)(\d{1,5})?(?::([^/:]*))?(?:/([^/:]*))?")
_OPTION = re.compile(r'([A-Za-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"]+)(?=\s|$)')
_BARE = re.compile(r"[^\s\"|\\]+")


@dataclass(frozen=True)
class SectionText:
    """A section as typed; None is what the text does not say.

    Args:
        label: letter and primes.
        bars: length in bars.
        key: a Roman numeral relative to home, or a key's name.
        cadence: one of `music.plan.CADENCES`, `NO_CADENCE` for "does not close", or None.
    """

    label: str
    bars: int | None = None
    key: str | None = None
    cadence: str | None = None

    def key_in(self, home: Key) -> Key | None:
        """The absolute key of the section in a piece whose home is `home`, None where the text says nothing."""
        return None if self.key is None else read_key(self.key, home)


@dataclass(frozen=True)
class PlanText:
    """What a typed plan says; None is what it leaves open. `pickup_div` is in divisions, `bars` in all."""

    sections: tuple[SectionText, ...]
    key: Key | None = None
    meter: Meter | None = None
    tempo_qpm: float | None = None
    style: str | None = None
    ensemble: str | None = None
    title: str | None = None
    pickup_div: int | None = None
    bars: int | None = None


def read_key(text: str, home: Key) -> Key:
    """A Roman numeral ("V", "bVI") relative to `home`, or a key's name ("D", "f#"). Raises ValueError otherwise."""
    return home.relative(text) if re.search(r"[IViv]", text) else Key.parse(text)


def plain_primes(text: str) -> str:
    """Typographic primes and apostrophes as the plain one."""
    return re.sub("[’′ʹ]", "'", text).replace("″", "''")


def parse_plan_text(text: str) -> PlanText:
    """Reads a typed plan.

    Raises:
        PlanError: the message names the token that is not understood.
    """
    if len(text) > MAX_TEXT:
        raise PlanError(f"a typed plan of {len(text)} characters; {MAX_TEXT} is the most")
    head, bar, tail = text.partition("|")
    sections = tuple(_parse_section(token) for token in plain_primes(head).split())
    if not sections:
        raise PlanError(f"plan {text.strip()!r} has no section such as A8")
    return parse_options(tail, PlanText(sections)) if bar else PlanText(sections)


def parse_options(text: str, base: PlanText) -> PlanText:
    """Adds what stands behind the bar ("key=G meter=3/4") to `base`.

    Raises:
        PlanError: an unknown, doubled or unreadable option, named.
    """
    values: dict[str, Any] = {}
    rest = text.strip()
    while rest:
        match = _OPTION.match(rest)
        if match is None:
            raise PlanError(f"option {rest.split()[0]!r} of the plan is not of the form key=G")
        name, raw = match[1], match[2]
        if name not in OPTIONS:
            raise PlanError(f"option {name!r} of the plan is not one of {', '.join(OPTIONS)}")
        field, value = _option(name, raw)
        if field in values:
            raise PlanError(f"option {name!r} of the plan is given twice")
        values[field] = value
        rest = rest[match.end() :].strip()
    return replace(base, **values)


def plan_text(plan: Plan) -> str:
    """The text of a plan; `parse_plan_text` reads it back."""
    first = plan.sections[0].letter
    tokens = [_section_text(section, plan.key, first) for section in plan.sections]
    options = {"key": str(plan.key), "meter": str(plan.meter), "tempo": _number(plan.tempo_qpm)}
    options |= {"style": plan.style, "ensemble": plan.ensemble}
    if plan.title:
        options["title"] = plan.title
    if plan.pickup_div:
        options["pickup"] = str(Fraction(plan.pickup_div, DIVS_PER_QUARTER))
    return " ".join(tokens) + " | " + " ".join(f"{name}={_quoted(value)}" for name, value in options.items())


def _section_text(section: Section, home: Key, first_letter: str) -> str:
    text = f"{section.label}{section.bars}"
    if section.key != home or section.letter != first_letter:
        roman = section.key.relation_to(home)
        text += ":" + (roman if home.relative(roman) == section.key else str(section.key))
    if section.cadence != "PAC":
        text += "/" + (section.cadence or "-")
    return text


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _quoted(value: str) -> str:
    return value if _BARE.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _parse_section(token: str) -> SectionText:
    match = _SECTION.fullmatch(token)
    if match is None:
        raise PlanError(f"section {token!r} of the plan is not of the form A8, B8:V or A'8:vi/HC")
    bars = None if match[2] is None else int(match[2])
    if bars is not None and not 1 <= bars <= MAX_BARS:
        raise PlanError(f"section {token!r} of the plan has {bars} bars, outside 1..{MAX_BARS}")
    if match[3] is not None:
        try:
            read_key(match[3], Key("C"))
        except ValueError as error:
            raise PlanError(f"section {token!r} of the plan: {error}") from None
    cadence = {"-": NO_CADENCE}.get(match[4], match[4])
    if cadence is not None and cadence not in (*CADENCES, NO_CADENCE):
        raise PlanError(f"section {token!r} of the plan: cadence {cadence!r} is not one of {', '.join(CADENCES)}, -")
    return SectionText(match[1], bars, match[3], cadence)


def _option(name: str, raw: str) -> tuple[str, Any]:
    """Field of `PlanText` and value of one option."""
    try:
        text = str(json.loads(raw)) if raw.startswith('"') else raw
        match name:
            case "key":
                return "key", Key.parse(text)
            case "meter":
                return "meter", Meter.parse(text)
            case "tempo":
                return "tempo_qpm", _finite(text)
            case "pickup":
                return "pickup_div", _pickup(text)
            case "bars":
                return "bars", _whole(text)
            case _:
                return name, text
    except ValueError as error:
        raise PlanError(f"option {name}={raw} of the plan: {error}") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number of quarters a minute")
    return value


def _whole(text: str) -> int:
    if re.fullmatch(r"\d{1,6}", text) is None or int(text) < 1:
        raise ValueError(f"{text!r} is not a number of bars")
    return int(text)


def _pickup(text: str) -> int:
    if re.fullmatch(r"\d{1,6}(/0*[1-9]\d{0,5})?", text) is None:
        raise ValueError(f"{text!r} is not a number of quarters such as 1 or 1/2")
    div = Fraction(text) * DIVS_PER_QUARTER
    if div.denominator != 1:
        raise ValueError(f"{text} quarters do not fall on the clock")
    return int(div)
