"""Findings: what a check has to say. One function per check, in the modules of this package."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    severity : {"ok", "warning", "error"}
    topic : str
        One or two words: "engine", "disk space".
    message : str
        What is the case, with the numbers.
    remedy : str
        One thing to do about it; empty when all is well.
    """

    severity: Severity
    topic: str
    message: str
    remedy: str = ""
