"""task=evaluate_performer: performers beside pianists on held-out compositions of (n)ASAP.

Per performer: Pearson's r within a piece with each pianist (for one sample and for the mean of several), averaged over
pieces within a composer, then over composers; skill, which is 0 at the baseline and 1 at another pianist; the mean of
many pianists as the target in classical and early romantic pieces; spreads, differences of samples, habits, faults and
speed. The baselines are the metronome, the rules, and a linear regression of velocity (`performer.linear`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.performance_habits import HABITS
from evaluation.performance_spread import SPREADS
from evaluation.performances import COLUMNS
from music.errors import RequestError
from music.performance import Performance
from music.plan import Plan
from music.score import Score
from performer.evaluate_figures import SKILLS, measure
from performer.evaluate_pieces import chosen, pieces_of
from performer.interface import Performer
from performer.linear import LinearPerformer
from performer.rules import RulePerformer

BASELINES = ("flat", "rules", "linear")


@dataclass(frozen=True)
class Told:
    """A learned performer that is told each piece's style, as a user may tell it.

    Args:
        performer: a `performer.sampling.LearnedPerformer`; named as any, since its module loads torch.
    """

    performer: Any

    def in_style(self, style: str) -> Told:
        """The same for a style tag; of one that the weights do not know, no more than the composer's time is told."""
        other = copy(self.performer)
        other.style = style
        return Told(other)

    def perform(self, score: Score, *, seed: int, plan: Plan | None = None) -> Performance:
        """As the performer does."""
        return self.performer.perform(score, seed=seed, plan=plan)

    def performances(self, score: Score, *, seeds: Sequence[int], plan: Plan | None = None) -> list[Performance]:
        """As the performer does."""
        return self.performer.performances(score, seeds=seeds, plan=plan)


def make_performers(
    names: Sequence[str], *, weights: Path | None, expression: float = 1.0, told_style: bool = True
) -> dict[str, Performer]:
    """Performers by name: the baselines always, then those asked for.

    Args:
        names: "flat", "rules", "linear", "learned", or a .safetensors file, which goes by its own name.
        weights: of "learned"; None for those that ship.
        expression: of the learned ones.
        told_style: whether these are told each piece's style.

    Raises:
        RequestError: a name that is none of these.
        WeightsError: the weights cannot be used.
    """
    found: dict[str, Performer] = {
        "flat": RulePerformer(expression=0.0),
        "rules": RulePerformer(),
        "linear": LinearPerformer(),
    }
    for name in names:
        if name in found:
            continue
        is_file = name.endswith(".safetensors")
        if name != "learned" and not is_file:
            raise RequestError(f"performer {name!r} is none of {', '.join(BASELINES)}, learned and a .safetensors file")
        from performer.sampling import LearnedPerformer

        source = Path(name) if is_file else weights
        learned = LearnedPerformer(weights=source, expression=expression)
        found[Path(name).stem if is_file else name] = Told(learned) if told_style else learned
    return found


def evaluate(cfg: dict[str, Any]) -> str:
    """Runs the task.

    Args:
        cfg: plain values: `data` (name), `cache_dir`, `seed`, `out` (a file for the figures; None for none),
            `performer_weights` (None for those that ship), `expression`, and `task` with `split`, `performers` (see
            `make_performers`), `compositions` (names, or how many; None for all), `samples`, `told_style`, `draws`,
            `progress`.

    Returns:
        Tables, then everything as one line of JSON.

    Raises:
        RequestError: no such performer, or no composition that two pianists play.
        WeightsError: the weights cannot be used.
    """
    from music.performance_corpus import load_performances

    task, started = cfg["task"], time.perf_counter()
    weights = Path(cfg["performer_weights"]) if cfg.get("performer_weights") else None
    options = {"expression": float(cfg.get("expression", 1.0)), "told_style": bool(task.get("told_style", True))}
    performers = make_performers(task["performers"], weights=weights, **options)
    loaded = load_performances(cfg["data"]["name"], task["split"], cache_dir=Path(cfg["cache_dir"]))
    pieces = pieces_of(chosen(loaded, task.get("compositions")))
    if not any(piece.pairs for piece in pieces):
        raise RequestError(f"{cfg['data']['name']} has no piece of the {task['split']} split that two pianists play")
    figures = measure(
        pieces,
        performers,
        samples=int(task["samples"]),
        seed=int(cfg["seed"]),
        draws=int(task["draws"]),
        progress=bool(task.get("progress", True)),
    )
    figures |= {
        "data": cfg["data"]["name"],
        "split": task["split"],
        "seconds": round(time.perf_counter() - started, 1),
    }
    line = json.dumps(rounded(figures), ensure_ascii=False)
    if cfg.get("out"):
        from music.cache import write_atomically

        write_atomically(Path(cfg["out"]), (line + "\n").encode())
    return "\n".join([*table(figures), line])


