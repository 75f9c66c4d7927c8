"""``nucseg pull``: download container images."""

import argparse
import sys
import time
from collections.abc import Iterable
from typing import Any

from nucseg.errors import NucsegError
from nucseg_launcher.catalogue import get_method

_INTERVAL = 2.0


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "pull",
        help="download the container image of a method",
        description="Download the container images of one or more methods, in the version that fits this launcher.",
    )
    parser.add_argument("methods", metavar="METHOD", nargs="+", help="methods, as `nucseg list` shows them")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Download one image after the other."""
    from nucseg_launcher.engines import docker_client

    methods = [get_method(name) for name in args.methods]
    client = docker_client.required()
    for method in methods:
        repository, _, tag = method.image.rpartition(":")
        print(f"downloading {method.image}", flush=True)
        try:
            with docker_client.explained():
                _show(client.api.pull(repository, tag=tag, stream=True, decode=True))
        except NucsegError as error:
            hint = error.hint.replace("`nucseg build`", f"`nucseg build {method.name}`")
            raise NucsegError(f"{method.image} was not downloaded: {error.cause}", hint, error.exit_code) from error
        print(f"100% {method.image} is here")
    return 0


def _show(events: Iterable[dict[str, Any]]) -> None:
    """One line, redrawn on a terminal and every other second elsewhere, with the bytes of all layers together."""
    from docker.errors import DockerException

    layers: dict[str, tuple[int, int]] = {}
    shown = 0.0
    on_terminal = sys.stdout.isatty()
    for event in events:
        if "error" in event:
            raise DockerException(event["error"])
        detail = event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and detail.get("total"):
            layers[event["id"]] = (detail["current"], detail["total"])
        elif event.get("status") == "Download complete" and event.get("id") in layers:
            layers[event["id"]] = (layers[event["id"]][1],) * 2
        if layers and time.monotonic() - shown >= (0.2 if on_terminal else _INTERVAL):
            shown = time.monotonic()
            here, total = (sum(column) for column in zip(*layers.values(), strict=True))
            line = f"{100 * here // total:3d}% {here / 1e6:.0f} of {total / 1e6:.0f} MB"
            print(f"\r{line}" if on_terminal else line, end="" if on_terminal else "\n", flush=True)
    if on_terminal and layers:
        print()
