"""The stream "form": its fields, its columns, and the bins in which its numbers are told.

Fields in the order in which they are asked for. The head: `meter minor tonic tempo pickup`. Then for each section
`label` (0 the end, 1 a new letter, 2 + k a return to the letter that was heard first as number k), `prime`, `bars`,
`key`; phrases until the bars are full: `phrase_bars idea cadence`; then `density register dynamic`, and `variation`
where the section is a return. Style and ensemble are given, not asked for.

A section longer than 128 bars takes several `bars` tokens, a phrase longer than 64 several `phrase_bars` tokens: the
last value of these fields means "so many, and more".
"""

from __future__ import annotations

import math

from music.pitch import Key
from music.plan import CADENCES, DYNAMICS, ENSEMBLES
from music.time import DIVS_PER_QUARTER, Meter
from planner.request import METERS
from planner.streams import Column, Field, Stream

# Meters of the corpora that a user cannot ask for; whatever else there is, is "other", the last value.
METERS_KNOWN = (*METERS, *(Meter.parse(text) for text in ("2/8", "3/16", "6/16", "9/16", "12/16", "8/4", "1/4", "2/1")))
PICKUPS = tuple(
    DIVS_PER_QUARTER * sixteenths // 24  # in 24ths of a quarter
    for sixteenths in (0, 3, 6, 8, 12, 16, 18, 24, 30, 36, 42, 48, 60, 72, 84, 96, 120)
)
LETTERS = 26
PRIMES = 32
MAX_SECTION_STEP, MAX_PHRASE_STEP = 128, 64
IDEA_LETTERS, IDEA_PRIMES = 12, 4
TEMPO_BINS, TEMPO_LOW, TEMPO_HIGH = 24, 30.0, 220.0
DENSITY_BINS, DENSITY_LOW, DENSITY_HIGH = 16, 0.75, 16.0
REGISTER_BINS, REGISTER_LOW, REGISTER_STEP = 24, 36, 2
# Factors and semitones from one bin to the next.
TEMPO_STEP = (TEMPO_HIGH / TEMPO_LOW) ** (1 / TEMPO_BINS)
DENSITY_STEP = (DENSITY_HIGH / DENSITY_LOW) ** (1 / DENSITY_BINS)
VARIATIONS = 11
MOST_STYLES = 128

END, NEW, FIRST_RETURN = 0, 1, 2
FIELDS = (
    Field("meter", len(METERS_KNOWN) + 1),
    Field("minor", 2),
    Field("tonic", 12),
    Field("tempo", TEMPO_BINS),
    Field("pickup", len(PICKUPS) + 1),
    Field("label", FIRST_RETURN + LETTERS, ("followed",)),
    Field("prime", PRIMES, ("letter_prime",)),
    Field("bars", MAX_SECTION_STEP + 1, ("model_bars", "last_bars")),
    Field("key", 24, ("model_key", "last_key")),
    Field("phrase_bars", MAX_PHRASE_STEP + 1, ("model_phrase", "last_phrase")),
    Field("idea", IDEA_LETTERS * IDEA_PRIMES, ("model_idea",)),
    Field("cadence", len(CADENCES) + 1, ("model_cadence",)),
    Field("density", DENSITY_BINS, ("near_density",)),
    Field("register", REGISTER_BINS, ("near_register",)),
    Field("dynamic", len(DYNAMICS) + 1, ("near_dynamic",)),
    Field("variation", VARIATIONS),
)
METER, MINOR, TONIC, TEMPO, PICKUP, LABEL, PRIME, BARS, KEY = range(9)
PHRASE, IDEA, CADENCE, DENSITY, REGISTER, DYNAMIC, VARIATION = range(9, 16)

# Where a bucket ends and the next begins: bucket(value, bounds).
SECTION_BOUNDS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26, 34)
BAR_BOUNDS = (1, 6, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385)
BARS_LEFT_BOUNDS = (1, 5, 9, 13, 17, 21, 25, 33, 41, 49, 65, 81, 97, 129, 161, 193, 257, 385)
SECTIONS_LEFT_BOUNDS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 24, 32)
MOST_HEARD = 7
TEMPO_GROUP = 4  # bins

