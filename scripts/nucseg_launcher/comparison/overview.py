"""The end of every command that filled or compared an output folder: its comparison, and its report."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nucseg_launcher.layout import OutFolder
from nucseg_launcher.output import say


def write_overview(
    out: OutFolder, gt_dir: Path | None = None, also: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Write ``comparison.json`` and ``report.html``, and say where the report is.

    Returns
    -------
    dict
        The comparison (`nucseg_launcher.comparison.build.write_comparison`).

    Raises
    ------
    NucsegError
        There is nothing to compare, or the files cannot be written.
    """
    from nucseg_launcher.comparison.build import write_comparison
    from nucseg_launcher.report import write_report

    content = write_comparison(out, gt_dir, also or {})
    for text in content["warnings"]:
        say(f"warning: {text}", sys.stderr)
    say(f"  {'report':13} {write_report(out)}")
    return content
