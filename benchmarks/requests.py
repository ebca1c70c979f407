"""What is asked for is what comes: requests over all forms, planned, composed and performed, each checked.

    python -m benchmarks.requests --composer markov [--count 200] [--cache DIR]
    python -m benchmarks.requests --composer biaxial [--weights FILE]

Requests are typed words, as on the command line: every named form, letter strings and typed plans, four meters, all 24
keys, 8 to 128 bars, every ensemble and style. The letters that a plan must have are those of docs/forms.md, written out
here once more, not the planner's own. Then wishes that contradict each other or cannot be met, each of which must be
refused in one line that names both. Prints a table and one JSON line; exits with 1 where anything failed.

Run it as a module: a folder with a file of this name on the import path would hide the package requests.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from composer.interface import Composer
from music.errors import RequestError
from music.midi import write_score_midi
from music.performance import Performance
from music.pitch import ALL_KEYS, Key
from music.plan import Plan
from music.plan_json import read_plan, write_plan
from music.score import MeterChange, Note, Part, Score, regular_bars
from music.time import DIVS_PER_QUARTER, Meter
from performer.rules import RulePerformer
from planner.grammar import GrammarPlanner
from planner.plan_file import adjust
from planner.request import parse_request
from planner.styles import STYLES

NAMED = {
    "binary": "A B",
    "rounded_binary": "A B A'",
    "ternary": "A B A",
    "rondo": "A B A C A",
    "rondo7": "A B A C A B A",
    "sonata_rondo": "A B A C A B A'",
    "sonata": "A B C A B",
    "sonatina": "A B A B",
    "minuet_trio": "A B A",
    "scherzo_trio": "A B A",
    "bar": "A A B",
    "song": "A A B A",
    "arch": "A B C B A'",
    "ritornello": "A B A C A D A",
}
# Forms that grow by a section for each eight bars, to twelve at most: their first twelve sections, and the fewest.
GROWING = {
    "variations": (tuple("A" + "'" * i for i in range(12)), 2),
    "strophic": (("A",) * 12, 2),
    "through_composed": (tuple("ABCDEFGHIJKL"), 3),
}
LETTERS = ("A", "AB", "ABA", "ABACA", "AA'BA", "AABB", "ABCDE", "ABCBA'", "BAB", "AA'A''A'''", "ABABCB", "ABACADA")
TYPED = 8  # typed plans to a round of all forms
METERS = ("2/4", "3/4", "4/4", "6/8")
# Semitones from a home in major and in minor; the case of a numeral is the mode.
MAJOR_KEYS = {"I": 0, "ii": 2, "iii": 4, "IV": 5, "V": 7, "vi": 9, "i": 0, "bVI": 8, "bIII": 3}
MINOR_KEYS = {"i": 0, "III": 3, "iv": 5, "v": 7, "VI": 8, "VII": 10, "I": 0}
CADENCES = ("PAC", "IAC", "HC", "DC", "-")
# Ensembles and styles that are asked for, "" for no wish; and the ensemble that then must play.
PLAYERS = (
    ("piano", "haydn_quartet", "piano"),
    ("satb", "bach_chorale", "satb"),
    ("quartet", "mozart_quartet", "quartet"),
    ("piano", "beethoven_quartet", "piano"),
    ("quartet", "", "quartet"),
    ("", "", "piano"),
    ("satb", "", "satb"),
    ("piano", "", "piano"),
    *(("", style, made.ensemble) for style, made in STYLES.items()),
)
PARTS = {"piano": 1, "satb": 4, "quartet": 4}


@dataclass(frozen=True)
class SectionAsked:
    """A section of a typed plan; None is what the text leaves open."""

    label: str
    bars: int
    tonic_pc: int | None = None
    minor: bool | None = None
    cadence: str | None = None


@dataclass(frozen=True)
class Asked:
    """A request.

    Args:
        kind: its row in the table.
        words: what is typed, by the names of the command line.
        labels: the sections that the plan must have.
        key, meter, bars, ensemble: what the plan must say.
        sections: of a typed plan.
    """

    kind: str
    words: dict[str, str]
    labels: tuple[str, ...]
    key: Key
    meter: Meter
    bars: int
    ensemble: str
    sections: tuple[SectionAsked, ...] = ()


@dataclass
class Tally:
    """A row of the table: how many were asked for, how many held at each layer, and what was measured."""

    asked: int = 0
    planned: int = 0
    composed: int = 0
    performed: int = 0
    silences: list[int] = field(default_factory=list)


def labels_of(form: str, bars: int) -> tuple[str, ...]:
    """The sections that docs/forms.md promises for a name or a letter string."""
    if form in NAMED:
        return tuple(NAMED[form].split())
    if form in GROWING:
        labels, least = GROWING[form]
        return labels[: max(least, min(bars // 8, 12))]
    starts = [i for i, character in enumerate(form) if character != "'"]
    return tuple(form[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True))


def wishes(count: int = 200, seed: int = 1, most_bars: int = 128) -> tuple[Asked, ...]:
    """So many requests; the same seed gives the same ones."""
    rng = np.random.default_rng(seed)
    forms = [*NAMED, *GROWING, *LETTERS, *["typed"] * TYPED]
    order = [forms[i] for i in rng.permutation(len(forms))]
    found = []
    for i in range(count):
        # Steps that share no factor with the lengths of the lists, so that every form meets every key and meter.
        form, key = order[i % len(order)], ALL_KEYS[(i * 7 + i // 24) % 24]
        meter, player = METERS[(i + i // len(order)) % 4], PLAYERS[(i * 3 + i // 10) % len(PLAYERS)]
        found.append(
            _typed(key, meter, player, rng) if form == "typed" else _named(form, key, meter, player, rng, most_bars)
        )
    return tuple(found)


def _named(
    form: str, key: Key, meter: str, player: tuple[str, str, str], rng: np.random.Generator, most_bars: int
) -> Asked:
    least = max(8, 4 * len(labels_of(form, 0)))
    most = max(least, most_bars)
    # One in ten has the fewest bars that there can be, one in ten the most.
    bars = (least, most, *rng.integers(least, most + 1, 8).tolist())[int(rng.integers(10))]
    words = {"form": form, "key": str(key), "meter": meter, "bars": str(bars)} | _players(player)
    kind = form if form in NAMED or form in GROWING else "letters"
    return Asked(kind, words, labels_of(form, bars), key, Meter.parse(meter), bars, player[2])


def _typed(key: Key, meter: str, player: tuple[str, str, str], rng: np.random.Generator) -> Asked:
    """A typed plan whose text, not the other wishes, gives key and meter half the time."""
    tokens, sections = [], []
    numerals = MINOR_KEYS if key.minor else MAJOR_KEYS
    for label in ("A", *rng.choice(["A", "A'", "B", "B'", "C", "D"], int(rng.integers(1, 6)))):
        bars, token = int(rng.integers(4, 21)), str(label)
        section = SectionAsked(token, bars)
        token += str(bars)
        if rng.random() < 0.5:
            numeral = str(rng.choice(list(numerals)))
            token += f":{numeral}"
            pc = (key.pc + numerals[numeral]) % 12
            section = replace(section, tonic_pc=pc, minor=numeral.lstrip("b").islower())
        elif rng.random() < 0.3:
            named = ALL_KEYS[int(rng.integers(24))]
            token += f":{named}"
            section = replace(section, tonic_pc=named.pc, minor=named.minor)
        if rng.random() < 0.5:
            cadence = str(rng.choice(CADENCES))
            token += f"/{cadence}"
            section = replace(section, cadence=cadence)
        tokens.append(token)
        sections.append(section)
    total = sum(s.bars for s in sections)
    words = {"form": " ".join(tokens)}
    if rng.random() < 0.5:
        words["form"] += f" | key={key} meter={meter} bars={total}"
    else:
        words |= {"key": str(key), "meter": meter, "bars": str(total)}
    labels = tuple(s.label for s in sections)
    return Asked("typed", words | _players(player), labels, key, Meter.parse(meter), total, player[2], tuple(sections))


def _players(player: tuple[str, str, str]) -> dict[str, str]:
    return {name: word for name, word in zip(("ensemble", "style"), player, strict=False) if word}


def plan_faults(asked: Asked, plan: Plan) -> list[str]:
    """What a plan has otherwise than asked."""
    pairs: list[tuple[str, Any, Any]] = [
        ("letters", "".join(asked.labels), plan.letters),
        ("bars", asked.bars, plan.bars),
        ("bars of sections", asked.bars, sum(s.bars for s in plan.sections)),
        ("key", asked.key, plan.key),
        ("meter", asked.meter, plan.meter),
        ("ensemble", asked.ensemble, plan.ensemble),
    ]
    if "style" in asked.words:
        pairs.append(("style", asked.words["style"], plan.style))
    if not asked.sections:
        pairs.append(("first key", asked.key, plan.sections[0].key))
        pairs.append(("last key", asked.key, plan.sections[-1].key))
    for wanted, section in zip(asked.sections, plan.sections, strict=False):
        pairs.append((f"bars of {wanted.label}", wanted.bars, section.bars))
        if wanted.tonic_pc is not None:
            key = section.key
            pairs.append((f"key of {wanted.label}", (wanted.tonic_pc, wanted.minor), (key.pc, key.minor)))
        pairs.append((f"cadence of {wanted.label}", wanted.cadence or "PAC", section.cadence or "-"))
    return [f"{name}: asked {wanted}, planned {found}" for name, wanted, found in pairs if wanted != found]


def score_faults(plan: Plan, score: Score) -> list[str]:
    """Where a score is not as its plan says, or not fit to print."""
    replace(score)  # checks its invariants once more
    bar, upbeat = plan.meter.bar_div, plan.pickup_div
    starts = [upbeat + bar * first for first in accumulate((s.bars for s in plan.sections), initial=0)]
    lengths = ([upbeat] if upbeat else []) + [bar] * plan.bars
    pairs: list[tuple[str, Any, Any]] = [
        ("length", upbeat + bar * plan.bars, score.end_div),
        ("bars", lengths, [b.duration_div for b in score.bars]),
        ("meters", [(0, plan.meter)], [(m.onset_div, m.meter) for m in score.meters]),
        (
            "section marks",
            [(start, s.label) for start, s in zip(starts, plan.sections, strict=False)],
            [(m.onset_div, m.label) for m in score.sections],
        ),
        ("keys", [s.key for s in plan.sections], [score.key_at(start) for start in starts[:-1]]),
        ("title", plan.title, score.title),
        ("parts", PARTS[plan.ensemble], len(score.parts)),
        ("parts that play", set(range(PARTS[plan.ensemble])), {n.part for n in score.notes}),
    ]
    faults = [f"{name}: planned {wanted}, composed {found}" for name, wanted, found in pairs if wanted != found]
    faults += [f"note {n.id} is not fit to print" for n in score.notes if not (n.voice and n.step and n.duration_div)]
    sounding: dict[tuple[int, int], int] = {}
    for note in score.notes:
        if sounding.get((note.part, note.pitch), 0) > note.onset_div:
            faults.append(f"note {note.id} is struck while it sounds")
        sounding[note.part, note.pitch] = note.end_div
    return faults


def performance_faults(score: Score, performance: Performance) -> list[str]:
    """Notes of the score that are not played just once, at their pitch."""
    played = Counter((n.note_id, n.pitch) for n in performance.notes)
    written = Counter((n.id, n.pitch) for n in score.notes)
    wrong = sorted(set(played - written) | set(written - played))
    return [f"{len(wrong)} notes are not played once, the first {wrong[0]}"] if wrong else []


def longest_silence(score: Score) -> int:
    """Bars in a row in which no note sounds, at most."""
    silent = np.ones(len(score.bars) + 1, dtype=bool)
    starts = np.array([b.onset_div for b in score.bars])
    for note in score.notes:
        first = np.searchsorted(starts, note.onset_div, side="right") - 1
        silent[first : np.searchsorted(starts, note.end_div, side="left")] = False
    silent[-1] = False
    longest = run = 0
    for still in silent:
        run = run + 1 if still else 0
        longest = max(longest, run)
    return longest


def run_requests(asked: Iterable[Asked], composer: Composer) -> tuple[dict[str, Tally], list[str]]:
    """Plans, composes and performs each request; gives the rows of the table and what failed."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    failures = []
    for seed, wish in enumerate(asked):
        tally = tallies[wish.kind]
        tally.asked += 1
        try:
            faults = _run_request(wish, seed, composer, tally)
        except Exception as error:  # counted, so that one fault does not hide the others
            faults = [f"{type(error).__name__}: {error}"]
        failures += [f"request {seed} ({wish.words}): {fault}" for fault in faults[:3]]
    return dict(tallies), failures


