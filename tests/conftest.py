"""What tests need besides Python: ``@pytest.mark.needs("docker")``.

Where a machine lacks it, the tests are left out with the reason; where a run requires everything (CI,
NUCSEG_REQUIRE_ENGINE), they fail instead.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _answers(*command: str) -> bool:
    return bool(shutil.which(command[0])) and subprocess.run(command, capture_output=True).returncode == 0


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "docker": (lambda: _answers("docker", "version"), "no Docker engine answers"),
    "podman": (lambda: _answers("podman", "version"), "podman is not installed"),
    "apptainer": (lambda: _answers("apptainer", "version"), "apptainer is not installed"),
    "slurm": (lambda: _answers("sinfo"), "no Slurm controller answers"),
    "browser": (lambda: bool(shutil.which("chromium") and shutil.which("chromedriver")), "chromium is not installed"),
    "clients": (lambda: (ROOT / ".venv-clients" / ".nucseg-ready").exists(), "`make clients` was not run"),
}
"""By name: whether it is there, and what to say when it isn't."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Where pytest runs in several processes (-n), one gets all that share the engines, the others a file each."""
    from xdist.scheduler import LoadScopeScheduling

    class OneForTheEngines(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "engines" if file.startswith(("tests/containers/", "tests/interoperability/")) else file

    return OneForTheEngines(config, log)


@cache
def _is_here(name: str) -> bool:
    return NEEDS[name][0]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            if _is_here(name):
                continue
            reason = NEEDS[name][1]
            if os.environ.get("CI") or os.environ.get("NUCSEG_REQUIRE_ENGINE"):
                pytest.fail(f"{reason}, and this run requires it", pytrace=False)
            pytest.skip(reason)
