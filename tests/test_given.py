"""Notes told in advance: whatever a composer does with them, they stand in the score note for note."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from composer.conditions import ATTACK, FREE, HOLD, OFF
from composer.given import Given
from composer.given_files import (
    bars_of_label,
    compose_given,
    filled_given,
    impose,
    melody_given,
    opening_given,
    parse_bars,
    read_given,
    with_parts,
)
from composer.realise import realise
from composer.roll import Roll, roll_of_score
from music.errors import FileError, RequestError
from music.midi import write_score_midi
from music.musicxml import write_musicxml
from music.passage import file_hashes, read_passage
from music.pitch import Key
from music.plan import Plan, PlanNote
from music.plan_json import write_plan
from music.score import KeyChange, MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import DIVS_PER_QUARTER, Meter
from planner.grammar import GrammarPlanner
from planner.harmonise import harmonise, phrases_between
from planner.plan_file import ensemble_of, make_plan, vary
from planner.request import parse_request

Q = DIVS_PER_QUARTER
COMMON, WALTZ = Meter(4, 4), Meter(3, 4)
# "Ah, vous dirai-je, maman": twelve bars, A B A.
AH = "60 60 67 67 69 69 67/2 65 65 64 64 62 62 60/2"
B = "67 67 65 65 64 64 62/2 67 67 65 65 64 64 62/2"


class Noisy:
    """A composer that strikes chords of four all over the keyboard and heeds what it is given or not, as told."""

    def __init__(self, *, heeds: bool) -> None:
        self.heeds = heeds
        self.seen: Given | None = None

    def compose(self, plan: Plan, *, seed: int, given: Given | None = None) -> Score:
        """Chance, with the given cells in it or not."""
        self.seen = given
        grid = given.grid if given else 4
        steps = plan.end_div // (Q // grid)
        rng = np.random.default_rng(seed)
        play = np.zeros((steps, 88), dtype=bool)
        play[:, 15:65:2] = np.repeat(rng.random((-(-steps // 4), 25)) < 0.15, 4, axis=0)[:steps]
        articulate = play & (rng.random((steps, 88)) < 0.3)
        if given is not None and self.heeds:
            play = np.where(given.fixed == FREE, play, given.fixed >= HOLD)
            articulate = np.where(given.fixed == FREE, articulate, given.fixed == ATTACK) & play
        return realise(plan, Roll(play, articulate, np.ones(steps, dtype=bool), grid))


class Deaf:
    """A composer of the old kind."""

    def compose(self, plan: Plan, *, seed: int) -> Score:
        """Never called here with anything given."""
        steps = plan.end_div // 2520
        silent = np.zeros((steps, 88), dtype=bool)
        return realise(plan, Roll(silent, silent.copy(), np.ones(steps, dtype=bool), 4))


def line(words: str, onset: float = 0.0) -> list[tuple[float, float, int]]:
    """Rows (onset, duration, pitch) in quarters from "pitch" or "pitch/quarters" words."""
    rows = []
    for word in words.split():
        pitch, _, length = word.partition("/")
        rows.append((onset, float(length or 1), int(pitch)))
        onset += float(length or 1)
    return rows


def score_of(
    rows: list[tuple[float, float, int]],
    *,
    meter: Meter = COMMON,
    pickup: float = 0.0,
    key: str | None = "C",
    parts: int = 1,
) -> Score:
    """A score of these notes, as many bars as they need."""
    notes = [Note(f"n{i}", round(o * Q), round(d * Q), p, i % parts) for i, (o, d, p) in enumerate(rows)]
    upbeat = round(pickup * Q)
    bars = -(-(max(n.end_div for n in notes) - upbeat) // meter.bar_div)
    keys = (KeyChange(0, Key.parse(key)),) if key else ()
    row = tuple(Part(f"P{i}", f"Part {i}") for i in range(parts))
    return Score(row, sort_notes(notes), regular_bars(meter, bars, upbeat), (MeterChange(0, meter),), keys)


def rows_of(score: Score, first: int = 0, end: int | None = None) -> Counter:
    return Counter(
        (n.onset_div, n.duration_div, n.pitch) for n in score.notes if first <= n.onset_div < (end or score.end_div)
    )


def saved(score: Score, path: Path) -> str:
    (write_musicxml if path.suffix == ".musicxml" else write_score_midi)(score, path)
    return str(path)


@pytest.fixture
def tune(tmp_path: Path) -> str:
    return saved(score_of(line(f"{AH} {B} {AH}")), tmp_path / "ah.musicxml")


@pytest.fixture(params=[True, False], ids=["heeds", "heeds not"])
def composer(request: pytest.FixtureRequest) -> Noisy:
    return Noisy(heeds=request.param)


def test_a_melody_stays_on_top_note_for_note(tune: str, composer: Noisy) -> None:
    settings = {"melody": tune, "ensemble": "piano"}
    plan = make_plan(GrammarPlanner(), settings, seed=1)
    assert (plan.bars, str(plan.meter), str(plan.key)) == (12, "4/4", "C")
    score = compose_given(composer, plan, seed=1, settings=settings)
    wanted = [(round(o * Q), round(d * Q), p) for o, d, p in line(f"{AH} {B} {AH}")]
    found = rows_of(score)
    assert all(found[row] for row in wanted)
    for onset, duration, pitch in wanted:
        above = [n for n in score.notes if n.pitch > pitch and n.onset_div < onset + duration and n.end_div > onset]
        assert not above
    assert len(score.notes) > 3 * len(wanted), "the composer wrote the rest"
    assert all(section.chords for section in plan.sections)


def test_a_harmonised_melody_has_chords_that_carry_it(tune: str) -> None:
    plan = make_plan(GrammarPlanner(), {"melody": tune, "style": "bach_chorale"}, seed=0)
    notes = read_passage(tune).line.notes
    inside = total = 0
    for section, first in zip(plan.sections, plan.first_bars, strict=True):
        for chord in section.chords:
            start = first * plan.meter.bar_div + chord.onset_div
            for note in notes:
                shared = min(note.onset_div + note.duration_div, start + chord.duration_div) - max(
                    note.onset_div, start
                )
                if shared > 0:
                    total += shared
                    inside += shared * (note.pitch % 12 in chord.pcs)
    assert inside > 0.9 * total
    assert plan.sections[-1].phrases[-1].cadence == "PAC"
    assert plan.sections[-1].chords[-1].figure == "I"
    assert {p.cadence for s in plan.sections for p in s.phrases} - {"PAC", None}, (
        "phrases in the middle close otherwise"
    )
    assert plan.theme_of("A") is not None


def test_a_typed_form_gives_a_melody_its_sections(tune: str) -> None:
    plan = make_plan(GrammarPlanner(), {"melody": tune, "form": "A4 B4/HC A4"}, seed=0)
    assert [(s.label, s.bars) for s in plan.sections] == [("A", 4), ("B", 4), ("A", 4)]
    assert plan.sections[1].phrases[-1].cadence == "HC"
    assert plan.sections[1].chords[-1].figure == "V"
    with pytest.raises(RequestError, match="bars=12 contradicts form"):
        make_plan(GrammarPlanner(), {"melody": tune, "form": "A4 B4"}, seed=0)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"key": "G"}, "key=G contradicts melody=.*, which is in C"),
        ({"meter": "3/4"}, "meter=3/4 contradicts melody=.*, which is in 4/4"),
        ({"bars": 16}, "bars=16 contradicts melody=.*, which has 12 bars"),
        ({"theme": "x.mid"}, "contradicts|no such file|x.mid"),
    ],
)
def test_what_a_melody_contradicts_is_named(tune: str, wish: dict, said: str) -> None:
    with pytest.raises((RequestError, FileError), match=said):
        make_plan(GrammarPlanner(), {"melody": tune, **wish}, seed=0)


def test_an_upbeat_is_the_plans_upbeat(tmp_path: Path, composer: Noisy) -> None:
    words = "67 72/2 74 76/2 74 72/2 71 72/2 67 69/2 71 72/2 74 71/2 67 72/2"
    path = saved(score_of(line(words), meter=WALTZ, pickup=1.0), tmp_path / "up.musicxml")
    settings = {"melody": path}
    plan = make_plan(GrammarPlanner(), settings, seed=3)
    assert (plan.pickup_div, plan.bars, str(plan.meter)) == (Q, 8, "3/4")
    found = rows_of(compose_given(composer, plan, seed=0, settings=settings))
    assert all(found[(round(o * Q), round(d * Q), p)] for o, d, p in line(words))


def four_bars() -> list[tuple[float, float, int]]:
    """A tune over chords, with eighths and a held bass."""
    tune = line("72 74 76 77 79/2 76/2 74/0.5 76/0.5 77 74 71 72/4")
    bass = line("48/4 55/4 53/2 43/2 48/4")
    return tune + bass + [(4.0, 2.0, 64), (6.0, 2.0, 60), (8.5, 1.5, 65), (12.0, 4.0, 64)]


@pytest.mark.parametrize("suffix", [".mid", ".musicxml"])
def test_an_opening_is_kept_and_goes_on(tmp_path: Path, composer: Noisy, suffix: str) -> None:
    path = saved(score_of(four_bars()), tmp_path / f"opening{suffix}")
    settings = {"opening": path, "form": "AB", "bars": 8}
    plan = make_plan(GrammarPlanner(), settings, seed=2)
    assert (plan.bars, str(plan.key), str(plan.meter)) == (8, "C", "4/4")
    score = compose_given(composer, plan, seed=2, settings=settings)
    assert rows_of(score, 0, 4 * COMMON.bar_div) == rows_of(score_of(four_bars()))
    assert any(n.onset_div >= 4 * COMMON.bar_div for n in score.notes)
    figures = [c.root for c in plan.sections[0].chords if c.onset_div < 4 * COMMON.bar_div]
    assert figures[0] == 0
    assert figures[-1] == 0
    with pytest.raises((RequestError, FileError), match="bars"):
        make_plan(GrammarPlanner(), {"opening": path, "bars": 4, "form": "AB"}, seed=0)


def made_score(seed: int = 5, ensemble: str = "piano") -> tuple[Plan, Score]:
    request = parse_request(form="A4 B4:V A'4", ensemble=ensemble, meter="4/4")
    plan = GrammarPlanner().plan(request, seed=seed)
    return plan, Noisy(heeds=True).compose(plan, seed=seed)


@pytest.mark.parametrize("ensemble", ["piano", "satb", "quartet"])
def test_all_bars_but_some_stay_as_they_are(composer: Noisy, ensemble: str) -> None:
    plan, score = made_score(ensemble=ensemble)
    free = parse_bars("3-4,9", plan.bars)
    given = filled_given(score, plan, free, "x.mid")
    filled = impose(composer.compose(plan, seed=99, given=given), plan, given)

    def kept(found: Score) -> Counter:
        bar = COMMON.bar_div
        return Counter(
            {row: count for row, count in rows_of(found).items() if (row[0] - plan.pickup_div) // bar not in free}
        )

    assert kept(filled) == kept(score)
    assert rows_of(filled) != rows_of(score), "the others are new"
    again = impose(composer.compose(plan, seed=99, given=given), plan, given)
    assert again == filled


def test_a_section_is_redone_and_the_rest_kept_through_files(tmp_path: Path, composer: Noisy) -> None:
    from music.plan_json import write_plan

    plan, score = made_score()
    write_plan(plan, tmp_path / "plan.json")
    path = saved(score, tmp_path / "score.musicxml")
    settings = {"redo": "B", "plan_file": str(tmp_path / "plan.json"), "score_file": path}
    again = make_plan(GrammarPlanner(), settings, seed=0)
    assert again == plan
    redone = compose_given(composer, again, seed=7, settings=settings)
    start, end = (plan.pickup_div + b * COMMON.bar_div for b in (4, 8))
    for first, last in ((0, start), (end, plan.end_div)):
        assert rows_of(redone, first, last) == rows_of(score, first, last)
    assert rows_of(redone, start, end) != rows_of(score, start, end)
    assert file_hashes(settings)["files"].keys() == {"plan_file", "score_file"}


def test_kept_bars_keep_their_parts() -> None:
    plan, score = made_score(ensemble="satb")
    free = parse_bars("5-8", plan.bars)
    given = filled_given(score, plan, free, "x.mid")
    # Another dealing of the parts, as a musician may have made it.
    crossed = replace(score, notes=sort_notes([replace(n, part=(n.part + 1) % 4) for n in score.notes]))
    made = with_parts(impose(Noisy(heeds=True).compose(plan, seed=3, given=given), plan, given), crossed, plan, free)
    last = plan.pickup_div + 3 * COMMON.bar_div  # the bar before the new ones may be tied to them

    def dealt(found: Score) -> Counter:
        return Counter((n.onset_div, n.pitch, n.part, n.voice) for n in found.notes if n.onset_div < last // 2)

    assert dealt(made) == dealt(crossed)
    assert rows_of(made) == rows_of(impose(Noisy(heeds=True).compose(plan, seed=3, given=given), plan, given))


def test_a_plan_is_read_from_the_score_where_none_is_given(tmp_path: Path) -> None:
    rows = [*line(f"{AH} {B} {AH}"), *((float(i), 4.0, 48 + i % 5) for i in range(0, 48, 4) if i not in (16, 20))]
    rows = [row for row in rows if not 16 <= row[0] < 24]  # two empty bars
    path = saved(score_of(rows), tmp_path / "gap.mid")
    settings = {"bars_to_fill": "5-6", "score_file": path}
    plan = make_plan(GrammarPlanner(), settings, seed=0)
    assert plan.bars == 12
    assert all(t.density > 0 for s in plan.sections for t in s.textures)
    score = compose_given(Noisy(heeds=True), plan, seed=0, settings=settings)
    assert any(16 * Q <= n.onset_div < 24 * Q for n in score.notes)
    with pytest.raises(RequestError, match=r"key=G contradicts score_file=.*gap.mid, whose key is"):
        make_plan(GrammarPlanner(), {**settings, "key": "G"}, seed=0)


def test_notes_off_the_grid_name_their_bar(tmp_path: Path) -> None:
    plan = GrammarPlanner().plan(parse_request(form="A", bars=4, meter="4/4"), seed=0)
    plan = replace(plan, pickup_div=0)
    triplets = [PlanNote(i * Q // 3, Q // 3, 60 + i) for i in range(12)]
    assert opening_given(triplets, plan, "x.mid").grid == 6
    odd = [PlanNote(0, Q, 60), PlanNote(9 * Q + Q // 8, Q, 62)]
    for make in (melody_given, opening_given):
        with pytest.raises(FileError, match=r"x\.mid: bar 3 has a note that begins or ends between sixteenths"):
            make(odd, plan, "x.mid")
    with pytest.raises(FileError, match="has 5 bars, the plan 4"):
        opening_given([PlanNote(0, 17 * Q, 60)], plan, "x.mid")
    with pytest.raises(FileError, match="pitch 12"):
        opening_given([PlanNote(0, Q, 12)], plan, "x.mid")
    with pytest.raises(FileError, match="its plan 4 bars of 4/4"):
        filled_given(score_of(line(AH + " " + B)), plan, frozenset(), "x.mid")


def test_cells_of_a_melody() -> None:
    plan = replace(GrammarPlanner().plan(parse_request(form="A", bars=4, meter="4/4"), seed=0), pickup_div=0)
    given = melody_given([PlanNote(0, Q, 60), PlanNote(2 * Q, Q, 64)], plan, "x.mid")
    c, e = 60 - 21, 64 - 21
    assert given.fixed[:5, c].tolist() == [ATTACK, HOLD, HOLD, HOLD, OFF]
    assert (given.fixed[:4, c + 1 :] == OFF).all()
    assert (given.fixed[4:8, c:] == OFF).all(), "nothing as high while it rests"
    assert (given.fixed[4:8, :c] == FREE).all()
    assert given.fixed[8:12, c].tolist() == [FREE] * 4
    assert given.fixed[8, e] == ATTACK
    assert (given.fixed[12:, e:] == OFF).all()


def test_a_kept_note_is_not_drawn_out_but_struck_again() -> None:
    plan = replace(GrammarPlanner().plan(parse_request(form="A", bars=4, meter="4/4"), seed=0), pickup_div=0)
    fixed = np.zeros((64, 88), dtype=np.int8)
    fixed[:4, 40] = [ATTACK, HOLD, HOLD, HOLD]
    play = np.zeros((64, 88), dtype=bool)
    play[:8, 40] = True
    articulate = np.zeros_like(play)
    articulate[0, 40] = True
    score = impose(realise(plan, Roll(play, articulate, np.ones(64, dtype=bool), 4)), plan, Given(fixed, 4))
    assert sorted(rows_of(score)) == [(0, Q, 61), (Q, Q, 61)]


def test_bars_and_labels_as_words() -> None:
    assert sorted(parse_bars("3-4, 9", 12)) == [2, 3, 8]
    for text, said in (("", "form"), ("4-3", "4-3"), ("0", "count from 1"), ("x", "form"), ("9-13", "12 bars")):
        with pytest.raises(RequestError, match=said):
            parse_bars(text, 12)
    plan, _ = made_score()
    assert sorted(bars_of_label(plan, "A")) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert sorted(bars_of_label(plan, "A'")) == [8, 9, 10, 11]
    with pytest.raises(RequestError, match=r"redo=C: the plan has no such section \(it has A B A'\)"):
        bars_of_label(plan, "C")


def test_a_composer_that_cannot_be_told_is_refused(tune: str) -> None:
    plan = make_plan(GrammarPlanner(), {"melody": tune}, seed=1)
    with pytest.raises(RequestError, match=r"melody=.* needs a composer that takes notes in advance; Deaf does not"):
        compose_given(Deaf(), plan, seed=0, settings={"melody": tune})
    assert compose_given(Deaf(), plan, seed=0, settings={}).notes == ()
    assert read_given(plan, {}) is None


def test_variation_is_that_of_all_returns() -> None:
    plan = GrammarPlanner().plan(parse_request(form="ABA'", bars=24), seed=0)
    varied = vary(plan, 0.3)
    assert [s.variation for s in varied.sections] == [plan.sections[0].variation, plan.sections[1].variation, 0.3]
    exact = vary(plan, 0.0)
    for section in exact.sections:
        if section.source is not None:
            model = exact.sections[section.source]
            if (section.bars, section.cadence, section.key) == (model.bars, model.cadence, model.key):
                assert (section.phrases, section.chords) == (model.phrases, model.chords)
    assert vary(plan, None) is plan
    with pytest.raises(RequestError, match="variation=2"):
        vary(plan, 2.0)


def test_phrases_are_cut_where_the_melody_breathes() -> None:
    assert [p.bars for p in phrases_between(8, [-4, 0, 3, 4, 7, 8, 12])] == [3, 5]
    assert [p.bars for p in phrases_between(4, [])] == [4]


def test_minor_melodies_close_in_minor() -> None:
    plan = GrammarPlanner().plan(parse_request(form="A", bars=8, key="a", meter="4/4"), seed=0)
    words = "69 71 72 74 76/2 74/2 72 71 69 68 69/4 72 74 76 77 76/2 74/2 72 74 71 68 69/4"
    notes = [PlanNote(round(o * Q), round(d * Q), p) for o, d, p in line(words)]
    made = harmonise(plan, notes, [0, 4, 8])
    assert made.sections[0].chords[-1].figure == "i"
    assert made.sections[0].phrases[-1].cadence == "PAC"
    dominants = [c.figure for c in made.sections[0].chords if c.figure in ("V", "V7")]
    assert dominants


def test_who_plays_is_read_from_the_parts() -> None:
    assert ensemble_of(score_of(line(AH))) == "piano"
    assert ensemble_of(score_of(line(AH), parts=4)) == "quartet"
    choir = score_of(line(AH), parts=4)
    assert ensemble_of(replace(choir, parts=(Part("S", "Soprano"), *choir.parts[1:]))) == "satb"


def test_the_roll_of_what_was_given_is_what_was_given() -> None:
    plan, score = made_score()
    given = filled_given(score, plan, frozenset(), "x.mid")
    roll = roll_of_score(score, given.grid)
    assert np.array_equal(given.fixed >= HOLD, roll.play)
    assert np.array_equal(given.fixed == ATTACK, roll.articulate)


def test_a_piece_may_be_written_anew_from_end_to_end(tmp_path: Path, composer: Noisy) -> None:
    plan, score = made_score()
    file, plan_file = saved(score, tmp_path / "s.musicxml"), tmp_path / "plan.json"
    write_plan(plan, plan_file)
    settings = {"plan_file": str(plan_file), "score_file": file, "bars_to_fill": f"1-{plan.bars}"}
    assert compose_given(composer, plan, seed=1, settings=settings).notes


def test_a_plan_of_a_file_must_fit_the_melody(tmp_path: Path, tune: str, composer: Noisy) -> None:
    plan = GrammarPlanner().plan(parse_request(form="AB", meter="2/4", key="F", bars=12), seed=1)
    write_plan(plan, tmp_path / "plan.json")
    settings = {"plan_file": str(tmp_path / "plan.json"), "melody": tune}
    with pytest.raises(RequestError, match=r"melody=.* plan_file="):
        compose_given(composer, plan, seed=1, settings=settings)
