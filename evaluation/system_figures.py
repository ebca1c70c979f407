"""Figures over all requests of `task=evaluate`, for each layer and its baseline, people's beside.

Everything is a mean or a share over requests, or pooled over them where it is rare; what nobody has is left out. The
figures hang on the requests alone, not on the order in which they were measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.cadences import formula_entropy
from evaluation.faults import FAULTS
from evaluation.judge import JudgedPiece, Verdict, judge
from evaluation.performance_habits import HABITS, MARGINS
from evaluation.performance_spread import SPREADS
from evaluation.piece import WORDS
from evaluation.plans import ALIKE
from evaluation.system import OURS, Row
from music.errors import RequestError

Figures = dict[str, float]
Table = dict[str, Figures]  # column -> measure -> value
PEOPLE = "people"
FEW = 5  # people's pieces that a range needs
# Measures against a plan stand before this one. People's are of pieces with repeats, ours of returns that are to vary:
# their means tell something beside each other, a range does not.
_FIRST_OF_SCORE = "scale_consistency"
OF_SCORE = tuple(WORDS)[list(WORDS).index(_FIRST_OF_SCORE) :]


def share(found: Iterable[Sequence[int]], place: int = 0, of: int = 1) -> float | None:
    """Pooled counts: all of one place over all of another; None of nothing."""
    rows = list(found)
    total = sum(row[of] for row in rows)
    return sum(row[place] for row in rows) / total if total else None


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is known; None of nothing."""
    known = [float(v) for v in values if v is not None and np.isfinite(v)]
    return float(np.mean(known)) if known else None


def known(figures: Mapping[str, float | None]) -> Figures:
    """Without what is not known."""
    return {name: float(value) for name, value in figures.items() if value is not None and np.isfinite(value)}


def names(rows: Sequence[Row], stage: str) -> list[str]:
    """The columns of a stage ("plans", "pieces", "performances"), the chain's own first."""
    found = dict.fromkeys(name for row in rows for name in getattr(row, stage))
    return sorted(found, key=lambda name: (name != OURS, name))


def of(rows: Sequence[Row], stage: str, name: str) -> list[dict[str, Any]]:
    """The figures of a column, of requests that it met."""
    found = [getattr(row, stage)[name] for row in rows if name in getattr(row, stage)]
    return [figures for figures in found if "refused" not in figures]


# Plans


def plan_table(rows: Sequence[Row], people: Mapping[str, Any]) -> Table:
    """Plans by planner; people's as analysis reads them, weighed as the ensembles of ours."""
    table = {name: _plan_column(rows, name) for name in names(rows, "plans")}
    weights = _ensembles(rows)
    sets = people["plans"]["sets"]

    def mixed(value: Callable[[Mapping[str, Any]], float | None]) -> float | None:
        found = [(value(sets[e]), w) for e, w in weights.items() if e in sets]
        return _weighted(found)

    table[PEOPLE] = known(
        {
            "cadences": mixed(lambda s: s["cadences_kept"]),
            "home": mixed(lambda s: s["at_home"]),
            "themes_alike": mixed(lambda s: s["themes"].get("alike")),
            "themes_similarity": mixed(lambda s: s["themes"].get("similarity")),
        }
    )
    return table


def _plan_column(rows: Sequence[Row], name: str) -> Figures:
    plans = of(rows, "plans", name)
    wishes = [count for plan in plans for count in plan["wishes"].values()]
    whole = [all(kept == asked for kept, asked in plan["wishes"].values()) for plan in plans]
    pairs = [value for plan in plans for value in plan["themes"]]
    return known(
        {
            "served": float(len(plans)),
            "refused": float(sum(name in row.plans for row in rows) - len(plans)),
            "wishes": share(wishes),
            "wishes_count": float(sum(asked for _, asked in wishes)),
            "whole": mean(map(float, whole)),
            "cadences": share(plan["cadences"] for plan in plans),
            "home": mean(float(plan["home"]) for plan in plans),
            "themes_alike": mean(float(value >= ALIKE) for value in pairs),
            "themes_similarity": mean(pairs),
            "returns": mean(plan["returns"] / plan["sections"] for plan in plans),
            "bars": mean(float(plan["bars"]) for plan in plans),
        }
    )


# Pieces


