"""Measures of plans: what they count, and that a comparison with people's finds what is wrong and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from evaluation.plan_divergence import bits, compare, groups
from evaluation.plans import (
    MEASURES,
    NEEDS,
    at_home,
    cadences_kept,
    distributions,
    divergence,
    lengths,
    phrase_chords,
    theme_figures,
)
from music.errors import RequestError
from music.harmony import parse_figure
from music.pitch import Key
from music.plan import Chord, Phrase, Plan, PlanNote, Section, Theme
from music.time import Meter

BAR = Meter.parse("4/4").bar_div
HOME = Key.parse("G")


def section(label: str, figures: str, key: str = "G", cadence: str | None = "PAC", bars: int = 4) -> Section:
    """A section of one phrase with chords of equal length."""
    local = Key.parse(key)
    names = figures.split()
    size = bars * BAR // len(names) if names else 0
    chords = [Chord(i * size, size, *parse_figure(name, local), figure=name) for i, name in enumerate(names)]
    return Section(label, bars, local, (Phrase(bars, "a", cadence),), tuple(chords))


def plan(
    *sections: Section, style: str = "bach_chorale", ensemble: str = "satb", themes: tuple[Theme, ...] = ()
) -> Plan:
    return Plan("", style, ensemble, HOME, Meter.parse("4/4"), 0, 96.0, sections, themes)


def theme(label: str, *pitches: int) -> Theme:
    return Theme(label, 2, HOME, tuple(PlanNote(10080 * i, 10080, pitch) for i, pitch in enumerate(pitches)))


PIECE = plan(
    section("A", "I IV V I"),
    section("B", "I V6 V I", "D", None, 20),
    section("B'", "i V", "d", "HC"),
    section("A", "I V7"),
)


def test_events_are_counted() -> None:
    counts = {name: dict(measure(PIECE)) for name, measure in MEASURES.items()}
    assert counts["section count"] == {4: 1}
    assert counts["section bars"] == {4: 3, 19: 1}  # 19 and 20 bars are one class
    assert counts["key relations"] == {(False, "I"): 2, (False, "V"): 1, (False, "v"): 1}
    assert counts["cadence types"] == {"PAC": 2, "none": 1, "HC": 1}
    assert counts["returns"] == {("new", False): 1, ("again", True): 1, ("back", False): 1}


def test_chords_count_from_the_sections_tonic_and_not_across_sections() -> None:
    found = MEASURES["chord bigrams"](PIECE)
    assert found[((0, "maj"), (5, "maj"))] == 1
    assert found[((0, "maj"), (7, "maj"))] == 1  # in D, where V6 V is one chord; the last I is followed by V7
    assert found[((0, "min"), (7, "maj"))] == 1
    assert found.total() == 3 + 2 + 1 + 1
    moved = replace(PIECE.sections[0], key=Key.parse("A"), chords=section("A", "I IV V I", "A").chords)
    assert MEASURES["chord bigrams"](plan(moved)) == MEASURES["chord bigrams"](plan(PIECE.sections[0]))


def test_distributions_are_by_style() -> None:
    other = replace(PIECE, style="haydn_quartet")
    found = distributions([PIECE, PIECE, other], MEASURES["section count"])
    assert found == {"bach_chorale": Counter({4: 2}), "haydn_quartet": Counter({4: 1})}


def test_divergence_is_in_bits() -> None:
    assert divergence({"a": 1, "b": 3}, {"a": 2, "b": 6}) == pytest.approx(0.0, abs=1e-12)
    assert divergence({"a": 5}, {"b": 1}) == pytest.approx(1.0)
    mixture = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)) - 0.5  # entropy of the mixture less the mean entropy
    assert divergence({"a": 1}, {"a": 1, "b": 1}) == pytest.approx(mixture)
    assert bits(np.array([1, 0]), np.array([1, 1])) == pytest.approx(mixture)
    with pytest.raises(ValueError, match="counts"):
        divergence({}, {"a": 1})


@pytest.mark.parametrize(
    ("figures", "cadence", "kept"),
    [
        ("I IV V7 I", "PAC", 1),
        ("I IV V7 I", "IAC", 1),
        ("I IV V7 I6", "PAC", 0),
        ("I IV V65 I", "IAC", 1),
        ("I IV ii V", "HC", 1),
        ("I IV V7 vi", "DC", 1),
        ("I IV V7 vi", "PAC", 0),
        ("V I ii IV", "PAC", 0),
    ],
)
def test_cadences_are_read_from_a_plans_chords(figures: str, cadence: str, kept: int) -> None:
    assert cadences_kept([plan(section("A", figures, cadence=cadence))]) == (kept, 1)


def test_phrases_without_cadence_or_chords_are_not_counted() -> None:
    silent = plan(section("A", "", cadence="PAC"), section("B", "I V", cadence=None))
    assert cadences_kept([silent]) == (0, 0)


def test_a_phrase_has_the_chords_that_sound_in_it() -> None:
    whole = section("A", "I IV V I", bars=8)
    held = replace(
        whole,
        phrases=(Phrase(3, "a", "HC"), Phrase(5, "b", "PAC")),
    )
    found = [(cadence, [c.figure for c in chords]) for cadence, chords in phrase_chords(plan(held), held)]
    assert found == [("HC", ["I", "IV"]), ("PAC", ["IV", "V", "I"])]


def test_home_is_where_first_and_last_section_stand() -> None:
    assert at_home(PIECE)
    assert not at_home(plan(section("A", "I"), section("B", "I", "D")))
    assert not at_home(plan(section("A", "I", "e"), section("B", "I")))


def test_lengths_and_themes() -> None:
    short, long = plan(section("A", "I")), plan(section("A", "I", bars=16))
    found = lengths([short, short, long])
    assert (found["p50"], found["commonest"]) == (4.0, pytest.approx(2 / 3))
    alike = (theme("A", 60, 62), theme("B", 60, 62), theme("C", 70))
    plans = [plan(section("A", "I"), themes=alike), plan(section("A", "I"), themes=alike[:1]), short]
    figures = theme_figures(plans, lambda a, b, meter: float(a.notes == b.notes), lambda t: len(t.notes))
    assert (figures["pairs"], figures["themes"]) == (3, 4)
    assert figures["alike"] == pytest.approx(1 / 3)
    assert figures["plans_alike"] == 1.0
    assert figures["run_most"] == 2
    assert "alike" not in theme_figures([short], lambda a, b, meter: 0.0)


FIGURES = ("I IV V I", "I ii V I", "I vi V7 I", "I V vi V I", "I iii IV V I", "I V", "I ii6 V7 vi", "i iv V i")


def drawn(
    count: int, seed: int, *, longest: int = 9, style: str = "bach_chorale", ensemble: str = "satb"
) -> list[Plan]:
    """Plans from one source."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        sections = []
        for _ in range(rng.integers(1, longest)):
            cadence = str(rng.choice(["PAC", "HC", "IAC"], p=[0.6, 0.3, 0.1]))
            key = str(rng.choice(["G", "D", "e"], p=[0.6, 0.3, 0.1]))
            figures = str(rng.choice(FIGURES))
            sections.append(section("A", figures, key, cadence, int(rng.choice([4, 8, 12, 16]))))
        found.append(plan(*sections, style=style, ensemble=ensemble))
    return found


