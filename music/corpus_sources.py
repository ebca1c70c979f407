"""Where the data sets lie and what their files are: one list of `SourceFile`s a set, before anything is parsed."""

from __future__ import annotations

import importlib.util
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
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
# OpenScore's composers before about 1850; Emilie Mayer's and Gouvy's quartets are later.
EARLY_QUARTETS = (
    *("beethoven", "cherubini", "glinka", "haydn", "hoffmeister"),
    *("kalliwoda", "mendelssohn", "mozart", "schubert", "schumann"),
)
# How the folders or archives of the sets within `composer`'s folder may begin, letters and digits only.
_PARTS = {"piano_midi_de": ("pianomidi",), "openscore_quartets": ("openscore", "stringquartets", "osq")}
SOURCES = {
    "composer": "the sets piano-midi.de and StringQuartets, each in its folder or archive",
    "piano_midi_de": "www.piano-midi.de",
    "openscore_quartets": "github.com/OpenScore/StringQuartets",
    "folder": "your MIDI and MusicXML files",
}


@dataclass(frozen=True)
class SourceFile:
    """A file of a data set and what is known of it from its name alone.

    Args:
        path: where it lies; `name` its path within the set, with slashes.
        reading: key of `music.corpus_read.READINGS`.
        ensemble: "" where only its notes can tell.
        skip: why it is not read at all, "" where it is.
        twin: the file for whose sake it is skipped; where that one cannot be read, this one is.
        data: the set it belongs to, where a set is made of others.
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
    data: str = ""
    twin: str = ""


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
    written: dict[str, str] = {}
    files = files_below(root, XML_SUFFIXES + MIDI_SUFFIXES)
    for path in sorted(files, key=lambda p: p.suffix.lower() in MIDI_SUFFIXES):  # notation first: it says more
        name = path.relative_to(root).as_posix()
        stem = str(path.relative_to(root).with_suffix("")).casefold()
        twin = written.get(stem, "")
        skip = "the same piece stands beside it in another format" if twin else ""
        written[stem] = name
        work = folder_work(name)
        reading = "midi" if name.lower().endswith(MIDI_SUFFIXES) else "musicxml"
        style = ("folder", "not stated: the user's own files", reading)
        found.append(SourceFile(path, name, work, split_by_hash(work), *style, skip=skip, twin=twin))
    return sorted(found, key=lambda source: source.name)


_LISTS: dict[str, Callable[[Path], list[SourceFile]]] = {
    "music21": lambda root: _music21_chorales(root) + _music21_quartets(root),
    "music21_chorales": _music21_chorales,
    "music21_quartets": _music21_quartets,
    "openscore_quartets": _openscore,
    "piano_midi_de": _piano_midi_de,
    "folder": _folder,
}
DATA_NAMES = (*_LISTS, "composer")


def _why_not_unpacked(path: Path, error: Exception) -> str:
    if isinstance(error, tarfile.ReadError) and "could not be opened" in str(error):  # it lists every method it tried
        return f"data.path={path} is neither a folder nor a tar archive that can be read; unpack it yourself"
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


def _beginning(path: Path) -> str:
    return "".join(c for c in path.name.lower() if c.isalnum())


def _composer_parts(path: Path | None, cache_dir: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The roots of the sets that the composer's corpus is made of here, and a remark for each one that is missing."""
    roots = {"music21": music21_corpus_dir()}
    near = [path, *sorted(path.iterdir())] if path is not None and path.is_dir() else [path] if path else []
    for name, beginnings in _PARTS.items():
        found = [p for p in near if _beginning(p).startswith(beginnings)]
        found.sort(key=lambda p: p.is_file())  # a folder before an archive
        if found:
            roots[name] = found[0] if found[0].is_dir() else unpack(found[0], cache_dir)
    if path is not None and len(roots) == 1:
        raise RequestError(f"data.path={path} holds none of {SOURCES['composer']}")
    missing = [name for name in _PARTS if name not in roots]
    return roots, tuple(f"without {name} ({SOURCES[name]}): not in data.path" for name in missing)


