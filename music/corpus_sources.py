"""Where the data sets lie and what their files are: one list of `SourceFile`s a set, before anything is parsed."""

from __future__ import annotations

import importlib.util
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from music.cache import file_sha256
from music.corpus_read import MIDI_SUFFIXES, XML_SUFFIXES
from music.errors import CacheError, RequestError
from music.splits import (
    catalogue_number,
    chorale_work,
    folder_work,
    piano_work,
    quartet_work,
    same_encoding,
    slug,
    split_by_hash,
)

MAX_UNPACKED_BYTES = 4 << 30
MAX_UNPACKED_FILES = 200_000
QUARTETS_OF_MUSIC21 = ("haydn", "mozart", "beethoven", "schumann_robert")
# What lies in these folders and is no string quartet: a piano sonata and two songs.
_NOT_QUARTETS = ("k545", "dichterliebe", "opus48no2")
SOURCES = {
    "piano_midi_de": "www.piano-midi.de",
    "openscore_quartets": "github.com/OpenScore/StringQuartets",
    "folder": "any folder of MIDI and MusicXML files",
}


@dataclass(frozen=True)
class SourceFile:
    """A file of a data set and what is known of it from its name alone.

    Args:
        path: where it lies; `name` its path within the set, with slashes.
        reading: key of `music.corpus_read.READINGS`.
        ensemble: "" where only its notes can tell.
        skip: why it is not read at all, "" where it is.
    """

    path: Path
    name: str
    work: str
    split: str
    style: str
    licence: str
    reading: str
    ensemble: str = ""
    skip: str = ""


