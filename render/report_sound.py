"""The sound inside a report: the piece's file as it is where it is small enough, else encoded anew for the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from music.errors import FileError
from render.audio import audio_format
from render.ogg import without_serial

MOST_BYTES_A_SEC = 12_000.0  # 96 kbit/s; as text in a page a third more
KINDS = {".ogg": "audio/ogg", ".mp3": "audio/mpeg"}  # what is put into a page as it is
# libsndfile's degrees of compression that are tried; for OGG they are Vorbis' qualities 3, 2, 1 and 0.
LEVELS = {".ogg": (0.7, 0.8, 0.9, 1.0), ".mp3": (0.5, 0.7, 0.9)}
BLOCK = 16_384  # frames that are encoded at a time


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
