"""Bilayers ``config.yaml``: web and notebook interfaces made from a list of widgets.

An interface's image is built from ours and brings a command of its own, which our entrypoint would swallow; so it
names the tag ``-bilayers``, which has none (images/bilayers/Dockerfile).
"""

from collections.abc import Iterator
from dataclasses import Field
from typing import Any

from nucseg.descriptors.facts import IMAGES, LABELS, TAG, audience, citations
from nucseg.descriptors.rules import check_ids, check_name, check_texts, check_value
from nucseg.method import Method
from nucseg.params import parameters

WIDGETS = {"checkbox": bool, "integer": int, "float": float, "textbox": str, "radio": str}
WIDGET_KEYS = ("label", "description", "cli_tag", "section_id", "mode")
PORT_KEYS = (*WIDGET_KEYS, "default", "folder_name", "file_count")
IMAGE_KEYS = ("subtype", "depth", "timepoints", "tiled", "pyramidal")


def make(method: Method) -> dict[str, Any]:
    """The descriptor of a method as the dictionary to be written as YAML."""
    return {
        "citations": citations(method),
        "docker_image": {
            "org": "nucseg",
            "name": method.name,
            "tag": f"{TAG}-bilayers",
            "platform": "linux/amd64",
        },
        "algorithm_folder_name": method.name,
        "exec_function": {"name": "generate_cli_command", "cli_command": "nucseg-run", "hidden_args": []},
        "inputs": [_port(*IMAGES, "input", "grayscale") | {"cli_tag": f"--{IMAGES[0]}="}],
        # The folder of results is told by a widget: an output's own flag is not put into the command line.
        "outputs": [_port("labels", *LABELS[1:], "output", "label") | {"cli_tag": "None"}],
        "parameters": [_folder_widget(), *(_widget(item) for item in parameters(method.params))],
        "display_only": [],
    }


def _port(name: str, title: str, description: str, side: str, subtype: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "image",
        "label": title,
        "description": description,
        "default": "directory",
        "optional": False,
        "format": ["tif", "tiff", "ometiff"],
        "folder_name": f"/bilayers/{side}_images",
        "file_count": "multiple",
        "unique_string": ["*"],
        "section_id": f"{side}s",
        "mode": "beginner",
        "subtype": [subtype],
        "depth": True,
        "timepoints": side == "input",
        "tiled": side == "input",
        "pyramidal": False,
    }


def _folder_widget() -> dict[str, Any]:
    name, title, description = LABELS
    return {
        "name": name,
        "type": "textbox",
        "label": title,
        "description": description,
        "default": "/bilayers/output_images",
        "cli_tag": f"--{name}=",
        "optional": False,
        "output_dir_set": True,
        "section_id": "outputs",
        "mode": "beginner",
    }


def _widget(item: Field[Any]) -> dict[str, Any]:
    facts = item.metadata
    entry = {
        "name": item.name,
        "type": next(widget for widget, kind in WIDGETS.items() if kind is item.type),
        "label": facts["name"],
        "description": facts["help"],
        "default": item.default,
        # With its sign of equality the value is the same word, so that -1 is not taken for a flag.
        "cli_tag": f"--{item.name}=",
        "optional": True,
        "section_id": "parameters",
        "mode": audience(item),
    }
    if item.type is bool:
        entry["append_value"] = True
    if facts["choices"]:
        options = [{"label": choice, "value": choice} for choice in facts["choices"]]
        entry |= {"type": "radio", "options": options}
    return entry


def check(descriptor: dict[str, Any]) -> list[str]:
    """What is against the schema, or would be taken without a word and go wrong; empty when the descriptor is good."""
    faults = [*_check_top(descriptor)]
    for part in ("inputs", "outputs", "parameters"):
        faults += [f"{part}: {fault}" for fault in check_ids(descriptor.get(part), "name")]
    if faults:
        return faults
    for entry in descriptor["inputs"] + descriptor["outputs"]:
        faults += [f"{entry['name']}: {fault}" for fault in _check_port(entry)]
    for entry in descriptor["parameters"]:
        faults += [f"{entry['name']}: {fault}" for fault in _check_widget(entry)]
    if sum(entry.get("output_dir_set") is True for entry in descriptor["parameters"]) != 1:
        faults.append("parameters: one must name the folder of results (output_dir_set)")
    return faults


def _check_top(descriptor: dict[str, Any]) -> Iterator[str]:
    # BIOMERO takes name and description of the workflow from the first one.
    for entry in descriptor.get("citations") or [{}]:
        yield from (f"citations: {fault}" for fault in check_texts(entry, ("name", "license", "description")))
    image = descriptor.get("docker_image") or {}
    yield from (f"docker_image: {fault}" for fault in check_texts(image, ("org", "name", "tag", "platform")))
    if not str(image.get("tag")).endswith("-bilayers"):
        yield "docker_image: the tag must end with -bilayers, the image without an entrypoint"
    function = descriptor.get("exec_function") or {}
    if function.get("name") != "generate_cli_command" or function.get("cli_command") != "nucseg-run":
        yield "exec_function: must generate_cli_command for nucseg-run"
    yield from (f"top: {fault}" for fault in check_texts(descriptor, ("algorithm_folder_name",)))


def _check_port(entry: dict[str, Any]) -> Iterator[str]:
    yield from check_texts(entry, PORT_KEYS)
    if entry.get("type") != "image" or any(key not in entry for key in IMAGE_KEYS):
        yield f"must be an image with {', '.join(IMAGE_KEYS)}"
    if not entry.get("unique_string") or not entry.get("format"):
        yield "needs a format and a unique_string"
    if entry.get("optional") is not False:
        yield "must not be optional: BIOMERO fills in only what must be there"


def _check_widget(entry: dict[str, Any]) -> Iterator[str]:
    yield from check_texts(entry, WIDGET_KEYS)
    if entry.get("mode") not in ("beginner", "advanced"):
        yield "mode must be beginner or advanced"
    if entry.get("cli_tag") != f"--{entry['name']}=":
        yield "cli_tag must be the name between -- and ="
    if entry.get("output_dir_set"):
        return
    yield from check_name(entry["name"])
    if entry.get("optional") is not True:
        yield "must be optional"
    if (entry.get("type") == "checkbox") != (entry.get("append_value") is True):
        yield "append_value belongs to every checkbox, or it could not be switched off"
    options = entry.get("options")
    if (entry.get("type") == "radio") != bool(options):
        yield "options belong to every radio"
    types = [kind for widget, kind in WIDGETS.items() if widget == entry.get("type")]
    choices = [option.get("value") for option in options] if options else None
    yield from check_value(entry.get("default"), types, choices)
