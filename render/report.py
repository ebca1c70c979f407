"""The report: one HTML file that plays a piece and shows why it sounds so.

Everything is inside: style, script, drawings, sound, and the engraved score where verovio is installed. The page's own
policy forbids every request and every script and style but its own two, which it names by their hashes; words that a
user gave (title, wishes, names of files) are escaped. The same piece gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from music.passage import FILE_KEYS
from music.performance import Performance
from music.plan import Plan
from music.score import Score
from render.figures import _write
from render.report_measures import Row, measures_html
from render.report_svg import SCALE, Lanes, hue_class, section_name
from render.report_timeline import Clock, make_clock
from render.staff import key_name

PAGE = Path(__file__).with_name("report_page")
MOST_TITLE, MOST_VALUE = 300, 2000  # signs of a user's words
CADENCE_WORDS = {"PAC": "perfect authentic", "IAC": "imperfect authentic", "HC": "half", "DC": "deceptive cadence"}
# What is found in the lanes, how it is drawn in the legend, and what it means.
SIGNS = (
    (
        ' low"',
        '<rect class="h0" width="9" height="12"/><rect class="h0 low" x="11" width="9" height="12"/>',
        "upper, lower staff",
    ),
    ('class="theme"', '<rect class="theme" x="1" y="2" width="18" height="8"/>', "note of a theme"),
    ('class="link"', '<rect class="link" x="1" y="2" width="18" height="8"/>', "link to the next section"),
    ('class="curve"', '<path class="fine" d="M0 3H20"/><path class="curve" d="M0 9H20"/>', "tempo by beat, by bar"),
    (
        'class="dot',
        '<path class="dot s0" d="M3 3h1M9 9h1M16 4h1"/><path class="curve" d="M0 7H20"/>',
        "touch (velocity) of notes, their mean",
    ),
)
# Settings that name a file: of its path the page tells the name alone.
PATHS = (*FILE_KEYS, "soundfont", "weights", "planner_weights", "performer_weights")
# Settings that say how the files are made, not what was wished for.
MACHINERY = ("seed", "count", "audio", "synth", "soundfont", "expression", "temperature", "candidates", "weights")


def write_report(
    path: Path,
    score: Score,
    performance: Performance,
    *,
    plan: Plan | None = None,
    origin: Mapping[str, Any] | None = None,
    measures: tuple[str, Sequence[Row]] | None = None,
    sound: str | None = None,
    engraving: tuple[list[str], str] = ([], ""),
) -> None:
    """Writes the page.

    Args:
        path: of the HTML file; whole or not there.
        score, performance: what is shown; joined by note id.
        plan: adds keys, phrases, cadences, chords, themes and what returns to what.
        origin: as `render.folder.provenance` gives it.
        measures: who the piece is compared with, and the rows of the table (`render.report_measures.Row`).
        sound: as a data: URL (`render.report_sound.sound_url`), or None: the page is silent.
        engraving: pages and remark as `render.report_engrave.engraved` gives them.

    Raises:
        FileError: the page cannot be written.
    """
    how = {"plan": plan, "origin": origin or {}, "measures": measures, "sound": sound, "engraving": engraving}
    page = report_html(score, performance, **how)
    _write(page.encode("utf-8", errors="replace"), path)


def report_html(
    score: Score,
    performance: Performance,
    *,
    plan: Plan | None,
    origin: Mapping[str, Any],
    measures: tuple[str, Sequence[Row]] | None,
    sound: str | None,
    engraving: tuple[list[str], str],
) -> str:
    """The page's text; see `write_report`."""
    clock = make_clock(score, performance)
    lanes = Lanes(score, performance, clock, plan)
    svg = lanes.svg()
    script = (PAGE / "page.js").read_text(encoding="utf-8")
    style = (PAGE / "page.css").read_text(
        encoding="utf-8"
    ) + f"\n#wide {{ min-width: max(100%, {lanes.least_width}px); }}\n"
    seconds = performance.end_sec
    title = plain(score.title, MOST_TITLE) or "Untitled"
    return Template((PAGE / "page.html").read_text(encoding="utf-8")).substitute(
        policy=_policy(script, style),
        title=escape(title),
        heading=escape(title),
        style=style,
        script=script,
        facts=_facts(score, plan, origin, seconds),
        request=_request(origin),
        form=lanes.form(),
        lanes=svg,
        gutter=lanes.gutter(),
        legend=_legend(svg, lanes, plan),
        duration=f"{seconds:.3f}",
        length=clock_text(seconds),
        play_hidden="" if sound else " hidden",
        notice=_notice(sound),
        measures=measures_html(*measures) if measures else "",
        engraving=_engraving(*engraving),
        provenance=_provenance(origin),
        sound=f'<audio id="sound" controls preload="auto" src="{sound}"></audio>' if sound else "",
        data=json_in_script(_data(lanes, clock, seconds)),
    )


