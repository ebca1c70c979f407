"""Columns of harmony: chords and keys as analysis finds them, and the tension of what sounds.

Tension in the spiral array after Chew (2000) and Herremans & Chew, "Tension ribbons" (2016): the diameter of the cloud
of sounding tones, its distance from the key (strain) and how far it moved (momentum). Tones are spelled by their place
on the line of fifths about the local tonic, from five below to six above, so enharmonic spelling is not heard.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from music.analysis.cadence import is_dominant, is_tonic
from music.analysis.chords import Harmony
from music.harmony import chord_pcs
from music.pitch import Key
from performer.feature_frame import Frame, log_quarters
from performer.rule_dynamics import harmonic_charge

RISE = np.sqrt(2 / 15)  # of the spiral for each fifth
_FIFTHS = (np.arange(12) * 7 + 5) % 12 - 5  # line of fifths for semitones over the tonic, -5..6
SPIRAL = np.stack([np.sin(_FIFTHS * np.pi / 2), np.cos(_FIFTHS * np.pi / 2), _FIFTHS * RISE], axis=1)
_APART = np.linalg.norm(SPIRAL[:, None] - SPIRAL[None], axis=2)
_HOME = np.stack([SPIRAL[[0, 4, 7]].mean(axis=0), SPIRAL[[0, 3, 7]].mean(axis=0)])


def harmony_columns(frame: Frame, harmony: Harmony) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Columns of the group harmony: of notes, and of onsets."""
    chord, key = _places(frame, harmony)
    keys = [k.key for k in harmony.keys]
    tones = np.array([_present(chord_pcs(c.root, c.quality)) for c in harmony.chords])[chord]
    scale = np.array([_present(_scale(k)) for k in keys])[key]
    sounding = _sounding(frame)
    notes = _notes(frame, harmony, tones, scale, chord, key)
    total = np.maximum(sounding.sum(axis=1), 1)
    onsets = {
        **_chords(frame, harmony, chord, key),
        **_tension(sounding, np.array([k.pc for k in keys])[key], np.array([int(k.minor) for k in keys])[key]),
        "dissonance": (sounding & ~tones).sum(axis=1) / total,
        "chromatic": (sounding & ~scale).sum(axis=1) / total,
    }
    return notes, onsets


def _places(frame: Frame, harmony: Harmony) -> tuple[Int[np.ndarray, " onsets"], Int[np.ndarray, " onsets"]]:
    """Index of the chord and of the key at each onset."""
    starts = np.array([c.onset_div for c in harmony.chords])
    changes = np.array([k.onset_div for k in harmony.keys])
    chord = np.maximum(np.searchsorted(starts, frame.at, side="right") - 1, 0)
    return chord, np.maximum(np.searchsorted(changes, frame.at, side="right") - 1, 0)


def _present(pcs: tuple[int, ...]) -> Bool[np.ndarray, " 12"]:
    found = np.zeros(12, dtype=bool)
    found[list(pcs)] = True
    return found


def _scale(key: Key) -> tuple[int, ...]:
    """In minor the raised sixth and seventh belong to it."""
    return (*key.scale, (key.pc + 9) % 12, key.leading_tone) if key.minor else key.scale


def _sounding(frame: Frame) -> Bool[np.ndarray, "onsets 12"]:
    """Pitch classes that sound at each onset."""
    change = np.zeros((len(frame.at) + 1, 12), dtype=np.int64)
    until = np.maximum(np.searchsorted(frame.at, frame.end), frame.place + 1)
    np.add.at(change, (frame.place, frame.pitch % 12), 1)
    np.add.at(change, (until, frame.pitch % 12), -1)
    return change.cumsum(axis=0)[:-1] > 0


def _notes(
    frame: Frame,
    harmony: Harmony,
    tones: Bool[np.ndarray, "onsets 12"],
    scale: Bool[np.ndarray, "onsets 12"],
    chord: Int[np.ndarray, " onsets"],
    key: Int[np.ndarray, " onsets"],
) -> dict[str, np.ndarray]:
    pc, place = frame.pitch % 12, frame.place
    over_root = (pc - np.array([c.root for c in harmony.chords])[chord][place]) % 12
    over_tonic = (pc - np.array([k.key.pc for k in harmony.keys])[key][place]) % 12
    inside = tones[place, pc]
    return {
        "dissonant": ~inside,
        "chord_root": over_root == 0,
        "chord_seventh": inside & (over_root >= 9),
        "chromatic": ~scale[place, pc],
        "leading_tone": over_tonic == 11,
    }


def _chords(
    frame: Frame, harmony: Harmony, chord: Int[np.ndarray, " onsets"], key: Int[np.ndarray, " onsets"]
) -> dict[str, np.ndarray]:
    chords, keys = harmony.chords, [k.key for k in harmony.keys]
    roots = np.array([c.root for c in chords])
    start = np.array([c.onset_div for c in chords])
    length = np.array([c.duration_div for c in chords])
    motion = np.append(0, ((roots[1:] - roots[:-1]) * 7 + 5) % 12 - 5)
    rows: dict[tuple[int, int], tuple[float, ...]] = {}
    found = []
    for pair in zip(chord.tolist(), key.tolist(), strict=True):
        if pair not in rows:
            c, k = chords[pair[0]], keys[pair[1]]
            fourth = (c.root - k.pc) % 12 in (2, 5)
            functions = (is_tonic(c, k), is_dominant(c, k), fourth, c.bass != c.root, k.minor)
            rows[pair] = (*map(float, functions), harmonic_charge(c.pcs, k))
        found.append(rows[pair])
    tonic, dominant, predominant, inverted, minor, charge = np.array(found).T
    distance = np.array([(k.fifths - keys[0].fifths + 5) % 12 - 5 for k in keys])
    new = chord[1:] != chord[:-1]
    changed = np.array([k.onset_div for k in harmony.keys])[key]
    return {
        "chord_change": np.append(True, new),
        "chord_change_next": np.append(new, True),
        "since_change": log_quarters(frame.at - start[chord]),
        "chord_length": log_quarters(length[chord]),
        "root_motion": motion[chord],
        "tonic": tonic,
        "dominant": dominant,
        "predominant": predominant,
        "inverted": inverted,
        "minor": minor,
        "key_distance": distance[key],
        "key_change": (key > 0) & (frame.at - changed < np.array([m.bar_div for m in frame.meter])),
        "charge": charge,
    }


def _tension(
    sounding: Bool[np.ndarray, "onsets 12"], tonic: Int[np.ndarray, " onsets"], minor: Int[np.ndarray, " onsets"]
) -> dict[str, np.ndarray]:
    relative = (np.arange(12)[None] + tonic[:, None]) % 12  # column: semitones over the tonic
    cloud = np.take_along_axis(sounding, relative, axis=1)
    pairs = cloud[:, :, None] & cloud[:, None, :]
    weight = np.maximum(cloud.sum(axis=1, keepdims=True), 1)
    centre: Float[np.ndarray, "onsets 3"] = cloud @ SPIRAL / weight
    moved = np.linalg.norm(np.diff(centre, axis=0), axis=1)
    return {
        "diameter": np.where(pairs, _APART[None], 0.0).max(axis=(1, 2)),
        "strain": np.linalg.norm(centre - _HOME[minor], axis=1),
        "momentum": np.append(0.0, moved),
    }
