"""``nucseg status``: how far the jobs on the cluster are."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg.errors import FAILED_IMAGE, USAGE, NucsegError, about
from nucseg.progress import say
from nucseg.record import DONE, FAILED
from nucseg_launcher.layout import OutFolder

if TYPE_CHECKING:
    from nucseg_launcher.slurm.survey import ImageState

DESCRIPTION = """\
Tell how far the jobs are that `nucseg submit` has made for OUT: which images are queued, running, done or failed, and
why. What is done is decided by the files in OUT; Slurm is asked for the rest.

When no task is left, the summary and the records are written as `nucseg run` writes them, and `nucseg compare OUT` can
follow."""

EXIT_CODES = """\
exit code: 0 all images are done, or will be; 1 some image failed or is missing (`nucseg submit --resume` tries again);
2 something in the command is wrong; 3 Slurm does not answer."""

_MOST_SHOWN = 20


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "status",
        help="how far the jobs on the cluster are",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", metavar="OUT", type=Path, help="the folder that was given to `nucseg submit`")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Collect what the tasks have recorded, and tell."""
    from nucseg_launcher.checks.preflight import existing_folder
    from nucseg_launcher.slurm.collect import collect
    from nucseg_launcher.slurm.submission import read_submissions
    from nucseg_launcher.slurm.survey import UNKNOWN, survey

    out = OutFolder(existing_folder("the output folder", args.output))
    methods = [name for name in out.methods() if read_submissions(out.method(name))]
    if not methods:
        raise NucsegError(f"nothing was submitted for {out.path}", "nucseg submit METHOD IN OUT", USAGE)
    code, states = 0, {}
    for name in methods:
        try:
            states[name] = collect(out, name)
        except NucsegError as error:
            say(f"warning: this is what the files of {name} tell: {error}", sys.stderr)
            states[name] = survey(out.method(name), read_submissions(out.method(name)), None)
            # What another run is writing to is still to be done.
            code = code if error.exit_code == USAGE else error.exit_code
    _tell_counts(states)
    for method, images in states.items():
        _tell_failures(out, method, images)
    _tell_reasons(states)
    over = {image.state for images in states.values() for image in images if not image.alive}
    return code if UNKNOWN in over else FAILED_IMAGE if over - {DONE} else 0


def _tell_counts(states: dict[str, list["ImageState"]]) -> None:
    from nucseg_launcher.record import NOT_DONE
    from nucseg_launcher.slurm.survey import QUEUED, RUNNING, UNKNOWN

    present = {image.state for images in states.values() for image in images}
    columns = [QUEUED, RUNNING, DONE, FAILED, NOT_DONE, *({UNKNOWN} & present)]
    width = max(len("method"), *map(len, states))
    say(f"{'method':{width}}  " + "  ".join(f"{column:>8}" for column in columns))
    for method, images in states.items():
        counts = Counter(image.state for image in images)
        say(f"{method:{width}}  " + "  ".join(f"{counts[column]:8}" for column in columns))


def _tell_failures(out: OutFolder, method: str, images: Sequence["ImageState"]) -> None:
    """One line per failed image; the remedy once for those that share it."""
    failed = [image for image in images if "cause" in image.entry and not image.alive]
    if not failed:
        return
    say(f"\n{method}: failed")
    for image in failed[:_MOST_SHOWN]:
        log = image.task and out.method(method).task_file(*image.task, ".err")
        where = f" (log: {log})" if log and log.exists() else ""
        say(f"  {about(image.name, image.entry['cause'])}{where}")
    if len(failed) > _MOST_SHOWN:
        say(f"  and {len(failed) - _MOST_SHOWN} more")
    for hint in dict.fromkeys(image.entry["hint"] for image in failed if image.entry.get("hint")):
        say(f"  try: {hint}")


def _tell_reasons(states: dict[str, list["ImageState"]]) -> None:
    """Why images wait, in Slurm's own words, where that is not simply their turn."""
    reasons = Counter(image.reason for images in states.values() for image in images if image.reason)
    for reason, count in reasons.items():
        if reason not in ("None", "Priority", "Resources", "JobArrayTaskLimit"):
            say(f"\n{count} queued, Slurm says: {reason}")
