"""Wishes are kept: random requests over all that may be asked for, each plan compared with what was asked.

    python -m benchmarks.wishes --planner learned [--count 2000]
    python -m benchmarks.wishes --planner grammar
    python -m benchmarks.wishes --planner none

Nine requests in ten can be met (`benchmarks.wishes_asked`): any part of form, letters, bars in all and by section,
keys, cadences, chords, phrases, dynamics, a theme, meter, tempo, style, upbeat. Each wish is looked up by code of
its own, and every phrase must close with its cadence's chords. One in ten has two wishes that contradict each other:
it must be refused in one line that names both. No request may take longer than ten seconds. `none` asks no planner: the
requests are only read, which finds what is refused and should not be. Prints a table by kind of wish and one JSON line;
exits with 1 where anything failed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.wishes_asked import Asked, random_request
from benchmarks.wishes_refused import TEMPLATES, Refused
from music.errors import RitornelloError
from music.harmony import parse_figure
from music.pitch import Key
from music.plan import Chord, Plan, Section
from planner.interface import Planner
from planner.read_wishes import read
from planner.request import parse_request

MOST_SECONDS = 10
REFUSED_SHARE = 0.1
# What the grammar planner knows nothing of; it refuses such requests.
PARTS = ("section_bars", "keys", "cadences", "dynamics", "chords", "wishes")


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Breaks off what takes longer (TimeoutError)."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def kept(asked: Asked, plan: Plan) -> list[tuple[str, bool, str]]:
    """Every wish of a request: its kind, whether the plan keeps it, and what was asked and found."""
    found: list[tuple[str, bool, str]] = []

    def compare(kind: str, wanted: Any, value: Any) -> None:
        found.append((kind, wanted == value, f"{kind}: asked {wanted}, planned {value}"))

    for name, wanted in asked.plan.items():
        if name == "has":
            letter, cadence = wanted
            hit = [s for s in plan.sections if s.label == letter] or [s for s in plan.sections if s.letter == letter]
            compare("cadence of a letter", {cadence}, {s.cadence for s in hit})
        else:
            compare(name, wanted, plan.letters if name == "letters" else getattr(plan, name))
    for index, wishes in asked.sections.items():
        if index < len(plan.sections):
            for name, wanted in wishes.items():
                _compare_section(compare, plan, plan.sections[index], name, wanted)
    for index in asked.home:
        if index < len(plan.sections):
            compare("home at both ends", plan.key, plan.sections[index].key)
    for letter, notes in asked.themes.items():
        compare("theme", True, _is_tune(plan, letter, notes))
    fixed = {i for i, wishes in asked.sections.items() if "figures" in wishes}
    for index, section in enumerate(plan.sections):
        end = 0
        for phrase in section.phrases:
            start, end = end, end + phrase.bars * plan.meter.bar_div
            if phrase.cadence and section.chords:
                shown = f"section {index + 1} {section.label} phrase to bar {end // plan.meter.bar_div}"
                good = closes(section, start, end, phrase.cadence, index in fixed)
                found.append(("closing chords", good, f"{shown}: chords are no {phrase.cadence}"))
    return found


def _compare_section(compare: Any, plan: Plan, section: Section, name: str, wanted: Any) -> None:
    if name == "relation":
        key = plan.key.relative(wanted)
        compare("section key", (key.pc, key.minor), (section.key.pc, section.key.minor))
    elif name == "phrases":
        compare("phrases", [tuple(p) for p in wanted], [(p.bars, p.idea, p.cadence) for p in section.phrases])
    elif name == "figures":
        compare("chords", "", chord_faults(section, wanted, plan.meter.bar_div, plan.meter.beat_div))
    else:
        compare(f"section {name}", wanted, getattr(section, name))


def chord_faults(section: Section, bars: list[list[str]], bar_div: int, beat_div: int) -> str:
    """The first place where other chords sound than were asked for, "" where there is none."""
    for bar, names in enumerate(bars):
        if not names:
            continue
        beats = bar_div // beat_div
        each, more = divmod(beats, len(names))
        onset = bar * bar_div
        for index, name in enumerate(names):
            end = onset + beat_div * (each + (index < more))
            wanted = parse_figure(name, section.key)
            over = [c for c in section.chords if c.onset_div < end and c.onset_div + c.duration_div > onset]
            if not over or any((c.root, c.quality, c.bass) != wanted for c in over):
                return f"bar {bar + 1}: {name} asked, {' '.join(c.figure for c in over)} planned"
            onset = end
    return ""


def closes(section: Section, start: int, end: int, cadence: str, fixed: bool) -> bool:
    """Whether the chords of a phrase end as its cadence says (docs/forms.md); equal neighbours count as one.

    Args:
        section: with chords.
        start, end: of the phrase, in divisions from the section's start.
        cadence: of the phrase.
        fixed: the user's own chords may close a half cadence with its only chord.
    """
    line: list[Chord] = []
    for chord in section.chords:
        if chord.onset_div >= end or chord.onset_div + chord.duration_div <= start:
            continue
        if line and (line[-1].root, line[-1].quality, line[-1].bass) == (chord.root, chord.quality, chord.bass):
            continue
        line.append(chord)
    key = section.key
    dominant = (key.pc + 7) % 12
    last = line[-1]
    if cadence == "HC":
        return last.root == last.bass == dominant and last.quality in ("maj", "7")
    if len(line) < 2:
        return False
    left = line[-2]
    on_v = left.root == dominant and left.quality in ("maj", "7")
    leading = left.root == key.leading_tone and left.quality in ("dim", "dim7", "hdim7")
    tonic = last.root == key.pc and last.quality in ("min", "maj") and (key.minor or last.quality == "maj")
    if cadence == "PAC":
        return on_v and left.bass == dominant and tonic and last.bass == key.pc
    if cadence == "IAC":
        return (on_v or leading) and tonic
    sixth = (key.pc + (8 if key.minor else 9)) % 12
    return (on_v or leading) and last.root == sixth and (fixed or last.bass == sixth)


def _is_tune(plan: Plan, letter: str, notes: list[tuple[int, int, int]]) -> bool:
    """Whether a letter's theme is the given one: its rhythm, its intervals to a semitone (the mode may differ)."""
    theme = plan.theme_of(letter)
    if theme is None or len(theme.notes) != len(notes):
        return False
    same = all(
        (n.onset_div, n.duration_div) == (on, length) for n, (on, length, _) in zip(theme.notes, notes, strict=True)
    )
    shifts = [n.pitch - pitch for n, (_, _, pitch) in zip(theme.notes, notes, strict=True)]
    return same and max(shifts) - min(shifts) <= 2 and any(s.theme == letter for s in plan.sections)


