"""A passage taken to another place of the plan: its key, its mode, the range, and where the chords agree."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from composer.conditions import FIELD, shift_pitches
from composer.roll import LOWEST_PITCH, PITCHES
from music.harmony import QUALITIES, chord_pcs
from music.pitch import Key

# Degrees, in semitones above the tonic, that change with the mode.
_TO_MINOR = {4: 3, 9: 8, 11: 10}
_TO_MAJOR = {3: 4, 8: 9, 10: 11}


def nearest(from_pc: int, to_pc: int) -> int:
    """Semitones from one pitch class to another the shorter way, -5..6."""
    return (to_pc - from_pc + 5) % 12 - 5


def chord_classes(context: Int[ndarray, "steps fields"]) -> Bool[ndarray, "steps 12"]:
    """Pitch classes of the planned chord at each step; none where it is unknown."""
    roots, qualities = context[:, FIELD["chord_root"]], context[:, FIELD["chord_quality"]]
    classes = np.zeros((len(context), 12), dtype=bool)
    for root, quality in {(int(r), int(q)) for r, q in zip(roots, qualities, strict=True) if r >= 0}:
        rows = (roots == root) & (qualities == quality)
        classes[np.ix_(rows, list(chord_pcs(root, QUALITIES[quality])))] = True
    return classes


def moved_class(pc: int, source: Key, target: Key, chord: Bool[ndarray, " 12"]) -> int:
    """A pitch class of one key as the same degree of another.

    Where the mode changes, the third, sixth and seventh change with it, unless the chord that is planned there holds
    the unchanged degree and not the changed one: the leading tone stays in minor over its dominant.
    """
    degree = (pc - source.pc) % 12
    table = {} if source.minor == target.minor else _TO_MINOR if target.minor else _TO_MAJOR
    changed = table.get(degree, degree)
    plain, new = (target.pc + degree) % 12, (target.pc + changed) % 12
    return plain if chord[plain] and not chord[new] else new


def same_harmony(
    source_chords: Bool[ndarray, "steps 12"],
    target_chords: Bool[ndarray, "steps 12"],
    keys: tuple[Key, Key],
    bar_steps: int,
) -> Bool[ndarray, " bars"]:
    """Whether the plan asks for the source's chords again, bar by bar; an unknown chord agrees with any.

    A bar whose harmony is another one for half of its length or more is no copy: there the model's notes would win
    over the plan's chords, and the second half of a period would close as the first did, on the dominant.
    """
    agree: dict[tuple[bytes, bytes], bool] = {}
    rows = []
    for here, there in zip(target_chords, source_chords, strict=True):
        name = (here.tobytes(), there.tobytes())
        if name not in agree:
            moved = {moved_class(int(pc), *keys, here) for pc in np.flatnonzero(there)}
            agree[name] = not here.any() or not there.any() or moved == set(np.flatnonzero(here).tolist())
        rows.append(agree[name])
    same = np.array(rows, dtype=bool)
    return np.array([same[i : i + bar_steps].mean() > 0.5 for i in range(0, len(same), bar_steps)], dtype=bool)


def best_shift(play: Bool[ndarray, "steps 88"], semitones: int, span: tuple[int, int]) -> int:
    """The transposition, or the one an octave from it, that keeps the most notes in a range of MIDI pitches."""
    pitches = np.flatnonzero(play.any(axis=0)) + LOWEST_PITCH
    if len(pitches) == 0:
        return semitones

    def outside(shift: int) -> tuple[int, int]:
        low, high = span[0] - (pitches[0] + shift), pitches[-1] + shift - span[1]
        return max(int(low), 0) + max(int(high), 0), abs(shift)

    return min((semitones, semitones - 12, semitones + 12), key=outside)


def take(
    play: Bool[ndarray, "steps 88"],
    articulate: Bool[ndarray, "steps 88"],
    keys: tuple[Key, Key],
    chords: Bool[ndarray, "steps 12"],
    span: tuple[int, int],
) -> tuple[Bool[ndarray, "steps 88"], Bool[ndarray, "steps 88"]]:
    """A passage in another key: transposed the shorter way, its degrees changed with the mode.

    Args:
        play, articulate: the passage.
        keys: its own key and the wanted one.
        chords: planned where it is taken to.
        span: MIDI pitches that may sound; a passage that leaves it is moved by an octave as a whole if that helps.
    """
    source, target = keys
    shift = best_shift(play, nearest(source.pc, target.pc), span)
    if source.minor == target.minor:
        return shift_pitches(play, shift), shift_pitches(articulate, shift)
    taken, struck = np.zeros_like(play), np.zeros_like(articulate)
    for column in np.flatnonzero(play.any(axis=0)):
        onto = -1
        for step in np.flatnonzero(play[:, column]):
            # A note keeps the pitch that it began with.
            if articulate[step, column] or step == 0 or not play[step - 1, column]:
                pitch = int(column) + LOWEST_PITCH
                new = moved_class(pitch % 12, source, target, chords[step])
                onto = int(column) + shift + nearest((pitch + shift) % 12, new)
            if 0 <= onto < PITCHES:
                taken[step, onto] = True
                struck[step, onto] |= bool(articulate[step, column])
    return taken, struck
