"""plan.json: a plan as plain JSON, and back. Keys are absolute, the meter is written "3/4", clocks are divisions.

Reading is strict: a field that is missing, misspelled or of the wrong type is a `PlanError` that says where it stands.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from music.errors import PlanError
from music.pitch import Key
from music.plan import BarTexture, Chord, Phrase, Plan, PlanNote, Section, Theme
from music.time import Meter

MAX_FILE_BYTES = 64 * 2**20
_MAX_INT = 2**40  # far above any clock of a plan, far below what would slow arithmetic down
T = TypeVar("T")


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan as builtins that `json` can write; equal plans give equal objects in the same order."""
    return {
        "title": plan.title,
        "style": plan.style,
        "ensemble": plan.ensemble,
        "key": str(plan.key),
        "meter": str(plan.meter),
        "pickup_div": plan.pickup_div,
        "tempo_qpm": plan.tempo_qpm,
        "sections": [_section_to_json(section) for section in plan.sections],
        "themes": [
            {"label": t.label, "bars": t.bars, "key": str(t.key), "notes": [_note_to_json(n) for n in t.notes]}
            for t in plan.themes
        ],
    }


def _section_to_json(section: Section) -> dict[str, Any]:
    return {
        "label": section.label,
        "bars": section.bars,
        "key": str(section.key),
        "cadence": section.cadence,
        "theme": section.theme,
        "source": section.source,
        "variation": section.variation,
        "density": section.density,
        "register": section.register,
        "texture": section.texture,
        "dynamic": section.dynamic,
        "tempo_scale": section.tempo_scale,
        "phrases": [{"bars": p.bars, "idea": p.idea, "cadence": p.cadence} for p in section.phrases],
        "chords": [
            {
                "onset_div": c.onset_div,
                "duration_div": c.duration_div,
                "root": c.root,
                "quality": c.quality,
                "bass": c.bass,
                "figure": c.figure,
            }
            for c in section.chords
        ],
        "textures": [
            {"density": t.density, "register": t.register, "span": t.span, "rhythm": t.rhythm} for t in section.textures
        ],
    } | ({"link": [_note_to_json(n) for n in section.link]} if section.link else {})  # few sections have one


def _note_to_json(note: PlanNote) -> dict[str, int]:
    return {"onset_div": note.onset_div, "duration_div": note.duration_div, "pitch": note.pitch}


class _Reader:
    """Takes fields out of one JSON object, checks their types, and names the place in every error."""

    def __init__(self, data: object, where: str, known: tuple[str, ...]) -> None:
        self.where = where
        if not isinstance(data, dict):
            self.fail(f"is not an object but {_shown(data)}")
        self.data: dict[str, Any] = data
        for name in data:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, 1)
                self.fail(f"has an unknown field {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))

    def fail(self, reason: str) -> NoReturn:
        raise PlanError(f"{self.where} {reason}")

    def _get(self, name: str, kind: Callable[[object], bool], what: str, default: Any, nullable: bool) -> Any:
        if name not in self.data:
            if default is ...:
                self.fail(f"has no field {name!r}")
            return default
        value = self.data[name]
        if value is None and nullable:
            return None
        if not kind(value):
            self.fail(f"field {name!r} is not {what} but {_shown(value)}")
        return value

    def text(self, name: str, default: Any = ..., nullable: bool = False) -> Any:
        def fits(value: object) -> bool:
            # A lone surrogate can be escaped in JSON but written to no file.
            return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)

        return self._get(name, fits, "a text", default, nullable)

    def integer(self, name: str, default: Any = ..., nullable: bool = False) -> Any:
        def fits(value: object) -> bool:
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_INT

        return self._get(name, fits, "a whole number", default, nullable)

    def number(self, name: str, default: Any = ..., nullable: bool = False) -> Any:
        def fits(value: object) -> bool:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            return abs(value) <= _MAX_INT and math.isfinite(value)

        value = self._get(name, fits, "a number", default, nullable)
        return value if value is None else float(value)

    def items(self, name: str, make: Callable[[object, str], T], default: Any = ...) -> tuple[T, ...]:
        values = self._get(name, lambda v: isinstance(v, list), "a list", default, False)
        return tuple(make(value, f"{self.where} {name}[{i}]") for i, value in enumerate(values))

    def parsed(self, name: str, parse: Callable[[str], T]) -> T:
        text = self.text(name)
        try:
            return parse(text)
        except ValueError as error:
            self.fail(f"field {name!r}: {error}")

    def build(self, make: Callable[[], T]) -> T:
        """Runs a constructor; what it refuses is said with the place."""
        try:
            return make()
        except PlanError as error:
            self.fail(f"is not valid: {error}")


