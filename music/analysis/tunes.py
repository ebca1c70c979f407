"""Fiddle and pipe tunes as plans: their strains are sections, repeats played out.

The tunes are those of music21's corpus in ABC notation (Ryan's Mammoth Collection, O'Neill's Music of Ireland, Aird's
Selection). Key, meter, strains and melody stand in the source. Phrases are those of four bars that strains of eight and
multiples are made of, where the tune itself shows it: an opening comes back there, or a long note or rest goes before.
Chords, cadences, texture and dynamics no one says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from music.analysis.abc import AbcNote, AbcTune, Measure, parse_tune, split_tunes
from music.analysis.marked_plan import MarkedPlan, Origin
from music.analysis.plans import DEFAULT_TEMPO, MAX_THEME_BARS, phrase_ideas
from music.analysis.sections import SAME, SectionSpan, label_sections, section_bounds
from music.analysis.signs import bounds_between_signs
from music.analysis.similarity import BarProducts, bar_products
from music.errors import PlanError, RitornelloError
from music.plan import Phrase, Plan, PlanNote, Section, Theme
from music.score import MeterChange, Note, Part, Score, regular_bars
from music.splits import slug, split_by_hash
from music.time import DIVS_PER_QUARTER

BOOKS = ("airdsAirs", "oneills1850", "ryansMammoth")
STYLE = "fiddle_tune"
LICENCE = "see corpus/license.txt of music21; read where it is installed, not redistributed"
MIN_BARS = 4
PHRASE = 4  # bars
SAME_TUNE = 0.87  # share of the first 16 beats on which two tunes agree
MISSING = frozenset({"cadences", "chords", "textures", "dynamics"})
# Titles that many tunes share.
_GENERIC = re.compile(
    r"(an? |the )?(quick ?step|march|jig|reel|hornpipe|minuet|cotillion|air|allemande|gavotte|untitled)"
)


@dataclass(frozen=True)
class PlayedTune:
    """A tune with its repeats played out.

    Args:
        id: book, file and place in it.
        titles: its names.
        tune: as written.
        notes: struck ones, from the start of the upbeat.
        pickup_div: length of the upbeat.
        bars: full bars.
        strains: bars where a strain begins, 0 among them.
        leads: length of the upbeat before each of these.
        signed: the tune has strains, by repeats or double bars.
    """

    id: str
    titles: tuple[str, ...]
    tune: AbcTune
    notes: tuple[AbcNote, ...]
    pickup_div: int
    bars: int
    strains: tuple[int, ...]
    leads: tuple[int, ...]
    signed: bool


def _closes(measure: Measure) -> bool:
    return measure.sign.startswith(":") or ":|" in measure.sign


def _parts(measures: Sequence[Measure]) -> list[list[Measure]]:
    """Strains as written, a second ending with its strain."""
    parts: list[list[Measure]] = [[]]
    first_ending = second_ending = 0  # bars of an ending that is being read
    for index, measure in enumerate(measures):
        before = measures[index - 1] if index else None
        ends = before is not None and (_closes(before) or "||" in before.sign or "]" in before.sign)
        if measure.ending == 1:
            first_ending, second_ending = 1, 0
        elif measure.ending is not None:
            first_ending, second_ending = 0, max(1, first_ending)
        elif ends or measure.opens or second_ending == 1:
            parts.append([])
            first_ending = second_ending = 0
        else:
            first_ending += first_ending > 0
            second_ending -= second_ending > 1
        parts[-1].append(measure)
    return parts


def _passes(part: list[Measure]) -> list[list[Measure]]:
    """The measures of a strain as they are played, once or twice."""
    first = next((i for i, m in enumerate(part) if m.ending == 1), None)
    second = next((i for i, m in enumerate(part) if m.ending is not None and m.ending > 1), None)
    if first is not None and second is not None and second > first:
        return [part[:second], part[:first] + part[second:]]
    return [part, part] if any(_closes(m) for m in part) else [part]


def _joined(measures: list[Measure], bar_div: int) -> list[Measure]:
    """Measures that a sign or a line's end cut in two as one."""
    result: list[Measure] = []
    for index, measure in enumerate(measures):
        last = result[-1] if result else None
        if last is not None and index > 1 and last.length_div + measure.length_div == bar_div:
            moved = [replace(n, onset_div=n.onset_div + last.length_div) for n in measure.notes]
            result[-1] = Measure(last.notes + moved, bar_div, measure.sign, last.opens, last.ending, last.key)
        else:
            result.append(measure)
    return result


