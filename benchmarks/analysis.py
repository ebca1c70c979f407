"""How well the analysis agrees with people: chords, keys, phrase ends, cadences.

    python -m benchmarks.analysis --data DIR      DIR: a checkout of When in Rome (or a folder that holds its Corpus)
    python -m benchmarks.analysis                 only the analyses that music21 carries

Chords and keys are compared at every instant (weighted by duration) and at every beat. All that is learned or tuned
was so on the half "tune" (hash of the work's name); both halves are shown, the figure that counts is "test". A phrase
end counts as found only at exactly the same onset. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.romantext import (
    Analysed,
    Label,
    load_all,
    music21_chorales,
    music21_madrigals,
    when_in_rome_chorales,
)
from music.analysis.arrays import make_grid, note_arrays, pitch_class_weights
from music.analysis.cadence import classify_cadence, find_cadence
from music.analysis.chords import CHORDS, ROLES, Harmony, analyse_harmony
from music.analysis.key import PROFILES, profile_key_segments
from music.analysis.melody import melody_line
from music.analysis.phrases import fermata_ends, infer_phrase_ends
from music.pitch import Key
from music.plan import CADENCES, Chord
from music.score import KeyChange, Score
from music.time import DIVS_PER_QUARTER

STEP_DIV = DIVS_PER_QUARTER // 4  # agreement by duration is sampled at sixteenths
Value = TypeVar("Value")
Finder = Callable[[Score], Harmony]


def template_baseline(score: Score) -> Harmony:
    """Plain template matching: for each beat the chord with most sound inside and least outside; keys by profiles."""
    grid = make_grid(score)
    beats = grid.edges[:-1][grid.on_beat]
    edges = np.unique(np.concatenate([[0], beats, [score.end_div]]))
    sound = pitch_class_weights(note_arrays(score), edges)
    size = ROLES.sum(axis=(0, 1))  # triads before sevenths that hold them
    inside = sound @ ROLES.sum(axis=0)
    best = (2 * inside - sound.sum(axis=1, keepdims=True) - 0.02 * size).argmax(axis=1)
    chords = tuple(
        Chord(int(a), int(b - a), CHORDS[index][0], CHORDS[index][1], CHORDS[index][0])
        for a, b, index in zip(edges[:-1], edges[1:], best, strict=True)
    )
    return Harmony(profile_key_segments(score), chords)


def _at(onsets: Sequence[int], values: Sequence[Value], times: np.ndarray) -> list[Value]:
    index = np.maximum(np.searchsorted(np.array(onsets), times, side="right") - 1, 0)
    return [values[i] for i in index.tolist()]


def _number(change: KeyChange) -> int:
    return change.key.pc + 12 * change.key.minor


def measure_harmony(pieces: list[Analysed], finder: Finder) -> dict[str, float]:
    """Shares of agreement: `root full bass key` by duration, `root_beats full_beats` by beat; seconds a piece.

    `full` is root and quality; `bass` is that and the inversion.
    """
    hits: Counter[str] = Counter()
    seconds = 0.0
    for piece in pieces:
        start = time.perf_counter()
        found = finder(piece.score)
        seconds += time.perf_counter() - start
        grid = make_grid(piece.score)
        samples = np.arange(STEP_DIV // 2, piece.score.end_div, STEP_DIV)
        for suffix, times in (("", samples), ("_beats", grid.edges[:-1][grid.on_beat])):
            times = times[times >= piece.labels[0].onset_div]
            chord = _at([c.onset_div for c in found.chords], [(c.root, c.quality, c.bass) for c in found.chords], times)
            label = _at([x.onset_div for x in piece.labels], [(x.root, x.quality, x.bass) for x in piece.labels], times)
            key = _at([k.onset_div for k in found.keys], [_number(k) for k in found.keys], times)
            truth = _at([x.onset_div for x in piece.labels], [x.key for x in piece.labels], times)
            hits["total" + suffix] += len(times)
            hits["root" + suffix] += sum(c[0] == x[0] for c, x in zip(chord, label, strict=True))
            hits["full" + suffix] += sum(c[:2] == x[:2] for c, x in zip(chord, label, strict=True))
            hits["bass" + suffix] += sum(c == x for c, x in zip(chord, label, strict=True))
            hits["key" + suffix] += sum(k == x for k, x in zip(key, truth, strict=True))
    names = ("root", "full", "bass", "key")
    result = {f"{n}{s}": round(hits[n + s] / max(1, hits["total" + s]), 4) for s in ("", "_beats") for n in names}
    return {**result, "seconds": round(seconds / max(1, len(pieces)), 4)}


def _rates(right: int, found: int, true: int) -> dict[str, float]:
    precision, recall = right / max(1, found), right / max(1, true)
    f = 2 * precision * recall / max(1e-9, precision + recall)
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f": round(f, 4)}


def measure_phrases(pieces: list[Analysed], finder: Callable[[Score], tuple[int, ...]]) -> dict[str, float]:
    """Precision, recall and F of phrase ends within the piece against the fermatas."""
    right = found = true = 0
    for piece in pieces:
        marked = set(fermata_ends(piece.score)) - {piece.score.end_div}
        if marked:
            guess = set(finder(piece.score)) - {piece.score.end_div}
            right, found, true = right + len(marked & guess), found + len(guess), true + len(marked)
    return _rates(right, found, true)


def even_baseline(score: Score) -> tuple[int, ...]:
    """A phrase end every two bars, counted from the upbeat."""
    length = 2 * score.meters[0].meter.bar_div
    return tuple(range(length, score.end_div, length))


def _told_cadence(labels: Sequence[Label], score: Score, end: int) -> str | None:
    """What the analyst's chords say at a phrase end, by the same definitions."""
    meter = score.meter_at(max(0, end - 1))
    near = [x for x in labels if x.onset_div < end and x.end_div > end - 2 * meter.bar_div and x.quality]
    if not near:
        return None
    chords = [Chord(x.onset_div, x.end_div - x.onset_div, x.root, x.quality or "maj", x.bass) for x in near]
    line = melody_line(score, max(0, end - 2 * meter.bar_div), end)
    key = Key.of_pc(near[-1].key % 12, near[-1].key >= 12)
    return classify_cadence(chords, key, line[-1].pitch % 12 if line else None)


