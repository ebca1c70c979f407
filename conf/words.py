"""What a user types on the command line: made safe for Hydra's grammar, checked, and explained when it is wrong.

Hydra's override grammar gives a meaning to spaces, quotes, commas, colons and `#`. A plan ("A8 B8:V A'8"), a key (f#),
a title or a path is full of them, so the values of the keys in `TEXT_KEYS` are quoted before Hydra sees them.
"""

from __future__ import annotations

import errno
import math
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from conf.near import CONFIG_FOLDER, bare_word, known_keys, nearest, suggest, unknown_key
from music.errors import RequestError, RitornelloError

PATH_KEYS = frozenset(
    (
        *("theme", "melody", "opening", "out", "plan_file", "wishes", "score_file", "soundfont", "cache_dir"),
        *("weights", "planner_weights", "performer_weights", "data.path", "benchmark.file"),
    )
)
TEXT_KEYS = PATH_KEYS | {"form", "key", "meter", "style", "ensemble", "title", "bars_to_fill", "redo"}
TEXT_KEYS |= {"section_bars", "keys", "cadences", "dynamics", "chords"}
# Notes told in advance: one of these at a time; the last two need the score that they are about.
GIVEN_KEYS = ("melody", "opening", "bars_to_fill", "redo")
# What `_target_` may name: this project's own packages and the two libraries whose classes a config may choose.
TARGET_ROOTS = frozenset(
    (
        *("music", "evaluation", "training", "planner", "composer", "performer", "render"),
        *("pytorch_lightning", "torch"),
    )
)
SWEEP_FLAGS = ("-m", "--multirun")
# What may stand on the command line with dashes before it: Hydra's own, which takes shortened ones too.
HYDRA_FLAGS = ("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun")
HYDRA_FLAGS += (
    "--shell-completion",
    "--config-path",
    "--config-name",
    "--config-dir",
    "--experimental-rerun",
    "--info",
)
AUDIO_FORMATS = ("none", "wav", "flac", "ogg", "mp3")
SYNTHS = ("piano", "fluidsynth")
# Lowest and highest value of each number, whole where the lowest is an int.
NUMBERS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "count": (1, 100_000),
    "bars": (1, 1024),
    "workers": (1, 256),
    "tempo": (20.0, 400.0),
    "temperature": (0.01, 10.0),
    "variation": (0.0, 1.0),
    "candidates": (1, 64),
    "expression": (0.0, 1.5),
}
# Keys that a task has no use for; to set one and have it ignored would be a surprise.
_WISHES = ("form", "key", "meter", "bars", "tempo", "style", "ensemble", "theme", "variation")
_WISHES += ("section_bars", "keys", "cadences", "dynamics", "chords", "wishes")
IDLE_KEYS = {
    "plan": ("score_file", "bars_to_fill", "redo", "soundfont", "weights"),
    "perform": (*_WISHES, *GIVEN_KEYS, "weights"),
    "evaluate_piece": (*_WISHES, *GIVEN_KEYS, "title", "out", "soundfont", "weights"),
    "evaluate": (*_WISHES, *GIVEN_KEYS, "title", "plan_file", "score_file", "soundfont"),
}
_SWEEP_FUNCTION = re.compile(r"(choice|range|glob|interval|shuffle|sort)\(.*\)")


def is_sweep(arguments: Sequence[str]) -> bool:
    """True where the command line asks for several runs (`-m`)."""
    return any(a in SWEEP_FLAGS for a in arguments)


def _quote(value: str) -> str:
    """One value as a quoted string of Hydra's grammar; `${` stays the two characters that it is."""
    value = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
    # In a quoted string backslashes are special only right before a quote, which includes the closing one.
    value = re.sub(r"(\\*)'", r"\1\1\\'", value)
    value = re.sub(r"(\\+)$", r"\1\1", value)
    return f"'{value}'"


def quote_argument(argument: str, *, sweep: bool) -> str:
    """Quotes the value of `key=value` where the key holds text; anything else comes back as it is.

    A value that is null or already in quotes stays. With `sweep` a comma separates values, as Hydra has it, and each is
    quoted by itself.
    """
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in TEXT_KEYS:
        return argument
    if not value:  # nothing asked for, as in out=$UNSET
        return f"{key}=null"
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    if value == "null" or quoted or (sweep and _SWEEP_FUNCTION.fullmatch(value)):
        return argument
    if key.lstrip("+") in PATH_KEYS and value.startswith("~"):  # a shell leaves the one in out=~/piece alone
        value = os.path.expanduser(value)
    values = value.split(",") if sweep else [value]
    return f"{key}=" + ",".join(v if v.strip() == "null" else _quote(v.strip() if sweep else v) for v in values)


