"""The learned planner: form, chords and themes drawn from its networks, under whatever is asked for.

Level by level, each given what stands above it: the form's walk settles head and sections, a walk for each section its
chords, a walk for each letter its theme. What is asked for is kept by look-ahead (`planner.form_ahead`,
`planner.harmony_ahead`, `planner.theme_ahead`), not by trying again. Literal returns take phrases and chords from their
model. Torch is not needed: weights are read as arrays (`planner.stepper`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from music.errors import RequestError, WeightsError
from music.plan import TEMPO_RANGE, Chord, Plan, Section, Theme
from planner import form_columns, form_lengths, harmony_ahead, harmony_stream, theme_ahead, theme_stream
from planner.chord_factors import ChordFactors, WithChordFactors
from planner.dice import Dice
from planner.drawing import Limits, draw
from planner.evidence import WithMelody
from planner.finish import finished
from planner.form_ahead import FormLimits
from planner.form_factors import FormFactors, WithFactors
from planner.form_lengths import Lengths
from planner.form_stream import FormDraw, SectionDraw, drawn, indices
from planner.form_walker import FormWalker
from planner.grammar import theme_in_key
from planner.harmony_ahead import HarmonyLimits, HarmonyTables
from planner.harmony_stream import HarmonyScene, HarmonyWalker
from planner.harmony_symbols import chords_of, with_fixed
from planner.interface import PlanRequest
from planner.links import with_links
from planner.network_config import StreamConfig
from planner.read_wishes import read
from planner.stepper import Stepper
from planner.streams import Stream
from planner.styles import STYLES
from planner.tables import index_of, tables_of
from planner.textures import with_textures
from planner.theme_draw import draw_theme
from planner.theme_scene import UNIT_DIV
from planner.theme_scene import scene_of as theme_scene_of
from planner.themes import RANGES
from planner.titles import make_title
from planner.wishes import SectionWish, Wishes, fixed_chords
from training.weight_files import load_arrays

KIND = "planner/streams"
SHIPPED = Path(__file__).parent / "weights" / "planner.safetensors"
_TABLES = {
    "form": form_lengths.uniform_tables,
    "harmony": harmony_ahead.uniform_tables,
    "theme": theme_ahead.uniform_tables,
}
_ON_BAR = 0.45  # of authentic closes, beside those that begin a bar by themselves
_TRIPLETS = 0.08  # of plans whose themes move in triplets
_THEME_HEAT = 0.9  # of the planner's temperature: what is drawn a little cooler keeps more of its own rhythm
_LEAST_VARIATION = 1 / (form_columns.VARIATIONS - 1)
_STREAMS: dict[str, Stream] = {
    "form": form_columns.STREAM,
    "harmony": harmony_stream.STREAM,
    "theme": theme_stream.STREAM,
}


class LearnedPlanner:
    """Draws plans from networks trained on real pieces; see the module. One object serves any number of plans.

    Args:
        weights: a file of `task=train_planner`; None: the one that ships.
        temperature: above 0; 1 is as learned, less more usual, more bolder.

    Raises:
        WeightsError: missing, damaged, or made for other streams.
        RequestError: a temperature that is not above 0 and finite.

    Attributes:
        form_factors, chord_factors: what draws are weighed by beside the networks (`planner.calibrate`); None: nothing.
    """

    def __init__(self, weights: Path | None = None, temperature: float = 1.0) -> None:
        if not 0 < temperature < inf:
            raise RequestError(f"temperature={temperature:g} is not above 0 and finite")
        path = Path(weights or SHIPPED)
        tensors, self.about = load_arrays(path, "planner_weights")
        _check(path, self.about, tensors)
        self.temperature = temperature
        self.styles: tuple[str, ...] = tuple(self.about["styles"])
        self._steppers = {
            name: Stepper(
                StreamConfig.from_dict(self.about["streams"][name]),
                {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")},
            )
            for name in _STREAMS
        }
        self._lengths = Lengths(tables_of(tensors, "form"))
        self._harmony = HarmonyTables(tables_of(tensors, "harmony"))
        self._theme_tables = tables_of(tensors, "theme")
        self._index = index_of(tensors)
        factors = tables_of(tensors, "factors")
        self.form_factors = FormFactors.of_tables(factors)
        self.chord_factors = ChordFactors.of_tables(factors)

    def plan(self, request: PlanRequest, *, seed: int) -> Plan:
        """Makes a plan; the same request and seed give the same plan.

        Raises:
            RequestError: a wish that is not understood, or two that contradict each other, both named.
        """
        dice = Dice(seed)
        wishes = _with_usual_tempo(read(request, seed=seed))
        plan, asked, given = self._harmonised(wishes, dice)
        plan = self._with_themes(plan, wishes, asked, given, dice)
        return with_links(_with_wished_textures(with_textures(plan, dice), asked), asked, dice, given)

    def form(self, request: PlanRequest, *, seed: int) -> FormDraw:
        """The form alone of the plan that `plan` makes: much quicker, to compare many with people's.

        Raises:
            RequestError: as `plan`.
        """
        return self._form(_with_usual_tempo(read(request, seed=seed)), Dice(seed))

    def harmonised(self, request: PlanRequest, *, seed: int) -> Plan:
        """The plan that `plan` makes as far as its chords: no themes, textures or links.

        Raises:
            RequestError: as `plan`.
        """
        return self._harmonised(_with_usual_tempo(read(request, seed=seed)), Dice(seed))[0]

    def _harmonised(self, wishes: Wishes, dice: Dice) -> tuple[Plan, tuple[SectionWish, ...], dict[str, Theme]]:
        """The plan as far as its chords, what is asked of its sections, and the themes that are given."""
        form = self._form(wishes, dice)
        assert form.key is not None
        asked = wishes.sections(form.key) if wishes.sections else (SectionWish(),) * len(form.sections)
        plan = _bare(form, wishes, asked, dice)
        given = _given(wishes, plan, asked)
        return self._with_chords(plan, asked, given, dice), asked, given

    def _draw(self, stream: str, walker: Any, limits: Limits, rng: Any) -> list[int]:
        heat = self.temperature * (_THEME_HEAT if stream == "theme" else 1.0)
        return draw(self._steppers[stream], walker, limits, rng, heat)

    def _form(self, wishes: Wishes, dice: Dice) -> FormDraw:
        count = self._count(wishes, dice)
        limits = FormLimits(wishes, self._lengths, sections=count)
        walker = FormWalker(
            *indices(wishes.style, wishes.ensemble, self.styles),
            bars_total=limits.bars_total,
            sections_total=limits.sections_total,
        )
        weighed: Limits = limits
        if self.form_factors is not None and count is not None:
            weighed = WithFactors(limits, self.form_factors, count)
        self._draw("form", walker, weighed, dice.stream("form"))
        form = limits.settle(drawn(walker, wishes.style, wishes.ensemble))
        assert form.key is not None
        asked = wishes.sections(form.key) if wishes.sections else ()
        free = [not (w.phrases or w.chords or w.figures) for w in asked] or [True] * len(form.sections)
        return replace(form, sections=_with_literal_returns(form.sections, free))

    def _count(self, wishes: Wishes, dice: Dice) -> int | None:
        """How many sections a plan has of which neither form nor length is asked for; None otherwise.

        It is drawn first, as real pieces of the style have it: whether a section is the last one decides its key and
        its close, so it must be known when they are drawn.
        """
        if wishes.sections is not None or wishes.bars is not None:
            return None
        style = 1 + self.styles.index(wishes.style) if wishes.style in self.styles else 0
        chances = self._lengths.section_counts(style)
        return int(dice.stream("sections").choice(len(chances), p=chances))

    def _with_chords(self, plan: Plan, asked: tuple[SectionWish, ...], given: dict[str, Theme], dice: Dice) -> Plan:
        """The plan with chords, section by section."""
        drawn = list(plan.sections)
        for index, (section, wish) in enumerate(zip(plan.sections, asked, strict=True)):
            scene = harmony_stream.scene_of(plan, index, self.styles, sections=drawn)
            fixed = fixed_chords(wish, section.key, plan.meter)
            model = drawn[section.source] if section.source is not None else None
            chords = _copied(section, model, scene) if not fixed else None
            if chords is None:
                kept = fixed or _kept_head(section, model, scene)
                limits = self._harmony_limits(plan, scene, kept, given.get(wish.theme or section.letter), dice)
                first = next(i for i, s in enumerate(plan.sections) if s.label == section.label)
                name = f"harmony {section.label}" if index == first else f"harmony {section.label} {index}"
                values = self._draw("harmony", HarmonyWalker(scene), limits, dice.stream(name))
                chords = harmony_stream.decode(values, scene)
                chords = with_fixed(chords, fixed, section.key) if fixed else chords
            drawn[index] = replace(section, chords=chords)
        return replace(plan, sections=tuple(drawn))

    def _harmony_limits(
        self, plan: Plan, scene: HarmonyScene, kept: tuple[Chord, ...], theme: Theme | None, dice: Dice
    ) -> Limits:
        on_bar = _closing_on_bars(scene, plan.ensemble, dice)
        limits: Limits = HarmonyLimits(scene, kept, self._harmony, on_bar)
        if self.chord_factors is not None:
            limits = WithChordFactors(limits, self.chord_factors, scene.style)
        return limits if theme is None else WithMelody(limits, theme, scene.key, plan.meter)

    def _with_themes(
        self, plan: Plan, wishes: Wishes, asked: tuple[SectionWish, ...], given: dict[str, Theme], dice: Dice
    ) -> Plan:
        """The plan with a theme for each letter that is heard with one."""
        heard = [wish.theme or section.letter for section, wish in zip(plan.sections, asked, strict=True)]
        own = {section.letter for section in plan.sections}
        letters = [name for name in dict.fromkeys(heard) if name in own or name in given]
        grid = _theme_grid(plan, given, dice)
        for letter in letters:
            theme = given.get(letter) or self._theme(plan, letter, grid, dice)
            plan = replace(plan, themes=(*plan.themes, theme))
        sections = tuple(
            replace(section, theme=name if name in letters else None)
            for section, name in zip(plan.sections, heard, strict=True)
        )
        first = plan.theme_of(heard[0])
        upbeat = max(0, -first.notes[0].onset_div) if first else 0
        pickup = plan.pickup_div if wishes.pickup_div is not None else upbeat
        return replace(plan, sections=sections, pickup_div=pickup)

    def _theme(self, plan: Plan, letter: str, grid: int, dice: Dice) -> Theme:
        return draw_theme(
            partial(self._draw, "theme"),
            theme_scene_of(plan, letter, self.styles),
            plan.themes,
            dice.stream(f"theme {letter}"),
            span=RANGES[plan.ensemble][:2],
            tables=self._theme_tables,
            index=self._index,
            grid=grid,
        )


def _check(path: Path, about: dict[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Whether weights are of this planner, for the streams as they are, and whole.

    Raises:
        WeightsError: they are not.
    """
    if about.get("kind") != KIND or not isinstance(about.get("streams"), dict):
        raise WeightsError(path, f"holds weights of kind {about.get('kind')}, which cannot plan; wanted: {KIND}")
    if not isinstance(about.get("styles"), list):
        raise WeightsError(path, "does not say which styles it knows")
    for name, stream in _STREAMS.items():
        try:
            config = StreamConfig.from_dict(about["streams"][name])
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(path, f"does not describe a network for the stream {name} ({error})") from None
        wanted = StreamConfig.of(stream)
        if (config.columns, config.fields) != (wanted.columns, wanted.fields):
            raise WeightsError(path, f"is for another version of the stream {name}; train it anew")
        if (config.kind, config.layers) != ("lstm", 1):
            raise WeightsError(path, f"has a {config.kind} of {config.layers} layers for the stream {name}; "
                               "only an LSTM of one is sampled from")  # fmt: skip
        for tensor, shape in config.shapes.items():
            if f"{name}.{tensor}" not in tensors:
                raise WeightsError(path, f"lacks {name}.{tensor}")
            if tensors[f"{name}.{tensor}"].shape != shape:
                raise WeightsError(path, f"does not fit its JSON: {name}.{tensor} is not {shape}")
        for table in _TABLES[name]():
            if f"tables.{name}.{table}" not in tensors:
                raise WeightsError(path, f"lacks tables.{name}.{table}")


