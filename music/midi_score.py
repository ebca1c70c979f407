"""MIDI events to a Score or a Performance, whose notes share ids: both come from one list of placed notes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple, TypeVar

from music.midi_clock import TempoClock
from music.midi_events import DRUM_CHANNEL, MidiDamage, MidiEvents, TrackEvents
from music.performance import Pedal, Performance, PerformedNote
from music.pitch import Key
from music.score import MAX_DIV, Bar, KeyChange, MeterChange, Note, Part, Score, SectionMark, TempoChange
from music.time import DENOMINATORS, DIVS_PER_QUARTER, MAX_NUMERATOR, Meter

MAX_BARS = 20_000
MAX_PARTS = 256
MIN_QPM, MAX_QPM = 1.0, 2000.0

T = TypeVar("T")


class PlacedNote(NamedTuple):
    """A note in the file's ticks and in divisions, struck with a velocity. Its first three fields sort it."""

    onset_div: int
    pitch: int
    part: int
    end_div: int
    onset_tick: int
    end_tick: int
    velocity: int


class Span(NamedTuple):
    """A stretch of one meter, its bars `bar_div` long."""

    onset: int
    bar_div: int
    meter: Meter


def to_div(tick: int, division: int) -> int:
    """Ticks to the nearest division, in integers."""
    return (2 * tick * DIVS_PER_QUARTER + division) // (2 * division)


def pair_strikes(events: list[tuple[int, int]], end_tick: int) -> list[tuple[int, int, int]]:
    """Strikes and releases of one key, as (tick, velocity), to notes (onset tick, end tick, velocity).

    The first release ends the first strike. Where releases are missing that would let a note ring to the end of the
    track, so then each strike or release ends whatever sounds, and only the last strike can ring on.
    """
    notes: list[tuple[int, int, int]] = []
    waiting: list[tuple[int, int]] = []
    ended = 0
    for tick, velocity in events:
        if velocity:
            waiting.append((tick, velocity))
        elif ended < len(waiting):
            notes.append((waiting[ended][0], tick, waiting[ended][1]))
            ended += 1
    if ended == len(waiting):
        return notes
    return _pair_restruck(events, end_tick)


def _pair_restruck(events: list[tuple[int, int]], end_tick: int) -> list[tuple[int, int, int]]:
    notes: list[tuple[int, int, int]] = []
    sounding: tuple[int, int] | None = None
    for tick, velocity in [*events, (end_tick, 0)]:
        if sounding is not None:
            notes.append((sounding[0], tick, sounding[1]))
        sounding = (tick, velocity) if velocity else None
    return notes


def place_notes(events: MidiEvents) -> tuple[tuple[Part, ...], list[PlacedNote]]:
    """Parts (a channel of a track each) and their notes in a score's order; drums and notes of no length are left out.

    Raises:
        MidiDamage: no note is left, one lasts beyond the longest score, or there are more than `MAX_PARTS` parts.
    """
    parts: list[Part] = []
    placed: list[PlacedNote] = []
    anywhere = {channel: program for t in reversed(events.tracks) for _, channel, program in reversed(t.programs)}
    for track in events.tracks:
        channels = sorted({channel for channel, _ in track.strikes} | _silent_channels(track))
        for channel in channels:
            name = track.name if len(channels) == 1 else f"{track.name} {channel + 1}".strip()
            program = _program(track, channel, anywhere.get(channel, 0))
            for (_, pitch), strikes in ((k, v) for k, v in track.strikes.items() if k[0] == channel):
                notes = pair_strikes(strikes, track.end_tick)
                placed += _without_overlap(notes, events.division, pitch, len(parts))
            if len(parts) == MAX_PARTS:
                raise MidiDamage(f"the file holds more than {MAX_PARTS} parts")
            parts.append(Part(f"P{len(parts) + 1}", name, program))
    if not placed:
        raise MidiDamage("the file holds no pitched note")
    if max(n.end_div for n in placed) > MAX_DIV:
        raise MidiDamage(f"a note lasts beyond {MAX_BARS} bars")
    placed.sort()
    return tuple(parts), placed


