"""Boutiques 0.5, whose ``bosh`` checks an invocation and runs the image under Docker, Podman or Singularity."""

from dataclasses import Field
from typing import Any

from nucseg import __version__
from nucseg.descriptors.facts import AUTHORS, GROUND_TRUTH, IMAGES, LABELS, REPOSITORY, TAG, papers
from nucseg.errors import ENVIRONMENT, FAILED_IMAGE, USAGE
from nucseg.method import Method
from nucseg.params import parameters

PROGRAM = "/opt/nucseg/bin/nucseg-run"
EXIT_CODES = {
    FAILED_IMAGE: "Some image failed; the others are complete.",
    USAGE: "The command line is wrong, or there is no image.",
    ENVIRONMENT: "This machine cannot do it: no GPU where one was asked for, or too little memory.",
}


def make(method: Method) -> dict[str, Any]:
    """The descriptor of a method as the dictionary to be written as JSON."""
    params = parameters(method.params)
    doi = papers(method)[0].doi
    needed = method.resources
    inputs = [
        _frame(*IMAGES) | {"type": "File", "optional": False},
        # Text, because it need not exist before.
        _frame(*LABELS) | {"type": "String", "optional": False},
        _frame(*GROUND_TRUTH) | {"type": "File", "optional": True},
        *(_input(item) for item in params),
    ]
    return {
        "name": method.title,
        "description": method.description,
        "schema-version": "0.5",
        "tool-version": __version__,
        "author": AUTHORS,
        "url": REPOSITORY,
        "descriptor-url": f"{REPOSITORY}/blob/{TAG}/descriptors/boutiques/{method.name}.json",
        **({"tool-doi": doi} if doi else {}),
        "command-line": " ".join([PROGRAM, *(entry["value-key"] for entry in inputs)]),
        "container-image": {"type": "docker", "image": f"nucseg/{method.name}:{TAG}"},
        "inputs": inputs,
        "output-files": [
            {
                "id": "labels",
                "name": "Label images",
                "description": LABELS[2],
                "path-template": f"[{LABELS[0].upper()}]",
            }
        ],
        "suggested-resources": {
            "cpu-cores": needed.cores,
            "ram": needed.memory_gb,
            "walltime-estimate": 60 * needed.minutes,
        },
        "error-codes": [{"code": code, "description": text} for code, text in EXIT_CODES.items()],
        "tags": {"domain": ["bioimage analysis", "segmentation"]},
    }


def _frame(name: str, title: str, description: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": title,
        "description": description,
        "value-key": f"[{name.upper()}]",
        "command-line-flag": f"--{name}",
    }


def _input(item: Field[Any]) -> dict[str, Any]:
    facts = item.metadata
    entry = _frame(item.name, facts["name"], facts["help"])
    # One word, so that -1 is not taken for a flag.
    entry |= {"command-line-flag-separator": "=", "optional": True, "default-value": item.default}
    if item.type is bool:
        # A Boutiques Flag is there or not: it could not switch off what is on by default.
        return entry | {
            "type": "String",
            "value-choices": ["true", "false"],
            "default-value": str(item.default).lower(),
        }
    if item.type is str:
        return entry | {"type": "String"} | ({"value-choices": list(facts["choices"])} if facts["choices"] else {})
    bounds = {key: item.type(facts[key]) for key in ("minimum", "maximum") if facts[key] is not None}  # type: ignore[operator]
    return entry | {"type": "Number", "integer": item.type is int} | bounds
