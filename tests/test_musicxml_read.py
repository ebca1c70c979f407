"""Reading MusicXML and music21 streams: known scores, repeats, ties, unsafe files."""

from __future__ import annotations

from music21 import corpus

from music.musicxml import score_from_music21
from music.musicxml_read import Jumps, play_order
from music.pitch import Key
from music.time import Meter


def test_chorale() -> None:
    score = score_from_music21(corpus.parse("bach/bwv66.6"))
    assert [p.name for p in score.parts] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert len(score.bars) == 10
    assert score.bars[0].number == 0
    assert [b.duration_div // 10080 for b in score.bars] == [1, 4, 4, 4, 4, 4, 4, 4, 4, 3]
    assert score.meter_at(0) == Meter(4, 4)
    assert score.key_at(0) == Key("F#", True)
    assert len(score.notes) == 163
    soprano = [n.pitch for n in score.notes if n.part == 0]
    assert soprano[:6] == [73, 71, 69, 71, 73, 76]
    assert {d.onset_div // 10080 for d in score.directions if d.kind == "fermata" and d.part == 0}


def test_repeats_and_endings() -> None:
    bars = [Jumps() for _ in range(6)]
    bars[1].forward = True
    bars[2] = Jumps(ending=(1,), backward=True)
    bars[3] = Jumps(ending=(2,), last_ending=True)
    bars[5].backward = True
    assert play_order(bars) == [0, 1, 2, 1, 3, 4, 5, 4, 5]


def test_da_capo_al_fine() -> None:
    bars = [Jumps(), Jumps(backward=True, fine=True), Jumps(), Jumps(jump="capo")]
    assert play_order(bars) == [0, 1, 0, 1, 2, 3, 0, 1]


def test_dal_segno_al_coda() -> None:
    bars = [Jumps(), Jumps(segno=True, to_coda=True), Jumps(jump="segno"), Jumps(coda=True)]
    assert play_order(bars) == [0, 1, 2, 1, 3]


def test_endless_repeats_are_left_as_they_stand() -> None:
    assert play_order([Jumps(backward=True, times=10**9)]) == [0]
