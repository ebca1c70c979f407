"""Draws the splits once into `corpus_splits.json`: `python -m music.split_draw CACHE [OPENSCORE [PIANO_MIDI_DE]]`.

Chorales are grouped by melody: two are settings of the same chorale where a local alignment of their sopranos, moved
to any key, matches most of the shorter one. Among music21's chorales the alignment's score is two-humped (settings of
one melody above 0.68 of the shorter melody, others below 0.62), and the thresholds lie in the valley. A group with a
chorale of the listed test set is test. Of the other groups, and of the other sets' works, a seeded draw validates.

Not used at run time; kept so that the file can be made again and read as what it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from music.cache import ScoreCache, file_sha256, write_atomically
from music.corpus_sources import source_files, source_root
from music.corpus_worker import parse_into_cache
from music.score import Score
from music.splits import SPLITS_FILE, committed_splits
from music.time import DIVS_PER_QUARTER

SEED = 1685
VALID_SHARE, TEST_SHARE = 0.08, 0.06
# Matches less mismatches and gaps: of the shorter melody's notes, and at least so many (two phrases or so) …
SAME_SHARE, SAME_NOTES = 0.65, 16
# … or a smaller share of a long melody.
LONG_SHARE, LONG_NOTES = 0.59, 24
SAME_ENCODING = 0.9


def melody(score: Score) -> Int[ndarray, " notes"]:
    """Pitches of the soprano on the beats, repeated ones once: what settings in other metres have in common."""
    top = [n for n in score.notes if n.part == 0 and n.duration_div > 0 and n.onset_div % DIVS_PER_QUARTER == 0]
    pitches = [n.pitch for n in top]
    kept = [p for i, p in enumerate(pitches) if i == 0 or pitches[i - 1] != p]
    return np.array(kept, dtype=np.int64)


def alignment(a: Int[ndarray, " a"], b: Int[ndarray, " b"]) -> int:
    """Best local alignment of two melodies over all transpositions: match 1, mismatch or gap -1 (Smith-Waterman)."""
    shifts, places = np.arange(12)[:, None], np.arange(len(b) + 1)
    above = np.zeros((12, len(b) + 1), dtype=np.int64)
    best = 0
    for pitch in a:
        match = np.where((pitch - b[None, :] - shifts) % 12 == 0, 1, -1)
        row = np.maximum(above - 1, 0)
        row[:, 1:] = np.maximum(row[:, 1:], above[:, :-1] + match)
        # A gap along the row costs 1 a place: a running maximum of (value + place).
        above = np.maximum.accumulate(row + places, axis=1) - places
        best = max(best, int(above.max()))
    return best


def same_melody(a: Int[ndarray, " a"], b: Int[ndarray, " b"]) -> bool:
    """Whether two sopranos sing the same chorale melody."""
    shorter = min(len(a), len(b))
    score = alignment(a, b) if shorter else 0
    return (score >= SAME_NOTES and score >= SAME_SHARE * shorter) or (
        score >= LONG_NOTES and score >= LONG_SHARE * shorter
    )


def same_music(a: Score, b: Score) -> bool:
    """Whether two files encode the same setting in whatever key: nearly all notes of all voices agree."""
    content = []
    for score in (a, b):
        low = score.notes[0].pitch
        first = score.notes[0].onset_div
        content.append({((n.onset_div - first), n.pitch - low) for n in score.notes})
    return len(content[0] & content[1]) >= SAME_ENCODING * max(len(content[0]), len(content[1]))


def groups(names: list[str], scores: list[Score]) -> list[list[str]]:
    """Names grouped by melody (transitively), each group and the list in order of names."""
    melodies = [melody(score) for score in scores]
    leader = list(range(len(names)))
    for i in range(len(names)):
        for j in range(i):
            if leader[i] != leader[j] and same_melody(melodies[i], melodies[j]):
                old, new = leader[i], leader[j]
                leader = [new if place == old else place for place in leader]
    found: dict[int, list[str]] = {}
    for name, place in zip(names, leader, strict=True):
        found.setdefault(place, []).append(name)
    return sorted(sorted(members) for members in found.values())


def draw(sizes: dict[str, int], share: float, rng: np.random.Generator) -> list[str]:
    """Works drawn until together they hold at least this share of the pieces."""
    names = sorted(sizes)
    drawn: list[str] = []
    for i in rng.permutation(len(names)):
        if sum(sizes[name] for name in drawn) >= share * sum(sizes.values()):
            break
        drawn.append(names[i])
    return sorted(drawn)


def _chorale_scores(cache_dir: Path) -> tuple[list[str], list[Score]]:
    cache = ScoreCache(cache_dir / "scores")
    names, scores = [], []
    for source in source_files("music21_chorales", source_root("music21_chorales", None, cache_dir)):
        sha = file_sha256(source.path)
        if cache.peek(sha, source.reading) is None:
            parse_into_cache(cache, source.path, sha, source.reading)
        if found := cache.get(sha, source.reading):
            names.append(source.path.stem)
            scores.append(found[0])
    return names, scores


def draw_chorales(listed: list[str], names: list[str], scores: list[Score], rng: np.random.Generator) -> dict[str, Any]:
    """The file's part on chorales: works with their split and members, and second encodings of the same music."""
    by_name = dict(zip(names, scores, strict=True))
    works = groups(names, scores)
    free = {members[0]: len(members) for members in works if not set(members) & set(listed)}
    valid = draw(free, VALID_SHARE * len(names) / sum(free.values()), rng)
    twins: dict[str, str] = {}
    for members in works:
        # A listed name, then the shortest, stands for the music.
        order = sorted(members, key=lambda m: (m not in listed, len(m), m))
        for i, name in enumerate(order):
            first = next((o for o in order[:i] if o not in twins and same_music(by_name[o], by_name[name])), None)
            if first is not None:
                twins[name] = first
    entries = []
    for members in works:
        work = members[0]
        split = "valid" if work in valid else "train" if work in free else "test"
        entries.append({"work": work, "split": split, "members": " ".join(members)})
    return {"test_listed": listed, "works": entries, "same_encoding": dict(sorted(twins.items()))}


