"""Composed pieces by every measure of `evaluation/`, the baselines' and people's beside: the table of the composer.

    python -m benchmarks.pieces --out runs/pieces
    python -m benchmarks.pieces --out runs/pieces --columns biaxial --set guidance=2 --name guided
    python -m benchmarks.pieces --out runs/pieces --columns                  only the table of what is there

Forty pieces of five forms in three ways of writing, whose returns are asked to vary by 0.3; ten of them once more with
variation 0. Each column is a way to compose, kept in a folder of its own (scores and plans) and measured anew at each
run; what was composed with the same settings is not composed again, so columns can be run one by one. The same seeds
give the same plans to all columns. The judge is trained in this run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.pieces_people import People, load_people
from benchmarks.pieces_table import Column, Row, measure, print_table
from evaluation.perturb import altered_figures, copy_and_perturb, returned_bars
from music.cache import default_cache_dir, score_from_arrays, score_to_arrays
from music.errors import RequestError
from music.plan import Plan
from music.plan_json import read_plan, write_plan
from music.score import Score
from planner.grammar import GrammarPlanner
from planner.interface import Planner
from planner.plan_file import vary
from planner.request import parse_request
from planner.sampling import LearnedPlanner

ROOT = Path(__file__).resolve().parent.parent
# Forms with bars that give a return its model's length, and ways of writing, in turn: five and three have no common
# divisor, so that fifteen pieces meet every pair.
FORMS = (("ternary", 24), ("rondo", 20), ("binary", 16), ("rounded_binary", 24), ("AABA", 16))
STYLES = (("bach_chorale", "satb"), ("mozart_quartet", "quartet"), ("beethoven_piano", "piano"))

# What each column is: the settings of sampling that differ from the defaults. "markov" is the composer without weights.
COLUMNS: dict[str, dict[str, Any]] = {
    "biaxial": {},
    "free_themes": {"fix_themes": False},
    "free_cadences": {"fix_cadences": False},
    "plain": {"told": "nothing"},
    "markov": {},
}
EXACT = 10  # pieces that are composed once more with variation 0
CHORALE_MOVES = 50_000


@dataclass(frozen=True)
class Request:
    """One piece to compose: the place of its form and style, its variation, its seed and its planner."""

    seed: int
    variation: float
    style: str | None = None
    planner: str = "learned"

    @property
    def name(self) -> str:
        """Its files' name."""
        return f"{self.seed:03d}-{self.variation:g}"

    def plan(self) -> Plan:
        """Its plan: the returns are asked for with `variation`."""
        styles = [s for s in STYLES if self.style in (None, s[0])]
        style, ensemble = styles[self.seed % len(styles)]
        form, bars = FORMS[self.seed % len(FORMS)]
        request = parse_request(form=form, style=style, ensemble=ensemble, bars=bars)
        return vary(planner_of(self.planner).plan(request, seed=self.seed), self.variation)


@cache
def planner_of(name: str) -> Planner:
    """The planner of that name: "learned" or "grammar"."""
    return LearnedPlanner() if name == "learned" else GrammarPlanner()


