"""What a keyboard allows: one key sounds once at a time, and takes a moment to come up and be struck again."""

from __future__ import annotations

from dataclasses import replace

from music.performance import Performance, PerformedNote

STRIKE_SEC = 0.012  # two strikes of one key are at least this far apart
GAP_SEC = 0.002  # a key is up for at least this long before it is struck again
SHORTEST_SEC = 0.008


def playable(performance: Performance) -> Performance:
    """The performance with strikes of one key apart, and each note let go before its key is struck again.

    Strikes that lie too close are moved later, in their order; a note whose key is struck again while it should sound
    goes on in the new one.
    """
    keys: dict[int, list[PerformedNote]] = {}
    for note in performance.notes:
        keys.setdefault(note.pitch, []).append(note)
    notes = [note for row in keys.values() for note in _one_key(row)]
    notes.sort(key=lambda n: (n.onset_sec, n.pitch, n.note_id))
    return replace(performance, notes=tuple(notes))


def _one_key(row: list[PerformedNote]) -> list[PerformedNote]:
    """The strikes of one key, in order."""
    found: list[PerformedNote] = []
    for note in sorted(row, key=lambda n: (n.onset_sec, n.duration_sec, n.note_id)):
        onset, end = note.onset_sec, note.onset_sec + max(note.duration_sec, SHORTEST_SEC)
        if found:
            last = found[-1]
            onset = max(onset, last.onset_sec + STRIKE_SEC)
            over = last.onset_sec + last.duration_sec
            if over > onset - GAP_SEC:
                end = max(end, over)
                found[-1] = replace(last, duration_sec=round(onset - GAP_SEC - last.onset_sec, 6))
        found.append(replace(note, onset_sec=round(onset, 6), duration_sec=round(max(end - onset, SHORTEST_SEC), 6)))
    return found
