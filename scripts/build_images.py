"""Build the base image and the method images with the local container engine.

    python scripts/build_images.py [--variant cpu|cuda|auto] [--keep] [--base-image NAME] [--server NAME] [METHOD ...]

A plain ``docker build`` does the same where the public registries can be reached. This program adds what a machine
behind a mirror or without a registry needs: the host's own pip settings and CA bundle as build secrets, a CPU build
of torch as an image of wheels, and a base image made with mmdebstrap where none can be pulled.
"""

import argparse
import configparser
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nucseg.errors import ENVIRONMENT, USAGE, NucsegError

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_BASE = "python:3.11-slim-bookworm"
ROOTFS = "nucseg/rootfs:bookworm"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# What of the host's pip settings makes sense inside a build; paths of the host do not.
PIP_KEYS = ("index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "default-timeout", "timeout")


def find_builder() -> str:
    """The first ``docker`` on PATH that can build with BuildKit.

    A client before 23 has it built in, a later one needs the buildx component; a machine may have both.
    """
    seen = []
    for folder in os.get_exec_path():
        program = str(Path(folder) / "docker")
        if not os.access(program, os.X_OK):
            continue
        command = [program, "version", "--format", "{{.Client.Version}}"]
        version = subprocess.run(command, capture_output=True, text=True)
        if version.returncode:
            raise NucsegError(
                f"no container engine answers ({version.stderr.strip()})", "sudo scripts/start_engine.sh", ENVIRONMENT
            )
        seen.append(version.stdout.strip())
        if int(seen[-1].split(".")[0]) < 23 or succeeds(program, "buildx", "version"):
            return program
    if seen:
        cause = f"docker {seen[0]} cannot build: its buildx component is missing"
        raise NucsegError(cause, "apt-get install docker-buildx, or the package docker-buildx-plugin", ENVIRONMENT)
    raise NucsegError("there is no docker on PATH", "apt-get install docker.io", ENVIRONMENT)


def succeeds(*command: str) -> bool:
    """Whether a command ends with exit code 0; its output is dropped."""
    return subprocess.run(command, capture_output=True).returncode == 0


def base_image(docker: str) -> str:
    """The default base image, or the one made here where it cannot be pulled."""
    if succeeds(docker, "image", "inspect", DEFAULT_BASE) or succeeds(docker, "pull", "--quiet", DEFAULT_BASE):
        return DEFAULT_BASE
    print(f"{DEFAULT_BASE} cannot be pulled here: using {ROOTFS}, made from Debian packages", flush=True)
    if not succeeds(docker, "image", "inspect", ROOTFS):
        subprocess.run([ROOT / "scripts" / "base_rootfs.sh", ROOTFS], check=True)
    return ROOTFS


def pip_settings() -> dict[str, str]:
    """The host's pip settings, files and environment together, without the section names."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    rows = re.findall(r"^(global|install|:env:)\.([\w-]+)='(.*)'$", listing.stdout, re.M)
    # Later ones win: the environment over pip's section for the command over the general one.
    rows.sort(key=lambda row: ("global", "install", ":env:").index(row[0]))
    return {key: value for _, key, value in rows}


def write_secrets(folder: Path) -> list[str]:
    """Write the build's pip.conf and name the CA bundle: the ``--secret`` arguments, none where pip has no settings."""
    settings = pip_settings()
    config = configparser.ConfigParser(interpolation=None)
    config["global"] = {}
    for key in PIP_KEYS:
        words = [
            w for w in settings.get(key, "").replace("\\n", " ").split() if not w.startswith(("/", "~", ".", "file:"))
        ]
        if words:
            config["global"][key] = " ".join(words)
    arguments = []
    bundle = settings.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if bundle and Path(bundle).is_file():
        config["global"]["cert"] = "/run/secrets/ca.crt"
        arguments += ["--secret", f"id=ca,src={bundle}"]
    if config["global"]:
        path = folder / "pip.conf"
        with path.open("w", encoding="utf-8") as file:
            config.write(file)
        arguments += ["--secret", f"id=pip_conf,src={path}"]
    return arguments


def torch_pin(variant: str) -> str:
    """The line ``torch==X`` of the variant's lock."""
    lock = ROOT / "images" / "base" / f"torch-{variant}.lock"
    return next(line for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))


def pip_report(pin: str, folder: Path) -> dict[str, Any]:
    """What pip would install for a pin, with the host's own settings; `folder` is for its report."""
    report = folder / "report.json"
    ask = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:", "--report", str(report)]
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *ask, pin], check=True)
    item: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))["install"][0]
    return item


