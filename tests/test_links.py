"""Links between sections: in plans, on paper, as the planner draws them and as the composer sets them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.links import links_of, tables
from composer.conditions import ATTACK, FREE, HOLD, OFF
from composer.given import Given
from composer.links import LinkCells, link_cells, set_link, without_link
from composer.roll import LOWEST_PITCH, PITCHES
from composer.telling import RANGES as SOUNDING
from composer.telling import Drawn, Teller, spans_of
from evaluation.plans import cadences_kept
from music.analysis.links import boundaries, lead_in
from music.errors import PlanError, RequestError
from music.pitch import ALL_KEYS, Key
from music.plan import BarTexture, Plan, PlanNote, Section
from music.plan_json import plan_from_json, plan_to_json
from music.score import MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import Meter
from planner.dice import Dice
from planner.links import LinkTables, opening_pitch, pitch_at, rest_div, shipped_tables, staff_place, with_links
from planner.themes import RANGES
from planner.wishes import SectionWish
from planner.wishes_file import wishes_from_json
from tests.composer_cases import made_roll
from tests.contract_composer import chords, piano_plan, theme

SIXTEENTH, QUARTER = 2520, 10080
RUN = tuple(PlanNote(-4 * SIXTEENTH + i * SIXTEENTH, SIXTEENTH, 69 + p) for i, p in enumerate((0, 2, 3, 5)))
FREE_WISHES = (SectionWish(),) * 9
ALWAYS = replace(shipped_tables(), shares={"piano": (10**6, 10**6), "quartet": (10**6, 10**6), "satb": (0, 9)})


def _plan(key: Key = Key.parse("G"), meter: Meter = Meter(3, 4)) -> Plan:  # noqa: B008
    """A B A C, the second A literal; every section has a long last chord, and B and C themes of their own."""
    base = piano_plan()
    other = Key.of_pc(key.pc + 7, key.minor)
    figures = "i iv V i i iv V7 i" if key.minor else "I IV V I I IV V7 I"
    opening = theme("A", key, f"{60 + key.pc}:1 {62 + key.pc}:1")
    second = theme("B", other, f"{60 + other.pc}:2 {67 + other.pc}:1")
    phrases = base.sections[0].phrases
    made = [
        Section(letter, 8, at, phrases, chords(at, meter, figures), letter, source)
        for letter, at, source in (("A", key, None), ("B", other, None), ("A", key, 0), ("B", key, 1), ("A", key, 0))
    ]
    return Plan("Links", "classical", "piano", key, meter, 0, 90.0, tuple(made), (opening, second))


def _linked(plan: Plan, index: int = 0, link: tuple[PlanNote, ...] = RUN) -> Plan:
    sections = list(plan.sections)
    sections[index] = replace(sections[index], link=link)
    return replace(plan, sections=tuple(sections))


def test_json_round_trip_and_no_field_where_there_is_none() -> None:
    plan = _linked(_plan())
    data = json.loads(json.dumps(plan_to_json(plan)))
    assert plan_from_json(data) == plan
    assert ["link" in section for section in data["sections"]] == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ((PlanNote(-SIXTEENTH, 2 * SIXTEENTH, 70),), "lasts into the next section"),
        ((PlanNote(-2 * QUARTER, QUARTER + 1, 70), PlanNote(-QUARTER, QUARTER, 71)), "overlap"),
        ((PlanNote(-25 * QUARTER, QUARTER, 70),), "begins before the section"),
    ],
)
def test_links_that_are_none_are_refused(link: tuple[PlanNote, ...], reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        _linked(_plan(), 0, link)


def test_no_link_after_the_end_nor_over_an_upbeat() -> None:
    plan = _plan()
    with pytest.raises(PlanError, match="is the last"):
        _linked(plan, 4)
    upbeat = replace(plan.themes[1], notes=(PlanNote(-QUARTER, QUARTER, 72), *plan.themes[1].notes))
    with pytest.raises(PlanError, match="upbeat of theme B"):
        _linked(replace(plan, themes=(plan.themes[0], upbeat)))


@pytest.mark.parametrize("key", [str(k) for k in ALL_KEYS])
@pytest.mark.parametrize("meter", ["3/4", "4/4", "6/8"])
def test_drawn_links_keep_cadences_and_lead_into_the_next_note(key: str, meter: str) -> None:
    plan = _plan(Key.parse(key), Meter.parse(meter))
    found = 0
    for seed in range(2):
        linked = with_links(plan, FREE_WISHES, Dice(seed), tables=ALWAYS)
        assert cadences_kept([linked]) == cadences_kept([plan])
        assert replace(linked, sections=tuple(replace(s, link=()) for s in linked.sections)) == plan
        for section, following in pairwise(linked.sections):
            found += bool(section.link)
            _check_link(section, following, linked)
        assert linked == with_links(plan, FREE_WISHES, Dice(seed), tables=ALWAYS)
        # A B and A B: a return with the same section after it has the same link.
        assert linked.sections[1].key != linked.sections[3].key or linked.sections[0].link == linked.sections[2].link
    assert found >= 5


def _check_link(section: Section, following: Section, plan: Plan) -> None:
    if not section.link:
        return
    low, high, _ = RANGES[plan.ensemble]
    heard = plan.theme_of(following.theme or "")
    assert heard is not None
    target, last = opening_pitch(heard, following.key), section.link[-1]
    assert 1 <= abs(target - last.pitch) <= 3 or last.pitch % 12 in following.chords[0].pcs
    assert last.onset_div + last.duration_div == 0
    begins = section.bars * plan.meter.bar_div + section.link[0].onset_div
    assert begins >= rest_div(section, plan.meter) + plan.meter.beat_div
    assert all(low <= n.pitch <= high and n.onset_div % SIXTEENTH == 0 for n in section.link)
    assert all(abs(b.pitch - a.pitch) <= 9 for a, b in pairwise(section.link))


def test_no_link_where_the_place_is_taken_or_asked_for() -> None:
    plan = _plan()
    dice = Dice(1)
    upbeat = replace(plan.themes[1], notes=(PlanNote(-QUARTER, QUARTER, 72), *plan.themes[1].notes))
    taken = with_links(replace(plan, themes=(plan.themes[0], upbeat)), FREE_WISHES, dice, tables=ALWAYS)
    assert [bool(s.link) for s in taken.sections] == [False, True, False, True, False]
    pickup = with_links(replace(plan, pickup_div=QUARTER), FREE_WISHES, dice, tables=ALWAYS)
    assert [bool(s.link) for s in pickup.sections] == [True, False, False, False, False]
    bars = (BarTexture(1.0, 60.0, 12, "quarter"),) * 8
    wished = with_links(plan, (SectionWish(textures=bars), *FREE_WISHES[1:]), dice, tables=ALWAYS)
    assert not wished.sections[0].link
    assert wished.sections[1].link
    late = replace(plan.sections[0], chords=chords(plan.key, plan.meter, "I IV V I I IV I V7"))
    close = replace(
        late.chords[-1], onset_div=late.chords[-1].onset_div + 2 * QUARTER, duration_div=QUARTER, quality="maj"
    )
    held = replace(late.chords[-1], duration_div=2 * QUARTER)
    late = replace(late, chords=(*late.chords[:-1], held, replace(close, root=plan.key.pc, bass=plan.key.pc)))
    assert (
        not with_links(replace(plan, sections=(late, *plan.sections[1:])), FREE_WISHES, dice, tables=ALWAYS)
        .sections[0]
        .link
    )


def test_a_link_that_is_asked_for_stands_or_is_refused() -> None:
    wished = with_links(_plan(), (SectionWish(link=RUN), *FREE_WISHES[1:5]), Dice(0))
    assert wished.sections[0].link == RUN
    upbeat = replace(_plan().themes[1], notes=(PlanNote(-QUARTER, QUARTER, 72), *_plan().themes[1].notes))
    plan = replace(_plan(), themes=(_plan().themes[0], upbeat))
    asked = (SectionWish(link=RUN), *FREE_WISHES[1:5])
    assert with_links(plan, asked, Dice(0)).themes == _plan().themes
    with pytest.raises(RequestError, match="upbeat of theme B"):
        with_links(plan, asked, Dice(0), given={"B"})
    with pytest.raises(RequestError, match=r"sections\[4\] link contradicts the plan: .* is the last"):
        with_links(_plan(), (*FREE_WISHES[:4], SectionWish(link=RUN)), Dice(0))


def test_a_whole_plan_with_links_is_a_file_of_wishes() -> None:
    data = plan_to_json(_linked(_plan()))
    parts = {(part.where, part.name): part.value for part in wishes_from_json(data).parts}
    assert parts[0, "link"] == RUN
    assert (1, "link") not in parts


def test_choirs_have_none_and_shares_lean_on_the_ensemble() -> None:
    known = shipped_tables()
    assert known.share("bach_chorale", "satb") == 0
    assert 0.08 < known.share("mozart_quartet", "quartet") < 0.3
    assert known.share("unheard of", "piano") == pytest.approx(known.shares["piano"][0] / known.shares["piano"][1])
    assert with_links(replace(_plan(), ensemble="satb", style="bach_chorale"), FREE_WISHES, Dice(0)) == replace(
        _plan(), ensemble="satb", style="bach_chorale"
    )


def test_places_on_the_staff() -> None:
    for key in ALL_KEYS:
        for pitch in range(55, 80):
            if pitch % 12 in key.scale and (not key.minor or pitch % 12 != key.scale[6]):
                assert pitch_at(staff_place(pitch, key), key, pitch, 0) == pitch
    minor = Key.parse("a")
    rising, after = [], 69
    for place in range(staff_place(68, minor), staff_place(68, minor) - 3, -1):
        after = pitch_at(place, minor, after, 1)
        rising.append(after)
    assert rising == [68, 66, 64]
    assert pitch_at(staff_place(67, minor), minor, 65, -1) == 67


def _line(words: str) -> tuple[list[Note], int]:
    """Notes from "pitch:quarters" words (r rests), and where they end."""
    onset, notes = 0, []
    for index, word in enumerate(words.split()):
        pitch, quarters = word.split(":")
        length = int(float(quarters) * QUARTER)
        if pitch != "r":
            notes.append(Note(f"n{index}", onset, length, int(pitch)))
        onset += length
    return notes, onset


@pytest.mark.parametrize(
    ("words", "count", "direction"),
    [
        ("67:4 72:2 74:0.5 76:0.5 77:0.5 78:0.5 79:4", 4, "up"),
        ("67:4 72:1 r:1 79:0.5 77:0.5 76:0.5 74:0.5 72:4", 4, "down"),
        ("67:4 72:3 74:1 76:4", 0, ""),  # one note is an upbeat
        ("67:4 72:4 76:4", 0, ""),
        ("67:4 72:2 74:0.5 76:0.5 r:1 79:4", 0, ""),  # a rest before the downbeat
        ("67:1 69:1 71:1 72:1 74:1 76:1 77:1 78:1 79:4", 0, ""),  # never at rest
    ],
)
def test_lead_ins_of_a_line(words: str, count: int, direction: str) -> None:
    notes, end = _line(words)
    found = lead_in(notes, end - 4 * QUARTER, Meter(4, 4))
    assert (0 if found is None else len(found.onsets)) == count
    assert found is None or (found.direction == direction and found.by_step)


def test_boundaries_of_a_piece() -> None:
    plan = _plan()
    bar = plan.meter.bar_div
    notes = [Note(f"b{i}", i * bar, bar, 67) for i in range(plan.bars) if i != 7]
    notes += [Note("rest", 7 * bar, 2 * QUARTER, 67)]
    notes += [Note(f"l{i}", 8 * bar + n.onset_div, n.duration_div, n.pitch) for i, n in enumerate(RUN)]
    bars = regular_bars(plan.meter, plan.bars)
    score = Score((Part("P1"),), sort_notes(notes), bars, (MeterChange(0, plan.meter),))
    found = boundaries(score, plan)
    assert [b.melody is not None for b in found] == [True, False, False, False]
    assert found[0].cadence == plan.sections[0].cadence
    assert not any(b.upbeat for b in found)


def _tell(plan: Plan, drawn: Drawn, given: Given | None = None) -> Teller:
    teller = Teller(plan, 4, ("classical",), np.random.default_rng(0), given=given)
    for span in spans_of(plan, 4):
        teller.tell(span, drawn)
    return teller


def _drawn(plan: Plan) -> Drawn:
    roll = made_roll(0, plan.end_div // SIXTEENTH)
    drawn = Drawn.silent(roll.steps)
    drawn.play[1:], drawn.articulate[1:] = roll.play, roll.articulate
    return drawn


def test_the_composer_sets_a_link_as_the_highest_line() -> None:
    plan = _linked(_plan())
    fixed = _tell(plan, _drawn(plan)).told.fixed
    end = 8 * 12
    for index, note in enumerate(RUN):
        row = fixed[end - 4 + index]
        assert row[note.pitch - LOWEST_PITCH] == ATTACK
        assert (row[note.pitch + 1 - LOWEST_PITCH :] == OFF).all()
        assert (row[: note.pitch - LOWEST_PITCH] == FREE).all()


def test_given_notes_win_over_a_link() -> None:
    plan = _linked(_plan())
    cells = np.zeros((plan.end_div // SIXTEENTH, PITCHES), dtype=np.int8)
    cells[8 * 12 - 2] = OFF
    fixed = _tell(plan, _drawn(plan), Given(cells, 4)).told.fixed
    assert not (fixed[8 * 12 - 4 : 8 * 12] >= HOLD).any()


def test_a_literal_return_is_the_same_up_to_its_link() -> None:
    plan = _plan()
    plan = replace(
        plan, sections=tuple(replace(s, variation=0.0 if s.source is not None else None) for s in plan.sections)
    )
    plan = _linked(plan)
    drawn = _drawn(plan)
    end, again = 8 * 12, 24 * 12
    drawn.play[end - 4 + 1 : end + 1, 50:] = False
    for index, note in enumerate(RUN):
        drawn.play[end - 4 + index + 1, note.pitch - LOWEST_PITCH] = True
        drawn.articulate[end - 4 + index + 1, note.pitch - LOWEST_PITCH] = True
    fixed = _tell(plan, drawn).told.fixed
    play, struck = drawn.passage(0, end)
    states = np.where(struck, ATTACK, np.where(play, HOLD, OFF))
    assert (fixed[again - 96 : again - 4] == states[:-4]).all()
    # There the note before the link is held, and no note of the link is left.
    top = int(np.flatnonzero(play[-5])[-1])
    assert (fixed[again - 4 : again, top] >= HOLD).all()
    assert not (fixed[again - 4 : again, 48:] >= HOLD).any()


def test_taking_a_link_away() -> None:
    play = np.zeros((16, PITCHES), dtype=bool)
    play[:8, 30] = play[8:10, 40] = play[10:12, 42] = True
    struck = play & ~np.vstack([np.zeros((1, PITCHES), dtype=bool), play[:-1]])
    plan = _linked(_plan())
    assert len(link_cells(plan, 0, 4, SOUNDING["piano"])) == 4
    assert link_cells(plan, 0, 4, (60, 70)) == []
    cells = [LinkCells(8, 10, 40), LinkCells(10, 12, 42)]
    left, attacks = without_link(play, struck, cells, 12)
    assert np.flatnonzero(left.any(axis=0)).tolist() == [30]
    assert left[:12, 30].all()
    assert attacks.sum() == 1
    fixed = np.zeros((16, PITCHES), dtype=np.int8)
    set_link(fixed, cells)
    assert fixed[9, 40] == HOLD
    assert fixed[10, 42] == ATTACK


def test_shares_of_plans_and_tables() -> None:
    assert links_of(_linked(_plan())) == (4, 0, 1)
    assert tables([]) == {"shares": {}, "rhythms": {}, "moves": {}}
    assert isinstance(shipped_tables(), LinkTables)
