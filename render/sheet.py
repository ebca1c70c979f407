"""A sheet of shapes and words laid out in pixels, and the measured width of words, for pictures that hold much text."""

from __future__ import annotations

import io
import math
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from render.figures import DPI, INK, WIDTH

FONT = "DejaVu Sans"  # comes with matplotlib
Px = int | float  # a length in pixels, a size in points


@dataclass
class Sheet:
    """Shapes, strokes over them and words over all, in pixels from the upper left corner.

    Args:
        height: in pixels; the width is that of all pictures.
        shapes: polygons with colour and opacity, the later ones on top.
        strokes: lines with colour and width in points.
        words: x, y, text and its look.
    """

    height: Px = 0.0
    shapes: list[tuple[list[tuple[Px, Px]], str, Px]] = field(default_factory=list)
    strokes: list[tuple[list[tuple[Px, Px]], str, Px]] = field(default_factory=list)
    words: list[tuple[Px, Px, str, dict[str, Any]]] = field(default_factory=list)

    def box(self, left: Px, top: Px, right: Px, bottom: Px, hue: str, alpha: Px = 1.0) -> None:
        """A filled rectangle."""
        self.shapes.append(([(left, top), (right, top), (right, bottom), (left, bottom)], hue, alpha))

    def line(self, points: list[tuple[Px, Px]], hue: str = INK, width: Px = 1.0) -> None:
        """A line through points, above all shapes."""
        self.strokes.append((points, hue, width))

    def word(self, x: Px, y: Px, text: str, size: Px, **look: Any) -> None:
        """A text of `size` points; a dollar sign in it is a dollar sign. `look`: as matplotlib's Text takes it."""
        if text:
            self.words.append((x, y, text, {"fontsize": size, "color": INK, "va": "center_baseline", **look}))

    def fitting(self, room: Px, texts: list[str], size: Px, bold: bool = False) -> str:
        """The first of the texts that has room, else nothing."""
        return next((t for t in texts if t and text_width(t, size, bold) <= room), "")

    def rule(self, left: Px, top: Px, right: Px, bottom: Px, hue: str) -> None:
        """A hair line, upright or level, that later shapes cover."""
        left, top = round(left), round(top)  # on whole pixels, else some would fade away
        self.box(left, top, max(round(right), left + 1), max(round(bottom), top + 1), hue)

    def as_bytes(self, kind: str) -> bytes:
        """The picture as "png" or "svg": the same sheet gives the same bytes, whatever the user's settings."""
        from matplotlib import rc_context, rcdefaults, rcParams

        with rc_context():
            rcdefaults()
            rcParams["font.family"] = [FONT]  # as words are measured below
            rcParams["text.hinting"] = "none"  # which would round the width of each letter
            rcParams["svg.hashsalt"] = "sheet"  # names inside an SVG by content, not by chance
            return self._drawn(kind)

    def _drawn(self, kind: str) -> bytes:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.collections import LineCollection, PolyCollection
        from matplotlib.colors import to_rgba
        from matplotlib.figure import Figure

        page = Figure(figsize=(WIDTH / DPI, math.ceil(self.height) / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(page)
        axes = page.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(math.ceil(self.height), 0)
        axes.axis("off")
        faces = [to_rgba(hue, alpha) for _, hue, alpha in self.shapes]
        axes.add_collection(PolyCollection([p for p, _, _ in self.shapes], facecolors=faces, edgecolors="none"))
        looks: dict[str, Any] = {"colors": [s[1] for s in self.strokes], "linewidths": [s[2] for s in self.strokes]}
        axes.add_collection(LineCollection([s[0] for s in self.strokes], capstyle="butt", **looks))
        for x, y, text, look in self.words:
            axes.text(x, y, text, parse_math=False, **look)
        data = io.BytesIO()
        unsaid = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        page.savefig(data, format=kind, metadata=unsaid)
        return data.getvalue()


@lru_cache(maxsize=8192)
def text_width(text: str, size: Px, bold: bool = False) -> Px:
    """Width in pixels of a text of that many points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    look = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
    plain = text_to_path.get_text_width_height_descent(text, look, ismath=False)[0] * DPI / 72
    return plain + 0.5 if text else 0.0


def safe_text(text: str) -> str:
    """A user's words in signs that the font has: others as □, line breaks and other controls as blanks."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(FONT))
    signs = []
    for sign in unicodedata.normalize("NFC", text[:1000]):
        if unicodedata.category(sign) in ("Mn", "Me"):  # piled up, they would run into other lines
            continue
        if unicodedata.category(sign)[0] in "CZ" and unicodedata.category(sign) not in ("Cs", "Co", "Cn"):
            signs.append(" ")
        else:
            signs.append(sign if font.get_char_index(ord(sign)) else "□")
    return " ".join("".join(signs).split())


def cut_text(text: str, room: Px, size: Px, bold: bool = False) -> str:
    """A text, shortened to the room with an ellipsis."""
    if text_width(text, size, bold) <= room:
        return text
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if text_width(text[:middle] + "…", size, bold) <= room else (low, middle)
    return text[:low].rstrip() + "…"
