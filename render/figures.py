"""Pictures of a piece: its piano roll, coloured by section, under the arcs of what returns where."""

from __future__ import annotations

import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from music.errors import FileError
from music.plan import Plan
from music.score import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT, DPI = 1600, 500, 100
# One hue a letter, told apart by the colour-blind too (after Okabe & Ito); further letters start again.
HUES = ("#0072b2", "#d55e00", "#009e73", "#a5478f", "#c08a00", "#2e8fbf", "#8b5a2b", "#5a5a8c")
INK, FAINT = "#2b2b2b", "#9a9a9a"
MOST_NUMBERS = 32  # bar numbers that fit side by side
LEAST_PITCHES = 24  # a roll of few pitches is not blown up


@dataclass(frozen=True)
class _Section:
    start: int
    end: int
    label: str
    key: str
    source: int | None

    @property
    def hue(self) -> str:
        return HUES[(ord(self.label[0]) - ord("A")) % len(HUES)] if self.label else HUES[0]


def draw_roll(score: Score, path: str | Path, *, plan: Plan | None = None) -> None:
    """Writes a PNG of 1600 x 500: notes by section colour, labels and keys, bar numbers, phrases, cadences, returns.

    Args:
        score: its section marks name the sections where there is no plan.
        path: of the PNG; the same score and plan give the same bytes.
        plan: adds keys, phrases, cadences, and arcs from each section to the one that it returns to.

    Raises:
        FileError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    form = figure.add_axes((0.035, 0.78, 0.955, 0.20))
    roll = figure.add_axes((0.035, 0.085, 0.955, 0.675))
    sections = _sections(score, plan)
    _draw_form(form, score, sections)
    _draw_notes(roll, score, sections)
    _draw_bars(roll, score)
    if plan is not None:
        _draw_phrases(roll, plan, score.end_div)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    _write(picture.getvalue(), Path(path))


def _sections(score: Score, plan: Plan | None) -> list[_Section]:
    if plan is not None:
        starts = [plan.bar_onset_div(bar) for bar in plan.first_bars]
        rows = [(s.label, s.key.name, s.source) for s in plan.sections]
    else:
        starts = [m.onset_div for m in score.sections]
        rows = [(m.label, "", None) for m in score.sections]
    if not starts:
        starts, rows = [0], [("", "", None)]
    starts[0] = 0  # an upbeat belongs to the first section
    ends = [*starts[1:], max(score.end_div, starts[-1] + 1)]
    return [_Section(a, b, *row) for a, b, row in zip(starts, ends, rows, strict=True)]


def _short(label: str) -> str:
    """A label whose many primes are counted: A with nine primes is A⁹."""
    primes = label.count("'")
    return label if primes <= 3 else label[0] + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(d)] for d in str(primes))


def _draw_form(axes: Axes, score: Score, sections: list[_Section]) -> None:
    """Labelled blocks, and above them arcs from each return back to its source."""
    from matplotlib.patches import Arc, Rectangle

    axes.set_xlim(0, score.end_div)
    axes.set_ylim(0, 1)
    axes.axis("off")
    for section in sections:
        width = section.end - section.start
        block = Rectangle((section.start, 0), width, 0.42, color=section.hue, alpha=0.92, lw=0)
        axes.add_patch(block)
        axes.plot([section.start] * 2, [0, 0.42], color="white", lw=1.5)
        pixels = width / score.end_div * WIDTH * 0.955
        label = _short(section.label)
        text = f"{label}   {section.key}" if section.key and pixels > 150 else label
        if pixels > 9 + 9 * len(label):
            middle = section.start + width / 2
            axes.text(middle, 0.2, text, ha="center", va="center", color="white", fontsize=12, fontweight="bold")
    for section in sections:
        if section.source is not None and section.source < len(sections):
            origin = sections[section.source]
            left, right = (origin.start + origin.end) / 2, (section.start + section.end) / 2
            height = 0.3 + 0.8 * (right - left) / score.end_div
            axes.add_patch(
                Arc(((left + right) / 2, 0.45), right - left, height, theta1=0, theta2=180, color=section.hue, lw=1.8)
            )


def _draw_notes(axes: Axes, score: Score, sections: list[_Section]) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    pitches = [n.pitch for n in score.notes] or [60]
    low, high = min(pitches), max(pitches)
    spare = max(LEAST_PITCHES - (high - low), 0) / 2
    low, high = low - spare, high + spare
    below = 0.11 * (high - low)  # room for the phrases' line and the cadences
    low, high = low - below - 1.5, high + 1.5
    axes.set_xlim(0, score.end_div)
    axes.set_ylim(low, high)
    for section in sections:
        axes.axvspan(section.start, section.end, color=section.hue, alpha=0.07, lw=0)
    starts = np.array([s.start for s in sections])
    gap = min(score.end_div * 0.0006, 900.0)  # repeated notes stay apart
    boxes, colours = [], []
    shades = np.linspace(0.95, 0.55, max(len(score.parts), 2))  # lower parts and the left hand are lighter
    for note in score.notes:
        section = sections[int(np.searchsorted(starts, note.onset_div, side="right")) - 1]
        left, right = note.onset_div, max(note.end_div - gap, note.onset_div + 1.5 * gap)
        bottom, top = note.pitch - 0.42, note.pitch + 0.42
        boxes.append(((left, bottom), (left, top), (right, top), (right, bottom)))
        colours.append(to_rgba(section.hue, 0.6 if note.staff == 2 else float(shades[note.part])))
    axes.add_collection(PolyCollection(boxes, facecolors=colours, edgecolors="none"))
    octaves = [p for p in range(0, 128, 12) if low < p < high]
    axes.set_yticks(octaves, [f"C{p // 12 - 1}" for p in octaves])
    axes.grid(axis="y", color=FAINT, lw=0.5, alpha=0.5)
    axes.set_axisbelow(True)


def _draw_bars(axes: Axes, score: Score) -> None:
    """Bar lines where there is room for them, and bar numbers at round steps."""
    numbered = [b for b in score.bars if b.number > 0]
    step = next(s for s in (1, 2, 4, 8, 16, 32, 64, 128, 256, 10**9) if len(numbered) / s <= MOST_NUMBERS)
    shown = [b for i, b in enumerate(numbered) if i % step == 0]
    axes.set_xticks([b.onset_div for b in shown], [str(b.number) for b in shown])
    if len(score.bars) <= 160:
        for bar in score.bars:
            axes.axvline(bar.onset_div, color="white", lw=0.8, zorder=0.6)
    axes.tick_params(colors=INK, labelsize=9.5, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_phrases(axes: Axes, plan: Plan, end_div: int) -> None:
    """A bracket over each phrase with its idea, and its cadence at its end."""
    bar = 0
    crowded = sum(len(s.phrases) for s in plan.sections) > 48
    for section in plan.sections:
        for phrase in section.phrases:
            start, end = plan.bar_onset_div(bar) if bar else 0, plan.bar_onset_div(bar + phrase.bars)
            bar += phrase.bars
            inset = end_div * 0.0012
            across = axes.get_xaxis_transform()
            axes.plot([start + inset, end - inset], [0.022] * 2, color=INK, lw=1.1, alpha=0.65, transform=across)
            if phrase.cadence is not None and not crowded:
                place = {"ha": "right", "va": "bottom", "fontsize": 8.5, "color": INK, "transform": across}
                axes.text(end - 2 * inset, 0.032, phrase.cadence, **place)


def _write(data: bytes, target: Path) -> None:
    name = ""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        os.replace(name, target)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        raise FileError(target, f"cannot be written: {error.strerror or error}") from error
