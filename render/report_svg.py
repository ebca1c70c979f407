"""The report's drawings as SVG text: the form bar, and the lanes over one axis of bars.

Places along the piece are percentages of the drawing's width, so nothing has to be computed anew for another screen;
what must be stretched (notes, curves, lines) stands in an inner SVG of `SCALE` units, with strokes that keep their
width. Colours are classes (`report_page/page.css`): inline styles are forbidden by the page's own policy.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from html import escape
from statistics import quantiles

from music.performance import Performance
from music.plan import Plan
from music.score import Note, Score
from render.figures import _Section, _sections, _short
from render.report_themes import link_notes, theme_notes
from render.report_timeline import Clock, beat_divs, tempo_curve, velocity_curve
from render.sheet import Px
from render.staff import musical

SCALE = 100_000  # units of an inner drawing's width
PITCH = 10  # units a semitone
LEAST_PITCHES = 30  # a roll of few pitches is not blown up
SEMITONE_PX, ROLL_PX = 7.0, (200, 440)  # height of the roll, and its bounds
LEAST_BAR_PX, CROWDED_BAR_PX, CROWDED = 26, 12, 200  # width of a bar; of pieces of more bars
ROOM_PX, SHORT = 1110, 52  # a piece of so many bars is seen whole on a desk's screen
NUMBERS, NAMES, PHRASES, CHORDS, CURVE, GAP = 16, 24, 24, 18, 66, 8  # heights of the lanes, in pixels
FORM_PX, ARC_PX = 40, 34
GAP_PX = 0.9  # between a note and the next of its pitch
SIGN_PX = 7.0  # width that a sign of text takes at most
_DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"), str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_FIGURED = re.compile(r"(?<=[IVivoø+M])(\d)(\d?)")


def hue_class(label: str) -> int:
    """Number of a letter's colour."""
    return (ord(label[0]) - ord("A")) % 8 if label else 0


def shown(label: str) -> str:
    """A label as musicians write it: A′."""
    return _short(label).replace("'", "′")


def key_shown(section: _Section) -> str:
    """E♭ major, or nothing."""
    return section.key.replace("-flat", "♭").replace("-sharp", "♯")


def figure_shown(figure: str) -> str:
    """A Roman numeral with its figures raised and lowered: V⁶₅."""
    return _FIGURED.sub(lambda m: m[1].translate(_DIGITS[0]) + m[2].translate(_DIGITS[1]), musical(figure))


def _places(score: Score) -> float:
    return SCALE / score.end_div


