"""Learns the weights of the chord finder and the key finder from people's analyses; writes them as Python files.

    python -m benchmarks.tune_analysis --data DIR --leave-out FILE --out DIR

DIR: a checkout of When in Rome. Only chorales of the half "tune" are used, and of them none that FILE names (a line
each, `bwv253`): those are kept for testing composers. Each chorale is taken as it stands and once in another texture
(slowed, or as broken chords with or without a held bass and melody), so that the weights hold for keyboard music too.
Both learners are structured perceptrons: the best answer with a margin for its faults is found exactly, and the weights
move from its features to those of the analyst's answer (AdaGrad steps, averaged; Collins 2002, Duchi et al. 2011).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.romantext import Analysed, Label, load_all, when_in_rome_chorales
from music.analysis import chords as finder
from music.analysis.arrays import Grid, make_grid
from music.analysis.chord_weights import ChordWeights
from music.analysis.chords import MAX_SLOTS, QUALITY_OF, ROLES, ROOT_OF, Evidence
from music.analysis.key import key_scores, profile_key_segments, viterbi
from music.analysis.key_weights import KEY_WEIGHTS, KeyWeights
from music.harmony import QUALITIES
from music.pitch import ALL_KEYS
from music.score import KeyChange, MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import DIVS_PER_QUARTER

Values = dict[str, np.ndarray]
Segments = list[tuple[int, int, int]]
ROOT_COST, QUALITY_COST, KEY_COST = 2.0, 0.7, 0.5  # margin a quarter note of fault
CHORD_STEP, KEY_STEP = 0.15, 0.1
TONIC = np.array([key.pc for key in ALL_KEYS])
MODE = np.array([int(key.minor) for key in ALL_KEYS])
KEY_INDEX = {key.pc + 12 * key.minor: index for index, key in enumerate(ALL_KEYS)}
SLOWER = 2


def _rebar(piece: Analysed, notes: list[Note], parts: tuple[Part, ...], factor: int) -> Analysed | None:
    """The piece with other notes, everything `factor` times as long; None with several meters."""
    score = piece.score
    meter = score.meters[0].meter
    if any(change.meter != meter for change in score.meters):
        return None
    first = score.bars[0].duration_div
    pickup = first * factor % meter.bar_div if first < meter.bar_div else 0
    end = max(score.end_div * factor, max(n.end_div for n in notes))
    bars = regular_bars(meter, -(-(end - pickup) // meter.bar_div), pickup)
    keys = tuple(KeyChange(k.onset_div * factor, k.key) for k in score.keys)
    moved = Score(parts, sort_notes(notes), bars, (MeterChange(0, meter),), keys)
    labels = tuple(replace(x, onset_div=x.onset_div * factor, end_div=x.end_div * factor) for x in piece.labels)
    return Analysed(piece.name, piece.half, moved, labels)


def slowed(piece: Analysed, factor: int) -> Analysed | None:
    """The same notes, longer: harmony that moves more slowly."""
    notes = [
        replace(n, onset_div=n.onset_div * factor, duration_div=n.duration_div * factor) for n in piece.score.notes
    ]
    return _rebar(piece, notes, piece.score.parts, factor)


def broken(piece: Analysed, *, bass: bool, melody: bool) -> Analysed | None:
    """Broken chords: each eighth becomes four sixteenths over its pitches from below; outer parts held where asked."""
    eighth = DIVS_PER_QUARTER // 2
    step = eighth * SLOWER // 4
    held = [n for n in piece.score.notes if n.duration_div > 0]
    notes: list[Note] = []
    for onset in range(0, piece.score.end_div, eighth):
        pitches = sorted({n.pitch for n in held if n.onset_div < onset + eighth and n.end_div > onset})
        pitches = pitches[1:] if bass and len(pitches) > 1 else pitches
        pitches = pitches[:-1] if melody and len(pitches) > 1 else pitches
        for i in range(4 if pitches else 0):
            notes.append(Note(f"a{len(notes)}", onset * SLOWER + i * step, step, pitches[i % len(pitches)], 0))
    lowest = max(n.part for n in held)
    for wanted, source, part in ((bass, lowest, 1), (melody, 0, 2)):
        for n in (n for n in held if wanted and n.part == source):
            notes.append(Note(f"b{len(notes)}", n.onset_div * SLOWER, n.duration_div * SLOWER, n.pitch, part))
    return _rebar(piece, notes, (Part("chords"), Part("bass"), Part("melody")), SLOWER)


TEXTURES: tuple[Callable[[Analysed], Analysed | None], ...] = (
    lambda p: slowed(p, 2),
    lambda p: slowed(p, 4),
    lambda p: broken(p, bass=False, melody=False),
    lambda p: broken(p, bass=True, melody=False),
    lambda p: broken(p, bass=False, melody=True),
    lambda p: broken(p, bass=True, melody=True),
)


def with_textures(pieces: list[Analysed], seed: int) -> list[Analysed]:
    """Each piece, and after it one of its textures."""
    rng = np.random.default_rng(seed)
    changed = [(piece, TEXTURES[int(rng.integers(len(TEXTURES)))](piece)) for piece in pieces]
    return [p for pair in changed for p in pair if p is not None]


def _label_slots(grid: Grid, labels: tuple[Label, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Chord (index into `CHORDS`) and key (index into `ALL_KEYS`) of each slot."""
    middle = (grid.edges[:-1] + grid.edges[1:]) // 2
    place = np.maximum(np.searchsorted([x.onset_div for x in labels], middle, side="right") - 1, 0)
    chord = np.array([QUALITIES.index(x.quality or "maj") * 12 + x.root for x in labels])
    key = np.array([KEY_INDEX[x.key] for x in labels])
    return chord[place], key[place]


