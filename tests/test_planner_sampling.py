"""The learned planner: the contract of every planner, and what is its own; with the weights that ship."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import accumulate, combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from music.errors import RequestError, WeightsError
from music.pitch import ALL_KEYS, Key
from music.plan import Plan, Section, Theme
from music.plan_json import plan_to_json, write_plan
from music.time import Meter
from planner.interface import PlanRequest
from planner.request import parse_request
from planner.sampling import SHIPPED, LearnedPlanner
from planner.theme_likeness import ALIKE, theme_similarity
from tests.contract_planner import PlannerContract, closes, moved_chords, tune
from training.weight_files import write_file

ROOT = Path(__file__).parent.parent
WEIGHTS = SHIPPED
pytestmark = pytest.mark.skipif(
    not WEIGHTS.exists(), reason="planner/weights/planner.safetensors is missing: task=train_planner makes it"
)


@pytest.fixture(scope="session")
def learned() -> LearnedPlanner:
    return LearnedPlanner(WEIGHTS)


@pytest.fixture(scope="session")
def free_plans(learned: LearnedPlanner) -> list[Plan]:
    """Sixty plans of which nothing is asked but a style."""
    styles = ("mozart_piano", "bach_chorale", "beethoven_piano", "haydn_quartet", None, "chopin_piano")
    return [learned.plan(PlanRequest(style=styles[seed % 6]), seed=seed) for seed in range(60)]


class TestContract(PlannerContract):
    requests = 40

    @pytest.fixture
    def planner(self, learned: LearnedPlanner) -> LearnedPlanner:
        return learned


def test_the_same_plan_in_another_process(learned: LearnedPlanner) -> None:
    code = (
        "import json, sys; from pathlib import Path; from planner.sampling import LearnedPlanner\n"
        "from planner.interface import PlanRequest; from music.plan_json import plan_to_json, write_plan\n"
        "planner = LearnedPlanner(Path(sys.argv[1]))\n"
        "print(json.dumps([plan_to_json(planner.plan(PlanRequest('ABAC'), seed=s)) for s in (5, 6)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(WEIGHTS)], cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )
    here = [plan_to_json(learned.plan(PlanRequest("ABAC"), seed=seed)) for seed in (5, 6)]
    assert json.loads(done.stdout) == json.loads(json.dumps(here))


def test_plans_do_not_wait_for_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from planner.sampling import LearnedPlanner\n"
        "from planner.interface import PlanRequest\n"
        "LearnedPlanner(Path(sys.argv[1])).plan(PlanRequest('ABA', bars=16), seed=0)\n"
        "print([name for name in ('torch', 'pytorch_lightning', 'lightning_fabric', 'hydra') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(WEIGHTS)], cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("key", ALL_KEYS, ids=str)
def test_every_home(key: Key, learned: LearnedPlanner) -> None:
    plan = learned.plan(PlanRequest("ABA", key, bars=20), seed=3)
    assert plan.key == plan.sections[0].key == plan.sections[-1].key == key
    for section in plan.sections:
        closes(section, plan.meter)


@pytest.mark.parametrize("meter", ["2/4", "3/4", "4/4", "6/8", "9/8"])
def test_meters(meter: str, learned: LearnedPlanner) -> None:
    asked = Meter.parse(meter)
    for seed in range(3):
        plan = learned.plan(PlanRequest("AB", meter=asked, bars=16), seed=seed)
        assert plan.meter == asked
        for section in plan.sections:
            closes(section, asked)
            if section.cadence in ("PAC", "IAC", "DC"):  # the closing chord begins on a beat
                assert section.chords[-1].onset_div % asked.beat_div == 0
        assert all(n.onset_div >= -plan.pickup_div for n in plan.themes[0].notes)


def literal_returns(plan: Plan) -> list[tuple[Section, Section]]:
    """Sections of the same label and length as their model, with it."""
    found = [(s, plan.sections[s.source]) for s in plan.sections if s.source is not None]
    return [(s, model) for s, model in found if (s.label, s.bars) == (model.label, model.bars)]


def test_literal_returns_are_literal(learned: LearnedPlanner, free_plans: list[Plan]) -> None:
    moved, pairs = 0, []
    for seed in range(6):
        pairs += literal_returns(learned.plan(PlanRequest("A8 B8:V A8 B8:I A8:IV/HC"), seed=seed))
    for plan in free_plans:
        pairs += literal_returns(plan)
    assert len(pairs) > 30
    for section, model in pairs:
        assert section.variation == 0
        assert [(p.bars, p.idea) for p in section.phrases] == [(p.bars, p.idea) for p in model.phrases]
        assert section.density == model.density
        assert section.texture == model.texture
        if section.key.minor != model.key.minor:
            continue
        shift, closing = section.key.pc - model.key.pc, section.cadence != model.cadence
        wanted, found = moved_chords(model, shift), moved_chords(section, 0)
        moved += bool(shift)
        if closing:  # all but the last phrase, whose border may cut a chord that sounded on
            count = sum(c[0] + c[1] <= _last_phrase(model) for c in wanted)
            assert found[:count] == wanted[:count]
        else:
            assert found == wanted
    assert moved >= 6


def _last_phrase(section: Section) -> int:
    """Where it begins, if all chords divide evenly among the bars."""
    end = section.chords[-1].onset_div + section.chords[-1].duration_div
    return end * (section.bars - section.phrases[-1].bars) // section.bars


def in_chords(theme: Theme, section: Section) -> float:
    """Of a theme's notes, how many lie in the chord that sounds at their onset."""
    fits = []
    for note in theme.notes:
        if note.onset_div >= 0:
            chord = next(c for c in reversed(section.chords) if c.onset_div <= note.onset_div)
            fits.append(note.pitch % 12 in chord.pcs)
    return float(np.mean(fits))


