"""Writes everything that a piece consists of: its plan, notes, performance, sound, pictures, provenance and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from music.midi import write_performance_midi, write_score_midi
from music.musicxml import write_musicxml
from music.performance import Performance
from music.plan import Plan
from music.plan_json import write_plan
from music.score import Score
from render.audio import render
from render.console import stage
from render.figures import draw_roll
from render.folder import new_folder, write_json
from render.plan_picture import draw_plan
from render.report import write_report
from render.report_engrave import engraved
from render.report_measures import Row
from render.report_sound import sound_url


def write_piece(
    folder: Path,
    score: Score,
    performance: Performance,
    plan: Plan | None,
    origin: Mapping[str, Any],
    *,
    audio: str = "ogg",
    synth: str = "piano",
    soundfont: str | None = None,
    measure: Callable[[Score, Plan | None], tuple[str, Sequence[Row]] | None] | None = None,
) -> Path:
    """Writes a piece's folder, all of it or nothing, and returns its path.

    Args:
        folder: see `render.folder.new_folder`.
        plan: the piece's plan, or None for a score that has none.
        origin: goes into provenance.json (`render.folder.provenance`).
        audio: none, wav, flac, ogg or mp3.
        synth, soundfont: see `render.audio.render`.
        measure: gives the report's table: who the piece is compared with, and its rows; None leaves the table out.
    """
    with new_folder(folder) as place:
        with stage("write"):
            if plan is not None:
                write_plan(plan, place / "plan.json")
                draw_plan(plan, place / "plan.png")
            write_musicxml(score, place / "score.musicxml", plan=plan)
            write_score_midi(score, place / "score.mid")
            write_performance_midi(score, performance, place / "performance.mid", title=score.title)
            draw_roll(score, place / "roll.png", plan=plan)
            write_json(origin, place / "provenance.json")
        if audio != "none":
            with stage("render") as remarks:
                render(performance, place / f"piece.{audio}", synth=synth, soundfont=soundfont)
                remarks.append(f"{performance.end_sec:.0f} s of sound")
        with stage("report"), ThreadPoolExecutor(2) as pool:  # encoder and engraver leave Python to the measures
            pages = pool.submit(engraved, place / "score.musicxml")
            sound = pool.submit(sound_url, place / f"piece.{audio}", performance.end_sec) if audio != "none" else None
            write_report(
                place / "report.html",
                score,
                performance,
                plan=plan,
                origin=origin,
                measures=measure(score, plan) if measure else None,
                sound=sound.result() if sound else None,
                engraving=pages.result(),
            )
    return folder
