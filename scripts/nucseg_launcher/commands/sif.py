"""``nucseg sif``: make the SIF files that Apptainer runs."""

import argparse
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nucseg import __version__
from nucseg.errors import CONTAINER_FAILED, ENVIRONMENT, USAGE, NucsegError
from nucseg.progress import say
from nucseg_launcher.catalogue import MethodEntry, get_method
from nucseg_launcher.engines.base import Sample

DESCRIPTION = """\
Convert container images to SIF files, which Apptainer runs without root and without a daemon: the way
of clusters. A file is called METHOD_vVERSION.sif, and is tried before it gets its name."""

EXAMPLES = """\
examples:
  nucseg sif stardist3d                                       from the image in the engine of this machine
  nucseg sif stardist3d --out /shared/sif                     then: export NUCSEG_SIF_DIR=/shared/sif
  docker save nucseg/stardist3d:v{version} -o stardist3d.tar   where docker is, and where apptainer is:
  nucseg sif stardist3d --from stardist3d.tar

`nucseg run --engine apptainer` takes the files from $NUCSEG_SIF_DIR, by default ~/.local/share/nucseg/sif."""

# gzip, Apptainer's default, takes twice as long, is no smaller, and starts more slowly.
COMPRESSION = ("--mksquashfs-args", "-comp zstd -Xcompression-level 3")

SAVE_SECONDS = 3600
"""An engine may copy a whole image, of 8 GB with CUDA, before it sends the first byte."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "sif",
        help="make the Apptainer file of a method",
        description=DESCRIPTION,
        epilog=EXAMPLES.format(version=__version__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("methods", metavar="METHOD", nargs="+", help="methods, as `nucseg list` shows them")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder for the files (default: where `nucseg run` looks for them)"
    )
    parser.add_argument(
        "--from",
        metavar="ARCHIVE",
        type=Path,
        dest="archive",
        help="take the image from a file that `docker save` or `podman save` wrote, instead of the engine",
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Convert one image after the other."""
    from nucseg.folders import prepare_output
    from nucseg_launcher.engines.sif import FOLDER_VARIABLE, find_program, sif_folder

    methods = [get_method(name) for name in args.methods]
    if args.archive and len(methods) > 1:
        raise NucsegError("--from names the archive of one image", "give one METHOD with each archive", USAGE)
    archive = args.archive.expanduser() if args.archive else None
    if archive and not archive.is_file():
        raise NucsegError(f"there is no file {archive}", "make it with `docker save IMAGE -o FILE`", USAGE)
    program = find_program()
    folder = args.out.expanduser().absolute() if args.out else sif_folder()
    prepare_output(folder)
    for method in methods:
        with _source(method, archive, folder) as source:
            _convert(program, method, source, folder)
    if folder != sif_folder():
        say(f"`nucseg run` looks there after: export {FOLDER_VARIABLE}={shlex.quote(str(folder))}")
    return 0


@contextmanager
def _source(method: MethodEntry, archive: Path | None, folder: Path) -> Iterator[str]:
    """Where Apptainer finds the image: the archive that was named, or one that is made for the moment.

    Apptainer can ask Docker itself, but not every Docker: not one of another machine, and not one
    that its client is too old for. What the engine saves, it reads always.
    """
    if archive:
        yield f"docker-archive:{archive}"
        return
    from nucseg.atomic import part_path
    from nucseg_launcher.engines import docker_client

    path = part_path(folder / f"{method.name}.tar")
    try:
        image = docker_client.find_image(docker_client.required(SAVE_SECONDS), method.image)
        if image is None:
            remedy = (
                f"nucseg build {method.name} makes it here; or --from an archive that `docker save` wrote elsewhere"
            )
            raise NucsegError(f"the image {method.image} is not on this machine", remedy, ENVIRONMENT)
        say(f"saving {method.image}")
        with docker_client.explained(), path.open("wb") as file:
            for piece in image.save(named=True):
                file.write(piece)
        yield f"docker-archive:{path}"
    finally:
        path.unlink(missing_ok=True)


def _convert(program: str, method: MethodEntry, source: str, folder: Path) -> None:
    from nucseg.atomic import atomic_path
    from nucseg_launcher.causes import explain_engine_error
    from nucseg_launcher.engines.child import run_child
    from nucseg_launcher.engines.sif import sif_name

    target = folder / sif_name(method.image)
    say(f"converting {method.image} to {target} (a minute or more)")
    with atomic_path(target) as part:
        words = [program, "build", "--force", "--disable-cache", *COMPRESSION, str(part), source]
        ended = run_child(words, _Shown())
        if ended.exit_code:
            raise explain_engine_error(ended.errors, "apptainer")
        _try(program, method, part)
    say(f"100% {target} is here and works, {target.stat().st_size / 1e9:.1f} GB")


def _try(program: str, method: MethodEntry, sif: Path) -> None:
    """Run the file's own ``--version`` and ``--check``."""
    from nucseg_launcher.causes import Ending, explain_ending, explain_engine_error
    from nucseg_launcher.engines.apptainer import ISOLATION, ask
    from nucseg_launcher.engines.child import run_child

    said, failure = ask(program, sif, "--version")
    if failure:
        raise explain_engine_error(failure, "apptainer")
    expected = f"nucseg {method.name} {__version__}"
    if said != expected:
        raise NucsegError(
            f"the image is not that of {method.name} {__version__}: it calls itself {said!r}",
            f"take the archive of {method.image}",
            USAGE,
        )
    ended = run_child([program, "run", *ISOLATION, str(sif), "--check", "--device", "cpu"], _Shown())
    failure_of_check = explain_ending(Ending(ended.exit_code, errors=ended.errors))
    if failure_of_check:
        raise NucsegError(
            f"the file was made, but does not run: {failure_of_check.cause}", failure_of_check.hint, CONTAINER_FAILED
        )


class _Shown:
    """Shows what a program says as it comes."""

    def out(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()

    def err(self, data: bytes) -> None:
        sys.stderr.buffer.write(data)
        sys.stderr.flush()

    def sample(self, sample: Sample) -> None:
        """What the conversion uses is nobody's concern."""
