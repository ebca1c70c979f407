"""MIDI files made byte by byte for tests: sound ones, and one for each way in which a file can be broken."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

END = b"\x00\xff\x2f\x00"
SCALE = b"".join(bytes([0, 0x90, 60 + i, 64, 96, 0x80, 60 + i, 0]) for i in (0, 2, 4, 5, 7, 9, 11, 12))
NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x00"


def varint(value: int) -> bytes:
    """A number of variable length, as deltas are written."""
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))


def meta(kind: int, body: bytes, delta: int = 0) -> bytes:
    """A meta event."""
    return varint(delta) + bytes([0xFF, kind]) + varint(len(body)) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length."""
    return kind + struct.pack(">I", len(body)) + body


def header(tracks: int, division: int = 96, kind: int = 1) -> bytes:
    """The header chunk; `division` as a 16-bit number."""
    return chunk(b"MThd", struct.pack(">HHH", kind, tracks, division))


def midi(*bodies: bytes, division: int = 96, kind: int = 1) -> bytes:
    """A file of tracks, each given without its chunk header."""
    return header(len(bodies), division, kind) + b"".join(chunk(b"MTrk", b) for b in bodies)


def rich_file() -> bytes:
    """A sound file of format 1: all kinds of meta events, running status, system-exclusive data, drums, pedal."""
    conductor = (
        meta(0x03, b"A title")
        + meta(0x58, bytes([1, 2, 24, 8]))
        + meta(0x58, bytes([3, 2, 24, 8]), delta=96)
        + meta(0x59, bytes([0xFD, 1]))
        + meta(0x51, (500_000).to_bytes(3, "big"))
        + meta(0x06, b"A")
        + meta(0x51, (600_000).to_bytes(3, "big"), delta=300)
        + meta(0x7F, b"\x00\x01")
        + END
    )
    right = meta(0x03, "Flöte".encode()) + b"\x00\xc0\x49" + b"\x00\xf0\x03\x01\x02\xf7" + b"\x00\xb0\x40\x7f"
    right += b"\x00\x90" + b"\x00".join(bytes([60 + i, 80, 48, 60 + i, 0]) for i in range(10)) + b"\x00\xb0\x40\x00"
    left = (
        meta(0x03, b"Cello")
        + b"\x00\xc1\x2a"
        + b"\x00\xe1\x00\x40"
        + (SCALE + NOTE).replace(b"\x90", b"\x91").replace(b"\x80", b"\x81")
    )
    left += b"\x00\xd1\x40\x00\xa1\x3c\x10" + b"\x00\x81\x3c\x00" + END  # pressure, and a release of nothing
    drums = meta(0x03, b"Drums") + b"\x00\x99\x24\x64\x60\x89\x24\x00" + END
    return midi(conductor, right + END, left, drums)


def format0_file() -> bytes:
    """A sound file of format 0 with two channels, overlapping notes, division 480."""
    body = meta(0x03, b"One track") + b"\x00\xc0\x00\x00\xc3\x30"
    for i in range(12):
        body += bytes([0, 0x90, 60 + i % 3, 90]) + varint(120) + bytes([0x93, 48 + i % 5, 70])
        body += varint(240) + bytes([0x80, 60 + i % 3, 0, 0, 0x83, 48 + i % 5, 0])
    return midi(body + END, division=480, kind=0)


