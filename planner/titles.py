"""Titles in the manner of the style: "Rondo in G major", "Andante in f-sharp minor", "Chorale in D minor"."""

from __future__ import annotations

from collections.abc import Sequence

from music.pitch import Key
from music.time import Meter
from planner.forms import FORMS, form_of_letters
from planner.frame import _tempo_word

# Forms whose letters alone give the title: those of a strophic song or a bar form many another piece has.
_BY_LETTERS = ("rondo", "rondo7", "sonata_rondo", "sonata", "sonatina", "variations")
_SCHERZO_QPM = FORMS["scherzo_trio"].tempo or (168.0, 208.0)
_MANY_RETURNS = 3


def make_title(
    labels: Sequence[str], key: Key, meter: Meter, tempo_qpm: float, style: str = "", form: str | None = None
) -> str:
    """A title for a piece that was given none.

    Args:
        labels: of its sections, letters with primes.
        key: home.
        meter, tempo_qpm: for a tempo word, where the form gives no name.
        style: style tag; chorales are called so.
        form: what a form that was asked for is called ("Rondo").
    """
    return f"{form or _name(labels, meter, tempo_qpm, style)} in {key.name}"


def _name(labels: Sequence[str], meter: Meter, tempo_qpm: float, style: str) -> str:
    if "chorale" in style:
        return "Chorale"
    found = form_of_letters(labels)
    if found is not None and found.name in _BY_LETTERS:
        return found.title
    letters = "".join(label[:1] for label in labels)
    if _is_variations(labels):
        return FORMS["variations"].title
    if _is_rondo(letters):
        return FORMS["rondo"].title
    low, high = _SCHERZO_QPM
    if letters == "ABA" and meter == Meter(3, 4) and low <= tempo_qpm <= high:
        return FORMS["scherzo_trio"].title
    return _tempo_word(tempo_qpm, meter)


def _is_variations(labels: Sequence[str]) -> bool:
    """Three sections or more of one letter, all varied but the first."""
    return len(labels) >= 3 and len({label[:1] for label in labels}) == 1 and all("'" in x for x in labels[1:])


def _is_rondo(letters: str) -> bool:
    """The first letter at both ends and between all others, three times at least, with two episodes or more."""
    refrain = letters[:1]
    episodes = [part for part in letters.split(refrain)[1:-1] if part] if refrain else []
    ends = bool(refrain) and letters[-1] == refrain
    return ends and letters.count(refrain) >= _MANY_RETURNS and len(set(episodes)) >= 2 and refrain * 2 not in letters
