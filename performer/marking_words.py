"""Words in a score that change loudness or tempo: what they ask for, in numbers.

`dynamic_signs` turns words into the signs that they stand for, so that "cresc." is a hairpin; `tempo_steps` gives the
tempo in force from a place on, `tempo_bends` the stretches that slow down or hurry. Beats a minute of tempo words are
the middle of what metronome makers print, slower where a beat is a half or a dotted note, which moves less often.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from music.plan import DYNAMICS, Plan
from music.score import Direction, Score
from music.time import DIVS_PER_QUARTER, Meter

DEFAULT_QPM = 100.0
WORD_CHANGE = 0.3  # how much a written rit. or accel. changes the tempo
# Beats a minute that the common words ask for where no number stands.
TEMPO_WORDS = {
    "prestissimo": 184, "presto": 168, "vivace": 152, "allegretto": 108, "allegro": 132, "moderato": 104,
    "andantino": 84, "andante": 76, "adagietto": 68, "adagio": 62, "larghetto": 62, "largo": 50, "lento": 54,
    "grave": 44, "menuetto": 126, "minuetto": 126, "menuet": 126, "maestoso": 84,
    "schnell": 152, "lebhaft": 132, "rasch": 144, "bewegt": 116, "mäßig": 100, "mässig": 100, "langsam": 56,
    "vif": 150, "animé": 126, "modéré": 100, "lent": 54,
}  # fmt: skip
FAST = 100  # "molto" and "assai" push words from here on up, and those below it down
QUALIFIED = 1.1
RELATIVE = 1.15
SLIGHT, STRONG = 0.5, 1.4  # of what a word asks for, after "poco" and "molto"
# A half note's beat carries fewer beats a minute than a quarter's, an eighth note's more.
HALF_BEAT, DOTTED_BEAT, EIGHTH_BEAT = 0.65, 0.75, 1.6
REACH_BARS, FAR_BARS = 4, 8  # how far "cresc." and "cresc. poco a poco" look for the mark that they lead to
OPEN_BARS, FAR_OPEN_BARS = 2, 4  # how long they last where there is none
_SLOWER = re.compile(
    r"\b(rit\.|rit\b|ritard|ritenuto|riten|rall|allarg|calando|morendo|slentando|smorz)", re.IGNORECASE
)
_FASTER = re.compile(r"\b(accel|string\.|stringendo|affrett|incalz)", re.IGNORECASE)
_RESET = re.compile(r"\b(a tempo|tempo primo|tempo i\b|in tempo|l'istesso)", re.IGNORECASE)
_A_TEMPO = re.compile(r"\b(a tempo|in tempo)\b", re.IGNORECASE)
_FIRST_TEMPO = re.compile(r"\b(tempo primo|tempo i\b|tempo 1|1°? ?tempo|primo tempo)", re.IGNORECASE)
_QUICKER = re.compile(
    r"\b(pi[uù]\s+(mosso|moto|animato|presto|vivace|vivo|allegro|agitato|stretto)|stretto|animato|animando"
    r"|schneller|bewegter|plus vite)\b",
    re.IGNORECASE,
)
_SLACKER = re.compile(
    r"\b(meno\s+(mosso|moto|allegro|presto|vivo|vivace)|pi[uù]\s+(lento|largo|tranquillo|adagio|moderato|sostenuto)"
    r"|langsamer|moins vite)\b",
    re.IGNORECASE,
)
_NO_TEMPO = re.compile(r"(da capo|\bd\. ?c\.|\battac)", re.IGNORECASE)  # where to go on, not how fast
_LOUDER = re.compile(r"\b(cresc|pi[uù] f(orte)?$|rinforz)", re.IGNORECASE)
_SOFTER = re.compile(
    r"\b(dim\b|dimin|decresc|calando|morendo|smorz|perdend|mancando|al niente|pi[uù] p(iano)?$)", re.IGNORECASE
)
_AT_ONCE = re.compile(r"^(poco |un poco )?pi[uù] (f|p|forte|piano)$", re.IGNORECASE)
_FAR = re.compile(r"\b(poco a poco|sempre)\b", re.IGNORECASE)
_FILLERS = ("sempre", "subito", "sub", "dolce", "ma", "e", "ed", "molto", "legato", "staccato", "stacc", "espressivo")
_SPELLED = re.compile(r"\b(?:(?:sempre|subito)\b.*\b(piano|forte)|(piano|forte) (?:subito|sempre))\b", re.IGNORECASE)
_VOICE = {"sotto voce": "p", "mezza voce": "mp"}


def dynamic_signs(score: Score) -> tuple[Direction, ...]:
    """Dynamics and hairpins of a score, with those that it writes as words among them, in order of their onsets.

    A level in words ("sempre pp", "subito piano", "sotto voce") counts where no mark stands at its place. "cresc." and
    its like last until the next level, hairpin or word of their part within four bars (eight for "poco a poco"), else
    for two (four). "più f" changes at once.
    """
    signs = [d for d in score.directions if d.kind in ("dynamic", "crescendo", "diminuendo")]
    words = [d for d in score.directions if d.kind in ("tempo", "text")]
    if not words:
        return tuple(signs)
    taken = {(d.onset_div, d.part) for d in signs}
    levels = [
        Direction(d.onset_div, "dynamic", level, 0, d.part)
        for d in words
        if (level := _level_in(d.text)) and (d.onset_div, d.part) not in taken
    ]
    signs += sorted(set(levels), key=_order)
    gradual = {(d.onset_div, d.part, way): d for d in words if (way := _way(d.text)) is not None}
    hairpins = {(d.onset_div, d.part) for d in signs if d.kind != "dynamic"}
    goals = [(d.onset_div, d.part) for d in signs if d.kind != "dynamic" or _is_level(d.text)]
    stops = sorted({*goals, *((onset, part) for onset, part, _ in gradual)})
    for (onset, part, way), word in gradual.items():
        if (onset, part) not in hairpins:
            signs.append(Direction(onset, way, "", _extent(score, word, stops), part))
    return tuple(sorted(signs, key=_order))


def _order(sign: Direction) -> tuple[int, int, str, str]:
    return sign.onset_div, sign.part, sign.kind, sign.text


def _is_level(text: str) -> bool:
    """Whether a mark sets a level: "p" and "fp" do, "sf" does not."""
    return plain_level(text) in DYNAMICS


def plain_level(text: str) -> str:
    """Marks that name a level in more letters or fewer: "fp" starts again at p, "pppp" is ppp."""
    text = text.strip().lower()
    known = {"fp": "p", "pf": "f", "sfp": "p", "pppp": "ppp", "ppppp": "ppp", "ffff": "fff", "fffff": "fff"}
    return known.get(text, text)


def _plain(text: str) -> str:
    return re.sub(r"[^\w'°]+", " ", text.lower()).strip()


def _level_in(text: str) -> str:
    """The level that words name, or ""."""
    plain = _plain(text)
    for words, level in _VOICE.items():
        if words in plain:
            return level
    spelled = _SPELLED.search(plain)
    if spelled:
        return (spelled[1] or spelled[2])[0]
    first = next((word for word in plain.split() if word not in _FILLERS), "")
    return plain_level(first) if _is_level(first) else ""


def _way(text: str) -> str | None:
    plain = _plain(text)
    if _LOUDER.search(plain):
        return "crescendo"
    return "diminuendo" if _SOFTER.search(plain) else None


def _extent(score: Score, word: Direction, stops: list[tuple[int, int]]) -> int:
    """Divisions that a gradual word lasts."""
    if word.duration_div:
        return word.duration_div
    plain = _plain(word.text)
    if _AT_ONCE.match(plain):
        return 1
    far, bar = bool(_FAR.search(plain)), score.meter_at(word.onset_div).bar_div
    reach = word.onset_div + bar * (FAR_BARS if far else REACH_BARS)
    at = bisect_right(stops, (word.onset_div, len(score.parts)))
    following = next((o for o, p in stops[at:] if word.part < 0 or p in (word.part, -1)), None)
    if following is not None and following <= reach:
        return following - word.onset_div
    end = word.onset_div + bar * (FAR_OPEN_BARS if far else OPEN_BARS)
    return max(min(end, score.end_div) - word.onset_div, 1)


def tempo_steps(score: Score, plan: Plan | None) -> tuple[list[tuple[int, float]], int | None]:
    """Tempos in quarters a minute from their onsets on, the first at 0, and from where on they are written.

    Numbers hold, and words at the same place add nothing to them. A word alone gives its usual tempo, or that of the
    number that once stood with it; "più mosso" and "meno mosso" change the tempo by `RELATIVE`; "a tempo" brings back
    what was before such a change, "Tempo I" what was first. Without all these the plan's tempo holds, else 100,
    which is written nowhere: the second value is then None, or where the first number or word stands.
    """
    numbers = {t.onset_div: float(t.qpm) for t in score.tempos}
    words: dict[int, list[str]] = {}
    for sign in score.directions:
        relative = sign.kind == "text" and (_QUICKER.search(sign.text) or _SLACKER.search(sign.text))
        if sign.kind == "tempo" or (sign.kind == "text" and (sign.onset_div == 0 or relative)):
            words.setdefault(sign.onset_div, []).append(sign.text)
    start = plan.tempo_qpm if plan is not None else None
    if numbers:
        start = numbers[min(numbers)]
    elif start is None and 0 in words:
        start = next((t for w in words[0] if (t := word_tempo(w, score.meters[0].meter)) is not None), None)
    known_from = None if start is None else 0
    tempo = main = first = DEFAULT_QPM if start is None else start
    of_word: dict[str, float] = {}
    steps = [(0, tempo)]
    for onset in sorted({*numbers, *words}):
        texts = words.get(onset, [])
        if onset in numbers:
            tempo = main = numbers[onset]
            of_word.update({_plain(text): tempo for text in texts})
        elif onset > 0:
            meter = score.meter_at(onset)
            asked = [_asked(text, meter, tempo, main, first, of_word) for text in texts]
            told = [a for a in asked if a is not None]
            if told:
                tempo, main, absolute = told[0]
                known_from = onset if absolute and known_from is None else known_from
        if tempo != steps[-1][1]:
            steps.append((onset, tempo))
    return steps, known_from


def _asked(
    text: str, meter: Meter, tempo: float, main: float, first: float, of_word: dict[str, float]
) -> tuple[float, float, bool] | None:
    """The tempo after a word, the one that "a tempo" brings back, whether the word tells it; None for other words."""
    if _NO_TEMPO.search(text) or not text:
        return None
    if _FIRST_TEMPO.search(text):
        return first, first, False
    if _A_TEMPO.search(text):
        return main, main, False
    if "doppio movimento" in _plain(text):
        return 2 * tempo, main, False
    way = 1 if _QUICKER.search(text) else -1 if _SLACKER.search(text) else 0
    if way:
        return tempo * RELATIVE ** (way * (SLIGHT if "poco" in _plain(text) else 1)), main, False
    usual = of_word.get(_plain(text)) or word_tempo(text, meter)
    return (usual, usual, True) if usual is not None else None


def word_tempo(text: str, meter: Meter) -> float | None:
    """Quarters a minute that a tempo word asks for in a meter, or None: the first that stands in the text counts."""
    plain = _plain(text)
    found = [(m.start(), beats) for word, beats in TEMPO_WORDS.items() if (m := re.search(rf"\b{word}\b", plain))]
    if not found:
        return None
    beats = float(min(found)[1])
    way = 1 if beats >= FAST else -1
    rest = plain[min(found)[0] :].split(" ", 1)[-1] if " " in plain[min(found)[0] :] else ""
    if re.search(r"\bnon (troppo|tanto)|\b(moderato|maestoso)\b", rest) or re.match(r"(un )?poco\b", plain):
        beats /= QUALIFIED**way
    elif "con moto" in rest:
        beats *= QUALIFIED
    elif re.search(r"\b(molto|assai|vivace)\b", plain) and not plain.startswith("vivace"):
        beats *= QUALIFIED**way
    if meter.is_compound:
        beats *= DOTTED_BEAT
    elif meter.beat_div != DIVS_PER_QUARTER:
        beats *= HALF_BEAT if meter.beat_div > DIVS_PER_QUARTER else EIGHTH_BEAT
    return beats * meter.beat_div / DIVS_PER_QUARTER


@dataclass(frozen=True)
class Bend:
    """A stretch in divisions at whose end the written tempo is slower by 1 + `change` (faster where it is negative)."""

    start: int
    end: int
    change: float


def tempo_bends(score: Score) -> tuple[Bend, ...]:
    """What written rit. and accel. ask for: growing until the next tempo sign or for two bars.

    The same word in several parts counts once; one that stands where another still lasts prolongs it.
    """
    words = [d for d in score.directions if d.kind in ("tempo", "text")]
    stops = {d.onset_div for d in words if d.kind == "tempo" or _RESET.search(d.text)}
    stops |= {t.onset_div for t in score.tempos} | {s.onset_div for s in score.sections} | {score.end_div}
    found = [Bend(d.onset_div, _end_of_word(d, score, stops), change) for d in words if (change := _bend(d.text))]
    return tuple(_joined(found))


def _bend(text: str) -> float:
    change = WORD_CHANGE if _SLOWER.search(text) else -WORD_CHANGE * 0.6 if _FASTER.search(text) else 0.0
    return change * (SLIGHT if re.search(r"\bpoco (rit|rall|accel)", text, re.IGNORECASE) else
                     STRONG if re.search(r"\bmolto (rit|rall|accel)", text, re.IGNORECASE) else 1.0)  # fmt: skip


def _end_of_word(word: Direction, score: Score, stops: set[int]) -> int:
    if word.duration_div:
        return word.onset_div + word.duration_div
    reach = word.onset_div + 2 * score.meter_at(word.onset_div).bar_div
    return min([s for s in stops if s > word.onset_div] + [reach])


def _joined(found: Iterable[Bend]) -> list[Bend]:
    kept: list[Bend] = []
    for bend in sorted(found, key=lambda b: (b.start, b.end, b.change)):
        last = kept[-1] if kept else None
        if last is not None and bend.start <= last.end and (bend.change > 0) == (last.change > 0):
            strongest = max(bend.change, last.change, key=abs)
            kept[-1] = Bend(last.start, max(bend.end, last.end), strongest)
        else:
            kept.append(bend)
    return kept


def tempo_resets(score: Score) -> tuple[int, ...]:
    """Divisions at which words end whatever bent the tempo before: "a tempo", "Tempo I" and their like."""
    words = [d for d in score.directions if d.kind in ("tempo", "text")]
    return tuple(sorted({d.onset_div for d in words if _RESET.search(d.text)}))
