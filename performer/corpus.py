"""Performances of a set as examples: features of each score once, targets of each pianist, kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from music.errors import RequestError, RitornelloError
from music.paired import PairedPerformance
from music.performance_corpus import PerformanceEntry, load_performances
from performer import codec, examples, feature_columns
from performer.examples import Example, Targets, make_example
from performer.features import ScoreFeatures


def load_examples(
    name: str, split: str, *, cache_dir: Path, progress: bool = True
) -> tuple[tuple[Example, ...], tuple[tuple[str, str], ...]]:
    """The examples of a split, and (name, reason) of performances that none can be made of.

    Args:
        name: of a prepared set of performances, see `music.performance_corpus`.
        split: train, valid or test.
        cache_dir: where the set was prepared; examples are kept there too.
        progress: shows it.

    Raises:
        RequestError: the set was not prepared.
    """
    folder = cache_dir / "examples" / f"{name}-{_version()}"
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Example] = []
    dropped: list[tuple[str, str]] = []
    scores: dict[str, ScoreFeatures] = {}
    pairs = load_performances(name, split, cache_dir=cache_dir)
    for entry, pair in tqdm(pairs, desc=f"{split} performances", unit="", disable=not progress):
        try:
            found.append(_example(entry, pair, folder, scores))
        except RitornelloError as error:
            dropped.append((entry.id, str(error)))
    return tuple(found), tuple(dropped)


def _version() -> str:
    """Changes with the code that decides what an example looks like."""
    home = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(
        {*home.glob("feature*.py"), *home.glob("rule*.py"), Path(codec.__file__), Path(examples.__file__)}
    ):
        digest.update(path.read_bytes())
    digest.update(" ".join((*feature_columns.NOTE_COLUMNS, *feature_columns.ONSET_COLUMNS)).encode())
    return digest.hexdigest()[:12]


def score_key(pair: PairedPerformance) -> str:
    """The same for two performances of one score, whatever the ids of its notes are."""
    rows = sorted((n.onset_div, n.pitch, n.duration_div, n.staff, n.voice) for n in pair.score.notes)
    bars = [(b.onset_div, b.duration_div) for b in pair.score.bars]
    return hashlib.sha256(repr((rows, bars)).encode()).hexdigest()


def _example(
    entry: PerformanceEntry, pair: PairedPerformance, folder: Path, scores: dict[str, ScoreFeatures]
) -> Example:
    path = folder / f"{entry.sha256[:32]}.npz"
    known = _read(path)
    if known is not None:
        features, targets = known
        key = hashlib.sha256(features.notes.tobytes() + features.onsets.tobytes()).hexdigest()
        features = scores.setdefault(key, features)  # one copy in memory for all who play it
        return Example(entry.id, entry.composition, entry.style, features, targets)
    key = score_key(pair)
    example = make_example(entry.id, entry.composition, entry.style, pair, scores.get(key))
    scores[key] = example.features
    _write(path, example)
    return example


def _write(path: Path, example: Example) -> None:
    features = {f"features.{f.name}": getattr(example.features, f.name) for f in fields(ScoreFeatures)}
    arrays = {k: v for k, v in features.items() if isinstance(v, np.ndarray)}
    arrays |= {f"targets.{f.name}": getattr(example.targets, f.name) for f in fields(Targets)}
    plain = {k: v for k, v in features.items() if not isinstance(v, np.ndarray)}
    arrays["plain"] = np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        try:
            np.savez(part, allow_pickle=False, **arrays)
            part.close()
            os.replace(part.name, path)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def _read(path: Path) -> tuple[ScoreFeatures, Targets] | None:
    """What was kept; None where nothing whole was."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            plain: Mapping[str, Any] = json.loads(bytes(arrays["plain"]))
            stored = {**{k: arrays[k] for k in arrays.files if k != "plain"}, **plain}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    part = {p: {k[len(p) + 1 :]: v for k, v in values.items() if k.startswith(p)} for p in ("features", "targets")}
    return ScoreFeatures(**part["features"]), Targets(**part["targets"])


def digest_of(found: Sequence[Example]) -> str:
    """Sha256 over names and targets, so that weights can say what they were trained on."""
    digest = hashlib.sha256()
    for example in sorted(found, key=lambda e: e.id):
        digest.update(example.id.encode())
        digest.update(example.targets.velocity.tobytes())
    return digest.hexdigest()


def each_composition(found: Sequence[Example]) -> Iterator[tuple[str, list[Example]]]:
    """Examples by composition, in order of name."""
    for name in sorted({e.composition for e in found}):
        yield name, [e for e in found if e.composition == name]


def require(found: Sequence[Example], name: str, split: str) -> None:
    """Raises RequestError where there is nothing."""
    if not found:
        raise RequestError(f"data={name} has no performances in its {split} split to train a performer on")
