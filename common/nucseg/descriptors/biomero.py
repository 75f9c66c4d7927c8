"""OMERO's BIOMERO, schema ``biomero-0.1``: what `cytomine-0.1` cannot say to it.

Whole and fractional numbers have types of their own, authors and papers are named, and the result is declared to be
label images, so that all of them become regions of interest. BIOMERO starts the container with the same words.
"""

from collections.abc import Iterable, Iterator
from dataclasses import Field
from typing import Any

from nucseg.descriptors.facts import AUTHORS, IMAGES, LABELS, REPOSITORY, TAG, audience, citations
from nucseg.descriptors.rules import (
    check_command,
    check_ids,
    check_image,
    check_name,
    check_texts,
    check_value,
    command_line,
    listed,
)
from nucseg.method import Method
from nucseg.params import parameters

SCHEMA = "biomero-0.1"
TYPES = {bool: "boolean", int: "integer", float: "float", str: "string"}
KEYS = {
    *("name", "description", "schema-version", "authors", "citations", "problem-class", "container-image"),
    *("configuration", "command-line", "inputs", "outputs"),
}


def make(method: Method) -> dict[str, Any]:
    """The descriptor of a method as the dictionary to be written as JSON."""
    params = parameters(method.params)
    needed = method.resources
    # Formats in which BIOMERO hands images over; if zarr were named it would hand over nothing else.
    images = {**_frame(*IMAGES), "type": "image", "format": ["tif", "tiff"], "sub-type": ["grayscale"]}
    labels = {**_frame(*LABELS), "type": "image", "format": ["tif"], "sub-type": ["label"]}
    return {
        "name": method.name,
        "description": method.description,
        "schema-version": SCHEMA,
        "authors": [{"name": AUTHORS}],
        "citations": citations(method),
        "problem-class": "object-segmentation",
        "container-image": {"image": f"nucseg/{method.name}", "type": "oci"},
        "configuration": {
            "resources": {
                "networking": False,
                "ram-min": 1024 * needed.memory_gb,
                "cores-min": needed.cores,
                "gpu": needed.gpu,
            }
        },
        "command-line": command_line(item.name for item in params),
        "inputs": [images | {"set-by-server": True, "optional": False}, *(_input(item) for item in params)],
        "outputs": [labels | {"set-by-server": True, "optional": False}],
    }


def site_config(methods: Iterable[Method]) -> str:
    """The lines that a site adds to its ``slurm-config.ini``; without them a job has 5 GB and no GPU."""
    lines = [
        "# A job segments all chosen images: where 45 minutes do not suffice, add <name>_job_time=hh:mm:ss",
        "[WORKFLOWS]",
    ]
    for method in methods:
        name, needed = method.name, method.resources
        lines += [
            f"{name}={name}",
            f"{name}_repo={REPOSITORY}/tree/{TAG}/descriptors/biomero/{name}.json",
            f"{name}_job=jobs/{name}.sh",
            f"{name}_job_cpus-per-task={needed.cores}",
            f"{name}_job_mem={needed.memory_gb}G",
            *([f"{name}_job_gres=gpu:1"] if needed.gpu else []),
        ]
    return "\n".join(lines) + "\n"


def _frame(name: str, title: str, description: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": title,
        "description": description,
        "value-key": "[@ID]",
        "command-line-flag": "--@id",
    }


def _input(item: Field[Any]) -> dict[str, Any]:
    facts = item.metadata
    entry = _frame(item.name, facts["name"], facts["help"]) | {
        "type": TYPES[item.type],  # type: ignore[index]
        "mode": audience(item),
        "set-by-server": False,
        "optional": True,
        "default-value": item.default,
    }
    return entry | ({"value-choices": list(facts["choices"])} if facts["choices"] else {})


def check(descriptor: dict[str, Any]) -> list[str]:
    """What BIOMERO would take without a word and get wrong, one line each; empty when the descriptor is good."""
    return [
        *_check_top(descriptor),
        *check_image(descriptor.get("container-image"), str(descriptor.get("name")), "oci"),
        *_check_inputs(descriptor),
    ]


def _check_top(descriptor: dict[str, Any]) -> Iterator[str]:
    yield from (f"top: {fault}" for fault in check_texts(descriptor, ("name", "description", "command-line")))
    yield from (f"{key}: BIOMERO does not know it" for key in sorted(descriptor.keys() - KEYS))
    if descriptor.get("schema-version") != SCHEMA:
        yield f"schema-version: must be {SCHEMA}"
    for entry in descriptor.get("citations") or [{}]:
        yield from (f"citations: {fault}" for fault in check_texts(entry, ("name", "license", "description")))
    if descriptor.get("problem-class") != "object-segmentation":
        yield "problem-class: must be object-segmentation"
    outputs = descriptor.get("outputs")
    # Only a list makes regions of interest of every result.
    if not outputs or any(entry.get("sub-type") != ["label"] for entry in outputs):
        yield 'outputs: must be images of the sub-type ["label"]'


def _check_inputs(descriptor: dict[str, Any]) -> Iterator[str]:
    inputs = descriptor.get("inputs")
    yield from (f"inputs: {fault}" for fault in check_ids(inputs))
    if not listed(inputs):
        return
    images = [entry for entry in inputs if entry.get("type") == "image"]
    if len(images) != 1 or images[0].get("set-by-server") is not True:
        yield "inputs: one must be the images, set by the server; else it is a field for text"
    params = [entry for entry in inputs if entry not in images]
    yield from check_command(descriptor.get("command-line"), (entry["id"] for entry in params))
    yield from (f"{entry['id']}: {fault}" for entry in params for fault in _check_parameter(entry))


def _check_parameter(entry: dict[str, Any]) -> Iterator[str]:
    yield from check_name(entry["id"])
    yield from check_texts(entry, ("name", "description"))
    if entry.get("command-line-flag") != "--@id" or entry.get("value-key") != "[@ID]":
        yield "command-line-flag must be --@id and value-key [@ID]"
    if entry.get("set-by-server") is not False or entry.get("optional") is not True:
        yield "must be optional and not set by the server"
    types = [kind for kind, name in TYPES.items() if name == entry.get("type")]
    yield from check_value(entry.get("default-value"), types, entry.get("value-choices"))
