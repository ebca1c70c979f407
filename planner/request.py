"""A user's wishes as typed: from text to a `PlanRequest`, with errors that name the wish and what is possible."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from music.errors import PlanError, RequestError
from music.pitch import ALL_KEYS, Key
from music.plan import DYNAMICS, ENSEMBLES, MAX_BARS
from music.plan_text import (
    PlanText,
    SectionText,
    parse_options,
    parse_plan_text,
    plain_primes,
)
from music.theme import read_theme
from music.time import Meter
from planner.forms import ALIASES, FORMS, Form, named_form, split_letters
from planner.interface import PartWish, PlanRequest
from planner.styles import STYLES
from planner.wishes_file import FileWishes, cadence_value, key_value, parse_figures, read_wishes_file

_BEATS = {2: (2, 3, 4), 4: (2, 3, 4, 5, 6), 8: (3, 4, 5, 6, 7, 9, 12)}
METERS = tuple(Meter(numerator, unit) for unit, numerators in _BEATS.items() for numerator in numerators)


@dataclass(frozen=True)
class FormWish:
    """A form as asked for: a named one, or labels in `text`, with the options of the text."""

    name: str
    form: Form | None = None
    text: PlanText = field(default_factory=lambda: PlanText(()))

    @property
    def is_typed(self) -> bool:
        """True where the text says more than labels: bars, keys or cadences of its sections."""
        return self.form is None and any((s.bars, s.key, s.cadence) != (None, None, None) for s in self.text.sections)


def nearest(text: str, known: Iterable[str]) -> str:
    """ "; did you mean X?" for an error, or nothing where nothing is near."""
    near = difflib.get_close_matches(text.casefold(), {name.casefold(): name for name in known}, 1, 0.5)
    return f"; did you mean {next(n for n in known if n.casefold() == near[0])}?" if near else ""


def read_form(text: str) -> FormWish:
    """Reads a form: a name, a letter string or a typed plan, with options behind a bar.

    Raises:
        RequestError: none of them; the message names the nearest form or the token that is wrong.
    """
    head, _, options = text.partition("|")
    head = plain_primes(head).strip()
    form = named_form(head)
    labels = split_letters(head)
    try:
        if form is not None:
            return FormWish(form.name, form, parse_options(options, PlanText(())))
        if labels:
            sections = tuple(SectionText(label) for label in labels)
            return FormWish(head, None, parse_options(options, PlanText(sections)))
        if head[:1].isupper() and not head[1:2].islower():
            return FormWish(head, None, parse_plan_text(text))
    except PlanError as error:
        raise RequestError(f"form: {error}") from None
    names = (*FORMS, *ALIASES)
    hint = nearest(head.replace(" ", "_"), names)
    if head and len(set(head)) < len(head) and set(head) <= set("abcdefgh'"):
        hint = f"; did you mean {head.upper()}?"
    raise RequestError(
        f"form {head!r} is not known{hint} (named forms: {', '.join(FORMS)}; or letters such as ABACA, or a typed plan "
        "such as 'A8 B8:V A8')"
    )


def known_meter(meter: Meter) -> Meter:
    """The meter, if the planner can write it; RequestError that lists what it can otherwise."""
    if meter not in METERS:
        raise RequestError(f"meter {meter} cannot be planned; possible are {', '.join(map(str, METERS))}")
    return meter


def known_style(style: str) -> str:
    """The style, if it is known; RequestError that lists the known ones otherwise."""
    if style not in STYLES:
        raise RequestError(f"style {style!r} is not one of {', '.join(STYLES)}{nearest(style, STYLES)}")
    return style


def parse_request(
    *,
    form: str | None = None,
    key: str | None = None,
    meter: str | None = None,
    bars: int | str | None = None,
    tempo: float | int | str | None = None,
    style: str | None = None,
    ensemble: str | None = None,
    theme: str | Path | None = None,
    title: str | None = None,
    section_bars: str | None = None,
    keys: str | None = None,
    cadences: str | None = None,
    dynamics: str | None = None,
    chords: str | None = None,
    wishes: str | Path | None = None,
) -> PlanRequest:
    """The request that a user's words mean; None and "" leave a value to the planner.

    Args:
        form: named form, letter string or typed plan.
        key: "G", "f#", "Bb minor".
        meter: "3/4".
        bars: full bars in all.
        tempo: quarters a minute.
        style: one of `planner.styles.STYLES`.
        ensemble: one of `music.plan.ENSEMBLES`.
        theme: MIDI or MusicXML file with the theme of letter A; gives key and meter where none is asked for.
        title: for the score.
        section_bars, keys, cadences, dynamics: by label or letter, "A:8 B:12", "B:V C:vi", "A:HC B:PAC", "A:p B:f".
        chords: by label or letter, bar by bar from the first: "A: I IV V7 I | B: . (ii6 V) i".
        wishes: JSON file, a plan in which anything may be left out.

    Raises:
        RequestError: a wish that is not understood, or two wishes that contradict each other.
        MidiError, MusicXmlError, PlanError: a file that cannot be used.
    """
    form, key, meter, style, ensemble, title = (
        None if word is None else str(word) for word in (form, key, meter, style, ensemble, title)
    )  # a config may read a title such as 1812 as a number
    wish = read_form(form) if form else None
    if ensemble and ensemble not in ENSEMBLES:
        raise RequestError(f"ensemble {ensemble!r} is not one of {', '.join(ENSEMBLES)}{nearest(ensemble, ENSEMBLES)}")
    maps = (("section_bars", section_bars), ("keys", keys), ("cadences", cadences), ("dynamics", dynamics))
    parts = tuple(part for name, words in maps if words for part in _parse_map(name, str(words)))
    request = PlanRequest(
        form=form or None,
        key=_key(key) if key else None,
        meter=_meter(meter) if meter else None,
        bars=_whole(bars) if bars not in (None, "") else None,
        tempo_qpm=_number(tempo) if tempo not in (None, "") else None,
        style=known_style(style) if style else None,
        ensemble=ensemble or None,
        title=title or None,
        parts=parts + (parse_chords(str(chords)) if chords else ()),
    )
    if wishes:
        request = _with_file(request, read_wishes_file(wishes), str(wishes))
    return _with_theme(request, theme, wish.text.meter if wish else None) if theme else request


def _with_theme(request: PlanRequest, file: str | Path, typed: Meter | None) -> PlanRequest:
    asked = request.meter or typed
    theme, meter = read_theme(file, meter=asked)
    if meter is None:
        return replace(request, theme=theme)
    if asked is not None and asked != meter:
        raise RequestError(f"meter={asked} contradicts theme {file}, which is in {meter}")
    try:
        return replace(request, theme=theme, meter=known_meter(meter))
    except RequestError as error:
        raise RequestError(f"theme {file}: {error}") from None


def _with_file(request: PlanRequest, found: FileWishes, source: str) -> PlanRequest:
    """The request with the wishes of a file beside its own."""
    changes: dict[str, Any] = {}
    for name in ("key", "meter", "tempo_qpm", "style", "ensemble", "title", "pickup_div", "count"):
        value, asked = getattr(found, name), getattr(request, name)
        if value is None:
            continue
        if asked not in (None, value):
            raise RequestError(f"{name.removesuffix('_qpm')}={asked} contradicts wishes={source}, which says {value}")
        changes[name] = value
    try:
        if found.meter is not None:
            known_meter(found.meter)
        if found.style is not None:
            known_style(found.style)
    except RequestError as error:
        raise RequestError(f"wishes={source}: {error}") from None
    return replace(request, parts=request.parts + found.parts, themes=found.themes, **changes)


def refuse_unkept(request: PlanRequest) -> None:
    """For a planner that knows no wishes about single sections.

    Raises:
        RequestError: the request has some.
    """
    said = [part.said for part in request.parts]
    said += [f"the theme of letter {theme.label}" for theme in request.themes]
    said += ["a number of sections"] * (request.count is not None)
    said += ["an upbeat beside a form"] * (request.pickup_div is not None)
    if said:
        raise RequestError(f"planner=grammar cannot keep {said[0]}; planner=learned can")


def _bars_value(text: str) -> int:
    if re.fullmatch(r"\d{1,5}", text) is None or not 1 <= int(text) <= MAX_BARS:
        raise ValueError(f"{text!r} is not a number of bars from 1 to {MAX_BARS}")
    return int(text)


def _dynamic_value(text: str) -> str:
    if text not in DYNAMICS:
        raise ValueError(f"dynamic {text!r} is not one of {', '.join(DYNAMICS)}")
    return text


# The maps of the command line: the field of a section, and how its value is read.
_MAPS: dict[str, tuple[str, Callable[[str], int | str]]] = {
    "section_bars": ("bars", _bars_value),
    "keys": ("key", key_value),
    "cadences": ("cadence", cadence_value),
    "dynamics": ("dynamic", _dynamic_value),
}


def _parse_map(name: str, text: str) -> tuple[PartWish, ...]:
    """Reads "A:8 B:12".

    Raises:
        RequestError: the entry that is not understood, named.
    """
    field_name, read = _MAPS[name]
    found = []
    for token in plain_primes(text).split():
        match = re.fullmatch(r"([A-Z]'*):(.+)", token)
        if match is None:
            raise RequestError(f"{name}: {token!r} is not of the form A:VALUE, A':VALUE")
        try:
            found.append(PartWish(match[1], field_name, read(match[2]), f"{name}={token}"))
        except ValueError as error:
            raise RequestError(f"{name}={token}: {error}") from None
    return tuple(found)


def parse_chords(text: str) -> tuple[PartWish, ...]:
    """Reads "A: I IV V7 I | B: . (ii6 V) i": chords by bar.

    Raises:
        RequestError: what is not understood, named.
    """
    found = []
    for entry in plain_primes(text).split("|"):
        label, colon, chords = (word.strip() for word in entry.partition(":"))
        said = f"chords={' '.join(entry.split())}"
        if not colon or re.fullmatch(r"[A-Z]'*", label) is None or not chords:
            raise RequestError(f"{said} is not of the form A: I IV V7 I")
        try:
            found.append(PartWish(label, "figures", parse_figures(chords), said))
        except ValueError as error:
            raise RequestError(f"{said}: {error}") from None
    return tuple(found)


def _key(text: str) -> Key:
    try:
        return Key.parse(text)
    except ValueError as error:
        names = [str(known) for known in ALL_KEYS]
        near = difflib.get_close_matches(text, names, 1, 0.5)
        raise RequestError(f"{error}" + (f"; did you mean {near[0]}?" if near else "")) from None


def _meter(text: str) -> Meter:
    try:
        return known_meter(Meter.parse(str(text)))
    except ValueError as error:
        raise RequestError(f"{error}; possible are {', '.join(map(str, METERS))}") from None


def _whole(value: int | str | None) -> int:
    try:
        number = int(str(value))
    except ValueError:
        raise RequestError(f"bars={value} is not a whole number") from None
    if number < 1:
        raise RequestError(f"bars={number} is not a number of bars")
    return number


def _number(value: float | int | str | None) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RequestError(f"tempo={value} is not a number of quarters a minute")
    return number
