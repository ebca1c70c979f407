"""A piece whose every figure is known, as a report shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from music.performance import Performance, PerformedNote
from music.pitch import Key
from music.plan import Chord, Phrase, Plan, PlanNote, Section, Theme
from music.score import Score
from music.time import DIVS_PER_QUARTER, Meter
from render.audio import write_audio
from tests.contract_performer import make, tune

Q = DIVS_PER_QUARTER
BAR = 4 * Q
HOSTILE = '</title></script><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'&\u202e'
ROWS = [
    ("Form", "likeness <b>", 0.5, (0.1, 0.3, 0.6)),
    ("Form", "bounds", 0.9, (0.1, 0.3, 0.6)),
    ("Else", "x", 3.0, None),
]


def plan_of(bars: int = 2, *, title: str = "A tune") -> Plan:
    """A B A' with a theme for A, chords, cadences, and a link from B to A'."""
    theme = Theme("A", 1, Key("C"), tuple(PlanNote(i * Q, Q, 60 + step) for i, step in enumerate((0, 5, 10, 15))))
    chords = (Chord(0, BAR, 0, "maj", 0, "I"), Chord(BAR, (bars - 1) * BAR, 7, "7", 11, "V65"))
    link = (PlanNote(-Q, Q, 67),)
    sections = (
        Section("A", bars, Key("C"), (Phrase(bars, "a", "HC"),), chords, theme="A"),
        Section("B", bars, Key("Bb"), (Phrase(bars, "a", "IAC"),), link=link),
        Section("A'", bars, Key("C"), (Phrase(bars, "a", "PAC"),), chords, theme="A", source=0),
    )
    return Plan(title, "free", "piano", Key("C"), Meter(4, 4), 0, 120.0, sections, (theme,))


def score_of(bars: int = 6) -> Score:
    """A tune of quarters and more, in 4/4."""
    return make(tune(bars), bars=bars)


def steady(score: Score, qpm: float = 120.0, velocity: int = 64) -> Performance:
    """Every note where it is written, in one tempo."""
    second = 60 / qpm / Q
    notes = (
        PerformedNote(n.id, n.onset_div * second, max(n.duration_div * second, 0.05), n.pitch, velocity)
        for n in score.notes
    )
    return Performance(tuple(notes))


def sound_file(path: Path, seconds: float, *, level: float = 0.1, noise: bool = False) -> Path:
    """A quiet tone, or noise that no encoder makes small."""
    rate = 44_100
    time = np.arange(int(seconds * rate)) / rate
    wave = (
        np.random.default_rng(0).standard_normal((len(time), 2)) if noise else np.sin(2764.6 * time)[:, None] * [1, 1]
    )
    write_audio((level * wave).clip(-1, 1).astype(np.float32), path, rate)
    return path
