"""BIAFLOWS and Cytomine, schema ``cytomine-0.1``; OMERO's BIOMERO reads it too.

BIAFLOWS and Cytomine put flags and values into `command-line` in place of the value keys; BIOMERO ignores it, takes
the ids, and reads a number without a decimal point as an integer.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import Field
from typing import Any

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

SCHEMA = "cytomine-0.1"

SERVER_INPUTS = {
    "cytomine_host": ("String", "Host", "Address of the server"),
    "cytomine_public_key": ("String", "Public key", "Of the server's user"),
    "cytomine_private_key": ("String", "Private key", "Of the server's user"),
    "cytomine_id_project": ("Number", "Project", "Number of the project on the server"),
    "cytomine_id_software": ("Number", "Software", "Number of the software on the server"),
}
"""Inputs that a BIAFLOWS server fills in: type, name, description."""

TYPES = {bool: "Boolean", int: "Number", float: "Number", str: "String"}


def make(method: Method) -> dict[str, Any]:
    """The descriptor of a method as the dictionary to be written as JSON."""
    inputs = [_server_input(name) for name in SERVER_INPUTS] + [_input(item) for item in parameters(method.params)]
    return {
        "name": method.name,
        "description": method.description,
        "schema-version": SCHEMA,
        "container-image": {"image": f"nucseg/{method.name}", "type": "singularity"},
        "command-line": command_line(item["id"] for item in inputs),
        "inputs": inputs,
    }


def text(method: Method) -> str:
    """`make` as JSON; floats keep their decimal point."""
    return json.dumps(make(method), indent=2, ensure_ascii=False) + "\n"


def _frame(name: str, kind: str, title: str, description: str) -> dict[str, Any]:
    return {
        "id": name,
        "type": kind,
        "name": title,
        "description": description,
        "value-key": "[@ID]",
        "command-line-flag": "--@id",
    }


def _server_input(name: str) -> dict[str, Any]:
    return {**_frame(name, *SERVER_INPUTS[name]), "set-by-server": True, "optional": False}


def _input(item: Field[Any]) -> dict[str, Any]:
    facts = item.metadata
    entry = _frame(item.name, TYPES[item.type], facts["name"], facts["help"])  # type: ignore[index]
    entry |= {"set-by-server": False, "optional": True, "default-value": item.default}
    for key in ("minimum", "maximum"):
        if facts[key] is not None:
            entry[key] = item.type(facts[key])  # type: ignore[operator]
    if facts["choices"]:
        # Cytomine reads the first spelling, BIOMERO the second.
        entry["values-choice"] = entry["value-choices"] = list(facts["choices"])
    return entry


def check(descriptor: dict[str, Any]) -> list[str]:
    """What a consumer would stumble over, one line each; empty when the descriptor is good."""
    inputs = descriptor.get("inputs")
    ids = [entry["id"] for entry in inputs] if listed(inputs) else []
    return [
        *_check_top(descriptor),
        # The server runs "<type> run <image>".
        *check_image(descriptor.get("container-image"), str(descriptor.get("name")), "singularity"),
        *_check_inputs(inputs),
        *check_command(descriptor.get("command-line"), ids),
    ]


def _check_top(descriptor: dict[str, Any]) -> Iterator[str]:
    yield from (f"top: {fault}" for fault in check_texts(descriptor, ("name", "description", "command-line")))
    if descriptor.get("schema-version") != SCHEMA:
        yield f"schema-version: must be {SCHEMA}"
    if re.search(r"\s", str(descriptor.get("name"))):
        yield "name: holds a blank"


def _check_inputs(inputs: Any) -> Iterator[str]:
    yield from (f"inputs: {fault}" for fault in check_ids(inputs))
    if not listed(inputs):
        return
    for name in sorted(SERVER_INPUTS.keys() - {entry["id"] for entry in inputs}):
        yield f"{name}: a BIAFLOWS server needs it"
    for entry in inputs:
        rules = _check_server_input if entry["id"] in SERVER_INPUTS else _check_parameter
        yield from (f"{entry['id']}: {fault}" for fault in (*_check_entry(entry), *rules(entry)))


def _check_entry(entry: dict[str, Any]) -> Iterator[str]:
    if entry.get("type") not in TYPES.values():
        yield f"type {entry.get('type')!r} is not one of Boolean, Number, String"
    yield from check_texts(entry, ("name", "description"))
    if entry.get("value-key") != "[@ID]":
        yield "value-key must be [@ID]: without brackets a key can be a part of another one"
    if entry.get("command-line-flag") != "--@id":
        yield "command-line-flag must be --@id"


def _check_server_input(entry: dict[str, Any]) -> Iterator[str]:
    if entry.get("set-by-server") is not True or entry.get("optional") is not False:
        yield "must be set by the server and not be optional"
    if "default-value" in entry:
        yield "must have no default"


def _check_parameter(entry: dict[str, Any]) -> Iterator[str]:
    yield from check_name(entry["id"])
    if entry.get("set-by-server") is not False or entry.get("optional") is not True:
        yield "must be optional and not set by the server"
    if entry["id"] == "use_gpu" and entry.get("type") != "Boolean":
        yield "must be a Boolean: it steers the GPU of the job"
    choices = entry.get("value-choices")
    if choices != entry.get("values-choice"):
        yield "value-choices and values-choice must say the same"
    types = [kind for kind, name in TYPES.items() if name == entry.get("type")]
    bounds = {key: entry.get(key) for key in ("minimum", "maximum")}
    yield from check_value(entry.get("default-value"), types, choices, **bounds)
