"""``nucseg rerun``: do a recorded run again, and say whether the labels are the same."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg.errors import ENVIRONMENT, FAILED_IMAGE, USAGE, NucsegError
from nucseg.progress import say
from nucseg_launcher.engines import ENGINES
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.signals import is_interruption
from nucseg_launcher.units import size_text

if TYPE_CHECKING:
    from nucseg_launcher.engines.base import Engine, Job

DESCRIPTION = """\
Do again what a run.json records: the same methods, images, weights and parameters, into a new folder OUT. Then say for
each image whether its labels are byte-identical to the recorded ones.
Containers and weights that have changed since are noted."""

EXAMPLES = """\
example:
  nucseg rerun my_results/run.json again

exit code: 0 all labels are byte-identical; 1 some differ, or some image failed; 2 the record cannot be followed (images
that are gone or have changed); 3 this machine cannot do it; 4 the container failed; 130 interrupted."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "rerun",
        help="do a recorded run again and compare",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("record", metavar="RUN.json", type=Path, help="record of the run, in its output folder")
    parser.add_argument("output", metavar="OUT", type=Path, help="folder for the new results")
    parser.add_argument("--engine", choices=tuple(ENGINES), help="another engine than the recorded one")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Run each recorded method and compare label images by their hashes."""
    from nucseg.record import read_json
    from nucseg_launcher.checks.preflight import home, output_folder
    from nucseg_launcher.comparison.overview import write_overview
    from nucseg_launcher.segmentation import segment

    recorded = home(args.record)
    methods = read_json(recorded).get("methods")
    if not isinstance(methods, dict) or not methods:
        raise NucsegError(f"{recorded} is not the record of a run", "OUT/run.json of `nucseg run`", USAGE)
    out = OutFolder(output_folder(args.output))
    for name, facts in methods.items():
        if not facts["images"]:
            done = shlex.quote(str(recorded.absolute().parent))
            raise NucsegError(f"{recorded} holds no results of {name}", f"nucseg status {done}", USAGE)
        _check_images(Path(facts["input"]), facts["images"])
    prepared = [_prepare(name, facts, out, args.engine) for name, facts in methods.items()]
    codes = []
    for engine, job in prepared:
        codes.append(segment(engine, job, out))
        if is_interruption(codes[-1]):
            return codes[-1]
    write_overview(out)
    same = [_tell(name, facts, out) for name, facts in methods.items()]
    return max([*codes, 0 if all(same) else FAILED_IMAGE])


def _check_images(folder: Path, images: Sequence[dict[str, Any]]) -> None:
    """The images must be those of the record; one that failed then has no hash."""
    from nucseg.formats import content_sha256

    for image in images:
        path = folder / image["file"]
        if not path.exists():
            raise NucsegError(f"{path} is gone", "put the images back where they were", USAGE)
        if image.get("sha256") and content_sha256(path) != image["sha256"]:
            raise NucsegError(f"{path} has changed since the run", "put the recorded image back", USAGE)


def _prepare(name: str, facts: dict[str, Any], out: OutFolder, engine_name: str | None) -> "tuple[Engine, Job]":
    """The job that does again what is recorded of a method, and its engine, both checked."""
    from nucseg.folders import find_images
    from nucseg_launcher.catalogue import get_method
    from nucseg_launcher.engines import choose_engine
    from nucseg_launcher.segmentation import Order, prepare
    from nucseg_launcher.settings import choose_model

    method = get_method(name)
    recorded = facts["engine"]
    if not engine_name and recorded not in ENGINES:
        raise NucsegError(f"{name} ran with the engine {recorded}", f"--engine {' or '.join(ENGINES)}", ENVIRONMENT)
    engine, _ = choose_engine(engine_name or recorded, [method])
    memory = facts["memory_limit_bytes"]
    if memory and engine.name != recorded:
        # Not every engine can limit memory, and the labels are the same without.
        say(f"note: {name} ran with at most {size_text(memory)} of memory; with another engine there is no limit")
        memory = None
    settings = dict(facts["params"])
    model = choose_model(method, facts["model"] or settings.pop("model", None), settings)
    in_dir, recorded_images = Path(facts["input"]), tuple(image["file"] for image in facts["images"])
    order = Order(
        method=method,
        in_dir=in_dir,
        only=() if set(recorded_images) == {image.name for image in find_images(in_dir)[0]} else recorded_images,
        out=out,
        gt_dir=Path(facts["ground_truth"]) if facts["ground_truth"] else None,
        model=model,
        settings=settings,
        device=facts["device"],
        memory=memory,
    )
    job = prepare(order, engine)
    image = engine.identity(job).get("image_id")
    if facts.get("image_id") and image and image != facts["image_id"]:
        say(f"note: {name} ran in the image {facts['image_id']}, which is now {image}")
    return engine, job


def _tell(name: str, facts: dict[str, Any], out: OutFolder) -> bool:
    """Say of the weights, and of each image's labels, whether they are the recorded ones; True when all labels are."""
    from nucseg.record import read_json

    again = read_json(out.run)["methods"][name]
    old, new = ((run.get("weights") or {}).get("sha256") for run in (facts, again))
    if old and new and old != new:
        say(f"note: {name} ran with the weights {old}, which are now {new}")
    now = {image["file"]: image for image in again["images"]}
    same = True
    for image in facts["images"]:
        before, after = image.get("labels_sha256"), now.get(image["file"], {}).get("labels_sha256")
        word = "byte-identical" if before == after else "DIFFERENT"
        if before is None or after is None:
            word = "no labels, as before" if before == after else "labels in only one of the two runs"
        say(f"{name}: {image['file']}: {word}")
        same = same and before == after
    return same
