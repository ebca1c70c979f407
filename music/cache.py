"""Parsed pieces on disk: one .npz a source file, checked before it is believed.

An entry is named by what it was made from (the source file's sha256 and the way it was read) and carries the code
version that made it and a sha256 of its content. An entry that is missing, damaged, cut short or from another version
is simply absent, so its source is parsed again. Nothing in it is pickled: numbers are integer arrays, all else JSON.
"""

from __future__ import annotations

import ast
import errno
import hashlib
import io
import json
import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np

from music.errors import CacheError, ScoreError
from music.pitch import Key
from music.score import Bar, Direction, KeyChange, MeterChange, Note, Part, Score, SectionMark, TempoChange
from music.time import Meter

FORMAT = 2  # of an entry's arrays and head: count up when they change
# By kind of reading: the library that reads it, if one does, and the modules whose code decides what a parsed file
# looks like.
_COMMON = ("time", "pitch", "score", "corpus_read")
PARSERS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "midi": (None, (*_COMMON, "midi", "midi_clock", "midi_events", "midi_score")),
    "musicxml": ("music21", (*_COMMON, "safe_xml", "musicxml", "musicxml_check", "musicxml_read")),
}
_PAIR = ("time", "pitch", "score", "performance", "paired", "voices", "performance_read")
PARSERS |= {
    "match": ("partitura", (*_PAIR, "match_files")),
    "piano_performance": (None, (*_PAIR, "midi", "midi_clock", "midi_events", "midi_score", "piano_midi_de")),
    "aligned_performance": ("music21", (*_PAIR, *PARSERS["midi"][1], *PARSERS["musicxml"][1], "aligned_files")),
}
BOWED_PROGRAMS = range(40, 46)  # General MIDI violin to pizzicato strings
BOWED_NAMES = ("violin", "viola", "violoncello", "cello", "vl", "vla", "vc")
STEP_NAMES = ("", "C", "D", "E", "F", "G", "A", "B")
Arrays = dict[str, np.ndarray]
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


