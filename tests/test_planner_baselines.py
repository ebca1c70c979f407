"""The order-2 baselines: true distributions over values, no better than their memory and no worse."""

from __future__ import annotations

import numpy as np
import pytest

from planner.baselines import CHAINS, MarkovTokens, fit
from planner.streams import UNKNOWN, Field, Stream, Tokens

STREAM = Stream("pairs", (), (Field("pitch", 5), Field("length", 3)))


def tokens(pitches: list[int], lengths: list[int]) -> Tokens:
    """Pitch and length by turns."""
    values = np.array([v for pair in zip(pitches, lengths, strict=True) for v in pair], dtype=np.int16)
    fields = np.tile(np.array([0, 1], dtype=np.int16), len(pitches))
    return Tokens(np.zeros((len(values), 0), dtype=np.int16), fields, values)


def drawn(seed: int, count: int = 40, length: int = 30) -> list[tuple[str, Tokens]]:
    """Pitches that go on by the sum of the last two, lengths by chance; style "down" counts the other way."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        sign = -1 if index % 2 else 1
        pitches = rng.integers(0, 5, 2).tolist()
        while len(pitches) < length:
            fresh = int(rng.integers(5)) if rng.random() < 0.1 else (sign * (pitches[-1] + pitches[-2])) % 5
            pitches.append(fresh)
        found.append(("down" if index % 2 else "up", tokens(pitches, rng.integers(0, 3, length).tolist())))
    return found


@pytest.fixture(scope="module")
def model() -> MarkovTokens:
    return fit(drawn(0), drawn(1, 20), STREAM)


def per_pitch(model: MarkovTokens, walks: list[tuple[str, Tokens]], chain: str | None = None) -> float:
    """Nats a pitch from the third on."""
    rows = model.nats_of(walks, chain)
    return float(np.mean([row[4::2].mean() for row in rows]))


def test_two_pitches_of_memory_and_the_style_are_used(model: MarkovTokens) -> None:
    walks = drawn(2)
    least = -(0.92 * np.log(0.92) + 0.08 * np.log(0.02))  # one in ten pitches is drawn from all five
    assert per_pitch(model, walks) < least + 0.12
    assert model.chosen[0] in ("fields, style", "own fields, style")
    assert per_pitch(model, walks, "tokens") > 1.3  # two tokens reach back by one pitch only
    assert per_pitch(model, walks, "fields") > least + 0.2  # which way it goes is not known without the style
    assert per_pitch(model, [("unheard", t) for _, t in walks]) < np.log(5) + 0.1


def test_what_is_chance_costs_its_entropy(model: MarkovTokens) -> None:
    rows = [row[1::2].mean() for row in model.nats_of(drawn(2))]
    assert float(np.mean(rows)) == pytest.approx(np.log(3), abs=0.01)


@pytest.mark.parametrize("style", ["up", "unheard"])
def test_probabilities_of_all_values_add_to_one(model: MarkovTokens, style: str) -> None:
    for chain in CHAINS:
        total = 0.0
        for value in range(5):
            walk = tokens([1, 2, value], [0, 2, 1])
            total += float(np.exp(-model.nats_of([(style, walk)], chain)[0][4]))
        assert total == pytest.approx(1.0)


def test_the_future_does_not_matter(model: MarkovTokens) -> None:
    one, other = tokens([1, 2, 3, 4], [0, 1, 2, 0]), tokens([1, 2, 3, 0], [0, 1, 2, 2])
    assert model.nats(one, "up")[:6].tolist() == model.nats(other, "up")[:6].tolist()


def test_walks_do_not_see_one_another(model: MarkovTokens) -> None:
    walks = drawn(3, 4) + drawn(4, 3, 12)
    for (style, walk), row in zip(walks, model.nats_of(walks), strict=True):
        np.testing.assert_allclose(model.nats(walk, style), row)


def test_unknown_values_cost_nothing_and_are_not_learned() -> None:
    walks = drawn(0)
    hidden = [
        (s, Tokens(t.columns, t.fields, np.where(t.fields == 1, UNKNOWN, t.values).astype(np.int16))) for s, t in walks
    ]
    model = fit(hidden, drawn(1, 20), STREAM)
    rows = model.nats_of(hidden)
    assert all((row[1::2] == 0).all() and (row[0::2] > 0).all() for row in rows)
    heard = model.nats_of(drawn(2))
    assert float(np.mean([row[1::2].mean() for row in heard])) == pytest.approx(np.log(3))  # only the uniform is left


def test_smoothing_is_chosen_on_validation_tokens() -> None:
    """Counts of another source are trusted as far as they help."""
    rng = np.random.default_rng(5)
    noise = [("up", tokens(rng.integers(0, 2, 30).tolist(), rng.integers(0, 3, 30).tolist())) for _ in range(20)]
    model = fit(noise, drawn(1, 20), STREAM)
    assert per_pitch(model, drawn(2)) < np.log(5) + 0.02
    many = fit([walk for walk in noise for _ in range(50)], drawn(1, 20), STREAM)
    assert per_pitch(many, drawn(2)) < np.log(5) + 0.02  # and no more where there are many of them
    with pytest.raises(ValueError, match="no validation"):
        fit(noise, [], STREAM)


def test_a_token_that_is_never_met_has_a_chance(model: MarkovTokens) -> None:
    always = fit([("up", tokens([0] * 20, [0] * 20))], [("up", tokens([0, 0, 0, 4], [0, 0, 0, 0]))], STREAM)
    assert np.isfinite(always.nats(tokens([3], [2]), "up")).all()
    assert len(model.nats(tokens([], []))) == 0