def _with_usual_tempo(wishes: Wishes) -> Wishes:
    """A choir's tempo is its style's where none is asked for: no score of a chorale says any to learn from."""
    if wishes.tempo is not None or wishes.ensemble != "satb":
        return wishes
    return replace(wishes, tempo=STYLES[wishes.style].tempo)


def _with_literal_returns(sections: tuple[SectionDraw, ...], free: Sequence[bool]) -> tuple[SectionDraw, ...]:
    """Sections of the same label and length have the same phrases; only the last cadence may be another.

    Args:
        free: of each section, whether neither its phrases nor chords are asked for.
    """
    found: list[SectionDraw] = []
    for section, is_free in zip(sections, free, strict=True):
        model = found[section.source] if section.source is not None and is_free else None
        if model is not None and (model.label, model.bars) == (section.label, section.bars):
            last = replace(model.phrases[-1], cadence=section.phrases[-1].cadence)
            section = replace(
                section,
                phrases=(*model.phrases[:-1], last),
                density=model.density,
                register=model.register,
                dynamic=model.dynamic,
                variation=0.0,
            )
        elif model is not None and model.label != section.label and not section.variation:
            section = replace(section, variation=_LEAST_VARIATION)
        found.append(section)
    return tuple(found)


def _bare(form: FormDraw, wishes: Wishes, asked: tuple[SectionWish, ...], dice: Dice) -> Plan:
    """The plan without chords and themes."""
    assert form.key is not None
    assert form.meter is not None
    assert form.tempo_qpm is not None
    tempo = form.tempo_qpm
    if wishes.tempo is None or wishes.tempo[0] < wishes.tempo[1]:
        within = form_columns.TEMPO_STEP ** dice.stream("tempo").uniform(-0.5, 0.5)
        low, high = wishes.tempo or TEMPO_RANGE
        tempo = float(round(min(max(tempo * within, low), high)))
    title = wishes.title or make_title(
        [s.label for s in form.sections], form.key, form.meter, tempo, wishes.style, wishes.form
    )
    sections = [_section(section, wish, dice) for section, wish in zip(form.sections, asked, strict=True)]
    return Plan(
        title=title,
        style=wishes.style,
        ensemble=wishes.ensemble,
        key=form.key,
        meter=form.meter,
        pickup_div=form.pickup_div or 0,
        tempo_qpm=tempo,
        sections=tuple(finished(sections, asked, wishes.style, dice)),
    )


