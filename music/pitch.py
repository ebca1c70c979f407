"""Keys, their scales, relations and spelling.

Keys are written as people type them: upper case major, lower case minor (`G`, `f#`, `Bb`, `e`). A key in relation to
a home key is a Roman numeral whose case is the mode (`V`, `vi`, `bVI`); degrees are those of the home key's scale
(natural minor in minor), so in a minor the relative major is `III`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STEPS = "CDEFGAB"
STEP_PC = dict(zip(STEPS, (0, 2, 4, 5, 7, 9, 11), strict=True))
LINE_OF_FIFTHS = "FCGDAEB"
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 10)
NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII")
MAJOR_BY_PC = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINOR_BY_PC = ("c", "c#", "d", "eb", "e", "f", "f#", "g", "g#", "a", "bb", "b")
MAX_ACCIDENTALS = 7


def _accidental(alter: int) -> str:
    return "#" * alter if alter >= 0 else "b" * -alter


def fifths_of_name(step: str, alter: int) -> int:
    """Place of a spelled pitch class on the line of fifths, C = 0, G = 1, F = -1."""
    return LINE_OF_FIFTHS.index(step) - 1 + 7 * alter


def name_of_fifths(fifths: int) -> tuple[str, int]:
    """Inverse of `fifths_of_name`: (step, alter)."""
    return LINE_OF_FIFTHS[(fifths + 1) % 7], (fifths + 1) // 7


def alter_of(pitch: int, step: str) -> int:
    """Accidental in semitones (-6..5) that makes `step` sound as MIDI `pitch`."""
    return (pitch - STEP_PC[step] + 6) % 12 - 6


def octave_of(pitch: int, step: str) -> int:
    """Scientific octave (middle C = C4) of MIDI `pitch` spelled with `step`: B#3 sounds as C4."""
    return (pitch - alter_of(pitch, step)) // 12 - 1


