"""The house rules that a machine can check: import direction, file length, documented public names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("conf", "music", "evaluation", "training", "planner", "composer", "performer", "render")
# What each room may import of the others.
MAY_IMPORT = {
    "conf": {"music"},
    "music": set(),
    "evaluation": {"music"},
    "training": {"music", "evaluation"},
    "planner": {"music", "evaluation", "training"},
    "composer": {"music", "evaluation", "training"},
    "performer": {"music", "evaluation", "training"},
    "render": {"music"},
}
# Libraries that may be imported in these places only.
ONLY_IN = {
    "music21": ("music/musicxml.py", "music/corpus.py", "music/analysis/"),
    "symusic": (),  # a second opinion for the tests
    "mido": ("music/midi.py",),
    "hydra": ("pipeline.py",),
    "omegaconf": ("pipeline.py",),
}
FREE_OF = {
    "conf": {"torch", "pytorch_lightning", "hydra"},
    "music": {"torch", "pytorch_lightning", "hydra"},
    "evaluation": {"torch", "pytorch_lightning", "hydra"},
    "render": {"torch", "pytorch_lightning", "hydra"},
}
MAX_LINES = 500
FILES = sorted([ROOT / "pipeline.py", *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))])


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return {name.split(".")[0] for name in found}


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_run_one_way(path: Path) -> None:
    name = _name(path)
    imported = _imports(path)
    room = name.split("/")[0]
    if room in ROOMS:
        others = imported & set(ROOMS) - {room}
        assert others <= MAY_IMPORT[room], f"{name} imports {others - MAY_IMPORT[room]}"
        assert "pipeline" not in imported
        assert not imported & FREE_OF.get(room, set()), f"{name} imports {imported & FREE_OF[room]}"
    for library, places in ONLY_IN.items():
        assert library not in imported or name.startswith(places), f"{library} is imported in {name}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/**/*.py")) + FILES, ids=_name)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_public_names_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = [] if ast.get_docstring(tree) or not tree.body else ["the module"]
    defs = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, defs) and not node.name.startswith("_"):
            missing += [] if ast.get_docstring(node) else [node.name]
            if isinstance(node, ast.ClassDef):
                members = [m for m in node.body if isinstance(m, defs) and not m.name.startswith("_")]
                missing += [f"{node.name}.{m.name}" for m in members if not ast.get_docstring(m)]
    assert not missing, f"{_name(path)}: without docstring: {missing}"


def test_pipeline_is_thin() -> None:
    assert len((ROOT / "pipeline.py").read_text(encoding="utf-8").splitlines()) < 200


def _compiled(path: Path) -> bool:
    return "@njit(" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [p for p in FILES if _compiled(p)], ids=_name)
def test_compiled_code_of_other_files_is_compiled_anew_when_they_change(path: Path) -> None:
    """Numba's cache looks at one file; what it inlines from another must stand in `_SOURCES`, which are hashed."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = [n.module.split(".") for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
    files = [ROOT.joinpath(*parts).with_suffix(".py") for parts in modules]
    needed = {file.name for file in files if file.exists() and _compiled(file)}
    named = [n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "_SOURCES"]
    assert needed <= set(ast.literal_eval(named[0].value) if named else ())
