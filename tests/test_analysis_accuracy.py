"""The chord and key finders against people's analyses of eight chorales that music21 carries."""

from __future__ import annotations

import pytest

from benchmarks.analysis import measure_cadences, measure_harmony, template_baseline
from benchmarks.romantext import Analysed, half_of, load_pair, music21_chorales
from music.analysis.chords import analyse_harmony

WORKS = 8


@pytest.fixture(scope="module")
def pieces() -> list[Analysed]:
    """Eight chorales of the half on which nothing was tuned."""
    pairs = [(name, path) for name, path in music21_chorales().items() if half_of(name) == "test"]
    loaded = [load_pair(pair) for pair in pairs[: WORKS + 2]]  # two may be unreadable
    found = [piece for piece in loaded if isinstance(piece, Analysed)][:WORKS]
    assert len(found) == WORKS
    return found


def test_chords_and_keys_agree_with_people(pieces: list[Analysed]) -> None:
    ours, plain = measure_harmony(pieces, analyse_harmony), measure_harmony(pieces, template_baseline)
    assert ours["root"] > 0.9
    assert ours["full"] > 0.85
    assert ours["key"] > 0.8
    assert ours["root"] > plain["root"] + 0.05
    assert ours["full"] > plain["full"] + 0.1


def test_cadences_agree_with_people(pieces: list[Analysed]) -> None:
    assert measure_cadences(pieces)["all"]["accuracy"] > 0.75
