"""Scores beside what people say of them: Roman-numeral analyses (RomanText) laid over the divisions of a `Score`.

Two sources: the analyses that music21 carries (20 chorales, 49 madrigals) and a folder of When in Rome
(github.com/MarkGotham/When-in-Rome), whose `remote.json` names the score in music21. Repeats are not written out here,
because the analyses count written bars.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import music21
import numpy as np

from music.analysis.arrays import note_arrays, pitch_class_weights
from music.analysis.bars import metric_shifts, whole_bars
from music.harmony import CHORD_INTERVALS
from music.musicxml import score_from_music21
from music.score import Score
from music.time import DIVS_PER_QUARTER

LEAST_AGREEMENT = 0.75  # share of the sound that lies in the analysis' chords; below it the two do not belong together
_QUALITY_OF = {frozenset(intervals): quality for quality, intervals in CHORD_INTERVALS.items()}
_CORPUS = Path(music21.__file__).parent / "corpus"


@dataclass(frozen=True)
class Label:
    """What an analyst wrote over a stretch.

    Args:
        onset_div, end_div: the stretch.
        root, bass: pitch classes.
        quality: one of `music.harmony.QUALITIES`, or None for what is none of them.
        key: tonic's pitch class, plus 12 in minor.
    """

    onset_div: int
    end_div: int
    root: int
    quality: str | None
    bass: int
    key: int

    def moved(self, semitones: int) -> Label:
        """The label that many semitones higher."""
        key = (self.key + semitones) % 12 + 12 * (self.key >= 12)
        root, bass = (self.root + semitones) % 12, (self.bass + semitones) % 12
        return Label(self.onset_div, self.end_div, root, self.quality, bass, key)


@dataclass(frozen=True)
class Analysed:
    """A score with its labels; `half` is "tune" or "test" (by hash of the work's name)."""

    name: str
    half: str
    score: Score
    labels: tuple[Label, ...]


def half_of(name: str) -> str:
    """The half of the data that a work belongs to."""
    return "tune" if int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 else "test"


def written_score(name: str) -> Score:
    """A piece of music21's corpus with its repeats as they stand."""
    parsed = music21.corpus.parse(name)
    for measure in parsed.recurse().getElementsByClass("Measure"):
        measure.leftBarline = measure.rightBarline = None
    for owner in (parsed, *parsed.getElementsByClass("Part")):
        for bracket in list(owner.getElementsByClass("RepeatBracket")):
            owner.remove(bracket)
    return score_from_music21(parsed)


def _chord(root: int, pcs: tuple[int, ...]) -> tuple[int, str | None]:
    quality = _QUALITY_OF.get(frozenset((p - root) % 12 for p in pcs))
    if quality is not None:
        return root, quality
    for other in pcs:  # augmented sixths sound as a seventh chord on another root
        quality = _QUALITY_OF.get(frozenset((p - other) % 12 for p in pcs))
        if quality is not None and quality not in ("aug", "dim7"):
            return other, quality
    return root, None


def read_labels(path: Path, score: Score) -> tuple[Label, ...]:
    """The labels of a RomanText file over a score's divisions; bars are joined by number and place in the meter."""
    starts: dict[int, int] = {}
    shifts = metric_shifts(score)
    for bar in whole_bars(score):
        starts.setdefault(score.bars[bar.first].number, bar.onset_div - shifts[bar.first])
    rows: list[tuple[int, int, str | None, int, int]] = []
    parsed = music21.converter.parse(path, format="romanText")
    for measure in parsed.recurse().getElementsByClass("Measure"):
        if measure.number not in starts:
            continue
        for numeral in measure.getElementsByClass("RomanNumeral"):
            onset = starts[measure.number] + round((numeral.offset + measure.paddingLeft) * DIVS_PER_QUARTER)
            root, quality = _chord(numeral.root().pitchClass, tuple(p.pitchClass for p in numeral.pitches))
            key = numeral.key.tonic.pitchClass + 12 * (numeral.key.mode == "minor")
            rows.append((max(onset, 0), root, quality, numeral.bass().pitchClass, key))
    rows.sort(key=lambda row: row[0])
    ends = [row[0] for row in rows[1:]] + [score.end_div]
    return tuple(Label(row[0], end, *row[1:]) for row, end in zip(rows, ends, strict=True) if end > row[0])


def agreement(score: Score, labels: tuple[Label, ...]) -> tuple[float, int]:
    """Share of the sound inside the labelled chords, and the transposition of the labels that makes it largest."""
    edges = np.array([*(label.onset_div for label in labels), labels[-1].end_div])
    sound = pitch_class_weights(note_arrays(score), edges)
    inside = np.zeros(12)
    for row, label in zip(sound, labels, strict=True):
        for interval in CHORD_INTERVALS[label.quality] if label.quality else ():
            inside += np.roll(row, -(label.root + interval))
    best = int(inside.argmax())
    return float(inside[best] / max(sound.sum(), 1e-9)), best


def load_pair(pair: tuple[str, Path]) -> Analysed | str:
    """A work and its analysis, or why they cannot be joined."""
    name, path = pair
    try:
        score = written_score(name)
        labels = read_labels(path, score)
    except Exception as error:  # music21 raises many kinds; a piece that it cannot read is counted and left out
        return f"not readable ({type(error).__name__})"
    if not labels or abs(score.end_div - labels[-1].end_div) > 0:
        return "bars do not match"
    share, shift = agreement(score, labels)
    if share < LEAST_AGREEMENT:
        return "score and analysis differ"
    return Analysed(name, half_of(name), score, tuple(label.moved(shift) for label in labels))


def when_in_rome_chorales(folder: Path) -> dict[str, Path]:
    """Analyses of Bach chorales in a folder of When in Rome, by music21's name of the score."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("**/Early_Choral/Bach*/**/analysis.txt")):
        remote = path.parent / "remote.json"
        names = json.loads(remote.read_text(encoding="utf-8")).get("music21", []) if remote.exists() else []
        if names:
            found.setdefault("bach/" + re.sub(r"\.(mxl|xml)$", "", names[0]), path)
    return found


def music21_chorales() -> dict[str, Path]:
    """The chorale analyses that music21 carries."""
    found: dict[str, Path] = {}
    for path in sorted((_CORPUS / "bach" / "choraleAnalyses").glob("*.rntxt")):
        number = re.search(r"^BWV:\s*([\w.-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if number is not None:
            found.setdefault(f"bach/bwv{number[1]}", path)
    return found


def music21_madrigals() -> dict[str, Path]:
    """Monteverdi's madrigals with the analyses that music21 carries: another style, on which nothing was tuned."""
    folder = _CORPUS / "monteverdi"
    return {f"monteverdi/{p.stem}": p for p in sorted(folder.glob("*.rntxt")) if p.with_suffix(".mxl").exists()}


def load_all(pairs: dict[str, Path], workers: int) -> Iterator[Analysed | str]:
    """Loads works on several cores, in order."""
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(load_pair, pairs.items(), chunksize=4)
