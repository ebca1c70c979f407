"""Training: batches that do not depend on history, exact resumption after a kill, shares of several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from composer.data import Batches, ComposerData
from composer.module import ComposerModule
from music.errors import RequestError, WeightsError
from tests.composer_cases import SMALL, WINDOWS, made_example, small_network
from training.callbacks import AtomicCheckpoints, FiniteLoss, TrainingError
from training.run import RunConfig, fit
from training.schedule import warmup_stable_decay
from training.weights import fit_weights, load_weights, save_weights

QUIET = {"accelerator": "cpu", "enable_progress_bar": False}


def _batches(**place: int) -> Batches:
    pieces = [made_example(0), made_example(1)]
    return Batches(pieces, WINDOWS, seed=3, epoch=place.pop("epoch", 0), count=4, **place)


def test_a_batch_is_a_function_of_its_number() -> None:
    first, again = _batches().batch(2), list(_batches())[2]
    assert torch.equal(first.play, again.play)
    assert torch.equal(first.context, again.context)
    assert not torch.equal(first.lowest, _batches(epoch=1).batch(2).lowest) or not torch.equal(
        first.reference_kind, _batches(epoch=1).batch(2).reference_kind
    )


def test_processes_share_a_batch() -> None:
    whole = _batches().batch(1)
    shares = [_batches(rank=rank, world=2).batch(1) for rank in range(2)]
    assert torch.equal(whole.play[0::2], shares[0].play)
    assert torch.equal(whole.play[1::2], shares[1].play)
    with pytest.raises(ValueError, match="cannot be dealt"):
        _batches(world=3)


def test_no_note_is_lost_in_a_crop() -> None:
    from composer.windows import crop_windows, draw_window

    rng = np.random.default_rng(0)
    windows = [draw_window(rng, made_example(i % 2), WINDOWS) for i in range(6)]
    lowest, width = crop_windows(rng, windows)
    for window, low in zip(windows, lowest, strict=True):
        kept = window.play[:, low - 21 : low - 21 + width]
        assert kept.sum() == window.play.sum()


def _fit(out: Path, steps: int, rate: float = 5e-3, **trainer: object) -> tuple[ComposerModule, dict[str, float]]:
    torch.manual_seed(0)
    pieces = [made_example(0), made_example(1)]
    network = {**SMALL.to_dict(), "dropout": 0.2 if "strategy" not in trainer else 0.0}
    module = ComposerModule(network, {"rate": rate, "warmup": 2, "total": steps})
    data = ComposerData(pieces, pieces, WINDOWS, seed=5, epoch_steps=4, valid_steps=16)
    config = RunConfig(steps, epoch_steps=4, trainer={**QUIET, "devices": 1, **trainer})
    _, figures = fit(module, data, out=out, config=config, frames_per_batch=64)
    return module, figures


def test_what_lightning_cannot_do_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^trainer: .*strategy='nonsense'"):
        _fit(tmp_path, 4, strategy="nonsense")


def test_it_learns(tmp_path: Path) -> None:
    _, early = _fit(tmp_path / "early", 4)
    _, late = _fit(tmp_path / "late", 120, rate=1e-2)
    assert late["valid/nats_per_frame"] < 0.8 * early["valid/nats_per_frame"]


def _worker(out: Path, steps: int) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from pathlib import Path; import torch; torch.set_num_threads(1)\n"
        "from tests.test_composer_training import _fit\n"
        "_fit(Path(sys.argv[1]), int(sys.argv[2]))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(out), str(steps)],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.timeout(240)
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    steps = 24
    unbroken, _ = _fit(tmp_path / "unbroken", steps)
    broken = tmp_path / "broken"
    process = _worker(broken, 100_000)
    while not (broken / "last.ckpt").exists():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    seen = torch.load(broken / "last.ckpt", weights_only=True)["global_step"]
    if seen >= steps:
        pytest.skip(f"the machine was too fast: {seen} steps were done before the kill")
    resumed, _ = _fit(broken, steps)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_run_that_gets_worse_is_still_resumed_where_it_was(tmp_path: Path) -> None:
    """The last checkpoint is of the last epoch, also where the best one is an earlier one."""
    _fit(tmp_path, 16, rate=0.5)  # a rate that ruins the network
    best, last = (torch.load(tmp_path / f"{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert best["global_step"] < last["global_step"] == 16
    _fit(tmp_path, 20, rate=0.5)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 20


def _two_processes(out: Path) -> float:
    code = (
        "import sys; from pathlib import Path; import torch; torch.set_num_threads(1)\n"
        "from tests.test_composer_training import _fit\n"
        "_, figures = _fit(Path(sys.argv[1]), 8, devices=2, strategy='ddp')\n"
        "print('loss', figures['valid/nats_per_frame'])\n"
    )
    script = out.with_suffix(".py")
    script.write_text(code, encoding="utf-8")
    root = str(Path(__file__).parent.parent)
    result = subprocess.run(
        [sys.executable, str(script), str(out)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return float(next(line for line in result.stdout.splitlines() if line.startswith("loss")).split()[1])


@pytest.mark.timeout(240)
def test_two_processes_reach_the_loss_of_one(tmp_path: Path) -> None:
    _, one = _fit(tmp_path / "one", 8, strategy="auto")
    assert abs(_two_processes(tmp_path / "two") - one["valid/nats_per_frame"]) < 1e-4


def test_schedule() -> None:
    factor = warmup_stable_decay(10, 100, 20)
    assert factor(0) == pytest.approx(0.1)
    assert factor(50) == 1.0
    assert factor(79) == 1.0
    assert factor(90) == pytest.approx(0.51)
    assert factor(100) == pytest.approx(0.02)


def test_a_loss_that_stays_nan_ends_the_run(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pieces = [made_example(0)]
    module = ComposerModule(SMALL.to_dict(), {"rate": 1e-3})
    with torch.no_grad():
        module.network.output.bias.fill_(float("nan"))
    data = ComposerData(pieces, pieces, WINDOWS, seed=1, epoch_steps=30, valid_steps=16)
    config = RunConfig(30, epoch_steps=30, trainer={**QUIET, "devices": 1})
    with pytest.raises(TrainingError, match="10 steps in a row"):
        fit(module, data, out=tmp_path, config=config, frames_per_batch=64)
    assert FiniteLoss().patience == 10


def test_ctrl_c_is_heard_again_after_a_run_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning, once interrupted, has the process ignore Ctrl-C for good: not for whoever calls `fit`."""

    def press(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ComposerModule, "on_train_batch_start", press, raising=False)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt, match="no checkpoint yet"):
            _fit(tmp_path, 4)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_checkpoints_are_renamed_into_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"value": 1}, path)

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.callbacks.os.replace", broken)
    with pytest.raises(OSError, match="No space"):
        AtomicCheckpoints().save_checkpoint({"value": 2}, path)
    assert torch.load(path, weights_only=True) == {"value": 1}


class TestWeights:
    def _saved(self, folder: Path) -> Path:
        path = folder / "net.safetensors"
        save_weights(path, small_network().state_dict(), {"network": SMALL.to_dict()})
        return path

    def test_round_trip(self, tmp_path: Path) -> None:
        path = self._saved(tmp_path)
        tensors, about = load_weights(path)
        network = small_network(seed=1)
        fit_weights(path, network, tensors)
        expected = small_network().state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
        assert about["network"] == SMALL.to_dict()

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match=r"net\.safetensors: is missing"):
            load_weights(tmp_path / "net.safetensors")

    def test_damaged(self, tmp_path: Path) -> None:
        path = self._saved(tmp_path)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
        with pytest.raises(WeightsError, match="checksums differ"):
            load_weights(path)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99, "sha256": "x"}'])
    def test_a_json_that_is_none(self, tmp_path: Path, text: str) -> None:
        path = self._saved(tmp_path)
        path.with_suffix(".json").write_text(text, encoding="utf-8")
        with pytest.raises(WeightsError, match=r"net\.json"):
            load_weights(path)

    def test_of_another_network(self, tmp_path: Path) -> None:
        path = self._saved(tmp_path)
        tensors, _ = load_weights(path)
        tensors["output.bias"] = torch.zeros(3)
        with pytest.raises(WeightsError, match=r"output\.bias is \(3,\) for \(2,\)"):
            fit_weights(path, small_network(), tensors)

    def test_a_full_disk_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("training.weight_files.os.replace", full)
        with pytest.raises(WeightsError, match="No space left"):
            self._saved(tmp_path)
        assert list(tmp_path.iterdir()) == []
