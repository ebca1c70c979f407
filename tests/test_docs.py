"""What the documentation says is true: its code runs and prints what it says, commands are valid, links lead on."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conf.words import check_settings
from tests.test_config import settings_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "examples" / "README.md"]
GUIDES = ("api.md", "tutorial.md")
_BLOCK = re.compile(r"(?ms)^```(python|text)\n(.*?)^```$")
_COMMAND = re.compile(r"(?m)^ *(?:\$ )?(?:nice \S+ )?(?:\.venv/bin/)?python pipeline\.py( .*)?$")


def blocks(page: str) -> list[tuple[str, str | None, int]]:
    """(code, what it prints or None, line) of every Python block; a text block right after one is its output."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found: list[tuple[str, str | None, int]] = []
    end = -1
    for match in _BLOCK.finditer(text):
        kind, body = match.groups()
        if kind == "python":
            found.append((body, None, text[: match.start()].count("\n") + 2))
            end = match.end()
        elif found and not text[end : match.start()].strip():
            found[-1] = (found[-1][0], body, found[-1][2])
    return found


def _pattern(expected: str) -> str:
    """Of a printed block; "…" stands for the rest of a line."""
    return re.escape(expected.strip()).replace("…", ".*")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Runs a page's code in an empty folder that has `examples/`, and compares what it prints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")

    def call(page: str) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": page.removesuffix(".md")}
        for code, expected, line in blocks(page):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile("\n" * (line - 1) + code, str(ROOT / "docs" / page), "exec", dont_inherit=True), names)
            if expected is not None:
                said = printed.getvalue().strip()
                assert re.fullmatch(_pattern(expected), said), f"{page}:{line} prints\n{said}"
        return names

    return call


def test_the_python_page_runs(run: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    names = run("api.md")
    assert len(names["stiff"].notes) == len(names["score"].notes)
    files = {path.name for path in (tmp_path / "my_piece").iterdir()}
    assert files == {"plan.json", "score.musicxml", "score.mid", "performance.mid", "piece.ogg", "roll.png"}
    assert (tmp_path / "my_piece" / "piece.ogg").stat().st_size > 50_000


def test_the_tutorial_runs(run: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    run("tutorial.md")
    assert (tmp_path / "out" / "tutorial" / "report.html").is_file()


def commands() -> list[tuple[str, str]]:
    """(page, arguments) of every command that a page shows."""
    found = []
    for page in PAGES:
        text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))  # commands that go on on the next line
        for match in _COMMAND.finditer(text):
            found.append((page.name, (match[1] or "").strip()))
    return found


def test_every_command_in_the_documentation_is_valid() -> None:
    shown = commands()
    assert len(shown) > 40
    assert {page for page, _ in shown} >= {"README.md", "tour.md", "your-own-scores.md"}
    for line, page in {line: page for page, line in shown}.items():
        line = re.split(r" {3,}", line)[0]  # what stands further right says what the command does
        arguments = [a for a in shlex.split(line) if a not in ("…",)]
        if any(a in ("--help", "--cfg") for a in arguments):
            continue
        if "-m" in arguments:  # one of the values of each; hydra/sweeper is a package of its own
            arguments = [re.sub(r"=\w+\(", "=", a).partition(",")[0] for a in arguments if a != "-m"]
            arguments = [a for a in arguments if not a.startswith("hydra")]
        try:
            check_settings(settings_of(*arguments))
        except Exception as error:
            pytest.fail(f"{page}: {line}: {error}")


def test_links_lead_to_files() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
