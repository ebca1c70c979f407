"""Weight files: tensors in safetensors, everything else in a JSON beside them.

The JSON holds the sha256 of the tensors' file, so that a damaged, swapped or half-copied pair is found when it is
loaded and not heard in the music. Nothing in either file can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from music.errors import WeightsError

FORMAT = 1


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise WeightsError(path, f"cannot be written ({error.strerror})") from error


def save_weights(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Writes PATH.safetensors and PATH.json, each whole or not at all.

    Args:
        path: with or without the suffix .safetensors.
        tensors: a state dict; stored in its own precision.
        about: builtins: sizes, features, corpus, licence, figures.

    Raises:
        WeightsError: the files cannot be written.
    """
    path = path.with_suffix(".safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    data = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    about = {"format": FORMAT, "sha256": hashlib.sha256(data).hexdigest(), **about}
    _write(path, data)
    _write(path.with_suffix(".json"), (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise WeightsError(path, "is missing; train it, or name another file with weights=FILE") from None
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror})") from error


def load_about(path: Path) -> dict[str, Any]:
    """The JSON of a pair.

    Raises:
        WeightsError: missing, not JSON, or of another format.
    """
    path = path.with_suffix(".json")
    try:
        about = json.loads(_read(path))
    except ValueError:
        raise WeightsError(path, "is not JSON") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT or not isinstance(about.get("sha256"), str):
        raise WeightsError(path, f"does not describe weights of format {FORMAT}")
    return about


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON of a pair, checked against each other.

    Raises:
        WeightsError: either file is missing or damaged, or they do not belong together.
    """
    path = path.with_suffix(".safetensors")
    about = load_about(path)
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        raise WeightsError(path, "is damaged or not the file that its JSON describes (checksums differ)")
    try:
        return load(data), about
    except SafetensorError as error:
        raise WeightsError(path, f"is not a safetensors file ({error})") from error


def fit_weights(path: Path, module: torch.nn.Module, tensors: dict[str, Tensor]) -> None:
    """Loads tensors into a module of the same names and shapes.

    Raises:
        WeightsError: names or shapes differ; the first difference is named.
    """
    wanted = module.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors or name not in wanted:
            raise WeightsError(path, f"does not fit the network of its JSON: {name} is on one side only")
        if tensors[name].shape != wanted[name].shape:
            shapes = f"{tuple(tensors[name].shape)} for {tuple(wanted[name].shape)}"
            raise WeightsError(path, f"does not fit the network of its JSON: {name} is {shapes}")
    module.load_state_dict(tensors)
