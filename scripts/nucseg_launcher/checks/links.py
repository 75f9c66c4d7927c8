"""Links in the mounted folders that lead out of them: in a container, there is nothing where they point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nucseg_launcher.checks import Finding

if TYPE_CHECKING:
    from nucseg_launcher.engines.base import Job


def outside_links(job: Job) -> Iterator[Finding]:
    """An error for each folder of images, labels or weights that holds such links."""
    for folder in (job.in_dir, job.gt_dir, *(job.validation or ()), job.model):
        if folder is None or not folder.is_dir():
            continue
        names = [path.name for path in sorted(folder.iterdir()) if _leads_out(path, folder)]
        if names:
            some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            yield Finding(
                "error",
                "links",
                f"{folder} holds links to files elsewhere, which a container cannot see: {some}",
                "name the folder that holds the files, copy them, or run without a container (--engine process)",
            )


def _leads_out(path: Path, folder: Path) -> bool:
    return path.is_symlink() and not path.name.startswith(".") and not path.resolve().is_relative_to(folder.resolve())
