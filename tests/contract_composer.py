"""What every Composer must do. A test file subclasses `ComposerContract` and gives a `composer` fixture."""

from __future__ import annotations

from functools import cache

import pytest

from composer.interface import Composer
from music.harmony import parse_figure
from music.pitch import Key
from music.plan import Chord, Phrase, Plan, PlanNote, Section, Theme
from music.score import Note, Score
from music.time import DIVS_PER_QUARTER, Meter

RANGES = {"piano": (21, 108), "satb": (40, 84), "quartet": (36, 100)}
PARTS = {
    "piano": ("Piano",),
    "satb": ("Soprano", "Alto", "Tenor", "Bass"),
    "quartet": ("Violin I", "Violin II", "Viola", "Violoncello"),
}


def chords(key: Key, meter: Meter, figures: str) -> tuple[Chord, ...]:
    """One chord a bar from figures such as "I ii6 V7 I"."""
    found = []
    for bar, figure in enumerate(figures.split()):
        root, quality, bass = parse_figure(figure, key)
        found.append(Chord(bar * meter.bar_div, meter.bar_div, root, quality, bass, figure))
    return tuple(found)


def theme(label: str, key: Key, notes: str) -> Theme:
    """A theme from "pitch:quarters" words; its length is rounded up to bars of a whole note's length at most."""
    onset, found = 0, []
    for word in notes.split():
        pitch, quarters = word.split(":")
        length = int(float(quarters) * DIVS_PER_QUARTER)
        found.append(PlanNote(onset, length, int(pitch)))
        onset += length
    return Theme(label, 4, key, tuple(found))


@cache
def piano_plan() -> Plan:
    """A minuet, A B A': a theme, the dominant, a varied return."""
    key, meter = Key.parse("G"), Meter(3, 4)
    subject = theme("A", key, "67:1 71:1 74:1 72:2 71:1 69:1 71:1 72:1 71:2 69:1")
    phrases = (Phrase(4, "a", "HC"), Phrase(4, "a'", "PAC"))
    first = chords(key, meter, "I IV ii6 V I IV V7 I")
    second = chords(Key.parse("D"), meter, "I V7 I I6 IV V I I")
    return Plan(
        "Minuet",
        "classical",
        "piano",
        key,
        meter,
        0,
        120.0,
        (
            Section("A", 8, key, phrases, first, "A", dynamic="mf"),
            Section("B", 8, Key.parse("D"), (Phrase(4, "b"), Phrase(4, "b'", "PAC")), second, dynamic="p"),
            Section("A'", 8, key, phrases, first, "A", 0, 0.2, dynamic="f", tempo_scale=0.95),
        ),
        (subject,),
    )


@cache
def chorale_plan() -> Plan:
    """Four parts with an upbeat, A A B in a minor."""
    key, meter = Key.parse("a"), Meter(4, 4)
    first = chords(key, meter, "i iv V7 i")
    second = chords(Key.parse("C"), meter, "I IV V I")
    return Plan(
        "Chorale",
        "bach_chorale",
        "satb",
        key,
        meter,
        DIVS_PER_QUARTER,
        72.0,
        (
            Section("A", 4, key, (Phrase(2, "a", "HC"), Phrase(2, "b", "PAC")), first),
            Section("A", 4, key, (Phrase(2, "a", "HC"), Phrase(2, "b", "PAC")), first, source=0),
            Section("B", 4, Key.parse("C"), (Phrase(4, "c", "PAC"),), second),
        ),
    )


@cache
def quartet_plan() -> Plan:
    """A quartet in 6/8 without chords or themes; the second A stands in another key."""
    key, meter = Key.parse("Eb"), Meter(6, 8)
    return Plan(
        "Quartet",
        "classical",
        "quartet",
        key,
        meter,
        0,
        90.0,
        (
            Section("A", 4, key, (Phrase(4, "a", "PAC"),)),
            Section("B", 4, Key.parse("c"), (Phrase(4, "b", "HC"),)),
            Section("A", 4, Key.parse("Bb"), (Phrase(4, "a", "PAC"),), source=0),
        ),
    )


@cache
def small_plan() -> Plan:
    """One section of four bars, 2/4, in a key of many sharps, without a cadence."""
    key = Key.parse("f#")
    return Plan("", "free", "piano", key, Meter(2, 4), 0, 100.0, (Section("A", 4, key, (Phrase(4, "a"),)),))


PLANS = {"piano": piano_plan, "chorale": chorale_plan, "quartet": quartet_plan, "small": small_plan}


