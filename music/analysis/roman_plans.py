"""Harmonic analyses by people as plans: chords, keys and meter annotated, phrases and parts where marked.

Reads a folder of When in Rome (github.com/MarkGotham/When-in-Rome) and what music21's corpus holds of the same. Repeats
are played out. A part lies between repeat signs, or is named ("Form: Verse 2"); where there is neither, sections are
stretches in one key, and are said to be missing. No one tells the notes, so there are no themes and no texture.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase

from music.analysis.cadence import classify_cadence, is_dominant, is_tonic
from music.analysis.marked_plan import MarkedPlan, Origin
from music.analysis.plans import DEFAULT_TEMPO, home_key, section_chords
from music.analysis.roman_text import RomanAnalysis, RomanMeasure, parse_roman_text
from music.analysis.signs import with_signs
from music.errors import PlanError, RitornelloError
from music.pitch import Key
from music.plan import Chord, Phrase, Plan, Section
from music.score import KeyChange
from music.splits import chorale_work, piano_work, slug, split_by_hash
from music.time import DIVS_PER_QUARTER, Meter

LICENCE = "CC BY-SA 4.0, github.com/MarkGotham/When-in-Rome; the analyst is named in the file"
MUSIC21_LICENCE = "see corpus/license.txt of music21; read where it is installed, not redistributed"
MIN_BARS = 8  # of a stretch in one meter
MIN_SECTION = 4
MAX_SECTION = 16
LONGEST_PHRASE = 8  # bars a phrase mark at most, on the mean, where marks tell all phrases
MIN_SONGS = 5  # of a composer with a style of his own
SAME, ALIKE = 0.9, 0.6  # shares of beats with the same chord
ALWAYS_MISSING = frozenset({"themes", "textures", "dynamics", "tempo"})


@dataclass(frozen=True)
class Stretch:
    """Bars of an analysis in one meter, repeats played out.

    Args:
        meter: of all.
        bars: measures in order; chords of an upbeat are left out.
        pickup_div: length of the upbeat.
        chords: with their keys, in divisions from the first downbeat, gapless.
        keys: the same in order, one for each chord.
        first: place of the stretch in the piece.
    """

    meter: Meter
    bars: tuple[RomanMeasure, ...]
    pickup_div: int
    chords: tuple[Chord, ...]
    keys: tuple[Key, ...]
    first: int


def _played(analysis: RomanAnalysis) -> list[tuple[int, RomanMeasure]]:
    """Measures from number 1 on in the order in which they are played, with their numbers; gaps hold the last chord."""
    last = max(analysis.measures)
    written: list[tuple[int, RomanMeasure]] = []
    meter = analysis.measures[min(analysis.measures)].meter
    for number in range(1, last + 1):
        measure = analysis.measures.get(number) or RomanMeasure(meter)
        meter = measure.meter
        written.append((number, measure))
    played: list[tuple[int, RomanMeasure]] = []
    start = 0
    for place, (_, measure) in enumerate(written):
        if measure.repeat_starts:
            start = place
        played.append(written[place])
        if measure.repeat_ends:
            played += written[start : place + 1]
            start = place + 1
    return played


def _stretches(analysis: RomanAnalysis) -> list[Stretch]:
    played = _played(analysis)
    cuts = [0, *(i for i in range(1, len(played)) if played[i][1].meter != played[i - 1][1].meter), len(played)]
    found = []
    before = analysis.measures.get(0)
    for start, end in pairwise(cuts):
        bars = tuple(measure for _, measure in played[start:end])
        pickup = 0
        if start == 0 and before is not None and before.chords:
            bar = before.meter.bar_div
            pickup = max(0, bar - round(before.chords[0].place * DIVS_PER_QUARTER)) % bar
        held = before.chords[-1] if before is not None and before.chords else None
        for measure in played[:start]:
            held = measure[1].chords[-1] if measure[1].chords else held
        found.append(_stretch(bars, pickup, start, held))
    return [s for s in found if s is not None]


def _stretch(bars: tuple[RomanMeasure, ...], pickup: int, first: int, held: object) -> Stretch | None:
    meter = bars[0].meter
    placed = [
        (i * meter.bar_div + round(c.place * DIVS_PER_QUARTER), c)
        for i, measure in enumerate(bars)
        for c in measure.chords
        if c.place * DIVS_PER_QUARTER < meter.bar_div
    ]
    placed.sort(key=lambda row: row[0])
    if placed and placed[0][0] > 0:
        placed.insert(0, (0, held if held is not None else placed[0][1]))  # type: ignore[arg-type]
    if not placed:
        return None
    end = len(bars) * meter.bar_div
    rows = [(a, b, c) for (a, c), b in zip(placed, [o for o, _ in placed[1:]] + [end], strict=True) if b > a]
    chords = tuple(Chord(a, b - a, c.root, c.quality, c.bass) for a, b, c in rows)
    return Stretch(meter, bars, pickup, chords, tuple(c.key for _, _, c in rows), first)


def _key_changes(stretch: Stretch) -> tuple[KeyChange, ...]:
    rows = list(zip(stretch.chords, stretch.keys, strict=True))
    return tuple(KeyChange(c.onset_div, key) for i, (c, key) in enumerate(rows) if i == 0 or rows[i - 1][1] != key)


def _key_of(stretch: Stretch, start: int, end: int) -> Key:
    """The key that holds longest in bars `start` to `end`."""
    low, high = start * stretch.meter.bar_div, end * stretch.meter.bar_div
    held: Counter[Key] = Counter()
    for chord, key in zip(stretch.chords, stretch.keys, strict=True):
        inside = min(chord.onset_div + chord.duration_div, high) - max(chord.onset_div, low)
        held[key] += max(0, inside)
    return max(held, key=lambda key: held[key])


def _phrase_ends(stretch: Stretch) -> tuple[int, ...]:
    """Bars at whose beginnings a phrase mark's phrase ends: the nearest bar line, a tie to the later."""
    ends = set()
    for index, measure in enumerate(stretch.bars):
        for place in measure.ends:
            onset = index * stretch.meter.bar_div + place * DIVS_PER_QUARTER
            ends.add(int((onset + stretch.meter.bar_div // 2) // stretch.meter.bar_div))
    return tuple(sorted(e for e in ends if 0 < e < len(stretch.bars)))


def _repeat_bounds(stretch: Stretch) -> list[int]:
    """Bars where a repeated stretch begins, begins again or ends."""
    bounds, seen, start = set(), {}, 0
    for index, measure in enumerate(stretch.bars):
        if id(measure) in seen:
            first = seen[id(measure)]
            if index == start or first != seen.get(id(stretch.bars[index - 1]), -2) + 1:
                bounds |= {first, index}
        elif index and id(stretch.bars[index - 1]) in seen and seen[id(stretch.bars[index - 1])] != index - 1:
            bounds.add(index)
        seen.setdefault(id(measure), index)
    return sorted(b for b in bounds if 0 < b < len(stretch.bars))


def _slots(stretch: Stretch, start: int, end: int, key: Key) -> list[tuple[int, str]]:
    """Chord at each beat of bars `start` to `end`: root over the tonic, and quality."""
    beat = stretch.meter.beat_div
    slots, index = [], 0
    for place in range(start * stretch.meter.bar_div, end * stretch.meter.bar_div, beat):
        while index + 1 < len(stretch.chords) and stretch.chords[index + 1].onset_div <= place:
            index += 1
        chord = stretch.chords[index]
        slots.append(((chord.root - key.pc) % 12, chord.quality))
    return slots


def _likeness(a: list[tuple[int, str]], b: list[tuple[int, str]]) -> float:
    if 2 * min(len(a), len(b)) < max(len(a), len(b)):
        return 0.0
    return sum(x == y for x, y in zip(a, b, strict=False)) / max(len(a), len(b))


def _names(slots: Sequence[list[tuple[int, str]]], letters: str) -> list[tuple[str, int | None, float]]:
    """(label, index of what it returns to, likeness) of parts by their chords."""
    found: list[tuple[str, int | None, float]] = []
    for index, own in enumerate(slots):
        best = max(((_likeness(own, other), -i) for i, other in enumerate(slots[:index])), default=(0.0, 0))
        used = sorted({name[0] for name, _, _ in found})
        if best[0] < ALIKE:
            found.append((letters[min(len(used), len(letters) - 1)], None, 0.0))
        elif best[0] >= SAME:
            found.append((found[-best[1]][0], -best[1], best[0]))
        else:
            letter = found[-best[1]][0][0]
            primes = max(len(name) - 1 for name, _, _ in found if name[0] == letter)
            found.append((letter + "'" * (primes + 1), -best[1], best[0]))
    return found


def _divided(start: int, end: int, places: Sequence[int], strong: Sequence[int]) -> list[int]:
    """Bounds that divide a long stretch: places after a dominant and its tonic, else whichever is nearest."""
    if end - start <= MAX_SECTION:
        return []
    inside = [p for p in places if start + MIN_SECTION <= p <= end - MIN_SECTION]
    inside = [p for p in inside if p in strong] or inside
    if not inside:
        return []
    cut = min(inside, key=lambda p: (abs(p - (start + end) / 2), p))
    return [*_divided(start, cut, places, strong), cut, *_divided(cut, end, places, strong)]


def _strong(stretch: Stretch) -> list[int]:
    """Bars after whose downbeat's tonic, led to by its dominant, a part may end."""
    found = set()
    for (before, _), (chord, key) in pairwise(zip(stretch.chords, stretch.keys, strict=True)):
        if is_dominant(before, key) and is_tonic(chord, key):
            found.add(chord.onset_div // stretch.meter.bar_div + 1)
    return sorted(found)


def _bounds(stretch: Stretch, ends: Sequence[int]) -> tuple[list[int], str]:
    """Bounds of sections, and how they were found: "labels", "repeats" or "inferred"."""
    bars = len(stretch.bars)
    named = [i for i, measure in enumerate(stretch.bars) if i and measure.form]
    repeats = _repeat_bounds(stretch)
    strong = _strong(stretch)
    places = ends or tuple(range(0, bars, 4))
    signs = tuple(sorted({*named, *repeats}))
    if signs:
        bounds = with_signs([0, bars], signs)
        cuts = [c for a, b in pairwise(bounds) if b - a > 2 * MAX_SECTION for c in _divided(a, b, places, strong)]
        return sorted({*bounds, *cuts}), "labels" if named else "repeats"
    keys = [_key_of(stretch, i, i + 1) for i in range(bars)]
    changes = [i for i in range(1, bars) if keys[i] != keys[i - 1]]
    held = [a for a, b in pairwise([*changes, bars]) if b - a >= MIN_SECTION]
    bounds = with_signs([0, bars], tuple(held))
    cuts = [c for a, b in pairwise(bounds) for c in _divided(a, b, places, strong)]
    return sorted({*bounds, *cuts}), "inferred"


def plan_of_stretch(stretch: Stretch, title: str, style: str, ensemble: str) -> tuple[Plan, frozenset[str], str]:
    """The plan of a stretch, its missing parts, and how its sections were found.

    Raises:
        PlanError: no plan can be made of it.
    """
    bars = len(stretch.bars)
    ends = _phrase_ends(stretch)
    marked = any(measure.marks for measure in stretch.bars) and bars <= LONGEST_PHRASE * (len(ends) + 1)
    bounds, source = _bounds(stretch, ends if marked else ())
    keys = [_key_of(stretch, a, b) for a, b in pairwise(bounds)]
    slots = [_slots(stretch, a, b, key) for (a, b), key in zip(pairwise(bounds), keys, strict=True)]
    names = _names(slots, ascii_uppercase)
    sections = []
    for (start, end), key, (label, origin, likeness) in zip(pairwise(bounds), keys, names, strict=True):
        low, high = start * stretch.meter.bar_div, end * stretch.meter.bar_div
        inner = [e for e in ends if start < e < end] if marked else list(range(start + 4, end - 3, 4))
        phrases = _phrases(stretch, [start, *inner, end], key, marked)
        variation = None if origin is None else round(1.0 - likeness, 3)
        chords = section_chords(stretch.chords, low, high, key)
        sections.append(Section(label, end - start, key, phrases, chords, source=origin, variation=variation))
    end_div = bars * stretch.meter.bar_div
    home = home_key(_key_changes(stretch), end_div)
    tempo = DEFAULT_TEMPO
    plan = Plan(title, style, ensemble, home, stretch.meter, stretch.pickup_div, tempo, tuple(sections))
    missing = ALWAYS_MISSING | ({"sections"} if source == "inferred" else set())
    missing |= set() if marked else {"phrases"}
    missing |= set() if marked and style == "bach_chorale" else {"cadences"}
    return plan, frozenset(missing), source


def _phrases(stretch: Stretch, bounds: list[int], key: Key, marked: bool) -> tuple[Phrase, ...]:
    slots = [_slots(stretch, a, b, key) for a, b in pairwise(bounds)]
    ideas = _names(slots, ascii_uppercase.lower())
    cadences = [_cadence(stretch, end) if marked else None for end in bounds[1:]]
    spans = pairwise(bounds)
    return tuple(Phrase(b - a, idea, c) for (a, b), (idea, _, _), c in zip(spans, ideas, cadences, strict=True))


def _cadence(stretch: Stretch, bar: int) -> str | None:
    """The cadence before a bar line, the melody unknown: a close with both chords in root position counts as perfect.

    Where a phrase mark stands before the bar line (the next phrase has an upbeat), what follows the mark is left out.
    """
    bar_div = stretch.meter.bar_div
    end = bar * bar_div
    for index in (bar - 1, bar):
        for place in stretch.bars[index].ends if index < len(stretch.bars) else ():
            onset = index * bar_div + round(place * DIVS_PER_QUARTER)
            if abs(onset - bar * bar_div) <= bar_div // 2:
                end = onset
    rows = [(c, k) for c, k in zip(stretch.chords, stretch.keys, strict=True) if end - 2 * bar_div <= c.onset_div < end]
    if not rows:
        return None
    key = rows[-1][1]
    return classify_cadence([c for c, _ in rows], key, key.pc)


@dataclass(frozen=True)
class _Source:
    """A file with what its place says of it."""

    path: Path
    id: str
    kind: str
    composer: str
    licence: str


def _sources(wir: Path | None, music21: Path) -> list[_Source]:
    found = []
    for path in sorted(wir.rglob("analysis.txt")) if wir is not None else ():
        name = path.parent.relative_to(wir).as_posix() if wir is not None else ""
        parts = name.removeprefix("Corpus/").split("/")
        composer = slug(parts[1].split(",")[0]) if len(parts) > 1 else ""
        composer = "schumann_clara" if "Schumann,_Clara" in name else composer
        kind = "song" if "Lieder" in parts[0] else composer
        found.append(_Source(path, "when_in_rome/" + "/".join(parts), kind, composer, LICENCE))
    for folder, composer in (("bach/choraleAnalyses", "bach"), ("monteverdi", "monteverdi")):
        for path in sorted((music21 / folder).glob("*.rntxt")):
            found.append(_Source(path, f"music21/{folder}/{path.name}", composer, composer, MUSIC21_LICENCE))
    return found


def _style_and_work(source: _Source, head: dict[str, str], songs: Counter[str]) -> tuple[str, str, str, str]:
    """(style, ensemble, work, split) of an analysis."""
    if source.kind == "song":
        style = f"{source.composer}_song" if songs[source.composer] >= MIN_SONGS else "lied"
        work = slug(f"{source.composer} {source.id.split('/')[-1]}")
        return style, "piano", work, split_by_hash(work)
    if source.kind == "bach" and "Well-Tempered" in source.id:
        book, name = source.id.split("/")[-2:]
        number = int(name[:2])
        style = "bach_fugue" if "fugue" in name else "bach_prelude"
        if book.endswith("_I") and number in (1, 2, 5):  # those that piano-midi.de has
            _, work, split = piano_work(f"bach_{845 + number}")
            return style, "piano", work, split
        work = f"bach_wtc_{book.count('I', -2)}_{number:02d}"
        return style, "piano", work, split_by_hash(work)
    if source.kind == "bach":
        work, split = chorale_work(_bwv(source, head))
        return "bach_chorale", "satb", f"chorale_{work}", split
    if source.kind == "monteverdi":
        work = slug("monteverdi " + head.get("madrigal", source.id))
        return "monteverdi_madrigal", "satb", work, split_by_hash(work)
    work = slug(" ".join(source.id.split("/")[-3:]))
    style = "goudimel_psalm" if source.kind == "goudimel" else source.kind
    return style, "satb", work, split_by_hash(work)


def _bwv(source: _Source, head: dict[str, str]) -> str:
    """music21's name of a chorale, such as "bwv269", or "" where no one tells."""
    remote = source.path.parent / "remote.json"
    if remote.is_file():
        data = json.loads(remote.read_text(encoding="utf-8"))
        for name in data.get("music21") or ():
            return re.sub(r"\.(mxl|xml)$", "", Path(name).name)
        if data.get("BWV"):
            return f"bwv{data['BWV']}"
    number = head.get("bwv", "").strip()
    return f"bwv{number}" if number else ""


def roman_plans(wir: Path | None, music21: Path) -> tuple[list[MarkedPlan], list[tuple[str, str]]]:
    """Plans of the analyses in a folder of When in Rome and in music21's corpus, and (id, reason) of what is left out.

    The same chords in the same work count once; When in Rome's copy goes before music21's.
    """
    sources = _sources(wir, music21)
    songs = Counter(s.composer for s in sources if s.kind == "song")
    plans: list[MarkedPlan] = []
    dropped: list[tuple[str, str]] = []
    seen: set[object] = set()
    both: set[tuple[str, str]] = set()  # pieces of When in Rome
    for source in sources:
        try:
            analysis = parse_roman_text(source.path.read_text(encoding="utf-8"))
        except (PlanError, OSError, UnicodeDecodeError) as error:
            dropped.append((source.id, str(error)))
            continue
        style, ensemble, work, split = _style_and_work(source, analysis.head, songs)
        if style == "bach_chorale" and work == "chorale_":
            dropped.append((source.id, "is a chorale that no one names"))
            continue
        piece = (style, _bwv(source, analysis.head) if style == "bach_chorale" else work)
        if source.id.startswith("music21/") and piece in both:
            dropped.append((source.id, "When in Rome has it"))
            continue
        if not source.id.startswith("music21/"):
            both.add(piece)
        before = len(plans) + len(dropped)
        for stretch in _stretches(analysis):
            if len(stretch.bars) < MIN_BARS:
                continue
            title = analysis.head.get("title", "")
            try:
                plan, missing, by = plan_of_stretch(stretch, title, style, ensemble)
            except RitornelloError as error:
                dropped.append((source.id, str(error)))
                continue
            if (work, stretch.chords) in seen:
                dropped.append((source.id, "has the same chords as another analysis"))
                continue
            seen.add((work, stretch.chords))
            annotated = frozenset({"sections", "phrases", "keys", "chords"}) - missing
            origin = Origin(f"{source.id}:{stretch.first}", work, split, source.licence, by)
            plans.append(MarkedPlan(plan, annotated, origin, missing))
        if len(plans) + len(dropped) == before:
            dropped.append((source.id, "has no eight bars of one meter"))
    return plans, dropped
