"""What `benchmarks.pieces` measures of a piece, and the table of all columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.cadences import cadence_formulas, formula_entropy, planned_cadences
from evaluation.faults import FAULTS, faults
from evaluation.judge import Verdict, judge, judged_piece
from evaluation.originality import RunIndex
from evaluation.perturb import AlteredFigures, altered_figures
from evaluation.piece import WORDS, evaluate_piece, human_figures
from evaluation.sonorities import sonorities
from evaluation.voice_leading import Parallels, parallels, pooled_parallels
from music.analysis.chords import analyse_harmony
from music.cache import score_from_arrays
from music.errors import RequestError
from music.plan import Plan
from music.score import Score

if TYPE_CHECKING:
    from benchmarks.pieces_people import People


NONE = Parallels(0, 0, 0)


@dataclass(frozen=True)
class Row:
    """What was measured of one piece.

    Args:
        ensemble: of its plan or its manifest.
        bars: of its plan, 0 for people's.
        seconds: of composing.
        figures: of `evaluation.piece`.
        faults: of `evaluation.faults`.
        parallels: of all pairs of voices.
        cadences: planned ones: how many, found in their kind, found (PAC and IAC as one).
        formulas: of the cadences that are heard.
        altered: figures over the altered bars of returns.
    """

    ensemble: str
    bars: int = 0
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    faults: dict[str, bool] = field(default_factory=dict)
    parallels: Parallels = NONE
    cadences: tuple[int, int, int] = (0, 0, 0)
    formulas: tuple[tuple[int, int, int, int], ...] = ()
    altered: AlteredFigures | None = None


def measure(
    score: Score,
    plan: Plan | None,
    index: RunIndex,
    *,
    ensemble: str = "",
    seconds: float = 0.0,
    only_parallels: bool = False,
) -> Row:
    """Measures a piece; with a plan also against it.

    Args:
        score: the piece.
        plan: what it was composed from; None for people's.
        index: of the training pieces.
        ensemble: where there is no plan.
        seconds: that composing took.
        only_parallels: nothing else.
    """
    row = sonorities(score)
    name, bars = (plan.ensemble, plan.bars) if plan else (ensemble, 0)
    moves = parallels(row)
    if only_parallels:
        return Row(name, bars, seconds, parallels=moves)
    figures = evaluate_piece(score, plan, index)
    harmony = analyse_harmony(score)
    found = planned_cadences(score, plan, harmony) if plan else None
    return Row(
        name,
        bars,
        seconds,
        figures,
        faults(figures, score, row, plan),
        moves,
        (found.planned, found.exact, found.found) if found else (0, 0, 0),
        cadence_formulas(score, row, harmony),
        altered_figures(score, plan, harmony=harmony) if plan else None,
    )


@dataclass(frozen=True)
class Column:
    """The pieces of one way to compose.

    Args:
        rows: of the pieces of the table.
        exact: for each bar of a return asked for with variation 0, whether it differs from its model all the same.
        more: further chorales, measured for their parallels only.
    """

    rows: tuple[Row, ...]
    exact: tuple[float, ...] = ()
    more: tuple[Row, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain builtins."""
        return {name: [asdict(r) for r in getattr(self, name)] for name in ("rows", "more")} | {
            "exact": list(self.exact)
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Column:
        """Inverse of `to_json`. Raises KeyError, TypeError."""
        return cls(tuple(_row(r) for r in data["rows"]), tuple(data["exact"]), tuple(_row(r) for r in data["more"]))

    def write(self, path: Path) -> None:
        """Writes the column as JSON."""
        path.write_text(json.dumps(self.to_json()) + "\n", encoding="utf-8")

    def values(self, name: str) -> list[float]:
        """A figure of all pieces that have it."""
        return [r.figures[name] for r in self.rows if name in r.figures]


def _row(data: dict[str, Any]) -> Row:
    altered = data["altered"]
    return Row(
        **{
            **data,
            "parallels": Parallels(**data["parallels"]),
            "cadences": tuple(data["cadences"]),
            "formulas": tuple(tuple(f) for f in data["formulas"]),
            "altered": AlteredFigures(**altered) if altered else None,
        }
    )


Cell = Callable[[Column], str]
SPREAD = ("similarity_same", "similarity_different", "altered_bars", "longest_shared_run")
RANGED = ("density", "pitch_range", "polyphony")


def mean_cell(name: str) -> Cell:
    """The mean of a figure, with the 10th and 90th percentile for those of `SPREAD`."""

    def cell(column: Column) -> str:
        values = column.values(name)
        if not values:
            return ""
        low, middle, high = np.percentile(values, (10, 50, 90))
        if name == "longest_shared_run":
            return f"{middle:.0f}, {high:.0f}, {max(values):.0f}"
        return f"{np.mean(values):.3f}" + (f" ({low:.2f}–{high:.2f})" if name in SPREAD else "")

    return cell


def _altered(name: str) -> Cell:
    def cell(column: Column) -> str:
        found = [(getattr(r.altered, name), r.altered.bars) for r in column.rows if r.altered]
        kept = [(v, n) for v, n in found if v is not None]
        return f"{np.average([v for v, _ in kept], weights=[n for _, n in kept]):.3f}" if kept else ""

    return cell


def _cadences(place: int) -> Cell:
    def cell(column: Column) -> str:
        planned = sum(r.cadences[0] for r in column.rows)
        return f"{sum(r.cadences[place] for r in column.rows) / planned:.3f} of {planned}" if planned else ""

    return cell


def _parallels(name: str) -> Cell:
    def cell(column: Column) -> str:
        found = pooled_parallels(r.parallels for r in (*column.rows, *column.more) if r.ensemble == "satb")
        return f"{100 * getattr(found, name) / found.moves:.3f} % of {found.moves}" if found.moves else ""

    return cell


def _fault(name: str | None) -> Cell:
    def cell(column: Column) -> str:
        rows = [r.faults for r in column.rows if r.faults and (name is None or name in r.faults)]
        count = sum(any(r.values()) if name is None else r[name] for r in rows)
        return f"{count} of {len(rows)}" if rows else ""

    return cell


def within_people(people: Column, name: str) -> Cell:
    """Share of pieces whose figure lies between the 10th and 90th percentile of people's of the same ensemble."""

    def cell(column: Column) -> str:
        inside = total = 0
        for ensemble in {r.ensemble for r in column.rows}:
            known = [r.figures[name] for r in people.rows if r.ensemble == ensemble and name in r.figures]
            if len(known) >= 5:
                low, high = np.percentile(known, (10, 90))
                values = [r.figures[name] for r in column.rows if r.ensemble == ensemble and name in r.figures]
                inside, total = inside + sum(low <= v <= high for v in values), total + len(values)
        return f"{inside / total:.2f} of {total}" if total else ""

    return cell


def _exact(column: Column) -> str:
    return f"{np.mean(column.exact):.3f} of {len(column.exact)}" if column.exact else ""


def _entropy(column: Column) -> str:
    value = formula_entropy([f for r in column.rows for f in r.formulas])
    return "" if value is None else f"{value:.2f}"


def _time(column: Column) -> str:
    bars = sum(r.bars for r in column.rows)
    return f"{64 * sum(r.seconds for r in column.rows) / bars:.1f}" if bars else ""


def _verdict(found: Verdict | None) -> str:
    return f"{found.auc:.3f} ({found.low:.2f}–{found.high:.2f})" if found else ""


def cells(people: Column) -> list[tuple[str, Cell]]:
    """Title and cell of every line but the judge's, in the order of the table."""
    named = {name: (WORDS[name], mean_cell(name)) for name in WORDS}
    named |= {"cadences_found": (WORDS["cadences_found"], _cadences(2))}
    named |= {"cadences_exact": (WORDS["cadences_exact"], _cadences(1))}
    del named["parallel_fifths"], named["parallel_octaves"]
    lines = [("pieces", lambda c: str(len(c.rows))), *named.values()]
    after = 1 + list(named).index("altered_bars") + 1
    lines[after:after] = [
        ("… with variation 0", _exact),
        ("… dissonance in altered bars", _altered("dissonance")),
        ("… notes outside the planned chord there", _altered("off_chord")),
        ("… planned chord roots heard there", _altered("chords")),
    ]
    lines += [(f"parallel {name}, chorales only, pooled", _parallels(name)) for name in ("fifths", "octaves")]
    lines += [("entropy of cadence formulas, bits (60 cadences)", _entropy)]
    lines += [(f"{WORDS[name]}: share within people's 80 %", within_people(people, name)) for name in RANGED]
    lines += [(f"pieces with {text}", _fault(name)) for name, text in FAULTS.items()]
    lines += [("pieces with any fault", _fault(None)), ("seconds to compose 64 bars", _time)]
    return lines


def verdicts(out: Path, names: Iterable[str], people: People) -> dict[str, Verdict]:
    """The judge on each column whose scores lie in its folder; asked about the pieces of the table only."""
    found: dict[str, Verdict] = {}
    theirs = people.judged()
    for name in names:
        pieces = []
        for file in sorted((out / name).glob("all-*.npz")):
            if file.stem.endswith("-0"):
                continue
            with np.load(file, allow_pickle=False) as arrays:
                score = score_from_arrays({key: arrays[key] for key in arrays.files if key != "seconds"})
            plan = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
            pieces.append(judged_piece(score, plan["ensemble"], ours=True))
        if pieces:
            try:
                found[name] = judge([*pieces, *theirs])
            except RequestError:
                continue
    return found


def print_table(out: Path, people: People, show: Sequence[str] | None = None) -> None:
    """Prints all columns that `out` holds, people's last, then one JSON line."""
    held = {f.stem: f for f in sorted(out.glob("*.json")) if f.stem != "people"}
    names = [n for n in (show or held) if n in held]
    columns = {n: Column.from_json(json.loads(held[n].read_text(encoding="utf-8"))) for n in names}
    columns["people"] = people.column
    judged = verdicts(out, names, people)
    lines = [(title, [cell(c) for c in columns.values()]) for title, cell in cells(people.column)]
    lines += [("the judge's AUC", [_verdict(judged.get(n)) for n in columns])]
    width = max(len(title) for title, _ in lines)
    widths = [max(len(n), *(len(row[i]) for _, row in lines)) for i, n in enumerate(columns)]
    for title, row in [("", list(columns)), *lines]:
        if any(row):
            print(f"{title:<{width}}  " + "  ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True)))
    for name, found in judged.items():
        tells = ", ".join(f"{feature} {value:.2f}" for feature, value in found.tells)
        counts = f"{found.pieces[0]} pieces beside {found.pieces[1]}, {found.windows} windows of each"
        print(f"what the judge finds easy of {name} ({counts}): {tells}")
    print(f"the extractor beside people: {json.dumps(human_figures()['extractor'])}")
    table = {title: dict(zip(columns, row, strict=True)) for title, row in lines}
    print(json.dumps({"table": table}, ensure_ascii=False))