def _run_request(wish: Asked, seed: int, composer: Composer, tally: Tally) -> list[str]:
    """The faults of the first layer that has any."""
    plan = GrammarPlanner().plan(parse_request(**wish.words), seed=seed)
    if faults := plan_faults(wish, plan):
        return faults
    tally.planned += 1
    score = composer.compose(plan, seed=seed)
    tally.silences.append(longest_silence(score))
    if faults := score_faults(plan, score):
        return faults
    tally.composed += 1
    if faults := performance_faults(score, RulePerformer().perform(score, seed=seed, plan=plan)):
        return faults
    tally.performed += 1
    return []


def theme_file(folder: Path) -> Path:
    """A theme of four bars of 3/4 with an upbeat of a quarter."""
    meter = Meter(3, 4)
    notes = tuple(Note(f"n{i}", i * DIVS_PER_QUARTER, DIVS_PER_QUARTER, 60 + (0, 4, 7, 5)[i % 4]) for i in range(13))
    path = folder / "theme.mid"
    bars = regular_bars(meter, 4, DIVS_PER_QUARTER)
    write_score_midi(Score((Part("P1"),), notes, bars, (MeterChange(0, meter),)), path)
    return path


def plan_file(folder: Path) -> Path:
    """A plan of 16 bars in G, 3/4, for the piano."""
    path = folder / "plan.json"
    write_plan(GrammarPlanner().plan(parse_request(form="A8 B8 | key=G meter=3/4 ensemble=piano"), seed=0), path)
    return path


