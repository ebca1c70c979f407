"""task=evaluate on small layers: figures, the same twice and in any number of processes; Ctrl-C; people's figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.judge import JudgedPiece
from evaluation.originality import shipped_index
from evaluation.reference import as_kept, people, people_judged, pianists
from evaluation.system import OURS, Chain, Row, measure_request
from evaluation.system_figures import all_figures, farthest
from evaluation.system_requests import REQUESTS, read_requests
from evaluation.system_table import flat, markdown, timings
from evaluation.windows import feature_names
from music.errors import FileError
from performer.evaluate_pieces import columns
from performer.rules import RulePerformer
from planner.grammar import GrammarPlanner
from planner.plan_file import make_plan
from planner.theme_likeness import theme_similarity
from tests.evaluate_cases import LENT, BlockComposer, Refuser, build, settings_of
from training.system import evaluate, measure_all, rounded

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    chain = Chain(
        {OURS: GrammarPlanner(), "no": Refuser()},
        {OURS: BlockComposer(), "no": Refuser()},
        {OURS: RulePerformer(), "flat": RulePerformer(expression=0.0), "no": Refuser()},
        make_plan=make_plan,
        theme_similarity=theme_similarity,
        columns=columns,
        index=shipped_index(),
    )
    chosen = [read_requests()[i] for i in (0, 12, 17)]
    return [measure_request(request, chain) for request in chosen]


def test_every_stage_is_measured(rows: list[Row]) -> None:
    row = rows[1]
    assert row.ensemble == "satb"
    plan, piece, played = row.plans[OURS], row.pieces[OURS], row.performances[OURS]
    assert all(kept == asked for kept, asked in plan["wishes"].values())
    assert plan["cadences"][0] == plan["cadences"][1] > 0
    assert piece["measures"]["density"] > 0
    assert piece["parallels"][0] > 0
    assert not any(played["faults"].values())
    assert played["differences"]["velocity"] > 0
    assert row.plans["no"] == row.pieces["no"] == row.performances["no"] == {"refused": "refused"}
    assert {"plan ours", "compose ours", "perform ours", "measure"} <= set(row.seconds)
    assert "seconds" not in row.to_json()


def _figures(rows: list[Row]) -> dict[str, Any]:
    return rounded(all_figures(rows, people(), people_judged(), pianists()))


def test_figures_are_shares_and_hang_on_no_order(rows: list[Row]) -> None:
    found = _figures(rows)
    assert found == _figures(rows[::-1])
    plan, piece, played = found["plan"], found["piece"], found["performance"]
    assert plan["ours"]["wishes"] == 1.0
    assert plan["no"] == {"served": 0.0, "refused": 3.0, "wishes_count": 0.0}
    assert plan["people"]["cadences"] < 1
    assert piece["ours"]["pieces"] == 3
    assert 0 <= piece["ours within"]["density"] <= 1
    assert piece["people"]["longest_silence_bars"] >= 0
    assert played["ours"]["faultless"] == 1.0
    assert played["flat"]["spread_velocity"] < played["ours"]["spread_velocity"] < played["pianists"]["spread_velocity"]
    distances = [abs(row["distance"]) for row in found["farthest"]]
    assert distances == sorted(distances, reverse=True)
    json.dumps(found, allow_nan=False)


def test_block_chords_are_told_from_people_by_the_judge(rows: list[Row]) -> None:
    ours = [JudgedPiece(rows[1].judged[OURS].windows, "satb 4/4", True)] * 3
    figures = all_figures(
        [Row(f"r{i}", "satb", judged={OURS: piece}, pieces=rows[1].pieces) for i, piece in enumerate(ours)],
        people(),
        people_judged(),
        pianists(),
    )
    assert figures["piece"][OURS]["judge"] > 0.95
    assert figures["tells"]


def test_a_mean_like_peoples_lies_nowhere() -> None:
    measures = people()["pieces"]["sets"]["quartet"]["measures"]
    figures = {"measures": {name: span["mean"] for name, span in measures.items()}}
    found = farthest([Row("a", "quartet", pieces={OURS: figures})], people())
    assert found
    assert all(row["distance"] == 0 for row in found)


def test_the_page_says_all_and_only_its_end_differs(rows: list[Row]) -> None:
    figures = _figures(rows)
    pages = [
        markdown(figures, command="c", versions={"v": "1"}, timings=timings(rows, seconds, 2))
        for seconds in (9.0, 99.0)
    ]
    ends = [page.partition("## Time") for page in pages]
    assert ends[0][0] == ends[1][0]
    assert ends[0][2] != ends[1][2]
    assert "| wishes kept | 1.000 |" in pages[0]
    assert "nan" not in pages[0]
    assert all(line.count("|") == 4 for line in pages[0].split("## Time")[1].splitlines() if line.startswith("|"))
    names = [name for name, _ in flat(figures)]
    assert len(names) == len(set(names))
    assert {"plan/ours/wishes", "piece/ours/density", "performance/pianists/within"} <= set(names)


def test_two_processes_give_what_one_gives_and_files_are_written(rows: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "asked.json"
    chosen = json.loads(REQUESTS.read_text())
    path.write_text(json.dumps([chosen[i] for i in (17, 0, 12)]))
    settings = settings_of(str(tmp_path / "out"), workers=2, logger={"kind": "csv", "project": "p"})
    settings["task"] |= {"requests": str(path), "count": None, "page": str(tmp_path / "docs" / "results.md")}
    text = evaluate(settings, build, LENT)
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    here = [row.to_json() for row in rows]
    for row in here:
        for stage in ("plans", "pieces", "performances"):
            row[stage] = {OURS: row[stage][OURS]}
    assert found["requests"] == rounded(here)
    assert found["figures"]["plan"]["ours"]["served"] == 3.0
    assert (tmp_path / "docs" / "results.md").read_text() == (tmp_path / "out" / "results.md").read_text()
    assert f"python pipeline.py task=evaluate task.requests={path}" in text
    head, values = (tmp_path / "out" / "metrics.csv").read_text().splitlines()
    assert dict(zip(head.split(","), values.split(","), strict=True))["plan/ours/served"] == "3.0"


def test_a_layer_that_cannot_be_built_is_told_before_any_process_begins(tmp_path: Path) -> None:
    settings = settings_of(str(tmp_path / "out"), performer={"_target_": "rules", "with": {"expression": 9.0}})
    began = time.perf_counter()
    with pytest.raises(Exception, match="expression"):
        measure_all(read_requests()[:1], settings, build, LENT, workers=1, progress=False)
    assert time.perf_counter() - began < 20
    assert not (tmp_path / "out").exists()


STOPPED = """
import sys
from tests.evaluate_cases import LENT, build, settings_of
from training.system import evaluate
if __name__ == "__main__":
    settings = settings_of(sys.argv[1], composer={"_target_": "block", "with": {"seconds": 30.0}}, workers=2)
    settings["task"]["progress"] = True
    try:
        evaluate(settings, build, LENT)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def _gone(group: int) -> bool:
    """Whether no process of a group is left; the last ones may take a moment."""
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.2)
    return False


