"""A piece's folder: written beside its final name and moved there when it is complete.

Nothing half-written ever stands under the final name, and no file is replaced or removed that this program did not
write itself, so `out=` may name a folder that holds other things. A piece takes the place of another piece only, which
is known by its provenance.json.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from music.errors import FileError

PROVENANCE = "provenance.json"
AUDIO_FILES = ("piece.ogg", "piece.wav", "piece.flac", "piece.mp3")
PIECE_FILES = (
    *("plan.json", "plan.png", "score.musicxml", "score.mid", "performance.mid", "roll.png", PROVENANCE),
    "report.html",
    *AUDIO_FILES,
)
# Wishes that may differ between two pieces that are the same: the seed counted from, and what the sound is made with.
ALIKE = ("seed", "count", "audio", "synth", "soundfont")
# The packages whose versions decide the bytes of a piece.
PACKAGES = ("ritornello", "numpy", "scipy", "music21", "partitura", "mido", "soundfile", "torch")
# What a piece keeps of the JSON beside the weights that wrote it.
ABOUT_KEYS = ("kind", "sha256", "licence", "trained_on", "steps")
MAX_SLUG = 60
# With less than this free, a writer's failure is put down to the full disk: not every library says so itself.
# A sound file is the largest and is cleared away before the room is measured.
FULL_DISK_BYTES = 2**24


def slug(title: str) -> str:
    """A title as a file name of lower-case ASCII letters, digits and hyphens; "piece" where nothing is left."""
    title = title.replace("#", " sharp").replace("♯", " sharp").replace("♭", " flat")
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower())[:MAX_SLUG].strip("-") or "piece"


def check_piece(folder: Path, settings: Mapping[str, Any], *, planned: bool = True) -> Path:
    """Sees that a piece can be made and written to a folder, before the work begins, and gives the folder back.

    Args:
        folder: where it goes.
        settings: `audio`, `synth`, `soundfont` and `score_file`.
        planned: whether the piece has a plan; one without would take away the plan of the score that it plays.

    Raises:
        RequestError: FluidSynth or its SoundFont is asked for and missing.
        FileError: see `check_folder`.
    """
    check_folder(folder)
    source, plan = settings["score_file"], folder / "plan.json"
    if not planned and source and plan.exists() and Path(source).resolve().parent == folder.resolve():
        raise FileError(plan, f"would be lost; perform with plan_file={plan}, or choose another out=")
    if settings["audio"] != "none" and settings["synth"] == "fluidsynth":
        from render.fluidsynth import check_fluidsynth

        check_fluidsynth(settings["soundfont"])
    return folder


def check_folder(folder: Path) -> None:
    """Sees that a folder can be written to; makes nothing.

    Raises:
        FileError: a file stands where the folder or one of its parents should be, it cannot be written to, or somebody
            else's file would be replaced.
    """
    _check_place(folder)
    _check_own(folder)


def beside_others(folder: Path, origin: Mapping[str, Any]) -> Path:
    """The folder, or FOLDER-2, FOLDER-3 …: the first that holds no piece of other wishes.

    Args:
        folder: named after a piece; two pieces with one title and seed would take each other's place there.
        origin: of the piece to be written (`provenance`).
    """
    number, place = 1, folder
    while (place / PROVENANCE).exists() and _asked(place) != _comparable(origin):
        number += 1
        place = folder.with_name(f"{folder.name}-{number}")
    return place


def _asked(folder: Path) -> dict[str, Any] | None:
    try:
        return _comparable(json.loads((folder / PROVENANCE).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _comparable(origin: Mapping[str, Any]) -> dict[str, Any]:
    """What makes two pieces the same: wishes, seed, files and layers, whatever the sound file and the versions."""
    plain = {key: value for key, value in json.loads(json.dumps(origin, default=str)).items() if key != "versions"}
    own = {key: value for key, value in plain["request"].items() if key not in ALIKE}
    return plain | {"request": own}


def _check_own(folder: Path) -> None:
    if (folder / PROVENANCE).exists():
        return
    for name in PIECE_FILES:
        if (folder / name).is_file():
            raise FileError(folder / name, f"is not of a piece ({PROVENANCE} is missing); choose another out=")


def _check_place(folder: Path) -> None:
    for place in (folder, *folder.parents):
        if place.is_dir():
            if not os.access(place, os.W_OK | os.X_OK):
                raise FileError(place, "cannot be written to; choose another folder with out=")
            return
        if place.exists() or place.is_symlink():
            raise FileError(place, "is not a folder; choose another with out=")


@contextmanager
def new_folder(folder: Path, names: tuple[str, ...] = PIECE_FILES) -> Iterator[Path]:
    """Yields an empty folder to write to; when the block ends without an error its files move to `folder`.

    Args:
        folder: final place, made where it is missing.
        names: files of an earlier run that the new ones replace: those that were not written again are removed.

    Raises:
        FileError: see `check_folder`; whose files these are is asked only of a piece, which has a provenance.json.
    """
    _check_place(folder)
    made = [p for p in folder.parents if not p.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}.", suffix=".part", dir=folder.parent))
    done = False
    try:
        yield temporary
        folder.mkdir(exist_ok=True)
        written = sorted((p.name for p in temporary.iterdir()), key=lambda name: (name != PROVENANCE, name))
        if PROVENANCE in written:
            _check_own(folder)
        for name in sorted({*written, *names}):  # before the first one moves
            if (folder / name).is_dir() and not (folder / name).is_symlink():
                raise FileError(folder / name, "is a folder where a file is to go; choose another folder with out=")
        for name in written:
            os.replace(temporary / name, folder / name)
        for name in set(names) - set(written):
            (folder / name).unlink(missing_ok=True)
        done = True
    except (FileError, OSError) as error:
        raise _as_final(error, temporary, folder) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not done:
            for parent in made:  # from the inside out, and only while they are empty
                try:
                    parent.rmdir()
                except OSError:
                    break


def _as_final(error: FileError | OSError, temporary: Path, folder: Path) -> Exception:
    """The error with the file's final name, which is the one that the user knows; a full disk is called one."""
    path = Path(str(error.path if isinstance(error, FileError) else error.filename or folder))
    name = folder / path.name if path.parent == temporary else path
    if shutil.disk_usage(temporary.parent).free < FULL_DISK_BYTES or getattr(error, "errno", None) == errno.ENOSPC:
        return FileError(name, "no space left on the disk; free some, or choose another one with out=")
    return type(error)(name, error.reason) if isinstance(error, FileError) else error


def write_json(data: Mapping[str, Any], path: Path) -> None:
    """Writes a mapping as readable JSON in UTF-8."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def provenance(request: Mapping[str, Any], seed: int, layers: Mapping[str, object]) -> dict[str, Any]:
    """How a piece came to be: the wishes, the seed, the versions, the user's files and what each layer says of itself.

    Args:
        request: the settings; nested ones, those that are None and those about places are left out.
        layers: by name; a layer with weights has their JSON in its attribute `about`, of which `ABOUT_KEYS` are kept.
    """
    from music.passage import file_hashes

    versions: dict[str, str] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    described: dict[str, Any] = {}
    for name, layer in layers.items():
        about = getattr(layer, "about", {})
        known = {key: about[key] for key in ABOUT_KEYS if key in about}
        described[name] = {"class": f"{type(layer).__module__}.{type(layer).__qualname__}"} | (
            {"weights": known} if known else {}
        )
    places = ("out", "cache_dir", "workers")  # where it was made does not matter to what it is
    wishes = {k: v for k, v in request.items() if v is not None and not isinstance(v, Mapping) and k not in places}
    return {"seed": seed, "request": wishes, "layers": described, "versions": versions} | file_hashes(request)
