"""Small forms under wishes, tried out: what may stand at a place is found by trying all that may follow."""

from __future__ import annotations

from music.pitch import Key
from music.time import Meter
from planner import form_columns as fc
from planner.form_stream import FormWalker
from planner.wishes import SectionWish

Sections = tuple[SectionWish, ...]
HOME = Key("C")
HEAD = (fc.meter_value(Meter(4, 4)), 0, 0, 12, 0)


class Small:
    """All ends of a form over few values, found by trying them.

    Args:
        sections: wishes, None where the form is open.
        total: bars, None where they are open (the sections are not, then).
    """

    def __init__(self, sections: Sections | None, total: int | None) -> None:
        self.sections, self.total = sections, total
        self.least = 4
        self._known: dict[tuple[object, ...], bool] = {}

    def choices(self, walker: FormWalker) -> list[int]:
        wish = self._wish(walker)
        phrase = wish.phrases[min(len(walker.sections[-1].phrases), len(wish.phrases) - 1)] if wish.phrases else None
        assert walker.field is not None
        longest = self.total or 14
        return {
            fc.LABEL: [0, 1, *range(2, 2 + walker.letters)],
            fc.PRIME: [0, 1, 2],
            fc.BARS: list(range(longest)),
            fc.KEY: [0, 7, 21] if self._tells("keys") else [0, 7],
            fc.PHRASE: sorted({walker.room - 1, 2, *([phrase.bars - 1] if phrase else [])}),
            fc.IDEA: [0, fc.idea_value(phrase.idea)] if phrase else [0],
            fc.CADENCE: list(range(5)) if self._tells("cadences") or phrase else [1, 3],
        }.get(walker.field, [3])

    def _tells(self, name: str) -> bool:
        return any(getattr(wish, name) is not None for wish in self.sections or ())

    def _wish(self, walker: FormWalker) -> SectionWish:
        index = len(walker.sections) - 1
        return self.sections[index] if self.sections and 0 <= index < len(self.sections) else SectionWish()

    def can_end(self, values: tuple[int, ...]) -> bool:
        """Whether a walk that begins so can be ended with all wishes kept."""
        walker = FormWalker(0, 1)
        try:
            for value in (*HEAD, *values):
                walker.push(value)
        except ValueError:
            return False
        if self.is_broken(walker):
            return False
        if walker.field is None:
            return self.is_kept(walker)
        state = (
            walker.field,
            walker.room,
            *((s.letter, s.prime, s.bars, s.key) for s in walker.sections),
            *(tuple(phrase) for section in walker.sections[-1:] for phrase in section.phrases[-1:]),
        )
        if state not in self._known:
            self._known[state] = any(self.can_end((*values, value)) for value in self.choices(walker))
        return self._known[state]

    def is_broken(self, walker: FormWalker) -> bool:
        """A wish that is already not kept by what was said."""
        sections, field = walker.sections, walker.field
        if self.total is not None and walker.bars > self.total:
            return True
        if self.sections is not None:
            told = len(sections) == len(self.sections) and (walker.field is None or walker.field > fc.BARS)
            if len(sections) > len(self.sections) or (told and self.total not in (None, walker.bars)):
                return True
        for index, section in enumerate(sections):
            wish = self.sections[index] if self.sections else SectionWish()
            place = field if index == len(sections) - 1 and field not in (None, fc.LABEL) else fc.VARIATION
            assert place is not None
            earlier = [s for s in sections[:index] if s.letter == section.letter]
            if wish.label is None:
                following = max((s.prime for s in earlier), default=-1) + 1
                names = {w.label[0]: s.letter for w, s in zip(self.sections or (), sections, strict=False) if w.label}
                later = [w.label for w in (self.sections or ())[index + 1 :] if w.label]
                asked = {len(label) - 1 for label in later if names.get(label[0]) == section.letter}
                primes = {s.prime for s in earlier} | ({following} - asked)
                if place > fc.PRIME and section.prime not in primes:
                    return True
            elif place > fc.PRIME and section.prime != len(wish.label) - 1:
                return True
            if place > fc.BARS and section.bars != (wish.bars or section.bars):
                return True
            if place > fc.BARS and section.bars < max(4, wish.bars_at_least):
                return True
            keys = {0} if index == 0 else None
            if wish.keys is not None:
                keys = {fc.key_value(key, HOME) for key in wish.keys}
            if place > fc.KEY and keys is not None and section.key not in keys:
                return True
            if place > fc.KEY and wish.key_of_model and section.key != sections[section.source].key:
                return True
            told = [tuple(p[1:]) for p in section.phrases]
            if wish.phrases is not None:
                asked = [(p.bars, fc.idea_value(p.idea), fc.cadence_value(p.cadence)) for p in wish.phrases]
                if any(
                    x not in (-1, y)
                    for one, two in zip(told, asked, strict=False)
                    for x, y in zip(one, two, strict=True)
                ):
                    return True
                if len(told) > len(asked):
                    return True
            full = place > fc.CADENCE
            if full and wish.cadences is not None and section.cadence not in map(fc.cadence_value, wish.cadences):
                return True
            if (
                full
                and wish.cadences is None
                and wish.phrases is None
                and section.cadence not in self.closes(walker, index)
            ):
                return True
        return self.letters_differ(walker)

    def closes(self, walker: FormWalker, index: int) -> set[int]:
        """Cadences of a section of which none are asked: a literal return's are its model's, if it may close so."""
        section, last = walker.sections[index], (self.sections or (SectionWish(),))[-1]
        wish = self.sections[index] if self.sections else SectionWish()
        bars = sum(s.bars for s in walker.sections[: index + 1])
        ends = index == len(self.sections) - 1 if self.sections else bars == self.total
        ends = ends or (wish.label is not None and wish.label == last.label)
        allowed = {1, 2} if ends else set(range(5))
        model = walker.sections[section.source] if section.source >= 0 else None
        if model is not None and model.prime == section.prime and model.cadence in allowed:
            return {model.cadence}
        return allowed

    def letters_differ(self, walker: FormWalker) -> bool:
        if self.sections is None:
            return False
        names: dict[str, int] = {}
        for wish, section in zip(self.sections, walker.sections, strict=False):
            if wish.label and names.setdefault(wish.label[0], section.letter) != section.letter:
                return True
        # What no one asked for is no letter that someone asks for later.
        asked = {letter: i for i, w in reversed(list(enumerate(self.sections))) if w.label for letter in w.label[0]}
        first: dict[int, int] = {}
        for index, section in enumerate(walker.sections):
            first.setdefault(section.letter, index)
        return len(set(names.values())) < len(names) or any(
            first[names[letter]] != index for letter, index in asked.items() if letter in names
        )

    def is_kept(self, walker: FormWalker) -> bool:
        sections = walker.sections
        if not sections or (self.sections is not None and len(sections) != len(self.sections)):
            return False
        if self.total is not None and walker.bars != self.total:
            return False
        wish = self.sections[-1] if self.sections else SectionWish()
        at_home = wish.keys is not None or wish.key_of_model or sections[-1].key == 0
        return at_home and (wish.cadences is not None or wish.phrases is not None or sections[-1].cadence in (1, 2))