COLUMNS = (
    Column("style", MOST_STYLES),
    Column("ensemble", len(ENSEMBLES) + 1),
    Column("meter_mode", 1 + 7 * 3),  # the meter's kind, and no, major or minor mode
    Column("tempo", 1 + TEMPO_BINS // TEMPO_GROUP),
    Column("sections", len(SECTION_BOUNDS) + 2),  # begun so far
    Column("bars", len(BAR_BOUNDS) + 2),  # in the sections so far
    Column("bars_left", len(BARS_LEFT_BOUNDS) + 2),  # after the sections so far, where the total is told
    Column("sections_left", len(SECTIONS_LEFT_BOUNDS) + 2),  # after the sections so far, where their number is told
    Column("letter", LETTERS + 1),  # of the latest section
    Column(
        "letter_prime", PRIMES + 1
    ),  # where a prime is asked for, that of the letter's last hearing; else the latest
    Column("heard", MOST_HEARD + 1),  # how often the latest section's letter was heard, it included
    Column("followed", FIRST_RETURN + LETTERS + 1),  # the label that came next when this one's letter was heard before
    Column("model_bars", MAX_SECTION_STEP + 2),  # the model: the section that this one returns to
    Column("last_bars", MAX_SECTION_STEP + 2),  # of the section before, until this one's are known
    Column("model_key", 25),
    Column("last_key", 25),
    Column("model_phrase", MAX_PHRASE_STEP + 2),  # the model's phrase at the same bar
    Column("last_phrase", MAX_PHRASE_STEP + 2),
    Column("model_idea", IDEA_LETTERS * IDEA_PRIMES + 1),
    Column("last_idea", IDEA_LETTERS * IDEA_PRIMES + 1),  # 0 at a section's first phrase
    Column("model_cadence", len(CADENCES) + 2),
    Column("last_cadence", len(CADENCES) + 2),  # of the phrase before, be it the last section's
    Column("room", MAX_PHRASE_STEP + 2),  # bars of the section that no phrase fills as yet
    Column("near_density", DENSITY_BINS + 1),  # the model's; a new letter's: that of the section before
    Column("near_register", REGISTER_BINS + 1),
    Column("near_dynamic", len(DYNAMICS) + 2),
)
STREAM = Stream("form", COLUMNS, FIELDS)


def _log_bin(value: float, low: float, high: float, bins: int) -> int:
    place = math.log(max(value, low) / low) / math.log(high / low) * bins
    return min(bins - 1, int(place + 1e-9))


def _log_edge(index: float, low: float, high: float, bins: int) -> float:
    return low * (high / low) ** (index / bins)


def tempo_bin(tempo_qpm: float) -> int:
    """Bin of a tempo; what is slower or faster than all bins is in the first or last."""
    return _log_bin(tempo_qpm, TEMPO_LOW, TEMPO_HIGH, TEMPO_BINS)


def tempo_edges(index: int) -> tuple[float, float]:
    """Lowest and highest quarters a minute of a bin."""
    low, high = (_log_edge(float(i), TEMPO_LOW, TEMPO_HIGH, TEMPO_BINS) for i in (index, index + 1))
    return low, high


def tempo_of(index: int) -> float:
    """Quarters a minute in the middle of a bin, a whole number."""
    return float(round(_log_edge(index + 0.5, TEMPO_LOW, TEMPO_HIGH, TEMPO_BINS)))


def density_bin(density: float) -> int:
    """Bin of so many notes a quarter."""
    return _log_bin(density, DENSITY_LOW, DENSITY_HIGH, DENSITY_BINS)


def density_of(index: int) -> float:
    """Notes a quarter in the middle of a bin."""
    return round(_log_edge(index + 0.5, DENSITY_LOW, DENSITY_HIGH, DENSITY_BINS), 3)


def register_bin(register: float) -> int:
    """Bin of a mean MIDI pitch."""
    return min(REGISTER_BINS - 1, max(0, int((register - REGISTER_LOW) // REGISTER_STEP)))


def register_of(index: int) -> float:
    """Mean MIDI pitch in the middle of a bin."""
    return float(REGISTER_LOW + REGISTER_STEP * (index + 0.5))


def meter_value(meter: Meter) -> int:
    """Value of a meter; the last one for a meter that is not in `METERS_KNOWN`."""
    return METERS_KNOWN.index(meter) if meter in METERS_KNOWN else len(METERS_KNOWN)


def pickup_value(pickup_div: int) -> int:
    """Value of an upbeat; the last one for a length that is not in `PICKUPS`."""
    return PICKUPS.index(pickup_div) if pickup_div in PICKUPS else len(PICKUPS)


def cadence_of(value: int) -> str | None:
    """Inverse of `cadence_value`."""
    return CADENCES[value - 1] if value else None


def cadence_value(cadence: str | None) -> int:
    """0 for none, else 1 + its place in `CADENCES`."""
    return 0 if cadence is None else 1 + CADENCES.index(cadence)


def dynamic_value(dynamic: str | None) -> int:
    """0 for none, else 1 + its place in `DYNAMICS`."""
    return 0 if dynamic is None else 1 + DYNAMICS.index(dynamic)


def idea_value(idea: str) -> int:
    """Value of an idea; letters after l and more than three primes count as l and three primes."""
    letter, primes = ord(idea[0]) - ord("a"), len(idea) - 1
    return min(letter, IDEA_LETTERS - 1) * IDEA_PRIMES + min(primes, IDEA_PRIMES - 1)


def idea_of(value: int) -> str:
    """Inverse of `idea_value`."""
    return chr(ord("a") + value // IDEA_PRIMES) + "'" * (value % IDEA_PRIMES)


def key_value(key: Key, home: Key) -> int:
    """Semitones of a key above home, and 12 more where it is minor."""
    return (key.pc - home.pc) % 12 + 12 * key.minor


def key_of(value: int, home: Key) -> Key:
    """Inverse of `key_value`, spelled as a relation of home's."""
    key = Key.of_pc(home.pc + value % 12, value >= 12)
    return home.relative(key.relation_to(home))


def _meter_kind(meter: Meter) -> int:
    """0 duple, 1 triple, 2 quadruple, 3 to 5 the same with dotted beats, 6 any other."""
    if meter.beats not in (2, 3, 4):
        return 6
    return meter.beats - 2 + 3 * meter.is_compound


METER_KINDS = (*(_meter_kind(meter) for meter in METERS_KNOWN), 6)


def steps(count: int, step: int) -> list[int]:
    """The values that tell a number of bars: `step` for each time that it is passed, then the rest less one."""
    more, rest = divmod(count - 1, step)
    return [step] * more + [rest]
