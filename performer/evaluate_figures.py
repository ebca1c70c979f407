"""Figures of performers beside pianists, over pieces: see `performer.evaluate`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Protocol, runtime_checkable

import numpy as np
from tqdm import tqdm

from evaluation.performance_faults import performance_faults
from evaluation.performance_habits import HABITS, MARGINS, habits
from evaluation.performance_spread import SPREADS, band, differences, lag_one, share_within, spreads
from evaluation.performances import (
    Played,
    balanced,
    correlations,
    mean_of,
    mean_played,
    skill,
    skill_interval,
)
from music.performance import Performance
from music.plan import Plan
from music.score import Score
from performer.evaluate_pieces import Piece, columns
from performer.interface import Performer

MANY = 5  # pianists, whose mean is a target of its own
CLASSICAL = ("haydn", "mozart", "beethoven", "schubert", "chopin", "schumann", "mendelssohn")  # and early romantic
SKILLS = ("velocity", "log_beat_period")
THREE_MINUTES = 180.0
Rows = dict[str, float]
ByPiece = dict[str, list[Rows]]


@dataclass(frozen=True, eq=False)
class Samples:
    """What a performer made of a piece: columns of each sample and the counts of its faults."""

    played: tuple[Played, ...]
    faults: tuple[dict[str, int], ...]


@runtime_checkable
class Stylist(Performer, Protocol):
    """A performer that can be told whose music it plays, and plays several samples at once."""

    def in_style(self, style: str) -> Stylist:
        """The same performer for a style tag; one that it does not know changes nothing."""
        ...

    def performances(self, score: Score, *, seeds: Sequence[int], plan: Plan | None = None) -> list[Performance]:
        """What `perform` plays for each seed."""
        ...


def play(performer: Performer, piece: Piece, *, samples: int, seed: int) -> Samples:
    """So many samples of a piece with seeds from `seed` on; one alone where the second is the same as the first."""
    if isinstance(performer, Stylist):
        return _samples(
            piece, performer.in_style(piece.style).performances(piece.score, seeds=range(seed, seed + samples))
        )
    performances = []
    for number in range(samples):
        performances.append(performer.perform(piece.score, seed=seed + number))
        if number == 1 and performances[0] == performances[1]:
            performances.pop()
            break
    return _samples(piece, performances)


def _samples(piece: Piece, performances: Sequence[Performance]) -> Samples:
    return Samples(
        tuple(columns(piece.score, p, piece.layout) for p in performances),
        tuple(performance_faults(piece.score, p) for p in performances),
    )


def by_composition(pieces: Sequence[Piece], rows: Callable[[int, Piece], list[Rows]]) -> dict[str, Rows]:
    """The mean row of each composition, over all rows of all of its pieces; `rows` gets a piece's index too."""
    found: ByPiece = {}
    for i, piece in enumerate(pieces):
        found.setdefault(piece.composition, []).extend(rows(i, piece))
    return {name: mean_of(many) for name, many in found.items() if many}


def composers(pieces: Sequence[Piece]) -> dict[str, str]:
    """The composer of each composition."""
    return {p.composition: p.composer for p in pieces}


def balance(table: Mapping[str, Rows], composer: Mapping[str, str]) -> Rows:
    """Each figure's mean over compositions within a composer, then over composers."""
    names = list(next(iter(table.values()), {}))
    return {
        name: balanced({c: row[name] for c, row in table.items() if np.isfinite(row[name])}, composer) for name in names
    }


def human_pairs(piece: Piece) -> list[Rows]:
    """r of each pianist with each other one."""
    return [correlations(a, b) for a, b in piece.pairs]


def against_pianists(ours: Sequence[Played], piece: Piece) -> list[Rows]:
    """r of each of our performances with each pianist's."""
    return [correlations(mine, theirs) for mine in ours for theirs in piece.played]


def human_figures(pieces: Sequence[Piece]) -> dict[str, Any]:
    """Pianists among themselves; pieces with one pianist add to spreads and habits alone."""
    pairs = by_composition(pieces, lambda _, p: human_pairs(p))
    spread = [spreads(p.layout, one) for p in pieces for one in p.played]
    limits = {name: list(band([row[name] for row in spread])) for name in SPREADS}
    return {
        "r": balance(pairs, composers(pieces)),
        "r_by_composition": pairs,
        "pairs": sum(len(p.pairs) for p in pieces),
        "groups": sum(bool(p.pairs) for p in pieces),
        "compositions": len(pairs),
        "performances": len(spread),
        "band": limits,
        "all_within": share_all(pieces, [p.played for p in pieces], limits),
        "spread": mean_of(spread),
        "lag_one": mean_of(by_composition(pieces, lambda _, p: [lag_one(p.layout, one) for one in p.played]).values()),
        "habits": habit_shares(pieces, [p.played for p in pieces]),
        "mean_of_many": {piece.composition: mean_of(rows) for piece, rows in _many_humans(pieces)},
    }


