"""The programs of those who read what nucseg writes, called by scripts that their own environment's Python runs."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# They import what only that environment has.
collect_ignore = ["clients"]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """``client(name, *words, given=None)``: what clients/<name>.py prints; both ways as JSON."""
    # Our own packages must not be found in place of theirs.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # BIOMERO keeps what it has fetched in the folder for temporary files.
    environment["TMPDIR"] = str(tmp_path_factory.mktemp("clients"))

    def run(name: str, *words: object, given: Any = None) -> Any:
        script = Path(__file__).parent / "clients" / f"{name}.py"
        command = [str(PYTHON), str(script), *map(str, words)]
        done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
