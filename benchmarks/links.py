"""Links between sections in real pieces, and in plans: how often a melody leads across a boundary, and how.

    python pipeline.py task=prepare data=plans data.path=DIR               makes plans.jsonl
    python -m benchmarks.links PLANS.jsonl MANIFEST.json SCORES            people's figures by style
    python -m benchmarks.links PLANS.jsonl MANIFEST.json SCORES --plans 40     the learned planner's plans beside them
    python -m benchmarks.links PLANS.jsonl MANIFEST.json SCORES --write    the planner's tables, from training pieces

MANIFEST.json is the corpus' list of pieces and SCORES its folder of parsed scores, both in the cache (`manifests/` and
`scores/`). A boundary whose place the next section's upbeat, or the piece's, has taken is counted apart. `other` is the
same figure at bar lines within phrases of the same pieces: there a melody is seldom at rest. Prints a table by style
and one JSON line.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from music.analysis.links import Boundary, boundaries, leads_at
from music.analysis.marked_plan import MarkedPlan, read_plans
from music.analysis.spans import cut_span, join_split_bars, regular_spans
from music.cache import ScoreCache, write_atomically
from music.corpus import Manifest
from music.plan import Plan
from music.score import Score
from music.time import DIVS_PER_QUARTER
from planner.links import END, LARGEST_MOVE, TABLES, staff_place

SIXTEENTH = DIVS_PER_QUARTER // 4
MOST_NOTES = 16
EVERY = 7  # of bar lines within phrases, that are looked at for comparison
SOURCES = "OpenScore String Quartets (CC0), piano-midi.de (Bernd Krueger, CC BY-SA 3.0 DE), music21's corpus"


@dataclass(frozen=True)
class Heard:
    """A plan and what leads across its boundaries; `inner` are (bar lines within phrases, those with a lead-in)."""

    marked: MarkedPlan
    boundaries: Sequence[Boundary]
    inner: tuple[int, int]


def scores_of(plans: Iterable[MarkedPlan], manifest: Manifest, cache: ScoreCache) -> Iterator[tuple[MarkedPlan, Score]]:
    """Each plan that was read from a score, with the stretch of the score that it is of."""
    entries = {entry.id: entry for entry in manifest.entries}
    for marked in plans:
        name, first = marked.origin.id.rsplit(":", 1)
        entry = entries.get(name)
        if entry is None or "themes" in marked.missing:
            continue
        score = join_split_bars(cache.load(entry.sha256, entry.reading)[entry.movement])
        for start, end in regular_spans(score):
            if start == int(first):
                yield marked, cut_span(score, start, end)


def heard(marked: MarkedPlan, score: Score) -> Heard:
    """The boundaries of one piece."""
    plan = marked.plan
    ends, bar = set(), 0
    for phrase in (p for s in plan.sections for p in s.phrases):
        bar += phrase.bars
        ends.add(bar)
    inner = [b for b in range(2, plan.bars, EVERY) if b not in ends] if plan.pickup_div == 0 else []
    found = sum(leads_at(score, plan.bar_onset_div(b), plan.meter)[0] is not None for b in inner)
    return Heard(marked, boundaries(score, plan), (len(inner), found))


def figures(pieces: Sequence[Heard]) -> dict[str, dict[str, float]]:
    """By style, then by ensemble: boundaries, how many an upbeat has, shares with a link in melody and bass."""
    groups: dict[str, list[Heard]] = defaultdict(list)
    for piece in pieces:
        groups[piece.marked.plan.style].append(piece)
        groups[f"all {piece.marked.plan.ensemble}"].append(piece)
    table = {}
    for name in sorted(groups, key=lambda n: (n.startswith("all "), n)):
        every = [b for piece in groups[name] for b in piece.boundaries]
        free = [b for b in every if not b.upbeat]
        inner = [sum(piece.inner[i] for piece in groups[name]) for i in (0, 1)]
        table[name] = {
            "boundaries": len(every),
            "upbeats": len(every) - len(free),
            "links": sum(b.melody is not None for b in free),
            "melody": sum(b.melody is not None for b in free) / max(1, len(free)),
            "bass": sum(b.bass is not None for b in free) / max(1, len(free)),
            "other": inner[1] / max(1, inner[0]),
        }
    return table


def tables(pieces: Sequence[Heard]) -> dict[str, Any]:
    """What `planner.links` draws from: shares, rhythms on sixteenths, moves in steps of the next section's scale."""
    shares: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    rhythms: dict[str, Counter[str]] = defaultdict(Counter)
    moves: dict[str, dict[int, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
    for piece in pieces:
        plan = piece.marked.plan
        for boundary in piece.boundaries:
            if boundary.upbeat:
                continue
            lead = boundary.melody
            for name in (plan.style, plan.ensemble):
                shares[name][0] += lead is not None
                shares[name][1] += 1
            if lead is None or len(lead.onsets) > MOST_NOTES or any(o % SIXTEENTH for o in lead.onsets):
                continue
            kind = f"{plan.ensemble} {'compound' if plan.meter.is_compound else 'simple'}"
            rhythms[kind][" ".join(str(o // SIXTEENTH) for o in lead.onsets)] += 1
            key, after = plan.sections[boundary.section + 1].key, END
            for left, right in reversed(list(pairwise((*lead.pitches, lead.target)))):
                move = staff_place(right, key) - staff_place(left, key)
                move = max(-LARGEST_MOVE, min(LARGEST_MOVE, move))
                moves[plan.ensemble][after][move] += 1
                after = move
    return {
        "shares": dict(sorted(shares.items())),
        "rhythms": {name: dict(sorted(table.items())) for name, table in sorted(rhythms.items())},
        "moves": {
            name: {str(after): {str(m): n for m, n in sorted(row.items())} for after, row in sorted(table.items())}
            for name, table in sorted(moves.items())
        },
    }


def planned(pieces: Sequence[Heard], count: int) -> dict[str, tuple[int, int, int]]:
    """By style: boundaries of the learned planner's free plans, those that an upbeat has, and links."""
    from planner.evaluate import free_plans
    from planner.sampling import LearnedPlanner
    from planner.styles import STYLES

    planner = LearnedPlanner()
    kinds = {(p.marked.plan.style, p.marked.plan.ensemble) for p in pieces}
    plans = free_plans(planner, {kind: count for kind in sorted(kinds) if kind[0] in STYLES}, seed=0)
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for plan in plans:
        for name in (plan.style, f"all {plan.ensemble}"):
            for i, number in enumerate(links_of(plan)):
                found[name][i] += number
    return {name: (row[0], row[1], row[2]) for name, row in found.items()}


def links_of(plan: Plan) -> tuple[int, int, int]:
    """Boundaries of a plan, those that an upbeat has, and links."""
    upbeats = 0
    for following in plan.sections[1:]:
        theme = plan.theme_of(following.theme or "")
        upbeats += plan.pickup_div > 0 or (theme is not None and theme.notes[0].onset_div < 0)
    return len(plan.sections) - 1, upbeats, sum(bool(s.link) for s in plan.sections)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("plans_file", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--plans", type=int, default=0, help="free plans of each style to stand beside people's")
    parser.add_argument("--write", action="store_true", help="write the planner's tables from training pieces")
    options = parser.parse_args(arguments)
    manifest = Manifest.from_json(json.loads(options.manifest.read_text(encoding="utf-8")))
    plans = read_plans(options.plans_file, lambda o: o.split == "train" or not options.write)
    pieces = [heard(*pair) for pair in scores_of(plans, manifest, ScoreCache(options.scores))]
    if options.write:
        about = {"about": {"made_by": "python -m benchmarks.links --write", "pieces": len(pieces), "split": "train",
                           "sources": SOURCES, "licence": "CC BY-SA 4.0"}}  # fmt: skip
        data = (json.dumps(about | tables(pieces), indent=0) + "\n").encode()
        write_atomically(TABLES, data)
        print(f"{TABLES}: {len(data)} bytes from {len(pieces)} plans")
        return
    rows = figures(pieces)
    ours = planned(pieces, options.plans) if options.plans else {}
    print(f"{'style':<22}{'boundaries':>11}{'upbeat':>8}{'melody':>8}{'bass':>8}{'other':>8}{'planned':>9}")
    for name, row in rows.items():
        line = f"{name:<22}{row['boundaries']:>11}{row['upbeats']:>8}"
        line += "".join(f"{100 * row[k]:>7.1f}%" for k in ("melody", "bass", "other"))
        if name in ours:
            total, upbeats, links = ours[name]
            row |= {"planned_boundaries": total, "planned_upbeats": upbeats, "planned": links / max(1, total - upbeats)}
            line += f"{100 * row['planned']:>8.1f}%"
        print(line)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