def _silent_channels(track: TrackEvents) -> set[int]:
    """The channel of an instrument that rests throughout: it keeps its place in the score.

    Only a track that names its instrument is one; files in the wild have tracks that hold a pedal or a copyright.
    """
    if track.strikes or not track.instrument:
        return set()
    return {channel for _, channel, _ in track.programs[:1] if channel != DRUM_CHANNEL}


def _program(track: TrackEvents, channel: int, default: int) -> int:
    return next((program for _, c, program in track.programs if c == channel), default)


def _without_overlap(notes: list[tuple[int, int, int]], division: int, pitch: int, part: int) -> list[PlacedNote]:
    """Notes of one key: each ends at the next onset at the latest, and of two struck at once the longer stays."""
    timed = sorted(
        (to_div(onset, division), max(to_div(end, division), to_div(onset, division) + 1), onset, end, velocity)
        for onset, end, velocity in notes
        if end > onset
    )
    found = []
    for index, (onset_div, end_div, onset, end, velocity) in enumerate(timed):
        if index + 1 < len(timed):
            following = timed[index + 1]
            end_div, end = min(end_div, following[0]), min(end, following[2])
        if end_div > onset_div:
            found.append(PlacedNote(onset_div, pitch, part, end_div, onset, end, velocity))
    return found


def score_of_events(events: MidiEvents) -> Score:
    """The score that a file's events describe.

    Raises:
        MidiDamage: no note, an unusable meter, more than `MAX_BARS` bars.
    """
    parts, placed = place_notes(events)
    end_div = max(n.end_div for n in placed)
    bars, meters = _bars(_meters(events), end_div)
    end_div = bars[-1].end_div
    keys = [(tick, Key.of_fifths(sharps, bool(minor))) for tick, sharps, minor in events.keys if _is_key(sharps, minor)]
    tempos = [(tick, min(max(60e6 / tempo, MIN_QPM), MAX_QPM)) for tick, tempo in events.tempos]
    markers = [(tick, text) for tick, text in events.markers if text]
    first = events.tracks[0]
    return Score(
        parts=parts,
        notes=tuple(Note(f"n{i}", n.onset_div, n.end_div - n.onset_div, n.pitch, n.part) for i, n in enumerate(placed)),
        bars=bars,
        meters=meters,
        keys=tuple(KeyChange(*c) for c in _changes(keys, events.division, end_div)),
        tempos=tuple(TempoChange(*c) for c in _changes(tempos, events.division, end_div)),
        sections=tuple(SectionMark(*c) for c in _changes(markers, events.division, end_div, repeats=True)),
        title=first.name if events.format == 0 or not first.strikes else "",
    )


def _is_key(sharps: int, minor: int) -> bool:
    # A broken key signature harms no note, and files in the wild hold them: it is passed over.
    return -7 <= sharps <= 7 and minor in (0, 1)


def _changes(found: list[tuple[int, T]], division: int, end_div: int, repeats: bool = False) -> Iterable[tuple[int, T]]:
    """Changes by division within the score: the last of several at one place, and none that changes nothing."""
    latest = {to_div(tick, division): value for tick, value in sorted(found, key=lambda c: c[0])}
    kept: list[tuple[int, T]] = []
    for onset, value in latest.items():
        if onset < end_div and (repeats or not kept or kept[-1][1] != value):
            kept.append((onset, value))
    return kept


def _meters(events: MidiEvents) -> list[Span]:
    """Stretches of one meter, the first at 0 (4/4 where the file says nothing)."""
    latest = {0: Span(0, Meter(4, 4).bar_div, Meter(4, 4))}
    for tick, numerator, exponent in sorted(events.meters, key=lambda m: m[0]):
        onset = to_div(tick, events.division)
        before = latest[next(reversed(latest))].meter
        latest[onset] = _span(onset, numerator, exponent, before)
    return list(latest.values())


