"""Links between sections: the melody leads from the rest after a close into the next section's first note.

How often, in which rhythm and by which steps is learned from real pieces, by style (`link_tables.json`, made by
`python -m benchmarks.links --write` from training pieces alone). A link begins a beat after the cadence's last chord at
the earliest, so the close stays what was planned, and it is left out where the next theme's own upbeat, the piece's
pickup or a wish has the place. A return has a link of its own: the same one where the same section follows.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from music.errors import PlanError, RequestError
from music.pitch import STEP_PC, STEPS, Key, octave_of
from music.plan import Chord, Plan, PlanNote, Section, Theme
from music.time import DIVS_PER_QUARTER, Meter
from planner.dice import Dice, pick
from planner.themes import RANGES
from planner.wishes import SectionWish

TABLES = Path(__file__).parent / "link_tables.json"
UNITS = (DIVS_PER_QUARTER // 4, DIVS_PER_QUARTER // 6)  # the composer's grids
LARGEST_MOVE = 4  # scale steps; what leaps farther counts as this
END = LARGEST_MOVE + 1  # stands for the move after the last one
LEAST_NOTES = 2
SHORTEST_SEC = 0.11  # of a note
_WEIGHT = 20.0  # boundaries that the ensemble's share counts for beside the style's own
_OUTSIDE = 0.25  # how much rarer a note on the beat is that the sounding chord does not hold
_ROOM = 0.4  # of our boundaries without an upbeat, about so many have a close that leaves room for a link
_TRIES = 4  # lines: some leave the range, and of the others the easiest to sing is taken
_LEAP = 5  # semitones from the close to the first note that are as good as fewer
_AWAY = 9  # semitones from the target to the farthest note at most


@dataclass(frozen=True)
class LinkTables:
    """What was counted in real pieces.

    Args:
        shares: by style and by ensemble, (links, boundaries whose place no upbeat has).
        rhythms: by ensemble and kind of meter, such as "piano simple": (onsets in sixteenths before the downbeat, how
            often).
        moves: by ensemble: next move in scale steps -> move -> how often; after the last one `END`.
    """

    shares: Mapping[str, tuple[int, int]]
    rhythms: Mapping[str, Sequence[tuple[tuple[int, ...], int]]]
    moves: Mapping[str, Mapping[int, Mapping[int, int]]]

    def share(self, style: str, ensemble: str) -> float:
        """How often a boundary of the style has a link; of a style with few boundaries rather as its ensemble's."""
        links, of = self.shares.get(ensemble, (0, 0))
        usual = links / of if of else 0.0
        links, of = self.shares.get(style, (0, 0))
        return (links + _WEIGHT * usual) / (of + _WEIGHT)


@cache
def shipped_tables() -> LinkTables:
    """The tables that ship."""
    data = json.loads(TABLES.read_text(encoding="utf-8"))
    return LinkTables(
        {name: (links, of) for name, (links, of) in data["shares"].items()},
        {
            name: [(tuple(int(o) for o in text.split()), count) for text, count in table.items()]
            for name, table in data["rhythms"].items()
        },
        {
            name: {int(after): {int(m): n for m, n in row.items()} for after, row in table.items()}
            for name, table in data["moves"].items()
        },
    )


def with_links(
    plan: Plan,
    asked: Sequence[SectionWish],
    dice: Dice,
    given: Container[str] = (),
    tables: LinkTables | None = None,
) -> Plan:
    """The plan with links where its style has them and there is room.

    Args:
        plan: with chords, themes and pickup settled.
        asked: the wishes for each section; a link that is asked for stands as it is, and none is drawn where bars are
            asked for one by one.
        dice: the plan's chance.
        given: letters of themes that are asked for; others lose an upbeat where a link that is asked for has the place.
        tables: None for those that ship.

    Raises:
        RequestError: a link that is asked for contradicts the rest of the plan.
    """
    for index, wish in enumerate(asked):
        plan = _with_wished(plan, index, wish, given)
    tables = tables or shipped_tables()
    share = tables.share(plan.style, plan.ensemble) / _ROOM
    if share <= 0:
        return plan
    unit = _unit(plan)
    sections = list(plan.sections)
    for index, (section, following) in enumerate(pairwise(plan.sections)):
        place = _place(plan, index)
        if place is None or asked[index].textures or asked[index].link:
            continue
        # The same pair of sections has the same link wherever it stands, as far as keys allow.
        rng = dice.stream(f"link {section.label} {following.label} {section.cadence}")
        if rng.random() < share:
            sections[index] = replace(section, link=_drawn(plan, index, place, unit, tables, rng))
    return replace(plan, sections=tuple(sections)) if any(s.link for s in sections) else plan


