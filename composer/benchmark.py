"""task=benchmark: joint nats a frame of a network on a set of piano rolls, beside three baselines.

The sets are those that polyphonic models have been compared on since Boulanger-Lewandowski et al. 2012 ("Modeling
temporal dependencies in high-dimensional sequences"): all 88 pitches, the play bit alone, the first frame of each piece
included (silence before it), the mean over the frames of all pieces together. The sets tell neither held from
repeated notes nor where bars lie, so a note counts as struck where a run of its bits begins.
"""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from composer.baselines import log_normalised
from composer.conditions import CONTEXT_FIELDS, FIELD, LOOK_AHEAD, NO_REFERENCE, UNKNOWN
from composer.features import Frames, feature_names
from composer.network import BiaxialNetwork, NetworkConfig, State
from composer.roll import LOWEST_PITCH, PITCHES
from composer.warm_start import load_network as load_matched
from composer.windows import Window, collate
from music.errors import FileError, RequestError, WeightsError
from training.weights import load_weights

SPLITS = ("train", "valid", "test")
KIND = "composer/benchmark"
CHUNK = 64  # steps at a time; the time axis' state is carried over
LARGEST = 1 << 30  # bytes that a file's arrays may unpack to
SHIPPED = Path(__file__).parent / "weights"


class BenchmarkError(FileError):
    """A file of piano rolls that is missing, damaged, or of another layout."""


@dataclass(frozen=True, eq=False)
class Piece:
    """One piece of a set.

    Args:
        play: sounding notes; column 0 is MIDI pitch 21.
        struck: where a run of play bits begins.
    """

    play: Bool[ndarray, "steps 88"]
    struck: Bool[ndarray, "steps 88"]

    @property
    def steps(self) -> int:
        """Frames."""
        return len(self.play)


@dataclass(frozen=True, eq=False)
class RollSet:
    """A file of piano rolls.

    Args:
        path, sha256: the file.
        pieces: of each split that the file has.
    """

    path: Path
    sha256: str
    pieces: dict[str, tuple[Piece, ...]]

    def split(self, name: str) -> tuple[Piece, ...]:
        """The pieces of a split. Raises BenchmarkError where the file lacks it."""
        if name not in self.pieces:
            raise BenchmarkError(self.path, f"has no split {name!r} (it has: {' '.join(self.pieces) or 'none'})")
        return self.pieces[name]


def make_piece(play: Bool[ndarray, "steps 88"]) -> Piece:
    """A piece from its play bits."""
    before = np.vstack([np.zeros((1, PITCHES), dtype=bool), play[:-1]])
    return Piece(play, play & ~before)


def _split_pieces(path: Path, name: str, rolls: ndarray, lengths: ndarray) -> tuple[Piece, ...]:
    if rolls.dtype != np.uint8 or rolls.ndim != 2 or rolls.shape[1] != PITCHES // 8:
        raise BenchmarkError(path, f"{name}_rolls is {rolls.dtype}{list(rolls.shape)}, not uint8[frames, 11] of bits")
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or not len(lengths) or int(lengths.min()) < 1:
        raise BenchmarkError(path, f"{name}_lengths is not a list of whole numbers from 1 up")
    ends = np.cumsum(lengths.astype(np.int64))
    if int(ends[-1]) != len(rolls):
        raise BenchmarkError(path, f"{name}_lengths adds up to {int(ends[-1])} frames, {name}_rolls has {len(rolls)}")
    bits = np.unpackbits(rolls, axis=1)[:, :PITCHES].astype(bool)
    return tuple(make_piece(part) for part in np.split(bits, ends[:-1]))