# name -> (file, what the error must say, or None where the file is read)
BROKEN: dict[str, tuple[bytes, str | None]] = {
    "empty": (b"", "empty"),
    "text": (b"This is not music.\n" * 10, "not a MIDI file"),
    "zeros": (bytes(1000), "not a MIDI file"),
    "header_truncated": (header(1)[:10], "truncated in its header"),
    "header_alone": (header(1), "announces 1 tracks and holds 0"),
    "header_too_short": (b"MThd" + struct.pack(">IHHHH", 4, 1, 1, 96, 0), "4 bytes instead of 6"),
    "header_length_huge": (b"MThd\xff\xff\xff\xff" + midi(NOTE + END)[8:], "announces 1 tracks and holds 0"),
    "format_2": (midi(NOTE + END, kind=2), "format 2"),
    "format_9": (midi(NOTE + END, kind=9), "format 9 is unknown"),
    "no_tracks": (midi(), "holds no track"),
    "division_0": (midi(NOTE + END, division=0), "division is 0"),
    "smpte": (midi(NOTE + END, division=0xE728), "SMPTE"),
    "smpte_zero": (midi(NOTE + END, division=0x8000), "SMPTE"),
    "truncated_track": (midi(SCALE + END)[:-20], "truncated"),
    "truncated_chunk_header": (header(2) + chunk(b"MTrk", NOTE + END) + b"MTrk\x00", "truncated"),
    "track_missing": (header(3) + chunk(b"MTrk", NOTE + END), "announces 3 tracks and holds 1"),
    "track_length_huge": (header(1) + b"MTrk\xff\xff\xff\xff" + NOTE + END, "truncated"),
    "track_length_short": (header(1) + b"MTrk" + struct.pack(">I", 6) + NOTE + END, "breaks off"),
    "event_cut": (midi(b"\x00\x90\x3c"), "breaks off"),
    "delta_alone": (midi(NOTE + b"\x00"), "breaks off"),
    "varint_overlong": (midi(b"\x81\x80\x80\x80\x80\x00\x90\x3c\x40" + END), "more than four bytes"),
    "varint_endless": (midi(b"\xff" * 5000), "more than four bytes"),
    "varint_cut": (midi(NOTE + b"\x81"), "breaks off"),
    "delta_huge": (midi(b"\xff\xff\xff\x7f\x90\x3c\x40" * 40 + END, division=1), "beyond 20,000 bars"),
    "note_end_huge": (midi(b"\x00\x90\x3c\x40\xff\xff\xff\x7f\x80\x3c\x00" + END, division=1), "beyond 20,000 bars"),
    "hanging_note_to_a_huge_end": (midi(b"\x00\x90\x3c\x40\xff\xff\xff\x7f\xff\x2f\x00", division=1), "beyond"),
    "bars_too_many": (
        midi(meta(0x58, b"\x01\x05\x18\x08"), b"\x00\x90\x3c\x40\xbf\xff\x7f\x80\x3c\x00"),
        "longer than",
    ),
    "running_status_missing": (midi(b"\x00\x3c\x40" + END), "without a status"),
    "status_for_value": (midi(b"\x00\x90\x90\x40" + END), "status byte where a value belongs"),
    "status_for_velocity": (midi(b"\x00\x90\x3c\xff\x2f\x00"), "status byte where a value belongs"),
    "system_common": (midi(b"\x00\xf1\x00" + NOTE + END), "0xF1"),
    "system_realtime": (midi(b"\x00\xf8" + NOTE + END), "0xF8"),
    "meta_kind": (midi(b"\x00\xff\x90\x00" + NOTE + END), "meta event of kind 0x90"),
    "meta_too_long": (midi(b"\x00\xff\x01\x7fabc"), "127 bytes"),
    "sysex_unended": (midi(NOTE + b"\x00\xf0\x83\xff\x7f\x01"), "an event of"),
    "tempo_0": (midi(meta(0x51, b"\0\0\0") + NOTE + END), "tempo of 0"),
    "tempo_short": (midi(meta(0x51, b"\x07") + NOTE + END), "tempo of 1 bytes"),
    "meter_numerator_0": (midi(meta(0x58, b"\x00\x02\x18\x08") + NOTE + END), "time signature 0/4"),
    "meter_denominator_huge": (midi(meta(0x58, b"\x03\xff\x18\x08") + NOTE + END), r"time signature 3/2\^255"),
    "meter_63_64": (midi(meta(0x58, b"\x3f\x06\x18\x08") + NOTE + END), "time signature 63/64"),
    "meter_short": (midi(meta(0x58, b"\x03") + NOTE + END), "time signature of 1 bytes"),
    "no_notes": (midi(meta(0x03, b"Silence") + END), "no pitched note"),
    "drums_alone": (midi(NOTE.replace(b"\x90", b"\x99").replace(b"\x80", b"\x89") + END), "no pitched note"),
    "notes_without_length": (midi(b"\x00\x90\x3c\x40\x00\x80\x3c\x00" + END), "no pitched note"),
    "releases_alone": (midi(b"\x00\x80\x3c\x40\x60\x90\x3c\x00" + END), "no pitched note"),
    "empty_track_chunk": (midi(b""), "no pitched note"),
    "notes_too_many": (midi(b"\x00\x90\x3c\x40" + b"\x01\x3c\x40" * 200_001), "more than 200000 notes"),
    "events_too_many": (midi(b"\x00\xb0\x40\x40" + b"\x01\x40\x40" * 1_000_001), "more than 1000000 events"),
    "tempos_too_many": (midi(meta(0x51, b"\x01\x02\x03") * 50_001 + NOTE), "more than 50000"),
    "parts_too_many": (midi(*[NOTE] * 257), "more than 256 parts"),
    "riff_without_data": (b"RIFF\x04\x00\x00\x00RMID", "RIFF container"),
    "riff_endless": (b"RIFF\x04\x00\x00\x00RMID" + b"junk\x00\x00\x00\x00" * 100, "RIFF container"),
    "macbinary": (bytes(128) + midi(NOTE + END), "not a MIDI file"),
    # What players forgive is read.
    "riff": (b"RIFF\x30\x00\x00\x00RMIDdata\xff\x00\x00\x00" + midi(NOTE + END), None),
    "end_of_track_missing": (midi(NOTE), None),
    "release_missing": (midi(b"\x00\x90\x3c\x40\x60\x90\x3e\x40\x60\x80\x3e\x00" + END), None),
    "restruck_without_release": (midi(b"\x00\x90\x3c\x40\x60\x90\x3c\x40\x60\x80\x3c\x00" + END), None),
    "bytes_after_the_end_of_track": (midi(NOTE + END + b"\xff\xff\xff"), None),
    "bytes_after_the_last_track": (midi(NOTE + END) + b"\x00\x01\x02padding", None),
    "more_tracks_than_announced": (header(1) + chunk(b"MTrk", NOTE + END) * 2, None),
    "unknown_chunk": (header(1) + chunk(b"XFIH", b"abc") + chunk(b"MTrk", NOTE + END), None),
    "long_header": (b"MThd" + struct.pack(">IHHHH", 8, 1, 1, 96, 0) + chunk(b"MTrk", NOTE + END), None),
    "running_status_after_meta": (midi(NOTE + meta(0x01, b"x") + b"\x00\x3c\x40" + END), None),
    "key_of_9_sharps": (midi(meta(0x59, b"\x09\x00") + NOTE + END), None),
    "key_of_mode_7": (midi(meta(0x59, b"\x00\x07") + NOTE + END), None),
    "key_short": (midi(meta(0x59, b"\x00") + NOTE + END), None),
    "tempo_of_1_microsecond": (midi(meta(0x51, b"\0\0\x01") + NOTE + END), None),
    "meter_64_64": (midi(meta(0x58, b"\x40\x06\x18\x08") + NOTE + END), None),
    "meter_37_32": (midi(meta(0x58, b"\x25\x05\x18\x08") + NOTE + END), None),
    "meter_in_mid_bar": (midi(meta(0x58, b"\x03\x02\x18\x08", 40) + SCALE + END), None),
    "name_not_utf8": (midi(meta(0x03, b"\xff\xfe\x00\x1b[2J") + NOTE + END), None),
    "division_32767": (midi(NOTE + END, division=32767), None),
    "division_1": (midi(NOTE + END, division=1), None),
    "doubled_notes": (midi(NOTE[:4] * 3 + b"\x30\x80\x3c\x00\x30\x80\x3c\x00\x30\x80\x3c\x00" + END), None),
}


