from __future__ import annotations

from pathlib import Path

import pytest

from music.errors import MidiError, RequestError, RitornelloError
from music.midi import write_score_midi
from music.pitch import Key
from music.score import MeterChange, Note, Part, Score, regular_bars
from music.time import DIVS_PER_QUARTER, Meter
from planner.forms import ALIASES, FORMS
from planner.interface import PlanRequest
from planner.request import METERS, parse_request, read_form

WALTZ = Meter(3, 4)


def midi(path: Path, meter: Meter = WALTZ) -> Path:
    """A file of four bars with one note a bar."""
    notes = tuple(Note(f"n{i}", i * meter.bar_div, DIVS_PER_QUARTER, 60 + i) for i in range(4))
    write_score_midi(Score((Part("P1"),), notes, regular_bars(meter, 4), (MeterChange(0, meter),)), path)
    return path


def test_words_become_a_request() -> None:
    request = parse_request(
        form="ABACA", key="f#", meter="3/4", bars="40", tempo=96, style="haydn_quartet", ensemble="piano"
    )
    assert request == PlanRequest("ABACA", Key.parse("f#"), Meter(3, 4), 40, 96.0, "haydn_quartet", "piano")
    assert parse_request() == PlanRequest()
    assert parse_request(form="", key="", bars="", tempo="", title="") == PlanRequest()
    assert parse_request(key="B-flat".replace("-flat", "b") + " major", meter="C|").meter == Meter(2, 2)


@pytest.mark.parametrize("name", [*FORMS, *ALIASES])
def test_named_forms_in_any_writing(name: str) -> None:
    form = read_form(name).form
    assert form is not None
    assert read_form(name.replace("_", " ").title()).form == form
    assert read_form(name.replace("_", "-")).form == form
    assert read_form(f"{name} | key=G").text.key == Key.parse("G")


def test_letters_and_typed_plans() -> None:
    assert [s.label for s in read_form("AA'BA''").text.sections] == ["A", "A'", "B", "A''"]
    assert [s.label for s in read_form("AA’B″").text.sections] == ["A", "A'", "B''"]
    assert not read_form("ABA").is_typed
    assert not read_form("A B A").is_typed
    assert read_form("A B:V A").is_typed
    assert read_form("RONDO").form is FORMS["rondo"]  # a name wins over letters
    assert read_form('ABA | title="Don’t"').text.title == "Don’t"


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"form": "rondoo"}, ("'rondoo'", "did you mean rondo?", "ABACA")),
        ({"form": "Sonate"}, ("'Sonate'", "sonat")),
        ({"form": "abaca"}, ("did you mean ABACA?",)),
        ({"form": "A8 B8:Q"}, ("B8:Q",)),
        ({"form": "A8 | kei=G"}, ("'kei'",)),
        ({"form": "rondo | key=H"}, ("key=H",)),
        ({"form": "1234"}, ("'1234'",)),
        ({"key": "H"}, ("key 'H'",)),
        ({"key": "A#"}, ("A#", "seven")),
        ({"key": "gb minor"}, ("seven",)),
        ({"meter": "3"}, ("'3'", "3/4")),
        ({"meter": "7/16"}, ("7/16", "6/8")),
        ({"meter": "3/5"}, ("3/5", "3/4")),
        ({"bars": "many"}, ("bars=many",)),
        ({"bars": 8.5}, ("bars=8.5",)),
        ({"bars": 0}, ("bars=0",)),
        ({"tempo": "fast"}, ("tempo=fast",)),
        ({"tempo": "inf"}, ("tempo=inf",)),
        ({"style": "hayden_quartet"}, ("hayden_quartet", "did you mean haydn_quartet?")),
        ({"style": "bebop"}, ("bebop", "bach_chorale")),
        ({"ensemble": "quartett"}, ("quartett", "did you mean quartet?")),
    ],
)
def test_what_is_not_understood_is_named(wishes: dict, words: tuple[str, ...]) -> None:
    if isinstance(wishes.get("bars"), float):
        wishes = {"bars": str(wishes["bars"])}
    with pytest.raises(RequestError) as caught:
        parse_request(**wishes)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_theme_gives_its_meter(tmp_path: Path) -> None:
    request = parse_request(theme=midi(tmp_path / "tune.mid"))
    assert request.meter == Meter(3, 4)
    assert request.theme is not None
    assert request.theme.bars == 4
    assert parse_request(theme=str(tmp_path / "tune.mid"), meter="3/4").theme == request.theme


def test_the_themes_meter_against_the_one_asked_for(tmp_path: Path) -> None:
    path = midi(tmp_path / "tune.mid")
    for wishes in ({"meter": "4/4"}, {"form": "A8 B8 | meter=4/4"}):
        with pytest.raises(RequestError, match=r"meter=4/4 contradicts theme .*tune\.mid, which is in 3/4"):
            parse_request(theme=path, **wishes)
    with pytest.raises(RequestError, match=r"odd\.mid: meter 7/16"):
        parse_request(theme=midi(tmp_path / "odd.mid", Meter(7, 16)))


def test_theme_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(RitornelloError, match=r"none\.mid"):
        parse_request(theme=tmp_path / "none.mid")
    (tmp_path / "tune.wav").write_bytes(b"RIFF")
    with pytest.raises(RitornelloError, match=r"tune\.wav.*\.mid"):
        parse_request(theme=tmp_path / "tune.wav")
    empty = Score((Part("P1"),), (), regular_bars(Meter(4, 4), 2), (MeterChange(0, Meter(4, 4)),))
    write_score_midi(empty, tmp_path / "empty.mid")
    with pytest.raises(MidiError, match=r"empty\.mid.*no pitched note"):
        parse_request(theme=tmp_path / "empty.mid")


def test_meters_that_can_be_planned() -> None:
    assert {Meter.parse(m) for m in ("2/4", "3/4", "4/4", "6/8", "2/2", "3/8", "9/8", "12/8", "5/4")} <= set(METERS)
