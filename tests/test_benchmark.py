"""task=benchmark and task=train_benchmark on small sets made here: figures by hand, bad files, a short training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from jaxtyping import Bool
from numpy import ndarray

from composer.benchmark import (
    SHIPPED,
    BenchmarkError,
    RollSet,
    baseline_nats,
    default_weights,
    evaluate,
    load_network,
    make_piece,
    network_nats,
    piece_nats,
    play_nats,
    read_set,
    roll_window,
)
from composer.benchmark_train import BenchmarkModule, RollBatches, RollWindows, train
from composer.network import NetworkConfig
from composer.roll import LOWEST_PITCH, PITCHES
from composer.windows import collate
from music.errors import RequestError, WeightsError
from tests.composer_cases import SMALL, made_roll, small_network
from training.weights import load_about, load_weights, save_weights

ROOT = Path(__file__).resolve().parent.parent
TINY = NetworkConfig(projection=8, time_units=(8, 8), note_units=(8, 8), dropout=0.1, styles=("rolls",))


def write_set(path: Path, **splits: Sequence[Bool[ndarray, "steps 88"]]) -> Path:
    """A file in the sets' layout."""
    arrays: dict[str, Any] = {}
    for name, rolls in splits.items():
        arrays[f"{name}_rolls"] = np.packbits(np.concatenate(list(rolls)), axis=1)
        arrays[f"{name}_lengths"] = np.array([len(roll) for roll in rolls], dtype=np.int32)
    np.savez_compressed(path, **arrays)
    return path


def small_set(path: Path) -> Path:
    train_rolls = [made_roll(seed, 30 + seed).play for seed in range(4)]
    return write_set(path, train=train_rolls, valid=[made_roll(seed, 20 + seed).play for seed in (8, 9)])


def _settings(path: Path | None, out: Path) -> dict[str, Any]:
    cfg = yaml.safe_load((ROOT / "conf" / "task" / "train_benchmark.yaml").read_text())
    cfg["task"] |= {"network": TINY.to_dict(), "run": {"max_steps": 3, "epoch_steps": 50}, "transpose": 1}
    cfg["task"]["windows"] |= {"steps": 12, "batch": 4}
    cfg["benchmark"] |= {"file": None if path is None else str(path), "split": "valid", "transpose": None}
    trainer = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
    return cfg | {"seed": 0, "out": str(out), "trainer": trainer, "weights": None}


def test_a_set_is_read_back(tmp_path: Path) -> None:
    rolls = [made_roll(seed, 9 + seed).play for seed in range(3)]
    found = read_set(write_set(tmp_path / "set.npz", train=rolls[:2], test=rolls[2:]))
    assert list(found.pieces) == ["train", "test"]
    assert [piece.steps for piece in found.split("train")] == [9, 10]
    assert np.array_equal(found.split("test")[0].play, rolls[2])
    with pytest.raises(BenchmarkError, match=r"set\.npz: has no split 'valid' \(it has: train test\)"):
        found.split("valid")


def test_a_note_is_struck_where_its_run_begins() -> None:
    play = np.zeros((5, PITCHES), dtype=bool)
    play[[0, 1, 3, 4], 10] = True
    assert np.flatnonzero(make_piece(play).struck[:, 10]).tolist() == [0, 3]


def test_baselines_by_hand() -> None:
    play = np.zeros((4, PITCHES), dtype=bool)
    play[1:3, 0] = True  # silent, on, on, silent: one change each way
    piece = make_piece(play)
    found = baseline_nats([piece], [piece, piece])
    quiet = 87 * 4  # the other keys' frames
    on, off = (1 + 1) / (2 + 2), (1 + 1) / (2 + 2)  # of two frames after silence one sounds, of two after sound one
    rest_markov = -87 * 4 * math.log(5 / 6)
    assert found["markov"] == pytest.approx((-2 * math.log(on) - 2 * math.log(off) + rest_markov) / 4)
    assert found["marginal"] == pytest.approx((-4 * math.log(3 / 6) + rest_markov) / 4)
    rise, total = (1 + 1) / (quiet + 2 + 2), -2 * math.log(0.5)
    total -= math.log(rise) + (quiet + 1) * math.log(1 - rise)
    assert found["persistence"] == pytest.approx(total / 4)


def test_the_pooled_figure_of_a_network_that_knows_nothing() -> None:
    network = small_network()
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        network.output.bias[0] = -2.0
    pieces = [make_piece(made_roll(seed, steps).play) for seed, steps in ((0, 3), (1, 70))]
    notes = sum(int(piece.play.sum()) for piece in pieces)
    by_hand = (notes * math.log1p(math.exp(2.0)) + (73 * 88 - notes) * math.log1p(math.exp(-2.0))) / 73
    assert network_nats(network, pieces) == pytest.approx(by_hand, rel=1e-5)
    assert network_nats(network, pieces, transpose=2) == pytest.approx(by_hand, rel=1e-5)