def _shown(value: object) -> str:
    text = json.dumps(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return text if len(text) <= 40 else text[:37] + "..."


def plan_from_json(data: object, where: str = "plan") -> Plan:
    """The plan of a JSON object.

    Args:
        data: what `json.loads` gave.
        where: how errors call the object, such as the file's name.

    Raises:
        PlanError: missing, unknown or mistyped fields, or a plan that breaks its invariants.
    """
    known = ("title", "style", "ensemble", "key", "meter", "pickup_div", "tempo_qpm", "sections", "themes")
    reader = _Reader(data, where, known)
    values: dict[str, Any] = {
        "title": reader.text("title", ""),
        "style": reader.text("style"),
        "ensemble": reader.text("ensemble"),
        "key": reader.parsed("key", Key.parse),
        "meter": reader.parsed("meter", Meter.parse),
        "pickup_div": reader.integer("pickup_div", 0),
        "tempo_qpm": reader.number("tempo_qpm"),
        "sections": reader.items("sections", _section_from_json),
        "themes": reader.items("themes", _theme_from_json, []),
    }
    return reader.build(lambda: Plan(**values))


def _section_from_json(data: object, where: str) -> Section:
    known = ("label", "bars", "key", "cadence", "theme", "source", "variation", "density", "register", "texture")
    reader = _Reader(data, where, (*known, "dynamic", "tempo_scale", "phrases", "chords", "textures", "link"))
    values: dict[str, Any] = {
        "label": reader.text("label"),
        "bars": reader.integer("bars"),
        "key": reader.parsed("key", Key.parse),
        "phrases": reader.items("phrases", _phrase_from_json),
        "chords": reader.items("chords", _chord_from_json, []),
        "textures": reader.items("textures", _texture_from_json, []),
        "link": reader.items("link", _note_from_json, []),
        "source": reader.integer("source", None, nullable=True),
        "tempo_scale": reader.number("tempo_scale", 1.0),
    }
    values |= {name: reader.text(name, None, nullable=True) for name in ("theme", "texture", "dynamic")}
    values |= {name: reader.number(name, None, nullable=True) for name in ("variation", "density", "register")}
    section = reader.build(lambda: Section(**values))
    cadence = reader.text("cadence", section.cadence, nullable=True)
    if cadence != section.cadence:
        reader.fail(f"has cadence {cadence} but its last phrase has {section.cadence}")
    return section


def _phrase_from_json(data: object, where: str) -> Phrase:
    reader = _Reader(data, where, ("bars", "idea", "cadence"))
    bars, idea, cadence = reader.integer("bars"), reader.text("idea"), reader.text("cadence", None, nullable=True)
    return reader.build(lambda: Phrase(bars, idea, cadence))


def _chord_from_json(data: object, where: str) -> Chord:
    reader = _Reader(data, where, ("onset_div", "duration_div", "root", "quality", "bass", "figure"))
    numbers = {name: reader.integer(name) for name in ("onset_div", "duration_div", "root", "bass")}
    quality, figure = reader.text("quality"), reader.text("figure", "")
    return reader.build(lambda: Chord(quality=quality, figure=figure, **numbers))


def _texture_from_json(data: object, where: str) -> BarTexture:
    reader = _Reader(data, where, ("density", "register", "span", "rhythm"))
    density, register = reader.number("density"), reader.number("register", None, nullable=True)
    span, rhythm = reader.integer("span"), reader.text("rhythm")
    return reader.build(lambda: BarTexture(density, register, span, rhythm))


def _theme_from_json(data: object, where: str) -> Theme:
    reader = _Reader(data, where, ("label", "bars", "key", "notes"))
    label, bars, key = reader.text("label"), reader.integer("bars"), reader.parsed("key", Key.parse)
    notes = reader.items("notes", _note_from_json)
    return reader.build(lambda: Theme(label, bars, key, notes))


def _note_from_json(data: object, where: str) -> PlanNote:
    reader = _Reader(data, where, ("onset_div", "duration_div", "pitch"))
    numbers = {name: reader.integer(name) for name in ("onset_div", "duration_div", "pitch")}
    return reader.build(lambda: PlanNote(**numbers))


def read_plan(path: str | Path) -> Plan:
    """Reads plan.json.

    Raises:
        PlanError: a file that cannot be read, is no JSON, or is no plan; the message names the file and the place.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PlanError(f"{path}: larger than {MAX_FILE_BYTES // 2**20} MB, too large for a plan")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror or error}") from None
    except RecursionError:
        raise PlanError(f"{path}: nested too deeply for a plan") from None
    except ValueError as error:  # bad JSON and bad UTF-8 alike
        several = "; it holds several plans, one a line: put one line into a file" if path.suffix == ".jsonl" else ""
        raise PlanError(f"{path}: not a JSON file: {error}{several}") from None
    return plan_from_json(data, f"{path}: plan")


def write_plan(plan: Plan, path: str | Path) -> None:
    """Writes plan.json whole or not at all; the same plan gives the same bytes.

    Raises:
        PlanError: the file cannot be written.
    """
    path = Path(path)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(_pretty(plan_to_json(plan)) + "\n")
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would lock others out of a shared folder
        os.replace(temporary, path)
        temporary = None
    except (OSError, UnicodeEncodeError) as error:
        raise PlanError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _pretty(data: object, indent: str = "") -> str:
    """JSON with objects that hold no list (a chord, a note, a phrase) on one line: a plan stays readable."""
    inner = indent + " "
    if isinstance(data, list) and data:
        return "[\n" + ",\n".join(inner + _pretty(item, inner) for item in data) + f"\n{indent}]"
    if isinstance(data, dict) and any(isinstance(value, list | dict) for value in data.values()):
        fields = (f"{inner}{json.dumps(name)}: {_pretty(value, inner)}" for name, value in data.items())
        return "{\n" + ",\n".join(fields) + f"\n{indent}}}"
    return json.dumps(data, ensure_ascii=False)
