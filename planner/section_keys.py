"""What is asked of each section in a home key: the keys and cadences that all wishes together allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

from music.errors import RequestError
from music.pitch import ALL_KEYS, Key
from music.plan import CADENCES, Theme
from music.plan_text import NO_CADENCE, read_key
from music.time import Meter
from planner.forms import MIN_SECTION_BARS, near_keys, weighted
from planner.section_drafts import Draft, first_with, theme_letter
from planner.wishes import SectionWish, cadences_at, fixed_chords

_TOLD = ("bars", "variation", "density", "register", "texture", "dynamic", "tempo_scale", "theme")
_WHOLE = ("phrases", "chords", "figures", "textures", "link")


class _Unmet(RequestError):
    """A home key in which the wishes cannot be met."""


class _OtherMode(_Unmet):
    """The home is of the other mode than the chords: others may do, so this says least of all."""


class Sections:
    """Home key -> what is asked of each section (`Wishes.sections`).

    Args:
        drafts: the sections.
        themes: given ones.
        meter: one that the wishes allow, to see which cadences fixed chords leave.
        asked: the home key is asked for.
    """

    def __init__(self, drafts: tuple[Draft, ...], themes: Sequence[Theme], meter: Meter, asked: bool) -> None:
        self.drafts, self.meter, self.asked = drafts, meter, asked
        self.typed = any(draft.typed is not None for draft in drafts)
        self.theme_keys: dict[int, Key] = {}
        for theme in themes:
            index = first_with(theme, drafts)
            if index is not None:
                self.theme_keys[index] = theme.key
        self.made = lru_cache(maxsize=64)(self._made)

    def __call__(self, home: Key) -> tuple[SectionWish, ...]:
        """The sections' wishes. Raises RequestError where they cannot be met in this home key."""
        return self.made(home)

    @property
    def needs_home(self) -> bool:
        """Whether some home keys may not do."""
        return any(len(d.keys) > 1 or "figures" in d.told or "chords" in d.told for d in self.drafts)

    def homes(self) -> frozenset[Key] | None:
        """The homes in which all can be met, None for all."""
        found: set[Key] = set()
        unmet: RequestError | None = None
        for home in ALL_KEYS:
            try:
                self(home)
                found.add(home)
            except _Unmet as error:
                unmet = error if unmet is None or isinstance(unmet, _OtherMode) else unmet
        if unmet and not found:
            raise unmet
        return frozenset(found) if unmet else None

    def _made(self, home: Key) -> tuple[SectionWish, ...]:
        made: list[SectionWish] = []
        for index, draft in enumerate(self.drafts):
            follows = self._follows(index)
            keys = made[draft.source or 0].keys if follows else self._keys(index, draft, home)
            if draft.mode is not None and not draft.keys:
                keys = self._in_mode(index, draft, keys, home)
            made.append(self._section(index, draft, keys, follows))
        return tuple(self._joined(made))

    def _joined(self, made: list[SectionWish]) -> list[SectionWish]:
        """A return and its model have the same keys to choose from."""
        followers = [i for i, wish in enumerate(made) if wish.key_of_model]
        for _ in range(2):  # from returns to models, then from models to all their returns
            for index in followers:
                source = self.drafts[index].source or 0
                mine, model = made[index].keys, made[source].keys
                shared = mine if model is None else model if mine is None else mine & model
                if shared is not None and not shared:  # such as chords in the other mode
                    made[index] = replace(made[index], key_of_model=False)
                    continue
                made[index] = replace(made[index], keys=shared)
                made[source] = replace(made[source], keys=shared)
            followers = [index for index in followers if made[index].key_of_model]
        return made

    def _follows(self, index: int) -> bool:
        """Whether a section takes its model's key."""
        draft = self.drafts[index]
        if draft.source is None or draft.keys or index == len(self.drafts) - 1:
            return False
        first = self.drafts[0].slot.label[:1]
        if draft.slot.label[:1] == first and not (draft.slot.major or draft.slot.minor):
            return False
        if self.typed:
            return draft.slot.label[:1] != first
        return replace(draft.slot, label="") == replace(self.drafts[draft.source].slot, label="")

    def _is_home(self, index: int) -> bool:
        draft = self.drafts[index]
        first = self.drafts[0].slot.label[:1]
        bare = bool(first) and draft.slot.label[:1] == first and not (draft.slot.major or draft.slot.minor)
        return index in (0, len(self.drafts) - 1) or bare

    def _keys(self, index: int, draft: Draft, home: Key) -> frozenset[Key] | None:
        """The keys that a section may have, before its chords are looked at."""
        if draft.keys:
            first, said = draft.keys[0]
            key = read_key(first, home)
            for other, words in draft.keys[1:]:
                found = read_key(other, home)
                if (found.pc, found.minor) != (key.pc, key.minor):
                    raise _Unmet(f"{words} contradicts {said}; ask for one of them")
            return frozenset((key,))
        if self._is_home(index):
            return frozenset((home,))
        spec = draft.slot.minor if home.minor else draft.slot.major
        if not spec and self.typed:
            spec = near_keys(home.minor)
        keys = None
        if spec:
            names, weights = weighted(spec)
            keys = frozenset(home.relative(name) for name, weight in zip(names, weights, strict=True) if weight)
        theme = self.theme_keys.get(index)
        return frozenset((theme,)) if theme is not None and (keys is None or theme in keys) else keys

    def _in_mode(self, index: int, draft: Draft, keys: frozenset[Key] | None, home: Key) -> frozenset[Key] | None:
        """The keys whose mode is that of the section's chords, if there are any."""
        narrowed = frozenset(key for key in keys or ALL_KEYS if key.minor == draft.mode)
        if narrowed:
            return narrowed
        if self.asked or not self._is_home(index):  # chords borrowed from the other mode
            return keys
        raise _OtherMode(f"{draft.chord_words}: its tonic chords contradict key={home}")

    def _section(self, index: int, draft: Draft, keys: frozenset[Key] | None, follows: bool) -> SectionWish:
        told: dict[str, Any] = {"theme": theme_letter(draft)}
        told |= {name: draft.told[name] for name in (*_TOLD, *_WHOLE) if name in draft.told}
        needed = max(len(draft.told.get("figures", ())), draft.told.get("bars_at_least", 0))
        wish = SectionWish(
            **told,
            label=draft.slot.label or None,
            keys=keys,
            cadences=self._cadences(index, draft),
            key_of_model=follows,
            bars_at_least=needed,
        )
        return self._with_chords(wish, draft) if wish.figures or wish.chords else wish

    def _cadences(self, index: int, draft: Draft) -> frozenset[str | None]:
        asked = draft.told.get("cadence")
        if asked is not None:
            return frozenset((None if asked == NO_CADENCE else asked,))
        if draft.typed is not None or index == len(self.drafts) - 1:
            return frozenset(("PAC",))
        if draft.slot.cadences:
            names, weights = weighted(draft.slot.cadences)
            return frozenset(name for name, weight in zip(names, weights, strict=True) if weight)
        return frozenset(CADENCES)

    def _with_chords(self, wish: SectionWish, draft: Draft) -> SectionWish:
        """The section with the keys and cadences that its fixed chords allow."""
        assert wish.cadences is not None
        ends: list[tuple[int, int, frozenset[str | None]]] = []
        if wish.phrases:
            bounds = [0, *accumulate(phrase.bars for phrase in wish.phrases)]
            ends = [(*span, frozenset((p.cadence,))) for span, p in zip(pairwise(bounds), wish.phrases, strict=True)]
        elif wish.bars is not None:
            ends = [(0, wish.bars, wish.cadences)]
        else:
            return self._with_room(wish)
        tried = sorted(wish.keys or (Key("C"), Key("C", True)))
        if wish.keys is None and wish.chords:
            tried = list(ALL_KEYS)
        open_cadence = "cadence" not in draft.told and draft.typed is None
        allowed: dict[Key, frozenset[str | None]] = {}
        left: list[frozenset[str | None]] = []
        for key in tried:
            chords = fixed_chords(wish, key, self.meter)
            bar = self.meter.bar_div
            found = [cadences_at(chords, end * bar, key, self.meter, start * bar) for start, end, _ in ends]
            left = [possible & wanted for possible, (_, _, wanted) in zip(found, ends, strict=True)]
            if open_cadence and not left[-1] and not wish.phrases:
                left[-1] = (found[-1] - {None}) or found[-1]  # chords that are asked for go before a form's promise
            if all(left):
                allowed[key] = left[-1]
        if not allowed:
            other = draft.said.get("phrases") or draft.said.get("cadence") or f"the close of {draft.slot.label}"
            unmet = left.index(frozenset())
            names = ", ".join(sorted(name or "-" for name in ends[unmet][2]))
            where = f" in bar {ends[unmet][1]}" if wish.phrases else ""
            raise _Unmet(f"{draft.chord_words} contradicts {other}: its chords do not close with {names}{where}")
        keys = wish.keys
        if keys is not None or len(allowed) < len(tried):
            keys = frozenset(allowed) if keys is not None or wish.chords else self._of_modes(allowed)
        return replace(wish, keys=keys, cadences=frozenset().union(*allowed.values()))

    def _with_room(self, wish: SectionWish) -> SectionWish:
        """A section of open length with as many bars more than its fixed chords as its cadence needs behind them."""
        keys = wish.keys or (ALL_KEYS if wish.chords else (Key("C"), Key("C", True)))
        chords = {key: fixed_chords(wish, key, self.meter) for key in keys}
        bars = max(MIN_SECTION_BARS, wish.bars_at_least)
        while not any(
            cadences_at(chords[key], bars * self.meter.bar_div, key, self.meter) & (wish.cadences or frozenset())
            for key in keys
        ):
            bars += 1  # two bars behind the last chord all is open
        return replace(wish, bars_at_least=bars)

    def _of_modes(self, keys: dict[Key, frozenset[str | None]]) -> frozenset[Key]:
        modes = {key.minor for key in keys}
        return frozenset(key for key in ALL_KEYS if key.minor in modes)
