"""What was left out of a corpus and why, as lines for a person."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

MANY = 12  # left out for one kind of reason: these are counted, not listed


def kind_of(reason: str) -> str:
    """A reason without what differs from file to file: class, what follows a colon or stands in brackets, numbers."""
    reason = re.sub(r"^\w+Error: ", "", reason)
    head = reason.split(":")[0].split(" (")[0]
    return " ".join("N" if word.strip(",.;").isdigit() else word for word in head.split())


def dropped_lines(dropped: Sequence[tuple[str, str]], *, many: int = MANY) -> list[str]:
    """One line for each (name, reason); where more than `many` are of one kind, one line for all of these."""
    count = Counter(kind_of(reason) for _, reason in dropped)
    lines, told = [], set[str]()
    for name, reason in dropped:
        kind = kind_of(reason)
        if count[kind] <= many:
            lines.append(f"dropped {name}: {reason}")
        elif kind not in told:
            told.add(kind)
            lines.append(f"dropped {count[kind]}, such as {name}: {reason}")
    return lines


def say(what: str, dropped: Iterable[tuple[str, str]]) -> None:
    """Tells the user on the error stream what was kept, and what was dropped with its reason."""
    print("\n".join([what, *dropped_lines(list(dropped))]), file=sys.stderr, flush=True)
