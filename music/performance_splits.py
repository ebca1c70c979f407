"""Which piano pieces the performer trains on, validates on and is tested on: read from `performance_splits.json`.

The list was drawn by `draw` before any training, from the paths of (n)ASAP's match files and from nothing else. A split
goes by work: all movements of a sonata, a prelude with its fugue, all pieces of a cycle, editions with and without
repeats. What www.piano-midi.de has of the same works stands on the same side. A test composition is one of a test work
that two pianists or more have played.

`python -m music.performance_splits DIR` draws anew from a folder of match files and writes the list.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from music.splits import piano_work

PERFORMANCE_SPLITS_FILE = Path(__file__).with_name("performance_splits.json")
SALT = "ritornello performer"
TEST_SHARE, VALID_SHARE = 0.2, 0.1  # of a composer's works with two pianists or more
TWO_PIANISTS = 2
HELD_OUT = "held_out"
# Kept from all training, whatever edition or copy a user has: they are for tests of other kinds.
_HELD_OUT = (
    r"Haydn/.*",
    r"Mozart/Piano_Sonatas/8\b.*",
    r"Mozart/Fantasie_475\b.*",
    r"Chopin/Etudes_op_10/3",
    r"Chopin/Ballades/2",
    r"Schubert/.*783.*",
)
# The same works in piano-midi.de, by the beginning of its file names, and in (n)ASAP.
SHARED_WORKS = {
    "bach_846": "Bach/bwv_846",
    "islamei": "Balakirev/Islamey",
    "beethoven_opus10_": "Beethoven/Piano_Sonatas/5",
    "pathetique": "Beethoven/Piano_Sonatas/8",
    "beethoven_opus22_": "Beethoven/Piano_Sonatas/11",
    "waldstein": "Beethoven/Piano_Sonatas/21",
    "beethoven_les_adieux_": "Beethoven/Piano_Sonatas/26",
    "beethoven_opus90_": "Beethoven/Piano_Sonatas/27",
    "beethoven_hammerklavier_": "Beethoven/Piano_Sonatas/29",
    "chpn_op10_e05": "Chopin/Etudes_op_10/5",
    "chpn_op10_e12": "Chopin/Etudes_op_10/12",
    "chpn_op10_e01": "Chopin/Etudes_op_10/1",
    "chpn_op23": "Chopin/Ballades/1",
    "chpn_op25_e1": "Chopin/Etudes_op_25/1",
    "chpn_op25_e2": "Chopin/Etudes_op_25/2",
    "chpn_op25_e4": "Chopin/Etudes_op_25/4",
    "chpn_op25_e11": "Chopin/Etudes_op_25/11",
    "chpn_op25_e12": "Chopin/Etudes_op_25/12",
    "chp_op31": "Chopin/Scherzos/31",
    "chpn_op35_": "Chopin/Sonata_2",
    "god_chpn_op10_e01": "Chopin/Etudes_op_10/1",  # Godowsky's arrangement of it
    "liz_et3": "Liszt/Gran_Etudes_de_Paganini/2_La_campanella",  # the third of the set, whatever that folder says
    "liz_et6": "Liszt/Gran_Etudes_de_Paganini/6_Theme_and_Variations",
    "liz_et_trans5": "Liszt/Transcendental_Etudes/5",
    "mz_331": "Mozart/Piano_Sonatas/11",
    "mz_332": "Mozart/Piano_Sonatas/12",
    "schuim-1": "Schubert/Impromptu_op.90_D.899/1",
    "schuim-3": "Schubert/Impromptu_op.90_D.899/3",
    "schubert_d935_1": "Schubert/Impromptu_op142/1",
    "schumm-1": "Schubert/Moment_Musical_no_1",
    "schumm-3": "Schubert/Moment_musical_no_3",
    "scn16_": "Schumann/Kreisleriana",
}


@cache
def committed_performance_splits() -> dict[str, Any]:
    """The content of `performance_splits.json`."""
    return json.loads(PERFORMANCE_SPLITS_FILE.read_text(encoding="utf-8"))


def composition(relative_path: str) -> str:
    """The piece or movement that a match file performs, whatever its edition.

    "Beethoven/Piano_Sonatas/17-1_no_repeat/Ko05M.match" -> "Beethoven/Piano_Sonatas/17-1".
    """
    folder = PurePosixPath(relative_path.replace("\\", "/")).parent
    return re.sub(r"_(?:no_(?:\w+_)?(?:repeat|trio)|repeat)$", "", str(folder))


def pianist(relative_path: str) -> str:
    """Who plays, by the file's name without number and the mark of a second source: "Ko05M.match" -> "ko"."""
    return re.sub(r"[\d_]+M?$", "", PurePosixPath(relative_path).stem).lower()


