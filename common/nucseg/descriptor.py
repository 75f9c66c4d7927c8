"""The BIAFLOWS descriptor (schema ``cytomine-0.1``) of a method, made from its Params, and its check.

What the consumers really do with each field was read and tried in their own source: BIAFLOWS and
Cytomine put flags and values into `command-line` in place of the value keys; OMERO's BIOMERO ignores
it, takes the ids, and reads a number without a decimal point as an integer.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import Field
from typing import Any

from nucseg.cli import RESERVED
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

# Beyond our own flags: keyword arguments of BIOMERO's client, and variables of the job, because
# BIOMERO sets a shell variable named like the parameter in capitals, in the container too.
_TAKEN = """
    self workflow workflow_name workflow_version input_data email time wf_id
    data_path image_path image_version singularity_image script_path gpu_flag do_convert output_dir
    path home user shell pwd oldpwd tmpdir tmp temp lang lc_all ifs term display hostname logname uid euid seconds
    random lineno pythonpath pythonhome cuda_visible_devices omp_num_threads modulepath ps1 ps4 env
    optind optarg reply groups ppid publickey privatekey basepath idsoftware idproject
"""
TAKEN = frozenset(_TAKEN.split())
TAKEN_PREFIXES = ("cytomine", "slurm_", "sbatch_", "apptainer", "singularity", "ld_", "bash_", "nvidia_", "nucseg_")


def make_descriptor(method: Method) -> dict[str, Any]:
    """The descriptor of a method as the dictionary to be written as JSON."""
    inputs = [_server_input(name) for name in SERVER_INPUTS] + [_input(item) for item in parameters(method.params)]
    return {
        "name": method.name,
        "description": method.description,
        "schema-version": SCHEMA,
        "container-image": {"image": f"nucseg/{method.name}", "type": "singularity"},
        "command-line": "python wrapper.py " + " ".join(f"[{item['id'].upper()}]" for item in inputs),
        "inputs": inputs,
    }


def descriptor_text(method: Method) -> str:
    """`make_descriptor` as JSON; floats keep their decimal point."""
    return json.dumps(make_descriptor(method), indent=2, ensure_ascii=False) + "\n"


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


def check_descriptor(descriptor: dict[str, Any]) -> list[str]:
    """What a consumer would stumble over, one line each; empty when the descriptor is good."""
    return [*_check_top(descriptor), *_check_image(descriptor), *_check_inputs(descriptor), *_check_command(descriptor)]


def _check_top(descriptor: dict[str, Any]) -> Iterator[str]:
    for key in ("name", "description", "command-line"):
        if not _filled(descriptor.get(key)):
            yield f"{key}: missing or empty"
    if descriptor.get("schema-version") != SCHEMA:
        yield f"schema-version: must be {SCHEMA}"
    if re.search(r"\s", str(descriptor.get("name"))):
        yield "name: holds a blank"


def _check_image(descriptor: dict[str, Any]) -> Iterator[str]:
    container = descriptor.get("container-image")
    if not isinstance(container, dict):
        yield "container-image: missing"
        return
    if container.get("type") != "singularity":
        yield "container-image.type: the server runs '<type> run <image>', so it must be singularity"
    image = str(container.get("image"))
    part = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
    if not re.fullmatch(f"{part}/{part}", image):
        yield "container-image.image: must be namespace/name in lower case, without host, tag or digest"
    elif re.search(r"[-_](v|latest)", image.split("/")[1]):
        yield "container-image.image: BIOMERO would read a version out of a name with -v, _v, -latest or _latest"
    elif not image.endswith(str(descriptor.get("name")).lower()):
        yield "container-image.image: must end with the name"


def _check_inputs(descriptor: dict[str, Any]) -> Iterator[str]:
    inputs = descriptor.get("inputs")
    if not (isinstance(inputs, list) and all(isinstance(e, dict) and _filled(e.get("id")) for e in inputs)):
        yield "inputs: must be a list of objects with an id"
        return
    for name, count in Counter(entry["id"].lower() for entry in inputs).items():
        if count > 1:
            yield f"{name}: occurs {count} times"
    for name in sorted(SERVER_INPUTS.keys() - {entry["id"] for entry in inputs}):
        yield f"{name}: a BIAFLOWS server needs it"
    for entry in inputs:
        check = _check_server_input if entry["id"] in SERVER_INPUTS else _check_parameter
        yield from (f"{entry['id']}: {text}" for text in (*_check_entry(entry), *check(entry)))


def _check_entry(entry: dict[str, Any]) -> Iterator[str]:
    if entry.get("type") not in TYPES.values():
        yield f"type {entry.get('type')!r} is not one of Boolean, Number, String"
    for key in ("name", "description"):
        if not _filled(entry.get(key)):
            yield f"{key} is missing or empty"
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
    name = entry["id"]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        yield "an id is made of small letters, digits and underscores"
    if name in TAKEN or name.startswith(TAKEN_PREFIXES):
        yield "the name is taken by the shell, BIOMERO or Cytomine"
    # argparse, in the BIAFLOWS wrapper library, takes every beginning of a flag for the flag.
    clash = sorted(flag for flag in RESERVED if flag == name or flag.startswith(name))
    if clash:
        yield f"means the flag --{clash[0]}"
    if entry.get("set-by-server") is not False or entry.get("optional") is not True:
        yield "must be optional and not set by the server"
    if name == "use_gpu" and entry.get("type") != "Boolean":
        yield "must be a Boolean: it steers the GPU of the job"
    yield from _check_default(entry)


def _check_default(entry: dict[str, Any]) -> Iterator[str]:
    kind, value = entry.get("type"), entry.get("default-value")
    fits = {"Boolean": (bool,), "Number": (int, float), "String": (str,)}.get(str(kind), (object,))
    if not isinstance(value, fits) or (kind == "Number" and isinstance(value, bool)):
        yield f"the default {value!r} is no {kind}"
        return
    choices = entry.get("value-choices")
    if choices != entry.get("values-choice"):
        yield "value-choices and values-choice must say the same"
    if choices is not None and (kind != "String" or value not in choices):
        yield "choices belong to a String, and the default is one of them"
    for text in (value, *(choices or ())):
        if isinstance(text, str) and re.search(r"[\s$`\"'\\]", text):
            yield f"{text!r} holds a blank or a character of the shell"
    bounds: list[tuple[str, Any]] = [(key, entry[key]) for key in ("minimum", "maximum") if key in entry]
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from _check_number(value, bounds)
    elif bounds:
        yield "only a Number has bounds"


def _check_number(value: int | float, bounds: list[tuple[str, Any]]) -> Iterator[str]:
    if not math.isfinite(value):
        yield "the default is not finite"
    for key, bound in bounds:
        if type(bound) is not type(value):
            yield f"{key} and default must both be whole or both have a decimal point"
        elif value < bound if key == "minimum" else value > bound:
            yield f"the default is beyond the {key}"


def _check_command(descriptor: dict[str, Any]) -> Iterator[str]:
    words = str(descriptor.get("command-line")).split(" ")
    if words[:2] != ["python", "wrapper.py"]:
        yield "command-line: must begin with python wrapper.py"
    inputs = descriptor.get("inputs")
    ids = [entry.get("id") for entry in inputs if isinstance(entry, dict)] if isinstance(inputs, list) else []
    wanted = [f"[{str(name).upper()}]" for name in ids]
    for key in wanted:
        if key not in words:
            yield f"command-line: lacks {key}"
    for word in words[2:]:
        if word not in wanted:
            yield f"command-line: {word!r} belongs to no input"


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
