"""What the streams do not tell of a section: its texture's name, dynamics where real pieces have none, the climax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from music.plan import DYNAMICS, Section
from planner.character import contrast_textures, louder_by
from planner.dice import Dice, pick, pick_from
from planner.styles import STYLES
from planner.wishes import SectionWish

_CLIMAX_FROM = 0.5  # of the piece's bars; before that nothing has risen yet
_CLIMAX_SECTIONS = 4  # a piece of fewer is heard as one arch
_CLIMAX_REGISTER = 1.5  # semitones that it lies higher
_STILL = ("chorale",)  # textures of styles that have no climax


def finished(sections: Sequence[Section], wishes: Sequence[SectionWish], style: str, dice: Dice) -> list[Section]:
    """Sections with textures and dynamics, and with a climax where the style has one; what was asked for stays.

    Args:
        sections: in order, keys, bars and densities settled.
        wishes: of each section.
        style: tag of the plan.
        dice: the plan's chance.
    """
    found = _with_dynamics(_with_textures(sections, wishes, style, dice), wishes, dice)
    return _with_climax(found, wishes)


def _with_textures(sections: Sequence[Section], wishes: Sequence[SectionWish], style: str, dice: Dice) -> list[Section]:
    """A texture for each letter: the style's for the first, one that contrasts with it for the others."""
    names: dict[str, str] = {}
    first = pick_from(dice.stream("character"), STYLES[style].textures)
    found = []
    for section, wish in zip(sections, wishes, strict=True):
        if section.letter not in names:
            rng = dice.stream(f"character {section.letter}")
            names[section.letter] = pick_from(rng, contrast_textures(first)) if names else first
        found.append(replace(section, texture=wish.texture or names[section.letter]))
    return found


def _with_dynamics(sections: Sequence[Section], wishes: Sequence[SectionWish], dice: Dice) -> list[Section]:
    """Dynamics where none was drawn: a return's model's, else the section's before, else one for the beginning."""
    found: list[Section] = []
    for section, wish in zip(sections, wishes, strict=True):
        dynamic = wish.dynamic or section.dynamic
        if dynamic is None and section.source is not None:
            dynamic = found[section.source].dynamic
        if dynamic is None:
            dynamic = pick(dice.stream(f"dynamic {section.letter}"), ("p", "mp", "mf", "f"), (2, 2, 4, 1.5))
        found.append(replace(section, dynamic=dynamic))
    return found


def _with_climax(sections: list[Section], wishes: Sequence[SectionWish]) -> list[Section]:
    """The fullest section of the second half a step louder and somewhat higher than it would be."""
    total, start, best = sum(s.bars for s in sections), 0, -1
    if len(sections) < _CLIMAX_SECTIONS or sections[0].texture in _STILL:
        return sections
    for index, section in enumerate(sections):
        if start >= _CLIMAX_FROM * total and (best < 0 or (section.density or 0) > (sections[best].density or 0)):
            best = index
        start += section.bars
    if best < 0:
        return sections
    section, wish = sections[best], wishes[best]
    assert section.dynamic is not None
    louder = max(section.dynamic, louder_by(section.dynamic, 1), key=DYNAMICS.index)  # the latter is ff at most
    high = section.register if section.register is None else round(section.register + _CLIMAX_REGISTER, 1)
    sections[best] = replace(
        section,
        dynamic=wish.dynamic or louder,
        register=section.register if wish.register is not None else high,
    )
    return sections
