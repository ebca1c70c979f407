"""The engraved score for the report: verovio, where it is installed, in a process of its own.

Run as a program it prints the pages of a MusicXML file as a JSON list of SVG texts; so a fault or an endless loop in
the engraver costs the page its notation and nothing else.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

TIMEOUT_SEC = 30.0
MOST_CHARS = 1_200_000  # of all pages; beyond, the page says so and leaves them out
# Plain signs that may stand in a data: URL inside an attribute in double quotes.
SAFE = " !$'()*+,-./:;<=>?@[]^_`{|}~"
# Classes that no rule of verovio's style names.
UNSTYLED = (
    "notehead",
    "note",
    "chord",
    "beam",
    "layer",
    "stem",
    "accid",
    "rest",
    "staff",
    "measure",
    "ledgerLines",
    "flag",
)
OPTIONS = {
    "pageWidth": 2400,
    "pageHeight": 60000,
    "adjustPageHeight": True,
    "scale": 42,
    "breaks": "auto",
    "header": "none",
    "footer": "none",
    "svgFormatRaw": True,
    "removeIds": True,
    "svgViewBox": True,
    "spacingSystem": 8,
    "xmlIdSeed": 1,
}


def engraved(path: Path, *, timeout_sec: float = TIMEOUT_SEC) -> tuple[list[str], str]:
    """Pages of a MusicXML file as data: URLs of SVG, and a remark: why there are none, or "".

    Without verovio there is neither. Never raises for what the engraver does.
    """
    if find_spec("verovio") is None:
        return [], ""
    root = str(Path(__file__).resolve().parent.parent)
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {root!r}); import render.report_engrave as r; r.main()",
    ]
    try:
        done = subprocess.run([*command, str(path)], capture_output=True, timeout=timeout_sec, check=False)
        pages = json.loads(done.stdout) if done.returncode == 0 else None
    except subprocess.TimeoutExpired:
        return [], f"The score was not engraved: verovio took longer than {timeout_sec:g} seconds."
    except (OSError, ValueError):
        pages = None
    if not isinstance(pages, list) or not all(isinstance(p, str) and p.startswith("<svg") for p in pages):
        return [], "The score was not engraved: verovio failed on it."
    urls = [_url(page) for page in pages]
    if sum(map(len, urls)) > MOST_CHARS:
        return [], "The engraved score would make this page too large; open score.musicxml in a notation program."
    return urls, ""


def _slim(page: str) -> str:
    """The same picture without names that nothing refers to, and with quotes that a data: URL need not spell out."""
    used = set(re.findall(r"#([\w-]+)", page))  # by uses, and by the rules of the style
    page = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", " ".join(page.split()))
    page = re.sub(rf' class="(?:{"|".join(UNSTYLED)})[^"]*"', "", page)
    page = re.sub(r"<g ?/>|<g></g>", "", page)
    return re.sub(r"=\"([^\"']*)\"", r"='\1'", page)


def _url(page: str) -> str:
    return "data:image/svg+xml," + quote(_slim(page), safe=SAFE)


def main() -> None:
    """Engraves the file named first on the command line and prints its pages."""
    import verovio  # pyright: ignore[reportMissingImports]

    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(OPTIONS)
    if not toolkit.loadFile(sys.argv[1]):
        sys.exit(1)
    print(json.dumps([toolkit.renderToSVG(page) for page in range(1, toolkit.getPageCount() + 1)]))


if __name__ == "__main__":
    main()
