"""The report of a run: ``OUT/report.html``, one file that needs nothing else."""

from nucseg_launcher.report.page import write_report

__all__ = ["write_report"]
