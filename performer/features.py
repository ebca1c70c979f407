"""A score as the learned performer sees it: named columns for each note and for each onset.

Columns come from the score alone or with its plan; none is normalised by a corpus. Where there is no plan, phrases are
those that the rule performer finds by analysis. Names, units and groups stand in `feature_columns`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from music.analysis.chords import analyse_harmony
from music.errors import ScoreError
from music.plan import Plan
from music.score import Score
from performer.feature_columns import (
    GROUPS,
    LIMIT,
    NOTE_COLUMNS,
    NOTE_TABLE,
    ONSET_COLUMNS,
    ONSET_TABLE,
    Column,
    columns_of,
)
from performer.feature_form import cadence_columns, form_columns, plan_columns, span_of, without_gaps
from performer.feature_frame import make_frame
from performer.feature_harmony import harmony_columns
from performer.feature_notes import note_columns
from performer.feature_onsets import onset_columns
from performer.feature_rules import advise, rule_columns
from performer.feature_written import note_signs, onset_signs
from performer.rule_form import phrase_spans, section_spans
from performer.rule_score import note_arrays

__all__ = ["GROUPS", "NOTE_COLUMNS", "ONSET_COLUMNS", "ScoreFeatures", "columns_of", "concealed", "score_features"]


@dataclass(frozen=True, eq=False)
class ScoreFeatures:
    """Features of a score; notes stand in the codec's order (onset, pitch, id).

    Args:
        note_ids: ids of the score's notes.
        notes: one row a note, columns `NOTE_COLUMNS`, held to -4..4.
        onsets: one row for each unique onset, columns `ONSET_COLUMNS`.
        place: index of each note's onset.
        onset_div: the onsets in divisions, increasing.
        bar, phrase, section: which of them each onset lies in, counted from 0 without gaps (what has no onset is not
            counted); written bars that complete one another are one.

    Raises:
        ScoreError: columns that are not finite, or arrays of other lengths than notes and onsets.
    """

    note_ids: tuple[str, ...]
    notes: Float[np.ndarray, "notes note_columns"]
    onsets: Float[np.ndarray, "onsets onset_columns"]
    place: Int[np.ndarray, " notes"]
    onset_div: Int[np.ndarray, " onsets"]
    bar: Int[np.ndarray, " onsets"]
    phrase: Int[np.ndarray, " onsets"]
    section: Int[np.ndarray, " onsets"]

    def __post_init__(self) -> None:
        notes, onsets = len(self.note_ids), len(self.onset_div)
        if self.notes.shape != (notes, len(NOTE_COLUMNS)) or self.onsets.shape != (onsets, len(ONSET_COLUMNS)):
            raise ScoreError(f"features of {notes} notes have shapes {self.notes.shape} and {self.onsets.shape}")
        if len(self.place) != notes or any(len(x) != onsets for x in (self.bar, self.phrase, self.section)):
            raise ScoreError(f"features of {notes} notes and {onsets} onsets have indices of other lengths")
        for table, values in ((NOTE_TABLE, self.notes), (ONSET_TABLE, self.onsets)):
            bad = np.flatnonzero(~np.isfinite(values).all(axis=0))
            if len(bad):
                raise ScoreError(f"feature {table[int(bad[0])].name} is not finite")

    def note(self, name: str) -> Float[np.ndarray, " notes"]:
        """A column of the notes by its name, as scaled."""
        return self.notes[:, NOTE_COLUMNS.index(name)]

    def onset(self, name: str) -> Float[np.ndarray, " onsets"]:
        """A column of the onsets by its name, as scaled."""
        return self.onsets[:, ONSET_COLUMNS.index(name)]


def score_features(score: Score, *, plan: Plan | None = None) -> ScoreFeatures:
    """Features of any score that has notes; the same score and plan give the same bytes.

    Args:
        score: with staves and voices as `music.voices.assign_voices` gives them, if hands and lines are to be known.
        plan: what the score was written from: its phrases, cadences, sections and dynamics are taken as they are.

    Raises:
        ScoreError: a score without notes.
    """
    frame = make_frame(score)
    harmony = analyse_harmony(score)
    phrases, sections = phrase_spans(score, plan), section_spans(score, plan)
    arrays = note_arrays(score)
    advice = advise(score, arrays, phrases=phrases, sections=sections)
    phrase = without_gaps(span_of(frame, phrases))
    note_harmony, onset_harmony = harmony_columns(frame, harmony)
    note_rules, onset_rules = rule_columns(frame, score, arrays, advice)
    notes = {**note_columns(frame), **note_harmony, **note_signs(frame, score), **note_rules}
    onsets = {
        **onset_columns(frame, phrase),
        **onset_harmony,
        **form_columns(frame, phrases, sections),
        **cadence_columns(frame, score, plan, phrases, harmony),
        **plan_columns(frame, score, plan),
        **onset_signs(frame, score, arrays, plan),
        **onset_rules,
    }
    return ScoreFeatures(
        note_ids=tuple(n.id for n in frame.notes),
        notes=_stack(NOTE_TABLE, notes),
        onsets=_stack(ONSET_TABLE, onsets),
        place=frame.place.astype(np.int64),
        onset_div=frame.at,
        bar=without_gaps(frame.bar),
        phrase=phrase,
        section=without_gaps(span_of(frame, sections)),
    )


def concealed(features: ScoreFeatures, groups: Collection[str]) -> ScoreFeatures:
    """Features with whole groups of columns set to 0.

    Raises:
        ValueError: no such group.
    """
    notes, onsets = features.notes.copy(), features.onsets.copy()
    for group in groups:
        notes[:, list(columns_of(NOTE_TABLE, group))] = 0.0
        onsets[:, list(columns_of(ONSET_TABLE, group))] = 0.0
    return replace(features, notes=notes, onsets=onsets)


def _stack(table: tuple[Column, ...], columns: dict[str, np.ndarray]) -> Float[np.ndarray, "rows columns"]:
    """Columns in the table's order, scaled and held to `LIMIT`; every one must be there and no other."""
    if columns.keys() != {c.name for c in table}:
        raise ScoreError(
            f"feature columns are not those of the table: {sorted(columns.keys() ^ {c.name for c in table})}"
        )
    scaled = [np.asarray(columns[c.name], dtype=np.float64) / c.scale for c in table]
    return np.stack(scaled, axis=1).clip(-LIMIT, LIMIT).astype(np.float32)
