"""Bar-by-bar analyses of form by people, as published in Taking Form, fitted to scores with repeats written out.

A table names the parts of a movement on several levels, by printed bar numbers, each repeat once. Here it is played out
as a performer would play it, compared with a score bar by bar, and turned into section marks that `plan_of_score`
takes over. What does not fit is refused, not bent.

Source of the format: M. Gotham and M. T. Ireland, Taking Form, ISMIR 2019; github.com/MarkGotham/Taking-Form.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from string import ascii_uppercase

from music.analysis.sections import EXACT
from music.analysis.signs import with_signs
from music.analysis.similarity import BarProducts, bar_products
from music.errors import PlanError
from music.score import Score, SectionMark
from music.splits import piano_work

CLAIM = 0.5  # least likeness, on the mean, of bars that a table calls the same
MAX_OPTIONS = 4096  # of playing some repeats and not others
MAX_BYTES = 2**20
# Files of piano-midi.de by the beginnings of their names, where these do not give the opus.
_NICKNAMES = {
    "appass": "op57",
    "beethoven_hammerklavier": "op106",
    "beethoven_les_adieux": "op81a",
    "beethoven_opus10_": "op10no1",
    "beethoven_opus22_": "op22",
    "beethoven_opus90_": "op90",
    "mond": "op27no2",
    "pathetique": "op13",
    "waldstein": "op53",
}
# Names on the second level that tell of a part's build, not of its material.
_BUILDS = re.compile(r"x?|\W*|(compound )?(period|sentence|hybrid)( repeat)?|theme \?+|body.*|dominant.*|tonic pedal")

_SYNONYMS = {
    "menuet": "minuet",
    "menuetto": "minuet",
    "re-transition": "retransition",
    "subject 1": "first",
    "subject 2": "second",
}


@dataclass(frozen=True)
class FormBar:
    """A bar as it is played.

    Args:
        number: as printed, with a letter where a table has one ("25a").
        late: whether what begins here begins in the bar's second half or later.
        labels: names that begin here, by level; "" where none does.
    """

    number: str
    late: bool
    labels: tuple[str, ...]


@dataclass(frozen=True)
class FormTable:
    """A movement's form.

    Args:
        name: of the file.
        bars: in order, each repeat once more where it is played.
        repeats: (first, again, length) of passages that a repeat sign plays again; indices of `bars`.
        claims: the same for passages that the table calls the same, repeats included.
    """

    name: str
    bars: tuple[FormBar, ...]
    repeats: tuple[tuple[int, int, int], ...]
    claims: tuple[tuple[int, int, int], ...]


def movement_key(stem: str) -> tuple[str, int] | None:
    """(opus, movement) of a file of Taking Form or of a Beethoven sonata of piano-midi.de by its name, or None."""
    found = re.fullmatch(r"sonata\d+(op\d+a?)(no\d+)?(?:\(.*\))?movt(\d+)", stem)
    if found:
        return found[1] + (found[2] or ""), int(found[3])
    tail = re.fullmatch(r"(.+?_?)(\d+)", stem.lower())
    name = next((opus for start, opus in _NICKNAMES.items() if tail and tail[1].rstrip("_") == start.rstrip("_")), "")
    return (name, int(tail[2])) if tail and name else None


def sonata_number(stem: str) -> int | None:
    """The number of a sonata by the name of its file in Taking Form."""
    found = re.match(r"sonata(\d+)op", stem)
    return int(found[1]) if found else None


def form_work(opus: str) -> tuple[str, str] | None:
    """(work, split) of a sonata that piano-midi.de has too, or another of its opus; None for the others."""
    whole = re.sub(r"no\d+", "", opus)
    for start, name in _NICKNAMES.items():
        if re.sub(r"no\d+", "", name) == whole:
            return piano_work(f"{start.rstrip('_')}_1")[1:]
    return None


def find_tables(folder: Path) -> dict[tuple[str, int], Path]:
    """The tables of Beethoven's sonatas below a folder, by opus and movement."""
    found = {}
    for path in sorted(folder.rglob("sonata*movt*.csv")):
        key = movement_key(path.stem)
        if key is not None:
            found.setdefault(key, path)
    return found


