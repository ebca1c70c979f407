"""The networks of all streams, gathered while they are trained one after another, as one weights file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from music.errors import WeightsError
from planner.corpus import STREAMS
from planner.network import StreamNetwork
from planner.sampling import KIND, SHIPPED
from training.weights import load_weights, save_weights


@dataclass(frozen=True, eq=False)
class Shelf:
    """Networks by stream, and what goes into the file beside them.

    Args:
        styles: known style tags.
        tables: of `planner.tables.fit_all_tables`.
        about: more for the JSON.
        networks: sizes of each stream's network.
        tensors: weights, by "stream.name".
    """

    styles: tuple[str, ...]
    tables: Mapping[str, np.ndarray]
    about: Mapping[str, Any]
    networks: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def holding(self, stream: str, network: StreamNetwork) -> Shelf:
        """With a copy of a stream's network in half precision, in place of one that was there."""
        own = {f"{stream}.{key}": value.detach().half().cpu() for key, value in network.state_dict().items()}
        return replace(
            self,
            networks={**self.networks, stream: network.config.to_dict()},
            tensors={**self.tensors, **own},
        )

    def completed(self) -> Shelf:
        """With the streams that are missing taken from the weights that ship, to draw whole plans with.

        Raises:
            WeightsError: those know other styles, so they cannot stand beside these.
        """
        missing = [name for name in STREAMS if name not in self.networks]
        if not missing:
            return self
        tensors, about = load_weights(SHIPPED, "planner_weights")
        if tuple(about["styles"]) != tuple(self.styles):
            raise WeightsError(
                SHIPPED, f"knows other styles; there are no plans before {', '.join(missing)} is trained"
            )
        starts = tuple(f"{name}." for name in missing)
        lent = {key: value for key, value in tensors.items() if key.startswith(starts)}
        tables = {
            key.removeprefix("tables."): value.numpy()
            for key, value in tensors.items()
            if key.startswith(tuple(f"tables.{name}" for name in starts))
        }
        return replace(
            self,
            networks={**self.networks, **{name: about["streams"][name] for name in missing}},
            tensors={**self.tensors, **lent},
            tables={**tables, **self.tables},
        )

    def save(self, path: Path, **more: Any) -> None:
        """Writes the weights file and its JSON, to which `more` is added.

        Raises:
            WeightsError: it cannot be written.
        """
        tables = {f"tables.{name}": torch.from_numpy(np.ascontiguousarray(v)) for name, v in self.tables.items()}
        about = {"kind": KIND, "styles": list(self.styles), "streams": dict(self.networks), **self.about, **more}
        save_weights(path, {**self.tensors, **tables}, about)
