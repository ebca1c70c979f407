"""The nearest right word for a mistyped one: keys of the command line, keys of a group, and bare words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from music.plan import ENSEMBLES

CONFIG_FOLDER = Path(__file__).resolve().parent
HELP = "python pipeline.py --help"
# What people call things elsewhere; nearness of letters would not find these.
SYNONYMS = {
    **dict.fromkeys(("measures", "measure", "bar", "length"), "bars"),
    **dict.fromkeys(("bpm", "qpm", "speed"), "tempo"),
    **dict.fromkeys(("output", "outdir", "out_dir", "folder", "dir"), "out"),
    **dict.fromkeys(("tonality", "mode", "scale"), "key"),
    **dict.fromkeys(("time", "time_signature", "timesig", "metre"), "meter"),
    **dict.fromkeys(("instrument", "instruments", "instrumentation"), "ensemble"),
    **dict.fromkeys(("genre", "epoch"), "style"),
    **dict.fromkeys(("structure", "letters", "sections"), "form"),
    **dict.fromkeys(("number", "n", "num", "pieces"), "count"),
    **dict.fromkeys(("name", "heading"), "title"),
    **dict.fromkeys(("tune", "soprano", "cantus"), "melody"),
    **dict.fromkeys(("harmony", "progression"), "chords"),
    **dict.fromkeys(("sf2", "sound_font"), "soundfont"),
    **dict.fromkeys(("path", "data_path", "corpus", "dataset"), "data.path"),
    **dict.fromkeys(("score", "file", "input"), "score_file"),
    **dict.fromkeys(("plan", "plan_json"), "plan_file"),
    **dict.fromkeys(("gpu", "device", "accelerator"), "trainer"),
    **dict.fromkeys(("steps", "max_steps"), "task.run.max_steps"),
    "wandb": "logger",
}
# Words that `form=` takes, the names of `planner.forms`; this room may not import that one, a test holds them together.
FORM_WORDS = (
    *("binary", "rounded_binary", "ternary", "rondo", "rondo7", "sonata_rondo", "strophic", "variations"),
    *("minuet_trio", "scherzo_trio", "bar", "song", "sonata", "sonatina", "arch", "ritornello", "through_composed"),
)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, where there is one that is like it."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return near[0] if near else None


def suggest(word: str, known: Iterable[str]) -> str:
    """ "; did you mean 'meter'? (known: …)", with the nearest known word first where there is a near one."""
    words = sorted(known)
    near = nearest(word, words)
    return (f"; did you mean {near!r}?" if near else "") + f" (known: {' '.join(words)})"


@cache
def known_keys() -> frozenset[str]:
    """What may be set at the root of the config: its keys and its groups."""
    root = re.findall(r"(?m)^(\w+):", (CONFIG_FOLDER / "config.yaml").read_text(encoding="utf-8"))
    return frozenset({*root, *known_choices()} - {"defaults", "hydra"})


@cache
def known_choices() -> Mapping[str, tuple[str, ...]]:
    """The choices of each group, sorted."""
    found: dict[str, list[str]] = {}
    for path in sorted(CONFIG_FOLDER.glob("*/*.yaml")):
        found.setdefault(path.parent.name, []).append(path.stem)
    return {group: tuple(names) for group, names in found.items()}


def _dotted(node: Any, prefix: str) -> Iterable[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}.{key}"
            yield from _dotted(value, f"{prefix}.{key}")


@cache
def nested_keys(group: str) -> frozenset[str]:
    """Keys below a group, dotted, of all its choices together: data.path, task.run.max_steps."""
    found: set[str] = set()
    for path in CONFIG_FOLDER.glob(f"{group}/*.yaml"):
        text = path.read_text(encoding="utf-8")
        node = yaml.safe_load(text) or {}
        whole = text.lstrip().startswith("# @package _global_")
        found |= set(_dotted(node.get(group, {}) if whole else node, group))
    return frozenset(found)


def unknown_key(word: str) -> str:
    """One line on a key that does not exist: the nearest right one, or all there are."""
    said = f"unknown key {word!r}"
    root, dot, _ = word.partition(".")
    if dot:
        below = nested_keys(root) if root in known_keys() else frozenset()
        if below:
            near = nearest(word, below)
            hint = f"; did you mean {near!r}?" if near and near != word else f": {root} has none of that name"
            return f"{said}{hint} (`python pipeline.py {root}=… --cfg job` lists them)"
        if root not in known_keys() and (near := nearest(root, known_keys())):
            return f"{said}; did you mean {near + word[len(root) :]!r}? ({HELP} says more)"
    near = SYNONYMS.get(word.lower()) or nearest(word.lower(), known_keys())
    if near:
        return f"{said}; did you mean {near!r}? ({HELP} says more)"
    return said + suggest(word, known_keys())


def bare_word(word: str) -> str:
    """What was meant by an argument without "=", as "form=rondo"; "" where it is like nothing."""
    if word.lower() in ("help", "usage"):
        return "--help"
    if re.fullmatch(r"([A-Z]'*)(\d*[A-Z]'*)+", word):
        return f"form={word}"
    values = {name: f"form={name}" for name in FORM_WORDS} | {name: f"ensemble={name}" for name in ENSEMBLES}
    values |= {name: f"{group}={name}" for group, names in known_choices().items() for name in names}
    near = nearest(word, values)
    if near:
        return values[near]
    key = nearest(word, known_keys())
    return f"{key}=VALUE" if key else ""
