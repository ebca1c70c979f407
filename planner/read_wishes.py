"""From a request to what a planner must keep: every wish settled as far as it can be without a choice.

A named form's letters, keys and cadences, a typed plan's rules and what is asked of single sections meet here; what
contradicts is refused with both wishes named. What is asked outright goes before what a form's name promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from music.errors import RequestError
from music.pitch import Key
from music.plan import MAX_BARS, Theme
from music.plan_text import PlanText, SectionText
from music.time import DIVS_PER_QUARTER, Meter
from planner.dice import Dice, pick_from
from planner.forms import FORMS, MIN_SECTION_BARS, USUAL, Slot
from planner.frame import Place, _bars, _check_theme, _pickup, _style, _tempo_wish, _theme_fits, agree
from planner.interface import PlanRequest
from planner.request import METERS, FormWish, known_meter, read_form
from planner.section_drafts import (
    Draft,
    check_bars,
    check_returns,
    first_with,
    least_bars,
    make_drafts,
    place_themes,
    theme_letter,
)
from planner.section_keys import Sections
from planner.wishes import SectionWish, Wishes, bar_shares

_UPBEAT_STEPS = (DIVS_PER_QUARTER // 4, DIVS_PER_QUARTER // 6)


def read(request: PlanRequest, *, seed: int = 0) -> Wishes:
    """What a request asks of a plan.

    Args:
        request: the user's wishes.
        seed: draws a form with the letters that are named, where letters are named but no form.

    Raises:
        RequestError: a wish that is not understood, or two that contradict each other, both named.
    """
    dice = Dice(seed)
    wish = read_form(request.form) if request.form is not None else None
    text = wish.text if wish else PlanText(())
    style, ensemble = _style(
        agree("style", request.style, text.style), agree("ensemble", request.ensemble, text.ensemble)
    )
    bars = _bars(agree("bars", request.bars, text.bars))
    tempo = _tempo_wish(agree("tempo", request.tempo_qpm, text.tempo_qpm))
    asked_meter = agree("meter", request.meter, text.meter)
    if asked_meter is not None:
        known_meter(asked_meter)
    pickup = agree("pickup_div", request.pickup_div, text.pickup_div)
    themes = _themes(request)
    if wish is None:
        wish = _form_for(request, themes, bars, asked_meter, dice)
    drafts = make_drafts(wish, request, bars) if wish else []
    check_returns(drafts)
    place_themes(drafts, themes)
    lead = _lead_theme(request, themes, drafts)
    meters = _meters(asked_meter, wish, themes, drafts, pickup)
    if wish:
        check_bars(wish, drafts, bars)
    _check_themes(themes, meters, drafts, bars)
    pickup = _upbeat(request, pickup, lead, _some_meter(meters))
    key = agree("key", request.key, text.key) or (lead.key if lead else None)
    form = wish.form if wish else None
    sections = Sections(tuple(drafts), themes, _some_meter(meters), key is not None)
    homes = None
    if drafts and key is not None:
        sections(key)  # raises what contradicts
    elif drafts and sections.needs_home:
        homes = sections.homes()
    if bars is not None and drafts and sections.needs_home:
        _check_room(sections(key or min(homes or {Key("C")})), drafts, bars)
    return Wishes(
        style=style,
        ensemble=ensemble,
        key=key,
        meters=meters,
        tempo=(tempo, tempo) if tempo is not None else form.tempo if form else None,
        pickup_div=pickup,
        bars=bars,
        form=(form.title or None) if form else None,
        title=agree("title", request.title, text.title),
        sections=sections if drafts else None,
        themes=themes,
        homes=homes,
    )


def _check_room(wishes: Sequence[SectionWish], drafts: Sequence[Draft], bars: int) -> None:
    """Whether the bars in all hold what fixed chords and the cadences behind them need."""
    least = sum(wish.bars or max(MIN_SECTION_BARS, wish.bars_at_least) for wish in wishes)
    if least > bars:
        words = ", ".join(dict.fromkeys(draft.chord_words for draft in drafts if draft.chord_words))
        raise RequestError(f"bars={bars} contradicts {words}: with it the sections need {least} bars to close")


def _themes(request: PlanRequest) -> tuple[Theme, ...]:
    given = request.theme
    if given is not None and any(theme.label == given.label for theme in request.themes):
        raise RequestError(f"theme= contradicts the theme of letter {given.label} in wishes=; ask for one of them")
    return request.themes if given is None else (given, *request.themes)


def _lead_theme(request: PlanRequest, themes: Sequence[Theme], drafts: Sequence[Draft]) -> Theme | None:
    """The given theme whose key and upbeat are the piece's: the one of `theme=`, else the first section's."""
    first = theme_letter(drafts[0]) if drafts else "A"
    return request.theme or next((theme for theme in themes if theme.label == first), None)


def _upbeat(request: PlanRequest, asked: int | None, theme: Theme | None, meter: Meter) -> int | None:
    """The upbeat that is asked for, else the theme's; what can be written begins on one of the composers' grids."""
    try:
        upbeat = _pickup(asked, theme, meter)
        if upbeat is not None and all(upbeat % step for step in _UPBEAT_STEPS):
            length = str(Fraction(upbeat, DIVS_PER_QUARTER))
            said = f"pickup={length} in the form" if asked is not None else "the theme"
            raise RequestError(f"{said}: an upbeat of {length} quarters is not of whole sixteenths or their triplets")
        return upbeat
    except RequestError as error:
        if request.pickup_div is None:
            raise
        raise RequestError(str(error).replace(" in the form", " in wishes=")) from None


def _form_for(
    request: PlanRequest, themes: Sequence[Theme], bars: int | None, meter: Meter | None, dice: Dice
) -> FormWish | None:
    """A form where none is asked for but letters or a number of sections are; None where the form is quite open."""
    if request.count is not None:
        labels = {p.where: str(p.value) for p in request.parts if p.name == "label"}
        name = "".join(labels.get(i, "?") for i in range(request.count))
        return FormWish(name, None, PlanText(tuple(SectionText(labels.get(i, "")) for i in range(request.count))))
    named = [str(part.where) for part in request.parts]
    named += [theme.label for theme in themes if theme.label != "A"]
    if not named:
        return None
    least = {label: sum(p.value for p in request.parts if p.where == label and p.name == "bars") for label in named}
    fits = {}
    for name, weight in USUAL.items():
        form = FORMS[name]
        labels = [slot.label for slot in form.sized(bars)]
        room = sum(max(MIN_SECTION_BARS, least.get(label, 0)) for label in labels)
        has = all(label in labels or (len(label) == 1 and label in {x[0] for x in labels}) for label in named)
        if has and (bars is None or room <= bars) and (meter is None or form.meters in ("", str(meter))):
            fits[name] = weight
    if fits:
        return read_form(pick_from(dice.stream("form"), fits))
    # Every letter up to the last that is named, and home again where there is room.
    labels = [chr(code) for code in range(ord("A"), max(ord(name[0]) for name in named) + 1)]
    labels += [name for name in dict.fromkeys(named) if name not in labels]
    if len(labels) > 1 and (bars is None or bars >= MIN_SECTION_BARS * (len(labels) + 1)):
        labels.append("A")
    return read_form("".join(labels))


def _check_themes(
    themes: Sequence[Theme], meters: frozenset[Meter] | None, drafts: Sequence[Draft], bars: int | None
) -> None:
    """Whether each theme has a section, which is long enough, and a meter."""
    least = [least_bars(draft) for draft in drafts]
    for theme in themes:
        places = []
        for draft, shortest in zip(drafts, least, strict=True):
            spare = MAX_BARS if bars is None else bars - sum(least) + shortest
            slot = replace(draft.slot, label=draft.slot.label or "?", theme=theme_letter(draft) or "")
            places.append(Place(slot, draft.told.get("bars") or spare, Key("C"), None, None))
        # An open form has letter A at least, and room for it.
        open_place = Place(Slot(theme.label), MAX_BARS, Key("C"), None, None)
        _check_theme(theme, _some_meter(meters), places or [open_place])
        index = first_with(theme, drafts)
        if index is not None:
            told = drafts[index].told
            told["bars_at_least"] = max(theme.bars, told.get("bars_at_least", 0))


def _meters(
    asked: Meter | None,
    wish: FormWish | None,
    themes: Sequence[Theme],
    drafts: Sequence[Draft],
    pickup: int | None,
) -> frozenset[Meter] | None:
    """The meters that all wishes allow."""
    meters = frozenset((asked,)) if asked else None
    form = wish.form if wish else None
    if asked is None and form is not None and form.meters:
        meters = frozenset((Meter.parse(form.meters),))
    if asked is None and themes:
        fitting = frozenset(meter for meter in METERS if all(_theme_fits(theme, meter) for theme in themes))
        fitting = fitting or frozenset(meter for meter in METERS if all(_holds(theme, meter) for theme in themes))
        meters = (fitting & meters if meters else fitting) or fitting or meters
    for draft in drafts:
        meters = _meters_for_chords(draft, meters)
    upbeat = max([pickup or 0, *(-theme.notes[0].onset_div for theme in themes)])
    if upbeat:
        longer = frozenset(meter for meter in meters or METERS if meter.bar_div > upbeat)
        meters = longer or meters or frozenset((max(METERS, key=lambda meter: meter.bar_div),))
    return meters


def _holds(theme: Theme, meter: Meter) -> bool:
    last = theme.notes[-1]
    return last.onset_div + last.duration_div <= theme.bars * meter.bar_div


def _meters_for_chords(draft: Draft, meters: frozenset[Meter] | None) -> frozenset[Meter] | None:
    most = max((len(names) for names in draft.told.get("figures", ())), default=0)
    chords = draft.told.get("chords", ())
    if chords:
        if meters is None or len(meters) > 1:
            raise RequestError(f"{draft.said['chords']} need a meter beside them: meter=")
        length = draft.told.get("bars", MAX_BARS) * next(iter(meters)).bar_div
        ends = [chord.onset_div + chord.duration_div for chord in chords]
        if any(chord.onset_div < end for chord, end in zip(chords, [0, *ends], strict=False)):
            raise RequestError(f"{draft.said['chords']}: they are not one after another")
        if ends[-1] > length:
            raise RequestError(f"{draft.said['chords']} end behind the section's {draft.told['bars']} bars")
        needed = -(-ends[-1] // next(iter(meters)).bar_div)
        draft.told["bars_at_least"] = max(needed, draft.told.get("bars_at_least", 0))
    if most < 2:
        return meters
    fitting = frozenset(meter for meter in meters or METERS if bar_shares(meter, most))
    if not fitting:
        names = f"meter={_some_meter(meters)}" if meters else "every meter"
        raise RequestError(f"{draft.chord_words}: {most} chords in a bar contradicts {names}, which has fewer beats")
    return fitting if len(fitting) < len(meters or METERS) else meters


def _some_meter(meters: frozenset[Meter] | None) -> Meter:
    """One of the meters, the same every time."""
    return max(meters, key=lambda meter: (meter.bar_div, meter)) if meters else Meter(4, 4)
