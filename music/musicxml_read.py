"""From bars as a file has them to a `Score`: repeats written out, ties merged, changes and signs put on one clock.

Free of music21: `music.musicxml` fills `RawBar`s from a parsed stream, this module makes the score.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from music.pitch import Key
from music.score import Bar, Direction, KeyChange, MeterChange, Note, Part, Score, SectionMark, TempoChange, sort_notes
from music.time import DIVS_PER_QUARTER, Meter

MAX_EXPANSION = 4.0  # a file whose repeats make it longer than this many times is taken as it stands
MAX_BARS = 20_000
TIE_SLACK_DIV = 2  # ends of odd tuplets are rounded to divisions


@dataclass(slots=True)
class RawNote:
    """A written note: offsets in divisions from its bar's start; `tie_in`/`tie_out` join it to its neighbours."""

    onset: int
    end: int
    pitch: int
    part: int
    staff: int
    voice: int
    step: str
    tie_in: bool = False
    tie_out: bool = False
    grace: bool = False


@dataclass(slots=True)
class Jumps:
    """What a bar says about the order of play."""

    forward: bool = False
    backward: bool = False
    times: int = 2
    ending: tuple[int, ...] = ()
    last_ending: bool = False
    segno: bool = False
    coda: bool = False
    fine: bool = False
    to_coda: bool = False
    jump: str = ""  # "capo" or "segno"

    @property
    def turns(self) -> int:
        """How often the passage that this bar's repeat sign closes is played."""
        if self.ending:  # the first bracket leads back once more than it is played, a later one only up to its number
            return max(self.ending) + (1 if 1 in self.ending else 0)
        return max(2, self.times)


@dataclass(slots=True)
class RawBar:
    """A bar as written, with what changes in it; offsets in divisions from its start."""

    number: int
    length: int = 0
    notes: list[RawNote] = field(default_factory=list)
    meters: list[tuple[int, Meter]] = field(default_factory=list)
    keys: list[tuple[int, Key]] = field(default_factory=list)
    tempos: list[tuple[int, float]] = field(default_factory=list)
    directions: list[Direction] = field(default_factory=list)  # onset_div counts from the bar
    sections: list[tuple[int, str]] = field(default_factory=list)
    jumps: Jumps = field(default_factory=Jumps)


def play_order(jumps: list[Jumps]) -> list[int]:
    """Indices of bars in the order of play: repeats, first and second endings, da capo, dal segno, coda, fine.

    After a da capo or dal segno repeats are not taken again and only last endings are played, as players do. Where
    following the signs would make the piece longer than `MAX_EXPANSION` times, the bars are given as they stand.
    """
    count = len(jumps)
    limit = min(MAX_BARS, int(MAX_EXPANSION * count) + 8)
    order: list[int] = []
    index, start, turn, jumped = 0, 0, 1, False
    while index < count:
        if len(order) >= limit:
            return list(range(count))
        bar = jumps[index]
        if bar.forward and index != start:
            start, turn = index, 1
        if bar.ending and not (bar.last_ending if jumped else turn in bar.ending):
            index += 1
            if bar.last_ending:
                start, turn = index, 1
            continue
        order.append(index)
        if jumped and bar.fine:
            break
        if jumped and bar.to_coda:
            coda = next((i for i in range(count) if jumps[i].coda and i > index), None)
            if coda is not None:
                index = coda
                continue
        if bar.backward and not jumped:
            if turn < bar.turns:
                index, turn = start, turn + 1
                continue
            start, turn = index + 1, 1
        elif bar.ending and bar.last_ending and (index + 1 == count or not jumps[index + 1].ending):
            start, turn = index + 1, 1
        if bar.jump and not jumped:
            jumped = True
            index = next((i for i in range(count) if jumps[i].segno), 0) if bar.jump == "segno" else 0
            start = index
            continue
        index += 1
    return order


def written_out(bars: list[RawBar]) -> list[int]:
    """The order of play of a whole file: movement by movement, for a da capo goes back to its movement's start.

    A movement begins where the printed bar numbers start again at 0 or 1.
    """
    starts = [0]
    for index in range(1, len(bars)):
        if bars[index].number in (0, 1) and bars[index].number < bars[index - 1].number:
            starts.append(index)
    order: list[int] = []
    for start, end in zip(starts, [*starts[1:], len(bars)], strict=True):
        order.extend(start + i for i in play_order([b.jumps for b in bars[start:end]]))
    return order


def _settle_bars(bars: list[RawBar]) -> list[RawBar]:
    """Bars with lengths: that of their content; an empty bar takes its meter's length or, at the ends, is left out."""
    meter = next((m for b in bars for _, m in b.meters), Meter(4, 4))
    kept = []
    for index, bar in enumerate(bars):
        meter = bar.meters[0][1] if bar.meters else meter
        bar.length = max([bar.length, *(n.end for n in bar.notes)])
        if bar.length <= 0:
            if not bar.meters and not bar.jumps.forward and (index == len(bars) - 1 or not kept):
                continue
            bar.length = meter.bar_div
        meter = bar.meters[-1][1] if bar.meters else meter
        kept.append(bar)
    return kept