def test_ctrl_c_ends_all_processes_and_leaves_no_file(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(STOPPED)
    command = [sys.executable, str(script), str(tmp_path / "out")]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stderr is not None
    said = ""
    while "requests" not in said:
        letter = run.stderr.read(1)
        assert letter, said
        said += letter
    time.sleep(1.0)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of them
    began = time.perf_counter()
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 130, said
    assert time.perf_counter() - began < 20
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
    assert _gone(run.pid)


def test_peoples_figures_ship() -> None:
    assert set(people()["pieces"]["sets"]) == set(people()["plans"]["sets"]) - {"all"} == {"piano", "quartet", "satb"}
    assert all("python -m benchmarks.reference" in part["command"] for part in (*people().values(), pianists()))
    assert len(people_judged()) > 200
    assert all(piece.windows.shape[1] == len(feature_names()) and not piece.ours for piece in people_judged())
    low, high = pianists()["band"]["velocity"]
    assert 0 < low < pianists()["spread"]["velocity"] < high


def test_windows_of_other_features_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "windows.npz"
    names = np.frombuffer(json.dumps({"kinds": ["satb 4/4"], "features": ["one"]}).encode(), dtype=np.uint8)
    np.savez(path, windows=np.zeros((2, 1), np.float16), sizes=np.array([2]), names=names)
    with pytest.raises(FileError, match=r"windows\.npz"):
        people_judged(path)


def test_half_precision_is_what_people_have(rows: list[Row]) -> None:
    piece = rows[0].judged[OURS]
    assert np.array_equal(as_kept(piece).windows, piece.windows)
