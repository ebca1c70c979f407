"""The plan of a piece, wherever it comes from: a request, a file, or notes that the user brings along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from music.analysis.chords import analyse_harmony
from music.analysis.phrases import fermata_ends
from music.analysis.plans import plan_of_score, section_chords
from music.errors import FileError, PlanError, RequestError
from music.files import read_score
from music.passage import Passage, read_passage
from music.pitch import Key
from music.plan import BarTexture, Chord, Plan, PlanNote, Section
from music.plan_json import read_plan
from music.score import Direction, KeyChange, MeterChange, Note, Part, Score, regular_bars
from music.time import DIVS_PER_QUARTER, Meter
from planner.dice import Dice
from planner.forms import MIN_SECTION_BARS
from planner.harmonise import harmonise
from planner.interface import Planner, PlanRequest
from planner.request import known_meter, parse_request, read_form
from planner.styles import STYLE_OF_ENSEMBLE
from planner.textures import with_textures

WISHES = ("form", "key", "meter", "bars", "tempo", "style", "ensemble", "theme", "title")
PART_WISHES = ("section_bars", "keys", "cadences", "dynamics", "chords", "wishes")
THEME_BARS = 4
# A signature's neighbours on the circle of fifths: what a melody's section may be in.
_NEAR = 1


def make_plan(planner: Planner, settings: Mapping[str, Any], *, seed: int) -> Plan:
    """The plan that the settings ask for.

    Args:
        planner: asked where no file holds the whole plan.
        settings: values of `WISHES` and `PART_WISHES`, and `plan_file`, `melody`, `opening`, `score_file`,
            `bars_to_fill`, `redo` and `variation`; None or left out is none asked for.
        seed: of all chance.

    Raises:
        RequestError: a wish that is not understood, or two that contradict each other, both named.
        FileError, MidiError, MusicXmlError, PlanError: a file that cannot be used.
    """
    _refuse_beside_a_file(settings)
    request = parse_request(**{wish: settings.get(wish) for wish in (*WISHES, *PART_WISHES)})
    melody, opening, plan_file = (settings.get(key) for key in ("melody", "opening", "plan_file"))
    for key, path in (("melody", melody), ("opening", opening)):
        if path is not None and settings.get("theme") is not None:
            raise RequestError(f"theme={settings['theme']} contradicts {key}={path}, whose notes are the theme")
    if plan_file is not None:
        plan = adjust(read_plan(Path(plan_file)), request, plan_file)
    elif settings.get("bars_to_fill") is not None or settings.get("redo") is not None:
        plan = plan_of_file(settings.get("score_file"), request)
    elif melody is not None:
        plan = plan_of_melody(planner, request, melody, seed=seed)
    elif opening is not None:
        plan = plan_of_opening(planner, request, opening, seed=seed)
    else:
        plan = planner.plan(request, seed=seed)
    variation = settings.get("variation")
    # What is asked of single sections stays, even where it makes a return that cannot be exact.
    return vary(plan, None if variation is None else float(variation), exact=not request.parts)


def _refuse_beside_a_file(settings: Mapping[str, Any]) -> None:
    """Wishes for single sections have no place where a file says what the sections are."""
    files = [key for key in ("plan_file", "melody", "opening", "bars_to_fill", "redo") if settings.get(key) is not None]
    for wish in PART_WISHES:
        if files and settings.get(wish) is not None:
            file = f"{files[0]}={settings[files[0]]}"
            raise RequestError(f"{wish}={settings[wish]} contradicts {file}, which says what its sections are")


def adjust(plan: Plan, request: PlanRequest, source: str, key: str = "plan_file") -> Plan:
    """A plan from a file with the title, tempo and style that were asked for.

    Args:
        plan: as read.
        request: the wishes beside it.
        source: the file's name, for messages.
        key: the setting that names the file, for messages.

    Raises:
        RequestError: a wish that what stands in the plan contradicts; both are named.
    """
    fixed = {"key": plan.key, "meter": plan.meter, "bars": plan.bars, "ensemble": plan.ensemble}
    for name, value in fixed.items():
        wish = getattr(request, name)
        if wish not in (None, value):
            raise RequestError(f"{name}={wish} contradicts {key}={source}, whose {name} is {value}")
    for name in ("form", "theme"):
        if getattr(request, name) is not None:
            raise RequestError(f"{name}= contradicts {key}={source}, which has its own {name}")
    changes = {"title": request.title, "tempo_qpm": request.tempo_qpm, "style": request.style}
    return replace(plan, **{name: value for name, value in changes.items() if value is not None})


def vary(plan: Plan, variation: float | None, *, exact: bool = True) -> Plan:
    """The plan with that variation for every section that returns: 0 exact … 1 free; None leaves it as it is.

    Args:
        exact: with 0, returns that close as their models do also take these models' phrases and chords.
    """
    if variation is None:
        return plan
    if not 0 <= variation <= 1:
        raise RequestError(f"variation={variation:g} is not a number from 0 to 1")
    sections: list[Section] = []
    for section in plan.sections:
        if section.source is None:
            sections.append(section)
            continue
        model = sections[section.source]
        varied = replace(section, variation=variation)
        sections.append(_exact(varied, model) if variation == 0 and exact else varied)
    return replace(plan, sections=tuple(sections))


def _exact(section: Section, model: Section) -> Section:
    """The section over its model's phrases and chords, in its own key, where it is as long and in the same mode."""
    if (section.bars, section.key.minor, section.cadence) != (model.bars, model.key.minor, model.cadence):
        return section
    shift = section.key.pc - model.key.pc
    chords = (replace(c, root=(c.root + shift) % 12, bass=(c.bass + shift) % 12) for c in model.chords)
    return replace(
        section, phrases=model.phrases, chords=tuple(chords), textures=section.textures if shift else model.textures
    )


