"""People's plans made to keep both promises: home at both ends, cadences in the phrases' last chords, little else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation.plan_divergence import compare_changed
from evaluation.plan_promises import with_close, with_promises
from evaluation.plans import at_home, cadences_kept, chord_bigrams, key_relations
from music.pitch import Key
from music.plan import CADENCES, Chord, Phrase, Plan, Section
from music.time import Meter

METER = Meter.parse("4/4")
HOME, RELATIVE = Key("C"), Key("A", True)
BAR = METER.bar_div


def chords(*names: tuple[int, str], length: int = BAR) -> tuple[Chord, ...]:
    each = length // len(names)
    return tuple(Chord(i * each, each, root, quality, root) for i, (root, quality) in enumerate(names))


def plan_of(*sections: Section) -> Plan:
    return Plan("", "bach_chorale", "satb", HOME, METER, 0, 70.0, sections)


def section(key: Key, cadence: str | None, *names: tuple[int, str], label: str = "A") -> Section:
    return Section(label, 1, key, (Phrase(1, "a", cadence),), chords(*names))


def roots(found: list[Chord]) -> list[int]:
    return [chord.root for chord in found]


def test_a_close_that_is_made_stays() -> None:
    own = chords((0, "maj"), (7, "7"), (0, "maj"))
    assert with_close(own, "PAC", HOME) == list(own)


def test_what_follows_a_close_is_the_next_phrase_and_gives_way() -> None:
    found = with_close(chords((5, "maj"), (7, "7"), (0, "maj"), (9, "min")), "PAC", HOME)
    assert roots(found) == [5, 7, 0]
    assert found[-1].onset_div + found[-1].duration_div == BAR


def test_a_close_in_another_key_is_moved() -> None:
    found = with_close(chords((5, "maj"), (0, "maj"), (4, "7"), (9, "min")), "PAC", HOME)
    assert [(c.root, c.quality) for c in found] == [(5, "maj"), (0, "maj"), (7, "7"), (0, "maj")]


@pytest.mark.parametrize("cadence", CADENCES)
@pytest.mark.parametrize("key", [HOME, RELATIVE])
def test_every_cadence_can_be_made_of_anything(cadence: str, key: Key) -> None:
    cases = (
        chords((2, "min")),
        chords((9, "min"), (2, "hdim7"), (10, "maj")),
        chords((7, "7"), (7, "7")),
        chords((11, "dim"), (0, "maj")),
        chords((4, "7"), (9, "min"), (5, "maj"), (5, "maj")),
    )
    for own in cases:
        found = with_close(own, cadence, key)
        plan = plan_of(replace(section(key, cadence, (0, "maj")), chords=tuple(found)))
        assert cadences_kept([plan]) == (1, 1)
        assert sum(chord.duration_div for chord in found) == BAR


def test_a_plan_keeps_both_promises_and_its_middle() -> None:
    outer = section(RELATIVE, None, (9, "min"), (4, "7"), (9, "min"))
    inner = section(RELATIVE, "PAC", (9, "min"), (2, "min"), (4, "7"), (9, "min"), label="B")
    found = with_promises(plan_of(outer, inner, section(HOME, "HC", (0, "maj"), (5, "maj"), label="C")))
    assert at_home(found)
    assert cadences_kept([found]) == (2, 2)
    assert found.sections[1] == inner
    assert roots(list(found.sections[0].chords)) == [0, 7, 0]  # as far above the tonic as they were
    assert set(key_relations(found)) == {(False, "I"), (False, "vi")}


def test_a_section_that_comes_home_from_the_other_mode_closes_in_homes() -> None:
    found = with_promises(plan_of(section(RELATIVE, "PAC", (2, "min"), (4, "7"), (9, "min"))))
    assert [(c.root, c.quality) for c in found.sections[0].chords] == [(5, "min"), (7, "7"), (0, "maj")]
    assert cadences_kept([found]) == (1, 1)


def test_what_a_change_costs_is_seen_beside_chance() -> None:
    plans = [
        plan_of(section((HOME, RELATIVE)[i % 3 == 0], "PAC", (0, "maj"), (i % 5, "maj"), (7, "7"), (0, "maj")))
        for i in range(40)
    ]
    measures = {"key relations": key_relations, "chord bigrams": chord_bigrams}
    same = compare_changed(plans, plans, seed=0, draws=20, measures=measures)
    assert [d.ratio for d in same] == pytest.approx([1.0, 1.0], abs=0.1)
    moved = compare_changed(plans, [with_promises(p) for p in plans], seed=0, draws=20, measures=measures)
    assert next(d.ratio for d in moved if d.measure == "key relations") > 2
