"""The frame of a plan: every wish settled or drawn: sections with bars and keys, meter, tempo, style. No notes yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from music.errors import RequestError
from music.pitch import ALL_KEYS, Key
from music.plan import ENSEMBLES, MAX_BARS, TEMPO_RANGE, Theme
from music.plan_text import NO_CADENCE, PlanText, SectionText
from music.time import DIVS_PER_QUARTER, Meter
from planner.bars import deal_bars
from planner.dice import Dice, pick, pick_from
from planner.forms import FORMS, MIN_SECTION_BARS, USUAL, Form, Slot, form_of_letters, letter_slots, near_keys, weighted
from planner.interface import PlanRequest
from planner.request import METERS, FormWish, known_meter, known_style, read_form
from planner.styles import STYLE_OF_ENSEMBLE, STYLES

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """A section of the frame: its slot in the form with all that is settled about it."""

    slot: Slot
    bars: int
    key: Key
    cadence: str | None
    source: int | None

    @property
    def label(self) -> str:
        """Letter and primes."""
        return self.slot.label

    @property
    def theme(self) -> str:
        """Letter of the theme that is heard."""
        return self.slot.theme or self.slot.letter


@dataclass(frozen=True)
class Frame:
    """All that a plan holds but phrases, chords, themes and character."""

    key: Key
    meter: Meter
    tempo_qpm: float
    style: str
    ensemble: str
    title: str
    pickup_div: int | None
    places: tuple[Place, ...]


def make_frame(request: PlanRequest, dice: Dice) -> Frame:
    """Settles a request.

    Raises:
        RequestError: a wish that is not understood, or two that contradict each other, both named.
    """
    wish = read_form(request.form) if request.form is not None else None
    text = wish.text if wish else PlanText(())
    style, ensemble = _style(
        agree("style", request.style, text.style), agree("ensemble", request.ensemble, text.ensemble)
    )
    bars = _bars(agree("bars", request.bars, text.bars))
    meter_wish = agree("meter", request.meter, text.meter)
    wish = wish or _usual_form(bars, meter_wish, dice)
    tempo_wish = _tempo_wish(agree("tempo", request.tempo_qpm, text.tempo_qpm))
    key = agree("key", request.key, text.key) or (request.theme.key if request.theme else None) or _home(style, dice)
    meter = known_meter(meter_wish) if meter_wish else _meter(wish.form, style, request.theme, dice)
    places = _places(wish, bars, key, dice)
    if request.theme:
        _check_theme(request.theme, meter, places)
    tempo = tempo_wish or _tempo(wish.form, style, meter, dice)
    title = agree("title", request.title, text.title)
    if title is None:
        form = wish.form or form_of_letters([place.label for place in places])
        title = f"{(form and form.title) or _tempo_word(tempo, meter)} in {key.name}"
    pickup = _pickup(text.pickup_div, request.theme, meter)
    return Frame(key, meter, tempo, style, ensemble, title, pickup, places)


def agree(name: str, asked: T | None, typed: T | None) -> T | None:
    """The value of two wishes for one thing: the request's own and the typed plan's.

    Raises:
        RequestError: both are given and differ.
    """
    if asked is not None and typed is not None and asked != typed:
        raise RequestError(f"{name}={asked} contradicts {name}={typed} in the form; ask for one of them")
    return typed if asked is None else asked


def _style(style: str | None, ensemble: str | None) -> tuple[str, str]:
    if ensemble is not None and ensemble not in ENSEMBLES:
        raise RequestError(f"ensemble {ensemble!r} is not one of {', '.join(ENSEMBLES)}")
    if style is None:
        return STYLE_OF_ENSEMBLE[ensemble or "piano"], ensemble or "piano"
    return known_style(style), ensemble or STYLES[style].ensemble


def _bars(bars: int | None) -> int | None:
    if bars is not None and not MIN_SECTION_BARS <= bars <= MAX_BARS:
        raise RequestError(f"bars={bars} is outside {MIN_SECTION_BARS}..{MAX_BARS}")
    return bars


def _tempo_wish(tempo: float | None) -> float | None:
    low, high = TEMPO_RANGE
    if tempo is not None and not (math.isfinite(tempo) and low <= tempo <= high):
        raise RequestError(f"tempo={tempo:g} is outside {low:g}..{high:g} quarters a minute")
    return tempo


def _usual_form(bars: int | None, meter: Meter | None, dice: Dice) -> FormWish:
    fits = {
        name: weight
        for name, weight in USUAL.items()
        if (bars is None or bars >= MIN_SECTION_BARS * len(FORMS[name].slots))
        and (meter is None or FORMS[name].meters in ("", str(meter)))
    }
    # Fewer bars than two sections need are one section.
    return read_form(pick_from(dice.stream("form"), fits) if fits else "A")


def _home(style: str, dice: Dice) -> Key:
    rng = dice.stream("key")
    minor = rng.random() < STYLES[style].minor
    keys = [key for key in ALL_KEYS if key.minor == minor and abs(key.fifths) <= 4]
    return pick(rng, keys, [5 - abs(key.fifths) for key in keys])


def _meter(form: Form | None, style: str, theme: Theme | None, dice: Dice) -> Meter:
    choices = {form.meters: 1.0} if form and form.meters else STYLES[style].meters
    meters = {Meter.parse(text): weight for text, weight in choices.items()}
    if theme is not None:  # a theme of unknown meter: the bars that it says to have must hold it
        fitting = {meter: weight for meter, weight in meters.items() if _theme_fits(theme, meter)}
        others = {meter: 1.0 for meter in METERS if _theme_fits(theme, meter)}
        meters = fitting or others or meters
    return pick_from(dice.stream("meter"), meters)


def _theme_fits(theme: Theme, meter: Meter) -> bool:
    end = theme.notes[-1].onset_div + theme.notes[-1].duration_div
    return (theme.bars - 1) * meter.bar_div < end <= theme.bars * meter.bar_div


def _check_theme(theme: Theme, meter: Meter, places: Sequence[Place]) -> None:
    first = next((place for place in places if place.theme == theme.label), None)
    letters = "".join(place.label for place in places)
    if first is None:
        raise RequestError(f"the theme is that of letter {theme.label}, which form {letters} does not have")
    end = theme.notes[-1].onset_div + theme.notes[-1].duration_div
    if end > theme.bars * meter.bar_div:
        raise RequestError(f"the theme of {theme.bars} bars does not fit meter {meter}: it is longer than so many bars")
    if theme.bars > first.bars:
        raise RequestError(
            f"the theme has {theme.bars} bars but section {first.label} of form {letters} has {first.bars}"
        )
    if -theme.notes[0].onset_div >= meter.bar_div:
        raise RequestError(f"the theme's upbeat is a bar of meter {meter} or longer")


def _tempo(form: Form | None, style: str, meter: Meter, dice: Dice) -> float:
    rng = dice.stream("tempo")
    if form and form.tempo:
        low, high = form.tempo
    else:
        # Long beats go slower, but not in proportion: a half-note beat at 78 is as lively as a quarter at 110.
        scale = math.sqrt(meter.beat_div / DIVS_PER_QUARTER)
        low, high = (bound * scale for bound in STYLES[style].tempo)
    return float(2 * round(rng.uniform(low, high) / 2))


def _tempo_word(tempo_qpm: float, meter: Meter) -> str:
    beats = tempo_qpm / math.sqrt(meter.beat_div / DIVS_PER_QUARTER)
    words = ((60, "Adagio"), (84, "Andante"), (112, "Moderato"), (150, "Allegro"))
    return next((word for limit, word in words if beats < limit), "Presto")


def _pickup(typed: int | None, theme: Theme | None, meter: Meter) -> int | None:
    upbeat = max(0, -theme.notes[0].onset_div) if theme else None
    if typed is not None and typed >= meter.bar_div:
        raise RequestError(f"pickup={typed / DIVS_PER_QUARTER:g} in the form is not shorter than a bar of {meter}")
    if typed is not None and upbeat is not None and upbeat > typed:
        wanted = upbeat / DIVS_PER_QUARTER
        raise RequestError(
            f"pickup={typed / DIVS_PER_QUARTER:g} in the form contradicts the theme's upbeat of {wanted:g}"
        )
    return upbeat if typed is None else typed


def _places(wish: FormWish, bars: int | None, home: Key, dice: Dice) -> tuple[Place, ...]:
    texts: Sequence[SectionText | None]
    if wish.is_typed:
        texts = wish.text.sections
        slots = tuple(Slot(t.label, role=_role(t.label, wish.text.sections[0].label)) for t in wish.text.sections)
    else:
        slots = wish.form.sized(bars) if wish.form else letter_slots([t.label for t in wish.text.sections])
        texts = [None] * len(slots)
    lengths = _lengths(wish, slots, texts, bars)
    places: list[Place] = []
    for index, (slot, text, length) in enumerate(zip(slots, texts, lengths, strict=True)):
        source = source_of([p.label for p in places], slot.label)
        model = None if source is None else places[source]
        last = index == len(slots) - 1
        key = text.key_in(home) if text else None
        if key is None:
            key = home if last or index == 0 else _key(slot, model, home, text is not None, slots[0], dice)
        if text is None:
            cadence = "PAC" if last else _cadence(slot, model, dice)
        else:
            cadence = None if text.cadence == NO_CADENCE else text.cadence or "PAC"
        places.append(Place(slot, length, key, cadence, source))
    return tuple(places)


def source_of(labels: Sequence[str], label: str) -> int | None:
    """Index of the earlier section that `label` returns to: the first of the same label, else of the same letter."""
    same = [i for i, other in enumerate(labels) if other == label]
    letter = [i for i, other in enumerate(labels) if other[0] == label[0]]
    return (same or letter or [None])[0]


def _role(label: str, first: str) -> str:
    if label[0] != first[0]:
        return "contrast"
    return "variation" if "'" in label else "stable"


def _lengths(wish: FormWish, slots: Sequence[Slot], texts: Sequence[SectionText | None], bars: int | None) -> list[int]:
    given: list[int | None] = [text.bars if text else None for text in texts]
    for slot, length in zip(slots, given, strict=True):
        if length is not None and length < MIN_SECTION_BARS:
            raise RequestError(f"section {slot.label}{length} has fewer than {MIN_SECTION_BARS} bars")
    open_letters = [slot.letter for slot, length in zip(slots, given, strict=True) if length is None]
    fixed = sum(length or 0 for length in given)
    if bars is None:
        known = {slot.letter: length for slot, length in reversed(list(zip(slots, given, strict=True))) if length}
        usual = wish.form.bars if wish.form else 8
        return _at_most([length or known.get(slot.letter, usual) for slot, length in zip(slots, given, strict=True)])
    if not open_letters and fixed != bars:
        raise RequestError(f"bars={bars} contradicts form {wish.name!r}, whose sections have {fixed} bars")
    least = fixed + MIN_SECTION_BARS * len(open_letters)
    if bars < least:
        raise RequestError(
            f"bars={bars} is too few for form {wish.name!r}: its {len(slots)} sections need {least} bars or more"
        )
    dealt = iter(deal_bars(bars - fixed, open_letters) if open_letters else [])
    return [next(dealt) if length is None else length for length in given]


def _at_most(lengths: list[int]) -> list[int]:
    if sum(lengths) > MAX_BARS:
        raise RequestError(f"the form has {sum(lengths)} bars; {MAX_BARS} is the most")
    return lengths


def _key(slot: Slot, model: Place | None, home: Key, typed: bool, first: Slot, dice: Dice) -> Key:
    """A section's key where nobody fixed it: its model's, or one drawn from the form's choices."""
    spec = slot.minor if home.minor else slot.major
    if model is not None and (typed or replace(slot, label="") == replace(model.slot, label="")):
        return home if slot.letter == first.letter and not spec else model.key
    if not spec:
        spec = "i" if home.minor else "I"
        spec = spec if slot.letter == first.letter else near_keys(home.minor)
    names, weights = weighted(spec)
    return home.relative(dice.pick(f"key {slot.letter}{spec}", names, weights))


def _cadence(slot: Slot, model: Place | None, dice: Dice) -> str:
    if model is not None and model.cadence and slot.cadences == model.slot.cadences:
        return model.cadence
    names, weights = weighted(slot.cadences)
    return dice.pick(f"cadence {slot.label}", names, weights)