def _with_wished(plan: Plan, index: int, wish: SectionWish, given: Container[str]) -> Plan:
    if not wish.link:
        return plan
    sections = list(plan.sections)
    following = sections[index + 1].theme if index + 1 < len(sections) else None
    themes = (t if t.label != following or t.label in given else _without_upbeat(t) for t in plan.themes)
    try:
        sections[index] = replace(sections[index], link=wish.link)
        return replace(plan, sections=tuple(sections), themes=tuple(themes))
    except PlanError as error:
        raise RequestError(f"sections[{index}] link contradicts the plan: {error}") from None


def _without_upbeat(theme: Theme) -> Theme:
    return replace(theme, notes=tuple(n for n in theme.notes if n.onset_div >= 0) or theme.notes)


@dataclass(frozen=True)
class _Place:
    """Where a link may stand: divisions before the next downbeat, and the MIDI pitch that it leads to."""

    room_div: int
    target: int


def _place(plan: Plan, index: int) -> _Place | None:
    """The place after a section's close, None where there is none."""
    section, following = plan.sections[index], plan.sections[index + 1]
    theme = plan.theme_of(following.theme or "")
    if section.cadence is None or not section.chords or theme is None:
        return None
    if theme.notes[0].onset_div != 0 or (plan.pickup_div and following.source is not None):
        return None
    room = section.bars * plan.meter.bar_div - rest_div(section, plan.meter) - plan.meter.beat_div
    return _Place(room, opening_pitch(theme, following.key)) if room > 0 else None


def rest_div(section: Section, meter: Meter) -> int:
    """Where in a section the last chord of its close begins; equal chords in a row count as one."""
    last = section.chords[-1]
    onset = last.onset_div
    for chord in reversed(section.chords):
        if (chord.root, chord.quality) != (last.root, last.quality):
            break
        onset = chord.onset_div
    return max(onset, (section.bars - section.phrases[-1].bars) * meter.bar_div)


def opening_pitch(theme: Theme, key: Key) -> int:
    """The pitch of a theme's first note where it is heard in a key: the shorter way up or down, degrees by mode."""
    pitch = theme.notes[0].pitch
    degree = (pitch - theme.key.pc) % 12
    change = {} if theme.key.minor == key.minor else {3: 1, 8: 1, 10: 1} if theme.key.minor else {4: -1, 9: -1, 11: -1}
    return pitch + (key.pc - theme.key.pc + 5) % 12 - 5 + change.get(degree, 0)


def _unit(plan: Plan) -> int:
    """The finest note of the themes' grid: a sixteenth, or a sixteenth triplet where themes need it."""
    onsets = [n.onset_div for theme in plan.themes for n in theme.notes]
    return UNITS[1] if any(o % UNITS[0] for o in onsets) and not any(o % UNITS[1] for o in onsets) else UNITS[0]


def _drawn(
    plan: Plan, index: int, place: _Place, unit: int, tables: LinkTables, rng: np.random.Generator
) -> tuple[PlanNote, ...]:
    """A link, or none where no rhythm fits or the line leaves the range."""
    section, following = plan.sections[index], plan.sections[index + 1]
    kind = f"{plan.ensemble} {'compound' if plan.meter.is_compound else 'simple'}"
    quarters_a_second = plan.tempo_qpm * section.tempo_scale / 60
    shortest = SHORTEST_SEC * quarters_a_second * DIVS_PER_QUARTER
    able = [
        (onsets, count)
        for onsets, count in tables.rhythms.get(kind, ())
        if -onsets[0] * UNITS[0] <= place.room_div
        and all(o * UNITS[0] % unit == 0 for o in onsets)
        and min(b - a for a, b in pairwise((*onsets, 0))) * UNITS[0] >= shortest
    ]
    if not able:
        return ()
    rhythm = pick(rng, [o for o, _ in able], [n for _, n in able])
    onsets = [o * UNITS[0] for o in rhythm]
    tries = [_line(onsets, place.target, section, following, plan, tables, rng) for _ in range(_TRIES)]
    lines = [pitches for pitches in tries if pitches is not None]
    if not lines:
        return ()
    rest = _rest_pitch(plan, section)
    line = min(lines, key=lambda pitches: _effort((rest, *pitches, place.target)))
    ends = (*onsets[1:], 0)
    return tuple(PlanNote(on, end - on, pitch) for on, end, pitch in zip(onsets, ends, line, strict=True))