def wheels_image(docker: str) -> str:
    """An image that holds the CPU wheel of torch, which pip finds with the host's own settings."""
    pin = torch_pin("cpu")
    tag = f"nucseg/wheels:torch-cpu-{pin.removeprefix('torch==')}"
    if succeeds(docker, "image", "inspect", tag):
        return tag
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip = [sys.executable, "-m", "pip", "--quiet"]
        item = pip_report(pin, folder)
        if any(name.startswith(("nvidia", "cuda", "triton")) for name in item["metadata"].get("requires_dist", [])):
            raise NucsegError(
                f"the {pin} that pip finds here is a CUDA build ({item['metadata']['version']}), not one for the CPU",
                "point pip at an index or a folder of CPU wheels (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS)",
                ENVIRONMENT,
            )
        wheels = folder / "wheels"
        subprocess.run([*pip, "download", "--no-deps", "--only-binary=:all:", "--dest", str(wheels), pin], check=True)
        tar = subprocess.Popen(["tar", "-C", str(wheels), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run([docker, "import", "-", tag], stdin=tar.stdout, stdout=subprocess.DEVNULL, check=True)
        if tar.wait():
            raise NucsegError("the wheels could not be packed", "look at the messages of tar above", ENVIRONMENT)
    return tag


def variant_here(docker: str) -> str:
    """The CPU variant where pip finds a CPU build of torch; else the CUDA variant, which runs on CPUs too."""
    try:
        wheels_image(docker)
    except (NucsegError, subprocess.CalledProcessError) as error:
        print(f"note: no CPU build of torch, but the larger CUDA variant runs on the CPU too ({error})", flush=True)
        return "cuda"
    return "cpu"


def kept_variant(docker: str, images: Sequence[str]) -> str | None:
    """The variant of those of `images` that are here, CUDA where they differ; None where none is."""
    command = [docker, "image", "inspect", "--format", '{{index .Config.Labels "org.nucseg.variant"}}', *images]
    found = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return next((variant for variant in ("cuda", "cpu") if variant in found), None)


def version() -> str:
    """The project's version, which the library states."""
    text = (ROOT / "common" / "nucseg" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.M)
    assert found, "common/nucseg/__init__.py states no __version__"
    return found[1]


def revision() -> str:
    """The git commit, with ``-dirty`` behind it when the tree differs; ``unknown`` outside a checkout."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    done = subprocess.run(git, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def build_environment() -> dict[str, str]:
    """The environment of ``docker build``: older clients build with BuildKit only when told to."""
    return {**os.environ, "DOCKER_BUILDKIT": "1"}


def build(docker: str, dockerfile: Path, tags: Sequence[str], arguments: dict[str, str], extra: Sequence[str]) -> None:
    """Run one ``docker build`` and say what came of it."""
    command = [docker, "build", "--file", str(dockerfile), *extra]
    for key, value in arguments.items():
        command += ["--build-arg", f"{key}={value}"]
    for proxy in PROXIES:
        if proxy in os.environ:
            command += ["--build-arg", proxy]
    for tag in tags:
        command += ["--tag", tag]
    start = time.monotonic()
    done = subprocess.run([*command, str(ROOT)], env=build_environment())
    if done.returncode:
        raise NucsegError(f"{tags[0]} could not be built", "look at the messages of the build above", ENVIRONMENT)
    size = subprocess.run(
        [docker, "image", "inspect", "--format", "{{.Size}}", tags[0]], capture_output=True, text=True
    )
    print(f"{tags[0]}: {int(size.stdout) / 1e9:.2f} GB, {time.monotonic() - start:.0f} s", flush=True)


def build_all(methods: Sequence[str], variant: str, base: str | None, server: str, *, keep: bool) -> None:
    """Build the base image and the images of `methods`, with the client of a kind of server where one is named.

    With `keep`, the variant of the images that are here counts before `variant`.
    """
    docker = find_builder()
    release = f"v{version()}"
    if keep:
        variant = kept_variant(docker, [f"nucseg/{method}:{release}" for method in methods]) or variant
    if variant == "auto":
        variant = variant_here(docker)
    print(f"Building the {variant} variant (--variant chooses another).", flush=True)
    common = {"VERSION": version(), "REVISION": revision()}
    library = f"nucseg/base:{release}-{variant}"
    with tempfile.TemporaryDirectory() as folder:
        secrets = write_secrets(Path(folder))
        arguments = {"BASE_IMAGE": base or base_image(docker), "VARIANT": variant, "SERVER": server, **common}
        if variant == "cpu":
            arguments["WHEELS_IMAGE"] = wheels_image(docker)
        build(docker, ROOT / "images" / "base" / "Dockerfile", [library, "nucseg/base:latest"], arguments, secrets)
        for method in methods:
            descriptor = ROOT / "descriptors" / f"{method}.json"
            if not descriptor.is_file():
                raise NucsegError(f"descriptors/{method}.json is missing", "make descriptors", ENVIRONMENT)
            text = json.dumps(
                json.loads(descriptor.read_text(encoding="utf-8")), ensure_ascii=False, separators=(",", ":")
            )
            tags = [f"nucseg/{method}:{release}", f"nucseg/{method}:latest"]
            arguments = {"BASE": library, "DESCRIPTOR": text, **common}
            build(docker, ROOT / "images" / method / "Dockerfile", tags, arguments, secrets)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    known = sorted(path.parent.name for path in (ROOT / "images").glob("*/method.py"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=f"default: all of {', '.join(known) or 'them'}")
    parser.add_argument(
        "--variant",
        choices=("cpu", "cuda", "auto"),
        default="cuda",
        help="which build of torch (default: cuda); auto takes cpu where pip finds such a build, else cuda",
    )
    parser.add_argument("--keep", action="store_true", help="build the variant of the images that are here, if any are")
    parser.add_argument("--base-image", help=f"default: {DEFAULT_BASE}, or one made here where it cannot be pulled")
    parser.add_argument(
        "--server", choices=("cytomine",), default="", help="add the client that jobs of such a server need"
    )
    options = parser.parse_args(argv)
    # A stop unwinds, so that nothing temporary stays behind, the settings of pip above all.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        for method in options.methods:
            if method not in known:
                raise NucsegError(f"there is no method '{method}'", f"one of {', '.join(known)}", USAGE)
        build_all(options.methods or known, options.variant, options.base_image, options.server, keep=options.keep)
    except NucsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        print(f"error: {error.cmd[0]} failed. Try: look at its messages above", file=sys.stderr)
        return ENVIRONMENT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
