"""Corpora of performances: scores joined to what people played, read once into the cache and loaded from it.

`prepare_performances` reads what is new and says what it kept, what it dropped and why; `load_performances` gives the
pairs of a split. A manifest in the cache lists every kept pair; its hash stands for the corpus in weight files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from music.cache import CacheEntry, file_sha256, write_atomically
from music.corpus import DATA_NAMES, PrepareReport, hash_sources, parse_missing, prepare
from music.corpus_pool import FILE_TIMEOUT_SEC, Task
from music.errors import CacheError, RequestError
from music.paired import PairedPerformance
from music.performance_cache import PairFigures, PerformanceCache
from music.performance_entries import PerformanceEntry, PerformanceManifest
from music.performance_report import performance_table, splits_of, why_dropped
from music.performance_sources import PERFORMANCE_DATA, PerformanceSource, performance_sources
from music.performance_splits import HELD_OUT
from music.splits import SPLITS

__all__ = [
    "PERFORMANCE_DATA",
    "PerformanceEntry",
    "PerformanceManifest",
    "PerformanceReport",
    "load_performances",
    "prepare_all",
    "prepare_performances",
    "read_performance_manifest",
]


@dataclass(frozen=True)
class PerformanceReport:
    """What `prepare_performances` did.

    Args:
        dropped: (path, reason), in order of the paths.
        files: performances seen.
        parsed: of these, read in this run; the others came from the cache.
        manifest_path: where the manifest was written.
    """

    manifest: PerformanceManifest
    dropped: tuple[tuple[str, str], ...]
    files: int
    parsed: int
    manifest_path: Path

    @property
    def kept(self) -> int:
        """Performances kept, those that are held out among them."""
        return len(self.manifest.entries)

    def table(self) -> str:
        """The report for a person: figures by split and by composer, then every dropped file with its reason."""
        return performance_table(self.manifest.data, self.files, self.manifest.entries, self.dropped)

    def json_line(self) -> str:
        """The figures on one line of JSON."""
        return json.dumps(
            {
                "data": self.manifest.data,
                "what": "performances",
                "files": self.files,
                "parsed": self.parsed,
                "kept": self.kept,
                "dropped": len(self.dropped),
                "reasons": why_dropped(self.dropped),
                "splits": splits_of(self.manifest.entries),
                "manifest": str(self.manifest_path),
                "manifest_sha256": self.manifest.sha256,
            },
            ensure_ascii=False,
        )


def _manifest_path(cache_dir: Path, data: str) -> Path:
    return cache_dir / "manifests" / f"performances-{data}.json"


def _sha256(source: PerformanceSource) -> str:
    """Of the file, or of its files' hashes where there are several."""
    found = [file_sha256(path) for path in source.files]
    return found[0] if len(found) == 1 else hashlib.sha256(" ".join(found).encode()).hexdigest()


def _entry(data: str, source: PerformanceSource, sha: str, figures: PairFigures) -> PerformanceEntry:
    return PerformanceEntry(
        id=f"{data}/{source.name}",
        path=source.name,
        sha256=sha,
        licence=source.licence,
        split=source.split,
        composition=source.composition,
        composer=source.composer,
        style=source.style,
        pianist=source.pianist,
        work=source.work,
        reading=source.reading,
        **asdict(figures),
    )


