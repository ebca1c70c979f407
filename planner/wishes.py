"""What a planner must keep: a request, read and checked, as allowed values for each part of a plan.

None is always "not asked for". A named form's promises (docs/forms.md) are wishes like others: its letters, the keys
and cadences that its sections may have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from music.analysis.cadence import is_dominant, is_tonic
from music.harmony import figure, parse_figure
from music.pitch import Key
from music.plan import CADENCES, BarTexture, Chord, Phrase, PlanNote, Theme
from music.time import Meter


@dataclass(frozen=True)
class SectionWish:
    """What is asked of a section.

    Args:
        label: letter and primes.
        bars: length.
        keys: keys that it may have, absolute.
        cadences: cadences that it may close with; None in it is "no cadence".
        phrases: all of them, with bars, ideas and cadences.
        chords: fixed ones, in order, onsets in divisions from the section's start; gaps between them are open.
        variation, density, register, texture, dynamic, tempo_scale: as in `music.plan.Section`.
        theme: letter of the theme that is heard.
        key_of_model: it stands in the key of the section that it returns to (the first of its label, else of its
            letter); `keys` then says what that may be.
        bars_at_least: what chords or a theme that are fixed need.
        figures: chords as Roman numerals in the section's own key, a tuple for each bar from the first on; an empty
            one leaves its bar open. `fixed_chords` makes chords of them once key and meter are settled.
        textures: of all its bars.
        link: notes that lead into the next section, as in `music.plan.Section`.
    """

    label: str | None = None
    bars: int | None = None
    keys: frozenset[Key] | None = None
    cadences: frozenset[str | None] | None = None
    phrases: tuple[Phrase, ...] | None = None
    chords: tuple[Chord, ...] = ()
    variation: float | None = None
    density: float | None = None
    register: float | None = None
    texture: str | None = None
    dynamic: str | None = None
    tempo_scale: float | None = None
    theme: str | None = None
    key_of_model: bool = False
    bars_at_least: int = 0
    figures: tuple[tuple[str, ...], ...] = ()
    textures: tuple[BarTexture, ...] = ()
    link: tuple[PlanNote, ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What is asked of a plan.

    Args:
        style, ensemble: always settled.
        key: home.
        homes: where `key` is None, the keys that home may have under the other wishes.
        meters: meters that it may have.
        tempo: lowest and highest quarters a minute.
        pickup_div: upbeat.
        bars: full bars in all.
        form: name for the title ("Rondo"), None where the letters give none.
        title: for the score.
        sections: home key -> what is asked of each section; None: number and letters are open too. Keys stand as they
            are to be spelled.
        themes: given themes, by letter, each in the key that it is to be heard in first or in its own.
    """

    style: str
    ensemble: str
    key: Key | None = None
    meters: frozenset[Meter] | None = None
    tempo: tuple[float, float] | None = None
    pickup_div: int | None = None
    bars: int | None = None
    form: str | None = None
    title: str | None = None
    sections: Callable[[Key], tuple[SectionWish, ...]] | None = None
    themes: tuple[Theme, ...] = ()
    homes: frozenset[Key] | None = None


def bar_shares(meter: Meter, count: int) -> list[int] | None:
    """Lengths in divisions of so many chords in one bar, on its beats and as equal as they allow, longer ones first.

    None where the bar has fewer beats.
    """
    each, more = divmod(meter.beats, count)
    return [meter.beat_div * (each + (i < more)) for i in range(count)] if each else None


def fixed_chords(wish: SectionWish, key: Key, meter: Meter) -> tuple[Chord, ...]:
    """The chords that are fixed in a section of this key and meter, in order; gaps between them are open.

    Raises:
        ValueError: a figure that is none, or more chords in a bar than it has beats.
    """
    found = [replace(c, figure=figure(c.root, c.quality, c.bass, key)) for c in wish.chords]
    for bar, names in enumerate(wish.figures):
        if not names:
            continue
        lengths = bar_shares(meter, len(names))
        if lengths is None:
            raise ValueError(f"{len(names)} chords do not fit a bar of {meter}, which has {meter.beats} beats")
        onset = bar * meter.bar_div
        for name, length in zip(names, lengths, strict=True):
            root, quality, bass = parse_figure(name, key)
            found.append(Chord(onset, length, root, quality, bass, figure(root, quality, bass, key)))
            onset += length
    return tuple(sorted(found, key=lambda chord: chord.onset_div))


def cadences_at(
    chords: Sequence[Chord], end_div: int, key: Key, meter: Meter, start_div: int = 0
) -> frozenset[str | None]:
    """The cadences that a phrase from `start_div` to `end_div` of a section may have with these chords fixed.

    What a cadence is stands in docs/forms.md and in `music.analysis.cadence`: chords alone do not tell a PAC from an
    IAC where V and I stand in root position, so both may be. Equal chords in a row count as one, so a phrase may begin
    with the chord that the one before it closed with: a chord that sounds on over the end is heard up to there.
    """
    line = [c for c in chords if c.onset_div < end_div and c.onset_div + c.duration_div > start_div]
    last = line.pop() if line and line[-1].onset_div + line[-1].duration_div >= end_div else None
    start = end_div
    if last is not None:
        start = max(start_div, last.onset_div)
        while line and _is_same(line[-1], last) and line[-1].onset_div + line[-1].duration_div == start:
            start = max(start_div, line.pop().onset_div)
    gap = start - (line[-1].onset_div + line[-1].duration_div if line else start_div)
    if last is not None and gap == 0 and not line:
        # A phrase's only chord can be no more than a dominant to rest on.
        return frozenset((None, "HC")) if _closes("HC", None, last, key) else frozenset((None,))
    # What is open before the last chord holds the dominant; if the last chord is open too, both must find a place.
    is_open = gap > 0 if last is not None else gap >= 2 * meter.beat_div
    left = None if is_open or not line else line[-1]
    return frozenset((None, *(name for name in CADENCES if _closes(name, left, last, key))))


def _is_same(one: Chord, other: Chord) -> bool:
    return (one.root, one.quality, one.bass) == (other.root, other.quality, other.bass)


def _closes(cadence: str, left: Chord | None, last: Chord | None, key: Key) -> bool:
    """Whether two chords may be a cadence's; None for one that is still open."""
    dominant = (key.pc + 7) % 12
    if cadence == "HC":
        return last is None or (is_dominant(last, key) and last.root == dominant == last.bass)
    if left is not None and not is_dominant(left, key):
        return False
    if cadence == "DC":
        sixth = (key.pc + (8 if key.minor else 9)) % 12
        return last is None or (last.root == sixth and last.quality == ("maj" if key.minor else "min"))
    if last is not None and not is_tonic(last, key):
        return False
    if cadence == "IAC":
        return True
    return (left is None or left.root == dominant == left.bass) and (last is None or last.bass == key.pc)
