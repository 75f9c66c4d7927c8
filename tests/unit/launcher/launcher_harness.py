"""The launcher as a user starts it: a process of its own; with words and checks that several files of tests use."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from jsonschema import Draft202012Validator

HERE = ("--engine", "process", "--device", "cpu")
"""Without looking for a GPU, which imports torch, a run takes a third of the time."""

REPOSITORY = Path(__file__).resolve().parents[3]
METHODS = REPOSITORY / "tests" / "methods" / "images"
SOURCES = os.pathsep.join(str(REPOSITORY / folder) for folder in ("common", "scripts", "."))


@dataclass(frozen=True)
class Launcher:
    """Starts `nucseg` for the methods of a root, and waits for it."""

    MOST_SECONDS: ClassVar[int] = 1200

    root: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": SOURCES, "NUCSEG_ROOT": str(self.root), **self.variables}

    def start(self, *words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "nucseg_launcher", *map(str, words)]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=self.environment(),
            # Under nohup and in the background, pytest ignores them, and so would its children.
            preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGINT)],
        )

    def __call__(self, *words: object) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=self.MOST_SECONDS)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """The lines of a process up to the one with a text in it."""
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return seen
    raise AssertionError(f"{text!r} never came: {''.join(seen)}{process.stderr.read() if process.stderr else ''}")


def check(path: Path, schema: str) -> dict:
    """The content of a JSON file, found to be of a schema."""
    content = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator(json.loads((REPOSITORY / "descriptors" / schema).read_text(encoding="utf-8"))).validate(
        content
    )
    return content
