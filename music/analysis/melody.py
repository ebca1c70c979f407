"""The melody of a passage: one line, the top voice of the part that carries it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from itertools import groupby

from music.score import Note, Score

_RIGHT_HAND = 1


def melody_notes(score: Score, start_div: int, end_div: int) -> list[Note]:
    """Notes that begin in the passage and may carry its melody: the highest part's, or the right hand's."""
    first = bisect_left(score.notes, start_div, key=lambda n: n.onset_div)
    last = bisect_left(score.notes, end_div, lo=first, key=lambda n: n.onset_div)
    notes = [n for n in score.notes[first:last] if n.duration_div > 0]
    by_part: dict[int, list[int]] = {}
    for note in notes:
        by_part.setdefault(note.part, []).append(note.pitch)
    if len(by_part) > 1:
        # A part that is silent for most of the passage does not lead it.
        most = max(len(p) for p in by_part.values())
        able = {part: sum(p) / len(p) for part, p in by_part.items() if 4 * len(p) >= most}
        leader = max(able, key=lambda part: (able[part], -part))
        notes = [n for n in notes if n.part == leader]
    upper = [n for n in notes if n.staff == _RIGHT_HAND]
    return upper if upper and any(n.staff > _RIGHT_HAND for n in notes) else notes


def melody_line(score: Score, start_div: int, end_div: int) -> tuple[Note, ...]:
    """The melody of a passage: notes that begin in it, one at a time, cut at the next one's onset and at the end.

    At each onset the highest note leads; a note below one that is still held is accompaniment when the held one lasts
    on past it.
    """
    line: list[Note] = []
    for onset, group in groupby(melody_notes(score, start_div, end_div), key=lambda n: n.onset_div):
        top = max(group, key=lambda n: (n.pitch, n.duration_div))
        if line and line[-1].end_div > onset:
            held = line[-1]
            if held.pitch > top.pitch and held.end_div >= top.end_div:
                continue
            line[-1] = replace(held, duration_div=onset - held.onset_div)
        line.append(top)
    if line and line[-1].end_div > end_div:
        line[-1] = replace(line[-1], duration_div=end_div - line[-1].onset_div)
    return tuple(line)
