"""The compiled walk through a theme is the walk that can be read, to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from music.pitch import Key
from music.time import Meter
from planner import drawing
from planner.drawing import WholeLimits, draw
from planner.harmony_symbols import VALID
from planner.network_config import StreamConfig
from planner.stepper import Stepper
from planner.theme_ahead import ThemeLimits, uniform_tables
from planner.theme_scene import MAX_UPBEAT, UNIT_DIV, ThemeScene
from planner.theme_stream import STREAM, ThemeWalker

METERS = ("2/4", "3/4", "4/4", "6/8", "5/4", "3/8", "12/8", "3/2", "4/2")


@dataclass
class StepByStep:
    """Limits without their way through the whole."""

    limits: ThemeLimits

    def weights(self, walker: Any) -> np.ndarray | None:
        """See `planner.drawing.Limits`."""
        return self.limits.weights(walker)


def made_stepper(seed: int = 0) -> Stepper:
    """A network of random numbers, large enough that columns matter."""
    config = StreamConfig.of(STREAM, units=12, embedding=8)
    rng = np.random.default_rng(seed)
    return Stepper(
        config, {name: rng.normal(0, 0.5, shape).astype(np.float16) for name, shape in config.shapes.items()}
    )


def made_scene(number: int) -> ThemeScene:
    """Every meter, both modes, chords of all kinds that change within bars, phrases that close in all ways."""
    rng = np.random.default_rng(number)
    meter, bars = Meter.parse(METERS[number % len(METERS)]), int(rng.integers(1, 9))
    first = int(rng.integers(1, bars + 1))
    closes = [None if c == "-" else str(c) for c in rng.choice(["PAC", "IAC", "HC", "DC", "-"], 2)]
    unit = meter.bar_div // UNIT_DIV // 4
    onsets = sorted({0, *rng.integers(0, 4 * bars, 2 * bars).tolist()})
    symbols = rng.choice(np.flatnonzero(VALID), len(onsets)).tolist()
    return ThemeScene(
        label="AB"[number % 2],
        style=number % 5,
        ensemble=1 + number % 3,
        meter=meter,
        key=Key.parse(["C", "f#", "Bb", "e"][number % 4]),
        home=number % 3 > 0,
        number=number % 2,
        tempo_qpm=float(rng.integers(40, 200)),
        density=float(rng.uniform(0.5, 9)) if number % 4 else None,
        register=float(rng.uniform(48, 76)) if number % 4 else None,
        pickup=(0, 24, 12)[number % 3],
        bars=bars,
        phrases=((first, closes[0]), (bars, closes[1])) if first < bars else ((bars, closes[0]),),
        chords=tuple((onset * unit, symbol) for onset, symbol in zip(onsets, symbols, strict=True))
        if number % 7
        else (),
        first=(float(rng.uniform(4, 30)), float(rng.uniform(60, 84))) if number % 2 else None,
    )


@pytest.mark.parametrize(("temperature", "points"), [(1.0, 256), (0.5, 16)])
def test_the_whole_walk_is_the_walk_step_by_step(
    temperature: float, points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_POINTS", points)  # numbers of chance at a time
    stepper, compared, lengths = made_stepper(), 0, set()
    for number in range(72):
        scene = made_scene(number)
        try:
            limits = ThemeLimits(scene, uniform_tables(), (55, 81), grid=(1, 4, 6)[number % 3])
        except ValueError:
            continue
        assert isinstance(limits, WholeLimits)
        found = []
        for kind in (limits, StepByStep(limits)):
            walker, rng = ThemeWalker(scene), np.random.default_rng(number)
            values = draw(stepper, walker, kind, rng, temperature)
            theme = walker.theme()
            state = stepper.network.state[: stepper.config.units].tobytes()
            found.append((values, theme, walker.bars, walker.tonic, walker.upbeat, walker.end, state, rng.random()))
        assert found[0] == found[1], number
        compared += 1
        lengths.add(len(found[0][0]))
    assert compared > 50
    assert min(lengths) < 16 < max(lengths)


def test_what_cannot_be_completed_is_named() -> None:
    scene = made_scene(2)
    limits = ThemeLimits(scene, uniform_tables(), (55, 81))
    limits.bars = ()
    with pytest.raises(RuntimeError, match="theme: no bars is possible"):
        draw(made_stepper(), ThemeWalker(scene), limits, np.random.default_rng(0))


def test_a_walk_led_to_its_end_is_that_of_its_values() -> None:
    scene = made_scene(4)
    limits = ThemeLimits(scene, uniform_tables(), (55, 81))
    led, pushed = ThemeWalker(scene), ThemeWalker(scene)
    for value in draw(made_stepper(), led, limits, np.random.default_rng(1)):
        pushed.push(value)
    assert led.field is pushed.field is None
    assert led.theme() == pushed.theme()
    assert (led.onsets, led.durations, led.pitches) == (pushed.onsets, pushed.durations, pushed.pitches)
    assert led.onsets[0] >= -MAX_UPBEAT
