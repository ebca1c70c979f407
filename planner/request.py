"""A user's wishes as typed: from text to a `PlanRequest`, with errors that name the wish and what is possible."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from music.errors import PlanError, RequestError
from music.pitch import ALL_KEYS, Key
from music.plan import ENSEMBLES
from music.plan_text import PlanText, SectionText, parse_options, parse_plan_text, plain_primes
from music.theme import read_theme
from music.time import Meter
from planner.forms import ALIASES, FORMS, Form, named_form, split_letters
from planner.interface import PlanRequest
from planner.styles import STYLES

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

    Raises:
        RequestError: a wish that is not understood, or the theme's meter against the one asked for.
        MidiError, MusicXmlError: a theme file that cannot be used.
    """
    form, key, meter, style, ensemble, title = (
        None if word is None else str(word) for word in (form, key, meter, style, ensemble, title)
    )  # a config may read a title such as 1812 as a number
    wish = read_form(form) if form else None
    found_meter = _meter(meter) if meter else None
    if ensemble and ensemble not in ENSEMBLES:
        raise RequestError(f"ensemble {ensemble!r} is not one of {', '.join(ENSEMBLES)}{nearest(ensemble, ENSEMBLES)}")
    asked_meter = found_meter or (wish.text.meter if wish else None)
    found_theme, theme_meter = read_theme(theme, meter=asked_meter) if theme else (None, None)
    if theme_meter is not None:
        if asked_meter is not None and asked_meter != theme_meter:
            raise RequestError(f"meter={asked_meter} contradicts theme {theme}, which is in {theme_meter}")
        try:
            found_meter = known_meter(theme_meter)
        except RequestError as error:
            raise RequestError(f"theme {theme}: {error}") from None
    return PlanRequest(
        form=form or None,
        key=_key(key) if key else None,
        meter=found_meter,
        bars=_whole(bars) if bars not in (None, "") else None,
        tempo_qpm=_number(tempo) if tempo not in (None, "") else None,
        style=known_style(style) if style else None,
        ensemble=ensemble or None,
        theme=found_theme,
        title=title or None,
    )


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
