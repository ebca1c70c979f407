"""What all tests share: one thread for numeric work, no screen, nothing written into the user's own folders."""

from __future__ import annotations

import os

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
