"""Features of the composer's network: one function for training, measuring and sampling.

Three named sets, whose widths are summed from their blocks: `LOCAL` per step and pitch, `GLOBAL` per step, and `CHOICE`
per step and pitch from the notes already chosen below. After Johnson 2015 ("Composing Music With Recurrent Neural
Networks": pitch position, pitch class, vicinity, previous context, beat) with the plan's conditions added.

Shapes: B items, T steps, P pitches of a window whose lowest pitch may differ by item. The frame before the first step
is given, so that `play` has T + 1 rows; reference and fixed notes have T + LOOK_AHEAD rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from composer.conditions import ATTACK, FIELD, HOLD, LOOK_AHEAD, OFF, SIMILARITY_BOUNDS, STRENGTHS
from music.harmony import CHORD_INTERVALS, QUALITIES
from music.plan import CADENCES, RHYTHMS

VICINITY = 12  # semitones to either side
REFERENCE_VICINITY = 2
AHEAD = (1, 2, 3, 4, 6, 8)  # steps ahead at which reference and fixed notes are seen
BELOW = 12  # semitones below in which the chosen notes are seen one by one
REGISTER_CENTRES = tuple(range(24, 109, 12))  # bumps an octave apart
LEFT_BINS = (1, 2, 4, 8, 16, 32, 64)  # steps left, one-hot by the first bound not exceeded; beyond: a last bin

LOCAL_BLOCKS = {
    "register": len(REGISTER_CENTRES),
    "pitch_class": 12,
    "degree_major": 12,
    "degree_minor": 12,
    "previous_play": 2 * VICINITY + 1,
    "previous_articulate": 2 * VICINITY + 1,
    "previous_classes": 12,
    "chord_interval": 12,
    "chord_member": 1,
    "chord_bass": 1,
    "next_chord_member": 1,
    "next_chord_bass": 1,
    "register_distance": 2,
    "reference_play": 2 * REFERENCE_VICINITY + 1,
    "reference_articulate": 2 * REFERENCE_VICINITY + 1,
    "reference_play_ahead": len(AHEAD),
    "reference_articulate_ahead": len(AHEAD),
    "fixed": 3,
    "fixed_on_ahead": len(AHEAD),
    "fixed_off_ahead": len(AHEAD),
}
BEAT_STEPS = 6
BAR_BEATS = 6


def global_blocks(styles: int) -> dict[str, int]:
    """Blocks of the per-step features and their widths, for a number of known styles."""
    return {
        "bar_phase": 2,
        "step_in_beat": BEAT_STEPS,
        "beat_in_bar": BAR_BEATS,
        "beats_in_bar": BAR_BEATS,
        "strength": len(STRENGTHS),
        "triplet_grid": 1,
        "compound": 1,
        "key_known": 2,
        "chord_quality": len(QUALITIES),
        "chord_left": len(LEFT_BINS) + 1,
        "phrase_left": len(LEFT_BINS) + 1,
        "section_left": len(LEFT_BINS) + 1,
        "cadence": len(CADENCES) + 1,
        "style": styles,
        "density": 2,
        "mean_pitch": 2,
        "bar_density": 2,
        "bar_mean_pitch": 2,
        "bar_span": 2,
        "bar_rhythm": len(RHYTHMS),
        "similarity": len(SIMILARITY_BOUNDS) + 1,
        "reference_kind": 3,
        "fixed_any": 1,
        "previous_count": 2,
    }


CHOICE_BLOCKS = {"below_play": BELOW, "below_articulate": 1, "below_classes": 12, "below_count": 1}
LOCAL_WIDTH = sum(LOCAL_BLOCKS.values())
CHOICE_WIDTH = sum(CHOICE_BLOCKS.values())


@dataclass(frozen=True)
class Frames:
    """A batch of windows as tensors.

    Args:
        play, articulate: bits; row 0 is the frame before the window, row t + 1 the target of step t.
        context: columns of `composer.conditions.CONTEXT_FIELDS`.
        reference_play, reference_articulate, fixed: with `LOOK_AHEAD` rows more than the window.
        reference_kind: per step.
        lowest: MIDI pitch of column 0, per item.
        fit: steps that count in the loss.
    """

    play: Bool[Tensor, "B T_and_one P"]
    articulate: Bool[Tensor, "B T_and_one P"]
    context: Int[Tensor, "B T fields"]
    reference_play: Bool[Tensor, "B T_ahead P"]
    reference_articulate: Bool[Tensor, "B T_ahead P"]
    reference_kind: Int[Tensor, "B T"]
    fixed: Int[Tensor, "B T_ahead P"]
    lowest: Int[Tensor, " B"]
    fit: Bool[Tensor, "B T"]

    def to(self, device: torch.device | str) -> Frames:
        """The same batch on another device."""
        return Frames(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


def _onehot(values: Int[Tensor, ...], width: int) -> Float[Tensor, "... width"]:
    """One-hot rows; a value below 0 gives zeros, one beyond the width counts as the last."""
    values = values.long()
    rows = F.one_hot(values.clamp(0, width - 1), width).float()
    return rows * (values >= 0).unsqueeze(-1)


def _vicinity(bits: Float[Tensor, "B T P"], reach: int) -> Float[Tensor, "B T P window"]:
    return F.pad(bits, (reach, reach)).unfold(2, 2 * reach + 1, 1)


def _relative_classes(bits: Float[Tensor, "B T P"], pc: Int[Tensor, "B P"]) -> Float[Tensor, "B T P 12"]:
    """For each pitch, how many of `bits` lie at each interval class above it, in fourths of a note."""
    by_class = torch.einsum("btp,bpc->btc", bits, _onehot(pc, 12))
    rows = (torch.arange(12, device=pc.device) + pc.unsqueeze(-1)) % 12  # B P 12
    B, T = bits.shape[:2]
    index = rows.unsqueeze(1).expand(B, T, -1, -1)
    return torch.gather(by_class.unsqueeze(2).expand(-1, -1, rows.shape[1], -1), 3, index) / 4


def _members(device: torch.device) -> Float[Tensor, "qualities 12"]:
    table = torch.zeros(len(QUALITIES), 12, device=device)
    for row, quality in enumerate(QUALITIES):
        table[row, list(CHORD_INTERVALS[quality])] = 1.0
    return table


def _membership(
    pc: Int[Tensor, "B P"], root: Int[Tensor, "B T"], quality: Int[Tensor, "B T"]
) -> tuple[Int[Tensor, "B T P"], Float[Tensor, "B T P"]]:
    """Interval of each pitch above the chord's root (-1 unknown), and whether it is a chord tone."""
    known = (root >= 0).unsqueeze(-1)
    interval = (pc.unsqueeze(1) - root.unsqueeze(-1)) % 12
    table = _members(pc.device)[quality.clamp(min=0).long()]  # B T 12
    member = torch.gather(table, 2, interval.long()) * known
    return torch.where(known, interval, torch.full_like(interval, -1)), member


