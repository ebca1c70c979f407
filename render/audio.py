"""From a performance to a sound file: synthesis, levels, and files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from music.errors import FileError, RequestError
from music.performance import Performance
from render.limiter import limit
from render.ogg import without_serial
from render.piano_pedal import damper_steps, open_spans
from render.piano_ring import add_ring
from render.piano_strings import note_tone
from render.room import REVERB_SEC, add_room

SAMPLE_RATE = 44_100
PEAK = 0.9
HEADROOM = 1.26  # what a file's loudest peaks would have above PEAK: 2 dB
NOTE_LEVEL = 0.2  # of one note of velocity 127: a dense loud passage comes up to full scale
MOST_SEC = 2400.0  # 40 minutes: 0.8 GB of samples
SPARE_SEC = 4.0  # space for tones that ring past the last release; more is added where they do
FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"),
           ".mp3": ("MP3", "MPEG_LAYER_III")}  # fmt: skip
SYNTHS = ("piano", "fluidsynth")


def synthesise(performance: Performance, sample_rate: int = SAMPLE_RATE) -> Float32[np.ndarray, "samples 2"]:
    """The performance on the piano of `render.piano`, with the ring of free strings under the pedal, in its room.

    Loudness is absolute, a soft piece stays soft; moments that would exceed 0.9 are turned down gently.

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
    sound = _strings(performance, sample_rate)
    add_ring(sound, open_spans(performance.pedals, sound.shape[1] / sample_rate), sample_rate)
    add_room(sound, sample_rate)
    _close(sound, sample_rate)
    limit(sound, PEAK, sample_rate)
    return np.ascontiguousarray(sound.T)


def _strings(performance: Performance, sample_rate: int) -> Float32[np.ndarray, "2 count"]:
    """All tones with their hammers, dry, and time after them for the room."""
    steps = damper_steps(performance)
    out = np.zeros((2, round((performance.end_sec + SPARE_SEC) * sample_rate)), dtype=np.float32)
    last = 0
    for note, dampers in zip(performance.notes, steps, strict=True):
        tone = note_tone(note.pitch, note.velocity, dampers, sample_rate)
        tone *= np.float32(NOTE_LEVEL)
        start = round(note.onset_sec * sample_rate)
        last = max(last, start + tone.shape[1])
        if last > out.shape[1]:
            out = np.pad(out, ((0, 0), (0, last - out.shape[1] + round(SPARE_SEC * sample_rate))))
        out[:, start : start + tone.shape[1]] += tone
    total = last + round((REVERB_SEC + 0.3) * sample_rate)
    return out[:, :total] if total <= out.shape[1] else np.pad(out, ((0, 0), (0, total - out.shape[1])))


def _close(sound: Float32[np.ndarray, "2 count"], sample_rate: int) -> None:
    """Fades the room out and leaves a tenth of a second of silence."""
    silent, fade = int(0.1 * sample_rate), int(0.15 * sample_rate)
    sound[:, -silent:] = 0
    sound[:, -silent - fade : -silent] *= np.linspace(1, 0, fade, dtype=np.float32)


def write_audio(samples: Float32[np.ndarray, "samples 2"], path: str | Path, rate: int = SAMPLE_RATE) -> None:
    """Writes WAV or FLAC (16 bits), OGG (Vorbis) or MP3, by the name's extension; the file is whole or not there, and
    the same samples give the same bytes.

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
        if kind == "OGG":
            temporary.write_bytes(without_serial(temporary.read_bytes()))

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
        soundfont: the SoundFont's file, for fluidsynth only; None for one that is installed.

    Raises:
        RequestError: an unknown synthesiser or extension, no SoundFont, no program, a performance that is too long.
        FileError: the file cannot be written, or the SoundFont is not there.
    """
    audio_format(Path(path))
    if synth not in SYNTHS:
        raise RequestError(f"synth={synth} is not one of {', '.join(SYNTHS)}")
    if synth == "piano":
        write_audio(_for_listening(synthesise(performance)), path)
        return
    from render.fluidsynth import render_performance

    render_performance(performance, soundfont, path)


def _for_listening(samples: Float32[np.ndarray, "samples 2"]) -> Float32[np.ndarray, "samples 2"]:
    """Sets the loudness of a file: the loudest moment is just below full scale, its sharpest peaks limited by 2 dB."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak == 0:
        return samples
    sound = np.ascontiguousarray(samples.T) * np.float32(HEADROOM * PEAK / peak)
    limit(sound, PEAK, SAMPLE_RATE)
    return np.ascontiguousarray(sound.T)