def _sizes(files: Iterable[tuple[str, str]], kept_out: list[str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for work, split in files:
        if split != "test" and work not in kept_out:
            sizes[work] = sizes.get(work, 0) + 1
    return sizes


def main(arguments: list[str]) -> None:
    """Draws anew and rewrites `corpus_splits.json`; sets whose folder is not given keep their draw."""
    splits = json.loads(json.dumps(committed_splits()))
    cache_dir = Path(arguments[0])
    splits["seed"] = SEED
    names, scores = _chorale_scores(cache_dir)
    rng = np.random.default_rng(SEED)
    splits["chorales"] = draw_chorales(splits["chorales"]["test_listed"], names, scores, rng)

    quartets = splits["quartets"]
    root = source_root("music21_quartets", None, cache_dir)
    sizes = _sizes([(s.work, s.split) for s in source_files("music21_quartets", root)], [])
    rng = np.random.default_rng(SEED + 1)
    # Works in one file count as a movement here, so only works in several files are drawn.
    several = {work: size for work, size in sizes.items() if size > 1}
    drawn = {"valid": draw(several, VALID_SHARE, rng)}
    drawn["test"] = draw({w: n for w, n in several.items() if w not in drawn["valid"]}, TEST_SHARE, rng)
    if len(arguments) > 1:
        files = source_files("openscore_quartets", Path(arguments[1]))
        others = {s.work for s in files if s.style.removesuffix("_quartet") not in quartets["test_composers"]}
        pool = dict.fromkeys(sorted(others - set(sizes)), 1)
        more = draw(pool, VALID_SHARE, rng)
        drawn["valid"] = sorted(drawn["valid"] + more)
        rest = {work: 1 for work in pool if work not in more}
        drawn["test"] = sorted(drawn["test"] + draw(rest, TEST_SHARE, rng))
    quartets |= drawn

    if len(arguments) > 2:
        piano, rng = splits["piano"], np.random.default_rng(SEED + 2)
        held = piano["test_listed"]
        sizes = {}
        for source in source_files("piano_midi_de", Path(arguments[2])):
            if source.work not in held:
                sizes[source.work] = sizes.get(source.work, 0) + 1
        piano["valid"] = draw(sizes, VALID_SHARE, rng)
        rest = {work: size for work, size in sizes.items() if work not in piano["valid"]}
        piano["test"] = sorted(held + draw(rest, TEST_SHARE, rng))
    text = json.dumps(splits, indent=1, ensure_ascii=False) + "\n"
    write_atomically(SPLITS_FILE, text.encode())
    sys.stdout.write(f"{SPLITS_FILE}: {len(splits['chorales']['works'])} chorale works\n")


if __name__ == "__main__":
    main(sys.argv[1:])
