"""``bosh validate`` and ``bosh exec simulate`` of descriptors.

On stdin a list of ``[descriptor, invocation]``; for each, ``{"fault": text}`` or ``{"command": line}``.
"""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from boutiques import bosh


def simulate(folder: Path, descriptor: Any, invocation: dict[str, Any]) -> dict[str, str]:
    """One descriptor and one invocation, as ``bosh`` takes them from files."""
    files = folder / "descriptor.json", folder / "invocation.json"
    for file, content in zip(files, (descriptor, invocation), strict=True):
        file.write_text(json.dumps(content), encoding="utf-8")
    try:
        bosh(["validate", str(files[0])])
        return {"command": bosh(["exec", "simulate", str(files[0]), "-i", str(files[1])]).shell_command}
    # bosh has many kinds of errors, and exits on some.
    except (Exception, SystemExit) as error:
        return {"fault": str(error) or type(error).__name__}


def main() -> None:
    """Entry point; what bosh prints is not ours."""
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        results = [simulate(Path(name), *pair) for pair in json.load(sys.stdin)]
    print(json.dumps(results))


main()
