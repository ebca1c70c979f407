"""Columns of onsets that need the notes alone: rhythm, meter, density, register and the melody's way."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from performer.feature_frame import QUARTER, Frame, log_quarters, window_count, window_mean
from performer.feature_notes import hand_spans, melody_at, melody_steps

NEAR = 4 * QUARTER


def onset_columns(frame: Frame, phrase: Int[np.ndarray, " onsets"]) -> dict[str, np.ndarray]:
    """Columns of the groups rhythm, meter, density, register and melody; `phrase` is each onset's."""
    return {
        **_rhythm(frame),
        **_meter(frame),
        **_density(frame),
        **_register(frame),
        **_melody(frame, phrase),
    }


def intervals(frame: Frame) -> Int[np.ndarray, " onsets"]:
    """Divisions from each onset to the next, from the last one to the score's end."""
    return np.diff(np.append(frame.at, max(frame.end_div, int(frame.at[-1]) + 1)))


def _rhythm(frame: Frame) -> dict[str, np.ndarray]:
    ioi = np.log2(intervals(frame) / QUARTER)
    before = np.append(ioi[0], ioi[:-1])
    first = np.arange(len(ioi)) == 0
    local = window_mean(frame.at, ioi, frame.at - NEAR, frame.at + NEAR + 1, ioi)
    filled = np.maximum.accumulate(frame.highest(frame.end))
    following = np.append(frame.at[1:], frame.end_div)
    silence = log_quarters(following - filled)
    graces = np.log2(1 + np.bincount(frame.place, frame.grace, len(ioi)))
    places, _ = melody_steps(frame)
    step, _ = melody_at(frame)
    reach = np.diff(np.append(frame.at[places], max(frame.end_div, int(frame.at[places[-1]]) + 1)))
    return {
        "log_ioi": ioi,
        "log_ioi_before": np.where(first, 0.0, before),
        "first": first,
        "ioi_change": ioi - before,
        "ioi_next_change": np.append(ioi[1:], ioi[-1]) - ioi,
        "ioi_to_local": ioi - local,
        "ioi_to_piece": ioi - ioi.mean(),
        "rest_after": silence,
        "rest_before": np.append(0.0, silence[:-1]),
        "graces": graces,
        "graces_next": np.append(graces[1:], 0.0),
        "melody_ioi": np.log2(reach / QUARTER)[step],
    }


def _meter(frame: Frame) -> dict[str, np.ndarray]:
    rows: dict[tuple[object, int], tuple[float, ...]] = {}
    found = []
    for meter, offset in zip(frame.meter, frame.offset.tolist(), strict=True):
        key = (meter, offset)
        if key not in rows:
            strength = meter.strength(offset)
            rows[key] = (strength, meter.beats, meter.is_compound, meter.bar_div, meter.beat_div)
        found.append(rows[key])
    strength, beats, compound, bar_div, beat_div = np.array(found, dtype=float).T
    bar, beat = 2 * np.pi * (frame.offset / bar_div % 1.0), 2 * np.pi * (frame.offset / beat_div % 1.0)
    return {
        "position_in_bar": frame.offset / bar_div % 1.0,
        "bar_sin": np.sin(bar),
        "bar_cos": np.cos(bar),
        "beat_sin": np.sin(beat),
        "beat_cos": np.cos(beat),
        "strength": strength,
        "downbeat": strength == 1.0,
        "half_bar": strength == 0.75,
        "on_beat": strength == 0.5,
        "off_beat": strength < 0.5,
        "strength_next": np.append(strength[1:], 1.0),
        "before_beat": np.append(strength[1:] >= 0.5, True),
        "before_downbeat": np.append(strength[1:] == 1.0, False),
        "syncopated": _syncopated(frame, strength, beat_div),
        "meter_beats": beats,
        "meter_triple": beats == 3,
        "meter_compound": compound,
        "bar_quarters": bar_div / QUARTER,
    }


def _syncopated(
    frame: Frame, strength: Float[np.ndarray, " onsets"], beat_div: Float[np.ndarray, " onsets"]
) -> np.ndarray:
    """Off the beat, and held past the next beat for half a beat or more."""
    to_beat = beat_div - frame.offset % beat_div
    longest = frame.highest(frame.end) - frame.at
    return (strength < 0.5) & (longest >= to_beat + beat_div / 2)