class _Clock:
    """Changes of one kind along the score: doubled ones are left out, jumps back restore what was in force."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, object]] = []

    def put(self, onset: int, value: object) -> None:
        if self.changes and self.changes[-1][0] == onset:
            self.changes.pop()
        if not self.changes or self.changes[-1][1] != value:
            self.changes.append((onset, value))


def _in_force(bars: list[RawBar], kind: str) -> list[object]:
    """What is in force at the start of each written bar, None before the first statement."""
    states, state = [], None
    for bar in bars:
        states.append(state)
        changes = getattr(bar, kind)
        state = changes[-1][1] if changes else state
    return states


def _changes(bars: list[RawBar], order: list[int], onsets: list[int], kind: str) -> list[tuple[int, object]]:
    clock, before = _Clock(), _in_force(bars, kind)
    for index, onset in zip(order, onsets, strict=True):
        if before[index] is not None:
            clock.put(onset, before[index])
        for offset, value in getattr(bars[index], kind):
            clock.put(onset + max(0, min(offset, bars[index].length - 1)), value)
    return clock.changes


def _merge_ties(placed: list[tuple[int, RawNote]]) -> list[list[int]]:
    """Struck notes from written ones: lists [onset, end, index of the written note], ties joined within a part."""
    struck: list[list[int]] = []
    open_ties: dict[tuple[int, int], list[int]] = {}  # (part, pitch) -> struck notes that wait for more
    for index, (onset, raw) in enumerate(placed):
        begin, end = onset + raw.onset, onset + raw.end
        waiting = open_ties.get((raw.part, raw.pitch), [])
        chain = None
        if raw.tie_in and not raw.grace:
            chain = next((s for s in waiting if abs(struck[s][1] - begin) <= TIE_SLACK_DIV), None)
        if chain is None:
            chain = len(struck)
            struck.append([begin, end, index])
        else:
            struck[chain][1] = end
            waiting.remove(chain)
        if raw.tie_out and not raw.grace:
            open_ties.setdefault((raw.part, raw.pitch), []).append(chain)
    return struck


def _make_notes(bars: list[RawBar], order: list[int], onsets: list[int]) -> tuple[Note, ...]:
    placed = [(o, raw) for i, o in zip(order, onsets, strict=True) for raw in bars[i].notes]
    placed.sort(key=lambda p: (p[0] + p[1].onset, not p[1].grace, p[1].part, p[1].pitch, p[1].voice))
    notes = []
    for begin, end, index in _merge_ties(placed):
        raw = placed[index][1]
        duration = 0 if raw.grace else end - begin
        notes.append(Note(f"n{len(notes)}", begin, duration, raw.pitch, raw.part, raw.staff, raw.voice, raw.step))
    return sort_notes(notes)


def _meter_of_length(length: int) -> Meter:
    """A meter for a file that states none: the bar's length in quarters, eighths or sixteenths, else 4/4."""
    for denominator in (4, 8, 16, 32):
        unit = DIVS_PER_QUARTER * 4 // denominator
        if length % unit == 0 and 1 <= length // unit <= 32:
            return Meter(length // unit, denominator)
    return Meter(4, 4)


def score_of_bars(parts: list[Part], bars: list[RawBar], title: str) -> Score:
    """The score of a file's bars: repeats written out, bars without gaps, ties merged.

    Raises:
        ScoreError: an invariant of `Score` does not hold (no bars, no parts, too many notes …).
    """
    bars = _settle_bars(bars)
    order = written_out(bars)
    onsets, total = [], 0
    for index in order:
        onsets.append(total)
        total += bars[index].length
    meters = [MeterChange(o, m) for o, m in _changes(bars, order, onsets, "meters") if isinstance(m, Meter)]
    if bars and (not meters or meters[0].onset_div > 0):
        longest = max((b.length for b in bars[:4]), default=0)
        meters.insert(0, MeterChange(0, meters[0].meter if meters else _meter_of_length(longest)))
        meters = [m for i, m in enumerate(meters) if i == 0 or m.meter != meters[i - 1].meter]
    directions = [
        Direction(o + d.onset_div, d.kind, d.text, min(d.duration_div, total - o - d.onset_div), d.part)
        for i, o in zip(order, onsets, strict=True)
        for d in bars[i].directions
    ]
    directions.sort(key=lambda d: (d.onset_div, d.part, d.kind, d.text))
    return Score(
        parts=tuple(parts),
        notes=_make_notes(bars, order, onsets),
        bars=tuple(Bar(o, bars[i].length, bars[i].number) for i, o in zip(order, onsets, strict=True)),
        meters=tuple(meters),
        keys=tuple(KeyChange(o, k) for o, k in _changes(bars, order, onsets, "keys") if isinstance(k, Key)),
        tempos=tuple(TempoChange(o, t) for o, t in _changes(bars, order, onsets, "tempos") if isinstance(t, float)),
        directions=tuple(directions),
        sections=tuple(
            SectionMark(o + s, label) for i, o in zip(order, onsets, strict=True) for s, label in bars[i].sections
        ),
        title=title,
    )
