"""What training windows are told: references of every degree, fixed notes of every kind, and weights that grow."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from composer.conditions import ATTACK, FIELD, FREE, HOLD, NO_REFERENCE, OFF, STATEMENT, THEME, UNKNOWN
from composer.data import piece_chances
from composer.features import feature_names
from composer.fixed_draw import MASKS, draw_fixed
from composer.likeness import bar_likeness, likeness_bin, similarity_column
from composer.reference_draw import _of_degree, _spoil, draw_reference
from composer.roll import PITCHES
from composer.warm_start import load_network
from composer.widen import can_widen, widened
from composer.windows import WindowConfig, _context_rows, draw_window, planned_window
from music.errors import WeightsError
from tests.composer_cases import SMALL, STYLES, made_example, made_frames, small_network
from training.weights import save_weights


def _onsets(*cells: tuple[int, int]) -> np.ndarray:
    rows = np.zeros((16, PITCHES), dtype=bool)
    for step, pitch in cells:
        rows[step, pitch] = True
    return rows


def test_likeness_of_a_bar_is_the_cosine_of_blurred_onsets() -> None:
    bar = _onsets((0, 40), (4, 42), (8, 44))
    assert bar_likeness(bar, bar) == pytest.approx(1.0)
    assert bar_likeness(bar, _onsets((0, 41))) == 0.0
    assert bar_likeness(bar, np.zeros_like(bar)) == 0.0
    # Alone: an onset at 0 has norm² 1.25, in the middle 1.5; one step later two of three values meet, at a half.
    late = bar_likeness(_onsets((4, 42)), _onsets((5, 42)))
    assert late == pytest.approx((0.5 + 0.5) / 1.5)


@pytest.mark.parametrize(("likeness", "bin_"), [(0.0, 0), (0.25, 1), (0.6, 2), (0.94, 3), (0.95, 4), (1.0, 4)])
def test_bins_of_likeness(likeness: float, bin_: int) -> None:
    assert likeness_bin(likeness) == bin_


def test_a_bar_without_most_of_its_reference_is_told_no_likeness() -> None:
    example = made_example(0)
    first, last = int(example.bars[1]), int(example.bars[3])
    steps = slice(first, last)
    struck, kind = example.roll.articulate[steps], np.full(last - first, STATEMENT, dtype=np.int8)
    column = similarity_column(example.context[steps], struck, struck, kind)
    assert (column == 4).all()
    kind[: int(example.bars[2]) - first - 2] = NO_REFERENCE
    column = similarity_column(example.context[steps], struck, struck, kind)
    assert column[0] == UNKNOWN
    assert column[-1] == 4


def test_references_of_all_degrees_are_drawn_evenly() -> None:
    """Degrees that a piece has are met about equally often, however rare they are in it."""
    example = made_example(0)
    low, high = int(example.bars[2]), int(example.bars[3])
    likeness = example.likeness.copy()
    likeness[2] = 20  # all unrelated …
    likeness[2, 1] = 250  # … but one, which is nearly the same
    object.__setattr__(example, "likeness", likeness)
    rng = np.random.default_rng(0)
    near = example.roll.play[int(example.bars[1]) : int(example.bars[2])]
    hits = 0
    for _ in range(200):
        play, _, kind = _of_degree(rng, example, low, high)
        assert (kind == STATEMENT).all()
        shift = int(example.shifts[2, 1])
        hits += bool((np.roll(play, -shift, axis=1) == near).all())
    assert 60 < hits < 140


def test_spoilt_references_have_no_notes_that_are_not_there() -> None:
    example, rng = made_example(1), np.random.default_rng(1)
    steps = slice(0, int(example.bars[4]))
    whole = example.roll.play[steps], example.roll.articulate[steps], np.full(steps.stop, STATEMENT, dtype=np.int8)
    counts, kinds = [], Counter[int]()
    for _ in range(100):
        play, articulate, kind = _spoil(rng, whole)
        assert not (articulate & ~play).any()
        counts.append(int(play.sum()))
        kinds.update(np.unique(kind).tolist())
    assert max(counts) <= whole[0].sum()
    assert min(counts) < 0.5 * whole[0].sum()
    assert kinds[THEME] > 0


def test_what_is_told_of_likeness_is_measured_on_what_is_told() -> None:
    example = made_example(0)
    config = WindowConfig(steps=32, batch=1, transpose=0, drop=0.0, drop_all=0.0, drop_bars=0.0, fix=0.0)
    rng, met = np.random.default_rng(3), Counter[int]()
    for _ in range(80):
        window = draw_window(rng, example, config)
        told = window.context[:, FIELD["similarity"]]
        assert ((told == UNKNOWN) | (window.reference_kind != NO_REFERENCE)).all()
        met.update(told.tolist())
        starts = np.flatnonzero(window.context[:, FIELD["bar_step"]] == 0)
        for start in starts:
            bar = slice(start, start + int(window.context[start, FIELD["bar_steps"]]))
            whole = bar.stop <= 32 and (window.reference_kind[bar] != NO_REFERENCE).all() and window.fit[bar].all()
            if whole:
                likeness = bar_likeness(window.articulate[1:][bar], window.reference_articulate[:32][bar])
                assert told[start] == likeness_bin(likeness)
    assert len(met) >= 4


def test_masks_tell_what_is_there() -> None:
    example, seen = made_example(0), Counter[int]()
    play, struck, melody = example.roll.play[:40], example.roll.articulate[:40], example.melody[0][:40]
    for seed in range(60):
        fixed = draw_fixed(np.random.default_rng(seed), play, struck, melody)
        assert (play[fixed >= HOLD]).all()
        assert not play[fixed == OFF].any()
        assert (struck[fixed == ATTACK]).all()
        assert (fixed == FREE).any() or play.all()
        seen.update([int((fixed != FREE).any(axis=1).sum())])
    assert len(seen) > 10, "masks are of many lengths"
    assert len(MASKS) == 5


def test_planned_windows_refer_to_earlier_bars_alone() -> None:
    example = made_example(0)
    first = int(example.bars[2])
    window = planned_window(example, first, 16)
    sources = example.returns[first : first + 16, 0]
    assert (sources < first + 16).all()
    assert ((window.reference_kind == NO_REFERENCE) == (sources < 0)).all()


def test_references_are_a_function_of_their_seed() -> None:
    example = made_example(0)
    low, high = int(example.bars[1]), int(example.bars[3])
    one, two = (draw_reference(np.random.default_rng(5), example, low, high) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))


def test_weights_of_fewer_features_do_what_they_did(tmp_path: Path) -> None:
    """Columns are found by name; a feature that the file lacks changes nothing."""
    network = small_network()
    names = feature_names(len(STYLES))
    local, context = dict(names["local"]), dict(names["global"])
    keep_local = _columns(local, "chord_bass")
    keep_context = _columns(context, "similarity")
    tensors = dict(network.state_dict())
    tensors["local.weight"] = tensors["local.weight"][:, keep_local]
    tensors["context.weight"] = tensors["context.weight"][:, keep_context]
    local.pop("chord_bass")
    context.pop("similarity")
    about = {"network": SMALL.to_dict(), "features": {**names, "local": local, "global": context}}
    save_weights(tmp_path / "old.safetensors", tensors, about)
    grown, _ = load_network(tmp_path / "old.safetensors")
    with torch.no_grad():
        network.local.weight[:, ~keep_local] = 0
        network.context.weight[:, ~keep_context] = 0
        frames = made_frames()
        assert torch.equal(grown.eval()(frames)[0], network(frames)[0])


def test_weights_grow_by_styles(tmp_path: Path) -> None:
    network, names = small_network(), feature_names(len(STYLES))
    save_weights(tmp_path / "w.safetensors", network.state_dict(), {"network": SMALL.to_dict(), "features": names})
    grown, _ = load_network(tmp_path / "w.safetensors", ("bach_chorale", "new", "haydn_quartet"))
    start = sum(w for n, w in names["global"].items() if list(names["global"]).index(n) < _place(names, "style"))
    own, other = network.context.weight[:, start : start + 2], grown.context.weight[:, start : start + 3]
    assert torch.equal(other[:, [0, 2]], own)
    assert torch.allclose(other[:, 1], own.mean(dim=1))


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, {"kind": "x"})
    with pytest.raises(WeightsError, match="does not say what network"):
        load_network(tmp_path / "w.safetensors")


def _place(names: dict[str, dict[str, int]], block: str) -> int:
    return list(names["global"]).index(block)


def _columns(blocks: dict[str, int], without: str) -> torch.Tensor:
    """Which columns are not those of one block."""
    return torch.cat([torch.full((width,), name != without) for name, width in blocks.items()])


def test_a_wider_network_does_what_the_narrower_did() -> None:
    network, frames = small_network(), made_frames()
    wider = replace(SMALL, projection=20, time_units=(24, 24), note_units=(14, 10))
    grown = widened(network, wider).eval()
    assert torch.allclose(grown(frames)[0], network(frames)[0], atol=1e-5)
    # What is new can learn: its weights get gradients once the loss is not flat.
    grown(frames)[0].square().mean().backward()
    new_columns = grown.output.weight.grad
    assert new_columns is not None
    assert bool((new_columns[:, 8:].abs() > 0).any())
    assert not can_widen(wider, SMALL)
    with pytest.raises(ValueError, match="widened"):
        widened(grown, SMALL)


def test_small_styles_are_drawn_oftener_than_there_is_of_them() -> None:
    pieces = [made_example(i) for i in range(4)]
    for piece, style in zip(pieces, (0, 0, 0, 1), strict=True):
        piece.context[:, FIELD["style"]] = style
    lengths = np.array([e.roll.steps for e in pieces], dtype=np.float64)
    assert piece_chances(pieces) == pytest.approx(lengths / lengths.sum())
    alike = piece_chances(pieces, balance=0.0)
    assert alike[3] == pytest.approx(0.5)
    assert alike[:3] == pytest.approx(0.5 * lengths[:3] / lengths[:3].sum())
    favoured = piece_chances(pieces, balance=0.0, favour={"haydn_quartet": 3.0}, styles=STYLES)
    assert favoured[3] == pytest.approx(0.75)


def test_a_window_never_wraps_round_to_the_end_of_its_piece() -> None:
    """What is told a bar too early at the beginning is the beginning, not the close."""
    example = made_example(0)
    rows = _context_rows(example.context, -5, 8)
    assert (rows[:5] == example.context[0]).all()
    assert (rows[5:] == example.context[:3]).all()
