"""From a performance to a sound file: synthesis, levels, and files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from music.errors import FileError, RequestError
from music.performance import Pedal, Performance
from render.piano import note_samples, sounding_seconds, stereo_gains
from render.room import REVERB_SEC, add_room

SAMPLE_RATE = 44_100
PEAK = 0.9
NOTE_LEVEL = 0.12  # of one note, so that chords of loud ones stay below full scale
MOST_SEC = 2400.0  # 40 minutes: 0.8 GB of samples
PEDAL_DOWN = 64  # from this value on the dampers are off the strings
RESTRIKE_RATE = 90.0  # a key that is struck again stops what it sounded, in 1/s
FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"),
           ".mp3": ("MP3", "MPEG_LAYER_III")}  # fmt: skip
SYNTHS = ("piano", "fluidsynth")


def synthesise(performance: Performance, sample_rate: int = SAMPLE_RATE) -> Float32[np.ndarray, "samples 2"]:
    """The performance on the small piano (`render.piano`) in its room.

    Loudness is absolute, a soft piece stays soft; what would exceed 0.9 is turned down as a whole.

    Args:
        performance: times in seconds.
        sample_rate: 8000..192000 Hz.

    Returns:
        Left and right in -0.9..0.9. The last tenth of a second is silent.

    Raises:
        RequestError: a performance of more than 40 minutes, or an impossible sample rate.
    """
    if not 8000 <= sample_rate <= 192_000:
        raise RequestError(f"sample rate {sample_rate} is outside 8000..192000 Hz")
    if performance.end_sec > MOST_SEC:
        raise RequestError(
            f"the performance lasts {performance.end_sec / 60:.0f} minutes; sound is made for {MOST_SEC / 60:.0f}"
        )
    held = _damper_times(performance)
    parts = [
        (n, h, r, sounding_seconds(n.pitch, n.velocity, h, r))
        for n, (h, r) in zip(performance.notes, held, strict=True)
    ]
    longest = max((n.onset_sec + seconds for n, _, _, seconds in parts), default=0.0)
    out = np.zeros((int((longest + REVERB_SEC + 0.3) * sample_rate), 2), dtype=np.float32)
    for note, seconds, rate, _ in parts:
        samples = note_samples(note.pitch, note.velocity, seconds, sample_rate, rate=rate)
        start = round(note.onset_sec * sample_rate)
        for side, gain in enumerate(stereo_gains(note.pitch)):
            out[start : start + len(samples), side] += samples * (gain * np.float32(NOTE_LEVEL))
    add_room(out, sample_rate)
    _close(out, sample_rate)
    peak = float(np.abs(out).max(initial=0.0))
    if peak > PEAK:
        out *= np.float32(PEAK / peak)
    return out


def _close(out: Float32[np.ndarray, "samples 2"], sample_rate: int) -> None:
    """Fades the room out and leaves a tenth of a second of silence."""
    silent, fade = int(0.1 * sample_rate), int(0.15 * sample_rate)
    out[-silent:] = 0
    out[-silent - fade : -silent] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]


def _damper_times(performance: Performance) -> list[tuple[float, float | None]]:
    """For each note: seconds from its blow until it is damped, and the damper's rate (None: the key's own).

    The pedal holds what is let go while it is down; a new blow on the same key ends the old sound.
    """
    times, ups = [p.onset_sec for p in performance.pedals], _pedal_ups(performance.pedals)
    following: dict[int, float] = {}
    found: list[tuple[float, float | None]] = []
    for note in reversed(performance.notes):
        release = note.onset_sec + note.duration_sec
        at = bisect_right(times, release) - 1
        if at >= 0 and performance.pedals[at].value >= PEDAL_DOWN:
            later = bisect_left(ups, release)
            release = ups[later] if later < len(ups) else release + MOST_SEC
        struck = following.get(note.pitch, float("inf"))
        again = struck < release
        found.append(((struck if again else release) - note.onset_sec, RESTRIKE_RATE if again else None))
        following[note.pitch] = note.onset_sec
    return found[::-1]


def _pedal_ups(pedals: tuple[Pedal, ...]) -> list[float]:
    return [p.onset_sec for p in pedals if p.value < PEDAL_DOWN]


def write_audio(samples: Float32[np.ndarray, "samples 2"], path: str | Path, rate: int = SAMPLE_RATE) -> None:
    """Writes WAV or FLAC (16 bits), OGG (Vorbis) or MP3, by the name's extension; the file is whole or not there.

    Raises:
        RequestError: another extension.
        FileError: the file cannot be written.
    """
    import soundfile

    target = Path(path)
    kind, subtype = audio_format(target)

    def write(temporary: Path) -> None:
        with soundfile.SoundFile(temporary, "w", rate, 2, subtype, format=kind) as file:
            # libsndfile's Vorbis encoder overflows its stack when it is given over 90 s in one call.
            for start in range(0, len(samples), rate):
                file.write(samples[start : start + rate])

    try:
        _atomically(target, write)
    except soundfile.LibsndfileError as error:
        raise FileError(target, f"cannot be written: {error.error_string}") from error


def audio_format(path: Path) -> tuple[str, str]:
    """libsndfile's names of format and encoding for a file name. Raises RequestError for other extensions."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise RequestError(f"{path}: sound is written as {', '.join(FORMATS)}, not as {path.suffix or 'a bare name'}")
    return found


def _atomically(target: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a temporary file beside the target, then moves it there."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise FileError(target, f"cannot be written: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes files that only their owner may read
        os.replace(temporary, target)
    except OSError as error:
        raise FileError(target, f"cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def render(
    performance: Performance,
    path: str | Path,
    synth: str = "piano",
    soundfont: str | Path | None = None,
) -> None:
    """Makes a sound file of a performance.

    Args:
        performance: what is played.
        path: .wav, .flac, .ogg or .mp3.
        synth: "piano" (built in) or "fluidsynth" (the program, with a SoundFont).
        soundfont: the SoundFont's file, for fluidsynth only.

    Raises:
        RequestError: an unknown synthesiser or extension, no SoundFont, no program, a performance that is too long.
        FileError: the file cannot be written, or the SoundFont is not there.
    """
    audio_format(Path(path))
    if synth not in SYNTHS:
        raise RequestError(f"synth={synth} is not one of {', '.join(SYNTHS)}")
    if synth == "piano":
        # Loudness is set for a file: the loudest moment is just below full scale.
        samples = synthesise(performance)
        peak = float(np.abs(samples).max(initial=0.0))
        write_audio(samples * np.float32(PEAK / peak) if peak > 0 else samples, path)
        return
    from render.fluidsynth import render_performance

    render_performance(performance, soundfont, path)