def performed_work(piece: str) -> str:
    """The work that a composition belongs to; movements, and Bach's preludes with their fugues, stand together."""
    bach = re.fullmatch(r"Bach/(?:Prelude|Fugue)/(bwv_\d+)", piece)
    if bach:
        return f"Bach/{bach[1]}"
    if re.search(r"/Piano_Sonatas/[^/]+$", piece):
        return re.sub(r"-\d+$", "", piece)
    return re.sub(r"/[^/]+$", "", piece) if re.search(r"/(?:Sonata_\d+|Kreisleriana)/", piece) else piece


def performance_split(relative_path: str) -> str:
    """The split of a match file by its path within (n)ASAP: "train", "valid", "test" or "held_out".

    A work that is not listed is held out: no one has compared it with the test works.
    """
    piece = composition(relative_path)
    if any(re.fullmatch(rule, piece) for rule in _HELD_OUT):
        return HELD_OUT
    work = performed_work(piece)
    return next((s for s in ("train", "valid", "test") if work in committed_performance_splits()["works"][s]), HELD_OUT)


def shared_work(stem: str) -> str | None:
    """The work of (n)ASAP that a file of www.piano-midi.de holds, by its name such as "waldstein_1", or None."""
    name = re.sub(r"(?:_format[01]|\s*\(\d+\)|[\s_]*copy)$", "", stem.lower())
    for prefix in sorted(SHARED_WORKS, key=len, reverse=True):
        if re.match(re.escape(prefix) + r"(?![0-9])" if prefix[-1].isdigit() else re.escape(prefix), name):
            return SHARED_WORKS[prefix]
    return None


def piano_midi_performance_split(stem: str) -> str:
    """The split of a file of www.piano-midi.de for the performer; that of the same work in (n)ASAP where it has it."""
    work = shared_work(stem)
    if work is None:
        return piano_work(stem)[2]
    return next((s for s in ("train", "valid", "test") if work in committed_performance_splits()["works"][s]), HELD_OUT)


def _order(work: str) -> str:
    return hashlib.sha256(f"{SALT} {work}".encode()).hexdigest()


def _must_test(work: str) -> bool:
    """Whether the composer is tested on it already: then no one learns from it."""
    return any(work == shared and piano_work(_example(prefix))[2] == "test" for prefix, shared in SHARED_WORKS.items())


def _example(prefix: str) -> str:
    return f"{prefix}1" if prefix.endswith("_") else prefix


def draw(paths: Iterable[str]) -> dict[str, Any]:
    """The list for match files of these paths; order and repetition of paths do not matter.

    Of each composer the works that two pianists or more have played are put in the order of their hashes: the first
    fifth (one at least where there are two) is for testing, the next tenth (one at least where there are five) for
    validation. Works by which the composer is tested are for testing in any case, and count.
    """
    pianists: dict[str, set[str]] = {}
    for path in sorted(paths):
        piece = composition(path)
        if not any(re.fullmatch(rule, piece) for rule in _HELD_OUT):
            pianists.setdefault(piece, set()).add(pianist(path))
    works = sorted({performed_work(piece) for piece in pianists})
    rich = {performed_work(piece) for piece, players in pianists.items() if len(players) >= TWO_PIANISTS}
    splits: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for composer in sorted({work.split("/")[0] for work in works}):
        own = [work for work in works if work.split("/")[0] == composer]
        forced = [work for work in own if _must_test(work)]
        ranked = sorted((work for work in own if work in rich and work not in forced), key=_order)
        count = len(ranked) + len(forced)
        wanted = max(1, round(TEST_SHARE * count)) if count >= 2 else 0
        cut = max(0, wanted - len(forced))
        second = cut + (max(1, round(VALID_SHARE * count)) if count >= 5 else 0)
        splits["test"] += forced + ranked[:cut]
        splits["valid"] += ranked[cut:second]
        splits["train"] += [work for work in own if work not in (*forced, *ranked[:second])]
    tests = [
        piece
        for piece, players in sorted(pianists.items())
        if performed_work(piece) in splits["test"] and len(players) >= TWO_PIANISTS
    ]
    return {
        "about": "What the performer trains, validates and is tested on; drawn by music/performance_splits.py.",
        "works": {name: sorted(members) for name, members in splits.items()},
        "test_compositions": tests,
    }


def main(arguments: list[str]) -> None:
    """Draws anew from the match files under the folder named and rewrites the list."""
    from music.cache import write_atomically

    root = Path(arguments[0])
    paths = [path.relative_to(root).as_posix() for path in root.rglob("*.match")]
    text = json.dumps(draw(paths), indent=1, ensure_ascii=False) + "\n"
    write_atomically(PERFORMANCE_SPLITS_FILE, text.encode())
    sys.stdout.write(f"{PERFORMANCE_SPLITS_FILE}: {len(paths)} match files\n")


if __name__ == "__main__":
    main(sys.argv[1:])
