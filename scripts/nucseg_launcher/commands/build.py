"""``nucseg build``: make container images on this machine."""

import argparse
import subprocess
import sys
from typing import Any

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg_launcher.catalogue import get_method, require_root


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "build",
        help="make the container image of a method on this machine",
        description="Build the container images of one or more methods from the nucseg repository. "
        "The first build downloads much (torch) and takes some minutes.",
    )
    parser.add_argument("methods", metavar="METHOD", nargs="+", help="methods, as `nucseg list` shows them")
    parser.add_argument(
        "--variant",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="cuda can use NVIDIA GPUs and is several GB larger; auto (default) takes it where the engine has a GPU, "
        "or pip finds no CPU build of torch",
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Hand over to the repository's own program, whose output is shown as it comes."""
    from nucseg_launcher.engines import docker_client

    methods = [get_method(name).name for name in args.methods]
    root = require_root("Building an image")
    program = root / "scripts" / "build_images.py"
    if not program.is_file():
        raise NucsegError(f"{program} is missing", "set NUCSEG_ROOT to a complete nucseg repository", ENVIRONMENT)
    variant = args.variant
    if variant == "auto":
        client = docker_client.required()
        variant = "cuda" if docker_client.can_give_gpu(client, docker_client.info_of(client)) else "auto"
    process = subprocess.Popen([sys.executable, str(program), "--variant", variant, *methods])
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
