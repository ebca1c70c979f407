"""The head and the form of a plan as a stream of tokens (`planner.form_columns` lists its fields and columns).

`planner.form_walker.FormWalker` leads through the stream; `encode` turns a plan of a real piece into tokens,
`decode` turns values back. What a plan does not say is `UNKNOWN`; a plan without phrases is asked for one phrase in
vain, one without sections for one label.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from music.analysis.marked_plan import MarkedPlan
from music.pitch import Key
from music.plan import CADENCES, DYNAMICS, ENSEMBLES, Phrase, Plan, Section
from music.time import Meter
from planner import form_columns as fc
from planner.form_walker import Drawn, FormWalker
from planner.frame import source_of
from planner.streams import UNKNOWN, Tokens, written

__all__ = [
    "FormDraw",
    "FormWalker",
    "SectionDraw",
    "canonical",
    "decode",
    "drawn",
    "encode",
    "indices",
    "outside",
]

_FIRST_LETTER = ord("A")


@dataclass(frozen=True)
class SectionDraw:
    """A section of a form: as `music.plan.Section`, but None (or no phrases) where nothing is known."""

    label: str
    bars: int
    key: Key | None
    phrases: tuple[Phrase, ...]
    density: float | None = None
    register: float | None = None
    dynamic: str | None = None
    variation: float | None = None
    source: int | None = None


@dataclass(frozen=True)
class FormDraw:
    """The head and the sections of a plan; None where nothing is known."""

    style: str
    ensemble: str
    meter: Meter | None
    key: Key | None
    tempo_qpm: float | None
    pickup_div: int | None
    sections: tuple[SectionDraw, ...]


def outside(plan: Plan) -> str | None:
    """Why a plan cannot be told in this stream, or None where it can."""
    if len({section.letter for section in plan.sections}) > fc.LETTERS:
        return f"it has more than {fc.LETTERS} letters"
    long = next((s.label for s in plan.sections if len(s.label) > fc.PRIMES), None)
    return None if long is None else f"section {long} has more than {fc.PRIMES - 1} primes"


def encode(marked: MarkedPlan, styles: Sequence[str], *, tell_bars: bool, tell_sections: bool) -> Tokens | None:
    """The tokens of a plan.

    Args:
        marked: the plan; what it is said to miss becomes `UNKNOWN`, and so do dynamics where the source has none.
        styles: known style tags.
        tell_bars, tell_sections: whether the columns tell how many are to come; a training hides them at random.

    Returns:
        None where the plan is outside the stream (`outside` says why).
    """
    plan = marked.plan
    if outside(plan) is not None:
        return None
    missing = marked.missing
    has_sections = "sections" not in missing
    walker = FormWalker(
        *indices(plan.style, plan.ensemble, styles),
        bars_total=plan.bars if tell_bars and has_sections else None,
        sections_total=len(plan.sections) if tell_sections and has_sections else None,
    )
    return written(walker, _values(plan, missing, "dynamics" in marked.annotated))


def indices(style: str, ensemble: str, styles: Sequence[str]) -> tuple[int, int]:
    """Column values of a style and an ensemble."""
    return (1 + styles.index(style) if style in styles else 0), 1 + ENSEMBLES.index(ensemble)


def _values(plan: Plan, missing: frozenset[str], has_dynamics: bool) -> list[int]:
    home = "home" not in missing
    values = [
        UNKNOWN if "meter" in missing else fc.meter_value(plan.meter),
        int(plan.key.minor) if home else UNKNOWN,
        plan.key.pc if home else UNKNOWN,
        UNKNOWN if "tempo" in missing else fc.tempo_bin(plan.tempo_qpm),
        UNKNOWN if "meter" in missing else fc.pickup_value(plan.pickup_div),
    ]
    if "sections" in missing:
        return [*values, UNKNOWN]
    heard: list[str] = []
    labels: list[str] = []
    for section in plan.sections:
        values.append(fc.FIRST_RETURN + heard.index(section.letter) if section.letter in heard else fc.NEW)
        values += _section_values(plan, section, missing, has_dynamics)
        if section.letter in heard:
            values.append(UNKNOWN if section.variation is None else round(section.variation * (fc.VARIATIONS - 1)))
        else:
            heard.append(section.letter)
        labels.append(section.label)
    return [*values, fc.END]


def _section_values(plan: Plan, section: Section, missing: frozenset[str], has_dynamics: bool) -> list[int]:
    """All between the label and the variation."""
    values = [len(section.label) - 1, *fc.steps(section.bars, fc.MAX_SECTION_STEP)]
    keyless = missing & {"keys", "home"}
    values.append(UNKNOWN if keyless else fc.key_value(section.key, plan.key))
    if "phrases" in missing:
        values.append(UNKNOWN)
    else:
        for phrase in section.phrases:
            cadence = UNKNOWN if "cadences" in missing else fc.cadence_value(phrase.cadence)
            values += [*fc.steps(phrase.bars, fc.MAX_PHRASE_STEP), fc.idea_value(phrase.idea), cadence]
    bare = "textures" in missing
    known = has_dynamics or section.dynamic is not None
    return [
        *values,
        UNKNOWN if bare or section.density is None else fc.density_bin(section.density),
        UNKNOWN if bare or section.register is None else fc.register_bin(section.register),
        fc.dynamic_value(section.dynamic) if known and "dynamics" not in missing else UNKNOWN,
    ]


def decode(values: Iterable[int], style: str, ensemble: str) -> FormDraw:
    """The form that values tell.

    Raises:
        ValueError: values that are no walk through the stream.
    """
    walker = FormWalker(0, 0)
    for value in values:
        walker.push(int(value))
    if walker.field is not None:
        raise ValueError(f"the form still asks for {fc.FIELDS[walker.field].name}")
    return drawn(walker, style, ensemble)


def drawn(walker: FormWalker, style: str, ensemble: str) -> FormDraw:
    """The form that a walker has been told; letters are A, B … in order of their first hearing."""
    meter, minor, tonic, tempo, pickup = walker.head
    home = None if min(minor, tonic) < 0 else Key.of_pc(tonic, bool(minor))
    return FormDraw(
        style,
        ensemble,
        fc.METERS_KNOWN[meter] if 0 <= meter < len(fc.METERS_KNOWN) else None,
        home,
        fc.tempo_of(tempo) if tempo >= 0 else None,
        fc.PICKUPS[pickup] if 0 <= pickup < len(fc.PICKUPS) else None,
        tuple(_section(section, home) for section in walker.sections),
    )


def _section(section: Drawn, home: Key | None) -> SectionDraw:
    phrases = tuple(
        Phrase(bars, fc.idea_of(max(0, idea)), CADENCES[cadence - 1] if cadence > 0 else None)
        for _, bars, idea, cadence in section.phrases
    )
    return SectionDraw(
        chr(_FIRST_LETTER + section.letter) + "'" * section.prime,
        section.bars,
        None if section.key < 0 or home is None else fc.key_of(section.key, home),
        phrases,
        fc.density_of(section.density) if section.density >= 0 else None,
        fc.register_of(section.register) if section.register >= 0 else None,
        DYNAMICS[section.dynamic - 1] if section.dynamic > 0 else None,
        section.variation / (fc.VARIATIONS - 1) if section.variation >= 0 else None,
        section.source if section.source >= 0 else None,
    )


def canonical(marked: MarkedPlan) -> FormDraw:
    """What of a plan the stream keeps: `decode` gives it back from the plan's tokens.

    Letters are named in order of their first hearing, keys spelled as relations of home, numbers are those in the
    middle of their bins, and what a return returns to is settled by labels.
    """
    plan, missing = marked.plan, marked.missing
    home = None if "home" in missing else Key.of_pc(plan.key.pc, plan.key.minor)
    names: dict[str, str] = {}
    sections: list[SectionDraw] = []
    for section in plan.sections if "sections" not in missing else ():
        letter = names.setdefault(section.letter, chr(_FIRST_LETTER + len(names)))
        label = letter + section.label[1:]
        source = source_of([s.label for s in sections], label)
        sections.append(_canonical_section(section, label, source, home, missing))
    return FormDraw(
        plan.style,
        plan.ensemble,
        plan.meter if plan.meter in fc.METERS_KNOWN and "meter" not in missing else None,
        home,
        None if "tempo" in missing else fc.tempo_of(fc.tempo_bin(plan.tempo_qpm)),
        plan.pickup_div if plan.pickup_div in fc.PICKUPS and "meter" not in missing else None,
        tuple(sections),
    )


def _canonical_section(
    section: Section, label: str, source: int | None, home: Key | None, missing: frozenset[str]
) -> SectionDraw:
    phrases = tuple(
        Phrase(p.bars, fc.idea_of(fc.idea_value(p.idea)), None if "cadences" in missing else p.cadence)
        for p in (section.phrases if "phrases" not in missing else ())
    )
    bare = "textures" in missing
    varied = source is not None and section.variation is not None
    return SectionDraw(
        label,
        section.bars,
        None if home is None or "keys" in missing else fc.key_of(fc.key_value(section.key, home), home),
        phrases,
        None if bare or section.density is None else fc.density_of(fc.density_bin(section.density)),
        None if bare or section.register is None else fc.register_of(fc.register_bin(section.register)),
        None if "dynamics" in missing else section.dynamic,
        round((section.variation or 0.0) * (fc.VARIATIONS - 1)) / (fc.VARIATIONS - 1) if varied else None,
        source,
    )
