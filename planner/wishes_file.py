"""A file of wishes: a plan.json in which anything may be left out or null, and the texts that stand in its fields.

The names are those of `music.plan_json`. A section's key may also be a Roman numeral relative to home, its chords the
text of the command line ("I IV (ii6 V7) I", a bar each); "-" or "none" as its cadence asks for no cadence, while null
asks for nothing. What is inside a list stands whole: a phrase, a chord, a note.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from music import plan_json
from music.errors import PlanError
from music.harmony import parse_figure
from music.pitch import Key
from music.plan import CADENCES, DYNAMICS, ENSEMBLES, MAX_BARS, TEMPO_RANGE, TEXTURES, Theme
from music.plan_text import NO_CADENCE, plain_primes, read_key
from music.time import Meter
from planner.interface import PartWish

MAX_SECTIONS = 256
MAX_DENSITY = 64.0  # notes struck a quarter: ten fingers six times a quarter are fewer
_FIELDS = ("label", "bars", "key", "cadence", "phrases", "chords", "dynamic", "density", "register", "texture", "theme")
SECTION_FIELDS = (*_FIELDS, "variation", "tempo_scale", "textures", "source", "link")
FIELDS = ("title", "style", "ensemble", "key", "meter", "pickup_div", "tempo_qpm", "sections", "themes")


@dataclass(frozen=True)
class FileWishes:
    """What a file asks for; None is not asked for. `count` is the number of sections, as in `PlanRequest`."""

    title: str | None = None
    style: str | None = None
    ensemble: str | None = None
    key: Key | None = None
    meter: Meter | None = None
    pickup_div: int | None = None
    tempo_qpm: float | None = None
    count: int | None = None
    parts: tuple[PartWish, ...] = ()
    themes: tuple[Theme, ...] = ()


def key_value(text: str) -> str:
    """The text of a section's key, if it is one. Raises ValueError otherwise."""
    read_key(text, Key("C"))
    return text


def cadence_value(text: str) -> str:
    """A cadence as typed: "-" is `NO_CADENCE`. Raises ValueError for what is none."""
    if text not in (*CADENCES, "-", NO_CADENCE):
        raise ValueError(f"cadence {text!r} is not one of {', '.join(CADENCES)}, -")
    return NO_CADENCE if text == "-" else text


def parse_figures(text: str) -> tuple[tuple[str, ...], ...]:
    """Reads "I . (ii6 V7) I": the figures of each bar, none for one left open.

    Raises:
        ValueError: what is no figure, or a bracket that is not closed.
    """
    bars = []
    rest = text.strip()
    while rest:
        match = re.match(r"\(([^()]*)\)(?=\s|$)|[^\s()]+(?=\s|$)", rest)
        names = (match[0] if match[1] is None else match[1]).split() if match else []
        if match is None or not names:
            raise ValueError(f"{rest!r} is not such as I, . or (ii6 V7)")
        names = [name for name in names if name != "."] if names == ["."] else names
        for name in names:
            parse_figure(name, Key("C"))
        bars.append(tuple(names))
        rest = rest[match.end() :].strip()
        if len(bars) > MAX_BARS:
            raise ValueError(f"chords for more than {MAX_BARS} bars")
    if not any(bars):
        raise ValueError("there is no chord in it")
    return tuple(bars)


def read_wishes_file(path: str | Path) -> FileWishes:
    """Reads a file of wishes.

    Raises:
        PlanError: a file that cannot be read, is no JSON, or has an unknown or mistyped field; file and place are
            named.
    """
    path = Path(path)
    try:
        if path.stat().st_size > plan_json.MAX_FILE_BYTES:
            raise PlanError(f"{path}: larger than {plan_json.MAX_FILE_BYTES // 2**20} MB, too large for wishes")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror or error}") from None
    except RecursionError:
        raise PlanError(f"{path}: nested too deeply for wishes") from None
    except ValueError as error:  # bad JSON and bad UTF-8 alike
        raise PlanError(f"{path}: not a JSON file: {error}") from None
    return wishes_from_json(data, str(path))


