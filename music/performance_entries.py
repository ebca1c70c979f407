"""What is known of each kept performance without reading it, and the list of them that a prepared set leaves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from music.performance_splits import PERFORMANCE_SPLITS_FILE
from music.splits import splits_sha256


@dataclass(frozen=True)
class PerformanceEntry:
    """A kept performance.

    Args:
        id: unique in its manifest: data set and path.
        path: within the data set's folder, with slashes.
        sha256: of the source file; of all of them where a pair is made of several.
        split: "train", "valid", "test" or "held_out".
        composition: the piece or movement, whatever the edition; the same for all pianists.
        composer: surname in lower case; "" in a folder of the user's own.
        style: a style tag as plans and the corpus have it, such as "chopin_piano".
        pianist: who plays.
        work: performances of the same work never stand in different splits.
        reading: how the file is read.
        bars, notes: of the score, repeats written out as played.
        played: of these notes, those that were played.
        seconds: from the first played onset to the last release.
    """

    id: str
    path: str
    sha256: str
    licence: str
    split: str
    composition: str
    composer: str
    style: str
    pianist: str
    work: str = ""
    reading: str = "match"
    bars: int = 0
    notes: int = 0
    played: int = 0
    deletions: int = 0
    insertions: int = 0
    ornaments: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class PerformanceManifest:
    """The kept performances of a data set, in order of their ids, and the folder they came from."""

    data: str
    root: str
    entries: tuple[PerformanceEntry, ...]

    @cached_property
    def sha256(self) -> str:
        """Hash of what was kept and of the committed splits; the same wherever the data lies."""
        rows = json.dumps([asdict(e) for e in self.entries], sort_keys=True)
        own = hashlib.sha256(PERFORMANCE_SPLITS_FILE.read_bytes()).hexdigest()
        return hashlib.sha256(f"{self.data}\n{own}\n{splits_sha256()}\n{rows}".encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Plain builtins."""
        entries = [asdict(e) for e in self.entries]
        return {"data": self.data, "root": self.root, "sha256": self.sha256, "entries": entries}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PerformanceManifest:
        """Inverse of `to_json`.

        Raises:
            ValueError: the content does not fit its hash, or the committed splits have changed since.
            KeyError, TypeError: not a manifest.
        """
        manifest = cls(data["data"], data["root"], tuple(PerformanceEntry(**e) for e in data["entries"]))
        if manifest.sha256 != data["sha256"]:
            raise ValueError("the manifest does not fit its hash")
        return manifest
