"""The stretches of a piece that make a plan each: one meter, every bar full."""

from __future__ import annotations

from dataclasses import replace

from music.corpus_read import cut_bars
from music.score import Bar, Score, SectionMark

LEAST_BARS = 8  # shorter stretches say nothing about form


def join_split_bars(score: Score) -> Score:
    """The score with bars that a repeat or double bar cuts in two joined again, where the halves fill a bar."""
    bars: list[Bar] = []
    for bar in score.bars:
        full = score.meter_at(bar.onset_div).bar_div
        before = bars[-1] if bars else None
        if before is not None and before.duration_div < full and before.duration_div + bar.duration_div == full:
            bars[-1] = replace(before, duration_div=full)
        else:
            bars.append(bar)
    return score if len(bars) == len(score.bars) else replace(score, bars=tuple(bars))


def regular_spans(score: Score, least: int = LEAST_BARS) -> list[tuple[int, int]]:
    """Runs of bars (first, past the last) in one meter, every bar full; the first of the piece may be an upbeat.

    A plan has one meter, so a movement that changes it, or holds a bar of odd length, gives several.
    """
    spans, first = [], 0
    for index, bar in enumerate(score.bars):
        meter = score.meter_at(bar.onset_div)
        full = bar.duration_div == meter.bar_div
        outer = index in (0, len(score.bars) - 1) and bar.duration_div < meter.bar_div
        if index > first and meter != score.meter_at(score.bars[first].onset_div):
            spans.append((first, index))
            first = index
        if not full and not outer:
            spans.append((first, index))
            first = index + 1
    spans.append((first, len(score.bars)))
    return [span for span in spans if span[1] - span[0] >= least]


def cut_span(score: Score, first: int, last: int) -> Score:
    """Bars `first` up to, not including, `last` as a score; a section that began before them is marked at its start."""
    if (first, last) == (0, len(score.bars)):
        return score
    start = score.bars[first].onset_div
    before = [m for m in score.sections if m.onset_div <= start][-1:]
    cut = cut_bars(score, first, last)
    marks = [m for m in cut.sections if m.onset_div > 0]
    return replace(cut, sections=(*(SectionMark(0, m.label) for m in before), *marks))
