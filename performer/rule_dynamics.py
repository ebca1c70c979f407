"""Loudness: written dynamics and hairpins, then the rules that shade them. All in units of MIDI velocity.

Sources: Friberg, Bresin & Sundberg (2006) for phrase arch, high-loud, duration contrast and harmonic charge; Todd,
"The dynamics of dynamics" (1992), for loudness that rises and falls with the phrase; Goebl, "Melody lead in piano
performance" (2001), for the melody that is struck harder than its chord. Melody (12 over
the rest), metre (little) and high-loud (5 an octave) are near what regression finds in performances by pianists.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from music.pitch import Key
from music.plan import DYNAMICS, Plan
from music.score import Direction, Score
from performer.marking_words import dynamic_signs, plain_level
from performer.rule_form import Span
from performer.rule_noise import pink
from performer.rule_score import NoteArrays
from performer.rule_tempo import TimeMap, arch_position

LEVELS: dict[str, float] = dict(zip(DYNAMICS, (24.0, 34.0, 45.0, 55.0, 65.0, 79.0, 93.0, 106.0), strict=True))
DEFAULT_LEVEL = LEVELS["mf"]
HAIRPIN = 14.0  # what a hairpin changes where no mark stands at its end
SFORZATO = 16.0
ACCENTS = {"marcato": 16.0, "strong": 16.0, "accent": 11.0, "tenuto": 3.0}
PHRASE_ARCH = (5.0, 7.0)  # softer at a phrase's start and end than at its height
SECTION_ARCH = (2.0, 4.0)
ARCH_TURN = 0.6
METRE = {1.0: 2.0, 0.75: 1.2, 0.5: 0.5, 0.25: -0.5, 0.125: -1.0}
MELODY, INNER, BASS = 5.0, -9.0, -4.0
PER_OCTAVE = 5.0  # high-loud
SHORT_NOTE = -1.5  # a note of no length; nothing from 0.4 s on
GRACE = -8.0
CHARGE = 1.2  # a unit of harmonic charge
ONSET_NOISE, NOTE_NOISE = 2.2, 1.3
LOWEST, HIGHEST = 8.0, 122.0
# Melodic charge by semitones over the tonic: how remote a pitch is (KTH).
MELODIC_CHARGE = np.array([0, 6.5, 2, 4.5, 4, 2.5, 6, 1, 5.5, 3, 3.5, 5])


def velocities(
    score: Score,
    notes: NoteArrays,
    times: TimeMap,
    plan: Plan | None,
    *,
    phrases: tuple[Span, ...],
    sections: tuple[Span, ...],
    expression: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, " notes"]:
    """A velocity for each note: what is written always holds, the shading scales with `expression`."""
    if not len(notes.onset):
        return np.zeros(0)
    shade = _arches(notes, phrases, PHRASE_ARCH) + _arches(notes, sections, SECTION_ARCH)
    shade += np.vectorize(METRE.get, otypes=[float])(notes.strength)
    shade += PER_OCTAVE * ((notes.pitch - 60) / 12).clip(-2, 2)
    shade += _voicing(notes)
    length = times.end(notes.end) - times.start(notes.onset)
    shade += np.where(notes.grace, GRACE, SHORT_NOTE * (1 - length / 0.4).clip(0, 1))
    shade += _charges(notes, plan)
    groups = np.unique(notes.onset, return_inverse=True)[1]
    shade += ONSET_NOISE * pink(int(groups.max()) + 1, rng)[groups] + NOTE_NOISE * rng.standard_normal(len(groups))
    written = written_levels(score, notes, plan) + accents_of(score, notes)
    return (written + expression * shade).clip(LOWEST, HIGHEST)


def _arches(notes: NoteArrays, spans: tuple[Span, ...], amounts: tuple[float, float]) -> Float[np.ndarray, " notes"]:
    shade = np.zeros(len(notes.onset))
    for span in spans:
        inside = notes.within(span.start, span.end)
        onsets = notes.onset[inside]
        if not len(onsets):
            continue
        position = arch_position((onsets - span.start) / max(int(onsets[-1]) - span.start, 1), ARCH_TURN)
        amount = np.where(position < 0, amounts[0], amounts[1] * (0.5 + span.weight / 2))
        # Centred, so that a phrase has its written level on average.
        shade[inside] = amount * (0.4 - position**2)
    return shade


def _voicing(notes: NoteArrays) -> Float[np.ndarray, " notes"]:
    """Melody over bass over inner notes, half as much where several lines move in equal parts."""
    shade = np.select([notes.melody, notes.bass], [MELODY, BASS], INNER)
    lines = len(np.unique(notes.part))
    return shade * (0.5 if lines >= 3 else 1.0)


def harmonic_charge(pcs: tuple[int, ...], key: Key) -> float:
    """Mean melodic charge of a chord's tones over that of the tonic triad: 0 for the tonic, about 3 at most."""
    own = float(MELODIC_CHARGE[(np.array(pcs) - key.pc) % 12].mean())
    home = float(MELODIC_CHARGE[np.array([0, 3 if key.minor else 4, 7])].mean())
    return max(own - home, 0.0)


