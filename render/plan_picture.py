"""A plan as a picture: form, phrases, cadences, harmony, density and register over its bars, and each letter's theme.

Everything is laid out in pixels on one sheet, because whether a word has room can then be asked of its measured width:
what has none is left out or shortened, so that nothing overlaps in eight bars or in a thousand. Letters have the
colours that they have in the piano roll (`render.figures`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from music.errors import FileError
from music.harmony import figure
from music.pitch import Key
from music.plan import CADENCES, DYNAMICS, Chord, Plan, Section
from music.time import DIVS_PER_QUARTER
from render.figures import FAINT, INK, WIDTH, _short, _write
from render.sheet import Px, Sheet, cut_text, safe_text, text_width
from render.staff import THEME_HEIGHT, draw_theme, hue_of, key_name, musical

FORMATS = (".png", ".svg")
FUNCTIONS = {"tonic": "#a9cfae", "predominant": "#f0d48a", "dominant": "#e7a08f", "other": "#d3d3d8"}
SYMBOLS: dict[str, str] = dict(zip(CADENCES, "●○◐◇", strict=True))
LEFT, RIGHT, TOP = 78.0, 24.0, 104.0  # margins in pixels; above the first row stand title and legend
INNER = WIDTH - LEFT - RIGHT
BARS_A_ROW = ((18, 18), (36, 18), (160, 24), (240, 32), (440, 40))  # (pieces up to so many bars, at most so many)
MOST_ROWS = 11  # of longer pieces
FORM, PHRASES, HARMONY, CURVE, DYNAMIC = 36.0, 27.0, 25.0, 42.0, 26.0  # heights of the lanes
NUMBERS, GAP, ROW_GAP = 16.0, 5.0, 22.0
THEMES_A_ROW, LONG_THEME = 4, 6
_FIGURE = re.compile(r"([#b]?[IViv]+[oø+M]*)(\d*)(/.*)?")


def draw_plan(plan: Plan, path: str | Path) -> None:
    """Draws a plan; the same plan gives the same bytes.

    From above: title and summary, signs used, then rows of bars (bar numbers, sections with their keys, phrases with
    ideas and cadences, chords by function with their figures, density and register by bar, dynamics), then themes.
    What the plan does not say has no lane.

    Args:
        plan: of any length.
        path: ends in .png (1600 pixels wide) or .svg.

    Raises:
        FileError: another ending, or the file cannot be written.
    """
    target = Path(path)
    kind = target.suffix.lower()
    if kind not in FORMATS:
        raise FileError(target, f"a plan is drawn as {' or '.join(FORMATS)}")
    _write(_sheet_of(plan).as_bytes(kind[1:]), target)


def _sheet_of(plan: Plan) -> Sheet:
    lanes = _lanes(plan)
    rows = _Rows.of(plan, lanes)
    sheet = Sheet(TOP + len(rows.starts) * rows.height)
    _draw_head(sheet, plan)
    _draw_bars(sheet, rows, lanes)
    drawers: dict[str, Callable[[Sheet, Plan, _Rows, Section, int], None]] = {
        "form": _draw_block,
        "phrases": _draw_phrases,
        "harmony": _draw_chords,
        "density": _draw_density,
        "register": _draw_register,
        "dynamics": _draw_dynamic,
    }
    for section, first in zip(plan.sections, plan.first_bars, strict=True):
        for name, _ in lanes:
            drawers[name](sheet, plan, rows, section, first)
        if section.link:
            _draw_link(sheet, plan, rows, section, first)
    _draw_themes(sheet, plan)
    return sheet


def _row_starts(plan: Plan, most: int) -> list[int]:
    """First bars of rows of at most so many bars: few and even rows, broken at sections, else phrases, if possible."""
    costs = [1.5] * (plan.bars + 1)
    for section, bar in zip(plan.sections, plan.first_bars, strict=True):
        costs[bar] = 0.0
        for phrase in section.phrases[:-1]:
            bar += phrase.bars
            costs[bar] = 0.4
    costs[plan.bars] = 0.0
    best, before = [0.0] + [math.inf] * plan.bars, [0] * (plan.bars + 1)
    for end in range(1, plan.bars + 1):
        for start in range(max(0, end - most), end):
            spare = (1 - (end - start) / most) ** 2
            cost = best[start] + costs[end] + 1 + (spare if end < plan.bars else spare / 2)
            if cost < best[end]:
                best[end], before[end] = cost, start
    starts, bar = [], plan.bars
    while bar > 0:
        bar = before[bar]
        starts.append(bar)
    return starts[::-1]


class _Piece(NamedTuple):
    """The part of a stretch of bars that stands in one row."""

    row: int
    left: Px
    right: Px
    first: bool
    last: bool


@dataclass(frozen=True)
class _Rows:
    """Where bars stand: rows of bars at one scale, broken at sections and phrases where that is near."""

    starts: tuple[int, ...]
    end: int
    scale: Px
    tops: dict[str, Px]
    height: Px
    densest: Px
    pitches: tuple[Px, Px]

    @classmethod
    def of(cls, plan: Plan, lanes: list[tuple[str, Px]]) -> _Rows:
        most = next((n for upto, n in BARS_A_ROW if plan.bars <= upto), math.ceil(plan.bars / MOST_ROWS))
        starts = _row_starts(plan, most)
        longest = max(b - a for a, b in pairwise([*starts, plan.bars]))
        tops, y = {}, NUMBERS
        for name, height in lanes:
            tops[name] = y
            y += height + GAP
        bars = [(section, bar) for section in plan.sections for bar in range(section.bars)]
        densest = max(1.0, *(_density(*place) or 0.0 for place in bars))
        heard = [here for place in bars if (here := _register(*place)) is not None] or [(60.0, 0)]
        low, high = min(60 - 6, *(p - s / 2 for p, s in heard)), max(60 + 6, *(p + s / 2 for p, s in heard))
        scale, height = INNER / max(longest, 4), y + ROW_GAP - GAP
        return cls(tuple(starts), plan.bars, scale, tops, height, densest, (low, high))

    def y(self, row: int, lane: str) -> Px:
        """Upper edge of a lane."""
        return TOP + row * self.height + self.tops[lane]

    def pieces(self, start: Px, end: Px) -> Iterator[_Piece]:
        """The parts of the bars from start to end, row by row."""
        for row, (first, after) in enumerate(pairwise([*self.starts, self.end])):
            low, high = max(start, first), min(end, after)
            if low < high:
                left, right = LEFT + (low - first) * self.scale, LEFT + (high - first) * self.scale
                yield _Piece(row, left, right, low == start, high == end)


def _quarters(div: int) -> str:
    count = f"{div / DIVS_PER_QUARTER:.3g}"
    return f"{count} quarter{'s' * (count != '1')}"


def _lanes(plan: Plan) -> list[tuple[str, Px]]:
    told = {
        "harmony": any(s.chords for s in plan.sections),
        "density": any(s.density is not None or s.textures for s in plan.sections),
        "register": any(s.register is not None or s.textures for s in plan.sections),
        "dynamics": any(s.dynamic is not None or s.texture is not None for s in plan.sections),
    }
    heights = {"form": FORM, "phrases": PHRASES, "harmony": HARMONY, "density": CURVE, "register": CURVE}
    return [(name, heights.get(name, DYNAMIC)) for name in (*heights, "dynamics") if told.get(name, True)]


def _draw_head(sheet: Sheet, plan: Plan) -> None:
    room = WIDTH - 2 * 28
    sheet.word(28, 30, cut_text(safe_text(plan.title) or "Plan", room, 17, True), 17, weight="bold")
    form = "".join(_short(s.label) for s in plan.sections)
    facts = [
        f"form {form if len(form) <= 48 else form[:47] + '…'}",
        key_name(plan.key),
        str(plan.meter),
        f"♩ = {plan.tempo_qpm:.0f}",
        f"{plan.bars} bar{'s' * (plan.bars != 1)}",
        f"upbeat of {_quarters(plan.pickup_div)}" if plan.pickup_div else "",
        safe_text(plan.style).replace("_", " "),
        plan.ensemble if plan.ensemble not in plan.style else "",
    ]
    sheet.word(28, 58, cut_text("   ·   ".join(f for f in facts if f), room, 10.5), 10.5)
    x = 28.0
    used = {p.cadence for s in plan.sections for p in s.phrases}
    for cadence, symbol in SYMBOLS.items():
        if cadence in used:
            sheet.word(x, 82, symbol, 11)
            sheet.word(x + 15, 82, cadence, 8.5)
            x += 60
    if any(s.chords for s in plan.sections):
        for name, hue in FUNCTIONS.items():
            sheet.box(x, 76, x + 16, 88, hue)
            sheet.word(x + 21, 82, name, 8.5)
            x += 38 + text_width(name, 8.5)
    if any(s.link for s in plan.sections):
        _draw_arrow(sheet, x + 14, 82)
        sheet.word(x + 21, 82, "link", 8.5)
        x += 38 + text_width("link", 8.5)
    if any(s.source is not None for s in plan.sections):
        sheet.word(x, 82, "= 1  returns to bar 1 unchanged,  ≈ 1  varied", 8.5)


def _draw_arrow(sheet: Sheet, x: Px, y: Px, length: Px = 14) -> None:
    """An arrow to the right that ends at x."""
    sheet.line([(x - length, y), (x, y)], INK, 1.3)
    sheet.line([(x - 4, y - 3.5), (x, y), (x - 4, y + 3.5)], INK, 1.3)


def _draw_link(sheet: Sheet, plan: Plan, rows: _Rows, section: Section, first: int) -> None:
    """An arrow at the section's end, above its phrases, as long as the link, nine pixels at least."""
    end = first + section.bars
    start = end + section.link[0].onset_div / plan.meter.bar_div
    for piece in rows.pieces(start, end):
        if piece.last:
            _draw_arrow(sheet, piece.right - 1, rows.y(piece.row, "phrases") - 1, max(9.0, piece.right - piece.left))