def _flip(data: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 8))):
        data[int(rng.integers(len(data)))] = int(rng.integers(256))


def _truncate(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(1, len(data))) :]


def _insert(data: bytearray, rng: np.random.Generator) -> None:
    place = int(rng.integers(len(data)))
    data[place:place] = rng.bytes(int(rng.integers(1, 12)))


def _remove(data: bytearray, rng: np.random.Generator) -> None:
    place = int(rng.integers(len(data)))
    del data[place : place + int(rng.integers(1, 12))]


def _double(data: bytearray, rng: np.random.Generator) -> None:
    place = int(rng.integers(len(data)))
    data[place:place] = data[place : place + int(rng.integers(1, 400))]


def _extreme(data: bytearray, rng: np.random.Generator) -> None:
    place = int(rng.integers(len(data)))
    data[place : place + 4] = [b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff"][int(rng.integers(3))]


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    _flip,
    _truncate,
    _insert,
    _remove,
    _double,
    _extreme,
)


def _bodies(data: bytes) -> list[bytes]:
    """The track bodies of a sound file."""
    found, position = [], 14
    while position < len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "big")
        found.append(data[position + 8 : position + 8 + size])
        position += 8 + size
    return found


def mutant(seeds: list[bytes], seed: int) -> bytes:
    """A sound file with one to three kinds of damage, the same for the same seed.

    Two thirds are damaged within a track whose length is then set right, so that the damage is met past the headers.
    """
    rng = np.random.default_rng(seed)
    whole = seeds[int(rng.integers(len(seeds)))]
    inside = rng.random() < 2 / 3
    bodies = _bodies(whole)
    place = int(rng.integers(len(bodies)))
    data = bytearray(bodies[place] if inside else whole)
    for _ in range(int(rng.integers(1, 4))):
        if len(data) > 1:
            MUTATIONS[int(rng.integers(len(MUTATIONS)))](data, rng)
    if not inside:
        return bytes(data)
    bodies[place] = bytes(data)
    return whole[:14] + b"".join(chunk(b"MTrk", body) for body in bodies)