def test_a_given_theme_is_kept_and_carried(learned: LearnedPlanner) -> None:
    """Its notes move to the key that is asked for; chords under it fit it better than those drawn without it."""
    theme, home, with_theme, without = tune("D", Meter(3, 4)), Key.parse("F"), [], []
    for seed in range(12):
        asked = {"form": "ABA", "key": home, "meter": Meter(3, 4), "bars": 24}
        plan = learned.plan(PlanRequest(**asked, theme=theme), seed=seed)
        found = plan.theme_of("A")
        assert found is not None
        assert (found.key, found.bars, plan.key) == (home, theme.bars, home)
        assert len({a.pitch - b.pitch for a, b in zip(found.notes, theme.notes, strict=True)}) == 1
        assert (found.notes[0].pitch - theme.notes[0].pitch) % 12 == 3
        assert [n.onset_div for n in found.notes] == [n.onset_div for n in theme.notes]
        assert plan.pickup_div == -theme.notes[0].onset_div
        closes(plan.sections[0], plan.meter)
        with_theme.append(in_chords(found, plan.sections[0]))
        without.append(in_chords(found, learned.plan(PlanRequest(**asked), seed=seed).sections[0]))
    assert np.mean(with_theme) > np.mean(without) + 0.1


def test_a_plan_is_a_file_of_wishes_that_is_kept(
    learned: LearnedPlanner, free_plans: list[Plan], tmp_path: Path
) -> None:
    """What the planner wrote it takes back and keeps to the last field, whatever the seed."""
    path = tmp_path / "plan.json"
    plans = [*free_plans[:4], learned.plan(PlanRequest("AA'BA", bars=24), seed=7)]
    assert sum(_sounds_over_a_phrase_end(s, plan.meter) for plan in plans for s in plan.sections) > 2
    for seed, plan in enumerate(plans):
        write_plan(plan, path)
        assert learned.plan(parse_request(wishes=path), seed=seed) == plan


def _sounds_over_a_phrase_end(section: Section, meter: Meter) -> bool:
    ends = {end * meter.bar_div for end in accumulate(phrase.bars for phrase in section.phrases)}
    return any(c.onset_div < end < c.onset_div + c.duration_div for c in section.chords for end in ends)


def test_free_plans_leave_home_and_come_back(free_plans: list[Plan]) -> None:
    for plan in free_plans:
        assert plan.sections[0].key == plan.key == plan.sections[-1].key
        assert plan.sections[-1].cadence in ("PAC", "IAC")
        for section in plan.sections:
            closes(section, plan.meter)
    away = [any(s.key != p.key for s in p.sections) for p in free_plans if len(p.sections) > 3]
    assert np.mean(away) > 0.5
    assert len({p.letters for p in free_plans}) > 30
    assert len({(p.key, p.meter) for p in free_plans}) > 30


