"""Weight files without torch: tensors in safetensors, everything else in a JSON beside them.

The JSON holds the sha256 of the tensors' file, so that a damaged, swapped or half-copied pair is found when it is
loaded and not heard in the music. Nothing in either file can run code. A layer that samples without torch reads its
tensors here, as numpy arrays, and does not wait for torch to be imported.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from music.errors import WeightsError

FORMAT = 1


def write_file(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
        WeightsError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise WeightsError(path, f"cannot be written ({error.strerror})") from error


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise WeightsError(path, f"is missing; train it, or name another file with {key}=FILE") from None
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror})") from error


def load_about(path: Path, key: str = "weights") -> dict[str, Any]:
    """The JSON of a pair.

    Args:
        path: either file.
        key: what names another pair on the command line, for errors.

    Raises:
        WeightsError: missing, not JSON, or of another format.
    """
    if path.suffix != ".json" and path.suffix and not path.is_file():  # the file that the user named, not its JSON
        _read(path, key)
    path = path.with_suffix(".json")
    try:
        about = json.loads(_read(path, key))
    except ValueError:
        raise WeightsError(path, "is not JSON") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT or not isinstance(about.get("sha256"), str):
        raise WeightsError(path, f"does not describe weights of format {FORMAT}")
    return about


def load_checked(path: Path, key: str = "weights") -> tuple[bytes, dict[str, Any]]:
    """The bytes of the tensors' file and the JSON of a pair, checked against each other; arguments as `load_about`.

    Raises:
        WeightsError: either file is missing or damaged, or they do not belong together.
    """
    path = path.with_suffix(".safetensors")
    about = load_about(path, key)
    data = _read(path, key)
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        raise WeightsError(path, "is damaged or not the file that its JSON describes (checksums differ)")
    return data, about


def load_arrays(path: Path, key: str = "weights") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors of a pair as arrays, and its JSON; arguments as `load_about`.

    Raises:
        WeightsError: either file is missing or damaged, or they do not belong together.
    """
    data, about = load_checked(path, key)
    try:
        return load(data), about
    except SafetensorError as error:
        raise WeightsError(path, f"is not a safetensors file ({error})") from error
