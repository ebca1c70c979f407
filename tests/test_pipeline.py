"""The command line from end to end: what it writes, that it repeats itself, and how it refuses."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pipeline
from composer.markov import MarkovComposer
from music.cache import file_sha256
from music.midi import read_midi, write_score_midi
from music.musicxml import read_musicxml
from music.plan_json import read_plan, write_plan
from planner.grammar import GrammarPlanner
from planner.request import parse_request
from tests.test_markov import small_piece

ROOT = Path(__file__).resolve().parent.parent
PIECE = {"plan.json", "plan.png", "score.musicxml", "score.mid", "performance.mid", "roll.png", "provenance.json"}
PIECE |= {"report.html"}
REPEATED = ("plan.json", "score.musicxml", "score.mid", "performance.mid")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the Markov composer finds its tables, learned from a few small pieces."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("composer.markov.load_pieces", lambda *_, **__: [(None, small_piece(seed)) for seed in range(3)])
        assert MarkovComposer(cache_dir=folder).tables.grids
    return folder


@pytest.fixture
def run(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process, in an empty current folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    before = signal.getsignal(signal.SIGTERM)

    def call(*arguments: str) -> tuple[int, str, str]:
        words = ["composer=markov", f"cache_dir={cache}", "audio=none", *arguments]
        monkeypatch.setattr(sys, "argv", ["ritornello", *words])
        code = 0
        try:
            pipeline.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            signal.signal(signal.SIGTERM, before)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def shell(cache: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "pipeline.py"), "composer=markov", f"cache_dir={cache}", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)


def test_two_processes_write_the_same_bytes_and_a_sweep_separate_folders(cache: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    form = "form=A4 B4:V/HC A'4 | key=f# meter=3/4"
    single = shell(cache, one, form, "seed=1", "out=piece")
    assert single.returncode == 0, single.stderr
    sweep = shell(cache, two, "-m", form, "seed=1,2", "audio=none")
    assert sweep.returncode == 0, sweep.stderr
    assert {p.name for p in (one / "piece").iterdir()} == PIECE | {"piece.ogg"}
    assert (one / "piece" / "piece.ogg").read_bytes()[:4] == b"OggS"
    assert [p.name for p in one.iterdir()] == ["piece"], "nothing else is left in the current folder"
    assert [p.name for p in two.iterdir()] == ["out"]
    first, second = sorted((two / "out").iterdir())
    assert first.name.startswith("000-composer-markov-form-a4-b4"), "named by what was asked for, not by places"
    assert {p.name for p in first.iterdir()} == PIECE
    for name in REPEATED:
        assert (first / name).read_bytes() == (one / "piece" / name).read_bytes(), name
        assert (first / name).read_bytes() != (second / name).read_bytes(), name
    plan = read_plan(first / "plan.json")
    assert [s.label for s in plan.sections] == ["A", "B", "A'"]
    assert [str(s.key) for s in plan.sections] == ["f#", "c#", "f#"] or str(plan.sections[1].key) == "C#"
    assert str(plan.meter) == "3/4"
    score = read_musicxml(first / "score.musicxml")
    assert sorted((n.onset_div, n.pitch) for n in score.notes) == sorted(
        (n.onset_div, n.pitch) for n in read_midi(first / "score.mid").notes
    )
    assert "compose" in single.stdout
    assert single.stdout.splitlines()[-1] == "piece"


def test_a_process_that_is_refused_says_one_line_and_exits_with_2(cache: Path, tmp_path: Path) -> None:
    found = shell(cache, tmp_path, "form=rondoo")
    assert found.returncode == 2
    assert len(found.stderr.splitlines()) == 1
    assert "rondoo" in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_provenance_tells_the_request_and_the_versions(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("form=AB", "bars=8", "seed=5", "title=Zwei Stücke")
    assert code == 0
    folder = tmp_path / "out" / "zwei-stucke-5"
    assert out.splitlines()[-1] == "out/zwei-stucke-5"
    known = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert known["seed"] == 5
    assert known["request"]["form"] == "AB"
    assert known["request"]["title"] == "Zwei Stücke"
    assert known["versions"]["music21"]
    assert set(known["layers"]) == {"planner", "composer", "performer"}
    assert str(tmp_path) not in json.dumps(known)


def test_a_plan_file_is_where_a_piece_can_start(run: Run, tmp_path: Path) -> None:
    assert run("form=AB", "bars=8", "key=Bb", "out=first")[0] == 0
    assert run("plan_file=first/plan.json", "out=second")[0] == 0
    for name in REPEATED:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    assert run("plan_file=first/plan.json", "title=New", "tempo=71", "out=third")[0] == 0
    changed = read_plan(tmp_path / "third" / "plan.json")
    assert (changed.title, changed.tempo_qpm, str(changed.key)) == ("New", 71, "Bb")
    code, _, err = run("plan_file=first/plan.json", "key=C", "out=fourth")
    assert code == 2
    assert "key=C contradicts plan_file=first/plan.json, whose key is Bb" in err
    assert run("plan_file=first/plan.json", "key=Bb", "form=AB", "out=fourth")[0] == 2
    assert not (tmp_path / "fourth").exists()


def test_any_score_can_be_performed(run: Run, tmp_path: Path) -> None:
    write_score_midi(small_piece(0), tmp_path / "Mein Stück.mid")
    code, out, _ = run("task=perform", "score_file=Mein Stück.mid", "seed=3", "title=Lied")
    assert code == 0
    folder = tmp_path / "out" / "mein-stuck-3"
    assert {p.name for p in folder.iterdir()} == PIECE - {"plan.json", "plan.png"}
    assert read_musicxml(folder / "score.musicxml").title == "Lied"
    assert len(read_midi(folder / "performance.mid").notes) == len(small_piece(0).notes)
    assert str(len(small_piece(0).notes)) in out


def test_a_score_is_not_performed_by_another_pieces_plan(run: Run, tmp_path: Path) -> None:
    write_score_midi(small_piece(0), tmp_path / "song.mid")
    write_plan(GrammarPlanner().plan(parse_request(bars=44), seed=0), tmp_path / "plan.json")
    code, _, err = run("task=perform", "score_file=song.mid", "plan_file=plan.json", "out=played")
    assert code == 2
    assert "plan_file=plan.json has 44 bars, but score_file=song.mid has" in err
    assert not (tmp_path / "played").exists()


def test_plans_are_one_object_a_line(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("task=plan", "count=3", "form=rondo", "seed=4", "out=plans")
    assert code == 0
    lines = (tmp_path / "plans" / "plans.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert len(set(lines)) == 3
    for line in lines:
        plan = json.loads(line)
        assert {"title", "key", "meter", "sections", "themes"} <= set(plan)
        assert {"label", "bars", "key", "cadence", "phrases", "chords", "theme", "source"} <= set(plan["sections"][0])
    pictures = [f"plan-{number:02}.png" for number in (1, 2, 3)]
    assert sorted(p.name for p in (tmp_path / "plans").iterdir()) == [*pictures, "plans.jsonl"]
    assert out.splitlines()[-1] == "plans/plans.jsonl"
    code, again, _ = run("task=plan", "form=rondo", "seed=5", "out=other")
    assert (tmp_path / "other" / "plans.jsonl").read_text(encoding="utf-8").splitlines() == [lines[1]]
    assert again.splitlines()[0] in out


def test_the_variation_of_returns_is_a_wish(run: Run, tmp_path: Path) -> None:
    assert run("task=plan", "form=ABA'", "bars=24", "variation=0", "out=plans")[0] == 0
    plan = json.loads((tmp_path / "plans" / "plans.jsonl").read_text(encoding="utf-8"))
    assert plan["sections"][2]["variation"] == 0
    assert run("task=plan", "form=ABA", "bars=24", "variation=0.4", "out=plans")[0] == 0
    plan = json.loads((tmp_path / "plans" / "plans.jsonl").read_text(encoding="utf-8"))
    assert [s["variation"] for s in plan["sections"] if s["source"] is not None] == [0.4]


def test_a_melody_is_planned_for_and_refused_where_the_composer_cannot_be_told(run: Run, tmp_path: Path) -> None:
    write_score_midi(small_piece(0), tmp_path / "song.mid")
    code, out, _ = run("task=plan", "melody=song.mid", "out=plans")
    assert code == 0
    assert out.splitlines()[-1] == "plans/plans.jsonl"
    code, _, err = run("melody=song.mid", "out=piece")
    assert code == 2
    assert "melody=song.mid needs a composer that takes notes in advance; MarkovComposer does not" in err
    assert not (tmp_path / "piece").exists()


def test_provenance_tells_the_users_files(run: Run, tmp_path: Path) -> None:
    write_score_midi(small_piece(0), tmp_path / "song.mid")
    assert run("task=perform", "score_file=song.mid", "out=played")[0] == 0
    known = json.loads((tmp_path / "played" / "provenance.json").read_text(encoding="utf-8"))
    assert known["files"] == {"score_file": file_sha256(tmp_path / "song.mid")}


def test_count_writes_pieces_side_by_side(run: Run, tmp_path: Path) -> None:
    assert run("form=A", "bars=4", "title=Bagatelle", "seed=2", "count=2", "out=set")[0] == 0
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == ["bagatelle-2", "bagatelle-3"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("form=rondoo",), ("rondoo", "rondo")),
        (("key=H",), ("H",)),
        (("meter=3/5",), ("3/5",)),
        (("form=rondo", "bars=7"), ("7",)),
        (("form=A8 B8", "bars=40"), ("40", "16")),
        (("form=A8 B8 | key=G", "key=C"), ("G", "C")),
        (("theme=silence.mid",), ("silence.mid", "note")),
        (("theme=nowhere.mid",), ("nowhere.mid",)),
        (("plan_file=broken.json",), ("broken.json",)),
        (("plan_file=nowhere.json",), ("nowhere.json",)),
        (("composer=biaxial", "weights=nowhere.safetensors"), ("nowhere",)),
        (("composer=biaxial", "weights=broken.json"), ("broken",)),
        (("task=perform",), ("score_file=",)),
        (("task=perform", "score_file=nowhere.mid"), ("nowhere.mid", "no such file")),
        (("task=perform", "score_file=broken.json"), ("broken.json", ".musicxml")),
        (("task=perform", "score_file=silence.mid"), ("silence.mid", "note")),
        (("task=perform", "score_file=silence.mid", "key=G"), ("key=G", "perform")),
        (("score_file=silence.mid",), ("score_file=silence.mid", "generate")),
        (("task=perform", "score_file=silence.mid", "redo=B"), ("redo=B", "perform")),
        (("task=evaluate_piece", "score_file=silence.mid", "form=rondo"), ("form=rondo", "evaluate_piece")),
        (("melody=silence.mid",), ("silence.mid", "note")),
        (("melody=nowhere.mid",), ("nowhere.mid", "no such file")),
        (("melody=a.mid", "opening=b.mid"), ("melody=a.mid contradicts opening=b.mid",)),
        (("bars_to_fill=9-16",), ("bars_to_fill=9-16", "score_file")),
        (("redo=B", "score_file=silence.mid"), ("silence.mid", "note")),
        (("task=prepare", "data=folder"), ("data.path",)),
        (("task=prepare", "data=plans", "data.of=folder"), ("data.path",)),
        (("out=broken.json",), ("broken.json", "not a folder")),
        (("style=dubstep",), ("dubstep",)),
        (("ensemble=kazoo",), ("kazoo",)),
        (("planner._target_=torch.os.system",), ("torch.os.system",)),
        (("planner._target_=torch.hub.Path",), ("pathlib",)),
        (("planner._target_=planner.nowhere.Planner",), ("planner.nowhere",)),
        (("sed=1",), ("'sed'", "seed")),
    ],
    ids=lambda v: " ".join(v) if v and "=" in v[0] else "",
)
def test_unhappy_input_is_one_line_and_nothing_is_written(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: tuple[str, ...]
) -> None:
    (tmp_path / "broken.json").write_text('{"title": 1', encoding="utf-8")
    (tmp_path / "silence.mid").write_bytes(
        bytes.fromhex("4d546864000000060000000101e0" + "4d54726b00000004" + "00ff2f00")
    )
    before = sorted(p.name for p in tmp_path.rglob("*"))
    code, _, err = run(*arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1, err
    assert "Traceback" not in err
    for word in said:
        assert word in err
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x/roll.png"), 2, "no space left on the disk; free some"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=["full disk", "Ctrl-C"],
)
def test_what_breaks_off_leaves_nothing_half_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    assert run("form=A", "bars=4", "out=deep/piece")[0] == 0
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("render.piece.draw_roll", refuse)
    for out in ("deep/piece", "other/piece"):
        found, _, err = run("form=A", "bars=4", "seed=9", f"out={out}")
        assert found == code
        assert said in err
        assert len(err.strip().splitlines()) == 1
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert not (tmp_path / "other").exists()


def test_a_fault_of_the_program_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("planner.sampling.LearnedPlanner.plan", fail)
    with pytest.raises(ZeroDivisionError, match="a fault"):
        run()


def test_training_and_measuring_reach_the_layers(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    def train(settings: dict, *, logger: object) -> dict:
        seen.update(settings, logger_object=logger)
        return {"steps": settings["task"]["run"]["max_steps"], "last": {"loss": 1.25}}

    monkeypatch.setattr("composer.train.train", train)
    code, out, _ = run("task=train_composer", "trainer=smoke", "logger=none", "data=folder", "data.path=my music")
    assert code == 0
    assert seen["logger_object"] is False
    assert seen["out"] == "runs/composer"
    assert seen["data"] == {"name": "folder", "path": "my music", "licence": None}
    table, line = out.splitlines()[:-1], out.splitlines()[-1]
    assert table == ["steps      4", "last.loss  1.2500"]
    assert json.loads(line) == {"steps": 4, "last": {"loss": 1.25}}
    written = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()]
    assert written == ["runs/composer/run.json"]


def test_every_task_has_its_choice() -> None:
    assert set(pipeline.TASKS) == {path.stem for path in (ROOT / "conf" / "task").glob("*.yaml")}


def test_the_command_is_light_to_start() -> None:
    code = (
        "import sys, pipeline; print([m for m in ('torch', 'music21', 'matplotlib', 'partitura') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
