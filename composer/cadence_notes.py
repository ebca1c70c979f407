"""Notes that make a planned cadence one: the bass of its chords and, where it is authentic, the soprano's last steps.

A network that draws notes one by one rarely lands on the tonic in both outer voices just where the phrase ends. These
few cells are set when the dominant begins, so that the soprano can follow the line that was drawn; all else is
left to the network, which is told of them ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from composer.conditions import ATTACK, FREE, HOLD, OFF
from composer.roll import LOWEST_PITCH, PITCHES, step_div
from music.analysis.cadence import is_dominant, is_tonic
from music.plan import Chord, Plan, Section

AUTHENTIC = ("PAC", "IAC")
SOPRANO = {"piano": (60, 86), "satb": (62, 79), "quartet": (67, 88)}  # where a line comes to rest
BASS = {"piano": (36, 57), "satb": (41, 60), "quartet": (36, 57)}
_LEAP = 7  # semitones that a line may leap to its approach
_OTHER_STEP = 0.2  # chance of the soprano's farther step into the tonic


@dataclass(frozen=True)
class Closing:
    """The end of a phrase on the grid.

    Args:
        kind: the cadence.
        prepare: step at which the chord before the last begins, or the beat before `arrive` where that is nearer.
        arrive: step at which the last chord begins.
        end: step past the phrase's last.
        beat: steps in a beat.
        basses: pitch classes of the bass at `prepare` (-1: any) and at `arrive`.
        tonic: pitch class of the key.
        minor: its mode.
    """

    kind: str
    prepare: int
    arrive: int
    end: int
    beat: int
    basses: tuple[int, int]
    tonic: int
    minor: bool


def _chords_of_close(section: Section, first_div: int, end_div: int, kind: str) -> tuple[Chord | None, Chord | None]:
    """The last chord of a phrase from where it begins, and the one before it."""
    inside = [c for c in section.chords if c.onset_div < end_div and c.onset_div + c.duration_div > first_div]
    last = inside[-1] if inside else None
    at = len(inside) - 1
    while at > 0 and (inside[at - 1].root, inside[at - 1].quality) == (inside[at].root, inside[at].quality):
        at -= 1
        last = inside[at]
    return (inside[at - 1] if at > 0 else None), last


def closing_of(plan: Plan, section_index: int, phrase_index: int, grid: int) -> Closing | None:
    """The closing of a phrase, or None where no cadence is asked for or the plan's chords are no such cadence.

    Without chords, the last bar is the arrival and the beat before it the dominant.
    """
    section = plan.sections[section_index]
    phrase = section.phrases[phrase_index]
    if phrase.cadence is None:
        return None
    unit, meter, key = step_div(grid), plan.meter, section.key
    bars = sum(p.bars for p in section.phrases[: phrase_index + 1])
    first_div, end_div = (bars - phrase.bars) * meter.bar_div, bars * meter.bar_div
    before, last = _chords_of_close(section, first_div, end_div, phrase.cadence)
    arrive_div = max(last.onset_div, first_div) if last else end_div - meter.bar_div
    prepare_div = arrive_div - meter.beat_div
    dominant = (key.pc + 7) % 12
    target = {"HC": dominant, "DC": (key.pc + (8 if key.minor else 9)) % 12}.get(phrase.cadence, key.pc)
    basses = (-1 if phrase.cadence == "HC" else dominant, target)
    if last is not None:
        fits = is_tonic(last, key) if phrase.cadence in AUTHENTIC else last.root == target
        if not fits or (phrase.cadence in AUTHENTIC and (before is None or not is_dominant(before, key))):
            return None
        if before is not None:
            prepare_div = max(before.onset_div, arrive_div - 2 * meter.beat_div, first_div)
            basses = (before.bass if basses[0] >= 0 else -1, last.bass)
    if prepare_div < 0 or arrive_div >= end_div:
        return None
    start = plan.bar_onset_div(plan.first_bars[section_index])
    end = (start + end_div) // unit
    arrive, prepare = (start + arrive_div) // unit, (start + prepare_div) // unit
    if arrive >= end or prepare >= arrive:
        return None
    return Closing(
        phrase.cadence, prepare, arrive, end, max(meter.beat_div // unit, 1), basses, key.pc, key.minor
    )  # fmt: skip


def _near(pitch: float, classes: tuple[int, ...], span: tuple[int, int]) -> int | None:
    """The pitch of one of the classes in a range that is nearest to a given one; the lower of two."""
    options = [p for p in range(span[0], span[1] + 1) if p % 12 in classes]
    return min(options, key=lambda p: (abs(p - pitch), p)) if options else None


def _edges(play: Bool[ndarray, "steps 88"]) -> tuple[int | None, int | None]:
    """Lowest and highest pitch of the last step that sounds."""
    rows = np.flatnonzero(play.any(axis=1))
    if len(rows) == 0:
        return None, None
    sounding = np.flatnonzero(play[rows[-1]])
    return int(sounding[0]) + LOWEST_PITCH, int(sounding[-1]) + LOWEST_PITCH


class _Cells:
    """Fixed cells to which notes are added where nothing else was set."""

    def __init__(self, fixed: Int[ndarray, "steps 88"]) -> None:
        self.fixed = fixed

    def highest(self, first: int, last: int) -> int:
        """The highest pitch set to sound in these steps, 0 for none."""
        columns = np.flatnonzero((self.fixed[first:last] >= HOLD).any(axis=0))
        return int(columns[-1]) + LOWEST_PITCH if len(columns) else 0

    def lowest(self, first: int, last: int) -> int:
        """The lowest one, 128 for none."""
        columns = np.flatnonzero((self.fixed[first:last] >= HOLD).any(axis=0))
        return int(columns[0]) + LOWEST_PITCH if len(columns) else 128

    def free(self, pitch: int, first: int, last: int) -> bool:
        """Whether nothing is set for a pitch."""
        return bool((self.fixed[first:last, pitch - LOWEST_PITCH] == FREE).all())

    def note(self, pitch: int, first: int, last: int) -> None:
        """Sets a note where its cells are free."""
        cells = self.fixed[first:last, pitch - LOWEST_PITCH]
        cells[:] = HOLD
        cells[0] = ATTACK

    def clear(self, columns: slice, first: int, last: int) -> None:
        """Nothing sounds there, save what is set."""
        cells = self.fixed[first:last, columns]
        cells[cells == FREE] = OFF


def fix_closing(
    closing: Closing,
    fixed: Int[ndarray, "steps 88"],
    play: Bool[ndarray, "before 88"],
    ensemble: str,
    rng: np.random.Generator,
) -> None:
    """Sets the cells of a closing in place; cells that are set already (a theme's, a user's) win.

    Args:
        closing: where and which.
        fixed: cells of the piece.
        play: what was drawn so far: the steps before `closing.prepare`.
        ensemble: of the plan.
        rng: chance of the soprano's approach.
    """
    cells = _Cells(fixed)
    low, high = _edges(play)
    _bass(closing, cells, low, ensemble)
    if closing.kind in AUTHENTIC:
        _soprano(closing, cells, high, ensemble, rng)


def _bass(closing: Closing, cells: _Cells, before: int | None, ensemble: str) -> None:
    span = BASS[ensemble]
    roof = cells.lowest(closing.prepare, closing.end)
    span = (span[0], min(span[1], roof - 3))
    place = float(np.clip(before if before is not None else 48, *BASS[ensemble]))
    if closing.basses[0] >= 0:
        first = _near(place, (closing.basses[0],), span)
        if first is not None and cells.free(first, closing.prepare, closing.arrive):
            cells.note(first, closing.prepare, closing.arrive)
            cells.clear(slice(0, first - LOWEST_PITCH), closing.prepare, closing.arrive)
            place = first
    # Down a fifth rather than up a fourth where both lie as near: a close falls.
    last = _near(place - 1.1, (closing.basses[1],), span)
    # A choir's bass rests to the end; instruments may take up their figure again after a beat or two.
    half = max(closing.beat, (closing.end - closing.arrive) // 2)
    held = closing.end if ensemble == "satb" else closing.arrive + half
    if last is not None and cells.free(last, closing.arrive, held):
        cells.note(last, closing.arrive, held)
        cells.clear(slice(0, last - LOWEST_PITCH), closing.arrive, closing.end)


def _soprano(closing: Closing, cells: _Cells, before: int | None, ensemble: str, rng: np.random.Generator) -> None:
    chance = float(rng.random())
    tonic = closing.tonic
    third = (tonic + (3 if closing.minor else 4)) % 12
    classes = (tonic,) if closing.kind == "PAC" else (third, (tonic + 7) % 12)
    beat = max(closing.arrive - closing.beat, closing.prepare)
    # What is set already is the theme, or the next one's upbeat: the last note stops before it.
    end = next(
        (t for t in range(closing.arrive, closing.end) if cells.highest(t, t + 1) > SOPRANO[ensemble][0]), closing.end
    )
    if end - closing.arrive >= closing.beat:
        floor = SOPRANO[ensemble][0]
        told = cells.highest(closing.arrive - 1, closing.arrive)
        line = float(np.clip(told if told > floor else before if before is not None else 71, *SOPRANO[ensemble]))
        rest = _near(line - 0.6, classes, (floor, SOPRANO[ensemble][1]))
        if rest is not None and cells.free(rest, closing.arrive, end):
            cells.note(rest, closing.arrive, end)
            cells.clear(slice(rest + 1 - LOWEST_PITCH, PITCHES), closing.arrive, end)
            if closing.kind == "PAC":
                _approach(cells, rest, line, (beat, closing.arrive), SOPRANO[ensemble][0], chance)
    _leading_tone(closing, cells, beat)


def _approach(cells: _Cells, rest: int, line: float, steps: tuple[int, int], floor: int, chance: float) -> None:
    """The soprano's step into the tonic: from above or from the leading tone, most often the one nearer to the line."""
    first, last = steps
    near, far = sorted((rest + 2, rest - 1), key=lambda p: abs(p - line))
    step = far if chance < _OTHER_STEP and abs(far - line) <= _LEAP else near
    if cells.highest(first, last) <= floor and cells.free(step, first, last):
        cells.note(step, first, last)
        cells.clear(slice(step + 1 - LOWEST_PITCH, PITCHES), first, last)


def _leading_tone(closing: Closing, cells: _Cells, first: int) -> None:
    """The dominant's third below a soprano that has another tone: without it the chord is heard as something else."""
    low, high = cells.lowest(first, closing.arrive), cells.highest(first, closing.arrive)
    leading = (closing.tonic + 11) % 12
    if leading in (low % 12, high % 12):
        _only_one(cells, leading, first, closing.arrive)
        return
    if high - low < 10:
        return
    pitch = _near((low + 2 * high) / 3, (leading,), (max(low + 4, high - 14), high - 3))
    if pitch is not None and cells.free(pitch, first, closing.arrive):
        cells.note(pitch, first, closing.arrive)
        _only_one(cells, leading, first, closing.arrive)


def _only_one(cells: _Cells, pc: int, first: int, last: int) -> None:
    """Leaves a pitch class, which is set to sound, to the voice that has it: a leading tone is not doubled."""
    cells.clear(slice((pc - LOWEST_PITCH) % 12, PITCHES, 12), first, last)
