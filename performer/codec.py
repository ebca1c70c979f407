"""A performance as numbers a model can learn, and back: tempo curve, timing, articulation, velocity and pedal.

The terms are those of Cancino-Chacón, "Computational modeling of expressive music performance with linear and
non-linear basis function models" (2018), ch. 3, as partitura's performance codec has them: the curve runs through the
mean onset of each chord, straight between them; `timing` is what is left of each note. Three things differ. Grace notes
do not pull the curve where other notes are struck with them. Their length counts against a thirty-second note, so that
it survives. A curve that would run backwards keeps the longest run of onsets that do not, and is drawn through those.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from music.errors import ScoreError
from music.performance import Pedal, Performance, PerformedNote
from music.score import Note, Score, TempoChange
from music.time import DIVS_PER_QUARTER

GRACE_DIV = DIVS_PER_QUARTER // 8  # a grace note's length is measured against a thirty-second
CLOSEST_SEC = 0.001  # successive points of the curve, and strikes of one key, are at least this far apart
STRIKE_SEC = 0.012  # the second of two strikes of one key that are closer comes this much after the first
GAP_SEC = 0.0005  # a key is up for at least this long before it is struck again
SHORTEST_SEC = 0.0005
ROUNDING_SEC = 1e-5  # more than rounding to microseconds moves anything
LONE_BEAT_SEC = 0.5  # beat period of what has no two onsets to tell it by
LEAST_QPM, MOST_QPM = (
    4.0,
    2000.0,
)  # MIDI holds no more than 16.8 s a quarter, a Score no more than 2000 quarters a minute


@dataclass(frozen=True, eq=False)
class NoteParameters:
    """How each note of a score is played: one row per note, in order of (onset, pitch, id).

    Args:
        note_ids: ids of the score's notes.
        known: whether the note is played; the other columns of one that is not hold the curve's beat period and 0.
        beat_period: seconds a quarter note from this note's onset to the next, the same for all notes of an onset.
        timing: seconds by which the note comes before (+) or after (-) the curve.
        articulation_log: log2 of the played duration over (score duration in quarters * beat period); a grace note
            counts as a thirty-second.
        velocity: 1..127.
        pedal_div: places in the score, in divisions, where the pedal moves; before the score's start they are negative.
        pedal_value: position of the pedal from there on, 0 up … 127 down.

    Raises:
        ScoreError: columns that are not finite, a beat period that is not positive, pedal places out of order.
    """

    note_ids: tuple[str, ...]
    known: Bool[np.ndarray, " notes"]
    beat_period: Float[np.ndarray, " notes"]
    timing: Float[np.ndarray, " notes"]
    articulation_log: Float[np.ndarray, " notes"]
    velocity: Float[np.ndarray, " notes"]
    pedal_div: Float[np.ndarray, " moves"]
    pedal_value: Int[np.ndarray, " moves"]

    def __post_init__(self) -> None:
        columns = (self.beat_period, self.timing, self.articulation_log, self.velocity)
        if any(len(c) != len(self.note_ids) for c in (self.known, *columns)):
            raise ScoreError(f"performance parameters have columns that are not {len(self.note_ids)} notes long")
        if not all(np.isfinite(c).all() for c in (*columns, self.pedal_div)) or (self.beat_period <= 0).any():
            raise ScoreError("performance parameters are not finite, or a beat period is not positive")
        if len(self.pedal_div) != len(self.pedal_value) or (np.diff(self.pedal_div) < 0).any():
            raise ScoreError("pedal positions are out of order")

    def pedal_at(self, onset_div: Float[np.ndarray, " places"]) -> Int[np.ndarray, " places"]:
        """The pedal's position at places of the score; up before it first moves."""
        values = np.append(np.int64(0), self.pedal_value)
        return values[np.searchsorted(self.pedal_div, onset_div, side="right")]


@dataclass(frozen=True, eq=False)
class _Rows:
    """A score's notes in the codec's order; `place` is each note's index into the unique onsets `at` (divisions)."""

    notes: tuple[Note, ...]
    at: Int[np.ndarray, " onsets"]
    place: Int[np.ndarray, " notes"]
    length: Int[np.ndarray, " notes"]
    grace: Bool[np.ndarray, " notes"]


