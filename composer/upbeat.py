"""The chord under an upbeat, which no plan names: sections' chords begin with the first full bar."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from composer.conditions import FIELD
from composer.roll import step_div
from music.harmony import QUALITIES, chord_pcs
from music.plan import Plan


def with_upbeat_chord(context: Int[ndarray, "steps fields"], plan: Plan, grid: int) -> Int[ndarray, "steps fields"]:
    """The columns with a chord for the upbeat: of V, I, V7, IV and the first bar's own, the one that holds most of its
    theme's notes; V goes before I where the first bar is on the tonic.

    Told nothing, a choir began low and clashed in half of its upbeats.

    Args:
        context: of `composer.conditions.plan_context`, changed in place.
        plan: whose first section has chords.
        grid: 4 or 6 steps a quarter.
    """
    steps, section = plan.pickup_div // step_div(grid), plan.sections[0]
    if not steps or not section.chords:
        return context
    first, theme, tonic = section.chords[0], plan.theme_of(section.theme or ""), section.key.pc
    notes = {n.pitch % 12 for n in theme.notes if n.onset_div < 0} if theme else set()
    triad, fifth = ("min" if section.key.minor else "maj"), (tonic + 7) % 12
    home, away = (tonic, triad, tonic), (fifth, "maj", fifth)
    near = (away, home) if first.root == tonic else (home, away)
    fourth = (tonic + 5) % 12
    chords = (*near, (fifth, "7", fifth), (fourth, triad, fourth), (first.root, first.quality, first.bass))
    root, quality, bass = max(chords, key=lambda chord: len(notes & set(chord_pcs(chord[0], chord[1]))))
    rows = context[:steps]
    rows[:, FIELD["chord_root"]], rows[:, FIELD["chord_bass"]] = root, bass
    rows[:, FIELD["chord_quality"]] = QUALITIES.index(quality)
    rows[:, FIELD["chord_left"]] = np.arange(len(rows), 0, -1)
    rows[:, FIELD["next_root"]], rows[:, FIELD["next_bass"]] = first.root, first.bass
    rows[:, FIELD["next_quality"]] = QUALITIES.index(first.quality)
    return context
