"""The word ``train``: folders and device checked, then the method's own training."""

from nucseg.cli import Train
from nucseg.environment import pick_device
from nucseg.folders import check_apart, check_inputs, find_ground_truth, find_images, prepare_output
from nucseg.method import Method
from nucseg.progress import Progress, say


def train_model(request: Train, method: Method) -> int:
    """Do what a `Train` request says.

    Raises
    ------
    NucsegError
        When a folder, a pair of images or the device is unfit, or training fails.
    """
    check_inputs(**{"in": request.in_dir, "gt": request.gt_dir})
    check_apart((request.in_dir, request.gt_dir), (request.out_dir,))
    images, _ = find_images(request.in_dir)
    find_ground_truth(request.gt_dir, images)
    prepare_output(request.out_dir)
    device = pick_device(request.device, request.params)
    progress = Progress(["training"], [1.0], unit="model")
    progress.start(0)
    method.train(request.in_dir, request.gt_dir, request.out_dir, request.params, device, progress)
    progress.finish("done")
    say(f"use it with --model {request.out_dir}")
    return 0
