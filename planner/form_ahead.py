"""Wishes for the head and the form: which values may stand at a place, and how well the rest can be met from there.

A value has a weight above 0 if and only if the form can still be completed under all wishes. The sections that are
asked for are a finite chain: letters, keys and cadences are masks; bars are arithmetic over what the sections to come
must have at least; `planner.form_lengths` says how likely their usual lengths add up to what is left.

Beside the wishes a form keeps these rules, unless a wish says otherwise: the first and the last section stand in the
home key, the last closes with an authentic cadence, a section has four bars at least, and a prime is one that its
letter has or the next one. A section whose label is open takes no new letter or prime that a later one is asked to
have. Where all is open a form has 40 sections and 400 bars at most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from music.errors import RequestError
from music.pitch import ALL_KEYS, Key
from music.plan import CADENCES, MAX_BARS, TEMPO_RANGE
from music.time import Meter
from planner import form_columns as fc
from planner.form_lengths import (
    MOST_SECTIONS,
    Lengths,
    StyleLengths,
    evenness,
    fit_tables,
    floored,
    stepped,
    uniform_tables,
)
from planner.form_masks import Weights, cadence_values, one, only, step_weights, tempo_bins
from planner.form_stream import FormDraw
from planner.form_walker import FormWalker
from planner.form_wishes import Scene, bars_of, can_close, check_sections, chord_bars, make_scene, settled
from planner.forms import MIN_SECTION_BARS
from planner.request import METERS
from planner.wishes import SectionWish, Wishes, cadences_at, fixed_chords

__all__ = ["MOST_BARS", "MOST_SECTIONS", "FormLimits", "Lengths", "fit_tables", "uniform_tables"]

MOST_BARS = 400  # where neither bars nor sections are asked for
_AUTHENTIC = frozenset(("PAC", "IAC"))
_LOOSE = 0.02  # factor on every other length of a return than its model's, where that is possible
_ANY = frozenset((None, *CADENCES))
_OTHER_METER, _OTHER_PICKUP = len(fc.METERS_KNOWN), len(fc.PICKUPS)


class FormLimits:
    """What the walk through a form may choose under wishes.

    Args:
        wishes: the request's.
        tables: lengths of sections and phrases; a `Lengths` may serve many requests.
        sections: how many sections an open form is to have (`Lengths.section_counts` says what is usual). Without it a
            form whose bars are open too may end only where it happens to have closed at home, which makes it longer
            than real ones are.

    Raises:
        RequestError: two wishes that contradict each other, both named.

    Attributes:
        bars_total, sections_total: to be told to the `FormWalker`, None where they are open.
    """

    def __init__(
        self, wishes: Wishes, tables: Mapping[str, np.ndarray] | Lengths, *, sections: int | None = None
    ) -> None:
        first_least = max([MIN_SECTION_BARS, *(theme.bars for theme in wishes.themes)])
        if wishes.sections is None and sections is not None:
            made = (SectionWish(bars_at_least=first_least), *[SectionWish()] * (sections - 1))
            wishes = replace(wishes, sections=lambda home: made)
        self.wishes = wishes
        self._lengths = tables if isinstance(tables, Lengths) else Lengths(tables)
        self._style: StyleLengths | None = None
        self._scenes: dict[tuple[int, ...], Scene] = {}
        probe: tuple[SectionWish, ...] = ()
        if wishes.sections is not None:
            probe = wishes.sections(wishes.key or min(wishes.homes or (Key("C"),)))
        self._shape = probe  # letters and lengths, which no home key changes
        self._fixed = [bars_of(wish) for wish in probe]
        self._least = [
            fixed or max(MIN_SECTION_BARS, wish.bars_at_least) for fixed, wish in zip(self._fixed, probe, strict=True)
        ]
        self.sections_total = len(probe) or None
        self.bars_total = wishes.bars
        if probe and self.bars_total is None and all(self._fixed):
            self.bars_total = sum(self._least)
        self._first_least = first_least
        self._check()

    def _check(self) -> None:
        wishes, total = self.wishes, self.wishes.bars
        check_sections(self._shape)
        least = sum(self._least) if self._shape else self._first_least
        closed = bool(self._shape) and all(self._fixed)
        if total is not None and (least > total or (closed and least != total)):
            whose = f"its {len(self._shape)} sections" if self._shape else "its first section"
            raise RequestError(
                f"bars={total} contradicts the form: {whose} have {least} bars{'' if closed else ' or more'}"
            )
        if least > MAX_BARS:
            raise RequestError(f"the form has {least} bars; {MAX_BARS} is the most")
        if not self._shape and any(theme.label != "A" for theme in wishes.themes):
            raise RequestError("a theme of another letter than A needs a form with that letter: form=")
        low, high = wishes.tempo or TEMPO_RANGE
        if low > high:
            raise RequestError(f"tempo: {low:g} is more than {high:g}")
        if not self._meters:
            raise RequestError(
                f"meter={', '.join(map(str, sorted(wishes.meters or METERS)))} contradicts the upbeat "
                f"of {wishes.pickup_div} divisions, which is no shorter than a bar"
            )

    @cached_property
    def _meters(self) -> frozenset[int]:
        pickup = self.wishes.pickup_div or 0
        fits = (meter for meter in self.wishes.meters or METERS if meter.bar_div > pickup)
        return frozenset(fc.meter_value(meter) for meter in fits)

    @cached_property
    def _homes(self) -> frozenset[Key]:
        if self.wishes.key is not None:
            return frozenset((self.wishes.key,))
        return self.wishes.homes or frozenset(ALL_KEYS)

    def weights(self, walker: FormWalker) -> Weights | None:
        """Weight of each value that may stand where the walker is, None for no restriction."""
        assert walker.field is not None
        return _RULES[walker.field](self, walker)

    # The head.

    def _meter(self, walker: FormWalker) -> Weights | None:
        return only(fc.METER, self._meters)

    def _minor(self, walker: FormWalker) -> Weights | None:
        if len(self._homes) == len(ALL_KEYS):
            return None
        minor = sum(key.minor for key in self._homes)
        return np.array([len(self._homes) - minor, minor], dtype=float)

    def _tonic(self, walker: FormWalker) -> Weights | None:
        if len(self._homes) == len(ALL_KEYS):
            return None
        return only(fc.TONIC, frozenset(key.pc for key in self._homes if key.minor == bool(walker.head[fc.MINOR])))

    def _tempo(self, walker: FormWalker) -> Weights | None:
        if self.wishes.tempo is None:
            return None
        return only(fc.TEMPO, frozenset(range(*tempo_bins(*self.wishes.tempo))))

    def _pickup(self, walker: FormWalker) -> Weights | None:
        if self.wishes.pickup_div is not None:
            return one(fc.PICKUP, fc.pickup_value(self.wishes.pickup_div))
        bar = self._meter_of(walker).bar_div
        return only(fc.PICKUP, frozenset(i for i, pickup in enumerate(fc.PICKUPS) if pickup < bar))

    def _meter_of(self, walker: FormWalker) -> Meter:
        value = walker.head[fc.METER]
        if value < _OTHER_METER:
            return fc.METERS_KNOWN[value]
        return min(meter for meter in self.wishes.meters or () if meter not in fc.METERS_KNOWN)

    def _home_of(self, walker: FormWalker) -> Key:
        if self.wishes.key is not None:
            return self.wishes.key
        _, minor, tonic, _, _ = walker.head
        return Key.of_pc(tonic, bool(minor))

    # Sections that are asked for.

    def _scene(self, walker: FormWalker) -> Scene:
        signature = tuple(walker.head[:3])
        if signature not in self._scenes:
            assert self.wishes.sections is not None
            home, meter = self._home_of(walker), self._meter_of(walker)
            self._scenes[signature] = make_scene(self.wishes.sections(home), home, meter)
        return self._scenes[signature]

    def _wish(self, walker: FormWalker) -> SectionWish | None:
        """What is asked of the latest section."""
        return self._scene(walker).wishes[len(walker.sections) - 1] if self._shape else None

    def _is_last(self, walker: FormWalker) -> bool:
        """Whether the latest section is known to be the last one; its bars are known."""
        if self._shape:
            return len(walker.sections) == len(self._shape)
        if self.bars_total is not None:
            return walker.bars == self.bars_total
        return len(walker.sections) >= MOST_SECTIONS or walker.bars + MIN_SECTION_BARS > MOST_BARS

    def _label(self, walker: FormWalker) -> Weights | None:
        if self._shape:
            return self._wished_label(walker)
        sections = walker.sections
        if not sections:
            return one(fc.LABEL, fc.NEW)
        heard = range(fc.FIRST_RETURN, fc.FIRST_RETURN + walker.letters)
        begun = {*heard, *((fc.NEW,) if walker.letters < fc.LETTERS else ())}
        if self.bars_total is None:
            if self._is_last(walker):
                return one(fc.LABEL, fc.END)
            home = self._home_value(walker)
            closes = sections[-1].key == home and sections[-1].cadence in cadence_values(_AUTHENTIC)
            return only(fc.LABEL, frozenset(begun | ({fc.END} if closes else set())))
        left = self.bars_total - walker.bars
        if left == 0:
            return one(fc.LABEL, fc.END)
        lengths = self._lengths_of(walker)
        weights = np.zeros(fc.FIELDS[fc.LABEL].size)
        usual = float(lengths.renewal[left]) + 1e-9
        weights[sorted(begun)] = usual
        for section in sections:
            if section.source < 0:
                weights[fc.FIRST_RETURN + section.letter] = lengths.return_weight(left, section.bars) + 1e-9
        return weights

    def _wished_label(self, walker: FormWalker) -> Weights:
        index = len(walker.sections)
        if index == len(self._shape):
            return one(fc.LABEL, fc.END)
        names = self._names(walker)
        label = self._shape[index].label
        if label is not None:
            letter = names.get(label[0])
            return one(fc.LABEL, fc.NEW if letter is None else fc.FIRST_RETURN + letter)
        to_come = {wish.label[0] for wish in self._shape[index:] if wish.label} - names.keys()
        begun = set(range(fc.FIRST_RETURN, fc.FIRST_RETURN + walker.letters))
        if walker.letters + len(to_come) < fc.LETTERS:
            begun.add(fc.NEW)
        return only(fc.LABEL, frozenset(begun))

    def _names(self, walker: FormWalker) -> dict[str, int]:
        """Letters that were asked for -> their number in order of first hearing."""
        return {
            wish.label[0]: section.letter
            for wish, section in zip(self._shape, walker.sections, strict=False)
            if wish.label is not None
        }

    def _prime(self, walker: FormWalker) -> Weights | None:
        index = len(walker.sections) - 1
        label = self._shape[index].label if self._shape else None
        if label is not None:
            return one(fc.PRIME, len(label) - 1)
        section = walker.sections[index]
        heard = {other.prime for other in walker.sections[:-1] if other.letter == section.letter}
        primes = set(heard)
        following = max(heard, default=-1) + 1
        if following < fc.PRIMES and following not in self._primes_to_come(walker, section.letter):
            primes.add(following)
        return only(fc.PRIME, frozenset(primes))

    def _primes_to_come(self, walker: FormWalker, letter: int) -> set[int]:
        """Primes that later sections of a letter are asked to have: what returns to them is to come after them."""
        names = self._names(walker)
        later = (wish.label for wish in self._shape[len(walker.sections) :] if wish.label)
        return {len(label) - 1 for label in later if names.get(label[0]) == letter}

    def _bars(self, walker: FormWalker) -> Weights | None:
        index = len(walker.sections) - 1
        if self._shape and (fixed := self._fixed[index]) is not None:
            return step_weights(fc.BARS, fixed, walker.part, fc.MAX_SECTION_STEP)
        lengths = self._lengths_of(walker)
        good = self._wished_bars(walker, index, lengths) if self._shape else self._open_bars(walker, lengths)
        return stepped(good, lengths.sections, walker.part, fc.MAX_SECTION_STEP)

    def _lengths_of(self, walker: FormWalker) -> StyleLengths:
        if self._style is None:
            self._style = self._lengths.of(walker.style)
        return self._style

    def _open_bars(self, walker: FormWalker, lengths: StyleLengths) -> Float[np.ndarray, " bars"]:
        bars = np.arange(MAX_BARS + 1)
        least = MIN_SECTION_BARS if len(walker.sections) > 1 else self._first_least
        if self.bars_total is None:
            return ((bars >= least) & (bars <= max(MOST_BARS - walker.bars, least))).astype(float)
        rest = self.bars_total - walker.bars - bars
        possible = (bars >= least) & ((rest == 0) | (rest >= MIN_SECTION_BARS))
        return floored(np.where(rest >= 0, lengths.renewal[np.maximum(rest, 0)], 0.0), possible)

    def _wished_bars(self, walker: FormWalker, index: int, lengths: StyleLengths) -> Float[np.ndarray, " bars"]:
        bars = np.arange(MAX_BARS + 1)
        later = range(index + 1, len(self._shape))
        least_after = sum(self._least[j] for j in later)
        open_after = any(self._fixed[j] is None for j in later)
        total = MAX_BARS if self.bars_total is None else self.bars_total
        rest = total - walker.bars - bars - least_after
        is_met = (rest >= 0) if open_after or self.bars_total is None else (rest == 0)
        possible = (bars >= self._least[index]) & is_met
        possible = self._with_closes(walker, index, possible)
        if self.bars_total is None or not open_after:
            return possible.astype(float)
        left = total - walker.bars - sum(self._fixed[j] or 0 for j in later)
        chances = self._chances(walker, index, left, lengths)
        chances = chances * evenness(left, sum(self._fixed[j] is None for j in later))
        length = self._length_of_model(walker, index, left)
        if length is not None and chances[length] > 0:
            chances[np.arange(len(chances)) != length] *= _LOOSE
        return floored(chances, possible)

    def _length_of_model(self, walker: FormWalker, index: int, left: int) -> int | None:
        """The length of the section that this one returns to, if all returns to come can be as long as their models."""
        section, names = walker.sections[index], self._names(walker)
        if section.source < 0:
            return None
        known: dict[int, int] = {}
        for other in walker.sections[:-1]:
            known.setdefault(other.letter, other.bars)
        length = walker.sections[section.source].bars
        for j in range(index + 1, len(self._shape)):
            label = self._shape[j].label
            if self._fixed[j] is None:
                letter = names.get(label[0]) if label else None
                if letter not in known:
                    return length  # what is new to come makes up for any rest
                left -= known[letter]
        return length if left == length else None

    def _chances(self, walker: FormWalker, index: int, left: int, lengths: StyleLengths) -> Float[np.ndarray, " bars"]:
        """Chance of a good end for each length of the section, by letters: what returns is as long as its model."""
        mine = walker.sections[index].letter
        names = self._names(walker)
        known: dict[int, int] = {}
        for section in walker.sections[:-1]:
            known.setdefault(section.letter, section.bars)
        free: list[int] = []
        heard: list[tuple[int, int]] = []
        coming: dict[str, list[int]] = {}
        returns: list[int] = []
        for j in range(index + 1, len(self._shape)):
            label, least = self._shape[j].label, self._least[j]
            if self._fixed[j] is not None:
                continue
            if label is None:
                free.append(least)
            elif (letter := names.get(label[0])) is None:
                coming.setdefault(label[0], []).append(least)
            elif letter in known:
                heard.append((least, known[letter]))
            else:
                assert letter == mine
                returns.append(least)
        groups = [(max(least), len(least)) for least in coming.values()]
        rest = lengths.rest(free, heard, groups)
        return lengths.current(rest, left, max(returns, default=0), len(returns))

    def _with_closes(self, walker: FormWalker, index: int, possible: np.ndarray) -> np.ndarray:
        """Less the lengths at which fixed chords cannot close as they are asked to, if any others are possible."""
        scene, meter, home = self._scene(walker), self._meter_of(walker), self._home_of(walker)
        wish = scene.wishes[index]
        if wish.cadences is None or not (wish.chords or wish.figures):
            return possible
        keys = self._keys_here(walker, scene, index) or range(24)
        closes = possible.copy()
        # Two bars behind the last chord everything is open.
        for bars in range(self._least[index], min(chord_bars(wish, meter) + 2, MAX_BARS + 1)):
            closes[bars] = closes[bars] and any(can_close(wish, bars, fc.key_of(k, home), meter) for k in keys)
        return closes if closes.any() else possible

    def _keys_here(self, walker: FormWalker, scene: Scene, index: int) -> frozenset[int] | None:
        """Values of the keys that a section may have, None for any."""
        model = scene.models[index]
        if model < index:
            return frozenset((walker.sections[model].key,))
        return scene.keys[index]

    def _key(self, walker: FormWalker) -> Weights | None:
        if not self._shape:
            at_home = len(walker.sections) == 1 or self._is_last(walker)
            return one(fc.KEY, self._home_value(walker)) if at_home else None
        index = len(walker.sections) - 1
        scene = self._scene(walker)
        keys = self._keys_here(walker, scene, index)
        wish = scene.wishes[index]
        if wish.cadences is not None and (wish.chords or wish.figures):
            home, meter, bars = self._home_of(walker), self._meter_of(walker), walker.sections[index].bars
            closing = [k for k in keys or range(24) if can_close(wish, bars, fc.key_of(k, home), meter)]
            keys = frozenset(closing) or keys
        return None if keys is None else only(fc.KEY, keys)

    def _home_value(self, walker: FormWalker) -> int:
        return 12 * walker.head[fc.MINOR]

    # Phrases.

    def _phrase(self, walker: FormWalker) -> Weights | None:
        wish = self._wish(walker)
        if wish is not None and wish.phrases:
            bars = wish.phrases[len(walker.sections[-1].phrases)].bars
            return step_weights(fc.PHRASE, bars, walker.part, fc.MAX_PHRASE_STEP)
        # The network is told how many bars are left: what is possible is enough, usual lengths would count twice.
        weights = (self._lengths_of(walker).phrase_weights(walker.room, walker.part) > 0).astype(float)
        if wish is None or not (wish.chords or wish.figures):
            return weights
        return self._with_room_to_close(walker, wish, weights)

    def _with_room_to_close(self, walker: FormWalker, wish: SectionWish, weights: Weights) -> Weights:
        """The weights without lengths that leave the last phrase no place for its cadence beside fixed chords."""
        wanted = self._wanted_at_end(walker, wish)
        if wanted == _ANY:
            return weights
        section, meter = walker.sections[-1], self._meter_of(walker)
        key = fc.key_of(section.key, self._home_of(walker))
        chords, end = fixed_chords(wish, key, meter), section.bars * meter.bar_div
        kept = weights.copy()
        for value in np.flatnonzero(weights[: fc.MAX_PHRASE_STEP]).tolist():
            length = walker.part + value + 1
            start = (section.bars - walker.room + length) * meter.bar_div
            if length < walker.room and not wanted & cadences_at(chords, end, key, meter, start):
                kept[value] = 0
        return kept if kept.any() else weights

    def _wanted_at_end(self, walker: FormWalker, wish: SectionWish | None) -> frozenset[str | None]:
        """The cadences that the section in progress may close with; a literal return closes as its model does."""
        if wish is not None and wish.cadences is not None:
            return wish.cadences
        section = walker.sections[-1]
        last = self._shape[-1] if self._shape else None
        named = wish.label if wish is not None else None
        ends = self._is_last(walker) or (named is not None and last is not None and named == last.label)
        wanted = _AUTHENTIC if ends else _ANY
        model = walker.sections[section.source] if section.source >= 0 else None
        if model is not None and model.prime == section.prime and model.cadence >= 0:
            return wanted & {fc.cadence_of(model.cadence)} or wanted
        return wanted

    def _idea(self, walker: FormWalker) -> Weights | None:
        wish = self._wish(walker)
        if wish is None or not wish.phrases:
            return None
        return one(fc.IDEA, fc.idea_value(wish.phrases[len(walker.sections[-1].phrases) - 1].idea))

    def _cadence(self, walker: FormWalker) -> Weights | None:
        wish, section = self._wish(walker), walker.sections[-1]
        if wish is not None and wish.phrases:
            return one(fc.CADENCE, fc.cadence_value(wish.phrases[len(section.phrases) - 1].cadence))
        allowed = self._wanted_at_end(walker, wish) if walker.room == 0 else _ANY
        if wish is not None and (wish.chords or wish.figures):
            meter, key = self._meter_of(walker), fc.key_of(section.key, self._home_of(walker))
            end, start = section.bars - walker.room, section.phrases[-1][0]
            possible = cadences_at(
                fixed_chords(wish, key, meter), end * meter.bar_div, key, meter, start * meter.bar_div
            )
            # Chords that are asked for go before what is only usual.
            allowed = (allowed & possible) or (possible - {None}) or possible
        return None if allowed == _ANY else only(fc.CADENCE, cadence_values(allowed))

    # Character.

    def _density(self, walker: FormWalker) -> Weights | None:
        wish = self._wish(walker)
        return None if wish is None or wish.density is None else one(fc.DENSITY, fc.density_bin(wish.density))

    def _register(self, walker: FormWalker) -> Weights | None:
        wish = self._wish(walker)
        return None if wish is None or wish.register is None else one(fc.REGISTER, fc.register_bin(wish.register))

    def _dynamic(self, walker: FormWalker) -> Weights | None:
        wish = self._wish(walker)
        return None if wish is None or wish.dynamic is None else one(fc.DYNAMIC, fc.dynamic_value(wish.dynamic))

    def _variation(self, walker: FormWalker) -> Weights | None:
        wish = self._wish(walker)
        if wish is None or wish.variation is None:
            return None
        return one(fc.VARIATION, round(wish.variation * (fc.VARIATIONS - 1)))

    # After the walk.

    def settle(self, draw: FormDraw) -> FormDraw:
        """The drawn form with what is asked for as it was asked for: letters, spellings, numbers within their bins."""
        return settled(draw, self.wishes)


_RULES: tuple[Callable[[FormLimits, FormWalker], Weights | None], ...] = (
    FormLimits._meter,
    FormLimits._minor,
    FormLimits._tonic,
    FormLimits._tempo,
    FormLimits._pickup,
    FormLimits._label,
    FormLimits._prime,
    FormLimits._bars,
    FormLimits._key,
    FormLimits._phrase,
    FormLimits._idea,
    FormLimits._cadence,
    FormLimits._density,
    FormLimits._register,
    FormLimits._dynamic,
    FormLimits._variation,
)
