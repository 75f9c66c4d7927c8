"""The end of every command that filled or compared an output folder: its comparison, and its report."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nucseg.errors import NucsegError
from nucseg.progress import say
from nucseg_launcher.layout import OutFolder


def write_overview(
    out: OutFolder, gt_dir: Path | None = None, also: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Write ``comparison.json``, the consensus where there is one, and ``report.html``; say where the report is.

    Returns
    -------
    dict
        The comparison (`nucseg_launcher.comparison.build.write_comparison`).

    Raises
    ------
    NucsegError
        There is nothing to compare, or the files cannot be written.
    """
    from nucseg_launcher.comparison.agreed import write_consensus
    from nucseg_launcher.comparison.build import write_comparison
    from nucseg_launcher.report import write_report

    content = write_comparison(out, gt_dir, also or {})
    warnings = list(content["warnings"])
    if out.consensus.is_dir():
        # Once it was asked for (`nucseg consensus`), it follows what the methods find.
        try:
            warnings += write_consensus(out)[1]
        except NucsegError as error:
            warnings.append(f"the consensus is still the old one: {error}")
    for text in dict.fromkeys(warnings):
        say(f"warning: {text}", sys.stderr)
    say(f"  {'report':13} {write_report(out)}")
    return content
