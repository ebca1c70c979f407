"""A plan with word of which of its parts are annotated and which inferred, and files of such plans, one a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from music.errors import PlanError
from music.plan import Plan
from music.plan_json import plan_from_json, plan_to_json

FIELDS = ("sections", "phrases", "cadences", "keys", "chords", "themes", "textures", "dynamics")
PARTS = (*FIELDS, "meter", "tempo", "home")
MAX_LINE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Origin:
    """Where a plan comes from.

    Args:
        id: the piece's in its manifest, and the first bar of the stretch that the plan is of, after a colon.
        work, split, licence: the piece's.
        source: how the sections were found: "labels" (an analysis of form by people), "marks" (in the score),
            "repeats" or "inferred".
    """

    id: str = ""
    work: str = ""
    split: str = ""
    licence: str = ""
    source: str = "inferred"


@dataclass(frozen=True)
class MarkedPlan:
    """A plan, and which of its parts are annotated; what is neither so nor missing was inferred from the notes.

    Args:
        annotated: of `FIELDS`. Sections are where they begin at an analyst's labels, the score's own marks or repeats;
            phrases where they end at fermatas; dynamics where the score has any; textures always, being counted.
        missing: of `PARTS`: what neither the source nor an analysis says, so that what stands in the plan there only
            fills the place. "textures" are a section's density and register too, "home" is the plan's key, "keys"
            are the sections'.

    Raises:
        PlanError: a name that is not in `FIELDS` or `PARTS`, or one that is both annotated and missing.
    """

    plan: Plan
    annotated: frozenset[str]
    origin: Origin = field(default_factory=Origin)
    missing: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for unknown in sorted(self.annotated - set(FIELDS)):
            raise PlanError(f"a plan has no part {unknown!r} to annotate; there are {', '.join(FIELDS)}")
        for unknown in sorted(self.missing - set(PARTS)):
            raise PlanError(f"a plan has no part {unknown!r} to be missing; there are {', '.join(PARTS)}")
        for both in sorted(self.missing & self.annotated):
            raise PlanError(f"a plan's {both} are said to be annotated and missing")

    @property
    def inferred(self) -> frozenset[str]:
        """Those of `FIELDS` that are neither annotated nor missing."""
        return frozenset(FIELDS) - self.annotated - self.missing

    def to_json(self) -> dict[str, Any]:
        """Plain builtins; equal plans give equal objects in the same order."""
        annotated = [name for name in FIELDS if name in self.annotated]
        missing = [name for name in PARTS if name in self.missing]
        return {**asdict(self.origin), "annotated": annotated, "missing": missing, "plan": plan_to_json(self.plan)}

    @classmethod
    def from_json(cls, data: object, where: str = "plan") -> MarkedPlan:
        """Inverse of `to_json`; "missing" may be left out.

        Raises:
            PlanError: missing, unknown or mistyped fields.
        """
        names = [f.name for f in fields(Origin)]
        if not isinstance(data, dict) or set(data) | {"missing"} != {*names, "annotated", "missing", "plan"}:
            raise PlanError(f"{where} is not an object with {', '.join(names)}, annotated and plan")
        if not all(isinstance(data[name], str) for name in names):
            raise PlanError(f"{where}: one of {', '.join(names)} is not a text")
        annotated, missing = data["annotated"], data.get("missing", [])
        for word, parts in (("annotated", annotated), ("missing", missing)):
            if not isinstance(parts, list) or not all(isinstance(name, str) for name in parts):
                raise PlanError(f"{where}: {word} is not a list of texts")
        origin = Origin(**{name: data[name] for name in names})
        plan = plan_from_json(data["plan"], f"{where} plan")
        try:
            return cls(plan, frozenset(annotated), origin, frozenset(missing))
        except PlanError as error:
            raise PlanError(f"{where} {error}") from None


def read_plans(path: Path, keep: Callable[[Origin], bool] | None = None) -> list[MarkedPlan]:
    """Reads a file of marked plans.

    Args:
        path: the file.
        keep: which ones to take; all where None.

    Raises:
        PlanError: the file cannot be read, or a line is no marked plan; the message names the line.
    """
    found = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), start=1):
                where = f"{path}: line {number}:"
                try:
                    marked = MarkedPlan.from_json(json.loads(line), where)
                except RecursionError:
                    raise PlanError(f"{where} nested too deeply for a plan") from None
                except ValueError as error:
                    raise PlanError(f"{where} not JSON ({error})") from None
                if keep is None or keep(marked.origin):
                    found.append(marked)
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror or error}") from None
    return found
