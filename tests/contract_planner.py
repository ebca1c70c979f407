"""What every Planner must do. A test file subclasses `PlannerContract` and gives a `planner` fixture."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from music.analysis.cadence import classify_cadence
from music.errors import RequestError
from music.harmony import parse_figure
from music.pitch import ALL_KEYS, Key
from music.plan import Chord, Plan, PlanNote, Section, Theme
from music.plan_json import plan_from_json, plan_to_json
from music.plan_text import parse_plan_text
from music.time import DIVS_PER_QUARTER, Meter
from planner.forms import FORMS, named_form
from planner.interface import Planner, PlanRequest

Q = DIVS_PER_QUARTER
METERS = tuple(Meter.parse(text) for text in ("2/4", "3/4", "4/4", "6/8"))
LETTER_FORMS = ("A", "AB", "ABA", "ABACA", "AA'BA", "AABB", "ABCDE", "ABCBA'", "BAB", "AA'A''A'''", "ABABCB", "ABACADA")


def closes(section: Section, meter: Meter) -> None:
    """Asserts that the chords of every phrase make its cadence.

    What a cadence is, for every planner: what `classify_cadence` hears, with the melody on the tonic for a PAC and
    not for an IAC (so an IAC may be V to I in root position, a half cadence may rest on V7, and in minor the tonic may
    be major). A chord may sound on over a phrase's end: then it counts for both phrases.
    """
    start = 0
    for phrase in section.phrases:
        end = start + phrase.bars * meter.bar_div
        inside = [c for c in section.chords if c.onset_div < end and c.onset_div + c.duration_div > start]
        melody = section.key.pc if phrase.cadence == "PAC" else None
        if phrase.cadence is not None:
            heard = classify_cadence(inside, section.key, melody)
            assert heard == phrase.cadence, f"{section.label} {phrase}: {heard}, {[c.figure for c in inside]}"
        start = end


def closes_plainly(chords: tuple[Chord, ...], end_div: int, cadence: str | None, key: Key) -> bool:
    """Whether the chords up to `end_div` of a section are those of the cadence as a textbook has it.

    PAC: V (V7) to I, both in root position. IAC: any dominant to I or I6, not both in root position. HC: ends on V in
    root position. DC: V (V7) to VI. A chord ends where the phrase does.
    """
    before = [c for c in chords if c.onset_div + c.duration_div <= end_div]
    if cadence is None:
        return True
    last, left = before[-1], before[-2]
    assert last.onset_div + last.duration_div == end_div
    dominant, tonic = (key.pc + 7) % 12, key.pc
    triad = "min" if key.minor else "maj"
    root_dominant = left.root == dominant and left.quality in ("maj", "7") and left.bass == dominant
    on_tonic = last.root == tonic and last.quality == triad
    if cadence == "PAC":
        return root_dominant and on_tonic and last.bass == tonic
    if cadence == "IAC":
        leads = (left.root == dominant and left.quality in ("maj", "7")) or left.root == key.leading_tone
        return leads and on_tonic and not (root_dominant and last.bass == tonic)
    if cadence == "HC":
        return (last.root, last.quality, last.bass) == (dominant, "maj", dominant)
    root, quality, bass = parse_figure("VI" if key.minor else "vi", key)
    return root_dominant and (last.root, last.quality, last.bass) == (root, quality, bass)


def labels_of(form: str) -> str | None:
    """The labels that a form must have, None where it may grow."""
    named = named_form(form)
    if named is None:
        return form
    return None if named.grows else "".join(slot.label for slot in named.slots)


def least_bars(form: str) -> int:
    """The fewest bars that a form can have."""
    named = named_form(form)
    return 4 * (len(named.slots) if named else len(parse_plan_text(form.replace("'", "’")).sections))


@cache
def requests(count: int = 200) -> tuple[PlanRequest, ...]:
    """Requests over all forms, the four common meters, all keys, and lengths from what the form needs to 128 bars."""
    rng = np.random.default_rng(2)
    forms = [*FORMS, *LETTER_FORMS]
    found = []
    for i in range(count):
        form = forms[i % len(forms)]
        sections = len(FORMS[form].slots) if form in FORMS else sum(c != "'" for c in form)
        bars = int(rng.integers(max(8, 4 * sections), 129))
        found.append(
            PlanRequest(form, ALL_KEYS[(i * 7 + i // 24) % 24], METERS[i % 4 if i % 8 < 4 else 3 - i % 4], bars)
        )
    return tuple(found)


def tune(key: str = "D", meter: Meter = METERS[1], label: str = "A", bars: int = 4) -> Theme:
    """A plain theme: up and down the triad, a note a beat, with an upbeat of an eighth."""
    home = Key.parse(key)
    third = 3 if home.minor else 4
    notes = [PlanNote(-Q // 2, Q // 2, 60 + home.pc - 5)]
    for index in range(bars * meter.bar_div // Q):
        notes.append(PlanNote(index * Q, Q, 60 + home.pc + (0, third, 7, third)[index % 4]))
    return Theme(label, bars, home, tuple(notes))


def _check_sections(plan: Plan) -> None:
    for index, section in enumerate(plan.sections):
        assert section.bars >= 4
        closes(section, plan.meter)
        earlier = [s.letter for s in plan.sections[:index]]
        assert (section.source is not None) == (section.letter in earlier)
        if section.source is not None:
            _check_return(section, plan.sections[section.source])
        for chord in section.chords:
            assert parse_figure(chord.figure, section.key) == (chord.root, chord.quality, chord.bass)
        assert section.theme is None or plan.theme_of(section.theme)
        assert None not in (section.density, section.register, section.texture, section.dynamic)


def _check_return(section: Section, model: Section) -> None:
    if section.label != model.label:
        assert section.variation, f"{section.label} is varied"
    elif section.bars == model.bars:
        assert section.variation == 0
        assert [p.bars for p in section.phrases] == [p.bars for p in model.phrases]
        assert section.density == model.density
        if section.key.minor == model.key.minor and section.cadence == model.cadence:
            assert moved_chords(section, 0) == moved_chords(model, section.key.pc - model.key.pc)


def moved_chords(section: Section, shift: int) -> list[tuple[int, int, int, str, int]]:
    """Onset, duration, root, quality and bass of each chord, so many semitones higher."""
    return [
        (c.onset_div, c.duration_div, (c.root + shift) % 12, c.quality, (c.bass + shift) % 12) for c in section.chords
    ]


def check_line(theme: Theme, plan: Plan) -> None:
    """A theme lies in a voice's range, leaps an octave at most, and inside its bars."""
    pitches = [n.pitch for n in theme.notes]
    assert 55 <= min(pitches) <= max(pitches) <= 88
    assert max((abs(b - a) for a, b in pairwise(pitches)), default=0) <= 12
    assert theme.notes[-1].onset_div + theme.notes[-1].duration_div <= theme.bars * plan.meter.bar_div
    assert -theme.notes[0].onset_div < plan.meter.bar_div


