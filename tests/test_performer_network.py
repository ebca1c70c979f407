"""The learned performer's networks: what may move a prediction, likelihoods, draws, and parameters of a performance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from music.paired import PairedPerformance
from music.performance import Performance, PerformedNote
from performer import drawing
from performer.batch import collate, collate_played, crop, sheet_of
from performer.drawing import Amounts, draw
from performer.examples import LEVELS, PEDAL_PATTERNS, Example, make_example
from performer.features import NOTE_COLUMNS, ONSET_COLUMNS, score_features
from performer.module import PerformerModule, correlation
from performer.network_config import PerformerConfig
from performer.noise import colour, departures, gaussian_nats, whiten
from performer.performer_network import PerformerNetwork
from performer.rules import RulePerformer
from tests.contract_performer import make, tune

SMALL = {"note_units": 8, "units": 12, "layers": 2, "bar_units": 6, "noise_units": 8}


def network(kind: str = "lstm", seed: int = 0) -> PerformerNetwork:
    """A small network with random weights, its outputs' included."""
    torch.manual_seed(seed)
    made = PerformerNetwork(PerformerConfig.of(NOTE_COLUMNS, ONSET_COLUMNS, ("x_piano",), kind=kind, **SMALL))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made.eval()


def example(bars: int = 8, seed: int = 1, name: str = "one") -> Example:
    """A tune as the rules play it."""
    score = make(tune(bars), bars=bars)
    return make_example(name, name, "x_piano", PairedPerformance(score, RulePerformer().perform(score, seed=seed)))


def test_shapes_are_standard() -> None:
    targets = example(16).targets
    known = targets.known
    assert known.all()
    for values in (targets.velocity[known], targets.articulation[known], targets.tempo[targets.tempo_known]):
        assert abs(values.mean()) < 0.05
        assert values.std() == pytest.approx(1, abs=0.1)
    level = dict(zip(LEVELS, targets.levels.tolist(), strict=True))
    assert 2 ** level["log2_period"] == pytest.approx(0.6, rel=0.1)  # 100 quarters a minute
    assert 0 < level["velocity"] < 1


def test_a_missing_note_is_not_learned_from() -> None:
    score = make(tune(), bars=8)
    whole = RulePerformer().perform(score, seed=0)
    part = Performance(tuple(n for n in whole.notes if n.note_id != "n5"), whole.pedals)
    made = make_example("one", "one", "x_piano", PairedPerformance(score, part))
    missing = made.features.note_ids.index("n5")
    assert not made.targets.known[missing]
    assert made.targets.velocity[missing] == 0
    assert made.targets.known.sum() == len(score.notes) - 1


def test_chords_struck_at_once_have_no_timing() -> None:
    score = make(tune(), bars=8)
    notes = tuple(
        PerformedNote(n.id, n.onset_div / 20160, n.duration_div / 20160, n.pitch, 60 + n.pitch % 7)
        for n in sorted(score.notes, key=lambda n: (n.onset_div, n.pitch, n.id))
    )
    targets = make_example("one", "one", "", PairedPerformance(score, Performance(notes))).targets
    assert math.isnan(float(targets.levels[LEVELS.index("timing_sd")]))
    assert np.abs(targets.timing).max() < 1e-3


@pytest.mark.parametrize("kind", ["lstm", "conv"])
def test_other_pieces_and_padding_move_nothing(kind: str) -> None:
    made = network(kind)
    short, long = sheet_of(example(4).features, 1), sheet_of(example(12).features, 0)
    with torch.inference_mode():
        alone, together = made.reader(collate([short])), made.reader(collate([short, long]))
    size, notes = len(short), len(short.place)
    assert torch.allclose(alone.tempo[0], together.tempo[0, :size], atol=1e-6)
    assert torch.allclose(alone.shapes, together.shapes[:notes], atol=1e-6)
    changed = crop(long, 0, len(long))
    changed.onsets[:] += 1
    with torch.inference_mode():
        other = made.reader(collate([short, changed]))
    assert torch.equal(other.tempo[0, :size], together.tempo[0, :size])
    assert not torch.equal(other.tempo[1], together.tempo[1])


def test_every_onset_hears_the_whole_piece() -> None:
    made, sheet = network(), sheet_of(example(8).features, 1)
    with torch.inference_mode():
        before = made.reader(collate([sheet]))
        sheet.onsets[-1] += 0.5
        after = made.reader(collate([sheet]))
    assert (before.tempo != after.tempo).all()


def test_whitening_and_colouring_are_inverse() -> None:
    torch.manual_seed(0)
    left, scale = torch.randn(5, 3), torch.randn(5, 6) * 0.5
    assert torch.allclose(colour(whiten(left, scale), scale), left, atol=1e-5)


def test_nats_are_those_of_a_joint_gaussian() -> None:
    torch.manual_seed(1)
    left, mean, scale = torch.randn(3), torch.randn(3), torch.randn(6) * 0.5
    lower = torch.zeros(3, 3)
    lower[range(3), range(3)] = scale[:3].exp()
    lower[1, 0], lower[2, 0], lower[2, 1] = scale[3], scale[4], scale[5]
    density = torch.distributions.MultivariateNormal(mean, precision_matrix=lower @ lower.T)
    assert float(gaussian_nats(left, mean, scale)) == pytest.approx(-float(density.log_prob(left)), abs=1e-4)