def _draw_bars(sheet: Sheet, rows: _Rows, lanes: list[tuple[str, Px]]) -> None:
    """Bar numbers, bar lines, and the lanes' names."""
    step = next(s for s in (1, 2, 4, 8, 16, 32, 64) if s * rows.scale >= 30 or s == 64)
    inside = [(name, height) for name, height in lanes if name != "form"]
    for row, (first, after) in enumerate(pairwise([*rows.starts, rows.end])):
        top = TOP + row * rows.height
        for name, height in inside:
            middle = rows.y(row, name) + height / 2
            ends = {"density": f"0–{rows.densest:.2g} a ♩", "register": "–".join(map(_pitch_name, rows.pitches))}.get(
                name
            )
            sheet.word(LEFT - 10, middle - (7 if ends else 0), name, 8, ha="right", color=FAINT)
            sheet.word(LEFT - 10, middle + 7, ends or "", 7, ha="right", color=FAINT)
            sheet.box(LEFT, middle - height / 2, LEFT + (after - first) * rows.scale, middle + height / 2, "#f6f6f7")
        for bar in range(first, after + 1):
            x = LEFT + (bar - first) * rows.scale
            for name, height in inside if rows.scale >= 10 else []:
                y = rows.y(row, name)
                sheet.rule(x, y, x, y + height, "#dcdce0")
            if bar < after and (bar == first or (bar % step == 0 and (bar - first) * rows.scale >= 30)):
                sheet.word(x, top + 6, str(bar + 1), 8, color=INK if bar == first else FAINT)


