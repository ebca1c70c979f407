"""Corpus pieces as plans, with word of what in them stands in the source and what analysis made out.

Beside the composer's corpus stand plans of which no score, or only a melody, is known: tunes, harmonic analyses and
tables of form. `prepare_plans` writes `plans.jsonl`: one marked plan a line, in order of the pieces' ids, which
`music.analysis.marked_plan.read_plans` reads.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from music.analysis.form_plans import form_plans
from music.analysis.marked_plan import FIELDS, MarkedPlan, Origin
from music.analysis.plans import plan_of_score
from music.analysis.roman_plans import roman_plans
from music.analysis.signs import lettered, mark_places, phrase_fermatas, repeat_places
from music.analysis.spans import cut_span, join_split_bars, regular_spans
from music.analysis.taking_form import annotate_form, find_tables, movement_key, read_table
from music.analysis.tunes import tune_plans
from music.cache import ScoreCache, write_atomically
from music.corpus import PieceEntry, prepare
from music.corpus_sources import form_root, music21_corpus_dir, roman_root
from music.errors import PlanError, RequestError, RitornelloError
from music.plan import Plan
from music.processes import processes
from music.score import Score

PLANS_FILE = "plans.jsonl"
MANY = 12  # dropped for one reason: these are counted in the report, not listed


@dataclass(frozen=True)
class PieceResult:
    """What became of a piece.

    Args:
        plans: one for each regular stretch.
        dropped: (bars, reason) of stretches without a plan.
        bars, left_out: of the piece, and of these outside every plan.
        form: why labels that exist for the piece were refused, or "".
    """

    plans: tuple[MarkedPlan, ...]
    dropped: tuple[tuple[str, str], ...]
    bars: int
    left_out: int
    form: str = ""


def annotated_parts(score: Score, plan: Plan) -> frozenset[str]:
    """Which parts of a score's plan stand in the score."""
    found = {"textures"}
    if _sections_by(score) != "inferred":
        found.add("sections")
    if phrase_fermatas(score):
        found.add("phrases")
    if any(section.dynamic is not None for section in plan.sections):
        found.add("dynamics")
    return frozenset(found)


def missing_parts(score: Score, plan: Plan) -> frozenset[str]:
    """Which parts of a score's plan no one tells: dynamics and tempo, where the score has none."""
    silent = all(section.dynamic is None for section in plan.sections)
    return frozenset({"dynamics"} if silent else ()) | frozenset(() if score.tempos else {"tempo"})


def _sections_by(score: Score) -> str:
    if lettered(score) or mark_places(score):
        return "marks"
    return "repeats" if repeat_places(score) else "inferred"


def plans_of_piece(entry: PieceEntry, score: Score, form: Path | None = None) -> PieceResult:
    """The plans of a piece, one for each stretch of it in one meter with full bars.

    Args:
        form: its table of Taking Form, where there is one.
    """
    refused, labelled = "", False
    if form is not None:
        try:
            score, labelled = annotate_form(score, read_table(form)), True
        except PlanError as error:
            refused = str(error)
    whole = join_split_bars(score)
    plans, dropped, kept = [], [], 0
    for first, last in regular_spans(whole):
        part = cut_span(whole, first, last)
        try:
            plan = plan_of_score(part, style=entry.style, ensemble=entry.ensemble)
        except RitornelloError as error:
            dropped.append((f"bars {first + 1}-{last}", str(error)))
            continue
        source = "labels" if labelled else _sections_by(part)
        name = f"{entry.id}:{first}"
        origin = Origin(name, entry.work, entry.split, entry.licence, source)
        plans.append(MarkedPlan(plan, annotated_parts(part, plan), origin, missing_parts(part, plan)))
        kept += last - first
    if not plans and not dropped:
        dropped.append(("", "has no eight regular bars"))
    return PieceResult(tuple(plans), tuple(dropped), len(whole.bars), len(whole.bars) - kept, refused)


