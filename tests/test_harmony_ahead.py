"""Look-ahead over a section's chords: exactly what can still be completed, and every cadence as planned."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from music.analysis.cadence import classify_cadence
from music.errors import RequestError
from music.harmony import parse_figure
from music.pitch import Key
from music.plan import CADENCES, Chord, Phrase
from music.time import Meter
from planner.grammar import GrammarPlanner
from planner.harmony_ahead import HarmonyLimits, HarmonyTables, fit_tables, uniform_tables
from planner.harmony_goals import goal_of
from planner.harmony_stream import HarmonyScene, HarmonyWalker, decode, encode, meter_class
from planner.harmony_symbols import BASSES, SYMBOLS, UNIT_DIV, Placed, chord_of, merged, symbol_of
from planner.interface import PlanRequest
from planner.streams import Tokens
from tests.plan_strategies import KEYS

C = Key.parse("C")
METERS = tuple(Meter.parse(text) for text in ("4/4", "3/4", "2/4", "6/8", "3/8", "2/2", "12/16", "1/8"))


def symbol(name: str, key: Key = C) -> int:
    """Symbol of a figure."""
    return symbol_of(*parse_figure(name, key), key)


def fixed_chord(name: str, onset: int, length: int, key: Key = C) -> Chord:
    """A chord by its figure, in eighths."""
    return Chord(onset * UNIT_DIV, length * UNIT_DIV, *parse_figure(name, key))


def scene(phrases: tuple[Phrase, ...], meter: Meter = METERS[0], key: Key = C) -> HarmonyScene:
    """A section of those phrases, amid a piece."""
    return HarmonyScene(0, 3, meter, key, key, phrases, number=1, count=3)


@pytest.mark.parametrize("cadence", CADENCES)
@pytest.mark.parametrize("key", [C, Key("C", True)])
def test_flags_say_what_the_messages_say(cadence: str, key: Key) -> None:
    """Where no chord is fixed, `reach_back` is above 0 just where the messages passed back are."""
    tables = HarmonyTables(uniform_tables())
    for meter, bars, on_bar in ((METERS[0], 2, True), (METERS[1], 3, False), (METERS[7], 1, False)):
        here = scene((Phrase(bars, "a", cadence),), meter, key)
        ahead = tables.ahead(here, 0, (), on_bar=on_bar)
        beta, gamma = ahead.beta[ahead.kinds], ahead.gamma[:, ahead.kinds]
        targets = np.array([ahead.index[s] for s in ahead.stars])
        moves = tables.moves[key.minor][np.ix_(ahead.symbols, ahead.symbols)]
        passed = (meter_class(meter), here.bar_units, moves, targets, ahead._giver_rows(targets))
        ahead._pass_back(tables, *passed)
        assert set(np.unique(beta)) <= {0.0, 1.0}
        assert np.array_equal(beta > 0, ahead.beta > 0)
        assert np.array_equal(gamma > 0, ahead.gamma > 0)


@pytest.fixture(scope="module")
def grammar_tokens() -> list[Tokens]:
    """Sections of the grammar's plans."""
    found = []
    for seed, form in enumerate(("sonata", "rondo", "ABA'C") * 3):
        plan = GrammarPlanner().plan(PlanRequest(form, meter=METERS[seed % 4]), seed=seed)
        found += [tokens for i in range(len(plan.sections)) if (tokens := encode(plan, i, ()))]
    return found


@pytest.fixture(scope="module")
def fitted(grammar_tokens: list[Tokens]) -> HarmonyTables:
    return HarmonyTables(fit_tables(grammar_tokens))


@pytest.fixture(scope="module")
def uniform() -> HarmonyTables:
    return HarmonyTables(uniform_tables())


def few_tables(names: tuple[str, ...]) -> HarmonyTables:
    """Tables that have seen just these chords; the cadences' own are there all the same."""
    tables = uniform_tables()
    tables["symbols"][:] = 0
    for name in names:
        tables["symbols"][:, symbol(name)] = 1
    return HarmonyTables(tables)


