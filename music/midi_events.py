"""MIDI file bytes to events, by a walk that trusts nothing.

Every byte is checked before it is used: a parser in C++ may crash, or return infinite times, on bytes that are not
well-formed, and a crash cannot be caught. What ordinary players forgive is forgiven (a missing end of track, running
status after a meta event, unknown chunks, RIFF wrapping, bytes after the last track); what would lose or distort music
without a word is refused (a truncated track, no usable clock). Chunk and event layout: Standard MIDI Files 1.0, MIDI
Manufacturers Association, 1996.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, field

from music.score import MAX_DIV, MAX_NOTES
from music.time import DIVS_PER_QUARTER

MAX_BYTES = 20_000_000
# A piece of MAX_NOTES notes with pedal and tempo curves has half as many; the walk takes about a second for them.
MAX_EVENTS = 1_000_000
MAX_SIGNS = 50_000  # tempos, meters, keys and markers together
MAX_TEXT = 200
TOO_MANY_NOTES = f"the file holds more than {MAX_NOTES} notes"
DRUM_CHANNEL = 9
SIGNS = (0x06, 0x51, 0x58, 0x59)


class MidiDamage(Exception):
    """Bytes that cannot be read as music; the message is one clause, without the file's name."""


@dataclass
class TrackEvents:
    """What one track says, in ticks from its start.

    Args:
        name: the track's name, "" where it has none.
        instrument: the instrument's name, "" where it has none.
        end_tick: its end of track, or its last event.
        strikes: by (channel, pitch) the strikes and releases as (tick, velocity), a release having velocity 0.
        programs: (tick, channel, program).
        pedals: (tick, channel, value) of the sustain pedal.
    """

    name: str = ""
    instrument: str = ""
    end_tick: int = 0
    strikes: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    programs: list[tuple[int, int, int]] = field(default_factory=list)
    pedals: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass
class MidiEvents:
    """What a file says: `division` ticks a quarter, and what stands in any track and holds for all.

    Args:
        tempos: (tick, microseconds a quarter).
        meters: (tick, numerator, exponent of the denominator).
        keys: (tick, sharps, minor as 0 or 1), as found.
        markers: (tick, text).
    """

    format: int
    division: int
    tracks: list[TrackEvents] = field(default_factory=list)
    tempos: list[tuple[int, int]] = field(default_factory=list)
    meters: list[tuple[int, int, int]] = field(default_factory=list)
    keys: list[tuple[int, int, int]] = field(default_factory=list)
    markers: list[tuple[int, str]] = field(default_factory=list)
    events: int = 0
    signs: int = 0
    strikes: int = 0


def decode_midi(data: bytes) -> MidiEvents:
    """The events of a standard MIDI file.

    Raises:
        MidiDamage: not MIDI, truncated, without a usable clock, or larger than the limits of this module.
    """
    if len(data) > MAX_BYTES:
        raise MidiDamage(f"the file is larger than {MAX_BYTES // 1_000_000} MB")
    data = _unwrap_riff(data)
    if not data:
        raise MidiDamage("the file is empty")
    if data[:4] != b"MThd":
        raise MidiDamage("not a MIDI file (it does not start with MThd)")
    if len(data) < 14:
        raise MidiDamage("the file is truncated in its header")
    length, kind, announced, division = struct.unpack(">IHHH", data[4:14])
    _check_header(length, kind, announced, division)
    found = MidiEvents(kind, division)
    for number, chunk in enumerate(_track_chunks(data, 8 + length, announced), 1):
        try:
            found.tracks.append(_walk_track(chunk, found))
        except IndexError:
            raise MidiDamage(f"track {number} breaks off in the middle of an event") from None
        except MidiDamage as error:
            raise MidiDamage(f"track {number}: {error}") from None
    return found


def _unwrap_riff(data: bytes) -> bytes:
    """The MIDI file inside a RIFF container of kind RMID; any other bytes as they are."""
    if data[:4] != b"RIFF" or data[8:12] != b"RMID":
        return data
    position = 12
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        if data[position : position + 4] == b"data":
            return data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2
    raise MidiDamage("the RIFF container holds no MIDI data")


def _check_header(length: int, kind: int, announced: int, division: int) -> None:
    if length < 6:
        raise MidiDamage(f"the header has {length} bytes instead of 6")
    if kind == 2:
        raise MidiDamage("format 2 (independent patterns) is not a piece")
    if kind > 2:
        raise MidiDamage(f"format {kind} is unknown")
    if announced == 0:
        raise MidiDamage("the file holds no track")
    if division == 0:
        raise MidiDamage("the division is 0 ticks a quarter")
    if division & 0x8000:
        raise MidiDamage("time is in SMPTE frames, not in quarters, so there are no beats to read")


