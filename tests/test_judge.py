"""The judge, structureness, the perturbing baseline, faults and forms of repeats, on pieces made for the purpose."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import mir_eval
import numpy as np
import pytest

from evaluation import structure, voice_leading
from evaluation.cadences import cadence_formulas, formula_entropy, formula_variety
from evaluation.faults import FAULTS, faults, stuck
from evaluation.form import bars_of, find_form, form_of_products
from evaluation.judge import Classifier, JudgedPiece, auc, judge, judged_piece
from evaluation.known_form import plan_of_repeats, repeated_strains
from evaluation.perturb import altered_figures, copy_and_perturb, likeness, returned_bars, shake_returns
from evaluation.piece import evaluate_piece
from evaluation.sonorities import sonorities
from evaluation.structureness import chroma_frames, passage_fitness, seconds_of, similarity_matrix, structureness
from evaluation.texture import accompaniment_persistence, nothing_new
from evaluation.windows import feature_names, piece_windows
from music.analysis.chords import Harmony, analyse_harmony
from music.analysis.similarity import bar_products
from music.errors import RequestError
from music.plan import Chord
from music.score import Bar, KeyChange, Score, TempoChange
from tests.test_evaluation import (
    CADENCE,
    OTHER,
    PLANNED,
    TUNE,
    C,
    G,
    Q,
    chord,
    chords_at,
    made_plan,
    made_score,
    melody,
    two_bars,
)


def random_score(seed: int, bars: int = 12) -> Score:
    """Four voices of quarter notes that move at random in C major."""
    rng = np.random.default_rng(seed)
    scale = [p for p in range(40, 80) if p % 12 in (0, 2, 4, 5, 7, 9, 11)]
    places = np.array([3, 8, 12, 16])
    rows = []
    for beat in range(4 * bars):
        places = np.clip(places + rng.integers(-1, 2, 4), 0, len(scale) - 1)
        rows += [(float(beat), 1.0, scale[int(p)]) for p in sorted(set(places.tolist()))]
    return made_score(rows, bars)


def test_auc_counts_ordered_pairs() -> None:
    ours = np.array([False, False, True, True])
    assert auc(np.array([0.1, 0.4, 0.35, 0.8]), ours) == 0.75
    assert auc(np.array([1.0, 1.0, 1.0, 1.0]), ours) == 0.5
    assert auc(np.array([1.0, 2.0, 3.0, 4.0]), ours) == 1.0


def test_the_classifiers_slope_is_that_of_its_loss() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), (rng.random(20) < 0.5).astype(np.float64)
    learner = Classifier(hidden=4, decay=0.1)
    weights = rng.normal(size=3 * 4 + 4 + 4 + 3 + 1)
    _, slope = learner._loss(weights, x, y)
    for place in range(len(weights)):
        step = np.zeros_like(weights)
        step[place] = 1e-5
        rise = (learner._loss(weights + step, x, y)[0] - learner._loss(weights - step, x, y)[0]) / 2e-5
        assert slope[place] == pytest.approx(rise, abs=1e-6)


def test_the_classifier_learns_what_no_line_divides() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (400, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(np.float64)
    learner = Classifier(decay=1e-4).fit(x[:300], y[:300])
    assert auc(learner.logits(x[300:]), y[300:] > 0) > 0.95


def noise(pieces: int, ours: bool, shift: float, seed: int) -> list[JudgedPiece]:
    """Pieces whose windows are noise; each piece has a mark of its own that says nothing of the others."""
    rng = np.random.default_rng(seed)
    width = len(feature_names())
    made = []
    for _ in range(pieces):
        windows = rng.normal(size=(12, width)) + rng.normal(size=width)
        windows[:, 5] += shift
        made.append(JudgedPiece(windows, "satb 4", ours))
    return made


def test_the_judge_cannot_tell_noise_and_knows_a_mark() -> None:
    same = judge([*noise(16, True, 0.0, 1), *noise(16, False, 0.0, 2)])
    assert 0.25 < same.auc < 0.75  # pieces split between the folds would be known by their own marks: 1
    assert same.low < same.auc < same.high
    told = judge([*noise(32, True, 8.0, 1), *noise(32, False, 0.0, 2)])
    assert told.auc > 0.9
    assert told.tells[0][0] == feature_names()[5]
    assert told.pieces == (32, 32)
    assert told.windows == 32 * 12


def test_the_judge_takes_as_many_windows_of_each_side_and_kind() -> None:
    long = [JudgedPiece(np.ones((200, len(feature_names()))), "satb 4", False)] * 3
    other = [JudgedPiece(np.ones((9, len(feature_names()))), "piano 4", False)] * 3
    found = judge([*noise(4, True, 0.0, 1), *long, *other])
    assert found.windows == 48
    assert found.pieces == (4, 3)
    with pytest.raises(RequestError, match="two pieces"):
        judge([*noise(4, True, 0.0, 1), *other])


def test_chorales_of_chance_are_known_to_the_judge() -> None:
    walks = [judged_piece(random_score(seed), "satb", ours=True) for seed in range(6)]
    people = [judged_piece(made_score(chords_at(0, CADENCE * 3, shift=s), 6), "satb", ours=False) for s in range(6)]
    assert walks[0].kind == "satb 4/4"
    assert judge([*walks, *people]).auc > 0.95


def test_windows_are_the_same_in_every_key_but_for_register() -> None:
    here, there = (piece_windows(made_score(chords_at(0, CADENCE, shift=s), 2)) for s in (0, 4))
    assert here.shape == (1, len(feature_names()))
    moved = {n for n, a, b in zip(feature_names(), here[0], there[0], strict=True) if abs(a - b) > 1e-9}
    assert moved == {"mean pitch", "top pitch", "bass pitch"}


def test_windows_count_what_they_name() -> None:
    score = made_score([(0, 4, 48), *((float(i), 1.0, p) for i, p in enumerate((64, 65, 67, 64, 64, 65, 67, 64)))], 2)
    found = dict(zip(feature_names(), piece_windows(score)[0], strict=True))
    assert found["notes a quarter"] == pytest.approx(9 / 8)
    assert found["onset in quarter 0"] == 1.0
    assert found["notes at once 2"] == 0.5
    assert found["top moves by 0"] == pytest.approx(1 / 7)
    assert found["second bar like the first"] == pytest.approx(4 / np.sqrt(5 * 4))
    assert found["same rhythm in both bars"] == 1.0
    assert len(piece_windows(random_score(0, 40), most=5)) == 5


def test_seconds_follow_the_tempo_marks() -> None:
    score = replace(made_score([(0, 4, 60)], 2), tempos=(TempoChange(0, 60.0), TempoChange(4 * Q, 120.0)))
    assert seconds_of(score, np.array([0.0, 4.0 * Q, 8.0 * Q])).tolist() == pytest.approx([0.0, 4.0, 6.0])
    plain = made_score([(0, 4, 60)], 2)
    assert seconds_of(plain, np.array([90.0 * Q])).tolist() == pytest.approx([60.0])
    chroma = chroma_frames(score)
    assert chroma.shape == (6, 12)
    assert chroma[:4, 0].tolist() == [1.0] * 4
    assert not chroma[4:].any()


def test_fitness_is_that_of_its_definition() -> None:
    # A matrix by hand: four frames a b a b; the passage "a b" has two paths of two cells each.
    matrix = np.where(np.eye(4) + np.eye(4, k=2) + np.eye(4, k=-2) > 0, 1.0, -2.0)
    fit, cover = (4 - 2) / 4, (4 - 2) / 4
    assert passage_fitness(matrix, 0, 2) == pytest.approx(2 * fit * cover / (fit + cover))
    # The whole piece is like nothing but itself, which does not count.
    assert passage_fitness(matrix, 0, 4) == 0.0
    # A faster repeat is followed by a step of two: a a b | a b.
    letters = np.array([0, 0, 1, 0, 1])
    alike = np.where(letters[:, None] == letters, 1.0, -2.0)
    assert passage_fitness(alike, 0, 3) == pytest.approx(2 / 5)


def test_what_returns_is_more_structured() -> None:
    rng = np.random.default_rng(3)
    chance = rng.permutation(np.repeat(np.arange(48, 72), 4)).tolist()
    piece = made_score([(float(i), 1.0, p) for i, p in enumerate(chance)], 24)
    strain = chance[:24]
    returning = made_score([(float(i), 1.0, p) for i, p in enumerate(strain * 4)], 24)
    low, high = structureness(piece), structureness(returning)
    assert set(low) == set(high) == {"short", "middle", "long"}
    assert high["long"] > 0.5
    assert low["long"] < 0.1
    assert "long" not in structureness(made_score([(0, 4, 60)], 4))
    matrix = similarity_matrix(chroma_frames(returning))
    assert np.diag(matrix).min() == 1.0
    assert set(np.unique(matrix[matrix < 0])) == {-2.0}


def varied_form() -> tuple[Score, list[Chord]]:
    """A B A of two bars each over I IV V7 I; the last bar of the return has other notes."""
    rows = chords_at(0, CADENCE) + [(8 + o, 1.0, p) for o, p in enumerate(OTHER)]
    rows += chords_at(16, CADENCE[:2]) + chords_at(20, ((43, 62, 65, 67), (48, 55, 64, 67)))
    return made_score(rows, 6), list(PLANNED)


def test_altered_bars_are_judged_by_their_chords() -> None:
    score, chords = varied_form()
    sections = two_bars("A", chords=tuple(chords)), two_bars("B"), two_bars("A", source=0, chords=tuple(chords))
    plan = made_plan(*sections)
    bars = returned_bars(score, plan)
    assert [b.altered for b in bars] == [False, True]
    assert bars[0].similarity == pytest.approx(1.0)
    assert 0.5 < bars[1].similarity < 1.0
    found = altered_figures(score, plan)
    assert found is not None
    assert (found.bars, found.off_chord, found.chords) == (1, 0.0, 1.0)
    # G D F G: two seconds (F-G) and ... of the six pairs of V7, none of the six of I; each for half of the bar.
    rough = sum(
        (b - a) % 12 in (1, 2, 6, 10, 11) for i, a in enumerate((43, 62, 65, 67)) for b in (43, 62, 65, 67)[i + 1 :]
    )
    assert found.dissonance == pytest.approx(rough / 12)
    assert altered_figures(score, made_plan(two_bars("A"), two_bars("B"), two_bars("C"))) is None


def test_a_shaken_copy_is_as_unlike_as_ours_and_sounds_worse() -> None:
    score, chords = varied_form()
    sections = two_bars("A", chords=tuple(chords)), two_bars("B"), two_bars("A", source=0, chords=tuple(chords))
    plan = made_plan(*sections)
    bars = returned_bars(score, plan)
    shaken = copy_and_perturb(score, plan, seed=1)
    assert copy_and_perturb(score, plan, seed=1) == shaken
    after = returned_bars(shaken, plan)
    assert [b.altered for b in after] == [False, True]
    assert after[1].similarity <= bars[1].similarity + 1e-6
    before = [n for n in score.notes if n.onset_div < 16 * Q]
    kept = [n for n in shaken.notes if n.onset_div < 16 * Q]
    assert [(n.onset_div, n.pitch) for n in before] == [(n.onset_div, n.pitch) for n in kept]
    off = [altered_figures(copy_and_perturb(score, plan, seed=s), plan, bars=bars) for s in range(8)]
    assert np.mean([f.off_chord for f in off if f and f.off_chord is not None]) > 0.1
    tame = copy_and_perturb(score, plan, seed=1, in_scale=True)
    assert all(n.pitch % 12 in (0, 2, 4, 5, 7, 9, 11) for n in tame.notes)


def test_likeness_of_bars() -> None:
    bar = [(0, 60), (Q, 64)]
    assert likeness(bar, bar, 4 * Q) == pytest.approx(1.0)
    # Blurred by one step: the first note has 1 + 1/4 of 11/4, as nothing lies before it.
    assert likeness(bar, [(0, 60), (Q, 65)], 4 * Q) == pytest.approx(5 / 11)
    assert likeness(bar, [], 4 * Q) == 0.0


@pytest.mark.parametrize("seed", range(6))
def test_form_measures_agree_with_mir_eval(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def form() -> tuple[list[int], list[str]]:
        bounds = [0, *sorted(int(b) for b in rng.choice(np.arange(1, 40), 5, replace=False)), 40]
        return bounds, [str(rng.choice(list("ABC"))) for _ in range(6)]

    (bounds, labels), (guess, names) = form(), form()
    bars = [[n for n, (a, b) in zip(ls, pairwise(bs), strict=True) for _ in range(b - a)]
            for bs, ls in ((bounds, labels), (guess, names))]  # fmt: skip
    intervals = [np.array(list(pairwise(b)), dtype=float) for b in (bounds, guess)]
    referee = mir_eval.segment.pairwise(intervals[0], labels, intervals[1], names, frame_size=1.0)[2]
    assert structure.pairwise_f(*bars) == pytest.approx(referee)
    referee = mir_eval.segment.detection(intervals[0], intervals[1], window=1.0, trim=True)[2]
    assert structure.boundary_f(bounds[1:-1], guess[1:-1]) == pytest.approx(referee)


def test_seconds_are_left_by_step() -> None:
    def open_seconds(*chords: tuple[int, ...]) -> float | None:
        return voice_leading.unresolved_seconds(sonorities(made_score(chords_at(0, chords), 1)))

    assert open_seconds((60, 65, 67), (60, 64, 67)) == 0.0
    assert open_seconds((60, 65, 67), (60, 72)) == 1.0
    assert open_seconds((60, 64, 67), (60, 72)) is None
    assert open_seconds((60, 65, 67)) == 1.0
    assert open_seconds((60, 65, 67), (60, 65, 67)) is None


def test_leading_tones_stand_alone() -> None:
    harmony = Harmony((KeyChange(0, C),), (chord(0, 2, 7, "maj", 7), chord(2, 2, 0, "maj", 0)))
    once = sonorities(made_score(chords_at(0, ((55, 62, 71), (48, 64, 72))), 1))
    twice = sonorities(made_score(chords_at(0, ((55, 59, 71), (48, 59, 71))), 1))
    assert voice_leading.doubled_leading_tones(once, harmony) == 0.0
    assert voice_leading.doubled_leading_tones(twice, harmony) == 1.0
    assert voice_leading.doubled_leading_tones(once, Harmony((KeyChange(0, G),), harmony.chords)) is None


def test_parallels_are_pooled() -> None:
    one, two = voice_leading.Parallels(10, 1, 0), voice_leading.Parallels(30, 0, 2)
    assert voice_leading.pooled_parallels([one, two]) == voice_leading.Parallels(40, 1, 2)
    assert voice_leading.pooled_parallels([]) == voice_leading.Parallels(0, 0, 0)


def test_cadence_formulas_are_degrees_of_soprano_and_bass() -> None:
    score = made_score(chords_at(0, CADENCE), 2)
    row, harmony = sonorities(score), analyse_harmony(score)
    assert cadence_formulas(score, row, harmony) == ((11, 0, 7, 0),)
    assert formula_variety([(11, 0, 7, 0)]) is None
    assert formula_variety([(11, 0, 7, 0)] * 3 + [(2, 0, 7, 0)]) == 0.5
    assert formula_entropy([(11, 0, 7, 0)] * 60) == 0.0
    assert formula_entropy([(11, 0, 7, 0)] * 59) is None
    assert formula_entropy([(i % 4, 0, 7, 0) for i in range(60)]) == pytest.approx(2.0)


def test_patterns_that_stay_and_bars_that_say_nothing_new() -> None:
    alberti = [(bar * 4.0 + i, 1.0, p) for bar in range(4) for i, p in enumerate((48, 55, 52, 55))]
    tune = [(bar * 4.0, 4.0, p) for bar, p in enumerate((72, 74, 76, 77))]
    assert accompaniment_persistence(made_score([*alberti, *tune], 4, parts=1)) == 1.0
    block = [(bar * 4.0, 4.0, 48 + bar) for bar in (1, 3)]
    broken = [row for row in alberti if row[0] // 4 in (0, 2)]
    changing = accompaniment_persistence(made_score([*broken, *block, *tune], 4, parts=1))
    assert changing is not None
    assert changing < 0.5
    assert accompaniment_persistence(made_score(tune, 4, parts=1)) is None
    assert nothing_new(made_score([*alberti, *tune], 4)) == 0
    assert nothing_new(made_score(alberti, 4)) == 3
    assert nothing_new(made_score(chords_at(0, CADENCE * 2), 4)) == 2


def test_faults_are_found_and_planned_rest_is_none() -> None:
    chords = chords_at(0, CADENCE)
    dull = made_score(
        [(0.0, 9.0, 48), (0.0, 9.0, 64), (9.0, 1.0, 60), (15.0, 1.0, 62), *((16 + o, d, p) for o, d, p in chords)], 6
    )
    row = sonorities(dull)
    found = faults(evaluate_piece(dull), dull, row)
    assert set(found) <= set(FAULTS)
    assert found["silent"]
    assert found["stuck"]
    planned = made_plan(two_bars("A"), two_bars("B"), two_bars("C"))
    assert stuck(dull, row, planned)
    pedal = replace(planned.sections[0], chords=(chord(0, 8, 0, "maj", 0),))
    still = replace(planned.sections[1], chords=(chord(0, 8, 0, "maj", 0),))
    assert not stuck(dull, row, replace(planned, sections=(pedal, still, planned.sections[2])))
    sound = made_score(chords, 2)
    assert not any(faults(evaluate_piece(sound), sound, sonorities(sound)).values())


def numbered(score: Score, numbers: list[int]) -> Score:
    """The score with these printed bar numbers."""
    return replace(
        score, bars=tuple(Bar(b.onset_div, b.duration_div, n) for b, n in zip(score.bars, numbers, strict=True))
    )


def test_repeats_tell_the_form() -> None:
    strain, rest = chords_at(0, CADENCE * 2), melody(32, (*OTHER, *OTHER[::-1]))
    again = [(o + 16, d, p) for o, d, p in strain]
    score = numbered(made_score([*strain, *again, *rest], 12), [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8])
    assert [(m.onset_div // (4 * Q), m.label) for m in repeated_strains(score)] == [(0, "A"), (4, "A"), (8, "B")]
    plan = plan_of_repeats(score, ensemble="satb")
    assert plan is not None
    assert [(s.label, s.bars) for s in plan.sections] == [("A", 4), ("A", 4), ("B", 4)]
    assert structure.blind_form(score, plan) == (1.0, 1.0)
    plain = numbered(score, list(range(1, 13)))
    assert repeated_strains(plain) == ()
    assert plan_of_repeats(plain, ensemble="satb") is None


def test_first_and_second_endings_belong_to_their_strain() -> None:
    score = made_score(melody(0, TUNE * 6), 12)
    marks = repeated_strains(numbered(score, [1, 2, 3, 4, 1, 2, 3, 5, 6, 7, 8, 9]))
    assert [(m.onset_div // (4 * Q), m.label) for m in marks] == [(0, "A"), (4, "A"), (8, "B")]


def test_a_varied_return_is_found_and_new_material_is_not() -> None:
    rng = np.random.default_rng(5)
    strains = [[float(p) for p in rng.permutation(np.arange(48, 80))] for _ in range(2)]
    varied = [p + 1 if i % 3 == 0 else p for i, p in enumerate(strains[0])]
    row = [*strains[0], *strains[1], *[p + 2 for p in varied]]
    score = made_score([(float(i), 1.0, int(p)) for i, p in enumerate(row)], 24)
    places, letters = find_form(score)
    assert letters == ("A", "B", "A")
    assert places == (0, 8, 16, 24)
    assert bars_of(places, letters) == list("AAAAAAAABBBBBBBBAAAAAAAA")


def test_long_stretches_without_a_return_are_divided_at_cadences() -> None:
    rng = np.random.default_rng(6)
    score = made_score([(float(i), 1.0, int(p)) for i, p in enumerate(rng.integers(40, 84, 64))], 16)
    products = bar_products(score)
    assert form_of_products(products, (0, 6, 10, 16), (10,))[0] == (0, 10, 16)
    assert form_of_products(products, (0, 6, 16))[0] == (0, 6, 16)
    assert form_of_products(products, ()) == ((0, 8, 16), ("A", "B"))


def test_returns_are_shaken_as_far_as_asked() -> None:
    score, chords = varied_form()
    plan = made_plan(two_bars("A", chords=tuple(chords)), two_bars("B"), two_bars("A", source=0, chords=tuple(chords)))
    before = [(n.onset_div, n.pitch) for n in score.notes]
    same = shake_returns(score, plan, share=0.0, similarity=0.5, seed=0)
    assert [(n.onset_div, n.pitch) for n in same.notes] == before
    shaken = shake_returns(score, plan, share=1.0, similarity=0.5, seed=0)
    assert [p for p in before if p[0] < 16 * Q] == [
        (n.onset_div, n.pitch) for n in shaken.notes if n.onset_div < 16 * Q
    ]
    assert returned_bars(shaken, plan)[0].similarity <= 0.5 + 1e-6