def draw(walk: HarmonyScene, limits: HarmonyLimits, rng: np.random.Generator) -> list[int]:
    """Values drawn by the weights alone."""
    walker = HarmonyWalker(walk)
    values = []
    while walker.field is not None:
        total = np.cumsum(limits.weights(walker))
        assert total[-1] > 0
        values.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")))
        walker.push(values[-1])
    return values


def pieces_of(values: list[int]) -> list[Placed]:
    """Tokens as (onset, duration, symbol)."""
    found, onset = [], 0
    for name, length in zip(values[::2], values[1::2], strict=True):
        found.append((onset, length + 1, name))
        onset += length + 1
    return found


def closes(tokens: list[Placed], phrase: Phrase, walk: HarmonyScene, lenient: bool = False) -> bool:
    """Whether a phrase's tokens (from unit 0 on) end as its cadence asks: the rule said once more, in plain words.

    Args:
        tokens, phrase, walk: of one phrase.
        lenient: what is enough where a chord is fixed: any place, any inversion save for a PAC.
    """
    if phrase.cadence is None:
        return True
    key = walk.key
    last, *earlier = [(onset, length, *chord_of(value, key)) for onset, length, value in reversed(merged(tokens))]
    half = ((key.pc + 7) % 12, ("maj", "7"))
    if phrase.cadence == "HC":
        while earlier and (earlier[0][2], earlier[0][4]) == (half[0], half[0]) and earlier[0][3] in half[1]:
            if not (last[2] == half[0] and last[3] in half[1] and last[4] == half[0]):
                break
            last = (earlier[0][0], 0, *last[2:])
            earlier.pop(0)
    length = phrase.bars * walk.bar_units
    beat = walk.meter.beat_div // walk.unit
    rest = max(2, beat)
    if not lenient and length >= beat + rest and (last[0] % beat or length - last[0] < rest):
        return False
    _, _, root, quality, bass = last
    if phrase.cadence == "HC":
        return root == bass == half[0] and quality in half[1]
    if not earlier:
        return False
    _, _, before, kind, below = earlier[0]
    leads = (before == half[0] and kind in half[1]) or (
        before == (key.pc + 11) % 12 and kind in ("dim", "dim7", "hdim7")
    )
    if phrase.cadence == "DC":
        return (
            leads
            and root == bass
            and (root - key.pc) % 12 == (8 if key.minor else 9)
            and quality == ("maj" if key.minor else "min")
        )
    tonic = root == key.pc and quality in (("min", "maj") if key.minor else ("maj",))
    if phrase.cadence == "PAC":
        return tonic and bass == root and before == below == half[0] and kind in half[1]
    return tonic and leads and (lenient or (bass - root) % 12 in (0, 3, 4))


def completions(length: int, names: list[int]) -> list[list[Placed]]:
    """All walks of a phrase over some symbols."""
    found: list[list[Placed]] = [[]]
    done = []
    while found:
        walk = found.pop()
        onset = walk[-1][0] + walk[-1][1] if walk else 0
        if onset == length:
            done.append(walk)
            continue
        found += [[*walk, (onset, n, name)] for name in names for n in range(1, length - onset + 1)]
    return done


def keeps(walk: list[Placed], wishes: tuple[Placed, ...]) -> bool:
    """Whether each chord that is fixed sounds over its place, begun and ended there."""
    for onset, length, name in wishes:
        inside = [p for p in walk if p[0] < onset + length and p[0] + p[1] > onset]
        if any(p[2] != name for p in inside) or inside[0][0] < onset or inside[-1][0] + inside[-1][1] > onset + length:
            return False
    return True