def test_scoring_by_chunks_is_scoring_at_once() -> None:
    network, piece = small_network(), make_piece(made_roll(3, 130).play)
    frames = collate([roll_window(piece, 0, 130, 4)], [LOWEST_PITCH], PITCHES)
    with torch.no_grad():
        logits, _ = network(frames)
    whole = play_nats(logits[..., 0], frames)[0].numpy()
    assert np.allclose(piece_nats(network, piece, period=4), whole, atol=1e-3)


@pytest.mark.parametrize("transpose", [0, 2])
def test_no_frame_sees_a_later_one(transpose: int) -> None:
    """A note moves the figures of its own frame and of later ones, never of earlier ones."""
    network, play = small_network(), made_roll(4, 12).play
    step, pitch = 7, 41

    def nats(sounds: bool) -> ndarray:
        changed = play.copy()
        changed[step, pitch] = sounds
        changed[step, pitch + 1 :] = False
        return piece_nats(network, make_piece(changed), transpose=transpose)

    silent, sounding = nats(False), nats(True)
    assert np.array_equal(silent[:step], sounding[:step])
    assert silent[step] != sounding[step]
    assert silent[step + 1] != sounding[step + 1]


def _chance_of_two_pitches(network: Any, play: ndarray, step: int, transpose: int) -> float:
    """Sum of the chances of all frames that differ in the two highest pitches alone, over that of the rest."""
    total = 0.0
    for bits in range(4):
        changed = play.copy()
        changed[step] = False
        changed[step, PITCHES - 2], changed[step, PITCHES - 1] = bool(bits & 1), bool(bits & 2)
        total += math.exp(-float(piece_nats(network, make_piece(changed), transpose=transpose)[step]))
    return total


def test_frames_are_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    network, play = small_network(), made_roll(5, 6).play
    rest = play.copy()
    rest[3] = False
    for transpose in (0, 1):
        logits: list[torch.Tensor] = []
        monkeypatch.setattr(
            "composer.benchmark.play_nats",
            lambda given, frames, seen=logits: seen.append(given) or play_nats(given, frames),
        )
        piece_nats(network, make_piece(rest), transpose=transpose)
        below = -torch.nn.functional.logsigmoid(-logits[0][0, 3, :-2]).sum()
        assert _chance_of_two_pitches(network, play, 3, transpose) == pytest.approx(math.exp(-float(below)), rel=1e-4)


