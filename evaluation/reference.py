"""People's figures that ship: what `task=evaluate` stands beside, with no corpus at hand.

`benchmarks/reference.py` writes the files; each part of them names its command.
"""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.judge import JudgedPiece
from evaluation.windows import feature_names
from music.errors import FileError

PEOPLE = Path(__file__).with_name("people.json")
WINDOWS = Path(__file__).with_name("people_windows.npz")
PIANISTS = Path(__file__).with_name("pianists.json")


@cache
def people() -> dict[str, Any]:
    """`pieces` and `plans`, each with its `command` and `sets` by ensemble; what is not known is left out.

    Raises:
        FileError: the file is missing or damaged.
    """
    return _read(PEOPLE)


@cache
def pianists() -> dict[str, Any]:
    """Spreads, habits and differences of pianists on held-out compositions, as `performer.evaluate_figures` has them.

    Raises:
        FileError: the file is missing or damaged.
    """
    return _read(PIANISTS)["nasap"]


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(path, f"is no table of figures ({error})") from None


@cache
def people_judged(path: Path = WINDOWS) -> tuple[JudgedPiece, ...]:
    """People's held-out pieces before the judge: some windows of each, in half precision.

    Raises:
        FileError: the file is missing, damaged, or of other features than are counted now.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            windows, sizes, names = file["windows"], file["sizes"], json.loads(file["names"].tobytes())
        features, kinds = list(names["features"]), list(names["kinds"])
    except (OSError, ValueError, KeyError, EOFError, zlib.error) as error:
        raise FileError(path, f"holds no windows ({error})") from None
    if features != list(feature_names()) or windows.shape != (int(sizes.sum()), len(features)):
        raise FileError(path, "was counted by other code; write it anew with python -m benchmarks.reference pieces")
    parts = np.split(windows.astype(np.float64), np.cumsum(sizes)[:-1])
    return tuple(JudgedPiece(part, kind, ours=False) for part, kind in zip(parts, kinds, strict=True))


def as_kept(piece: JudgedPiece) -> JudgedPiece:
    """A piece with its features in half precision, as people's are kept, so that rounding tells nobody."""
    return JudgedPiece(piece.windows.astype(np.float16).astype(np.float64), piece.kind, piece.ours)