def _section(section: SectionDraw, wish: SectionWish, dice: Dice) -> Section:
    """The section as wished and drawn; numbers lie anywhere in their bins, sections of one label at the same place."""
    assert section.key is not None
    place = dice.stream(f"within bins {section.label}").uniform(-0.5, 0.5, 2).tolist()
    density, register = section.density, section.register
    if density is not None:
        density = round(density * form_columns.DENSITY_STEP ** place[0], 2)
    if register is not None:
        register = round(register + form_columns.REGISTER_STEP * place[1], 1)
    variation = None if section.source is None else section.variation
    return Section(
        label=section.label,
        bars=section.bars,
        key=section.key,
        phrases=wish.phrases or section.phrases,
        source=section.source,
        variation=variation if wish.variation is None else wish.variation,
        density=density if wish.density is None else wish.density,
        register=register if wish.register is None else wish.register,
        dynamic=wish.dynamic or section.dynamic,
        tempo_scale=1.0 if wish.tempo_scale is None else wish.tempo_scale,
    )


def _given(wishes: Wishes, plan: Plan, asked: tuple[SectionWish, ...]) -> dict[str, Theme]:
    """Given themes by letter, each in the key of the first section that it is heard in."""
    found = {}
    for theme in wishes.themes:
        for section, wish in zip(plan.sections, asked, strict=True):
            if (wish.theme or section.letter) == theme.label:
                found[theme.label] = theme_in_key(theme, section.key, RANGES[plan.ensemble][:2])
                break
    return found


