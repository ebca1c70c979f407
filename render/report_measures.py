"""The report's table of measures: the piece beside people's pieces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import groupby

# A group, what is measured, the piece's value, and people's 10th percentile, mean and 90th percentile where known.
Row = tuple[str, str, float, tuple[float, float, float] | None]
STRIP, STRIP_PX = 180, 18


def measures_html(people: str, rows: Sequence[Row]) -> str:
    """The table with a drawing for each measure whose range among people is known; empty without rows.

    Args:
        people: who is compared with, such as "74 chorales".
        rows: in the order of groups.
    """
    if not rows:
        return ""
    body = []
    for group, members in groupby(rows, key=lambda row: row[0]):
        body.append(f'<tr><th colspan="5" scope="colgroup"><h3>{escape(group)}</h3></th></tr>')
        body += [_row(*row[1:]) for row in members]
    return (
        '<section aria-labelledby="measures-head"><h2 id="measures-head">Measures beside people’s</h2>'
        f'<p class="notice">The band holds the middle eight tenths of {escape(people)}, its line their mean; '
        "the dot is this piece. Being inside is no praise and outside no fault: it says where to listen.</p>"
        '<table class="measures"><thead><tr><th scope="col">measure</th><th scope="col" class="number">piece</th>'
        '<th scope="col"><span class="range">people, 10–90 %</span></th><td></td><td class="verdict"></td></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></section>"
    )


def _row(words: str, value: float, span: tuple[float, float, float] | None) -> str:
    verdict = "" if span is None else _verdict(value, span)
    off = " off" if verdict in ("below", "above") else ""
    people = "" if span is None else f"{number(span[0])}–{number(span[2])}"
    strip = "" if span is None else _strip(value, span, off, f"{number(value)}, {verdict} {people}")
    return (
        f'<tr><th scope="row">{escape(words)}</th><td class="number{off}">{number(value)}</td>'
        f'<td><span class="range">{people}</span></td><td>{strip}</td>'
        f'<td class="verdict">{verdict if off else ""}</td></tr>'
    )


def _verdict(value: float, span: tuple[float, float, float]) -> str:
    """Where a value is; on a bound as far as is shown counts as within."""
    if number(value) in (number(span[0]), number(span[2])):
        return "within"
    return "below" if value < span[0] else "above" if value > span[2] else "within"


def number(value: float) -> str:
    """A figure in as few signs as tell it from its neighbours."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    text = f"{value:.0f}" if size >= 100 or value == int(value) else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
    return "0" if text in ("-0", "0.00", "-0.00") else text


def _strip(value: float, span: tuple[float, float, float], off: str, words: str) -> str:
    low, mean, high = span
    left, right = min(low, value), max(high, value)
    room = 0.12 * (right - left) or max(0.1 * abs(right), 0.05)
    left, right = left - room, right + room

    def x(place: float) -> str:
        return f"{(place - left) / (right - left) * STRIP:.1f}"

    if not all(map(math.isfinite, (value, low, mean, high))):
        return ""
    width = max((high - low) / (right - left) * STRIP, 2.0)
    middle = STRIP_PX / 2
    return (
        f'<svg class="strip" viewBox="0 0 {STRIP} {STRIP_PX}" role="img" aria-label="{escape(words)}">'
        f'<path class="axis" d="M0 {middle:g}H{STRIP}"/>'
        f'<rect class="band" x="{x(low)}" y="4" width="{width:.1f}" height="{STRIP_PX - 8}"/>'
        f'<path class="mean" d="M{x(mean)} 3V{STRIP_PX - 3}"/>'
        f'<circle class="here{off}" cx="{x(value)}" cy="{middle:g}" r="4"/></svg>'
    )
