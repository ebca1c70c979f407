"""A folder as users have them: 200 MIDI and MusicXML files, a tenth of them broken; each layer that can learns from it.

    python -m benchmarks.folder [--out DIR] [--files 200] [--steps 4] [--workers 1]

Copies pieces of music21's corpus, half of them written as MIDI, breaks every tenth in one of twenty ways, then runs the
commands that docs/your-own-scores.md gives: `task=prepare`, a few steps of `train_planner` and of `train_composer` with
`data=folder`. The performer cannot learn from scores; its command must say so. Prints what was kept and dropped for
which reason, one line a command, and one JSON line; exits with 1 where a command fails or the figures do not add up.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from music.corpus_sources import files_below, music21_corpus_dir
from music.errors import RitornelloError
from music.files import read_score
from music.midi import write_score_midi

ROOT = Path(__file__).resolve().parent.parent
LARGEST_BYTES = 30_000
BROKEN_SHARE = 10  # one file of so many
SMALL = ("task.network.projection=16", "task.network.time_units=[16,16]", "task.network.note_units=[16,16]")
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_PART_LIST = '<part-list><score-part id="P1"><part-name>P</part-name></score-part></part-list>'
_ENTITIES = (
    _HEAD + '<!DOCTYPE score-partwise [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><score-partwise><work>&c;</work></score-partwise>'
)
_ONE_NOTE = (
    "<measure number='1'><attributes><divisions>{0}</divisions></attributes>"
    "<note><pitch><step>{1}</step><octave>4</octave></pitch><duration>{2}</duration></note></measure>"
)


def _page(body: str) -> bytes:
    return f'{_HEAD}<score-partwise version="4.0">{_PART_LIST}<part id="P1">{body}</part></score-partwise>'.encode()


def _midi(division: int, track: bytes, length: int | None = None) -> bytes:
    size = len(track) if length is None else length
    head = b"MThd" + (6).to_bytes(4, "big") + bytes((0, 0, 0, 1)) + division.to_bytes(2, "big")
    return head + b"MTrk" + size.to_bytes(4, "big") + track


# Twenty ways in which a file can be broken: extension, and its bytes, given those of a whole MusicXML and MIDI file.
BROKEN: tuple[tuple[str, str, Callable[[bytes, bytes], bytes]], ...] = (
    ("empty", ".musicxml", lambda xml, midi: b""),
    ("cut", ".musicxml", lambda xml, midi: xml[: len(xml) // 2]),
    ("text", ".musicxml", lambda xml, midi: b"Dear Sir,\nherewith the sonata.\n"),
    ("web-page", ".xml", lambda xml, midi: b"<html><body><p>404 Not Found</p></body></html>"),
    ("no-notes", ".musicxml", lambda xml, midi: _page("")),
    ("entities", ".xml", lambda xml, midi: _ENTITIES.encode()),
    ("no-pitch", ".musicxml", lambda xml, midi: _page(_ONE_NOTE.format(1, "H", 4))),
    ("endless", ".musicxml", lambda xml, midi: _page(_ONE_NOTE.format(1, "C", "1e999"))),
    ("no-divisions", ".musicxml", lambda xml, midi: _page(_ONE_NOTE.format(0, "C", 4))),
    ("deep", ".xml", lambda xml, midi: b"<a>" * 5000 + b"</a>" * 5000),
    ("cut-archive", ".mxl", lambda xml, midi: gzip.compress(xml)[:2000]),
    ("no-container", ".mxl", lambda xml, midi: _archive("readme.txt", b"nothing here")),
    ("latin", ".xml", lambda xml, midi: b"\xff\xfe" + bytes(range(256)) * 4),
    ("empty", ".mid", lambda xml, midi: b""),
    ("cut", ".mid", lambda xml, midi: midi[: len(midi) // 3]),
    ("head-only", ".mid", lambda xml, midi: midi[:14]),
    ("no-division", ".mid", lambda xml, midi: _midi(0, b"\x00\x90\x3c\x40\x60\x80\x3c\x00\x00\xff\x2f\x00")),
    ("picture", ".mid", lambda xml, midi: b"\x89PNG\r\n\x1a\n" + bytes(200)),
    ("silent", ".midi", lambda xml, midi: _midi(96, b"\x00\xff\x2f\x00")),
    ("too-long", ".mid", lambda xml, midi: _midi(96, b"\x00\x90\x3c\x40", 2**31)),
)


def _archive(name: str, content: bytes) -> bytes:
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, content)
        file.seek(0)
        return file.read()


def make_folder(folder: Path, files: int = 200) -> tuple[int, int]:
    """Fills a folder: (whole files, broken files).

    Args:
        folder: made where it is missing; sub-folders "scores", "midi" and "broken".
        files: in all; every tenth is broken.
    """
    broken = files // BROKEN_SHARE
    root = music21_corpus_dir()
    small = [p for p in files_below(root, (".mxl",)) if p.stat().st_size < LARGEST_BYTES]
    chosen = small[:: max(1, len(small) // (files + 20))]
    for name in ("scores", "midi", "broken"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    whole = 0
    midi = xml = b""
    for path in chosen:
        if whole == files - broken:
            break
        name = f"{path.parent.name}-{path.stem}"
        if whole % 2:
            target = folder / "midi" / f"{name}.mid"
            try:
                write_score_midi(read_score(path), target)
            except RitornelloError:  # this corpus has broken files of its own
                continue
            midi = target.read_bytes()
        else:
            target = folder / "scores" / f"{name}.mxl"
            shutil.copyfile(path, target)
            with zipfile.ZipFile(path) as archive:
                xml = archive.read(max(archive.namelist(), key=lambda n: archive.getinfo(n).file_size))
        whole += 1
    for number in range(broken):
        kind, suffix, make = BROKEN[number % len(BROKEN)]
        (folder / "broken" / f"{number:02d}-{kind}{suffix}").write_bytes(make(xml, midi) + b"\n" * (number // 20))
    return whole, broken


def _run(*arguments: str) -> tuple[int, str, str, float]:
    """Runs the command line at low priority: (exit code, stdout, stderr, seconds)."""
    command = [sys.executable, str(ROOT / "pipeline.py"), *arguments]
    started = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return done.returncode, done.stdout, done.stderr, round(time.perf_counter() - started, 1)


def _kept_lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if " dropped" in line or line.startswith("dropped ")]


def measure(folder: Path, *, files: int, steps: int, workers: int) -> dict[str, Any]:
    """Makes the folder, runs the commands on it and prints what they say of it."""
    scores, cache = folder / "my_scores", folder / "cache"
    whole, broken = make_folder(scores, files)
    print(f"{scores}: {whole} whole files, {broken} broken\n", flush=True)
    places = ("data=folder", f"data.path={scores}", f"cache_dir={cache}", f"workers={workers}")
    short = ("trainer=smoke", f"trainer.max_steps={steps}", f"task.run.max_steps={steps}", "logger=none")
    commands: dict[str, tuple[str, ...]] = {
        "prepare": ("task=prepare", *places),
        "train_planner": ("task=train_planner", *places, *short, f"out={folder / 'planner'}"),
        "train_composer": ("task=train_composer", *places, *short, *SMALL, f"out={folder / 'composer'}"),
        "train_performer": ("task=train_performer", *places, *short, f"out={folder / 'performer'}"),
    }
    figures: dict[str, Any] = {"files": whole + broken, "whole": whole, "broken": broken}
    for name, arguments in commands.items():
        code, out, err, seconds = _run(*arguments)
        last = json.loads(out.splitlines()[-1]) if code == 0 else {"said": err.strip().splitlines()[-1]}
        print(f"{name}: exit code {code}, {seconds} s", flush=True)
        for line in _kept_lines(out if name == "prepare" else err):
            print(f"    {line}")
        if code:
            print(f"    {last['said']}")
        figures[name] = last | {"code": code, "seconds": seconds}
    return figures


def adds_up(figures: dict[str, Any]) -> bool:
    """True where every command did what it should, and every broken file was dropped and no whole one was."""
    prepared = figures["prepare"]
    broken_dropped = prepared.get("dropped", 0) >= figures["broken"] and prepared.get("files") == figures["files"]
    trained = all(figures[name]["code"] == 0 for name in ("prepare", "train_planner", "train_composer"))
    return trained and broken_dropped and figures["train_performer"]["code"] == 2


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="a folder to keep; a temporary one where it is left out")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        figures = measure(folder, files=options.files, steps=options.steps, workers=options.workers)
    print(json.dumps(figures, ensure_ascii=False))
    sys.exit(0 if adds_up(figures) else 1)


if __name__ == "__main__":
    main()
