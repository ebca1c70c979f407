"""A chain of small layers for the tests of task=evaluate; its processes import them from here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from music.errors import RequestError
from music.performance import Performance
from music.plan import Plan
from music.score import MeterChange, Note, Part, Score, SectionMark, regular_bars, sort_notes
from performer.rules import RulePerformer
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest

LENT = ("planner.plan_file.make_plan", "planner.theme_likeness.theme_similarity", "performer.evaluate_pieces.columns")


@dataclass(frozen=True)
class BlockComposer:
    """Strikes each planned chord in close position above its bass; `seconds` is how long it takes over it."""

    seconds: float = 0.0

    def compose(self, plan: Plan, *, seed: int) -> Score:
        """See `composer.interface.Composer`."""
        time.sleep(self.seconds)
        rows: list[tuple[int, int, int]] = []
        for section, first in zip(plan.sections, plan.first_bars, strict=True):
            start = plan.bar_onset_div(first)
            for chord in section.chords:
                pitches = {36 + chord.bass, *(60 + (chord.root + i) % 12 for i in (0, 3 + seed % 2, 7))}
                rows += [(start + chord.onset_div, chord.duration_div, pitch) for pitch in pitches]
        notes = sort_notes([Note(f"n{i}", *row) for i, row in enumerate(sorted(rows))])
        bars = regular_bars(plan.meter, plan.bars, plan.pickup_div)
        marks = tuple(
            SectionMark(plan.bar_onset_div(first), section.label)
            for section, first in zip(plan.sections, plan.first_bars, strict=True)
        )
        return Score((Part("P1"),), notes, bars, (MeterChange(0, plan.meter),), sections=marks)


class Refuser:
    """Refuses everything, as a planner, composer and performer."""

    def plan(self, request: PlanRequest, *, seed: int) -> Plan:
        """See `planner.interface.Planner`."""
        raise RequestError("refused")

    def compose(self, plan: Plan, *, seed: int) -> Score:
        """See `composer.interface.Composer`."""
        raise RequestError("refused")

    def perform(self, score: Score, *, seed: int, plan: Plan | None = None) -> Performance:
        """See `performer.interface.Performer`."""
        raise RequestError("refused")


KINDS = {"grammar": GrammarPlanner, "block": BlockComposer, "rules": RulePerformer, "refuser": Refuser}


def build(settings: dict[str, Any], layer: str) -> Any:
    """A layer by the short name that stands for its target here."""
    return KINDS[settings[layer]["_target_"]](**settings[layer].get("with", {}))


def settings_of(out: str, **changes: Any) -> dict[str, Any]:
    """Settings of a run over the first requests without wishes that the grammar refuses."""
    task = {"name": "evaluate", "requests": None, "count": 3, "page": None, "progress": False, "baselines": {}}
    layers = {"planner": "grammar", "composer": "block", "performer": "rules"}
    found: dict[str, Any] = {layer: {"_target_": name} for layer, name in layers.items()}
    found |= {"task": task, "out": out, "workers": 1, "logger": {"kind": "none", "project": "p"}}
    return found | changes
