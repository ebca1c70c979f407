"""Joint likelihood of whole pieces under the network, in nats a frame over all 88 pitches."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from composer.conditions import GROUPS, NO_REFERENCE, drop_groups
from composer.examples import Example
from composer.network import BiaxialNetwork, State, frame_nats
from composer.roll import LOWEST_PITCH, PITCHES
from composer.windows import Window, collate, planned_window

CHUNK = 64  # steps at a time; the time axis' state is carried over
Told = Literal["plan", "sections", "plan_without_reference", "nothing"]
# What is concealed; "sections" leaves what is told of whole sections and phrases, and the references.
CONCEALED: dict[Told, tuple[str, ...]] = {"plan": (), "sections": ("bar", "similarity"), "nothing": tuple(GROUPS)}
CONCEALED["plan_without_reference"] = ("similarity",)


def _conceal(window: Window, told: Told) -> Window:
    """The window without what is not told."""
    window = replace(window, context=drop_groups(window.context, CONCEALED[told]))
    if told in ("plan", "sections"):
        return window
    silent = np.zeros_like(window.reference_play)
    return replace(
        window,
        reference_play=silent,
        reference_articulate=silent,
        reference_kind=np.full_like(window.reference_kind, NO_REFERENCE),
    )


@torch.no_grad()
def piece_nats(network: BiaxialNetwork, example: Example, *, told: Told = "plan") -> Float[ndarray, " steps"]:
    """Nats of each step of a piece, the first included; the frame before it is silence.

    Args:
        network: in evaluation mode.
        example: a piece.
        told: "plan": all conditions as a planner gives them, references from earlier bars alone, with what the piece's
            own bars say of texture and likeness; "sections": without these two, which are told bar by bar;
            "plan_without_reference": the plan without references; "nothing": none.
    """
    nats, state = [], None
    for first in range(0, example.roll.steps, CHUNK):
        steps = min(CHUNK, example.roll.steps - first)
        window = planned_window(example, first, steps)
        window = _conceal(window, told)
        frames = collate([window], [LOWEST_PITCH], PITCHES)
        logits, last = network(frames, state)
        carried: State = last
        state = carried
        nats.append(frame_nats(logits, frames)[0].numpy())
    return np.concatenate(nats)
