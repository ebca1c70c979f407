"""Keeps freed memory in the process while training on a CPU with glibc.

A training step frees and takes again some hundred large buffers; by default glibc gives each back to the kernel, and
the page faults cost a third of the time. The allocator reads its settings once, when a process starts, so the process
is replaced by itself with them set.
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


def keep_freed_memory() -> None:
    """Replaces this process by the same command with the allocator's settings, where that applies.

    Does nothing on other systems than Linux with glibc, or where any of the settings is already made.
    """
    applies = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
    if not applies or any(name in os.environ for name in KEEP_MEMORY):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **KEEP_MEMORY})
