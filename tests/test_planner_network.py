"""The planner's network: causal, the same in sampling as in training, and able to learn a return."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from planner.data import Batches, WalkConfig, all_batches, collate, walk_chances
from planner.network import Batch, StreamNetwork
from planner.network_config import StreamConfig
from planner.stepper import Stepper
from planner.streams import UNKNOWN, Tokens
from tests.planner_toy import TOY, toy_walk


def network(**sizes: object) -> StreamNetwork:
    torch.manual_seed(1)
    return StreamNetwork(StreamConfig.of(TOY, **({"embedding": 12, "units": 20, "dropout": 0.1} | sizes)))


def test_probabilities_are_of_the_field_asked_for() -> None:
    batch = collate([toy_walk(1), toy_walk(2, 7)])
    log = network().eval()(batch)
    total = log.exp().sum(-1)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5)
    assert torch.isneginf(log[batch.fields == 1][:, :7]).all()
    assert torch.isneginf(log[batch.fields == 0][:, 7:]).all()


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_no_token_moves_what_stands_before_it(kind: str) -> None:
    """A token's value and columns reach its own place (columns) and later ones, and no other walk, to the bit."""
    net = network(kind=kind).eval()
    batch = collate([toy_walk(1), toy_walk(2)])
    plain = net(batch)
    columns, values = batch.columns.clone(), batch.values.clone()
    place = 6
    columns[0, place + 1 :] = 0
    values[0, place] = (values[0, place] + 1) % 2
    moved = net(Batch(columns, batch.fields, values, batch.known))
    assert torch.equal(plain[0, : place + 1], moved[0, : place + 1])
    assert not torch.equal(plain[0, place + 1], moved[0, place + 1])
    assert torch.equal(plain[1], moved[1])


def test_padding_changes_nothing() -> None:
    short, long = toy_walk(1, 7), toy_walk(2, 13)
    net = network().eval()
    together, alone = net.nats(collate([short, long]))[0, : len(short)], net.nats(collate([short]))[0]
    assert torch.allclose(together, alone, atol=1e-5)


def test_unknown_values_cost_nothing_and_tell_nothing() -> None:
    walk = toy_walk(3)
    values = walk.values.copy()
    values[4] = UNKNOWN
    net = network().eval()
    nats = net.nats(collate([Tokens(walk.columns, walk.fields, values)]))[0]
    other = values.copy()
    assert nats[4] == 0
    assert (nats[:4] > 0).all()
    other[4] = UNKNOWN
    assert torch.equal(nats, net.nats(collate([Tokens(walk.columns, walk.fields, other)]))[0])


def test_stepping_is_teacher_forcing() -> None:
    net = network().eval()
    walk = toy_walk(5)
    log = net(collate([walk]))[0].detach().numpy()
    stepper = Stepper(net.config, {name: value.numpy() for name, value in net.state_dict().items()})
    starts = net.config.starts
    for _ in range(2):  # a second walk begins where the first did
        stepper.reset()
        for i in range(len(walk)):
            field, value = int(walk.fields[i]), int(walk.values[i])
            logits = stepper.logits(walk.columns[i].tolist(), field).astype(np.float64)
            found = logits - np.log(np.exp(logits).sum())
            assert np.allclose(found, log[i, starts[field] : starts[field + 1]], atol=1e-4)
            stepper.push(field, value)


def test_only_what_can_be_sampled_from_is() -> None:
    net = network(kind="transformer")
    with pytest.raises(ValueError, match="one layer"):
        Stepper(net.config, {})


def test_configuration_survives_its_builtins() -> None:
    config = network().config
    assert StreamConfig.from_dict(config.to_dict()) == config
    assert replace(config, units=8).to_dict()["units"] == 8


def test_returns_are_learned() -> None:
    """After the first four numbers each one is known: a hundred steps bring it near nothing, chance is 1.95."""
    walks = [toy_walk(seed) for seed in range(40)]
    config = WalkConfig(batch=8, hide=0.0)
    batches = Batches(walks, walk_chances(["a"] * 40, walks, 1.0), config, seed=0, epoch=0, count=120)
    net = network(dropout=0.0)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.02)
    for batch in batches:
        loss = net.nats(batch).sum() / batch.known.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    new = collate([toy_walk(seed) for seed in range(100, 120)])
    nats = net.eval().nats(new).detach()
    later = (new.fields == 0) & (new.columns[..., 1] > 0)
    assert float(nats[later].mean()) < 0.3
    assert float(nats[(new.fields == 0) & ~later].mean()) > 1.5


def test_batches_are_a_function_of_seed_epoch_and_index() -> None:
    walks = [toy_walk(seed, 4 + seed % 9) for seed in range(30)]
    chances = walk_chances(["a", "b"] * 15, walks, 0.5)
    one, two = (Batches(walks, chances, WalkConfig(batch=6), seed=3, epoch=2, count=5) for _ in range(2))
    assert all(torch.equal(a.columns, b.columns) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one.batch(0).values[:, :4], one.batch(1).values[:, :4])
    halves = [
        Batches(walks, chances, WalkConfig(batch=6), seed=3, epoch=2, count=5, rank=r, world=2).batch(1) for r in (0, 1)
    ]
    assert sum(int(h.known.sum()) for h in halves) == int(one.batch(1).known.sum())


def test_styles_are_balanced() -> None:
    walks = [toy_walk(s) for s in range(12)]
    chances = walk_chances(["a"] * 10 + ["b"] * 2, walks, 0.0)
    assert chances[:10].sum() == pytest.approx(0.5)
    assert walk_chances(["a"] * 10 + ["b"] * 2, walks, 1.0)[:10].sum() == pytest.approx(10 / 12)


def test_all_batches_hold_every_walk_once() -> None:
    walks = [toy_walk(s, 3 + s) for s in range(9)]
    assert sum(int(b.known.sum()) for b in all_batches(walks, 4)) == sum(len(w) for w in walks)
