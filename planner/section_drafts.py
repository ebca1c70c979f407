"""The sections of a form while it is gathered what is asked of each: by a typed plan, by letters, by single wishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from music.errors import RequestError
from music.plan import MAX_BARS, Theme
from music.plan_text import NO_CADENCE, SectionText
from planner.forms import MIN_SECTION_BARS, Slot, letter_slots
from planner.frame import _lengths, _role, source_of
from planner.interface import PartWish, PlanRequest
from planner.request import FormWish

_MOST_SECTIONS = 12  # of a form that grows


@dataclass
class Draft:
    """A section while its wishes are gathered.

    Args:
        slot: of the form.
        source: index of the section that it returns to.
        typed: what a typed plan says of it.
        told: what is asked outright: field -> value.
        said: field -> the wish in the user's words.
        keys: every key asked for, as text, with its words.
    """

    slot: Slot
    source: int | None
    typed: SectionText | None = None
    told: dict[str, Any] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    keys: list[tuple[str, str]] = field(default_factory=list)

    @property
    def chord_words(self) -> str:
        """The wish for its chords in the user's words, "" where there is none."""
        return self.said.get("figures") or self.said.get("chords") or ""

    @property
    def mode(self) -> bool | None:
        """Whether its chords are those of a minor key, by their tonic triads; None where these do not tell."""
        tonics = {name.rstrip("643257") for bar in self.told.get("figures", ()) for name in bar}
        return "i" in tonics if ("i" in tonics) != ("I" in tonics) else None


def make_drafts(wish: FormWish, request: PlanRequest, bars: int | None) -> list[Draft]:
    """The sections of a form with what is asked of each.

    Raises:
        RequestError: a wish about a section that is not there, or one that contradicts another.
    """
    typed: Sequence[SectionText | None]
    if wish.is_typed:
        typed = wish.text.sections
        first = wish.text.sections[0].label
        slots: Sequence[Slot] = tuple(Slot(t.label, role=_role(t.label, first)) for t in wish.text.sections)
    elif wish.form:
        slots = _sized(wish, request, bars)
        typed = [None] * len(slots)
    else:
        slots = _letters([t.label for t in wish.text.sections])
        typed = [None] * len(slots)
    if request.count not in (None, len(slots)):
        raise RequestError(
            f"wishes= with {request.count} sections contradicts form {wish.name!r}, which has {len(slots)}"
        )
    drafts: list[Draft] = []
    for slot, text in zip(slots, typed, strict=True):
        known = [draft.slot.label or "?" for draft in drafts]
        source = source_of(known, slot.label) if slot.label else None
        drafts.append(Draft(slot, source, text))
        if text is not None:
            _tell_typed(drafts[-1], text)
    letters = "".join(slot.label for slot in slots)
    for part in request.parts:
        for index in _hits(part, [slot.label for slot in slots], wish.name or letters):
            _tell(drafts[index], part)
    return drafts


def _letters(labels: Sequence[str]) -> Sequence[Slot]:
    """Slots of labels, of which some may be open (""): the first letter and the last section at home, all else open."""
    if all(labels):
        return [replace(slot, cadences="") for slot in letter_slots(labels)]
    home = {"major": "I", "minor": "i"}
    return [Slot(x, cadences="", **(home if x and x[:1] == labels[0][:1] else {})) for x in labels]


def _sized(wish: FormWish, request: PlanRequest, bars: int | None) -> Sequence[Slot]:
    """The sections of a named form; of one that grows, as many as the wishes of single sections leave room for."""
    form = wish.form
    assert form is not None
    usual = form.sized(bars)
    if not form.grows or not (request.parts or request.count):
        return usual
    sizes = sorted(range(len(form.slots), _MOST_SECTIONS + 1), key=lambda size: abs(size - len(usual)))
    for size in [request.count] if request.count else sizes:
        slots = form.sized(max(size, len(form.slots)) * form.bars)
        labels = [slot.label for slot in slots]
        try:
            told = [
                {p.where if isinstance(p.where, int) else i: p.value for i in _hits(p, labels, "")}
                for p in request.parts
                if p.name == "bars"
            ]
        except RequestError:
            continue
        lengths = {index: int(length) for one in told for index, length in one.items()}
        least = sum(lengths.values()) + MIN_SECTION_BARS * (len(slots) - len(lengths))
        if bars is None or least == bars or (least < bars and len(lengths) < len(slots)):
            return slots
    return usual


def _hits(part: PartWish, labels: Sequence[str], form: str) -> list[int]:
    """Indices of the sections that a wish is about."""
    if isinstance(part.where, int):
        if part.where >= len(labels):
            raise RequestError(f"{part.said} contradicts form {form!r}, which has {len(labels)} sections")
        return [part.where]
    same = [i for i, label in enumerate(labels) if label == part.where]
    if not same and len(part.where) == 1:
        same = [i for i, label in enumerate(labels) if label[:1] == part.where]
    if not same:
        named = "".join(label or "?" for label in labels)
        raise RequestError(f"{part.said}: form {form!r} ({named}) has no section {part.where}")
    return same


def _tell_typed(draft: Draft, text: SectionText) -> None:
    word = text.label + str(text.bars or "")
    word += (f":{text.key}" if text.key else "") + (
        f"/{'-' if text.cadence == NO_CADENCE else text.cadence}" if text.cadence else ""
    )
    for name in ("bars", "key", "cadence"):
        value = getattr(text, name)
        if value is not None:
            _put(draft, name, value, f"{word} in the form")


