"""train_composer and evaluate_composer from a folder of scores to figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from composer.evaluate import compare, example_context, make_scorers, pooled
from composer.examples import make_examples, references
from composer.markov import learn_from_scores
from composer.sampling import BiaxialComposer
from composer.train import train
from music.analysis.spans import join_split_bars, regular_spans
from music.errors import RequestError
from music.midi import write_score_midi
from music.score import Bar, MeterChange, Part, Score, regular_bars
from music.time import DIVS_PER_QUARTER, Meter
from tests.composer_cases import SMALL, STYLES, made_example
from tests.test_markov import small_piece
from training.weights import load_about, save_weights


def _settings(folder: Path, out: Path) -> dict[str, Any]:
    network = {name: value for name, value in SMALL.to_dict().items() if name != "styles"}
    return {
        "data": {"name": "folder", "path": str(folder), "licence": "CC0"},
        "cache_dir": str(out / "cache"),
        "workers": 1,
        "out": str(out / "run"),
        "seed": 0,
        "trainer": {"accelerator": "cpu", "devices": 1, "max_steps": 6, "enable_progress_bar": False},
        "task": {
            "resume": True,
            "run": {"max_steps": 100, "epoch_steps": 3},
            "network": network,
            "optimiser": {"rate": 5e-3, "warmup": 2, "decay": 2},
            "windows": {"steps": 16, "batch": 4},
        },
    }


@pytest.mark.timeout(240)
def test_a_folder_of_scores_gives_weights_and_figures(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    for seed in range(6):  # too few for a valid split of their own
        write_score_midi(small_piece(seed), folder / f"piece{seed}.mid")
    (folder / "broken.mid").write_bytes(b"MThd no music")
    figures = train(_settings(folder, tmp_path))
    assert figures["steps"] == 6
    assert figures["train_pieces"] > figures["valid_pieces"] > 0
    about = load_about(Path(figures["weights"]))
    assert about["licence"] == "CC0"
    assert about["network"]["time_units"] == [16, 16]
    assert BiaxialComposer(Path(figures["weights"])).styles == ("folder",)


def test_a_folder_without_pieces_is_named(tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    with pytest.raises(RequestError, match="folder"):
        train(_settings(tmp_path / "scores", tmp_path))


def test_models_are_compared_over_the_same_frames(tmp_path: Path) -> None:
    from tests.composer_cases import small_network

    save_weights(tmp_path / "net", small_network().state_dict(), {"network": SMALL.to_dict()})
    composer = BiaxialComposer(tmp_path / "net.safetensors")
    pieces = [made_example(i) for i in range(3)]
    table = compare(make_scorers(composer, pieces), pieces, STYLES, progress=False)
    assert set(table) == {
        "biaxial",
        "biaxial_told_sections",
        "biaxial_without_reference",
        "biaxial_told_nothing",
        "markov",
        "persistence",
        "marginal",
    }
    # What knows the frame before is nearer than what knows nothing. (Three pieces are too few for Markov's tables.)
    assert table["persistence"]["all"] < table["marginal"]["all"]
    assert 0 < table["markov"]["all"] < 100
    assert table["biaxial"]["all"] != table["biaxial_told_nothing"]["all"]
    assert {"all", "bach_chorale"} <= set(table["markov"])


def test_pooled_counts_frames_not_pieces() -> None:
    first, second = made_example(0), made_example(1)
    nats = [np.full(first.roll.steps, 1.0), np.full(second.roll.steps, 3.0)]
    total = first.roll.steps + second.roll.steps
    assert pooled(nats, [first, second]) == pytest.approx((first.roll.steps + 3 * second.roll.steps) / total)


def test_the_markov_chain_is_told_the_same_keys_and_places() -> None:
    context = example_context(made_example(0))
    assert context.metre[0] == 0
    assert context.tonic[0] == 7


def test_references_come_from_earlier_steps_alone() -> None:
    example = made_example(0)
    source = example.returns[:, 0]
    told = np.flatnonzero(source >= 0)
    assert (source[told] < told).all()
    play, _, kind = references(example, int(told[0]), 8)
    moved = np.zeros_like(example.roll.play[:8])
    moved[:, 2:] = example.roll.play[:8, :-2]
    assert np.array_equal(play, moved)
    assert set(kind) == {2}


def _bars(*quarters: int) -> Score:
    bars, onset = [], 0
    for number, length in enumerate(quarters):
        bars.append(Bar(onset, length * DIVS_PER_QUARTER, number + 1))
        onset += length * DIVS_PER_QUARTER
    return Score((Part("P1"),), (), tuple(bars), (MeterChange(0, Meter(4, 4)),))


def test_bars_cut_by_a_repeat_are_joined() -> None:
    joined = join_split_bars(_bars(1, 4, 4, 3, 1, 4, 3))
    assert [b.duration_div // DIVS_PER_QUARTER for b in joined.bars] == [1, 4, 4, 4, 4, 3]


def test_spans_break_where_the_meter_is_broken() -> None:
    assert regular_spans(_bars(*[4] * 9)) == [(0, 9)]
    assert regular_spans(_bars(*[4] * 9, 2, *[4] * 8)) == [(0, 9), (10, 18)]
    assert regular_spans(_bars(*[4] * 7)) == []


def test_a_piece_gives_examples_of_its_regular_spans() -> None:
    examples, left = make_examples("p", small_piece(1), style="bach_chorale", ensemble="piano", styles=STYLES)
    assert len(examples) == 1
    assert left == 0
    assert examples[0].roll.steps == 8 * 16
    silent = Score((Part("P1"),), (), regular_bars(Meter(4, 4), 8), (MeterChange(0, Meter(4, 4)),))
    assert make_examples("s", silent, style="", ensemble="piano", styles=STYLES) == ([], 8)


def test_markov_learns_from_scores() -> None:
    assert learn_from_scores([small_piece(0)]).grids == (4,)