@pytest.mark.parametrize("cadence", [*CADENCES, None])
@pytest.mark.parametrize(
    ("text", "wishes"),
    [
        ("2/4", ()),
        ("3/8", ()),
        ("2/4", ((1, 1, "IV"),)),
        ("5/8", ((2, 1, "V"),)),
        ("2/4", ((0, 1, "bVI7"), (1, 1, "I"))),
    ],
)
def test_weights_are_above_zero_exactly_where_it_can_be_completed(
    cadence: str | None, text: str, wishes: tuple[tuple[int, int, str], ...]
) -> None:
    """Every prefix of every walk of a short phrase, against all its completions."""
    phrase = Phrase(1, "a", cadence)
    walk = scene((phrase,), Meter.parse(text))
    names = ["I", "I6", "V", "V7", "V65", "IV", "vi"]
    tables = few_tables(tuple(names))
    used = [symbol(name) for name in names]
    placed = tuple((onset, length, symbol(name)) for onset, length, name in wishes)
    allowed = set(used) | {p[2] for p in placed}
    kept = [w for w in completions(walk.ends[-1], sorted(allowed)) if keeps(w, placed)]
    kept = [w for w in kept if only_where_fixed(w, set(used), placed)]
    fixed = tuple(fixed_chord(name, onset, length) for onset, length, name in wishes)
    possible = [w for w in kept if closes(w, phrase, walk)] or [
        w for w in kept if closes(w, phrase, walk, lenient=True)
    ]
    if not possible:
        with pytest.raises(RequestError, match=f"phrase 1 cannot close with cadence {cadence}"):
            HarmonyLimits(walk, fixed, tables)
        return
    limits = HarmonyLimits(walk, fixed, tables)
    after: dict[tuple[int, ...], set[int]] = {}
    for tokens in possible:
        values = [v for _, length, name in tokens for v in (name, length - 1)]
        for i, value in enumerate(values):
            after.setdefault(tuple(values[:i]), set()).add(value)
    for prefix, wanted in list(after.items())[:: 1 + len(after) // 1500]:
        walker = HarmonyWalker(walk)
        for value in prefix:
            walker.push(value)
        weights = limits.weights(walker)
        found = set(np.flatnonzero(weights).tolist())
        if walker.symbol is None:
            found &= allowed  # the cadences' other chords are seen as well, but not enumerated here
        assert found == wanted, (prefix, found, wanted)


def only_where_fixed(walk: list[Placed], seen: set[int], placed: tuple[Placed, ...]) -> bool:
    """Chords never seen stand only where they are fixed."""
    return all(
        name in seen or any(p[0] <= onset and onset + length <= p[0] + p[1] for p in placed)
        for onset, length, name in walk
    )


@pytest.mark.parametrize("kind", ["uniform", "fitted"])
def test_drawn_phrases_close_as_planned(kind: str, request: pytest.FixtureRequest) -> None:
    """2,000 phrases, of all cadences, meters and keys."""
    tables: HarmonyTables = request.getfixturevalue(kind)
    rng = np.random.default_rng(5)
    phrases = 0
    while phrases < 1000:
        meter, key = METERS[rng.integers(len(METERS))], KEYS[rng.integers(len(KEYS))]
        count = int(rng.integers(1, 6))
        wished = tuple(Phrase(int(rng.integers(1, 7)), "a", (*CADENCES, None)[rng.integers(5)]) for _ in range(count))
        walk = scene(wished, meter, key)
        values = draw(walk, HarmonyLimits(walk, (), tables), rng)
        chords = decode(values, walk, split_phrases=True)
        ends = [0, *walk.ends]
        for phrase, (start, end) in zip(wished, pairwise(ends), strict=True):
            inside = [c for c in chords if start * walk.unit <= c.onset_div < end * walk.unit]
            assert inside[0].onset_div == start * walk.unit
            shifted = [(p[0] - start, *p[1:]) for p in pieces_of(values) if start <= p[0] < end]
            assert closes(shifted, phrase, walk)
            if phrase.cadence is not None:
                melody = key.pc if phrase.cadence == "PAC" else (key.pc + 4) % 12
                assert classify_cadence(inside, key, melody) == phrase.cadence
        phrases += count


def test_weights_are_chances_beside_fixed_chords(uniform: HarmonyTables) -> None:
    """Close to the end they favour what can still close; without fixed chords they say only what is possible."""
    walk = scene((Phrase(4, "a", "PAC"),))
    root, quality, bass = chord_of(symbol("IV"), walk.key)
    beside = HarmonyLimits(walk, (Chord(0, 24 * walk.unit, root, quality, bass),), uniform)
    alone = HarmonyLimits(walk, (), uniform)
    walker = HarmonyWalker(walk)
    for value in (symbol("IV"), 23, symbol("V"), 3):
        walker.push(value)
    near, plain = beside.weights(walker), alone.weights(walker)
    assert near[symbol("I")] > 10 * near[symbol("V7")] > 0
    assert plain[symbol("I")] == plain[symbol("V7")] == 1
    walker.push(symbol("I"))
    lasts = beside.weights(walker)
    assert lasts[3] > 10 * lasts[0] > 0
    assert set(alone.weights(walker).tolist()) == {0.0, 1.0}
    assert not lasts[4:].any()


def test_phrases_may_be_long(uniform: HarmonyTables) -> None:
    """Their end weighs where it is near, whatever the length; before that all is open that was seen."""
    meter = Meter(3, 4)
    short, long = scene((Phrase(6, "a", "PAC"),), meter), scene((Phrase(700, "a", "PAC"),), meter)
    limits = HarmonyLimits(long, (), uniform)
    walker = HarmonyWalker(long)
    for bar in range(694):
        assert limits.weights(walker)[symbol("ii")] > 0
        walker.push(symbol("ii"))
        assert (limits.weights(walker).min() > 0) == (bar < 689)  # 64 units on from there, a cadence has no room
        walker.push(5)
    beside, nearby = HarmonyLimits(short, (), uniform), HarmonyWalker(short)
    for value in (symbol("IV"), 29, symbol("V"), 2, symbol("I")):
        np.testing.assert_allclose(limits.weights(walker), beside.weights(nearby), rtol=1e-5)
        walker.push(value)
        nearby.push(value)
    assert not limits.weights(walker).any()  # I may begin on a beat only


def test_only_what_was_seen_is_drawn(grammar_tokens: list[Tokens], fitted: HarmonyTables) -> None:
    seen = {int(v) for t in grammar_tokens for v in t.values[t.fields == 0]}
    own = {s for c in CADENCES for minor in (False, True) for s in goal_of(c, minor).targets}
    own |= {s for c in CADENCES for minor in (False, True) for s in goal_of(c, minor).givers or ()}
    for cadence in (None, "IAC"):
        walk = scene((Phrase(4, "a", cadence),))
        weights = HarmonyLimits(walk, (), fitted).weights(HarmonyWalker(walk))
        assert weights.shape == (SYMBOLS,)
        assert set(np.flatnonzero(weights).tolist()) <= seen | own
        assert weights[symbol("bII7")] == 0 < weights[symbol("ii6")]


@pytest.mark.parametrize("kind", ["uniform", "fitted"])
def test_fixed_chords_sound_where_they_are_wished(kind: str, request: pytest.FixtureRequest) -> None:
    tables: HarmonyTables = request.getfixturevalue(kind)
    fixed = (fixed_chord("bII7", 2, 5), fixed_chord("vi", 8, 8), fixed_chord("V65/V", 30, 6), fixed_chord("V7", 56, 2))
    walk = scene((Phrase(4, "a"), Phrase(4, "b", "PAC")))
    limits = HarmonyLimits(walk, fixed, tables)
    for seed in range(40):
        chords = decode(draw(walk, limits, np.random.default_rng(seed)), walk)
        for wish in fixed:
            sounding = [
                c for c in chords if c.onset_div < wish.onset_div + wish.duration_div
                and c.onset_div + c.duration_div > wish.onset_div
            ]  # fmt: skip
            assert [(c.root, c.quality, c.bass) for c in sounding] == [(wish.root, wish.quality, wish.bass)]
    assert not HarmonyLimits(walk, (), tables).weights(HarmonyWalker(walk))[symbol("bII7")] or kind == "uniform"


def test_a_whole_section_may_be_fixed(uniform: HarmonyTables) -> None:
    """Thousands of chords: no chance vanishes."""
    names = ("I", "IV", "bII7", "V43") * 256
    fixed = tuple(fixed_chord(name, i, 1) for i, name in enumerate(names))
    walk = scene((Phrase(128, "a"),))
    limits = HarmonyLimits(walk, fixed, uniform)
    values = draw(walk, limits, np.random.default_rng(0))
    assert values == [v for name in names for v in (symbol(name), 0)]


def test_fixed_chords_may_close_more_freely(uniform: HarmonyTables) -> None:
    """V on the last eighth is a half cadence still where the user wants it; so is V - I64 an imperfect one."""
    for cadence, name, onset in (("HC", "V", 15), ("IAC", "I64", 12), ("DC", "vi6", 15)):
        walk = scene((Phrase(2, "a", cadence),))
        limits = HarmonyLimits(walk, (fixed_chord(name, onset, 16 - onset),), uniform)
        chords = decode(draw(walk, limits, np.random.default_rng(1)), walk)
        assert classify_cadence(chords, C, None) == cadence


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ((("ii", 12, 4),), ("section A", "phrase 1", "PAC", "chord ii", "bar 2")),
        ((("V7", 0, 12), ("I6", 12, 4)), ("PAC", "I6", "bar 2")),
        ((("I", 0, 16),), ("PAC", "chord I ")),
        ((("I", 0, 8), ("V", 6, 2)), ("chord V ", "overlaps")),
        ((("I", 8, 9),), ("chord I ", "beyond")),
    ],
)
def test_contradictions_are_named(
    fixed: tuple[tuple[str, int, int], ...], words: tuple[str, ...], uniform: HarmonyTables
) -> None:
    walk, chords = scene((Phrase(2, "a", "PAC"),)), tuple(fixed_chord(*chord) for chord in fixed)
    with pytest.raises(RequestError) as caught:
        HarmonyLimits(walk, chords, uniform)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tables_are_small_and_plain(grammar_tokens: list[Tokens]) -> None:
    tables = fit_tables(grammar_tokens)
    assert {table.dtype for table in tables.values()} == {np.dtype(np.float32)}
    assert sum(table.nbytes for table in tables.values()) < 700_000
    chords = sum(int((t.fields == 0).sum()) for t in grammar_tokens)
    assert tables["symbols"].sum() == tables["durations"].sum() == chords
    assert 0 < tables["pair_counts"].sum() < chords
    made = HarmonyTables(tables)
    for moves in made.moves:
        np.testing.assert_allclose(moves.sum(-1), 1)
    np.testing.assert_allclose(made.durations.sum(-1), 1)
    # V7 goes to I rather than to IV.
    assert made.moves[0][symbol("V7"), symbol("I")] > 5 * made.moves[0][symbol("V7"), symbol("IV")]


