"""When a composer was born, by style tag: what is known of composers whom no performance was ever heard of."""

from __future__ import annotations

BORN = {
    "albeniz": 1860,
    "bach": 1685,
    "balakirev": 1837,
    "beethoven": 1770,
    "borodin": 1833,
    "brahms": 1833,
    "burgmueller": 1806,
    "cherubini": 1760,
    "chopin": 1810,
    "clementi": 1752,
    "coleridge_taylor": 1875,
    "debussy": 1862,
    "glinka": 1804,
    "godowsky": 1870,
    "granados": 1867,
    "grieg": 1843,
    "haydn": 1732,
    "hensel": 1805,
    "kalliwoda": 1801,
    "lang": 1815,
    "liszt": 1811,
    "mendelssohn": 1809,
    "monteverdi": 1567,
    "moszkowski": 1854,
    "mozart": 1756,
    "mussorgsky": 1839,
    "rachmaninoff": 1873,
    "ravel": 1875,
    "schubert": 1797,
    "schumann": 1810,
    "schumann_clara": 1819,
    "scriabin": 1872,
    "sinding": 1856,
    "tchaikovsky": 1840,
    "wolf": 1860,
}


def born(style: str) -> int | None:
    """The year for a style tag such as mozart_piano or bach_chorale; None where the tag names no composer."""
    names = [name for name in BORN if style == name or style.startswith(f"{name}_")]
    return BORN[max(names, key=len)] if names else None
