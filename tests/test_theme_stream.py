from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.harmony import QUALITIES
from music.pitch import Key
from music.plan import Chord, Phrase, Plan, PlanNote, Section, Theme
from music.time import DIVS_PER_QUARTER, Meter
from planner.streams import UNKNOWN
from planner.theme_scene import TO_END, UNIT_DIV, ThemeScene, canonical, scene_of
from planner.theme_stream import (
    COLUMNS,
    FIELDS,
    STREAM,
    ThemeWalker,
    decode,
    encode,
    symbol_tones,
    values_of,
)
from tests.plan_strategies import KEYS, METERS, plans, themes

Q = DIVS_PER_QUARTER


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


@settings(max_examples=150)
@given(themes("A"), st.sampled_from(METERS), st.sampled_from(KEYS))
def test_decode_inverts_encode(theme: Theme, meter: Meter, key: Key) -> None:
    plain = canonical(theme, meter)
    here = scene(key=str(key), meter=str(meter))
    values = values_of(theme, here)
    if plain is None:
        assert values is None
        return
    assert canonical(plain, meter) == plain
    assert values is not None
    assert decode(values, here) == replace(plain, key=key)
    assert values_of(plain, here) == values


@st.composite
def singable(draw: st.DrawFn) -> Theme:
    """Notes on the grid, between the lowest and the highest pitch, over up to four bars."""
    onset, notes = -draw(st.sampled_from([0, 6, 12, 24])), []
    for _ in range(draw(st.integers(1, 30))):
        length = draw(st.sampled_from([3, 4, 6, 8, 12, 18, 24, 48]))
        notes.append(PlanNote(onset * UNIT_DIV, length * UNIT_DIV, draw(st.integers(28, 103))))
        onset += length + draw(st.sampled_from([0, 0, 0, 6, 12, 24]))
    return Theme("A", draw(st.integers(1, 4)), draw(st.sampled_from(KEYS)), tuple(notes))


@settings(max_examples=100)
@given(singable(), st.sampled_from(["2/4", "3/4", "4/4", "6/8", "5/4"]))
def test_what_lies_on_the_grid_is_kept(theme: Theme, meter: str) -> None:
    here = scene(meter, str(theme.key))
    values = values_of(theme, here)
    assert values is not None
    got = decode(values, here)
    end = theme.bars * here.meter.bar_div
    kept = [n for n in theme.notes if n.onset_div < end]
    assert [(n.onset_div, n.pitch) for n in got.notes] == [(n.onset_div, n.pitch) for n in kept]
    assert all(a.duration_div == min(b.duration_div, end - b.onset_div) for a, b in zip(got.notes, kept, strict=True))


@settings(max_examples=60)
@given(plans())
def test_plans_of_any_kind_are_told_within_the_columns(plan: Plan) -> None:
    for theme in plan.themes:
        if all(theme.label not in (s.letter, s.theme) for s in plan.sections):
            with pytest.raises(ValueError, match="no section"):
                scene_of(plan, theme.label, [])
            continue
        tokens = encode(plan, theme.label, [plan.style])
        if tokens is None:
            continue
        assert (tokens.columns >= 0).all()
        assert (tokens.columns < [column.size for column in COLUMNS]).all()
        assert (tokens.values < np.array([FIELDS[f].size for f in tokens.fields])).all()
        here = scene_of(plan, theme.label, [plan.style])
        plain = canonical(theme, plan.meter)
        assert plain is not None
        assert decode(tokens.values.tolist(), here) == replace(plain, key=here.key)


def test_values_of_a_tune() -> None:
    theme = line((-1, 1, 67), (0, 1.5, 72), (1.5, 0.5, 74), (3, 1, 76), (4, 2, 72))
    values = values_of(theme, scene())
    # Two bars, reference 72 (its octave is the fifth), an upbeat of a quarter, then rests, durations less one, pitches.
    assert values == [1, 4, 24, 23, 39, 0, 35, 44, 0, 11, 46, 24, 23, 48, 0, 47, 44, TO_END]


