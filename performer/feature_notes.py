"""Columns of single notes: pitch, line, role, chord and length. Names and units stand in `feature_columns`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from performer.feature_frame import QUARTER, Frame, log_quarters, window_mean

NEAR = 4 * QUARTER
NONE = -1


@dataclass(frozen=True, eq=False)
class Lines:
    """The line that each note belongs to: the melody, else its voice; `NONE` where it has no neighbour there.

    Args:
        before, after: indices of notes, the highest where the voice has a chord.
    """

    before: Int[np.ndarray, " notes"]
    after: Int[np.ndarray, " notes"]


def lines_of(frame: Frame) -> Lines:
    """Neighbours of each note in its line; grace notes belong to none."""
    before, after = (np.full(len(frame.pitch), NONE, dtype=np.int64) for _ in range(2))
    real = ~frame.grace
    voice = (frame.part * 4 + frame.staff) * 64 + np.minimum(frame.voice, 63)
    for chosen, stream in ((real, voice), (real & frame.melody, np.zeros_like(voice))):
        _link(frame, np.flatnonzero(chosen), stream[chosen], before, after)
    return Lines(before, after)


def _link(
    frame: Frame,
    chosen: Int[np.ndarray, " chosen"],
    stream: Int[np.ndarray, " chosen"],
    before: Int[np.ndarray, " notes"],
    after: Int[np.ndarray, " notes"],
) -> None:
    if not len(chosen):
        return
    order = np.lexsort((frame.pitch[chosen], frame.onset[chosen], stream))
    ids, stream = chosen[order], stream[order]
    onset = frame.onset[ids]
    new = np.append(True, (stream[1:] != stream[:-1]) | (onset[1:] != onset[:-1]))
    group = np.cumsum(new) - 1
    top = ids[np.append(np.flatnonzero(new)[1:], len(ids)) - 1]
    lane = stream[new]
    same = lane[1:] == lane[:-1]
    before[ids] = np.append(NONE, np.where(same, top[:-1], NONE))[group]
    after[ids] = np.append(np.where(same, top[1:], NONE), NONE)[group]


def note_columns(frame: Frame) -> dict[str, np.ndarray]:
    """Columns of the groups pitch, line, role, chord and duration."""
    lines = lines_of(frame)
    return {
        **_pitch(frame),
        **_line(frame, lines),
        **_role(frame),
        **_chord(frame),
        **_duration(frame, lines),
    }


def melody_steps(frame: Frame) -> tuple[Int[np.ndarray, " melody"], Float[np.ndarray, " melody"]]:
    """Places of the onsets that have a melody note, and its pitch."""
    places = frame.place[frame.melody]
    pitch = frame.pitch[frame.melody]
    last = np.append(places[1:] != places[:-1], True)
    return places[last], pitch[last].astype(float)


def melody_at(frame: Frame) -> tuple[Int[np.ndarray, " onsets"], Float[np.ndarray, " onsets"]]:
    """Index among the melody's steps, and pitch, of the melody note that holds at each onset (the first before it)."""
    places, pitch = melody_steps(frame)
    step = np.maximum(np.searchsorted(places, np.arange(len(frame.at)), side="right") - 1, 0)
    return step, pitch[step]


def _pitch(frame: Frame) -> dict[str, np.ndarray]:
    pitch = frame.pitch.astype(float)
    near = window_mean(frame.onset, pitch, frame.at - NEAR, frame.at + NEAR, np.full(len(frame.at), pitch.mean()))
    return {
        "pitch": pitch - 60,
        "under_top": frame.highest(pitch)[frame.place] - pitch,
        "over_bottom": pitch - frame.lowest(pitch)[frame.place],
        "over_register": pitch - near[frame.place],
        "over_piece": pitch - pitch.mean(),
        "under_melody": melody_at(frame)[1][frame.place] - pitch,
    }


def _line(frame: Frame, lines: Lines) -> dict[str, np.ndarray]:
    has_before, has_after = lines.before != NONE, lines.after != NONE
    up_to = np.where(has_before, frame.pitch - frame.pitch[lines.before], 0)
    up_from = np.where(has_after, frame.pitch[lines.after] - frame.pitch, 0)
    repeats, repeated = _repetitions(frame)
    both = has_before & has_after
    return {
        "before_known": has_before,
        "interval_before": up_to,
        "after_known": has_after,
        "interval_after": up_from,
        "peak": both & (up_to > 0) & (up_from < 0),
        "trough": both & (up_to < 0) & (up_from > 0),
        "repeats": repeats,
        "repeated_after": repeated,
    }