def _is_class(pc: Int[Tensor, "B P"], wanted: Int[Tensor, "B T"]) -> Float[Tensor, "B T P"]:
    return ((pc.unsqueeze(1) == wanted.unsqueeze(-1)) & (wanted >= 0).unsqueeze(-1)).float()


def _distance(midi: Int[Tensor, "B P"], centre: Int[Tensor, "B T"]) -> Float[Tensor, "B T P"]:
    """Octaves from a mean pitch, at most two either way; 0 where it is unknown."""
    octaves = ((midi.unsqueeze(1) - centre.unsqueeze(-1)) / 12).clamp(-2, 2)
    return octaves * (centre >= 0).unsqueeze(-1)


def _ahead(bits: Float[Tensor, "B T_ahead P"], steps: int) -> list[Float[Tensor, "B T P"]]:
    return [bits[:, a : a + steps] for a in AHEAD]


def local_features(frames: Frames) -> Float[Tensor, "B T P local"]:
    """Per step and pitch, from the frame before and the conditions; never from the target frame."""
    context = frames.context
    B, T = context.shape[:2]
    P = frames.play.shape[2]
    field = {name: context[..., index] for name, index in FIELD.items()}
    midi = frames.lowest.unsqueeze(1) + torch.arange(P, device=context.device)  # B P
    pc = midi % 12
    play, articulate = frames.play[:, :T].float(), frames.articulate[:, :T].float()

    centres = torch.tensor(REGISTER_CENTRES, device=context.device)
    register = torch.exp(-(((midi.unsqueeze(-1) - centres) / 8.0) ** 2)).unsqueeze(1).expand(B, T, P, -1)
    degree = (pc.unsqueeze(1) - field["key_pc"].unsqueeze(-1)) % 12
    unknown = torch.full_like(degree, -1)
    minor = field["key_minor"].unsqueeze(-1)
    interval, member = _membership(pc, field["chord_root"], field["chord_quality"])
    _, next_member = _membership(pc, field["next_root"], field["next_quality"])
    bass, next_bass = (_is_class(pc, field[name]) for name in ("chord_bass", "next_bass"))
    reference_play, reference_articulate = frames.reference_play.float(), frames.reference_articulate.float()
    fixed = frames.fixed
    on, off = (fixed >= HOLD).float(), (fixed == OFF).float()
    single = [
        member,
        bass,
        next_member,
        next_bass,
        *(_distance(midi, field[name]) for name in ("register", "bar_register")),
    ]
    ahead = [
        *_ahead(reference_play, T),
        *_ahead(reference_articulate, T),
        *[(fixed[:, :T] == state).float() for state in (OFF, HOLD, ATTACK)],
        *_ahead(on, T),
        *_ahead(off, T),
    ]
    return torch.cat(
        [
            register,
            _onehot(pc, 12).unsqueeze(1).expand(B, T, P, 12),
            _onehot(torch.where(minor == 0, degree, unknown), 12),
            _onehot(torch.where(minor == 1, degree, unknown), 12),
            _vicinity(play, VICINITY),
            _vicinity(articulate, VICINITY),
            _relative_classes(play, pc),
            _onehot(interval, 12),
            torch.stack(single, dim=-1),
            _vicinity(reference_play[:, :T], REFERENCE_VICINITY),
            _vicinity(reference_articulate[:, :T], REFERENCE_VICINITY),
            torch.stack(ahead, dim=-1),
        ],
        dim=-1,
    )