# Wishes that cannot be met together, and what the refusal must name; THEME and PLAN stand for the two files above.
CONTRADICTIONS: tuple[tuple[dict[str, str], tuple[str, ...]], ...] = (
    ({"form": "rondo", "bars": "19"}, ("bars=19", "'rondo'", "20")),
    ({"form": "sonata_rondo", "bars": "27"}, ("bars=27", "'sonata_rondo'", "28")),
    ({"form": "variations", "bars": "6"}, ("bars=6", "'variations'", "8")),
    ({"form": "through composed", "bars": "11"}, ("bars=11", "'through_composed'", "12")),
    ({"form": "ABACABA", "bars": "27"}, ("bars=27", "'ABACABA'", "28")),
    ({"form": "A8 B8:V A8", "bars": "32"}, ("bars=32", "A8 B8:V A8", "24")),
    ({"form": "A8 B A8", "bars": "19"}, ("bars=19", "A8 B A8", "20")),
    ({"form": "A8 B8 | bars=20"}, ("bars=20", "A8 B8", "16")),
    ({"form": "rondo | bars=40", "bars": "48"}, ("bars=48", "bars=40")),
    ({"form": "A8 B8 | key=G", "key": "D"}, ("key=D", "key=G")),
    ({"form": "rondo | key=g", "key": "G"}, ("key=G", "key=g")),
    ({"form": "A8 B8 | meter=3/4", "meter": "4/4"}, ("meter=4/4", "meter=3/4")),
    ({"form": "ABA | tempo=90", "tempo": "91"}, ("tempo=91", "tempo=90")),
    ({"form": "ABA | style=bach_chorale", "style": "haydn_quartet"}, ("style=haydn_quartet", "style=bach_chorale")),
    ({"form": "ABA | ensemble=satb", "ensemble": "piano"}, ("ensemble=piano", "ensemble=satb")),
    ({"form": "A8 B8 | title=x", "title": "y"}, ("title=y", "title=x")),
    ({"form": "A8 | pickup=3 meter=3/4"}, ("pickup=3", "3/4")),
    ({"form": "A8 | pickup=2", "meter": "2/4"}, ("pickup=2", "2/4")),
    ({"theme": "THEME", "meter": "4/4"}, ("meter=4/4", "theme", "3/4")),
    ({"theme": "THEME", "form": "A8 B8 A8 | meter=6/8"}, ("meter=6/8", "theme", "3/4")),
    ({"theme": "THEME", "form": "BCB"}, ("theme", "letter A", "BCB")),
    ({"theme": "THEME", "form": "A8 B8 | pickup=1/2"}, ("pickup=0.5", "theme", "upbeat of 1")),
    ({"plan_file": "PLAN", "key": "D"}, ("key=D", "plan_file=", "key is G")),
    ({"plan_file": "PLAN", "meter": "4/4"}, ("meter=4/4", "plan_file=", "meter is 3/4")),
    ({"plan_file": "PLAN", "bars": "20"}, ("bars=20", "plan_file=", "bars is 16")),
    ({"plan_file": "PLAN", "ensemble": "satb"}, ("ensemble=satb", "plan_file=", "ensemble is piano")),
    ({"plan_file": "PLAN", "form": "rondo"}, ("form=", "plan_file=")),
    ({"plan_file": "PLAN", "theme": "THEME"}, ("theme=", "plan_file=")),
    # One wish and the limit that it breaks.
    ({"form": "A8 B3 A8"}, ("B3", "4")),
    ({"form": "A600 B600"}, ("1200", "1024")),
    ({"form": "ABA", "bars": "5000"}, ("bars=5000", "1024")),
    ({"tempo": "1000"}, ("tempo=1000", "400")),
    ({"meter": "7/16"}, ("7/16", "3/4")),
    ({"style": "bach_choral"}, ("bach_choral", "did you mean bach_chorale")),
)