def _tell(draft: Draft, part: PartWish) -> None:
    value = part.value
    if part.name == "source":
        if value != draft.source:
            raise RequestError(f"{part.said} contradicts the letters, by which it is {draft.source}")
        return
    if part.name == "label":
        if draft.slot.label != value:
            raise RequestError(f"{part.said} contradicts the form, whose section there is {draft.slot.label or 'open'}")
        return
    if part.name == "phrases":
        _put(draft, "bars", sum(phrase.bars for phrase in part.value), part.said)
        _put(draft, "cadence", part.value[-1].cadence or NO_CADENCE, part.said)
    if part.name == "textures":
        _put(draft, "bars", len(part.value), part.said)
    _put(draft, part.name, value, part.said)


def _put(draft: Draft, name: str, value: Any, said: str) -> None:
    if name == "key":
        draft.keys.append((value, said))
        return
    if name == "bars" and not MIN_SECTION_BARS <= value <= MAX_BARS:
        label = draft.slot.label
        raise RequestError(f"{said}: section {label}{value} has fewer than {MIN_SECTION_BARS} bars")
    other = {"figures": "chords", "chords": "figures"}.get(name, name)
    for known in (name, other):
        if known in draft.told and (known != name or draft.told[known] != value):
            raise RequestError(f"{said} contradicts {draft.said[known]}; ask for one of them")
    draft.told[name] = value
    draft.said.setdefault(name, said)


def theme_letter(draft: Draft) -> str | None:
    """The letter of the theme that a section is heard with, None where its label is open."""
    return draft.told.get("theme") or draft.slot.theme or draft.slot.label[:1] or None


def check_bars(wish: FormWish, drafts: Sequence[Draft], bars: int | None) -> None:
    """Whether the sections' lengths can be met, the chords that are fixed with them.

    Raises:
        RequestError: they cannot; both wishes are named.
    """
    for draft in drafts:
        needed, fixed = len(draft.told.get("figures", ())), draft.told.get("bars")
        if fixed is not None and needed > fixed:
            label = f"{draft.said['bars']}, by which section {draft.slot.label} has {fixed}"
            raise RequestError(f"{draft.chord_words} has chords for {needed} bars, which contradicts {label}")
    told = [draft.said["bars"] for draft in drafts if "bars" in draft.told and draft.typed is None]
    told += [draft.chord_words for draft in drafts if least_bars(draft) > MIN_SECTION_BARS and "bars" not in draft.told]
    least = [least_bars(draft) for draft in drafts]
    closed = all("bars" in draft.told for draft in drafts)
    if bars is None:
        if sum(least) > MAX_BARS:
            whose = f"{told[0]}: with it the" if told else "the"
            raise RequestError(
                f"{whose} {len(drafts)} sections of form {_short(wish.name)} have {sum(least)} bars"
                f"{'' if closed else ' or more'}; {MAX_BARS} is the most"
            )
        return
    if not told:
        texts = [SectionText(d.slot.label, d.told.get("bars")) for d in drafts]
        _lengths(wish, [replace(draft.slot, label=draft.slot.label or "?") for draft in drafts], texts, bars)
        return
    if sum(least) > bars or (closed and sum(least) != bars):
        most = "" if closed else " or more"
        raise RequestError(
            f"bars={bars} contradicts {', '.join(dict.fromkeys(told))}: with it the {len(drafts)} sections of form "
            f"{wish.name!r} have {sum(least)} bars{most}"
        )


def _short(name: str) -> str:
    """A form's name in quotes, of a long one the beginning."""
    return repr(name if len(name) <= 40 else f"{name[:37]}...")


def check_returns(drafts: Sequence[Draft]) -> None:
    """Whether every section that is to be a varied return is one.

    Raises:
        RequestError: it is the first of its letter, or nothing says what it returns to.
    """
    for index, draft in enumerate(drafts):
        if "variation" not in draft.told or draft.source is not None:
            continue
        said, label = draft.said["variation"], draft.slot.label
        if label or index == 0:
            raise RequestError(f"{said} contradicts section {label or index + 1}, which returns to nothing before it")
        raise RequestError(f"{said} needs a label beside it: that of an earlier section, which it returns to")


def place_themes(drafts: Sequence[Draft], themes: Sequence[Theme]) -> None:
    """Gives sections of open label to the given themes that no section is heard with yet.

    A goes to the first section where that is open, other letters rather to a later one.

    Raises:
        RequestError: a section that is to be heard with a theme that is neither given nor any section's.
    """
    for theme in sorted(themes, key=lambda theme: theme.label):
        if first_with(theme, drafts) is not None:
            continue
        fits = [d for d in drafts if theme_letter(d) is None and d.told.get("bars", MAX_BARS) >= theme.bars]
        later = [draft for draft in fits if draft is not drafts[0] or theme.label == "A"]
        for draft in (later or fits)[:1]:
            draft.slot = replace(draft.slot, label=theme.label)
    letters = {draft.slot.label[:1] for draft in drafts} | {theme.label for theme in themes}
    if drafts and not drafts[0].slot.label:
        letters.add("A")  # an open first section takes the first letter that is free
    for draft in drafts:
        if draft.told.get("theme", "A") not in letters and "theme" in draft.told:
            said, named = draft.said["theme"], " ".join(sorted(letters - {""}))
            raise RequestError(f"{said} contradicts the letters: there is no such theme (letters and themes: {named})")


def least_bars(draft: Draft) -> int:
    """The fewest bars that a section can have."""
    return draft.told.get("bars") or max(MIN_SECTION_BARS, len(draft.told.get("figures", ())))


def first_with(theme: Theme, drafts: Sequence[Draft]) -> int | None:
    """Index of the first section with a theme."""
    return next((i for i, draft in enumerate(drafts) if theme_letter(draft) == theme.label), None)
