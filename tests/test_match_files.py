"""Reading of aligned performances, and the faults for which a pair is dropped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from music.errors import FileError, ScoreError
from music.match_files import read_match
from music.paired import PairedPerformance, alignment_faults, beat_periods, onset_times
from music.performance import Performance, PerformedNote
from music.pitch import Key
from music.time import DIVS_PER_QUARTER, Meter

STEPS = (("C", 60), ("D", 62), ("E", 64), ("F", 65), ("G", 67), ("A", 69))
HEAD_1: tuple[str, ...] = (
    "info(matchFileVersion,1.0.0).",
    "info(midiClockUnits,480).",
    "info(midiClockRate,500000).",
    "scoreprop(keySignature,G,1:1,0,0.0000).",
    "scoreprop(timeSignature,3/4,1:1,0,0.0000).",
)
HEAD_5: tuple[str, ...] = (
    "info(matchFileVersion,5.0).",
    "info(midiClockUnits,480).",
    "info(midiClockRate,500000).",
    "info(keySignature,[G Maj]).",
    "info(timeSignature,[3/4]).",
)


def _lines(version: int, count: int = 24) -> list[str]:
    """Quarters in 3/4, 480 ticks (half a second) apart; note 4 is left out, one played note is too many."""
    lines: list[str] = list(HEAD_1 if version == 1 else HEAD_5)
    for i in range(count):
        step, _ = STEPS[i % 6]
        attributes = "v1,staff1" if version == 1 else ""
        score = f"snote(s{i}-1,[{step},n],4,{i // 3 + 1}:{i % 3 + 1},0,1/4,{i}.0,{i + 1}.0,[{attributes}])"
        on = 480 + i * 480
        pitch = STEPS[i % 6][1]
        played = (
            f"{pitch},{on},{on + 400},{50 + i},0,0"
            if version == 1
            else f"[{step},n],4,{on},{on + 400},{on + 400},{50 + i}"
        )
        lines.append(f"{score}-deletion." if i == 4 else f"{score}-note(p{i},{played}).")
    extra = "90,700,800,40,0,0" if version == 1 else "[F,#],6,700,800,800,40"
    lines.append(f"insertion-note(extra,{extra}).")
    return [*lines, "sustain(500,100).", "sustain(900,0)."]


def _file(tmp_path: Path, lines: list[str]) -> Path:
    path = tmp_path / "piece.match"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> PairedPerformance:
    return read_match(_file(tmp_path_factory.mktemp("match"), _lines(1)))


@pytest.mark.parametrize("version", [1, 5])
def test_both_versions_give_the_same_score_and_performance(tmp_path: Path, version: int) -> None:
    pair = read_match(_file(tmp_path, _lines(version)))
    score, played = pair.score, pair.performance
    assert [n.id for n in score.notes] == [f"s{i}-1" for i in range(24)]
    assert [n.onset_div for n in score.notes] == [i * DIVS_PER_QUARTER for i in range(24)]
    assert {n.duration_div for n in score.notes} == {DIVS_PER_QUARTER}
    assert [n.pitch for n in score.notes[:6]] == [60, 62, 64, 65, 67, 69]
    assert [(b.onset_div // DIVS_PER_QUARTER, b.number) for b in score.bars] == [(3 * i, i + 1) for i in range(8)]
    assert [m.meter for m in score.meters] == [Meter(3, 4)]
    assert [k.key for k in score.keys] == [Key.parse("G")]
    assert (pair.deletions, pair.insertions, pair.ornaments) == (1, 1, 0)
    assert pair.aligned == {f"s{i}-1" for i in range(24) if i != 4}
    first = played.notes[0]
    assert (first.note_id, first.pitch, first.velocity) == ("s0-1", 60, 50)
    assert first.onset_sec == pytest.approx(0.5)
    assert first.duration_sec == pytest.approx(400 / 960)
    assert [p.value for p in played.pedals] == [100, 0]
    assert played.pedals[0].onset_sec == pytest.approx(500 / 960)
    assert alignment_faults(pair) == ()


def test_a_pickup_is_a_bar_of_its_own(tmp_path: Path) -> None:
    lines: list[str] = list(HEAD_1)
    for i in range(-1, 12):
        bar, beat = (0, 3) if i < 0 else (i // 3 + 1, i % 3 + 1)
        score = f"snote(s{i + 1},[C,n],4,{bar}:{beat},0,1/4,{i}.0,{i + 1}.0,[v1,staff1])"
        lines.append(f"{score}-note(p{i + 1},60,{(i + 1) * 480},{(i + 1) * 480 + 300},64,0,0).")
    score = read_match(_file(tmp_path, lines)).score
    assert (score.bars[0].duration_div, score.bars[0].number) == (DIVS_PER_QUARTER, 0)
    assert {bar.duration_div for bar in score.bars[1:]} == {3 * DIVS_PER_QUARTER}
    assert score.notes[1].onset_div == score.bars[1].onset_div


def test_bars_of_a_repeat_and_silent_bars_stand_in_their_places(tmp_path: Path) -> None:
    """Numbers come again in a repeat (bars 1 2 1 2 4: nothing is struck in bar 3)."""
    lines: list[str] = list(HEAD_5)
    for i, (bar, start) in enumerate([(1, 0), (2, 3), (1, 6), (2, 9), (4, 15)]):
        for beat in (1, 2, 3):
            onset, name = start + beat - 1, f"s{bar}{beat}-{i // 2 + 1}"
            score = f"snote({name},[C,n],4,{bar}:{beat},0,1/4,{onset}.0,{onset + 1}.0,[])"
            lines.append(f"{score}-note(p{name},[C,n],4,{onset * 480},{onset * 480 + 300},{onset * 480 + 300},64).")
    score = read_match(_file(tmp_path, lines)).score
    places = [(b.onset_div // DIVS_PER_QUARTER, b.number) for b in score.bars]
    assert places == [(0, 1), (3, 2), (6, 1), (9, 2), (12, 3), (15, 4)]
    assert {b.duration_div for b in score.bars} == {3 * DIVS_PER_QUARTER}


def test_triplets_and_grace_notes_are_exact(tmp_path: Path) -> None:
    lines = [*_lines(1, 3)]
    lines.append("snote(t1,[D,n],5,2:1,1/12,1/12,3.3333,3.6667,[v1,staff1])-note(q1,74,2080,2200,64,0,0).")
    lines.append("snote(g1,[E,n],5,2:2,0,0,4.0,4.0,[v1,staff1,grace])-note(q2,76,2390,2400,64,0,0).")
    lines.append("snote(t2,[C,n],5,2:2,0,1/8,4.0,4.5,[v1,staff1])-note(q3,72,2400,2400,64,0,0).")
    pair = read_match(_file(tmp_path, lines))
    notes = {note.id: note for note in pair.score.notes}
    assert notes["t1"].onset_div == 3 * DIVS_PER_QUARTER + DIVS_PER_QUARTER // 3
    assert notes["t1"].duration_div == DIVS_PER_QUARTER // 3
    assert notes["g1"].duration_div == 0
    assert notes["g1"].onset_div == notes["t2"].onset_div
    played = {note.note_id: note for note in pair.performance.notes}
    assert 0 < played["t2"].duration_sec < 0.01  # let go in the tick in which it was struck
    quarters, seconds = onset_times(pair)
    assert quarters[-1] == 4.0
    assert seconds[-1] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "does not begin"),
        (b"\xff\xfe\x00match", "is not text"),
        (b"hello\n", "does not begin"),
        (b"info(matchFileVersion,1.0.0).\n", "match file"),
        ("\n".join(HEAD_1).encode(), "match file"),
        ("\n".join(_lines(1)).replace("3/4", "99/4").encode(), "99/4"),
        ("\n".join(line for line in _lines(1) if "-note" not in line or "insertion" in line).encode(), "no aligned"),
    ],
)
def test_a_bad_file_is_one_typed_error(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.match"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_match(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_match(tmp_path / "none.match")


def _played(pair: PairedPerformance, notes: list[PerformedNote]) -> PairedPerformance:
    return replace(pair, performance=Performance(tuple(sorted(notes, key=lambda n: n.onset_sec))))


def test_beat_periods_are_seconds_a_quarter(pair: PairedPerformance) -> None:
    assert beat_periods(pair) == pytest.approx(0.5)


def test_each_fault_is_found(pair: PairedPerformance) -> None:
    notes = list(pair.performance.notes)
    assert "only 17 of 24" in alignment_faults(_played(pair, notes[:17]))[0]
    other = [replace(n, pitch=n.pitch + 1) if i < 3 else n for i, n in enumerate(notes)]
    assert alignment_faults(_played(pair, other)) == ("3 of 23 aligned notes differ in pitch",)
    swapped = [replace(n, onset_sec=n.onset_sec + (1.2 if i in (10, 15) else 0)) for i, n in enumerate(notes)]
    assert any("run against" in fault for fault in alignment_faults(_played(pair, swapped)))
    late = [replace(n, onset_sec=n.onset_sec + (4 if i >= 10 else 0)) for i, n in enumerate(notes)]
    assert any("jump" in fault for fault in alignment_faults(_played(pair, late)))
    slow = [replace(n, onset_sec=n.onset_sec * 30) for n in notes]
    assert any("impossible" in fault for fault in alignment_faults(_played(pair, slow)))


def test_rubato_and_spread_are_no_faults(pair: PairedPerformance) -> None:
    notes = [replace(n, onset_sec=n.onset_sec * (1 + 0.02 * i)) for i, n in enumerate(pair.performance.notes)]
    assert alignment_faults(_played(pair, notes)) == ()


def test_a_pair_refuses_notes_that_the_score_lacks(pair: PairedPerformance) -> None:
    with pytest.raises(ScoreError, match="stranger"):
        _played(pair, [PerformedNote("stranger", 0.0, 1.0, 60, 64)])
