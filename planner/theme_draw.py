"""Themes drawn until one is its own: unlike the plan's others, in contrast with the first, with a shape, and new.

A draw that fails is drawn again; if none passes, the best ones are changed by rule (turned upside down, moved, slowed,
quickened) as long as they stay what the limits allow; the grammar's themes are the last resort. Something is always
found.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import groupby, pairwise
from math import gcd

import numpy as np
from jaxtyping import Float, Int64, UInt32

from evaluation.originality import HASH_BITS, RunIndex
from music.harmony import figure
from music.plan import ENSEMBLES, Chord, PlanNote, Theme
from music.time import Meter
from planner.harmony_symbols import SYMBOLS, chord_of
from planner.theme_ahead import CLOSES, ThemeLimits, uniform_tables
from planner.theme_scene import MAX_BAR, UNIT_DIV, ThemeScene, mean_length, mean_pitch
from planner.theme_stream import ThemeWalker, symbol_tones, values_of
from planner.themes import CONTOURS, RANGES, ThemeWish, make_theme, scale_under

Draw = Callable[[ThemeWalker, ThemeLimits, np.random.Generator], list[int]]

ALIKE = 0.6  # of `theme_similarity`: from here on two themes are one
LEAST_NOTES = 4
CONTRASTS = 2  # in so many things a later letter's theme differs from the first
# Notes in a row that 90 of 100 held-out human themes share at most with a training theme: of themes up to 20 notes, of
# all. (1,141 themes of valid and test against 5,270: median 6, 95th percentile 11, most 24; in chorales 6, 8, 10.)
SHORT, MOST_SHARED_SHORT, MOST_SHARED = 20, 7, 9
_STEP_DIV = 6 * UNIT_DIV  # a sixteenth
_BLUR = 0.5  # weight of the sixteenths beside an onset
_OCTAVE = 12
_SHIFTS = np.arange(-_OCTAVE, _OCTAVE + 1)
_RUN = 3  # steps from note to note that make a figure
_RATIO = 1.25
_NEAREST = (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, 6)  # steps to a pitch, small ones first
_REGISTER = 3.0  # semitones between mean pitches
_TREND = 0.5  # correlation of pitch with time from which a line has a direction
_SHAPES = {
    "arch": (-1.0, 0.4, 1.0, 0.4, -1.0),
    "fall": (1.0, 0.5, 0.0, -0.5, -1.0),
    "rise": (-1.0, -0.5, 0.0, 0.5, 1.0),
    "wave": (-1.0, 1.0, -0.5, 1.0, -1.0),
    "cup": (1.0, -0.4, -1.0, -0.4, 1.0),
}


def theme_similarity(a: Theme, b: Theme, meter: Meter) -> float:
    """How alike two themes of one meter are, 0..1, in any key: the larger of two likenesses.

    The first is `music.analysis.similarity`'s: cosine of onset rolls on sixteenths, blurred by one, at the best
    transposition up to an octave, over the bars of the shorter theme from the first downbeat on. The second hears
    figures wherever they stand: of the different rows of four notes (intervals and distances of onsets) of the theme
    that has fewer, the share that the other has too.

    Of 8,018 pairs of different letters of one real plan (the first six letters of 1,251 plans) the median is 0.22, the
    75th percentile 0.32, the 90th 0.50, the 95th 0.75, and 7 % reach 0.6: letters that the analysis failed to join.
    """
    return _likeness(_heard(a), _heard(b), meter)


def _likeness(left: _Heard, right: _Heard, meter: Meter) -> float:
    end_div = min(left.theme.bars, right.theme.bars) * meter.bar_div
    fewer = min(len(left.figures), len(right.figures))
    shared = len(left.figures & right.figures) / fewer if fewer else 0.0
    return max(_cosine(left.roll(end_div), right.roll(end_div)), shared)


@lru_cache(maxsize=256)
def _heard(theme: Theme) -> _Heard:
    return _Heard(theme)


class _Heard:
    """What is compared of a theme, made once."""

    def __init__(self, theme: Theme) -> None:
        self.theme = theme
        self._rolls: dict[int, _Roll] = {}

    def roll(self, end_div: int) -> _Roll:
        """Its roll up to a place."""
        if end_div not in self._rolls:
            self._rolls[end_div] = _roll(self.theme, end_div)
        return self._rolls[end_div]

    @cached_property
    def figures(self) -> set[tuple[tuple[int, int], ...]]:
        """Its different figures: rows of intervals with distances of onsets."""
        steps = [(b.pitch - a.pitch, b.onset_div - a.onset_div) for a, b in pairwise(self.theme.notes)]
        return {tuple(steps[i : i + _RUN]) for i in range(len(steps) - _RUN + 1)}

    @cached_property
    def contour(self) -> str:
        """See `contour`."""
        return contour(self.theme)


@dataclass(frozen=True)
class _Roll:
    """Weights of pitches by sixteenth.

    Args:
        dense: [sixteenths, pitches], an octave of silence below and above.
        steps, pitches, weights: of each place of `dense` that is not 0; a column's index is an octave above its pitch.
        power: sum of the squared weights.
    """

    dense: Float[np.ndarray, "sixteenths heights"]
    steps: Int64[np.ndarray, "places 1"]
    pitches: Int64[np.ndarray, "places 1"]
    weights: Float[np.ndarray, " places"]
    power: float


def _roll(theme: Theme, end_div: int) -> _Roll:
    count = -(-end_div // _STEP_DIV)
    inside = [n for n in theme.notes if 0 <= n.onset_div < end_div]
    at = np.array([min(count - 1, (n.onset_div + _STEP_DIV // 2) // _STEP_DIV) + 1 for n in inside], dtype=np.int64)
    pitches = np.array([n.pitch + _OCTAVE for n in inside], dtype=np.int64)
    dense = np.zeros((count + 2, 128 + 2 * _OCTAVE))  # with a sixteenth before and after
    dense[at - 1, pitches] = dense[at + 1, pitches] = _BLUR
    dense[at, pitches] = 1.0
    dense = dense[1:-1]
    steps, heights = dense.nonzero()
    weights = dense[steps, heights]
    return _Roll(dense, steps[:, None], heights[:, None], weights, float(weights @ weights))


def _cosine(left: _Roll, right: _Roll) -> float:
    """Cosine at the best transposition up to an octave; sums of quarters are exact in whatever order."""
    norm = left.power * right.power
    if not norm:
        return 0.0
    dots = left.weights @ right.dense[left.steps, left.pitches + _SHIFTS]
    return min(1.0, float(dots.max()) / norm**0.5)


def unlike(theme: Theme, others: Iterable[Theme], meter: Meter) -> bool:
    """Whether a theme is alike (`ALIKE`) to none of the others."""
    return all(theme_similarity(theme, other, meter) < ALIKE for other in others)


def contrasts(a: Theme, b: Theme) -> frozenset[str]:
    """In what two themes of one meter differ.

    "register": mean pitches `_REGISTER` semitones apart or more. "rhythm": the commonest note value is another, or
    mean lengths have a ratio of `_RATIO` or more. "mode". "density": notes a bar have such a ratio. "contour": the
    shape is another (`contour`). Rhythm and density mostly go together, but not where one theme has rests.
    """
    found = set()
    if abs(mean_pitch(a) - mean_pitch(b)) >= _REGISTER:
        found.add("register")
    if _value(a) != _value(b) or _far(mean_length(a), mean_length(b)):
        found.add("rhythm")
    if a.key.minor != b.key.minor:
        found.add("mode")
    if _far(len(a.notes) / a.bars, len(b.notes) / b.bars):
        found.add("density")
    if _heard(a).contour != _heard(b).contour:
        found.add("contour")
    return frozenset(found)


def _far(a: float, b: float) -> bool:
    return max(a, b) >= _RATIO * min(a, b)


def _value(theme: Theme) -> int:
    """The commonest note value, the shorter of two."""
    lengths = [n.duration_div for n in theme.notes]
    return min(set(lengths), key=lambda d: (-lengths.count(d), d))


def contour(theme: Theme) -> str:
    """Which of `planner.themes.CONTOURS` the mean pitches of a theme's fifths follow best."""
    start = theme.notes[0].onset_div
    length = theme.notes[-1].onset_div + theme.notes[-1].duration_div - start
    sums, weights = np.zeros(5), np.zeros(5)
    for note in theme.notes:
        part = min(4, 5 * (2 * (note.onset_div - start) + note.duration_div) // (2 * length))
        sums[part] += note.pitch * note.duration_div
        weights[part] += note.duration_div
    heard = np.flatnonzero(weights)
    line = np.interp(np.arange(5), heard, sums[heard] / weights[heard])
    line -= line.mean()
    return max(CONTOURS, key=lambda name: float(_UNITS[name] @ line))


def _unit(shape: np.ndarray) -> np.ndarray:
    moved = shape - shape.mean()
    return moved / np.linalg.norm(moved)


_UNITS = {name: _unit(np.array(shape)) for name, shape in _SHAPES.items()}


def has_shape(theme: Theme) -> bool:
    """Whether a line is one to remember: four notes, three pitches, and one summit or a direction; no drone.

    The highest pitch is reached once (struck again at once counts as the same), or pitch goes with time; no more than
    half of the notes repeat the one before. Of real themes 77 % are so.
    """
    pitches = [n.pitch for n in theme.notes]
    if len(pitches) < LEAST_NOTES or len(set(pitches)) < 3:
        return False
    if 2 * sum(a == b for a, b in pairwise(pitches)) > len(pitches):
        return False
    summits = sum(pitch == max(pitches) for pitch, _ in groupby(pitches))
    return summits == 1 or abs(float(np.corrcoef(np.arange(len(pitches)), pitches)[0, 1])) >= _TREND


def theme_index(themes: Iterable[Theme]) -> RunIndex:
    """The rows of notes of themes, hashed: three bytes a note when written (`RunIndex.write`)."""
    parts = [np.append(_hashes(theme), np.uint32(0)) for theme in themes]
    return RunIndex(np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint32), {"of": "themes"})


