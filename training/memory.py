"""Keeps freed memory in the process while training on a CPU with glibc.

A training step frees and takes again some hundred large buffers; by default glibc gives each back to the kernel, and
the page faults cost a third of the time. The allocator reads its settings once, when a process starts, so the process
is replaced by itself with them set. What is kept adds up (11 GB for the shipped composer's batches), so a machine with
less than `LEAST_MEMORY` is left alone.
"""

from __future__ import annotations

import os
import platform
import sys

KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "1000000000",
}
LEAST_MEMORY = 16_000_000_000  # bytes


def keep_freed_memory() -> None:
    """Replaces this process by the same command with the allocator's settings, where that applies.

    Does nothing on other systems than Linux with glibc, on a small machine, or where one of the settings is made.
    """
    applies = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
    if (
        not applies
        or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < LEAST_MEMORY
        or any(name in os.environ for name in KEEP_MEMORY)
    ):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **KEEP_MEMORY})