def _bad_files(folder: Path) -> dict[str, str]:
    good = small_set(folder / "good.npz").read_bytes()
    (folder / "cut.npz").write_bytes(good[: len(good) // 2])
    (folder / "text.npz").write_text("no arrays")
    (folder / "empty.npz").write_bytes(b"")
    rolls, lengths = np.zeros((4, 11), dtype=np.uint8), np.array([4])
    np.savez(folder / "other.npz", x=rolls)
    np.savez(folder / "wide.npz", train_rolls=np.zeros((4, 12), dtype=np.uint8), train_lengths=lengths)
    np.savez(folder / "sum.npz", train_rolls=rolls, train_lengths=np.array([3]))
    np.savez(folder / "zero.npz", train_rolls=rolls, train_lengths=np.array([4, 0]))
    np.savez(folder / "floats.npz", train_rolls=rolls, train_lengths=np.array([4.0]))
    np.savez(folder / "objects.npz", train_rolls=np.array([[None] * 11]), train_lengths=np.array([1]))
    return {
        "cut": "damaged",
        "text": "not an .npz",
        "empty": "not an .npz",
        "objects": "not an .npz",
        "other": "has no <split>_rolls",
        "wide": "train_rolls is uint8",
        "sum": "adds up to 3 frames, train_rolls has 4",
        "zero": "train_lengths",
        "floats": "train_lengths",
        "missing": "No such file",
    }


def test_bad_files_are_one_typed_error(tmp_path: Path) -> None:
    for name, said in _bad_files(tmp_path).items():
        with pytest.raises(BenchmarkError, match=said) as caught:
            read_set(tmp_path / f"{name}.npz")
        assert f"{name}.npz: " in str(caught.value)
        assert "\n" not in str(caught.value)


def test_wrong_wishes_are_named(tmp_path: Path) -> None:
    path = small_set(tmp_path / "set.npz")
    with pytest.raises(RequestError, match=r"benchmark\.file=FILE"):
        evaluate(_settings(None, tmp_path))
    with pytest.raises(RequestError, match=r"benchmark\.file=FILE"):
        train(_settings(None, tmp_path))
    cfg = _settings(path, tmp_path)
    cfg["benchmark"]["split"] = "dev"
    with pytest.raises(RequestError, match=r"unknown benchmark\.split 'dev'"):
        evaluate(cfg)
    save_weights(tmp_path / "odd.safetensors", {}, {"kind": "x"})
    with pytest.raises(WeightsError, match="does not describe a network"):
        load_network(tmp_path / "odd.safetensors")


def test_batches_are_transposed_and_lose_no_note() -> None:
    pieces = [make_piece(made_roll(seed, 40).play) for seed in range(3)]
    config = RollWindows(steps=16, batch=6, transpose=5, opening=1.0, wide=0.0)
    batches = RollBatches(pieces, config, seed=1, epoch=0, count=2, rank=0, world=1)
    first, again = batches.batch(0), batches.batch(0)
    assert torch.equal(first.play, again.play)
    assert torch.equal(first.lowest, again.lowest)
    openings = {int(piece.play[:16].sum()) for piece in pieces}
    assert {int(n) for n in first.play.sum((1, 2))} <= openings
    assert first.play.shape[2] < PITCHES
    assert not bool(first.play[:, 0].any())
    wide = RollBatches(pieces, replace(config, wide=1.0), seed=1, epoch=0, count=1, rank=0, world=1).batch(0)
    assert wide.play.shape[2] == PITCHES
    assert int((wide.lowest - LOWEST_PITCH).abs().max()) in range(1, 6)


def test_the_mean_of_the_weights_follows_them() -> None:
    module = BenchmarkModule(TINY.to_dict(), {"rate": 1e-3, "total": 3}, averaging=0.9)
    with torch.no_grad():
        module.network.output.bias.add_(1.0)
        before = module.mean.output.bias.clone()
        module.on_train_batch_end(None, collate([roll_window(_piece(), 0, 4, 0)], [LOWEST_PITCH], PITCHES), 0)
    moved = module.mean.output.bias - before
    assert torch.allclose(moved, torch.full_like(moved, 0.9))  # in the first step a tenth is kept


def _piece() -> Any:
    return make_piece(made_roll(0, 8).play)


@pytest.mark.timeout(120)
def test_three_steps_of_training_and_their_figure(tmp_path: Path) -> None:
    cfg = _settings(small_set(tmp_path / "set.npz"), tmp_path / "run")
    figures = train(cfg)
    assert figures["steps"] == 3
    about = load_about(Path(figures["weights"]))
    rolls: RollSet = read_set(tmp_path / "set.npz")
    assert about["trained_on"] == {"file": "set.npz", "split": "train", "sha256": rolls.sha256, "pieces": 4}
    assert about["licence"].endswith("not redistributed")
    found = evaluate(cfg | {"weights": figures["weights"]})
    assert found["trained_on_this_file"] is True
    assert found["nats_per_frame"] == pytest.approx(about["figures"]["valid_transpose_1"], abs=1e-3)
    assert set(found["baselines"]) == {"persistence", "marginal", "markov"}
    assert (found["pieces"], found["frames"]) == (2, 57)
    # While training the very same frames were measured, without the mean over transpositions.
    assert figures["last"]["valid/nats_per_frame"] == pytest.approx(about["figures"]["valid_transpose_0"], abs=1e-3)


def test_weights_of_the_composer_can_be_scored(tmp_path: Path) -> None:
    from composer.features import feature_names

    cfg = _settings(small_set(tmp_path / "set.npz"), tmp_path)
    network = small_network()
    about = {"network": SMALL.to_dict(), "features": feature_names(len(SMALL.styles))}
    save_weights(tmp_path / "net.safetensors", network.state_dict(), about)
    found = evaluate(cfg | {"weights": str(tmp_path / "net.safetensors")})
    assert found["trained_on_this_file"] is False
    assert found["nats_per_frame"] == pytest.approx(
        network_nats(network, read_set(tmp_path / "set.npz").split("valid"))
    )


def test_the_weights_that_ship_are_whole() -> None:
    network, about = load_network(SHIPPED / "jsb.safetensors")
    assert about["trained_on"]["split"] == "train"
    assert about["licence"].endswith("not redistributed")
    assert default_weights(about["trained_on"]["sha256"]) == SHIPPED / "jsb.safetensors"
    assert default_weights("0" * 64).stem == "biaxial"
    tensors, _ = load_weights(SHIPPED / "jsb.safetensors")
    assert sum(value.numel() for value in tensors.values()) == about["parameters"]
    # Features that came later have columns of zeros.
    assert sum(p.numel() for p in network.parameters() if p.ndim) >= about["parameters"]


@pytest.mark.shared
def test_the_weights_that_ship_keep_their_figure() -> None:
    file = ROOT.parent / "shared" / "data" / "polyphonic_benchmark" / "JSB_Chorales.npz"
    if not file.exists():
        pytest.skip("needs the JSB set beside the checkout")
    network, about = load_network(SHIPPED / "jsb.safetensors")
    rolls = read_set(file)
    assert rolls.sha256 == about["trained_on"]["sha256"]
    nats = network_nats(network, rolls.split("valid"), period=about["period"])
    assert nats == pytest.approx(about["figures"]["valid_transpose_0"], abs=1e-3)
    assert nats < 4.6
