"""The cache gives back exactly what was put in, believes nothing damaged, and leaves nothing half-written."""

from __future__ import annotations

import ast
import errno
import os
import signal
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.cache import (
    PARSERS,
    CacheEntry,
    ScoreCache,
    code_version,
    default_cache_dir,
    ensemble_of,
    write_atomically,
)
from music.errors import CacheError
from music.pitch import ALL_KEYS
from music.score import (
    DIRECTION_KINDS,
    Bar,
    Direction,
    KeyChange,
    MeterChange,
    Note,
    Part,
    Score,
    SectionMark,
    TempoChange,
    regular_bars,
    sort_notes,
)
from music.time import Meter

MUSIC = Path(__file__).resolve().parent.parent / "music"
SHA = "ab" + "0123456789" * 6 + "cd"
TEXT = st.text(max_size=12)  # any Unicode: controls, surrogates' neighbours, NUL


@st.composite
def scores(draw: st.DrawFn) -> Score:
    meter = draw(st.sampled_from([Meter(4, 4), Meter(3, 4), Meter(6, 8)]))
    bars = regular_bars(meter, draw(st.integers(1, 5)), draw(st.sampled_from([0, 5040])))
    end = bars[-1].end_div
    parts = draw(st.lists(st.builds(Part, TEXT, TEXT, st.integers(0, 127)), min_size=1, max_size=4, unique_by=_id))
    ids = draw(st.lists(TEXT, max_size=12, unique=True))
    notes = []
    for note_id in ids:
        onset = draw(st.integers(0, end))
        numbers = (draw(st.integers(0, end - onset)), draw(st.integers(0, 127)), draw(st.integers(0, len(parts) - 1)))
        step = draw(st.sampled_from(["", *"CDEFGAB"]))
        notes.append(Note(note_id, onset, *numbers, draw(st.integers(0, 2)), draw(st.integers(0, 4)), step))
    at = st.integers(0, end)
    keys = draw(st.lists(st.builds(KeyChange, at, st.sampled_from(ALL_KEYS)), max_size=3, unique_by=_onset))
    tempos = draw(st.lists(st.builds(TempoChange, at, st.floats(1, 2000)), max_size=3, unique_by=_onset))
    kinds = st.sampled_from(DIRECTION_KINDS)
    directions = draw(st.lists(st.builds(Direction, at, kinds, TEXT, at, st.integers(-1, 3)), max_size=4))
    return Score(
        parts=tuple(parts),
        notes=sort_notes(notes),
        bars=bars,
        meters=(MeterChange(0, meter),),
        keys=tuple(sorted(keys, key=_onset)),
        tempos=tuple(sorted(tempos, key=_onset)),
        directions=tuple(directions),
        sections=tuple(draw(st.lists(st.builds(SectionMark, at, TEXT), max_size=2))),
        title=draw(TEXT),
    )


def _id(part: Part) -> str:
    return part.id


def _onset(change: KeyChange | TempoChange) -> int:
    return change.onset_div


def small_score(bars: int = 4) -> Score:
    notes = tuple(Note(f"n{i}", i * 40320, 40320, 60 + i) for i in range(bars))
    return Score((Part("P1", "Piano"),), notes, regular_bars(Meter(4, 4), bars), (MeterChange(0, Meter(4, 4)),))


