"""What a network finds each token of a walk to be worth, in nats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from music.errors import WeightsError
from planner.data import collate
from planner.network import StreamNetwork
from planner.network_config import StreamConfig
from planner.streams import Tokens
from training.weights import fit_weights, load_weights

_BATCH = 32


def load_stream(path: Path, stream: str) -> StreamNetwork:
    """The network of a stream from a weights file, in evaluation mode.

    Raises:
        WeightsError: missing, damaged, or without that stream.
    """
    tensors, about = load_weights(path)
    if stream not in about.get("streams", {}):
        raise WeightsError(path, f"has no network for the stream {stream}")
    network = StreamNetwork(StreamConfig.from_dict(about["streams"][stream]))
    own = {name.removeprefix(f"{stream}."): value.float() for name, value in tensors.items()
           if name.startswith(f"{stream}.")}  # fmt: skip
    fit_weights(path, network, own)
    return network.eval()


@torch.no_grad()
def token_nats(path: Path, stream: str, walks: Sequence[Tokens]) -> list[Float[np.ndarray, " tokens"]]:
    """Nats of each token of each walk, 0 where the value is unknown.

    Args:
        path: weights file.
        stream: "form", "harmony" or "theme".
        walks: whole walks.
    """
    network = load_stream(path, stream)
    found: list[Float[np.ndarray, " tokens"]] = [np.zeros(len(walk)) for walk in walks]
    order = np.argsort([len(walk) for walk in walks], kind="stable")
    for first in range(0, len(order), _BATCH):
        part = order[first : first + _BATCH]
        nats = network.nats(collate([walks[i] for i in part])).double().numpy()
        for row, i in zip(nats, part, strict=True):
            found[i] = row[: len(walks[i])]
    return found
