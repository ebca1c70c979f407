"""A planner's own settings: what is wrong with them is one line that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from conf.words import check_settings
from music.errors import RequestError, WeightsError
from pipeline import build
from planner.sampling import LearnedPlanner
from tests.test_config import error_of, settings_of
from training.weight_files import load_about


@pytest.mark.parametrize("value", ["abc", "null", "inf", "nan", "0", "[1]"])
def test_a_temperature_is_a_number(value: str) -> None:
    assert "planner.temperature=" in error_of(f"planner.temperature={value}")
    assert "is not a number from 0.01 to 10" in error_of(f"planner.temperature={value}")


def test_a_temperature_in_range_is_kept() -> None:
    settings = settings_of("planner.temperature=0.5")
    check_settings(settings)
    assert settings["planner"]["temperature"] == 0.5


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_the_planner_itself_refuses_what_is_no_temperature(value: float) -> None:
    with pytest.raises(RequestError, match="temperature="):
        LearnedPlanner(temperature=value)


@pytest.mark.parametrize("layer", ["planner", "composer"])
def test_weights_are_a_file(layer: str) -> None:
    with pytest.raises(RequestError, match=f"{layer}.weights=5 is not text"):
        build(settings_of(f"{layer}.weights=5"), layer)


@pytest.mark.parametrize(("layer", "key"), [("planner", "planner_weights"), ("composer", "weights")])
def test_missing_weights_are_named_with_their_key(layer: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"nowhere\.safetensors: is missing.* with {key}=FILE"):
        build(settings_of(f"{key}={tmp_path / 'nowhere'}"), layer)


def test_other_readers_of_weights_name_theirs(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r" weights=FILE"):
        load_about(tmp_path / "x.safetensors")