def refuse_all() -> tuple[int, list[str]]:
    """Asks for all that cannot be; gives how many were refused as they must be, and what failed."""
    failures = []
    with tempfile.TemporaryDirectory() as name:
        files = {"THEME": theme_file(Path(name)), "PLAN": plan_file(Path(name))}
        for words, named in CONTRADICTIONS:
            wished: dict[str, Any] = {key: files.get(word, word) for key, word in words.items()}
            given = wished.pop("plan_file", None)
            try:
                request = parse_request(**wished)
                if given is None:
                    made = GrammarPlanner().plan(request, seed=0)
                else:
                    made = adjust(read_plan(given), request, str(given))
                failures.append(f"{words} was not refused but planned: {made}")
            except RequestError as error:
                missing = [word for word in named if word not in str(error)]
                if missing or "\n" in str(error):
                    failures.append(f"{words}: the refusal does not name {missing} in one line: {error}")
            except Exception as error:  # any other type is a fault; counted, so that it does not hide the others
                failures.append(f"{words}: {type(error).__name__}: {error}")
    return len(CONTRADICTIONS) - len(failures), failures


def make_composer(name: str, weights: str | None, cache: str | None) -> Composer:
    """The composer of that name; torch is loaded only for the network."""
    if name == "markov":
        from composer.markov import MarkovComposer

        return MarkovComposer(cache)
    from composer.sampling import BiaxialComposer

    return BiaxialComposer(weights)