class _Player:
    """Plays a table's rows out, bar by bar."""

    def __init__(self, name: str, levels: int) -> None:
        self.name, self.levels = name, levels
        self.bars: list[FormBar] = []
        self.repeats: list[tuple[int, int, int]] = []
        self.claims: list[tuple[int, int, int]] = []
        self.last = -1

    def fail(self, row: str) -> PlanError:
        return PlanError(f"{self.name}: the row {row!r} cannot be read")

    def add(self, number: str, labels: tuple[str, ...] = (), late: bool = False) -> None:
        self.bars.append(FormBar(number, late, labels or ("",) * self.levels))

    def fill(self, until: int) -> None:
        """Bars without a row, up to and not including `until`."""
        for number in range(self.last + 1 if self.bars else until, until):
            self.add(str(number))
        self.last = max(self.last, until - 1)

    def find(self, number: str, row: str, last: bool = False) -> int:
        """Index of the first bar of that number, or of the last one."""
        found = [index for index, bar in enumerate(self.bars) if bar.number == number]
        if not found:
            raise self.fail(row)
        return found[-1 if last else 0]

    def relabel(self, index: int, labels: tuple[str, ...]) -> None:
        """Names that stand in for those of a bar, where they are given."""
        bar = self.bars[index]
        merged = tuple(new or old for new, old in zip(labels, bar.labels, strict=True))
        self.bars[index] = replace(bar, labels=merged)

    def copy(self, first: str, last: str, labels: tuple[str, ...], row: str, names: list[str] | None = None) -> None:
        """Plays bars `first` to `last` again; `labels` stand in for those of the first one, where they are given.

        With `names`, these bars are what is copied to: where they are not as many, what is over has no labels.
        """
        start, stop = self.find(first, row), self.find(last, row)
        here, length = len(self.bars), stop - start + 1
        if length < 1:
            raise self.fail(row)
        source = self.bars[start : stop + 1]
        if names is None or len(names) == length:
            self.claims.append((start, here, length))
        if names is None:
            self.repeats.append((start, here, length))
            self.bars += source
        else:
            self.bars += [replace(bar, number=name) for bar, name in zip(source, names, strict=False)]
            for name in names[length:]:
                self.add(name)
        self.relabel(here, labels)


def _numbers(first: str, last: str | None) -> list[str]:
    """Bar numbers from "25a" to "32": the first as it is written, then whole numbers."""
    start, stop = int(first.rstrip("abcdefgh")), int((last or first).rstrip("abcdefgh"))
    return [first, *(str(n) for n in range(start + 1, stop + 1))]


def parse_table(text: str, name: str) -> FormTable:
    """Reads a table.

    Args:
        text: rows of bar, beat, names by level from the largest parts to the smallest.
        name: for messages.

    Raises:
        PlanError: a row that cannot be read, or no bars.
    """
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text.lstrip("\ufeff")))]
    rows = [row for row in rows if row and row[0]]
    if rows and not re.match(r"\d|repeat", rows[0][0].lower()):
        rows = rows[1:]  # a header
    player = _Player(name, max((len(row) - 2 for row in rows), default=0))
    for row in rows:
        _play_row(player, row)
    if not player.bars:
        raise PlanError(f"{name}: a table without bars")
    return FormTable(name, tuple(player.bars), tuple(player.repeats), tuple(player.claims))


