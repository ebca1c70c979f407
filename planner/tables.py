"""The tables of look-ahead, beside the networks: small Markov models of the same tokens, and the themes known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.originality import RunIndex
from music.plan import Theme
from planner import form_ahead, harmony_ahead, theme_ahead, theme_draw
from planner.streams import Tokens

INDEX = "index.steps"
_FITS = {"form": form_ahead.fit_tables, "harmony": harmony_ahead.fit_tables, "theme": theme_ahead.fit_tables}


def fit_all_tables(walks: Mapping[str, Sequence[Tokens]], themes: Sequence[Theme]) -> dict[str, np.ndarray]:
    """Tables of each stream, by "stream.name", and the index of themes.

    Args:
        walks: training walks of each stream.
        themes: training themes, whose runs of notes are not to be copied.
    """
    found = {}
    for stream, tokens in walks.items():
        found |= {f"{stream}.{name}": value for name, value in _FITS[stream](list(tokens)).items()}
    steps = theme_draw.theme_index(themes).steps
    return found | {INDEX: steps.view(np.int32)}  # torch has no unsigned numbers to store them in


def index_of(tensors: Mapping[str, np.ndarray]) -> RunIndex:
    """The index of training themes in a weights file."""
    steps = tensors.get(f"tables.{INDEX}", np.zeros(0, dtype=np.int32))
    return RunIndex(np.ascontiguousarray(steps).view(np.uint32), {"of": "themes"})


def tables_of(tensors: Mapping[str, np.ndarray], stream: str) -> dict[str, np.ndarray]:
    """A stream's tables among the tensors of a weights file."""
    prefix = f"tables.{stream}."
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
