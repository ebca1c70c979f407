"""Forms under wishes: all are kept, no walk is stuck, and a weight is above 0 just where an end can be reached."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from music.errors import RequestError
from music.pitch import ALL_KEYS, Key
from music.plan import CADENCES, DYNAMICS, Phrase, PlanNote, Theme
from music.time import DIVS_PER_QUARTER, Meter
from planner import form_columns as fc
from planner.form_ahead import MOST_BARS, MOST_SECTIONS, FormLimits, Lengths, fit_tables, uniform_tables
from planner.form_stream import FormDraw, FormWalker, drawn
from planner.frame import source_of
from planner.read_wishes import read
from planner.request import METERS, parse_request
from planner.streams import Tokens, written
from planner.wishes import SectionWish, Wishes
from tests.form_cases import HEAD, HOME, Sections, Small

TABLES = Lengths(uniform_tables())


def wishes_of(sections: Sections | None = None, **more: object) -> Wishes:
    asked = None if sections is None else lambda home: sections
    return Wishes("style", "piano", sections=asked, **more)  # type: ignore[arg-type]


def draw_form(limits: FormLimits, rng: np.random.Generator, *, end: float = 1.0) -> tuple[FormDraw, list[int]]:
    """A walk in which all values are equally likely but for the weights; `end` is how likely the end is beside them."""
    walker = FormWalker(1, 1, bars_total=limits.bars_total, sections_total=limits.sections_total)
    values = []
    while walker.field is not None:
        shares = np.ones(fc.FIELDS[walker.field].size)
        if walker.field == fc.LABEL:
            shares[fc.END] = end
        weights = limits.weights(walker)
        if weights is not None:
            shares = shares * weights
        total = shares.sum()
        assert np.isfinite(total)
        assert total > 0, f"stuck at {fc.FIELDS[walker.field].name}"
        value = int(np.searchsorted(np.cumsum(shares), rng.random() * total, side="right"))
        values.append(value)
        walker.push(value)
    return limits.settle(drawn(walker, "style", "piano")), values


# What a kept form is, said again without any look-ahead.


def check(draw: FormDraw, wishes: Wishes) -> None:
    assert draw.key is not None
    assert draw.meter is not None
    assert draw.tempo_qpm is not None
    assert wishes.key in (None, draw.key)
    assert wishes.homes is None or draw.key in wishes.homes
    assert draw.meter in (wishes.meters or METERS)
    low, high = wishes.tempo or (20, 400)
    assert low <= draw.tempo_qpm <= high
    assert draw.pickup_div is not None
    assert draw.pickup_div < draw.meter.bar_div
    assert wishes.pickup_div in (None, draw.pickup_div)
    bars = sum(section.bars for section in draw.sections)
    assert wishes.bars in (None, bars)
    asked = wishes.sections(draw.key) if wishes.sections else ()
    if asked:
        assert len(draw.sections) == len(asked)
    elif wishes.bars is None:
        assert len(draw.sections) <= MOST_SECTIONS
        assert bars <= MOST_BARS
    labels: list[str] = []
    for index, section in enumerate(draw.sections):
        wish = asked[index] if asked else SectionWish()
        last = index == len(draw.sections) - 1
        assert sum(phrase.bars for phrase in section.phrases) == section.bars
        assert section.bars == (wish.bars or section.bars)
        assert section.bars >= max(4, wish.bars_at_least)
        assert section.source == source_of(labels, section.label)
        labels.append(section.label)
        allowed = wish.keys or ({draw.key} if last or not index else None)
        assert allowed is None or section.key in allowed
        if wish.key_of_model and section.source is not None:
            assert section.key == draw.sections[section.source].key
        closes = section.phrases[-1].cadence
        if wish.cadences is not None:
            assert closes in wish.cadences
        elif last and wish.phrases is None:
            assert closes in ("PAC", "IAC")
        assert wish.phrases in (None, section.phrases)
        assert wish.label in (None, section.label)
        for name in ("density", "register", "dynamic"):
            assert getattr(wish, name) in (None, getattr(section, name))
        if section.source is not None:
            assert wish.variation in (None, section.variation)
    if not asked:
        check_open_labels(labels)
    if wishes.themes and not asked:
        assert draw.sections[0].bars >= wishes.themes[0].bars


def check_open_labels(labels: list[str]) -> None:
    """New letters in order, without primes; primes one after another."""
    primes: dict[str, int] = {}
    for label in labels:
        letter, prime = label[0], len(label) - 1
        if letter not in primes:
            assert (letter, prime) == (chr(ord("A") + len(primes)), 0)
        assert prime <= primes.get(letter, -1) + 1
        primes[letter] = max(prime, primes.get(letter, 0))


# Random wishes that can be met.


def random_theme(rng: np.random.Generator) -> Theme:
    return Theme("A", int(rng.integers(1, 12)), HOME, (PlanNote(0, DIVS_PER_QUARTER, 60),))


def random_sections(rng: np.random.Generator, home: Key) -> Sections:
    """Some letters, in any order, each section with some of all that can be asked for."""
    labels = [str(rng.choice(list("ABCX"))) + "'" * int(rng.integers(0, 2)) for _ in range(rng.integers(1, 8))]
    return tuple(random_section(rng, home, label) for label in labels)


def random_section(rng: np.random.Generator, home: Key, label: str) -> SectionWish:
    def maybe(chance: float) -> bool:
        return bool(rng.random() < chance)

    keys = [home, home.relative("V"), home.relative("bVI"), Key("Gb"), Key("F#"), Key("eb".upper()[0], True)]
    bars = int(rng.choice([4, 6, 7, 8, 12, 16, 140])) if maybe(0.4) else None
    wish = SectionWish(
        label=label if maybe(0.8) else None,
        bars=bars,
        bars_at_least=int(rng.integers(0, 20)) if bars is None and maybe(0.2) else 0,
        keys=frozenset(keys[i] for i in rng.integers(0, len(keys), 2)) if maybe(0.3) else None,
        cadences=frozenset((*CADENCES, None)[i] for i in rng.integers(0, 5, 2)) if maybe(0.3) else None,
        density=float(rng.uniform(0.2, 20)) if maybe(0.2) else None,
        register=float(rng.uniform(20, 100)) if maybe(0.2) else None,
        dynamic=str(rng.choice(DYNAMICS)) if maybe(0.2) else None,
        variation=float(rng.uniform(0, 1)) if maybe(0.2) else None,
        key_of_model=False,
    )
    if maybe(0.15):
        phrases = (Phrase(3, "a", "HC"), Phrase(70, "m'''''"), Phrase(2, "b", "DC" if maybe(0.5) else None))
        wish = replace(wish, bars=None, bars_at_least=0, phrases=phrases, cadences=None)
    return wish


def random_wishes(rng: np.random.Generator) -> Wishes:
    def maybe(chance: float) -> bool:
        return bool(rng.random() < chance)

    home = ALL_KEYS[int(rng.integers(24))]
    kind = rng.random()
    sections = None if kind < 0.4 else random_sections(rng, home)
    total = None
    if maybe(0.5):
        least = 4
        is_closed = False
        if sections is not None:
            lengths = [sum(p.bars for p in s.phrases) if s.phrases else s.bars for s in sections]
            least = sum(x or max(4, s.bars_at_least) for x, s in zip(lengths, sections, strict=True))
            is_closed = all(lengths)
        total = least if is_closed else least + int(rng.choice([0, 1, 2, 3, 4, 5, 9, 30, 200]))
    themes = (random_theme(rng),) if sections is None and maybe(0.2) and (total is None or total > 40) else ()
    tempo = sorted(rng.uniform(20, 400, 2).round(2)) if maybe(0.3) else None
    key = home if maybe(0.6) or sections is not None else None
    return wishes_of(
        sections,
        key=key,
        homes=frozenset(ALL_KEYS[i] for i in rng.integers(0, 24, 3)) if maybe(0.3) and key is None else None,
        meters=frozenset(METERS[i] for i in rng.integers(0, len(METERS), 2)) if maybe(0.4) else None,
        tempo=(float(tempo[0]), float(tempo[1])) if tempo is not None else None,
        pickup_div=int(rng.choice([0, 1260, 3360, 5040, 7777, 10080])) if maybe(0.3) else None,
        bars=total,
        themes=themes,
    )


def test_random_wishes() -> None:
    """All kept, none stuck."""
    rng = np.random.default_rng(5)
    for _ in range(700):
        wishes = random_wishes(rng)
        draw, _ = draw_form(FormLimits(wishes, TABLES), rng, end=2.0)
        check(draw, wishes)


@pytest.mark.parametrize(
    "form",
    ["rondo7", "sonata", "ritornello", "variations", "A8 B8:V/HC A'8 C12:vi A8", "BAB", "A''BA", "minuet", "A200"],
)
@pytest.mark.parametrize("bars", [None, 97, 200])
def test_forms_as_users_ask_for_them(form: str, bars: int | None) -> None:
    if (bars is not None and any(letter.isdigit() for letter in form[1:]) and " " in form) or (form, bars) == (
        "A200",
        97,
    ):
        with pytest.raises(RequestError):
            read(parse_request(form=form, bars=bars))
        return
    wishes = read(parse_request(form=form, bars=bars))
    for seed in range(3):
        draw, _ = draw_form(FormLimits(wishes, TABLES), np.random.default_rng(seed))
        check(draw, wishes)


# Exactness, over small forms.


def asked(text: str, **more: object) -> SectionWish:
    return SectionWish(label=text or None, **more)  # type: ignore[arg-type]


_KEYS = frozenset((Key("G"), Key("A", True)))
_PHRASES = (Phrase(3, "a", "HC"), Phrase(2, "b", None))
SMALL: dict[str, tuple[Sections | None, int | None]] = {
    "open 7": (None, 7),
    "open 10": (None, 10),
    "letters": ((asked("A"), asked("B"), asked("A")), 13),
    "no bars": ((asked("A", bars=6), asked("A'")), None),
    "keys": ((asked("A", keys=_KEYS), asked("A'", keys=frozenset((Key("G"),)), bars=4), asked("B")), 13),
    "follows": (
        (asked("A"), asked("B", keys=_KEYS), asked("B", keys=frozenset((Key("G"), HOME)), key_of_model=True)),
        12,
    ),
    "cadences": ((asked("A", cadences=frozenset((None, "HC"))), asked("B", cadences=frozenset(("DC",)))), 9),
    "phrases": ((asked("B", phrases=_PHRASES), asked("A", bars_at_least=6)), 13),
    "open labels": ((asked("A", bars=4), asked(""), asked("B'")), 13),
    "open label before a prime": ((asked("A"), asked(""), asked("A'")), 12),
}


@pytest.mark.parametrize("name", SMALL)
def test_weights_are_exact(name: str) -> None:
    """At every place of some walks, over all small values: above 0 if and only if an end can be reached."""
    sections, total = SMALL[name]
    small = Small(sections, total)
    limits = FormLimits(wishes_of(sections, key=HOME, bars=total), TABLES)
    rng = np.random.default_rng(3)
    seen = 0
    for _ in range(2):
        values: tuple[int, ...] = ()
        while True:
            walker = FormWalker(0, 1)
            for value in (*HEAD, *values):
                walker.push(value)
            if walker.field is None:
                break
            weights = limits.weights(walker)
            choices = small.choices(walker)
            possible = [value for value in choices if small.can_end((*values, value))]
            found = choices if weights is None else [value for value in choices if weights[value] > 0]
            assert found == possible, (fc.FIELDS[walker.field].name, values)
            seen += len(choices) - len(possible)
            values = (*values, int(rng.choice(possible)))
    assert seen > 20


def test_open_form_ends_at_home_with_a_close() -> None:
    limits = FormLimits(wishes_of(key=HOME), TABLES)
    for key, cadence, ends in ((0, 1, True), (0, 2, True), (0, 3, False), (0, 0, False), (7, 1, False)):
        walker = FormWalker(0, 1)
        for value in (*HEAD, 1, 0, 7, 0, 7, 0, 1, 3, 3, 3, 1, 0, 7, key, 7, 0, cadence, 3, 3, 3):
            walker.push(value)
        weights = limits.weights(walker)
        assert weights is not None
        assert (weights[fc.END] > 0) == ends


def test_open_forms_are_not_endless() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        draw, _ = draw_form(FormLimits(wishes_of(), TABLES), rng, end=1e-9)
        check(draw, wishes_of())
        assert len(draw.sections) == MOST_SECTIONS or sum(s.bars for s in draw.sections) > MOST_BARS - 4


@pytest.mark.parametrize("bars", [None, 24, 90])
def test_an_open_form_of_so_many_sections(bars: int | None) -> None:
    theme = Theme("A", 7, HOME, (PlanNote(0, DIVS_PER_QUARTER, 60),))
    wishes = wishes_of(bars=bars, themes=(theme,))
    for seed in range(10):
        draw, _ = draw_form(FormLimits(wishes, TABLES, sections=4), np.random.default_rng(seed))
        assert len(draw.sections) == 4
        if bars is None:  # the longest section alone may have more than open forms have in all
            check_open_labels([section.label for section in draw.sections])
        else:
            check(draw, wishes)
        assert draw.sections[-1].key == draw.key
        assert draw.sections[-1].phrases[-1].cadence in ("PAC", "IAC")


def test_what_returns_keeps_its_length_where_the_total_allows_it() -> None:
    """After A of 8 bars in ABAB of 40 bars B's best length is 12."""
    limits = FormLimits(wishes_of(tuple(asked(x) for x in "ABAB"), key=HOME, bars=40), TABLES)
    walker = FormWalker(0, 1)
    for value in (*HEAD, 1, 0, 7, 0, 7, 0, 1, 3, 3, 3, 1, 0):
        walker.push(value)
    weights = limits.weights(walker)
    assert weights is not None
    assert int(weights.argmax()) + 1 == 12
    assert (weights[4 - 1 : 40 - 8 - 8] > 0).all()  # all that can be met may stand


