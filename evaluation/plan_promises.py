"""People's plans made to keep what ours promise: home at both ends, and every phrase closed in its cadence's chords.

Real pieces as analysis reads them keep neither always: a first phrase may be heard in the relative key, a phrase may
close in a key that it passes through, or its bar line fall after the upbeat to the next one. Plans that must keep both
cannot be spread as these are. How far the promises alone lead away is seen in people's own plans, changed as little as
the promises ask: whole sections are set in the home key, and of a phrase's chords only those at its end are others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evaluation.plans import phrase_chords
from music.analysis.cadence import classify_cadence, is_dominant
from music.harmony import chord_pcs
from music.pitch import Key
from music.plan import Chord, Plan, Section

_LATE = 3  # chords at most that sound after a cadence and before the bar line at which the phrase ends


def with_promises(plan: Plan) -> Plan:
    """The plan with its first and last section in the home key and all planned cadences in the phrases' last chords.

    A section that moves home takes its chords along, each as far above the tonic as it was. Where a phrase makes its
    cadence and goes on to the next one's upbeat, the cadence's last chord holds on; where the last two chords make one
    in another key, they are moved; else the last two become the cadence's.
    """
    sections = list(plan.sections)
    for index in {0, len(sections) - 1}:
        sections[index] = _at_home(sections[index], plan.key)
    return replace(plan, sections=tuple(_closed(plan, section) for section in sections))


def _at_home(section: Section, home: Key) -> Section:
    interval = home.pc - section.key.pc
    return replace(section, key=home, chords=tuple(_moved(chord, interval) for chord in section.chords))


def _moved(chord: Chord, interval: int) -> Chord:
    return replace(chord, root=(chord.root + interval) % 12, bass=(chord.bass + interval) % 12, figure="")


def _closed(plan: Plan, section: Section) -> Section:
    """The section with its planned cadences made; chords are cut where a phrase ends."""
    if not section.chords:
        return section
    found: list[Chord] = []
    start = 0
    for (cadence, inside), phrase in zip(phrase_chords(plan, section), section.phrases, strict=True):
        end = start + phrase.bars * plan.meter.bar_div
        own = [_cut(chord, start, end) for chord in inside]
        found += own if cadence is None or not own else with_close(own, cadence, section.key)
        start = end
    return replace(section, chords=tuple(found))


def _cut(chord: Chord, start: int, end: int) -> Chord:
    first, last = max(chord.onset_div, start), min(_end(chord), end)
    return replace(chord, onset_div=first, duration_div=last - first)


def _end(chord: Chord) -> int:
    return chord.onset_div + chord.duration_div


def with_close(chords: Sequence[Chord], cadence: str, key: Key) -> list[Chord]:
    """A phrase's chords with its cadence made by the last ones.

    Args:
        chords: of the phrase, one at least.
        cadence: one of `music.plan.CADENCES`.
        key: in which it is made.
    """
    if _makes(chords, cadence, key):
        return list(chords)
    for late in range(1, min(_LATE, len(chords) - 1) + 1):
        kept = chords[: len(chords) - late]
        if _makes(kept, cadence, key):
            return [*kept[:-1], _held(kept[-1], _end(chords[-1]))]
    return _in_key(chords, cadence, key)


def _makes(chords: Sequence[Chord], cadence: str, key: Key) -> bool:
    return classify_cadence(chords, key, key.pc if cadence == "PAC" else None) == cadence


def _held(chord: Chord, end: int) -> Chord:
    return replace(chord, duration_div=end - chord.onset_div)


def _in_key(chords: Sequence[Chord], cadence: str, key: Key) -> list[Chord]:
    """The chords with the last two moved to where they make the cadence, or with others in their places."""
    last = len(chords) - 1
    while last and _sounds(chords[last - 1]) == _sounds(chords[-1]):
        last -= 1  # the last chord with all its inversions: the cadence comes to rest on one
    before, rest = list(chords[:last]), _held(chords[last], _end(chords[-1]))
    if cadence == "HC":
        dominant = "7" if rest.quality == "7" else "maj"
        return [*before, _chord(rest, (key.pc + 7) % 12, dominant)]
    if not before:  # one chord throughout: its second half is the cadence's rest
        half = rest.duration_div // 2
        before = [replace(rest, duration_div=half)]
        rest = replace(rest, onset_div=rest.onset_div + half, duration_div=rest.duration_div - half)
    pc, quality = (key.pc, "min" if key.minor else "maj")
    if cadence == "DC":
        pc, quality = ((key.pc + 8) % 12, "maj") if key.minor else ((key.pc + 9) % 12, "min")
    goal = _chord(rest, pc, quality)
    moved = _moved(before[-1], pc - rest.root) if cadence != "DC" else before[-1]
    giver = moved if is_dominant(moved, key) else _chord(moved, (key.pc + 7) % 12, "7")
    found = [*before[:-1], giver, goal]
    if _makes(found, cadence, key):
        return found
    rooted = _chord(giver, (key.pc + 7) % 12, "7" if giver.quality == "7" else "maj")
    return [*before[:-1], rooted, goal]


def _sounds(chord: Chord) -> tuple[int, str]:
    return chord.root, chord.quality


def _chord(place: Chord, root: int, quality: str) -> Chord:
    """A chord in root position in another's place."""
    return replace(place, root=root, quality=quality, bass=chord_pcs(root, quality)[0], figure="")
