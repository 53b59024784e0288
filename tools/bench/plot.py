"""A line chart as SVG, without a library: a few points on a logarithmic x axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 50
_TICKS = 5
_LEAST = 1e-9
_STYLE = (
    "text{font:12px sans-serif;fill:#666}.title{font-size:14px;font-weight:bold}"
    ".axis{stroke:#999;fill:none}.grid{stroke:#ccc;stroke-dasharray:2 4}"
    ".line{stroke:#2563eb;fill:none;stroke-width:2}.dot{fill:#2563eb}"
)


def line_chart(title: str, x_label: str, y_label: str, points: Sequence[tuple[float, float]]) -> str:
    """The chart; y begins at 0, x is logarithmic, each point is labelled with its y.

    Raises:
        ValueError: no point, an x that is not above 0, a negative y.
    """
    if not points or min(x for x, _ in points) <= 0 or min(y for _, y in points) < 0:
        raise ValueError("a chart needs points with x above 0 and no negative y")
    points = sorted(points)
    low, high = math.log10(points[0][0]), math.log10(points[-1][0])
    top = _nice(max(y for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low) / (high - low) if high > low else 0.5
        return (
            round(_LEFT + across * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_HEIGHT - _BOTTOM - y / top * (_HEIGHT - _TOP - _BOTTOM), 1),
        )

    bottom = _HEIGHT - _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="22">{escape(title)}</text>',
    ]
    for number in range(_TICKS + 1):
        value = top * number / _TICKS
        _, y = place(points[0][0], value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}"/>')
    path = " ".join(f"{x},{y}" for x, y in (place(*point) for point in points))
    parts.append(f'<polyline class="line" points="{path}"/>')
    for value, figure in points:
        x, y = place(value, figure)
        parts.append(f'<circle class="dot" cx="{x}" cy="{y}" r="3.5"/>')
        parts.append(f'<text x="{x}" y="{y - 9}" text-anchor="middle">{figure:g}</text>')
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{value:,.0f}</text>')
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(x_label)}</text>'
    )
    turned = f'transform="rotate(-90 16 {middle})"'
    parts.append(f'<text x="16" y="{middle}" text-anchor="middle" {turned}>{escape(y_label)}</text></svg>')
    return "\n".join(parts) + "\n"


def _nice(most: float) -> float:
    """The axis's end: 1, 2 or 5 times a power of ten, at least ``most`` with room for a label."""
    if most < _LEAST:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0, 20.0) if step * power >= most * 1.05)
