"""XML from strangers: read under caps on bytes, elements and depth, with entities refused, never touching another file.

A .mxl file is a zip archive. Nothing of it is ever unpacked to disk: the one member that `META-INF/container.xml` names
is read into memory in blocks and dropped as soon as it passes the cap, whatever size its header claims.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from music.errors import MusicXmlError

# The longest quartet movement we know of has 11.4 MB and 0.3 million elements. An element of one letter takes about
# 100 bytes of memory for 4 bytes of text, so elements are capped too: both caps together stay within 0.5 GB.
MAX_FILE_BYTES = 64 << 20
MAX_XML_BYTES = 64 << 20
MAX_ELEMENTS = 1_000_000
MAX_DEPTH = 64
MAX_MEMBERS = 1000
_BLOCK = 1 << 18


class _TooMuch(Exception):
    """The tree passes a cap; the message says which."""


class _CountingBuilder(TreeBuilder):
    """A tree builder that stops at `MAX_ELEMENTS` and `MAX_DEPTH`."""

    def __init__(self) -> None:
        super().__init__()
        self._count = self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        """Opens an element."""
        self._count += 1
        self._depth += 1
        if self._count > MAX_ELEMENTS or self._depth > MAX_DEPTH:
            raise _TooMuch(f"more than {MAX_ELEMENTS} elements or {MAX_DEPTH} levels")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        """Closes an element."""
        self._depth -= 1
        return super().end(tag)


def parse_xml(data: bytes, path: str | Path) -> Element:
    """The root element of an XML text; entities and external references are refused, a plain DOCTYPE is not.

    Args:
        data: the whole text.
        path: named in errors.

    Raises:
        MusicXmlError: empty, malformed or truncated, entities, external references, too large or too deep.
    """
    if not data.strip():
        raise MusicXmlError(path, "the file is empty")
    parser = DefusedXMLParser(target=_CountingBuilder(), forbid_dtd=False, forbid_entities=True, forbid_external=True)
    try:
        for start in range(0, len(data), _BLOCK):
            parser.feed(data[start : start + _BLOCK])
        return parser.close()
    except DefusedXmlException as error:
        raise MusicXmlError(path, f"refused as unsafe XML ({type(error).__name__})") from error
    except _TooMuch as error:
        raise MusicXmlError(path, f"refused as too large: {error}") from error
    except (ParseError, ValueError, LookupError, AssertionError) as error:
        raise MusicXmlError(path, f"not well-formed XML ({_line(error)})") from error


def read_bytes(path: str | Path) -> bytes:
    """The XML text of a .xml, .musicxml or .mxl file (told apart by content, not by name).

    Raises:
        MusicXmlError: missing, unreadable, empty, too large, or an archive without a score.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MusicXmlError(path, f"cannot be read ({error.strerror or _line(error)})") from error
    if len(data) > MAX_FILE_BYTES:
        raise MusicXmlError(path, f"refused as larger than {MAX_FILE_BYTES >> 20} MB")
    return _unzip(data, path) if data[:4] == b"PK\x03\x04" else data


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _unzip(data: bytes, path: str | Path) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(names) > MAX_MEMBERS:
                raise MusicXmlError(path, f"refused: an archive of more than {MAX_MEMBERS} members")
            return _read_member(archive, _root_member(archive, names, path), path)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise MusicXmlError(path, f"a damaged or unusual archive ({_line(error)})") from error


def _root_member(archive: zipfile.ZipFile, names: list[str], path: str | Path) -> str:
    """Name of the member that holds the score: the first root file of the container, else the only XML file."""
    if "META-INF/container.xml" in names:
        container = parse_xml(_read_member(archive, "META-INF/container.xml", path), path)
        for element in container.iter():
            if element.tag.rpartition("}")[2] == "rootfile" and element.get("full-path"):
                name = str(element.get("full-path"))
                if name.startswith("/") or ".." in name.split("/") or name not in names:
                    raise MusicXmlError(path, f"its container names a member {name[:80]!r} that is not in the archive")
                return name
    candidates = [n for n in names if n.lower().endswith((".xml", ".musicxml")) and not n.startswith("META-INF/")]
    if not candidates:
        raise MusicXmlError(path, "an archive without a score")
    return candidates[0]


def _read_member(archive: zipfile.ZipFile, name: str, path: str | Path) -> bytes:
    blocks, total = [], 0
    with archive.open(name) as member:
        while block := member.read(_BLOCK):
            total += len(block)
            if total > MAX_XML_BYTES:
                raise MusicXmlError(path, f"refused: it unpacks to more than {MAX_XML_BYTES >> 20} MB")
            blocks.append(block)
    return b"".join(blocks)
