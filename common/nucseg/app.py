"""The entrypoint of every container, and of the plain-process engine: ``nucseg-run``.

``--version`` and ``--help`` answer at once, so everything heavy is imported by what needs it.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from nucseg import __version__, cli
from nucseg.errors import ENVIRONMENT, INTERRUPTED, NucsegError
from nucseg.failures import explain
from nucseg.method import Method, list_methods, load_method, root_folder
from nucseg.progress import LogLines, say


def main(argv: Sequence[str] | None = None) -> int:
    """Run the container's command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after the program's name; the process' own by default.

    Returns
    -------
    int
        0 all done; 1 some image failed; 2 usage; 3 the environment can't do it; 130 and 143 stopped.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        _listen_to_signals()
        return _run(words)
    except KeyboardInterrupt:
        say("interrupted: finished images are complete, --resume goes on", sys.stderr)
        return INTERRUPTED
    except Exception as error:
        known = explain(error)
        say(f"error: {known.cause}", sys.stderr)
        if known.hint:
            say(f"  try: {known.hint}", sys.stderr)
        return known.exit_code


def _listen_to_signals() -> None:
    """Let SIGTERM unwind the stack as SIGINT does, so that half-written files are removed.

    Without a handler the first process of a container doesn't even notice it.
    """

    def terminate(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("terminated: finished images are complete, --resume goes on", sys.stderr)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(words: Sequence[str]) -> int:
    name = _method_name()
    quick = cli.quick_command(words)
    if quick == "version":
        say(f"nucseg {name} {__version__}")
        return 0
    method = load_method(name)
    if quick == "help":
        from nucseg.usage import usage

        say(usage(method, train=words[0] == "train"))
        return 0
    if quick == "describe":
        from nucseg.descriptors.cytomine import text

        say(text(method).rstrip())
        return 0
    request = cli.parse(words, method)
    for warning in request.warnings:
        say(f"warning: {warning}")
    from nucseg.environment import prepare_caches, wait_passively

    logging.basicConfig(handlers=[LogLines(logging.WARNING)])
    prepare_caches()
    wait_passively()
    return _dispatch(request, method)


def _dispatch(request: cli.Request, method: Method) -> int:
    if isinstance(request, cli.Segment):
        from nucseg.batch import segment_folder

        return segment_folder(request, method)
    if isinstance(request, cli.Train):
        from nucseg.training_run import train_model

        return train_model(request, method)
    if isinstance(request, cli.Serve):
        from nucseg.server.job import run_job

        return run_job(request, method)
    from nucseg.selfcheck import self_check

    return self_check(request, method)


def _method_name() -> str:
    """The method of this container: `NUCSEG_METHOD`, or the only one there is."""
    known = list_methods()
    name = os.environ.get("NUCSEG_METHOD") or (known[0] if len(known) == 1 else "")
    if not name:
        cause = f"NUCSEG_METHOD doesn't say which method of {root_folder() / 'images'} is meant"
        raise NucsegError(cause, f"one of: {', '.join(known) or 'there is none'}", ENVIRONMENT)
    return name


if __name__ == "__main__":
    sys.exit(main())