def _played(tune: AbcTune) -> list[list[Measure]]:
    """Passes of all strains, in the order of the parts where the tune gives one; a part of a bar joins what follows."""
    bar_div = tune.meter.bar_div
    parts, letters, letter = [], [], ""
    for part in _parts(tune.measures):
        if parts and len(parts[-1]) == 1 and parts[-1][0].length_div < bar_div and not _closes(parts[-1][0]):
            part = parts.pop() + part  # an upbeat before the sign of a repeat
            letters.pop()
        letter = next((m.part for m in part if m.part), letter)
        parts.append(part)
        letters.append(letter)
    if tune.order and set(tune.order) <= set(letters):
        parts = [part for played in tune.order for part, name in zip(parts, letters, strict=True) if name == played]
    return [_joined(p, bar_div) for part in parts for p in _passes(part)]


def play(tune: AbcTune, name: str) -> PlayedTune:
    """Plays a tune out and lays it on whole bars.

    Raises:
        PlanError: bars that do not fit the meter, or fewer than `MIN_BARS`.
    """
    bar_div = tune.meter.bar_div
    passes = [p for p in _played(tune) if p]
    if not passes:
        raise PlanError("has no notes")
    leads = [p[0].length_div if len(p) > 1 and p[0].length_div < bar_div else 0 for p in passes]
    strains, notes, bar = [], [], 0
    for index, (part, lead) in enumerate(zip(passes, leads, strict=True)):
        strains.append(bar)
        following = leads[index + 1] if index + 1 < len(leads) else 0
        start = leads[0] + bar * bar_div
        full = part[1:] if lead else part
        for place, measure in enumerate(full):
            last = place == len(full) - 1
            if measure.length_div != bar_div and (not last or measure.length_div > bar_div + DIVS_PER_QUARTER // 2):
                raise PlanError("has bars that do not fit the meter")
            limit = bar_div - following if last else bar_div
            for n in measure.notes:
                if n.onset_div < limit:
                    length = min(n.duration_div, limit - n.onset_div)
                    notes.append(replace(n, onset_div=start + place * bar_div + n.onset_div, duration_div=length))
        if lead:
            notes += [replace(n, onset_div=start - lead + n.onset_div) for n in part[0].notes]
        bar += len(full)
    if bar < MIN_BARS:
        raise PlanError("has fewer than four bars")
    struck = _struck(sorted(notes, key=lambda n: n.onset_div))
    signed = len(strains) > 1
    return PlayedTune(name, tune.titles, tune, struck, leads[0], bar, tuple(strains), tuple(leads), signed)


def _struck(notes: list[AbcNote]) -> tuple[AbcNote, ...]:
    """Chains of ties as one note."""
    result: list[AbcNote] = []
    for note in notes:
        last = result[-1] if result else None
        joins = note.tied and last is not None and last.pitch == note.pitch
        if joins and last is not None and last.onset_div + last.duration_div == note.onset_div:
            result[-1] = replace(last, duration_div=last.duration_div + note.duration_div)
        else:
            result.append(replace(note, tied=False))
    return tuple(result)


def _phrase_grid(start: int, end: int) -> list[int]:
    """Bounds of phrases of four bars; what is over joins the last one."""
    count = max(1, (end - start) // PHRASE)
    return [start + PHRASE * i for i in range(count)] + [end]


def _phrases_shown(played: PlayedTune, products: BarProducts, spans: Sequence[SectionSpan]) -> bool:
    """Whether the phrases of four bars are heard in each section: an opening returns, or a long note goes before.

    A section of four bars is a phrase; one of a length that no fours make up shows nothing.
    """
    bar_div = played.tune.meter.bar_div
    longest = np.zeros(played.bars)
    for note in played.notes:
        bar = (note.onset_div - played.pickup_div) // bar_div
        if bar >= 0:
            longest[bar] = max(longest[bar], note.duration_div)
    usual = float(np.median(longest))
    for span in spans:
        if span.bars % PHRASE:
            return False
        inner = range(span.start + PHRASE, span.end, PHRASE)
        shown = [products.block(span.start, b, 2)[0] >= SAME or longest[b - 1] > usual for b in inner]
        if not all(shown):
            return False
    return True


def tune_plan(played: PlayedTune) -> tuple[Plan, bool]:
    """The plan of a tune, and whether its phrases are heard.

    Raises:
        PlanError: no plan can be made of it.
    """
    tune, bar_div = played.tune, played.tune.meter.bar_div
    # Without the upbeats of later strains: a strain that is repeated ends with another one than it began with.
    upbeats = [
        (played.pickup_div + bar * bar_div - lead, played.pickup_div + bar * bar_div)
        for bar, lead in zip(played.strains, played.leads, strict=True)
    ]
    notes = tuple(
        Note(f"n{i}", n.onset_div, n.duration_div, n.pitch)
        for i, n in enumerate(played.notes)
        if not any(start <= n.onset_div < end for start, end in upbeats)
    )
    bars = regular_bars(tune.meter, played.bars, played.pickup_div)
    score = Score((Part("P"),), notes, bars, (MeterChange(0, tune.meter),))
    starts = [played.pickup_div + b * bar_div for b in range(played.bars + 1)]
    products = bar_products(score, tuple(pairwise(starts)))
    phrase_bounds = sorted({b for s in pairwise([*played.strains, played.bars]) for b in _phrase_grid(*s)})
    found = section_bounds(products, tuple(phrase_bounds))
    bounds = bounds_between_signs(found, played.strains if played.signed else (), products)
    spans = label_sections(products, bounds)
    themes = _themes(played, spans)
    letters = {theme.label for theme in themes}
    plan = Plan(
        title=_title(tune.titles),
        style=STYLE,
        ensemble="piano",
        key=tune.key,
        meter=tune.meter,
        pickup_div=played.pickup_div,
        tempo_qpm=tune.qpm or DEFAULT_TEMPO,
        sections=tuple(_section(tune, span, products, letters) for span in spans),
        themes=themes,
    )
    return plan, _phrases_shown(played, products, spans)


def _title(titles: Sequence[str]) -> str:
    title = re.sub(r"\s+-+ .*|\s*\.$", "", titles[0].strip()) if titles else ""
    return title.title() if title.isupper() else title


def _section(tune: AbcTune, span: SectionSpan, products: BarProducts, letters: set[str]) -> Section:
    bounds = _phrase_grid(span.start, span.end)
    phrases = zip(pairwise(bounds), phrase_ideas(products, bounds), strict=True)
    return Section(
        label=span.label,
        bars=span.bars,
        key=tune.key,
        phrases=tuple(Phrase(end - start, idea) for (start, end), idea in phrases),
        theme=span.label[0] if span.label[0] in letters else None,
        source=span.source,
        variation=None if span.source is None else round(1.0 - min(1.0, span.similarity), 3),
    )


def _themes(played: PlayedTune, spans: Sequence[SectionSpan]) -> tuple[Theme, ...]:
    """A theme for each letter: the first phrase of its first section, up to four bars, its upbeat included."""
    bar_div = played.tune.meter.bar_div
    lead = dict(zip(played.strains, played.leads, strict=True))
    themes: list[Theme] = []
    for span in spans:
        if any(theme.label == span.label[0] for theme in themes):
            continue
        length = min(MAX_THEME_BARS, span.bars)
        start = played.pickup_div + span.start * bar_div
        begin, end = start - lead.get(span.start, 0), start + length * bar_div - lead.get(span.start + length, 0)
        inside = [n for n in played.notes if begin <= n.onset_div < end]
        line = [PlanNote(n.onset_div - start, min(n.duration_div, end - n.onset_div), n.pitch) for n in inside]
        if line:
            themes.append(Theme(span.label[0], length, played.tune.key, tuple(line)))
    return tuple(themes)


def read_tunes(folder: Path) -> Iterator[tuple[str, PlayedTune | str]]:
    """(id, tune or why it is none) of every tune of the books below music21's corpus folder, in order."""
    for book in BOOKS:
        for path in sorted((folder / book).glob("*.abc")):
            for number, text in enumerate(split_tunes(path.read_text(encoding="utf-8", errors="replace")), start=1):
                name = f"music21/{book}/{path.name}#{number}"
                try:
                    yield name, play(parse_tune(text), name)
                except PlanError as error:
                    yield name, str(error)


def plain_title(title: str) -> str:
    """A title by which tunes are told apart: small letters, without article, kind and remarks in brackets."""
    title = re.sub(r"\(.*?\)|\[.*?\]| -+ .*", " ", title)
    title = re.sub(r"^(.*),\s*(the|an?)\s*$", r"\1", title.strip(" ."), flags=re.IGNORECASE)
    return re.sub(r"^(the|an?)_", "", slug(title.replace("'", "")))


def incipit(played: PlayedTune, beats: int = 16) -> tuple[int, ...]:
    """Pitches over the tonic that sound at the first beats of the tune; -99 where none does."""
    beat = played.tune.meter.beat_div
    places = [played.pickup_div + i * beat for i in range(beats)]
    result, index = [], 0
    for place in places:
        while index + 1 < len(played.notes) and played.notes[index + 1].onset_div <= place:
            index += 1
        note = played.notes[index]
        sounds = note.onset_div <= place < note.onset_div + note.duration_div
        result.append(note.pitch - 60 - played.tune.key.pc if sounds else -99)
    return tuple(result)


def tune_works(tunes: Sequence[PlayedTune]) -> list[str]:
    """The work that each tune belongs to: tunes with a title in common, or that begin alike, are one work.

    Tunes begin alike where they agree on `SAME_TUNE` of the first sixteen beats, in whatever key.
    """
    leader = list(range(len(tunes)))

    def root(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    def join(a: int, b: int) -> None:
        first, second = sorted((root(a), root(b)))
        leader[second] = first

    by_title: dict[str, int] = {}
    for i, tune in enumerate(tunes):
        for title in map(plain_title, tune.titles):
            if title and not _GENERIC.fullmatch(title.replace("_", " ")):
                join(i, by_title.setdefault(title, i))
    starts = np.array([incipit(t) for t in tunes], dtype=np.int8)
    for i in range(1, len(tunes)):
        agree = (starts[:i] == starts[i]).mean(axis=1) >= SAME_TUNE
        for j in np.flatnonzero(agree).tolist():
            join(i, j)
    names = [plain_title(t.titles[0]) if t.titles else "" for t in tunes]
    return [f"tune_{names[root(i)] or slug(tunes[root(i)].id)}" for i in range(len(tunes))]


def marked_tune(played: PlayedTune, work: str) -> MarkedPlan:
    """A tune's plan with word of its parts.

    Raises:
        PlanError: no plan can be made of it.
    """
    plan, shown = tune_plan(played)
    missing = MISSING | (frozenset() if shown else {"phrases"}) | (frozenset() if played.tune.qpm else {"tempo"})
    annotated = frozenset({"keys", "themes"}) | ({"sections"} if played.signed else set())
    source = "repeats" if played.signed else "inferred"
    origin = Origin(f"{played.id}:0", work, split_by_hash(work), LICENCE, source)
    return MarkedPlan(plan, annotated, origin, missing)


def tune_plans(folder: Path) -> tuple[list[MarkedPlan], list[tuple[str, str]]]:
    """Plans of all tunes below music21's corpus folder, and (id, reason) of those of which none can be made.

    A tune that is note for note one before it is left out.
    """
    tunes: list[PlayedTune] = []
    dropped: list[tuple[str, str]] = []
    seen: dict[object, str] = {}
    for name, found in read_tunes(folder):
        if isinstance(found, str):
            dropped.append((name, found))
            continue
        same = seen.setdefault((found.tune.meter, found.pickup_div, found.notes), name)
        if same == name:
            tunes.append(found)
        else:
            dropped.append((name, "is note for note another one"))
    plans = []
    for tune, work in zip(tunes, tune_works(tunes), strict=True):
        try:
            plans.append(marked_tune(tune, work))
        except RitornelloError as error:
            dropped.append((tune.id, str(error)))
    return plans, dropped
