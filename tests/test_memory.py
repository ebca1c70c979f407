"""The allocator's settings are made once, on Linux with glibc, and the command starts anew with them."""

from __future__ import annotations

import os
import sys

import pytest

from training.memory import KEEP_MEMORY, LEAST_MEMORY, keep_freed_memory


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], dict[str, str]]]:
    calls: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("training.memory.platform.libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(os, "sysconf", lambda name: LEAST_MEMORY if name == "SC_PHYS_PAGES" else 1)
    for name in KEEP_MEMORY:
        monkeypatch.delenv(name, raising=False)
    return calls


def test_the_same_command_starts_anew(started: list[tuple[str, list[str], dict[str, str]]]) -> None:
    keep_freed_memory()
    ((program, arguments, environment),) = started
    assert program == sys.executable
    assert arguments[1:] == sys.orig_argv[1:]
    assert environment.items() >= KEEP_MEMORY.items()


@pytest.mark.parametrize("case", ["already set", "another libc", "little memory"])
def test_it_leaves_others_alone(
    started: list[tuple[str, list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    if case == "already set":
        monkeypatch.setenv("MALLOC_TOP_PAD_", "65536")
    elif case == "another libc":
        monkeypatch.setattr("training.memory.platform.libc_ver", lambda: ("", ""))
    else:
        monkeypatch.setattr(os, "sysconf", lambda _: 1)
    keep_freed_memory()
    assert started == []