@dataclass(frozen=True, eq=False)
class _Curve:
    """Seconds over divisions: straight through points, and on with the first and last slope."""

    div: Float[np.ndarray, " points"]
    sec: Float[np.ndarray, " points"]
    before: float  # seconds a division
    after: float

    def sec_at(self, div: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return _straight(div, self.div, self.sec, self.before, self.after)

    def div_at(self, sec: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return _straight(sec, self.sec, self.div, 1 / self.before, 1 / self.after)


def encode(score: Score, performance: Performance) -> NoteParameters:
    """How a performance plays a score.

    Score notes that the performance lacks are marked in `known`; the curve goes past them. A pianist's wrong key counts
    as the score's note, with its time and touch: pitch is the score's alone.

    Raises:
        ScoreError: a score without notes, a performance that has none of them, a played note that the score lacks.
    """
    rows = _rows(score)
    played = {n.note_id: n for n in performance.notes}
    written = {n.id for n in rows.notes}
    foreign = [name for name in played if name not in written]
    if foreign:
        raise ScoreError(f"performed note {foreign[0]} is not in the score")
    if not played:
        raise ScoreError("a performance plays no note of its score")
    known = np.array([n.id in played for n in rows.notes])
    found = [played[n.id] for n in rows.notes if n.id in played]
    onset, duration, velocity = (np.zeros(len(known)) for _ in range(3))
    onset[known] = [n.onset_sec for n in found]
    duration[known] = [n.duration_sec for n in found]
    velocity[known] = [n.velocity for n in found]

    through = _through(rows, known, onset, duration)
    period = _periods(rows, through)
    curve = _curve(rows.at, period, float(through.sec_at(rows.at[:1].astype(float))[0]))
    beat_period = period[rows.place]
    timing = np.where(known, curve.sec[rows.place] - onset, 0.0)
    ratio = np.where(known, duration / (_quarters(rows) * beat_period), 1.0)
    return NoteParameters(
        note_ids=tuple(n.id for n in rows.notes),
        known=known,
        beat_period=beat_period,
        timing=timing,
        articulation_log=np.log2(ratio),
        velocity=velocity,
        pedal_div=curve.div_at(np.array([p.onset_sec for p in performance.pedals], dtype=float)),
        pedal_value=np.array([p.value for p in performance.pedals], dtype=np.int64),
    )


def decode(score: Score, parameters: NoteParameters, *, start_sec: float = 0.0) -> Performance:
    """The performance that parameters describe: its known notes, the first of them at `start_sec`, in microseconds.

    Velocities are rounded and held to 1..127, no pitch overlaps itself, and the pedal is up at the end.

    Raises:
        ScoreError: parameters of other notes than the score's, no known note, a start before 0, lengths without bound.
    """
    rows = _rows(score)
    if parameters.note_ids != tuple(n.id for n in rows.notes):
        raise ScoreError("performance parameters are those of another score")
    if not parameters.known.any() or not 0 <= start_sec < float("inf"):
        raise ScoreError(f"nothing is played, or it starts at {start_sec} s")
    curve = _decoded_curve(rows, parameters)
    onset = curve.sec[rows.place] - parameters.timing
    later = start_sec - float(onset[parameters.known].min())
    with np.errstate(over="ignore"):
        duration = 2.0**parameters.articulation_log * _quarters(rows) * parameters.beat_period
    onset, duration = (onset + later).round(6), duration.clip(SHORTEST_SEC).round(6)
    velocity = parameters.velocity.round().clip(1, 127).astype(int)
    columns = zip(rows.notes, onset.tolist(), duration.tolist(), velocity.tolist(), strict=True)
    notes = [PerformedNote(n.id, on, length, n.pitch, v) for n, on, length, v in columns]
    notes = [n for n, known in zip(notes, parameters.known.tolist(), strict=True) if known]
    kept = without_overlaps(notes)
    end = max(n.onset_sec + n.duration_sec for n in kept)
    return Performance(kept, _pedals(curve, parameters, later, end))


def without_overlaps(notes: Sequence[PerformedNote]) -> tuple[PerformedNote, ...]:
    """Notes in order of onset such that no pitch overlaps itself, as on a keyboard.

    A note ends before its key is struck again. Of two strikes of a key less than a millisecond apart the one of the
    shorter note stays, and the other comes 12 ms after it. Notes that do not overlap or touch stay as they are.
    """
    kept: list[PerformedNote] = []
    previous: PerformedNote | None = None
    for note in sorted(notes, key=lambda n: (n.pitch, n.onset_sec, n.duration_sec, n.note_id)):
        if previous is not None and previous.pitch == note.pitch:
            if note.onset_sec < previous.onset_sec + CLOSEST_SEC - ROUNDING_SEC:
                end = note.onset_sec + note.duration_sec
                onset = round(previous.onset_sec + STRIKE_SEC, 6)
                note = _placed(note, onset, max(end - onset, SHORTEST_SEC))
            room = note.onset_sec - previous.onset_sec - GAP_SEC
            if previous.duration_sec > room + ROUNDING_SEC:
                kept[-1] = _placed(previous, previous.onset_sec, room)
        kept.append(note)
        previous = note
    return tuple(sorted(kept, key=lambda n: (n.onset_sec, n.pitch, n.note_id)))


def tempo_map(score: Score, parameters: NoteParameters) -> tuple[TempoChange, ...]:
    """The curve as tempo changes from the score's start on, one where the tempo becomes another.

    Played by it, each onset of the score falls where the curve has it. Files hold 4..2000 quarters a minute: an onset
    that would need more or less is passed over, and the tempo from the one before it to one after it makes up for that.
    """
    rows = _rows(score)
    curve = _decoded_curve(rows, parameters)
    div = curve.div.copy()
    div[0] = 0.0  # what comes before the first onset has its tempo
    sec = curve.sec.copy()
    sec[0] = curve.sec_at(div[:1])[0]
    found: list[tuple[int, float]] = []
    from_div, from_sec = 0.0, float(sec[0])
    for to_div, to_sec in zip(div[1:].tolist(), sec[1:].tolist(), strict=True):
        qpm = 60.0 * (to_div - from_div) / DIVS_PER_QUARTER / (to_sec - from_sec)
        if LEAST_QPM <= qpm <= MOST_QPM:
            found.append((int(from_div), qpm))
            from_div, from_sec = to_div, to_sec
    last = 60.0 / (curve.after * DIVS_PER_QUARTER)
    found.append((int(from_div), min(max(last, LEAST_QPM), MOST_QPM)))
    same = [i > 0 and abs(qpm - found[i - 1][1]) < 1e-9 for i, (_, qpm) in enumerate(found)]
    return tuple(TempoChange(at, qpm) for (at, qpm), skip in zip(found, same, strict=True) if not skip)


def _rows(score: Score) -> _Rows:
    if not score.notes:
        raise ScoreError("a score without notes cannot be performed")
    notes = tuple(sorted(score.notes, key=lambda n: (n.onset_div, n.pitch, n.id)))
    at, place = np.unique(np.array([n.onset_div for n in notes], dtype=np.int64), return_inverse=True)
    length = np.array([n.duration_div for n in notes], dtype=np.int64)
    return _Rows(notes, at, place, length, length == 0)


def _quarters(rows: _Rows) -> Float[np.ndarray, " notes"]:
    return np.where(rows.grace, GRACE_DIV, rows.length) / DIVS_PER_QUARTER


def _mean(
    place: Int[np.ndarray, " notes"], values: Float[np.ndarray, " notes"], size: int
) -> Float[np.ndarray, " {size}"]:
    return np.bincount(place, values, size) / np.bincount(place, minlength=size)


def _through(
    rows: _Rows,
    known: Bool[np.ndarray, " notes"],
    onset: Float[np.ndarray, " notes"],
    duration: Float[np.ndarray, " notes"],
) -> _Curve:
    """The curve through the mean played onset of each score onset, and through the end of the last note."""
    size = len(rows.at)
    struck = known & ~rows.grace
    struck |= known & (np.bincount(rows.place, struck, size) == 0)[rows.place]
    met = np.flatnonzero(np.bincount(rows.place, struck, size))
    div = rows.at[met].astype(float)
    sec = _mean(np.searchsorted(met, rows.place[struck]), onset[struck], len(met))
    end_div = float((rows.at[rows.place] + rows.length)[known].max())
    if end_div > div[-1]:
        div, sec = np.append(div, end_div), np.append(sec, (onset + duration)[known].max())
    kept = _rising(sec)
    div, sec = div[kept], sec[kept]
    if len(div) == 1:
        slope = LONE_BEAT_SEC / DIVS_PER_QUARTER
        return _Curve(div, sec, slope, slope)
    slopes = np.diff(sec) / np.diff(div)
    return _Curve(div, sec, float(slopes[0]), float(slopes[-1]))


def _rising(sec: Float[np.ndarray, " points"]) -> Int[np.ndarray, " kept"]:
    """Indices of the longest run of points of which each comes at least `CLOSEST_SEC` after the one before."""
    if (np.diff(sec) >= CLOSEST_SEC).all():
        return np.arange(len(sec))
    # Longest increasing subsequence by patience sorting; the last of the runs of one length that ends soonest.
    ends: list[float] = []
    index: list[int] = []
    before = [-1] * len(sec)
    for i, value in enumerate(sec.tolist()):
        # A run may go on with this point where its end lies CLOSEST_SEC back.
        place = bisect_left(ends, value - CLOSEST_SEC + 1e-12)
        before[i] = index[place - 1] if place else -1
        if place == len(ends):
            ends.append(value)
            index.append(i)
        elif value < ends[place]:
            ends[place], index[place] = value, i
    chain = [index[-1]]
    while before[chain[-1]] >= 0:
        chain.append(before[chain[-1]])
    return np.array(chain[::-1])


def _periods(rows: _Rows, through: _Curve) -> Float[np.ndarray, " onsets"]:
    """Seconds a quarter from each onset to the next, and from the last to the end of the curve or on as it goes."""
    places = np.append(rows.at, max(int(through.div[-1]), int(rows.at[-1]) + 1)).astype(float)
    return np.diff(through.sec_at(places)) / np.diff(places) * DIVS_PER_QUARTER


def _curve(at: Int[np.ndarray, " onsets"], period: Float[np.ndarray, " onsets"], start: float) -> _Curve:
    slope = period / DIVS_PER_QUARTER
    sec = start + np.append(0.0, np.cumsum(slope[:-1] * np.diff(at)))
    return _Curve(at.astype(float), sec, float(slope[0]), float(slope[-1]))


def _decoded_curve(rows: _Rows, parameters: NoteParameters) -> _Curve:
    return _curve(rows.at, _mean(rows.place, parameters.beat_period, len(rows.at)), 0.0)


def _straight(
    x: Float[np.ndarray, " n"],
    at: Float[np.ndarray, " points"],
    value: Float[np.ndarray, " points"],
    before: float,
    after: float,
) -> Float[np.ndarray, " n"]:
    inner = np.interp(x, at, value)
    return inner + np.minimum(x - at[0], 0.0) * before + np.maximum(x - at[-1], 0.0) * after


def _placed(note: PerformedNote, onset: float, duration: float) -> PerformedNote:
    return PerformedNote(note.note_id, onset, round(duration, 6), note.pitch, note.velocity)


def _pedals(curve: _Curve, parameters: NoteParameters, later: float, end: float) -> tuple[Pedal, ...]:
    """The pedal in seconds; what lies before 0 counts at 0, and one that is left down comes up with the last note."""
    times = (curve.sec_at(parameters.pedal_div) + later).round(6).clip(0.0)
    values = parameters.pedal_value.clip(0, 127)
    moves = [Pedal(t, v) for t, v in zip(times.tolist(), values.tolist(), strict=True)]
    early = [m for m in moves if m.onset_sec == 0.0]
    moves = early[-1:] + moves[len(early) :]
    if moves and moves[-1].value:
        moves.append(Pedal(max(round(end, 6), moves[-1].onset_sec), 0))
    return tuple(moves)