@dataclass(frozen=True, order=True)
class Key:
    """A major or minor key.

    Args:
        tonic: spelled tonic in upper case, such as "Bb" or "F#".
        minor: the mode.

    Raises:
        ValueError: not a note name, or a signature of more than seven accidentals.
    """

    tonic: str
    minor: bool = False

    def __post_init__(self) -> None:
        if re.fullmatch(r"[A-G](#{0,2}|b{0,2})", self.tonic) is None:
            raise ValueError(f"key {self.tonic!r} is not a note name such as G, F# or Bb")
        if abs(self.fifths) > MAX_ACCIDENTALS:
            raise ValueError(f"key {self} has more than seven sharps or flats")

    @classmethod
    def parse(cls, text: str) -> Key:
        """Reads `G`, `f#`, `Bb`, `e`; also `G major`, `f# minor`. Raises ValueError otherwise."""
        match = re.fullmatch(r"\s*([A-Ga-g])([#b♯♭]{0,2})\s*(major|minor|maj|min)?\s*", text)
        if match is None:
            raise ValueError(f"key {text!r} is not one such as G, f#, Bb or e (upper case major, lower case minor)")
        accidental = match[2].replace("♯", "#").replace("♭", "b")
        minor = match[3].startswith("min") if match[3] else match[1].islower()
        return cls(match[1].upper() + accidental, minor)

    @classmethod
    def of_pc(cls, pc: int, minor: bool = False) -> Key:
        """The key on a pitch class in its usual spelling (Db major, c# minor)."""
        return cls.parse((MINOR_BY_PC if minor else MAJOR_BY_PC)[pc % 12])

    @classmethod
    def of_fifths(cls, fifths: int, minor: bool = False) -> Key:
        """The key with a signature of that many sharps (flats negative)."""
        step, alter = name_of_fifths(fifths + (3 if minor else 0))
        return cls(step + _accidental(alter), minor)

    def __str__(self) -> str:
        return self.tonic[0].lower() + self.tonic[1:] if self.minor else self.tonic

    @property
    def name(self) -> str:
        """For titles: "B-flat major"."""
        words = {"": "", "#": "-sharp", "b": "-flat", "##": "-double-sharp", "bb": "-double-flat"}
        return f"{self.tonic[0]}{words[self.tonic[1:]]} {'minor' if self.minor else 'major'}"

    @property
    def alter(self) -> int:
        """Accidental of the tonic in semitones."""
        return self.tonic.count("#") - self.tonic[1:].count("b")

    @property
    def pc(self) -> int:
        """Pitch class of the tonic, 0..11."""
        return (STEP_PC[self.tonic[0]] + self.alter) % 12

    @property
    def fifths(self) -> int:
        """Sharps of the signature, flats negative."""
        return fifths_of_name(self.tonic[0], self.alter) - (3 if self.minor else 0)

    @property
    def scale(self) -> tuple[int, ...]:
        """The seven pitch classes from the tonic up; natural minor."""
        return tuple((self.pc + i) % 12 for i in (MINOR_SCALE if self.minor else MAJOR_SCALE))

    @property
    def leading_tone(self) -> int:
        """Pitch class a semitone below the tonic."""
        return (self.pc + 11) % 12

    def step_of(self, pitch: int) -> str:
        """Letter that spells a pitch in this key: a scale degree (raised 6, 7 in minor too), else by fifths."""
        tonic = fifths_of_name(self.tonic[0], self.alter)
        low = tonic - (4 if self.minor else 3)  # minor: from bVI to #VII; major: bIII to #IV
        for fifths in range(low, low + 12):
            step, alter = name_of_fifths(fifths)
            if (STEP_PC[step] + alter - pitch) % 12 == 0:
                return step
        raise AssertionError("twelve fifths in a row hold every pitch class")

    def relative(self, roman: str) -> Key:
        """The key that stands in relation `roman` to this home key ("V", "vi", "bIII").

        Raises:
            ValueError: not a numeral I..VII with an optional accidental before it.
        """
        match = re.fullmatch(r"([#b]?)([IViv]+)", roman.strip())
        if match is None or match[2].upper() not in NUMERALS or match[2] not in (match[2].upper(), match[2].lower()):
            raise ValueError(f"key relation {roman!r} is not a Roman numeral such as V, vi or bVI")
        degree = NUMERALS.index(match[2].upper())
        interval = (MINOR_SCALE if self.minor else MAJOR_SCALE)[degree] + {"#": 1, "b": -1, "": 0}[match[1]]
        step = STEPS[(STEPS.index(self.tonic[0]) + degree) % 7]
        pc = (self.pc + interval) % 12
        minor = match[2].islower()
        alter = (pc - STEP_PC[step] + 6) % 12 - 6
        if abs(alter) <= 2 and abs(fifths_of_name(step, alter) - (3 if minor else 0)) <= MAX_ACCIDENTALS:
            return Key(step + _accidental(alter), minor)
        return Key.of_pc(pc, minor)

    def relation_to(self, home: Key) -> str:
        """Roman numeral of this key in relation to `home`; inverse of `relative` up to enharmonic spelling."""
        scale = home.scale
        interval = (self.pc - home.pc) % 12
        if self.pc in scale:
            numeral = NUMERALS[scale.index(self.pc)]
        else:
            # Between two degrees: flat of the upper one, save the raised fourth, which theory names #IV.
            above = next(i for i in range(7) if (scale[i] - home.pc) % 12 > interval) if interval < 11 else 0
            numeral = "#IV" if interval == 6 else ("#VII" if interval == 11 else "b" + NUMERALS[above])
        accidental, letters = (numeral[0], numeral[1:]) if numeral[0] in "#b" else ("", numeral)
        return accidental + (letters.lower() if self.minor else letters)

    def transposed(self, semitones: int) -> Key:
        """The key that many semitones higher, in its usual spelling."""
        return Key.of_pc(self.pc + semitones, self.minor)


ALL_KEYS = tuple(Key.parse(name) for name in (*MAJOR_BY_PC, *MINOR_BY_PC))