def test_plans_of_the_same_source_are_as_near_as_halves() -> None:
    found = compare(drawn(60, 1), drawn(200, 2), seed=0, draws=100)
    by_name = {d.measure: d for d in found}
    for name in ("section count", "section bars", "key relations", "cadence types", "chord bigrams"):
        d = by_name[name]
        assert 0.6 < d.ratio < 1.6, d
        assert d.low <= d.ratio <= d.high
        assert d.plans == 30


def test_another_source_is_found_out_where_it_differs() -> None:
    people, ours = drawn(60, 1), drawn(200, 2, longest=3)
    by_name = {d.measure: d for d in compare(people, ours, seed=0, draws=100)}
    assert by_name["section count"].ratio > 4
    assert by_name["section count"].low > 2
    assert by_name["key relations"].ratio < 2.5
    assert compare(people, ours, seed=0, draws=100) == tuple(by_name.values())  # seeded


def test_styles_that_are_too_few_stand_with_their_family() -> None:
    plans = drawn(12, 0, style="haydn_quartet", ensemble="quartet")
    plans += drawn(6, 1, style="mozart_piano", ensemble="piano") + drawn(5, 2, style="chopin_piano", ensemble="piano")
    plans += drawn(3, 3) + drawn(2, 4, style="mozart_quartet", ensemble="quartet")
    sizes = {name: len(members) for name, members in groups(plans).items()}
    assert sizes == {"haydn_quartet": 12, "piano": 11, "all quartet": 14}


def test_ours_have_the_styles_of_people() -> None:
    people = drawn(8, 0, style="mozart_piano", ensemble="piano") + drawn(8, 1, style="chopin_piano", ensemble="piano")
    with pytest.raises(RequestError, match="7 plans of style mozart_piano"):
        compare(people, people[1:], seed=0, draws=2)
    assert {d.group for d in compare(people, people, seed=0, draws=2)} == {"piano"}


def test_plans_that_miss_a_part_are_not_measured_by_it() -> None:
    people = drawn(24, 0)
    missing = [frozenset({"cadences"}) if i % 3 else frozenset[str]() for i in range(24)]
    found = {d.measure: d for d in compare(people, drawn(30, 1), seed=0, draws=3, missing=missing)}
    assert "cadence types" not in found  # 8 are too few
    assert found["section bars"].plans == 12
    missing[1:7] = [frozenset[str]()] * 6
    found = {d.measure: d for d in compare(people, drawn(30, 1), seed=0, draws=3, missing=missing)}
    assert found["cadence types"].plans == 6
    assert MEASURES.keys() == NEEDS.keys()
