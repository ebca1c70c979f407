"""Files that mean harm or are broken: one typed error, nothing written, no socket, bounded cost."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from music.errors import MusicXmlError
from music.musicxml import read_musicxml

ROOT = Path(__file__).resolve().parent.parent
NOTE = "<note><pitch><step>C</step><octave>4</octave></pitch><duration>4</duration><type>whole</type></note>"
ATTRIBUTES = "<divisions>1</divisions><time><beats>4</beats><beat-type>4</beat-type></time>"


def _text(
    note: str = NOTE, attributes: str = ATTRIBUTES, head: str = '<?xml version="1.0"?>', root: str = "score-partwise"
) -> str:
    return (
        f"{head}<{root}><part-list><score-part id='P1'><part-name>x</part-name></score-part></part-list>"
        f"<part id='P1'><measure number='1'><attributes>{attributes}</attributes>{note}</measure></part></{root}>"
    )


def _bomb() -> str:
    lines = ['<!ENTITY a0 "ha">'] + [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)]
    return f"<!DOCTYPE score-partwise [{''.join(lines)}]>"


def _mxl(members: dict[str, bytes], container: str | None = "score.xml") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        if container is not None:
            text = f'<container><rootfiles><rootfile full-path="{container}"/></rootfiles></container>'
            archive.writestr("META-INF/container.xml", text)
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


GOOD = _text().encode()
NUMBERS = "<divisions>1</divisions><time><beats>{}</beats><beat-type>{}</beat-type></time>"
BAD: dict[str, bytes] = {
    "empty": b"",
    "blanks": b" \n\t ",
    "not XML": b"MThd\x00\x00\x00\x06",
    "truncated": GOOD[:-60],
    "truncated in a tag": GOOD[: GOOD.index(b"octave") + 3],
    "wrong root": b"<html><body/></html>",
    "no parts": b"<score-partwise/>",
    "opus": b"<opus/>",
    "entity bomb": _text(head=_bomb(), note="<note>&a11;</note>").encode(),
    "quadratic blowup": _text(head=f'<!DOCTYPE x [<!ENTITY a "{"x" * 50000}">]>', note="&a;" * 5000).encode(),
    "external file": _text(head='<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>', note="&a;").encode(),
    "external web": _text(head='<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:9/a">]>', note="&a;").encode(),
    "parameter entity": _text(head='<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:9/a"> %a;]>').encode(),
    "divisions 0": _text(attributes="<divisions>0</divisions>").encode(),
    "divisions negative": _text(attributes="<divisions>-4</divisions>").encode(),
    "divisions nan": _text(attributes="<divisions>nan</divisions>").encode(),
    "divisions missing number": _text(attributes="<divisions/>").encode(),
    "a billion beats": _text(attributes=NUMBERS.format(10**9, 4)).encode(),
    "beat type 3": _text(attributes=NUMBERS.format(4, 3)).encode(),
    "beat type 0": _text(attributes=NUMBERS.format(4, 0)).encode(),
    "a million sharps": _text(attributes=f"{ATTRIBUTES}<key><fifths>1000000</fifths></key>").encode(),
    "octave of a billion": _text(NOTE.replace(">4</octave", f">{10**9}</octave")).encode(),
    "endless duration": _text(NOTE.replace("<duration>4", "<duration>1e308")).encode(),
    "many dots": _text(NOTE.replace("</note>", "<dot/>" * 5000 + "</note>")).encode(),
    "ending of a million": _text(
        NOTE + "<barline location='right'><ending number='1-999999' type='start'/></barline>"
    ).encode(),
    "no step": _text(NOTE.replace("<step>C</step>", "<step>H</step>")).encode(),
    "deep": _text("<a>" * 5000 + "</a>" * 5000).encode(),
    "encoding": b'<?xml version="1.0" encoding="no-such"?>' + GOOD[21:],
    "invalid UTF-8": GOOD.replace(b">x<", b">\xff\xfe<"),
    "zip of nothing": _mxl({}, None),
    "container names nothing": _mxl({"other.xml": GOOD}),
    "container climbs": _mxl({"../../evil.xml": GOOD}, "../../evil.xml"),
    "container absolute": _mxl({"/tmp/evil.xml": GOOD}, "/tmp/evil.xml"),
    "container with a bomb": _mxl({"score.xml": GOOD}, '"/>&a11;<x a="'),
    "zip cut short": _mxl({"score.xml": GOOD})[:-40],
    "zip garbled": _mxl({"score.xml": GOOD * 50}).replace(b"\x00\x00\x08\x00", b"\x00\x00\x63\x00"),
    "zip of many members": _mxl({f"{i}.txt": b"" for i in range(1100)}, None),
}


@pytest.fixture(autouse=True)
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "score.xml"
    path.write_bytes(BAD[name])
    began = time.monotonic()
    with pytest.raises(MusicXmlError) as caught:
        read_musicxml(path)
    assert time.monotonic() - began < 10
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 500
    assert [p.name for p in tmp_path.iterdir()] == ["score.xml"]
    assert "root:" not in message


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(MusicXmlError, match="cannot be read"):
        read_musicxml(tmp_path / "none.xml")
    with pytest.raises(MusicXmlError, match="cannot be read"):
        read_musicxml(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        _text(head='<?xml version="1.0"?><!DOCTYPE score-partwise PUBLIC "x" "http://127.0.0.1:9/p.dtd">').encode(),
        GOOD.replace(b"UTF-8", b"utf-8"),
        _text().encode("utf-16"),
        _mxl({"score.xml": GOOD}),
        _mxl({"a.musicxml": GOOD}, None),
        _mxl({"score.xml": GOOD, "../../evil.xml": b"<x/>", "/evil.xml": b"<x/>"}),
        b"<score-timewise><part-list><score-part id='P1'><part-name>x</part-name></score-part></part-list>"
        b"<measure number='1'><part id='P1'><attributes>" + f"{ATTRIBUTES}</attributes>{NOTE}".encode() + b"</part>"
        b"</measure></score-timewise>",
    ],
    ids=["plain", "doctype", "case", "utf-16", "mxl", "no container", "climbing members", "timewise"],
)
def test_sound_files_are_read(data: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    path = folder / "score.mxl"
    path.write_bytes(data)
    score = read_musicxml(path)
    assert [(n.onset_div, n.duration_div, n.pitch) for n in score.notes] == [(0, 40320, 60)]
    assert len(score.bars) == 1
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["score.mxl"]


def _zip_bomb(path: Path, unpacked: int, head: bytes, filler: bytes) -> None:
    """A .mxl whose score is `unpacked` bytes long, written block by block."""
    block = filler * ((1 << 20) // len(filler))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("META-INF/container.xml", '<container><rootfile full-path="a.xml"/></container>')
        with archive.open("a.xml", "w", force_zip64=True) as member:
            member.write(head)
            for _ in range(unpacked >> 20):
                member.write(block)


_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
from music.errors import MusicXmlError
from music.musicxml import read_musicxml
try:
    read_musicxml(sys.argv[1])
except MusicXmlError as error:
    print("refused:", error.reason, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.parametrize(
    ("size", "filler"), [(400 << 20, b"\x00"), (20 << 20, b"<a/>")], ids=["zeros", "five million elements"]
)
def test_zip_bombs_are_refused_in_bounded_memory(size: int, filler: bytes, tmp_path: Path) -> None:
    """Stopped at 64 MB unpacked, so what lies beyond does not matter: 400 MB of zeros stand for any size."""
    path = tmp_path / "bomb.mxl"
    _zip_bomb(path, size, b"<score-partwise>", filler)
    assert path.stat().st_size < 8 << 20
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path), str(1 << 30)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.stdout.startswith("refused:"), done.stderr[-500:]
    assert time.monotonic() - began < 20


def test_a_file_that_is_not_an_archive_is_capped_too(tmp_path: Path) -> None:
    path = tmp_path / "long.xml"
    with path.open("wb") as file:
        file.truncate(70 << 20)  # sparse: takes no room
    with pytest.raises(MusicXmlError, match="larger than 64 MB"):
        read_musicxml(path)
