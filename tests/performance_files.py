"""Small aligned performances made for tests: .match files, and a score with a performance and an alignment."""

from __future__ import annotations

from pathlib import Path

from tests.midi_files import END, meta, midi, varint

STEPS = (("C", 60), ("D", 62), ("E", 64), ("F", 65), ("G", 67), ("A", 69))


def match_text(count: int = 24, *, pause: float = 0.0) -> str:
    """A .match file: quarters in 3/4 at 120 a minute; `pause` seconds before the second half."""
    lines = ["info(matchFileVersion,1.0.0).", "info(midiClockUnits,480).", "info(midiClockRate,500000)."]
    lines += ["scoreprop(keySignature,G,1:1,0,0.0000).", "scoreprop(timeSignature,3/4,1:1,0,0.0000)."]
    on = 480.0
    for i in range(count):
        step, pitch = STEPS[i % 6]
        score = f"snote(s{i}-1,[{step},n],4,{i // 3 + 1}:{i % 3 + 1},0,1/4,{i}.0,{i + 1}.0,[v1,staff1])"
        lines.append(f"{score}-note(p{i},{pitch},{round(on)},{round(on) + 400},{50 + i},0,0).")
        on += 480 + (960 * pause if i == count // 2 else 0)
    return "\n".join([*lines, "sustain(500,100).", "sustain(900,0)."]) + "\n"


def write_match(path: Path, count: int = 24, *, pause: float = 0.0) -> Path:
    """Writes `match_text` and gives the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(match_text(count, pause=pause), encoding="utf-8")
    return path


def track(name: str, notes: list[tuple[int, int, int, int]], *, channel: int = 0, head: bytes = b"") -> bytes:
    """A track of notes (onset, end, pitch, velocity) in ticks."""
    events = [(on, 1, bytes([0x90 | channel, pitch, velocity])) for on, _, pitch, velocity in notes]
    events += [(end, 0, bytes([0x80 | channel, pitch, 0])) for _, end, pitch, _ in notes]
    body, now = meta(0x03, name.encode()) + head, 0
    for tick, _, message in sorted(events):
        body += varint(tick - now) + message
        now = tick
    return body + END


def conductor(tempos: list[tuple[int, int]] | None = None) -> bytes:
    """A track with 4/4 and tempos as (tick, microseconds a quarter)."""
    body, now = meta(0x58, bytes([4, 2, 24, 8])), 0
    for tick, tempo in tempos or [(0, 500_000)]:
        body += meta(0x51, tempo.to_bytes(3, "big"), delta=tick - now)
        now = tick
    return body + END


def write_aligned(folder: Path, name: str = "piece", *, count: int = 24, rows: str | None = None) -> Path:
    """A score, a performance with one wrong note more and note 3 left out, and their alignment, whose path it gives."""
    folder.mkdir(parents=True, exist_ok=True)
    score = [(i * 480, i * 480 + 480, 60 + i % 12, 64) for i in range(count)]
    (folder / f"{name}.mid").write_bytes(midi(conductor(), track("Piano", score), division=480))
    played = [(i * 500, i * 500 + 300, 60 + i % 12, 40 + i) for i in range(count) if i != 3]
    played.append((700, 800, 100, 90))  # the second of all strikes but one
    (folder / f"{name}.performance.mid").write_bytes(midi(conductor(), track("Piano", played), division=480))
    order = sorted(range(len(played)), key=lambda k: played[k][0])
    number = {played[k][0] // 500: place for place, k in enumerate(order) if played[k][2] != 100}
    lines = ["score\tperformance", *(f"{i}\t{number.get(i, '-')}" for i in range(count)), "-\t2"]
    path = folder / f"{name}.alignment.tsv"
    path.write_text("\n".join(lines) if rows is None else rows, encoding="utf-8")
    return path
