"""The first minutes: a help page that says all, and the nearest right word for a mistyped one."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conf.near import FORM_WORDS, SYNONYMS, bare_word, known_choices, known_keys, nested_keys, unknown_key
from conf.words import hydra_arguments
from music.errors import RequestError
from planner.forms import FORMS
from render.console import how_to_open, stage

ROOT = Path(__file__).resolve().parent.parent


def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "pipeline.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_help_is_a_page_that_names_every_key_and_every_task() -> None:
    page = shell("--help").stdout
    lines = page.splitlines()
    assert len(lines) <= 66, "more than a printed page"
    assert max(map(len, lines)) <= 100
    missing = {key for key in known_keys() if not re.search(rf"\b{key}\b", page)}
    assert not missing, f"keys that the page does not name: {sorted(missing)}"
    missing = {task for task in known_choices()["task"] if not re.search(rf"\b{task}\b", page)}
    assert not missing, f"tasks that the page does not name: {sorted(missing)}"
    assert "null" not in page  # no dump of a configuration
    for name in re.findall(r"docs/\S+\.md", page):
        assert (ROOT / name).is_file(), name
    assert "--cfg job" in page


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("fomr", "form"), ("Form", "form"), ("titel", "title"), ("compser", "composer"), ("tmepo", "tempo")),
        *(("measures", "bars"), ("bpm", "tempo"), ("time_signature", "meter"), ("output", "out")),
        *(
            ("data.pth", "data.path"),
            ("task.run.max_step", "task.run.max_steps"),
            ("trainer.devics", "trainer.devices"),
        ),
        *(("compsr.temperature", "composer.temperature"), ("taks.run.max_steps", "task.run.max_steps")),
    ],
)
def test_a_wrong_key_gets_the_nearest_right_one(typed: str, meant: str) -> None:
    message = unknown_key(typed)
    assert f"did you mean {meant!r}?" in message
    assert "\n" not in message


def test_a_key_like_no_other_gets_them_all() -> None:
    message = unknown_key("zzzz")
    assert "did you mean" not in message
    assert all(re.search(rf"\b{key}\b", message) for key in known_keys())


def test_what_is_suggested_exists() -> None:
    for key in SYNONYMS.values():
        root, dot, _ = key.partition(".")
        assert root in known_keys()
        assert not dot or key in nested_keys(root)
    assert not set(SYNONYMS) & known_keys()
    assert set(FORM_WORDS) == set(FORMS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("rondo", "form=rondo"), ("ABACA", "form=ABACA"), ("AA'BA", "form=AA'BA"), ("help", "--help")),
        *(("train_compser", "task=train_composer"), ("markov", "composer=markov"), ("quartet", "ensemble=quartet")),
        *(("titel", "title=VALUE"), ("zzzz", "")),
    ],
)
def test_a_word_without_a_key_is_understood(typed: str, meant: str) -> None:
    assert bare_word(typed) == meant


def test_dashes_before_a_key_are_explained_and_hydras_flags_stay() -> None:
    for argument, hint in (("--form=rondo", "form=rondo"), ("--section-bars", "section_bars="), ("--fomr", "form=")):
        with pytest.raises(RequestError, match=re.escape(f"write {hint}")):
            hydra_arguments([argument])
    flags = ["--help", "--cfg", "--multi"]
    assert hydra_arguments(flags) == flags


def test_the_command_says_it_in_one_line() -> None:
    done = shell("fomr=rondo")
    assert done.returncode == 2
    assert done.stderr.startswith("ritornello: unknown key 'fomr'; did you mean 'form'?")
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_a_piece_ends_with_how_to_open_it_and_its_folder(tmp_path: Path) -> None:
    assert how_to_open(tmp_path) == str(tmp_path)
    (tmp_path / "report.html").touch()
    assert "it shows the piece" in how_to_open(tmp_path), "with audio=none there is nothing to play"
    (tmp_path / "piece.ogg").touch()
    page, folder = how_to_open(tmp_path).splitlines()
    assert page == f"open {tmp_path / 'report.html'} in a browser: it plays the piece"
    assert folder == str(tmp_path)


class Terminal(io.StringIO):
    """Says that someone is watching."""

    def isatty(self) -> bool:
        return True


def test_seconds_count_up_where_someone_is_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    for screen, drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stdout", screen)
        with stage("compose") as remarks:
            time.sleep(1.2 if drawn else 0.0)
            remarks.append("12 notes")
        lines = screen.getvalue().split("\r")
        assert ("compose       1 s" in lines) is drawn
        assert re.fullmatch(r"compose +\d\.\d s  12 notes\n", lines[-1])


def test_ctrl_c_while_the_program_starts_is_one_line() -> None:
    code = "import conf; raise {}"
    told = [
        subprocess.run(
            [sys.executable, "-c", code.format(name)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        for name in ("KeyboardInterrupt", "ZeroDivisionError")
    ]
    assert told[0].stderr == "ritornello: interrupted; nothing was begun\n"
    assert told[0].returncode in (130, -2)  # ended by the signal, which a shell calls 130
    assert "Traceback" in told[1].stderr, "a fault keeps its traceback"
