"""The report on a prepared set of performances: what was kept, by split and composer, and what was dropped and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from music.performance_entries import PerformanceEntry
from music.performance_splits import HELD_OUT
from music.splits import SPLITS

_SPLITS = (*SPLITS, HELD_OUT)


def why_dropped(dropped: Iterable[tuple[str, str]]) -> dict[str, int]:
    """How many were dropped for which reason, most frequent first; figures and names in reasons are left out."""
    counted = Counter(_kind(reason) for _, reason in dropped)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _kind(reason: str) -> str:
    first = re.sub(r"(the same file as) .*", r"\1 another", reason.split(";")[0].split(":")[0])
    return re.sub(r"\d[\d.,]*%?", "N", first)


def splits_of(entries: Sequence[PerformanceEntry]) -> dict[str, dict[str, int | float]]:
    """Of each split: performances, compositions, works, notes of the scores, notes played, hours."""
    found: dict[str, dict[str, int | float]] = {}
    for split in _SPLITS:
        own = [e for e in entries if e.split == split]
        if own or split != HELD_OUT:
            found[split] = {
                "performances": len(own),
                "compositions": len({e.composition for e in own}),
                "works": len({e.work for e in own}),
                "notes": sum(e.notes for e in own),
                "played": sum(e.played for e in own),
                "hours": round(sum(e.seconds for e in own) / 3600, 2),
            }
    return found


def performance_table(
    data: str, files: int, entries: Sequence[PerformanceEntry], dropped: Sequence[tuple[str, str]]
) -> str:
    """The report for a person: figures by split and by composer, then every dropped file with its reason."""
    lines = [f"{data}: {files} performances, {len(entries)} kept, {len(dropped)} dropped", ""]
    heads = ("performances", "compositions", "works", "notes", "played", "hours")
    lines.append(f"{'split':<12}" + "".join(f"{head:>14}" for head in heads))
    for split, row in splits_of(entries).items():
        lines.append(f"{split:<12}" + "".join(f"{row[head]:>14,}" for head in heads))
    found = splits_of(entries)
    composers = Counter((e.composer or "unknown", e.split) for e in entries)
    lines += ["", f"{'composer':<16}" + "".join(f"{split:>10}" for split in found)]
    for composer in sorted({composer for composer, _ in composers}):
        lines.append(f"{composer:<16}" + "".join(f"{composers[composer, split]:>10}" for split in found))
    if dropped:
        lines += ["", *(f"dropped, {count}: {reason}" for reason, count in why_dropped(dropped).items())]
        lines += ["", *(f"dropped {path}: {reason}" for path, reason in dropped)]
    return "\n".join(lines)
