"""A piece as a training shows it on its way: what one looks at and listens to, and no more."""

from __future__ import annotations

from pathlib import Path

from music.midi import write_performance_midi
from music.musicxml import write_musicxml
from music.performance import Performance
from music.plan import Plan
from music.plan_json import write_plan
from music.score import Score
from render.audio import render
from render.figures import draw_roll
from render.folder import new_folder


def write_sample(folder: Path, plan: Plan, score: Score, performance: Performance) -> None:
    """Writes plan.json, score.musicxml, performance.mid, roll.png and piece.ogg into a folder, all or none."""
    with new_folder(folder) as place:
        write_plan(plan, place / "plan.json")
        write_musicxml(score, place / "score.musicxml", plan=plan)
        write_performance_midi(score, performance, place / "performance.mid", title=score.title)
        draw_roll(score, place / "roll.png", plan=plan)
        render(performance, place / "piece.ogg")
