"""Drawing under weights, chords that carry a melody, and what is settled of sections after the draw."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from music.harmony import parse_figure
from music.pitch import Key
from music.plan import DYNAMICS, Phrase, PlanNote, Section, Theme
from music.time import DIVS_PER_QUARTER, Meter
from planner.dice import Dice
from planner.drawing import Limits, draw
from planner.evidence import WithMelody
from planner.finish import finished
from planner.harmony_ahead import HarmonyLimits, HarmonyTables, uniform_tables
from planner.harmony_stream import STREAM as HARMONY
from planner.harmony_stream import HarmonyScene, HarmonyWalker, decode
from planner.harmony_symbols import symbol_of
from planner.network import StreamNetwork
from planner.network_config import StreamConfig
from planner.stepper import Stepper
from planner.wishes import SectionWish
from tests.planner_toy import TOY, ToyWalker

Q = DIVS_PER_QUARTER
C = Key.parse("C")
NUMBER = 0  # the toy's first field


@pytest.fixture(scope="module")
def stepper() -> Stepper:
    """A toy network with weights large enough for chances that are far from even."""
    torch.manual_seed(4)
    network = StreamNetwork(StreamConfig.of(TOY, embedding=12, units=10, dropout=0.0))
    with torch.no_grad():
        for value in network.parameters():
            value.mul_(3)
    return Stepper(network.config, {name: value.numpy() for name, value in network.state_dict().items()})


class Weights:
    """The same factors on every number; turns are free."""

    def __init__(self, *factors: float) -> None:
        self.factors = np.array(factors)

    def weights(self, walker: Any) -> np.ndarray | None:
        """See `planner.drawing.Limits`."""
        return self.factors if walker.field == NUMBER else None


def firsts(stepper: Stepper, limits: Limits | None, count: int, temperature: float = 1.0) -> np.ndarray:
    """How often each number is drawn first, as a share."""
    rng = np.random.default_rng(1)
    drawn = Counter(draw(stepper, ToyWalker(1), limits, rng, temperature)[0] for _ in range(count))
    return np.array([drawn[value] for value in range(7)]) / count


def chances(stepper: Stepper, temperature: float = 1.0) -> np.ndarray:
    """What the network gives the first number."""
    stepper.reset()
    scaled = stepper.logits(ToyWalker(1).columns(), NUMBER).astype(np.float64) / temperature
    found = np.exp(scaled - scaled.max())
    return found / found.sum()


def misfit(found: np.ndarray, expected: np.ndarray, count: int) -> float:
    """Pearson's chi-square of shares over the values that are possible."""
    possible = expected > 0
    return float(count * ((found - expected)[possible] ** 2 / expected[possible]).sum())


def test_a_walk_has_a_value_for_every_token(stepper: Stepper) -> None:
    walker = ToyWalker(300)  # more tokens than points are drawn at a time
    values = draw(stepper, walker, None, np.random.default_rng(0))
    assert len(values) == 400
    assert walker.field is None
    assert [v for i, v in enumerate(values) if i % 4 != 3] == walker.numbers
    assert len(set(walker.numbers)) > 3


def test_what_weighs_nothing_is_never_drawn(stepper: Stepper) -> None:
    for seed in range(20):
        walker = ToyWalker(40)
        draw(stepper, walker, Weights(0, 1, 0, 1e-9, 0, 5, 0), np.random.default_rng(seed), temperature=2.0)
        assert set(walker.numbers) <= {1, 3, 5}


def test_only_one_is_possible(stepper: Stepper) -> None:
    walker = ToyWalker(9)
    rare = int(np.argmin(chances(stepper)))
    draw(stepper, walker, Weights(*(1e-12 if v == rare else 0 for v in range(7))), np.random.default_rng(0))
    assert walker.numbers == [rare] * 9


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_values_come_as_often_as_their_chance_times_their_weight(stepper: Stepper, temperature: float) -> None:
    """Chi-square with at most six degrees of freedom: 27.9 is passed by one honest draw of 10,000."""
    count, factors = 2000, np.array([2.0, 0.0, 1.0, 0.3, 5.0, 1.0, 0.1])
    plain = chances(stepper, temperature)
    assert plain.max() > 2 * plain.min()
    assert misfit(firsts(stepper, None, count, temperature), plain, count) < 27.9
    weighed = plain * factors / (plain * factors).sum()
    found = firsts(stepper, Weights(*factors), count, temperature)
    assert found[1] == 0
    assert misfit(found, weighed, count) < 27.9
    assert misfit(found, plain, count) > 100


