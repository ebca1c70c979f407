"""Pairs of score and performance on disk: an entry as `music.cache` has them, with what is played beside the score."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np

from music.cache import (
    Arrays,
    CacheEntry,
    ScoreCache,
    checksum_of,
    code_version,
    from_json_array,
    json_array,
    score_from_arrays,
    score_to_arrays,
    write_atomically,
)
from music.errors import CacheError, ScoreError
from music.paired import PairedPerformance
from music.performance import Pedal, Performance, PerformedNote
from music.score import Score

T = TypeVar("T")
FORMAT = 1  # of what stands beside the score's arrays: count up when it changes
# The parser of `music.cache.PARSERS` whose code decides what a pair looks like, by reading.
_PARSER = {"match": "match", "piano_midi": "piano_performance", "aligned": "aligned_performance"}


@dataclass(frozen=True)
class PairFigures:
    """What is known of a pair without building it.

    Args:
        bars, notes: of the score.
        played: of these notes, those that are played.
        seconds: from the first played onset to the last release.
    """

    bars: int
    notes: int
    played: int
    deletions: int
    insertions: int
    ornaments: int
    seconds: float


def figures_of(pair: PairedPerformance) -> PairFigures:
    """Counts of a pair and how long it lasts."""
    played = pair.performance.notes
    return PairFigures(
        bars=len(pair.score.bars),
        notes=len(pair.score.notes),
        played=len(played),
        deletions=pair.deletions,
        insertions=pair.insertions,
        ornaments=pair.ornaments,
        seconds=round(pair.performance.end_sec - played[0].onset_sec, 3) if played else 0.0,
    )


def pair_to_arrays(pair: PairedPerformance) -> Arrays:
    """A pair as plain arrays.

    Those of `score_to_arrays`, and `played` int64 [note, 3] (index into the score's notes, pitch, velocity), `times`
    float64 [note, 2] (onset and duration in seconds), `pedals` float64 [move, 2] (seconds, value) and `counts`
    int64 [3] (deletions, insertions, ornaments).
    """
    place = {note.id: i for i, note in enumerate(pair.score.notes)}
    notes = pair.performance.notes
    return score_to_arrays(pair.score) | {
        "played": np.array([(place[n.note_id], n.pitch, n.velocity) for n in notes], dtype=np.int64).reshape(-1, 3),
        "times": np.array([(n.onset_sec, n.duration_sec) for n in notes], dtype=np.float64).reshape(-1, 2),
        "pedals": np.array([(p.onset_sec, p.value) for p in pair.performance.pedals], dtype=np.float64).reshape(-1, 2),
        "counts": np.array([pair.deletions, pair.insertions, pair.ornaments], dtype=np.int64),
    }


def _performance(score: Score, arrays: Arrays) -> Performance:
    ids = [note.id for note in score.notes]
    rows = zip(arrays["played"].tolist(), arrays["times"].tolist(), strict=True)
    notes = tuple(PerformedNote(ids[i], on, length, pitch, v) for (i, pitch, v), (on, length) in rows)
    return Performance(notes, tuple(Pedal(sec, int(value)) for sec, value in arrays["pedals"].tolist()))


def pair_from_arrays(arrays: Arrays) -> PairedPerformance:
    """Inverse of `pair_to_arrays`.

    Raises:
        KeyError, ValueError, TypeError, IndexError, ScoreError: arrays that are not a pair's.
    """
    score = score_from_arrays(arrays)
    deletions, insertions, ornaments = arrays["counts"].tolist()
    return PairedPerformance(score, _performance(score, arrays), deletions, insertions, ornaments)


class PerformanceCache(ScoreCache):
    """A folder of pairs; an entry holds one pair, or the reason why its file gives none."""

    def version(self, reading: str) -> str:
        """The version that entries of this reading must have."""
        return self._version or f"{code_version(_PARSER[reading])}-{FORMAT}"

    def put_pair(
        self, source_sha256: str, reading: str, pair: PairedPerformance | None, reason: str = ""
    ) -> CacheEntry:
        """Writes an entry: a pair, or the reason why the file is dropped.

        Raises:
            CacheError: see `write_atomically`.
        """
        entry, arrays, figures = CacheEntry(reason=reason), Arrays(), None
        if pair is not None:
            found = figures_of(pair)
            entry = CacheEntry((found.bars,), (found.notes,), ("piano",))
            arrays, figures = pair_to_arrays(pair), asdict(found)
        arrays["head"] = json_array({"version": self.version(reading), "figures": figures, **entry.as_json()})
        arrays["checksum"] = np.frombuffer(checksum_of(arrays).encode("ascii"), dtype=np.uint8)
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **arrays)
        write_atomically(self.path(source_sha256, reading), stream.getvalue())
        return entry

    def figures(self, source_sha256: str, reading: str) -> PairFigures:
        """Counts of an entry that was there a moment ago. Raises CacheError where it is not any more."""
        return self._made(
            source_sha256, reading, lambda arrays: PairFigures(**from_json_array(arrays["head"])["figures"])
        )

    def load_pair(self, source_sha256: str, reading: str) -> PairedPerformance:
        """The pair of an entry.

        Raises:
            CacheError: there is no entry of the running code's version, or it is damaged.
        """
        return self._made(source_sha256, reading, pair_from_arrays)

    def _made(self, source_sha256: str, reading: str, make: Callable[[Arrays], T]) -> T:
        found = self._read(source_sha256, reading)
        try:
            if found is not None:
                return make(found[1])
        except (KeyError, ValueError, TypeError, IndexError, ScoreError):
            pass  # whole, but not a pair's: as good as absent
        path = self.path(source_sha256, reading)
        raise CacheError(path, "this performance is missing, damaged or from other code; run task=prepare again")
