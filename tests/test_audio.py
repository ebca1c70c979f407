"""Sound is measured: pitch, loudness, brightness, clicks, pedal, silence, files."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from music.errors import FileError, RequestError
from music.performance import Pedal, Performance, PerformedNote
from render.audio import PEAK, render, synthesise, write_audio
from render.fluidsynth import find_soundfont, render_fluidsynth, score_of
from render.piano import frequency, partial_frequencies, stretch_cents
from render.piano_strings import note_samples

RATE = 44_100


def one(pitch: int, velocity: int = 80, seconds: float = 1.0, onset: float = 0.0) -> Performance:
    return Performance((PerformedNote("n", onset, seconds, pitch, velocity),))


def several(*rows: tuple[float, float, int, int], pedals: tuple[Pedal, ...] = ()) -> Performance:
    return Performance(tuple(PerformedNote(f"n{i}", *row) for i, row in enumerate(rows)), pedals)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples.astype(float) ** 2)))


def peak_frequency(samples: np.ndarray, low: float, high: float) -> float:
    """The strongest frequency between two, by a parabola through the logarithm of a padded spectrum's peak."""
    size = 1 << 20
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    first, last = int(low * size / RATE), int(high * size / RATE)
    k = first + int(np.argmax(spectrum[first:last]))
    a, b, c = np.log(spectrum[k - 1 : k + 2])
    return float((k + 0.5 * (a - c) / (a - 2 * b + c)) * RATE / size)