def form_root(forms: Path | None, path: Path | None, cache_dir: Path) -> Path | None:
    """The folder of Taking Form's tables: `forms` (a folder or archive), else one of that name in `path`, else None.

    Raises:
        RequestError: `forms` is not there or no archive.
        CacheError: the cache cannot be written.
    """
    if forms is not None and not forms.exists():
        raise RequestError(
            f"forms={forms} does not exist; it must be the folder with github.com/MarkGotham/Taking-Form"
        )
    forms = forms or _named("takingform", path)
    return forms if forms is None or forms.is_dir() else unpack(forms, cache_dir)


def roman_root(path: Path | None, cache_dir: Path) -> Path | None:
    """The folder of When in Rome's analyses, where a folder or archive of that name lies in `path`, else None.

    Raises:
        RequestError: a file of that name is no archive.
        CacheError: the cache cannot be written.
    """
    found = _named("wheninrome", path)
    return found if found is None or found.is_dir() else unpack(found, cache_dir)


def _named(beginning: str, path: Path | None) -> Path | None:
    """What lies in a folder under a name with that beginning; a folder goes before an archive."""
    found = [p for p in path.iterdir() if _beginning(p).startswith(beginning)] if path and path.is_dir() else []
    return min(found, key=lambda p: (p.is_file(), p.name), default=None)


def corpus_roots(data: str, path: Path | None, cache_dir: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The folders of a data set, by the names of the sets that it is made of, and remarks on what is not there.

    Args:
        data: one of `DATA_NAMES`. `composer` is made of music21's sets and, where `path` holds them, piano-midi.de and
            OpenScore's quartets; the others are one set each.
        path: a folder or a tar archive, unused for music21's sets; for `composer` a folder of such, or None.

    Raises:
        RequestError: unknown set, path missing or not there.
        CacheError: the cache cannot be written.
    """
    if data not in DATA_NAMES:
        raise RequestError(f"data={data} is not known; there are {', '.join(DATA_NAMES)}")
    if data.startswith("music21"):
        return {data: music21_corpus_dir()}, ()
    if path is None and data != "composer":
        raise RequestError(f"data={data} needs data.path=DIR, the folder with {SOURCES[data]}")
    if path is not None and not path.exists():
        raise RequestError(f"data.path={path} does not exist; it must be the folder with {SOURCES[data]}")
    if path is None or data == "composer":
        return _composer_parts(path, cache_dir)
    return {data: path if path.is_dir() else unpack(path, cache_dir)}, ()


def source_root(data: str, path: Path | None, cache_dir: Path) -> Path:
    """The folder that holds a data set which is not made of others; see `corpus_roots`."""
    return corpus_roots(data, path, cache_dir)[0][data]


def _counted_once(found: dict[str, list[SourceFile]]) -> list[SourceFile]:
    """Files of several sets, where a quartet that two of them have is read in one edition, and later ones not at all.

    music21's edition is taken where it has the movements apart, OpenScore's where music21 has the work in one file.
    """
    files = [replace(source, data=name) for name, sources in found.items() for source in sources]
    in_music21 = Counter(s.work for s in files if s.data == "music21" and s.reading == "quartet")
    in_openscore = {s.work for s in files if s.data == "openscore_quartets"}
    kept = []
    for source in files:
        skip = source.skip
        if source.data == "openscore_quartets":
            if source.style.removesuffix("_quartet") not in EARLY_QUARTETS:
                skip = "written after about 1850"
            elif in_music21[source.work] > 1:
                skip = "music21 has this work as well"
        elif source.work in in_openscore and in_music21[source.work] == 1:
            skip = "OpenScore has this work with its movements apart"
        kept.append(replace(source, skip=skip))
    return kept


def source_files(data: str, root: Path | dict[str, Path]) -> list[SourceFile]:
    """Every file of a data set, in an order that does not depend on the file system.

    Args:
        root: its folder, or the folders of the sets it is made of (`corpus_roots`).

    Raises:
        RequestError: no file of the right kind.
    """
    if isinstance(root, Path):
        root = {data: root}
    found = {name: _LISTS[name](folder) for name, folder in root.items()}
    for name, files in found.items():
        if not files:
            raise RequestError(f"data={name}: no MIDI or MusicXML file of this set in {root[name]}")
    return found[data] if list(found) == [data] else _counted_once(found)