def many(piece: Piece) -> bool:
    """Whether the mean of this piece's pianists is a target of its own."""
    return len(set(piece.pianists)) >= MANY and piece.composer.lower() in CLASSICAL


def _many_humans(pieces: Sequence[Piece]) -> list[tuple[Piece, list[Rows]]]:
    found = []
    for piece in filter(many, pieces):
        rows = [correlations(one, mean_played(piece.others(i))) for i, one in enumerate(piece.played)]
        found.append((piece, rows))
    return found


def habit_shares(pieces: Sequence[Piece], performances: Sequence[Sequence[Played]]) -> Rows:
    """Share of performances that have each habit, the mean over compositions."""

    def rows(i: int, piece: Piece) -> list[Rows]:
        found = [habits(piece.layout, one) for one in performances[i]]
        return [{n: float(row[n] > MARGINS[n]) if np.isfinite(row[n]) else np.nan for n in HABITS} for row in found]

    return mean_of(by_composition(pieces, rows).values())


def spread_figures(pieces: Sequence[Piece], made: Sequence[Samples], limits: Mapping[str, Any]) -> dict[str, Any]:
    """Spreads of samples: share within the pianists' band (mean over compositions), the mean, and the ratio to the
    piece's own pianists (geometric mean over compositions).
    """

    def inside(i: int, piece: Piece) -> list[Rows]:
        rows = [spreads(piece.layout, one) for one in made[i].played]
        return [{n: share_within([row[n]], tuple(limits[n])) for n in SPREADS} for row in rows]

    def ratio(i: int, piece: Piece) -> list[Rows]:
        ours = mean_of([spreads(piece.layout, one) for one in made[i].played])
        theirs = mean_of([spreads(piece.layout, one) for one in piece.played])
        return [{n: _log_ratio(ours[n], theirs[n]) for n in SPREADS}]

    ratios = mean_of(by_composition(pieces, ratio).values())
    return {
        "share_within": mean_of(by_composition(pieces, inside).values()),
        "ratio": {name: 2.0**value for name, value in ratios.items()},
        "mean": mean_of(spreads(p.layout, one) for p, m in zip(pieces, made, strict=True) for one in m.played),
        "all_within": share_all(pieces, [m.played for m in made], limits),
    }


def share_all(
    pieces: Sequence[Piece], performances: Sequence[Sequence[Played]], limits: Mapping[str, Sequence[float]]
) -> float:
    """Share of performances of which every spread that is known lies within the band, the mean over compositions."""

    def rows(i: int, piece: Piece) -> list[Rows]:
        found = [spreads(piece.layout, one) for one in performances[i]]
        return [{"all": float(not any(r[n] < limits[n][0] or r[n] > limits[n][1] for n in SPREADS))} for r in found]

    return mean_of(by_composition(pieces, rows).values())["all"]


def _log_ratio(ours: float, theirs: float) -> float:
    return float(np.log2(ours / theirs)) if ours > 0 and theirs > 0 else float("nan")


def difference_ratios(pieces: Sequence[Piece], made: Sequence[Samples]) -> Rows:
    """How far two samples lie apart over how far two pianists do: geometric mean over compositions; 0 if never."""

    def rows(i: int, piece: Piece) -> list[Rows]:
        ours = [differences(a, b) for a, b in combinations(made[i].played, 2)]
        theirs = [differences(a, b) for a, b in piece.pairs]
        if not ours or not theirs:
            return []
        mine, their = mean_of(ours), mean_of(theirs)
        return [{name: _log_ratio(mine[name], their[name]) for name in mine}]

    found = mean_of(by_composition(pieces, rows).values())
    return {name: 2.0**value if np.isfinite(value) else 0.0 for name, value in found.items()}


