"""Chords of a score: the best division into segments, each with one chord (root and quality) and a bass.

A segmental model: each segment of up to `MAX_SLOTS` slots is scored for each of 108 chords by a linear function of
what sounds in it (chord tones by role, likely non-chord tones weighed less, the bass, tones that are missing), of the
chord's degree in the local key, of where in the bar it begins and of the root's step from the chord before. Dynamic
programming finds the best segmentation exactly. The idea of segment features is that of Masada & Bunescu, "Chord
recognition in symbolic music: a segmental CRF model" (TISMIR 2, 2019); features and weights are this project's own
(`music/analysis/chord_weights.py`, learned by `benchmarks/tune_analysis.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from jaxtyping import Float, Int

from music.analysis.arrays import NO_BASS, Grid, bass_of_slots, make_grid, note_arrays
from music.analysis.chord_weights import WEIGHTS, ChordWeights
from music.analysis.key import chord_keys, key_changes, profile_key_segments
from music.analysis.nonchord import kind_weights
from music.harmony import CHORD_INTERVALS, QUALITIES, chord_pcs, figure
from music.pitch import Key
from music.plan import Chord
from music.score import KeyChange, Score

MAX_SLOTS = 8
CHORDS = tuple((root, quality) for quality in QUALITIES for root in range(12))
ROOT_OF = np.array([root for root, _ in CHORDS])
QUALITY_OF = np.array([QUALITIES.index(quality) for _, quality in CHORDS])
PRESENT = 0.01  # quarters: less than this of a pitch class counts as missing


def _role_templates() -> Float[np.ndarray, "4 12 chords"]:
    """1 where a pitch class is the chord's root, third, fifth or seventh."""
    roles = np.zeros((4, 12, len(CHORDS)))
    for column, (root, quality) in enumerate(CHORDS):
        for role, interval in enumerate(CHORD_INTERVALS[quality]):
            roles[role, (root + interval) % 12, column] = 1.0
    return roles


ROLES = _role_templates()


@dataclass(frozen=True)
class Evidence:
    """What a score's slots show.

    Args:
        sound: share of each pitch class by kind of note, times the slot's length in quarters; 0 where silent. The
            last layer is what sounds in slots on a beat.
        bass: share of the lowest note's pitch class (one place of 12), times the slot's length.
        level: metrical class of each slot's start: 0 downbeat, 1 other beat, 2 off the beat.
        key: pitch class of the local tonic, plus 12 in minor.
        quarters: length of each slot.
    """

    sound: Float[np.ndarray, "layers slots 12"]
    bass: Float[np.ndarray, "slots 12"]
    level: Int[np.ndarray, " slots"]
    key: Int[np.ndarray, " slots"]
    quarters: Float[np.ndarray, " slots"]


def gather_evidence(score: Score, grid: Grid, keys: tuple[KeyChange, ...]) -> Evidence:
    """Evidence of a score on a grid, with its local keys."""
    notes = note_arrays(score)
    kinds = kind_weights(notes, grid)
    quarters = grid.quarters
    total = kinds.sum(axis=(0, 2))
    scale = np.where(total > 0, quarters / np.maximum(total, 1e-9), 0.0)
    kinds = kinds * scale[None, :, None]
    on_beat = kinds.sum(axis=0) * grid.on_beat[:, None]
    low = bass_of_slots(notes, grid.edges)
    bass = np.zeros((len(low), 12))
    heard = low < NO_BASS
    bass[np.flatnonzero(heard), low[heard] % 12] = quarters[heard]
    level = np.where(grid.strength >= 1, 0, np.where(grid.on_beat, 1, 2))
    return Evidence(np.concatenate([kinds, on_beat[None]]), bass, level, slot_keys(grid, keys), quarters)


def slot_keys(grid: Grid, keys: tuple[KeyChange, ...]) -> Int[np.ndarray, " slots"]:
    """Tonic of each slot's key, plus 12 in minor."""
    onsets = np.array([k.onset_div for k in keys])
    numbers = np.array([k.key.pc + 12 * k.key.minor for k in keys])
    return numbers[np.maximum(np.searchsorted(onsets, grid.edges[:-1], side="right") - 1, 0)]


