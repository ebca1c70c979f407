"""Corpora: which pieces a data set gives, of which split, parsed once into the cache and loaded from it.

`prepare` parses what is new and says what it kept, what it dropped and why; `load_pieces` gives the pieces of a split.
A manifest beside the cache lists every kept piece; its hash stands for the corpus in weight files.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from tqdm import tqdm

from music.cache import CacheEntry, ScoreCache, file_sha256, one_at_a_time, write_atomically
from music.corpus_pool import FILE_TIMEOUT_SEC, Task, parse_all
from music.corpus_sources import DATA_NAMES, SourceFile, corpus_roots, source_files
from music.dropped import kind_of, say
from music.errors import RequestError
from music.score import Score
from music.splits import SPLITS, splits_sha256

__all__ = ["DATA_NAMES", "Manifest", "PieceEntry", "PrepareReport"]
__all__ += ["hash_sources", "load_pieces", "parse_missing", "prepare"]


@runtime_checkable
class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def skip(self) -> str: ...


Source = TypeVar("Source", bound=_Named)


@dataclass(frozen=True)
class PieceEntry:
    """A kept piece: a whole file, or one movement of a file that holds several.

    Args:
        id: unique in its manifest: data set, path and, where there are several, the movement's number.
        path: within the data set's folder, with slashes.
        sha256: of the source file.
        work: pieces with the same work never stand in different splits.
        movement: index into the file's movements.
        bars, notes: counts, repeats written out.
    """

    id: str
    path: str
    sha256: str
    licence: str
    split: str
    work: str
    style: str
    ensemble: str
    reading: str
    movement: int = 0
    bars: int = 0
    notes: int = 0


@dataclass(frozen=True)
class Manifest:
    """The kept pieces of a data set, in order of their ids, and the folder they came from."""

    data: str
    root: str
    entries: tuple[PieceEntry, ...]

    @cached_property
    def sha256(self) -> str:
        """Hash of what was kept and of the committed splits; the same wherever the data lies."""
        rows = json.dumps([asdict(e) for e in self.entries], sort_keys=True)
        return hashlib.sha256(f"{self.data}\n{splits_sha256()}\n{rows}".encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Plain builtins."""
        entries = [asdict(e) for e in self.entries]
        return {"data": self.data, "root": self.root, "sha256": self.sha256, "entries": entries}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Manifest:
        """Inverse of `to_json`.

        Raises:
            ValueError: the content does not fit its hash.
            KeyError, TypeError: not a manifest.
        """
        manifest = cls(data["data"], data["root"], tuple(PieceEntry(**e) for e in data["entries"]))
        if manifest.sha256 != data["sha256"]:
            raise ValueError("the manifest does not fit its hash")
        return manifest


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did.

    Args:
        dropped: (path, reason), in order of the paths.
        files: source files seen.
        parsed: of these, parsed in this run; the others came from the cache.
        manifest_path: where the manifest was written.
        remarks: which sets of a combined one are missing here.
    """

    manifest: Manifest
    dropped: tuple[tuple[str, str], ...]
    files: int
    parsed: int
    manifest_path: Path
    remarks: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """Pieces kept."""
        return len(self.manifest.entries)

    def counts(self) -> dict[str, dict[str, int]]:
        """Pieces, works, bars and notes of each split."""
        found = {}
        for split in SPLITS:
            entries = [e for e in self.manifest.entries if e.split == split]
            found[split] = {
                "pieces": len(entries),
                "works": len({e.work for e in entries}),
                "bars": sum(e.bars for e in entries),
                "notes": sum(e.notes for e in entries),
            }
        return found

    def reasons(self) -> dict[str, int]:
        """How many files were dropped for which reason, most frequent first; numbers in reasons are left out."""
        counted = Counter(kind_of(reason) for _, reason in self.dropped)
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    def table(self) -> str:
        """The report for a person: figures by split and by style, then every dropped file with its reason."""
        lines = [
            f"{self.manifest.data}: {self.files} files, {self.kept} pieces kept, {len(self.dropped)} files dropped",
            *self.remarks,
        ]
        lines += ["", f"{'split':<8}{'pieces':>8}{'works':>8}{'bars':>9}{'notes':>10}"]
        for split, row in self.counts().items():
            lines.append(f"{split:<8}{row['pieces']:>8}{row['works']:>8}{row['bars']:>9}{row['notes']:>10}")
        lines += ["", f"{'style':<28}" + "".join(f"{split:>8}" for split in SPLITS)]
        styles = Counter((e.style, e.split) for e in self.manifest.entries)
        for style in sorted({style for style, _ in styles}):
            lines.append(f"{style:<28}" + "".join(f"{styles[style, split]:>8}" for split in SPLITS))
        lines += ["", *(f"dropped {path}: {reason}" for path, reason in self.dropped)] if self.dropped else []
        return "\n".join(lines)

    def json_line(self) -> str:
        """The figures on one line of JSON."""
        return json.dumps(
            {
                "data": self.manifest.data,
                "files": self.files,
                "parsed": self.parsed,
                "kept": self.kept,
                "dropped": len(self.dropped),
                "reasons": self.reasons(),
                "splits": self.counts(),
                "remarks": list(self.remarks),
                "manifest": str(self.manifest_path),
                "manifest_sha256": self.manifest.sha256,
            },
            ensure_ascii=False,
        )


def _manifest_path(cache_dir: Path, data: str, root: Path) -> Path:
    place = "" if data.startswith("music21") else "-" + hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
    return cache_dir / "manifests" / f"{data}{place}.json"


def hash_sources(
    sources: Sequence[Source], sha_of: Callable[[Source], str], first: dict[str, str]
) -> tuple[list[tuple[Source, str]], dict[str, str]]:
    """Sources to be read with their hashes, and the reasons of those that are not, by name.

    Args:
        sources: what a set holds.
        sha_of: the hash of what a source is read from; an OSError drops the source.
        first: by hash the name of the first source that has it, which is added to.
    """
    wanted: list[tuple[Source, str]] = []
    dropped: dict[str, str] = {}
    for source in sources:
        try:
            reason, sha = source.skip, "" if source.skip else sha_of(source)
        except OSError as error:
            reason, sha = f"cannot be read ({error.strerror or error})", ""
        if not reason and first.setdefault(sha, source.name) != source.name:
            reason = f"the same file as {first[sha]}"
        if reason:
            dropped[source.name] = reason
        else:
            wanted.append((source, sha))
    return wanted, dropped


def _entries(data: str, source: SourceFile, sha: str, found: CacheEntry) -> list[PieceEntry]:
    whole = PieceEntry(
        id=f"{(source.data or data).split('_')[0]}/{source.name}",
        path=source.name,
        sha256=sha,
        licence=source.licence,
        split=source.split,
        work=source.work,
        style=source.style,
        ensemble=source.ensemble,
        reading=source.reading,
    )
    several = len(found.bars) > 1
    return [
        replace(
            whole,
            id=f"{whole.id}#{i + 1}" if several else whole.id,
            movement=i,
            bars=found.bars[i],
            notes=found.notes[i],
            ensemble=source.ensemble or found.ensembles[i],
        )
        for i in range(len(found.bars))
    ]


def parse_missing(
    tasks: list[Task], cache: ScoreCache, *, label: str, workers: int | None, progress: bool, timeout: float
) -> tuple[dict[Task, CacheEntry], int]:
    """The entry of every task, and how many were not in the cache yet; these are parsed, and progress is shown.

    Raises:
        CacheError: the cache cannot be read or written.
    """

    def look_up(wanted: list[Task]) -> dict[Task, CacheEntry]:
        entries = {task: cache.peek(task.sha256, task.reading) for task in wanted}
        return {task: entry for task, entry in entries.items() if entry is not None}

    found = look_up(tasks)
    if len(found) == len(tasks):
        return found, 0
    with one_at_a_time(cache.folder):
        found |= look_up([task for task in tasks if task not in found])  # another process may just have done them
        missing = [task for task in tasks if task not in found]
        show = progress and len(missing) > 1
        with tqdm(
            total=len(missing), desc=label, unit="file", mininterval=0.5, disable=not show, file=sys.stderr
        ) as bar:
            cores = workers or os.cpu_count() or 1
            found |= parse_all(missing, cache, workers=cores, timeout_sec=timeout, on_done=lambda: bar.update())
    return found, len(missing)


def prepare(
    data: str,
    *,
    path: Path | None = None,
    cache_dir: Path,
    workers: int | None = None,
    progress: bool = True,
    timeout_sec: float = FILE_TIMEOUT_SEC,
) -> PrepareReport:
    """Parses what the cache does not hold yet and writes the manifest of a data set.

    A bad file never ends the run: it is dropped with its reason. The same files give the same manifest, whatever the
    number of workers and the order in which they end.

    Args:
        data: one of `DATA_NAMES`.
        path: folder or tar archive of the set; unused for music21's.
        workers: processes; the machine's cores where None.
        timeout_sec: a file that takes longer by the clock is dropped (processor time has a limit of its own).

    Raises:
        RequestError: unknown set, missing folder, or no file in it.
        CacheError: the cache cannot be read or written, or the disk is full.
    """
    roots, remarks = corpus_roots(data, path, cache_dir)
    root = roots.get(data) or path or roots["music21"]
    sources = source_files(data, roots)
    cache = ScoreCache(cache_dir / "scores")
    entries: list[PieceEntry] = []
    dropped: dict[str, str] = {}
    parsed, first, turn = 0, dict[str, str](), sources
    while turn:
        wanted, left_out = hash_sources(turn, lambda source: file_sha256(source.path), first)
        tasks = list(dict.fromkeys(Task(s.path, sha, s.reading) for s, sha in wanted))
        found, count = parse_missing(
            tasks, cache, label=f"parsing {data}", workers=workers, progress=progress, timeout=timeout_sec
        )
        parsed += count
        failed: dict[str, str] = {}
        for source, sha in wanted:
            entry = found[Task(source.path, sha, source.reading)]
            if entry.reason:
                failed[source.name] = entry.reason
            entries += _entries(data, source, sha, entry)
        dropped |= left_out | failed
        turn = [replace(s, skip="") for s in sources if s.twin in failed]  # what they stood back for is no good
        for source in turn:
            del dropped[source.name]
    manifest = Manifest(data, str(root), tuple(sorted(entries, key=lambda e: e.id)))
    target = _manifest_path(cache_dir, data, root)
    write_atomically(target, (json.dumps(manifest.to_json(), indent=1, ensure_ascii=False) + "\n").encode())
    return PrepareReport(manifest, tuple(sorted(dropped.items())), len(sources), parsed, target, remarks)


def load_pieces(
    data: str,
    split: str,
    *,
    cache_dir: Path,
    path: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> list[tuple[PieceEntry, Score]]:
    """The pieces of a split ("train", "valid", "test", or "all"), in order of their ids; prepares what is missing.

    Raises:
        RequestError: unknown split or set, missing folder, or no file in it.
        CacheError: the cache cannot be read or written, or an entry vanished meanwhile.
    """
    if split not in (*SPLITS, "all"):
        raise RequestError(f"split={split} is not one of {', '.join(SPLITS)}, all")
    report = prepare(data, path=path, cache_dir=cache_dir, workers=workers, progress=progress)
    for remark in report.remarks if progress else ():
        print(f"data={data}: {remark}", file=sys.stderr)
    if progress and data == "folder" and split in ("train", "all"):  # the user's own files: he wants to know of each
        say(f"{path}: {report.files} files, {report.kept} pieces kept, {len(report.dropped)} dropped", report.dropped)
    cache = ScoreCache(cache_dir / "scores")
    loaded: dict[tuple[str, str], tuple[Score, ...]] = {}
    pieces = []
    for entry in report.manifest.entries:
        if split in (entry.split, "all"):
            key = (entry.sha256, entry.reading)
            if key not in loaded:
                loaded[key] = cache.load(*key)
            pieces.append((entry, loaded[key][entry.movement]))
    return pieces