def test_no_two_themes_of_a_plan_are_alike(free_plans: list[Plan]) -> None:
    pairs = [(p, a, b) for p in free_plans for a, b in combinations(p.themes, 2)]
    assert len(pairs) > 100
    assert ALIKE == 0.6
    for plan, a, b in pairs:
        assert theme_similarity(a, b, plan.meter) < ALIKE, f"{plan}: {a.label} and {b.label}"


def test_temperature(learned: LearnedPlanner) -> None:
    """Cool plans are like one another; hot ones still keep what is asked for."""

    def letters(heat: float) -> int:
        planner = LearnedPlanner(WEIGHTS, heat)
        plans = [planner.plan(PlanRequest(style="mozart_piano", bars=16), seed=seed) for seed in range(8)]
        assert {plan.bars for plan in plans} == {16}
        return len({(plan.letters, plan.key, plan.meter) for plan in plans})

    assert letters(0.15) < letters(2.0)
    for heat in (0.0, -1.0, float("nan")):
        with pytest.raises(RequestError, match="is not above 0"):
            LearnedPlanner(WEIGHTS, heat)


class TestWeights:
    def altered(
        self,
        folder: Path,
        about: Callable[[dict[str, Any]], object] = lambda _: None,
        tensors: Callable[[dict[str, np.ndarray]], object] = lambda _: None,
    ) -> Path:
        """A copy of the weights with changes, whose checksum is right again."""
        import hashlib

        values, words = load(WEIGHTS.read_bytes()), json.loads(WEIGHTS.with_suffix(".json").read_text("utf-8"))
        about(words)
        tensors(values)
        data = save(values)
        path = folder / "other.safetensors"
        write_file(path, data)
        words |= {"sha256": hashlib.sha256(data).hexdigest()}
        path.with_suffix(".json").write_text(json.dumps(words), encoding="utf-8")
        return path

    def refused(self, path: Path, words: str) -> None:
        with pytest.raises(WeightsError, match=words) as caught:
            LearnedPlanner(path)
        assert path.stem in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_an_unaltered_copy_plans_alike(self, tmp_path: Path, learned: LearnedPlanner) -> None:
        plan = LearnedPlanner(self.altered(tmp_path)).plan(PlanRequest("AB"), seed=2)
        assert plan == learned.plan(PlanRequest("AB"), seed=2)

    def test_missing(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "nowhere.safetensors", "is missing")

    def test_damaged(self, tmp_path: Path) -> None:
        path = self.altered(tmp_path)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
        self.refused(path, "checksums differ")

    def test_of_another_kind(self, tmp_path: Path) -> None:
        self.refused(self.altered(tmp_path, lambda a: a.update(kind="composer/biaxial")), "kind composer/biaxial")
        self.refused(self.altered(tmp_path, lambda a: a.pop("streams")), "cannot plan")

    def test_without_a_stream(self, tmp_path: Path) -> None:
        self.refused(self.altered(tmp_path, lambda a: a["streams"].pop("theme")), "stream theme")

    def test_of_other_columns(self, tmp_path: Path) -> None:
        self.refused(
            self.altered(tmp_path, lambda a: a["streams"]["form"]["columns"].pop()),
            "another version of the stream form",
        )

    def test_of_a_network_that_is_not_sampled_from(self, tmp_path: Path) -> None:
        self.refused(self.altered(tmp_path, lambda a: a["streams"]["theme"].update(kind="transformer")), "theme")

    @pytest.mark.parametrize("name", ["form.table.weight", "harmony.out.bias", "tables.harmony.symbols"])
    def test_of_missing_tensors(self, tmp_path: Path, name: str) -> None:
        self.refused(self.altered(tmp_path, tensors=lambda t: t.pop(name)), "lacks|does not")

    def test_of_another_size(self, tmp_path: Path) -> None:
        self.refused(self.altered(tmp_path, lambda a: a["streams"]["form"].update(units=7)), "form")

    def test_without_styles(self, tmp_path: Path) -> None:
        self.refused(self.altered(tmp_path, lambda a: a.pop("styles")), "styles")