def shared_run(theme: Theme, index: RunIndex) -> int:
    """The most notes in a row that a theme shares with one theme of an index, in any key and at any pace.

    Intervals and the ratios of the distances between onsets are the same. Two notes are always shared.
    """
    return int(index.run_lengths(_hashes(theme)).max(initial=0)) + min(2, len(theme.notes))


def _hashes(theme: Theme) -> UInt32[np.ndarray, " steps"]:
    """A hash of each three notes in a row: two intervals and the ratio of the distances of their onsets; never 0."""
    found = []
    for a, b, c in zip(theme.notes, theme.notes[1:], theme.notes[2:], strict=False):
        first, second = b.onset_div - a.onset_div, c.onset_div - b.onset_div
        common = gcd(first, second)
        shape = (first // common, second // common, b.pitch - a.pitch, c.pitch - b.pitch)
        value = 0
        for number in shape:
            value = (value * 1_000_003 + (number & 0xFFFF) + 1) & 0xFFFF_FFFF_FFFF
        found.append((value ^ value >> HASH_BITS) & ((1 << HASH_BITS) - 1) or 1)
    return np.array(found, dtype=np.uint32)


def draw_theme(
    draw: Draw,
    scene: ThemeScene,
    others: Sequence[Theme],
    rng: np.random.Generator,
    *,
    tables: Mapping[str, np.ndarray] | None = None,
    span: tuple[int, int] | None = None,
    upbeats: Sequence[int] | None = None,
    index: RunIndex | None = None,
    tries: int = 12,
    grid: int = 1,
) -> Theme:
    """A theme of the letter that `scene` is about.

    Args:
        draw: leads a walker that has just begun to its end under the limits, and gives the values that it took.
        scene: what stands above the theme.
        others: themes that the plan has, the first letter's first.
        rng: chance, for the draws and what may replace them.
        tables: of the limits; None: `uniform_tables`.
        span: lowest and highest pitch; None: the ensemble's.
        upbeats: as for `ThemeLimits`.
        index: themes to be no copy of; None: nothing is compared.
        tries: draws at most.
        grid: as for `ThemeLimits`: a composer writes on sixteenths or on their triplets, not on both.

    Returns:
        The first draw that passes: unlike the others (`unlike`), in contrast with the first (`contrasts`), with a shape
        (`has_shape`), and with no more notes in a row from one training theme than most human themes have. Else a
        changed one that passes, else one by the grammar, else the one with the least grave faults.
    """
    span = span or RANGES[ENSEMBLES[max(0, scene.ensemble - 1)]][:2]
    judge = _Judge(scene.meter, tuple(others), index)
    limits = _limits(scene, tables, span, upbeats, grid)
    found: list[tuple[tuple[int, float], Theme]] = []
    if limits is not None:
        for _ in range(tries):
            walker = ThemeWalker(scene)
            draw(walker, limits, rng)
            theme = walker.theme()
            found.append((judge.faults(theme), theme))
            if not found[-1][0][0]:
                return theme
        best = sorted(found, key=lambda pair: pair[0])
        for theme in list(dict.fromkeys(theme for _, theme in best))[:3]:
            for changed in _changed(theme, scene):
                if not judge.faults(changed)[0] and _allowed(changed, scene, limits):
                    return changed
    for theme in _plain_themes(scene, len(others), limits, rng):
        faults, likeness = judge.faults(theme)
        found.append(((faults + 2 * (limits is not None and not _allowed(theme, scene, limits)), likeness), theme))
        if not found[-1][0][0]:
            return theme
    return min(found, key=lambda pair: pair[0])[1]


@dataclass(frozen=True)
class _Judge:
    """Says what is wrong with a theme."""

    meter: Meter
    others: tuple[Theme, ...]
    index: RunIndex | None

    @cached_property
    def _heard_others(self) -> tuple[_Heard, ...]:
        return tuple(_heard(other) for other in self.others)

    def faults(self, theme: Theme) -> tuple[int, float]:
        """A number that grows with the faults' gravity, 0 for none, and the greatest likeness to another theme."""
        heard = _heard(theme)
        likeness = max((_likeness(heard, other, self.meter) for other in self._heard_others), default=0.0)
        faults = 8 * (likeness >= ALIKE) + 4 * self._is_copy(theme)
        faults += 2 * (len(self.others) > 0 and len(contrasts(theme, self.others[0])) < CONTRASTS)
        return faults + (not has_shape(theme)), likeness

    def _is_copy(self, theme: Theme) -> bool:
        most = MOST_SHARED_SHORT if len(theme.notes) <= SHORT else MOST_SHARED
        return self.index is not None and shared_run(theme, self.index) > most


def _limits(
    scene: ThemeScene,
    tables: Mapping[str, np.ndarray] | None,
    span: tuple[int, int],
    upbeats: Sequence[int] | None,
    grid: int,
) -> ThemeLimits | None:
    """The limits, with plain tables where the given ones know no theme of the meter; None where there is none."""
    if scene.bar > MAX_BAR:
        return None
    for known in (tables, None):
        try:
            return ThemeLimits(scene, uniform_tables() if known is None else known, span, upbeats=upbeats, grid=grid)
        except ValueError:
            continue
    return None


def _allowed(theme: Theme, scene: ThemeScene, limits: ThemeLimits) -> bool:
    """Whether a theme keeps the limits from its first value to its last."""
    values = values_of(theme, scene)
    if values is None:
        return False
    walker = ThemeWalker(scene)
    for value in values:
        weights = limits.weights(walker)
        if weights is not None and not weights[value] > 0:
            return False
        walker.push(value)
    return True


def _changed(theme: Theme, scene: ThemeScene) -> Iterator[Theme]:
    """A theme changed by rule, in a settled order; on beats its notes are those of the chords again."""
    middle = round(mean_pitch(theme))
    end = theme.bars * scene.meter.bar_div
    turned = [replace(n, pitch=2 * middle - n.pitch) for n in theme.notes]
    back = [replace(n, pitch=m.pitch) for n, m in zip(theme.notes, reversed(theme.notes), strict=True)]
    slow = [replace(n, onset_div=2 * n.onset_div, duration_div=2 * n.duration_div) for n in theme.notes]
    quick = [
        PlanNote(n.onset_div // 2 + shift, n.duration_div // 2, n.pitch + rise)
        for shift, rise in ((0, 0), (end // 2, 2))
        for n in theme.notes
        if n.onset_div >= 0
    ]
    moved = [[replace(n, pitch=n.pitch + by) for n in theme.notes] for by in (4, -4, 7, -7, 12, -12)]
    slow = [replace(n, duration_div=min(n.duration_div, end - n.onset_div)) for n in slow if 0 <= n.onset_div < end]
    for notes in (turned, back, *moved, slow, quick):
        for final in (notes, [replace(n, pitch=2 * middle - n.pitch) for n in notes]):
            if final and min(n.pitch for n in final) >= 6 and max(n.pitch for n in final) <= 121:
                yield replace(theme, notes=_refitted(final, scene, theme.bars))


def _refitted(notes: Sequence[PlanNote], scene: ThemeScene, bars: int) -> tuple[PlanNote, ...]:
    """Notes of the scale; on beats, of the chord; the last one as the cadence has it; each the nearest such."""
    closing = CLOSES.get(scene.closes(bars) or "")
    found = []
    for index, note in enumerate(notes):
        pcs = _chord_pcs(scene, note.onset_div // UNIT_DIV)
        if not pcs or scene.meter.strength(note.onset_div) < 0.5:
            pcs = scale_under(scene.key, pcs)
        if index == len(notes) - 1 and closing:
            pcs = tuple((pc + scene.key.pc) % 12 for pc in closing)
        pitch = next(note.pitch + step for step in _NEAREST if (note.pitch + step) % 12 in pcs)
        found.append(replace(note, pitch=pitch))
    return tuple(found)


def _chord_pcs(scene: ThemeScene, unit: int) -> tuple[int, ...]:
    """Pitch classes of the chord at a place, none where it is not known."""
    index = bisect_right(scene.chords, (unit, SYMBOLS)) - 1
    bits = symbol_tones()[scene.chords[index][1]] if index >= 0 else 0
    return tuple((pc + scene.key.pc) % 12 for pc in range(12) if bits >> pc & 1)


def _plain_themes(
    scene: ThemeScene, number: int, limits: ThemeLimits | None, rng: np.random.Generator
) -> Iterator[Theme]:
    """Themes by the grammar, ever further from the usual density; those that keep the limits first of each pair."""
    chords = tuple(_chords(scene))
    bars = limits.bars[0] if limits else max(1, min(4, scene.bars))
    upbeat = limits.upbeats[0] if limits else 0
    for attempt in range(24):
        wish = ThemeWish(
            label=scene.label,
            key=scene.key,
            meter=scene.meter,
            tempo_qpm=scene.tempo_qpm,
            bars=bars,
            chords=chords,
            cadence=scene.closes(bars),
            ensemble=ENSEMBLES[max(0, scene.ensemble - 1)],
            density=(1.35, 1.0, 1.8, 0.8, 2.3)[(number + attempt) % 5] * (1.5 if scene.meter.is_compound else 1.0),
            shift=(0.0, 3.0, -3.0, 1.0, -1.0)[(number + attempt // 5) % 5],
            contour=CONTOURS[(number + attempt) % len(CONTOURS)],
        )
        theme = make_theme(wish, rng)[0]
        if upbeat:
            low = min((theme.notes[0].pitch - n for n in range(1, 13)), key=lambda p: (p - scene.key.pc - 7) % 12 != 0)
            theme = replace(theme, notes=(PlanNote(-upbeat * UNIT_DIV, upbeat * UNIT_DIV, low), *theme.notes))
        yield theme


def _chords(scene: ThemeScene) -> Iterator[Chord]:
    """The section's chords; the tonic where none are known."""
    end = scene.bars * scene.meter.bar_div // UNIT_DIV
    third = "min" if scene.key.minor else "maj"
    pieces = [(at, chord_of(symbol, scene.key)) for at, symbol in scene.chords] or [
        (0, (scene.key.pc, third, scene.key.pc))
    ]
    for index, (onset, (root, quality, bass)) in enumerate(pieces):
        stop = pieces[index + 1][0] if index + 1 < len(pieces) else end
        if stop > onset:
            name = figure(root, quality, bass, scene.key)
            yield Chord(onset * UNIT_DIV, (stop - onset) * UNIT_DIV, root, quality, bass, name)