def test_a_piece_begins_inside_its_key_and_ends_on_a_root(uniform: HarmonyTables) -> None:
    """The first chord is hardly ever foreign; the last one of a piece is never inverted, elsewhere an IAC may be."""
    walk = replace(scene((Phrase(2, "a", "IAC"),)), number=0, count=1)
    first = HarmonyLimits(walk, (), uniform).weights(HarmonyWalker(walk))
    assert first[symbol("I")] > first[symbol("V")] > 100 * first[symbol("bII")] > 0
    rng = np.random.default_rng(1)
    for count, inverted in ((1, False), (2, True)):
        here = replace(walk, count=count)
        lasts = {draw(here, HarmonyLimits(here, (), uniform), rng)[-2] % BASSES for _ in range(60)}
        assert (lasts != {0}) == inverted


def test_a_close_may_have_to_begin_a_bar(uniform: HarmonyTables) -> None:
    walk = scene((Phrase(4, "a", "PAC"), Phrase(1, "b", "PAC")))
    rng = np.random.default_rng(2)
    limits = HarmonyLimits(walk, (), uniform, on_bar=frozenset((0, 1)))
    for _ in range(40):
        pieces = pieces_of(draw(walk, limits, rng))
        last = max(p[0] for p in pieces if p[0] < walk.ends[0])
        while before := next((p for p in pieces if p[0] + p[1] == last and p[2] == pieces_at(pieces, last)), None):
            last = before[0]
        assert last % walk.bar_units == 0


def pieces_at(pieces: list[Placed], onset: int) -> int:
    """The symbol that begins there."""
    return next(p[2] for p in pieces if p[0] == onset)
