"""Weights of a torch module, to and from files (`training.weight_files`)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from music.errors import WeightsError
from training.weight_files import FORMAT, load_about, load_checked, write_file

__all__ = ["fit_weights", "load_about", "load_weights", "save_weights"]


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
    write_file(path, data)
    write_file(path.with_suffix(".json"), (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())


def load_weights(path: Path, key: str = "weights") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON of a pair, checked against each other; arguments as `training.weight_files.load_about`.

    Raises:
        WeightsError: either file is missing or damaged, or they do not belong together.
    """
    data, about = load_checked(path, key)
    try:
        return load(data), about
    except SafetensorError as error:
        raise WeightsError(path.with_suffix(".safetensors"), f"is not a safetensors file ({error})") from error


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
