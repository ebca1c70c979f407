"""Plans of real pieces as walks through the planner's streams."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from music.analysis.marked_plan import MarkedPlan, read_plans
from music.dropped import say
from music.errors import RequestError
from music.plan import Theme
from planner import form_columns, form_stream, harmony_stream, theme_stream
from planner.streams import Stream, Tokens

STREAMS: dict[str, Stream] = {
    "form": form_columns.STREAM,
    "harmony": harmony_stream.STREAM,
    "theme": theme_stream.STREAM,
}
READ_TWICE = ("bach_chorale",)  # styles with scores and with analyses by people
ANALYSED = "_analysed"
# What a walk of the form is told of its length: (bars in all, sections in all).
_TOLD = ((True, True), (True, False), (False, True), (False, False))


@dataclass(frozen=True)
class Walk:
    """A walk of one plan: its style, split and tokens; `first` where no section is returned to in it."""

    style: str
    split: str
    tokens: Tokens
    first: bool = True


def load_plans(data: dict[str, object], cache_dir: Path, workers: int | None = None) -> tuple[list[MarkedPlan], str]:
    """The corpus' plans and the hash of their file.

    Args:
        data: `name` "plans", `of` which set, and `file`, or None for where `task=prepare data=plans` puts it; or the
            `name` of a set of scores and its `path`, whose plans are then made first.
        cache_dir: the cache.
        workers: processes that make plans; None takes one a core.

    Raises:
        RequestError: no plans have been prepared, or none can be made.
        PlanError: the file cannot be read.
    """
    path = _plans_file(data, cache_dir, workers)
    if not path.exists():
        raise RequestError(f"{path} is missing: make it with task=prepare data=plans, or name one with data.file=FILE")
    plans = [_by_source(marked) for marked in read_plans(path)]
    return plans, hashlib.sha256(path.read_bytes()).hexdigest()


def _plans_file(data: dict[str, object], cache_dir: Path, workers: int | None) -> Path:
    """Where the plans lie; those of a set of scores are made here, as `data=folder data.path=DIR` asks for it."""
    from music.analysis.corpus_plans import PLANS_FILE, prepare_plans

    if data.get("file"):
        return Path(str(data["file"]))
    name = str(data.get("name", "plans"))
    if name == "plans":
        return cache_dir / "plans" / str(data.get("of")) / PLANS_FILE
    root = Path(str(data["path"])) if data.get("path") else None
    # Two folders of one user must not take each other's place.
    place = f"{name}-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]}" if root else name
    report = prepare_plans(name, path=root, cache_dir=cache_dir, out=cache_dir / "plans" / place, workers=workers)
    say(f"{root or name}: {report.kept} plans of {report.pieces} pieces, {len(report.dropped)} dropped", report.dropped)
    return report.path


def hold_out(plans: Sequence[MarkedPlan]) -> list[MarkedPlan]:
    """The plans, of which some validate: where the split has none, a tenth of the works that train, one at least.

    Which ones depends on their names alone. A single work is not divided.
    """
    works = {m.origin.work for m in plans if m.origin.split == "train"}
    if len(works) < 2 or any(m.origin.split == "valid" for m in plans):
        return list(plans)
    by_hash = sorted(works, key=lambda work: hashlib.sha256(work.encode()).hexdigest())
    chosen = set(by_hash[: max(1, len(works) // 10)])
    return [replace(m, origin=replace(m.origin, split="valid")) if m.origin.work in chosen else m for m in plans]


def _by_source(marked: MarkedPlan) -> MarkedPlan:
    """The plan; an analyst's chords, where scores of the style are read as well, are a style of their own.

    People write down more chords than the chord finder hears, in other inversions, and the composer is told what the
    chord finder hears.
    """
    if marked.plan.style not in READ_TWICE or "themes" not in marked.missing:
        return marked
    return replace(marked, plan=replace(marked.plan, style=marked.plan.style + ANALYSED))


def known_styles(plans: Sequence[MarkedPlan], least: int = 3) -> tuple[str, ...]:
    """Styles with so many training plans at least, sorted; others are told as "unknown"."""
    count = Counter(m.plan.style for m in plans if m.origin.split == "train")
    return tuple(sorted(style for style, number in count.items() if number >= least))


def form_walks(plans: Sequence[MarkedPlan], styles: Sequence[str], *, every: bool = False) -> list[Walk]:
    """Walks of the form, told nothing of the piece's length; with `every` also told its bars, and its sections too."""
    found = []
    for marked in plans:
        for bars, sections in _TOLD if every else _TOLD[-1:]:
            tokens = form_stream.encode(marked, styles, tell_bars=bars, tell_sections=sections)
            if tokens is not None and len(tokens):
                found.append(Walk(marked.plan.style, marked.origin.split, tokens))
    return found


def harmony_walks(plans: Sequence[MarkedPlan], styles: Sequence[str]) -> list[Walk]:
    """Walks of the chords of every section that has any."""
    found = []
    for marked in plans:
        phrases = "phrases" not in marked.missing
        cadences = phrases and "cadences" not in marked.missing
        for index, section in enumerate(marked.plan.sections if "chords" not in marked.missing else ()):
            tokens = harmony_stream.encode(marked.plan, index, styles, known_phrases=phrases, known_cadences=cadences)
            if tokens is not None and len(tokens):
                found.append(Walk(marked.plan.style, marked.origin.split, tokens, section.source is None))
    return found


def theme_walks(plans: Sequence[MarkedPlan], styles: Sequence[str]) -> list[Walk]:
    """Walks of every theme."""
    found = []
    for marked in plans:
        for theme in marked.plan.themes if "themes" not in marked.missing else ():
            tokens = theme_stream.encode(marked.plan, theme.label, styles)
            if tokens is not None and len(tokens):
                found.append(Walk(marked.plan.style, marked.origin.split, tokens))
    return found


def walks_of(stream: str, plans: Sequence[MarkedPlan], styles: Sequence[str], *, every: bool = False) -> list[Walk]:
    """The walks of a stream; `every` as in `form_walks`."""
    if stream == "form":
        return form_walks(plans, styles, every=every)
    return harmony_walks(plans, styles) if stream == "harmony" else theme_walks(plans, styles)


def training_themes(plans: Sequence[MarkedPlan]) -> list[Theme]:
    """The themes that are learned from."""
    known = (m.plan for m in plans if m.origin.split == "train" and "themes" not in m.missing)
    return [theme for plan in known for theme in plan.themes]