@dataclass(frozen=True)
class PlansReport:
    """What `prepare_plans` did.

    Args:
        data: the corpus.
        path: of the plans, one a line.
        rows: (style, split, plan's bars, annotated parts, how sections were found) of each plan.
        pieces: how many pieces gave a plan at least.
        dropped: (file, reason) of files that no reader accepts, then (piece and bars, reason), in order.
        refused: (piece, reason) of labels of form that do not fit; the piece's form was inferred.
        bars_left_out: of the pieces, outside every plan.
        remarks: which sets of a combined corpus are missing here.
    """

    data: str
    path: Path
    rows: tuple[tuple[str, str, int, frozenset[str], str], ...]
    pieces: int
    dropped: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]
    bars_left_out: int
    remarks: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """Plans written."""
        return len(self.rows)

    def annotated(self) -> dict[str, int]:
        """How many plans have each part annotated."""
        return {name: sum(name in row[3] for row in self.rows) for name in FIELDS}

    def sources(self) -> dict[str, int]:
        """How many plans' sections were found which way."""
        return dict(sorted(Counter(row[4] for row in self.rows).items()))

    def styles(self) -> dict[str, dict[str, int]]:
        """Plans and bars of each style, and how many plans have sections, phrases and dynamics annotated."""
        found = {}
        for style in sorted({row[0] for row in self.rows}):
            rows = [row for row in self.rows if row[0] == style]
            shown = {name: sum(name in row[3] for row in rows) for name in ("sections", "phrases", "dynamics")}
            found[style] = {"plans": len(rows), "bars": sum(row[2] for row in rows)} | shown
        return found

    def table(self) -> str:
        """The report for a person: figures by style, then all that was dropped or refused with its reason."""
        lines = [
            f"{self.data}: {self.kept} plans of {self.pieces} pieces, {len(self.dropped)} dropped, "
            f"{self.bars_left_out} bars outside every plan; {self.path}",
            *self.remarks,
            "sections by " + ", ".join(f"{name} {count}" for name, count in self.sources().items()),
            "",
            f"{'style':<24}{'plans':>7}{'bars':>9}   annotated: sections phrases dynamics",
        ]
        for style, row in self.styles().items():
            marks = f"{row['sections']:>19} {row['phrases']:>7} {row['dynamics']:>8}"
            lines.append(f"{style:<24}{row['plans']:>7}{row['bars']:>9}   {marks}")
        lines += ["", *(f"labels refused {name}: {reason}" for name, reason in self.refused)] if self.refused else []
        often = {reason: n for reason, n in Counter(r for _, r in self.dropped).items() if n > MANY}
        rare = [f"dropped {name}: {reason}" for name, reason in self.dropped if reason not in often]
        for reason, count in often.items():
            first = next(name for name, other in self.dropped if other == reason)
            rare.append(f"dropped {count}, such as {first}: {reason}")
        lines += ["", *rare] if rare else []
        return "\n".join(lines)

    def json_line(self) -> str:
        """The figures on one line of JSON."""
        figures = {
            "data": self.data,
            "plans": self.kept,
            "pieces": self.pieces,
            "bars": sum(row[2] for row in self.rows),
            "bars_left_out": self.bars_left_out,
            "dropped": len(self.dropped),
            "labels_refused": len(self.refused),
            "annotated": self.annotated(),
            "sections_by": self.sources(),
            "styles": self.styles(),
            "file": str(self.path),
        }
        return json.dumps(figures, ensure_ascii=False)


_Job = tuple[PieceEntry, Path, Path | None]


def _one(job: _Job) -> PieceResult:
    """A job of one piece; whatever goes wrong costs this piece only."""
    entry, scores, form = job
    try:
        score = ScoreCache(scores).load(entry.sha256, entry.reading)[entry.movement]
        return plans_of_piece(entry, score, form)
    except RitornelloError as error:
        return PieceResult((), (("", str(error)),), entry.bars, entry.bars)
    except Exception as error:  # a fault of the analysis is said, and ends no run of a thousand pieces
        return PieceResult((), (("", f"{type(error).__name__}: {error}"),), entry.bars, entry.bars)


def _results(jobs: Sequence[_Job], workers: int) -> Iterator[PieceResult]:
    """The results in order, by several processes where that pays; an interruption ends them at once.

    Raises:
        RequestError: a process was killed.
    """
    if workers == 1 or len(jobs) < 4:
        yield from map(_one, jobs)
        return
    try:
        with processes(workers) as pool:
            yield from pool.map(_one, jobs, chunksize=2)
    except BrokenProcessPool:
        raise RequestError(f"workers={workers}: a process was killed, for want of memory perhaps; take fewer") from None


