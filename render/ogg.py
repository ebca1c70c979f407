"""OGG streams without the number that encoders draw for each at random: the same sound gives the same bytes."""

from __future__ import annotations

import zlib

PAGE_HEAD, SERIAL, CHECKSUM, SEGMENTS = 27, slice(14, 18), slice(22, 26), 26  # of an OGG page (RFC 3533)
_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))


def without_serial(data: bytes) -> bytes:
    """An OGG file whose pages bear the stream number 0; what is no OGG stays as it is."""
    pages, at = [], 0
    while data[at : at + 4] == b"OggS" and at + PAGE_HEAD <= len(data):
        count = data[at + SEGMENTS]
        length = PAGE_HEAD + count + sum(data[at + PAGE_HEAD : at + PAGE_HEAD + count])
        page = bytearray(data[at : at + length])
        page[SERIAL] = page[CHECKSUM] = bytes(4)
        page[CHECKSUM] = _ogg_checksum(bytes(page))
        pages.append(bytes(page))
        at += length
    return b"".join([*pages, data[at:]])


def _ogg_checksum(page: bytes) -> bytes:
    """OGG's CRC is zlib's with every bit order reversed, and neither inverted at the start nor at the end."""
    reversed_crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reversed_crc:032b}"[::-1], 2).to_bytes(4, "little")
