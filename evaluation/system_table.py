"""The table of `task=evaluate` as Markdown: figures first, the same at every run; times by themselves at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.faults import FAULTS
from evaluation.performance_spread import SPREADS
from evaluation.piece import WORDS, human_figures
from evaluation.system import Row

PLACES = 3
ORDER = ("plan", "compose", "perform", "measure")  # of stages in the table of times
COUNTS = ("served", "refused", "wishes_count", "pieces", "performances")
PLAN_WORDS = {
    "served": "requests that got a plan",
    "refused": "requests that were refused",
    "wishes": "wishes kept",
    "wishes_count": "… of how many",
    "whole": "plans that keep every wish",
    "cadences": "phrases whose last chords make the planned cadence",
    "home": "plans that begin and end at home",
    "themes_alike": "pairs of themes that are too much alike (0.6)",
    "themes_similarity": "likeness of two themes of a plan",
    "returns": "sections that return",
    "bars": "bars",
}
PIECE_WORDS = (
    {"pieces": "pieces"}
    | {name: text for name, text in WORDS.items() if not name.startswith("parallel")}
    | {
        "choir_fifths": "parallel fifths of choirs, pooled, % of moves of two voices",
        "choir_octaves": "parallel octaves of choirs, the same",
        "formula_entropy": "entropy of cadence formulas, bits",
        **{f"fault_{name}": f"pieces with {text}" for name, text in FAULTS.items()},
        "fault": "pieces with any of these",
        "judge": "the judge's AUC (0.5: cannot tell)",
        "judge_low": "… lower end of 95 %",
        "judge_high": "… upper end",
        "judge_satb": "… of choirs alone",
        "judge_quartet": "… of quartets",
        "judge_piano": "… of piano pieces",
    }
)
_SPREAD = {
    "velocity": "of velocity",
    "log_beat_period": "of tempo, log2",
    "chord_asynchrony": "within chords, ms",
    "articulation": "of articulation, log2",
}
PERFORMANCE_WORDS = {
    "performances": "performances",
    "faultless": "without fault",
    "level": "velocity on the mean",
    **{f"spread_{name}": f"spread {_SPREAD[name]}" for name in SPREADS},
    **{f"within_{name}": f"spread {_SPREAD[name]}: within pianists' middle 80 %" for name in SPREADS},
    "within": "all four spreads within",
    "habit_end_slows": "slows at the end",
    "habit_phrases_soften": "softens at phrase ends",
    "habit_melody_leads": "brings out the melody",
    "lag_log_beat_period": "tempo goes on as it was (lag-1 correlation)",
    "lag_timing": "timing goes on as it was",
    "two_velocity": "two seeds' difference (two pianists'): velocity",
    "two_log_beat_period": "… tempo, log2",
    "two_timing": "… timing, s",
    "two_articulation": "… articulation, log2",
}
STAGES = (
    ("plan", "Plans", PLAN_WORDS),
    ("piece", "Pieces", PIECE_WORDS),
    ("performance", "Performances", PERFORMANCE_WORDS),
)
NOTES = {
    "plan": (
        "People's plans are read from held-out scores by analysis, which marks a cadence also where the last "
        "chords do not make one; their means are weighed as ours by ensemble."
    ),
    "piece": (
        "All composers are given the chain's own plans. People's pieces are held-out works, their means weighed "
        "as ours by ensemble; those of form and returns only where repeats say what the form is. “Within” is the "
        "share of pieces inside people's 10th to 90th percentile of the same ensemble. What hears chords, keys "
        "and cadences errs itself: of people's own analyses of chorales it finds {roots_by_beat:.2f} of the roots "
        "by beat, {section_keys:.2f} of the keys and {cadences_exact:.2f} of the cadences in their kind, so no "
        "composer would reach 1."
    ),
    "performance": (
        "All performers play the chain's own scores, with the plan. Pianists play other pieces, held-out "
        "compositions from Bach to Rachmaninoff, so what depends on the piece, spreads most of all, shows a "
        "direction and no goal."
    ),
}


def markdown(
    figures: Mapping[str, Any], *, command: str, versions: Mapping[str, str], timings: Mapping[str, Any]
) -> str:
    """The page of results.

    Args:
        figures: of `evaluation.system_figures.all_figures`.
        command: that writes the page.
        versions: of code and weights, by name.
        timings: of `timings`.
    """
    lines = [
        "# Results",
        "",
        "What the whole chain does with a fixed set of requests, written by",
        "",
        f"    {command}",
    ]
    lines += ["", "Versions: " + ", ".join(f"{name} {value}" for name, value in versions.items()) + "."]
    for stage, title, words in STAGES:
        note = NOTES[stage].format(**human_figures()["extractor"])
        lines += ["", f"## {title}", "", note, "", *table(figures[stage], words)]
    lines += ["", "## Where our pieces lie farthest from people's", ""]
    lines += ["In standard deviations of people's; + where ours have more of it.", "", *_farthest(figures["farthest"])]
    if figures["tells"]:
        lines += ["", "What the judge finds easiest, each feature alone (below 0.5: less of it in ours): "]
        lines[-1] += ", ".join(f"{name} {value:.2f}" for name, value in figures["tells"]) + "."
    lines += ["", "## Time", "", "Seconds of processor time; these alone differ from run to run.", ""]
    lines += _rows(
        ["stage", "mean", "longest"], [[n, *(f"{v:.1f}" for v in row)] for n, row in timings["stages"].items()]
    )
    total = f"{timings['total']:.0f} s by the clock with {timings['workers']:.0f} at work"
    lines += ["", f"All requests: {total}."]
    return "\n".join(lines) + "\n"


def table(columns: Mapping[str, Mapping[str, float]], words: Mapping[str, str]) -> list[str]:
    """One stage as a Markdown table; rows that nobody has are left out."""
    found = [name for name in words if any(name in figures for figures in columns.values())]
    rows = [[words[name], *(_cell(name, figures.get(name)) for figures in columns.values())] for name in found]
    return _rows(["", *columns], rows)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if name in COUNTS else f"{value:.{PLACES}f}"


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _farthest(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = [
        [
            r["ensemble"],
            WORDS.get(r["measure"], r["measure"]),
            _cell("", r["ours"]),
            _cell("", r["people"]),
            f"{r['distance']:+.1f}",
        ]
        for r in rows
    ]
    return _rows(["ensemble", "measure", "ours", "people", "distance"], cells)


def timings(rows: Sequence[Row], total: float, workers: int) -> dict[str, Any]:
    """Seconds: `stages` with the mean over requests and the longest of each, `total` by the clock, and `workers`."""
    order = sorted(
        {s for row in rows for s in row.seconds}, key=lambda s: (ORDER.index(s.split()[0]), "ours" not in s, s)
    )
    stages: dict[str, list[float]] = {}
    for stage in order:
        values = [row.seconds[stage] for row in rows if stage in row.seconds]
        stages[stage] = [float(np.mean(values)), max(values)]
    return {"stages": stages, "total": total, "workers": float(workers)}


def flat(figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Tables as one level: ("piece/ours/roots", 0.9)."""
    for stage, _, _ in STAGES:
        for column, values in figures[stage].items():
            for name, value in values.items():
                yield f"{stage}/{column.replace(' ', '_')}/{name}", value
