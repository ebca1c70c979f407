"""What real plans are like, by style: forms, lengths of sections and phrases, keys over the home key, cadences, chords.

    python -m music.analysis.plan_statistics plans.jsonl [train]

prints tables in Markdown. What is missing in a plan is left out of the figures that it would be in.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from music.analysis.marked_plan import MarkedPlan, read_plans
from music.errors import RitornelloError
from music.splits import SPLITS

MOST = 4  # of a kind that a table's cell lists
LEAST_PLANS = 12  # of a style with a row of its own
OTHERS = "others"
NO_CADENCE = "none"


@dataclass
class StyleStatistics:
    """Counts over the plans of a style.

    Args:
        plans, bars: how many.
        forms: letters without primes, of plans whose sections are known.
        sections: bars of sections; phrases: bars of phrases, where known.
        keys: a section's key in relation to home, each section counted.
        cadences: at the ends of phrases, `NO_CADENCE` where there is none.
        changes: chords a bar, one figure a plan.
        chords: pairs of figures in one section.
        meters: of plans that tell.
        returns: sections that return to an earlier one, and how many of them are literal.
    """

    plans: int = 0
    bars: list[int] = field(default_factory=list)
    forms: Counter[str] = field(default_factory=Counter)
    sections: Counter[int] = field(default_factory=Counter)
    phrases: Counter[int] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    cadences: Counter[str] = field(default_factory=Counter)
    changes: list[float] = field(default_factory=list)
    chords: Counter[str] = field(default_factory=Counter)
    meters: Counter[str] = field(default_factory=Counter)
    returns: Counter[str] = field(default_factory=Counter)

    def add(self, marked: MarkedPlan) -> None:
        """Counts a plan."""
        plan, missing = marked.plan, marked.missing
        self.plans += 1
        self.bars.append(plan.bars)
        if "meter" not in missing:
            self.meters[str(plan.meter)] += 1
        if "sections" not in missing:
            self.forms["".join(s.letter for s in plan.sections)] += 1
            self.sections.update(s.bars for s in plan.sections)
            literal = [s.source is not None and plan.sections[s.source].label == s.label for s in plan.sections]
            self.returns["new"] += sum(s.source is None for s in plan.sections)
            self.returns["literal"] += sum(literal)
            self.returns["varied"] += sum(s.source is not None for s in plan.sections) - sum(literal)
        if "keys" not in missing:
            self.keys.update(s.key.relation_to(plan.key) for s in plan.sections)
        phrases = [p for s in plan.sections for p in s.phrases]
        if "phrases" not in missing:
            self.phrases.update(p.bars for p in phrases)
        if not {"phrases", "cadences"} & missing:
            self.cadences.update(p.cadence or NO_CADENCE for p in phrases)
        if "chords" not in missing:
            self.changes.append(sum(len(s.chords) for s in plan.sections) / plan.bars)
            for section in plan.sections:
                self.chords.update(f"{a.figure} {b.figure}" for a, b in pairwise(section.chords))


def plan_statistics(plans: Iterable[MarkedPlan], least: int = LEAST_PLANS) -> dict[str, StyleStatistics]:
    """Statistics by style in order of the names; styles of fewer than `least` plans together as `OTHERS`, last."""
    plans = list(plans)
    sizes = Counter(marked.plan.style for marked in plans)
    found = {style: StyleStatistics() for style in sorted(sizes) if sizes[style] >= least}
    rest = StyleStatistics()
    for marked in plans:
        found.get(marked.plan.style, rest).add(marked)
    return found | ({OTHERS: rest} if rest.plans else {})


def _most(counts: Counter, most: int = MOST) -> str:
    """The commonest, with their share in percent."""
    total = sum(counts.values())
    rows = sorted(counts.items(), key=lambda row: (-row[1], str(row[0])))[:most]
    return ", ".join(f"{name} {100 * count / total:.0f}" for name, count in rows) if total else "–"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _range(values: Sequence[int]) -> str:
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
    return f"{median(ordered):.0f} ({low}–{high})"


def markdown_tables(found: dict[str, StyleStatistics]) -> str:
    """Two tables: form, lengths and returns; and keys, cadences and chords. Figures beside names are percent."""
    form = _table(
        (
            "style",
            "plans",
            "bars: median (middle 80 %)",
            "forms",
            "bars a section",
            "bars a phrase",
            "new, literal, varied",
        ),
        (
            (style, str(s.plans), _range(s.bars), _most(s.forms), _most(s.sections), _most(s.phrases), _shares(s))
            for style, s in found.items()
        ),
    )
    harmony = _table(
        ("style", "keys of sections", "cadences", "chords a bar", "commonest progressions", "meters"),
        (
            (
                style,
                _most(s.keys),
                _most(s.cadences, 5),
                f"{median(s.changes):.1f}" if s.changes else "–",
                _most(s.chords, 3),
                _most(s.meters, 3),
            )
            for style, s in found.items()
        ),
    )
    return f"{form}\n\n{harmony}\n"


def _shares(style: StyleStatistics) -> str:
    total = sum(style.returns.values())
    names = ("new", "literal", "varied")
    return ", ".join(f"{100 * style.returns[name] / total:.0f}" for name in names) if total else "–"


def main(arguments: list[str]) -> None:
    """Prints the tables of a file of plans, of one split where it is named."""
    if not 1 <= len(arguments) <= 2 or arguments[1:] not in ([], *([split] for split in SPLITS)):
        raise SystemExit(f"usage: python -m music.analysis.plan_statistics plans.jsonl [{'|'.join(SPLITS)}]")
    split = arguments[1] if arguments[1:] else None
    try:
        plans = read_plans(Path(arguments[0]), keep=lambda origin: split in (None, origin.split))
    except RitornelloError as error:
        raise SystemExit(str(error)) from None
    sys.stdout.write(markdown_tables(plan_statistics(plans)))


if __name__ == "__main__":
    main(sys.argv[1:])