def ensemble_of(score: Score) -> str:
    """Who plays a score: up to two parts a piano, more a quartet, or a choir where parts are called or sound so."""
    if len(score.parts) <= 2:
        return "piano"
    sung = any(p.name.casefold() in ("soprano", "alto", "tenor", "choir") or 52 <= p.program <= 54 for p in score.parts)
    return "satb" if sung else "quartet"


def plan_of_file(source: str | None, request: PlanRequest) -> Plan:
    """The plan read from a score, for a piece that keeps most of its notes.

    Bars that hold nothing yet are not taken for planned silence: their texture is left open.
    """
    if source is None:
        raise RequestError("bars_to_fill= and redo= need score_file=FILE.musicxml or FILE.mid")
    score = read_score(Path(source))
    ensemble = request.ensemble or ensemble_of(score)
    style = request.style or STYLE_OF_ENSEMBLE[ensemble]
    try:
        plan = plan_of_score(score, style=style, ensemble=ensemble)
    except PlanError as error:
        raise FileError(source, str(error)) from None
    sections = tuple(_without_gaps(section) for section in plan.sections)
    return adjust(replace(plan, sections=sections), request, source, "score_file")


def _without_gaps(section: Section) -> Section:
    sounding = [t for t in section.textures if t.density > 0]
    if len(sounding) == len(section.textures):
        return section
    if not sounding:
        return replace(section, textures=(), density=None, register=None, chords=(), theme=None)
    usual = _usual_texture(sounding)
    textures = tuple(t if t.density > 0 else usual for t in section.textures)
    return replace(section, textures=textures, density=usual.density)


def _usual_texture(bars: Sequence[BarTexture]) -> BarTexture:
    """Means of bars in which something sounds, and their most frequent rhythm."""
    heights = [t.register for t in bars if t.register is not None]
    rhythms = [t.rhythm for t in bars]
    return BarTexture(
        round(sum(t.density for t in bars) / len(bars), 3),
        round(sum(heights) / len(heights), 2) if heights else None,
        round(sum(t.span for t in bars) / len(bars)),
        max(dict.fromkeys(rhythms), key=rhythms.count),
    )