def hydra_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line as Hydra must see it for the user's words to mean what they say.

    `--version` says this program's and ends it (Hydra would tell its own). `-m` may stand anywhere; Hydra's parser
    wants it before the first key.

    Raises:
        RequestError: dashes before what is none of Hydra's flags.
        SystemExit: after `--version`.
    """
    if "--version" in arguments:
        print(f"ritornello {metadata.version('ritornello')}")
        raise SystemExit(0)
    for argument in arguments:
        flag, _, value = argument.partition("=")
        if flag.startswith("--") and not any(known.startswith(flag) for known in HYDRA_FLAGS):
            key = flag[2:].replace("-", "_")
            key = key if key in known_keys() else nearest(key, known_keys()) or "key"
            raise RequestError(f"{argument}: keys have no dashes before them; write {key}={value or 'VALUE'}")
    sweep = is_sweep(arguments)
    rest = [quote_argument(a, sweep=sweep) for a in arguments if a not in SWEEP_FLAGS]
    return ["-m", *rest] if sweep else rest


def explain(error: BaseException) -> str | None:
    """One line for an error that the user or his machine caused; None for a fault of the program.

    Args:
        error: a typed error of this project, one of Hydra's about the command line, one of the file system, or Ctrl-C.
    """
    text = " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted; {text or 'nothing was left half-written'}"
    if isinstance(error, RitornelloError):
        return text
    if isinstance(error, ValueError) and text.startswith("Config group override must be"):  # Hydra's, for "=3"
        return "an argument has no key before its '='" + suggest("", known_keys())
    if any(kind.__module__.partition(".")[0] in ("hydra", "omegaconf") for kind in type(error).__mro__):
        return _explain_hydra(error, text)
    if not isinstance(error, OSError) or error.errno is None:
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.filename or 'writing'}: {error.strerror}; free some space, or choose another disk with out="
    return f"{error.filename}: {error.strerror}" if error.filename else None


def _explain_hydra(error: BaseException, text: str) -> str:
    group, slash, choice = str(getattr(error, "missing_cfg_file", None) or "").rpartition("/")
    if slash:
        return f"unknown {group} {choice!r}" + suggest(choice, getattr(error, "options", None) or ())
    unknown = re.search(r"Could not (?:override|append to config\. An item is already at) '?([^'\s]+)'?", text)
    if unknown:
        return unknown_key(unknown[1])
    typed = getattr(error, "override", None)
    if typed in known_keys():
        return f"{typed!r} has no value: write {typed}=VALUE"
    if typed is not None:
        meant = "" if "=" in str(typed) else bare_word(str(typed))
        said = f"{typed!r} is not of the form key=value"
        return f"{said}; did you mean {meant}?" if meant else said + suggest(str(typed).partition("=")[0], known_keys())
    return text


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program with one line and code 2 (Ctrl-C: 130) for what `explain` knows; a fault keeps its traceback."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        message = explain(error)
        if message is None:
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not break off the clearing away
        watched = isinstance(error, KeyboardInterrupt) and sys.stderr.isatty()  # a bar or "^C" stands on this line
        print(f"{chr(10) * watched}ritornello: {message}", file=sys.stderr)
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 2)


def check_targets(node: Any, where: str = "") -> None:
    """Holds every `_target_` in a config to `TARGET_ROOTS`, however deep it stands.

    Raises:
        RequestError: a target outside these packages, or one that is not a dotted name.
    """
    if isinstance(node, Mapping):
        if "_target_" in node:
            target = node["_target_"]
            if not isinstance(target, str) or target.partition(".")[0] not in TARGET_ROOTS:
                raise RequestError(
                    f"{where or 'config'}: _target_ {target!r} is outside {', '.join(sorted(TARGET_ROOTS))}"
                )
        for key, value in node.items():
            check_targets(value, f"{where}.{key}" if where else str(key))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            check_targets(value, f"{where}[{index}]")


def _check_number(key: str, value: Any) -> None:
    low, high = NUMBERS[key.rpartition(".")[2]]
    kind = int if isinstance(low, int) else (int, float)
    fits = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
    if not fits:
        word = "whole number" if isinstance(low, int) else "number"
        raise RequestError(f"{key}={value} is not a {word} from {low:g} to {high:.10g}")


def _check_given(settings: Mapping[str, Any]) -> None:
    asked = [key for key in GIVEN_KEYS if settings[key] is not None]
    if len(asked) > 1:
        one, other = (f"{key}={settings[key]}" for key in asked[:2])
        raise RequestError(f"{one} contradicts {other}; ask for one of them")
    needs_score = bool(asked) and asked[0] in ("bars_to_fill", "redo")
    if needs_score and settings["score_file"] is None:
        raise RequestError(f"{asked[0]}={settings[asked[0]]} needs score_file=FILE.musicxml or FILE.mid")
    if settings["score_file"] is not None and not needs_score:
        file = f"score_file={settings['score_file']}"
        raise RequestError(f"{file} has no meaning for task=generate without bars_to_fill= or redo=")


def _check_planner(planner: Mapping[str, Any]) -> None:
    """A planner's own number; those at the root are checked there."""
    if "temperature" in planner:
        _check_number("planner.temperature", planner["temperature"])


def check_settings(settings: Mapping[str, Any]) -> None:
    """Checks the values at the root of the config.

    Raises:
        RequestError: a number out of its range, a word that is none of its choices, or two keys that contradict.
    """
    for key in NUMBERS:
        if settings.get(key) is not None or key in ("seed", "count"):
            _check_number(key, settings.get(key))
    _check_planner(settings.get("planner") or {})
    for key, choices in (("audio", AUDIO_FORMATS), ("synth", SYNTHS)):
        if settings[key] not in choices:
            raise RequestError(f"unknown {key} {str(settings[key])!r}" + suggest(str(settings[key]), choices))
    for key in sorted(key for key in TEXT_KEYS if "." not in key):
        if not isinstance(settings.get(key), (str, type(None))):
            raise RequestError(f"{key}={settings[key]} is not text")
    task = settings["task"]["name"]
    for key in IDLE_KEYS.get(task, ()):
        if settings[key] is not None:
            raise RequestError(f"{key}={settings[key]} has no meaning for task={task}")
    names = {path.stem for path in CONFIG_FOLDER.glob("task/*.yaml")}
    if task not in names:
        raise RequestError(f"unknown task {str(task)!r}" + suggest(str(task), names))
    if task == "generate" and settings["weights"] is not None and "weights" not in settings["composer"]:
        raise RequestError(f"weights={settings['weights']} is of no use to a composer without a network")
    if task in ("generate", "plan"):
        _check_given(settings)
    if settings["soundfont"] and settings["synth"] != "fluidsynth":
        raise RequestError(f"soundfont={settings['soundfont']} is of use only with synth=fluidsynth")