def _left(steps: Int[Tensor, "B T"]) -> Float[Tensor, "B T bins"]:
    bounds = torch.tensor(LEFT_BINS, device=steps.device)
    bins = torch.bucketize(steps.contiguous().long(), bounds)
    return _onehot(torch.where(steps > 0, bins, torch.full_like(bins, -1)), len(LEFT_BINS) + 1)


def _known_value(value: Float[Tensor, "B T"], known: Bool[Tensor, "B T"]) -> Float[Tensor, "B T 2"]:
    return torch.stack([value * known, known.float()], dim=-1)


def global_features(frames: Frames, styles: int) -> Float[Tensor, "B T global"]:
    """Per step: place in the bar, key, chord, form, style, and how many notes sounded before."""
    context = frames.context
    T = context.shape[1]
    field = {name: context[..., index] for name, index in FIELD.items()}
    phase = field["bar_step"] / field["bar_steps"] * (2 * torch.pi)
    beat = torch.div(field["bar_step"], field["beat_steps"], rounding_mode="floor")
    beats = torch.div(field["bar_steps"], field["beat_steps"], rounding_mode="floor")
    compound = (field["beat_steps"] * 2 == field["grid"] * 3).float()
    known_key = field["key_pc"] >= 0
    count = frames.play[:, :T].float().sum(-1), frames.articulate[:, :T].float().sum(-1)
    any_fixed = (frames.fixed[:, :T] != 0).any(-1).float()
    blocks = [
        torch.stack([phase.sin(), phase.cos()], dim=-1),
        _onehot(field["bar_step"] % field["beat_steps"], BEAT_STEPS),
        _onehot(beat, BAR_BEATS),
        _onehot(beats - 1, BAR_BEATS),
        _onehot(field["strength"], len(STRENGTHS)),
        (field["grid"] == 6).float().unsqueeze(-1),
        compound.unsqueeze(-1),
        torch.stack([(field["key_minor"] == 0).float(), (field["key_minor"] == 1).float()], -1)
        * known_key.unsqueeze(-1),
        _onehot(field["chord_quality"], len(QUALITIES)),
        _left(field["chord_left"]),
        _left(field["phrase_left"]),
        _left(field["section_left"]),
        _onehot(field["cadence"], len(CADENCES) + 1),
        _onehot(field["style"], styles),
        _known_value(field["density"].clamp(max=1600) / 400, field["density"] >= 0),
        _known_value((field["register"] - 64) / 12, field["register"] >= 0),
        _known_value(field["bar_density"].clamp(max=1600) / 400, field["bar_density"] >= 0),
        _known_value((field["bar_register"] - 64) / 12, field["bar_register"] >= 0),
        _known_value(field["bar_span"].clamp(max=72) / 36, field["bar_span"] >= 0),
        _onehot(field["bar_rhythm"], len(RHYTHMS)),
        _onehot(field["similarity"], len(SIMILARITY_BOUNDS) + 1),
        _onehot(frames.reference_kind, 3),
        any_fixed.unsqueeze(-1),
        torch.stack(count, dim=-1) / 4,
    ]
    return torch.cat(blocks, dim=-1)


def choice_features(
    play: Float[Tensor, "B T P"], articulate: Float[Tensor, "B T P"], lowest: Int[Tensor, " B"]
) -> Float[Tensor, "B T P choice"]:
    """Per step and pitch, from the notes of the same frame strictly below that pitch.

    `below_classes` counts in fourths, by interval class from the lower note up to this pitch.
    """
    B, T, P = play.shape
    below = F.pad(play, (BELOW, 0)).unfold(2, BELOW, 1)[:, :, :P]  # window of the pitches p-12 .. p-1
    struck = F.pad(articulate, (1, 0))[:, :, :P].unsqueeze(-1)
    pc = (lowest.unsqueeze(1) + torch.arange(P, device=play.device)) % 12  # B P
    by_class = play.unsqueeze(-1) * _onehot(pc, 12).unsqueeze(1)  # B T P 12
    total = by_class.cumsum(dim=2) - by_class  # strictly below, by pitch class
    rows = (pc.unsqueeze(-1) - torch.arange(12, device=play.device)) % 12  # interval i lies at class pc - i
    classes = torch.gather(total, 3, rows.unsqueeze(1).expand(B, T, P, 12)) / 4
    count = total.sum(-1, keepdim=True) / 4
    return torch.cat([below, struck, classes, count], dim=-1)


def feature_names(styles: int) -> dict[str, dict[str, int]]:
    """Names and widths of all blocks, as saved with the weights."""
    return {"local": dict(LOCAL_BLOCKS), "global": global_blocks(styles), "choice": dict(CHOICE_BLOCKS)}


assert max(AHEAD) <= LOOK_AHEAD
