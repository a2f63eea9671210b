"""Calibration drawn: reliability and risk-coverage as one SVG, alone or in an HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from prelabel.errors import InputError
from prelabel.exchange.files import replacing

if TYPE_CHECKING:
    from prelabel.calibrating import Calibration
    from prelabel.estimate import Estimate

SIDE = 260
"""Width and height of a panel, in pixels."""

LEFT, TOP, GAP, ROW = 60, 50, 90, 360
WIDTH = LEFT + 2 * SIDE + GAP + 30
STYLES = (("as it comes", "#b34700", "6 3"), ("calibrated", "#1b5e9b", "none"))
MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def write_plot(path: Path, found: Sequence[Calibration]) -> None:
    """Write the drawing to a file ending in .svg or .html. Raises InputError for another ending."""
    ending = path.suffix.lower()
    if ending not in (".svg", ".html"):
        raise InputError(f"{path}: a plot ends in .svg or .html; rename it")
    text = svg(found)
    if ending == ".html":
        text = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f"<title>Calibration</title></head><body>\n{text}</body></html>\n"
        )
    with replacing(path) as file:
        file.write(text.encode())


def svg(found: Sequence[Calibration]) -> str:
    """Return a row of two panels for each confidence: reliability, and risk by coverage."""
    height = TOP + ROW * max(len(found), 1)
    body = "\n".join(part for at, one in enumerate(found) for part in _row(one, TOP + at * ROW))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{_legend()}\n{body}\n</svg>\n'
    )


def _legend() -> str:
    parts = []
    for at, (name, colour, dash) in enumerate(STYLES):
        x = LEFT + at * 140
        parts.append(_line([(x, 16), (x + 28, 16)], colour, dash))
        parts.append(_text(x + 34, 20, name, "start"))
    return "\n".join(parts)


def _row(one: Calibration, top: float) -> Iterator[str]:
    yield _text(LEFT, top + 4, f"{one.name} ({one.n} items)", "start", "bold")
    top += 20
    yield from _frame(LEFT, top, "confidence", "share right", 1.0)
    yield _line([(LEFT, top + SIDE), (LEFT + SIDE, top)], "#999", "2 3")
    rows = [row for row in one.reliability if row.right.value is not None]
    raw = [(row.confidence, row.right) for row in rows]
    after = [(row.calibrated, row.right) for row in rows if row.calibrated is not None]
    for points, (_, colour, dash) in zip((raw, after), STYLES, strict=True):
        yield from _reliability(points, top, colour, dash)
    left = LEFT + SIDE + GAP
    highest = max((point.risk for point in one.order.curve), default=0.0) or 1.0
    yield from _frame(left, top, "coverage, most confident first", "share wrong", highest)
    line = [
        (left + point.coverage * SIDE, top + SIDE * (1 - point.risk / highest))
        for point in one.order.curve
    ]
    yield _line(line, STYLES[0][1], "none")


def _reliability(
    rows: Sequence[tuple[float, Estimate]], top: float, colour: str, dash: str
) -> Iterator[str]:
    points = []
    for confidence, right in rows:
        x = LEFT + confidence * SIDE
        share, low, high = (
            top + SIDE * (1 - (value or 0.0)) for value in (right.value, right.low, right.high)
        )
        points.append((x, share))
        yield _line([(x, low), (x, high)], colour, "none", 1)
        yield f'<circle cx="{x:.1f}" cy="{share:.1f}" r="3" fill="{colour}"/>'
    yield _line(points, colour, dash)


def _frame(left: float, top: float, below: str, beside: str, highest: float) -> Iterator[str]:
    yield (f'<rect x="{left}" y="{top}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#444"/>')
    for mark in MARKS:
        yield _text(left + mark * SIDE, top + SIDE + 16, f"{mark:g}", "middle")
        yield _text(left - 6, top + SIDE * (1 - mark) + 4, f"{mark * highest:.2g}", "end")
    yield _text(left + SIDE / 2, top + SIDE + 34, below, "middle")
    yield (
        f'<text transform="translate({left - 42} {top + SIDE / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(beside)}</text>'
    )


def _line(points: Iterable[tuple[float, float]], colour: str, dash: str, width: float = 1.6) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
        f'stroke-dasharray="{dash}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )
