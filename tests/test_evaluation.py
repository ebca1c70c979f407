"""The measures of `evaluation/` on pieces small enough to count by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation import harmony as harmonic
from evaluation import structure, texture, voice_leading
from evaluation.cadences import Cadences, planned_cadences
from evaluation.originality import RunIndex, index_pieces
from evaluation.piece import WORDS, evaluate, evaluate_piece, human_figures, summary, table
from evaluation.sonorities import changes, sonorities
from music.analysis.chords import Harmony, analyse_harmony
from music.errors import FileError, RequestError
from music.midi import write_score_midi
from music.pitch import Key
from music.plan import Chord, Phrase, Plan, PlanNote, Section, Theme
from music.plan_json import write_plan
from music.score import KeyChange, MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import DIVS_PER_QUARTER, Meter

Q = DIVS_PER_QUARTER
COMMON = Meter(4, 4)
C, G = Key("C"), Key("G")
# Four-part chords, a half note each: I, IV, V7, I in C.
CADENCE = ((48, 55, 64, 72), (53, 57, 60, 72), (43, 62, 65, 71), (48, 55, 64, 72))


def made_score(rows: list[tuple[float, float, int]], bars: int, *, parts: int = 4, meter: Meter = COMMON) -> Score:
    """A score of (onset, duration, pitch) in quarters; parts are dealt in turn."""
    notes = [Note("", round(o * Q), round(d * Q), p, i % parts) for i, (o, d, p) in enumerate(rows)]
    named = [replace(n, id=f"n{i}") for i, n in enumerate(sort_notes(notes))]
    row = tuple(Part(f"P{i}") for i in range(parts))
    return Score(row, tuple(named), regular_bars(meter, bars), (MeterChange(0, meter),))


def chords_at(start: float, chords: tuple[tuple[int, ...], ...], length: float = 2.0, shift: int = 0) -> list[
    tuple[float, float, int]
]:  # fmt: skip
    """Chords one after another as rows of `made_score`."""
    return [(start + i * length, length, p + shift) for i, chord in enumerate(chords) for p in chord]


def chord(onset: float, length: float, root: int, quality: str, bass: int) -> Chord:
    """A chord with its times in quarters."""
    return Chord(round(onset * Q), round(length * Q), root, quality, bass)


PLANNED = (chord(0, 2, 0, "maj", 0), chord(2, 2, 5, "maj", 5), chord(4, 2, 7, "7", 7), chord(6, 2, 0, "maj", 0))


def two_bars(label: str, key: Key = C, cadence: str | None = "PAC", **more: object) -> Section:
    """A section of one phrase of two bars."""
    return Section(label, 2, key, (Phrase(2, "a", cadence),), **more)  # pyright: ignore[reportArgumentType]


def made_plan(*sections: Section, themes: tuple[Theme, ...] = ()) -> Plan:
    """A plan of those sections in C major."""
    return Plan("", "", "satb", C, COMMON, 0, 90.0, sections, themes)


def test_sonorities_cover_the_piece_and_skip_nothing() -> None:
    row = sonorities(made_score([(0, 2, 60), (1, 1, 64), (3, 1, 62), (3, 0, 63)], 1))
    assert [(s.onset_div // Q, s.end_div // Q, s.pitches, s.struck) for s in row] == [
        (0, 1, (60,), (60,)),
        (1, 2, (60, 64), (64,)),
        (2, 3, (), ()),
        (3, 4, (62,), (62,)),
    ]
    assert changes(row) == ((60,), (60, 64), (62,))


def test_a_unison_ends_with_its_last_note() -> None:
    row = sonorities(made_score([(0, 1, 60), (0, 2, 60)], 1))
    assert [s.pitches for s in row] == [(60,), (60,), ()]


def test_parallels_are_counted_over_all_pairs() -> None:
    score = made_score([(0, 1, 48), (0, 1, 55), (0, 1, 60), (1, 1, 50), (1, 1, 57), (1, 1, 62)], 1)
    found = voice_leading.parallels(sonorities(score))
    assert (found.moves, found.fifths, found.octaves) == (3, 1, 1)


def test_contrary_and_oblique_motion_is_no_parallel() -> None:
    score = made_score([(0, 1, 48), (0, 1, 67), (1, 1, 60), (1, 1, 55), (2, 1, 55), (2, 1, 62)], 1)
    found = voice_leading.parallels(sonorities(score))
    assert (found.moves, found.fifths, found.octaves) == (2, 0, 0)


def test_roots_by_beat_follow_the_plan() -> None:
    score = made_score(chords_at(0, CADENCE), 2)
    harmony = analyse_harmony(score)
    assert harmonic.roots_by_beat(made_plan(two_bars("A", chords=PLANNED)), harmony) == 1.0
    wrong = (*PLANNED[:3], chord(6, 2, 9, "min", 9))
    assert harmonic.roots_by_beat(made_plan(two_bars("A", chords=wrong)), harmony) == 0.75
    assert harmonic.roots_by_beat(made_plan(two_bars("A")), harmony) is None


def test_a_planned_cadence_is_found_at_its_place_only() -> None:
    score = made_score(chords_at(0, CADENCE), 2)
    harmony = analyse_harmony(score)
    assert planned_cadences(score, made_plan(two_bars("A")), harmony) == Cadences(1, 1, 1)
    imperfect = made_plan(two_bars("A", cadence="IAC"))
    assert planned_cadences(score, imperfect, harmony) == Cadences(1, 0, 1)
    half = made_plan(two_bars("A", cadence="HC"))
    assert planned_cadences(score, half, harmony) == Cadences(1, 0, 0)
    early = Section("A", 2, C, (Phrase(1, "a", "PAC"), Phrase(1, "b", None)))
    assert planned_cadences(score, made_plan(early), harmony) == Cadences(1, 0, 0)


def test_section_keys_are_those_held_longest() -> None:
    plan = made_plan(two_bars("A"), two_bars("B", G))
    heard = Harmony((KeyChange(0, C), KeyChange(9 * Q, G)), ())
    assert harmonic.section_keys(plan, heard, plan.end_div) == 1.0
    heard = Harmony((KeyChange(0, C), KeyChange(13 * Q, G)), ())
    assert harmonic.section_keys(plan, heard, plan.end_div) == 0.5


def test_scale_and_entropy() -> None:
    scale = [60, 62, 64, 65, 67, 69, 71]
    assert harmonic.scale_consistency(scale) == 1.0
    assert harmonic.scale_consistency([*scale, 61]) == 7 / 8
    assert harmonic.scale_consistency([]) == 0.0
    assert harmonic.pitch_class_entropy([60, 72]) == 0.0
    assert harmonic.pitch_class_entropy([60, 62, 64, 65]) == pytest.approx(2.0)


@pytest.mark.parametrize(("next_chord", "left"), [((48, 64, 67), 0.0), ((48, 65, 69), 0.0), ((48, 67, 72), 1.0)])
def test_sevenths_resolve_down_or_stay(next_chord: tuple[int, ...], left: float) -> None:
    rows = [(0.0, 2.0, p) for p in (43, 59, 65)] + [(2.0, 2.0, p) for p in next_chord]
    harmony = Harmony((KeyChange(0, C),), (chord(0, 2, 7, "7", 7), chord(2, 2, 0, "maj", 0)))
    assert voice_leading.unresolved_sevenths(sonorities(made_score(rows, 1)), harmony) == left


def test_no_seventh_means_no_figure() -> None:
    score = made_score(chords_at(0, CADENCE[:2]), 1)
    assert voice_leading.unresolved_sevenths(sonorities(score), Harmony((KeyChange(0, C),), PLANNED[:2])) is None


def test_six_fours_have_three_good_reasons() -> None:
    six_four = chord(2, 1, 0, "maj", 7)
    cadential = (chord(0, 2, 5, "maj", 5), six_four, chord(3, 1, 7, "maj", 7))
    passing = (chord(0, 2, 5, "maj", 9), six_four, chord(3, 1, 5, "maj", 5))
    chance = (chord(0, 2, 2, "min", 2), six_four, chord(3, 1, 9, "min", 0))
    shares = [harmonic.six_fours_by_chance(Harmony((KeyChange(0, C),), row)) for row in (cadential, passing, chance)]
    assert shares == [(1 / 3, 0.0), (1 / 3, 0.0), (1 / 3, 1 / 3)]


def test_silence_and_sticking_are_measured_in_time() -> None:
    score = made_score([(0, 2, 60), (2, 1, 60), (9, 3, 62)], 3)
    row = sonorities(score)
    assert texture.longest_silence(score, row) == 1.5
    assert texture.longest_sonority(score, row) == 3.0


def test_a_restruck_tie_is_no_repeated_chord() -> None:
    tie = made_score([(0, 4, 48), (0, 2, 64), (2, 2, 64)], 1)
    assert texture.stutter(sonorities(tie)) == pytest.approx(1 / 3)
    repeated = made_score([(o, 1, p) for o in range(4) for p in (48, 64)], 1)
    assert texture.stutter(sonorities(repeated)) == 0.0
    beside_motion = made_score([(0, 4, 48), (0, 2, 64), (2, 2, 64), (2, 2, 67)], 1)
    assert texture.stutter(sonorities(beside_motion)) == 0.0


def test_hands_reach_a_ninth() -> None:
    def staved(*notes: tuple[int, int]) -> float | None:
        score = made_score([(0, 1, p) for p, _ in notes], 1, parts=1)
        staff = dict(notes)
        return texture.unplayable_hands(
            replace(score, notes=tuple(replace(n, staff=staff[n.pitch]) for n in score.notes))
        )

    assert staved((48, 2), (62, 2), (72, 1)) == 0.0
    assert staved((48, 2), (63, 2), (72, 1)) == 0.5
    assert staved((48, 0), (63, 0), (72, 0)) == 0.0
    assert staved((40, 0), (60, 0), (80, 0)) == 1.0
    assert texture.unplayable_hands(made_score([(0, 1, 60)], 1, parts=4)) is None


def test_density_polyphony_and_range() -> None:
    score = made_score([(0, 2, 60), (1, 1, 67), (2, 2, 48)], 1)
    assert texture.density(score) == 0.75
    assert texture.polyphony(sonorities(score)) == 1.25
    assert texture.pitch_range(score) == 19
    assert texture.density_of_plan(score, replace(made_plan(Section("A", 1, C, (Phrase(1, "a"),), density=1.5)))) == 0.5


def melody(start: float, steps: tuple[int, ...], shift: int = 0) -> list[tuple[float, float, int]]:
    """Quarter notes one after another."""
    return [(start + i, 1.0, p + shift) for i, p in enumerate(steps)]


TUNE = (72, 74, 76, 77, 79, 77, 76, 72)
OTHER = (67, 64, 69, 65, 71, 62, 60, 59)


def made_form() -> tuple[Score, Plan]:
    """A B A' in three times two bars; the return stands a fifth higher and differs in its second bar."""
    rows = melody(0, TUNE) + [(8 + o * 1.5, 1.5, p) for o, p in enumerate(OTHER[:5])]
    rows += melody(16, (*TUNE[:7], 71), 7)
    theme = Theme("A", 2, C, tuple(PlanNote(i * Q, Q, p) for i, p in enumerate(TUNE)))
    returns = two_bars("A'", G, source=0, theme="A")
    return made_score(rows, 6), made_plan(two_bars("A", theme="A"), two_bars("B"), returns, themes=(theme,))


