"""A real piece as a Plan: what a planner would have had to say for a composer to write it.

A plan counts whole bars of one meter. Phrases that begin with an upbeat do not lie on bar lines; their ends are moved
to the nearest one (a tie to the later), and phrases that vanish by this are joined. The bars of a score that does not
fit (several meters, odd bars) are refused with `PlanError`; a last bar cut short by the upbeat counts as full.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from music.analysis.arrays import NoteArrays, note_arrays
from music.analysis.bar_texture import bar_textures
from music.analysis.bars import PlanBars, plan_bars
from music.analysis.cadence import find_cadence
from music.analysis.chords import Harmony, analyse_harmony, merge_chords
from music.analysis.melody import melody_line
from music.analysis.phrases import fermata_ends, infer_phrase_ends
from music.analysis.sections import EXACT, SAME, SectionSpan, label_sections, section_bounds
from music.analysis.signs import bounds_between_signs, lettered, phrase_fermatas, signed_places
from music.analysis.similarity import BarProducts, bar_products
from music.harmony import figure
from music.pitch import Key
from music.plan import DYNAMICS, TEMPO_RANGE, Chord, Phrase, Plan, PlanNote, Section, Theme
from music.score import KeyChange, Score
from music.time import DIVS_PER_QUARTER

DEFAULT_TEMPO = 90.0
MAX_THEME_BARS = 4
LONGEST_JOINED = 4  # bars; inferred phrases without a cadence are joined up to this length


@dataclass(frozen=True)
class _Analysis:
    """What the parts of a plan are read from: `bounds` are phrase bounds in plan bars, `ends` their true onsets.

    `marked` says that the phrases are those of the fermatas, `signs` at which bars the score itself has a new part.
    """

    score: Score
    bars: PlanBars
    notes: NoteArrays
    harmony: Harmony
    marked: bool
    ends: dict[int, int]
    bounds: tuple[int, ...]
    products: BarProducts
    signs: tuple[int, ...]


def plan_of_score(score: Score, *, style: str = "", ensemble: str = "satb") -> Plan:
    """The plan of a real piece.

    Args:
        score: a piece of one meter.
        style: style tag of the plan.
        ensemble: one of `music.plan.ENSEMBLES`.

    Raises:
        PlanError: the score's bars do not make a plan (`music.analysis.bars.plan_bars`), or it has no notes.
    """
    analysis = _read(score)
    spans = _find_sections(analysis)
    if not analysis.marked:
        analysis = replace(analysis, bounds=_join_phrases(analysis, spans))
    themes = _themes(analysis, spans)
    letters = {t.label for t in themes}
    return Plan(
        title=score.title,
        style=style,
        ensemble=ensemble,
        key=home_key(analysis.harmony.keys, score.end_div),
        meter=analysis.bars.meter,
        pickup_div=analysis.bars.pickup_div,
        tempo_qpm=_tempo(score),
        sections=tuple(_section(analysis, span, letters) for span in spans),
        themes=themes,
    )


def _read(score: Score) -> _Analysis:
    bars = plan_bars(score)
    harmony = analyse_harmony(score)
    marked = phrase_fermatas(score)
    ends = {bars.nearest_bar(e): e for e in marked or infer_phrase_ends(score, harmony=harmony)}
    signs = {bars.nearest_bar(place): place for place in signed_places(score)}
    ends = signs | {bars.nearest_bar(e): e for e in fermata_ends(score)} | ends
    bounds = tuple(sorted({0, bars.bars, *ends}))
    spans = tuple((bars.onset_div(i), min(bars.onset_div(i + 1), score.end_div)) for i in range(bars.bars))
    return _Analysis(
        score, bars, note_arrays(score), harmony, bool(marked), ends, bounds, bar_products(score, spans), tuple(signs)
    )


def _find_sections(analysis: _Analysis) -> list[SectionSpan]:
    """Sections of the piece: those of its letters where it has them; else its own signs of new parts are bounds too."""
    bars = analysis.bars
    names = {bars.nearest_bar(onset): letter for onset, letter in lettered(analysis.score).items()}
    sure = {*analysis.signs, *(analysis.bounds if analysis.marked else ())}
    strong = tuple(b for b in analysis.bounds if b in sure or _cadence(analysis, b) is not None)
    found = section_bounds(analysis.products, analysis.bounds, tuple(names), strong)
    bounds = bounds_between_signs(found, analysis.signs, analysis.products)
    return label_sections(analysis.products, bounds, names)


def _join_phrases(analysis: _Analysis, spans: list[SectionSpan]) -> tuple[int, ...]:
    """Phrase bounds less those that neither a cadence nor a section's end closes, where four bars at most result.

    Bounds that leave a single bar go too.
    """
    kept = [0]
    ends = {s.end for s in spans}
    for here, following in pairwise(sorted({*analysis.bounds, *ends})[1:]):
        length = following - kept[-1]
        single = min(here - kept[-1], following - here) == 1 and length <= LONGEST_JOINED + 1
        is_open = length <= LONGEST_JOINED and _cadence(analysis, here) is None
        if here in ends or not (single or is_open):
            kept.append(here)
    return (*kept, analysis.bounds[-1])


def home_key(keys: tuple[KeyChange, ...], end_div: int) -> Key:
    """The key of a whole piece: the one with most time, where the last one has a head start.

    The head start is a fifth of the piece, but no more than three times what the last key lasts: a final major chord
    in minor is not the home key.
    """
    weight: dict[Key, float] = {}
    onsets = [k.onset_div for k in keys] + [end_div]
    for change, (start, end) in zip(keys, pairwise(onsets), strict=True):
        weight[change.key] = weight.get(change.key, 0.0) + (end - start)
    weight[keys[-1].key] += min(0.2 * end_div, 3.0 * (end_div - keys[-1].onset_div))
    return max(weight, key=lambda k: weight[k])


def _tempo(score: Score) -> float:
    low, high = TEMPO_RANGE
    return min(max(score.tempos[0].qpm, low), high) if score.tempos else DEFAULT_TEMPO


def _key_of(analysis: _Analysis, start_div: int, end_div: int) -> Key:
    """The key that holds for most of a stretch."""
    onsets = [k.onset_div for k in analysis.harmony.keys] + [analysis.score.end_div]
    held: dict[Key, int] = {}
    for change, (start, end) in zip(analysis.harmony.keys, pairwise(onsets), strict=True):
        held[change.key] = held.get(change.key, 0) + max(0, min(end, end_div) - max(start, start_div))
    return max(held, key=lambda k: held[k])


def _section(analysis: _Analysis, span: SectionSpan, letters: set[str]) -> Section:
    start, end = analysis.bars.onset_div(span.start), analysis.bars.onset_div(span.end)
    key = _key_of(analysis, start, end)
    inside = (analysis.notes.onset >= start) & (analysis.notes.onset < end)
    count = int(inside.sum())
    quarters = (end - start) / DIVS_PER_QUARTER
    return Section(
        label=span.label,
        bars=span.bars,
        key=key,
        phrases=_phrases(analysis, span, key),
        chords=section_chords(analysis.harmony.chords, start, end, key),
        theme=span.label[0] if span.label[0] in letters else None,
        source=span.source,
        variation=None if span.source is None else round(1.0 - min(1.0, span.similarity), 3),
        density=round(count / quarters, 3) if count else None,
        register=round(float(analysis.notes.pitch[inside].mean()), 2) if count else None,
        dynamic=_dynamic(analysis.score, start, end),
        textures=bar_textures(analysis.notes, [analysis.bars.onset_div(b) for b in range(span.start, span.end + 1)]),
    )


def section_chords(chords: tuple[Chord, ...], start_div: int, end_div: int, key: Key) -> tuple[Chord, ...]:
    """The chords of a stretch, onsets from its start, gapless; the last one is drawn out where the score ends early."""
    cut: list[Chord] = []
    for chord in chords:
        onset, end = max(chord.onset_div, start_div), min(chord.onset_div + chord.duration_div, end_div)
        if end > onset:
            name = figure(chord.root, chord.quality, chord.bass, key)
            cut.append(replace(chord, onset_div=onset - start_div, duration_div=end - onset, figure=name))
    if not cut:
        return ()
    merged = merge_chords(cut)
    last = merged[-1]
    return (*merged[:-1], replace(last, duration_div=end_div - start_div - last.onset_div))


def _dynamic(score: Score, start_div: int, end_div: int) -> str | None:
    """The dynamic in force at a section's start, or the first one marked in it."""
    marks = [d for d in score.directions if d.kind == "dynamic" and d.text in DYNAMICS]
    before = [d.text for d in marks if d.onset_div <= start_div]
    inside = [d.text for d in marks if start_div < d.onset_div < end_div]
    return before[-1] if before else inside[0] if inside else None


