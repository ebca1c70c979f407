"""Columns of what is written: tempo, dynamics, hairpins, signs, fermatas and tempo words."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from music.plan import Plan
from music.score import Direction, Score
from performer.feature_frame import QUARTER, Frame
from performer.marking_words import dynamic_signs, tempo_bends
from performer.rule_dynamics import DEFAULT_LEVEL, written_levels
from performer.rule_score import NoteArrays
from performer.rule_tempo import base_tempo

NORMAL_QPM = 100.0


def note_signs(frame: Frame, score: Score) -> dict[str, np.ndarray]:
    """Columns of the group written, of notes."""
    names = ("staccato", "tenuto", "accent", "slurred", "slur_end", "arpeggio")
    columns = {name: np.zeros(len(frame.pitch)) for name in names}
    for sign in score.directions:
        text, here = sign.text.strip().lower(), _struck(frame, sign)
        if sign.kind == "articulation":
            if "stacc" in text or "spicc" in text:
                columns["staccato"][here] = 1.0
            elif "detached" in text or "portato" in text:
                columns["staccato"][here] = 0.5
            if "tenuto" in text:
                columns["tenuto"][here] = 1.0
            if any(word in text for word in ("accent", "marcato", "strong")):
                columns["accent"][here] = 1.0
        elif sign.kind == "dynamic" and text[:2] in ("sf", "fz", "rf", "fp"):
            columns["accent"][here] = 1.0
        elif sign.kind == "arpeggio":
            columns["arpeggio"][here] = 1.0
        elif sign.kind == "slur" and sign.duration_div > 0:
            stop = sign.onset_div + sign.duration_div
            low, high = np.searchsorted(frame.onset, [sign.onset_div, stop])
            under = _of_part(frame, np.arange(low, high), sign)
            columns["slurred"][under] = 1.0
            columns["slur_end"][under[frame.end[under] >= stop]] = 1.0
    known = any(d.kind in ("articulation", "slur", "arpeggio") for d in score.directions)
    return {**columns, "signs_known": np.full(len(frame.pitch), float(known))}


def onset_signs(frame: Frame, score: Score, notes: NoteArrays, plan: Plan | None) -> dict[str, np.ndarray]:
    """Columns of the groups tempo and written, of onsets; `notes` in the score's order."""
    accents = note_signs(frame, score)["accent"]
    return {
        **_tempo(frame, score, plan),
        **_levels(frame, score, notes, plan),
        "accented": frame.highest(accents),
        "fermata": _fermatas(frame, score),
        "slower": _bends(frame, score, 1),
        "faster": _bends(frame, score, -1),
    }


def _struck(frame: Frame, sign: Direction) -> Int[np.ndarray, " found"]:
    low, high = np.searchsorted(frame.onset, [sign.onset_div, sign.onset_div + 1])
    return _of_part(frame, np.arange(low, high), sign)


def _of_part(frame: Frame, found: Int[np.ndarray, " found"], sign: Direction) -> Int[np.ndarray, " kept"]:
    return found if sign.part < 0 else found[frame.part[found] == sign.part]


def _tempo(frame: Frame, score: Score, plan: Plan | None) -> dict[str, np.ndarray]:
    tempo = np.log2(base_tempo(score, plan, frame.at.astype(float)) / NORMAL_QPM)
    # Where nothing is written the tempo is the normal one, so any other was asked for by a word.
    known = bool(score.tempos) or plan is not None or bool(tempo.any())
    return {
        "tempo_known": np.full(len(frame.at), float(known)),
        "log_tempo": tempo,
        "tempo_change": tempo - tempo.mean(),
    }


def _levels(frame: Frame, score: Score, notes: NoteArrays, plan: Plan | None) -> dict[str, np.ndarray]:
    marked = bool(dynamic_signs(score))
    known = marked or (plan is not None and any(s.dynamic is not None for s in plan.sections))
    levels = written_levels(score, notes, plan)
    starts = np.searchsorted(notes.onset, frame.at)
    level: Float[np.ndarray, " onsets"] = np.add.reduceat(levels, starts) / frame.count
    at = frame.at.astype(float)
    return {
        "level_known": np.full(len(at), float(known)),
        "level": level - DEFAULT_LEVEL,
        "level_change": np.interp(at + 2 * QUARTER, at, level) - level,
        "level_since": level - np.interp(at - 2 * QUARTER, at, level),
    }


def _fermatas(frame: Frame, score: Score) -> Bool[np.ndarray, " onsets"]:
    """The last onset at or before a fermata's place, so that one over a rest counts for what comes before it."""
    found = np.zeros(len(frame.at), dtype=bool)
    places = np.array([d.onset_div for d in score.directions if d.kind == "fermata"], dtype=np.int64)
    index = np.searchsorted(frame.at, places, side="right") - 1
    found[index[index >= 0]] = True
    return found


def _bends(frame: Frame, score: Score, way: int) -> Float[np.ndarray, " onsets"]:
    """Growing from 0 to 1 under each word that slows down (`way` 1) or hurries (-1)."""
    result = np.zeros(len(frame.at))
    for bend in tempo_bends(score):
        if bend.change * way > 0:
            low, high = np.searchsorted(frame.at, [bend.start, bend.end])
            result[low:high] = (frame.at[low:high] - bend.start) / max(bend.end - bend.start, 1)
    return result
