"""An output folder as an RO-Crate 1.1 of the profile Process Run Crate (https://w3id.org/ro/wfrun/process)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg import __version__
from nucseg.atomic import atomic_path
from nucseg.errors import USAGE, NucsegError
from nucseg.record import read_json
from nucseg_launcher.layout import OutFolder

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
STATUS = {"done": "http://schema.org/CompletedActionStatus"}
FAILED = "http://schema.org/FailedActionStatus"
MEDIA_TYPES = {
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".html": "text/html",
    ".md": "text/markdown",
    ".png": "image/png",
}


def write_crate(out: OutFolder, target: Path, *, with_images: bool) -> None:
    """Write the zip file in one step.

    Parameters
    ----------
    out : OutFolder
    target : pathlib.Path
        Ends in .zip.
    with_images : bool
        Pack the images; else they are described by name and SHA-256.

    Raises
    ------
    NucsegError
        USAGE when no method has run there, ENVIRONMENT when the file cannot be written.
    """
    from rocrate.rocrate import ROCrate

    methods = read_json(out.run).get("methods")
    if not methods:
        raise NucsegError(f"no method has run in {out.path}", "nucseg run METHOD IN OUT", USAGE)
    crate = ROCrate()
    crate.name = f"Nuclei in 3D microscopy: {out.path.name}"
    crate.description = f"Nuclei segmented and measured by nucseg {__version__} with {', '.join(methods)}."
    crate.root_dataset["conformsTo"] = _entity(crate, PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    agreed = _files(out.consensus_labels, out.consensus_support)
    for path in (out.run, out.summary_tsv, out.summary_json, out.comparison, out.report, out.citation, *agreed):
        _add_file(crate, out, path)
    for name, facts in methods.items():
        _add_method(crate, out, name, facts, with_images=with_images)
    with atomic_path(target) as part:
        # The package appends .zip to any other ending.
        archive = part.with_suffix(".zip")
        try:
            crate.write_zip(archive)
            archive.replace(part)
        finally:
            archive.unlink(missing_ok=True)


def _add_method(crate: ROCrate, out: OutFolder, name: str, facts: dict[str, Any], *, with_images: bool) -> None:
    folder = out.method(name)
    software = _entity(
        crate,
        f"#{name}",
        "SoftwareApplication",
        name=f"nucseg {name}",
        softwareVersion=facts.get("image_digest") or facts.get("image_id") or __version__,
        citation=facts.get("citation") or None,
    )
    inputs = [_input(crate, Path(facts["input"]), image, with_images=with_images) for image in facts["images"]]
    weights = facts.get("weights")
    if weights:
        properties = {"name": f"weights {weights['name']}", "sha256": weights["sha256"]}
        inputs.append(_entity(crate, f"#{name}-weights", "CreativeWork", **properties))
    for key, value in facts["params"].items():
        inputs.append(_entity(crate, f"#{name}-{key}", "PropertyValue", name=key, value=value))
    results = [_add_file(crate, out, path) for path in _files(folder.labels, folder.measurements, folder.overlays)]
    _add_file(crate, out, folder.command)
    crate.add_action(
        software,
        identifier=f"#run-{name}-{facts['run']}",
        object=inputs,
        result=[entity for entity in results if entity is not None],
        properties={
            "name": f"{name} on {facts['input']}",
            "description": facts["command"],
            "startTime": facts["started"],
            "endTime": facts["ended"],
            "actionStatus": {"@id": STATUS.get(facts["status"], FAILED)},
        },
    )


def _input(crate: ROCrate, folder: Path, image: dict[str, Any], *, with_images: bool) -> Any:
    path = folder / image["file"]
    properties = {"name": image["file"], "sha256": image.get("sha256"), "encodingFormat": MEDIA_TYPES.get(path.suffix)}
    properties = {key: value for key, value in properties.items() if value}
    if with_images and path.exists():
        # An OME-Zarr image is a folder.
        add = crate.add_dataset if path.is_dir() else crate.add_file
        return add(path, dest_path=f"images/{path.name}", properties=properties)
    return _entity(crate, f"#image-{image['file']}", "CreativeWork", **properties)


def _files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.glob("*")) if not path.name.startswith(".")]


def _add_file(crate: ROCrate, out: OutFolder, path: Path) -> Any:
    """A file of the output folder at the same place in the crate; None where there is none."""
    if not path.is_file():
        return None
    properties = {"name": path.name, "contentSize": str(path.stat().st_size)}
    if path.suffix in MEDIA_TYPES:
        properties["encodingFormat"] = MEDIA_TYPES[path.suffix]
    return crate.add_file(path, dest_path=str(path.relative_to(out.path)), properties=properties)


def _entity(crate: ROCrate, identifier: str, kind: str, **properties: Any) -> Any:
    from rocrate.model.contextentity import ContextEntity

    known = crate.get(identifier)
    if known is not None:
        return known
    filled = {key: value for key, value in properties.items() if value is not None}
    return crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **filled}))
