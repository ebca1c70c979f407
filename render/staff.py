"""A theme on a staff of five lines, and how keys and letters look in pictures."""

from __future__ import annotations

import math

from music.pitch import STEPS, Key, alter_of, octave_of
from music.plan import Theme
from render.figures import FAINT, HUES
from render.sheet import Px, Sheet, text_width

THEME_HEIGHT = 122.0


def hue_of(letter: str) -> str:
    """The colour of a letter, as in the piano roll."""
    return HUES[(ord(letter) - ord("A")) % len(HUES)]


def musical(text: str) -> str:
    """Accidentals as musicians write them; for figures and keys, where b is never a letter."""
    return text.replace("b", "♭").replace("#", "♯")


def key_name(key: Key) -> str:
    """G major, F♯ minor."""
    return f"{musical(key.tonic)} {'minor' if key.minor else 'major'}"


def draw_theme(sheet: Sheet, theme: Theme, bar_div: int, left: Px, right: Px, top: Px) -> None:
    """Notes on five lines, as long as they sound; accidentals where the key's signature has them not."""
    hue, bar = hue_of(theme.label), bar_div
    sheet.box(left, top + 5, left + 18, top + 23, hue, 0.92)
    sheet.word(left + 9, top + 14, theme.label, 10, ha="center", weight="bold", color="white")
    about = f"{key_name(theme.key)}, {theme.bars} bar{'s' * (theme.bars != 1)}"
    sheet.word(left + 25, top + 14, about, 8.5)
    steps = [_place(note.pitch, theme.key) for note in theme.notes]
    treble = sum(place for place, _ in steps) / len(steps) >= 7 * 4 - 2  # two steps below middle C
    lines = [7 * 4 + 2 + 2 * i for i in range(5)] if treble else [7 * 2 + 4 + 2 * i for i in range(5)]
    low, high = min(lines[0], *(p for p, _ in steps)), max(lines[-1], *(p for p, _ in steps))
    unit = min(5.0, (THEME_HEIGHT - 46) / (high - low))
    foot = top + 34 + (THEME_HEIGHT - 46 + unit * (high - low)) / 2
    clef = foot - (lines[1 if treble else 3] - low) * unit
    sheet.word(left - 3, clef, "G" if treble else "F", 7.5, ha="right", color=FAINT)
    first = min(0, theme.notes[0].onset_div)
    last = max(theme.bars * bar, theme.notes[-1].onset_div + theme.notes[-1].duration_div)
    inside = left + 10
    scale = min((right - inside) / (last - first), 110 / bar)
    right = inside + (last - first) * scale - 2
    for line in lines:
        y = foot - (line - low) * unit
        sheet.rule(left, y, right, y, "#b5b5ba")
    for number in range(theme.bars + 1 if bar * scale >= 5 else 0):
        x = inside + (number * bar - first) * scale - 3
        sheet.rule(x, foot - (lines[-1] - low) * unit, x, foot - (lines[0] - low) * unit, "#b5b5ba")
    end = -1.0
    for note, (place, accidental) in zip(theme.notes, steps, strict=True):
        x, y = inside + (note.onset_div - first) * scale, foot - (place - low) * unit
        after = x + note.duration_div * scale
        sheet.box(x, y - 0.5 * unit, max(after - 2, x + 1), y + 0.5 * unit, hue, 0.3)
        _draw_head_of(sheet, x, y, min(unit, (after - x) / 2.4), hue)
        for ledger in _ledgers(place, lines):
            across = foot - (ledger - low) * unit
            sheet.rule(x - 3, across, x + 2.4 * unit + 3, across, "#8c8c92")
        if accidental and x - end > text_width(accidental, 8) + 1:
            sheet.word(x - 1, y, accidental, 8, ha="right")
        end = x + 2.4 * unit


def _draw_head_of(sheet: Sheet, x: Px, y: Px, size: Px, hue: str) -> None:
    turns = [2 * math.pi * i / 16 for i in range(16)]
    points = [(x + 1.2 * size * (1 + math.cos(a)), y + size * math.sin(a)) for a in turns]
    sheet.shapes.append((points, hue, 1.0))


def _place(pitch: int, key: Key) -> tuple[int, str]:
    """Place on the staff, counted in steps from C0, and the accidental, empty where the signature has it."""
    step = key.step_of(pitch)
    alter = alter_of(pitch, step)
    signed = next((alter_of(pc, step) for pc in key.scale if key.step_of(pc) == step), 0)
    sign = {-2: "♭♭", -1: "♭", 0: "♮", 1: "♯", 2: "♯♯"}.get(alter, "")
    return 7 * octave_of(pitch, step) + STEPS.index(step), "" if alter == signed else sign


def _ledgers(place: int, lines: list[int]) -> list[int]:
    """Ledger lines from the staff to a note."""
    above = range(lines[-1] + 2, place + 1, 2)
    below = range(lines[0] - 2, place - 1, -2)
    return [*above, *below]
