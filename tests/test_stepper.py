"""The step function gives the network's own logits, keeps notes told in advance, and obeys masks and rules."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch

from composer.conditions import ATTACK, FREE, HOLD, LOOK_AHEAD, OFF, Conditions
from composer.examples import Example
from composer.features import CHOICE_WIDTH, Frames, choice_features, global_features, local_features
from composer.grammar_masks import (
    Rules,
    _forbidden_by_doubling,
    _forbidden_by_hands,
    _forbidden_by_voices,
    tendency_tones,
)
from composer.network import BiaxialNetwork, NetworkConfig
from composer.roll import LOWEST_PITCH, PITCHES
from composer.step_features import choice_tables, conceal, previous_tables
from composer.stepper import Stepper
from music.errors import WeightsError
from music.pitch import Key
from tests.composer_cases import SMALL, STYLES, made_example, made_frames, small_network

RANGE = (40, 80)
LOW, HIGH = RANGE[0] - LOWEST_PITCH, RANGE[1] + 1 - LOWEST_PITCH
P = HIGH - LOW
DEEP = NetworkConfig(projection=10, time_units=(14,), note_units=(9, 9, 7), styles=STYLES)


def told_of(example: Example, seed: int, fix: float = 0.05) -> Conditions:
    """The columns of a made-up piece with a random reference and random notes set in advance."""
    rng = np.random.default_rng(seed)
    steps = len(example.context)
    reference = np.roll(example.roll.play, 3, axis=0)
    fixed = rng.choice([FREE, OFF, HOLD, ATTACK], (steps, PITCHES), p=[1 - fix, fix / 3, fix / 3, fix / 3])
    kinds = rng.integers(0, 3, steps).astype(np.int8)
    struck = np.roll(example.roll.articulate, 3, axis=0)
    return Conditions(example.context, reference, struck, kinds, fixed.astype(np.int8))


def sample(
    stepper: Stepper, told: list[Conditions], steps: int, seed: int = 0, **how: object
) -> tuple[np.ndarray, ...]:
    """Play and articulate [items, steps + 1, 88], row 0 silent, log-probabilities and logits of each step."""
    rng = np.random.default_rng(seed)
    play = np.zeros((stepper.items, steps + 1, PITCHES), dtype=bool)
    articulate = np.zeros_like(play)
    nats, logits = [], []
    for step in range(steps):
        draws = rng.random((stepper.items, 2, P))
        drawn = stepper.step(told, step, play[:, step], articulate[:, step], draws, **how)  # type: ignore[arg-type]
        play[:, step + 1, LOW:HIGH], articulate[:, step + 1, LOW:HIGH] = drawn.play, drawn.articulate
        nats.append(drawn.log_prob)
        logits.append(stepper.logits.copy())
    return play, articulate, np.stack(nats, axis=1), np.stack(logits, axis=1)


def forced(network: BiaxialNetwork, told: list[Conditions], play: np.ndarray, articulate: np.ndarray) -> np.ndarray:
    """Logits of the network under teacher forcing, [items, steps, P, 2]."""
    steps = play.shape[1] - 1

    def stack(name: str, ahead: int) -> torch.Tensor:
        rows = [np.pad(getattr(t, name), ((0, LOOK_AHEAD), *[(0, 0)] * (getattr(t, name).ndim - 1)))[: steps + ahead]
                for t in told]  # fmt: skip
        return torch.from_numpy(np.stack(rows))

    frames = Frames(
        play=torch.from_numpy(play[:, :, LOW:HIGH]),
        articulate=torch.from_numpy(articulate[:, :, LOW:HIGH]),
        context=torch.from_numpy(np.stack([t.context[:steps] for t in told])),
        reference_play=stack("reference_play", LOOK_AHEAD)[..., LOW:HIGH],
        reference_articulate=stack("reference_articulate", LOOK_AHEAD)[..., LOW:HIGH],
        reference_kind=stack("reference_kind", 0).long(),
        fixed=stack("fixed", LOOK_AHEAD)[..., LOW:HIGH],
        lowest=torch.full((len(told),), RANGE[0]),
        fit=torch.ones(len(told), steps, dtype=torch.bool),
    )
    with torch.no_grad():
        return network(frames)[0].numpy()


def log_probs(logits: np.ndarray, play: np.ndarray, articulate: np.ndarray) -> np.ndarray:
    """Joint log-probability of each frame, [items, steps]."""
    bits = np.stack([play[:, 1:, LOW:HIGH], articulate[:, 1:, LOW:HIGH]], axis=-1)
    each = -np.logaddexp(0.0, np.where(bits, -logits, logits))
    return (each[..., 0] + bits[..., 0] * each[..., 1]).sum(-1)


@pytest.mark.parametrize("config", [SMALL, DEEP], ids=["two note layers", "three"])
@pytest.mark.parametrize("guidance", [1.0, 1.7])
def test_log_probabilities_are_those_of_teacher_forcing(config: NetworkConfig, guidance: float) -> None:
    """Items that are told different things, over more steps than are projected at once."""
    network, steps = small_network(1, config), 40
    told = [told_of(made_example(i), i) for i in range(3)]
    stepper = Stepper(network, RANGE, items=3, guidance=guidance)
    play, articulate, nats, logits = sample(stepper, told, steps)
    assert 0.02 < play[:, 1:, LOW:HIGH].mean() < 0.9
    expected = forced(network, told, play, articulate)
    if guidance != 1:
        without = forced(network, [conceal(t) for t in told], play, articulate)
        assert np.abs(without - expected).max() > 0.1
        expected = without + guidance * (expected - without)
    assert np.abs(logits - expected).max() < 1e-4
    assert np.abs(nats - log_probs(expected, play, articulate)).max() < 1e-4
    assert not np.array_equal(play[0], play[1])


def test_conditions_may_be_changed_in_place_between_steps() -> None:
    """As when a section's reference is told as the section begins, in the midst of a block projected before."""
    network, steps = small_network(2), 12
    told = told_of(made_example(0), 0, fix=0.0)
    stepper = Stepper(network, RANGE)
    sample(stepper, [told], steps // 2)
    stepper.reset()
    told.reference_play[3:9], told.reference_kind[3:9] = True, 1
    told.fixed[5, LOW:HIGH] = OFF
    play, articulate, nats, _ = sample(stepper, [told], steps)
    expected = log_probs(forced(network, [told], play, articulate), play, articulate)
    assert np.abs(nats - expected).max() < 1e-4
    assert not play[0, 6].any()


def test_notes_told_in_advance_are_set_and_masks_keep_the_rest_silent() -> None:
    told = told_of(made_example(0), 3, fix=0.3)
    steps = 10
    mask = np.zeros((2, P), dtype=bool)
    mask[:, ::2] = True
    play, articulate, _, _ = sample(Stepper(small_network(), RANGE, items=2), [told, told], steps, forbidden=mask)
    fixed = np.repeat(told.fixed[None, :steps, LOW:HIGH], 2, axis=0)
    played, struck, before = play[:, 1:, LOW:HIGH], articulate[:, 1:, LOW:HIGH], play[:, :-1, LOW:HIGH]
    assert not played[fixed == OFF].any()
    assert played[fixed >= HOLD].all()
    assert struck[fixed == ATTACK].all()
    assert not struck[(fixed == HOLD) & before].any()
    assert struck[played & ~before].all()  # a note cannot be held that did not sound
    assert not (played & (fixed == FREE) & mask[:, None]).any()
    assert (played & (fixed == FREE)).any()


def test_bias_moves_what_begins_and_least_cuts_off_the_unlikely() -> None:
    told = told_of(made_example(0), 0, fix=0.0)
    onsets = []
    for bias in (-1.0, 0.0, 1.0):
        _, articulate, _, _ = sample(
            Stepper(small_network(), RANGE), [told], 24, bias=np.full((1, P), bias, np.float32)
        )
        onsets.append(articulate.sum())
    assert onsets[0] < onsets[1] < onsets[2]
    stepper = Stepper(small_network(), RANGE)
    silent = np.zeros((1, PITCHES), dtype=bool)
    stepper.advance([told], 0, silent, silent)
    stepper.draw(np.zeros((1, 2, P)))
    chances = 1 / (1 + np.exp(-stepper.logits[0, :, 0]))
    least = float(np.median(chances[: P // 2]))
    drawn = stepper.draw(np.zeros((1, 2, P)), least=least)  # a draw of 0 takes every note that is likely enough
    assert np.array_equal(drawn.play[0], 1 / (1 + np.exp(-stepper.logits[0, :, 0])) >= least)
    assert 0 < drawn.play.sum() < P


def test_going_back_and_picking_an_item() -> None:
    """After `pick`, all items go on as the picked one; after `restore`, the same draws give the same notes."""
    told = told_of(made_example(0), 0, fix=0.0)
    stepper = Stepper(small_network(), RANGE, items=3, guidance=1.5)
    play, articulate, _, _ = sample(stepper, [told] * 3, 6)
    stepper.pick([1, 1, 1])
    state = stepper.state()
    draws = np.repeat(np.random.default_rng(5).random((1, 2, P)), 3, axis=0)
    before = np.repeat(play[1:2, 6], 3, axis=0), np.repeat(articulate[1:2, 6], 3, axis=0)
    first = stepper.step([told] * 3, 6, *before, draws)
    assert np.allclose(first.log_prob, first.log_prob[0], atol=1e-5)
    assert (first.play == first.play[0]).all()
    after = stepper.step([told] * 3, 7, *before, draws)
    stepper.restore(state)
    again = stepper.step([told] * 3, 6, *before, draws)
    assert np.array_equal(first.play, again.play)
    assert np.array_equal(first.log_prob, again.log_prob)
    assert not np.allclose(first.log_prob, after.log_prob)


def notes(*pitches: int) -> np.ndarray:
    return np.array(pitches, dtype=np.int64)


def test_parallels_and_voices_that_are_forbidden() -> None:
    rules = Rules(most_voices=4, parallels=False).to_array()
    before = notes(40, 47, 52)  # a fifth, an octave
    none = notes()
    assert _forbidden_by_voices(49, notes(42), none, before, rules)  # fifth to fifth, both up
    assert not _forbidden_by_voices(47, notes(42), none, before, rules)  # held: no motion
    assert not _forbidden_by_voices(45, notes(38), none, notes(40, 48), rules)  # a sixth to a fifth
    assert not _forbidden_by_voices(54 - 12, notes(35), none, notes(28, 47), rules)  # contrary motion
    assert _forbidden_by_voices(54, notes(42, 48), none, before, rules)  # octave to octave with the lowest
    assert _forbidden_by_voices(42, none, notes(49, 54), before, rules)  # with voices told in advance above
    assert not _forbidden_by_voices(41, none, notes(49, 54), before, rules)
    assert not _forbidden_by_voices(49, notes(42), none, before, Rules(most_voices=4).to_array())
    assert _forbidden_by_voices(70, notes(40, 45, 50, 55), none, before, rules)  # a fifth voice
    assert _forbidden_by_voices(50, notes(40, 45), notes(60, 65), before, rules)
    assert not _forbidden_by_voices(50, notes(40, 45), notes(60), before, rules)


def test_what_two_hands_cannot_hold_is_forbidden() -> None:
    rules = Rules(hand_span=14).to_array()
    assert not _forbidden_by_hands(54, notes(40, 45), notes(), rules)
    assert not _forbidden_by_hands(60, notes(40, 54), notes(), rules)
    assert _forbidden_by_hands(75, notes(40, 60), notes(), rules)  # three places
    assert _forbidden_by_hands(57, notes(40), notes(75), rules)  # the same with a note told in advance
    assert not _forbidden_by_hands(54, notes(40), notes(75), rules)
    assert not _forbidden_by_hands(49, notes(*range(40, 49)), notes(), rules)  # ten fingers …
    assert _forbidden_by_hands(50, notes(*range(40, 50)), notes(), rules)  # … and no more
    assert not _forbidden_by_hands(41, notes(40), notes(60, 80), rules)  # what is told cannot be held anyway
    assert not _forbidden_by_hands(75, notes(40, 60), notes(), Rules().to_array())


def test_a_leading_tone_that_another_voice_has_is_forbidden() -> None:
    rules = Rules(lone=(11, 5)).to_array(lowest=36)  # pitch 0 is a C
    assert _forbidden_by_doubling(23, notes(11), notes(), rules)
    assert _forbidden_by_doubling(11, notes(7), notes(35), rules)  # with a voice told in advance above
    assert _forbidden_by_doubling(29, notes(0, 17), notes(), rules)
    assert not _forbidden_by_doubling(23, notes(5, 12), notes(24), rules)  # nobody has it yet
    assert not _forbidden_by_doubling(24, notes(0, 12), notes(), rules)  # no tone to be spared
    assert not _forbidden_by_doubling(23, notes(11), notes(), Rules().to_array(lowest=36))
    other = Rules(lone=(11,)).to_array(lowest=40)  # pitch 0 is an E
    assert _forbidden_by_doubling(19, notes(7), notes(), other)
    assert not _forbidden_by_doubling(23, notes(11), notes(), other)


def test_tones_that_must_go_on_by_step() -> None:
    c, a = Key("C"), Key.parse("a")
    assert tendency_tones(c, 7, "maj") == (11,)
    assert tendency_tones(c, 7, "7") == (5, 11)
    assert tendency_tones(c, 2, "7") == (0, 6, 11)  # V7 of V: its own third and seventh
    assert tendency_tones(c, 2, "maj") == (6, 11)
    assert tendency_tones(c, 5, "maj") == (11,)
    assert tendency_tones(a, 4, "maj") == (8,)
    assert tendency_tones(a, 11, "dim") == (8,)  # not the root of iio
    assert tendency_tones(a, 8, "dim7") == (5, 8)


@pytest.mark.parametrize("rules", [Rules(most_voices=3, parallels=False), Rules(hand_span=14), Rules(lone=(0, 5, 11))])
def test_rules_hold_in_what_is_drawn(rules: Rules) -> None:
    told = told_of(made_example(0), 0, fix=0.0)
    bias = np.full((2, P), 1.0, np.float32)
    play, *_ = sample(Stepper(small_network(), RANGE, items=2), [told] * 2, 30, bias=bias, rules=rules)
    free, *_ = sample(Stepper(small_network(), RANGE, items=2), [told] * 2, 30, bias=bias)
    broken = [sum(_breaks(frame, before, rules) for item in roll for before, frame in pairwise(item))
              for roll in (play, free)]  # fmt: skip
    assert broken[0] == 0
    assert broken[1] > 0
    assert play.any()


def _breaks(frame: np.ndarray, before: np.ndarray, rules: Rules) -> bool:
    """Plainly: too many notes, a parallel between equal ranks, a tone in two voices, or no cut into two hands."""
    now, old = np.flatnonzero(frame), np.flatnonzero(before)
    if any(sum((column + LOWEST_PITCH - pc) % 12 == 0 for column in now) > 1 for pc in rules.lone):
        return True
    if rules.most_voices and len(now) > rules.most_voices:
        return True
    if not rules.parallels:
        for a, b in combinations(range(min(len(now), len(old))), 2):
            same_way = (now[a] - old[a]) * (now[b] - old[b]) > 0
            if same_way and (now[b] - now[a]) % 12 == (old[b] - old[a]) % 12 and (now[b] - now[a]) % 12 in (0, 7):
                return True
    cuts = [(now[:k], now[k:]) for k in range(len(now) + 1)]
    return bool(rules.hand_span) and not any(
        all(len(hand) <= 5 and (not len(hand) or hand[-1] - hand[0] <= rules.hand_span) for hand in cut) for cut in cuts
    )


def test_a_note_axis_as_wide_as_its_input_is_refused() -> None:
    config = NetworkConfig(projection=4, time_units=(4,), note_units=(8 + CHOICE_WIDTH, 4), styles=STYLES)
    with pytest.raises(WeightsError, match="as wide as its input"):
        Stepper(small_network(0, config), RANGE)


@pytest.mark.parametrize("seed", [0, 1])
def test_features_of_a_step_are_those_of_the_whole(seed: int) -> None:
    """Projected conditions and the tables of notes add up to the features that training computes."""
    frames, network = made_frames(seed, items=1), small_network(seed)
    play, struck = frames.play[0].numpy(), frames.articulate[0].numpy()
    width = play.shape[1]
    silent = torch.zeros_like(frames.play)
    with torch.no_grad():
        whole, bare = (
            network.local(local_features(f)) + network.context(global_features(f, len(STYLES))).unsqueeze(2)
            for f in (frames, replace(frames, play=silent, articulate=silent))
        )
        chosen = choice_features(frames.play[:, 1:].float(), frames.articulate[:, 1:].float(), frames.lowest)
    played, articulated = previous_tables(network)
    below, below_struck = choice_tables()
    assert not torch.allclose(whole, bare)
    for step in range(frames.context.shape[1]):
        sums, choices = bare[0, step].numpy().copy(), np.zeros((width, CHOICE_WIDTH), np.float32)
        for q in np.flatnonzero(play[step]):
            rows = PITCHES - 1 + np.arange(width) - q
            sums += played[rows] + struck[step, q] * articulated[rows]
        for q in np.flatnonzero(play[step + 1]):
            choices[q + 1 :] += below[1 : width - q]
            if struck[step + 1, q]:
                reach = min(len(below_struck), width - q)
                choices[q : q + reach] += below_struck[:reach]
        assert np.abs(sums - whole[0, step].numpy()).max() < 1e-4
        assert np.array_equal(choices, chosen[0, step].numpy())


def test_without_onednn_the_products_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [told_of(made_example(0), 0)]
    fast = sample(Stepper(small_network(), RANGE), told, 6)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    plain = sample(Stepper(small_network(), RANGE), told, 6)
    assert np.array_equal(fast[0], plain[0])
    assert np.abs(fast[3] - plain[3]).max() < 1e-4