def _draw_block(sheet: Sheet, plan: Plan, rows: _Rows, section: Section, first: int) -> None:
    """A section's block: label, key in relation to home, and what it returns to."""
    numeral, key = musical(section.key.relation_to(plan.key)), key_name(section.key)
    origin = ""
    if section.source is not None:
        origin = f"{'=' if section.variation == 0 else '≈'} {plan.first_bars[section.source] + 1}"
    tempo = f"♩ = {plan.tempo_qpm * section.tempo_scale:.0f}" if section.tempo_scale != 1 else ""
    label = _short(section.label)
    for piece in rows.pieces(first, first + section.bars):
        top = rows.y(piece.row, "form")
        gap = min(2.0, (piece.right - piece.left) / 8)
        sheet.box(piece.left, top, piece.right - gap, top + FORM, hue_of(section.letter), 0.92 if piece.first else 0.75)
        name = label if piece.first else f"({label})"
        room = piece.right - piece.left - gap
        white = {"color": "white"}
        wide = text_width(name, 14, True)
        if wide + 10 > room:
            if small := sheet.fitting(room - 1, [name], 8, True):
                place = {"ha": "center", "weight": "bold", **white}
                sheet.word((piece.left + piece.right - gap) / 2, top + FORM / 2, small, 8, **place)
            continue
        sheet.word(piece.left + 6, top + FORM / 2, name, 14, weight="bold", **white)
        room -= wide + 18
        tail = "   ".join(t for t in (tempo, origin) if t) if piece.first else ""
        tails = [tail, origin if piece.first else ""]
        keys = [f"{numeral}  {key}", numeral]
        pairs = [(k, t) for t in tails for k in keys] + [(numeral, "")]
        for words, rest in pairs:
            if text_width(words, 10) + (text_width(rest, 9) + 12 if rest else 0) <= room:
                sheet.word(piece.left + wide + 14, top + FORM / 2, words, 10, **white)
                if rest:
                    sheet.word(piece.right - gap - 6, top + FORM / 2, rest, 9, ha="right", **white)
                break