def _play_row(player: _Player, row: list[str]) -> None:
    labels = tuple(row[2:]) + ("",) * (player.levels - len(row) + 2)
    number = r"(\d+[a-h]?)"
    again = re.fullmatch(rf"repeat:\s*{number}[-:]{number}", row[0].lower())
    same = re.fullmatch(rf"{number}(?:-{number})?=\s*{number}(?:-{number})?", row[0])
    if again:
        stop = int(again[2].rstrip("abcdefgh"))
        if player.last < stop:  # bars at the end of the passage that have no row
            player.fill(stop + 1)
        player.copy(again[1], again[2], labels, row[0])
    elif same:
        names = _numbers(same[1], same[2])
        if names[0].isdigit():
            player.fill(int(names[0]))
        player.copy(same[3], same[4] or same[3], labels, row[0], names)
        player.last = int(names[-1].rstrip("abcdefgh"))
    elif re.fullmatch(number, row[0]):
        if row[0].isdigit() and player.bars and int(row[0]) <= player.last:  # an exception within a copy
            player.relabel(player.find(row[0], row[0], last=True), labels)
            return
        if row[0].isdigit():
            player.fill(int(row[0]))
            player.last = int(row[0])
        # Bars of sonatas have two to four beats and a few more in compound meters: from the third on, nearer the end.
        beat = float(row[1]) if len(row) > 1 and re.fullmatch(r"-?\d+(\.\d+)?", row[1]) else 1.0
        player.add(row[0], labels, beat >= 3)
    else:
        raise player.fail(row[0])


