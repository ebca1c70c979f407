"""The sound inside a report: the piece's file as it is where it is small enough, else encoded anew for the page.

An OGG stream bears a number that encoders draw at random; here it is always 0, so that the same sound gives the same
page.
"""

from __future__ import annotations

import base64
import io
import zlib
from pathlib import Path

from music.errors import FileError
from render.audio import audio_format

MOST_BYTES_A_SEC = 12_000.0  # 96 kbit/s; as text in a page a third more
KINDS = {".ogg": "audio/ogg", ".mp3": "audio/mpeg"}  # what is put into a page as it is
# libsndfile's degrees of compression that are tried; for OGG they are Vorbis' qualities 3, 2, 1 and 0.
LEVELS = {".ogg": (0.7, 0.8, 0.9, 1.0), ".mp3": (0.5, 0.7, 0.9)}
BLOCK = 16_384  # frames that are encoded at a time
PAGE_HEAD, SERIAL, CHECKSUM, SEGMENTS = 27, slice(14, 18), slice(22, 26), 26  # of an OGG page (RFC 3533)
_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))


def sound_url(path: Path, seconds: float) -> str:
    """A sound file as a data: URL of at most `MOST_BYTES_A_SEC` bytes a second, where Vorbis reaches that.

    An OGG or MP3 file within that rate is taken as it is; anything else is encoded at the best of `LEVELS` that keeps
    within it, or at the smallest: MP3 to MP3, all else to OGG.

    Args:
        path: any sound file that libsndfile reads.
        seconds: of the piece.

    Raises:
        FileError: the file cannot be read.
    """
    room = MOST_BYTES_A_SEC * max(seconds, 5.0)
    kind = path.suffix.lower()
    try:
        if kind in KINDS and path.stat().st_size <= room:
            data = path.read_bytes()
        else:
            kind = kind if kind in KINDS else ".ogg"
            levels = LEVELS[kind]
            tries = (_encoded(path, kind, level) for level in levels)
            data = next(d for d, level in zip(tries, levels, strict=True) if len(d) <= room or level == levels[-1])
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from error
    if kind == ".ogg":
        data = without_serial(data)
    return f"data:{KINDS[kind]};base64,{base64.b64encode(data).decode()}"


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


def _encoded(path: Path, kind: str, level: float) -> bytes:
    import soundfile

    out, (container, codec) = io.BytesIO(), audio_format(Path(kind.replace(".", "page.")))
    try:
        with (
            soundfile.SoundFile(path) as source,
            soundfile.SoundFile(
                out, "w", source.samplerate, source.channels, codec, format=container, compression_level=level
            ) as target,
        ):
            for block in source.blocks(BLOCK, dtype="float32"):
                target.write(block)
    except soundfile.LibsndfileError as error:
        raise FileError(path, f"cannot be read: {error.error_string}") from error
    return out.getvalue()