def _draw_phrases(sheet: Sheet, plan: Plan, rows: _Rows, section: Section, first: int) -> None:
    """A slur for each phrase, its idea under it, its cadence at its end."""
    for phrase in section.phrases:
        for piece in rows.pieces(first, first + phrase.bars):
            top = rows.y(piece.row, "phrases")
            left, right = piece.left + 2, piece.right - 4
            if right - left > 3:
                _slur(sheet, left, right, top + 13, piece)
            symbol = SYMBOLS[phrase.cadence] if phrase.cadence and piece.last else ""
            taken = (
                text_width(symbol, 10) + 2 if symbol and sheet.fitting(piece.right - piece.left, [symbol], 10) else 0.0
            )
            if taken:
                words = sheet.fitting(0.45 * (right - left) - taken - 4, [phrase.cadence or ""], 8)
                sheet.word(right, top + 19, symbol, 10, ha="right")
                sheet.word(right - taken - 2, top + 19, words, 8, ha="right")
                taken += text_width(words, 8) + 4 if words else 0
            idea = _short(phrase.idea) if piece.first else f"({_short(phrase.idea)})"
            room = right - left - taken - 2
            if room > text_width(idea, 10) and (piece.first or room > 40):
                sheet.word(left + 2, top + 19, idea, 10, style="italic")
        first += phrase.bars


def _slur(sheet: Sheet, left: Px, right: Px, base: Px, piece: _Piece) -> None:
    """Half an ellipse over a phrase; open at the side on which it goes on in another row."""
    low, high = (0.0 if piece.first else 0.35), (1.0 if piece.last else 0.65)
    points = []
    for i in range(25):
        at = low + (high - low) * i / 24
        points.append((left + (right - left) * i / 24, base - 10 * math.sin(math.pi * at) ** 0.6))
    sheet.line(points, "#6b6b70", 1.1)


