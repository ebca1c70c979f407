"""What lies ahead of a theme: its last bar line, the cadence that falls on it, the range of the voice that sings it.

Which values can still be completed is exact: sets of places from which the theme's end is reached, in notes and rests
that training has seen in the meter, are found backward from the end and kept as bits (in the manner of Markov
constraints, Pachet and Roy 2011). How likely a close is kept from there is told by a walk of pitch classes of order 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from planner.stepper import Stepper
from planner.streams import Tokens
from planner.theme_kernels import (
    CLASS,
    EIGHTH,
    FIT,
    IMPOSSIBLE,
    MAX_LEAP,
    MAX_RANGE,
    OUT_OF_POINTS,
    PLACES,
    RIGHT,
    STEPS,
    STRONG,
    Rules,
    walk_theme,
)
from planner.theme_scene import LONGEST, MAX_BARS, METER_CLASSES, TO_END, ThemeScene, meter_class
from planner.theme_stream import (
    BARS,
    DURATION,
    FIELDS,
    GAP,
    MAX_UPBEAT,
    MIDDLE,
    OCTAVE,
    PITCH,
    PITCHES,
    STREAM,
    UPBEAT,
    ThemeWalker,
    cadence_column,
    chord_columns,
    first_phrase_column,
    fixed_columns,
    place_columns,
    tonic_pitch,
    units_of_walk,
)

_ENDS = {0: PLACES, 3: (0, 3, 6, 9), 6: (0, 3, 6, 9), 9: (0, 3, 6, 9), 4: (0, 4, 8), 8: (0, 4, 8)}
_PLAIN_NOTES = (3, 4, 6, 8, 9, 12, 16, 18, 21, 24, 30, 36, 42, 48, 54, 60, 72, 84, 96, 120, 144, 168, 192)
_PLAIN_RESTS = (0, 3, 4, 6, 8, 9, 12, 18, 24, 30, 36, 48, 60, 72)
_SEEN_HERE, _SEEN_ANYWHERE = 2, 40  # how often a value must be seen in a meter, or in all meters
# Pitch classes above the tonic that close a theme with a cadence.
CLOSES = {"PAC": (0,), "HC": (2, 7, 11)}
_MOST = max(field.size for field in FIELDS)
_FLOOR = 1e-3  # least weight of what is possible


def uniform_tables() -> dict[str, np.ndarray]:
    """Tables of one who has heard nothing: plain notes and rests, all steps up to an octave alike."""
    notes = np.zeros((METER_CLASSES + 1, len(PLACES), LONGEST), dtype=np.float32)
    notes[:, :, [d - 1 for d in _PLAIN_NOTES]] = 1
    rests = np.zeros((METER_CLASSES + 1, len(PLACES), TO_END), dtype=np.float32)
    rests[:, :, list(_PLAIN_RESTS)] = 1
    steps = np.full((2, 12, 2 * MAX_LEAP + 1), 1 / (2 * MAX_LEAP + 1), dtype=np.float32)
    return {"notes": notes * _on_grid(LONGEST, 1), "rests": rests * _on_grid(TO_END, 0), "steps": steps}


def fit_tables(walks: Sequence[Tokens]) -> dict[str, np.ndarray]:
    """Tables of training themes.

    Returns:
        "notes" [meter classes, `PLACES`, durations] and "rests" [meter classes, `PLACES`, gaps]: 1 for what was heard
        at such a place, 0 else. "steps" [modes, pitch classes, intervals from an octave down to one up]: how often a
        pitch class goes on by each interval.
    """
    heard = {name: np.zeros_like(table) for name, table in uniform_tables().items()}
    heard["steps"] += 0.5 / (2 * MAX_LEAP + 1)
    meter, mode = STREAM.column["meter"], STREAM.column["mode"]
    for walk in walks:
        kind, minor = int(walk.columns[0, meter]), (int(walk.columns[0, mode]) - 1) % 2
        position, pitches = 0, []
        for field, value in zip(walk.fields.tolist(), walk.values.tolist(), strict=True):
            place = CLASS[position % EIGHTH]
            if field == UPBEAT:
                position = -value
            elif field == GAP and value != TO_END:
                heard["rests"][kind, place, value] += place >= 0
                position += value
            elif field == DURATION:
                heard["notes"][kind, place, value] += place >= 0
                position += value + 1
            elif field == PITCH:
                pitches.append(value)
        for a, b in pairwise(pitches):
            if abs(b - a) <= MAX_LEAP:
                heard["steps"][minor, (a - MIDDLE) % 12, b - a + MAX_LEAP] += 1
    return {
        "notes": _seen(heard["notes"]) * _on_grid(LONGEST, 1),
        "rests": _seen(heard["rests"]) * _on_grid(TO_END, 0),
        "steps": heard["steps"] / heard["steps"].sum(axis=-1, keepdims=True),
    }


def _seen(counts: Float[np.ndarray, "meters places values"]) -> Float[np.ndarray, "meters places values"]:
    seen = (counts >= _SEEN_HERE) | (counts.sum(axis=0) >= _SEEN_ANYWHERE)
    return seen.astype(np.float32)


@cache
def _on_grid(size: int, least: int) -> Bool[np.ndarray, "places values"]:
    """For each of `PLACES` which lengths from `least` on end on a place that goes with it."""
    ends = [[(place + n) % EIGHTH in _ENDS[place] for n in range(least, least + size)] for place in PLACES]
    return np.array(ends)


@lru_cache(maxsize=1024)
def _bits(flags: bytes) -> int:
    """Flags, a byte each, as the bits of a number, the first one lowest."""
    return int("".join("1" if flag else "0" for flag in reversed(flags)) or "0", 2)


def _flags(bits: int, size: int) -> Bool[np.ndarray, " size"]:
    """The lowest `size` bits of a number."""
    raw = (bits & ((1 << size) - 1)).to_bytes((size + 7) // 8, "little")
    return np.unpackbits(np.frombuffer(raw, dtype=np.uint8), count=size, bitorder="little").astype(bool)


@dataclass(frozen=True)
class _Ends:
    """From which places, counted from `-MAX_UPBEAT`, a theme of so many units can be brought to its end.

    Args:
        closed: places after a note that may be the last one.
        open: those after which another note must come.
        starts: those at which a note may begin.
    """

    closed: Bool[np.ndarray, " places"]
    open: Bool[np.ndarray, " places"]
    starts: Bool[np.ndarray, " places"]


@lru_cache(maxsize=256)
def _ends(bars: int, bar: int, notes: tuple[int, ...], rests: tuple[int, ...]) -> _Ends:
    """The ends of themes of `bars` bars of `bar` units with these notes and rests, as bits by `PLACES`."""
    size = MAX_UPBEAT + bars * bar + 1
    closed = open_ = starts = 0
    for at in range(size - 1, -1, -1):
        place = CLASS[(at - MAX_UPBEAT) % EIGHTH]
        if place < 0:
            continue
        if (closed >> (at + 1)) & notes[place]:
            starts |= 1 << at
        if (starts >> at) & rests[place]:
            open_ |= 1 << at
        # The last rest is shorter than a bar.
        if at > size - 1 - bar or open_ >> at & 1:
            closed |= 1 << at
    pad = LONGEST + 1
    return _Ends(_flags(closed, size + pad), _flags(open_, size + pad), _flags(starts, size + pad))


class ThemeLimits:
    """What may come next in a theme, and how likely it then closes as wished.

    A theme spans what the analysis of real pieces gives a letter: its first phrase if that has 2 to 4 bars, else 4 bars
    or the whole section (or two phrases of 2 bars). It stays within `span`, within `MAX_RANGE` semitones and leaps an
    octave at most; a rest at its end is shorter than a bar. Where a perfect cadence falls on its end it ends on the
    tonic, where a half cadence does on a tone of V.

    Args:
        scene: what stands above it.
        tables: of `fit_tables` or `uniform_tables`.
        span: lowest and highest pitch, an octave apart at least.
        upbeats: units of upbeat that it may have; None: the plan's own for the first letter, half a bar at most for
            others.
        bars: lengths that it may have; None: as above.

        grid: units between the places where notes may begin and end: 6 sixteenths, 4 their triplets, 1 both.

    Public besides: `bars` that are possible, `upbeats` that were asked for.

    Raises:
        ValueError: a span of less than an octave, or no theme is possible.
    """

    def __init__(
        self,
        scene: ThemeScene,
        tables: Mapping[str, np.ndarray],
        span: tuple[int, int],
        *,
        upbeats: Sequence[int] | None = None,
        bars: Sequence[int] | None = None,
        grid: int = 1,
    ) -> None:
        if span[1] - span[0] < MAX_LEAP:
            raise ValueError(f"a theme cannot move between {span[0]} and {span[1]}: that is less than an octave")
        self.scene, self.span = scene, span
        kind = meter_class(scene.meter)
        self._notes = tables["notes"][kind] > 0
        self._notes[0, min(scene.bar, LONGEST) - 1] = True  # a note of a bar needs no example
        self._rests = tables["rests"][kind] > 0
        self._rests[:, min(scene.bar, TO_END) :] = False
        _keep_grid(self._notes, grid, 1)
        _keep_grid(self._rests, grid, 0)
        self._note_bits = tuple(_bits(row.tobytes()) for row in self._notes)
        self._rest_bits = tuple(_bits(row.tobytes()) for row in self._rests)
        self._steps = tables["steps"][int(scene.key.minor)].astype(np.float32).tobytes()
        self._ends: dict[int, _Ends] = {}
        # What is possible at a place of a theme of so many bars, whatever was sung; not to be changed.
        self._rests_from: dict[tuple[int, int], Float[np.ndarray, " values"]] = {}
        self._notes_from: dict[tuple[int, int], Float[np.ndarray, " values"]] = {}
        asked = tuple(upbeats) if upbeats is not None else _default_upbeats(scene)
        self.upbeats = tuple(u for u in asked if u % grid == 0) or (0,)
        wanted = tuple(bars) if bars is not None else theme_bars(scene)
        self.bars = tuple(b for b in wanted if self._upbeats_of(b))
        if not self.bars:
            raise ValueError(f"no theme of {' or '.join(map(str, wanted))} bars is possible in {scene.meter}")
        self._closes = {b: CLOSES.get(scene.closes(b) or "") for b in range(1, MAX_BARS + 1)}

    def weights(self, walker: ThemeWalker) -> Float[np.ndarray, " values"] | None:
        """Weights of the values of the field that is asked for; 0 is what cannot be completed."""
        field = walker.field
        if field == PITCH:
            return self._pitches(walker)
        if field == DURATION:
            return self._durations(walker)
        if field == GAP:
            return self._gaps(walker)
        found = np.zeros(FIELDS[field].size if field is not None else 0)
        if field == BARS:
            found[[b - 1 for b in self.bars]] = 1
        elif field == UPBEAT:
            found[self._upbeats_of(walker.bars)] = 1
        elif field == OCTAVE:
            found[self._octaves()] = 1
        return found

    def _octaves(self) -> Bool[np.ndarray, " octaves"]:
        """The tonic of reference is at most a tritone from the middle of the range."""
        tonics = tonic_pitch(self.scene.key, 0) + 12 * np.arange(FIELDS[OCTAVE].size)
        return (tonics >= self.span[0] - 6) & (tonics <= self.span[1] + 6)

    def walk(
        self, stepper: Stepper, walker: ThemeWalker, points: Float[np.ndarray, " tokens"], temperature: float
    ) -> list[int] | None:
        """See `planner.drawing.WholeLimits`."""
        stepper.reset()
        rules, values, sung = self._rules, np.zeros(len(points), np.int64), np.zeros((3, len(points)), np.int64)
        heard = np.repeat([[-1], [0]], rules.units.shape[1], axis=1)
        count, notes = walk_theme(stepper.network, rules, points, temperature, np.zeros(_MOST), heard, values, sung)
        if count == OUT_OF_POINTS:
            return None
        if count < 0:
            raise RuntimeError(f"{STREAM.name}: no {FIELDS[IMPOSSIBLE - count].name} is possible")
        found = values[:count].tolist()
        walker.lead_to_end(found, sung[:, :notes].tolist())
        return found

    @cached_property
    def _rules(self) -> Rules:
        """All that `weights` and `ThemeWalker.columns` go by, as arrays."""
        scene, lengths = self.scene, MAX_BARS + 1
        ends = np.zeros((3, lengths, units_of_walk(scene) + LONGEST + 1), dtype=bool)
        heads = np.zeros((UPBEAT + lengths, max(field.size for field in FIELDS[:GAP])))
        heads[BARS, [b - 1 for b in self.bars]] = 1
        heads[OCTAVE, : FIELDS[OCTAVE].size] = self._octaves()
        closes = np.ones((lengths, RIGHT + 1, PITCHES))
        for bars in self.bars:
            own = self._ends_of(bars)
            ends[:, bars, : len(own.closed)] = own.closed, own.open, own.starts
            heads[UPBEAT + bars, self._upbeats_of(bars)] = 1
            wanted = self._closes[bars]
            if wanted is not None:
                closes[bars, RIGHT], closes[bars, :RIGHT] = _close(self._steps, wanted)
        cadences = [cadence_column(scene, bars) for bars in range(lengths)]
        return Rules(
            fixed=np.array(fixed_columns(scene), dtype=np.int64),
            scene=np.array([scene.bar, tonic_pitch(scene.key, 0), *self.span, first_phrase_column(scene), *cadences]),
            units=np.concatenate((place_columns(scene.meter), chord_columns(scene))),
            notes=self._notes,
            rests=self._rests,
            ends=ends,
            heads=heads,
            closes=closes,
        )

    def _ends_of(self, bars: int) -> _Ends:
        if bars not in self._ends:
            self._ends[bars] = _ends(bars, self.scene.bar, self._note_bits, self._rest_bits)
        return self._ends[bars]

    def _upbeats_of(self, bars: int) -> list[int]:
        """The upbeats that a theme of so many bars can begin with."""
        ends = self._ends_of(bars)
        return [u for u in self.upbeats if (ends.starts if u else ends.open)[MAX_UPBEAT - u]]

    def _wanted(self, walker: ThemeWalker) -> tuple[int, ...] | None:
        """Pitch classes above the tonic that the last note may have, None for all."""
        return self._closes[walker.bars]

    def _gaps(self, walker: ThemeWalker) -> Float[np.ndarray, " values"]:
        ends = self._ends_of(walker.bars)
        at = walker.position + MAX_UPBEAT
        place = CLASS[walker.position % EIGHTH]
        if place < 0:
            return np.zeros(FIELDS[GAP].size)
        found = self._rests_from.get((walker.bars, at))
        if found is None:
            found = np.zeros(FIELDS[GAP].size)
            found[:TO_END] = self._rests[place] & ends.starts[at : at + TO_END]
            self._rests_from[walker.bars, at] = found
        wanted = self._wanted(walker)
        if not walker.pitches:
            return found
        found = found.copy()
        found[TO_END] = walker.position > walker.end - self.scene.bar
        if wanted is not None:
            right, chances = _close(self._steps, wanted)
            found[TO_END] *= right[walker.pitches[-1]]
            found[:TO_END] *= chances[self._ahead(walker, walker.end - walker.position), walker.pitches[-1]]
        return found

    def _durations(self, walker: ThemeWalker) -> Float[np.ndarray, " values"]:
        ends = self._ends_of(walker.bars)
        at = walker.position + MAX_UPBEAT
        place = CLASS[walker.position % EIGHTH]
        if place < 0:
            return np.zeros(LONGEST)
        found = self._notes_from.get((walker.bars, at))
        if found is None:
            found = (self._notes[place] & ends.closed[at + 1 : at + 1 + LONGEST]).astype(float)
            self._notes_from[walker.bars, at] = found
        wanted = self._wanted(walker)
        left = walker.end - walker.position
        if wanted is not None and walker.pitches and left <= LONGEST:
            # A note that ends the theme is the next pitch; after others there are some more.
            chance = _close(self._steps, wanted)[1][:, walker.pitches[-1]]
            rest = left - 1 - np.arange(left)
            ahead = np.clip(np.rint(rest / self._pace(walker)), 1, STEPS - 1).astype(int) + 1
            ahead[-1] = 1
            found = found.copy()
            found[:left] *= chance[ahead]
        return found

    def _pace(self, walker: ThemeWalker) -> int:
        """Units a note so far, rests counted."""
        return max(3, (walker.position + walker.upbeat) // len(walker.pitches)) if walker.pitches else 12

    def _ahead(self, walker: ThemeWalker, left: int) -> int:
        """About how many notes are still to come in `left` units, at the pace so far; one at the least."""
        return max(1, min(STEPS, round(left / self._pace(walker))))

    def _pitches(self, walker: ThemeWalker) -> Float[np.ndarray, " values"]:
        found = np.zeros(PITCHES)
        base = MIDDLE - walker.tonic
        low, high = self.span[0] + base, self.span[1] + base
        sung = walker.pitches
        if sung:
            low = max(low, max(sung) - MAX_RANGE, sung[-1] - MAX_LEAP)
            high = min(high, min(sung) + MAX_RANGE, sung[-1] + MAX_LEAP)
        low, high = max(0, low), min(PITCHES - 1, high)
        found[low : high + 1] = 1
        after = walker.position + walker.duration
        wanted = self._wanted(walker)
        if wanted is not None:
            right, chances = _close(self._steps, wanted)
            if self._ends_of(walker.bars).open[after + MAX_UPBEAT]:
                left = walker.end - after
                found *= chances[self._ahead(walker, left) if left else 0]
            else:  # no note can come after this one
                found *= right
        at = walker.position + MAX_UPBEAT
        bits = walker.tones[at]
        if bits and walker.strengths[at] >= STRONG:
            found *= _fitting(bits)
        return found


@lru_cache(maxsize=4096)
def _fitting(bits: int) -> Float[np.ndarray, " pitches"]:
    """1 for the tones of a chord, less for others."""
    return _turned(np.array([1.0 if bits >> pc & 1 else FIT for pc in range(12)]))


@lru_cache(maxsize=16)
def _close(
    raw: bytes, wanted: tuple[int, ...]
) -> tuple[Float[np.ndarray, " pitches"], Float[np.ndarray, "steps pitches"]]:
    """Which pitches are wanted at the end, and by so many notes before it the chance that it comes to one.

    Args:
        raw: a table of steps, 32-bit floats [pitch classes, intervals].
        wanted: pitch classes above the tonic.
    """
    steps = np.frombuffer(raw, dtype=np.float32).reshape(12, -1)
    moves = np.zeros((12, 12))
    for interval in range(-MAX_LEAP, MAX_LEAP + 1):
        moves[np.arange(12), (np.arange(12) + interval) % 12] += steps[:, interval + MAX_LEAP]
    rows = [np.array([float(pc in wanted) for pc in range(12)])]
    for _ in range(STEPS):
        rows.append(moves @ rows[-1])
    return _turned(rows[0]), np.array([_turned(np.maximum(row, _FLOOR)) for row in rows])


def _turned(by_pc: Float[np.ndarray, " pcs"]) -> Float[np.ndarray, " pitches"]:
    """Values by pitch class above the tonic as values by pitch token."""
    return by_pc[(np.arange(PITCHES) - MIDDLE) % 12]


def _keep_grid(table: Bool[np.ndarray, "places values"], grid: int, least: int) -> None:
    """Leaves only places and lengths of whole `grid` units; column v stands for `least` + v units."""
    off = (np.arange(table.shape[1]) + least) % grid != 0
    table[[place % grid != 0 for place in PLACES]] = False
    table[:, off] = False


def theme_bars(scene: ThemeScene) -> tuple[int, ...]:
    """How many bars the theme of a section may have, as in the analysis of real pieces."""
    first = scene.phrases[0][0] if scene.phrases else scene.bars
    if not 2 <= first <= MAX_BARS:
        return (max(1, min(MAX_BARS, scene.bars)),)
    ends = [end for end, _ in scene.phrases]
    return (2, 4) if first == 2 and 4 in ends else (first,)


def _default_upbeats(scene: ThemeScene) -> tuple[int, ...]:
    """The first letter's theme begins where the plan does; others may begin up to half a bar early."""
    if scene.number == 0:
        pickup = scene.pickup
        fits = pickup <= MAX_UPBEAT and pickup % EIGHTH in PLACES
        return (pickup,) if fits else (0,)
    most = min(MAX_UPBEAT, scene.bar // 2)
    return tuple(u for u in range(most + 1) if u == 0 or u % 6 == 0 or u in (3, 4, 8))
