"""Sizes of the performer's network, as plain values that a checkpoint and a JSON can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from music.errors import RequestError

KINDS = ("lstm", "conv")


@dataclass(frozen=True)
class PerformerConfig:
    """What a `PerformerNetwork` is built from.

    Args:
        note_columns, onset_columns: names of the features, in order; the widths are theirs.
        styles: tags that are known; any other is told as unknown.
        kind: what reads the onsets in both directions: "lstm", or "conv", dilated convolutions, to compare with.
        note_units: width of a note's own reading.
        units: width of the onsets' reading, of each direction.
        layers: of it.
        bar_units: width of the bars' reading, of each direction.
        noise_units: width of the networks that draw what the score does not tell.
        dropout: share of units that are dropped in training.
    """

    note_columns: tuple[str, ...]
    onset_columns: tuple[str, ...]
    styles: tuple[str, ...]
    kind: str = "lstm"
    note_units: int = 64
    units: int = 128
    layers: int = 2
    bar_units: int = 64
    noise_units: int = 64
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise RequestError(f"kind={self.kind} of a performer's network is not one of {', '.join(KINDS)}")

    def to_dict(self) -> dict[str, Any]:
        """Builtins alone."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PerformerConfig:
        """The inverse of `to_dict`."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, (list, tuple)) else v for k, v in values.items()}
        return cls(**plain)

    @classmethod
    def of(
        cls, note_columns: Sequence[str], onset_columns: Sequence[str], styles: Sequence[str], **sizes: Any
    ) -> PerformerConfig:
        """A configuration for given features and tags."""
        return cls(tuple(note_columns), tuple(onset_columns), tuple(styles), **sizes)
