"""How a piece's bars are dealt to its sections, and a section's bars to its phrases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from music.plan import Phrase
from planner.dice import pick
from planner.forms import MIN_SECTION_BARS

# Cadences inside a section, before its last one; closing ones are rare, so that the section's own one counts.
_INNER = {"PAC": ("HC", "IAC", "HC", "DC"), "IAC": ("HC", "HC"), "HC": ("IAC", "PAC", "IAC"), "DC": ("HC", "IAC")}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def deal_bars(total: int, letters: Sequence[str]) -> list[int]:
    """Deals `total` bars to sections of these letters.

    Equal shares where they come out even; else four each, then the rest in fours, then twos, and what is left to the
    last section. Sections of one letter get the same where that is possible, so that a return is as long as its model.

    Raises:
        ValueError: fewer than four bars a section.
    """
    count = len(letters)
    if total < MIN_SECTION_BARS * count:
        raise ValueError(f"{count} sections need {MIN_SECTION_BARS * count} bars")
    share, rest = divmod(total, count)
    if rest == 0 and share % 2 == 0:
        return [share] * count
    bars = [share // 4 * 4] * count
    rest = total - sum(bars)
    # Rare letters first: they are the episodes, which may be long, while the refrain keeps its measure.
    groups = sorted(
        ([i for i, x in enumerate(letters) if x == letter] for letter in dict.fromkeys(letters)),
        key=lambda group: (len(group), -group[-1]),
    )
    for unit in (4, 2):
        rest = _deal(bars, rest, unit, groups)
    bars[-1] += rest
    return bars


def _deal(bars: list[int], rest: int, unit: int, groups: list[list[int]]) -> int:
    """Gives `unit` bars to whole groups, each once, then to single sections from the last on; returns the rest."""
    given: set[int] = set()
    for group in groups:
        if rest >= unit * len(group):
            for index in group:
                bars[index] += unit
            given |= set(group)
            rest -= unit * len(group)
    for index in reversed(range(len(bars))):
        if rest >= unit and index not in given:
            bars[index] += unit
            rest -= unit
    return rest


def phrase_lengths(bars: int, rng: np.random.Generator) -> list[int]:
    """Phrases of 2, 4 and 8 bars that fill a section; a last odd bar lengthens the last phrase."""
    odd, even = bars % 2, bars - bars % 2
    lengths: list[int] = []
    while even >= 16 and len(lengths) < 24:
        lengths += pick(rng, ([4, 4, 4, 4], [4, 4, 8], [8, 8], [2, 2, 4, 4, 4]), (5, 2, 1.5, 1.5))
        even -= 16
    while even > 14:  # very long sections: eights, since ideas are counted in letters
        lengths.append(8)
        even -= 8
    tails = {
        2: ([2],),
        4: ([4], [2, 2]),
        6: ([2, 4], [4, 2]),
        8: ([4, 4], [2, 2, 4]),
        10: ([4, 4, 2], [4, 2, 4]),
        12: ([4, 4, 4], [2, 2, 4, 4]),
        14: ([4, 4, 4, 2], [4, 4, 2, 4]),
    }
    if even:
        lengths += pick(rng, tails[even], (3, 1) if len(tails[even]) == 2 else None)
    lengths[-1] += odd
    return lengths


def section_phrases(bars: int, cadence: str | None, role: str, rng: np.random.Generator) -> tuple[Phrase, ...]:
    """The phrases of a section: periods, sentences and small binary forms, by ideas and cadences."""
    lengths = phrase_lengths(bars, rng)
    ideas = _ideas(lengths, role, rng)
    inner = _INNER[cadence or "HC"]
    phrases = []
    for index, (length, idea) in enumerate(zip(lengths, ideas, strict=True)):
        last = index == len(lengths) - 1
        following = "" if last else ideas[index + 1]
        if last:
            close = cadence
        elif length == 2 and following[:1] == idea[:1]:
            close = None  # the basic idea of a sentence: the cadence comes with its answer
        elif index % 4 == 3:
            close = "PAC" if cadence != "PAC" or len(lengths) > 4 else "IAC"
        else:
            close = "HC" if index == 0 and cadence == "PAC" and rng.random() < 0.7 else pick(rng, inner)
        if not last and index and phrases[-1].cadence == close and close in ("HC", "DC"):
            close = "IAC" if close == "HC" else "HC"
        phrases.append(Phrase(length, idea, close))
    return tuple(phrases)


def _ideas(lengths: list[int], role: str, rng: np.random.Generator) -> list[str]:
    count = len(lengths)
    if count == 1:
        return ["a"]
    if lengths[0] == 2 and lengths[1] == 2 and count > 2:
        return (["a", "a'", *_more("b", count - 2)])[:count]
    if count == 2:
        equal = lengths[0] == lengths[1]
        return ["a", pick(rng, ("a'", "b"), (3, 1 if role == "stable" else 2) if equal else (0, 1))]
    if count == 3:
        return pick(rng, (["a", "a'", "b"], ["a", "b", "a'"], ["a", "b", "c"]), (3, 2, 1))
    pattern = pick(rng, (["a", "a'", "b", "a'"], ["a", "b", "a", "b'"], ["a", "a'", "b", "b'"]), (3, 2, 2))
    return pattern + _more("c", count - 4) if count > 4 else pattern


def _more(first: str, count: int) -> list[str]:
    """Ideas in pairs from a letter on: c c' d d' …; the alphabet starts over where it ends."""
    start = _LETTERS.index(first)
    return [_LETTERS[(start + i // 2) % 26] + ("'" if i % 2 else "") for i in range(count)]
