"""Pictures of tempo and velocity, bar by bar: pianists, the rules and the learned performer over one another.

    OMP_NUM_THREADS=1 python -m benchmarks.performance_curves --cache DIR --out docs/curves
        [--split test] [--performers rules learned] [--weights FILE] [--pieces NAME …]

One PNG a piece, of a performed set of (n)ASAP that task=prepare has put into the cache. Without names five pieces are
drawn, of as many composers: of each the one with the most pianists. Tempo is in quarters a minute relative to the
performance's median bar, so that slow and fast pianists lie over one another; velocity is the mean of a bar's notes
about the performance's mean. Performers are drawn as the mean of eight samples and as one sample.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from evaluation.performances import Layout, Played, mean_played
from music.performance_corpus import load_performances
from performer.evaluate import make_performers
from performer.evaluate_figures import play
from performer.evaluate_pieces import Piece, pieces_of

HUES = {"rules": "#009e73", "learned": "#d55e00", "linear": "#a5478f", "flat": "#5a5a8c"}  # after Okabe & Ito
PIANIST, PIANISTS = "#b0b0b0", "#2b2b2b"
SAMPLES, MOST = 8, 5
Bars = Float[np.ndarray, " bars"]


def bar_curves(score: Layout, performance: Played) -> tuple[Bars, Bars]:
    """Tempo (percent of the median bar's) and velocity (about the mean) of each bar; nan where none can be told."""
    size = int(score.bar[-1]) + 1
    known = np.isfinite(performance.ioi)
    seconds = np.bincount(score.bar[known], performance.ioi[known], size)
    quarters = np.bincount(score.bar[known], np.append(score.quarters, 0.0)[known], size)
    tempo = np.where(quarters > 0, quarters / np.where(seconds > 0, seconds, np.nan), np.nan)
    bars, struck = score.bar[score.place], np.isfinite(performance.velocity)
    count = np.bincount(bars[struck], minlength=size)
    loud = np.bincount(bars[struck], performance.velocity[struck], size) / np.where(count > 0, count, np.nan)
    return 100 * tempo / np.nanmedian(tempo), loud - float(np.nanmean(performance.velocity))


def draw(piece: Piece, made: dict[str, tuple[Played, Played]], path: Path) -> dict[str, dict[str, float]]:
    """Writes the picture of a piece.

    Args:
        piece: with its pianists.
        made: by performer, one sample and the mean of several.
        path: of the PNG.

    Returns:
        r of each performer's mean with the pianists' mean, over bars: tempo and velocity.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), dpi=72, facecolor="white")
    FigureCanvasAgg(figure)
    axes: list[Any] = list(figure.subplots(2, 1, sharex=True))
    target = bar_curves(piece.layout, mean_played(piece.played))
    for row in piece.played:
        for axis, curve in zip(axes, bar_curves(piece.layout, row), strict=True):
            axis.plot(curve, color=PIANIST, linewidth=0.6, alpha=0.7)
    for axis, curve in zip(axes, target, strict=True):
        axis.plot(curve, color=PIANISTS, linewidth=1.8, label=f"mean of {len(piece.played)} performances by pianists")
    found: dict[str, dict[str, float]] = {}
    for name, (one, mean) in made.items():
        hue = HUES.get(name, "#0072b2")
        curves = bar_curves(piece.layout, mean)
        for axis, curve, single in zip(axes, curves, bar_curves(piece.layout, one), strict=True):
            axis.plot(single, color=hue, linewidth=0.6, linestyle=":")
            axis.plot(curve, color=hue, linewidth=1.5, label=f"{name}, mean of {SAMPLES} (dotted: one)")
        found[name] = {k: _r(a, b) for k, a, b in zip(("tempo", "velocity"), curves, target, strict=True)}
    low, high = np.nanpercentile(np.concatenate([bar_curves(piece.layout, p)[0] for p in piece.played]), [0.5, 99.5])
    axes[0].set_ylim(max(0, low - 10), high + 10)
    axes[0].set_ylabel("tempo, % of the median bar")
    axes[1].set_ylabel("velocity about the mean")
    axes[1].set_xlabel("bar, as played")
    axes[0].set_title(piece.composition.replace("_", " "), loc="left")
    axes[0].legend(loc="upper right", ncols=3, fontsize=8, frameon=False)
    for axis in axes:
        axis.margins(x=0.01)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    return found


def _r(a: Bars, b: Bars) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[both], b[both])[0, 1]) if both.sum() > 2 and a[both].std() > 1e-6 else 0.0


def chosen(pieces: list[Piece], names: list[str] | None) -> list[Piece]:
    """Pieces by name; or of five composers, those who are played most, the piece with the most pianists."""
    if names:
        return [max((p for p in pieces if p.composition == n), key=lambda p: len(p.played)) for n in names]
    best: dict[str, Piece] = {}
    for piece in pieces:
        if piece.composer not in best or len(piece.played) > len(best[piece.composer].played):
            best[piece.composer] = piece
    return sorted(best.values(), key=lambda p: (-len(p.played), p.composition))[:MOST]


def main() -> None:
    """Draws and prints r over bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/curves"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--performers", nargs="*", default=["rules", "learned"])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--pieces", nargs="*")
    arguments = parser.parse_args()
    performers = make_performers(arguments.performers, weights=arguments.weights)
    wanted = [name if name in performers else Path(name).stem for name in arguments.performers]
    pieces = pieces_of(load_performances("nasap", arguments.split, cache_dir=arguments.cache))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for piece in chosen(pieces, arguments.pieces):
        made = {}
        for name in wanted:
            samples = play(performers[name], piece, samples=SAMPLES, seed=0).played
            made[name] = (samples[0], mean_played(samples))
        path = arguments.out / (re.sub(r"\W+", "_", piece.composition).lower() + ".png")
        figures = draw(piece, made, path)
        cells = "   ".join(f"{n}: tempo {r['tempo']:.2f} velocity {r['velocity']:.2f}" for n, r in figures.items())
        print(f"{path}  {len(piece.played)} performances   {cells}")


if __name__ == "__main__":
    main()
