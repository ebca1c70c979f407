"""Requests with two wishes that contradict each other, and what their refusal must name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from music.midi import write_score_midi
from music.score import MeterChange, Note, Part, Score, regular_bars
from music.time import DIVS_PER_QUARTER, Meter


@dataclass(frozen=True)
class Refused:
    """Words as typed, and what the message must contain."""

    words: dict[str, Any]
    named: tuple[str, ...]


Template = Callable[[np.random.Generator, Path], Refused]


def _file(folder: Path, data: Any) -> str:
    path = folder / "wishes.json"
    if folder != Path():
        path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return str(path)


def _theme(folder: Path, meter: Meter, bars: int = 4) -> str:
    notes = tuple(
        Note(f"n{i}", i * DIVS_PER_QUARTER, DIVS_PER_QUARTER, 60 + (0, 4, 7, 5)[i % 4])
        for i in range(bars * meter.bar_div // DIVS_PER_QUARTER)
    )
    path = folder / "theme.mid"
    if folder != Path():
        write_score_midi(Score((Part("P1"),), notes, regular_bars(meter, bars), (MeterChange(0, meter),)), path)
    return str(path)


def _few_bars(rng: np.random.Generator, _: Path) -> Refused:
    form, sections = [("rondo", 5), ("sonata", 5), ("ABA", 3), ("arch", 5), ("ABABCB", 6)][int(rng.integers(5))]
    bars = int(rng.integers(4, 4 * sections))
    return Refused({"form": form, "bars": str(bars)}, (f"bars={bars}", f"'{form}'", str(4 * sections)))


def _typed_key(rng: np.random.Generator, _: Path) -> Refused:
    one, other = (str(x) for x in rng.choice(["G", "d", "Eb", "f#", "B"], 2, replace=False))
    return Refused({"form": f"A8 B8 | key={one}", "key": other}, (f"key={one}", f"key={other}"))


def _typed_meter(rng: np.random.Generator, _: Path) -> Refused:
    one, other = (str(x) for x in rng.choice(["2/4", "3/4", "4/4", "6/8"], 2, replace=False))
    return Refused({"form": f"rondo | meter={one}", "meter": other}, (f"meter={one}", f"meter={other}"))


def _typed_bars(rng: np.random.Generator, _: Path) -> Refused:
    bars = int(rng.integers(25, 60))
    return Refused({"form": "A8 B8:V A8", "bars": str(bars)}, (f"bars={bars}", "A8 B8:V A8", "24"))


def _no_such_letter(rng: np.random.Generator, _: Path) -> Refused:
    name, value = [("keys", "V"), ("cadences", "HC"), ("dynamics", "p"), ("section_bars", "8")][int(rng.integers(4))]
    return Refused({"form": "rondo", name: f"E:{value}"}, (f"{name}=E:{value}", "'rondo'", "E"))


def _typed_cadence(rng: np.random.Generator, _: Path) -> Refused:
    one, other = (str(x) for x in rng.choice(["PAC", "IAC", "HC", "DC"], 2, replace=False))
    return Refused({"form": f"A8:V/{one} B8", "cadences": f"A:{other}"}, (f"cadences=A:{other}", f"A8:V/{one}"))


def _typed_length(rng: np.random.Generator, _: Path) -> Refused:
    bars = int(rng.integers(9, 30))
    return Refused({"form": "A8 B A", "section_bars": f"A:{bars}"}, (f"section_bars=A:{bars}", "A8"))


def _typed_section_key(rng: np.random.Generator, _: Path) -> Refused:
    return Refused({"form": "A8 B8:V A8", "keys": "B:vi"}, ("keys=B:vi", "B8:V"))


def _twice(rng: np.random.Generator, _: Path) -> Refused:
    return Refused({"form": "ABA", "cadences": "B:HC B:PAC"}, ("cadences=B:HC", "cadences=B:PAC"))


def _sum(rng: np.random.Generator, _: Path) -> Refused:
    bars = int(rng.integers(25, 60))
    words = {"form": "ABA", "bars": str(bars), "section_bars": "A:8 B:8"}
    return Refused(words, (f"bars={bars}", "section_bars=A:8", "24"))


def _long_chords(rng: np.random.Generator, _: Path) -> Refused:
    words = {"form": "ABA", "section_bars": "A:4", "chords": "A: I IV V I V"}
    return Refused(words, ("chords=A: I IV V I V", "section_bars=A:4"))


def _chords_of_other_cadence(rng: np.random.Generator, _: Path) -> Refused:
    words = {"form": "ABA", "section_bars": "B:4", "cadences": "B:HC", "chords": "B: I IV V7 I"}
    return Refused(words, ("chords=B: I IV V7 I", "cadences=B:HC"))


def _crowded_bar(rng: np.random.Generator, _: Path) -> Refused:
    return Refused({"form": "AB", "meter": "2/4", "chords": "A: (I IV V7) I"}, ("chords=A: (I IV V7) I", "meter=2/4"))


def _bars_for_chords(rng: np.random.Generator, _: Path) -> Refused:
    return Refused({"form": "AB", "bars": "9", "chords": "A: I IV V I I V"}, ("bars=9", "chords=A: I IV V I I V"))


def _file_key(rng: np.random.Generator, folder: Path) -> Refused:
    return Refused({"key": "D", "wishes": _file(folder, {"key": "G"})}, ("key=D", "wishes.json", "G"))


def _file_style(rng: np.random.Generator, folder: Path) -> Refused:
    path = _file(folder, {"style": "bach_chorale"})
    return Refused({"style": "haydn_quartet", "wishes": path}, ("haydn_quartet", "bach_chorale", "wishes.json"))


def _file_labels(rng: np.random.Generator, folder: Path) -> Refused:
    path = _file(folder, {"sections": [{"label": "A"}, {"label": "C"}, None]})
    return Refused({"form": "ABA", "wishes": path}, ("sections[1] label=C", "form", "B"))


def _file_count(rng: np.random.Generator, folder: Path) -> Refused:
    return Refused({"form": "ABA", "wishes": _file(folder, {"sections": [None] * 4})}, ("4", "'ABA'", "3"))


def _file_phrases(rng: np.random.Generator, folder: Path) -> Refused:
    phrases = [{"bars": 4, "idea": "a", "cadence": None}, {"bars": 4, "idea": "b", "cadence": "HC"}]
    section = {"bars": 12, "phrases": phrases}
    return Refused({"form": "A", "wishes": _file(folder, {"sections": [section]})}, ("bars=12", "phrases"))


def _file_cadence(rng: np.random.Generator, folder: Path) -> Refused:
    phrases = [{"bars": 4, "idea": "a", "cadence": None}, {"bars": 4, "idea": "b", "cadence": "HC"}]
    path = _file(folder, {"sections": [{"phrases": phrases}]})
    return Refused({"form": "A", "wishes": path, "cadences": "A:PAC"}, ("cadences=A:PAC", "phrases"))


def _theme_meter(rng: np.random.Generator, folder: Path) -> Refused:
    return Refused({"theme": _theme(folder, Meter(3, 4)), "meter": "4/4"}, ("meter=4/4", "theme", "3/4"))


def _theme_letter(rng: np.random.Generator, folder: Path) -> Refused:
    return Refused({"theme": _theme(folder, Meter(3, 4)), "form": "BCB"}, ("theme", "letter A", "BCB"))


def _pickup(rng: np.random.Generator, _: Path) -> Refused:
    return Refused({"form": "A8 | pickup=3", "meter": "3/4"}, ("pickup=3", "3/4"))


def _broken_file(rng: np.random.Generator, folder: Path) -> Refused:
    data, named = [
        ("{", ("not a JSON file",)),
        ('{"sections": 3}', ("'sections'",)),
        ('{"kei": "G"}', ("'kei'", "'key'")),
        ('{"sections": [{"bars": "x"}]}', ("sections[0]", "'bars'")),
        ('{"sections": [{"cadence": "PAQ"}]}', ("sections[0]", "PAQ")),
        ('{"tempo_qpm": 4000}', ("'tempo_qpm'", "4000")),
    ][int(rng.integers(6))]
    return Refused({"wishes": _file(folder, data)}, ("wishes.json", *named))


def _unknown_style(rng: np.random.Generator, _: Path) -> Refused:
    return Refused({"style": "bach_choral"}, ("bach_choral", "did you mean bach_chorale", "haydn_quartet"))


TEMPLATES: tuple[Template, ...] = (
    *(_few_bars, _typed_key, _typed_meter, _typed_bars, _no_such_letter, _typed_cadence, _typed_length),
    *(_typed_section_key, _twice, _sum, _long_chords, _chords_of_other_cadence, _crowded_bar, _bars_for_chords),
    *(_file_key, _file_style, _file_labels, _file_count, _file_phrases, _file_cadence, _theme_meter, _theme_letter),
    *(_pickup, _broken_file, _unknown_style),
)