def _section_notes(plan: Plan, score: Score, index: int) -> set[tuple[int, int]]:
    """Onsets from the section's start and pitches from its tonic, of the notes of a section."""
    start = plan.bar_onset_div(plan.first_bars[index])
    end = start + plan.sections[index].bars * plan.meter.bar_div - plan.pickup_div
    tonic = plan.sections[index].key.pc
    return {(n.onset_div - start, (n.pitch - tonic) % 12) for n in score.notes if start <= n.onset_div < end}


def _alike(left: set[tuple[int, int]], right: set[tuple[int, int]]) -> float:
    return 2 * len(left & right) / (len(left) + len(right))


def sounds_in(notes: tuple[Note, ...], start: int, end: int) -> bool:
    """Whether a note sounds between two times."""
    return any(n.onset_div < end and n.end_div > start for n in notes)


class ComposerContract:
    """The contract; scores are composed once a plan and shared by its tests."""

    @pytest.fixture(scope="class")
    @classmethod
    def scores(cls, composer: Composer) -> dict[str, Score]:
        return {name: composer.compose(make(), seed=7) for name, make in PLANS.items()}

    def test_is_a_composer(self, composer: Composer) -> None:
        assert isinstance(composer, Composer)

    @pytest.mark.parametrize("name", PLANS)
    def test_spans_exactly_the_bars(self, scores: dict[str, Score], name: str) -> None:
        plan, score = PLANS[name](), scores[name]
        full = [b for b in score.bars if b.duration_div == plan.meter.bar_div]
        assert len(full) == plan.bars
        assert len(score.bars) == plan.bars + bool(plan.pickup_div)
        assert score.end_div == plan.end_div
        assert score.notes
        assert max(n.end_div for n in score.notes) == plan.end_div  # it sounds to the end

    @pytest.mark.parametrize("name", PLANS)
    def test_section_marks(self, scores: dict[str, Score], name: str) -> None:
        plan, score = PLANS[name](), scores[name]
        expected = [(plan.bar_onset_div(b), s.label) for b, s in zip(plan.first_bars, plan.sections, strict=True)]
        assert [(m.onset_div, m.label) for m in score.sections] == expected

    @pytest.mark.parametrize("name", PLANS)
    def test_meter_keys_tempo_title(self, scores: dict[str, Score], name: str) -> None:
        plan, score = PLANS[name](), scores[name]
        assert [(m.onset_div, m.meter) for m in score.meters] == [(0, plan.meter)]
        for first, section in zip(plan.first_bars, plan.sections, strict=True):
            onset = plan.bar_onset_div(first)
            assert score.key_at(onset) == section.key
            tempo = [t.qpm for t in score.tempos if t.onset_div <= onset][-1]
            assert tempo == pytest.approx(plan.tempo_qpm * section.tempo_scale)
        assert score.keys[0].onset_div == score.tempos[0].onset_div == 0
        assert score.title == plan.title

    @pytest.mark.parametrize("name", PLANS)
    def test_parts_and_range(self, scores: dict[str, Score], name: str) -> None:
        plan, score = PLANS[name](), scores[name]
        assert tuple(p.name for p in score.parts) == PARTS[plan.ensemble]
        low, high = RANGES[plan.ensemble]
        assert all(low <= n.pitch <= high for n in score.notes)
        assert {n.part for n in score.notes} == set(range(len(score.parts)))

    @pytest.mark.parametrize("name", PLANS)
    def test_notes_are_ready_to_print(self, scores: dict[str, Score], name: str) -> None:
        for note in scores[name].notes:
            assert note.voice > 0, note
            assert note.step, note
            assert note.duration_div > 0, note

    @pytest.mark.parametrize("name", PLANS)
    def test_no_bar_is_silent(self, scores: dict[str, Score], name: str) -> None:
        score = scores[name]
        silent = [
            b.number for b in score.bars[-PLANS[name]().bars :] if not sounds_in(score.notes, b.onset_div, b.end_div)
        ]
        assert silent == []

    @pytest.mark.parametrize(("name", "source", "index", "other"), [("piano", 0, 2, 1), ("chorale", 0, 1, 2)])
    def test_what_returns_is_alike(
        self, scores: dict[str, Score], name: str, source: int, index: int, other: int
    ) -> None:
        plan, score = PLANS[name](), scores[name]
        first, returned, else_ = (_section_notes(plan, score, i) for i in (source, index, other))
        assert _alike(first, returned) >= 0.5
        assert _alike(first, returned) > _alike(else_, returned)

    def test_same_seed_same_score(self, composer: Composer, scores: dict[str, Score]) -> None:
        plan = small_plan()
        assert composer.compose(plan, seed=7) == scores["small"]
        assert composer.compose(plan, seed=8).notes != scores["small"].notes