def _theme_grid(plan: Plan, given: dict[str, Theme], dice: Dice) -> int:
    """Units of the themes' grid: sixteenths, or triplets of them where given themes or the upbeat are; else seldom."""
    onsets = [note.onset_div // UNIT_DIV for theme in given.values() for note in theme.notes]
    onsets.append(plan.pickup_div // UNIT_DIV)
    if any(o % 6 for o in onsets) and not any(o % 4 for o in onsets):
        return 4
    if given:
        return 6
    simple = plan.ensemble != "satb" and not plan.meter.is_compound
    return 4 if simple and dice.stream("grid").random() < _TRIPLETS else 6


def _closing_on_bars(scene: HarmonyScene, ensemble: str, dice: Dice) -> frozenset[int]:
    """Phrases whose closing tonic is to begin a bar, as six in ten do in people's quartets and piano pieces.

    The network alone, taught by phrase ends that analysis rounds to bars, does so in one of three.
    """
    authentic = [i for i, cadence in enumerate(scene.cadences) if cadence in ("PAC", "IAC")]
    if ensemble == "satb" or not authentic:
        return frozenset()
    drawn = dice.stream(f"closes {scene.label}").random(len(scene.cadences)) < _ON_BAR
    return frozenset(i for i in authentic if drawn[i])


def _same_shape(section: Section, model: Section) -> bool:
    """Whether two sections of one label have the same phrases, save for how the last one closes."""
    ours, theirs = ([(p.bars, p.cadence) for p in s.phrases] for s in (section, model))
    return section.label == model.label and (ours[:-1], ours[-1][0]) == (theirs[:-1], theirs[-1][0])


def _copied(section: Section, model: Section | None, scene: HarmonyScene) -> tuple[Chord, ...] | None:
    """A literal return's chords: its model's in its own key; None where it is none or closes in another way."""
    if model is None or not _same_shape(section, model) or section.cadence != model.cadence:
        return None
    if (section.key, section.key.minor) == (model.key, model.key.minor):
        return model.chords
    return chords_of(scene.model, section.key, scene.unit) if section.key.minor == model.key.minor else None


def _kept_head(section: Section, model: Section | None, scene: HarmonyScene) -> tuple[Chord, ...]:
    """Of a literal return that closes in another way: its model's chords up to the last phrase."""
    if model is None or not _same_shape(section, model) or section.key.minor != model.key.minor:
        return ()
    border = scene.ends[-2] * scene.unit if len(scene.ends) > 1 else 0
    chords = chords_of(scene.model, section.key, scene.unit)
    inside = (c for c in chords if c.onset_div < border)
    return tuple(replace(c, duration_div=min(c.duration_div, border - c.onset_div)) for c in inside)


def _with_wished_textures(plan: Plan, asked: tuple[SectionWish, ...]) -> Plan:
    if not any(wish.textures for wish in asked):
        return plan
    sections = (
        replace(section, textures=wish.textures) if wish.textures else section
        for section, wish in zip(plan.sections, asked, strict=True)
    )
    return replace(plan, sections=tuple(sections))
