"""Features of two-bar windows for the judge: what can be counted of a passage, the same in every key.

Notes are put on a grid of sixteenths first, people's and ours alike, so that nobody is known by how finely his file was
written. Each group of features is a small function that returns named numbers; shares add up to 1 within their group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from jaxtyping import Bool, Float

from music.analysis.bars import WholeBar, whole_bars
from music.analysis.key import log_profiles
from music.score import Note, Score
from music.time import DIVS_PER_QUARTER, Meter

STEP_DIV = DIVS_PER_QUARTER // 4
BARS = 2
LEAPS = (0, 1, 2, 4, 7, 12)  # upper bounds of classes of intervals in semitones; the last class is open
LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16)  # upper bounds of classes of durations in sixteenths
CHORDS = {"major": {0, 4, 7}, "minor": {0, 3, 7}, "dim": {0, 3, 6}, "dom7": {0, 4, 7, 10}, "min7": {0, 3, 7, 10}}
Named = dict[str, float]


@dataclass(frozen=True)
class Window:
    """A passage on a grid of sixteenths.

    Args:
        play, strike: what sounds and what begins, [steps, 128].
        meter: at its start.
        bar_steps: of its first bar.
        lengths: duration in steps of each note that begins.
        frames: sounding pitches of each step from the lowest up.
    """

    play: Bool[np.ndarray, "steps 128"]
    strike: Bool[np.ndarray, "steps 128"]
    meter: Meter
    bar_steps: int
    lengths: tuple[int, ...]
    frames: tuple[tuple[int, ...], ...]

    @property
    def quarters(self) -> float:
        """Length in quarter notes."""
        return len(self.play) / 4


def _step(div: int) -> int:
    return (div + STEP_DIV // 2) // STEP_DIV


def make_window(notes: Iterable[Note], bars: Sequence[WholeBar], meter: Meter) -> Window:
    """The window of neighbouring bars; `notes` are the score's."""
    start, steps = bars[0].onset_div, _step(bars[-1].end_div - bars[0].onset_div)
    play, strike = np.zeros((steps, 128), dtype=np.bool_), np.zeros((steps, 128), dtype=np.bool_)
    lengths: list[int] = []
    for note in notes:
        if note.duration_div > 0:
            first, last = _step(note.onset_div - start), _step(note.end_div - start)
            last = max(last, first + 1)
            play[max(0, first) : max(0, last), note.pitch] = True
            if 0 <= first < steps:
                strike[first, note.pitch] = True
                lengths.append(last - first)
    frames = tuple(tuple(np.flatnonzero(row).tolist()) for row in play)
    return Window(play, strike, meter, _step(bars[0].duration_div), tuple(lengths), frames)


def _shares(name: str, counts: Sequence[int] | np.ndarray) -> Named:
    values = np.asarray(counts, dtype=np.float64)
    total = float(values.sum())
    return {f"{name} {i}": v / total if total else 0.0 for i, v in enumerate(values.tolist())}


def _classes(values: Iterable[int], bounds: Sequence[int]) -> Float[np.ndarray, " classes"]:
    places = np.searchsorted(np.array(bounds), np.array(list(values), dtype=np.int64))
    return np.bincount(places, minlength=len(bounds) + 1).astype(np.float64)


def _density(window: Window) -> Named:
    struck = window.strike.sum(axis=1)
    count = np.array([len(f) for f in window.frames])
    onsets = np.flatnonzero(struck)
    return {
        "notes a quarter": float(struck.sum() / window.quarters),
        "onsets a quarter": float(len(onsets) / window.quarters),
        **_shares("notes at once", np.bincount(np.minimum(count, 7), minlength=8)),
        **_shares("notes struck at once", np.bincount(np.minimum(struck[onsets], 5), minlength=6)[1:]),
    }


