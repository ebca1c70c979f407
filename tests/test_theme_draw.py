from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from evaluation.originality import RunIndex
from music.pitch import Key
from music.plan import PlanNote, Theme
from music.time import DIVS_PER_QUARTER, Meter
from planner.grammar import GrammarPlanner
from planner.interface import PlanRequest
from planner.streams import written
from planner.theme_ahead import (
    MAX_LEAP,
    MAX_RANGE,
    PLACES,
    ThemeLimits,
    fit_tables,
    theme_bars,
    uniform_tables,
)
from planner.theme_draw import draw_theme, shared_run, theme_index
from planner.theme_likeness import ALIKE, contour, contrasts, has_shape, theme_similarity, unlike
from planner.theme_scene import MAX_UPBEAT, TO_END, UNIT_DIV, ThemeScene, meter_class, scene_of
from planner.theme_stream import FIELDS, MIDDLE, ThemeWalker, encode, tonic_pitch, values_of
from planner.themes import RANGES

Q = DIVS_PER_QUARTER
METERS = ("2/4", "3/4", "4/4", "6/8", "5/4")
RIGHT = {"PAC": {0}, "HC": {2, 7, 11}}
BARS, OCTAVE, UPBEAT, GAP, DURATION, PITCH = range(6)


def scene(meter: str = "4/4", key: str = "C", **changes: object) -> ThemeScene:
    plain = ThemeScene(
        "A",
        1,
        1,
        Meter.parse(meter),
        Key.parse(key),
        True,
        0,
        100.0,
        3.0,
        65.0,
        0,
        8,
        ((4, "HC"), (8, "PAC")),
        (),
        None,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def line(*notes: tuple[float, float, int], bars: int = 2, key: str = "C") -> Theme:
    return Theme("A", bars, Key.parse(key), tuple(PlanNote(round(o * Q), round(d * Q), p) for o, d, p in notes))


def quarters(*pitches: int, bars: int = 2, key: str = "C") -> Theme:
    return line(*((float(i), 1.0, p) for i, p in enumerate(pitches)), bars=bars, key=key)


def draw(walker: ThemeWalker, limits: ThemeLimits, rng: np.random.Generator) -> list[int]:
    """Values by the limits alone."""
    values = []
    while walker.field is not None:
        weights = limits.weights(walker)
        assert weights is not None
        assert weights.sum() > 0
        values.append(int(rng.choice(len(weights), p=weights / weights.sum())))
        walker.push(values[-1])
    return values


def pushed(walker: ThemeWalker, value: int) -> ThemeWalker:
    other = copy.copy(walker)
    for name in ("onsets", "durations", "pitches", "_note_at", "_gap_at"):
        setattr(other, name, list(getattr(walker, name)))
    other.push(value)
    return other


class Rules:
    """The limits' rules one by one, and whether a walk can be completed by trying all ways."""

    def __init__(self, here: ThemeScene, tables: dict[str, np.ndarray], span: tuple[int, int]) -> None:
        self.scene, self.span = here, span
        kind = meter_class(here.meter)
        self.notes, self.rests = tables["notes"][kind], tables["rests"][kind]
        self.known: dict[tuple[object, ...], bool] = {}

    def right(self, walker: ThemeWalker, value: int) -> bool:
        wanted = RIGHT.get(self.scene.closes(walker.bars) or "")
        return wanted is None or (value - MIDDLE) % 12 in wanted

    def fits(self, walker: ThemeWalker, value: int) -> bool:
        field, place = walker.field, walker.position % 12
        if field == BARS:
            return value + 1 in theme_bars(self.scene)
        if field == OCTAVE:
            return self.span[0] - 6 <= tonic_pitch(self.scene.key, value) <= self.span[1] + 6
        if field == UPBEAT:
            return value == self.scene.pickup
        if field == PITCH:
            pitch = walker.tonic + value - MIDDLE
            sung = [walker.tonic + p - MIDDLE for p in walker.pitches]
            if not self.span[0] <= pitch <= self.span[1] or (sung and abs(pitch - sung[-1]) > MAX_LEAP):
                return False
            if max([pitch, *sung]) - min([pitch, *sung]) > MAX_RANGE:
                return False
            return walker.position + walker.duration < walker.end or self.right(walker, value)
        if field == GAP and value == TO_END:
            late = walker.position > walker.end - self.scene.bar
            return late and len(walker.pitches) > 0 and self.right(walker, walker.pitches[-1])
        if place not in PLACES:
            return False
        if field == GAP:
            seen = self.rests[PLACES.index(place), value] > 0
            return bool(seen) and value < self.scene.bar and walker.position + value < walker.end
        seen = self.notes[PLACES.index(place), value] > 0 or (place == 0 and value + 1 == self.scene.bar)
        return bool(seen) and walker.position + value + 1 <= walker.end

    def completable(self, walker: ThemeWalker) -> bool:
        if walker.field is None:
            return True
        sung = walker.pitches
        state = (
            walker.field,
            walker.position,
            walker.duration,
            walker.bars,
            walker.tonic,
            *((sung[-1], min(sung), max(sung)) if sung else ()),
        )
        if state not in self.known:
            values = range(FIELDS[walker.field].size)
            self.known[state] = any(self.fits(walker, v) and self.completable(pushed(walker, v)) for v in values)
        return self.known[state]


@pytest.mark.parametrize(
    ("meter", "key", "phrases", "pickup", "lengths", "rests"),
    [
        ("1/8", "C", ((2, "PAC"), (4, "PAC")), 0, (5, 9), (0, 3)),
        ("3/16", "F#", ((2, "HC"), (4, None)), 3, (6, 4, 9), (0,)),
        ("1/8", "d", ((3, "PAC"), (4, None)), 6, (4, 6), (0, 12)),
        ("2/16", "E", ((2, None), (4, "PAC")), 0, (18, 8), (0, 3)),
    ],
)
def test_look_ahead_is_exact(
    meter: str, key: str, phrases: tuple, pickup: int, lengths: tuple[int, ...], rests: tuple[int, ...]
) -> None:
    here = scene(meter, key, phrases=phrases, pickup=pickup, bars=4)
    plain = uniform_tables()
    tables = {**plain, "notes": plain["notes"] * 0, "rests": plain["rests"] * 0}
    on_grid = {**uniform_tables()}
    for length in lengths:
        for index, place in enumerate(PLACES):
            ends = {0: PLACES, 4: (0, 4, 8), 8: (0, 4, 8)}.get(place, (0, 3, 6, 9))
            tables["notes"][:, index, length - 1] = (place + length) % 12 in ends
    for rest in rests:
        tables["rests"][:, :, rest] = on_grid["rests"][:, :, rest]
    span = (64, 76)
    rules = Rules(here, tables, span)
    start = ThemeWalker(here)
    if not rules.completable(start):
        with pytest.raises(ValueError, match="no theme"):
            ThemeLimits(here, tables, span)
        return
    limits = ThemeLimits(here, tables, span)
    checked = set()
    for seed in range(12):
        rng, walker = np.random.default_rng(seed), ThemeWalker(here)
        while walker.field is not None:
            weights = limits.weights(walker)
            assert weights is not None
            possible = [
                rules.fits(walker, v) and rules.completable(pushed(walker, v)) for v in range(FIELDS[walker.field].size)
            ]
            assert (weights > 0).tolist() == possible, (FIELDS[walker.field].name, walker.position)
            checked.add((walker.field, walker.position))
            # Any possible value alike, so that the walk comes to odd places.
            walker.push(int(rng.choice(np.flatnonzero(weights > 0))))
    assert {field for field, _ in checked} == set(range(6)) - ({GAP} if pickup and len(checked) < 6 else set())


def assert_singable(theme: Theme, here: ThemeScene, span: tuple[int, int]) -> None:
    pitches = [n.pitch for n in theme.notes]
    assert span[0] <= min(pitches)
    assert max(pitches) <= span[1]
    assert max(pitches) - min(pitches) <= MAX_RANGE
    assert all(abs(b - a) <= MAX_LEAP for a, b in pairwise(pitches))
    assert theme.bars in theme_bars(here)
    end = theme.notes[-1].onset_div + theme.notes[-1].duration_div
    length = theme.bars * here.meter.bar_div
    assert length - here.meter.bar_div < end <= length
    assert all(n.onset_div // UNIT_DIV % 12 in PLACES and n.onset_div % UNIT_DIV == 0 for n in theme.notes)
    wanted = RIGHT.get(here.closes(theme.bars) or "")
    assert wanted is None or (pitches[-1] - here.key.pc) % 12 in wanted


def test_five_hundred_draws_keep_all_limits() -> None:
    rng, tables = np.random.default_rng(5), uniform_tables()
    cadences = ("PAC", "HC", "IAC", None)
    for number in range(500):
        meter = METERS[number % 5]
        first = (4, 2, 3, 8, 5)[number // 5 % 5]
        phrases = ((first, cadences[number % 4]), (first + 4, cadences[number // 4 % 4]))
        pickup = (0, 24, 12)[number % 3]
        key = ("C", "f#", "Bb", "e")[number // 7 % 4]
        here = scene(meter, key, phrases=phrases, bars=first + 4, pickup=pickup, number=number % 2, ensemble=1)
        limits = ThemeLimits(here, tables, (60, 84))
        walker = ThemeWalker(here)
        draw(walker, limits, rng)
        theme = walker.theme()
        assert_singable(theme, here, (60, 84))
        upbeat = max(0, -theme.notes[0].onset_div // UNIT_DIV)
        assert upbeat == pickup if number % 2 == 0 else upbeat <= here.bar // 2


def test_what_no_theme_can_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="less than an octave"):
        ThemeLimits(scene(), uniform_tables(), (60, 70))
    with pytest.raises(ValueError, match="no theme of 2 bars"):
        ThemeLimits(scene(), {**uniform_tables(), "rests": uniform_tables()["rests"] * 0}, (60, 84), bars=[2])


def test_a_wanted_close_weighs_on_what_comes_before() -> None:
    here = scene(phrases=((2, "PAC"), (8, "PAC")))
    tables = fit_tables([])
    # One who has heard the leading tone go home, and the second degree too.
    tables["steps"][0, 11, MAX_LEAP + 1] += 5
    tables["steps"] /= tables["steps"].sum(axis=-1, keepdims=True)
    tables = {**uniform_tables(), "steps": tables["steps"]}
    limits = ThemeLimits(here, tables, (60, 84))
    walker = ThemeWalker(here)
    for value in (1, 4, 0, 0, 95, 44, 0, 47):  # two bars, from the tonic 72: a whole note, then a half note's pitch
        walker.push(value)
    weights = limits.weights(walker)
    assert weights is not None
    assert weights[MIDDLE - 1] > 3 * weights[MIDDLE + 2] > 0
    walker.push(MIDDLE - 1)
    weights = limits.weights(walker)
    assert weights is not None
    assert weights[TO_END] == 0  # not on the leading tone
    walker.push(0)
    walker.push(47)
    weights = limits.weights(walker)
    assert weights is not None
    assert np.flatnonzero(weights).tolist() == [MIDDLE - 12, MIDDLE]  # of three tonics, those an octave away at most


def test_foreign_notes_on_beats_weigh_less() -> None:
    from planner.harmony_symbols import symbol_of

    here = scene(phrases=((4, None),), chords=((0, symbol_of(0, "maj", 0, Key.parse("C"))),))
    limits = ThemeLimits(here, uniform_tables(), (60, 84))
    walker = ThemeWalker(here)
    for value in (3, 4, 0, 0, 11):
        walker.push(value)
    weights = limits.weights(walker)
    assert weights is not None
    assert weights[MIDDLE] == 1 > weights[MIDDLE + 2] > 0
    for value in (MIDDLE, 0, 11):
        walker.push(value)
    weights = limits.weights(walker)
    assert weights is not None
    assert weights[MIDDLE] == weights[MIDDLE + 2]  # off the beat


def test_tables_are_what_was_heard() -> None:
    theme = line((0, 1 / 3, 72), (1 / 3, 2 / 3, 74), (1, 1, 76), (2, 0.5, 74), (3, 1, 72), (4, 4, 67))
    values = values_of(theme, scene())
    assert values is not None
    tables = fit_tables([written(ThemeWalker(scene()), values)] * 2)
    kind = meter_class(Meter.parse("4/4"))
    assert (np.flatnonzero(tables["notes"][kind, 0]) + 1).tolist() == [8, 12, 24, 96]
    assert (np.flatnonzero(tables["notes"][kind, PLACES.index(8)]) + 1).tolist() == [16]
    assert np.flatnonzero(tables["rests"][kind, 0]).tolist() == [0, 12]
    assert not tables["notes"][kind + 1].any()
    assert tables["steps"][0, 0, MAX_LEAP + 2] > 0.4
    assert np.allclose(tables["steps"].sum(axis=-1), 1)
    assert sum(t.nbytes for t in tables.values()) < 700_000


def test_likeness_of_themes() -> None:
    meter = Meter.parse("4/4")
    a = quarters(72, 74, 76, 77, 79, 77, 76, 74)
    assert theme_similarity(a, a, meter) == pytest.approx(1)
    moved = quarters(*(n.pitch - 5 for n in a.notes))
    assert theme_similarity(a, moved, meter) == pytest.approx(1)
    late = line(*((i + 1.5, 1.0, n.pitch) for i, n in enumerate(a.notes[:6])))
    assert theme_similarity(a, late, meter) == pytest.approx(1)  # the same figures, elsewhere in the bar
    other = line((0, 0.5, 79), (0.5, 1.5, 72), (2, 0.5, 67), (2.5, 1.5, 64), (4, 3, 71))
    assert theme_similarity(a, other, meter) < 0.5
    assert unlike(other, [a], meter)
    assert not unlike(moved, [other, a], meter)


def test_contrasts() -> None:
    a = quarters(60, 62, 64, 65, 67, 69, 71, 72)
    assert contrasts(a, a) == frozenset()
    assert contrasts(a, quarters(*(n.pitch + 7 for n in a.notes))) == {"register"}
    assert contrasts(a, replace(a, key=Key.parse("a"))) == {"mode"}
    assert contrasts(a, quarters(*reversed([n.pitch for n in a.notes]))) == {"contour"}
    slow = line((0, 2, 60), (2, 2, 64), (4, 2, 67), (6, 2, 72))
    assert contrasts(a, slow) == {"rhythm", "density"}


@pytest.mark.parametrize(
    ("pitches", "name"),
    [
        ((60, 64, 67, 72, 67, 64, 60), "arch"),
        ((72, 67, 64, 60, 64, 67, 72), "cup"),
        ((60, 62, 64, 65, 67, 69, 71), "rise"),
        ((71, 69, 67, 65, 64, 62, 60), "fall"),
        ((60, 67, 67, 62, 67, 67, 60), "wave"),
    ],
)
def test_contours(pitches: tuple[int, ...], name: str) -> None:
    assert contour(quarters(*pitches)) == name


def test_shapes() -> None:
    assert has_shape(quarters(60, 62, 64, 67, 65, 62))
    assert not has_shape(quarters(60, 62, 64))  # too short
    assert not has_shape(quarters(60, 60, 60, 60, 60, 62, 64))  # a drone
    assert not has_shape(quarters(60, 67, 60, 67, 60, 67, 62))  # three summits, no direction
    assert has_shape(quarters(60, 62, 65, 64, 65, 67, 67))


def test_shared_runs_and_their_index(tmp_path: Path) -> None:
    a = quarters(60, 62, 64, 65, 67, 69, 71)
    b = line((0, 0.5, 60), (0.5, 1, 65), (1.5, 2, 64), (4, 1, 62))
    index = theme_index([b, a])
    assert shared_run(quarters(*(n.pitch + 5 for n in a.notes)), index) == 7
    halved = line(*((n.onset_div / Q / 2, n.duration_div / Q / 2, n.pitch) for n in a.notes[:5]))
    assert shared_run(halved, index) == 5
    assert shared_run(quarters(60, 62, 64, 65, 60, 69, 71), index) == 4
    uneven = line((0, 1, 60), (1, 2, 62), (3, 1, 64), (4, 2, 65))
    assert shared_run(uneven, index) == 2
    index.write(tmp_path / "index.npz")
    assert shared_run(a, RunIndex.read(tmp_path / "index.npz")) == 7


def test_whether_a_run_stands_in_an_index_is_told_as_by_its_length() -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        known, own = (rng.integers(1, 4, size, dtype=np.uint32) for size in (60, 20))
        known[rng.integers(0, 60, 4)] = 0  # between themes
        index = RunIndex(np.append(known, np.uint32(0)))
        longest = int(index.run_lengths(own).max())
        assert [index.has_run(own, length) for length in range(1, 21)] == [length <= longest for length in range(1, 21)]
    index, some = RunIndex(np.array([1, 2, 0], dtype=np.uint32)), np.array([1, 2], dtype=np.uint32)
    assert index.has_run(some, 2)
    assert not index.has_run(some[:0], 1)
    assert not RunIndex(np.zeros(1, dtype=np.uint32)).has_run(some, 1)


def drawn_plan(number: int, pick: Callable[[ThemeWalker, ThemeLimits, np.random.Generator], list[int]], **more: object):
    """The themes that are drawn for a grammar plan of several letters, with their scenes."""
    request = PlanRequest(
        form=("rondo", "ABCDE", "ternary", "ABCDEFG")[number % 4], meter=Meter.parse(METERS[number % 5])
    )
    plan = GrammarPlanner().plan(request, seed=number)
    bare = replace(plan, themes=(), sections=tuple(replace(s, theme=None) for s in plan.sections))
    made: list[Theme] = []
    scenes = []
    for label in [t.label for t in plan.themes]:
        here = scene_of(replace(bare, themes=tuple(made)), label, [])
        made.append(draw_theme(pick, here, made, np.random.default_rng(number), **more))  # type: ignore[arg-type]
        scenes.append(here)
    return plan, made, scenes


def test_letters_of_a_plan_are_unlike_and_contrast() -> None:
    for number in range(25):
        plan, made, scenes = drawn_plan(number, draw)
        for a, b in combinations(made, 2):
            assert theme_similarity(a, b, plan.meter) < ALIKE
        assert all(len(contrasts(theme, made[0])) >= 2 for theme in made[1:])
        for theme, here in zip(made, scenes, strict=True):
            assert has_shape(theme)
            assert_singable(theme, here, RANGES[plan.ensemble][:2])
            assert theme.key == here.key


def stubborn(walker: ThemeWalker, limits: ThemeLimits, rng: np.random.Generator) -> list[int]:
    """The same theme whatever is asked: the middle one of the possible values, no rest but the last."""
    values = []
    while walker.field is not None:
        weights = limits.weights(walker)
        assert weights is not None
        choices = np.flatnonzero(weights > 0)
        values.append(int(choices[0 if walker.field == GAP else len(choices) // 2]))
        walker.push(values[-1])
    return values


def test_themes_differ_even_where_all_draws_are_the_same() -> None:
    for number in range(6):
        plan, made, _ = drawn_plan(number, stubborn, tries=2)
        for a, b in combinations(made, 2):
            assert theme_similarity(a, b, plan.meter) < ALIKE
        assert all(len(contrasts(theme, made[0])) >= 2 for theme in made[1:])


def test_a_copy_of_a_known_theme_is_not_taken() -> None:
    here = scene(phrases=((4, "PAC"), (8, "PAC")))
    rng = np.random.default_rng(3)
    copied = draw_theme(draw, here, (), np.random.default_rng(3))
    assert len(copied.notes) >= 8
    fresh = draw_theme(draw, here, (), rng, index=theme_index([copied]))
    assert shared_run(fresh, theme_index([copied])) < len(copied.notes)
    assert fresh != copied


def test_there_is_always_a_theme() -> None:
    rng = np.random.default_rng(0)
    odd = [
        scene("17/8", phrases=((4, "PAC"),), bars=4),
        scene("7/8", phrases=((1, "HC"),), bars=1),
        scene("3/8", phrases=((1, None), (2, "DC")), bars=2, number=3, first=(12.0, 70.0)),
        scene("4/4", pickup=35, ensemble=2),
        scene("4/4", tempo_qpm=400.0, ensemble=3, density=None, register=None),
    ]
    for here in odd:
        theme = draw_theme(draw, here, [quarters(60, 62, 64, 65)] * (here.number > 0), rng)
        assert theme.label == "A"
        assert theme.notes
    # Tables that know nothing: plain ones take their place.
    silent = {name: table * 0 for name, table in uniform_tables().items()}
    assert_singable(draw_theme(draw, scene(), (), rng, tables=silent), scene(), (60, 84))


def test_drawn_themes_can_be_told_again() -> None:
    plan, made, _ = drawn_plan(2, draw)
    whole = replace(plan, themes=tuple(made))
    for theme in made:
        tokens = encode(whole, theme.label, [])
        assert tokens is not None
        assert len(tokens) >= 3 + 2 * len(theme.notes)
    assert MAX_UPBEAT == 96
