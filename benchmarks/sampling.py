"""Speed of sampling on one core, beside what the core could do and beside a plain loop of torch cells.

    python benchmarks/sampling.py [SECONDS] [ITEMS] [--cpu]

Two networks: the one that ships, and one of the original's size (Johnson 2015: time 300, 300; note 100, 50; 78 pitches;
random weights). Each is sampled as a single piece and as ITEMS candidates in lockstep (default 8), with all that
sampling does: features of the conditions, time axis, note axis, draws. The loop beside it is compiled by
torch.jit.script, has the same LSTMs with the same weights and is given its features. All figures are of one thread,
alike the best of slices of 50 ms within SECONDS (default 4) each. A clock that counts the thread's own time alone
(--cpu) is for machines that do other work: theirs is the same on an idle one. Prints a table and one JSON line.

Limits: a network's products (2 FLOPs a weight and pitch, features dense) over the best rate of torch.mm in single
precision, and, beside it, over that of oneDNN with prepared weights, which is what sampling uses: where the two
differ, the first is not the fastest that the core can do.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from composer.conditions import Conditions, empty_conditions, plan_context  # noqa: E402
from composer.features import CHOICE_WIDTH  # noqa: E402
from composer.network import BiaxialNetwork, NetworkConfig  # noqa: E402
from composer.roll import PITCHES, step_div  # noqa: E402
from composer.sampling import RANGES, SHIPPED  # noqa: E402
from composer.stepper import Stepper  # noqa: E402
from music.errors import WeightsError  # noqa: E402
from music.time import Meter  # noqa: E402
from planner.grammar import GrammarPlanner  # noqa: E402
from planner.interface import PlanRequest  # noqa: E402
from training.weights import fit_weights, load_about, load_weights  # noqa: E402

ORIGINAL = NetworkConfig(time_units=(300, 300), note_units=(100, 50), styles=("piano",))
ORIGINAL_PITCHES = (24, 101)
REAL_TIME = 8  # sixteenths a second at 120 quarters a minute
SLICE = 0.05  # seconds
clock = time.thread_time if "--cpu" in sys.argv else time.perf_counter
PEAK_SHAPES = ((61, 256, 512), (488, 256, 512), (78, 600, 1200), (624, 600, 1200), (1024, 1024, 1024))


def best_rate(run: Callable[[], int], seconds: float) -> float:
    """Units a second in the best slice; `run` returns how many units it did."""
    run()
    best, end = 0.0, clock() + seconds
    while clock() < end:
        start, done = clock(), 0
        while clock() - start < SLICE:
            done += run()
        best = max(best, done / (clock() - start))
    return best


def peaks(seconds: float) -> dict[str, float]:
    """FLOPs a second in single precision of torch.mm, and of oneDNN with prepared weights: the best of shapes."""
    found = {"mm": 0.0, "onednn": 0.0}
    for rows, inner, columns in PEAK_SHAPES:
        a, b, out = torch.rand(rows, inner), torch.rand(inner, columns), torch.empty(rows, columns)
        flops = 2 * rows * inner * columns

        def plain(a: Tensor = a, b: Tensor = b, out: Tensor = out, flops: int = flops) -> int:
            torch.mm(a, b, out=out)
            return flops

        found["mm"] = max(found["mm"], best_rate(plain, seconds / len(PEAK_SHAPES)))
        packed = torch.ops.mkldnn._reorder_linear_weight(b.t().contiguous(), rows)

        def prepared(a: Tensor = a, packed: Tensor = packed, flops: int = flops) -> int:
            torch.ops.mkldnn._linear_pointwise(a, packed, None, "none", [], "")
            return flops

        found["onednn"] = max(found["onednn"], best_rate(prepared, seconds / len(PEAK_SHAPES)))
    return found


def flops_of(network: BiaxialNetwork, pitches: int) -> int:
    """Of one frame: two for each weight at each pitch; the per-step features are projected once a step."""
    weights = sum(p.numel() for name, p in network.named_parameters() if p.ndim == 2 and name != "context.weight")
    return 2 * (weights * pitches + network.context.weight.numel())


class PlainLoop(nn.Module):
    """The same LSTMs as cells in a plain loop: along time for all pitches at once, then pitch by pitch with draws.

    Args:
        network: its weights are copied; it has two LSTMs on each axis.
        pitches: number of pitches.
    """

    def __init__(self, network: BiaxialNetwork, pitches: int) -> None:
        super().__init__()
        self.pitches, self.choice = pitches, CHOICE_WIDTH
        self.time_1, self.time_2, self.note_1, self.note_2 = (
            _cell(layer) for axis in (network.time, network.note) for layer in axis.layers
        )
        self.output = network.output

    def forward(self, x: Tensor, states: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """One frame from projected features [pitches, width]: the bits drawn, and the time axis' state."""
        first = self.time_1(x, states[0])
        second = self.time_2(first[0], states[1])
        hidden = torch.cat([second[0] + first[0], x], dim=1)
        play = torch.zeros(1, self.pitches)
        h1, c1 = torch.zeros(1, self.note_1.hidden_size), torch.zeros(1, self.note_1.hidden_size)
        h2, c2 = torch.zeros(1, self.note_2.hidden_size), torch.zeros(1, self.note_2.hidden_size)
        last = torch.zeros(1, self.choice)
        for p in range(self.pitches):
            h1, c1 = self.note_1(torch.cat([hidden[p : p + 1], last], dim=1), (h1, c1))
            h2, c2 = self.note_2(h1, (h2, c2))
            drawn = torch.bernoulli(torch.sigmoid(self.output(h2)))
            play[0, p] = drawn[0, 0]
            last[0, 0], last[0, 1] = drawn[0, 0], drawn[0, 1]
        return play, [first, second]


