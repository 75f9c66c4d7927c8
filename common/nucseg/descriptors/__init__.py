"""What a method is and takes, in the words of each program that offers it to its users.

All dialects are made from the method's Params; none is written by hand (``make descriptors``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nucseg.descriptors import bilayers, bioimageio, biomero, boutiques, cytomine
from nucseg.method import Method


@dataclass(frozen=True)
class Dialect:
    """One way to describe a method.

    Attributes
    ----------
    file : str
        Path below ``descriptors/``, with ``{}`` for the method's name.
    make : callable
        The descriptor of a method.
    check : callable, optional
        What the dialect's readers would stumble over without a word, one line each. None where they have a
        validator that is strict enough; the tests call that of every dialect.
    """

    file: str
    make: Callable[[Method], dict[str, Any]]
    check: Callable[[dict[str, Any]], list[str]] | None = None


DIALECTS = {
    "cytomine": Dialect("{}.json", cytomine.make, cytomine.check),
    "biomero": Dialect("biomero/{}.json", biomero.make, biomero.check),
    "boutiques": Dialect("boutiques/{}.json", boutiques.make),
    "bilayers": Dialect("bilayers/{}.yaml", bilayers.make, bilayers.check),
    "bioimageio": Dialect("bioimageio/{}.yaml", bioimageio.make),
}
