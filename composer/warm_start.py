"""Weights of a network that knew fewer features or other styles, fitted to today's: columns are matched by their names.

Every file of weights says which blocks of features its columns stand for. A block that the file lacks gets zeros: the
network does at first what it did before, and learns from there what the new feature is good for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from composer.features import feature_names
from composer.network import BiaxialNetwork, NetworkConfig
from music.errors import WeightsError
from training.weights import fit_weights, load_weights

COLUMNS = {"local.weight": "local", "context.weight": "global"}  # tensors whose columns are blocks of features


def _matched(
    old: Tensor,
    old_blocks: Mapping[str, int],
    new_blocks: Mapping[str, int],
    old_styles: Sequence[str],
    new_styles: Sequence[str],
) -> Tensor:
    """The columns of `old` where today's blocks want them."""
    places, start = {}, 0
    for name, width in old_blocks.items():
        places[name] = (start, width)
        start += width
    parts = []
    for name, width in new_blocks.items():
        first, known = places.get(name, (0, 0))
        columns = old[:, first : first + known]
        if name == "style":
            column = {style: columns[:, i] for i, style in enumerate(old_styles)}
            # A style that was never met begins as the mean of those that were.
            unmet = columns.mean(dim=1) if known else old.new_zeros(old.shape[0])
            parts.append(torch.stack([column.get(s, unmet) for s in new_styles], dim=1))
        else:
            parts.append(columns if known == width else old.new_zeros(old.shape[0], width))
    return torch.cat(parts, dim=1)


def matched_tensors(
    tensors: Mapping[str, Tensor], about: Mapping[str, Any], styles: Sequence[str]
) -> dict[str, Tensor]:
    """Tensors of a file for a network of today's features and of these styles."""
    known = about["network"].get("styles", [])
    new = feature_names(len(styles))
    old = about.get("features") or feature_names(len(known))
    return {
        name: _matched(value, old[COLUMNS[name]], new[COLUMNS[name]], known, styles) if name in COLUMNS else value
        for name, value in tensors.items()
    }


def load_network(path: Path, styles: Sequence[str] | None = None) -> tuple[BiaxialNetwork, dict[str, Any]]:
    """The network of a file, with today's features, and what the file says of itself.

    Args:
        path: a pair of files as `training.weights` writes them.
        styles: known style tags; None for the file's own.

    Raises:
        WeightsError: missing, damaged, or not of a biaxial network.
    """
    tensors, about = load_weights(path)
    if not isinstance(about.get("network"), dict):
        raise WeightsError(path, "does not say what network it is for")
    own = about["network"].get("styles", [])
    wanted = tuple(own if styles is None else styles)
    try:
        network = BiaxialNetwork(NetworkConfig.from_dict({**about["network"], "styles": list(wanted)}))
        fitted = matched_tensors(tensors, about, wanted)
    except (KeyError, TypeError) as error:
        raise WeightsError(path, f"does not describe a biaxial network ({error})") from error
    fit_weights(path, network, fitted)
    return network, about