def _charges(notes: NoteArrays, plan: Plan | None) -> Float[np.ndarray, " notes"]:
    shade = np.zeros(len(notes.onset))
    if plan is None:
        return shade
    for section, bar in zip(plan.sections, plan.first_bars, strict=True):
        start = plan.bar_onset_div(bar)
        for chord in section.chords:
            inside = notes.within(start + chord.onset_div, start + chord.onset_div + chord.duration_div)
            shade[inside] = CHARGE * harmonic_charge(chord.pcs, section.key)
    return shade


def written_levels(score: Score, notes: NoteArrays, plan: Plan | None) -> Float[np.ndarray, " notes"]:
    """The level that marks and hairpins ask for at each note; a part without any takes those of all parts."""
    signs = dynamic_signs(score)
    levels = np.full(len(notes.onset), DEFAULT_LEVEL)
    with_own = {d.part for d in signs}
    for part in np.unique(notes.part).tolist():
        own = [d for d in signs if d.part in (part, -1)] if part in with_own else signs
        curve = level_curve(own, plan)
        mine = notes.part == part
        levels[mine] = np.interp(notes.onset[mine], curve[:, 0], curve[:, 1])
    return levels


def level_curve(signs: Sequence[Direction], plan: Plan | None) -> Float[np.ndarray, "points 2"]:
    """Corners (division, level) of the written loudness; the plan's dynamics hold where the score writes none."""
    marks = [
        (d.onset_div, LEVELS[plain_level(d.text)])
        for d in signs
        if d.kind == "dynamic" and plain_level(d.text) in LEVELS
    ]
    if plan is not None and not marks:
        marks = [
            (plan.bar_onset_div(bar) if bar else 0, LEVELS[section.dynamic])
            for section, bar in zip(plan.sections, plan.first_bars, strict=True)
            if section.dynamic is not None
        ]
    hairpins = [d for d in signs if d.kind != "dynamic"]
    events = sorted([(m[0], 0, i) for i, m in enumerate(marks)] + [(h.onset_div, 1, i) for i, h in enumerate(hairpins)])
    first = min(marks)[1] if marks and min(marks)[0] == 0 else DEFAULT_LEVEL
    corners: list[tuple[float, float]] = [(-1.0, first)]
    for at, kind, index in events:
        level = corners[-1][1]
        if kind == 0:
            corners += [(max(at - 0.5, corners[-1][0]), level), (max(at, corners[-1][0]), marks[index][1])]
        else:
            corners += _hairpin(hairpins[index], float(max(at, corners[-1][0])), level, marks)
    return np.array(corners)


def _hairpin(sign: Direction, start: float, level: float, marks: list[tuple[int, float]]) -> list[tuple[float, float]]:
    """Corners of a hairpin: to the mark at its end if there is one in its direction, else by `HAIRPIN`."""
    end = sign.onset_div + max(sign.duration_div, 1)
    slack = max(sign.duration_div // 4, 1)
    way = 1 if sign.kind == "crescendo" else -1
    goals = [goal for at, goal in marks if start < at and abs(at - end) <= slack and (goal - level) * way > 0]
    goal = goals[0] if goals else min(max(level + way * HAIRPIN, LEVELS["ppp"]), LEVELS["fff"])
    return [(start, level), (max(end - 1.0, start), goal)]


def accents_of(score: Score, notes: NoteArrays) -> Float[np.ndarray, " notes"]:
    """What accents and sforzati add to the notes that they stand on."""
    accents = np.zeros(len(notes.onset))
    for sign in score.directions:
        text = sign.text.strip().lower()
        if sign.kind == "dynamic" and (text[:2] in ("sf", "fz", "rf", "fp")):
            amount = SFORZATO
        elif sign.kind == "articulation":
            amount = next((a for word, a in ACCENTS.items() if word in text), 0.0)
        else:
            continue
        struck = notes.at(sign)
        accents[struck] = np.maximum(accents[struck], amount)
    return accents
