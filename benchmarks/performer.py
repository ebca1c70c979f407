"""The rule performer beside pianists: how its loudness, tempo and note lengths go with theirs.

    OMP_NUM_THREADS=1 python benchmarks/performer.py FOLDER_OF_MATCH_FILES [COUNT]

Reads score-to-performance alignments (.match, such as those of (n)ASAP: Foscarin et al. 2020, Peter et al. 2023), one
performance a piece. The performer is given the bare notes and bars, no marks: what it knows is what it says by rules. A
deadpan performance correlates with nothing, so 0 is the floor. Figures are means over performances of correlations
within each: velocity by note, log tempo by bar, log of sounding over written length by note.
"""

from __future__ import annotations

import random
import sys
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from music.score import Bar, MeterChange, Note, Part, Score, sort_notes  # noqa: E402
from music.time import DIVS_PER_QUARTER, Meter  # noqa: E402
from performer.rules import RulePerformer  # noqa: E402

LARGEST_FILE = 400_000
Played = dict[str, tuple[float, float, int]]  # onset, end in seconds and velocity by note id


def read(path: Path) -> tuple[Score, Played]:
    """The bare score of an alignment, and what the pianist made of its notes."""
    import partitura

    performance, alignment, score = partitura.load_match(path, create_score=True)
    part = score.parts[0]
    rows = part.note_array(include_grace_notes=True, include_staff=True)
    unit = DIVS_PER_QUARTER / int(part.quarter_duration_map(0))
    notes = [
        Note(
            str(row["id"]),
            round(int(row["onset_div"]) * unit),
            0 if row["is_grace"] else round(int(row["duration_div"]) * unit),
            int(row["pitch"]),
            staff=int(row["staff"]) if row["staff"] in (1, 2) else 0,
        )
        for row in rows
    ]
    measures = part.iter_all(partitura.score.Measure)
    ends = sorted({round(m.end.t * unit) for m in measures} | {max(n.end_div for n in notes)})
    bars = tuple(Bar(a, b - a, i + 1) for i, (a, b) in enumerate(zip([0, *ends], ends, strict=False)))
    signatures = part.iter_all(partitura.score.TimeSignature)
    meters = tuple(
        MeterChange(round(t.start.t * unit) if i else 0, Meter(t.beats, t.beat_type)) for i, t in enumerate(signatures)
    )
    played = {n["id"]: (n["note_on"], n["note_off"], n["velocity"]) for n in performance.performedparts[0].notes}
    matches = {a["score_id"]: a["performance_id"] for a in alignment if a["label"] == "match"}
    found = {str(note): played[key] for note, key in matches.items() if key in played}
    return Score((Part("P1"),), sort_notes(notes), bars, meters), found


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; 0 where either does not vary."""
    return float(np.corrcoef(a, b)[0, 1]) if np.std(a) > 0 and np.std(b) > 0 else 0.0


def bar_tempo(onsets: np.ndarray, bars: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Log of seconds a division between the first notes of successive bars."""
    first = np.unique(bars, return_index=True)[1]
    return np.log(np.maximum(np.diff(seconds[first]), 0.05) / np.diff(onsets[first]))


def compare(score: Score, human: Played) -> dict[str, float]:
    """Correlations and spreads of one performance."""
    rules = {n.note_id: n for n in RulePerformer().perform(score, seed=0).notes}
    notes = [n for n in score.notes if n.id in human and n.duration_div]
    onsets = np.array([n.onset_div for n in notes])
    lengths = np.array([n.duration_div for n in notes])
    bars = np.searchsorted([b.onset_div for b in score.bars], onsets, side="right")
    theirs = np.array([human[n.id] for n in notes])
    ours = np.array([(r.onset_sec, r.onset_sec + r.duration_sec, r.velocity) for r in (rules[n.id] for n in notes)])
    tempi = [bar_tempo(onsets, bars, played[:, 0]) for played in (theirs, ours)]
    kept = np.abs(tempi[0] - np.median(tempi[0])) < 1  # what is further off is an error of alignment
    held = [np.log(np.maximum(played[:, 1] - played[:, 0], 0.02) / lengths) for played in (theirs, ours)]
    return {
        "velocity r": correlation(theirs[:, 2], ours[:, 2]),
        "tempo r": correlation(tempi[0][kept], tempi[1][kept]),
        "length r": correlation(*held),
        "velocity sd, pianist": float(theirs[:, 2].std()),
        "velocity sd, rules": float(ours[:, 2].std()),
        "log tempo sd, pianist": float(tempi[0][kept].std()),
        "log tempo sd, rules": float(tempi[1][kept].std()),
    }


def main() -> None:
    """Compares one performance each of so many pieces, drawn with a fixed seed."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    warnings.filterwarnings("ignore")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    chance = random.Random(3)
    pieces: dict[Path, list[Path]] = {}
    for path in sorted(Path(sys.argv[1]).rglob("*.match")):
        if path.stat().st_size <= LARGEST_FILE:
            pieces.setdefault(path.parent, []).append(path)
    drawn = chance.sample(sorted(pieces), min(count, len(pieces)))
    results = [compare(*read(chance.choice(pieces[piece]))) for piece in drawn]
    print(f"{len(results)} performances")
    for name in results[0]:
        values = [r[name] for r in results]
        print(f"{name:24s} mean {np.mean(values):6.3f}   from {min(values):6.3f} to {max(values):6.3f}")


if __name__ == "__main__":
    main()
