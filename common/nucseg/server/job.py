"""A job of a BIAFLOWS server from its first word to its last: download, segment, upload, tell how it ended."""

import logging
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg.batch import segment_folder
from nucseg.cli import Segment, Serve
from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg.formats import read_labels
from nucseg.method import Method
from nucseg.progress import say
from nucseg.record import DONE, FILE_NAME, read_images

if TYPE_CHECKING:
    from cytomine import CytomineJob

_BEGIN, _END = 0.1, 0.9
"""Share of a job's progress before and after which is no segmentation."""
_PERIOD = 5.0
"""Seconds between two messages to the server."""


def run_job(request: Serve, method: Method) -> int:
    """Do a job: all images of a project, their labels as annotations, scores where there is ground truth.

    Returns
    -------
    int
        0; any failure is an exception, after what could be done is uploaded.

    Raises
    ------
    NucsegError
        `ENVIRONMENT` for the server, `FAILED_IMAGE` when an image failed. The server is told the cause.
    """
    with _client_errors(request), _connected(request) as job, tempfile.TemporaryDirectory(prefix="nucseg-") as name:
        from nucseg.server.transfer import download

        status, work = _Status(job), Path(name)
        images, truths, out = (work / part for part in ("in", "gt", "out"))
        images.mkdir()
        truths.mkdir()
        status(0.0, "downloading the images")
        instances = download(request.account.project, images, truths)
        scored = request.metrics and any(truths.iterdir())
        if request.metrics and not scored:
            say("note: the project holds no ground truth (name_lbl.tif), so there are no metrics")
        segment = Segment(
            in_dir=images,
            out_dir=out,
            gt_dir=truths if scored else None,
            metrics=scored,
            device=request.device,
            measurements=None,
            overlays=None,
            resume=False,
            params=request.params,
            warnings=(),
            record=out / FILE_NAME,
        )
        segment_folder(segment, method, lambda done, text: status(_BEGIN + (_END - _BEGIN) * done, text))
        record = read_images(out / FILE_NAME)
        failed = {name: problem for name in instances if (problem := _problem(record.get(name, {})))}
        failed |= _upload(request, job, instances, record, out, status)
        if failed:
            told = "; ".join(f"{instances[name].originalFilename} ({why.cause})" for name, why in failed.items())
            code = max(why.exit_code for why in failed.values())
            raise NucsegError(
                f"{len(failed)} of {len(instances)} images failed: {told}", "read the log of the job", code
            )
        status(1.0, "finished")
    return 0


def _problem(entry: dict[str, Any]) -> NucsegError | None:
    """What an image lacks of what was asked for, by its entry in the record."""
    if entry.get("status") == DONE:
        problems = entry.get("problems")
        return NucsegError("; ".join(problems), "read the log of the job") if problems else None
    return NucsegError(entry.get("cause", "not segmented"), "read the log of the job")


def _upload(
    request: Serve,
    job: "CytomineJob",
    instances: dict[str, Any],
    record: dict[str, dict[str, Any]],
    out: Path,
    status: "_Status",
) -> dict[str, NucsegError]:
    """Upload what is done; what the server doesn't take, by image."""
    from nucseg.server.transfer import upload_annotations, upload_metrics

    done, refused = {name: entry for name, entry in record.items() if entry["status"] == DONE}, {}
    for number, name in enumerate(done if request.upload_annotations else ()):
        status(_END + (1 - _END) * number / len(done), f"uploading the annotations of {name}")
        channel, time_point = (max(0, chosen) for chosen in (request.params.nuc_channel, request.params.time_point))
        try:
            count = upload_annotations(job, instances[name], read_labels(out / name), channel, time_point)
            say(f"note: {name}: {count} annotations uploaded")
        except NucsegError as error:
            refused[name] = error
            say(f"error: {name}: {error}")
    scores = {name: entry["biaflows"] for name, entry in done.items() if "biaflows" in entry}
    if scores and request.upload_metrics:
        say(f"note: {upload_metrics(job, instances, scores)} values of metrics uploaded")
    return refused


class _Status:
    """Tells log and server how far a job is; the server at most every few seconds."""

    def __init__(self, job: "CytomineJob") -> None:
        self._job, self._told = job, float("-inf")

    def __call__(self, done: float, text: str) -> None:
        if done < _BEGIN or done > _END:  # between, the segmentation speaks for itself
            say(f"{int(100 * done):3d}% {text}")
        if time.monotonic() - self._told >= _PERIOD or done == 1:
            self._told = time.monotonic()
            self._tell(int(100 * done), text)

    def _tell(self, percent: int, text: str) -> None:
        from requests import RequestException

        try:
            self._job.job.update(progress=percent, statusComment=text[:255])
        except RequestException as error:
            # Hours of work must not end for a word about them; the upload will fail if the server stays away.
            say(f"warning: the server could not be told the progress ({error})")


@contextmanager
def _connected(request: Serve) -> Iterator["CytomineJob"]:
    """The running job; at the end, and after any failure, the server is told."""
    from cytomine import CytomineJob

    account = request.account
    say(f"  0% connecting to {account.host}")
    job = CytomineJob(
        account.host,
        account.public_key,
        account.private_key,
        account.software,
        account.project,
        parameters=Namespace(**asdict(request.params)),
        verbose=logging.WARNING,
        use_cache=False,
        configure_logging=False,
    )
    parts = {"these keys": job.current_user, "this project": job.project, "this software": job.software}
    unknown = [what for what, found in parts.items() if found is False]
    if unknown:
        raise NucsegError(f"{account.host} does not know {unknown[0]}", "check the --cytomine_ flags", ENVIRONMENT)
    with job:
        yield job


@contextmanager
def _client_errors(request: Serve) -> Iterator[None]:
    """What the client raises, explained."""
    try:
        import requests
        from cytomine.cytomine import URLRedirectionException
        from cytomine.models._utilities.dump import DumpError
    except ModuleNotFoundError as error:
        raise NucsegError(
            f"jobs of a Cytomine server need a client that is not installed here ({error.name})",
            "pip install 'nucseg[cytomine]', or an image built with --build-arg SERVER=cytomine",
            ENVIRONMENT,
        ) from error
    host = request.account.host
    try:
        yield
    except URLRedirectionException as error:
        raise NucsegError(
            f"{host} is only a redirection: {error.message}", "name the last address after --cytomine_host", ENVIRONMENT
        ) from error
    except requests.RequestException as error:
        raise NucsegError(
            f"no connection to {host} ({error})", "check the address and the network", ENVIRONMENT
        ) from error
    except DumpError as error:
        raise NucsegError(
            f"{host} does not hand out an image ({error})", "check the server's storage", ENVIRONMENT
        ) from error
