"""A plan from a file held against the user's other wishes."""

from __future__ import annotations

from dataclasses import replace

from music.errors import RequestError
from music.plan import Plan
from planner.interface import PlanRequest


def adjust(plan: Plan, request: PlanRequest, source: str) -> Plan:
    """A plan from a file with the title, tempo and style that were asked for.

    Args:
        plan: as read.
        request: the wishes beside it.
        source: the file's name, for messages.

    Raises:
        RequestError: a wish that what stands in the plan contradicts; both are named.
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