def _density(frame: Frame) -> dict[str, np.ndarray]:
    def per_quarter(points: Int[np.ndarray, " points"], reach: int) -> Float[np.ndarray, " onsets"]:
        low = np.maximum(frame.at - reach, 0)
        high = np.minimum(frame.at + reach, max(frame.end_div, int(frame.at[-1]) + 1))
        return window_count(points, low, high) / np.maximum((high - low) / QUARTER, 0.25)

    ahead = window_count(frame.onset, frame.at, frame.at + NEAR)
    behind = window_count(frame.onset, frame.at - NEAR, frame.at)
    change = np.log2((1 + ahead) / (1 + behind))
    struck = np.log2(frame.count)
    four = np.log2(1 + per_quarter(frame.onset, 2 * QUARTER))
    return {
        "density_1": np.log2(1 + per_quarter(frame.onset, QUARTER // 2)),
        "density_4": four,
        "density_16": np.log2(1 + per_quarter(frame.onset, 8 * QUARTER)),
        "density_change": change,
        "density_break": np.abs(change),
        "density_to_piece": four - four.mean(),
        "onset_density": np.log2(1 + per_quarter(frame.at, 2 * QUARTER)),
        "notes_struck": struck,
        "notes_struck_next": np.append(struck[1:], 0.0),
        "notes_sounding": np.log2(frame.sounding()),
    }


def _register(frame: Frame) -> dict[str, np.ndarray]:
    pitch = frame.pitch.astype(float)
    mean, top, bottom = frame.mean(pitch), frame.highest(pitch), frame.lowest(pitch)
    ahead = window_mean(frame.onset, pitch, frame.at, frame.at + NEAR, mean)
    behind = window_mean(frame.onset, pitch, frame.at - NEAR, frame.at, mean)
    near = window_mean(frame.onset, pitch, frame.at - NEAR, frame.at + NEAR, mean)
    hand = frame.highest(hand_spans(frame))
    return {
        "register_mean": mean - 60,
        "register_top": top - 60,
        "register_bottom": bottom - 60,
        "register_change": ahead - behind,
        "register_to_piece": near - pitch.mean(),
        "span": top - bottom,
        "hand_span": hand,
        "hand_span_next": np.append(hand[1:], 0),
        "bass_leap": np.abs(np.diff(bottom, prepend=bottom[0])),
    }


def _melody(frame: Frame, phrase: Int[np.ndarray, " onsets"]) -> dict[str, np.ndarray]:
    places, pitch = melody_steps(frame)
    step, now = melody_at(frame)
    at = frame.at[places]
    rise = np.diff(pitch)
    ahead = window_mean(at, pitch, frame.at + 1, frame.at + 1 + NEAR, now)
    behind = window_mean(at, pitch, frame.at - NEAR, frame.at, now)
    low, high = (reduce_by(phrase, now, f)[phrase] for f in (np.minimum, np.maximum))
    around = 2 * np.array([m.bar_div for m in frame.meter], dtype=np.int64)
    first, last = np.searchsorted(at, frame.at - around), np.searchsorted(at, frame.at + around)
    # A slice of a few dozen notes for each onset; a held melody may have none within reach of it.
    highest = np.array(
        [pitch[i:j].max() if j > i else 128.0 for i, j in zip(first.tolist(), last.tolist(), strict=True)]
    )
    here = np.isin(np.arange(len(frame.at)), places)
    return {
        "melody_here": here,
        "melody_height": now - pitch.mean(),
        "melody_in_phrase": np.where(high > low, (now - low) / np.maximum(high - low, 1), 0.5),
        "melody_slope": ahead - behind,
        "melody_before": np.append(0.0, rise)[step],
        "melody_leap": np.abs(np.append(0.0, rise))[step],
        "melody_after": np.append(rise, 0.0)[step],
        "melody_peak": here & (now >= highest),
        "melody_top": now == high,
    }


def reduce_by(group: Int[np.ndarray, " n"], values: Float[np.ndarray, " n"], how: np.ufunc) -> np.ndarray:
    """Values reduced over each run of a group; groups count from 0 without gaps and never go back."""
    return how.reduceat(values, np.searchsorted(group, np.arange(int(group[-1]) + 1)))
