"""Themes drawn until one is its own: unlike the plan's others, in contrast with the first, with a shape, and new.

A draw that fails is drawn again; if none passes, the best ones are changed by rule (turned upside down, moved, slowed,
quickened) as long as they stay what the limits allow; the grammar's themes are the last resort. Something is always
found.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from math import gcd

import numpy as np
from jaxtyping import UInt32

from evaluation.originality import HASH_BITS, RunIndex
from music.harmony import figure
from music.plan import ENSEMBLES, Chord, PlanNote, Theme
from music.time import Meter
from planner.harmony_symbols import SYMBOLS, chord_of
from planner.theme_ahead import CLOSES, ThemeLimits, uniform_tables
from planner.theme_likeness import (
    ALIKE,
    Heard,
    alike,
    differences,
    heard_theme,
    likeness,
)
from planner.theme_scene import MAX_BAR, UNIT_DIV, ThemeScene, mean_pitch
from planner.theme_stream import ThemeWalker, symbol_tones, values_of
from planner.themes import CONTOURS, RANGES, ThemeWish, make_theme, scale_under

Draw = Callable[[ThemeWalker, ThemeLimits, np.random.Generator], list[int]]

CONTRASTS = 2  # in so many things a later letter's theme differs from the first
# Notes in a row that 90 of 100 held-out human themes share at most with a training theme: of themes up to 20 notes, of
# all. (1,141 themes of valid and test against 5,270: median 6, 95th percentile 11, most 24; in chorales 6, 8, 10.)
SHORT, MOST_SHARED_SHORT, MOST_SHARED = 20, 7, 9
_NEAREST = (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, 6)  # steps to a pitch, small ones first


def theme_index(themes: Iterable[Theme]) -> RunIndex:
    """The rows of notes of themes, hashed: three bytes a note when written (`RunIndex.write`)."""
    parts = [np.append(_hashes(heard_theme(theme)), np.uint32(0)) for theme in themes]
    return RunIndex(np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint32), {"of": "themes"})


def shared_run(theme: Theme, index: RunIndex) -> int:
    """The most notes in a row that a theme shares with one theme of an index, in any key and at any pace.

    Intervals and the ratios of the distances between onsets are the same. Two notes are always shared.
    """
    return int(index.run_lengths(_hashes(heard_theme(theme))).max(initial=0)) + min(2, len(theme.notes))


def _hashes(heard: Heard) -> UInt32[np.ndarray, " steps"]:
    """A hash of each three notes in a row: two intervals and the ratio of the distances of their onsets; never 0."""
    found = []
    onsets, pitches = heard.onsets, heard.pitches
    for i in range(len(onsets) - 2):
        first, second = onsets[i + 1] - onsets[i], onsets[i + 2] - onsets[i + 1]
        common = gcd(first, second)
        shape = (first // common, second // common, pitches[i + 1] - pitches[i], pitches[i + 2] - pitches[i + 1])
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
        walkers = []
        for _ in range(tries):
            walkers.append(ThemeWalker(scene))
            draw(walkers[-1], limits, rng)
            if judge.passes(_heard_walk(walkers[-1])):
                return walkers[-1].theme()
        found = [(judge.faults(theme), theme) for theme in (walker.theme() for walker in walkers)]
        best = sorted(found, key=lambda pair: pair[0])
        for theme in list(dict.fromkeys(theme for _, theme in best))[:3]:
            for changed in _changed(theme, scene):
                if judge.passes(heard_theme(changed)) and _allowed(changed, scene, limits):
                    return changed
    for theme in _plain_themes(scene, len(others), limits, rng):
        faults, nearest = judge.faults(theme)
        found.append(((faults + 2 * (limits is not None and not _allowed(theme, scene, limits)), nearest), theme))
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
    def _heard_others(self) -> tuple[Heard, ...]:
        return tuple(heard_theme(other) for other in self.others)

    def passes(self, heard: Heard) -> bool:
        """Whether nothing is wrong; the same as no faults, but told as soon as may be."""
        others = self._heard_others
        return (
            (not others or _enough(differences(heard, others[0])))
            and heard.has_shape
            and not any(alike(heard, other, self.meter) for other in others)
            and not self._is_copy(heard)
        )

    def faults(self, theme: Theme) -> tuple[int, float]:
        """A number that grows with the faults' gravity, 0 for none, and the greatest likeness to another theme."""
        heard, others = heard_theme(theme), self._heard_others
        nearest = max((likeness(heard, other, self.meter) for other in others), default=0.0)
        faults = 8 * (nearest >= ALIKE) + 4 * self._is_copy(heard)
        faults += 2 * (len(others) > 0 and not _enough(differences(heard, others[0])))
        return faults + (not heard.has_shape), nearest

    def _is_copy(self, heard: Heard) -> bool:
        """Whether it shares more notes in a row with a known theme than `MOST_SHARED`; see `shared_run`."""
        count = len(heard.pitches)
        most = MOST_SHARED_SHORT if count <= SHORT else MOST_SHARED
        if self.index is None or count <= most:
            return False
        return self.index.has_run(_hashes(heard), most + 1 - min(2, count))


def _enough(contrasts: Iterator[str]) -> bool:
    """Whether there are `CONTRASTS`; no more are looked for."""
    return sum(1 for _ in islice(contrasts, CONTRASTS)) == CONTRASTS


def _heard_walk(walker: ThemeWalker) -> Heard:
    """What is heard of a walk's theme, without the theme; at least a note."""
    return Heard(
        [onset * UNIT_DIV for onset in walker.onsets],
        [duration * UNIT_DIV for duration in walker.durations],
        [walker.pitch_of(value) for value in walker.pitches],
        walker.bars,
        walker.scene.key.minor,
    )


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