def _cell(layer: nn.Module) -> nn.LSTMCell:
    assert isinstance(layer, nn.LSTM)
    cell = nn.LSTMCell(layer.input_size, layer.hidden_size)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    return cell


def loop_rate(network: BiaxialNetwork, pitches: int, seconds: float) -> float:
    """Frames a second of the scripted loop."""
    loop = torch.jit.script(PlainLoop(network, pitches).eval())
    units = network.config.time_units
    x = torch.rand(pitches, network.config.projection)
    states = [(torch.zeros(pitches, width), torch.zeros(pitches, width)) for width in units]

    @torch.no_grad()
    def run() -> int:
        nonlocal states
        _, states = loop(x, states)
        return 1

    for _ in range(3):  # torch.jit optimises in its first calls
        run()
    return best_rate(run, seconds)


def told_by_a_plan(styles: tuple[str, ...]) -> Conditions:
    """The conditions of a planned piece."""
    plan = GrammarPlanner().plan(PlanRequest("ABA", meter=Meter(4, 4), bars=48), seed=1)
    return empty_conditions(plan_context(plan, 4, plan.end_div // step_div(4), styles))


def stepper_rate(
    network: BiaxialNetwork, pitches: tuple[int, int], items: int, guidance: float, seconds: float
) -> float:
    """Frames a second over all items."""
    stepper = Stepper(network, pitches, items=items, guidance=guidance)
    told = told_by_a_plan(network.config.styles)
    rng, step = np.random.default_rng(0), 0
    low, high = stepper.columns
    play, articulate = np.zeros((2, items, PITCHES), dtype=bool)

    def run() -> int:
        nonlocal step
        drawn = stepper.step([told] * items, step, play, articulate, rng.random((items, 2, high - low)), least=0.02)
        play[:, low:high], articulate[:, low:high] = drawn.play, drawn.articulate
        step = (step + 1) % len(told.context)
        return items

    return best_rate(run, seconds)


def shipped_network() -> tuple[BiaxialNetwork, str]:
    """The network that ships; with random weights where the files are of other features."""
    network = BiaxialNetwork(NetworkConfig.from_dict(load_about(SHIPPED)["network"])).eval()
    try:
        fit_weights(SHIPPED, network, load_weights(SHIPPED)[0])
    except WeightsError:
        return network, "random weights: the files are of other features"
    return network, "its weights"


def measure(network: BiaxialNetwork, pitches: tuple[int, int], items: int, seconds: float) -> dict[str, float]:
    """All figures of one network."""
    count = pitches[1] - pitches[0] + 1
    plain = len(network.config.time_units) == len(network.config.note_units) == 2
    peak = peaks(seconds)
    found = {
        "flops": flops_of(network, count),
        "loop": loop_rate(network, count, seconds) if plain else float("nan"),
        "one": stepper_rate(network, pitches, 1, 1.0, seconds),
        "all": stepper_rate(network, pitches, items, 1.0, seconds),
        "guided": stepper_rate(network, pitches, items, 1.5, seconds),
    }
    again = peaks(seconds)
    return found | {name: max(peak[name], again[name]) for name in peak}


def show(name: str, found: dict[str, float], items: int) -> None:
    """The table of one network."""
    flops = found["flops"]
    limit, faster = found["mm"] / flops, found["onednn"] / flops
    print(f"\n{name}: {flops / 1e6:.1f} MFLOP a frame")
    print(f"one core: torch.mm {found['mm'] / 1e9:.0f} GFLOP/s = {limit:.0f} frames/s", end="; ")
    print(f"oneDNN, prepared weights {found['onednn'] / 1e9:.0f} GFLOP/s = {faster:.0f} frames/s")
    print(f"{'':34s}{'frames/s':>9s}{'x real':>8s}{'of mm':>8s}{'limit/':>8s}{'oneDNN/':>9s}{'x loop':>8s}")
    rows = [("scripted loop of torch cells", "loop", 1), ("one piece", "one", 1)]
    rows += [(f"{items} candidates in lockstep", "all", items), (f"{items} candidates, guidance 1.5", "guided", items)]
    for label, key, pieces in rows:
        rate = found[key]
        print(
            f"{label:34s}{rate:9.0f}{rate / pieces / REAL_TIME:8.0f}{100 * rate / limit:7.0f}%{limit / rate:8.2f}"
            f"{faster / rate:9.2f}{rate / found['loop']:8.1f}"
        )


def main() -> None:
    """Measures both networks."""
    numbers = [word for word in sys.argv[1:] if not word.startswith("--")]
    seconds = float(numbers[0]) if numbers else 4.0
    items = int(numbers[1]) if len(numbers) > 1 else 8
    torch.set_num_threads(1)
    torch.manual_seed(0)
    own, weights = shipped_network()
    figures = {"shipped": measure(own, RANGES["piano"], items, seconds)}
    show(f"shipped network, {weights}", figures["shipped"], items)
    figures["original"] = measure(BiaxialNetwork(ORIGINAL).eval(), ORIGINAL_PITCHES, items, seconds)
    show("original's size", figures["original"], items)
    print("\n(x real: each piece against sixteenths at 120 quarters a minute; guidance runs two networks)")
    rounded = {name: {key: round(value, 1) for key, value in found.items()} for name, found in figures.items()}
    print(json.dumps({"items": items, **rounded}))


if __name__ == "__main__":
    main()
