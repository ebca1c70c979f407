"""task=evaluate_piece: one score, and its plan where there is one, by every measure of this room."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import harmony as harmonic
from evaluation import repetition, structure, texture, voice_leading
from evaluation.cadences import cadence_formulas, formula_variety, planned_cadences
from evaluation.originality import RunIndex, shipped_index
from evaluation.sonorities import sonorities
from evaluation.structureness import structureness
from music.analysis.chords import Harmony, analyse_harmony
from music.errors import RequestError
from music.plan import Plan
from music.score import Score
from music.time import DIVS_PER_QUARTER

HUMAN = Path(__file__).with_name("human.json")

# What stands in the table for each measure; the functions' docstrings define them.
WORDS = {
    "similarity_same": "likeness of sections of one letter",
    "similarity_different": "likeness of sections of two letters",
    "altered_bars": "bars of returns that differ from their model",
    "themes_found": "statements of themes found",
    "theme_notes": "notes of themes found at their statements",
    "form_pairwise_f": "form found blind: pairwise F",
    "form_boundary_f": "form found blind: F of bounds within a bar",
    "roots": "planned chord roots heard, by beat",
    "cadences_found": "planned cadences found (PAC and IAC alike)",
    "cadences_exact": "planned cadences found in their kind",
    "section_keys": "sections in their planned key",
    "density_of_plan": "density, as a share of the planned one",
    "scale_consistency": "notes in one scale",
    "pitch_class_entropy": "entropy of pitch classes, bits",
    "parallel_fifths": "parallel fifths, % of pairs of voices moving on",
    "parallel_octaves": "parallel octaves, % of the same",
    "unresolved_sevenths": "sevenths left unresolved",
    "unresolved_seconds": "seconds left without a step",
    "doubled_leading_tones": "leading tones doubled, share of their time",
    "six_fours": "chords that are 6/4",
    "six_fours_by_chance": "chords that are 6/4 without a reason",
    "cadence_formulas": "distinct cadence formulas, share of cadences",
    "longest_silence_bars": "longest silence, bars",
    "longest_sonority_beats": "longest time on one sonority, beats",
    "nothing_new_bars": "longest stretch with nothing new, bars",
    "accompaniment_persistence": "accompaniment pattern kept from bar to bar",
    "stutter": "notes that are restruck ties",
    "restrikes": "notes struck again within two strikes",
    "hammered_bars": "bars of many strikes that hammer",
    "unplayable_hands": "strikes beyond a hand",
    "density": "notes a quarter",
    "polyphony": "notes that sound at once",
    "pitch_range": "range, semitones",
    "structureness_short": "structureness at 3–8 s",
    "structureness_middle": "structureness at 8–15 s",
    "structureness_long": "structureness over 15 s",
    "longest_shared_run": "sonorities in a row shared with a training piece",
}


def evaluate_piece(score: Score, plan: Plan | None = None, index: RunIndex | None = None) -> dict[str, float]:
    """All measures of a score; a measure that has nothing to measure is left out.

    Args:
        score: any score with notes.
        plan: what it was to be; None leaves out all that compares with a plan.
        index: the pieces that it must not copy; None leaves the longest shared run out.

    Raises:
        RequestError: no notes, or a plan whose bars are not the score's.
    """
    if not any(n.duration_div > 0 for n in score.notes):
        raise RequestError("the score has no notes to measure")
    if plan is not None and not 0 <= plan.end_div - score.end_div < plan.meter.bar_div:
        lengths = f"{plan.end_div / DIVS_PER_QUARTER:g} quarters, the score {score.end_div / DIVS_PER_QUARTER:g}"
        raise RequestError(f"the plan does not fit the score: it lasts {lengths}")
    row, harmony = sonorities(score), analyse_harmony(score)
    pitches = [n.pitch for n in score.notes if n.duration_div > 0]
    moves = voice_leading.parallels(row)
    six_fours, by_chance = harmonic.six_fours_by_chance(harmony)
    figures = _against_plan(score, plan, harmony) if plan else {}
    figures |= {
        "scale_consistency": harmonic.scale_consistency(pitches),
        "pitch_class_entropy": harmonic.pitch_class_entropy(pitches),
        "parallel_fifths": 100 * moves.fifths / moves.moves if moves.moves else None,
        "parallel_octaves": 100 * moves.octaves / moves.moves if moves.moves else None,
        "unresolved_sevenths": voice_leading.unresolved_sevenths(row, harmony),
        "unresolved_seconds": voice_leading.unresolved_seconds(row),
        "doubled_leading_tones": voice_leading.doubled_leading_tones(row, harmony),
        "six_fours": six_fours,
        "six_fours_by_chance": by_chance,
        "cadence_formulas": formula_variety(cadence_formulas(score, row, harmony)),
        "longest_silence_bars": texture.longest_silence(score, row),
        "longest_sonority_beats": texture.longest_sonority(score, row),
        "nothing_new_bars": texture.nothing_new(score),
        "accompaniment_persistence": texture.accompaniment_persistence(score),
        "stutter": texture.stutter(row),
        "restrikes": repetition.restrikes(row),
        "hammered_bars": repetition.hammered_bars(repetition.busy_bars(score, row)),
        "unplayable_hands": texture.unplayable_hands(score),
        "density": texture.density(score),
        "polyphony": texture.polyphony(row),
        "pitch_range": texture.pitch_range(score),
        **{f"structureness_{name}": value for name, value in structureness(score).items()},
        "longest_shared_run": index.longest_run(score) if index else None,
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


def _against_plan(score: Score, plan: Plan, harmony: Harmony) -> dict[str, float | None]:
    cadences = planned_cadences(score, plan, harmony)
    return structure_figures(score, plan) | {
        "roots": harmonic.roots_by_beat(plan, harmony),
        "cadences_found": cadences.found / cadences.planned if cadences.planned else None,
        "cadences_exact": cadences.exact / cadences.planned if cadences.planned else None,
        "section_keys": harmonic.section_keys(plan, harmony, score.end_div),
        "density_of_plan": texture.density_of_plan(score, plan),
    }


def structure_figures(score: Score, plan: Plan) -> dict[str, float | None]:
    """The measures of structure alone; None where there is nothing to measure."""
    pairs = structure.section_pairs(score, plan)
    themes = structure.themes_found(score, plan)
    form = structure.blind_form(score, plan)
    return {
        "similarity_same": structure.mean_similarity(pairs, same=True),
        "similarity_different": structure.mean_similarity(pairs, same=False),
        "altered_bars": structure.altered_bars(score, plan, pairs),
        "themes_found": themes[0] if themes else None,
        "theme_notes": themes[1] if themes else None,
        "form_pairwise_f": form[0] if form else None,
        "form_boundary_f": form[1] if form else None,
    }


def summary(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, 10th and 90th percentile of each measure over pieces, and of how many pieces, in the order of `WORDS`."""
    result: dict[str, dict[str, float]] = {}
    for name in WORDS:
        values = [row[name] for row in rows if name in row]
        if values:
            low, high = np.percentile(values, (10, 90))
            numbers = {"mean": float(np.mean(values)), "p10": float(low), "p90": float(high), "pieces": len(values)}
            result[name] = {key: round(value, 4) for key, value in numbers.items()}
    return result


