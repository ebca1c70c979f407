"""What is asked of a form's sections once its home is known, and a drawn form with every wish as it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from music.errors import RequestError
from music.pitch import Key
from music.time import Meter
from planner import form_columns as fc
from planner.form_stream import FormDraw, SectionDraw
from planner.frame import source_of
from planner.wishes import SectionWish, Wishes, cadences_at, fixed_chords


def bars_of(wish: SectionWish) -> int | None:
    """The length that is asked of a section, by its phrases or outright."""
    return sum(phrase.bars for phrase in wish.phrases) if wish.phrases else wish.bars


@dataclass(frozen=True)
class Scene:
    """The sections that are asked for, once home and meter are known.

    Args:
        wishes: of each section.
        keys: values of the keys that each may have under its own and its followers' wishes, None for any.
        models: of each section, the one whose key it takes, or itself.
    """

    wishes: tuple[SectionWish, ...]
    keys: tuple[frozenset[int] | None, ...]
    models: tuple[int, ...]


def check_sections(wishes: Sequence[SectionWish]) -> None:
    """Whether each section's wishes agree with one another.

    Raises:
        RequestError: they do not; both are named.
    """
    for wish in wishes:
        if wish.label is not None and len(wish.label) > fc.PRIMES:
            raise RequestError(f"section {wish.label} has more than {fc.PRIMES - 1} primes")
        if wish.bars is not None and bars_of(wish) != wish.bars:
            raise RequestError(
                f"section {wish.label or '?'} has {wish.bars} bars, but its phrases have {bars_of(wish)}"
            )
        if wish.phrases and wish.cadences is not None and wish.phrases[-1].cadence not in wish.cadences:
            raise RequestError(
                f"section {wish.label or '?'} closes with {wish.phrases[-1].cadence or 'none'} by its phrases, "
                f"which contradicts its cadence {', '.join(sorted(c or 'none' for c in wish.cadences))}"
            )


def make_scene(wishes: tuple[SectionWish, ...], home: Key, meter: Meter) -> Scene:
    """What is asked of the sections in this home and meter.

    Raises:
        RequestError: a section that is to stand in the key of another one with which it has none in common.
    """
    labels = [wish.label or "?" for wish in wishes]
    models, keys = list(range(len(wishes))), []
    for index, wish in enumerate(wishes):
        values = None if wish.keys is None else frozenset(fc.key_value(key, home) for key in wish.keys)
        source = source_of(labels[:index], labels[index]) if wish.label else None
        if wish.key_of_model and source is not None:
            models[index] = models[source]
        elif values is None and index in (0, len(wishes) - 1):
            values = frozenset((12 * home.minor,))
        bars = bars_of(wish)
        if bars is not None and wish.cadences is not None and (wish.chords or wish.figures):
            closing = [k for k in values or range(24) if can_close(wish, bars, fc.key_of(k, home), meter)]
            values = frozenset(closing) or values
        keys.append(values)
        model = models[index]
        if model != index and values is not None:
            both = values if keys[model] is None else values & keys[model]
            if not both:
                raise RequestError(
                    f"section {labels[index]} (number {index + 1}) stands in the key of section {labels[model]} "
                    f"(number {model + 1}), but the two may have no key in common"
                )
            keys[model] = both
    return Scene(wishes, tuple(keys), tuple(models))


def chord_bars(wish: SectionWish, meter: Meter) -> int:
    """Bars up to the end of the fixed chords."""
    end = max((chord.onset_div + chord.duration_div for chord in wish.chords), default=0)
    return max(len(wish.figures), -(-end // meter.bar_div))


@lru_cache(maxsize=4096)
def can_close(wish: SectionWish, bars: int, key: Key, meter: Meter) -> bool:
    """Whether a section's fixed chords leave room for a cadence that it may have."""
    possible = cadences_at(fixed_chords(wish, key, meter), bars * meter.bar_div, key, meter)
    return wish.cadences is None or bool(possible & wish.cadences)


def settled(draw: FormDraw, wishes: Wishes) -> FormDraw:
    """The drawn form with what is asked for as it was asked for: letters, spellings, numbers within their bins."""
    home = wishes.key or draw.key
    meter = draw.meter
    if meter is None:
        meter = min((m for m in wishes.meters or () if m not in fc.METERS_KNOWN), default=None)
    tempo = draw.tempo_qpm
    if wishes.tempo is not None and tempo is not None:
        tempo = min(max(tempo, wishes.tempo[0]), wishes.tempo[1])
    pickup = draw.pickup_div if wishes.pickup_div is None else wishes.pickup_div
    asked = wishes.sections(home) if wishes.sections is not None and home is not None else ()
    names = _letter_names(asked, draw)
    sections = []
    for index, section in enumerate(draw.sections):
        wish = asked[index] if asked else SectionWish()
        label = names[section.label[0]] + section.label[1:]
        key = section.key
        if key is not None and home is not None and draw.key is not None:
            key = fc.key_of(fc.key_value(key, draw.key), home)
        sections.append(_settled(replace(section, label=label, key=key), wish))
    return replace(draw, key=home, meter=meter, tempo_qpm=tempo, pickup_div=pickup, sections=tuple(sections))


def _letter_names(asked: tuple[SectionWish, ...], draw: FormDraw) -> dict[str, str]:
    """Letters of a draw -> those that were asked for; letters that no one asked for take what is left."""
    names = {
        section.label[0]: wish.label[0]
        for wish, section in zip(asked, draw.sections, strict=False)
        if wish.label is not None
    }
    spare = (letter for letter in map(chr, range(ord("A"), ord("Z") + 1)) if letter not in names.values())
    for section in draw.sections:
        if section.label[0] not in names:
            names[section.label[0]] = next(spare)
    return names


def _settled(section: SectionDraw, wish: SectionWish) -> SectionDraw:
    key = next((k for k in sorted(wish.keys or ()) if section.key and _sounds(k, section.key)), section.key)
    return replace(
        section,
        key=key,
        phrases=wish.phrases or section.phrases,
        density=section.density if wish.density is None else wish.density,
        register=section.register if wish.register is None else wish.register,
        dynamic=section.dynamic if wish.dynamic is None else wish.dynamic,
        variation=section.variation if wish.variation is None or section.source is None else wish.variation,
    )


def _sounds(key: Key, other: Key) -> bool:
    return (key.pc, key.minor) == (other.pc, other.minor)
