"""Plots as SVG, written by hand: small, readable without a script, and equal for equal figures.

Invariant: a chart names its unit and its scale, and each series has a colour and a shape of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#d62728", "#7f7f7f", "#bcbd22", "#1f77b4", "#17becf", "#2ca02c", "#9467bd", "#8c564b")
_LEFT, _RIGHT, _BOTTOM, _ROW, _WIDTH = 210, 20, 34, 24, 860
_FONT = 'font-family="sans-serif" font-size="12"'


def dots(
    title: str,
    rows: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    unit: str = "seconds",
    places: Mapping[str, int] | None = None,
) -> str:
    """Draw a row of dots for each of *rows*, one dot of each of *series*, on a logarithmic scale.

    *places* says which colour and shape a series has, so that they are the same in several charts.
    """
    place_of = places or {name: place for place, name in enumerate(series)}
    values = [it for points in series.values() for it in points if it]
    if not values:
        return ""
    low, high = _decades(values)
    legend, top = _legend({name: place_of[name] for name in series})
    height = top + _ROW * len(rows) + _BOTTOM

    def across(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log(value / low) / math.log(high / low)

    body = [*_frame(title, height), *legend]
    value = low
    while value <= high * 1.001:
        x = across(value)
        body.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - _BOTTOM}" stroke="#ddd"/>')
        body.append(f'<text x="{x:.1f}" y="{height - 16}" text-anchor="middle" fill="#555">{_number(value)}</text>')
        value *= 10
    body.append(f'<text x="{_LEFT - 24}" y="{height - 16}" text-anchor="end" fill="#555">{escape(unit)}</text>')
    for number, row in enumerate(rows):
        y = top + _ROW * (number + 0.5)
        body.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(row)}</text>')
        body.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#f0f0f0"/>')
        for name, points in series.items():
            point = points[number]
            if point:
                body.append(_mark(place_of[name], across(point), y))
    return _document(body, height)


def lines(
    title: str, series: Mapping[str, Sequence[tuple[float, float]]], *, across_unit: str, up_unit: str = "seconds"
) -> str:
    """Draw each of *series* as a line, both scales logarithmic."""
    points = [it for line in series.values() for it in line if it[0] > 0 and it[1] > 0]
    if not points:
        return ""
    legend, top = _legend({name: place for place, name in enumerate(series)})
    top += 12
    height = top + 300
    x_low, x_high = _decades([it[0] for it in points])
    y_low, y_high = _decades([it[1] for it in points])

    def across(value: float) -> float:
        return 80 + (_WIDTH - 120) * math.log(value / x_low) / math.log(x_high / x_low)

    def up(value: float) -> float:
        return height - 46 - (height - 46 - top) * math.log(value / y_low) / math.log(y_high / y_low)

    body = [*_frame(title, height), *legend]
    for value in _ticks(x_low, x_high):
        x = across(value)
        body.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - 46}" stroke="#eee"/>')
        body.append(f'<text x="{x:.1f}" y="{height - 28}" text-anchor="middle" fill="#555">{_number(value)}</text>')
    for value in _ticks(y_low, y_high):
        y = up(value)
        body.append(f'<line x1="80" x2="{_WIDTH - 40}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>')
        body.append(f'<text x="72" y="{y + 4:.1f}" text-anchor="end" fill="#555">{_number(value)}</text>')
    body.append(
        f'<text x="{_WIDTH / 2}" y="{height - 10}" text-anchor="middle" fill="#555">{escape(across_unit)}</text>'
    )
    body.append(f'<text x="8" y="{top - 6}" fill="#555">{escape(up_unit)}</text>')
    for place, line in enumerate(series.values()):
        drawn = [(across(x), up(y)) for x, y in line if x > 0 and y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        body.append(f'<polyline points="{path}" fill="none" stroke="{_colour(place)}" stroke-width="1.5"/>')
        body += [_mark(place, x, y) for x, y in drawn]
    return _document(body, height)


def _legend(names: Mapping[str, int]) -> tuple[list[str], int]:
    """Return the names with their marks, in as many rows as they need, and where what follows may begin."""
    body, x, y = [], 20, 38
    for name, place in names.items():
        wide = 30 + 7 * len(name)
        if x + wide > _WIDTH and x > 20:
            x, y = 20, y + 18
        body.append(_mark(place, x, y))
        body.append(f'<text x="{x + 9}" y="{y + 4}">{escape(name)}</text>')
        x += wide
    return body, y + 20


def _frame(title: str, height: int) -> list[str]:
    return [
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:.6f}".rstrip("0")


def _mark(place: int, x: float, y: float) -> str:
    colour = _colour(place)
    if place % 3 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
    if place % 3 == 1:
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'
    return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" fill="{colour}"/>'


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]


def _decades(values: Sequence[float]) -> tuple[float, float]:
    low = 10.0 ** math.floor(math.log10(min(values)))
    high = 10.0 ** math.ceil(math.log10(max(values)) - 1e-9)
    return low, max(high, low * 10)


def _ticks(low: float, high: float) -> list[float]:
    return [low * 10**it for it in range(round(math.log10(high / low)) + 1)]


def _document(body: list[str], height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" {_FONT}>'
    return "\n".join([head, *body, "</svg>", ""])