def _phrases(analysis: _Analysis, span: SectionSpan, key: Key) -> tuple[Phrase, ...]:
    bounds = [span.start, *(b for b in analysis.bounds if span.start < b < span.end), span.end]
    ideas = phrase_ideas(analysis.products, bounds)
    phrases = []
    for (start, end), idea in zip(pairwise(bounds), ideas, strict=True):
        phrases.append(Phrase(end - start, idea, _cadence(analysis, end) or _cadence(analysis, end, key)))
    return tuple(phrases)


def _cadence(analysis: _Analysis, bound: int, key: Key | None = None) -> str | None:
    """The cadence at a phrase's true end (or at its bound's bar line), in `key` or in the key before the end."""
    bar_line = min(analysis.bars.onset_div(bound), analysis.score.end_div)
    end = analysis.ends.get(bound, bar_line)
    keys = analysis.harmony.keys
    local = next((k.key for k in reversed(keys) if k.onset_div < end), keys[0].key)
    return find_cadence(analysis.score, end, key or local, chords=analysis.harmony.chords)


def phrase_ideas(products: BarProducts, bounds: list[int]) -> list[str]:
    """Ideas of a section's phrases: a letter for each new one, the same for a literal return, a prime for a varied."""
    spans = list(pairwise(bounds))
    ideas: list[str] = []
    for index, (start, end) in enumerate(spans):
        best: tuple[float, str] = (0.0, "")
        for (other, stop), idea in zip(spans[:index], ideas, strict=True):
            length = min(end - start, stop - other)
            if 2 * length < max(end - start, stop - other):
                continue
            similarity = products.block(other, start, length)[0]
            if similarity > best[0]:
                best = similarity, idea
        if best[0] >= EXACT:
            ideas.append(best[1])
        elif best[0] >= SAME:
            letter = best[1][0]
            primes = max(len(i) - 1 for i in ideas if i[0] == letter)
            ideas.append(letter + "'" * (primes + 1))
        else:
            used = len({i[0] for i in ideas})
            ideas.append(chr(ord("a") + min(used, 25)))
    return ideas


