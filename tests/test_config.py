"""The configuration: what a user types reaches a task as typed, and what he mistypes is explained in one line."""

from __future__ import annotations

import errno
import re
from importlib import metadata
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from conf.words import (
    NUMBERS,
    TARGET_ROOTS,
    TEXT_KEYS,
    check_settings,
    check_targets,
    explain,
    hydra_arguments,
    known_keys,
    quote_argument,
)
from music.errors import FileError, RequestError

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "conf"
TYPED = (
    "A8 B8:V A'8 C12:vi A8",
    "AA'BA",
    "A8 B8:V/HC A'8 | key=G meter=3/4",
    "f#",
    "3/4",
    'Rondo, "alla turca" (No. 1)',
    "it's",
    "back\\slash\\",
    "${oc.env:HOME}",
    "\\${x}",
    "1",
    "true",
    "a=b",
    "[x]{y}",
    " leading",
)


def settings_of(*arguments: str) -> dict:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG)):
        config = compose("config", overrides=hydra_arguments(arguments))
    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)
    return settings


def error_of(*arguments: str) -> str:
    with pytest.raises((HydraException, RequestError)) as caught:
        check_settings(settings_of(*arguments))
    message = explain(caught.value)
    assert message is not None
    assert "\n" not in message
    return message


def parsed(argument: str) -> object:
    """What a config holds after Hydra has read one argument."""
    override = OverridesParser.create().parse_override(quote_argument(argument, sweep=False))
    return OmegaConf.create({"value": override.value()}).value


@pytest.mark.parametrize("text", TYPED)
def test_text_is_read_as_typed(text: str) -> None:
    assert parsed(f"title={text}") == text


def test_text_reaches_the_config_as_typed() -> None:
    keys = ("form", "key", "meter", "title", "style", "out", "data.path")
    arguments = [f"{key}={text}" for key, text in zip(keys, TYPED, strict=False)]
    settings = settings_of(*arguments)
    settings["data.path"] = settings["data"]["path"]
    assert [settings[key] for key in keys] == list(TYPED[: len(keys)])


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1))
def test_any_text_survives_the_grammar(text: str) -> None:
    if text == "null" or (len(text) > 1 and text[0] == text[-1] and text[0] in "'\"") or text.startswith("~"):
        return  # null is nothing; quotes around it all are Hydra's own, "~" is the user's home
    assert parsed(f"out={text}") == text


def test_null_and_hydras_own_quotes_stay() -> None:
    assert parsed("title=null") is None
    assert parsed("title='a b'") == "a b"
    assert quote_argument("bars=8", sweep=False) == "bars=8"
    assert quote_argument("--help", sweep=False) == "--help"


def test_an_empty_value_is_none_asked_for() -> None:
    assert parsed("score_file=") is None
    assert parsed("form=") is None


def test_an_argument_without_a_key_is_named() -> None:
    with pytest.raises(ValueError) as caught:
        settings_of("=3")
    assert "no key before its '='" in (explain(caught.value) or "")


def test_home_is_expanded_in_paths_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/clara")
    assert parsed("out=~/piece") == "/home/clara/piece"
    assert parsed("title=~/piece") == "~/piece"
    assert parsed("benchmark.file=~/x y.npz") == "/home/clara/x y.npz"
    assert parsed("melody=~/Lied, alt.mid") == "/home/clara/Lied, alt.mid"
    assert parsed("bars_to_fill=3-4,9") == "3-4,9"


def test_sweeps_split_at_commas_and_quote_each_value() -> None:
    given_arguments = ["seed=0,1", "-m", "form=rondo,A8 B8:V", "title=choice(a,b)"]
    assert hydra_arguments(given_arguments) == ["-m", "seed=0,1", "form='rondo','A8 B8:V'", "title=choice(a,b)"]
    sweep = OverridesParser.create().parse_override("form='rondo','A8 B8:V'")
    assert sweep.is_sweep_override()


def test_without_a_sweep_a_comma_is_a_comma() -> None:
    assert parsed("title=Rondo, in G") == "Rondo, in G"


def test_defaults_are_valid_and_every_choice_composes() -> None:
    groups: dict[str, list[str]] = {}
    for path in sorted(CONFIG.glob("*/*.yaml")):
        groups.setdefault(path.parent.name, []).append(path.stem)
    for turn in range(max(map(len, groups.values()))):  # one choice of every group at a time
        settings = settings_of(*(f"{group}={choices[turn % len(choices)]}" for group, choices in groups.items()))
        check_targets(settings)
        check_settings(settings)
        assert settings["seed"] == 0


