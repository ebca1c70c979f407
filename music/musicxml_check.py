"""What a MusicXML tree must be before a library may read it: the right root, and numbers that music can have.

A reader builds beams for every beat of a meter and a list for every number of an ending, so a meter of a billion
beats is an attack as good as a zip bomb. Values outside the ranges below are refused.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree.ElementTree import Element

from music.errors import MusicXmlError

MAX_WRITTEN_NOTES = 120_000  # a late romantic symphony movement has about 100,000; the reader takes 0.2 ms a note
MAX_DOTS = 4
# Tag -> lowest and highest value of its number.
RANGES: dict[str, tuple[float, float]] = {
    "divisions": (1e-9, 1e7),
    "duration": (0, 1e9),
    "octave": (-1, 10),
    "alter": (-4, 4),
    "fifths": (-14, 14),
    "chromatic": (-60, 60),
    "diatonic": (-40, 40),
    "octave-change": (-5, 5),
    "staves": (1, 16),
    "staff": (1, 16),
    "actual-notes": (1, 1000),
    "normal-notes": (1, 1000),
    "multiple-rest": (0, 10_000),
    "measure-repeat": (0, 100),
    "beat-repeat": (0, 100),
    "offset": (-1e9, 1e9),
}
_BEATS = re.compile(r"\s*\d{1,2}(\s*\+\s*\d{1,2})*\s*")
_BEAT_TYPES = {"1", "2", "4", "8", "16", "32", "64", "128"}
_ENDING = re.compile(r"(\d{0,2}[\s,.\-–]+){0,8}\d{0,2}")


def partwise(root: Element, path: str | Path) -> Element:
    """The tree as score-partwise: a score-timewise one is turned over.

    Raises:
        MusicXmlError: another root, or no part.
    """
    if root.tag == "score-timewise":
        root = _turn_over(root)
    if root.tag != "score-partwise":
        raise MusicXmlError(path, f"not MusicXML: its root is {root.tag[:60]!r}, not score-partwise or score-timewise")
    if root.find("part/measure") is None:
        raise MusicXmlError(path, "a score without parts or bars")
    return root


def _turn_over(root: Element) -> Element:
    result = Element("score-partwise", root.attrib)
    result.extend(child for child in root if child.tag != "measure")
    parts: dict[str, Element] = {}
    for measure in root.findall("measure"):
        for part in measure.findall("part"):
            identity = part.get("id", "")
            if identity not in parts:
                parts[identity] = Element("part", {"id": identity})
            bar = Element("measure", measure.attrib)
            bar.extend(part)
            parts[identity].append(bar)
    result.extend(parts.values())
    return result


def _number(text: str | None) -> float:
    try:
        return float((text or "").strip()[:40])
    except ValueError:
        return math.nan


def check_numbers(root: Element, path: str | Path) -> None:
    """Refuses values that no music has.

    Raises:
        MusicXmlError: names the first value that is out of its range.
    """
    notes = 0
    for element in root.iter():
        tag = element.tag
        if tag in RANGES:
            low, high = RANGES[tag]
            if not low <= _number(element.text) <= high:
                raise MusicXmlError(path, f"{tag} is {(element.text or '').strip()[:40]!r}, outside {low:g}..{high:g}")
        elif tag == "note":
            notes += 1
            if len(element.findall("dot")) > MAX_DOTS:
                raise MusicXmlError(path, f"a note has more than {MAX_DOTS} dots")
        elif tag == "beats":
            if not _BEATS.fullmatch((element.text or "")[:40]):
                raise MusicXmlError(path, f"a meter has {(element.text or '')[:40]!r} beats")
        elif tag == "beat-type":
            if (element.text or "").strip() not in _BEAT_TYPES:
                raise MusicXmlError(path, f"a meter has the beat type {(element.text or '')[:40]!r}")
        elif tag == "ending" and not _ENDING.fullmatch(element.get("number", "")):
            raise MusicXmlError(path, f"an ending is numbered {element.get('number', '')[:40]!r}")
    if notes > MAX_WRITTEN_NOTES:
        raise MusicXmlError(path, f"{notes} notes; {MAX_WRITTEN_NOTES} is the most that is read")