def test_sections_of_a_letter_are_alike() -> None:
    score, plan = made_form()
    pairs = structure.section_pairs(score, plan)
    assert [(p.first, p.second, p.same) for p in pairs] == [(0, 1, False), (0, 2, True), (1, 2, False)]
    assert pairs[1].transposition == 7
    same, different = (structure.mean_similarity(pairs, same=s) for s in (True, False))
    assert same is not None
    assert different is not None
    assert same == pytest.approx(7 / 8, abs=0.05)
    assert different < 0.5
    assert structure.altered_bars(score, plan, pairs) == 0.5
    alone = made_plan(two_bars("A"))
    assert structure.mean_similarity((), same=True) is None
    assert structure.altered_bars(score, alone, ()) is None


def test_themes_are_found_where_they_are_stated() -> None:
    score, plan = made_form()
    found = structure.themes_found(score, plan)
    assert found == (1.0, pytest.approx((1 + 7 / 8) / 2))
    misplaced = made_plan(two_bars("A"), two_bars("B", theme="A"), themes=plan.themes)
    lost = structure.themes_found(score, misplaced)
    assert lost is not None
    assert lost[0] == 0.0
    assert lost[1] < 0.5
    assert structure.themes_found(score, made_plan(two_bars("A"))) is None


def test_pairwise_f_is_that_of_its_definition() -> None:
    assert structure.pairwise_f("AABB", "CCDD") == 1.0
    # 2 pairs in the reference, 6 in the estimate, 2 in both.
    assert structure.pairwise_f("AABB", "CCCC") == pytest.approx(2 * (1 / 3) / (4 / 3))
    assert structure.pairwise_f("AABB", "CDEF") == 0.0
    assert structure.pairwise_f("ABC", "DEF") == 1.0