def _runs(chords: np.ndarray) -> Segments:
    """Segments of equal chords, none longer than `MAX_SLOTS`."""
    segments: Segments = []
    start = 0
    for slot in range(1, len(chords) + 1):
        if slot == len(chords) or chords[slot] != chords[start] or slot - start == MAX_SLOTS:
            segments.append((start, slot, int(chords[start])))
            start = slot
    return segments


def chord_features(evidence: Evidence, segments: Segments, like: Values) -> Values:
    """What each weight is multiplied by in a segmentation: its score is the inner product with the weights."""
    found = {name: np.zeros_like(value) for name, value in like.items()}
    heard = evidence.sound[:-1].sum(axis=0)
    for start, end, chord in segments:
        roles, quality, key = ROLES[:, :, chord], QUALITY_OF[chord], evidence.key[start]
        found["sound"] += evidence.sound[:, start:end].sum(axis=1) @ roles.T
        found["bass"] += roles @ evidence.bass[start:end].sum(axis=0)
        found["first_bass"] += roles @ (evidence.bass[start] > 0)
        found["missing"] += roles @ (heard[start:end].sum(axis=0) <= finder.PRESENT)
        found["quality_time"][quality] += evidence.quarters[start:end].sum()
        found["level"][evidence.level[start]] += 1
        found["length"][end - start - 1] += 1
        found["degree"][key // 12, (ROOT_OF[chord] - key) % 12, quality] += 1
    for (*_, a), (*_, b) in pairwise(segments):
        if a == b:
            found["same"] += 1
        else:
            found["step"][QUALITY_OF[a], (ROOT_OF[b] - ROOT_OF[a]) % 12] += 1
    return found


class Perceptron:
    """Weights that move from wrong answers' features to right ones', and their average after the first epoch."""

    def __init__(self, start: Values, step: float) -> None:
        self.now = {name: np.array(value, dtype=np.float64) for name, value in start.items()}
        self.square = {name: np.ones_like(value) for name, value in self.now.items()}
        self.total = {name: np.zeros_like(value) for name, value in self.now.items()}
        self.step, self.count = step, 0

    def learn(self, right: Values, wrong: Values) -> None:
        """One AdaGrad step."""
        for name, value in self.now.items():
            move = right[name] - wrong[name]
            self.square[name] += move * move
            value += self.step * move / np.sqrt(self.square[name])

    def keep(self) -> None:
        """Counts the present weights in the average."""
        self.count += 1
        for name, value in self.now.items():
            self.total[name] += value

    @property
    def mean(self) -> Values:
        """The averaged weights."""
        return {name: value / max(1, self.count) for name, value in self.total.items()}


def _values(weights: ChordWeights | KeyWeights) -> Values:
    return {f.name: np.asarray(getattr(weights, f.name), dtype=np.float64) for f in fields(weights)}


def plain_start() -> ChordWeights:
    """Where learning starts: whatever sounds in the chord speaks for it, tones that are missing speak against it."""
    return ChordWeights(
        sound=np.full((6, 4), 2.0),
        bass=np.zeros(4),
        first_bass=np.array([1.0, 0.5, 0.0, 0.0]),
        missing=np.full(4, -1.0),
        quality_time=np.zeros(9),
        level=np.array([-1.0, -1.0, -2.0]),
        length=np.zeros(8),
        degree=np.zeros((2, 12, 9)),
        step=np.zeros((9, 12)),
        same=-1.0,
    )


def _chord_weights(values: Values) -> ChordWeights:
    return ChordWeights(**{**values, "same": float(values["same"])})  # type: ignore[arg-type]


def learn_chords(pieces: list[Analysed], start: ChordWeights, epochs: int, seed: int) -> ChordWeights:
    """Weights of the chord finder, keys by profiles."""
    ready = []
    for piece in pieces:
        grid = make_grid(piece.score)
        evidence = finder.gather_evidence(piece.score, grid, profile_key_segments(piece.score))
        ready.append((evidence, _label_slots(grid, piece.labels)[0]))
    learner, rng = Perceptron(_values(start), CHORD_STEP), np.random.default_rng(seed)
    for epoch in range(epochs):
        for index in rng.permutation(len(ready)):
            evidence, truth = ready[index]
            weights = _chord_weights(learner.now)
            fault = ROOT_COST * (ROOT_OF[None] != ROOT_OF[truth][:, None])
            fault = fault + QUALITY_COST * (QUALITY_OF[None] != QUALITY_OF[truth][:, None])
            sums = np.concatenate([np.zeros((1, len(ROOT_OF))), np.cumsum(fault * evidence.quarters[:, None], axis=0)])
            scores = finder.segment_scores(evidence, weights)
            for length in range(1, min(MAX_SLOTS, len(truth)) + 1):
                first = np.arange(len(truth) - length + 1)
                scores[first, length - 1] += sums[first + length] - sums[first]
            guess, right = finder.best_segments(scores, finder.transition_scores(weights)), _runs(truth)
            if guess != right:
                like = learner.now
                learner.learn(chord_features(evidence, right, like), chord_features(evidence, guess, like))
            if epoch > 0 or epochs == 1:
                learner.keep()
        print(f"chords: epoch {epoch + 1} of {epochs}", flush=True)
    return _chord_weights(learner.mean)


def key_features(chords: np.ndarray, sound: np.ndarray, keys: np.ndarray, like: Values) -> Values:
    """What each weight of the key finder is multiplied by for a path of keys."""
    found = {name: np.zeros_like(value) for name, value in like.items()}
    root, mode, tonic = ROOT_OF[chords], MODE[keys], TONIC[keys]
    degree = (root - tonic) % 12
    np.add.at(found["degree"], (mode, degree, QUALITY_OF[chords]), 1)
    np.add.at(found["pair"], (mode[1:], (root[:-1] - tonic[1:]) % 12, degree[1:]), 1)
    np.add.at(found["change"], (mode[:-1], mode[1:], (tonic[1:] - tonic[:-1]) % 12), 1)
    for row, m, t in zip(sound, mode, tonic, strict=True):
        found["sound"][m] += np.roll(row, -t)
    return found


def learn_keys(pieces: list[Analysed], weights: ChordWeights, epochs: int, seed: int) -> KeyWeights:
    """Weights of the key finder, over the chords that the chord finder gives with keys by profiles."""
    ready = []
    for piece in pieces:
        grid = make_grid(piece.score)
        evidence = finder.gather_evidence(piece.score, grid, profile_key_segments(piece.score))
        segments = finder.best_segments(finder.segment_scores(evidence, weights), finder.transition_scores(weights))
        starts, chords, sound = finder.chord_runs(evidence, segments)
        ends = np.append(starts[1:], len(evidence.key))
        middle = (grid.edges[starts] + grid.edges[ends]) // 2
        inside = np.searchsorted(grid.edges, middle, side="right") - 1
        quarters = np.add.reduceat(evidence.quarters, starts)
        ready.append((chords, sound, quarters, _label_slots(grid, piece.labels)[1][inside]))
    start = {name: np.zeros_like(value) for name, value in _values(KEY_WEIGHTS).items()}
    start["change"] -= 3.0
    start["change"][[0, 1], [0, 1], 0] = 0.0
    learner, rng = Perceptron(start, KEY_STEP), np.random.default_rng(seed)
    for epoch in range(epochs):
        for index in rng.permutation(len(ready)):
            chords, sound, quarters, truth = ready[index]
            emission, change = key_scores(ROOT_OF[chords], QUALITY_OF[chords], sound, KeyWeights(**learner.now))
            wrong = np.arange(len(ALL_KEYS))[None] != truth[:, None]
            guess = viterbi(emission + KEY_COST * quarters[:, None] * wrong, change)
            if (guess != truth).any():
                like = learner.now
                learner.learn(key_features(chords, sound, truth, like), key_features(chords, sound, guess, like))
            if epoch > 0 or epochs == 1:
                learner.keep()
    return KeyWeights(**learner.mean)


def _written(value: np.ndarray) -> str:
    """An array as nested tuples, two decimals."""
    if value.ndim == 0:
        return f"{float(value):.2f}"
    rows = ", ".join(_written(row) for row in value)
    return f"({rows})" if value.ndim == 1 else f"({rows},)"  # a last comma makes the formatter give each row a line


def write_weights(path: Path, name: str, weights: ChordWeights | KeyWeights) -> None:
    """Writes weights as the assignment that stands in the package's weights file."""
    rows = [
        f"    {key}={_written(value)},"
        if value.ndim == 0
        else f"    {key}=np.array({_written(value)}, dtype=np.float64),"
        for key, value in _values(weights).items()
    ]
    text = "\n".join([f"{name} = {type(weights).__name__}(", *rows, ")", ""])
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Reads the command line, learns, writes `chord_weights.txt` and `key_weights.txt`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of When in Rome")
    parser.add_argument("--leave-out", type=Path, help="file of works that must not be learned from")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only so many works")
    options = parser.parse_args()
    kept_out = set(options.leave_out.read_text(encoding="utf-8").split()) if options.leave_out else set()
    pairs = {n: p for n, p in when_in_rome_chorales(options.data).items() if n.split("/")[-1] not in kept_out}
    loaded = load_all(dict(list(pairs.items())[: options.limit]), options.workers)
    pieces = [p for p in loaded if isinstance(p, Analysed) and p.half == "tune"]
    pieces = with_textures(pieces, options.seed)
    chords = learn_chords(pieces, plain_start(), options.epochs, options.seed)
    keys = learn_keys(pieces, chords, options.epochs, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    write_weights(options.out / "chord_weights.txt", "WEIGHTS", chords)
    write_weights(options.out / "key_weights.txt", "KEY_WEIGHTS", keys)


if __name__ == "__main__":
    main()