def _span(onset: int, numerator: int, exponent: int, before: Meter) -> Span:
    """The stretch that a time signature opens, in the smallest denominator that scores use (64/64 is 32/32).

    A numerator beyond a score's, such as the 37/32 of a written-out cadenza, gives bars of that length in the meter
    that was in force before.
    """
    written = f"{numerator}/{2**exponent}" if exponent < 16 else f"{numerator}/2^{exponent}"
    while numerator and numerator % 2 == 0 and exponent and (numerator > MAX_NUMERATOR or exponent > 5):
        numerator, exponent = numerator // 2, exponent - 1
    if numerator < 1 or exponent >= len(DENOMINATORS):
        raise MidiDamage(f"a time signature {written}, which no score can have")
    bar_div = 4 * DIVS_PER_QUARTER * numerator // DENOMINATORS[exponent]
    return Span(onset, bar_div, Meter(numerator, DENOMINATORS[exponent]) if numerator <= MAX_NUMERATOR else before)


def _bars(spans: list[Span], end_div: int) -> tuple[tuple[Bar, ...], tuple[MeterChange, ...]]:
    """Bars up to the end of the last note. A time signature in mid-bar closes the bar there.

    A file cannot say "upbeat": it says a short meter for one bar. So a first meter that lasts one bar or less and is
    followed by a longer one is taken for an upbeat bar, numbered 0, of the meter that follows.
    """
    spans = [s for s in spans if s.onset == 0 or s.onset < end_div]
    places: list[tuple[int, int]] = []
    for span, following in zip(spans, [*spans[1:], None], strict=True):
        whole_bars = -((span.onset - end_div) // span.bar_div)
        stop = following.onset if following else span.onset + whole_bars * span.bar_div
        if len(places) + (stop - span.onset) // span.bar_div > MAX_BARS or stop > MAX_DIV:
            raise MidiDamage(f"the piece is longer than {MAX_BARS} bars")
        places += [(at, min(span.bar_div, stop - at)) for at in range(span.onset, stop, span.bar_div)]
    has_upbeat = len(spans) > 1 and spans[1].onset <= spans[0].bar_div and spans[1].onset < spans[1].bar_div
    first = 0 if has_upbeat else 1
    if has_upbeat:
        spans = [spans[1]._replace(onset=0), *spans[2:]]
    changed = spans[:1] + [b for a, b in pairwise(spans) if a.meter != b.meter]
    return (
        tuple(Bar(at, length, first + i) for i, (at, length) in enumerate(places)),
        tuple(MeterChange(s.onset, s.meter) for s in changed),
    )


def performance_of_events(events: MidiEvents) -> Performance:
    """The same notes in seconds, by the file's tempo map, with the sustain pedal of all channels but the drums'.

    Raises:
        MidiDamage: as `place_notes`.
    """
    _, placed = place_notes(events)
    clock = TempoClock(events.division, events.tempos)
    notes = []
    for index, note in enumerate(placed):
        onset = clock.seconds(note.onset_tick)
        length = clock.seconds(note.end_tick) - onset
        notes.append(PerformedNote(f"n{index}", onset, length, note.pitch, note.velocity))
    # Where ticks are finer than divisions, the order in time is not quite that of the score.
    notes.sort(key=lambda n: n.onset_sec)
    return Performance(tuple(notes), _pedals(events, clock))


def _pedals(events: MidiEvents, clock: TempoClock) -> tuple[Pedal, ...]:
    """The sustain pedal of all channels but the drums' as one: the deepest at any time."""
    moves = sorted((p for t in events.tracks for p in t.pedals if p[1] != DRUM_CHANNEL), key=lambda p: p[0])
    depth: dict[int, int] = {}
    latest: dict[int, int] = {}
    for tick, channel, value in moves:
        depth[channel] = value
        latest[tick] = max(depth.values())
    pedals: list[Pedal] = []
    for tick, value in latest.items():
        if not pedals or pedals[-1].value != value:
            pedals.append(Pedal(clock.seconds(tick), value))
    return tuple(pedals)
