"""The end of a run in words: where the results are, and what failed."""

from typing import Any

from nucseg.errors import FAILED_IMAGE, NucsegError, about
from nucseg.progress import duration, say
from nucseg.record import DONE, FAILED
from nucseg_launcher.box import show_failure
from nucseg_launcher.execution import Result
from nucseg_launcher.layout import MethodFolder, OutFolder
from nucseg_launcher.record import NOT_DONE
from nucseg_launcher.units import count_text, size_text

_MOST_SHOWN = 20


def tell(out: OutFolder, folder: MethodFolder, status: dict[str, Any], result: Result) -> None:
    """Print what came of a run: results to stdout, then a failure box to stderr where there is a failure."""
    images = status["images"]
    done = [image for image in images if image["status"] == DONE]
    nuclei = sum(image.get("nuclei") or 0 for image in done)
    peak = f", at most {size_text(result.peak_memory)} of memory" if result.peak_memory else ""
    spent = f"{duration(result.seconds)}{peak}"
    say(f"\n{status['method']}: {len(done)} of {count_text(len(images), 'image')} done, {nuclei} nuclei, {spent}")
    score = _mean_f1(done)
    if score:
        say(score)
    if done:
        rows = [
            ("labels", folder.labels),
            ("tables", folder.measurements),
            ("pictures", folder.overlays),
            ("summary", out.summary_tsv),
            ("what to cite", out.citation),
        ]
        for name, path in rows:
            if path.exists():
                say(f"  {name:13} {path}")
    if result.failure:
        _tell_failure(folder, status, result.failure)


def _mean_f1(done: list[dict[str, Any]]) -> str:
    scores = [image["scores"][0] for image in done if image.get("scores")]
    if not scores:
        return ""
    mean = sum(score["f1"] for score in scores) / len(scores)
    return f"F1 at IoU {scores[0]['threshold']:g}: {mean:.3f}, the mean of {count_text(len(scores), 'image')}"


def failure_of(result: Result, images: list[dict[str, Any]]) -> NucsegError | None:
    """The failure of a whole run; where single images failed, the sum of theirs."""
    failed, faulty = _failed(images), _faulty(images)
    if result.exit_code != FAILED_IMAGE or not (failed or faulty):
        return result.failure
    if failed:
        hint = "mend or remove what is named here, then run the same command with --resume"
        return NucsegError(f"{count_text(len(failed), 'image')} could not be segmented", hint)
    return NucsegError(
        f"something is missing for {count_text(len(faulty), 'image')}", "read the log; --resume makes what is missing"
    )


def _failed(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [image for image in images if image["status"] == FAILED]


def _faulty(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [image for image in images if image["status"] == DONE and image.get("problems")]


def _tell_failure(folder: MethodFolder, status: dict[str, Any], failure: NucsegError) -> None:
    images = status["images"]
    failed = _failed(images)
    details = []
    for image in failed:
        remedy = f" (try: {image['hint']})" if image.get("hint") else ""
        details.append(f"{about(image['file'], image['cause'])}{remedy}")
    details += [f"{image['file']}: {problem}" for image in _faulty(images) for problem in image["problems"]]
    if len(details) > _MOST_SHOWN:
        details[_MOST_SHOWN:] = [f"and {len(details) - _MOST_SHOWN} more; {folder.status} lists them"]
    left = sum(image["status"] == NOT_DONE for image in images)
    if left and left < len(images):
        details.append(
            f"{count_text(len(images) - left - len(failed), 'image')} finished before and kept, {left} not done"
        )
    log = folder.stdout if failure.exit_code == FAILED_IMAGE else folder.stderr
    show_failure(f"{status['method']}: {status['status']}", failure.cause, failure.hint, log, details)