@settings(max_examples=15, deadline=None)
@given(st.lists(scores(), max_size=2))
def test_scores_come_back_equal(given_scores: list[Score]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = ScoreCache(Path(folder), "v1")
        entry = cache.put(SHA, "musicxml", tuple(given_scores))
        assert cache.get(SHA, "musicxml") == tuple(given_scores)
        assert cache.peek(SHA, "musicxml") == entry
        assert entry.notes == tuple(len(s.notes) for s in given_scores)


def test_the_same_score_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        ScoreCache(tmp_path / name, "v1").put(SHA, "musicxml", (small_score(),))
    a, b = (ScoreCache(tmp_path / name).path(SHA, "musicxml").read_bytes() for name in ("a", "b"))
    assert a == b


def test_reason_of_a_dropped_file_is_kept(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    cache.put(SHA, "musicxml", (), "no notes")
    assert cache.peek(SHA, "musicxml") == CacheEntry(reason="no notes")
    assert cache.get(SHA, "musicxml") == ()


def test_another_version_or_reading_counts_as_absent(tmp_path: Path) -> None:
    ScoreCache(tmp_path, "v1").put(SHA, "musicxml", (small_score(),))
    assert ScoreCache(tmp_path, "v2").peek(SHA, "musicxml") is None
    assert ScoreCache(tmp_path, "v1").peek(SHA, "chorale") is None
    assert ScoreCache(tmp_path, "v1").peek(SHA.replace("0", "1"), "musicxml") is None


def test_entries_hold_no_pickle(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    cache.put(SHA, "musicxml", (small_score(),))
    with np.load(cache.path(SHA, "musicxml"), allow_pickle=False) as stored:
        assert {stored[name].dtype.kind for name in stored.files} <= {"i", "u"}


def test_damage_anywhere_is_noticed(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    cache.put(SHA, "musicxml", (small_score(6),))
    path = cache.path(SHA, "musicxml")
    good, expected = path.read_bytes(), cache.get(SHA, "musicxml")
    rng = np.random.default_rng(3)
    for cut in (0, 1, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:cut])
        assert cache.peek(SHA, "musicxml") is None
    for _ in range(80):
        damaged = bytearray(good)
        damaged[rng.integers(len(good))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        # Some bytes of a zip mean nothing (dates, attributes): the content must be right or refused.
        assert cache.get(SHA, "musicxml") in (None, expected)
    path.write_bytes(b"PK\x03\x04 something else")
    assert cache.peek(SHA, "musicxml") is None


def test_a_forged_array_fails_the_checksum(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    cache.put(SHA, "musicxml", (small_score(),))
    path = cache.path(SHA, "musicxml")
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["notes_0"] = arrays["notes_0"] + 1
    np.savez_compressed(path.with_suffix(""), allow_pickle=False, **arrays)
    assert cache.peek(SHA, "musicxml") is None


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file of before."""
    path = tmp_path / "a" / "entry.npz"
    write_atomically(path, b"old")
    return path


def untouched(target: Path) -> bool:
    """Whether the file of before is all there is."""
    return [p.name for p in target.parent.iterdir()] == ["entry.npz"] and target.read_bytes() == b"old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("step", ["replace", "open"])
def test_refused_writes_leave_the_old_file_alone(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, step, refuse)
    with pytest.raises(CacheError, match="disk is full" if number == errno.ENOSPC else "written") as caught:
        write_atomically(target, b"new")
    assert str(target) in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert untouched(target)


def test_an_interrupted_write_leaves_nothing_behind(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(*_: object) -> None:
        assert len(list(target.parent.iterdir())) == 2
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Path, "replace", press)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, b"new")
    assert untouched(target)


def test_a_really_full_device(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(CacheError):
        write_atomically(tmp_path / "full" / "entry", b"x")


def test_unwritable_folder_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="cache_dir=DIR"):
        ScoreCache(tmp_path / "file" / "cache").put(SHA, "musicxml", (small_score(),))
    if os.geteuid() != 0:  # root may write anywhere
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(CacheError, match="cache_dir=DIR"):
            ScoreCache(tmp_path / "cache").put(SHA, "musicxml", (small_score(),))
        tmp_path.chmod(stat.S_IRWXU)


def test_default_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_dir() == Path("/somewhere/ritornello")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache" / "ritornello"


def test_code_versions_differ_by_kind() -> None:
    assert code_version("midi") == code_version("midi") != code_version("musicxml")
    cache = ScoreCache(Path("unused"))
    assert cache.version("midi") == code_version("midi")
    assert cache.version("chorale") == code_version("musicxml")


def reached_modules(module: str, seen: set[str]) -> set[str]:
    """Modules of music/ that a module imports, and theirs; writers are left out."""
    path = MUSIC / f"{module}.py"
    if module in seen or module.endswith("_write") or not path.exists():
        return seen
    seen.add(module)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("music."):
            reached_modules(str(node.module).removeprefix("music."), seen)
    return seen


@pytest.mark.parametrize("kind", ["midi", "musicxml"])
def test_version_covers_every_module_that_parses(kind: str) -> None:
    _, modules = PARSERS[kind]
    # Errors and performances do not shape a parsed score; atomic writing serves the writers.
    assert reached_modules(kind, set()) - {"errors", "performance", "files"} <= set(modules)


def test_ensembles_are_told_apart() -> None:
    meters, bars = (MeterChange(0, Meter(4, 4)),), (Bar(0, 40320, 1),)
    notes = tuple(Note(f"n{i}", 0, 40320, 60 + i, i) for i in range(4))
    voices = Score(tuple(Part(f"P{i}", n) for i, n in enumerate(("S", "A", "T", "B"))), notes, bars, meters)
    strings = Score(tuple(Part(f"P{i}", "", 40 + i) for i in range(4)), notes, bars, meters)
    assert ensemble_of(voices) == "satb"
    assert ensemble_of(strings) == "quartet"
    assert ensemble_of(small_score()) == "piano"