def slot_scores(evidence: Evidence, w: ChordWeights) -> Float[np.ndarray, "slots chords"]:
    """The part of a segment's score that adds up over its slots."""
    scores = np.einsum("kr,ktp,rpc->tc", w.sound, evidence.sound, ROLES, optimize=True)
    scores += np.einsum("r,tp,rpc->tc", w.bass, evidence.bass, ROLES, optimize=True)
    return scores + evidence.quarters[:, None] * w.quality_time[QUALITY_OF][None]


def start_scores(evidence: Evidence, w: ChordWeights) -> Float[np.ndarray, "slots chords"]:
    """The part of a segment's score that depends on its first slot only."""
    heard = (evidence.bass > 0).astype(np.float64)
    scores = np.einsum("r,tp,rpc->tc", w.first_bass, heard, ROLES, optimize=True)
    scores += w.level[evidence.level][:, None]
    degree = (ROOT_OF[None] - evidence.key[:, None]) % 12
    return scores + w.degree[(evidence.key // 12)[:, None], degree, QUALITY_OF[None]]


def transition_scores(w: ChordWeights) -> Float[np.ndarray, "chords chords"]:
    """Score of each chord (column) after each other (row): by the root's step and the first one's class."""
    step = (ROOT_OF[None, :] - ROOT_OF[:, None]) % 12
    scores = w.step[QUALITY_OF[:, None], step]
    return np.where(np.eye(len(CHORDS), dtype=bool), w.same, scores)


def segment_scores(evidence: Evidence, w: ChordWeights) -> Float[np.ndarray, "slots lengths chords"]:
    """Score of each chord over each segment: first slot, length less one. Segments past the end score -inf."""
    slots = len(evidence.key)
    additive = np.concatenate([np.zeros((1, len(CHORDS))), np.cumsum(slot_scores(evidence, w), axis=0)])
    heard = np.concatenate([np.zeros((1, 12)), np.cumsum(evidence.sound[:-1].sum(axis=0), axis=0)])
    starts = start_scores(evidence, w)
    missing = np.einsum("r,rpc->pc", w.missing, ROLES)
    everything = missing.sum(axis=0)
    result = np.full((slots, MAX_SLOTS, len(CHORDS)), -np.inf)
    for length in range(1, min(MAX_SLOTS, slots) + 1):
        first = np.arange(slots - length + 1)
        present = (heard[first + length] - heard[first] > PRESENT).astype(np.float64)
        scores = additive[first + length] - additive[first] + starts[first]
        result[first, length - 1] = scores + everything[None] - present @ missing + w.length[length - 1]
    return result


def best_segments(
    scores: Float[np.ndarray, "slots lengths chords"], change: Float[np.ndarray, "chords chords"]
) -> list[tuple[int, int, int]]:
    """Best segmentation by dynamic programming: (first slot, end slot, index into `CHORDS`) in order."""
    slots, lengths, chords = scores.shape
    best = np.full((slots + 1, lengths, chords), -np.inf)
    before = np.zeros((slots, chords), dtype=np.int64)
    change_t = np.ascontiguousarray(change.T)
    columns = np.arange(chords)
    for slot in range(slots):
        if slot == 0:
            enter = np.zeros(chords)
        else:
            options = change_t + best[slot].max(axis=0)[None, :]
            before[slot] = options.argmax(axis=1)
            enter = options[columns, before[slot]]
        reach = min(lengths, slots - slot)
        ends = np.arange(slot + 1, slot + reach + 1)
        best[ends, np.arange(reach)] = enter + scores[slot, :reach]
    segments: list[tuple[int, int, int]] = []
    end = slots
    chord = int(best[end].max(axis=0).argmax())
    while end > 0:
        start = end - 1 - int(best[end, :, chord].argmax())
        segments.append((start, end, chord))
        chord = int(before[start, chord])
        end = start
    return segments[::-1]


def _bass_of_segment(evidence: Evidence, start: int, end: int, chord: int) -> int:
    """Pitch class of the lowest note, chord tones first: the one longest there; the first slot counts double."""
    weight = evidence.bass[start:end].sum(axis=0) + evidence.bass[start]
    root, quality = CHORDS[chord]
    tones = list(chord_pcs(root, quality))
    inside = weight[tones]
    return tones[int(inside.argmax())] if inside.max() > 0 else root


@dataclass(frozen=True)
class Harmony:
    """Keys and chords of a score: `keys` from 0 on, `chords` gapless from 0 to the end, figures in the local key."""

    keys: tuple[KeyChange, ...]
    chords: tuple[Chord, ...]


def analyse_harmony(score: Score, *, keys: tuple[KeyChange, ...] | None = None, grid: Grid | None = None) -> Harmony:
    """Keys and chords of a whole score.

    Without keys: chords with keys by profiles, then keys from those chords, then chords again with these keys.

    Args:
        score: any score; silence takes the chord around it.
        keys: local keys from 0 on, where they are known.
        grid: slots; None: `make_grid(score)`.
    """
    grid = grid or make_grid(score)
    first = keys or profile_key_segments(score)
    evidence = gather_evidence(score, grid, first)
    scores, change = segment_scores(evidence, WEIGHTS), transition_scores(WEIGHTS)
    segments = best_segments(scores, change)
    if keys is None:
        keys = _keys_of_segments(score, grid, evidence, segments)
        renewed = replace(evidence, key=slot_keys(grid, keys))
        if not np.array_equal(renewed.key, evidence.key):
            scores += (start_scores(renewed, WEIGHTS) - start_scores(evidence, WEIGHTS))[:, None]
            segments = best_segments(scores, change)
    chords: list[Chord] = []
    for start, end, index in segments:
        root, quality = CHORDS[index]
        bass = _bass_of_segment(evidence, start, end, index)
        onset, stop = int(grid.edges[start]), int(grid.edges[end])
        chords.append(
            Chord(onset, stop - onset, root, quality, bass, figure(root, quality, bass, _key_at(keys, onset)))
        )
    return Harmony(keys, merge_chords(chords))


def chord_runs(
    evidence: Evidence, segments: list[tuple[int, int, int]]
) -> tuple[Int[np.ndarray, " runs"], Int[np.ndarray, " runs"], Float[np.ndarray, "runs 12"]]:
    """Segments of one chord joined: first slots, indices into `CHORDS`, and what sounds (for `key.key_scores`)."""
    runs = [next(run) for _, run in groupby(segments, key=lambda s: s[2])]
    starts = np.array([start for start, _, _ in runs])
    sound = np.add.reduceat(evidence.sound[:-1].sum(axis=0), starts, axis=0)
    return starts, np.array([chord for _, _, chord in runs]), sound


def _keys_of_segments(
    score: Score, grid: Grid, evidence: Evidence, segments: list[tuple[int, int, int]]
) -> tuple[KeyChange, ...]:
    starts, chords, sound = chord_runs(evidence, segments)
    path = chord_keys(ROOT_OF[chords], QUALITY_OF[chords], sound)
    return key_changes(score, grid.edges[starts].tolist(), path.tolist())


def extract_chords(
    score: Score, *, keys: tuple[KeyChange, ...] | None = None, grid: Grid | None = None
) -> tuple[Chord, ...]:
    """Chords of a whole score, gapless from 0 to its end: `analyse_harmony` without the keys."""
    return analyse_harmony(score, keys=keys, grid=grid).chords


def _key_at(keys: tuple[KeyChange, ...], onset_div: int) -> Key:
    return next((k.key for k in reversed(keys) if k.onset_div <= onset_div), keys[0].key)


def merge_chords(chords: list[Chord]) -> tuple[Chord, ...]:
    """Joins neighbours that have the same root, quality, bass and figure."""
    merged: list[Chord] = []
    for _, run in groupby(chords, key=lambda c: (c.root, c.quality, c.bass, c.figure)):
        group = list(run)
        merged.append(replace(group[0], duration_div=sum(c.duration_div for c in group)))
    return tuple(merged)