def measure_cadences(pieces: list[Analysed]) -> dict[str, dict[str, float]]:
    """Precision, recall and F of each cadence at the fermatas, against the analysts' chords and keys."""
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    true: Counter[str] = Counter()
    for piece in pieces:
        harmony = analyse_harmony(piece.score)
        for end in fermata_ends(piece.score):
            told = _told_cadence(piece.labels, piece.score, end)
            key = next((k.key for k in reversed(harmony.keys) if k.onset_div < end), harmony.keys[0].key)
            guess = find_cadence(piece.score, end, key, chords=harmony.chords)
            true[told or "none"] += 1
            found[guess or "none"] += 1
            right[told or "none"] += told == guess
    table = {name: {**_rates(right[name], found[name], true[name]), "count": true[name]} for name in CADENCES}
    table["all"] = {"accuracy": round(sum(right.values()) / max(1, sum(true.values())), 4), "count": sum(true.values())}
    return table


def _row(name: str, values: dict[str, float]) -> str:
    cells = "  ".join(f"{key} {value:.3f}" if key != "count" else f"n {value}" for key, value in values.items())
    return f"{name:32s} {cells}"


def run(data: Path | None, workers: int, limit: int | None, madrigals: bool) -> dict[str, object]:
    """Loads, measures, prints the table; returns what the JSON line holds."""
    sets = {"music21 chorales": music21_chorales()}
    if data is not None:
        sets["When in Rome chorales"] = when_in_rome_chorales(data)
    if madrigals:
        sets["madrigals"] = music21_madrigals()
    report: dict[str, object] = {}
    for title, pairs in sets.items():
        pairs = dict(list(pairs.items())[:limit])
        loaded = list(load_all(pairs, workers))
        pieces = [p for p in loaded if isinstance(p, Analysed)]
        dropped = Counter(p for p in loaded if isinstance(p, str))
        print(f"\n{title}: {len(pieces)} of {len(pairs)} works; left out: {dict(dropped) or 'none'}")
        result: dict[str, object] = {"works": len(pieces), "left_out": dict(dropped)}
        for half in ("tune", "test"):
            chosen = [p for p in pieces if p.half == half]
            if chosen:
                result[half] = measure_half(chosen, f"{half} ({len(chosen)})")
        report[title] = result
    return report


def measure_half(pieces: list[Analysed], title: str) -> dict[str, object]:
    """All measures of one half, printed and returned."""
    result: dict[str, object] = {
        "chords": measure_harmony(pieces, analyse_harmony),
        "template baseline": measure_harmony(pieces, template_baseline),
        "phrases": measure_phrases(pieces, infer_phrase_ends),
        "phrases every two bars": measure_phrases(pieces, even_baseline),
    }
    for name, values in result.items():
        print(_row(f"{title} {name}", values))  # type: ignore[arg-type]
    cadences = measure_cadences(pieces)
    for name, values in cadences.items():
        print(_row(f"{title} cadence {name}", values))
    profiles = {
        name: measure_harmony(pieces, lambda s, n=name: Harmony(profile_key_segments(s, profile=n), _SILENT))["key"]
        for name in PROFILES
    }
    print(_row(f"{title} keys by profile", profiles))
    return {**result, "cadences": cadences, "keys by profile": profiles}


_SILENT = (Chord(0, 1, 0, "maj", 0),)


def main() -> None:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of When in Rome")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only so many works of each set")
    parser.add_argument("--madrigals", action="store_true", help="also Monteverdi's madrigals (slow to read)")
    options = parser.parse_args()
    print(json.dumps(run(options.data, options.workers, options.limit, options.madrigals)))


if __name__ == "__main__":
    main()
