"""Columns of advice: what the rule performer would do, without its noise, in the codec's terms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from music.performance import Performance, PerformedNote
from music.score import Score
from performer.codec import encode
from performer.feature_frame import Frame
from performer.rule_dynamics import DEFAULT_LEVEL, NOTE_NOISE, ONSET_NOISE, velocities
from performer.rule_form import Span
from performer.rule_noise import pink
from performer.rule_score import NoteArrays
from performer.rule_tempo import TimeMap, time_map
from performer.rule_timing import LEAD_SEC, ends, one_key_a_pitch, onsets

_LITTLE = 0.01  # expression so small that no velocity reaches the rules' bounds
_LEAST_SPREAD = 4.0


@dataclass(frozen=True, eq=False)
class Advice:
    """What the rules do with each note, in the score's order.

    Args:
        shade: velocity over the written level.
        onset, end: seconds; the first note may start before 0.
    """

    shade: Float[np.ndarray, " notes"]
    onset: Float[np.ndarray, " notes"]
    end: Float[np.ndarray, " notes"]


def advise(score: Score, notes: NoteArrays, *, phrases: tuple[Span, ...], sections: tuple[Span, ...]) -> Advice:
    """The rules at expression 1 on the bare notes, every random part left out.

    Tempo marks, dynamics and signs are left out, as corpora of performances have none: what is written has columns of
    its own, and whoever plays obeys it after the model has spoken.
    """
    score = replace(score, directions=(), tempos=())
    times = time_map(score, notes, None, phrases=phrases, sections=sections, expression=1.0)
    # Without expression only grace notes move; the melody's lead is the one shift that is no noise.
    plain = onsets(score, notes, times, expression=0.0, rng=np.random.default_rng(0))
    onset = plain - _lead(notes, times)
    end = ends(score, notes, times, onset, phrases=phrases, expression=1.0)
    return Advice(_shade(score, notes, times, phrases=phrases, sections=sections), onset, end)


def _shade(
    score: Score, notes: NoteArrays, times: TimeMap, *, phrases: tuple[Span, ...], sections: tuple[Span, ...]
) -> Float[np.ndarray, " notes"]:
    """Shading is linear in expression up to the bounds of velocity; its noise is drawn again and taken off."""
    rng = np.random.default_rng(0)
    spans = {"phrases": phrases, "sections": sections}
    shaded = velocities(score, notes, times, None, **spans, expression=_LITTLE, rng=rng) - DEFAULT_LEVEL
    rng = np.random.default_rng(0)
    groups = np.unique(notes.onset, return_inverse=True)[1]
    noise = ONSET_NOISE * pink(int(groups.max()) + 1, rng)[groups] + NOTE_NOISE * rng.standard_normal(len(groups))
    return shaded / _LITTLE - noise


def _lead(notes: NoteArrays, times: TimeMap) -> Float[np.ndarray, " notes"]:
    """Seconds by which the melody comes before its chord, a fifth of the time to the nearest onset at most."""
    places, group, count = np.unique(notes.onset, return_inverse=True, return_counts=True)
    seconds = times.start(places)
    gaps = np.diff(seconds, prepend=seconds[0] - 1.0, append=seconds[-1] + 1.0)
    room = 0.2 * np.minimum(gaps[:-1], gaps[1:])[group]
    return np.where(notes.melody & (count[group] > 1) & ~notes.grace, np.minimum(LEAD_SEC, room), 0.0)


def rule_columns(
    frame: Frame, score: Score, notes: NoteArrays, advice: Advice
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Columns of the group rules: of notes, and of onsets."""
    late = max(0.0, -float(advice.onset.min()))
    onset, end, _ = one_key_a_pitch(notes, advice.onset + late, advice.end + late)
    rows = zip(score.notes, onset.tolist(), (end - onset).tolist(), strict=True)
    played = [PerformedNote(n.id, on, length, n.pitch, 64) for n, on, length in rows]
    played.sort(key=lambda n: (n.onset_sec, n.pitch, n.note_id))
    coded = encode(score, Performance(tuple(played)))
    by_id = dict(zip((n.id for n in score.notes), advice.shade.tolist(), strict=True))
    velocity = np.array([by_id[name] for name in coded.note_ids])
    velocity = (velocity - velocity.mean()) / max(float(velocity.std()), _LEAST_SPREAD)
    period = np.log2(coded.beat_period[frame.first])
    return (
        {"rules_velocity": velocity, "rules_articulation": coded.articulation_log, "rules_timing": coded.timing},
        {"rules_beat_period": period - period.mean(), "rules_velocity": frame.mean(velocity)},
    )
