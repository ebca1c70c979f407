"""Small networks and made-up pieces for the tests of the composer: no corpus, no weights file."""

from __future__ import annotations

import numpy as np
import torch

from composer.conditions import ATTACK, FIELD, FREE, HOLD, OFF, plan_context
from composer.examples import Example
from composer.features import Frames
from composer.network import BiaxialNetwork, NetworkConfig
from composer.roll import PITCHES, Roll
from composer.windows import WindowConfig, collate, draw_window
from tests.contract_composer import chorale_plan, piano_plan

STYLES = ("bach_chorale", "haydn_quartet")
SMALL = NetworkConfig(projection=12, time_units=(16, 16), note_units=(12, 8), dropout=0.0, styles=STYLES)
WINDOWS = WindowConfig(steps=16, batch=4, transpose=2)


def small_network(seed: int = 0, config: NetworkConfig = SMALL) -> BiaxialNetwork:
    """A network with random weights large enough that every input moves the output."""
    torch.manual_seed(seed)
    network = BiaxialNetwork(config)
    with torch.no_grad():
        for value in network.parameters():
            value.mul_(2.0)
        network.output.bias.copy_(torch.tensor([-1.5, 0.0]))
    return network.eval()


def made_roll(seed: int, steps: int, grid: int = 4) -> Roll:
    """Four voices that move by small steps and are struck every few steps."""
    rng = np.random.default_rng(seed)
    play = np.zeros((steps, PITCHES), dtype=bool)
    articulate = np.zeros_like(play)
    for pitch in (30, 36, 41, 48):
        step = 0
        while step < steps:
            length = int(rng.choice([2, 4, 4, 8]))
            pitch = int(np.clip(pitch + rng.integers(-2, 3), 24, 56))
            play[step : step + length, pitch] = True
            articulate[step, pitch] = True
            step += length
    return Roll(play, articulate, np.ones(steps, dtype=bool), grid)


def made_example(seed: int) -> Example:
    """A piece of the length of a plan, with the plan's columns; its second half returns to its first."""
    plan = (piano_plan, chorale_plan)[seed % 2]()
    steps = plan.end_div // 2520
    roll = made_roll(seed, steps)
    returns = np.full((steps, 2), -1, dtype=np.int32)
    returns[:, 1] = 0
    half = steps // 2
    returns[half : 2 * half, 0] = np.arange(half)
    returns[half:, 1] = 2
    top = roll.play.argmax(1)
    melody = np.zeros_like(roll.play)
    melody[np.arange(steps), top] = roll.play[np.arange(steps), top]
    context = plan_context(plan, 4, steps, STYLES)
    bars = np.array(sorted({0, steps, *np.flatnonzero(context[:, FIELD["bar_step"]] == 0).tolist()}))
    rng, count = np.random.default_rng(seed), len(bars) - 1
    likeness = rng.integers(0, 256, (count, count)).astype(np.uint8)
    shifts = rng.integers(-3, 4, (count, count)).astype(np.int8)
    lines = (melody, melody & roll.articulate)
    return Example(f"made{seed}", roll, context, lines, returns, bars, likeness, shifts, annotated=False)


def made_frames(seed: int = 0, items: int = 3, steps: int = 16, width: int = 40) -> Frames:
    """A batch with every kind of condition in it."""
    rng = np.random.default_rng(seed)
    windows = [draw_window(rng, made_example(i), WindowConfig(steps=steps, batch=items, drop_all=0.0, fix=1.0))
               for i in range(items)]  # fmt: skip
    frames = collate(windows, [42, 43, 44][:items], width)
    assert {FREE, OFF, HOLD, ATTACK} & set(np.unique(frames.fixed.numpy()))
    return frames