def moves_by_step(theme: Theme) -> bool:
    """Whether steps and thirds make up most of a theme."""
    moves = [abs(b.pitch - a.pitch) for a, b in pairwise(theme.notes)]
    return sum(move <= 4 for move in moves) >= 0.5 * len(moves) - 1


def share_in_chords(theme: Theme, plan: Plan) -> float:
    """Of the notes on downbeats, how many belong to the chord that is planned there."""
    section = next(s for s in plan.sections if s.theme == theme.label)
    strong = [n for n in theme.notes if n.onset_div >= 0 and n.onset_div % plan.meter.bar_div == 0]
    chords = [next(c for c in reversed(section.chords) if c.onset_div <= n.onset_div) for n in strong]
    return float(np.mean([n.pitch % 12 in c.pcs for n, c in zip(strong, chords, strict=True)])) if strong else 1.0


def check_theme(theme: Theme, plan: Plan) -> None:
    """What the rules promise of every single theme; drawn ones are to keep it as a rule."""
    check_line(theme, plan)
    assert moves_by_step(theme)
    assert share_in_chords(theme, plan) >= 0.75


class PlannerContract:
    """The contract for any planner."""

    requests = 200  # how many of `requests` are made

    def test_is_a_planner(self, planner: Planner) -> None:
        assert isinstance(planner, Planner)

    def test_what_is_asked_for_is_kept(self, planner: Planner) -> None:
        """Letters, bars, key and meter just as asked of many requests; every phrase ends in its cadence's chords."""
        kept, steps, fits = 0, [], []
        for seed, request in enumerate(requests()[: self.requests]):
            assert request.form is not None
            plan = planner.plan(request, seed=seed)
            wanted = labels_of(request.form)
            assert wanted in (None, plan.letters), f"{request}: {plan}"
            assert (plan.bars, plan.key, plan.meter) == (request.bars, request.key, request.meter)
            assert plan.sections[0].key == plan.key == plan.sections[-1].key
            _check_sections(plan)
            for theme in plan.themes:
                check_line(theme, plan)
                steps.append(moves_by_step(theme))
                fits.append(share_in_chords(theme, plan))
            kept += 1
        assert kept == self.requests
        assert np.mean(steps) > 0.9
        assert np.mean(fits) > 0.8

    def test_all_wishes_at_once(self, planner: Planner) -> None:
        request = PlanRequest(
            "ABA", Key.parse("Ab"), Meter(6, 8), 26, 77.5, "mozart_quartet", "quartet", tune("Ab", Meter(6, 8)), "Mine"
        )
        plan = planner.plan(request, seed=0)
        assert (plan.key, plan.meter, plan.bars, plan.tempo_qpm) == (Key.parse("Ab"), Meter(6, 8), 26, 77.5)
        assert (plan.style, plan.ensemble, plan.title, plan.letters) == ("mozart_quartet", "quartet", "Mine", "ABA")
        assert plan.theme_of("A") == request.theme
        assert plan.pickup_div == Q // 2

    def test_nothing_asked(self, planner: Planner) -> None:
        plans = [planner.plan(PlanRequest(), seed=seed) for seed in range(12)]
        assert len({plan.letters for plan in plans}) >= 3
        assert len({plan.key for plan in plans}) >= 5
        assert len({plan.meter for plan in plans}) >= 2
        for plan in plans:
            _check_sections(plan)
            assert plan.title.endswith(f"in {plan.key.name}")

    @pytest.mark.parametrize("bars", [4, 8, 13, 31, 64, 127, 128])
    def test_any_length_with_no_form(self, planner: Planner, bars: int) -> None:
        assert planner.plan(PlanRequest(bars=bars), seed=bars).bars == bars

    def test_typed_plan_is_kept(self, planner: Planner) -> None:
        text = "A8 B10:V/HC A'8/IAC C12:vi/DC A5:bIII/- | key=eb meter=2/2 tempo=99 pickup=1/2 title=x"
        plan = planner.plan(PlanRequest(text), seed=5)
        assert [(s.label, s.bars, s.cadence) for s in plan.sections] == [
            ("A", 8, "PAC"),
            ("B", 10, "HC"),
            ("A'", 8, "IAC"),
            ("C", 12, "DC"),
            ("A", 5, None),
        ]
        home = Key.parse("eb")
        assert [s.key for s in plan.sections] == [home.relative(r) for r in ("i", "V", "i", "vi", "bIII")]
        assert (plan.key, plan.meter, plan.tempo_qpm, plan.title) == (home, Meter(2, 2), 99.0, "x")
        assert plan.pickup_div == Q // 2
        for section in plan.sections:
            closes(section, plan.meter)

    def test_own_text_asked_again(self, planner: Planner) -> None:
        plan = planner.plan(PlanRequest("sonata", Key.parse("f#")), seed=8)
        again = planner.plan(PlanRequest(str(plan)), seed=99)
        assert str(again) == str(plan)

    def test_same_seed_same_plan(self, planner: Planner) -> None:
        request = PlanRequest("rondo", bars=40)
        plan = planner.plan(request, seed=7)
        assert planner.plan(request, seed=7) == plan
        assert plan_to_json(planner.plan(request, seed=8)) != plan_to_json(plan)

    def test_plans_survive_json(self, planner: Planner) -> None:
        plan = planner.plan(PlanRequest("variations"), seed=2**40)
        assert plan_from_json(plan_to_json(plan)) == plan

    def test_themes_of_letters_differ(self, planner: Planner) -> None:
        for seed in range(10):
            plan = planner.plan(PlanRequest("ABACA"), seed=seed)
            lines = {tuple((n.onset_div, n.duration_div) for n in theme.notes) for theme in plan.themes}
            assert [theme.label for theme in plan.themes] == ["A", "B", "C"]
            assert len(lines) == 3
            firsts = [next(s for s in plan.sections if s.letter == letter) for letter in "ABC"]
            assert len({(s.density, s.register, s.texture, s.dynamic) for s in firsts}) == 3

    @pytest.mark.parametrize("asked", ["G", "c", "F#"])
    def test_a_theme_moves_to_the_key_that_is_asked(self, planner: Planner, asked: str) -> None:
        theme = tune("D")
        plan = planner.plan(PlanRequest("ABA", Key.parse(asked), theme=theme), seed=1)
        found = plan.theme_of("A")
        assert found is not None
        assert (found.key, plan.key, found.bars) == (Key.parse(asked), Key.parse(asked), 4)
        shift = found.notes[1].pitch - theme.notes[1].pitch
        third = 1 if found.key.minor else 0
        for old, new in zip(theme.notes, found.notes, strict=True):
            lowered = third if (old.pitch - 62) % 12 == 4 else 0
            assert (new.onset_div, new.duration_div, new.pitch) == (
                old.onset_div,
                old.duration_div,
                old.pitch + shift - lowered,
            )

    def test_a_theme_gives_its_key_and_its_harmony(self, planner: Planner) -> None:
        """Most beats of a given theme lie in the chords that are planned under it."""
        share = []
        for seed in range(10):
            plan = planner.plan(PlanRequest("ABA", theme=tune("Bb")), seed=seed)
            assert plan.key == Key.parse("Bb")
            chords = plan.sections[0].chords
            notes = [n for n in tune("Bb").notes if n.onset_div >= 0]
            share += [
                n.pitch % 12 in next(c for c in reversed(chords) if c.onset_div <= n.onset_div).pcs for n in notes
            ]
        assert np.mean(share) > 0.7

    @pytest.mark.parametrize(
        ("request_", "words"),
        [
            (PlanRequest("rondo", bars=19), ("bars=19", "'rondo'", "20")),
            (PlanRequest("ABACABA", bars=27), ("bars=27", "'ABACABA'", "28")),
            (PlanRequest("A8 B8 | key=G", Key.parse("D")), ("key=D", "key=G")),
            (PlanRequest("A8 B8 | meter=3/4", meter=Meter(4, 4)), ("meter=4/4", "meter=3/4")),
            (PlanRequest("A8 B8 | tempo=90", tempo_qpm=91.0), ("tempo=91", "tempo=90")),
            (PlanRequest("A8 B8 | style=bach_chorale", style="haydn_quartet"), ("haydn_quartet", "bach_chorale")),
            (PlanRequest("A8 B8 | ensemble=satb", ensemble="piano"), ("piano", "satb")),
            (PlanRequest("A8 B8 | title=x", title="y"), ("title=y", "title=x")),
            (PlanRequest("A8 B8", bars=20), ("bars=20", "A8 B8", "16")),
            (PlanRequest("A8 B8 | bars=20"), ("bars=20", "A8 B8", "16")),
            (PlanRequest("A8 B A8", bars=19), ("bars=19", "A8 B A8", "20")),
            (PlanRequest("A8 B3 A8"), ("B3", "4")),
            (PlanRequest("rondoo"), ("rondoo", "did you mean rondo")),
            (PlanRequest("aba"), ("aba", "did you mean ABA")),
            (PlanRequest(""), ("''",)),
            (PlanRequest("A8 B8:H"), ("B8:H",)),
            (PlanRequest("ABA", bars=0), ("bars=0",)),
            (PlanRequest("ABA", bars=5000), ("bars=5000", "1024")),
            (PlanRequest("A900 B900"), ("1800", "1024")),
            (PlanRequest(tempo_qpm=float("nan")), ("tempo=nan",)),
            (PlanRequest(tempo_qpm=1000.0), ("tempo=1000",)),
            (PlanRequest(meter=Meter(7, 16)), ("7/16", "3/4")),
            (PlanRequest(style="bach_choral"), ("bach_choral", "did you mean bach_chorale")),
            (PlanRequest(ensemble="band"), ("band", "quartet")),
            (PlanRequest("BCB", theme=tune()), ("letter A", "BCB")),
            (PlanRequest("ABA", bars=12, theme=tune(bars=8)), ("8 bars", "section A")),
            (PlanRequest("ABA", meter=Meter(2, 4), theme=tune()), ("theme", "2/4")),
            (PlanRequest("A8 | pickup=0", theme=tune()), ("pickup=0", "0.5")),
            (PlanRequest("A8 | pickup=3 meter=3/4"), ("pickup=3", "3/4")),
        ],
    )
    def test_contradictions_name_both(self, planner: Planner, request_: PlanRequest, words: tuple[str, ...]) -> None:
        with pytest.raises(RequestError) as caught:
            planner.plan(request_, seed=0)
        message = str(caught.value)
        assert "\n" not in message
        for word in words:
            assert word in message

    def test_negative_seed(self, planner: Planner) -> None:
        with pytest.raises(RequestError, match="seed -1"):
            planner.plan(PlanRequest(), seed=-1)

    def test_agreeing_wishes_are_no_contradiction(self, planner: Planner) -> None:
        request = PlanRequest("A8 B8:V A8 | key=G meter=3/4 tempo=96", Key.parse("G"), Meter(3, 4), 24, 96.0)
        plan = planner.plan(request, seed=0)
        assert str(plan).startswith("A8 B8:V A8 | key=G meter=3/4 tempo=96 ")
        assert planner.plan(replace(request, bars=None), seed=0) == plan