def piece_table(rows: Sequence[Row], people: Mapping[str, Any], judged: Sequence[JudgedPiece]) -> Table:
    """Pieces by composer; people's weighed as the ensembles of ours; the share of a composer's in people's range."""
    sets = people["pieces"]["sets"]
    table: Table = {}
    for name in names(rows, "pieces"):
        table[name] = _piece_column(rows, name) | _judge_column(rows, name, judged)
    table[PEOPLE] = _people_column(rows, sets)
    for name in names(rows, "pieces"):
        table[f"{name} within"] = _within(rows, name, sets)
    return table


def _piece_column(rows: Sequence[Row], name: str) -> Figures:
    pieces = of(rows, "pieces", name)
    choirs = [p for row in rows if row.ensemble == "satb" for p in of([row], "pieces", name)]
    figures: dict[str, float | None] = {"pieces": float(len(pieces))}
    figures |= {m: mean(piece["measures"].get(m) for piece in pieces) for m in WORDS}
    cadences = [piece["cadences"] for piece in pieces]
    moves = [piece["parallels"] for piece in choirs]
    figures |= {"cadences_found": share(cadences, 2, 0), "cadences_exact": share(cadences, 1, 0)}
    figures |= {"choir_fifths": _percent(share(moves, 1, 0)), "choir_octaves": _percent(share(moves, 2, 0))}
    figures["formula_entropy"] = formula_entropy([tuple(f) for piece in pieces for f in piece["formulas"]])
    for fault in FAULTS:
        figures[f"fault_{fault}"] = mean(float(p["faults"][fault]) for p in pieces if fault in p["faults"])
    figures["fault"] = mean(float(any(piece["faults"].values())) for piece in pieces)
    return known(figures)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _judge_column(rows: Sequence[Row], name: str, people: Sequence[JudgedPiece]) -> Figures:
    verdict = verdict_of(rows, name, people)
    found = {"judge": verdict.auc, "judge_low": verdict.low, "judge_high": verdict.high} if verdict else {}
    for ensemble in _ensembles(rows):
        one = verdict_of([row for row in rows if row.ensemble == ensemble], name, people)
        found |= {f"judge_{ensemble}": one.auc} if one else {}
    return found


def verdict_of(rows: Sequence[Row], name: str, people: Sequence[JudgedPiece]) -> Verdict | None:
    """The judge on a composer's pieces; None where there are too few."""
    ours = [row.judged[name] for row in rows if name in row.judged]
    try:
        return judge([*ours, *people]) if ours else None
    except RequestError:
        return None


def _people_column(rows: Sequence[Row], sets: Mapping[str, Any]) -> Figures:
    weights = {e: w for e, w in _ensembles(rows).items() if e in sets}
    figures: dict[str, float | None] = {"pieces": float(sum(sets[e]["pieces"] for e in weights))}
    for measure in WORDS:
        figures[measure] = _weighted([(_measure(sets[e], measure), w) for e, w in weights.items()])
    moves = sets.get("satb", {}).get("parallels")
    if moves and moves["moves"]:
        figures |= {f"choir_{n}": 100 * moves[n] / moves["moves"] for n in ("fifths", "octaves")}
    for fault in FAULTS:
        found = [(sets[e]["faults"].get(fault), w) for e, w in weights.items()]
        figures[f"fault_{fault}"] = _weighted([(n[0] / n[1] if n else None, w) for n, w in found])
    rates = [(1 - sets[e]["faultless"][0] / sets[e]["faultless"][1], w) for e, w in weights.items()]
    figures["fault"] = _weighted(rates)
    figures["formula_entropy"] = _weighted([(sets[e]["formula_entropy"], w) for e, w in weights.items()])
    return known(figures)


def _measure(found: Mapping[str, Any], measure: str) -> float | None:
    return found["measures"].get(measure, {}).get("mean")


