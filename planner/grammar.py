"""The planner without weights: forms, phrases, harmony and themes from a grammar with seeded chance.

Order: the frame (form, keys, bars), then for each letter phrases, chords and a theme over them; returns take all that
from their model, moved to their own key. Last, each bar is told how it is written (`planner.textures`). Each question
has its own stream of chance (`planner.dice`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from music.pitch import Key
from music.plan import Phrase, Plan, PlanNote, Section, Theme
from music.time import DIVS_PER_QUARTER, Meter
from planner.bars import section_phrases
from planner.character import Character, characters
from planner.dice import Dice, pick
from planner.frame import Frame, Place, make_frame
from planner.harmony import Evidence, SectionHarmony, Step, chords_of, moved
from planner.interface import PlanRequest
from planner.request import refuse_unkept
from planner.rhythm import Bar
from planner.styles import STYLES
from planner.textures import with_textures
from planner.themes import CONTOURS, RANGES, ThemeWish, make_theme

# Notes a beat of the first letter's theme, and factors for the letters after it, so that no two move alike.
_THEME_DENSITY = 1.35
_LETTER_FACTORS = (1.0, 0.75, 1.3, 0.9, 1.15)
_UPBEAT_SHARE = 0.2


class GrammarPlanner:
    """The rule baseline of the planner; see the module. It holds no state: one object serves any number of plans."""

    def plan(self, request: PlanRequest, *, seed: int) -> Plan:
        """Makes a plan; the same request and seed give the same plan.

        Raises:
            RequestError: a wish that is not understood, or two that contradict each other, both named.
        """
        refuse_unkept(request)
        dice = Dice(seed)
        frame = make_frame(request, dice)
        moods = characters(frame, dice)
        given = _given_theme(request.theme, frame)
        material = _material(frame, given, dice)
        themes = _themes(frame, material, moods, given, dice)
        letters = {theme.label for theme in themes}
        plan = Plan(
            title=frame.title,
            style=frame.style,
            ensemble=frame.ensemble,
            key=frame.key,
            meter=frame.meter,
            pickup_div=_pickup(frame, themes),
            tempo_qpm=frame.tempo_qpm,
            sections=tuple(_section(i, frame, material[i], moods[i], letters) for i in range(len(frame.places))),
            themes=themes,
        )
        return with_textures(plan, dice)


Material = tuple[tuple[Phrase, ...], list[Step]]


def _section(index: int, frame: Frame, material: Material, mood: Character, letters: set[str]) -> Section:
    place = frame.places[index]
    phrases, steps = material
    return Section(
        label=place.label,
        bars=place.bars,
        key=place.key,
        phrases=phrases,
        chords=chords_of(steps, place.key),
        theme=place.theme if place.theme in letters else None,
        source=place.source,
        variation=_variation(place, frame),
        density=mood.density,
        register=mood.register,
        texture=mood.texture,
        dynamic=mood.dynamic,
        tempo_scale=mood.tempo_scale,
    )


def _variation(place: Place, frame: Frame) -> float | None:
    """0 for an exact return, more with each prime that is added to its model's."""
    if place.source is None:
        return None
    added = abs(place.label.count("'") - frame.places[place.source].label.count("'"))
    return 0.0 if added == 0 else round(min(0.7, 0.25 + 0.1 * added), 2)


def _material(frame: Frame, given: Theme | None, dice: Dice) -> list[Material]:
    """Phrases and chords of each section."""
    found: list[Material] = []
    for index, place in enumerate(frame.places):
        if place.source is None:
            found.append(_new_material(place, frame, given, dice, f"{place.slot.letter}"))
        else:
            model = frame.places[place.source]
            found.append(_returned(place, model, found[place.source], frame, given, dice, index))
    return found


def _new_material(place: Place, frame: Frame, given: Theme | None, dice: Dice, name: str) -> Material:
    phrases = section_phrases(place.bars, place.cadence, place.slot.role, dice.stream(f"phrases {name}"))
    return phrases, _harmony(place, frame, given, dice, name).draw(phrases, place.slot.role == "development")


