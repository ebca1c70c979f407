"""Voice leading: parallels, doubled leading tones, seconds and sevenths left hanging.

Scores of all kinds are measured alike, also such as have no voices: a voice is a place in the row of what sounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from evaluation.sonorities import Sonority, changes
from music.analysis.cadence import is_dominant
from music.analysis.chords import Harmony
from music.harmony import CHORD_INTERVALS, TRIADS

SECOND = (1, 2)  # semitones
STEP = 2  # semitones: a voice that moves no farther goes by step


@dataclass(frozen=True)
class Parallels:
    """Parallels among the moves of all pairs of voices.

    Args:
        moves: pairs of voices, at every change from a sonority to one of as many pitches.
        fifths, octaves: of them, those that move the same way from a perfect fifth to one, from an octave to one.
    """

    moves: int
    fifths: int
    octaves: int


def parallels(row: tuple[Sonority, ...]) -> Parallels:
    """Parallel fifths and octaves, voices being the sorted pitches of a sonority.

    Every change from a sonority to a different one of as many pitches counts each pair of voices once, whether both
    move or not; compound intervals count as simple ones. Source: the rule of every treatise since Fux. The
    differences: voices that cross are not followed (a score without voices can be judged too), unisons are no
    interval here, and successive fifths of unequal size are allowed.
    """
    moves = fifths = octaves = 0
    for before, after in pairwise(changes(row)):
        if len(before) != len(after):
            continue
        for low, high in combinations(range(len(before)), 2):
            moves += 1
            if (after[low] - before[low]) * (after[high] - before[high]) <= 0:
                continue
            intervals = (before[high] - before[low]) % 12, (after[high] - after[low]) % 12
            fifths += intervals == (7, 7)
            octaves += intervals == (0, 0)
    return Parallels(moves, fifths, octaves)


def pooled_parallels(found: Iterable[Parallels]) -> Parallels:
    """The parallels of many pieces counted together: rates of rare things are only worth something so."""
    rows = list(found)
    return Parallels(sum(p.moves for p in rows), sum(p.fifths for p in rows), sum(p.octaves for p in rows))


def unresolved_sevenths(row: tuple[Sonority, ...], harmony: Harmony) -> float | None:
    """Share of heard sevenths that do not resolve; None where no seventh is heard.

    A seventh is the seventh of a heard seventh chord, in each octave where it sounds when the chord is left. It
    resolves when, anywhere in the next chord, that pitch goes on sounding (the resolution is put off) or the note a
    semitone or a whole tone below it sounds. Source: common practice. The difference: the voice is not known, so that
    another voice may take the resolution over.
    """
    open_ones = total = 0
    for chord, following in pairwise(harmony.chords):
        if chord.quality in TRIADS:
            continue
        seventh = (chord.root + CHORD_INTERVALS[chord.quality][3]) % 12
        end = chord.onset_div + chord.duration_div
        last = next((s for s in row if s.onset_div < end <= s.end_div), None)
        stop = following.onset_div + following.duration_div
        heard = {p for s in row if s.end_div > end and s.onset_div < stop for p in s.pitches}
        for pitch in last.pitches if last else ():
            if pitch % 12 == seventh:
                total += 1
                open_ones += not heard & {pitch, pitch - 1, pitch - 2}
    return open_ones / total if total else None


def unresolved_seconds(row: tuple[Sonority, ...]) -> float | None:
    """Share of seconds that are left without a step; None where no second sounds.

    A second is a pair of neighbouring pitches of a sonority a semitone or a whole tone apart. It ends when one of its
    notes stops, and is resolved when in the sonority that follows a pitch sounds that is a step from either note, up or
    down, and is neither of them; a silence that follows resolves nothing. Source: common practice
    (suspensions, passing and neighbouring notes all leave by step). The difference: who takes the step is not asked.
    """
    hanging = total = 0
    for before, after in pairwise(row):
        for low, high in pairwise(before.pitches):
            if high - low not in SECOND:
                continue
            if low in after.pitches and high in after.pitches:
                continue
            total += 1
            hanging += not _goes_by_step(low, high, after)
    return hanging / total if total else None


def _goes_by_step(low: int, high: int, after: Sonority) -> bool:
    return any(0 < abs(p - x) <= STEP and p not in (low, high) for x in (low, high) for p in after.pitches)


def doubled_leading_tones(row: Sequence[Sonority], harmony: Harmony) -> float | None:
    """Share of the time in which a dominant's leading tone sounds that it sounds in two octaves; None: it never does.

    Dominants are heard chords on the fifth degree (major or with a seventh) and the leading-tone chords of the key
    that holds. Source: common practice, e.g. Aldwell & Schachter, "Harmony and Voice Leading". The difference: weighed
    by time, and unisons of two voices are not seen.
    """
    doubled = total = 0
    place = 0
    for chord in harmony.chords:
        key = next((k.key for k in reversed(harmony.keys) if k.onset_div <= chord.onset_div), harmony.keys[0].key)
        end = chord.onset_div + chord.duration_div
        while place < len(row) and row[place].end_div <= chord.onset_div:
            place += 1
        if not is_dominant(chord, key):
            continue
        leading = (key.pc - 1) % 12
        for sonority in row[place:]:
            if sonority.onset_div >= end:
                break
            count = sum(p % 12 == leading for p in sonority.pitches)
            time = min(end, sonority.end_div) - max(chord.onset_div, sonority.onset_div)
            total += time * (count > 0)
            doubled += time * (count > 1)
    return doubled / total if total else None
