from __future__ import annotations

from pathlib import Path

import pytest

from music.midi import write_score_midi
from music.musicxml import write_musicxml
from music.pitch import Key
from music.score import KeyChange, MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.theme import melody_of, read_theme
from music.time import DIVS_PER_QUARTER, Meter

Q = DIVS_PER_QUARTER


def note(onset: float, length: float, pitch: int, name: str = "") -> Note:
    return Note(name or f"n{onset}-{pitch}", round(onset * Q), round(length * Q), pitch)


def score(notes: list[Note], meter: Meter, bars: int, key: str | None = None, pickup: int = 0) -> Score:
    keys = (KeyChange(0, Key.parse(key)),) if key else ()
    meters = (MeterChange(0, meter),)
    return Score((Part("P1"),), sort_notes(notes), regular_bars(meter, bars, pickup), meters, keys)


def triple(theme: object) -> list[tuple[float, float, int]]:
    return [(n.onset_div / Q, n.duration_div / Q, n.pitch) for n in theme.notes]  # type: ignore[attr-defined]


def test_top_line_over_an_accompaniment(tmp_path: Path) -> None:
    tune = [note(0, 2, 72), note(2, 1, 76), note(3, 1.5, 74), note(4.5, 0.5, 72), note(5, 1, 71)]
    under = [note(i / 2, 0.5, (48, 52, 55)[i % 3]) for i in range(12)]
    write_score_midi(score([*tune, *under], Meter(3, 4), 2, "C"), tmp_path / "a.mid")
    theme, meter = read_theme(tmp_path / "a.mid")
    assert triple(theme) == [(0, 2, 72), (2, 1, 76), (3, 1.5, 74), (4.5, 0.5, 72), (5, 1, 71)]
    assert (theme.label, theme.bars, theme.key, meter) == ("A", 2, Key.parse("C"), Meter(3, 4))


@pytest.mark.parametrize("suffix", [".mid", ".musicxml"])
def test_upbeat_is_negative(tmp_path: Path, suffix: str) -> None:
    """A short first bar, as files with an upbeat have it."""
    tune = [note(0, 1, 67), note(1, 1, 72), note(2, 1, 76), note(3, 1, 79), note(4, 3, 76)]
    piece = score(tune, Meter(3, 4), 2, "C", pickup=Q)
    path = tmp_path / f"b{suffix}"
    write_score_midi(piece, path) if suffix == ".mid" else write_musicxml(piece, path)
    theme, meter = read_theme(path, "B")
    assert meter == Meter(3, 4)
    assert [n.pitch for n in theme.notes] == [67, 72, 76, 79, 76]
    assert theme.label == "B"
    if suffix == ".musicxml":
        assert [n.onset_div // Q for n in theme.notes] == [-1, 0, 1, 2, 3]


def test_a_first_bar_with_rests_is_an_upbeat(tmp_path: Path) -> None:
    tune = [note(3, 1, 67), note(4, 2, 72), note(6, 2, 74), note(8, 4, 76)]
    write_score_midi(score(tune, Meter(4, 4), 3, "C"), tmp_path / "c.mid")
    theme, _ = read_theme(tmp_path / "c.mid")
    assert triple(theme) == [(-1, 1, 67), (0, 2, 72), (2, 2, 74), (4, 4, 76)]
    assert theme.bars == 2


def test_four_bars_at_most(tmp_path: Path) -> None:
    tune = [note(i, 1, 60 + i % 8) for i in range(40)]
    write_score_midi(score(tune, Meter(2, 4), 20, "F"), tmp_path / "d.mid")
    theme, _ = read_theme(tmp_path / "d.mid")
    assert (theme.bars, len(theme.notes)) == (4, 8)
    assert read_theme(tmp_path / "d.mid", max_bars=2)[0].bars == 2


def test_minor_is_heard_under_its_relatives_signature(tmp_path: Path) -> None:
    pitches = [69, 72, 76, 72, 71, 68, 69, 69]
    tune = [note(i, 1, pitch) for i, pitch in enumerate(pitches)]
    write_score_midi(score(tune, Meter(4, 4), 2, "C"), tmp_path / "e.mid")
    assert read_theme(tmp_path / "e.mid")[0].key == Key.parse("a")


def test_played_notes_are_put_on_the_clock() -> None:
    line = melody_of((note(0, 1.05, 72), note(1, 0.98, 71), note(2, 1, 74), note(2, 1, 60)))
    assert [n.pitch for n in line] == [72, 71, 74]


def test_late_and_early_players(tmp_path: Path) -> None:
    tune = [note(0.004, 1.01, 72), note(0.99, 0.9, 74), note(2.01, 2, 76)]
    write_score_midi(score(tune, Meter(4, 4), 2, "C"), tmp_path / "f.mid")
    assert triple(read_theme(tmp_path / "f.mid")[0])[0][:2] == (0, 1)
    assert [n.onset_div % (Q // 24) for n in read_theme(tmp_path / "f.mid")[0].notes] == [0, 0, 0]


def test_a_midi_file_without_meter_takes_the_one_asked_for(tmp_path: Path) -> None:
    tune = [note(i, 1, 60 + i % 5) for i in range(6)]
    write_score_midi(score(tune, Meter(4, 4), 2, "C"), tmp_path / "g.mid")
    data = (tmp_path / "g.mid").read_bytes()
    place = data.index(b"\xff\x58\x04")
    # A text event of the same length in place of the meter.
    (tmp_path / "g.mid").write_bytes(data[:place] + b"\xff\x01\x04abcd" + data[place + 7 :])
    theme, meter = read_theme(tmp_path / "g.mid", meter=Meter(3, 4))
    assert meter is None
    assert theme.bars == 2
    assert read_theme(tmp_path / "g.mid", meter=Meter(2, 4))[0].bars == 3