def _effort(line: Sequence[int]) -> int:
    """How hard a line is to sing: semitones beyond a second, those into its first note only beyond a fourth."""
    first, *others = (abs(b - a) for a, b in pairwise(line))
    return max(0, first - _LEAP) + sum(max(0, move - 2) for move in others)


def _rest_pitch(plan: Plan, section: Section) -> int:
    """About where the melody comes to rest: a tone of the close, the tonic in a PAC, at the height of its theme."""
    theme = plan.theme_of(section.theme or "")
    if theme is None:
        return RANGES[plan.ensemble][2]
    height = sum(n.pitch for n in theme.notes) / len(theme.notes) + opening_pitch(theme, section.key)
    height -= theme.notes[0].pitch
    classes = (section.key.pc,) if section.cadence == "PAC" else section.chords[-1].pcs
    return min((p for p in range(128) if p % 12 in classes), key=lambda p: abs(p - height))


def _line(
    onsets: Sequence[int],
    target: int,
    section: Section,
    following: Section,
    plan: Plan,
    tables: LinkTables,
    rng: np.random.Generator,
) -> list[int] | None:
    """Pitches from the first to the last, drawn backwards from the target in steps of the next section's key."""
    low, high = RANGES[plan.ensemble][:2]
    low, high = max(low, target - _AWAY), min(high, target + _AWAY)
    moves = tables.moves[plan.ensemble]
    first = following.chords[0].pcs if following.chords else ()
    length = section.bars * plan.meter.bar_div
    degree, pitch, after = staff_place(target, following.key), target, END
    found: list[int] = []
    for position in range(len(onsets) - 1, -1, -1):
        on_beat = onsets[position] % plan.meter.beat_div == 0
        pcs = _sounding(section.chords, length + onsets[position]).pcs if on_beat else ()
        options: list[tuple[int, int, int, float]] = []
        for move, count in moves.get(after, {}).items():
            new = pitch_at(degree - move, following.key, pitch, move)
            if not low <= new <= high or abs(new - pitch) in (6, 10, 11) or (not found and new == target):
                continue
            if not found and abs(move) != 1 and new % 12 not in first:
                continue
            weight = count * (_OUTSIDE if on_beat and new % 12 not in pcs else 1.0)
            options.append((new, degree - move, move, weight))
        if not options:
            return None
        new, degree, after, _ = pick(rng, options, [o[3] for o in options])
        pitch = new
        found.append(new)
    return found[::-1]


def _sounding(chords: Sequence[Chord], onset_div: int) -> Chord:
    return next(c for c in reversed(chords) if c.onset_div <= onset_div)


@cache
def staff_place(pitch: int, key: Key) -> int:
    """Steps of the staff from C0 up to a pitch as the key spells it."""
    step = key.step_of(pitch)
    return 7 * octave_of(pitch, step) + STEPS.index(step)


@cache
def pitch_at(place: int, key: Key, following: int, move: int) -> int:
    """The MIDI pitch of a place on the staff in a key; in minor a line that rises to the tonic has its raised degrees.

    Args:
        place: as `staff_place` gives it.
        key: of the line.
        following: MIDI pitch of the next note.
        move: scale steps to it.
    """
    octave, letter = divmod(place, 7)
    natural = next(pc for pc in key.scale if key.step_of(pc) == STEPS[letter])
    pitch = 12 * (octave + 1) + STEP_PC[STEPS[letter]]
    pitch += (natural - pitch + 6) % 12 - 6
    if not key.minor:
        return pitch
    degree, next_degree = (pitch - key.pc) % 12, (following - key.pc) % 12
    # The seventh is raised unless the line falls through it to the sixth; the sixth where it rises to that.
    falls = move == -1 and next_degree == 8
    raised = (degree == 10 and not falls) or (degree == 8 and move == 1 and next_degree == 11)
    return pitch + raised
