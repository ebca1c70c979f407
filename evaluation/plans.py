"""What plans are like: how their sections, keys, cadences, chords and lengths are spread, and what a plan must keep.

Each function of `MEASURES` counts one thing in one plan; `evaluation.plan_divergence` compares the counts of many
plans of ours with those of people's. Definitions are this project's own. A real piece's plan is read by
`music.analysis`, so on that side the figures hold the faults of the analysis too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from music.analysis.cadence import classify_cadence
from music.plan import Chord, Plan, Section, Theme
from music.time import Meter

FAMILIES = {"satb": "chorale", "quartet": "quartet", "piano": "piano"}
ALIKE = 0.6  # similarity from which on two themes of one plan are too much alike
# First values of the classes that counts fall into: small ones stand alone, large ones share, since otherwise any two
# samples of a dozen plans would have next to nothing in common.
SECTION_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 17, 25, 41)
BARS = (*range(1, 17), *range(17, 33, 2), *range(33, 65, 4), 65, 129)


def section_count(plan: Plan) -> Counter[Hashable]:
    """How many sections the plan has, in the classes of `SECTION_COUNTS` (named by their first value)."""
    return Counter([_class(len(plan.sections), SECTION_COUNTS)])


def section_bars(plan: Plan) -> Counter[Hashable]:
    """Lengths of sections, in the classes of `BARS`."""
    return Counter(_class(section.bars, BARS) for section in plan.sections)


def key_relations(plan: Plan) -> Counter[Hashable]:
    """Keys of sections in relation to home, as Roman numerals whose case is the mode, and the mode of home."""
    return Counter((plan.key.minor, section.key.relation_to(plan.key)) for section in plan.sections)


def cadence_types(plan: Plan) -> Counter[Hashable]:
    """Cadences of phrases; "none" for a phrase that has none."""
    return Counter(phrase.cadence or "none" for section in plan.sections for phrase in section.phrases)


def chord_bigrams(plan: Plan) -> Counter[Hashable]:
    """Pairs of chords that follow each other within a section.

    A chord is its root in semitones above the tonic of the section's key and its quality; a change of bass alone is no
    new chord.
    """
    found: Counter[Hashable] = Counter()
    for section in plan.sections:
        runs: list[tuple[int, str]] = []
        for chord in section.chords:
            name = ((chord.root - section.key.pc) % 12, chord.quality)
            if runs[-1:] != [name]:
                runs.append(name)
        found.update(pairwise(runs))
    return found


def phrase_bars(plan: Plan) -> Counter[Hashable]:
    """Lengths of phrases, in the classes of `BARS`."""
    return Counter(_class(phrase.bars, BARS) for section in plan.sections for phrase in section.phrases)


def returns(plan: Plan) -> Counter[Hashable]:
    """What each section after the first is: a new letter, the last one again or an earlier one, and primed or not."""
    found: Counter[Hashable] = Counter()
    letters = [section.letter for section in plan.sections]
    for index, section in enumerate(plan.sections[1:], start=1):
        again = "again" if letters[index - 1] == section.letter else "back"
        found[again if section.letter in letters[:index] else "new", "'" in section.label] += 1
    return found


MEASURES: dict[str, Callable[[Plan], Counter[Hashable]]] = {
    "section count": section_count,
    "section bars": section_bars,
    "key relations": key_relations,
    "cadence types": cadence_types,
    "chord bigrams": chord_bigrams,
    "phrase bars": phrase_bars,
    "returns": returns,
}
# Parts of `music.analysis.marked_plan.PARTS` that a measure reads: plans that miss one of them are not measured.
NEEDS: dict[str, frozenset[str]] = {
    "section count": frozenset({"sections"}),
    "section bars": frozenset({"sections"}),
    "key relations": frozenset({"sections", "keys", "home"}),
    "cadence types": frozenset({"phrases", "cadences"}),
    "chord bigrams": frozenset({"chords", "keys"}),
    "phrase bars": frozenset({"phrases"}),
    "returns": frozenset({"sections"}),
}


def _class(value: int, firsts: Sequence[int]) -> int:
    return firsts[bisect_right(firsts, value) - 1]


def distributions(plans: Iterable[Plan], measure: Callable[[Plan], Counter[Hashable]]) -> dict[str, Counter[Hashable]]:
    """The counts of all plans of each style together, by style."""
    found: dict[str, Counter[Hashable]] = {}
    for plan in plans:
        found.setdefault(plan.style, Counter()).update(measure(plan))
    return dict(sorted(found.items()))


def divergence(a: Mapping[Any, int], b: Mapping[Any, int]) -> float:
    """Jensen-Shannon divergence in bits between two counts, each taken as shares: 0 alike, 1 with nothing in common.

    The mean of the two Kullback-Leibler divergences from their mixture (Lin, "Divergence measures based on the Shannon
    entropy", 1991); scipy's function gives its square root. It grows as samples get smaller, so only values over equal
    numbers of events may be compared.

    Raises:
        ValueError: one of them counts nothing.
    """
    names = sorted({*a, *b}, key=repr)
    sides = [np.array([side.get(name, 0) for name in names], dtype=float) for side in (a, b)]
    if not all(side.sum() > 0 for side in sides):
        raise ValueError("a divergence needs counts on both sides")
    return float(jensenshannon(*sides, base=2.0)) ** 2


def phrase_chords(plan: Plan, section: Section) -> Iterator[tuple[str | None, list[Chord]]]:
    """Each phrase's cadence and the chords that sound in it, in order; a chord held over from before is among them."""
    start = 0
    for phrase in section.phrases:
        end = start + phrase.bars * plan.meter.bar_div
        yield phrase.cadence, [c for c in section.chords if c.onset_div < end and c.onset_div + c.duration_div > start]
        start = end


def cadences_kept(plans: Iterable[Plan]) -> tuple[int, int]:
    """Phrases with a planned cadence whose last chords make it, and how many have one planned.

    The chords are read by `music.analysis.cadence.classify_cadence` in the section's key. A plan holds no melody
    there: it is taken to close on the tonic where a PAC is planned and elsewhere where an IAC is, so a rooted V-I
    makes either.
    Sections without chords are left out.
    """
    kept = planned = 0
    for plan in plans:
        for section in plan.sections:
            for cadence, chords in phrase_chords(plan, section) if section.chords else ():
                if cadence is not None:
                    planned += 1
                    kept += (
                        classify_cadence(chords, section.key, section.key.pc if cadence == "PAC" else None) == cadence
                    )
    return kept, planned


def at_home(plan: Plan) -> bool:
    """Whether the first and the last section are in the home key."""
    return plan.sections[0].key == plan.key == plan.sections[-1].key


def lengths(plans: Sequence[Plan]) -> dict[str, float]:
    """How the plans' numbers of bars are spread: five percentiles, and the share of the commonest number."""
    bars = [plan.bars for plan in plans]
    figures = {f"p{q}": float(np.percentile(bars, q)) for q in (5, 25, 50, 75, 95)}
    return figures | {"commonest": Counter(bars).most_common(1)[0][1] / len(bars)}


def theme_figures(
    plans: Sequence[Plan],
    similarity: Callable[[Theme, Theme, Meter], float],
    shared_run: Callable[[Theme], int] | None = None,
) -> dict[str, float]:
    """How alike the themes of one plan are, and how much each shares with themes known from elsewhere.

    Args:
        plans: whose themes are read.
        similarity: of two themes of a meter, 0 to 1.
        shared_run: the most notes in a row that a theme shares with a training theme; None: not measured.

    Returns:
        `pairs` of themes within plans, their mean `similarity`, the share of pairs `alike` (`ALIKE` or more), of plans
        with such a pair among those with two themes or more (`plans_alike`); of `themes` the mean, 90th percentile and
        highest shared run. Figures over nothing are left out.
    """
    by_plan = [[similarity(a, b, plan.meter) for a, b in combinations(plan.themes, 2)] for plan in plans]
    by_plan = [values for values in by_plan if values]
    values = [value for row in by_plan for value in row]
    themes = [theme for plan in plans for theme in plan.themes]
    found: dict[str, float] = {"pairs": float(len(values)), "themes": float(len(themes))}
    if values:
        found["similarity"] = float(np.mean(values))
        found["alike"] = float(np.mean([value >= ALIKE for value in values]))
        found["plans_alike"] = float(np.mean([max(row) >= ALIKE for row in by_plan]))
    if shared_run is not None and themes:
        runs = [shared_run(theme) for theme in themes]
        found["run_mean"] = float(np.mean(runs))
        found["run_p90"] = float(np.percentile(runs, 90))
        found["run_most"] = float(max(runs))
    return found
