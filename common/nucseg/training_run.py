"""The word ``train``: folders, device and pairs checked, then the method's own training."""

from pathlib import Path
from typing import Any

from nucseg.cli import Train
from nucseg.environment import pick_device
from nucseg.errors import USAGE, NucsegError
from nucseg.folders import check_apart, check_inputs, prepare_output
from nucseg.method import Method, method_folder
from nucseg.models import resolve_model
from nucseg.progress import Progress, say
from nucseg.training.job import TrainingJob, split
from nucseg.training.pairs import Pair, find_pairs, oversized

MOST_NAMES = 5
"""Of volumes to validate on that are told."""

FEW_NUCLEI = 30


def train_model(request: Train, method: Method) -> int:
    """Do what a `Train` request says.

    Raises
    ------
    NucsegError
        When a folder, a pair of images or the device is unfit, or training fails.
    """
    from nucseg.training.checkpoint import CHECKPOINT

    inputs = [(request.in_dir, request.gt_dir)]
    check_inputs(**{"in": request.in_dir, "gt": request.gt_dir})
    if request.val_dir and request.val_gt_dir:
        check_inputs(val=request.val_dir, val_gt=request.val_gt_dir)
        inputs.append((request.val_dir, request.val_gt_dir))
    check_apart(tuple(folder for pair in inputs for folder in pair), (request.out_dir,))
    prepare_output(request.out_dir)
    if (request.out_dir / CHECKPOINT).exists() and not request.resume:
        raise NucsegError(
            f"{request.out_dir} holds a training that can go on", "--resume goes on; else name another folder", USAGE
        )
    device = pick_device(request.device, request.params)
    start = resolve_model(method_folder(method.name), request.params.from_, "--from") if request.params.from_ else None
    found = [_pairs(*folders, request.params) for folders in inputs]
    pairs, validation = found if len(found) == 2 else split(found[0])
    names = ", ".join(pair.volume.source.name for pair in validation[:MOST_NAMES])
    more = ", ..." if len(validation) > MOST_NAMES else ""
    say(f"training on {len(pairs)} volume{'s' * (len(pairs) != 1)}, validating on {len(validation)}: {names}{more}")
    if (nuclei := sum(len(pair.centres) for pair in validation)) < FEW_NUCLEI:
        say(f"warning: of few nuclei ({nuclei}) to validate on, F1 and the thresholds that it chooses vary by chance")
    if found[0] == validation:
        say("warning: there is no other volume to validate on than the one that is learned from")
    progress = Progress(["training"], [1.0], unit="model")
    progress.start(0)
    method.train(TrainingJob(pairs, validation, request.out_dir, request.params, device, progress, start))
    progress.finish(0, "done")
    return 0


def _pairs(images: Path, labels: Path, params: Any) -> list[Pair]:
    """The pairs of two folders, what is odd about them said; an unfit one is an error."""
    pairs = find_pairs(images, labels, params)
    if unknown := [pair.volume.source.name for pair in pairs if pair.volume.voxel_size is None]:
        some = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        say(
            f"note: the voxels of {len(unknown)} of {len(pairs)} volumes have unknown size and are taken as cubes "
            f"({some}); --voxel_size_z, _y and _x tell it, in µm"
        )
    for pair in pairs:
        for note in (*pair.notes, oversized(pair, params.diameter, params.patch_size)):
            if note:
                say(f"note: {pair.volume.source.name}: {note}")
    return pairs