def plain(text: object, most: int) -> str:
    """A user's words without signs that are not seen or turn the line around, at most so many."""
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in str(text))
    kept = "".join(c for c in kept if unicodedata.category(c) not in ("Cf", "Cs")).strip()
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def json_in_script(data: object) -> str:
    """JSON that may stand in a script element: no sign in it can end the element or begin a comment."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def clock_text(seconds: float) -> str:
    """1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _policy(script: str, style: str) -> str:
    """Nothing is allowed but the page's own script and style, by their hashes, and pictures and sound inside it."""

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {hashed(script)}; style-src {hashed(style)}; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _data(lanes: Lanes, clock: Clock, seconds: float) -> dict[str, Any]:
    """What the script needs: the clock, and where bars and sections begin, in `SCALE` parts of the score."""
    score = lanes.score
    points = {round(div * lanes.x): round(sec * 1000) for div, sec in zip(clock.divs, clock.secs, strict=True)}
    return {
        "scale": SCALE,
        "seconds": round(seconds, 3),
        "clock": {"x": list(points), "ms": list(points.values())},
        "bars": {"x": [round(b.onset_div * lanes.x) for b in score.bars], "number": [b.number for b in score.bars]},
        "sections": {
            "x": [round(s.start * lanes.x) for s in lanes.sections],
            "name": [section_name(s) if s.label else "" for s in lanes.sections],
        },
    }


def _facts(score: Score, plan: Plan | None, origin: Mapping[str, Any], seconds: float) -> str:
    bars = sum(b.number > 0 for b in score.bars)
    words = [f"{bars} bar{'s' * (bars != 1)}", clock_text(seconds)]
    if plan is not None:
        words = [key_name(plan.key), str(plan.meter), f"♩ = {plan.tempo_qpm:.0f}", *words]
        words += [plain(plan.style, 80).replace("_", " "), plan.ensemble if plan.ensemble not in plan.style else ""]
    else:
        words.insert(0, str(score.meters[0].meter))
    if "seed" in origin:
        words.append(f"seed {origin['seed']}")
    return " ".join(f"<span>{escape(w)}</span>" for w in words if w)


def _request(origin: Mapping[str, Any]) -> str:
    """What was asked for, as it was typed."""
    wishes = {k: v for k, v in _named(origin.get("request", {})).items() if k not in MACHINERY}
    if not wishes:
        return ""
    codes = " ".join(f"<code>{escape(plain(f'{key}={value}', MOST_VALUE))}</code>" for key, value in wishes.items())
    return f'<p class="request">Asked for: {codes}</p>'


def _named(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request whose files are named without their folders, which are nobody's business."""
    return {k: re.split(r"[/\\]", str(v))[-1] if k in PATHS else v for k, v in request.items()}


def _notice(sound: str | None) -> str:
    if sound is None:
        return '<p class="notice">No sound was made (audio=none); the position can still be moved.</p>'
    advice = "Open the sound file beside it, or make the piece with audio=mp3."
    words = f"This browser cannot play the sound in this page. {advice}"
    return f'<p class="notice" id="broken" role="alert" hidden>{words}</p>'


def _legend(svg: str, lanes: Lanes, plan: Plan | None) -> str:
    """What the signs mean, of those that are there."""
    letters = sorted({s.label[0] for s in lanes.sections if s.label})
    items = [_swatch(f'<rect class="h{hue_class(x)}" width="20" height="12" rx="2"/>') + f"<b>{x}</b>" for x in letters]
    items += [_swatch(drawing) + words for sign, drawing, words in SIGNS if sign in svg]
    if plan is not None:
        used = {p.cadence for s in plan.sections for p in s.phrases}
        items += [f"<b>{sign}</b> {words}" for sign, words in CADENCE_WORDS.items() if sign in used]
    return f'<ul class="legend">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def _swatch(body: str) -> str:
    return f'<svg width="20" height="12" aria-hidden="true">{body}</svg>'


def _engraving(pages: list[str], remark: str) -> str:
    if not pages and not remark:
        return ""
    images = "".join(
        f'<div class="sheet" tabindex="0" role="region" aria-label="Engraved score, page {i}">'
        f'<img src="{url}" alt="The score, page {i} of {len(pages)}"></div>'
        for i, url in enumerate(pages, 1)
    )
    words = f'<p class="notice">{escape(remark)}</p>' if remark else ""
    return f'<section aria-labelledby="score-head"><h2 id="score-head">Score</h2>{images}{words}</section>'


def _provenance(origin: Mapping[str, Any]) -> str:
    rows = _flat(dict(origin) | {"request": _named(origin.get("request", {}))}) if origin else []
    if not rows:
        return ""
    entries = "".join(
        f"<dt>{escape(plain(name, MOST_VALUE))}</dt><dd>{escape(plain(value, MOST_VALUE))}</dd>" for name, value in rows
    )
    return f'<details class="made"><summary>How this piece was made</summary><dl>{entries}</dl></details>'


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        rows += _flat(value, f"{prefix}{name} ") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
    return rows
