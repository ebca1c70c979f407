"""Which notes of a score are its themes and links: what the report outlines in the piano roll."""

from __future__ import annotations

from music.plan import Plan, Theme
from music.score import Note, Score
from music.time import DIVS_PER_QUARTER

STEP_DIV = DIVS_PER_QUARTER // 4
MAX_TRANSPOSITION = 12
LEAST_SHARE = 0.5  # of a theme's notes, else it is not said to be there


def theme_notes(score: Score, plan: Plan) -> list[Note]:
    """Notes with which sections state their themes, each once, in the score's order.

    A statement begins with its section; it is looked for at every transposition by up to an octave, a note may
    begin half a sixteenth from its place, and half of the theme must be there.
    """
    struck = _struck(score)
    found: dict[str, Note] = {}
    for index, section in enumerate(plan.sections):
        theme = plan.theme_of(section.theme) if section.theme else None
        if theme is not None:
            start = plan.bar_onset_div(plan.first_bars[index])
            found |= {note.id: note for note in _statement(struck, theme, start)}
    return [note for note in score.notes if note.id in found]


def link_notes(score: Score, plan: Plan) -> list[Note]:
    """Notes of the links that lead from one section to the next, those that are there as planned."""
    struck = _struck(score)
    ends = [plan.bar_onset_div(bar) for bar in (*plan.first_bars[1:], plan.bars)]
    places = [(_step(end + n.onset_div), n.pitch) for s, end in zip(plan.sections, ends, strict=True) for n in s.link]
    found = {struck[place].id for place in places if place in struck}
    return [note for note in score.notes if note.id in found]


def _step(div: int) -> int:
    return (div + STEP_DIV // 2) // STEP_DIV


def _struck(score: Score) -> dict[tuple[int, int], Note]:
    return {(_step(n.onset_div), n.pitch): n for n in score.notes if n.duration_div > 0}


def _statement(struck: dict[tuple[int, int], Note], theme: Theme, start: int) -> list[Note]:
    places = [(_step(start + n.onset_div), n.pitch) for n in theme.notes]
    shifts = sorted(range(-MAX_TRANSPOSITION, MAX_TRANSPOSITION + 1), key=abs)  # the nearest of equals
    found = max(([struck[t, p + s] for t, p in places if (t, p + s) in struck] for s in shifts), key=len)
    return found if len(found) >= LEAST_SHARE * len(places) else []