def _jobs(entries: Sequence[PieceEntry], cache_dir: Path, forms: Path | None) -> list[_Job]:
    tables = find_tables(forms) if forms is not None else {}

    def form(entry: PieceEntry) -> Path | None:
        key = movement_key(Path(entry.path).stem) if entry.style == "beethoven_piano" else None
        return tables.get(key) if key is not None else None

    return [(entry, cache_dir / "scores", form(entry)) for entry in entries]


def _further(
    path: Path | None, cache_dir: Path, forms: Path | None, taken: frozenset[tuple[str, int]]
) -> tuple[list[MarkedPlan], list[tuple[str, str]], tuple[str, ...]]:
    """Plans beside those of scores, (id, reason) of what is left out, and remarks on sets that are not there.

    Args:
        forms: folder of Taking Form, or None.
        taken: movements whose tables went into plans of scores.
    """
    music21, romans = music21_corpus_dir(), roman_root(path, cache_dir)
    found = [tune_plans(music21), roman_plans(romans, music21)]
    found += [form_plans(forms, taken)] if forms is not None else []
    absent = [name for name, root in (("When-in-Rome", romans), ("Taking-Form", forms)) if root is None]
    remarks = tuple(f"without {name}, which is not in data.path" for name in absent)
    return [m for plans, _ in found for m in plans], [d for _, dropped in found for d in dropped], remarks


def prepare_plans(
    data: str,
    *,
    path: Path | None = None,
    cache_dir: Path,
    forms: Path | None = None,
    out: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> PlansReport:
    """Makes a plan of every piece of a corpus and writes them, one a line, into `plans.jsonl`.

    The corpus is prepared first. With `composer`, tunes of music21's corpus, and what `path` holds of When in Rome and
    Taking Form, make plans of their own, after those of the scores. A bad piece never ends the run: it is dropped with
    its reason. The same pieces give the same bytes, whatever the number of workers.

    Args:
        data, path, cache_dir: as for `music.corpus.prepare`.
        forms: folder or archive of Taking Form; None: looked for in `path`.
        out: folder for the file; None: `plans/DATA` in the cache.
        workers: processes; the machine's cores where None.

    Raises:
        RequestError: unknown set, missing folder, no file in it, or not a single plan.
        CacheError: the cache or the file cannot be written.
    """
    report = prepare(data, path=path, cache_dir=cache_dir, workers=workers, progress=progress)
    entries = report.manifest.entries
    tables = form_root(forms, path, cache_dir)
    jobs = _jobs(entries, cache_dir, tables)
    results = _results(jobs, workers or os.cpu_count() or 1)
    shown = tqdm(results, f"plans {data}", len(jobs), unit="piece", disable=not progress, file=sys.stderr)
    lines: list[str] = []
    rows: list[tuple[str, str, int, frozenset[str], str]] = []
    dropped: list[tuple[str, str]] = []  # after the files that `prepare` dropped
    refused: list[tuple[str, str]] = []
    remarks = report.remarks
    taken: set[tuple[str, int]] = set()
    pieces = left_out = 0

    def write(marked: MarkedPlan) -> None:
        lines.append(json.dumps(marked.to_json(), ensure_ascii=False) + "\n")
        plan, origin = marked.plan, marked.origin
        rows.append((plan.style, origin.split, plan.bars, marked.annotated, origin.source))

    for entry, result in zip(entries, shown, strict=True):
        for marked in result.plans:
            write(marked)
        key = movement_key(Path(entry.path).stem)
        if key is not None and any(marked.origin.source == "labels" for marked in result.plans):
            taken.add(key)
        dropped += [(f"{entry.id} {bars}".strip(), reason) for bars, reason in result.dropped]
        refused += [(entry.id, result.form)] if result.form else []
        pieces += bool(result.plans)
        left_out += result.left_out
    if data == "composer":
        more, without, absent = _further(path, cache_dir, tables, frozenset(taken))
        for marked in more:
            write(marked)
        pieces, dropped, remarks = pieces + len(more), dropped + without, (*remarks, *absent)
    if not lines:
        why = f"; {dropped[0][0]}: {dropped[0][1]}" if dropped else ""
        raise RequestError(f"data={data}: no piece of it makes a plan{why}")
    target = (out or cache_dir / "plans" / data) / PLANS_FILE
    write_atomically(target, "".join(lines).encode())
    return PlansReport(
        data, target, tuple(rows), pieces, (*report.dropped, *dropped), tuple(refused), left_out, remarks
    )