def prepare_performances(
    name: str,
    *,
    path: Path | None,
    cache_dir: Path,
    workers: int | None = None,
    progress: bool = True,
    timeout_sec: float = FILE_TIMEOUT_SEC,
) -> PerformanceReport:
    """Reads what the cache does not hold yet and writes the manifest of a data set.

    A bad file never ends the run: it is dropped with its reason, as are alignments that `music.paired` objects to. The
    same files give the same manifest, whatever the number of workers and the order in which they end.

    Args:
        name: one of `PERFORMANCE_DATA`.
        path: folder or tar archive of the set.
        workers: processes; the machine's cores where None.
        timeout_sec: a file that takes longer by the clock is dropped (processor time has a limit of its own).

    Raises:
        RequestError: unknown set, missing folder, or no performance in it.
        CacheError: the cache cannot be read or written, or the disk is full.
    """
    root, sources = performance_sources(name, path, cache_dir)
    wanted, dropped = hash_sources(sources, _sha256, {})
    cache = PerformanceCache(cache_dir / "performances")
    tasks = {source.name: Task(source.path, sha, source.reading) for source, sha in wanted}
    label = f"reading performances of {name}"
    found, parsed = parse_missing(
        list(tasks.values()), cache, label=label, workers=workers, progress=progress, timeout=timeout_sec
    )
    entries: list[PerformanceEntry] = []
    for source, sha in wanted:
        entry: CacheEntry = found[tasks[source.name]]
        if entry.reason:
            dropped[source.name] = entry.reason
        else:
            entries.append(_entry(name, source, sha, cache.figures(sha, source.reading)))
    manifest = PerformanceManifest(name, str(root), tuple(sorted(entries, key=lambda e: e.id)))
    target = _manifest_path(cache_dir, name)
    write_atomically(target, (json.dumps(manifest.to_json(), indent=1, ensure_ascii=False) + "\n").encode())
    return PerformanceReport(manifest, tuple(sorted(dropped.items())), len(sources), parsed, target)


def prepare_all(
    name: str, *, path: Path | None, cache_dir: Path, workers: int | None = None, progress: bool = True
) -> Iterator[PrepareReport | PerformanceReport]:
    """All that a data set is good for: its scores for the composer, its performances for the performer, one by one.

    Raises:
        RequestError: unknown set, missing folder, or nothing in it.
        CacheError: as `prepare_performances`.
    """
    places: dict[str, Any] = {"path": path, "cache_dir": cache_dir, "workers": workers, "progress": progress}
    if name in DATA_NAMES or name not in PERFORMANCE_DATA:
        yield prepare(name, **places)
    if name in PERFORMANCE_DATA:
        yield prepare_performances(name, **places)


def read_performance_manifest(name: str, *, cache_dir: Path) -> PerformanceManifest:
    """The manifest that `prepare_performances` wrote.

    Raises:
        RequestError: unknown set.
        CacheError: the set is not prepared, or its manifest is damaged or of other splits; names the command.
    """
    if name not in PERFORMANCE_DATA:
        raise RequestError(f"data={name} holds no performances; these do: {', '.join(PERFORMANCE_DATA)}")
    path, place = _manifest_path(cache_dir, name), "data.path=DIR cache_dir=" + str(cache_dir)
    command = f"run `python pipeline.py task=prepare data={name} {place}`"
    try:
        return PerformanceManifest.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise CacheError(path, f"the performances of {name} are not prepared; {command}") from None
    except (ValueError, KeyError, TypeError):
        raise CacheError(path, f"the manifest is damaged or of other splits; {command}") from None
    except OSError as error:
        raise CacheError(path, f"cannot be read ({error.strerror or error})") from error


def load_performances(
    name: str, split: str, *, cache_dir: Path
) -> Iterator[tuple[PerformanceEntry, PairedPerformance]]:
    """The performances of a split, in order of their ids, one after another from the cache.

    Args:
        name: one of `PERFORMANCE_DATA`.
        split: "train", "valid", "test", "held_out", or "all" for the first three.

    Raises:
        RequestError: unknown split or set.
        CacheError: not prepared, or prepared by other code; at once for the manifest, for a pair when its turn comes.
    """
    if split not in (*SPLITS, HELD_OUT, "all"):
        raise RequestError(f"split={split} is not one of {', '.join(SPLITS)}, {HELD_OUT}, all")
    manifest = read_performance_manifest(name, cache_dir=cache_dir)
    cache = PerformanceCache(cache_dir / "performances")
    wanted = [e for e in manifest.entries if e.split == split or (split == "all" and e.split in SPLITS)]
    return ((entry, cache.load_pair(entry.sha256, entry.reading)) for entry in wanted)