def test_boundary_f_allows_a_bar() -> None:
    assert structure.boundary_f((8, 16), (9, 15)) == 1.0
    assert structure.boundary_f((8, 16), (10,)) == 0.0
    assert structure.boundary_f((8, 16), (8, 9)) == 0.5
    assert structure.boundary_f((), ()) == 1.0


def test_the_form_is_found_blind() -> None:
    bars = [chords_at(8 * i, CADENCE, shift=s) for i, s in enumerate((0, 0, 0, 0))]
    rows = [r for b in bars for r in b]
    score = made_score(rows, 8)
    plan = made_plan(two_bars("A"), two_bars("A", source=0), two_bars("A", source=0), two_bars("A", source=0))
    found = structure.blind_form(score, plan)
    assert found is not None
    assert found[0] == 1.0


def test_evaluate_piece_collects_what_can_be_measured() -> None:
    score, plan = made_form()
    figures = evaluate_piece(score, plan)
    assert set(figures) <= set(WORDS)
    assert {"similarity_same", "altered_bars", "themes_found", "cadences_found", "section_keys"} <= set(figures)
    assert "roots" not in figures
    assert "unplayable_hands" not in figures
    bare = evaluate_piece(score)
    assert "similarity_same" not in bare
    assert all(figures[name] == value for name, value in bare.items())


