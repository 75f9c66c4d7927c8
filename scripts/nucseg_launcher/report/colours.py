"""One colour and one marker per method, the same in every picture and plot of a report."""

from collections.abc import Sequence
from dataclasses import dataclass

# Okabe and Ito 2008, told apart with any colour vision; in an order that also shows on dark microscopy.
_COLOURS = ("#d55e00", "#56b4e9", "#009e73", "#cc79a7", "#e69f00", "#0072b2", "#b3a100")
# Drawn in a box from -1 to 1, so that plots can be read without any colour.
_MARKERS = (
    "M-.9 0a.9 .9 0 1 0 1.8 0a.9 .9 0 1 0 -1.8 0z",
    "M-.8-.8h1.6v1.6h-1.6z",
    "M0-1l1 1.75h-2z",
    "M0-1.1l1.1 1.1l-1.1 1.1l-1.1-1.1z",
    "M0 1l1-1.75h-2z",
    "M-.35-1h.7v.65h.65v.7h-.65v.65h-.7v-.65h-.65v-.7h.65z",
)


@dataclass(frozen=True)
class Style:
    """How a method is drawn.

    Attributes
    ----------
    colour : str
        As CSS writes it.
    marker : str
        An SVG path within a box from -1 to 1.
    """

    colour: str
    marker: str


def styles(methods: Sequence[str]) -> dict[str, Style]:
    """A style per method; colours return after the seventh method, with other markers.

    Examples
    --------
    >>> styles(["stardist3d", "unet3d"])["unet3d"].colour
    '#56b4e9'
    """
    return {name: Style(_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)]) for i, name in enumerate(methods)}
