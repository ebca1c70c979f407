"""A performer with no weights: rules that describe what pianists do with a score.

The rules follow Friberg, Bresin & Sundberg, "Overview of the KTH rule system for musical performance" (2006), and
Todd's phrase arch (1985, 1992); each module rule_*.py names its own sources. The learned performer is measured
against this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from music.errors import RequestError
from music.performance import Performance, PerformedNote
from music.plan import Plan
from music.score import Score
from performer.rule_dynamics import velocities
from performer.rule_form import phrase_spans, section_spans
from performer.rule_pedal import pedals
from performer.rule_score import note_arrays
from performer.rule_tempo import time_map
from performer.rule_timing import ends, one_key_a_pitch, onsets

MOST_EXPRESSION = 3.0
TOUCH = 0.35  # loudness of a unison's shorter note, which shares its key with the longer one


@dataclass(frozen=True)
class RulePerformer:
    """Plays a score by rules.

    Args:
        expression: 0 plays what is printed and no more (tempo, dynamics, signs), 1 as a player would, 1.5 exaggerates.

    Raises:
        RequestError: an expression outside 0..3.
    """

    expression: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.expression <= MOST_EXPRESSION:
            raise RequestError(f"expression {self.expression} is outside 0..{MOST_EXPRESSION:g}")

    def perform(self, score: Score, *, seed: int, plan: Plan | None = None) -> Performance:
        """Every score note once, no pitch over itself, the pedal up at the end; the same seed gives the same notes."""
        rng = np.random.default_rng(seed)
        notes = note_arrays(score)
        phrases, sections = phrase_spans(score, plan), section_spans(score, plan)
        amount = self.expression
        times = time_map(score, notes, plan, phrases=phrases, sections=sections, expression=amount)
        loudness = velocities(score, notes, times, plan, phrases=phrases, sections=sections, expression=amount, rng=rng)
        onset = onsets(score, notes, times, expression=amount, rng=rng)
        end = ends(score, notes, times, onset, phrases=phrases, expression=amount)
        late = max(0.0, -float(onset.min(initial=0.0)))  # a grace note or a lead before the first beat starts at 0
        onset, end, touched = one_key_a_pitch(notes, onset + late, end + late)
        loudness[touched] *= TOUCH
        velocity = loudness.round().clip(1, 127).astype(int)
        rows = zip(score.notes, onset.tolist(), end.tolist(), velocity.tolist(), strict=True)
        played = [PerformedNote(n.id, on, round(off - on, 6), n.pitch, v) for n, on, off, v in rows]
        played.sort(key=lambda n: (n.onset_sec, n.pitch, n.note_id))
        return Performance(tuple(played), pedals(score, notes, times, plan, amount, late))
