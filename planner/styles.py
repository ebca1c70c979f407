"""The styles that a plan can be tagged with, and what each prefers where the request says nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """What a style prefers.

    Args:
        ensemble: who plays, where the request names the style but no ensemble.
        meters: weights of meters as text.
        tempo: range of the beat (not the quarter) a minute.
        textures: weights of textures for the first section.
        chords_per_bar: 1 one or two chords a bar, 2 mostly two, 4 a chord on every beat.
        minor: share of pieces in minor.
    """

    ensemble: str
    meters: dict[str, float]
    tempo: tuple[float, float]
    textures: dict[str, float]
    chords_per_bar: int
    minor: float


_QUARTET_METERS = {"4/4": 4.0, "3/4": 3.0, "2/4": 2.5, "6/8": 1.0}

STYLES: dict[str, Style] = {
    "bach_chorale": Style("satb", {"4/4": 5.0, "3/4": 1.0}, (66.0, 88.0), {"chorale": 1.0}, 4, 0.45),
    "haydn_quartet": Style(
        "quartet",
        _QUARTET_METERS,
        (84.0, 138.0),
        {"melody_accompaniment": 3.0, "imitation": 1.0, "alberti": 1.0},
        1,
        0.2,
    ),
    "mozart_quartet": Style(
        "quartet",
        _QUARTET_METERS,
        (80.0, 132.0),
        {"melody_accompaniment": 3.0, "alberti": 1.5, "imitation": 0.7},
        1,
        0.2,
    ),
    "beethoven_quartet": Style(
        "quartet", _QUARTET_METERS, (72.0, 144.0), {"melody_accompaniment": 2.0, "imitation": 1.5, "free": 1.0}, 1, 0.35
    ),
    "schumann_quartet": Style(
        "quartet", _QUARTET_METERS, (66.0, 126.0), {"melody_accompaniment": 2.5, "imitation": 1.0, "free": 1.0}, 2, 0.4
    ),
}

# The style of a piece for which only the ensemble is asked, or nothing: the trained material nearest to it.
STYLE_OF_ENSEMBLE = {"piano": "haydn_quartet", "satb": "bach_chorale", "quartet": "mozart_quartet"}