def _themes(analysis: _Analysis, spans: list[SectionSpan]) -> tuple[Theme, ...]:
    """A theme for each letter: the melody of the first bars of its first section, its upbeat included."""
    themes: list[Theme] = []
    for span in spans:
        if any(t.label == span.label[0] for t in themes):
            continue
        start = analysis.bars.onset_div(span.start)
        phrase = next(b for b in (*analysis.bounds, span.end) if b > span.start) - span.start
        length = phrase if 2 <= phrase <= MAX_THEME_BARS else min(MAX_THEME_BARS, span.bars)
        begin = _true_start(analysis, span.start)
        end = analysis.bars.onset_div(span.start + length)
        end = min(end, analysis.ends.get(span.start + length, end), analysis.score.end_div)
        line = melody_line(analysis.score, begin, end)
        notes = tuple(PlanNote(n.onset_div - start, n.duration_div, n.pitch) for n in line)
        if notes:
            key = _key_of(analysis, start, analysis.bars.onset_div(span.end))
            themes.append(Theme(span.label[0], length, key, notes))
    return tuple(themes)


def _true_start(analysis: _Analysis, bar: int) -> int:
    """Where the phrase that plan bar `bar` begins really begins: its upbeat, where it has one."""
    start = analysis.bars.onset_div(bar)
    if bar == 0:
        return 0
    return min(start, analysis.ends.get(bar, start))


def bar_of_onsets(score: Score, onsets: np.ndarray) -> np.ndarray:
    """Plan bar of each onset (division from the score's start); -1 in the upbeat.

    Raises:
        PlanError: the score's bars do not make a plan.
    """
    bars = plan_bars(score)
    return (onsets - bars.pickup_div) // bars.meter.bar_div
