"""bioimage.io: a resource description of the type ``application``."""

from typing import Any

from nucseg import __version__
from nucseg.descriptors.facts import AUTHORS, LICENSE, REPOSITORY, TAG, papers
from nucseg.method import Method
from nucseg.params import parameters


def make(method: Method) -> dict[str, Any]:
    """The description of a method as the dictionary to be written as YAML."""
    card = f"{REPOSITORY}/raw/{TAG}/images/{method.name}/README.md"
    return {
        "type": "application",
        "format_version": "0.3.0",
        "name": f"{method.title} (nucseg)",
        "description": method.description,
        "version": __version__,
        "authors": [{"name": AUTHORS}],
        "cite": [{"text": text, "doi": doi} for text, doi in papers(method) if doi],
        "license": LICENSE,
        "git_repo": REPOSITORY,
        "documentation": card,
        "tags": ["3d", "nuclei", "instance-segmentation", "fluorescence", "docker", method.name],
        "config": {
            "nucseg": {
                "image": f"nucseg/{method.name}:{TAG}",
                "parameters": {
                    item.name: {"default": item.default, "description": item.metadata["help"]}
                    for item in parameters(method.params)
                },
            }
        },
    }