def _repetitions(frame: Frame) -> tuple[Bool[np.ndarray, " notes"], Bool[np.ndarray, " notes"]]:
    order = np.lexsort((frame.onset, frame.pitch, frame.part))
    left, right = order[:-1], order[1:]
    same = (frame.pitch[left] == frame.pitch[right]) & (frame.part[left] == frame.part[right])
    same &= frame.onset[left] < frame.onset[right]
    gap = frame.onset[right] - frame.end[left]
    repeats, repeated = (np.zeros(len(order), dtype=bool) for _ in range(2))
    repeats[right[same & (gap < QUARTER)]] = True
    repeated[left[same & (gap <= 0)]] = True
    return repeats, repeated


def _role(frame: Frame) -> dict[str, np.ndarray]:
    struck = np.where(frame.grace, 999, frame.pitch)
    lowest = frame.lowest(struck)
    bass = ~frame.grace & (frame.pitch == np.where(lowest == 999, -1, lowest)[frame.place])
    parts = int(frame.part.max())
    return {
        "melody": frame.melody,
        "bass": bass,
        "inner": ~frame.melody & ~bass,
        "hand": np.select([frame.staff == 1, frame.staff == 2], [1, -1], 0),
        "height_of_part": 1 - 2 * frame.part / parts if parts else np.zeros(len(frame.part)),
    }


def _chord(frame: Frame) -> dict[str, np.ndarray]:
    size = frame.count[frame.place]
    rank = np.arange(len(frame.place)) - frame.first[frame.place]
    top, bottom, in_hand = _hands(frame)
    _, klass, doubles = np.unique(frame.place * 12 + frame.pitch % 12, return_inverse=True, return_counts=True)
    return {
        "chord_size": np.log2(size),
        "chord_size_in_hand": np.log2(in_hand),
        "place_in_chord": np.where(size > 1, rank / np.maximum(size - 1, 1), 1.0),
        "top_of_hand": frame.pitch == top,
        "bottom_of_hand": frame.pitch == bottom,
        "doubled": doubles[klass] > 1,
        "sounding": np.log2(frame.sounding())[frame.place],
    }


def hand_spans(frame: Frame) -> Int[np.ndarray, " notes"]:
    """Semitones of the chord that each note is struck in, on its staff of its part."""
    top, bottom, _ = _hands(frame)
    return top - bottom


def _hands(frame: Frame) -> tuple[Int[np.ndarray, " notes"], Int[np.ndarray, " notes"], Int[np.ndarray, " notes"]]:
    """Highest and lowest pitch, and number, of the notes struck with each on its staff of its part."""
    hand = (frame.place * (int(frame.part.max()) + 1) + frame.part) * 4 + np.minimum(frame.staff, 3)
    _, group, count = np.unique(hand, return_inverse=True, return_counts=True)
    top, bottom = np.full(len(count), -1), np.full(len(count), 128)
    np.maximum.at(top, group, frame.pitch)
    np.minimum.at(bottom, group, frame.pitch)
    return top[group], bottom[group], count[group]


def _duration(frame: Frame, lines: Lines) -> dict[str, np.ndarray]:
    length = np.log2(frame.length / QUARTER)
    following = np.append(frame.at[1:], max(frame.end_div, int(frame.at[-1]) + 1))
    ioi = (following - frame.at)[frame.place]
    has_after = lines.after != NONE
    until = np.where(has_after, frame.onset[lines.after] - frame.onset, frame.length)
    return {
        "log_duration": length,
        "duration_in_piece": length - length.mean(),
        "duration_to_next": np.log2(frame.length / ioi),
        "rest_after": log_quarters(until - frame.length),
        "sounding_share": np.minimum(frame.length / np.maximum(until, 1), 1.0),
        "longest": frame.length == frame.highest(frame.length)[frame.place],
        "over_barline": frame.end > frame.bar_end[frame.place],
        "grace": frame.grace,
    }