def centroid(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(np.sum(spectrum * frequencies) / np.sum(spectrum))


def cents(samples: np.ndarray, hertz: float) -> float:
    return 1200 * float(np.log2(peak_frequency(samples, hertz * 0.94, hertz * 1.06) / hertz))


def test_concert_pitch_is_right_within_two_cents() -> None:
    for velocity in (20, 80, 127):
        samples = synthesise(one(69, velocity, seconds=2.0))[2000 : 2 * RATE]
        assert abs(cents(samples[:, 0], 440)) < 2
        assert abs(cents(samples[:, 1], 440)) < 2


@pytest.mark.parametrize("pitch", [33, 45, 57, 60, 76, 84, 96, 105, 108])
def test_keys_are_tuned_as_pianos_are(pitch: int) -> None:
    samples = synthesise(one(pitch, seconds=2.0))[2000 : 2 * RATE, 0]
    off = cents(samples, frequency(pitch))
    assert abs(off - stretch_cents(pitch)) < 2
    assert abs(off) < 25
    assert off > -1 if pitch > 69 else off < 1


def test_the_lowest_key_by_its_partials() -> None:
    samples = synthesise(one(21, 100, seconds=3.0))[2000 : 3 * RATE].mean(axis=1)
    for n in (4, 7):
        wanted = partial_frequencies(21, RATE)[n - 1]
        assert abs(peak_frequency(samples, wanted - 10, wanted + 10) - wanted) < 0.3


def test_sharp_partials() -> None:
    assert frequency(69) == 440
    assert stretch_cents(69) == 0
    partials = partial_frequencies(69, RATE)
    assert partials[0] == pytest.approx(440, abs=1e-9)
    assert partials[9] / 4400 == pytest.approx(1.03, abs=0.02)
    for pitch in range(128):
        assert np.all(np.diff(partial_frequencies(pitch, RATE)) > 0)
        assert partial_frequencies(pitch, RATE)[-1] < RATE / 2


@pytest.mark.parametrize("pitch", [36, 60, 84])
def test_velocity_makes_louder_and_brighter(pitch: int) -> None:
    heard = [synthesise(one(pitch, velocity))[: RATE // 2].mean(axis=1) for velocity in (20, 50, 80, 110, 127)]
    levels, colours = [rms(h) for h in heard], [centroid(h) for h in heard]
    assert levels == sorted(levels)
    assert levels[-1] > 8 * levels[0]
    assert colours == sorted(colours)
    assert colours[-1] > 1.1 * colours[0]


def test_many_loud_notes_do_not_clip() -> None:
    chord = several(*((0.0, 2.0, pitch, 127) for pitch in range(21, 109)))
    samples = synthesise(chord)
    assert 0.5 * PEAK < float(np.abs(samples).max()) <= PEAK
    assert np.isfinite(samples).all()
    # The limiter lets go: when the chord has faded it sounds as if nothing had been done to it.
    forty = synthesise(several(*((0.0, 2.0, pitch, 127) for pitch in range(40, 80))))
    assert np.abs(forty).max() <= 1.0


@pytest.mark.parametrize("pitch", [28, 52, 76, 88, 100])
def test_no_click_where_a_note_ends(pitch: int) -> None:
    """A held tone has next to nothing above 8 kHz half a second after its blow; its end must not have either."""
    held = synthesise(one(pitch, 100, seconds=1.5))[:, 0]
    short = synthesise(one(pitch, 100, seconds=0.5))[:, 0]
    release = RATE // 2

    def high(samples: np.ndarray) -> float:
        around = samples[release - 1024 : release + 3072]
        spectrum = np.abs(np.fft.rfft(around * np.hanning(4096)))
        return float(np.sqrt(np.sum(spectrum[int(8000 * 4096 / RATE) :] ** 2) / np.sum(np.abs(spectrum) ** 2)))

    assert high(short) < 3e-3
    assert high(short) < 2 * high(held) + 1e-4
    jumps, usual = np.abs(np.diff(short)), np.abs(np.diff(held))
    assert jumps[release - 50 : release + 4000].max() <= 1.02 * usual[release - 2000 : release + 4000].max()


def test_the_note_starts_from_silence() -> None:
    for pitch in (24, 60, 96):
        samples = note_samples(pitch, 127, 0.5, RATE)
        assert np.abs(samples[:, 0]).max() < 1e-3
        assert np.abs(samples[:, :8]).max() < 0.05 * np.abs(samples).max()
        assert not samples[:, -1].any()


def test_pedal_prolongs_and_a_new_blow_ends_the_old_sound() -> None:
    plain = synthesise(several((0.0, 0.3, 60, 90)))
    held = synthesise(several((0.0, 0.3, 60, 90), pedals=(Pedal(0.1, 127), Pedal(2.0, 0))))
    late = slice(int(1.4 * RATE), int(1.6 * RATE))
    assert rms(held[late]) > 10 * rms(plain[late])
    after = slice(int(2.9 * RATE), int(3.0 * RATE))
    assert rms(held[after]) < 0.05 * rms(held[late])
    twice = synthesise(several((0.0, 0.3, 60, 90), (1.0, 0.3, 60, 90), pedals=(Pedal(0.1, 127), Pedal(3.0, 0))))
    once = synthesise(several((1.0, 0.3, 60, 90), pedals=(Pedal(0.1, 127), Pedal(3.0, 0))))
    tail = slice(int(1.6 * RATE), int(2.6 * RATE))
    assert rms(twice[tail] - once[tail]) < 0.05 * rms(once[tail])


def test_pedal_that_never_comes_up_lets_the_sound_die() -> None:
    samples = synthesise(several((0.0, 0.3, 60, 90), pedals=(Pedal(0.1, 127),)))
    assert 3 * RATE < len(samples) < 60 * RATE


def test_silence_before_and_after() -> None:
    samples = synthesise(one(60, onset=0.5))
    assert np.abs(samples[: RATE // 2 - 1]).max() < 1e-7  # what rounding in the room's Fourier transforms leaves
    assert not samples[-RATE // 10 :].any()
    assert rms(samples[-RATE // 2 :]) < 1e-3 * rms(samples[RATE // 2 : RATE])
    nothing = synthesise(Performance(()))
    assert nothing.shape[1] == 2
    assert not nothing.any()


def test_bass_is_left_and_treble_right() -> None:
    for pitch, side in ((28, 0), (100, 1)):
        heard = synthesise(one(pitch))
        assert rms(heard[:, side]) > 1.2 * rms(heard[:, 1 - side])


def test_every_pitch_and_velocity_sounds() -> None:
    for pitch in range(0, 128, 9):
        for velocity in (1, 127):
            samples = note_samples(pitch, velocity, 0.05, RATE)
            assert np.isfinite(samples).all()
            assert np.abs(samples).max() > 0


def test_the_same_performance_gives_the_same_samples() -> None:
    assert np.array_equal(synthesise(one(60)), synthesise(one(60)))


def test_other_sample_rates() -> None:
    low = synthesise(one(69, seconds=1.0), 22_050)
    assert len(low) == pytest.approx(len(synthesise(one(69, seconds=1.0))) / 2, abs=0.1 * 22_050)
    with pytest.raises(RequestError, match="sample rate"):
        synthesise(one(60), 10)


def test_endless_performances_are_refused() -> None:
    with pytest.raises(RequestError, match="minutes"):
        synthesise(one(60, onset=1e6))


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_files_hold_what_was_sounded(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"piece.{kind}"
    render(several((0.0, 1.0, 69, 100), (1.0, 1.0, 76, 60)), path)
    samples, rate = soundfile.read(path)
    assert rate == RATE
    assert float(np.abs(samples).max()) == pytest.approx(PEAK, abs=0.08)
    assert abs(1200 * np.log2(peak_frequency(samples[4000:RATE, 0], 400, 480) / 440)) < 3
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_the_same_performance_gives_the_same_bytes(tmp_path: Path, kind: str) -> None:
    files = [tmp_path / f"{name}.{kind}" for name in ("one", "two")]
    for path in files:
        render(several((0.0, 1.0, 69, 100), (1.0, 1.0, 76, 60)), path)
        time.sleep(1.1 if kind == "ogg" and path is files[0] else 0)  # its number is drawn by the second
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_long_ogg_is_written_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "long.ogg"
    noise = np.random.default_rng(0).standard_normal((100 * 8000, 2)).astype(np.float32) * 0.1
    write_audio(noise, path, 8000)
    assert soundfile.info(path).frames == len(noise)


def test_wrong_names_and_places(tmp_path: Path) -> None:
    for name in ("piece.txt", "piece"):
        with pytest.raises(RequestError, match=r"\.ogg"):
            render(one(60), tmp_path / name)
    with pytest.raises(FileError, match="nowhere"):
        write_audio(np.zeros((100, 2), dtype=np.float32), tmp_path / "nowhere" / "piece.wav")
    with pytest.raises(RequestError, match="synth=organ"):
        render(one(60), tmp_path / "piece.wav", synth="organ")
    (tmp_path / "taken.wav").mkdir()
    with pytest.raises(FileError, match=r"taken\.wav"):
        write_audio(np.zeros((100, 2), dtype=np.float32), tmp_path / "taken.wav")
    assert [p.name for p in tmp_path.iterdir()] == ["taken.wav"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "piece.wav"
    path.write_bytes(b"old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile.SoundFile, "write", full)
    with pytest.raises(FileError, match="No space left"):
        write_audio(np.zeros((100, 2), dtype=np.float32), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["piece.wav"]


def test_fluidsynth_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOUNDFONT", raising=False)
    monkeypatch.setattr("render.fluidsynth.find_soundfont", lambda: None)
    with pytest.raises(RequestError, match=r"soundfont=FILE\.sf2"):
        render_fluidsynth(tmp_path / "a.mid", None, tmp_path / "a.wav")
    with pytest.raises(RequestError, match=r"none\.sf2"):
        render_fluidsynth(tmp_path / "a.mid", tmp_path / "none.sf2", tmp_path / "a.wav")
    font = tmp_path / "font.sf2"
    font.write_bytes(b"RIFF")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RequestError, match="not installed"):
        render(one(60), tmp_path / "a.wav", synth="fluidsynth", soundfont=font)


def fake_program(folder: Path, script: str) -> None:
    """Puts a program named fluidsynth into a folder."""
    program = folder / "fluidsynth"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_fluidsynth_is_called_and_its_sound_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    font, sound = tmp_path / "font.sf2", tmp_path / "made.wav"
    font.write_bytes(b"RIFF")
    write_audio(synthesise(one(69)), sound)
    # $7 is the file named after -F; the MIDI file comes last and must be one.
    fake_program(tmp_path, f'for last; do :; done\nhead -c 4 "$last" | grep -q MThd && cp "{sound}" "$7"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    render(one(69), tmp_path / "out.ogg", synth="fluidsynth", soundfont=font)
    samples, _ = soundfile.read(tmp_path / "out.ogg")
    assert abs(peak_frequency(samples[4000:30000, 0], 400, 480) - 440) < 1


def test_an_installed_soundfont_is_found_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOUNDFONT", raising=False)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert find_soundfont([first, second, tmp_path / "nowhere"]) is None
    for file in (first / "notes.txt", first / "Organ.sf2", second / "FluidR3_GM.SF2", second / "TimGM6mb.sf2"):
        file.write_bytes(b"RIFF")
    assert find_soundfont([first, second]) == second / "FluidR3_GM.SF2"
    assert find_soundfont([first]) == first / "Organ.sf2"
    # The command line that is run names it.
    fake_program(tmp_path, f'echo "$@" > "{tmp_path}/said"; exit 1')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SOUNDFONT", str(first / "Organ.sf2"))
    with pytest.raises(FileError):
        render(one(60), tmp_path / "a.wav", synth="fluidsynth")
    assert "Organ.sf2" in (tmp_path / "said").read_text()


def test_fluidsynth_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    font = tmp_path / "font.sf2"
    font.write_bytes(b"RIFF")
    fake_program(tmp_path, "echo 'not a SoundFont' >&2; exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(FileError, match="not a SoundFont"):
        render_fluidsynth(tmp_path / "a.mid", font, tmp_path / "out.ogg")
    assert not (tmp_path / "out.ogg").exists()


def test_score_of_a_performance_has_its_notes() -> None:
    score = score_of(several((0.0, 1.0, 69, 100), (1.0, 0.5, 76, 60)))
    assert [(n.id, n.onset_div, n.duration_div) for n in score.notes] == [("n0", 0, 20160), ("n1", 20160, 10080)]