def test_departures_add_up_to_what_was_played() -> None:
    made, one = network(), example(8)
    batch = collate_played([sheet_of(one.features, 1, one.targets)])
    with torch.inference_mode():
        reading = made.reader(batch.score)
        left = departures(batch, reading)
    bar = batch.score.bar[0]
    whole = left.bars[0][bar] + left.onsets[0]
    known = left.onsets_known[0]
    tempo = reading.tempo[0] + whole[:, 0]
    assert torch.allclose(tempo[known], batch.targets.tempo[0][known], atol=1e-5)
    notes = reading.shapes[:, 0] + whole[batch.score.place, 1] + left.notes[:, 0]
    at = known[batch.score.place]
    assert torch.allclose(notes[at], batch.targets.velocity[at], atol=1e-5)


def test_step_by_step_is_what_was_trained() -> None:
    """Told what the numpy steps drew, the network as it is trained tells the same means at every step."""
    made, one = network(), example(6)
    score = collate([sheet_of(one.features, 1)])
    with torch.inference_mode():
        reading = made.reader(score)
        bar_read, onset_read = made.noise.bars.context(reading.bar), made.noise.onsets.context(reading.onset)
    rngs, bar = [np.random.default_rng(3)], score.bar[0].numpy()
    still = Amounts(tempo=0.0, velocity=0.0, articulation=0.0, pedal=1.0)
    bars = drawing._bars(made.noise, bar_read[0].numpy(), rngs, still)
    onsets, pedal = drawing._onsets(made.noise, onset_read[0].numpy(), bars, bar, rngs, still)
    with torch.inference_mode():
        told, _ = made.noise.bars(bar_read, shifted(torch.from_numpy(bars)))
        assert np.allclose(told[0, :, :3].clamp(-4, 4).numpy(), bars[0], atol=1e-4)
        here = torch.from_numpy(bars[:, bar])
        later = torch.from_numpy(np.concatenate([bars[:, 1:], bars[:, -1:]], 1)[:, bar])
        pedals = torch.nn.functional.one_hot(torch.from_numpy(pedal), PEDAL_PATTERNS).float()
        given = torch.cat([shifted(torch.from_numpy(onsets)), here, later, shifted(pedals)], -1)
        told, _ = made.noise.onsets(onset_read, given)
    assert np.allclose(told[0, :, :3].clamp(-4, 4).numpy(), onsets[0], atol=1e-4)
    assert np.abs(onsets).max() > 0.01


def shifted(values: torch.Tensor) -> torch.Tensor:
    """Each step's values at the next step."""
    return torch.cat([torch.zeros_like(values[:, :1]), values[:, :-1]], 1)


def test_a_sample_does_not_depend_on_its_company() -> None:
    made, sheet = network(), sheet_of(example(6).features, 1)
    score = collate([sheet])
    with torch.inference_mode():
        reading = made.reader(score)
    alone = draw(made.noise, reading, score, [5], Amounts())
    both = draw(made.noise, reading, score, [4, 5], Amounts())
    assert np.allclose(alone.tempo[0], both.tempo[1], atol=1e-5)
    assert np.array_equal(alone.pedal[0], both.pedal[1])
    assert not np.allclose(both.tempo[0], both.tempo[1])


def test_crops_hold_their_notes() -> None:
    one = example(12)
    sheet = sheet_of(one.features, 1, one.targets)
    part = crop(sheet, 10, 15)
    assert len(part) == 15
    assert part.bar[0] == 0
    assert part.place.min() == 0
    assert part.place.max() == 14
    assert part.targets is not None
    low = int(np.searchsorted(sheet.place, 10))
    assert np.array_equal(part.targets.velocity, one.targets.velocity[low : low + len(part.place)])


def test_correlation() -> None:
    values = torch.tensor([1.0, 2.0, 4.0])
    assert float(correlation(values, 2 * values + 1)) == pytest.approx(1)
    assert float(correlation(values, -values)) == pytest.approx(-1)
    assert float(correlation(values, torch.ones(3))) == 0


def test_a_small_network_learns_a_tune() -> None:
    """Two hundred steps on two performances bring the error of tempo and velocity far below 1, a constant's."""
    ones = [example(8, seed=s) for s in (1, 2)]
    batch = collate_played([sheet_of(e.features, 1, e.targets) for e in ones])
    torch.manual_seed(0)
    config = PerformerConfig.of(NOTE_COLUMNS, ONSET_COLUMNS, ("x_piano",), **{**SMALL, "dropout": 0.0})
    module = PerformerModule(config.to_dict(), {"rate": 0.01, "weight_decay": 0.0, "warmup": 1, "decay": 0, "total": 9})
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    first = {k: float(v.detach()) for k, v in module.losses(batch).items()}
    for _ in range(120):
        loss = torch.stack(list(module.losses(batch).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    last = {k: float(v.detach()) for k, v in module.losses(batch).items()}
    assert last["tempo"] < 0.5 * first["tempo"]
    assert last["velocity"] < 0.5 * first["velocity"]
    assert last["noise_onsets"] < first["noise_onsets"]
    assert last["noise_pedal"] < first["noise_pedal"]


def test_features_of_a_score_are_read_in_the_codec_order() -> None:
    score = make(tune(), bars=8)
    assert score_features(score).note_ids == example(8).features.note_ids