@dataclass(frozen=True)
class CacheEntry:
    """What reading a source file gave: its scores, or the reason why there is none.

    Args:
        bars, notes: one count a score, known without building the scores.
        ensembles: "piano", "satb" or "quartet", one a score.
        reason: why the file is dropped, "" where it is kept.
    """

    bars: tuple[int, ...] = ()
    notes: tuple[int, ...] = ()
    ensembles: tuple[str, ...] = ()
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain lists and strings."""
        return {
            "bars": list(self.bars),
            "notes": list(self.notes),
            "ensembles": list(self.ensembles),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CacheEntry:
        """Inverse of `as_json`. Raises KeyError, TypeError."""
        return cls(tuple(data["bars"]), tuple(data["notes"]), tuple(data["ensembles"]), data["reason"])


def ensemble_of(score: Score) -> str:
    """ "quartet" or "satb" for four parts with notes, by their programs and names; "piano" for all else."""
    filled = sorted({n.part for n in score.notes})
    if len(filled) != 4:
        return "piano"
    parts = [score.parts[i] for i in filled]
    bowed = sum(part.program in BOWED_PROGRAMS or part.name.lower().startswith(BOWED_NAMES) for part in parts)
    return "quartet" if bowed >= 3 else "satb"


def default_cache_dir() -> Path:
    """`ritornello` in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(base) if base else Path.home() / ".cache") / "ritornello"


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _code_without_prose(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            first.value = ast.Constant("")
    return ast.dump(tree)


@cache
def code_version(kind: str) -> str:
    """Hash of a kind of parser ("midi", "musicxml"): its code without comments and docstrings, its library's version.

    Raises:
        KeyError: unknown kind.
    """
    library, modules = PARSERS[kind]
    reader = f"{library} {package_version(library)}" if library else "no library"
    digest = hashlib.sha256(f"format {FORMAT}, {reader}\n".encode())
    for name in modules:
        text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        digest.update(f"{name}\n{_code_without_prose(text)}\n".encode())
    return digest.hexdigest()[:32]


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all: under another name beside it, then renamed.

    Raises:
        CacheError: folder not writable, disk full or any other refusal of the system.
    """
    # The name is known before the file is there: whatever breaks in, at whatever moment, the file is taken away.
    temporary = path.with_name(f".part-{os.getpid()}-{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream.write(data)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise CacheError(path, _why(error)) from error
        raise


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Lets one process at a time parse into a folder: the others wait, then find its work done.

    Several ranks of a training start at once, and each would parse the whole corpus. Where the system or the file
    system knows no such locks nobody waits, and only work is lost: entries are written whole either way.

    Raises:
        CacheError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CacheError(folder, _why(error)) from error
    try:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # releases the lock, as the end of the process would


def _why(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space, or put the cache elsewhere with cache_dir=DIR"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return "the cache folder cannot be written; name another one with cache_dir=DIR"
    return f"the cache cannot be written ({error.strerror or error}); name another folder with cache_dir=DIR"


def json_array(value: object) -> np.ndarray:
    """A value as the bytes of its JSON, uint8 [byte]; always the same bytes for the same value."""
    return np.frombuffer(json.dumps(value, separators=(",", ":"), sort_keys=True).encode("ascii"), dtype=np.uint8)


def from_json_array(array: np.ndarray) -> Any:
    """Inverse of `json_array`. Raises ValueError."""
    return json.loads(array.tobytes().decode("ascii"))


def score_to_arrays(score: Score) -> Arrays:
    """A score as plain arrays: `notes` int64 [note, 7], `bars` int64 [bar, 3], `text` uint8 (JSON of all the rest)."""
    notes = [
        (n.onset_div, n.duration_div, n.pitch, n.part, n.staff, n.voice, STEP_NAMES.index(n.step)) for n in score.notes
    ]
    text = {
        "ids": [n.id for n in score.notes],
        "parts": [(p.id, p.name, p.program) for p in score.parts],
        "meters": [(m.onset_div, m.meter.numerator, m.meter.denominator) for m in score.meters],
        "keys": [(k.onset_div, k.key.tonic, k.key.minor) for k in score.keys],
        "tempos": [(t.onset_div, t.qpm) for t in score.tempos],
        "directions": [(d.onset_div, d.kind, d.text, d.duration_div, d.part) for d in score.directions],
        "sections": [(s.onset_div, s.label) for s in score.sections],
        "title": score.title,
    }
    bars = [(b.onset_div, b.duration_div, b.number) for b in score.bars]
    return {
        "notes": np.array(notes, dtype=np.int64).reshape(-1, 7),
        "bars": np.array(bars, dtype=np.int64).reshape(-1, 3),
        "text": json_array(text),
    }


def _note(note_id: str, row: list[int]) -> Note:
    onset, duration, pitch, part, staff, voice, step = row
    return Note(note_id, onset, duration, pitch, part, staff, voice, STEP_NAMES[step])


def score_from_arrays(arrays: Arrays) -> Score:
    """Inverse of `score_to_arrays`.

    Raises:
        KeyError, ValueError, TypeError, IndexError, ScoreError: arrays that are not a score's.
    """
    text = from_json_array(arrays["text"])
    rows = zip(text["ids"], arrays["notes"].tolist(), strict=True)
    return Score(
        parts=tuple(Part(*p) for p in text["parts"]),
        notes=tuple(_note(i, row) for i, row in rows),
        bars=tuple(Bar(*b) for b in arrays["bars"].tolist()),
        meters=tuple(MeterChange(at, Meter(n, d)) for at, n, d in text["meters"]),
        keys=tuple(KeyChange(at, Key(tonic, minor)) for at, tonic, minor in text["keys"]),
        tempos=tuple(TempoChange(at, qpm) for at, qpm in text["tempos"]),
        directions=tuple(Direction(*d) for d in text["directions"]),
        sections=tuple(SectionMark(*s) for s in text["sections"]),
        title=text["title"],
    )


def checksum_of(arrays: Arrays) -> str:
    """Hex sha256 of arrays with their names, types and shapes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


class ScoreCache:
    """A folder of parsed pieces.

    Args:
        folder: made when first written.
        version: entries of any other version count as absent; that of the running parsers where it is "".
    """

    def __init__(self, folder: Path, version: str = "") -> None:
        self.folder = folder
        self._version = version

    def version(self, reading: str) -> str:
        """The version that entries of this reading must have."""
        return self._version or code_version("midi" if reading == "midi" else "musicxml")

    def path(self, source_sha256: str, reading: str) -> Path:
        """Where the entry of a source file lies; `reading` names the way it was read ("chorale", "quartet" …)."""
        return self.folder / source_sha256[:2] / f"{source_sha256[2:40]}-{reading}.npz"

    def put(self, source_sha256: str, reading: str, scores: tuple[Score, ...], reason: str = "") -> CacheEntry:
        """Writes an entry: scores, or the reason why the file is dropped.

        Raises:
            CacheError: see `write_atomically`.
        """
        entry = CacheEntry(
            bars=tuple(len(s.bars) for s in scores),
            notes=tuple(len(s.notes) for s in scores),
            ensembles=tuple(ensemble_of(s) for s in scores),
            reason=reason,
        )
        head = {"version": self.version(reading), **entry.as_json()}
        arrays: Arrays = {"head": json_array(head)}
        for i, score in enumerate(scores):
            arrays |= {f"{name}_{i}": array for name, array in score_to_arrays(score).items()}
        arrays["checksum"] = np.frombuffer(checksum_of(arrays).encode("ascii"), dtype=np.uint8)
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **arrays)
        write_atomically(self.path(source_sha256, reading), stream.getvalue())
        return entry

    def _read(self, source_sha256: str, reading: str) -> tuple[CacheEntry, Arrays] | None:
        try:
            with np.load(self.path(source_sha256, reading), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            checksum = arrays.pop("checksum").tobytes().decode("ascii")
            head = from_json_array(arrays["head"])
            if checksum != checksum_of(arrays) or head["version"] != self.version(reading):
                return None
            return CacheEntry.from_json(head), arrays
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise CacheError(self.folder, "the cache cannot be read; name another one with cache_dir=DIR") from error
        except _DAMAGE:
            return None  # whatever is wrong with it: absent, and rebuilt

    def peek(self, source_sha256: str, reading: str) -> CacheEntry | None:
        """The entry if it is whole and of this version, else None; scores are not built.

        Raises:
            CacheError: the folder cannot be read.
        """
        found = self._read(source_sha256, reading)
        return found[0] if found else None

    def get(self, source_sha256: str, reading: str) -> tuple[Score, ...] | None:
        """The scores if the entry is whole and of this version, else None. Raises CacheError as `peek` does."""
        found = self._read(source_sha256, reading)
        if found is None:
            return None
        entry, arrays = found
        try:
            return tuple(
                score_from_arrays({name: arrays[f"{name}_{i}"] for name in ("notes", "bars", "text")})
                for i in range(len(entry.bars))
            )
        except (KeyError, ValueError, TypeError, IndexError, ScoreError):
            return None

    def load(self, source_sha256: str, reading: str) -> tuple[Score, ...]:
        """The scores of an entry that was there a moment ago. Raises CacheError where it is not any more."""
        scores = self.get(source_sha256, reading)
        if scores is None:
            raise CacheError(
                self.path(source_sha256, reading), "the entry vanished while in use; run the command again"
            )
        return scores
