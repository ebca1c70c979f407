"""Keys: of a passage by profiles of pitch classes, of a piece by Viterbi over its bars or, better, over its chords.

A profile gives the probability of each scale degree in a key; the key whose profile makes the sounding pitch classes
likeliest wins. Profiles: Temperley, "The Cognition of Basic Musical Structures" (2001) and "Music and Probability"
(2007); Albrecht & Shanahan, Music Perception 31 (2013); Aarden (2003); Krumhansl & Kessler (1982); Bellman (2005) after
Budge. `benchmarks/analysis.py` measures them; `DEFAULT_PROFILE` did best.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from music.analysis.arrays import NoteArrays, note_arrays, pitch_class_weights
from music.analysis.key_weights import KEY_WEIGHTS, KeyWeights
from music.pitch import ALL_KEYS, Key
from music.score import KeyChange, Score
from music.time import DIVS_PER_QUARTER

PROFILES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "krumhansl": (
        (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
        (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
    ),
    "temperley": (
        (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400),
        (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330),
    ),
    "albrecht": (
        (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
        (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
    ),
    "aarden": (
        (17.77, 0.15, 14.93, 0.16, 19.80, 11.36, 0.29, 22.06, 0.15, 8.15, 0.23, 4.95),
        (18.26, 0.74, 14.05, 16.86, 0.70, 14.44, 0.70, 18.62, 4.57, 1.93, 7.38, 1.76),
    ),
    "bellman": (
        (16.80, 0.86, 12.95, 1.41, 13.49, 11.93, 1.25, 20.28, 1.80, 8.04, 0.62, 10.57),
        (18.16, 0.69, 12.99, 13.34, 1.07, 11.15, 1.38, 21.07, 7.49, 1.53, 0.92, 10.21),
    ),
}
DEFAULT_PROFILE = "albrecht"


def log_profiles(name: str = DEFAULT_PROFILE) -> Float[np.ndarray, "24 12"]:
    """Log-probability of each pitch class in each key of `music.pitch.ALL_KEYS`."""
    rows = []
    for key in ALL_KEYS:
        profile = np.array(PROFILES[name][int(key.minor)])
        rows.append(np.roll(np.log(profile / profile.sum()), key.pc))
    return np.array(rows)


def _spelled(index: int, score: Score, onset_div: int) -> Key:
    """The key in the spelling that lies nearest to the signature in force (F# or Gb major)."""
    key = ALL_KEYS[index]
    signature = score.key_at(onset_div)
    if signature is None:
        return key
    choices = [Key.of_fifths(f, key.minor) for f in range(-7, 8)]
    same = [k for k in choices if k.pc == key.pc]
    return min(same, key=lambda k: (abs(k.fifths - signature.fifths), abs(k.fifths)))


def estimate_key(score: Score, start_div: int, end_div: int) -> Key:
    """The key of a passage: pitch classes weighted by duration against the profiles.

    A silent passage has the key of the signature, or C major.
    """
    edges = np.array([start_div, end_div], dtype=np.int64)
    weights = pitch_class_weights(note_arrays(score), edges)[0]
    if weights.sum() <= 0:
        return score.key_at(start_div) or Key("C")
    return _spelled(int(np.argmax(log_profiles() @ weights)), score, start_div)


def _key_distance() -> Float[np.ndarray, "24 24"]:
    """Cost of a change between keys: 0 none, 1 relatives and neighbours by fifths or mode, up to 2 for far ones."""
    cost = np.zeros((24, 24))
    for i, a in enumerate(ALL_KEYS):
        for j, b in enumerate(ALL_KEYS):
            steps = abs((a.fifths - b.fifths + 6) % 12 - 6)
            near = 1.0 + 0.2 * max(0, steps - 1)
            cost[i, j] = 0.0 if i == j else min(near, 1.2) if a.pc == b.pc else near
    return cost


def key_path(
    weights: Float[np.ndarray, "places 12"], penalty: float, profile: str = DEFAULT_PROFILE
) -> Int[np.ndarray, " places"]:
    """Likeliest key (index into `ALL_KEYS`) of each place: Viterbi over log-likelihoods less `penalty` a change."""
    return viterbi(weights @ log_profiles(profile).T, -penalty * _key_distance())


def viterbi(emission: Float[np.ndarray, "places n"], change: Float[np.ndarray, "n n"]) -> Int[np.ndarray, " places"]:
    """Best path of states: sum of emissions and of changes (row: before, column: after)."""
    best = emission[0].copy()
    back = np.zeros(emission.shape, dtype=np.int64)
    columns = np.arange(emission.shape[1])
    for place in range(1, len(emission)):
        options = best[:, None] + change
        back[place] = options.argmax(axis=0)
        best = options[back[place], columns] + emission[place]
    path = np.zeros(len(emission), dtype=np.int64)
    path[-1] = int(best.argmax())
    for place in range(len(emission) - 1, 0, -1):
        path[place - 1] = back[place, path[place]]
    return path


def _half_bars(score: Score) -> Int[np.ndarray, " edges"]:
    """Edges of the places where a key may change: bars, halved where the meter has an even number of beats."""
    edges: list[int] = []
    for bar in score.bars:
        meter = score.meter_at(bar.onset_div)
        halve = meter.beats % 2 == 0 and bar.duration_div == meter.bar_div
        edges += [bar.onset_div, bar.onset_div + bar.duration_div // 2] if halve else [bar.onset_div]
    return np.array([*edges, score.end_div], dtype=np.int64)


def _struck(notes: NoteArrays) -> NoteArrays:
    """Notes cut to a quarter at most: a long chord says no more of the key than a short one."""
    return replace(notes, end=np.minimum(notes.end, notes.onset + DIVS_PER_QUARTER))


def profile_key_segments(
    score: Score, *, penalty: float = 3.0, profile: str = DEFAULT_PROFILE, notes: NoteArrays | None = None
) -> tuple[KeyChange, ...]:
    """Keys of a piece by pitch classes alone: the first at 0, then one at each change.

    Args:
        score: the piece.
        penalty: cost in nats of a change to a near key; higher gives fewer changes.
        profile: a name of `PROFILES`.
        notes: the score's arrays where they are at hand.
    """
    edges = _half_bars(score)
    weights = pitch_class_weights(_struck(notes or note_arrays(score)), edges)
    return key_changes(score, edges[:-1].tolist(), key_path(weights, penalty, profile).tolist())


def key_changes(score: Score, onsets: list[int], path: list[int]) -> tuple[KeyChange, ...]:
    """Runs of one key in a path (indices into `ALL_KEYS`) as changes, spelled after the signature in force."""
    changes: list[KeyChange] = []
    last = -1
    for onset, index in zip(onsets, path, strict=True):
        if index != last:
            changes.append(KeyChange(onset, _spelled(index, score, onset)))
            last = index
    return tuple(changes)


def key_scores(
    roots: Int[np.ndarray, " chords"],
    qualities: Int[np.ndarray, " chords"],
    sound: Float[np.ndarray, "chords 12"],
    w: KeyWeights,
) -> tuple[Float[np.ndarray, "chords 24"], Float[np.ndarray, "24 24"]]:
    """Scores of each key of `ALL_KEYS` for each chord of a sequence, and of each key after each other.

    Args:
        roots: pitch classes.
        qualities: indices into `music.harmony.QUALITIES`.
        sound: sounding share of each pitch class in each chord's time, times its length in quarters.
        w: weights.
    """
    tonic = np.array([key.pc for key in ALL_KEYS])
    mode = np.array([int(key.minor) for key in ALL_KEYS])
    interval = (roots[:, None] - tonic[None]) % 12
    rolled = np.array([np.roll(w.sound[m], t) for m, t in zip(mode, tonic, strict=True)])
    emission = w.degree[mode[None], interval, qualities[:, None]] + sound @ rolled.T
    emission[1:] += w.pair[mode[None], interval[:-1], interval[1:]]
    return emission, w.change[mode[:, None], mode[None], (tonic[None] - tonic[:, None]) % 12]


def chord_keys(
    roots: Int[np.ndarray, " chords"],
    qualities: Int[np.ndarray, " chords"],
    sound: Float[np.ndarray, "chords 12"],
) -> Int[np.ndarray, " chords"]:
    """Key of each chord of a sequence (index into `ALL_KEYS`): best path by `key_scores` with the learned weights."""
    return viterbi(*key_scores(roots, qualities, sound, KEY_WEIGHTS))


def key_segments(score: Score) -> tuple[KeyChange, ...]:
    """Keys of a piece from its chords: the first at 0, then one at each change."""
    from music.analysis.chords import analyse_harmony  # imported here: the chord finder starts from this module's keys

    return analyse_harmony(score).keys
