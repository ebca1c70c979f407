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


# Meters and shares of minor of the piano styles are about those of the pieces of piano-midi.de that are trained on.


def _piano(meters: dict[str, float], tempo: tuple[float, float], *, alberti: float, minor: float) -> Style:
    textures = {"melody_accompaniment": 3.0, "alberti": alberti, "free": 0.5}
    return Style("piano", meters, tempo, textures, 1, minor)  # the pieces have 1.3 to 2 chords a bar


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
    "mendelssohn_quartet": Style(
        "quartet", _QUARTET_METERS, (72.0, 144.0), {"melody_accompaniment": 2.0, "imitation": 1.5, "free": 1.0}, 2, 0.5
    ),
    "schubert_quartet": Style(
        "quartet", _QUARTET_METERS, (66.0, 126.0), {"melody_accompaniment": 3.0, "imitation": 1.0, "free": 1.0}, 2, 0.5
    ),
    "haydn_piano": _piano({"3/4": 3.3, "2/4": 3.2, "4/4": 2.9}, (76.0, 132.0), alberti=2.0, minor=0.15),
    "mozart_piano": _piano({"3/4": 3.0, "2/4": 2.0, "4/4": 4.0, "6/8": 1.0}, (76.0, 132.0), alberti=3.0, minor=0.15),
    "clementi_piano": _piano({"3/4": 2.0, "2/4": 2.5, "4/4": 2.7, "6/8": 1.0}, (84.0, 138.0), alberti=3.0, minor=0.1),
    "beethoven_piano": _piano({"2/4": 4.1, "4/4": 2.1, "3/4": 2.0, "6/8": 0.8}, (66.0, 138.0), alberti=1.5, minor=0.45),
    "schubert_piano": _piano({"4/4": 4.0, "3/4": 3.0, "2/4": 1.0, "6/8": 0.8}, (66.0, 120.0), alberti=1.5, minor=0.3),
    "mendelssohn_piano": _piano(
        {"4/4": 2.5, "6/8": 3.0, "2/4": 1.0, "3/4": 1.0}, (66.0, 120.0), alberti=1.0, minor=0.3
    ),
    "chopin_piano": _piano({"3/4": 3.9, "4/4": 2.9, "2/4": 1.3, "6/8": 0.9}, (60.0, 132.0), alberti=1.0, minor=0.5),
    "schumann_piano": _piano({"2/4": 4.5, "3/4": 3.1, "6/8": 1.5, "4/4": 0.8}, (66.0, 126.0), alberti=1.0, minor=0.4),
    "liszt_piano": _piano({"2/4": 4.0, "4/4": 2.5, "6/8": 2.0}, (60.0, 120.0), alberti=1.0, minor=0.55),
    "brahms_piano": _piano({"6/8": 3.2, "4/4": 2.5, "3/4": 1.8, "2/4": 0.8}, (60.0, 116.0), alberti=0.7, minor=0.45),
    "grieg_piano": _piano({"2/4": 3.6, "6/8": 2.7, "3/4": 1.7, "4/4": 1.5}, (66.0, 126.0), alberti=1.0, minor=0.55),
    "tchaikovsky_piano": _piano(
        {"3/4": 2.8, "4/4": 2.8, "6/8": 2.1, "2/4": 2.0}, (66.0, 126.0), alberti=1.0, minor=0.4
    ),
}

# The style of a piece for which only the ensemble is asked, or nothing: the trained material nearest to it.
STYLE_OF_ENSEMBLE = {"piano": "beethoven_piano", "satb": "bach_chorale", "quartet": "mozart_quartet"}