def wishes_from_json(data: object, source: str = "wishes") -> FileWishes:
    """The wishes of a JSON object.

    Raises:
        PlanError: an unknown or mistyped field, named with its place.
    """
    reader = _reader(data, f"{source}: wishes", FIELDS)
    told = reader.data
    sections = told.get("sections")
    if sections is not None and not (isinstance(sections, list) and 0 < len(sections) <= MAX_SECTIONS):
        reader.fail(f"field 'sections' is not a list of 1 to {MAX_SECTIONS} sections")
    parts: list[PartWish] = []
    for index, section in enumerate(sections or []):
        parts += _section(section, index, source) if section is not None else []
    themes = reader.items("themes", plan_json._theme_from_json, [])
    letters = [theme.label for theme in themes]
    if len(letters) != len(set(letters)):
        reader.fail("has two themes of one letter")
    ensemble = _text(reader, "ensemble", lambda t: _one_of(t, ENSEMBLES))
    tempo = _number(reader, "tempo_qpm", *TEMPO_RANGE)
    return FileWishes(
        title=_text(reader, "title", str),
        style=_text(reader, "style", str),
        ensemble=ensemble,
        key=_text(reader, "key", Key.parse),
        meter=_text(reader, "meter", Meter.parse),
        pickup_div=_integer(reader, "pickup_div", 0, 2**31),
        tempo_qpm=tempo,
        count=len(sections) if sections else None,
        parts=tuple(parts),
        themes=themes,
    )


def _reader(data: object, where: str, known: tuple[str, ...]) -> plan_json._Reader:
    """A strict reader of an object whose nulls are taken away."""
    if isinstance(data, dict):
        unknown = {name: value for name, value in data.items() if name not in known}
        data = {name: value for name, value in data.items() if value is not None} | unknown
    return plan_json._Reader(data, where, known)


def _text(reader: plan_json._Reader, name: str, parse: Callable[[str], Any]) -> Any:
    return reader.parsed(name, parse) if name in reader.data else None


def _number(reader: plan_json._Reader, name: str, low: float | int, high: float | int) -> float | None:
    value = reader.number(name, None)
    if value is not None and not low <= value <= high:
        reader.fail(f"field {name!r} is {value:g}, outside {low:g}..{high:g}")
    return value


def _integer(reader: plan_json._Reader, name: str, low: int, high: int) -> int | None:
    value = reader.integer(name, None)
    if value is not None and not low <= value <= high:
        reader.fail(f"field {name!r} is {value}, outside {low}..{high}")
    return value


def _one_of(text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
    return text


def _label(text: str) -> str:
    text = plain_primes(text)
    if re.fullmatch(r"[A-Z]'*", text) is None:
        raise ValueError(f"{text!r} is not such as A or A'")
    return text


def _letter(text: str) -> str:
    if re.fullmatch(r"[A-Z]", text) is None:
        raise ValueError(f"{text!r} is not a letter A..Z")
    return text


def _section(data: object, index: int, source: str) -> list[PartWish]:
    """The wishes of one section, one for each field."""
    reader = _reader(data, f"{source}: wishes sections[{index}]", SECTION_FIELDS)
    texts: dict[str, Callable[[str], Any]] = {
        "label": _label,
        "key": key_value,
        "cadence": cadence_value,
        "dynamic": lambda t: _one_of(t, DYNAMICS),
        "texture": lambda t: _one_of(t, TEXTURES),
        "theme": _letter,
    }
    values: dict[str, Any] = {name: _text(reader, name, parse) for name, parse in texts.items()}
    ranges = {"density": (1e-6, MAX_DENSITY), "register": (0, 127), "variation": (0, 1), "tempo_scale": (0.25, 4)}
    values |= {name: _number(reader, name, low, high) for name, (low, high) in ranges.items()}
    values["bars"] = _integer(reader, "bars", 1, MAX_BARS)
    values["source"] = _integer(reader, "source", 0, MAX_SECTIONS)
    if isinstance(reader.data.get("chords"), str):
        values["figures"] = reader.parsed("chords", parse_figures)
    else:
        values["chords"] = reader.items("chords", plan_json._chord_from_json, [])
    values["phrases"] = reader.items("phrases", plan_json._phrase_from_json, [])
    values["link"] = reader.items("link", plan_json._note_from_json, [])
    values["textures"] = reader.items("textures", plan_json._texture_from_json, [])
    for bar, texture in enumerate(values["textures"]):
        if texture.density > MAX_DENSITY:
            reader.fail(f"field 'textures' has density {texture.density:g} in bar {bar + 1}, above {MAX_DENSITY:g}")
    return [
        PartWish(index, name, value, f"wishes={source}: sections[{index}] {_shown(name, value)}")
        for name, value in values.items()
        if value is not None and value != ()
    ]


def _shown(name: str, value: object) -> str:
    name = "chords" if name == "figures" else name  # the field that they stand in
    return name if isinstance(value, tuple) else f"{name}={value}"
