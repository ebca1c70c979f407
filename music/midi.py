"""MIDI files: scores and performances in and out.

Reading goes through `music.midi_events`, which decodes and checks each byte; no parser written in C sees a file.
Writing uses 10080 ticks a quarter, the divisions of a score, so that every onset is exact; the same score or
performance gives the same bytes.
"""

from __future__ import annotations

import io
import math
import os
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

import mido

from music.errors import MidiError, ScoreError
from music.midi_clock import FASTEST_TEMPO, SLOWEST_TEMPO, TempoClock, follow_performance
from music.midi_events import MAX_BYTES, MidiDamage, MidiEvents, decode_midi
from music.midi_score import performance_of_events, score_of_events
from music.performance import Performance
from music.score import MAX_DIV, Note, Score
from music.time import DENOMINATORS, DIVS_PER_QUARTER, MAX_NUMERATOR, Meter

SCORE_VELOCITY = 80
GRACE_DIV = DIVS_PER_QUARTER // 16  # a sixty-fourth note
MAX_SECONDS = 12 * 3600.0
# The largest number that four bytes of a file hold; longer rests are written in pieces.
MAX_DELTA = 0x0FFFFFFF
CHANNELS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15)  # all but the drums'

# What happens at one tick happens in this order.
SIGNS, RELEASES, PEDALS, STRIKES = range(4)

T = TypeVar("T")
# (tick, one of the four above, message)
Timed = tuple[int, int, mido.Message | mido.MetaMessage]


class Struck(NamedTuple):
    """A note as written: ticks, the index of its part, pitch, velocity."""

    onset: int
    end: int
    part: int
    pitch: int
    velocity: int


def read_midi(path: str | Path) -> Score:
    """Reads a MIDI file as a score.

    Parts are the channels of each track, in order, without the drums' (channel 10). Onsets are rounded to divisions,
    not quantised. A note that is struck again while it sounds ends there; one that is never released ends with its
    track; one of no length is left out. An unusable key signature is passed over, a tempo beyond 2000 quarters a
    minute is lowered to that. Bars go on to the end of the last note. A short first time signature that lasts for one
    bar is read as an upbeat. Markers become section marks. Note ids are n0, n1 … in the score's order, the same as in
    `read_performance_midi`.

    Raises:
        MidiError: not readable, not MIDI, damaged, without pitched notes, or beyond a score's limits.
    """
    return parse_midi(_load(path), path)


def read_performance_midi(path: str | Path) -> Performance:
    """Reads a MIDI file as it sounds: seconds by its tempo map, velocities, sustain pedal (all channels as one).

    The notes and their ids are those of `read_midi`. Meters play no part, so a broken one is no error here.

    Raises:
        MidiError: as `read_midi` otherwise.
    """
    return _build(_load(path), path, performance_of_events)


def parse_midi(data: bytes, path: str | Path) -> Score:
    """As `read_midi`, from the bytes of a file; `path` is what errors name.

    Raises:
        MidiError: as `read_midi`.
    """
    return _build(data, path, score_of_events)