@cache
def human_figures() -> dict[str, Any]:
    """Figures of human pieces: `sets` by corpus as `summary` gives them, and `extractor`, how well analysis agrees
    with people.

    Written by `benchmarks/human_figures.py`, whose command stands in the file.
    """
    return json.loads(HUMAN.read_text(encoding="utf-8"))


def table(figures: Mapping[str, float]) -> str:
    """Figures as lines of text, human ones (mean, 10th to 90th percentile) beside."""
    human = human_figures()
    heads = list(human["sets"])
    width = max(len(WORDS[name]) for name in WORDS)
    lines = [f"{'':<{width}}  {'piece':>8}  " + "  ".join(f"{head:>26}" for head in heads)]
    for name in (n for n in WORDS if n in figures):
        cells = [f"{WORDS[name]:<{width}}", f"{_short(figures[name]):>8}"]
        for head in heads:
            cells.append(f"{_span(human['sets'][head]['measures'].get(name)):>26}")
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _span(figure: Mapping[str, float] | None) -> str:
    return f"{_short(figure['mean'])} ({_short(figure['p10'])}–{_short(figure['p90'])})" if figure else "-"


def evaluate(settings: Mapping[str, Any]) -> str:
    """The task: reads `score_file` and, where it is given, `plan_file`; the table, then the figures as one JSON line.

    Raises:
        RequestError: no score_file, or a plan of another length.
        FileError, MidiError, MusicXmlError, PlanError: a file that cannot be read.
    """
    from music.files import read_score
    from music.plan_json import read_plan

    if settings["score_file"] is None:
        raise RequestError("task=evaluate_piece needs score_file=FILE.musicxml or FILE.mid")
    print(f"measuring {settings['score_file']}", file=sys.stderr, flush=True)  # some seconds for a long piece
    score = read_score(Path(settings["score_file"]))
    plan = read_plan(Path(settings["plan_file"])) if settings["plan_file"] else None
    figures = evaluate_piece(score, plan, shipped_index())
    return f"{table(figures)}\n{json.dumps({name: round(value, 6) for name, value in figures.items()})}"