def test_a_plan_of_another_length_is_refused() -> None:
    score, plan = made_form()
    with pytest.raises(RequestError, match="16 quarters, the score 24"):
        evaluate_piece(score, replace(plan, sections=plan.sections[:2]))
    with pytest.raises(RequestError, match="no notes"):
        evaluate_piece(made_score([], 1))


def test_summary_and_table() -> None:
    rows = [{"stutter": 0.0, "roots": 0.5}, {"stutter": 1.0}]
    found = summary(rows)
    assert list(found) == ["roots", "stutter"]
    assert found["stutter"] == {"mean": 0.5, "p10": 0.1, "p90": 0.9, "pieces": 2}
    lines = table({"stutter": 0.25, "roots": 0.5}).splitlines()
    assert len(lines) == 3
    assert "0.500" in lines[1]
    assert "0.250" in lines[2]


def test_human_figures_are_complete() -> None:
    human = human_figures()
    assert "benchmarks.human_figures" in human["command"]
    for one in human["sets"].values():
        assert one["pieces"] > 3
        assert set(one["measures"]) <= set(WORDS)
    chorales = human["sets"]["music21_chorales"]["measures"]
    assert chorales["parallel_fifths"]["mean"] < 0.3
    assert chorales["scale_consistency"]["mean"] > 0.8


def test_the_task_reads_files(tmp_path: Path) -> None:
    score, plan = made_form()
    write_score_midi(score, tmp_path / "a.mid")
    write_plan(plan, tmp_path / "plan.json")
    text = evaluate({"score_file": str(tmp_path / "a.mid"), "plan_file": str(tmp_path / "plan.json")})
    *lines, last = text.splitlines()
    figures = json.loads(last)
    assert len(lines) == len(figures) + 1
    assert figures["altered_bars"] == 0.5
    assert figures["themes_found"] == 1.0


def test_the_task_needs_a_score() -> None:
    with pytest.raises(RequestError, match="score_file="):
        evaluate({"score_file": None, "plan_file": None})


def test_a_copied_passage_is_found_in_any_key_and_time() -> None:
    index = index_pieces([made_score(chords_at(0, CADENCE), 2), made_score(melody(0, TUNE), 2)])
    assert index.pieces == 2
    copied = made_score(chords_at(1, CADENCE, length=1.0, shift=-3) + melody(5, (60, 61)), 2)
    assert index.longest_run(copied) == 4
    assert index.longest_run(made_score(melody(0, (*OTHER[:3], *TUNE[2:5], *OTHER[:2])), 2)) == 3
    assert index.longest_run(made_score([(0, 1, 60)], 1)) == 0
    # A run does not go on from one piece into the next.
    both = made_score(chords_at(0, CADENCE) + melody(8, TUNE), 4)
    assert index.longest_run(both) == len(TUNE)


def test_an_index_is_small_and_survives_its_file(tmp_path: Path) -> None:
    index = index_pieces([made_score(melody(0, TUNE), 2)] * 3)
    index.write(tmp_path / "index.npz")
    again = RunIndex.read(tmp_path / "index.npz")
    assert np.array_equal(again.steps, index.steps)
    assert again.steps.nbytes == 4 * 3 * len(TUNE)
    assert evaluate_piece(made_score(melody(0, OTHER), 2), index=again)["longest_shared_run"] < len(TUNE)
    (tmp_path / "index.npz").write_bytes(b"nothing")
    with pytest.raises(FileError, match="index of sonorities"):
        RunIndex.read(tmp_path / "index.npz")
