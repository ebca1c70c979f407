"""The sound inside a report: the piece's file as it is where it is small enough, else encoded anew for the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from music.errors import FileError

MOST_BYTES_A_SEC = 12_000.0  # 96 kbit/s; as text in a page a third more
KINDS = {".ogg": "audio/ogg", ".mp3": "audio/mpeg"}  # what is put into a page as it is
LEVELS = (0.7, 0.8, 0.9, 1.0)  # libsndfile's compression: Vorbis quality 0.3 down to 0.0
BLOCK = 65_536


def sound_url(path: Path, seconds: float) -> str:
    """A sound file as a data: URL of at most `MOST_BYTES_A_SEC` bytes a second, where Vorbis reaches that.

    An OGG or MP3 file within that rate is taken as it is; anything else is encoded to OGG at the best of `LEVELS`
    that keeps within it, or at the smallest.

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
            kind, data = ".ogg", next(d for level in LEVELS if len(d := _encoded(path, level)) <= room or level == 1.0)
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from error
    return f"data:{KINDS[kind]};base64,{base64.b64encode(data).decode()}"


def _encoded(path: Path, level: float) -> bytes:
    import soundfile

    out = io.BytesIO()
    try:
        with (
            soundfile.SoundFile(path) as source,
            soundfile.SoundFile(
                out, "w", source.samplerate, source.channels, "VORBIS", format="OGG", compression_level=level
            ) as target,
        ):
            for block in source.blocks(BLOCK, dtype="float32"):
                target.write(block)
    except soundfile.LibsndfileError as error:
        raise FileError(path, f"cannot be read: {error.error_string}") from error
    return out.getvalue()
