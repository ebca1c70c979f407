"""Writing MusicXML: what is written is read back by our reader, by music21 and by partitura, and its bars add up."""

from __future__ import annotations

import warnings
import zipfile
from collections import defaultdict
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from music21 import converter, corpus

from music.errors import MusicXmlError
from music.musicxml import read_musicxml, score_from_music21, write_musicxml
from music.musicxml_write import musicxml_bytes
from music.note_values import VALUES, bar_pieces
from music.pitch import Key
from music.plan import Phrase, Plan, Section
from music.score import (
    Direction,
    KeyChange,
    MeterChange,
    Note,
    Part,
    Score,
    SectionMark,
    TempoChange,
    regular_bars,
    sort_notes,
)
from music.time import Meter
from music.voices import assign_voices

Q = 10080
Rows = list[tuple[float, float, int]]


def _score(
    rows: Rows, meter: str = "4/4", key: str = "C", pickup: float = 0, part: Part | None = None, **more: tuple
) -> Score:
    """A score of one part from (onset, duration, pitch) in quarters."""
    signature = Meter.parse(meter)
    notes = [Note(f"n{i}", round(o * Q), round(d * Q), p) for i, (o, d, p) in enumerate(rows)]
    upbeat = round(pickup * Q)
    length = max((n.end_div for n in notes), default=1) - upbeat
    bars = regular_bars(signature, max(1, -(-length // signature.bar_div)), upbeat)
    return Score(
        parts=(part or Part("P1", "Piano", 0),),
        notes=sort_notes(notes),
        bars=bars,
        meters=(MeterChange(0, signature),),
        keys=(KeyChange(0, Key.parse(key)),),
        **more,
    )


def _played(score: Score) -> list[tuple[int, int, int, int]]:
    return sorted((n.onset_div, n.duration_div, n.pitch, n.part) for n in score.notes)


def _by_music21(path: Path) -> list[tuple[int, int, int, int]]:
    """Notes as music21 sees them, its ties joined here: staves of one instrument are one part, graces last 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = converter.parse(path, forceSource=True)
    groups: dict[str, int] = {}
    found: list[list[int]] = []
    for part in parsed.parts:
        index = groups.setdefault(str(part.id).split("-Staff")[0], len(groups))
        sounding: list[list[int]] = []
        for item in part.flatten().notes:
            onset = round(Fraction(item.offset) * Q)
            length = round(Fraction(item.duration.quarterLength) * Q)
            for one in getattr(item, "notes", (item,)):
                chained = one.tie is not None and one.tie.type in ("stop", "continue")
                same = [s for s in sounding if s[2] == one.pitch.midi and s[0] + s[1] == onset and s[4]]
                if chained and same:
                    same[0][1] += length
                    same[0][4] = int(one.tie.type == "continue")
                else:
                    sounding.append([onset, length, one.pitch.midi, index, int(one.tie is not None)])
        found += sounding
    return sorted((a, b, c, d) for a, b, c, d, _ in found)


def _by_partitura(path: Path) -> list[tuple[int, int, int, int]]:
    import partitura

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = partitura.load_musicxml(str(path))
        found = []
        for index, part in enumerate(parsed.parts):
            array = part.note_array(include_divs_per_quarter=True, include_grace_notes=True)
            for row in array:
                unit = Q / row["divs_pq"]
                onset, length = round(row["onset_div"] * unit), round(row["duration_div"] * unit)
                found.append((onset, 0 if row["is_grace"] else length, int(row["pitch"]), index))
    return sorted(found)


def _assert_bars_add_up(data: bytes, score: Score) -> None:
    """Every voice of every bar fills it exactly, each note value is what its type, dots and tuplet say."""
    root = ElementTree.fromstring(data)
    for part in root.findall("part"):
        divisions = int(part.findtext("measure/attributes/divisions", "0"))
        for bar, measure in zip(score.bars, part.findall("measure"), strict=True):
            sums: dict[str, int] = defaultdict(int)
            position = 0
            for element in measure:
                duration = int(element.findtext("duration", "0"))
                if element.tag == "backup":
                    position -= duration
                elif element.tag == "note" and element.find("chord") is None and element.find("grace") is None:
                    sums[element.findtext("voice", "")] += duration
                    position += duration
                    _assert_value(element, Fraction(duration, divisions))
            assert position * Q == bar.duration_div * divisions
            assert sums
            assert all(total * Q == bar.duration_div * divisions for total in sums.values())


def _assert_value(element: ElementTree.Element, quarters: Fraction) -> None:
    name = element.findtext("type")
    if name is None:
        return
    value = next(Fraction(d, Q) for d, v in VALUES.items() if v == (name, len(element.findall("dot"))))
    ratio = element.find("time-modification")
    if ratio is not None:
        value *= Fraction(int(ratio.findtext("normal-notes", "1")), int(ratio.findtext("actual-notes", "1")))
    assert value == quarters


THIRD = 1 / 3
SCORES: dict[str, Score] = {
    "scale": _score([(i, 1, 60 + p) for i, p in enumerate((0, 2, 4, 5, 7, 9, 11, 12))]),
    "ties over barlines": _score([(0, 3, 48), (3, 6, 60), (3, 2.5, 64), (9, 1.25, 62), (10.5, 1.5, 71)], "3/4", "d"),
    "upbeat": _score([(0, 0.5, 67), (0.5, 1, 72), (1.5, 2.5, 74), (4, 1.75, 76), (5.75, 0.25, 77)], "3/4", "F", 0.5),
    "triplets": _score([(i * THIRD, THIRD, 60 + i % 5) for i in range(18)] + [(0, 4, 43), (4, 2, 41)], "4/4", "Eb"),
    "triplet quarters and sixteenths": _score(
        [(i * 2 / 3, 2 / 3, 72 - i) for i in range(6)] + [(4 + i / 6, 1 / 6, 60 + i) for i in range(12)], "4/4", "a"
    ),
    "quintuplets and septuplets": _score(
        [(i / 5, 1 / 5, 60 + i) for i in range(5)] + [(1 + i / 7, 1 / 7, 60 + i) for i in range(7)], "2/4", "B"
    ),
    "compound": _score([(0, 1.5, 50), (0, 0.5, 74), (0.5, 1, 76), (1.5, 2, 70), (3.5, 1, 69), (4.5, 1.5, 67)], "6/8"),
    "notes across tuplets": _score([(0, THIRD, 60), (THIRD, 2, 64), (2 + THIRD, 1.5, 67), (4.25, 3, 72)], "4/4", "Ab"),
    "wide chords": _score([(0, 4, 36), (0, 4, 55), (0, 4, 58), (0, 4, 64), (0, 4, 84), (2, 1, 90)], "4/4", "f#"),
    "voices in one hand": _score(
        [(0, 4, 76), (0, 1, 67), (1, 1, 69), (2, 2, 71), (0.5, 3, 48), (0, 4, 36), (4, 1, 60), (4, 2, 60)], "4/4"
    ),
    "grace notes": _score([(0, 2, 72), (2, 0, 73), (2, 0, 76), (2, 2, 74), (5, 0, 60), (5, 3, 62)], "4/4", "G"),
    "irregular meter": _score([(i * 0.5, 0.5, 60 + i % 7) for i in range(10)] + [(0, 2.5, 45)], "5/8", "c#"),
    "empty bars": _score([(9, 1, 60)], "4/4", "Gb"),
    "no notes": _score([], "3/8", "C#"),
}


@pytest.mark.parametrize("name", SCORES)
def test_written_notes_are_read_back(name: str, tmp_path: Path) -> None:
    score = assign_voices(SCORES[name], "piano")
    path = tmp_path / "score.musicxml"
    write_musicxml(score, path)
    _assert_bars_add_up(path.read_bytes(), score)
    back = read_musicxml(path)
    assert _played(back) == _played(score)
    assert (back.bars, back.meters, back.keys) == (score.bars, score.meters, score.keys)
    assert sorted((n.onset_div, n.pitch, n.step, n.staff) for n in back.notes) == sorted(
        (n.onset_div, n.pitch, n.step, n.staff) for n in score.notes
    )
    assert _by_music21(path) == _played(score)
    assert _by_partitura(path) == _played(score)


@pytest.mark.parametrize(
    ("name", "ensemble"), [("bach/bwv66.6", "satb"), ("bach/bwv269", "piano"), ("bach/bwv40.8", "quartet")]
)
def test_corpus_pieces_are_read_back(name: str, ensemble: str, tmp_path: Path) -> None:
    score = assign_voices(score_from_music21(corpus.parse(name)), ensemble)
    path = tmp_path / "score.mxl"
    write_musicxml(score, path)
    back = read_musicxml(path)
    assert _played(back) == _played(score)
    assert back.bars == score.bars
    assert [p.name for p in back.parts] == [p.name for p in score.parts]
    assert {(d.onset_div, d.part) for d in back.directions if d.kind == "fermata"} == {
        (d.onset_div, d.part) for d in score.directions if d.kind == "fermata"
    }
    _assert_bars_add_up(musicxml_bytes(score), score)
    assert _by_partitura(path) == _played(score)


_GRIDS = st.sampled_from([Q // 4, Q // 6])


@st.composite
def _random_scores(draw: st.DrawFn) -> Score:
    grid = draw(_GRIDS)
    meter = Meter.parse(draw(st.sampled_from(["2/4", "3/4", "4/4", "6/8", "9/8", "2/2", "5/4"])))
    bars = draw(st.integers(1, 4))
    pickup = draw(st.integers(0, 2)) * Q // 2 % meter.bar_div
    steps = (bars * meter.bar_div + pickup) // grid
    rows = draw(st.lists(st.tuples(st.integers(0, steps - 1), st.integers(1, 20), st.integers(28, 100)), max_size=30))
    unique = {(o, p): (o, min(d, steps - o), p) for o, d, p in rows}
    sounding: dict[int, int] = {}
    notes = []
    for onset, length, pitch in sorted(unique.values()):
        if sounding.get(pitch, 0) <= onset:  # a piano strikes a key again only after it was released
            notes.append(Note(f"n{len(notes)}", onset * grid, length * grid, pitch))
            sounding[pitch] = onset + length
    key = draw(st.sampled_from(["C", "Gb", "c#", "F#", "eb", "Ab", "a"]))
    return Score(
        (Part("P1", "Piano"),),
        sort_notes(notes),
        regular_bars(meter, bars, pickup),
        (MeterChange(0, meter),),
        (KeyChange(0, Key.parse(key)),),
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(score=_random_scores())
def test_random_scores_are_read_back(score: Score, tmp_path: Path) -> None:
    filled = assign_voices(score, "piano")
    path = tmp_path / "score.musicxml"
    write_musicxml(filled, path)
    _assert_bars_add_up(path.read_bytes(), filled)
    assert _played(read_musicxml(path)) == _played(score)


@settings(max_examples=200, deadline=None)
@given(
    bounds=st.lists(st.integers(1, 4 * 24 - 1), unique=True, max_size=12),
    unit=st.sampled_from([Q // 24, Q // 16, Q // 20, Q // 28, 1117]),
    meter=st.sampled_from(["4/4", "3/4", "6/8", "7/8"]),
)
def test_note_values_fill_their_spans(bounds: list[int], unit: int, meter: str) -> None:
    signature = Meter.parse(meter)
    cuts = [0, *sorted(b * unit for b in bounds if b * unit < signature.bar_div), signature.bar_div]
    spans = [(a, b, i % 3 == 0) for i, (a, b) in enumerate(pairwise(cuts))]
    for (start, end, _), pieces in zip(spans, bar_pieces(spans, signature.bar_div, signature), strict=True):
        assert [p.start for p in pieces] == [start, *(p.end for p in pieces[:-1])]
        assert pieces[-1].end == end
        for piece in pieces:
            actual, normal = piece.tuplet or (1, 1)
            if piece.type:
                assert VALUES[(piece.end - piece.start) * actual // normal] == (piece.type, piece.dots)
                assert (piece.end - piece.start) * actual % normal == 0
            else:
                assert unit in (1117, Q // 20, Q // 28) or piece.tuplet is None


def _plan() -> Plan:
    sections = (
        Section("A", 4, Key("G"), (Phrase(4, "a", "PAC"),), dynamic="mf"),
        Section("B", 4, Key("D"), (Phrase(4, "a", "HC"),), dynamic="p", tempo_scale=0.9),
    )
    return Plan("Rondo & Study", "classical", "piano", Key("G"), Meter(3, 4), 0, 96.0, sections)


def test_labels_tempo_dynamics_and_title_of_the_plan(tmp_path: Path) -> None:
    score = _score([(i, 1, 60 + i % 12) for i in range(24)], "3/4", "G")
    path = tmp_path / "score.musicxml"
    write_musicxml(score, path, plan=_plan())
    back = read_musicxml(path)
    assert back.title == "Rondo & Study"
    assert back.sections == (SectionMark(0, "A"), SectionMark(12 * Q, "B"))
    assert [(t.onset_div, round(t.qpm, 3)) for t in back.tempos] == [(0, 96.0), (12 * Q, 86.4)]
    assert [(d.onset_div, d.text) for d in back.directions if d.kind == "dynamic"] == [(0, "mf"), (12 * Q, "p")]


def test_signs_of_the_score(tmp_path: Path) -> None:
    signs = (
        Direction(0, "slur", "", 3 * Q, 0),
        Direction(0, "crescendo", "", 2 * Q, 0),
        Direction(Q, "articulation", "staccato", 0, 0),
        Direction(3 * Q, "fermata", "", 0, 0),
        Direction(5 * Q, "tempo", "rit.", 0, 0),
        Direction(6 * Q + Q // 2, "dynamic", "sfz", 0, 0),
    )
    score = _score(
        [(i, 1, 72 + i) for i in range(8)],
        directions=signs,
        part=Part("P1", "Violin", 40),
        tempos=(TempoChange(0, 100.5), TempoChange(6 * Q, 50.0)),
    )
    path = tmp_path / "score.musicxml"
    write_musicxml(score, path)
    back = read_musicxml(path)
    kept = {(d.onset_div, d.kind, d.text) for d in back.directions}
    assert kept == {(d.onset_div, d.kind, d.text) for d in signs}
    assert back.tempos == score.tempos
    assert back.parts == score.parts


def test_wide_chords_are_broken() -> None:
    score = assign_voices(_score([(0, 2, 36), (0, 2, 55), (0, 2, 67), (0, 2, 96), (2, 2, 60)]), "piano")
    root = ElementTree.fromstring(musicxml_bytes(score))
    broken = root.findall(".//arpeggiate")
    spans: dict[int, list[int]] = defaultdict(list)
    for note in score.notes:
        if note.onset_div == 0:
            spans[note.staff].append(note.pitch)
    wide = [s for s, pitches in spans.items() if max(pitches) - min(pitches) > 16]
    assert wide
    assert len(broken) == sum(len(spans[s]) for s in wide)


def test_what_a_hand_cannot_hold_is_held_by_the_pedal() -> None:
    notes = (
        Note("a", 0, 4 * Q, 36, 0, 2, 5, "C"),
        Note("b", Q, Q, 62, 0, 2, 6, "D"),
        Note("c", 0, Q, 84, 0, 1, 1, "C"),
    )
    score = _score([(0, 4, 60)])
    score = Score(score.parts, sort_notes(list(notes)), score.bars, score.meters)
    root = ElementTree.fromstring(musicxml_bytes(score))
    assert [p.get("type") for p in root.iter("pedal")] == ["start", "stop"]
    assert root.findall(".//arpeggiate") == []


def test_accidentals_follow_the_signature() -> None:
    rows: Rows = [(0, 1, 66), (1, 1, 65), (2, 1, 65), (3, 1, 66), (4, 1, 66), (5, 1, 60)]
    root = ElementTree.fromstring(musicxml_bytes(_score(rows, "4/4", "G", part=Part("P1", "Flute", 73))))
    signs = [n.findtext("accidental") for n in root.iter("note") if n.find("pitch") is not None]
    assert [(n.findtext("pitch/step"), n.findtext("pitch/alter")) for n in root.iter("note") if n.find("pitch")] != []
    letters = "".join(str(n.findtext("pitch/step")) for n in root.iter("note") if n.find("pitch") is not None)
    assert letters[0] == letters[3] == "F"
    assert signs[0] is None  # F sharp stands in the signature
    assert signs[4] is None
    assert signs[1] in ("natural", "sharp")  # F natural, or E sharp
    assert signs[2] is None
    assert signs[3] == ("sharp" if letters[1] == "F" else None)


def test_same_score_same_bytes(tmp_path: Path) -> None:
    score = SCORES["voices in one hand"]
    for name in ("a.musicxml", "a.mxl"):
        write_musicxml(score, tmp_path / name)
        first = (tmp_path / name).read_bytes()
        write_musicxml(score, tmp_path / name)
        assert (tmp_path / name).read_bytes() == first
    with zipfile.ZipFile(tmp_path / "a.mxl") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["META-INF/container.xml", "score.musicxml"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.musicxml", "a.mxl"]


def test_titles_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "score.musicxml"
    score = Score((Part("P1", "a<b>&\x00"),), (), regular_bars(Meter(4, 4), 1), (MeterChange(0, Meter(4, 4)),))
    write_musicxml(Score(score.parts, (), score.bars, score.meters, title='<"&\x0b\ud800 ♭'), path)
    assert read_musicxml(path).title == '<"& ♭'


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(MusicXmlError, match="cannot be written"):
        write_musicxml(SCORES["scale"], tmp_path / "missing" / "score.musicxml")
    assert list(tmp_path.iterdir()) == []


def test_files_without_hands_are_dealt_to_two_staves(tmp_path: Path) -> None:
    path = tmp_path / "score.musicxml"
    write_musicxml(SCORES["ties over barlines"], path)
    back = read_musicxml(path)
    assert {n.staff for n in back.notes} == {1, 2}
    assert np.mean([n.pitch for n in back.notes if n.staff == 1]) > 60
