"""Sound by FluidSynth and a SoundFont, for whoever has them installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from music.errors import FileError, RequestError
from music.performance import Performance
from music.score import MeterChange, Note, Part, Score, TempoChange, regular_bars, sort_notes
from music.time import DIVS_PER_QUARTER, Meter

PROGRAM = "fluidsynth"
SAMPLE_RATE = 44_100
TIMEOUT_SEC = 900
VARIABLE = "SOUNDFONT"  # of the environment: a file that goes before all others
# Where systems and players keep SoundFonts; ~ is the user's own folder.
FOLDERS = ("~/.local/share/soundfonts", "~/.local/share/sounds/sf2", "~/Library/Audio/Sounds/Banks",
           "/usr/share/soundfonts", "/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/local/share/soundfonts",
           "/opt/homebrew/share/soundfonts", "/usr/share/mscore/sounds", "/usr/share/musescore/sounds")  # fmt: skip
# Known General MIDI sets, best piano first; others follow by name. Their first programme is a grand piano.
NAMES = ("musescore_general", "ms basic", "fluidr3_gm", "fluidr3mono_gm", "generaluser", "default", "timgm6mb")


def find_soundfont(folders: Sequence[str | Path] = FOLDERS) -> Path | None:
    """A SoundFont that is installed here (.sf2 or .sf3), the likeliest first; None where there is none.

    The file named in the environment's SOUNDFONT goes first.
    """
    named = os.environ.get(VARIABLE)
    if named and Path(named).is_file():
        return Path(named)
    found: list[tuple[int, int, str, Path]] = []
    for place, folder in enumerate(folders):
        at = Path(folder).expanduser()
        if not at.is_dir():
            continue
        for file in at.iterdir():
            if file.suffix.lower() in (".sf2", ".sf3") and file.is_file():
                stem = file.stem.lower()
                rank = next((i for i, name in enumerate(NAMES) if stem.startswith(name)), len(NAMES))
                found.append((rank, place, file.name, file))
    return min(found)[3] if found else None


def _chosen(soundfont: str | Path | None) -> Path:
    """The SoundFont that is asked for, else one that is found. Raises RequestError where there is none."""
    if soundfont is not None:
        if not Path(soundfont).is_file():
            raise RequestError(f"soundfont={soundfont}: there is no such file")
        return Path(soundfont)
    found = find_soundfont()
    if found is None:
        raise RequestError(
            "synth=fluidsynth: no SoundFont is installed where they usually are; name one with soundfont=FILE.sf2"
        )
    return found


def check_fluidsynth(soundfont: str | Path | None) -> Path:
    """The SoundFont that would be played with.

    Raises:
        RequestError: the program or the SoundFont is missing.
    """
    font = _chosen(soundfont)
    if shutil.which(PROGRAM) is None:
        raise RequestError("synth=fluidsynth: the program fluidsynth is not installed; synth=piano needs nothing")
    return font


def render_fluidsynth(midi_path: str | Path, soundfont: str | Path | None, path: str | Path) -> None:
    """Plays a MIDI file into a sound file (.wav, .flac, .ogg or .mp3).

    Args:
        midi_path: what is played.
        soundfont: its file; None for one that is installed (see `find_soundfont`).
        path: the sound file.

    Raises:
        RequestError: the program or the SoundFont is missing, or the extension is another one.
        FileError: FluidSynth fails, or the file cannot be written.
    """
    from render.audio import PEAK, audio_format, write_audio

    audio_format(Path(path))
    font = check_fluidsynth(soundfont)
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "out.wav"
        # Paths are made absolute so that none can be taken for an option.
        files = [str(font.resolve()), str(Path(midi_path).resolve())]
        command = [PROGRAM, "-ni", "-g", "0.5", "-r", str(SAMPLE_RATE), "-F", str(wave), "-T", "wav", *files]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SEC, check=False)
        except subprocess.TimeoutExpired as error:
            raise FileError(path, f"fluidsynth did not end within {TIMEOUT_SEC} s") from error
        if done.returncode != 0 or not wave.is_file():
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise FileError(path, f"fluidsynth failed: {lines[-1] if lines else f'exit code {done.returncode}'}")
        samples = _read(wave)
    peak = float(np.abs(samples).max(initial=0.0))
    write_audio(samples * np.float32(PEAK / peak) if peak > 0 else samples, path, SAMPLE_RATE)


def render_performance(performance: Performance, soundfont: str | Path | None, path: str | Path) -> None:
    """The same for a performance, through a MIDI file that is thrown away."""
    from music.midi import write_performance_midi

    with tempfile.TemporaryDirectory() as folder:
        midi = Path(folder) / "performance.mid"
        write_performance_midi(score_of(performance), performance, midi)
        render_fluidsynth(midi, soundfont, path)


def score_of(performance: Performance) -> Score:
    """A score of one piano part whose notes stand where they are played, at 120 quarters a minute."""
    divs = 2 * DIVS_PER_QUARTER
    notes = [
        Note(n.note_id, round(n.onset_sec * divs), max(round(n.duration_sec * divs), 1), n.pitch)
        for n in performance.notes
    ]
    meter = Meter(4, 4)
    end = max((n.end_div for n in notes), default=0)
    bars = regular_bars(meter, end // meter.bar_div + 1)
    return Score(
        (Part("P1", "Piano"),), sort_notes(notes), bars, (MeterChange(0, meter),), tempos=(TempoChange(0, 120.0),)
    )


def _read(wave: Path) -> np.ndarray:
    import soundfile

    samples, _ = soundfile.read(wave, dtype="float32", always_2d=True)
    return samples[:, :2] if samples.shape[1] >= 2 else np.repeat(samples, 2, axis=1)