def print_table(tallies: dict[str, Tally]) -> dict[str, Any]:
    """Prints a row for each form and their sum; gives the sum."""
    print(f"{'form':18s} {'asked':>6s} {'plan':>6s} {'score':>6s} {'played':>6s}  longest silence in bars (mean, most)")
    rows = [*((kind, tallies[kind]) for kind in sorted(tallies)), ("all", _sum(list(tallies.values())))]
    for kind, tally in rows:
        counts = (tally.asked, tally.planned, tally.composed, tally.performed)
        silence = f"{np.mean(tally.silences):6.2f} {max(tally.silences):4d}" if tally.silences else ""
        print(f"{kind:18s} " + " ".join(f"{count:6d}" for count in counts) + "  " + silence)
    total = rows[-1][1]
    return {
        "requests": total.asked,
        "plans_as_asked": total.planned,
        "scores_as_planned": total.composed,
        "played_once": total.performed,
        "scores_with_a_silent_bar": sum(bars > 0 for bars in total.silences),
        "longest_silence_bars": max(total.silences, default=0),
    }


def _sum(tallies: Sequence[Tally]) -> Tally:
    return Tally(
        sum(t.asked for t in tallies),
        sum(t.planned for t in tallies),
        sum(t.composed for t in tallies),
        sum(t.performed for t in tallies),
        [bars for t in tallies for bars in t.silences],
    )


def arguments(about: str, count: int) -> argparse.ArgumentParser:
    """Options that the benchmarks of whole pieces share."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--composer", choices=("markov", "biaxial"), default="markov")
    parser.add_argument("--count", type=int, default=count, help="requests, %(default)s by default")
    parser.add_argument("--weights", help="of the biaxial composer; those that ship where none are named")
    parser.add_argument("--cache", help="where the Markov composer keeps its tables")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def main() -> None:
    """Asks, checks, prints."""
    options = arguments(__doc__ or "", 200).parse_args()
    composer = make_composer(options.composer, options.weights, options.cache)
    started = time.perf_counter()
    asked = wishes(options.count, options.seed)
    tallies, failures = run_requests(asked, composer)
    seconds = time.perf_counter() - started
    figures = print_table(tallies)
    refused, unrefused = refuse_all()
    bars = [wish.bars for wish in asked]
    figures |= {"contradictions": len(CONTRADICTIONS), "refused_naming_both": refused}
    figures |= {"forms": len({w.words["form"] for w in asked}), "keys": len({w.key for w in asked})}
    figures |= {"meters": len({w.meter for w in asked}), "ensembles": len({w.ensemble for w in asked})}
    figures |= {"styles": len({w.words.get("style", "") for w in asked} - {""}), "bars": [min(bars), max(bars)]}
    figures |= {"composer": options.composer, "seconds": round(seconds, 1), "failures": len(failures + unrefused)}
    print(f"{refused} of {len(CONTRADICTIONS)} contradictions and limits refused, both wishes named")
    for failure in failures + unrefused:
        print("FAILED", failure)
    print(json.dumps({"benchmark": "requests", **figures}))
    sys.exit(bool(failures or unrefused))


if __name__ == "__main__":
    main()