def _track_chunks(data: bytes, position: int, announced: int) -> list[bytes]:
    """The bodies of all track chunks. Chunks of other kinds are skipped, as the standard asks."""
    tracks: list[bytes] = []
    while position < len(data):
        kind, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "big")
        left = len(data) - position - 8
        if left < 0 or size > left:
            if len(tracks) >= announced:
                break  # padding after the last track
            what = f"track {len(tracks) + 1}" if kind == b"MTrk" else "a chunk"
            raise MidiDamage(f"the file is truncated ({what} announces {size} bytes, {max(left, 0)} are left)")
        if kind == b"MTrk":
            tracks.append(data[position + 8 : position + 8 + size])
        position += 8 + size
    if len(tracks) < announced:
        raise MidiDamage(f"the file is truncated (it announces {announced} tracks and holds {len(tracks)})")
    return tracks


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A variable-length number and the place after it. IndexError where the bytes end."""
    value = 0
    for length in range(1, 5):
        byte = data[position]
        position += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position
        if length == 4:
            break
    raise MidiDamage(f"a number of more than four bytes at byte {position}")


def _walk_track(data: bytes, found: MidiEvents) -> TrackEvents:
    """Walks one track, adding what holds for all tracks to `found`."""
    track = TrackEvents()
    # A note later than this would lie beyond the longest score.
    last_tick = MAX_DIV * found.division // DIVS_PER_QUARTER
    position, end, tick, status, strikes = 0, len(data), 0, 0, found.strikes
    while position < end:
        found.events += 1
        if found.events > MAX_EVENTS:
            raise MidiDamage(f"the file holds more than {MAX_EVENTS} events")
        delta = data[position]
        if delta < 0x80:
            position += 1
        else:
            delta, position = _varint(data, position)
        tick += delta
        byte = data[position]
        if byte >= 0xF0:
            kind = data[position + 1] if byte == 0xFF else 0
            body, position = _body(data, position, byte)
            if kind == 0x2F:
                break
            if kind:
                _meta(kind, body, tick, track, found)
            continue
        if byte >= 0x80:
            status, position = byte, position + 1
        elif status == 0:
            raise MidiDamage(f"a data byte without a status at byte {position}")
        first = data[position]
        short = 0xC0 <= status < 0xE0
        second = 0 if short else data[position + 1]
        if (first | second) & 0x80:
            raise MidiDamage(f"a status byte where a value belongs at byte {position}")
        position += 1 if short else 2
        channel = status & 15
        if status < 0xA0:
            if channel == DRUM_CHANNEL:
                continue
            struck = second if status >= 0x90 else 0
            strikes += struck > 0
            if tick > last_tick or strikes > MAX_NOTES:
                raise MidiDamage("a note lies beyond 20,000 bars" if tick > last_tick else TOO_MANY_NOTES)
            track.strikes[channel, first].append((tick, struck))
        elif status < 0xC0:
            if first == 64 and status >= 0xB0:
                track.pedals.append((tick, channel, second))
        elif status < 0xD0:
            track.programs.append((tick, channel, first))
    found.strikes = strikes
    track.end_tick = tick
    return track


def _body(data: bytes, position: int, byte: int) -> tuple[bytes, int]:
    """The body of a meta or system-exclusive event, and the place after it."""
    if byte not in (0xF0, 0xF7, 0xFF):
        raise MidiDamage(f"a system message 0x{byte:02X}, which files may not hold, at byte {position}")
    if byte == 0xFF and data[position + 1] > 0x7F:
        raise MidiDamage(f"a meta event of kind 0x{data[position + 1]:02X} at byte {position}")
    size, start = _varint(data, position + (2 if byte == 0xFF else 1))
    if start + size > len(data):
        raise MidiDamage(f"an event of {size} bytes at byte {position}, where {len(data) - start} are left")
    return data[start : start + size], start + size


def _meta(kind: int, body: bytes, tick: int, track: TrackEvents, found: MidiEvents) -> None:
    found.signs += kind in SIGNS
    if found.signs > MAX_SIGNS:
        raise MidiDamage(f"the file holds more than {MAX_SIGNS} tempos and other signs")
    if kind == 0x03:
        track.name = track.name or _text(body)
    elif kind == 0x04:
        track.instrument = track.instrument or _text(body)
    elif kind == 0x06:
        found.markers.append((tick, _text(body)))
    elif kind == 0x51:
        tempo = int.from_bytes(body, "big")
        if len(body) != 3 or tempo == 0:
            what = "a tempo of 0 microseconds a quarter" if len(body) == 3 else f"a tempo of {len(body)} bytes"
            raise MidiDamage(f"{what} at tick {tick}")
        found.tempos.append((tick, tempo))
    elif kind == 0x58:
        if len(body) < 2:
            raise MidiDamage(f"a time signature of {len(body)} bytes at tick {tick}")
        found.meters.append((tick, body[0], body[1]))
    elif kind == 0x59 and len(body) >= 2:
        found.keys.append((tick, body[0] - 256 if body[0] > 127 else body[0], body[1]))


def _text(body: bytes) -> str:
    """Text of a meta event in one line: UTF-8 where it is valid, else Latin-1, at most `MAX_TEXT` bytes of it."""
    body = body[:MAX_TEXT]
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
