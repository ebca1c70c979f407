"""Scores, and what was done with them, as tensors: whole pieces or crops, padded to the longest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from performer.examples import LEVELS, Targets
from performer.features import ScoreFeatures


@dataclass(frozen=True, eq=False)
class Sheet:
    """A piece, or a stretch of whole onsets of one, as arrays.

    Args:
        notes, onsets: features.
        place: index of each note's onset.
        bar: index of each onset's bar, from 0 without a gap.
        style: 1 + index of the tag, 0 for unknown.
        targets: where it was played.
    """

    notes: np.ndarray
    onsets: np.ndarray
    place: np.ndarray
    bar: np.ndarray
    style: int
    targets: Targets | None = None

    def __len__(self) -> int:
        return len(self.onsets)


@dataclass(frozen=True, eq=False)
class ScoreBatch:
    """Sheets together: notes of all in one row, onsets and bars padded.

    Args:
        notes: [notes, columns].
        onsets: [sheets, onsets, columns].
        place: [notes] flat index (sheet * onsets + onset) of each note's onset.
        first, last: [sheets * onsets] index of the lowest and highest note of each onset.
        bar: [sheets, onsets] flat index (sheet * bars + bar); of padding, one past the end.
        bars: [sheets] how many.
        lengths: [sheets] onsets.
        style: [sheets].
    """

    notes: Tensor
    onsets: Tensor
    place: Tensor
    first: Tensor
    last: Tensor
    bar: Tensor
    bars: Tensor
    lengths: Tensor
    style: Tensor


@dataclass(frozen=True, eq=False)
class TargetBatch:
    """What was played: [sheets, onsets] for tempo and pedal, [notes] for the rest, [sheets, levels]."""

    tempo: Tensor
    tempo_known: Tensor
    velocity: Tensor
    articulation: Tensor
    timing: Tensor
    known: Tensor
    pedal: Tensor
    levels: Tensor


_Part = TypeVar("_Part", ScoreBatch, TargetBatch)


@dataclass(frozen=True, eq=False)
class Batch:
    """Scores and what was played."""

    score: ScoreBatch
    targets: TargetBatch

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same on a device (Lightning calls it)."""
        return Batch(_moved(self.score, device, non_blocking), _moved(self.targets, device, non_blocking))


def _moved(part: _Part, device: torch.device | str, non_blocking: bool) -> _Part:
    return type(part)(**{f.name: getattr(part, f.name).to(device, non_blocking=non_blocking) for f in fields(part)})


def sheet_of(features: ScoreFeatures, style: int, targets: Targets | None = None) -> Sheet:
    """A whole piece."""
    _, bar = np.unique(features.bar, return_inverse=True)
    return Sheet(features.notes, features.onsets, features.place, bar, style, targets)


def crop(sheet: Sheet, start: int, count: int) -> Sheet:
    """The onsets from `start` on, `count` of them or as many as there are."""
    stop = min(start + count, len(sheet))
    low, high = np.searchsorted(sheet.place, [start, stop])
    at, notes = slice(start, stop), slice(int(low), int(high))
    targets = sheet.targets
    if targets is not None:
        targets = Targets(
            tempo=targets.tempo[at],
            tempo_known=targets.tempo_known[at],
            velocity=targets.velocity[notes],
            articulation=targets.articulation[notes],
            timing=targets.timing[notes],
            known=targets.known[notes],
            pedal=targets.pedal[at],
            levels=targets.levels,
        )
    bar = sheet.bar[at]
    return Sheet(sheet.notes[notes], sheet.onsets[at], sheet.place[notes] - start, bar - bar[0], sheet.style, targets)


def collate(sheets: Sequence[Sheet]) -> ScoreBatch:
    """Sheets padded to the longest."""
    count, longest = len(sheets), max(len(s) for s in sheets)
    bars = np.array([int(s.bar[-1]) + 1 for s in sheets])
    most = int(bars.max())
    onsets = np.zeros((count, longest, sheets[0].onsets.shape[1]), dtype=np.float32)
    bar = np.full((count, longest), count * most, dtype=np.int64)
    first, last = np.zeros((count, longest), dtype=np.int64), np.zeros((count, longest), dtype=np.int64)
    places, offset = [], 0
    for i, sheet in enumerate(sheets):
        size = len(sheet)
        onsets[i, :size], bar[i, :size] = sheet.onsets, i * most + sheet.bar
        first[i, :size] = offset + np.searchsorted(sheet.place, np.arange(size))
        last[i, :size] = offset + np.searchsorted(sheet.place, np.arange(size), side="right") - 1
        places.append(i * longest + sheet.place)
        offset += len(sheet.place)
    return ScoreBatch(
        notes=torch.from_numpy(np.concatenate([s.notes for s in sheets]).astype(np.float32)),
        onsets=torch.from_numpy(onsets),
        place=torch.from_numpy(np.concatenate(places).astype(np.int64)),
        first=torch.from_numpy(first.ravel()),
        last=torch.from_numpy(last.ravel()),
        bar=torch.from_numpy(bar),
        bars=torch.from_numpy(bars.astype(np.int64)),
        lengths=torch.tensor([len(s) for s in sheets]),
        style=torch.tensor([s.style for s in sheets]),
    )


def collate_played(sheets: Sequence[Sheet]) -> Batch:
    """Sheets with their targets."""
    score = collate(sheets)
    count, longest = score.onsets.shape[:2]
    tempo = np.zeros((count, longest), dtype=np.float32)
    tempo_known = np.zeros((count, longest), dtype=bool)
    pedal = np.zeros((count, longest), dtype=np.int64)
    levels = np.zeros((count, len(LEVELS)), dtype=np.float32)
    found: list[Targets] = []
    for i, sheet in enumerate(sheets):
        assert sheet.targets is not None
        found.append(sheet.targets)
        size = len(sheet)
        tempo[i, :size], tempo_known[i, :size] = sheet.targets.tempo, sheet.targets.tempo_known
        pedal[i, :size], levels[i] = sheet.targets.pedal, sheet.targets.levels
    return Batch(
        score,
        TargetBatch(
            tempo=torch.from_numpy(tempo),
            tempo_known=torch.from_numpy(tempo_known),
            velocity=torch.from_numpy(np.concatenate([t.velocity for t in found])),
            articulation=torch.from_numpy(np.concatenate([t.articulation for t in found])),
            timing=torch.from_numpy(np.concatenate([t.timing for t in found])),
            known=torch.from_numpy(np.concatenate([t.known for t in found])),
            pedal=torch.from_numpy(pedal),
            levels=torch.from_numpy(levels),
        ),
    )
