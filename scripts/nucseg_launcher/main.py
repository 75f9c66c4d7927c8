"""The `nucseg` command: its subcommands, and the one place that catches errors."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from nucseg import __version__
from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg_launcher import signals
from nucseg_launcher.commands import (
    build,
    compare,
    consensus,
    doctor,
    export_crate,
    info,
    list,
    pull,
    rerun,
    run,
    score,
    sif,
    simulate,
    status,
    submit,
    train,
    view,
)
from nucseg_launcher.settings import spelled_out

DESCRIPTION = """\
Segment nuclei in 3D microscopy images, each method in its own container."""

FIRST_STEPS = """\
first steps:
  nucseg doctor                                   is this machine ready?
  nucseg list                                     which methods are there?
  nucseg build stardist3d                         make the method's container image (or: nucseg pull)
  nucseg run stardist3d my_images my_results      segment a folder of images

nucseg COMMAND --help explains a command."""


class _Parser(argparse.ArgumentParser):
    """Where there is ``--set name=value``, takes ``--name value`` too: messages of the methods name parameters so."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if args is not None and "--set" in self._option_string_actions:
            args = spelled_out(args, self._option_string_actions)
        return super().parse_known_args(args, namespace)


COMMANDS = (
    list,
    info,
    doctor,
    build,
    pull,
    sif,
    run,
    submit,
    status,
    compare,
    score,
    consensus,
    view,
    rerun,
    export_crate,
    train,
    simulate,
)
"""In the order in which the help shows them."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="nucseg",
        description=DESCRIPTION,
        epilog=FIRST_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nucseg {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    for subparser in commands.choices.values():
        # They do not inherit it.
        subparser.allow_abbrev = False
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after `nucseg`; by default those of the process.

    Returns
    -------
    int
        0 done; 1 some image failed; 2 usage; 3 the environment can't do it; 4 the container failed;
        130 and 143 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not end a run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    signals.install()
    try:
        args = build_parser().parse_args(argv)
        code: int = args.execute(args)
        sys.stdout.flush()
    except NucsegError as error:
        from nucseg_launcher.box import show_failure

        sys.stdout.flush()
        show_failure("nucseg cannot do this", error.cause, error.hint)
        return error.exit_code
    except signals.Interrupted as stop:
        print("interrupted", file=sys.stderr)
        return stop.exit_code
    except BrokenPipeError:
        # The reader (`nucseg list | head`) has seen enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno is None:
            # Not the system's: the errors of some packages are of this kind, too.
            raise
        from nucseg_launcher.box import show_failure

        place = f"{error.filename}: " if error.filename else ""
        show_failure(
            "nucseg cannot do this",
            f"{place}{error.strerror or error}",
            "look at who may read and write there, and at the free space of that disk",
        )
        return ENVIRONMENT
    return code


if __name__ == "__main__":
    sys.exit(main())
