"""The character of sections: how dense, how high, how loud, in which texture and at which pace.

Episodes differ from the refrain in two or three of these; an exact return has its model's; variations grow livelier.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from music.plan import DYNAMICS
from music.time import Meter
from planner.dice import Dice, pick, pick_from
from planner.frame import Frame, Place
from planner.styles import STYLES
from planner.texture_model import usual

_LEAST_DENSITY, _MOST_A_SECOND = 1.5, 14.0
_CONTRAST = {
    "chorale": {"chorale": 1.0},
    "melody_accompaniment": {"alberti": 2.0, "imitation": 1.0, "chorale": 1.0, "melody_accompaniment": 1.0},
    "alberti": {"melody_accompaniment": 2.0, "imitation": 1.0, "chorale": 1.0},
    "imitation": {"melody_accompaniment": 2.0, "alberti": 1.0, "chorale": 0.7},
    "free": {"melody_accompaniment": 2.0, "imitation": 1.0},
}


@dataclass(frozen=True)
class Character:
    """The fields of a `music.plan.Section` that say how it sounds, not what."""

    density: float
    register: float
    texture: str
    dynamic: str
    tempo_scale: float


def characters(frame: Frame, dice: Dice) -> list[Character]:
    """The character of each section of a frame."""
    found: list[Character] = []
    episodes: dict[str, int] = {}
    first = _first(frame, dice)
    for index, place in enumerate(frame.places):
        if place.source is not None:
            found.append(_return(found[place.source], place, frame, index, dice))
        elif index == 0:
            found.append(first)
        else:
            number = episodes.setdefault(place.slot.letter, len(episodes))
            found.append(_contrast(first, place, frame, number, dice))
    return found


def _first(frame: Frame, dice: Dice) -> Character:
    rng = dice.stream("character")
    people = usual(frame.ensemble, frame.style)
    # Most sections of real pieces of the style; chorales are alike, piano pieces are not.
    density = float(np.interp(rng.random(), (0, 0.5, 1), people.densities)) * _pace(frame.meter, frame.tempo_qpm)
    texture = pick_from(rng, STYLES[frame.style].textures)
    dynamic = pick(rng, ("p", "mp", "mf", "f"), (2, 2, 4, 1.5))
    return Character(_density(density, frame), people.register, texture, dynamic, 1.0)


def _pace(meter: Meter, tempo_qpm: float) -> float:
    """Slow quarters hold more notes; at 100 a minute the factor is 1."""
    return min(1.5, max(0.7, (100 / tempo_qpm) ** 0.4))


def _density(value: float, frame: Frame) -> float:
    most = _MOST_A_SECOND * 60 / frame.tempo_qpm
    return round(max(_LEAST_DENSITY, min(value, most)), 2)


def _contrast(base: Character, place: Place, frame: Frame, number: int, dice: Dice) -> Character:
    rng = dice.stream(f"character {place.slot.letter}")
    chorale = base.texture == "chorale"
    livelier = rng.random() < (0.6 if number % 2 == 0 else 0.4)
    factor = 1.0 if chorale else rng.uniform(1.15, 1.4) if livelier else rng.uniform(0.65, 0.85)
    louder = place.slot.role == "development" or livelier
    pace = 1.0
    if not chorale and not livelier and place.slot.role != "development" and rng.random() < 0.5:
        pace = round(rng.uniform(0.88, 0.97), 2)
    return Character(
        density=_density(base.density * factor, frame),
        register=round(base.register + pick(rng, (-1, 1)) * rng.uniform(1.0, 3.0), 1),
        texture=pick_from(rng, _CONTRAST[base.texture]),
        dynamic=louder_by(base.dynamic, 1 if louder else -1),
        tempo_scale=pace,
    )


def _return(model: Character, place: Place, frame: Frame, index: int, dice: Dice) -> Character:
    primes = place.label.count("'")
    if place.slot.role != "variation" or primes == 0:
        last = index == len(frame.places) - 1 and len(frame.places) > 2 and primes > 0
        return replace(model, dynamic=louder_by(model.dynamic, 1)) if last else model
    rng = dice.stream(f"character {place.label}")
    if place.key.minor != frame.key.minor:  # the variation in the other mode is the calm one
        quiet = louder_by(model.dynamic, -1)
        return replace(model, density=_density(model.density * 0.9, frame), dynamic=quiet, tempo_scale=0.9)
    factor = min(1.8, 1.0 + 0.15 * primes + rng.uniform(0, 0.1))
    texture = pick_from(rng, _CONTRAST[model.texture] | {model.texture: 1.0})
    change = int(rng.integers(-1, 2)) if primes > 1 else 0
    return replace(
        model,
        density=_density(model.density * factor, frame),
        texture=texture,
        dynamic=louder_by(model.dynamic, change),
        register=round(model.register + rng.uniform(-1.5, 1.5), 1),
    )


def contrast_textures(texture: str) -> dict[str, float]:
    """Weights of the textures of an episode beside a refrain of `texture`."""
    return _CONTRAST[texture]


def louder_by(dynamic: str, steps: int) -> str:
    """The dynamic so many steps louder (softer if negative), between pp and ff."""
    low, high = DYNAMICS.index("pp"), DYNAMICS.index("ff")
    return DYNAMICS[min(high, max(low, DYNAMICS.index(dynamic) + steps))]
