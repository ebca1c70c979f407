"""The user's words made into a `PlanRequest`, and a plan from a file held against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from music.errors import RequestError
from music.pitch import Key
from music.plan import Plan
from music.theme import read_theme
from music.time import Meter
from planner.interface import PlanRequest

WISHES = ("form", "key", "meter", "bars", "tempo", "style", "ensemble", "theme", "title")


def make_request(words: Mapping[str, Any]) -> PlanRequest:
    """Reads the wishes among the config's root keys; None leaves one to the planner.

    Args:
        words: `form key meter bars tempo style ensemble theme title` as typed; the theme is a file.

    Raises:
        RequestError: a key or meter that is not understood, or a meter that is not the theme's.
        FileError: a theme that cannot be read.
    """
    try:
        key = None if words["key"] is None else Key.parse(words["key"])
        meter = None if words["meter"] is None else Meter.parse(words["meter"])
    except ValueError as error:
        raise RequestError(str(error)) from None
    theme = None
    if words["theme"] is not None:
        theme, own_meter = read_theme(Path(words["theme"]), meter=meter)
        if own_meter is not None and meter not in (None, own_meter):
            raise RequestError(f"meter={meter} contradicts theme={words['theme']}, which is in {own_meter}")
        meter = meter or own_meter
    return PlanRequest(
        form=words["form"],
        key=key,
        meter=meter,
        bars=words["bars"],
        tempo_qpm=None if words["tempo"] is None else float(words["tempo"]),
        style=words["style"],
        ensemble=words["ensemble"],
        theme=theme,
        title=words["title"],
    )


def adjust(plan: Plan, request: PlanRequest, source: str) -> Plan:
    """A plan from a file with the title, tempo and style that were asked for.

    Raises:
        RequestError: a wish that the plan's notes would contradict; both are named.
    """
    fixed = {"key": plan.key, "meter": plan.meter, "bars": plan.bars, "ensemble": plan.ensemble}
    for name, value in fixed.items():
        wish = getattr(request, name)
        if wish not in (None, value):
            raise RequestError(f"{name}={wish} contradicts plan_file={source}, whose {name} is {value}")
    for name in ("form", "theme"):
        if getattr(request, name) is not None:
            raise RequestError(f"{name}= contradicts plan_file={source}, which has its own {name}")
    changes = {"title": request.title, "tempo_qpm": request.tempo_qpm, "style": request.style}
    return replace(plan, **{name: value for name, value in changes.items() if value is not None})
