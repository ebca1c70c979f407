"""The named forms: letters, keys, cadences and the theme of each section. docs/forms.md describes them for the user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MIN_SECTION_BARS = 4


@dataclass(frozen=True)
class Slot:
    """A section of a form.

    Args:
        label: letter and primes.
        major, minor: keys to choose from in a major or minor home, Roman numerals with weights; "" the rule of letter
            strings: home for the first letter, elsewhere a near key.
        cadences: cadences to close with, with weights.
        theme: letter of the theme that is heard; None: the section's own letter.
        role: "stable", "contrast", "development" or "variation".
    """

    label: str
    major: str = ""
    minor: str = ""
    cadences: str = "PAC"
    theme: str | None = None
    role: str = "stable"

    @property
    def letter(self) -> str:
        """The material: the label without primes."""
        return self.label[0]


@dataclass(frozen=True)
class Form:
    """A named form.

    Args:
        name: as the user types it.
        title: as the title says it, "" for one after the tempo ("Andante").
        slots: its sections. Of a form that can be longer (`grows`), the shortest version.
        bars: bars of a section where no length is asked for.
        meters: meters that it prefers, "" for the style's.
        grows: label pattern of one more section: "A" strophic, "A'" one more prime each, "B" the next letter.
        most: sections at most where no length is asked for.
        tempo: range of the tempo in quarters a minute, None for the style's.
    """

    name: str
    title: str
    slots: tuple[Slot, ...]
    bars: int = 8
    meters: str = ""
    grows: str = ""
    most: int = 0
    tempo: tuple[float, float] | None = None

    def sized(self, bars: int | None) -> tuple[Slot, ...]:
        """The sections for so many bars in all; a form that grows takes one for each `self.bars`."""
        if not self.grows or bars is None:
            return self.slots + tuple(self._more(i) for i in range(self.most - len(self.slots)))
        count = max(len(self.slots), min(bars // self.bars, 12))
        return self.slots + tuple(self._more(i) for i in range(count - len(self.slots)))

    def _more(self, index: int) -> Slot:
        count = len(self.slots) + index
        if self.grows == "A'":
            # The middle variation of a set is in the other mode, as in Mozart's and Beethoven's.
            other = count == 3
            return Slot("A" + "'" * count, "i" if other else "I", "I" if other else "i", role="variation")
        if self.grows == "B":
            return Slot("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[count], role="contrast")
        return Slot(self.grows, "I", "i")


_NEAR_MAJOR, _NEAR_MINOR = "V:3 vi:3 IV:2 i:1 iii:0.4", "III:3 VI:2 I:1 iv:1.5 v:1"
_HALF = "HC:3 PAC:1"


def _home(label: str, cadences: str = "PAC", role: str = "stable") -> Slot:
    return Slot(label, "I", "i", cadences, role=role)


def _away(label: str, major: str = _NEAR_MAJOR, minor: str = _NEAR_MINOR, cadences: str = "PAC") -> Slot:
    return Slot(label, major, minor, cadences, role="contrast")


_A, _TURN = _home("A"), "V:4 vi:2 I:1"
FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("binary", "", (_home("A", "HC"), _home("B", role="contrast"))),
        Form(
            "rounded_binary",
            "",
            (_A, _away("B", _TURN, "III:4 v:2 iv:1", "HC"), _home("A'")),
        ),
        Form("ternary", "", (_A, _away("B", "vi:3 IV:3 i:2 V:2", "III:3 VI:2 I:2"), _A)),
        Form(
            "rondo", "Rondo", (_A, _away("B", "V", "III:3 v:1"), _A, _away("C", "vi:3 IV:2 i:2", "VI:2 I:2 iv:1"), _A)
        ),
        Form(
            "rondo7",
            "Rondo",
            tuple(
                {
                    "A": _A,
                    "B": _away("B", "V", "III:3 v:1"),
                    "C": _away("C", "vi:3 IV:2 i:2", "VI:2 I:2 iv:1"),
                }[letter]
                for letter in "ABACABA"
            ),
        ),
        Form(
            "sonata_rondo",
            "Sonata rondo",
            (
                _A,
                _away("B", "V", "III"),
                _A,
                _away("C", "vi:2 IV:2 i:2", "VI:2 iv:1", _HALF),
                _A,
                _home("B", role="contrast"),
                _home("A'"),
            ),
        ),
        Form("strophic", "Song", (_A, _A), grows="A", most=3),
        Form("variations", "Theme and variations", (_A, _home("A'", role="variation")), grows="A'", most=5),
        Form(
            "minuet_trio",
            "Minuet and trio",
            (_A, _away("B", "IV:3 i:2 I:2 V:1", "I:3 III:2 VI:1"), _A),
            16,
            "3/4",
            tempo=(108.0, 138.0),
        ),
        Form(
            "scherzo_trio",
            "Scherzo",
            (_A, _away("B", "IV:2 i:2 bVI:1", "I:3 VI:2"), _A),
            16,
            "3/4",
            tempo=(168.0, 208.0),
        ),
        Form("bar", "Bar form", (_A, _A, _home("B", role="contrast"))),
        Form("song", "Song", (_A, _A, _away("B", "IV:2 vi:2 V:1", "VI:2 III:2", "HC"), _A)),
        Form(
            "sonata",
            "Sonata movement",
            (
                _home("A", "HC:2 PAC:1"),
                _away("B", "V", "III:4 v:1"),
                Slot("C", "vi:2 v:1 ii:1 bIII:1 iv:1", "iv:2 v:2 VI:1", "HC", theme="A", role="development"),
                _home("A", "HC:2 PAC:1"),
                _home("B", role="contrast"),
            ),
            12,
        ),
        Form("sonatina", "Sonatina", (_home("A", "HC"), _away("B", "V", "III"), _home("A", "HC"), _home("B"))),
        Form("arch", "", (_A, _away("B", "V:2 vi:1", "III"), _away("C"), _away("B", "V:2 vi:1", "III"), _home("A'"))),
        Form(
            "ritornello",
            "Ritornello movement",
            (
                _A,
                _away("B", "V:2 I:1", "III:2 i:1"),
                Slot("A", "V", "III"),
                _away("C", "vi", "iv:2 v:1"),
                Slot("A", "vi", "iv"),
                _away("D", "IV:1 I:1", "VI:1 i:1", _HALF),
                _A,
            ),
        ),
        Form("through_composed", "Fantasia", (_A, _away("B"), _away("C")), grows="B", most=4),
    )
}
ALIASES = {
    "minuet": "minuet_trio",
    "scherzo": "scherzo_trio",
    "rondo5": "rondo",
    "theme_and_variations": "variations",
    "bar_form": "bar",
    "sonata_form": "sonata",
    "da_capo": "ternary",
}
# What a planner chooses from where no form is asked for.
USUAL = {"ternary": 3.0, "rondo": 3.0, "rounded_binary": 2.0, "minuet_trio": 1.0, "variations": 1.0, "sonata": 1.0}


def named_form(text: str) -> Form | None:
    """The form that a name means, capitals and blanks aside, or None. RONDO is the name, not five letters."""
    name = re.sub(r"[\s-]+", "_", text.strip().casefold())
    return FORMS.get(ALIASES.get(name, name))


def form_of_letters(labels: Sequence[str]) -> Form | None:
    """The first named form with just these labels, or None."""
    return next((form for form in FORMS.values() if [slot.label for slot in form.slots] == list(labels)), None)


def split_letters(text: str) -> tuple[str, ...] | None:
    """The labels of a letter string ("AA'BA" gives A, A', B, A), or None where it is none."""
    return tuple(re.findall(r"[A-Z]'*", text)) if re.fullmatch(r"(?:[A-Z]'*)+", text) else None


def letter_slots(labels: Sequence[str]) -> tuple[Slot, ...]:
    """Sections of a letter string: the first letter and the last section at home, other letters in near keys.

    A letter keeps its key when it returns. Home sections close with a PAC, others at times with a half cadence
    that leads back.
    """
    slots = []
    for index, label in enumerate(labels):
        if label[0] == labels[0][0]:
            slots.append(_home(label, role="variation" if "'" in label and index else "stable"))
        elif index == len(labels) - 1:
            slots.append(_home(label, role="contrast"))
        else:
            slots.append(Slot(label, cadences="PAC:3 HC:1", role="contrast"))
    return tuple(slots)


def weighted(text: str) -> tuple[list[str], list[float]]:
    """Reads "V:3 vi:2 IV" into choices and weights that sum to 1."""
    pairs = [token.partition(":") for token in text.split()]
    weights = [float(weight or 1) for _, _, weight in pairs]
    return [name for name, _, _ in pairs], [w / sum(weights) for w in weights]


def near_keys(minor: bool) -> str:
    """Keys near a home key, with weights, for sections whose key the form leaves open."""
    return _NEAR_MINOR if minor else _NEAR_MAJOR
