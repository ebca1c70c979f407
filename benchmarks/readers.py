"""What is written can be read: pieces as MusicXML and MIDI, read back by our readers, music21 and partitura.

    python -m benchmarks.readers --composer markov [--count 20] [--cache DIR] [--out DIR]
    python -m benchmarks.readers --composer biaxial [--weights FILE]

Pieces of all forms, keys, meters and ensembles (`benchmarks.requests.wishes`). Of each: every reader finds the notes of
the score (onset, duration, pitch, part); every voice of every bar of the file adds up to the meter, each note lasting
what its type, dots and tuplet say; what one hand strikes at once spans at most 16 semitones unless arpeggio signs
break it. Prints a table and one JSON line; exits with 1 where anything failed.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # these files are our own

from benchmarks.requests import Asked, arguments, make_composer, wishes
from composer.interface import Composer
from music.midi import read_midi, write_score_midi
from music.musicxml import read_musicxml, write_musicxml
from music.note_values import VALUES
from music.score import Score
from music.time import DIVS_PER_QUARTER
from planner.grammar import GrammarPlanner
from planner.request import parse_request

HAND_SPAN = 16  # semitones: a tenth
MOST_BARS = 64
CHECKS = ("ours", "music21", "partitura", "midi", "bars", "hands")
Rows = list[tuple[int, int, int, int]]  # onset, duration, pitch, part


def rows_of(score: Score) -> Rows:
    """The notes of a score."""
    return sorted((n.onset_div, n.duration_div, n.pitch, n.part) for n in score.notes)


def by_music21(path: Path) -> Rows:
    """Notes as music21 sees them, its ties joined here: staves of one instrument are one part, graces last 0."""
    from music21 import converter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed: Any = converter.parse(path, forceSource=True)
    groups: dict[str, int] = {}
    found: list[list[int]] = []
    for part in parsed.parts:
        index = groups.setdefault(str(part.id).split("-Staff")[0], len(groups))
        open_ties: dict[tuple[int, int], list[list[int]]] = defaultdict(list)  # by pitch and end
        for item in part.flatten().notes:
            onset = round(Fraction(item.offset) * DIVS_PER_QUARTER)
            length = round(Fraction(item.duration.quarterLength) * DIVS_PER_QUARTER)
            for one in getattr(item, "notes", (item,)):
                tie = one.tie.type if one.tie is not None else ""
                before = open_ties[one.pitch.midi, onset] if tie in ("stop", "continue") else []
                if not before:
                    found.append([onset, 0, one.pitch.midi, index])
                row = before.pop(0) if before else found[-1]
                row[1] += length
                if tie in ("start", "continue"):
                    open_ties[one.pitch.midi, onset + length].append(row)
    return sorted((a, b, c, d) for a, b, c, d in found)


def by_partitura(path: Path) -> Rows:
    """Notes as partitura sees them."""
    import partitura

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = partitura.load_musicxml(str(path))
        found = []
        for index, part in enumerate(parsed.parts):
            for row in part.note_array(include_divs_per_quarter=True, include_grace_notes=True):
                unit = Fraction(DIVS_PER_QUARTER, int(row["divs_pq"]))
                length = 0 if row["is_grace"] else round(int(row["duration_div"]) * unit)
                found.append((round(int(row["onset_div"]) * unit), length, int(row["pitch"]), index))
    return sorted(found)


def bar_faults(data: bytes, score: Score) -> list[str]:
    """Voices of a MusicXML file that do not fill their bar exactly, and notes that do not last what they look like."""
    faults = []
    for part in ElementTree.fromstring(data).findall("part"):
        unit = Fraction(DIVS_PER_QUARTER, int(part.findtext("measure/attributes/divisions", "0")))
        measures = part.findall("measure")
        if len(measures) != len(score.bars):
            faults.append(f"part {part.get('id')} has {len(measures)} bars of {len(score.bars)}")
        for bar, measure in zip(score.bars, measures, strict=False):
            sums: dict[str, Fraction] = defaultdict(Fraction)
            position = Fraction(0)
            for element in measure:
                duration = int(element.findtext("duration", "0")) * unit
                if element.tag == "backup":
                    position -= duration
                elif element.tag == "note" and element.find("chord") is None and element.find("grace") is None:
                    sums[element.findtext("voice", "")] += duration
                    position += duration
                    faults += _value_faults(element, duration, bar.number)
            wrong = [voice for voice, total in sums.items() if total != bar.duration_div]
            if wrong or not sums or position != bar.duration_div:
                faults.append(f"bar {bar.number} of part {part.get('id')}: voices {wrong or 'none'} do not fill it")
    return faults


def _value_faults(note: ElementTree.Element, duration: Fraction, bar: int) -> list[str]:
    name = note.findtext("type")
    if name is None:
        return []
    value = next(Fraction(d) for d, v in VALUES.items() if v == (name, len(note.findall("dot"))))
    ratio = note.find("time-modification")
    if ratio is not None:
        value *= Fraction(int(ratio.findtext("normal-notes", "1")), int(ratio.findtext("actual-notes", "1")))
    return [] if value == duration else [f"bar {bar}: a {name} lasts {float(duration / DIVS_PER_QUARTER):g} quarters"]


def hand_faults(data: bytes) -> tuple[list[str], int]:
    """What a hand strikes at once over more than a tenth with no arpeggio sign, and how much of it has signs.

    A hand is a staff of a part with two staves; a note that is tied from before is not struck.
    """
    faults, signed = [], 0
    for part in ElementTree.fromstring(data).findall("part"):
        if part.findtext("measure/attributes/staves") != "2":
            continue
        for measure in part.findall("measure"):
            struck: dict[tuple[int, str], list[tuple[int, bool]]] = defaultdict(list)
            position = onset = 0
            for element in measure:
                duration = int(element.findtext("duration", "0"))
                if element.tag == "backup":
                    position -= duration
                elif element.tag == "forward":
                    position += duration
                elif element.tag == "note" and element.find("grace") is None:
                    if element.find("chord") is None:
                        onset, position = position, position + duration
                    ties = {tie.get("type") for tie in element.findall("tie")}
                    if element.find("pitch") is not None and "stop" not in ties:
                        sign = element.find("notations/arpeggiate") is not None
                        struck[onset, element.findtext("staff", "1")].append((_midi_pitch(element), sign))
            for (_, staff), notes in struck.items():
                span = max(pitch for pitch, _ in notes) - min(pitch for pitch, _ in notes)
                whole = all(sign for _, sign in notes)
                signed += span > HAND_SPAN and whole
                if span > HAND_SPAN and not whole:
                    faults.append(f"bar {measure.get('number')}, staff {staff}: {span} semitones at once")
    return faults, signed


def _midi_pitch(note: ElementTree.Element) -> int:
    step = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[note.findtext("pitch/step", "")]
    return 12 * (int(note.findtext("pitch/octave", "")) + 1) + step + int(note.findtext("pitch/alter", "0"))


def check_piece(score: Score, folder: Path) -> tuple[dict[str, list[str]], int]:
    """Writes a score and reads it back.

    Returns:
        The faults by check, none where all is well; and the number of chords that arpeggio signs break.
    """
    page, sound = folder / "score.musicxml", folder / "score.mid"
    write_musicxml(score, page)
    write_score_midi(score, sound)
    data = page.read_bytes()
    readers = {
        "ours": lambda: rows_of(read_musicxml(page)),
        "music21": lambda: by_music21(page),
        "partitura": lambda: by_partitura(page),
        "midi": lambda: rows_of(read_midi(sound)),
    }
    faults: dict[str, list[str]] = {}
    written = rows_of(score)
    for name, reader in readers.items():
        try:
            faults[name] = _difference(written, reader())
        except Exception as error:  # a reader that gives up is a fault of the file, whatever it raises
            faults[name] = [f"{type(error).__name__}: {error}"]
    faults["bars"] = bar_faults(data, score)
    faults["hands"], broken = hand_faults(data)
    return faults, broken


def _difference(written: Rows, read: Rows) -> list[str]:
    lost, added = Counter(written) - Counter(read), Counter(read) - Counter(written)
    if not lost and not added:
        return []
    examples = f"{sorted(lost)[:2]} became {sorted(added)[:2]}"
    return [f"{lost.total()} of {len(written)} notes lost, {added.total()} others found: {examples}"]


def compose(asked: Asked, composer: Composer, seed: int) -> Score:
    """The piece of a request."""
    return composer.compose(GrammarPlanner().plan(parse_request(**asked.words), seed=seed), seed=seed)


def main() -> None:
    """Writes, reads, prints."""
    parser = arguments(__doc__ or "", 20)
    parser.add_argument("--out", type=Path, help="folder to keep the files in")
    options = parser.parse_args()
    composer = make_composer(options.composer, options.weights, options.cache)
    passed, failures, notes, broken = Counter[str](), [], 0, 0
    started = time.perf_counter()
    print(f"{'piece':44s} {'notes':>6s} " + " ".join(f"{name:>9s}" for name in CHECKS) + "  arpeggios")
    with tempfile.TemporaryDirectory() as scratch:
        for seed, asked in enumerate(wishes(options.count, options.seed, MOST_BARS)):
            folder = (options.out or Path(scratch)) / f"{seed:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            score = compose(asked, composer, seed)
            faults, signed = check_piece(score, folder)
            name = f"{asked.kind} {asked.key} {asked.meter} {asked.bars} bars {asked.ensemble}"
            states = " ".join(f"{'FAILED' if faults[check] else 'ok':>9s}" for check in CHECKS)
            print(f"{name:44s} {len(score.notes):6d} {states}  {signed:9d}", flush=True)
            passed.update(check for check in CHECKS if not faults[check])
            failures += [f"{name}, {check}: {fault}" for check in CHECKS for fault in faults[check][:2]]
            notes, broken = notes + len(score.notes), broken + signed
    for failure in failures:
        print("FAILED", failure)
    figures = {"pieces": options.count, "notes": notes, "passed": {check: passed[check] for check in CHECKS}}
    figures |= {"arpeggios": broken, "composer": options.composer, "seconds": round(time.perf_counter() - started, 1)}
    print(json.dumps({"benchmark": "readers", **figures, "failures": len(failures)}))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