def performer_figures(pieces: Sequence[Piece], made: Sequence[Samples], human: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is measured of one performer but its skill and speed."""
    composer = composers(pieces)
    means = [mean_played(m.played) for m in made]
    one = by_composition(pieces, lambda i, p: against_pianists(made[i].played, p))
    averaged = by_composition(pieces, lambda i, p: against_pianists([means[i]], p))
    crowd = {
        p.composition: {
            "one": mean_of(correlations(mine, target) for mine in made[i].played),
            "mean": correlations(means[i], target),
        }
        for i, p in enumerate(pieces)
        if many(p)
        for target in [mean_played(p.played)]
    }
    shares = habit_shares(pieces, [m.played for m in made])
    rows = [row for m in made for row in m.faults]
    return {
        "one": balance(one, composer),
        "mean": balance(averaged, composer),
        "mean_by_composition": averaged,
        "mean_of_many": crowd,
        "spread": spread_figures(pieces, made, human["band"]),
        "two_samples": difference_ratios(pieces, made),
        "lag_one": mean_of(
            by_composition(pieces, lambda i, p: [lag_one(p.layout, q) for q in made[i].played]).values()
        ),
        "habits": shares,
        "habit_points": {name: 100 * (shares[name] - human["habits"][name]) for name in HABITS},
        "faultless": f"{sum(not any(row.values()) for row in rows)} of {len(rows)}",
        "faults": {name: int(sum(row[name] for row in rows)) for name in (rows[0] if rows else {})},
    }


def skills(
    figures: Mapping[str, Any], human: Mapping[str, Any], composer: Mapping[str, str], *, seed: int, draws: int
) -> dict[str, Any]:
    """Skill of each performer in velocity and log beat period, mean of samples, with its 95 % interval."""
    floors = {"velocity": ("linear",), "log_beat_period": ("rules", "flat")}
    theirs = human["r_by_composition"]
    found: dict[str, Any] = {}
    for name, row in figures.items():
        found[name] = {}
        for column in SKILLS:
            floor = max(floors[column], key=lambda f: figures[f]["mean"][column])
            tables = [
                {c: r[column] for c, r in figures[f]["mean_by_composition"].items() if c in theirs}
                for f in floors[column]
            ]
            ours = {c: r[column] for c, r in row["mean_by_composition"].items() if c in theirs}
            people = {c: r[column] for c, r in theirs.items()}
            low, high = skill_interval(ours, tables, people, composer, seed=seed, draws=draws)
            value = skill(row["mean"][column], figures[floor]["mean"][column], human["r"][column])
            found[name][column] = {"skill": value, "low": low, "high": high, "floor": floor}
    return found


def speed(performer: Performer, pieces: Sequence[Piece], *, seed: int) -> dict[str, Any]:
    """Seconds of processor time (of all threads) for the piece that is nearest to three minutes, once warm."""
    piece = min(pieces, key=lambda p: (abs(float(np.mean(p.seconds)) - THREE_MINUTES), p.composition, p.edition))
    performer.perform(piece.score, seed=seed)
    started = time.process_time()
    performer.perform(piece.score, seed=seed + 1)
    spent = time.process_time() - started
    length = float(np.mean(piece.seconds))
    return {"seconds": spent, "piece": piece.composition, "notes": len(piece.score.notes), "lasts": length}


def measure(
    pieces: Sequence[Piece],
    performers: Mapping[str, Performer],
    *,
    samples: int = 8,
    seed: int = 0,
    draws: int = 1000,
    progress: bool = True,
) -> dict[str, Any]:
    """Figures of performers, which include "flat", "rules" and "linear", beside pianists.

    Args:
        pieces: that pianists play; performers play those of two pianists or more.
        performers: by name.
        samples: of each piece; one where a performer plays the same each time.
        seed: of the first.
        draws: of the bootstrap.
        progress: whether a bar is shown.

    Raises:
        ValueError: no piece has two pianists, or a baseline is missing.
    """
    shared = [p for p in pieces if p.pairs]
    missing = {"flat", "rules", "linear"} - performers.keys()
    if not shared or missing:
        raise ValueError(f"no piece has two pianists, or baselines are missing: {sorted(missing)}")
    human = human_figures(pieces)
    figures: dict[str, Any] = {}
    for name, performer in performers.items():
        made = [play(performer, p, samples=samples, seed=seed) for p in tqdm(shared, name, disable=not progress)]
        figures[name] = performer_figures(shared, made, human)
        figures[name]["speed"] = speed(performer, shared, seed=seed)
    found = skills(figures, human, composers(shared), seed=seed, draws=draws)
    for name, row in found.items():
        figures[name]["skill"] = row
    return {"human": human, "performers": figures, "samples": samples}
