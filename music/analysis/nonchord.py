"""Which notes are likely no chord tones: passing and neighbour notes, accented ones, suspensions, anticipations.

Each note's sounding time is given to one of `KINDS`. The chord finder weighs each kind by itself, so a passing note
speaks for a chord less than a note that leaps or stays.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from music.analysis.arrays import Grid, NoteArrays, pitch_class_weights
from music.time import DIVS_PER_QUARTER

KINDS = ("plain", "weak_step", "strong_step", "suspension", "anticipation")
_MOST_NEIGHBOURS = 6  # notes of one part that end or begin together, beyond which the rest are not looked at


def _steps_beside(notes: NoteArrays, times: Int[np.ndarray, " n"], at: Int[np.ndarray, " n"]) -> list[np.ndarray]:
    """Signed intervals to notes of the same part whose `times` equal this note's `at`; masked ones are 99."""
    big = int(notes.end.max()) + 1
    code = notes.part * big + times
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    wanted = notes.part * big + at
    first = np.searchsorted(ordered, wanted, side="left")
    last = np.searchsorted(ordered, wanted, side="right")
    found = []
    for k in range(min(_MOST_NEIGHBOURS, int((last - first).max(initial=0)))):
        place = first + k
        other = order[np.minimum(place, len(order) - 1)]
        found.append(np.where(place < last, notes.pitch[other] - notes.pitch, 99))
    return found


def _any_step(intervals: list[np.ndarray], count: int, low: int, high: int) -> Bool[np.ndarray, " notes"]:
    result = np.zeros(count, dtype=bool)
    for interval in intervals:
        result |= (interval >= low) & (interval <= high)
    return result


def kind_weights(notes: NoteArrays, grid: Grid) -> Float[np.ndarray, "kinds slots 12"]:
    """Sounding time of each pitch class in each slot, in quarters, by kind of note (order of `KINDS`)."""
    n = len(notes.pitch)
    result = np.zeros((len(KINDS), len(grid.bar), 12))
    if n == 0:
        return result
    before = _steps_beside(notes, notes.end, notes.onset)
    after = _steps_beside(notes, notes.onset, notes.end)
    step_in = _any_step(before, n, -2, -1) | _any_step(before, n, 1, 2)
    down = _any_step(after, n, -2, -1)
    step_out = down | _any_step(after, n, 1, 2)
    slot = np.searchsorted(grid.edges, notes.onset, side="right") - 1
    on_beat = grid.on_beat[slot] & (grid.edges[slot] == notes.onset)
    quarter, eighth = DIVS_PER_QUARTER, DIVS_PER_QUARTER // 2
    stepwise = step_in & step_out
    weak = stepwise & ~on_beat & (notes.duration <= eighth)
    strong = stepwise & on_beat & (notes.duration <= eighth)
    anticipation = ~on_beat & (notes.duration <= eighth) & _any_step(after, n, 0, 0) & ~weak
    # The last beat inside the note: what is held over it and then falls by step may be a suspension.
    beats = np.append(grid.edges[:-1][grid.on_beat], grid.edges[-1] + 1)
    held = beats[np.maximum(np.searchsorted(beats, notes.end, side="left") - 1, 0)]
    suspended = down & (held > notes.onset) & (held < notes.end) & (notes.end - held <= 2 * quarter)
    plain = ~(weak | strong | anticipation | suspended)
    for index, chosen in enumerate((plain, weak, strong, None, anticipation)):
        if chosen is not None:
            result[index] = pitch_class_weights(notes, grid.edges, chosen.astype(np.float64))
    prepared = _cut(notes, suspended, notes.onset, held)
    result[0] += pitch_class_weights(prepared, grid.edges)
    result[3] = pitch_class_weights(_cut(notes, suspended, held, notes.end), grid.edges)
    return result


def _cut(
    notes: NoteArrays, chosen: Bool[np.ndarray, " n"], onset: Int[np.ndarray, " n"], end: Int[np.ndarray, " n"]
) -> NoteArrays:
    return NoteArrays(
        notes.index[chosen],
        onset[chosen],
        end[chosen],
        notes.pitch[chosen],
        notes.part[chosen],
        notes.staff[chosen],
        notes.voice[chosen],
    )