def _read(request: PlanRequest, key: str, path: str) -> tuple[Passage, Meter]:
    """A user's notes, and their meter.

    Raises:
        RequestError: a meter that is asked for and is not the file's.
    """
    typed = read_form(request.form).text.meter if request.form else None
    passage = read_passage(path, meter=request.meter or typed)
    if request.meter not in (None, passage.meter):
        raise RequestError(f"meter={request.meter} contradicts {key}={path}, which is in {passage.meter}")
    try:
        return passage, known_meter(passage.meter)
    except RequestError as error:
        raise RequestError(f"{key}={path}: {error}") from None


def plan_of_melody(planner: Planner, request: PlanRequest, path: str, *, seed: int) -> Plan:
    """A plan for a melody to be harmonised: its meter, key, bars and phrases, with chords that carry it.

    The form is the one asked for, else the melody's own, as analysis hears it.

    Raises:
        RequestError: a meter, key or number of bars that the melody contradicts, or a melody of under four bars.
    """
    passage, meter = _read(request, "melody", path)
    key, bars = passage.line.key, passage.bars
    if request.key is not None and passage.signature is not None and request.key.fifths != key.fifths:
        raise RequestError(f"key={request.key} contradicts melody={path}, which is in {key}")
    key = request.key or key
    if request.bars not in (None, bars):
        raise RequestError(f"bars={request.bars} contradicts melody={path}, which has {bars} bars")
    if bars < MIN_SECTION_BARS:
        raise RequestError(f"melody={path} has {bars} bars; a plan needs {MIN_SECTION_BARS} at least")
    heard = _heard_plan(passage, key, bars)
    form = request.form or _form_text(heard, passage.line.notes, key)
    title = request.title or passage.score.title or None
    plan = planner.plan(replace(request, form=form, key=key, meter=meter, bars=bars, title=title), seed=seed)
    # The melody is given from first to last: what leads across a bound is its own.
    sections = tuple(replace(section, link=()) for section in plan.sections)
    plan = replace(plan, pickup_div=passage.pickup_div, sections=sections)
    bounds = [0]
    for phrase in (p for s in heard.sections for p in s.phrases):
        bounds.append(bounds[-1] + phrase.bars)
    plan = harmonise(plan, passage.line.notes, bounds, _typed_cadences(request.form))
    return with_textures(plan, Dice(seed), line=passage.line.notes)


def _typed_cadences(form: str | None) -> list[str | None] | None:
    """The cadences that a typed plan names, one for each section; None where the form is no typed plan."""
    wish = read_form(form) if form else None
    if wish is None or not wish.is_typed:
        return None
    known = ("PAC", "IAC", "HC", "DC")
    return [s.cadence if s.cadence in known else None for s in wish.text.sections]


def _heard_plan(passage: Passage, key: Key, bars: int) -> Plan:
    """The melody alone as analysis hears it, its fermatas with it."""
    pickup, meter = passage.pickup_div, passage.meter
    notes = tuple(
        Note(f"n{i}", n.onset_div + pickup, n.duration_div, n.pitch) for i, n in enumerate(passage.line.notes)
    )
    marks = tuple(
        Direction(d.onset_div + passage.shift_div, d.kind, d.text)
        for d in passage.fermatas()
        if d.onset_div + passage.shift_div >= 0
    )
    score = Score(
        (Part("P1"),),
        notes,
        regular_bars(meter, bars, pickup),
        (MeterChange(0, meter),),
        (KeyChange(0, key),),
        directions=marks,
    )
    if marks and not fermata_ends(score):
        score = replace(score, directions=())
    return plan_of_score(score)


