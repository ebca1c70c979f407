"""The typed errors that a user may see, each one line: what is wrong, where, and what to do.

Everything that bad input can cause is a `RitornelloError`; pipeline.py prints its message and exits with code 2.
Any other exception is a fault of the program and is shown with its traceback.
"""

from __future__ import annotations

from pathlib import Path


class RitornelloError(Exception):
    """Base of all errors that the input or the environment causes, not the program."""


class FileError(RitornelloError):
    """A file that cannot be used. The message names the file and the reason.

    Args:
        path: the file, as the user named it.
        reason: one clause, without a full stop.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # The default would call __init__ with the one-line message and break errors sent between worker processes.
        return type(self), (self.path, self.reason)


class MidiError(FileError):
    """A MIDI file that cannot be read as music."""


class MusicXmlError(FileError):
    """A MusicXML file that cannot be read as music, or that is refused as unsafe."""


class CacheError(FileError):
    """A cache folder that cannot be read or written."""


class WeightsError(FileError):
    """A weights file that is missing, damaged, or does not fit its JSON."""


class PlanError(RitornelloError):
    """A plan (typed, from a file, or made) that breaks an invariant of plans."""


class RequestError(RitornelloError):
    """A wish that is not understood or that contradicts another one; both are named."""


class ScoreError(RitornelloError):
    """A score or performance that breaks an invariant of its type."""
