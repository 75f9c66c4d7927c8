"""Words and checks that several files of tests use."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

HERE = ("--engine", "process", "--device", "cpu")
"""Without looking for a GPU, which imports torch, a run takes a third of the time."""

REPOSITORY = Path(__file__).resolve().parents[3]
METHODS = REPOSITORY / "tests" / "methods" / "images"


def check(path: Path, schema: str) -> dict:
    """The content of a JSON file, found to be of a schema."""
    content = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator(json.loads((REPOSITORY / "descriptors" / schema).read_text(encoding="utf-8"))).validate(
        content
    )
    return content
