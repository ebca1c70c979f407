"""What any performer must keep, over scores that are hard to play. Subclass `PerformerContract`, give a performer."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from music.performance import Performance
from music.pitch import Key
from music.plan import Phrase, Plan, Section
from music.score import (
    Direction,
    MeterChange,
    Note,
    Part,
    Score,
    SectionMark,
    TempoChange,
    regular_bars,
    sort_notes,
)
from music.time import DIVS_PER_QUARTER, Meter
from performer.interface import Performer

Q = DIVS_PER_QUARTER


def make(
    rows: list[tuple[float, float, int]],
    *,
    bars: int = 4,
    meter: str = "4/4",
    directions: tuple[Direction, ...] = (),
    tempos: tuple[TempoChange, ...] = (TempoChange(0, 100.0),),
    parts: int = 1,
    pickup: float = 0,
    sections: tuple[SectionMark, ...] = (),
) -> Score:
    """A score of (onset, length, pitch) in quarters; the n-th note goes to part n modulo `parts`."""
    notes = [
        Note(f"n{i}", round(on * Q), round(length * Q), pitch, i % parts) for i, (on, length, pitch) in enumerate(rows)
    ]
    time = Meter.parse(meter)
    return Score(
        tuple(Part(f"P{i}") for i in range(parts)),
        sort_notes(notes),
        regular_bars(time, bars, round(pickup * Q)),
        (MeterChange(0, time),),
        tempos=tempos,
        directions=directions,
        sections=sections,
    )


def tune(bars: int = 8) -> list[tuple[float, float, int]]:
    """A melody in quarters over a bass in halves."""
    top = [(i * 1.0, 1.0, 72 + (0, 2, 4, 5, 7, 5, 4, 2)[i % 8]) for i in range(bars * 4)]
    return top + [(i * 2.0, 2.0, 48 + (0, 7)[i % 2]) for i in range(bars * 2)]


def hard_scores() -> dict[str, Score]:
    """Scores by name, each with one thing that performers trip over."""
    signs = (
        Direction(0, "dynamic", "p"),
        Direction(0, "tempo", "Andante"),
        Direction(4 * Q, "crescendo", duration_div=4 * Q),
        Direction(8 * Q, "dynamic", "f"),
        Direction(8 * Q, "fermata"),
        Direction(9 * Q, "articulation", "staccato"),
        Direction(10 * Q, "articulation", "accent"),
        Direction(12 * Q, "slur", duration_div=4 * Q),
        Direction(16 * Q, "tempo", "rit."),
        Direction(20 * Q, "tempo", "a tempo"),
        Direction(24 * Q, "arpeggio"),
        Direction(31 * Q, "fermata"),
    )
    return {
        "one note": make([(0, 4, 60)], bars=1),
        "no notes": make([], bars=2),
        "no tempo": make(tune(), bars=8, tempos=()),
        "signs": make(tune(), bars=8, directions=signs),
        "grace at the start": make([(0, 0, 74), (0, 0, 76), (0, 1, 72), (1, 1, 71)], bars=1),
        "graces of the same pitch": make([(0, 2, 72), (2, 0, 72), (2, 0, 72), (2, 2, 72)], bars=1),
        "graces only": make([(2, 0, 60), (2, 0, 62)], bars=1),
        "unisons": make([(i / 2, length, 60) for i in range(8) for length in (0.5, 1, 2)], parts=3),
        "held and struck again": make([(0, 8, 60), (1, 1, 60), (2, 1, 60), (2, 0, 60), (3, 2, 60)]),
        "repeated thirty-seconds": make([(i / 8, 1 / 8, 60) for i in range(64)]),
        "a division apart": make([(i / Q, 1 / Q, 60 + i % 2) for i in range(30)]),
        "upbeat in 6/8": make([(i / 2, 0.5, 60 + i % 12) for i in range(30)], meter="6/8", bars=6, pickup=0.5),
        "cluster": make([(0, 4, pitch) for pitch in range(128)]),
        "starts with rests": make([(9, 1, 60), (11, 0.5, 64)]),
        "fast and slow": make(tune(), bars=8, tempos=(TempoChange(3 * Q, 1999.0), TempoChange(5 * Q, 1.0))),
        "four parts": make(tune(), bars=8, parts=4, sections=(SectionMark(0, "A"), SectionMark(16 * Q, "B"))),
    }


def plan_for(bars: int) -> Plan:
    """A plan of two sections whose bars add up to `bars`, with cadences, dynamics and another tempo."""
    first = bars // 2
    sections = (
        Section("A", first, Key("C"), (Phrase(first, "a", "HC"),), dynamic="p"),
        Section("B", bars - first, Key("G"), (Phrase(bars - first, "a", "PAC"),), dynamic="f", tempo_scale=1.2),
    )
    return Plan("", "free", "piano", Key("C"), Meter(4, 4), 0, 90.0, sections)


def check(score: Score, performance: Performance) -> None:
    """Asserts all that holds for every performance of a score."""
    assert sorted(n.note_id for n in performance.notes) == sorted(n.id for n in score.notes)
    pitches = {n.id: n.pitch for n in score.notes}
    last: dict[int, float] = {}
    for note in performance.notes:
        assert note.pitch == pitches[note.note_id]
        assert note.onset_sec >= 0
        assert note.duration_sec >= 0.005
        assert 1 <= note.velocity <= 127
        assert note.onset_sec >= last.get(note.pitch, 0.0) - 1e-9, f"{note} overlaps its own pitch"
        last[note.pitch] = note.onset_sec + note.duration_sec
    if performance.pedals:
        assert performance.pedals[0].onset_sec >= 0
        assert performance.pedals[-1].value == 0, "the pedal stays down"


SIGNS = (
    ("fermata", ""),
    ("arpeggio", ""),
    ("dynamic", "ff"),
    ("dynamic", "sfz"),
    ("crescendo", ""),
    ("diminuendo", ""),
    ("tempo", "rall."),
    ("text", "accel."),
    ("slur", ""),
    ("articulation", "staccato"),
    ("articulation", "tenuto"),
)
NOTES = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 8), st.integers(55, 67)), max_size=40)
MARKS = st.lists(
    st.tuples(st.integers(0, 999), st.sampled_from(SIGNS), st.integers(0, 3), st.integers(-1, 1)), max_size=6
)


def scatter(
    bars: int,
    meter: str,
    grid: int,
    parts: int,
    notes: list[tuple[int, int, int]],
    marks: list[tuple[int, tuple[str, str], int, int]],
) -> Score:
    """A score of notes and signs anywhere on a grid of so many divisions; places wrap round at the score's end."""
    length = bars * Meter.parse(meter).bar_div
    steps = length // grid
    rows = [(on % steps * grid / Q, min(d * grid, length - on % steps * grid) / Q, p) for on, d, p in notes]
    signs = tuple(Direction(on % steps * grid, *sign, d * grid, part) for on, sign, d, part in marks)
    return make(rows, bars=bars, meter=meter, directions=signs, parts=parts)


