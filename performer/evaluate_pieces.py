"""Pieces as pianists play them, for measuring: one score, and the columns of every performance of just that score.

A composition may have several scores (editions, with and without repeats). Performances are compared where their scores
have the same notes at the same places; ids may differ, since notes are joined by onset, pitch and order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from evaluation.performances import Layout, Played, layout, played
from music.paired import PairedPerformance
from music.performance import Performance
from music.score import Score
from performer.codec import encode


@runtime_checkable
class Origin(Protocol):
    """What is asked of a corpus entry: `music.performance_corpus.PerformanceEntry` has it."""

    @property
    def composition(self) -> str:
        """The piece or movement, whatever its edition."""
        ...

    @property
    def composer(self) -> str:
        """Who wrote it."""
        ...

    @property
    def style(self) -> str:
        """A style tag, or "" for none."""
        ...

    @property
    def pianist(self) -> str:
        """Who plays."""
        ...


@dataclass(frozen=True, eq=False)
class Piece:
    """A score and its pianists.

    Args:
        composition, composer, style: what it is.
        edition: which of the composition's scores, from 0.
        score: the notes.
        layout: the same as the measures ask for them.
        pianists: names, one a performance.
        played: their performances.
        seconds: how long each takes from the first onset to the last.
    """

    composition: str
    composer: str
    style: str
    edition: int
    score: Score
    layout: Layout
    pianists: tuple[str, ...]
    played: tuple[Played, ...]
    seconds: tuple[float, ...]

    @property
    def pairs(self) -> list[tuple[Played, Played]]:
        """Performances of two different pianists, each two once; a second take is no second pianist."""
        return [
            (self.played[i], self.played[j])
            for i, j in combinations(range(len(self.played)), 2)
            if self.pianists[i] != self.pianists[j]
        ]

    def others(self, index: int) -> list[Played]:
        """What all other pianists than that of a performance play."""
        return [q for who, q in zip(self.pianists, self.played, strict=True) if who != self.pianists[index]]


def columns(score: Score, performance: Performance, where: Layout) -> Played:
    """The columns of a performance of a score, by the performer's codec.

    Raises:
        ScoreError: the performance plays a note that the score lacks, or nothing.
    """
    found = encode(score, performance)
    return played(where, found.known, found.beat_period, found.timing, found.articulation_log, found.velocity)


def pieces_of(pairs: Iterable[tuple[Origin, PairedPerformance]]) -> list[Piece]:
    """Pieces in order of composition and edition; performances in the order in which they come."""
    pieces: dict[tuple[str, tuple[tuple[int, int], ...]], Piece] = {}
    editions: dict[str, int] = {}
    for origin, pair in pairs:
        places = tuple(sorted((n.onset_div, n.pitch) for n in pair.score.notes))
        key = (origin.composition, places)
        if key not in pieces:
            edition = editions.get(origin.composition, 0)
            editions[origin.composition] = edition + 1
            what = (origin.composition, origin.composer, origin.style, edition)
            pieces[key] = Piece(*what, pair.score, layout(pair.score), (), (), ())
        piece = pieces[key]
        # The order of notes is the same in all of the scores; the lengths that each is held to are its own.
        where = piece.layout if pair.score is piece.score else replace(piece.layout, grace=_grace(pair.score))
        onsets = [n.onset_sec for n in pair.performance.notes]
        pieces[key] = replace(
            piece,
            pianists=(*piece.pianists, origin.pianist),
            played=(*piece.played, columns(pair.score, pair.performance, where)),
            seconds=(*piece.seconds, max(onsets) - min(onsets)),
        )
    return sorted(pieces.values(), key=lambda p: (p.composition, p.edition))


def chosen(
    pairs: Iterable[tuple[Origin, PairedPerformance]], wanted: int | Sequence[str] | None
) -> Iterable[tuple[Origin, PairedPerformance]]:
    """The performances of some compositions.

    Args:
        pairs: all.
        wanted: names of compositions; or how many of those that two pianists play, spread over the list; None for all.
    """
    if wanted is None:
        return pairs
    if isinstance(wanted, int):
        pairs = list(pairs)
        players: dict[str, set[str]] = {}
        for origin, _ in pairs:
            players.setdefault(origin.composition, set()).add(origin.pianist)
        names = sorted(name for name, who in players.items() if len(who) > 1)
        wanted = [names[i * len(names) // wanted] for i in range(wanted)] if wanted < len(names) else names
    return [(origin, pair) for origin, pair in pairs if origin.composition in wanted]


def _grace(score: Score) -> Bool[np.ndarray, " notes"]:
    notes = sorted(score.notes, key=lambda n: (n.onset_div, n.pitch, n.id))
    return np.array([n.duration_div == 0 for n in notes], dtype=bool)