def read_table(path: Path) -> FormTable:
    """Reads a table's file.

    Raises:
        PlanError: it cannot be read, or is no table.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PlanError(f"{path}: larger than {MAX_BYTES} bytes, too large for a table of form")
        return parse_table(path.read_text(encoding="utf-8"), path.name)
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise PlanError(f"{path}: not a table ({error})") from None


def _without(table: FormTable, chosen: tuple[bool, ...]) -> FormTable:
    """The table with only some of its repeats played."""
    gone: set[int] = set()
    for (_, again, length), play in zip(table.repeats, chosen, strict=True):
        gone |= set() if play else set(range(again, again + length))
    kept = [i for i in range(len(table.bars)) if i not in gone]
    place = {old: new for new, old in enumerate(kept)}
    moved = [
        tuple((place[a], place[b], n) for a, b, n in rows if not gone & {*range(a, a + n), *range(b, b + n)})
        for rows in (table.repeats, table.claims)
    ]
    return FormTable(table.name, tuple(table.bars[i] for i in kept), moved[0], moved[1])


def claim_likeness(table: FormTable, products: BarProducts, offset: int) -> float | None:
    """Mean likeness of the bars that a table calls the same, by bars; None where it calls none so.

    Args:
        products: of the score's bars.
        offset: the score's bar that is the table's first.
    """
    total, count = 0.0, 0
    for first, again, length in table.claims:
        total += length * products.block(first + offset, again + offset, length)[0]
        count += length
    return total / count if count else None


def fit_table(table: FormTable, score: Score, products: BarProducts) -> tuple[FormTable, int]:
    """The table as this score plays it, and the score's bar that is the table's first (1 after an upbeat bar).

    All ways of leaving repeats out are tried; the bar counts must agree, and what the table calls the same must be
    alike in the score.

    Raises:
        PlanError: nothing fits.
    """
    bars = len(score.bars)
    counts: set[int] = set()
    best: tuple[float, int, FormTable] | None = None
    options = 2 ** len(table.repeats)
    choices = (
        product((True, False), repeat=len(table.repeats)) if options <= MAX_OPTIONS else [(True,) * len(table.repeats)]
    )
    for chosen in choices:
        played = _without(table, chosen)
        counts.add(len(played.bars))
        offset = bars - len(played.bars)
        if offset in (0, 1):
            likeness = claim_likeness(played, products, offset)
            value = CLAIM if likeness is None else likeness
            if best is None or value > best[0]:
                best = value, offset, played
    if best is None:
        shown = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(counts.pop())
        raise PlanError(f"{table.name}: the table has {shown} bars, the score {bars}")
    if best[0] < CLAIM:
        raise PlanError(f"{table.name}: what it calls the same has a likeness of {best[0]:.2f} in the score")
    return best[2], best[1]


def _plain(name: str) -> str:
    """A name without primes, remarks in brackets, and words for a return."""
    name = re.sub(r"\(.*?\)|['’?\"]+", "", name.lower())
    name = re.sub(r"\b(da capo|reprise|repeat|group|written out)\b", " ", name)
    name = re.sub(r"^(first|second) ?(subject)? ?(group)?$", r"\1", " ".join(name.split()))
    return _SYNONYMS.get(name, name).strip()


def materials(table: FormTable) -> list[tuple[int, str, bool]]:
    """(bar, material, whether a part of the top level begins there) of each part of the first two levels.

    In sonata form the material is the subject group or transition, the same in exposition and recapitulation; a theme
    and its variations are one material; in a rondo it is the rondo's letter; in a minuet or scherzo, the part of it.
    """
    found: list[tuple[int, str, bool]] = []
    again = {start for _, start, _ in table.repeats}
    top = sub = ""
    for index, bar in enumerate(table.bars):
        first, second = (*bar.labels, "", "")[:2]
        if first:
            top, sub = _plain(first), ""
        if second and not _BUILDS.fullmatch(_plain(second)) and not re.fullmatch(r"[a-z]|development", top):
            sub = _plain(second)
        if first or second:
            material = _material(top, sub)
            if first or index in again or not found or found[-1][1] != material:
                place = min(index + (1 if bar.late else 0), len(table.bars) - 1)
                found.append((place, material, bool(first)))
    return found


def _material(top: str, sub: str) -> str:
    if re.fullmatch(r"theme|variation \d+", top):
        return "theme"
    if top in ("exposition", "recapitulation"):
        return f"sonata {sub or 'first'}"
    if re.fullmatch(r"(minuet|scherzo|allegretto|trio|presto).*", top):
        return f"{top} {sub}"
    return top


def section_marks(table: FormTable, score: Score, products: BarProducts | None = None) -> tuple[SectionMark, ...]:
    """Marks of a score's sections by a table of its form: letters in order of the materials, primes for varied returns.

    Raises:
        PlanError: the table does not fit the score, or names no part.
    """
    products = products or bar_products(score)
    played, offset = fit_table(table, score, products)
    parts = materials(played)
    if not parts:
        raise PlanError(f"{table.name}: it names no part")
    named = {(bar + offset if i else 0): material for i, (bar, material, _) in enumerate(parts)}
    large = tuple(bar + offset for bar, _, top in parts[1:] if top)
    bounds = with_signs([0, *(b for b in sorted(named) if b), len(score.bars)], large)
    marks: list[tuple[int, int, str]] = []
    letters: dict[str, str] = {}
    for start, end in pairwise(bounds):
        letter = letters.setdefault(named[start], ascii_uppercase[min(len(letters), 25)])
        marks.append((start, end, _label(letter, start, end, marks, products)))
    return tuple(SectionMark(score.bars[start].onset_div, label) for start, _, label in marks)


def _label(letter: str, start: int, end: int, before: list[tuple[int, int, str]], products: BarProducts) -> str:
    """The letter, with a prime more than it ever had unless the section is a literal return."""
    same = [mark for mark in before if mark[2][0] == letter]
    for first, last, label in same:
        if last - first == end - start:
            likeness, shift = products.block(first, start, end - start)
            if likeness >= EXACT and shift == 0:
                return label
    return letter + "'" * (max(len(label) for _, _, label in same) if same else 0)


def annotate_form(score: Score, table: FormTable) -> Score:
    """The score with the sections of a table in place of its own marks.

    Raises:
        PlanError: the table does not fit the score.
    """
    return replace(score, sections=section_marks(table, score))