def _load(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise MidiError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _build(data: bytes, path: str | Path, build: Callable[[MidiEvents], T]) -> T:
    try:
        return build(decode_midi(data))
    except (MidiDamage, ScoreError) as error:
        raise MidiError(path, str(error)) from None


def write_score_midi(score: Score, path: str | Path) -> None:
    """Writes a score as a MIDI file of format 1: a conductor's track, then a track for each part.

    What a file cannot hold: notes of one pitch that overlap in a part (the earlier ends at the next onset, of two
    struck at once the longer stays); tempos below 3.6 quarters a minute; more than 15 channels (parts then share
    them, each in its own track). Grace notes sound as sixty-fourths before their onset, or as much shorter as the
    score's start leaves room for, and on it at 0; one that would cut a note of its pitch is left out. Bars that are
    shorter or longer than the meter, an upbeat among them, get a time signature of their own.

    Raises:
        MidiError: the file cannot be written.
    """
    tempos = [(t.onset_div, min(max(round(60e6 / t.qpm), FASTEST_TEMPO), SLOWEST_TEMPO)) for t in score.tempos]
    conductor = _conductor(score, tempos, score.title)
    struck = _cut_overlaps((note, (note.part, note.pitch)) for note in _score_strikes(score))
    _write(path, [conductor, *_part_tracks(score, struck, [])], score.end_div)


def write_performance_midi(score: Score, performance: Performance, path: str | Path, *, title: str = "") -> None:
    """Writes a performance as a MIDI file in which a notation program finds the score's bars.

    The tempo map follows the performance beat by beat; ticks are computed through it, so that onsets in seconds are
    exact to half a tick (0.83 ms at the slowest tempo, 0.03 ms at 100 quarters a minute). A performance that does not
    begin at once gets an empty beat before the first bar. Parts keep their tracks. A pitch that is struck while it
    sounds in its channel ends there (of two struck at once the longer stays). The pedal is written on each part's
    channel, and is up at the end.

    Raises:
        MidiError: the file cannot be written, or the performance lasts longer than `MAX_SECONDS`.
        ScoreError: the performance has a note that the score has not, or a pedal position at no time.
    """
    part_of = {note.id: note.part for note in score.notes}
    unknown = next((n.note_id for n in performance.notes if n.note_id not in part_of), None)
    if unknown is not None:
        raise ScoreError(f"performed note {unknown} is not in the score")
    if not all(math.isfinite(p.onset_sec) for p in performance.pedals):
        raise ScoreError("a pedal position has no finite time")
    end_sec = max([performance.end_sec, *(p.onset_sec for p in performance.pedals)])
    if end_sec > MAX_SECONDS:
        raise MidiError(path, f"the performance lasts {end_sec:.0f} s; {MAX_SECONDS:.0f} s is the most")
    followed = follow_performance(score, performance)
    clock = TempoClock(DIVS_PER_QUARTER, followed.tempos)
    struck = []
    for note in performance.notes:
        onset = clock.tick(note.onset_sec)
        end = max(clock.tick(note.onset_sec + note.duration_sec), onset + 1)
        struck.append(Struck(onset, end, part_of[note.note_id], note.pitch, note.velocity))
    # Parts that share a channel are cut together: a synthesiser has one key for each pitch of a channel.
    kept = _cut_overlaps((note, (_channel(note.part), note.pitch)) for note in struck)
    pedals = _pedal_moves(performance, clock)
    end = max([followed.lead_div + score.end_div, *(n.end for n in kept), *(tick for tick, _ in pedals)])
    conductor = _conductor(score, followed.tempos, title or score.title, followed.lead_div)
    _write(path, [conductor, *_part_tracks(score, kept, pedals)], end)


def _channel(part: int) -> int:
    return CHANNELS[part % len(CHANNELS)]


def _cut_overlaps(notes: Iterable[tuple[Struck, tuple[int, int]]]) -> list[Struck]:
    """Notes, given with the key that each one strikes, such that no key is struck while it sounds."""
    by_key: dict[tuple[int, int], list[Struck]] = defaultdict(list)
    for note, key in notes:
        by_key[key].append(note)
    kept = []
    for struck in by_key.values():
        struck.sort()
        for note, following in zip(struck, [*struck[1:], None], strict=True):
            end = note.end
            if following is not None:
                # Players merge tracks, in no order that is agreed on: another track's strike comes a tick later.
                end = min(end, following.onset - (following.part != note.part))
            if end > note.onset:
                kept.append(note._replace(end=end))
    return sorted(kept)


def _score_strikes(score: Score) -> list[Struck]:
    """All notes of a score with a duration, and grace notes as short ones where they cut none of the others."""
    struck: list[Struck] = []
    graces: dict[tuple[int, int], list[Note]] = defaultdict(list)
    sounding: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for note in score.notes:
        if note.duration_div:
            struck.append(Struck(note.onset_div, note.end_div, note.part, note.pitch, SCORE_VELOCITY))
            sounding[note.part, note.pitch].append((note.onset_div, note.end_div))
        else:
            graces[note.part, note.onset_div].append(note)
    for (part, onset), group in graces.items():
        length = min(GRACE_DIV, onset // len(group))
        for index, note in enumerate(group):
            start = onset - (len(group) - index) * length
            end = min(start + (length or GRACE_DIV), score.end_div)
            spans = sounding[part, note.pitch]
            before = bisect_right(spans, (end - 1, MAX_DIV))
            # Overlapping spans end at the next onset, so only the last one that begins before `end` can be cut.
            if end > start and (before == 0 or spans[before - 1][1] <= start):
                struck.append(Struck(start, end, part, note.pitch, SCORE_VELOCITY))
    return struck


def _pedal_moves(performance: Performance, clock: TempoClock) -> list[tuple[int, int]]:
    """Pedal positions as (tick, value), up at the end."""
    moves = [(clock.tick(max(p.onset_sec, 0.0)), p.value) for p in performance.pedals]
    if moves and moves[-1][1]:
        moves.append((max(moves[-1][0], clock.tick(performance.end_sec)), 0))
    return moves


def _conductor(score: Score, tempos: Iterable[tuple[int, int]], title: str, lead_div: int = 0) -> list[Timed]:
    """Title, tempo map (already counted from the lead-in), and the score's meters, keys and section labels."""
    track: list[Timed] = [(0, SIGNS, mido.MetaMessage("track_name", name=_plain(title)))] if title else []
    signatures = [(onset + lead_div, meter) for onset, meter in _signatures(score)]
    if lead_div:
        lead = _meter_lasting(lead_div, score.meters[0].meter)
        signatures = [(0, lead or score.meters[0].meter), *signatures]
    for tick, meter in signatures:
        sign = mido.MetaMessage("time_signature", numerator=meter.numerator, denominator=meter.denominator)
        track.append((tick, SIGNS, sign))
    for change in score.keys:
        key = change.key.tonic + ("m" if change.key.minor else "")
        track.append((change.onset_div + lead_div, SIGNS, mido.MetaMessage("key_signature", key=key)))
    for tick, tempo in tempos:
        track.append((tick, SIGNS, mido.MetaMessage("set_tempo", tempo=tempo)))
    for mark in score.sections:
        label = mido.MetaMessage("marker", text=_plain(mark.label))
        track.append((mark.onset_div + lead_div, SIGNS, label))
    return track


def _signatures(score: Score) -> list[tuple[int, Meter]]:
    """Time signatures from which the score's bars follow, an irregular bar having its own."""
    found: list[tuple[int, Meter]] = []
    changes = iter([*score.meters[1:], None])
    meter, following = score.meters[0].meter, next(changes)
    closes = True  # whether the bar before is closed only by a signature after it
    for bar in score.bars:
        while following is not None and following.onset_div <= bar.onset_div:
            meter, following = following.meter, next(changes)
        own = meter if bar.duration_div == meter.bar_div else _meter_lasting(bar.duration_div, meter)
        if closes or found[-1][1] != (own or meter):
            found.append((bar.onset_div, own or meter))
        closes = own is None
    return found


def _meter_lasting(length_div: int, like: Meter) -> Meter | None:
    """A meter whose bar has this length, with the denominator of `like` if possible."""
    for denominator in (like.denominator, *DENOMINATORS):
        numerator, rest = divmod(length_div * denominator, 4 * DIVS_PER_QUARTER)
        if rest == 0 and 1 <= numerator <= MAX_NUMERATOR:
            return Meter(numerator, denominator)
    return None


def _part_tracks(score: Score, notes: list[Struck], pedals: list[tuple[int, int]]) -> list[list[Timed]]:
    """A track for each part: name, program, pedal, notes."""
    tracks: list[list[Timed]] = []
    for index, part in enumerate(score.parts):
        channel = _channel(index)
        name = _plain(part.name or part.id)
        signs: list[mido.Message | mido.MetaMessage] = []
        signs += [mido.MetaMessage("track_name", name=name), mido.MetaMessage("instrument_name", name=name)]
        signs.append(mido.Message("program_change", channel=channel, program=part.program))
        moves = (mido.Message("control_change", channel=channel, control=64, value=value) for _, value in pedals)
        pedal = [(tick, PEDALS, move) for (tick, _), move in zip(pedals, moves, strict=True)]
        tracks.append([*((0, SIGNS, sign) for sign in signs), *pedal])
    for note in notes:
        channel, pitch = _channel(note.part), note.pitch
        tracks[note.part].append(
            (note.onset, STRIKES, mido.Message("note_on", channel=channel, note=pitch, velocity=note.velocity))
        )
        tracks[note.part].append(
            (note.end, RELEASES, mido.Message("note_off", channel=channel, note=pitch, velocity=64))
        )
    return tracks


def _plain(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _write(path: str | Path, tracks: list[list[Timed]], end_tick: int) -> None:
    """Writes tracks as a file of format 1: beside its place first, so that no half of a file is ever left there."""
    file = mido.MidiFile(type=1, ticks_per_beat=DIVS_PER_QUARTER, charset="utf-8")
    for timed in tracks:
        track = mido.MidiTrack()
        now = 0
        # Sorting is stable: what happens at one tick in one rank keeps the order in which it was given.
        timed = [*sorted(timed, key=lambda t: t[:2]), (end_tick, STRIKES, mido.MetaMessage("end_of_track"))]
        for tick, _, message in timed:
            while tick - now > MAX_DELTA:
                track.append(mido.MetaMessage("text", text="", time=MAX_DELTA))
                now += MAX_DELTA
            track.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    _write_bytes(Path(path), buffer.getvalue())


def _write_bytes(path: Path, data: bytes) -> None:
    if not path.name:
        raise MidiError(path, "cannot be written: it is no file name")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise MidiError(path, f"cannot be written: {error.strerror or error}") from None
