"""A broken MIDI file is read as a valid score, or refused with one line that names it and the reason."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from music.errors import MidiError
from music.midi import parse_midi, read_midi, read_performance_midi
from music.midi_events import decode_midi
from music.midi_score import performance_of_events
from music.score import MAX_DIV, Score
from tests.midi_files import BROKEN, END, NOTE, format0_file, meta, midi, mutant, rich_file

MUTANTS = 5000
SECONDS = 5.0  # of the processor: other work on the machine should not fail a test


def _check(score: Score) -> None:
    """What Score's own checks leave open."""
    assert [n.id for n in score.notes] == [f"n{i}" for i in range(len(score.notes))]
    assert all(n.duration_div > 0 for n in score.notes)
    assert 0 < score.end_div <= MAX_DIV
    assert score.bars[-1].onset_div < max(n.end_div for n in score.notes) <= score.end_div
    by_key = sorted(score.notes, key=lambda n: (n.part, n.pitch, n.onset_div))
    for _, notes in groupby(by_key, key=lambda n: (n.part, n.pitch)):
        assert all(a.end_div <= b.onset_div for a, b in pairwise(notes))


@pytest.mark.parametrize("name", BROKEN)
def test_each_kind_of_damage(name: str, tmp_path: Path) -> None:
    data, reason = BROKEN[name]
    path = tmp_path / f"{name}.mid"
    path.write_bytes(data)
    start = time.process_time()
    if reason is None:
        _check(read_midi(path))
        assert len(read_performance_midi(path).notes) == len(read_midi(path).notes)
    else:
        with pytest.raises(MidiError, match=reason) as caught:
            read_midi(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert time.process_time() - start < SECONDS


def test_there_are_enough_kinds() -> None:
    assert sum(reason is not None for _, reason in BROKEN.values()) >= 30


def _read(data: bytes) -> Score | MidiError:
    try:
        return parse_midi(data, "mutant.mid")
    except MidiError as error:
        return error


def test_mutants() -> None:
    seeds = [rich_file(), format0_file(), midi(NOTE * 8 + END), midi(meta(0x58, bytes([2, 2, 24, 8])) + NOTE + END)]
    read = 0
    slowest = 0.0
    for seed in range(MUTANTS):
        data = mutant(seeds, seed)
        start = time.process_time()
        found = _read(data)
        if isinstance(found, Score):
            _check(found)
            read += 1
            if read % 10 == 0:
                assert len(performance_of_events(decode_midi(data)).notes) == len(found.notes)
        else:
            assert str(found) == f"mutant.mid: {found.reason}"
            assert found.reason
        slowest = max(slowest, time.process_time() - start)
    assert slowest < SECONDS
    # Both ends of the reader are met often, or the mutants would say little.
    assert MUTANTS // 20 < read < MUTANTS * 3 // 4


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match="cannot be read: No such file"):
        read_midi(tmp_path / "none.mid")
    with pytest.raises(MidiError, match="cannot be read: Is a directory"):
        read_midi(tmp_path)
    with pytest.raises(MidiError, match="cannot be read"):
        read_midi("a\0b.mid")


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.mid"
    path.write_bytes(midi(NOTE + END) + bytes(20_000_000))
    with pytest.raises(MidiError, match="larger than 20 MB"):
        read_midi(path)


def test_memory_is_bounded_at_the_limits(tmp_path: Path) -> None:
    """The most notes that are accepted, in a process of its own with 1 GB of address space over what imports take."""
    path = tmp_path / "full.mid"
    path.write_bytes(midi(b"\x00\x90\x3c\x40" + b"\x01\x3c\x40" * 199_999 + END))
    code = (
        "import resource, sys, time; from music.midi import read_midi;"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30));"
        "start = time.process_time(); score = read_midi(sys.argv[1]);"
        "print(len(score.notes), time.process_time() - start)"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("the address space of a process is read from /proc")
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=root, capture_output=True, text=True, check=True)
    count, seconds = done.stdout.split()
    assert int(count) == 199_999
    assert float(seconds) < SECONDS