def rounded(value: Any) -> Any:
    """Figures with four places; what is not known is null."""
    if isinstance(value, Mapping):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    if isinstance(value, float):
        return round(value, 4) if np.isfinite(value) else None
    return value


def table(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures of `measure` as lines of text."""
    human, rows = figures["human"], figures["performers"]
    yield (
        f"{human['compositions']} compositions, {human['performances']} performances by pianists, {human['pairs']} "
        f"pairs of them; {figures['samples']} samples"
    )
    yield from _rows("r, one sample", COLUMNS, {n: r["one"] for n, r in rows.items()} | {"pianists": human["r"]})
    yield from _rows("r, mean of samples", COLUMNS, {n: r["mean"] for n, r in rows.items()} | {"pianists": human["r"]})
    yield ""
    yield from (f"skill  {name:<12} {_skill(row['skill'])}" for name, row in rows.items())
    yield from _many(human, rows)
    low_high = {name: f"{low:.3g}..{high:.3g}" for name, (low, high) in human["band"].items()}
    yield ""
    yield "middle 80 % of pianists: " + ", ".join(f"{name} {text}" for name, text in low_high.items())
    yield from _rows("share of samples within", SPREADS, {n: r["spread"]["share_within"] for n, r in rows.items()})
    yield from _rows(
        "spread over the pianists' of the piece", SPREADS, {n: r["spread"]["ratio"] for n, r in rows.items()}
    )
    differing = {n: r["two_samples"] for n, r in rows.items() if r["two_samples"]}
    names = ("velocity", "log_beat_period", "timing", "articulation")
    yield from _rows("two samples' difference over two pianists'", names, differing)
    lags = {n: r["lag_one"] for n, r in rows.items()} | {"pianists": human["lag_one"]}
    yield from _rows("lag-1 correlation", ("timing", "log_beat_period"), lags)
    shares = {n: r["habits"] for n, r in rows.items()} | {"pianists": human["habits"]}
    yield from _rows("share of performances in which", HABITS, shares)
    yield ""
    for name, row in rows.items():
        speed = row["speed"]
        spent = f"{speed['seconds']:.2f} s for {speed['lasts']:.0f} s of {speed['piece']}, {speed['notes']} notes"
        yield f"without fault  {name:<12} {row['faultless']}; {spent}"


def _rows(title: str, names: Sequence[str], values: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    yield ""
    yield f"{title:<44}" + "".join(f"{name:>17}" for name in names)
    for who, row in values.items():
        yield f"  {who:<42}" + "".join(f"{row[name]:>17.3f}" for name in names)


def _skill(row: Mapping[str, Any]) -> str:
    cells = [(name, row[name]) for name in SKILLS]
    return "   ".join(f"{n} {c['skill']:.2f} ({c['low']:.2f}..{c['high']:.2f}, over {c['floor']})" for n, c in cells)


def _many(human: Mapping[str, Any], rows: Mapping[str, Any]) -> Iterator[str]:
    """r with the mean of many pianists: a line for each piece and one for their mean."""
    pieces = human["mean_of_many"]
    if not pieces:
        return
    sides = {"pianists": pieces}
    sides |= {f"{n}, {kind}": _kind(r["mean_of_many"], kind) for n, r in rows.items() for kind in ("one", "mean")}
    for column in SKILLS:
        yield ""
        yield f"with the mean of many pianists: {column}"
        for who, by_piece in sides.items():
            cells = [by_piece[piece][column] for piece in pieces]
            yield f"  {who:<22} {np.mean(cells):.3f}   " + " ".join(f"{cell:.2f}" for cell in cells)
    yield "  pieces: " + ", ".join(pieces)


def _kind(by_piece: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {piece: row[kind] for piece, row in by_piece.items()}
