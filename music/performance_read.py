"""From one file to a pair of score and performance that can be learned from, or the reason why there is none.

The score comes with hands, voices and spelling by `music.voices.assign_voices`: what is trained on has them from the
same function as what is performed later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from music.errors import RitornelloError
from music.paired import PairedPerformance, alignment_faults
from music.voices import assign_voices


class _Dropped(RitornelloError):
    """Why a file is not wanted; never leaves this module."""


def _match(path: Path) -> PairedPerformance:
    from music.match_files import read_match

    return read_match(path)


def _piano_midi(path: Path) -> PairedPerformance:
    from music.piano_midi_de import read_piano_midi

    return read_piano_midi(path)


def _aligned(path: Path) -> PairedPerformance:
    from music.aligned_files import read_aligned

    return read_aligned(path)


# Ways to read, by name: a .match file; a MIDI file of www.piano-midi.de; an alignment beside its score and performance.
PAIR_READINGS: dict[str, Callable[[Path], PairedPerformance]] = {
    "match": _match,
    "piano_midi": _piano_midi,
    "aligned": _aligned,
}


def usable_pair(pair: PairedPerformance) -> PairedPerformance:
    """The pair with hands, voices and spelling in its score.

    Raises:
        RitornelloError: `alignment_faults` objects to it.
    """
    faults = alignment_faults(pair)
    if faults:
        raise _Dropped("; ".join(faults))
    return replace(pair, score=assign_voices(pair.score, "piano"))


def read_pair(path: Path, reading: str) -> tuple[PairedPerformance | None, str]:
    """The pair that a file gives, or None and the reason why it gives none; no bad file raises.

    Raises:
        KeyError: unknown reading.
    """
    read = PAIR_READINGS[reading]
    try:
        return usable_pair(read(path)), ""
    except _Dropped as error:
        return None, str(error)
    except RitornelloError as error:
        return None, f"{type(error).__name__}: {getattr(error, 'reason', error)}"
    except MemoryError:
        return None, "out of memory"
    except Exception as error:  # a reader's fault must not end a run over hundreds of files: it is reported instead
        return None, f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:200]}"