def test_a_theme_in_another_key_has_the_same_values() -> None:
    theme = line((0, 1, 72), (1, 1, 76), (2, 2, 74))
    moved = replace(theme, key=Key.parse("Eb"), notes=tuple(replace(n, pitch=n.pitch + 3) for n in theme.notes))
    assert values_of(theme, scene()) == values_of(moved, scene(key="Eb"))


def test_notes_a_bar_ago_are_seen() -> None:
    theme = line((0, 1, 72), (1, 1, 76), (2, 2, 79), (4, 1, 74), (5, 1, 77), (6, 2, 81), (8, 8, 72), bars=4)
    walker = ThemeWalker(scene())
    values = values_of(theme, scene())
    assert values is not None
    seen = []
    for value in values:
        assert walker.field is not None
        name, row = FIELDS[walker.field].name, dict(zip(STREAM.column, walker.columns(), strict=True))
        if name == "pitch":
            seen.append((row["duration_bar_ago"], row["pitch_bar_ago"] - 1, row["sequence_bar_ago"] - 1, value))
        walker.push(value)
    # 72 lies at 44: the second bar repeats the first a step higher; from its second note on the sequence foretells it.
    assert seen[3][:2] == (24, 44)
    assert seen[4] == (24, 48, 50, 49)
    assert seen[5] == (48, 51, 52, 53)


def test_chords_are_seen_in_the_section_s_key() -> None:
    chords = (Chord(0, 4 * Q, 7, "maj", 7), Chord(4 * Q, 4 * Q, 2, "7", 6))
    section = Section("A", 2, Key.parse("G"), (Phrase(2, "a", "HC"),), chords, "A")
    theme = line((0, 4, 71), (4, 4, 69), key="G")
    plan = Plan("", "x", "piano", Key.parse("G"), Meter.parse("4/4"), 0, 100.0, (section,), (theme,))
    tokens = encode(plan, "A", ["w", "x"])
    assert tokens is not None
    column = STREAM.column
    tones = symbol_tones()
    now, following = tokens.columns[-1, column["chord"]], tokens.columns[3, column["next_chord"]]
    assert tones[now - 1] == sum(1 << pc for pc in (7, 11, 2, 5))
    assert now == following
    assert tokens.columns[3, column["style"]] == 2
    assert tokens.columns[3, column["cadence"]] == 4  # a half cadence: unknown, none, PAC, IAC, HC
    # Under its own chord the second note, the fifth of V, is told as a chord tone once it is the last one.
    assert tokens.columns[-1, column["next_chord"]] == 0


def test_symbols_have_their_tones() -> None:
    assert sum(bits != 0 for bits in symbol_tones()) == 12 * (4 * 3 + (len(QUALITIES) - 4) * 4)


def test_walks_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="no bars 7"):
        decode([7], scene())
    with pytest.raises(ValueError, match="no bars -1"):
        decode([UNKNOWN], scene())
    with pytest.raises(ValueError, match="end before its octave"):
        decode([1], scene())
    with pytest.raises(ValueError, match="has no note"):
        decode([1, 3, 0, TO_END], scene())
    with pytest.raises(ValueError, match="has ended"):
        decode([1, 3, 0, 0, 191, 44, 0], scene())
    with pytest.raises(ValueError, match="no meter"):
        ThemeWalker(scene("17/8"))
    assert canonical(line((0, 1, 60)), Meter.parse("17/8")) is None


def test_no_note_leaves_the_theme() -> None:
    for bars, onset in product(range(4), (0, 90)):
        walker = ThemeWalker(scene())
        for value in (bars, 4, 0, onset, 191, 44):
            walker.push(value)
        note = walker.theme().notes[0]
        assert note.onset_div + note.duration_div <= (bars + 1) * 4 * Q
