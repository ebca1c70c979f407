"""How fast a piece is played and sounded, as a ratio to its length, and how true its tones are.

    OMP_NUM_THREADS=1 python benchmarks/audio.py [FILE.musicxml|FILE.mid ...]

Without files: three minutes of eight notes a second in two hands, with pedal.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from music.score import MeterChange, Note, Part, Score, TempoChange, regular_bars, sort_notes  # noqa: E402
from music.time import DIVS_PER_QUARTER, Meter  # noqa: E402
from performer.rules import RulePerformer  # noqa: E402
from render.audio import SAMPLE_RATE, synthesise, write_audio  # noqa: E402
from render.piano import frequency, stretch_cents  # noqa: E402
from render.piano_strings import string_samples  # noqa: E402

Result = TypeVar("Result")


def busy_score(bars: int = 90) -> Score:
    """Sixteenths over eighths at 120 quarters a minute: about what a fast piano piece asks for."""
    q = DIVS_PER_QUARTER
    upper = [Note(f"u{i}", i * q // 4, q // 4, 60 + i * 7 % 24, staff=1) for i in range(bars * 16)]
    lower = [Note(f"l{i}", i * q // 2, q // 2, 36 + i * 5 % 20, staff=2) for i in range(bars * 8)]
    meter = Meter(4, 4)
    return Score(
        (Part("P1", "Piano"),),
        sort_notes(upper + lower),
        regular_bars(meter, bars),
        (MeterChange(0, meter),),
        tempos=(TempoChange(0, 120.0),),
    )


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """A result and the seconds of processor that it took; the second run counts, the first fills the caches."""
    work()
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def cents(pitch: int) -> float:
    """Deviation of a tone's fundamental from where it is tuned, over two seconds."""
    samples = string_samples(pitch, 80, 2 * SAMPLE_RATE, SAMPLE_RATE)[2000:]
    size = 1 << 21
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    low, high = (int(frequency(pitch) * f * size / SAMPLE_RATE) for f in (0.95, 1.05))
    k = low + int(np.argmax(spectrum[low:high]))
    a, b, c = np.log(spectrum[k - 1 : k + 2])
    return float(
        1200 * np.log2((k + 0.5 * (a - c) / (a - 2 * b + c)) * SAMPLE_RATE / size / frequency(pitch))
    ) - stretch_cents(pitch)


def report(name: str, score: Score) -> None:
    """Prints the times of one score."""
    performance, playing = timed(lambda: RulePerformer().perform(score, seed=0))
    samples, sounding = timed(lambda: synthesise(performance))
    length = len(samples) / SAMPLE_RATE
    with tempfile.TemporaryDirectory() as folder:
        _, writing = timed(lambda: write_audio(samples, Path(folder) / "piece.ogg"))
    print(
        f"{name}: {len(score.notes)} notes, {length:.0f} s of sound; performer {playing:.2f} s; "
        f"piano {sounding:.2f} s = {length / sounding:.0f} x real time; ogg {writing:.2f} s = "
        f"{length / writing:.0f} x; peak {float(np.abs(samples).max()):.2f}"
    )


def main() -> None:
    """Reports on the files that are named, else on the busy score; then on pitch."""
    from music.files import read_score

    files = [Path(name) for name in sys.argv[1:]]
    for path in files:
        report(path.name, read_score(path))
    if not files:
        report("three minutes", busy_score())
    worst = max((abs(cents(pitch)), pitch) for pitch in range(28, 109, 4))
    print(f"pitch: at most {worst[0]:.2f} cents off (MIDI {worst[1]})")


if __name__ == "__main__":
    main()
