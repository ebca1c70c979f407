"""The configuration: one YAML per choice; `words` and `near` read what a user types.

Importing it makes Ctrl-C one line even while the program still starts, before `conf.words.one_line_errors` does.
"""

from __future__ import annotations

import sys
from types import TracebackType


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Python's own hook for what nobody catches, but for Ctrl-C."""
    if issubclass(kind, KeyboardInterrupt):
        print("ritornello: interrupted; nothing was begun", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.excepthook is sys.__excepthook__:  # a program that has a hook of its own keeps it
    sys.excepthook = _one_line
