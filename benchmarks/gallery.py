"""The gallery in examples/: six pieces as MIDI and MusicXML, written anew with the weights that ship.

    python -m benchmarks.gallery [--composer biaxial] [NAME …]

Each piece is one command of the command line with its seed; the section "Gallery" of examples/README.md lists them.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from music.plan_json import plan_from_json

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
HEADING = "## Gallery"
MELODY = "examples/ah_vous_dirai_je.mid"
# What a piece's folder gives to the gallery.
FILES = {"score.musicxml": ".musicxml", "performance.mid": ".mid"}


@dataclass(frozen=True)
class Piece:
    """A piece of the gallery: the stem of its files, what to listen for, and its words on the command line."""

    name: str
    about: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """What a user types for it."""
        return "python pipeline.py " + " ".join(_quoted(word) for word in self.words)


PIECES = (
    Piece("rondo", "A rondo for piano: the first eight bars come three times, two episodes between them.",
          ("form=ABACA", "key=G", "meter=3/4", "bars=40", "ensemble=piano", "seed=7")),
    Piece("chorale", "A chorale in bar form for four voices: a phrase pair, the same again, an answer.",
          ("form=bar", "style=bach_chorale", "key=a", "seed=3")),
    Piece("minuet", "A minuet with trio for string quartet; the minuet comes back after the trio.",
          ("form=minuet_trio", "style=mozart_quartet", "key=D", "seed=5")),
    Piece("varied_return", "Sections typed one by one; all that returns is varied by a third.",
          ("form=A8 B8:V/HC A'8 C8:vi A8 | key=F meter=2/4", "variation=0.3", "ensemble=piano", "seed=11")),
    Piece("melody", "“Ah ! vous dirai-je, maman” harmonised for four voices: the tune stands on top as it was given.",
          (f"melody={MELODY}", "style=bach_chorale", "seed=2")),
    Piece("variations", "The same tune as the theme of variations for piano.",
          ("form=variations", f"theme={MELODY}", "ensemble=piano", "seed=4")),
)  # fmt: skip


def _quoted(word: str) -> str:
    key, _, value = word.partition("=")
    return word if shlex.quote(value) == value else f'{key}="{value}"'


def section(plans: dict[str, str]) -> str:
    """The gallery's section of examples/README.md.

    Args:
        plans: what each piece's plan is as text, by its name.
    """
    lines = [
        HEADING,
        "",
        "Written by `python -m benchmarks.gallery` with the weights that ship; the same command gives the",
    ]
    lines += [
        "same bytes. The MIDI files are performances, with pedal and rubato; the MusicXML files are the scores.",
        "",
    ]
    for piece in PIECES:
        links = f"[score](gallery/{piece.name}.musicxml), [performance](gallery/{piece.name}.mid)"
        lines += [f"**{piece.name.replace('_', ' ')}** ({links}). {piece.about}", "", f"    {piece.command}", ""]
        if piece.name in plans:
            lines += [f"    {plans[piece.name]}", ""]
    return "\n".join(lines)


def with_section(readme: str, text: str) -> str:
    """The README with its gallery replaced, or added at its end."""
    return readme.partition(HEADING)[0].rstrip() + "\n\n" + text


def write(piece: Piece, folder: Path, extra: Sequence[str] = ()) -> str:
    """Writes a piece's files and returns its plan as text.

    Raises:
        subprocess.CalledProcessError: the command failed; it has said why.
    """
    with tempfile.TemporaryDirectory() as place:
        words = [*piece.words, f"out={place}/piece", "audio=none", *extra]
        subprocess.run([sys.executable, str(ROOT / "pipeline.py"), *words], cwd=ROOT, check=True)
        folder.mkdir(parents=True, exist_ok=True)
        for name, suffix in FILES.items():
            shutil.copyfile(Path(place) / "piece" / name, folder / f"{piece.name}{suffix}")
        return str(plan_from_json(json.loads((Path(place) / "piece" / "plan.json").read_text(encoding="utf-8"))))


def main() -> None:
    """Writes the pieces named, or all; the README is renewed where all are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(p.name for p in PIECES))
    parser.add_argument("--composer", default="biaxial")
    parser.add_argument("--out", type=Path, default=EXAMPLES / "gallery")
    options = parser.parse_args()
    unknown = set(options.names) - {p.name for p in PIECES}
    if unknown:
        parser.error(f"no piece is called {' or '.join(sorted(unknown))}")
    chosen = [p for p in PIECES if not options.names or p.name in options.names]
    plans = {piece.name: write(piece, options.out, [f"composer={options.composer}"]) for piece in chosen}
    if len(chosen) == len(PIECES) and options.out == EXAMPLES / "gallery":
        path = EXAMPLES / "README.md"
        path.write_text(with_section(path.read_text(encoding="utf-8"), section(plans)), encoding="utf-8")
    print(options.out)


if __name__ == "__main__":
    main()