def _harmony(place: Place, frame: Frame, given: Theme | None, dice: Dice, name: str) -> SectionHarmony:
    heard = given is not None and place.theme == given.label
    evidence = theme_evidence(given, place.key, frame.meter) if heard and given else None
    rate = STYLES[frame.style].chords_per_bar
    # Fast or short bars take fewer chords, slow and long ones more.
    seconds = frame.meter.bar_div / DIVS_PER_QUARTER * 60 / frame.tempo_qpm
    rate = 1 if seconds < 1.3 else 2 if rate == 1 and seconds > 3.2 else rate
    return SectionHarmony(frame.meter, place.key.minor, rate, dice.stream(f"harmony {name}"), evidence)


def _returned(
    place: Place,
    model: Place,
    material: Material,
    frame: Frame,
    given: Theme | None,
    dice: Dice,
    index: int,
) -> Material:
    """A model's phrases and chords in the return's mode; another cadence changes the last phrase only."""
    phrases, steps = material
    if place.bars != model.bars:
        return _new_material(place, frame, given, dice, f"{place.slot.letter} {place.bars}")
    steps = moved(steps, model.key.minor, place.key.minor)
    if place.cadence == model.cadence:
        return phrases, steps
    *before, last = phrases
    changed = (*before, Phrase(last.bars, last.idea, place.cadence))
    fresh = _harmony(place, frame, given, dice, f"{place.slot.letter} {index}").draw(changed)
    # All chords up to the last two bars are the model's; the new close begins where a bar does.
    border = max(0, place.bars - last.bars) * frame.meter.bar_div
    kept = [s if s.onset_div + s.duration_div <= border else _cut(s, border) for s in steps if s.onset_div < border]
    return changed, kept + [s for s in fresh if s.onset_div >= border]


def _cut(step: Step, end: int) -> Step:
    return Step(step.onset_div, end - step.onset_div, step.figure)


def theme_evidence(theme: Theme, key: Key, meter: Meter) -> Evidence:
    """How well chords (pitch classes above C of a section in `key`) carry a theme that is given."""
    notes = [(n.onset_div, n.onset_div + n.duration_div, (n.pitch - theme.key.pc) % 12) for n in theme.notes]
    minor_shift = {3: 4, 8: 9} if theme.key.minor and not key.minor else {4: 3, 9: 8}
    if theme.key.minor != key.minor:
        notes = [(on, off, minor_shift.get(pc, pc)) for on, off, pc in notes]

    def fit(onset: int, duration: int, pcs: frozenset[int]) -> float:
        value = 1.0
        for start, end, pc in notes:
            shared = min(end, onset + duration) - max(start, onset)
            if shared <= 0:
                continue
            weight = (shared / meter.beat_div) * (0.5 + meter.strength(start))
            value *= 1.6**weight if pc in pcs else 0.12**weight
        return value

    return fit


def _given_theme(theme: Theme | None, frame: Frame) -> Theme | None:
    """The request's theme in the key of the first section that it is heard in."""
    if theme is None:
        return None
    place = next(place for place in frame.places if place.theme == theme.label)
    return theme_in_key(theme, place.key, RANGES[frame.ensemble][:2])


