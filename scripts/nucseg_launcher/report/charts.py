"""Plots as data: axes, lines, dots and boxes with their places in an SVG. The page's template only draws them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nucseg_launcher.report.colours import Style

WIDTH = 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 42
_ROW = 22


@dataclass(frozen=True)
class Line:
    """A stroke; `kind` is a class of the style sheet."""

    path: str
    kind: str
    colour: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Mark:
    """A marker at a place."""

    x: float
    y: float
    style: Style
    hint: str


@dataclass(frozen=True)
class Text:
    """Words at a place; `kind` is a class of the style sheet."""

    x: float
    y: float
    words: str
    kind: str


@dataclass
class Chart:
    """One plot.

    Attributes
    ----------
    title, note : str
        Above and below it.
    height : float
        Of the SVG, which is `WIDTH` wide.
    lines, marks, texts : list
        Drawn in this order.
    """

    title: str
    note: str
    height: float = 270
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


@dataclass(frozen=True)
class Axis:
    """A scale from values to places.

    Attributes
    ----------
    low, high : float
        Values at the ends.
    start, stop : float
        Places of the ends.
    logarithmic : bool
    whole : bool
        Of counts, which have no fractions.
    """

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False
    whole: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        low, high = self._bent(self.low), self._bent(self.high)
        share = (self._bent(value) - low) / ((high - low) or 1.0)
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self) -> list[float]:
        """Round values, about five."""
        if self.logarithmic and self.high / self.low >= 8:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if self.high / self.low < 300 else (1,)
            values = [step * 10.0**power for power in powers for step in steps]
        else:
            rough = max((self.high - self.low) / 5, 1.0 if self.whole else 0.0)
            power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
            round_ones = (1, 2, 5, 10) if self.whole else (1, 2, 2.5, 5, 10)
            step = next(s * power for s in round_ones if s * power >= rough * 0.999)
            values = [
                n * step for n in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
            ]
        return [value for value in values if self.low <= value * (1 + 1e-9) and value <= self.high * (1 + 1e-9)]

    def _bent(self, value: float) -> float:
        return math.log(max(value, 1e-12)) if self.logarithmic else value


def axis_over(
    values: Iterable[float],
    start: float,
    stop: float,
    *,
    zero: bool = False,
    logarithmic: bool = False,
    whole: bool = False,
) -> Axis:
    """An axis that holds all values with some room at its ends; `zero` makes it begin there; `whole`: see `Axis`."""
    values = list(values)
    low, high = min(values), max(values)
    if logarithmic:
        return Axis(max(low, 1e-9) / 1.3, max(high, 1e-9) * 1.3, start, stop, True)
    margin = 0.06 * ((high - (0 if zero else low)) or abs(high) or 1)
    return Axis(0 if zero else low - margin, high + margin, start, stop, whole=whole)


def frame(chart: Chart, x: Axis, y: Axis | None, x_name: str, y_name: str = "") -> None:
    """Draw the axes, with a grid line per tick."""
    bottom = chart.height - _BOTTOM
    for value in x.ticks():
        chart.lines.append(Line(f"M{x.at(value)} {_TOP}V{bottom}", "grid"))
        chart.texts.append(Text(x.at(value), bottom + 16, tick_text(value), "tick middle"))
    chart.texts.append(Text((x.start + x.stop) / 2, chart.height - 6, x_name, "name middle"))
    if y is None:
        return
    for value in y.ticks():
        chart.lines.append(Line(f"M{x.start} {y.at(value)}H{x.stop}", "grid"))
        chart.texts.append(Text(x.start - 6, y.at(value) + 4, tick_text(value), "tick end"))
    chart.texts.append(Text(11, (y.start + y.stop) / 2, y_name, "name middle upright"))


def tick_text(value: float) -> str:
    """A round value without needless digits.

    Examples
    --------
    >>> tick_text(0.2), tick_text(2000.0), tick_text(0.30000000000000004)
    ('0.2', '2,000', '0.3')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def plot_area(height: float = 270) -> tuple[tuple[float, float], tuple[float, float]]:
    """Start and stop of the x axis, and of the y axis, of a chart with both."""
    return (_LEFT, WIDTH - _RIGHT), (height - _BOTTOM, _TOP)


def row_chart(
    title: str, note: str, rows: Sequence[tuple[str, str]], height: float = _ROW
) -> tuple[Chart, tuple[float, float], list[float]]:
    """A chart with a named row per entry: with the ends of its x axis, and the y of each row.

    Parameters
    ----------
    title, note : str
    rows : sequence of (str, str)
        Group and name; a group is named once, above its first row.
    height : float
        Of a row.
    """
    room = max((len(name) for _, name in rows), default=0)
    left = min(WIDTH * 0.36, 14 + 6.6 * room)
    chart = Chart(title, note)
    y, places, group = float(_TOP), [], ""
    for of, name in rows:
        if of and of != group:
            chart.texts.append(Text(0, y + 13, of, "group"))
            y += _ROW
        group = of
        places.append(y + height / 2)
        chart.texts.append(Text(left - 8, y + height / 2 + 4, name, "tick end"))
        y += height
    chart.height = y + 4 + _BOTTOM
    return chart, (left, WIDTH - _RIGHT), places