class PerformerContract:
    """Subclass it with a method `performer` that makes the performer under test."""

    def performer(self) -> Performer:
        """Makes the performer under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("name", hard_scores())
    def test_hard_scores(self, name: str) -> None:
        score = hard_scores()[name]
        check(score, self.performer().perform(score, seed=1))

    @given(
        bars=st.integers(1, 12),
        meter=st.sampled_from(["4/4", "3/4", "6/8", "5/8", "2/2"]),
        grid=st.sampled_from([Q, Q // 4, Q // 3, 7]),
        parts=st.integers(1, 3),
        notes=NOTES,
        marks=MARKS,
        seed=st.integers(0, 5),
    )
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    def test_any_score(
        self,
        bars: int,
        meter: str,
        grid: int,
        parts: int,
        notes: list[tuple[int, int, int]],
        marks: list[tuple[int, tuple[str, str], int, int]],
        seed: int,
    ) -> None:
        score = scatter(bars, meter, grid, parts, notes, marks)
        check(score, self.performer().perform(score, seed=seed))

    def test_is_a_performer(self) -> None:
        assert isinstance(self.performer(), Performer)

    def test_same_seed_same_performance(self) -> None:
        score = make(tune(), bars=8)
        assert self.performer().perform(score, seed=3) == self.performer().perform(score, seed=3)
        assert self.performer().perform(score, seed=3) != self.performer().perform(score, seed=4)

    @pytest.mark.parametrize("bars", [4, 8, 16])
    def test_plan_longer_or_shorter_than_the_score(self, bars: int) -> None:
        score = make(tune(), bars=8)
        check(score, self.performer().perform(score, seed=0, plan=plan_for(bars)))

    def test_score_is_played_in_its_order(self) -> None:
        score = make(tune(), bars=8)
        times = {n.note_id: n.onset_sec for n in self.performer().perform(score, seed=0).notes}
        tops = [times[f"n{i}"] for i in range(32)]
        assert tops == sorted(tops)