def theme_in_key(theme: Theme, key: Key, span: tuple[int, int]) -> Theme:
    """A theme moved to another key by the least way, its third and sixth degrees changed with the mode.

    Args:
        span: pitches between which it should lie. In its own key it stays at its own height if it reaches into them;
            else octaves bring its middle there.
    """
    shift = (key.pc - theme.key.pc + 6) % 12 - 6
    change = {} if theme.key.minor == key.minor else {3: 1, 8: 1} if theme.key.minor else {4: -1, 9: -1}
    pitches = [n.pitch + shift + change.get((n.pitch - theme.key.pc) % 12, 0) for n in theme.notes]
    if shift or max(pitches) < span[0] or min(pitches) > span[1]:
        middle = (min(pitches) + max(pitches)) / 2
        octaves = ceil((span[0] - middle) / 12) if middle < span[0] else -max(0, ceil((middle - span[1]) / 12))
        pitches = [p + 12 * octaves for p in pitches]
    # Into what MIDI has, whole where it fits.
    whole = next((by for by in (0, 12, -12) if min(pitches) + by >= 0 and max(pitches) + by <= 127), 0)
    pitches = [p + whole for p in pitches]
    pitches = [p + 12 if p < 0 else p - 12 if p > 127 else p for p in pitches]
    notes = tuple(PlanNote(n.onset_div, n.duration_div, p) for n, p in zip(theme.notes, pitches, strict=True))
    return Theme(theme.label, theme.bars, key, notes)


def _themes(
    frame: Frame, material: Sequence[Material], moods: Sequence[Character], given: Theme | None, dice: Dice
) -> tuple[Theme, ...]:
    """One theme for each letter that is heard with one of its own, in the key of its first section."""
    themes: list[Theme] = []
    motives: list[Bar] = []
    for index, place in enumerate(frame.places):
        letter = place.slot.letter
        if place.theme != letter or any(theme.label == letter for theme in themes):
            continue
        if given is not None and given.label == letter:
            themes.append(given)
            continue
        wish = _theme_wish(index, frame, material[index], moods[index], len(themes), dice)
        theme, motive = make_theme(wish, dice.stream(f"theme {letter}"), motives)
        themes.append(theme)
        motives.append(motive)
    return tuple(themes)


def _theme_wish(index: int, frame: Frame, material: Material, mood: Character, number: int, dice: Dice) -> ThemeWish:
    place = frame.places[index]
    phrases, steps = material
    bars = min(4, phrases[0].bars)
    if bars == 2 and len(phrases) > 1 and phrases[1].bars == 2 and phrases[1].idea[0] != phrases[0].idea[0]:
        bars = 4
    ends = {sum(p.bars for p in phrases[: i + 1]): p.cadence for i, p in enumerate(phrases)}
    rng = dice.stream(f"theme wish {place.slot.letter}")
    chorale = mood.texture == "chorale"
    density = _THEME_DENSITY * _LETTER_FACTORS[number % len(_LETTER_FACTORS)] * rng.uniform(0.9, 1.15)
    density *= min(1.3, max(0.75, (100 / frame.tempo_qpm) ** 0.5))
    if frame.meter.is_compound:
        density *= 1.5
    upbeat = number == 0 and _has_upbeat(frame, dice)
    return ThemeWish(
        label=place.slot.letter,
        key=place.key,
        meter=frame.meter,
        tempo_qpm=frame.tempo_qpm * mood.tempo_scale,
        bars=bars,
        chords=chords_of(steps, place.key),
        cadence=ends.get(bars),
        ensemble=frame.ensemble,
        density=min(density, 1.15) if chorale else density,
        shift=(0.0, 2.0, -2.0, 1.0, -1.0)[number % 5],
        contour=pick(rng, CONTOURS, (4, 1, 1, 2, 1) if number == 0 else (1, 2, 1, 2, 2)),
        upbeat=upbeat,
    )


def _has_upbeat(frame: Frame, dice: Dice) -> bool:
    """Whether the first theme has an upbeat: as the text says, else at times, where the meter has beats to spare."""
    if frame.pickup_div is not None:
        return frame.pickup_div == frame.meter.beat_div
    return frame.meter.beats >= 3 and bool(dice.stream("upbeat").random() < _UPBEAT_SHARE)


def _pickup(frame: Frame, themes: Sequence[Theme]) -> int:
    if frame.pickup_div is not None:
        return frame.pickup_div
    first = next((t for t in themes if t.label == frame.places[0].theme), None)
    return max(0, -first.notes[0].onset_div) if first else 0
