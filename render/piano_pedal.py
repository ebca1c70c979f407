"""When dampers lie on which strings: keys, and the sustain pedal with the positions between down and up."""

from __future__ import annotations

from bisect import bisect_right

from music.performance import Pedal, Performance
from render.piano import HIGHEST_DAMPED
from render.piano_strings import FREE, RESTRUCK

LIFTED, RESTING = (
    64,
    26,
)  # from the one pedal value on the dampers are off the strings, up to the other they rest on them
HALVES = (0.0, 0.04, 0.15, 0.4, 1.0)  # parts of the damper's decay that are told apart
NEARLY = 0.3
SETTLED_SEC = 1.5  # after as long under the damper nothing is left


def damper_part(value: int) -> float:
    """How much of the damper a pedal position leaves on the strings: 0 none, 1 all, and three steps of half pedal."""
    closed = min(max((LIFTED - value) / (LIFTED - RESTING), 0.0), 1.0)
    return min(HALVES, key=lambda part: abs(part - closed**2))


def pedal_moves(pedals: tuple[Pedal, ...]) -> list[tuple[float, float]]:
    """Times at which the dampers' place changes, and what it is from then on; they rest before."""
    moves: list[tuple[float, float]] = []
    for pedal in pedals:
        part = damper_part(pedal.value)
        if moves and moves[-1][0] == pedal.onset_sec:
            moves.pop()
        if part != (moves[-1][1] if moves else 1.0):
            moves.append((pedal.onset_sec, part))
    return moves


def damper_steps(performance: Performance) -> list[list[tuple[float, float]]]:
    """For each note: seconds after its blow and the damping from then on, as `render.piano_strings` takes them.

    What is let go while the pedal is down rings on; a pedal that comes down late still catches what is left; a new blow
    on the same key ends the old sound.
    """
    moves = pedal_moves(performance.pedals)
    times = [sec for sec, _ in moves]
    following: dict[int, float] = {}
    found: list[list[tuple[float, float]]] = []
    for note in reversed(performance.notes):
        struck = following.get(note.pitch, float("inf"))
        release = note.onset_sec + note.duration_sec
        steps = _after_release(release, struck, moves, times) if note.pitch <= HIGHEST_DAMPED else []
        if struck < float("inf"):
            steps.append((struck, RESTRUCK))
        found.append([(sec - note.onset_sec, part) for sec, part in steps])
        following[note.pitch] = note.onset_sec
    return found[::-1]


def _after_release(
    release: float, struck: float, moves: list[tuple[float, float]], times: list[float]
) -> list[tuple[float, float]]:
    """Where the damper of a key is from its release on, until it is struck again or nothing is left."""
    if release >= struck:
        return []
    at = bisect_right(times, release)
    part = moves[at - 1][1] if at else 1.0
    steps = [(release, part)] if part != FREE else []
    for sec, later in moves[at:]:
        if sec >= struck or (part == 1.0 and steps and sec - steps[-1][0] > SETTLED_SEC):
            break
        part = later
        steps.append((sec, part))
    return steps


def open_spans(pedals: tuple[Pedal, ...], end_sec: float) -> list[tuple[float, float]]:
    """Spans of seconds in which the pedal leaves all strings free to ring, or nearly so."""
    moves = pedal_moves(pedals)
    edges = [*(sec for sec, _ in moves[1:]), end_sec][: len(moves)]
    spans: list[tuple[float, float]] = []
    for (start, part), end in zip(moves, edges, strict=True):
        if part >= NEARLY or start >= min(end, end_sec):
            continue
        before = spans.pop() if spans and spans[-1][1] == start else (start, start)
        spans.append((before[0], min(end, end_sec)))
    return spans