def test_every_layer_converts_to_builtins() -> None:
    for layer in ("planner", "composer", "performer"):
        for path in (CONFIG / layer).glob("*.yaml"):
            node = OmegaConf.load(path)
            assert node._convert_ == "all", path
            assert node._target_.startswith(f"{layer}."), path


def test_text_and_number_keys_exist() -> None:
    root = settings_of()
    assert {key for key in TEXT_KEYS if "." not in key} <= set(root)
    assert set(NUMBERS) <= set(root)


@pytest.mark.parametrize(
    ("argument", "wrong", "right"),
    [
        ("metre=3/4", "metre", "meter"),
        ("task=generat", "generat", "generate"),
        ("composer=markof", "markof", "markov"),
        ("planer=grammar", "planer", "planner"),
        ("audio=oggg", "oggg", "ogg"),
    ],
)
def test_wrong_words_get_the_nearest_right_one(argument: str, wrong: str, right: str) -> None:
    message = error_of(argument)
    assert f"{wrong!r}; did you mean {right!r}?" in message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rondo"], "'rondo' is not of the form key=value"),
        (["form"], "'form' has no value: write form=VALUE"),
        (["task.name=sing"], "unknown task 'sing'"),
        (["composer=markov", "weights=x.safetensors"], "weights=x.safetensors is of no use"),
        (["task=plan", "weights=x.safetensors"], "no meaning for task=plan"),
        (["seed.x=1"], "unknown key 'seed.x'"),
        (["variation=1.5"], "variation=1.5"),
        (["candidates=0"], "candidates=0"),
        (["redo=B", "bars_to_fill=9-16", "score_file=x.mid"], "bars_to_fill=9-16 contradicts redo=B"),
        (["redo=B"], "redo=B needs score_file=FILE"),
        (["score_file=x.mid"], "without bars_to_fill= or redo="),
        (["task=evaluate_piece", "weights=x"], "no meaning for task=evaluate_piece"),
        (["bars=abc"], "bars=abc is not a whole number"),
        (["bars=0"], "bars=0"),
        (["bars=true"], "bars=True"),
        (["bars=8.5"], "bars=8.5"),
        (["seed=-1"], "seed=-1"),
        (["seed=null"], "seed=None"),
        (["tempo=nan"], "tempo=nan"),
        (["temperature=0"], "temperature=0"),
        (["count=0"], "count=0"),
        (["form=[1,2]", "synth=organ"], "synth 'organ'"),
        (["soundfont=x.sf2"], "synth=fluidsynth"),
        (["task=evaluate_piece", "out=x"], "out=x has no meaning for task=evaluate_piece"),
    ],
)
def test_wrong_values_are_one_line(arguments: list[str], said: str) -> None:
    assert said in error_of(*arguments)


@pytest.mark.parametrize("target", ["os.system", "builtins.exec", "musics.x", "subprocess.Popen", "", 3, None])
def test_targets_outside_the_allow_list_are_refused(target: object) -> None:
    node = {"_target_": target}
    for config in (node, {"planner": node}, {"logger": {"deep": [{"x": node}]}}, {"composer": {"list": [[node]]}}):
        with pytest.raises(RequestError, match=r"_target_ .* is outside"):
            check_targets(config)


def test_targets_of_this_project_are_allowed() -> None:
    check_targets({"planner": {"_target_": "planner.grammar.GrammarPlanner"}, "x": [{"_target_": "torch.nn.Linear"}]})


def test_the_version_is_of_this_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        hydra_arguments(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ritornello {metadata.version('ritornello')}\n"


def test_the_allow_list_is_the_rooms_and_two_libraries() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"conf", "tests"}
    assert rooms | {"pytorch_lightning", "torch"} == TARGET_ROOTS


def test_known_keys_are_the_keys_and_groups() -> None:
    assert {"form", "seed", "composer", "trainer", "cache_dir"} <= known_keys()
    assert not {"defaults", "hydra"} & known_keys()


def test_faults_of_the_program_are_not_explained_away() -> None:
    assert explain(ZeroDivisionError("x")) is None
    assert explain(OSError("no number")) is None
    assert explain(FileError("a.mid", "is empty")) == "a.mid: is empty"
    assert "free some space" in str(explain(OSError(errno.ENOSPC, "No space left on device", "out/x")))
    assert explain(PermissionError(errno.EACCES, "Permission denied", "out/x")) == "out/x: Permission denied"
    assert re.match("interrupted", str(explain(KeyboardInterrupt())))
