"""The run record ``nucseg_run.json``: what was done with which model, parameters and result.

Written after every image, so that a run that is killed can go on, and so that a failure is seen
where exit codes are lost (OMERO shows the file beside the results).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nucseg.atomic import atomic_path

FILE_NAME = "nucseg_run.json"
DONE, FAILED = "done", "failed"


@dataclass
class RunRecord:
    """Everything that decides about the labels, and what came out, image by image.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    settings : dict
        `nucseg` (version), `method`, `model` (`nucseg.models.fingerprint`), `params`: two runs with the same
        ones give the same labels for the same image, so this is what resuming compares.
    context : dict
        Device, package versions, time: told, not compared.
    images : dict
        Per file name: `file`, `sha256`, `status` (``done`` or ``failed``), and what `add` was given.
    of_failures : bool
        Write the file also where no image is done.
    """

    path: Path
    settings: dict[str, Any]
    context: dict[str, Any] = field(default_factory=dict)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    of_failures: bool = False

    def add(self, name: str, status: str, **facts: Any) -> None:
        """Note the end of one image and write the file."""
        self.images[name] = {"file": name, "status": status, **facts}
        self.write()

    def write(self) -> None:
        """Write the file in one step; where no image is done there is none by default, and an old one goes."""
        if not self.of_failures and not any(entry["status"] == DONE for entry in self.images.values()):
            self.path.unlink(missing_ok=True)
            return
        content = {**self.settings, **self.context, "images": list(self.images.values())}
        with atomic_path(self.path) as part:
            # ASCII, because a file name needn't be valid Unicode.
            part.write_text(json.dumps(content, indent=2) + "\n", "ascii")


def read_images(path: Path) -> dict[str, dict[str, Any]]:
    """The images of an earlier record by file name; none when there is no readable record."""
    images = read_json(path).get("images")
    entries = images if isinstance(images, list) else []
    return {entry["file"]: entry for entry in entries if isinstance(entry, dict) and "file" in entry}


def same_settings(path: Path, settings: Mapping[str, Any]) -> bool:
    """Whether an earlier record was made with these settings; no without one."""
    earlier = read_json(path)
    return all(key in earlier and earlier[key] == value for key, value in settings.items())


def changed_settings(path: Path, settings: Mapping[str, Any]) -> list[str]:
    """The names of the settings and parameters that were others in an earlier record; none without one."""
    earlier = read_json(path)
    if not earlier:
        return []
    # `model` is a parameter too: the name that was given, beside what it stands for.
    pairs = [(earlier, settings), (earlier.get("params", {}), settings.get("params", {}))]
    changed = [name for before, now in pairs for name in now if name != "params" and now[name] != before.get(name)]
    return list(dict.fromkeys(changed))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty when there is none or it can't be read."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