def files_below(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """All files below a folder with these extensions in any case, hidden ones left out, in order of their names."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        found += [Path(folder) / n for n in names if n.lower().endswith(suffixes) and not n.startswith(".")]
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def music21_corpus_dir() -> Path:
    """The corpus inside the installed music21, found without importing it (that takes a second).

    Raises:
        RequestError: music21 or its corpus is not installed.
    """
    spec = importlib.util.find_spec("music21")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (folder := Path(place) / "corpus" / "bach").is_dir():
            return folder.parent
    raise RequestError("data=music21: the music21 package with its corpus is not installed; run `make setup`")


_MUSIC21_LICENCE = "see corpus/license.txt of music21; read where it is installed, not redistributed"


def _music21_chorales(root: Path) -> list[SourceFile]:
    found = []
    for path in files_below(root / "bach", (".mxl", ".xml")):
        name = path.stem
        if path.parent.name != "bach" or not name.startswith("bwv") or name == "bwv846":  # 846 is a keyboard prelude
            continue
        work, split = chorale_work(name)
        twin = same_encoding(name)
        skip = f"a second encoding of {twin}" if twin else ""
        relative = path.relative_to(root).as_posix()
        style = ("bach_chorale", _MUSIC21_LICENCE, "chorale", "satb")
        found.append(SourceFile(path, relative, f"chorale_{work}", split, *style, skip=skip))
    return found


def _music21_quartets(root: Path) -> list[SourceFile]:
    found = []
    for folder in QUARTETS_OF_MUSIC21:
        composer = folder.split("_")[0]
        for path in files_below(root / folder, (".mxl", ".xml")):
            relative = path.relative_to(root).as_posix()
            if any(word in relative for word in _NOT_QUARTETS):
                continue
            work, split = quartet_work(composer, relative.split("/")[1].removesuffix(path.suffix))
            style = (f"{composer}_quartet", _MUSIC21_LICENCE, "quartet", "quartet")
            found.append(SourceFile(path, relative, work, split, *style))
    return found


def _openscore(root: Path) -> list[SourceFile]:
    found = []
    for path in files_below(root, XML_SUFFIXES):
        composer = path.parent.parent.name.split(",")[0].replace("_", " ").strip()
        work, split = quartet_work(composer, path.parent.name)
        if not catalogue_number(path.parent.name) and path.parent == root:
            work = f"{slug(composer)}_{slug(path.stem)}"
        style = (f"{slug(composer)}_quartet", "CC0 1.0, OpenScore String Quartets", "quartet", "quartet")
        found.append(SourceFile(path, path.relative_to(root).as_posix(), work, split, *style))
    return found


def _piano_midi_de(root: Path) -> list[SourceFile]:
    licence = "CC BY-SA 3.0 DE, Bernd Krueger, www.piano-midi.de"
    found = []
    for path in files_below(root, MIDI_SUFFIXES):
        composer, work, split = piano_work(path.stem)
        style = (f"{composer}_piano", licence, "midi", "piano")
        found.append(SourceFile(path, path.relative_to(root).as_posix(), work, split, *style))
    return found


def _folder(root: Path) -> list[SourceFile]:
    found: list[SourceFile] = []
    written: set[str] = set()
    files = files_below(root, XML_SUFFIXES + MIDI_SUFFIXES)
    for path in sorted(files, key=lambda p: p.suffix.lower() in MIDI_SUFFIXES):  # notation first: it says more
        name = path.relative_to(root).as_posix()
        stem = str(path.relative_to(root).with_suffix("")).casefold()
        skip = "the same piece stands beside it in another format" if stem in written else ""
        written.add(stem)
        work = folder_work(name)
        reading = "midi" if name.lower().endswith(MIDI_SUFFIXES) else "musicxml"
        style = ("folder", "not stated: the user's own files", reading)
        found.append(SourceFile(path, name, work, split_by_hash(work), *style, skip=skip))
    return sorted(found, key=lambda source: source.name)


_LISTS: dict[str, Callable[[Path], list[SourceFile]]] = {
    "music21": lambda root: _music21_chorales(root) + _music21_quartets(root),
    "music21_chorales": _music21_chorales,
    "music21_quartets": _music21_quartets,
    "openscore_quartets": _openscore,
    "piano_midi_de": _piano_midi_de,
    "folder": _folder,
}
DATA_NAMES = tuple(_LISTS)


def _why_not_unpacked(path: Path, error: Exception) -> str:
    return f"data.path={path}: the archive cannot be unpacked ({error}); unpack it yourself and name the folder"


def unpack(archive: Path, cache_dir: Path) -> Path:
    """Unpacks a tar archive (also .xz, .gz, .bz2) into the cache, once, and gives the folder.

    Members with absolute paths, links out of the folder or devices are refused (tarfile's "data" filter).

    Raises:
        RequestError: not an archive, damaged, unsafe or far too big.
        CacheError: the cache cannot be written.
    """
    temporary = ""
    try:
        target = cache_dir / "unpacked" / file_sha256(archive)[:24]
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            size = 0
            for count, member in enumerate(tar, start=1):
                size += member.size
                if size > MAX_UNPACKED_BYTES or count > MAX_UNPACKED_FILES:
                    raise tarfile.TarError(f"it holds more than {MAX_UNPACKED_BYTES >> 30} GB or too many files")
            temporary = tempfile.mkdtemp(prefix=".part-", dir=target.parent)
            tar.extractall(temporary, filter="data")
        if not target.is_dir():  # another process may have been quicker
            os.rename(temporary, target)
        return target
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise RequestError(_why_not_unpacked(archive, error)) from error
    except OSError as error:
        raise CacheError(cache_dir, f"cannot unpack {archive.name} into it ({error.strerror or error})") from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def source_root(data: str, path: Path | None, cache_dir: Path) -> Path:
    """The folder that holds a data set; `path` may be a folder or a tar archive, unused for music21's sets.

    Raises:
        RequestError: unknown set, path missing or not there.
        CacheError: the cache cannot be written.
    """
    if data not in _LISTS:
        raise RequestError(f"data={data} is not known; there are {', '.join(DATA_NAMES)}")
    if data.startswith("music21"):
        return music21_corpus_dir()
    if path is None:
        raise RequestError(f"data={data} needs data.path=DIR, the folder with {SOURCES[data]}")
    if not path.exists():
        raise RequestError(f"data.path={path} does not exist; it must be the folder with {SOURCES[data]}")
    return path if path.is_dir() else unpack(path, cache_dir)


def source_files(data: str, root: Path) -> list[SourceFile]:
    """Every file of a data set, in an order that does not depend on the file system.

    Raises:
        RequestError: no file of the right kind.
    """
    found = _LISTS[data](root)
    if not found:
        raise RequestError(f"data={data}: no MIDI or MusicXML file of this set in {root}")
    return found
