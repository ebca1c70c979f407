"""Random requests whose wishes can be met together: each asks for some of what a hidden piece has.

A hidden piece is drawn first: sections with bars, keys, cadences, phrases and chords that fit each other, a theme, a
meter. A request then asks for a random part of it, each wish in one of the ways that there are: on the command line, in
a typed plan, in a file of wishes. So every request can be met, and what it must give is known without any planner.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.requests import GROWING, NAMED, PLAYERS, labels_of
from music.harmony import parse_figure
from music.midi import write_score_midi
from music.pitch import ALL_KEYS, Key
from music.plan import CADENCES, DYNAMICS, TEXTURES
from music.score import MeterChange, Note, Part, Score, regular_bars
from music.time import DIVS_PER_QUARTER, Meter

METERS = ("2/4", "3/4", "4/4", "6/8", "2/2", "9/8", "12/8", "3/8")
LETTERS = ("A", "AB", "ABA", "ABACA", "AA'BA", "AABB", "ABCDE", "ABCBA'", "BAB", "AA'A''A'''", "ABABCB", "ABACADA")
MAJOR_KEYS, MINOR_KEYS = ("I", "V", "IV", "vi", "ii", "iii", "i", "bVI"), ("i", "III", "iv", "v", "VI", "VII", "I")
USUAL_SECTIONS = {"variations": 5, "strophic": 3, "through_composed": 4}
# Forms that are always in one meter, where none is asked for.
WALTZES = ("minuet_trio", "scherzo_trio")
_CLOSES = {
    False: {"PAC": ("V7", "I"), "IAC": ("V65", "I"), "HC": ("IV", "V"), "DC": ("V7", "vi")},
    True: {"PAC": ("V7", "i"), "IAC": ("V65", "i"), "HC": ("iv", "V"), "DC": ("V7", "VI")},
}
_INNER = {False: ("I", "ii6", "IV", "vi", "V6", "I6"), True: ("i", "iio6", "iv", "VI", "V6", "i6")}

PhraseAsked = tuple[int, str, str | None]  # bars, idea, cadence


@dataclass
class Hidden:
    """A section of a hidden piece; `figures` has the chords of each bar."""

    label: str
    bars: int
    key: Key
    cadence: str | None
    phrases: list[PhraseAsked]
    figures: list[list[str]]
    dynamic: str
    character: dict[str, Any]


@dataclass
class Asked:
    """A request.

    Args:
        kind: how the form is asked for.
        words: by the names of the command line.
        plan: fields that the plan must have: key, meter, bars, tempo_qpm, style, ensemble, title, pickup_div, letters.
        sections: index -> fields that the section must have: bars, key, cadence, phrases, figures and more.
        themes: letter -> notes (onset, duration, pitch) of a theme that was given in a file.
        home: sections that must stand in the home key.
    """

    kind: str
    words: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    sections: dict[int, dict[str, Any]] = field(default_factory=dict)
    themes: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    home: list[int] = field(default_factory=list)

    def tell(self, index: int, name: str, value: Any) -> None:
        """Notes what a section must have."""
        self.sections.setdefault(index, {})[name] = value


def random_request(rng: np.random.Generator, folder: Path, parts: bool = True) -> Asked:
    """A request that can be met.

    Args:
        rng: chance.
        folder: where files of themes and wishes are written.
        parts: also wishes for single sections.
    """
    kinds = ("named", "letters", "typed", "file", "none") if parts else ("named", "letters", "typed", "none")
    asked = Asked(str(rng.choice(kinds)))
    total = int(rng.integers(4, 129))
    form, labels = _form(asked.kind, rng, total)
    grows = form in GROWING
    home, meter = ALL_KEYS[int(rng.integers(24))], Meter.parse(str(rng.choice(METERS)))
    pieces = _hidden(labels, home, rng, total if grows else None)
    bars = sum(piece.bars for piece in pieces)
    if form:
        asked.words["form"] = form
        asked.plan["letters"] = "".join(labels)
    wanted_key = bool(rng.random() < 0.5)
    if wanted_key:
        asked.words["key"] = str(home)
        asked.plan["key"] = home
    theme = bool(rng.random() < 0.25) and ("A" in {x[0] for x in labels} if labels else True) and not grows
    if form in WALTZES and rng.random() < 0.7:
        meter = Meter(3, 4)
    if rng.random() < 0.5 or theme:
        asked.words["meter"] = str(meter)
        asked.plan["meter"] = meter
    elif form in WALTZES:
        asked.plan["meter"] = Meter(3, 4)
    if theme:
        _ask_theme(asked, pieces, home, meter, wanted_key, rng, folder)
    if grows or rng.random() < 0.5:
        asked.words["bars"] = str(bars)
        asked.plan["bars"] = bars
    _ask_players(asked, rng)
    if asked.kind == "typed":
        _ask_typed(asked, pieces, home, rng)
    named = asked.kind in ("named",)
    if parts and asked.kind not in ("none", "file"):
        _ask_maps(asked, pieces, home, named, rng)
    if asked.kind == "file" or (parts and asked.kind != "none" and rng.random() < 0.2):
        _ask_file(asked, pieces, home, named, rng, folder)
    elif asked.kind == "none" and parts and rng.random() < 0.4:
        _ask_loose(asked, pieces, rng)
    _ask_home(asked, labels)
    return asked


def _form(kind: str, rng: np.random.Generator, total: int) -> tuple[str, tuple[str, ...]]:
    """The words for a form, and its letters."""
    if kind == "named":
        form = str(rng.choice([*NAMED, *GROWING]))
        if form in GROWING:
            return form, labels_of(form, max(total, 4 * GROWING[form][1]))
        return form, labels_of(form, total)
    form = str(rng.choice(LETTERS))
    return ("" if kind in ("file", "none") else form), labels_of(form, 0)


def _hidden(labels: tuple[str, ...], home: Key, rng: np.random.Generator, total: int | None) -> list[Hidden]:
    """Sections: alike where the label is, so that a wish for a label can be met by all of them."""
    known: dict[str, Hidden] = {}
    shares = _shares(labels, total, rng) if total else {}
    lengths = ([4, 5, 6, 8, 8, 8, 10, 12, 16], [4], [7, 24, 40, 60])[int(rng.choice(3, p=(0.8, 0.12, 0.08)))]
    for index, label in enumerate(labels):
        at_home = label[0] == labels[0][0] or label == labels[-1]
        roman = str(rng.choice(MINOR_KEYS if home.minor else MAJOR_KEYS))
        key = home if at_home or index == 0 else home.relative(roman)
        bars = shares.get(label) or int(rng.choice(lengths))
        phrases = _phrases(bars, "PAC" if label == labels[-1] else str(rng.choice(CADENCES)), rng)
        character = {
            "density": round(float(rng.uniform(1.5, 6)), 2),
            "register": round(float(rng.uniform(55, 70)), 1),
            "texture": str(rng.choice(TEXTURES)),
            "tempo_scale": round(float(rng.uniform(0.8, 1.2)), 2),
        }
        dynamic = str(rng.choice(DYNAMICS[1:7]))
        figures = _figures(phrases, key.minor, rng)
        known.setdefault(label, Hidden(label, bars, key, phrases[-1][2], phrases, figures, dynamic, character))
    return [known[label] for label in labels]


def _shares(labels: tuple[str, ...], total: int, rng: np.random.Generator) -> dict[str, int]:
    """Bars by label for a form whose number of sections depends on the bars in all; strophes share them evenly."""
    total = max(total, 4 * len(labels))
    names = list(dict.fromkeys(labels))
    if len(names) < len(labels):
        return {names[0]: max(8, total // len(labels))} if total // len(labels) >= 4 else {}
    bars = dict.fromkeys(names, 4)
    for _ in range(total - 4 * len(names)):
        bars[names[int(rng.integers(len(names)))]] += 1
    return bars


def _phrases(bars: int, cadence: str, rng: np.random.Generator) -> list[PhraseAsked]:
    lengths: list[int] = []
    while bars:
        length = (
            bars if bars < 4 else int(rng.choice([2, 4, 4, 8] if bars >= 8 else [2, 4] if bars != 5 else [2, 3, 5]))
        )
        if bars - length == 1:
            length = bars
        lengths.append(length)
        bars -= length
    made: list[PhraseAsked] = []
    for index, length in enumerate(lengths):
        inner = str(rng.choice([*CADENCES, "-"]))
        close = cadence if index == len(lengths) - 1 else None if inner == "-" else inner
        made.append((length, "abcdefghijklmnopqrstuvwxyz"[index % 26], close))
    return made


def _figures(phrases: list[PhraseAsked], minor: bool, rng: np.random.Generator) -> list[list[str]]:
    """Chords bar by bar that close each phrase with its cadence, equal neighbours avoided."""
    found: list[list[str]] = []
    for bars, _, cadence in phrases:
        chords = _CLOSES[minor][cadence] if cadence else ()
        for bar in range(bars):
            if chords and bar == bars - 1:
                found.append([chords[1]])
            elif chords and bar == bars - 2:
                found.append([chords[0]] if rng.random() < 0.6 else [_INNER[minor][1], chords[0]])
            else:
                others = [name for name in _INNER[minor] if [name] != found[-1:]]
                found.append([str(x) for x in rng.choice(others, 1 if rng.random() < 0.8 else 2, replace=False)])
    return found


def _ask_theme(
    asked: Asked,
    pieces: list[Hidden],
    home: Key,
    meter: Meter,
    wanted_key: bool,
    rng: np.random.Generator,
    folder: Path,
) -> None:
    """A MIDI file with a tune in the home key, a note a beat; the tonic triad tells the key."""
    if asked.kind == "none":
        bars = 1 + int(rng.integers(4))
    else:
        bars = min(4, min(p.bars for p in pieces if p.label[0] == "A"))
    third = 3 if home.minor else 4
    degrees = (0, third, 7, 12, 7, third, 2, 0, 11 if not home.minor else 10, 0, 5, third)
    unit = DIVS_PER_QUARTER // 2 if meter.denominator == 8 else DIVS_PER_QUARTER * 4 // meter.denominator
    notes = [(i * unit, unit, 60 + home.pc % 12 + degrees[i % 12]) for i in range(bars * meter.bar_div // unit)]
    path = folder / f"theme{len(list(folder.iterdir()))}.mid"
    made = tuple(Note(f"n{i}", on, length, pitch) for i, (on, length, pitch) in enumerate(notes))
    write_score_midi(Score((Part("P1"),), made, regular_bars(meter, bars), (MeterChange(0, meter),)), path)
    asked.words["theme"] = str(path)
    asked.themes["A"] = notes
    if not wanted_key:  # a file of MIDI names no key for certain: what is heard in it is the planner's
        asked.words["key"] = str(home)
        asked.plan["key"] = home


def _ask_players(asked: Asked, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        ensemble, style, plays = PLAYERS[int(rng.integers(len(PLAYERS)))]
        asked.words |= {name: word for name, word in (("ensemble", ensemble), ("style", style)) if word}
        asked.plan["ensemble"] = plays
        if style:
            asked.plan["style"] = style
    if rng.random() < 0.3:
        tempo = round(float(rng.choice([rng.uniform(40, 200), rng.uniform(20, 400)])), 1)
        asked.words["tempo"] = str(tempo)
        asked.plan["tempo_qpm"] = tempo
    if rng.random() < 0.2:
        asked.words["title"] = asked.plan["title"] = "A title, just so"


def _ask_typed(asked: Asked, pieces: list[Hidden], home: Key, rng: np.random.Generator) -> None:
    """A typed plan: each section with some of its bars, key and cadence; a cadence left out is a PAC."""
    tokens = []
    all_bars = rng.random() < 0.5
    for index, piece in enumerate(pieces):
        token = piece.label
        if all_bars or index == 0:
            token += str(piece.bars)
            asked.tell(index, "bars", piece.bars)
        if rng.random() < 0.4:
            token += f":{piece.key.relation_to(home)}"
            if "key" in asked.plan:
                asked.tell(index, "key", home.relative(piece.key.relation_to(home)))
            asked.tell(index, "relation", piece.key.relation_to(home))
        if rng.random() < 0.5:
            token += f"/{piece.cadence or '-'}"
            asked.tell(index, "cadence", piece.cadence)
        else:
            asked.tell(index, "cadence", "PAC")
        tokens.append(token)
    asked.words["form"] = " ".join(tokens)


def _ask_maps(asked: Asked, pieces: list[Hidden], home: Key, named: bool, rng: np.random.Generator) -> None:
    """Wishes by label; those of a typed plan are left as they are."""
    labels = list(dict.fromkeys(piece.label for piece in pieces))
    typed = asked.kind == "typed"
    chosen: dict[str, list[str]] = {}
    for label in labels:
        where = [i for i, piece in enumerate(pieces) if piece.label == label]
        piece = pieces[where[0]]
        has_chords = rng.random() < 0.12 and not typed
        if rng.random() < 0.25 and not typed:
            chosen.setdefault("section_bars", []).append(f"{label}:{piece.bars}")
            _tell_all(asked, where, "bars", piece.bars)
        # Chords are those of a mode: a form's own keys may all be of the other, so the key is asked for with them.
        if not typed and (rng.random() < 0.2 or has_chords):
            relative = "key" not in asked.plan or rng.random() < 0.5
            relation = piece.key.relation_to(home)
            key = home.relative(relation) if relative else piece.key
            chosen.setdefault("keys", []).append(f"{label}:{relation if relative else key}")
            _tell_all(asked, where, "relation", relation)
            if "key" in asked.plan:
                _tell_all(asked, where, "key", key)
        if not typed and (rng.random() < 0.25 or has_chords):
            chosen.setdefault("cadences", []).append(f"{label}:{piece.cadence or '-'}")
            _tell_all(asked, where, "cadence", piece.cadence)
        if rng.random() < 0.25:
            chosen.setdefault("dynamics", []).append(f"{label}:{piece.dynamic}")
            _tell_all(asked, where, "dynamic", piece.dynamic)
        if has_chords:
            bars = [names if rng.random() < 0.8 else [] for names in piece.figures[: 1 + int(rng.integers(piece.bars))]]
            if any(bars):
                chosen.setdefault("chords", []).append(f"{label}: {' '.join(map(_bar_text, bars))}")
                _tell_all(asked, where, "figures", bars)
    for name, entries in chosen.items():
        asked.words[name] = (" | " if name == "chords" else " ").join(entries)


def _bar_text(names: list[str]) -> str:
    return "." if not names else names[0] if len(names) == 1 else f"({' '.join(names)})"


def _tell_all(asked: Asked, where: list[int], name: str, value: Any) -> None:
    for index in where:
        asked.tell(index, name, value)


def _ask_file(
    asked: Asked, pieces: list[Hidden], home: Key, named: bool, rng: np.random.Generator, folder: Path
) -> None:
    """A JSON file with some of the hidden piece, nulls among it."""
    data: dict[str, Any] = {}
    told = [dict(asked.sections.get(i, {})) for i in range(len(pieces))]
    sections = []
    for index, piece in enumerate(pieces):
        section: dict[str, Any] = {"label": piece.label}
        if not asked.words.get("form"):
            asked.plan["letters"] = "".join(p.label for p in pieces)
        for name, value in piece.character.items():
            if rng.random() < 0.15:
                section[name] = value
                asked.tell(index, name, value)
        if "dynamic" not in told[index] and rng.random() < 0.2:
            section["dynamic"] = piece.dynamic
            asked.tell(index, "dynamic", piece.dynamic)
        if rng.random() < 0.2 and asked.kind == "file":
            section["phrases"] = [{"bars": b, "idea": idea, "cadence": close} for b, idea, close in piece.phrases]
            asked.tell(index, "phrases", piece.phrases)
            asked.tell(index, "bars", piece.bars)
            asked.tell(index, "cadence", piece.cadence)
        elif asked.kind == "file" and rng.random() < 0.3:
            section["bars"] = piece.bars
            asked.tell(index, "bars", piece.bars)
        if asked.kind == "file" and rng.random() < 0.3 and "key" in asked.plan:
            section["key"] = str(piece.key)
            asked.tell(index, "key", piece.key)
        if asked.kind == "file" and rng.random() < 0.1 and {"key", "meter"} <= asked.plan.keys():
            _ask_chords(asked, section, index, piece)
        elif asked.kind == "file" and rng.random() < 0.1:
            _ask_figures(asked, section, index, piece, home, rng)
        if index and rng.random() < 0.1 and any(p.label == piece.label for p in pieces[:index]):
            section["variation"] = 0.4
            asked.tell(index, "variation", 0.4)
        sections.append(section | ({"texture": None} if "texture" not in section else {}))
    data["sections"] = sections
    if "meter" in asked.plan and "theme" not in asked.words and rng.random() < 0.4:
        upbeats = [d for d in (0, 1680, 2520, 5040, 10080, 13440, 15120, 25200) if d < asked.plan["meter"].bar_div]
        data["pickup_div"] = asked.plan["pickup_div"] = int(rng.choice(upbeats))
    for name in ("key", "meter", "style"):
        data[name] = str(asked.plan[name]) if name in asked.plan and rng.random() < 0.3 else None
    path = folder / f"wishes{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    asked.words["wishes"] = str(path)


def _ask_chords(asked: Asked, section: dict[str, Any], index: int, piece: Hidden) -> None:
    """Chords of the first bars as plan.json writes them: root, quality and bass at a place in divisions."""
    bar_div, chords = asked.plan["meter"].bar_div, []
    kept: list[list[str]] = []
    for bar, names in enumerate(piece.figures[:3]):
        kept.append(names if len(names) == 1 else [])
        for name in kept[-1]:
            root, quality, bass = parse_figure(name, piece.key)
            place = {"onset_div": bar * bar_div, "duration_div": bar_div}
            chords.append(place | {"root": root, "quality": quality, "bass": bass})
    if not chords:
        return
    section |= {"chords": chords, "key": str(piece.key), "bars": piece.bars, "cadence": piece.cadence or "-"}
    section["phrases"] = [{"bars": b, "idea": idea, "cadence": close} for b, idea, close in piece.phrases]
    for name, value in (("key", piece.key), ("bars", piece.bars), ("cadence", piece.cadence)):
        asked.tell(index, name, value)
    asked.tell(index, "phrases", piece.phrases)
    asked.tell(index, "figures", kept)


def _ask_figures(
    asked: Asked, section: dict[str, Any], index: int, piece: Hidden, home: Key, rng: np.random.Generator
) -> None:
    """Chords as text for one section, not for others of its label; key and cadence with them."""
    bars = [names if rng.random() < 0.8 else [] for names in piece.figures[: 1 + int(rng.integers(piece.bars))]]
    if not any(bars):
        return
    relation = piece.key.relation_to(home)
    section |= {"chords": " ".join(map(_bar_text, bars)), "cadence": piece.cadence or "-"}
    section.setdefault("key", relation)
    asked.tell(index, "relation", relation)
    asked.tell(index, "cadence", piece.cadence)
    asked.tell(index, "figures", bars)


def _ask_loose(asked: Asked, pieces: list[Hidden], rng: np.random.Generator) -> None:
    """A wish for a letter where no form is asked for: whatever form comes has it."""
    if "bars" in asked.words or "theme" in asked.words:
        return
    letter = str(rng.choice(["A", "B", "C"]))
    cadence = str(rng.choice(CADENCES))
    asked.words["cadences"] = f"{letter}:{cadence}"
    asked.plan["has"] = (letter, cadence)


def _ask_home(asked: Asked, labels: tuple[str, ...]) -> None:
    """First and last section stand at home where nothing else is asked for."""
    if asked.kind == "none" or not labels:
        return
    for index in (0, len(labels) - 1):
        told = asked.sections.get(index, {})
        if "key" not in told and "relation" not in told:
            asked.home.append(index)