def _function(text: str, following: str) -> str:
    """tonic, predominant, dominant or other, from a chord's figure and the next one's."""
    match = _FIGURE.fullmatch(text)
    if match is None:
        return "other"
    numeral, digits, target = match[1], match[2], match[3] or ""
    if target:
        return "predominant" if target.upper() == "/V" else "other"
    degree = numeral.rstrip("oø+M").upper()
    if degree == "I" and digits == "64" and re.match(r"V(?![Ii])", following):
        return "dominant"  # the cadential six-four
    if degree in ("V", "#VII") or (degree == "VII" and numeral.endswith(("o", "ø"))):
        return "dominant"
    if degree in ("II", "IV", "BII", "#IV", "BVI"):
        return "predominant"
    return "tonic" if degree in ("I", "VI") else "other"


def _figure_of(chord: Chord, key: Key) -> str:
    return chord.figure or figure(chord.root, chord.quality, chord.bass, key)


def _draw_chords(sheet: Sheet, plan: Plan, rows: _Rows, section: Section, first: int) -> None:
    """A block for each chord, coloured by function, with a tick above it: the harmonic rhythm."""
    bar = plan.meter.bar_div
    figures = [_figure_of(chord, section.key) for chord in section.chords]
    for index, (chord, text) in enumerate(zip(section.chords, figures, strict=True)):
        hue = FUNCTIONS[_function(text, figures[index + 1] if index + 1 < len(figures) else "")]
        start = first + chord.onset_div / bar
        for piece in rows.pieces(start, start + chord.duration_div / bar):
            top = rows.y(piece.row, "harmony")
            sheet.box(piece.left, top, piece.right, top + HARMONY, hue)
            if piece.first:
                sheet.line([(piece.left, top), (piece.left, top + HARMONY)], "white", 1.2)
                sheet.line([(piece.left, top - 4), (piece.left, top)], "#6b6b70", 0.8)
                _draw_figure(sheet, (piece.left + piece.right) / 2, top, piece.right - piece.left - 2, text)


def _draw_figure(sheet: Sheet, x: Px, top: Px, room: Px, text: str) -> None:
    """A figure with its digits one above the other, in the middle of its chord, where there is room."""
    match = _FIGURE.fullmatch(safe_text(text))
    numeral, digits, target = (match[1], match[2], match[3] or "") if match else (safe_text(text), "", "")
    numeral, target = musical(numeral).replace("o", "°"), musical(target)
    # No smaller: a small V would be read as v, which is another chord.
    size = next((s for s in (9.5, 8.5) if _figure_width(numeral, digits, target, s) <= room), 0.0)
    if not size:
        return
    left, y = x - _figure_width(numeral, digits, target, size) / 2, top + HARMONY / 2
    sheet.word(left, y, numeral, size)
    left += text_width(numeral, size) + 0.5
    small = _digits(size)
    for place, digit in enumerate(digits[:2]):
        sheet.word(left, y + (-5 if place == 0 else 5), digit, small)
    left += max((text_width(d, small) for d in digits), default=0.0)
    sheet.word(left, y, target, size)


def _digits(size: Px) -> Px:
    return max(0.7 * size, 5.5)


def _figure_width(numeral: str, digits: str, target: str, size: Px) -> Px:
    high = max((text_width(d, _digits(size)) for d in digits), default=-1.0)
    return text_width(numeral, size) + 0.5 + high + (text_width(target, size) if target else 0)


def _density(section: Section, bar: int) -> Px | None:
    return section.textures[bar].density if section.textures else section.density


def _register(section: Section, bar: int) -> tuple[Px, int] | None:
    """Mean pitch and span of a bar."""
    if section.textures:
        texture = section.textures[bar]
        return None if texture.register is None else (texture.register, texture.span)
    return None if section.register is None else (section.register, 0)