def read_set(path: Path) -> RollSet:
    """Reads a file of piano rolls.

    Args:
        path: an .npz with `<split>_rolls`, uint8 [frames, 11], packed bits of 88 pitches, and `<split>_lengths`, frames
            of each piece, for one or more of train, valid, test.

    Raises:
        BenchmarkError: missing, damaged, too large, or of another layout.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BenchmarkError(path, f"cannot be read ({error.strerror})") from None
    pieces = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise BenchmarkError(path, "unpacks to over 1 GB")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            for name in SPLITS:
                if f"{name}_rolls" in file and f"{name}_lengths" in file:
                    pieces[name] = _split_pieces(path, name, file[f"{name}_rolls"], file[f"{name}_lengths"])
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, KeyError, NotImplementedError, zlib.error):
        raise BenchmarkError(path, "is not an .npz file of arrays, or it is damaged") from None
    if not pieces:
        raise BenchmarkError(path, "has no <split>_rolls with <split>_lengths for train, valid or test")
    return RollSet(path, hashlib.sha256(data).hexdigest(), pieces)


def _rows(bits: Bool[ndarray, "steps 88"], first: int, count: int) -> Bool[ndarray, "count 88"]:
    out = np.zeros((count, PITCHES), dtype=bool)
    low, high = max(first, 0), min(first + count, len(bits))
    out[low - first : max(high, low) - first] = bits[low : max(high, low)]
    return out


def step_context(first: int, steps: int, period: int) -> Int[ndarray, "steps fields"]:
    """Columns that tell nothing but, given a period, the step's place in it (a bar whose upbeat is unknown)."""
    context = np.full((steps, len(CONTEXT_FIELDS)), UNKNOWN, dtype=np.int16)
    if period > 0:
        context[:, FIELD["bar_step"]] = np.arange(first, first + steps) % period
        context[:, FIELD["bar_steps"]] = period
        context[:, FIELD["beat_steps"]] = 1
    return context


def roll_window(piece: Piece, first: int, steps: int, period: int) -> Window:
    """Steps of a piece as the network takes them: no plan, no reference, nothing fixed; only real frames count."""
    silent = np.zeros((steps + LOOK_AHEAD, PITCHES), dtype=bool)
    return Window(
        play=_rows(piece.play, first - 1, steps + 1),
        articulate=_rows(piece.struck, first - 1, steps + 1),
        context=step_context(first, steps, period),
        reference_play=silent,
        reference_articulate=silent,
        reference_kind=np.full(steps, NO_REFERENCE, dtype=np.int8),
        fixed=np.zeros((steps + LOOK_AHEAD, PITCHES), dtype=np.int8),
        fit=np.arange(first, first + steps) < piece.steps,
    )


def play_nats(play_logits: Float[Tensor, "B T P"], frames: Frames) -> Float[Tensor, "B T"]:
    """Joint negative log-likelihood of each frame's play bits in nats."""
    target = frames.play[:, 1:].float()
    return F.binary_cross_entropy_with_logits(play_logits, target, reduction="none").sum(-1)


@torch.no_grad()
def piece_nats(
    network: BiaxialNetwork, piece: Piece, *, period: int = 0, transpose: int = 0
) -> Float[ndarray, " steps"]:
    """Nats of each frame of a piece, the first included; the frame before it is silence.

    Args:
        network: in evaluation mode.
        piece: any piece.
        period: as in training, see `step_context`.
        transpose: the logits are the mean over the piece as it is and moved by 1 … `transpose` semitones either way.
            Each pitch still has one chance given the pitches below and the past, so frames stay normalised.
    """
    moves = torch.arange(-transpose, transpose + 1)
    nats, state = [], None
    for first in range(0, piece.steps, CHUNK):
        steps = min(CHUNK, piece.steps - first)
        window = roll_window(piece, first, steps, period)
        frames = collate([window] * len(moves), [LOWEST_PITCH] * len(moves), PITCHES)
        # The keyboard's names move, not its keys: so no note is lost at its edges.
        frames = replace(frames, lowest=frames.lowest + moves)
        logits, last = network(frames, state)
        carried: State = last
        state = carried
        mean = logits[..., 0].mean(0, keepdim=True).expand(len(moves), -1, -1)
        nats.append(play_nats(mean, frames)[0].numpy())
    return np.concatenate(nats)


def network_nats(network: BiaxialNetwork, pieces: Sequence[Piece], *, period: int = 0, transpose: int = 0) -> float:
    """Mean nats a frame over the frames of all pieces together."""
    nats = [piece_nats(network, piece, period=period, transpose=transpose) for piece in pieces]
    return float(np.concatenate(nats).mean(dtype=np.float64))