class Lanes:
    """All lanes of a piece; `height` in pixels, `least_width` the narrowest in which words have room."""

    def __init__(self, score: Score, performance: Performance, clock: Clock, plan: Plan | None) -> None:
        self.score, self.performance, self.clock, self.plan = score, performance, clock, plan
        self.sections = _sections(score, plan)
        self.starts = [s.start for s in self.sections]
        self.x = _places(score)
        bar_px = LEAST_BAR_PX if len(score.bars) <= CROWDED else CROWDED_BAR_PX
        wanted = bar_px * len(score.bars)
        self.least_width = min(wanted, ROOM_PX) if len(score.bars) <= SHORT else wanted
        pitches = [n.pitch for n in score.notes] or [60]
        spare = max(LEAST_PITCHES - (max(pitches) - min(pitches)), 0) // 2
        self.low, self.high = min(pitches) - spare - 1, max(pitches) + spare + 1
        self.roll_px = int(min(max((self.high - self.low + 1) * SEMITONE_PX, ROLL_PX[0]), ROLL_PX[1]))
        self.tops: dict[str, int] = {}
        y = 0
        for name, height in self._heights().items():
            self.tops[name] = y
            y += height + GAP
        self.height = y

    def _heights(self) -> dict[str, int]:
        rows = {"bars": NUMBERS} | ({"names": NAMES} if any(s.label for s in self.sections) else {})
        if self.plan is not None:
            rows["phrases"] = PHRASES
            if any(s.chords for s in self.plan.sections):
                rows["chords"] = CHORDS
        return rows | {"roll": self.roll_px, "tempo": CURVE, "loud": CURVE}

    def svg(self) -> str:
        """The lanes over the axis of bars."""
        body = [self._wash(), self._names() if "names" in self.tops else "", self._roll(), self._curves()]
        if self.plan is not None:
            body += [self._phrases(self.plan), self._chords(self.plan) if "chords" in self.tops else ""]
        title = f"{len(self.score.notes)} notes from {_pitch_name(self.low + 1)} to {_pitch_name(self.high - 1)}"
        return (
            f'<svg id="lanes" class="lanes" height="{self.height}" role="img" aria-label="Piano roll: {title}, with '
            f'bars, keys, phrases, tempo and loudness">{"".join(body)}</svg>'
        )

    def gutter(self) -> str:
        """Words and scales to the left of the lanes, which stay while the lanes scroll."""
        words: list[tuple[Px, str]] = [(self.tops["bars"] + 12, "bar")]
        for lane, below, word in (("names", 16, "form"), ("phrases", 14, "phrase"), ("chords", 13, "chord")):
            words += [(self.tops[lane] + below, word)] if lane in self.tops else []
        for pitch in self._octaves():
            words.append((self.tops["roll"] + self._pitch_px(pitch) + 4, _pitch_name(pitch)))
        for lane, (low, high) in (("tempo", self._tempo_range()), ("loud", self._loud_range())):
            top = self.tops[lane]
            words += [(top + 11, f"{high:.0f}"), (top + CURVE - 3, f"{low:.0f}")]
            words.append((top + CURVE / 2 + 4, "♩/min" if lane == "tempo" else "touch"))
        text = "".join(f'<text x="100%" dx="-8" y="{y:g}">{word}</text>' for y, word in words)
        return f'<svg class="gutter" height="{self.height}" aria-hidden="true">{text}</svg>'

    def _percent(self, div: Px) -> str:
        return f"{100 * div / self.score.end_div:.3f}".rstrip("0").rstrip(".")

    def _span(self, start: Px, end: Px) -> str:
        """Attributes x and width."""
        return f'x="{self._percent(start)}%" width="{self._percent(end - start)}%"'

    def _width_px(self, divs: Px) -> float:
        """Pixels where the drawing is as narrow as it gets."""
        return divs / self.score.end_div * self.least_width

    def _units(self, pixels: Px) -> float:
        """Units of an inner drawing that are so many pixels where it is as narrow as it gets."""
        return pixels / self.least_width * SCALE

    def _octaves(self) -> list[int]:
        return [p for p in range(0, 128, 12) if self.low < p < self.high]

    def _pitch_px(self, pitch: Px) -> float:
        return (self.high + 0.5 - pitch) / (self.high - self.low + 1) * self.roll_px

    def _inner(self, lane: str, units: Px, height: int, body: str) -> str:
        """A drawing of `SCALE` x `units`, stretched over a lane of so many pixels."""
        return (
            f'<svg y="{self.tops[lane]}" width="100%" height="{height}" viewBox="0 0 {SCALE} {units:g}" '
            f'preserveAspectRatio="none">{body}</svg>'
        )

    def _wash(self) -> str:
        """Each section's colour behind its lanes; bar lines and numbers."""
        body, top = [], NUMBERS + GAP
        for s in self.sections:
            place = f'{self._span(s.start, s.end)} y="{top}" height="{self.height - top}"'
            body.append(f'<rect class="wash h{hue_class(s.label)}" {place}/>')
        numbered = [b for b in self.score.bars if b.number > 0]
        room = self.least_width / max(len(self.score.bars), 1)
        step = next(s for s in (1, 2, 4, 8, 16) if s * room >= 48 or s == 16)
        for bar in (b for i, b in enumerate(numbered) if i % step == 0):
            body.append(f'<text x="{self._percent(bar.onset_div)}%" y="12">{bar.number}</text>')
        lines = "".join(f"M{round(b.onset_div * self.x)} 0v1" for b in self.score.bars[1:])
        return "".join(body) + self._inner(
            "roll", 1, self.height - self.tops["roll"], f'<path class="bar" d="{lines}"/>'
        )

    def _names(self) -> str:
        body, top = [], self.tops["names"]
        for s in self.sections:
            room = self._width_px(s.end - s.start)
            label = shown(s.label)
            key = key_shown(s)
            words = f'<text class="name" x="8" y="17">{escape(label)}</text>' if room > 8 + 9 * len(label) else ""
            if words and key and room > 26 + 9 * len(label) + SIGN_PX * len(key):
                words += f'<text class="key" x="{18 + 9 * len(label)}" y="17">{escape(key)}</text>'
            body.append(
                f'<svg {self._span(s.start, s.end)} y="{top}" height="{NAMES}">'
                f'<rect class="frame h{hue_class(s.label)}" width="100%" height="{NAMES}"/>{words}</svg>'
            )
        return "".join(body)

    def _phrases(self, plan: Plan) -> str:
        body, lines, top, bar = [], [], self.tops["phrases"], 0
        for phrase in (p for s in plan.sections for p in s.phrases):
            start, end = (
                plan.bar_onset_div(bar) if bar else 0,
                min(plan.bar_onset_div(bar + phrase.bars), self.score.end_div),
            )
            bar += phrase.bars
            if end <= start:
                continue
            room = self._width_px(end - start)
            lines.append(f"M{round(start * self.x) + 60} 14V20H{round(end * self.x) - 60}V14")
            idea, cadence = shown(phrase.idea), phrase.cadence or ""
            words = f'<text x="5" y="13">{escape(idea)}</text>' if room > 14 else ""
            if cadence and room > 16 + SIGN_PX * (len(cadence) + len(idea)):
                words += f'<text class="cadence" x="100%" dx="-5" y="13">{cadence}</text>'
            body.append(f'<svg {self._span(start, end)} y="{top}" height="{PHRASES}">{words}</svg>')
        return "".join(body) + self._inner("phrases", PHRASES, PHRASES, f'<path class="phrase" d="{"".join(lines)}"/>')

    def _chords(self, plan: Plan) -> str:
        """Figures of the chords, those that have room; a figure that goes on is not written again."""
        body, top = [], self.tops["chords"]
        for section, first in zip(plan.sections, plan.first_bars, strict=True):
            start, free, before = plan.bar_onset_div(first), 0.0, ""
            for chord in section.chords:
                onset = start + chord.onset_div
                left = self._width_px(onset)
                if not chord.figure or chord.figure == before or left < free or onset >= self.score.end_div:
                    continue
                text = figure_shown(chord.figure)
                if len(text) * SIGN_PX > self._width_px(chord.duration_div) + 8:
                    continue
                before, free = chord.figure, left + len(text) * SIGN_PX
                body.append(
                    f'<text class="figure" x="{self._percent(onset)}%" dx="2" y="{top + 13}">{escape(text)}</text>'
                )
        return "".join(body)

    def _roll(self) -> str:
        gap, paths = self._units(GAP_PX), {}
        for note in self.score.notes:
            section = self.sections[max(bisect_right(self.starts, note.onset_div) - 1, 0)]
            kind = f"h{hue_class(section.label)}{' low' if self._is_low(note) else ''}"
            paths.setdefault(kind, []).append(self._box(note, gap))
        units = (self.high - self.low + 1) * PITCH
        lines = "".join(f"M0 {self._unit(p) + PITCH / 2:g}H{SCALE}" for p in self._octaves())
        body = [f'<path class="octave" d="{lines}"/>']
        body += [f'<path class="{kind}" d="{"".join(boxes)}"/>' for kind, boxes in sorted(paths.items())]
        if self.plan is not None:
            for kind, notes in (
                ("theme", theme_notes(self.score, self.plan)),
                ("link", link_notes(self.score, self.plan)),
            ):
                if notes:
                    body.append(f'<path class="{kind}" d="{"".join(self._rim(n, gap) for n in notes)}"/>')
        return self._inner("roll", units, self.roll_px, "".join(body))

    def _is_low(self, note: Note) -> bool:
        return note.staff == 2 or (note.staff == 0 and note.part > 0)

    def _unit(self, pitch: int) -> int:
        """Upper edge of a pitch in the roll's units."""
        return (self.high - pitch) * PITCH

    def _box(self, note: Note, gap: Px) -> str:
        left = round(note.onset_div * self.x)
        width = max(round(note.duration_div * self.x - gap), round(2 * gap))
        return f"M{left} {self._unit(note.pitch) + 1}h{width}v8h-{width}z"

    def _rim(self, note: Note, gap: Px) -> str:
        """An outline that leaves the note's colour to be seen."""
        left, width = round(note.onset_div * self.x), max(round(note.duration_div * self.x - gap), round(2 * gap))
        rim = round(gap / 2)
        return f"M{left - rim} {self._unit(note.pitch)}h{width + 2 * rim}v10h-{width + 2 * rim}z"

    def _tempo(self, beats: list[int]) -> list[tuple[float, float]]:
        return tempo_curve(self.clock, beats)

    def _tempo_range(self) -> tuple[float, float]:
        return _range([v for _, v in self._tempo(beat_divs(self.score))], 8.0)

    def _loud_range(self) -> tuple[float, float]:
        return _range([float(n.velocity) for n in self.performance.notes], 20.0)

    def _curves(self) -> str:
        """Tempo by beat (fine) and by bar, velocity of every note (dots) and its mean by beat."""
        beats = beat_divs(self.score)
        bars = [*(b.onset_div for b in self.score.bars), self.score.end_div]
        low, high = self._tempo_range()
        fine, plain = (self._line(tempo_curve(self.clock, d), low, high) for d in (beats, bars))
        tempo = f'<path class="fine" d="{fine}"/><path class="curve" d="{plain}"/>'
        low, high = self._loud_range()
        dots: dict[int, list[str]] = {}
        velocity = {n.note_id: n.velocity for n in self.performance.notes}
        for note in (n for n in self.score.notes if n.id in velocity):
            hue = hue_class(self.sections[max(bisect_right(self.starts, note.onset_div) - 1, 0)].label)
            y = _height(velocity[note.id], low, high)
            dots.setdefault(hue, []).append(f"M{round(note.onset_div * self.x)} {y}h1")
        loud = "".join(f'<path class="dot s{hue}" d="{"".join(d)}"/>' for hue, d in sorted(dots.items()))
        mean = self._line(velocity_curve(self.score, self.performance, beats), low, high)
        loud += f'<path class="curve" d="{mean}"/>'
        rim = f'<path class="rim" d="M0 .5H{SCALE}M0 {CURVE * 10 - 1}H{SCALE}"/>'
        return "".join(
            self._inner(lane, CURVE * 10, CURVE, rim + body) for lane, body in (("tempo", tempo), ("loud", loud))
        )

    def _line(self, points: Iterable[tuple[float, float]], low: Px, high: Px) -> str:
        return "L".join(f"{round(x * self.x)} {_height(y, low, high)}" for x, y in points).join(("M", "")) or "M0 0"

    def form(self) -> str:
        """The form bar: a block for each section, which can be clicked and focused, under arcs of what returns."""
        returns = [s for s in self.sections if s.source is not None and s.source < len(self.sections)]
        top = ARC_PX if returns else 2
        body = []
        for s in self.sections:
            share = (s.end - s.start) / self.score.end_div
            body.append(self._block(s, share, top))
        arcs = "".join(self._arc(self.sections[s.source or 0], s, top) for s in returns)
        if arcs:
            inner = f'viewBox="0 0 {SCALE} {ARC_PX}" preserveAspectRatio="none" aria-hidden="true"'
            body.append(f'<svg width="100%" height="{ARC_PX}" {inner}>{arcs}</svg>')
        height = top + FORM_PX
        body.append(f'<line id="form-head" x1="0" x2="0" y1="{top - 4}" y2="{height + 4}"/>')
        about = f'role="group" aria-label="Form: {len(self.sections)} sections"'
        return f'<svg class="form" height="{height}" {about}>{"".join(body)}</svg>'

    def _block(self, s: _Section, share: Px, top: int) -> str:
        label, place = shown(s.label), self._span(s.start, s.end)
        hint = escape(section_name(s))
        middle, words = self._percent((s.start + s.end) / 2), ""
        key = key_shown(s)
        if label and share * 1100 > 12 + 9 * len(label):
            tiny = " tiny" if share * 320 < 6 + 10 * len(label) else ""
            both = key and share * 1100 > 40 + 10 * len(label) + SIGN_PX * len(key)
            words = f'<text x="{middle}%" y="{top + 25}" text-anchor="middle">'
            words += f'<tspan class="label{tiny}">{escape(label)}</tspan>'
            words += f'<tspan class="key" dx="8">{escape(key)}</tspan></text>' if both else "</text>"
        return (
            f'<g class="block" role="button" tabindex="0" aria-label="{hint}"><title>{hint}</title>'
            f'<rect class="h{hue_class(s.label)}" {place} y="{top}" height="{FORM_PX}" rx="2"/>'
            f'<rect class="mark" {place} y="{top + FORM_PX - 5}" height="3"/>{words}</g>'
        )

    def _arc(self, origin: _Section, section: _Section, top: int) -> str:
        left, right = ((s.start + s.end) / 2 * self.x for s in (origin, section))
        rise = top - 4 - (top - 8) * min(1.0, 0.45 + 0.9 * (right - left) / SCALE)
        control = round(-4 / 3 * (top - 2 - rise) + top - 2 + (top - 2 - rise) / 3)
        a, b = round(left), round(right)
        curve = f"M{a} {top - 2}C{a} {control} {b} {control} {b} {top - 2}"
        return f'<path class="arc s{hue_class(section.label)}" d="{curve}"/>'


def section_name(section: _Section) -> str:
    """Section A′, E♭."""
    name = f"section {shown(section.label)}" if section.label else "the piece"
    return f"{name}, {key_shown(section)}" if section.key else name


def _range(values: Sequence[float], least: Px) -> tuple[float, float]:
    """Bounds of a curve: all but the farthest hundredth, at least so wide."""
    if not values:
        return 0.0, least
    low, high = min(values), max(values)
    if len(values) >= 20:
        cuts = quantiles(values, n=100)
        low, high = max(low, cuts[0]), min(high, cuts[-1])
    spare = max(least - (high - low), 0.08 * (high - low)) / 2
    return max(low - spare, 0.0), high + spare


def _height(value: Px, low: Px, high: Px) -> int:
    """Tenths of a pixel from a curve lane's upper edge."""
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    return round((1 - share) * (CURVE * 10 - 40)) + 20


def _pitch_name(pitch: int) -> str:
    return ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")[pitch % 12] + str(pitch // 12 - 1)