def _rhythm(window: Window) -> Named:
    onsets = np.flatnonzero(window.strike.any(axis=1))
    strength = [window.meter.strength(int(s) % window.bar_steps * STEP_DIV) for s in onsets]
    levels = (0.125, 0.25, 0.5, 0.75, 1.0)
    rhythm = np.asarray(window.strike.any(axis=1))
    halves = rhythm[: window.bar_steps], rhythm[window.bar_steps : 2 * window.bar_steps]
    size = min(len(h) for h in halves)
    both = int((halves[0][:size] & halves[1][:size]).sum())
    return {
        **_shares("onset in quarter", np.bincount(onsets % 4, minlength=4)),
        **_shares("onset strength", [sum(s == level for s in strength) for level in levels]),
        **_shares("note length", _classes(window.lengths, LENGTHS)),
        **_shares("onset to onset", _classes(np.diff(onsets).tolist(), LENGTHS)),
        "same rhythm in both bars": 2 * both / max(1, int(rhythm.sum())),
    }


def _line(name: str, pitches: Sequence[int]) -> Named:
    moves = np.diff(np.array(pitches, dtype=np.int64))
    return {
        **_shares(f"{name} moves by", _classes(np.abs(moves).tolist(), LEAPS)),
        f"{name} rises": float((moves > 0).mean()) if len(moves) else 0.0,
        f"{name} turns": float((moves[1:] * moves[:-1] < 0).mean()) if len(moves) > 1 else 0.0,
        f"{name} spans": float(max(pitches) - min(pitches)) if pitches else 0.0,
    }


def _lines(window: Window) -> Named:
    struck = [np.flatnonzero(row) for row in window.strike]
    top = [max(s.tolist()) for s, f in zip(struck, window.frames, strict=True) if len(s) and s.max() == f[-1]]
    low = [min(s.tolist()) for s, f in zip(struck, window.frames, strict=True) if len(s) and s.min() == f[0]]
    sounding = [p for f in window.frames for p in f]
    return {
        **_line("top", top),
        **_line("bass", low),
        "mean pitch": float(np.mean(sounding)) if sounding else 60.0,
        "spread of pitch": float(np.std(sounding)) if sounding else 0.0,
        "top pitch": float(np.mean(top)) if top else 60.0,
        "bass pitch": float(np.mean(low)) if low else 60.0,
    }


def _vertical(window: Window) -> Named:
    above, pairs, gaps, strong = np.zeros(12), np.zeros(7), np.zeros(len(LEAPS) + 1), np.zeros(2)
    doubled = heard = 0
    for step, frame in enumerate(window.frames):
        np.add.at(above, [(p - frame[0]) % 12 for p in frame[1:]], 1)
        np.add.at(gaps, np.searchsorted(LEAPS, [b - a for a, b in pairwise(frame)]), 1)
        classes = [min((b - a) % 12, (a - b) % 12) for a, b in combinations(frame, 2)]
        np.add.at(pairs, classes, 1)
        heard += len(frame)
        doubled += len(frame) - len({p % 12 for p in frame})
        if window.meter.strength(step % window.bar_steps * STEP_DIV) >= 0.5:
            strong += [sum(c in (1, 2, 6) for c in classes), len(classes)]
    return {
        **_shares("above the bass", above),
        **_shares("pairs of interval class", pairs),
        **_shares("gap between neighbours", gaps),
        "dissonance on beats": float(strong[0] / strong[1]) if strong[1] else 0.0,
        "doubled pitch classes": doubled / heard if heard else 0.0,
    }


def _chords(window: Window) -> Named:
    kinds = dict.fromkeys((*CHORDS, "one or two", "other"), 0.0)
    for frame in window.frames:
        classes = {p % 12 for p in frame}
        names = [n for n, c in CHORDS.items() if any({(p - r) % 12 for p in classes} == c for r in classes)]
        kinds[names[0] if names else "one or two" if len(classes) < 3 else "other"] += 1
    rows = [f for f, before in zip(window.frames, (None, *window.frames), strict=False) if f and f != before]
    return {
        **{f"sounds as {name}": value / max(1, len(window.frames)) for name, value in kinds.items()},
        "changes a quarter": len(rows) / window.quarters,
        **_motion(rows),
    }