def test_a_return_that_fits_is_likelier() -> None:
    """With 8 bars left, a return to 8 bars goes before one to 16, and both are possible."""
    limits = FormLimits(wishes_of(key=HOME, bars=32), TABLES)
    walker = FormWalker(0, 1)
    for value in (*HEAD, 1, 0, 15, 0, 15, 0, 1, 3, 3, 3, 1, 0, 7, 0, 7, 0, 1, 3, 3, 3):
        walker.push(value)
    weights = limits.weights(walker)
    assert weights is not None
    assert weights[fc.FIRST_RETURN + 1] > 5 * weights[fc.FIRST_RETURN] > 0
    assert weights[fc.END] == 0


def test_phrases_fill_their_section() -> None:
    """Every first phrase of 12 bars that leaves none over is possible, and weighs alike: the network knows the rest."""
    limits = FormLimits(wishes_of(key=HOME, bars=12), TABLES)
    walker = FormWalker(0, 1)
    for value in (*HEAD, 1, 0, 11, 0):
        walker.push(value)
    weights = limits.weights(walker)
    assert weights is not None
    assert weights[:12].tolist() == [1.0] * 12
    assert not weights[12:].any()


def test_fixed_chords_decide_on_the_cadence() -> None:
    wishes = read(
        parse_request(form="A8 B8", key="C", meter="4/4"),
    )
    sections = wishes.sections
    assert sections is not None
    one, two = sections(HOME)
    figures = (("I",), ("I",), ("I",), ("V",), ("I",), ("IV",), ("V",), ("vi",))
    two = replace(two, figures=figures, cadences=frozenset(("PAC", "DC")))
    limits = FormLimits(replace(wishes, sections=lambda home: (one, two)), TABLES)
    for seed in range(5):
        draw, _ = draw_form(limits, np.random.default_rng(seed))
        assert draw.sections[1].phrases[-1].cadence == "DC"


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (wishes_of((asked("A", bars=8), asked("B", bars=8)), bars=17), "bars=17"),
        (wishes_of((asked("A", bars=8), asked("B")), bars=11), "bars=11"),
        (wishes_of((asked("A", phrases=_PHRASES, bars=8),)), "its phrases have 5"),
        (wishes_of((asked("A", phrases=_PHRASES, cadences=frozenset(("PAC",))),)), "contradicts its cadence PAC"),
        (wishes_of((asked("A" + "'" * 40),)), "primes"),
        (wishes_of(meters=frozenset((Meter(2, 4),)), pickup_div=3 * DIVS_PER_QUARTER), "meter=2/4"),
        (wishes_of(tuple(asked("A", bars=200) for _ in range(6))), "1200 bars"),
        (wishes_of(bars=3), "bars=3"),
    ],
)
def test_wishes_that_contradict_are_named(wishes: Wishes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        FormLimits(wishes, TABLES)


def test_tables_are_fitted_by_style() -> None:
    def walk(style: int, bars: int) -> Tokens:
        values = [*HEAD, 1, 0, *fc.steps(bars, 128), 0, *fc.steps(bars, 64), 0, 1, 3, 3, 3, 0]
        return written(FormWalker(style, 1), values)

    tables = fit_tables([walk(1, 8)] * 50 + [walk(2, 130)] * 50)
    assert tables["section_bars"].shape == (3, 257)
    assert tables["phrase_bars"].shape == (3, 129)
    assert tables["sections"].argmax(axis=1).tolist() == [1, 1, 1]
    assert Lengths(tables).section_counts(2).sum() == pytest.approx(1)
    assert np.allclose(tables["section_bars"].sum(axis=1), 1, atol=1e-5)
    assert tables["section_bars"][1].argmax() == 8
    assert tables["section_bars"][2].argmax() == 130
    assert tables["phrase_bars"][2].argmax() == 128
    assert sum(table.nbytes for table in tables.values()) < 700_000
    draw, _ = draw_form(FormLimits(wishes_of(bars=64), tables), np.random.default_rng(0))
    check(draw, wishes_of(bars=64))


def test_speed() -> None:
    """Tens of microseconds a token, as type checks are on; far less without."""
    rng = np.random.default_rng(1)
    wishes = read(parse_request(form="rondo", bars=96, key="G"))
    start, tokens = time.perf_counter(), 0
    for _ in range(10):
        tokens += len(draw_form(FormLimits(wishes, TABLES), rng)[1])
    assert (time.perf_counter() - start) / tokens < 2e-3