def test_less_heat_is_more_usual(stepper: Stepper) -> None:
    usual = int(np.argmax(chances(stepper)))
    shares = [firsts(stepper, None, 500, heat)[usual] for heat in (0.05, 1.0, 20.0)]
    assert shares[0] > 0.8
    assert shares[0] > shares[1] > shares[2]
    assert abs(shares[2] - 1 / 7) < 0.08


def test_nothing_is_possible(stepper: Stepper) -> None:
    with pytest.raises(RuntimeError, match="toy: no number is possible"):
        draw(stepper, ToyWalker(3), Weights(*[0.0] * 7), np.random.default_rng(0))


def test_same_seed_same_values(stepper: Stepper) -> None:
    first, again, other = (draw(stepper, ToyWalker(50), None, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def scene() -> HarmonyScene:
    """Four bars of 4/4 in C that close perfectly."""
    return HarmonyScene(0, 3, Meter(4, 4), C, C, (Phrase(4, "a", "PAC"),))


def long_notes(*pitches: int, key: Key = C) -> Theme:
    """A note a bar, in 4/4."""
    return Theme("A", len(pitches), key, tuple(PlanNote(i * 4 * Q, 4 * Q, p) for i, p in enumerate(pitches)))


class TestWithMelody:
    plain = HarmonyLimits(scene(), (), HarmonyTables(uniform_tables()))

    def ratio(self, theme: Theme, better: str, worse: str, key: Key = C) -> float:
        """How much more the melody favours one first chord over another."""
        walker = HarmonyWalker(scene())
        with_melody, without = (
            WithMelody(self.plain, theme, key, Meter(4, 4)).weights(walker),
            self.plain.weights(walker),
        )
        assert with_melody is not None
        assert without is not None
        assert ((with_melody > 0) == (without > 0)).all()
        left, right = (symbol_of(*parse_figure(name, C), C) for name in (better, worse))
        return float(with_melody[left] / without[left] / (with_melody[right] / without[right]))

    def test_chords_that_hold_the_note_are_preferred(self) -> None:
        assert self.ratio(long_notes(69, 67, 67, 72), "vi", "I") > 4  # A: in vi, not in I
        assert self.ratio(long_notes(67, 67, 67, 72), "I", "vi") > 4  # G: the other way round
        assert self.ratio(long_notes(72, 67, 67, 72), "I", "vi") == pytest.approx(1)  # C is in both

    def test_a_theme_is_heard_in_the_sections_key_and_mode(self) -> None:
        minor = long_notes(75, 67, 67, 72, key=Key.parse("c"))  # its third is E in C major
        assert self.ratio(minor, "I", "IV") > 4
        moved = long_notes(71, 69, 69, 74, key=Key.parse("D"))  # B above D: A above C
        assert self.ratio(moved, "vi", "I") > 4

    def test_an_upbeat_and_silence_say_nothing(self) -> None:
        late = Theme("A", 2, C, (PlanNote(-Q, Q, 69), PlanNote(4 * Q, 4 * Q, 69)))
        assert self.ratio(late, "vi", "I") == pytest.approx(1)

    def test_a_chord_does_not_sound_on_under_foreign_notes(self) -> None:
        """I stays under G, G; under G, A the shorter of two durations gains."""

        def longer(theme: Theme) -> float:
            walker = HarmonyWalker(scene())
            limits = WithMelody(self.plain, theme, C, Meter(4, 4))
            walker.push(symbol_of(*parse_figure("I", C), C))
            found = limits.weights(walker)
            assert found is not None
            units = 4 * Q // limits.unit
            return float(found[2 * units - 1] / found[units - 1])

        assert longer(long_notes(67, 67, 69, 72)) > 5 * longer(long_notes(67, 69, 67, 72))

    def test_under_the_whole_theme_more_beats_fit(self, harmony_stepper: Stepper) -> None:
        """Draws of an unlearned network: notes lie in their chords far more often with the melody than without."""
        theme, shares = long_notes(69, 65, 62, 72), []
        for limits in (self.plain, WithMelody(self.plain, theme, C, Meter(4, 4))):
            rng, fits = np.random.default_rng(2), []
            for _ in range(30):
                walker = HarmonyWalker(scene())
                values = draw(harmony_stepper, walker, limits, rng)
                chords = decode(values, scene())
                for note in theme.notes:
                    chord = next(c for c in reversed(chords) if c.onset_div <= note.onset_div)
                    fits.append(note.pitch % 12 in chord.pcs)
            shares.append(np.mean(fits))
        assert shares[1] > shares[0] + 0.2
        assert shares[1] > 0.75


@pytest.fixture(scope="module")
def harmony_stepper() -> Stepper:
    torch.manual_seed(0)
    network = StreamNetwork(StreamConfig.of(HARMONY, embedding=8, units=8))
    return Stepper(network.config, {name: value.numpy() for name, value in network.state_dict().items()})


def sections(form: str, densities: tuple[float, ...] = (), **values: Any) -> list[Section]:
    """Eight bars each, without dynamics unless told."""
    found: list[Section] = []
    for index, letter in enumerate(form):
        source = form.index(letter) if letter in form[:index] else None
        density = densities[index] if densities else 2.0
        section = Section(letter, 8, C, (Phrase(8, "a", "PAC"),), source=source, density=density, register=60.0)
        found.append(replace(section, **values))
    return found


def finish(parts: list[Section], wishes: dict[int, SectionWish] | None = None, **how: Any) -> list[Section]:
    """`finished` with wishes for some."""
    asked = [(wishes or {}).get(i, SectionWish()) for i in range(len(parts))]
    return finished(parts, asked, how.get("style", "beethoven_piano"), Dice(how.get("seed", 0)))


class TestFinish:
    def test_returns_keep_dynamics_and_textures(self) -> None:
        for seed in range(10):
            found = finish(sections("ABA"), seed=seed)
            assert (found[0].dynamic, found[0].texture) == (found[2].dynamic, found[2].texture)
            assert None not in [s.dynamic for s in found] + [s.texture for s in found]

    def test_what_was_drawn_stays(self) -> None:
        assert [s.dynamic for s in finish(sections("ABA", dynamic="pp"))] == ["pp"] * 3
        parts = sections("ABA")
        parts[0] = replace(parts[0], dynamic="ff")
        assert finish(parts)[2].dynamic == "ff"

    def test_wishes_win(self) -> None:
        asked = {1: SectionWish(dynamic="ppp", texture="imitation"), 3: SectionWish(dynamic="p", register=50.0)}
        densities = (1.0, 1.0, 1.0, 9.0, 1.0)
        found = finish(sections("ABACA", densities, dynamic="mf"), asked)
        assert (found[1].dynamic, found[1].texture) == ("ppp", "imitation")
        assert (found[3].dynamic, found[3].register) == ("p", 60.0)  # the climax, but it was asked for

    def test_the_climax_is_the_fullest_of_the_second_half(self) -> None:
        found = finish(sections("ABCDE", (9.0, 1.0, 2.0, 4.0, 3.0), dynamic="mf"))
        assert [s.dynamic for s in found] == ["mf", "mf", "mf", "f", "mf"]
        assert [s.register for s in found] == [60.0, 60.0, 60.0, 61.5, 60.0]
        loudest = finish(sections("ABCDE", (9.0, 1.0, 2.0, 4.0, 3.0), dynamic=DYNAMICS[-1]))
        assert {s.dynamic for s in loudest} == {DYNAMICS[-1]}

    def test_what_has_no_climax(self) -> None:
        assert {s.dynamic for s in finish(sections("ABA", (1.0, 2.0, 3.0), dynamic="mf"))} == {"mf"}  # too short
        chorale = finish(sections("ABCDE", (1.0, 1.0, 1.0, 5.0, 1.0), dynamic="mf"), style="bach_chorale")
        assert chorale[0].texture == "chorale"
        assert {(s.dynamic, s.register) for s in chorale} == {("mf", 60.0)}
