"""Links in the mounted folders that lead out of them: in a container, there is nothing where they point."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nucseg_launcher.checks import Finding

if TYPE_CHECKING:
    from nucseg_launcher.engines.base import Job


def outside_links(job: Job) -> Iterator[Finding]:
    """An error for each folder of images, labels or weights that holds such links."""
    from nucseg.formats import list_images

    folders = [folder for folder in (job.in_dir, job.gt_dir, *(job.validation or ())) if folder]
    used = {folder: list_images(folder) for folder in folders}
    if job.only:
        used[job.in_dir] = [path for path in used[job.in_dir] if path.name in job.only]
    if job.model and job.model.is_dir():
        used[job.model] = sorted(job.model.iterdir())
    for folder, paths in used.items():
        names = [path.name for path in paths if _leads_out(path, folder)]
        if names:
            some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            yield Finding(
                "error",
                "links",
                f"{folder} holds links that lead out of it, where a container sees nothing: {some}",
                "name the folder that holds the files, or copy them (nucseg run --engine process follows links)",
            )


def _leads_out(path: Path, folder: Path) -> bool:
    """Whether it is a link to elsewhere, or one that names this folder by a path that a container doesn't have."""
    if not path.is_symlink():
        return False
    return path.readlink().is_absolute() or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
