"""Chord qualities, and Roman-numeral figures to and from (root, quality, bass).

Figures follow common practice: case and sign give the quality (`I ii viio V+ viiø7 IVM7`), digits the inversion
(`6 64 7 65 43 42`), a slash the tonicised degree (`V65/V`). Minor keys take their degrees from natural minor, with
`viio` and `viio7` on the raised leading tone, as in RomanText.
"""

from __future__ import annotations

import re

from music.pitch import MAJOR_SCALE, MINOR_SCALE, NUMERALS, Key

CHORD_INTERVALS: dict[str, tuple[int, ...]] = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "hdim7": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
}
QUALITIES = tuple(CHORD_INTERVALS)
TRIADS = ("maj", "min", "dim", "aug")
# How each quality is written: (upper case?, sign between numeral and digits).
_SIGNS = {
    "maj": (True, ""),
    "min": (False, ""),
    "dim": (False, "o"),
    "aug": (True, "+"),
    "7": (True, ""),
    "maj7": (True, "M"),
    "min7": (False, ""),
    "hdim7": (False, "ø"),
    "dim7": (False, "o"),
}
_TRIAD_INVERSIONS = ("", "6", "64")
_SEVENTH_INVERSIONS = ("7", "65", "43", "42")


def chord_pcs(root: int, quality: str) -> tuple[int, ...]:
    """Pitch classes of a chord from the root up.

    Raises:
        KeyError: unknown quality.
    """
    return tuple((root + i) % 12 for i in CHORD_INTERVALS[quality])


def _degree_of(root: int, quality: str, key: Key) -> str:
    """Numeral of a root in upper case with its accidental, such as "V", "bVI", "#IV"."""
    interval = (root - key.pc) % 12
    if key.minor and interval == 11 and quality in ("dim", "dim7"):
        return "VII"
    scale = MINOR_SCALE if key.minor else MAJOR_SCALE
    if interval in scale:
        numeral = NUMERALS[scale.index(interval)]
        # In minor the bare viio means the raised seventh degree, so a diminished chord on the natural one is marked.
        return "bVII" if key.minor and interval == 10 and quality in ("dim", "dim7") else numeral
    if interval == 6:
        return "#IV"
    if interval == 11:
        return "#VII"
    return "b" + NUMERALS[next(i for i in range(7) if scale[i] > interval)]


def _interval_of(degree: str, quality: str, key: Key) -> int:
    accidental, numeral = (degree[0], degree[1:]) if degree[0] in "#b" else ("", degree)
    scale = MINOR_SCALE if key.minor else MAJOR_SCALE
    interval = scale[NUMERALS.index(numeral)]
    if key.minor and numeral == "VII" and quality in ("dim", "dim7"):
        return 10 if accidental == "b" else 11
    return (interval + {"#": 1, "b": -1, "": 0}[accidental]) % 12


def _plain_figure(root: int, quality: str, bass: int, key: Key) -> str:
    upper, sign = _SIGNS[quality]
    degree = _degree_of(root, quality, key)
    pcs = chord_pcs(root, quality)
    inversion = pcs.index(bass % 12) if bass % 12 in pcs else 0
    digits = (_TRIAD_INVERSIONS if quality in TRIADS else _SEVENTH_INVERSIONS)[inversion]
    accidental, numeral = (degree[0], degree[1:]) if degree[0] in "#b" else ("", degree)
    return accidental + (numeral if upper else numeral.lower()) + sign + digits


def figure(root: int, quality: str, bass: int, key: Key) -> str:
    """Roman numeral of a chord in a key; secondary dominants and leading-tone chords as `V7/ii`, `viio7/V`.

    Args:
        root, bass: pitch classes 0..11; a bass that is no chord tone is written as root position.
        quality: one of `QUALITIES`.

    Raises:
        KeyError: unknown quality.
    """
    diatonic = set(key.scale) | ({key.leading_tone} if key.minor else set())
    if set(chord_pcs(root, quality)) <= diatonic:
        return _plain_figure(root, quality, bass, key)
    distance = {"maj": 7, "7": 7, "dim": 11, "dim7": 11, "hdim7": 11}.get(quality)
    if distance is not None:
        target = (root - distance) % 12
        degrees = key.scale
        if target in degrees and target != key.pc:
            triad_minor = (target + 3) % 12 in degrees
            if (target + 7) % 12 in degrees:  # a diminished triad is not tonicised
                inner = Key.of_pc(target, triad_minor)
                return f"{_plain_figure(root, quality, bass, inner)}/{inner.relation_to(key)}"
    return _plain_figure(root, quality, bass, key)


def parse_figure(text: str, key: Key) -> tuple[int, str, int]:
    """Reads a figure in a key: (root, quality, bass) as pitch classes and quality. Inverse of `figure`.

    Raises:
        ValueError: not a figure of the grammar at the head of this file.
    """
    head, _, target = text.partition("/")
    if target:
        key = key.relative(target)
    match = re.fullmatch(r"([#b]?)([IViv]+)([oø+M]?)(|6|64|7|65|43|42)", head)
    if match is None or match[2].upper() not in NUMERALS or match[2] not in (match[2].upper(), match[2].lower()):
        raise ValueError(f"figure {text!r} is not one such as I, ii6, V65/V or viio7")
    seventh = match[4] in _SEVENTH_INVERSIONS
    wanted = (match[2].isupper(), match[3])
    quality = next((q for q, sign in _SIGNS.items() if sign == wanted and (q not in TRIADS) == seventh), None)
    if quality is None:
        raise ValueError(f"figure {text!r} has no known chord quality")
    root = (key.pc + _interval_of(match[1] + match[2].upper(), quality, key)) % 12
    inversions = _SEVENTH_INVERSIONS if seventh else _TRIAD_INVERSIONS
    return root, quality, chord_pcs(root, quality)[inversions.index(match[4])]
