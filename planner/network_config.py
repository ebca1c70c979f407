"""Sizes of a stream's network; free of torch, so that sampling need not wait for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from planner.streams import Stream

KINDS = ("lstm", "transformer")


@dataclass(frozen=True)
class StreamConfig:
    """Sizes of a stream's network.

    Args:
        columns: (name, size) of each column.
        fields: (name, size, columns that it may copy) of each field.
        embedding: width of the summed input.
        units: width of the state.
        layers: of the LSTM or transformer.
        dropout: on the input and the state, in training.
        kind: "lstm", or "transformer" to compare with; only the LSTM is sampled from.
    """

    columns: tuple[tuple[str, int], ...]
    fields: tuple[tuple[str, int, tuple[str, ...]], ...]
    embedding: int = 96
    units: int = 160
    layers: int = 1
    dropout: float = 0.3
    kind: str = "lstm"

    @classmethod
    def of(cls, stream: Stream, **sizes: Any) -> StreamConfig:
        """The configuration for a stream, with `sizes` for the rest."""
        columns = tuple((c.name, c.size) for c in stream.columns)
        return cls(columns, tuple((f.name, f.size, f.copies) for f in stream.fields), **sizes)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> StreamConfig:
        """Inverse of `to_dict`."""
        columns = tuple((str(name), int(size)) for name, size in values["columns"])
        fields = tuple((str(name), int(size), tuple(copies)) for name, size, copies in values["fields"])
        return cls(**{**values, "columns": columns, "fields": fields})

    def to_dict(self) -> dict[str, Any]:
        """Plain builtins."""
        return asdict(self)

    @property
    def starts(self) -> list[int]:
        """Where each field's values begin among all values; the last number is how many there are."""
        ends = [0]
        for _, size, _ in self.fields:
            ends.append(ends[-1] + size)
        return ends

    @property
    def rows(self) -> list[int]:
        """First row of each column in the table, then that of the fields, then that of the token before."""
        ends = [0]
        for _, size in self.columns:
            ends.append(ends[-1] + size)
        return [*ends, ends[-1] + len(self.fields)]

    @property
    def table(self) -> int:
        """Rows of the table: all column values, fields, values, and one for "no token before"."""
        return self.rows[-1] + self.starts[-1] + 1

    @property
    def copies(self) -> list[tuple[int, int]]:
        """(field, column) of each copy, in the order of the gates."""
        place = {name: index for index, (name, _) in enumerate(self.columns)}
        return [(f, place[name]) for f, (_, _, names) in enumerate(self.fields) for name in names]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor of an LSTM of one layer that is sampled from, by its name."""
        width, gates, copies = self.units + self.embedding, 4 * self.units, max(len(self.copies), 1)
        return {
            "table.weight": (self.table, self.embedding),
            "body.weight_ih_l0": (gates, self.embedding),
            "body.weight_hh_l0": (gates, self.units),
            "body.bias_ih_l0": (gates,),
            "body.bias_hh_l0": (gates,),
            "out.weight": (self.starts[-1], width),
            "out.bias": (self.starts[-1],),
            "gates.weight": (copies, width),
            "gates.bias": (copies,),
        }
