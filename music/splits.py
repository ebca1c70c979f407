"""Which works train, validate and test: read from the committed `corpus_splits.json`, never drawn at run time.

A split goes by work: all movements of an opus number, all of Bach's settings of a chorale melody and all editions
stand on one side. For a folder of the user's own there is no list, so the hash of the work's name decides.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

SPLITS_FILE = Path(__file__).with_name("corpus_splits.json")
SPLITS = ("train", "valid", "test")
# Of a hundred works in a folder of the user's own.
FOLDER_VALID, FOLDER_TEST = 8, 8
_MOVEMENT = r"(?:mov(?:ement)?|mvmt|mvt|satz)[\s._-]*\d+(?:[\s._-]\w+)?$"
_COPY = r"(?:\(\d+\)|copy|_format[01])$"


@cache
def committed_splits() -> dict[str, Any]:
    """The content of `corpus_splits.json`."""
    return json.loads(SPLITS_FILE.read_text(encoding="utf-8"))


@cache
def splits_sha256() -> str:
    """Hash of the committed file, part of every manifest's hash."""
    return hashlib.sha256(SPLITS_FILE.read_bytes()).hexdigest()


@cache
def _chorales() -> dict[str, tuple[str, str]]:
    return {
        member: (entry["work"], entry["split"])
        for entry in committed_splits()["chorales"]["works"]
        for member in entry["members"].split()
    }


def chorale_work(name: str) -> tuple[str, str]:
    """(work, split) of a chorale by its BWV name such as "bwv10.7"; a name that is not listed is its own work, test.

    A chorale that no one has compared with the test chorales must not be trained on.
    """
    return _chorales().get(name, (name, "test"))


def same_encoding(name: str) -> str | None:
    """The chorale of which this file is a second encoding, or None."""
    return committed_splits()["chorales"]["same_encoding"].get(name)


def slug(text: str) -> str:
    """Lower-case ASCII letters and digits joined by underscores: "Dvořák, A." -> "dvorak_a"."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "_".join(re.findall(r"[a-z0-9]+", plain))


def catalogue_number(title: str) -> str:
    """The opus of a title or folder name, such as "op18no1", "k155", "d810"; "" where none is found.

    Köchel's two numberings may run together where a slash was lost: "K.155134a" is K. 155 (134a).
    """
    opus = re.search(r"op(?:us)?[\s._]*(?:posth[\s._]*)?(\d+)[\s.,_]*(?:no[\s._]*(\d+))?", title.lower())
    koechel = re.search(r"\bk\.?[\s_]*(\d+?)(?:[1-9]\d{1,2}[a-z])?(?![0-9a-z])", title.lower().replace("_", " "))
    deutsch = re.search(r"\bd\.?\s*(\d+)\b", title.lower().replace("_", " "))
    if koechel:
        return f"k{koechel[1]}"
    if deutsch:
        return f"d{deutsch[1]}"
    if opus:
        return f"op{opus[1]}" + (f"no{opus[2]}" if opus[2] else "")
    return ""


def quartet_work(composer: str, title: str) -> tuple[str, str]:
    """(work, split) of a string quartet by its composer's family name and its title or folder name."""
    family = slug(composer)
    work = f"{family}_{catalogue_number(title) or slug(title)}"
    listed = committed_splits()["quartets"]
    if family in listed["test_composers"] or work in listed["test"]:
        return work, "test"
    return work, "valid" if work in listed["valid"] else "train"


def piano_work(stem: str) -> tuple[str, str, str]:
    """(composer, work, split) of a file of www.piano-midi.de by its name, such as "mz_331_1"."""
    listed = committed_splits()["piano"]
    name = re.sub(_COPY, "", stem.lower())
    prefix = max((p for p in listed["composers"] if name.startswith(p)), key=len, default="")
    composer = listed["composers"].get(prefix, "unknown")
    alone = f"{composer}_{slug(name)}"
    if alone in listed["test_listed"]:  # a single piece of an opus whose others may be trained on
        return composer, alone, "test"
    whole = max((p for p in listed["one_work"] if name.startswith(p)), key=len, default="")
    tail = whole.rstrip("_-") if whole else re.sub(r"[_-][a-z]?\d+$", "", name)
    work = f"{composer}_{slug(tail)}"
    if work in listed["test"]:
        return composer, work, "test"
    return composer, work, "valid" if work in listed["valid"] else "train"


def folder_work(relative_path: str) -> str:
    """The work that a file of the user's folder belongs to: its name without movement and copy marks.

    A file that has nothing but a movement mark for a name takes its folder's name.
    """
    path = PurePosixPath(relative_path.replace("\\", "/").casefold())
    name = re.sub(_COPY, "", path.stem).strip(" ._-")
    name = re.sub(_MOVEMENT, "", name).strip(" ._-")
    return slug(name) or slug(path.parent.name) or hashlib.sha256(str(path).encode()).hexdigest()[:12]


def split_by_hash(work: str) -> str:
    """Train, valid or test by the hash of a work's name: 8 works of a hundred validate, 8 test."""
    place = int.from_bytes(hashlib.sha256(f"ritornello split: {work}".encode()).digest()[:8], "big") % 100
    if place < FOLDER_VALID:
        return "valid"
    return "test" if place < FOLDER_VALID + FOLDER_TEST else "train"
