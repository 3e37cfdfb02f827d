"""Charts as SVG, written by hand: bars and lines on logarithmic scales, each value beside its mark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

WIDTH, MARGIN, NAMES, ROW = 740, 16, 150, 26
PLOT_HEIGHT, AXIS, LABELS = 260, 92, 200
COLOURS = ("#1f6feb", "#d1242f", "#2da44e", "#bf8700", "#8250df", "#57606a")
OURS, OTHERS = COLOURS[0], "#8c959f"

Write = Callable[[float], str]
Point = tuple[float, float]


def bars(title: str, values: Mapping[str, float], write: Write, ours: str) -> str:
    """One bar for each name, on a logarithmic scale; `ours` stands out."""
    low, high = _decades(values.values())
    room = WIDTH - NAMES - MARGIN - 90
    parts = []
    for index, (name, value) in enumerate(values.items()):
        y = 44 + index * ROW
        length = max(2.0, _part(value, low, high) * room)
        colour = OURS if name == ours else OTHERS
        parts += [
            _text(NAMES - 6, y + 14, name, anchor="end"),
            f'<rect x="{NAMES}" y="{y}" width="{length:.1f}" height="{ROW - 8}" fill="{colour}"/>',
            _text(NAMES + length + 6, y + 14, write(value)),
        ]
    return _svg(title, 56 + len(values) * ROW, parts)


def lines(title: str, along: str, series: Mapping[str, Sequence[Point]], write: Write) -> str:
    """One line for each name, on logarithmic scales; the last value of each is written beside it."""
    xs = [x for points in series.values() for x, _ in points]
    left, right = min(xs), max(xs)
    low, high = _decades(y for points in series.values() for _, y in points)
    room = WIDTH - MARGIN - LABELS - AXIS
    parts = []
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        y = 44 + (1 - _part(10.0**power, low, high)) * PLOT_HEIGHT
        parts += [
            f'<line x1="{AXIS}" y1="{y:.1f}" x2="{AXIS + room}" y2="{y:.1f}" stroke="#d0d7de"/>',
            _text(AXIS - 6, y + 4, write(10.0**power), anchor="end"),
        ]
    for x in sorted(set(xs)):
        parts.append(_text(AXIS + _part(x, left, right) * room, PLOT_HEIGHT + 62, f"{x:,.0f}", anchor="middle"))
    parts.append(_text(AXIS + room / 2, PLOT_HEIGHT + 80, along, anchor="middle"))
    taken: list[float] = []
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        places = [
            (AXIS + _part(x, left, right) * room, 44 + (1 - _part(y, low, high)) * PLOT_HEIGHT) for x, y in points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        label = places[-1][1] + 4
        while any(abs(label - other) < 14 for other in taken):
            label += 2
        taken.append(label)
        parts.append(_text(places[-1][0] + 8, label, f"{name}: {write(points[-1][1])}", colour=colour))
    return _svg(title, PLOT_HEIGHT + 92, parts)


def _decades(values: Iterable[float]) -> tuple[float, float]:
    """The powers of ten around the values."""
    numbers = list(values)
    low, high = math.floor(math.log10(min(numbers))), math.ceil(math.log10(max(numbers)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def _part(value: float, low: float, high: float) -> float:
    return math.log(value / low) / math.log(high / low) if high > low else 0.5


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#1f2328") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12">\n<title>{escape(title)}</title>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="{MARGIN}" y="24" font-size="14" font-weight="bold" fill="#1f2328">{escape(title)}</text>\n'
    )
    return head + "\n".join(parts) + "\n</svg>\n"
