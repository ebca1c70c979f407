"""Speed of training on two cores at the original's size, beside what the cores could do.

    python benchmarks/training.py [SECONDS] [BATCH]

The network of Johnson 2015 (time 300, 300; note 100, 50; 78 pitches) is trained on random notes by the project's own
module and optimiser: features, forward, backward, clipping, AdamW. Two processes after each other, for SECONDS (default
20) each: with the allocator's settings that `training/memory.py` makes for every training, and with the allocator as
it comes. Each measures the best rate of torch.mm in single precision on the same two threads before and after. FLOPs
are 6 for each weight, pitch and frame: 2 forward and 4 backward. Windows are 64 steps, BATCH (default 8) at a time.
Prints a table and one JSON line; the rate of a process is that of its fastest quarter of steps, and the mean is beside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from training.memory import KEEP_MEMORY  # noqa: E402

STEPS = 64
THREADS = 2
WORKER = "RITORNELLO_BENCHMARK_WORKER"


def peak(seconds: float) -> float:
    """FLOPs a second of torch.mm, the best of several shapes and slices."""
    import torch

    from benchmarks.sampling import best_rate

    best = 0.0
    for rows, inner, columns in ((1024, 1024, 1024), (2048, 2048, 2048), (5000, 300, 1200)):
        a, b, out = torch.rand(rows, inner), torch.rand(inner, columns), torch.empty(rows, columns)

        def run(a: torch.Tensor = a, b: torch.Tensor = b, out: torch.Tensor = out) -> int:
            torch.mm(a, b, out=out)
            return 2 * a.shape[0] * a.shape[1] * b.shape[1]

        best = max(best, best_rate(run, seconds / 3))
    return best


def work(seconds: float, batch: int) -> dict[str, float]:
    """Trains for so long; frames a second and the peak beside them."""
    import torch

    from benchmarks.sampling import ORIGINAL, ORIGINAL_PITCHES, flops_of
    from composer.conditions import CONTEXT_FIELDS, LOOK_AHEAD, UNKNOWN
    from composer.features import Frames
    from composer.module import ComposerModule

    warnings.filterwarnings("ignore")
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    pitches = ORIGINAL_PITCHES[1] - ORIGINAL_PITCHES[0] + 1
    ahead = (batch, STEPS + LOOK_AHEAD, pitches)
    play = torch.rand(batch, STEPS + 1, pitches) < 0.06
    frames = Frames(
        play=play,
        articulate=play & (torch.rand(play.shape) < 0.4),
        context=torch.full((batch, STEPS, len(CONTEXT_FIELDS)), UNKNOWN, dtype=torch.int16),
        reference_play=torch.zeros(ahead, dtype=torch.bool),
        reference_articulate=torch.zeros(ahead, dtype=torch.bool),
        reference_kind=torch.zeros(batch, STEPS, dtype=torch.int64),
        fixed=torch.zeros(ahead, dtype=torch.int8),
        lowest=torch.full((batch,), ORIGINAL_PITCHES[0]),
        fit=torch.ones(batch, STEPS, dtype=torch.bool),
    )
    module = ComposerModule(ORIGINAL.to_dict(), {}).train()
    optimiser = module.configure_optimizers()["optimizer"]
    before = peak(seconds / 5)
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 4:
        start = time.perf_counter()
        optimiser.zero_grad()
        module.training_step(frames, 0).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        times.append(time.perf_counter() - start)
    kept = sorted(times[2:])  # the first steps take their memory from the system
    fastest = kept[: max(len(kept) // 4, 1)]
    return {
        "flops": 3 * flops_of(module.network, pitches),
        "mm": max(before, peak(seconds / 5)),
        "best": batch * STEPS * len(fastest) / sum(fastest),
        "mean": batch * STEPS * len(kept) / sum(kept),
        "steps": len(times),
    }


def measure(settings: dict[str, str], seconds: float, batch: int) -> dict[str, float]:
    """`work` in a process of its own, whose allocator has these settings."""
    clean = {name: value for name, value in os.environ.items() if name not in KEEP_MEMORY}
    clean |= settings | {WORKER: "1", "OMP_NUM_THREADS": str(THREADS)}
    command = [sys.executable, __file__, str(seconds), str(batch)]
    return json.loads(subprocess.run(command, env=clean, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def main() -> None:
    """Measures both ways; in a worker, one."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    batch = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    if WORKER in os.environ:
        print(json.dumps(work(seconds, batch)))
        return
    figures = {"kept": measure(KEEP_MEMORY, seconds, batch), "default": measure({}, seconds, batch)}
    flops, limit = figures["kept"]["flops"], max(found["mm"] for found in figures.values())
    print(f"{flops / 1e6:.0f} MFLOP a frame, forward and backward; batches of {batch} windows of {STEPS} steps")
    print(f"{THREADS} threads: torch.mm {limit / 1e9:.0f} GFLOP/s = {limit / flops:.0f} frames/s")
    print(f"{'':38s}{'frames/s':>9s}{'of mm':>8s}{'mean':>8s}{'steps':>7s}")
    for label, name in (("memory kept (training/memory.py)", "kept"), ("the allocator as it comes", "default")):
        found = figures[name]
        share = 100 * found["best"] * flops / limit
        print(f"{label:38s}{found['best']:9.0f}{share:7.0f}%{found['mean']:8.0f}{found['steps']:7.0f}")
    print(json.dumps({name: {key: round(value, 1) for key, value in found.items()} for name, found in figures.items()}))


if __name__ == "__main__":
    main()
