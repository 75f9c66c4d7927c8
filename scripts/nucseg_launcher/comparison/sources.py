"""What can be compared: the methods that have run in an output folder, and label images made by other programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg.formats import image_stem, list_images
from nucseg.record import DONE, read_json
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.record import NOT_DONE


@dataclass(frozen=True)
class Source:
    """Label images of one method or program.

    Attributes
    ----------
    name : str
    labels : pathlib.Path
        Folder.
    measurements : pathlib.Path or None
        Folder of tables, where there are some.
    facts : dict
        What `comparison.json` says of it under ``methods``.
    entries : dict
        Per image name, the record of how it went; empty for other programs.
    """

    name: str
    labels: Path
    measurements: Path | None
    facts: dict[str, Any]
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def files(self) -> dict[str, Path]:
        """Label images by their stem."""
        found = list_images(self.labels) if self.labels.is_dir() else []
        return {image_stem(path): path for path in found}

    def entry(self, image: str) -> dict[str, Any]:
        """How it went with an image: its record, with a status that is true of the files that are there."""
        entry = self.entries.get(image, {"file": image, "status": DONE})
        has_file = image_stem(Path(image)) in self.files
        if entry["status"] == DONE and not has_file:
            return {"file": image, "status": NOT_DONE}
        return entry

    def label_file(self, image: str) -> Path | None:
        """The label image of an image, where it is done."""
        return self.files.get(image_stem(Path(image))) if self.entry(image)["status"] == DONE else None


def sources_of(out: OutFolder, also: Mapping[str, Path]) -> list[Source]:
    """The methods that have run in this folder, then the other label images.

    Parameters
    ----------
    out : OutFolder
    also : mapping of str to pathlib.Path
        Folders of label images by the name that they shall have.

    Raises
    ------
    NucsegError
        USAGE: nothing to compare, a name twice, or a folder without label images.
    """
    run = read_json(out.run).get("methods", {})
    sources = [_method(out, name, run.get(name, {})) for name in out.methods()]
    for name, folder in also.items():
        if any(name == source.name for source in sources):
            raise NucsegError(f"--also {name}: a method of {out.path} has this name", "another name", USAGE)
        source = Source(name, folder, None, {"name": name, "source": "also", "labels": str(folder), "status": DONE})
        if not source.files:
            raise NucsegError(f"--also {name}: there are no label images (TIFF) in {folder}", "another folder", USAGE)
        sources.append(source)
    if not sources:
        raise NucsegError(f"no method has run in {out.path}", "nucseg run METHOD IN OUT, or --also NAME=FOLDER", USAGE)
    return sources


def _method(out: OutFolder, name: str, facts: Mapping[str, Any]) -> Source:
    folder = out.method(name)
    status = read_json(folder.status)
    kept = ("image", "image_id", "image_digest", "image_size_bytes", "weights", "command", "citation", "engine")
    about: dict[str, Any] = {
        "name": name,
        "source": "run",
        "labels": str(folder.labels.relative_to(out.path)),
        "measurements": str(folder.measurements.relative_to(out.path)),
        "status": status.get("status", NOT_DONE),
        **{
            key: status[key]
            for key in ("cause", "hint", "seconds", "peak_memory_bytes", "peak_gpu_bytes")
            if key in status
        },
        **{key: facts[key] for key in kept if facts.get(key)},
    }
    # The container's own record is newer than the status of a run that was cut.
    recorded = read_json(folder.container_record).get("images", [])
    entries = {entry["file"]: entry for entry in [*status.get("images", []), *recorded]}
    return Source(name, folder.labels, folder.measurements, about, entries)


def images_of(sources: Sequence[Source]) -> list[str]:
    """Names of all images that a method was given, sorted; of all label images where no method has run."""
    given = {name for source in sources for name in source.entries}
    return sorted(given or {stem: path.name for source in sources for stem, path in source.files.items()}.values())


def folder_of_all(out: OutFolder, key: str) -> tuple[Path | None, list[str]]:
    """A folder that run.json names for each method (``input``, ``ground_truth``), and warnings where they differ."""
    run = read_json(out.run).get("methods", {})
    named = list(dict.fromkeys(facts[key] for facts in run.values() if facts.get(key)))
    if len(named) > 1:
        what = key.replace("_", " ")
        return Path(named[0]), [f"the methods were run with different folders as {what}: {', '.join(named)}"]
    return (Path(named[0]) if named else None), []