def _form_text(heard: Plan, line: Sequence[PlanNote], home: Key) -> str:
    """The sections that were heard as a typed plan; one section where some are too short to be any."""
    if any(s.bars < MIN_SECTION_BARS for s in heard.sections):
        return f"A{heard.bars}"
    words = []
    for index, (section, first) in enumerate(zip(heard.sections, heard.first_bars, strict=True)):
        inner = 0 < index < len(heard.sections) - 1
        start, end = (b * heard.meter.bar_div for b in (first, first + section.bars))
        pitches = [n.pitch for n in line if start <= n.onset_div < end]
        moves = inner and section.key != home and abs(section.key.fifths - home.fifths) <= _NEAR
        if moves and _foreign(pitches, section.key) < _foreign(pitches, home):
            words.append(f"{section.label}{section.bars}:{section.key.relation_to(home)}")
        else:
            words.append(f"{section.label}{section.bars}:{'i' if home.minor else 'I'}")
    return " ".join(words)


def _foreign(pitches: Sequence[int], key: Key) -> int:
    """Notes outside a key; in minor the raised leading tone is inside."""
    inside = {*key.scale, key.leading_tone}
    return sum(p % 12 not in inside for p in pitches)


def plan_of_opening(planner: Planner, request: PlanRequest, path: str, *, seed: int) -> Plan:
    """A plan for bars to be continued: they are the first of its first section, their melody is its theme.

    Key and meter are the file's; a key that is asked for is taken for the file's own.

    Raises:
        RequestError: a meter that the file contradicts, or fewer bars than the file has.
    """
    passage, meter = _read(request, "opening", path)
    key, bars = request.key or passage.line.key, passage.bars
    theme = replace(passage.line, key=key)
    if theme.bars > THEME_BARS:
        end = THEME_BARS * meter.bar_div
        notes = (n for n in theme.notes if n.onset_div < end)
        notes = tuple(replace(n, duration_div=min(n.duration_div, end - n.onset_div)) for n in notes)
        theme = replace(theme, bars=THEME_BARS, notes=notes)
    plan = planner.plan(replace(request, theme=theme, meter=meter, key=key), seed=seed)
    if bars > plan.bars:
        raise RequestError(f"opening={path} has {bars} bars, the plan only {plan.bars}; ask for more with bars=")
    plan = replace(plan, pickup_div=passage.pickup_div)
    harmony = tuple(_moved(c, passage.shift_div) for c in analyse_harmony(passage.score).chords)
    density = sum(n.onset_div >= 0 for n in passage.notes) * DIVS_PER_QUARTER / (bars * meter.bar_div)
    register = sum(n.pitch for n in passage.notes) / len(passage.notes)
    sections = []
    for section, first in zip(plan.sections, plan.first_bars, strict=True):
        if section.letter == plan.sections[0].letter:
            section = replace(section, density=round(density, 3), register=round(register, 2), textures=())
        if first < bars:
            heard = min(bars - first, section.bars) * meter.bar_div
            section = _with_heard(section, harmony, plan.bar_onset_div(first), heard)
        sections.append(section)
    return replace(plan, sections=tuple(sections))


def _moved(chord: Chord, shift_div: int) -> Chord:
    return replace(chord, onset_div=chord.onset_div + shift_div)


def _with_heard(section: Section, harmony: tuple[Chord, ...], start_div: int, length_div: int) -> Section:
    """The section with the chords heard in its first part, the planned ones after it."""
    heard = section_chords(harmony, start_div, start_div + length_div, section.key)
    if not heard:
        return section
    first = replace(heard[0], onset_div=0, duration_div=heard[0].onset_div + heard[0].duration_div)
    rest = []
    for chord in section.chords:
        end = chord.onset_div + chord.duration_div
        if end > length_div:
            onset = max(chord.onset_div, length_div)
            rest.append(replace(chord, onset_div=onset, duration_div=end - onset))
    return replace(section, chords=(first, *heard[1:], *rest))