def make_composer(kind: str, settings: Mapping[str, Any], weights: str | None, cache_dir: Path) -> Any:
    """The composer of a column.

    Raises:
        RequestError: a setting that sampling does not have.
    """
    if kind == "markov":
        from composer.markov import MarkovComposer

        return MarkovComposer(cache_dir=cache_dir)
    from composer.sampling import BiaxialComposer, SamplingConfig

    known = {f.name for f in fields(SamplingConfig)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise RequestError(f"sampling has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return BiaxialComposer(weights, config=SamplingConfig(**settings))


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """`name=value` as the command line gives them; values are JSON (2, 0.5, true) or plain text."""
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise RequestError(f"--set {text} is not of the form name=value")
        try:
            found[name] = json.loads(value.lower() if value.lower() in ("true", "false") else value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def fingerprint(kind: str, settings: Mapping[str, Any], weights: str | None, planner: str) -> dict[str, Any]:
    """What a column was composed with; a column composed otherwise is composed anew."""
    from composer.sampling import SHIPPED

    sha = "" if kind == "markov" else hashlib.sha256(Path(weights or SHIPPED).read_bytes()).hexdigest()
    return {"kind": kind, "settings": dict(settings), "weights": sha, "planner": planner, "code": code_sha256()}


@cache
def code_sha256() -> str:
    """Hash of the code that plans and composes."""
    files = sorted(file for room in ("composer", "planner", "music") for file in (ROOT / room).rglob("*.py"))
    files += sorted((ROOT / "planner" / "weights").glob("*.safetensors"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class Store:
    """A column's folder: scores and plans by request, and what they were composed with."""

    def __init__(self, folder: Path, origin: Mapping[str, Any], *, again: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        about = folder / "column.json"
        if again or not about.exists() or json.loads(about.read_text(encoding="utf-8")) != origin:
            for old in folder.glob("*-*.*"):
                old.unlink()
            about.write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")

    def piece(self, request: Request, composer: Any) -> tuple[Plan, Score, float]:
        """Plan, score and seconds of composing; composed now if it is not there."""
        name = f"{request.style or 'all'}-{request.name}"
        plan_file, score_file = self.folder / f"{name}.json", self.folder / f"{name}.npz"
        if not score_file.exists():
            plan = request.plan()
            start = time.perf_counter()
            score = composer.compose(plan, seed=request.seed)
            taken = time.perf_counter() - start
            write_plan(plan, plan_file)
            np.savez_compressed(score_file, **score_to_arrays(score), seconds=np.array(taken))  # pyright: ignore
        with np.load(score_file, allow_pickle=False) as arrays:
            held = {key: arrays[key] for key in arrays.files}
        seconds = float(held.pop("seconds"))
        return read_plan(plan_file), score_from_arrays(held), seconds


def compose_column(
    name: str,
    composer: Any,
    store: Store,
    people: People,
    count: int,
    *,
    chorales: bool,
    variation: float,
    planner: str,
) -> Column:
    """Composes (or reads) and measures a column's pieces.

    Args:
        name: what the progress bar says.
        composer: of the column.
        store: its folder.
        people: held the index of training pieces.
        count: pieces of the table; a quarter of them once more with variation 0.
        chorales: go on with chorales alone until their parallels are counted over `CHORALE_MOVES` moves.
        variation: asked of the returns.
        planner: of all plans.
    """
    rows: list[Row] = []
    for seed in tqdm(range(count), name, file=sys.stderr):
        plan, score, seconds = store.piece(Request(seed, variation, planner=planner), composer)
        rows.append(measure(score, plan, people.index, seconds=seconds))
    exact: list[float] = []
    for seed in tqdm(range(min(EXACT, count)), f"{name}, variation 0", file=sys.stderr):
        plan, score, _ = store.piece(Request(seed, 0.0, planner=planner), composer)
        exact += [float(b.altered) for b in returned_bars(score, plan)]
    more: list[Row] = []
    moves = sum(r.parallels.moves for r in rows if r.ensemble == "satb")
    seed = 1000
    while chorales and moves < CHORALE_MOVES:
        plan, score, seconds = store.piece(Request(seed, variation, "bach_chorale", planner), composer)
        more.append(measure(score, plan, people.index, seconds=seconds, only_parallels=True))
        moves, seed = moves + more[-1].parallels.moves, seed + 1
    return Column(tuple(rows), tuple(exact), tuple(more))


def copied_column(store: Store, composer: Any, count: int, *, in_scale: bool, variation: float, planner: str) -> Column:
    """The baseline that copies first statements and perturbs them, from a column's own pieces; altered bars only."""
    rows: list[Row] = []
    for seed in range(count):
        plan, score, _ = store.piece(Request(seed, variation, planner=planner), composer)
        shaken = copy_and_perturb(score, plan, seed=seed, in_scale=in_scale)
        altered = altered_figures(shaken, plan, bars=returned_bars(score, plan))
        rows.append(Row(ensemble=plan.ensemble, altered=altered))
    return Column(tuple(rows))


def main() -> None:
    """Composes, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the columns")
    parser.add_argument("--columns", nargs="*", choices=sorted(COLUMNS), default=list(COLUMNS))
    parser.add_argument("--set", nargs="*", default=[], dest="settings", help="settings of sampling, as guidance=2")
    parser.add_argument("--name", help="what one column is called that is composed with --set")
    parser.add_argument("--weights", help="a .safetensors file; the one that ships where not given")
    parser.add_argument("--planner", choices=("learned", "grammar"), default="learned")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--variation", type=float, default=0.3)
    parser.add_argument("--no-chorales", action="store_true", help="no further chorales for the count of parallels")
    parser.add_argument("--again", action="store_true", help="compose anew what is there")
    parser.add_argument("--show", nargs="*", help="only these columns in the table, in this order")
    parser.add_argument("--data", default="music21", help="people's music: music21, or composer with --data-path")
    parser.add_argument("--data-path", type=Path, help="folder with piano-midi.de and OpenScore's quartets")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    options = parser.parse_args()
    people = load_people(options.data, options.data_path, options.cache_dir, options.out / "people")
    given = parse_settings(options.settings)
    for kind in options.columns:
        settings = COLUMNS[kind] | ({} if kind == "markov" else given)
        name = options.name if options.name and len(options.columns) == 1 else kind
        try:
            composer = make_composer(kind, settings, options.weights, options.cache_dir)
        except RequestError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        store = Store(
            options.out / name, fingerprint(kind, settings, options.weights, options.planner), again=options.again
        )
        chorales = not options.no_chorales
        asked: dict[str, Any] = {"variation": options.variation, "planner": options.planner}
        column = compose_column(name, composer, store, people, options.count, chorales=chorales, **asked)
        column.write(options.out / f"{name}.json")
        if kind == "biaxial":
            for suffix, in_scale in (("copy", False), ("copy_in_scale", True)):
                copied = copied_column(store, composer, options.count, in_scale=in_scale, **asked)
                copied.write(options.out / f"{name}_{suffix}.json")
    print_table(options.out, people, options.show)


if __name__ == "__main__":
    main()
