"""What all tests share: one thread for numeric work, no screen, nothing written into the user's own folders."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

# Before numpy and torch are imported: with several test processes more threads only get in each other's way.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["MPLBACKEND"] = "Agg"
# A training starts its process anew to set the allocator, unless something is set already: never the test process.
os.environ.setdefault("MALLOC_TOP_PAD_", "131072")  # glibc's own default

# A property that takes a second on a busy machine is not a fault.
settings.register_profile("ritornello", deadline=None)
settings.load_profile("ritornello")


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> None:
    """The command line, run inside the test process, ends by ignoring Ctrl-C, as does a shell's job in the background;
    commands that a later test starts would inherit that and never be interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
