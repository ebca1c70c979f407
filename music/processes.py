"""A pool of processes that leave Ctrl-C to the first process, and end with it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Any


class _Pool(ProcessPoolExecutor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As the executor's, which begins its processes here."""
        with _interrupts_wait():
            return super().submit(fn, *args, **kwargs)


@contextmanager
def processes(
    workers: int | None, initializer: Callable[..., object] | None = None, initargs: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes are spawned, not forked: a fork of a process that holds torch's threads can hang.

    An error or an interruption within ends its processes at once. The executor's own exit would wait for the thread
    that feeds the jobs, which waits for ever where the processes were killed with a pipe full of jobs (as by
    `timeout`, which signals the whole group).

    Args:
        workers: how many processes; None for as many as there are cores.
        initializer, initargs: what each process calls first.
    """
    pool = _Pool(workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(initializer, *initargs))
    before = set(active_children())
    try:
        yield pool
    except BaseException:
        jobs = getattr(pool, "_call_queue", None)
        if jobs is not None:
            jobs.cancel_join_thread()
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(active_children()) - before:
            child.kill()
        raise
    pool.shutdown()


def _begin(initializer: Callable[..., object] | None, *arguments: Any) -> None:
    """Where a system has no signal masks, a process hears Ctrl-C until it comes to this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if initializer is not None:
        initializer(*arguments)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Holds Ctrl-C back; processes that begin within inherit the mask, so none hears it in its imports."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
