"""The Markov composer, its tables, and the two plainest models."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from composer.baselines import fit_marginal, fit_persistence, previous_states, states_of
from composer.markov import MarkovComposer, heard_context, learn_from_scores, sample
from composer.markov_layout import key_move, plan_grid
from composer.markov_tables import MarkovTables, fit_markov
from composer.realise import StepContext, score_context
from composer.roll import LOWEST_PITCH, PITCHES, Roll, roll_of_score
from music.errors import CacheError
from music.pitch import Key
from music.plan import Plan
from music.score import KeyChange, MeterChange, Note, Part, Score, regular_bars, sort_notes
from music.time import DIVS_PER_QUARTER, Meter
from tests.contract_composer import ComposerContract, chorale_plan, piano_plan, quartet_plan

QUARTER = DIVS_PER_QUARTER


def small_piece(seed: int) -> Score:
    """Eight bars of four-part chords on the quarters with passing eighths, in a key drawn by the seed."""
    rng = np.random.default_rng(seed)
    key = Key.of_pc(int(rng.integers(12)), bool(rng.integers(2)))
    scale = key.scale
    notes: list[Note] = []
    for beat in range(32):
        degree = 0 if beat % 16 in (0, 15) else int(rng.choice([0, 1, 3, 4, 5]))
        chord = sorted({scale[(degree + i) % 7] for i in (0, 2, 4)})
        for low in (46, 55, 62, 68):
            pitch = next(p for p in range(low + int(rng.integers(4)), 128) if p % 12 in chord)
            split = rng.random() < 0.25
            notes.append(Note(f"{beat}.{low}", beat * QUARTER, QUARTER // (1 + split), pitch))
            if split:
                near = pitch + int(rng.choice([-2, -1, 1, 2]))
                notes.append(Note(f"{beat}.{low}b", beat * QUARTER + QUARTER // 2, QUARTER // 2, near))
    meter = Meter(4, 4)
    unique = {(n.onset_div, n.pitch): n for n in notes}
    return Score(
        (Part("P1"),),
        sort_notes(list(unique.values())),
        regular_bars(meter, 8),
        (MeterChange(0, meter),),
        (KeyChange(0, key),),
    )


@cache
def pieces() -> tuple[list[Roll], list[StepContext]]:
    """Rolls and contexts of seven small pieces; the first five are learned from."""
    scores = [small_piece(seed) for seed in range(7)]
    rolls = [roll_of_score(s) for s in scores]
    return rolls, [score_context(s, r.steps_per_quarter) for s, r in zip(scores, rolls, strict=True)]


@cache
def tables() -> MarkovTables:
    """Tables of five small pieces."""
    rolls, contexts = pieces()
    return fit_markov(rolls[:5], contexts[:5])


class TestMarkovComposer(ComposerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def composer(cls) -> MarkovComposer:
        return MarkovComposer(tables=tables())


def test_probabilities_sum_to_one() -> None:
    learned, (rolls, _) = tables(), pieces()
    assert np.allclose(np.exp(learned.table).sum(axis=-1), 1)
    assert np.allclose(np.exp(fit_persistence(rolls).table).sum(axis=-1), 1)
    assert np.allclose(np.exp(fit_marginal(rolls).table).sum(axis=-1), 1)


def test_log_prob_equals_the_step_by_step_one() -> None:
    rolls, contexts = pieces()
    learned, roll, context = tables(), rolls[5], contexts[5]
    states = states_of(roll)
    before = previous_states(states)
    slow = [
        learned.step_log_probs(context, t, before[t])[np.arange(PITCHES), states[t]].sum() for t in range(roll.steps)
    ]
    assert np.allclose(learned.log_prob(roll, context), slow)


def test_log_prob_is_play_and_where_it_plays_articulate() -> None:
    """Three states a pitch hold the same as play (two) and articulate given play (two)."""
    rolls, _ = pieces()
    model = fit_marginal(rolls[:5])
    chances = np.exp(model.table)
    play = chances[:, 1] + chances[:, 2]
    strike = chances[:, 2] / play
    roll = rolls[5]
    expected = np.where(
        roll.play, np.log(play) + np.log(np.where(roll.articulate, strike, 1 - strike)), np.log(1 - play)
    )
    assert np.allclose(model.log_prob(roll), expected.sum(axis=1))


def test_who_knows_more_is_surprised_less() -> None:
    rolls, contexts = pieces()
    markov = np.mean([-tables().log_prob(r, c).mean() for r, c in zip(rolls[5:], contexts[5:], strict=True)])
    persistence = np.mean([-fit_persistence(rolls[:5]).log_prob(r).mean() for r in rolls[5:]])
    marginal = np.mean([-fit_marginal(rolls[:5]).log_prob(r).mean() for r in rolls[5:]])
    assert 0 < markov < persistence < marginal


def test_steps_that_do_not_fit_are_not_learned_from() -> None:
    rolls, contexts = pieces()
    half = rolls[0].fit.copy()
    half[64:] = False
    masked = Roll(rolls[0].play, rolls[0].articulate, half, 4)
    cut = Roll(rolls[0].play[:64], rolls[0].articulate[:64], half[:64], 4)
    assert np.array_equal(fit_persistence([masked]).table, fit_persistence([cut]).table)
    whole, part = fit_markov([rolls[0]], [contexts[0]]), fit_markov([masked], [contexts[0]])
    assert not np.array_equal(whole.table, part.table)


def test_a_grid_not_learned_falls_back() -> None:
    learned = tables()
    assert learned.grids == (4,)
    assert np.array_equal(learned.grid_table(6), learned.grid_table(4))


def test_tables_need_a_piece() -> None:
    with pytest.raises(ValueError, match="at least one piece"):
        fit_markov([], [])


def test_tables_come_back_from_disk_and_damage_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tables.npz"
    assert MarkovTables.load(path) is None
    tables().save(path)
    again = MarkovTables.load(path)
    assert again is not None
    assert np.array_equal(again.table, tables().table)
    assert list(path.parent.iterdir()) == [path]
    whole = path.read_bytes()
    for damaged in (whole[:-200], b"", b"PK\x05\x06" + bytes(18), whole[:5000] + b"x" * 50 + whole[5050:]):
        path.write_bytes(damaged)
        assert MarkovTables.load(path) is None


def test_first_use_learns_and_later_use_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, Path]] = []

    def load(data: str, split: str, cache_dir: Path) -> list[tuple[None, Score]]:
        asked.append((data, split, cache_dir))
        return [(None, small_piece(seed)) for seed in range(3)]

    monkeypatch.setattr("composer.markov.load_pieces", load)
    first = MarkovComposer(cache_dir=tmp_path).compose(chorale_plan(), seed=1)
    assert asked == [("music21_chorales", "train", tmp_path)]
    second = MarkovComposer(cache_dir=str(tmp_path)).compose(chorale_plan(), seed=1)
    assert len(asked) == 1
    assert first == second
    assert first == MarkovComposer(tables=learn_from_scores([small_piece(s) for s in range(3)])).compose(
        chorale_plan(), seed=1
    )


def test_an_empty_corpus_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("composer.markov.load_pieces", lambda *args, **kwargs: [])
    with pytest.raises(CacheError, match="no chorale"):
        MarkovComposer(cache_dir=tmp_path).compose(chorale_plan(), seed=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("plan", [piano_plan(), chorale_plan(), quartet_plan()], ids=lambda p: p.ensemble)
@pytest.mark.parametrize("seed", range(3))
def test_between_one_and_six_notes_sound_at_once(plan: Plan, seed: int) -> None:
    roll = sample(tables(), plan, seed=seed)
    counts = roll.play.sum(axis=1)
    assert counts.min() >= 1
    assert counts.max() <= (5 if plan.ensemble == "piano" else 4)
    struck_before = roll.articulate | np.vstack([np.zeros((1, PITCHES), dtype=bool), roll.play[:-1]])
    assert (struck_before | ~roll.play).all()  # nothing sounds that was never struck


def test_the_theme_is_the_top_voice() -> None:
    plan = piano_plan()
    roll = sample(tables(), plan, seed=3)
    for note in plan.themes[0].notes:
        first = note.onset_div * 4 // QUARTER
        for step in range(first, first + note.duration_div * 4 // QUARTER):
            assert LOWEST_PITCH + np.flatnonzero(roll.play[step])[-1] == note.pitch
        assert roll.articulate[first, note.pitch - LOWEST_PITCH]


@pytest.mark.parametrize("seed", range(4))
def test_it_ends_on_the_last_chord_over_its_bass(seed: int) -> None:
    for plan in (piano_plan(), chorale_plan()):
        last = plan.sections[-1].chords[-1]
        pitches = LOWEST_PITCH + np.flatnonzero(sample(tables(), plan, seed=seed).play[-1])
        assert set(pitches % 12) <= set(last.pcs)
        assert pitches[0] % 12 == last.bass


def test_an_exact_return_in_another_key_is_a_transposition() -> None:
    plan = quartet_plan()
    roll = sample(tables(), plan, seed=5)
    section = 4 * 12
    first, returned = roll.play[: section - 12], roll.play[2 * section : 3 * section - 12]
    shift = 7 - 12  # from Eb to Bb the nearer way
    inside = first[:, 36 - shift - LOWEST_PITCH : 84 - LOWEST_PITCH]
    moved = returned[:, 36 - LOWEST_PITCH : 84 + shift - LOWEST_PITCH]
    assert (inside & moved).sum() >= 0.95 * inside.sum()


def test_contexts_can_follow_the_keys_that_are_heard() -> None:
    score = small_piece(3)
    context = heard_context(score, 4)
    assert context.steps == roll_of_score(score, 4).steps
    assert np.array_equal(context.metre, score_context(score, 4).metre)


def test_a_lower_temperature_is_likelier() -> None:
    from composer.realise import step_context

    plan = quartet_plan()
    context = step_context(plan, plan_grid(plan))
    means = [
        np.mean([tables().log_prob(sample(tables(), plan, seed=s, temperature=t), context).mean() for s in range(4)])
        for t in (0.5, 2.0)
    ]
    assert means[0] > means[1]
    with pytest.raises(ValueError, match="temperature"):
        sample(tables(), plan, seed=0, temperature=0.0)


@pytest.mark.parametrize(
    ("old", "new", "pitch", "expected"),
    [
        ("C", "G", 60, 55),
        ("C", "F", 64, 69),
        ("C", "c", 64, 63),
        ("c", "C", 70, 71),
        ("a", "C", 72, 76),
        ("C", "C", 61, 61),
    ],
)
def test_keys_move_by_the_nearer_way_and_bend_between_modes(old: str, new: str, pitch: int, expected: int) -> None:
    assert key_move(Key.parse(old), Key.parse(new))[pitch] == expected