class Result:
    """Counts and failures of a run."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.kinds: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.failures: list[str] = []
        self.refused = [0, 0]
        self.seconds: list[float] = []

    def table(self) -> str:
        """Kinds of wishes and of requests, how many there were and how many were kept."""
        lines = [f"{'wish':22s} {'asked':>7s} {'kept':>7s}"]
        lines += [f"{kind:22s} {count:7d} {self.kept[kind]:7d}" for kind, count in sorted(self.asked.items())]
        lines += [f"\n{'request':22s} {'asked':>7s} {'kept':>7s}"]
        lines += [f"{kind:22s} {count:7d} {good:7d}" for kind, (count, good) in sorted(self.kinds.items())]
        return "\n".join(lines)


def run(planner: Planner | None, count: int, seed: int, *, parts: bool = True) -> Result:
    """Asks so many requests.

    Args:
        planner: None: requests are only read.
        count: requests in all.
        seed: of all chance.
        parts: also wishes for single sections.
    """
    result = Result()
    rng = np.random.default_rng(seed)
    templates = [t for t in TEMPLATES if parts or not set(t(np.random.default_rng(0), Path()).words) & set(PARTS)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(count):
            own = folder / str(number)
            own.mkdir()
            if rng.random() < REFUSED_SHARE:
                template = templates[int(rng.integers(len(templates)))]
                _ask_refused(template(rng, own), planner, number, result)
            else:
                _ask_kept(random_request(rng, own, parts), planner, number, result)
    return result


def _make(planner: Planner | None, words: dict[str, Any], number: int, result: Result) -> Plan | None:
    started = time.perf_counter()
    try:
        with time_limit(MOST_SECONDS):
            request = parse_request(**words)
            if planner is not None:
                return planner.plan(request, seed=number)
            wishes = read(request, seed=number)
            if wishes.sections is not None:
                wishes.sections(wishes.key or min(wishes.homes or {Key("G")}))
            return None
    finally:
        result.seconds.append(time.perf_counter() - started)


def _ask_kept(asked: Asked, planner: Planner | None, number: int, result: Result) -> None:
    kinds = result.kinds[asked.kind]
    kinds[0] += 1
    words = {key: Path(word).read_text() if key == "wishes" else word for key, word in asked.words.items()}
    try:
        plan = _make(planner, asked.words, number, result)
    except Exception as error:  # counted, so that one fault does not hide the others
        result.failures.append(f"request {number} {words}: {type(error).__name__}: {error}")
        return
    checks = kept(asked, plan) if plan is not None else []
    for kind, good, _ in checks:
        result.asked[kind] += 1
        result.kept[kind] += good
    faults = [text for _, good, text in checks if not good]
    kinds[1] += not faults
    result.failures += [f"request {number} {words}: {fault}" for fault in faults[:3]]


def _ask_refused(refused: Refused, planner: Planner | None, number: int, result: Result) -> None:
    result.refused[0] += 1
    try:
        _make(planner, refused.words, number, result)
        result.failures.append(f"request {number} {refused.words} was not refused")
    except RitornelloError as error:
        text = str(error)
        missing = [word for word in refused.named if word not in text]
        result.refused[1] += not missing and "\n" not in text
        if missing or "\n" in text:
            result.failures.append(f"request {number} {refused.words}: does not name {missing} in one line: {text}")
    except Exception as error:  # any other type is a fault
        result.failures.append(f"request {number} {refused.words}: {type(error).__name__}: {error}")


def make_planner(name: str, weights: str | None = None) -> Planner | None:
    """The planner of that name; torch is loaded only for the network."""
    if name == "none":
        return None
    if name == "grammar":
        from planner.grammar import GrammarPlanner

        return GrammarPlanner()
    from planner.sampling import LearnedPlanner

    return LearnedPlanner(Path(weights) if weights else None)


def main() -> None:
    """Asks, checks, prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--planner", choices=("learned", "grammar", "none"), default="learned")
    parser.add_argument("--count", type=int, default=2000, help="requests, %(default)s by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", help="of the learned planner; those that ship where none are named")
    options = parser.parse_args()
    result = run(
        make_planner(options.planner, options.weights), options.count, options.seed, parts=options.planner != "grammar"
    )
    print(result.table())
    asked, good = (sum(pair[i] for pair in result.kinds.values()) for i in (0, 1))
    print(f"{result.refused[1]} of {result.refused[0]} contradictions refused, both wishes named")
    for failure in result.failures:
        print("FAILED", failure)
    figures = {"planner": options.planner, "requests": options.count, "satisfiable": asked, "kept": good}
    figures |= {"contradictions": result.refused[0], "refused_naming_both": result.refused[1]}
    figures |= {"wishes": sum(result.asked.values()), "wishes_kept": sum(result.kept.values())}
    figures |= {"slowest_seconds": round(max(result.seconds, default=0), 3)}
    figures |= {"median_seconds": round(float(np.median(result.seconds or [0])), 4), "failures": len(result.failures)}
    print(json.dumps({"benchmark": "wishes", **figures}))
    sys.exit(bool(result.failures))


if __name__ == "__main__":
    main()