def _draw_density(sheet: Sheet, plan: Plan, rows: _Rows, section: Section, first: int) -> None:
    """A column for each bar; the highest in the piece has the lane's height."""
    for bar in range(section.bars):
        density = _density(section, bar)
        for piece in rows.pieces(first + bar, first + bar + 1) if density is not None else ():
            base = rows.y(piece.row, "density") + CURVE
            gap, height = min(1.0, rows.scale / 12), (CURVE - 2) * (density or 0.0) / rows.densest
            sheet.box(piece.left + gap, base - height, piece.right - gap, base, hue_of(section.letter), 0.55)


def _pitch_name(pitch: Px) -> str:
    name = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"][round(pitch) % 12]
    return f"{name}{round(pitch) // 12 - 1}"


def _draw_register(sheet: Sheet, plan: Plan, rows: _Rows, section: Section, first: int) -> None:
    """A step for each bar at its mean pitch, in a pale band from the lowest to the highest; C's are lines."""
    low, high = rows.pitches

    def y(row: int, pitch: Px) -> Px:
        part = (min(max(pitch, low), high) - low) / (high - low)
        return rows.y(row, "register") + 2 + (CURVE - 4) * (1 - part)

    for piece in rows.pieces(first, first + section.bars):
        for pitch in range(0, 128, 12):
            if low < pitch < high:
                sheet.rule(piece.left, y(piece.row, pitch), piece.right, y(piece.row, pitch), "#d2d2d8")
    for bar in range(section.bars):
        here = _register(section, bar)
        for piece in rows.pieces(first + bar, first + bar + 1) if here is not None else ():
            pitch, span = here or (0.0, 0)
            ends = y(piece.row, pitch + span / 2), y(piece.row, pitch - span / 2)
            sheet.box(piece.left, ends[0], piece.right, ends[1], hue_of(section.letter), 0.18)
            middle = round(y(piece.row, pitch))  # on whole pixels all steps are equally thick
            sheet.box(piece.left, middle - 1, piece.right, middle + 1, hue_of(section.letter))


def _draw_dynamic(sheet: Sheet, plan: Plan, rows: _Rows, section: Section, first: int) -> None:
    """A step at the height of the section's dynamic, its name and that of the texture."""
    level = DYNAMICS.index(section.dynamic) / (len(DYNAMICS) - 1) if section.dynamic else None
    texture = (section.texture or "").replace("_", " ")
    for piece in rows.pieces(first, first + section.bars):
        top, room, x = rows.y(piece.row, "dynamics"), piece.right - piece.left - 8, piece.left + 5
        if level is not None:
            y = top + DYNAMIC - 2 - (DYNAMIC - 4) * level
            sheet.box(piece.left, y, piece.right, top + DYNAMIC, hue_of(section.letter), 0.22)
        if name := sheet.fitting(room, [section.dynamic or ""], 10, True):
            sheet.word(x, top + DYNAMIC / 2, name, 10, style="italic", weight="bold")
            x, room = x + text_width(name, 10, True) + 8, room - text_width(name, 10, True) - 8
        sheet.word(x, top + DYNAMIC / 2, sheet.fitting(room, [texture], 8), 8)


def _draw_themes(sheet: Sheet, plan: Plan) -> None:
    """A staff for each theme, in as many columns as there is room for."""
    if not plan.themes:
        return
    columns = min(THEMES_A_ROW if max(t.bars for t in plan.themes) <= LONG_THEME else 2, len(plan.themes))
    width = INNER / max(columns, 3 if columns != 2 else 2)
    top = sheet.height + 4
    sheet.word(LEFT - 10, top + 14, "themes", 8, ha="right", color=FAINT)
    for index, theme in enumerate(sorted(plan.themes, key=lambda t: t.label)):
        row, column = divmod(index, columns)
        left = LEFT + column * width
        draw_theme(sheet, theme, plan.meter.bar_div, left, left + width - 30, top + row * THEME_HEIGHT)
    sheet.height = top + math.ceil(len(plan.themes) / columns) * THEME_HEIGHT + 10