def _counts(pieces: Sequence[Piece]) -> Float[ndarray, "88 2 2"]:
    """How often each pitch goes from a state to a state, 0 silent and 1 sounding; before a piece all is silent."""
    counts = np.zeros((PITCHES, 2, 2))
    for piece in pieces:
        before = np.vstack([np.zeros((1, PITCHES), dtype=bool), piece.play[:-1]])
        for a in (False, True):
            for b in (False, True):
                counts[:, int(a), int(b)] += ((before == a) & (piece.play == b)).sum(0)
    return counts


def baseline_nats(train: Sequence[Piece], pieces: Sequence[Piece]) -> dict[str, float]:
    """Nats a frame of three plain models fitted on the train pieces, one added to each count.

    Persistence: one chance of change for all pitches; marginal: each pitch as often as it sounds; Markov: each pitch
    given whether it sounded before.
    """
    fitted, met = _counts(train), _counts(pieces)
    frames = sum(piece.steps for piece in pieces)
    tables = {
        "persistence": log_normalised(fitted.sum(0))[None],
        "marginal": log_normalised(fitted.sum(1))[:, None],
        "markov": log_normalised(fitted),
    }
    return {name: float(-(met * table).sum() / frames) for name, table in tables.items()}


def load_network(path: Path) -> tuple[BiaxialNetwork, dict[str, Any]]:
    """A network and its JSON, ready to score.

    Raises:
        WeightsError: missing, damaged, or no network of the composer's, or one with features that this code does not
            compute. Features that the file does not know count for nothing.
    """
    _, about = load_weights(path)
    try:
        today = feature_names(len(NetworkConfig.from_dict(about["network"]).styles))
        known = all(today[part].get(name) == width for part in today for name, width in about["features"][part].items())
    except (KeyError, TypeError, AttributeError, RuntimeError):
        raise WeightsError(path.with_suffix(".json"), "does not describe a network of the composer") from None
    if not known:
        raise WeightsError(path.with_suffix(".json"), "lists other features than this code computes")
    network, about = load_matched(path)
    return network.eval(), about


def default_weights(digest: str) -> Path:
    """The shipped weights that were trained on the file of this sha256; else the composer's own."""
    from training.weights import load_about

    for path in sorted(SHIPPED.glob("*.json")):
        if load_about(path).get("trained_on", {}).get("sha256") == digest:
            return path.with_suffix(".safetensors")
    return SHIPPED / "biaxial.safetensors"


def evaluate(cfg: dict[str, Any]) -> dict[str, Any]:
    """Figures of a network on one split of a file.

    Args:
        cfg: plain values: `weights` (None: those trained on this very file where they ship, else the composer's) and
            `benchmark`: `file`, `split`, `transpose` (None: as the weights were measured).

    Returns:
        `nats_per_frame`, the baselines', counts, the weights' file and what it was trained on.

    Raises:
        RequestError: no file, or no such split.
        BenchmarkError: the file cannot be used.
        WeightsError: the weights cannot be used.
    """
    started = time.perf_counter()
    wish = cfg["benchmark"]
    if not wish["file"]:
        raise RequestError("task=benchmark needs benchmark.file=FILE.npz")
    if wish["split"] not in SPLITS:
        raise RequestError(f"unknown benchmark.split {str(wish['split'])!r} (known: {' '.join(SPLITS)})")
    rolls = read_set(Path(wish["file"]))
    pieces = rolls.split(wish["split"])
    path = Path(cfg["weights"]) if cfg.get("weights") else default_weights(rolls.sha256)
    network, about = load_network(path)
    period = int(about.get("period", 0))
    transpose = int(wish["transpose"]) if wish.get("transpose") is not None else int(about.get("transpose", 0))
    nats = network_nats(network, pieces, period=period, transpose=transpose)
    return {
        "nats_per_frame": nats,
        "baselines": baseline_nats(rolls.pieces["train"], pieces) if "train" in rolls.pieces else {},
        "split": wish["split"],
        "pieces": len(pieces),
        "frames": sum(piece.steps for piece in pieces),
        "transpose": transpose,
        "weights": str(path),
        "trained_on_this_file": about.get("trained_on", {}).get("sha256") == rolls.sha256,
        "seconds": round(time.perf_counter() - started, 1),
    }
