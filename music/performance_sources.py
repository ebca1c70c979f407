"""Which performances a data set holds and what their names tell of them, before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from music.corpus_read import MIDI_SUFFIXES, XML_SUFFIXES
from music.corpus_sources import files_below, unpack
from music.errors import RequestError
from music.performance_splits import (
    composition,
    performance_split,
    performed_work,
    pianist,
    piano_midi_performance_split,
    shared_work,
)
from music.splits import folder_work, piano_work, split_by_hash

NASAP_LICENCE = "CC BY-NC-SA 4.0, github.com/CPJKU/asap-dataset"
PIANO_MIDI_LICENCE = "CC BY-SA 3.0 DE, Bernd Krueger, www.piano-midi.de"
OWN_LICENCE = "not stated: the user's own files"
MATCH_SUFFIX, ALIGNMENT_SUFFIX, PERFORMANCE_MARK = ".match", ".alignment.tsv", ".performance"
PERFORMANCE_SOURCES = {
    "nasap": "the .match files of (n)ASAP, github.com/CPJKU/asap-dataset",
    "piano_midi_de": "www.piano-midi.de",
    "performances": f"your own {MATCH_SUFFIX} files, or scores with performances and alignments",
}
PERFORMANCE_DATA = tuple(PERFORMANCE_SOURCES)


@dataclass(frozen=True)
class PerformanceSource:
    """A performance of a data set.

    Args:
        path: the file that is read, and by whose name the others are found; `files` are all that its content hangs on.
        name: its path within the set, with slashes.
        composition: the piece or movement, whatever the edition; `work` the work that this belongs to.
        composer: surname in lower case, "" where unknown; `style` is a tag of the corpus, as in plans.
        pianist: who plays, "" where unknown.
        reading: key of `music.performance_read.PAIR_READINGS`.
        skip: why it is not read, "" where it is.
    """

    path: Path
    name: str
    split: str
    work: str
    composition: str
    composer: str
    style: str
    pianist: str
    licence: str
    reading: str
    files: tuple[Path, ...] = ()
    skip: str = ""


def piano_style(composer: str) -> str:
    """The tag of a composer's piano music in plans and corpora: "chopin" -> "chopin_piano"."""
    return f"{composer}_piano"


def _nasap(root: Path) -> list[PerformanceSource]:
    found = []
    for path in files_below(root, (MATCH_SUFFIX,)):
        name = path.relative_to(root).as_posix()
        piece = composition(name)
        composer = piece.split("/")[0].lower()
        tags = (composer, piano_style(composer), pianist(name), NASAP_LICENCE, "match", (path,))
        found.append(PerformanceSource(path, name, performance_split(name), performed_work(piece), piece, *tags))
    return found


def _piano_midi_de(root: Path) -> list[PerformanceSource]:
    found = []
    for path in files_below(root, MIDI_SUFFIXES):
        composer, work, _ = piano_work(path.stem)
        split = piano_midi_performance_split(path.stem)
        tags = (composer, piano_style(composer), "krueger", PIANO_MIDI_LICENCE, "piano_midi", (path,))
        name = path.relative_to(root).as_posix()
        found.append(PerformanceSource(path, name, split, shared_work(path.stem) or work, path.stem, *tags))
    return found


def score_beside(alignment: Path) -> Path | None:
    """The score of NAME.alignment.tsv: NAME with an extension of MusicXML, else of MIDI; None where there is none."""
    stem = alignment.name[: -len(ALIGNMENT_SUFFIX)]
    near = [alignment.with_name(stem + suffix) for suffix in XML_SUFFIXES + MIDI_SUFFIXES]
    return next((path for path in near if path.is_file()), None)


def performance_beside(alignment: Path) -> Path | None:
    """The performance of NAME.alignment.tsv: NAME.performance.mid (or .midi); None where there is none."""
    stem = alignment.name[: -len(ALIGNMENT_SUFFIX)] + PERFORMANCE_MARK
    return next((p for suffix in MIDI_SUFFIXES if (p := alignment.with_name(stem + suffix)).is_file()), None)


def _performances(root: Path) -> list[PerformanceSource]:
    """Any .match file, any alignment with score and performance beside it, and every performance that has none."""
    found: list[PerformanceSource] = []
    aligned: set[str] = set()
    for path in files_below(root, (MATCH_SUFFIX, ALIGNMENT_SUFFIX)):
        name = path.relative_to(root).as_posix()
        match = name.lower().endswith(MATCH_SUFFIX)
        stem = name[: -len(MATCH_SUFFIX if match else ALIGNMENT_SUFFIX)]
        score, played = (None, None) if match else (score_beside(path), performance_beside(path))
        skip = "" if match or score else "no score stands beside it"
        skip = skip if match or not score or played else "no performance stands beside it"
        aligned |= set() if match else {stem.casefold()}
        work = folder_work(f"{stem}.mid")
        tags = ("", "folder", "", OWN_LICENCE, "match" if match else "aligned")
        files = tuple(p for p in (path, score, played) if p is not None)
        found.append(PerformanceSource(path, name, split_by_hash(work), work, stem, *tags, files, skip))
    marks = tuple(PERFORMANCE_MARK + suffix for suffix in MIDI_SUFFIXES)
    for path in files_below(root, marks):
        name = path.relative_to(root).as_posix()
        stem = name[: name.lower().rindex(PERFORMANCE_MARK)]
        if stem.casefold() not in aligned:
            tags = ("", "folder", "", OWN_LICENCE, "aligned")
            skip = f"no {ALIGNMENT_SUFFIX} stands beside it"
            found.append(PerformanceSource(path, name, "train", stem, stem, *tags, skip=skip))
    return sorted(found, key=lambda source: source.name)


_LISTS: dict[str, Callable[[Path], list[PerformanceSource]]] = {
    "nasap": _nasap,
    "piano_midi_de": _piano_midi_de,
    "performances": _performances,
}


def performance_sources(data: str, path: Path | None, cache_dir: Path) -> tuple[Path, list[PerformanceSource]]:
    """The folder of a data set and every performance in it, in an order that does not depend on the file system.

    Args:
        data: one of `PERFORMANCE_DATA`.
        path: the set's folder or a tar archive of it, which is unpacked into the cache.

    Raises:
        RequestError: unknown set, path missing or not there, or nothing of the set in it.
        CacheError: the cache cannot be written.
    """
    if data not in _LISTS:
        raise RequestError(f"data={data} holds no performances; these do: {', '.join(_LISTS)}")
    wanted = PERFORMANCE_SOURCES[data]
    if path is None:
        raise RequestError(f"data={data} needs data.path=DIR, the folder with {wanted}")
    if not path.exists():
        raise RequestError(f"data.path={path} does not exist; it must be the folder with {wanted}")
    root = path if path.is_dir() else unpack(path, cache_dir)
    found = _LISTS[data](root)
    if not found:
        raise RequestError(f"data={data}: no performance of this set in {root}")
    return root, found
