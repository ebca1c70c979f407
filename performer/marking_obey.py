"""Lays what is written over a performance that knows nothing of it, as a network's that learned from notes alone.

Between two marks the variation that was drawn stays as it is; only its level, and in hairpins and ritardandi its
trend, become those that are written. So a passage marked p is softer than one marked f by what `performer.markings`
says, whatever was drawn, and within each the notes keep their shape.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from performer.codec import NoteParameters
from performer.markings import Markings, weighted_median

SOFTEST, LOUDEST = 1.0, 127.0
BEFORE_ONSETS = 8  # from so many onsets a ritardando takes the tempo that it starts with


def obey_velocity(markings: Markings, velocity: Float[np.ndarray, " notes"]) -> Float[np.ndarray, " notes"]:
    """Velocities as drawn, with written levels, hairpins and accents; 1..127.

    Over the notes that sound in a passage their mean is the written level; in a hairpin the straight line that fits
    best becomes the written one. A part that is drawn softer than the others stays so. Notes before the first mark,
    and all of a score without marks, keep their level.
    """
    obeyed = velocity.astype(float)
    for passage in markings.passages:
        at = markings.onset_div[markings.place]
        line = _line(at[passage.heard], velocity[passage.heard], flat=passage.constant)
        mine = passage.notes
        obeyed[mine] = markings.level[mine] + velocity[mine] - np.polyval(line, at[mine].astype(float))
    return (obeyed + markings.accent).clip(SOFTEST, LOUDEST)


def obey_tempo(markings: Markings, period_log2: Float[np.ndarray, " onsets"]) -> Float[np.ndarray, " onsets"]:
    """log2 of the beat period (seconds a quarter from each onset to the next) as drawn, with the written tempo.

    Between two tempo marks the middle of the drawn periods becomes the written one; where no tempo is written, that of
    the whole piece is kept, so that "a tempo" returns to it. In a rit. or accel. the drawn trend stays where it goes as
    far or farther than what is written, else it is replaced; what it starts from is the tempo just before. Under a
    fermata the longer of the two is taken.
    """
    drawn, span = period_log2.astype(float), markings.span_div
    bending = np.zeros(len(drawn), dtype=bool)
    for low, high in markings.bends:
        bending[low:high] = True
    whole = weighted_median(drawn[~bending], span[~bending]) if not bending.all() else weighted_median(drawn, span)
    # What is written of a tempo may only say "quicker than before".
    step = markings.bend_log2 - markings.tempo_log2
    target = np.where(markings.tempo_known, np.log2(60.0 / markings.qpm), whole + step)
    shape = np.zeros(len(drawn))
    for low, high in pairwise([*markings.tempo_starts, len(drawn)]):
        core = np.flatnonzero(~bending[low:high]) + low
        core = core if len(core) else np.arange(low, high)
        shape[low:high] = drawn[low:high] - weighted_median(drawn[core], span[core])
    bent = np.zeros(len(drawn))
    for low, high in markings.bends:
        start = max([s for s in markings.tempo_starts if s <= low], default=0)
        before = np.arange(max(low - BEFORE_ONSETS, start), low)
        level = float(np.average(shape[before], weights=span[before])) if len(before) else 0.0
        bent[low:high], shape[low:high] = _bend(markings, low, high, shape[low:high])
        bent[low:high] += level
    held = np.log2(markings.fermata)
    shape = np.where(held > 0, np.maximum(shape, held), shape)
    return target + bent + shape


def _bend(
    markings: Markings, low: int, high: int, shape: Float[np.ndarray, " inside"]
) -> tuple[Float[np.ndarray, " inside"], Float[np.ndarray, " inside"]]:
    """The trend of a rit. or accel. from 0 on, and what of the drawn shape remains beside it."""
    at = markings.onset_div[low:high]
    line = np.polyval(_line(at, shape, flat=high - low < 3), at.astype(float))
    written = -markings.bend_log2[low:high]
    farthest = float(written[np.argmax(np.abs(written))])
    drawn = float(line[-1] - line[0])
    if drawn * farthest > 0 and abs(drawn) > abs(farthest):
        return line - line[0], shape - line
    return written, shape - line


def _line(
    at: Int[np.ndarray, " n"], values: Float[np.ndarray, " n"], *, flat: bool
) -> Float[np.ndarray, " coefficients"]:
    """The straight line through values by least squares, or their mean, for `np.polyval`."""
    if flat or at[0] == at[-1]:
        return np.array([0.0, float(values.mean())])
    centre = at.mean()
    slope = float(((at - centre) * values).sum() / ((at - centre) ** 2).sum())
    return np.array([slope, float(values.mean()) - slope * float(centre)])


def obey_articulation(markings: Markings, articulation_log: Float[np.ndarray, " notes"]) -> Float[np.ndarray, " notes"]:
    """log2 of sounding over written length as drawn: no longer than staccato asks, no shorter than tenuto or a slur."""
    asked = np.log2(markings.length_ratio)
    short = markings.length_known & (asked < 0)
    long = (markings.length_known & (asked >= 0)) | (markings.slurred & ~markings.length_known)
    obeyed = np.where(short, np.minimum(articulation_log, asked), articulation_log)
    return np.where(long, np.maximum(obeyed, 0.0), obeyed)


def obey(markings: Markings, parameters: NoteParameters) -> NoteParameters:
    """Performance parameters as drawn, with all that is written: see the three functions above.

    Args:
        markings: of the same score, whose order of notes is the codec's.
        parameters: as drawn; `timing` and the pedal stay.
    """
    first = np.searchsorted(markings.place, np.arange(len(markings.onset_div)))
    period = obey_tempo(markings, np.log2(parameters.beat_period[first]))
    return replace(
        parameters,
        beat_period=2.0 ** period[markings.place],
        velocity=obey_velocity(markings, parameters.velocity),
        articulation_log=obey_articulation(markings, parameters.articulation_log),
    )
