"""The plot of lag against job length, as SVG written by hand: small, and without a library to install."""

from collections.abc import Mapping
from html import escape
from math import log10
from pathlib import Path

from benchmarks.contenders import ALL, LENGTHS
from benchmarks.figures import Figures

FILE = Path(__file__).parent / "lag.svg"

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 500, 24, 360
X_RANGE, Y_RANGE = (1.0, 3600.0), (0.05, 50.0)
Y_TICKS = (0.1, 1, 10)
# How far apart the contenders' bars stand.
_ASIDE = 6
# Of a palette that people with any kind of colour vision can tell apart (https://jfly.uni-koeln.de/color/).
COLOURS = ("#0072b2", "#009e73", "#e69f00", "#d55e00", "#cc79a7")

_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#57606a}.grid{stroke:#8c959f;stroke-opacity:.35}"
    ".series{fill:none;stroke-width:2}.range{stroke-width:1.5;stroke-opacity:.6}"
    "@media(prefers-color-scheme:dark){text{fill:#9198a1}}"
)


def write(lags: Mapping[tuple[str, int], Figures]) -> None:
    """Draw the median lag of each contender at each length, with a bar from the least to the most."""
    parts = _axes()
    for number, (name, colour) in enumerate(zip(ALL, COLOURS, strict=True)):
        points = {length: lags[name, length] for length in LENGTHS}
        parts += _series(name, points, colour, number)
    drawing = "\n".join(parts)
    FILE.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Lag behind the job\'s end against job length">\n<style>{_STYLE}</style>\n{drawing}\n</svg>\n',
        encoding="utf-8",
    )


def _axes() -> list[str]:
    parts = []
    for value in Y_TICKS:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{_y(value):.1f}" y2="{_y(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{_y(value) + 4:.1f}" text-anchor="end">{value:g} s</text>')
    for length, name in LENGTHS.items():
        parts.append(f'<line class="grid" x1="{_x(length):.1f}" x2="{_x(length):.1f}" y1="{TOP}" y2="{BOTTOM}"/>')
        parts.append(f'<text x="{_x(length):.1f}" y="{BOTTOM + 20}" text-anchor="middle">{name}</text>')
    middle = (LEFT + RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{BOTTOM + 44}" text-anchor="middle">length of the job</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP - 8}">from the job\'s end to the step\'s (median, least and most)</text>')
    return parts


def _series(name: str, points: Mapping[int, Figures], colour: str, number: int) -> list[str]:
    parts = []
    aside = _ASIDE * (number - len(ALL) // 2)
    places = {_x(length) + aside: lag for length, lag in points.items()}
    corners = " ".join(f"{x:.1f},{_y(lag.median):.1f}" for x, lag in places.items())
    parts.append(f'<polyline class="series" stroke="{colour}" points="{corners}"/>')
    for x, lag in places.items():
        parts.append(
            f'<line class="range" stroke="{colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{_y(lag.least):.1f}" '
            f'y2="{_y(lag.most):.1f}"/>'
        )
        parts.append(f'<circle fill="{colour}" cx="{x:.1f}" cy="{_y(lag.median):.1f}" r="3.5"/>')
    place = f'x="{RIGHT + 16}" y="{TOP + 20 + 24 * number}"'
    parts.append(f'<text style="fill:{colour}" {place}>{escape(name.replace("`", ""))}</text>')
    return parts


def _x(length: float) -> float:
    return LEFT + (RIGHT - LEFT) * _share(length, X_RANGE)


def _y(lag: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * _share(max(lag, Y_RANGE[0]), Y_RANGE)


def _share(value: float, bounds: tuple[float, float]) -> float:
    """Where a value stands between two others, on a logarithmic scale."""
    return (log10(value) - log10(bounds[0])) / (log10(bounds[1]) - log10(bounds[0]))
