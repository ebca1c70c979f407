"""The network looks only where it may: not at the future, not at higher notes, not at other pieces of a batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from composer.conditions import (
    CONTEXT_FIELDS,
    FIELD,
    GROUPS,
    LOOK_AHEAD,
    PITCH_CLASS_FIELDS,
    PITCH_FIELDS,
    Conditions,
)
from composer.features import (
    AHEAD,
    CHOICE_WIDTH,
    LOCAL_WIDTH,
    Frames,
    choice_features,
    feature_names,
    global_blocks,
    global_features,
    local_features,
)
from composer.likelihood import piece_nats
from composer.network import NetworkConfig, frame_nats
from composer.roll import LOWEST_PITCH
from composer.stepper import Stepper
from composer.windows import planned_window
from tests.composer_cases import SMALL, STYLES, made_example, made_frames, small_network

STEP, PITCH = 9, 17  # the place whose logits are watched


def _logits(frames: Frames) -> torch.Tensor:
    with torch.no_grad():
        return small_network()(frames)[0]


def _flip(bits: torch.Tensor, *place: slice | int) -> torch.Tensor:
    changed = bits.clone()
    changed[place] = ~changed[place]
    return changed


def test_widths_are_the_sums_of_the_blocks() -> None:
    frames = made_frames()
    assert local_features(frames).shape[-1] == LOCAL_WIDTH
    assert global_features(frames, len(STYLES)).shape[-1] == sum(global_blocks(len(STYLES)).values())
    play = frames.play[:, 1:].float()
    assert choice_features(play, play, frames.lowest).shape[-1] == CHOICE_WIDTH
    assert sum(feature_names(2)["local"].values()) == LOCAL_WIDTH


def test_the_future_of_time_moves_nothing() -> None:
    frames = made_frames()
    before = _logits(frames)
    # Row STEP + 1 is the target of STEP; all later rows, and this row's higher pitches, lie ahead.
    changed = replace(
        frames,
        play=_flip(frames.play, slice(None), slice(STEP + 2, None)),
        articulate=_flip(frames.articulate, slice(None), slice(STEP + 2, None)),
        context=frames.context.clone(),
    )
    changed.context[:, STEP + 1 :] = 1
    assert torch.equal(before[:, : STEP + 1], _logits(changed)[:, : STEP + 1])
    assert not torch.equal(before[:, STEP + 1 :], _logits(changed)[:, STEP + 1 :])


def test_reference_and_fixed_notes_are_seen_just_so_far_ahead() -> None:
    frames = made_frames()
    before = _logits(frames)
    first = STEP + max(AHEAD) + 1
    beyond = replace(frames, reference_play=_flip(frames.reference_play, slice(None), slice(first, None)))
    assert torch.equal(before[:, : STEP + 1], _logits(beyond)[:, : STEP + 1])
    within = replace(frames, reference_play=_flip(frames.reference_play, slice(None), slice(STEP + 4, STEP + 5)))
    assert not torch.equal(before[:, STEP], _logits(within)[:, STEP])
    assert max(AHEAD) <= LOOK_AHEAD


def test_higher_notes_of_the_frame_move_nothing() -> None:
    frames = made_frames()
    before = _logits(frames)
    above = (slice(None), STEP + 1, slice(PITCH, None))
    changed = replace(frames, play=_flip(frames.play, *above), articulate=_flip(frames.articulate, *above))
    after = _logits(changed)
    assert torch.equal(before[:, : STEP + 1, : PITCH + 1], after[:, : STEP + 1, : PITCH + 1])
    assert not torch.equal(before[:, STEP, PITCH + 1 :], after[:, STEP, PITCH + 1 :])


def test_a_lower_note_of_the_frame_does_move_a_higher_one() -> None:
    frames = made_frames()
    changed = replace(frames, play=_flip(frames.play, slice(None), STEP + 1, PITCH - 3))
    assert not torch.equal(_logits(frames)[:, STEP, PITCH], _logits(changed)[:, STEP, PITCH])


def test_other_items_of_the_batch_move_nothing() -> None:
    frames = made_frames()
    before = _logits(frames)
    changed = replace(
        frames,
        play=_flip(frames.play, 1),
        articulate=_flip(frames.articulate, 1),
        reference_play=_flip(frames.reference_play, 1),
        lowest=frames.lowest + torch.tensor([0, 5, 0]),
    )
    after = _logits(changed)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_group_of_conditions_is_heard(group: str) -> None:
    frames = made_frames()
    context = frames.context.clone()
    context[..., [FIELD[name] for name in GROUPS[group]]] = -1
    if torch.equal(context, frames.context):  # concealed already by chance
        context[..., [FIELD[name] for name in GROUPS[group]]] = 1
    assert not torch.equal(_logits(frames), _logits(replace(frames, context=context)))


def test_features_move_with_the_music() -> None:
    """Moving notes, window, key and chords by the same interval leaves all but register and pitch class as it was."""
    frames = made_frames()
    context = frames.context.clone()
    for name in PITCH_CLASS_FIELDS:
        column = context[..., FIELD[name]]
        context[..., FIELD[name]] = torch.where(column < 0, column, (column + 3) % 12)
    for name in PITCH_FIELDS:
        context[..., FIELD[name]] += 3 * (context[..., FIELD[name]] >= 0)
    moved = replace(frames, lowest=frames.lowest + 3, context=context)
    start = 8 + 12  # register bumps and absolute pitch class
    assert torch.allclose(local_features(frames)[..., start:], local_features(moved)[..., start:])


def _step_by_step(example_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Nats of a piece by teacher forcing, and by the sampler's step function whose draws are made to give the piece."""
    network, example = small_network(), made_example(example_seed)
    forced = piece_nats(network, example)
    steps = example.roll.steps
    window = planned_window(example, 0, steps)
    references = window.reference_play[:steps], window.reference_articulate[:steps]
    told = Conditions(window.context, *references, window.reference_kind, window.fixed[:steps])
    stepper = Stepper(network, (LOWEST_PITCH, LOWEST_PITCH + 87))
    nats = []
    for step in range(steps):
        target = np.stack([window.play[step + 1], window.articulate[step + 1]])[None]
        before = window.play[step : step + 1], window.articulate[step : step + 1]
        # A draw of 0 takes every note, one of 1 none.
        drawn = stepper.step([told], step, *before, np.where(target, 0.0, 1.0))
        assert np.array_equal(drawn.play, target[:, 0])
        assert np.array_equal(drawn.articulate, target[:, 1])
        nats.append(-float(drawn.log_prob[0]))
    return forced, np.array(nats)


@pytest.mark.parametrize("seed", [0, 1])
def test_teacher_forcing_equals_step_by_step(seed: int) -> None:
    forced, stepped = _step_by_step(seed)
    assert np.abs(forced - stepped).max() < 1e-4


def test_nats_are_those_of_independent_bits() -> None:
    frames = made_frames()
    logits = torch.zeros(*frames.play[:, 1:].shape, 2)
    play = frames.play[:, 1:].sum(-1)
    expected = (frames.play.shape[2] + play) * np.log(2.0)
    assert torch.allclose(frame_nats(logits, frames), expected.float())


def test_config_survives_builtins() -> None:
    assert NetworkConfig.from_dict(SMALL.to_dict()) == SMALL
    assert len(CONTEXT_FIELDS) == len(set(CONTEXT_FIELDS))
