"""The planner's figures as Markdown: nats on held-out plans beside two baselines, and free plans beside people's.

    python -m benchmarks.plans --file cache/plans/composer/plans.jsonl
    python -m benchmarks.plans --weights runs/planner/planner.safetensors --draws 500 --out figures.json

It runs task=evaluate_planner and writes its figures as tables; `--figures FILE` writes them from what `--out` kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from music.cache import default_cache_dir

MODELS = {"network": "network", "markov": "order 2", "markov_two_tokens": "two tokens", "grammar": "grammar, smoothed"}
ASKED = ("section count", "section bars", "key relations", "cadence types", "chord bigrams")
HELD_OUT = "people's held-out plans"
Figures = Mapping[str, Any]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def nats_rows(name: str, found: Figures) -> list[list[str]]:
    """A unit's mean over styles and over first statements, and the share below the better baseline."""
    rows = []
    for label, part in ((name, found), (f"{name}, first statements", found.get("first"))):
        if part is not None:
            values = [f"{part[model]:.2f}" if model in part else "" for model in MODELS]
            rows.append([label, *values, f"{100 * part['below']:.1f} %" if "below" in part else ""])
    return rows


def style_rows(nats: Figures) -> list[list[str]]:
    """Network against the better baseline, a line for each style."""
    styles = sorted({style for found in nats.values() for style in found["styles"]})
    rows = []
    for style in styles:
        cells = []
        for found in nats.values():
            values = found["styles"].get(style)
            cells.append("" if values is None else _against(values))
        rows.append([style, *cells])
    return rows


def _against(values: Figures) -> str:
    bar = min(values["markov"], values["grammar"])
    return f"{values['network']:.2f} / {bar:.2f}" if "network" in values else f"{bar:.2f}"


def ratio_rows(groups: Figures) -> list[list[str]]:
    """A line for each group of styles, a cell for each measure; what lies above 1.5 is bold."""
    rows = []
    for group, measures in groups.items():
        cells = [_ratio(measures[name]) if name in measures else "" for name in _measures(groups)]
        plans = max(row["plans"] for row in measures.values())
        rows.append([group, str(plans), *cells])
    return rows


def _measures(groups: Figures) -> list[str]:
    found = {name for measures in groups.values() for name in measures}
    return [*(name for name in ASKED if name in found), *sorted(found - set(ASKED))]


def _ratio(row: Figures) -> str:
    ratio = f"{row['ratio']:.2f}"
    return f"{f'**{ratio}**' if row['ratio'] > 1.5 else ratio} ({row['low']:.2f}–{row['high']:.2f})"


def plan_rows(sides: Figures) -> list[list[str]]:
    """What each side's plans keep, how long they are and what their themes are like."""
    shown = {
        "plans": lambda f: str(f["plans"]),
        "phrases that end in their planned cadence's chords": lambda f: f"{100 * f['cadences_kept']:.1f} %",
        "first and last section at home": lambda f: f"{100 * f['at_home']:.1f} %",
        "bars, 5th, 50th, 95th percentile": lambda f: ", ".join(f"{f['bars'][p]:.0f}" for p in ("p5", "p50", "p95")),
        "plans of the commonest length": lambda f: f"{100 * f['bars']['commonest']:.1f} %",
        "pairs of themes of a plan alike (0.6)": lambda f: _share(f["themes"], "alike"),
        "plans with such a pair": lambda f: _share(f["themes"], "plans_alike"),
        "notes in a row shared with a training theme, mean": lambda f: f"{f['themes'].get('run_mean', 0):.1f}",
        "the same, 90th percentile and most": lambda f: (
            f"{f['themes'].get('run_p90', 0):.0f}, {f['themes'].get('run_most', 0):.0f}"
        ),
    }
    return [[name, *(show(side) for side in sides.values())] for name, show in shown.items()]


def _share(figures: Figures, name: str) -> str:
    return f"{100 * figures[name]:.1f} %" if name in figures else ""


def markdown(figures: Figures) -> str:
    """All tables."""
    nats, sides = figures["nats"], figures["plans"]
    parts = [
        f"Nats a unit on held-out plans ({figures['split']}), mean over styles; fewer is better.",
        table(
            ["", *MODELS.values(), "below the better"], [row for name, f in nats.items() for row in nats_rows(name, f)]
        ),
        "By style: the network / the better of order 2 and grammar.",
        table(["style", *nats], style_rows(nats)),
    ]
    for name, groups in figures["divergence"].items():
        plans, _, whose = name.partition(" beside ")
        parts.append(
            f"{plans.capitalize()} plans: Jensen-Shannon divergence from half of {whose or HELD_OUT}, "
            "as a multiple of the other half's (with the 2.5th and 97.5th percentiles over splits into halves)."
        )
        parts.append(table(["group", "plans in a half", *_measures(groups)], ratio_rows(groups)))
    left_out = ", ".join(figures["styles_left_out"])
    parts += [f"Too few held-out plans to be compared: {left_out}."] if left_out else []
    parts += ["What plans keep, and their themes.", table(["", *sides], plan_rows(sides))]
    return "\n\n".join(parts)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="plans.jsonl; else the cache's of the composer's corpus")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--split", default="test", choices=["valid", "test"])
    parser.add_argument("--people", nargs="+", default=["valid", "test"])
    parser.add_argument("--plans", type=int, default=30, help="of each style at least")
    parser.add_argument("--grammar-plans", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    parser.add_argument("--figures", type=Path, help="figures of an earlier run")
    parser.add_argument("--out", type=Path, help="where the figures go as JSON")
    options = parser.parse_args()
    if options.figures is not None:
        figures = json.loads(options.figures.read_text(encoding="utf-8"))
    else:
        from planner.evaluate import evaluate

        task = {name: getattr(options, name) for name in ("split", "people", "plans", "grammar_plans", "draws")}
        data = {"name": "plans", "of": "composer", "file": options.file}
        places = {"cache_dir": options.cache_dir, "weights": options.weights}
        figures = evaluate({"data": data, "task": task, "seed": options.seed, **places})
    if options.out is not None:
        options.out.write_text(json.dumps(figures), encoding="utf-8")
    print(markdown(figures))


if __name__ == "__main__":
    main()