def _motion(rows: Sequence[tuple[int, ...]]) -> Named:
    kinds = np.zeros(4)
    parallels = moves = 0
    for before, after in pairwise(rows):
        low, high = after[0] - before[0], after[-1] - before[-1]
        kinds[0 if low == high == 0 else 1 if low * high == 0 else 2 if low * high > 0 else 3] += 1
        if len(before) == len(after):
            for i, j in combinations(range(len(before)), 2):
                moves += 1
                same = (before[j] - before[i]) % 12 == (after[j] - after[i]) % 12 and before[i] != after[i]
                parallels += same and (before[j] - before[i]) % 12 in (0, 7)
    return {**_shares("outer voices move", kinds), "parallel fifths and octaves": parallels / moves if moves else 0.0}


def _tonality(window: Window) -> Named:
    weight = np.array([sum(p % 12 == pc for f in window.frames for p in f) for pc in range(12)], dtype=np.float64)
    share = weight / weight.sum() if weight.sum() else np.full(12, 1 / 12)
    key = int((log_profiles() @ share).argmax())
    present = share[share > 0]
    return {
        **_shares("degree", np.roll(share, -(key % 12))),
        "minor": float(key >= 12),
        "entropy of pitch classes": float(-(present * np.log2(present)).sum()),
        "fit of the key": float((log_profiles() @ share).max()),
    }


def _repetition(window: Window) -> Named:
    struck = int(window.strike.sum())
    again = window.strike[1:] & window.play[:-1]
    others = window.play[1:] == window.play[:-1]
    stutter = again.any(axis=1) & others.all(axis=1) & (window.strike[1:].sum(axis=1) < window.play[1:].sum(axis=1))
    size = min(window.bar_steps, len(window.strike) - window.bar_steps)
    one = window.strike[:size].astype(np.float64)
    two = window.strike[window.bar_steps :][:size].astype(np.float64)
    norm = float(np.linalg.norm(one) * np.linalg.norm(two))
    return {
        "struck again": float(again.sum() / struck) if struck else 0.0,
        "restruck ties": float((again & stutter[:, None]).sum() / struck) if struck else 0.0,
        "second bar like the first": float((one * two).sum()) / norm if norm else 0.0,
    }


GROUPS: tuple[Callable[[Window], Named], ...] = (
    _density, _rhythm, _lines, _vertical, _chords, _tonality, _repetition,
)  # fmt: skip


def window_features(window: Window) -> Named:
    """All features of a window by name."""
    return {name: value for group in GROUPS for name, value in group(window).items()}


def piece_windows(score: Score, *, most: int | None = None) -> Float[np.ndarray, "windows features"]:
    """Features of every two neighbouring whole bars that are full and in which something is struck.

    Args:
        score: the piece.
        most: windows that are kept, evenly spaced over the piece; None: all.
    """
    bars = whole_bars(score)
    full = [b.duration_div >= score.meter_at(b.onset_div).bar_div for b in bars]
    places = [i for i in range(len(bars) - BARS + 1) if all(full[i : i + BARS])]
    if most is not None and len(places) > most:
        places = [places[int(p)] for p in np.linspace(0, len(places) - 1, most)]
    onsets = np.array([n.onset_div for n in score.notes])
    ends = np.maximum.accumulate([n.end_div for n in score.notes]) if score.notes else onsets
    rows = []
    for place in places:
        chosen = bars[place : place + BARS]
        first = int(np.searchsorted(ends, chosen[0].onset_div, side="right"))
        last = int(np.searchsorted(onsets, chosen[-1].end_div))
        window = make_window(score.notes[first:last], chosen, score.meter_at(chosen[0].onset_div))
        if window.strike.any():
            rows.append(list(window_features(window).values()))
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(feature_names()))


def feature_names() -> tuple[str, ...]:
    """Names of the columns of `piece_windows`."""
    empty = np.zeros((32, 128), dtype=np.bool_)
    return tuple(window_features(Window(empty, empty, Meter(4, 4), 16, (), ((),) * 32)))