def _ensembles(rows: Sequence[Row]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        if row.ensemble:
            counts[row.ensemble] = counts.get(row.ensemble, 0) + 1
    return dict(sorted(counts.items()))


def _weighted(found: Iterable[tuple[float | None, int]]) -> float | None:
    rows = [(value, weight) for value, weight in found if value is not None]
    total = sum(weight for _, weight in rows)
    return sum(value * weight for value, weight in rows) / total if total else None


def _within(rows: Sequence[Row], name: str, sets: Mapping[str, Any]) -> Figures:
    """Share of pieces whose figure lies from people's 10th to their 90th percentile, by measure."""
    found: dict[str, float | None] = {}
    for measure in OF_SCORE:
        inside: list[float] = []
        for row in rows:
            span = sets.get(row.ensemble, {}).get("measures", {}).get(measure)
            for piece in of([row], "pieces", name):
                value = piece["measures"].get(measure)
                if span is not None and span["pieces"] >= FEW and value is not None:
                    inside.append(float(span["p10"] <= value <= span["p90"]))
        found[measure] = mean(inside)
    return known(found)


def farthest(rows: Sequence[Row], people: Mapping[str, Any], *, count: int = 12) -> list[dict[str, Any]]:
    """Where the chain's pieces lie farthest from people's of the same ensemble, the farthest first.

    The distance is that of the means over the width of people's middle 80 %, in standard deviations if they
    were normal; signed as ours less people's. Measures that people do not vary in, and those against a plan, are left
    out.
    """
    found = []
    for ensemble in _ensembles(rows):
        pieces = [p for row in rows if row.ensemble == ensemble for p in of([row], "pieces", OURS)]
        measures = people["pieces"]["sets"].get(ensemble, {}).get("measures", {})
        for name, span in ((name, measures[name]) for name in OF_SCORE if name in measures):
            value = mean(piece["measures"].get(name) for piece in pieces)
            width = (span["p90"] - span["p10"]) / 2.563
            if value is not None and width > 0 and span["pieces"] >= FEW:
                distance = (value - span["mean"]) / width
                row = {"ensemble": ensemble, "measure": name, "ours": value, "people": span["mean"]}
                found.append(row | {"distance": distance})
    return sorted(found, key=lambda row: (-abs(row["distance"]), row["ensemble"], row["measure"]))[:count]


# Performances


def performance_table(rows: Sequence[Row], pianists: Mapping[str, Any]) -> Table:
    """Performances by performer, of the chain's own scores; pianists' of held-out compositions beside."""
    bands = pianists["band"]
    table = {name: _performance_column(rows, name, bands) for name in names(rows, "performances")}
    theirs: dict[str, float | None] = {f"spread_{name}": pianists["spread"][name] for name in SPREADS}
    theirs["level"] = pianists["level"]
    theirs |= {f"habit_{name}": pianists["habits"][name] for name in HABITS}
    theirs |= {f"lag_{name}": value for name, value in pianists["lag_one"].items()}
    theirs |= {f"two_{name}": value for name, value in pianists["differences"].items()}
    theirs |= {f"within_{name}": 0.8 for name in SPREADS} | {"within": pianists["all_within"]}
    table["pianists"] = known(theirs | {"performances": float(pianists["performances"])})
    return table


def _performance_column(rows: Sequence[Row], name: str, bands: Mapping[str, Sequence[float]]) -> Figures:
    played = of(rows, "performances", name)
    figures: dict[str, float | None] = {"performances": float(len(played))}
    figures["faultless"] = mean(float(not any(p["faults"].values())) for p in played)
    figures["level"] = mean(p["level"] for p in played)
    for spread in SPREADS:
        values = [p["spread"][spread] for p in played if np.isfinite(p["spread"][spread])]
        low, high = bands[spread]
        figures[f"spread_{spread}"] = mean(values)
        figures[f"within_{spread}"] = mean(float(low <= v <= high) for v in values)
    figures["within"] = mean(float(_all_within(p["spread"], bands)) for p in played)
    for habit in HABITS:
        values = [p["habits"][habit] for p in played if np.isfinite(p["habits"][habit])]
        figures[f"habit_{habit}"] = mean(float(v > MARGINS[habit]) for v in values)
    for prefix, part in (("lag", "lag_one"), ("two", "differences")):
        for measure in played[0][part] if played else ():
            figures[f"{prefix}_{measure}"] = mean(p[part][measure] for p in played)
    return known(figures)


def _all_within(spread: Mapping[str, float], bands: Mapping[str, Sequence[float]]) -> bool:
    return not any(spread[n] < bands[n][0] or spread[n] > bands[n][1] for n in SPREADS)


def all_figures(
    rows: Sequence[Row], people: Mapping[str, Any], judged: Sequence[JudgedPiece], pianists: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything: tables by stage, what the judge finds easy, and where the pieces lie farthest from people's.

    Args:
        rows: of all requests, in any order.
        people, judged, pianists: of `evaluation.reference`.
    """
    rows = sorted(rows, key=lambda row: row.name)
    verdict = verdict_of(rows, OURS, judged)
    return {
        "plan": plan_table(rows, people),
        "piece": piece_table(rows, people, judged),
        "performance": performance_table(rows, pianists),
        "tells": [list(tell) for tell in verdict.tells] if verdict else [],
        "farthest": farthest(rows, people),
    }
